//! Streams, FIFOs, arbiters and memories that every room of the card uses.

pub mod async_fifo;
pub mod cross;
pub mod fifo;
pub mod iface;
pub mod op_tracker;
pub mod probe;
pub mod ram;
