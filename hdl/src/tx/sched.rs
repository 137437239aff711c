//! Transmit submission queues: their contexts, and whose descriptors are fetched next.
//!
//! This block owns the context of each of the 2^Q queues, in RAM: base, depth and completion queue
//! from the create command, `tail` (what the doorbell says) and `head` (descriptors asked for),
//! both free-running 16-bit counts.
//!
//! **Ports.** `doorbell` and `ctx` come in. `fetch` asks for batches of descriptors, `ask` for
//! lines of a queue that is pushed; `batch` tells `tx/parse` of each, in the same order.
//! `slot_free` gives the oldest batch slot back. `broken` stops a queue whose descriptors could not
//! be read. `marker_ack` says that a queue's end came all the way through `host/cq`.
//!
//! **Turns.** One state machine takes, in turns of 3 cycles: a broken queue, a context command, a
//! doorbell, a batch. Doorbells and batches alternate while both wait, and doorbells go on while
//! batches can't: `doorbell` never waits for anything but turns. Queues with descriptors to fetch
//! wait in a FIFO, each at most once, so that it can't overflow. A turn asks for up to 16
//! descriptors (8 with `_small`), never across the ring's end: one request, to byte 256 * slot of
//! the descriptor cache, as operation {lap, slot}. A queue with more goes to the back. That is a
//! round robin with a quantum of a batch: weights and rate limits belong where the queue goes back
//! ("quantum" below). A command waits until the doorbell before it is done. From doorbell to
//! request takes 7 cycles in an idle block.
//!
//! **Pushed queues** have lines of 128 or 256 bytes in the card instead of a ring in the host: base
//! and doorbell count in lines. `ctx.placement` says where the ring is ([nitor_abi::mgmt::ring]). A
//! turn takes up to two lines, or a wide one, as many as a batch slot has room for. There are 2^N
//! lines of 128 bytes; with N = 0 there are no pushed queues.
//!
//! **Full.** With 32 batches under way, or `fetch` refusing, no batch is taken: queues wait,
//! nothing is lost.
//!
//! **Refused.** A doorbell of an absent queue, beyond the ring as seen from `head`, or backwards,
//! is counted (`stat_doorbell_illegal`, besides `stat_doorbell`) and ignored.
//!
//! **Create** takes one turn; the queue must not exist. **Destroy** keeps the queue from doorbells
//! and turns, sends a marker behind its last batch and is done with `marker_ack`. To destroy an
//! absent queue does nothing.
//!
//! After `reset` a walk of 2^Q cycles clears the contexts, then the block waits until `tx/parse` is
//! ready for a batch.

use super::words::*;
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

/// Where a queue's ring is; neither: in host memory.
#[record]
struct Ring {
    lines: Bit,
    wide_lines: Bit,
}

/// What the create command said.
#[record]
struct Config {
    /// Base address over 64.
    base: Bits<58>,
    log_depth: Bits<4>,
    cq: Bits<8>,
    ring: Ring,
}

/// What moves.
#[record]
struct Position {
    head: Bits<16>,
    tail: Bits<16>,
    /// The queue is in the FIFO, or in the turn under way.
    active: Bit,
    broken: Bit,
    exists: Bit,
}

/// A read of descriptors.
#[record]
struct Fetch {
    /// Address over 16.
    addr: Bits<60>,
    lap: Bit,
    slot: Bits<5>,
    count: Bits<5>,
}

/// A batch of lines, see [Ask].
#[record]
struct LineFetch {
    slot: Bits<5>,
    lap: Bit,
    two: Bit,
    wide: Bit,
    line: Bits<16>,
}

