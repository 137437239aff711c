//! Keeps frames whole at the MAC: one that a reset cuts off is ended with `err`, so that the next
//! begins as a frame of its own.
//!
//! | port | what |
//! |---|---|
//! | `beats` | frames from `tx/out`, which a reset of the core silences anywhere |
//! | `cut` | the reset of the core; `reset` is only the card's own |
//! | `mac` | the same frames; whatever happens at `beats`, valid beats stay until they are taken |
//!
//! A beat a cycle (with `small` in two), one cycle later. While `mac` refuses, two beats wait here,
//! then `beats` waits. `beats` also waits while `cut` is high and until the end of the frame cut
//! off has been queued.

use crate::common::iface::*;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

/// What a beat has besides its data.
#[record]
struct BeatEnd {
    bytes: Bits<7>,
    last: Bit,
    err: Bit,
}

#[derive(LogicBlock, Default)]
pub struct TxFramer<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub cut: Signal<In, Bit>,
    pub beats: MacSnk<D>,
    pub mac: MacSrc<D>,
    data: Skid<Bits<D>>,
    /// Takes and gives together with `data`.
    ends: Skid<BeatEnd>,
    /// The end of the frame that began last is not yet queued.
    open: Reg<Bit>,
    cutting: Reg<Bit>,
}

impl<const D: usize> TxFramer<D> {
    pub fn new(small: bool) -> Self {
        Self { data: Skid::new(small), ends: Skid::new(small), ..Self::default() }
    }
}

impl<const D: usize> Logic for TxFramer<D> {
    /// Ends frames that a reset cut off.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; data, ends);
        registers!(self, clock, reset; open, cutting);
        let room = self.ends.in_ready.val();
        let closed = self.cut.val() || self.cutting.q.val();
        let take = self.beats.valid.val() && room && !closed;
        let end = self.cutting.q.val() && room;
        self.beats.ready.next = room && !closed;
        if take {
            self.open.d.next = !self.beats.last.val();
        }
        if end {
            self.open.d.next = false;
            self.cutting.d.next = false;
        } else if self.cut.val() && self.open.q.val() {
            self.cutting.d.next = true;
        }
        self.data.in_valid.next = take || end;
        self.data.in_data.next = self.beats.data.val();
        self.ends.in_valid.next = take || end;
        self.ends.in_data.next = if end {
            BeatEnd { bytes: lit::<7>(1), last: true, err: true }
        } else {
            let beat = self.beats.get();
            BeatEnd { bytes: beat.bytes, last: beat.last, err: beat.err }
        };

        let end = self.ends.out_data.val();
        self.mac.valid.next = self.ends.out_valid.val();
        self.mac.put(Mac {
            data: self.data.out_data.val(),
            last: end.last,
            bytes: end.bytes,
            err: end.err,
        });
        self.data.out_ready.next = self.mac.ready.val();
        self.ends.out_ready.next = self.mac.ready.val();
    }
}
