//! The read engine's bus a cycle later, at one end of the card: what clients do with a beat does not begin with the way to them.
//!
//! Passes on what is of `_client`, with `_pair` also of the one whose number differs in bit 0; of others no `valid` is seen. `_direct`: no
//! registers, and everybody's.

use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ReadStage<const D: usize, const K: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bus: ReadBusSnk<D, K>,
    pub out: ReadBusSrc<D, K>,
    issue_valid: Reg<Bit>,
    issue_client: Reg<Bits<2>>,
    issue_op: Reg<Bits<9>>,
    issue_last: Reg<Bit>,
    done_valid: Reg<Bit>,
    done_client: Reg<Bits<2>>,
    done_op: Reg<Bits<9>>,
    done_err: Reg<Bit>,
    data_valid: Reg<Bit>,
    data_client: Reg<Bits<2>>,
    data_row: Reg<Bits<16>>,
    data: Reg<Bits<D>>,
    be_lo: Reg<Bits<K>>,
    be_hi: Reg<Bits<K>>,
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
    /// What the read engine tells some of its clients, a cycle later.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; issue_valid, done_valid, data_valid);
        registers!(self, clock; issue_client, issue_op, issue_last, done_client, done_op, done_err, data_client, data_row, data, be_lo, be_hi);
        let pair = lit::<2>(self._pair as u64);
        let mine = lit::<2>(self._client | self._pair as u64);
        let issued = self.bus.issue_client.val();
        let issue = self.bus.issue_valid.val() && (issued | pair) == mine;
        let ended = self.bus.done_client.val();
        let done = self.bus.done_valid.val() && (ended | pair) == mine;
        let came = self.bus.data_client.val();
        let data = self.bus.data_valid.val() && (came | pair) == mine;
        self.issue_valid.d.next = issue;
        if issue {
            self.issue_client.d.next = issued;
            self.issue_op.d.next = self.bus.issue_op.val();
            self.issue_last.d.next = self.bus.issue_last.val();
        }
        self.done_valid.d.next = done;
        if done {
            self.done_client.d.next = ended;
            self.done_op.d.next = self.bus.done_op.val();
            self.done_err.d.next = self.bus.done_err.val();
        }
        self.data_valid.d.next = data;
        if data {
            self.data_client.d.next = came;
            self.data_row.d.next = self.bus.data_row.val();
            self.data.d.next = self.bus.data.val();
            self.be_lo.d.next = self.bus.be_lo.val();
            self.be_hi.d.next = self.bus.be_hi.val();
        }
        if self._direct {
            self.out.issue_valid.next = self.bus.issue_valid.val();
            self.out.issue_client.next = issued;
            self.out.issue_op.next = self.bus.issue_op.val();
            self.out.issue_last.next = self.bus.issue_last.val();
            self.out.done_valid.next = self.bus.done_valid.val();
            self.out.done_client.next = ended;
            self.out.done_op.next = self.bus.done_op.val();
            self.out.done_err.next = self.bus.done_err.val();
            self.out.data_valid.next = self.bus.data_valid.val();
            self.out.data_client.next = came;
            self.out.data_row.next = self.bus.data_row.val();
            self.out.data.next = self.bus.data.val();
            self.out.be_lo.next = self.bus.be_lo.val();
            self.out.be_hi.next = self.bus.be_hi.val();
        } else {
            self.out.issue_valid.next = self.issue_valid.q.val();
            self.out.issue_client.next = self.issue_client.q.val();
            self.out.issue_op.next = self.issue_op.q.val();
            self.out.issue_last.next = self.issue_last.q.val();
            self.out.done_valid.next = self.done_valid.q.val();
            self.out.done_client.next = self.done_client.q.val();
            self.out.done_op.next = self.done_op.q.val();
            self.out.done_err.next = self.done_err.q.val();
            self.out.data_valid.next = self.data_valid.q.val();
            self.out.data_client.next = self.data_client.q.val();
            self.out.data_row.next = self.data_row.q.val();
            self.out.data.next = self.data.q.val();
            self.out.be_lo.next = self.be_lo.q.val();
            self.out.be_hi.next = self.be_hi.q.val();
        }
    }
}
