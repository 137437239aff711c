//! Verifies the checksums of received frames: IPv4 header, TCP and UDP.
//!
//! Takes what [parse](super::parse) finds and what [sum](super::sum) adds up of the same frame, and
//! gives one result a frame, in their order, 18 cycles after the frame's last beat: [Sums].
//!
//! Not judged, whatever the sum, 0 included:
//! - a packet of which `parse` knows no `l4`, fragments among them;
//! - a frame shorter than its IP length;
//! - UDP whose length is not IP's, and TCP of less than 20 bytes;
//! - IPv6 with a routing header that has segments left: its sum counts another address;
//! - UDP over IPv4 with sum 0.
//!
//! A sum of 0 over IPv6 is an error by default (RFC 8200, 8.1). Only the host knows which ports may
//! do without (RFC 6935): Linux looks at the packet itself whenever the card does not say "good",
//! and reports a wrong length (RFC 768) before a wrong sum.
//!
//! Where L4 begins is known too late to begin the sum there: the options or extension headers
//! before it are summed from `parse`'s window and subtracted. Sums have their bytes swapped, see
//! [sum](super::sum). A frame a cycle, no back-pressure.

use super::headers::{self, proto, UdpEnd};
use super::sum::{self, RxSum};
use super::walk::TAIL_BITS;
use super::words::{Sums, TapSnk};
use nitor_abi::tx::{l3, l4};
use nitor_rtl::prelude::*;

/// Options or extension headers in front of a known L4: 56 bytes at most, in words, and in sums of
/// four of them.
const SKIP_WORDS: usize = 28;
const SKIP_SUMS: usize = SKIP_WORDS / 4;

/// What is known of the frame besides sums.
#[record]
struct Meta {
    is4: Bit,
    tcp: Bit,
    udp: Bit,
    routed: Bit,
    /// The checksum field is 0.
    zero: Bit,
    /// Bytes in front of L4, behind what `sum` begins with, in units of 4.
    at: Bits<4>,
    /// UDP's length field.
    length: Bits<16>,
}
/// What a frame's [Sums] are, but for the sum of its beats.
#[record]
struct Verdict {
    l3_err: Bit,
    l4_checked: Bit,
    /// UDP over IPv6, and its sum is left out.
    missing: Bit,
}
/// Cycles by which headers are later than the sum of the beats.
const LATE: usize = 3;

#[derive(LogicBlock, Default)]
pub struct RxChecksum<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tap: TapSnk<D>,
    // From rx/parse, a cycle before its result.
    pub at: Signal<In, Bits<8>>,
    pub is4: Signal<In, Bit>,
    pub addrs: Signal<In, Bits<256>>,
    pub tail: Signal<In, Bits<TAIL_BITS>>,
    // Its result.
    pub l3: Signal<In, Bits<4>>,
    pub l4: Signal<In, Bits<5>>,
    pub second: Signal<In, Bits<32>>,
    pub routed: Signal<In, Bit>,
    pub valid: Signal<Out, Bit>,
    pub flags: Signal<Out, Sums>,
    beats: RxSum<D, K, L>,
    // Headers: words skipped, addresses, and the rest of IPv4's first 20 bytes.
    p_at: Reg<Bits<4>>,
    p_is4: Reg<Bit>,
    p_skip: [Reg<Bits<18>>; SKIP_SUMS],
    p_head: [Reg<Bits<18>>; 4],
    q_skip: [Reg<Bits<20>>; 2],
    q_addrs: Reg<Bits<20>>,
    q_rest: Reg<Bits<20>>,
    r_skip: Reg<Bits<21>>,
    r_addrs: Reg<Bits<20>>,
    r_fixed: Reg<Bits<21>>,
    s_skip: Reg<Bits<17>>,
    s_addrs: Reg<Bits<17>>,
    s_header: Reg<Bits<22>>,
    t_skip: Reg<Bits<16>>,
    t_pseudo: Reg<Bits<18>>,
    t_header: Reg<Bits<17>>,
    u_pseudo: Reg<Bits<20>>,
    /// From `parse`'s result on.
    meta: [Reg<Meta>; 4],
    late_valid: [Reg<Bit>; LATE],
    late_sum: [Reg<Bits<16>>; LATE],
    late_payload: [Reg<Bits<16>>; LATE],
    late_short: [Reg<Bit>; LATE],
    length: Reg<Bits<16>>,
    short: Reg<Bit>,
    // Beside the sum of the beats: it, delayed, the verdict without it, and both together.
    done: [Reg<Bit>; 5],
    beat_sum: [Reg<Bits<16>>; 2],
    verdict: [Reg<Verdict>; 3],
    all: Reg<Bits<21>>,
    folded: Reg<Bits<17>>,
    o_flags: Reg<Sums>,
}

