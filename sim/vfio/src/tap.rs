//! A card's own counters, read over its management bus between two things that its firmware does. A firmware that is not asked
//! runs as if there was no tap, to the cycle.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use nitor_abi::mgmt::Counter;
use nitor_sim::firmware::{Firmware, MgmtBus};

/// Asks for counters and has them once the firmware has been woken: within a millisecond, unless it hangs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Rc<State>);

#[derive(Debug, Default)]
struct State {
    wanted: Cell<bool>,
    values: RefCell<Vec<(Counter, u64)>>,
}

impl Tap {
    /// The same firmware, with this tap on its bus.
    pub fn on(&self, firmware: Firmware) -> Firmware {
        let state = self.0.clone();
        Box::new(move |bus| firmware(&mut Tapped(bus, state)))
    }

    pub fn ask(&self) {
        self.0.values.borrow_mut().clear();
        self.0.wanted.set(true);
    }

    /// Whether there is no answer yet.
    pub fn waits(&self) -> bool {
        self.0.values.borrow().is_empty()
    }

    /// The answer, empty if there is none.
    pub fn take(&self) -> Vec<(Counter, u64)> {
        self.0.wanted.set(false);
        self.0.values.take()
    }
}

struct Tapped<'a>(&'a mut dyn MgmtBus, Rc<State>);

impl MgmtBus for Tapped<'_> {
    fn read32(&mut self, address: u16) -> u32 {
        self.0.read32(address)
    }

    fn write32(&mut self, address: u16, value: u32) {
        self.0.write32(address, value);
    }

    fn wait_irq(&mut self) {
        self.0.wait_irq();
        if self.1.wanted.replace(false) {
            let mut read = |counter: Counter| {
                let low = self.0.read32(counter.address());
                let high = self.0.read32(counter.address() + 4);
                (counter, u64::from(high) << 32 | u64::from(low))
            };
            let values = Counter::ALL.iter().copied().map(&mut read).collect();
            *self.1.values.borrow_mut() = values;
        }
    }
}
