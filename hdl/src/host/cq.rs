//! Completion queues: gathers completion entries into 64-byte lines and writes them to host memory.
//!
//! 2^C queues of 8, 16 or 32-byte entries; a TX completion is padded with zero, an RX completion
//! cut or padded. The phase bit (1 in the first lap) is set here. Entries of a queue gather in the
//! part of a line that is not yet written. It goes out as one [WriteReqSrc] when it reaches a
//! 64-byte boundary of the ring or the ring's end, when its first entry has waited `_hold` cycles,
//! or ahead of a marker. When the write is accepted, `event` tells the vector.
//!
//! A full ring is not checked for: no driver reports its head reliably, and a submission queue as
//! deep as its completion queue cannot have more outstanding. An entry for a queue that does not
//! exist is dropped and `stat_cq_overflow` pulses.
//!
//! - **Throughput**: one entry a cycle, `tx` and `rx` together, same queue or not; an expired line
//!   takes a cycle too. Out one beat a cycle.
//! - **Latency**: 6 cycles from an entry that ends its line to `write.valid`; `_hold` + 9 to
//!   `_hold` + 9 + 2^C for a lone entry.
//! - **Back-pressure**: when 9 to 15 lines wait for `write`, `tx` and `rx` stop; the hold time
//!   stands still meanwhile.
//! - **Create, destroy**: `ready` after all earlier lines of every queue are accepted and their
//!   events taken. Destroy drops the unwritten part.
//! - **Marker**: acknowledged by a pulse when all earlier lines are accepted.
//!
//! Operations flow through five stages. The context is read in 0 and 1 and changed in 2, whose
//! result is forwarded to 1:
//!
//! | stage | |
//! |---|---|
//! | 0 | choose: context command, expired line, TX or RX in turn |
//! | 1 | context arrives |
//! | 2 | tail and count moved; is the line due? |
//! | 3 | entry into its line; place in the ring |
//! | 4 | host address; into the FIFO of due lines |
//!
//! Lines lie in one RAM of the data path's width, 512/D rows each, and are handed on by number.
//! Each queue has one, and 16 more go round between the queues and the FIFO of due lines, which
//! gives a line back when its last beat is accepted. Of a 32-byte entry only the first half is
//! kept. A walker looks for lines that have waited long enough, one queue a cycle. After `reset` a
//! walk of 2^C + 16 cycles marks every queue absent; nothing is taken until it ends.
//!
//! `D`, `K`: the data path's bits and bytes.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::{BlockRam, ByteRam, LutRam};
use nitor_rtl::prelude::*;

/// What only commands change of a queue.
#[record]
struct Fixed {
    vector: Bits<8>,
    log_entry: Bits<2>,
    log_depth: Bits<4>,
    /// In units of 64 bytes.
    base: Bits<58>,
}

/// What entries change: `count` entries up to `tail` wait in `line`.
#[record]
struct Moving {
    tail: Bits<16>,
    count: Bits<3>,
    line: Bits<8>,
    no_vector: Bit,
    exists: Bit,
}

/// Whether a queue's line waits, and until when.
#[record]
struct Wait {
    deadline: Bits<16>,
    rx: Bit,
    waits: Bit,
}

/// What happens once an operation's line is accepted.
#[record]
struct Tags {
    vector: Bits<8>,
    no_vector: Bit,
    rx: Bit,
    /// Acknowledgements of markers, and of a context command.
    tx_ack: Bit,
    rx_ack: Bit,
    command: Bit,
}

/// A line to be written.
#[record]
struct Due {
    addr: Bits<64>,
    len: Bits<7>,
    line: Bits<8>,
    /// Entries of 32 bytes, of which the second half is zero.
    sparse: Bit,
    tags: Tags,
}

/// A completion entry, of any kind: the phase is where all of them have it.
#[record]
struct Entry {
    low: Bits<24>,
    phase: Bit,
    high: Bits<103>,
}

