//! The DMA read engine: requests of four clients in, tagged memory reads out, completions in any order back into place.
//!
//! A request is cut at multiples of the max read request size, so at 4 KB too, one piece a cycle. Each piece takes a tag of 2^T (32 while
//! extended tags are off). Completions are taken in any order and split anywhere; a beat's place follows from the tag's
//! record and what its completions have brought so far. Beats leave rotated for the client's memory 8 cycles after they came, one a
//! cycle, and `done` of a piece after its last beat. Nothing that comes in is ever refused for long:
//! `cpl.ready` falls for single cycles when a time-out is entered.
//!
//! Two memories keep a tag's life, one written by the issuing side, one by the completing side; a tag is outstanding
//! while their epoch bits differ, so neither clears what the other wrote. A tag that ends without a completion brings its epoch along, and
//! counts for that life alone: the scanner may have looked just before a completion ended it, and the tag be out again.
//!
//! The time-out of a read runs from when `pcie/tx` takes it: one that waits for credits has not been asked yet, and does not hold up the others'.
//!
//! | completion | what happens |
//! |---|---|
//! | of any status but success | the piece ends with `err`; `cpl_ur_ca` |
//! | poisoned | its data are written, the piece ends with `err` when complete; `cpl_poisoned` |
//! | ends before its length | what came is written, the piece ends with `err` when complete |
//! | of no outstanding tag, of another requester | swallowed; `cpl_unexpected` |
//! | of wrong length, byte count or lower address, a success without data | swallowed, the piece times out; `cpl_unexpected` |
//! | missing for `_timeout` | the piece ends with `err`; `cpl_timeout`; nothing of it is written any more; the tag rests for eight times as long, so that what comes late meets no new request, and is `cpl_unexpected`, whatever it says |
//!
//! `read_timeout` is Device Control 2's: the value in 3:0, of which each multiplies the time-out so that it comes into its range, and disable in bit 4; with
//! `_small` there is one time-out. A tag rests for as long again where the time-out is a multiple. A read under way when it changes ends after the old
//! time or the new, or between. During a flush the least holds, so that a reset ends.
//!
//! With `bus_master` low, pieces end with `err` at once, one that waits at `np` when `pcie/tx` has taken and dropped it. While `flush` is high requests are dropped and completions only
//! free their tags; `busy` falls when none is outstanding; `flush` must stay high until then. After reset a walk of 2^T cycles fills the tag lists; what is answered before it is over is unexpected.

use super::cut::ReadCut;
use super::settle::ReadSettle;
use super::tlp;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::LutRam;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

/// A tag's record, written when its read is issued.
pub mod rec {
    pub const W: usize = 52;
    /// 13 bits
    pub const LEN: usize = 0;
    pub const DST: usize = 13;
    pub const OP: usize = 33;
    pub const CLIENT: usize = 42;
    /// 7 bits
    pub const LOW: usize = 44;
    pub const EPOCH: usize = 51;
}

/// A tag's progress, written when a completion comes.
pub mod prog {
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

/// Least units of a time stamp: 2^8 cycles.
const TICK: usize = 8;
/// Longest time-out in those units: eight of them fit in half of a time stamp.
const LONGEST: usize = 0x7ff;

#[derive(LogicBlock, Default)]
pub struct DmaRead<const D: usize, const K: usize, const L: usize, const T: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    pub busy: Signal<Out, Bit>,
    /// Reads are under way: Transactions Pending. Unlike `busy` not of tags that rest.
    pub pending: Signal<Out, Bit>,
    pub read_timeout: Signal<In, Bits<5>>,
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
    /// The tag that `bus.issue_*` is about; of a piece that fails any.
    pub issue_tag: Signal<Out, Bits<T>>,
    pub stat_read: Signal<Out, Bit>,
    pub cpl_poisoned: Signal<Out, Bit>,
    pub cpl_ur_ca: Signal<Out, Bit>,
    pub cpl_timeout: Signal<Out, Bit>,
    pub cpl_unexpected: Signal<Out, Bit>,
    /// The header of the completion that the three are about that are no time-out.
    pub cpl_hdr: Signal<Out, Bits<128>>,

