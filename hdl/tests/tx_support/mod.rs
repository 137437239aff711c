//! The shared part of the tests of the transmit path.
#![allow(dead_code)] // each test binary uses its own part of it

pub mod bench;
pub mod dma;
pub mod lines;
pub mod offload;
pub mod streams;

use nitor_block::bitvec::bitvec;
pub use nitor_block::Rng;
use nitor_block::{Block as Instance, Direction, Model, Port};
use nitor_hdl::tx::TxPath;
use nitor_rtl::prelude::Block;
use nitor_rtl::{emit, with_stack};
use std::sync::LazyLock;

/// Verilog and ports of a block, as `T` names it.
pub fn emitted<T: Block + Default + 'static>(name: &'static str) -> (String, String, Vec<Port>) {
    emitted_as(name, T::default)
}

/// Verilog and ports of the block that `make` makes.
pub fn emitted_as<T: Block + 'static>(
    name: &'static str,
    make: fn() -> T,
) -> (String, String, Vec<Port>) {
    let design = with_stack(move || {
        let mut block = make();
        block.connect_all();
        emit(&block, name).unwrap_or_else(|error| panic!("{error}"))
    });
    let ports = design.ports().iter().map(|port| match port.direction {
        nitor_rtl::Direction::In => Port::input(&port.name, port.width),
        nitor_rtl::Direction::Out => Port::output(&port.name, port.width),
    });
    (design.to_string(), design.top().to_owned(), ports.collect())
}

pub fn model<T: Block + Default + 'static>(name: &'static str) -> Model {
    model_as(name, T::default)
}

pub fn model_as<T: Block + 'static>(name: &'static str, make: fn() -> T) -> Model {
    let (verilog, top, ports) = emitted_as(name, make);
    Model::build(verilog, &top, &ports).unwrap_or_else(|error| panic!("{error}"))
}

/// 4 queues, 32 packets in flight, 16 KiB.
pub type Path128 = TxPath<128, 16, 4, 2, 5, 9, 7, 7, 9>;
/// 16 queues, 128 packets in flight, 64 KiB.
pub type Path512 = TxPath<512, 64, 6, 4, 7, 9, 9, 9, 9>;

pub static PATH128: LazyLock<Model> = LazyLock::new(|| model::<Path128>("tx_path_128"));
/// Built without offloads.
pub static PLAIN128: LazyLock<Model> =
    LazyLock::new(|| model_as("tx_plain_128", || Path128::new(false, false)));
/// A small card's, without lines.
pub type PathSmall = TxPath<128, 16, 4, 2, 5, 9, 7, 0, 9>;
pub static SMALL128: LazyLock<Model> =
    LazyLock::new(|| model_as("tx_small_128", || PathSmall::new(false, true)));
pub static PATH512: LazyLock<Model> = LazyLock::new(|| model::<Path512>("tx_path_512"));

/// All inputs 0, and `cycles` of reset.
pub fn start(model: &Model, seed: u64, cycles: u64) -> Instance {
    let mut block = model.block(seed);
    if let Ok(path) = std::env::var("NITOR_WAVES") {
        block.trace(path).unwrap_or_else(|error| panic!("{error}"));
    }
    for port in model.ports() {
        if port.direction == Direction::In {
            block.set_bits(port.name.as_str(), &bitvec![0; port.width]);
        }
    }
    block.reset(cycles);
    block
}
