//! Transmit submission queues: their contexts, and whose descriptors are fetched next.
//!
//! Owns the context of each of the 2^Q queues, in RAM: base, depth and completion queue from the create command, `tail` (what
//! the doorbell says) and `head` (descriptors asked for), both free-running 16-bit counts.
//!
//! **Ports.** `doorbell` and `ctx` in; `fetch` asks for batches of descriptors, `ask_*` for lines of a queue that is pushed; `batch_*` tells
//! `tx/parse` of each, in the same order; `slot_free` gives the oldest batch slot back; `broken_*` stops a queue whose descriptors could not
//! be read; `marker_ack` says that a queue's end came all the way through `host/cq`.
//!
//! **Turns.** One state machine takes, in turns of 3 cycles: a broken queue, a context command, a doorbell, a batch. Doorbells
//! and batches alternate while both wait, and doorbells go on while batches can't: `doorbell` never waits for anything
//! but turns. Queues with descriptors to fetch wait in a FIFO, each at most once, so that it can't overflow. A turn asks for up to
//! 16 descriptors (8 with `_small`), never across the ring's end: one request, to byte 256 * slot of the descriptor cache, as operation
//! {lap, slot}; a queue with more goes to the back. That is a round robin with a quantum of a batch: weights and rate
//! limits belong where the queue goes back ("quantum" below). A command waits until the doorbell before it is done. From doorbell to request takes 7 cycles in an idle block.
//!
//! **Pushed queues**, `ctx.placement` 1 or 2, have lines of 128 or 256 bytes in the card instead of a ring in the host: base and doorbell count in them, and
//! a turn takes up to two lines, or a wide one, as many as a batch slot has room for. There are 2^N lines of 128 bytes; with N = 0 there
//! are no pushed queues.
//!
//! **Full.** With 32 batches under way, or `fetch` refusing, no batch is taken: queues wait, nothing is lost.
//!
//! **Refused.** A doorbell of an absent queue, beyond the ring as seen from `head`, or backwards, is counted
//! (`stat_doorbell_illegal`, besides `stat_doorbell`) and ignored.
//!
//! **Create** takes one turn; the queue must not exist. **Destroy** keeps the queue from doorbells and turns, sends a marker
//! behind its last batch and is done with `marker_ack`. Destroying an absent queue does nothing.
//!
//! After `reset` a walk of 2^Q cycles clears the contexts, then the block waits until `tx/parse` is ready for a batch.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::LutRam;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Turn {
    Walk,
    Pick,
    Read,
    Act,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Kind {
    Broken,
    Context,
    Bell,
    Batch,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Command {
    Idle,
    Marker,
    Done,
}

/// What the create command said.
mod cfg {
    /// Base address over 64.
    pub const BASE: usize = 0;
    pub const LOG: usize = 58;
    pub const CQ: usize = 62;
    /// 0 in host memory, 1 lines, 2 wide lines.
    pub const LINES: usize = 70;
}

const CFG_W: usize = 72;

/// What moves.
mod pos {
    pub const HEAD: usize = 0;
    pub const TAIL: usize = 16;
    /// The queue is in the FIFO, or in the turn under way.
    pub const ACTIVE: usize = 32;
    pub const BROKEN: usize = 33;
    pub const EXISTS: usize = 34;
}
const POS_W: usize = 35;

#[derive(LogicBlock, Default)]
pub struct TxSched<const Q: usize, const N: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub doorbell: DoorbellSnk,
    pub ctx: CtxCmdSnk,
    pub fetch: ReadReqSrc,
    pub ask_valid: Signal<Out, Bit>,
    pub ask_ready: Signal<In, Bit>,
    /// In units of 128 bytes.
    pub ask_line: Signal<Out, Bits<16>>,
    pub ask_two: Signal<Out, Bit>,
    pub ask_wide: Signal<Out, Bit>,
    pub ask_op: Signal<Out, Bits<9>>,
    pub batch_valid: Signal<Out, Bit>,
    pub batch_ready: Signal<In, Bit>,
    pub batch_queue: Signal<Out, Bits<8>>,
    pub batch_cq: Signal<Out, Bits<8>>,
    /// {lap, slot}; a marker has none.
    pub batch_op: Signal<Out, Bits<9>>,
    /// 1..=16
    pub batch_count: Signal<Out, Bits<5>>,
    /// Of lines: `batch_count` means nothing.
    pub batch_lines: Signal<Out, Bit>,
    pub batch_marker: Signal<Out, Bit>,
    pub slot_free: Signal<In, Bit>,
    pub broken_valid: Signal<In, Bit>,
    pub broken_queue: Signal<In, Bits<8>>,
    pub marker_ack: Signal<In, Bit>,
    pub stat_doorbell: Signal<Out, Bit>,
    pub stat_doorbell_illegal: Signal<Out, Bit>,
    cfg: LutRam<Bits<CFG_W>, Q>,
    pos: LutRam<Bits<POS_W>, Q>,
    walk: Reg<Bits<9>>,
    bell_full: Reg<Bit>,
    bell_queue: Reg<Bits<8>>,
    bell_tail: Reg<Bits<16>>,
    /// The last doorbell or batch turn was a doorbell's.
    after_bell: Reg<Bit>,
    // As many places as there are queues: each is in there once, and breaks once in its life.
    active: Fifo<Bits<8>, Q>,
    broken: Fifo<Bits<8>, Q>,
    // The turn.
    turn: Reg<Turn>,
    kind: Reg<Kind>,
    queue: Reg<Bits<8>>,
    t_cfg: Reg<Bits<CFG_W>>,
    t_pos: Reg<Bits<POS_W>>,
    t_waiting: Reg<Bits<16>>,
    t_advance: Reg<Bits<16>>,
    t_depth: Reg<Bits<16>>,
    t_index: Reg<Bits<16>>,
    /// One less than a turn may ask for, not looking at what waits.
    t_most: Reg<Bits<4>>,
    command: Reg<Command>,
    // Batch slots: the next one, whether its lap is an even one, and how many are under way.
    slot: Reg<Bits<5>>,
    even_lap: Reg<Bit>,
    slots_used: Reg<Bits<6>>,
    // {count, slot, lap, address over 16}; {line, wide, two, lap, slot}
    requests: Skid<Bits<71>>,
    asks: Skid<Bits<24>>,
    b_valid: Reg<Bit>,
    b_cq: Reg<Bits<8>>,
    b_op: Reg<Bits<9>>,
    b_count: Reg<Bits<5>>,
    b_queue: Reg<Bits<8>>,
    b_lines: Reg<Bit>,
    b_marker: Reg<Bit>,
    bell_stat: Reg<Bit>,
    illegal_stat: Reg<Bit>,
    /// Batches of 8 at most.
    _small: bool,
}

