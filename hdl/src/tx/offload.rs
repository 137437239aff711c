//! What the card writes into frames on their way to the MAC: checksums, and the headers of
//! segments.
//!
//! **Ports.** `beat` brings the frames of `tx/out`, padded already; its `word` says with each beat
//! what its frame is to get ([OffloadWord]). `mac` takes the same frames, in order.
//!
//! **Segments.** The frames of a packet to be cut are as `tx/gather` laid them: the first with the
//! packet's header, later ones with as many bytes of nothing in its place. The header's beats of
//! the first are kept, and laid over the later ones: lanes agree, so nothing is shifted. Each frame
//! gets its length, its IPv4 ID and sequence number counted up from the first frame's, FIN and PSH
//! only if it is the last, CWR only if it is the first.
//!
//! **Sums.** Two masks choose bytes by their place: the IPv4 header without its checksum; what TCP
//! or UDP sum up. That is everything from the L4 header on to where the IP header's length says, so
//! no trailer. With `full` the pseudo header is not in the checksum's field already, and the
//! addresses and the length of the IP header in the frame are summed too, without the field.
//! [super::sums] adds them up. A UDP checksum of 0 becomes 0xFFFF. If the pseudo header is in the
//! field, its host has said what is summed up: without an IP header (not [sized]), or with a length
//! that can't be, that is all to the frame's end.
//!
//! **Refused.** With `full` the checksum follows from the IP header, and some frames' doesn't:
//! those whose length is not within the frame or leaves no room for L4, UDP whose own length is
//! another, fragments, and those that [super::route] refuses. That is asked if there are options or
//! extension headers; nothing enters behind such a frame before it has answered. A refused frame
//! takes its way through the card and is not sent; one that is cut goes with all its segments.
//! `stat_bad` tells of each packet once.
//!
//! **Order.** [super::release] keeps a frame that gets a checksum until its sum is known, that is
//! 16 cycles after its last beat at the least; any other frame goes on at once. So no such frame
//! may have more than 2^B beats, which is for `tx/gather` to see to.
//!
//! **Speed.** A beat a cycle, also of frames of one beat; 9 cycles from a beat in to the same beat
//! out, of frames without offloads.
//!
//! **Full.** `beat.ready` falls while 2^B beats are inside, or 31 frames that get checksums.

use super::lanes::*;
use super::release::TxRelease;
use super::route::TxRoute;
use super::sums::TxSums;
use super::words::*;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::LutRam;
use nitor_rtl::prelude::*;

/// Longest headers of segments.
pub const MAX_HDR: usize = 256;

/// A flag for each place in a frame's headers.
#[record]
struct Edges {
    ip: Bit,
    addr: Bit,
    addr_end: Bit,
    l4: Bit,
}

/// What is checked of a frame's lengths.
#[record]
struct Kind {
    /// The IP header's length says where the packet ends.
    sized: Bit,
    /// A frame that is no segment is refused if its lengths are wrong.
    full: Bit,
    udp: Bit,
}

/// What a segment's header gets.
#[record]
struct Values {
    len: Bits<16>,
    id: Bits<16>,
    seq: Bits<32>,
}

/// What a frame's sum needs.
#[record]
struct Info {
    fields: Fields,
    udp: Bit,
    /// The header begins at an odd byte of the frame, so its sum's bytes change places.
    ip_odd: Bit,
    l4_odd: Bit,
    /// What of the pseudo header is not in the frame.
    pseudo: Bits<17>,
    /// The packet's first frame.
    first: Bit,
}

