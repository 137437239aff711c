//! Configuration space of the function: type 0 header, power management, MSI-X and PCI Express
//! capabilities.
//!
//! | offset | what |
//! |---|---|
//! | 0x00 | type 0 header: 1d0f:ec20, class 0x020000, revision 0 |
//! | 0x10 | BAR0: 16 KiB, 32-bit, not prefetchable |
//! | 0x18 | BAR2, if there are low-latency queues: 64-bit, prefetchable |
//! | 0x40 | power management 1.2: D0 and D3hot; leaving D3hot resets nothing (No_Soft_Reset) |
//! | 0x48 | MSI-X: table at BAR0 + 0x2000, pending bits at BAR0 + 0x3000 |
//! | 0x60 | PCI Express 2, endpoint: max payload 512, extended tags, function-level reset |
//! | 0x6c | link: 8 lanes of 8 GT/s |
//! | 0x100 | advanced error reporting: [super::errors] |
//! | 0x148 | Secondary PCI Express, which 8 GT/s asks for; says that the link has equalized |
//!
//! With `small`: max payload 256, a lane of 2.5 GT/s, one completion time-out, nothing from 0x100
//! on.
//!
//! The block answers in the cycle after the access appears, one access every 2 cycles. What is not
//! listed reads as 0 and takes no write. A max payload size beyond the largest is kept and reads
//! back, but the largest is used.
//!
//! `flr` pulses for a cycle. It also resets this space, but for max payload size, the registers of
//! the link and what advanced error reporting keeps, as the specification asks. Reads from before
//! the reset that end while `flush` is high cause no error of the function.
//!
//! The ports of errors have the names of those in [super::errors], which says what the errors are.
//! If an error sets a bit in the cycle in which the host clears it, the bit stays. Besides:
//!
//! - a poisoned TLP sets Detected Parity Error;
//! - a poisoned completion sets Master Data Parity Error if parity errors are to be responded to;
//! - a completion with status completer abort sets Received Target Abort, one with another status
//!   but success Received Master Abort;
//! - an aborted request sets Signaled Target Abort.

use super::errors::{ErrorFlags, Errors};
use super::tlp;
use crate::common::iface::*;
use nitor_abi::bar::{MSIX_PBA, MSIX_TABLE};
use nitor_abi::pci::{self, express, header, msix, power, secondary};
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Config {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bus: RegBusSnk,
    pub bus_master: Signal<Out, Bit>,
    pub mem_enable: Signal<Out, Bit>,
    pub bar0_base: Signal<Out, Bits<32>>,
    pub bar2_base: Signal<Out, Bits<64>>,
    pub mps: Signal<Out, Bits<3>>,
    pub mrrs: Signal<Out, Bits<3>>,
    pub ext_tag: Signal<Out, Bit>,
    pub msix_enable: Signal<Out, Bit>,
    pub msix_mask: Signal<Out, Bit>,
    pub flr: Signal<Out, Bit>,
    /// Device Control 2: completion time-out's value and, above it, disable.
    pub read_timeout: Signal<Out, Bits<5>>,
    /// Reads are under way.
    pub pending: Signal<In, Bit>,
    /// High from the cycle after `flr` on, while reads from before may still end.
    pub flush: Signal<In, Bit>,
    pub malformed: Signal<In, Bit>,
    pub overflow: Signal<In, Bit>,
    pub link_hdr: Signal<In, Bits<128>>,
    pub unsupported: Signal<In, Bit>,
    pub aborted: Signal<In, Bit>,
    pub poisoned: Signal<In, Bit>,
    pub answered: Signal<In, Bit>,
    /// A request had poisoned data, whatever else was wrong with it.
    pub parity: Signal<In, Bit>,
    pub request_hdr: Signal<In, Bits<128>>,
    pub cpl_poisoned: Signal<In, Bit>,
    /// A completion without success.
    pub cpl_refused: Signal<In, Bit>,
    pub cpl_unexpected: Signal<In, Bit>,
    pub cpl_timeout: Signal<In, Bit>,
    pub cpl_hdr: Signal<In, Bits<128>>,
    pub message_valid: Signal<Out, Bit>,
    pub message: Signal<Out, Bits<2>>,
    pub message_ready: Signal<In, Bit>,
    command: Reg<Command>,
    status: Reg<Status>,
    cache_line: Reg<Bits<8>>,
    line: Reg<Bits<8>>,
    bar0: Reg<Bits<18>>,
    bar2: Reg<Bits<64>>,
    d3: Reg<Bit>,
    msix: Reg<Msix>,
    control: Reg<Control>,
    device_status: Reg<ErrorFlags>,
    control2: Reg<Bits<5>>,
    link: Reg<Bits<16>>,
    link2: Reg<Bits<16>>,
    errors: Errors,
    taken: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    flr_now: Reg<Bit>,
    /// Reads that end now are from before a function-level reset.
    disowned: Reg<Bit>,
    master: Reg<Bit>,
    _vectors: usize,
    _log_bar2: usize,
    _small: bool,
}