impl<const Q: usize, const N: usize> TxSched<Q, N> {
    /// `small`: batches of 8, 16 of them under way.
    pub fn new(small: bool) -> Self {
        Self {
            requests: Skid::new(small),
            asks: Skid::new(small),
            _small: small,
            ..Self::default()
        }
    }
}

impl<const Q: usize, const N: usize> Logic for TxSched<Q, N> {
    /// Transmit queue contexts, doorbells, and the order in which descriptors are fetched.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; walk, bell_full, after_bell, turn, kind, queue, command, slot, even_lap, slots_used, b_valid, bell_stat, illegal_stat);
        registers!(self, clock; bell_queue, bell_tail, t_cfg, t_pos, t_waiting, t_advance, t_depth, t_index, t_most, b_cq, b_op, b_count,
            b_queue, b_lines, b_marker);
        clocked!(self, clock, reset; active, broken, requests, asks);
        clocked!(self, clock; cfg, pos);

        let walking = self.walk.q.val() != lit::<9>(1 << Q);
        let queue = self.queue.q.val();
        let in_range = (bit_cast::<9, 8>(queue) >> lit::<9>(Q)) == 0;
        let with_lines = !lit::<1>((N == 0) as usize).any();
        let slot = self.slot.q.val();

        // ---- Inputs.
        if !self.bell_full.q.val() && self.doorbell.valid.val() && !walking {
            self.bell_full.d.next = true;
            self.bell_queue.d.next = self.doorbell.queue.val();
            self.bell_tail.d.next = self.doorbell.tail.val();
        }
        self.doorbell.ready.next = !self.bell_full.q.val() && !walking;
        self.broken.in_valid.next = self.broken_valid.val();
        self.broken.in_data.next = self.broken_queue.val();
        if self.batch_ready.val() {
            self.b_valid.d.next = false;
        }

