//! Receive submission queues: their contexts, and descriptors fetched ahead of the frames.
//!
//! **Contexts.** RAM holds the context of every receive queue: base, depth, completion queue, and
//! four free-running 16-bit counts of descriptors. `tail` is what the doorbell says, `fetched` is
//! asked for, `present` has arrived, in ring order, and `head` is assigned to frames: a copy, as
//! `rx/assign` owns it and sends each change on `head`.
//!
//! **Cache.** It holds up to 2^R descriptors a queue: descriptor n of queue q is at byte {q, n mod
//! 2^R, 0000}. R >= 5, so that a frame of [MAX_DESCS](super::words::MAX_DESCS) buffers can be
//! covered while fewer than the 8 free places are refilled. M is log2 of the rows in each of the
//! cache's two banks: Q + R + 3 - log2 K.
//!
//! **Turns.** One state machine serves in turn a context command, a doorbell, or the fetches of a
//! queue: of the queue served last if it wants more, of one that `rx/assign` took 8 descriptors
//! from (a hint, which may be lost), else of the next one round robin, so that no queue depends on
//! a hint. A turn takes 4 cycles. If 8 places are free it requests what the doorbell allows, at
//! most 16 descriptors and never across a multiple of 16 nor the ring's end, as one read request
//! with one of 32 fetch slots (8 with `_small`).
//!
//! **Arrivals.** Fetches end in any order. A slot whose read is complete is retired when it is the
//! next of its queue. The `done` event finds it at once in the common case, else a poll of one slot
//! a cycle. A fetch stuck in the host delays its own queue alone.
//!
//! **Refused.** A doorbell of an absent queue, or one that goes backwards or beyond the ring, is
//! counted (`stat_doorbell_illegal`) and ignored. A fetch with a DMA error marks its queue broken
//! (`stat_fetch_error`): nothing more is fetched for it, and `rx/assign` drops its frames until it
//! is created again.
//!
//! **Create** takes one turn; the queue must not exist. **Destroy** takes the queue away from
//! doorbells, fetches and frames, waits until its fetches have ended, sends a `marker` down the
//! pipeline and is done with `marker_ack`. Destroying an absent queue does nothing.
//!
//! After `reset` a walk of 2^Q cycles clears the contexts; until it ends nothing is taken, and no
//! lookup finds a queue.

