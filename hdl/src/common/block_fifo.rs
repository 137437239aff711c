//! First-word-fall-through FIFO in block RAM: what [super::fifo::Fifo] is, for hundreds of words.
//!
//! 2^A entries of type T. `out_valid` and `in_ready` are registers: `in_ready` falls when 2^A
//! entries are held, a word written shows at the output two cycles later, one word a cycle both
//! ways. When full it refuses; nothing is overwritten. `out_data` is the RAM's output, late in the
//! cycle: take it by a register and decide nothing on it.

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
        // Of those in the RAM when it is read in this cycle; the one that is written now is none of
        // them.
        let left = self.not_empty.q.val() && !(pop && entries == 1);
        self.not_full.d.next = pop || !(full || (fills && push));
        self.not_empty.d.next = push || left;
        self.valid.d.next = left;
        self.in_ready.next = self.not_full.q.val();
        self.out_valid.next = self.valid.q.val();
        self.out_data.next = self.ram.rdata.val();
    }
}
