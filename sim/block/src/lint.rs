//! Lints Verilog with Verilator and Icarus Verilog.

use crate::model::Sources;
use nitor_model::{run, Toolchain};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, io, process};

/// Lints the Verilog with Verilator, with all its warnings, and with Icarus Verilog, if it is
/// installed. A warning of Verilator's is an error. An error has the output of the tool.
pub fn lint(verilog: impl Into<Sources>, top: &str) -> Result<(), String> {
    let Sources(verilog) = verilog.into();
    let tools = Toolchain::find().map_err(|error| error.to_string())?;
    let folder = Scratch::new().map_err(|error| error.to_string())?;
    fs::write(folder.0.join("block.v"), verilog).map_err(|error| error.to_string())?;

    let mut verilator = tools.verilator();
    verilator.args(["--lint-only", "-Wall", "--no-timing", "--default-language", "1364-2005"]);
    // We name the file, and put all modules in it: two warnings that do not apply.
    verilator.args(["-Wno-DECLFILENAME", "-Wno-MULTITOP", "--top-module", top, "block.v"]);
    run(verilator.current_dir(&folder.0)).map_err(|error| error.to_string())?;

    if installed("iverilog") {
        let mut icarus = Command::new("iverilog");
        icarus.args(["-g2005", "-t", "null", "-s", top, "block.v"]);
        run(icarus.current_dir(&folder.0)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A temporary folder, which is removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Scratch> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nitor-lint-{}-{count}", process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
