//! Colorlight's boards with two gigabit ports: a small card, its wire on Ethernet port 1, the host
//! link on port 2.
//!
//! | board | FPGA |
//! |---|---|
//! | 5A-75B V8, a receiver of LED panels | LFE5U-25F, nearly filled: see docs/boards.md |
//! | i9 V7.2, a module, on a carrier with two jacks | LFE5U-45F |
//!
//! The pins of this top are the oscillator, a button, an LED, the PHYs' reset and two RGMII ports.
//! Both PHYs must run at a gigabit. The LED, low active, blinks as a heartbeat, whose phase is
//! inverted while the host link is busy.
//!
//! A frame from the wire that the card stalls for too long is cut by its [Mac] and counts as lost.
//! Frames from the host are never stalled.

use super::cells::{vco_hz, Pll};
use super::core::board_core;
use super::event::Outside;
use crate::cards::COLORLIGHT_5A_75B;
use crate::common::cross::ResetSync;
use crate::common::iface::*;
use crate::eth::gear::{Narrow, Widen};
use crate::eth::mac::Mac;
use crate::eth::rgmii::Rgmii;
use crate::eth::turn::Turn;
use crate::link::udp::LinkUdp;
use nitor_rtl::prelude::*;

/// The small card with its host link, which keeps 4 frames each way.
pub type Core = board_core!(COLORLIGHT_5A_75B, 2);

/// Divides the PLL's VCO, so that the core runs at 50 MHz.
pub const DIVIDER: usize = 10;

#[derive(LogicBlock)]
pub struct Colorlight {
    pub clk: Signal<In, Clock>,
    /// Low while pressed.
    pub button: Signal<In, Bit>,
    pub led: Signal<Out, Bit>,
    /// Both PHYs' reset, low active.
    pub phy_reset_n: Signal<Out, Bit>,
    pub wire_rxc: Signal<In, Clock>,
    pub wire_rx_ctl: Signal<In, Bit>,
    pub wire_rxd: Signal<In, Bits<4>>,
    pub wire_txc: Signal<Out, Bit>,
    pub wire_tx_ctl: Signal<Out, Bit>,
    pub wire_txd: Signal<Out, Bits<4>>,
    pub host_rxc: Signal<In, Clock>,
    pub host_rx_ctl: Signal<In, Bit>,
    pub host_rxd: Signal<In, Bits<4>>,
    pub host_txc: Signal<Out, Bit>,
    pub host_tx_ctl: Signal<Out, Bit>,
    pub host_txd: Signal<Out, Bits<4>>,
    clock: Signal<Local, Clock>,
    clock125: Signal<Local, Clock>,
    reset: Signal<Local, Bit>,
    reset125: Signal<Local, Bit>,
    pll: Pll,
    resets: ResetSync,
    resets125: ResetSync,
    wire_resets: ResetSync,
    host_resets: ResetSync,
    core: Core,
    wire_pins: Rgmii,
    wire_mac: Mac,
    narrow: Narrow<128>,
    widen: Widen<128>,
    turn: Turn,
    host_pins: Rgmii,
    host_mac: Mac,
    udp: LinkUdp,
}

impl Default for Colorlight {
    fn default() -> Self {
        let hertz = vco_hz(25) / DIVIDER;
        Self {
            clk: Default::default(),
            button: Default::default(),
            led: Default::default(),
            phy_reset_n: Default::default(),
            wire_rxc: Default::default(),
            wire_rx_ctl: Default::default(),
            wire_rxd: Default::default(),
            wire_txc: Default::default(),
            wire_tx_ctl: Default::default(),
            wire_txd: Default::default(),
            host_rxc: Default::default(),
            host_rx_ctl: Default::default(),
            host_rxd: Default::default(),
            host_txc: Default::default(),
            host_tx_ctl: Default::default(),
            host_txd: Default::default(),
            clock: Default::default(),
            clock125: Default::default(),
            reset: Default::default(),
            reset125: Default::default(),
            pll: Pll::new(25, DIVIDER),
            resets: Default::default(),
            resets125: Default::default(),
            wire_resets: Default::default(),
            host_resets: Default::default(),
            core: Core::new(hertz, 2_000, &COLORLIGHT_5A_75B),
            wire_pins: Default::default(),
            wire_mac: Default::default(),
            narrow: Default::default(),
            widen: Default::default(),
            turn: Default::default(),
            host_pins: Default::default(),
            host_mac: Mac::new(1518),
            udp: Default::default(),
        }
    }
}

