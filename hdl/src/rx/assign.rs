//! Covers each frame with receive buffers, in the order of the frames, all or nothing.
//!
//! Takes a [frame](Frame), looks its queue up in `rx/prefetch`, and takes descriptors in ring order
//! until their lengths (0 is 64 KiB) cover the frame. Then it sends a [segment](Segment) for each
//! to `rx/write`. Every buffer but the last is filled; none is empty. This block owns `head` of
//! every queue, the count of descriptors taken, and sends each change on `head`.
//!
//! **Drops.** Dropped and counted: a frame without queue or valid table entry
//! (`stat_drop_no_queue`); of a queue broken by a DMA error (`stat_drop_dma_error`); for which not
//! enough buffers are posted, or more than [MAX_DESCS] are needed (`stat_drop_no_descriptor`). A
//! drop takes no descriptor, and frees its rows by a segment marked so.
//!
//! **Waits.** If enough may be posted but is still being fetched, the frame waits, `WAIT` cycles at
//! most: the frames behind it can't pass. After a wait in vain frames of that queue don't wait
//! until one finds buffers there, so that a fetch lost in the host does not slow other queues.
//!
//! **Speed.** A frame in one buffer takes 2 cycles, as the next frame is looked up meanwhile; 3 if
//! none was waiting or descriptors were not there yet; in n buffers 4n + 1 at most; a drop 2.
//! `marker`, the end of a queue, is taken between frames: it resets the queue's `head` and goes on
//! to `rx/write`. When `seg.ready` is low everything waits. After `reset` a walk of 2^Q cycles
//! clears the heads; no frame is taken before it ends.

use super::words::{
    DescSrc, Frame, LookSrc, MarkerSnk, PieceSrc, Report, RxDesc, Segment, StoredSnk, Taken,
    TakenSrc, MAX_DESCS,
};
use crate::common::ram::LutRam;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Step {
    Walk,
    Look,
    Read,
    Check,
    Drop,
    Marker,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Reason {
    NoQueue,
    Broken,
    NoDescriptor,
}

/// Longest wait for descriptors on their way: several times the read latency of a slow host.
pub const WAIT: u64 = 4095;

/// What is kept about a queue.
#[record]
struct Head {
    /// Descriptors taken.
    count: Bits<16>,
    /// A frame waited in vain.
    no_wait: Bit,
}

#[derive(LogicBlock, Default)]
pub struct RxAssign<const L: usize, const Q: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub frame: StoredSnk,
    // To rx/prefetch, see there.
    pub look: LookSrc,
    pub desc: DescSrc,
    pub head: TakenSrc,
    pub marker: MarkerSnk,
    pub seg: PieceSrc,
    pub stat_frame: Signal<Out, Bit>,
    pub stat_bytes: Signal<Out, Bits<16>>,
    pub stat_drop_no_descriptor: Signal<Out, Bit>,
    pub stat_drop_no_queue: Signal<Out, Bit>,
    pub stat_drop_dma_error: Signal<Out, Bit>,
    heads: LutRam<Head, Q>,
    walk: Reg<Bits<9>>,
    step: Reg<Step>,
    checking: Reg<Bit>,
    /// In `Check`, and the descriptor covers the rest of a frame that is being sent.
    sending: Reg<Bit>,
    reason: Reg<Reason>,
    // The next frame, looked up in every cycle, and the current frame.
    frames: Skid<Frame>,
    f_valid: Reg<Bit>,
    f_frame: Reg<Frame>,
    /// Its first row, and the first behind it.
    f_row: Reg<Bits<16>>,
    free_row: Reg<Bits<16>>,
    // The last cycle's lookup: it was of the next frame, or of the current one; its answer.
    l_next: Reg<Bit>,
    l_here: Reg<Bit>,
    l_exists: Reg<Bit>,
    l_broken: Reg<Bit>,
    l_some: Reg<Bit>,
    l_head: Reg<Bits<16>>,
    l_avail: Reg<Bits<16>>,
    l_pending: Reg<Bit>,
    l_no_wait: Reg<Bit>,
    l_cq: Reg<Bits<8>>,
    // The lookup's answer for the current frame.
    taken: Reg<Bits<16>>,
    avail: Reg<Bits<16>>,
    pending: Reg<Bit>,
    cq: Reg<Bits<8>>,
    no_wait: Reg<Bit>,
    // The walk over descriptors: index of the current one, bytes not yet covered, first pass or
    // sending.
    index: Reg<Bits<5>>,
    rest: Reg<Bits<16>>,
    send: Reg<Bit>,
    buffer: Reg<RxDesc>,
    // Of the current descriptor: it covers the rest; it may be sent; it is the last that is posted,
    // or the last that a frame may take; index of the next.
    covers: Reg<Bit>,
    may_send: Reg<Bit>,
    at_last: Reg<Bit>,
    at_most: Reg<Bit>,
    moved: Reg<Bits<16>>,
    waiting: Reg<Bit>,
    timer: Reg<Bits<12>>,
    timeout: Reg<Bit>,
    o_valid: Reg<Bit>,
    o_data: Reg<Segment>,
    h_valid: Reg<Bit>,
    h_hint: Reg<Bit>,
    h_queue: Reg<Bits<8>>,
    h_value: Reg<Bits<16>>,
    s_frame: Reg<Bit>,
    s_bytes: Reg<Bits<16>>,
    s_no_descriptor: Reg<Bit>,
    s_no_queue: Reg<Bit>,
    s_broken: Reg<Bit>,
}

