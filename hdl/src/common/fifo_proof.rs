//! Proof of [Fifo]: it holds the words that went in and did not come out, never more than it has
//! entries for, and gives them back in order.

use super::fifo::Fifo;
use nitor_rtl::prelude::*;

/// A FIFO of four entries: `level` and both handshakes agree with the count of words held; the FIFO
/// neither overflows nor underflows.
#[derive(LogicBlock, Default)]
pub struct FifoCounts {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<2>>,
    pub out_ready: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    fifo: Fifo<Bits<2>, 2>,
    held: Reg<Bits<16>>,
}

impl Logic for FifoCounts {
    /// A FIFO of four entries: `level` and both handshakes agree with the count of words held; the
    /// FIFO neither overflows nor underflows.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held);
        clocked!(self, clock, reset; fifo);
        self.fifo.in_valid.next = self.in_valid.val();
        self.fifo.in_data.next = self.in_data.val();
        self.fifo.out_ready.next = self.out_ready.val();
        let held = self.held.q.val();
        let push = self.in_valid.val() && self.fifo.in_ready.val();
        let pop = self.fifo.out_valid.val() && self.out_ready.val();
        let mut next = held;
        if push {
            next = next + 1;
        }
        if pop {
            next = next - 1;
        }
        self.held.d.next = next;
        self.given.next = true;
        self.ok.next = held <= lit::<16>(4)
            && self.fifo.level.val() == bit_cast::<8, 16>(held)
            && (!self.fifo.in_ready.val() || held < lit::<16>(4))
            && self.fifo.out_valid.val() == (held != 0);
    }
}

/// The same claims for a FIFO of 64 entries.
#[derive(LogicBlock, Default)]
pub struct FifoDeepCounts {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<1>>,
    pub out_ready: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    fifo: Fifo<Bits<1>, 6>,
    held: Reg<Bits<16>>,
}

impl Logic for FifoDeepCounts {
    /// The same claims for a FIFO of 64 entries.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held);
        clocked!(self, clock, reset; fifo);
        self.fifo.in_valid.next = self.in_valid.val();
        self.fifo.in_data.next = self.in_data.val();
        self.fifo.out_ready.next = self.out_ready.val();
        let held = self.held.q.val();
        let push = self.in_valid.val() && self.fifo.in_ready.val();
        let pop = self.fifo.out_valid.val() && self.out_ready.val();
        let mut next = held;
        if push {
            next = next + 1;
        }
        if pop {
            next = next - 1;
        }
        self.held.d.next = next;
        self.given.next = true;
        self.ok.next = held <= lit::<16>(64)
            && self.fifo.level.val() == bit_cast::<8, 16>(held)
            && (!self.fifo.in_ready.val() || held < lit::<16>(64))
            && self.fifo.out_valid.val() == (held != 0);
    }
}

/// A wrong claim, to be refuted: a FIFO of four entries never holds more than three words.
#[derive(LogicBlock, Default)]
pub struct FifoWrong {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<2>>,
    pub out_ready: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    fifo: Fifo<Bits<2>, 2>,
    held: Reg<Bits<16>>,
}

impl Logic for FifoWrong {
    /// A wrong claim, to be refuted: a FIFO of four entries never holds more than three words.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held);
        clocked!(self, clock, reset; fifo);
        self.fifo.in_valid.next = self.in_valid.val();
        self.fifo.in_data.next = self.in_data.val();
        self.fifo.out_ready.next = self.out_ready.val();
        let held = self.held.q.val();
        let push = self.in_valid.val() && self.fifo.in_ready.val();
        let pop = self.fifo.out_valid.val() && self.out_ready.val();
        let mut next = held;
        if push {
            next = next + 1;
        }
        if pop {
            next = next - 1;
        }
        self.held.d.next = next;
        self.given.next = true;
        self.ok.next = held <= lit::<16>(3)
            && self.fifo.level.val() == bit_cast::<8, 16>(held)
            && (!self.fifo.in_ready.val() || held < lit::<16>(3))
            && self.fifo.out_valid.val() == (held != 0);
    }
}

/// Any word that goes in comes out unchanged, after those before it.
#[derive(LogicBlock, Default)]
pub struct FifoOrder {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<2>>,
    pub out_ready: Signal<In, Bit>,
    /// The proof follows the word that goes in now.
    pub mark: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    fifo: Fifo<Bits<2>, 2>,
    held: Reg<Bits<4>>,
    marked: Reg<Bit>,
    gone: Reg<Bit>,
    ahead: Reg<Bits<4>>,
    word: Reg<Bits<2>>,
}

impl Logic for FifoOrder {
    /// Any word that goes in comes out unchanged, after those before it.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held, marked, gone, ahead, word);
        clocked!(self, clock, reset; fifo);
        self.fifo.in_valid.next = self.in_valid.val();
        self.fifo.in_data.next = self.in_data.val();
        self.fifo.out_ready.next = self.out_ready.val();
        let push = self.in_valid.val() && self.fifo.in_ready.val();
        let pop = self.fifo.out_valid.val() && self.out_ready.val();
        let mut held = self.held.q.val();
        if pop {
            held = held - 1;
        }
        let before = held;
        if push {
            held = held + 1;
        }
        self.held.d.next = held;
        let follows = self.marked.q.val() && !self.gone.q.val();
        let front = follows && self.ahead.q.val() == 0;
        if push && self.mark.val() && !self.marked.q.val() {
            self.marked.d.next = true;
            self.word.d.next = self.in_data.val();
            self.ahead.d.next = before;
        } else if follows && pop {
            self.gone.d.next = front;
            self.ahead.d.next = self.ahead.q.val() - 1;
        }
        self.given.next = true;
        // While the followed word is inside, `out_valid` is high; at the front, it is `out_data`.
        self.ok.next = (!follows || self.fifo.out_valid.val())
            && (!front || self.fifo.out_data.val() == self.word.q.val());
    }
}
