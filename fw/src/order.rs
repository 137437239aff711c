//! Orders to the firmware from the card's operator, beyond what drivers ask for. They let tests try
//! how drivers recover.

use nitor_abi::event::Group;
use nitor_abi::feature::Hints;

use crate::{Life, Settings};

/// An order, which is carried out within a millisecond. Its event is posted as soon as the driver
/// enables the group and has room for it. A reset drops pending events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No more keep-alives until the next reset: to the watchdog of a driver the card is dead.
    /// Every driver resets it.
    FallSilent,
    /// Keep-alives again.
    Speak,
    /// Posts a warning. Drivers log it.
    Warn,
    /// Posts a fatal error. Drivers subscribe to it, and log it.
    Fatal,
    /// Posts a request for a reset. Newer drivers support it; those in Linux and DPDK do not.
    RequestReset,
    /// Sets new hints, which also hold after resets, and posts them.
    Hints(Hints),
}

impl Life {
    pub(crate) fn obey(&mut self, settings: &mut Settings, order: Order) {
        match order {
            Order::FallSilent => self.events.silent = true,
            Order::Speak => self.events.silent = false,
            Order::Warn => self.events.ask(Group::Warning),
            Order::Fatal => self.events.ask(Group::FatalError),
            Order::RequestReset => self.events.ask(Group::DeviceRequestReset),
            Order::Hints(hints) => {
                settings.hints = hints;
                self.events.ask(Group::Notification);
            }
        }
    }
}
