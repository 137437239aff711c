//! From a doorbell to the wire: descriptors are fetched, packets put together in the TX buffer, sent and completed.
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
//! All of it is in order, and that is what makes ends easy: a packet completes after all earlier descriptors of its queue were
//! fetched, and when a queue's marker has come through, nothing of the queue is left. Only the reads underneath end in any
//! order. Each block says what it does when it is full; in sum, `done` or `mac` refusing stops frames, then rows and slots run
//! out, segments, batches, and in the end tails wait in the contexts; `doorbell` and `ctx` are taken throughout, but the end
//! of a destroy waits for what is before it.
//!
//! **Offloads** are left out of a card with `_plain`: it takes no notice of what descriptors ask for.
//!
//! **Counted.** Every packet is a frame or several (`stat_frame`, `stat_bytes`), bad (`stat_bad_descriptor`: grammar, limits, length 0 or over
//! `max_frame`, offloads that make no sense, a checksum that does not follow from the frame) or lost (`stat_drop_dma`: its payload could not be read). A batch of descriptors that could not be read
//! breaks its queue, which is counted once in `stat_drop_dma`; then the queue stands still until it is
//! destroyed and created again. All stat outputs are pulses of one cycle.

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

use crate::common::iface::*;
use crate::common::reset::ResetStage;
use gather::TxGather;
use llq::TxLlq;
use nitor_rtl::prelude::*;
use offload::TxOffload;
use out::TxOut;
use parse::TxParse;
use sched::TxSched;

