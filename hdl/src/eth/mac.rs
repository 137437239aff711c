//! A gigabit MAC: words of frames at the core's clock on one side, GMII at 125 MHz on the other,
//! asynchronous FIFOs between.
//!
//! | port | what |
//! |---|---|
//! | `in_*` | words of frames to send, see [Word] |
//! | `out_*` | words of frames received |
//! | `txd`, `en`, `er`; `rxd`, `dv`, `rx_er` | GMII, at `tx_clock` and at `rx_clock` |
//! | `phy_link`, `link_up` | the PHY's link state, at its clock and at the core's |
//! | `events` | a pulse for each frame at the core's clock, see [event] |
//! | `rx_hold`, `rx_reset` | see below |
//!
//! - **Throughput**: a byte a cycle of 125 MHz each way, which is line rate.
//! - **Latency**: that of [super::gmii_tx] or [super::gmii_rx], of an asynchronous FIFO
//!   ([crate::common::async_fifo]) and, when sending, a cycle of a skid buffer.
//! - **Back-pressure**: the FIFOs hold 16 words each way. When sending, `in_ready` is low while the
//!   FIFO is full; once a frame has begun, `in_*` must deliver a word every 4 cycles of 125 MHz, or
//!   the frame is aborted. When receiving, a frame for which the FIFO has no room is cut and counts
//!   as lost. At a core clock of 40 MHz or more no frame is lost at line rate if `out_ready` is
//!   high in most cycles.
//!
//! **Reset of the receive side.** The PHY may stop `rx_clock` while the core is in reset, so that
//! `rx_reset` has no effect then. `rx_hold` asks for that reset: the source of `rx_reset` must
//! assert `rx_reset` while `rx_hold` is high. Words, events and link state from `rx_clock` are
//! blocked until the core has seen `rx_reset` rise and fall. All that leaves afterwards was
//! received afterwards.

use super::gmii_rx::{GmiiRx, Word};
use super::gmii_tx::GmiiTx;
use crate::common::async_fifo::AsyncFifo;
use crate::common::cross::{Level, Pulse};
use crate::common::reset::ResetStage;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

/// Bits of `events`, in this order.
pub mod event {
    pub const SENT: usize = 0;
    pub const ABORTED: usize = 1;
    pub const GOOD: usize = 2;
    pub const BAD_FCS: usize = 3;
    pub const RUNT: usize = 4;
    pub const GIANT: usize = 5;
    pub const LOST: usize = 6;
    pub const COUNT: usize = 7;
}

#[derive(LogicBlock)]
pub struct Mac {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tx_clock: Signal<In, Clock>,
    pub tx_reset: Signal<In, Bit>,
    pub rx_clock: Signal<In, Clock>,
    pub rx_reset: Signal<In, Bit>,
    /// `rx_reset` must be asserted.
    pub rx_hold: Signal<Out, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    pub in_word: Signal<In, Word>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_word: Signal<Out, Word>,
    pub events: Signal<Out, Bits<{ event::COUNT }>>,
    pub link_up: Signal<Out, Bit>,
    // GMII.
    pub txd: Signal<Out, Bits<8>>,
    pub en: Signal<Out, Bit>,
    pub er: Signal<Out, Bit>,
    pub rxd: Signal<In, Bits<8>>,
    pub dv: Signal<In, Bit>,
    pub rx_er: Signal<In, Bit>,
    pub phy_link: Signal<In, Bit>,
    to_wire: AsyncFifo<Word, 4, 5>,
    from_wire: AsyncFifo<Word, 4, 5>,
    /// The transmitter decides on this register instead of the output of the FIFO's RAM.
    front: Skid<Word>,
    stage: ResetStage,
    tx: GmiiTx,
    rx: GmiiRx,
    pulses: [Pulse; event::COUNT],
    link: Level,
    rx_in_reset: Level,
    /// `rx_reset` has not been seen high since `reset`.
    unseen: Reg<Bit>,
    /// Blocks words, events and link state from `rx_clock`.
    closed: Reg<Bit>,
}

impl Default for Mac {
    fn default() -> Self {
        Self::new(9216 + 14 + 4 + 4)
    }
}

impl Mac {
    /// `longest`: bytes of the longest frame received, FCS included.
    pub fn new(longest: usize) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tx_clock: Default::default(),
            tx_reset: Default::default(),
            rx_clock: Default::default(),
            rx_reset: Default::default(),
            rx_hold: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_word: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_word: Default::default(),
            events: Default::default(),
            link_up: Default::default(),
            txd: Default::default(),
            en: Default::default(),
            er: Default::default(),
            rxd: Default::default(),
            dv: Default::default(),
            rx_er: Default::default(),
            phy_link: Default::default(),
            to_wire: Default::default(),
            from_wire: Default::default(),
            front: Default::default(),
            stage: Default::default(),
            tx: Default::default(),
            rx: GmiiRx::new(longest),
            pulses: Default::default(),
            link: Default::default(),
            rx_in_reset: Default::default(),
            unseen: Reg::new(true),
            closed: Reg::new(true),
        }
    }
}

