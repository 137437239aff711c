//! The receive path: frames from the MAC are steered to a queue and written to its buffers.
//!
//! | block | does | a 60-byte frame, 512 bits |
//! |---|---|---|
//! | [input] | stores whole frames in the RX buffer | 1 cycle |
//! | [parse], [walk] | find VLAN, IP, L4, the hash tuple | 1 cycle, 10 deep |
//! | [checksum], [sum] | verify IPv4, TCP and UDP checksums | 1 cycle, 18 deep |
//! | [steer], [hash] | RSS: hash, table, queue | 1 cycle, 5 deep |
//! | [classify] | in small cards finds flow and queue, 16 bits a cycle | 17 cycles, IPv6 27 |
//! | [waiting] | keeps the flows of stored frames until there are buffers | 1 cycle |
//! | [prefetch] | queue contexts, descriptors fetched ahead | up to 16 descriptors a 4-cycle turn |
//! | [assign] | covers the frame with buffers | 2 cycles |
//! | [write] | posted writes and completion entries | 2 cycles a TLP, 1 a beat |
//!
//! [classify] stands for parse, hash, steer and checksum. [waiting] holds as many frames of 60
//! bytes as the RX buffer. [headers] has the headers' layouts, [words] the records that go between
//! the blocks.
//!
//! **Back-pressure.** Only small frames that come too fast stop the MAC (see [input]). A frame
//! without room is dropped whole. Every frame is counted once, as delivered or in one drop counter.
//! Only the RX buffer limits room: frames of 60 bytes and more, in whatever mix, wait for the host
//! until its rows are used up.
//!
//! **Reset.** `reset` clears everything but the RSS registers, which have `config_reset`. The rest
//! of a frame that `reset` cuts is ignored. All stat outputs are pulses of one cycle.

pub mod assign;
pub mod checksum;
pub mod classify;
pub mod hash;
pub mod headers;
pub mod input;
pub mod parse;
pub mod prefetch;
pub mod steer;
pub mod sum;
pub mod waiting;
pub mod walk;
pub mod words;
pub mod write;

use crate::common::iface::*;
use crate::common::probe::{Handshake, RxProbe};
use crate::common::reset::ResetStage;
use assign::RxAssign;
use checksum::RxChecksum;
use classify::RxClassify;
use input::RxInput;
use nitor_rtl::prelude::*;
use parse::RxParse;
use prefetch::RxPrefetch;
use steer::RxSteer;
use waiting::RxWaiting;
use words::*;
use write::RxWrite;

/// How a card finds the flows of frames.
#[derive(Clone, Copy, Debug)]
pub enum Classifier {
    /// A frame a cycle. The hash takes 1, 3 or 9 `steps`, fewer tables the more; frames of fewer
    /// beats are slowed down to it. Without `checksums` none is verified, and completions say so.
    Wide { steps: usize, checksums: bool },
    /// A fraction of the area, as fast as a gigabit needs; no checksums.
    Serial,
}

impl Classifier {
    pub fn checksums(&self) -> bool {
        matches!(self, Self::Wide { checksums: true, .. })
    }
}

/// 2^Q queues, 2^R descriptors prefetched each, 2^(B+1) rows of RX buffer, M = Q + R + 3 - L, 2^F
/// frames that wait, F = B + L - 5.
#[derive(LogicBlock)]
pub struct RxPath<
    const D: usize,
    const K: usize,
    const L: usize,
    const Q: usize,
    const R: usize,
    const B: usize,
    const M: usize,
    const F: usize,
> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub config_reset: Signal<In, Bit>,
    pub mac: MacSnk<D>,
    pub doorbell: DoorbellSnk,
    pub ctx: CtxCmdSnk,
    pub fetch: ReadReqSrc,
    pub bus: ReadBusSnk<D, K>,
    pub tx: TlpSrc<D>,
    pub done: RxDoneSrc,
    /// The marker of a destroyed queue has come through `host/cq`.
    pub marker_ack: Signal<In, Bit>,
    pub regs: RegBusSnk,
    pub mps: Signal<In, Bits<3>>,
    pub requester: Signal<In, Bits<16>>,
    pub max_frame: Signal<In, Bits<16>>,
    /// See [input].
    pub press: Signal<Out, Bit>,
    pub stat_frame: Signal<Out, Bit>,
    /// Bytes of the frame counted.
    pub stat_bytes: Signal<Out, Bits<16>>,
    pub stat_drop_no_descriptor: Signal<Out, Bit>,
    pub stat_drop_no_room: Signal<Out, Bit>,
    pub stat_drop_bad: Signal<Out, Bit>,
    pub stat_drop_no_queue: Signal<Out, Bit>,
    pub stat_drop_dma_error: Signal<Out, Bit>,
    pub stat_fetch_error: Signal<Out, Bit>,
    pub stat_doorbell: Signal<Out, Bit>,
    pub stat_doorbell_illegal: Signal<Out, Bit>,
    /// `valid` and `ready` of stored frames and of segments.
    pub probe: Signal<Out, Bits<4>>,
    stages: [ResetStage; 8],
    input: RxInput<D, K, B, F>,
    parse: RxParse<D, K>,
    steer: RxSteer,
    classify: RxClassify<D, K>,
    checksum: RxChecksum<D, K, L>,
    waiting: RxWaiting<B, F>,
    prefetch: RxPrefetch<D, K, L, Q, R, M>,
    assign: RxAssign<L, Q>,
    writer: RxWrite<D, K, L, B>,
    _serial: bool,
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const Q: usize,
        const R: usize,
        const B: usize,
        const M: usize,
        const F: usize,
    > Default for RxPath<D, K, L, Q, R, B, M, F>
{
    fn default() -> Self {
        Self::new(Classifier::Wide { steps: 1, checksums: true }, false)
    }
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const Q: usize,
        const R: usize,
        const B: usize,
        const M: usize,
        const F: usize,
    > RxPath<D, K, L, Q, R, B, M, F>
{
    /// `small`: 8 fetches of descriptors are under way, and frames come no faster than from the
    /// serial classifier.
    pub fn new(classifier: Classifier, small: bool) -> Self {
        let (mut input, steps, serial) = match classifier {
            Classifier::Wide { steps, .. } => (RxInput::new(steps), steps, false),
            Classifier::Serial => (RxInput::serial(), 9, true),
        };
        assert!(F + 5 == B + L && (serial || !small));
        if small {
            input = input.small();
        }
        let mut prefetch = RxPrefetch::default();
        prefetch._small = small;
        Self {
            clock: Default::default(),
            reset: Default::default(),
            config_reset: Default::default(),
            mac: Default::default(),
            doorbell: Default::default(),
            ctx: Default::default(),
            fetch: Default::default(),
            bus: Default::default(),
            tx: Default::default(),
            done: Default::default(),
            marker_ack: Default::default(),
            regs: Default::default(),
            mps: Default::default(),
            requester: Default::default(),
            max_frame: Default::default(),
            press: Default::default(),
            stat_frame: Default::default(),
            stat_bytes: Default::default(),
            stat_drop_no_descriptor: Default::default(),
            stat_drop_no_room: Default::default(),
            stat_drop_bad: Default::default(),
            stat_drop_no_queue: Default::default(),
            stat_drop_dma_error: Default::default(),
            stat_fetch_error: Default::default(),
            stat_doorbell: Default::default(),
            stat_doorbell_illegal: Default::default(),
            probe: Default::default(),
            stages: std::array::from_fn(|_| ResetStage::new(small)),
            input,
            parse: RxParse::new(steps),
            steer: RxSteer::new(steps),
            classify: Default::default(),
            checksum: Default::default(),
            waiting: RxWaiting::new(classifier.checksums(), small),
            prefetch,
            assign: RxAssign::new(small),
            writer: RxWrite::new(small),
            _serial: serial,
        }
    }
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const Q: usize,
        const R: usize,
        const B: usize,
        const M: usize,
        const F: usize,
    > Logic for RxPath<D, K, L, Q, R, B, M, F>
{
    /// The receive path, from the MAC to posted writes and completion entries.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock; input, parse, checksum, steer, classify, waiting, prefetch, assign,
            writer);
        for i in 0..8 {
            self.stages[i].clock.next = self.clock.val();
            self.stages[i].d.next = self.reset.val();
        }
        self.input.reset.next = self.stages[0].q.val();
        self.parse.reset.next = self.stages[1].q.val();
        self.checksum.reset.next = self.stages[2].q.val();
        self.steer.reset.next = self.stages[3].q.val();
        self.classify.reset.next = self.stages[4].q.val();
        self.prefetch.reset.next = self.stages[5].q.val();
        self.assign.reset.next = self.stages[6].q.val();
        self.writer.reset.next = self.stages[7].q.val();
        self.waiting.reset.next = self.stages[6].q.val();
        MacSnk::<D>::link(&mut self.mac, &mut self.input.mac);
        DoorbellSnk::link(&mut self.doorbell, &mut self.prefetch.doorbell);
        CtxCmdSnk::link(&mut self.ctx, &mut self.prefetch.ctx);
        ReadReqSrc::link(&mut self.fetch, &mut self.prefetch.fetch);
        ReadBusSnk::<D, K>::link(&mut self.bus, &mut self.prefetch.bus);
        TlpSrc::<D>::link(&mut self.tx, &mut self.writer.tx);
        RxDoneSrc::link(&mut self.done, &mut self.writer.done);

        self.input.wire_reset.next = self.config_reset.val();
        self.input.max_frame.next = self.max_frame.val();
        self.input.free_row.next = self.writer.free_row.val();
        self.writer.row_we.next = self.input.row_we.val();
        self.writer.row.next = self.input.row.val();
        self.writer.row_data.next = self.input.row_data.val();
        self.writer.mps.next = self.mps.val();
        self.writer.requester.next = self.requester.val();

        // Either `classify` finds the flow or `parse` and `steer` do; what is idle goes away in
        // synthesis.
        self.steer.config_reset.next = self.config_reset.val();
        self.classify.config_reset.next = self.config_reset.val();
        self.steer.in_valid.next = self.parse.valid.val();
        self.steer.in_l3.next = self.parse.l3.val();
        self.steer.in_l4.next = self.parse.l4.val();
        self.steer.in_frag.next = self.parse.frag.val();
        self.steer.in_tuple.next = self.parse.tuple.val();
        self.steer.regs.write.next = self.regs.write.val();
        self.steer.regs.addr.next = self.regs.addr.val();
        self.steer.regs.wdata.next = self.regs.wdata.val();
        self.steer.regs.be.next = self.regs.be.val();
        self.classify.regs.write.next = self.regs.write.val();
        self.classify.regs.addr.next = self.regs.addr.val();
        self.classify.regs.wdata.next = self.regs.wdata.val();
        self.classify.regs.be.next = self.regs.be.val();
        self.checksum.tap.put(self.input.tap.get());
        if self._serial {
            self.classify.tap.put(self.input.tap.get());
            self.parse.tap.put(Tap::<D> { valid: false, keep: false, ..self.input.tap.get() });
            self.input.hold.next = self.classify.hold.val();
            self.waiting.flow_valid.next = self.classify.flow_valid.val();
            self.waiting.flow.next = self.classify.flow.val();
            self.classify.regs.valid.next = self.regs.valid.val();
            self.steer.regs.valid.next = false;
            self.regs.ready.next = self.classify.regs.ready.val();
            self.regs.rdata.next = self.classify.regs.rdata.val();
        } else {
            self.parse.tap.put(self.input.tap.get());
            self.classify.tap.put(Tap::<D> { valid: false, keep: false, ..self.input.tap.get() });
            self.input.hold.next = false;
            self.waiting.flow_valid.next = self.steer.flow_valid.val();
            self.waiting.flow.next = self.steer.flow.val();
            self.steer.regs.valid.next = self.regs.valid.val();
            self.classify.regs.valid.next = false;
            self.regs.ready.next = self.steer.regs.ready.val();
            self.regs.rdata.next = self.steer.regs.rdata.val();
        }

        self.checksum.at.next = self.parse.at.val();
        self.checksum.is4.next = self.parse.is4.val();
        self.checksum.addrs.next = self.parse.addrs.val();
        self.checksum.tail.next = self.parse.tail.val();
        self.checksum.l3.next = self.parse.l3.val();
        self.checksum.l4.next = self.parse.l4.val();
        self.checksum.second.next = self.parse.second.val();
        self.checksum.routed.next = self.parse.routed.val();

        self.waiting.len_valid.next = self.input.tap.keep.val();
        self.waiting.len.next = self.input.tap_len.val();
        self.waiting.sums_valid.next = self.checksum.valid.val();
        self.waiting.sums.next = self.checksum.flags.val();
        self.input.taken.next = self.waiting.frame.valid.val() && self.assign.frame.ready.val();
        StoredSrc::join(&mut self.waiting.frame, &mut self.assign.frame);
        LookSrc::join(&mut self.assign.look, &mut self.prefetch.look);
        DescSrc::join(&mut self.assign.desc, &mut self.prefetch.desc);
        TakenSrc::join(&mut self.assign.head, &mut self.prefetch.head);
        MarkerSrc::join(&mut self.prefetch.marker, &mut self.assign.marker);
        PieceSrc::join(&mut self.assign.seg, &mut self.writer.seg);
        self.prefetch.marker_ack.next = self.marker_ack.val();

        self.press.next = self.input.press.val();
        self.stat_frame.next = self.assign.stat_frame.val();
        self.stat_bytes.next = self.assign.stat_bytes.val();
        self.stat_drop_no_descriptor.next = self.assign.stat_drop_no_descriptor.val();
        self.stat_drop_no_room.next = self.input.stat_drop_no_room.val();
        self.stat_drop_bad.next = self.input.stat_drop_bad.val();
        self.stat_drop_no_queue.next = self.assign.stat_drop_no_queue.val();
        self.stat_drop_dma_error.next = self.assign.stat_drop_dma_error.val();
        self.stat_fetch_error.next = self.prefetch.stat_fetch_error.val();
        self.stat_doorbell.next = self.prefetch.stat_doorbell.val();
        self.stat_doorbell_illegal.next = self.prefetch.stat_doorbell_illegal.val();

        self.probe.next = RxProbe {
            frames: Handshake {
                valid: self.waiting.frame.valid.val(),
                ready: self.assign.frame.ready.val(),
            },
            segments: Handshake {
                valid: self.assign.seg.valid.val(),
                ready: self.writer.seg.ready.val(),
            },
        }
        .to_bits::<4>();
    }
}
