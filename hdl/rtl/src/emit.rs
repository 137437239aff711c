//! Emits a RustHDL block as Verilog: one module per distinct block, children before parents. `nitor
//! emit` and the simulation use it.

use crate::module;
use crate::shape::Shape;
use crate::types::REG_MARK;
use rust_hdl_core::ast::Verilog;
use rust_hdl_core::atom::AtomKind;
use rust_hdl_core::prelude::{Atom, Block, Probe};
use rust_hdl_core::type_descriptor::TypeKind;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// A block that cannot be written as Verilog, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{block}: {cause}")]
pub struct EmitError {
    pub block: String,
    pub cause: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub direction: Direction,
    pub width: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    pub name: String,
    /// What the block is for, from the kernel's doc comment.
    pub doc: String,
    pub text: String,
    /// For each line of the text the place in the source that it comes from: `file:line`.
    pub places: Vec<Option<String>>,
    pub ports: Vec<Port>,
}

/// The modules of a block and all below it; children before parents, the top last.
#[derive(Debug, Clone, Default)]
pub struct Design {
    modules: Vec<Module>,
}

impl Design {
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Name of the top module.
    pub fn top(&self) -> &str {
        self.modules.last().map_or("", |m| &m.name)
    }

    /// Ports of the top module.
    pub fn ports(&self) -> &[Port] {
        self.modules.last().map_or(&[], |m| &m.ports)
    }
}

/// The environment variable that asks for [`Design`]s with `` `line `` directives: tools then refer
/// to the kernels' files and lines. Coverage is counted this way.
pub const PLACES: &str = "NITOR_VERILOG_PLACES";

impl Module {
    /// A line that comes from no place in the source gets the file `verilog/MODULE`.
    fn write_with_places(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = None;
        for (i, line) in self.text.lines().enumerate() {
            let place = self.places.get(i).and_then(Option::as_deref);
            let (file, number) = match place.and_then(|p| p.rsplit_once(':')) {
                Some((file, number)) => (file.to_string(), number.parse().unwrap_or(0)),
                None => (format!("verilog/{}", self.name), i + 1),
            };
            if next.as_ref() != Some(&(file.clone(), number)) {
                writeln!(f, "`line {number} \"{file}\" 0")?;
            }
            writeln!(f, "{line}")?;
            next = Some((file, number + 1));
        }
        Ok(())
    }
}

impl fmt::Display for Design {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = std::env::var_os(PLACES).is_some();
        for (i, module) in self.modules.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            match places {
                true => module.write_with_places(f)?,
                false => f.write_str(&module.text)?,
            }
        }
        Ok(())
    }
}

/// Runs `f` on a thread whose stack is large enough for wide blocks: RustHDL keeps a block, and all
/// below it, by value.
pub fn with_stack<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(f);
    match thread.map(|t| t.join()) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(e) => panic!("no thread for the emitter: {e}"),
    }
}

/// Emits `block` and all below it; `name` names the top module.
pub fn emit(block: &dyn Block, name: &str) -> Result<Design, EmitError> {
    let mut collect = Collect::default();
    block.accept(name, &mut collect);
    if let Some(error) = collect.error {
        return Err(error);
    }
    let mut design = Design { modules: collect.modules };
    if let Some(top) = design.modules.last_mut() {
        if top.name != name {
            let old = format!("module {} (", top.name);
            let new = format!("module {name} (");
            top.text = top.text.replacen(&old, &new, 1);
            top.name = name.to_string();
        }
    }
    Ok(design)
}

/// A signal of a block.
#[derive(Clone, Debug)]
pub struct Signal {
    pub name: String,
    pub kind: AtomKind,
    pub width: usize,
    /// The fields, if the signal is a record.
    pub shape: Option<Rc<Shape>>,
    pub value: String,
}

/// A block inside another.
#[derive(Clone, Debug)]
pub struct Child {
    pub name: String,
    pub module: String,
    /// Port name inside the child as RustHDL has it, Verilog name, direction, width.
    pub ports: Vec<(String, Port)>,
    /// Ports that are records.
    pub shapes: Vec<(String, Rc<Shape>)>,
    /// The reset value, for registers.
    pub register: Option<u128>,
}

