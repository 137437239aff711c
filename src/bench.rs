//! `nitor bench`: figures in cycles, which repeat exactly for the same seed.

use crate::machine::{self, Nic};
use crate::report::{self, Failure, Table};
use crate::{Outcome, Width};
use nitor_driver::pci::PciFunction;
use nitor_driver::Segment;
use nitor_sim::stats::LinkStats;
use serde::Serialize;
use std::time::Instant;

#[derive(clap::Subcommand)]
pub enum Bench {
    /// Frames sent and looped back to receive on one card
    Loop(Args),
}

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  nitor bench loop --frame 60 --count 4096 --width 512 --queues 4 --json"
)]
pub struct Args {
    /// Bytes of a frame, without FCS
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u64).range(60..=9216))]
    frame: u64,
    /// Frames
    #[arg(long, default_value = "4096", value_parser = clap::value_parser!(u64).range(16..=10_000_000))]
    count: u64,
    /// Bits of the data path
    #[arg(long, value_enum, default_value = "128")]
    width: Width,
    /// Queue pairs
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=16))]
    queues: u16,
    /// Seed of everything random
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// What a run measured. Rates are those of its middle: the first and last eighth of the frames are left out. Both cards' MACs run at
/// 25 Gb/s at 128 bits, at 100 Gb/s at 512.
#[derive(Serialize)]
struct Measured {
    frame: u64,
    width: Width,
    queues: u16,
    seed: u64,
    frames: u64,
    lost: u64,
    cycles_per_frame: f64,
    tlps_per_frame: f64,
    link_bytes_per_frame: f64,
    bytes_per_cycle: f64,
    latency_cycles_p50: u64,
    latency_cycles_p99: u64,
    sim_cycles_per_second: u64,
}

impl Bench {
    pub fn json(&self) -> bool {
        match self {
            Bench::Loop(args) => args.json,
        }
    }

    pub fn run(&self) -> Outcome {
        match self {
            Bench::Loop(args) => looped(args),
        }
    }
}

fn looped(args: &Args) -> Outcome {
    let measured = measure(args)?;
    if args.json {
        report::json(&measured);
    } else {
        let m = &measured;
        let mut table = Table::default();
        table
            .heading(format!(
                "{} frames of {} bytes looped on {} queue pairs, {} bits, seed {}",
                m.frames,
                m.frame,
                m.queues,
                u32::from(m.width),
                m.seed
            ))
            .row("cycles a frame", format!("{:.2}", m.cycles_per_frame))
            .row("TLPs from the card a frame", format!("{:.2}", m.tlps_per_frame))
            .row("bytes on the link a frame, both ways", format!("{:.1}", m.link_bytes_per_frame))
            .row("bytes a cycle, each way", format!("{:.2}", m.bytes_per_cycle))
            .row("latency, median, cycles", m.latency_cycles_p50)
            .row("latency, 99 %, cycles", m.latency_cycles_p99)
            .row("lost", m.lost)
            .row("simulated cycles a second", report::grouped(m.sim_cycles_per_second));
        table.print();
    }
    if measured.lost != 0 {
        return Err(Failure::Check(format!("{} frames were lost", measured.lost)));
    }
    Ok(())
}

/// A UDP frame of its own flow, so that RSS has something to spread.
fn fill(frame: &mut [u8], n: usize) {
    frame[..12].copy_from_slice(&[machine::mac(0), machine::mac(0)].concat());
    let ip_len = (frame.len() - 14) as u16;
    frame[12..24].copy_from_slice(&[
        8,
        0,
        0x45,
        0,
        (ip_len >> 8) as u8,
        ip_len as u8,
        0,
        0,
        0x40,
        0,
        64,
        17,
    ]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&(1024 + (n % 4096) as u16).to_be_bytes());
    frame[36..38].copy_from_slice(&9u16.to_be_bytes());
    frame[42..50].copy_from_slice(&(n as u64).to_be_bytes());
}

/// Most frames between send and receive, per queue pair.
const WINDOW: usize = 384;
/// Frames that a sender gives one queue before it turns to the next.
const RUN: usize = 16;

/// Where the run stood when a frame came in.
#[derive(Clone, Copy)]
struct Mark {
    frames: usize,
    cycle: u64,
    stats: LinkStats,
}

