//! Writes segments of frames from the RX buffer to the host, and reports each when its last beat is on its way.
//!
//! Holds the RX buffer: 2^(B+1) rows in two banks, so that any K bytes are read in one cycle. `row_*` is `rx/input`'s side of it;
//! `free_row` moves on with each TLP that has been read: a long frame gives its rows back piece by piece.
//!
//! A [segment](super::words::seg) is cut at multiples of the max payload size (`mps` as in Device Control: 128 << mps,
//! 4096 from 5 on), and so at 4 KB. The payload starts at the dword of its first byte: a beat carries the buffer's bytes
//! from (source - address bits 1:0) on; bytes that are not enabled are zero. 3-dword header below 4 GiB, else 4-dword.
//!
//! A cut takes 2 cycles and runs ahead of the beats; beats are one a cycle, across TLPs, segments and frames. A segment's
//! first beat is at `tx` 10 cycles after it was taken. When `tx` refuses, up to 16 beats wait in the output queue, then
//! reading stops; nothing is lost. `done` gives a segment's completion entry once `tx` has accepted its last beat, a marker's
//! once all before it are given; when `done` refuses, 16 of them wait, then cutting stops.

use super::words::{seg, SEG_BITS};
use crate::common::fifo::Fifo;
use crate::common::iface::{RxDoneSrc, TlpSrc};
use crate::common::ram::RowPairRam;
use crate::common::skid::Skid;
use crate::pcie::tlp;
use nitor_rtl::prelude::*;

const CUT_BITS: usize = 103;
/// A TLP to come.
mod cut {
    pub const ADDR: usize = 0;
    /// Bytes, at most 4096.
    pub const LEN: usize = 48;
    pub const SRC: usize = 61;
    /// Rows before it are read with this TLP.
    pub const FREE: usize = 85;
    /// Last TLP of its segment.
    pub const SEG_END: usize = 101;
    /// No TLP, only rows to free.
    pub const DROP: usize = 102;
}

const SIDE_BITS: usize = 70;
/// What goes with a beat to the output queue: what the header is made of, then flags.
mod side {
    pub const ADDR: usize = 0;
    pub const DWORDS: usize = 48;
    pub const BE: usize = 58;
    /// The address is beyond 4 GiB.
    pub const WIDE: usize = 66;
    pub const SOP: usize = 67;
    pub const EOP: usize = 68;
    pub const SEG_END: usize = 69;
}

#[derive(LogicBlock, Default)]
pub struct RxWrite<const D: usize, const K: usize, const L: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub row_we: Signal<In, Bit>,
    pub row: Signal<In, Bits<16>>,
    pub row_data: Signal<In, Bits<D>>,
    pub free_row: Signal<Out, Bits<16>>,
    pub mps: Signal<In, Bits<3>>,
    pub requester: Signal<In, Bits<16>>,
    pub seg_valid: Signal<In, Bit>,
    pub seg_ready: Signal<Out, Bit>,
    pub seg_data: Signal<In, Bits<SEG_BITS>>,
    pub tx: TlpSrc<D>,
    pub done: RxDoneSrc,
    segs: Skid<Bits<SEG_BITS>>,
    buffer: RowPairRam<D, B>,
    // Cutting: the segment, what is left of it, and the length of its next TLP.
    c_valid: Reg<Bit>,
    c_seg: Reg<Bits<SEG_BITS>>,
    c_addr: Reg<Bits<48>>,
    c_rest: Reg<Bits<16>>,
    c_src: Reg<Bits<24>>,
    c_sized: Reg<Bit>,
    c_len: Reg<Bits<13>>,
    c_end: Reg<Bit>,
    payload: Reg<Bits<13>>,
    cuts: Skid<Bits<CUT_BITS>>,
    dones: Fifo<Bits<DONE_BITS>, 4>,
    // Reading: the TLP at hand.
    b_valid: Reg<Bit>,
    b_drop: Reg<Bit>,
    b_first: Reg<Bit>,
    b_left: Reg<Bits<10>>,
    b_from: Reg<Bits<24>>,
    /// First byte that counts in the first beat, bytes that count in the last.
    b_skip: Reg<Bits<2>>,
    b_tail: Reg<Bits<7>>,
    b_side: Reg<Bits<SIDE_BITS>>,
    b_seg_end: Reg<Bit>,
    b_free: Reg<Bits<16>>,
    freed: Reg<Bits<16>>,
    // A beat on its way: rows read, coarsely rotated.
    r_valid: [Reg<Bit>; 2],
    r_shift: [Reg<Bits<6>>; 2],
    r_skip: [Reg<Bits<2>>; 2],
    r_tail: [Reg<Bits<7>>; 2],
    r_side: [Reg<Bits<SIDE_BITS>>; 2],
    r_data: Reg<Bits<D>>,
    beats: Fifo<Bits<D>, 4>,
    sides: Fifo<Bits<SIDE_BITS>, 4>,
    t_valid: Reg<Bit>,
    t_side: Reg<Bits<SIDE_BITS>>,
    t_data: Reg<Bits<D>>,
    /// Beats on their way or in the output queue.
    held: Reg<Bits<5>>,
    /// Segments whose last beat is accepted and whose entry is not yet given.
    ended: Reg<Bits<5>>,
    _small: bool,
}

