//! Completion queues: gathers completion entries into 64-byte lines and writes them to host memory.
//!
//! 2^C queues of 8, 16 or 32-byte entries; a TX completion is padded with zero, an RX completion cut or padded. The phase bit
//! (bit 24, 1 in the first lap) is set here. Entries of a queue gather in the part of a line that is not yet written; it goes out as one
//! [WriteReqSrc] when it reaches a 64-byte boundary of the ring or the ring's end, when its first entry has waited
//! `_hold` cycles, or ahead of a marker. When the write is accepted, `event` tells the vector.
//!
//! There is no check for a full ring: no driver reports its head reliably, and a submission queue as deep as its completion queue
//! cannot have more outstanding. An entry for a queue that does not exist is dropped and `stat_cq_overflow` pulses.
//!
//! | | |
//! |---|---|
//! | throughput | one entry a cycle, `tx` and `rx` together, same queue or not; an expired line takes a cycle too |
//! | latency | 6 cycles from an entry that ends its line to `write.valid`; `_hold` + 9 for a lone one |
//! | full | when 4 to 8 lines wait for `write`, `tx` and `rx` stop; the hold time stands still meanwhile |
//! | create, destroy | `ready` after all earlier lines of every queue were accepted; destroy drops the unwritten part |
//! | marker | acknowledged by a pulse when all earlier lines were accepted |
//!
//! Operations flow through five stages; the context is read in 0, changed in 2, with both younger results forwarded to 1:
//!
//! | stage | |
//! |---|---|
//! | 0 | choose: context command, expired line, TX or RX in turn; addresses of the context RAMs |
//! | 1 | context arrives |
//! | 2 | entry into its line, tail and count moved; is the line due? |
//! | 3 | line RAM address; host address |
//! | 4 | into the FIFO of due lines |
//!
//! Each queue has two lines in turn, so that the next entry can't reach the line that stage 3 reads.
//! After `reset` a walk of 2^C cycles marks every queue absent; nothing is taken until then.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::{BlockRam, ByteRam};
use nitor_rtl::prelude::*;

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
pub struct CompletionQueues<const C: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub ctx: CtxCmdSnk,
    pub tx: TxDoneSnk,
    pub rx: RxDoneSnk,
    pub write: WriteReqSrc,
    pub event: EventSrc,
    pub tx_marker_ack: Signal<Out, Bit>,
    pub rx_marker_ack: Signal<Out, Bit>,
    /// An entry for an absent queue was dropped.
    pub stat_cq_overflow: Signal<Out, Bit>,

    // {marker, cq, req_id}
    tx_in: Fifo<25, 2>,
    // {marker, cq, entry}
    rx_in: Fifo<137, 2>,
    // {base 63:6, log_depth, esize, vector}
    fixed: BlockRam<73, C>,
    // {exists, line, count, tail}: `count` entries up to `tail` wait in `line`
    moving: BlockRam<21, C>,
    line_even: ByteRam<512, 64, C>,
    line_odd: ByteRam<512, 64, C>,
    // {rx, cq, tail of the first entry, deadline}
    held: Fifo<41, 6>,
    // {ack ctx, ack rx, ack tx, rx, vector, len, addr, data}
    due: Fifo<596, 3>,
    events: Fifo<9, 2>,

    walk: Reg<Bits<9>>,
    now: Reg<Bits<16>>,
    rx_turn: Reg<Bit>,
    expired: Reg<Bit>,
    command_taken: Reg<Bit>,
    command_done: Reg<Bit>,
    tx_ack: Reg<Bit>,
    rx_ack: Reg<Bit>,
    overflow: Reg<Bit>,

    op1: Reg<CqOp>,
    cq1: Reg<Bits<8>>,
    rx1: Reg<Bit>,
    entry1: Reg<Bits<128>>,
    op2: Reg<CqOp>,
    cq2: Reg<Bits<8>>,
    rx2: Reg<Bit>,
    entry2: Reg<Bits<128>>,
    fixed2: Reg<Bits<73>>,
    moving2: Reg<Bits<21>>,
    // What stage 2 wrote in the cycle before.
    wrote: Reg<Bit>,
    wrote_cq: Reg<Bits<8>>,
    wrote_moving: Reg<Bits<21>>,
    valid3: Reg<Bit>,
    cq3: Reg<Bits<8>>,
    odd3: Reg<Bit>,
    base3: Reg<Bits<58>>,
    index3: Reg<Bits<16>>,
    count3: Reg<Bits<4>>,
    esize3: Reg<Bits<2>>,
    tags3: Reg<Bits<13>>,
    valid4: Reg<Bit>,
    odd4: Reg<Bit>,
    addr4: Reg<Bits<64>>,
    len4: Reg<Bits<7>>,
    tags4: Reg<Bits<13>>,
    _hold: usize,
}

