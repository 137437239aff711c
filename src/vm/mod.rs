//! `nitor vm`: virtual machines whose stock kernels drive Verilated cards.

mod guest;
mod initramfs;
mod setup;

use crate::report::{self, Failure};
use crate::{Outcome, Width};
use guest::{Guest, Shape};
use nitor_vfio::{machine, peer, Machine, Options, Summary};
use std::fs;
use std::io::{stdout, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nitor vm\n  nitor vm -- ping -c 3 10.77.0.1\n  nitor vm --guests 2 --pcap wire.pcapng -- ethtool -S eth0"
)]
pub struct Args {
    /// Virtual machines, a card each; one has a host of ours on its wire (10.77.0.1), two have each other (10.77.0.2, .3)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    guests: u8,
    /// Queue pairs, and virtual processors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    queues: u8,
    /// Debian's 6.1, 6.12 or newest, or the file of a kernel image
    #[arg(long, default_value = "6.1")]
    kernel: String,
    /// Bits of the cards' data paths
    #[arg(long, value_enum, default_value = "128")]
    width: Width,
    /// Write the first card's waves, as FST
    #[arg(long)]
    waves: Option<PathBuf>,
    /// Cycles of waves
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    waves_cycles: u64,
    /// Write what the wire carries, as pcapng
    #[arg(long)]
    pcap: Option<PathBuf>,
    /// Seed of everything random in the simulation
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What to run in each guest, by its shell; else an interactive one in the first
    #[arg(last = true)]
    command: Vec<String>,
}

/// Guests and their cards.
struct Lab {
    guests: Vec<Guest>,
    machine: Machine,
    /// Sockets, consoles, the initramfs.
    _folder: tempfile::TempDir,
}

/// What a lab is made of.
struct Plan<'a> {
    options: Options,
    kernel: &'a str,
    processors: u32,
}

impl Lab {
    fn open(plan: &Plan) -> Result<Self, Failure> {
        let (tools, kernel) = setup::get(plan.kernel)?;
        let cannot = |e: std::io::Error| Failure::Environment(format!("the cards: {e}"));
        let folder = tempfile::Builder::new().prefix("nitor-vm").tempdir().map_err(cannot)?;
        let initramfs = folder.path().join("initramfs");
        fs::write(&initramfs, initramfs::pack(&tools, &kernel)?).map_err(cannot)?;
        let machine = Machine::start(&plan.options, folder.path()).map_err(cannot)?;
        let mut lab = Lab { guests: Vec::new(), machine, _folder: folder };
        for number in 0..plan.options.guests {
            let socket = machine::socket(lab._folder.path(), number);
            let shape = Shape {
                number,
                processors: plan.processors,
                memory_mib: 256,
                socket: Some(&socket),
                more: &[],
            };
            let guest = Guest::boot(&tools, &kernel, &initramfs, lab._folder.path(), &shape)?;
            lab.guests.push(guest);
        }
        Ok(lab)
    }

    /// Ends the guests, then the cards. What the cards did wrong is a failed check.
    fn close(mut self) -> Result<Summary, Failure> {
        for guest in self.guests.drain(..) {
            guest.shut_down();
        }
        let cards = |e: std::io::Error| Failure::Environment(format!("the cards: {e}"));
        let summary = self.machine.summary().map_err(cards)?;
        self.machine.finish().map_err(cards)?;
        match summary.violations.first() {
            None => Ok(summary),
            Some(first) => Err(Failure::Check(format!(
                "the root complexes object {} times, first: {first}",
                summary.violations.len()
            ))),
        }
    }
}

/// Loads the driver and gives the interface its address.
fn up(number: usize) -> String {
    format!(
        "insmod /lib/modules/ena.ko && ip addr add 10.77.0.{}/24 dev eth0 && ip link set eth0 up",
        number + 2
    )
}

pub fn run(args: &Args) -> Outcome {
    let options = Options {
        width: args.width.into(),
        guests: args.guests.into(),
        seed: args.seed,
        pcap: args.pcap.clone(),
        waves: args.waves.clone().map(|path| (path, args.waves_cycles)),
    };
    let plan = Plan { options, kernel: &args.kernel, processors: args.queues.into() };
    let mut lab = Lab::open(&plan)?;
    for guest in &mut lab.guests {
        let number = guest.number;
        let ran = guest.run(&up(number), Duration::from_secs(120))?;
        if ran.status != 0 {
            let output = ran.output.trim();
            return Err(Failure::Check(format!("guest {number}: the driver: {output}")));
        }
    }
    let command = args.command.join(" ");
    let mut worst = 0;
    for guest in &mut lab.guests {
        guest.start(&command)?;
    }
    for guest in &mut lab.guests {
        let status = guest.wait(Duration::from_secs(3600), |bytes| {
            let _ = stdout().write_all(bytes);
            let _ = stdout().flush();
        })?;
        worst = worst.max(status);
    }
    let summary = lab.close()?;
    eprintln!("{summary:#?}");
    match worst {
        0 => Ok(()),
        status => Err(Failure::Check(format!("the command ended with {status}"))),
    }
}
