//! The card's RTL, in folders that follow the packet's way.

pub mod common;
pub mod host;
pub mod irq;
pub mod mgmt;
pub mod rx;
