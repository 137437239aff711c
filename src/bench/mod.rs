//! `nitor bench`: figures in cycles, which repeat exactly for the same seed.

mod frames;
mod latency;
mod looped;
mod stages;
mod table;

use crate::cards::Named;
use crate::report::{self, Table};
use crate::signals;
use crate::Outcome;
use frames::Sizes;
use looped::Measured;

#[derive(clap::Subcommand)]
pub enum Bench {
    /// Frames sent and looped back to receive on one card
    Loop(LoopArgs),
    /// One packet at a time, from the doorbell to the wire: descriptors in host memory against lines pushed into the card
    Latency(latency::Args),
    /// The rows by which cards are compared, as a table
    Table(table::Args),
}

#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  nitor bench loop --frame 60 --count 4096 --card card-512 --queues 4 --json\n  \
                  nitor bench loop --frame imix --card card-512 --latency 2000 --stages\n  \
                  nitor bench loop --frame 9000 --card card-512 --wire 120\n  \
                  nitor bench loop --frame mixed --seed 7\n  nitor bench loop --llq --card card-512"
)]
pub struct LoopArgs {
    /// Bytes of a frame without FCS, 60 to 9216; or imix: 60, 590 and 1,514 bytes as 7 : 4 : 1; or mixed: 60 to 9216 at random
    #[arg(long, default_value = "60")]
    frame: Sizes,
    /// Frames
    #[arg(long, default_value = "4096", value_parser = clap::value_parser!(u64).range(16..=10_000_000))]
    count: u64,
    /// The card: `nitor cards` lists them
    #[arg(long, default_value = "card-128")]
    card: Named,
    /// Queue pairs
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=16))]
    queues: u16,
    /// Nanoseconds from a read of the card to its answer, give or take a fifth
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u64).range(200..=20_000))]
    latency: u64,
    /// Gb/s of the wire, 1 to 400; 25 if left out at 128 bits, 100 at 512
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=400))]
    wire: Option<u16>,
    /// Bytes that a read of the card may ask for, as the host sets it
    #[arg(long, default_value = "512", value_parser = max_read)]
    max_read: u32,
    /// Push descriptors and up to 96 bytes of each frame into the card
    #[arg(long)]
    llq: bool,
    /// Show what each stage of the card does with its cycles
    #[arg(long)]
    stages: bool,
    /// Seed of everything random
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// As device control in the PCI Express capability has it.
fn max_read(text: &str) -> Result<u32, String> {
    let allowed = |bytes: &u32| bytes.is_power_of_two() && (128..=4096).contains(bytes);
    text.parse().ok().filter(allowed).ok_or_else(|| "give a power of two from 128 to 4096".into())
}

impl Bench {
    pub fn json(&self) -> bool {
        match self {
            Bench::Loop(args) => args.json,
            Bench::Latency(args) => args.json,
            Bench::Table(args) => args.json,
        }
    }

    pub fn run(&self) -> Outcome {
        signals::watch()?;
        match self {
            Bench::Loop(args) => looped(args),
            Bench::Latency(args) => latency::run(args),
            Bench::Table(args) => table::run(args),
        }
    }
}

fn looped(args: &LoopArgs) -> Outcome {
    let measured = looped::measure(args)?;
    let failure = measured.failure();
    report::conclude(args.json, &measured, print, failure)
}

fn print(m: &Measured) {
    let mut table = Table::default();
    table
        .heading(format!(
            "{} frames of {} looped on {} {}queue pairs, {}, seed {}",
            m.frames,
            m.frame.text(),
            m.queues,
            if m.llq { "low-latency " } else { "" },
            m.card.name,
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
    for (name, count) in &m.counted {
        table.row(format!("the card counted {name}"), count);
    }
    table.print();
    if let Some(stages) = &m.stages {
        stages::print(stages);
    }
}
