//! Single bits between clocks.
//!
//! [Level] brings a slowly changing bit over; [Pulse] brings each pulse over as one pulse, if they
//! are 4 or more cycles of the slower clock apart; [ResetSync] makes a reset of a clock of its own:
//! it begins at once and ends 2^8 cycles after `hold` is low.

use nitor_rtl::prelude::*;

/// A bit through two flip-flops.
#[derive(LogicBlock, Default)]
pub struct Level {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub d: Signal<In, Bit>,
    pub q: Signal<Out, Bit>,
    seen: [Reg<Bit>; 2],
}

impl Logic for Level {
    /// A bit from another clock, through two flip-flops.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; seen[..]);
        self.seen[0].d.next = self.d.val();
        self.seen[1].d.next = self.seen[0].q.val();
        self.q.next = self.seen[1].q.val();
    }
}

/// Pulses, each by a level that changes.
#[derive(LogicBlock, Default)]
pub struct Pulse {
    pub in_clock: Signal<In, Clock>,
    pub in_reset: Signal<In, Bit>,
    pub d: Signal<In, Bit>,
    pub out_clock: Signal<In, Clock>,
    pub out_reset: Signal<In, Bit>,
    pub q: Signal<Out, Bit>,
    level: Reg<Bit>,
    seen: [Reg<Bit>; 3],
}

impl Logic for Pulse {
    /// Pulses to another clock.
    #[kernel]
    fn update(&mut self) {
        registers!(self, in_clock, in_reset; level);
        registers!(self, out_clock, out_reset; seen[..]);
        if self.d.val() {
            self.level.d.next = !self.level.q.val();
        }
        self.seen[0].d.next = self.level.q.val();
        self.seen[1].d.next = self.seen[0].q.val();
        self.seen[2].d.next = self.seen[1].q.val();
        self.q.next = self.seen[1].q.val() != self.seen[2].q.val();
    }
}

/// A reset that ends in step with `clock`. Its flip-flops power up at 0, which is in reset.
#[derive(LogicBlock, Default)]
pub struct ResetSync {
    pub clock: Signal<In, Clock>,
    pub hold: Signal<In, Bit>,
    pub reset: Signal<Out, Bit>,
    held: [Reg<Bit>; 2],
    count: Reg<Bits<9>>,
    free: Reg<Bit>,
}

impl Logic for ResetSync {
    /// A reset for a clock of its own.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock; held[..], count, free);
        self.held[0].reset.next = false;
        self.held[1].reset.next = false;
        self.free.reset.next = false;
        // Inverted, so that what powers up at 0 holds.
        self.held[0].d.next = !self.hold.val();
        self.held[1].d.next = self.held[0].q.val();
        self.count.reset.next = !self.held[1].q.val();
        let done = self.count.q.val().get_bit(8);
        self.count.d.next = if done { self.count.q.val() } else { self.count.q.val() + 1 };
        self.free.d.next = done && self.held[1].q.val();
        self.reset.next = !self.free.q.val();
    }
}
