//! A driver's handle to its simulated card: the simulation's [`PciFunction`]. Each call takes
//! simulated time as it would on a machine: a register read waits for its completion, a posted
//! write takes no time.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use nitor_driver::dma::{self, DmaBuf};
use nitor_driver::pci::{PciError, PciFunction, VectorSet};

use crate::enumerate::SetupError;
use crate::iommu::Permission;
use crate::memory::Block;
use crate::requester::{Request, RequestError};
use crate::world::World;
use crate::{CARD_ID, CYCLE_NS, REACTION};

/// What a read returns if the card does not answer, as on every machine.
const ALL_ONES: u32 = u32::MAX;

/// The card of one host. Clones are handles of the same card.
#[derive(Clone)]
pub struct HostFunction {
    world: Rc<RefCell<World>>,
    host: usize,
}

impl HostFunction {
    /// Enumerates the card of `host`. The card then has addresses and limits, but may not master
    /// the bus.
    pub fn open(world: &Rc<RefCell<World>>, host: usize) -> Result<Self, SetupError> {
        world.borrow_mut().enumerate(host)?;
        Ok(HostFunction { world: world.clone(), host })
    }

    pub fn world(&self) -> &Rc<RefCell<World>> {
        &self.world
    }

    pub fn host(&self) -> usize {
        self.host
    }

    /// The bus address of the dword at `offset` of `bar`; none if it is not within the BAR.
    fn address(&self, world: &World, bar: u8, offset: u64) -> Option<u64> {
        let bar = (*world.host(self.host).root.function.bars.get(usize::from(bar))?)?;
        (offset.checked_add(4)? <= bar.size).then_some(bar.base + offset)
    }
}

/// Memory of a simulated host, mapped for its card. See [`DmaBuf`].
pub struct HostMemory {
    world: Rc<RefCell<World>>,
    host: usize,
    block: Rc<Block>,
    iova: u64,
}

// SAFETY: the block is alive as long as the value is, never moves, and is aligned to at least
// `MIN_ALIGN`; no references to its bytes are made anywhere else: DMA copies through pointers.
unsafe impl dma::DmaMemory for HostMemory {
    fn iova(&self) -> u64 {
        self.iova
    }

    fn ptr(&self) -> NonNull<u8> {
        self.block.pointer()
    }

    fn len(&self) -> usize {
        self.block.len()
    }
}

/// The least alignment of DMA memory, for the driver and for the card: a cache line.
const MIN_ALIGN: usize = 64;

impl Drop for HostMemory {
    fn drop(&mut self) {
        // While a panic unwinds the world may be borrowed. Its mappings no longer matter then.
        if let Ok(mut world) = self.world.try_borrow_mut() {
            world.host_mut(self.host).root.iommu.unmap(CARD_ID, self.iova);
        }
    }
}

impl PciFunction for HostFunction {
    type Memory = HostMemory;

    fn config_read(&self, offset: u16) -> u32 {
        self.world.borrow_mut().config_read(self.host, offset).unwrap_or(ALL_ONES)
    }

    fn config_write(&self, offset: u16, value: u32) {
        // As on a machine, the driver does not learn of a failed write.
        let _ = self.world.borrow_mut().config_write(self.host, offset, value);
    }

    fn bar_len(&self, bar: u8) -> u64 {
        let world = self.world.borrow();
        let bars = &world.host(self.host).root.function.bars;
        bars.get(usize::from(bar)).copied().flatten().map_or(0, |bar| bar.size)
    }

    fn bar_read(&self, bar: u8, offset: u64) -> u32 {
        let mut world = self.world.borrow_mut();
        let Some(address) = self.address(&world, bar, offset) else { return ALL_ONES };
        world
            .request(self.host, &Request::MemRead { address, len: 4 })
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(ALL_ONES, u32::from_le_bytes)
    }

    fn bar_write(&self, bar: u8, offset: u64, value: u32) {
        let mut world = self.world.borrow_mut();
        if let Some(address) = self.address(&world, bar, offset) {
            world.post_write(self.host, address, &value.to_le_bytes());
        }
    }

