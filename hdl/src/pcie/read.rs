//! The DMA read engine: requests of four clients in, tagged memory reads out, completions in any order back into place.
//!
//! A request is cut at multiples of the max read request size, so at 4 KB too, one piece a cycle. Each piece takes a tag of 2^T (32 while
//! extended tags are off). Completions are taken in any order and split anywhere; a beat's place follows from the tag's
//! record and what its completions have brought so far. Beats leave rotated for the client's memory 4 cycles after they came, one a
//! cycle, and `done` of a piece with or after its last beat. Nothing that comes in is ever refused for long:
//! `cpl.ready` falls for single cycles when a time-out is entered.
//!
//! Two memories keep a tag's life, one written by the issuing side, one by the completing side; a tag is outstanding
//! while their epoch bits differ, so neither clears what the other wrote.
//!
//! | completion | what happens |
//! |---|---|
//! | unsupported, aborted | the piece ends with `err`; `cpl_ur_ca` |
//! | poisoned | its data are written, the piece ends with `err` when complete; `cpl_poisoned` |
//! | of no outstanding tag, of another requester | swallowed; `cpl_unexpected` |
//! | of wrong length, byte count or lower address | swallowed, the piece times out; `cpl_unexpected` |
//! | missing for `_timeout` | the piece ends with `err`; `cpl_timeout`; the tag rests for eight times as long, so that what comes late meets no new request |
//!
//! With `bus_master` low, pieces end with `err` at once, one that waits at `np` when `pcie/tx` has taken and dropped it. While `flush` is high requests are dropped and completions only
//! free their tags; `busy` falls when none is outstanding. After reset a walk of 2^T cycles fills the tag list.

use super::tlp;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::LutRam;
use nitor_rtl::prelude::*;

/// A tag's record, written when its read is issued.
mod rec {
    pub const W: usize = 67;
    /// 13 bits
    pub const LEN: usize = 0;
    pub const DST: usize = 13;
    pub const OP: usize = 33;
    pub const CLIENT: usize = 42;
    /// 7 bits
    pub const LOW: usize = 44;
    pub const EPOCH: usize = 51;
    pub const TIME: usize = 52;
}

/// A tag's progress, written when a completion comes.
mod prog {
    pub const W: usize = 17;
    /// 13 bits
    pub const LEFT: usize = 0;
    /// Epoch that `LEFT`, `ERR` and `ENDED` belong to.
    pub const EPOCH: usize = 13;
    pub const ERR: usize = 14;
    /// Timed out: reported, its tag resting.
    pub const ENDED: usize = 15;
    /// Epoch of the last life that is over.
    pub const FREE: usize = 16;
}

/// Units of a time stamp: 2^8 cycles.
const TICK: usize = 8;

