//! User-space driver for ENA network cards.

pub mod dma;
pub mod pci;