// The registers of the capabilities.
const POWER: u16 = power::AT;
const POWER_CONTROL: u16 = power::AT + power::CONTROL;
const MSIX: u16 = msix::AT;
const MSIX_TABLE_AT: u16 = msix::AT + msix::TABLE;
const MSIX_PBA_AT: u16 = msix::AT + msix::PBA;
const EXPRESS: u16 = express::AT;
const DEVICE_CAPABILITIES: u16 = express::AT + express::DEVICE_CAPABILITIES;
const DEVICE_CONTROL: u16 = express::AT + express::DEVICE_CONTROL;
const LINK_CAPABILITIES: u16 = express::AT + express::LINK_CAPABILITIES;
const LINK_CONTROL: u16 = express::AT + express::LINK_CONTROL;
const DEVICE_CAPABILITIES_2: u16 = express::AT + express::DEVICE_CAPABILITIES_2;
const DEVICE_CONTROL_2: u16 = express::AT + express::DEVICE_CONTROL_2;
const LINK_CAPABILITIES_2: u16 = express::AT + express::LINK_CAPABILITIES_2;
const LINK_CONTROL_2: u16 = express::AT + express::LINK_CONTROL_2;
const SECONDARY: u16 = secondary::AT;
const LANES0: u16 = secondary::AT + secondary::LANES;
const LANES2: u16 = LANES0 + 4;
const LANES4: u16 = LANES0 + 8;
const LANES6: u16 = LANES0 + 12;

const ID: u32 = pci::VENDOR_ID as u32 | (pci::DEVICE_ID as u32) << 16;
/// A capability's first dword: what it is, where the next one is, and what belongs to its version.
const fn capability(id: u16, next: u16, version: u32) -> u32 {
    id as u32 | (next as u32) << 8 | version << 16
}
const POWER_HEADER: u32 = capability(power::ID, msix::AT, 3);
/// Version 2, an endpoint.
const EXPRESS_HEADER: u32 = capability(express::ID, 0, 2);
/// Version 1, the last one.
const SECONDARY_HEADER: u32 = secondary::ID as u32 | 1 << 16;

#[record]
pub struct Command {
    io: Bit,
    memory: Bit,
    bus_master: Bit,
    special: Bits<3>,
    parity_response: Bit,
    stepping: Bit,
    serr: Bit,
    fast: Bit,
    intx_disable: Bit,
    reserved: Bits<5>,
}
/// The bits of Command that exist.
const COMMAND_MASK: u64 = 0x0546;

#[record]
pub struct Status {
    master_data_parity: Bit,
    signaled_target_abort: Bit,
    received_target_abort: Bit,
    received_master_abort: Bit,
    signaled_system_error: Bit,
    detected_parity: Bit,
}

#[record(layout = nitor_abi::pci::CommandStatus)]
pub struct CommandStatus {
    memory: Bit,
    bus_master: Bit,
    parity_response: Bit,
    serr: Bit,
    intx_disable: Bit,
    capabilities: Bit,
    master_data_parity: Bit,
    signaled_target_abort: Bit,
    received_target_abort: Bit,
    received_master_abort: Bit,
    signaled_system_error: Bit,
    detected_parity: Bit,
}

#[record]
pub struct Msix {
    function_mask: Bit,
    enable: Bit,
}

#[record(layout = nitor_abi::pci::MsixControl)]
pub struct MsixControl {
    id: Bits<8>,
    next: Bits<8>,
    last_vector: Bits<11>,
    function_mask: Bit,
    enable: Bit,
}

#[record(layout = nitor_abi::pci::PowerControl)]
pub struct PowerControl {
    state: Bits<2>,
    no_soft_reset: Bit,
}
const D3_HOT: u64 = 3;

/// Device Control.
#[record]
pub struct Control {
    report: ErrorFlags,
    relaxed_ordering: Bit,
    max_payload: Bits<3>,
    extended_tags: Bit,
    phantom_functions: Bit,
    auxiliary_power: Bit,
    no_snoop: Bit,
    max_read_request: Bits<3>,
}