#[derive(LogicBlock, Default)]
pub struct DmaRead<const D: usize, const K: usize, const L: usize, const T: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    pub busy: Signal<Out, Bit>,
    pub req: [ReadReqSnk; 4],
    pub bus: ReadBusSrc<D, K>,
    pub np_valid: Signal<Out, Bit>,
    pub np_ready: Signal<In, Bit>,
    pub np_hdr: Signal<Out, Bits<128>>,
    pub cpl: TlpSnk<D>,
    pub mrrs: Signal<In, Bits<3>>,
    pub requester: Signal<In, Bits<16>>,
    pub ext_tag: Signal<In, Bit>,
    pub bus_master: Signal<In, Bit>,
    pub stat_read: Signal<Out, Bit>,
    pub cpl_poisoned: Signal<Out, Bit>,
    pub cpl_ur_ca: Signal<Out, Bit>,
    pub cpl_timeout: Signal<Out, Bit>,
    pub cpl_unexpected: Signal<Out, Bit>,

    // {last, op, dst, len, addr}
    queues: [Fifo<110, 1>; 4],
    turn: Reg<Bits<2>>,
    // The request being cut.
    cut_valid: Reg<Bit>,
    cut_client: Reg<Bits<2>>,
    cut_addr: Reg<Bits<64>>,
    cut_len: Reg<Bits<16>>,
    cut_dst: Reg<Bits<20>>,
    cut_op: Reg<Bits<9>>,
    cut_last: Reg<Bit>,
    // A piece that waits for a tag.
    piece_valid: Reg<Bit>,
    piece_client: Reg<Bits<2>>,
    piece_addr: Reg<Bits<64>>,
    piece_len: Reg<Bits<13>>,
    piece_dst: Reg<Bits<20>>,
    piece_op: Reg<Bits<9>>,
    piece_last: Reg<Bit>,
    hdr_valid: Reg<Bit>,
    hdr: Reg<Bits<128>>,
    hdr_tag: Reg<Bits<T>>,
    // A read that pcie/tx dropped.
    unsent_valid: Reg<Bit>,
    unsent_tag: Reg<Bits<T>>,
    issue_valid: Reg<Bit>,
    issue_client: Reg<Bits<2>>,
    issue_op: Reg<Bits<9>>,
    issue_last: Reg<Bit>,
    // A piece that ends without a read.
    fail_valid: Reg<Bit>,
    fail_client: Reg<Bits<2>>,
    fail_op: Reg<Bits<9>>,

    tags: Fifo<T, T>,
    walk: Reg<Bits<9>>,
    outstanding: Reg<Bits<9>>,
    record: LutRam<{ rec::W }, T>,
    record_scan: LutRam<{ rec::W }, T>,
    record_own: LutRam<{ rec::W }, T>,
    progress: LutRam<{ prog::W }, T>,
    progress_scan: LutRam<{ prog::W }, T>,
    cycles: Reg<Bits<24>>,
    scan: Reg<Bits<T>>,
    late_valid: Reg<Bit>,
    late_tag: Reg<Bits<T>>,

    // A beat as it came.
    in_valid: Reg<Bit>,
    in_sop: Reg<Bit>,
    in_eop: Reg<Bit>,
    in_hdr: Reg<Bits<128>>,
    in_data: Reg<Bits<D>>,
    // The completion under way.
    go_keep: Reg<Bit>,
    go_dst: Reg<Bits<20>>,
    go_left: Reg<Bits<13>>,
    go_final: Reg<Bit>,
    go_err: Reg<Bit>,
    go_client: Reg<Bits<2>>,
    go_op: Reg<Bits<9>>,
    /// The tag of the completion under way is free at its end.
    go_free: Reg<Bit>,
    go_tag: Reg<Bits<T>>,
    freed_valid: Reg<Bit>,
    freed_tag: Reg<Bits<T>>,
    // Beats on their way out: placed, half rotated, rotated.
    p_valid: [Reg<Bit>; 3],
    p_client: [Reg<Bits<2>>; 3],
    p_dst: [Reg<Bits<20>>; 3],
    p_data: [Reg<Bits<D>>; 3],
    p_mask: [Reg<Bits<K>>; 3],
    p_done: [Reg<Bit>; 3],
    p_err: [Reg<Bit>; 3],
    p_op: [Reg<Bits<9>>; 3],
    p_hi: Reg<Bits<K>>,
    stat: Reg<Bits<5>>,
    _timeout: usize,
}

impl<const D: usize, const K: usize, const L: usize, const T: usize> DmaRead<D, K, L, T> {
    /// `timeout` in cycles; it is counted in units of 256.
    pub fn new(timeout: usize) -> Self {
        Self { _timeout: (timeout >> TICK).max(1), ..Self::default() }
    }
}

impl<const D: usize, const K: usize, const L: usize, const T: usize> Logic for DmaRead<D, K, L, T> {
    /// DMA read engine: cuts requests, tags the pieces, puts completions in their place.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; queues[..], tags);
        clocked!(self, clock; record, record_scan, record_own, progress, progress_scan);
        registers!(self, clock, reset; turn, cut_valid, cut_client, cut_addr, cut_len, cut_dst, cut_op, cut_last);
        registers!(self, clock, reset; piece_valid, piece_client, piece_addr, piece_len, piece_dst, piece_op, piece_last);
        registers!(self, clock, reset; hdr_valid, hdr, hdr_tag, unsent_valid, unsent_tag, issue_valid, issue_client, issue_op, issue_last);
        registers!(self, clock, reset; fail_valid, fail_client, fail_op, walk, outstanding, cycles, scan, late_valid, late_tag);
        registers!(self, clock, reset; in_valid, in_sop, in_eop, in_hdr, in_data, go_keep, go_dst, go_left, go_final, go_err, go_client, go_op);
        registers!(self, clock, reset; go_free, go_tag, freed_valid, freed_tag, p_valid[..], p_client[..], p_dst[..], p_data[..], p_mask[..]);
        registers!(self, clock, reset; p_done[..], p_err[..], p_op[..], p_hi, stat);

