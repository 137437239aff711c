//! Lines become batches of descriptors, as if they had been read from host memory.
//!
//! **Ports.** `ask` comes from `tx/sched`: one or two lines of a queue, and the batch's operation.
//! `walk` reads the line memory. `put` writes a descriptor into `tx/parse`'s cache, from place 0 of
//! the operation's slot on. `filled` says that the oldest batch asked for is there: how many
//! descriptors, where its first line is, and whether its lines are wide.
//!
//! **Lines** have 128 bytes, wide ones 256. A line whose first descriptor says `first` begins a
//! packet: two descriptors, then from byte 32 on the pushed header. Any other line has descriptors
//! up to its end. A `last` descriptor ends its line: what is behind it is not looked at. So a line
//! always gives a descriptor, and `tx/parse`'s grammar finds what is wrong with it. Two lines of 8,
//! or a wide one of 16, fill a slot at most. Bit [SECOND_LINE] of a descriptor tells in which of
//! the batch's lines it was.
//!
//! **Speed.** 3 cycles a descriptor, more while the cache's write port is taken. Four requests wait
//! here; then `ask.ready` falls.

use crate::common::fifo::Fifo;
use crate::tx::lanes::*;
use crate::tx::parse::DataDesc;
use crate::tx::words::*;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum WalkState {
    Idle,
    Ask,
    Take,
    Put,
}

#[derive(LogicBlock, Default)]
pub struct TxWalk<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub ask: AskSnk,
    pub walk: LineRowSrc,
    pub rdata: Signal<In, Bits<D>>,
    pub put: PutSrc,
    pub filled: FilledSrc,
    asks: Fifo<Ask, 2>,
    state: Reg<WalkState>,
    /// The batch's first line, and whether the walk is in its second.
    line: Reg<Bits<16>>,
    second: Reg<Bit>,
    /// The line at hand.
    now: Reg<Bits<16>>,
    two: Reg<Bit>,
    wide: Reg<Bit>,
    op: Reg<Bits<9>>,
    /// Descriptors before this one, in the line and in the batch.
    at: Reg<Bits<4>>,
    index: Reg<Bits<4>>,
    /// The line begins a packet.
    begins: Reg<Bit>,
    desc: Reg<Bits<128>>,
    // On its way to the cache.
    out: Reg<Bit>,
    out_last: Reg<Bit>,
    out_put: Reg<Put>,
    out_op: Reg<Bits<9>>,
    out_lines: Reg<Lines>,
}

impl<const D: usize, const K: usize, const L: usize> Logic for TxWalk<D, K, L> {
    /// Takes the descriptors out of lines.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, line, now, second, two, wide, op, at, index, begins);
        registers!(self, clock, reset; out, out_last);
        registers!(self, clock; desc, out_put, out_op, out_lines);
        clocked!(self, clock, reset; asks);
        self.asks.in_valid.next = self.ask.valid.val();
        self.asks.in_data.next = self.ask.get();
        self.ask.ready.next = self.asks.in_ready.val();

        let state = self.state.q.val();
        let at = self.at.q.val();
        // Of the descriptor at hand.
        let desc = self.desc.q.val();
        let fields = DataDesc::from_bits(desc);
        let begins = if at == 0 { fields.first } else { self.begins.q.val() };
        let line_ends =
            fields.last || (begins && at == 1) || at == 15 || (at == 7 && !self.wide.q.val());
        let batch_ends = line_ends && (self.second.q.val() || !self.two.q.val());
        let step = state == WalkState::Put && !self.out.q.val();
        let ends = step && batch_ends;

        match state {
            WalkState::Idle => {}
            WalkState::Ask => {
                // Never reached: `tx/llq/lines` reads for the walker in any cycle.
                if self.walk.ready.val() {
                    self.state.d.next = WalkState::Take;
                }
            }
            WalkState::Take => {
                self.state.d.next = WalkState::Put;
            }
            WalkState::Put => {
                if step {
                    self.state.d.next = WalkState::Ask;
                }
            }
        }
        if step {
            self.begins.d.next = begins;
            self.index.d.next = self.index.q.val() + 1;
            self.at.d.next = if line_ends { lit::<4>(0) } else { at + 1 };
            if line_ends {
                self.second.d.next = true;
                self.now.d.next = self.line.q.val() + 1;
            }
        }
        let take = (state == WalkState::Idle || ends) && self.asks.out_valid.val();
        self.asks.out_ready.next = state == WalkState::Idle || ends;
        if ends {
            self.state.d.next = WalkState::Idle;
        }
        if take {
            let ask = self.asks.out_data.val();
            self.state.d.next = WalkState::Ask;
            self.op.d.next = ask.op;
            self.two.d.next = ask.two;
            self.wide.d.next = ask.wide;
            self.line.d.next = ask.line;
            self.now.d.next = ask.line;
            self.second.d.next = false;
            self.at.d.next = lit::<4>(0);
            self.index.d.next = lit::<4>(0);
        }

        // Wide lines begin at even numbers.
        let byte = (bit_cast::<23, 16>(self.now.q.val()) << lit::<23>(7))
            | (bit_cast::<23, 4>(at) << lit::<23>(4));
        self.walk.valid.next = state == WalkState::Ask;
        self.walk.row.next = bit_cast::<16, 23>(byte >> lit::<23>(L));
        if state == WalkState::Take {
            self.desc.d.next = bit_cast::<128, D>(self.rdata.val() >> desc_shift::<K>(at));
        }

        if self.put.ready.val() {
            self.out.d.next = false;
        }
        if step {
            let index = self.index.q.val();
            self.out.d.next = true;
            self.out_last.d.next = batch_ends;
            self.out_put.d.next = Put {
                place: Place { index, slot: bit_cast::<5, 9>(self.op.q.val()) },
                desc: desc.replace_bit(SECOND_LINE, self.second.q.val()),
            };
            self.out_op.d.next = self.op.q.val();
            self.out_lines.d.next = Lines {
                count: bit_cast::<5, 4>(index) + 1,
                line: self.line.q.val(),
                wide: self.wide.q.val(),
            };
        }
        self.put.valid.next = self.out.q.val();
        self.put.put(self.out_put.q.val());
        self.filled.valid.next = self.out.q.val() && self.out_last.q.val();
        self.filled.op.next = self.out_op.q.val();
        self.filled.lines.next = self.out_lines.q.val();
    }
}
