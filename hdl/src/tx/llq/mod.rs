//! Low-latency queues: the host writes descriptors and the head of each packet into the card (BAR2)
//! and rings the doorbell. No read of host memory stands between that and the wire.
//!
//! | block | does |
//! |---|---|
//! | [lines] | the memory: the host's writes, rows for two readers |
//! | [walk] | descriptors of a batch of lines, into `tx/parse`'s cache |
//! | [push] | the pushed head of a packet, into the TX buffer |
//!
//! From there on packets of both kinds of queue are the same. A packet that is pushed whole reads
//! nothing; of any other packet the rest is read from host memory as ever.

pub mod lines;
pub mod push;
pub mod walk;

use super::words::*;
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
    pub ask: AskSnk,
    pub put: PutSrc,
    pub filled: FilledSrc,
    pub push: PushSnk,
    pub inject: InjectSrc<D, K>,
    lines: TxLines<D, K, L, P>,
    walker: TxWalk<D, K, L>,
    pusher: TxPush<D, K, L>,
}

impl<const D: usize, const K: usize, const L: usize, const P: usize> Logic for TxLlq<D, K, L, P> {
    /// Low-latency queues: line memory, its walker, and the way of pushed headers.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; lines, walker, pusher);
        LineWriteSnk::<D>::link(&mut self.write, &mut self.lines.write);
        LineRowSrc::join(&mut self.walker.walk, &mut self.lines.walk);
        self.walker.rdata.next = self.lines.rdata.val();
        LineRowSrc::join(&mut self.pusher.head, &mut self.lines.head);
        self.pusher.rdata.next = self.lines.rdata.val();
        AskSnk::link(&mut self.ask, &mut self.walker.ask);
        PutSrc::link(&mut self.put, &mut self.walker.put);
        FilledSrc::link(&mut self.filled, &mut self.walker.filled);
        PushSnk::link(&mut self.push, &mut self.pusher.push);
        InjectSrc::<D, K>::link(&mut self.inject, &mut self.pusher.inject);
    }
}
