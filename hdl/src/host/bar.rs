//! Decodes the host's register accesses by address.
//!
//! | offset | goes to | reads |
//! |---|---|---|
//! | 0x0000..0x0FFF | `regs` (address passed on) | from `regs` |
//! | 0x1000 + 4q, 0x1400 + 4q | `tx_doorbell`, `rx_doorbell` | 0 |
//! | 0x1800 + 4v | `unmask` | 0 |
//! | 0x1C00..0x1FFF | nowhere | 0 |
//! | 0x2000..0x3FFF | `msix` (address minus 0x2000) | from `msix` |
//! | others | nowhere | 0 |
//!
//! A write to a doorbell counts if it writes the whole dword or its low half, to an interrupt
//! register if it writes the whole dword, to both if the queue or vector exists. The block drops
//! other writes and counts them by `stat_doorbell_illegal`. While `flush` or `core_reset` is high
//! it drops all without a count, and `core_reset` empties the FIFOs: no doorbell from before a
//! reset reaches a new queue.
//!
//! A doorbell takes 2 cycles and shows 3 cycles after it came; an access to `regs` or `msix` takes
//! 2 more than the slave. Doorbells and unmasks wait in FIFOs of 16; a write whose FIFO is full
//! waits. The FIFOs' takers wait for no DMA, so the host's writes never wait for the upstream
//! direction.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use nitor_abi::bar;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum BarState {
    Idle,
    Regs,
    Msix,
    Done,
}

/// A byte offset in BAR0.
#[record]
pub struct BarAddress {
    byte: Bits<2>,
    /// The queue's or vector's.
    number: Bits<8>,
    kind: Bits<2>,
    part: Bits<4>,
}

// Parts of 4 KB.
const REGS: u32 = bar::VERSION >> 12;
const DOORBELLS: u32 = bar::TX_DOORBELLS >> 12;
const MSIX_TABLE: u32 = bar::MSIX_TABLE >> 12;
const MSIX_PBA: u32 = bar::MSIX_PBA >> 12;
// Kinds of registers among the doorbells, by 1 KB.
const TX: u64 = (bar::TX_DOORBELLS >> 10 & 3) as u64;
const RX: u64 = (bar::RX_DOORBELLS >> 10 & 3) as u64;
const INTERRUPT: u64 = (bar::INTERRUPTS >> 10 & 3) as u64;
const INTERRUPT_NONE: u64 = (bar::INTERRUPT_NONE >> 10 & 3) as u64;

#[derive(LogicBlock)]
pub struct BarDecode {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Empties the doorbell FIFOs.
    pub core_reset: Signal<In, Bit>,
    /// Doorbells are dropped: a reset is under way.
    pub flush: Signal<In, Bit>,
    pub target: RegBusSnk,
    pub regs: RegBusSrc,
    pub msix: RegBusSrc,
    pub tx_doorbell: DoorbellSrc,
    pub rx_doorbell: DoorbellSrc,
    pub unmask: UnmaskSrc,
    /// A doorbell was taken.
    pub stat_doorbell: Signal<Out, Bit>,
    /// A doorbell or interrupt register write had no effect.
    pub stat_doorbell_illegal: Signal<Out, Bit>,
    state: Reg<BarState>,
    rdata: Reg<Bits<32>>,
    counted: Reg<Bit>,
    illegal: Reg<Bit>,
    // The access puts this into a FIFO.
    tx_ring: Reg<Bit>,
    rx_ring: Reg<Bit>,
    unmasks: Reg<Bit>,
    tx_fifo: Fifo<Doorbell, 4>,
    rx_fifo: Fifo<Doorbell, 4>,
    unmask_fifo: Fifo<Unmask, 4>,
    _queues: usize,
    _vectors: usize,
}

impl BarDecode {
    /// `queues` queue pairs and `vectors` MSI-X vectors, at most 256 each.
    pub fn new(queues: usize, vectors: usize) -> Self {
        assert!((1..=256).contains(&queues) && (1..=256).contains(&vectors));
        Self {
            clock: Default::default(),
            reset: Default::default(),
            core_reset: Default::default(),
            flush: Default::default(),
            target: Default::default(),
            regs: Default::default(),
            msix: Default::default(),
            tx_doorbell: Default::default(),
            rx_doorbell: Default::default(),
            unmask: Default::default(),
            stat_doorbell: Default::default(),
            stat_doorbell_illegal: Default::default(),
            state: Default::default(),
            rdata: Default::default(),
            counted: Default::default(),
            illegal: Default::default(),
            tx_ring: Default::default(),
            rx_ring: Default::default(),
            unmasks: Default::default(),
            tx_fifo: Default::default(),
            rx_fifo: Default::default(),
            unmask_fifo: Default::default(),
            _queues: queues,
            _vectors: vectors,
        }
    }
}

impl Logic for BarDecode {
    /// Decodes BAR0: ENA registers, doorbells, interrupt registers, MSI-X table and PBA.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, counted, illegal, tx_ring, rx_ring, unmasks);
        registers!(self, clock; rdata);
        clocked!(self, clock; tx_fifo, rx_fifo, unmask_fifo);
        let clear = self.reset.val() || self.core_reset.val();
        self.tx_fifo.reset.next = clear;
        self.rx_fifo.reset.next = clear;
        self.unmask_fifo.reset.next = clear;

