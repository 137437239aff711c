//! Posted writes of up to 64 bytes that carry their data with them: completion entries, admin entries, register
//! answers, interrupt messages.
//!
//! | port | what |
//! |---|---|
//! | `req[0..4]` | the clients, a write of one after a write of another |
//! | `tx` | to `pcie/tx`; `privileged` marks a TLP of client 2, the readless engine, which passes a flush |
//! | `core_reset` | all clients but the readless engine forget what they were writing: so does this block |
//! | `recall`, `sent` | of clients 2 and 3, bits 0 and 1: see below |
//!
//! A client's beat is taken into the register before `tx`, or while that is full into a second one, from which all leave in that order. So what anybody offers
//! here once a write was taken comes after it on the link: a completion after its entry, an interrupt after both. The
//! first beat brings the header; a client may pause within a write, but then holds up everything that is posted.
//!
//! From `valid` to `tx.valid` 2 cycles, 1 for the client served last. A beat a cycle, of one client or of several. When
//! `tx` stalls the clients wait; `ready` is a register, gated by whose turn it is. `_small`: one register alone; `ready` is `tx.ready`, gated.
//!
//! Clients 2 and 3 write one beat at a time, and wait for `sent`: a cycle after `tx` took it. Until then they can have it back: what `recall`
//! finds here, or on its way in, is gone in the next cycle, unless `tx` takes it in this one. `tx` then sees a cycle of nothing, so credits
//! that were looked at for what is gone are not spent on what is behind it.

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
    pub recall: Signal<In, Bits<2>>,
    pub sent: Signal<Out, Bits<2>>,
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
    // The beat behind it, as it came.
    spare: Reg<Bit>,
    spare_client: Reg<Bits<2>>,
    spare_sop: Reg<Bit>,
    spare_eop: Reg<Bit>,
    spare_addr: Reg<Bits<64>>,
    spare_len: Reg<Bits<7>>,
    spare_data: Reg<Bits<D>>,
    taken: Reg<Bits<2>>,
    pub _small: bool,
}

impl<const D: usize> InlineWrite<D> {
    /// `small`: without the second register.
    pub fn new(small: bool) -> Self {
        Self { _small: small, ..Self::default() }
    }
}

/// The client that passes a flush.
const READLESS: u64 = 2;
const MESSAGES: u64 = 3;

/// What this client has here is not to be sent any more.
#[kernel]
fn gone(client: Bits<2>, core_reset: Bit, recall: Bits<2>) -> Bit {
    match client {
        READLESS => recall.get_bit(0),
        MESSAGES => recall.get_bit(1) || core_reset,
        _ => core_reset,
    }
}

impl<const D: usize> Logic for InlineWrite<D> {
    /// Short posted writes of four clients as TLPs.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; grant, mid, valid, spare, taken);
        registers!(self, clock; client, sop, eop, hdr, data);
        registers!(self, clock; spare_client, spare_sop, spare_eop, spare_addr, spare_len, spare_data);
        let free = !self.valid.q.val() || self.tx.ready.val();
        let small = lit::<1>(self._small as usize).any();
        let spare = self.spare.q.val() && !small;
        let open = if small { free } else { !spare };
        let grant = self.grant.q.val();
        let mut offers = false;
        let mut addr = lit::<64>(0);
        let mut len = lit::<7>(0);
        let mut data = lit::<D>(0);
        let mut last = false;
        for c in 0..4 {
            self.req[c].ready.next = open && grant == lit::<2>(c);
            if grant == lit::<2>(c) {
                offers = self.req[c].valid.val();
                addr = self.req[c].addr.val();
                len = self.req[c].len.val();
                data = self.req[c].data.val();
                last = self.req[c].last.val();
            }
        }
        let load = open && offers;
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
        if load {
            self.mid.d.next = !last;
        }

        if !spare {
            self.spare_client.d.next = grant;
            self.spare_sop.d.next = !self.mid.q.val();
            self.spare_eop.d.next = last;
            self.spare_addr.d.next = addr;
            self.spare_len.d.next = len;
            self.spare_data.d.next = data;
        }
        let client = if spare { self.spare_client.q.val() } else { grant };
        let sop = if spare { self.spare_sop.q.val() } else { !self.mid.q.val() };
        if free {
            self.valid.d.next = spare || offers;
            self.client.d.next = client;
            self.sop.d.next = sop;
            self.eop.d.next = if spare { self.spare_eop.q.val() } else { last };
            self.data.d.next = if spare { self.spare_data.q.val() } else { data };
        }
        if free && sop {
            let len = if spare { self.spare_len.q.val() } else { len };
            let dwords = len.get_bits::<5>(2);
            let be = if dwords == 1 { lit::<8>(0x0f) } else { lit::<8>(0xff) };
            self.hdr.d.next = tlp::memory_request(
                true,
                self.requester.val(),
                lit::<8>(0),
                be,
                if spare { self.spare_addr.q.val() } else { addr },
                bit_cast::<10, 5>(dwords),
            );
        }
        self.spare.d.next = !free && (spare || load) && !small;
        // A flush came before: `pcie/tx` has none of it.
        let core_reset = self.core_reset.val();
        let recall = self.recall.val();
        if core_reset {
            self.mid.d.next = false;
        }
        let whose = if free { client } else { self.client.q.val() };
        if gone(whose, core_reset, recall) {
            self.valid.d.next = false;
        }
        let behind_whose = if spare { self.spare_client.q.val() } else { grant };
        if gone(behind_whose, core_reset, recall) {
            self.spare.d.next = false;
        }
        let takes = self.valid.q.val() && self.tx.ready.val();
        self.taken.d.next = cat::<1, 1, 2>(
            (takes && self.client.q.val() == MESSAGES).into(),
            (takes && self.client.q.val() == READLESS).into(),
        );
        self.sent.next = self.taken.q.val();
        self.tx.valid.next = self.valid.q.val();
        self.tx.sop.next = self.sop.q.val();
        self.tx.eop.next = self.eop.q.val();
        self.tx.hdr.next = self.hdr.q.val();
        self.tx.data.next = self.data.q.val();
        self.privileged.next = self.client.q.val() == READLESS;
    }
}