        // Time in which a read waits for credits does not count.
        if !self.hdr_valid.q.val() || self.np_ready.val() {
            self.cycles.d.next = self.cycles.q.val() + 1;
        }
        let now = self.cycles.q.val().get_bits::<15>(TICK);
        let flush = self.flush.val();

        // Requests wait in a queue each; the one after the last served goes first.
        let walking = self.walk.q.val() != lit::<9>(1 << T);
        let mut found = false;
        let mut chosen = lit::<2>(0);
        let mut request = lit::<110>(0);
        for i in 0..4 {
            let at = self.turn.q.val() + lit::<2>(i);
            for c in 0..4 {
                if !found && at == lit::<2>(c) && self.queues[c].out_valid.val() {
                    found = true;
                    chosen = lit::<2>(c);
                    request = self.queues[c].out_data.val();
                }
            }
        }
        for c in 0..4 {
            self.queues[c].in_valid.next = self.req[c].valid.val();
            self.queues[c].in_data.next = cat::<1, 109, 110>(
                Bits::<1>::from(self.req[c].last.val()),
                cat::<9, 100, 109>(
                    self.req[c].op.val(),
                    cat::<20, 80, 100>(
                        self.req[c].dst.val(),
                        cat::<16, 64, 80>(self.req[c].len.val(), self.req[c].addr.val()),
                    ),
                ),
            );
            self.req[c].ready.next = self.queues[c].in_ready.val();
        }

        // Cut: up to the next multiple of the max read request size.
        let low = self.cut_addr.q.val().get_bits::<12>(0);
        let over = match self.mrrs.val() {
            0 => low & 0x7f,
            1 => low & 0xff,
            2 => low & 0x1ff,
            3 => low & 0x3ff,
            4 => low & 0x7ff,
            _ => low,
        };
        let size = match self.mrrs.val() {
            0 => lit::<13>(128),
            1 => lit::<13>(256),
            2 => lit::<13>(512),
            3 => lit::<13>(1024),
            4 => lit::<13>(2048),
            _ => lit::<13>(4096),
        };
        let room = size - bit_cast::<13, 12>(over);
        let is_last = self.cut_len.q.val() <= bit_cast::<16, 13>(room);
        let len = if is_last { bit_cast::<13, 16>(self.cut_len.q.val()) } else { room };

        // A piece leaves for a tag, or fails, or is dropped.
        let tag = self.tags.out_data.val();
        let usable = self.ext_tag.val() || bit_cast::<8, T>(tag) < 32;
        let out_free = !self.hdr_valid.q.val() || self.np_ready.val();
        // Until all are filled in the walk writes the records.
        let has_tag = self.tags.out_valid.val() && usable && !walking && !self.unsent_valid.q.val();
        let issue =
            self.piece_valid.q.val() && !flush && self.bus_master.val() && has_tag && out_free;
        let fail = self.piece_valid.q.val()
            && !flush
            && !self.bus_master.val()
            && !self.fail_valid.q.val();
        let piece_free = !self.piece_valid.q.val() || issue || fail || flush;
        let take_piece = self.cut_valid.q.val() && piece_free;
        let cut_free = !self.cut_valid.q.val() || (take_piece && is_last) || flush;
        let take_request = found && cut_free;

