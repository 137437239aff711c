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
//! | ends before its length | what came is written, the piece ends with `err` when complete |
//! | of no outstanding tag, of another requester | swallowed; `cpl_unexpected` |
//! | of wrong length, byte count or lower address | swallowed, the piece times out; `cpl_unexpected` |
//! | missing for `_timeout` | the piece ends with `err`; `cpl_timeout`; nothing of it is written any more; the tag rests for eight times as long, so that what comes late meets no new request |
//!
//! With `bus_master` low, pieces end with `err` at once, one that waits at `np` when `pcie/tx` has taken and dropped it. While `flush` is high requests are dropped and completions only
//! free their tags; `busy` falls when none is outstanding; `flush` must stay high until then. After reset a walk of 2^T cycles fills the tag lists; what is answered before it is over is unexpected.

use super::cut::ReadCut;
use super::place::ReadPlace;
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

    pieces: ReadCut,
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

    // Tags below 32, and those that extended tags add.
    tags: Fifo<5, 5>,
    more_tags: Fifo<T, T>,
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
    /// The tag of the completion under way is free at its end.
    go_free: Reg<Bit>,
    go_tag: Reg<Bits<T>>,
    freed_valid: Reg<Bit>,
    freed_tag: Reg<Bits<T>>,
    place: ReadPlace<D, K, L>,
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
        clocked!(self, clock, reset; pieces, tags, more_tags, place);
        clocked!(self, clock; record, record_scan, record_own, progress, progress_scan);
        registers!(self, clock, reset; hdr_valid, hdr, hdr_tag, unsent_valid, unsent_tag, issue_valid, issue_client, issue_op, issue_last);
        registers!(self, clock, reset; fail_valid, fail_client, fail_op, walk, outstanding, cycles, scan, late_valid, late_tag);
        registers!(self, clock, reset; in_valid, in_sop, in_eop, in_hdr, in_data, go_keep, go_dst, go_left);
        registers!(self, clock, reset; go_free, go_tag, freed_valid, freed_tag, stat);

        // Time in which a read waits for credits does not count.
        if !self.hdr_valid.q.val() || self.np_ready.val() {
            self.cycles.d.next = self.cycles.q.val() + 1;
        }
        let now = self.cycles.q.val().get_bits::<15>(TICK);
        let flush = self.flush.val();

        for c in 0..4 {
            ReadReqSnk::link(&mut self.req[c], &mut self.pieces.req[c]);
        }
        self.pieces.mrrs.next = self.mrrs.val();
        self.pieces.flush.next = flush;

        // A piece leaves for a tag, or fails, or is dropped.
        let walking = self.walk.q.val() != lit::<9>(1 << T);
        let piece = self.pieces.piece_valid.val();
        let more = self.more_tags.out_valid.val() && self.ext_tag.val();
        let tag = if more {
            self.more_tags.out_data.val()
        } else {
            bit_cast::<T, 5>(self.tags.out_data.val())
        };
        let out_free = !self.hdr_valid.q.val() || self.np_ready.val();
        // Until all are filled in the walk writes the records.
        let has_tag = (self.tags.out_valid.val() || more) && !walking && !self.unsent_valid.q.val();
        let issue = piece && !flush && self.bus_master.val() && has_tag && out_free;
        let fail = piece && !flush && !self.bus_master.val() && !self.fail_valid.q.val();
        self.pieces.piece_ready.next = issue || fail;

        // The read itself.
        let skip = self.pieces.piece_addr.val().get_bits::<2>(0);
        let end = self.pieces.piece_len.val() + bit_cast::<13, 2>(skip);
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
                self.pieces.piece_addr.val(),
                bit_cast::<10, 13>(dwords),
            );
        }
        self.np_valid.next = self.hdr_valid.q.val();
        self.np_hdr.next = self.hdr.q.val();
        self.issue_valid.d.next = issue || fail;
        self.issue_client.d.next = self.pieces.piece_client.val();
        self.issue_op.d.next = self.pieces.piece_op.val();
        self.issue_last.d.next = self.pieces.piece_last.val();
        self.bus.issue_valid.next = self.issue_valid.q.val();
        self.bus.issue_client.next = self.issue_client.q.val();
        self.bus.issue_op.next = self.issue_op.q.val();
        self.bus.issue_last.next = self.issue_last.q.val();

        // Tags: filled by the walk, then by what completes.
        let put = walking || self.freed_valid.q.val();
        let put_tag =
            if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { self.freed_tag.q.val() };
        let put_more = bit_cast::<9, T>(put_tag) >= 32;
        self.tags.in_valid.next = put && !put_more;
        self.tags.in_data.next = bit_cast::<5, T>(put_tag);
        self.tags.out_ready.next = issue && !more;
        self.more_tags.in_valid.next = put && put_more;
        self.more_tags.in_data.next = put_tag;
        self.more_tags.out_ready.next = issue && more;
        let taken = if put_more { self.more_tags.in_ready.val() } else { self.tags.in_ready.val() };
        if walking && taken {
            self.walk.d.next = self.walk.q.val() + 1;
        }

        // The issuing side's memory.
        self.record_own.raddr.next = tag;
        let epoch = !self.record_own.rdata.val().get_bit(rec::EPOCH);
        let new_record = lit::<{ rec::W }>(0)
            .set_slice::<13>(rec::LEN, self.pieces.piece_len.val())
            .set_slice::<20>(rec::DST, self.pieces.piece_dst.val())
            .set_slice::<9>(rec::OP, self.pieces.piece_op.val())
            .set_slice::<2>(rec::CLIENT, self.pieces.piece_client.val())
            .set_slice::<7>(rec::LOW, self.pieces.piece_addr.val().get_bits::<7>(0))
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
        } else if sop {
            bit_cast::<T, 8>(cpl_tag)
        } else {
            self.go_tag.q.val()
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
        // Until the walk is over the memories hold anything.
        let expected =
            !walking && live && in_range && hdr.get_bits::<16>(80) == self.requester.val();
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
        let was_kept = self.in_valid.q.val() && self.go_keep.q.val();
        // Where byte 0 of the beat goes, and which bytes count.
        let beat_ends = self.in_valid.q.val() && self.in_eop.q.val();
        let quiet = flush || was_ended;
        let beat = if sop { counts && !quiet } else { was_kept && !flush };
        let first_dst = r.get_bits::<20>(rec::DST) + bit_cast::<20, 13>(done_before)
            - bit_cast::<20, 2>(cpl_skip);
        let dst = if sop { first_dst } else { self.go_dst.q.val() };
        let lead = if sop { cpl_skip } else { lit::<2>(0) };
        let until = if sop { bytes + bit_cast::<13, 2>(cpl_skip) } else { self.go_left.q.val() };
        let ends_here = until <= lit::<13>(K);
        let short = beat && beat_ends && !ends_here;
        let finishing = if sop { is_final } else { self.go_free.q.val() };
        if self.in_valid.q.val() {
            // Beats beyond the payload, if any come, count for nothing.
            self.go_keep.d.next = beat && !ends_here;
            self.go_dst.d.next = dst + lit::<20>(K);
            self.go_left.d.next = until - lit::<13>(K);
        }

        let late_first = enter_late && live && !was_ended;
        let late_again = enter_late && live && was_ended;
        if late_first && self.go_tag.q.val() == look {
            // Its completion under way comes too late.
            self.go_keep.d.next = false;
        }
        let err = was_err || (counts && poisoned) || short;
        let last_piece = ends_bad || (counts && is_final);
        let over_now = last_piece || late_again || enter_unsent;
        let new_left = if counts { left - bytes } else { left };
        let touched = ends_bad || counts || short || late_first || late_again || enter_unsent;
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
        let frees =
            (over_now && (!sop || beat_ends)) || (beat_ends && !sop && self.go_free.q.val());
        if sop {
            self.go_free.d.next = over_now && !beat_ends;
            self.go_tag.d.next = look;
        } else if beat_ends {
            self.go_free.d.next = false;
        }
        self.freed_tag.d.next = look;
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

        let fails = ((ends_bad || enter_unsent) && !quiet) || (late_first && !flush);
        self.place.beat.next = beat;
        self.place.data.next = self.in_data.q.val();
        self.place.dst.next = dst;
        self.place.lead.next = lead;
        self.place.until.next = until;
        self.place.done.next = fails || (beat && (ends_here || beat_ends) && finishing);
        self.place.err.next = fails || err;
        self.place.client.next = r.get_bits::<2>(rec::CLIENT);
        self.place.op.next = r.get_bits::<9>(rec::OP);
        self.bus.data_valid.next = self.place.out_beat.val();
        self.bus.data_client.next = self.place.out_client.val();
        self.bus.data_row.next = self.place.out_row.val();
        self.bus.data.next = self.place.out_data.val();
        self.bus.be_lo.next = self.place.be_lo.val();
        self.bus.be_hi.next = self.place.be_hi.val();

        // An ended piece goes first; one that failed without a read waits for a free cycle.
        let give_fail = self.fail_valid.q.val() && !self.place.out_done.val();
        if fail {
            self.fail_valid.d.next = true;
            self.fail_client.d.next = self.pieces.piece_client.val();
            self.fail_op.d.next = self.pieces.piece_op.val();
        } else {
            if give_fail {
                self.fail_valid.d.next = false;
            }
        }
        self.bus.done_valid.next = self.place.out_done.val() || give_fail;
        self.bus.done_client.next = if self.place.out_done.val() {
            self.place.out_client.val()
        } else {
            self.fail_client.q.val()
        };
        self.bus.done_op.next =
            if self.place.out_done.val() { self.place.out_op.val() } else { self.fail_op.q.val() };
        self.bus.done_err.next = !self.place.out_done.val() || self.place.out_err.val();

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