impl<const D: usize, const K: usize, const L: usize, const B: usize> RxWrite<D, K, L, B> {
    /// `small`: a word in two cycles between its steps, and a beat in five.
    pub fn new(small: bool) -> Self {
        Self { segs: Skid::new(small), cuts: Skid::new(small), _small: small, ..Self::default() }
    }
}

/// What the header of a memory write of `len` bytes at `addr` is made of.
#[kernel]
fn write_side(addr: Bits<48>, len: Bits<13>) -> Bits<SIDE_BITS> {
    let skip = addr.get_bits::<2>(0);
    let end = bit_cast::<14, 13>(len) + bit_cast::<14, 2>(skip);
    let dwords = (end + 3) >> lit::<14>(2);
    let first_be = lit::<4>(15) << bit_cast::<4, 2>(skip);
    let last_be = lit::<4>(15) >> (bit_cast::<4, 2>(lit::<2>(0) - end.get_bits::<2>(0)));
    let one = dwords == 1;
    let be =
        if one { bit_cast::<8, 4>(first_be & last_be) } else { cat::<4, 4, 8>(last_be, first_be) };
    lit::<SIDE_BITS>(0)
        .set_slice::<48>(side::ADDR, addr)
        .set_slice::<10>(side::DWORDS, bit_cast::<10, 14>(dwords))
        .set_slice::<8>(side::BE, be)
        .replace_bit(side::WIDE, addr.get_bits::<16>(32).any())
}

const DONE_BITS: usize = 96;
/// What a completion entry is made of.
mod done {
    pub const LEN: usize = 0;
    pub const REQ_ID: usize = 16;
    pub const HASH: usize = 32;
    pub const QUEUE: usize = 64;
    pub const CQ: usize = 72;
    pub const L3: usize = 80;
    pub const L4: usize = 84;
    pub const SUMS: usize = 89;
    pub const FRAG: usize = 92;
    pub const FIRST: usize = 93;
    pub const LAST: usize = 94;
    pub const MARKER: usize = 95;
}

#[kernel]
fn done_word(s: Bits<SEG_BITS>) -> Bits<DONE_BITS> {
    lit::<DONE_BITS>(0)
        .set_slice::<16>(done::LEN, s.get_bits::<16>(seg::LEN))
        .set_slice::<16>(done::REQ_ID, s.get_bits::<16>(seg::REQ_ID))
        .set_slice::<32>(done::HASH, s.get_bits::<32>(seg::HASH))
        .set_slice::<8>(done::QUEUE, s.get_bits::<8>(seg::QUEUE))
        .set_slice::<8>(done::CQ, s.get_bits::<8>(seg::CQ))
        .set_slice::<4>(done::L3, s.get_bits::<4>(seg::L3))
        .set_slice::<5>(done::L4, s.get_bits::<5>(seg::L4))
        .set_slice::<3>(done::SUMS, s.get_bits::<3>(seg::SUMS))
        .replace_bit(done::FRAG, s.get_bit(seg::FRAG))
        .replace_bit(done::FIRST, s.get_bit(seg::FIRST))
        .replace_bit(done::LAST, s.get_bit(seg::LAST))
        .replace_bit(done::MARKER, s.get_bit(seg::MARKER))
}

