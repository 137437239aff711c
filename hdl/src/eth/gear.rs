//! Converts between the card's beats of D bits and words of 32 bits: [Narrow] towards the wire,
//! [Widen] from the wire. Words are those of [super::gmii_rx].
//!
//! | port | what |
//! |---|---|
//! | `beats` | frames of the card, a beat at a time |
//! | `word_*` | the same frames, a word at a time |
//! | `flush` | high while the card is in reset, at the beginning of a session |
//!
//! - **Latency**: none in [Narrow], whose word is part of the beat at its input. [Widen] offers a
//!   beat in the cycle after the beat's last word.
//! - **Throughput**: a word a cycle. [Narrow] takes a beat with the beat's last word.
//! - **Back-pressure**: [Widen] has a register for one beat and takes no word while that beat is
//!   stalled. [Narrow] holds nothing: a stalled word stalls its beat.
//! - **Flush**: the words' side is not in reset, and its neighbour must see whole frames. So
//!   [Narrow] ends a frame that it has begun with a word that has `err`, and takes no beat
//!   meanwhile. [Widen] drops words until `flush` is low and the frame then under way has ended.

use super::gmii_rx::Word;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

/// From the card's beats to words.
#[derive(LogicBlock, Default)]
pub struct Narrow<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub beats: MacSnk<D>,
    pub word_valid: Signal<Out, Bit>,
    pub word_ready: Signal<In, Bit>,
    pub word: Signal<Out, Word>,
    pub flush: Signal<In, Bit>,
    at: Reg<Bits<4>>,
    /// A frame's first word has left, its last has not.
    open: Reg<Bit>,
    /// After a flush: the word that ends the cut frame has not left yet.
    owes: Reg<Bit>,
}

/// The position of a frame's last byte in the last beat.
#[record]
struct LastByte {
    byte: Bits<2>,
    word: Bits<5>,
}

impl<const D: usize> Logic for Narrow<D> {
    /// Cuts a frame's beats into words.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; at, open, owes);
        let at = self.at.q.val();
        let last_byte = LastByte::from_bits(self.beats.bytes.val() - 1);
        let last = self.beats.last.val();
        let at_end =
            if last { bit_cast::<5, 4>(at) == last_byte.word } else { at == lit::<4>(D / 32 - 1) };
        let valid = self.beats.valid.val();
        let mut data = lit::<32>(0);
        for i in 0..(D / 32) {
            if at == lit::<4>(i) {
                data = self.beats.data.val().get_bits::<32>(32 * i);
            }
        }
        let ends = last && at_end;
        let stop = self.flush.val() || self.owes.q.val();
        self.word_valid.next = if stop { self.open.q.val() } else { valid };
        self.word.next = if stop {
            // The end of a frame that the flush cut.
            Word { data: lit::<32>(0), last_byte: lit::<2>(0), last: true, err: true }
        } else {
            Word {
                data,
                last_byte: if ends { last_byte.byte } else { lit::<2>(3) },
                last: ends,
                err: ends && self.beats.err.val(),
            }
        };
        self.beats.ready.next = self.word_ready.val() && at_end && !stop;
        if stop {
            self.at.d.next = lit::<4>(0);
            let still = self.open.q.val() && !self.word_ready.val();
            self.open.d.next = still;
            self.owes.d.next = still;
        } else if valid && self.word_ready.val() {
            self.at.d.next = if at_end { lit::<4>(0) } else { at + 1 };
            self.open.d.next = !ends;
        }
    }
}

/// From words to the card's beats.
#[derive(LogicBlock, Default)]
pub struct Widen<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub word_valid: Signal<In, Bit>,
    pub word_ready: Signal<Out, Bit>,
    pub word: Signal<In, Word>,
    pub beats: MacSrc<D>,
    pub flush: Signal<In, Bit>,
    data: Reg<Bits<D>>,
    at: Reg<Bits<4>>,
    whole: Reg<Bit>,
    last: Reg<Bit>,
    err: Reg<Bit>,
    bytes: Reg<Bits<7>>,
    /// A frame's first word has arrived, its last has not.
    open: Reg<Bit>,
    /// The rest of the frame is dropped.
    skip: Reg<Bit>,
}

impl<const D: usize> Logic for Widen<D> {
    /// Gathers a frame's words into beats.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; data, at, whole, last, err, bytes, open, skip);
        let flush = self.flush.val();
        let room = !self.whole.q.val() || self.beats.ready.val() || flush;
        let take = self.word_valid.val() && room;
        let word = self.word.val();
        let last = word.last;
        let at = self.at.q.val();
        let at_end = last || at == lit::<4>(D / 32 - 1);
        let drop = flush || self.skip.q.val();
        let open = if take { !last } else { self.open.q.val() };
        self.open.d.next = open;
        self.skip.d.next = drop && open;
        if room {
            self.whole.d.next = take && at_end && !drop;
        }
        if drop {
            self.at.d.next = lit::<4>(0);
        } else if take {
            let mut data = self.data.q.val();
            for i in 0..(D / 32) {
                if at == lit::<4>(i) {
                    data = data.set_slice::<32>(32 * i, word.data);
                }
            }
            self.data.d.next = data;
            self.at.d.next = if at_end { lit::<4>(0) } else { at + 1 };
            self.last.d.next = last;
            self.err.d.next = word.err;
            self.bytes.d.next =
                (bit_cast::<7, 4>(at) << lit::<7>(2)) + bit_cast::<7, 2>(word.last_byte) + 1;
        }
        self.word_ready.next = room;
        self.beats.valid.next = self.whole.q.val();
        self.beats.data.next = self.data.q.val();
        self.beats.last.next = self.last.q.val();
        self.beats.err.next = self.err.q.val();
        self.beats.bytes.next = self.bytes.q.val();
    }
}
