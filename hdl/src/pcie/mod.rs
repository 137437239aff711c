//! The PCIe transaction layer: TLPs in and out, configuration space, DMA reads, inline writes.

pub mod config;
pub mod cut;
pub mod errors;
pub mod inline;
pub mod inline_proof;
pub mod order;
pub mod order_proof;
pub mod place;
pub mod read;
pub mod read_proof;
pub mod rx;
pub mod rx_proof;
pub mod settle;
pub mod stage;
pub mod tag;
pub mod target;
pub mod tlp;
pub mod tx;
