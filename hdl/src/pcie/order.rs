//! Which non-posted request may go on: a request waits for the memory writes that came before it,
//! and for nothing else.
//!
//! Each write keeps its `stamp`: how many requests came before it. `oldest`, while a write `waits`,
//! is the stamp of the oldest write: as many requests may go before it is taken. When that many are
//! gone the oldest request came after that write. The counts are compared modulo 2^P, and fewer
//! than 2^P requests are in store. A write that passes a waiting request moves neither count.

use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct RequestOrder<const P: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A request comes; the oldest goes.
    pub came: Signal<In, Bit>,
    pub went: Signal<In, Bit>,
    /// The stamp of a write that comes now.
    pub stamp: Signal<Out, Bits<P>>,
    pub waits: Signal<In, Bit>,
    pub oldest: Signal<In, Bits<P>>,
    /// The oldest request may go.
    pub free: Signal<Out, Bit>,
    /// Requests that went.
    pub gone: Signal<Out, Bits<P>>,
    came_all: Reg<Bits<P>>,
    went_all: Reg<Bits<P>>,
}

impl<const P: usize> Logic for RequestOrder<P> {
    /// Which non-posted request may go on: counts against those of the writes.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; came_all, went_all);
        if self.came.val() {
            self.came_all.d.next = self.came_all.q.val() + 1;
        }
        if self.went.val() {
            self.went_all.d.next = self.went_all.q.val() + 1;
        }
        self.stamp.next = self.came_all.q.val();
        self.gone.next = self.went_all.q.val();
        self.free.next = !self.waits.val() || self.oldest.val() != self.went_all.q.val();
    }
}
