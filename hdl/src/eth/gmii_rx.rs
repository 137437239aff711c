//! The receive half of the MAC: bytes from the PHY's clock to words of frames without FCS.
//!
//! | port | what |
//! |---|---|
//! | `dv`, `er`, `rxd` | GMII: data valid, error, a byte a cycle |
//! | `word_*` | words of frames, see [Word] |
//! | `bad_fcs`, `runt`, `giant`, `lost` | a pulse a frame, at its end; so is `good` |
//!
//! A frame begins behind a start delimiter and is preamble, destination to FCS. It ends with `err`
//! if its FCS is wrong or the PHY said `er` (`bad_fcs`), if it has less than 64 bytes (`runt`), or
//! more than `_longest` (`giant`; it is cut there). Nothing can wait here: if the word before is
//! still there when a word is due, the frame is cut, its end with `err` follows when there is room,
//! and it counts as `lost`; so do frames that begin before that end was given away, of which
//! nothing is seen. A frame of 4 bytes or less is a runt that nobody else sees. What comes after
//! `dv` rises without a delimiter is ignored.
//!
//! A byte a cycle, a word every 4 cycles; the last word comes 2 cycles after `dv` falls.

use super::crc::{self, GOOD, START};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum RxState {
    Idle,
    Preamble,
    Frame,
    /// Until `dv` falls.
    Skip,
}

/// 4 bytes of a frame between the card and the wire.
#[record]
pub struct Word {
    /// The first byte in bits 7:0.
    pub data: Bits<32>,
    /// The last byte that counts: in all words but the last it is 3.
    pub last_byte: Bits<2>,
    pub last: Bit,
    /// With `last`: the frame is to be dropped.
    pub err: Bit,
}

/// Pulses at the end of a frame.
#[record]
struct Events {
    good: Bit,
    bad_fcs: Bit,
    runt: Bit,
    giant: Bit,
    lost: Bit,
}

#[derive(LogicBlock)]
pub struct GmiiRx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub dv: Signal<In, Bit>,
    pub er: Signal<In, Bit>,
    pub rxd: Signal<In, Bits<8>>,
    /// Stays until it is taken.
    pub word_valid: Signal<Out, Bit>,
    pub word_ready: Signal<In, Bit>,
    pub word: Signal<Out, Word>,
    pub good: Signal<Out, Bit>,
    pub bad_fcs: Signal<Out, Bit>,
    pub runt: Signal<Out, Bit>,
    pub giant: Signal<Out, Bit>,
    pub lost: Signal<Out, Bit>,
    state: Reg<RxState>,
    crc: Reg<Bits<32>>,
    /// Bytes so far.
    count: Reg<Bits<14>>,
    // Of `count`: below 64, 4 and more, as many as there may be.
    short: Reg<Bit>,
    some: Reg<Bit>,
    at_most: Reg<Bit>,
    /// The PHY said error.
    error: Reg<Bit>,
    // The last 4 bytes, which may be the FCS.
    late: Reg<Bits<32>>,
    // The word being filled.
    word_data: Reg<Bits<32>>,
    fill: Reg<Bits<3>>,
    // A word on its way out.
    out: Reg<Word>,
    out_valid: Reg<Bit>,
    /// The end of a frame that was cut is still to be given away.
    owed: Reg<Bit>,
    events: Reg<Events>,
    _longest: usize,
}

impl GmiiRx {
    /// `longest`: bytes of the longest frame, FCS included.
    pub fn new(longest: usize) -> Self {
        assert!((64..16000).contains(&longest));
        Self {
            clock: Default::default(),
            reset: Default::default(),
            dv: Default::default(),
            er: Default::default(),
            rxd: Default::default(),
            word_valid: Default::default(),
            word_ready: Default::default(),
            word: Default::default(),
            good: Default::default(),
            bad_fcs: Default::default(),
            runt: Default::default(),
            giant: Default::default(),
            lost: Default::default(),
            state: Default::default(),
            crc: Default::default(),
            count: Default::default(),
            short: Default::default(),
            some: Default::default(),
            at_most: Default::default(),
            error: Default::default(),
            late: Default::default(),
            word_data: Default::default(),
            fill: Default::default(),
            out: Default::default(),
            out_valid: Default::default(),
            owed: Default::default(),
            events: Default::default(),
            _longest: longest,
        }
    }
}

impl Default for GmiiRx {
    fn default() -> Self {
        Self::new(9216 + 14 + 4 + 4)
    }
}