impl Logic for Mac {
    /// Gigabit Ethernet MAC with a clock of its own each way.
    #[kernel]
    fn update(&mut self) {
        self.to_wire.in_clock.next = self.clock.val();
        self.to_wire.in_reset.next = self.reset.val();
        self.to_wire.out_clock.next = self.tx_clock.val();
        self.to_wire.out_reset.next = self.stage.q.val();
        self.from_wire.in_clock.next = self.rx_clock.val();
        self.from_wire.in_reset.next = self.rx_reset.val();
        self.from_wire.out_clock.next = self.clock.val();
        self.from_wire.out_reset.next = self.closed.q.val();
        registers!(self, clock, reset; unseen, closed);
        // No reset here: the output must already show `rx_reset` when `reset` ends.
        self.rx_in_reset.clock.next = self.clock.val();
        self.rx_in_reset.reset.next = false;
        self.rx_in_reset.d.next = self.rx_reset.val();
        if self.rx_in_reset.q.val() {
            self.unseen.d.next = false;
        }
        self.rx_hold.next = self.unseen.q.val();
        self.closed.d.next = self.unseen.q.val() || self.rx_in_reset.q.val();
        self.tx.clock.next = self.tx_clock.val();
        // Each MAC has a reset stage of its own: a board's ports are far apart on the die.
        self.stage.clock.next = self.tx_clock.val();
        self.stage.d.next = self.tx_reset.val();
        self.tx.reset.next = self.stage.q.val();
        self.rx.clock.next = self.rx_clock.val();
        self.rx.reset.next = self.rx_reset.val();
        clocked!(self, clock, reset; link);

        self.to_wire.in_valid.next = self.in_valid.val();
        self.to_wire.in_data.next = self.in_word.val();
        self.in_ready.next = self.to_wire.in_ready.val();
        self.front.clock.next = self.tx_clock.val();
        self.front.reset.next = self.stage.q.val();
        self.front.in_valid.next = self.to_wire.out_valid.val();
        self.front.in_data.next = self.to_wire.out_data.val();
        self.to_wire.out_ready.next = self.front.in_ready.val();
        self.tx.word_valid.next = self.front.out_valid.val();
        self.tx.word.next = self.front.out_data.val();
        self.front.out_ready.next = self.tx.word_ready.val();
        self.txd.next = self.tx.txd.val();
        self.en.next = self.tx.en.val();
        self.er.next = self.tx.er.val();

        self.rx.rxd.next = self.rxd.val();
        self.rx.dv.next = self.dv.val();
        self.rx.er.next = self.rx_er.val();
        self.from_wire.in_valid.next = self.rx.word_valid.val();
        self.from_wire.in_data.next = self.rx.word.val();
        self.rx.word_ready.next = self.from_wire.in_ready.val();
        self.out_valid.next = self.from_wire.out_valid.val();
        self.out_word.next = self.from_wire.out_data.val();
        self.from_wire.out_ready.next = self.out_ready.val();

        self.link.d.next = self.phy_link.val();
        self.link_up.next = self.link.q.val() && !self.closed.q.val();
        let mut events = lit::<{ event::COUNT }>(0);
        for i in 0..(event::COUNT) {
            self.pulses[i].out_clock.next = self.clock.val();
            events = events.replace_bit(i, self.pulses[i].q.val());
        }
        for i in 0..2 {
            self.pulses[i].out_reset.next = self.reset.val();
            self.pulses[i].in_clock.next = self.tx_clock.val();
            self.pulses[i].in_reset.next = self.stage.q.val();
        }
        for i in 2..(event::COUNT) {
            self.pulses[i].out_reset.next = self.closed.q.val();
            self.pulses[i].in_clock.next = self.rx_clock.val();
            self.pulses[i].in_reset.next = self.rx_reset.val();
        }
        self.pulses[event::SENT].d.next = self.tx.sent.val();
        self.pulses[event::ABORTED].d.next = self.tx.aborted.val();
        self.pulses[event::GOOD].d.next = self.rx.good.val();
        self.pulses[event::BAD_FCS].d.next = self.rx.bad_fcs.val();
        self.pulses[event::RUNT].d.next = self.rx.runt.val();
        self.pulses[event::GIANT].d.next = self.rx.giant.val();
        self.pulses[event::LOST].d.next = self.rx.lost.val();
        self.events.next = events;
    }
}
