//! Flow and queue of a frame, found 16 bits a cycle: `rx/parse`, `rx/hash` and `rx/steer` in one small block, for cards of a gigabit.
//!
//! **Ports.** `tap_*` from `rx/input`; a [flow](super::words::flow) word for each frame kept, in their order, valid for one cycle;
//! `regs` as in [steer](super::steer). What is found, hashed and looked up is what these blocks find: their module
//! docs hold, bounds included.
//!
//! **How.** The first 128 bytes of a frame are kept, in one of two slots; a frame that is given up leaves its slot to the next. A frame
//! that is whole is walked through from its type on, a half of a dword at a time: over tags, the IP header, from extension header to
//! extension header, to the ports. What is hashed on the way meets a window of 47 bits of the key, which moves along. Then the table names the queue.
//!
//! **Speed.** From last beat to flow IPv4 takes 17 cycles, IPv6 27, a tag 2 more, an extension header 3: 40 at the most. A byte of a gigabit's wire takes
//! 0.4 cycles of 50 MHz, and a frame 24 bytes besides its own: IPv6 and UDP in 62 bytes 34.4 cycles, a tag 1.6 more, an extension header 3.2 or
//! more; IPv4 in 60 bytes 33.6. So every frame is walked through in less time than it comes in, and what a walk ends behind its frame is
//! never more than the 40 cycles of the longest. Where frames come faster, `hold` is up while both slots are taken, and no frame may begin. At a
//! gigabit it is up for less than 7 cycles behind a frame, and the next one's first beat comes after 16: no beat waits for it. With the taps a cycle
//! behind the beats, `hold` rises in the third cycle after a frame's last beat: none may begin in these three, whatever it says. `rx/input` sees to
//! all that.
//!
//! **Registers** are reached between two frames, an access and a frame in turns: 3 cycles, and up to 40 if a frame is on its way.
//! They and frames wait while `config_reset` clears the table, 128 cycles; and during `reset`, which gives up all frames.

use super::parse;
use super::words::{flow, STEER_BITS};
use crate::common::iface::RegBusSnk;
use crate::common::ram::LutRam;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum ClassifyState {
    Idle,
    /// A register is read or written.
    Access,
    /// Types, and behind a tag's its TCI.
    Type,
    /// The IPv6 header or the first 20 bytes of IPv4.
    Header,
    /// What is behind it?
    Next,
    Extension,
    Ports,
    Look,
    Done,
}

#[derive(LogicBlock, Default)]
pub struct RxClassify<const D: usize, const K: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub config_reset: Signal<In, Bit>,
    pub regs: RegBusSnk,
    pub tap_valid: Signal<In, Bit>,
    pub tap_end: Signal<In, Bit>,
    pub tap_keep: Signal<In, Bit>,
    pub tap_bytes: Signal<In, Bits<7>>,
    pub tap_data: Signal<In, Bits<D>>,
    pub hold: Signal<Out, Bit>,
    pub flow_valid: Signal<Out, Bit>,
    pub flow: Signal<Out, Bits<STEER_BITS>>,
    /// {slot, row}
    window: LutRam<Bits<D>, 4>,
    /// The slot that is filled, and the beat's place in it.
    fill: Reg<Bit>,
    index: Reg<Bits<4>>,
    /// Frames in slots, and where each ends.
    held: Reg<Bits<2>>,
    have: [Reg<Bits<5>>; 2],
    state: Reg<ClassifyState>,
    /// The slot walked through.
    slot: Reg<Bit>,
    /// The half read, and the one before it. The half at byte 2n of a frame is its nth.
    at: Reg<Bits<6>>,
    half: Reg<Bits<16>>,
    /// Halves of this state.
    step: Reg<Bits<5>>,
    tags: Reg<Bits<2>>,
    v6: Reg<Bit>,
    /// The IP header is one.
    sound: Reg<Bit>,
    frag: Reg<Bit>,
    known: Reg<Bit>,
    proto: Reg<Bits<8>>,
    /// Extension headers behind us; the one at hand is of a fragment.
    walked: Reg<Bits<2>>,
    piece: Reg<Bit>,
    /// In dwords, as L3 is aligned: the nth begins at byte 4n + 2. What follows the header at hand, and where the packet ends.
    next: Reg<Bits<5>>,
    limit: Reg<Bits<5>>,
    // The hash and its key: halves of the key from the window's on.
    hash: Reg<Bits<32>>,
    window0: Reg<Bits<16>>,
    window1: Reg<Bits<16>>,
    window2: Reg<Bits<16>>,
    key_at: Reg<Bits<5>>,
    /// By bytes. Words 0 to 9 are the key, 12 is `ctrl`.
    key: [LutRam<Bits<8>, 4>; 4],
    /// Of `ctrl` what matters, inverted.
    off: Reg<Bits<4>>,
    /// The table, and what was read of it: {valid, queue}.
    table: LutRam<Bits<8>, 7>,
    table_valid: LutRam<Bits<1>, 7>,
    found: Reg<Bits<9>>,
    clear: Reg<Bits<8>>,
    /// The bus is next.
    turn: Reg<Bit>,
    ack: Reg<Bit>,
    rdata: Reg<Bits<32>>,
}

