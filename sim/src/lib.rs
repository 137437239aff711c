//! Cycle-accurate cosimulation of Nitor cards with their hosts, PCIe links and Ethernet wires. The
//! command line, the tests, `nitor-board` and `nitor-vfio` use it. The same seed gives the same
//! run.
//!
//! A [`World`] has hosts. Each host has a Verilated card ([`card`]), the root complex that the card
//! is plugged into ([`root`]) with its memory behind an IOMMU, and firmware on the card's
//! management bus ([`firmware`]). [`wire`]s join the cards' MACs. A driver works through a
//! [`HostFunction`], one handle for each host; its calls let time pass.

pub mod capture;
pub mod card;
pub mod checker;
pub mod completer;
mod cores;
mod emitted;
pub mod enumerate;
pub mod faults;
pub mod firmware;
pub mod function;
pub mod host;
pub mod interrupts;
pub mod iommu;
pub mod memory;
pub mod model;
pub mod monitor;
mod outbox;
mod quiet;
pub mod requester;
pub mod root;
pub mod rules;
pub mod stats;
pub mod tlp;
pub mod wire;
pub mod world;

pub use function::HostFunction;
pub use host::HostConfig;
pub use nitor_hdl::{CardSpec, CARDS};
pub use world::World;

/// The clock: 250 MHz.
pub const CYCLE_NS: u64 = 4;

/// The fewest cycles after which anything outside a card reacts to it. So each card can run alone
/// for as many cycles, at no loss of precision.
pub const REACTION: u64 = 32;

/// Requester and completer id of the root complex: bus 0, device 0, function 0.
pub const ROOT_ID: u16 = 0x0000;
/// Id of the card: bus 1, device 0, function 0.
pub const CARD_ID: u16 = 0x0100;
