//! Finds a frame's flow in its headers: VLAN tags, IPv4 or IPv6 with extension headers, TCP or UDP.
//!
//! Watches the beats that `rx/input` stores (`tap_*`) and gives one result for each frame kept, in their order:
//! `l3` (0 unknown, 8 IPv4, 11 IPv6) and `l4` (0 unknown, 12 TCP, 13 UDP) as the ENA completion numbers them, `frag`,
//! and the tuple for the hash, byte i in bits 8i+7:8i: source and destination address, then both ports if `l4` is known;
//! 8 + 4 bytes for IPv4, 32 + 4 for IPv6, zero behind and zero for what is not IP.
//!
//! - Up to 2 tags (8100, 88a8, 9100). A third is an unknown protocol.
//! - IPv4: version 4, header of 20 to 60 bytes that is in the frame and in the total length; else `l3` is 0. A fragment
//!   (more to come, or offset not 0) has `frag` and no `l4`.
//! - IPv6: version 6 and a whole header. Up to three of hop-by-hop, routing, destination options and fragment are walked;
//!   a fragment header of a real fragment sets `frag` and ends the walk without `l4`, a header of more than 64 bytes too.
//! - `l4` is known if 8 bytes of its header are in the first 106 bytes of the packet, in the frame, and in the packet as its
//!   IP length has it.
//!
//! Headers are walked by [walk](super::walk), 7 cycles a frame, in turn: as many as `apart` asks for. The result is valid for one cycle, 10 cycles
//! after the frame's last beat. No back pressure: with `apart` = 1 a frame may end in each cycle, else frames begin `apart` cycles apart but for
//! those behind a longer one, as [input](super::input) sees to.

use super::walk::{self, end, RxWalk, END_BITS, L3_BITS, TAIL_BITS};
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct RxParse<const D: usize, const K: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tap_valid: Signal<In, Bit>,
    pub tap_end: Signal<In, Bit>,
    pub tap_keep: Signal<In, Bit>,
    pub tap_bytes: Signal<In, Bits<7>>,
    pub tap_data: Signal<In, Bits<D>>,
    pub valid: Signal<Out, Bit>,
    pub l3: Signal<Out, Bits<4>>,
    pub l4: Signal<Out, Bits<5>>,
    pub frag: Signal<Out, Bit>,
    pub tuple: Signal<Out, Bits<288>>,
    // For rx/checksum, with the result: the second half of 8 bytes of L4, and a routing header with segments left.
    pub second: Signal<Out, Bits<32>>,
    pub routed: Signal<Out, Bit>,
    // And a cycle before: what is behind the IPv6 header or the first 20 bytes of IPv4, where L4 is in it in units of 4
    // bytes, and addresses; those of IPv4 (`is4`) are followed by the 12 bytes that the header begins with.
    pub at: Signal<Out, Bits<8>>,
    pub is4: Signal<Out, Bit>,
    pub addrs: Signal<Out, Bits<256>>,
    pub tail: Signal<Out, Bits<TAIL_BITS>>,
    // Collecting: the window, the beat's place in it, bytes in it.
    index: Reg<Bits<4>>,
    window: Reg<Bits<1024>>,
    have: Reg<Bits<8>>,
    /// A tag behind the addresses, and one behind that.
    tag0: Reg<Bit>,
    tag1: Reg<Bit>,
    w_valid: Reg<Bit>,
    // L2 done: whose turn it is.
    turn: Reg<Bits<3>>,
    walk: Vec<RxWalk>,
    /// Who ends, one bit each, and whether its packet is IPv6.
    m_walker: Reg<Bits<{ walk::CYCLES }>>,
    m_is6: Reg<Bit>,
    // Walked.
    e_valid: Reg<Bit>,
    e_end: Reg<Bits<END_BITS>>,
    e_addrs: Reg<Bits<256>>,
    e_tail: Reg<Bits<TAIL_BITS>>,
    o_valid: Reg<Bit>,
    o_l3: Reg<Bits<4>>,
    o_l4: Reg<Bits<5>>,
    o_frag: Reg<Bit>,
    o_tuple: Reg<Bits<288>>,
    o_second: Reg<Bits<32>>,
    o_routed: Reg<Bit>,
    _walkers: usize,
}

#[kernel]
pub fn is_tag(ethertype: Bits<16>) -> Bit {
    ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100
}

