//! The DMA read engine: takes requests of four clients, sends memory reads with tags, and puts
//! completions, in any order, back into place.
//!
//! The engine cuts a request at multiples of the max read request size, so at 4 KB too, one piece a
//! cycle. Each piece takes a tag of 2^T (32 while extended tags are off). Completions may come in
//! any order and be split anywhere: a beat's place follows from the tag's record and from what the
//! tag's completions have brought so far. A beat leaves 8 cycles after it came, rotated for the
//! client's memory, one a cycle. `done` of a piece comes after its last beat. The engine refuses
//! nothing for long: `cpl.ready` falls for single cycles when a time-out enters.
//!
//! Two memories keep a tag's life. The issuing side writes one, the completing side the other. A
//! tag is outstanding while their epoch bits differ, so neither side clears what the other wrote. A
//! tag that ends without a completion brings its epoch along and counts for that life alone: a
//! completion may have ended the life just after the scanner looked, and the tag may be out again.
//!
//! The time-out of a read runs from when `pcie/tx` takes the read. A read that waits for credits
//! has not been asked yet, and does not hold up the others' time-outs.
//!
//! | completion | what happens |
//! |---|---|
//! | any status but success | the piece ends with `err`; `cpl_ur_ca` |
//! | poisoned | its data are written, the complete piece ends with `err`; `cpl_poisoned` |
//! | ends before its length | what came is written, the complete piece ends with `err` |
//! | of no outstanding tag, of another requester | swallowed; `cpl_unexpected` |
//! | wrong length, byte count or lower address | swallowed, the piece times out; `cpl_unexpected` |
//! | a success without data | the same |
//! | missing for `_timeout` | the piece ends with `err`; `cpl_timeout` |
//!
//! After a time-out nothing of the piece is written any more. Its tag rests for eight times as
//! long, so that a late completion meets no new request; it is `cpl_unexpected`, whatever it says.
//!
//! `read_timeout` is [TimeoutControl]. Each value multiplies the time-out so that it comes into its
//! range; with `_fixed` there is one time-out. Where the time-out is a multiple a tag rests for as
//! long again. A read under way when the value changes ends after the old time, the new, or
//! between. During a flush the least time holds, so that a reset ends.
//!
//! While `bus_master` is low pieces end with `err` at once; a piece that waits at `np` does when
//! `pcie/tx` has taken and dropped it. While `flush` is high requests are dropped and completions
//! only free their tags. `busy` falls when no tag is outstanding; `flush` must stay high until
//! then. After reset a walk of 2^T cycles fills the tag lists; what is answered before its end is
//! unexpected.

use super::cut::ReadCut;
use super::settle::ReadSettle;
use super::tag::{Progress, TagRecord};
use super::tlp::{self, HeaderSrc};
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::LutRam;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

/// A read on its way to `pcie/tx`.
#[record]
pub struct TaggedRead {
    addr: Bits<64>,
    dwords: Bits<10>,
    be: Bits<8>,
    tag: Bits<8>,
    /// The address needs 64 bits.
    wide: Bit,
    epoch: Bit,
}

/// The last read of a tag that was sent, for the scanner.
#[record]
pub struct SentRead {
    epoch: Bit,
    moment: Bits<15>,
}

/// Device Control 2, bits 4:0: completion time-out.
#[record]
pub struct TimeoutControl {
    /// Which multiple of the least time-out.
    times: Bits<4>,
    disable: Bit,
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
    /// Reads are under way: Transactions Pending. Unlike `busy` it does not count tags that rest.
    pub pending: Signal<Out, Bit>,
    pub read_timeout: Signal<In, Bits<5>>,
    pub req: [ReadReqSnk; 4],
    pub bus: ReadBusSrc<D, K>,
    pub np: HeaderSrc,
    pub cpl: TlpSnk<D>,
    pub mrrs: Signal<In, Bits<3>>,
    pub requester: Signal<In, Bits<16>>,
    pub ext_tag: Signal<In, Bit>,
    pub bus_master: Signal<In, Bit>,
    /// The tag of the piece on `bus.issue_*`; any tag if the piece fails.
    pub issue_tag: Signal<Out, Bits<T>>,
    pub stat_read: Signal<Out, Bit>,
    pub cpl_poisoned: Signal<Out, Bit>,
    pub cpl_ur_ca: Signal<Out, Bit>,
    pub cpl_timeout: Signal<Out, Bit>,
    pub cpl_unexpected: Signal<Out, Bit>,
    /// The completion's header, for the errors but the time-out.
    pub cpl_hdr: Signal<Out, Bits<128>>,