    pieces: ReadCut,
    // `bus_master`, `flush` and `ext_tag` a cycle ago: what is sent when it should not be `pcie/tx` drops, and it is answered for as `unsent`.
    enabled: Reg<Bit>,
    flushing: Reg<Bit>,
    all_tags: Reg<Bit>,
    // Reads on their way to pcie/tx: {epoch, wide, tag, byte enables, dwords, address}.
    reads: Skid<Bits<92>>,
    // A read that pcie/tx dropped.
    unsent_valid: Reg<Bit>,
    unsent_tag: Reg<Bits<T>>,
    unsent_epoch: Reg<Bit>,
    issue_valid: Reg<Bit>,
    issue_client: Reg<Bits<2>>,
    issue_op: Reg<Bits<9>>,
    issue_last: Reg<Bit>,
    issue_with: Reg<Bits<T>>,
    // A piece that ends without a read.
    fail_valid: Reg<Bit>,
    fail_client: Reg<Bits<2>>,
    fail_op: Reg<Bits<9>>,
    done_valid: Reg<Bit>,
    done_client: Reg<Bits<2>>,
    done_op: Reg<Bits<9>>,
    done_err: Reg<Bit>,

    // Tags below 32, and those that extended tags add.
    tags: Fifo<Bits<5>, 5>,
    more_tags: Fifo<Bits<T>, T>,
    walk: Reg<Bits<9>>,
    outstanding: Reg<Bits<9>>,
    // The epoch of a tag's record; for the scanner that of the last read that was taken, and when.
    epochs: LutRam<Bits<1>, T>,
    record_scan: LutRam<Bits<16>, T>,
    progress_scan: LutRam<Bits<{ prog::W }>, T>,
    /// Tags of these that rest.
    resting: Reg<Bits<9>>,
    is_pending: Reg<Bit>,
    cycles: Reg<Bits<32>>,
    /// Time in units, each of so many cycles that one bit of their count changes.
    moment: Reg<Bits<15>>,
    beat_before: Reg<Bit>,
    disabled: Reg<Bit>,
    longer: Reg<Bits<4>>,
    scan: Reg<Bits<T>>,
    late_valid: Reg<Bit>,
    late_tag: Reg<Bits<T>>,
    late_epoch: Reg<Bit>,
    settle: ReadSettle<D, K, L, T>,
    issued: Reg<Bit>,
    /// In units of 2^`_tick` cycles.
    _timeout: usize,
    _tick: usize,
    _small: bool,
}

impl<const D: usize, const K: usize, const L: usize, const T: usize> DmaRead<D, K, L, T> {
    /// `timeout` in cycles; it is counted in units of 256, of more if it is long. `small`: a read takes two cycles.
    pub fn new(timeout: usize, small: bool) -> Self {
        let mut tick = TICK;
        while timeout >> tick > LONGEST {
            tick += 1;
        }
        Self {
            _small: small,
            pieces: ReadCut::new(small),
            reads: Skid::new(small),
            ..Self::ticking((timeout >> tick).max(1), tick)
        }
    }

    /// With a time-out of so many units of 2^`tick` cycles.
    pub fn ticking(timeout: usize, tick: usize) -> Self {
        assert!((1..=LONGEST).contains(&timeout) && tick <= 13);
        Self { _timeout: timeout, _tick: tick, ..Self::default() }
    }
}

