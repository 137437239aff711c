//! Boards with a UART for the host link: the 128-bit card with 8 queue pairs.
//!
//! | board | FPGA | oscillator | core | reset |
//! |---|---|---|---|---|
//! | ULX3S | LFE5U-85F, speed grade 6 | 25 MHz | 62.5 MHz | button F1 |
//! | ECP5-5G Evaluation Board | LFE5UM5G-85F, speed grade 8 | 12 MHz | 100 MHz | SW5 |
//!
//! The pins of this top are the oscillator, a button, the UART and three LEDs. These boards have no
//! Ethernet: the card's frames are looped back to it, a beat a cycle in the same cycle.

use super::cells::{vco_hz, Pll};
use super::core::board_core;
use super::event::Outside;
use crate::cards::ECP5_EVN;
use crate::common::cross::ResetSync;
use crate::common::iface::*;
use crate::common::reset::ResetStage;
use crate::link::serial::LinkSerial;
use crate::link::uart::Uart;
use nitor_rtl::prelude::*;

/// The card with its host link, which keeps 8 frames each way.
pub type Core = board_core!(ECP5_EVN, 3);

#[record]
struct Lights {
    heartbeat: Bit,
    link: Bit,
    activity: Bit,
}

#[derive(LogicBlock)]
pub struct UartBoard {
    pub clk: Signal<In, Clock>,
    pub button: Signal<In, Bit>,
    pub uart_rx: Signal<In, Bit>,
    pub uart_tx: Signal<Out, Bit>,
    /// Heartbeat, link, activity.
    pub led: Signal<Out, Bits<3>>,
    clock: Signal<Local, Clock>,
    reset: Signal<Local, Bit>,
    pll: Pll,
    resets: ResetSync,
    stages: [ResetStage; 3],
    core: Core,
    uart: Uart,
    serial: LinkSerial,
    /// Button and lights are low active.
    _low: bool,
}

impl UartBoard {
    fn new(in_mhz: usize, divider: usize, low: bool) -> Self {
        let hertz = vco_hz(in_mhz) / divider;
        Self {
            clk: Default::default(),
            button: Default::default(),
            uart_rx: Default::default(),
            uart_tx: Default::default(),
            led: Default::default(),
            clock: Default::default(),
            reset: Default::default(),
            pll: Pll::new(in_mhz, divider),
            resets: Default::default(),
            stages: Default::default(),
            core: Core::new(hertz, 30_000, &ECP5_EVN),
            uart: Uart::new(hertz as u64, 3_000_000),
            serial: Default::default(),
            _low: low,
        }
    }

    pub fn ulx3s() -> Self {
        Self::new(25, 8, false)
    }

    pub fn evn() -> Self {
        Self::new(12, 6, true)
    }
}

impl Logic for UartBoard {
    /// Nitor on a board with a UART.
    #[kernel]
    fn update(&mut self) {
        self.pll.clk.next = self.clk.val();
        self.clock.next = self.pll.core.val();
        self.resets.clock.next = self.clock.val();
        self.resets.hold.next = !self.pll.locked.val()
            || (if self._low { !self.button.val() } else { self.button.val() });
        self.reset.next = self.resets.reset.val();
        clocked!(self, clock; core, uart, serial);
        for i in 0..3 {
            self.stages[i].clock.next = self.clock.val();
            self.stages[i].d.next = self.reset.val();
        }
        self.core.reset.next = self.stages[0].q.val();
        self.uart.reset.next = self.stages[1].q.val();
        self.serial.reset.next = self.stages[2].q.val();
        self.uart.rxd.next = self.uart_rx.val();
        self.uart_tx.next = self.uart.txd.val();
        self.serial.rx_valid.next = self.uart.rx_valid.val();
        self.serial.rx.next = self.uart.rx.val();
        self.uart.tx_valid.next = self.serial.tx_valid.val();
        self.uart.tx.next = self.serial.tx.val();
        self.serial.tx_ready.next = self.uart.tx_ready.val();
        self.core.word_valid.next = self.serial.word_valid.val();
        self.core.word.next = self.serial.word.val();
        self.serial.frame_valid.next = self.core.frame_valid.val();
        self.serial.frame.next = self.core.frame.val();
        self.core.frame_ready.next = self.serial.frame_ready.val();
        MacSrc::<128>::join(&mut self.core.mac_tx, &mut self.core.mac_rx);
        self.core.wire_up.next = true;
        self.core.events.next = Outside { wire_mac: lit::<7>(0), link_mac: lit::<7>(0) };
        let lights = Lights {
            heartbeat: self.core.heartbeat.val(),
            link: self.core.link.val(),
            activity: self.core.activity.val(),
        };
        self.led.next = lights.to_bits::<3>() ^ lit::<3>(7 * self._low as usize);
    }
}
