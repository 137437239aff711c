//! The card's RTL, in folders that follow a packet's way through the card.

pub mod board;
pub mod cards;
pub mod common;
pub mod eth;
pub mod guard;
pub mod host;
pub mod irq;
pub mod link;
pub mod mgmt;
pub mod pcie;
pub mod proofs;
pub mod rx;
pub mod top;
pub mod tx;

pub use cards::{emit_card, CardSpec, CARDS};
use nitor_rtl::{emit, with_stack, Design, EmitError};

/// The boards that the card is built for, by the names of their folders under `constraints/`.
pub const BOARDS: [&str; 4] = ["colorlight-5a-75b", "colorlight-i9", "ecp5-evn", "ulx3s-85f"];

/// Emits the Verilog of a board's top; `board` is one of [BOARDS].
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
