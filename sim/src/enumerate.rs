//! Enumeration of a card, as a machine's firmware does it before a driver sees the card: finds BARs
//! and capabilities, assigns addresses, sets the limits of requests, enables interrupts.

use thiserror::Error;

use crate::interrupts::Interrupts;
use crate::requester::{Request, RequestError};
use crate::root::{Bar, Function};
use crate::world::World;

/// Why a card could not be enumerated, or its interrupts not be enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    #[error("configuration space at {offset:#x}: {error}")]
    Config { offset: u16, error: RequestError },
    #[error("no card answers")]
    Absent,
    #[error("the card has no PCI Express capability")]
    NoExpress,
    #[error("the card has no MSI-X capability")]
    NoMsix,
    #[error("the card has {has} interrupt vectors, not {wanted}")]
    Vectors { has: u16, wanted: u16 },
}

const CAPABILITY_EXPRESS: u8 = 0x10;
const CAPABILITY_MSIX: u8 = 0x11;
/// The lowest address for 32-bit BARs.
const BASE_32: u64 = 0xc000_0000;
/// How often a card may answer with a configuration request retry.
const RETRIES: u32 = 10_000;
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_FUNCTION_MASK: u32 = 1 << 30;
const MEMORY_ENABLE: u32 = 1 << 1;
const FUNCTION_LEVEL_RESET: u32 = 1 << 15;

impl World {
    /// Reads a dword of the configuration space of `host`'s card.
    pub fn config_read(&mut self, host: usize, offset: u16) -> Result<u32, RequestError> {
        let bytes = self.request(host, &Request::ConfigRead { offset })?;
        let dword = bytes.try_into().map_err(|_| RequestError::Malformed)?;
        Ok(u32::from_le_bytes(dword))
    }

    /// Writes a dword of the configuration space of `host`'s card.
    pub fn config_write(
        &mut self,
        host: usize,
        offset: u16,
        value: u32,
    ) -> Result<(), RequestError> {
        self.request(host, &Request::ConfigWrite { offset, value, enables: 0xf }).map(|_| ())
    }

    /// Assigns addresses and limits to the card of `host`. This is repeated after a function-level
    /// reset; the addresses are the same each time.
    pub fn enumerate(&mut self, host: usize) -> Result<(), SetupError> {
        // The write comes first: from it the card learns the ID that its completions must carry.
        self.set(host, 0x04, 0)?;
        // A card that is not ready yet may answer with a retry for a while.
        let mut id = Err(RequestError::Retry);
        for _ in 0..RETRIES {
            id = self.config_read(host, 0);
            if id != Err(RequestError::Retry) {
                break;
            }
        }
        match id {
            Ok(u32::MAX) => return Err(SetupError::Absent),
            Ok(_) => {}
            Err(error) => return Err(SetupError::Config { offset: 0, error }),
        }
        let mut function = Function { bars: self.place_bars(host)?, ..Function::default() };
        let mut next = self.get(host, 0x34)? as u8 & !3;
        // The bound ends a capability list that is a cycle.
        for _ in 0..48 {
            if next == 0 {
                break;
            }
            let offset = u16::from(next);
            let header = self.get(host, offset)?;
            match header as u8 {
                CAPABILITY_EXPRESS => function.express = Some(offset),
                CAPABILITY_MSIX => function.msix = Some(offset),
                _ => {}
            }
            next = (header >> 8) as u8 & !3;
        }
        let express = function.express;
        self.hosts[host].root.function = function;
        if let Some(express) = express {
            self.set_limits(host, express)?;
        }
        self.set(host, 0x04, MEMORY_ENABLE)
    }

