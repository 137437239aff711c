//! A reset a cycle later, for one block: a net that resets tens of thousands of flip-flops in one
//! cycle is slower than all logic.
//!
//! Synthesis keeps each by itself, so that it can be placed beside its block. Blocks that work
//! together are all behind one. `_direct`: no register; on a small and slow card one net does, and
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
    /// A reset, a cycle later.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; held);
        self.held.d.next = self.d.val();
        self.q.next = if self._direct { self.d.val() } else { self.held.q.val() };
    }
}