/// Device Control, and Device Status above it.
#[record]
pub struct Device {
    control: Control,
    function_reset: Bit,
    found: ErrorFlags,
    auxiliary_power: Bit,
    pending: Bit,
    reserved: Bits<10>,
}

/// A register of 16 bits below another.
#[record]
pub struct Pair {
    low: Bits<16>,
    high: Bits<16>,
}

/// Device Control after reset: max read request 512, relaxed ordering and no snoop allowed.
const CONTROL_INIT: u64 = 0x2810;
/// log2 of BAR0's bytes.
const LOG_BAR0: u64 = 14;
/// Link Control 2 after reset: 8 GT/s are the target.
const SPEED_8: u64 = 3;

impl Config {
    /// `log_bar2`: log2 of BAR2's bytes; 0: there is none. `small`: see the module.
    pub fn new(vectors: usize, log_bar2: usize, small: bool) -> Self {
        assert!(log_bar2 < 32);
        Self {
            control: Reg::new(Control::from_bits(lit::<15>(CONTROL_INIT))),
            link2: Reg::new(lit(SPEED_8)),
            errors: Errors::new(!small),
            _vectors: vectors,
            _log_bar2: log_bar2,
            _small: small,
            ..Self::default()
        }
    }
}

impl Logic for Config {
    /// Configuration space of the function.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; command, status, line, bar0, bar2, d3, msix, control);
        registers!(self, clock, reset; device_status, control2, link, link2, cache_line, taken);
        registers!(self, clock, reset; flr_now, disowned, master);
        registers!(self, clock; rdata);
        clocked!(self, clock, reset; errors);
        let command = self.command.q.val();
        let status = self.status.q.val();
        let command_status = CommandStatus {
            memory: command.memory,
            bus_master: command.bus_master,
            parity_response: command.parity_response,
            serr: command.serr,
            intx_disable: command.intx_disable,
            capabilities: true,
            master_data_parity: status.master_data_parity,
            signaled_target_abort: status.signaled_target_abort,
            received_target_abort: status.received_target_abort,
            received_master_abort: status.received_master_abort,
            signaled_system_error: status.signaled_system_error,
            detected_parity: status.detected_parity,
        };
        let d3 = self.d3.q.val();
        let power_state = if d3 { lit::<2>(D3_HOT) } else { lit::<2>(0) };
        let power_control = PowerControl { state: power_state, no_soft_reset: true };
        let msix_control = MsixControl {
            id: lit::<8>(msix::ID),
            next: lit::<8>(express::AT),
            last_vector: lit::<11>(self._vectors - 1),
            function_mask: self.msix.q.val().function_mask,
            enable: self.msix.q.val().enable,
        };
        let control = self.control.q.val();
        let device = Device {
            control,
            function_reset: false,
            found: self.device_status.q.val(),
            auxiliary_power: false,
            pending: self.pending.val(),
            reserved: lit::<10>(0),
        };
        let low_mask = if self._log_bar2 == 0 {
            lit::<32>(0)
        } else {
            lit::<32>((1u64 << 32) - (1 << self._log_bar2))
        };
        let bar2 = Halves::from_bits(self.bar2.q.val());
        // BAR2's low bits.
        let bar2_kind =
            if self._log_bar2 == 0 { lit::<32>(0) } else { lit::<32>(pci::BAR_64_PREFETCHABLE) };
        let addr = bit_cast::<12, 16>(self.bus.addr.val());
        let bar0 = bit_cast::<32, 18>(self.bar0.q.val()) << LOG_BAR0;
        let value = match addr {
            header::ID => lit::<32>(ID),
            header::COMMAND => command_status.to_bits::<32>(),
            header::CLASS => lit::<32>(pci::CLASS << 8),
            header::CACHE_LINE => bit_cast::<32, 8>(self.cache_line.q.val()),
            header::BAR0 => bar0,
            header::BAR2_LO => bar2.low | bar2_kind,
            header::BAR2_HI => bar2.high,
            header::SUBSYSTEM => lit::<32>(ID),
            header::CAPABILITIES => lit::<32>(power::AT),
            header::INTERRUPT_LINE => bit_cast::<32, 8>(self.line.q.val()),
            POWER => lit::<32>(POWER_HEADER),
            POWER_CONTROL => power_control.to_bits::<32>(),
            MSIX => msix_control.to_bits::<32>(),
            MSIX_TABLE_AT => lit::<32>(MSIX_TABLE),
            MSIX_PBA_AT => lit::<32>(MSIX_PBA),
            EXPRESS => lit::<32>(EXPRESS_HEADER),
            // Function-level reset, role-based errors, extended tags, 512 or 256 bytes.
            DEVICE_CAPABILITIES => lit::<32>(if self._small { 0x1000_8021 } else { 0x1000_8022 }),
            DEVICE_CONTROL => device.to_bits::<32>(),
            // 8 lanes of 8 GT/s, or one of 2.5; power management of the active state is optional.
            LINK_CAPABILITIES => lit::<32>(if self._small { 0x0040_0011 } else { 0x0040_0083 }),
            LINK_CONTROL => {
                let status = lit::<16>(if self._small { 0x1011 } else { 0x1083 });
                Pair { low: self.link.q.val(), high: status }.to_bits::<32>()
            }
            // Completion time-out ranges A to D, disable.
            DEVICE_CAPABILITIES_2 => lit::<32>(if self._small { 0x10 } else { 0x1f }),
            DEVICE_CONTROL_2 => bit_cast::<32, 5>(self.control2.q.val()),
            LINK_CAPABILITIES_2 => lit::<32>(if self._small { 0x02 } else { 0x0e }),
            // At 8 GT/s a link has been equalized in all phases.
            LINK_CONTROL_2 => {
                if self._small {
                    lit::<32>(0)
                } else {
                    Pair { low: self.link2.q.val(), high: lit::<16>(0x1e) }.to_bits::<32>()
                }
            }
            SECONDARY => lit::<32>(if self._small { 0 } else { SECONDARY_HEADER }),
            // Two lanes a register: no preset or hint was asked for.
            LANES0 | LANES2 | LANES4 | LANES6 => {
                lit::<32>(if self._small { 0 } else { 0x7f00_7f00 })
            }
            _ => self.errors.value.val(),
        };
        let start = self.bus.valid.val() && !self.taken.q.val();
        self.taken.d.next = start;
        self.rdata.d.next = value;
        self.bus.ready.next = self.taken.q.val();
        self.bus.rdata.next = self.rdata.q.val();

