//! The host's view of the card: BAR0 decode, ENA registers, readless reads, reset, completion
//! queues.

pub mod bar;
pub mod cq;
pub mod readless;
pub mod readless_proof;
pub mod regs;
pub mod reset;
pub mod reset_proof;
