//! A queue whose depth is a configuration's: 2^A words, or 2^F on a small card.
//!
//! Of the two FIFOs that it is made of the other one goes away in synthesis. See [super::fifo] for
//! the rest.

use super::fifo::Fifo;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Queue<T: Synth, const A: usize, const F: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    pub in_data: Signal<In, T>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_data: Signal<Out, T>,
    pub level: Signal<Out, Bits<8>>,
    deep: Fifo<T, A>,
    flat: Fifo<T, F>,
    pub _small: bool,
}

impl<T: Synth, const A: usize, const F: usize> Logic for Queue<T, A, F> {
    /// First-word-fall-through FIFO of one of two depths.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; deep, flat);
        let small = lit::<1>(self._small as usize).any();
        self.deep.in_valid.next = self.in_valid.val() && !small;
        self.deep.in_data.next = self.in_data.val();
        self.deep.out_ready.next = self.out_ready.val() && !small;
        self.flat.in_valid.next = self.in_valid.val() && small;
        self.flat.in_data.next = self.in_data.val();
        self.flat.out_ready.next = self.out_ready.val() && small;
        if small {
            self.in_ready.next = self.flat.in_ready.val();
            self.out_valid.next = self.flat.out_valid.val();
            self.out_data.next = self.flat.out_data.val();
            self.level.next = self.flat.level.val();
        } else {
            self.in_ready.next = self.deep.in_ready.val();
            self.out_valid.next = self.deep.out_valid.val();
            self.out_data.next = self.deep.out_data.val();
            self.level.next = self.deep.level.val();
        }
    }
}
