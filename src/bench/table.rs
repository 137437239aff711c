//! `nitor bench table`: the rows that compare cards, for one card or several.

use super::frames::Sizes;
use super::looped::{measure, Measured};
use super::LoopArgs;
use crate::cards::Named;
use crate::report::{self, Failure};
use crate::Outcome;
use indicatif::ProgressBar;
use nitor_hdl::cards::{CARD_128, CARD_512};
use serde::Serialize;

#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  nitor bench table\n  nitor bench table --card card-512 --json"
)]
pub struct Args {
    /// A card, or several, each with a --card of its own; if left out, card-128 and card-512
    #[arg(long)]
    card: Vec<Named>,
    /// Seed of everything random
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Rows {
    rows: Vec<Measured>,
}

/// Frame, queue pairs, latency in nanoseconds.
const ROWS: [(Sizes, u16, u64); 14] = [
    (Sizes::Fixed(60), 1, 1000),
    (Sizes::Fixed(60), 4, 1000),
    (Sizes::Fixed(60), 16, 1000),
    (Sizes::Fixed(60), 1, 2000),
    (Sizes::Fixed(60), 4, 2000),
    (Sizes::Fixed(60), 16, 2000),
    (Sizes::Imix, 1, 1000),
    (Sizes::Imix, 16, 1000),
    (Sizes::Fixed(1514), 1, 1000),
    (Sizes::Fixed(1514), 16, 1000),
    (Sizes::Fixed(9000), 1, 1000),
    (Sizes::Fixed(9000), 16, 1000),
    (Sizes::Mixed, 1, 1000),
    (Sizes::Mixed, 16, 1000),
];

fn arguments(card: Named, seed: u64, (frame, queues, latency): (Sizes, u16, u64)) -> LoopArgs {
    // Jumbo frames at the highest rate that the link to the host carries: the wire must not be the
    // limit.
    let jumbo = frame == Sizes::Fixed(9000) && card.width == 512;
    // Enough frames for several runs.
    let typical = if frame == Sizes::Mixed { 1000 } else { frame.longest() as u64 };
    LoopArgs {
        frame,
        count: (8_000_000 / typical).clamp(1000, 4096 * u64::from(queues).min(4)),
        card,
        queues,
        latency,
        wire: jumbo.then_some(112),
        max_read: 512,
        llq: false,
        stages: false,
        seed,
        json: false,
    }
}

pub fn run(args: &Args) -> Outcome {
    let cards = match args.card.as_slice() {
        [] => &[Named(&CARD_128), Named(&CARD_512)],
        cards => cards,
    };
    let all = cards.iter().flat_map(|&card| ROWS.map(|row| arguments(card, args.seed, row)));
    // A small card has no rows with many queues.
    let all: Vec<_> = all.filter(|row| usize::from(row.queues) <= row.card.queues()).collect();
    let of = all.len();
    let progress = if args.json { ProgressBar::hidden() } else { ProgressBar::new(of as u64) };
    let (mut rows, mut failure) = (vec![], None);
    for arguments in all {
        match measure(&arguments) {
            Ok(row) => {
                let lost = row.failure();
                failure = failure.or(lost);
                rows.push(row);
            }
            // If the user stops the bench, the rows measured so far are shown.
            Err(stop) => {
                failure = Some(match stop {
                    Failure::Stopped(signal, far) => {
                        let far = format!("{} of {of} rows were measured; {far}", rows.len());
                        Failure::Stopped(signal, far)
                    }
                    other => other,
                });
                break;
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    report::conclude(args.json, &Rows { rows }, print, failure)
}

fn print(Rows { rows }: &Rows) {
    say!(
        "| card | frame | queues | read latency | wire | cycles a frame | bytes a cycle, each way | TLPs a frame | link bytes a frame | lost |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for m in rows {
        let frame = match m.frame {
            Sizes::Fixed(bytes) => bytes.to_string(),
            Sizes::Imix => "IMIX".into(),
            Sizes::Mixed => "mixed".into(),
        };
        say!(
            "| {} | {frame} | {} | {} ns | {} Gb/s | {:.2} | {:.2} | {:.2} | {:.0} | {} |",
            m.card.name,
            m.queues,
            m.latency_ns,
            m.wire_gbps,
            m.cycles_per_frame,
            m.bytes_per_cycle,
            m.tlps_per_frame,
            m.link_bytes_per_frame,
            m.lost
        );
    }
}
