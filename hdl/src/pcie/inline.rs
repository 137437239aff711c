//! Posted writes of up to 64 bytes that carry their data with them: completion entries, admin entries, register
//! answers, interrupt messages.
//!
//! | port | what |
//! |---|---|
//! | `req[0..4]` | the clients, in turn |
//! | `tx` | to `pcie/tx`; `privileged` marks a TLP of client 2, the readless engine, which passes a flush |
//!
//! One write at a time becomes a TLP. A client's `ready` comes in the cycle in which `pcie/tx` takes the first beat (it is `tx.ready`,
//! gated), and as `pcie/tx` sends TLPs in the order it takes them, all that anybody offers later, here or to the
//! payload stream, comes after it on the link. A client's own writes keep their order.
//!
//! From `valid` to `tx.valid` 2 cycles, 1 for the client served last. At 512 bits one client alone gets a
//! write through every 2 cycles, several together one a cycle; at 128 bits 64 bytes take 4 cycles. When `tx` stalls the clients
//! wait. A client reset while its write is held must not offer another before that has gone: a flush sees to it.

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
    /// The client whose write is loaded next.
    grant: Reg<Bits<2>>,
    // The write on `tx`.
    valid: Reg<Bit>,
    client: Reg<Bits<2>>,
    sop: Reg<Bit>,
    /// Dwords to go.
    left: Reg<Bits<5>>,
    hdr: Reg<Bits<128>>,
    data: Reg<Bits<512>>,
}

/// The client that passes a flush.
const READLESS: u64 = 2;

impl<const D: usize> Logic for InlineWrite<D> {
    /// Short posted writes of four clients as TLPs.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; grant, valid, client, sop, left, hdr, data);
        let per_beat = lit::<5>(D / 32);
        let last = self.left.q.val() <= per_beat;
        let leaves = self.valid.q.val() && self.tx.ready.val();
        let free = !self.valid.q.val() || (leaves && last);

        // Until the first beat is taken the client still shows the write that is held.
        let held = self.valid.q.val() && self.sop.q.val();
        let mut waiting = lit::<4>(0);
        for c in 0..4 {
            let new = self.req[c].valid.val() && !(held && self.client.q.val() == lit::<2>(c));
            waiting = waiting.replace_bit(c, new);
            self.req[c].ready.next =
                held && self.tx.ready.val() && self.client.q.val() == lit::<2>(c);
        }
        let grant = self.grant.q.val();
        let mut offers = false;
        let mut addr = lit::<64>(0);
        let mut len = lit::<7>(0);
        let mut data = lit::<512>(0);
        for c in 0..4 {
            if grant == lit::<2>(c) {
                offers = waiting.get_bit(c);
                addr = self.req[c].addr.val();
                len = self.req[c].len.val();
                data = self.req[c].data.val();
            }
        }
        let load = free && offers;
        // Chosen a cycle before it is loaded, so that the wide multiplexer does not wait for the choice.
        if load || !offers {
            let mut found = false;
            for i in 1..4 {
                let at = grant + lit::<2>(i);
                for c in 0..4 {
                    if !found && at == lit::<2>(c) && waiting.get_bit(c) {
                        found = true;
                        self.grant.d.next = at;
                    }
                }
            }
        }

        if leaves {
            self.sop.d.next = false;
            self.left.d.next = self.left.q.val() - per_beat;
            self.data.d.next = self.data.q.val() >> lit::<16>(D % 512);
            if last {
                self.valid.d.next = false;
            }
        }
        if load {
            let dwords = len.get_bits::<5>(2);
            let be = if dwords == 1 { lit::<8>(0x0f) } else { lit::<8>(0xff) };
            self.valid.d.next = true;
            self.client.d.next = grant;
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
        }
        self.tx.valid.next = self.valid.q.val();
        self.tx.sop.next = self.sop.q.val();
        self.tx.eop.next = last;
        self.tx.hdr.next = self.hdr.q.val();
        self.tx.data.next = self.data.q.val().get_bits::<D>(0);
        self.privileged.next = self.client.q.val() == READLESS;
    }
}
