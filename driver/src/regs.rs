//! Control registers: plain reads, readless reads (by DMA), and the reset handshake.

use std::sync::atomic::{fence, Ordering};
use std::time::Duration;

use nitor_abi::bar::{
    self, Caps, ControllerVersion, DevCtl, DevSts, ReadlessRequest, ReadlessResponse, ResetReason,
    Version,
};
use nitor_abi::pci;

use crate::dma::{self, DmaBuf};
use crate::error::{Error, Result};
use crate::pci::{PciError, PciFunction};

// Configuration space.
const CFG_ID: u16 = 0x00;
const CFG_COMMAND: u16 = 0x04;
const CFG_REVISION: u16 = 0x08;
const COMMAND_MEMORY: u32 = 1 << 1;
const COMMAND_MASTER: u32 = 1 << 2;

/// Room for the control registers, and for the offsets that the card gives.
const MIN_BAR: u64 = 0x100;
const GONE: u32 = u32::MAX;
/// `req_id` in the response before a read, plus the read's number: no answer to this read or the
/// last has it.
const POISON: u16 = 0xdead;
const READ_TIMEOUT: Duration = Duration::from_millis(200);
const RESET_STEP: Duration = Duration::from_micros(20);
const TIMEOUT_UNIT: Duration = Duration::from_millis(100);
/// The timeout of a function-level reset, unless the card gives a longer one.
const FUNCTION_RESET_TIMEOUT: Duration = Duration::from_secs(1);
/// 0.0.1
const MIN_CONTROLLER: u32 = 1;

pub(crate) struct Regs<P: PciFunction> {
    function: P,
    /// The memory for responses to readless reads, and the number of the last read.
    readless: Option<(DmaBuf<P::Memory>, u16)>,
    read_timeout: Duration,
}

/// The versions that the registers report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub interface: Version,
    pub controller: ControllerVersion,
}

impl<P: PciFunction> Regs<P> {
    /// Checks that the function is a card for this driver, and makes its registers accessible.
    pub fn attach(function: P) -> Result<Self> {
        let id = function.config_read(CFG_ID);
        if id == GONE {
            return Err(PciError::DeviceGone.into());
        }
        let (vendor, device) = (id as u16, (id >> 16) as u16);
        if vendor != pci::VENDOR_ID || !pci::DEVICE_IDS.contains(&device) {
            return Err(Error::NotEna { vendor, device });
        }
        if function.bar_len(0) < MIN_BAR {
            return Err(Error::Config("BAR0 is missing or too short".into()));
        }
        let plain = function.config_read(CFG_REVISION) as u8 & pci::REVISION_PLAIN_READS != 0;
        let readless =
            if plain { None } else { Some((dma::alloc(&function, ReadlessResponse::LEN, 64)?, 0)) };
        let regs = Regs { function, readless, read_timeout: READ_TIMEOUT };
        regs.enable();
        Ok(regs)
    }

    pub fn function(&self) -> &P {
        &self.function
    }

    /// Turns memory space and bus mastering on, and gives the card the address for readless
    /// responses.
    pub fn enable(&self) {
        // The upper half is the status register, where writing ones clears bits.
        let command = self.function.config_read(CFG_COMMAND) & 0xffff;
        self.function.config_write(CFG_COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER);
        self.write_response_address();
    }

    fn write_response_address(&self) {
        if let Some((response, _)) = &self.readless {
            self.write_address(bar::MMIO_RESP_LO, response.iova());
        }
    }

    /// Turns bus mastering off: afterwards the card sends no DMA.
    pub fn disable_dma(&self) {
        let command = self.function.config_read(CFG_COMMAND) & 0xffff;
        self.function.config_write(CFG_COMMAND, command & !COMMAND_MASTER);
        // The completion of this read pushes the card's earlier writes ahead of it.
        self.function.config_read(CFG_COMMAND);
    }

    /// Sets the timeout of a readless read, which is 200 ms otherwise.
    pub fn set_read_timeout(&mut self, timeout: Duration) {
        self.read_timeout = timeout;
    }

    pub fn write(&self, register: u32, value: u32) {
        self.function.bar_write(0, register.into(), value);
    }

    /// Writes an address to a pair of registers, lower half first.
    pub fn write_address(&self, low: u32, address: u64) {
        self.write(low, address as u32);
        self.write(low + 4, (address >> 32) as u32);
    }