        for c in 0..4 {
            self.queues[c].out_ready.next = take_request && chosen == lit::<2>(c);
        }
        if take_piece {
            self.cut_addr.d.next = self.cut_addr.q.val() + bit_cast::<64, 13>(len);
            self.cut_len.d.next = self.cut_len.q.val() - bit_cast::<16, 13>(len);
            self.cut_dst.d.next = self.cut_dst.q.val() + bit_cast::<20, 13>(len);
        }
        if cut_free {
            self.cut_valid.d.next = found && !flush;
        }
        if take_request {
            self.turn.d.next = chosen + 1;
            self.cut_client.d.next = chosen;
            self.cut_addr.d.next = request.get_bits::<64>(0);
            self.cut_len.d.next = request.get_bits::<16>(64);
            self.cut_dst.d.next = request.get_bits::<20>(80);
            self.cut_op.d.next = request.get_bits::<9>(100);
            self.cut_last.d.next = request.get_bit(109);
        }
        if piece_free {
            self.piece_valid.d.next = self.cut_valid.q.val() && !flush;
            self.piece_client.d.next = self.cut_client.q.val();
            self.piece_addr.d.next = self.cut_addr.q.val();
            self.piece_len.d.next = len;
            self.piece_dst.d.next = self.cut_dst.q.val();
            self.piece_op.d.next = self.cut_op.q.val();
            self.piece_last.d.next = self.cut_last.q.val() && is_last;
        }

        // The read itself.
        let skip = self.piece_addr.q.val().get_bits::<2>(0);
        let end = self.piece_len.q.val() + bit_cast::<13, 2>(skip);
        let dwords = (end + 3) >> 2;
        let first_be = lit::<4>(15) << bit_cast::<4, 2>(skip);
        let last_be = lit::<4>(15) >> bit_cast::<4, 2>(lit::<2>(0) - end.get_bits::<2>(0));
        let be = if dwords == 1 {
            bit_cast::<8, 4>(first_be & last_be)
        } else {
            cat::<4, 4, 8>(last_be, first_be)
        };
        if self.np_ready.val() {
            self.hdr_valid.d.next = false;
            if self.hdr_valid.q.val() && (flush || !self.bus_master.val()) {
                self.unsent_valid.d.next = true;
                self.unsent_tag.d.next = self.hdr_tag.q.val();
            }
        }
        if issue {
            self.hdr_valid.d.next = true;
            self.hdr_tag.d.next = tag;
            self.hdr.d.next = tlp::memory_request(
                false,
                self.requester.val(),
                bit_cast::<8, T>(tag),
                be,
                self.piece_addr.q.val(),
                bit_cast::<10, 13>(dwords),
            );
        }
        self.np_valid.next = self.hdr_valid.q.val();
        self.np_hdr.next = self.hdr.q.val();
        self.issue_valid.d.next = issue || fail;
        self.issue_client.d.next = self.piece_client.q.val();
        self.issue_op.d.next = self.piece_op.q.val();
        self.issue_last.d.next = self.piece_last.q.val();
        self.bus.issue_valid.next = self.issue_valid.q.val();
        self.bus.issue_client.next = self.issue_client.q.val();
        self.bus.issue_op.next = self.issue_op.q.val();
        self.bus.issue_last.next = self.issue_last.q.val();

        // Tags: filled by the walk, then by what completes; one that may not be used now goes to the back.
        let rotate = self.tags.out_valid.val() && !usable && !self.freed_valid.q.val();
        self.tags.out_ready.next = issue || rotate;
        self.tags.in_valid.next = walking || self.freed_valid.q.val() || rotate;
        self.tags.in_data.next = if walking {
            bit_cast::<T, 9>(self.walk.q.val())
        } else {
            if self.freed_valid.q.val() {
                self.freed_tag.q.val()
            } else {
                tag
            }
        };
        if walking && self.tags.in_ready.val() {
            self.walk.d.next = self.walk.q.val() + 1;
        }

        // The issuing side's memory.
        self.record_own.raddr.next = tag;
        let epoch = !self.record_own.rdata.val().get_bit(rec::EPOCH);
        let new_record = lit::<{ rec::W }>(0)
            .set_slice::<13>(rec::LEN, self.piece_len.q.val())
            .set_slice::<20>(rec::DST, self.piece_dst.q.val())
            .set_slice::<9>(rec::OP, self.piece_op.q.val())
            .set_slice::<2>(rec::CLIENT, self.piece_client.q.val())
            .set_slice::<7>(rec::LOW, self.piece_addr.q.val().get_bits::<7>(0))
            .replace_bit(rec::EPOCH, epoch)
            .set_slice::<15>(rec::TIME, now);
        let record_data = if walking { lit::<{ rec::W }>(0) } else { new_record };
        let record_at = if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { tag };
        self.record.we.next = walking || issue;
        self.record.waddr.next = record_at;
        self.record.wdata.next = record_data;
        self.record_scan.we.next = walking || issue;
        self.record_scan.waddr.next = record_at;
        self.record_scan.wdata.next = record_data;
        self.record_own.we.next = walking || issue;
        self.record_own.waddr.next = record_at;
        self.record_own.wdata.next = record_data;

