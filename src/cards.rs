//! The cards by name, and `nitor cards`, which lists them.

use crate::report::{self, grouped, Failure};
use crate::synth::figures::Figures;
use crate::Outcome;
use clap::builder::PossibleValue;
use clap::ValueEnum;
use nitor_hdl::{CardSpec, CARDS};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::LazyLock;

/// A card that an argument names.
#[derive(Clone, Copy, Debug)]
pub struct Named(pub &'static CardSpec);

impl Named {
    /// Gb/s of the wire that a card with such a data path is made for.
    pub fn wire(&self) -> f64 {
        match self.width {
            512 => 100.0,
            _ => 25.0,
        }
    }

    /// Refuses more queue pairs than the card has, and low-latency queues of one that has none.
    pub fn check(&self, queues: u16, llq: bool) -> Result<(), Failure> {
        if usize::from(queues) > self.queues() {
            return Err(Failure::Input(format!(
                "{} has {} queue pairs; --queues {queues} is too many",
                self.name,
                self.queues()
            )));
        }
        if llq && self.log_lines == 0 {
            return Err(Failure::Input(format!(
                "{} has no low-latency queues; `nitor cards` says which cards have some",
                self.name
            )));
        }
        Ok(())
    }
}

impl Deref for Named {
    type Target = CardSpec;

    fn deref(&self) -> &CardSpec {
        self.0
    }
}

impl ValueEnum for Named {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Named>> = LazyLock::new(|| CARDS.iter().map(Named).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        // `nitor cards` describes each card: here the descriptions would lengthen the help of every
        // command.
        Some(PossibleValue::new(self.name))
    }
}

/// To be flattened: the card's name, and its data path's bits.
impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_struct("Named", 2)?;
        all.serialize_field("card", self.name)?;
        all.serialize_field("width", &self.width)?;
        all.end()
    }
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  nitor cards\n  nitor demo --card card-512\n  \
    nitor bench loop --card ecp5-evn --queues 4")]
pub struct Args {
    /// Folder of `nitor synth`'s results; for boards without one there, what is recorded is shown
    #[arg(long, default_value = "build/synth")]
    synth: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(serde::Serialize)]
struct Line {
    name: &'static str,
    about: &'static str,
    width: usize,
    queue_pairs: usize,
    reads_under_way: usize,
    /// Bytes of the packet buffer in either direction.
    buffer: usize,
    /// Lines of 128 bytes for each queue pair that is a low-latency one.
    lines: usize,
    tx_offloads: bool,
    rx_checksums: bool,
    /// Of its board, if it has one.
    synthesis: Option<Figures>,
}

#[derive(serde::Serialize)]
struct Lines {
    cards: Vec<Line>,
}

pub fn run(args: &Args) -> Outcome {
    let line = |card: &'static CardSpec| Line {
        name: card.name,
        about: card.about,
        width: card.width,
        queue_pairs: card.queues(),
        reads_under_way: 1 << card.log_tags,
        buffer: card.buffer(),
        lines: if card.log_lines == 0 { 0 } else { 1 << (card.log_lines - card.log_queues) },
        tx_offloads: card.tx_offloads,
        rx_checksums: card.classifier.checksums(),
        synthesis: Figures::last(&args.synth, card.name),
    };
    report::conclude(args.json, &Lines { cards: CARDS.iter().map(line).collect() }, print, None)
}

fn print(Lines { cards }: &Lines) {
    let row = |cells: [&str; 9]| {
        let [name, bits, queues, reads, buffer, lines, sums, luts, clock] = cells;
        say!("{name:<18}{bits:>5}{queues:>7}{reads:>7}{buffer:>8}{lines:>7}  {sums:<9}{luts:>8}{clock:>20}");
    };
    row(["card", "bits", "queues", "reads", "buffer", "lines", "checksums", "LUT4", "clock"]);
    for card in cards {
        let sums = match (card.tx_offloads, card.rx_checksums) {
            (true, true) => "TX and RX",
            (true, false) => "TX",
            (false, true) => "RX",
            (false, false) => "none",
        };
        let (luts, clock) = match &card.synthesis {
            Some(s) => (grouped(s.luts), format!("{:.1} of {:.1} MHz", s.mhz, s.needed_mhz)),
            None => Default::default(),
        };
        row([
            card.name,
            &card.width.to_string(),
            &card.queue_pairs.to_string(),
            &card.reads_under_way.to_string(),
            &format!("{} KiB", card.buffer / 1024),
            &card.lines.to_string(),
            sums,
            &luts,
            &clock,
        ]);
    }
    say!(
        "\nqueues: pairs; reads: DMA reads under way; buffer: of packets, each way; lines: of 128 bytes, for\n\
         a low-latency queue. LUT4 and clock are the whole board's: reached, and needed by the card.\n\
         Try: nitor demo --card card-512    nitor synth --board ulx3s-85f"
    );
}
