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
//! the L4 header on, zeros of the padding and a trailer included; and if the pseudo header is not in the checksum's field already (`FULL`), the
//! addresses and the length of the IP header in the frame, without the field. [super::sums] adds them up. A UDP checksum of 0 becomes 0xFFFF.
//!
//! **Order.** Beats go into a RAM of 2^B rows as they come. A frame that gets a checksum leaves the RAM when its sum is known, that is 15 cycles
//! after its last beat at the least, and its fields are filled in; any other frame goes on as soon as it comes. So
//! no such frame may have more than 2^B beats, which is for `tx/gather` to see to.
//!
//! **Speed.** A beat a cycle, also of frames of one beat; 9 cycles from a beat in to the same beat out, of frames without
//! offloads.
//!
//! **Full.** `beat_ready` falls while 2^B beats are inside, or 31 frames that get checksums.

use super::lanes::*;
use super::sums::TxSums;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::{BlockRam, LutRam};
use crate::common::skid::Skid;
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
    // What is inside.
    open: Reg<Bit>,
    rows: Reg<Bits<16>>,
    frames: Reg<Bits<6>>,
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
    header: LutRam<D, 4>,
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
    // Stage d: the beat as it goes into the RAM.
    d: Reg<Bit>,
    d_data: Reg<Bits<D>>,
    d_last: Reg<Bit>,
    d_bytes: Reg<Bits<7>>,
    d_first: Reg<Bit>,
    d_off: Reg<Bit>,
    d_mask_ip: Reg<Bits<K>>,
    d_mask_l4: Reg<Bits<K>>,
    // Sums, with the pseudo header's constants, and folded again.
    adder: TxSums<D, K>,
    k: Reg<Bit>,
    k_ip: Reg<Bits<16>>,
    k_l4: Reg<Bits<18>>,
    k_info: Reg<Bits<23>>,
    l: Reg<Bit>,
    l_ip: Reg<Bits<16>>,
    l_l4: Reg<Bits<17>>,
    l_info: Reg<Bits<23>>,
    // Of frames whose sums are under way: {pseudo header, swapped, UDP, L4, IP, places}.
    infos: Fifo<42, 5>,
    // {L4, IP, places, sums} of frames whose sums are known.
    sums: Fifo<54, 5>,
    // The oldest of them.
    sum: Reg<Bit>,
    sum_word: Reg<Bits<54>>,
    // The RAM, and beats read ahead of it; {gets a checksum, last, bytes} beside.
    ram: BlockRam<D, B>,
    ram_end: BlockRam<9, B>,
    write: Reg<Bits<B>>,
    read: Reg<Bits<B>>,
    held: Reg<Bits<16>>,
    fetched: Reg<Bit>,
    ahead: Fifo<D, 2>,
    ahead_end: Fifo<9, 2>,
    // The beat that leaves.
    out_index: Reg<Bits<7>>,
    /// As `less`.
    out_less: Reg<Bits<7>>,
    y: Reg<Bit>,
    y_data: Reg<Bits<D>>,
    y_end: Reg<Bits<8>>,
    y_off: Reg<Bit>,
    y_field: [Reg<Bits<K>>; 4],
    y_value: Reg<Bits<32>>,
    sent: Skid<D>,
    sent_end: Skid<8>,
}

