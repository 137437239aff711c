//! Posted writes of up to 64 bytes that carry their data with them: completion entries, admin
//! entries, register answers, interrupt messages.
//!
//! | port | what |
//! |---|---|
//! | `req[0..4]` | the clients, a write of one after a write of another |
//! | `tx` | to `pcie/tx` |
//! | `privileged` | the TLP on `tx` is the readless engine's, which passes a flush |
//! | `core_reset` | all clients but the readless engine forget their writes: so does this block |
//! | `recall`, `sent` | [Recallable]: of clients 2 and 3; see below |
//!
//! The block takes a client's beat into the register before `tx`, or while that is full into a
//! second one. All leave in that order. So what a client offers after the block has taken a write
//! comes after that write on the link: a completion after its entry, an interrupt after both. The
//! first beat brings the header. A client may pause within a write, but then holds up everything
//! that is posted.
//!
//! **Speed.** From `valid` to `tx.valid` 2 cycles, 1 for the client served last. The block takes a
//! beat a cycle, of one client or of several. While `tx` stalls the clients wait. `ready` is a
//! register, gated by whose turn it is. `_small`: there is one register alone; `ready` is
//! `tx.ready`, gated.
//!
//! Clients 2 and 3 write one beat at a time and wait for `sent`, which comes a cycle after `tx`
//! took the beat. Until then they can call it back: a beat that `recall` finds here, or on its way
//! in, is gone in the next cycle, unless `tx` takes it in this one. `tx` then sees a cycle without
//! `valid`, so it does not spend credits on the beat behind that it looked at for the one that is
//! gone.

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
    pub recall: Signal<In, Recallable>,
    pub sent: Signal<Out, Recallable>,
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
    // The beat behind that, as the client offered it.
    spare: Reg<Bit>,
    spare_client: Reg<Bits<2>>,
    spare_sop: Reg<Bit>,
    spare_beat: Reg<WriteReq<D>>,
    taken: Reg<Recallable>,
    pub _small: bool,
}

impl<const D: usize> InlineWrite<D> {
    /// `small`: without the second register.
    pub fn new(small: bool) -> Self {
        Self { _small: small, ..Self::default() }
    }
}

/// Clients that may call back what they wrote.
#[record]
pub struct Recallable {
    pub readless: Bit,
    pub messages: Bit,
}

/// Numbers of the clients, as in `req`.
pub const COMPLETIONS: usize = 0;
pub const MAILBOX: usize = 1;
/// The client that passes a flush.
pub const READLESS: usize = 2;
pub const MESSAGES: usize = 3;

/// This client's beats are not to be sent any more.
#[kernel]
fn gone(client: Bits<2>, core_reset: Bit, recall: Recallable) -> Bit {
    match client {
        READLESS => recall.readless,
        MESSAGES => recall.messages || core_reset,
        _ => core_reset,
    }
}

impl<const D: usize> Logic for InlineWrite<D> {
    /// Short posted writes of four clients as TLPs.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; grant, mid, valid, spare, taken);
        registers!(self, clock; client, sop, eop, hdr, data);
        registers!(self, clock; spare_client, spare_sop, spare_beat);
        let free = !self.valid.q.val() || self.tx.ready.val();
        let spare = self.spare.q.val() && !self._small;
        let open = if self._small { free } else { !spare };
        let grant = self.grant.q.val();
        let mut offers = false;
        let mut offered = self.req[0].get();
        for c in 0..4 {
            self.req[c].ready.next = open && grant == lit::<2>(c);
            if grant == lit::<2>(c) {
                offers = self.req[c].valid.val();
                offered = self.req[c].get();
            }
        }
        let last = offered.last;
        let load = open && offers;
        // Chosen a cycle before it is loaded, so that the wide multiplexer does not wait for the
        // choice.
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
            self.spare_beat.d.next = offered;
        }
        let client = if spare { self.spare_client.q.val() } else { grant };
        let beat = if spare { self.spare_beat.q.val() } else { offered };
        let sop = if spare { self.spare_sop.q.val() } else { !self.mid.q.val() };
        if free {
            self.valid.d.next = spare || offers;
            self.client.d.next = client;
            self.sop.d.next = sop;
            self.eop.d.next = beat.last;
            self.data.d.next = beat.data;
        }
        if free && sop {
            let dwords = beat.len >> 2;
            let be = if dwords == 1 { lit::<8>(0x0f) } else { lit::<8>(0xff) };
            self.hdr.d.next = tlp::memory_request(
                true,
                self.requester.val(),
                lit::<8>(0),
                be,
                beat.addr,
                bit_cast::<10, 7>(dwords),
            );
        }
        self.spare.d.next = !free && (spare || load) && !self._small;
        // A flush came before, so `pcie/tx` has no beat of these writes.
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
        let client = self.client.q.val();
        self.taken.d.next = Recallable {
            readless: takes && client == lit::<2>(READLESS),
            messages: takes && client == lit::<2>(MESSAGES),
        };
        self.sent.next = self.taken.q.val();
        self.tx.valid.next = self.valid.q.val();
        self.tx.sop.next = self.sop.q.val();
        self.tx.eop.next = self.eop.q.val();
        self.tx.hdr.next = self.hdr.q.val();
        self.tx.data.next = self.data.q.val();
        self.privileged.next = client == lit::<2>(READLESS);
    }
}
