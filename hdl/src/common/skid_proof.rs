//! Proof of [Skid]: the buffer gives words back in order and unchanged, and never holds more than
//! two.

use super::skid::Skid;
use nitor_rtl::prelude::*;

/// Any word that goes in comes out after those before it; the buffer holds at most two.
#[derive(LogicBlock, Default)]
pub struct SkidOrder {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<2>>,
    pub out_ready: Signal<In, Bit>,
    /// The proof follows the word that goes in now.
    pub mark: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    skid: Skid<Bits<2>>,
    held: Reg<Bits<2>>,
    marked: Reg<Bit>,
    gone: Reg<Bit>,
    ahead: Reg<Bits<2>>,
    word: Reg<Bits<2>>,
}

impl Logic for SkidOrder {
    /// Any word that goes in comes out after those before it; the buffer holds at most two.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held, marked, gone, ahead, word);
        clocked!(self, clock, reset; skid);
        self.skid.in_valid.next = self.in_valid.val();
        self.skid.in_data.next = self.in_data.val();
        self.skid.out_ready.next = self.out_ready.val();
        let push = self.in_valid.val() && self.skid.in_ready.val();
        let pop = self.skid.out_valid.val() && self.out_ready.val();
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
        self.ok.next = self.held.q.val() <= 2
            && self.skid.out_valid.val() == (self.held.q.val() != 0)
            && (!self.skid.in_ready.val() || self.held.q.val() != 2)
            && (!front || self.skid.out_data.val() == self.word.q.val());
    }
}

/// The buffer is ready whenever it holds fewer than two words, and valid whenever it holds any.
#[derive(LogicBlock, Default)]
pub struct SkidCounts {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<1>>,
    pub out_ready: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    skid: Skid<Bits<1>>,
    held: Reg<Bits<2>>,
    /// The first cycle after the reset, in which the buffer is not ready, is over.
    begun: Reg<Bit>,
}

impl Logic for SkidCounts {
    /// The buffer is ready whenever it holds fewer than two words, and valid whenever it holds any.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held, begun);
        clocked!(self, clock, reset; skid);
        self.skid.in_valid.next = self.in_valid.val();
        self.skid.in_data.next = self.in_data.val();
        self.skid.out_ready.next = self.out_ready.val();
        let push = self.in_valid.val() && self.skid.in_ready.val();
        let pop = self.skid.out_valid.val() && self.out_ready.val();
        let mut held = self.held.q.val();
        if pop {
            held = held - 1;
        }
        if push {
            held = held + 1;
        }
        self.held.d.next = held;
        self.begun.d.next = true;
        self.given.next = true;
        self.ok.next = self.held.q.val() <= 2
            && self.skid.out_valid.val() == (self.held.q.val() != 0)
            && (self.skid.in_ready.val() == (self.held.q.val() != 2) || !self.begun.q.val());
    }
}
