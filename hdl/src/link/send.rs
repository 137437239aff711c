//! The sending half of the host link: gathers TLPs and answers into frames, and keeps the frames
//! until the host acknowledges them.
//!
//! | port | what |
//! |---|---|
//! | `tlp` | TLPs from the card |
//! | `reply_*` | the value of a read |
//! | `heard`, `ack`, `nak`, `due`, `repeat`, `expected`, `session` | from [super::receive] |
//! | `credit`, `irq`, `wire_up` | the card's state, sent with every frame |
//! | `frame_*` | words of a frame to the cable |
//! | `frame_words` | the frame's length, from its first word on |
//!
//! **Filling.** A message is written into the open frame word by word. The frame is closed when the
//! longest message might not fit any more, or as soon as no message waits and no frame is leaving:
//! a lone TLP leaves at once, and under load frames fill.
//!
//! **Leaving.** Words leave through a skid buffer. A frame begins only when the buffer is empty,
//! since `frame_words` must hold until the frame before has left. When the host must be answered
//! (`due`), or when `irq` or `wire_up` has changed, and no frame is ready, an answer without
//! messages leaves.
//!
//! **Sending again.** [super::NAK], or `_patience` cycles without an acknowledgement, sends again
//! from the first frame that is not acknowledged.
//!
//! - **Latency**: in an idle block, the frame for a TLP with n words of data begins to leave 8 + n
//!   cycles after the TLP's first beat, if its beats follow without a pause.
//! - **Throughput**: a TLP with n words of data is taken in 5 + n cycles; a word a cycle leaves.
//! - **Back-pressure**: 2^W frames are kept, each until it is acknowledged. While all are in use
//!   `tlp` and `reply` are stalled.

use super::*;
use crate::common::iface::*;
use crate::common::ram::{BlockRam, LutRam};
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Filling {
    Idle,
    Header,
    Data,
    Value,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Leaving {
    Idle,
    Word0,
    Word1,
    Body,
}

/// The card's state whose changes are reported without a request.
#[record]
struct Status {
    irq: Bit,
    wire: Bit,
}

#[derive(LogicBlock)]
pub struct LinkSend<const D: usize, const W: usize, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tlp: TlpSnk<D>,
    pub reply_valid: Signal<In, Bit>,
    pub reply_ready: Signal<Out, Bit>,
    pub reply: Signal<In, Bits<32>>,
    pub heard: Signal<In, Bit>,
    pub ack: Signal<In, Bits<8>>,
    pub nak: Signal<In, Bit>,
    pub due: Signal<In, Bit>,
    pub repeat: Signal<In, Bit>,
    pub expected: Signal<In, Bits<8>>,
    pub session: Signal<In, Bits<16>>,
    pub credit: Signal<In, Bits<8>>,
    pub irq: Signal<In, Bit>,
    pub wire_up: Signal<In, Bit>,
    pub frame_valid: Signal<Out, Bit>,
    pub frame_ready: Signal<In, Bit>,
    pub frame: Signal<Out, WordOut>,
    pub frame_words: Signal<Out, Bits<9>>,
    pub stat_frame: Signal<Out, Bit>,
    pub stat_again: Signal<Out, Bit>,
    // A = W + 9: slots of 512 words.
    ram: BlockRam<Bits<32>, A>,
    lengths: LutRam<Bits<9>, W>,
    out: Skid<WordOut>,
    // Frame numbers: `base`..`next` are kept, sent or not; `next` is open; `leave` leaves next.
    base: Reg<Bits<8>>,
    leave: Reg<Bits<8>>,
    next: Reg<Bits<8>>,
    // Input registers of an acknowledgement; `told` is the number of frames it acknowledges.
    heard_in: Reg<Bit>,
    nak_in: Reg<Bit>,
    told: Reg<Bits<8>>,
    // The open frame; `place`: it has a slot.
    place: Reg<Bit>,
    fill: Reg<Bits<9>>,
    filling: Reg<Filling>,
    part: Reg<Bits<4>>,
    left: Reg<Bits<8>>,
    // The frame that is leaving.
    leaving: Reg<Leaving>,
    pos: Reg<Bits<9>>,
    length: Reg<Bits<9>>,
    number: Reg<Bits<8>>,
    answer: Reg<Bit>,
    answer_nak: Reg<Bit>,
    status: Reg<Status>,
    word0: Reg<Word0>,
    patience: Reg<Bits<24>>,
    sent_out: Reg<Bit>,
    again_out: Reg<Bit>,
    _patience: usize,
}

