//! How many single changes to the kernels the block tests notice.
//!
//! Draws changes from all that `nitor_rtl`'s emitter can make, spread over the blocks, and runs the
//! tests of the blocks that each is in until one fails. Prints each result as it comes, and the
//! survivors at the end. See `tests/coverage/mutants --help`.

mod tests;

use anyhow::{bail, Context, Result};
use clap::Parser;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use tests::{Outcome, Test};

#[derive(Parser)]
#[command(
    name = "mutants",
    about = "How many single changes to the kernels the block tests notice"
)]
struct Args {
    /// So many changes.
    #[arg(long, default_value_t = 240)]
    count: usize,
    /// Draws other changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only changes whose site has this text in it, such as `src/tx/gather.rs:120 `.
    #[arg(long, default_value = "")]
    only: String,
    /// Results are added to this file; what it has already is not run again.
    #[arg(long, default_value = "target/mutants.txt")]
    results: PathBuf,
    /// Draws and prints the changes, runs nothing.
    #[arg(long)]
    list: bool,
    /// Prints a table of the results so far, runs nothing.
    #[arg(long)]
    table: bool,
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit as u64) as usize
    }
}

/// Draws `count` sites: at least two a file, more from those that have more.
fn draw(sites: &BTreeSet<String>, count: usize, seed: u64) -> Vec<String> {
    let mut files: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for site in sites {
        files.entry(site.split(':').next().unwrap_or_default()).or_default().push(site);
    }
    let mut rng = Rng(seed);
    let mut drawn = vec![];
    for list in files.values_mut() {
        let share = (count * list.len()).div_ceil(sites.len().max(1));
        for _ in 0..share.max(2).min(list.len()) {
            let at = rng.below(list.len());
            drawn.push(list.swap_remove(at).clone());
        }
    }
    drawn
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.table {
        let results = std::fs::read_to_string(&args.results);
        print!("{}", table(&results.with_context(|| args.results.display().to_string())?));
        return Ok(());
    }
    let tests = tests::all()?;
    let sites: BTreeSet<String> = tests
        .iter()
        .flat_map(|t| &t.sites)
        .filter(|s| s.starts_with("hdl/src/") && s.contains(&args.only))
        .cloned()
        .collect();
    if sites.is_empty() {
        bail!("no site has `{}` in it", args.only);
    }
    let drawn = draw(&sites, args.count, args.seed);
    println!("{} sites, {} drawn", sites.len(), drawn.len());
    if args.list {
        drawn.iter().for_each(|site| println!("{site}"));
        return Ok(());
    }
    let done = std::fs::read_to_string(&args.results).unwrap_or_default();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&args.results)
        .with_context(|| args.results.display().to_string())?;
    let mut survivors = vec![];
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, site) in drawn.iter().enumerate() {
        let known = done.lines().filter_map(|l| l.split_once('\t')).find(|(_, s)| s == site);
        let outcome = match known {
            Some((outcome, _)) => outcome.to_string(),
            None => {
                let outcome = run(&tests, site)?;
                writeln!(file, "{outcome}\t{site}")?;
                outcome
            }
        };
        println!("{}/{} {outcome}: {site}", i + 1, drawn.len());
        let kind = kind(&outcome);
        *counted.entry(kind).or_default() += 1;
        if kind == "survived" {
            survivors.push(site);
        }
    }
    let of = |kind| counted.get(kind).copied().unwrap_or(0);
    let (noticed, all) = (of("noticed"), of("noticed") + of("survived"));
    let percent = 100.0 * noticed as f64 / all.max(1) as f64;
    println!(
        "{noticed} of {all} noticed ({percent:.1} %), {} change no Verilog or none that is legal",
        of("no mutant")
    );
    survivors.iter().for_each(|site| println!("survived: {site}"));
    Ok(())
}

fn kind(outcome: &str) -> &'static str {
    match outcome.split(' ').next() {
        Some("noticed") => "noticed",
        Some("survived") => "survived",
        _ => "no mutant",
    }
}

/// By block, as Markdown.
fn table(results: &str) -> String {
    let mut blocks: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (outcome, site) in results.lines().filter_map(|line| line.split_once('\t')) {
        let file = site.split(".rs:").next().unwrap_or_default();
        for name in [file.trim_start_matches("hdl/src/"), "all"] {
            *blocks.entry(name).or_default().entry(kind(outcome)).or_default() += 1;
        }
    }
    let all = blocks.remove("all").map(|counts| ("**all**", counts));
    let mut text = String::from("| block | changes | noticed | survived |\n|---|---:|---:|---:|\n");
    for (name, counts) in blocks.into_iter().chain(all) {
        let of = |kind| counts.get(kind).copied().unwrap_or(0);
        let (noticed, survived) = (of("noticed"), of("survived"));
        text += &format!("| {name} | {} | {noticed} | {survived} |\n", noticed + survived);
    }
    text
}

/// Runs the tests of a mutant, the quickest first. Those of whole boards take long: they are for
/// what no other test builds, and for the cable, of which but one block has tests of its own.
fn run(tests: &[Test], site: &str) -> Result<String> {
    let mut changes = false;
    let cable = site.starts_with("hdl/src/link/");
    for test in tests.iter().filter(|t| t.sites.contains(site)) {
        if test.name == "boards" && changes && !cable {
            continue;
        }
        match test.run(site)? {
            Outcome::Noticed(by) => return Ok(format!("noticed by {} {by}", test.name)),
            Outcome::Illegal => return Ok("illegal".to_string()),
            Outcome::Survived { changed } => changes |= changed,
        }
    }
    Ok(if changes { "survived" } else { "same" }.to_string())
}
