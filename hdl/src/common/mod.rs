//! Streams, FIFOs, memories, clock crossings and resets that blocks in all folders use.

pub mod async_fifo;
pub mod async_fifo_proof;
pub mod block_fifo;
pub mod block_fifo_proof;
pub mod cross;
pub mod delay;
pub mod fifo;
pub mod fifo_proof;
pub mod iface;
pub mod op_tracker;
pub mod op_tracker_proof;
pub mod probe;
pub mod ram;
pub mod reset;
pub mod skid;
pub mod skid_proof;