        // ---- What the turn read.
        let pos = self.t_pos.q.val();
        let cfg = self.t_cfg.q.val();
        let exists = pos.get_bit(pos::EXISTS);
        let broken = pos.get_bit(pos::BROKEN);
        let was_active = pos.get_bit(pos::ACTIVE);
        let head = pos.get_bits::<16>(pos::HEAD);
        let waiting = self.t_waiting.q.val();
        // Legal: at most a full ring ahead of what was fetched, and not behind what was posted before.
        let bell_legal = exists
            && self.t_advance.q.val() <= self.t_depth.q.val()
            && self.t_advance.q.val() >= waiting;
        let lines = (cfg.get_bit(cfg::LINES) || cfg.get_bit(cfg::LINES + 1)) && with_lines;
        let wide = cfg.get_bit(cfg::LINES + 1) && with_lines;
        // One less than what waits; the turn takes all of it, or as much as it may.
        let waiting_low = waiting.get_bits::<4>(0);
        let waiting_less = waiting_low - 1;
        let waiting_many =
            waiting.get_bits::<11>(5).any() || (waiting.get_bit(4) && waiting_low.any());
        let most = self.t_most.q.val();
        let all = !waiting_many && waiting_less <= most;
        let count = bit_cast::<5, 4>(if all { waiting_less } else { most }) + 1;

        // ---- Turns.
        let batch_held = self.b_valid.q.val() && !self.batch_ready.val();
        let can_fetch = self.active.out_valid.val()
            && self.requests.in_ready.val()
            && self.asks.in_ready.val()
            && !self.slots_used.q.val().get_bit(5 - (self._small as usize))
            && !batch_held;
        // Behind the doorbell that came before it: after a doorbell's turn there is none for a cycle.
        let take_command = self.ctx.valid.val()
            && self.command.q.val() == Command::Idle
            && !self.bell_full.q.val()
            && !batch_held;
        let mut active_pop = false;
        let mut broken_pop = false;
        let mut activate = false;
        let mut request = false;
        let mut pos_we = walking;
        let mut pos_new = lit::<POS_W>(0);
        let mut cfg_we = false;
        self.bell_stat.d.next = false;
        self.illegal_stat.d.next = false;
        match self.turn.q.val() {
            Turn::Walk => {
                if walking {
                    self.walk.d.next = self.walk.q.val() + 1;
                } else if self.batch_ready.val() {
                    self.turn.d.next = Turn::Pick;
                }
            }
            Turn::Pick => {
                self.turn.d.next = Turn::Read;
                if self.broken.out_valid.val() {
                    self.kind.d.next = Kind::Broken;
                    self.queue.d.next = self.broken.out_data.val() & lit::<8>((1 << Q) - 1);
                    broken_pop = true;
                } else if take_command {
                    self.kind.d.next = Kind::Context;
                    self.queue.d.next = self.ctx.idx.val();
                } else if self.bell_full.q.val() && !(self.after_bell.q.val() && can_fetch) {
                    self.kind.d.next = Kind::Bell;
                    self.queue.d.next = self.bell_queue.q.val();
                    self.after_bell.d.next = true;
                } else if can_fetch {
                    self.kind.d.next = Kind::Batch;
                    self.queue.d.next = self.active.out_data.val() & lit::<8>((1 << Q) - 1);
                    self.after_bell.d.next = false;
                    active_pop = true;
                } else {
                    self.turn.d.next = Turn::Pick;
                }
            }
            Turn::Read => {
                self.turn.d.next = Turn::Act;
            }
            Turn::Act => {
                self.turn.d.next = Turn::Pick;
                match self.kind.q.val() {
                    Kind::Broken => {
                        pos_we = exists;
                        pos_new = pos.replace_bit(pos::BROKEN, true);
                    }
                    Kind::Bell => {
                        self.bell_full.d.next = false;
                        self.bell_stat.d.next = true;
                        self.illegal_stat.d.next = !bell_legal;
                        let work = self.t_advance.q.val().any() && !broken;
                        activate = bell_legal && work && !was_active;
                        pos_we = bell_legal;
                        pos_new = pos
                            .set_slice::<16>(pos::TAIL, self.bell_tail.q.val())
                            .replace_bit(pos::ACTIVE, was_active || work);
                    }
                    Kind::Batch => {
                        // A queue may have been destroyed, or broken, while it waited in the FIFO.
                        request = exists && !broken && waiting.any();
                        // The quantum: one batch a turn, then the others.
                        activate = request && !all;
                        pos_we = true;
                        pos_new = pos.replace_bit(pos::ACTIVE, activate);
                        if request {
                            let next = if all {
                                pos.get_bits::<16>(pos::TAIL)
                            } else {
                                head + bit_cast::<16, 4>(most) + 1
                            };
                            pos_new = pos_new.set_slice::<16>(pos::HEAD, next);
                        }
                    }
                    Kind::Context => {
                        // The FIFO may still hold the queue of a former life: `active` outlives it.
                        pos_we = in_range;
                        pos_new = pos_new.replace_bit(pos::ACTIVE, was_active);
                        self.command.d.next = Command::Done;
                        if !self.ctx.destroy.val() {
                            cfg_we = in_range;
                            pos_new = pos_new.replace_bit(pos::EXISTS, true);
                        } else if exists {
                            self.command.d.next = Command::Marker;
                        }
                    }
                }
            }
        }
        self.broken.out_ready.next = broken_pop;
        self.active.out_ready.next = active_pop;
        self.active.in_valid.next = activate;
        self.active.in_data.next = queue;

