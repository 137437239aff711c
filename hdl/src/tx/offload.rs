//! What the card writes into frames on their way to the MAC: checksums, and the headers of segments.
//!
//! **Ports.** `beat_*` are the frames of `tx/out`, padded already; `word` says with each beat what its frame is to get ([word]); `mac`
//! takes the same frames, in order.
//!
//! **Segments.** The frames of a packet to be cut come as `tx/gather` laid them: the first with the packet's header,
//! the others with as many bytes of nothing in its place. The header's beats of the first are kept, and laid over the others: lanes agree, so
//! nothing is shifted. Each frame gets its length, its IPv4 ID and sequence number counted up from the first frame's, FIN and PSH only
//! if it is the last, CWR only if it is the first.
//!
//! **Sums.** Two masks choose bytes by their place: the IPv4 header without its checksum; what TCP or UDP sum up. That is everything from
//! the L4 header on to where the IP header's length says, so no trailer; and if the pseudo header is not in the checksum's field already (`FULL`), the
//! addresses and the length of the IP header in the frame, without the field. [super::sums] adds them up. A UDP checksum of 0 becomes 0xFFFF.
//! If the pseudo header is in the field, its host has said what is summed up: without an IP header (not `SIZED`), or with a length that
//! can't be, that is all to the frame's end.
//!
//! **Refused.** With `FULL` the checksum follows from the IP header, and some frames' doesn't: those whose length is not within the frame or leaves no room for
//! L4, UDP whose own length is another, fragments, and those that [super::route] refuses, which is asked if there are
//! options or extension headers; nothing comes in behind such a frame before it has answered. A refused frame
//! takes its way through the card and is not sent; one that is cut goes with all its segments. `stat_bad` tells of each packet once.
//!
//! **Order.** [super::release] keeps a frame that gets a checksum until its sum is known, that is 16 cycles after its last beat at the least;
//! any other frame goes on as soon as it comes. So no such frame may have more than 2^B beats, which is for `tx/gather` to see to.
//!
//! **Speed.** A beat a cycle, also of frames of one beat; 9 cycles from a beat in to the same beat out, of frames without
//! offloads.
//!
//! **Full.** `beat_ready` falls while 2^B beats are inside, or 31 frames that get checksums.

use super::lanes::*;
use super::release::TxRelease;
use super::route::TxRoute;
use super::sums::TxSums;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::LutRam;
use nitor_rtl::prelude::*;

/// What a frame is to get. Of a frame without offloads all bits but FIRST and LAST are 0.
pub mod word {
    /// IPv4 header checksum.
    pub const IP: usize = 0;
    /// TCP or UDP checksum.
    pub const L4: usize = 1;
    /// The pseudo header is to be added.
    pub const FULL: usize = 2;
    pub const UDP: usize = 3;
    pub const V6: usize = 4;
    /// A segment of a packet.
    pub const TSO: usize = 5;
    /// Frame of its packet.
    pub const FIRST: usize = 6;
    pub const LAST: usize = 7;
    pub const L3_OFF: usize = 8;
    pub const L3_LEN: usize = 16;
    /// Bytes of a segment's headers, 9 bits.
    pub const HDR: usize = 24;
    /// Of what is no segment: there is an IP header that says how long the packet is.
    pub const SIZED: usize = HDR;
    /// So far as `tx/gather` knows it.
    pub const KNOWN: usize = 33;
    /// Bytes of the frame without padding.
    pub const LEN: usize = 33;
    /// Payload before this segment, 17 bits.
    pub const SEQ: usize = 49;
    /// Segments before this one.
    pub const NUM: usize = 66;
    pub const BITS: usize = 82;
}
const WORD: usize = word::BITS;

/// Longest headers of segments.
pub const MAX_HDR: usize = 256;

