//! The receive half of the MAC: turns the PHY's bytes into words of frames without FCS.
//!
//! | port | what |
//! |---|---|
//! | `dv`, `er`, `rxd` | GMII: data valid, error, a byte a cycle |
//! | `word_*` | words of frames, see [Word] |
//! | `good`, `bad_fcs`, `runt`, `giant`, `lost` | one pulse for each frame |
//!
//! A frame reaches from the byte after the start delimiter, which is the destination address, to
//! the FCS. The preamble may have any length. If something else follows the rise of `dv`, bytes are
//! ignored until `dv` falls. The first row that applies to a frame counts:
//!
//! | frame | its last word | pulse |
//! |---|---|---|
//! | cut because a word was stalled | follows when there is room, has `err` | `lost`, at the cut |
//! | begins before that last word is offered | the frame gives no word | `lost`, at its beginning |
//! | shorter than 64 bytes | has `err`; up to 4 bytes give no word | `runt`, at its end |
//! | longer than `_longest` bytes | has `err`; the frame is cut there | `giant`, at the cut |
//! | wrong FCS, or `er` within the frame | has `err` | `bad_fcs`, at its end |
//! | any other | has no `err` | `good`, at its end |
//!
//! - **Latency**: a word is valid 6 cycles after its last byte was on `rxd`; for a frame's last
//!   word that is the second cycle after the FCS.
//! - **Throughput**: a byte a cycle, a word every 4 cycles.
//! - **Back-pressure**: the PHY cannot be stalled. If a word is still stalled when the next is due,
//!   the frame is cut and counts as `lost`.

use super::crc::{self, GOOD, START};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum RxState {
    Idle,
    Preamble,
    Frame,
    /// Ignores bytes until `dv` falls.
    Skip,
}

/// 4 bytes of a frame between the card and the wire.
#[record]
pub struct Word {
    /// The first byte in bits 7:0.
    pub data: Bits<32>,
    /// Index of the last valid byte: 3 in all words but a frame's last.
    pub last_byte: Bits<2>,
    pub last: Bit,
    /// With `last`: the receiver must drop the frame.
    pub err: Bit,
}

/// The pulses for a frame.
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
    /// Stays high until the word is taken.
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
    /// Bytes of the frame so far, FCS included.
    count: Reg<Bits<14>>,
    // `count` is below 64; it is 4 or more; it is `_longest`.
    short: Reg<Bit>,
    some: Reg<Bit>,
    at_most: Reg<Bit>,
    /// The PHY signalled an error within the frame.
    error: Reg<Bit>,
    // The last 4 bytes, which may be the FCS.
    late: Reg<Bits<32>>,
    // The word being filled.
    word_data: Reg<Bits<32>>,
    fill: Reg<Bits<3>>,
    // The word offered at `word_*`.
    out: Reg<Word>,
    out_valid: Reg<Bit>,
    /// The word that ends a cut frame has not been offered yet.
    owed: Reg<Bit>,
    events: Reg<Events>,
    _longest: usize,
}

impl GmiiRx {
    /// `longest`: bytes of the longest frame that is good, FCS included.
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
    /// Receive half of the MAC: checks preamble, length and FCS, and removes preamble and FCS.
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

        // A byte that 4 others follow is not part of the FCS.
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
                // The other lanes keep stale bytes, which a frame's last word may show.
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

        // The word that is due.
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
        // A frame begins before the end of the one that was cut has been offered.
        let crowded = owed
            && starts
            && (self.state.q.val() == RxState::Idle || self.state.q.val() == RxState::Preamble);
        if free {
            self.out_valid.d.next = push || owed;
        }
        // While `owed` is high the state is not `Frame`, so no other word is due.
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
