//! Of [TxSched]: no descriptor is fetched that the doorbell has not posted, and a ring is never
//! overrun.

use super::sched::TxSched;
use nitor_rtl::prelude::*;

/// One of two queues, with a ring of 2 to 16 descriptors, under any doorbells.
#[derive(LogicBlock, Default)]
pub struct RingPointers {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bell_valid: Signal<In, Bit>,
    pub bell_tail: Signal<In, Bits<16>>,
    pub ctx_valid: Signal<In, Bit>,
    pub fetch_ready: Signal<In, Bit>,
    pub slot_free: Signal<In, Bit>,
    pub any_queue: Signal<In, Bits<1>>,
    pub any_log: Signal<In, Bits<4>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    sched: TxSched<1, 0>,
    created: Reg<Bit>,
    asking: Reg<Bit>,
    offered: Reg<Bits<16>>,
    posted: Reg<Bits<16>>,
    fetched: Reg<Bits<16>>,
    slots: Reg<Bits<6>>,
}

impl Logic for RingPointers {
    /// What is fetched was posted, and no more than a ring.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; created, asking, offered, posted, fetched, slots);
        clocked!(self, clock, reset; sched);
        let queue = bit_cast::<8, 1>(self.any_queue.val());
        self.sched.doorbell.valid.next = self.bell_valid.val();
        self.sched.doorbell.queue.next = queue;
        self.sched.doorbell.tail.next = self.bell_tail.val();
        self.sched.ctx.valid.next = self.ctx_valid.val();
        self.sched.ctx.destroy.next = false;
        self.sched.ctx.idx.next = queue;
        self.sched.ctx.base.next = lit::<64>(0);
        self.sched.ctx.log_depth.next = self.any_log.val();
        self.sched.ctx.cq.next = lit::<8>(0);
        self.sched.ctx.placement.next = lit::<2>(0);
        self.sched.ctx.log_entry.next = lit::<2>(0);
        self.sched.ctx.vector.next = lit::<9>(0);
        self.sched.fetch.ready.next = self.fetch_ready.val();
        self.sched.ask.ready.next = true;
        self.sched.batch.ready.next = true;
        self.sched.slot_free.next = self.slot_free.val();
        self.sched.broken.valid.next = false;
        self.sched.broken.queue.next = lit::<8>(0);
        self.sched.marker_ack.next = false;

        // Created once, asking until it is done.
        self.asking.d.next = self.ctx_valid.val() && !self.sched.ctx.ready.val();
        if self.ctx_valid.val() && self.sched.ctx.ready.val() {
            self.created.d.next = true;
        }
        if self.bell_valid.val() && self.sched.doorbell.ready.val() {
            self.offered.d.next = self.bell_tail.val();
        }
        let legal = self.sched.stat_doorbell.val() && !self.sched.stat_doorbell_illegal.val();
        if legal {
            self.posted.d.next = self.offered.q.val();
        }
        let batch = self.sched.batch.valid.val();
        let count = self.sched.batch.count.val();
        if batch {
            self.fetched.d.next = self.fetched.q.val() + bit_cast::<16, 5>(count);
        }
        let mut slots = self.slots.q.val();
        if batch {
            slots = slots + 1;
        }
        if self.slot_free.val() {
            slots = slots - 1;
        }
        self.slots.d.next = slots;
        let log = self.any_log.val();
        self.given.next = log != 0
            && log <= 4
            && (!self.ctx_valid.val() || !self.created.q.val())
            && (self.ctx_valid.val() || !self.asking.q.val())
            && (!self.slot_free.val() || self.slots.q.val() != 0);
        let ahead = self.posted.q.val() - self.fetched.q.val();
        self.ok.next = ahead <= (lit::<16>(1) << bit_cast::<16, 4>(log))
            && (!batch || (count != 0 && count <= 16 && bit_cast::<16, 5>(count) <= ahead))
            && (!legal || self.created.q.val());
    }
}
