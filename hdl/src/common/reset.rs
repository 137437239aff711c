//! A reset a cycle later, for one block: a net that resets tens of thousands of flip-flops in one cycle is slower than all logic.
//!
//! Synthesis keeps each by itself, so that it can be placed beside its block. Blocks that work together are all behind one.

use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ResetStage {
    pub clock: Signal<In, Clock>,
    pub d: Signal<In, Bit>,
    pub q: Signal<Out, Bit>,
    held: Reg<Bit>,
}

impl Logic for ResetStage {
    /// A reset, a cycle later.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock; held);
        self.held.reset.next = false;
        self.held.d.next = self.d.val();
        self.q.next = self.held.q.val();
    }
}