/// The sum of four words.
#[kernel]
fn four(w: Bits<64>) -> Bits<18> {
    (bit_cast::<18, 16>(w.get_bits::<16>(0)) + bit_cast::<18, 16>(w.get_bits::<16>(16)))
        + (bit_cast::<18, 16>(w.get_bits::<16>(32)) + bit_cast::<18, 16>(w.get_bits::<16>(48)))
}

impl<const D: usize, const K: usize, const L: usize> Logic for RxChecksum<D, K, L> {
    /// Verifies the checksums of each frame.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; p_at, p_is4, late_valid[..], length, short, done[..],
            verdict[..], o_flags);
        registers!(self, clock; p_skip[..], p_head[..], q_skip[..], q_addrs, q_rest, r_skip,
            r_addrs, r_fixed, s_skip, s_addrs, s_header, t_skip, t_pseudo, t_header, u_pseudo,
            meta[..], late_sum[..], late_payload[..], late_short[..], beat_sum[..], all, folded);
        clocked!(self, clock, reset; beats);
        TapSnk::<D>::link(&mut self.tap, &mut self.beats.tap);

        // A cycle before the parser's result: words, by fours.
        // Where it is more than 4 bits, no L4 is known.
        let at = bit_cast::<4, 8>(self.at.val());
        let tail = self.tail.val();
        let mut skipped = lit::<{ 16 * SKIP_WORDS }>(0);
        for i in 0..(SKIP_WORDS / 2) {
            if at > lit::<4>(i) {
                skipped = skipped.set_slice::<32>(32 * i, tail.get_bits::<32>(32 * i));
            }
        }
        for i in 0..SKIP_SUMS {
            self.p_skip[i].d.next = four(skipped.get_bits::<64>(64 * i));
        }
        for i in 0..4 {
            self.p_head[i].d.next = four(self.addrs.val().get_bits::<64>(64 * i));
        }
        self.p_at.d.next = at;
        self.p_is4.d.next = self.is4.val();

        // With the result.
        self.q_skip[0].d.next = (bit_cast::<20, 18>(self.p_skip[0].q.val())
            + bit_cast::<20, 18>(self.p_skip[1].q.val()))
            + (bit_cast::<20, 18>(self.p_skip[2].q.val())
                + bit_cast::<20, 18>(self.p_skip[3].q.val()));
        self.q_skip[1].d.next = (bit_cast::<20, 18>(self.p_skip[4].q.val())
            + bit_cast::<20, 18>(self.p_skip[5].q.val()))
            + bit_cast::<20, 18>(self.p_skip[6].q.val());
        let first = bit_cast::<20, 18>(self.p_head[0].q.val());
        let second = bit_cast::<20, 18>(self.p_head[1].q.val());
        let others =
            bit_cast::<20, 18>(self.p_head[2].q.val()) + bit_cast::<20, 18>(self.p_head[3].q.val());
        self.q_addrs.d.next = if self.p_is4.q.val() { first } else { (first + second) + others };
        self.q_rest.d.next = second + others;
        let udp_end = UdpEnd::from_bits(self.second.val());
        self.meta[0].d.next = Meta {
            is4: self.l3.val() == lit::<4>(l3::IPV4),
            tcp: self.l4.val() == lit::<5>(l4::TCP),
            udp: self.l4.val() == lit::<5>(l4::UDP),
            routed: self.routed.val(),
            zero: udp_end.checksum == 0,
            at: self.p_at.q.val(),
            length: headers::net16(udp_end.length),
        };
        for i in 1..4 {
            self.meta[i].d.next = self.meta[i - 1].q.val();
        }

        self.r_skip.d.next =
            bit_cast::<21, 20>(self.q_skip[0].q.val()) + bit_cast::<21, 20>(self.q_skip[1].q.val());
        self.r_addrs.d.next = self.q_addrs.q.val();
        self.r_fixed.d.next =
            bit_cast::<21, 20>(self.q_addrs.q.val()) + bit_cast::<21, 20>(self.q_rest.q.val());

        self.s_skip.d.next = sum::fold(bit_cast::<32, 21>(self.r_skip.q.val()));
        self.s_addrs.d.next = sum::fold(bit_cast::<32, 20>(self.r_addrs.q.val()));
        self.s_header.d.next =
            bit_cast::<22, 21>(self.r_fixed.q.val()) + bit_cast::<22, 21>(self.r_skip.q.val());

        // The sum of the beats waits for the headers.
        self.late_valid[0].d.next = self.beats.valid.val();
        self.late_sum[0].d.next = self.beats.sum.val();
        self.late_payload[0].d.next = self.beats.payload.val();
        self.late_short[0].d.next = self.beats.short.val();
        for i in 1..LATE {
            self.late_valid[i].d.next = self.late_valid[i - 1].q.val();
            self.late_sum[i].d.next = self.late_sum[i - 1].q.val();
            self.late_payload[i].d.next = self.late_payload[i - 1].q.val();
            self.late_short[i].d.next = self.late_short[i - 1].q.val();
        }

        // Here it is out. To take off is to add the complement.
        let m = self.meta[2].q.val();
        let skip_bytes = bit_cast::<16, 4>(m.at) << lit::<16>(2);
        let number = if m.tcp { lit::<18>(proto::TCP << 8) } else { lit::<18>(proto::UDP << 8) };
        self.t_skip.d.next = bit_cast::<16, 17>(sum::fold(bit_cast::<32, 17>(self.s_skip.q.val())));
        self.t_pseudo.d.next = bit_cast::<18, 17>(self.s_addrs.q.val()) + number;
        self.t_header.d.next = sum::fold(bit_cast::<32, 22>(self.s_header.q.val()));
        self.length.d.next = self.late_payload[LATE - 1].q.val() - skip_bytes;
        self.short.d.next = self.late_short[LATE - 1].q.val();
        self.done[0].d.next = self.late_valid[LATE - 1].q.val();
        for i in 1..5 {
            self.done[i].d.next = self.done[i - 1].q.val();
        }
        self.beat_sum[0].d.next = self.late_sum[LATE - 1].q.val();
        self.beat_sum[1].d.next = self.beat_sum[0].q.val();

        let n = self.meta[3].q.val();
        let length = self.length.q.val();
        self.u_pseudo.d.next = (bit_cast::<20, 18>(self.t_pseudo.q.val())
            + bit_cast::<20, 16>(!self.t_skip.q.val()))
            + bit_cast::<20, 16>(headers::net16(length));
        let fits = if n.tcp { length >= 20 } else { length == n.length };
        let judged = (n.tcp || n.udp) && fits && !self.short.q.val() && !n.routed;
        let no_sum = n.udp && n.zero;
        self.verdict[0].d.next = Verdict {
            l3_err: n.is4 && self.t_header.q.val() != 0xffff,
            l4_checked: judged && !(no_sum && n.is4),
            missing: judged && no_sum && !n.is4,
        };
        for i in 1..3 {
            self.verdict[i].d.next = self.verdict[i - 1].q.val();
        }

        self.all.d.next = bit_cast::<21, 20>(self.u_pseudo.q.val())
            + bit_cast::<21, 16>(self.beat_sum[1].q.val());
        self.folded.d.next = sum::fold(bit_cast::<32, 21>(self.all.q.val()));
        // Both stand for zero; with the carry set the sum is not zero.
        let total = self.folded.q.val();
        let bad = total != 0xffff && total != 0;
        let v = self.verdict[2].q.val();
        self.o_flags.d.next = Sums {
            l3_err: v.l3_err,
            l4_err: v.missing || (v.l4_checked && bad),
            l4_checked: v.l4_checked,
        };
        self.valid.next = self.done[4].q.val();
        self.flags.next = self.o_flags.q.val();
    }
}
