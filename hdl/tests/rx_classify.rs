//! The serial classifier against the reference of `rx/parse` and `rx/steer`: any frames, registers in between, and its pace.

mod rx_support;

use nitor_block::{Block, Model, PortId};
use nitor_hdl::rx::classify::RxClassify;
use proptest::prelude::*;
use rx_support::frames::{self, classify, toeplitz};
use rx_support::{access, config, model, start, Rng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

static CLASSIFY128: LazyLock<Model> =
    LazyLock::new(|| model::<RxClassify<128, 16>>("rx_classify_128"));
static CLASSIFY512: LazyLock<Model> =
    LazyLock::new(|| model::<RxClassify<512, 64>>("rx_classify_512"));

const CTRL: u64 = 0x130;
const KEY: u64 = 0x200;
const TABLE: u64 = 0x400;

struct Access {
    write: bool,
    addr: u64,
    data: u64,
    be: u64,
    since: u64,
}

struct Bench {
    block: Block,
    flow_valid: PortId,
    hold: PortId,
    ready: PortId,
    rng: Rng,
    k: usize,
    registers: BTreeMap<u64, u64>,
    /// Kept, with the cycle of the last beat.
    frames: VecDeque<(Vec<u8>, u64)>,
    access: Option<Access>,
    /// Percent of cycles in which an access begins.
    busy: u64,
    /// `hold` in the last two cycles and in this one.
    held: [bool; 3],
    ended: u64,
    /// Cycles from last beat to flow.
    took: Vec<u64>,
}

impl Bench {
    fn new(k: usize, seed: u64) -> Bench {
        let block = start(if k == 16 { &CLASSIFY128 } else { &CLASSIFY512 }, seed);
        Bench {
            flow_valid: block.port("flow_valid"),
            hold: block.port("hold"),
            ready: block.port("regs_ready"),
            block,
            rng: Rng(seed),
            k,
            registers: fresh(),
            frames: VecDeque::new(),
            access: None,
            busy: 0,
            held: [false; 3],
            ended: 0,
            took: Vec::new(),
        }
    }

    /// Key, entries and what else, at once.
    fn configure(&mut self) {
        for (addr, held) in &mut self.registers {
            *held = self.rng.next() & width(*addr);
            if *addr == CTRL {
                *held = 0xffff;
            }
            access(&mut self.block, true, *addr, *held, 15);
        }
    }

    fn step(&mut self) {
        if self.access.is_none() && self.rng.below(100) < self.busy {
            let addr = match self.rng.below(8) {
                0 => CTRL,
                1 | 2 => KEY + 4 * self.rng.below(12),
                3 => 4 * self.rng.below(0x4000),
                _ => TABLE + 4 * self.rng.below(128),
            };
            let write = self.rng.below(2) == 0;
            let (data, be) = (self.rng.next() & 0xffff_ffff, self.rng.below(16));
            self.access = Some(Access { write, addr, data, be, since: self.block.cycles() });
            for (name, value) in [
                ("regs_valid", 1),
                ("regs_write", write.into()),
                ("regs_addr", addr),
                ("regs_wdata", data),
                ("regs_be", be),
            ] {
                self.block.set(name, value);
            }
        }
        self.block.clock_low();
        self.held = [self.held[1], self.held[2], self.block.get(self.hold) == 1];
        if self.block.get(self.flow_valid) == 1 {
            self.take();
        }
        let ready = self.block.get(self.ready) == 1;
        if ready {
            let access = self.access.take().expect("an access");
            // A frame, and the reset of a test.
            assert!(self.block.cycles() - access.since < 60, "an access waits");
            let held = self.registers.get(&access.addr).copied();
            if !access.write {
                assert_eq!(self.block.get("regs_rdata"), held.unwrap_or(0), "{:#x}", access.addr);
            } else if let Some(held) = held {
                let bytes = (0..4).filter(|i| access.be >> i & 1 == 1);
                let mask = bytes.fold(0, |mask, i| mask | 0xff << (8 * i));
                let value = (held & !mask | access.data & mask) & width(access.addr);
                self.registers.insert(access.addr, value);
            }
        }
        self.block.clock_high();
        if ready {
            self.block.set("regs_valid", 0);
        }
    }

    /// A flow, by the registers as they are now.
    fn take(&mut self) {
        let (frame, ended) = self.frames.pop_front().expect("a frame");
        self.took.push(self.block.cycles() - ended);
        let flow = classify(&frame);
        let kinds = [(8, 12), (8, 13), (11, 12), (11, 13)];
        let kind = kinds.iter().position(|&kind| kind == (flow.l3, flow.l4));
        let ports = kind.is_some_and(|kind| self.registers[&CTRL] >> kind & 1 == 1);
        let mut key = [0; 40];
        for (i, bytes) in key.chunks_mut(4).enumerate() {
            let word = self.registers[&(KEY + 4 * i as u64)] as u32;
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let hash = toeplitz(&key, &if ports { flow.tuple.clone() } else { flow.without_ports() });
        let entry = self.registers[&(TABLE + 4 * u64::from(hash & 127))];
        let kind = flow.l3 | flow.l4 << 4 | u64::from(flow.frag) << 9;
        let word = self.block.get("flow");
        assert_eq!((word >> 41, word as u32), (kind, hash), "{frame:02x?}");
        assert_eq!(word >> 40 & 1, entry >> 8, "valid");
        assert!(entry >> 8 == 0 || word >> 32 & 0xff == entry & 0xff, "queue");
    }

    /// When `rx/input` would let a frame begin.
    fn wait(&mut self) {
        while self.block.cycles() < self.ended + 3 || self.held[1] {
            self.step();
        }
    }

    fn beat(&mut self, chunk: &[u8], end: bool, keep: bool) {
        let mut data = chunk.to_vec();
        data.extend(self.rng.bytes(self.k - chunk.len()));
        self.block.set("tap_valid", 1);
        self.block.set_bytes("tap_data", &data);
        self.block.set("tap_bytes", chunk.len() as u64);
        self.block.set("tap_end", end.into());
        self.block.set("tap_keep", keep.into());
        if end {
            self.ended = self.block.cycles();
        }
        self.step();
        for name in ["tap_valid", "tap_keep"] {
            self.block.set(name, 0);
        }
    }

    /// A frame, or some beats of one that is not kept; `gaps` percent of cycles without a beat.
    fn send(&mut self, frame: &[u8], keep: bool, gaps: u64) {
        self.wait();
        let beats = frame.len().div_ceil(self.k);
        let end = if keep { beats } else { self.rng.range(1, beats as u64) as usize };
        for (i, chunk) in frame.chunks(self.k).take(end).enumerate() {
            while self.rng.below(100) < gaps {
                self.step();
            }
            let last = i + 1 == end;
            if last && keep {
                self.frames.push_back((frame.to_vec(), self.block.cycles()));
            }
            self.beat(chunk, last, last && keep);
        }
    }

    fn finish(&mut self) {
        for _ in 0..200 {
            self.step();
        }
        assert!(self.frames.is_empty(), "a frame without a flow");
    }

    /// Of the data path, and of the registers.
    fn reset(&mut self, registers: bool) {
        self.block.set("reset", 1);
        self.block.set("config_reset", registers.into());
        self.frames.clear();
        if registers {
            self.registers = fresh();
            self.access = None;
            self.block.set("regs_valid", 0);
        }
        for _ in 0..self.rng.range(1, 16) {
            self.block.clock_low();
            let answers = self.block.get(self.ready) == 1;
            self.block.clock_high();
            // What was done before is answered in it.
            if answers {
                let access = self.access.take().expect("an access");
                assert!(!access.write && self.busy != 0);
                self.block.set("regs_valid", 0);
            }
        }
        self.block.set("reset", 0);
        self.block.set("config_reset", 0);
        self.held = [false; 3];
    }
}

fn fresh() -> BTreeMap<u64, u64> {
    let key = (0..10).map(|i| KEY + 4 * i);
    let table = (0..128).map(|i| TABLE + 4 * i);
    [(CTRL, 0xffff)].into_iter().chain(key.chain(table).map(|addr| (addr, 0))).collect()
}

fn width(addr: u64) -> u64 {
    match addr {
        CTRL => 0xffff,
        TABLE.. => 0x1ff,
        _ => 0xffff_ffff,
    }
}

fn any_frame(rng: &mut Rng) -> Vec<u8> {
    let payload = rng.below(300) as usize;
    match rng.below(6) {
        0 => frames::broken(rng),
        1 => frames::damaged(rng, payload),
        2 | 3 => frames::chained(rng),
        _ => frames::packet(rng, payload).0,
    }
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn any_frames(seed: u64, wide: bool, gaps in prop_oneof![Just(0u64), 0..90u64], busy in prop_oneof![Just(0u64), 0..60u64]) {
        let mut bench = Bench::new(if wide { 64 } else { 16 }, seed);
        bench.configure();
        bench.busy = busy;
        for _ in 0..100 {
            let frame = any_frame(&mut bench.rng);
            let keep = bench.rng.below(8) != 0;
            bench.send(&frame, keep, gaps);
            if bench.rng.below(8) == 0 {
                let pause = bench.rng.below(80);
                (0..pause).for_each(|_| bench.step());
            }
        }
        bench.finish();
    }
}
