//! The management bus: the firmware's registers, and the way to the slaves.
//!
//! | address | |
//! |---|---|
//! | 0x000..0x064 | here; the copies of the host's registers come from `host/regs` by `shadow_index` |
//! | 0x100..0x110, 0x800..0xFFF | `mailbox` |
//! | 0x120..0x12C | here: one context command at a time to the TX SQs, RX SQs, CQs, or vectors, which only end |
//! | 0x130, 0x200..0x227, 0x400..0x5FF | `steer` |
//! | 0x600..0x6FF | `stats` |
//! | others | read 0 |
//!
//! Registers here are written by whole dwords. CTX registers can't be changed while busy. A context command, or RAISE, while
//! `blocked` (the firmware has not acknowledged a reset) or `flush` does nothing; one under way when `core_reset` comes is forgotten. No access is taken
//! while `core_reset` is high, so none is lost in it.
//!
//! IRQ bits: an event wins over a clear in the same cycle; `irq` is high while one is set. The tick comes every 1000 µs of
//! TIME. An access takes 3 cycles here (4 for a copy), 2 more than the slave elsewhere; the slaves see it from registers.

use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum BusState {
    Idle,
    /// A register of this block.
    Own,
    /// A host register's copy is asked for, and arrives.
    Copy,
    Copied,
    Mailbox,
    Steer,
    Stats,
    Done,
}

#[derive(LogicBlock)]
pub struct MgmtBus {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub core_reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    pub blocked: Signal<In, Bit>,
    pub bus: RegBusSnk,
    pub mailbox: RegBusSrc,
    pub steer: RegBusSrc,
    pub stats: RegBusSrc,
    pub tx_sq: CtxCmdSrc,
    pub rx_sq: CtxCmdSrc,
    pub cq: CtxCmdSrc,
    pub vector_end: VectorEndSrc,
    pub shadow_index: Signal<Out, Bits<4>>,
    pub shadow: Signal<In, Bits<32>>,
    pub irq_reset: Signal<In, Bit>,
    pub irq_flr: Signal<In, Bit>,
    pub aq_db_written: Signal<In, Bit>,
    pub aenq_head_db_written: Signal<In, Bit>,
    pub intr_mask_written: Signal<In, Bit>,
    pub link_up: Signal<In, Bit>,
    pub bus_master: Signal<In, Bit>,
    pub irq: Signal<Out, Bit>,
    pub firmware_ack: Signal<Out, Bit>,
    pub raise: Signal<Out, Bit>,
    pub max_frame: Signal<Out, Bits<16>>,
    state: Reg<BusState>,
    addr: Reg<Bits<16>>,
    wdata: Reg<Bits<32>>,
    write: Reg<Bit>,
    be: Reg<Bits<4>>,
    rdata: Reg<Bits<32>>,
    pending: Reg<Bits<7>>,
    link_was: Reg<Bit>,
    cycles: Reg<Bits<16>>,
    micros: Reg<Bits<32>>,
    to_tick: Reg<Bits<10>>,
    ack: Reg<Bit>,
    raise_pulse: Reg<Bit>,
    frame: Reg<Bits<16>>,
    frame_set: Reg<Bit>,
    base: Reg<Bits<64>>,
    param: Reg<Bits<32>>,
    command: Reg<Bits<32>>,
    busy: Reg<Bit>,
    _config: u64,
    _lines: u64,
    _cycles_per_us: usize,
}

/// MAX_FRAME after a hard reset: the largest MTU, Ethernet header and a VLAN tag.
const DEFAULT_MAX_FRAME: usize = 9216 + 14 + 4;

