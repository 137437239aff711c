//! Of [TlpRx]: a non-posted request waits for the memory writes that came before it, and for
//! nothing else.
//!
//! Any number of writes may pass one that nobody takes: it stays free once those before it are
//! gone.

use super::rx::TlpRx;
use super::tlp;
use nitor_rtl::prelude::*;

/// Any request is followed, among writes of one and two beats, some of which are cut off, other
/// requests, and completions.
#[derive(LogicBlock, Default)]
pub struct RxOrder {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub link_valid: Signal<In, Bit>,
    /// 0 a write of a beat, 1 of two, 2 a request, 3 a completion.
    pub what: Signal<In, Bits<2>>,
    /// A write of two beats ends after the first.
    pub cut: Signal<In, Bit>,
    pub posted_ready: Signal<In, Bit>,
    pub np_ready: Signal<In, Bit>,
    /// The request that comes now is the one to follow.
    pub mark: Signal<In, Bit>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    rx: TlpRx<128>,
    /// In the second beat of a write.
    second: Reg<Bit>,
    sent: Reg<Bits<8>>,
    // Writes and requests that are inside; once one is followed those before it.
    writes: Reg<Bits<6>>,
    requests: Reg<Bits<6>>,
    marked: Reg<Bit>,
    gone: Reg<Bit>,
    /// Cycles in which the request was free and not on offer.
    waited: Reg<Bits<3>>,
}

impl RxOrder {
    pub fn new(small: bool) -> Self {
        Self { rx: TlpRx::new(small), ..Self::default() }
    }
}

/// From the link to the offer.
const THROUGH: u64 = 6;

impl Logic for RxOrder {
    /// A request waits for the writes before it, and for nothing else.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; second, sent, writes, requests, marked, gone, waited);
        clocked!(self, clock, reset; rx);
        let what = self.what.val();
        let second = self.second.q.val();
        let kind = match what {
            0 | 1 => lit::<8>(tlp::MWR32),
            2 => lit::<8>(tlp::MRD32),
            _ => lit::<8>(tlp::CPL),
        };
        let length = if what == 1 { lit::<10>(5) } else { lit::<10>(1) };
        let ends = second || what != 1 || self.cut.val();
        self.rx.link.valid.next = self.link_valid.val();
        self.rx.link.sop.next = !second;
        self.rx.link.eop.next = ends;
        let format = tlp::Format::from_bits(kind);
        let dw0 = tlp::Dw0 { length, format, ..tlp::Dw0::from_bits(lit::<32>(0)) };
        self.rx.link.hdr.next =
            tlp::Request { dw0, ..tlp::Request::from_bits(lit::<128>(0)) }.to_bits();
        self.rx.link.data.next = lit::<128>(0);
        self.rx.mps.next = lit::<3>(0);
        // A completion that waits would hold up the beats behind it.
        self.rx.cpl.ready.next = true;
        self.rx.posted.ready.next = self.posted_ready.val();
        self.rx.np.ready.next = self.np_ready.val();

        let comes = self.link_valid.val() && self.rx.link.ready.val();
        if comes {
            self.second.d.next = !ends;
        }
        let write_comes = comes && (second || what == 0);
        let request_comes = comes && !second && what == 2;
        let write_goes =
            self.rx.posted.valid.val() && self.posted_ready.val() && self.rx.posted.eop.val();
        let offered = self.rx.np.valid.val();
        let request_goes = offered && self.np_ready.val();
        if request_comes {
            self.sent.d.next = self.sent.q.val() + 1;
        }
        let marked = self.marked.q.val();
        let follows = marked && !self.gone.q.val();
        let front = follows && self.requests.q.val() == 0;
        let mut writes = self.writes.q.val();
        let mut requests = self.requests.q.val();
        if write_comes && !marked {
            writes = writes + 1;
        }
        if write_goes && writes != 0 {
            writes = writes - 1;
        }
        if request_goes && requests != 0 {
            requests = requests - 1;
        }
        let marks = request_comes && self.mark.val() && !marked;
        if request_comes && !marked && !marks {
            requests = requests + 1;
        }
        if marks {
            self.marked.d.next = true;
        }
        if front && request_goes {
            self.gone.d.next = true;
        }
        self.writes.d.next = writes;
        self.requests.d.next = requests;
        let free = front && self.writes.q.val() == 0;
        self.waited.d.next = if free && !offered { self.waited.q.val() + 1 } else { lit::<3>(0) };
        // A request comes only within the limit.
        let left = self.rx.rx_np_limit.val() - (self.sent.q.val() + 1);
        self.given.next = !self.link_valid.val() || second || what != 2 || !left.get_bit(7);
        self.ok.next = (!front || !offered || free)
            && bit_cast::<8, 3>(self.waited.q.val()) <= lit::<8>(THROUGH);
    }
}
