//! The shared part of the tests of `host`, `irq` and `mgmt`.
#![allow(dead_code)] // each bench uses a part

use nitor_block::bitvec::prelude::BitVec;
use nitor_block::{lint, Block, Model, Port, PortId};
use nitor_rtl::{emit, with_stack, Direction};

/// Emits, lints and verilates a block.
pub fn model<T: nitor_rtl::prelude::Block + 'static>(
    name: &'static str,
    make: impl FnOnce() -> T + Send + 'static,
) -> Model {
    let design = with_stack(move || {
        let mut block = make();
        block.connect_all();
        emit(&block, name).unwrap_or_else(|e| panic!("{e}"))
    });
    let verilog = design.to_string();
    lint(verilog.as_str(), name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let ports: Vec<Port> = design
        .ports()
        .iter()
        .map(|p| match p.direction {
            Direction::In => Port::input(&p.name, p.width),
            Direction::Out => Port::output(&p.name, p.width),
        })
        .collect();
    Model::build(verilog, name, &ports).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The master of a register bus, by cycles: `drive` before the clock falls, `sample` before it rises.
pub struct Master {
    valid: PortId,
    write: PortId,
    addr: PortId,
    wdata: PortId,
    be: PortId,
    ready: PortId,
    rdata: PortId,
    /// Under way: {write, addr, wdata, be}.
    pub access: Option<(bool, u16, u32, u8)>,
    /// Cycles the access has waited.
    pub waited: u32,
}

impl Master {
    pub fn new(block: &Block, prefix: &str) -> Master {
        let port = |name: &str| block.port(&format!("{prefix}_{name}"));
        Master {
            valid: port("valid"),
            write: port("write"),
            addr: port("addr"),
            wdata: port("wdata"),
            be: port("be"),
            ready: port("ready"),
            rdata: port("rdata"),
            access: None,
            waited: 0,
        }
    }

    pub fn start(&mut self, access: (bool, u16, u32, u8)) {
        assert!(self.access.is_none());
        self.access = Some(access);
        self.waited = 0;
    }

    pub fn drive(&self, block: &mut Block) {
        block.set(self.valid, u64::from(self.access.is_some()));
        if let Some((write, addr, wdata, be)) = self.access {
            block.set(self.write, u64::from(write));
            block.set(self.addr, u64::from(addr));
            block.set(self.wdata, u64::from(wdata));
            block.set(self.be, u64::from(be));
        }
    }

    /// The read data when the access ends.
    pub fn sample(&mut self, block: &Block) -> Option<u32> {
        self.access?;
        self.waited += 1;
        assert!(self.waited < 2000, "access {:x?} never ends", self.access);
        if block.get(self.ready) == 0 {
            return None;
        }
        self.access = None;
        Some(block.get(self.rdata) as u32)
    }

    /// A whole access, with `step` as the rest of the bench's cycle.
    pub fn run(
        &mut self,
        block: &mut Block,
        access: (bool, u16, u32, u8),
        mut step: impl FnMut(&mut Block),
    ) -> u32 {
        self.start(access);
        loop {
            self.drive(block);
            block.clock_low();
            let done = self.sample(block);
            step(block);
            block.clock_high();
            if let Some(data) = done {
                block.set(self.valid, 0);
                return data;
            }
        }
    }
}

pub fn set_all_inputs_low(block: &mut Block) {
    for port in block.ports().to_vec() {
        if port.direction == nitor_block::Direction::In {
            let zero: BitVec = BitVec::repeat(false, port.width);
            block.set_bits(port.name.as_str(), &zero);
        }
    }
}

/// A beat of a posted write: addr, len, data, last.
pub type WriteBeat = (u64, u64, Vec<u8>, bool);

/// Puts beats of posted writes together.
#[derive(Default)]
pub struct WriteJoiner {
    begun: Option<(u64, u64, Vec<u8>)>,
}

impl WriteJoiner {
    /// More beats of a write must come.
    pub fn is_mid(&self) -> bool {
        self.begun.is_some()
    }

    /// The write that ends with the beat: addr, len and at least so many bytes.
    pub fn push(&mut self, (addr, len, data, last): WriteBeat) -> Option<(u64, u64, Vec<u8>)> {
        let width = data.len() as u64;
        let mut write = self.begun.take().unwrap_or((addr, len, vec![]));
        write.2.extend(data);
        assert_eq!(last, write.2.len() as u64 == write.1.next_multiple_of(width), "{}", write.1);
        if last {
            return Some(write);
        }
        self.begun = Some(write);
        None
    }
}
