//! `host/cq` against a model of its rings.

mod control_support;

use control_support::{model, set_all_inputs_low, WriteBeat, WriteJoiner};
use nitor_block::stream::{cycle, End, Ports, Sink, Source, Stalls};
use nitor_block::{Block, Model};
use nitor_hdl::host::cq::CompletionQueues;
use proptest::prelude::*;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

const HOLD: u64 = 40;
const QUEUES: u64 = 16;

static WIDE: LazyLock<Model> =
    LazyLock::new(|| model("cq_block", || CompletionQueues::<512, 64, 4>::new(HOLD as usize)));
static NARROW: LazyLock<Model> =
    LazyLock::new(|| model("cq_narrow", || CompletionQueues::<128, 16, 4>::new(HOLD as usize)));
/// Holds so long that no line ends by it.
static PATIENT: LazyLock<Model> =
    LazyLock::new(|| model("cq_patient", || CompletionQueues::<512, 64, 4>::new(30_000)));

type Command = (bool, u64, u64, u64, u64, u64, u64);

/// A ring as the host sees it.
struct Ring {
    rx: bool,
    base: u64,
    log_depth: u64,
    esize: u64,
    vector: u64,
    pushed: u64,
    written: u64,
    expected: VecDeque<Vec<u8>>,
}

impl Ring {
    fn bytes(&self) -> u64 {
        8 << self.esize
    }

    /// The next entry as it must appear in memory.
    fn push(&mut self, payload: &[u8]) {
        let mut entry = vec![0; 32];
        entry[..payload.len()].copy_from_slice(payload);
        entry[3] |= u8::from((self.pushed >> self.log_depth) & 1 == 0);
        entry.truncate(self.bytes() as usize);
        self.expected.push_back(entry);
        self.pushed += 1;
    }
}

struct Bench {
    block: Block,
    rings: BTreeMap<u64, Ring>,
    command: Source<Command>,
    tx: Source<(u64, u64, bool)>,
    rx: Source<(u64, Vec<u8>, bool)>,
    write: Sink<WriteBeat>,
    joiner: WriteJoiner,
    event: Sink<(u64, u64)>,
    events: VecDeque<(u64, u64)>,
    /// Per direction, what must be written at each acknowledgement to come: (ring, entries).
    markers: [VecDeque<(u64, u64)>; 2],
    absent: u64,
    overflows: u64,
    writes: u64,
}

impl Bench {
    /// At 512 or at 128 bits.
    fn new(wide: bool, seed: u64, stalls: bool) -> Bench {
        Bench::of(if wide { &WIDE } else { &NARROW }, seed, stalls)
    }

    fn of(model: &Model, seed: u64, stalls: bool) -> Bench {
        let mut block = model.block(seed);
        set_all_inputs_low(&mut block);
        block.reset(3);
        let stall = |n| if stalls { Stalls::seeded(seed ^ n) } else { Stalls::none() };
        let ports = |name: &str, fields: &[&str]| Ports {
            valid: block.port(&format!("{name}_valid")),
            ready: block.port(&format!("{name}_ready")),
            payload: fields.iter().map(|f| block.port(&format!("{name}_{f}"))).collect(),
        };
        let command =
            ports("ctx", &["destroy", "idx", "base", "log_depth", "cq", "log_entry", "vector"]);
        let command = Source::new(&block, command, stall(1));
        let tx = Source::new(&block, ports("tx", &["cq", "req_id", "marker"]), stall(2));
        let rx = Source::new(&block, ports("rx", &["cq", "entry", "marker"]), stall(3));
        let write = Sink::new(&block, ports("write", &["addr", "len", "data", "last"]), stall(4));
        let event = Sink::new(&block, ports("event", &["vector", "rx"]), stall(5));
        Bench {
            block,
            rings: BTreeMap::new(),
            command,
            tx,
            rx,
            write,
            joiner: WriteJoiner::default(),
            event,
            events: VecDeque::new(),
            markers: Default::default(),
            absent: 0,
            overflows: 0,
            writes: 0,
        }
    }

