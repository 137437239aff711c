//! Finds a frame's flow and queue 16 bits a cycle: `rx/parse`, `rx/hash` and `rx/steer` in one
//! small block, for cards of a gigabit.
//!
//! **Ports.** `tap` comes from `rx/input`. Each frame kept gives a [flow](Flow), in their order,
//! valid for one cycle. `regs` is that of [steer](super::steer). This block finds, hashes and looks
//! up what those blocks do: their module docs hold, bounds included.
//!
//! **How.** Two slots keep the first 128 bytes of a frame each; a frame that is given up leaves its
//! slot to the next. A whole frame is walked through from its type on, half a dword at a time: over
//! tags, the IP header, the extension headers, to the ports. What is to be hashed on the way meets
//! a window of 47 bits of the key, which moves along. Then the table gives the queue.
//!
//! **Speed.** From last beat to flow IPv4 takes 17 cycles, IPv6 27, a tag 2 more, an extension
//! header 3: 40 at the most. A byte of a gigabit's wire takes 0.4 cycles of 50 MHz, and a frame has
//! 24 bytes on the wire besides its own: IPv6 and UDP in 62 bytes take 34.4 cycles, a tag 1.6 more,
//! an extension header 3.2 or more; IPv4 in 60 bytes 33.6. So every frame is walked through in less
//! time than it takes to arrive, and a walk ends at most 40 cycles after its frame.
//!
//! **Back-pressure.** Where frames come faster, `hold` is up while both slots are taken, and no
//! frame may begin. At a gigabit it is up for less than 7 cycles after a frame, and the next first
//! beat comes after 16: no beat waits. The taps are a cycle behind the beats, so `hold` rises in
//! the third cycle after a frame's last beat: no frame may begin in these three, whatever `hold`
//! says. `rx/input` sees to that.
//!
//! **Registers** are accessed between two frames, an access and a frame in turns: 3 cycles, and up
//! to 40 more if a frame is being walked through. Registers and frames wait while `config_reset`
//! clears the table, 128 cycles, and during `reset`, which gives up all frames.

use super::headers::{self, proto, Pair, Version};
use super::steer::{Entry, KeyAddr, RssEntry, TableAddr};
use super::words::{Flow, Kind, TapSnk};
use crate::common::iface::RegBusSnk;
use crate::common::ram::LutRam;
use nitor_abi::mgmt;
use nitor_abi::rss::{input, KEY_PARTS};
use nitor_abi::tx::{l3, l4};
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
    pub tap: TapSnk<D>,
    pub hold: Signal<Out, Bit>,
    pub flow_valid: Signal<Out, Bit>,
    pub flow: Signal<Out, Flow>,
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
    half: Reg<Pair>,
    /// Halves of this state.
    step: Reg<Bits<5>>,
    tags: Reg<Bits<2>>,
    v6: Reg<Bit>,
    /// The IP header is one.
    sound: Reg<Bit>,
    frag: Reg<Bit>,
    known: Reg<Bit>,
    proto: Reg<Bits<8>>,
    /// Extension headers walked over; the current one is of a fragment.
    walked: Reg<Bits<2>>,
    piece: Reg<Bit>,
    /// In dwords, the nth begins at byte 4n + 2: where the current header ends, and the packet.
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
    /// The table, and the entry read last.
    table: LutRam<Bits<8>, 7>,
    table_valid: LutRam<Bits<1>, 7>,
    found: Reg<Entry>,
    clear: Reg<Bits<8>>,
    /// The bus is next.
    turn: Reg<Bit>,
    ack: Reg<Bit>,
    rdata: Reg<Bits<32>>,
}

/// Where in a frame something begins that is 4n + 2 bytes into it, in halves of a dword.
#[record]
struct Place {
    second: Bit,
    dword: Bits<5>,
}

/// Bytes of a frame behind the first two, up to 2^9.
#[record]
struct Extent {
    byte: Bits<2>,
    dwords: Bits<5>,
    /// More than `dwords` can say.
    more: Bits<2>,
}

/// Which half of which word of the key.
#[record]
struct KeyPlace {
    second: Bit,
    word: Bits<4>,
}

/// A word of the key as its bytes are read.
#[record]
struct KeyWord {
    first: Pair,
    second: Pair,
}

/// The key's bits that 16 bits of a frame meet, and one more.
#[record]
struct Span {
    last: Bits<16>,
    middle: Bits<16>,
    first: Bits<16>,
}

