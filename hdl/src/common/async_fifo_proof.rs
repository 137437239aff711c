//! Of [AsyncFifo]: whatever its two clocks do, what goes in comes out once, in order and unchanged,
//! and never more than fits is held.

use super::async_fifo::AsyncFifo;
use nitor_rtl::prelude::*;

/// Four places, words of one bit; from the state that a reset leaves.
#[derive(LogicBlock, Default)]
pub struct CrossingOrder {
    pub in_clock: Signal<In, Clock>,
    pub out_clock: Signal<In, Clock>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<1>>,
    pub out_ready: Signal<In, Bit>,
    /// The word to follow, by its number.
    pub any_number: Signal<In, Bits<4>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    fifo: AsyncFifo<Bits<1>, 2, 3>,
    given_in: Reg<Bits<4>>,
    taken: Reg<Bits<4>>,
    word: Reg<Bits<1>>,
    // Its clock has run: the state before is all zero, which a reset does not leave.
    in_begun: Reg<Bits<2>>,
    out_begun: Reg<Bits<2>>,
}

impl Logic for CrossingOrder {
    /// Between two clocks: order, and no word lost or made up.
    #[kernel]
    fn update(&mut self) {
        registers!(self, in_clock; given_in, word, in_begun);
        registers!(self, out_clock; taken, out_begun);
        if self.in_begun.q.val() != 3 {
            self.in_begun.d.next = self.in_begun.q.val() + 1;
        }
        if self.out_begun.q.val() != 3 {
            self.out_begun.d.next = self.out_begun.q.val() + 1;
        }
        self.fifo.in_clock.next = self.in_clock.val();
        self.fifo.out_clock.next = self.out_clock.val();
        self.fifo.in_reset.next = self.in_begun.q.val() != 3;
        self.fifo.out_reset.next = self.out_begun.q.val() != 3;
        self.fifo.in_valid.next = self.in_valid.val();
        self.fifo.in_data.next = self.in_data.val();
        self.fifo.out_ready.next = self.out_ready.val();
        let number = self.given_in.q.val();
        if self.in_valid.val() && self.fifo.in_ready.val() {
            self.given_in.d.next = number + 1;
            if number == self.any_number.val() {
                self.word.d.next = self.in_data.val();
            }
        }
        if self.fifo.out_valid.val() && self.out_ready.val() {
            self.taken.d.next = self.taken.q.val() + 1;
        }
        let held = number - self.taken.q.val();
        let follows = self.taken.q.val() == self.any_number.val() && held != 0;
        self.given.next = true;
        self.ok.next = held <= 4
            && (!self.fifo.out_valid.val() || held != 0)
            && (!self.fifo.in_ready.val() || held != 4)
            && (!follows
                || !self.fifo.out_valid.val()
                || self.fifo.out_data.val() == self.word.q.val());
    }
}