impl<const D: usize, const W: usize, const A: usize> Default for LinkSend<D, W, A> {
    fn default() -> Self {
        Self::new(1_000_000)
    }
}

impl<const D: usize, const W: usize, const A: usize> LinkSend<D, W, A> {
    /// `patience`: cycles without an acknowledgement until frames are sent again.
    pub fn new(patience: usize) -> Self {
        assert!(A == W + 9 && (1..=6).contains(&W) && patience < 1 << 24);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tlp: Default::default(),
            reply_valid: Default::default(),
            reply_ready: Default::default(),
            reply: Default::default(),
            heard: Default::default(),
            ack: Default::default(),
            nak: Default::default(),
            due: Default::default(),
            repeat: Default::default(),
            expected: Default::default(),
            session: Default::default(),
            credit: Default::default(),
            irq: Default::default(),
            wire_up: Default::default(),
            frame_valid: Default::default(),
            frame_ready: Default::default(),
            frame: Default::default(),
            frame_words: Default::default(),
            stat_frame: Default::default(),
            stat_again: Default::default(),
            ram: Default::default(),
            lengths: Default::default(),
            out: Default::default(),
            place: Default::default(),
            heard_in: Default::default(),
            nak_in: Default::default(),
            told: Default::default(),
            base: Default::default(),
            leave: Default::default(),
            next: Default::default(),
            fill: Default::default(),
            filling: Default::default(),
            part: Default::default(),
            left: Default::default(),
            leaving: Default::default(),
            pos: Default::default(),
            length: Default::default(),
            number: Default::default(),
            answer: Default::default(),
            answer_nak: Default::default(),
            status: Default::default(),
            word0: Default::default(),
            patience: Default::default(),
            sent_out: Default::default(),
            again_out: Default::default(),
            _patience: patience,
        }
    }
}