#[record(layout = nitor_abi::tx::TxCompletion)]
struct TxCompletion {
    req_id: Bits<16>,
}

#[record]
struct Twice<const N: usize> {
    low: Bits<N>,
    high: Bits<N>,
}

/// A vector of a context command.
#[record]
struct Vector {
    index: Bits<8>,
    none: Bit,
}

/// An address in host memory by lines of 64 bytes.
#[record]
struct LineAddr {
    byte: Bits<6>,
    line: Bits<58>,
}

/// What an operation is.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum CqOp {
    None,
    Entry,
    Marker,
    Expire,
    Context,
}

#[derive(LogicBlock)]
pub struct CompletionQueues<const D: usize, const K: usize, const C: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub ctx: CtxCmdSnk,
    pub tx: TxDoneSnk,
    pub rx: RxDoneSnk,
    pub write: WriteReqSrc<D>,
    pub event: EventSrc,
    pub tx_marker_ack: Signal<Out, Bit>,
    pub rx_marker_ack: Signal<Out, Bit>,
    /// An entry for an absent queue was dropped.
    pub stat_cq_overflow: Signal<Out, Bit>,

    fixed: BlockRam<Fixed, C>,
    moving: LutRam<Moving, C>,
    held: LutRam<Wait, C>,
    // The last row is zero.
    lines: ByteRam<D, K, 9>,
    // Lines that no queue and no write has.
    spare: Fifo<Bits<8>, 4>,
    due: Fifo<Due, 4>,
    events: Fifo<Event, 2>,

    walk: Reg<Bits<9>>,
    room: Reg<Bit>,
    now: Reg<Bits<16>>,
    deadline: Reg<Bits<16>>,
    rx_turn: Reg<Bit>,
    /// A command was offered in the last cycle.
    command_there: Reg<Bit>,
    command_taken: Reg<Bit>,
    command_done: Reg<Bit>,
    tx_ack: Reg<Bit>,
    rx_ack: Reg<Bit>,
    overflow: Reg<Bit>,

    // The walker: which queue it looks at, what it saw, what has expired.
    look: Reg<Bits<C>>,
    seen: Reg<Bit>,
    seen_cq: Reg<Bits<C>>,
    seen_held: Reg<Wait>,
    expired: Reg<Bit>,
    expired_cq: Reg<Bits<C>>,
    expired_rx: Reg<Bit>,

    op1: Reg<CqOp>,
    cq1: Reg<Bits<8>>,
    rx1: Reg<Bit>,
    entry1: Reg<Entry>,
    op2: Reg<CqOp>,
    cq2: Reg<Bits<8>>,
    rx2: Reg<Bit>,
    entry2: Reg<Entry>,
    moving2: Reg<Moving>,
    base2: Reg<Bits<58>>,
    log_depth2: Reg<Bits<4>>,
    index_mask2: Reg<Bits<16>>,
    log_entry2: Reg<Bits<2>>,
    vector2: Reg<Bits<8>>,
    add3: Reg<Bit>,
    valid3: Reg<Bit>,
    entry3: Reg<Entry>,
    line3: Reg<Bits<8>>,
    tail3: Reg<Bits<16>>,
    count3: Reg<Bits<3>>,
    send3: Reg<Bits<4>>,
    base3: Reg<Bits<58>>,
    log_depth3: Reg<Bits<4>>,
    index_mask3: Reg<Bits<16>>,
    log_entry3: Reg<Bits<2>>,
    tags3: Reg<Tags>,
    valid4: Reg<Bit>,
    base4: Reg<Bits<58>>,
    index4: Reg<Bits<16>>,
    line4: Reg<Bits<8>>,
    len4: Reg<Bits<7>>,
    log_entry4: Reg<Bits<2>>,
    tags4: Reg<Tags>,

    // The line being written: its row arrives from RAM, `left` bytes are to go.
    out: Reg<Bit>,
    out_addr: Reg<Bits<64>>,
    out_len: Reg<Bits<7>>,
    out_left: Reg<Bits<7>>,
    out_line: Reg<Bits<8>>,
    out_row: Reg<Bits<2>>,
    out_sparse: Reg<Bit>,
    out_tags: Reg<Tags>,
    _hold: usize,
}