impl<const D: usize, const K: usize, const L: usize, const T: usize> Logic for DmaRead<D, K, L, T> {
    /// DMA read engine: cuts requests, tags the pieces, puts completions in their place.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; pieces, reads, tags, more_tags, settle);
        clocked!(self, clock; epochs, record_scan, progress_scan);
        registers!(self, clock, reset; enabled, flushing, all_tags, unsent_valid, issue_valid);
        registers!(self, clock, reset; fail_valid, done_valid, walk, outstanding, resting, is_pending, cycles, moment, beat_before, disabled, longer, scan, late_valid, issued);
        registers!(self, clock; unsent_tag, unsent_epoch, issue_client, issue_op, issue_last, issue_with, fail_client, fail_op);
        registers!(self, clock; done_client, done_op, done_err, late_tag, late_epoch);

        self.cycles.d.next = self.cycles.q.val() + 1;
        let now = self.moment.q.val();
        let flush = self.flush.val();
        // What the host has chosen, or the default.
        let chosen = self.read_timeout.val();
        let free = flush || lit::<1>(self._small as usize).any();
        self.longer.d.next = if free { lit::<4>(0) } else { chosen.get_bits::<4>(0) };
        self.disabled.d.next = chosen.get_bit(4) && !flush;
        let cycles = self.cycles.q.val();
        let longer = self.longer.q.val();
        // From 3 ms to 26 s, where the least is 100 us.
        let beat = match longer {
            0b0010 => cycles.get_bit(self._tick + 5),
            0b0101 => cycles.get_bit(self._tick + 8),
            0b0110 => cycles.get_bit(self._tick + 10),
            0b1001 => cycles.get_bit(self._tick + 12),
            0b1010 => cycles.get_bit(self._tick + 14),
            0b1101 => cycles.get_bit(self._tick + 16),
            0b1110 => cycles.get_bit(self._tick + 18),
            _ => cycles.get_bit(self._tick),
        };
        self.beat_before.d.next = beat;
        if beat != self.beat_before.q.val() {
            self.moment.d.next = now + 1;
        }

        for c in 0..4 {
            ReadReqSnk::link(&mut self.req[c], &mut self.pieces.req[c]);
        }
        self.pieces.mrrs.next = self.mrrs.val();
        self.enabled.d.next = self.bus_master.val();
        self.flushing.d.next = flush;
        self.all_tags.d.next = self.ext_tag.val();
        let enabled = self.enabled.q.val();
        let flushing = self.flushing.q.val();
        self.pieces.flush.next = flushing;

        // A piece leaves for a tag, or fails, or is dropped.
        let walking = !self.walk.q.val().get_bit(T);
        let piece = self.pieces.piece_valid.val();
        let more = self.more_tags.out_valid.val() && self.all_tags.q.val();
        let tag = if more {
            self.more_tags.out_data.val()
        } else {
            bit_cast::<T, 5>(self.tags.out_data.val())
        };
        // Until all are filled in the walk writes the records.
        let has_tag = (self.tags.out_valid.val() || more) && !walking;
        let issue = piece && !flushing && enabled && has_tag && self.reads.in_ready.val();
        // After the reads before it are gone.
        let fail = piece
            && !flushing
            && !enabled
            && !self.fail_valid.q.val()
            && !self.reads.out_valid.val()
            && !self.issued.q.val();
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
        self.reads.in_valid.next = issue;
        let address = self.pieces.piece_addr.val();
        let what = cat::<8, 74, 82>(be, cat::<10, 64, 74>(bit_cast::<10, 13>(dwords), address));
        let wide = address.get_bits::<32>(32).any();
        self.epochs.raddr.next = tag;
        let epoch = !self.epochs.rdata.val().get_bit(0);
        self.reads.in_data.next = cat::<2, 90, 92>(
            cat::<1, 1, 2>(epoch.into(), wide.into()),
            cat::<8, 82, 90>(bit_cast::<8, T>(tag), what),
        );
        // After one that was dropped the next waits until that is settled.
        let asked = self.reads.out_data.val();
        let offered = self.reads.out_valid.val() && !self.unsent_valid.q.val();
        let sent = offered && self.np_ready.val();
        self.reads.out_ready.next = self.np_ready.val() && !self.unsent_valid.q.val();
        let sent_tag = bit_cast::<T, 8>(asked.get_bits::<8>(82));
        let sent_epoch = asked.get_bit(91);
        if sent && (flush || !self.bus_master.val()) {
            self.unsent_valid.d.next = true;
            self.unsent_tag.d.next = sent_tag;
            self.unsent_epoch.d.next = sent_epoch;
        }
        self.np_valid.next = offered;
        self.np_hdr.next = tlp::request_header(
            false,
            self.requester.val(),
            asked.get_bits::<8>(82),
            asked.get_bits::<8>(74),
            asked.get_bit(90),
            asked.get_bits::<64>(0),
            asked.get_bits::<10>(64),
        );
        self.issue_valid.d.next = issue || fail;
        self.issue_client.d.next = self.pieces.piece_client.val();
        self.issue_op.d.next = self.pieces.piece_op.val();
        self.issue_last.d.next = self.pieces.piece_last.val();
        self.issue_with.d.next = tag;
        self.issue_tag.next = self.issue_with.q.val();
        self.bus.issue_valid.next = self.issue_valid.q.val();
        self.bus.issue_client.next = self.issue_client.q.val();
        self.bus.issue_op.next = self.issue_op.q.val();
        self.bus.issue_last.next = self.issue_last.q.val();

