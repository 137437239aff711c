//! Middle of the read engine: completions are held against the reads they answer.
//!
//! **Ports.** `cpl` from the link; `late_*` and `unsent_*` are tags that end without a completion, taken in cycles without a beat (`*_taken`),
//! each with the epoch of the life that it ends: of another it says nothing.
//! `record_*` writes what a read asked for, when it is issued; `progress_*` is this side's memory, for the scanner's copy. `freed_*` gives a
//! tag back, `out_*` and `be_*` are [ReadPlace]'s. The table in [super::read] says what becomes of which completion.
//!
//! **Pipeline**, a beat a cycle, 8 cycles from `cpl` to `out_*`: the beat in registers; its header's sums, the record out of block RAM; the
//! tag's progress; the verdict and the new progress; the beat's place, and 3 cycles to put it there. Completions of one tag may follow
//! each other in any distance: the progress that is still on its way to memory is handed back. A completion counts only if its byte count is what is
//! left of the read; so what it leaves is known from its header, and only that comparison waits for the one before.
//!
//! **Full.** `cpl.ready` falls while a tag enters, and for two cycles around that, as it is a register; nothing else is ever refused.

use super::place::ReadPlace;
use super::read::{prog, rec};
use crate::common::iface::*;
use crate::common::ram::{BlockRam, LutRam};
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ReadSettle<const D: usize, const K: usize, const L: usize, const T: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    pub requester: Signal<In, Bits<16>>,
    pub cpl: TlpSnk<D>,
    pub late_valid: Signal<In, Bit>,
    pub late_tag: Signal<In, Bits<T>>,
    pub late_epoch: Signal<In, Bit>,
    pub late_taken: Signal<Out, Bit>,
    pub unsent_valid: Signal<In, Bit>,
    pub unsent_tag: Signal<In, Bits<T>>,
    pub unsent_epoch: Signal<In, Bit>,
    pub unsent_taken: Signal<Out, Bit>,
    /// Clears both memories at `record_at`.
    pub walking: Signal<In, Bit>,
    pub record_we: Signal<In, Bit>,
    pub record_at: Signal<In, Bits<T>>,
    pub record: Signal<In, Bits<{ rec::W }>>,
    pub progress_we: Signal<Out, Bit>,
    pub progress_at: Signal<Out, Bits<T>>,
    pub progress: Signal<Out, Bits<{ prog::W }>>,
    pub freed_valid: Signal<Out, Bit>,
    pub freed_tag: Signal<Out, Bits<T>>,
    pub out_beat: Signal<Out, Bit>,
    pub out_data: Signal<Out, Bits<D>>,
    pub out_row: Signal<Out, Bits<16>>,
    pub be_lo: Signal<Out, Bits<K>>,
    pub be_hi: Signal<Out, Bits<K>>,
    pub out_done: Signal<Out, Bit>,
    pub out_err: Signal<Out, Bit>,
    pub out_client: Signal<Out, Bits<2>>,
    pub out_op: Signal<Out, Bits<9>>,
    /// Poisoned, unsupported or aborted, timed out, unexpected.
    pub stat: Signal<Out, Bits<4>>,
    /// The header of the completion that `stat` is about.
    pub stat_hdr: Signal<Out, Bits<128>>,
    // A tag begins to rest after its time-out; one that did is given back.
    pub rests: Signal<Out, Bit>,
    pub rested: Signal<Out, Bit>,
    records: BlockRam<Bits<{ rec::W }>, T>,
    progresses: LutRam<Bits<{ prog::W }>, T>,
    /// Beats are taken.
    open: Reg<Bit>,
    // A beat as it came, and the tag of the completion it belongs to.
    in_valid: Reg<Bit>,
    in_sop: Reg<Bit>,
    in_eop: Reg<Bit>,
    in_hdr: Reg<Bits<128>>,
    in_data: Reg<Bits<D>>,
    in_tag: Reg<Bits<T>>,
    // What is in each stage: a beat, its ends, or a tag without one.
    s_valid: [Reg<Bit>; 4],
    s_sop: [Reg<Bit>; 4],
    s_eop: [Reg<Bit>; 4],
    s_late: [Reg<Bit>; 3],
    s_unsent: [Reg<Bit>; 3],
    s_epoch: [Reg<Bit>; 2],
    /// The late tag is that of the completion under way.
    s_hits: [Reg<Bit>; 3],
    s_tag: [Reg<Bits<T>>; 4],
    s_data: [Reg<Bits<D>>; 4],
    // Of its header.
    s_ours: [Reg<Bit>; 3],
    s_bad: [Reg<Bit>; 3],
    s_hdr: [Reg<Bits<96>>; 4],
    s_poisoned: [Reg<Bit>; 3],
    s_skip: [Reg<Bits<2>>; 4],
    s_count: [Reg<Bits<13>>; 3],
    s_length: [Reg<Bits<13>>; 3],
    low: [Reg<Bits<7>>; 2],
    // If its byte count is right: what it leaves, and its bytes from the first beat on.
    rest: [Reg<Bits<14>>; 2],
    all: [Reg<Bits<13>>; 2],
    /// No more is to come; its last dword is the one in which it ends.
    ending: Reg<Bit>,
    tight: Reg<Bit>,
    /// Its length is at most a beat.
    short_length: Reg<Bit>,
    /// The low address bits are those the byte count asks for.
    aligned: Reg<Bit>,
    // Of the tag's record.
    found: Reg<Bits<{ rec::W }>>,
    epoch: Reg<Bit>,
    client: [Reg<Bits<2>>; 2],
    op: [Reg<Bits<9>>; 2],
    /// Where the read's end goes, less the bytes before the first that counts.
    base: [Reg<Bits<20>>; 2],
    // Of its progress. `same`: the tag is that of the stage ahead; `back`, `far`: of two and of three ahead.
    old: Reg<Bits<{ prog::W }>>,
    far: Reg<Bit>,
    back: Reg<Bit>,
    left: Reg<Bits<13>>,
    left_fits: Reg<Bit>,
    was_err: Reg<Bit>,
    was_ended: Reg<Bit>,
    was_free: Reg<Bit>,
    same: Reg<Bit>,
    // The verdict.
    write: Reg<Bit>,
    new: Reg<Bits<{ prog::W }>>,
    beat: Reg<Bit>,
    ends: Reg<Bit>,
    is_final: Reg<Bit>,
    over: Reg<Bit>,
    fails: Reg<Bit>,
    before: Reg<Bits<13>>,
    stats: Reg<Bits<4>>,
    resting: Reg<Bits<2>>,
    // The completion under way: its data count; bytes from this beat on; where the next beat goes; its tag is free at its end, and has rested.
    go_keep: Reg<Bit>,
    go_until: Reg<Bits<13>>,
    go_dst: Reg<Bits<20>>,
    go_free: Reg<Bit>,
    go_rested: Reg<Bit>,
    freed: Reg<Bit>,
    go_tag: Reg<Bits<T>>,
    place: ReadPlace<D, K, L>,
}

