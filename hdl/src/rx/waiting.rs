//! The queue of stored frames that wait for buffers: the [Frame] of each, in block RAM.
//!
//! `len_*` says that `rx/input` has stored a frame. Some cycles later `flow_*` gives its flow, from
//! `rx/steer` or `rx/classify`, and `sums_*` its checksums, from `rx/checksum`. Each is valid for
//! one cycle.
//!
//! **Room.** 2^F frames, as many of 60 bytes as the RX buffer holds: F = B + L - 5. `rx/input`
//! counts them, so that nothing here is ever full and nothing is refused. Parts of frames that lack
//! another part wait in queues as deep as their classifier: a frame can end in each of the 18
//! cycles that checksums take, and flow and checksums are less than 8 frames apart.
//!
//! **Speed.** A frame a cycle in and out, shown 3 cycles after its last part. On a small card
//! (`_small`) frames come from the serial classifier, many cycles apart. It keeps each in two
//! words, as a block RAM is 36 bits wide: 4 cycles a frame, on a data path of 16 bytes.

use super::words::{Flow, Frame, StoredSrc, Sums};
use crate::common::block_fifo::BlockFifo;
use crate::common::fifo::Fifo;
use crate::common::ram::BlockRam;
use nitor_rtl::prelude::*;

const FRAME_BITS: usize = <Frame as Synth>::BITS;
const HALF: usize = FRAME_BITS / 2;

/// A [Frame] in two words.
#[record]
struct Halves {
    first: Bits<HALF>,
    second: Bits<HALF>,
}

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
    pub flow: Signal<In, Flow>,
    pub sums_valid: Signal<In, Bit>,
    pub sums: Signal<In, Sums>,
    pub frame: StoredSrc,
    // Parts of frames of which one is missing.
    lens: Fifo<Bits<16>, 5>,
    flows: Fifo<Flow, 3>,
    sums_queue: Fifo<Sums, 3>,
    whole: BlockFifo<Frame, F>,
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
        if small {
            new.lens = Fifo::of_depth(2);
        }
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

        self.lens.in_valid.next = self.len_valid.val();
        self.lens.in_data.next = self.len.val();
        self.flows.in_valid.next = self.flow_valid.val() && !self._small;
        self.flows.in_data.next = self.flow.val();
        self.sums_queue.in_valid.next = self.sums_valid.val() && self._checksums;
        self.sums_queue.in_data.next = self.sums.val();
        let known = if self._small { self.flow_valid.val() } else { self.flows.out_valid.val() };
        let comes = if self._checksums { known && self.sums_queue.out_valid.val() } else { known };
        self.lens.out_ready.next = comes;
        self.flows.out_ready.next = comes;
        self.sums_queue.out_ready.next = comes;
        let frame = Frame {
            flow: if self._small { self.flow.val() } else { self.flows.out_data.val() },
            sums: if self._checksums {
                self.sums_queue.out_data.val()
            } else {
                // Not verified: see `rx/checksum`.
                Sums { l3_err: true, l4_err: false, l4_checked: false }
            },
            len: self.lens.out_data.val(),
        };

        self.whole.in_valid.next = comes && !self._small;
        self.whole.in_data.next = frame;
        self.whole.out_ready.next = self.frame.ready.val();

        // Two words a frame, at {frame, half}.
        let tail = self.tail.q.val();
        let second = self.second.q.val();
        let halves = Halves::from_bits(frame.to_bits::<FRAME_BITS>());
        self.rest.d.next = halves.second;
        if self._small {
            self.second.d.next = comes;
            self.halves.we.next = comes || second;
        } else {
            self.second.d.next = false;
            self.halves.we.next = second;
        }
        self.halves.waddr.next = (tail << lit::<B>(1)).replace_bit(0, second);
        self.halves.wdata.next = if second { self.rest.q.val() } else { halves.first };
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
                if self.frame.ready.val() {
                    self.head.d.next = head + 1;
                    self.reading.d.next = Reading::First;
                }
            }
        }
        let read = Halves { first: self.first.q.val(), second: self.halves.rdata.val() };
        if self._small {
            self.frame.valid.next = reading == Reading::Shown;
            self.frame.data.next = Frame::from_bits(read.to_bits::<FRAME_BITS>());
        } else {
            self.frame.valid.next = self.whole.out_valid.val();
            self.frame.data.next = self.whole.out_data.val();
        }
    }
}
