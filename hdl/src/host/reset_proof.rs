//! Of a reset: what [InlineWrite] and [TlpTx] hold when the core is reset never moves afterwards.

use crate::common::iface::*;
use crate::common::reset::ResetStage;
use crate::pcie::inline::{self, InlineWrite, Recallable};
use crate::pcie::tlp;
use crate::pcie::tx::TlpTx;
use nitor_rtl::prelude::*;

/// Bits of a write's address: the life it is from; it is the readless engine's.
const LIFE: u64 = 0x100;
const OWN: u64 = 0x400;
/// Number of the writer of payload, behind the clients of `pcie/inline`.
const PAYLOAD: usize = 4;

/// Once `flush` is over, no posted write leaves that was offered before the core's reset:
/// completions, the firmware's, messages, payload. The sequence is
/// [ResetControl](super::reset::ResetControl)'s with its times cut short.
#[derive(LogicBlock)]
pub struct LifeEnds {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A reset begins.
    pub start: Signal<In, Bit>,
    /// Who has something to write: the clients of `pcie/inline`, and [PAYLOAD].
    pub wants: Signal<In, Bits<5>>,
    pub last: Signal<In, Bits<5>>,
    pub cpl: Signal<In, Bit>,
    /// An error message is on offer.
    pub error: Signal<In, Bit>,
    pub link_ready: Signal<In, Bit>,
    pub limit_ph: Signal<In, Bits<8>>,
    pub limit_pd: Signal<In, Bits<12>>,
    pub bus_master: Signal<In, Bit>,
    pub recall: Signal<In, Recallable>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    inline: InlineWrite<32>,
    tx: TlpTx<32>,
    late: ResetStage,
    flush: Reg<Bit>,
    settle: Reg<Bits<2>>,
    core: Reg<Bits<2>>,
    life: Reg<Bit>,
    // What each client offers, and of which life it is.
    offers: Reg<Bits<5>>,
    tags: Reg<Bits<5>>,
    mid: Reg<Bits<5>>,
}

impl Default for LifeEnds {
    fn default() -> Self {
        Self::new(false)
    }
}

impl LifeEnds {
    pub fn new(small: bool) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            start: Default::default(),
            wants: Default::default(),
            last: Default::default(),
            cpl: Default::default(),
            error: Default::default(),
            link_ready: Default::default(),
            limit_ph: Default::default(),
            limit_pd: Default::default(),
            bus_master: Default::default(),
            recall: Default::default(),
            given: Default::default(),
            ok: Default::default(),
            inline: InlineWrite::new(small),
            tx: TlpTx::new(small),
            late: ResetStage::new(small),
            flush: Default::default(),
            settle: Default::default(),
            core: Default::default(),
            life: Default::default(),
            offers: Default::default(),
            tags: Default::default(),
            mid: Default::default(),
        }
    }
}

impl Logic for LifeEnds {
    /// What the card holds when its core is reset never moves afterwards.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; flush, settle, core, life, offers, tags, mid);
        clocked!(self, clock, reset; inline, tx);
        let flush = self.flush.q.val();
        let core = self.core.q.val();
        self.late.clock.next = self.clock.val();
        self.late.d.next = core.any();
        let core_late = self.late.q.val();

        // Flush, until nothing is under way; then the core's reset, three cycles of it; both end
        // together.
        if flush && !core.any() {
            if self.settle.q.val() != 3 {
                self.settle.d.next = self.settle.q.val() + 1;
            } else if self.tx.idle.val() {
                self.core.d.next = lit::<2>(3);
                self.life.d.next = !self.life.q.val();
            }
        }
        if core.any() {
            self.core.d.next = core - 1;
            if core == 1 {
                self.flush.d.next = false;
            }
        }
        if self.start.val() && !flush {
            self.flush.d.next = true;
            self.settle.d.next = lit::<2>(0);
        }