        // The scanner looks at a tag a cycle and hands what is late to the completing side.
        self.scan.d.next = self.scan.q.val() + 1;
        self.record_scan.raddr.next = self.scan.q.val();
        self.progress_scan.raddr.next = self.scan.q.val();
        let old = self.record_scan.rdata.val();
        let old_progress = self.progress_scan.rdata.val();
        let age = now - old.get_bits::<15>(rec::TIME);
        let alive = old.get_bit(rec::EPOCH) != old_progress.get_bit(prog::FREE);
        let rests = old_progress.get_bit(prog::ENDED)
            && old_progress.get_bit(prog::EPOCH) == old.get_bit(rec::EPOCH);
        let limit = if rests { lit::<15>(8 * self._timeout) } else { lit::<15>(self._timeout) };
        if !self.late_valid.q.val() && !walking {
            self.late_valid.d.next = alive && age > limit;
            self.late_tag.d.next = self.scan.q.val();
        }

        // A beat comes in, or a tag that is late or was not sent in its stead.
        let tag_enters = self.late_valid.q.val() || self.unsent_valid.q.val();
        self.cpl.ready.next = !tag_enters;
        self.in_valid.d.next = self.cpl.valid.val() && !tag_enters;
        self.in_sop.d.next = self.cpl.sop.val();
        self.in_eop.d.next = self.cpl.eop.val();
        self.in_hdr.d.next = self.cpl.hdr.val();
        self.in_data.d.next = self.cpl.data.val();
        let enter_late = self.late_valid.q.val() && !self.in_valid.q.val();
        if enter_late {
            self.late_valid.d.next = false;
        }
        let enter_unsent =
            self.unsent_valid.q.val() && !self.late_valid.q.val() && !self.in_valid.q.val();
        if enter_unsent {
            self.unsent_valid.d.next = false;
        }

        let hdr = self.in_hdr.q.val();
        let sop = self.in_valid.q.val() && self.in_sop.q.val();
        let cpl_tag = hdr.get_bits::<8>(72);
        let look = if enter_late {
            self.late_tag.q.val()
        } else if enter_unsent {
            self.unsent_tag.q.val()
        } else {
            bit_cast::<T, 8>(cpl_tag)
        };
        self.record.raddr.next = look;
        self.progress.raddr.next = look;
        let r = self.record.rdata.val();
        let p = self.progress.rdata.val();
        let this_life = p.get_bit(prog::EPOCH) == r.get_bit(rec::EPOCH);
        let left =
            if this_life { p.get_bits::<13>(prog::LEFT) } else { r.get_bits::<13>(rec::LEN) };
        let was_err = this_life && p.get_bit(prog::ERR);
        let was_ended = this_life && p.get_bit(prog::ENDED);
        let live = r.get_bit(rec::EPOCH) != p.get_bit(prog::FREE);

        let in_range = bit_cast::<16, 8>(cpl_tag) < lit::<16>(1 << T);
        let expected = live && in_range && hdr.get_bits::<16>(80) == self.requester.val();
        let bad_status = hdr.get_bits::<3>(45) != 0 || !hdr.get_bit(30);
        let poisoned = hdr.get_bit(14);
        let cpl_skip = hdr.get_bits::<2>(64);
        let done_before = r.get_bits::<13>(rec::LEN) - left;
        let low_address = r.get_bits::<7>(rec::LOW) + bit_cast::<7, 13>(done_before);
        let count = if hdr.get_bits::<12>(32) == 0 {
            lit::<13>(4096)
        } else {
            bit_cast::<13, 12>(hdr.get_bits::<12>(32))
        };
        let length = if hdr.get_bits::<10>(0) == 0 {
            lit::<13>(4096)
        } else {
            bit_cast::<13, 10>(hdr.get_bits::<10>(0)) << 2
        };
        let carried = length - bit_cast::<13, 2>(cpl_skip);
        let is_final = left <= carried;
        let bytes = if is_final { left } else { carried };
        // The last completion carries no dword too many.
        let tight = !is_final || (carried - left) < 4;
        let right = count == left && hdr.get_bits::<7>(64) == low_address && tight;

