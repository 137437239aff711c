//! Of [Irq], with [InlineWrite] behind: no message that is not to be.

use super::moderation::{InterruptWrite, Irq};
use crate::common::iface::*;
use crate::pcie::inline::{self, InlineWrite, Recallable};
use crate::pcie::tlp;
use nitor_rtl::prelude::*;

/// What tells a message's address from others: the top bit, of its upper half.
const TOP: u64 = 1 << 31;

/// From the second cycle after messages were masked `pcie/tx` is offered none; and it is offered
/// none of a vector that was not unmasked since it ended.
#[derive(LogicBlock)]
pub struct MessageRules {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub core_reset: Signal<In, Bit>,
    pub event_valid: Signal<In, Bit>,
    pub event_vector: Signal<In, Bits<3>>,
    pub event_rx: Signal<In, Bit>,
    pub unmask_valid: Signal<In, Bit>,
    pub unmask_vector: Signal<In, Bits<3>>,
    pub unmask_value: Signal<In, Bits<32>>,
    pub end_valid: Signal<In, Bit>,
    pub end_vector: Signal<In, Bits<3>>,
    pub raise: Signal<In, Bit>,
    pub intr_masked: Signal<In, Bit>,
    pub enable: Signal<In, Bit>,
    pub function_mask: Signal<In, Bit>,
    pub lookup_masked: Signal<In, Bit>,
    pub fetched: Signal<In, Bit>,
    pub message_masked: Signal<In, Bit>,
    /// The other clients of `pcie/inline`.
    pub ask: Signal<In, Bits<4>>,
    pub last: Signal<In, Bit>,
    pub tx_ready: Signal<In, Bit>,
    pub any_vector: Signal<In, Bits<3>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    irq: Irq<128, 3>,
    inline: InlineWrite<128>,
    vector: Reg<Bits<8>>,
    masked1: Reg<Bit>,
    masked2: Reg<Bit>,
    /// Unmasked since the vector's last end; while it ends.
    alive: Reg<Bit>,
    again: Reg<Bit>,
    ending: Reg<Bit>,
    ending_vector: Reg<Bits<3>>,
}

impl MessageRules {
    pub fn new(small: bool) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            core_reset: Default::default(),
            event_valid: Default::default(),
            event_vector: Default::default(),
            event_rx: Default::default(),
            unmask_valid: Default::default(),
            unmask_vector: Default::default(),
            unmask_value: Default::default(),
            end_valid: Default::default(),
            end_vector: Default::default(),
            raise: Default::default(),
            intr_masked: Default::default(),
            enable: Default::default(),
            function_mask: Default::default(),
            lookup_masked: Default::default(),
            fetched: Default::default(),
            message_masked: Default::default(),
            ask: Default::default(),
            last: Default::default(),
            tx_ready: Default::default(),
            any_vector: Default::default(),
            given: Default::default(),
            ok: Default::default(),
            irq: Irq::new(2),
            inline: InlineWrite::new(small),
            vector: Default::default(),
            masked1: Default::default(),
            masked2: Default::default(),
            alive: Default::default(),
            again: Default::default(),
            ending: Default::default(),
            ending_vector: Default::default(),
        }
    }
}

impl Logic for MessageRules {
    /// No message that is masked, and none of a vector that nobody has unmasked.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; vector, masked1, masked2, alive, again, ending);
        registers!(self, clock, reset; ending_vector);
        clocked!(self, clock, reset; inline);
        clocked!(self, clock; irq);
        self.irq.reset.next = self.reset.val() || self.core_reset.val();
        self.irq.event.valid.next = self.event_valid.val();
        self.irq.event.vector.next = bit_cast::<8, 3>(self.event_vector.val());
        self.irq.event.rx.next = self.event_rx.val();
        self.irq.unmask.valid.next = self.unmask_valid.val();
        self.irq.unmask.vector.next = bit_cast::<8, 3>(self.unmask_vector.val());
        self.irq.unmask.value.next = self.unmask_value.val();
        self.irq.end.valid.next = self.end_valid.val();
        self.irq.end.vector.next = bit_cast::<8, 3>(self.end_vector.val());
        self.irq.raise.next = self.raise.val();
        self.irq.intr_masked.next = self.intr_masked.val();
        self.irq.enable.next = self.enable.val();
        self.irq.function_mask.next = self.function_mask.val();
        self.irq.lookup_masked.next = self.lookup_masked.val();
        self.irq.fetched.next = self.fetched.val();
        self.irq.message_masked.next = self.message_masked.val();
        self.irq.pba_word.next = lit::<3>(0);
        // A message's data say which vector it is of.
        if self.irq.fetch.val() {
            self.vector.d.next = self.irq.fetch_vector.val();
        }
        self.irq.message_addr.next = lit::<64>(TOP << 32);
        self.irq.message_data.next = bit_cast::<32, 8>(self.vector.q.val());
        self.irq.sent.next = self.inline.sent.val().messages;
        for c in 0..3 {
            self.inline.req[c].valid.next = self.ask.val().get_bit(c);
            self.inline.req[c].addr.next = lit::<64>(0);
            self.inline.req[c].len.next = lit::<7>(4);
            self.inline.req[c].data.next = lit::<128>(0);
            self.inline.req[c].last.next = self.last.val();
        }
        WriteReqSrc::<128>::join(&mut self.irq.write, &mut self.inline.req[inline::MESSAGES]);
        self.inline.requester.next = lit::<16>(0);
        self.inline.core_reset.next = self.core_reset.val();
        self.inline.recall.next = Recallable { readless: false, messages: self.irq.recall.val() };
        self.inline.tx.ready.next = self.tx_ready.val();

        let masked = self.message_masked.val() || self.function_mask.val() || !self.enable.val();
        self.masked1.d.next = masked;
        self.masked2.d.next = self.masked1.q.val() && masked;

        // An unmask that comes while its vector ends may count or not.
        let mine = self.any_vector.val();
        let unmasked = self.unmask_valid.val()
            && self.irq.unmask.ready.val()
            && self.unmask_vector.val() == mine
            && InterruptWrite::from_bits(self.unmask_value.val()).unmask;
        let ends = self.end_valid.val() && self.end_vector.val() == mine;
        let ended = ends && self.irq.end.ready.val();
        self.again.d.next = ends && !ended && (self.again.q.val() || unmasked);
        if ended {
            self.alive.d.next = self.again.q.val();
        }
        if unmasked {
            self.alive.d.next = true;
        }
        if self.core_reset.val() {
            self.alive.d.next = false;
            self.again.d.next = false;
        }
        // The firmware waits until a vector has ended.
        self.ending.d.next =
            self.end_valid.val() && !self.irq.end.ready.val() && !self.core_reset.val();
        self.ending_vector.d.next = self.end_vector.val();
        let waits = !self.ending.q.val()
            || (self.end_valid.val() && self.end_vector.val() == self.ending_vector.q.val());
        self.given.next = waits;

        let hdr = tlp::Request::from_bits(self.inline.tx.hdr.val());
        let message = self.inline.tx.valid.val() && hdr.dw0.format.wide && hdr.dw2 >= TOP;
        let whose = bit_cast::<8, 128>(self.inline.tx.data.val());
        let dead = whose == bit_cast::<8, 3>(mine) && mine.any() && !self.alive.q.val();
        self.ok.next = !message || (!self.masked2.q.val() && !dead);
    }
}