        let write = start && self.bus.write.val();
        let new = merge(value, self.bus.wdata.val(), self.bus.be.val());
        // A byte that is not enabled clears nothing.
        let ones = merge(lit::<32>(0), self.bus.wdata.val(), self.bus.be.val());
        self.flr_now.d.next = false;
        let mut forgets = Status::from_bits(lit::<6>(0));
        let mut forgotten = ErrorFlags::from_bits(lit::<4>(0));
        let new_device = Device::from_bits(new);
        let ones_device = Device::from_bits(ones);
        if write {
            match addr {
                header::COMMAND => {
                    let low = bit_cast::<16, 32>(new);
                    self.command.d.next = Command::from_bits(low & COMMAND_MASK);
                    let ones = CommandStatus::from_bits(ones);
                    forgets = Status {
                        master_data_parity: ones.master_data_parity,
                        signaled_target_abort: ones.signaled_target_abort,
                        received_target_abort: ones.received_target_abort,
                        received_master_abort: ones.received_master_abort,
                        signaled_system_error: ones.signaled_system_error,
                        detected_parity: ones.detected_parity,
                    };
                }
                header::CACHE_LINE => {
                    self.cache_line.d.next = bit_cast::<8, 32>(new);
                }
                header::BAR0 => {
                    self.bar0.d.next = bit_cast::<18, 32>(new >> LOG_BAR0);
                }
                header::BAR2_LO => {
                    self.bar2.d.next = Halves { low: new & low_mask, ..bar2 }.to_bits();
                }
                header::BAR2_HI => {
                    if self._log_bar2 != 0 {
                        self.bar2.d.next = Halves { high: new, ..bar2 }.to_bits();
                    }
                }
                header::INTERRUPT_LINE => {
                    self.line.d.next = bit_cast::<8, 32>(new);
                }
                POWER_CONTROL => {
                    // D1 and D2 do not exist: written, they change nothing.
                    let state = PowerControl::from_bits(new).state;
                    if state == 0 || state == D3_HOT {
                        self.d3.d.next = state.any();
                    }
                }
                MSIX => {
                    let control = MsixControl::from_bits(new);
                    self.msix.d.next =
                        Msix { function_mask: control.function_mask, enable: control.enable };
                }
                DEVICE_CONTROL => {
                    self.control.d.next = Control {
                        phantom_functions: false,
                        auxiliary_power: false,
                        ..new_device.control
                    };
                    self.flr_now.d.next = ones_device.function_reset;
                    forgotten = ones_device.found;
                }
                LINK_CONTROL => {
                    self.link.d.next = bit_cast::<16, 32>(new) & 0x00c3;
                }
                DEVICE_CONTROL_2 => {
                    self.control2.d.next =
                        bit_cast::<5, 32>(new) & lit::<5>(if self._small { 0x10 } else { 0x1f });
                }
                LINK_CONTROL_2 => {
                    self.link2.d.next = bit_cast::<16, 32>(new) & 0xff9f;
                }
                _ => {}
            }
        }

