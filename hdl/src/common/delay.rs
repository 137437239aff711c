//! A word, some cycles later: a row of registers without reset, a word a cycle.

use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct Delay<T: Synth> {
    pub clock: Signal<In, Clock>,
    pub input: Signal<In, T>,
    pub output: Signal<Out, T>,
    stages: Vec<Reg<T>>,
    _cycles: usize,
}

impl<T: Synth> Delay<T> {
    /// By `cycles`, at least 1.
    pub fn new(cycles: usize) -> Self {
        assert!(cycles > 0);
        Self {
            clock: Default::default(),
            input: Default::default(),
            output: Default::default(),
            stages: (0..cycles).map(|_| Reg::default()).collect(),
            _cycles: cycles,
        }
    }
}

impl<T: Synth> Logic for Delay<T> {
    /// A word, some cycles later.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; stages[..]);
        self.stages[0].d.next = self.input.val();
        for i in 1..self._cycles {
            self.stages[i].d.next = self.stages[i - 1].q.val();
        }
        self.output.next = self.stages[self._cycles - 1].q.val();
    }
}