impl<const L: usize, const Q: usize> RxAssign<L, Q> {
    /// `small`: at most one frame in two cycles.
    pub fn new(small: bool) -> Self {
        Self { frames: Skid::new(small), ..Self::default() }
    }
}

/// Rows of a frame.
#[kernel]
fn rows<const L: usize>(len: Bits<16>) -> Bits<16> {
    bit_cast::<16, 17>((bit_cast::<17, 16>(len) + lit::<17>((1 << L) - 1)) >> lit::<17>(L))
}

impl<const L: usize, const Q: usize> Logic for RxAssign<L, Q> {
    /// Covers frames with receive buffers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; walk, step, checking, sending, reason, f_valid);
        registers!(self, clock, reset; l_next, l_here, l_exists, l_broken, l_some, l_pending,
            l_no_wait);
        registers!(self, clock, reset; pending, free_row, no_wait, index, send, covers, may_send,
            at_last, at_most, waiting, timer, timeout, o_valid, h_valid, h_hint, s_frame,
            s_no_descriptor, s_no_queue, s_broken);
        registers!(self, clock; f_frame, f_row, l_head, l_avail, l_cq, taken, avail, cq, rest,
            buffer, moved, o_data, h_queue, h_value, s_bytes);
        clocked!(self, clock, reset; frames);
        clocked!(self, clock; heads);
        let n_valid = self.frames.out_valid.val();
        let n = self.frames.out_data.val();

        let f = self.f_frame.q.val();
        let row = self.f_row.q.val();
        let len = f.len;
        let queue = f.flow.queue;
        let at = bit_cast::<Q, 8>(queue);
        let o_free = !self.o_valid.q.val() || self.seg.ready.val();
        if self.seg.ready.val() {
            self.o_valid.d.next = false;
        }

        // The current descriptor.
        let buffer = self.buffer.q.val();
        let covers = self.covers.q.val();
        let piece = if covers { self.rest.q.val() } else { buffer.length };
        let index = self.index.q.val();
        let next = index + 1;
        let moved = self.moved.q.val();
        let send = if covers { self.may_send.q.val() } else { self.send.q.val() };
        let timeout = self.timeout.q.val();
        let give_up = !self.pending.q.val() || self.no_wait.q.val() || timeout;
        let checking = self.checking.q.val();
        let sending = self.sending.q.val();

        // Look up the next frame, as if the descriptors up to the current one were taken; or the
        // current frame again.
        let again = self.step.q.val() == Step::Look
            && self.f_valid.q.val()
            && (self.waiting.q.val() || !self.l_here.q.val());
        let next_queue = n.flow.queue;
        let look_queue = if again { queue } else { next_queue };
        self.look.queue.next = look_queue;
        self.heads.raddr.next = bit_cast::<Q, 8>(look_queue);
        let taking = checking || self.step.q.val() == Step::Read;
        let follows = taking && next_queue == queue;
        let held = self.heads.rdata.val();
        let after = self.taken.q.val() + bit_cast::<16, 5>(next);
        let held_head = if follows { after } else { held.count };
        self.l_exists.d.next = self.look.exists.val();
        self.l_broken.d.next = self.look.broken.val();
        self.l_some.d.next = self.look.present.val() != held_head;
        self.l_head.d.next = held_head;
        self.l_avail.d.next = self.look.present.val() - held_head;
        self.l_pending.d.next = self.look.pending.val();
        self.l_no_wait.d.next = held.no_wait && !follows;
        self.l_cq.d.next = self.look.cq.val();