/// 2^Q queues, 2^S packets in flight (at most 256), 2^(B+1) rows of TX buffer, G = Q + 5. 2^N lines that can be pushed,
/// in 2^(P+1) rows: P = N + 6 - L; none with N = 0, and P doesn't matter.
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
    /// `small`: queues as deep as a gigabit needs, but for a card with lines, whose batches are longer.
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
        self.parse.bus.issue_valid.next = self.bus.issue_valid.val();
        self.parse.bus.issue_client.next = self.bus.issue_client.val();
        self.parse.bus.issue_op.next = self.bus.issue_op.val();
        self.parse.bus.issue_last.next = self.bus.issue_last.val();
        self.parse.bus.done_valid.next = self.bus.done_valid.val();
        self.parse.bus.done_client.next = self.bus.done_client.val();
        self.parse.bus.done_op.next = self.bus.done_op.val();
        self.parse.bus.done_err.next = self.bus.done_err.val();
        self.parse.bus.data_valid.next = self.bus.data_valid.val();
        self.parse.bus.data_client.next = self.bus.data_client.val();
        self.parse.bus.data_row.next = self.bus.data_row.val();
        self.parse.bus.data.next = self.bus.data.val();
        self.parse.bus.be_lo.next = self.bus.be_lo.val();
        self.parse.bus.be_hi.next = self.bus.be_hi.val();
        self.out.bus.issue_valid.next = self.bus.issue_valid.val();
        self.out.bus.issue_client.next = self.bus.issue_client.val();
        self.out.bus.issue_op.next = self.bus.issue_op.val();
        self.out.bus.issue_last.next = self.bus.issue_last.val();
        self.out.bus.done_valid.next = self.bus.done_valid.val();
        self.out.bus.done_client.next = self.bus.done_client.val();
        self.out.bus.done_op.next = self.bus.done_op.val();
        self.out.bus.done_err.next = self.bus.done_err.val();
        self.out.bus.data_valid.next = self.bus.data_valid.val();
        self.out.bus.data_client.next = self.bus.data_client.val();
        self.out.bus.data_row.next = self.bus.data_row.val();
        self.out.bus.data.next = self.bus.data.val();
        self.out.bus.be_lo.next = self.bus.be_lo.val();
        self.out.bus.be_hi.next = self.bus.be_hi.val();

        self.sched.marker_ack.next = self.marker_ack.val();
        self.sched.slot_free.next = self.parse.slot_free.val();
        self.sched.broken_valid.next = self.parse.broken_valid.val();
        self.sched.broken_queue.next = self.parse.broken_queue.val();
        self.stat_doorbell.next = self.sched.stat_doorbell.val();
        self.stat_doorbell_illegal.next = self.sched.stat_doorbell_illegal.val();
        self.stat_broken.next = self.parse.broken_valid.val();

        self.parse.batch_valid.next = self.sched.batch_valid.val();
        self.sched.batch_ready.next = self.parse.batch_ready.val();
        self.parse.batch_queue.next = self.sched.batch_queue.val();
        self.parse.batch_cq.next = self.sched.batch_cq.val();
        self.parse.batch_op.next = self.sched.batch_op.val();
        self.parse.batch_count.next = self.sched.batch_count.val();
        self.parse.batch_lines.next = self.sched.batch_lines.val();
        self.parse.batch_marker.next = self.sched.batch_marker.val();

        // Without lines nothing is asked for, and what is not used goes away in synthesis.
        let lines = !lit::<1>(self._lineless as usize).any();
        self.llq.ask_valid.next = self.sched.ask_valid.val() && lines;
        self.sched.ask_ready.next = self.llq.ask_ready.val() && lines;
        self.llq.ask_line.next = self.sched.ask_line.val();
        self.llq.ask_two.next = self.sched.ask_two.val();
        self.llq.ask_wide.next = self.sched.ask_wide.val();
        self.llq.ask_op.next = self.sched.ask_op.val();
        self.parse.put_valid.next = self.llq.put_valid.val() && lines;
        self.llq.put_ready.next = self.parse.put_ready.val();
        self.parse.filled_valid.next = self.llq.filled_valid.val() && lines;
        self.llq.push_valid.next = self.gather.push_valid.val() && lines;
        self.gather.push_ready.next = self.llq.push_ready.val() && lines;
        self.llq.push_line.next = self.gather.push_line.val();
        self.llq.push_row.next = self.gather.push_row.val();
        self.llq.push_len.next = self.gather.push_len.val();
        self.out.inject_valid.next = self.llq.inject_valid.val() && lines;
        self.llq.inject_ready.next = self.out.inject_ready.val();
        self.out.inject_last.next = self.llq.inject_last.val() && lines;
        if lines {
            self.parse.put_place.next = self.llq.put_place.val();
            self.parse.put_desc.next = self.llq.put_desc.val();
            self.parse.filled_op.next = self.llq.filled_op.val();
            self.parse.filled_count.next = self.llq.filled_count.val();
            self.parse.filled_line.next = self.llq.filled_line.val();
            self.parse.filled_wide.next = self.llq.filled_wide.val();
            self.out.inject_row.next = self.llq.inject_row.val();
            self.out.inject_data.next = self.llq.inject_data.val();
            self.out.inject_be_lo.next = self.llq.inject_be_lo.val();
            self.out.inject_be_hi.next = self.llq.inject_be_hi.val();
        } else {
            self.parse.put_place.next = lit::<9>(0);
            self.parse.put_desc.next = lit::<128>(0);
            self.parse.filled_op.next = lit::<9>(0);
            self.parse.filled_count.next = lit::<5>(0);
            self.parse.filled_line.next = lit::<16>(0);
            self.parse.filled_wide.next = false;
            self.out.inject_row.next = lit::<16>(0);
            self.out.inject_data.next = lit::<D>(0);
            self.out.inject_be_lo.next = lit::<K>(0);
            self.out.inject_be_hi.next = lit::<K>(0);
        }

        self.gather.max_frame.next = self.max_frame.val();
        self.gather.packet_valid.next = self.parse.packet_valid.val();
        self.parse.packet_ready.next = self.gather.packet_ready.val();
        self.gather.packet_cq.next = self.parse.packet_cq.val();
        self.gather.packet_req_id.next = self.parse.packet_req_id.val();
        self.gather.packet_len.next = self.parse.packet_len.val();
        self.gather.packet_count.next = self.parse.packet_count.val();
        self.gather.packet_push.next = self.parse.packet_push.val();
        self.gather.packet_line.next = self.parse.packet_line.val();
        self.gather.packet_meta.next = self.parse.packet_meta.val();
        self.gather.packet_bad.next = self.parse.packet_bad.val();
        self.gather.packet_dma.next = self.parse.packet_dma.val();
        self.gather.packet_silent.next = self.parse.packet_silent.val();
        self.gather.packet_marker.next = self.parse.packet_marker.val();
        self.gather.seg_valid.next = self.parse.seg_valid.val();
        self.parse.seg_ready.next = self.gather.seg_ready.val();
        self.gather.seg_addr.next = self.parse.seg_addr.val();
        self.gather.seg_len.next = self.parse.seg_len.val();

        self.out.info_valid.next = self.gather.info_valid.val();
        self.gather.info_ready.next = self.out.info_ready.val();
        self.out.info_row.next = self.gather.info_row.val();
        self.out.info_len.next = self.gather.info_len.val();
        self.out.info_cq.next = self.gather.info_cq.val();
        self.out.info_req_id.next = self.gather.info_req_id.val();
        self.out.info_word.next = self.gather.info_word.val();
        self.out.info_read.next = self.gather.info_read.val();
        self.out.info_slot.next = self.gather.info_slot.val();
        self.out.info_push.next = self.gather.info_push.val();
        self.out.info_bad.next = self.gather.info_bad.val();
        self.out.info_dma.next = self.gather.info_dma.val();
        self.out.info_silent.next = self.gather.info_silent.val();
        self.out.info_marker.next = self.gather.info_marker.val();
        self.gather.free_rows.next = self.out.free_rows.val();
        self.gather.free_slot.next = self.out.free_slot.val();
        self.stat_drop_dma.next = self.out.stat_drop_dma.val();

        // Without offloads frames pass by, and what is not used goes away in synthesis.
        let plain = lit::<1>(self._plain as usize).any();
        let valid = self.out.beat_valid.val();
        self.offload.beat_valid.next = valid && !plain;
        self.offload.beat_data.next = self.out.beat_data.val();
        self.offload.beat_last.next = self.out.beat_last.val();
        self.offload.beat_bytes.next = self.out.beat_bytes.val();
        self.offload.word.next = self.out.word.val();
        self.offload.mac.ready.next = self.mac.ready.val();
        self.out.beat_ready.next =
            if plain { self.mac.ready.val() } else { self.offload.beat_ready.val() };
        self.mac.valid.next = if plain { valid } else { self.offload.mac.valid.val() };
        self.mac.data.next =
            if plain { self.out.beat_data.val() } else { self.offload.mac.data.val() };
        self.mac.last.next =
            if plain { self.out.beat_last.val() } else { self.offload.mac.last.val() };
        self.mac.bytes.next =
            if plain { self.out.beat_bytes.val() } else { self.offload.mac.bytes.val() };
        self.mac.err.next = self.offload.mac.err.val() && !plain;

        // Frames count when they have left what may refuse them. Both may find a bad packet in a cycle; more than one in two there are not for long.
        self.stat_frame.next =
            if plain { self.out.stat_frame.val() } else { self.offload.stat_frame.val() };
        self.stat_bytes.next =
            if plain { self.out.stat_bytes.val() } else { self.offload.stat_bytes.val() };
        let mut refused = self.refused.q.val();
        if self.offload.stat_bad.val() && !plain {
            refused = refused + 1;
        }
        if self.refused.q.val().any() && !self.out.stat_bad.val() {
            refused = refused - 1;
        }
        self.refused.d.next = refused;
        self.stat_bad_descriptor.next = self.out.stat_bad.val() || self.refused.q.val().any();

        self.probe.next = lit::<6>(0)
            .replace_bit(0, self.sched.batch_valid.val())
            .replace_bit(1, self.parse.batch_ready.val())
            .replace_bit(2, self.parse.packet_valid.val())
            .replace_bit(3, self.gather.packet_ready.val())
            .replace_bit(4, self.gather.info_valid.val())
            .replace_bit(5, self.out.info_ready.val());
    }
}
