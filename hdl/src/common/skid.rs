//! First-word-fall-through queue of two words in registers: what [super::fifo::Fifo] is for more.
//!
//! `out_valid` and `in_ready` are registers; a word shows one cycle after it came, one word a cycle
//! both ways. When full it refuses; nothing is overwritten. Its output is a register too, which a
//! FIFO's is not: it is the one to take between two deep blocks.
//!
//! `_relaxed`: one word alone, in half the registers and without a multiplexer; a word every two
//! cycles.

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
            // Low out of reset, it rises in the first cycle after it.
            self.ready.d.next = free || !(push || kept);
            self.in_ready.next = self.ready.q.val();
        }
        self.out_valid.next = self.valid.q.val();
        self.out_data.next = self.word.q.val();
    }
}
