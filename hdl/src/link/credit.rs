//! Flow-control credits for a link that accepts every TLP sooner or later: each limit is the count
//! of what was accepted plus the largest lead that PCI Express allows, 127 headers or 2047 units of
//! data.
//!
//! `taken` and `hdr` tell of each TLP that the link accepts, by its first beat. `ph`, `pd` and
//! `nph` are the cumulative limits for `pcie/tx`: posted headers, posted data (units of 16 bytes),
//! non-posted headers. Memory writes, messages and memory reads count, one a cycle; a limit rises 2
//! cycles after `taken`.

use crate::pcie::tlp;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Credit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// A TLP's first beat is accepted; `hdr` is its header.
    pub taken: Signal<In, Bit>,
    pub hdr: Signal<In, Bits<128>>,
    pub ph: Signal<Out, Bits<8>>,
    pub pd: Signal<Out, Bits<12>>,
    pub nph: Signal<Out, Bits<8>>,
    ph_taken: Reg<Bits<8>>,
    pd_taken: Reg<Bits<12>>,
    nph_taken: Reg<Bits<8>>,
    seen: Reg<Bit>,
    kind: Reg<Bits<8>>,
    length: Reg<Bits<10>>,
}

impl Logic for Credit {
    /// Credits of a link that accepts every TLP.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; ph_taken, pd_taken, nph_taken, seen, kind, length);
        self.seen.d.next = self.taken.val();
        self.kind.d.next = self.hdr.val().get_bits::<8>(24);
        self.length.d.next = self.hdr.val().get_bits::<10>(0);
        let posted = match self.kind.q.val() {
            // A message has a header alone: its length is 0.
            tlp::MWR32 | tlp::MWR64 | tlp::MSG_TO_ROOT => true,
            _ => false,
        };
        let read = match self.kind.q.val() {
            tlp::MRD32 | tlp::MRD64 => true,
            _ => false,
        };
        let units = (bit_cast::<12, 10>(self.length.q.val()) + 3) >> lit::<4>(2);
        if self.seen.q.val() && posted {
            self.ph_taken.d.next = self.ph_taken.q.val() + 1;
            self.pd_taken.d.next = self.pd_taken.q.val() + units;
        }
        if self.seen.q.val() && read {
            self.nph_taken.d.next = self.nph_taken.q.val() + 1;
        }
        self.ph.next = self.ph_taken.q.val() + 127;
        self.pd.next = self.pd_taken.q.val() + 2047;
        self.nph.next = self.nph_taken.q.val() + 127;
    }
}
