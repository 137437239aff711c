//! The card's firmware: answers admin commands, posts events, and keeps the state of queues and
//! features.
//!
//! The firmware accesses the card only through the management bus ([`Bus`]), so it runs on a core
//! inside the card or beside a simulated one. It never touches a packet. No host can hang it: every
//! loop is bounded, and every number from the host is checked before it reaches a register.
//!
//! | module | |
//! |---|---|
//! | [admin] | the admin queue: fetch, dispatch, answer |
//! | [queues] | creating and destroying queues |
//! | [llq] | low-latency queues: feature 4, the lines of each queue |
//! | [features] | GET_FEATURE and SET_FEATURE |
//! | [rss] | receive-side scaling |
//! | [events] | the event queue: link, keep-alive, events of [orders](Order) |
//! | [stats] | counters since the last reset |
//! | [hw] | DMA mailbox and context commands |
//!
//! A reset keeps only [`Settings`]: all other state is in [`Life`], which is dropped as a whole.
#![no_std]

mod admin;
mod events;
mod features;
mod hw;
mod llq;
mod order;
mod queues;
mod rss;
mod stats;

use nitor_abi::feature::Hints;
use nitor_abi::mgmt::{self, irq, CtxCmd};

use admin::AdminQueue;
use events::Events;
use features::Features;
use hw::Hw;
pub use hw::{Bus, Faults};
pub use order::Order;
use queues::Queues;
use rss::Rss;
use stats::Totals;

/// Settings that differ from card to card. They survive resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The MAC address of the card.
    pub mac: [u8; 6],
    /// The speed of the port, in Mb/s.
    pub link_speed: u32,
    /// Largest MTU, without Ethernet header.
    pub max_mtu: u16,
    /// The time between two keep-alives, in microseconds, at least 1,000. Drivers expect one each
    /// second, and consider a card without any dead.
    pub keep_alive_us: u32,
    /// Timeouts for drivers to use; 0 leaves their defaults.
    pub hints: Hints,
    /// The length of the card's microsecond, in microseconds of the driver, for interrupt delays:
    /// 1, unless the card's time is slower than the driver's.
    pub delay_resolution_us: u16,
}

/// No hints.
const NO_HINTS: Hints = Hints {
    mmio_read_timeout_ms: 0,
    driver_watchdog_timeout_ms: 0,
    missing_tx_completion_timeout_ms: 0,
    missed_tx_completions_to_reset: 0,
    admin_completion_timeout_ms: 0,
    netdev_watchdog_timeout_ms: 0,
    max_tx_sgl: 0,
    max_rx_sgl: 0,
};

/// The most orders carried out in one poll.
const ORDERS: usize = 16;

impl Settings {
    /// A port of 100 Gb/s with jumbo frames. `mac` should be a locally administered unicast
    /// address, or one you own.
    pub const fn new(mac: [u8; 6]) -> Self {
        Settings {
            mac,
            link_speed: 100_000,
            max_mtu: 9216,
            keep_alive_us: 1_000_000,
            hints: NO_HINTS,
            delay_resolution_us: 1,
        }
    }
}

/// The state between two resets.
struct Life {
    admin: AdminQueue,
    queues: Queues,
    features: Features,
    rss: Rss,
    events: Events,
    /// The counters at the last reset, since they are never cleared.
    before: Totals,
}

/// See the crate.
pub struct Firmware {
    settings: Settings,
    faults: Faults,
    /// None until the first poll.
    life: Option<Life>,
    /// See [Hw].
    late: Option<CtxCmd>,
}

impl Firmware {
    pub const fn new(settings: Settings) -> Self {
        Firmware { settings, faults: Faults::new(), life: None, late: None }
    }

    /// Serves the card for ever.
    pub fn run(&mut self, bus: &mut dyn Bus) -> ! {
        loop {
            if !self.poll(bus) {
                bus.wait();
            }
        }
    }

    /// Serves all pending work. True if there may be more at once; otherwise wait for the next
    /// interrupt.
    pub fn poll(&mut self, bus: &mut dyn Bus) -> bool {
        let mut hw = Hw { bus, faults: &mut self.faults, late: &mut self.late };
        let pending = hw.bus.read32(mgmt::IRQ);
        // The interrupt is cleared before it is served, so that a later cause raises it again.
        hw.bus.write32(mgmt::IRQ, pending);
        let reset = pending & (irq::RESET | irq::FUNCTION_RESET) != 0;
        if reset {
            self.life = None;
            *hw.late = None;
        }
        let settings = &self.settings;
        let life = self.life.get_or_insert_with(|| Life::begin(settings, &mut hw));
        if reset {
            hw::count(&mut hw.faults.resets);
            hw.bus.write32(mgmt::RESET_ACK, 1);
        }
        for _ in 0..ORDERS {
            let Some(order) = hw.bus.order() else { break };
            life.obey(&mut self.settings, order);
        }
        let settings = &self.settings;
        let more = life.serve_admin(settings, &mut hw);
        life.serve_events(settings, &mut hw);
        more
    }

    /// Counts of faults so far.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Life {
    /// Begins a life: sets the registers that survive a reset to their defaults.
    fn begin(settings: &Settings, hw: &mut Hw<'_>) -> Self {
        let limits = mgmt::Config::from(hw.bus.read32(mgmt::CONFIG));
        let lines = mgmt::Lines::from(hw.bus.read32(mgmt::LINES));
        Life {
            admin: AdminQueue::new(),
            queues: Queues::new(&limits, &lines),
            features: Features::begin(settings, &limits, hw),
            rss: Rss::begin(hw),
            events: Events::new(),
            before: Totals::read(hw),
        }
    }
}
