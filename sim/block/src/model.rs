//! The Verilated model of a block: compiled, loaded, and instantiated as often as a test needs.

use crate::block::Block;
use nitor_model::{Counts, Error, Library, Recipe, Units};
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write;
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
    design: Design,
    plain: Arc<Code>,
    /// Compiled when the first trace is asked for: this code is slower to compile and to run.
    traced: Mutex<Option<Arc<Code>>>,
}

struct Design {
    verilog: String,
    top: String,
    ports: Vec<Port>,
    large: bool,
}

impl Design {
    fn new(verilog: impl Into<Sources>, top: &str, ports: &[Port]) -> Design {
        let Sources(verilog) = verilog.into();
        Design { verilog, top: top.to_owned(), ports: ports.to_vec(), large: false }
    }
}

impl Model {
    /// Verilates module `top`, whose ports are exactly `ports`.
    pub fn build(verilog: impl Into<Sources>, top: &str, ports: &[Port]) -> Result<Model, Error> {
        Model::of(Design::new(verilog, top, ports))
    }

    /// The same for a whole card: all processors compile it, and progress is shown, since that
    /// takes long.
    pub fn build_large(
        verilog: impl Into<Sources>,
        top: &str,
        ports: &[Port],
    ) -> Result<Model, Error> {
        Model::of(Design { large: true, ..Design::new(verilog, top, ports) })
    }

    fn of(design: Design) -> Result<Model, Error> {
        let plain = Arc::new(Code::build(&design, Variant::Plain)?);
        Ok(Model(Arc::new(Inner { design, plain, traced: Mutex::default() })))
    }

    /// A block before any reset: every bit without an initial value, and every `x`, is drawn from
    /// `seed`.
    pub fn block(&self, seed: u64) -> Block {
        Block::new(self.clone(), self.0.plain.clone(), seed)
    }

    pub fn top(&self) -> &str {
        &self.0.design.top
    }

    pub fn ports(&self) -> &[Port] {
        &self.0.design.ports
    }

    pub(crate) fn traced(&self) -> Result<Arc<Code>, Error> {
        let Inner { design, traced, .. } = &*self.0;
        let mut traced = traced.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if traced.is_none() {
            *traced = Some(Arc::new(Code::build(design, Variant::Traced)?));
        }
        Ok(traced.clone().expect("just built"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    Traced,
}

/// A pointer to an instance of the Verilated C++ class.
pub(crate) type Handle = *mut c_void;

/// The loaded code of a model: what `shim.cc` exports.
pub(crate) struct Code {
    pub new: unsafe extern "C" fn(seed: c_int) -> Handle,
    pub delete: unsafe extern "C" fn(Handle),
    pub ports: unsafe extern "C" fn(Handle, *mut *mut c_void),
    /// Null, or an error text that lives as long as the instance.
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

/// Verilator's flags for blocks.
const VERILATE: &[&str] = &[
    "--assert",
    "--no-timing",
    "--prefix",
    "Vblock",
    "--top-module",
    "nitor_block",
    // Undefined values are random, so that no test passes by luck.
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "-Wwarn-UNDRIVEN",
    "-Wno-UNOPTFLAT", // shows in the wrapper when a loop goes through a port
];

/// Verilator checks only our wrapper here, that is, whether the ports are as declared.
/// [`lint`](fn@crate::lint) checks the block itself.
const QUIET: &str = "`verilator_config\nlint_off -file \"*block.v\"\n";

impl Code {
    fn build(design: &Design, variant: Variant) -> Result<Code, Error> {
        let Design { verilog, top, ports, large } = design;
        let waves = variant == Variant::Traced;
        let counts = Counts::wanted();
        let mut verilate = VERILATE.to_vec();
        verilate.extend(["--output-split", if *large { "20000" } else { "0" }]);
        verilate.extend(waves.then_some("--trace-structs"));
        if counts.toggles {
            verilate.extend(["--coverage-max-width", "100000"]);
        }
        let (wrapper, table) = (wrapper(top, ports), port_table(ports));
        let recipe = Recipe {
            name: top,
            told: *large,
            verilog: &[("quiet.vlt", QUIET), ("wrapper.v", &wrapper), ("block.v", verilog)],
            verilate: &verilate,
            sources: &[("shim.cc", include_str!("shim.cc")), ("ports.h", &table)],
            defines: &[],
            runtime: true,
            level: 1, // most tests spend longer compiling than running
            units: if *large { Units::Many } else { Units::One },
            waves,
            counts,
        };
        let library = recipe.library()?;
        // SAFETY: `shim.cc` exports these functions with these types, and they are not used after
        // the library is unloaded.
        unsafe {
            let trace = match variant {
                Variant::Plain => None,
                Variant::Traced => Some(Tracing {
                    open: library.get("block_trace")?,
                    dump: library.get("block_dump")?,
                }),
            };
            Ok(Code {
                new: library.get("block_new")?,
                delete: library.get("block_delete")?,
                ports: library.get("block_ports")?,
                eval: library.get("block_eval")?,
                trace,
                _library: library,
            })
        }
    }
}

/// A top module with ports `p0`, `p1`, ... around the block. So the C++ names are known whatever
/// the block and its ports are called, and Verilator reports a port that is missing or has another
/// width.
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
