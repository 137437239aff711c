//! The card's RTL, in folders that follow the packet's way.

pub mod board;
pub mod common;
pub mod eth;
pub mod host;
pub mod irq;
pub mod link;
pub mod mgmt;
pub mod pcie;
pub mod rx;
pub mod top;
pub mod tx;

use nitor_rtl::{emit, with_stack, Design, EmitError};
use top::{Card128, Card512, CardConfig};

/// Emits the card with a data path of `width` bits, 128 or 512.
pub fn emit_card(width: u32) -> Result<Design, EmitError> {
    with_stack(move || {
        let config = CardConfig::default();
        match width {
            128 => emit(&Card128::new(&config), "nitor_128"),
            512 => emit(&Card512::new(&config), "nitor_512"),
            _ => Err(EmitError {
                block: "card".to_string(),
                cause: format!("no data path of {width} bits: 128 and 512 are built"),
            }),
        }
    })
}
