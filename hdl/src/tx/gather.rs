//! Packets get a place in the TX buffer, and their segments are asked for; long TCP packets are cut into frames.
//!
//! **Ports.** `packet_*` and `seg_*` from `tx/parse`; `data` asks for the payload: a frame starts at a row of its own and its bytes lie end
//! to end, all as one operation {lap, slot}; `info_*` tells `tx/out` of each frame, in order, before its first request.
//! `push_*` tells `tx/llq` where a packet's pushed bytes are and go. `free_rows` and `free_slot` come back from `tx/out`, both in the order of the frames.
//!
//! **Frames.** A packet is a frame, but for one with `tso_en`: that is cut into frames of `mss` bytes of payload, the last maybe shorter. The first
//! has the packet's header before its payload; the others leave as many bytes free at their start, which `tx/offload`
//! fills, so nothing is read twice. Where a segment reaches beyond its frame, what is left of it waits in a register.
//! Pushed bytes are the packet's first, so the first frame begins with them, and its segments lie behind.
//! Of a frame are known: its bytes, where in its rows those begin that are read (`skip`), and how many those are, which may be none.
//!
//! **Room.** The buffer is a ring of 2^(B+1) rows, a frame takes as many as its bytes need; operation slots are a ring of 2^S, and
//! only a frame that reads takes one: not one that is pushed whole. A frame waits until there is room for all of it. It always comes: whatever is
//! before it needs nothing more from here. So a packet that is cut may be longer than the buffer.
//!
//! **Too long.** A frame over `max_frame` (or over 16384 bytes, or the buffer, or with offloads 2^B rows, which is what
//! `tx/offload` holds) makes its packet bad: its segments are passed over, it goes on without rows and slot. That is decided once a packet,
//! by its first frame, which is the longest: firmware may lower `max_frame` while a packet is cut, and what was asked for must not be passed over.
//!
//! **Offloads** that make no sense make their packet bad too, rather than a frame that is wrong in the end: a checksum to be put behind the
//! frame's end or into a protocol that is not TCP or UDP; a pseudo header of neither IPv4 nor IPv6, of an IP header without room for its addresses,
//! or with L4 more than 256 bytes behind the frame's beginning;
//! with `tso_en`, which stands for TCP and all its checksums, an mss below 8, UDP, a TCP header below 20 bytes, headers beyond
//! 256 bytes or the packet's end, more bytes pushed than the first frame has. `l3_csum_en` does nothing to IPv6.
//!
//! **Speed.** A packet of one segment takes 2 cycles, one of n takes n + 1; 4 cycles from a packet at the input to its request.
//! A packet that is cut takes 4 more, and each frame of it 4 at least: its rows mostly take longer to fill.
//! With `_plain` there are no offloads: all bits that ask for them are taken as 0; with `_lineless` nothing is pushed.

use super::offload::{word, MAX_HDR};
use super::parse::meta;
use crate::common::iface::*;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

/// So that no operation has more than 255 pieces: 128 of 128 bytes each, and two more in every segment.
const MAX_LEN: usize = 16384;
/// What is left of TCP's least segment of 48 bytes behind 40 of options. Less would let a packet be so many frames that who waits for its end
/// waits for seconds.
const MIN_MSS: usize = 8;
const KNOWN: usize = word::KNOWN;
// As in descriptors.
const L3_IPV4: usize = 8;
const L3_IPV6: usize = 11;
const L4_TCP: usize = 12;
const L4_UDP: usize = 13;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Cut {
    /// The frame is measured.
    Known,
    /// A packet to be cut.
    Begin,
    /// How much payload the next frame has.
    Next,
    Measure,
    /// Its rows are counted.
    Count,
}

