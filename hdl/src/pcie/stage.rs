//! A register stage on the read engine's bus, at one end of the card: it keeps the wires to a
//! client out of the paths that begin with the client's logic.
//!
//! The block passes on what is of client `_client`; with `_pair` also of the client whose number
//! differs in bit 0. Of other clients no `valid` shows. With `_direct` there are no registers, and
//! everything passes.

use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ReadStage<const D: usize, const K: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bus: ReadBusSnk<D, K>,
    pub out: ReadBusSrc<D, K>,
    issue_valid: Reg<Bit>,
    issue: Reg<ReadIssue>,
    done_valid: Reg<Bit>,
    done: Reg<ReadDone>,
    data_valid: Reg<Bit>,
    data: Reg<ReadData<D, K>>,
    _client: u64,
    _pair: bool,
    _direct: bool,
}

impl<const D: usize, const K: usize> ReadStage<D, K> {
    pub fn new(client: u64, pair: bool, direct: bool) -> Self {
        Self { _client: client, _pair: pair, _direct: direct, ..Self::default() }
    }
}

impl<const D: usize, const K: usize> Logic for ReadStage<D, K> {
    /// The read engine's bus, a cycle later, for some of its clients.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; issue_valid, done_valid, data_valid);
        registers!(self, clock; issue, done, data);
        let pair = lit::<2>(self._pair as u64);
        let mine = lit::<2>(self._client | self._pair as u64);
        let bus = self.bus.get();
        let issue = issue_of::<D, K>(bus);
        let done = done_of::<D, K>(bus);
        let data = data_of::<D, K>(bus);
        let issue_valid = bus.issue_valid && (issue.client | pair) == mine;
        let done_valid = bus.done_valid && (done.client | pair) == mine;
        let data_valid = bus.data_valid && (data.client | pair) == mine;
        self.issue_valid.d.next = issue_valid;
        if issue_valid {
            self.issue.d.next = issue;
        }
        self.done_valid.d.next = done_valid;
        if done_valid {
            self.done.d.next = done;
        }
        self.data_valid.d.next = data_valid;
        if data_valid {
            self.data.d.next = data;
        }
        if self._direct {
            self.out.put(bus);
        } else {
            self.out.put(read_bus::<D, K>(
                self.issue_valid.q.val(),
                self.issue.q.val(),
                self.done_valid.q.val(),
                self.done.q.val(),
                self.data_valid.q.val(),
                self.data.q.val(),
            ));
        }
    }
}
