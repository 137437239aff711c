//! The receiving half of the host link: checks frames, keeps them in order, and carries out their
//! messages as TLPs and bus accesses.
//!
//! | port | what |
//! |---|---|
//! | `word_*` | a frame's words from the cable; never stalled |
//! | `heard` | a pulse for each good frame of this session, with its `ack`, `nak` and `ask` |
//! | `expected` | the next frame number expected |
//! | `due` | a pulse: the host must be answered |
//! | `repeat` | a pulse: the answer must be a NAK |
//! | `opened` | a new session begins: resets the card and the link, but not `session` |
//! | `tlp` | TLPs to the card |
//! | `bus` | accesses to the management bus, one at a time |
//! | `board_*` | accesses to board registers; `reply` is the value to write |
//! | `reply_*` | the value of a read, to be sent to the host |
//!
//! A frame is stored word by word and is accepted when its end was good. Messages are carried out
//! one after another, so that all effects have the order in which the host sent them.
//!
//! - **Latency**: `heard`, `due`, `repeat` and `opened` pulse 2 cycles after a frame's last word.
//!   In an idle block a TLP without data is offered 10 cycles after the last word of its frame.
//! - **Throughput**: a word a cycle from the cable. A TLP with n words of data in b beats, at least
//!   one, takes 7 + n + b cycles.
//! - **Back-pressure**: a message waits until the card takes the TLP's beat, the bus answers, or
//!   the reply is taken. Meanwhile 2^S frames are kept. A frame for which there is no slot at its
//!   first word is dropped, and the host sends it again.

use super::*;
use crate::common::iface::*;
use crate::common::ram::{BlockRam, LutRam};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Doing {
    Idle,
    /// The first word of the next message is being read; the frame may have ended.
    Fetch,
    Message,
    /// The message's first word is in registers and is decoded.
    Decide,
    Header,
    Data,
    Beat,
    Value,
    Bus,
    Reply,
    Skip,
}

/// A TLP's header, filled a dword at a time.
#[record]
struct Header {
    rest: Bits<96>,
    newest: Bits<32>,
}

#[derive(LogicBlock, Default)]
pub struct LinkReceive<const D: usize, const S: usize, const A: usize> {
    pub clock: Signal<In, Clock>,
    /// Clears frames and messages; `hard_reset` clears the session's number.
    pub reset: Signal<In, Bit>,
    pub hard_reset: Signal<In, Bit>,
    pub word_valid: Signal<In, Bit>,
    pub word: Signal<In, WordIn>,
    pub heard: Signal<Out, Bit>,
    pub ack: Signal<Out, Bits<8>>,
    pub nak: Signal<Out, Bit>,
    pub ask: Signal<Out, Bit>,
    pub opened: Signal<Out, Bit>,
    pub session: Signal<Out, Bits<16>>,
    pub expected: Signal<Out, Bits<8>>,
    pub due: Signal<Out, Bit>,
    pub repeat: Signal<Out, Bit>,
    pub tlp: TlpSrc<D>,
    pub bus: RegBusSrc,
    pub board_addr: Signal<Out, Bits<16>>,
    pub board_value: Signal<In, Bits<32>>,
    /// `reply` must be written to board register `board_addr`.
    pub board_write: Signal<Out, Bit>,
    pub reply_valid: Signal<Out, Bit>,
    pub reply_ready: Signal<In, Bit>,
    pub reply: Signal<Out, Bits<32>>,
    pub stat_frame: Signal<Out, Bit>,
    pub stat_damaged: Signal<Out, Bit>,
    pub stat_again: Signal<Out, Bit>,
    // A = S + 9: slots of 512 words.
    ram: BlockRam<Bits<32>, A>,
    lengths: LutRam<Bits<9>, S>,
    // The frame that is arriving.
    at: Reg<Bits<10>>,
    head0: Reg<Word0>,
    head1: Reg<Word1>,
    kept: Reg<Bit>,
    judge: Reg<Bit>,
    judge_err: Reg<Bit>,
    known: Reg<Bit>,
    current: Reg<Bits<16>>,
    wanted: Reg<Bits<8>>,
    heard_out: Reg<Bit>,
    opened_out: Reg<Bit>,
    due_out: Reg<Bit>,
    repeat_out: Reg<Bit>,
    flags_out: Reg<Flags>,
    ack_out: Reg<Bits<8>>,
    damaged_out: Reg<Bit>,
    // Slots `head` to `tail` are in use; both are free-running counts.
    tail: Reg<Bits<8>>,
    head: Reg<Bits<8>>,
    // The message that is being carried out.
    doing: Reg<Doing>,
    pos: Reg<Bits<9>>,
    end: Reg<Bits<9>>,
    kind: Reg<Bits<8>>,
    info: Reg<Bits<16>>,
    left: Reg<Bits<8>>,
    part: Reg<Bits<4>>,
    hdr: Reg<Bits<128>>,
    data: Reg<Bits<D>>,
    first: Reg<Bit>,
    value: Reg<Bits<32>>,
    writes: Reg<Bit>,
    // A bus access is in flight; the bus, or a board register, has answered.
    asks: Reg<Bit>,
    answered: Reg<Bit>,
}