impl<const C: usize> Default for CompletionQueues<C> {
    fn default() -> Self {
        Self::new(64)
    }
}

impl<const C: usize> CompletionQueues<C> {
    /// `hold`: cycles an entry waits for others to share its line, less than 32768.
    pub fn new(hold: usize) -> Self {
        assert!((1..=8).contains(&C) && hold < 1 << 15);
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
            tx_in: Default::default(),
            rx_in: Default::default(),
            fixed: Default::default(),
            moving: Default::default(),
            line_even: Default::default(),
            line_odd: Default::default(),
            held: Default::default(),
            due: Default::default(),
            events: Default::default(),
            walk: Default::default(),
            now: Default::default(),
            rx_turn: Default::default(),
            expired: Default::default(),
            command_taken: Default::default(),
            command_done: Default::default(),
            tx_ack: Default::default(),
            rx_ack: Default::default(),
            overflow: Default::default(),
            op1: Default::default(),
            cq1: Default::default(),
            rx1: Default::default(),
            entry1: Default::default(),
            op2: Default::default(),
            cq2: Default::default(),
            rx2: Default::default(),
            entry2: Default::default(),
            fixed2: Default::default(),
            moving2: Default::default(),
            wrote: Default::default(),
            wrote_cq: Default::default(),
            wrote_moving: Default::default(),
            valid3: Default::default(),
            cq3: Default::default(),
            odd3: Default::default(),
            base3: Default::default(),
            index3: Default::default(),
            count3: Default::default(),
            esize3: Default::default(),
            tags3: Default::default(),
            valid4: Default::default(),
            odd4: Default::default(),
            addr4: Default::default(),
            len4: Default::default(),
            tags4: Default::default(),
            _hold: hold,
        }
    }
}

/// `x` times an entry's bytes.
#[kernel]
fn entries_to_bytes<const N: usize>(x: Bits<N>, esize: Bits<2>) -> Bits<N> {
    match esize {
        0 => x << lit::<3>(3),
        1 => x << lit::<3>(4),
        _ => x << lit::<3>(5),
    }
}

