//! Of [Readless], with the registers before it and [InlineWrite] behind: an answer is of this life,
//! and for the address as it is.

use super::readless::Readless;
use super::regs::EnaRegs;
use crate::common::iface::*;
use crate::pcie::inline::{self, InlineWrite, Recallable};
use crate::pcie::tlp;
use nitor_rtl::prelude::*;

/// An answer on offer to `pcie/tx` is for a request since the last function-level reset. It goes to
/// MMIO_RESP: to a whole address, not 0, and from two cycles after a write on to the new one.
#[derive(LogicBlock, Default)]
pub struct ReadlessLife {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub addr: Signal<In, Bits<16>>,
    pub wdata: Signal<In, Bits<32>>,
    pub be: Signal<In, Bits<4>>,
    pub function_reset: Signal<In, Bit>,
    pub core_reset: Signal<In, Bit>,
    pub in_reset: Signal<In, Bit>,
    /// The other clients of `pcie/inline`.
    pub ask: Signal<In, Bits<4>>,
    pub last: Signal<In, Bit>,
    pub tx_ready: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    regs: EnaRegs,
    readless: Readless<128>,
    inline: InlineWrite<128>,
    asked: Reg<Bit>,
    settled: Reg<Bit>,
}

impl ReadlessLife {
    pub fn new(small: bool) -> Self {
        Self { inline: InlineWrite::new(small), ..Self::default() }
    }
}

impl Logic for ReadlessLife {
    /// A readless answer is of this life, and for the address as it is.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; asked, settled);
        clocked!(self, clock, reset; regs, inline);
        clocked!(self, clock; readless);
        let function = self.function_reset.val();
        self.readless.reset.next = self.reset.val() || function;
        self.regs.bus.valid.next = self.valid.val();
        self.regs.bus.write.next = true;
        self.regs.bus.addr.next = self.addr.val();
        self.regs.bus.wdata.next = self.wdata.val();
        self.regs.bus.be.next = self.be.val();
        self.regs.regs_clear.next = function;
        self.regs.function_reset.next = function;
        self.regs.reset_in_progress.next = self.in_reset.val();
        self.regs.shadow_index.next = lit::<4>(0);
        self.regs.peek_addr.next = self.readless.peek_addr.val();
        self.readless.peek_data.next = self.regs.peek_data.val();
        self.readless.req_valid.next = self.regs.readless_valid.val();
        self.readless.req.next = self.regs.readless_req.val();
        let resp = self.regs.mmio_resp.val();
        let written = self.regs.mmio_resp_written.val();
        self.readless.mmio_resp.next = resp;
        self.readless.mmio_resp_written.next = written;
        self.readless.mmio_resp_half.next = self.regs.mmio_resp_half.val();
        self.readless.sent.next = self.inline.sent.val().readless;
        for c in 0..4 {
            if c != inline::READLESS {
                self.inline.req[c].valid.next = self.ask.val().get_bit(c);
                self.inline.req[c].addr.next = lit::<64>(0);
                self.inline.req[c].len.next = lit::<7>(4);
                self.inline.req[c].data.next = lit::<128>(0);
                self.inline.req[c].last.next = self.last.val();
            }
        }
        WriteReqSrc::<128>::join(&mut self.readless.write, &mut self.inline.req[inline::READLESS]);
        self.inline.requester.next = lit::<16>(0);
        self.inline.core_reset.next = self.core_reset.val();
        self.inline.recall.next =
            Recallable { readless: self.readless.recall.val() || function, messages: false };
        self.inline.tx.ready.next = self.tx_ready.val();

        self.asked.d.next = (self.asked.q.val() || self.regs.readless_valid.val()) && !function;
        self.settled.d.next = !written;
        let answer = self.inline.tx.valid.val() && self.inline.privileged.val();
        let hdr = tlp::Request::from_bits(self.inline.tx.hdr.val());
        let high = if hdr.dw0.format.wide { hdr.dw2 } else { lit::<32>(0) };
        let to = Halves { low: tlp::low_address(hdr), high }.to_bits::<64>();
        let right = to == (resp & !lit::<64>(7)) && resp.any() && !self.regs.mmio_resp_half.val();
        self.given.next = true;
        self.ok.next =
            !answer || (self.asked.q.val() && (right || written || !self.settled.q.val()));
    }
}