    /// Reads a register, readless if that is set up.
    pub fn read(&mut self, register: u32) -> Result<u32> {
        let value = match &mut self.readless {
            None => self.function.bar_read(0, register.into()),
            Some((response, number)) => {
                *number = number.wrapping_add(1);
                let poison = number.wrapping_add(POISON);
                response.store(0, u64::from(poison));
                let request = ReadlessRequest { req_id: *number, offset: register as u16 };
                self.function.bar_write(0, bar::MMIO_REG_READ.into(), request.into());
                let deadline = self.function.now() + self.read_timeout;
                let answer = loop {
                    let bytes = response.load::<u64>(0).to_le_bytes();
                    let answer = ReadlessResponse::from_bytes(&bytes);
                    if answer.req_id == *number {
                        break answer;
                    }
                    if self.function.now() > deadline {
                        return Err(Error::ReadTimeout { register });
                    }
                    self.function.wait(Duration::from_micros(1));
                };
                fence(Ordering::Acquire);
                if u32::from(answer.offset) != register {
                    return Err(Error::Nonsense("another register than the one read"));
                }
                answer.value
            }
        };
        if value == GONE {
            return Err(PciError::DeviceGone.into());
        }
        Ok(value)
    }

    pub fn status(&mut self) -> Result<DevSts> {
        Ok(self.read(bar::DEV_STS)?.into())
    }

    pub fn caps(&mut self) -> Result<Caps> {
        Ok(self.read(bar::CAPS)?.into())
    }

    pub fn versions(&mut self) -> Result<Versions> {
        let interface = self.read(bar::VERSION)?.into();
        let controller = self.read(bar::CONTROLLER_VERSION)?;
        if controller & 0xff_ffff < MIN_CONTROLLER {
            return Err(Error::TooOld(controller));
        }
        Ok(Versions { interface, controller: controller.into() })
    }

    /// Resets the device. Afterwards it has no queues, and uses no memory except for readless
    /// responses.
    pub fn reset(&mut self, reason: ResetReason) -> Result<()> {
        if self.readless.is_some() && self.function.config_read(CFG_COMMAND) & COMMAND_MASTER == 0 {
            // The function was reset, or bus mastering turned off: no readless read would be
            // answered.
            return Err(Error::NotReady);
        }
        let status = self.status()?;
        let caps = self.caps()?;
        if !status.ready {
            return Err(Error::NotReady);
        }
        if caps.reset_timeout == 0 {
            return Err(Error::Nonsense("no reset timeout"));
        }
        let timeout = TIMEOUT_UNIT * caps.reset_timeout.into();
        // Without the capability only the lower half of the reason fits.
        let reset_reason = reason as u8 & 0xf;
        let start = DevCtl { dev_reset: true, reset_reason, ..Default::default() };
        self.write(bar::DEV_CTL, start.into());
        // The reset has cleared the response address.
        self.write_response_address();
        self.until_resetting(true, timeout).map_err(|error| named(error, "begin a reset"))?;
        self.write(bar::DEV_CTL, DevCtl::default().into());
        self.until_resetting(false, timeout).map_err(|error| named(error, "end a reset"))?;
        self.check_ready()
    }

    fn check_ready(&mut self) -> Result<()> {
        match self.status()?.ready {
            true => Ok(()),
            false => Err(Error::NotReady),
        }
    }

    fn until_resetting(&mut self, expected: bool, timeout: Duration) -> Result<()> {
        let deadline = self.function.now() + timeout;
        while self.status()?.reset_in_progress != expected {
            if self.function.now() > deadline {
                return Err(Error::ResetTimeout(""));
            }
            self.function.wait(RESET_STEP);
        }
        Ok(())
    }

    /// Resets the whole function, as a last resort, and makes the registers accessible again.
    pub fn function_reset(&mut self) -> Result<()> {
        self.function.reset()?;
        self.enable();
        // The function answers before the card's reset has ended; until then it ignores writes.
        let timeout = FUNCTION_RESET_TIMEOUT.max(TIMEOUT_UNIT * self.caps()?.reset_timeout.into());
        self.until_resetting(false, timeout)
            .map_err(|error| named(error, "end a reset of the function"))?;
        self.check_ready()
    }

    /// Clears the readless response address, so that the card has no address to write to.
    pub fn detach(&mut self) {
        if self.readless.is_some() {
            self.write_address(bar::MMIO_RESP_LO, 0);
        }
        self.disable_dma();
    }
}

fn named(error: Error, what: &'static str) -> Error {
    match error {
        Error::ResetTimeout(_) => Error::ResetTimeout(what),
        other => other,
    }
}
