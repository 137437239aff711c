//! Verilates any block at test time and drives it from Rust.
//!
//! ```
//! use nitor_block::{Model, Port};
//!
//! let verilog = "module counter(input clock, input reset, output reg [7:0] count);
//!     always @(posedge clock) count <= reset ? 0 : count + 1;
//! endmodule";
//! let ports = [Port::input("clock", 1), Port::input("reset", 1), Port::output("count", 8)];
//! let model = Model::build(verilog, "counter", &ports)?;
//!
//! let mut counter = model.block(42); // the seed of everything that has no defined initial value
//! counter.reset(1);
//! counter.tick();
//! assert_eq!(counter.get("count"), 1);
//! # Ok::<(), nitor_block::Error>(())
//! ```
//!
//! A model is compiled once and kept in the target directory by the hash of all that went into it,
//! so only the first run after a change pays for Verilator and the C++ compiler. [`Model::block`]
//! is cheap: call it for every case of a property test. [`stream`] has the ends of ready/valid
//! streams, [`lint`](fn@lint) asks two independent tools for their opinion of the Verilog.

mod block;
mod cache;
mod fill;
mod lint;
mod model;
pub mod stream;
mod verilator;

pub use bitvec;
pub use block::{AsPort, Block, PortId};
pub use lint::lint;
pub use model::{Direction, Model, Port, Sources};
pub use verilator::verilator_root;

/// Why there is no model, or no trace.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no Verilator: run tools/setup, or name the root of an installed one (with bin/verilator_bin and include/) in NITOR_VERILATOR_ROOT"
    )]
    NoVerilator,
    /// Verilator or the C++ compiler refused.
    #[error("{tool} failed:\n{output}")]
    Tool { tool: String, output: String },
    #[error("{0}: {1}")]
    Io(std::path::PathBuf, std::io::Error),
    #[error("cannot load the model: {0}")]
    Load(#[from] libloading::Error),
    #[error("trace: {0}")]
    Trace(String),
}
