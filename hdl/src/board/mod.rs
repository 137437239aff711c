//! The card on open boards: a core that all boards share, and a top for each.
//!
//! | board | FPGA | host link | wire |
//! |---|---|---|---|
//! | [colorlight]: 5A-75B | LFE5U-25F | UDP on Ethernet port 2 | Ethernet port 1 |
//! | [colorlight]: i9 | LFE5U-45F | the same | the same |
//! | [uart]: ULX3S | LFE5U-85F | UART at 3 Mbaud | looped back on the board |
//! | [uart]: ECP5-5G Evaluation Board | LFE5UM5G-85F | the same | the same |
//!
//! Pins are in `constraints/<board>/`. The firmware runs at the other end of the host link, since
//! the boards' cores have no controller yet.

pub mod cells;
pub mod colorlight;
pub mod core;
pub mod counters;
pub mod event;
pub mod uart;
