//! A card as the PCI function of a guest. QEMU emulates the BARs and the MSI-X table, and writes to
//! them do not reach the card, which was given its own when it was enumerated. The rest of
//! configuration space is the card's.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use nitor_abi::pci::express::{DEVICE_CONTROL, REPORT_ALL};
use nitor_sim::enumerate::SetupError;
use nitor_sim::iommu::Permission;
use nitor_sim::memory::Block;
use nitor_sim::requester::Request;
use nitor_sim::{World, CARD_ID};

const COMMAND: u16 = 0x04;
const MEMORY_ENABLE: u16 = 1 << 1;
const BARS: std::ops::Range<u16> = 0x10..0x28;
const ROM: u16 = 0x30;
const FUNCTION_LEVEL_RESET: u32 = 1 << 15;
const MSIX_ENABLE: u32 = 1 << 31;

/// The dword of configuration space that has byte `at`.
fn config_dword(at: u64) -> Option<u16> {
    (at < 4096).then_some(at as u16 & !3)
}

/// Counts of a guest's accesses, and of what went wrong with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub register_reads: u64,
    pub register_writes: u64,
    /// Reads that the card did not answer.
    pub unanswered: u64,
    pub interrupts: u64,
    /// Interrupts of a vector without a listener. They stay pending until it has one.
    pub unheard: u64,
    pub resets: u64,
    pub maps: u64,
    pub unmaps: u64,
}

/// One vector: the event file of its listener, and whether an interrupt is pending.
#[derive(Debug, Default)]
struct Vector {
    listener: Option<File>,
    pending: bool,
}

/// The card of one guest.
#[derive(Debug)]
pub struct Device {
    host: usize,
    /// The guest's own command register: the card's memory space is always on.
    command: u16,
    vectors: Vec<Vector>,
    /// Files of guest memory, by device and inode.
    files: HashMap<(u64, u64), Rc<Block>>,
    pub counts: Counts,
}

impl Device {
    /// Enumerates the card of `host`.
    pub fn new(world: &mut World, host: usize) -> Result<Self, SetupError> {
        world.enumerate(host)?;
        let mut device = Device {
            host,
            command: 0,
            vectors: Vec::new(),
            files: HashMap::new(),
            counts: Counts::default(),
        };
        device.set_up(world)?;
        Ok(device)
    }

    /// Programs the card's vectors with messages of our own. The guest enables MSI-X.
    fn set_up(&mut self, world: &mut World) -> Result<(), SetupError> {
        let msix = self.msix(world).ok_or(SetupError::NoMsix)?;
        let read = |world: &mut World| {
            world
                .config_read(self.host, msix)
                .map_err(|error| SetupError::Config { offset: msix, error })
        };
        let count = (read(world)? >> 16 & 0x7ff) as u16 + 1;
        world.enable_msix(self.host, count)?;
        let control = read(world)?;
        world
            .config_write(self.host, msix, control & !MSIX_ENABLE)
            .map_err(|error| SetupError::Config { offset: msix, error })?;
        // This is what firmware does. QEMU passes on no error messages of a device that does not
        // report errors when it is found.
        if let Some(express) = world.host(self.host).root.function.express {
            let offset = express + DEVICE_CONTROL;
            let control = world.config_read(self.host, offset).map(|control| control & 0xffff);
            control
                .and_then(|control| world.config_write(self.host, offset, control | REPORT_ALL))
                .map_err(|error| SetupError::Config { offset, error })?;
        }
        self.command = 0;
        self.vectors.resize_with(count.into(), Vector::default);
        self.vectors.iter_mut().for_each(|vector| vector.pending = false);
        Ok(())
    }

    fn msix(&self, world: &World) -> Option<u16> {
        world.host(self.host).root.function.msix
    }

    /// The number of interrupt vectors.
    pub fn vectors(&self) -> usize {
        self.vectors.len()
    }

    /// The size of each BAR, 0 where there is none.
    pub fn bars(&self, world: &World) -> [u64; 6] {
        world.host(self.host).root.function.bars.map(|bar| bar.map_or(0, |bar| bar.size))
    }

    /// Reads configuration space. A read that the card does not answer returns all ones.
    pub fn config_read(&mut self, world: &mut World, offset: u64, into: &mut [u8]) {
        let mut word = [0xff; 4];
        let mut known = None;
        into.fill(0xff);
        for (byte, at) in into.iter_mut().zip(offset..) {
            let Some(dword) = config_dword(at) else { continue };
            if known != Some(dword) {
                word = world.config_read(self.host, dword).unwrap_or(u32::MAX).to_le_bytes();
                if dword == COMMAND {
                    word[..2].copy_from_slice(&self.command.to_le_bytes());
                }
                known = Some(dword);
            }
            *byte = word[(at & 3) as usize];
        }
    }