    fn bar_write_bytes(&self, bar: u8, offset: u64, bytes: &[u8]) {
        // Bytes leave as from a processor's write-combining buffers, which have 64 bytes each.
        const COMBINED: u64 = 64;
        let mut world = self.world.borrow_mut();
        let Some(address) = self.address(&world, bar, offset + bytes.len().max(4) as u64 - 4)
        else {
            return;
        };
        let mut at = address + 4 - bytes.len().max(4) as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = rest.len().min((COMBINED - at % COMBINED) as usize);
            let (now, later) = rest.split_at(len);
            world.post_write(self.host, at, now);
            (at, rest) = (at + len as u64, later);
        }
    }

    fn alloc_dma(&self, len: usize, align: usize) -> Result<DmaBuf<HostMemory>, PciError> {
        let align = align.max(MIN_ALIGN);
        let block = Block::new(len, align);
        let mut world = self.world.borrow_mut();
        let iommu = &mut world.host_mut(self.host).root.iommu;
        let iova = iommu.map(CARD_ID, &block, align as u64, Permission::ReadWrite);
        let world = self.world.clone();
        Ok(DmaBuf::new(HostMemory { world, host: self.host, block, iova }))
    }

    fn enable_msix(&self, vectors: u16) -> Result<(), PciError> {
        if vectors > VectorSet::CAPACITY {
            let available = VectorSet::CAPACITY;
            return Err(PciError::TooManyVectors { asked: vectors, available });
        }
        Ok(self.world.borrow_mut().enable_msix(self.host, vectors)?)
    }

    fn disable_msix(&self) -> Result<(), PciError> {
        Ok(self.world.borrow_mut().disable_msix(self.host)?)
    }

    fn take_interrupts(&self) -> VectorSet {
        let mut world = self.world.borrow_mut();
        let interrupts = &mut world.host_mut(self.host).root.interrupts;
        std::iter::from_fn(|| interrupts.take()).map(|interrupt| interrupt.vector).collect()
    }

    fn wait(&self, timeout: Duration) {
        let cycles = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX) / CYCLE_NS;
        let mut world = self.world.borrow_mut();
        let start = world.now();
        world.wait_interrupt(self.host, cycles.max(REACTION));
        // Time passes even while an interrupt stays pending.
        world.run_until(start + REACTION);
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.world.borrow().now() * CYCLE_NS)
    }

    fn reset(&self) -> Result<(), PciError> {
        Ok(self.world.borrow_mut().function_level_reset(self.host)?)
    }
}

impl From<SetupError> for PciError {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Absent | SetupError::Config { error: RequestError::Timeout, .. } => {
                PciError::DeviceGone
            }
            SetupError::NoExpress => PciError::NoCapability("PCI Express"),
            SetupError::NoMsix => PciError::NoCapability("MSI-X"),
            SetupError::Vectors { has, wanted } => {
                PciError::TooManyVectors { asked: wanted, available: has }
            }
            SetupError::Config { .. } => PciError::Backend(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupts::Interrupts;
    use crate::tlp::{ByteEnables, Header};
    use crate::HostConfig;

    #[test]
    fn memory_is_the_cards_while_it_lives_and_has_neighbours_out_of_reach() {
        let mut world = World::new(1);
        world.add_host(HostConfig::new(128)).unwrap();
        let world = Rc::new(RefCell::new(world));
        let function = HostFunction { world: world.clone(), host: 0 };
        let mut memory = function.alloc_dma(100, 4096).unwrap();
        let iova = memory.iova();
        assert_eq!((iova % 4096, memory.ptr().as_ptr() as usize % 4096), (0, 0));
        memory.store(96, 0x0403_0201u32);
        let read = |bytes: &mut [u8]| {
            world.borrow().host(0).root.iommu.read(CARD_ID, iova + 98, bytes).is_ok()
        };
        let mut bytes = [0; 2];
        assert!(read(&mut bytes) && bytes == [3, 4]);
        assert!(!read(&mut [0; 3]));
        drop(memory);
        assert!(!read(&mut bytes));
    }
    #[test]
    fn an_interrupt_that_nobody_takes_stops_no_time() {
        let mut world = World::new(1);
        world.add_host(HostConfig::new(128)).unwrap();
        let (address, data) = Interrupts::message(0);
        let enables = ByteEnables { first: 0xf, last: 0 };
        let header = Header::mem_write(CARD_ID, 0, address, 1, enables);
        let interrupts = &mut world.host_mut(0).root.interrupts;
        interrupts.enable(1);
        interrupts.written(0, header, &data.to_le_bytes()).unwrap();
        let function = HostFunction { world: Rc::new(RefCell::new(world)), host: 0 };
        for _ in 0..3 {
            let before = function.now();
            function.wait(Duration::from_secs(1));
            assert!(before < function.now());
            assert!(function.now() - before < Duration::from_millis(1));
        }
        assert!(function.take_interrupts().contains(0));
    }
}
