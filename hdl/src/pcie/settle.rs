//! Second part of the read engine: compares completions with the reads they answer.
//!
//! **Ports.** `cpl` comes from the link. `late` and `unsent` are tags that end without a
//! completion, taken in cycles without a beat; each has the epoch of the life it ends and says
//! nothing of another. `record` writes what a read asked for, when the read is issued. `progress`
//! copies this block's own memory to the scanner. `freed` gives a tag back. `out` is [ReadPlace]'s.
//! The table in [super::read] says what becomes of which completion.
//!
//! **Pipeline.** It takes a beat a cycle, and 8 cycles from `cpl` to `out`:
//!
//! 1. the beat goes into registers;
//! 2. sums of its header, while block RAM reads the tag's record;
//! 3. the tag's progress is read;
//! 4. the verdict, and the new progress;
//! 5. the place of the beat, which takes 3 more cycles to put it there.
//!
//! Completions of one tag may follow each other at any distance: stages use a progress that is
//! still on its way to memory. A completion counts only if its byte count is what is left of the
//! read. So its header alone says what it leaves, and only that comparison waits for the completion
//! before it.
//!
//! **Full.** `cpl.ready` is a register. It falls while a tag enters and for two cycles around that;
//! the block refuses nothing else.

use super::place::PlacedSrc;
use super::place::ReadPlace;
use super::tag::{Progress, TagRecord};
use super::tlp;
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
    pub late: TagEndSnk<T>,
    pub unsent: TagEndSnk<T>,
    /// Clears both memories at `record.at`.
    pub walking: Signal<In, Bit>,
    pub record: RecordWriteSnk<T>,
    pub progress: ProgressWriteSrc<T>,
    pub freed: FreedTagSrc<T>,
    pub out: PlacedSrc<D, K>,
    pub stat: Signal<Out, ReadStats>,
    /// The header of the completion that `stat` is about.
    pub stat_hdr: Signal<Out, Bits<128>>,
    // A tag begins to rest, or a tag that rested is given back.
    pub rests: Signal<Out, Bit>,
    pub rested: Signal<Out, Bit>,
    records: BlockRam<TagRecord, T>,
    progresses: LutRam<Progress, T>,
    /// The block takes beats.
    open: Reg<Bit>,
    // A beat from the link, and the tag of its completion.
    in_valid: Reg<Bit>,
    in_sop: Reg<Bit>,
    in_eop: Reg<Bit>,
    in_hdr: Reg<Bits<128>>,
    in_data: Reg<Bits<D>>,
    in_tag: Reg<Bits<T>>,
    // Each stage has a beat, or a tag that ends without one.
    s_framing: [Reg<Framing>; 4],
    s_beat: [Reg<Beat<D, T>>; 4],
    s_late: [Reg<Bit>; 3],
    s_unsent: [Reg<Bit>; 3],
    s_epoch: [Reg<Bit>; 2],
    s_claim: [Reg<Claim>; 3],
    s_sizes: [Reg<Sizes>; 3],
    low: [Reg<Bits<7>>; 2],
    // If the completion's byte count is right: bytes left after it; bytes of the read from its
    // first beat on.
    rest: [Reg<Bits<14>>; 2],
    all: [Reg<Bits<13>>; 2],
    /// The completion leaves nothing; the read ends in its last dword.
    ending: Reg<Bit>,
    tight: Reg<Bit>,
    /// The completion's length is at most a beat.
    short_length: Reg<Bit>,
    /// The completion's lower address agrees with its byte count.
    aligned: Reg<Bit>,
    // From the tag's record.
    found: Reg<TagRecord>,
    epoch: Reg<Bit>,
    client: [Reg<Bits<2>>; 2],
    op: [Reg<Bits<9>>; 2],
    /// The place of the read's end, less the bytes before the first that counts.
    base: [Reg<Bits<20>>; 2],
    // The tag's progress. `same`, `back`, `far`: the stage one, two, three ahead has the same tag.
    old: Reg<Progress>,
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
    new: Reg<Progress>,
    beat: Reg<Bit>,
    ends: Reg<Bit>,
    is_final: Reg<Bit>,
    over: Reg<Bit>,
    fails: Reg<Bit>,
    before: Reg<Bits<13>>,
    stats: Reg<ReadStats>,
    resting: Reg<Resting>,
    // The completion under way: its data count; bytes from this beat on; the next beat's place; its
    // end frees the tag; the tag has rested.
    go_keep: Reg<Bit>,
    go_until: Reg<Bits<13>>,
    go_dst: Reg<Bits<20>>,
    go_free: Reg<Bit>,
    go_rested: Reg<Bit>,
    frees: Reg<Bit>,
    go_tag: Reg<Bits<T>>,
    place: ReadPlace<D, K, L>,
}

