//! Simulated machines for the commands: hosts with a card, firmware and driver each.

use crate::cards::Named;
use crate::report::Failure;
use crate::signals;
use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, Ena, Mode, QueueFault};
use nitor_fw::Settings;
use nitor_sim::firmware::standard;
use nitor_sim::host::HostConfig;
use nitor_sim::wire::WireConfig;
use nitor_sim::{HostFunction, World, CYCLE_NS, REACTION};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The driver of a simulated card; a sent packet's token is its number.
pub type Nic = Ena<HostFunction>;

/// Locally administered address of host `n`.
pub fn mac(n: usize) -> [u8; 6] {
    [0x02, 0x4e, 0x49, 0x54, 0, n as u8]
}

/// A world with `hosts` hosts that `alter` makes less ordinary; connect their cards, then [open] them.
pub fn world_of(
    seed: u64,
    card: Named,
    hosts: usize,
    alter: impl Fn(&mut HostConfig),
) -> Result<Rc<RefCell<World>>, Failure> {
    let mut world = World::new(seed);
    for n in 0..hosts {
        let firmware = standard(Settings::new(mac(n)));
        let mut config = HostConfig::of(card.0).with_firmware(firmware);
        alter(&mut config);
        // The model of the card may have to be made first.
        let added = world.add_host(config);
        signals::check(|| "the cards were being made".to_string())?;
        added.map_err(|e| Failure::Environment(format!("host {n}: {e}")))?;
    }
    Ok(Rc::new(RefCell::new(world)))
}

/// Brings up the driver of host `n`.
pub fn open(world: &Rc<RefCell<World>>, n: usize, config: Config) -> Result<Nic, Failure> {
    let function = HostFunction::open(world, n)
        .map_err(|e| Failure::Check(format!("host {n}: the card is not found: {e}")))?;
    Ena::open(function, config)
        .map_err(|e| Failure::Check(format!("host {n}: the driver does not come up: {e}")))
}

/// The root complexes' own findings: none, or a failed check.
pub fn clean(world: &World) -> Result<(), Failure> {
    match world.violations().next() {
        None => Ok(()),
        Some((host, violation)) => {
            Err(Failure::Check(format!("host {host}'s root complex objects: {violation:?}")))
        }
    }
}

/// A wire at the speed that the card is made for.
pub fn wire(card: Named) -> WireConfig {
    WireConfig { rate: Some(card.wire()), ..WireConfig::default() }
}

/// The shortest time that a host can let pass.
pub const MOMENT: Duration = Duration::from_nanos(REACTION * CYCLE_NS);

/// A host that looks at its card when that interrupts.
pub struct Host {
    pub nic: Nic,
}

impl Host {
    /// Brings up the driver of host `n` with one queue pair.
    pub fn open(
        world: &Rc<RefCell<World>>,
        n: usize,
        buffer: u16,
        mtu: u32,
    ) -> Result<Self, Failure> {
        let mode = Mode::Interrupts {
            tx_delay: Duration::from_micros(16),
            rx_delay: Duration::from_micros(2),
        };
        let mut nic = open(world, n, Config { mode, ..config(1, buffer, mtu) })?;
        nic.pair(0).unmask();
        Ok(Self { nic })
    }

    /// Lets a moment pass; true if the card interrupts. Then the queue pair is to be served, and unmasked.
    pub fn interrupted(&mut self) -> bool {
        let fired = self.nic.wait(MOMENT);
        self.nic.pair(0).vector().is_some_and(|vector| fired.contains(vector))
    }

    pub fn now(&self) -> Duration {
        self.nic.function().now()
    }
}

/// A driver that polls `queues` pairs of deep rings with receive buffers of `buffer` bytes.
pub fn config(queues: u16, buffer: u16, mtu: u32) -> Config {
    Config { pairs: queues, rx_buffer_len: buffer, mtu, mode: Mode::Polling, ..Config::default() }
}

pub fn fault(fault: QueueFault) -> Failure {
    Failure::Check(format!("a queue failed: {fault}"))
}
