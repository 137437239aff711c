//! `nitor vm`: virtual machines whose stock kernels drive Verilated cards.

mod bench;
mod dpdk;
mod guest;
mod initramfs;
mod lab;
mod setup;
mod shell;
mod story;

use crate::cards::Named;
use crate::files::Files;
use crate::report::{self, Failure};
use crate::{signals, Outcome};
use lab::{Lab, Plan};
use nitor_vfio::Options;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  nitor vm\n  nitor vm -- ping -c 3 10.77.0.1\n  \
                  nitor vm --guests 2 --pcap wire.pcapng -- ethtool -S eth0\n  nitor vm --kernel newest --queues 4\n  nitor vm --story\n  nitor vm --bench")]
pub struct Args {
    /// Virtual machines, a card each: one has a host of ours on its wire (10.77.0.1), two have each other (10.77.0.2, .3)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    guests: u8,
    /// Queue pairs, and virtual processors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    queues: u8,
    /// Debian's 6.1, 6.1-generic, 6.12 or newest, or the file of a kernel image
    #[arg(long, default_value = "6.1")]
    kernel: String,
    /// Give the guests an IOMMU, used strictly
    #[arg(long)]
    iommu: bool,
    /// Put DPDK 22.11 into the guests, with an IOMMU. Without a command: two guests, testpmd in the second answers the first
    /// one's kernel, each step checked
    #[arg(long, conflicts_with_all = ["story", "bench"])]
    dpdk: bool,
    /// The cards: `nitor cards` lists them
    #[arg(long, default_value = "card-128")]
    card: Named,
    /// Write the first card's waves, as FST
    #[arg(long)]
    waves: Option<PathBuf>,
    /// Cycles of waves
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    waves_cycles: u64,
    /// Write what the wire carries, as pcapng
    #[arg(long)]
    pcap: Option<PathBuf>,
    /// Write a trace of what the driver does to the card, for `nitor replay`; one guest with one processor
    #[arg(long, conflicts_with = "story")]
    record: Option<PathBuf>,
    /// Seed of everything random in the simulation
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play what a stock driver does with the card, step by step, each checked
    #[arg(long, conflicts_with = "command")]
    story: bool,
    /// Measure throughput with the card, and with one that QEMU emulates
    #[arg(long, conflicts_with_all = ["command", "story", "record", "kernel", "guests"])]
    bench: bool,
    /// Of the measurement: print it as JSON
    #[arg(long, requires = "bench")]
    pub json: bool,
    /// Of the story and the measurement: KiB of the file that crosses by TCP
    #[arg(long, default_value = "2048", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    file: u64,
    /// What to run in each guest, by its shell; else an interactive one in the first
    #[arg(last = true)]
    command: Vec<String>,
}

/// Loads the driver and gives the interface its address.
fn up(driver: &str, number: usize) -> String {
    format!(
        "insmod /lib/modules/{driver}.ko && ip addr add 10.77.0.{}/24 dev eth0 && ip link set eth0 up",
        number + 2
    )
}

/// The longest that a command may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

pub fn run(args: &Args) -> Outcome {
    let options = Options {
        card: args.card.0,
        guests: args.guests.into(),
        apart: false,
        seed: args.seed,
        latency: 0,
        pcap: args.pcap.clone(),
        waves: args.waves.clone().map(|path| (path, args.waves_cycles)),
        record: None,
        stopped: Some(|| signals::caught().is_some()),
    };
    let mut plan = Plan {
        options,
        kernel: args.kernel.clone(),
        processors: args.queues.into(),
        iommu: args.iommu || args.dpdk,
        port: false,
        dpdk: args.dpdk,
    };
    let mut files = Files::default();
    args.pcap.iter().for_each(|path| _ = files.writes("--pcap", path));
    args.waves.iter().for_each(|path| _ = files.writes_waves("--waves", path));
    args.record.iter().for_each(|path| _ = files.writes("--record", path));
    files.check()?;
    signals::watch()?;
    if args.story {
        return story::play(&plan, args.file, &story::STORY);
    }
    if args.dpdk && args.command.is_empty() {
        return story::play(&plan, args.file, &dpdk::PARTS);
    }
    if args.bench {
        return bench::run(&plan, args.file, args.json);
    }
    if let Some(path) = &args.record {
        if args.guests != 1 || args.queues != 1 {
            let what = "--record takes one guest with one queue pair: its memory must stand still while the card works";
            return Err(Failure::Input(what.into()));
        }
        let command = args.command.join(" ");
        let about: String = command.lines().next().unwrap_or_default().chars().take(60).collect();
        plan.options.record = Some((path.clone(), format!("Linux {}: {about}", args.kernel)));
    }
    let mut lab = Lab::open(&plan)?;
    let status = session(&mut lab, args).map_err(|failure| lab.abandon(failure))?;
    lab.close()?;
    match status {
        0 => Ok(()),
        status => Err(Failure::Check(format!("the command ended with {status}"))),
    }
}

/// Loads the drivers and runs the command, or a shell; the command's worst exit status.
fn session(lab: &mut Lab, args: &Args) -> Result<i32, Failure> {
    for guest in &mut lab.guests {
        let number = guest.number;
        let ran = guest.run(&up("ena", number), Duration::from_secs(120))?;
        if ran.status != 0 {
            let output = ran.output.trim();
            return Err(Failure::Check(format!("guest {number}: the driver: {output}")));
        }
    }
    let mut worst = 0;
    if args.command.is_empty() {
        shell::relay(&mut lab.guests[0])?;
    } else {
        let command = args.command.join(" ");
        for guest in &mut lab.guests {
            guest.start(&command)?;
        }
        for guest in &mut lab.guests {
            // The output is not filtered: it may be meant for a program, or to clear the screen.
            let status = guest.wait(PATIENCE, report::write)?;
            worst = worst.max(status);
        }
    }
    Ok(worst)
}
