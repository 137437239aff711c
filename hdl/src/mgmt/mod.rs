//! The firmware's view of the card: the management bus and its slaves.

pub mod bus;
pub mod mailbox;
pub mod stats;