/// A tag that ends without a completion, and the epoch of the life that ends.
#[stream]
pub struct TagEnd<const T: usize> {
    pub tag: Bits<T>,
    pub epoch: Bit,
}

#[stream(bus)]
pub struct RecordWrite<const T: usize> {
    pub we: Bit,
    pub at: Bits<T>,
    pub word: TagRecord,
}

#[stream(bus)]
pub struct ProgressWrite<const T: usize> {
    pub we: Bit,
    pub at: Bits<T>,
    pub word: Progress,
}

#[stream(bus)]
pub struct FreedTag<const T: usize> {
    pub valid: Bit,
    pub tag: Bits<T>,
}

/// What was wrong with a read or a completion.
#[record]
pub struct ReadStats {
    pub poisoned: Bit,
    /// Unsupported or aborted.
    pub refused: Bit,
    pub timed_out: Bit,
    pub unexpected: Bit,
}

/// A tag begins to rest; one that did is given back.
#[record]
pub struct Resting {
    begins: Bit,
    ends: Bit,
}

#[record]
pub struct Framing {
    /// A beat, not a tag without one.
    valid: Bit,
    sop: Bit,
    eop: Bit,
}

#[record]
pub struct Beat<const D: usize, const T: usize> {
    tag: Bits<T>,
    data: Bits<D>,
    /// DW0 to DW2.
    hdr: Bits<96>,
    /// Bytes before the first one that counts.
    skip: Bits<2>,
}

/// What a completion's header claims.
#[record]
pub struct Claim {
    /// The late tag is that of the completion under way.
    hits: Bit,
    ours: Bit,
    bad: Bit,
    poisoned: Bit,
}

/// A completion's byte count, and the bytes of its length.
#[record]
pub struct Sizes {
    count: Bits<13>,
    length: Bits<13>,
}

/// Sign of the bytes that a completion leaves.
const SIGN: usize = 13;

/// Whether so many bytes, but at least one, are at most a beat of 2^L bytes.
#[kernel]
fn fits_beat<const L: usize>(bytes: Bits<13>) -> Bit {
    let beats = bytes >> lit::<4>(L);
    let odd = (bytes & lit::<13>((1 << L) - 1)).any();
    (beats == 0 && odd) || (beats == 1 && !odd)
}

