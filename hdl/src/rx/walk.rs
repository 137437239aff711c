//! Walks the headers of one packet from L3 on: for [parse](super::parse), which says what is accepted.
//!
//! | port | what |
//! |---|---|
//! | `load`, `is4`, `is6`, `have`, `header` | a packet, its protocol by the ethertype, how many bytes of it are in `header` |
//! | `soon`, `held6` | the result is there in the next cycle; `is6` as it was loaded |
//! | `valid`, `end`, `held` | the result, see [end]; the header as it was loaded |
//!
//! 7 cycles a packet: the result is there 7 cycles after `load`, and the next packet may be loaded in the same cycle. The header stays where it
//! is, so one more walker costs its bits once, not once a step. A `load` before that loses the packet at hand: the sender's duty.

use nitor_rtl::prelude::*;

/// 106 bytes: the window behind two tags.
pub const L3_BITS: usize = 848;
/// 66 bytes: behind the IPv6 header, or behind the first 20 bytes of IPv4.
pub const TAIL_BITS: usize = 528;
/// Extension headers.
const STEPS: usize = 3;
/// L3, and each extension header in two cycles: found, judged.
pub const CYCLES: usize = 2 * STEPS + 1;

pub const END_BITS: usize = 27;
/// Where the walk has come to.
pub mod end {
    pub const V4: usize = 0;
    pub const V6: usize = 1;
    /// A real fragment.
    pub const FRAG: usize = 2;
    /// No L4 can be found.
    pub const LOST: usize = 3;
    /// A routing header with segments left.
    pub const ROUTED: usize = 4;
    pub const PROTO: usize = 5;
    /// Where the next header is in the tail, in units of 4 bytes.
    pub const AT: usize = 13;
    /// Whole words of 4 bytes that the packet has from there on.
    pub const ROOM: usize = 21;
}

#[derive(LogicBlock, Default)]
pub struct RxWalk {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub load: Signal<In, Bit>,
    pub is4: Signal<In, Bit>,
    pub is6: Signal<In, Bit>,
    pub have: Signal<In, Bits<8>>,
    pub header: Signal<In, Bits<L3_BITS>>,
    pub soon: Signal<Out, Bit>,
    pub held6: Signal<Out, Bit>,
    pub valid: Signal<Out, Bit>,
    pub end: Signal<Out, Bits<END_BITS>>,
    pub held: Signal<Out, Bits<L3_BITS>>,
    /// Which cycle of the walk it is, one bit each.
    phase: Reg<Bits<CYCLES>>,
    h: Reg<Bits<L3_BITS>>,
    h_have: Reg<Bits<8>>,
    h_is4: Reg<Bit>,
    h_is6: Reg<Bit>,
    // In odd phases: where the walk is.
    v4: Reg<Bit>,
    v6: Reg<Bit>,
    frag: Reg<Bit>,
    lost: Reg<Bit>,
    routed: Reg<Bit>,
    proto: Reg<Bits<8>>,
    at: Reg<Bits<8>>,
    room: Reg<Bits<6>>,
    // In even ones, from 2 on: an extension header is there, and its beginning.
    steps: Reg<Bit>,
    fragment: Reg<Bit>,
    routing: Reg<Bit>,
    ext: Reg<Bits<32>>,
}

