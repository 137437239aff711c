//! A board's counters: 32 bits each, read one at a time.
//!
//! One that comes more than 15 times in 32 cycles is undercounted, which frames can't be. `value` is the counter
//! `index` as it was 1 cycle ago, some 32 cycles behind its events. After `reset` a walk of 32 cycles clears all.

use crate::common::ram::LutRam;
use nitor_rtl::prelude::*;

const EVENTS: usize = super::core::event::COUNT;

#[derive(LogicBlock, Default)]
pub struct Counters {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub events: Signal<In, Bits<EVENTS>>,
    pub index: Signal<In, Bits<5>>,
    pub value: Signal<Out, Bits<32>>,
    sums: [Reg<Bits<4>>; EVENTS],
    walk: Reg<Bits<6>>,
    totals: LutRam<32, 5>,
    seen: LutRam<32, 5>,
    out: Reg<Bits<32>>,
}

impl Logic for Counters {
    /// Counters in RAM: one at a time takes what came in since.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; sums[..], walk, out);
        clocked!(self, clock; totals, seen);
        let walk = self.walk.q.val();
        let clearing = !walk.get_bit(5);
        let at = walk.get_bits::<5>(0);
        self.walk.d.next = if walk == 63 { lit::<6>(32) } else { walk + 1 };
        let mut sum = lit::<4>(0);
        for i in 0..EVENTS {
            let event = bit_cast::<4, 1>(self.events.val().get_bits::<1>(i));
            if at == lit::<5>(i) && !clearing {
                sum = self.sums[i].q.val();
                self.sums[i].d.next = event;
            } else if self.sums[i].q.val() != 15 {
                self.sums[i].d.next = self.sums[i].q.val() + event;
            }
        }
        self.totals.raddr.next = at;
        let total =
            if clearing { lit::<32>(0) } else { self.totals.rdata.val() + bit_cast::<32, 4>(sum) };
        self.totals.we.next = true;
        self.totals.waddr.next = at;
        self.totals.wdata.next = total;
        self.seen.we.next = true;
        self.seen.waddr.next = at;
        self.seen.wdata.next = total;
        self.seen.raddr.next = self.index.val();
        self.out.d.next = self.seen.rdata.val();
        self.value.next = self.out.q.val();
    }
}