        let ends_bad = sop && expected && bad_status;
        let counts = sop && expected && !bad_status && right;
        let late_first = enter_late && live && !was_ended;
        let late_again = enter_late && live && was_ended;
        let err = was_err || (counts && poisoned);
        let last_piece = ends_bad || (counts && is_final);
        let over_now = last_piece || late_again || enter_unsent;
        let new_left = if counts { left - bytes } else { left };
        let touched = ends_bad || counts || late_first || late_again || enter_unsent;
        let new_progress = lit::<{ prog::W }>(0)
            .set_slice::<13>(prog::LEFT, new_left)
            .replace_bit(prog::EPOCH, r.get_bit(rec::EPOCH))
            .replace_bit(prog::ERR, err)
            .replace_bit(prog::ENDED, was_ended || late_first)
            .replace_bit(
                prog::FREE,
                if over_now { r.get_bit(rec::EPOCH) } else { p.get_bit(prog::FREE) },
            );
        let progress_we = walking || touched;
        let progress_at = if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { look };
        let progress_data = if walking { lit::<{ prog::W }>(0) } else { new_progress };
        self.progress.we.next = progress_we;
        self.progress.waddr.next = progress_at;
        self.progress.wdata.next = progress_data;
        self.progress_scan.we.next = progress_we;
        self.progress_scan.waddr.next = progress_at;
        self.progress_scan.wdata.next = progress_data;
        // A tag may be used again when the last beat of its last completion is in.
        let beat_ends = self.in_valid.q.val() && self.in_eop.q.val();
        let frees =
            (over_now && (!sop || beat_ends)) || (beat_ends && !sop && self.go_free.q.val());
        if sop {
            self.go_free.d.next = over_now && !beat_ends;
            self.go_tag.d.next = look;
        } else if beat_ends {
            self.go_free.d.next = false;
        }
        self.freed_tag.d.next = if over_now { look } else { self.go_tag.q.val() };
        self.freed_valid.d.next = frees;
        let mut outstanding = self.outstanding.q.val();
        if issue {
            outstanding = outstanding + 1;
        }
        if frees {
            outstanding = outstanding - 1;
        }
        self.outstanding.d.next = outstanding;
        self.busy.next = self.outstanding.q.val() != 0;

        // Place the beat: where byte 0 of the beat goes, and which bytes count.
        let quiet = flush || was_ended;
        let keep = if sop { counts && !quiet } else { self.go_keep.q.val() };
        let first_dst = r.get_bits::<20>(rec::DST) + bit_cast::<20, 13>(done_before)
            - bit_cast::<20, 2>(cpl_skip);
        let dst = if sop { first_dst } else { self.go_dst.q.val() };
        let lead = if sop { bit_cast::<13, 2>(cpl_skip) } else { lit::<13>(0) };
        let until = if sop { bytes + bit_cast::<13, 2>(cpl_skip) } else { self.go_left.q.val() };
        let ends_here = until <= lit::<13>(K);
        let finishing = if sop { is_final } else { self.go_final.q.val() };
        let piece_err = if sop { err } else { self.go_err.q.val() };
        let client = if sop { r.get_bits::<2>(rec::CLIENT) } else { self.go_client.q.val() };
        let op = if sop { r.get_bits::<9>(rec::OP) } else { self.go_op.q.val() };
        if self.in_valid.q.val() {
            // Beats beyond the payload, if any come, count for nothing.
            self.go_keep.d.next = keep && !ends_here;
            self.go_dst.d.next = dst + lit::<20>(K);
            self.go_left.d.next = until - lit::<13>(K);
            self.go_final.d.next = finishing;
            self.go_err.d.next = piece_err;
            self.go_client.d.next = client;
            self.go_op.d.next = op;
        }
        let mut mask = lit::<K>(0);
        for i in 0..K {
            let inside = lit::<13>(i) >= lead && lit::<13>(i) < until;
            mask = mask.replace_bit(i, inside);
        }
        let beat = self.in_valid.q.val() && keep;
        let fails = ((ends_bad || enter_unsent) && !quiet) || (late_first && !flush);
        self.p_valid[0].d.next = beat;
        self.p_mask[0].d.next = mask;
        self.p_data[0].d.next = self.in_data.q.val();
        self.p_dst[0].d.next = dst;
        self.p_done[0].d.next = fails || (beat && ends_here && finishing);
        self.p_err[0].d.next = fails || piece_err;
        self.p_client[0].d.next =
            if enter_late || enter_unsent { r.get_bits::<2>(rec::CLIENT) } else { client };
        self.p_op[0].d.next =
            if enter_late || enter_unsent { r.get_bits::<9>(rec::OP) } else { op };