impl MgmtBus {
    /// `log_bytes`: log2 of the data path's bytes; `log_depth`: log2 of the deepest ring; `options`: bits 31:24 of CONFIG; `log_lines`: log2 of
    /// a low-latency queue's lines.
    pub fn new(
        queues: usize,
        vectors: usize,
        log_bytes: usize,
        log_depth: usize,
        options: usize,
        log_lines: usize,
        cycles_per_us: usize,
    ) -> Self {
        assert!((1..256).contains(&queues) && (1..=256).contains(&vectors));
        assert!(log_bytes < 16 && log_depth < 16 && options < 256);
        assert!((1..=1 << 16).contains(&cycles_per_us));
        Self {
            clock: Default::default(),
            reset: Default::default(),
            core_reset: Default::default(),
            flush: Default::default(),
            blocked: Default::default(),
            bus: Default::default(),
            mailbox: Default::default(),
            steer: Default::default(),
            stats: Default::default(),
            tx_sq: Default::default(),
            rx_sq: Default::default(),
            cq: Default::default(),
            vector_end: Default::default(),
            shadow_index: Default::default(),
            shadow: Default::default(),
            irq_reset: Default::default(),
            irq_flr: Default::default(),
            aq_db_written: Default::default(),
            aenq_head_db_written: Default::default(),
            intr_mask_written: Default::default(),
            link_up: Default::default(),
            bus_master: Default::default(),
            irq: Default::default(),
            firmware_ack: Default::default(),
            raise: Default::default(),
            max_frame: Default::default(),
            state: Default::default(),
            addr: Default::default(),
            wdata: Default::default(),
            write: Default::default(),
            be: Default::default(),
            rdata: Default::default(),
            pending: Default::default(),
            link_was: Default::default(),
            cycles: Default::default(),
            micros: Default::default(),
            to_tick: Default::default(),
            ack: Default::default(),
            raise_pulse: Default::default(),
            frame: Default::default(),
            frame_set: Default::default(),
            base: Default::default(),
            param: Default::default(),
            command: Default::default(),
            busy: Default::default(),
            _config: (queues
                | (vectors - 1) << 8
                | log_bytes << 16
                | log_depth << 20
                | options << 24) as u64,
            _lines: log_lines as u64,
            _cycles_per_us: cycles_per_us,
        }
    }
}

