//! From a doorbell to the wire: descriptors are fetched, packets put together in the TX buffer,
//! sent and completed.
//!
//! | block | does | a packet of one descriptor |
//! |---|---|---|
//! | [sched] | queue contexts, doorbells, batches of descriptors | 3 cycles a batch of up to 16 |
//! | [llq] | lines that the host pushed, instead of reads | 3 cycles, and the header's rows |
//! | [parse] | descriptor cache, grammar, whole packets | 1 cycle, and 3 a batch |
//! | [gather] | room in the TX buffer, frames of packets to be cut, read requests | 2 cycles |
//! | [out] | TX buffer, frames, completions | 2 cycles, or its beats |
//! | [offload], [route], [sums], [release] | checksums, headers of segments | its beats |
//! | [framer] | frames that a reset cuts off are ended; outside of what that resets | its beats |
//!
//! [words] are what goes between them.
//!
//! All of it is in order, and that is what makes ends easy: a packet completes after all earlier
//! descriptors of its queue were fetched, and when a queue's marker has come through, nothing of
//! the queue is left. Only the reads underneath end in any order. Each block says what it does when
//! it is full. In sum, `done` or `mac` refusing stops frames, then rows and slots run out,
//! segments, batches, and in the end tails wait in the contexts; `doorbell` and `ctx` are taken
//! throughout, but the end of a destroy waits for what is before it.
//!
//! **Offloads** are left out of a card with `_plain`: it takes no notice of what descriptors ask
//! for.
//!
//! **Counted.** Every packet is a frame or several (`stat_frame`, `stat_bytes`), bad
//! (`stat_bad_descriptor`: grammar, limits, length 0 or over `max_frame`, offloads that make no
//! sense, a checksum that does not follow from the frame) or lost (`stat_drop_dma`: its payload
//! could not be read). A batch of descriptors that could not be read breaks its queue, which is
//! counted once in `stat_drop_dma`; then the queue stands still until it is destroyed and created
//! again. All stat outputs are pulses of one cycle.

pub mod framer;
pub mod gather;
mod lanes;
pub mod llq;
pub mod offload;
pub mod out;
pub mod parse;
mod release;
pub mod route;
pub mod sched;
pub mod sched_proof;
pub mod sums;
pub mod words;

use crate::common::iface::*;
use crate::common::probe::{Handshake, TxProbe};
use crate::common::reset::ResetStage;
use gather::TxGather;
use llq::TxLlq;
use nitor_rtl::prelude::*;
use offload::TxOffload;
use out::TxOut;
use parse::TxParse;
use sched::TxSched;
use words::*;

/// 2^Q queues, 2^S packets in flight (at most 256), 2^(B+1) rows of TX buffer, G = Q + 5. 2^N lines
/// that can be pushed, in 2^(P+1) rows: P = N + 6 - L; none with N = 0, and P doesn't matter.
#[derive(LogicBlock, Default)]
pub struct TxPath<
    const D: usize,
    const K: usize,
    const L: usize,
    const Q: usize,
    const S: usize,
    const B: usize,
    const G: usize,
    const N: usize,
    const P: usize,
> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub doorbell: DoorbellSnk,
    pub ctx: CtxCmdSnk,
    pub line: LineWriteSnk<D>,
    pub fetch: ReadReqSrc,
    pub data: ReadReqSrc,
    pub bus: ReadBusSnk<D, K>,
    pub mac: MacSrc<D>,
    pub done: TxDoneSrc,
    /// The marker of a destroyed queue has come through `host/cq`.
    pub marker_ack: Signal<In, Bit>,
    pub max_frame: Signal<In, Bits<16>>,
    pub stat_frame: Signal<Out, Bit>,
    /// Bytes of the frame counted, without padding.
    pub stat_bytes: Signal<Out, Bits<16>>,
    pub stat_drop_dma: Signal<Out, Bit>,
    pub stat_bad_descriptor: Signal<Out, Bit>,
    pub stat_doorbell: Signal<Out, Bit>,
    pub stat_doorbell_illegal: Signal<Out, Bit>,
    pub stat_broken: Signal<Out, Bit>,
    /// `valid` and `ready` of batches, packets, and packets in the buffer.
    pub probe: Signal<Out, Bits<6>>,
    stages: [ResetStage; 6],
    sched: TxSched<Q, N>,
    llq: TxLlq<D, K, L, P>,
    parse: TxParse<D, K, L, Q, G>,
    gather: TxGather<K, L, S, B>,
    out: TxOut<D, K, L, S, B>,
    offload: TxOffload<D, K, L, B>,
    /// Packets that `offload` refused and that are still to be counted.
    refused: Reg<Bits<6>>,
    _plain: bool,
    _lineless: bool,
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const Q: usize,
        const S: usize,
        const B: usize,
        const G: usize,
        const N: usize,
        const P: usize,
    > TxPath<D, K, L, Q, S, B, G, N, P>
{
    /// `small`: queues as deep as a gigabit needs, but for a card with lines, whose batches are
    /// longer.
    pub fn new(offloads: bool, small: bool) -> Self {
        let mut path = Self { _plain: !offloads, _lineless: N == 0, ..Self::default() };
        let small = small && N == 0;
        path.parse = TxParse::new(small, N == 0);
        path.stages = std::array::from_fn(|_| ResetStage::new(small));
        path.sched = TxSched::new(small);
        path.out = TxOut::new(small);
        path.gather = TxGather::new(!offloads, N == 0, small);
        path
    }
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const Q: usize,
        const S: usize,
        const B: usize,
        const G: usize,
        const N: usize,
        const P: usize,
    > Logic for TxPath<D, K, L, Q, S, B, G, N, P>
{
    /// The transmit path, from doorbells to frames and completions.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; refused);
        clocked!(self, clock; sched, llq, parse, gather, out, offload);
        for i in 0..6 {
            self.stages[i].clock.next = self.clock.val();
            self.stages[i].d.next = self.reset.val();
        }
        self.sched.reset.next = self.stages[0].q.val();
        self.llq.reset.next = self.stages[1].q.val();
        self.parse.reset.next = self.stages[2].q.val();
        self.gather.reset.next = self.stages[3].q.val();
        self.out.reset.next = self.stages[4].q.val();
        self.offload.reset.next = self.stages[5].q.val();
        DoorbellSnk::link(&mut self.doorbell, &mut self.sched.doorbell);
        CtxCmdSnk::link(&mut self.ctx, &mut self.sched.ctx);
        LineWriteSnk::<D>::link(&mut self.line, &mut self.llq.write);
        ReadReqSrc::link(&mut self.fetch, &mut self.sched.fetch);
        ReadReqSrc::link(&mut self.data, &mut self.gather.data);
        TxDoneSrc::link(&mut self.done, &mut self.out.done);
        // The bus has two listeners here.
        self.parse.bus.put(self.bus.get());
        self.out.bus.put(self.bus.get());

        self.sched.marker_ack.next = self.marker_ack.val();
        self.sched.slot_free.next = self.parse.slot_free.val();
        BrokenSrc::join(&mut self.parse.broken, &mut self.sched.broken);
        self.stat_doorbell.next = self.sched.stat_doorbell.val();
        self.stat_doorbell_illegal.next = self.sched.stat_doorbell_illegal.val();
        self.stat_broken.next = self.parse.broken.valid.val();
        BatchSrc::join(&mut self.sched.batch, &mut self.parse.batch);

        // Without lines nothing is asked for, and what is not used goes away in synthesis.
        if self._lineless {
            self.llq.ask.valid.next = false;
            self.sched.ask.ready.next = false;
            self.parse.put.valid.next = false;
            self.llq.put.ready.next = self.parse.put.ready.val();
            self.llq.push.valid.next = false;
            self.gather.push.ready.next = false;
            self.out.inject.valid.next = false;
            self.llq.inject.ready.next = self.out.inject.ready.val();
            self.llq.ask.put(self.sched.ask.get());
            self.parse.put.put(Put::from_bits(lit::<{ Put::BITS }>(0)));
            self.parse.filled.put(Filled::from_bits(lit::<{ Filled::BITS }>(0)));
            self.llq.push.put(self.gather.push.get());
            self.out.inject.put(Inject {
                row: lit::<16>(0),
                data: lit::<D>(0),
                be_lo: lit::<K>(0),
                be_hi: lit::<K>(0),
                last: false,
            });
        } else {
            AskSrc::join(&mut self.sched.ask, &mut self.llq.ask);
            PutSrc::join(&mut self.llq.put, &mut self.parse.put);
            FilledSrc::join(&mut self.llq.filled, &mut self.parse.filled);
            PushSrc::join(&mut self.gather.push, &mut self.llq.push);
            InjectSrc::<D, K>::join(&mut self.llq.inject, &mut self.out.inject);
        }

        self.gather.max_frame.next = self.max_frame.val();
        PacketSrc::join(&mut self.parse.packet, &mut self.gather.packet);
        SegmentSrc::join(&mut self.parse.seg, &mut self.gather.seg);
        FrameSrc::join(&mut self.gather.info, &mut self.out.info);
        self.gather.free_rows.next = self.out.free_rows.val();
        self.gather.free_slot.next = self.out.free_slot.val();
        self.stat_drop_dma.next = self.out.stat_drop_dma.val();

        // Without offloads frames pass by, and what is not used goes away in synthesis.
        let beat = self.out.beat.get();
        self.offload.beat.put(beat);
        self.offload.mac.ready.next = self.mac.ready.val();
        if self._plain {
            self.offload.beat.valid.next = false;
            self.out.beat.ready.next = self.mac.ready.val();
            self.mac.valid.next = self.out.beat.valid.val();
            self.mac.put(Mac { data: beat.data, last: beat.last, bytes: beat.bytes, err: false });
        } else {
            self.offload.beat.valid.next = self.out.beat.valid.val();
            self.out.beat.ready.next = self.offload.beat.ready.val();
            self.mac.valid.next = self.offload.mac.valid.val();
            self.mac.put(self.offload.mac.get());
        }

        // Frames count when they have left what may refuse them. `out` and `offload` may both find
        // a bad packet in one cycle; more than one in two cycles there are not for long.
        self.stat_frame.next =
            if self._plain { self.out.stat_frame.val() } else { self.offload.stat_frame.val() };
        self.stat_bytes.next =
            if self._plain { self.out.stat_bytes.val() } else { self.offload.stat_bytes.val() };
        let mut refused = self.refused.q.val();
        if self.offload.stat_bad.val() && !self._plain {
            refused = refused + 1;
        }
        if self.refused.q.val().any() && !self.out.stat_bad.val() {
            refused = refused - 1;
        }
        self.refused.d.next = refused;
        self.stat_bad_descriptor.next = self.out.stat_bad.val() || self.refused.q.val().any();

        let probe = TxProbe {
            batches: Handshake {
                valid: self.sched.batch.valid.val(),
                ready: self.parse.batch.ready.val(),
            },
            packets: Handshake {
                valid: self.parse.packet.valid.val(),
                ready: self.gather.packet.ready.val(),
            },
            gathered: Handshake {
                valid: self.gather.info.valid.val(),
                ready: self.out.info.ready.val(),
            },
        };
        self.probe.next = probe.to_bits::<6>();
    }
}