/// At most a beat of 2^L bytes.
#[kernel]
fn fits_beat<const L: usize>(bytes: Bits<13>) -> Bit {
    let beats = bytes >> lit::<4>(L);
    let odd = (bytes & lit::<13>((1 << L) - 1)).any();
    (beats == 0 && odd) || (beats == 1 && !odd)
}

impl<const D: usize, const K: usize, const L: usize, const T: usize> Logic
    for ReadSettle<D, K, L, T>
{
    /// Holds completions against the reads they answer, and keeps what is still to come of each.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; place);
        clocked!(self, clock; records, progresses);
        registers!(self, clock, reset; open, in_valid, s_valid[..], s_sop[..], s_eop[..], s_late[..]);
        registers!(self, clock, reset; s_unsent[..], s_hits[..], s_ours[..], s_bad[..], s_poisoned[..]);
        registers!(self, clock, reset; ending, tight, short_length, aligned, epoch);
        registers!(self, clock, reset; far, back, left, left_fits, was_err, was_ended, was_free, same, write, beat, ends, is_final, over, fails, stats, resting);
        registers!(self, clock, reset; go_keep, go_free, go_rested, freed);
        registers!(self, clock; in_sop, in_eop, in_hdr, in_data, in_tag, s_tag[..], s_data[..], s_skip[..], s_count[..], s_length[..], s_epoch[..], s_hdr[..],
            low[..], rest[..], all[..], found, client[..], op[..], base[..], old, new, before, go_until, go_dst, go_tag);
        let flush = self.flush.val();

        // ---- A beat comes in, or a tag that is late or was not sent in its stead.
        let tag_enters = self.late_valid.val() || self.unsent_valid.val();
        self.open.d.next = !tag_enters;
        self.cpl.ready.next = self.open.q.val();
        self.in_valid.d.next = self.cpl.valid.val() && self.open.q.val();
        self.in_sop.d.next = self.cpl.sop.val();
        self.in_eop.d.next = self.cpl.eop.val();
        self.in_hdr.d.next = self.cpl.hdr.val();
        self.in_data.d.next = self.cpl.data.val();
        let late = self.late_valid.val() && !self.in_valid.q.val();
        let unsent = self.unsent_valid.val() && !self.late_valid.val() && !self.in_valid.q.val();
        self.late_taken.next = late;
        self.unsent_taken.next = unsent;

        // ---- Its header. What is answered before the memories are cleared is nobody's.
        let hdr = self.in_hdr.q.val();
        let cpl_tag = hdr.get_bits::<8>(72);
        let tag = if late {
            self.late_tag.val()
        } else if unsent {
            self.unsent_tag.val()
        } else if self.in_sop.q.val() {
            bit_cast::<T, 8>(cpl_tag)
        } else {
            self.in_tag.q.val()
        };
        if self.in_valid.q.val() {
            self.in_tag.d.next = tag;
        }
        self.records.raddr.next = tag;
        self.s_valid[0].d.next = self.in_valid.q.val();
        self.s_sop[0].d.next = self.in_valid.q.val() && self.in_sop.q.val();
        self.s_eop[0].d.next = self.in_valid.q.val() && self.in_eop.q.val();
        self.s_late[0].d.next = late;
        self.s_unsent[0].d.next = unsent;
        self.s_epoch[0].d.next = if late { self.late_epoch.val() } else { self.unsent_epoch.val() };
        self.s_epoch[1].d.next = self.s_epoch[0].q.val();
        self.s_hits[0].d.next = self.late_tag.val() == self.in_tag.q.val();
        self.s_tag[0].d.next = tag;
        self.s_data[0].d.next = self.in_data.q.val();
        self.s_ours[0].d.next = !self.walking.val()
            && bit_cast::<16, 8>(cpl_tag) < lit::<16>(1 << T)
            && hdr.get_bits::<16>(80) == self.requester.val()
            // The card asks for nothing locked.
            && !hdr.get_bit(24)
            // What is a success has data.
            && (hdr.get_bit(30) || hdr.get_bits::<3>(45).any());
        self.s_bad[0].d.next = hdr.get_bits::<3>(45).any();
        self.s_poisoned[0].d.next = hdr.get_bit(14);
        self.s_hdr[0].d.next = hdr.get_bits::<96>(0);
        self.s_skip[0].d.next = hdr.get_bits::<2>(64);
        self.low[0].d.next = hdr.get_bits::<7>(64);
        self.s_count[0].d.next = if hdr.get_bits::<12>(32) == 0 {
            lit::<13>(4096)
        } else {
            bit_cast::<13, 12>(hdr.get_bits::<12>(32))
        };
        self.s_length[0].d.next = if hdr.get_bits::<10>(0) == 0 {
            lit::<13>(4096)
        } else {
            bit_cast::<13, 10>(hdr.get_bits::<10>(0)) << 2
        };
        for i in 1..4 {
            self.s_valid[i].d.next = self.s_valid[i - 1].q.val();
            self.s_sop[i].d.next = self.s_sop[i - 1].q.val();
            self.s_eop[i].d.next = self.s_eop[i - 1].q.val();
            self.s_tag[i].d.next = self.s_tag[i - 1].q.val();
            self.s_data[i].d.next = self.s_data[i - 1].q.val();
            self.s_skip[i].d.next = self.s_skip[i - 1].q.val();
            self.s_hdr[i].d.next = self.s_hdr[i - 1].q.val();
        }
        let its_life = self.s_epoch[1].q.val() == self.found.q.val().get_bit(rec::EPOCH);
        self.s_late[1].d.next = self.s_late[0].q.val();
        self.s_unsent[1].d.next = self.s_unsent[0].q.val();
        self.s_late[2].d.next = self.s_late[1].q.val() && its_life;
        self.s_unsent[2].d.next = self.s_unsent[1].q.val() && its_life;
        for i in 1..3 {
            self.s_hits[i].d.next = self.s_hits[i - 1].q.val();
            self.s_ours[i].d.next = self.s_ours[i - 1].q.val();
            self.s_bad[i].d.next = self.s_bad[i - 1].q.val();
            self.s_poisoned[i].d.next = self.s_poisoned[i - 1].q.val();
            self.s_count[i].d.next = self.s_count[i - 1].q.val();
            self.s_length[i].d.next = self.s_length[i - 1].q.val();
        }

        // ---- Its record.
        self.records.we.next = self.record_we.val();
        self.records.waddr.next = self.record_at.val();
        self.records.wdata.next = self.record.val();
        self.found.d.next = self.records.rdata.val();
        self.low[1].d.next = self.low[0].q.val();
        let all = self.s_count[0].q.val() + bit_cast::<13, 2>(self.s_skip[0].q.val());
        self.all[0].d.next = all;
        self.rest[0].d.next =
            bit_cast::<14, 13>(all) - bit_cast::<14, 13>(self.s_length[0].q.val());

        // ---- Its progress, as it is in memory or about to be.
        let r = self.found.q.val();
        let len = r.get_bits::<13>(rec::LEN);
        self.far.d.next = tag == self.s_tag[2].q.val();
        self.back.d.next = self.s_tag[0].q.val() == self.s_tag[2].q.val();
        self.progresses.raddr.next = self.s_tag[0].q.val();
        self.old.d.next = if self.write.q.val() && self.far.q.val() {
            self.new.q.val()
        } else {
            self.progresses.rdata.val()
        };
        let forward = self.write.q.val() && self.back.q.val();
        let p = if forward { self.new.q.val() } else { self.old.q.val() };
        let this_life = p.get_bit(prog::EPOCH) == r.get_bit(rec::EPOCH);
        let now_left = if this_life { p.get_bits::<13>(prog::LEFT) } else { len };
        let count = self.s_count[1].q.val();
        self.left.d.next = now_left;
        self.left_fits.d.next = now_left == count;
        self.was_err.d.next = this_life && p.get_bit(prog::ERR);
        self.was_ended.d.next = this_life && p.get_bit(prog::ENDED);
        self.was_free.d.next = p.get_bit(prog::FREE);
        self.same.d.next = self.s_tag[1].q.val() == self.s_tag[2].q.val();
        self.epoch.d.next = r.get_bit(rec::EPOCH);
        self.client[0].d.next = r.get_bits::<2>(rec::CLIENT);
        self.op[0].d.next = r.get_bits::<9>(rec::OP);
        self.base[0].d.next = r.get_bits::<20>(rec::DST) + bit_cast::<20, 13>(len)
            - bit_cast::<20, 2>(self.s_skip[1].q.val());
        let end_low = r.get_bits::<7>(rec::LOW) + bit_cast::<7, 13>(len);
        self.aligned.d.next = end_low - self.low[1].q.val() == bit_cast::<7, 13>(count);
        let rest = self.rest[0].q.val();
        let over = rest.get_bit(13);
        self.rest[1].d.next = rest;
        self.all[1].d.next = self.all[0].q.val();
        self.ending.d.next = over || rest == 0;
        // The last completion carries no dword too many.
        self.tight.d.next = !over || (rest.get_bits::<11>(2).all() && rest.get_bits::<2>(0) != 0);
        self.short_length.d.next = fits_beat::<L>(self.s_length[1].q.val());

        // ---- The verdict.
        let newer = self.same.q.val() && self.write.q.val();
        let new = self.new.q.val();
        let left = if newer { new.get_bits::<13>(prog::LEFT) } else { self.left.q.val() };
        let was_err = if newer { new.get_bit(prog::ERR) } else { self.was_err.q.val() };
        let was_ended = if newer { new.get_bit(prog::ENDED) } else { self.was_ended.q.val() };
        let was_free = if newer { new.get_bit(prog::FREE) } else { self.was_free.q.val() };
        let epoch = self.epoch.q.val();
        let live = epoch != was_free;
        let valid = self.s_valid[2].q.val();
        let sop = self.s_sop[2].q.val();
        let eop = self.s_eop[2].q.val();
        let fits = if newer {
            new.get_bits::<13>(prog::LEFT) == self.s_count[2].q.val()
        } else {
            self.left_fits.q.val()
        };
        let rest = self.rest[1].q.val();
        let is_final = self.ending.q.val();
        let right = fits && self.aligned.q.val() && self.tight.q.val();
        let expected = sop && live && self.s_ours[2].q.val();
        let ends_bad = expected && self.s_bad[2].q.val();
        let counts = expected && !self.s_bad[2].q.val() && right;
        let quiet = flush || was_ended;
        let beat = if sop { counts && !quiet } else { valid && self.go_keep.q.val() && !flush };
        let all = self.all[1].q.val();
        let ends = if sop {
            if is_final {
                fits_beat::<L>(all)
            } else {
                self.short_length.q.val()
            }
        } else {
            let until = self.go_until.q.val();
            let beats = until >> lit::<4>(L);
            let odd = (until & lit::<13>(K - 1)).any();
            (beats == 1 && odd) || (beats == 2 && !odd)
        };
        let short = beat && eop && !ends;
        let late_first = self.s_late[2].q.val() && live && !was_ended;
        let late_again = self.s_late[2].q.val() && live && was_ended;
        let unsent_now = self.s_unsent[2].q.val() && live;
        if valid {
            // Beats beyond the payload, if any come, count for nothing.
            self.go_keep.d.next = beat && !ends;
            self.go_until.d.next = if !sop {
                self.go_until.q.val() - lit::<13>(K)
            } else if is_final {
                all
            } else {
                self.s_length[2].q.val()
            };
        } else if late_first && self.s_hits[2].q.val() {
            // Its completion under way comes too late.
            self.go_keep.d.next = false;
        }
        let err = was_err || (counts && self.s_poisoned[2].q.val()) || short;
        let over_now = ends_bad || (counts && is_final) || late_again || unsent_now;
        let new_left = if !counts {
            left
        } else if is_final {
            lit::<13>(0)
        } else {
            bit_cast::<13, 14>(rest)
        };
        self.write.d.next = ends_bad || counts || short || late_first || late_again || unsent_now;
        self.new.d.next = lit::<{ prog::W }>(0)
            .set_slice::<13>(prog::LEFT, new_left)
            .replace_bit(prog::EPOCH, epoch)
            .replace_bit(prog::ERR, err)
            .replace_bit(prog::ENDED, was_ended || late_first)
            .replace_bit(prog::FREE, if over_now { epoch } else { was_free });
        self.beat.d.next = beat;
        self.ends.d.next = ends;
        self.is_final.d.next = is_final;
        self.over.d.next = over_now;
        self.fails.d.next = ((ends_bad || unsent_now) && !quiet) || (late_first && !flush);
        self.before.d.next = self.s_count[2].q.val();
        self.base[1].d.next = self.base[0].q.val();
        self.client[1].d.next = self.client[0].q.val();
        self.op[1].d.next = self.op[0].q.val();
        // Of a read that was given up nobody waits for any.
        self.stats.d.next = lit::<4>(0)
            .replace_bit(0, counts && !was_ended && self.s_poisoned[2].q.val())
            .replace_bit(1, ends_bad && !was_ended)
            .replace_bit(2, late_first)
            .replace_bit(3, sop && (was_ended || (!ends_bad && !counts)));
        self.stat.next = self.stats.q.val();
        self.stat_hdr.next = bit_cast::<128, 96>(self.s_hdr[3].q.val());
        self.rests.next = self.resting.q.val().get_bit(0);
        self.rested.next = self.resting.q.val().get_bit(1);

        // ---- What it comes to: the new progress, a tag that is free when the last beat of its last completion is in, the beat's place.
        let walking = self.walking.val();
        self.progresses.we.next = walking || self.write.q.val();
        self.progresses.waddr.next =
            if walking { self.record_at.val() } else { self.s_tag[3].q.val() };
        self.progresses.wdata.next = if walking { lit::<{ prog::W }>(0) } else { self.new.q.val() };
        self.progress_we.next = walking || self.write.q.val();
        self.progress_at.next = if walking { self.record_at.val() } else { self.s_tag[3].q.val() };
        self.progress.next = if walking { lit::<{ prog::W }>(0) } else { self.new.q.val() };
        let first = self.s_sop[3].q.val();
        let last = self.s_eop[3].q.val();
        let over_at_once = self.over.q.val() && (!first || last);
        let over_at_last = last && !first && self.go_free.q.val();
        self.freed.d.next = over_at_once || over_at_last;
        let rested = self.new.q.val().get_bit(prog::ENDED);
        self.resting.d.next = lit::<2>(0)
            .replace_bit(0, late_first)
            .replace_bit(1, (over_at_once && rested) || (over_at_last && self.go_rested.q.val()));
        self.freed_valid.next = self.freed.q.val();
        self.go_tag.d.next = self.s_tag[3].q.val();
        self.freed_tag.next = self.go_tag.q.val();
        if first {
            self.go_free.d.next = self.over.q.val() && !last;
            self.go_rested.d.next = rested;
        } else if last {
            self.go_free.d.next = false;
        }
        let dst = if first {
            self.base[1].q.val() - bit_cast::<20, 13>(self.before.q.val())
        } else {
            self.go_dst.q.val()
        };
        if self.s_valid[3].q.val() {
            self.go_dst.d.next = dst + lit::<20>(K);
        }
        let finishing = if first { self.is_final.q.val() } else { self.go_free.q.val() };
        self.place.beat.next = self.beat.q.val();
        self.place.data.next = self.s_data[3].q.val();
        self.place.dst.next = dst;
        self.place.lead.next = if first { self.s_skip[3].q.val() } else { lit::<2>(0) };
        self.place.until.next = self.go_until.q.val();
        self.place.done.next =
            self.fails.q.val() || (self.beat.q.val() && (self.ends.q.val() || last) && finishing);
        self.place.err.next = self.fails.q.val() || self.new.q.val().get_bit(prog::ERR);
        self.place.client.next = self.client[1].q.val();
        self.place.op.next = self.op[1].q.val();
        self.out_beat.next = self.place.out_beat.val();
        self.out_data.next = self.place.out_data.val();
        self.out_row.next = self.place.out_row.val();
        self.be_lo.next = self.place.be_lo.val();
        self.be_hi.next = self.place.be_hi.val();
        self.out_done.next = self.place.out_done.val();
        self.out_err.next = self.place.out_err.val();
        self.out_client.next = self.place.out_client.val();
        self.out_op.next = self.place.out_op.val();
    }
}