        // ---- Errors are remembered until written with 1.
        self.errors.malformed.next = self.malformed.val();
        self.errors.overflow.next = self.overflow.val();
        self.errors.link_hdr.next = self.link_hdr.val();
        self.errors.unsupported.next = self.unsupported.val();
        self.errors.aborted.next = self.aborted.val();
        self.errors.poisoned.next = self.poisoned.val();
        self.errors.answered.next = self.answered.val();
        self.errors.request_hdr.next = self.request_hdr.val();
        self.disowned.d.next = self.flr_now.q.val() || (self.disowned.q.val() && self.flush.val());
        let matters = !self.disowned.q.val();
        let spoiled = self.cpl_poisoned.val() && matters;
        self.errors.cpl_poisoned.next = spoiled;
        self.errors.cpl_unexpected.next = self.cpl_unexpected.val();
        self.errors.cpl_timeout.next = self.cpl_timeout.val() && matters;
        self.errors.cpl_hdr.next = self.cpl_hdr.val();
        self.errors.control.next = control.report;
        self.errors.serr.next = command.serr;
        self.errors.awake.next = !d3;
        self.errors.flr.next = self.flr_now.q.val();
        self.errors.addr.next = addr;
        self.errors.write.next = write;
        self.errors.written.next = new;
        self.errors.ones.next = ones;
        self.message_valid.next = self.errors.message_valid.val();
        self.message.next = self.errors.message.val();
        self.errors.message_ready.next = self.message_ready.val();
        let refused = self.cpl_refused.val() && matters;
        // A status that is reserved counts as unsupported request.
        let by_completer = tlp::Completion::from_bits(self.cpl_hdr.val()).status == tlp::CA;
        let met = Status {
            master_data_parity: spoiled && command.parity_response,
            signaled_target_abort: self.aborted.val(),
            received_target_abort: refused && by_completer,
            received_master_abort: refused && !by_completer,
            signaled_system_error: self.errors.signaled.val(),
            detected_parity: self.parity.val() || spoiled,
        };
        let status = (status.to_bits::<6>() & !forgets.to_bits::<6>()) | met.to_bits::<6>();
        self.status.d.next = Status::from_bits(status);
        let found = self.device_status.q.val().to_bits::<4>();
        let found = (found & !forgotten.to_bits::<4>()) | self.errors.set.val().to_bits::<4>();
        self.device_status.d.next = ErrorFlags::from_bits(found);
        if self.flr_now.q.val() {
            self.command.d.next = Command::from_bits(lit::<16>(0));
            self.status.d.next = Status::from_bits(lit::<6>(0));
            self.cache_line.d.next = lit::<8>(0);
            self.line.d.next = lit::<8>(0);
            self.bar0.d.next = lit::<18>(0);
            self.bar2.d.next = lit::<64>(0);
            self.d3.d.next = false;
            self.msix.d.next = Msix { function_mask: false, enable: false };
            self.control.d.next = Control {
                max_payload: control.max_payload,
                ..Control::from_bits(lit::<15>(CONTROL_INIT))
            };
            self.device_status.d.next = ErrorFlags::from_bits(lit::<4>(0));
            self.control2.d.next = lit::<5>(0);
        }
        self.flr.next = self.flr_now.q.val();
        self.master.d.next = command.bus_master && !d3;
        self.bus_master.next = self.master.q.val();
        self.mem_enable.next = command.memory && !d3;
        self.bar0_base.next = bar0;
        self.bar2_base.next = self.bar2.q.val();
        let mps = control.max_payload;
        let most = lit::<3>(if self._small { 1 } else { 2 });
        self.mps.next = if mps > most { most } else { mps };
        self.read_timeout.next = self.control2.q.val();
        self.mrrs.next = control.max_read_request;
        self.ext_tag.next = control.extended_tags;
        self.msix_enable.next = self.msix.q.val().enable;
        self.msix_mask.next = self.msix.q.val().function_mask;
    }
}
