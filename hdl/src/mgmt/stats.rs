//! The card's counters: 64 bits each, exact under bursts, never cleared but by a hard reset.
//!
//! Each counter has an 8-bit accumulator that takes a pulse every cycle (the two byte counters 24 bits and a length). A walker adds
//! one accumulator a cycle to its total in RAM, so a total lags its pulses by up to 64 cycles, and no accumulator
//! overflows. `bus` addresses 0x600 + 8n: reading the lower half latches the upper half, which 0x604 + 8n returns
//! until the next lower half is read. Counters 29 to 31 read 0; writes are ignored. An access takes 3 cycles; it holds
//! the walker for one.

use crate::common::iface::*;
use crate::common::ram::LutRam;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Stats {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bus: RegBusSnk,
    pub tx_frames: Signal<In, Bit>,
    /// Bytes of the frame that `tx_frames` counts.
    pub tx_bytes: Signal<In, Bits<16>>,
    pub rx_frames: Signal<In, Bit>,
    /// Bytes of the frame that `rx_frames` counts.
    pub rx_bytes: Signal<In, Bits<16>>,
    pub rx_drops_no_descriptor: Signal<In, Bit>,
    pub rx_drops_no_room: Signal<In, Bit>,
    pub rx_drops_bad_frame: Signal<In, Bit>,
    pub rx_drops_no_queue: Signal<In, Bit>,
    pub tx_drops_dma_error: Signal<In, Bit>,
    pub tx_drops_bad_descriptor: Signal<In, Bit>,
    pub rx_drops_dma_error: Signal<In, Bit>,
    pub read_tlps: Signal<In, Bit>,
    pub write_tlps: Signal<In, Bit>,
    pub completion_tlps: Signal<In, Bit>,
    pub msix_messages: Signal<In, Bit>,
    pub doorbells: Signal<In, Bit>,
    pub cpl_poisoned: Signal<In, Bit>,
    pub cpl_ur_ca: Signal<In, Bit>,
    pub cpl_timeout: Signal<In, Bit>,
    pub cpl_unexpected: Signal<In, Bit>,
    pub requests_unsupported: Signal<In, Bit>,
    pub requests_poisoned: Signal<In, Bit>,
    pub doorbells_no_queue: Signal<In, Bit>,
    pub cq_overflow: Signal<In, Bit>,
    pub tx_queues_broken: Signal<In, Bit>,
    pub rx_queues_broken: Signal<In, Bit>,
    pub tx_doorbells_illegal: Signal<In, Bit>,
    pub rx_doorbells_illegal: Signal<In, Bit>,
    pub tlps_malformed: Signal<In, Bit>,
    pulses: Reg<Bits<32>>,
    tx_len: Reg<Bits<16>>,
    rx_len: Reg<Bits<16>>,
    pulse_sums: [Reg<Bits<8>>; COUNTERS],
    tx_sum: Reg<Bits<24>>,
    rx_sum: Reg<Bits<24>>,
    totals: LutRam<64, 5>,
    // Totals cleared so far after reset.
    cleared: Reg<Bits<6>>,
    walk: Reg<Bits<5>>,
    adding: Reg<Bit>,
    add_index: Reg<Bits<5>>,
    add: Reg<Bits<24>>,
    reading: Reg<Bit>,
    ready: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    latched: Reg<Bits<32>>,
}

const COUNTERS: usize = 29;
const TX_BYTES: usize = 1;
const RX_BYTES: usize = 3;