        let addr = BarAddress::from_bits(self.target.addr.val());
        let number = addr.number;
        let wdata = self.target.wdata.val();
        let be = self.target.be.val();
        let low_half = be == 0x3 || be == 0xf;
        let queue_there = bit_cast::<9, 8>(number) < lit::<9>(self._queues);
        let vector_there = bit_cast::<9, 8>(number) < lit::<9>(self._vectors);
        let in_reset = self.flush.val() || self.core_reset.val();

        let mut tx_push = false;
        let mut rx_push = false;
        let mut unmask_push = false;
        self.counted.d.next = false;
        self.illegal.d.next = false;

        match self.state.q.val() {
            BarState::Idle => {
                if self.target.valid.val() {
                    self.rdata.d.next = lit::<32>(0);
                    match addr.part {
                        REGS => {
                            self.state.d.next = BarState::Regs;
                        }
                        DOORBELLS => {
                            let kind = addr.kind;
                            let legal = match kind {
                                TX | RX => low_half && queue_there,
                                INTERRUPT => be == 0xf && vector_there,
                                _ => true,
                            };
                            let room = match kind {
                                TX => self.tx_fifo.in_ready.val(),
                                RX => self.rx_fifo.in_ready.val(),
                                INTERRUPT => self.unmask_fifo.in_ready.val(),
                                _ => true,
                            };
                            let ring = self.target.write.val()
                                && legal
                                && !in_reset
                                && kind != INTERRUPT_NONE;
                            if !ring || room {
                                self.state.d.next = BarState::Done;
                                tx_push = ring && kind == TX;
                                rx_push = ring && kind == RX;
                                unmask_push = ring && kind == INTERRUPT;
                                self.counted.d.next = ring && kind != INTERRUPT;
                                self.illegal.d.next =
                                    self.target.write.val() && !legal && !in_reset;
                            }
                        }
                        MSIX_TABLE | MSIX_PBA => {
                            self.state.d.next = BarState::Msix;
                        }
                        _ => {
                            self.state.d.next = BarState::Done;
                        }
                    }
                }
            }
            BarState::Regs => {
                if self.regs.ready.val() {
                    self.rdata.d.next = self.regs.rdata.val();
                    self.state.d.next = BarState::Done;
                }
            }
            BarState::Msix => {
                if self.msix.ready.val() {
                    self.rdata.d.next = self.msix.rdata.val();
                    self.state.d.next = BarState::Done;
                }
            }
            BarState::Done => {
                self.state.d.next = BarState::Idle;
            }
        }

        self.target.ready.next = self.state.q.val() == BarState::Done;
        self.target.rdata.next = self.rdata.q.val();

        // The access stays on the target's registered outputs until `Done`.
        self.regs.valid.next = self.state.q.val() == BarState::Regs;
        self.regs.write.next = self.target.write.val();
        self.regs.addr.next = self.target.addr.val();
        self.regs.wdata.next = wdata;
        self.regs.be.next = be;
        self.msix.valid.next = self.state.q.val() == BarState::Msix;
        self.msix.write.next = self.target.write.val();
        self.msix.addr.next = self.target.addr.val() & 0x1fff;
        self.msix.wdata.next = wdata;
        self.msix.be.next = be;

        // The push is a cycle later, when the access is answered. Its place in the FIFO is still
        // free.
        self.tx_ring.d.next = tx_push;
        self.rx_ring.d.next = rx_push;
        self.unmasks.d.next = unmask_push;
        // Numbers that exist need no more bits.
        let queue = number & lit::<8>(self._queues.next_power_of_two() - 1);
        let doorbell = Doorbell { queue, tail: bit_cast::<16, 32>(wdata) };
        self.tx_fifo.in_valid.next = self.tx_ring.q.val();
        self.tx_fifo.in_data.next = doorbell;
        self.rx_fifo.in_valid.next = self.rx_ring.q.val();
        self.rx_fifo.in_data.next = doorbell;
        self.unmask_fifo.in_valid.next = self.unmasks.q.val();
        let vector = number & lit::<8>(self._vectors.next_power_of_two() - 1);
        self.unmask_fifo.in_data.next = Unmask { vector, value: wdata };

        self.tx_doorbell.valid.next = self.tx_fifo.out_valid.val();
        self.tx_doorbell.put(self.tx_fifo.out_data.val());
        self.tx_fifo.out_ready.next = self.tx_doorbell.ready.val();
        self.rx_doorbell.valid.next = self.rx_fifo.out_valid.val();
        self.rx_doorbell.put(self.rx_fifo.out_data.val());
        self.rx_fifo.out_ready.next = self.rx_doorbell.ready.val();
        self.unmask.valid.next = self.unmask_fifo.out_valid.val();
        self.unmask.put(self.unmask_fifo.out_data.val());
        self.unmask_fifo.out_ready.next = self.unmask.ready.val();

        self.stat_doorbell.next = self.counted.q.val();
        self.stat_doorbell_illegal.next = self.illegal.q.val();
    }
}
