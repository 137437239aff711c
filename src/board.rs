//! `nitor board`: drives a board without PCIe over its cable.

use crate::arrivals::{Arrivals, Wrong};
use crate::files::Files;
use crate::machine::{self, mac};
use crate::report::{self, grouped, Failure, Table};
use crate::{signals, Outcome};
use indicatif::{ProgressBar, ProgressStyle};
use nitor_board::{CabledCard, Error, Link, Simulated, Wire};
use nitor_capture::Capture;
use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, Ena, Segment};
use nitor_fw::Settings;
use nitor_hdl::board::event;
use nitor_sim::firmware::standard;
use nitor_sim::host::HostConfig;
use nitor_sim::{HostFunction, World};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
#[command(after_help = "Links:\n  \
    udp:ADDRESS     Ethernet; the subnet's broadcast address finds the board whatever its own, which is 192.168.77.2\n  \
    serial:DEVICE   3 Mbaud\n  \
    sim:BOARD       the board's Verilated top behind a real socket or pseudo-terminal\n\
    Examples:\n  nitor board --link sim:colorlight-5a-75b demo\n  nitor board --link udp:192.168.77.255 demo --cable\n  \
    nitor board --link serial:/dev/ttyUSB0 status")]
pub struct Args {
    /// Where the board is
    #[arg(long)]
    link: String,
    /// Seconds to wait for the board
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Bring up the driver, send frames and take them back, each checked
    Demo(Demo),
    /// Clock and counters of the board; resets the card
    Status {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Demo {
    /// Frames to send: those of the capture, over and over
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: u32,
    /// A capture to take them from, pcap or pcapng, also packed by gzip; `-` is standard input
    #[arg(long)]
    pcap: Option<PathBuf>,
    /// Over the board's Ethernet port and back, by a loop or somebody who sends all frames back; else they turn round in the board
    #[arg(long)]
    cable: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn json(&self) -> bool {
        match &self.what {
            What::Demo(demo) => demo.json,
            What::Status { json } => *json,
        }
    }
}

#[derive(Serialize)]
struct Report {
    link: String,
    core_mhz: f64,
    frames: usize,
    bytes: usize,
    seconds: f64,
    bits_per_second: f64,
    bring_up_seconds: f64,
    /// Frames that did not come back as they were sent.
    wrong: Wrong,
    counters: BTreeMap<&'static str, u32>,
}

/// The longest frame a driver with an MTU of 1,500 sends.
const LONGEST: usize = 1514;
const RECORDED: &[u8] = include_bytes!("../tests/captures/mixed.pcap");

fn failure(error: Error) -> Failure {
    match error {
        Error::Name(_) => Failure::Input(error.to_string()),
        _ => Failure::Environment(error.to_string()),
    }
}

/// A board, there or simulated.
struct Place {
    link: Link,
    simulated: Option<Simulated>,
    patience: Duration,
}

impl Place {
    fn find(args: &Args) -> Result<Self, Failure> {
        let link: Link = args.link.parse().map_err(failure)?;
        let simulated = match &link {
            Link::Simulated(board) => {
                Some(Simulated::start(board, Wire::Echo, 1).map_err(failure)?)
            }
            _ => None,
        };
        Ok(Place { link, simulated, patience: Duration::from_secs(args.patience) })
    }

    /// A new session, which resets the card.
    fn open(&self) -> Result<CabledCard, Failure> {
        let cable = match &self.simulated {
            Some(simulated) => simulated.cable(),
            None => self.link.cable(),
        };
        let cable = cable.map_err(failure)?;
        let card = CabledCard::open(&self.link.to_string(), cable, self.patience);
        signals::check(|| "the board was being asked for a session".into())?;
        card.map_err(failure)
    }

    /// Seconds on the board since `start`, which is ours unless it is simulated.
    fn now(&self, start: Instant) -> f64 {
        match &self.simulated {
            Some(simulated) => simulated.now().as_secs_f64(),
            None => start.elapsed().as_secs_f64(),
        }
    }
}

pub fn run(args: &Args) -> Outcome {
    if let What::Demo(Demo { pcap: Some(path), .. }) = &args.what {
        Files::default().reads("--pcap", path).check()?;
    }
    signals::watch()?;
    let place = Place::find(args)?;
    match &args.what {
        What::Status { json } => {
            let mut card = place.open()?;
            let status = Status::of(&mut card, &place)?;
            match json {
                true => report::json(&status),
                false => status.print(),
            }
            Ok(())
        }
        What::Demo(demo) => run_demo(&place, demo),
    }
}

#[derive(Serialize)]
struct Status {
    link: String,
    core_mhz: f64,
    counters: BTreeMap<&'static str, u32>,
}

impl Status {
    fn of(card: &mut CabledCard, place: &Place) -> Result<Self, Failure> {
        let core_mhz = card.hertz().map_err(failure)? as f64 / 1e6;
        let counters = event::NAMES.into_iter().zip(card.counters().map_err(failure)?).collect();
        Ok(Status { link: place.link.to_string(), core_mhz, counters })
    }

    fn print(&self) {
        let mut table = Table::default();
        table.heading(format!("A Nitor board at {}", self.link));
        table.row("core clock, MHz", self.core_mhz);
        for (name, count) in &self.counters {
            table.row(*name, grouped((*count).into()));
        }
        table.print();
    }
}

fn run_demo(place: &Place, demo: &Demo) -> Outcome {
    let capture = match &demo.pcap {
        Some(path) => Capture::read(path, LONGEST),
        None => Capture::parse("the recorded capture", RECORDED, LONGEST),
    };
    let frames = capture.map_err(report::input)?.frames;
    let frames: Vec<&[u8]> =
        frames.iter().map(Vec::as_slice).cycle().take(demo.frames as usize).collect();
    let start = Instant::now();
    let begin = place.now(start);
    let mut card = place.open()?;
    card.loop_wire(!demo.cable).map_err(failure)?;
    let mut config = HostConfig::new(128).with_firmware(standard(Settings::new(mac(0))));
    // The turns of a cable are not cycles. The card's own timeouts and the session report what does
    // not arrive.
    config.root.request_timeout = 1 << 40;
    let mut world = World::new(1);
    world
        .add_host_with(Box::new(card), config)
        .map_err(|e| Failure::Environment(format!("the host cannot be made: {e}")))?;
    let world = Rc::new(RefCell::new(world));
    let function = HostFunction::open(&world, 0)
        .map_err(|e| Failure::Check(format!("the card is not found: {e}")))?;
    let config = Config { tx_depth: 256, rx_depth: 256, ..machine::config(1, 2048, 1500) };
    let mut nic = Ena::open(function, config)
        .map_err(|e| Failure::Check(format!("the driver does not come up: {e}")))?;
    let up = place.now(start);
    let wrong = cross(&mut nic, &frames, !demo.json)?;
    let end = place.now(start);
    machine::clean(&world.borrow())?;
    drop(nic);
    drop(world);

    let status = Status::of(&mut place.open()?, place)?;
    let came = |n: &usize| !wrong.lost.contains(n) && !wrong.damaged.contains(n);
    let good: Vec<usize> = (1..=frames.len() - wrong.unsent).filter(came).collect();
    let bytes: usize = good.iter().map(|n| frames[n - 1].len()).sum();
    let failed = (!wrong.is_nothing()).then(|| {
        let counted = status.counters.iter().filter(|(_, n)| **n != 0);
        let counted: Vec<_> = counted.map(|(name, n)| format!("{name} {n}")).collect();
        let (of, wrong, counted) = (frames.len(), wrong.text(), counted.join(", "));
        Failure::Check(format!("of {of} frames: {wrong}; the board counted {counted}"))
    });
    let report = Report {
        link: status.link.clone(),
        core_mhz: status.core_mhz,
        frames: good.len(),
        bytes,
        seconds: end - up,
        bits_per_second: bytes as f64 * 8.0 / (end - up),
        bring_up_seconds: up - begin,
        wrong,
        counters: status.counters.clone(),
    };
    report::conclude(demo.json, &report, |report| print(report, &status), failed)
}

fn print(report: &Report, status: &Status) {
    let mut table = Table::default();
    table
        .heading(format!("Frames through the card at {} and back", report.link))
        .row("frames, each checked byte for byte", grouped(report.frames as u64))
        .row("bytes", grouped(report.bytes as u64))
        .row("seconds of the board, driver's bring-up", format!("{:.4}", report.bring_up_seconds))
        .row("seconds of the board, frames", format!("{:.4}", report.seconds))
        .row("Mb/s, each way", format!("{:.1}", report.bits_per_second / 1e6));
    table.print();
    status.print();
}

/// Frames under way at once.
const WINDOW: usize = 64;
/// So long without a frame, and those under way are lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// A wire pads to the shortest frame.
fn same(sent: &[u8], arrived: &[u8]) -> bool {
    arrived.len() <= sent.len().max(60)
        && arrived.starts_with(sent)
        && arrived[sent.len()..].iter().all(|&byte| byte == 0)
}

/// Sends the frames and takes them back; those that are not as they were.
fn cross(nic: &mut machine::Nic, frames: &[&[u8]], show: bool) -> Result<Wrong, Failure> {
    let stride = LONGEST.next_multiple_of(64);
    let slots = frames.len().min(2 * WINDOW);
    let memory = nic.function().alloc_dma(slots * stride, 4096);
    let mut memory = memory.map_err(|e| Failure::Environment(e.to_string()))?;
    let bar = match show {
        true => ProgressBar::new(frames.len() as u64),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("  crossing {bar:40} {pos}/{len} frames") {
        bar.set_style(style);
    }
    let mut arrivals = Arrivals::new(frames, same);
    let (mut sent, mut completed, mut last) = (0, 0, Instant::now());
    while arrivals.passed(sent) < frames.len() {
        signals::check(|| {
            bar.finish_and_clear();
            format!("{} of {} frames had come back", arrivals.good(), frames.len())
        })?;
        // The card may read a packet until it completes.
        while sent < frames.len()
            && sent - arrivals.passed(sent) < WINDOW
            && sent - completed < slots
        {
            let at = sent % slots * stride;
            let frame = frames[sent];
            memory.as_mut_slice()[at..at + frame.len()].copy_from_slice(frame);
            let segment = Segment { iova: memory.iova() + at as u64, len: frame.len() };
            if nic.pair(0).tx.send(&[segment], sent as u64).is_err() {
                break;
            }
            sent += 1;
        }
        nic.pair(0).tx.flush();
        completed += nic.pair(0).tx.reap(usize::MAX, |_| ()).map_err(machine::fault)?;
        while let Some(frame) = nic.pair(0).rx.receive().map_err(machine::fault)? {
            arrivals.take(&frame.to_vec(), sent);
            last = Instant::now();
        }
        nic.pair(0).rx.refill();
        nic.wait(Duration::from_micros(10));
        bar.set_position(arrivals.good() as u64);
        if last.elapsed() > PATIENCE {
            if arrivals.good() == 0 {
                let none = "none of the frames came back; is there a loop at the board's port?";
                return Err(Failure::Check(none.into()));
            }
            break;
        }
    }
    bar.finish_and_clear();
    Ok(arrivals.end(sent))
}
