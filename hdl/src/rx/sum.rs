//! Sums a frame from the beginning of its IP payload to its end, for [checksum](super::checksum).
//!
//! Watches the stored beats like [parse](super::parse). The sum begins behind the IPv6 header or
//! the first 20 bytes of IPv4, with up to two tags before. It ends where the IP length says, in the
//! middle of a beat or not: padding is left out. The first 32 bytes tell both places; the sum of a
//! frame that is not IP, or is shorter, means nothing. The words summed are little-endian, which
//! gives the one's-complement sum with its bytes swapped. `payload` is the number of bytes to be
//! summed by the IP length; `short` says that the frame ends before them.
//!
//! One beat and one frame a cycle, no back-pressure. The result is valid for one cycle, 10 cycles
//! after the frame's last beat. A stage makes at most two short additions, but for the 32 bits that
//! collect the frame's sum.

use super::headers;
use super::words::TapSnk;
use nitor_rtl::prelude::*;

/// Stages of a beat: taken, decoded, placed, compared, masked, 4 words summed, 16 words summed.
const STAGES: usize = 7;
/// Flags of a beat.
#[record]
struct Mark {
    valid: Bit,
    end: Bit,
    keep: Bit,
    first: Bit,
}
/// A frame's length, from `compared` on.
#[record]
struct Note {
    payload: Bits<16>,
    short: Bit,
}
/// Stages of a [Note], until `sum` is folded.
const NOTES: usize = 7;

#[derive(LogicBlock)]
pub struct RxSum<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tap: TapSnk<D>,
    pub valid: Signal<Out, Bit>,
    pub sum: Signal<Out, Bits<16>>,
    pub payload: Signal<Out, Bits<16>>,
    pub short: Signal<Out, Bit>,
    index: Reg<Bits<13>>,
    mark: [Reg<Mark>; STAGES],
    note: [Reg<Note>; NOTES],
    /// Up to `compared`.
    data: [Reg<Bits<D>>; 4],
    place: [Reg<Bits<13>>; 4],
    bytes: [Reg<Bits<7>>; 2],
    /// The first 32 bytes.
    head: Reg<Bits<256>>,
    /// A tag behind the addresses, and one behind that.
    tag0: Reg<Bit>,
    tag1: Reg<Bit>,
    // Decoded: this beat makes `head` whole; tags, IPv6 or not, and its length field.
    b_head: Reg<Bit>,
    b_one: Reg<Bit>,
    b_two: Reg<Bit>,
    b_is6: Reg<Bit>,
    b_field: Reg<Bits<16>>,
    // Placed: from this beat to the next head. Bytes of the frame up to the beat's end.
    start: Reg<Bits<6>>,
    stop: Reg<Bits<17>>,
    payload_now: Reg<Bits<16>>,
    c_len: Reg<Bits<17>>,
    // Compared: the beat is before the end, or has it `d_left` bytes in.
    d_full: Reg<Bit>,
    d_part: Reg<Bit>,
    d_left: Reg<Bits<7>>,
    /// By words of 2 bytes.
    d_begun: Reg<Bits<K>>,
    masked: Reg<Bits<D>>,
    fours: Vec<Reg<Bits<18>>>,
    sixteens: Vec<Reg<Bits<20>>>,
    total: Reg<Bits<32>>,
    h_done: Reg<Bit>,
    once: Reg<Bits<17>>,
    t_done: Reg<Bit>,
    twice: Reg<Bits<16>>,
    u_done: Reg<Bit>,
}

impl<const D: usize, const K: usize, const L: usize> Default for RxSum<D, K, L> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tap: Default::default(),
            valid: Default::default(),
            sum: Default::default(),
            payload: Default::default(),
            short: Default::default(),
            index: Default::default(),
            mark: Default::default(),
            note: Default::default(),
            data: Default::default(),
            place: Default::default(),
            bytes: Default::default(),
            head: Default::default(),
            tag0: Default::default(),
            tag1: Default::default(),
            b_head: Default::default(),
            b_one: Default::default(),
            b_two: Default::default(),
            b_is6: Default::default(),
            b_field: Default::default(),
            start: Default::default(),
            stop: Default::default(),
            payload_now: Default::default(),
            c_len: Default::default(),
            d_full: Default::default(),
            d_part: Default::default(),
            d_left: Default::default(),
            d_begun: Default::default(),
            masked: Default::default(),
            fours: (0..K / 8).map(|_| Reg::default()).collect(),
            sixteens: (0..K / 64 + 1).map(|_| Reg::default()).collect(),
            total: Default::default(),
            h_done: Default::default(),
            once: Default::default(),
            t_done: Default::default(),
            twice: Default::default(),
            u_done: Default::default(),
        }
    }
}

