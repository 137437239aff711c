//! A board's counters: 32 bits each, read one at a time.
//!
//! | port | what |
//! |---|---|
//! | `events` | a pulse for each event, a bit for each counter |
//! | `index`, `value` | the counter asked for, and its value |
//!
//! Each counter has a sum of 3 bits and a total in a block RAM. A walk of 64 cycles adds each sum
//! to its total. `value` is that of counter `index` at most 3 cycles after `index` changes, and up
//! to a walk behind its events. An event that comes more than 7 times in a walk is undercounted;
//! frames do not come that often. After `reset` a walk clears all totals.

use super::event;
use crate::common::ram::BlockRam;
use nitor_rtl::prelude::*;

const EVENTS: usize = event::COUNT;

#[derive(LogicBlock, Default)]
pub struct Counters {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub events: Signal<In, Bits<EVENTS>>,
    pub index: Signal<In, Bits<5>>,
    pub value: Signal<Out, Bits<32>>,
    sums: [Reg<Bits<3>>; EVENTS],
    /// {totals are clear, counter, second half of its turn}
    walk: Reg<Bits<7>>,
    totals: BlockRam<Bits<32>, 5>,
    sum: Reg<Bits<3>>,
    total: Reg<Bits<32>>,
    total_at: Reg<Bits<5>>,
    out: Reg<Bits<32>>,
}

impl Logic for Counters {
    /// Counters in RAM: a walk adds to one at a time the events since its last turn.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; sums[..], walk, sum);
        registers!(self, clock; total, total_at, out);
        clocked!(self, clock; totals);
        let walk = self.walk.q.val();
        let clearing = !walk.get_bit(6);
        let at = walk.get_bits::<5>(1);
        let second = walk.get_bit(0);
        self.walk.d.next = if walk.all() { lit::<7>(64) } else { walk + 1 };
        let mut sum = lit::<3>(0);
        for i in 0..EVENTS {
            let event = bit_cast::<3, 1>(self.events.val().get_bits::<1>(i));
            let now = self.sums[i].q.val();
            if at == lit::<5>(i) && !second {
                sum = sum | now;
                self.sums[i].d.next = event;
            } else if !now.all() {
                self.sums[i].d.next = now + event;
            }
        }
        // The first half of a turn reads the total of the walk, for the second half. The second
        // half reads counter `index`; nothing is written then.
        self.totals.raddr.next = if second { self.index.val() } else { at };
        let read = self.totals.rdata.val();
        if second {
            self.total_at.d.next = at;
            self.total.d.next =
                if clearing { lit::<32>(0) } else { read + bit_cast::<32, 3>(self.sum.q.val()) };
        } else {
            self.sum.d.next = sum;
            self.out.d.next = read;
        }
        self.totals.we.next = !second;
        self.totals.waddr.next = self.total_at.q.val();
        self.totals.wdata.next = self.total.q.val();
        self.value.next = self.out.q.val();
    }
}