    fn step(&mut self) {
        let ends: [&mut dyn End; 5] =
            [&mut self.command, &mut self.tx, &mut self.rx, &mut self.write, &mut self.event];
        let mut ends = ends;
        cycle(&mut self.block, &mut ends);
        for beat in self.write.take() {
            if let Some((addr, len, data)) = self.joiner.push(beat) {
                self.writes += 1;
                self.take_write(addr, len, &data);
            }
        }
        for event in self.event.take() {
            assert_eq!(Some(event), self.events.pop_front());
        }
        self.block.eval();
        for (i, ack) in ["tx_marker_ack", "rx_marker_ack"].iter().enumerate() {
            if self.block.get(*ack) == 1 {
                let (cq, entries) = self.markers[i].pop_front().expect("a marker for each ack");
                if let Some(ring) = self.rings.get(&cq) {
                    assert!(ring.written >= entries, "marker of {cq} before its entries");
                }
            }
        }
        self.overflows += self.block.get("stat_cq_overflow");
    }

    fn take_write(&mut self, addr: u64, len: u64, data: &[u8]) {
        let ring = self
            .rings
            .values_mut()
            .find(|r| addr >= r.base && addr < r.base + (r.bytes() << r.log_depth))
            .unwrap_or_else(|| panic!("write to {addr:#x}, which is no ring"));
        let size = ring.bytes();
        assert!(len > 0 && len.is_multiple_of(size) && addr % 64 + len <= 64, "{len} at {addr:#x}");
        let index = ring.written & ((1 << ring.log_depth) - 1);
        assert_eq!(addr, ring.base + index * size, "out of order");
        assert!(index + len / size <= 1 << ring.log_depth, "beyond the ring's end");
        for entry in data[..len as usize].chunks(size as usize) {
            assert_eq!(Some(entry), ring.expected.pop_front().as_deref());
            ring.written += 1;
        }
        if ring.vector < 256 {
            self.events.push_back((ring.vector, u64::from(ring.rx)));
        }
    }

    fn run_until(&mut self, mut done: impl FnMut(&Bench) -> bool) {
        let start = self.block.cycles();
        while !done(self) {
            self.step();
            assert!(self.block.cycles() - start < 50_000, "nothing moves");
        }
    }

    fn create(&mut self, cq: u64, ring: Ring) {
        let Ring { base, log_depth, esize, vector, .. } = ring;
        self.command.push((false, cq, base, log_depth, 0, esize, vector));
        self.rings.insert(cq, ring);
        self.run_until(|b| b.command.is_empty());
    }

    fn destroy(&mut self, cq: u64) {
        self.command.push((true, cq, 0, 0, 0, 0, 0));
        self.run_until(|b| b.command.is_empty());
        self.rings.remove(&cq);
    }

    fn entry(&mut self, rx: bool, cq: u64, rng: &mut StdRng) {
        let mut payload: Vec<u8> = (0..16).map(|_| rng.gen()).collect();
        payload[3] &= !1;
        if rx {
            self.rx.push((cq, payload.clone(), false));
        } else {
            let req_id: u16 = rng.gen();
            payload = req_id.to_le_bytes().to_vec();
            self.tx.push((cq, req_id.into(), false));
        }
        match self.rings.get_mut(&cq) {
            Some(ring) => ring.push(&payload),
            None => self.absent += 1,
        }
    }

    fn marker(&mut self, rx: bool, cq: u64) {
        if rx {
            self.rx.push((cq, vec![0xa5; 16], true));
        } else {
            self.tx.push((cq, 0, true));
        }
        let entries = self.rings.get(&cq).map_or(0, |r| r.pushed);
        self.markers[usize::from(rx)].push_back((cq, entries));
    }

    fn settle(&mut self) {
        self.run_until(|b| {
            b.tx.is_empty()
                && b.rx.is_empty()
                && b.events.is_empty()
                && b.markers.iter().all(|m| m.is_empty())
                && b.rings.values().all(|r| r.expected.is_empty())
                && b.overflows == b.absent
        });
    }
}

