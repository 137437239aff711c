//! Of [InlineWrite]: it takes from one client at a time, and that client's write to its end; it
//! loses nothing, and no client waits for ever.

use super::inline::{InlineWrite, Recallable};
use nitor_rtl::prelude::*;

/// One client at a time, none between the beats of another, and what was taken is on `tx` in the
/// next cycle.
#[derive(LogicBlock, Default)]
pub struct InlineGrant {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub ask: Signal<In, Bits<4>>,
    pub len: Signal<In, Bits<7>>,
    pub addr: Signal<In, Bits<64>>,
    pub last: Signal<In, Bit>,
    pub tx_ready: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    inline: InlineWrite<512>,
    asked: Reg<Bits<4>>,
    taken: Reg<Bit>,
    /// The client whose write is under way.
    owner: Reg<Bits<4>>,
}

impl Logic for InlineGrant {
    /// One client at a time, none between the beats of another, and what was taken is on `tx` in
    /// the next cycle.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; asked, taken, owner);
        clocked!(self, clock, reset; inline);
        let mut ready = lit::<4>(0);
        for c in 0..4 {
            self.inline.req[c].valid.next = self.ask.val().get_bit(c);
            self.inline.req[c].addr.next = self.addr.val();
            self.inline.req[c].len.next = self.len.val();
            self.inline.req[c].data.next = lit::<512>(0);
            self.inline.req[c].last.next = self.last.val();
            ready = ready.replace_bit(c, self.inline.req[c].ready.val());
        }
        self.inline.requester.next = lit::<16>(0);
        self.inline.core_reset.next = false;
        self.inline.recall.next = Recallable { readless: false, messages: false };
        self.inline.tx.ready.next = self.tx_ready.val();
        let ask = self.ask.val();
        // A client that asks goes on until it is answered.
        self.asked.d.next = ask & !ready;
        let stays = (self.asked.q.val() & !ask) == 0;
        let takes = ready & ask;
        self.taken.d.next = takes.any();
        if takes.any() {
            self.owner.d.next = if self.last.val() { lit::<4>(0) } else { takes };
        }
        let owner = self.owner.q.val();
        self.given.next = stays;
        self.ok.next = (ready & (ready - 1)) == 0
            && (!owner.any() || (ready & !owner) == 0)
            && (!self.taken.q.val() || self.inline.tx.valid.val());
    }
}

/// While the link takes a beat a cycle nobody waits for more than 12 cycles.
#[derive(LogicBlock, Default)]
pub struct InlineFair {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub ask: Signal<In, Bits<4>>,
    pub len: Signal<In, Bits<7>>,
    pub addr: Signal<In, Bits<64>>,
    pub tx_ready: Signal<In, Bit>,
    pub any_client: Signal<In, Bits<2>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    inline: InlineWrite<512>,
    asked: Reg<Bits<4>>,
    waited: Reg<Bits<5>>,
}

impl Logic for InlineFair {
    /// While the link takes a beat a cycle nobody waits for more than 12 cycles.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; asked, waited);
        clocked!(self, clock, reset; inline);
        let mut ready = lit::<4>(0);
        for c in 0..4 {
            self.inline.req[c].valid.next = self.ask.val().get_bit(c);
            self.inline.req[c].addr.next = self.addr.val();
            self.inline.req[c].len.next = self.len.val();
            self.inline.req[c].data.next = lit::<512>(0);
            self.inline.req[c].last.next = true;
            ready = ready.replace_bit(c, self.inline.req[c].ready.val());
        }
        self.inline.requester.next = lit::<16>(0);
        self.inline.core_reset.next = false;
        self.inline.recall.next = Recallable { readless: false, messages: false };
        self.inline.tx.ready.next = true;
        let ask = self.ask.val();
        // A client that asks goes on until it is answered.
        self.asked.d.next = ask & !ready;
        let stays = (self.asked.q.val() & !ask) == 0;
        let mine = ask.get_bit(self.any_client.val().index());
        let served = ready.get_bit(self.any_client.val().index());
        self.waited.d.next = if mine && !served { self.waited.q.val() + 1 } else { lit::<5>(0) };
        self.given.next = stays;
        self.ok.next = self.waited.q.val() <= 12;
    }
}
