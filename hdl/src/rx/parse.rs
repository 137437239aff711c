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
//! A frame a cycle, no back pressure; the result is valid for one cycle, 10 cycles after the frame's last beat.

use nitor_rtl::prelude::*;

const L3_BITS: usize = 848; // 106 bytes: the window behind two tags
const TAIL_BITS: usize = 528; // 66 bytes: behind the IPv6 header, or behind the first 20 bytes of IPv4
const STEPS: usize = 3;

#[derive(LogicBlock, Default)]
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
    // L2 done: what begins at the L3 header.
    l3_valid: Reg<Bit>,
    l3_data: Reg<Bits<L3_BITS>>,
    l3_have: Reg<Bits<8>>,
    l3_is4: Reg<Bit>,
    l3_is6: Reg<Bit>,
    // L3 done [0], extension headers walked [1..=STEPS].
    s_valid: [Reg<Bit>; STEPS + 1],
    s_v4: [Reg<Bit>; STEPS + 1],
    s_v6: [Reg<Bit>; STEPS + 1],
    s_frag: [Reg<Bit>; STEPS + 1],
    s_lost: [Reg<Bit>; STEPS + 1],
    s_routed: [Reg<Bit>; STEPS + 1],
    s_proto: [Reg<Bits<8>>; STEPS + 1],
    /// Where the next header is in the tail, in units of 4 bytes.
    s_at: [Reg<Bits<8>>; STEPS + 1],
    /// Whole words of 4 bytes that the packet has from there on.
    s_room: [Reg<Bits<6>>; STEPS + 1],
    s_addrs: [Reg<Bits<256>>; STEPS + 1],
    s_tail: [Reg<Bits<TAIL_BITS>>; STEPS + 1],
    // Each with its extension header found.
    x_valid: [Reg<Bit>; STEPS],
    x_v4: [Reg<Bit>; STEPS],
    x_v6: [Reg<Bit>; STEPS],
    x_frag: [Reg<Bit>; STEPS],
    x_lost: [Reg<Bit>; STEPS],
    x_routed: [Reg<Bit>; STEPS],
    x_walk: [Reg<Bit>; STEPS],
    x_proto: [Reg<Bits<8>>; STEPS],
    x_ext: [Reg<Bits<32>>; STEPS],
    x_at: [Reg<Bits<8>>; STEPS],
    x_room: [Reg<Bits<6>>; STEPS],
    x_addrs: [Reg<Bits<256>>; STEPS],
    x_tail: [Reg<Bits<TAIL_BITS>>; STEPS],
    o_valid: Reg<Bit>,
    o_l3: Reg<Bits<4>>,
    o_l4: Reg<Bits<5>>,
    o_frag: Reg<Bit>,
    o_tuple: Reg<Bits<288>>,
    o_second: Reg<Bits<32>>,
    o_routed: Reg<Bit>,
}