impl<const D: usize, const K: usize> Logic for RxClassify<D, K> {
    /// Finds flow and queue of each frame, 16 bits of it a cycle.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; fill, index, held, have[..], state, slot, at, step, tags, v6, sound, frag, known, proto, walked, piece,
            next, limit, hash, key_at, turn);
        registers!(self, clock, config_reset; off, clear, ack, rdata);
        registers!(self, clock; half, window0, window1, window2, found);
        clocked!(self, clock; window, key[..], table, table_valid);

        // Fill a slot.
        let index = self.index.q.val();
        self.window.we.next = self.tap_valid.val() && index != lit::<4>(1024 / D);
        self.window.waddr.next = index.replace_bit(3, self.fill.q.val());
        self.window.wdata.next = self.tap_data.val();
        if self.tap_valid.val() {
            if self.tap_end.val() {
                self.index.d.next = lit::<4>(0);
            } else if index != lit::<4>(1024 / D) {
                self.index.d.next = index + 1;
            }
        }
        let keep = self.tap_keep.val();
        let behind_l2 = (bit_cast::<9, 4>(index) << lit::<9>(clog2(K)))
            + bit_cast::<9, 7>(self.tap_bytes.val())
            - 2;
        let whole = if behind_l2.get_bit(7) || behind_l2.get_bit(8) {
            lit::<5>(31)
        } else {
            behind_l2.get_bits::<5>(2)
        };
        if keep && !self.fill.q.val() {
            self.have[0].d.next = whole;
        }
        if keep && self.fill.q.val() {
            self.have[1].d.next = whole;
        }
        self.fill.d.next = self.fill.q.val() ^ keep;

        let state = self.state.q.val();
        let slot = self.slot.q.val();
        let done = state == ClassifyState::Done;
        self.slot.d.next = slot ^ done;
        self.held.d.next = if keep && !done {
            self.held.q.val() + 1
        } else if done && !keep {
            self.held.q.val() - 1
        } else {
            self.held.q.val()
        };
        self.hold.next = self.held.q.val().get_bit(1);

        // Read a half; the first one is the type.
        let next = self.next.q.val();
        let from = if state == ClassifyState::Idle {
            lit::<6>(6)
        } else if state == ClassifyState::Next {
            cat::<5, 1, 6>(next, lit::<1>(1))
        } else {
            self.at.q.val()
        };
        self.at.d.next = from + 1;
        self.window.raddr.next =
            bit_cast::<4, 6>(from >> lit::<6>(clog2(D / 16))).replace_bit(3, slot);
        let mut row = self.window.rdata.val();
        for i in 0..clog2(D / 16) {
            if from.get_bit(clog2(D / 16) - 1 - i) {
                row = row >> lit::<16>(D >> (i + 1));
            }
        }
        self.half.d.next = row.get_bits::<16>(0);
        let half = self.half.q.val();
        let word = cat::<8, 8, 16>(half.get_bits::<8>(0), half.get_bits::<8>(8));

        // Where the header at hand ends, and whether the packet reaches as far; behind it there is L4, of 8 bytes at the least.
        let step = self.step.q.val();
        let tags = self.tags.q.val();
        let v6 = self.v6.q.val();
        let limit = self.limit.q.val();
        let proto = self.proto.q.val();
        let fragment = proto == 44;
        let units = half.get_bits::<8>(8);
        let more = if state == ClassifyState::Header {
            lit::<6>(0)
        } else if state == ClassifyState::Extension && !fragment {
            (bit_cast::<6, 3>(units.get_bits::<3>(0)) << lit::<6>(1)) + 2
        } else {
            lit::<6>(2)
        };
        let behind = bit_cast::<6, 5>(next) + more;
        let fits = behind <= bit_cast::<6, 5>(limit);
        let l3 = bit_cast::<5, 2>(tags) + 3;
        // A length field: of IPv4 from L3 on, of IPv6 behind the header.
        let end =
            bit_cast::<6, 5>(if v6 { next } else { l3 }) + bit_cast::<6, 5>(word.get_bits::<5>(2));
        let shorter = word.get_bits::<9>(7) == 0 && end < bit_cast::<6, 5>(limit);
        let most = bit_cast::<5, 2>(tags) + 29;

        // The bus and the frames take turns.
        let clearing = !self.clear.q.val().get_bit(7);
        if clearing {
            self.clear.d.next = self.clear.q.val() + 1;
        }
        let waits = self.held.q.val() != 0;
        let access = self.regs.valid.val()
            && !self.ack.q.val()
            && !clearing
            && (self.turn.q.val() || !waits);

        let off = self.off.q.val();
        let udp = proto.get_bit(0);
        let l3_only = if v6 {
            if udp {
                off.get_bit(3)
            } else {
                off.get_bit(2)
            }
        } else if udp {
            off.get_bit(1)
        } else {
            off.get_bit(0)
        };
        let mut hashes = false;
        self.step.d.next = step + 1;
        match state {
            ClassifyState::Idle => {
                self.step.d.next = lit::<5>(0);
                self.tags.d.next = lit::<2>(0);
                self.sound.d.next = false;
                self.frag.d.next = false;
                self.known.d.next = false;
                self.walked.d.next = lit::<2>(0);
                self.limit.d.next = if slot { self.have[1].q.val() } else { self.have[0].q.val() };
                if access {
                    self.turn.d.next = false;
                    self.state.d.next = ClassifyState::Access;
                } else if waits && !clearing {
                    self.turn.d.next = true;
                    self.state.d.next = ClassifyState::Type;
                }
            }
            ClassifyState::Access => {
                self.state.d.next = ClassifyState::Idle;
            }
            ClassifyState::Type => {
                self.v6.d.next = word == 0x86dd;
                if step.get_bit(0) {
                    self.step.d.next = lit::<5>(0);
                } else if parse::is_tag(word) && !tags.get_bit(1) {
                    self.tags.d.next = tags + 1;
                } else {
                    self.step.d.next = lit::<5>(0);
                    self.state.d.next = if word == 0x0800 || word == 0x86dd {
                        ClassifyState::Header
                    } else {
                        ClassifyState::Look
                    };
                }
            }
            ClassifyState::Header => {
                let version = half.get_bits::<4>(4);
                let ihl = half.get_bits::<4>(0);
                if step == 0 {
                    self.next.d.next = l3 + if v6 { lit::<5>(10) } else { bit_cast::<5, 4>(ihl) };
                    if limit > most {
                        self.limit.d.next = most;
                    }
                    if !(v6 && version == 6) && !(!v6 && version == 4 && ihl >= 5) {
                        self.state.d.next = ClassifyState::Look;
                    }
                }
                if step == (if v6 { lit::<5>(2) } else { lit::<5>(1) }) && shorter {
                    self.limit.d.next = end.get_bits::<5>(0);
                }
                if step == (if v6 { lit::<5>(1) } else { lit::<5>(2) }) {
                    self.sound.d.next = fits;
                    if !fits {
                        self.state.d.next = ClassifyState::Look;
                    }
                }
                if step == 3 {
                    self.frag.d.next = !v6 && (word & lit::<16>(0x3fff)) != 0;
                }
                if v6 && step == 3 {
                    self.proto.d.next = half.get_bits::<8>(0);
                }
                if !v6 && step == 4 {
                    self.proto.d.next = half.get_bits::<8>(8);
                }
                hashes = step >= (if v6 { lit::<5>(4) } else { lit::<5>(6) });
                if step == (if v6 { lit::<5>(19) } else { lit::<5>(9) }) {
                    self.state.d.next = ClassifyState::Next;
                }
            }
            ClassifyState::Next => {
                self.step.d.next = lit::<5>(0);
                let extension = fragment || proto == 0 || proto == 43 || proto == 60;
                let known = (proto == 6 || proto == 17) && !self.frag.q.val() && fits;
                if v6 && extension && self.walked.q.val() != 3 {
                    self.state.d.next = ClassifyState::Extension;
                } else {
                    self.known.d.next = known;
                    self.state.d.next =
                        if known && !l3_only { ClassifyState::Ports } else { ClassifyState::Look };
                }
            }
            ClassifyState::Extension => {
                if step.get_bit(0) {
                    let real = self.piece.q.val() && (word & lit::<16>(0xfff9)) != 0;
                    self.frag.d.next = real;
                    self.state.d.next =
                        if real { ClassifyState::Look } else { ClassifyState::Next };
                } else {
                    self.walked.d.next = self.walked.q.val() + 1;
                    self.piece.d.next = fragment;
                    self.proto.d.next = half.get_bits::<8>(0);
                    self.next.d.next = behind.get_bits::<5>(0);
                    if !fits || (!fragment && units.get_bits::<5>(3) != 0) {
                        self.state.d.next = ClassifyState::Look;
                    }
                }
            }
            ClassifyState::Ports => {
                hashes = true;
                if step.get_bit(0) {
                    self.state.d.next = ClassifyState::Look;
                }
            }
            ClassifyState::Look => {
                self.state.d.next = ClassifyState::Done;
            }
            ClassifyState::Done => {
                self.state.d.next = ClassifyState::Idle;
            }
        }

        // Hash: 16 bits of the frame under 47 of the key.
        let key_word = cat::<16, 16, 32>(
            cat::<8, 8, 16>(self.key[3].rdata.val(), self.key[2].rdata.val()),
            cat::<8, 8, 16>(self.key[1].rdata.val(), self.key[0].rdata.val()),
        );
        let key_half = if self.key_at.q.val().get_bit(0) {
            key_word.get_bits::<16>(16)
        } else {
            key_word.get_bits::<16>(0)
        };
        let idle = state == ClassifyState::Idle;
        let moves = hashes || (state == ClassifyState::Header && step < 3);
        if moves {
            self.window0.d.next = self.window1.q.val();
            self.window1.d.next = self.window2.q.val();
            self.window2.d.next =
                cat::<8, 8, 16>(key_half.get_bits::<8>(0), key_half.get_bits::<8>(8));
            self.key_at.d.next = self.key_at.q.val() + 1;
        }
        let span = cat::<16, 32, 48>(
            self.window0.q.val(),
            cat::<16, 16, 32>(self.window1.q.val(), self.window2.q.val()),
        );
        // In fours, as tables take them.
        let mut sum = self.hash.q.val();
        for i in 0..2 {
            let mut four = lit::<32>(0);
            for j in 0..4 {
                let first = if word.get_bit(8 * i + 2 * j) {
                    span.get_bits::<32>(8 * i + 2 * j + 1)
                } else {
                    lit::<32>(0)
                };
                let second = if word.get_bit(8 * i + 2 * j + 1) {
                    span.get_bits::<32>(8 * i + 2 * j + 2)
                } else {
                    lit::<32>(0)
                };
                four = four ^ (first ^ second);
            }
            sum = sum ^ four;
        }
        if hashes {
            self.hash.d.next = sum;
        }
        if idle {
            self.hash.d.next = lit::<32>(0);
            self.key_at.d.next = lit::<5>(0);
        }

        // Registers.
        let addr = self.regs.addr.val();
        let wdata = self.regs.wdata.val();
        let be = self.regs.be.val();
        let in_ctrl = addr == 0x130;
        let in_key = addr.get_bits::<10>(6) == 8 && addr.get_bits::<4>(2) < 10;
        let in_table = addr.get_bits::<7>(9) == 2;
        let visits = state == ClassifyState::Access;
        let writes = visits && self.regs.write.val();
        self.ack.d.next = visits;
        self.regs.ready.next = self.ack.q.val();
        self.regs.rdata.next = self.rdata.q.val();
        let cleared = self.clear.q.val();
        for i in 0..4 {
            self.key[i].raddr.next =
                if visits { addr.get_bits::<4>(2) } else { self.key_at.q.val().get_bits::<4>(1) };
            self.key[i].we.next =
                clearing || (writes && be.get_bit(i) && (in_key || (in_ctrl && i < 2)));
            self.key[i].waddr.next =
                if clearing { cleared.get_bits::<4>(0) } else { addr.get_bits::<4>(2) };
            self.key[i].wdata.next = if !clearing {
                wdata.get_bits::<8>(8 * i)
            } else if i < 2 && cleared.get_bits::<4>(0) == 12 {
                lit::<8>(0xff)
            } else {
                lit::<8>(0)
            };
        }
        if writes && in_ctrl && be.get_bit(0) {
            self.off.d.next = !wdata.get_bits::<4>(0);
        }
        let entry = addr.get_bits::<7>(2);
        let hash = self.hash.q.val();
        let place = if state == ClassifyState::Look { hash.get_bits::<7>(0) } else { entry };
        let writes_table = writes && in_table;
        let written = if clearing { cleared.get_bits::<7>(0) } else { entry };
        self.table.raddr.next = place;
        self.table.we.next = clearing || (writes_table && be.get_bit(0));
        self.table.waddr.next = written;
        self.table.wdata.next = if clearing { lit::<8>(0) } else { wdata.get_bits::<8>(0) };
        self.table_valid.raddr.next = place;
        self.table_valid.we.next = clearing || (writes_table && be.get_bit(1));
        self.table_valid.waddr.next = written;
        self.table_valid.wdata.next = (wdata.get_bit(8) && !clearing).into();
        self.found.d.next = cat::<1, 8, 9>(self.table_valid.rdata.val(), self.table.rdata.val());
        let found = self.found.q.val();
        self.rdata.d.next = if in_table {
            bit_cast::<32, 9>(found)
        } else if in_key || in_ctrl {
            key_word
        } else {
            lit::<32>(0)
        };

        let sound = self.sound.q.val();
        let known = self.known.q.val();
        self.flow_valid.next = done;
        self.flow.next = lit::<STEER_BITS>(0)
            .set_slice::<32>(flow::HASH, hash)
            .set_slice::<8>(flow::QUEUE, found.get_bits::<8>(0))
            .replace_bit(flow::VALID, found.get_bit(8) && !clearing)
            .set_slice::<4>(
                flow::L3,
                if !sound {
                    lit::<4>(0)
                } else if v6 {
                    lit::<4>(11)
                } else {
                    lit::<4>(8)
                },
            )
            .set_slice::<5>(
                flow::L4,
                if !known {
                    lit::<5>(0)
                } else if udp {
                    lit::<5>(13)
                } else {
                    lit::<5>(12)
                },
            )
            .replace_bit(flow::FRAG, self.frag.q.val());
    }
}
