//! A driver's handle of its card: the same calls a driver makes on a real machine, each letting
//! simulated time pass as it should.

use std::cell::RefCell;
use std::rc::Rc;

use crate::enumerate::SetupError;
use crate::iommu::Permission;
use crate::memory::Block;
use crate::requester::Request;
use crate::world::World;
use crate::{CARD_ID, CYCLE_NS, REACTION};

/// What reads of a card that does not answer give, on every machine.
const ALL_ONES: u32 = u32::MAX;

/// The card of one host. Clones are handles of the same card.
#[derive(Clone)]
pub struct HostFunction {
    world: Rc<RefCell<World>>,
    host: usize,
}

/// DMA memory: the same bytes at `pointer` for the driver and at `iova` for the card. Unmapped
/// and freed when dropped.
pub struct DmaMemory {
    function: HostFunction,
    block: Rc<Block>,
    iova: u64,
}

impl DmaMemory {
    pub fn iova(&self) -> u64 {
        self.iova
    }

    pub fn pointer(&self) -> std::ptr::NonNull<u8> {
        self.block.pointer()
    }

    pub fn len(&self) -> usize {
        self.block.len()
    }

    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }
}

impl Drop for DmaMemory {
    fn drop(&mut self) {
        // A world that is being dropped, or unwound through, no longer needs it.
        if let Ok(mut world) = self.function.world.try_borrow_mut() {
            world.host_mut(self.function.host).root.iommu.unmap(CARD_ID, self.iova);
        }
    }
}

impl HostFunction {
    /// The card of `host`, enumerated: it has addresses and limits, but may not master the bus.
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

    /// Reads a dword of configuration space; all ones if the card does not answer.
    pub fn config_read(&self, offset: u16) -> u32 {
        self.world.borrow_mut().config_read(self.host, offset).unwrap_or(ALL_ONES)
    }

    /// Writes a dword of configuration space. As on a machine, nobody is told if it fails.
    pub fn config_write(&self, offset: u16, value: u32) {
        let _ = self.world.borrow_mut().config_write(self.host, offset, value);
    }

    /// Reads a register; all ones if the card does not answer or has no such BAR.
    pub fn bar_read(&self, bar: usize, offset: u64) -> u32 {
        let mut world = self.world.borrow_mut();
        let Some(address) = self.address(&world, bar, offset) else { return ALL_ONES };
        world
            .request(self.host, &Request::MemRead { address, len: 4 })
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(ALL_ONES, u32::from_le_bytes)
    }

    /// Posts a write to a register; it is under way when this returns.
    pub fn bar_write(&self, bar: usize, offset: u64, value: u32) {
        let mut world = self.world.borrow_mut();
        if let Some(address) = self.address(&world, bar, offset) {
            world.post_write(self.host, address, &value.to_le_bytes());
        }
    }

    fn address(&self, world: &World, bar: usize, offset: u64) -> Option<u64> {
        let bar = (*world.host(self.host).root.function.bars.get(bar)?)?;
        (offset + 4 <= bar.size).then_some(bar.base + offset)
    }

    /// Allocates `len` zeroed bytes that the card may read and write.
    pub fn alloc_dma(&self, len: usize, align: usize) -> DmaMemory {
        let block = Block::new(len, align.max(64));
        let mut world = self.world.borrow_mut();
        let iommu = &mut world.host_mut(self.host).root.iommu;
        let iova = iommu.map(CARD_ID, &block, align as u64, Permission::ReadWrite);
        DmaMemory { function: self.clone(), block, iova }
    }

    /// Enables the first `count` interrupt vectors.
    pub fn enable_msix(&self, count: u16) -> Result<(), SetupError> {
        self.world.borrow_mut().enable_msix(self.host, count)
    }

    /// Resets the card by a function-level reset and enumerates it again. Bus mastering and
    /// interrupts are off afterwards.
    pub fn reset(&self) -> Result<(), SetupError> {
        self.world.borrow_mut().function_level_reset(self.host)
    }

    /// Takes the vectors that were raised since the last call, oldest first.
    pub fn take_interrupts(&self, mut vector: impl FnMut(u16)) {
        let mut world = self.world.borrow_mut();
        let interrupts = &mut world.host_mut(self.host).root.interrupts;
        while let Some(interrupt) = interrupts.take() {
            vector(interrupt.vector);
        }
    }

    /// Lets time pass until there is an interrupt to take, at most `cycles` but always enough for
    /// a driver that polls to see something new. Whether there is one.
    pub fn wait(&self, cycles: u64) -> bool {
        self.world.borrow_mut().wait_interrupt(self.host, cycles.max(REACTION))
    }

    /// Nanoseconds since the start of the world.
    pub fn now_ns(&self) -> u64 {
        self.world.borrow().now() * CYCLE_NS
    }
}
