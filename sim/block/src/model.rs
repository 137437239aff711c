//! Verilog to a loaded, verilated model.

use crate::block::Block;
use crate::cache::{self, at};
use crate::fill;
use crate::verilator::{run, Toolchain};
use crate::Error;
use libloading::{Library, Symbol};
use std::env;
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    In,
    Out,
}

/// A port of the top module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    pub name: String,
    pub direction: Direction,
    pub width: usize,
}

impl Port {
    pub fn input(name: impl Into<String>, width: usize) -> Port {
        Port { name: name.into(), direction: Direction::In, width }
    }

    pub fn output(name: impl Into<String>, width: usize) -> Port {
        Port { name: name.into(), direction: Direction::Out, width }
    }
}

/// Verilog: one text, or one for each module.
#[derive(Clone, Debug)]
pub struct Sources(pub(crate) String);

impl From<&str> for Sources {
    fn from(text: &str) -> Sources {
        Sources(text.to_owned())
    }
}

impl From<String> for Sources {
    fn from(text: String) -> Sources {
        Sources(text)
    }
}

impl<N, T: AsRef<str>> From<Vec<(N, T)>> for Sources {
    fn from(modules: Vec<(N, T)>) -> Sources {
        let texts: Vec<&str> = modules.iter().map(|(_, text)| text.as_ref()).collect();
        Sources(texts.join("\n"))
    }
}

/// A verilated block, of which any number of [`Block`]s can be made. Cheap to clone.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    verilog: String,
    top: String,
    ports: Vec<Port>,
    plain: Arc<Code>,
    /// Compiled when the first trace is asked for: it is slower to build and to run.
    traced: Mutex<Option<Arc<Code>>>,
}

impl Model {
    /// Verilates module `top`, whose ports are exactly `ports`.
    pub fn build(verilog: impl Into<Sources>, top: &str, ports: &[Port]) -> Result<Model, Error> {
        let Sources(verilog) = verilog.into();
        let plain = Arc::new(Code::build(&verilog, top, ports, Variant::Plain)?);
        let (top, ports) = (top.to_owned(), ports.to_vec());
        Ok(Model(Arc::new(Inner { verilog, top, ports, plain, traced: Mutex::default() })))
    }

    /// A block in a state no reset has touched: every bit without an initial value, and every `x`,
    /// is drawn from `seed`.
    pub fn block(&self, seed: u64) -> Block {
        Block::new(self.clone(), self.0.plain.clone(), seed)
    }

    pub fn top(&self) -> &str {
        &self.0.top
    }

    pub fn ports(&self) -> &[Port] {
        &self.0.ports
    }

