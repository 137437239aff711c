//! `nitor demo`: two hosts, a card each, one wire. A capture crosses frame by frame, then a file over TCP.

use crate::arrivals::{Arrivals, Wrong};
use crate::cards::Named;
use crate::files::{self, Files};
use crate::machine::{self, Host};
use crate::report::{self, grouped, Failure, Table};
use crate::{shell, signals, tcp, Outcome};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use nitor_capture::Capture;
use nitor_driver::pci::PciFunction;
use nitor_driver::Segment;
use nitor_sim::stats::{LinkStats, Traffic};
use nitor_sim::wire::WireConfig;
use nitor_sim::World;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  nitor demo\n  nitor demo --pcap trace.pcapng --card card-512 --wire wire.pcapng\n  \
                        nitor demo --waves card.fst --json"
)]
pub struct Args {
    /// Capture to send, pcap or pcapng, also packed by gzip; `-` is standard input; else a recording of ping, DNS, HTTP and iperf
    #[arg(long)]
    pcap: Option<PathBuf>,
    /// The cards: `nitor cards` lists them
    #[arg(long, default_value = "card-128")]
    card: Named,
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
    /// Not arrived as they are in the capture.
    losses: usize,
    wrong: Wrong,
    /// Counters of the cards that tell of anything but traffic, where they are not 0.
    counted: BTreeMap<String, u64>,
    cycles: u64,
    cycles_per_frame: f64,
    tlps_per_frame: Tlps,
    doorbells: u64,
    interrupts: u64,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    card: Named,
    seed: u64,
    capture: String,
    wire: String,
    waves: Option<String>,
    crossing: Crossing,
    /// Absent if the file did not come.
    tcp: Option<tcp::Fetched>,
    sim_cycles_per_second: u64,
}

/// The default capture: tests/captures/record makes it.
const RECORDED: &[u8] = include_bytes!("../tests/captures/mixed.pcap");
/// The longest frame the card carries: MTU 9216, Ethernet header, a VLAN tag.
const LONGEST: usize = 9216 + 14 + 4;

pub fn run(args: &Args) -> Outcome {
    let mut files = Files::default();
    if let Some(path) = &args.pcap {
        files.reads("--pcap", path);
    }
    files.writes("--wire", &args.wire);
    if let Some(path) = &args.waves {
        files.writes_waves("--waves", path);
    }
    files.check()?;
    let (name, capture) = match &args.pcap {
        Some(path) => (path.display().to_string(), Capture::read(path, LONGEST)),
        None => ("recorded".to_string(), Capture::parse("the recorded capture", RECORDED, LONGEST)),
    };
    let frames = capture.map_err(report::input)?.frames;
    signals::watch()?;
    let (report, failure) = measure(args, name, &frames, machine::wire(args.card))?;
    report::conclude(args.json, &report, print, failure)
}

/// Runs both parts; what there is to report, and whether all is well.
fn measure(
    args: &Args,
    capture: String,
    frames: &[Vec<u8>],
    wire: WireConfig,
) -> Result<(Report, Option<Failure>), Failure> {
    // This comes before the cards are made, whose model may take a minute.
    let file = File::create(&args.wire)
        .with_context(|| format!("cannot write {}", args.wire.display()))
        .map_err(report::environment)?;
    if let Some(path) = &args.waves {
        files::make_regular(path)?;
    }
    let waves = args.waves.is_some();
    let world = machine::world_of(args.seed, args.card, 2, |host| host.features.waves = waves)?;
    let started = Instant::now();
    world.borrow_mut().connect(0, 1, wire);
    let captured = world.borrow_mut().start_capture(Box::new(BufWriter::new(file)));
    captured.map_err(|e| report::environment(e.into()))?;
    let played = play(args, &world, frames);
    signals::closing();
    let finish = world.borrow_mut().finish_capture();
    if let (Ok(_) | Err(Failure::Stopped(..)), Err(e)) = (&played, finish) {
        return Err(Failure::Environment(format!("cannot write {}: {e}", args.wire.display())));
    }
    let (crossing, tcp) = played.map_err(|failure| stopped(failure, args))?;
    let (tcp, mut failed) = match tcp {
        Ok(fetched) => (Some(fetched), None),
        Err(failure) => (None, Some(failure)),
    };
    let ended = failed.take_if(|failure| matches!(failure, Failure::Stopped(..)));
    // Missing frames are the likely cause of any other failure.
    let missing = || crossing.failure(frames.len());
    let failure =
        ended.or_else(missing).or_else(|| machine::clean(&world.borrow()).err()).or(failed);
    let cycles = world.borrow().now();
    let report = Report {
        card: args.card,
        seed: args.seed,
        capture,
        wire: args.wire.display().to_string(),
        waves: args.waves.as_ref().map(|path| path.display().to_string()),
        crossing,
        tcp,
        sim_cycles_per_second: (cycles as f64 / started.elapsed().as_secs_f64()) as u64,
    };
    Ok((report, failure.map(|failure| stopped(failure, args))))
}

