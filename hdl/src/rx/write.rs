//! Writes segments of frames from the RX buffer to the host, and reports each when its last beat is
//! on its way.
//!
//! **Buffer.** This block holds the RX buffer: 2^(B+1) rows in two banks, so that any K bytes are
//! read in one cycle. `rx/input` writes it on `row_*`. `free_row` moves on with each TLP that has
//! been read: a long frame gives its rows back piece by piece.
//!
//! **Cuts.** A [segment](Segment) is cut at multiples of the max payload size (`mps` as in Device
//! Control: 128 << mps, 4096 from 5 on), and so at 4 KB. The payload starts at the dword of its
//! first byte: a beat carries the buffer's bytes from (source - address bits 1:0) on, with zeros
//! where bytes are not enabled. Below 4 GiB the header has 3 dwords, else 4.
//!
//! **Speed.** A cut takes 2 cycles and runs ahead of the beats. Beats are one a cycle, across TLPs,
//! segments and frames. A segment's first beat is at `tx` 10 cycles after the segment was taken.
//!
//! **Back-pressure.** When `tx` refuses, up to 16 beats wait in the output queue, then reading
//! stops; nothing is lost. `done` gives a segment's completion entry once `tx` has accepted its
//! last beat, and a marker's once all entries before it are given. When `done` refuses, 16 entries
//! wait, then cutting stops.

use super::words::{PieceSnk, Report, Segment};
use crate::common::fifo::Fifo;
use crate::common::iface::{RxCompletion, RxDoneSrc, TlpSrc};
use crate::common::ram::RowPairRam;
use crate::common::skid::Skid;
use crate::pcie::tlp;
use nitor_rtl::prelude::*;

/// A TLP to come.
#[record]
struct Cut {
    addr: Bits<48>,
    /// Bytes, at most 4096.
    len: Bits<13>,
    /// First byte in the RX buffer, as in a [Segment].
    src: Bits<24>,
    /// Rows before it are read with this TLP.
    free: Bits<16>,
    /// Last TLP of its segment.
    seg_end: Bit,
    /// No TLP, only rows to free.
    drop: Bit,
}

/// A beat's side of the output queue: fields of the header, then flags.
#[record]
struct Side {
    addr: Bits<48>,
    dwords: Bits<10>,
    be: ByteEnables,
    /// The address is beyond 4 GiB.
    wide: Bit,
    sop: Bit,
    eop: Bit,
    /// Last beat of its segment.
    seg_end: Bit,
}

/// Byte enables of a request.
#[record]
struct ByteEnables {
    first: Bits<4>,
    /// 0 if there is only one dword.
    last: Bits<4>,
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
    pub seg: PieceSnk,
    pub tx: TlpSrc<D>,
    pub done: RxDoneSrc,
    segs: Skid<Segment>,
    buffer: RowPairRam<D, B>,
    // Cutting: the segment, its rest, and the length of its next TLP.
    c_valid: Reg<Bit>,
    c_seg: Reg<Segment>,
    c_addr: Reg<Bits<48>>,
    c_rest: Reg<Bits<16>>,
    c_src: Reg<Bits<24>>,
    c_sized: Reg<Bit>,
    c_len: Reg<Bits<13>>,
    c_end: Reg<Bit>,
    payload: Reg<Bits<13>>,
    cuts: Skid<Cut>,
    dones: Fifo<Report, 4>,
    // Reading: the current TLP.
    b_valid: Reg<Bit>,
    b_drop: Reg<Bit>,
    b_first: Reg<Bit>,
    b_left: Reg<Bits<10>>,
    b_from: Reg<Bits<24>>,
    /// First byte that counts in the first beat, bytes that count in the last.
    b_skip: Reg<Bits<2>>,
    b_tail: Reg<Bits<7>>,
    b_side: Reg<Side>,
    b_seg_end: Reg<Bit>,
    b_free: Reg<Bits<16>>,
    freed: Reg<Bits<16>>,
    // A beat on its way: rows read, coarsely rotated.
    r_valid: [Reg<Bit>; 2],
    r_shift: [Reg<Bits<6>>; 2],
    r_skip: [Reg<Bits<2>>; 2],
    r_tail: [Reg<Bits<7>>; 2],
    r_side: [Reg<Side>; 2],
    r_data: Reg<Bits<D>>,
    beats: Fifo<Bits<D>, 4>,
    sides: Fifo<Side, 4>,
    t_valid: Reg<Bit>,
    t_side: Reg<Side>,
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
fn write_side(addr: Bits<48>, len: Bits<13>) -> Side {
    let skip = bit_cast::<2, 48>(addr);
    let end = bit_cast::<14, 13>(len) + bit_cast::<14, 2>(skip);
    let dwords = (end + 3) >> lit::<14>(2);
    let first_be = lit::<4>(15) << bit_cast::<4, 2>(skip);
    let last_be = lit::<4>(15) >> (bit_cast::<4, 2>(lit::<2>(0) - bit_cast::<2, 14>(end)));
    let one = dwords == 1;
    let be = if one {
        ByteEnables { first: first_be & last_be, last: lit::<4>(0) }
    } else {
        ByteEnables { first: first_be, last: last_be }
    };
    Side {
        addr,
        dwords: bit_cast::<10, 14>(dwords),
        be,
        wide: (addr >> lit::<48>(32)).any(),
        sop: false,
        eop: false,
        seg_end: false,
    }
}

/// Completion entry of a segment, phase 0; a marker has none.
#[kernel]
fn entry(report: Report) -> RxCompletion {
    RxCompletion {
        l3_proto: bit_cast::<5, 4>(report.kind.l3),
        l4_proto: report.kind.l4,
        l3_csum_err: report.sums.l3_err,
        l4_csum_err: report.sums.l4_err,
        ipv4_frag: report.kind.frag,
        l4_csum_checked: report.sums.l4_checked,
        first: report.first,
        last: report.last,
        buffer: !report.marker,
        length: report.len,
        req_id: report.req_id,
        hash: report.hash,
        sub_qid: bit_cast::<16, 8>(report.queue),
    }
}

impl<const D: usize, const K: usize, const L: usize, const B: usize> Logic for RxWrite<D, K, L, B> {
    /// Writes received frames to the host's buffers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; c_valid, c_sized, b_valid, b_drop, b_first, b_left, b_skip,
            b_tail, b_seg_end, b_free, freed, r_valid[..], t_valid, held, ended, c_end);
        registers!(self, clock; c_seg, c_addr, c_rest, c_src, c_len, b_from, b_side, r_shift[..],
            r_skip[..], r_tail[..], r_side[..], r_data, t_side, t_data, payload);
        clocked!(self, clock, reset; segs, cuts, dones, beats, sides);
        clocked!(self, clock; buffer);
        self.buffer.we.next = self.row_we.val();
        self.buffer.row.next = self.row.val();
        self.buffer.data.next = self.row_data.val();