impl<const D: usize, const W: usize, const A: usize> Logic for LinkSend<D, W, A> {
    /// Host link, sending: TLPs and answers in frames that are kept until acknowledged.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; base, leave, next, fill, filling, part, left, leaving, pos,
            length, number);
        registers!(self, clock, reset; answer, answer_nak, status, patience, sent_out, again_out);
        registers!(self, clock, reset; place, heard_in, nak_in, told);
        registers!(self, clock; word0);
        clocked!(self, clock; ram, lengths);
        clocked!(self, clock, reset; out);

        // Filling.
        let fill = self.fill.q.val();
        let under_way = self.next.q.val() - self.base.q.val();
        let place = self.place.q.val();
        let hdr = self.tlp.hdr.val();
        let data_words = if hdr.get_bit(30) { hdr.get_bits::<8>(0) } else { lit::<8>(0) };
        let part = self.part.q.val();
        let left = self.left.q.val();
        let full = fill > lit::<9>(MOST_WORDS - LONGEST);
        let mut put = false;
        let mut value = lit::<32>(0);
        let mut tlp_ready = false;
        let mut reply_ready = false;
        let mut quiet = false;
        match self.filling.q.val() {
            Filling::Idle => {
                if !place || full {
                    quiet = place;
                } else if self.reply_valid.val() {
                    put = true;
                    let words = lit::<8>(1);
                    let info = lit::<16>(0);
                    let message = Message { kind: lit::<8>(BUS_VALUE), words, info };
                    value = message.to_bits::<32>();
                    self.filling.d.next = Filling::Value;
                } else if self.tlp.valid.val() {
                    put = true;
                    let info = lit::<16>(0);
                    let message = Message { kind: lit::<8>(TLP), words: data_words, info };
                    value = message.to_bits::<32>();
                    self.left.d.next = data_words;
                    self.part.d.next = lit::<4>(0);
                    self.filling.d.next = Filling::Header;
                } else {
                    quiet = true;
                }
            }
            Filling::Header => {
                put = true;
                for i in 0..4 {
                    if part == lit::<4>(i) {
                        value = hdr.get_bits::<32>(32 * i);
                    }
                }
                self.part.d.next = part + 1;
                if part == 3 {
                    self.part.d.next = lit::<4>(0);
                    if left == 0 {
                        tlp_ready = true;
                        self.filling.d.next = Filling::Idle;
                    } else {
                        self.filling.d.next = Filling::Data;
                    }
                }
            }
            Filling::Data => {
                // The TLP's next beat may come some cycles later.
                if self.tlp.valid.val() {
                    put = true;
                    for i in 0..(D / 32) {
                        if part == lit::<4>(i) {
                            value = self.tlp.data.val().get_bits::<32>(32 * i);
                        }
                    }
                    self.part.d.next = part + 1;
                    self.left.d.next = left - 1;
                    if part == lit::<4>(D / 32 - 1) || left == 1 {
                        self.part.d.next = lit::<4>(0);
                        tlp_ready = true;
                    }
                    if left == 1 {
                        self.filling.d.next = Filling::Idle;
                    }
                }
            }
            Filling::Value => {
                put = true;
                value = self.reply.val();
                reply_ready = true;
                self.filling.d.next = Filling::Idle;
            }
        }
        self.tlp.ready.next = tlp_ready;
        self.reply_ready.next = reply_ready;
        let place_at = bit_cast::<A, 8>(self.next.q.val() & lit::<8>((1 << W) - 1)) << lit::<5>(9);
        self.ram.we.next = put;
        self.ram.waddr.next = place_at | bit_cast::<A, 9>(fill);
        self.ram.wdata.next = value;
        if put {
            self.fill.d.next = fill + 1;
        }
        // The frame is closed when the longest message might not fit, or when nothing else waits.
        let idle = self.leaving.q.val() == Leaving::Idle;
        let nothing = self.leave.q.val() == self.next.q.val();
        let close = place && fill != 0 && quiet && (full || (idle && nothing));
        self.place.d.next = !close && under_way < lit::<8>(1 << W);
        self.lengths.we.next = close;
        self.lengths.waddr.next = bit_cast::<W, 8>(self.next.q.val());
        self.lengths.wdata.next = fill;
        let next = if close { self.next.q.val() + 1 } else { self.next.q.val() };
        self.next.d.next = next;
        if close {
            self.fill.d.next = lit::<9>(0);
        }

        // Acknowledgements: only frames that are kept can be acknowledged. Each step has a cycle,
        // since acknowledgements are at least a frame apart.
        self.heard_in.d.next = self.heard.val();
        self.nak_in.d.next = self.heard.val() && self.nak.val();
        self.told.d.next = self.ack.val() - self.base.q.val();
        let told = self.told.q.val();
        let moved = self.heard_in.q.val() && told != 0 && told <= under_way;
        if moved {
            self.base.d.next = self.base.q.val() + told;
        }
        // `leave` is behind `base` if frames that are being sent again were acknowledged meanwhile.
        let mut leave = self.leave.q.val();
        let behind = (leave - self.base.q.val()).get_bit(7);
        let waits = self.base.q.val() != self.leave.q.val();
        let late = self.patience.q.val() == lit::<24>(self._patience);
        let again = waits && (self.nak_in.q.val() || late);
        let patience =
            (self.patience.q.val() + 1) & lit::<24>((1 << clog2(self._patience + 1)) - 1);
        self.patience.d.next = if !waits || moved || late { lit::<24>(0) } else { patience };
        self.again_out.d.next = again;

        // Leaving.
        let status = Status { irq: self.irq.val(), wire: self.wire_up.val() };
        let answer = self.answer.q.val();
        let length = self.length.q.val();
        let pos = self.pos.q.val();
        let mut pos_next = pos;
        self.sent_out.d.next = false;
        if self.due.val() || status != self.status.q.val() {
            self.answer.d.next = true;
        }
        if self.repeat.val() {
            self.answer_nak.d.next = true;
        }
        let number = self.number.q.val();
        self.lengths.raddr.next = bit_cast::<W, 8>(self.leave.q.val());
        let has_data = length != 0;
        let ready_frame = self.leave.q.val() != self.next.q.val() && !behind;
        let step = self.out.in_ready.val();
        let flags = Flags {
            data: ready_frame,
            open: false,
            irq: self.irq.val(),
            wire: self.wire_up.val(),
            nak: self.answer_nak.q.val(),
            ask: false,
            none: lit::<2>(0),
        };
        match self.leaving.q.val() {
            Leaving::Idle => {
                self.number.d.next = self.leave.q.val();
                pos_next = lit::<9>(0);
                self.word0.d.next = Word0 {
                    flags,
                    seq: self.leave.q.val(),
                    ack: self.expected.val(),
                    credit: self.credit.val(),
                };
                // `length` must not change before the frame's last word has left `out`.
                if (ready_frame || answer) && !self.out.out_valid.val() {
                    self.length.d.next =
                        if ready_frame { self.lengths.rdata.val() } else { lit::<9>(0) };
                    self.answer.d.next = self.due.val();
                    self.answer_nak.d.next = self.repeat.val();
                    self.status.d.next = status;
                    self.leaving.d.next = Leaving::Word0;
                }
            }
            Leaving::Word0 => {
                // Never reached: `out` is empty here, for `Idle` has waited for that.
                if step {
                    self.leaving.d.next = Leaving::Word1;
                }
            }
            Leaving::Word1 => {
                // Never reached: `out` has room for two words.
                if step {
                    if has_data {
                        self.leaving.d.next = Leaving::Body;
                    } else {
                        self.leaving.d.next = Leaving::Idle;
                        self.sent_out.d.next = true;
                    }
                }
            }
            Leaving::Body => {
                if step {
                    pos_next = pos + 1;
                    if pos + 1 == length {
                        self.leaving.d.next = Leaving::Idle;
                        self.sent_out.d.next = true;
                        // Unless `leave` went back meanwhile, to send frames again.
                        if number == leave {
                            leave = leave + 1;
                        }
                    }
                }
            }
        }
        if again || behind {
            leave = self.base.q.val();
        }
        self.leave.d.next = leave;
        self.pos.d.next = pos_next;
        let leave_at = bit_cast::<A, 8>(number & lit::<8>((1 << W) - 1)) << lit::<5>(9);
        self.ram.raddr.next = leave_at | bit_cast::<A, 9>(pos_next);

        let word1 = Word1 { words: bit_cast::<16, 9>(length), session: self.session.val() };
        let leaving = self.leaving.q.val();
        let data = match leaving {
            Leaving::Word0 => self.word0.q.val().to_bits::<32>(),
            Leaving::Word1 => word1.to_bits::<32>(),
            _ => self.ram.rdata.val(),
        };
        let last = (leaving == Leaving::Word1 && !has_data)
            || (leaving == Leaving::Body && pos + 1 == length);
        self.out.in_valid.next = leaving != Leaving::Idle;
        self.out.in_data.next = WordOut { data, last };
        self.frame_valid.next = self.out.out_valid.val();
        self.frame.next = self.out.out_data.val();
        self.out.out_ready.next = self.frame_ready.val();
        self.frame_words.next = length + 2;
        self.stat_frame.next = self.sent_out.q.val();
        self.stat_again.next = self.again_out.q.val();
    }
}