    pub(crate) fn traced(&self) -> Result<Arc<Code>, Error> {
        let Inner { verilog, top, ports, traced, .. } = &*self.0;
        let mut traced = traced.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if traced.is_none() {
            *traced = Some(Arc::new(Code::build(verilog, top, ports, Variant::Traced)?));
        }
        Ok(traced.clone().expect("just built"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    Traced,
}

/// An instance of the verilated C++ class, on the other side.
pub(crate) type Handle = *mut c_void;

/// The loaded code of a model: what `shim.cc` exports.
pub(crate) struct Code {
    pub new: unsafe extern "C" fn(seed: c_int) -> Handle,
    pub delete: unsafe extern "C" fn(Handle),
    pub ports: unsafe extern "C" fn(Handle, *mut *mut c_void),
    /// Null, or what went wrong: a text that lives as long as the instance.
    pub eval: unsafe extern "C" fn(Handle, time: u64) -> *const c_char,
    pub trace: Option<Tracing>,
    /// Keeps the functions above in memory.
    _library: Library,
}

#[derive(Clone, Copy)]
pub(crate) struct Tracing {
    pub open: unsafe extern "C" fn(Handle, path: *const c_char) -> *const c_char,
    pub dump: unsafe extern "C" fn(Handle, time: u64),
}

/// Part of every cache key, and given to the compiler for all files of a model alike.
const CXX_FLAGS: &[&str] = &[
    "-std=gnu++17",
    "-O1", // most tests spend longer compiling than running
    "-fPIC",
    "-w",
    "-pthread",
    // Models in one process keep to themselves: each has its own copy of Verilator's run time.
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-DVL_TIME_CONTEXT=1",
    "-DVL_USER_FATAL=1",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE_SAIF=0",
    "-DVM_TRACE_VCD=0",
];

const VERILATOR_FLAGS: &[&str] = &[
    "--cc",
    "-O3",
    // 5.048 folds `(a << b) << c` into `a << (b + c)` with the sum cut to the width of `b`.
    "-fno-dfg-peephole-replace-shiftl-shiftl",
    "-fno-dfg-peephole-replace-shiftr-shiftr",
    "--assert",
    "--no-timing",
    "--prefix",
    "Vblock",
    "--top-module",
    "nitor_block",
    // What Verilog leaves undefined is random, so that no test relies on it by luck.
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    // One file compiles sooner than many: most of the time goes into Verilator's headers.
    "--output-split",
    "0",
    // gcc takes minutes over a function of ten thousand lines, more so where lines are counted.
    "--output-split-cfuncs",
    "1500",
    "-Mdir",
    "cpp",
    // Names that only SystemVerilog reserves are free.
    "--default-language",
    "1364-2005",
    "-Wwarn-UNDRIVEN",
    "-Wno-UNOPTFLAT", // shows in the wrapper when a loop goes through a port
    "quiet.vlt",
    "wrapper.v",
    "block.v",
];

/// What models count of what is run.
#[derive(Clone, Copy, PartialEq)]
enum Counts {
    Nothing,
    Lines,
    /// In signals of any width.
    LinesAndToggles,
}

/// `NITOR_COVERAGE` names the folder for the counts, which are written when the process ends.
/// With `NITOR_TOGGLES` toggles are among them.
fn counts() -> Counts {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    match (set("NITOR_COVERAGE"), set("NITOR_TOGGLES")) {
        (false, _) => Counts::Nothing,
        (true, false) => Counts::Lines,
        (true, true) => Counts::LinesAndToggles,
    }
}

impl Counts {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Counts::Nothing => &[],
            Counts::Lines => &["--coverage-line"],
            Counts::LinesAndToggles => {
                &["--coverage-line", "--coverage-toggle", "--coverage-max-width", "100000"]
            }
        }
    }
}

/// Only our wrapper is checked here, that is, that the ports are what they are said to be. The block
/// itself is for [`lint`](fn@crate::lint).
const QUIET: &str = "`verilator_config\nlint_off -file \"*block.v\"\n";

impl Code {
    fn build(verilog: &str, top: &str, ports: &[Port], variant: Variant) -> Result<Code, Error> {
        let tools = Toolchain::find()?;
        let runtime = runtime(tools, variant)?;
        let verilog = &fill::filled(verilog);
        let wrapper = wrapper(top, ports);
        let table = port_table(ports);
        let flags = [CXX_FLAGS, VERILATOR_FLAGS, variant.flags()].concat().join(" ");
        let (shim, coverage) = (include_str!("shim.cc"), include_str!("coverage.h"));
        let flags = format!("{flags} {:?}", counts().flags());
        let inputs = [&tools.identity, &flags, verilog, &wrapper, shim, coverage];
        let folder = cache::folder(top, &inputs, |work| {
            let write = |name: &str, text: &str| {
                let path = work.join(name);
                fs::write(&path, text).map_err(at(&path))
            };
            write("block.v", verilog)?;
            write("wrapper.v", &wrapper)?;
            write("quiet.vlt", QUIET)?;
            let mut verilator = tools.verilator();
            if variant == Variant::Traced {
                verilator.args(["--trace-fst", "--trace-structs"]);
            }
            verilator.args(counts().flags());
            run(verilator.current_dir(work).args(VERILATOR_FLAGS))?;

            write("ports.h", &table)?;
            write("shim.cc", shim)?;
            write("coverage.h", coverage)?;
            let generated = cpp_files(&work.join("cpp"))?;
            let mut all = String::new();
            for file in generated.iter().map(String::as_str).chain(["shim.cc"]) {
                let _ = writeln!(all, "#include \"{file}\"");
            }
            write("all.cc", &all)?;
            let mut compiler = compiler(tools, variant);
            compiler
                .current_dir(work)
                .args(["-shared", "-I.", "-Icpp", "-o", "block.so", "all.cc"]);
            compiler.args(objects(&runtime)?);
            if variant == Variant::Traced {
                compiler.args([concat!("-L", env!("NITOR_LZ4_LIB")), "-llz4"]);
                compiler.args([concat!("-L", env!("NITOR_Z_LIB"), "/lib"), "-lz"]);
            }
            run(&mut compiler)?;
            for scrap in ["cpp", "all.cc", "shim.cc", "coverage.h", "ports.h", "quiet.vlt"] {
                let path = work.join(scrap);
                let removed =
                    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(at(&path))?;
            }
            Ok(())
        })?;
        // SAFETY: the library is ours: loading it runs nothing but C++'s own initialisers, and
        // `shim.cc` exports these functions with these types.
        unsafe {
            let library = Library::new(folder.join("block.so"))?;
            let trace = match variant {
                Variant::Plain => None,
                Variant::Traced => Some(Tracing {
                    open: *library.get(b"block_trace")?,
                    dump: *library.get(b"block_dump")?,
                }),
            };
            let new: Symbol<unsafe extern "C" fn(c_int) -> Handle> = library.get(b"block_new")?;
            Ok(Code {
                new: *new,
                delete: *library.get(b"block_delete")?,
                ports: *library.get(b"block_ports")?,
                eval: *library.get(b"block_eval")?,
                trace,
                _library: library,
            })
        }
    }
}

impl Variant {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Variant::Plain => &["-DVM_TRACE=0", "-DVM_TRACE_FST=0"],
            Variant::Traced => &[
                "-DVM_TRACE=1",
                "-DVM_TRACE_FST=1",
                concat!("-I", env!("NITOR_Z_INCLUDE")),
                concat!("-I", env!("NITOR_LZ4_INCLUDE")),
            ],
        }
    }
}

