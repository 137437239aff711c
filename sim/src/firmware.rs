//! Runs firmware, which is plain blocking code, beside a card: as a coroutine that yields at each
//! access to the management bus and resumes in the very cycle that answers it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use nitor_fw::Order;

use crate::card::{Card, MgmtAccess, Stop};

/// The management bus as firmware sees it.
pub trait MgmtBus {
    /// Reads the register at byte `address`.
    fn read32(&mut self, address: u16) -> u32;
    /// Writes the register at byte `address`.
    fn write32(&mut self, address: u16, value: u32);
    /// Waits until the card's management interrupt is asserted, or something else wakes the
    /// firmware.
    fn wait_irq(&mut self);
}

/// Gives orders to a card's firmware while it runs, from any thread:
///
/// ```
/// use nitor_fw::{Order, Settings};
/// use nitor_sim::firmware::{operated, Operator};
///
/// let operator = Operator::default();
/// let firmware = operated(Settings::new([2, 0, 0, 0, 0, 1]), &operator);
/// // ... HostConfig::new(128).with_firmware(firmware), and while the world runs:
/// operator.order(Order::FallSilent);
/// ```
///
/// Links go up and down by [World::set_link](crate::World::set_link).
#[derive(Clone, Debug, Default)]
pub struct Operator(Arc<Mutex<VecDeque<Order>>>);

impl Operator {
    /// Queues `order`. The firmware carries the queued orders out, oldest first, at the latest at
    /// its next millisecond.
    pub fn order(&self, order: Order) {
        self.0.lock().expect("no thread that holds it fails").push_back(order);
    }

    fn next(&self) -> Option<Order> {
        self.0.lock().expect("no thread that holds it fails").pop_front()
    }
}

/// The entry point of firmware. Most firmware never returns from it.
pub type Firmware = Box<dyn FnOnce(&mut dyn MgmtBus)>;

/// The card's own firmware.
pub fn standard(settings: nitor_fw::Settings) -> Firmware {
    operated(settings, &Operator::default())
}

/// The card's own firmware, which takes orders from `operator`.
pub fn operated(settings: nitor_fw::Settings, operator: &Operator) -> Firmware {
    let operator = operator.clone();
    Box::new(move |bus| nitor_fw::Firmware::new(settings).run(&mut FirmwareBus(bus, operator)))
}

struct FirmwareBus<'a>(&'a mut dyn MgmtBus, Operator);

impl nitor_fw::Bus for FirmwareBus<'_> {
    fn read32(&mut self, address: u16) -> u32 {
        self.0.read32(address)
    }

    fn write32(&mut self, address: u16, value: u32) {
        self.0.write32(address, value);
    }

    fn wait(&mut self) {
        self.0.wait_irq();
    }

    fn order(&mut self) -> Option<Order> {
        self.1.next()
    }
}

/// What a firmware waits for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Access(MgmtAccess),
    Irq,
}

type Thread = Coroutine<u32, Wait, (), DefaultStack>;

struct YieldingBus<'a>(&'a Yielder<u32, Wait>);

impl MgmtBus for YieldingBus<'_> {
    fn read32(&mut self, address: u16) -> u32 {
        self.0.suspend(Wait::Access(MgmtAccess { write: false, address, value: 0 }))
    }

    fn write32(&mut self, address: u16, value: u32) {
        self.0.suspend(Wait::Access(MgmtAccess { write: true, address, value }));
    }

    fn wait_irq(&mut self) {
        self.0.suspend(Wait::Irq);
    }
}

/// Bytes of the coroutine's stack: enough for firmware built without optimisation.
const STACK: usize = 1 << 20;

enum State {
    /// Waits for the answer to an access.
    Accessing,
    WaitingForIrq,
    Finished,
}

/// Firmware that runs on a card.
pub struct Controller {
    thread: Thread,
    state: State,
    /// Cycles between an answer and the next access.
    gap: u64,
    hung: bool,
    woken: bool,
}

impl Controller {
    /// Starts `firmware`: it runs at once, up to its first access or wait.
    pub fn new(firmware: Firmware, gap: u64, card: &mut dyn Card) -> io::Result<Self> {
        let stack = DefaultStack::new(STACK)?;
        let thread = Coroutine::with_stack(stack, |yielder: &Yielder<u32, Wait>, _| {
            firmware(&mut YieldingBus(yielder));
        });
        let mut controller =
            Controller { thread, state: State::Finished, gap, hung: false, woken: false };
        controller.resume(0, card.cycle(), card);
        Ok(controller)
    }

    /// Halts the firmware at its current access or wait, or lets it continue.
    pub fn hang(&mut self, hang: bool) {
        self.hung = hang;
    }

    /// Ends the firmware's wait for an interrupt, or its next one, as a timer of the firmware's own
    /// core would.
    pub fn wake(&mut self) {
        self.woken = !matches!(self.state, State::Finished);
    }

    /// Whether the firmware has an access in flight or has been woken.
    pub fn is_working(&self) -> bool {
        (self.woken || matches!(self.state, State::Accessing)) && !self.hung
    }

    /// The events at which `card` has to stop.
    fn stop(&self) -> Stop {
        if self.hung {
            return Stop::default();
        }
        match self.state {
            State::Accessing => Stop { on_mgmt: true, on_irq: false },
            State::WaitingForIrq => Stop { on_mgmt: false, on_irq: true },
            State::Finished => Stop::default(),
        }
    }

    /// Prepares a run of `card`: resumes the firmware if it was woken. Returns the events at which
    /// the card has to stop.
    pub fn begin(&mut self, card: &mut dyn Card) -> Stop {
        if self.woken && !self.hung && matches!(self.state, State::WaitingForIrq) {
            self.woken = false;
            self.resume(0, card.cycle(), card);
        }
        self.stop()
    }

    /// Runs `card` until cycle `until`, with its firmware. If `begun`, the card has already run in
    /// this window and may have stopped early.
    pub fn go_on(&mut self, card: &mut dyn Card, until: u64, mut begun: bool) {
        while begun || card.cycle() < until {
            if !begun {
                let stop = self.begin(card);
                card.run(until, stop);
            }
            begun = false;
            if self.hung {
                continue;
            }
            match self.state {
                State::Accessing => {
                    if let Some((_, value)) = card.take_mgmt() {
                        self.resume(value, card.cycle(), card);
                    }
                }
                State::WaitingForIrq if card.irq() => {
                    self.resume(0, card.cycle(), card);
                    if matches!(self.state, State::WaitingForIrq) {
                        // Time passes even if the firmware waits again without clearing its
                        // interrupt.
                        card.run(card.cycle() + 1, Stop::default());
                    }
                }
                State::WaitingForIrq | State::Finished => {}
            }
        }
    }

    fn resume(&mut self, value: u32, now: u64, card: &mut dyn Card) {
        self.state = match self.thread.resume(value) {
            CoroutineResult::Yield(Wait::Access(access)) => {
                card.start_mgmt(now + self.gap, access);
                State::Accessing
            }
            CoroutineResult::Yield(Wait::Irq) => State::WaitingForIrq,
            CoroutineResult::Return(()) => State::Finished,
        };
    }
}