impl<const D: usize, const K: usize, const C: usize> Default for CompletionQueues<D, K, C> {
    fn default() -> Self {
        Self::new(64)
    }
}

impl<const D: usize, const K: usize, const C: usize> CompletionQueues<D, K, C> {
    /// `hold`: cycles an entry waits for others to share its line, less than 32768.
    pub fn new(hold: usize) -> Self {
        assert!((1..=7).contains(&C) && hold < 1 << 15);
        assert!(D == 8 * K && ((1 << C) + SPARE) * (512 / D) < 512);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ctx: Default::default(),
            tx: Default::default(),
            rx: Default::default(),
            write: Default::default(),
            event: Default::default(),
            tx_marker_ack: Default::default(),
            rx_marker_ack: Default::default(),
            stat_cq_overflow: Default::default(),
            fixed: Default::default(),
            moving: Default::default(),
            held: Default::default(),
            lines: Default::default(),
            spare: Default::default(),
            due: Default::default(),
            events: Default::default(),
            walk: Default::default(),
            room: Default::default(),
            now: Default::default(),
            deadline: Default::default(),
            rx_turn: Default::default(),
            command_there: Default::default(),
            command_taken: Default::default(),
            command_done: Default::default(),
            tx_ack: Default::default(),
            rx_ack: Default::default(),
            overflow: Default::default(),
            look: Default::default(),
            seen: Default::default(),
            seen_cq: Default::default(),
            seen_held: Default::default(),
            expired: Default::default(),
            expired_cq: Default::default(),
            expired_rx: Default::default(),
            op1: Default::default(),
            cq1: Default::default(),
            rx1: Default::default(),
            entry1: Default::default(),
            op2: Default::default(),
            cq2: Default::default(),
            rx2: Default::default(),
            entry2: Default::default(),
            moving2: Default::default(),
            base2: Default::default(),
            log_depth2: Default::default(),
            index_mask2: Default::default(),
            log_entry2: Default::default(),
            vector2: Default::default(),
            add3: Default::default(),
            valid3: Default::default(),
            entry3: Default::default(),
            line3: Default::default(),
            tail3: Default::default(),
            count3: Default::default(),
            send3: Default::default(),
            base3: Default::default(),
            log_depth3: Default::default(),
            index_mask3: Default::default(),
            log_entry3: Default::default(),
            tags3: Default::default(),
            valid4: Default::default(),
            base4: Default::default(),
            index4: Default::default(),
            line4: Default::default(),
            len4: Default::default(),
            log_entry4: Default::default(),
            tags4: Default::default(),
            out: Default::default(),
            out_addr: Default::default(),
            out_len: Default::default(),
            out_left: Default::default(),
            out_line: Default::default(),
            out_row: Default::default(),
            out_sparse: Default::default(),
            out_tags: Default::default(),
            _hold: hold,
        }
    }
}

/// Lines beside those the queues have.
const SPARE: usize = 16;

/// `x` times an entry's bytes.
#[kernel]
fn entries_to_bytes<const N: usize>(x: Bits<N>, log_entry: Bits<2>) -> Bits<N> {
    match log_entry {
        0 => x << lit::<3>(3),
        1 => x << lit::<3>(4),
        _ => x << lit::<3>(5),
    }
}

/// Address of a row of a line.
#[kernel]
fn row_addr<const K: usize>(line: Bits<8>, row: Bits<2>) -> Bits<9> {
    (bit_cast::<9, 8>(line) << lit::<4>(6 - clog2(K))) | bit_cast::<9, 2>(row)
}

