//! `nitor emit`: the card's Verilog, a file a module and one list of them.

use crate::report::{self, Failure};
use crate::{Outcome, Width};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  nitor emit --width 512 --out build/verilog")]
pub struct Args {
    /// Bits of the data path
    #[arg(long, value_enum, default_value = "128")]
    width: Width,
    /// Folder to write into; made if it is not there
    #[arg(long)]
    out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Emitted {
    width: Width,
    top: String,
    modules: usize,
    lines: usize,
    files: Vec<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let design = nitor_hdl::emit_card(args.width.into())
        .map_err(|e| Failure::Check(format!("the card cannot be emitted: {e}")))?;
    let emitted = write(args.width, &design, &args.out).map_err(report::environment)?;
    if args.json {
        report::json(&emitted);
    } else {
        say!(
            "{} modules, {} lines of Verilog in {}; top {}, file list files.f",
            emitted.modules,
            emitted.lines,
            args.out.display(),
            emitted.top
        );
        say!(
            "Try: verilator --lint-only -Wall -f {0}/files.f --top-module {1}",
            args.out.display(),
            emitted.top
        );
    }
    Ok(())
}

fn write(width: Width, design: &nitor_rtl::Design, out: &Path) -> Result<Emitted> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut files = vec![];
    let mut lines = 0;
    for module in design.modules() {
        let file = out.join(format!("{}.v", module.name));
        fs::write(&file, &module.text)
            .with_context(|| format!("cannot write {}", file.display()))?;
        lines += module.text.lines().count();
        files.push(file);
    }
    let list: String = files.iter().map(|f| format!("{}\n", f.display())).collect();
    let file = out.join("files.f");
    fs::write(&file, list).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Emitted { width, top: design.top().to_string(), modules: files.len(), lines, files })
}