impl Mark {
    fn now(nic: &Nic, frames: usize) -> Self {
        let world = nic.function().world().borrow();
        Mark { frames, cycle: world.now(), stats: world.host(0).root.stats }
    }

    /// TLPs that the card originated: its answers to register reads are the host's.
    fn originated(&self) -> u64 {
        self.stats.upstream.total().tlps - self.stats.upstream.completions.tlps
    }

    fn link_bytes(&self) -> u64 {
        self.stats.upstream.total().link_bytes + self.stats.downstream.total().link_bytes
    }
}

fn measure(args: &Args) -> Result<Measured, Failure> {
    let world = machine::world(args.seed, args.width, 1)?;
    world.borrow_mut().connect(0, 0, machine::wire(args.width));
    let queues = usize::from(args.queues);
    let buffer = (args.frame as u16).next_multiple_of(64).max(192);
    let mtu = (args.frame as u32 - 14).max(128);
    let mut nic = machine::open(&world, 0, machine::config(args.queues, buffer, mtu))?;

    let len = args.frame as usize;
    let count = args.count as usize;
    let stride = len.next_multiple_of(64);
    let slots = count.min(2 * WINDOW * queues);
    let mut memory = nic
        .function()
        .alloc_dma(slots * stride, 4096)
        .map_err(|e| Failure::Environment(e.to_string()))?;
    let mut sent_at = vec![0; count];
    let mut latencies = Vec::with_capacity(count);
    let mut seen = vec![false; count];
    let (mut sent, mut received) = (0, 0);
    let (from, to) = (count / 8, count - count / 8);
    let mut begin = Mark::now(&nic, 0);
    let mut end = begin;
    let started = Instant::now();
    let first = begin.cycle;
    let mut last_arrival = first;
    while received < count {
        for q in 0..queues {
            nic.pair(q).tx.reap(usize::MAX, |_| ()).map_err(machine::fault)?;
        }
        let now = world.borrow().now();
        while sent < count && sent - received < WINDOW * queues {
            let at = sent % slots * stride;
            fill(&mut memory.as_mut_slice()[at..at + len], sent);
            let segment = Segment { iova: memory.iova() + at as u64, len };
            if nic.pair(sent / RUN % queues).tx.send(&[segment], sent as u64).is_err() {
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
                let bytes = frame.contiguous().unwrap_or_default();
                let number =
                    bytes.get(42..50).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
                let n = number.map_or(usize::MAX, |n| n as usize);
                if n >= sent || seen[n] || bytes.len() != len {
                    return Err(Failure::Check(format!(
                        "a frame of {} bytes came back wrong",
                        frame.len()
                    )));
                }
                seen[n] = true;
                latencies.push(now - sent_at[n]);
                came += 1;
            }
            received += came;
            if came > 0 {
                last_arrival = now;
                if received - came < from {
                    begin = Mark::now(&nic, received);
                }
                if received - came < to {
                    end = Mark::now(&nic, received);
                }
            }
            nic.pair(q).rx.refill();
        }
        // A millisecond without a frame: the rest is lost.
        if now - last_arrival > 250_000 {
            break;
        }
        nic.function().wait(machine::MOMENT);
    }
    let cycles = world.borrow().now() - first;
    let wall = started.elapsed().as_secs_f64();
    machine::clean(&world.borrow())?;
    latencies.sort_unstable();
    let percentile = |p: usize| latencies.get(latencies.len() * p / 100).copied().unwrap_or(0);
    let middle = (end.frames - begin.frames).max(1) as f64;
    let cycles_per_frame = (end.cycle - begin.cycle) as f64 / middle;
    Ok(Measured {
        frame: args.frame,
        width: args.width,
        queues: args.queues,
        seed: args.seed,
        frames: received as u64,
        lost: (count - received) as u64,
        cycles_per_frame,
        tlps_per_frame: (end.originated() - begin.originated()) as f64 / middle,
        link_bytes_per_frame: (end.link_bytes() - begin.link_bytes()) as f64 / middle,
        bytes_per_cycle: len as f64 / cycles_per_frame.max(f64::MIN_POSITIVE),
        latency_cycles_p50: percentile(50),
        latency_cycles_p99: percentile(99),
        sim_cycles_per_second: (cycles as f64 / wall) as u64,
    })
}