/// A 16-bit field in network order, `AT` bytes into `w`.
#[kernel]
pub fn be16<const N: usize, const AT: usize>(w: Bits<N>) -> Bits<16> {
    cat::<8, 8, 16>(w.get_bits::<8>(8 * AT), w.get_bits::<8>(8 * AT + 8))
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

impl Logic for RxWalk {
    /// Walks the headers of a packet, from L3 to where L4 begins.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; phase);
        // Of what no phase stands for nothing is used.
        registers!(self, clock; h, h_have, h_is4, h_is6, v4, v6, frag, lost, routed, proto, at, room, steps, fragment, routing, ext);

        let phase = self.phase.q.val();
        self.phase.d.next = (phase << lit::<CYCLES>(1)).replace_bit(0, self.load.val());
        if self.load.val() {
            self.h.d.next = self.header.val();
            self.h_have.d.next = self.have.val();
            self.h_is4.d.next = self.is4.val();
            self.h_is6.d.next = self.is6.val();
        }
        let h = self.h.q.val();

        // An extension header is found...
        let at = self.at.q.val();
        let proto = self.proto.q.val();
        let room = self.room.q.val();
        // They are a multiple of 8 bytes.
        let pair = bit_cast::<10, 7>(at.get_bits::<7>(1));
        self.ext.d.next =
            (h.get_bits::<TAIL_BITS>(8 * 40) >> (pair << lit::<10>(6))).get_bits::<32>(0);
        self.steps.d.next = self.v6.q.val()
            && !self.lost.q.val()
            && !self.frag.q.val()
            && (proto == 44 || proto == 0 || proto == 43 || proto == 60);
        self.fragment.d.next = proto == 44;
        self.routing.d.next = proto == 43;

        // ... and judged.
        let ext = self.ext.q.val();
        let walk = self.steps.q.val();
        let fragment = self.fragment.q.val();
        // Whole in the window and in the packet, or the rest is unknown. More than 64 bytes can't be.
        let units = if fragment { lit::<8>(0) } else { ext.get_bits::<8>(8) };
        let words = (bit_cast::<6, 3>(units.get_bits::<3>(0)) << lit::<6>(1)) + 2;
        let whole = units < 8 && words <= room;
        let real = (be16::<32, 2>(ext) & lit::<16>(0xfff9)) != 0;
        let then_frag = self.frag.q.val() || (walk && whole && fragment && real);
        let then_lost = self.lost.q.val() || (walk && !whole);
        let then_routed =
            self.routed.q.val() || (walk && self.routing.q.val() && ext.get_bits::<8>(24) != 0);
        let then_proto = if walk { ext.get_bits::<8>(0) } else { proto };
        let then_at = if walk { at + bit_cast::<8, 6>(words) } else { at };
        let then_room = if walk { room - words } else { room };

        // L3.
        let have = self.h_have.q.val();
        let is6 = self.h_is6.q.val();
        let version = h.get_bits::<4>(4);
        let ihl = h.get_bits::<4>(0);
        let length = bit_cast::<8, 4>(ihl) << lit::<8>(2);
        let packet4 = within(have, be16::<L3_BITS, 2>(h));
        let packet6 = within(have - 40, be16::<L3_BITS, 4>(h));
        let v4 = self.h_is4.q.val() && version == 4 && ihl >= 5 && length <= packet4;
        let v6 = is6 && version == 6 && have >= 40;
        let frag4 = (be16::<L3_BITS, 6>(h) & lit::<16>(0x3fff)) != 0;

        if phase.get_bit(0) {
            self.v4.d.next = v4;
            self.v6.d.next = v6;
            self.frag.d.next = v4 && frag4;
            self.lost.d.next = !v4 && !v6;
            self.routed.d.next = false;
            // By the ethertype alone: of what turns out not to be IP nothing is used.
            if is6 {
                self.proto.d.next = h.get_bits::<8>(8 * 6);
                self.at.d.next = lit::<8>(0);
                self.room.d.next = packet6.get_bits::<6>(2);
            } else {
                self.proto.d.next = h.get_bits::<8>(8 * 9);
                self.at.d.next = bit_cast::<8, 4>(ihl) - 5;
                self.room.d.next = packet4.get_bits::<6>(2) - bit_cast::<6, 4>(ihl);
            }
        } else if phase.get_bit(2) || phase.get_bit(4) {
            self.frag.d.next = then_frag;
            self.lost.d.next = then_lost;
            self.routed.d.next = then_routed;
            self.proto.d.next = then_proto;
            self.at.d.next = then_at;
            self.room.d.next = then_room;
        }

        self.soon.next = phase.get_bit(CYCLES - 2);
        self.held6.next = is6;
        self.valid.next = phase.get_bit(CYCLES - 1);
        self.end.next = lit::<END_BITS>(0)
            .replace_bit(end::V4, self.v4.q.val())
            .replace_bit(end::V6, self.v6.q.val())
            .replace_bit(end::FRAG, then_frag)
            .replace_bit(end::LOST, then_lost)
            .replace_bit(end::ROUTED, then_routed)
            .set_slice::<8>(end::PROTO, then_proto)
            .set_slice::<8>(end::AT, then_at)
            .set_slice::<6>(end::ROOM, then_room);
        self.held.next = h;
    }
}
