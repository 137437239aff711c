//! The shared part of the tests of the receive path.
#![allow(dead_code)] // each test binary uses its own part of it

pub mod bench;
mod dma;
pub mod frames;
mod host;

use nitor_block::bitvec::prelude::BitVec;
pub use nitor_block::Rng;
use nitor_block::{Block as Running, Model, Port};
use nitor_hdl::rx::{Classifier, RxPath};
use nitor_rtl::prelude::{Block, Word};
use nitor_rtl::{emit, with_stack, Direction};
use proptest::prelude::ProptestConfig;
use std::sync::LazyLock;

/// Verilog and ports of a block, as `T` names it.
pub fn emitted<T: Block + Default + 'static>(name: &'static str) -> (String, String, Vec<Port>) {
    emitted_of(T::default, name)
}

pub fn emitted_of<T: Block + 'static>(
    make: impl FnOnce() -> T + Send + 'static,
    name: &'static str,
) -> (String, String, Vec<Port>) {
    let design = with_stack(move || {
        let mut block = make();
        block.connect_all();
        emit(&block, name).unwrap_or_else(|error| panic!("{error}"))
    });
    let ports = design.ports().iter().map(|port| match port.direction {
        Direction::In => Port::input(&port.name, port.width),
        Direction::Out => Port::output(&port.name, port.width),
    });
    (design.to_string(), design.top().to_owned(), ports.collect())
}

pub fn model<T: Block + Default + 'static>(name: &'static str) -> Model {
    let (verilog, top, ports) = emitted::<T>(name);
    Model::build(verilog, &top, &ports).unwrap_or_else(|error| panic!("{error}"))
}

pub fn model_of<T: Block + 'static>(
    make: impl FnOnce() -> T + Send + 'static,
    name: &'static str,
) -> Model {
    let (verilog, top, ports) = emitted_of(make, name);
    Model::build(verilog, &top, &ports).unwrap_or_else(|error| panic!("{error}"))
}

/// A record as a port takes it.
pub fn bits<T: Word>(record: T) -> BitVec {
    let value = record.pack();
    (0..T::BITS as u64).map(|i| value.bit(i)).collect()
}

/// 4 queues of up to 32 prefetched descriptors, 16 KiB.
pub type Path128 = RxPath<128, 16, 4, 2, 5, 9, 6, 8>;
/// 16 queues of up to 128 prefetched descriptors, 32 KiB.
pub type Path512 = RxPath<512, 64, 6, 4, 7, 8, 8, 9>;

pub static PATH128: LazyLock<Model> = LazyLock::new(|| model::<Path128>("rx_path_128"));
/// The first, with the serial classifier.
pub static SERIAL128: LazyLock<Model> =
    LazyLock::new(|| model_of(|| Path128::new(Classifier::Serial, true), "rx_path_serial"));
pub static PATH512: LazyLock<Model> = LazyLock::new(|| model::<Path512>("rx_path_512"));

/// So many cases, or as many as PROPTEST_CASES says.
pub fn config(cases: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    }
}

/// A block out of reset, its inputs 0.
pub fn start(model: &Model, seed: u64) -> Running {
    let mut block = model.block(seed);
    for port in model.ports() {
        if port.direction == nitor_block::Direction::In {
            block.set_bits(port.name.as_str(), &nitor_block::bitvec::bitvec![0; port.width]);
        }
    }
    for reset in ["config_reset", "wire_reset"] {
        if let Some(port) = block.find_port(reset) {
            block.set(port, 1);
        }
    }
    block.reset(3);
    for reset in ["config_reset", "wire_reset"] {
        if let Some(port) = block.find_port(reset) {
            block.set(port, 0);
        }
    }
    block
}

/// One access of the register bus, and the cycles it took.
pub fn access(block: &mut Running, write: bool, addr: u64, data: u64, be: u64) -> (u64, u64) {
    let start = block.cycles();
    for (name, value) in [
        ("regs_valid", 1),
        ("regs_write", write.into()),
        ("regs_addr", addr),
        ("regs_wdata", data),
        ("regs_be", be),
    ] {
        block.set(name, value);
    }
    loop {
        block.clock_low();
        let (ready, rdata) = (block.get("regs_ready"), block.get("regs_rdata"));
        block.clock_high();
        if ready == 1 {
            block.set("regs_valid", 0);
            return (rdata, block.cycles() - start);
        }
        assert!(block.cycles() - start < 1000, "no answer");
    }
}
