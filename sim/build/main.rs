//! Elaborates the card, verilates it at both widths and compiles the result behind cxx.

#[path = "../block/src/fill.rs"]
mod fill;
mod verilate;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use verilate::{Result, Verilator};

/// Widths of the card, in bits. Fuzzers count branches at one of them: the other is the same logic,
/// and as long to compile.
fn widths() -> &'static [u32] {
    if verilate::coverage() && !verilate::written() {
        &[128]
    } else {
        &[128, 512]
    }
}

fn main() {
    if let Err(error) = build() {
        // Cargo prints what a failed build script says on stderr.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    for file in ["build", "src/card.rs", "src/shim", "block/src/fill.rs", "block/src/coverage.h"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let verilator = Verilator::find()?;
    let mut includes = Vec::from(verilator.includes());
    // For coverage.h.
    includes.push(PathBuf::from("block/src"));
    let mut libraries = Vec::new();

    for &width in widths() {
        let verilog = fill::filled(&verilog(width)?);
        let folder = out.join(format!("vnic{width}"));
        includes.push(folder.clone());
        let library = Library { name: format!("nitor-sim-vnic{width}"), out: out.clone() };
        library.make(&format!("{}\n{verilog}", verilator.identity()), &includes, || {
            let file = out.join(format!("nitor_{width}.v"));
            fs::write(&file, &verilog)?;
            verilator.verilate(&file, &format!("Vnic{width}"), &folder)
        })?;
        libraries.push(library);
    }
    let library = Library { name: "nitor-sim-verilated".into(), out };
    library.make(&verilator.identity(), &includes, || Ok(verilator.runtime()))?;
    libraries.push(library);

    let mut shim = cxx_build::bridge("src/card.rs");
    configure(&mut shim, &includes);
    shim.warnings(true).extra_warnings(true);
    for file in ["card.cc", "card128.cc", "card512.cc", "scripted.cc"] {
        shim.file(Path::new("src/shim").join(file));
    }
    shim.compile("nitor-sim-shim");
    // After the shim, which needs them: linkers look for symbols from left to right.
    for library in libraries {
        library.link();
    }
    Ok(())
}

/// A static library that is made again only if what it is made from has changed.
struct Library {
    name: String,
    out: PathBuf,
}

impl Library {
    /// `key` stands for everything that decides on the content; `sources` makes the C++.
    fn make(
        &self,
        key: &str,
        includes: &[PathBuf],
        sources: impl FnOnce() -> Result<Vec<PathBuf>>,
    ) -> Result<()> {
        let compiler = ["CXX", "CXXFLAGS"].map(|name| env::var(name).unwrap_or_default());
        let key = format!("{compiler:?}\n{key}");
        let key_file = self.out.join(format!("{}.key", self.name));
        let made = self.out.join(format!("lib{}.a", self.name)).is_file();
        if made && fs::read_to_string(&key_file).is_ok_and(|old| old == key) {
            return Ok(());
        }
        // Should making it fail, it is not there.
        fs::write(&key_file, "")?;
        // What runs once or only while waves are written is half of the compile time at level 2.
        let rare = |file: &PathBuf| {
            let name = file.to_string_lossy();
            name.contains("__Trace") || name.contains("__Slow")
        };
        let (rare, hot): (Vec<_>, Vec<_>) = sources()?.into_iter().partition(rare);
        let mut slow = cc::Build::new();
        configure(&mut slow, includes);
        slow.opt_level(0).warnings(false).cargo_metadata(false).files(rare);
        let mut models = cc::Build::new();
        configure(&mut models, includes);
        models.warnings(false).cargo_metadata(false).files(hot);
        models.objects(slow.try_compile_intermediates()?);
        models.try_compile(&self.name)?;
        Ok(fs::write(&key_file, key)?)
    }

    fn link(&self) {
        println!("cargo::rustc-link-search=native={}", self.out.display());
        println!("cargo::rustc-link-lib=static={}", self.name);
    }
}

/// Flags that the models and all that includes their headers must agree on.
fn configure(build: &mut cc::Build, includes: &[PathBuf]) {
    build
        .cpp(true)
        .std("c++17")
        // Whatever the profile: at level 0 the model is 25 times slower, and 3 gains nothing.
        // What counts toggles is compiled for longer than it runs.
        .opt_level(if verilate::toggles() { 1 } else { 2 })
        .define("VL_TIME_CONTEXT", "1")
        .define("VM_COVERAGE", if verilate::coverage() { "1" } else { "0" })
        .define("NITOR_COUNTS", if verilate::written() { "1" } else { "0" })
        .define("VM_SC", "0")
        .define("VM_TIMING", "0")
        .define("VM_TRACE", "1")
        .define("VM_TRACE_FST", "1")
        .define("VM_TRACE_VCD", "0")
        .define("VM_TRACE_SAIF", "0");
    // As system headers: their warnings are not ours.
    for folder in includes {
        build.flag("-isystem").flag(folder);
    }
    for library in ["DEP_LZ4_INCLUDE", "DEP_Z_INCLUDE"] {
        build.includes(env::var_os(library));
    }
}

/// The card's Verilog at `width`: what RustHDL elaborates, or a file of `NITOR_SIM_VERILOG_DIR`.
fn verilog(width: u32) -> Result<String> {
    println!("cargo::rerun-if-env-changed=NITOR_SIM_VERILOG_DIR");
    println!("cargo::rerun-if-env-changed={}", nitor_rtl::emit::PLACES);
    let Some(folder) = env::var_os("NITOR_SIM_VERILOG_DIR") else {
        return Ok(nitor_hdl::emit_card(width)?.to_string());
    };
    let file = Path::new(&folder).join(format!("nitor_{width}.v"));
    println!("cargo::rerun-if-changed={}", file.display());
    fs::read_to_string(&file)
        .map_err(|error| format!("NITOR_SIM_VERILOG_DIR: {}: {error}", file.display()).into())
}
