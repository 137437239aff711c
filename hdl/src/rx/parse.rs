//! Finds a frame's flow in its headers: VLAN tags, IPv4 or IPv6 with extension headers, TCP or UDP.
//!
//! Watches the beats that `rx/input` stores (`tap`) and gives one result for each frame kept, in
//! their order: `l3` and `l4` as [completions](nitor_abi::rx::RxCompletion) number them, `frag`,
//! and the `tuple` for the hash, byte i in bits 8i+7:8i. The tuple is source and destination
//! address, then both ports if `l4` is known: 8 + 4 bytes for IPv4, 32 + 4 for IPv6, zero behind,
//! and zero for what is not IP.
//!
//! - Up to 2 tags (8100, 88a8, 9100). A third is an unknown protocol.
//! - IPv4: version 4, and a header of 20 to 60 bytes that is in the frame and in the total length;
//!   else `l3` is 0. A fragment (more to come, or offset not 0) has `frag` and no `l4`.
//! - IPv6: version 6 and a whole header. Up to three of hop-by-hop, routing, destination options
//!   and fragment headers are walked. The fragment header of a real fragment sets `frag` and ends
//!   the walk without `l4`; so does a header of more than 64 bytes, without `frag`.
//! - `l4` is known if 8 bytes of its header are in the first 106 bytes of the packet, in the frame,
//!   and in the packet by its IP length.
//!
//! **Speed.** [walk](super::walk) takes 7 cycles a frame; as many walkers as `apart` asks for take
//! turns. The result is valid for one cycle, 10 cycles after the frame's last beat. There is no
//! back-pressure: with `apart` = 1 a frame may end in each cycle, else [input](super::input) makes
//! frames begin `apart` cycles apart, but for those behind a longer one.

use super::headers::{self, proto, Ipv4Fixed, L4};
use super::walk::{self, End, Packet4, Packet6, RxWalk, L3_BITS, TAIL_BITS};
use super::words::{TapSnk, Tuple4, Tuple6};
use nitor_abi::tx::{l3, l4};
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct RxParse<const D: usize, const K: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tap: TapSnk<D>,
    pub valid: Signal<Out, Bit>,
    pub l3: Signal<Out, Bits<4>>,
    pub l4: Signal<Out, Bits<5>>,
    pub frag: Signal<Out, Bit>,
    pub tuple: Signal<Out, Bits<288>>,
    // For rx/checksum, with the result: the second half of 8 bytes of L4, and a routing header with
    // segments left.
    pub second: Signal<Out, Bits<32>>,
    pub routed: Signal<Out, Bit>,
    // And a cycle before: what is behind the IPv6 header or the first 20 bytes of IPv4, where L4 is
    // in it in units of 4 bytes, and addresses; those of IPv4 (`is4`) are followed by the 12 bytes
    // that the header begins with.
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
    // L2 is done: the next walker.
    turn: Reg<Bits<3>>,
    walk: Vec<RxWalk>,
    /// Who ends, one bit each, and whether its packet is IPv6.
    m_walker: Reg<Bits<{ walk::CYCLES }>>,
    m_is6: Reg<Bit>,
    // Walked.
    e_valid: Reg<Bit>,
    e_end: Reg<End>,
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

