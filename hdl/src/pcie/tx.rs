//! The transmit side: one stream of TLPs from completions, posted writes and reads, within the link's credits.
//!
//! Three inputs with data and one of headers alone. A TLP is taken whole. Posted TLPs leave in the order they are taken, and nothing
//! passes them: completions and reads go out of the same register, so what was taken before left before. Priority goes round
//! so that none starves; an input without credit is passed over, except that a completion or read taken later never overtakes
//! a posted TLP already taken, because taking is leaving.
//!
//! Credits are the cumulative limits of the specification's section 2.6: a TLP may go when limit - (consumed + its own)
//! is less than half the modulus. Completions have no limit, as root complexes grant.
//! One beat a cycle, no gap between TLPs.
//!
//! `bus_master` low holds DMA back, completions go. `flush` swallows what DMA offers, except privileged inline writes; the TLP under way
//! is finished. `idle`: no DMA TLP is under way.

use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct TlpTx<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub cpl: TlpSnk<D>,
    pub inline: TlpSnk<D>,
    pub inline_privileged: Signal<In, Bit>,
    pub payload: TlpSnk<D>,
    pub np_valid: Signal<In, Bit>,
    pub np_ready: Signal<Out, Bit>,
    pub np_hdr: Signal<In, Bits<128>>,
    pub link: TlpSrc<D>,
    pub fc_ph: Signal<In, Bits<8>>,
    pub fc_pd: Signal<In, Bits<12>>,
    pub fc_nph: Signal<In, Bits<8>>,
    pub flush: Signal<In, Bit>,
    pub bus_master: Signal<In, Bit>,
    pub idle: Signal<Out, Bit>,
    pub stat_write: Signal<Out, Bit>,
    pub stat_completion: Signal<Out, Bit>,
    // The input whose TLP is under way.
    under_way: Reg<Bit>,
    source: Reg<Bits<2>>,
    turn: Reg<Bits<2>>,
    ph: Reg<Bits<8>>,
    pd: Reg<Bits<12>>,
    nph: Reg<Bits<8>>,
    valid: Reg<Bit>,
    sop: Reg<Bit>,
    eop: Reg<Bit>,
    hdr: Reg<Bits<128>>,
    data: Reg<Bits<D>>,
    stat: Reg<Bits<2>>,
}

const CPL: u64 = 0;
const INLINE: u64 = 1;
const PAYLOAD: u64 = 2;
const READ: u64 = 3;

/// Data credits of a TLP: 16 bytes each.
#[kernel]
fn data_credits(hdr: Bits<128>) -> Bits<12> {
    let length = hdr.get_bits::<10>(0);
    let dwords = if length == 0 { lit::<12>(1024) } else { bit_cast::<12, 10>(length) };
    (dwords + 3) >> 2
}

#[kernel]
fn posted_fits(hdr: Bits<128>, ph: Bits<8>, fc_ph: Bits<8>, pd: Bits<12>, fc_pd: Bits<12>) -> Bit {
    let header = fc_ph - (ph + 1);
    let data = fc_pd - (pd + data_credits(hdr));
    !header.get_bit(7) && !data.get_bit(11)
}

impl<const D: usize> Logic for TlpTx<D> {
    /// Merges completions, posted writes and reads within the link's credits.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; under_way, source, turn, ph, pd, nph, valid, sop, eop, hdr, data, stat);
        let flush = self.flush.val();
        let dma = self.bus_master.val();
        let out_free = !self.valid.q.val() || self.link.ready.val();