    pieces: ReadCut,
    // `bus_master`, `flush` and `ext_tag` a cycle ago. A read that leaves too late for them is
    // dropped by `pcie/tx`, and ends as `unsent`.
    enabled: Reg<Bit>,
    flushing: Reg<Bit>,
    all_tags: Reg<Bit>,
    reads: Skid<TaggedRead>,
    // A read that pcie/tx dropped.
    unsent_valid: Reg<Bit>,
    unsent_tag: Reg<Bits<T>>,
    unsent_epoch: Reg<Bit>,
    issue_valid: Reg<Bit>,
    issue: Reg<ReadIssue>,
    issue_with: Reg<Bits<T>>,
    // A piece that ends without a read.
    fail_valid: Reg<Bit>,
    fail_client: Reg<Bits<2>>,
    fail_op: Reg<Bits<9>>,
    done_valid: Reg<Bit>,
    done: Reg<ReadDone>,

    // Tags below 32, and those that extended tags add.
    tags: Fifo<Bits<5>, 5>,
    more_tags: Fifo<Bits<T>, T>,
    walk: Reg<Bits<9>>,
    outstanding: Reg<Bits<9>>,
    // Epochs of the tags' records. The scanner has, of each tag, the last read that was sent.
    epochs: LutRam<Bits<1>, T>,
    record_scan: LutRam<SentRead, T>,
    progress_scan: LutRam<Progress, T>,
    /// Outstanding tags that rest.
    resting: Reg<Bits<9>>,
    is_pending: Reg<Bit>,
    cycles: Reg<Bits<32>>,
    /// Time in units: a unit ends when a bit of `cycles` changes.
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
    _fixed: bool,
}