impl<const D: usize, const K: usize> Logic for RxClassify<D, K> {
    /// Finds flow and queue of each frame, 16 bits of it a cycle.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; fill, index, held, have[..], state, slot, at, step, tags, v6,
            sound, frag, known, proto, walked, piece, next, limit, hash, key_at, turn);
        registers!(self, clock, config_reset; off, clear, ack, rdata);
        registers!(self, clock; half, window0, window1, window2, found);
        clocked!(self, clock; window, key[..], table, table_valid);

        // Fill a slot.
        let index = self.index.q.val();
        self.window.we.next = self.tap.valid.val() && index != lit::<4>(1024 / D);
        self.window.waddr.next = index.replace_bit(3, self.fill.q.val());
        self.window.wdata.next = self.tap.data.val();
        if self.tap.valid.val() {
            if self.tap.end.val() {
                self.index.d.next = lit::<4>(0);
            } else if index != lit::<4>(1024 / D) {
                self.index.d.next = index + 1;
            }
        }
        let keep = self.tap.keep.val();
        let behind_l2 = (bit_cast::<9, 4>(index) << lit::<9>(clog2(K)))
            + bit_cast::<9, 7>(self.tap.bytes.val())
            - 2;
        let extent = Extent::from_bits(behind_l2);
        let whole = if extent.more.any() { lit::<5>(31) } else { extent.dwords };
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
            Place { second: true, dword: next }.to_bits::<6>()
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
        self.half.d.next = Pair::from_bits(bit_cast::<16, D>(row));
        let half = self.half.q.val();
        let word = headers::net16(half.to_bits::<16>());

        // Where the current header ends, and whether the packet reaches that far; L4 behind it has
        // at least 8 bytes.
        let step = self.step.q.val();
        let tags = self.tags.q.val();
        let v6 = self.v6.q.val();
        let limit = self.limit.q.val();
        let proto = self.proto.q.val();
        let fragment = proto == lit::<8>(proto::FRAGMENT);
        let units = half.second;
        let more = if state == ClassifyState::Header {
            lit::<6>(0)
        } else if state == ClassifyState::Extension && !fragment {
            (bit_cast::<6, 3>(bit_cast::<3, 8>(units)) << lit::<6>(1)) + 2
        } else {
            lit::<6>(2)
        };
        let behind = bit_cast::<6, 5>(next) + more;
        let fits = behind <= bit_cast::<6, 5>(limit);
        let l3 = bit_cast::<5, 2>(tags) + 3;
        // A length field: of IPv4 from L3 on, of IPv6 behind the header.
        let dwords = bit_cast::<5, 16>(word >> lit::<16>(2));
        let end = bit_cast::<6, 5>(if v6 { next } else { l3 }) + bit_cast::<6, 5>(dwords);
        let shorter = (word >> lit::<16>(7)) == 0 && end < bit_cast::<6, 5>(limit);
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
        // Of the two that are known.
        let udp = proto.get_bit(0);
        let l3_only = if v6 {
            if udp {
                off.get_bit(input::UDP6)
            } else {
                off.get_bit(input::TCP6)
            }
        } else if udp {
            off.get_bit(input::UDP4)
        } else {
            off.get_bit(input::TCP4)
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
                let is4 = word == lit::<16>(headers::ETHERTYPE_IPV4);
                let is6 = word == lit::<16>(headers::ETHERTYPE_IPV6);
                self.v6.d.next = is6;
                if step.get_bit(0) {
                    self.step.d.next = lit::<5>(0);
                } else if headers::is_tag(word) && !tags.get_bit(1) {
                    self.tags.d.next = tags + 1;
                } else {
                    self.step.d.next = lit::<5>(0);
                    self.state.d.next =
                        if is4 || is6 { ClassifyState::Header } else { ClassifyState::Look };
                }
            }
            ClassifyState::Header => {
                let start = Version::from_bits(half.first);
                let version = start.version;
                let ihl = start.ihl;
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
                    self.limit.d.next = bit_cast::<5, 6>(end);
                }
                if step == (if v6 { lit::<5>(1) } else { lit::<5>(2) }) {
                    self.sound.d.next = fits;
                    if !fits {
                        self.state.d.next = ClassifyState::Look;
                    }
                }
                if step == 3 {
                    self.frag.d.next = !v6 && headers::is_fragment4(word);
                }
                if v6 && step == 3 {
                    self.proto.d.next = half.first;
                }
                if !v6 && step == 4 {
                    self.proto.d.next = half.second;
                }
                hashes = step >= (if v6 { lit::<5>(4) } else { lit::<5>(6) });
                if step == (if v6 { lit::<5>(19) } else { lit::<5>(9) }) {
                    self.state.d.next = ClassifyState::Next;
                }
            }
            ClassifyState::Next => {
                self.step.d.next = lit::<5>(0);
                let l4 = proto == lit::<8>(proto::TCP) || proto == lit::<8>(proto::UDP);
                let known = l4 && !self.frag.q.val() && fits;
                if v6 && headers::is_extension(proto) && self.walked.q.val() != 3 {
                    self.state.d.next = ClassifyState::Extension;
                } else {
                    self.known.d.next = known;
                    self.state.d.next =
                        if known && !l3_only { ClassifyState::Ports } else { ClassifyState::Look };
                }
            }
            ClassifyState::Extension => {
                if step.get_bit(0) {
                    let real = self.piece.q.val() && headers::is_fragment6(word);
                    self.frag.d.next = real;
                    self.state.d.next =
                        if real { ClassifyState::Look } else { ClassifyState::Next };
                } else {
                    self.walked.d.next = self.walked.q.val() + 1;
                    self.piece.d.next = fragment;
                    self.proto.d.next = half.first;
                    self.next.d.next = bit_cast::<5, 6>(behind);
                    if !fits || (!fragment && (units >> lit::<8>(3)) != 0) {
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
        let key_word = KeyWord {
            first: Pair { first: self.key[0].rdata.val(), second: self.key[1].rdata.val() },
            second: Pair { first: self.key[2].rdata.val(), second: self.key[3].rdata.val() },
        };
        let key_place = KeyPlace::from_bits(self.key_at.q.val());
        let key_half = if key_place.second { key_word.second } else { key_word.first };
        let idle = state == ClassifyState::Idle;
        let moves = hashes || (state == ClassifyState::Header && step < 3);
        if moves {
            self.window0.d.next = self.window1.q.val();
            self.window1.d.next = self.window2.q.val();
            self.window2.d.next = headers::net16(key_half.to_bits::<16>());
            self.key_at.d.next = self.key_at.q.val() + 1;
        }
        let span = Span {
            last: self.window2.q.val(),
            middle: self.window1.q.val(),
            first: self.window0.q.val(),
        }
        .to_bits::<48>();
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
        let key_addr = KeyAddr::from_bits(addr);
        let table_addr = TableAddr::from_bits(addr);
        let in_ctrl = addr == lit::<16>(mgmt::RSS_CTRL);
        let in_key =
            key_addr.block == lit::<10>(mgmt::RSS_KEY >> 6) && key_addr.word < lit::<4>(KEY_PARTS);
        let in_table = table_addr.block == lit::<7>(mgmt::RSS_TABLE >> 9);
        let visits = state == ClassifyState::Access;
        let writes = visits && self.regs.write.val();
        self.ack.d.next = visits;
        self.regs.ready.next = self.ack.q.val();
        self.regs.rdata.next = self.rdata.q.val();
        let cleared = self.clear.q.val();
        for i in 0..4 {
            self.key[i].raddr.next = if visits { key_addr.word } else { key_place.word };
            self.key[i].we.next =
                clearing || (writes && be.get_bit(i) && (in_key || (in_ctrl && i < 2)));
            self.key[i].waddr.next =
                if clearing { bit_cast::<4, 8>(cleared) } else { key_addr.word };
            self.key[i].wdata.next = if !clearing {
                wdata.get_bits::<8>(8 * i)
            } else if i < 2 && bit_cast::<4, 8>(cleared) == lit::<4>(mgmt::RSS_CTRL >> 2 & 15) {
                lit::<8>(0xff)
            } else {
                lit::<8>(0)
            };
        }
        if writes && in_ctrl && be.get_bit(0) {
            self.off.d.next = !bit_cast::<4, 32>(wdata);
        }
        let entry = table_addr.entry;
        let new = RssEntry::from_bits(wdata);
        let hash = self.hash.q.val();
        let place = if state == ClassifyState::Look { bit_cast::<7, 32>(hash) } else { entry };
        let writes_table = writes && in_table;
        let written = if clearing { bit_cast::<7, 8>(cleared) } else { entry };
        self.table.raddr.next = place;
        self.table.we.next = clearing || (writes_table && be.get_bit(0));
        self.table.waddr.next = written;
        self.table.wdata.next = if clearing { lit::<8>(0) } else { new.queue };
        self.table_valid.raddr.next = place;
        self.table_valid.we.next = clearing || (writes_table && be.get_bit(1));
        self.table_valid.waddr.next = written;
        self.table_valid.wdata.next = (new.valid && !clearing).into();
        self.found.d.next =
            Entry { queue: self.table.rdata.val(), valid: self.table_valid.rdata.val().into() };
        let found = self.found.q.val();
        self.rdata.d.next = if in_table {
            RssEntry { queue: found.queue, valid: found.valid }.to_bits::<32>()
        } else if in_key || in_ctrl {
            key_word.to_bits::<32>()
        } else {
            lit::<32>(0)
        };

        let sound = self.sound.q.val();
        let known = self.known.q.val();
        self.flow_valid.next = done;
        let kind = Kind {
            l3: if !sound {
                lit::<4>(l3::UNKNOWN)
            } else if v6 {
                lit::<4>(l3::IPV6)
            } else {
                lit::<4>(l3::IPV4)
            },
            l4: if !known {
                lit::<5>(l4::UNKNOWN)
            } else if udp {
                lit::<5>(l4::UDP)
            } else {
                lit::<5>(l4::TCP)
            },
            frag: self.frag.q.val(),
        };
        self.flow.next = Flow { hash, queue: found.queue, valid: found.valid && !clearing, kind };
    }
}