        self.desc.queue.next = if sending { next_queue } else { queue };
        let mut desc_index = self.l_head.q.val();

        let mut to = self.step.q.val();
        let mut heads_we = false;
        let mut heads_waddr = at;
        let mut heads_wdata = Head { count: lit::<16>(0), no_wait: false };
        self.sending.d.next = sending && !o_free;
        let release = o_free && (sending || self.step.q.val() == Step::Drop);
        let mut drop_now = false;
        let mut reason = Reason::NoDescriptor;
        let mut marker_taken = false;
        self.h_valid.d.next = false;
        self.h_hint.d.next = false;
        self.h_queue.d.next = queue;
        self.h_value.d.next = lit::<16>(0);
        self.s_frame.d.next = false;
        self.s_bytes.d.next = len;
        self.s_no_descriptor.d.next = false;
        self.s_no_queue.d.next = false;
        self.s_broken.d.next = false;
        if self.waiting.q.val() && !timeout {
            self.timer.d.next = self.timer.q.val() + 1;
            self.timeout.d.next = self.timer.q.val() == lit::<12>(WAIT - 1);
        }

        // Fields that a dropped frame or a marker does not have are not used.
        let source =
            bit_cast::<24, 16>(len - self.rest.q.val()) + (bit_cast::<24, 16>(row) << lit::<24>(L));
        let report = Report {
            len: piece,
            req_id: buffer.req_id,
            hash: f.flow.hash,
            queue,
            cq: self.cq.q.val(),
            kind: f.flow.kind,
            sums: f.sums,
            first: index == 0,
            last: covers,
            marker: false,
        };
        let free = self.free_row.q.val();
        let mut segment = Segment { addr: buffer.address, src: source, free, drop: false, report };
        match self.step.q.val() {
            Step::Walk => {
                heads_we = true;
                heads_waddr = bit_cast::<Q, 9>(self.walk.q.val());
                self.walk.d.next = self.walk.q.val() + 1;
                if self.walk.q.val() == lit::<9>((1 << Q) - 1) {
                    to = Step::Look;
                }
            }
            Step::Look => {
                self.taken.d.next = self.l_head.q.val();
                self.no_wait.d.next = self.l_no_wait.q.val();
                self.avail.d.next = self.l_avail.q.val();
                self.pending.d.next = self.l_pending.q.val();
                self.cq.d.next = self.l_cq.q.val();
                self.index.d.next = lit::<5>(0);
                self.rest.d.next = len;
                self.send.d.next = false;
                if self.marker.valid.val() {
                    to = Step::Marker;
                } else if self.f_valid.q.val() && self.l_here.q.val() {
                    if !f.flow.valid || !self.l_exists.q.val() {
                        reason = Reason::NoQueue;
                        drop_now = true;
                    } else if self.l_broken.q.val() {
                        reason = Reason::Broken;
                        drop_now = true;
                    } else if self.l_some.q.val() {
                        to = Step::Read;
                    } else if !self.l_pending.q.val() || self.l_no_wait.q.val() || timeout {
                        drop_now = true;
                    } else {
                        self.waiting.d.next = true;
                    }
                }
            }
            Step::Read => {
                let found = self.desc.data.val();
                let size = found.length;
                self.buffer.d.next = found;
                let covers = size == 0 || size >= self.rest.q.val();
                let may_send = self.send.q.val() || index == 0;
                self.covers.d.next = covers;
                self.may_send.d.next = may_send;
                self.sending.d.next = covers && may_send;
                self.at_last.d.next = bit_cast::<16, 5>(next) == self.avail.q.val();
                self.at_most.d.next = next == lit::<5>(MAX_DESCS);
                self.moved.d.next = after;
                to = Step::Check;
            }
            Step::Check => {
                // The read of the descriptor after this one, or of the first again.
                desc_index = if sending {
                    self.l_head.q.val()
                } else if covers {
                    self.taken.q.val()
                } else {
                    moved
                };
                if !send {
                    if covers {
                        self.send.d.next = true;
                        self.index.d.next = lit::<5>(0);
                        self.rest.d.next = len;
                        to = Step::Read;
                    } else if self.at_most.q.val() {
                        drop_now = true;
                    } else if !self.at_last.q.val() {
                        self.index.d.next = next;
                        self.rest.d.next = self.rest.q.val() - piece;
                        to = Step::Read;
                    } else if give_up {
                        drop_now = true;
                    } else {
                        self.waiting.d.next = true;
                        to = Step::Look;
                    }
                } else if o_free {
                    self.o_valid.d.next = true;
                    self.index.d.next = next;
                    self.rest.d.next = self.rest.q.val() - piece;
                    to = Step::Read;
                    // With each segment: the host may refill as soon as that is complete.
                    self.h_valid.d.next = true;
                    self.h_value.d.next = moved;
                    self.h_hint.d.next = bit_cast::<3, 16>(moved) == 0;
                    if covers {
                        heads_we = true;
                        heads_wdata.count = moved;
                        self.s_frame.d.next = true;
                    }
                }
            }
            Step::Drop => {
                segment.drop = true;
                if o_free {
                    self.o_valid.d.next = true;
                    match self.reason.q.val() {
                        Reason::NoQueue => {
                            self.s_no_queue.d.next = true;
                        }
                        Reason::Broken => {
                            self.s_broken.d.next = true;
                        }
                        Reason::NoDescriptor => {
                            self.s_no_descriptor.d.next = true;
                            // Waited in vain: not again.
                            if timeout {
                                heads_we = true;
                                heads_wdata = Head { count: self.taken.q.val(), no_wait: true };
                            }
                        }
                    }
                }
            }
            Step::Marker => {
                segment.report.marker = true;
                segment.report.cq = self.marker.cq.val();
                if o_free {
                    self.o_valid.d.next = true;
                    marker_taken = true;
                    heads_we = true;
                    heads_waddr = bit_cast::<Q, 8>(self.marker.queue.val());
                    self.h_valid.d.next = true;
                    self.h_queue.d.next = self.marker.queue.val();
                    to = Step::Look;
                }
            }
        }
        if drop_now {
            to = Step::Drop;
            self.reason.d.next = reason;
        }
        if o_free {
            self.o_data.d.next = segment;
        }
        self.desc.index.next = desc_index;
        self.heads.we.next = heads_we;
        self.heads.waddr.next = heads_waddr;
        self.heads.wdata.next = heads_wdata;
        self.marker.ready.next = marker_taken;

