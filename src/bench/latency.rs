//! Measures one packet at a time: how long it takes from the doorbell to the frame, and what
//! crosses the link for it.

use super::frames;
use crate::cards::Named;
use crate::machine::{self, Nic};
use crate::report::{self, Failure, Table};
use crate::signals;
use crate::Outcome;
use nitor_abi::bar;
use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, Offload, Push, Segment};
use nitor_sim::completer::Latency;
use nitor_sim::stats::Event;
use nitor_sim::CYCLE_NS;
use serde::Serialize;

#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  nitor bench latency\n  nitor bench latency --frame 1514 --card card-512 --json"
)]
pub struct Args {
    /// Bytes of a frame without FCS
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u64).range(60..=9216))]
    frame: u64,
    /// Packets
    #[arg(long, default_value = "200", value_parser = clap::value_parser!(u64).range(16..=100_000))]
    count: u64,
    /// The card: `nitor cards` lists them
    #[arg(long, default_value = "card-128")]
    card: Named,
    /// Nanoseconds from a read of the card to its answer, give or take a fifth
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u64).range(200..=20_000))]
    latency: u64,
    /// Seed of everything random
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Measured {
    frame: u64,
    #[serde(flatten)]
    card: Named,
    packets: u64,
    latency_ns: u64,
    seed: u64,
    host: Kind,
    llq: Kind,
}

/// Of one kind of queue, a packet.
#[derive(Serialize)]
struct Kind {
    /// From the doorbell at the card to the frame's last beat at the MAC.
    cycles_p50: u64,
    cycles_max: u64,
    /// The doorbell and what goes before it, reads and completions.
    tlps_to_card: f64,
    tlps_from_card: f64,
    link_bytes: f64,
}

/// From a packet's completion to its frame's end, in cycles at the most.
const ON_THE_WAY: u64 = 1_000;
/// Cycles that a packet may take.
const PATIENCE: u64 = 250_000;

pub fn run(args: &Args) -> Outcome {
    args.card.check(1, true)?;
    let measured = Measured {
        frame: args.frame,
        card: args.card,
        packets: args.count,
        latency_ns: args.latency,
        seed: args.seed,
        host: measure(args, Push::Never)?,
        llq: measure(args, Push::Lines)?,
    };
    if args.json {
        report::json(&measured);
        return Ok(());
    }
    let Measured { host, llq, .. } = &measured;
    let mut table = Table::default();
    table.heading(format!(
        "{} packets of {} bytes, one at a time, {}, seed {}: host memory, and pushed",
        args.count, args.frame, args.card.name, args.seed
    ));
    let row = |name: &str, a: String, b: String| (name.to_string(), format!("{a:>8} {b:>8}"));
    for (name, value) in [
        row(
            "doorbell to the frame's last beat, median, cycles",
            host.cycles_p50.to_string(),
            llq.cycles_p50.to_string(),
        ),
        row("longest", host.cycles_max.to_string(), llq.cycles_max.to_string()),
        row(
            "TLPs to the card a packet",
            format!("{:.2}", host.tlps_to_card),
            format!("{:.2}", llq.tlps_to_card),
        ),
        row(
            "TLPs from the card a packet",
            format!("{:.2}", host.tlps_from_card),
            format!("{:.2}", llq.tlps_from_card),
        ),
        row(
            "bytes on the link a packet, both ways",
            format!("{:.1}", host.link_bytes),
            format!("{:.1}", llq.link_bytes),
        ),
    ] {
        table.row(name, value);
    }
    table.print();
    Ok(())
}

fn measure(args: &Args, push: Push) -> Result<Kind, Failure> {
    let world = machine::world_of(args.seed, args.card, 1, |host| {
        host.root.completer.latency = Latency::around(args.latency / CYCLE_NS);
    })?;
    // The frames go nowhere: this measures sending only.
    let mtu = (args.frame as u32).max(142) - 14;
    let config = Config { push, ..machine::config(1, 9216, mtu) };
    let mut nic: Nic = machine::open(&world, 0, config)?;
    let len = args.frame as usize;
    let mut memory =
        nic.function().alloc_dma(len, 4096).map_err(|e| Failure::Environment(e.to_string()))?;
    world.borrow_mut().step(10_000);
    let doorbell = {
        let mut world = world.borrow_mut();
        let root = &mut world.host_mut(0).root;
        root.keep_stamps(true);
        let base = root.function.bars[0].map_or(0, |bar| bar.base);
        base + u64::from(bar::TX_DOORBELLS)
    };
    let before = world.borrow().host(0).root.stats;
    let mut cycles = Vec::new();
    for n in 0..args.count as usize {
        let kind = if push == Push::Never { "host memory" } else { "pushed" };
        signals::check(|| format!("{n} of {} packets had left, {kind}", args.count))?;
        frames::fill(memory.as_mut_slice(), n);
        let tx = &mut nic.pair(0).tx;
        let pushed = len.min(tx.max_push());
        let segment = Segment { iova: memory.iova() + pushed as u64, len: len - pushed };
        let head = &memory.as_slice()[..pushed];
        tx.send_pushed(head, &[segment], &Offload::default(), n as u64)
            .map_err(|(refusal, _)| Failure::Check(format!("refused: {refusal:?}")))?;
        tx.flush();
        let start = world.borrow().now();
        while nic.pair(0).tx.reap(1, |_| ()).map_err(machine::fault)? == 0 {
            nic.function().wait(machine::MOMENT);
            if world.borrow().now() - start > PATIENCE {
                return Err(Failure::Check("a packet does not complete".into()));
            }
        }
        // A packet completes when the card has read all of it; its frame is still in the offload
        // blocks.
        world.borrow_mut().step(ON_THE_WAY);
        let stamps = world.borrow_mut().host_mut(0).root.take_stamps();
        let at = |wanted: &dyn Fn(&Event) -> bool| {
            stamps.iter().find(|stamp| wanted(&stamp.event)).map(|stamp| stamp.cycle)
        };
        let rung = at(
            &|event| matches!(event, Event::RegisterWritten { address, .. } if *address == doorbell),
        );
        let left = at(&|event| matches!(event, Event::FrameOut { .. }));
        let (Some(rung), Some(left)) = (rung, left) else {
            return Err(Failure::Check("a packet completes and no frame is there".into()));
        };
        cycles.push(left - rung);
    }
    let after = world.borrow().host(0).root.stats;
    machine::clean(&world.borrow())?;
    cycles.sort_unstable();
    let each = |after: u64, before: u64| (after - before) as f64 / args.count as f64;
    let (up, down) = (after.upstream.total(), after.downstream.total());
    let (up_before, down_before) = (before.upstream.total(), before.downstream.total());
    Ok(Kind {
        cycles_p50: cycles[cycles.len() / 2],
        cycles_max: cycles.last().copied().unwrap_or(0),
        tlps_to_card: each(down.tlps, down_before.tlps),
        tlps_from_card: each(up.tlps, up_before.tlps),
        link_bytes: each(
            up.link_bytes + down.link_bytes,
            up_before.link_bytes + down_before.link_bytes,
        ),
    })
}
