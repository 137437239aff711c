//! First-word-fall-through FIFO in distributed RAM.
//!
//! `in_*` writes and `out_*` reads words of type T. There are 2^A entries, or fewer
//! ([Fifo::of_depth]). `out_valid`, `in_ready` and `level` come from registers alone. The count of
//! words held follows from the two pointers, so `in_valid` and `out_ready` may come late in the
//! cycle: only two LUTs follow them. For two words take [super::skid::Skid], for more than some 64
//! [super::block_fifo::BlockFifo].
//!
//! - **Latency**: a word is at the output one cycle after it was written.
//! - **Throughput**: a word a cycle each way, at once.
//! - **Back-pressure**: `in_ready` is low while all entries hold words.

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
    /// Words held, saturating at 255.
    pub level: Signal<Out, Bits<8>>,
    ram: LutRam<T, A>,
    head: Reg<Bits<A>>,
    tail: Reg<Bits<A>>,
    not_full: Reg<Bit>,
    not_empty: Reg<Bit>,
    /// Upper bits of the pointers that are not used.
    _zeros: usize,
}

impl<T: Synth, const A: usize> Fifo<T, A> {
    /// A FIFO of 2^`log_depth` entries, at most 2^A: a configuration may need fewer than its type.
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
        // Nothing reads the pointers' unused upper bits, so synthesis drops them.
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
