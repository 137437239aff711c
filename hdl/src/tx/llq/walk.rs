//! Lines become batches of descriptors, as if they had been read from host memory.
//!
//! **Ports.** `ask_*` from `tx/sched`: one or two lines of a queue, and the batch's operation; `walk_*` reads the line memory; `put_*` writes a descriptor
//! into `tx/parse`'s cache, from place 0 of the operation's slot on; `filled_*` says that the oldest batch asked for is there: how many descriptors, where
//! its first line is, and whether its lines are wide.
//!
//! **Lines** have 128 bytes, wide ones 256. A line whose first descriptor says `first` begins a packet: two descriptors, then from byte 32 on the pushed
//! header. Any other has descriptors up to its end. A `last` descriptor ends its line: what comes behind it is not looked at. So a line always gives a
//! descriptor, and what is not as it should be is for `tx/parse`'s grammar to find. Two lines of 8, or a wide one of 16, fill a slot at most.
//! Bit 25 of a descriptor, zero on the way in, tells in which of the batch's lines it was.
//!
//! **Speed.** 3 cycles a descriptor, more while the cache's write port is taken. Four requests wait here;
//! then `ask_ready` falls.

use crate::common::fifo::Fifo;
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
    pub ask_valid: Signal<In, Bit>,
    pub ask_ready: Signal<Out, Bit>,
    /// In units of 128 bytes, even if wide.
    pub ask_line: Signal<In, Bits<16>>,
    pub ask_two: Signal<In, Bit>,
    pub ask_wide: Signal<In, Bit>,
    /// {lap, slot}
    pub ask_op: Signal<In, Bits<9>>,
    pub walk_valid: Signal<Out, Bit>,
    pub walk_ready: Signal<In, Bit>,
    pub walk_row: Signal<Out, Bits<16>>,
    pub rdata: Signal<In, Bits<D>>,
    pub put_valid: Signal<Out, Bit>,
    pub put_ready: Signal<In, Bit>,
    /// {slot, index}
    pub put_place: Signal<Out, Bits<9>>,
    pub put_desc: Signal<Out, Bits<128>>,
    /// Goes with the last descriptor's `put`, and is taken with it.
    pub filled_valid: Signal<Out, Bit>,
    pub filled_op: Signal<Out, Bits<9>>,
    pub filled_count: Signal<Out, Bits<5>>,
    pub filled_line: Signal<Out, Bits<16>>,
    pub filled_wide: Signal<Out, Bit>,
    asks: Fifo<Bits<27>, 2>,
    state: Reg<WalkState>,
    /// The batch's first line, and whether we are in its second.
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
    out_place: Reg<Bits<9>>,
    out_desc: Reg<Bits<128>>,
    out_op: Reg<Bits<9>>,
    out_count: Reg<Bits<5>>,
    out_line: Reg<Bits<16>>,
    out_wide: Reg<Bit>,
}

impl<const D: usize, const K: usize, const L: usize> Logic for TxWalk<D, K, L> {
    /// Takes the descriptors out of lines.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, line, now, second, two, wide, op, at, index, begins);
        registers!(self, clock, reset; out, out_last, out_wide);
        registers!(self, clock; desc, out_place, out_desc, out_op, out_count, out_line);
        clocked!(self, clock, reset; asks);
        self.asks.in_valid.next = self.ask_valid.val();
        self.asks.in_data.next = cat::<16, 11, 27>(
            self.ask_line.val(),
            cat::<2, 9, 11>(
                cat::<1, 1, 2>(self.ask_wide.val().into(), self.ask_two.val().into()),
                self.ask_op.val(),
            ),
        );
        self.ask_ready.next = self.asks.in_ready.val();

        let state = self.state.q.val();
        let at = self.at.q.val();
        // Of the descriptor at hand.
        let desc = self.desc.q.val();
        let begins = if at == 0 { desc.get_bit(26) } else { self.begins.q.val() };
        let line_ends =
            desc.get_bit(27) || (begins && at == 1) || at == 15 || (at == 7 && !self.wide.q.val());
        let batch_ends = line_ends && (self.second.q.val() || !self.two.q.val());
        let step = state == WalkState::Put && !self.out.q.val();
        let ends = step && batch_ends;

        match state {
            WalkState::Idle => {}
            WalkState::Ask => {
                // Never reached: `tx/llq/lines` reads for the walker in any cycle.
                if self.walk_ready.val() {
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
            self.op.d.next = ask.get_bits::<9>(0);
            self.two.d.next = ask.get_bit(9);
            self.wide.d.next = ask.get_bit(10);
            self.line.d.next = ask.get_bits::<16>(11);
            self.now.d.next = ask.get_bits::<16>(11);
            self.second.d.next = false;
            self.at.d.next = lit::<4>(0);
            self.index.d.next = lit::<4>(0);
        }

        // Wide lines begin at even numbers.
        let byte = cat::<16, 7, 23>(self.now.q.val(), lit::<7>(0))
            | bit_cast::<23, 8>(cat::<4, 4, 8>(at, lit::<4>(0)));
        self.walk_valid.next = state == WalkState::Ask;
        self.walk_row.next = bit_cast::<16, 23>(byte >> lit::<23>(L));
        let lane = cat::<4, 7, 11>(at, lit::<7>(0)) & lit::<11>(8 * (K - 1));
        if state == WalkState::Take {
            self.desc.d.next = bit_cast::<128, D>(self.rdata.val() >> lane);
        }

        if self.put_ready.val() {
            self.out.d.next = false;
        }
        if step {
            self.out.d.next = true;
            self.out_last.d.next = batch_ends;
            self.out_place.d.next =
                cat::<5, 4, 9>(bit_cast::<5, 9>(self.op.q.val()), self.index.q.val());
            self.out_desc.d.next = desc.replace_bit(25, self.second.q.val());
            self.out_op.d.next = self.op.q.val();
            self.out_count.d.next = bit_cast::<5, 4>(self.index.q.val()) + 1;
            self.out_line.d.next = self.line.q.val();
            self.out_wide.d.next = self.wide.q.val();
        }
        self.put_valid.next = self.out.q.val();
        self.put_place.next = self.out_place.q.val();
        self.put_desc.next = self.out_desc.q.val();
        self.filled_valid.next = self.out.q.val() && self.out_last.q.val();
        self.filled_op.next = self.out_op.q.val();
        self.filled_count.next = self.out_count.q.val();
        self.filled_line.next = self.out_line.q.val();
        self.filled_wide.next = self.out_wide.q.val();
    }
}
