//! The hardware behind the management bus: DMA mailbox, context commands, time.

use nitor_abi::mgmt::{self, dma_cmd, CtxCmd, CtxKind, CtxParam, DmaState};

use crate::Order;

/// The management bus.
pub trait Bus {
    /// Reads the register at byte `address`.
    fn read32(&mut self, address: u16) -> u32;
    /// Writes the register at byte `address`.
    fn write32(&mut self, address: u16, value: u32);
    /// Waits until an interrupt is pending. One is raised at least every millisecond.
    fn wait(&mut self);
    /// The next order of the card's operator, if there is one. The firmware asks whenever it is
    /// awake.
    fn order(&mut self) -> Option<Order> {
        None
    }
}

impl<B: Bus + ?Sized> Bus for &mut B {
    fn read32(&mut self, address: u16) -> u32 {
        (**self).read32(address)
    }
    fn write32(&mut self, address: u16, value: u32) {
        (**self).write32(address, value);
    }
    fn order(&mut self) -> Option<Order> {
        (**self).order()
    }
    fn wait(&mut self) {
        (**self).wait();
    }
}

/// Counts of events that should not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Resets, by DEV_CTL or of the function. (One is usual.)
    pub resets: u32,
    /// Mailbox transfers that failed.
    pub dma_errors: u32,
    /// Commands that could not be fetched, and so get no answer.
    pub commands_lost: u32,
    /// Answers and events that could not be written.
    pub answers_lost: u32,
    /// Commands with the phase bit of another lap.
    pub bad_phase: u32,
    /// AQ doorbells beyond the ring.
    pub bad_doorbell: u32,
    /// Context commands that did not end.
    pub context_timeouts: u32,
}

/// Adds one. The count saturates: a host can cause as many faults as it likes.
pub(crate) fn count(fault: &mut u32) {
    *fault = fault.saturating_add(1);
}

/// The address `offset` bytes behind `base`, which the host gave. It saturates at the last address,
/// to which no transfer goes.
pub(crate) fn behind(base: u64, offset: u64) -> u64 {
    base.saturating_add(offset)
}

impl Faults {
    pub(crate) const fn new() -> Self {
        Faults {
            resets: 0,
            dma_errors: 0,
            commands_lost: 0,
            answers_lost: 0,
            bad_phase: 0,
            bad_doorbell: 0,
            context_timeouts: 0,
        }
    }
}

/// A DMA transfer failed.
#[derive(Debug)]
pub(crate) struct DmaError;

/// A context command did not end.
#[derive(Debug)]
pub(crate) struct ContextTimeout;

/// The timeout of a transfer. The hardware gives up long before that by itself.
const DMA_TIMEOUT_US: u32 = 200_000;
/// The timeout of a context command. A queue that is destroyed waits for its operations in flight.
/// The timeout is well below the drivers' 3 s.
const CONTEXT_TIMEOUT_US: u32 = 1_000_000;
/// Bits of a host address.
pub(crate) const ADDRESS_BITS: u32 = 48;

/// The parts of the mailbox's buffer, by byte offset.
pub(crate) mod buffer {
    /// The commands that are fetched at once.
    pub const COMMANDS: u16 = 0x000;
    pub const COMMANDS_MAX: u16 = 16;
    /// An answer or an event to be written.
    pub const ENTRY: u16 = 0x400;
    /// A command's control buffer.
    pub const CONTROL: u16 = 0x600;
    pub const CONTROL_LEN: usize = 0x200;
}

pub(crate) struct Hw<'a> {
    pub bus: &'a mut dyn Bus,
    pub faults: &'a mut Faults,
    /// A queue whose creation did not end in time. The host was answered that it does not exist.
    pub late: &'a mut Option<CtxCmd>,
}