    /// Writes configuration space, at most a dword of it.
    pub fn config_write(&mut self, world: &mut World, offset: u64, bytes: &[u8]) {
        let skip = (offset & 3) as usize;
        let Some(dword) = config_dword(offset) else { return };
        if bytes.is_empty() || skip + bytes.len() > 4 {
            return;
        }
        if BARS.contains(&dword) || dword == ROM {
            return;
        }
        let mut word = [0; 4];
        word[skip..skip + bytes.len()].copy_from_slice(bytes);
        let mut enables = ((1u8 << bytes.len()) - 1) << skip;
        if dword == COMMAND {
            for byte in (0..2).filter(|byte| enables >> byte & 1 != 0) {
                let mut command = self.command.to_le_bytes();
                command[byte] = word[byte];
                self.command = u16::from_le_bytes(command);
            }
            word[..2].copy_from_slice(&(self.command | MEMORY_ENABLE).to_le_bytes());
            enables |= 3;
        }
        let value = u32::from_le_bytes(word);
        let express = world.host(self.host).root.function.express;
        if express.is_some_and(|express| dword == express + DEVICE_CONTROL)
            && enables & 2 != 0
            && value & FUNCTION_LEVEL_RESET != 0
        {
            let _ = self.reset(world);
            return;
        }
        let request = Request::ConfigWrite { offset: dword, value, enables };
        if world.request(self.host, &request).is_err() {
            self.counts.unanswered += 1;
        }
    }

    /// Performs a function-level reset, and gives the card its addresses and vectors again.
    pub fn reset(&mut self, world: &mut World) -> Result<(), SetupError> {
        self.counts.resets += 1;
        world.host_mut(self.host).hang_firmware(false);
        world.function_level_reset(self.host)?;
        self.set_up(world)
    }

    fn address(&self, world: &World, bar: u32, offset: u64, len: u64) -> Option<u64> {
        let bar = (*world.host(self.host).root.function.bars.get(bar as usize)?)?;
        (offset.checked_add(len)? <= bar.size).then_some(bar.base + offset)
    }

    pub fn bar_read(&mut self, world: &mut World, bar: u32, offset: u64, into: &mut [u8]) {
        self.counts.register_reads += 1;
        into.fill(0xff);
        let Some(address) = self.address(world, bar, offset, into.len() as u64) else { return };
        let mut done = 0;
        // No request crosses 4 KiB, nor is it longer than a completion.
        while done < into.len() {
            let at = address + done as u64;
            let len = (into.len() - done).min(64 - (at % 64) as usize);
            let request = Request::MemRead { address: at, len: len as u32 };
            match world.request(self.host, &request) {
                Ok(bytes) if bytes.len() == len => into[done..done + len].copy_from_slice(&bytes),
                _ => self.counts.unanswered += 1,
            }
            done += len;
        }
    }

    pub fn bar_write(&mut self, world: &mut World, bar: u32, offset: u64, bytes: &[u8]) {
        self.counts.register_writes += 1;
        let Some(address) = self.address(world, bar, offset, bytes.len() as u64) else { return };
        let mut done = 0;
        while done < bytes.len() {
            let at = address + done as u64;
            let len = (bytes.len() - done).min(64 - (at % 64) as usize);
            world.post_write(self.host, at, &bytes[done..done + len]);
            done += len;
        }
    }

    /// Maps `len` bytes of `file` at `iova`.
    pub fn map(
        &mut self,
        world: &mut World,
        (iova, len): (u64, u64),
        (file, offset): (&File, u64),
        permission: Permission,
    ) -> io::Result<()> {
        let meta = file.metadata()?;
        if offset.checked_add(len).is_none_or(|end| end > meta.len()) || len == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let block = match self.files.entry((meta.dev(), meta.ino())) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Block::map(file)?),
        };
        let (at, size) = (offset as usize, len as usize);
        if at + size > block.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let iommu = &mut world.host_mut(self.host).root.iommu;
        if !iommu.map_at(CARD_ID, iova, block, at, size, permission) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.counts.maps += 1;
        Ok(())
    }

    /// Unmaps the mappings within the range. From now on the IOMMU refuses the card's reads and
    /// writes there. None is half done, since the card does not run meanwhile.
    pub fn unmap(&mut self, world: &mut World, iova: u64, len: u64) {
        let iommu = &mut world.host_mut(self.host).root.iommu;
        self.counts.unmaps += iommu.unmap_range(CARD_ID, iova, len) as u64;
    }

    /// Sets `files` as the event files of the vectors from `start` on. Without files it removes
    /// those of `count` vectors.
    pub fn listen(&mut self, start: u32, count: u32, files: Vec<File>) {
        let start = start as usize;
        if files.is_empty() {
            let count = if count == 0 { usize::MAX } else { count as usize };
            for vector in self.vectors.iter_mut().skip(start).take(count) {
                vector.listener = None;
            }
            return;
        }
        for (vector, file) in self.vectors.iter_mut().skip(start).zip(files) {
            vector.listener = Some(file);
            if std::mem::take(&mut vector.pending) {
                vector.tell();
            }
        }
    }

    /// Passes the interrupts that the card has raised on to the guest, and calls `passed` for each.
    pub fn deliver(&mut self, world: &mut World, mut passed: impl FnMut(u16)) {
        while let Some(interrupt) = world.host_mut(self.host).root.interrupts.take() {
            let Some(vector) = self.vectors.get_mut(usize::from(interrupt.vector)) else {
                continue;
            };
            self.counts.interrupts += 1;
            if !vector.tell() {
                vector.pending = true;
                self.counts.unheard += 1;
            }
            passed(interrupt.vector);
        }
    }

    /// Drops the memory and the event files of a guest that has disconnected.
    pub fn gone(&mut self, world: &mut World) {
        self.unmap(world, 0, u64::MAX);
        self.files.clear();
        self.listen(0, 0, Vec::new());
    }
}

impl Vector {
    /// Signals the event file. True if there is one.
    fn tell(&mut self) -> bool {
        // The count of an event file overflows only if nothing reads it.
        self.listener.as_mut().is_some_and(|file| file.write_all(&1u64.to_ne_bytes()).is_ok())
    }
}
