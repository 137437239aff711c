//! Counts the pieces of DMA read operations, out of order, with one writer a RAM.
//!
//! 2^A slots used in ring order; an operation is {lap, slot}, the lap bit flips each time round,
//! starting at 1. The issue side and the done side each write their own RAM; an entry whose lap is
//! another's is from the slot's former life and counts as zero, so nothing need be cleared. A slot
//! is complete when its last piece has been issued and as many ended as were issued. At most 255
//! pieces an operation. After reset a walk of 2^A cycles sets every lap to 0; `ready` is low until
//! then and nothing may be issued. Events are taken each cycle and count two cycles later;
//! `complete` and `err` answer `query` in the same cycle.

use super::ram::LutRam;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct OpTracker<const A: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
    pub issue_valid: Signal<In, Bit>,
    pub issue_op: Signal<In, Bits<9>>,
    pub issue_last: Signal<In, Bit>,
    pub done_valid: Signal<In, Bit>,
    pub done_op: Signal<In, Bits<9>>,
    pub done_err: Signal<In, Bit>,
    /// {lap, slot} asked about.
    pub query: Signal<In, Bits<9>>,
    pub complete: Signal<Out, Bit>,
    pub err: Signal<Out, Bit>,
    // {lap, closed, count}
    issued: LutRam<Bits<10>, A>,
    issued_q: LutRam<Bits<10>, A>,
    // {lap, err, count}
    ended: LutRam<Bits<10>, A>,
    ended_q: LutRam<Bits<10>, A>,
    walk: Reg<Bits<9>>,
    // The events as they came.
    issue: Reg<Bit>,
    issue_what: Reg<Bits<9>>,
    issue_end: Reg<Bit>,
    done: Reg<Bit>,
    done_what: Reg<Bits<9>>,
    done_fails: Reg<Bit>,
}

impl<const A: usize> Logic for OpTracker<A> {
    /// Counts issued and ended pieces of each DMA read operation.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; walk, issue, done);
        registers!(self, clock; issue_what, issue_end, done_what, done_fails);
        clocked!(self, clock; issued, issued_q, ended, ended_q);
        let walking = !self.walk.q.val().get_bit(A);
        if walking {
            self.walk.d.next = self.walk.q.val() + 1;
        }
        self.ready.next = !walking;

        self.issue.d.next = self.issue_valid.val();
        self.issue_what.d.next = self.issue_op.val();
        self.issue_end.d.next = self.issue_last.val();
        self.done.d.next = self.done_valid.val();
        self.done_what.d.next = self.done_op.val();
        self.done_fails.d.next = self.done_err.val();
        let issue_slot = bit_cast::<A, 9>(self.issue_what.q.val());
        let issue_lap = self.issue_what.q.val().get_bit(8);
        self.issued.raddr.next = issue_slot;
        let issue_old = self.issued.rdata.val();
        let issue_count = if issue_old.get_bit(9) == issue_lap {
            issue_old.get_bits::<8>(0) + 1
        } else {
            lit::<8>(1)
        };
        let issue_new = cat::<1, 9, 10>(
            Bits::<1>::from(issue_lap),
            cat::<1, 8, 9>(Bits::<1>::from(self.issue_end.q.val()), issue_count),
        );
        let issue_we = walking || self.issue.q.val();
        let issue_waddr = if walking { bit_cast::<A, 9>(self.walk.q.val()) } else { issue_slot };
        let issue_wdata = if walking { lit::<10>(0) } else { issue_new };
        self.issued.we.next = issue_we;
        self.issued.waddr.next = issue_waddr;
        self.issued.wdata.next = issue_wdata;
        self.issued_q.we.next = issue_we;
        self.issued_q.waddr.next = issue_waddr;
        self.issued_q.wdata.next = issue_wdata;

        let done_slot = bit_cast::<A, 9>(self.done_what.q.val());
        let done_lap = self.done_what.q.val().get_bit(8);
        self.ended.raddr.next = done_slot;
        let done_old = self.ended.rdata.val();
        let same_life = done_old.get_bit(9) == done_lap;
        let done_count = if same_life { done_old.get_bits::<8>(0) + 1 } else { lit::<8>(1) };
        let done_bad = self.done_fails.q.val() || (same_life && done_old.get_bit(8));
        let done_new = cat::<1, 9, 10>(
            Bits::<1>::from(done_lap),
            cat::<1, 8, 9>(Bits::<1>::from(done_bad), done_count),
        );
        let done_we = walking || self.done.q.val();
        let done_waddr = if walking { bit_cast::<A, 9>(self.walk.q.val()) } else { done_slot };
        let done_wdata = if walking { lit::<10>(0) } else { done_new };
        self.ended.we.next = done_we;
        self.ended.waddr.next = done_waddr;
        self.ended.wdata.next = done_wdata;
        self.ended_q.we.next = done_we;
        self.ended_q.waddr.next = done_waddr;
        self.ended_q.wdata.next = done_wdata;

        let query_slot = bit_cast::<A, 9>(self.query.val());
        let query_lap = self.query.val().get_bit(8);
        self.issued_q.raddr.next = query_slot;
        self.ended_q.raddr.next = query_slot;
        let i = self.issued_q.rdata.val();
        let e = self.ended_q.rdata.val();
        self.complete.next = i.get_bit(9) == query_lap
            && i.get_bit(8)
            && e.get_bit(9) == query_lap
            && i.get_bits::<8>(0) == e.get_bits::<8>(0);
        self.err.next = e.get_bit(8);
    }
}