impl<const D: usize, const K: usize, const L: usize, const T: usize> Logic
    for ReadSettle<D, K, L, T>
{
    /// Compares completions with the reads they answer, and keeps what is still to come of each
    /// read.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; place);
        clocked!(self, clock; records, progresses);
        registers!(self, clock, reset; open, in_valid, s_framing[..], s_late[..], s_unsent[..]);
        registers!(self, clock, reset; s_claim[..], ending, tight, short_length, aligned, epoch);
        registers!(self, clock, reset; far, back, left, left_fits, was_err, was_ended, was_free);
        registers!(self, clock, reset; same, write, beat, ends, is_final, over, fails, stats);
        registers!(self, clock, reset; resting, go_keep, go_free, go_rested, frees);
        registers!(self, clock; in_sop, in_eop, in_hdr, in_data, in_tag, s_beat[..], s_sizes[..]);
        registers!(self, clock; s_epoch[..], low[..], rest[..], all[..], found, client[..]);
        registers!(self, clock; op[..], base[..], old, new, before, go_until, go_dst, go_tag);
        let flush = self.flush.val();

        // ---- A beat comes in, or a tag that is late or was not sent in its stead.
        let tag_enters = self.late.valid.val() || self.unsent.valid.val();
        self.open.d.next = !tag_enters;
        self.cpl.ready.next = self.open.q.val();
        self.in_valid.d.next = self.cpl.valid.val() && self.open.q.val();
        self.in_sop.d.next = self.cpl.sop.val();
        self.in_eop.d.next = self.cpl.eop.val();
        self.in_hdr.d.next = self.cpl.hdr.val();
        self.in_data.d.next = self.cpl.data.val();
        let late = self.late.valid.val() && !self.in_valid.q.val();
        let unsent = self.unsent.valid.val() && !self.late.valid.val() && !self.in_valid.q.val();
        self.late.ready.next = late;
        self.unsent.ready.next = unsent;

        // ---- Its header. What is answered before the memories are cleared is nobody's.
        let hdr = tlp::Completion::from_bits(self.in_hdr.q.val());
        let cpl_tag = hdr.tag;
        let tag = if late {
            self.late.tag.val()
        } else if unsent {
            self.unsent.tag.val()
        } else if self.in_sop.q.val() {
            bit_cast::<T, 8>(cpl_tag)
        } else {
            self.in_tag.q.val()
        };
        if self.in_valid.q.val() {
            self.in_tag.d.next = tag;
        }
        self.records.raddr.next = tag;
        self.s_framing[0].d.next = Framing {
            valid: self.in_valid.q.val(),
            sop: self.in_valid.q.val() && self.in_sop.q.val(),
            eop: self.in_valid.q.val() && self.in_eop.q.val(),
        };
        self.s_late[0].d.next = late;
        self.s_unsent[0].d.next = unsent;
        self.s_epoch[0].d.next = if late { self.late.epoch.val() } else { self.unsent.epoch.val() };
        self.s_epoch[1].d.next = self.s_epoch[0].q.val();
        let skip = bit_cast::<2, 7>(hdr.lower_address);
        self.s_beat[0].d.next = Beat {
            tag,
            data: self.in_data.q.val(),
            hdr: bit_cast::<96, 128>(self.in_hdr.q.val()),
            skip,
        };
        let bad = hdr.status != tlp::SC;
        self.s_claim[0].d.next = Claim {
            hits: self.late.tag.val() == self.in_tag.q.val(),
            ours: !self.walking.val()
                && bit_cast::<16, 8>(cpl_tag) < lit::<16>(1 << T)
                && hdr.requester == self.requester.val()
                // The card asks for nothing locked.
                && (hdr.dw0.format.code & 1) == 0
                // A success has data.
                && (hdr.dw0.format.with_data || bad),
            bad,
            poisoned: hdr.dw0.poisoned,
        };
        self.low[0].d.next = hdr.lower_address;
        let all_bytes = lit::<13>(4096);
        self.s_sizes[0].d.next = Sizes {
            count: if hdr.byte_count == 0 { all_bytes } else { bit_cast::<13, 12>(hdr.byte_count) },
            length: bit_cast::<13, 11>(tlp::dwords(hdr.dw0.length)) << 2,
        };
        for i in 1..4 {
            self.s_framing[i].d.next = self.s_framing[i - 1].q.val();
            self.s_beat[i].d.next = self.s_beat[i - 1].q.val();
        }
        let its_life = self.s_epoch[1].q.val() == self.found.q.val().epoch;
        self.s_late[1].d.next = self.s_late[0].q.val();
        self.s_unsent[1].d.next = self.s_unsent[0].q.val();
        self.s_late[2].d.next = self.s_late[1].q.val() && its_life;
        self.s_unsent[2].d.next = self.s_unsent[1].q.val() && its_life;
        for i in 1..3 {
            self.s_claim[i].d.next = self.s_claim[i - 1].q.val();
            self.s_sizes[i].d.next = self.s_sizes[i - 1].q.val();
        }

        // ---- Its record.
        self.records.we.next = self.record.we.val();
        self.records.waddr.next = self.record.at.val();
        self.records.wdata.next = self.record.word.val();
        self.found.d.next = self.records.rdata.val();
        self.low[1].d.next = self.low[0].q.val();
        let all = self.s_sizes[0].q.val().count + bit_cast::<13, 2>(self.s_beat[0].q.val().skip);
        self.all[0].d.next = all;
        self.rest[0].d.next =
            bit_cast::<14, 13>(all) - bit_cast::<14, 13>(self.s_sizes[0].q.val().length);

        // ---- Its progress, as it is in memory or about to be.
        let r = self.found.q.val();
        let len = r.len;
        self.far.d.next = tag == self.s_beat[2].q.val().tag;
        self.back.d.next = self.s_beat[0].q.val().tag == self.s_beat[2].q.val().tag;
        self.progresses.raddr.next = self.s_beat[0].q.val().tag;
        self.old.d.next = if self.write.q.val() && self.far.q.val() {
            self.new.q.val()
        } else {
            self.progresses.rdata.val()
        };
        let forward = self.write.q.val() && self.back.q.val();
        let p = if forward { self.new.q.val() } else { self.old.q.val() };
        let this_life = p.epoch == r.epoch;
        let now_left = if this_life { p.left } else { len };
        let count = self.s_sizes[1].q.val().count;
        self.left.d.next = now_left;
        self.left_fits.d.next = now_left == count;
        self.was_err.d.next = this_life && p.err;
        self.was_ended.d.next = this_life && p.ended;
        self.was_free.d.next = p.free;
        self.same.d.next = self.s_beat[1].q.val().tag == self.s_beat[2].q.val().tag;
        self.epoch.d.next = r.epoch;
        self.client[0].d.next = r.client;
        self.op[0].d.next = r.op;
        self.base[0].d.next =
            r.dst + bit_cast::<20, 13>(len) - bit_cast::<20, 2>(self.s_beat[1].q.val().skip);
        let end_low = r.low + bit_cast::<7, 13>(len);
        self.aligned.d.next = end_low - self.low[1].q.val() == bit_cast::<7, 13>(count);
        let rest = self.rest[0].q.val();
        let over = rest.get_bit(SIGN);
        self.rest[1].d.next = rest;
        self.all[1].d.next = self.all[0].q.val();
        self.ending.d.next = over || rest == 0;
        // The read's last completion has no dword too many.
        self.tight.d.next = !over || ((rest | 3).all() && (rest & 3) != 0);
        self.short_length.d.next = fits_beat::<L>(self.s_sizes[1].q.val().length);

        // ---- The verdict.
        let newer = self.same.q.val() && self.write.q.val();
        let new = self.new.q.val();
        let left = if newer { new.left } else { self.left.q.val() };
        let was_err = if newer { new.err } else { self.was_err.q.val() };
        let was_ended = if newer { new.ended } else { self.was_ended.q.val() };
        let was_free = if newer { new.free } else { self.was_free.q.val() };
        let epoch = self.epoch.q.val();
        let live = epoch != was_free;
        let valid = self.s_framing[2].q.val().valid;
        let sop = self.s_framing[2].q.val().sop;
        let eop = self.s_framing[2].q.val().eop;
        let fits =
            if newer { new.left == self.s_sizes[2].q.val().count } else { self.left_fits.q.val() };
        let rest = self.rest[1].q.val();
        let is_final = self.ending.q.val();
        let right = fits && self.aligned.q.val() && self.tight.q.val();
        let expected = sop && live && self.s_claim[2].q.val().ours;
        let ends_bad = expected && self.s_claim[2].q.val().bad;
        let counts = expected && !self.s_claim[2].q.val().bad && right;
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
            // Beats beyond the payload do not count.
            self.go_keep.d.next = beat && !ends;
            self.go_until.d.next = if !sop {
                self.go_until.q.val() - lit::<13>(K)
            } else if is_final {
                all
            } else {
                self.s_sizes[2].q.val().length
            };
        } else if late_first && self.s_claim[2].q.val().hits {
            // The completion under way is too late.
            self.go_keep.d.next = false;
        }
        let err = was_err || (counts && self.s_claim[2].q.val().poisoned) || short;
        let over_now = ends_bad || (counts && is_final) || late_again || unsent_now;
        let new_left = if !counts {
            left
        } else if is_final {
            lit::<13>(0)
        } else {
            bit_cast::<13, 14>(rest)
        };
        self.write.d.next = ends_bad || counts || short || late_first || late_again || unsent_now;
        self.new.d.next = Progress {
            left: new_left,
            epoch,
            err,
            ended: was_ended || late_first,
            free: if over_now { epoch } else { was_free },
        };
        self.beat.d.next = beat;
        self.ends.d.next = ends;
        self.is_final.d.next = is_final;
        self.over.d.next = over_now;
        self.fails.d.next = ((ends_bad || unsent_now) && !quiet) || (late_first && !flush);
        self.before.d.next = self.s_sizes[2].q.val().count;
        self.base[1].d.next = self.base[0].q.val();
        self.client[1].d.next = self.client[0].q.val();
        self.op[1].d.next = self.op[0].q.val();
        // A completion of a read that timed out is unexpected.
        self.stats.d.next = ReadStats {
            poisoned: counts && !was_ended && self.s_claim[2].q.val().poisoned,
            refused: ends_bad && !was_ended,
            timed_out: late_first,
            unexpected: sop && (was_ended || (!ends_bad && !counts)),
        };
        self.stat.next = self.stats.q.val();
        self.stat_hdr.next = bit_cast::<128, 96>(self.s_beat[3].q.val().hdr);
        self.rests.next = self.resting.q.val().begins;
        self.rested.next = self.resting.q.val().ends;

        // ---- What it comes to: the new progress, a tag that is free when the last beat of its
        // last completion is in, the beat's place.
        let walking = self.walking.val();
        let nothing = Progress::from_bits(lit::<17>(0));
        let progress = ProgressWrite {
            we: walking || self.write.q.val(),
            at: if walking { self.record.at.val() } else { self.s_beat[3].q.val().tag },
            word: if walking { nothing } else { self.new.q.val() },
        };
        self.progresses.we.next = progress.we;
        self.progresses.waddr.next = progress.at;
        self.progresses.wdata.next = progress.word;
        self.progress.put(progress);
        let first = self.s_framing[3].q.val().sop;
        let last = self.s_framing[3].q.val().eop;
        let over_at_once = self.over.q.val() && (!first || last);
        let over_at_last = last && !first && self.go_free.q.val();
        self.frees.d.next = over_at_once || over_at_last;
        let rested = self.new.q.val().ended;
        self.resting.d.next = Resting {
            begins: late_first,
            ends: (over_at_once && rested) || (over_at_last && self.go_rested.q.val()),
        };
        self.freed.valid.next = self.frees.q.val();
        self.go_tag.d.next = self.s_beat[3].q.val().tag;
        self.freed.tag.next = self.go_tag.q.val();
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
        if self.s_framing[3].q.val().valid {
            self.go_dst.d.next = dst + lit::<20>(K);
        }
        let finishing = if first { self.is_final.q.val() } else { self.go_free.q.val() };
        self.place.beat.next = self.beat.q.val();
        self.place.data.next = self.s_beat[3].q.val().data;
        self.place.dst.next = dst;
        self.place.lead.next = if first { self.s_beat[3].q.val().skip } else { lit::<2>(0) };
        self.place.until.next = self.go_until.q.val();
        self.place.done.next =
            self.fails.q.val() || (self.beat.q.val() && (self.ends.q.val() || last) && finishing);
        self.place.err.next = self.fails.q.val() || self.new.q.val().err;
        self.place.client.next = self.client[1].q.val();
        self.place.op.next = self.op[1].q.val();
        PlacedSrc::<D, K>::link(&mut self.out, &mut self.place.out);
    }
}