/// Where what a stopped run has written is.
fn stopped(failure: Failure, args: &Args) -> Failure {
    match failure {
        Failure::Stopped(signal, far) => {
            let waves = args.waves.as_deref().map(|waves| format!(" and {}", waves.display()));
            let wire = args.wire.display();
            Failure::Stopped(
                signal,
                format!("{far}; {wire}{} until then", waves.unwrap_or_default()),
            )
        }
        other => other,
    }
}

type Played = (Crossing, Result<tcp::Fetched, Failure>);

fn play(args: &Args, world: &Rc<RefCell<World>>, frames: &[Vec<u8>]) -> Result<Played, Failure> {
    let mut a = Host::open(world, 0, 2048, 9216)?;
    let mut b = Host::open(world, 1, 2048, 9216)?;
    if let Some(path) = &args.waves {
        let now = world.borrow().now();
        world.borrow_mut().add_waves(0, path, now..now + args.waves_cycles);
    }
    let crossing = cross(world, &mut a, &mut b, frames, !args.json)?;
    Ok((crossing, tcp::fetch(a, b, args.file as usize)))
}

impl Crossing {
    /// What is wrong with it, if anything is, of `sent` frames.
    fn failure(&self, sent: usize) -> Option<Failure> {
        if self.wrong.is_nothing() {
            return None;
        }
        let counted: Vec<_> = self.counted.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let counted = match counted.is_empty() {
            true => "no card counted a drop".to_string(),
            false => format!("counted: {}", counted.join(", ")),
        };
        let wrong = self.wrong.text();
        Some(Failure::Check(format!("of {} frames: {wrong}; {counted}", grouped(sent as u64))))
    }
}

/// Both cards' traffic.
fn traffic(world: &World) -> (LinkStats, LinkStats) {
    (world.host(0).root.stats, world.host(1).root.stats)
}

/// Frames on their way at once.
const WINDOW: usize = 256;
/// Cycles, a millisecond, without a frame after which those under way are lost.
const PATIENCE: u64 = 250_000;
/// So often in a row, and the others are not sent.
const EMPTY_WINDOWS: u32 = 2;

