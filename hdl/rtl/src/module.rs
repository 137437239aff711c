//! One block as one Verilog module.
//!
//! | module | what |
//! |---|---|
//! | here | ports and names; leaves; the module around its body |
//! | `read` | a kernel's tree: locals and their widths apart from statements |
//! | `paths` | what statements assign, and whether on every path |
//! | `write` | who drives what, instances, the parts in their order |
//! | `logic` | always blocks and registers |
//! | `locals` | wires of `let`s and multiplexers |

mod locals;
mod logic;
mod paths;
mod read;
mod write;

use crate::build::{DOC_MARK, FAULT_MARK, STATE_MARK, TYPE_MARK};
use crate::emit::{Direction, Found, Module, Port};
use crate::expr::Scope;
use crate::names::module_name;
use rust_hdl_core::ast::{Verilog, VerilogExpression as Expr, VerilogStatement as Stmt};
use rust_hdl_core::atom::AtomKind;
use std::collections::BTreeSet;
use std::fmt::Write;

type Ports = Vec<(String, Port)>;

/// The module of a block, and its ports by RustHDL's names.
pub fn emit(found: &Found, code: &Verilog) -> Result<(Module, Ports), String> {
    match code {
        Verilog::Combinatorial(block) => Writer::new(found)?.kernel(block),
        Verilog::Custom(text) => Writer::new(found)?.leaf(text),
        Verilog::Empty => Err("the block has no Verilog".to_string()),
        _ => Err("wrappers and black boxes are not supported; write a leaf".to_string()),
    }
}

/// A local's definition.
enum Def<'a> {
    Value(&'a Expr),
    /// An `if` or `match` that only assigns the local, or a slice replacement.
    Mux(&'a Stmt),
    Replace(&'a Expr, usize, &'a Expr, &'a Expr),
}

struct Writer<'a> {
    found: &'a Found,
    scope: Scope,
    ports: Ports,
    /// Type name and doc, from the tree's marks.
    title: String,
    doc: Vec<String>,
    decls: Vec<String>,
    body: Vec<String>,
}

/// Ends a line of Verilog that has a place in the source: `file:line` follows, or nothing.
const PLACE: char = '\u{1}';

/// A line of Verilog without its place.
fn unplaced(line: &str) -> &str {
    line.split(PLACE).next().unwrap_or(line)
}

fn bits(width: usize) -> String {
    match width {
        1 => String::new(),
        w => format!("[{}:0] ", w - 1),
    }
}

impl<'a> Writer<'a> {
    fn new(found: &'a Found) -> Result<Self, String> {
        let mut w = Self {
            found,
            scope: Scope::default(),
            ports: vec![],
            title: String::new(),
            doc: vec![],
            decls: vec![],
            body: vec![],
        };
        // Ports first: their names must not give way to anything inside.
        for s in &found.signals {
            let direction = match s.kind {
                AtomKind::InputParameter => Direction::In,
                AtomKind::OutputParameter => Direction::Out,
                _ => continue,
            };
            let port = Port { name: w.scope.names.of(&s.name), direction, width: s.width };
            w.ports.push((s.name.clone(), port));
        }
        for s in &found.signals {
            match s.kind {
                AtomKind::InputParameter | AtomKind::OutputParameter | AtomKind::LocalSignal => {
                    w.scope.widths.insert(s.name.clone(), s.width);
                }
                AtomKind::Constant => {
                    let hex = s.value.split_once("'h").map_or(s.value.as_str(), |(_, h)| h);
                    let value = u128::from_str_radix(hex, 16)
                        .map_err(|_| format!("the constant `{}` is wider than 128 bits", s.name))?;
                    w.scope.constants.insert(s.name.clone(), (s.width, value));
                }
                _ => return Err(format!("`{}`: inout and stub signals are not supported", s.name)),
            }
        }
        for child in &found.children {
            for (port, p) in &child.ports {
                w.scope.widths.insert(format!("{}${port}", child.name), p.width);
            }
        }
        Ok(w)
    }

    fn mark(&mut self, comment: &str) -> Result<(), String> {
        if let Some(name) = comment.strip_prefix(TYPE_MARK) {
            self.title = name.to_string();
        } else if let Some(line) = comment.strip_prefix(DOC_MARK) {
            self.doc.push(line.to_string());
        } else if let Some(fault) = comment.strip_prefix(FAULT_MARK) {
            return Err(fault.to_string());
        } else if let Some(state) = comment.strip_prefix(STATE_MARK) {
            let mut parts = state.split(' ');
            if let (Some(name), Some(Ok(w)), Some(Ok(v))) =
                (parts.next(), parts.next().map(str::parse), parts.next().map(str::parse))
            {
                self.scope.constants.insert(name.to_string(), (w, v));
            }
        }
        Ok(())
    }

    fn finish(self, outputs_reg: &BTreeSet<String>) -> (Module, Ports) {
        let name = module_name(&self.title);
        let mut text = String::new();
        for line in &self.doc {
            let _ = writeln!(text, "// {line}");
        }
        let _ = writeln!(text, "module {name} (");
        let lines: Vec<String> = self
            .ports
            .iter()
            .map(|(_, p)| {
                let kind = match p.direction {
                    Direction::In => "input  wire",
                    Direction::Out if outputs_reg.contains(&p.name) => "output reg ",
                    Direction::Out => "output wire",
                };
                format!("    {kind} {}{}", bits(p.width), p.name)
            })
            .collect();
        let _ = writeln!(text, "{}\n);", lines.join(",\n"));
        let mut places = vec![None; text.lines().count()];
        for part in [&self.decls, &self.body] {
            for line in part.iter().flat_map(|l| l.lines()) {
                let (line, place) = line.split_once(PLACE).unwrap_or((line, ""));
                places.push((!place.is_empty()).then(|| place.to_string()));
                match line.is_empty() {
                    true => text.push('\n'),
                    false => {
                        let _ = writeln!(text, "    {line}");
                    }
                }
            }
        }
        text.push_str("endmodule\n");
        let module = Module {
            name,
            doc: self.doc.join("\n"),
            text,
            places,
            ports: self.ports.iter().map(|p| p.1.clone()).collect(),
        };
        (module, self.ports)
    }

    fn leaf(mut self, text: &str) -> Result<(Module, Ports), String> {
        let mut body = vec![];
        for line in text.lines() {
            match line.strip_prefix("//nitor:") {
                Some(_) => self.mark(&line[2..])?,
                None => body.push(line),
            }
        }
        if self.title.is_empty() {
            return Err("a leaf is made with nitor_rtl::leaf".to_string());
        }
        self.body.push(body.join("\n"));
        let outputs = self.ports.iter().filter(|p| p.1.direction == Direction::Out);
        let driven = |p: &&(String, Port)| !text.contains(&format!("assign {} ", p.1.name));
        let outputs = outputs.filter(driven).map(|p| p.1.name.clone()).collect();
        Ok(self.finish(&outputs))
    }
}

/// A kernel, read: what its locals are, and what is left to print.
struct Kernel<'a> {
    w: Writer<'a>,
    defs: Vec<(String, Def<'a>)>,
    statements: Vec<Stmt>,
}