use super::words::{DescSnk, LookSnk, MarkerSrc, RxDesc, TakenSnk};
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::op_tracker::OpTracker;
use crate::common::ram::{BankedRam, LutRam};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Turn {
    Walk,
    Pick,
    Read,
    Weigh,
    Act,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Kind {
    Bell,
    Fetch,
    Context,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Ending {
    Idle,
    Drain,
    Marker,
    Answer,
    Done,
}

/// Whether a queue exists, and where its completions go.
#[record]
struct Target {
    cq: Bits<8>,
    exists: Bit,
}

/// What only commands change of a queue.
#[record]
struct Ring {
    base: Bits<48>,
    log_depth: Bits<4>,
    target: Target,
}

/// What has come of a queue's fetches.
#[record]
struct Present {
    /// Descriptors that have arrived.
    count: Bits<16>,
    broken: Bit,
}

/// A fetch under way.
#[record]
struct Fetch {
    queue: Bits<8>,
    /// Its first descriptor.
    start: Bits<16>,
    count: Bits<5>,
}

#[derive(LogicBlock, Default)]
pub struct RxPrefetch<
    const D: usize,
    const K: usize,
    const L: usize,
    const Q: usize,
    const R: usize,
    const M: usize,
> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub doorbell: DoorbellSnk,
    pub ctx: CtxCmdSnk,
    pub fetch: ReadReqSrc,
    pub bus: ReadBusSnk<D, K>,
    pub look: LookSnk,
    pub desc: DescSnk,
    pub head: TakenSnk,
    pub marker: MarkerSrc,
    pub marker_ack: Signal<In, Bit>,
    pub stat_doorbell: Signal<Out, Bit>,
    pub stat_doorbell_illegal: Signal<Out, Bit>,
    pub stat_fetch_error: Signal<Out, Bit>,
    // Contexts, a copy for each reader.
    cfg: LutRam<Ring, Q>,
    cfg_look: LutRam<Target, Q>,
    tail: LutRam<Bits<16>, Q>,
    tail_look: LutRam<Bits<16>, Q>,
    fetched: LutRam<Bits<16>, Q>,
    heads: LutRam<Bits<16>, Q>,
    present: LutRam<Present, Q>,
    present_retire: LutRam<Present, Q>,
    present_look: LutRam<Present, Q>,
    cache: BankedRam<D, K, M>,
    desc_shift: Reg<Bits<10>>,
    walk: Reg<Bits<9>>,
    // The doorbell waiting.
    bell_full: Reg<Bit>,
    bell_queue: Reg<Bits<8>>,
    bell_tail: Reg<Bits<16>>,
    after_bell: Reg<Bit>,
    // The turn.
    turn: Reg<Turn>,
    kind: Reg<Kind>,
    queue: Reg<Bits<8>>,
    again: Reg<Bit>,
    scan: Reg<Bits<8>>,
    hints: Fifo<Bits<8>, 3>,
    t_cfg: Reg<Ring>,
    t_tail: Reg<Bits<16>>,
    t_fetched: Reg<Bits<16>>,
    t_avail: Reg<Bits<16>>,
    t_used: Reg<Bits<16>>,
    t_ahead: Reg<Bits<16>>,
    t_limit: Reg<Bits<5>>,
    t_broken: Reg<Bit>,
    t_drained: Reg<Bit>,
    /// The next slot is free; its lap.
    t_slot_free: Reg<Bit>,
    t_lap: Reg<Bit>,
    // The turn's decision.
    a_count: Reg<Bits<5>>,
    a_go: Reg<Bit>,
    a_legal: Reg<Bit>,
    // The end of a queue.
    ending: Reg<Ending>,
    end_cq: Reg<Bits<8>>,
    // The read request.
    f_valid: Reg<Bit>,
    f_addr: Reg<Bits<64>>,
    f_len: Reg<Bits<16>>,
    f_dst: Reg<Bits<20>>,
    f_op: Reg<Bits<9>>,
    // Fetch slots.
    slot: Reg<Bits<5>>,
    busy: Reg<Bits<32>>,
    lap: Reg<Bits<32>>,
    recs: LutRam<Fetch, 5>,
    tracker: OpTracker<5>,
    dones: Fifo<Bits<5>, 3>,
    poll: Reg<Bits<5>>,
    r1_slot: Reg<Bits<5>>,
    r2_slot: Reg<Bits<5>>,
    r2_rec: Reg<Fetch>,
    r2_lap: Reg<Bit>,
    r2_busy: Reg<Bit>,
    r3_complete: Reg<Bit>,
    r3_err: Reg<Bit>,
    r3_bit: Reg<Bits<32>>,
    r3_rec: Reg<Fetch>,
    // One retires.
    r4_retire: Reg<Bit>,
    r4_bit: Reg<Bits<32>>,
    r4_queue: Reg<Bits<Q>>,
    r4_present: Reg<Present>,
    bell_stat: Reg<Bit>,
    illegal_stat: Reg<Bit>,
    error_stat: Reg<Bit>,
    pub _small: bool,
}

/// Byte address of a descriptor in the cache.
#[kernel]
fn place<const R: usize>(queue: Bits<8>, index: Bits<16>) -> Bits<20> {
    (bit_cast::<20, 8>(queue) << lit::<20>(R + 4))
        | (bit_cast::<20, R>(bit_cast::<R, 16>(index)) << lit::<20>(4))
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const Q: usize,
        const R: usize,
        const M: usize,
    > Logic for RxPrefetch<D, K, L, Q, R, M>
{
    /// Receive queue contexts and their prefetched descriptors.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; desc_shift, walk, bell_full, after_bell, turn, kind, queue,
            again, scan, t_broken, t_drained, ending, f_valid, slot, busy, lap, poll, r1_slot,
            r2_slot, r2_lap, r2_busy, r3_complete, r3_err, r4_retire, t_slot_free, t_lap, a_count,
            a_go, a_legal, bell_stat, illegal_stat, error_stat);
        registers!(self, clock; bell_queue, bell_tail, t_cfg, t_tail, t_fetched, t_avail, t_used,
            t_ahead, t_limit, end_cq, f_addr, f_len, f_dst, f_op, r2_rec, r3_bit, r3_rec, r4_bit,
            r4_queue, r4_present);
        clocked!(self, clock, reset; hints, tracker, dones);
        clocked!(self, clock; cfg, cfg_look, tail, tail_look, fetched, heads, present,
            present_retire, present_look, cache, recs);

        let walking = self.walk.q.val() != lit::<9>(1 << Q);
        let queue = self.queue.q.val();
        let at = bit_cast::<Q, 8>(queue);
        let in_range = (bit_cast::<9, 8>(queue) >> lit::<9>(Q)) == 0;

        let slots = lit::<5>(31 - 24 * (self._small as usize));
        let used = if self._small { lit::<32>(0xff) } else { lit::<32>(0xffff_ffffu32) };

        // ---- Arrivals: a slot a cycle, the one that just ended or the next polled.
        let done = self.bus.done_valid.val() && self.bus.done_client.val() == client::RX_DESC;
        let issue = self.bus.issue_valid.val() && self.bus.issue_client.val() == client::RX_DESC;
        self.tracker.issue_valid.next = issue;
        let known = lit::<9>(0x11f - 24 * (self._small as usize));
        self.tracker.issue_op.next = self.bus.issue_op.val() & known;
        self.tracker.issue_last.next = self.bus.issue_last.val();
        self.tracker.done_valid.next = done;
        self.tracker.done_op.next = self.bus.done_op.val() & known;
        self.tracker.done_err.next = self.bus.done_err.val();
        self.dones.in_valid.next = done;
        self.dones.in_data.next = bit_cast::<5, 9>(self.bus.done_op.val());
        self.dones.out_ready.next = true;
        if self.dones.out_valid.val() {
            self.r1_slot.d.next = self.dones.out_data.val() & slots;
        } else {
            self.r1_slot.d.next = self.poll.q.val();
            self.poll.d.next = (self.poll.q.val() + 1) & slots;
        }
        self.recs.raddr.next = self.r1_slot.q.val();
        self.r2_slot.d.next = self.r1_slot.q.val();
        self.r2_rec.d.next = self.recs.rdata.val();
        // Of the same cycle as the record.
        let r1_bit = lit::<32>(1) << bit_cast::<32, 5>(self.r1_slot.q.val());
        self.r2_lap.d.next = (self.lap.q.val() & r1_bit).any();
        self.r2_busy.d.next = (self.busy.q.val() & r1_bit).any();
        let r2_bit = lit::<32>(1) << bit_cast::<32, 5>(self.r2_slot.q.val());
        let r2_op = Op { slot: bit_cast::<8, 5>(self.r2_slot.q.val()), lap: self.r2_lap.q.val() };
        self.tracker.query.next = r2_op.to_bits::<9>();
        self.r3_complete.d.next = self.tracker.complete.val() && self.r2_busy.q.val();
        self.r3_err.d.next = self.tracker.err.val();
        self.r3_bit.d.next = r2_bit;
        self.r3_rec.d.next = self.r2_rec.q.val();
        let r_rec = self.r3_rec.q.val();
        let r_queue = bit_cast::<Q, 8>(r_rec.queue);
        let r_bit = self.r3_bit.q.val();
        self.present_retire.raddr.next = r_queue;
        // The slot before may be retiring in this cycle. A stale look at a slot that has just
        // been retired fails here: its queue is past the record's start.
        let moved = self.r4_retire.q.val() && self.r4_queue.q.val() == r_queue;
        let r_past = self.r4_present.q.val();
        let r_old = self.present_retire.rdata.val();
        let in_turn = if moved { r_rec.start == r_past.count } else { r_rec.start == r_old.count };
        let was_broken = if moved { r_past.broken } else { r_old.broken };
        let ends = self.r3_complete.q.val() && in_turn && !walking;
        self.error_stat.d.next = ends && self.r3_err.q.val();
        self.r4_retire.d.next = ends;
        self.r4_bit.d.next = r_bit;
        self.r4_queue.d.next = r_queue;
        self.r4_present.d.next = Present {
            count: r_rec.start + bit_cast::<16, 5>(r_rec.count),
            broken: was_broken || self.r3_err.q.val(),
        };
        let retire = self.r4_retire.q.val();
        let mut busy = self.busy.q.val();
        if retire {
            busy = busy & !self.r4_bit.q.val();
        }

        // ---- Turns.
        if !self.bell_full.q.val() && self.doorbell.valid.val() && !walking {
            self.bell_full.d.next = true;
            self.bell_queue.d.next = self.doorbell.queue.val();
            self.bell_tail.d.next = self.doorbell.tail.val();
        }
        self.doorbell.ready.next = !self.bell_full.q.val() && !walking;
        if self.fetch.ready.val() {
            self.f_valid.d.next = false;
        }
        self.hints.in_valid.next = self.head.valid.val() && self.head.hint.val();
        self.hints.in_data.next = self.head.queue.val();
        let mut hint_taken = false;

        let slot = self.slot.q.val();
        let slot_bit = lit::<32>(1) << bit_cast::<32, 5>(slot);
        let slot_free = !(self.busy.q.val() & slot_bit).any();
        self.t_slot_free.d.next = slot_free;
        self.t_lap.d.next = (self.lap.q.val() & slot_bit).any();

        let c = self.t_cfg.q.val();
        let exists = c.target.exists && in_range;
        let depth = lit::<17>(1) << bit_cast::<17, 4>(c.log_depth);
        let ring_mask = bit_cast::<16, 17>(depth - 1);
        // A doorbell may advance to a full ring, counted from what frames have taken.
        let bell_used = bit_cast::<17, 16>(self.bell_tail.q.val() - self.t_tail.q.val())
            + bit_cast::<17, 16>(self.t_used.q.val());
        self.a_legal.d.next = exists && bell_used <= depth;
        let bell_legal = self.a_legal.q.val();
        // No more than 2^R are ahead; 16 are asked for at most.
        let ahead = bit_cast::<9, 16>(self.t_ahead.q.val());
        let roomy = ahead <= lit::<9>((1 << R) - 8);
        let free = if ahead <= lit::<9>((1 << R) - 16) {
            lit::<5>(16)
        } else {
            lit::<5>(0) - bit_cast::<5, 9>(ahead)
        };
        let posted = self.t_avail.q.val();
        let avail = if posted >= 16 { lit::<5>(16) } else { bit_cast::<5, 16>(posted) };
        let least = if avail < free { avail } else { free };
        let limit = self.t_limit.q.val();
        self.a_count.d.next = if limit < least { limit } else { least };
        let count = bit_cast::<16, 5>(self.a_count.q.val());
        self.a_go.d.next = exists
            && !self.t_broken.q.val()
            && self.t_avail.q.val() != 0
            && roomy
            && self.t_slot_free.q.val();
        let go = self.a_go.q.val();
        let command = self.ctx.valid.val() && self.ending.q.val() == Ending::Idle;

        let mut tail_we = walking;
        let mut tail_wdata = lit::<16>(0);
        let mut fetched_we = walking;
        let mut fetched_wdata = lit::<16>(0);
        let mut cfg_we = walking;
        let mut cfg_wdata = Ring {
            base: lit::<48>(0),
            log_depth: lit::<4>(0),
            target: Target { cq: lit::<8>(0), exists: false },
        };
        let mut rec_we = false;
        let mut clear = walking;
        self.bell_stat.d.next = false;
        self.illegal_stat.d.next = false;
        match self.turn.q.val() {
            Turn::Walk => {
                if walking {
                    self.walk.d.next = self.walk.q.val() + 1;
                } else if self.tracker.ready.val() {
                    self.turn.d.next = Turn::Pick;
                }
            }
            Turn::Pick => {
                self.turn.d.next = Turn::Read;
                // A doorbell waits for one other turn at most.
                if command {
                    self.kind.d.next = Kind::Context;
                    self.queue.d.next = self.ctx.idx.val();
                } else if self.bell_full.q.val()
                    && (!self.after_bell.q.val() || self.f_valid.q.val())
                {
                    self.kind.d.next = Kind::Bell;
                    self.queue.d.next = self.bell_queue.q.val();
                    self.after_bell.d.next = true;
                } else if self.f_valid.q.val() {
                    self.turn.d.next = Turn::Pick;
                } else {
                    self.kind.d.next = Kind::Fetch;
                    self.after_bell.d.next = false;
                    if self.again.q.val() {
                        self.again.d.next = false;
                    } else if self.hints.out_valid.val() {
                        self.queue.d.next = self.hints.out_data.val();
                        hint_taken = true;
                    } else {
                        self.queue.d.next = self.scan.q.val();
                        self.scan.d.next = if self.scan.q.val() == lit::<8>((1 << Q) - 1) {
                            lit::<8>(0)
                        } else {
                            self.scan.q.val() + 1
                        };
                    }
                }
            }
            Turn::Read => {
                self.turn.d.next = Turn::Weigh;
            }
            Turn::Weigh => {
                if !self.t_slot_free.q.val() {
                    self.slot.d.next = (slot + 1) & slots;
                }
                self.turn.d.next = Turn::Act;
            }
            Turn::Act => {
                self.turn.d.next = Turn::Pick;
                match self.kind.q.val() {
                    Kind::Bell => {
                        self.bell_full.d.next = false;
                        self.bell_stat.d.next = true;
                        self.illegal_stat.d.next = !bell_legal;
                        tail_we = bell_legal;
                        tail_wdata = self.bell_tail.q.val();
                        self.again.d.next = bell_legal;
                    }
                    Kind::Fetch => {
                        if go {
                            fetched_we = true;
                            fetched_wdata = self.t_fetched.q.val() + count;
                            rec_we = true;
                            busy = busy | slot_bit;
                            self.lap.d.next = (self.lap.q.val() ^ slot_bit) & used;
                            self.slot.d.next = (slot + 1) & slots;
                            self.f_valid.d.next = true;
                            self.again.d.next = true;
                        }
                        if self.t_drained.q.val()
                            && self.ending.q.val() == Ending::Drain
                            && queue == self.ctx.idx.val()
                        {
                            self.ending.d.next = Ending::Marker;
                        }
                    }
                    Kind::Context => {
                        if !self.ctx.destroy.val() {
                            // The copies of `present` have one write port, which an arrival may be
                            // using.
                            if retire {
                                self.turn.d.next = Turn::Act;
                            } else {
                                cfg_we = in_range;
                                cfg_wdata = Ring {
                                    base: bit_cast::<48, 64>(self.ctx.base.val()),
                                    log_depth: self.ctx.log_depth.val(),
                                    target: Target { cq: self.ctx.cq.val(), exists: true },
                                };
                                tail_we = in_range;
                                fetched_we = in_range;
                                clear = in_range;
                                self.ending.d.next = Ending::Done;
                            }
                        } else if exists {
                            cfg_we = true;
                            cfg_wdata = c;
                            cfg_wdata.target.exists = false;
                            self.end_cq.d.next = c.target.cq;
                            self.ending.d.next = Ending::Drain;
                        } else {
                            self.ending.d.next = Ending::Done;
                        }
                    }
                }
            }
        }
        self.hints.out_ready.next = hint_taken;
        self.busy.d.next = busy & used;
        if self.turn.q.val() == Turn::Act {
            let index = self.t_fetched.q.val();
            if !self.f_valid.q.val() {
                self.f_addr.d.next = bit_cast::<64, 48>(c.base)
                    + (bit_cast::<64, 16>(index & ring_mask) << lit::<64>(4));
                self.f_len.d.next = count << lit::<16>(4);
                self.f_dst.d.next = place::<R>(queue, index);
                let op = Op { slot: bit_cast::<8, 5>(slot), lap: !self.t_lap.q.val() };
                self.f_op.d.next = op.to_bits::<9>();
            }
        }
        self.fetch.valid.next = self.f_valid.q.val();
        self.fetch.put(ReadReq {
            addr: self.f_addr.q.val(),
            len: self.f_len.q.val(),
            dst: self.f_dst.q.val(),
            op: self.f_op.q.val(),
            last: true,
        });
        self.recs.we.next = rec_we;
        self.recs.waddr.next = slot;
        self.recs.wdata.next =
            Fetch { queue, start: self.t_fetched.q.val(), count: self.a_count.q.val() };
        self.stat_doorbell.next = self.bell_stat.q.val();
        self.stat_doorbell_illegal.next = self.illegal_stat.q.val();
        self.stat_fetch_error.next = self.error_stat.q.val();

        // ---- The end of a queue.
        if self.ending.q.val() == Ending::Marker && self.marker.ready.val() {
            self.ending.d.next = Ending::Answer;
        }
        if self.ending.q.val() == Ending::Answer && self.marker_ack.val() {
            self.ending.d.next = Ending::Done;
        }
        if self.ending.q.val() == Ending::Done {
            self.ending.d.next = Ending::Idle;
        }
        self.ctx.ready.next = self.ending.q.val() == Ending::Done;
        self.marker.valid.next = self.ending.q.val() == Ending::Marker;
        self.marker.queue.next = self.ctx.idx.val();
        self.marker.cq.next = self.end_cq.q.val();

        // ---- Contexts.
        let waddr = if walking { bit_cast::<Q, 9>(self.walk.q.val()) } else { at };
        self.cfg.we.next = cfg_we;
        self.cfg.waddr.next = waddr;
        self.cfg.wdata.next = cfg_wdata;
        self.cfg.raddr.next = at;
        self.cfg_look.we.next = cfg_we;
        self.cfg_look.waddr.next = waddr;
        self.cfg_look.wdata.next = cfg_wdata.target;
        self.tail.we.next = tail_we;
        self.tail.waddr.next = waddr;
        self.tail.wdata.next = tail_wdata;
        self.tail.raddr.next = at;
        self.tail_look.we.next = tail_we;
        self.tail_look.waddr.next = waddr;
        self.tail_look.wdata.next = tail_wdata;
        self.fetched.we.next = fetched_we;
        self.fetched.waddr.next = waddr;
        self.fetched.wdata.next = fetched_wdata;
        self.fetched.raddr.next = at;
        self.heads.we.next = walking || self.head.valid.val();
        self.heads.waddr.next =
            if walking { waddr } else { bit_cast::<Q, 8>(self.head.queue.val()) };
        self.heads.wdata.next = if walking { lit::<16>(0) } else { self.head.value.val() };
        self.heads.raddr.next = at;
        let present_we = clear || retire;
        let present_waddr = if clear { waddr } else { self.r4_queue.q.val() };
        let none = Present { count: lit::<16>(0), broken: false };
        let present_wdata = if clear { none } else { self.r4_present.q.val() };
        self.present.we.next = present_we;
        self.present.waddr.next = present_waddr;
        self.present.wdata.next = present_wdata;
        self.present.raddr.next = at;
        self.present_retire.we.next = present_we;
        self.present_retire.waddr.next = present_waddr;
        self.present_retire.wdata.next = present_wdata;
        self.present_look.we.next = present_we;
        self.present_look.waddr.next = present_waddr;
        self.present_look.wdata.next = present_wdata;

        // What a turn reads, for its last cycle.
        let now_cfg = self.cfg.rdata.val();
        let now_log = now_cfg.log_depth;
        let now_fetched = self.fetched.rdata.val();
        let batch =
            if now_log < 4 { lit::<5>(1) << bit_cast::<5, 4>(now_log) } else { lit::<5>(16) };
        self.t_cfg.d.next = now_cfg;
        self.t_tail.d.next = self.tail.rdata.val();
        self.t_fetched.d.next = now_fetched;
        self.t_avail.d.next = self.tail.rdata.val() - now_fetched;
        self.t_used.d.next = self.tail.rdata.val() - self.heads.rdata.val();
        self.t_ahead.d.next = now_fetched - self.heads.rdata.val();
        self.t_limit.d.next = batch - (bit_cast::<5, 16>(now_fetched) & (batch - 1));
        self.t_broken.d.next = self.present.rdata.val().broken;
        self.t_drained.d.next = now_fetched == self.present.rdata.val().count;

        // ---- Lookups.
        let look_at = bit_cast::<Q, 8>(self.look.queue.val());
        self.cfg_look.raddr.next = look_at;
        self.tail_look.raddr.next = look_at;
        self.present_look.raddr.next = look_at;
        let target = self.cfg_look.rdata.val();
        let present = self.present_look.rdata.val();
        self.look.exists.next = target.exists
            && (bit_cast::<9, 8>(self.look.queue.val()) >> lit::<9>(Q)) == 0
            && !walking;
        self.look.cq.next = target.cq;
        self.look.broken.next = present.broken;
        self.look.present.next = present.count;
        self.look.pending.next = self.tail_look.rdata.val() != present.count;

        // ---- The cache.
        self.cache.we.next =
            self.bus.data_valid.val() && self.bus.data_client.val() == client::RX_DESC;
        self.cache.row.next = self.bus.data_row.val();
        self.cache.data.next = self.bus.data.val();
        self.cache.be_lo.next = self.bus.be_lo.val();
        self.cache.be_hi.next = self.bus.be_hi.val();
        let wanted = place::<R>(self.desc.queue.val(), self.desc.index.val());
        self.cache.read_row.next = bit_cast::<16, 20>(wanted >> lit::<20>(L));
        self.desc_shift.d.next = bit_cast::<10, 20>(wanted & lit::<20>(K - 1)) << lit::<10>(3);
        let shifted = self.cache.read_data.val() >> self.desc_shift.q.val();
        self.desc.data.next = RxDesc::from_bits(bit_cast::<128, D>(shifted));
    }
}
