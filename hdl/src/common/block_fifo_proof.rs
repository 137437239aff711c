//! Proof of [BlockFifo]: words come out in order, unchanged and in time, and the FIFO never holds
//! more words than it has entries.

use super::block_fifo::BlockFifo;
use nitor_rtl::prelude::*;

/// A FIFO of four entries: the handshakes agree with the count of words held; any word comes out
/// unchanged after those before it.
#[derive(LogicBlock, Default)]
pub struct BlockFifoOrder {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_data: Signal<In, Bits<2>>,
    pub out_ready: Signal<In, Bit>,
    /// The proof follows the word that goes in now.
    pub mark: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    fifo: BlockFifo<Bits<2>, 2>,
    held: Reg<Bits<4>>,
    /// Words held that were written two or more cycles ago.
    settled: Reg<Bits<4>>,
    marked: Reg<Bit>,
    gone: Reg<Bit>,
    ahead: Reg<Bits<4>>,
    word: Reg<Bits<2>>,
}

impl Logic for BlockFifoOrder {
    /// A FIFO of four entries: the handshakes agree with the count of words held; any word comes
    /// out unchanged after those before it.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held, settled, marked, gone, ahead, word);
        clocked!(self, clock, reset; fifo);
        self.fifo.in_valid.next = self.in_valid.val();
        self.fifo.in_data.next = self.in_data.val();
        self.fifo.out_ready.next = self.out_ready.val();
        let push = self.in_valid.val() && self.fifo.in_ready.val();
        let pop = self.fifo.out_valid.val() && self.out_ready.val();
        let mut held = self.held.q.val();
        if pop {
            held = held - 1;
        }
        let before = held;
        if push {
            held = held + 1;
        }
        self.held.d.next = held;
        self.settled.d.next = before;
        let follows = self.marked.q.val() && !self.gone.q.val();
        let front = follows && self.ahead.q.val() == 0;
        if push && self.mark.val() && !self.marked.q.val() {
            self.marked.d.next = true;
            self.word.d.next = self.in_data.val();
            self.ahead.d.next = before;
        } else if follows && pop {
            self.gone.d.next = front;
            self.ahead.d.next = self.ahead.q.val() - 1;
        }
        self.given.next = true;
        let valid = self.fifo.out_valid.val();
        let exact = !self.fifo.in_ready.val() || self.held.q.val() < 4;
        self.ok.next = self.held.q.val() <= 4
            && exact
            && valid == (self.settled.q.val() != 0)
            && (!front || !valid || self.fifo.out_data.val() == self.word.q.val());
    }
}