        // Who may start a TLP.
        let inline_fits = posted_fits(
            self.inline.hdr.val(),
            self.ph.q.val(),
            self.fc_ph.val(),
            self.pd.q.val(),
            self.fc_pd.val(),
        );
        let payload_fits = posted_fits(
            self.payload.hdr.val(),
            self.ph.q.val(),
            self.fc_ph.val(),
            self.pd.q.val(),
            self.fc_pd.val(),
        );
        let read_fits = !(self.fc_nph.val() - (self.nph.q.val() + 1)).get_bit(7);
        let drop_inline = flush && !self.inline_privileged.val();
        let may_cpl = self.cpl.valid.val();
        let may_inline = self.inline.valid.val() && (drop_inline || (dma && inline_fits));
        let may_payload = self.payload.valid.val() && (flush || (dma && payload_fits));
        let may_read = self.np_valid.val() && (flush || (dma && read_fits));
        let mut found = false;
        let mut chosen = lit::<2>(CPL);
        for i in 0..4 {
            let at = self.turn.q.val() + lit::<2>(i);
            let may = match at {
                CPL => may_cpl,
                INLINE => may_inline,
                PAYLOAD => may_payload,
                _ => may_read,
            };
            if may && !found {
                found = true;
                chosen = at;
            }
        }
        let current = if self.under_way.q.val() { self.source.q.val() } else { chosen };
        let starting = !self.under_way.q.val() && found;
        let swallow = !self.under_way.q.val()
            && match chosen {
                CPL => false,
                INLINE => drop_inline,
                _ => flush,
            };
        let active = self.under_way.q.val() || found;
        let go = active && (out_free || swallow);
        self.cpl.ready.next = go && current == CPL;
        self.inline.ready.next = go && current == INLINE;
        self.payload.ready.next = go && current == PAYLOAD;
        self.np_ready.next = go && current == READ;
        let valid = match current {
            CPL => self.cpl.valid.val(),
            INLINE => self.inline.valid.val(),
            PAYLOAD => self.payload.valid.val(),
            _ => self.np_valid.val(),
        };
        let sop = match current {
            CPL => self.cpl.sop.val(),
            INLINE => self.inline.sop.val(),
            PAYLOAD => self.payload.sop.val(),
            _ => true,
        };
        let eop = match current {
            CPL => self.cpl.eop.val(),
            INLINE => self.inline.eop.val(),
            PAYLOAD => self.payload.eop.val(),
            _ => true,
        };
        let hdr = match current {
            CPL => self.cpl.hdr.val(),
            INLINE => self.inline.hdr.val(),
            PAYLOAD => self.payload.hdr.val(),
            _ => self.np_hdr.val(),
        };
        let data = match current {
            CPL => self.cpl.data.val(),
            INLINE => self.inline.data.val(),
            PAYLOAD => self.payload.data.val(),
            _ => lit::<D>(0),
        };
        let beat = go && valid;
        if out_free {
            self.valid.d.next = beat && !swallow;
            self.sop.d.next = sop;
            self.eop.d.next = eop;
            self.hdr.d.next = hdr;
            self.data.d.next = data;
        }
        if beat {
            // What is swallowed is swallowed beat by beat: its source may be reset in the midst of a TLP.
            self.under_way.d.next = !eop && !swallow;
            self.source.d.next = current;
        }
        let sent = starting && beat && !swallow;
        if starting && beat {
            self.turn.d.next = current + 1;
        }
        let posted = current == INLINE || current == PAYLOAD;
        if sent && posted {
            self.ph.d.next = self.ph.q.val() + 1;
            self.pd.d.next = self.pd.q.val() + data_credits(hdr);
        }
        if sent && current == READ {
            self.nph.d.next = self.nph.q.val() + 1;
        }
        self.stat.d.next =
            lit::<2>(0).replace_bit(0, sent && posted).replace_bit(1, sent && current == CPL);
        self.stat_write.next = self.stat.q.val().get_bit(0);
        self.stat_completion.next = self.stat.q.val().get_bit(1);

        self.link.valid.next = self.valid.q.val();
        self.link.sop.next = self.sop.q.val();
        self.link.eop.next = self.eop.q.val();
        self.link.hdr.next = self.hdr.q.val();
        self.link.data.next = self.data.q.val();
        let dma_under_way = self.under_way.q.val() && self.source.q.val() != CPL;
        self.idle.next = !dma_under_way && !self.valid.q.val();
    }
}
