//! Turns Verilog into a loaded library.
//!
//! A [`Recipe`] says what a library is made of: Verilog, C++ beside it, how to verilate and to
//! compile. The hash of all that, of the tools and of their flags is its cache key. A library that
//! is not in the cache is made: [`toolchain`] finds Verilator and the compiler, [`verilate`] and
//! [`compile`] run them on all processors ([`jobs`]), and [`cache`] keeps the result for all
//! checkouts of a user. `nitor-block` makes the models of blocks for tests, `nitor-sim` those of
//! cards.

mod cache;
mod compile;
mod counts;
mod fill;
mod jobs;
mod library;
mod progress;
mod stop;
mod toolchain;
mod verilate;

pub use cache::{at, Cache};
pub use counts::Counts;
pub use jobs::run;
pub use library::{digest, Library, Recipe, Units};
pub use stop::stop_when;
pub use toolchain::{verilator_root, Toolchain};

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why there is no model, or no trace of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no Verilator: run tools/setup, or name the root of an installed one (with \
         bin/verilator_bin and include/) in NITOR_VERILATOR_ROOT"
    )]
    NoVerilator,
    #[error("NITOR_VERILATOR_ROOT is {}, but there is no bin/verilator_bin in it", .0.display())]
    NoVerilatorIn(PathBuf),
    #[error(
        "cannot run the C++ compiler {0}: {1}; run tools/setup, which installs g++, or name \
         another in CXX"
    )]
    NoCompiler(String, io::Error),
    #[error("cannot run {0}: {1}")]
    NoTool(String, io::Error),
    /// Verilator or the C++ compiler refused.
    #[error("{}", refusal(tool, status, output, log))]
    Tool { tool: String, status: ExitStatus, output: String, log: Option<PathBuf> },
    #[error(
        "zlib and lz4, which waves need, are not where they were built ({}): build again, with \
         cargo build",
        .0.display()
    )]
    NoArchives(PathBuf),
    #[error("no folder to keep models in: set HOME, XDG_CACHE_HOME or NITOR_CACHE")]
    NoCache,
    #[error(
        "NITOR_CACHE_MIB is {0:?}: it is the size of all models that are kept, in MiB, such as 4096"
    )]
    Size(String),
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    #[error("{} is damaged as soon as it is made: is the disk full?", .0.display())]
    Damaged(PathBuf),
    #[error("cannot load {}: {}", .0.display(), .1)]
    Load(PathBuf, libloading::Error),
    #[error("{} was made for another nitor than this; remove it, and it is made anew", .0.display())]
    Abi(PathBuf),
    #[error("trace: {0}")]
    Trace(String),
    #[error("stopped while the model was being made")]
    Stopped,
}

/// The text for a tool that failed: all of its output, or only the first complaint if the output is
/// in a log file.
fn refusal(tool: &str, status: &ExitStatus, output: &str, log: &Option<PathBuf>) -> String {
    let Some(log) = log else { return format!("{tool} failed:\n{output}") };
    let complaint = |line: &&str| {
        let line = line.to_lowercase();
        ["error", "no space", "undefined reference", "cannot"]
            .iter()
            .any(|word| line.contains(word))
    };
    let first = output.lines().find(complaint).or(output.lines().next()).unwrap_or_default().trim();
    format!("{tool} failed ({status}): {first}; all it said is in {}", log.display())
}
