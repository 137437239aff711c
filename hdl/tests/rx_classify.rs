//! The serial classifier against the reference of `rx/parse` and `rx/steer`: any frames, register
//! writes in between, and its speed.

mod rx_support;

use nitor_block::{Block, Model, PortId};
use nitor_hdl::rx::classify::RxClassify;
use proptest::prelude::*;
use rx_support::bench::{Bench as Path, Setup};
use rx_support::frames::{self, classify, toeplitz};
use rx_support::{access, config, model, start, Rng, SERIAL128};
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
        self.answered();
    }

    /// The cycle ends; an access that is answered does too.
    fn answered(&mut self) {
        let ready = self.block.get(self.ready) == 1;
        if ready {
            let access = self.access.take().expect("an access");
            // A frame, or a reset.
            assert!(self.block.cycles() - access.since < 70, "an access waits");
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
        let word = self.block.get("flow_");
        assert_eq!((word >> 41, word as u32), (kind, hash), "{frame:02x?}");
        assert_eq!(word >> 40 & 1, entry >> 8, "valid");
        assert!(entry >> 8 == 0 || word >> 32 & 0xff == entry & 0xff, "queue");
    }

    /// When `rx/input` would let a frame begin.
    fn may_begin(&self) -> bool {
        self.block.cycles() >= self.ended + 3 && !self.held[1]
    }

    fn wait(&mut self) {
        while !self.may_begin() {
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

    /// Of the data path alone, or of the registers too.
    fn reset(&mut self, registers: bool) {
        self.block.set("reset", 1);
        self.block.set("config_reset", registers.into());
        self.frames.clear();
        if registers {
            self.registers = fresh();
            self.access = None;
            self.block.set("regs_valid", 0);
        }
        for cycle in 0..self.rng.range(1, 16) {
            self.block.clock_low();
            assert!(cycle == 0 || self.block.get(self.flow_valid) == 0);
            if registers {
                self.block.clock_high();
            } else {
                self.answered();
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

proptest! {
    #![proptest_config(config(60))]

    /// What a reset cuts off leaves nothing behind, and registers only if it is theirs too.
    #[test]
    fn reset_anywhere(seed: u64, wide: bool) {
        let mut bench = Bench::new(if wide { 64 } else { 16 }, seed);
        bench.configure();
        for _ in 0..30 {
            bench.busy = 20;
            for _ in 0..bench.rng.below(4) {
                let frame = any_frame(&mut bench.rng);
                bench.send(&frame, true, 30);
            }
            // Beats of a frame that does not end, or cycles.
            for _ in 0..bench.rng.below(30) {
                if bench.rng.below(4) == 0 {
                    bench.wait();
                    let data = bench.rng.bytes(bench.k);
                    bench.beat(&data, false, false);
                }
                bench.step();
            }
            let registers = bench.rng.below(6) == 0;
            bench.reset(registers);
            if registers {
                // While the table is cleared registers wait, and frames too.
                bench.busy = 0;
                for _ in 0..3 {
                    let frame = any_frame(&mut bench.rng);
                    bench.send(&frame, true, 0);
                }
                bench.finish();
            }
        }
        bench.finish();
    }
}

#[test]
fn registers() {
    let mut bench = Bench::new(16, 3);
    // The table is cleared first.
    assert_eq!(access(&mut bench.block, false, TABLE, 0, 15), (0, 128 + 3));
    for (addr, held) in fresh() {
        assert_eq!(access(&mut bench.block, false, addr, 0, 15), (held, 3), "{addr:#x}");
    }
    bench.busy = 100;
    (0..30_000).for_each(|_| bench.step());
}

/// Neither frames nor the bus keep the other waiting, whatever they do.
#[test]
fn frames_and_registers_take_turns() {
    let mut bench = Bench::new(64, 4);
    bench.configure();
    bench.busy = 100;
    let begin = bench.block.cycles();
    for _ in 0..500 {
        bench.send(&[0; 60], true, 0);
    }
    bench.finish();
    // An unknown type's 4 cycles, and an access between each two.
    assert!(bench.block.cycles() - begin < 500 * 7 + 300, "{}", bench.block.cycles() - begin);
}

/// A packet of IPv4 or IPv6 with so many tags and extension headers of 8 bytes, and no byte more than it needs or the wire.
fn smallest(v6: bool, proto: u8, tags: usize, extensions: usize) -> Vec<u8> {
    let mut frame = vec![0; 12];
    for i in 0..tags {
        frame.extend([0x81, 0, 0, i as u8]);
    }
    let l4 = if proto == 6 { 20 } else { 8 };
    if v6 {
        let first = if extensions == 0 { proto } else { 60 };
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, (8 * extensions + l4) as u8, first, 64]);
        frame.extend(0..32);
        for i in 0..extensions {
            let next = if i + 1 == extensions { proto } else { 60 };
            frame.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        }
    } else {
        frame.extend([8, 0, 0x45, 0, 0, 20 + l4 as u8, 0, 0, 0, 0, 64, proto, 0, 0]);
        frame.extend(0..8);
    }
    frame.extend((0..l4).map(|i| i as u8));
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Cycles from last beat to flow as the block's description has them.
#[test]
fn latency() {
    let mut bench = Bench::new(16, 5);
    bench.configure();
    for (v6, proto, tags) in
        [(false, 6, 0), (false, 17, 1), (false, 6, 2), (true, 17, 0), (true, 6, 2)]
    {
        for extensions in 0..if v6 { 4 } else { 1 } {
            bench.send(&smallest(v6, proto, tags, extensions), true, 0);
            bench.finish();
            let cycles = if v6 { 27 + 3 * extensions } else { 17 } + 2 * tags;
            assert_eq!(bench.took.pop(), Some(cycles as u64));
        }
    }
}

/// The smallest frames of all kinds, many of each, then in any order.
fn smallest_frames(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut kinds = Vec::new();
    for tags in 0..3 {
        kinds.extend([(false, 6, tags, 0), (false, 17, tags, 0)]);
        kinds.extend(
            (0..4).flat_map(|n| [(true, 6, tags, n), (true, 17, tags, n), (true, 47, tags, n)]),
        );
    }
    let mut list: Vec<_> = kinds.iter().flat_map(|kind| [*kind; 50]).collect();
    list.extend((0..2000).map(|_| kinds[rng.below(kinds.len() as u64) as usize]));
    list.into_iter().map(|(v6, proto, tags, n)| smallest(v6, proto, tags, n)).collect()
}

/// A gigabit's smallest frames, each in the time that the wire takes for it at 50 MHz: none has to wait.
#[test]
fn keeps_up_with_a_gigabit() {
    let mut bench = Bench::new(16, 6);
    bench.configure();
    let list = smallest_frames(&mut bench.rng);
    // In bytes of the wire, of which a cycle takes 2.5: where a frame began.
    let (mut bytes, begin) = (0, bench.block.cycles());
    for frame in list {
        let beats = frame.len().div_ceil(16);
        for (i, chunk) in frame.chunks(16).enumerate() {
            let came = bytes + 8 + (16 * (i + 1)).min(frame.len() + 4);
            while (bench.block.cycles() - begin) * 5 < came as u64 * 2 {
                bench.step();
            }
            assert!(i != 0 || bench.may_begin(), "a frame has to wait");
            let last = i + 1 == beats;
            if last {
                bench.frames.push_back((frame.clone(), bench.block.cycles()));
            }
            bench.beat(chunk, last, last);
        }
        bytes += 8 + frame.len() + 4 + 12;
    }
    bench.finish();
}

/// And through the whole path: the wire is never refused a beat, and every frame arrives.
#[test]
fn the_path_keeps_up_with_a_gigabit() {
    let setup = Setup { serial: true, checksums: false, ..Setup::fast(16, 100) };
    let mut bench = Path::new(&SERIAL128, setup);
    for queue in 0..4 {
        bench.create(queue, 8);
        bench.refill(queue, 255, 16, (128, 2048));
    }
    bench.spread(&[0, 1, 2, 3]);
    bench.settle();
    let list = smallest_frames(&mut Rng(7));
    let (mut bytes, begin) = (0, bench.block.cycles());
    for frame in &list {
        while (bench.block.cycles() - begin) * 5 < bytes * 2 {
            bench.step();
        }
        bench.send(frame);
        bytes += 24 + frame.len() as u64;
    }
    bench.finish();
    assert_eq!((bench.count("stat_frame"), bench.refusals), (list.len() as u64, 0));
}
