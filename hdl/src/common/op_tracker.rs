//! Tells a client of the DMA read engine when all pieces of a read operation have ended, whatever
//! their order.
//!
//! | port | what |
//! |---|---|
//! | `issue_*`, `done_*` | a piece was issued, a piece ended |
//! | `query` | the operation asked about |
//! | `complete`, `err` | all its pieces have ended; then: one of them failed |
//! | `ready` | the walk after reset is over |
//!
//! There are 2^A slots, used in ring order. An operation is {lap, slot}; the lap bit flips each
//! time a slot is used again and is 1 the first time. An operation is complete when its last piece
//! was issued and as many pieces ended as were issued. An operation has at most 255 pieces.
//!
//! Issued and ended pieces are counted in RAMs of their own, so that each RAM has one writer. An
//! entry with the other lap bit is from the slot's former life and counts as zero, so no entry need
//! be cleared.
//!
//! - **Latency**: an event counts 2 cycles later; `complete` and `err` answer `query` in the same
//!   cycle.
//! - **Throughput**: an issued and an ended piece a cycle, without back-pressure.
//! - **Reset**: a walk of 2^A cycles sets every lap bit to 0. `ready` is low until then, and no
//!   piece may be issued.

use super::ram::LutRam;
use nitor_rtl::prelude::*;

/// The count of an operation's pieces.
#[record]
pub struct Pieces {
    pub count: Bits<8>,
    /// In `issued`: the last piece was issued. In `ended`: a piece failed.
    pub flag: Bit,
    /// The lap bit of the operation that is counted.
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
    // Input registers of the events.
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
