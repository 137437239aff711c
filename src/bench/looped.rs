//! Measures throughput: frames that one card sends and that its wire loops back to be received, as
//! fast as possible.

use super::frames::{self, Sizes};
use super::stages::{self, Counts, Stage};
use super::LoopArgs;
use crate::arrivals;
use crate::cards::Named;
use crate::machine::{self, Nic};
use crate::report::Failure;
use crate::signals;
use nitor_abi::mgmt::Counter;
use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, Offload, Push, Segment};
use nitor_sim::completer::Latency;
use nitor_sim::stats::LinkStats;
use nitor_sim::CYCLE_NS;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// What a run measured. Rates are those of its middle: the first and last eighth of the frames are left out.
#[derive(Serialize)]
pub struct Measured {
    pub frame: Sizes,
    #[serde(flatten)]
    pub card: Named,
    pub queues: u16,
    pub llq: bool,
    pub latency_ns: u64,
    pub wire_gbps: f64,
    max_read: u32,
    pub seed: u64,
    pub frames: u64,
    pub lost: u64,
    /// The numbers of the lost ones, from 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<usize>,
    pub cycles_per_frame: f64,
    pub tlps_per_frame: f64,
    pub link_bytes_per_frame: f64,
    pub bytes_per_cycle: f64,
    pub latency_cycles_p50: u64,
    pub latency_cycles_p99: u64,
    pub sim_cycles_per_second: u64,
    /// Counters of the card that tell of anything but traffic, where they are not 0.
    pub counted: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<Stage>>,
}

/// Most frames and bytes between send and receive, per queue pair and in all.
const WINDOW: usize = 384;
const WINDOW_BYTES: usize = 2 << 20;
/// Frames that are pushed wait on the way to the card, and what it needs to receive waits behind them: so many cycles of the link at most.
const PUSHED_CYCLES: usize = 512;
const LINE_BITS: usize = 128 * 8;
/// Frames that a sender gives one queue before it turns to the next.
const RUN: usize = 16;
/// Cycles without a frame after which the rest is lost: a millisecond.
const PATIENCE: u64 = 250_000;

/// Cycles between bringing up the card and the first frame: 40 us.
const SETTLE: u64 = 10_000;

/// Where the run stood when a frame came in.
#[derive(Clone)]
struct Mark {
    frames: usize,
    bytes: usize,
    cycle: u64,
    stats: LinkStats,
    streams: Counts,
}

impl Measured {
    /// What is wrong with it: frames that are lost.
    pub fn failure(&self) -> Option<Failure> {
        if self.lost == 0 {
            return None;
        }
        let counted: Vec<_> = self.counted.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let counted = match counted.is_empty() {
            true => "the card counted no drop".to_string(),
            false => format!("the card counted {}", counted.join(", ")),
        };
        let of = self.frames + self.lost;
        let missing = arrivals::were(&self.missing);
        Some(Failure::Check(format!("of {of} frames: {missing} lost; {counted}")))
    }
}

impl Mark {
    fn now(nic: &Nic, frames: usize, bytes: usize) -> Self {
        let streams = stages::counts(nic.function());
        let world = nic.function().world().borrow();
        Mark { frames, bytes, cycle: world.now(), stats: world.host(0).root.stats, streams }
    }

    /// TLPs that the card originated: its answers to register reads are the host's.
    fn originated(&self) -> u64 {
        self.stats.upstream.total().tlps - self.stats.upstream.completions.tlps
    }

    fn link_bytes(&self) -> u64 {
        self.stats.upstream.total().link_bytes + self.stats.downstream.total().link_bytes
    }
}

