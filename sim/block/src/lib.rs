//! Compiles any Verilog block at test time with Verilator and drives it from Rust. The tests of
//! `nitor-hdl`, of `nitor-rtl` and of the boards use it.
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
//! A model is compiled once and kept in the user's cache by the hash of its sources, tools and
//! flags ([`nitor_model`]), so only the first run after a change pays for Verilator and the C++
//! compiler. [`Model::block`] is cheap: call it for every case of a property test. [`stream`] has
//! the ends of ready/valid streams, and [`lint`](fn@lint) has two independent tools check the
//! Verilog.

mod block;
mod lint;
mod model;
mod rng;
pub mod stream;

pub use bitvec;
pub use block::{AsPort, Block, PortId};
pub use lint::lint;
pub use model::{Direction, Model, Port, Sources};
pub use nitor_model::{verilator_root, Error};
pub use rng::Rng;
