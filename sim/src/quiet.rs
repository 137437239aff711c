//! Tracks from the register traffic alone when an ENA device must start no DMA: from the moment its
//! host has seen a reset end until the host rings the admin doorbell. After a function-level reset
//! this time begins when the device may master the bus again. The root complex reports DMA in this
//! time as a violation.
//!
//! The host sees the end of a reset by reading DEV_STS, either straight or through the readless
//! mechanism, whose answers are the only DMA allowed in between.

/// Offsets in BAR 0.
const AQ_DOORBELL: u64 = 0x2c;
const DEV_CTL: u64 = 0x54;
const DEV_STS: u64 = 0x58;
const MMIO_RESP_LO: u64 = 0x60;
const MMIO_RESP_HI: u64 = 0x64;

const DEV_RESET: u32 = 1 << 0;
const RESET_IN_PROGRESS: u32 = 1 << 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Running,
    /// The host asked for a reset.
    Asked,
    /// The host has seen the reset in progress.
    InProgress,
    /// The host has seen the reset end: no DMA may start.
    Quiet,
    /// A function-level reset is in progress. It ends at the latest when the host lets the device
    /// master the bus again.
    FunctionReset,
}

/// See the module.
#[derive(Debug, Default)]
pub struct QuietWatch {
    state: State,
    response: u64,
}

impl QuietWatch {
    /// Whether the device must start no DMA now.
    pub fn is_quiet(&self) -> bool {
        self.state == State::Quiet
    }

    /// Whether a write of `len` bytes to `address` answers a readless read.
    pub fn is_response(&self, address: u64, len: usize) -> bool {
        self.response != 0 && address == self.response && len == 8
    }

    /// The device has accepted a write to a register.
    pub fn register_written(&mut self, offset: u64, value: u32) {
        match offset {
            DEV_CTL if value & DEV_RESET != 0 => self.state = State::Asked,
            AQ_DOORBELL if self.state == State::Quiet => self.state = State::Running,
            MMIO_RESP_LO => {
                self.response = self.response & !u64::from(u32::MAX) | u64::from(value);
            }
            MMIO_RESP_HI => {
                self.response = self.response & u64::from(u32::MAX) | u64::from(value) << 32;
            }
            _ => {}
        }
    }

    /// The device has completed the write that resets its function.
    pub fn function_reset(&mut self) {
        *self = QuietWatch { state: State::FunctionReset, response: 0 };
    }

    /// The device may master the bus from now on.
    pub fn bus_master_on(&mut self) {
        if self.state == State::FunctionReset {
            self.state = State::Quiet;
        }
    }

    /// The host has read a register.
    pub fn register_read(&mut self, offset: u64, value: u32) {
        if offset != DEV_STS {
            return;
        }
        self.state = match self.state {
            State::Asked if value & RESET_IN_PROGRESS != 0 => State::InProgress,
            State::InProgress if value & RESET_IN_PROGRESS == 0 => State::Quiet,
            state => state,
        }
    }

    /// The device has written the response to a readless read.
    pub fn response_written(&mut self, bytes: &[u8]) {
        if let [_, _, low, high, value @ ..] = bytes {
            if let Ok(value) = value.try_into() {
                let offset = u16::from_le_bytes([*low, *high]);
                self.register_read(offset.into(), u32::from_le_bytes(value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_from_the_end_of_a_reset_to_the_admin_doorbell() {
        let mut watch = QuietWatch::default();
        watch.register_read(DEV_STS, 1);
        watch.register_written(DEV_CTL, DEV_RESET);
        watch.register_written(MMIO_RESP_LO, 0x1000);
        watch.register_written(MMIO_RESP_HI, 0x2);
        assert!(watch.is_response(0x2_0000_1000, 8) && !watch.is_response(0x2_0000_1000, 4));
        watch.register_read(DEV_STS, 1 | RESET_IN_PROGRESS);
        watch.register_written(DEV_CTL, 0);
        assert!(!watch.is_quiet());
        watch.response_written(&[7, 0, DEV_STS as u8, 0, 1, 0, 0, 0]);
        assert!(watch.is_quiet());
        watch.register_written(AQ_DOORBELL, 1);
        assert!(!watch.is_quiet());
    }

    #[test]
    fn quiet_after_a_function_level_reset_and_the_old_response_is_none() {
        let mut watch = QuietWatch::default();
        watch.register_written(MMIO_RESP_LO, 0x1000);
        watch.function_reset();
        assert!(!watch.is_quiet());
        watch.bus_master_on();
        assert!(watch.is_quiet() && !watch.is_response(0x1000, 8));
        watch.register_written(AQ_DOORBELL, 1);
        assert!(!watch.is_quiet());
    }
}
