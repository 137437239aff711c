//! The card's counters: 64 bits each, exact under bursts, cleared only by a hard reset.
//!
//! Each counter has a 7-bit accumulator that takes a pulse every cycle (the two byte counters 24
//! bits and a length). A walker adds one accumulator after another to its total in RAM, half a
//! total a cycle. So a total lags its pulses by up to 71 cycles, and no accumulator overflows.
//!
//! `bus` addresses 0x600 + 8n: reading the lower half latches the upper half, which 0x604 + 8n
//! returns until the next lower half is read. Counters that do not exist read 0; writes are
//! ignored. An access waits for the walker to come round and then takes 7 cycles, so no more than
//! one is made a round.

use crate::common::iface::*;
use crate::common::ram::BlockRam;
use nitor_abi::mgmt::Counter;
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
    // By [Half].
    totals: BlockRam<Bits<32>, 6>,
    /// The first round is over: the totals have been written.
    valid: Reg<Bit>,
    walk: Reg<Bits<5>>,
    half: Reg<Bit>,
    // The walker's next step: the accumulator it picks, a bit each; the half that it reads.
    pick: Reg<Bits<COUNTERS>>,
    at0: Reg<Half>,
    on0: Reg<Bit>,
    fresh0: Reg<Bit>,
    // The half that arrives from RAM, the half that is added to.
    at1: Reg<Half>,
    add1: Reg<Bits<24>>,
    on1: Reg<Bit>,
    fresh1: Reg<Bit>,
    at2: Reg<Half>,
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

const COUNTERS: usize = Counter::ALL.len();
const TX_BYTES: usize = Counter::TxBytes as usize;
const RX_BYTES: usize = Counter::RxBytes as usize;

/// Half of a total.
#[record]
pub struct Half {
    upper: Bit,
    counter: Bits<5>,
}

/// A byte address on the bus.
#[record]
pub struct BusAddress {
    byte: Bits<2>,
    half: Half,
    rest: Bits<8>,
}

#[record]
pub struct Sum {
    word: Bits<32>,
    carry: Bit,
}

/// `x` plus 1: in tables, which for few bits are less than a carry chain.
#[kernel]
fn count(x: Bits<7>) -> Bits<7> {
    let mut y = x;
    let mut carry = true;
    for i in 0..7 {
        y = y.replace_bit(i, x.get_bit(i) != carry);
        carry = carry && x.get_bit(i);
    }
    y
}

impl Logic for Stats {
    /// 64-bit counters in RAM behind small accumulators.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; pulses, pulse_sums[..], tx_sum, rx_sum, valid, walk, half);
        registers!(self, clock, reset; pick, on0, fresh0, on1, fresh1, on2, carry, phase, ready);
        registers!(self, clock; tx_len, rx_len, at0, at1, add1, at2, add2, word2, rdata, latched);
        clocked!(self, clock; totals);

