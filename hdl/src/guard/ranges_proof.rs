//! Proof of [Ranges]: the index of a key is the number of bounds that it has reached, whatever is
//! written to the other tree meanwhile.

use super::ranges::Ranges;
use super::words::{Bound, NodeAt};
use nitor_rtl::prelude::*;

/// A tree of three bounds, in either bank, is written in three cycles. From then on keys are
/// searched in it, and any writes go to the other bank.
#[derive(LogicBlock, Default)]
pub struct RangesCount {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub key: Signal<In, Bits<3>>,
    pub load: Signal<In, Bit>,
    pub load_at: Signal<In, NodeAt>,
    pub load_bound: Signal<In, Bound<3>>,
    pub any_bank: Signal<In, Bit>,
    pub any_low: Signal<In, Bound<3>>,
    pub any_middle: Signal<In, Bound<3>>,
    pub any_high: Signal<In, Bound<3>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    ranges: Ranges<3, 2>,
    /// Nodes written, then searches that have ended.
    cycle: Reg<Bits<4>>,
    keys: [Reg<Bits<3>>; 5],
}

/// Whether a key has reached a bound.
#[kernel]
fn reached(key: Bits<3>, bound: Bound<3>) -> Bits<2> {
    bit_cast::<2, 1>((!bound.open && key >= bound.at).into())
}

/// Whether bounds ascend, and the open ones are the last.
#[kernel]
fn ascend(low: Bound<3>, high: Bound<3>) -> Bit {
    high.open || (!low.open && low.at <= high.at)
}

impl Logic for RangesCount {
    /// An index is the number of bounds that a key has reached.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; cycle);
        registers!(self, clock; keys[..]);
        clocked!(self, clock; ranges);
        let cycle = self.cycle.q.val();
        self.cycle.d.next = if cycle == 15 { cycle } else { cycle + 1 };
        let low = self.any_low.val();
        let middle = self.any_middle.val();
        let high = self.any_high.val();
        let bank = self.any_bank.val();
        self.ranges.key.next = self.key.val();
        self.ranges.bank.next = bank;
        self.keys[0].d.next = self.key.val();
        for i in 1..5 {
            self.keys[i].d.next = self.keys[i - 1].q.val();
        }

        // The middle bound is the root.
        let other = self.load_at.val();
        let node = if cycle == 2 { lit::<14>(1) } else { lit::<14>(0) };
        let level = if cycle == 0 { lit::<4>(0) } else { lit::<4>(1) };
        let writes = cycle < 3;
        self.ranges.load.next = writes || self.load.val();
        self.ranges.load_at.next =
            if writes { NodeAt { bank, node, level } } else { NodeAt { bank: !bank, ..other } };
        self.ranges.load_bound.next = if cycle == 0 {
            middle
        } else if cycle == 1 {
            low
        } else if cycle == 2 {
            high
        } else {
            self.load_bound.val()
        };

        let key = self.keys[4].q.val();
        let count = reached(key, low) + reached(key, middle) + reached(key, high);
        // A node outside of the tree is another one's.
        let inside = (other.level == 0 && other.node == 0) || (other.level == 1 && other.node < 2);
        self.given.next = ascend(low, middle) && ascend(middle, high) && inside;
        // The first key whose search began when all was written: three cycles of writes, five of
        // the search.
        self.ok.next = cycle < 8 || self.ranges.index.val() == count;
    }
}