/// A card pads to the shortest frame.
fn same(sent: &[u8], arrived: &[u8]) -> bool {
    arrived.len() == sent.len().max(60)
        && arrived.starts_with(sent)
        && arrived[sent.len()..].iter().all(|&byte| byte == 0)
}

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
    let expected: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut arrivals = Arrivals::new(&expected, same);
    let (mut sent, mut completed, mut last_arrival, mut empty) = (0, 0, begin, 0);
    while arrivals.passed(sent) < frames.len() {
        signals::check(|| {
            bar.finish_and_clear();
            format!("{} of {} frames had crossed", arrivals.good(), frames.len())
        })?;
        if a.interrupted() {
            let reaped = a.nic.pair(0).tx.reap(usize::MAX, |_| ()).map_err(machine::fault)?;
            completed += reaped;
            a.nic.pair(0).unmask();
        }
        // The card may read a packet until it completes.
        let free = |sent: usize| sent - arrivals.passed(sent) < WINDOW && sent - completed < slots;
        while sent < frames.len() && free(sent) {
            let at = sent % slots * stride;
            let frame = &frames[sent];
            memory.as_mut_slice()[at..at + frame.len()].copy_from_slice(frame);
            // Headers and payload come from two places, as from a stack.
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
            empty += 1;
            if empty == EMPTY_WINDOWS {
                break;
            }
            arrivals.give_up(sent);
            last_arrival = now;
        }
        if !b.interrupted() {
            continue;
        }
        while let Some(frame) = b.nic.pair(0).rx.receive().map_err(machine::fault)? {
            arrivals.take(&frame.to_vec(), sent);
            (last_arrival, empty) = (now, 0);
        }
        b.nic.pair(0).rx.refill();
        b.nic.pair(0).unmask();
        bar.set_position(arrivals.good() as u64);
    }
    bar.finish_and_clear();
    let (good, wrong) = (arrivals.good(), arrivals.end(sent));
    // Packets must complete before their memory is freed.
    while a.nic.pair(0).tx.oldest().is_some() {
        if world.borrow().now() - last_arrival > PATIENCE {
            let wrong = wrong.text();
            return Err(Failure::Check(format!("a frame sent does not complete; {wrong}")));
        }
        if a.interrupted() {
            a.nic.pair(0).tx.reap(usize::MAX, |_| ()).map_err(machine::fault)?;
            a.nic.pair(0).unmask();
        }
    }
    let cycles = world.borrow().now() - begin;
    let after = traffic(&world.borrow());
    let mut counted = BTreeMap::new();
    if !wrong.is_nothing() {
        for (name, host) in [("A", &mut *a), ("B", b)] {
            let counters = host.nic.counters();
            let silent = |e: nitor_driver::Error| {
                format!("{}; host {name}'s card does not answer: {e}", wrong.text())
            };
            let counters = counters.map_err(|e| Failure::Check(silent(e)))?;
            let telling = counters.into_iter().filter(|(c, n)| !c.is_traffic() && *n != 0);
            counted.extend(telling.map(|(c, n)| (format!("{name}.{}", c.name()), n)));
        }
    }
    let per_frame = |of: fn(&Traffic) -> u64, up: bool| {
        let side = |s: &LinkStats| of(if up { &s.upstream } else { &s.downstream });
        let sum = |s: &(LinkStats, LinkStats)| side(&s.0) + side(&s.1);
        (sum(&after) - sum(&before)) as f64 / good.max(1) as f64
    };
    let total =
        |of: fn(&LinkStats) -> u64| of(&after.0) + of(&after.1) - of(&before.0) - of(&before.1);
    let bad = wrong.lost.iter().chain(&wrong.damaged).map(|n| n - 1);
    let bytes: usize = frames[..sent].iter().map(Vec::len).sum();
    Ok(Crossing {
        frames: good,
        bytes: bytes - bad.map(|n| frames[n].len()).sum::<usize>(),
        losses: frames.len() - good,
        wrong,
        counted,
        cycles,
        cycles_per_frame: cycles as f64 / good.max(1) as f64,
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
            "A capture ({}) from host A to host B, {}, seed {}",
            r.capture, r.card.name, r.seed
        ))
        .row("frames, each checked byte for byte", grouped(c.frames as u64))
        .row("bytes", grouped(c.bytes as u64))
        .row("lost", c.losses)
        .row("cycles", grouped(c.cycles))
        .row("cycles a frame", format!("{:.1}", c.cycles_per_frame))
        .row("read TLPs a frame", format!("{:.2}", c.tlps_per_frame.reads))
        .row("write TLPs a frame", format!("{:.2}", c.tlps_per_frame.writes))
        .row(
            "completion TLPs to the cards a frame",
            format!("{:.2}", c.tlps_per_frame.completions_to_card),
        )
        .row("doorbells", c.doorbells)
        .row("interrupts", c.interrupts);
    for (name, count) in &c.counted {
        table.row(format!("the card counted {name}"), grouped(*count));
    }
    if let Some(tcp) = &r.tcp {
        table
            .heading("A file from host A to host B over TCP, a TCP/IP stack on each card")
            .row("bytes, each checked", grouped(tcp.bytes as u64))
            .row("cycles", grouped(tcp.cycles))
            .row("bits a cycle", format!("{:.2}", tcp.bits_per_cycle));
    }
    table.heading("Simulation").row("cycles a second, two cards", grouped(r.sim_cycles_per_second));
    table.print();
    say!("\nWhat the wire saw: {} (opens in Wireshark)", r.wire);
    if let Some(waves) = &r.waves {
        say!("Host A's card: {} (opens in GTKWave or Surfer)", waves);
    }
    let card = r.card.name.to_string();
    let again = shell::again(&[("--card", card), ("--seed", r.seed.to_string())]);
    say!("Again: {again}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use nitor_hdl::cards::CARD_128;

    /// A wire that damages frames: the card drops them, and counts. Each is named, and all others have come.
    #[test]
    fn what_a_wire_damages_is_lost_and_the_rest_arrives() {
        let frames: Vec<Vec<u8>> =
            (0..400u32).map(|n| n.to_be_bytes().repeat(15 + n as usize % 60)).collect();
        let world = machine::world_of(7, Named(&CARD_128), 2, |_| ()).unwrap();
        let wire = WireConfig { damage: 0.03, ..machine::wire(Named(&CARD_128)) };
        world.borrow_mut().connect(0, 1, wire);
        let mut a = Host::open(&world, 0, 2048, 9216).unwrap();
        let mut b = Host::open(&world, 1, 2048, 9216).unwrap();
        let crossing = cross(&world, &mut a, &mut b, &frames, false).unwrap();
        let damaged = world.borrow().wire(0).stats.damaged as usize;
        assert!((4..30).contains(&damaged), "{damaged}");
        let Wrong { lost, damaged: differ, late, strange, unsent, .. } = &crossing.wrong;
        assert_eq!(
            (lost.len(), differ.len(), late.len(), *strange, *unsent),
            (damaged, 0, 0, 0, 0)
        );
        assert_eq!((crossing.frames, crossing.losses), (400 - damaged, damaged));
        assert_eq!(crossing.counted.values().sum::<u64>(), damaged as u64);
        assert!(crossing.counted.keys().all(|name| name.starts_with("B.")));
        let Some(Failure::Check(said)) = crossing.failure(400) else { panic!() };
        assert!(said.starts_with(&format!("of 400 frames: frames {}", lost[0])), "{said}");
        let counted: Vec<_> = crossing.counted.iter().map(|(c, n)| format!("{c} {n}")).collect();
        assert!(said.ends_with(&format!("counted: {}", counted.join(", "))), "{said}");
    }
}
