//! First-word-fall-through FIFO in distributed RAM.
//!
//! 2^A entries of type T, or fewer ([Fifo::of_depth]). `out_valid` and `in_ready` come from
//! registers alone: `in_ready` falls when 2^A entries are held, a word written shows at the output
//! one cycle later, one word a cycle both ways. When full it refuses; nothing is overwritten. What
//! is held follows from the two pointers, so `in_valid` and `out_ready` may come late in the cycle:
//! two tables are behind them. For two words take [super::skid::Skid], for depths beyond some 64
//! words [super::ram::BlockRam] based queues.

use super::ram::LutRam;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Fifo<T: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    pub in_data: Signal<In, T>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_data: Signal<Out, T>,
    /// Entries held, saturating at 255.
    pub level: Signal<Out, Bits<8>>,
    ram: LutRam<T, A>,
    head: Reg<Bits<A>>,
    tail: Reg<Bits<A>>,
    not_full: Reg<Bit>,
    not_empty: Reg<Bit>,
    /// Bits of the pointers, the highest, that nobody looks at.
    _zeros: usize,
}

impl<T: Synth, const A: usize> Fifo<T, A> {
    /// Of 2^`log_depth` entries, which is what a configuration may ask for.
    pub fn of_depth(log_depth: usize) -> Self {
        let ram = LutRam::of_depth(log_depth);
        Self { ram, _zeros: A - log_depth, ..Self::default() }
    }
}

impl<T: Synth, const A: usize> Logic for Fifo<T, A> {
    /// First-word-fall-through FIFO; `in_ready` and `out_valid` are registers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; head, tail, not_full, not_empty);
        clocked!(self, clock; ram);
        // `not_full` is low out of reset and rises in the first cycle after it.
        let last = (1usize << (A - self._zeros)) - 1;
        let push = self.in_valid.val() && self.not_full.q.val();
        let pop = self.not_empty.q.val() && self.out_ready.val();
        self.ram.we.next = push;
        self.ram.waddr.next = self.tail.q.val();
        self.ram.wdata.next = self.in_data.val();
        self.ram.raddr.next = self.head.q.val();
        if push {
            self.tail.d.next = self.tail.q.val() + 1;
        }
        if pop {
            self.head.d.next = self.head.q.val() + 1;
        }
        // The pointers' upper bits are read nowhere else, so that synthesis drops them.
        let difference = self.tail.q.val() - self.head.q.val();
        let entries = if self._zeros == 0 { difference } else { difference & lit::<A>(last) };
        let full = !self.not_full.q.val() && self.not_empty.q.val();
        let most = if self._zeros == 0 { entries.all() } else { entries == lit::<A>(last) };
        let fills = full || most;
        let empties = entries == 1;
        self.not_full.d.next = pop || !(full || (fills && push));
        self.not_empty.d.next = push || (self.not_empty.q.val() && !(pop && empties));
        self.in_ready.next = self.not_full.q.val();
        self.out_valid.next = self.not_empty.q.val();
        self.out_data.next = self.ram.rdata.val();
        let count =
            if full { lit::<16>(1 << (A - self._zeros)) } else { bit_cast::<16, A>(entries) };
        self.level.next = if count > 255 { lit::<8>(255) } else { bit_cast::<8, 16>(count) };
    }
}