        // Each client offers a beat until it is taken, and its write to the end. The core's reset
        // takes it away, but not from client 2: what that has is of a life of its own.
        let wants = self.wants.val();
        let last = self.last.val();
        let mut ready = lit::<5>(0);
        let valid = self.offers.q.val();
        for c in 0..4 {
            self.inline.req[c].valid.next = valid.get_bit(c);
            let own = lit::<64>(if c == inline::READLESS { OWN } else { 0 });
            self.inline.req[c].addr.next =
                if self.tags.q.val().get_bit(c) { own | LIFE } else { own };
            self.inline.req[c].len.next = lit::<7>(4);
            self.inline.req[c].data.next = lit::<32>(0);
            self.inline.req[c].last.next = last.get_bit(c) || c >= 2;
            ready = ready.replace_bit(c, self.inline.req[c].ready.val());
        }
        self.inline.requester.next = lit::<16>(0);
        self.inline.core_reset.next = core_late;
        self.inline.recall.next = self.recall.val();
        ready = ready.replace_bit(PAYLOAD, self.tx.payload.ready.val());
        let life = self.life.q.val();
        let mut offers = valid;
        let mut tags = self.tags.q.val();
        let mut mids = self.mid.q.val();
        for c in 0..5 {
            let takes = valid.get_bit(c) && ready.get_bit(c);
            let ends = last.get_bit(c) || c == inline::READLESS || c == inline::MESSAGES;
            let mid = if takes { !ends } else { mids.get_bit(c) };
            let free = !valid.get_bit(c) || takes;
            mids = mids.replace_bit(c, mid);
            if free {
                offers = offers.replace_bit(c, wants.get_bit(c));
            }
            if free && !mid {
                tags = tags.replace_bit(c, life);
            }
            if c != inline::READLESS && (core.any() || core_late) {
                offers = offers.replace_bit(c, false);
                mids = mids.replace_bit(c, false);
            }
        }
        self.offers.d.next = offers;
        self.tags.d.next = tags;
        self.mid.d.next = mids;

        TlpSrc::<32>::join(&mut self.inline.tx, &mut self.tx.inline);
        self.tx.inline_privileged.next = self.inline.privileged.val();
        self.tx.payload.valid.next = valid.get_bit(PAYLOAD);
        self.tx.payload.sop.next = !self.mid.q.val().get_bit(PAYLOAD);
        self.tx.payload.eop.next = last.get_bit(PAYLOAD);
        let to = if self.tags.q.val().get_bit(PAYLOAD) { lit::<64>(LIFE) } else { lit::<64>(0) };
        self.tx.payload.hdr.next =
            tlp::memory_request(true, lit::<16>(0), lit::<8>(0), lit::<8>(0xf), to, lit::<10>(1));
        self.tx.payload.data.next = lit::<32>(0);
        self.tx.cpl.valid.next = self.cpl.val();
        self.tx.cpl.sop.next = true;
        self.tx.cpl.eop.next = true;
        self.tx.cpl.hdr.next = lit::<128>(0);
        self.tx.cpl.data.next = lit::<32>(0);
        self.tx.message_valid.next = self.error.val();
        self.tx.message.next = lit::<2>(0);
        self.tx.requester.next = lit::<16>(0);
        self.tx.np.valid.next = false;
        self.tx.np.hdr.next = lit::<128>(0);
        self.tx.fc_ph.next = self.limit_ph.val();
        self.tx.fc_pd.next = self.limit_pd.val();
        self.tx.fc_nph.next = lit::<8>(0);
        self.tx.fc_cplh.next = lit::<8>(0);
        self.tx.fc_cpld.next = lit::<12>(0);
        self.tx.fc_cpl_infinite.next = lit::<2>(3);
        self.tx.flush.next = flush;
        self.tx.bus_master.next = self.bus_master.val();
        self.tx.press.next = false;
        self.tx.link.ready.next = self.link_ready.val();

        let hdr = tlp::Request::from_bits(self.tx.link.hdr.val());
        let write = self.tx.link.valid.val() && self.tx.link.sop.val() && hdr.dw0.format.with_data;
        self.given.next = true;
        self.ok.next = flush || !write || (hdr.dw2 & OWN) != 0 || ((hdr.dw2 & LIFE) != 0) == life;
    }
}