/// Bytes of a window behind a place, as far as they count.
#[kernel]
fn behind(have: Bits<8>, at: Bits<8>) -> Bits<8> {
    if have <= at {
        lit::<8>(0)
    } else if have > at + 106 {
        lit::<8>(106)
    } else {
        have - at
    }
}

impl<const D: usize, const K: usize> Default for RxParse<D, K> {
    fn default() -> Self {
        Self::new(1)
    }
}

impl<const D: usize, const K: usize> RxParse<D, K> {
    /// Frames begin at least `apart` cycles apart. The end of one may be right behind another's, but not that of the next one too.
    pub fn new(apart: usize) -> Self {
        let walkers = 1 + (walk::CYCLES - 1).div_ceil(apart);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tap_valid: Default::default(),
            tap_end: Default::default(),
            tap_keep: Default::default(),
            tap_bytes: Default::default(),
            tap_data: Default::default(),
            valid: Default::default(),
            l3: Default::default(),
            l4: Default::default(),
            frag: Default::default(),
            tuple: Default::default(),
            second: Default::default(),
            routed: Default::default(),
            at: Default::default(),
            is4: Default::default(),
            addrs: Default::default(),
            tail: Default::default(),
            index: Default::default(),
            window: Default::default(),
            have: Default::default(),
            tag0: Default::default(),
            tag1: Default::default(),
            w_valid: Default::default(),
            turn: Default::default(),
            walk: (0..walkers).map(|_| RxWalk::default()).collect(),
            m_walker: Default::default(),
            m_is6: Default::default(),
            e_valid: Default::default(),
            e_end: Default::default(),
            e_addrs: Default::default(),
            e_tail: Default::default(),
            o_valid: Default::default(),
            o_l3: Default::default(),
            o_l4: Default::default(),
            o_frag: Default::default(),
            o_tuple: Default::default(),
            o_second: Default::default(),
            o_routed: Default::default(),
            _walkers: walkers,
        }
    }
}

impl<const D: usize, const K: usize> Logic for RxParse<D, K> {
    /// Finds L3, L4, fragment and the hash tuple of each frame.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; index, w_valid, turn, m_walker, e_valid, o_valid);
        // Of what is not valid nothing is used.
        registers!(self, clock; window, have, tag0, tag1, m_is6, e_end, e_addrs, e_tail, o_l3, o_l4, o_frag, o_tuple, o_second, o_routed);

        // Collect.
        let index = self.index.q.val();
        let mut window = self.window.q.val();
        if self.tap_valid.val() {
            for i in 0..(1024 / D) {
                if index == lit::<4>(i) {
                    window = window.set_slice::<D>(i * D, self.tap_data.val());
                    self.have.d.next = lit::<8>(i * K) + bit_cast::<8, 7>(self.tap_bytes.val());
                }
            }
            if self.tap_end.val() {
                self.index.d.next = lit::<4>(0);
            } else if index != lit::<4>(1024 / D) {
                self.index.d.next = index + 1;
            }
        }
        self.window.d.next = window;
        // Tags are seen as they come: the whole window is moved by them in the next cycle.
        let beat = self.tap_data.val();
        if self.tap_valid.val() && index == lit::<4>(12 / K) {
            self.tag0.d.next =
                is_tag(cat::<8, 8, 16>(beat.get_bits::<8>(96), beat.get_bits::<8>(104)));
        }
        if self.tap_valid.val() && index == lit::<4>(16 / K) {
            self.tag1.d.next = is_tag(cat::<8, 8, 16>(
                beat.get_bits::<8>(8 * (16 % K)),
                beat.get_bits::<8>(8 * (16 % K) + 8),
            ));
        }
        self.w_valid.d.next = self.tap_keep.val();

