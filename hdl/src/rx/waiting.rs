//! The frames that are stored and wait for buffers: what is known of each, in block RAM, in their order.
//!
//! `len_*` is a frame that `rx/input` has stored, `flow_*` and `sums_*` what `rx/steer` (or `rx/classify`) and `rx/checksum` find of it
//! some cycles later, each valid for one cycle. The three together are a [frame](super::words::frame).
//!
//! **Room.** 2^F frames, as many of 60 bytes as the RX buffer holds: F = B + L - 5. `rx/input` counts them, so nothing here is ever full,
//! and nothing is refused. A frame of which a part is still to come waits in front, in queues as deep as its classifier is long: a frame
//! can end in each of the 18 cycles that checksums take, and flow and checksums are less than 8 frames apart.
//!
//! **Speed.** A frame a cycle in and out; shown 3 cycles after its last part. A small card (`_small`) has a serial classifier, from which frames
//! come many cycles apart, and keeps each in two words, as a block RAM is 36 bits wide: 4 cycles a frame, on a data path of 16 bytes.

use super::words::{flow, frame, FRAME_BITS, STEER_BITS};
use crate::common::block_fifo::BlockFifo;
use crate::common::fifo::Fifo;
use crate::common::queue::Queue;
use crate::common::ram::BlockRam;
use nitor_rtl::prelude::*;

const HALF: usize = FRAME_BITS / 2;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Reading {
    First,
    Second,
    Shown,
}

#[derive(LogicBlock, Default)]
pub struct RxWaiting<const B: usize, const F: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub len_valid: Signal<In, Bit>,
    pub len: Signal<In, Bits<16>>,
    pub flow_valid: Signal<In, Bit>,
    pub flow: Signal<In, Bits<STEER_BITS>>,
    pub sums_valid: Signal<In, Bit>,
    pub sums: Signal<In, Bits<3>>,
    pub frame_valid: Signal<Out, Bit>,
    pub frame_ready: Signal<In, Bit>,
    pub frame: Signal<Out, Bits<FRAME_BITS>>,
    // Parts of frames of which one is missing.
    lens: Queue<Bits<16>, 5, 2>,
    flows: Fifo<Bits<STEER_BITS>, 3>,
    sums_queue: Fifo<Bits<3>, 3>,
    whole: BlockFifo<Bits<FRAME_BITS>, F>,
    // On a small card: two words a frame.
    halves: BlockRam<Bits<HALF>, B>,
    /// Frames in and out.
    tail: Reg<Bits<B>>,
    head: Reg<Bits<B>>,
    /// The second half is written in this cycle.
    second: Reg<Bit>,
    rest: Reg<Bits<HALF>>,
    reading: Reg<Reading>,
    first: Reg<Bits<HALF>>,
    _checksums: bool,
    _small: bool,
}

impl<const B: usize, const F: usize> RxWaiting<B, F> {
    /// `small` goes with the serial classifier.
    pub fn new(checksums: bool, small: bool) -> Self {
        assert!(!(small && checksums));
        let mut new = Self { _checksums: checksums, _small: small, ..Self::default() };
        new.lens._small = small;
        new
    }
}

impl<const B: usize, const F: usize> Logic for RxWaiting<B, F> {
    /// Frames that wait for buffers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; tail, head, second, reading);
        registers!(self, clock; rest, first);
        clocked!(self, clock, reset; lens, flows, sums_queue, whole);
        clocked!(self, clock; halves);
        let small = lit::<1>(self._small as usize).any();
        let checksums = lit::<1>(self._checksums as usize).any();

        self.lens.in_valid.next = self.len_valid.val();
        self.lens.in_data.next = self.len.val();
        self.flows.in_valid.next = self.flow_valid.val() && !small;
        self.flows.in_data.next = self.flow.val();
        self.sums_queue.in_valid.next = self.sums_valid.val() && checksums;
        self.sums_queue.in_data.next = self.sums.val();
        let known = if small { self.flow_valid.val() } else { self.flows.out_valid.val() };
        let comes = known && (self.sums_queue.out_valid.val() || !checksums);
        self.lens.out_ready.next = comes;
        self.flows.out_ready.next = comes;
        self.sums_queue.out_ready.next = comes;
        let found = if small { self.flow.val() } else { self.flows.out_data.val() };
        // Not verified: see `rx/checksum`.
        let sums = if checksums { self.sums_queue.out_data.val() } else { lit::<3>(1) };
        let word = bit_cast::<FRAME_BITS, STEER_BITS>(found)
            .set_slice::<3>(flow::SUMS, sums)
            .set_slice::<16>(frame::LEN, self.lens.out_data.val());

        self.whole.in_valid.next = comes && !small;
        self.whole.in_data.next = word;
        self.whole.out_ready.next = self.frame_ready.val();

        // Two words a frame, at {frame, half}.
        let tail = self.tail.q.val();
        let second = self.second.q.val();
        self.second.d.next = comes && small;
        self.rest.d.next = bit_cast::<HALF, FRAME_BITS>(word >> lit::<FRAME_BITS>(HALF));
        self.halves.we.next = (comes && small) || second;
        self.halves.waddr.next = (tail << lit::<B>(1)).replace_bit(0, second);
        self.halves.wdata.next =
            if second { self.rest.q.val() } else { bit_cast::<HALF, FRAME_BITS>(word) };
        if second {
            self.tail.d.next = tail + 1;
        }
        let head = self.head.q.val();
        let reading = self.reading.q.val();
        self.halves.raddr.next = (head << lit::<B>(1)).replace_bit(0, reading != Reading::First);
        match reading {
            Reading::First => {
                if head != tail {
                    self.reading.d.next = Reading::Second;
                }
            }
            Reading::Second => {
                self.first.d.next = self.halves.rdata.val();
                self.reading.d.next = Reading::Shown;
            }
            Reading::Shown => {
                if self.frame_ready.val() {
                    self.head.d.next = head + 1;
                    self.reading.d.next = Reading::First;
                }
            }
        }
        if small {
            self.frame_valid.next = reading == Reading::Shown;
            self.frame.next =
                cat::<HALF, HALF, FRAME_BITS>(self.halves.rdata.val(), self.first.q.val());
        } else {
            self.frame_valid.next = self.whole.out_valid.val();
            self.frame.next = self.whole.out_data.val();
        }
    }
}
