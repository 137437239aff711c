//! Nitor on boards without PCIe, whose host is at the end of an Ethernet or serial cable. `nitor
//! board` uses it.
//!
//! [`CabledCard`] is the host's end of the cable. It is a [`Card`](nitor_sim::card::Card), so the
//! root complex, the IOMMU, the firmware and `HostFunction`, the driver's `PciFunction`, work with
//! it as with a card of the cosimulation. [`Simulated`] is the other end without a board: the
//! Verilated top of the board, with its PHYs or its serial line, behind a real UDP socket or
//! pseudo-terminal.
//!
//! ```text
//! driver - HostFunction - root complex - CabledCard - Session - Cable ~~ UDP or tty ~~ board, or Simulated
//!                         firmware ------^
//! ```

mod cable;
mod card;
mod session;
mod simulated;

pub use cable::{Cable, Link, Serial, Udp};
pub use card::CabledCard;
pub use session::{Session, SessionStats};
pub use simulated::{Fate, Simulated, Wire, BLOCK_RAM, CELLS};

/// Why there is no board at the other end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}: {1}")]
    Link(String, std::io::Error),
    #[error("`{0}` names no link: udp:ADDRESS[:PORT], serial:DEVICE or sim:BOARD with a board of {list}", list = nitor_hdl::BOARDS.join(", "))]
    Name(String),
    #[error("nothing answers at {0}: is the board on, programmed, and the cable in?")]
    Silent(String),
    #[error("what answers at {0} is not a Nitor board (ID {1:08x})")]
    NotNitor(String, u32),
    #[error("the board does not simulate: {0}")]
    Simulation(String),
}
