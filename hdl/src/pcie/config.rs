//! Configuration space of the function: type 0 header, power management, MSI-X and PCI Express capabilities.
//!
//! | offset | what |
//! |---|---|
//! | 0x00 | header: 1d0f:ec20, class 0x020000, revision 0, BAR0 16 KiB, 32-bit, not prefetchable; BAR2 64-bit, prefetchable, if there are low-latency queues |
//! | 0x40 | power management 1.2: D0 and D3hot; leaving D3hot resets nothing (No_Soft_Reset) |
//! | 0x48 | MSI-X: table at BAR0 + 0x2000, pending bits at BAR0 + 0x3000 |
//! | 0x60 | PCI Express 2, endpoint: max payload 512, extended tags, function-level reset, 8 lanes of 8 GT/s |
//! | 0x100 | advanced error reporting: [super::errors] |
//! | 0x148 | Secondary PCI Express, which 8 GT/s asks for: its fields are those of a link that has equalized |
//!
//! With `small`: max payload 256, a lane of 2.5 GT/s, one completion time-out, nothing beyond 0x100.
//!
//! Answers in the cycle after the access appears; one access every 2 cycles. Everything not listed reads as 0 and takes no write.
//! A max payload size beyond what there is is kept and reads back, but the largest is used.
//! `flr` pulses for a cycle and resets this space too, but for max payload size, the registers of the link and what advanced error
//! reporting keeps, as the specification asks. How the reads of before end while `flush` is high is no error of the function that comes after.
//!
//! Errors come by the ports that are named like those of [super::errors], which says what they are; of an error bit that is set and cleared in the same
//! cycle nothing is lost. Besides, a poisoned TLP sets Detected Parity Error, a poisoned completion Master Data Parity Error if parity
//! errors are to be responded to; a completion with status completer abort sets Received Target Abort, one with any other that is no success Received Master Abort, an aborted
//! request Signaled Target Abort.

use super::errors::Errors;
use super::tlp;
use crate::common::iface::*;
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
    /// From the cycle after `flr` on: reads of before may still end.
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
    // Command: 10 INTx disable, 8 SERR#, 6 parity, 2 bus master, 1 memory.
    command: Reg<Bits<16>>,
    // Status 15:11 and 8: parity error detected, system error signaled, master and target abort received, target abort signaled, master's
    // data parity error.
    status: Reg<Bits<6>>,
    cache_line: Reg<Bits<8>>,
    line: Reg<Bits<8>>,
    bar0: Reg<Bits<18>>,
    bar2: Reg<Bits<64>>,
    d3: Reg<Bit>,
    msix: Reg<Bits<2>>,
    control: Reg<Bits<15>>,
    device_status: Reg<Bits<4>>,
    control2: Reg<Bits<5>>,
    link: Reg<Bits<16>>,
    link2: Reg<Bits<16>>,
    errors: Errors,
    taken: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    flr_now: Reg<Bit>,
    /// The reads that end now are a former life's.
    disowned: Reg<Bit>,
    master: Reg<Bit>,
    _vectors: usize,
    _log_bar2: usize,
    _small: bool,
}

/// Device Control after reset: max read request 512, relaxed ordering and no snoop allowed.
const CONTROL_INIT: u64 = 0x2810;
/// Link Control 2 after reset: 8 GT/s are the target.
const SPEED_8: u64 = 3;
/// No phantom functions, no auxiliary power; bit 15 starts a function-level reset.
const CONTROL_MASK: u64 = 0x79ff;

impl Config {
    /// `log_bar2`: log2 of BAR2's bytes; 0: there is none. `small`: see the module.
    pub fn new(vectors: usize, log_bar2: usize, small: bool) -> Self {
        assert!(log_bar2 < 32);
        Self {
            control: Reg::new(lit(CONTROL_INIT)),
            link2: Reg::new(lit(SPEED_8)),
            errors: Errors::new(!small),
            _vectors: vectors,
            _log_bar2: log_bar2,
            _small: small,
            ..Self::default()
        }
    }
}

/// `old` with the enabled bytes of `new`.
#[kernel]
fn merge(old: Bits<32>, new: Bits<32>, be: Bits<4>) -> Bits<32> {
    let mut value = old;
    for i in 0..4 {
        if be.get_bit(i) {
            value = value.set_slice::<8>(8 * i, new.get_bits::<8>(8 * i));
        }
    }
    value
}

