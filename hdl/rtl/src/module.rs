//! Emits one block as one Verilog module.
//!
//! | module | what |
//! |---|---|
//! | here | ports and names; leaves; the module around its body |
//! | `always` | `always` blocks and registers |
//! | `constant` | evaluates blocks that read nothing |
//! | `drive` | checks that each signal has a driver, on every path |
//! | `function` | helpers |
//! | `kernel` | the parts of a kernel's module, in their order |
//! | `print` | statements |
//! | `usage` | which bits of a signal are read |

mod always;
mod constant;
mod drive;
mod function;
mod kernel;
mod print;
mod usage;

use crate::build::{self, DOC_MARK, TREE_MARK, TYPE_MARK};
use crate::emit::{Direction, Found, Module, Port};
use crate::mutate;
use crate::names::module_name;
use crate::text::{bits, Text};
use rust_hdl_core::ast::Verilog;
use rust_hdl_core::atom::AtomKind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

type Ports = Vec<(String, Port)>;

/// The module of a block, and its ports by RustHDL's names.
pub fn emit(found: &Found, code: &Verilog) -> Result<(Module, Ports), String> {
    match code {
        Verilog::Custom(text) => match text.strip_prefix(TREE_MARK) {
            Some(number) => {
                let mut tree = build::take(number).ok_or("the tree of this block is gone")?;
                mutate::mutate(&mut tree);
                Writer::new(found)?.kernel(tree)
            }
            None => Writer::new(found)?.leaf(text),
        },
        Verilog::Empty => Err("the block has no Verilog".to_string()),
        Verilog::Combinatorial(_) => Err("the block has no `#[kernel]`".to_string()),
        _ => Err("wrappers and black boxes are not supported; write a leaf".to_string()),
    }
}

struct Writer<'a> {
    found: &'a Found,
    text: Text,
    /// Values of the block's constants.
    constants: BTreeMap<String, (usize, u128)>,
    ports: Ports,
    /// The name and the doc of the type.
    title: String,
    doc: Vec<String>,
    decls: Vec<String>,
    body: Vec<String>,
}

/// Ends the text of a line of Verilog. The place in the source follows, `file:line` or nothing.
const PLACE: char = '\u{1}';

impl<'a> Writer<'a> {
    fn new(found: &'a Found) -> Result<Self, String> {
        let mut w = Self {
            found,
            text: Text::default(),
            constants: BTreeMap::new(),
            ports: vec![],
            title: String::new(),
            doc: vec![],
            decls: vec![],
            body: vec![],
        };
        // Ports get their names first, which nothing inside may take.
        for s in &found.signals {
            let direction = match s.kind {
                AtomKind::InputParameter => Direction::In,
                AtomKind::OutputParameter => Direction::Out,
                _ => continue,
            };
            let port = Port { name: w.text.names.of(&s.name), direction, width: s.width };
            w.ports.push((s.name.clone(), port));
        }
        for s in &found.signals {
            match s.kind {
                AtomKind::InputParameter | AtomKind::OutputParameter | AtomKind::LocalSignal => {}
                AtomKind::Constant => {
                    let hex = s.value.split_once("'h").map_or(s.value.as_str(), |(_, h)| h);
                    let value = u128::from_str_radix(hex, 16)
                        .map_err(|_| format!("the constant `{}` is wider than 128 bits", s.name))?;
                    w.constants.insert(s.name.clone(), (s.width, value));
                }
                _ => return Err(format!("`{}`: inout and stub signals are not supported", s.name)),
            }
            w.text.signals.insert(s.name.clone(), s.width);
            if let Some(shape) = &s.shape {
                w.text.shapes.insert(s.name.clone(), shape.clone());
            }
        }
        for child in &found.children {
            for (port, p) in &child.ports {
                w.text.signals.insert(format!("{}${port}", child.name), p.width);
            }
            for (port, shape) in &child.shapes {
                w.text.shapes.insert(format!("{}${port}", child.name), shape.clone());
            }
        }
        Ok(w)
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
            match line.strip_prefix("//") {
                Some(mark) if mark.starts_with(TYPE_MARK) => {
                    self.title = mark[TYPE_MARK.len()..].to_string();
                }
                Some(mark) if mark.starts_with(DOC_MARK) => {
                    self.doc.push(mark[DOC_MARK.len()..].to_string());
                }
                _ => body.push(line),
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
