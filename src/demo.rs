//! `nitor demo`: two hosts, a card each, one wire. A capture crosses frame by frame, then a file over TCP.

use crate::capture::Capture;
use crate::machine::{self, Host};
use crate::report::{self, Failure, Table};
use crate::{tcp, Outcome, Width};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use nitor_driver::pci::PciFunction;
use nitor_driver::Segment;
use nitor_sim::stats::{LinkStats, Traffic};
use nitor_sim::World;
use serde::Serialize;
use std::cell::RefCell;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  nitor demo\n  nitor demo --pcap trace.pcapng --width 512 --wire wire.pcapng\n  \
                        nitor demo --waves card.fst --json"
)]
pub struct Args {
    /// Capture to send, pcap or pcapng; else a recording of ping, DNS, HTTP and iperf
    #[arg(long)]
    pcap: Option<PathBuf>,
    /// Bits of the cards' data paths
    #[arg(long, value_enum, default_value = "128")]
    width: Width,
    /// Where to write what the wire saw, as pcapng
    #[arg(long, default_value = "nitor-demo.pcapng")]
    wire: PathBuf,
    /// Write host A's card's waves, as FST, from its first frame on
    #[arg(long)]
    waves: Option<PathBuf>,
    /// Cycles of waves
    #[arg(long, default_value = "20000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    waves_cycles: u64,
    /// Bytes of the file that is fetched over TCP
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    file: u64,
    /// Seed of everything random
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// TLPs of both cards by kind, a frame.
#[derive(Serialize)]
struct Tlps {
    reads: f64,
    writes: f64,
    interrupts: f64,
    completions_to_card: f64,
}

#[derive(Serialize)]
struct Crossing {
    frames: usize,
    bytes: usize,
    losses: usize,
    cycles: u64,
    cycles_per_frame: f64,
    tlps_per_frame: Tlps,
    doorbells: u64,
    interrupts: u64,
}

#[derive(Serialize)]
struct Report {
    width: Width,
    seed: u64,
    capture: String,
    wire: PathBuf,
    waves: Option<PathBuf>,
    crossing: Crossing,
    tcp: tcp::Fetched,
    sim_cycles_per_second: u64,
}

/// The default capture: tests/captures/record makes it.
const RECORDED: &[u8] = include_bytes!("../tests/captures/mixed.pcap");
/// The longest frame the card carries: MTU 9216, Ethernet header, a VLAN tag.
const LONGEST: usize = 9216 + 14 + 4;

/// Makes a file, or fails: what writes waves says nothing of it.
fn regular(path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    let file = File::create(path).with_context(|| format!("cannot write {name}"))?;
    anyhow::ensure!(file.metadata()?.is_file(), "cannot write waves to {name}: it is no file");
    Ok(())
}

pub fn run(args: &Args) -> Outcome {
    let (name, capture) = match &args.pcap {
        Some(path) => (path.display().to_string(), Capture::read(path, LONGEST)),
        None => ("recorded".to_string(), Capture::parse("the recorded capture", RECORDED, LONGEST)),
    };
    let frames = capture.map_err(report::input)?.frames;
    let started = Instant::now();
    let world = machine::world(args.seed, args.width, 2)?;
    world.borrow_mut().connect(0, 1, machine::wire(args.width));
    let create = || -> anyhow::Result<()> {
        let file = File::create(&args.wire)
            .with_context(|| format!("cannot write {}", args.wire.display()))?;
        Ok(world.borrow_mut().start_capture(Box::new(BufWriter::new(file)))?)
    };
    create().map_err(report::environment)?;
    if let Some(path) = &args.waves {
        regular(path).map_err(report::environment)?;
    }
    let mut a = Host::open(&world, 0, 2048, 9216)?;
    let mut b = Host::open(&world, 1, 2048, 9216)?;
    if let Some(path) = &args.waves {
        let now = world.borrow().now();
        world.borrow_mut().add_waves(0, path, now..now + args.waves_cycles);
    }

    let crossing = cross(&world, &mut a, &mut b, &frames, !args.json)?;
    let tcp = tcp::fetch(a, b, args.file as usize)?;
    let finish = world.borrow_mut().finish_capture();
    finish
        .map_err(|e| Failure::Environment(format!("cannot write {}: {e}", args.wire.display())))?;
    machine::clean(&world.borrow())?;
    let cycles = world.borrow().now();
    let report = Report {
        width: args.width,
        seed: args.seed,
        capture: name,
        wire: args.wire.clone(),
        waves: args.waves.clone(),
        crossing,
        tcp,
        sim_cycles_per_second: (cycles as f64 / started.elapsed().as_secs_f64()) as u64,
    };
    if args.json {
        report::json(&report);
    } else {
        print(&report);
    }
    match report.crossing.losses {
        0 => Ok(()),
        n => Err(Failure::Check(format!("{n} frames were lost"))),
    }
}

/// Both cards' traffic.
fn traffic(world: &World) -> (LinkStats, LinkStats) {
    (world.host(0).root.stats, world.host(1).root.stats)
}

/// Frames on their way at once.
const WINDOW: usize = 256;
/// Cycles, a millisecond, without a frame after which the others are lost.
const PATIENCE: u64 = 250_000;

fn cross(
    world: &Rc<RefCell<World>>,
    a: &mut Host,
    b: &mut Host,
    frames: &[Vec<u8>],
    show: bool,
) -> Result<Crossing, Failure> {
    let stride = LONGEST.next_multiple_of(64);
    let slots = frames.len().min(2 * WINDOW);
    let mut memory = a
        .nic
        .function()
        .alloc_dma(slots * stride, 4096)
        .map_err(|e| Failure::Environment(e.to_string()))?;
    let bar = match show {
        true => ProgressBar::new(frames.len() as u64),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("  crossing {bar:40} {pos}/{len} frames") {
        bar.set_style(style);
    }
    let before = traffic(&world.borrow());
    let begin = world.borrow().now();
    let (mut sent, mut received, mut last_arrival) = (0, 0, begin);
    while received < frames.len() {
        if a.interrupted() {
            a.nic.pair(0).tx.reap(usize::MAX, |_| ()).map_err(machine::fault)?;
            a.nic.pair(0).unmask();
        }
        while sent < frames.len() && sent - received < WINDOW {
            let at = sent % slots * stride;
            let frame = &frames[sent];
            memory.as_mut_slice()[at..at + frame.len()].copy_from_slice(frame);
            // Headers and payload from two places, as a stack would hand them over.
            let split = frame.len().min(54);
            let iova = memory.iova() + at as u64;
            let head = Segment { iova, len: split };
            let rest = Segment { iova: iova + split as u64, len: frame.len() - split };
            let pieces = [head, rest];
            let used = if rest.len == 0 { 1 } else { 2 };
            if a.nic.pair(0).tx.send(&pieces[..used], sent as u64).is_err() {
                break;
            }
            sent += 1;
        }
        a.nic.pair(0).tx.flush();
        let now = world.borrow().now();
        if now - last_arrival > PATIENCE {
            break;
        }
        if !b.interrupted() {
            continue;
        }
        while let Some(frame) = b.nic.pair(0).rx.receive().map_err(machine::fault)? {
            let mut expected = frames.get(received).cloned().unwrap_or_default();
            expected.resize(expected.len().max(60), 0);
            if frame.to_vec() != expected {
                return Err(Failure::Check(format!(
                    "frame {} of {} bytes arrived differently ({} bytes)",
                    received + 1,
                    expected.len(),
                    frame.len()
                )));
            }
            received += 1;
            last_arrival = now;
        }
        b.nic.pair(0).rx.refill();
        b.nic.pair(0).unmask();
        bar.set_position(received as u64);
    }
    bar.finish_and_clear();
    // What is sent must complete before its memory goes.
    while a.nic.pair(0).tx.oldest().is_some() {
        if world.borrow().now() - last_arrival > PATIENCE {
            return Err(Failure::Check("a frame sent does not complete".into()));
        }
        if a.interrupted() {
            a.nic.pair(0).tx.reap(usize::MAX, |_| ()).map_err(machine::fault)?;
            a.nic.pair(0).unmask();
        }
    }
    let cycles = world.borrow().now() - begin;
    let after = traffic(&world.borrow());
    let per_frame = |of: fn(&Traffic) -> u64, up: bool| {
        let side = |s: &LinkStats| of(if up { &s.upstream } else { &s.downstream });
        let sum = |s: &(LinkStats, LinkStats)| side(&s.0) + side(&s.1);
        (sum(&after) - sum(&before)) as f64 / received.max(1) as f64
    };
    let total =
        |of: fn(&LinkStats) -> u64| of(&after.0) + of(&after.1) - of(&before.0) - of(&before.1);
    Ok(Crossing {
        frames: received,
        bytes: frames.iter().take(received).map(Vec::len).sum(),
        losses: frames.len() - received,
        cycles,
        cycles_per_frame: cycles as f64 / received.max(1) as f64,
        tlps_per_frame: Tlps {
            reads: per_frame(|t| t.reads.tlps, true),
            writes: per_frame(|t| t.writes.tlps, true),
            interrupts: per_frame(|t| t.interrupts.tlps, true),
            completions_to_card: per_frame(|t| t.completions.tlps, false),
        },
        doorbells: total(|s| s.downstream.doorbells.tlps),
        interrupts: total(|s| s.upstream.interrupts.tlps),
    })
}

fn print(r: &Report) {
    let c = &r.crossing;
    let mut table = Table::default();
    table
        .heading(format!(
            "A capture ({}) from host A to host B, {} bits, seed {}",
            r.capture,
            u32::from(r.width),
            r.seed
        ))
        .row("frames, each checked byte for byte", report::grouped(c.frames as u64))
        .row("bytes", report::grouped(c.bytes as u64))
        .row("lost", c.losses)
        .row("cycles", report::grouped(c.cycles))
        .row("cycles a frame", format!("{:.1}", c.cycles_per_frame))
        .row("read TLPs a frame", format!("{:.2}", c.tlps_per_frame.reads))
        .row("write TLPs a frame", format!("{:.2}", c.tlps_per_frame.writes))
        .row(
            "completion TLPs to the cards a frame",
            format!("{:.2}", c.tlps_per_frame.completions_to_card),
        )
        .row("doorbells", c.doorbells)
        .row("interrupts", c.interrupts)
        .heading("A file from host A to host B over TCP, a TCP/IP stack on each card")
        .row("bytes, each checked", report::grouped(r.tcp.bytes as u64))
        .row("cycles", report::grouped(r.tcp.cycles))
        .row("bits a cycle", format!("{:.2}", r.tcp.bits_per_cycle))
        .heading("Simulation")
        .row("cycles a second, two cards", report::grouped(r.sim_cycles_per_second));
    table.print();
    say!("\nWhat the wire saw: {} (opens in Wireshark)", r.wire.display());
    if let Some(waves) = &r.waves {
        say!("Host A's card: {} (opens in GTKWave or Surfer)", waves.display());
    }
    say!("Again: nitor demo --width {} --seed {}", u32::from(r.width), r.seed);
}
