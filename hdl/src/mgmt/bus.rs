//! The management bus: the firmware's registers, and the way to the slaves.
//!
//! | address | |
//! |---|---|
//! | 0x000..0x064 | this block; copies of the host's registers come from `host/regs` |
//! | 0x100..0x110, 0x800..0xFFF | `mailbox` |
//! | 0x120..0x12C | this block: context commands to TX SQs, RX SQs, CQs, vectors |
//! | 0x130, 0x200..0x227, 0x400..0x5FF | `steer` |
//! | 0x600..0x6FF | `stats` |
//! | others | read 0 |
//!
//! The firmware writes registers of this block by whole dwords, and the CTX registers not while a
//! command is busy. A context command to a vector only ends it. A context command or RAISE does
//! nothing while `blocked` (the firmware has not acknowledged a reset) or `flush` is high.
//! `core_reset` makes the block forget a command under way. The block takes no access while
//! `core_reset` is high, so it loses none.
//!
//! IRQ bits: an event wins over a clear in the same cycle; `irq` is high while a bit is set. The
//! tick comes every 1000 µs of TIME. An access takes 3 cycles in this block (4 for a copy),
//! elsewhere 2 more than the slave. The slaves see an access from registers.

use crate::common::iface::*;
use nitor_abi::mgmt::{self, CtxKind};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum BusState {
    Idle,
    /// A register of this block.
    Own,
    /// A copy of a host's register is asked for; it arrives.
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
    base: Reg<Halves>,
    param: Reg<Bits<32>>,
    command: Reg<Bits<32>>,
    busy: Reg<Bit>,
    _config: u32,
    _lines: u32,
    _cycles_per_us: usize,
}

#[record(layout = nitor_abi::mgmt::Status)]
pub struct Status {
    reset: Bit,
    link_up: Bit,
    bus_master: Bit,
}

#[record(layout = nitor_abi::mgmt::Pending)]
pub struct Pending {
    reset: Bit,
    aq_doorbell: Bit,
    aenq_doorbell: Bit,
    intr_mask: Bit,
    tick: Bit,
    link: Bit,
    function_reset: Bit,
}

#[record(layout = nitor_abi::mgmt::CtxParam)]
pub struct Param {
    log_depth: Bits<4>,
    cq: Bits<8>,
    log_entry: Bits<2>,
    vector: Bits<8>,
    no_vector: Bit,
}

#[record(layout = nitor_abi::mgmt::CtxCmd)]
pub struct Command {
    index: Bits<8>,
    kind: Bits<2>,
    destroy: Bit,
}

/// [CtxCmd]'s vector.
#[record]
pub struct MaybeVector {
    vector: Bits<8>,
    none: Bit,
}

const TX_SQ: u64 = CtxKind::TxSq as u64;
const RX_SQ: u64 = CtxKind::RxSq as u64;
const CQ: u64 = CtxKind::Cq as u64;
const VECTOR: u64 = CtxKind::Vector as u64;

/// `addr` is one of 2^L bytes from `B` on, a multiple of that.
#[kernel]
fn within<const B: usize, const L: usize>(addr: Bits<16>) -> Bit {
    (addr >> lit::<4>(L)) == lit::<16>(B >> L)
}

/// MAX_FRAME after a hard reset: the largest MTU, Ethernet header and a VLAN tag.
const DEFAULT_MAX_FRAME: usize = 9216 + 14 + 4;

impl MgmtBus {
    /// `lines`: log2 of a low-latency queue's lines.
    pub fn new(config: mgmt::Config, lines: mgmt::Lines, cycles_per_us: usize) -> Self {
        assert!(config.queue_pairs != 0 && config.fits());
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
            _config: config.into(),
            _lines: lines.into(),
            _cycles_per_us: cycles_per_us,
        }
    }
}

impl Logic for MgmtBus {
    /// Management bus: registers of the firmware and decode of the slaves.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, write, pending, link_was, cycles, micros, to_tick);
        registers!(self, clock, reset; ack, raise_pulse, frame, frame_set, base, param, command);
        registers!(self, clock, reset; busy);
        registers!(self, clock; addr, wdata, be, rdata);