#[derive(LogicBlock, Default)]
pub struct TxOffload<const D: usize, const K: usize, const L: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub beat: BeatSnk<D>,
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
    a_word: Reg<OffloadWord>,
    a_index: Reg<Bits<7>>,
    a_less: Reg<Bits<7>>,
    /// `refused`: an earlier frame of its packet was.
    a_route: Reg<Route>,
    // The segment's header ends in a beat before, in this one.
    a_past: Reg<Bit>,
    a_edge: Reg<Bit>,
    // The same of the IP header, its addresses, their end, the L4 header.
    ends_past: Reg<Edges>,
    ends_edge: Reg<Edges>,
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
    b_word: Reg<OffloadWord>,
    b_first: Reg<Bit>,
    b_ip: Reg<Bits<K>>,
    b_ip_sum: Reg<Bits<K>>,
    b_addr: Reg<Bits<K>>,
    b_l4: Reg<Bits<K>>,
    b_l4_sum: Reg<Bits<K>>,
    b_field: [Reg<Bits<K>>; 8],
    b_flags: Reg<Bits<K>>,
    b_part: [Reg<Bits<K>>; 2],
    b_route: Reg<Route>,
    // Of the first segment; of other frames the length of the IP header, and in the upper half that
    // of UDP.
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
    c_value: Reg<Values>,
    c_route: Reg<Route>,
    // From where the IP header counts, where L4 is and how far it must reach, the frame's bytes,
    // how many are padding.
    c_base: Reg<Bits<10>>,
    c_l4: Reg<Bits<10>>,
    c_need: Reg<Bits<10>>,
    c_most: Reg<Bits<16>>,
    c_short: Reg<Bits<6>>,
    c_kind: Reg<Kind>,
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
    d_route: Reg<Route>,
    d_end: Reg<Bits<17>>,
    d_udp_end: Reg<Bits<17>>,
    d_need: Reg<Bits<10>>,
    d_most: Reg<Bits<16>>,
    d_short: Reg<Bits<6>>,
    d_kind: Reg<Kind>,
    d_part: Reg<Bit>,
    d_index: Reg<Bits<10>>,
    // Stage m: without what is behind the packet.
    m: Reg<Bit>,
    m_data: Reg<Bits<D>>,
    m_last: Reg<Bit>,
    m_first: Reg<Bit>,
    m_mask_ip: Reg<Bits<K>>,
    m_mask_l4: Reg<Bits<K>>,
    m_tag: Reg<Route>,
    // Sums, with the pseudo header's constants, and folded again.
    adder: TxSums<D, K>,
    k: Reg<Bit>,
    k_ip: Reg<Bits<16>>,
    k_l4: Reg<Bits<18>>,
    k_fields: Reg<Fields>,
    k_udp: Reg<Bit>,
    k_bad: Reg<Verdict>,
    l: Reg<Bit>,
    l_ip: Reg<Bits<16>>,
    l_l4: Reg<Bits<17>>,
    l_fields: Reg<Fields>,
    l_udp: Reg<Bit>,
    l_bad: Reg<Verdict>,
    /// Of frames whose sums are under way.
    infos: Fifo<Info, 5>,
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
        registers!(self, clock, reset; k, l, m, shut, late, a_route, b_route, c_route, d_route,
            c_index);
        registers!(self, clock; b_part[..], c_base, c_l4, c_need, c_most, c_short, c_kind, c_part,
            d_end, d_udp_end, d_need, d_most, d_short, d_kind, d_part, d_index, m_data, m_last,
            m_first, m_mask_ip, m_mask_l4, m_tag, k_bad, l_bad);
        registers!(self, clock; a_data, a_last, a_bytes, a_word, b_data, b_last, b_bytes, b_word,
            b_ip, b_ip_sum, b_addr, b_l4, b_l4_sum, b_field[..], b_flags, id, seq, c_data, c_last,
            c_bytes, c_mask_ip, c_mask_l4, c_field[..], c_flags, c_keep, c_value, d_data, d_last,
            d_bytes, d_mask_ip, d_mask_l4, k_ip, k_l4, k_fields, k_udp, l_ip, l_l4, l_fields,
            l_udp);
        clocked!(self, clock, reset; route, adder, infos, out);
        clocked!(self, clock; header);

        // ---- a: beats in. What follows never waits, so it is here that room is made sure of.
        let beat_in = self.beat.get();
        let w = beat_in.word.offloads;
        let ready = self.out.open.val() && !self.shut.q.val();
        let take = self.beat.valid.val() && ready;
        self.beat.ready.next = ready;
        let bare = w.l3_len == if w.v6 { lit::<8>(40) } else { lit::<8>(20) };
        let routed = w.full && !bare;
        self.a.d.next = take;
        self.a_route.d.next = Route {
            look: routed && w.first,
            refused: routed && !w.first && self.route.refused.val(),
        };
        self.a_data.d.next = beat_in.data;
        self.a_last.d.next = beat_in.last;
        self.a_bytes.d.next = beat_in.bytes;
        self.a_word.d.next = beat_in.word;
        self.a_index.d.next = self.index.q.val();
        self.a_less.d.next = !self.less.q.val();
        let hdr = bit_cast::<10, 9>(w.hdr);
        self.a_past.d.next = beat::<L>(hdr) < self.index.q.val();
        self.a_edge.d.next = beat::<L>(hdr) == self.index.q.val();
        if take {
            self.less.d.next = !self.index.q.val();
            if beat_in.last {
                self.shut.d.next = routed && w.first;
                self.index.d.next = lit::<7>(0);
                self.less.d.next = lit::<7>(0);
            } else if self.index.q.val() < 64 {
                self.index.d.next = self.index.q.val() + 1;
            }
        }
        let l3 = bit_cast::<10, 8>(w.l3_off);
        let l4 = l3 + bit_cast::<10, 8>(w.l3_len);
        self.at_ip_sum.d.next = l3 + lit::<10>(10);
        self.at_len.d.next = l3 + if w.v6 { lit::<10>(4) } else { lit::<10>(2) };
        let addr = l3 + if w.v6 { lit::<10>(8) } else { lit::<10>(12) };
        let addr_end = l3 + if w.v6 { lit::<10>(40) } else { lit::<10>(20) };
        let at = self.index.q.val();
        self.at_addr.d.next = addr;
        self.at_addr_end.d.next = addr_end;
        self.ends_past.d.next = Edges {
            ip: beat::<L>(l3) < at,
            addr: beat::<L>(addr) < at,
            addr_end: beat::<L>(addr_end) < at,
            l4: beat::<L>(l4) < at,
        };
        self.ends_edge.d.next = Edges {
            ip: beat::<L>(l3) == at,
            addr: beat::<L>(addr) == at,
            addr_end: beat::<L>(addr_end) == at,
            l4: beat::<L>(l4) == at,
        };
        self.at_l4.d.next = l4;
        self.at_l4_sum.d.next = l4 + if w.udp { lit::<10>(6) } else { lit::<10>(16) };

        // ---- b: the header is laid over, and places become lanes.
        let w = self.a_word.q.val().offloads;
        let index = self.a_index.q.val();
        let tso = w.tso;
        let first = w.first;
        let looks = self.a_route.q.val().look;
        self.header.we.next = self.a.q.val() && ((tso && first) || looks) && index < 16;
        self.header.waddr.next = bit_cast::<4, 7>(index);
        self.header.wdata.next = self.a_data.q.val();
        // Nothing is at this stage while a route is read.
        self.header.raddr.next =
            if self.route.busy.val() { self.route.row.val() } else { bit_cast::<4, 7>(index) };
        let kept = self.header.rdata.val();
        self.route.start.next = self.a.q.val() && self.a_last.q.val() && looks;
        self.route.v6.next = w.v6;
        // IPv6's Next Header is behind its length.
        self.route.from.next =
            if w.v6 { self.at_len.q.val() + 2 } else { self.at_addr_end.q.val() };
        self.route.l4.next = self.at_l4.q.val();
        self.route.data.next = kept;
        let hdr = bit_cast::<10, 9>(w.hdr);
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
        self.b_word.d.next = self.a_word.q.val();
        self.b_route.d.next = self.a_route.q.val();
        self.b_first.d.next = index == 0;
        let l3 = bit_cast::<10, 8>(w.l3_off);
        let ip_sum = self.at_ip_sum.q.val();
        let len = self.at_len.q.val();
        let l4 = self.at_l4.q.val();
        let l4_sum = self.at_l4_sum.q.val();
        let at_past = self.ends_past.q.val();
        let at_edge = self.ends_edge.q.val();
        let from_l4 = since::<K>(l4, at_past.l4, at_edge.l4);
        let off = summed(w);
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
        let l4_here = at_edge.l4;
        let l4_less = beat::<L>(l4) == less;
        if off {
            self.b_ip.d.next = since::<K>(l3, at_past.ip, at_edge.ip) & !from_l4;
            self.b_ip_sum.d.next = only::<K>(sum_here, sum_lane | (sum_lane << lit::<8>(1)))
                | only::<K>(sum_less, sum_lane >> lit::<8>(K - 1));
            let from_end = since::<K>(self.at_addr_end.q.val(), at_past.addr_end, at_edge.addr_end);
            self.b_addr.d.next =
                since::<K>(self.at_addr.q.val(), at_past.addr, at_edge.addr) & !from_end;
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
        let corrected = if w.v6 { lit::<17>(0x10027) } else { lit::<17>(0xffff) };
        let protocol = if w.udp { lit::<17>(17) } else { lit::<17>(6) };
        let pseudo =
            if w.full { corrected + protocol - bit_cast::<17, 8>(w.l3_len) } else { lit::<17>(0) };
        self.infos.in_valid.next = self.a.q.val() && index == 0 && off;
        self.infos.in_data.next = Info {
            fields: Fields { ip_at: ip_sum, l4_at: l4_sum, ip: w.ip, l4: w.l4 },
            udp: w.udp,
            ip_odd: (l3 & lit::<10>(1)).any(),
            l4_odd: (l4 & lit::<10>(1)).any(),
            pseudo,
            first,
        };

        // ---- c: values, and masks of what is added up.
        let word = self.b_word.q.val();
        let w = word.offloads;
        let data = self.b_data.q.val();
        let v6 = w.v6;
        let full = w.full;
        let tso = w.tso;
        let begins = self.b.q.val() && tso && w.first;
        let measured = self.b.q.val() && w.l4 && !tso;
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
        let later = tso && !w.first;
        self.c.d.next = self.b.q.val();
        self.c_data.d.next = data;
        self.c_last.d.next = self.b_last.q.val();
        self.c_bytes.d.next = self.b_bytes.q.val();
        self.c_first.d.next = self.b_first.q.val();
        self.c_off.d.next = summed(w);
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
        let ends = if w.last { lit::<8>(0) } else { lit::<8>(0x09) };
        let reduced = if w.first { lit::<8>(0) } else { lit::<8>(0x80) };
        self.c_keep.d.next = !(ends | reduced);
        let without = bit_cast::<16, 8>(w.l3_off) + if v6 { lit::<16>(40) } else { lit::<16>(0) };
        self.c_value.d.next = Values {
            len: word.len - without,
            id: self.id.q.val() + word.num,
            seq: self.seq.q.val() + bit_cast::<32, 17>(word.seq),
        };
        let len = word.len;
        let l4 = bit_cast::<10, 8>(w.l3_off) + bit_cast::<10, 8>(w.l3_len);
        self.c_route.d.next = self.b_route.q.val();
        self.c_base.d.next = bit_cast::<10, 16>(without);
        self.c_l4.d.next = l4;
        self.c_need.d.next = l4 + if w.udp { lit::<10>(8) } else { lit::<10>(18) };
        self.c_most.d.next = len;
        self.c_short.d.next =
            if len < 60 { lit::<6>(60) - bit_cast::<6, 16>(len) } else { lit::<6>(0) };
        self.c_kind.d.next =
            Kind { sized: w.l4 && !tso && (full || sized(w)), full: full && !tso, udp: w.udp };
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
        self.c_mask_ip.d.next =
            if w.ip { self.b_ip.q.val() & !self.b_ip_sum.q.val() } else { lit::<K>(0) };
        self.c_mask_l4.d.next = if full {
            (self.b_l4.q.val() & !self.b_l4_sum.q.val()) | pseudo
        } else if w.l4 {
            self.b_l4.q.val()
        } else {
            lit::<K>(0)
        };

        // ---- d: written.
        let mut data = self.c_data.q.val();
        if self.c_tso.q.val() {
            let value = self.c_value.q.val().to_bits::<64>();
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
        self.d_udp_end.d.next = bit_cast::<17, 32>(self.seq.q.val() >> lit::<32>(16))
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
        let agrees = end == self.d_udp_end.q.val() || !kind.udp;
        let end_beat = bit_cast::<13, 17>(end >> lit::<17>(L));
        let index = bit_cast::<13, 10>(self.d_index.q.val());
        let behind = since::<K>(bit_cast::<10, 17>(end), end_beat < index, end_beat == index);
        let cut = kind.sized && within;
        let route = self.d_route.q.val();
        let bad = route.refused || self.d_part.q.val() || (kind.full && !(within && agrees));
        self.m.d.next = self.d.q.val() && self.d_off.q.val();
        self.m_first.d.next = self.d_first.q.val();
        self.m_last.d.next = self.d_last.q.val();
        self.m_data.d.next = self.d_data.q.val();
        self.m_mask_ip.d.next = self.d_mask_ip.q.val();
        self.m_mask_l4.d.next = self.d_mask_l4.q.val() & !only::<K>(cut, behind);
        self.m_tag.d.next = Route { look: route.look, refused: bad };

        // ---- Sums. A frame whose route is read waits for that, and it is the last one inside.
        self.adder.valid.next = self.m.q.val();
        self.adder.first.next = self.m_first.q.val();
        self.adder.last.next = self.m_last.q.val();
        self.adder.data.next = self.m_data.q.val();
        self.adder.mask_ip.next = self.m_mask_ip.q.val();
        self.adder.mask_l4.next = self.m_mask_l4.q.val();
        self.adder.tag.next = self.m_tag.q.val();
        let tag = self.adder.done_tag.val();
        let routed = self.late.q.val() || (self.adder.done.val() && tag.look);
        let read = routed && !self.route.busy.val();
        let sum_known = read || (self.adder.done.val() && !tag.look);
        self.late.d.next = routed && !read;
        if read {
            self.shut.d.next = false;
        }
        let refused = tag.refused || (routed && self.route.refused.val());

        // ---- k, l: with the pseudo header's constants.
        let info = self.infos.out_data.val();
        self.infos.out_ready.next = sum_known;
        self.k.d.next = sum_known;
        self.k_ip.d.next = turned(self.adder.ip.val(), info.ip_odd);
        self.k_l4.d.next = bit_cast::<18, 16>(turned(self.adder.l4.val(), info.l4_odd))
            + bit_cast::<18, 17>(info.pseudo);
        self.k_fields.d.next = info.fields;
        self.k_udp.d.next = info.udp;
        self.k_bad.d.next = Verdict { refused, first: info.first };
        let l4 = self.k_l4.q.val();
        self.l.d.next = self.k.q.val();
        self.l_ip.d.next = self.k_ip.q.val();
        self.l_l4.d.next =
            bit_cast::<17, 18>(l4 & lit::<18>(0xffff)) + bit_cast::<17, 18>(l4 >> lit::<18>(16));
        self.l_fields.d.next = self.k_fields.q.val();
        self.l_udp.d.next = self.k_udp.q.val();
        self.l_bad.d.next = self.k_bad.q.val();
        let mut l4_sum = !fold(self.l_l4.q.val());
        if self.l_udp.q.val() && !l4_sum.any() {
            l4_sum = lit::<16>(0xffff);
        }
        self.out.sum_valid.next = self.l.q.val();
        self.out.sum_word.next = Sums {
            ip: !self.l_ip.q.val(),
            l4: l4_sum,
            fields: self.l_fields.q.val(),
            verdict: self.l_bad.q.val(),
        };

        // ---- Out.
        self.out.taken.next = take;
        self.out.begins.next = take && summed(beat_in.word.offloads) && self.index.q.val() == 0;
        self.out.put.next = self.d.q.val();
        self.out.put_data.next = self.d_data.q.val();
        self.out.put_end.next = End {
            bytes: self.d_bytes.q.val(),
            last: self.d_last.q.val(),
            off: self.d_off.q.val(),
            short: self.d_short.q.val(),
        };
        MacSrc::<D>::link(&mut self.mac, &mut self.out.mac);
        self.stat_frame.next = self.out.stat_frame.val();
        self.stat_bytes.next = self.out.stat_bytes.val();
        self.stat_bad.next = self.out.stat_bad.val();
    }
}
