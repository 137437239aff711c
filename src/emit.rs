//! `nitor emit`: writes the Verilog of a card, one file for each module and a list of the files.

use crate::cards::Named;
use crate::files::Files;
use crate::report::{self, Failure};
use crate::{shell, Outcome};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(
    after_help = "files.f names the files by themselves: verilator -F build/verilog/files.f, or -f in the folder.\n\
    To simulate with Verilator 5.048: -fno-dfg-peephole-replace-shiftl-shiftl -fno-dfg-peephole-replace-shiftr-shiftr,\n\
    since it folds two shifts into one by a sum that it cuts\n\
    Example:\n  nitor emit --card card-512 --out build/verilog"
)]
pub struct Args {
    /// The card: `nitor cards` lists them
    #[arg(long, default_value = "card-128")]
    card: Named,
    /// Folder to write into; made if it is not there
    #[arg(long)]
    out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Emitted {
    #[serde(flatten)]
    card: Named,
    top: String,
    modules: usize,
    lines: usize,
    files: Vec<String>,
}

/// The list of the modules' files, in their folder: by names alone, so that it is right wherever the folder is.
const LIST: &str = "files.f";

pub fn run(args: &Args) -> Outcome {
    let design = nitor_hdl::emit_card(args.card.0)
        .map_err(|e| Failure::Check(format!("the card cannot be emitted: {e}")))?;
    let mut files = Files::default();
    for name in design.modules().iter().map(|m| format!("{}.v", m.name)).chain([LIST.into()]) {
        files.writes(format!("module file {name}"), &args.out.join(&name));
    }
    files.check()?;
    let emitted = write(args.card, &design, &args.out).map_err(report::environment)?;
    if args.json {
        report::json(&emitted);
    } else {
        say!(
            "{} modules, {} lines of Verilog in {}; top {}, file list {LIST}",
            emitted.modules,
            emitted.lines,
            args.out.display(),
            emitted.top
        );
        // Verilator and Icarus Verilog cannot open every name of a folder. In the folder itself
        // they find all files.
        say!(
            "Try: (cd {} && verilator --lint-only -Wall -f files.f --top-module {})",
            shell::path(&args.out),
            emitted.top
        );
    }
    Ok(())
}

fn write(card: Named, design: &nitor_rtl::Design, out: &Path) -> Result<Emitted> {
    let names: Vec<_> = design.modules().iter().map(|m| format!("{}.v", m.name)).collect();
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut files = vec![];
    let mut lines = 0;
    for (module, name) in design.modules().iter().zip(&names) {
        let file = out.join(name);
        fs::write(&file, &module.text)
            .with_context(|| format!("cannot write {}", file.display()))?;
        lines += module.text.lines().count();
        files.push(file.display().to_string());
    }
    let list: String = names.iter().map(|name| format!("{name}\n")).collect();
    let file = out.join(LIST);
    fs::write(&file, list).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Emitted { card, top: design.top().to_string(), modules: files.len(), lines, files })
}
