//! The card's RTL, in folders that follow the packet's way.

pub mod common;
