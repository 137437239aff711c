//! Finds Verilator and the C++ compiler, and runs them.

use crate::Error;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Verilator's root: `NITOR_VERILATOR_ROOT`, or what `tools/setup` put in the checkout we are in.
pub fn verilator_root() -> Result<PathBuf, Error> {
    let given = env::var_os("NITOR_VERILATOR_ROOT").filter(|root| !root.is_empty());
    if let Some(root) = given {
        return Ok(root.into());
    }
    // Tests run in their package's folder; the crate's own place helps when they don't.
    let here = env::current_dir().unwrap_or_default();
    [&here, Path::new(env!("CARGO_MANIFEST_DIR"))]
        .iter()
        .flat_map(|start| start.ancestors())
        .map(|folder| folder.join(".tools/verilator"))
        .find(|root| root.join("bin/verilator_bin").is_file())
        .ok_or(Error::NoVerilator)
}

pub(crate) struct Toolchain {
    root: PathBuf,
    compiler: Vec<String>,
    /// Tells one set of tools from another: part of every cache key.
    pub identity: String,
}

impl Toolchain {
    pub fn find() -> Result<&'static Toolchain, Error> {
        static FOUND: OnceLock<Toolchain> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found);
        }
        let root = verilator_root()?;
        let cxx = env::var("CXX").unwrap_or_default();
        let mut compiler: Vec<String> = cxx.split_whitespace().map(str::to_owned).collect();
        if compiler.is_empty() {
            compiler.push("g++".into());
        }
        let mut tools = Toolchain { root, compiler, identity: String::new() };
        let verilator = run(tools.verilator().arg("--version"))?;
        let compiler = run(tools.compiler().arg("--version"))?;
        tools.identity = format!("{}\n{verilator}\n{compiler}", tools.root.display());
        Ok(FOUND.get_or_init(|| tools))
    }

    pub fn verilator(&self) -> Command {
        let mut command = Command::new(self.root.join("bin/verilator_bin"));
        command.env("VERILATOR_ROOT", &self.root);
        command
    }

    pub fn compiler(&self) -> Command {
        let mut command = Command::new(&self.compiler[0]);
        command.args(&self.compiler[1..]);
        command
    }

    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

/// Runs a tool to its end; its output, whole, is the error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let tool = Path::new(command.get_program()).file_name().unwrap_or_default();
    let tool = tool.to_string_lossy().into_owned();
    let failed = |output: String| Error::Tool { tool: tool.clone(), output };
    let result = command.output().map_err(|error| failed(error.to_string()))?;
    let mut output = String::from_utf8_lossy(&result.stdout).into_owned();
    output.push_str(&String::from_utf8_lossy(&result.stderr));
    if result.status.success() {
        Ok(output)
    } else {
        Err(failed(output))
    }
}