/// What `rx/checksum` sums of IPv4's first 20 bytes: the addresses are in both sums.
#[record]
struct Addrs4 {
    addrs: Bits<64>,
    fixed: Ipv4Fixed,
    none: Bits<96>,
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
    /// Frames begin at least `apart` cycles apart. The end of one may be right behind another's,
    /// but not that of the next one too.
    pub fn new(apart: usize) -> Self {
        let walkers = 1 + (walk::CYCLES - 1).div_ceil(apart);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tap: Default::default(),
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
        registers!(self, clock; window, have, tag0, tag1, m_is6, e_end, e_addrs, e_tail, o_l3, o_l4,
            o_frag, o_tuple, o_second, o_routed);

        // Collect.
        let index = self.index.q.val();
        let mut window = self.window.q.val();
        if self.tap.valid.val() {
            for i in 0..(1024 / D) {
                if index == lit::<4>(i) {
                    window = window.set_slice::<D>(i * D, self.tap.data.val());
                    self.have.d.next = lit::<8>(i * K) + bit_cast::<8, 7>(self.tap.bytes.val());
                }
            }
            if self.tap.end.val() {
                self.index.d.next = lit::<4>(0);
            } else if index != lit::<4>(1024 / D) {
                self.index.d.next = index + 1;
            }
        }
        self.window.d.next = window;
        // Tags are seen as they come: the whole window is moved by them in the next cycle.
        let beat = self.tap.data.val();
        if self.tap.valid.val() && index == lit::<4>(12 / K) {
            self.tag0.d.next = headers::is_tag(headers::be16::<D, 12>(beat));
        }
        if self.tap.valid.val() && index == lit::<4>(16 / K) {
            self.tag1.d.next = headers::is_tag(headers::net16(beat.get_bits::<16>(8 * (16 % K))));
        }
        self.w_valid.d.next = self.tap.keep.val();

        // L2: bring the L3 header to the front.
        let w = self.window.q.val();
        let have = self.have.q.val();
        let type0 = headers::be16::<1024, 12>(w);
        let type1 = headers::be16::<1024, 16>(w);
        let type2 = headers::be16::<1024, 20>(w);
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
            self.walk[i].is4.next = ethertype == lit::<16>(headers::ETHERTYPE_IPV4);
            self.walk[i].is6.next = ethertype == lit::<16>(headers::ETHERTYPE_IPV6);
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
            self.e_addrs.d.next = Packet6::from_bits(held).header.addrs;
            self.e_tail.d.next = Packet6::from_bits(held).tail;
        } else {
            let header = Packet4::from_bits(held).header;
            let none = lit::<96>(0);
            let addrs = Addrs4 { addrs: header.addrs, fixed: header.fixed, none };
            self.e_addrs.d.next = addrs.to_bits::<256>();
            self.e_tail.d.next = Packet4::from_bits(held).tail;
        }

        // L4.
        let e = self.e_end.q.val();
        let l4_shift = bit_cast::<10, 8>(e.at) << lit::<10>(5);
        let start = L4::from_bits(bit_cast::<64, TAIL_BITS>(self.e_tail.q.val() >> l4_shift));
        let tcp = e.proto == lit::<8>(proto::TCP);
        let udp = e.proto == lit::<8>(proto::UDP);
        let known = !e.lost && !e.frag && (tcp || udp) && e.room >= 2;
        let ports = if known { start.ports } else { lit::<32>(0) };
        let addrs = self.e_addrs.q.val();
        let addrs4 = Addrs4::from_bits(addrs).addrs;
        self.o_tuple.d.next = if e.v6 {
            Tuple6 { addrs, ports }.to_bits::<288>()
        } else if e.v4 {
            Tuple4 { addrs: addrs4, ports, none: lit::<192>(0) }.to_bits::<288>()
        } else {
            lit::<288>(0)
        };
        self.o_second.d.next = start.second;
        self.o_routed.d.next = e.routed;
        self.o_l3.d.next = if e.v6 {
            lit::<4>(l3::IPV6)
        } else if e.v4 {
            lit::<4>(l3::IPV4)
        } else {
            lit::<4>(l3::UNKNOWN)
        };
        self.o_l4.d.next = if !known {
            lit::<5>(l4::UNKNOWN)
        } else if tcp {
            lit::<5>(l4::TCP)
        } else {
            lit::<5>(l4::UDP)
        };
        self.o_frag.d.next = e.frag;
        self.o_valid.d.next = self.e_valid.q.val();
        self.valid.next = self.o_valid.q.val();
        self.l3.next = self.o_l3.q.val();
        self.l4.next = self.o_l4.q.val();
        self.frag.next = self.o_frag.q.val();
        self.tuple.next = self.o_tuple.q.val();
        self.second.next = self.o_second.q.val();
        self.routed.next = self.o_routed.q.val();
        self.at.next = e.at;
        self.is4.next = e.v4;
        self.addrs.next = addrs;
        self.tail.next = self.e_tail.q.val();
    }
}
