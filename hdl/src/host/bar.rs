//! Takes the host's register accesses apart by address.
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
//! A doorbell takes effect if it writes the whole dword or its low half, an interrupt register if the whole dword is
//! written, and both if the queue or vector exists; other writes are dropped, and counted by `stat_doorbell_illegal`. While
//! `flush` or `core_reset` is high both are dropped without a count, and `core_reset` empties the FIFOs: no doorbell of
//! a former life reaches a new queue.
//!
//! A doorbell takes 2 cycles, and shows 3 after it came, an access to `regs` or `msix` 2 more than the slave. Doorbells and unmasks
//! wait in FIFOs of 16; a write that finds its FIFO full waits. The takers take without waiting for any DMA, so the host's writes
//! never wait for the upstream direction.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum BarState {
    Idle,
    Regs,
    Msix,
    Done,
}

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
    // What the access at hand puts into a FIFO.
    tx_ring: Reg<Bit>,
    rx_ring: Reg<Bit>,
    unmasks: Reg<Bit>,
    tx_fifo: Fifo<Bits<24>, 4>,
    rx_fifo: Fifo<Bits<24>, 4>,
    unmask_fifo: Fifo<Bits<40>, 4>,
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

        let addr = self.target.addr.val();
        let number = addr.get_bits::<8>(2);
        let wdata = self.target.wdata.val();
        let be = self.target.be.val();
        let low_half = be == 0x3 || be == 0xf;
        let queue_there = cat::<1, 8, 9>(lit::<1>(0), number) < lit::<9>(self._queues);
        let vector_there = cat::<1, 8, 9>(lit::<1>(0), number) < lit::<9>(self._vectors);
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
                    match addr.get_bits::<4>(12) {
                        0 => {
                            self.state.d.next = BarState::Regs;
                        }
                        1 => {
                            let kind = addr.get_bits::<2>(10);
                            let legal = match kind {
                                0 | 1 => low_half && queue_there,
                                2 => be == 0xf && vector_there,
                                _ => true,
                            };
                            let room = match kind {
                                0 => self.tx_fifo.in_ready.val(),
                                1 => self.rx_fifo.in_ready.val(),
                                2 => self.unmask_fifo.in_ready.val(),
                                _ => true,
                            };
                            let ring = self.target.write.val() && legal && !in_reset && kind != 3;
                            if !ring || room {
                                self.state.d.next = BarState::Done;
                                tx_push = ring && kind == 0;
                                rx_push = ring && kind == 1;
                                unmask_push = ring && kind == 2;
                                self.counted.d.next = ring && kind != 2;
                                self.illegal.d.next =
                                    self.target.write.val() && !legal && !in_reset;
                            }
                        }
                        2 | 3 => {
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
        self.regs.addr.next = addr;
        self.regs.wdata.next = wdata;
        self.regs.be.next = be;
        self.msix.valid.next = self.state.q.val() == BarState::Msix;
        self.msix.write.next = self.target.write.val();
        self.msix.addr.next = addr & 0x1fff;
        self.msix.wdata.next = wdata;
        self.msix.be.next = be;

        // A cycle later, when the access is answered. The places that were looked at are still free.
        self.tx_ring.d.next = tx_push;
        self.rx_ring.d.next = rx_push;
        self.unmasks.d.next = unmask_push;
        // Numbers that exist need no more bits.
        let queue = number & lit::<8>(self._queues.next_power_of_two() - 1);
        let doorbell = cat::<8, 16, 24>(queue, wdata.get_bits::<16>(0));
        self.tx_fifo.in_valid.next = self.tx_ring.q.val();
        self.tx_fifo.in_data.next = doorbell;
        self.rx_fifo.in_valid.next = self.rx_ring.q.val();
        self.rx_fifo.in_data.next = doorbell;
        self.unmask_fifo.in_valid.next = self.unmasks.q.val();
        let vector = number & lit::<8>(self._vectors.next_power_of_two() - 1);
        self.unmask_fifo.in_data.next = cat::<8, 32, 40>(vector, wdata);

        self.tx_doorbell.valid.next = self.tx_fifo.out_valid.val();
        self.tx_doorbell.queue.next = self.tx_fifo.out_data.val().get_bits::<8>(16);
        self.tx_doorbell.tail.next = self.tx_fifo.out_data.val().get_bits::<16>(0);
        self.tx_fifo.out_ready.next = self.tx_doorbell.ready.val();
        self.rx_doorbell.valid.next = self.rx_fifo.out_valid.val();
        self.rx_doorbell.queue.next = self.rx_fifo.out_data.val().get_bits::<8>(16);
        self.rx_doorbell.tail.next = self.rx_fifo.out_data.val().get_bits::<16>(0);
        self.rx_fifo.out_ready.next = self.rx_doorbell.ready.val();
        self.unmask.valid.next = self.unmask_fifo.out_valid.val();
        self.unmask.vector.next = self.unmask_fifo.out_data.val().get_bits::<8>(32);
        self.unmask.value.next = self.unmask_fifo.out_data.val().get_bits::<32>(0);
        self.unmask_fifo.out_ready.next = self.unmask.ready.val();

        self.stat_doorbell.next = self.counted.q.val();
        self.stat_doorbell_illegal.next = self.illegal.q.val();
    }
}