/// Carries back in: of a one's-complement sum, what it is worth in 17 bits.
#[kernel]
pub fn fold(sum: Bits<32>) -> Bits<17> {
    bit_cast::<17, 16>(sum.get_bits::<16>(0)) + bit_cast::<17, 16>(sum.get_bits::<16>(16))
}

impl<const D: usize, const K: usize, const L: usize> Logic for RxSum<D, K, L> {
    /// Sums the IP payload of each frame.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; index, mark[..], b_head, b_one, b_two, b_is6, start, stop,
            payload_now, d_full, d_part, h_done, t_done, u_done);
        registers!(self, clock; note[..], data[..], place[..], bytes[..], head, b_field, tag0, tag1,
            c_len, d_left, d_begun, masked, fours[..], sixteens[..], total, once, twice);

        // Along with the beat.
        let index = self.index.q.val();
        if self.tap.valid.val() {
            self.index.d.next = if self.tap.end.val() { lit::<13>(0) } else { index + 1 };
        }
        self.mark[0].d.next = Mark {
            valid: self.tap.valid.val(),
            end: self.tap.valid.val() && self.tap.end.val(),
            keep: self.tap.keep.val(),
            first: index == 0,
        };
        for i in 1..STAGES {
            self.mark[i].d.next = self.mark[i - 1].q.val();
        }
        self.data[0].d.next = self.tap.data.val();
        self.place[0].d.next = index;
        for i in 1..4 {
            self.data[i].d.next = self.data[i - 1].q.val();
            self.place[i].d.next = self.place[i - 1].q.val();
        }
        self.bytes[0].d.next = self.tap.bytes.val();
        self.bytes[1].d.next = self.bytes[0].q.val();

        // Taken.
        let mut head = self.head.q.val();
        for i in 0..2 {
            if self.tap.valid.val() && index == lit::<13>(16 * i / K) {
                let half = self.tap.data.val().get_bits::<128>((128 * i) % D);
                head = head.set_slice::<128>(128 * i, half);
            }
        }
        self.head.d.next = head;
        // Tags are seen as they come.
        let beat = self.tap.data.val();
        if self.tap.valid.val() && index == lit::<13>(12 / K) {
            self.tag0.d.next = headers::is_tag(headers::net16(beat.get_bits::<16>(8 * (12 % K))));
        }
        if self.tap.valid.val() && index == lit::<13>(16 / K) {
            self.tag1.d.next = headers::is_tag(headers::net16(beat.get_bits::<16>(8 * (16 % K))));
        }

        // Decoded.
        let h = self.head.q.val();
        let one = self.tag0.q.val();
        let two = one && self.tag1.q.val();
        let is6 = if two {
            headers::be16::<256, 20>(h) == lit::<16>(headers::ETHERTYPE_IPV6)
        } else if one {
            headers::be16::<256, 16>(h) == lit::<16>(headers::ETHERTYPE_IPV6)
        } else {
            headers::be16::<256, 12>(h) == lit::<16>(headers::ETHERTYPE_IPV6)
        };
        self.b_one.d.next = one;
        self.b_two.d.next = two;
        self.b_is6.d.next = is6;
        let field4 = if two {
            headers::be16::<256, 24>(h)
        } else if one {
            headers::be16::<256, 20>(h)
        } else {
            headers::be16::<256, 16>(h)
        };
        let field6 = if two {
            headers::be16::<256, 26>(h)
        } else if one {
            headers::be16::<256, 22>(h)
        } else {
            headers::be16::<256, 18>(h)
        };
        self.b_field.d.next = if is6 { field6 } else { field4 };
        self.b_head.d.next =
            self.mark[0].q.val().valid && self.place[0].q.val() == lit::<13>(16 / K);

        // Placed.
        let field = self.b_field.q.val();
        if self.b_head.q.val() {
            let at = if self.b_two.q.val() {
                lit::<6>(22)
            } else if self.b_one.q.val() {
                lit::<6>(18)
            } else {
                lit::<6>(14)
            };
            let begin = if self.b_is6.q.val() { at + 40 } else { at + 20 };
            self.start.d.next = begin;
            self.stop.d.next = bit_cast::<17, 16>(field)
                + bit_cast::<17, 6>(if self.b_is6.q.val() { begin } else { at });
            self.payload_now.d.next = if self.b_is6.q.val() { field } else { field - 20 };
        }
        self.c_len.d.next = (bit_cast::<17, 13>(self.place[1].q.val()) << lit::<17>(L))
            + bit_cast::<17, 7>(self.bytes[1].q.val());

        // Compared.
        let stop = self.stop.q.val();
        let last = bit_cast::<13, 17>(stop >> lit::<17>(L));
        self.d_full.d.next = self.place[2].q.val() < last;
        self.d_part.d.next = self.place[2].q.val() == last;
        self.d_left.d.next = bit_cast::<7, 17>(stop & lit::<17>(K - 1));
        // The beginning is in the first 64 bytes, and not in the first 32.
        let mut begun = !lit::<K>(0);
        for b in 0..(64 / K) {
            for w in 0..(K / 2) {
                if self.place[2].q.val() == lit::<13>(b) {
                    begun = begun.replace_bit(w, self.start.q.val() <= lit::<6>(b * K + 2 * w));
                }
            }
        }
        self.d_begun.d.next = begun;
        self.note[0].d.next =
            Note { payload: self.payload_now.q.val(), short: self.c_len.q.val() < stop };
        for i in 1..NOTES {
            self.note[i].d.next = self.note[i - 1].q.val();
        }

        // Masked.
        let beat = self.data[3].q.val();
        let mut masked = lit::<D>(0);
        for w in 0..(K / 2) {
            let begun = self.d_begun.q.val().get_bit(w);
            let full = self.d_full.q.val();
            let part = self.d_part.q.val();
            let left = self.d_left.q.val();
            if begun && (full || (part && left > lit::<7>(2 * w))) {
                masked = masked.set_slice::<8>(16 * w, beat.get_bits::<8>(16 * w));
            }
            if begun && (full || (part && left > lit::<7>(2 * w + 1))) {
                masked = masked.set_slice::<8>(16 * w + 8, beat.get_bits::<8>(16 * w + 8));
            }
        }
        self.masked.d.next = masked;

        // Summed.
        for i in 0..(K / 8) {
            let m = self.masked.q.val();
            self.fours[i].d.next = (bit_cast::<18, 16>(m.get_bits::<16>(64 * i))
                + bit_cast::<18, 16>(m.get_bits::<16>(64 * i + 16)))
                + (bit_cast::<18, 16>(m.get_bits::<16>(64 * i + 32))
                    + bit_cast::<18, 16>(m.get_bits::<16>(64 * i + 48)));
        }
        for i in 0..(K / 64 + 1) {
            let mut low = lit::<20>(0);
            let mut high = lit::<20>(0);
            for j in 0..(K / 8) {
                if j / 4 == i && j % 4 < 2 {
                    low = low + bit_cast::<20, 18>(self.fours[j].q.val());
                }
                if j / 4 == i && j % 4 >= 2 {
                    high = high + bit_cast::<20, 18>(self.fours[j].q.val());
                }
            }
            self.sixteens[i].d.next = low + high;
        }
        let g = self.mark[6].q.val();
        let mut added = lit::<32>(0);
        for i in 0..(K / 64 + 1) {
            added = added + bit_cast::<32, 20>(self.sixteens[i].q.val());
        }
        // Less than 2^31, as a frame is less than 64 KiB.
        if g.valid {
            let before = if g.first { lit::<32>(0) } else { self.total.q.val() };
            self.total.d.next = before + added;
        }
        self.h_done.d.next = g.end && g.keep;
        self.once.d.next = fold(self.total.q.val());
        self.t_done.d.next = self.h_done.q.val();
        self.twice.d.next = bit_cast::<16, 17>(fold(bit_cast::<32, 17>(self.once.q.val())));
        self.u_done.d.next = self.t_done.q.val();
        self.valid.next = self.u_done.q.val();
        self.sum.next = self.twice.q.val();
        self.payload.next = self.note[6].q.val().payload;
        self.short.next = self.note[6].q.val().short;
    }
}
