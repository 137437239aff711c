//! The shared part of the tests of the PCIe blocks.
#![allow(dead_code)] // each test binary uses its own part of it

pub mod reads;
pub mod streams;

pub use nitor_block::Rng;
use nitor_block::{Block as Running, Model, Port};
use nitor_hdl::pcie::config::Config;
use nitor_hdl::pcie::inline::InlineWrite;
use nitor_hdl::pcie::read::DmaRead;
use nitor_hdl::pcie::rx::TlpRx;
use nitor_hdl::pcie::target::Target;
use nitor_hdl::pcie::tx::TlpTx;
use nitor_rtl::prelude::Block;
use nitor_rtl::{emit, with_stack, Direction};
use proptest::prelude::ProptestConfig;
use std::sync::LazyLock;

pub struct Emitted {
    pub verilog: String,
    pub top: String,
    pub ports: Vec<Port>,
}

/// Verilog and ports of what `make` makes.
pub fn emitted<B: Block + 'static>(name: &'static str, make: fn() -> B) -> Emitted {
    let design = with_stack(move || {
        let mut block = make();
        block.connect_all();
        emit(&block, name).unwrap_or_else(|error| panic!("{error}"))
    });
    let ports = design.ports().iter().map(|port| match port.direction {
        Direction::In => Port::input(&port.name, port.width),
        Direction::Out => Port::output(&port.name, port.width),
    });
    let ports = ports.collect();
    Emitted { verilog: design.to_string(), top: design.top().to_owned(), ports }
}

fn model(emitted: Emitted) -> Model {
    Model::build(emitted.verilog, &emitted.top, &emitted.ports)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Cycles until a missing completion of [`READ128`] and [`READ512`] is given up.
pub const TIMEOUT: u64 = 1 << 16;

/// The blocks at both widths; the wide ones first. 32 tags at 128 bits, 256 at 512.
pub fn designs() -> Vec<Emitted> {
    vec![
        rx512(),
        rx128(),
        rx_small(),
        target512(),
        target128(),
        config(),
        config_small(),
        read512(),
        read128(),
        read_small(),
        inline512(),
        inline128(),
        tx512(),
        tx128(),
        tx_small(),
    ]
}

macro_rules! blocks {
    ($($make:ident, $model:ident: $make_block:expr;)*) => {
        $(
            fn $make() -> Emitted {
                emitted(concat!("pcie_", stringify!($make)), || $make_block)
            }
            pub static $model: LazyLock<Model> = LazyLock::new(|| model($make()));
        )*
    };
}

blocks! {
    rx128, RX128: TlpRx::<128>::new(false);
    rx512, RX512: TlpRx::<512>::new(false);
    rx_small, RX_SMALL: TlpRx::<128>::new(true);
    target128, TARGET128: Target::<128>::new(20);
    target512, TARGET512: Target::<512>::new(20);
    config, CONFIG: Config::new(17, 20, false);
    config_small, CONFIG_SMALL: Config::new(4, 0, true);
    read128, READ128: DmaRead::<128, 16, 4, 5>::new(TIMEOUT as usize, false, false);
    read512, READ512: DmaRead::<512, 64, 6, 8>::new(TIMEOUT as usize, false, false);
    read_small, READ_SMALL: DmaRead::<128, 16, 4, 4>::new(TIMEOUT as usize, true, true);
    inline128, INLINE128: InlineWrite::<128>::default();
    inline_small, INLINE_SMALL: InlineWrite::<128>::new(true);
    inline512, INLINE512: InlineWrite::<512>::default();
    tx128, TX128: TlpTx::<128>::new(false);
    tx512, TX512: TlpTx::<512>::new(false);
    tx_small, TX_SMALL: TlpTx::<128>::new(true);
}

/// So many cases, or as many as PROPTEST_CASES says.
pub fn cases(cases: u32) -> ProptestConfig {
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
    block.reset(3);
    block
}

/// A TLP: four header dwords, payload in address order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlp {
    pub hdr: [u32; 4],
    pub data: Vec<u8>,
}

/// `sop`, `eop`, header, data.
pub type Beat = (bool, bool, Vec<u8>, Vec<u8>);

impl Tlp {
    pub fn kind(&self) -> u8 {
        (self.hdr[0] >> 24) as u8
    }

    /// Payload bytes as the length field has them.
    pub fn length(&self) -> usize {
        match self.hdr[0] & 0x3ff {
            0 => 4096,
            n => 4 * n as usize,
        }
    }

    pub fn tag(&self) -> u8 {
        (self.hdr[1] >> 8) as u8
    }

    pub fn addr(&self) -> u64 {
        if self.hdr[0] >> 29 & 1 == 1 {
            u64::from(self.hdr[2]) << 32 | u64::from(self.hdr[3])
        } else {
            u64::from(self.hdr[2])
        }
    }

    pub fn memory(write: bool, requester: u16, tag: u8, be: u8, addr: u64, data: Vec<u8>) -> Tlp {
        let dwords = data.len().div_ceil(4) as u32;
        let wide = addr >> 32 != 0;
        let low = addr as u32 & !3;
        Tlp {
            hdr: [
                u32::from(write) << 30 | u32::from(wide) << 29 | dwords & 0x3ff,
                u32::from(requester) << 16 | u32::from(tag) << 8 | u32::from(be),
                if wide { (addr >> 32) as u32 } else { low },
                if wide { low } else { 0 },
            ],
            data: if write { data } else { Vec::new() },
        }
    }

    /// Its beats of `k` bytes, the last filled up with noise that nobody may look at.
    pub fn beats(&self, k: usize, rng: &mut Rng) -> Vec<Beat> {
        let count = self.data.len().div_ceil(k).max(1);
        (0..count)
            .map(|i| {
                let mut data = self.data[(i * k).min(self.data.len())..].to_vec();
                data.truncate(k);
                let fill = rng.bytes(k - data.len());
                data.extend(fill);
                let hdr = match i {
                    0 => self.hdr.iter().flat_map(|dw| dw.to_le_bytes()).collect(),
                    _ => rng.bytes(16),
                };
                (i == 0, i + 1 == count, hdr, data)
            })
            .collect()
    }
}

/// Puts beats together again.
#[derive(Default)]
pub struct Joiner {
    tlp: Option<Tlp>,
}

impl Joiner {
    /// The TLP that ends with this beat; its payload cut to its length field.
    pub fn push(&mut self, (sop, eop, hdr, data): Beat) -> Option<Tlp> {
        assert_eq!(sop, self.tlp.is_none(), "a TLP in a TLP, or a beat outside one");
        if sop {
            let dw = |i: usize| u32::from_le_bytes(hdr[4 * i..4 * i + 4].try_into().unwrap());
            self.tlp = Some(Tlp { hdr: [dw(0), dw(1), dw(2), dw(3)], data: Vec::new() });
        }
        let tlp = self.tlp.as_mut().unwrap();
        let k = data.len();
        tlp.data.extend(data);
        if !eop {
            return None;
        }
        let mut tlp = self.tlp.take().unwrap();
        let length = if tlp.kind() & 0x40 != 0 { tlp.length() } else { 0 };
        assert_eq!(tlp.data.len(), length.div_ceil(k).max(1) * k, "beats of {tlp:x?}");
        tlp.data.truncate(length);
        Some(tlp)
    }
}