/// Completion entry of a segment, phase 0; a marker has none.
#[kernel]
fn entry(d: Bits<DONE_BITS>) -> Bits<128> {
    let status = lit::<32>(0)
        .replace_bit(30, !d.get_bit(done::MARKER))
        .set_slice::<4>(0, d.get_bits::<4>(done::L3))
        .set_slice::<5>(8, d.get_bits::<5>(done::L4))
        .set_slice::<2>(13, d.get_bits::<2>(done::SUMS))
        .replace_bit(15, d.get_bit(done::FRAG))
        .replace_bit(16, d.get_bit(done::SUMS + 2))
        .replace_bit(26, d.get_bit(done::FIRST))
        .replace_bit(27, d.get_bit(done::LAST));
    lit::<128>(0)
        .set_slice::<32>(0, status)
        .set_slice::<16>(32, d.get_bits::<16>(done::LEN))
        .set_slice::<16>(48, d.get_bits::<16>(done::REQ_ID))
        .set_slice::<32>(64, d.get_bits::<32>(done::HASH))
        .set_slice::<8>(96, d.get_bits::<8>(done::QUEUE))
}

impl<const D: usize, const K: usize, const L: usize, const B: usize> Logic for RxWrite<D, K, L, B> {
    /// Writes received frames to the host's buffers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; c_valid, c_sized, b_valid, b_drop, b_first, b_left, b_skip, b_tail, b_seg_end, b_free,
            freed, r_valid[..], t_valid, held, ended, c_end);
        registers!(self, clock; c_seg, c_addr, c_rest, c_src, c_len, b_from, b_side, r_shift[..], r_skip[..], r_tail[..], r_side[..], r_data,
            t_side, t_data, payload);
        clocked!(self, clock, reset; segs, cuts, dones, beats, sides);
        clocked!(self, clock; buffer);
        self.buffer.we.next = self.row_we.val();
        self.buffer.row.next = self.row.val();
        self.buffer.data.next = self.row_data.val();

        // ---- Cut segments into TLPs.
        self.segs.in_valid.next = self.seg_valid.val();
        self.seg_ready.next = self.segs.in_ready.val();
        self.segs.in_data.next = self.seg_data.val();
        let s = self.c_seg.q.val();
        let drop = s.get_bit(seg::DROP);
        let marker = s.get_bit(seg::MARKER);
        let mps = self.mps.val();
        self.payload.d.next =
            lit::<13>(128) << bit_cast::<13, 3>(if mps > 5 { lit::<3>(5) } else { mps });
        let payload = self.payload.q.val();
        let c_addr = self.c_addr.q.val();
        let c_rest = self.c_rest.q.val();
        let to_cut = payload - (bit_cast::<13, 48>(c_addr) & (payload - 1));
        let c_len = self.c_len.q.val();
        let seg_end = self.c_end.q.val();
        let plain = !drop && !marker;
        let step = self.c_sized.q.val();
        let read_to = self.c_src.q.val() + bit_cast::<24, 13>(c_len);
        let free = if drop || (seg_end && s.get_bit(seg::LAST)) {
            s.get_bits::<16>(seg::FREE)
        } else {
            bit_cast::<16, 24>(read_to >> lit::<24>(L))
        };
        let over = step && seg_end;
        // An entry is queued with the last TLP, so both queues must have room; what is not filled here has it in the next cycle too.
        if self.c_valid.q.val()
            && !self.c_sized.q.val()
            && self.cuts.in_ready.val()
            && self.dones.in_ready.val()
        {
            self.c_sized.d.next = true;
            let ends = bit_cast::<16, 13>(to_cut) >= c_rest;
            self.c_end.d.next = ends || !plain;
            self.c_len.d.next = if ends { bit_cast::<13, 16>(c_rest) } else { to_cut };
        }
        if step {
            self.c_sized.d.next = false;
            self.c_addr.d.next = c_addr + bit_cast::<48, 13>(c_len);
            self.c_src.d.next = read_to;
            self.c_rest.d.next = c_rest - bit_cast::<16, 13>(c_len);
        }
        let load = over || !self.c_valid.q.val();
        self.segs.out_ready.next = load;
        if load {
            let fresh = self.segs.out_data.val();
            self.c_valid.d.next = self.segs.out_valid.val();
            self.c_seg.d.next = fresh;
            self.c_addr.d.next = fresh.get_bits::<48>(seg::ADDR);
            self.c_rest.d.next = fresh.get_bits::<16>(seg::LEN);
            self.c_src.d.next = fresh.get_bits::<24>(seg::SRC);
        }
        self.cuts.in_valid.next = step && !marker;
        self.cuts.in_data.next = lit::<CUT_BITS>(0)
            .set_slice::<48>(cut::ADDR, c_addr)
            .set_slice::<13>(cut::LEN, c_len)
            .set_slice::<24>(cut::SRC, self.c_src.q.val())
            .set_slice::<16>(cut::FREE, free)
            .replace_bit(cut::SEG_END, seg_end)
            .replace_bit(cut::DROP, drop);
        self.dones.in_valid.next = over && !drop;
        self.dones.in_data.next = done_word(s);

        // ---- Read a beat a cycle.
        let last_beat = self.b_left.q.val() == 1;
        let may_issue = if self._small { self.held.q.val() == 0 } else { self.held.q.val() != 16 };
        let issue = self.b_valid.q.val() && !self.b_drop.q.val() && may_issue;
        let finish = self.b_valid.q.val() && (self.b_drop.q.val() || (issue && last_beat));
        if issue {
            self.b_first.d.next = false;
            self.b_left.d.next = self.b_left.q.val() - 1;
            self.b_from.d.next = self.b_from.q.val() + lit::<24>(K);
        }
        if finish {
            self.freed.d.next = self.b_free.q.val();
        }
        self.free_row.next = self.freed.q.val();
        let next = finish || !self.b_valid.q.val();
        self.cuts.out_ready.next = next;
        if next {
            let c = self.cuts.out_data.val();
            let addr = c.get_bits::<48>(cut::ADDR);
            let len = c.get_bits::<13>(cut::LEN);
            let skip = addr.get_bits::<2>(0);
            let end = bit_cast::<14, 13>(len) + bit_cast::<14, 2>(skip);
            let tail = end & lit::<14>(K - 1);
            self.b_valid.d.next = self.cuts.out_valid.val();
            self.b_drop.d.next = c.get_bit(cut::DROP);
            self.b_first.d.next = true;
            self.b_left.d.next = bit_cast::<10, 14>((end + lit::<14>(K - 1)) >> lit::<14>(L));
            self.b_from.d.next = c.get_bits::<24>(cut::SRC) - bit_cast::<24, 2>(skip);
            self.b_skip.d.next = skip;
            self.b_tail.d.next = if tail == 0 { lit::<7>(K) } else { bit_cast::<7, 14>(tail) };
            self.b_side.d.next = write_side(addr, len);
            self.b_seg_end.d.next = c.get_bit(cut::SEG_END);
            self.b_free.d.next = c.get_bits::<16>(cut::FREE);
        }
        self.buffer.read_row.next = bit_cast::<16, 24>(self.b_from.q.val() >> lit::<24>(L));
        self.r_valid[0].d.next = issue;
        self.r_shift[0].d.next = bit_cast::<6, 24>(self.b_from.q.val() & lit::<24>(K - 1));
        self.r_skip[0].d.next =
            if self.b_first.q.val() { self.b_skip.q.val() } else { lit::<2>(0) };
        self.r_tail[0].d.next = if last_beat { self.b_tail.q.val() } else { lit::<7>(K) };
        self.r_side[0].d.next = self
            .b_side
            .q
            .val()
            .replace_bit(side::SOP, self.b_first.q.val())
            .replace_bit(side::EOP, last_beat)
            .replace_bit(side::SEG_END, last_beat && self.b_seg_end.q.val());
        self.r_valid[1].d.next = self.r_valid[0].q.val();
        self.r_shift[1].d.next = self.r_shift[0].q.val();
        self.r_skip[1].d.next = self.r_skip[0].q.val();
        self.r_tail[1].d.next = self.r_tail[0].q.val();
        self.r_side[1].d.next = self.r_side[0].q.val();

        // ---- Rotate: lanes from `shift` on are of the first row, the others of the next; then `shift` lanes down,
        // first by multiples of 4.
        let shift0 = self.r_shift[0].q.val();
        let lo = self.buffer.read_lo.val();
        let mut coarse = self.buffer.read_hi.val();
        let first_row = !lit::<K>(0) << shift0;
        for i in 0..K {
            if first_row.get_bit(i) {
                coarse = coarse.set_slice::<8>(8 * i, lo.get_bits::<8>(8 * i));
            }
        }
        for b in 2..L {
            if shift0.get_bit(b) {
                coarse = (coarse >> lit::<16>(8 << b)) | (coarse << lit::<16>(D - (8 << b)));
            }
        }
        self.r_data.d.next = coarse;
        let mut fine = self.r_data.q.val();
        for b in 0..2 {
            if self.r_shift[1].q.val().get_bit(b) {
                fine = (fine >> lit::<16>(8 << b)) | (fine << lit::<16>(D - (8 << b)));
            }
        }
        let counts =
            (!lit::<K>(0) << self.r_skip[1].q.val()) & !(!lit::<K>(0) << self.r_tail[1].q.val());
        for i in 0..K {
            if !counts.get_bit(i) {
                fine = fine.set_slice::<8>(8 * i, lit::<8>(0));
            }
        }

        // ---- Send. What `tx` decides on is in registers.
        let queued = self.r_valid[1].q.val() && !lit::<1>(self._small as usize).any();
        self.beats.in_valid.next = queued;
        self.beats.in_data.next = fine;
        self.sides.in_valid.next = queued;
        self.sides.in_data.next = self.r_side[1].q.val();
        let o = self.t_side.q.val();
        self.tx.valid.next = self.t_valid.q.val();
        self.tx.sop.next = o.get_bit(side::SOP);
        self.tx.eop.next = o.get_bit(side::EOP);
        self.tx.hdr.next = tlp::request_header(
            true,
            self.requester.val(),
            lit::<8>(0),
            o.get_bits::<8>(side::BE),
            o.get_bit(side::WIDE),
            bit_cast::<64, 48>(o.get_bits::<48>(side::ADDR)),
            o.get_bits::<10>(side::DWORDS),
        );
        self.tx.data.next = self.t_data.q.val();
        let sent = self.t_valid.q.val() && self.tx.ready.val();
        let t_free = sent || !self.t_valid.q.val();
        if self._small {
            // There is but one beat, and no queue.
            if t_free {
                self.t_valid.d.next = self.r_valid[1].q.val();
                self.t_side.d.next = self.r_side[1].q.val();
                self.t_data.d.next = fine;
            }
        } else if t_free {
            self.t_valid.d.next = self.sides.out_valid.val();
            self.t_side.d.next = self.sides.out_data.val();
            self.t_data.d.next = self.beats.out_data.val();
        }
        self.beats.out_ready.next = t_free;
        self.sides.out_ready.next = t_free;
        let mut held = self.held.q.val();
        if issue {
            held = held + 1;
        }
        if sent {
            held = held - 1;
        }
        self.held.d.next = held;

        // ---- Report.
        let d = self.dones.out_data.val();
        let is_marker = d.get_bit(done::MARKER);
        let give = self.dones.out_valid.val() && (is_marker || self.ended.q.val() != 0);
        self.done.valid.next = give;
        self.done.marker.next = is_marker;
        self.done.cq.next = d.get_bits::<8>(done::CQ);
        self.done.entry.next = entry(d);
        self.dones.out_ready.next = self.done.ready.val() && give;
        let mut ended = self.ended.q.val();
        if sent && o.get_bit(side::SEG_END) {
            ended = ended + 1;
        }
        if give && !is_marker && self.done.ready.val() {
            ended = ended - 1;
        }
        self.ended.d.next = ended;
    }
}