        // A frame for which nothing stands in the way is already looked up.
        let pull = (release || !self.f_valid.q.val()) && self.step.q.val() != Step::Walk;
        let take = pull && n_valid;
        let looked_up = sending
            && n_valid
            && self.l_next.q.val()
            && !self.marker.valid.val()
            && n.flow.valid
            && self.l_exists.q.val()
            && !self.l_broken.q.val()
            && self.l_some.q.val();
        if release {
            to = if looked_up { Step::Read } else { Step::Look };
            self.waiting.d.next = false;
            self.timer.d.next = lit::<12>(0);
            self.timeout.d.next = false;
            self.taken.d.next = self.l_head.q.val();
            self.no_wait.d.next = self.l_no_wait.q.val();
            self.avail.d.next = self.l_avail.q.val();
            self.pending.d.next = self.l_pending.q.val();
            self.cq.d.next = self.l_cq.q.val();
            self.index.d.next = lit::<5>(0);
            self.rest.d.next = n.len;
            self.send.d.next = false;
        }
        if release || !self.f_valid.q.val() {
            self.f_valid.d.next = take;
            self.f_frame.d.next = n;
        }
        if take {
            self.f_row.d.next = self.free_row.q.val();
            self.free_row.d.next = self.free_row.q.val() + rows::<L>(n.len);
        }
        self.l_next.d.next = n_valid && !take && !again;
        // A change of heads invalidates the lookup, but for that of a frame that is sent, which the
        // lookup has counted.
        self.l_here.d.next = (take || again) && (checking || !heads_we);

        self.step.d.next = to;
        self.checking.d.next = to == Step::Check;

        self.frames.in_valid.next = self.frame.valid.val();
        self.frames.in_data.next = self.frame.data.val();
        self.frames.out_ready.next = pull;
        self.frame.ready.next = self.frames.in_ready.val();

        self.head.put(Taken {
            valid: self.h_valid.q.val(),
            hint: self.h_hint.q.val(),
            queue: self.h_queue.q.val(),
            value: self.h_value.q.val(),
        });
        self.seg.valid.next = self.o_valid.q.val();
        self.seg.data.next = self.o_data.q.val();
        self.stat_frame.next = self.s_frame.q.val();
        self.stat_bytes.next = self.s_bytes.q.val();
        self.stat_drop_no_descriptor.next = self.s_no_descriptor.q.val();
        self.stat_drop_no_queue.next = self.s_no_queue.q.val();
        self.stat_drop_dma_error.next = self.s_broken.q.val();
    }
}
