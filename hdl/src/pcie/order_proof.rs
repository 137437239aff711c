//! Of [RequestOrder]: a request is free exactly when the writes that came before it are gone,
//! however many writes pass it.

use super::order::RequestOrder;
use nitor_rtl::prelude::*;

/// Places for writes, and for requests; `pcie/rx` has sixteen, and counts two bits longer.
const PLACES: usize = 4;

/// Any request is followed, among four writes that leave in order and four requests. What is
/// claimed is all that makes it so: the stamps of the writes rise from what went to what came, and
/// those before the request are the ones with a stamp of at most its number.
#[derive(LogicBlock, Default)]
pub struct OrderFree {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub write_comes: Signal<In, Bit>,
    pub write_goes: Signal<In, Bit>,
    pub request_comes: Signal<In, Bit>,
    pub request_goes: Signal<In, Bit>,
    /// The request that comes now is the one to follow.
    pub mark: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    order: RequestOrder<3>,
    /// The oldest first.
    stamps: [Reg<Bits<3>>; PLACES],
    writes: Reg<Bits<3>>,
    /// Writes and requests before the one that is followed.
    ahead: Reg<Bits<3>>,
    before: Reg<Bits<3>>,
    marked: Reg<Bit>,
    left: Reg<Bit>,
}

impl Logic for OrderFree {
    /// A request is free exactly when the writes that came before it are gone.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; stamps[..], writes, ahead, before, marked, left);
        clocked!(self, clock, reset; order);
        let writes = self.writes.q.val();
        let gone = self.order.gone.val();
        let held = self.order.stamp.val() - gone;
        let comes = self.request_comes.val();
        let goes = self.request_goes.val() && self.order.free.val() && held != 0;
        let write_goes = self.write_goes.val() && writes != 0;
        let write_comes = self.write_comes.val();
        self.order.came.next = comes;
        self.order.went.next = goes;
        self.order.waits.next = writes != 0;
        self.order.oldest.next = self.stamps[0].q.val();

        let kept = if write_goes { writes - 1 } else { writes };
        for i in 0..PLACES {
            if write_goes {
                self.stamps[i].d.next = self.stamps[(i + 1) % PLACES].q.val();
            }
            if write_comes && kept == lit::<3>(i) {
                self.stamps[i].d.next = self.order.stamp.val();
            }
        }
        self.writes.d.next = if write_comes { kept + 1 } else { kept };

        let ahead = self.ahead.q.val();
        let before = self.before.q.val();
        let follows = self.marked.q.val() && !self.left.q.val();
        let front = follows && before == 0;
        if comes && self.mark.val() && !self.marked.q.val() {
            self.marked.d.next = true;
            self.ahead.d.next = kept;
            self.before.d.next = if goes { held - 1 } else { held };
        } else {
            if write_goes && ahead != 0 {
                self.ahead.d.next = ahead - 1;
            }
            if goes {
                self.before.d.next = before - 1;
                self.left.d.next = self.left.q.val() || front;
            }
        }

        let mut right = held <= lit::<3>(PLACES)
            && writes <= lit::<3>(PLACES)
            && (!follows || (before < held && ahead <= writes));
        let mut least = lit::<3>(0);
        for i in 0..PLACES {
            let there = writes > lit::<3>(i);
            let may_go = self.stamps[i].q.val() - gone;
            right = right
                && (!there
                    || (may_go >= least
                        && may_go <= held
                        && (!follows || (ahead > lit::<3>(i)) == (may_go <= before))));
            least = if there { may_go } else { least };
        }
        // One TLP comes at a time, and only if there is room for it.
        self.given.next = !(comes && (write_comes || held == lit::<3>(PLACES)))
            && !(write_comes && writes == lit::<3>(PLACES));
        self.ok.next = right && (!front || self.order.free.val() == (ahead == 0));
    }
}
