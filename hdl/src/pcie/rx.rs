//! TLPs from the link, sorted: completions to the read engine, requests to the target.
//!
//! Completions go straight through a register, one beat a cycle; `cpl.ready` is always honoured by the read engine.
//! Posted and non-posted requests wait in a FIFO each, of 32 and 16 beats. A non-posted request is offered once all
//! posted ones that came before it are taken, and never holds up posted ones. `rx_np_limit` counts the non-posted
//! headers that may be sent in all, so their FIFO cannot overflow; when the posted FIFO is full `link.ready` falls,
//! and the target empties it without waiting for anything upstream.
//!
//! A TLP that ends too early or too late for its length field is passed on to its end if it is a completion (the
//! read engine checks them) and swallowed if its type is unknown; `stat_malformed` pulses.

use super::tlp;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct TlpRx<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub link: TlpSnk<D>,
    pub cpl: TlpSrc<D>,
    pub posted: TlpSrc<D>,
    pub np: TlpSrc<D>,
    pub rx_np_limit: Signal<Out, Bits<8>>,
    pub stat_malformed: Signal<Out, Bit>,
    // A beat from the link.
    valid: Reg<Bit>,
    sop: Reg<Bit>,
    eop: Reg<Bit>,
    hdr: Reg<Bits<128>>,
    data: Reg<Bits<D>>,
    // Where the rest of the TLP goes.
    kind: Reg<Bits<2>>,
    posted_data: Fifo<D, 5>,
    posted_side: Fifo<130, 5>,
    // {posted requests before it, header}
    np_data: Fifo<32, 4>,
    np_side: Fifo<136, 4>,
    posted_in: Reg<Bits<8>>,
    posted_out: Reg<Bits<8>>,
    limit: Reg<Bits<8>>,
    malformed: Reg<Bit>,
}

const COMPLETION: u64 = 1;
const POSTED: u64 = 2;
const NON_POSTED: u64 = 3;

/// 0 for what no endpoint gets.
#[kernel]
fn classify(hdr: Bits<128>) -> Bits<2> {
    match hdr.get_bits::<8>(24) {
        tlp::CPL | tlp::CPLD => lit::<2>(COMPLETION),
        tlp::MWR32 | tlp::MWR64 => lit::<2>(POSTED),
        // Memory, I/O, configuration and locked reads and their writes.
        0x00 | 0x20 | 0x01 | 0x21 | 0x02 | 0x42 | 0x04 | 0x44 | 0x05 | 0x45 => lit::<2>(NON_POSTED),
        _ => lit::<2>(0),
    }
}

impl<const D: usize> Logic for TlpRx<D> {
    /// Sorts TLPs from the link: completions, posted and non-posted requests.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; valid, sop, eop, hdr, data, kind, posted_in, posted_out, limit, malformed);
        clocked!(self, clock, reset; posted_data, posted_side, np_data, np_side);
        let kind = if self.sop.q.val() { classify(self.hdr.q.val()) } else { self.kind.q.val() };
        let to_cpl = kind == COMPLETION;
        let to_posted = kind == POSTED;
        let room =
            (!to_cpl || self.cpl.ready.val()) && (!to_posted || self.posted_data.in_ready.val());
        let go = self.valid.q.val() && room;
        let ready = !self.valid.q.val() || room;
        self.link.ready.next = ready;
        if ready {
            self.valid.d.next = self.link.valid.val();
            self.sop.d.next = self.link.sop.val();
            self.eop.d.next = self.link.eop.val();
            self.hdr.d.next = self.link.hdr.val();
            self.data.d.next = self.link.data.val();
        }
        if go {
            self.kind.d.next = kind;
        }
        self.malformed.d.next = go && self.sop.q.val() && kind == 0;
        self.stat_malformed.next = self.malformed.q.val();

        self.cpl.valid.next = self.valid.q.val() && to_cpl;
        self.cpl.sop.next = self.sop.q.val();
        self.cpl.eop.next = self.eop.q.val();
        self.cpl.hdr.next = self.hdr.q.val();
        self.cpl.data.next = self.data.q.val();

        let push_posted = go && to_posted;
        self.posted_data.in_valid.next = push_posted;
        self.posted_data.in_data.next = self.data.q.val();
        self.posted_side.in_valid.next = push_posted;
        self.posted_side.in_data.next = cat::<1, 129, 130>(
            Bits::<1>::from(self.eop.q.val()),
            cat::<1, 128, 129>(Bits::<1>::from(self.sop.q.val()), self.hdr.q.val()),
        );
        if push_posted && self.eop.q.val() {
            self.posted_in.d.next = self.posted_in.q.val() + 1;
        }
        let posted = self.posted_side.out_data.val();
        self.posted.valid.next = self.posted_side.out_valid.val();
        self.posted.sop.next = posted.get_bit(128);
        self.posted.eop.next = posted.get_bit(129);
        self.posted.hdr.next = posted.get_bits::<128>(0);
        self.posted.data.next = self.posted_data.out_data.val();
        self.posted_data.out_ready.next = self.posted.ready.val();
        self.posted_side.out_ready.next = self.posted.ready.val();
        if self.posted_side.out_valid.val() && self.posted.ready.val() && posted.get_bit(129) {
            self.posted_out.d.next = self.posted_out.q.val() + 1;
        }

        // A non-posted request has at most one dword of data.
        let push_np = go && kind == NON_POSTED && self.sop.q.val();
        self.np_data.in_valid.next = push_np;
        self.np_data.in_data.next = self.data.q.val().get_bits::<32>(0);
        self.np_side.in_valid.next = push_np;
        self.np_side.in_data.next = cat::<8, 128, 136>(self.posted_in.q.val(), self.hdr.q.val());
        let np = self.np_side.out_data.val();
        // Modulo 256, with at most 32 posted requests waiting.
        let behind = (self.posted_out.q.val() - np.get_bits::<8>(128)).get_bit(7);
        self.np.valid.next = self.np_side.out_valid.val() && !behind;
        self.np.sop.next = true;
        self.np.eop.next = true;
        self.np.hdr.next = np.get_bits::<128>(0);
        self.np.data.next = bit_cast::<D, 32>(self.np_data.out_data.val());
        let pop_np = self.np.ready.val() && !behind;
        self.np_data.out_ready.next = pop_np;
        self.np_side.out_ready.next = pop_np;
        if pop_np && self.np_side.out_valid.val() {
            self.limit.d.next = self.limit.q.val() + 1;
        }
        self.rx_np_limit.next = self.limit.q.val() + 16;
    }
}