impl Logic for Config {
    /// Configuration space of the function.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; command, status, line, bar0, bar2, d3, msix, control, device_status, control2, link, link2);
        registers!(self, clock, reset; cache_line, taken, flr_now, disowned, master);
        registers!(self, clock; rdata);
        clocked!(self, clock, reset; errors);
        let status = cat::<5, 11, 16>(
            self.status.q.val().get_bits::<5>(1),
            cat::<3, 8, 11>(bit_cast::<3, 1>(self.status.q.val().get_bits::<1>(0)), lit::<8>(0x10)),
        );
        let header4 = cat::<16, 16, 32>(status, self.command.q.val());
        let pm = bit_cast::<32, 1>(lit::<1>(0))
            .replace_bit(0, self.d3.q.val())
            .replace_bit(1, self.d3.q.val())
            .replace_bit(3, true);
        let msix_control = lit::<16>(self._vectors - 1).set_slice::<2>(14, self.msix.q.val());
        let device = cat::<16, 16, 32>(
            bit_cast::<16, 6>(cat::<2, 4, 6>(
                cat::<1, 1, 2>(self.pending.val().into(), lit::<1>(0)),
                self.device_status.q.val(),
            )),
            bit_cast::<16, 15>(self.control.q.val()),
        );
        let low_mask = if self._log_bar2 == 0 {
            lit::<32>(0)
        } else {
            lit::<32>((1u64 << 32) - (1 << self._log_bar2))
        };
        let bar2 = self.bar2.q.val();
        // 64 bits, prefetchable.
        let bar2_kind = if self._log_bar2 == 0 { lit::<32>(0) } else { lit::<32>(0xc) };
        let addr = self.bus.addr.val().get_bits::<12>(0);
        let value = match addr {
            0x00 => lit::<32>(0xec20_1d0fu32),
            0x04 => header4,
            0x08 => lit::<32>(0x0200_0000),
            0x0c => bit_cast::<32, 8>(self.cache_line.q.val()),
            0x10 => cat::<18, 14, 32>(self.bar0.q.val(), lit::<14>(0)),
            0x18 => bar2.get_bits::<32>(0) | bar2_kind,
            0x1c => bar2.get_bits::<32>(32),
            0x2c => lit::<32>(0xec20_1d0fu32),
            0x34 => lit::<32>(0x40),
            0x3c => bit_cast::<32, 8>(self.line.q.val()),
            0x40 => lit::<32>(0x0003_4801),
            0x44 => pm,
            0x48 => cat::<16, 16, 32>(msix_control, lit::<16>(0x6011)),
            0x4c => lit::<32>(0x2000),
            0x50 => lit::<32>(0x3000),
            0x60 => lit::<32>(0x0002_0010),
            // Function-level reset, role-based errors, extended tags, 512 or 256 bytes.
            0x64 => lit::<32>(if self._small { 0x1000_8021 } else { 0x1000_8022 }),
            0x68 => device,
            // 8 lanes of 8 GT/s, or one of 2.5; power management of the active state is optional.
            0x6c => lit::<32>(if self._small { 0x0040_0011 } else { 0x0040_0083 }),
            0x70 => cat::<16, 16, 32>(
                lit::<16>(if self._small { 0x1011 } else { 0x1083 }),
                self.link.q.val(),
            ),
            // Completion time-out ranges A to D, disable.
            0x84 => lit::<32>(if self._small { 0x10 } else { 0x1f }),
            0x88 => bit_cast::<32, 5>(self.control2.q.val()),
            0x8c => lit::<32>(if self._small { 0x02 } else { 0x0e }),
            // At 8 GT/s a link has been equalized in all phases.
            0x90 => {
                if self._small {
                    lit::<32>(0)
                } else {
                    cat::<16, 16, 32>(lit::<16>(0x1e), self.link2.q.val())
                }
            }
            0x148 => lit::<32>(if self._small { 0 } else { 0x0001_0019 }),
            // Two lanes a register: no preset or hint was asked for.
            0x154 | 0x158 | 0x15c | 0x160 => lit::<32>(if self._small { 0 } else { 0x7f00_7f00 }),
            _ => self.errors.value.val(),
        };
        let start = self.bus.valid.val() && !self.taken.q.val();
        self.taken.d.next = start;
        self.rdata.d.next = value;
        self.bus.ready.next = self.taken.q.val();
        self.bus.rdata.next = self.rdata.q.val();