        // Rotate left by the place within a row: the even steps, then the odd ones.
        for s in 1..3 {
            self.p_valid[s].d.next = self.p_valid[s - 1].q.val();
            self.p_dst[s].d.next = self.p_dst[s - 1].q.val();
            self.p_done[s].d.next = self.p_done[s - 1].q.val();
            self.p_err[s].d.next = self.p_err[s - 1].q.val();
            self.p_client[s].d.next = self.p_client[s - 1].q.val();
            self.p_op[s].d.next = self.p_op[s - 1].q.val();
            let mut data = self.p_data[s - 1].q.val();
            let mut mask = self.p_mask[s - 1].q.val();
            for b in 0..L {
                if b / 3 == s - 1 {
                    if self.p_dst[s - 1].q.val().get_bit(b) {
                        data = (data << lit::<16>(8 << b)) | (data >> lit::<16>(D - (8 << b)));
                        mask = (mask << lit::<16>(1 << b)) | (mask >> lit::<16>(K - (1 << b)));
                    }
                }
            }
            self.p_data[s].d.next = data;
            self.p_mask[s].d.next = mask;
        }
        let mut lanes_hi = lit::<K>(0);
        for i in 0..K - 1 {
            let wrapped = lit::<L>(i) < bit_cast::<L, 20>(self.p_dst[1].q.val());
            lanes_hi = lanes_hi.replace_bit(i, wrapped);
        }
        self.p_hi.d.next = lanes_hi;
        self.bus.data_valid.next = self.p_valid[2].q.val();
        self.bus.data_client.next = self.p_client[2].q.val();
        self.bus.data_row.next = bit_cast::<16, 20>(self.p_dst[2].q.val() >> lit::<20>(L));
        self.bus.data.next = self.p_data[2].q.val();
        self.bus.be_lo.next = self.p_mask[2].q.val() & !self.p_hi.q.val();
        self.bus.be_hi.next = self.p_mask[2].q.val() & self.p_hi.q.val();

        // An ended piece goes first; one that failed without a read waits for a free cycle.
        let give_fail = self.fail_valid.q.val() && !self.p_done[2].q.val();
        if fail {
            self.fail_valid.d.next = true;
            self.fail_client.d.next = self.piece_client.q.val();
            self.fail_op.d.next = self.piece_op.q.val();
        } else {
            if give_fail {
                self.fail_valid.d.next = false;
            }
        }
        self.bus.done_valid.next = self.p_done[2].q.val() || give_fail;
        self.bus.done_client.next = if self.p_done[2].q.val() {
            self.p_client[2].q.val()
        } else {
            self.fail_client.q.val()
        };
        self.bus.done_op.next =
            if self.p_done[2].q.val() { self.p_op[2].q.val() } else { self.fail_op.q.val() };
        self.bus.done_err.next = !self.p_done[2].q.val() || self.p_err[2].q.val();

        let unexpected = sop && !(expected && (bad_status || right));
        self.stat.d.next = lit::<5>(0)
            .replace_bit(0, issue)
            .replace_bit(1, counts && poisoned)
            .replace_bit(2, ends_bad)
            .replace_bit(3, late_first)
            .replace_bit(4, unexpected);
        self.stat_read.next = self.stat.q.val().get_bit(0);
        self.cpl_poisoned.next = self.stat.q.val().get_bit(1);
        self.cpl_ur_ca.next = self.stat.q.val().get_bit(2);
        self.cpl_timeout.next = self.stat.q.val().get_bit(3);
        self.cpl_unexpected.next = self.stat.q.val().get_bit(4);
    }
}
