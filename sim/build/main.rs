//! Elaborates the card, verilates it at both widths and compiles the result behind cxx.

mod verilate;

use std::env;
use std::path::{Path, PathBuf};

use verilate::{Result, Verilator};

/// Widths of the card, in bits.
const WIDTHS: [u32; 2] = [128, 512];

fn main() {
    if let Err(error) = build() {
        // Cargo prints what a failed build script says on stderr.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    for file in ["build", "src/card.rs", "src/shim"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let verilator = Verilator::find()?;

    let mut sources = Vec::new();
    let mut includes = Vec::new();
    for width in WIDTHS {
        let verilog = verilog(width, &out)?;
        let folder = out.join(format!("vnic{width}"));
        sources.extend(verilator.verilate(&verilog, &format!("Vnic{width}"), &folder)?);
        includes.push(folder);
    }
    sources.extend(verilator.runtime());
    includes.extend(verilator.includes());

    let mut shim = cxx_build::bridge("src/card.rs");
    configure(&mut shim, &includes);
    shim.warnings(true).extra_warnings(true);
    for file in ["card.cc", "card128.cc", "card512.cc"] {
        shim.file(Path::new("src/shim").join(file));
    }
    shim.compile("nitor-sim-shim");

    // After the shim, which needs it: linkers look for symbols from left to right.
    let mut models = cc::Build::new();
    configure(&mut models, &includes);
    models.warnings(false).files(sources);
    models.compile("nitor-sim-models");
    Ok(())
}

/// Flags that the models and all that includes their headers must agree on.
fn configure(build: &mut cc::Build, includes: &[PathBuf]) {
    build
        .cpp(true)
        .std("c++17")
        // Whatever the profile: at level 0 the model is 25 times slower, and 3 gains nothing.
        .opt_level(2)
        .define("VL_TIME_CONTEXT", "1")
        .define("VM_COVERAGE", "0")
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
fn verilog(width: u32, out: &Path) -> Result<PathBuf> {
    println!("cargo::rerun-if-env-changed=NITOR_SIM_VERILOG_DIR");
    let name = format!("nitor_{width}.v");
    if let Some(folder) = env::var_os("NITOR_SIM_VERILOG_DIR") {
        let file = Path::new(&folder).join(name);
        println!("cargo::rerun-if-changed={}", file.display());
        if !file.is_file() {
            return Err(format!("NITOR_SIM_VERILOG_DIR has no {}", file.display()).into());
        }
        return Ok(file);
    }
    let _ = out;
    Err("NITOR_SIM_VERILOG_DIR is not set".into())
}