/// A 16-bit field in network order, `AT` bytes into `w`.
#[kernel]
fn be16<const N: usize, const AT: usize>(w: Bits<N>) -> Bits<16> {
    cat::<8, 8, 16>(w.get_bits::<8>(8 * AT), w.get_bits::<8>(8 * AT + 8))
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

/// The smaller one of a length in the window and a length field.
#[kernel]
fn within(have: Bits<8>, field: Bits<16>) -> Bits<8> {
    if field < bit_cast::<16, 8>(have) {
        bit_cast::<8, 16>(field)
    } else {
        have
    }
}

impl<const D: usize, const K: usize> Logic for RxParse<D, K> {
    /// Finds L3, L4, fragment and the hash tuple of each frame.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; index, w_valid, l3_valid, s_valid[..], x_valid[..], o_valid);
        // Of what is not valid nothing is used.
        registers!(self, clock; window, have, tag0, tag1, l3_data, l3_have, l3_is4, l3_is6,
            s_v4[..], s_v6[..], s_frag[..], s_lost[..], s_routed[..], s_proto[..], s_at[..], s_room[..], s_addrs[..],
            s_tail[..], x_v4[..], x_v6[..], x_frag[..], x_lost[..], x_routed[..], x_walk[..], x_proto[..],
            x_ext[..], x_at[..], x_room[..], x_addrs[..], x_tail[..], o_l3, o_l4, o_frag, o_tuple, o_second, o_routed);

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
        let type0 = be16::<1024, 12>(w);
        let type1 = be16::<1024, 16>(w);
        let type2 = be16::<1024, 20>(w);
        let one = self.tag0.q.val();
        let two = one && self.tag1.q.val();
        let ethertype = if two {
            type2
        } else if one {
            type1
        } else {
            type0
        };
        self.l3_data.d.next = if two {
            w.get_bits::<L3_BITS>(8 * 22)
        } else if one {
            w.get_bits::<L3_BITS>(8 * 18)
        } else {
            w.get_bits::<L3_BITS>(8 * 14)
        };
        self.l3_have.d.next = if two {
            behind(have, lit::<8>(22))
        } else if one {
            behind(have, lit::<8>(18))
        } else {
            behind(have, lit::<8>(14))
        };
        self.l3_is4.d.next = ethertype == 0x0800;
        self.l3_is6.d.next = ethertype == 0x86dd;
        self.l3_valid.d.next = self.w_valid.q.val();

        // L3.
        let h = self.l3_data.q.val();
        let l3_have = self.l3_have.q.val();
        let version = h.get_bits::<4>(4);
        let ihl = h.get_bits::<4>(0);
        let header = bit_cast::<8, 4>(ihl) << lit::<8>(2);
        let packet4 = within(l3_have, be16::<L3_BITS, 2>(h));
        let v4 = self.l3_is4.q.val() && version == 4 && ihl >= 5 && header <= packet4;
        let frag4 = (be16::<L3_BITS, 6>(h) & lit::<16>(0x3fff)) != 0;
        let v6 = self.l3_is6.q.val() && version == 6 && l3_have >= 40;
        let behind6 = l3_have - 40;
        self.s_valid[0].d.next = self.l3_valid.q.val();
        self.s_v4[0].d.next = v4;
        self.s_v6[0].d.next = v6;
        self.s_frag[0].d.next = v4 && frag4;
        self.s_lost[0].d.next = !v4 && !v6;
        self.s_routed[0].d.next = false;
        // By the ethertype alone: of what turns out not to be IP nothing is used.
        if self.l3_is6.q.val() {
            self.s_proto[0].d.next = h.get_bits::<8>(8 * 6);
            self.s_at[0].d.next = lit::<8>(0);
            let packet6 = within(behind6, be16::<L3_BITS, 4>(h));
            self.s_room[0].d.next = packet6.get_bits::<6>(2);
            self.s_addrs[0].d.next = h.get_bits::<256>(8 * 8);
            self.s_tail[0].d.next = h.get_bits::<TAIL_BITS>(8 * 40);
        } else {
            self.s_proto[0].d.next = h.get_bits::<8>(8 * 9);
            self.s_at[0].d.next = bit_cast::<8, 4>(ihl) - 5;
            self.s_room[0].d.next = packet4.get_bits::<6>(2) - bit_cast::<6, 4>(ihl);
            self.s_addrs[0].d.next = bit_cast::<256, 64>(h.get_bits::<64>(8 * 12))
                .set_slice::<96>(64, h.get_bits::<96>(0));
            self.s_tail[0].d.next = h.get_bits::<TAIL_BITS>(8 * 20);
        }

        // IPv6 extension headers, each found in one stage and judged in the next.
        for i in 0..STEPS {
            // They are a multiple of 8 bytes.
            let pair = bit_cast::<10, 7>(self.s_at[i].q.val().get_bits::<7>(1));
            self.x_ext[i].d.next =
                (self.s_tail[i].q.val() >> (pair << lit::<10>(6))).get_bits::<32>(0);
            let found = self.s_proto[i].q.val();
            self.x_walk[i].d.next = self.s_v6[i].q.val()
                && !self.s_lost[i].q.val()
                && !self.s_frag[i].q.val()
                && (found == 44 || found == 0 || found == 43 || found == 60);
            self.x_valid[i].d.next = self.s_valid[i].q.val();
            self.x_v4[i].d.next = self.s_v4[i].q.val();
            self.x_v6[i].d.next = self.s_v6[i].q.val();
            self.x_frag[i].d.next = self.s_frag[i].q.val();
            self.x_lost[i].d.next = self.s_lost[i].q.val();
            self.x_routed[i].d.next = self.s_routed[i].q.val();
            self.x_proto[i].d.next = found;
            self.x_at[i].d.next = self.s_at[i].q.val();
            self.x_room[i].d.next = self.s_room[i].q.val();
            self.x_addrs[i].d.next = self.s_addrs[i].q.val();
            self.x_tail[i].d.next = self.s_tail[i].q.val();

            let proto = self.x_proto[i].q.val();
            let at = self.x_at[i].q.val();
            let ext = self.x_ext[i].q.val();
            let walk = self.x_walk[i].q.val();
            let fragment = proto == 44;
            // Whole in the window and in the packet, or the rest is unknown. More than 64 bytes can't be.
            let units = if fragment { lit::<8>(0) } else { ext.get_bits::<8>(8) };
            let words = (bit_cast::<6, 3>(units.get_bits::<3>(0)) << lit::<6>(1)) + 2;
            let room = self.x_room[i].q.val();
            let whole = units < 8 && words <= room;
            let real = (be16::<32, 2>(ext) & lit::<16>(0xfff9)) != 0;
            self.s_valid[i + 1].d.next = self.x_valid[i].q.val();
            self.s_v4[i + 1].d.next = self.x_v4[i].q.val();
            self.s_v6[i + 1].d.next = self.x_v6[i].q.val();
            self.s_room[i + 1].d.next = if walk { room - words } else { room };
            self.s_addrs[i + 1].d.next = self.x_addrs[i].q.val();
            self.s_tail[i + 1].d.next = self.x_tail[i].q.val();
            self.s_frag[i + 1].d.next =
                self.x_frag[i].q.val() || (walk && whole && fragment && real);
            self.s_lost[i + 1].d.next = self.x_lost[i].q.val() || (walk && !whole);
            self.s_routed[i + 1].d.next =
                self.x_routed[i].q.val() || (walk && proto == 43 && ext.get_bits::<8>(24) != 0);
            self.s_proto[i + 1].d.next = if walk { ext.get_bits::<8>(0) } else { proto };
            self.s_at[i + 1].d.next = if walk { at + bit_cast::<8, 6>(words) } else { at };
        }

        // L4.
        let l4_at = self.s_at[STEPS].q.val();
        let l4_proto = self.s_proto[STEPS].q.val();
        let start = (self.s_tail[STEPS].q.val() >> (bit_cast::<10, 8>(l4_at) << lit::<10>(5)))
            .get_bits::<64>(0);
        let known = !self.s_lost[STEPS].q.val()
            && !self.s_frag[STEPS].q.val()
            && (l4_proto == 6 || l4_proto == 17)
            && self.s_room[STEPS].q.val() >= 2;
        let ports = if known { start.get_bits::<32>(0) } else { lit::<32>(0) };
        let addrs = self.s_addrs[STEPS].q.val();
        self.o_tuple.d.next = if self.s_v6[STEPS].q.val() {
            cat::<32, 256, 288>(ports, addrs)
        } else if self.s_v4[STEPS].q.val() {
            bit_cast::<288, 96>(cat::<32, 64, 96>(ports, addrs.get_bits::<64>(0)))
        } else {
            lit::<288>(0)
        };
        self.o_second.d.next = start.get_bits::<32>(32);
        self.o_routed.d.next = self.s_routed[STEPS].q.val();
        self.o_l3.d.next = if self.s_v6[STEPS].q.val() {
            lit::<4>(11)
        } else if self.s_v4[STEPS].q.val() {
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
        self.o_frag.d.next = self.s_frag[STEPS].q.val();
        self.o_valid.d.next = self.s_valid[STEPS].q.val();
        self.valid.next = self.o_valid.q.val();
        self.l3.next = self.o_l3.q.val();
        self.l4.next = self.o_l4.q.val();
        self.frag.next = self.o_frag.q.val();
        self.tuple.next = self.o_tuple.q.val();
        self.second.next = self.o_second.q.val();
        self.routed.next = self.o_routed.q.val();
        self.at.next = l4_at;
        self.is4.next = self.s_v4[STEPS].q.val();
        self.addrs.next = addrs;
        self.tail.next = self.s_tail[STEPS].q.val();
    }
}