/// A block as the probe found it.
#[derive(Default, Debug)]
pub struct Found {
    pub name: String,
    pub namespace: Vec<String>,
    pub signals: Vec<Signal>,
    pub children: Vec<Child>,
    pub states: BTreeMap<String, (usize, u128)>,
}

#[derive(Default)]
struct Collect {
    stack: Vec<Found>,
    modules: Vec<Module>,
    error: Option<EmitError>,
}

impl Collect {
    fn path(&self) -> String {
        let names: Vec<_> = self.stack.iter().map(|f| f.name.as_str()).collect();
        names.join(".")
    }

    fn add(&mut self, mut module: Module) -> String {
        let stem = module.name.clone();
        let mut n = 1;
        loop {
            match self.modules.iter().find(|m| m.name == module.name) {
                None => break,
                Some(same) if *same == module => return module.name,
                Some(_) => {
                    n += 1;
                    let renamed = format!("{stem}_v{n}");
                    let (old, new) =
                        (format!("module {} (", module.name), format!("module {renamed} ("));
                    module.text = module.text.replacen(&old, &new, 1);
                    module.name = renamed;
                }
            }
        }
        let name = module.name.clone();
        self.modules.push(module);
        name
    }
}

impl Probe for Collect {
    fn visit_start_scope(&mut self, name: &str, _: &dyn Block) {
        self.stack.push(Found { name: name.to_string(), ..Found::default() });
    }

    fn visit_start_namespace(&mut self, name: &str, _: &dyn Block) {
        if let Some(found) = self.stack.last_mut() {
            found.namespace.push(name.to_string());
        }
    }

    fn visit_end_namespace(&mut self, _: &str, _: &dyn Block) {
        if let Some(found) = self.stack.last_mut() {
            found.namespace.pop();
        }
    }

    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let Some(found) = self.stack.last_mut() else {
            return;
        };
        let mut path = found.namespace.clone();
        path.push(name.to_string());
        let descriptor = atom.descriptor();
        if let TypeKind::Enum(states) = &descriptor.kind {
            for (value, state) in states.iter().enumerate() {
                found.states.insert(state.clone(), (atom.bits(), value as u128));
            }
        }
        found.signals.push(Signal {
            name: path.join("$"),
            kind: atom.kind(),
            width: atom.bits(),
            shape: Shape::of(&descriptor),
            value: if atom.kind() == AtomKind::Constant {
                format!("{:x}", atom.verilog())
            } else {
                String::new()
            },
        });
    }

    fn visit_end_scope(&mut self, _: &str, node: &dyn Block) {
        let path = self.path();
        let Some(found) = self.stack.pop() else {
            return;
        };
        if self.error.is_some() {
            return;
        }
        let code = node.hdl();
        let register = match &code {
            Verilog::Custom(text) => text.strip_prefix(REG_MARK),
            _ => None,
        };
        let mut child = Child {
            name: found.name.clone(),
            module: String::new(),
            ports: vec![],
            shapes: found
                .signals
                .iter()
                .filter_map(|s| Some((s.name.clone(), s.shape.clone()?)))
                .collect(),
            register: None,
        };
        if let Some(value) = register {
            let hex = value.split_once("'h").map_or(value, |(_, h)| h).trim();
            child.register = u128::from_str_radix(hex, 16).ok();
            if child.register.is_none() {
                let cause = "a register resets to a number of at most 128 bits".to_string();
                self.error = Some(EmitError { block: path, cause });
                return;
            }
            child.ports = found
                .signals
                .iter()
                .map(|s| {
                    let direction = match s.kind {
                        AtomKind::OutputParameter => Direction::Out,
                        _ => Direction::In,
                    };
                    let port = Port { name: s.name.clone(), direction, width: s.width };
                    (s.name.clone(), port)
                })
                .collect();
        } else {
            match module::emit(&found, &code) {
                Ok((module, ports)) => {
                    child.ports = ports;
                    child.module = self.add(module);
                }
                Err(cause) => {
                    self.error = Some(EmitError { block: path, cause });
                    return;
                }
            }
        }
        if let Some(parent) = self.stack.last_mut() {
            for (name, state) in found.states {
                parent.states.entry(name).or_insert(state);
            }
            parent.children.push(child);
        }
    }
}