        let mut pulses = lit::<32>(0);
        pulses = pulses.replace_bit(Counter::TxFrames as usize, self.tx_frames.val());
        pulses = pulses.replace_bit(Counter::RxFrames as usize, self.rx_frames.val());
        pulses = pulses
            .replace_bit(Counter::RxDropsNoDescriptor as usize, self.rx_drops_no_descriptor.val());
        pulses = pulses.replace_bit(Counter::RxDropsNoRoom as usize, self.rx_drops_no_room.val());
        pulses =
            pulses.replace_bit(Counter::RxDropsBadFrame as usize, self.rx_drops_bad_frame.val());
        pulses = pulses.replace_bit(Counter::RxDropsNoQueue as usize, self.rx_drops_no_queue.val());
        pulses =
            pulses.replace_bit(Counter::TxDropsDmaError as usize, self.tx_drops_dma_error.val());
        pulses = pulses.replace_bit(
            Counter::TxDropsBadDescriptor as usize,
            self.tx_drops_bad_descriptor.val(),
        );
        pulses =
            pulses.replace_bit(Counter::RxDropsDmaError as usize, self.rx_drops_dma_error.val());
        pulses = pulses.replace_bit(Counter::ReadTlps as usize, self.read_tlps.val());
        pulses = pulses.replace_bit(Counter::WriteTlps as usize, self.write_tlps.val());
        pulses = pulses.replace_bit(Counter::CompletionTlps as usize, self.completion_tlps.val());
        pulses = pulses.replace_bit(Counter::MsixMessages as usize, self.msix_messages.val());
        pulses = pulses.replace_bit(Counter::Doorbells as usize, self.doorbells.val());
        pulses = pulses.replace_bit(Counter::CplPoisoned as usize, self.cpl_poisoned.val());
        pulses = pulses.replace_bit(Counter::CplUrCa as usize, self.cpl_ur_ca.val());
        pulses = pulses.replace_bit(Counter::CplTimeout as usize, self.cpl_timeout.val());
        pulses = pulses.replace_bit(Counter::CplUnexpected as usize, self.cpl_unexpected.val());
        pulses = pulses
            .replace_bit(Counter::RequestsUnsupported as usize, self.requests_unsupported.val());
        pulses =
            pulses.replace_bit(Counter::RequestsPoisoned as usize, self.requests_poisoned.val());
        pulses =
            pulses.replace_bit(Counter::DoorbellsNoQueue as usize, self.doorbells_no_queue.val());
        pulses = pulses.replace_bit(Counter::CqOverflow as usize, self.cq_overflow.val());
        pulses = pulses.replace_bit(Counter::TxQueuesBroken as usize, self.tx_queues_broken.val());
        pulses = pulses.replace_bit(Counter::RxQueuesBroken as usize, self.rx_queues_broken.val());
        pulses = pulses
            .replace_bit(Counter::TxDoorbellsIllegal as usize, self.tx_doorbells_illegal.val());
        pulses = pulses
            .replace_bit(Counter::RxDoorbellsIllegal as usize, self.rx_doorbells_illegal.val());
        pulses = pulses.replace_bit(Counter::TlpsMalformed as usize, self.tlps_malformed.val());
        self.pulses.d.next = pulses;
        self.tx_len.d.next = if self.tx_frames.val() { self.tx_bytes.val() } else { lit::<16>(0) };
        self.rx_len.d.next = if self.rx_frames.val() { self.rx_bytes.val() } else { lit::<16>(0) };

        // The walker. At the end of a round it lets the bus in, for as long as its last step and
        // the two halves take.
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
        self.at0.d.next = Half { upper: half, counter: walk };
        self.on0.d.next = step || phase == 6;
        self.fresh0.d.next = !self.valid.q.val();

        // The accumulator picked starts anew with this cycle's count.
        let pick = self.pick.q.val();
        let mut picked = lit::<7>(0);
        for i in 0..COUNTERS {
            let one = self.pulses.q.val().get_bit(i);
            let sum = self.pulse_sums[i].q.val();
            let mine = pick.get_bit(i);
            self.pulse_sums[i].d.next = if mine {
                bit_cast::<7, 1>(one.into())
            } else if one {
                count(sum)
            } else {
                sum
            };
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

        // A half a cycle: out of RAM, added to, into RAM. A step of phase 0 reads in the next
        // cycle, also if the bus is let in.
        let addr = BusAddress::from_bits(self.bus.addr.val());
        let index = addr.half.counter;
        let asked_for = Half { upper: phase != 3, counter: index };
        let read_at = if phase == 0 { self.at0.q.val() } else { asked_for };
        self.totals.raddr.next = read_at.to_bits();
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
        let upper_half = self.at2.q.val().upper;
        let carried = upper_half && self.carry.q.val();
        // A carry goes into an upper half, to which nothing else is added.
        let low = bit_cast::<24, 1>(carried.into());
        let sum =
            bit_cast::<33, 32>(self.word2.q.val()) + bit_cast::<33, 24>(self.add2.q.val() | low);
        let sum = Sum::from_bits(sum);
        self.carry.d.next = sum.carry;
        self.totals.we.next = self.on2.q.val();
        self.totals.waddr.next = self.at2.q.val().to_bits();
        self.totals.wdata.next = sum.word;

        let upper = addr.half.upper;
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
