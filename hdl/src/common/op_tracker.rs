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

/// Pieces of an operation.
#[record]
pub struct Pieces {
    pub count: Bits<8>,
    /// Of those issued: the last one was. Of those that ended: one failed.
    pub flag: Bit,
    /// The operation's.
    pub lap: Bit,
}

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
    issued: LutRam<Pieces, A>,
    issued_q: LutRam<Pieces, A>,
    ended: LutRam<Pieces, A>,
    ended_q: LutRam<Pieces, A>,
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
        let none = Pieces { count: lit::<8>(0), flag: false, lap: false };
        let issue_count =
            if issue_old.lap == issue_lap { issue_old.count + 1 } else { lit::<8>(1) };
        let issue_new = Pieces { count: issue_count, flag: self.issue_end.q.val(), lap: issue_lap };
        let issue_we = walking || self.issue.q.val();
        let issue_waddr = if walking { bit_cast::<A, 9>(self.walk.q.val()) } else { issue_slot };
        let issue_wdata = if walking { none } else { issue_new };
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
        let same_life = done_old.lap == done_lap;
        let done_count = if same_life { done_old.count + 1 } else { lit::<8>(1) };
        let done_bad = self.done_fails.q.val() || (same_life && done_old.flag);
        let done_new = Pieces { count: done_count, flag: done_bad, lap: done_lap };
        let done_we = walking || self.done.q.val();
        let done_waddr = if walking { bit_cast::<A, 9>(self.walk.q.val()) } else { done_slot };
        let done_wdata = if walking { none } else { done_new };
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
        let issued = self.issued_q.rdata.val();
        let ended = self.ended_q.rdata.val();
        self.complete.next = issued.lap == query_lap
            && issued.flag
            && ended.lap == query_lap
            && issued.count == ended.count;
        self.err.next = ended.flag;
    }
}