fn ring(rng: &mut StdRng, cq: u64) -> Ring {
    Ring {
        rx: rng.gen(),
        // 64-byte aligned, each in its own megabyte.
        base: (rng.gen_range(0..1u64 << 28) << 32 | cq << 21) + 64 * rng.gen_range(0..64u64),
        log_depth: rng.gen_range(0..8),
        esize: rng.gen_range(0..3),
        vector: if rng.gen_ratio(1, 4) { 256 } else { rng.gen_range(0..256) },
        pushed: 0,
        written: 0,
        expected: VecDeque::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rings_hold_every_entry_once_and_in_order(seed: u64, wide: bool, stalls: bool) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(wide, seed, stalls);
        for _ in 0..3 {
            for cq in 0..QUEUES {
                if !bench.rings.contains_key(&cq) && rng.gen_ratio(3, 4) {
                    let ring = ring(&mut rng, cq);
                    bench.create(cq, ring);
                }
            }
            let busy = rng.gen_range(1..QUEUES + 2);
            for _ in 0..rng.gen_range(0..600) {
                let cq = rng.gen_range(0..busy);
                // Numbers beyond the card's queues and absent ones are dropped and counted.
                let cq = if rng.gen_ratio(1, 50) { rng.gen_range(0..256) } else { cq };
                let rx = bench.rings.get(&cq).map_or(rng.gen(), |r| r.rx);
                if rng.gen_ratio(1, 60) {
                    bench.marker(rx, cq);
                } else {
                    bench.entry(rx, cq, &mut rng);
                }
                if rng.gen_ratio(1, 40) {
                    for _ in 0..rng.gen_range(0..150) {
                        bench.step();
                    }
                }
            }
            bench.settle();
            for cq in 0..QUEUES {
                if bench.rings.contains_key(&cq) && rng.gen_ratio(1, 3) {
                    bench.destroy(cq);
                }
            }
            // Destroyed with entries waiting: they are forgotten.
            if let Some((&cq, rx)) = bench.rings.iter().next().map(|(cq, r)| (cq, r.rx)) {
                bench.entry(rx, cq, &mut rng);
                bench.run_until(|b| b.tx.is_empty() && b.rx.is_empty());
                for _ in 0..8 {
                    bench.step(); // out of the input FIFO, which commands overtake
                }
                bench.destroy(cq);
                for _ in 0..2 * HOLD {
                    bench.step();
                }
            }
        }
    }

    #[test]
    fn a_reset_in_any_state_forgets_all(seed: u64, wide: bool) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(wide, seed, true);
        for cq in 0..QUEUES {
            let ring = ring(&mut rng, cq);
            bench.create(cq, ring);
        }
        for _ in 0..200 {
            let cq = rng.gen_range(0..QUEUES);
            let rx = bench.rings[&cq].rx;
            bench.entry(rx, cq, &mut rng);
        }
        for _ in 0..rng.gen_range(0..300) {
            bench.step();
        }
        set_all_inputs_low(&mut bench.block);
        bench.block.reset(1);
        let mut again = Bench { block: bench.block, ..Bench::new(wide, seed + 1, false) };
        for cq in 0..QUEUES {
            again.entry(rng.gen(), cq, &mut rng);
        }
        again.settle();
        for cq in 0..QUEUES {
            let ring = ring(&mut rng, cq);
            again.create(cq, ring);
        }
        for _ in 0..200 {
            let cq = rng.gen_range(0..QUEUES);
            let rx = again.rings[&cq].rx;
            again.entry(rx, cq, &mut rng);
        }
        again.settle();
    }
}

