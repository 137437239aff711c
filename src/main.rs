//! The `nitor` command: simulates, measures and emits the card, and drives boards.

#[macro_use]
mod report;

mod arrivals;
mod bench;
mod board;
mod cards;
mod cli;
mod demo;
mod emit;
mod files;
mod machine;
mod progress;
mod replay;
mod shell;
mod signals;
mod synth;
mod tcp;
mod text;
mod vm;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use report::Failure;
use std::panic::{catch_unwind, resume_unwind};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "nitor",
    version,
    about = "An open offload NIC with ENA's host interface: simulate, measure, emit, put it on a board",
    after_help = "Exit codes: 0 success, 1 a check failed, 2 wrong usage or input, 3 environment;\n\
                  130, 143 and 129: ended by Ctrl-C, TERM or HUP, with its outputs closed.\n\
                  Examples:\n  nitor demo\n  nitor demo --pcap trace.pcapng --card card-512 --waves out.fst\n  \
                  nitor bench loop --frame 60 --count 4096 --card card-512 --queues 4\n  nitor emit --card card-128 --out build/verilog\n  \
                  nitor board --link sim:colorlight-5a-75b demo\n  nitor synth --board ulx3s-85f"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Two hosts, a card each, one wire: a capture crosses, then a file over TCP
    Demo(demo::Args),
    /// Measure in cycles
    #[command(subcommand)]
    Bench(bench::Bench),
    /// The cards that are built, with area and clock
    Cards(cards::Args),
    /// Write a card's Verilog
    Emit(emit::Args),
    /// Drive a board without PCIe over its cable
    Board(board::Args),
    /// Virtual machines whose stock kernels drive the card
    Vm(vm::Args),
    /// Do again, without a virtual machine, what a driver did to the card in one
    Replay(replay::Args),
    /// Make a board's bitstream, with its area and clocks
    Synth(synth::Args),
    /// Print what completes nitor's commands and options in a shell
    Completions(cli::Completions),
}

fn main() -> ExitCode {
    match catch_unwind(run) {
        Ok(code) => code,
        Err(panic) => match panic.downcast::<report::Unheard>() {
            Ok(unheard) => unheard.end(),
            Err(panic) => resume_unwind(panic),
        },
    }
}

fn run() -> ExitCode {
    let command = || cli::with_ranges(Cli::command());
    let parsed = command().try_get_matches().and_then(|args| Cli::from_arg_matches(&args));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => match usage(&error) {
            Some(line) => {
                let failure = Failure::Input(line);
                failure.print(wants_json());
                return failure.code();
            }
            None => cli::show(&error),
        },
    };
    let (json, result) = match cli.command {
        Command::Demo(args) => (args.json, demo::run(&args)),
        Command::Bench(bench) => (bench.json(), bench.run()),
        Command::Cards(args) => (args.json, cards::run(&args)),
        Command::Emit(args) => (args.json, emit::run(&args)),
        Command::Board(args) => (args.json(), board::run(&args)),
        Command::Vm(args) => (args.json, vm::run(&args)),
        Command::Replay(args) => (args.json, replay::run(&args)),
        Command::Synth(args) => (args.json, synth::run(&args)),
        Command::Completions(args) => (false, cli::completions(&args, command())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.code()
        }
    }
}

/// Whether the arguments, which are wrong, ask for JSON.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

/// What is wrong with the arguments, on one line; none if it is help that was asked for.
fn usage(error: &clap::Error) -> Option<String> {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as Missing;
    if !error.use_stderr() || error.kind() == Missing {
        return None;
    }
    let text = error.render().to_string();
    let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let line = said.collect::<Vec<_>>().join(" ");
    Some(format!("{}; --help says more", line.trim_start_matches("error: ")))
}

/// A run ends well or in a [Failure].
pub type Outcome = Result<(), Failure>;