        // The access, in registers.
        let addr = self.addr.q.val();
        let wdata = self.wdata.q.val();
        let whole = self.write.q.val() && self.be.q.val().all();
        let base = self.base.q.val();
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
        let command = Command::from_bits(self.command.q.val());
        let kind = command.kind;
        let ctx_ready = match kind {
            TX_SQ => self.tx_sq.ready.val(),
            RX_SQ => self.rx_sq.ready.val(),
            CQ => self.cq.ready.val(),
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
        let is_copy = within::<{ mgmt::AQ_BASE_LO as usize }, 5>(to)
            || within::<{ mgmt::AENQ_CAPS as usize }, 4>(to)
            || to == lit::<16>(mgmt::DEV_CTL);
        let is_buffer = within::<{ mgmt::BUFFER as usize }, 11>(to);
        let is_mailbox =
            within::<{ mgmt::DMA_ADDR_LO as usize }, 4>(to) || to == lit::<16>(mgmt::DMA_CMD);
        let is_stats = within::<{ mgmt::STATS as usize }, 8>(to);
        // The key has 40 bytes.
        let is_steer = to == lit::<16>(mgmt::RSS_CTRL)
            || within::<{ mgmt::RSS_KEY as usize }, 5>(to)
            || within::<{ mgmt::RSS_KEY as usize + 32 }, 3>(to)
            || within::<{ mgmt::RSS_TABLE as usize }, 9>(to);

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
                        mgmt::ID => {
                            self.rdata.d.next = lit::<32>(mgmt::ID_VALUE);
                        }
                        mgmt::CONFIG => {
                            self.rdata.d.next = lit::<32>(self._config);
                        }
                        mgmt::IRQ => {
                            self.rdata.d.next = bit_cast::<32, 7>(self.pending.q.val());
                            if whole {
                                clear = bit_cast::<7, 32>(wdata);
                            }
                        }
                        mgmt::STATUS => {
                            let status = Status {
                                reset: self.blocked.val(),
                                link_up: self.link_up.val(),
                                bus_master: self.bus_master.val(),
                            };
                            self.rdata.d.next = status.to_bits();
                        }
                        mgmt::RESET_ACK => {
                            self.ack.d.next = whole && (wdata & 1) != 0;
                        }
                        mgmt::TIME => {
                            self.rdata.d.next = self.micros.q.val();
                        }
                        mgmt::LINES => {
                            self.rdata.d.next = lit::<32>(self._lines);
                        }
                        mgmt::RAISE => {
                            self.raise_pulse.d.next = whole && (wdata & 1) != 0 && !stopped;
                        }
                        mgmt::MAX_FRAME => {
                            self.rdata.d.next = bit_cast::<32, 16>(frame);
                            if whole {
                                self.frame.d.next = bit_cast::<16, 32>(wdata);
                                self.frame_set.d.next = true;
                            }
                        }
                        mgmt::CTX_BASE_LO => {
                            self.rdata.d.next = base.low;
                            if whole && !self.busy.q.val() {
                                self.base.d.next = Halves { low: wdata, ..base };
                            }
                        }
                        mgmt::CTX_BASE_HI => {
                            self.rdata.d.next = base.high;
                            if whole && !self.busy.q.val() {
                                self.base.d.next = Halves { high: wdata, ..base };
                            }
                        }
                        mgmt::CTX_PARAM => {
                            self.rdata.d.next = self.param.q.val();
                            if whole && !self.busy.q.val() {
                                self.param.d.next = wdata;
                            }
                        }
                        mgmt::CTX_CMD => {
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
        let events = Pending {
            reset: self.irq_reset.val(),
            aq_doorbell: self.aq_db_written.val(),
            aenq_doorbell: self.aenq_head_db_written.val(),
            intr_mask: self.intr_mask_written.val(),
            tick,
            link: link_changed,
            function_reset: self.irq_flr.val(),
        };
        let events = bit_cast::<7, 32>(events.to_bits::<32>());
        self.pending.d.next = (self.pending.q.val() & !clear) | events;
        self.irq.next = self.pending.q.val().any();

        self.bus.ready.next = self.state.q.val() == BusState::Done;
        self.bus.rdata.next = self.rdata.q.val();
        self.shadow_index.next = bit_cast::<4, 16>((addr - lit::<16>(mgmt::AQ_BASE_LO)) >> 2);
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
        let param = Param::from_bits(self.param.q.val());
        let context = CtxCmd {
            destroy: command.destroy,
            idx: command.index,
            base: base.to_bits(),
            log_depth: param.log_depth,
            cq: param.cq,
            placement: param.log_entry,
            log_entry: param.log_entry,
            vector: MaybeVector { vector: param.vector, none: param.no_vector }.to_bits(),
        };
        self.tx_sq.valid.next = self.busy.q.val() && kind == TX_SQ;
        self.tx_sq.put(context);
        self.rx_sq.valid.next = self.busy.q.val() && kind == RX_SQ;
        self.rx_sq.put(context);
        self.cq.valid.next = self.busy.q.val() && kind == CQ;
        self.cq.put(context);
        self.vector_end.valid.next = self.busy.q.val() && kind == VECTOR;
        self.vector_end.vector.next = command.index;
    }
}