impl Logic for GmiiRx {
    /// Receive half of the MAC: preamble, length and FCS checked and taken off.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, crc, count, short, some, at_most, error, fill);
        registers!(self, clock, reset; out, out_valid, owed, events);
        registers!(self, clock; late, word_data);
        let dv = self.dv.val();
        let er = self.er.val();
        let byte = self.rxd.val();
        let count = self.count.q.val();
        let fill = self.fill.q.val();
        let in_frame = self.state.q.val() == RxState::Frame;

        // Bytes move along: one that is 4 old is not FCS.
        let oldest = bit_cast::<8, 32>(self.late.q.val());
        if in_frame && dv {
            self.crc.d.next = crc::crc32_byte(self.crc.q.val(), byte);
            self.count.d.next = count + 1;
            self.short.d.next = count < 63;
            self.some.d.next = count >= 3;
            self.at_most.d.next = count == lit::<14>(self._longest - 1);
            self.late.d.next = crc::shift_in(self.late.q.val(), byte);
            self.error.d.next = self.error.q.val() || er;
            if self.some.q.val() {
                // A lane keeps what it had, behind the end of a frame too.
                let mut data = self.word_data.q.val();
                for i in 0..4 {
                    if bit_cast::<2, 3>(fill) == lit::<2>(i) {
                        data = data.set_slice::<8>(8 * i, oldest);
                    }
                }
                self.word_data.d.next = data;
                self.fill.d.next = if fill == 4 { lit::<3>(1) } else { fill + 1 };
            }
        }
        if !in_frame {
            self.crc.d.next = lit::<32>(START);
            self.count.d.next = lit::<14>(0);
            self.short.d.next = true;
            self.some.d.next = false;
            self.at_most.d.next = false;
            self.fill.d.next = lit::<3>(0);
            self.error.d.next = false;
        }

        // What is due.
        let starts = dv && !er && byte == 0xd5;
        let short = self.short.q.val();
        let bad = self.crc.q.val() != lit::<32>(GOOD) || self.error.q.val();
        let too_long = dv && self.at_most.q.val();
        let ends = in_frame && (!dv || too_long);
        let full_word = in_frame && fill == 4 && self.some.q.val();
        let push = (ends && fill != 0) || full_word;
        let err = too_long || short || bad;
        let free = !self.out_valid.q.val() || self.word_ready.val();
        let overflow = push && !free;
        let owed = self.owed.q.val();
        // A new frame while the end of one is owed.
        let crowded = owed
            && starts
            && (self.state.q.val() == RxState::Idle || self.state.q.val() == RxState::Preamble);
        if free {
            self.out_valid.d.next = push || owed;
        }
        // While an end is owed there is no frame, so nothing else is due.
        if free && owed {
            self.out.d.next =
                Word { data: lit::<32>(0), last_byte: lit::<2>(3), last: true, err: true };
            self.owed.d.next = false;
        } else if free {
            self.out.d.next = Word {
                data: self.word_data.q.val(),
                last_byte: if ends { bit_cast::<2, 3>(fill - 1) } else { lit::<2>(3) },
                last: ends,
                err: ends && err,
            };
        }
        if overflow {
            self.owed.d.next = true;
        }

        match self.state.q.val() {
            RxState::Idle => {
                if crowded {
                    self.state.d.next = RxState::Skip;
                } else if starts {
                    self.state.d.next = RxState::Frame;
                } else if dv && !er && byte == 0x55 {
                    self.state.d.next = RxState::Preamble;
                } else if dv {
                    self.state.d.next = RxState::Skip;
                }
            }
            RxState::Preamble => {
                if !dv {
                    self.state.d.next = RxState::Idle;
                } else if crowded {
                    self.state.d.next = RxState::Skip;
                } else if starts {
                    self.state.d.next = RxState::Frame;
                } else if er || byte != 0x55 {
                    self.state.d.next = RxState::Skip;
                }
            }
            RxState::Frame => {
                if !dv {
                    self.state.d.next = RxState::Idle;
                } else if too_long || overflow {
                    self.state.d.next = RxState::Skip;
                }
            }
            RxState::Skip => {
                if !dv {
                    self.state.d.next = RxState::Idle;
                }
            }
        }

        let whole = ends && !overflow;
        self.events.d.next = Events {
            good: whole && !err,
            bad_fcs: whole && bad && !short && !too_long,
            runt: whole && short,
            giant: whole && too_long,
            lost: overflow || crowded,
        };
        self.word_valid.next = self.out_valid.q.val();
        self.word.next = self.out.q.val();
        let events = self.events.q.val();
        self.good.next = events.good;
        self.bad_fcs.next = events.bad_fcs;
        self.runt.next = events.runt;
        self.giant.next = events.giant;
        self.lost.next = events.lost;
    }
}