        // Tags: filled by the walk, then by what completes.
        let freed = self.settle.freed_valid.val();
        let put = walking || freed;
        let put_tag =
            if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { self.settle.freed_tag.val() };
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
        let new_record = lit::<{ rec::W }>(0)
            .set_slice::<13>(rec::LEN, self.pieces.piece_len.val())
            .set_slice::<20>(rec::DST, self.pieces.piece_dst.val())
            .set_slice::<9>(rec::OP, self.pieces.piece_op.val())
            .set_slice::<2>(rec::CLIENT, self.pieces.piece_client.val())
            .set_slice::<7>(rec::LOW, self.pieces.piece_addr.val().get_bits::<7>(0))
            .replace_bit(rec::EPOCH, epoch);
        let record_at = if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { tag };
        self.settle.record_we.next = walking || issue;
        self.settle.record_at.next = record_at;
        self.settle.record.next = if walking { lit::<{ rec::W }>(0) } else { new_record };
        self.record_scan.we.next = walking || sent;
        self.record_scan.waddr.next =
            if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { sent_tag };
        self.record_scan.wdata.next =
            if walking { lit::<16>(0) } else { cat::<15, 1, 16>(now, Bits::<1>::from(sent_epoch)) };
        self.epochs.we.next = walking || issue;
        self.epochs.waddr.next = record_at;
        self.epochs.wdata.next = Bits::<1>::from(epoch && !walking);

        // The scanner looks at a tag a cycle and hands what is late to the completing side.
        self.scan.d.next = self.scan.q.val() + 1;
        self.record_scan.raddr.next = self.scan.q.val();
        self.progress_scan.raddr.next = self.scan.q.val();
        let old = self.record_scan.rdata.val();
        let old_progress = self.progress_scan.rdata.val();
        let age = now - old.get_bits::<15>(1);
        let alive = old.get_bit(0) != old_progress.get_bit(prog::FREE);
        let rests = old_progress.get_bit(prog::ENDED)
            && old_progress.get_bit(prog::EPOCH) == old.get_bit(0);
        let much_longer = longer.get_bits::<3>(1).any();
        let limit = if rests {
            if much_longer {
                lit::<15>(2 * self._timeout)
            } else {
                lit::<15>(8 * self._timeout)
            }
        } else if longer == 1 {
            // Its range ends at 100 us.
            lit::<15>(3 * self._timeout / 4)
        } else {
            lit::<15>(self._timeout)
        };
        let matters = rests || !self.disabled.q.val();
        if !self.late_valid.q.val() && !walking {
            self.late_valid.d.next = alive && matters && age > limit;
            self.late_tag.d.next = self.scan.q.val();
            self.late_epoch.d.next = old.get_bit(0);
        }