        // ---- Batches and markers.
        let op = cat::<1, 8, 9>((!self.even_lap.q.val()).into(), bit_cast::<8, 5>(slot));
        let marker = self.turn.q.val() == Turn::Act
            && self.kind.q.val() == Kind::Context
            && self.ctx.destroy.val()
            && exists;
        if request || marker {
            self.b_valid.d.next = true;
            self.b_queue.d.next = queue;
            self.b_cq.d.next = cfg.get_bits::<8>(cfg::CQ) & lit::<8>((2 << Q) - 1);
            self.b_op.d.next = op;
            self.b_count.d.next = count;
            self.b_lines.d.next = lines;
            self.b_marker.d.next = marker;
        }
        self.batch_valid.next = self.b_valid.q.val();
        self.batch_queue.next = self.b_queue.q.val();
        self.batch_cq.next = self.b_cq.q.val();
        self.batch_op.next = self.b_op.q.val();
        self.batch_count.next = self.b_count.q.val();
        self.batch_lines.next = self.b_lines.q.val();
        self.batch_marker.next = self.b_marker.q.val();

        let base = cat::<58, 2, 60>(cfg.get_bits::<58>(cfg::BASE), lit::<2>(0));
        let addr = base + bit_cast::<60, 16>(self.t_index.q.val());
        let lap = !self.even_lap.q.val();
        self.requests.in_valid.next = request && !lines;
        self.requests.in_data.next =
            cat::<5, 66, 71>(count, cat::<5, 61, 66>(slot, cat::<1, 60, 61>(lap.into(), addr)));
        let ask = self.requests.out_data.val();
        let ask_slot = bit_cast::<8, 5>(ask.get_bits::<5>(61));
        self.fetch.valid.next = self.requests.out_valid.val();
        self.requests.out_ready.next = self.fetch.ready.val();
        self.fetch.addr.next = cat::<60, 4, 64>(ask.get_bits::<60>(0), lit::<4>(0));
        self.fetch.op.next = cat::<1, 8, 9>(ask.get_bits::<1>(60), ask_slot);
        self.fetch.dst.next = bit_cast::<20, 16>(cat::<8, 8, 16>(ask_slot, lit::<8>(0)));
        self.fetch.len.next = bit_cast::<16, 9>(cat::<5, 4, 9>(ask.get_bits::<5>(66), lit::<4>(0)));
        self.fetch.last.next = true;
        let index = self.t_index.q.val();
        let line = cfg.get_bits::<16>(cfg::BASE + 1) + if wide { index << 1 } else { index };
        self.asks.in_valid.next = request && lines;
        self.asks.in_data.next = cat::<16, 8, 24>(
            line & lit::<16>((1 << N) - 1),
            cat::<2, 6, 8>(
                cat::<1, 1, 2>(wide.into(), (count == 2).into()),
                cat::<1, 5, 6>(lap.into(), slot),
            ),
        );
        let ask = self.asks.out_data.val();
        self.ask_valid.next = self.asks.out_valid.val();
        self.asks.out_ready.next = self.ask_ready.val();
        self.ask_line.next = ask.get_bits::<16>(8);
        self.ask_wide.next = ask.get_bit(7);
        self.ask_two.next = ask.get_bit(6);
        self.ask_op.next =
            cat::<1, 8, 9>(ask.get_bits::<1>(5), bit_cast::<8, 5>(ask.get_bits::<5>(0)));
        let mut used = self.slots_used.q.val();
        if request {
            let last_slot = lit::<5>(31 - 16 * (self._small as usize));
            self.slot.d.next = (self.slot.q.val() + 1) & last_slot;
            if self.slot.q.val() == last_slot {
                self.even_lap.d.next = !self.even_lap.q.val();
            }
            used = used + 1;
        }
        if self.slot_free.val() {
            used = used - 1;
        }
        self.slots_used.d.next = used;

