//! The card: one PCIe function on one side, one Ethernet MAC on the other, the management bus
//! beside.
//!
//! | port | what |
//! |---|---|
//! | `rx`, `tx` | TLPs from and to the root complex |
//! | `fc_*`, `rx_np_limit` | flow-control limits of the link's other end, and the card's own |
//! | `mac_tx`, `mac_rx`, `link_up` | frames to and from the MAC |
//! | `mgmt`, `mgmt_irq` | the firmware's bus and interrupt |
//! | `probe` | see [crate::common::probe] |
//!
//! Nothing is computed here: this block only wires the others. Their own docs have latency,
//! throughput, and what happens when they are full.
//!
//! | parameter | what |
//! |---|---|
//! | `D`, `K`, `L` | the data path's bits, bytes and log2 bytes |
//! | `T`, `Q`, `C` | log2 of DMA tags, of queue pairs, of completion queues (Q + 1) |
//! | `V`, `S`, `R` | log2 of the vector table, of TX packets in flight, of an RX queue's prefetch |
//! | `B` | log2 of the rows in a bank of each packet buffer, which has two |
//! | `G` | log2 of the staged TX segments: Q + 5 |
//! | `M` | log2 of the rows in a bank of prefetched RX descriptors: Q + R + 3 - L |
//! | `N` | log2 of the lines of all low-latency queues; 0: there are none |
//! | `P` | log2 of the rows in a bank of the line memory: N + 6 - L |
//! | `F` | log2 of the received frames that may wait: B + L - 5 |

use crate::cards::CardConfig;
use crate::common::iface::*;
use crate::common::probe::{Handshake, Probe, RxProbe, TxProbe};
use crate::common::reset::ResetStage;
use crate::host::bar::BarDecode;
use crate::host::cq::CompletionQueues;
use crate::host::readless::Readless;
use crate::host::regs::EnaRegs;
use crate::host::reset::ResetControl;
use crate::irq::moderation::Irq;
use crate::irq::msix::MsixTable;
use crate::mgmt::bus::MgmtBus;
use crate::mgmt::mailbox::Mailbox;
use crate::mgmt::stats::Stats;
use crate::pcie::config::Config;
use crate::pcie::inline::{self, InlineWrite, Recallable};
use crate::pcie::read::DmaRead;
use crate::pcie::rx::TlpRx;
use crate::pcie::stage::ReadStage;
use crate::pcie::target::Target;
use crate::pcie::tlp::HeaderSrc;
use crate::pcie::tx::TlpTx;
use crate::rx::RxPath;
use crate::tx::framer::TxFramer;
use crate::tx::TxPath;
use nitor_abi::mgmt;
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct Card<
    const D: usize,
    const K: usize,
    const L: usize,
    const T: usize,
    const Q: usize,
    const C: usize,
    const V: usize,
    const S: usize,
    const R: usize,
    const B: usize,
    const G: usize,
    const M: usize,
    const N: usize,
    const P: usize,
    const F: usize,
> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// TLPs from the root complex.
    pub rx: TlpSnk<D>,
    /// TLPs to the root complex.
    pub tx: TlpSrc<D>,
    /// Flow control: the cumulative limits of the link's other end for posted headers, posted data,
    /// non-posted headers, completion headers and completion data; see [crate::pcie::tx].
    pub fc_ph: Signal<In, Bits<8>>,
    pub fc_pd: Signal<In, Bits<12>>,
    pub fc_nph: Signal<In, Bits<8>>,
    pub fc_cplh: Signal<In, Bits<8>>,
    pub fc_cpld: Signal<In, Bits<12>>,
    pub fc_cpl_infinite: Signal<In, Bits<2>>,
    /// The card's own cumulative limit for non-posted headers.
    pub rx_np_limit: Signal<Out, Bits<8>>,
    pub mac_tx: MacSrc<D>,
    pub mac_rx: MacSnk<D>,
    pub link_up: Signal<In, Bit>,
    /// The firmware's bus and interrupt.
    pub mgmt: RegBusSnk,
    pub mgmt_irq: Signal<Out, Bit>,
    /// See [crate::common::probe].
    pub probe: Signal<Out, Probe>,
    stages: [ResetStage; 12],
    core_stages: [ResetStage; 3],
    demux: TlpRx<D>,
    target: Target<D>,
    space: Config,
    read: DmaRead<D, K, L, T>,
    mgmt_bus: ReadStage<D, K>,
    rx_bus: ReadStage<D, K>,
    tx_bus: ReadStage<D, K>,
    inline: InlineWrite<D>,
    out: TlpTx<D>,
    bar: BarDecode,
    regs: EnaRegs,
    readless: Readless<D>,
    resets: ResetControl,
    cqs: CompletionQueues<D, K, C>,
    table: MsixTable<V>,
    irq: Irq<D, V>,
    manage: MgmtBus,
    mailbox: Mailbox<D, K, L>,
    stats: Stats,
    txp: TxPath<D, K, L, Q, S, B, G, N, P>,
    framer: TxFramer<D>,
    rxp: RxPath<D, K, L, Q, R, B, M, F>,
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const T: usize,
        const Q: usize,
        const C: usize,
        const V: usize,
        const S: usize,
        const R: usize,
        const B: usize,
        const G: usize,
        const M: usize,
        const N: usize,
        const P: usize,
        const F: usize,
    > Card<D, K, L, T, Q, C, V, S, R, B, G, M, N, P, F>
{
    pub fn new(config: &CardConfig) -> Self {
        let spec = config.spec;
        let log_bar2 = if N == 0 { 0 } else { N + 7 };
        Self {
            clock: Default::default(),
            reset: Default::default(),
            rx: Default::default(),
            tx: Default::default(),
            fc_ph: Default::default(),
            fc_pd: Default::default(),
            fc_nph: Default::default(),
            fc_cplh: Default::default(),
            fc_cpld: Default::default(),
            fc_cpl_infinite: Default::default(),
            rx_np_limit: Default::default(),
            mac_tx: Default::default(),
            mac_rx: Default::default(),
            link_up: Default::default(),
            mgmt: Default::default(),
            mgmt_irq: Default::default(),
            probe: Default::default(),
            stages: std::array::from_fn(|_| ResetStage::new(spec.one_reset)),
            core_stages: std::array::from_fn(|_| ResetStage::new(spec.one_reset)),
            demux: TlpRx::new(spec.basic_pcie),
            target: Target::new(log_bar2),
            space: Config::new(spec.vectors(), log_bar2, spec.basic_pcie),
            read: DmaRead::new(config.read_timeout, spec.basic_pcie, spec.half_rate),
            mgmt_bus: ReadStage::new(client::MGMT, false, spec.half_rate),
            rx_bus: ReadStage::new(client::RX_DESC, false, spec.half_rate),
            tx_bus: ReadStage::new(client::TX_DESC, true, spec.half_rate),
            inline: InlineWrite::new(spec.half_rate),
            out: TlpTx::new(spec.half_rate),
            bar: BarDecode::new(spec.queues(), spec.vectors()),
            regs: Default::default(),
            readless: Default::default(),
            resets: Default::default(),
            cqs: CompletionQueues::new(config.cq_hold),
            table: MsixTable::new(spec.vectors()),
            irq: Irq::new(config.cycles_per_us),
            manage: MgmtBus::new(
                mgmt::Config {
                    queue_pairs: spec.queues() as u8,
                    last_vector: (spec.vectors() - 1) as u8,
                    log_width: L as u8,
                    log_max_depth: spec.log_depth as u8,
                    tx_offloads: spec.tx_offloads,
                    rx_checksums: spec.classifier.checksums(),
                    llq: N != 0,
                },
                mgmt::Lines { log_depth: N.saturating_sub(Q) as u8 },
                config.cycles_per_us,
            ),
            mailbox: Default::default(),
            stats: Default::default(),
            txp: TxPath::new(spec.tx_offloads, spec.shallow),
            framer: TxFramer::new(spec.half_rate),
            rxp: RxPath::new(spec.classifier, spec.shallow),
        }
    }
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const T: usize,
        const Q: usize,
        const C: usize,
        const V: usize,
        const S: usize,
        const R: usize,
        const B: usize,
        const G: usize,
        const M: usize,
        const N: usize,
        const P: usize,
        const F: usize,
    > Logic for Card<D, K, L, T, Q, C, V, S, R, B, G, M, N, P, F>
{
    /// The card: an ENA device between PCI Express and an Ethernet MAC.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; resets);
        clocked!(self, clock; mgmt_bus, rx_bus, tx_bus, demux, target, space, read, inline, out);
        clocked!(self, clock; bar, regs, manage, mailbox, stats, framer, readless, table, cqs);
        clocked!(self, clock; irq, txp, rxp);
        for i in 0..12 {
            self.stages[i].clock.next = self.clock.val();
            self.stages[i].d.next = self.reset.val();
        }
        self.demux.reset.next = self.stages[0].q.val();
        self.target.reset.next = self.stages[1].q.val();
        self.space.reset.next = self.stages[2].q.val();
        self.read.reset.next = self.stages[3].q.val();
        self.mgmt_bus.reset.next = self.stages[3].q.val();
        self.rx_bus.reset.next = self.stages[3].q.val();
        self.tx_bus.reset.next = self.stages[3].q.val();
        self.inline.reset.next = self.stages[4].q.val();
        self.out.reset.next = self.stages[5].q.val();
        self.bar.reset.next = self.stages[6].q.val();
        self.regs.reset.next = self.stages[7].q.val();
        self.manage.reset.next = self.stages[8].q.val();
        self.mailbox.reset.next = self.stages[9].q.val();
        self.stats.reset.next = self.stages[10].q.val();
        self.framer.reset.next = self.stages[11].q.val();
        let hard = self.reset.val();
        let function = hard || self.resets.function_reset.val();
        let core = self.resets.core_reset.val();
        for i in 0..3 {
            self.core_stages[i].clock.next = self.clock.val();
            self.core_stages[i].d.next = core;
        }
        let core_late = self.core_stages[2].q.val();
        let flush = self.resets.flush.val();
        self.readless.reset.next = function;
        self.table.reset.next = function;
        self.cqs.reset.next = self.core_stages[0].q.val();
        self.irq.reset.next = self.core_stages[1].q.val();
        // `txp` and `rxp` have reset stages of their own.
        self.txp.reset.next = core;
        self.rxp.reset.next = core;
        self.rxp.config_reset.next = hard;

        // PCIe.
        TlpSnk::<D>::link(&mut self.rx, &mut self.demux.link);
        self.rx_np_limit.next = self.demux.rx_np_limit.val();
        TlpSrc::<D>::join(&mut self.demux.cpl, &mut self.read.cpl);
        TlpSrc::<D>::join(&mut self.demux.posted, &mut self.target.posted);
        TlpSrc::<D>::join(&mut self.demux.np, &mut self.target.np);
        TlpSrc::<D>::join(&mut self.target.cpl, &mut self.out.cpl);
        RegBusSrc::join(&mut self.target.cfg, &mut self.space.bus);
        RegBusSrc::join(&mut self.target.bar, &mut self.bar.target);
        LineWriteSrc::<D>::join(&mut self.target.line, &mut self.txp.line);
        self.target.bar0_base.next = self.space.bar0_base.val();
        self.target.bar2_base.next = self.space.bar2_base.val();
        self.target.mem_enable.next = self.space.mem_enable.val();
        self.demux.mps.next = self.space.mps.val();
        self.space.malformed.next = self.demux.err_malformed.val();
        self.space.overflow.next = self.demux.err_overflow.val();
        self.space.link_hdr.next = self.demux.err_hdr.val();
        self.space.unsupported.next = self.target.err_unsupported.val();
        self.space.aborted.next = self.target.err_aborted.val();
        self.space.poisoned.next = self.target.err_poisoned.val();
        self.space.answered.next = self.target.err_answered.val();
        self.space.parity.next = self.target.stat_poisoned.val();
        self.space.request_hdr.next = self.target.err_hdr.val();
        self.space.cpl_poisoned.next = self.read.cpl_poisoned.val();
        self.space.cpl_refused.next = self.read.cpl_ur_ca.val();
        self.space.cpl_unexpected.next = self.read.cpl_unexpected.val();
        self.space.cpl_timeout.next = self.read.cpl_timeout.val();
        self.space.cpl_hdr.next = self.read.cpl_hdr.val();
        self.space.pending.next = self.read.pending.val();
        self.space.flush.next = flush;
        self.read.read_timeout.next = self.space.read_timeout.val();
        self.out.message_valid.next = self.space.message_valid.val();
        self.out.message.next = self.space.message.val();
        self.space.message_ready.next = self.out.message_ready.val();
        self.out.requester.next = self.target.bdf.val();
        self.read.flush.next = flush;
        self.read.mrrs.next = self.space.mrrs.val();
        self.read.requester.next = self.target.bdf.val();
        self.read.ext_tag.next = self.space.ext_tag.val();
        self.read.bus_master.next = self.space.bus_master.val();
        HeaderSrc::join(&mut self.read.np, &mut self.out.np);
        self.inline.requester.next = self.target.bdf.val();
        self.inline.core_reset.next = core_late;
        self.inline.recall.next = Recallable {
            readless: self.readless.recall.val() || self.resets.function_reset.val(),
            messages: self.irq.recall.val(),
        };
        self.readless.sent.next = self.inline.sent.val().readless;
        self.irq.sent.next = self.inline.sent.val().messages;
        TlpSrc::<D>::join(&mut self.inline.tx, &mut self.out.inline);
        self.out.inline_privileged.next = self.inline.privileged.val();
        TlpSrc::<D>::join(&mut self.rxp.tx, &mut self.out.payload);
        TlpSrc::<D>::link(&mut self.tx, &mut self.out.link);
        self.out.fc_ph.next = self.fc_ph.val();
        self.out.fc_pd.next = self.fc_pd.val();
        self.out.fc_nph.next = self.fc_nph.val();
        self.out.fc_cplh.next = self.fc_cplh.val();
        self.out.fc_cpld.next = self.fc_cpld.val();
        self.out.fc_cpl_infinite.next = self.fc_cpl_infinite.val();
        self.out.flush.next = flush;
        self.out.bus_master.next = self.space.bus_master.val();
        self.out.press.next = self.rxp.press.val();

        // Host registers and reset.
        self.bar.core_reset.next = core_late;
        self.bar.flush.next = flush;
        RegBusSrc::join(&mut self.bar.regs, &mut self.regs.bus);
        RegBusSrc::join(&mut self.bar.msix, &mut self.table.bus);
        DoorbellSrc::join(&mut self.bar.tx_doorbell, &mut self.txp.doorbell);
        DoorbellSrc::join(&mut self.bar.rx_doorbell, &mut self.rxp.doorbell);
        UnmaskSrc::join(&mut self.bar.unmask, &mut self.irq.unmask);
        self.regs.regs_clear.next = self.resets.regs_clear.val();
        self.regs.function_reset.next = self.resets.function_reset.val();
        self.regs.reset_in_progress.next = self.resets.reset_in_progress.val();
        self.readless.req_valid.next = self.regs.readless_valid.val();
        self.readless.req.next = self.regs.readless_req.val();
        self.readless.mmio_resp.next = self.regs.mmio_resp.val();
        self.readless.mmio_resp_written.next = self.regs.mmio_resp_written.val();
        self.readless.mmio_resp_half.next = self.regs.mmio_resp_half.val();
        self.regs.peek_addr.next = self.readless.peek_addr.val();
        self.readless.peek_data.next = self.regs.peek_data.val();
        self.resets.dev_ctl_written.next = self.regs.dev_ctl_written.val();
        self.resets.dev_reset.next = self.regs.dev_reset.val();
        self.resets.flr.next = self.space.flr.val();
        self.resets.read_busy.next = self.read.busy.val();
        self.resets.tx_idle.next = self.out.idle.val();
        self.resets.firmware_ack.next = self.manage.firmware_ack.val();

        // Queues.
        ReadReqSrc::join(&mut self.mailbox.read_req, &mut self.read.req[client::MGMT as usize]);
        ReadReqSrc::join(&mut self.rxp.fetch, &mut self.read.req[client::RX_DESC as usize]);
        ReadReqSrc::join(&mut self.txp.fetch, &mut self.read.req[client::TX_DESC as usize]);
        ReadReqSrc::join(&mut self.txp.data, &mut self.read.req[client::TX_DATA as usize]);
        ReadBusSrc::<D, K>::join(&mut self.read.bus, &mut self.mgmt_bus.bus);
        ReadBusSrc::<D, K>::join(&mut self.mgmt_bus.out, &mut self.mailbox.read);
        ReadBusSrc::<D, K>::join(&mut self.read.bus, &mut self.rx_bus.bus);
        ReadBusSrc::<D, K>::join(&mut self.rx_bus.out, &mut self.rxp.bus);
        ReadBusSrc::<D, K>::join(&mut self.read.bus, &mut self.tx_bus.bus);
        ReadBusSrc::<D, K>::join(&mut self.tx_bus.out, &mut self.txp.bus);
        TxDoneSrc::join(&mut self.txp.done, &mut self.cqs.tx);
        RxDoneSrc::join(&mut self.rxp.done, &mut self.cqs.rx);
        self.txp.marker_ack.next = self.cqs.tx_marker_ack.val();
        self.rxp.marker_ack.next = self.cqs.rx_marker_ack.val();
        EventSrc::join(&mut self.cqs.event, &mut self.irq.event);
        WriteReqSrc::<D>::join(&mut self.cqs.write, &mut self.inline.req[inline::COMPLETIONS]);
        WriteReqSrc::<D>::join(&mut self.mailbox.write, &mut self.inline.req[inline::MAILBOX]);
        WriteReqSrc::<D>::join(&mut self.readless.write, &mut self.inline.req[inline::READLESS]);
        WriteReqSrc::<D>::join(&mut self.irq.write, &mut self.inline.req[inline::MESSAGES]);
        self.rxp.mps.next = self.space.mps.val();
        self.rxp.requester.next = self.target.bdf.val();
        self.txp.max_frame.next = self.manage.max_frame.val();
        self.rxp.max_frame.next = self.manage.max_frame.val();

        // Interrupts.
        self.irq.raise.next = self.manage.raise.val();
        self.irq.intr_masked.next = self.regs.intr_masked.val();
        self.irq.enable.next = self.space.msix_enable.val() && self.space.bus_master.val();
        self.irq.function_mask.next = self.space.msix_mask.val();
        self.table.lookup_vector.next = self.irq.lookup_vector.val();
        self.table.fetch.next = self.irq.fetch.val();
        self.table.fetch_vector.next = self.irq.fetch_vector.val();
        self.irq.fetched.next = self.table.fetched.val();
        self.irq.message_addr.next = self.table.message_addr.val();
        self.irq.message_data.next = self.table.message_data.val();
        self.irq.message_masked.next = self.table.message_masked.val();
        self.irq.lookup_masked.next = self.table.lookup_masked.val();
        self.irq.pba_word.next = self.table.pba_word.val();
        self.table.pba.next = self.irq.pba.val();
        self.table.pba_valid.next = self.irq.pba_valid.val();

        // Management.
        RegBusSnk::link(&mut self.mgmt, &mut self.manage.bus);
        self.mgmt_irq.next = self.manage.irq.val();
        RegBusSrc::join(&mut self.manage.mailbox, &mut self.mailbox.bus);
        RegBusSrc::join(&mut self.manage.steer, &mut self.rxp.regs);
        RegBusSrc::join(&mut self.manage.stats, &mut self.stats.bus);
        CtxCmdSrc::join(&mut self.manage.tx_sq, &mut self.txp.ctx);
        CtxCmdSrc::join(&mut self.manage.rx_sq, &mut self.rxp.ctx);
        CtxCmdSrc::join(&mut self.manage.cq, &mut self.cqs.ctx);
        VectorEndSrc::join(&mut self.manage.vector_end, &mut self.irq.end);
        self.manage.core_reset.next = core_late;
        self.manage.flush.next = flush;
        self.manage.blocked.next = self.resets.wait_firmware.val();
        self.mailbox.core_reset.next = core_late;
        self.mailbox.flush.next = flush;
        self.mailbox.blocked.next = self.resets.wait_firmware.val();
        self.regs.shadow_index.next = self.manage.shadow_index.val();
        self.manage.shadow.next = self.regs.shadow.val();
        self.manage.irq_reset.next = self.resets.irq_reset.val();
        self.manage.irq_flr.next = self.resets.irq_flr.val();
        self.manage.aq_db_written.next = self.regs.aq_db_written.val();
        self.manage.aenq_head_db_written.next = self.regs.aenq_head_db_written.val();
        self.manage.intr_mask_written.next = self.regs.intr_mask_written.val();
        self.manage.link_up.next = self.link_up.val();
        self.manage.bus_master.next = self.space.bus_master.val();

        // The wire.
        MacSrc::<D>::join(&mut self.txp.mac, &mut self.framer.beats);
        self.framer.cut.next = core_late;
        MacSrc::<D>::link(&mut self.mac_tx, &mut self.framer.mac);
        MacSnk::<D>::link(&mut self.mac_rx, &mut self.rxp.mac);

        // Counters.
        self.stats.tx_frames.next = self.txp.stat_frame.val();
        self.stats.tx_bytes.next = self.txp.stat_bytes.val();
        self.stats.rx_frames.next = self.rxp.stat_frame.val();
        self.stats.rx_bytes.next = self.rxp.stat_bytes.val();
        self.stats.rx_drops_no_descriptor.next = self.rxp.stat_drop_no_descriptor.val();
        self.stats.rx_drops_no_room.next = self.rxp.stat_drop_no_room.val();
        self.stats.rx_drops_bad_frame.next = self.rxp.stat_drop_bad.val();
        self.stats.rx_drops_no_queue.next = self.rxp.stat_drop_no_queue.val();
        self.stats.tx_drops_dma_error.next = self.txp.stat_drop_dma.val();
        self.stats.tx_drops_bad_descriptor.next = self.txp.stat_bad_descriptor.val();
        self.stats.rx_drops_dma_error.next = self.rxp.stat_drop_dma_error.val();
        self.stats.read_tlps.next = self.read.stat_read.val();
        self.stats.write_tlps.next = self.out.stat_write.val();
        self.stats.completion_tlps.next = self.out.stat_completion.val();
        self.stats.msix_messages.next = self.irq.stat_msix.val();
        self.stats.doorbells.next = self.bar.stat_doorbell.val();
        self.stats.cpl_poisoned.next = self.read.cpl_poisoned.val();
        self.stats.cpl_ur_ca.next = self.read.cpl_ur_ca.val();
        self.stats.cpl_timeout.next = self.read.cpl_timeout.val();
        self.stats.cpl_unexpected.next = self.read.cpl_unexpected.val();
        self.stats.requests_unsupported.next = self.target.stat_unsupported.val();
        self.stats.requests_poisoned.next = self.target.stat_poisoned.val();
        self.stats.doorbells_no_queue.next = self.bar.stat_doorbell_illegal.val();
        self.stats.cq_overflow.next = self.cqs.stat_cq_overflow.val();
        self.stats.tx_queues_broken.next = self.txp.stat_broken.val();
        self.stats.rx_queues_broken.next = self.rxp.stat_fetch_error.val();
        self.stats.tx_doorbells_illegal.next = self.txp.stat_doorbell_illegal.val();
        self.stats.rx_doorbells_illegal.next = self.rxp.stat_doorbell_illegal.val();
        self.stats.tlps_malformed.next = self.demux.stat_malformed.val();

        // The probe.
        let tx = TxProbe::from_bits(self.txp.probe.val());
        let rx = RxProbe::from_bits(self.rxp.probe.val());
        self.probe.next = Probe {
            tx_doorbells: Handshake {
                valid: self.bar.tx_doorbell.valid.val(),
                ready: self.txp.doorbell.ready.val(),
            },
            tx_fetches: Handshake {
                valid: self.txp.fetch.valid.val(),
                ready: self.read.req[client::TX_DESC as usize].ready.val(),
            },
            tx_batches: tx.batches,
            tx_packets: tx.packets,
            tx_payload: Handshake {
                valid: self.txp.data.valid.val(),
                ready: self.read.req[client::TX_DATA as usize].ready.val(),
            },
            reads: Handshake { valid: self.read.np.valid.val(), ready: self.out.np.ready.val() },
            tx_gathered: tx.gathered,
            tx_beats: Handshake {
                valid: self.txp.mac.valid.val(),
                ready: self.framer.beats.ready.val(),
            },
            mac_tx: Handshake {
                valid: self.framer.mac.valid.val(),
                ready: self.mac_tx.ready.val(),
            },
            tx_done: Handshake { valid: self.txp.done.valid.val(), ready: self.cqs.tx.ready.val() },
            mac_rx: Handshake { valid: self.mac_rx.valid.val(), ready: self.rxp.mac.ready.val() },
            rx_frames: rx.frames,
            rx_doorbells: Handshake {
                valid: self.bar.rx_doorbell.valid.val(),
                ready: self.rxp.doorbell.ready.val(),
            },
            rx_fetches: Handshake {
                valid: self.rxp.fetch.valid.val(),
                ready: self.read.req[client::RX_DESC as usize].ready.val(),
            },
            rx_segments: rx.segments,
            rx_payload: Handshake {
                valid: self.rxp.tx.valid.val(),
                ready: self.out.payload.ready.val(),
            },
            rx_done: Handshake { valid: self.rxp.done.valid.val(), ready: self.cqs.rx.ready.val() },
            cq_lines: Handshake {
                valid: self.cqs.write.valid.val(),
                ready: self.inline.req[inline::COMPLETIONS].ready.val(),
            },
            messages: Handshake {
                valid: self.irq.write.valid.val(),
                ready: self.inline.req[inline::MESSAGES].ready.val(),
            },
            inline_writes: Handshake {
                valid: self.inline.tx.valid.val(),
                ready: self.out.inline.ready.val(),
            },
            link_tx: Handshake { valid: self.out.link.valid.val(), ready: self.tx.ready.val() },
            link_rx: Handshake { valid: self.rx.valid.val(), ready: self.demux.link.ready.val() },
            completions: Handshake {
                valid: self.demux.cpl.valid.val(),
                ready: self.read.cpl.ready.val(),
            },
        };
    }
}
