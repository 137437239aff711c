//! Single bits between clocks.
//!
//! | block | brings over | delay |
//! |---|---|---|
//! | [Level] | a bit that changes slowly | `q` follows `d` after two edges of `clock` |
//! | [Pulse] | each pulse as one pulse | `q` follows after two edges of `out_clock` |
//! | [ResetSync] | a reset | 3 cycles until `reset` rises, 2^8 + 3 until it falls |
//!
//! [Pulse] needs pulses that are 4 or more cycles of the slower clock apart. None of the blocks has
//! back-pressure.

use nitor_rtl::prelude::*;

/// Brings a bit to `clock` through two flip-flops.
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

/// Each pulse at `d` changes a level; each change of the level becomes a pulse at `q`.
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
    /// Brings pulses to another clock.
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

/// Makes a reset in step with `clock` from `hold`. The flip-flops power up at 0, so that `reset` is
/// high from power-up on.
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
    /// Makes a reset that is in step with its clock.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock; held[..], count, free);
        self.held[0].reset.next = false;
        self.held[1].reset.next = false;
        self.free.reset.next = false;
        // Inverted, so that the power-up value 0 means reset.
        self.held[0].d.next = !self.hold.val();
        self.held[1].d.next = self.held[0].q.val();
        self.count.reset.next = !self.held[1].q.val();
        let done = self.count.q.val().get_bit(8);
        self.count.d.next = if done { self.count.q.val() } else { self.count.q.val() + 1 };
        self.free.d.next = done && self.held[1].q.val();
        self.reset.next = !self.free.q.val();
    }
}
