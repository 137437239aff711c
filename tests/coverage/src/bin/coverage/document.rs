//! Writes the document from the counts.

use crate::counts::{Blocks, Share};
use crate::holes::Hole;
use std::fmt::Write;

/// Lines, branches and toggles of all blocks.
pub fn total(blocks: &Blocks) -> (Share, Share, Share) {
    blocks.values().fold(Default::default(), |(lines, branches, toggles), b| {
        (lines + b.lines_share(), branches + b.branches_share(), toggles + b.toggles)
    })
}

const HEAD: &str = "\
# What the tests reach

Made by `make coverage` from Verilator's counters in the emitted Verilog, over all tests: blocks, both
widths of the card, the boards' tops. Counts of all widths and uses of a block are merged and mapped
back to its kernel.

A line is reached if something it drives was driven by it. A branch is one way of an `if`, or an arm
of a `match`; states of state machines are arms. A bit has toggled if it rose and if it fell: two
toggles a bit, of every signal in the Verilog, counted in the tests of single blocks and in three of the
whole card alone, since counting them takes long. Bits that no configuration moves
(constants, upper bits of addresses and lengths) are among those missing.
";

fn row(out: &mut String, name: &str, lines: Share, branches: Share, toggles: Share) {
    let cell = |s: Share| match s.all {
        0 => String::from(" | "),
        _ => format!("{} of {} | {:.1}", s.some, s.all, s.percent()),
    };
    let _ = writeln!(out, "| {name} | {} | {} | {} |", cell(lines), cell(branches), cell(toggles));
}

pub fn document(blocks: &Blocks, holes: &[Hole]) -> String {
    let mut out = String::from(HEAD);
    out += "\n| block | lines | % | branches | % | toggles | % |\n|---|---:|---:|---:|---:|---:|---:|\n";
    for (file, block) in blocks {
        let name = format!("`{}`", file.trim_start_matches("hdl/src/").trim_end_matches(".rs"));
        row(&mut out, &name, block.lines_share(), block.branches_share(), block.toggles);
    }
    let (lines, branches, toggles) = total(blocks);
    row(&mut out, "**all**", lines, branches, toggles);
    out += "\n## What no test reaches, and why\n\n";
    if holes.is_empty() {
        out += "Nothing.\n";
        return out;
    }
    out += "| where | what | | why |\n|---|---|---|---|\n";
    for hole in holes {
        let way = hole.way.map_or("the line", |w| w.text());
        let text = hole.text.replace('|', "\\|");
        let why = hole.reason.as_deref().unwrap_or("**open**");
        let file = hole.file.trim_start_matches("hdl/src/");
        let _ = writeln!(out, "| {file}:{} | `{text}` | {way} | {why} |", hole.line);
    }
    out
}
