//! Proof of [OpTracker]: an operation is complete exactly when its last piece was issued and as
//! many pieces ended as were issued.

use super::op_tracker::OpTracker;
use nitor_rtl::prelude::*;

/// Two slots: the claim is about the first operation of either, with any events of the other.
#[derive(LogicBlock, Default)]
pub struct TrackerCounts {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub issue_valid: Signal<In, Bit>,
    pub issue_op: Signal<In, Bits<9>>,
    pub issue_last: Signal<In, Bit>,
    pub done_valid: Signal<In, Bit>,
    pub done_op: Signal<In, Bits<9>>,
    pub done_err: Signal<In, Bit>,
    pub any_slot: Signal<In, Bits<1>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    tracker: OpTracker<1>,
    issued: Reg<Bits<8>>,
    done: Reg<Bits<8>>,
    closed: Reg<Bit>,
    erred: Reg<Bit>,
    // A cycle ago, since the tracker has input registers.
    all_was: Reg<Bit>,
    erred_was: Reg<Bit>,
}

impl Logic for TrackerCounts {
    /// An operation is complete when all its pieces are.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; issued, done, closed, erred, all_was, erred_was);
        clocked!(self, clock, reset; tracker);
        self.tracker.issue_valid.next = self.issue_valid.val();
        self.tracker.issue_op.next = self.issue_op.val();
        self.tracker.issue_last.next = self.issue_last.val();
        self.tracker.done_valid.next = self.done_valid.val();
        self.tracker.done_op.next = self.done_op.val();
        self.tracker.done_err.next = self.done_err.val();
        let slot = bit_cast::<9, 1>(self.any_slot.val());
        self.tracker.query.next = slot | lit::<9>(0x100);
        let ready = self.tracker.ready.val();
        let issue_here =
            self.issue_valid.val() && self.issue_op.val().get_bits::<1>(0) == self.any_slot.val();
        let done_here =
            self.done_valid.val() && self.done_op.val().get_bits::<1>(0) == self.any_slot.val();
        let issued = self.issued.q.val();
        let done = self.done.q.val();
        if issue_here {
            self.issued.d.next = issued + 1;
            self.closed.d.next = self.issue_last.val();
        }
        if done_here {
            self.done.d.next = done + 1;
            self.erred.d.next = self.erred.q.val() || self.done_err.val();
        }
        // Assumed: no event before the walk is over; the slot is in its first life; no piece ends
        // that was not issued; none follows the last; there are at most 255.
        let quiet = !self.issue_valid.val() && !self.done_valid.val();
        self.given.next = (ready || quiet)
            && (!issue_here
                || (self.issue_op.val().get_bit(8) && !self.closed.q.val() && issued != 255))
            && (!done_here || (self.done_op.val().get_bit(8) && done < issued));
        let all = self.closed.q.val() && issued == done;
        self.all_was.d.next = all;
        self.erred_was.d.next = self.erred.q.val();
        let all_was = self.all_was.q.val();
        self.ok.next = !ready
            || (self.tracker.complete.val() == all_was
                && (!all_was || self.tracker.err.val() == self.erred_was.q.val()));
    }
}