        // ---- Cut segments into TLPs.
        self.segs.in_valid.next = self.seg.valid.val();
        self.seg.ready.next = self.segs.in_ready.val();
        self.segs.in_data.next = self.seg.data.val();
        let s = self.c_seg.q.val();
        let drop = s.drop;
        let marker = s.report.marker;
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
        let free = if drop || (seg_end && s.report.last) {
            s.free
        } else {
            bit_cast::<16, 24>(read_to >> lit::<24>(L))
        };
        let over = step && seg_end;
        // An entry is queued with the last TLP, so both queues must have room; what is not filled
        // here has it in the next cycle too.
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
            self.c_addr.d.next = fresh.addr;
            self.c_rest.d.next = fresh.report.len;
            self.c_src.d.next = fresh.src;
        }
        self.cuts.in_valid.next = step && !marker;
        self.cuts.in_data.next =
            Cut { addr: c_addr, len: c_len, src: self.c_src.q.val(), free, seg_end, drop };
        self.dones.in_valid.next = over && !drop;
        self.dones.in_data.next = s.report;

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
            let skip = bit_cast::<2, 48>(c.addr);
            let end = bit_cast::<14, 13>(c.len) + bit_cast::<14, 2>(skip);
            let tail = end & lit::<14>(K - 1);
            self.b_valid.d.next = self.cuts.out_valid.val();
            self.b_drop.d.next = c.drop;
            self.b_first.d.next = true;
            self.b_left.d.next = bit_cast::<10, 14>((end + lit::<14>(K - 1)) >> lit::<14>(L));
            self.b_from.d.next = c.src - bit_cast::<24, 2>(skip);
            self.b_skip.d.next = skip;
            self.b_tail.d.next = if tail == 0 { lit::<7>(K) } else { bit_cast::<7, 14>(tail) };
            self.b_side.d.next = write_side(c.addr, c.len);
            self.b_seg_end.d.next = c.seg_end;
            self.b_free.d.next = c.free;
        }
        self.buffer.read_row.next = bit_cast::<16, 24>(self.b_from.q.val() >> lit::<24>(L));
        self.r_valid[0].d.next = issue;
        self.r_shift[0].d.next = bit_cast::<6, 24>(self.b_from.q.val() & lit::<24>(K - 1));
        self.r_skip[0].d.next =
            if self.b_first.q.val() { self.b_skip.q.val() } else { lit::<2>(0) };
        self.r_tail[0].d.next = if last_beat { self.b_tail.q.val() } else { lit::<7>(K) };
        self.r_side[0].d.next = Side {
            sop: self.b_first.q.val(),
            eop: last_beat,
            seg_end: last_beat && self.b_seg_end.q.val(),
            ..self.b_side.q.val()
        };
        self.r_valid[1].d.next = self.r_valid[0].q.val();
        self.r_shift[1].d.next = self.r_shift[0].q.val();
        self.r_skip[1].d.next = self.r_skip[0].q.val();
        self.r_tail[1].d.next = self.r_tail[0].q.val();
        self.r_side[1].d.next = self.r_side[0].q.val();

        // ---- Rotate: lanes from `shift` on are of the first row, the others of the next; then
        // `shift` lanes down, first by multiples of 4.
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
        let queued = self.r_valid[1].q.val() && !self._small;
        self.beats.in_valid.next = queued;
        self.beats.in_data.next = fine;
        self.sides.in_valid.next = queued;
        self.sides.in_data.next = self.r_side[1].q.val();
        let o = self.t_side.q.val();
        self.tx.valid.next = self.t_valid.q.val();
        self.tx.sop.next = o.sop;
        self.tx.eop.next = o.eop;
        self.tx.hdr.next = tlp::request_header(
            true,
            self.requester.val(),
            lit::<8>(0),
            o.be.to_bits::<8>(),
            o.wide,
            bit_cast::<64, 48>(o.addr),
            o.dwords,
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
        let is_marker = d.marker;
        let give = self.dones.out_valid.val() && (is_marker || self.ended.q.val() != 0);
        self.done.valid.next = give;
        self.done.marker.next = is_marker;
        self.done.cq.next = d.cq;
        self.done.entry.next = entry(d);
        self.dones.out_ready.next = self.done.ready.val() && give;
        let mut ended = self.ended.q.val();
        if sent && o.seg_end {
            ended = ended + 1;
        }
        if give && !is_marker && self.done.ready.val() {
            ended = ended - 1;
        }
        self.ended.d.next = ended;
    }
}