#[derive(LogicBlock, Default)]
pub struct TxOffload<const D: usize, const K: usize, const L: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub beat_valid: Signal<In, Bit>,
    pub beat_ready: Signal<Out, Bit>,
    pub beat_data: Signal<In, Bits<D>>,
    pub beat_last: Signal<In, Bit>,
    pub beat_bytes: Signal<In, Bits<7>>,
    pub word: Signal<In, Bits<WORD>>,
    pub mac: MacSrc<D>,
    /// A frame leaves, of so many bytes without padding.
    pub stat_frame: Signal<Out, Bit>,
    pub stat_bytes: Signal<Out, Bits<16>>,
    /// A packet is refused.
    pub stat_bad: Signal<Out, Bit>,
    /// Of the beat at the input, up to 64.
    index: Reg<Bits<7>>,
    /// The beat before it, inverted: none after a reset and in a frame's first.
    less: Reg<Bits<7>>,
    // Stage a: a beat, and places in its frame.
    a: Reg<Bit>,
    a_data: Reg<Bits<D>>,
    a_last: Reg<Bit>,
    a_bytes: Reg<Bits<7>>,
    a_word: Reg<Bits<WORD>>,
    a_index: Reg<Bits<7>>,
    a_less: Reg<Bits<7>>,
    /// {its packet was refused for its route, its route is to be looked at}, with each frame.
    a_route: Reg<Bits<2>>,
    // The segment's header ends in a beat before, in this one.
    a_past: Reg<Bit>,
    a_edge: Reg<Bit>,
    // The same of {IP header, its addresses, their end, L4 header}.
    ends_past: Reg<Bits<4>>,
    ends_edge: Reg<Bits<4>>,
    at_ip_sum: Reg<Bits<10>>,
    at_len: Reg<Bits<10>>,
    at_addr: Reg<Bits<10>>,
    at_addr_end: Reg<Bits<10>>,
    at_l4: Reg<Bits<10>>,
    at_l4_sum: Reg<Bits<10>>,
    header: LutRam<Bits<D>, 4>,
    route: TxRoute<D, K, L>,
    /// The frame whose route is looked at is inside to its end; and its sum is known.
    shut: Reg<Bit>,
    late: Reg<Bit>,
    // Stage b: the header is there, and places are lanes.
    b: Reg<Bit>,
    b_data: Reg<Bits<D>>,
    b_last: Reg<Bit>,
    b_bytes: Reg<Bits<7>>,
    b_word: Reg<Bits<WORD>>,
    b_first: Reg<Bit>,
    b_ip: Reg<Bits<K>>,
    b_ip_sum: Reg<Bits<K>>,
    b_addr: Reg<Bits<K>>,
    b_l4: Reg<Bits<K>>,
    b_l4_sum: Reg<Bits<K>>,
    b_field: [Reg<Bits<K>>; 8],
    b_flags: Reg<Bits<K>>,
    b_part: [Reg<Bits<K>>; 2],
    b_route: Reg<Bits<2>>,
    // Of the first segment; of other frames the length of the IP header, and in the upper half that of UDP.
    id: Reg<Bits<16>>,
    seq: Reg<Bits<32>>,
    // Stage c: what to write, and what to add up.
    c: Reg<Bit>,
    c_data: Reg<Bits<D>>,
    c_last: Reg<Bit>,
    c_bytes: Reg<Bits<7>>,
    c_first: Reg<Bit>,
    c_off: Reg<Bit>,
    c_tso: Reg<Bit>,
    c_mask_ip: Reg<Bits<K>>,
    c_mask_l4: Reg<Bits<K>>,
    c_field: [Reg<Bits<K>>; 8],
    c_flags: Reg<Bits<K>>,
    c_keep: Reg<Bits<8>>,
    c_value: Reg<Bits<64>>,
    c_route: Reg<Bits<2>>,
    // From where the IP header counts, where L4 is and how far it must reach, the frame's bytes, how many are padding.
    c_base: Reg<Bits<10>>,
    c_l4: Reg<Bits<10>>,
    c_need: Reg<Bits<10>>,
    c_most: Reg<Bits<16>>,
    c_short: Reg<Bits<6>>,
    // {UDP, FULL of what is no segment, the length counts}
    c_kind: Reg<Bits<3>>,
    c_part: Reg<Bit>,
    c_index: Reg<Bits<10>>,
    // Stage d: the beat as it goes into the RAM.
    d: Reg<Bit>,
    d_data: Reg<Bits<D>>,
    d_last: Reg<Bit>,
    d_bytes: Reg<Bits<7>>,
    d_first: Reg<Bit>,
    d_off: Reg<Bit>,
    d_mask_ip: Reg<Bits<K>>,
    d_mask_l4: Reg<Bits<K>>,
    d_route: Reg<Bits<2>>,
    d_end: Reg<Bits<17>>,
    d_udp_end: Reg<Bits<17>>,
    d_need: Reg<Bits<10>>,
    d_most: Reg<Bits<16>>,
    d_short: Reg<Bits<6>>,
    d_kind: Reg<Bits<3>>,
    d_part: Reg<Bit>,
    d_index: Reg<Bits<10>>,
    // Stage m: without what is behind the packet.
    m: Reg<Bit>,
    m_data: Reg<Bits<D>>,
    m_last: Reg<Bit>,
    m_first: Reg<Bit>,
    m_mask_ip: Reg<Bits<K>>,
    m_mask_l4: Reg<Bits<K>>,
    m_tag: Reg<Bits<2>>,
    // Sums, with the pseudo header's constants, and folded again.
    adder: TxSums<D, K>,
    k: Reg<Bit>,
    k_ip: Reg<Bits<16>>,
    k_l4: Reg<Bits<18>>,
    k_info: Reg<Bits<23>>,
    k_bad: Reg<Bits<2>>,
    l: Reg<Bit>,
    l_ip: Reg<Bits<16>>,
    l_l4: Reg<Bits<17>>,
    l_info: Reg<Bits<23>>,
    l_bad: Reg<Bits<2>>,
    // Of frames whose sums are under way: {first of its packet, pseudo header, swapped, UDP, L4, IP, places}.
    infos: Fifo<Bits<43>, 5>,
    out: TxRelease<D, K, L, B>,
}