        // L2: bring the L3 header to the front.
        let w = self.window.q.val();
        let have = self.have.q.val();
        let type0 = walk::be16::<1024, 12>(w);
        let type1 = walk::be16::<1024, 16>(w);
        let type2 = walk::be16::<1024, 20>(w);
        let one = self.tag0.q.val();
        let two = one && self.tag1.q.val();
        let ethertype = if two {
            type2
        } else if one {
            type1
        } else {
            type0
        };
        let l3 = if two {
            w.get_bits::<L3_BITS>(8 * 22)
        } else if one {
            w.get_bits::<L3_BITS>(8 * 18)
        } else {
            w.get_bits::<L3_BITS>(8 * 14)
        };
        let l3_have = if two {
            behind(have, lit::<8>(22))
        } else if one {
            behind(have, lit::<8>(18))
        } else {
            behind(have, lit::<8>(14))
        };
        let turn = self.turn.q.val();
        for i in 0..self._walkers {
            self.walk[i].clock.next = self.clock.val();
            self.walk[i].reset.next = self.reset.val();
            self.walk[i].load.next = self.w_valid.q.val() && turn == lit::<3>(i);
            self.walk[i].is4.next = ethertype == 0x0800;
            self.walk[i].is6.next = ethertype == 0x86dd;
            self.walk[i].have.next = l3_have;
            self.walk[i].header.next = l3;
        }
        if self.w_valid.q.val() {
            self.turn.d.next =
                if turn == lit::<3>(self._walkers - 1) { lit::<3>(0) } else { turn + 1 };
        }

        // What is behind L2: whoever has come to its end.
        let mut soon = lit::<{ walk::CYCLES }>(0);
        let mut soon6 = false;
        let mut ends = false;
        let mut found = self.walk[0].end.val();
        let mut held = self.walk[0].held.val();
        for i in 0..self._walkers {
            soon = soon.replace_bit(i, self.walk[i].soon.val());
            soon6 = soon6 || (self.walk[i].soon.val() && self.walk[i].held6.val());
            ends = ends || self.walk[i].valid.val();
            if self.m_walker.q.val().get_bit(i) {
                found = self.walk[i].end.val();
                held = self.walk[i].held.val();
            }
        }
        self.m_walker.d.next = soon;
        self.m_is6.d.next = soon6;
        self.e_valid.d.next = ends;
        self.e_end.d.next = found;
        if self.m_is6.q.val() {
            self.e_addrs.d.next = held.get_bits::<256>(8 * 8);
            self.e_tail.d.next = held.get_bits::<TAIL_BITS>(8 * 40);
        } else {
            self.e_addrs.d.next = bit_cast::<256, 64>(held.get_bits::<64>(8 * 12))
                .set_slice::<96>(64, held.get_bits::<96>(0));
            self.e_tail.d.next = held.get_bits::<TAIL_BITS>(8 * 20);
        }

        // L4.
        let e = self.e_end.q.val();
        let v4 = e.get_bit(end::V4);
        let v6 = e.get_bit(end::V6);
        let l4_at = e.get_bits::<8>(end::AT);
        let l4_proto = e.get_bits::<8>(end::PROTO);
        let start =
            (self.e_tail.q.val() >> (bit_cast::<10, 8>(l4_at) << lit::<10>(5))).get_bits::<64>(0);
        let known = !e.get_bit(end::LOST)
            && !e.get_bit(end::FRAG)
            && (l4_proto == 6 || l4_proto == 17)
            && e.get_bits::<6>(end::ROOM) >= 2;
        let ports = if known { start.get_bits::<32>(0) } else { lit::<32>(0) };
        let addrs = self.e_addrs.q.val();
        self.o_tuple.d.next = if v6 {
            cat::<32, 256, 288>(ports, addrs)
        } else if v4 {
            bit_cast::<288, 96>(cat::<32, 64, 96>(ports, addrs.get_bits::<64>(0)))
        } else {
            lit::<288>(0)
        };
        self.o_second.d.next = start.get_bits::<32>(32);
        self.o_routed.d.next = e.get_bit(end::ROUTED);
        self.o_l3.d.next = if v6 {
            lit::<4>(11)
        } else if v4 {
            lit::<4>(8)
        } else {
            lit::<4>(0)
        };
        self.o_l4.d.next = if !known {
            lit::<5>(0)
        } else if l4_proto == 6 {
            lit::<5>(12)
        } else {
            lit::<5>(13)
        };
        self.o_frag.d.next = e.get_bit(end::FRAG);
        self.o_valid.d.next = self.e_valid.q.val();
        self.valid.next = self.o_valid.q.val();
        self.l3.next = self.o_l3.q.val();
        self.l4.next = self.o_l4.q.val();
        self.frag.next = self.o_frag.q.val();
        self.tuple.next = self.o_tuple.q.val();
        self.second.next = self.o_second.q.val();
        self.routed.next = self.o_routed.q.val();
        self.at.next = l4_at;
        self.is4.next = v4;
        self.addrs.next = addrs;
        self.tail.next = self.e_tail.q.val();
    }
}