#[derive(LogicBlock, Default)]
pub struct TxGather<const K: usize, const L: usize, const S: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub max_frame: Signal<In, Bits<16>>,
    pub packet_valid: Signal<In, Bit>,
    pub packet_ready: Signal<Out, Bit>,
    pub packet_cq: Signal<In, Bits<8>>,
    pub packet_req_id: Signal<In, Bits<16>>,
    pub packet_len: Signal<In, Bits<17>>,
    pub packet_count: Signal<In, Bits<5>>,
    pub packet_meta: Signal<In, Bits<62>>,
    pub packet_push: Signal<In, Bits<8>>,
    pub packet_line: Signal<In, Bits<16>>,
    pub packet_bad: Signal<In, Bit>,
    pub packet_dma: Signal<In, Bit>,
    pub packet_silent: Signal<In, Bit>,
    pub packet_marker: Signal<In, Bit>,
    pub seg_valid: Signal<In, Bit>,
    pub seg_ready: Signal<Out, Bit>,
    pub seg_addr: Signal<In, Bits<48>>,
    pub seg_len: Signal<In, Bits<16>>,
    pub data: ReadReqSrc,
    pub push_valid: Signal<Out, Bit>,
    pub push_ready: Signal<In, Bit>,
    pub push_line: Signal<Out, Bits<16>>,
    pub push_row: Signal<Out, Bits<16>>,
    pub push_len: Signal<Out, Bits<8>>,
    pub info_valid: Signal<Out, Bit>,
    pub info_ready: Signal<In, Bit>,
    pub info_row: Signal<Out, Bits<16>>,
    pub info_len: Signal<Out, Bits<16>>,
    pub info_cq: Signal<Out, Bits<8>>,
    pub info_req_id: Signal<Out, Bits<16>>,
    /// See [word]; of a packet without a frame too.
    pub info_word: Signal<Out, Bits<KNOWN>>,
    /// The frame has rows; no other flag but the next two is set.
    pub info_read: Signal<Out, Bit>,
    /// It has the next operation slot.
    pub info_slot: Signal<Out, Bit>,
    /// Its first bytes are pushed.
    pub info_push: Signal<Out, Bit>,
    pub info_bad: Signal<Out, Bit>,
    pub info_dma: Signal<Out, Bit>,
    pub info_silent: Signal<Out, Bit>,
    pub info_marker: Signal<Out, Bit>,
    pub free_rows: Signal<In, Bits<16>>,
    pub free_slot: Signal<In, Bit>,
    limit: Reg<Bits<16>>,
    off_limit: Reg<Bits<16>>,
    // The packet as it came, and where its L4 header is.
    came: Reg<Bit>,
    came_cq: Reg<Bits<8>>,
    came_req_id: Reg<Bits<16>>,
    came_len: Reg<Bits<17>>,
    came_count: Reg<Bits<5>>,
    came_meta: Reg<Bits<62>>,
    came_push: Reg<Bits<8>>,
    came_line: Reg<Bits<16>>,
    came_bad: Reg<Bit>,
    came_dma: Reg<Bit>,
    came_silent: Reg<Bit>,
    came_marker: Reg<Bit>,
    came_l4: Reg<Bits<10>>,
    // The packet looked at.
    held: Reg<Bit>,
    cq: Reg<Bits<8>>,
    req_id: Reg<Bits<16>>,
    len: Reg<Bits<17>>,
    count: Reg<Bits<5>>,
    push: Reg<Bits<8>>,
    line: Reg<Bits<16>>,
    bad: Reg<Bit>,
    dma: Reg<Bit>,
    silent: Reg<Bit>,
    marker: Reg<Bit>,
    word: Reg<Bits<24>>,
    off: Reg<Bit>,
    hdr: Reg<Bits<10>>,
    mss: Reg<Bits<14>>,
    // Its next frame. `rest` is the payload from there on.
    cut: Reg<Cut>,
    first: Reg<Bit>,
    last: Reg<Bit>,
    rest: Reg<Bits<17>>,
    part: Reg<Bits<14>>,
    /// The header without what of it is pushed, below 0 if payload is; 0 after the first frame.
    ahead: Reg<Bits<17>>,
    /// The packet or frame makes sense, and is not too long.
    good: Reg<Bit>,
    frame_len: Reg<Bits<17>>,
    /// Its rows, and one less.
    rows: Reg<Bits<12>>,
    rows_less: Reg<Bits<12>>,
    wanted: Reg<Bits<16>>,
    skip: Reg<Bits<9>>,
    // Rows and operation slots.
    row: Reg<Bits<16>>,
    rows_used: Reg<Bits<12>>,
    slot: Reg<Bits<S>>,
    even_lap: Reg<Bit>,
    slots_used: Reg<Bits<9>>,
    // Told to `tx/out`.
    told: Reg<Bit>,
    told_row: Reg<Bits<16>>,
    told_len: Reg<Bits<16>>,
    told_cq: Reg<Bits<8>>,
    told_req_id: Reg<Bits<16>>,
    told_flags: Reg<Bits<7>>,
    told_word: Reg<Bits<KNOWN>>,
    // Told to `tx/llq`, with the row above.
    pushes: Reg<Bit>,
    pushes_line: Reg<Bits<16>>,
    pushes_row: Reg<Bits<16>>,
    pushes_len: Reg<Bits<8>>,
    // The frame whose segments pass, or the packet whose segments are passed over.
    asking: Reg<Bit>,
    passing: Reg<Bit>,
    left: Reg<Bits<5>>,
    bytes: Reg<Bits<16>>,
    // What is left of a segment that reached beyond its frame; `over_by` is added a cycle later.
    over: Reg<Bit>,
    over_addr: Reg<Bits<48>>,
    over_len: Reg<Bits<16>>,
    over_by: Reg<Bits<16>>,
    dst: Reg<Bits<20>>,
    op: Reg<Bits<9>>,
    requests: Skid<Bits<94>>,
    _plain: bool,
    _lineless: bool,
}

