//! Configuration space of the function: type 0 header, power management, MSI-X and PCI Express capabilities.
//!
//! | offset | what |
//! |---|---|
//! | 0x00 | header: 1d0f:ec20, class 0x020000, revision 0, BAR0 16 KiB, 32-bit, not prefetchable; BAR2 64-bit, prefetchable, if there are low-latency queues |
//! | 0x40 | power management 1.2: D0 and D3hot; leaving D3hot resets nothing (No_Soft_Reset) |
//! | 0x48 | MSI-X: table at BAR0 + 0x2000, pending bits at BAR0 + 0x3000 |
//! | 0x60 | PCI Express 2, endpoint: max payload 512, extended tags, function-level reset |
//!
//! Answers in the cycle after the access appears; one access every 2 cycles. Everything not listed reads as 0 and takes no write.
//! A max payload size beyond 512 is kept and reads back, but 512 is used.
//! `flr` pulses for a cycle and resets this space too, but for max payload size and Link Control, as the specification asks.
//!
//! Errors: a poisoned TLP sets Detected Parity Error and, in Device Status, Non-Fatal Error; an unsupported request
//! sets Unsupported Request Detected and, reported by a completion as nearly all are, Correctable Error.

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
    /// A request was not supported.
    pub set_unsupported: Signal<In, Bit>,
    /// A poisoned TLP came.
    pub set_poisoned: Signal<In, Bit>,
    // Command: 10 INTx disable, 8 SERR#, 6 parity, 2 bus master, 1 memory.
    command: Reg<Bits<16>>,
    // 15 parity error detected.
    status: Reg<Bits<16>>,
    line: Reg<Bits<8>>,
    bar0: Reg<Bits<18>>,
    bar2: Reg<Bits<64>>,
    d3: Reg<Bit>,
    msix: Reg<Bits<2>>,
    control: Reg<Bits<15>>,
    device_status: Reg<Bits<4>>,
    control2: Reg<Bits<5>>,
    link: Reg<Bits<16>>,
    answered: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    flr_now: Reg<Bit>,
    master: Reg<Bit>,
    _vectors: usize,
    _log_bar2: usize,
    _small: bool,
}

/// Device Control after reset: max read request 512, relaxed ordering and no snoop allowed.
const CONTROL_INIT: u64 = 0x2810;
/// No phantom functions, no auxiliary power; bit 15 starts a function-level reset.
const CONTROL_MASK: u64 = 0x79ff;

impl Config {
    /// `log_bar2`: log2 of BAR2's bytes; 0: there is none. `small`: the largest payload is 256 bytes, not 512.
    pub fn new(vectors: usize, log_bar2: usize, small: bool) -> Self {
        assert!(log_bar2 < 32);
        Self {
            control: Reg::new(lit(CONTROL_INIT)),
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
        registers!(self, clock, reset; command, status, line, bar0, bar2, d3, msix, control, device_status, control2, link);
        registers!(self, clock, reset; answered, flr_now, master);
        registers!(self, clock; rdata);
        let status = self.status.q.val() | 0x10;
        let header4 = cat::<16, 16, 32>(status, self.command.q.val());
        let pm = bit_cast::<32, 1>(lit::<1>(0))
            .replace_bit(0, self.d3.q.val())
            .replace_bit(1, self.d3.q.val())
            .replace_bit(3, true);
        let msix_control = lit::<16>(self._vectors - 1).set_slice::<2>(14, self.msix.q.val());
        let device = cat::<16, 16, 32>(
            bit_cast::<16, 4>(self.device_status.q.val()),
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
            // 8 lanes of 8 GT/s.
            0x6c => lit::<32>(0x0000_0083),
            0x70 => cat::<16, 16, 32>(lit::<16>(0x1083), self.link.q.val()),
            // Completion time-out ranges A to D, disable.
            0x84 => lit::<32>(0x1f),
            0x88 => bit_cast::<32, 5>(self.control2.q.val()),
            0x8c => lit::<32>(0x0e),
            0x90 => lit::<32>(3),
            _ => lit::<32>(0),
        };
        let start = self.bus.valid.val() && !self.answered.q.val();
        self.answered.d.next = start;
        self.rdata.d.next = value;
        self.bus.ready.next = self.answered.q.val();
        self.bus.rdata.next = self.rdata.q.val();

        // Errors are remembered until written with 1.
        let mut seen = self.device_status.q.val();
        if self.set_unsupported.val() {
            seen = seen | 0b1001;
        }
        let mut parity = self.status.q.val();
        if self.set_poisoned.val() {
            parity = parity | 0x8000;
            seen = seen | 0b0010;
        }
        let write = start && self.bus.write.val();
        let new = merge(value, self.bus.wdata.val(), self.bus.be.val());
        // Where a byte is not enabled nothing is cleared.
        let ones = merge(lit::<32>(0), self.bus.wdata.val(), self.bus.be.val());
        self.flr_now.d.next = false;
        if write {
            match addr {
                0x04 => {
                    self.command.d.next = new.get_bits::<16>(0) & 0x0546;
                    parity = parity & !ones.get_bits::<16>(16);
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
                    seen = seen & !ones.get_bits::<4>(16);
                }
                0x70 => {
                    self.link.d.next = new.get_bits::<16>(0) & 0x01c3;
                }
                0x88 => {
                    self.control2.d.next = new.get_bits::<5>(0);
                }
                _ => {}
            }
        }
        self.device_status.d.next = seen;
        self.status.d.next = parity;
        if self.flr_now.q.val() {
            self.command.d.next = lit::<16>(0);
            self.status.d.next = lit::<16>(0);
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
        self.mrrs.next = self.control.q.val().get_bits::<3>(12);
        self.ext_tag.next = self.control.q.val().get_bit(8);
        self.msix_enable.next = self.msix.q.val().get_bit(1);
        self.msix_mask.next = self.msix.q.val().get_bit(0);
    }
}
