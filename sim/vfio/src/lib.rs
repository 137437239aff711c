//! Simulated cards as vfio-user devices: a virtual machine's unmodified driver drives the Verilated
//! card. `nitor vm` and `nitor replay` use it.
//!
//! ```text
//!  QEMU, guest 0 ── socket ── server ──┐                   ┌ card 0 ┐
//!  QEMU, guest 1 ── socket ── server ──┤ asks ► [machine] ─┤        ├ wire, or [peer]
//!                                      └ answers           └ card 1 ┘
//! ```
//!
//! | module | |
//! |---|---|
//! | [machine] | the thread that owns the cards: runs them, and serves requests |
//! | [server] | one guest's vfio-user connection |
//! | [device] | a card as a guest's PCI function: configuration space, BARs, memory, interrupts |
//! | [trace], [record], [replay] | records a session with a driver, and replays it |
//! | [peer] | a host on the wire, for a guest that is alone |
//! | `tap` | the firmware's clock, and the cards' counters, at the management bus |

pub mod device;
pub mod machine;
pub mod peer;
pub mod record;
pub mod replay;
pub mod server;
mod tap;
pub mod trace;

pub use machine::{Ask, Machine, Options, Summary};