    fn place_bars(&mut self, host: usize) -> Result<[Option<Bar>; 6], SetupError> {
        let mut bars = [None; 6];
        let (mut next_64, mut next_32) = (self.hosts[host].root.config.bars_64, BASE_32);
        let mut index = 0;
        while index < 6 {
            let offset = 0x10 + 4 * index as u16;
            self.set(host, offset, u32::MAX)?;
            let low = self.get(host, offset)?;
            let is_io = low & 1 != 0;
            let is_64 = low & 0x7 == 0x4;
            let mut mask = u64::from(low & !0xf) | 0xffff_ffff_0000_0000;
            if is_64 {
                self.set(host, offset + 4, u32::MAX)?;
                mask = u64::from(low & !0xf) | u64::from(self.get(host, offset + 4)?) << 32;
            }
            if low & !0xf != 0 && !is_io {
                let size = (!mask).wrapping_add(1);
                let next = if is_64 { &mut next_64 } else { &mut next_32 };
                let base = next.next_multiple_of(size);
                *next = base + size;
                bars[index] = Some(Bar { base, size });
                self.set(host, offset, base as u32)?;
                if is_64 {
                    self.set(host, offset + 4, (base >> 32) as u32)?;
                }
            }
            index += if is_64 { 2 } else { 1 };
        }
        Ok(bars)
    }

    /// Sets the largest payload and read, and extended tags if the card has them.
    fn set_limits(&mut self, host: usize, express: u16) -> Result<(), SetupError> {
        let root = &self.hosts[host].root.config;
        let (payload, read) = (root.max_payload, root.max_read_request);
        let able = self.get(host, express + 4)?;
        let payload = payload.min(128 << (able & 7));
        let code = |bytes: u32| bytes.trailing_zeros() - 7;
        let extended_tags = able >> 5 & 1;
        let control = code(payload) << 5 | extended_tags << 8 | code(read) << 12;
        self.set(host, express + 8, control)
    }

    /// Resets the card of `host` by a function-level reset and enumerates it again.
    pub fn function_level_reset(&mut self, host: usize) -> Result<(), SetupError> {
        let express = self.hosts[host].root.function.express.ok_or(SetupError::NoExpress)?;
        let control = self.get(host, express + 8)?;
        self.set(host, express + 8, control & 0xffff | FUNCTION_LEVEL_RESET)?;
        self.step(self.hosts[host].root.config.flr_grace);
        self.hosts[host].root.interrupts.disable();
        self.enumerate(host)
    }

    /// Sets up the first `count` vectors of the card of `host`, masks the others unless
    /// [`RootConfig::unmask_all`](crate::root::RootConfig::unmask_all) is set, and enables MSI-X.
    pub fn enable_msix(&mut self, host: usize, count: u16) -> Result<(), SetupError> {
        let msix = self.hosts[host].root.function.msix.ok_or(SetupError::NoMsix)?;
        let control = self.get(host, msix)?;
        let has = (control >> 16 & 0x7ff) as u16 + 1;
        if count > has {
            return Err(SetupError::Vectors { has, wanted: count });
        }
        let table = self.get(host, msix + 4)?;
        let bar = self.hosts[host].root.function.bars[table as usize & 7];
        let base = bar.ok_or(SetupError::NoMsix)?.base + u64::from(table & !7);
        self.hosts[host].root.interrupts.enable(count);
        for vector in 0..count {
            let (address, data) = Interrupts::message(vector);
            let words = [address as u32, (address >> 32) as u32, data, 0];
            for (index, word) in words.into_iter().enumerate() {
                let at = base + u64::from(vector) * 16 + index as u64 * 4;
                self.post_write(host, at, &word.to_le_bytes());
            }
        }
        let masked = u32::from(!self.hosts[host].root.config.unmask_all);
        for vector in count..has {
            self.post_write(host, base + u64::from(vector) * 16 + 12, &masked.to_le_bytes());
        }
        self.set(host, msix, control & !MSIX_FUNCTION_MASK | MSIX_ENABLE)
    }

    /// Disables MSI-X and drops the pending interrupts.
    pub fn disable_msix(&mut self, host: usize) -> Result<(), SetupError> {
        let msix = self.hosts[host].root.function.msix.ok_or(SetupError::NoMsix)?;
        let control = self.get(host, msix)?;
        self.set(host, msix, control & !MSIX_ENABLE)?;
        self.hosts[host].root.interrupts.disable();
        Ok(())
    }

    fn get(&mut self, host: usize, offset: u16) -> Result<u32, SetupError> {
        self.config_read(host, offset).map_err(|error| SetupError::Config { offset, error })
    }

    fn set(&mut self, host: usize, offset: u16, value: u32) -> Result<(), SetupError> {
        self.config_write(host, offset, value).map_err(|error| SetupError::Config { offset, error })
    }
}