fn compiler(tools: &Toolchain, variant: Variant) -> std::process::Command {
    let mut compiler = tools.compiler();
    compiler.args(CXX_FLAGS).args(variant.flags());
    let counting = counts() != Counts::Nothing;
    compiler.arg(if counting { "-DVM_COVERAGE=1" } else { "-DVM_COVERAGE=0" });
    compiler.arg("-I").arg(tools.include()).arg("-I").arg(tools.include().join("vltstd"));
    compiler
}

/// Verilator's run time, compiled once for all models.
fn runtime(tools: &Toolchain, variant: Variant) -> Result<PathBuf, Error> {
    let flags = [CXX_FLAGS, variant.flags()].concat().join(" ");
    let flags = format!("{flags} {}", counts() != Counts::Nothing);
    cache::folder("runtime", &[&tools.identity, &flags], |work| {
        let mut compiler = compiler(tools, variant);
        compiler.current_dir(work).arg("-c");
        compiler.arg(tools.include().join("verilated.cpp"));
        compiler.arg(tools.include().join("verilated_threads.cpp"));
        if variant == Variant::Traced {
            compiler.arg(tools.include().join("verilated_fst_c.cpp"));
        }
        if counts() != Counts::Nothing {
            compiler.arg(tools.include().join("verilated_cov.cpp"));
        }
        run(&mut compiler).map(drop)
    })
}

fn listed(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn objects(runtime: &Path) -> Result<Vec<PathBuf>, Error> {
    listed(runtime, "o")
}

fn cpp_files(folder: &Path) -> Result<Vec<String>, Error> {
    let name = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(listed(folder, "cpp")?.into_iter().map(name).collect())
}

/// A top module with ports `p0`, `p1`, ... around the block: whatever the block and its ports are
/// called, their C++ names are known, and Verilator tells us of a port that is missing or has
/// another width.
fn wrapper(top: &str, ports: &[Port]) -> String {
    let mut text =
        String::from("`timescale 1ns/1ps\n/* verilator tracing_off */\nmodule nitor_block(");
    for (i, port) in ports.iter().enumerate() {
        let direction = match port.direction {
            Direction::In => "input",
            Direction::Out => "output",
        };
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n  {direction} [{}:0] p{i}", port.width - 1);
    }
    let _ = write!(text, "\n);\n/* verilator tracing_on */\n\\{top} \\{top} (");
    for (i, port) in ports.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n  .\\{} (p{i})", port.name);
    }
    text.push_str("\n);\nendmodule\n");
    text
}

fn port_table(ports: &[Port]) -> String {
    let members: Vec<String> = (0..ports.len()).map(|i| format!("X(p{i})")).collect();
    format!("#define PORTS(X) {}\n", members.join(" "))
}