#[test]
fn lines_on_hold_stop_nothing() {
    let mut rng = StdRng::seed_from_u64(3);
    let mut bench = Bench::of(&PATIENT, 3, false);
    for cq in 0..QUEUES {
        bench.create(cq, plain(cq % 2 == 1, cq, cq % 3));
    }
    let start = bench.block.cycles();
    for i in 0..4000u64 {
        let cq = (i * 7 + i / 97) % QUEUES;
        bench.entry(cq % 2 == 1, cq, &mut rng);
    }
    bench.run_until(|b| b.tx.is_empty() && b.rx.is_empty());
    assert!(bench.block.cycles() - start < 10_000, "stopped for the hold time");
    for cq in 0..QUEUES {
        bench.marker(cq % 2 == 1, cq);
    }
    bench.settle();
}

fn plain(rx: bool, cq: u64, esize: u64) -> Ring {
    Ring {
        rx,
        base: cq << 20,
        log_depth: 10,
        esize,
        vector: cq,
        pushed: 0,
        written: 0,
        expected: VecDeque::new(),
    }
}

/// Cycles of `count` TX and `count` RX entries over `pairs` queue pairs, and writes.
fn rate(wide: bool, pairs: u64, count: u64) -> (f64, u64) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut bench = Bench::new(wide, 1, false);
    for pair in 0..pairs {
        bench.create(2 * pair, plain(false, 2 * pair, 0));
        bench.create(2 * pair + 1, plain(true, 2 * pair + 1, 1));
    }
    for i in 0..count {
        bench.entry(false, 2 * (i % pairs), &mut rng);
        bench.entry(true, 2 * (i % pairs) + 1, &mut rng);
    }
    let start = bench.block.cycles();
    bench.settle();
    ((bench.block.cycles() - start) as f64 / count as f64, bench.writes)
}

#[test]
fn an_entry_a_cycle() {
    for wide in [true, false] {
        for pairs in [1, 4, 8] {
            let (cycles, writes) = rate(wide, pairs, 2048);
            println!(
                "wide {wide}, {pairs} pairs: {cycles:.2} cycles a looped frame, {writes} writes"
            );
            assert!(cycles < 2.5);
        }
        // Full lines: 8 TX entries, 4 RX entries.
        assert_eq!(rate(wide, 1, 2048).1, 2048 / 8 + 2048 / 4);
    }
}

#[test]
fn latency_of_a_lone_entry_and_of_a_full_line() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut bench = Bench::new(true, 1, false);
    bench.create(0, plain(true, 0, 1));
    bench.entry(true, 0, &mut rng);
    let start = bench.block.cycles();
    bench.run_until(|b| b.writes == 1);
    let lone = bench.block.cycles() - start;
    for _ in 0..3 {
        bench.entry(true, 0, &mut rng);
    }
    let start = bench.block.cycles();
    bench.run_until(|b| b.writes == 2);
    let full = bench.block.cycles() - start;
    println!("lone {lone}, full {full}");
    assert!(lone <= HOLD + 12 + QUEUES && full <= 12);
    bench.settle();
}

/// Who ends a queue knows that none of its events is on its way.
#[test]
fn a_command_ends_behind_the_events_before_it() {
    for (wide, destroy) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut bench = Bench::new(wide, 3, false);
        let mut rng = StdRng::seed_from_u64(3);
        let of = |cq: u64, vector| Ring {
            rx: true,
            base: cq << 21,
            log_depth: 6,
            esize: 1,
            vector,
            pushed: 0,
            written: 0,
            expected: VecDeque::new(),
        };
        bench.create(1, of(1, 7));
        let ports =
            Ports::named(&bench.block, "event_valid", "event_ready", &["event_vector", "event_rx"]);
        bench.event = Sink::new(&bench.block, ports, Stalls::new(5, 99));
        // Three lines: as many events as wait for their taker, and one less.
        for _ in 0..12 {
            bench.entry(true, 1, &mut rng);
        }
        bench.run_until(|b| b.writes == 3);
        assert!(!bench.events.is_empty());
        match destroy {
            true => bench.destroy(1),
            false => bench.create(2, of(2, 8)),
        }
        assert!(bench.events.is_empty());
    }
}