        // ---- The answer to a command.
        if self.command.q.val() == Command::Marker && self.marker_ack.val() {
            self.command.d.next = Command::Done;
        }
        if self.command.q.val() == Command::Done {
            self.command.d.next = Command::Idle;
        }
        self.ctx.ready.next = self.command.q.val() == Command::Done;

        // ---- Contexts.
        let at = bit_cast::<Q, 8>(queue);
        self.pos.we.next = pos_we;
        self.pos.waddr.next = if walking { bit_cast::<Q, 9>(self.walk.q.val()) } else { at };
        self.pos.wdata.next = pos_new;
        self.pos.raddr.next = at;
        self.cfg.we.next = cfg_we;
        self.cfg.waddr.next = at;
        let placement = if N == 0 { lit::<2>(0) } else { self.ctx.placement.val() };
        self.cfg.wdata.next = cat::<10, 62, 72>(
            cat::<2, 8, 10>(placement, self.ctx.cq.val()),
            cat::<4, 58, 62>(self.ctx.log_depth.val(), self.ctx.base.val().get_bits::<58>(6)),
        );
        self.cfg.raddr.next = at;

        let now_head = self.pos.rdata.val().get_bits::<16>(pos::HEAD);
        let now_tail = self.pos.rdata.val().get_bits::<16>(pos::TAIL);
        let log = self.cfg.rdata.val().get_bits::<4>(cfg::LOG);
        let now_cfg = self.cfg.rdata.val();
        // One less than the ring's depth, and than what is left to its end.
        let mut mask = lit::<16>(0);
        for i in 0..15 {
            mask = mask.replace_bit(i, log > lit::<4>(i));
        }
        let to_end = !now_head & mask;
        let quantum = if with_lines && now_cfg.get_bit(cfg::LINES + 1) {
            lit::<4>(0)
        } else if with_lines && now_cfg.get_bit(cfg::LINES) {
            lit::<4>(1)
        } else {
            lit::<4>(15 - 8 * (self._small as usize))
        };
        let to_end_low = to_end.get_bits::<4>(0);
        self.t_most.d.next = if to_end.get_bits::<12>(4).any() || (to_end_low & !quantum).any() {
            quantum
        } else {
            to_end_low
        };
        let now_pos = self.pos.rdata.val();
        self.t_pos.d.next =
            now_pos.replace_bit(pos::EXISTS, now_pos.get_bit(pos::EXISTS) && in_range);
        self.t_cfg.d.next = now_cfg;
        self.t_waiting.d.next = now_tail - now_head;
        self.t_advance.d.next = self.bell_tail.q.val() - now_head;
        self.t_depth.d.next = lit::<16>(1) << log;
        self.t_index.d.next = now_head & mask;

        self.stat_doorbell.next = self.bell_stat.q.val();
        self.stat_doorbell_illegal.next = self.illegal_stat.q.val();
    }
}