impl<const D: usize, const S: usize, const A: usize> Logic for LinkReceive<D, S, A> {
    /// Host link, receiving: carries out frames in order as TLPs and bus accesses.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; at, kept, judge, judge_err, wanted, heard_out, due_out,
            repeat_out);
        registers!(self, clock, reset; flags_out, ack_out, damaged_out, tail, head, doing, pos, end,
            kind, left);
        registers!(self, clock, reset; part, first, writes, asks, answered);
        registers!(self, clock, hard_reset; known, current, opened_out);
        registers!(self, clock; head0, head1, info, hdr, data, value);
        clocked!(self, clock; ram, lengths);

        // A frame arrives: words after the 512th are not kept.
        let word = self.word.val();
        let at = self.at.q.val();
        let room = (self.tail.q.val() - self.head.q.val()) < lit::<8>(1 << S);
        let fits = !at.get_bit(9);
        let slot = bit_cast::<A, 8>(self.tail.q.val() & lit::<8>((1 << S) - 1)) << lit::<5>(9);
        // A frame for which no slot was free at its first word is dropped, even if one gets free.
        let kept = if at == 0 { room } else { self.kept.q.val() };
        self.ram.we.next = self.word_valid.val() && fits && kept;
        self.ram.waddr.next = slot | bit_cast::<A, 10>(at);
        self.ram.wdata.next = word.data;
        self.judge.d.next = false;
        if self.word_valid.val() {
            self.kept.d.next = kept;
            if at == 0 {
                self.head0.d.next = Word0::from_bits(word.data);
            }
            if at == 1 {
                self.head1.d.next = Word1::from_bits(word.data);
            }
            if word.last {
                self.at.d.next = lit::<10>(0);
                self.judge.d.next = true;
                self.judge_err.d.next = word.err || at == 0 || !fits;
            } else if fits {
                self.at.d.next = at + 1;
            }
        }

        // At the frame's end: is it of this session, and is it the next one?
        let flags = self.head0.q.val().flags;
        let seq = self.head0.q.val().seq;
        let words = self.head1.q.val().words;
        let session = self.head1.q.val().session;
        let sound = self.judge.q.val() && !self.judge_err.q.val() && words <= lit::<16>(MOST_WORDS);
        let ours = sound && self.known.q.val() && session == self.current.q.val();
        let opens = sound && flags.open && !ours;
        let data = ours && flags.data;
        let next = data && seq == self.wanted.q.val();
        // Up to half of all numbers behind `wanted`: a copy of a frame that was accepted.
        let ahead = data && !next && !(seq - self.wanted.q.val()).get_bit(7);
        let take = next && self.kept.q.val();
        self.opened_out.d.next = opens;
        if opens {
            self.known.d.next = true;
            self.current.d.next = session;
        }
        self.heard_out.d.next = ours;
        self.flags_out.d.next = flags;
        self.ack_out.d.next = self.head0.q.val().ack;
        self.due_out.d.next = data || (ours && (flags.ask || flags.open));
        self.repeat_out.d.next = ahead || (next && !self.kept.q.val());
        self.damaged_out.d.next =
            self.judge.q.val() && (self.judge_err.q.val() || words > lit::<16>(MOST_WORDS));
        self.lengths.we.next = take;
        self.lengths.waddr.next = bit_cast::<S, 8>(self.tail.q.val());
        self.lengths.wdata.next = bit_cast::<9, 16>(words);
        if take {
            self.wanted.d.next = self.wanted.q.val() + 1;
            self.tail.d.next = self.tail.q.val() + 1;
        }
        self.heard.next = self.heard_out.q.val();
        self.ack.next = self.ack_out.q.val();
        self.nak.next = self.flags_out.q.val().nak;
        self.ask.next = self.flags_out.q.val().ask;
        self.opened.next = self.opened_out.q.val();
        self.session.next = self.current.q.val();
        self.expected.next = self.wanted.q.val();
        self.due.next = self.due_out.q.val();
        self.repeat.next = self.repeat_out.q.val();
        self.stat_frame.next = self.heard_out.q.val();
        self.stat_damaged.next = self.damaged_out.q.val();
        self.stat_again.next = self.due_out.q.val() && self.repeat_out.q.val();

        // Messages. The RAM's output is the word at `pos`; a step moves to the next.
        self.lengths.raddr.next = bit_cast::<S, 8>(self.head.q.val());
        let out = self.ram.rdata.val();
        let mut pos = self.pos.q.val();
        let mut step = false;
        let mut ends = false;
        let left = self.left.q.val();
        let part = self.part.q.val();
        let beat_full = part == lit::<4>(D / 32 - 1);
        let kind = self.kind.q.val();
        let board = kind == BOARD_READ || kind == BOARD_WRITE;
        let writes = self.writes.q.val();
        self.writes.d.next = kind == BUS_WRITE || kind == BOARD_WRITE;
        match self.doing.q.val() {
            Doing::Idle => {
                if self.tail.q.val() != self.head.q.val() {
                    pos = lit::<9>(2);
                    self.end.d.next = self.lengths.rdata.val() + 2;
                    self.doing.d.next = Doing::Fetch;
                }
            }
            Doing::Fetch => {
                if pos == self.end.q.val() {
                    self.head.d.next = self.head.q.val() + 1;
                    self.doing.d.next = Doing::Idle;
                } else {
                    self.doing.d.next = Doing::Message;
                }
            }
            Doing::Message => {
                step = true;
                let message = Message::from_bits(out);
                self.kind.d.next = message.kind;
                self.left.d.next = message.words;
                self.info.d.next = message.info;
                self.part.d.next = lit::<4>(0);
                self.first.d.next = true;
                self.doing.d.next = Doing::Decide;
            }
            Doing::Decide => {
                self.doing.d.next = match kind {
                    TLP => Doing::Header,
                    BUS_WRITE | BOARD_WRITE => Doing::Value,
                    BUS_READ | BOARD_READ => Doing::Bus,
                    _ => Doing::Skip,
                };
            }
            Doing::Header => {
                step = true;
                let rest = bit_cast::<96, 128>(self.hdr.q.val() >> lit::<128>(32));
                self.hdr.d.next = Header { rest, newest: out }.to_bits::<128>();
                self.part.d.next = part + 1;
                if part == 3 {
                    self.part.d.next = lit::<4>(0);
                    self.doing.d.next = if left == 0 { Doing::Beat } else { Doing::Data };
                }
            }
            Doing::Data => {
                step = true;
                let mut beat = self.data.q.val();
                for i in 0..(D / 32) {
                    if part == lit::<4>(i) {
                        beat = beat.set_slice::<32>(32 * i, out);
                    }
                }
                self.data.d.next = beat;
                self.left.d.next = left - 1;
                self.part.d.next = part + 1;
                if beat_full || left == 1 {
                    self.part.d.next = lit::<4>(0);
                    self.doing.d.next = Doing::Beat;
                }
            }
            Doing::Beat => {
                if self.tlp.ready.val() {
                    self.first.d.next = false;
                    if left == 0 {
                        ends = true;
                    } else {
                        self.doing.d.next = Doing::Data;
                    }
                }
            }
            Doing::Value => {
                step = true;
                self.value.d.next = out;
                self.doing.d.next = Doing::Bus;
            }
            Doing::Bus => {
                // A board register has no handshake: its value has settled in the sixth cycle.
                if part != 6 {
                    self.part.d.next = part + 1;
                }
                if part == 0 {
                    self.asks.d.next = !board;
                }
                let bus_ready = self.asks.q.val() && self.bus.ready.val();
                if bus_ready {
                    self.asks.d.next = false;
                }
                if bus_ready || (board && part == 5) {
                    self.answered.d.next = true;
                    if !writes {
                        self.value.d.next =
                            if board { self.board_value.val() } else { self.bus.rdata.val() };
                    }
                }
                if self.answered.q.val() {
                    self.answered.d.next = false;
                    if writes {
                        ends = true;
                    } else {
                        self.doing.d.next = Doing::Reply;
                    }
                }
            }
            Doing::Reply => {
                if self.reply_ready.val() {
                    ends = true;
                }
            }
            Doing::Skip => {
                if left == 0 {
                    ends = true;
                } else {
                    step = true;
                    self.left.d.next = left - 1;
                }
            }
        }
        if step {
            pos = pos + 1;
        }
        // A frame that ends within a message, which no host sends, ends the message.
        let deciding = self.doing.q.val() == Doing::Decide;
        let beyond = if deciding {
            self.pos.q.val() == self.end.q.val()
        } else {
            step && self.pos.q.val() + 1 == self.end.q.val()
        };
        if ends {
            self.doing.d.next = Doing::Fetch;
        }
        let needs_more = match self.doing.q.val() {
            Doing::Decide => left != 0 || kind == TLP || kind == BUS_WRITE || kind == BOARD_WRITE,
            Doing::Header => part != 3 || left != 0,
            Doing::Data => left != 1,
            Doing::Skip => left != 1,
            _ => false,
        };
        if beyond && needs_more {
            self.doing.d.next = Doing::Fetch;
        }
        self.pos.d.next = pos;
        let read_slot = bit_cast::<A, 8>(self.head.q.val() & lit::<8>((1 << S) - 1)) << lit::<5>(9);
        self.ram.raddr.next = read_slot | bit_cast::<A, 9>(pos);

        self.tlp.valid.next = self.doing.q.val() == Doing::Beat;
        self.tlp.sop.next = self.first.q.val();
        self.tlp.eop.next = left == 0;
        self.tlp.hdr.next = self.hdr.q.val();
        self.tlp.data.next = self.data.q.val();
        self.bus.valid.next = self.asks.q.val();
        self.board_write.next = self.doing.q.val() == Doing::Bus && kind == BOARD_WRITE;
        self.bus.write.next = writes;
        self.bus.addr.next = self.info.q.val();
        self.bus.wdata.next = self.value.q.val();
        self.bus.be.next = lit::<4>(15);
        self.board_addr.next = self.info.q.val();
        self.reply_valid.next = self.doing.q.val() == Doing::Reply;
        self.reply.next = self.value.q.val();
    }
}