impl<const C: usize> Logic for CompletionQueues<C> {
    /// Completion queues: entries gathered into lines, written when full or when the oldest has waited long enough.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; walk, now, rx_turn, expired, command_taken, command_done,
            tx_ack, rx_ack, overflow, op1, cq1, rx1, entry1, op2, cq2, rx2, entry2, fixed2, moving2,
            wrote, wrote_cq, wrote_moving, valid3, cq3, odd3, base3, index3, count3, esize3, tags3,
            valid4, odd4, addr4, len4, tags4);
        clocked!(self, clock, reset; tx_in, rx_in, held, due, events);
        clocked!(self, clock; fixed, moving, line_even, line_odd);

        self.tx_in.in_valid.next = self.tx.valid.val();
        self.tx_in.in_data.next = cat::<1, 24, 25>(
            self.tx.marker.val().into(),
            cat::<8, 16, 24>(self.tx.cq.val(), self.tx.req_id.val()),
        );
        self.tx.ready.next = self.tx_in.in_ready.val();
        self.rx_in.in_valid.next = self.rx.valid.val();
        self.rx_in.in_data.next = cat::<1, 136, 137>(
            self.rx.marker.val().into(),
            cat::<8, 128, 136>(self.rx.cq.val(), self.rx.entry.val()),
        );
        self.rx.ready.next = self.rx_in.in_ready.val();

        // Stage 0. Five operations may be on their way to the eight places of `due`.
        let walking = self.walk.q.val() != lit::<9>(1 << C);
        let room = self.due.level.val() <= 3 && !walking;
        let command_passing =
            self.op1.q.val() == CqOp::Context || self.op2.q.val() == CqOp::Context;
        let go = room && !command_passing;
        let held_full = self.held.level.val() > 59;

        let tx_word = self.tx_in.out_data.val();
        let rx_word = self.rx_in.out_data.val();
        let held_word = self.held.out_data.val();
        let take_command = go && self.ctx.valid.val() && !self.command_taken.q.val();
        let take_expired = go && !take_command && self.expired.q.val();
        let entries_go = go && !take_command && !take_expired && !held_full;
        let tx_there = self.tx_in.out_valid.val();
        let rx_there = self.rx_in.out_valid.val();
        let take_rx = entries_go && rx_there && (self.rx_turn.q.val() || !tx_there);
        let take_tx = entries_go && tx_there && !take_rx;
        self.tx_in.out_ready.next = take_tx;
        self.rx_in.out_ready.next = take_rx;
        self.held.out_ready.next = take_expired;
        if take_rx {
            self.rx_turn.d.next = false;
        }
        if take_tx {
            self.rx_turn.d.next = true;
        }

        // The hold time stands still while nothing could be sent, so a deadline never laps.
        if room {
            self.now.d.next = self.now.q.val() + 1;
        }
        let overdue = self.now.q.val() - held_word.get_bits::<16>(0);
        self.expired.d.next = self.held.out_valid.val()
            && !take_expired
            && (!overdue.get_bit(15) || self.held.level.val() > 48);

        let marker0 = if take_rx { rx_word.get_bit(136) } else { tx_word.get_bit(24) };
        let cq0 = if take_command {
            self.ctx.idx.val()
        } else if take_expired {
            held_word.get_bits::<8>(32)
        } else if take_rx {
            rx_word.get_bits::<8>(128)
        } else {
            tx_word.get_bits::<8>(16)
        };
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
        self.cq1.d.next = cq0;
        self.rx1.d.next = take_rx || (take_expired && held_word.get_bit(40));
        // An expired line travels with the tail of its first entry.
        self.entry1.d.next = if take_expired {
            bit_cast::<128, 16>(held_word.get_bits::<16>(16))
        } else if take_rx {
            rx_word.get_bits::<128>(0)
        } else {
            bit_cast::<128, 16>(tx_word.get_bits::<16>(0))
        };
        self.fixed.raddr.next = bit_cast::<C, 8>(cq0);
        self.moving.raddr.next = bit_cast::<C, 8>(cq0);

        // Stage 2.
        let op = self.op2.q.val();
        let cq = self.cq2.q.val();
        let in_range = (cq >> lit::<4>(C)) == 0;
        let tail = self.moving2.q.val().get_bits::<16>(0);
        let count = self.moving2.q.val().get_bits::<3>(16);
        let odd = self.moving2.q.val().get_bit(19);
        let exists = self.moving2.q.val().get_bit(20) && in_range;
        let vector = self.fixed2.q.val().get_bits::<9>(0);
        let esize = self.fixed2.q.val().get_bits::<2>(9);
        let log_depth = self.fixed2.q.val().get_bits::<4>(11);

        let index_mask = (lit::<16>(1) << log_depth) - 1;
        let index = tail & index_mask;
        let phase = !(tail >> log_depth).get_bit(0);
        let line_end = match esize {
            0 => index.get_bits::<3>(0).all(),
            1 => index.get_bits::<2>(0).all(),
            _ => index.get_bit(0),
        };
        let add = op == CqOp::Entry && exists;
        let ends = add && (line_end || index == index_mask);
        let start = tail - bit_cast::<16, 3>(count);
        let waited = op == CqOp::Expire && start == self.entry2.q.val().get_bits::<16>(0);
        let send = ends || (exists && count.any() && (waited || op == CqOp::Marker));
        let new_count = if add { bit_cast::<4, 3>(count) + 1 } else { bit_cast::<4, 3>(count) };
        let new_tail = if add { tail + 1 } else { tail };

        let command = op == CqOp::Context;
        let create = command && !self.ctx.destroy.val();
        let new_line = if odd { !send } else { send };
        let new_moving = cat::<2, 19, 21>(
            cat::<1, 1, 2>((if command { create } else { exists }).into(), new_line.into()),
            cat::<3, 16, 19>(
                if send || command { lit::<3>(0) } else { new_count.get_bits::<3>(0) },
                if create { lit::<16>(0) } else { new_tail },
            ),
        );
        let change = in_range && op != CqOp::None;
        self.moving.we.next = walking || change;
        self.moving.waddr.next =
            if walking { bit_cast::<C, 9>(self.walk.q.val()) } else { bit_cast::<C, 8>(cq) };
        self.moving.wdata.next = if walking { lit::<21>(0) } else { new_moving };
        if walking {
            self.walk.d.next = self.walk.q.val() + 1;
        }
        self.wrote.d.next = change;
        self.wrote_cq.d.next = cq;
        self.wrote_moving.d.next = new_moving;
        self.fixed.we.next = create && in_range;
        self.fixed.waddr.next = bit_cast::<C, 8>(cq);
        self.fixed.wdata.next = cat::<58, 15, 73>(
            self.ctx.base.val().get_bits::<58>(6),
            cat::<4, 11, 15>(
                self.ctx.log_depth.val(),
                cat::<2, 9, 11>(self.ctx.esize.val(), self.ctx.vector.val()),
            ),
        );
        self.overflow.d.next = op == CqOp::Entry && !exists;

        // Stage 1, after 2 because it takes its result.
        self.op2.d.next = self.op1.q.val();
        self.cq2.d.next = self.cq1.q.val();
        self.rx2.d.next = self.rx1.q.val();
        self.entry2.d.next = self.entry1.q.val();
        self.fixed2.d.next = self.fixed.rdata.val();
        self.moving2.d.next = if change && cq == self.cq1.q.val() {
            new_moving
        } else if self.wrote.q.val() && self.wrote_cq.q.val() == self.cq1.q.val() {
            self.wrote_moving.q.val()
        } else {
            self.moving.rdata.val()
        };

        // The entry goes to the place after those that wait: a write starts at byte 0 of its line.
        let phase_word = bit_cast::<256, 1>(phase.into()) << lit::<5>(24);
        let entry = bit_cast::<256, 128>(self.entry2.q.val()) | phase_word;
        let narrow = entry.get_bits::<64>(0);
        let narrow2 = cat::<64, 64, 128>(narrow, narrow);
        let narrow4 = cat::<128, 128, 256>(narrow2, narrow2);
        let middle = entry.get_bits::<128>(0);
        let middle2 = cat::<128, 128, 256>(middle, middle);
        let half_line = match esize {
            0 => narrow4,
            1 => middle2,
            _ => entry,
        };
        let line = cat::<256, 256, 512>(half_line, half_line);
        let mut be = lit::<64>(0);
        for i in 0..8 {
            let here = match esize {
                0 => count == lit::<3>(i),
                1 => count == lit::<3>(i / 2),
                _ => count == lit::<3>(i / 4),
            };
            if here && add {
                be = be | lit::<64>(0xff_u64 << (8 * i));
            }
        }
        self.line_even.be.next = if odd { lit::<64>(0) } else { be };
        self.line_even.waddr.next = bit_cast::<C, 8>(cq);
        self.line_even.wdata.next = line;
        self.line_odd.be.next = if odd { be } else { lit::<64>(0) };
        self.line_odd.waddr.next = bit_cast::<C, 8>(cq);
        self.line_odd.wdata.next = line;

        self.held.in_valid.next = add && !count.any() && !ends;
        self.held.in_data.next = cat::<9, 32, 41>(
            cat::<1, 8, 9>(self.rx2.q.val().into(), cq),
            cat::<16, 16, 32>(tail, self.now.q.val() + lit::<16>(self._hold)),
        );

        let marker = op == CqOp::Marker;
        self.valid3.d.next = send || marker || command;
        self.cq3.d.next = cq;
        self.odd3.d.next = odd;
        self.base3.d.next = self.fixed2.q.val().get_bits::<58>(15);
        self.index3.d.next = start & index_mask;
        self.count3.d.next = if send { new_count } else { lit::<4>(0) };
        self.esize3.d.next = esize;
        let acks = cat::<1, 2, 3>(
            command.into(),
            cat::<1, 1, 2>(
                (marker && self.rx2.q.val()).into(),
                (marker && !self.rx2.q.val()).into(),
            ),
        );
        self.tags3.d.next =
            cat::<3, 10, 13>(acks, cat::<1, 9, 10>(self.rx2.q.val().into(), vector));

        // Stage 3.
        self.line_even.raddr.next = bit_cast::<C, 8>(self.cq3.q.val());
        self.line_odd.raddr.next = bit_cast::<C, 8>(self.cq3.q.val());
        let offset =
            entries_to_bytes::<64>(bit_cast::<64, 16>(self.index3.q.val()), self.esize3.q.val());
        self.valid4.d.next = self.valid3.q.val();
        self.odd4.d.next = self.odd3.q.val();
        self.addr4.d.next = cat::<58, 6, 64>(self.base3.q.val(), lit::<6>(0)) + offset;
        self.len4.d.next =
            entries_to_bytes::<7>(bit_cast::<7, 4>(self.count3.q.val()), self.esize3.q.val());
        self.tags4.d.next = self.tags3.q.val();

        // Stage 4.
        let data =
            if self.odd4.q.val() { self.line_odd.rdata.val() } else { self.line_even.rdata.val() };
        self.due.in_valid.next = self.valid4.q.val();
        self.due.in_data.next = cat::<13, 583, 596>(
            self.tags4.q.val(),
            cat::<7, 576, 583>(self.len4.q.val(), cat::<64, 512, 576>(self.addr4.q.val(), data)),
        );

        // Out. A line without bytes only carries its acknowledgements; the room for an event
        // can't vanish while the write waits.
        let head = self.due.out_data.val();
        let head_len = head.get_bits::<7>(576);
        let head_vector = head.get_bits::<9>(583);
        let offered = self.due.out_valid.val() && head_len.any() && self.events.in_ready.val();
        let accepted = offered && self.write.ready.val();
        let pop = accepted || (self.due.out_valid.val() && !head_len.any());
        self.write.valid.next = offered;
        self.write.addr.next = head.get_bits::<64>(512);
        self.write.len.next = head_len;
        self.write.data.next = head.get_bits::<512>(0);
        self.due.out_ready.next = pop;
        self.events.in_valid.next = accepted && !head_vector.get_bit(8);
        self.events.in_data.next =
            cat::<1, 8, 9>(head.get_bit(592).into(), head_vector.get_bits::<8>(0));
        self.tx_ack.d.next = pop && head.get_bit(593);
        self.rx_ack.d.next = pop && head.get_bit(594);
        self.command_done.d.next = pop && head.get_bit(595);

        self.event.valid.next = self.events.out_valid.val();
        self.event.vector.next = self.events.out_data.val().get_bits::<8>(0);
        self.event.rx.next = self.events.out_data.val().get_bit(8);
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