        // Completions, and tags that end without one.
        TlpSnk::<D>::link(&mut self.cpl, &mut self.settle.cpl);
        self.settle.flush.next = flush;
        self.settle.requester.next = self.requester.val();
        self.settle.walking.next = walking;
        self.settle.late_valid.next = self.late_valid.q.val();
        self.settle.late_tag.next = self.late_tag.q.val();
        self.settle.late_epoch.next = self.late_epoch.q.val();
        if self.settle.late_taken.val() {
            self.late_valid.d.next = false;
        }
        self.settle.unsent_valid.next = self.unsent_valid.q.val();
        self.settle.unsent_tag.next = self.unsent_tag.q.val();
        self.settle.unsent_epoch.next = self.unsent_epoch.q.val();
        if self.settle.unsent_taken.val() {
            self.unsent_valid.d.next = false;
        }
        self.progress_scan.we.next = self.settle.progress_we.val();
        self.progress_scan.waddr.next = self.settle.progress_at.val();
        self.progress_scan.wdata.next = self.settle.progress.val();
        let mut outstanding = self.outstanding.q.val();
        if issue {
            outstanding = outstanding + 1;
        }
        if freed {
            outstanding = outstanding - 1;
        }
        self.outstanding.d.next = outstanding;
        self.busy.next = self.outstanding.q.val() != 0;
        let mut resting = self.resting.q.val();
        if self.settle.rests.val() {
            resting = resting + 1;
        }
        if self.settle.rested.val() {
            resting = resting - 1;
        }
        self.resting.d.next = resting;
        self.is_pending.d.next = self.outstanding.q.val() != self.resting.q.val();
        self.pending.next = self.is_pending.q.val();
        self.bus.data_valid.next = self.settle.out_beat.val();
        self.bus.data_client.next = self.settle.out_client.val();
        self.bus.data_row.next = self.settle.out_row.val();
        self.bus.data.next = self.settle.out_data.val();
        self.bus.be_lo.next = self.settle.be_lo.val();
        self.bus.be_hi.next = self.settle.be_hi.val();

        // An ended piece goes first; one that failed without a read waits for a free cycle.
        let give_fail = self.fail_valid.q.val() && !self.settle.out_done.val();
        if fail {
            self.fail_valid.d.next = true;
            self.fail_client.d.next = self.pieces.piece_client.val();
            self.fail_op.d.next = self.pieces.piece_op.val();
        } else {
            if give_fail {
                self.fail_valid.d.next = false;
            }
        }
        let ended = self.settle.out_done.val();
        self.done_valid.d.next = ended || give_fail;
        self.done_client.d.next =
            if ended { self.settle.out_client.val() } else { self.fail_client.q.val() };
        self.done_op.d.next = if ended { self.settle.out_op.val() } else { self.fail_op.q.val() };
        self.done_err.d.next = !ended || self.settle.out_err.val();
        self.bus.done_valid.next = self.done_valid.q.val();
        self.bus.done_client.next = self.done_client.q.val();
        self.bus.done_op.next = self.done_op.q.val();
        self.bus.done_err.next = self.done_err.q.val();

        self.issued.d.next = issue;
        self.stat_read.next = self.issued.q.val();
        self.cpl_poisoned.next = self.settle.stat.val().get_bit(0);
        self.cpl_ur_ca.next = self.settle.stat.val().get_bit(1);
        self.cpl_timeout.next = self.settle.stat.val().get_bit(2);
        self.cpl_unexpected.next = self.settle.stat.val().get_bit(3);
        self.cpl_hdr.next = self.settle.stat_hdr.val();
    }
}
