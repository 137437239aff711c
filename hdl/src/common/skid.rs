//! Skid buffer: a first-word-fall-through queue of two words in registers. For more words take
//! [super::fifo::Fifo].
//!
//! `in_*` writes and `out_*` reads words of type T. All outputs are registers, `out_data` too,
//! which a FIFO's is not: take this block between two blocks with deep logic.
//!
//! - **Latency**: a word is at the output one cycle after it was written.
//! - **Throughput**: a word a cycle each way, at once.
//! - **Back-pressure**: `in_ready` is low while two words are held.
//!
//! With `_relaxed` the buffer holds one word, in half the registers and without a multiplexer, and
//! passes a word every two cycles.

use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Skid<T: Synth> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    pub in_data: Signal<In, T>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_data: Signal<Out, T>,
    ready: Reg<Bit>,
    valid: Reg<Bit>,
    word: Reg<T>,
    spare_valid: Reg<Bit>,
    spare: Reg<T>,
    pub _relaxed: bool,
}

impl<T: Synth> Skid<T> {
    pub fn new(relaxed: bool) -> Self {
        Self { _relaxed: relaxed, ..Self::default() }
    }
}

impl<T: Synth> Logic for Skid<T> {
    /// Queue of two words; all outputs are registers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; ready, valid, spare_valid);
        registers!(self, clock; word, spare);
        if self._relaxed {
            // `ready` is low out of reset.
            let ready = self.ready.q.val() && !self.valid.q.val();
            self.ready.d.next = true;
            self.valid.d.next = if self.valid.q.val() {
                !self.out_ready.val()
            } else {
                self.in_valid.val() && ready
            };
            if ready {
                self.word.d.next = self.in_data.val();
            }
            self.in_ready.next = ready;
        } else {
            let push = self.in_valid.val() && self.ready.q.val();
            let free = !self.valid.q.val() || self.out_ready.val();
            let kept = self.spare_valid.q.val();
            if free {
                self.valid.d.next = kept || push;
                self.word.d.next = if kept { self.spare.q.val() } else { self.in_data.val() };
            }
            if self.ready.q.val() {
                self.spare.d.next = self.in_data.val();
            }
            self.spare_valid.d.next = !free && (push || kept);
            // `ready` is low out of reset and rises in the first cycle after it.
            self.ready.d.next = free || !(push || kept);
            self.in_ready.next = self.ready.q.val();
        }
        self.out_valid.next = self.valid.q.val();
        self.out_data.next = self.word.q.val();
    }
}