impl Hw<'_> {
    /// The time in microseconds, which wraps.
    pub fn now(&mut self) -> u32 {
        self.bus.read32(mgmt::TIME)
    }

    pub fn status(&mut self) -> mgmt::Status {
        self.bus.read32(mgmt::STATUS).into()
    }

    /// Reads an address from two registers.
    pub fn read_address(&mut self, low: u16) -> u64 {
        u64::from(self.bus.read32(low)) | u64::from(self.bus.read32(low + 4)) << 32
    }

    /// Reads the buffer from `offset` on; whole words.
    pub fn read_buffer(&mut self, offset: u16, bytes: &mut [u8]) {
        for (word, address) in bytes.chunks_exact_mut(4).zip((mgmt::BUFFER + offset..).step_by(4)) {
            word.copy_from_slice(&self.bus.read32(address).to_le_bytes());
        }
    }

    /// Writes the buffer from `offset` on; whole words.
    pub fn write_buffer(&mut self, offset: u16, bytes: &[u8]) {
        for (word, address) in bytes.chunks_exact(4).zip((mgmt::BUFFER + offset..).step_by(4)) {
            let value = word.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            self.bus.write32(address, value);
        }
    }

    /// Reads `len` bytes of host memory into the buffer.
    pub fn fetch(&mut self, address: u64, offset: u16, len: u16) -> Result<(), DmaError> {
        self.transfer(address, offset, len, dma_cmd::READ)
    }

    /// Writes `len` bytes of the buffer to host memory.
    pub fn post(&mut self, address: u64, offset: u16, len: u16) -> Result<(), DmaError> {
        self.transfer(address, offset, len, dma_cmd::WRITE)
    }

    fn transfer(&mut self, at: u64, offset: u16, len: u16, command: u32) -> Result<(), DmaError> {
        let in_range = at.checked_add(len.into()).is_some_and(|end| end <= 1 << ADDRESS_BITS);
        let done = in_range && self.until_idle(mgmt::DMA_CMD, DMA_TIMEOUT_US) && {
            self.bus.write32(mgmt::DMA_ADDR_LO, at as u32);
            self.bus.write32(mgmt::DMA_ADDR_HI, (at >> 32) as u32);
            self.bus.write32(mgmt::DMA_LEN, len.into());
            self.bus.write32(mgmt::DMA_BUF, offset.into());
            self.bus.write32(mgmt::DMA_CMD, command);
            self.until_idle(mgmt::DMA_CMD, DMA_TIMEOUT_US)
                && !DmaState::from(self.bus.read32(mgmt::DMA_CMD)).error
        };
        if done {
            return Ok(());
        }
        count(&mut self.faults.dma_errors);
        Err(DmaError)
    }

    /// Writes an entry of a ring. The word with the phase bit must not be visible before the
    /// others: an aligned entry is one write on the bus, any other takes two.
    pub fn post_entry(&mut self, at: u64, entry: &[u8; 64], phase_at: u16) -> Result<(), DmaError> {
        self.write_buffer(buffer::ENTRY, entry);
        if at.is_multiple_of(64) {
            return self.post(at, buffer::ENTRY, 64);
        }
        let rest = phase_at + 4;
        self.post(behind(at, rest.into()), buffer::ENTRY + rest, 64 - rest)?;
        if phase_at > 0 {
            self.post(at, buffer::ENTRY, phase_at)?;
        }
        self.post(behind(at, phase_at.into()), buffer::ENTRY + phase_at, 4)
    }

    /// Creates queue `index`.
    pub fn create(
        &mut self,
        kind: CtxKind,
        index: u8,
        base: u64,
        param: CtxParam,
    ) -> Result<(), ContextTimeout> {
        self.context(CtxCmd { index, kind: kind as u8, destroy: false }, base, param)
    }

    /// Destroys queue `index`; none of its operations is in flight afterwards. The queue need not
    /// exist.
    pub fn destroy(&mut self, kind: CtxKind, index: u8) -> Result<(), ContextTimeout> {
        self.context(CtxCmd { index, kind: kind as u8, destroy: true }, 0, CtxParam::default())
    }

    fn context(&mut self, cmd: CtxCmd, base: u64, param: CtxParam) -> Result<(), ContextTimeout> {
        self.end_late().and_then(|()| self.give(cmd, base, param)).inspect_err(|ContextTimeout| {
            count(&mut self.faults.context_timeouts);
        })
    }

    /// Destroys a queue that the hardware created after the timeout. This comes before any other
    /// context command, since the queue's number is free.
    fn end_late(&mut self) -> Result<(), ContextTimeout> {
        let Some(late) = *self.late else { return Ok(()) };
        self.give(CtxCmd { destroy: true, ..late }, 0, CtxParam::default())?;
        *self.late = None;
        Ok(())
    }

    /// Issues a context command once the previous one has ended, and waits for its end.
    fn give(&mut self, cmd: CtxCmd, base: u64, param: CtxParam) -> Result<(), ContextTimeout> {
        if !self.until_idle(mgmt::CTX_CMD, CONTEXT_TIMEOUT_US) {
            return Err(ContextTimeout);
        }
        self.bus.write32(mgmt::CTX_BASE_LO, base as u32);
        self.bus.write32(mgmt::CTX_BASE_HI, (base >> 32) as u32);
        self.bus.write32(mgmt::CTX_PARAM, param.into());
        self.bus.write32(mgmt::CTX_CMD, cmd.into());
        if self.until_idle(mgmt::CTX_CMD, CONTEXT_TIMEOUT_US) {
            return Ok(());
        }
        // A queue that is to be destroyed still counts as existing: its number is not reused before
        // it is destroyed.
        if !cmd.destroy {
            *self.late = Some(cmd);
        }
        Err(ContextTimeout)
    }

    /// Waits until bit 0 of `register`, busy, is clear. A reset of the card clears it too.
    fn until_idle(&mut self, register: u16, timeout_us: u32) -> bool {
        let start = self.now();
        while self.bus.read32(register) & 1 != 0 {
            if self.now().wrapping_sub(start) > timeout_us {
                return false;
            }
        }
        true
    }
}