        let write = start && self.bus.write.val();
        let new = merge(value, self.bus.wdata.val(), self.bus.be.val());
        // Where a byte is not enabled nothing is cleared.
        let ones = merge(lit::<32>(0), self.bus.wdata.val(), self.bus.be.val());
        self.flr_now.d.next = false;
        let mut forgets = lit::<6>(0);
        let mut forgotten = lit::<4>(0);
        if write {
            match addr {
                0x04 => {
                    self.command.d.next = new.get_bits::<16>(0) & 0x0546;
                    forgets = cat::<5, 1, 6>(ones.get_bits::<5>(27), ones.get_bits::<1>(24));
                }
                0x0c => {
                    self.cache_line.d.next = new.get_bits::<8>(0);
                }
                0x10 => {
                    self.bar0.d.next = new.get_bits::<18>(14);
                }
                0x18 => {
                    self.bar2.d.next = cat::<32, 32, 64>(bar2.get_bits::<32>(32), new & low_mask);
                }
                0x1c => {
                    if self._log_bar2 != 0 {
                        self.bar2.d.next = cat::<32, 32, 64>(new, bar2.get_bits::<32>(0));
                    }
                }
                0x3c => {
                    self.line.d.next = new.get_bits::<8>(0);
                }
                0x44 => {
                    // D1 and D2 do not exist: written, they change nothing.
                    if new.get_bit(0) == new.get_bit(1) {
                        self.d3.d.next = new.get_bit(0);
                    }
                }
                0x48 => {
                    self.msix.d.next = new.get_bits::<2>(30);
                }
                0x68 => {
                    self.control.d.next = new.get_bits::<15>(0) & CONTROL_MASK;
                    self.flr_now.d.next = ones.get_bit(15);
                    forgotten = ones.get_bits::<4>(16);
                }
                0x70 => {
                    self.link.d.next = new.get_bits::<16>(0) & 0x00c3;
                }
                0x88 => {
                    self.control2.d.next =
                        new.get_bits::<5>(0) & lit::<5>(if self._small { 0x10 } else { 0x1f });
                }
                0x90 => {
                    self.link2.d.next = new.get_bits::<16>(0) & 0xff9f;
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
        self.errors.control.next = self.control.q.val().get_bits::<4>(0);
        self.errors.serr.next = self.command.q.val().get_bit(8);
        self.errors.awake.next = !self.d3.q.val();
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
        let by_completer = self.cpl_hdr.val().get_bits::<3>(45) == lit::<3>(tlp::CA);
        let answers_parity = self.command.q.val().get_bit(6);
        let mut met = lit::<6>(0);
        met = met.replace_bit(0, spoiled && answers_parity);
        met = met.replace_bit(1, self.aborted.val());
        met = met.replace_bit(2, refused && by_completer);
        met = met.replace_bit(3, refused && !by_completer);
        met = met.replace_bit(4, self.errors.signaled.val());
        met = met.replace_bit(5, self.parity.val() || spoiled);
        self.status.d.next = (self.status.q.val() & !forgets) | met;
        self.device_status.d.next =
            (self.device_status.q.val() & !forgotten) | self.errors.set.val();
        if self.flr_now.q.val() {
            self.command.d.next = lit::<16>(0);
            self.status.d.next = lit::<6>(0);
            self.cache_line.d.next = lit::<8>(0);
            self.line.d.next = lit::<8>(0);
            self.bar0.d.next = lit::<18>(0);
            self.bar2.d.next = lit::<64>(0);
            self.d3.d.next = false;
            self.msix.d.next = lit::<2>(0);
            let kept = self.control.q.val() & 0x00e0;
            self.control.d.next = (lit::<15>(CONTROL_INIT) & 0x7f1f) | kept;
            self.device_status.d.next = lit::<4>(0);
            self.control2.d.next = lit::<5>(0);
        }
        self.flr.next = self.flr_now.q.val();
        let awake = !self.d3.q.val();
        self.master.d.next = self.command.q.val().get_bit(2) && awake;
        self.bus_master.next = self.master.q.val();
        self.mem_enable.next = self.command.q.val().get_bit(1) && awake;
        self.bar0_base.next = cat::<18, 14, 32>(self.bar0.q.val(), lit::<14>(0));
        self.bar2_base.next = bar2;
        let mps = self.control.q.val().get_bits::<3>(5);
        let most = lit::<3>(if self._small { 1 } else { 2 });
        self.mps.next = if mps > most { most } else { mps };
        self.read_timeout.next = self.control2.q.val();
        self.mrrs.next = self.control.q.val().get_bits::<3>(12);
        self.ext_tag.next = self.control.q.val().get_bit(8);
        self.msix_enable.next = self.msix.q.val().get_bit(1);
        self.msix_mask.next = self.msix.q.val().get_bit(0);
    }
}