impl<const K: usize, const L: usize, const S: usize, const B: usize> TxGather<K, L, S, B> {
    pub fn new(plain: bool, lineless: bool, small: bool) -> Self {
        Self { requests: Skid::new(small), _plain: plain, _lineless: lineless, ..Self::default() }
    }
}

impl<const K: usize, const L: usize, const S: usize, const B: usize> Logic
    for TxGather<K, L, S, B>
{
    /// Gives packets rows and slots, and turns their segments into read requests.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; limit, off_limit, held, bad, dma, silent, marker, off, cut, first, last, ahead, good, rows, rows_less,
            wanted, skip, row, rows_used);
        registers!(self, clock, reset; came, came_bad, came_dma, came_silent, came_marker, pushes);
        registers!(self, clock, reset; slot, even_lap, slots_used, told, asking, passing, left, bytes, over, over_by);
        registers!(self, clock; cq, req_id, len, count, push, line, word, hdr, mss, rest, part, frame_len, came_cq, came_req_id, came_len,
            came_count, came_meta, came_push, came_line, came_l4, pushes_line, pushes_row, pushes_len, told_row, told_len, told_cq,
            told_req_id, told_flags, told_word, over_addr, over_len, dst, op);
        clocked!(self, clock, reset; requests);

        let buffer = if (1 << (B + 1 + L)) < MAX_LEN {
            lit::<16>(1 << (B + 1 + L))
        } else {
            lit::<16>(MAX_LEN)
        };
        let off_buffer =
            if (1 << (B + L)) < MAX_LEN { lit::<16>(1 << (B + L)) } else { lit::<16>(MAX_LEN) };
        let max_frame = self.max_frame.val();
        self.limit.d.next = if max_frame < buffer { max_frame } else { buffer };
        self.off_limit.d.next = if max_frame < off_buffer { max_frame } else { off_buffer };

        // ---- A packet comes.
        let on = !lit::<1>(self._plain as usize).any();
        let with_lines = !lit::<1>(self._lineless as usize).any();
        self.packet_ready.next = !self.came.q.val();
        let take = self.came.q.val() && !self.held.q.val();
        if !self.came.q.val() {
            let m = self.packet_meta.val();
            self.came.d.next = self.packet_valid.val();
            self.came_cq.d.next = self.packet_cq.val();
            self.came_req_id.d.next = self.packet_req_id.val();
            self.came_len.d.next = self.packet_len.val();
            self.came_count.d.next = self.packet_count.val();
            self.came_meta.d.next = m;
            self.came_push.d.next = if with_lines { self.packet_push.val() } else { lit::<8>(0) };
            self.came_line.d.next = self.packet_line.val();
            self.came_bad.d.next = self.packet_bad.val();
            self.came_dma.d.next = self.packet_dma.val();
            self.came_silent.d.next = self.packet_silent.val();
            self.came_marker.d.next = self.packet_marker.val();
            self.came_l4.d.next = bit_cast::<10, 8>(m.get_bits::<8>(meta::L3_HDR_OFF))
                + bit_cast::<10, 8>(m.get_bits::<8>(meta::L3_HDR_LEN));
        } else if take {
            self.came.d.next = false;
        }

        // ---- The packet looked at.
        let m = self.came_meta.q.val();
        let l3_proto = m.get_bits::<4>(meta::WORD1);
        let l4_proto = m.get_bits::<5>(meta::WORD1 + 8);
        let v4 = l3_proto == lit::<4>(L3_IPV4);
        let v6 = l3_proto == lit::<4>(L3_IPV6);
        let tso = m.get_bit(meta::WORD1 + 7) && on;
        let tcp = l4_proto == lit::<5>(L4_TCP) || (tso && l4_proto == 0);
        let udp = l4_proto == lit::<5>(L4_UDP);
        let ask_ip = (m.get_bit(meta::WORD1 + 13) && on) || tso;
        let ask_l4 = (m.get_bit(meta::WORD1 + 14) && on) || tso;
        let full = ask_l4 && (tso || !m.get_bit(meta::WORD1 + 17));
        let l3_off = m.get_bits::<8>(meta::L3_HDR_OFF);
        let l3_len = m.get_bits::<8>(meta::L3_HDR_LEN);
        let words = m.get_bits::<6>(meta::L4_HDR_WORDS);
        let mss = m.get_bits::<14>(meta::MSS);
        let has_addresses = l3_len >= 20;
        let v4_len = has_addresses && l3_len <= 60 && l3_len.get_bits::<2>(0) == 0;
        let v6_len = l3_len >= 40 && !l3_len.get_bit(0);
        let no_l3 = !((v4 && v4_len) || (v6 && (v6_len || !full)));
        let no_l4 = !(tcp || (udp && !tso));
        let l4_at = self.came_l4.q.val();
        let len = self.came_len.q.val();
        let off = ask_ip || ask_l4;
        let far = full && l4_at > lit::<10>(MAX_HDR);
        let senseless = ((ask_ip || full) && no_l3)
            || far
            || (ask_l4 && no_l4)
            || (tso && (words < 5 || mss < lit::<14>(MIN_MSS)));
        // A checksum must end within the frame.
        let need = l4_at
            + if !ask_l4 {
                lit::<10>(0)
            } else if udp {
                lit::<10>(8)
            } else {
                lit::<10>(18)
            };
        let outside = off && bit_cast::<17, 10>(need) > len;
        let limit = if off { self.off_limit.q.val() } else { self.limit.q.val() };
        let too_long = len > bit_cast::<17, 16>(limit) && !tso;
        // Of a frame that is not too long.
        let frame_len = self.frame_len.q.val();
        let measured = if take || !on { len } else { frame_len };
        let rows = bit_cast::<12, 17>((measured + lit::<17>(K - 1)) >> lit::<17>(L));
        let rows_less = bit_cast::<12, 17>((measured - 1) >> lit::<17>(L));
        let plain = !self.bad.q.val() && !self.dma.q.val() && !self.marker.q.val();
        if take {
            let came_plain =
                !(self.came_bad.q.val() || self.came_dma.q.val() || self.came_marker.q.val());
            self.held.d.next = true;
            self.cq.d.next = self.came_cq.q.val();
            self.req_id.d.next = self.came_req_id.q.val();
            self.len.d.next = len;
            self.count.d.next = self.came_count.q.val();
            self.push.d.next = self.came_push.q.val();
            self.line.d.next = self.came_line.q.val();
            self.bad.d.next = self.came_bad.q.val();
            self.dma.d.next = self.came_dma.q.val();
            self.silent.d.next = self.came_silent.q.val();
            self.marker.d.next = self.came_marker.q.val();
            let cuts = tso && came_plain;
            let kinds = cat::<3, 5, 8>(
                lit::<3>(0).replace_bit(0, tso),
                cat::<2, 3, 5>(
                    cat::<1, 1, 2>(v6.into(), udp.into()),
                    cat::<1, 2, 3>(
                        full.into(),
                        cat::<1, 1, 2>(ask_l4.into(), (ask_ip && v4).into()),
                    ),
                ),
            );
            self.word.d.next = if off {
                cat::<16, 8, 24>(cat::<8, 8, 16>(l3_len, l3_off), kinds)
            } else {
                lit::<24>(0)
            };
            self.off.d.next = off;
            self.good.d.next = came_plain && !(senseless || outside || too_long);
            // What is no segment tells whether there is an IP header.
            let sized = (v4 && v4_len) || (v6 && v6_len);
            self.hdr.d.next = if tso {
                l4_at + cat::<8, 2, 10>(bit_cast::<8, 6>(words), lit::<2>(0))
            } else {
                bit_cast::<10, 1>(sized.into())
            };
            self.mss.d.next = mss;
            self.cut.d.next = if cuts { Cut::Begin } else { Cut::Known };
            self.first.d.next = true;
            self.last.d.next = !cuts;
            self.frame_len.d.next = len;
            self.rows.d.next = rows;
            self.rows_less.d.next = rows_less;
            self.wanted.d.next =
                bit_cast::<16, 17>(len) - bit_cast::<16, 8>(self.came_push.q.val());
            self.skip.d.next = bit_cast::<9, 8>(self.came_push.q.val());
        }
        let off = self.off.q.val() && on;
        let read = self.good.q.val();
        // So as if one row more were used.
        let filled = self.rows_used.q.val() + self.rows_less.q.val();
        let fits = !filled.get_bit(B + 1) && !self.slots_used.q.val().get_bit(S);
        let push = self.push.q.val();
        let pushed = push.any() && self.first.q.val();
        let known = self.held.q.val() && (self.cut.q.val() == Cut::Known || !on);
        let go = known
            && !self.told.q.val()
            && !self.asking.q.val()
            && ((fits && !self.pushes.q.val()) || !read);
        let asks = read && self.wanted.q.val().any();
        if self.push_ready.val() {
            self.pushes.d.next = false;
        }
        if go && read && pushed {
            self.pushes.d.next = true;
            self.pushes_line.d.next = self.line.q.val();
            self.pushes_row.d.next = self.row.q.val();
            self.pushes_len.d.next = push;
        }
        self.push_valid.next = self.pushes.q.val();
        self.push_line.next = self.pushes_line.q.val();
        self.push_row.next = self.pushes_row.q.val();
        self.push_len.next = self.pushes_len.q.val();

        // ---- A packet that is cut: its next frame.
        let hdr = bit_cast::<17, 10>(self.hdr.q.val());
        let step = if self.held.q.val() && on { self.cut.q.val() } else { Cut::Known };
        match step {
            Cut::Known => {}
            Cut::Begin => {
                self.rest.d.next = self.len.q.val() - hdr;
                self.ahead.d.next = hdr - bit_cast::<17, 8>(push);
                self.cut.d.next = Cut::Next;
                if !read || self.hdr.q.val() > lit::<10>(MAX_HDR) || hdr > self.len.q.val() {
                    self.good.d.next = false;
                    self.last.d.next = true;
                    self.cut.d.next = Cut::Known;
                }
            }
            Cut::Next => {
                let more = self.rest.q.val() > bit_cast::<17, 14>(self.mss.q.val());
                self.last.d.next = !more;
                self.part.d.next =
                    if more { self.mss.q.val() } else { bit_cast::<14, 17>(self.rest.q.val()) };
                self.cut.d.next = Cut::Measure;
            }
            Cut::Measure => {
                let part = bit_cast::<17, 14>(self.part.q.val());
                self.frame_len.d.next = hdr + part;
                let wanted = self.ahead.q.val() + part;
                self.ahead.d.next = lit::<17>(0);
                self.wanted.d.next = bit_cast::<16, 17>(wanted);
                if wanted.get_bit(16) {
                    self.good.d.next = false;
                }
                self.skip.d.next = if self.first.q.val() {
                    bit_cast::<9, 8>(push)
                } else {
                    bit_cast::<9, 10>(self.hdr.q.val())
                };
                self.rest.d.next = self.rest.q.val() - part;
                self.cut.d.next = Cut::Count;
            }
            Cut::Count => {
                self.rows.d.next = rows;
                self.rows_less.d.next = rows_less;
                let limit = bit_cast::<17, 16>(self.off_limit.q.val());
                if self.first.q.val() && frame_len > limit {
                    self.good.d.next = false;
                }
                self.cut.d.next = Cut::Known;
            }
        }

        // ---- Its place.
        let left_used = self.rows_used.q.val() - bit_cast::<12, 16>(self.free_rows.val());
        let mut used = left_used;
        let mut slots = self.slots_used.q.val();
        if self.free_slot.val() {
            slots = slots - 1;
        }
        if self.info_ready.val() {
            self.told.d.next = false;
        }
        if go {
            // One bad frame is one bad packet.
            let ends = self.last.q.val() || !read || !on;
            self.held.d.next = !ends;
            self.first.d.next = false;
            if !ends {
                self.cut.d.next = Cut::Next;
            }
            self.told.d.next = true;
            self.told_row.d.next = self.row.q.val();
            self.told_len.d.next = bit_cast::<16, 17>(frame_len);
            self.told_cq.d.next = self.cq.q.val();
            self.told_req_id.d.next = self.req_id.q.val();
            self.told_word.d.next = cat::<9, 24, 33>(
                if off { bit_cast::<9, 10>(self.hdr.q.val()) } else { lit::<9>(0) },
                if on { self.word.q.val() } else { lit::<24>(0) },
            )
            .replace_bit(word::FIRST, self.first.q.val() || !on)
            .replace_bit(word::LAST, ends);
            let parts = cat::<1, 1, 2>((read && pushed).into(), asks.into());
            self.told_flags.d.next = cat::<4, 3, 7>(
                cat::<2, 2, 4>(
                    parts,
                    cat::<1, 1, 2>(self.marker.q.val().into(), self.silent.q.val().into()),
                ),
                cat::<1, 2, 3>(
                    self.dma.q.val().into(),
                    cat::<1, 1, 2>((self.bad.q.val() || (plain && !read)).into(), read.into()),
                ),
            );
            self.asking.d.next = asks || (!read && self.count.q.val().any());
            self.passing.d.next = !read;
            self.left.d.next = self.count.q.val();
            self.bytes.d.next = self.wanted.q.val();
            self.dst.d.next = (bit_cast::<20, 16>(self.row.q.val()) << lit::<20>(L))
                + bit_cast::<20, 9>(self.skip.q.val());
            self.op.d.next = cat::<1, 8, 9>(
                (!self.even_lap.q.val()).into(),
                bit_cast::<8, S>(self.slot.q.val()),
            );
            if read {
                let row = self.row.q.val() + bit_cast::<16, 12>(self.rows.q.val());
                self.row.d.next = row & lit::<16>((1 << (B + 1)) - 1);
                used = left_used + self.rows.q.val();
            }
            if asks {
                self.slot.d.next = self.slot.q.val() + 1;
                if self.slot.q.val().all() {
                    self.even_lap.d.next = !self.even_lap.q.val();
                }
                slots = slots + 1;
            }
        }
        self.rows_used.d.next = used & lit::<12>((1 << (B + 2)) - 1);
        self.slots_used.d.next = slots;
        self.info_valid.next = self.told.q.val();
        self.info_row.next = self.told_row.q.val();
        self.info_len.next = self.told_len.q.val();
        self.info_cq.next = self.told_cq.q.val();
        self.info_req_id.next = self.told_req_id.q.val();
        self.info_word.next = self.told_word.q.val();
        let flags = self.told_flags.q.val();
        self.info_read.next = flags.get_bit(0);
        self.info_bad.next = flags.get_bit(1);
        self.info_dma.next = flags.get_bit(2);
        self.info_silent.next = flags.get_bit(3);
        self.info_marker.next = flags.get_bit(4);
        self.info_slot.next = flags.get_bit(5);
        self.info_push.next = flags.get_bit(6);

        // ---- Its segments. None is asked for before `tx/out` knows of the frame.
        let open = self.asking.q.val()
            && self.requests.in_ready.val()
            && (!self.told.q.val() || self.info_ready.val());
        let over = self.over.q.val() && on;
        let addr = if over { self.over_addr.q.val() } else { self.seg_addr.val() };
        let len = if over { self.over_len.q.val() } else { self.seg_len.val() };
        let reaches = len >= self.bytes.q.val();
        let beyond = len > self.bytes.q.val() && on;
        let pass = open && (over || self.seg_valid.val());
        self.seg_ready.next = open && !over;
        self.over_by.d.next = lit::<16>(0);
        if over {
            self.over_addr.d.next =
                self.over_addr.q.val() + bit_cast::<48, 16>(self.over_by.q.val());
        }
        if pass {
            self.left.d.next = self.left.q.val() - 1;
            self.bytes.d.next = self.bytes.q.val() - len;
            self.dst.d.next = self.dst.q.val() + bit_cast::<20, 16>(len);
            if self.passing.q.val() {
                self.asking.d.next = self.left.q.val() != 1;
            } else {
                self.asking.d.next = !reaches;
                self.over.d.next = beyond;
                // The frame behind is not asked for before `over_by` is added.
                self.over_by.d.next = self.bytes.q.val();
                self.over_addr.d.next = addr;
                self.over_len.d.next = len - self.bytes.q.val();
            }
        }
        self.requests.in_valid.next = pass && !self.passing.q.val();
        self.requests.in_data.next = cat::<64, 30, 94>(
            cat::<48, 16, 64>(addr, if reaches { self.bytes.q.val() } else { len }),
            cat::<20, 10, 30>(self.dst.q.val(), cat::<9, 1, 10>(self.op.q.val(), reaches.into())),
        );
        let ask = self.requests.out_data.val();
        self.data.valid.next = self.requests.out_valid.val();
        self.requests.out_ready.next = self.data.ready.val();
        self.data.addr.next = bit_cast::<64, 48>(ask.get_bits::<48>(46));
        self.data.len.next = ask.get_bits::<16>(30);
        self.data.dst.next = ask.get_bits::<20>(10);
        self.data.op.next = ask.get_bits::<9>(1);
        self.data.last.next = ask.get_bit(0);
    }
}
