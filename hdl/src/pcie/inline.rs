//! Posted writes of up to 64 bytes that carry their data with them: completion entries, admin entries, register
//! answers, interrupt messages.
//!
//! Four clients in turn; one write at a time becomes a TLP on `tx`. A client's `ready` comes when its write is the next on `tx`:
//! as `pcie/tx` sends posted TLPs in the order it takes them and this block holds one, all that anybody offers
//! later, here or to the payload stream after that TLP went, comes after it.
//! One TLP every 2 cycles at 512 bits, 5 for 64 bytes at 128 bits. `privileged` marks a TLP of client 2, the readless engine, which
//! passes a flush.

use super::tlp;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct InlineWrite<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub req: [WriteReqSnk; 4],
    pub requester: Signal<In, Bits<16>>,
    pub tx: TlpSrc<D>,
    pub privileged: Signal<Out, Bit>,
    grant: Reg<Bits<2>>,
    granted: Reg<Bit>,
    valid: Reg<Bit>,
    sop: Reg<Bit>,
    left: Reg<Bits<5>>,
    hdr: Reg<Bits<128>>,
    data: Reg<Bits<512>>,
    special: Reg<Bit>,
}

impl<const D: usize> Logic for InlineWrite<D> {
    /// Short posted writes of four clients as TLPs.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; grant, granted, valid, sop, left, hdr, data, special);
        let per_beat = lit::<5>(D / 32);
        let last = self.left.q.val() <= per_beat;
        let leaves = self.valid.q.val() && self.tx.ready.val() && last;
        let free = !self.valid.q.val() || leaves;

        // The grant is a register, so that `ready` follows nobody's `valid`; the client after it is looked at first.
        let mut valid = false;
        let mut addr = lit::<64>(0);
        let mut len = lit::<7>(0);
        let mut data = lit::<512>(0);
        for c in 0..4 {
            if self.grant.q.val() == lit::<2>(c) {
                valid = self.req[c].valid.val();
                addr = self.req[c].addr.val();
                len = self.req[c].len.val();
                data = self.req[c].data.val();
            }
            self.req[c].ready.next =
                self.granted.q.val() && free && self.grant.q.val() == lit::<2>(c);
        }
        let take = self.granted.q.val() && free && valid;
        let mut found = false;
        let mut next = self.grant.q.val();
        for i in 1..5 {
            let at = self.grant.q.val() + lit::<2>(i % 4);
            for c in 0..4 {
                if !found && at == lit::<2>(c) && self.req[c].valid.val() {
                    found = true;
                    next = lit::<2>(c);
                }
            }
        }
        if !self.granted.q.val() || take || !valid {
            self.grant.d.next = next;
            self.granted.d.next = found && !(take && next == self.grant.q.val());
        }

        if self.valid.q.val() && self.tx.ready.val() {
            self.sop.d.next = false;
            self.left.d.next = self.left.q.val() - per_beat;
            self.data.d.next = self.data.q.val() >> lit::<16>(D % 512);
            if last {
                self.valid.d.next = false;
            }
        }
        if take {
            let dwords = len.get_bits::<5>(2);
            let be = if dwords == 1 { lit::<8>(0x0f) } else { lit::<8>(0xff) };
            self.valid.d.next = true;
            self.sop.d.next = true;
            self.left.d.next = dwords;
            self.hdr.d.next = tlp::memory_request(
                true,
                self.requester.val(),
                lit::<8>(0),
                be,
                addr,
                bit_cast::<10, 5>(dwords),
            );
            self.data.d.next = data;
            self.special.d.next = self.grant.q.val() == 2;
        }
        self.tx.valid.next = self.valid.q.val();
        self.tx.sop.next = self.sop.q.val();
        self.tx.eop.next = last;
        self.tx.hdr.next = self.hdr.q.val();
        self.tx.data.next = self.data.q.val().get_bits::<D>(0);
        self.privileged.next = self.special.q.val();
    }
}
