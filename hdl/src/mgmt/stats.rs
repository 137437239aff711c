//! The card's counters: 64 bits each, exact under bursts, never cleared but by a hard reset.
//!
//! Each counter has a 7-bit accumulator that takes a pulse every cycle (the two byte counters 24 bits and a length). A walker adds
//! one accumulator after another to its total in RAM, half a total a cycle, so a total lags its pulses by up to 71 cycles, and no accumulator
//! overflows. `bus` addresses 0x600 + 8n: reading the lower half latches the upper half, which 0x604 + 8n returns
//! until the next lower half is read. Counters 29 to 31 read 0; writes are ignored. An access waits for the walker to come round and takes
//! 7 cycles then, so no more than one is made a round.

use crate::common::iface::*;
use crate::common::ram::BlockRam;
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
    pulse_sums: [Reg<Bits<7>>; COUNTERS],
    tx_sum: Reg<Bits<24>>,
    rx_sum: Reg<Bits<24>>,
    // Address {counter, half}.
    totals: BlockRam<Bits<32>, 6>,
    /// The first round is over: the totals have been written.
    valid: Reg<Bit>,
    walk: Reg<Bits<5>>,
    half: Reg<Bit>,
    // What the walker does next: the accumulator it picks, one bit each; the half that it reads.
    pick: Reg<Bits<COUNTERS>>,
    at0: Reg<Bits<6>>,
    on0: Reg<Bit>,
    fresh0: Reg<Bit>,
    // The half that arrives from RAM, the half that is added to.
    at1: Reg<Bits<6>>,
    add1: Reg<Bits<24>>,
    on1: Reg<Bit>,
    fresh1: Reg<Bit>,
    at2: Reg<Bits<6>>,
    add2: Reg<Bits<24>>,
    on2: Reg<Bit>,
    word2: Reg<Bits<32>>,
    carry: Reg<Bit>,
    /// Cycles of an access; 0: none.
    phase: Reg<Bits<3>>,
    ready: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    latched: Reg<Bits<32>>,
}

const COUNTERS: usize = 29;
const TX_BYTES: usize = 1;
const RX_BYTES: usize = 3;

/// `x` plus `one`: in tables, which for few bits are less than a carry chain.
#[kernel]
fn count(x: Bits<7>, one: Bit) -> Bits<7> {
    let low = one && x.get_bits::<3>(0).all();
    let mut y = x;
    y = y.replace_bit(0, x.get_bit(0) != one);
    y = y.replace_bit(1, x.get_bit(1) != (one && x.get_bit(0)));
    y = y.replace_bit(2, x.get_bit(2) != (one && x.get_bits::<2>(0).all()));
    y = y.replace_bit(3, x.get_bit(3) != low);
    y = y.replace_bit(4, x.get_bit(4) != (low && x.get_bit(3)));
    y = y.replace_bit(5, x.get_bit(5) != (low && x.get_bits::<2>(3).all()));
    y.replace_bit(6, x.get_bit(6) != (low && x.get_bits::<3>(3).all()))
}

impl Logic for Stats {
    /// 64-bit counters in RAM behind small accumulators.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; pulses, pulse_sums[..], tx_sum, rx_sum, valid, walk, half, pick, on0, fresh0, on1, fresh1, on2, carry, phase, ready);
        registers!(self, clock; tx_len, rx_len, at0, at1, add1, at2, add2, word2, rdata, latched);
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

        // The walker; at the end of a round it lets the bus in, for as long as what it has begun and the two halves take.
        let walk = self.walk.q.val();
        let half = self.half.q.val();
        let phase = self.phase.q.val();
        let asked = self.bus.valid.val() && !self.ready.q.val();
        let lets_in = asked && self.valid.q.val() && walk == 0 && !half && phase == 0;
        let step = phase == 0 && !lets_in;
        self.ready.d.next = false;
        if lets_in || phase != 0 {
            self.phase.d.next = phase + 1;
        }
        if phase == 6 {
            self.phase.d.next = lit::<3>(0);
            self.ready.d.next = true;
        }
        // The bus is let in once a round.
        if step || phase == 6 {
            self.half.d.next = !half;
            if half {
                self.walk.d.next =
                    if walk == lit::<5>(COUNTERS - 1) { lit::<5>(0) } else { walk + 1 };
                if walk == lit::<5>(COUNTERS - 1) {
                    self.valid.d.next = true;
                }
            }
        }
        let begins = (step || phase == 6) && !half;

