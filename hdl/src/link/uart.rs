//! A UART: 8 data bits, no parity, one stop bit, least significant bit first.
//!
//! | port | what |
//! |---|---|
//! | `rxd`, `txd` | the line |
//! | `rx_valid`, `rx` | a pulse for each byte received, with the byte |
//! | `rx_error` | a pulse for a byte whose stop bit was not high; the byte is dropped |
//! | `tx_*` | bytes to send |
//!
//! The baud rate is `_step` / 2^16 of the clock, at most a quarter. A phase accumulator each way
//! keeps the rate on the average, so 3 Mbaud need no particular clock. Each start bit sets the
//! receiver's phase anew, and bits are sampled in their middle.
//!
//! A byte takes the time of 10 bits each way, and a cycle more when sent. A byte is received at the
//! middle of its stop bit and cannot be stalled. `tx_ready` is low while a byte is being sent.

use nitor_rtl::prelude::*;

/// A phase within a bit's time, in units of 2^-16.
#[record]
struct Phase {
    part: Bits<16>,
    /// The bit's time is over.
    over: Bit,
}

/// A byte from the line, whose start bit is not kept.
#[record]
struct Received {
    data: Bits<8>,
    stop: Bit,
}

#[record]
struct Sent {
    start: Bit,
    data: Bits<8>,
    stop: Bit,
}

#[derive(LogicBlock)]
pub struct Uart {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub rxd: Signal<In, Bit>,
    pub txd: Signal<Out, Bit>,
    pub rx_valid: Signal<Out, Bit>,
    pub rx_error: Signal<Out, Bit>,
    pub rx: Signal<Out, Bits<8>>,
    pub tx_valid: Signal<In, Bit>,
    pub tx_ready: Signal<Out, Bit>,
    pub tx: Signal<In, Bits<8>>,
    seen: [Reg<Bit>; 3],
    rx_phase: Reg<Phase>,
    rx_bits: Reg<Bits<4>>,
    rx_shift: Reg<Received>,
    rx_done: Reg<Bit>,
    tx_phase: Reg<Phase>,
    tx_bits: Reg<Bits<4>>,
    /// Inverted, so that the reset value 0 is an idle line.
    tx_shift: Reg<Bits<10>>,
    _step: u64,
}

impl Default for Uart {
    fn default() -> Self {
        Self::new(100_000_000, 3_000_000)
    }
}

impl Uart {
    pub fn new(hertz: u64, baud: u64) -> Self {
        let step = (baud * 65536 + hertz / 2) / hertz;
        assert!((1..16384).contains(&step), "{baud} baud from {hertz} Hz");
        Self {
            clock: Default::default(),
            reset: Default::default(),
            rxd: Default::default(),
            txd: Default::default(),
            rx_valid: Default::default(),
            rx_error: Default::default(),
            rx: Default::default(),
            tx_valid: Default::default(),
            tx_ready: Default::default(),
            tx: Default::default(),
            seen: Default::default(),
            rx_phase: Default::default(),
            rx_bits: Default::default(),
            rx_shift: Default::default(),
            rx_done: Default::default(),
            tx_phase: Default::default(),
            tx_bits: Default::default(),
            tx_shift: Default::default(),
            _step: step,
        }
    }
}

impl Logic for Uart {
    /// UART, 8N1.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; seen[..], rx_phase, rx_bits, rx_shift, rx_done, tx_phase,
            tx_bits, tx_shift);
        // Inverted, so that the reset value 0 is an idle line.
        self.seen[0].d.next = !self.rxd.val();
        self.seen[1].d.next = self.seen[0].q.val();
        self.seen[2].d.next = self.seen[1].q.val();
        let line = !self.seen[1].q.val();
        let falls = self.seen[1].q.val() && !self.seen[2].q.val();
        let step = lit::<17>(self._step);

        let bits = self.rx_bits.q.val();
        let phase = Phase::from_bits(bit_cast::<17, 16>(self.rx_phase.q.val().part) + step);
        self.rx_phase.d.next = phase;
        self.rx_done.d.next = false;
        if bits == 0 {
            if falls {
                // The middle of the start bit is half a bit away.
                self.rx_phase.d.next = Phase { part: lit::<16>(0x8000), over: false };
                self.rx_bits.d.next = lit::<4>(10);
            }
        } else if phase.over {
            let shifted = self.rx_shift.q.val().to_bits::<9>() >> lit::<9>(1);
            self.rx_shift.d.next = Received { data: bit_cast::<8, 9>(shifted), stop: line };
            self.rx_bits.d.next = bits - 1;
            // The line is high again in the middle: too short for a start bit.
            if bits == 10 && line {
                self.rx_bits.d.next = lit::<4>(0);
            }
            self.rx_done.d.next = bits == 1;
        }
        let stop = self.rx_shift.q.val().stop;
        self.rx.next = self.rx_shift.q.val().data;
        self.rx_valid.next = self.rx_done.q.val() && stop;
        self.rx_error.next = self.rx_done.q.val() && !stop;

        let tx_bits = self.tx_bits.q.val();
        let tx_phase = Phase::from_bits(bit_cast::<17, 16>(self.tx_phase.q.val().part) + step);
        let idle = tx_bits == 0;
        let begin = Phase { part: lit::<16>(0), over: false };
        self.tx_phase.d.next = if idle { begin } else { tx_phase };
        if idle {
            if self.tx_valid.val() {
                let sent = Sent { start: true, data: !self.tx.val(), stop: false };
                self.tx_shift.d.next = sent.to_bits::<10>();
                self.tx_bits.d.next = lit::<4>(10);
            }
        } else if tx_phase.over {
            self.tx_shift.d.next = self.tx_shift.q.val() >> lit::<4>(1);
            self.tx_bits.d.next = tx_bits - 1;
        }
        self.tx_ready.next = idle;
        self.txd.next = !self.tx_shift.q.val().get_bit(0);
    }
}