pub fn measure(args: &LoopArgs) -> Result<Measured, Failure> {
    args.card.check(args.queues, args.llq)?;
    let world = machine::world_of(args.seed, args.card, 1, |host| {
        host.root.completer.latency = Latency::around(args.latency / CYCLE_NS);
        host.root.max_read_request = args.max_read;
    })?;
    let mut wire = machine::wire(args.card);
    wire.rate = args.wire.map(f64::from).or(wire.rate);
    let wire_gbps = wire.rate.unwrap_or_default();
    world.borrow_mut().connect(0, 0, wire);
    let queues = usize::from(args.queues);
    let longest = args.frame.longest();
    let buffer = (longest as u16).next_multiple_of(64).max(192);
    let mtu = (longest as u32 - 14).max(128);
    let push = if args.llq { Push::Lines } else { Push::Never };
    let config = Config { push, ..machine::config(args.queues, buffer, mtu) };
    let mut nic = machine::open(&world, 0, config)?;

    // Meanwhile the card fills its cache of receive descriptors: the bench measures a card that is
    // running, not one that starts.
    world.borrow_mut().step(SETTLE);

    let count = args.count as usize;
    let sizes = args.frame.list(count, args.seed);
    let stride = longest.next_multiple_of(64);
    let window = if args.llq {
        PUSHED_CYCLES * args.card.width / LINE_BITS
    } else {
        (WINDOW * queues).min((WINDOW_BYTES / longest).max(2 * RUN * queues))
    };
    let slots = count.min(2 * window);
    let mut memory = nic
        .function()
        .alloc_dma(slots * stride, 4096)
        .map_err(|e| Failure::Environment(e.to_string()))?;
    let mut sent_at = vec![0; count];
    let mut latencies = Vec::with_capacity(count);
    let mut seen = vec![false; count];
    let (mut sent, mut received, mut bytes) = (0, 0, 0);
    let (from, to) = (count / 8, count - count / 8);
    if args.stages {
        stages::start(&world);
    }
    let mut begin = Mark::now(&nic, 0, 0);
    let mut end = begin.clone();
    let started = Instant::now();
    let first = begin.cycle;
    let mut last_arrival = first;
    while received < count {
        signals::check(|| format!("{received} of {count} frames had come back"))?;
        for q in 0..queues {
            nic.pair(q).tx.reap(usize::MAX, |_| ()).map_err(machine::fault)?;
        }
        let now = world.borrow().now();
        while sent < count && sent - received < window {
            let (at, len) = (sent % slots * stride, sizes[sent]);
            frames::fill(&mut memory.as_mut_slice()[at..at + len], sent);
            let tx = &mut nic.pair(sent / RUN % queues).tx;
            let pushed = len.min(tx.max_push());
            let iova = memory.iova() + (at + pushed) as u64;
            let segment = Segment { iova, len: len - pushed };
            let head = &memory.as_slice()[at..at + pushed];
            if tx.send_pushed(head, &[segment], &Offload::default(), sent as u64).is_err() {
                break;
            }
            sent_at[sent] = now;
            sent += 1;
        }
        for q in 0..queues {
            nic.pair(q).tx.flush();
        }
        for q in 0..queues {
            let mut came = 0;
            while let Some(frame) = nic.pair(q).rx.receive().map_err(machine::fault)? {
                let contents = frame.contiguous().unwrap_or_default();
                let n = frames::number(contents).unwrap_or(usize::MAX);
                if n >= sent || seen[n] || contents.len() != sizes[n] {
                    let len = frame.len();
                    return Err(Failure::Check(format!("a frame of {len} bytes came back wrong")));
                }
                seen[n] = true;
                latencies.push(now - sent_at[n]);
                came += 1;
                bytes += contents.len();
            }
            received += came;
            if came > 0 {
                last_arrival = now;
                if received - came < from {
                    begin = Mark::now(&nic, received, bytes);
                }
                if received - came < to {
                    end = Mark::now(&nic, received, bytes);
                }
            }
            nic.pair(q).rx.refill();
        }
        if now - last_arrival > PATIENCE {
            break;
        }
        nic.function().wait(machine::MOMENT);
    }
    let cycles = world.borrow().now() - first;
    let wall = started.elapsed().as_secs_f64();
    let counters =
        nic.counters().map_err(|e| Failure::Check(format!("the card does not answer: {e}")))?;
    let telling = |(counter, count): &(Counter, u64)| !counter.is_traffic() && *count != 0;
    let counted = counters.into_iter().filter(telling).map(|(c, count)| (c.name(), count));
    machine::clean(&world.borrow())?;
    latencies.sort_unstable();
    let percentile = |p: usize| latencies.get(latencies.len() * p / 100).copied().unwrap_or(0);
    let middle = (end.frames - begin.frames).max(1) as f64;
    let cycles_of_middle = (end.cycle - begin.cycle) as f64;
    let stages = args.stages.then(|| stages::table(&begin.streams, &end.streams, middle));
    Ok(Measured {
        frame: args.frame,
        card: args.card,
        queues: args.queues,
        llq: args.llq,
        latency_ns: args.latency,
        wire_gbps,
        max_read: args.max_read,
        seed: args.seed,
        frames: received as u64,
        lost: (count - received) as u64,
        missing: (1..=count).filter(|n| !seen[n - 1]).collect(),
        cycles_per_frame: cycles_of_middle / middle,
        tlps_per_frame: (end.originated() - begin.originated()) as f64 / middle,
        link_bytes_per_frame: (end.link_bytes() - begin.link_bytes()) as f64 / middle,
        bytes_per_cycle: (end.bytes - begin.bytes) as f64 / cycles_of_middle.max(1.0),
        latency_cycles_p50: percentile(50),
        latency_cycles_p99: percentile(99),
        sim_cycles_per_second: (cycles as f64 / wall) as u64,
        counted: counted.collect(),
        stages,
    })
}
