//! `nitor replay`: replays a recorded session of a stock driver with a card, without a virtual
//! machine.

use crate::cards::Named;
use crate::files::{self, Files};
use crate::report::{self, grouped, Failure, Table};
use crate::{signals, Outcome};
use nitor_vfio::replay::{replay_while, Variation};
use serde::Serialize;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nitor vm --record ping.trace -- ping -c 3 10.77.0.1\n  nitor replay ping.trace"
)]
pub struct Args {
    /// A trace that `nitor vm --record` has written
    trace: PathBuf,
    /// Another card than it was recorded with
    #[arg(long)]
    card: Option<Named>,
    /// Another seed than it was recorded with
    #[arg(long)]
    seed: Option<u64>,
    /// Cycles that a read of host memory takes, more or less; 0 is as it was recorded
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    latency: u64,
    /// Write the card's waves, as FST
    #[arg(long)]
    waves: Option<PathBuf>,
    /// Cycles of waves
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    waves_cycles: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Report {
    about: String,
    #[serde(flatten)]
    card: Named,
    steps: u64,
    register_writes: u64,
    frames_in: u64,
    frames_out: u64,
    completions: u64,
    interrupts: u64,
    cycles: u64,
    /// The first of what the card did otherwise than when this was recorded.
    differences: Vec<String>,
    /// Of all the card did, with the cycle: the same in each run with the same RTL.
    digest: String,
}

pub fn run(args: &Args) -> Outcome {
    let variation = Variation {
        card: args.card.map(|card| card.0),
        seed: args.seed,
        latency: args.latency,
        waves: args.waves.clone().map(|path| (path, args.waves_cycles)),
    };
    let mut files = Files::default();
    files.reads("the trace", &args.trace);
    if let Some(path) = &args.waves {
        files.writes_waves("--waves", path);
    }
    files.check()?;
    // This is checked before the file of waves is overwritten.
    let missing = |e: std::io::Error| Failure::Input(format!("{}: {e}", args.trace.display()));
    File::open(&args.trace).map_err(missing)?;
    if let Some(path) = &args.waves {
        files::make_regular(path)?;
    }
    signals::watch()?;
    let mut go_on = || signals::caught().is_none();
    let done = replay_while(&args.trace, &variation, &mut go_on).map_err(|e| {
        let text = format!("{}: {e}", args.trace.display());
        match e.kind() {
            ErrorKind::InvalidData => Failure::Input(format!(
                "{text}; take another copy of it, or record it again with `nitor vm --record`"
            )),
            ErrorKind::InvalidInput | ErrorKind::NotFound => Failure::Input(text),
            _ => Failure::Environment(text),
        }
    })?;
    signals::check(|| match &args.waves {
        Some(waves) => format!("{} steps were done; {} until then", done.steps, waves.display()),
        None => format!("{} steps were done", done.steps),
    })?;
    let failure = match (done.violations.first(), done.differences.len()) {
        (Some(first), _) => Some(format!("the root complex objects: {first}")),
        (None, 0) => None,
        (None, _) => Some("the card does not do what it did when this was recorded".into()),
    };
    let report = Report {
        about: done.about,
        card: Named(done.card),
        steps: done.steps,
        register_writes: done.register_writes,
        frames_in: done.frames_in,
        frames_out: done.frames_out,
        completions: done.completions,
        interrupts: done.interrupts,
        cycles: done.cycles,
        differences: done.differences,
        digest: format!("{:016x}", done.digest),
    };
    let wrong = failure.is_some();
    let print = |report: &Report| {
        if !wrong {
            print(report)
        }
    };
    for difference in &report.differences {
        report::complain(format_args!("{difference}"));
    }
    report::conclude(args.json, &report, print, failure.map(Failure::Check))
}

fn print(report: &Report) {
    let mut table = Table::default();
    table.heading(format!("{}, {}: the card does the same", report.about, report.card.name));
    table.row("register writes", grouped(report.register_writes));
    table.row("frames to the card", grouped(report.frames_in));
    table.row("frames from it, byte for byte", grouped(report.frames_out));
    table.row("completions", grouped(report.completions));
    table.row("interrupts", grouped(report.interrupts));
    table.row("cycles", grouped(report.cycles));
    table.row("digest", &report.digest);
    table.print();
}
