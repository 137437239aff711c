//! `docs/coverage.md`: what the tests reach of the kernels, from the counts that Verilated models
//! wrote into a folder (`tests/coverage/run` makes them).
//!
//! Verilator counts in the emitted Verilog, whose `` `line `` directives name the kernels' files and
//! lines. One line of a kernel becomes many of Verilog: a loop's turns, a block's widths, an
//! assignment's target each. It counts as reached if one of them was.

mod counts;
mod document;
mod holes;

use anyhow::{bail, Context, Result};
use clap::Parser;
use counts::Counts;
use std::fs;
use std::path::PathBuf;

/// Least share of a block's lines and branches, and of all, in percent.
const LEAST: (f64, f64) = (95.0, 98.0);

#[derive(Parser)]
#[command(name = "coverage", about = "Writes docs/coverage.md from the counts of Verilated models")]
struct Args {
    /// Folder of the counts.
    counts: PathBuf,
    /// The file to write.
    #[arg(long, default_value = "docs/coverage.md")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut counts = Counts::default();
    let mut files = 0;
    let folder = fs::read_dir(&args.counts).with_context(|| args.counts.display().to_string())?;
    for entry in folder {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "dat") {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            counts.add(&String::from_utf8_lossy(&bytes));
            files += 1;
        }
    }
    if files == 0 {
        bail!("no *.dat in {}: run tests/coverage/run", args.counts.display());
    }
    let blocks = counts.blocks();
    let holes = holes::find(&blocks)?;
    let text = document::document(&blocks, &holes);
    fs::write(&args.out, text).with_context(|| args.out.display().to_string())?;
    println!("{files} models' counts merged; see {}", args.out.display());

    let mut short = vec![];
    for (name, block) in &blocks {
        for (kind, share) in [("lines", block.lines_share()), ("branches", block.branches_share())]
        {
            if share.percent() < LEAST.0 {
                short.push(format!("{name}: {kind} {share}"));
            }
        }
    }
    let total = document::total(&blocks);
    for (kind, share) in [("lines", total.0), ("branches", total.1)] {
        if share.percent() < LEAST.1 {
            short.push(format!("all blocks: {kind} {share}"));
        }
    }
    let open = holes.iter().filter(|h| h.reason.is_none()).count();
    if open > 0 {
        short.push(format!("{open} holes without a reason"));
    }
    if !short.is_empty() {
        bail!("too little is reached:\n  {}", short.join("\n  "));
    }
    Ok(())
}
