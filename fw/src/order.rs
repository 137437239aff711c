//! What whoever runs the card may want of its firmware, besides what drivers ask for: so that drivers' ways out of trouble
//! can be tried.

use nitor_abi::event::Group;
use nitor_abi::feature::Hints;

use crate::{Life, Settings};

/// Obeyed within a millisecond. Events go out as soon as the driver takes such and has room for one; what is still waiting at
/// a reset is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No more signs of life until the next reset: to a driver's watchdog the card is dead. Every driver resets it.
    FallSilent,
    /// Signs of life again.
    Speak,
    /// A warning. Drivers log it.
    Warn,
    /// A fatal error. Drivers subscribe to it, and log it.
    Fatal,
    /// Asks to be reset. Of the drivers in the field the newer ones know it; Linux' own and DPDK's don't.
    RequestReset,
    /// New hints, from now on and after resets too: drivers are told.
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
