//! The card's RTL, in folders that follow the packet's way.

pub mod board;
pub mod common;
pub mod eth;
pub mod host;
pub mod irq;
pub mod link;
pub mod mgmt;
pub mod pcie;
pub mod proofs;
pub mod rx;
pub mod top;
pub mod tx;

use nitor_rtl::{emit, with_stack, Design, EmitError};
use rx::Classifier;
use top::{Card128, Card512, CardConfig};

/// Emits the card with a data path of `width` bits, 128 or 512.
pub fn emit_card(width: u32) -> Result<Design, EmitError> {
    with_stack(move || {
        let config = CardConfig::default();
        match width {
            // A frame of 60 bytes has 4 beats.
            128 => {
                let classifier = Classifier::Wide { steps: 3, checksums: true };
                emit(&Card128::new(&CardConfig { classifier, ..config }), "nitor_128")
            }
            512 => emit(&Card512::new(&config), "nitor_512"),
            _ => Err(EmitError {
                block: "card".to_string(),
                cause: format!("no data path of {width} bits: 128 and 512 are built"),
            }),
        }
    })
}

/// The boards that the card is built for, by the names of their folders under `constraints/`.
pub const BOARDS: [&str; 4] = ["colorlight-5a-75b", "colorlight-i9", "ecp5-evn", "ulx3s-85f"];

/// Emits the top of a board, one of [BOARDS].
pub fn emit_board(board: &str) -> Result<Design, EmitError> {
    let board = board.to_string();
    with_stack(move || match board.as_str() {
        "colorlight-5a-75b" | "colorlight-i9" => {
            emit(&board::colorlight::Colorlight::default(), "nitor_colorlight")
        }
        "ecp5-evn" => emit(&board::uart::UartBoard::evn(), "nitor_ecp5_evn"),
        "ulx3s-85f" => emit(&board::uart::UartBoard::ulx3s(), "nitor_ulx3s"),
        _ => Err(EmitError {
            cause: format!("no board; there are {}", BOARDS.join(", ")),
            block: board,
        }),
    })
}