impl<const D: usize, const K: usize, const L: usize, const B: usize> Logic
    for TxOffload<D, K, L, B>
{
    /// Checksums and headers of segments, written into frames on their way to the MAC.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; index, less, a_less, a_past, a_edge, ends_past, ends_edge, a,
            a_index, at_ip_sum, at_len, at_addr, at_addr_end, at_l4, at_l4_sum);
        registers!(self, clock, reset; b, b_first);
        registers!(self, clock, reset; c, c_first, c_off, c_tso);
        registers!(self, clock, reset; d, d_first, d_off);
        registers!(self, clock, reset; k, l, m, shut, late, a_route, b_route, c_route, d_route, c_index);
        registers!(self, clock; b_part[..], c_base, c_l4, c_need, c_most, c_short, c_kind, c_part, d_end, d_udp_end, d_need, d_most,
            d_short, d_kind, d_part, d_index, m_data, m_last, m_first, m_mask_ip, m_mask_l4, m_tag, k_bad, l_bad);
        registers!(self, clock; a_data, a_last, a_bytes, a_word, b_data, b_last, b_bytes, b_word, b_ip, b_ip_sum, b_addr, b_l4,
            b_l4_sum, b_field[..], b_flags, id, seq, c_data, c_last, c_bytes, c_mask_ip, c_mask_l4, c_field[..], c_flags, c_keep, c_value,
            d_data, d_last, d_bytes, d_mask_ip, d_mask_l4, k_ip, k_l4, k_info, l_ip, l_l4, l_info);
        clocked!(self, clock, reset; route, adder, infos, out);
        clocked!(self, clock; header);

        // ---- a: beats in. What follows never waits, so it is here that room is made sure of.
        let w = self.word.val();
        let ready = self.out.open.val() && !self.shut.q.val();
        let take = self.beat_valid.val() && ready;
        let asks = w.get_bit(word::IP) || w.get_bit(word::L4);
        self.beat_ready.next = ready;
        let l3_len = w.get_bits::<8>(word::L3_LEN);
        let bare = l3_len == if w.get_bit(word::V6) { lit::<8>(40) } else { lit::<8>(20) };
        let routed = w.get_bit(word::FULL) && !bare;
        let begins = w.get_bit(word::FIRST);
        self.a.d.next = take;
        self.a_route.d.next = cat::<1, 1, 2>(
            (routed && !begins && self.route.refused.val()).into(),
            (routed && begins).into(),
        );
        self.a_data.d.next = self.beat_data.val();
        self.a_last.d.next = self.beat_last.val();
        self.a_bytes.d.next = self.beat_bytes.val();
        self.a_word.d.next = w;
        self.a_index.d.next = self.index.q.val();
        self.a_less.d.next = !self.less.q.val();
        let hdr = bit_cast::<10, 9>(w.get_bits::<9>(word::HDR));
        self.a_past.d.next = beat::<L>(hdr) < self.index.q.val();
        self.a_edge.d.next = beat::<L>(hdr) == self.index.q.val();
        if take {
            self.less.d.next = !self.index.q.val();
            if self.beat_last.val() {
                self.shut.d.next = routed && begins;
                self.index.d.next = lit::<7>(0);
                self.less.d.next = lit::<7>(0);
            } else if !self.index.q.val().get_bit(6) {
                self.index.d.next = self.index.q.val() + 1;
            }
        }
        let v6 = w.get_bit(word::V6);
        let l3 = bit_cast::<10, 8>(w.get_bits::<8>(word::L3_OFF));
        let l4 = l3 + bit_cast::<10, 8>(w.get_bits::<8>(word::L3_LEN));
        self.at_ip_sum.d.next = l3 + lit::<10>(10);
        self.at_len.d.next = l3 + if v6 { lit::<10>(4) } else { lit::<10>(2) };
        let addr = l3 + if v6 { lit::<10>(8) } else { lit::<10>(12) };
        let addr_end = l3 + if v6 { lit::<10>(40) } else { lit::<10>(20) };
        let at = self.index.q.val();
        self.at_addr.d.next = addr;
        self.at_addr_end.d.next = addr_end;
        self.ends_past.d.next = lit::<4>(0)
            .replace_bit(0, beat::<L>(l3) < at)
            .replace_bit(1, beat::<L>(addr) < at)
            .replace_bit(2, beat::<L>(addr_end) < at)
            .replace_bit(3, beat::<L>(l4) < at);
        self.ends_edge.d.next = lit::<4>(0)
            .replace_bit(0, beat::<L>(l3) == at)
            .replace_bit(1, beat::<L>(addr) == at)
            .replace_bit(2, beat::<L>(addr_end) == at)
            .replace_bit(3, beat::<L>(l4) == at);
        self.at_l4.d.next = l4;
        self.at_l4_sum.d.next =
            l4 + if w.get_bit(word::UDP) { lit::<10>(6) } else { lit::<10>(16) };

        // ---- b: the header is laid over, and places become lanes.
        let w = self.a_word.q.val();
        let index = self.a_index.q.val();
        let tso = w.get_bit(word::TSO);
        let first = w.get_bit(word::FIRST);
        let looks = self.a_route.q.val().get_bit(0);
        self.header.we.next = self.a.q.val() && ((tso && first) || looks) && index < 16;
        self.header.waddr.next = bit_cast::<4, 7>(index);
        self.header.wdata.next = self.a_data.q.val();
        // Nothing is at this stage while a route is read.
        self.header.raddr.next =
            if self.route.busy.val() { self.route.row.val() } else { bit_cast::<4, 7>(index) };
        let kept = self.header.rdata.val();
        self.route.start.next = self.a.q.val() && self.a_last.q.val() && looks;
        self.route.v6.next = w.get_bit(word::V6);
        // IPv6's Next Header is behind its length.
        self.route.from.next =
            if w.get_bit(word::V6) { self.at_len.q.val() + 2 } else { self.at_addr_end.q.val() };
        self.route.l4.next = self.at_l4.q.val();
        self.route.data.next = kept;
        let hdr = bit_cast::<10, 9>(w.get_bits::<9>(word::HDR));
        let own = since::<K>(hdr, self.a_past.q.val(), self.a_edge.q.val());
        let mut data = self.a_data.q.val();
        if tso && !first {
            for i in 0..K {
                if !own.get_bit(i) {
                    data = data.set_slice::<8>(8 * i, kept.get_bits::<8>(8 * i));
                }
            }
        }
        self.b.d.next = self.a.q.val();
        self.b_data.d.next = data;
        self.b_last.d.next = self.a_last.q.val();
        self.b_bytes.d.next = self.a_bytes.q.val();
        self.b_word.d.next = w;
        self.b_route.d.next = self.a_route.q.val();
        self.b_first.d.next = index == 0;
        let l3 = bit_cast::<10, 8>(w.get_bits::<8>(word::L3_OFF));
        let ip_sum = self.at_ip_sum.q.val();
        let len = self.at_len.q.val();
        let l4 = self.at_l4.q.val();
        let l4_sum = self.at_l4_sum.q.val();
        let at_past = self.ends_past.q.val();
        let at_edge = self.ends_edge.q.val();
        let from_l4 = since::<K>(l4, at_past.get_bit(3), at_edge.get_bit(3));
        let off = w.get_bit(word::IP) || w.get_bit(word::L4);
        // A field may begin in the beat before.
        let less = self.a_less.q.val();
        let sum_lane = lane::<K>(ip_sum);
        let sum_here = beat::<L>(ip_sum) == index;
        let sum_less = beat::<L>(ip_sum) == less;
        let check_lane = lane::<K>(l4_sum);
        let check_here = beat::<L>(l4_sum) == index;
        let check_less = beat::<L>(l4_sum) == less;
        let len_lane = lane::<K>(len);
        let len_here = beat::<L>(len) == index;
        let len_less = beat::<L>(len) == less;
        let l4_lane = lane::<K>(l4);
        let l4_here = at_edge.get_bit(3);
        let l4_less = beat::<L>(l4) == less;
        if off {
            self.b_ip.d.next = since::<K>(l3, at_past.get_bit(0), at_edge.get_bit(0)) & !from_l4;
            self.b_ip_sum.d.next = only::<K>(sum_here, sum_lane | (sum_lane << lit::<8>(1)))
                | only::<K>(sum_less, sum_lane >> lit::<8>(K - 1));
            let from_end =
                since::<K>(self.at_addr_end.q.val(), at_past.get_bit(2), at_edge.get_bit(2));
            self.b_addr.d.next =
                since::<K>(self.at_addr.q.val(), at_past.get_bit(1), at_edge.get_bit(1))
                    & !from_end;
            self.b_l4.d.next = from_l4;
            self.b_l4_sum.d.next = only::<K>(check_here, check_lane | (check_lane << lit::<8>(1)))
                | only::<K>(check_less, check_lane >> lit::<8>(K - 1));
            // Length, ID, and the place of a fragment are neighbours.
            for n in 0..2 {
                self.b_part[n].d.next = only::<K>(len_here, len_lane << lit::<8>(n + 4))
                    | only::<K>(len_less, len_lane >> lit::<8>(K - 4 - n));
            }
            for n in 0..4 {
                self.b_field[n].d.next = only::<K>(len_here, len_lane << lit::<8>(n))
                    | only::<K>(len_less, len_lane >> lit::<8>(K - n));
                self.b_field[n + 4].d.next = only::<K>(l4_here, l4_lane << lit::<8>(n + 4))
                    | only::<K>(l4_less, l4_lane >> lit::<8>(K - 4 - n));
            }
            self.b_flags.d.next = only::<K>(l4_here, l4_lane << lit::<8>(13))
                | only::<K>(l4_less, l4_lane >> lit::<8>(K - 13));
        }
        let corrected = if w.get_bit(word::V6) { lit::<17>(0x10027) } else { lit::<17>(0xffff) };
        let protocol = if w.get_bit(word::UDP) { lit::<17>(17) } else { lit::<17>(6) };
        let pseudo = if w.get_bit(word::FULL) {
            corrected + protocol - bit_cast::<17, 8>(w.get_bits::<8>(word::L3_LEN))
        } else {
            lit::<17>(0)
        };
        self.infos.in_valid.next =
            self.a.q.val() && index == 0 && (w.get_bit(word::IP) || w.get_bit(word::L4));
        self.infos.in_data.next = cat::<18, 25, 43>(
            cat::<1, 17, 18>(first.into(), pseudo),
            cat::<2, 23, 25>(
                cat::<1, 1, 2>(l4.get_bit(0).into(), l3.get_bit(0).into()),
                cat::<3, 20, 23>(
                    cat::<1, 2, 3>(
                        w.get_bit(word::UDP).into(),
                        cat::<1, 1, 2>(w.get_bit(word::L4).into(), w.get_bit(word::IP).into()),
                    ),
                    cat::<10, 10, 20>(l4_sum, ip_sum),
                ),
            ),
        );

        // ---- c: values, and masks of what is added up.
        let w = self.b_word.q.val();
        let data = self.b_data.q.val();
        let v6 = w.get_bit(word::V6);
        let full = w.get_bit(word::FULL);
        let begins = self.b.q.val() && w.get_bit(word::TSO) && w.get_bit(word::FIRST);
        let measured = self.b.q.val() && w.get_bit(word::L4) && !w.get_bit(word::TSO);
        if begins || measured {
            let mut id = self.id.q.val();
            let mut seq = self.seq.q.val();
            for n in 0..2 {
                let lanes =
                    if measured { self.b_field[n].q.val() } else { self.b_field[n + 2].q.val() };
                if lanes.any() {
                    let byte = pick::<D, K>(data, lanes);
                    id = id.set_slice::<8>(8 - 8 * n, byte);
                }
            }
            for n in 0..4 {
                if self.b_field[n + 4].q.val().any() {
                    let byte = pick::<D, K>(data, self.b_field[n + 4].q.val());
                    seq = seq.set_slice::<8>(24 - 8 * n, byte);
                }
            }
            self.id.d.next = id;
            self.seq.d.next = seq;
        }
        let tso = w.get_bit(word::TSO);
        let later = tso && !w.get_bit(word::FIRST);
        self.c.d.next = self.b.q.val();
        self.c_data.d.next = data;
        self.c_last.d.next = self.b_last.q.val();
        self.c_bytes.d.next = self.b_bytes.q.val();
        self.c_first.d.next = self.b_first.q.val();
        self.c_off.d.next = w.get_bit(word::IP) || w.get_bit(word::L4);
        self.c_tso.d.next = tso;
        for n in 0..8 {
            // IPv6 has no ID. The first segment has its ID and sequence number.
            let written = if n < 2 {
                tso
            } else if n < 4 {
                later && !v6
            } else {
                later
            };
            self.c_field[n].d.next = if written { self.b_field[n].q.val() } else { lit::<K>(0) };
        }
        self.c_flags.d.next = self.b_flags.q.val();
        let ends = if w.get_bit(word::LAST) { lit::<8>(0) } else { lit::<8>(0x09) };
        let reduced = if w.get_bit(word::FIRST) { lit::<8>(0) } else { lit::<8>(0x80) };
        self.c_keep.d.next = !(ends | reduced);
        let without = bit_cast::<16, 8>(w.get_bits::<8>(word::L3_OFF))
            + if v6 { lit::<16>(40) } else { lit::<16>(0) };
        let seq = self.seq.q.val() + bit_cast::<32, 17>(w.get_bits::<17>(word::SEQ));
        self.c_value.d.next = cat::<32, 32, 64>(
            seq,
            cat::<16, 16, 32>(
                self.id.q.val() + w.get_bits::<16>(word::NUM),
                w.get_bits::<16>(word::LEN) - without,
            ),
        );
        let len = w.get_bits::<16>(word::LEN);
        let l4 = bit_cast::<10, 8>(w.get_bits::<8>(word::L3_OFF))
            + bit_cast::<10, 8>(w.get_bits::<8>(word::L3_LEN));
        let udp = w.get_bit(word::UDP);
        self.c_route.d.next = self.b_route.q.val();
        self.c_base.d.next = bit_cast::<10, 16>(without);
        self.c_l4.d.next = l4;
        self.c_need.d.next = l4 + if udp { lit::<10>(8) } else { lit::<10>(18) };
        self.c_most.d.next = len;
        self.c_short.d.next =
            if len < 60 { lit::<6>(60) - bit_cast::<6, 16>(len) } else { lit::<6>(0) };
        self.c_kind.d.next = cat::<1, 2, 3>(
            udp.into(),
            cat::<1, 1, 2>(
                (full && !tso).into(),
                (w.get_bit(word::L4) && !tso && (full || w.get_bit(word::SIZED))).into(),
            ),
        );
        // More fragments, or not the first.
        let mut part = self.c_part.q.val() && !self.b_first.q.val();
        for i in 0..K {
            let byte = data.get_bits::<8>(8 * i);
            part = part
                || (self.b_part[0].q.val().get_bit(i) && (byte & lit::<8>(0x3f)).any())
                || (self.b_part[1].q.val().get_bit(i) && byte.any());
        }
        if self.b.q.val() {
            self.c_part.d.next = part && full && !v6;
            self.c_index.d.next =
                if self.b_first.q.val() { lit::<10>(0) } else { self.c_index.q.val() + 1 };
        }
        let mut pseudo = self.b_addr.q.val();
        for n in 0..2 {
            pseudo = pseudo | self.b_field[n].q.val();
        }
        self.c_mask_ip.d.next = if w.get_bit(word::IP) {
            self.b_ip.q.val() & !self.b_ip_sum.q.val()
        } else {
            lit::<K>(0)
        };
        self.c_mask_l4.d.next = if full {
            (self.b_l4.q.val() & !self.b_l4_sum.q.val()) | pseudo
        } else if w.get_bit(word::L4) {
            self.b_l4.q.val()
        } else {
            lit::<K>(0)
        };

        // ---- d: written.
        let mut data = self.c_data.q.val();
        if self.c_tso.q.val() {
            let value = self.c_value.q.val();
            for i in 0..K {
                let mut hit = false;
                let mut byte = lit::<8>(0);
                for n in 0..8 {
                    // The wire has the high byte of each of the three first.
                    let at = if n < 2 {
                        8 - 8 * n
                    } else if n < 4 {
                        40 - 8 * n
                    } else {
                        88 - 8 * n
                    };
                    let here = self.c_field[n].q.val().get_bit(i);
                    hit = hit || here;
                    byte = byte | gate(here, value.get_bits::<8>(at));
                }
                if hit {
                    data = data.set_slice::<8>(8 * i, byte);
                } else if self.c_flags.q.val().get_bit(i) {
                    let flags = data.get_bits::<8>(8 * i) & self.c_keep.q.val();
                    data = data.set_slice::<8>(8 * i, flags);
                }
            }
        }
        self.d.d.next = self.c.q.val();
        self.d_data.d.next = data;
        self.d_last.d.next = self.c_last.q.val();
        self.d_bytes.d.next = self.c_bytes.q.val();
        self.d_first.d.next = self.c_first.q.val();
        self.d_off.d.next = self.c_off.q.val();
        self.d_mask_ip.d.next = self.c_mask_ip.q.val();
        self.d_mask_l4.d.next = self.c_mask_l4.q.val();
        self.d_route.d.next = self.c_route.q.val();
        self.d_end.d.next =
            bit_cast::<17, 16>(self.id.q.val()) + bit_cast::<17, 10>(self.c_base.q.val());
        self.d_udp_end.d.next = bit_cast::<17, 16>(self.seq.q.val().get_bits::<16>(16))
            + bit_cast::<17, 10>(self.c_l4.q.val());
        self.d_need.d.next = self.c_need.q.val();
        self.d_most.d.next = self.c_most.q.val();
        self.d_short.d.next = self.c_short.q.val();
        self.d_kind.d.next = self.c_kind.q.val();
        self.d_part.d.next = self.c_part.q.val();
        self.d_index.d.next = self.c_index.q.val();

        // ---- m: the packet's end. The length is known before the first byte of L4, or with it.
        let end = self.d_end.q.val();
        let kind = self.d_kind.q.val();
        let within = end <= bit_cast::<17, 16>(self.d_most.q.val())
            && end >= bit_cast::<17, 10>(self.d_need.q.val());
        let agrees = end == self.d_udp_end.q.val() || !kind.get_bit(2);
        let end_beat = bit_cast::<13, 17>(end >> lit::<17>(L));
        let index = bit_cast::<13, 10>(self.d_index.q.val());
        let behind = since::<K>(bit_cast::<10, 17>(end), end_beat < index, end_beat == index);
        let cut = kind.get_bit(0) && within;
        let route = self.d_route.q.val();
        let bad =
            route.get_bit(1) || self.d_part.q.val() || (kind.get_bit(1) && !(within && agrees));
        self.m.d.next = self.d.q.val() && self.d_off.q.val();
        self.m_first.d.next = self.d_first.q.val();
        self.m_last.d.next = self.d_last.q.val();
        self.m_data.d.next = self.d_data.q.val();
        self.m_mask_ip.d.next = self.d_mask_ip.q.val();
        self.m_mask_l4.d.next = self.d_mask_l4.q.val() & !only::<K>(cut, behind);
        self.m_tag.d.next = cat::<1, 1, 2>(bad.into(), route.get_bit(0).into());

        // ---- Sums. A frame whose route is read waits for that, and it is the last one inside.
        self.adder.valid.next = self.m.q.val();
        self.adder.first.next = self.m_first.q.val();
        self.adder.last.next = self.m_last.q.val();
        self.adder.data.next = self.m_data.q.val();
        self.adder.mask_ip.next = self.m_mask_ip.q.val();
        self.adder.mask_l4.next = self.m_mask_l4.q.val();
        self.adder.tag.next = self.m_tag.q.val();
        let tag = self.adder.done_tag.val();
        let routed = self.late.q.val() || (self.adder.done.val() && tag.get_bit(0));
        let read = routed && !self.route.busy.val();
        let summed = read || (self.adder.done.val() && !tag.get_bit(0));
        self.late.d.next = routed && !read;
        if read {
            self.shut.d.next = false;
        }
        let refused = tag.get_bit(1) || (routed && self.route.refused.val());

        // ---- k, l: with the pseudo header's constants.
        let info = self.infos.out_data.val();
        self.infos.out_ready.next = summed;
        self.k.d.next = summed;
        self.k_ip.d.next = turned(self.adder.ip.val(), info.get_bit(23));
        self.k_l4.d.next = bit_cast::<18, 16>(turned(self.adder.l4.val(), info.get_bit(24)))
            + bit_cast::<18, 17>(info.get_bits::<17>(25));
        self.k_info.d.next = info.get_bits::<23>(0);
        self.k_bad.d.next = cat::<1, 1, 2>(info.get_bit(42).into(), refused.into());
        let l4 = self.k_l4.q.val();
        self.l.d.next = self.k.q.val();
        self.l_ip.d.next = self.k_ip.q.val();
        self.l_l4.d.next =
            bit_cast::<17, 16>(l4.get_bits::<16>(0)) + bit_cast::<17, 2>(l4.get_bits::<2>(16));
        self.l_info.d.next = self.k_info.q.val();
        self.l_bad.d.next = self.k_bad.q.val();
        let l4 = self.l_l4.q.val();
        let info = self.l_info.q.val();
        let mut l4_sum = !(l4.get_bits::<16>(0) + bit_cast::<16, 1>(l4.get_bits::<1>(16)));
        if info.get_bit(22) && !l4_sum.any() {
            l4_sum = lit::<16>(0xffff);
        }
        self.out.sum_valid.next = self.l.q.val();
        self.out.sum_word.next = cat::<24, 32, 56>(
            cat::<2, 22, 24>(self.l_bad.q.val(), info.get_bits::<22>(0)),
            cat::<16, 16, 32>(l4_sum, !self.l_ip.q.val()),
        );

        // ---- Out.
        self.out.taken.next = take;
        self.out.begins.next = take && asks && self.index.q.val() == 0;
        self.out.put.next = self.d.q.val();
        self.out.put_data.next = self.d_data.q.val();
        self.out.put_end.next = cat::<8, 7, 15>(
            cat::<6, 2, 8>(
                self.d_short.q.val(),
                cat::<1, 1, 2>(self.d_off.q.val().into(), self.d_last.q.val().into()),
            ),
            self.d_bytes.q.val(),
        );
        MacSrc::<D>::link(&mut self.mac, &mut self.out.mac);
        self.stat_frame.next = self.out.stat_frame.val();
        self.stat_bytes.next = self.out.stat_bytes.val();
        self.stat_bad.next = self.out.stat_bad.val();
    }
}
