//! First-word-fall-through FIFO in block RAM: [super::fifo::Fifo] for hundreds of words.
//!
//! `in_*` writes and `out_*` reads words of type T; there are 2^A entries. `out_valid` and
//! `in_ready` are registers. `out_data` is the RAM's output and is late in the cycle: users must
//! register it and decide nothing on it.
//!
//! - **Latency**: a word is at the output 2 cycles after it was written.
//! - **Throughput**: a word a cycle each way, at once.
//! - **Back-pressure**: `in_ready` is low while 2^A words are held.

use super::ram::BlockRam;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct BlockFifo<T: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    pub in_data: Signal<In, T>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_data: Signal<Out, T>,
    ram: BlockRam<T, A>,
    head: Reg<Bits<A>>,
    tail: Reg<Bits<A>>,
    not_full: Reg<Bit>,
    not_empty: Reg<Bit>,
    /// The RAM's output is the word at `head`.
    valid: Reg<Bit>,
}

impl<T: Synth, const A: usize> Logic for BlockFifo<T, A> {
    /// First-word-fall-through FIFO in block RAM; `in_ready` and `out_valid` are registers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; head, tail, not_full, not_empty, valid);
        clocked!(self, clock; ram);
        // `not_full` is low out of reset and rises in the first cycle after it.
        let push = self.in_valid.val() && self.not_full.q.val();
        let pop = self.valid.q.val() && self.out_ready.val();
        let after = self.head.q.val() + 1;
        let head = if pop { after } else { self.head.q.val() };
        self.ram.we.next = push;
        self.ram.waddr.next = self.tail.q.val();
        self.ram.wdata.next = self.in_data.val();
        self.ram.raddr.next = head;
        self.head.d.next = head;
        if push {
            self.tail.d.next = self.tail.q.val() + 1;
        }
        let entries = self.tail.q.val() - self.head.q.val();
        let full = !self.not_full.q.val() && self.not_empty.q.val();
        let fills = full || entries.all();
        // A word is left that this cycle's read of the RAM can return; the word written in this
        // cycle is not.
        let left = self.not_empty.q.val() && !(pop && entries == 1);
        self.not_full.d.next = pop || !(full || (fills && push));
        self.not_empty.d.next = push || left;
        self.valid.d.next = left;
        self.in_ready.next = self.not_full.q.val();
        self.out_valid.next = self.valid.q.val();
        self.out_data.next = self.ram.rdata.val();
    }
}