impl<const D: usize, const K: usize, const L: usize, const B: usize> Logic
    for TxOffload<D, K, L, B>
{
    /// Checksums and headers of segments, written into frames on their way to the MAC.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; open, rows, frames, index, less, a_less, a_past, a_edge, ends_past, ends_edge, sum, out_less, a,
            a_index, at_ip_sum, at_len, at_addr, at_addr_end, at_l4, at_l4_sum);
        registers!(self, clock, reset; b, b_first);
        registers!(self, clock, reset; c, c_first, c_off, c_tso);
        registers!(self, clock, reset; d, d_first, d_off);
        registers!(self, clock, reset; k, l);
        registers!(self, clock, reset; write, read, held, fetched, out_index, y);
        registers!(self, clock; sum_word, a_data, a_last, a_bytes, a_word, b_data, b_last, b_bytes, b_word, b_ip, b_ip_sum, b_addr, b_l4,
            b_l4_sum, b_field[..], b_flags, id, seq, c_data, c_last, c_bytes, c_mask_ip, c_mask_l4, c_field[..], c_flags, c_keep, c_value,
            d_data, d_last, d_bytes, d_mask_ip, d_mask_l4, k_ip, k_l4, k_info, l_ip, l_l4, l_info, y_data, y_end, y_off, y_field[..],
            y_value);
        clocked!(self, clock, reset; adder, infos, sums, ahead, ahead_end, sent, sent_end);
        clocked!(self, clock; header, ram, ram_end);

        // ---- a: beats in. What follows never waits, so it is here that room is made sure of.
        let w = self.word.val();
        let take = self.beat_valid.val() && self.open.q.val();
        let asks = w.get_bit(word::IP) || w.get_bit(word::L4);
        self.beat_ready.next = self.open.q.val();
        self.a.d.next = take;
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
        self.header.we.next = self.a.q.val() && tso && first && index < 16;
        self.header.waddr.next = bit_cast::<4, 7>(index);
        self.header.wdata.next = self.a_data.q.val();
        self.header.raddr.next = bit_cast::<4, 7>(index);
        let kept = self.header.rdata.val();
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
            // Length and ID are neighbours.
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
        self.infos.in_data.next = cat::<17, 25, 42>(
            pseudo,
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
        if begins {
            let mut id = self.id.q.val();
            let mut seq = self.seq.q.val();
            for n in 0..2 {
                if self.b_field[n + 2].q.val().any() {
                    let byte = pick::<D, K>(data, self.b_field[n + 2].q.val());
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

        // ---- Sums.
        self.adder.valid.next = self.d.q.val() && self.d_off.q.val();
        self.adder.first.next = self.d_first.q.val();
        self.adder.last.next = self.d_last.q.val();
        self.adder.data.next = self.d_data.q.val();
        self.adder.mask_ip.next = self.d_mask_ip.q.val();
        self.adder.mask_l4.next = self.d_mask_l4.q.val();
        let summed = self.adder.done.val();

        // ---- k, l: with the pseudo header's constants.
        let info = self.infos.out_data.val();
        self.infos.out_ready.next = summed;
        self.k.d.next = summed;
        self.k_ip.d.next = turned(self.adder.ip.val(), info.get_bit(23));
        self.k_l4.d.next = bit_cast::<18, 16>(turned(self.adder.l4.val(), info.get_bit(24)))
            + bit_cast::<18, 17>(info.get_bits::<17>(25));
        self.k_info.d.next = info.get_bits::<23>(0);
        let l4 = self.k_l4.q.val();
        self.l.d.next = self.k.q.val();
        self.l_ip.d.next = self.k_ip.q.val();
        self.l_l4.d.next =
            bit_cast::<17, 16>(l4.get_bits::<16>(0)) + bit_cast::<17, 2>(l4.get_bits::<2>(16));
        self.l_info.d.next = self.k_info.q.val();
        let l4 = self.l_l4.q.val();
        let info = self.l_info.q.val();
        let mut l4_sum = !(l4.get_bits::<16>(0) + bit_cast::<16, 1>(l4.get_bits::<1>(16)));
        if info.get_bit(22) && !l4_sum.any() {
            l4_sum = lit::<16>(0xffff);
        }
        self.sums.in_valid.next = self.l.q.val();
        self.sums.in_data.next = cat::<22, 32, 54>(
            info.get_bits::<22>(0),
            cat::<16, 16, 32>(l4_sum, !self.l_ip.q.val()),
        );

        // ---- The RAM.
        let put = self.d.q.val();
        let waiting = self.ahead.level.val() + bit_cast::<8, 1>(self.fetched.q.val().into());
        let get = self.held.q.val().any() && waiting < lit::<8>(4);
        self.ram.we.next = put;
        self.ram.waddr.next = self.write.q.val();
        self.ram.wdata.next = self.d_data.q.val();
        self.ram.raddr.next = self.read.q.val();
        self.ram_end.we.next = put;
        self.ram_end.waddr.next = self.write.q.val();
        self.ram_end.wdata.next = cat::<2, 7, 9>(
            cat::<1, 1, 2>(self.d_off.q.val().into(), self.d_last.q.val().into()),
            self.d_bytes.q.val(),
        );
        self.ram_end.raddr.next = self.read.q.val();
        let mut held = self.held.q.val();
        let mut rows = self.rows.q.val();
        if put {
            self.write.d.next = self.write.q.val() + 1;
            held = held + 1;
        }
        if get {
            self.read.d.next = self.read.q.val() + 1;
            held = held - 1;
            rows = rows - 1;
        }
        if take {
            rows = rows + 1;
        }
        self.held.d.next = held;
        self.rows.d.next = rows;
        self.fetched.d.next = get;
        self.ahead.in_valid.next = self.fetched.q.val();
        self.ahead.in_data.next = self.ram.rdata.val();
        self.ahead_end.in_valid.next = self.fetched.q.val();
        self.ahead_end.in_data.next = self.ram_end.rdata.val();

        // ---- Beats out. A frame with sums to come waits for them.
        let end = self.ahead_end.out_data.val();
        let off_out = end.get_bit(8);
        let last = end.get_bit(7);
        let sums = self.sum_word.q.val();
        let free = !self.y.q.val() || self.sent.in_ready.val();
        let go = self.ahead_end.out_valid.val() && (!off_out || self.sum.q.val()) && free;
        let index = self.out_index.q.val();
        self.ahead.out_ready.next = go;
        self.ahead_end.out_ready.next = go;
        let next_sum = !self.sum.q.val() || (go && off_out && last);
        self.sums.out_ready.next = next_sum;
        if next_sum {
            self.sum.d.next = self.sums.out_valid.val();
            self.sum_word.d.next = self.sums.out_data.val();
        }
        if go {
            self.out_less.d.next = !index;
            if last {
                self.out_index.d.next = lit::<7>(0);
                self.out_less.d.next = lit::<7>(0);
            } else if !index.get_bit(6) {
                self.out_index.d.next = index + 1;
            }
        }
        if free {
            self.y.d.next = go;
            self.y_data.d.next = self.ahead.out_data.val();
            self.y_end.d.next = end.get_bits::<8>(0);
            self.y_off.d.next = off_out;
            self.y_value.d.next = sums.get_bits::<32>(0);
            for n in 0..2 {
                let at = sums.get_bits::<10>(32 + 10 * n);
                let on = off_out && sums.get_bit(52 + n);
                let here = beat::<L>(at) == index && on;
                let less = beat::<L>(at) == !self.out_less.q.val() && on;
                let lanes = lane::<K>(at);
                self.y_field[2 * n].d.next = only::<K>(here, lanes);
                self.y_field[2 * n + 1].d.next = only::<K>(here, lanes << lit::<8>(1))
                    | only::<K>(less, lanes >> lit::<8>(K - 1));
            }
        }
        let mut data = self.y_data.q.val();
        if self.y_off.q.val() {
            for i in 0..K {
                let mut hit = false;
                let mut byte = lit::<8>(0);
                for n in 0..4 {
                    let here = self.y_field[n].q.val().get_bit(i);
                    let value = self.y_value.q.val().get_bits::<8>(n / 2 * 16 + 8 - n % 2 * 8);
                    hit = hit || here;
                    byte = byte | gate(here, value);
                }
                if hit {
                    data = data.set_slice::<8>(8 * i, byte);
                }
            }
        }
        self.sent.in_valid.next = self.y.q.val();
        self.sent.in_data.next = data;
        self.sent_end.in_valid.next = self.y.q.val();
        self.sent_end.in_data.next = self.y_end.q.val();
        self.mac.valid.next = self.sent.out_valid.val();
        self.mac.data.next = self.sent.out_data.val();
        self.mac.last.next = self.sent_end.out_data.val().get_bit(7);
        self.mac.bytes.next = self.sent_end.out_data.val().get_bits::<7>(0);
        self.mac.err.next = false;
        self.sent.out_ready.next = self.mac.ready.val();
        self.sent_end.out_ready.next = self.mac.ready.val();

        let mut frames = self.frames.q.val();
        if take && asks && self.index.q.val() == 0 {
            frames = frames + 1;
        }
        if go && off_out && last {
            frames = frames - 1;
        }
        self.frames.d.next = frames;
        // Two frames may come before what is counted now is seen.
        let counted = self.frames.q.val();
        let few = !counted.get_bit(5) && !counted.get_bits::<5>(0).all();
        self.open.d.next = !rows.get_bit(B) && few;
    }
}