impl<const D: usize, const K: usize, const C: usize> Logic for CompletionQueues<D, K, C> {
    /// Completion queues: entries gathered into lines, written when full or when the oldest has
    /// waited long enough.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; walk, room, now, deadline, rx_turn, command_there,
            command_taken, command_done, tx_ack, rx_ack, overflow, look, seen, expired);
        registers!(self, clock, reset; op1, op2, moving2);
        registers!(self, clock, reset; add3, valid3, send3, valid4);
        registers!(self, clock, reset; out, out_left, out_row, out_sparse);
        registers!(self, clock; seen_cq, seen_held, expired_cq, expired_rx, cq1, rx1, entry1, cq2,
            rx2, entry2, base2, log_depth2, index_mask2, log_entry2, vector2, entry3, line3, tail3,
            count3, base3, log_depth3, index_mask3, log_entry3, tags3, base4, index4, line4, len4,
            log_entry4, tags4, out_addr, out_len, out_line, out_tags);
        clocked!(self, clock, reset; spare, due, events);
        clocked!(self, clock; fixed, moving, held, lines);

        // Stage 0. Seven operations may be on their way to the sixteen places of `due`.
        let walking = self.walk.q.val() != lit::<9>((1 << C) + SPARE);
        let clearing = self.walk.q.val() < lit::<9>(1 << C);
        self.room.d.next = self.due.level.val() <= 8 && !walking;
        let room = self.room.q.val();
        let command_passing =
            self.op1.q.val() == CqOp::Context || self.op2.q.val() == CqOp::Context;
        let go = room && !command_passing;
        self.command_there.d.next = self.ctx.valid.val() && !self.command_done.q.val();
        let take_command = go && self.command_there.q.val() && !self.command_taken.q.val();
        let take_expired = go && !take_command && self.expired.q.val();
        let entries_go = go && !take_command && !take_expired;
        let tx_there = self.tx.valid.val();
        let rx_there = self.rx.valid.val();
        let rx_ready = entries_go && (self.rx_turn.q.val() || !tx_there);
        let tx_ready = entries_go && (!self.rx_turn.q.val() || !rx_there);
        self.rx.ready.next = rx_ready;
        self.tx.ready.next = tx_ready;
        let take_rx = rx_there && rx_ready;
        let take_tx = tx_there && tx_ready;
        if take_rx {
            self.rx_turn.d.next = false;
        }
        if take_tx {
            self.rx_turn.d.next = true;
        }

        let marker0 = if take_rx { self.rx.marker.val() } else { self.tx.marker.val() };
        self.op1.d.next = if take_command {
            CqOp::Context
        } else if take_expired {
            CqOp::Expire
        } else if take_tx || take_rx {
            if marker0 {
                CqOp::Marker
            } else {
                CqOp::Entry
            }
        } else {
            CqOp::None
        };
        let cq0 = if take_command {
            self.ctx.idx.val()
        } else if take_expired {
            bit_cast::<8, C>(self.expired_cq.q.val())
        } else if take_rx {
            self.rx.cq.val()
        } else {
            self.tx.cq.val()
        };
        self.cq1.d.next = cq0;
        self.rx1.d.next = if take_expired { self.expired_rx.q.val() } else { take_rx };
        let tx_entry = TxCompletion { req_id: self.tx.req_id.val() };
        self.entry1.d.next = Entry::from_bits(if take_rx {
            self.rx.entry.val().to_bits::<128>()
        } else if take_tx {
            bit_cast::<128, 64>(tx_entry.to_bits::<64>())
        } else {
            lit::<128>(0)
        });
        self.fixed.raddr.next = bit_cast::<C, 8>(cq0);

        // The walker. The hold time stands still while nothing could be sent, so a deadline never
        // laps.
        if room {
            self.now.d.next = self.now.q.val() + 1;
        }
        self.deadline.d.next = self.now.q.val() + lit::<16>(self._hold);
        let expiring = self.expired.q.val()
            || self.op1.q.val() == CqOp::Expire
            || self.op2.q.val() == CqOp::Expire;
        let seen = self.seen_held.q.val();
        let overdue = !(self.now.q.val() - seen.deadline).get_bit(15);
        let hit = self.seen.q.val() && seen.waits && overdue;
        let looks = !hit && !expiring && !walking;
        self.held.raddr.next = self.look.q.val();
        self.seen.d.next = looks;
        self.seen_held.d.next = self.held.rdata.val();
        self.seen_cq.d.next = self.look.q.val();
        if looks {
            self.look.d.next = self.look.q.val() + 1;
        }
        if take_expired {
            self.expired.d.next = false;
        }
        if hit && !expiring {
            self.expired.d.next = true;
            self.expired_cq.d.next = self.seen_cq.q.val();
            self.expired_rx.d.next = seen.rx;
        }

        // Stage 2.
        let op = self.op2.q.val();
        let cq = self.cq2.q.val();
        let in_range = (cq >> lit::<4>(C)) == 0;
        let moving = self.moving2.q.val();
        let tail = moving.tail;
        let count = moving.count;
        let exists = moving.exists && in_range;
        let index_mask = self.index_mask2.q.val();
        let log_entry = self.log_entry2.q.val();

        let line_end = match log_entry {
            0 => bit_cast::<3, 16>(tail).all(),
            1 => bit_cast::<2, 16>(tail).all(),
            _ => tail.get_bit(0),
        };
        let add = op == CqOp::Entry && exists;
        let ends = add && (line_end || (tail | !index_mask).all());
        let marker = op == CqOp::Marker;
        let send = ends || (exists && count.any() && (marker || op == CqOp::Expire));
        let new_count = if add { bit_cast::<4, 3>(count) + 1 } else { bit_cast::<4, 3>(count) };
        let new_tail = if add { tail + 1 } else { tail };

        let command = op == CqOp::Context;
        let create = command && !self.ctx.destroy.val();
        let vector = Vector::from_bits(self.ctx.vector.val());
        self.spare.out_ready.next = send;
        let new_moving = Moving {
            tail: if create { lit::<16>(0) } else { new_tail },
            count: if send || command { lit::<3>(0) } else { bit_cast::<3, 4>(new_count) },
            line: if send { self.spare.out_data.val() } else { moving.line },
            no_vector: if command { vector.none } else { moving.no_vector },
            exists: if command { create } else { exists },
        };
        let change = in_range && op != CqOp::None;
        self.moving.we.next = clearing || change;
        self.moving.waddr.next =
            if clearing { bit_cast::<C, 9>(self.walk.q.val()) } else { bit_cast::<C, 8>(cq) };
        self.moving.wdata.next = if clearing {
            Moving {
                tail: lit::<16>(0),
                count: lit::<3>(0),
                line: bit_cast::<8, 9>(self.walk.q.val()),
                no_vector: false,
                exists: false,
            }
        } else {
            new_moving
        };
        // A line begins to wait, or waits no longer.
        let begins = add && !count.any() && !ends;
        self.held.we.next = clearing || begins || send || (command && in_range);
        self.held.waddr.next =
            if clearing { bit_cast::<C, 9>(self.walk.q.val()) } else { bit_cast::<C, 8>(cq) };
        self.held.wdata.next = Wait {
            deadline: self.deadline.q.val(),
            rx: self.rx2.q.val(),
            waits: begins && !clearing,
        };
        if walking {
            self.walk.d.next = self.walk.q.val() + 1;
        }
        self.fixed.we.next = create && in_range;
        self.fixed.waddr.next = bit_cast::<C, 8>(cq);
        self.fixed.wdata.next = Fixed {
            vector: vector.index,
            log_entry: self.ctx.log_entry.val(),
            log_depth: self.ctx.log_depth.val(),
            base: LineAddr::from_bits(self.ctx.base.val()).line,
        };
        self.overflow.d.next = op == CqOp::Entry && !exists;

        // Stage 1, after 2 because it takes its result.
        self.op2.d.next = self.op1.q.val();
        self.cq2.d.next = self.cq1.q.val();
        self.rx2.d.next = self.rx1.q.val();
        self.entry2.d.next = self.entry1.q.val();
        self.moving.raddr.next = bit_cast::<C, 8>(self.cq1.q.val());
        self.moving2.d.next =
            if change && cq == self.cq1.q.val() { new_moving } else { self.moving.rdata.val() };
        let fixed = self.fixed.rdata.val();
        self.base2.d.next = fixed.base;
        self.log_depth2.d.next = fixed.log_depth;
        self.index_mask2.d.next = (lit::<16>(1) << fixed.log_depth) - 1;
        self.log_entry2.d.next = fixed.log_entry;
        self.vector2.d.next = fixed.vector;

        self.add3.d.next = add;
        self.valid3.d.next = send || marker || command;
        self.entry3.d.next = self.entry2.q.val();
        self.line3.d.next = moving.line;
        self.tail3.d.next = tail;
        self.count3.d.next = count;
        self.send3.d.next = if send { new_count } else { lit::<4>(0) };
        self.base3.d.next = self.base2.q.val();
        self.log_depth3.d.next = self.log_depth2.q.val();
        self.index_mask3.d.next = index_mask;
        self.log_entry3.d.next = log_entry;
        let rx = self.rx2.q.val();
        self.tags3.d.next = Tags {
            vector: self.vector2.q.val(),
            no_vector: moving.no_vector,
            rx,
            tx_ack: marker && !rx,
            rx_ack: marker && rx,
            command,
        };

        // Stage 3. The entry goes to the place after those that wait: a write starts at byte 0 of
        // its line.
        let log_entry = self.log_entry3.q.val();
        let phase = !(self.tail3.q.val() >> self.log_depth3.q.val()).get_bit(0) && !walking;
        let mut entry = self.entry3.q.val();
        entry.phase = entry.phase || phase;
        let wide = entry.to_bits::<128>();
        let narrow = bit_cast::<64, 128>(wide);
        let narrow2 = Twice::<64> { low: narrow, high: narrow }.to_bits::<128>();
        let half = match log_entry {
            0 => Twice::<128> { low: narrow2, high: narrow2 }.to_bits::<256>(),
            1 => Twice::<128> { low: wide, high: wide }.to_bits::<256>(),
            _ => bit_cast::<256, 128>(wide),
        };
        let place = self.count3.q.val() << bit_cast::<3, 2>(log_entry);
        let mut be = lit::<K>(0);
        for i in 0..K / 8 {
            // Words of a row that belong to the entry.
            let off = (place ^ lit::<3>(i)) & lit::<3>(K / 8 - 1);
            let here = match log_entry {
                0 => !off.any(),
                1 => !(off >> lit::<3>(1)).any(),
                _ => !off.get_bit(2),
            };
            if here && (self.add3.q.val() || walking) {
                be = be.set_slice::<8>(8 * i, lit::<8>(0xff));
            }
        }
        // During the walk the last row becomes zero.
        let row = place >> lit::<3>(clog2(K) - 3);
        self.lines.be.next = if walking { lit::<K>(0) - 1 } else { be };
        self.lines.waddr.next = if walking {
            lit::<9>(511)
        } else {
            row_addr::<K>(self.line3.q.val(), bit_cast::<2, 3>(row))
        };
        self.lines.wdata.next =
            bit_cast::<D, 512>(Twice::<256> { low: half, high: half }.to_bits::<512>());

        self.valid4.d.next = self.valid3.q.val();
        self.base4.d.next = self.base3.q.val();
        self.index4.d.next = (self.tail3.q.val() - bit_cast::<16, 3>(self.count3.q.val()))
            & self.index_mask3.q.val();
        self.line4.d.next = self.line3.q.val();
        self.len4.d.next = entries_to_bytes::<7>(bit_cast::<7, 4>(self.send3.q.val()), log_entry);
        self.log_entry4.d.next = log_entry;
        self.tags4.d.next = self.tags3.q.val();

        // Stage 4.
        let log_entry = self.log_entry4.q.val();
        let offset = entries_to_bytes::<64>(bit_cast::<64, 16>(self.index4.q.val()), log_entry);
        let start = LineAddr { byte: lit::<6>(0), line: self.base4.q.val() };
        self.due.in_valid.next = self.valid4.q.val();
        self.due.in_data.next = Due {
            addr: start.to_bits::<64>() + offset,
            len: self.len4.q.val(),
            line: self.line4.q.val(),
            sparse: log_entry.get_bit(1),
            tags: self.tags4.q.val(),
        };

        // Out. A line without bytes only carries its acknowledgements; the room for an event
        // can't vanish while the write waits.
        let empty = !self.out_left.q.val().any();
        let last = self.out_left.q.val() <= lit::<7>(K);
        let offered = self.out.q.val() && !empty && self.events.in_ready.val();
        let beat = offered && self.write.ready.val();
        // A command ends after the events of all lines before it.
        let tags = self.out_tags.q.val();
        let passes = empty && !(tags.command && self.events.out_valid.val());
        let ends = self.out.q.val() && (passes || (beat && last));
        let written = beat && last;
        let load = ends || !self.out.q.val();
        let head = self.due.out_data.val();
        self.due.out_ready.next = load;
        let at_line = if load { head.line } else { self.out_line.q.val() };
        let at_row = if load {
            lit::<2>(0)
        } else if beat {
            self.out_row.q.val() + 1
        } else {
            self.out_row.q.val()
        };
        // The second half of an entry of 32 bytes.
        let zero = at_row.get_bit(0) && self.out_sparse.q.val();
        self.lines.raddr.next = if zero { lit::<9>(511) } else { row_addr::<K>(at_line, at_row) };
        self.out_row.d.next = at_row;
        if load {
            self.out.d.next = self.due.out_valid.val();
            self.out_addr.d.next = head.addr;
            self.out_len.d.next = head.len;
            self.out_left.d.next = head.len;
            self.out_line.d.next = head.line;
            self.out_sparse.d.next = head.sparse;
            self.out_tags.d.next = head.tags;
        } else if beat {
            self.out_left.d.next = self.out_left.q.val() - lit::<7>(K);
        }
        self.write.valid.next = offered;
        self.write.addr.next = self.out_addr.q.val();
        self.write.len.next = self.out_len.q.val();
        self.write.data.next = self.lines.rdata.val();
        self.write.last.next = last;
        self.spare.in_valid.next = written || (walking && !clearing);
        self.spare.in_data.next =
            if walking { bit_cast::<8, 9>(self.walk.q.val()) } else { self.out_line.q.val() };
        self.events.in_valid.next = written && !tags.no_vector;
        self.events.in_data.next = Event { vector: tags.vector, rx: tags.rx };
        self.tx_ack.d.next = ends && tags.tx_ack;
        self.rx_ack.d.next = ends && tags.rx_ack;
        self.command_done.d.next = ends && tags.command;

        self.event.valid.next = self.events.out_valid.val();
        self.event.put(self.events.out_data.val());
        self.events.out_ready.next = self.event.ready.val();
        self.tx_marker_ack.next = self.tx_ack.q.val();
        self.rx_marker_ack.next = self.rx_ack.q.val();
        self.stat_cq_overflow.next = self.overflow.q.val();

        if take_command {
            self.command_taken.d.next = true;
        }
        if self.command_done.q.val() {
            self.command_taken.d.next = false;
        }
        self.ctx.ready.next = self.command_done.q.val();
    }
}