impl<const D: usize, const K: usize, const L: usize, const T: usize> DmaRead<D, K, L, T> {
    /// `timeout` in cycles; it is counted in units of 256, of more if it is long. `fixed`: it is
    /// the only one; `half_rate`: a read takes two cycles.
    pub fn new(timeout: usize, fixed: bool, half_rate: bool) -> Self {
        let mut tick = TICK;
        while timeout >> tick > LONGEST {
            tick += 1;
        }
        Self {
            _fixed: fixed,
            pieces: ReadCut::new(half_rate),
            reads: Skid::new(half_rate),
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
        registers!(self, clock, reset; fail_valid, done_valid, walk, outstanding, resting);
        registers!(self, clock, reset; is_pending, cycles, moment, beat_before, disabled, longer);
        registers!(self, clock, reset; scan, late_valid, issued);
        registers!(self, clock; unsent_tag, unsent_epoch, issue, issue_with, fail_client, fail_op);
        registers!(self, clock; done, late_tag, late_epoch);

        self.cycles.d.next = self.cycles.q.val() + 1;
        let now = self.moment.q.val();
        let flush = self.flush.val();
        // The host's choice.
        let chosen = TimeoutControl::from_bits(self.read_timeout.val());
        let least = flush || self._fixed;
        self.longer.d.next = if least { lit::<4>(0) } else { chosen.times };
        self.disabled.d.next = chosen.disable && !flush;
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
        let piece_valid = self.pieces.piece.valid.val();
        let piece = self.pieces.piece.get();
        let more = self.more_tags.out_valid.val() && self.all_tags.q.val();
        let tag = if more {
            self.more_tags.out_data.val()
        } else {
            bit_cast::<T, 5>(self.tags.out_data.val())
        };
        // The walk writes the records, too.
        let has_tag = (self.tags.out_valid.val() || more) && !walking;
        let issue = piece_valid && !flushing && enabled && has_tag && self.reads.in_ready.val();
        // A piece fails when the reads before it are gone.
        let fail = piece_valid
            && !flushing
            && !enabled
            && !self.fail_valid.q.val()
            && !self.reads.out_valid.val()
            && !self.issued.q.val();
        self.pieces.piece.ready.next = issue || fail;

        // The read itself.
        let address = piece.addr;
        let skip = bit_cast::<2, 64>(address);
        let end = piece.len + bit_cast::<13, 2>(skip);
        let dwords = (end + 3) >> 2;
        let first_be = lit::<4>(15) << bit_cast::<4, 2>(skip);
        let last_be = lit::<4>(15) >> bit_cast::<4, 2>(lit::<2>(0) - bit_cast::<2, 13>(end));
        let be = if dwords == 1 {
            tlp::Enables { first: first_be & last_be, last: lit::<4>(0) }
        } else {
            tlp::Enables { first: first_be, last: last_be }
        };
        self.reads.in_valid.next = issue;
        self.epochs.raddr.next = tag;
        let epoch = !self.epochs.rdata.val().any();
        self.reads.in_data.next = TaggedRead {
            addr: address,
            dwords: bit_cast::<10, 13>(dwords),
            be: be.to_bits(),
            tag: bit_cast::<8, T>(tag),
            wide: Halves::from_bits(address).high.any(),
            epoch,
        };
        // After a read that was dropped the next one waits until `settle` has taken it.
        let asked = self.reads.out_data.val();
        let offered = self.reads.out_valid.val() && !self.unsent_valid.q.val();
        let sent = offered && self.np.ready.val();
        self.reads.out_ready.next = self.np.ready.val() && !self.unsent_valid.q.val();
        let sent_tag = bit_cast::<T, 8>(asked.tag);
        let sent_epoch = asked.epoch;
        if sent && (flush || !self.bus_master.val()) {
            self.unsent_valid.d.next = true;
            self.unsent_tag.d.next = sent_tag;
            self.unsent_epoch.d.next = sent_epoch;
        }
        self.np.valid.next = offered;
        self.np.hdr.next = tlp::request_header(
            false,
            self.requester.val(),
            asked.tag,
            asked.be,
            asked.wide,
            asked.addr,
            asked.dwords,
        );
        self.issue_valid.d.next = issue || fail;
        self.issue.d.next = ReadIssue { client: piece.client, op: piece.op, last: piece.last };
        self.issue_with.d.next = tag;
        self.issue_tag.next = self.issue_with.q.val();

        // Tags: filled by the walk, then by what completes.
        let freed = self.settle.freed.valid.val();
        let put = walking || freed;
        let put_tag =
            if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { self.settle.freed.tag.val() };
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
        let new_record = TagRecord {
            len: piece.len,
            dst: piece.dst,
            op: piece.op,
            client: piece.client,
            low: bit_cast::<7, 64>(address),
            epoch,
        };
        let record_at = if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { tag };
        self.settle.record.we.next = walking || issue;
        self.settle.record.at.next = record_at;
        let no_record = TagRecord::from_bits(lit::<52>(0));
        self.settle.record.word.next = if walking { no_record } else { new_record };
        self.record_scan.we.next = walking || sent;
        self.record_scan.waddr.next =
            if walking { bit_cast::<T, 9>(self.walk.q.val()) } else { sent_tag };
        self.record_scan.wdata.next = if walking {
            SentRead { epoch: false, moment: lit::<15>(0) }
        } else {
            SentRead { epoch: sent_epoch, moment: now }
        };
        self.epochs.we.next = walking || issue;
        self.epochs.waddr.next = record_at;
        self.epochs.wdata.next = Bits::<1>::from(epoch && !walking);

        // The scanner looks at a tag a cycle and hands what is late to the completing side.
        self.scan.d.next = self.scan.q.val() + 1;
        self.record_scan.raddr.next = self.scan.q.val();
        self.progress_scan.raddr.next = self.scan.q.val();
        let old = self.record_scan.rdata.val();
        let old_progress = self.progress_scan.rdata.val();
        let age = now - old.moment;
        let alive = old.epoch != old_progress.free;
        let rests = old_progress.ended && old_progress.epoch == old.epoch;
        let much_longer = (longer >> 1).any();
        let limit = if rests {
            if much_longer {
                lit::<15>(2 * self._timeout)
            } else {
                lit::<15>(8 * self._timeout)
            }
        } else if longer == 1 {
            // This range ends at 100 us.
            lit::<15>(3 * self._timeout / 4)
        } else {
            lit::<15>(self._timeout)
        };
        let matters = rests || !self.disabled.q.val();
        if !self.late_valid.q.val() && !walking {
            self.late_valid.d.next = alive && matters && age > limit;
            self.late_tag.d.next = self.scan.q.val();
            self.late_epoch.d.next = old.epoch;
        }

        // Completions, and tags that end without one.
        TlpSnk::<D>::link(&mut self.cpl, &mut self.settle.cpl);
        self.settle.flush.next = flush;
        self.settle.requester.next = self.requester.val();
        self.settle.walking.next = walking;
        self.settle.late.valid.next = self.late_valid.q.val();
        self.settle.late.tag.next = self.late_tag.q.val();
        self.settle.late.epoch.next = self.late_epoch.q.val();
        if self.settle.late.ready.val() {
            self.late_valid.d.next = false;
        }
        self.settle.unsent.valid.next = self.unsent_valid.q.val();
        self.settle.unsent.tag.next = self.unsent_tag.q.val();
        self.settle.unsent.epoch.next = self.unsent_epoch.q.val();
        if self.settle.unsent.ready.val() {
            self.unsent_valid.d.next = false;
        }
        self.progress_scan.we.next = self.settle.progress.we.val();
        self.progress_scan.waddr.next = self.settle.progress.at.val();
        self.progress_scan.wdata.next = self.settle.progress.word.val();
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

        // An ended piece goes first; one that failed without a read waits for a free cycle.
        let placed = self.settle.out.get();
        let ended = placed.done;
        let give_fail = self.fail_valid.q.val() && !ended;
        if fail {
            self.fail_valid.d.next = true;
            self.fail_client.d.next = piece.client;
            self.fail_op.d.next = piece.op;
        } else {
            if give_fail {
                self.fail_valid.d.next = false;
            }
        }
        self.done_valid.d.next = ended || give_fail;
        self.done.d.next = if ended {
            ReadDone { client: placed.client, op: placed.op, err: placed.err }
        } else {
            ReadDone { client: self.fail_client.q.val(), op: self.fail_op.q.val(), err: true }
        };
        let data = ReadData {
            client: placed.client,
            row: placed.row,
            data: placed.data,
            be_lo: placed.be_lo,
            be_hi: placed.be_hi,
        };
        self.bus.put(read_bus::<D, K>(
            self.issue_valid.q.val(),
            self.issue.q.val(),
            self.done_valid.q.val(),
            self.done.q.val(),
            placed.beat,
            data,
        ));

        self.issued.d.next = issue;
        self.stat_read.next = self.issued.q.val();
        let stat = self.settle.stat.val();
        self.cpl_poisoned.next = stat.poisoned;
        self.cpl_ur_ca.next = stat.refused;
        self.cpl_timeout.next = stat.timed_out;
        self.cpl_unexpected.next = stat.unexpected;
        self.cpl_hdr.next = self.settle.stat_hdr.val();
    }
}