#[derive(LogicBlock, Default)]
pub struct TxSched<const Q: usize, const N: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub doorbell: DoorbellSnk,
    pub ctx: CtxCmdSnk,
    pub fetch: ReadReqSrc,
    pub ask: AskSrc,
    pub batch: BatchSrc,
    pub slot_free: Signal<In, Bit>,
    pub broken: BrokenSnk,
    pub marker_ack: Signal<In, Bit>,
    pub stat_doorbell: Signal<Out, Bit>,
    pub stat_doorbell_illegal: Signal<Out, Bit>,
    cfg: LutRam<Config, Q>,
    pos: LutRam<Position, Q>,
    walk: Reg<Bits<9>>,
    bell_full: Reg<Bit>,
    bell_queue: Reg<Bits<8>>,
    bell_tail: Reg<Bits<16>>,
    /// The last doorbell or batch turn was a doorbell's.
    after_bell: Reg<Bit>,
    // As many places as there are queues: each is in there once, and breaks once in its life.
    active: Fifo<Bits<8>, Q>,
    breaks: Fifo<Bits<8>, Q>,
    // The turn.
    turn: Reg<Turn>,
    kind: Reg<Kind>,
    queue: Reg<Bits<8>>,
    t_cfg: Reg<Config>,
    t_pos: Reg<Position>,
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
    requests: Skid<Fetch>,
    asks: Skid<LineFetch>,
    b_valid: Reg<Bit>,
    b: Reg<Batch>,
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
        registers!(self, clock, reset; walk, bell_full, after_bell, turn, kind, queue, command,
            slot, even_lap, slots_used, b_valid, bell_stat, illegal_stat);
        registers!(self, clock; bell_queue, bell_tail, t_cfg, t_pos, t_waiting, t_advance, t_depth,
            t_index, t_most, b);
        clocked!(self, clock, reset; active, breaks, requests, asks);
        clocked!(self, clock; cfg, pos);

        let walking = self.walk.q.val() != lit::<9>(1 << Q);
        let queue = self.queue.q.val();
        let in_range = (bit_cast::<9, 8>(queue) >> lit::<9>(Q)) == 0;
        let slot = self.slot.q.val();

        // ---- Inputs.
        if !self.bell_full.q.val() && self.doorbell.valid.val() && !walking {
            self.bell_full.d.next = true;
            self.bell_queue.d.next = self.doorbell.queue.val();
            self.bell_tail.d.next = self.doorbell.tail.val();
        }
        self.doorbell.ready.next = !self.bell_full.q.val() && !walking;
        self.breaks.in_valid.next = self.broken.valid.val();
        self.breaks.in_data.next = self.broken.queue.val();
        if self.batch.ready.val() {
            self.b_valid.d.next = false;
        }

        // ---- What the turn read.
        let pos = self.t_pos.q.val();
        let cfg = self.t_cfg.q.val();
        let waiting = self.t_waiting.q.val();
        // Legal: at most a full ring ahead of what was fetched, and not behind what was posted
        // before.
        let bell_legal = pos.exists
            && self.t_advance.q.val() <= self.t_depth.q.val()
            && self.t_advance.q.val() >= waiting;
        let lines = (cfg.ring.lines || cfg.ring.wide_lines) && N != 0;
        let wide = cfg.ring.wide_lines && N != 0;
        // One less than what waits; the turn takes all of it, or as much as it may.
        let waiting_low = bit_cast::<4, 16>(waiting);
        let waiting_less = waiting_low - 1;
        let waiting_many = waiting >= 32 || (waiting >= 16 && waiting_low.any());
        let most = self.t_most.q.val();
        let all = !waiting_many && waiting_less <= most;
        let count = bit_cast::<5, 4>(if all { waiting_less } else { most }) + 1;

        // ---- Turns.
        let batch_held = self.b_valid.q.val() && !self.batch.ready.val();
        let can_fetch = self.active.out_valid.val()
            && self.requests.in_ready.val()
            && self.asks.in_ready.val()
            && !self.slots_used.q.val().get_bit(5 - (self._small as usize))
            && !batch_held;
        // Behind an earlier doorbell: in the cycle after a doorbell's turn there is none.
        let take_command = self.ctx.valid.val()
            && self.command.q.val() == Command::Idle
            && !self.bell_full.q.val()
            && !batch_held;
        let mut active_pop = false;
        let mut broken_pop = false;
        let mut activate = false;
        let mut request = false;
        let mut pos_we = walking;
        let mut pos_new = Position::from_bits(lit::<{ Position::BITS }>(0));
        let mut cfg_we = false;
        self.bell_stat.d.next = false;
        self.illegal_stat.d.next = false;
        match self.turn.q.val() {
            Turn::Walk => {
                if walking {
                    self.walk.d.next = self.walk.q.val() + 1;
                } else if self.batch.ready.val() {
                    self.turn.d.next = Turn::Pick;
                }
            }
            Turn::Pick => {
                self.turn.d.next = Turn::Read;
                if self.breaks.out_valid.val() {
                    self.kind.d.next = Kind::Broken;
                    self.queue.d.next = self.breaks.out_data.val() & lit::<8>((1 << Q) - 1);
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
                        pos_we = pos.exists;
                        pos_new = Position { broken: true, ..pos };
                    }
                    Kind::Bell => {
                        self.bell_full.d.next = false;
                        self.bell_stat.d.next = true;
                        self.illegal_stat.d.next = !bell_legal;
                        let work = self.t_advance.q.val().any() && !pos.broken;
                        activate = bell_legal && work && !pos.active;
                        pos_we = bell_legal;
                        let tail = self.bell_tail.q.val();
                        pos_new = Position { tail, active: pos.active || work, ..pos };
                    }
                    Kind::Batch => {
                        // A queue may have been destroyed, or broken, while it waited in the FIFO.
                        request = pos.exists && !pos.broken && waiting.any();
                        // The quantum: one batch a turn, then the others.
                        activate = request && !all;
                        pos_we = true;
                        pos_new = Position { active: activate, ..pos };
                        if request {
                            let next = pos.head + bit_cast::<16, 4>(most) + 1;
                            pos_new.head = if all { pos.tail } else { next };
                        }
                    }
                    Kind::Context => {
                        // The FIFO may still hold the queue of a former life: `active` outlives it.
                        pos_we = in_range;
                        pos_new.active = pos.active;
                        self.command.d.next = Command::Done;
                        if !self.ctx.destroy.val() {
                            cfg_we = in_range;
                            pos_new.exists = true;
                        } else if pos.exists {
                            self.command.d.next = Command::Marker;
                        }
                    }
                }
            }
        }
        self.breaks.out_ready.next = broken_pop;
        self.active.out_ready.next = active_pop;
        self.active.in_valid.next = activate;
        self.active.in_data.next = queue;

        // ---- Batches and markers.
        let lap = !self.even_lap.q.val();
        let op = Op { slot: bit_cast::<8, 5>(slot), lap };
        let marker = self.turn.q.val() == Turn::Act
            && self.kind.q.val() == Kind::Context
            && self.ctx.destroy.val()
            && pos.exists;
        if request || marker {
            self.b_valid.d.next = true;
            self.b.d.next = Batch {
                queue,
                cq: cfg.cq & lit::<8>((2 << Q) - 1),
                count,
                marker,
                op: op.to_bits::<9>(),
                lines,
            };
        }
        self.batch.valid.next = self.b_valid.q.val();
        self.batch.put(self.b.q.val());

        let index = self.t_index.q.val();
        let base = bit_cast::<60, 58>(cfg.base) << lit::<60>(2);
        self.requests.in_valid.next = request && !lines;
        self.requests.in_data.next =
            Fetch { addr: base + bit_cast::<60, 16>(index), lap, slot, count };
        let fetch = self.requests.out_data.val();
        let fetch_op = Op { slot: bit_cast::<8, 5>(fetch.slot), lap: fetch.lap };
        self.fetch.valid.next = self.requests.out_valid.val();
        self.requests.out_ready.next = self.fetch.ready.val();
        self.fetch.put(ReadReq {
            addr: bit_cast::<64, 60>(fetch.addr) << lit::<64>(4),
            len: bit_cast::<16, 5>(fetch.count) << lit::<16>(4),
            dst: bit_cast::<20, 5>(fetch.slot) << lit::<20>(8),
            op: fetch_op.to_bits::<9>(),
            last: true,
        });
        // The base counts in 64 bytes, lines in 128.
        let first_line = bit_cast::<16, 58>(cfg.base >> lit::<58>(1));
        let line = first_line + if wide { index << 1 } else { index };
        self.asks.in_valid.next = request && lines;
        self.asks.in_data.next =
            LineFetch { slot, lap, two: count == 2, wide, line: line & lit::<16>((1 << N) - 1) };
        let ask = self.asks.out_data.val();
        let ask_op = Op { slot: bit_cast::<8, 5>(ask.slot), lap: ask.lap };
        self.ask.valid.next = self.asks.out_valid.val();
        self.asks.out_ready.next = self.ask.ready.val();
        self.ask.put(Ask {
            op: ask_op.to_bits::<9>(),
            two: ask.two,
            wide: ask.wide,
            line: ask.line,
        });
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
        let ring = Ring::from_bits(if N == 0 { lit::<2>(0) } else { self.ctx.placement.val() });
        self.cfg.wdata.next = Config {
            base: bit_cast::<58, 64>(self.ctx.base.val() >> lit::<64>(6)),
            log_depth: self.ctx.log_depth.val(),
            cq: self.ctx.cq.val(),
            ring,
        };
        self.cfg.raddr.next = at;

        let now_pos = self.pos.rdata.val();
        let now_cfg = self.cfg.rdata.val();
        let log = now_cfg.log_depth;
        // One less than the ring's depth, and than what is left to its end.
        let mut mask = lit::<16>(0);
        for i in 0..15 {
            mask = mask.replace_bit(i, log > lit::<4>(i));
        }
        let to_end = !now_pos.head & mask;
        let quantum = if N != 0 && now_cfg.ring.wide_lines {
            lit::<4>(0)
        } else if N != 0 && now_cfg.ring.lines {
            lit::<4>(1)
        } else {
            lit::<4>(15 - 8 * (self._small as usize))
        };
        let to_end_low = bit_cast::<4, 16>(to_end);
        self.t_most.d.next =
            if to_end >= 16 || (to_end_low & !quantum).any() { quantum } else { to_end_low };
        self.t_pos.d.next = Position { exists: now_pos.exists && in_range, ..now_pos };
        self.t_cfg.d.next = now_cfg;
        self.t_waiting.d.next = now_pos.tail - now_pos.head;
        self.t_advance.d.next = self.bell_tail.q.val() - now_pos.head;
        self.t_depth.d.next = lit::<16>(1) << log;
        self.t_index.d.next = now_pos.head & mask;

        self.stat_doorbell.next = self.bell_stat.q.val();
        self.stat_doorbell_illegal.next = self.illegal_stat.q.val();
    }
}
