//! Delays a reset by one cycle for one block: a single net that resets tens of thousands of
//! flip-flops within a cycle would be slower than all logic.
//!
//! Synthesis keeps each stage as a register of its own, so that it can be placed beside its block.
//! All blocks that work together have one stage each, so that they leave reset in the same cycle.
//! With `_direct` there is no register: on a small and slow card a single net is fast enough, and
//! packs better.

use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ResetStage {
    pub clock: Signal<In, Clock>,
    pub d: Signal<In, Bit>,
    pub q: Signal<Out, Bit>,
    held: Reg<Bit>,
    _direct: bool,
}

impl ResetStage {
    pub fn new(direct: bool) -> Self {
        Self { _direct: direct, ..Self::default() }
    }
}

impl Logic for ResetStage {
    /// Delays a reset by a cycle.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; held);
        self.held.d.next = self.d.val();
        self.q.next = if self._direct { self.d.val() } else { self.held.q.val() };
    }
}
