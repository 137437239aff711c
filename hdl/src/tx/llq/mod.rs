//! Low-latency queues: the host writes descriptors and the head of each packet into the card (BAR2) and rings the doorbell; no read of host
//! memory stands between that and the wire.
//!
//! | block | does |
//! |---|---|
//! | [lines] | the memory: the host's writes, rows for two readers |
//! | [walk] | descriptors of a batch of lines, into `tx/parse`'s cache |
//! | [push] | the pushed head of a packet, into the TX buffer |
//!
//! From there on packets of both kinds of queue are the same. A packet that is pushed whole reads nothing; of others the rest is read from
//! host memory as ever.

pub mod lines;
pub mod push;
pub mod walk;

use crate::common::iface::*;
use lines::TxLines;
use nitor_rtl::prelude::*;
use push::TxPush;
use walk::TxWalk;

/// 2^(P+1) rows of line memory.
#[derive(LogicBlock, Default)]
pub struct TxLlq<const D: usize, const K: usize, const L: usize, const P: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub write: LineWriteSnk<D>,
    pub ask_valid: Signal<In, Bit>,
    pub ask_ready: Signal<Out, Bit>,
    pub ask_line: Signal<In, Bits<16>>,
    pub ask_two: Signal<In, Bit>,
    pub ask_wide: Signal<In, Bit>,
    pub ask_op: Signal<In, Bits<9>>,
    pub put_valid: Signal<Out, Bit>,
    pub put_ready: Signal<In, Bit>,
    pub put_place: Signal<Out, Bits<9>>,
    pub put_desc: Signal<Out, Bits<128>>,
    pub filled_valid: Signal<Out, Bit>,
    pub filled_op: Signal<Out, Bits<9>>,
    pub filled_count: Signal<Out, Bits<5>>,
    pub filled_line: Signal<Out, Bits<16>>,
    pub filled_wide: Signal<Out, Bit>,
    pub push_valid: Signal<In, Bit>,
    pub push_ready: Signal<Out, Bit>,
    pub push_line: Signal<In, Bits<16>>,
    pub push_row: Signal<In, Bits<16>>,
    pub push_len: Signal<In, Bits<8>>,
    pub inject_valid: Signal<Out, Bit>,
    pub inject_ready: Signal<In, Bit>,
    pub inject_row: Signal<Out, Bits<16>>,
    pub inject_data: Signal<Out, Bits<D>>,
    pub inject_be_lo: Signal<Out, Bits<K>>,
    pub inject_be_hi: Signal<Out, Bits<K>>,
    pub inject_last: Signal<Out, Bit>,
    lines: TxLines<D, K, L, P>,
    walk: TxWalk<D, K, L>,
    push: TxPush<D, K, L>,
}

impl<const D: usize, const K: usize, const L: usize, const P: usize> Logic for TxLlq<D, K, L, P> {
    /// Low-latency queues: line memory, its walker, and the way of pushed headers.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; lines, walk, push);
        LineWriteSnk::<D>::link(&mut self.write, &mut self.lines.write);
        self.lines.walk_valid.next = self.walk.walk_valid.val();
        self.walk.walk_ready.next = self.lines.walk_ready.val();
        self.lines.walk_row.next = self.walk.walk_row.val();
        self.walk.rdata.next = self.lines.rdata.val();
        self.lines.head_valid.next = self.push.head_valid.val();
        self.push.head_ready.next = self.lines.head_ready.val();
        self.lines.head_row.next = self.push.head_row.val();
        self.push.rdata.next = self.lines.rdata.val();

        self.walk.ask_valid.next = self.ask_valid.val();
        self.ask_ready.next = self.walk.ask_ready.val();
        self.walk.ask_line.next = self.ask_line.val();
        self.walk.ask_two.next = self.ask_two.val();
        self.walk.ask_wide.next = self.ask_wide.val();
        self.walk.ask_op.next = self.ask_op.val();
        self.put_valid.next = self.walk.put_valid.val();
        self.walk.put_ready.next = self.put_ready.val();
        self.put_place.next = self.walk.put_place.val();
        self.put_desc.next = self.walk.put_desc.val();
        self.filled_valid.next = self.walk.filled_valid.val();
        self.filled_op.next = self.walk.filled_op.val();
        self.filled_count.next = self.walk.filled_count.val();
        self.filled_line.next = self.walk.filled_line.val();
        self.filled_wide.next = self.walk.filled_wide.val();

        self.push.push_valid.next = self.push_valid.val();
        self.push_ready.next = self.push.push_ready.val();
        self.push.push_line.next = self.push_line.val();
        self.push.push_row.next = self.push_row.val();
        self.push.push_len.next = self.push_len.val();
        self.inject_valid.next = self.push.inject_valid.val();
        self.push.inject_ready.next = self.inject_ready.val();
        self.inject_row.next = self.push.inject_row.val();
        self.inject_data.next = self.push.inject_data.val();
        self.inject_be_lo.next = self.push.inject_be_lo.val();
        self.inject_be_hi.next = self.push.inject_be_hi.val();
        self.inject_last.next = self.push.inject_last.val();
    }
}
