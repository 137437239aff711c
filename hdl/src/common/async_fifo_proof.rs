//! Proof of [AsyncFifo]: whatever its two clocks do, each word that goes in comes out once, in
//! order and unchanged, and the FIFO never holds more words than it has entries.

use super::async_fifo::AsyncFifo;
use nitor_rtl::prelude::*;

/// A FIFO of four entries of one bit, from the state that a reset leaves.
#[derive(LogicBlock, Default)]
pub struct CrossingOrder {
    pub in_clock: Signal<In, Clock>,
    pub out_clock: Signal<In, Clock>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<1>>,
    pub out_ready: Signal<In, Bit>,
    /// The number of the word that the proof follows.
    pub any_number: Signal<In, Bits<4>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    fifo: AsyncFifo<Bits<1>, 2, 3>,
    given_in: Reg<Bits<4>>,
    taken: Reg<Bits<4>>,
    word: Reg<Bits<1>>,
    // Edges of each clock so far, up to 3. Until then its side is in reset: a proof starts with all
    // registers 0, which is not the state that a reset leaves.
    in_begun: Reg<Bits<2>>,
    out_begun: Reg<Bits<2>>,
}

impl Logic for CrossingOrder {
    /// FIFO between two clocks: words keep their order, none is lost, none appears.
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
