//! Sits between the firmware of a card and its management bus. It gives the firmware a clock that
//! continues while the card stands still, and reads the card's counters between two accesses of the
//! firmware. If neither is used, the firmware runs as without the tap, to the cycle.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use nitor_abi::mgmt::{self, Counter};
use nitor_sim::firmware::{Firmware, MgmtBus};

/// A tap takes effect when the firmware is woken, by its card or by
/// [`Host::wake_firmware`](nitor_sim::host::Host::wake_firmware). The firmware's work then takes
/// the card's time, so that no timeout is missed because the simulation is slow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Rc<State>);

#[derive(Debug, Default)]
struct State {
    /// Microseconds by which the clock of the firmware is ahead of that of its card.
    ahead: Cell<u32>,
    wanted: Cell<bool>,
    values: RefCell<Vec<(Counter, u64)>>,
}

impl Tap {
    /// The same firmware, with this tap on its bus.
    pub fn on(&self, firmware: Firmware) -> Firmware {
        let state = self.0.clone();
        Box::new(move |bus| firmware(&mut Tapped { bus, state, ahead: 0 }))
    }

    /// Puts the firmware's clock forward.
    pub fn forward(&self, microseconds: u64) {
        // The sum wraps, as the card's own register does.
        self.0.ahead.set(self.0.ahead.get().wrapping_add(microseconds as u32));
    }

    /// Asks for the counters.
    pub fn ask(&self) {
        self.0.values.borrow_mut().clear();
        self.0.wanted.set(true);
    }

    /// Whether the counters are still pending.
    pub fn waits(&self) -> bool {
        self.0.values.borrow().is_empty()
    }

    /// Takes the counters, empty if there are none.
    pub fn take(&self) -> Vec<(Counter, u64)> {
        self.0.wanted.set(false);
        self.0.values.take()
    }
}

struct Tapped<'a> {
    bus: &'a mut dyn MgmtBus,
    state: Rc<State>,
    ahead: u32,
}

impl MgmtBus for Tapped<'_> {
    fn read32(&mut self, address: u16) -> u32 {
        let value = self.bus.read32(address);
        match address {
            mgmt::TIME => value.wrapping_add(self.ahead),
            _ => value,
        }
    }

    fn write32(&mut self, address: u16, value: u32) {
        self.bus.write32(address, value);
    }

    fn wait_irq(&mut self) {
        self.bus.wait_irq();
        self.ahead = self.state.ahead.get();
        if self.state.wanted.replace(false) {
            let mut read = |counter: Counter| {
                let low = self.bus.read32(counter.address());
                let high = self.bus.read32(counter.address() + 4);
                (counter, u64::from(high) << 32 | u64::from(low))
            };
            let values = Counter::ALL.iter().copied().map(&mut read).collect();
            *self.state.values.borrow_mut() = values;
        }
    }
}
