//! Walks the headers of one packet from L3 on, for [parse](super::parse), which says what is
//! accepted.
//!
//! | port | what |
//! |---|---|
//! | `load`, `is4`, `is6` | a packet begins; its protocol by the ethertype |
//! | `have`, `header` | its header, and how many bytes of it count |
//! | `soon`, `held6` | the result is there in the next cycle; `is6` as it was loaded |
//! | `valid`, `end`, `held` | the result, see [End]; the header as it was loaded |
//!
//! A packet takes 7 cycles: the result is there 7 cycles after `load`, and the next packet may be
//! loaded in the same cycle. The sender must not `load` earlier: that loses the packet at hand. The
//! header stays in one register, so one more walker costs its bits once, not once a step.

use super::headers::{self, proto, Extension, Ipv4, Ipv6, Routing};
use nitor_rtl::prelude::*;

/// 106 bytes: the window behind two tags.
pub const L3_BITS: usize = 848;
/// 66 bytes: behind the IPv6 header, or behind the first 20 bytes of IPv4.
pub const TAIL_BITS: usize = 528;
/// Extension headers.
const STEPS: usize = 3;
/// L3, and each extension header in two cycles: found, judged.
pub const CYCLES: usize = 2 * STEPS + 1;

/// The window from an IPv4 header on.
#[record]
pub struct Packet4 {
    pub header: Ipv4,
    pub tail: Bits<TAIL_BITS>,
    pub rest: Bits<160>,
}

/// The window from an IPv6 header on.
#[record]
pub struct Packet6 {
    pub header: Ipv6,
    pub tail: Bits<TAIL_BITS>,
}

/// Where a walk has come to.
#[record]
pub struct End {
    pub v4: Bit,
    pub v6: Bit,
    /// A real fragment.
    pub frag: Bit,
    /// No L4 can be found.
    pub lost: Bit,
    /// A routing header with segments left.
    pub routed: Bit,
    pub proto: Bits<8>,
    /// Where the next header is in the tail, in units of 4 bytes.
    pub at: Bits<8>,
    /// Whole words of 4 bytes that the packet has from there on.
    pub room: Bits<6>,
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
    pub end: Signal<Out, End>,
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
    ext: Reg<Extension>,
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
        registers!(self, clock; h, h_have, h_is4, h_is6, v4, v6, frag, lost, routed, proto, at,
            room, steps, fragment, routing, ext);

        let phase = self.phase.q.val();
        self.phase.d.next = (phase << lit::<CYCLES>(1)).replace_bit(0, self.load.val());
        if self.load.val() {
            self.h.d.next = self.header.val();
            self.h_have.d.next = self.have.val();
            self.h_is4.d.next = self.is4.val();
            self.h_is6.d.next = self.is6.val();
        }
        let h = self.h.q.val();
        let packet4 = Packet4::from_bits(h);
        let packet6 = Packet6::from_bits(h);
        let fixed = packet4.header.fixed;

        // An extension header is found...
        let at = self.at.q.val();
        let proto = self.proto.q.val();
        let room = self.room.q.val();
        // They are a multiple of 8 bytes.
        let pair = bit_cast::<10, 8>(at >> lit::<8>(1));
        self.ext.d.next =
            Extension::from_bits(bit_cast::<32, TAIL_BITS>(packet6.tail >> (pair << lit::<10>(6))));
        self.steps.d.next = self.v6.q.val()
            && !self.lost.q.val()
            && !self.frag.q.val()
            && headers::is_extension(proto);
        self.fragment.d.next = proto == lit::<8>(proto::FRAGMENT);
        self.routing.d.next = proto == lit::<8>(proto::ROUTING);

        // ... and judged.
        let ext = self.ext.q.val();
        let walk = self.steps.q.val();
        let fragment = self.fragment.q.val();
        // Whole in the window and in the packet, or the rest is unknown. More than 64 bytes can't
        // be.
        let units = if fragment { lit::<8>(0) } else { ext.units };
        let words = (bit_cast::<6, 3>(bit_cast::<3, 8>(units)) << lit::<6>(1)) + 2;
        let whole = units < 8 && words <= room;
        let real = headers::is_fragment6(headers::net16(ext.rest));
        let segments_left = Routing::from_bits(ext.rest).segments_left;
        let then_frag = self.frag.q.val() || (walk && whole && fragment && real);
        let then_lost = self.lost.q.val() || (walk && !whole);
        let then_routed =
            self.routed.q.val() || (walk && self.routing.q.val() && segments_left != 0);
        let then_proto = if walk { ext.next } else { proto };
        let then_at = if walk { at + bit_cast::<8, 6>(words) } else { at };
        let then_room = if walk { room - words } else { room };

        // L3.
        let have = self.h_have.q.val();
        let is6 = self.h_is6.q.val();
        let version = fixed.start.version;
        let ihl = fixed.start.ihl;
        let length = bit_cast::<8, 4>(ihl) << lit::<8>(2);
        let have4 = within(have, headers::net16(fixed.length));
        let have6 = within(have - 40, headers::net16(packet6.header.length));
        let v4 = self.h_is4.q.val() && version == 4 && ihl >= 5 && length <= have4;
        let v6 = is6 && version == 6 && have >= 40;
        let frag4 = headers::is_fragment4(headers::net16(fixed.fragment));

        if phase.get_bit(0) {
            self.v4.d.next = v4;
            self.v6.d.next = v6;
            self.frag.d.next = v4 && frag4;
            self.lost.d.next = !v4 && !v6;
            self.routed.d.next = false;
            // By the ethertype alone: of what turns out not to be IP nothing is used.
            if is6 {
                self.proto.d.next = packet6.header.next;
                self.at.d.next = lit::<8>(0);
                self.room.d.next = bit_cast::<6, 8>(have6 >> lit::<8>(2));
            } else {
                self.proto.d.next = fixed.proto;
                self.at.d.next = bit_cast::<8, 4>(ihl) - 5;
                self.room.d.next = bit_cast::<6, 8>(have4 >> lit::<8>(2)) - bit_cast::<6, 4>(ihl);
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
        self.end.next = End {
            v4: self.v4.q.val(),
            v6: self.v6.q.val(),
            frag: then_frag,
            lost: then_lost,
            routed: then_routed,
            proto: then_proto,
            at: then_at,
            room: then_room,
        };
        self.held.next = h;
    }
}