impl Logic for Stats {
    /// 64-bit counters in RAM behind small accumulators.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; pulses, tx_len, rx_len, pulse_sums[..], tx_sum, rx_sum, cleared,
            walk, adding, add_index, add, reading, ready, rdata, latched);
        clocked!(self, clock; totals);

        let mut pulses = lit::<32>(0);
        pulses = pulses.replace_bit(0, self.tx_frames.val());
        pulses = pulses.replace_bit(2, self.rx_frames.val());
        pulses = pulses.replace_bit(4, self.rx_drops_no_descriptor.val());
        pulses = pulses.replace_bit(5, self.rx_drops_no_room.val());
        pulses = pulses.replace_bit(6, self.rx_drops_bad_frame.val());
        pulses = pulses.replace_bit(7, self.rx_drops_no_queue.val());
        pulses = pulses.replace_bit(8, self.tx_drops_dma_error.val());
        pulses = pulses.replace_bit(9, self.tx_drops_bad_descriptor.val());
        pulses = pulses.replace_bit(10, self.rx_drops_dma_error.val());
        pulses = pulses.replace_bit(11, self.read_tlps.val());
        pulses = pulses.replace_bit(12, self.write_tlps.val());
        pulses = pulses.replace_bit(13, self.completion_tlps.val());
        pulses = pulses.replace_bit(14, self.msix_messages.val());
        pulses = pulses.replace_bit(15, self.doorbells.val());
        pulses = pulses.replace_bit(16, self.cpl_poisoned.val());
        pulses = pulses.replace_bit(17, self.cpl_ur_ca.val());
        pulses = pulses.replace_bit(18, self.cpl_timeout.val());
        pulses = pulses.replace_bit(19, self.cpl_unexpected.val());
        pulses = pulses.replace_bit(20, self.requests_unsupported.val());
        pulses = pulses.replace_bit(21, self.requests_poisoned.val());
        pulses = pulses.replace_bit(22, self.doorbells_no_queue.val());
        pulses = pulses.replace_bit(23, self.cq_overflow.val());
        pulses = pulses.replace_bit(24, self.tx_queues_broken.val());
        pulses = pulses.replace_bit(25, self.rx_queues_broken.val());
        pulses = pulses.replace_bit(26, self.tx_doorbells_illegal.val());
        pulses = pulses.replace_bit(27, self.rx_doorbells_illegal.val());
        pulses = pulses.replace_bit(28, self.tlps_malformed.val());
        self.pulses.d.next = pulses;
        self.tx_len.d.next = if self.tx_frames.val() { self.tx_bytes.val() } else { lit::<16>(0) };
        self.rx_len.d.next = if self.rx_frames.val() { self.rx_bytes.val() } else { lit::<16>(0) };

        // The bus reads in the cycle after `take`, in which the walker adds nothing.
        let clearing = self.cleared.q.val() != 32;
        let take =
            self.bus.valid.val() && !clearing && !self.reading.q.val() && !self.ready.q.val();
        self.reading.d.next = take;
        self.ready.d.next = self.reading.q.val();
        let step = !take && !clearing;
        let walk = self.walk.q.val();
        if step {
            self.walk.d.next = if walk == lit::<5>(COUNTERS - 1) { lit::<5>(0) } else { walk + 1 };
        }

        // The accumulator picked starts anew with this cycle's count.
        let mut picked = lit::<24>(0);
        for i in 0..COUNTERS {
            let one = bit_cast::<8, 1>(self.pulses.q.val().get_bit(i).into());
            let sum = self.pulse_sums[i].q.val();
            let mine = walk == lit::<5>(i);
            self.pulse_sums[i].d.next = if mine && step { one } else { sum + one };
            if mine {
                picked = bit_cast::<24, 8>(sum);
            }
        }
        let tx_len = bit_cast::<24, 16>(self.tx_len.q.val());
        let tx_mine = walk == lit::<5>(TX_BYTES);
        self.tx_sum.d.next = if tx_mine && step { tx_len } else { self.tx_sum.q.val() + tx_len };
        let rx_len = bit_cast::<24, 16>(self.rx_len.q.val());
        let rx_mine = walk == lit::<5>(RX_BYTES);
        self.rx_sum.d.next = if rx_mine && step { rx_len } else { self.rx_sum.q.val() + rx_len };
        self.adding.d.next = step;
        self.add_index.d.next = walk;
        self.add.d.next = if tx_mine {
            self.tx_sum.q.val()
        } else if rx_mine {
            self.rx_sum.q.val()
        } else {
            picked
        };

        if clearing {
            self.cleared.d.next = self.cleared.q.val() + 1;
        }
        let total = self.totals.rdata.val();
        self.totals.raddr.next = if self.reading.q.val() {
            self.bus.addr.val().get_bits::<5>(3)
        } else {
            self.add_index.q.val()
        };
        self.totals.we.next = clearing || self.adding.q.val();
        self.totals.waddr.next =
            if clearing { self.cleared.q.val().get_bits::<5>(0) } else { self.add_index.q.val() };
        self.totals.wdata.next =
            if clearing { lit::<64>(0) } else { total + bit_cast::<64, 24>(self.add.q.val()) };

        let upper = self.bus.addr.val().get_bit(2);
        if self.reading.q.val() {
            self.rdata.d.next = if upper { self.latched.q.val() } else { total.get_bits::<32>(0) };
            if !upper && !self.bus.write.val() {
                self.latched.d.next = total.get_bits::<32>(32);
            }
        }
        self.bus.ready.next = self.ready.q.val();
        self.bus.rdata.next = self.rdata.q.val();
    }
}
