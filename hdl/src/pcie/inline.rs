//! Posted writes of up to 64 bytes that carry their data with them: completion entries, admin entries, register
//! answers, interrupt messages.
//!
//! | port | what |
//! |---|---|
//! | `req[0..4]` | the clients, a write of one after a write of another |
//! | `tx` | to `pcie/tx`; `privileged` marks a TLP of client 2, the readless engine, which passes a flush |
//! | `core_reset` | all clients but the readless engine forget what they were writing: so does this block |
//!
//! A client's beat is taken into the one register before `tx`, from which all leave in that order. So what anybody offers
//! here once a write was taken comes after it on the link: a completion after its entry, an interrupt after both. The
//! first beat brings the header; a client may pause within a write, but then holds up everything that is posted.
//!
//! From `valid` to `tx.valid` 2 cycles, 1 for the client served last. A beat a cycle, of one client or of several. When
//! `tx` stalls the clients wait; `ready` is `tx.ready`, gated.

use super::tlp;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct InlineWrite<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub core_reset: Signal<In, Bit>,
    pub req: [WriteReqSnk<D>; 4],
    pub requester: Signal<In, Bits<16>>,
    pub tx: TlpSrc<D>,
    pub privileged: Signal<Out, Bit>,
    /// The client whose beat is taken next.
    grant: Reg<Bits<2>>,
    /// Its write has begun: the grant stays.
    mid: Reg<Bit>,
    // The beat on `tx`.
    valid: Reg<Bit>,
    client: Reg<Bits<2>>,
    sop: Reg<Bit>,
    eop: Reg<Bit>,
    hdr: Reg<Bits<128>>,
    data: Reg<Bits<D>>,
}

/// The client that passes a flush.
const READLESS: u64 = 2;

impl<const D: usize> Logic for InlineWrite<D> {
    /// Short posted writes of four clients as TLPs.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; grant, mid, valid);
        registers!(self, clock; client, sop, eop, hdr, data);
        let free = !self.valid.q.val() || self.tx.ready.val();
        let grant = self.grant.q.val();
        let mut offers = false;
        let mut addr = lit::<64>(0);
        let mut len = lit::<7>(0);
        let mut data = lit::<D>(0);
        let mut last = false;
        for c in 0..4 {
            self.req[c].ready.next = free && grant == lit::<2>(c);
            if grant == lit::<2>(c) {
                offers = self.req[c].valid.val();
                addr = self.req[c].addr.val();
                len = self.req[c].len.val();
                data = self.req[c].data.val();
                last = self.req[c].last.val();
            }
        }
        let load = free && offers;
        // Chosen a cycle before it is loaded, so that the wide multiplexer does not wait for the choice.
        if (load && last) || (!offers && !self.mid.q.val()) {
            let mut found = false;
            for i in 1..4 {
                let at = grant + lit::<2>(i);
                for c in 0..4 {
                    if !found && at == lit::<2>(c) && self.req[c].valid.val() {
                        found = true;
                        self.grant.d.next = at;
                    }
                }
            }
        }

        if free {
            self.valid.d.next = offers;
            self.client.d.next = grant;
            self.sop.d.next = !self.mid.q.val();
            self.eop.d.next = last;
            self.data.d.next = data;
        }
        if load {
            self.mid.d.next = !last;
        }
        if free && !self.mid.q.val() {
            let dwords = len.get_bits::<5>(2);
            let be = if dwords == 1 { lit::<8>(0x0f) } else { lit::<8>(0xff) };
            self.hdr.d.next = tlp::memory_request(
                true,
                self.requester.val(),
                lit::<8>(0),
                be,
                addr,
                bit_cast::<10, 5>(dwords),
            );
        }
        // A flush came before: `pcie/tx` has none of it.
        if self.core_reset.val() {
            self.mid.d.next = false;
            let whose = if free { grant } else { self.client.q.val() };
            if whose != READLESS {
                self.valid.d.next = false;
            }
        }
        self.tx.valid.next = self.valid.q.val();
        self.tx.sop.next = self.sop.q.val();
        self.tx.eop.next = self.eop.q.val();
        self.tx.hdr.next = self.hdr.q.val();
        self.tx.data.next = self.data.q.val();
        self.privileged.next = self.client.q.val() == READLESS;
    }
}