impl Logic for MgmtBus {
    /// Management bus: registers of the firmware and decode of the slaves.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, write, pending, link_was, cycles, micros, to_tick, ack, raise_pulse, frame, frame_set, base,
            param, command, busy);
        registers!(self, clock; addr, wdata, be, rdata);

        // The access in registers, with what it is for.
        let addr = self.addr.q.val();
        let wdata = self.wdata.q.val();
        let whole = self.write.q.val() && self.be.q.val().all();
        let stopped = self.blocked.val() || self.flush.val();

        // Time.
        let mut tick = false;
        self.cycles.d.next = self.cycles.q.val() + 1;
        if self.cycles.q.val() == lit::<16>(self._cycles_per_us - 1) {
            self.cycles.d.next = lit::<16>(0);
            self.micros.d.next = self.micros.q.val() + 1;
            self.to_tick.d.next = self.to_tick.q.val() + 1;
            if self.to_tick.q.val() == 999 {
                self.to_tick.d.next = lit::<10>(0);
                tick = true;
            }
        }

        // Context commands end when the queues' owner is ready.
        let kind = self.command.q.val().get_bits::<2>(8);
        let ctx_ready = match kind {
            0 => self.tx_sq.ready.val(),
            1 => self.rx_sq.ready.val(),
            2 => self.cq.ready.val(),
            _ => self.vector_end.ready.val(),
        };
        if self.busy.q.val() && ctx_ready {
            self.busy.d.next = false;
        }

        self.ack.d.next = false;
        self.raise_pulse.d.next = false;
        let mut clear = lit::<7>(0);
        let frame =
            if self.frame_set.q.val() { self.frame.q.val() } else { lit::<16>(DEFAULT_MAX_FRAME) };
        let to = self.bus.addr.val();
        let is_copy = to.get_bits::<11>(5) == 1 || to.get_bits::<12>(4) == 4 || to == 0x50;
        let is_buffer = to.get_bits::<5>(11) == 1;
        let is_mailbox = to.get_bits::<12>(4) == 0x10 || to == 0x110;
        let is_stats = to.get_bits::<8>(8) == 6;
        let past_key = to.get_bit(5) && (to.get_bit(4) || to.get_bit(3));
        let is_steer =
            to == 0x130 || (to.get_bits::<10>(6) == 8 && !past_key) || to.get_bits::<7>(9) == 2;

        match self.state.q.val() {
            BusState::Idle => {
                self.addr.d.next = to;
                self.wdata.d.next = self.bus.wdata.val();
                self.write.d.next = self.bus.write.val();
                self.be.d.next = self.bus.be.val();
                if self.bus.valid.val() && !self.core_reset.val() {
                    self.state.d.next = if is_copy {
                        BusState::Copy
                    } else if is_buffer || is_mailbox {
                        BusState::Mailbox
                    } else if is_stats {
                        BusState::Stats
                    } else if is_steer {
                        BusState::Steer
                    } else {
                        BusState::Own
                    };
                }
            }
            BusState::Own => {
                if !self.core_reset.val() {
                    self.rdata.d.next = lit::<32>(0);
                    self.state.d.next = BusState::Done;
                    match addr {
                        0x000 => {
                            self.rdata.d.next = lit::<32>(0x4e49_5431);
                        }
                        0x004 => {
                            self.rdata.d.next = lit::<32>(self._config);
                        }
                        0x008 => {
                            self.rdata.d.next = bit_cast::<32, 7>(self.pending.q.val());
                            if whole {
                                clear = wdata.get_bits::<7>(0);
                            }
                        }
                        0x00c => {
                            self.rdata.d.next = bit_cast::<32, 3>(cat::<1, 2, 3>(
                                self.bus_master.val().into(),
                                cat::<1, 1, 2>(
                                    self.link_up.val().into(),
                                    self.blocked.val().into(),
                                ),
                            ));
                        }
                        0x010 => {
                            self.ack.d.next = whole && wdata.get_bit(0);
                        }
                        0x014 => {
                            self.rdata.d.next = self.micros.q.val();
                        }
                        0x018 => {
                            self.rdata.d.next = lit::<32>(self._lines);
                        }
                        0x060 => {
                            self.raise_pulse.d.next = whole && wdata.get_bit(0) && !stopped;
                        }
                        0x064 => {
                            self.rdata.d.next = bit_cast::<32, 16>(frame);
                            if whole {
                                self.frame.d.next = wdata.get_bits::<16>(0);
                                self.frame_set.d.next = true;
                            }
                        }
                        0x120 => {
                            self.rdata.d.next = self.base.q.val().get_bits::<32>(0);
                            if whole && !self.busy.q.val() {
                                self.base.d.next =
                                    cat::<32, 32, 64>(self.base.q.val().get_bits::<32>(32), wdata);
                            }
                        }
                        0x124 => {
                            self.rdata.d.next = self.base.q.val().get_bits::<32>(32);
                            if whole && !self.busy.q.val() {
                                self.base.d.next =
                                    cat::<32, 32, 64>(wdata, self.base.q.val().get_bits::<32>(0));
                            }
                        }
                        0x128 => {
                            self.rdata.d.next = self.param.q.val();
                            if whole && !self.busy.q.val() {
                                self.param.d.next = wdata;
                            }
                        }
                        0x12c => {
                            self.rdata.d.next = bit_cast::<32, 1>(self.busy.q.val().into());
                            if whole && !self.busy.q.val() && !stopped {
                                self.command.d.next = wdata;
                                self.busy.d.next = true;
                            }
                        }
                        _ => {}
                    }
                }
            }
            // The index is from this cycle, the copy from the next.
            BusState::Copy => {
                self.state.d.next = BusState::Copied;
            }
            BusState::Copied => {
                self.rdata.d.next = self.shadow.val();
                self.state.d.next = BusState::Done;
            }
            BusState::Mailbox => {
                if self.mailbox.ready.val() {
                    self.rdata.d.next = self.mailbox.rdata.val();
                    self.state.d.next = BusState::Done;
                }
            }
            BusState::Steer => {
                if self.steer.ready.val() {
                    self.rdata.d.next = self.steer.rdata.val();
                    self.state.d.next = BusState::Done;
                }
            }
            BusState::Stats => {
                if self.stats.ready.val() {
                    self.rdata.d.next = self.stats.rdata.val();
                    self.state.d.next = BusState::Done;
                }
            }
            BusState::Done => {
                self.state.d.next = BusState::Idle;
            }
        }
        if self.core_reset.val() {
            self.busy.d.next = false;
        }

        self.link_was.d.next = self.link_up.val();
        let link_changed = self.link_was.q.val() != self.link_up.val();
        let low = cat::<2, 2, 4>(
            cat::<1, 1, 2>(
                self.intr_mask_written.val().into(),
                self.aenq_head_db_written.val().into(),
            ),
            cat::<1, 1, 2>(self.aq_db_written.val().into(), self.irq_reset.val().into()),
        );
        let high = cat::<1, 2, 3>(
            self.irq_flr.val().into(),
            cat::<1, 1, 2>(link_changed.into(), tick.into()),
        );
        self.pending.d.next = (self.pending.q.val() & !clear) | cat::<3, 4, 7>(high, low);
        self.irq.next = self.pending.q.val().any();

        self.bus.ready.next = self.state.q.val() == BusState::Done;
        self.bus.rdata.next = self.rdata.q.val();
        // Copies begin at 0x20.
        self.shadow_index.next = (addr - lit::<16>(0x20)).get_bits::<4>(2);
        self.firmware_ack.next = self.ack.q.val();
        self.raise.next = self.raise_pulse.q.val();
        self.max_frame.next = frame;
        self.mailbox.valid.next = self.state.q.val() == BusState::Mailbox;
        self.mailbox.write.next = self.write.q.val();
        self.mailbox.addr.next = addr;
        self.mailbox.wdata.next = wdata;
        self.mailbox.be.next = self.be.q.val();
        self.steer.valid.next = self.state.q.val() == BusState::Steer;
        self.steer.write.next = self.write.q.val();
        self.steer.addr.next = addr;
        self.steer.wdata.next = wdata;
        self.steer.be.next = self.be.q.val();
        self.stats.valid.next = self.state.q.val() == BusState::Stats;
        self.stats.write.next = self.write.q.val();
        self.stats.addr.next = addr;
        self.stats.wdata.next = wdata;
        self.stats.be.next = self.be.q.val();
        self.tx_sq.valid.next = self.busy.q.val() && kind == 0;
        self.tx_sq.destroy.next = self.command.q.val().get_bit(16);
        self.tx_sq.idx.next = self.command.q.val().get_bits::<8>(0);
        self.tx_sq.base.next = self.base.q.val();
        self.tx_sq.log_depth.next = self.param.q.val().get_bits::<4>(0);
        self.tx_sq.cq.next = self.param.q.val().get_bits::<8>(8);
        self.tx_sq.esize.next = self.param.q.val().get_bits::<2>(16);
        self.tx_sq.vector.next = self.param.q.val().get_bits::<9>(18);
        self.rx_sq.valid.next = self.busy.q.val() && kind == 1;
        self.rx_sq.destroy.next = self.command.q.val().get_bit(16);
        self.rx_sq.idx.next = self.command.q.val().get_bits::<8>(0);
        self.rx_sq.base.next = self.base.q.val();
        self.rx_sq.log_depth.next = self.param.q.val().get_bits::<4>(0);
        self.rx_sq.cq.next = self.param.q.val().get_bits::<8>(8);
        self.rx_sq.esize.next = self.param.q.val().get_bits::<2>(16);
        self.rx_sq.vector.next = self.param.q.val().get_bits::<9>(18);
        self.cq.valid.next = self.busy.q.val() && kind == 2;
        self.cq.destroy.next = self.command.q.val().get_bit(16);
        self.cq.idx.next = self.command.q.val().get_bits::<8>(0);
        self.cq.base.next = self.base.q.val();
        self.cq.log_depth.next = self.param.q.val().get_bits::<4>(0);
        self.cq.cq.next = self.param.q.val().get_bits::<8>(8);
        self.cq.esize.next = self.param.q.val().get_bits::<2>(16);
        self.cq.vector.next = self.param.q.val().get_bits::<9>(18);
        self.vector_end.valid.next = self.busy.q.val() && kind == 3;
        self.vector_end.vector.next = self.command.q.val().get_bits::<8>(0);
    }
}