        let mut pick = lit::<COUNTERS>(0);
        for i in 0..COUNTERS {
            pick = pick.replace_bit(i, begins && walk == lit::<5>(i));
        }
        self.pick.d.next = pick;
        self.at0.d.next = cat::<5, 1, 6>(walk, half.into());
        self.on0.d.next = step || phase == 6;
        self.fresh0.d.next = !self.valid.q.val();

        // The accumulator picked starts anew with this cycle's count.
        let pick = self.pick.q.val();
        let mut picked = lit::<7>(0);
        for i in 0..COUNTERS {
            let one = self.pulses.q.val().get_bit(i);
            let sum = self.pulse_sums[i].q.val();
            let mine = pick.get_bit(i);
            self.pulse_sums[i].d.next =
                if mine { bit_cast::<7, 1>(one.into()) } else { count(sum, one) };
            picked = picked | if mine { sum } else { lit::<7>(0) };
        }
        let tx_len = bit_cast::<24, 16>(self.tx_len.q.val());
        let tx_mine = pick.get_bit(TX_BYTES);
        let tx_sum = self.tx_sum.q.val();
        self.tx_sum.d.next = (if tx_mine { lit::<24>(0) } else { tx_sum }) + tx_len;
        let rx_len = bit_cast::<24, 16>(self.rx_len.q.val());
        let rx_mine = pick.get_bit(RX_BYTES);
        let rx_sum = self.rx_sum.q.val();
        self.rx_sum.d.next = (if rx_mine { lit::<24>(0) } else { rx_sum }) + rx_len;

        // A half a cycle: out of RAM, added to, into RAM. What a phase of 0 has begun reads in the next one, or as the bus is let in.
        let index = self.bus.addr.val().get_bits::<5>(3);
        self.totals.raddr.next =
            if phase == 0 { self.at0.q.val() } else { cat::<5, 1, 6>(index, (phase != 3).into()) };
        self.on1.d.next = self.on0.q.val();
        self.at1.d.next = self.at0.q.val();
        self.fresh1.d.next = self.fresh0.q.val();
        self.add1.d.next = (if tx_mine { tx_sum } else { lit::<24>(0) })
            | (if rx_mine { rx_sum } else { lit::<24>(0) })
            | bit_cast::<24, 7>(picked);
        let word = self.totals.rdata.val();
        self.on2.d.next = self.on1.q.val();
        self.at2.d.next = self.at1.q.val();
        self.add2.d.next = self.add1.q.val();
        self.word2.d.next = if self.fresh1.q.val() { lit::<32>(0) } else { word };
        let upper_half = self.at2.q.val().get_bit(0);
        let carried = upper_half && self.carry.q.val();
        // A carry goes into an upper half, to which nothing else is added.
        let low = self.add2.q.val().get_bit(0) || carried;
        let sum = bit_cast::<33, 32>(self.word2.q.val())
            + bit_cast::<33, 24>(self.add2.q.val().replace_bit(0, low));
        self.carry.d.next = sum.get_bit(32);
        self.totals.we.next = self.on2.q.val();
        self.totals.waddr.next = self.at2.q.val();
        self.totals.wdata.next = sum.get_bits::<32>(0);

        let upper = self.bus.addr.val().get_bit(2);
        let there = index < lit::<5>(COUNTERS);
        if phase == 4 {
            self.rdata.d.next = if upper {
                self.latched.q.val()
            } else if there {
                word
            } else {
                lit::<32>(0)
            };
        }
        if phase == 5 && !upper && !self.bus.write.val() {
            self.latched.d.next = if there { word } else { lit::<32>(0) };
        }
        self.bus.ready.next = self.ready.q.val();
        self.bus.rdata.next = self.rdata.q.val();
    }
}