impl Logic for Colorlight {
    /// Nitor on Colorlight's boards.
    #[kernel]
    fn update(&mut self) {
        self.pll.clk.next = self.clk.val();
        self.clock.next = self.pll.core.val();
        self.clock125.next = self.pll.other.val();
        let hold = !self.pll.locked.val() || !self.button.val();
        self.phy_reset_n.next = !hold;
        self.resets.clock.next = self.clock.val();
        self.resets.hold.next = hold;
        self.reset.next = self.resets.reset.val();
        self.resets125.clock.next = self.clock125.val();
        self.resets125.hold.next = hold;
        self.reset125.next = self.resets125.reset.val();
        self.wire_resets.clock.next = self.wire_rxc.val();
        self.wire_resets.hold.next = hold || self.wire_mac.rx_hold.val();
        self.host_resets.clock.next = self.host_rxc.val();
        self.host_resets.hold.next = hold || self.host_mac.rx_hold.val();
        clocked!(self, clock, reset; core, wire_mac, host_mac, narrow, widen, turn, udp);
        clocked!(self, clock125; wire_pins, host_pins);
        self.wire_mac.tx_clock.next = self.clock125.val();
        self.wire_mac.tx_reset.next = self.reset125.val();
        self.wire_mac.rx_clock.next = self.wire_rxc.val();
        self.wire_mac.rx_reset.next = self.wire_resets.reset.val();
        self.host_mac.tx_clock.next = self.clock125.val();
        self.host_mac.tx_reset.next = self.reset125.val();
        self.host_mac.rx_clock.next = self.host_rxc.val();
        self.host_mac.rx_reset.next = self.host_resets.reset.val();

        // Port 1: the card's wire.
        self.wire_pins.rx_clock.next = self.wire_rxc.val();
        self.wire_pins.pin_rx_ctl.next = self.wire_rx_ctl.val();
        self.wire_pins.pin_rxd.next = self.wire_rxd.val();
        self.wire_txc.next = self.wire_pins.pin_txc.val();
        self.wire_tx_ctl.next = self.wire_pins.pin_tx_ctl.val();
        self.wire_txd.next = self.wire_pins.pin_txd.val();
        self.wire_pins.txd.next = self.wire_mac.txd.val();
        self.wire_pins.en.next = self.wire_mac.en.val();
        self.wire_pins.er.next = self.wire_mac.er.val();
        self.wire_mac.rxd.next = self.wire_pins.rxd.val();
        self.wire_mac.dv.next = self.wire_pins.dv.val();
        self.wire_mac.rx_er.next = self.wire_pins.rx_er.val();
        self.wire_mac.phy_link.next = self.wire_pins.link.val();
        MacSrc::<128>::join(&mut self.core.mac_tx, &mut self.narrow.beats);
        self.narrow.flush.next = self.core.flush_wire.val();
        self.widen.flush.next = self.core.flush_wire.val();
        self.turn.turned.next = self.core.loop_wire.val();
        self.turn.from_card_valid.next = self.narrow.word_valid.val();
        self.turn.from_card.next = self.narrow.word.val();
        self.narrow.word_ready.next = self.turn.from_card_ready.val();
        self.wire_mac.in_valid.next = self.turn.to_mac_valid.val();
        self.wire_mac.in_word.next = self.turn.to_mac.val();
        self.turn.to_mac_ready.next = self.wire_mac.in_ready.val();
        self.turn.from_mac_valid.next = self.wire_mac.out_valid.val();
        self.turn.from_mac.next = self.wire_mac.out_word.val();
        self.wire_mac.out_ready.next = self.turn.from_mac_ready.val();
        self.widen.word_valid.next = self.turn.to_card_valid.val();
        self.widen.word.next = self.turn.to_card.val();
        self.turn.to_card_ready.next = self.widen.word_ready.val();
        MacSrc::<128>::join(&mut self.widen.beats, &mut self.core.mac_rx);
        self.core.wire_up.next = self.wire_mac.link_up.val() || self.turn.is_turned.val();

        // Port 2: the host.
        self.host_pins.rx_clock.next = self.host_rxc.val();
        self.host_pins.pin_rx_ctl.next = self.host_rx_ctl.val();
        self.host_pins.pin_rxd.next = self.host_rxd.val();
        self.host_txc.next = self.host_pins.pin_txc.val();
        self.host_tx_ctl.next = self.host_pins.pin_tx_ctl.val();
        self.host_txd.next = self.host_pins.pin_txd.val();
        self.host_pins.txd.next = self.host_mac.txd.val();
        self.host_pins.en.next = self.host_mac.en.val();
        self.host_pins.er.next = self.host_mac.er.val();
        self.host_mac.rxd.next = self.host_pins.rxd.val();
        self.host_mac.dv.next = self.host_pins.dv.val();
        self.host_mac.rx_er.next = self.host_pins.rx_er.val();
        self.host_mac.phy_link.next = self.host_pins.link.val();
        self.udp.mac_in_valid.next = self.host_mac.out_valid.val();
        self.udp.mac_in.next = self.host_mac.out_word.val();
        self.host_mac.out_ready.next = true;
        self.host_mac.in_valid.next = self.udp.mac_out_valid.val();
        self.host_mac.in_word.next = self.udp.mac_out.val();
        self.udp.mac_out_ready.next = self.host_mac.in_ready.val();
        self.udp.learn.next = self.core.heard.val();
        self.core.word_valid.next = self.udp.word_valid.val();
        self.core.word.next = self.udp.word.val();
        self.udp.frame_valid.next = self.core.frame_valid.val();
        self.udp.frame.next = self.core.frame.val();
        self.udp.frame_words.next = self.core.frame_words.val();
        self.core.frame_ready.next = self.udp.frame_ready.val();

        self.core.events.next =
            Outside { wire_mac: self.wire_mac.events.val(), link_mac: self.host_mac.events.val() };
        self.led.next = !(self.core.heartbeat.val() ^ self.core.activity.val());
    }
}
