//! One block as one Verilog module.

use crate::build::{DOC_MARK, STATE_MARK, TYPE_MARK};
use crate::emit::{Child, Direction, Found, Module, Port};
use crate::expr::{literal, number, Scope};
use crate::names::module_name;
use rust_hdl_core::ast::{
    Verilog, VerilogBlockOrConditional as Else, VerilogExpression as Expr, VerilogLink,
    VerilogLinkDetails, VerilogStatement as Stmt,
};
use rust_hdl_core::atom::AtomKind;
use std::collections::{BTreeMap, BTreeSet};
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
        for part in [&self.decls, &self.body] {
            for line in part.iter().flat_map(|l| l.lines()) {
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

    fn kernel(mut self, block: &'a [Stmt]) -> Result<(Module, Ports), String> {
        let mut defs: Vec<(String, Def<'a>)> = vec![];
        let mut statements: Vec<Stmt> = vec![];
        for stmt in block {
            match stmt {
                Stmt::Comment(c) => self.mark(c)?,
                Stmt::Assignment(Expr::Signal(n), e) if n.starts_with('%') => {
                    defs.push((n.clone(), Def::Value(e)))
                }
                Stmt::Macro(inner) => match inner.as_slice() {
                    [Stmt::Assignment(Expr::Signal(n), a), Stmt::SliceAssignment { width, offset, replacement, .. }] =>
                    {
                        self.local_width(n, a)?;
                        defs.push((n.clone(), Def::Replace(a, *width, offset, replacement)));
                    }
                    _ => return Err("an unknown macro in the tree".to_string()),
                },
                _ => match local_target(stmt) {
                    Some(n) => defs.push((n, Def::Mux(stmt))),
                    None => statements.extend(links(stmt)),
                },
            }
            if let Some((name, def)) = defs.last() {
                if !self.scope.widths.contains_key(name) {
                    let name = name.clone();
                    let width = match def {
                        Def::Value(e) => self.scope.width(e)?,
                        Def::Mux(s) => self.mux_width(s)?,
                        Def::Replace(..) => None,
                    };
                    let shown = name.trim_start_matches('%').split('%').next().unwrap_or("");
                    let width =
                        width.ok_or_else(|| format!("`{shown}` has no width; use lit::<N>(..)"))?;
                    self.scope.widths.insert(name, width);
                }
            }
        }
        Kernel { w: self, defs, statements }.write()
    }

    fn local_width(&mut self, name: &str, e: &Expr) -> Result<(), String> {
        let width = self.scope.width(e)?.ok_or("a slice of a number replaced")?;
        self.scope.widths.insert(name.to_string(), width);
        Ok(())
    }

    fn mux_width(&self, stmt: &Stmt) -> Result<Option<usize>, String> {
        let blocks: Vec<&[Stmt]> = match stmt {
            Stmt::If(c) => match &c.otherwise {
                Else::Block(b) => vec![&c.then, b],
                _ => vec![&c.then],
            },
            Stmt::Match(m) => m.cases.iter().map(|c| c.block.as_slice()).collect(),
            _ => vec![],
        };
        let mut width = None;
        for block in blocks {
            if let [Stmt::Assignment(_, e)] = block {
                width = width.or(self.scope.width(e)?);
            }
        }
        Ok(width)
    }
}

/// The local that an `if` or `match` defines.
fn local_target(stmt: &Stmt) -> Option<String> {
    let first = match stmt {
        Stmt::If(c) => c.then.first(),
        Stmt::Match(m) => m.cases.first().and_then(|c| c.block.first()),
        _ => None,
    };
    match first {
        Some(Stmt::Assignment(Expr::Signal(n), _)) if n.starts_with('%') => Some(n.clone()),
        _ => None,
    }
}

/// Links as assignments; other statements as they are.
fn links(stmt: &Stmt) -> Vec<Stmt> {
    let Stmt::Link(links) = stmt else {
        return vec![stmt.clone()];
    };
    let full = |owner: &str, my: &str| Expr::Signal(format!("{owner}{}", my.replace('.', "$")));
    let assign = |d: &VerilogLinkDetails, forward: bool| {
        let (a, b) = (full(&d.owner_name, &d.my_name), full(&d.other_name, &d.my_name));
        match forward {
            true => Stmt::Assignment(b, a),
            false => Stmt::Assignment(a, b),
        }
    };
    let one = |l: &VerilogLink| match l {
        VerilogLink::Forward(d) => assign(d, true),
        VerilogLink::Backward(d) | VerilogLink::Bidirectional(d) => assign(d, false),
    };
    links.iter().map(one).collect()
}

struct Kernel<'a> {
    w: Writer<'a>,
    defs: Vec<(String, Def<'a>)>,
    statements: Vec<Stmt>,
}

/// What statements assign to a signal.
fn targets(statements: &[Stmt], out: &mut Vec<String>) {
    for stmt in statements {
        match stmt {
            Stmt::Assignment(Expr::Signal(n), _) if !out.contains(n) => out.push(n.clone()),
            Stmt::If(c) => {
                targets(&c.then, out);
                match &c.otherwise {
                    Else::Block(b) => targets(b, out),
                    Else::Conditional(s) => targets(std::slice::from_ref(s), out),
                    Else::None => {}
                }
            }
            Stmt::Match(m) => m.cases.iter().for_each(|c| targets(&c.block, out)),
            _ => {}
        }
    }
}

fn assigns(stmt: &Stmt, wanted: &BTreeSet<String>) -> bool {
    let mut all = vec![];
    targets(std::slice::from_ref(stmt), &mut all);
    all.iter().any(|t| wanted.contains(t))
}

/// Whether every path through the statements assigns the signal.
fn always_assigned(statements: &[Stmt], name: &str) -> bool {
    statements.iter().any(|s| match s {
        Stmt::Assignment(Expr::Signal(n), _) => n == name,
        Stmt::If(c) => {
            always_assigned(&c.then, name)
                && match &c.otherwise {
                    Else::Block(b) => always_assigned(b, name),
                    Else::Conditional(s) => always_assigned(std::slice::from_ref(s), name),
                    Else::None => false,
                }
        }
        Stmt::Match(m) => {
            m.cases.iter().any(|c| c.condition == "default")
                && m.cases.iter().all(|c| always_assigned(&c.block, name))
        }
        _ => false,
    })
}

impl<'a> Kernel<'a> {
    fn write(mut self) -> Result<(Module, Ports), String> {
        let found = self.w.found;
        let registers: BTreeMap<&str, &Child> = found
            .children
            .iter()
            .filter(|c| c.register.is_some())
            .map(|c| (c.name.as_str(), c))
            .collect();
        let modules: Vec<&Child> = found.children.iter().filter(|c| c.register.is_none()).collect();
        let mut all = vec![];
        targets(&self.statements, &mut all);

        let mut next_state = BTreeSet::new();
        let mut outputs_reg = BTreeSet::new();
        let mut direct: BTreeMap<String, String> = BTreeMap::new();
        let mut logic: Vec<String> = vec![];
        let mut wires: Vec<String> = vec![];
        for name in &all {
            self.check_target(name)?;
            if let Some((owner, port)) = name.rsplit_once('$') {
                if registers.contains_key(owner) {
                    if port == "d" {
                        next_state.insert(name.clone());
                    }
                    continue;
                }
            }
            let own = BTreeSet::from([name.clone()]);
            let mine: Vec<&Stmt> = self.statements.iter().filter(|s| assigns(s, &own)).collect();
            let width = self.w.scope.width_of(name)?;
            let verilog = self.w.scope.names.of(name);
            let is_port = found
                .signals
                .iter()
                .any(|s| s.name == *name && s.kind == AtomKind::OutputParameter);
            if let Some(Stmt::Assignment(_, value)) = mine.last() {
                // The last word counts; what came before is dead.
                let value = value.clone();
                let in_child = modules.iter().any(|m| name.starts_with(&format!("{}$", m.name)));
                let text = self.w.scope.assigned(&value, width)?;
                if in_child && matches!(value, Expr::Signal(_)) {
                    direct.insert(name.clone(), text);
                    continue;
                }
                if !is_port {
                    wires.push(format!("wire {}{verilog};", bits(width)));
                }
                logic.push(format!("assign {verilog} = {text};"));
                continue;
            }
            let mine: Vec<Stmt> = mine.into_iter().cloned().collect();
            if !always_assigned(&mine, name) {
                return Err(format!(
                    "`{}` is not assigned on every path (a latch)",
                    name.replace('$', ".")
                ));
            }
            if is_port {
                outputs_reg.insert(verilog.clone());
            } else {
                wires.push(format!("reg {}{verilog};", bits(width)));
            }
            let mut text = String::from("always @* begin\n");
            self.statements_text(&mine, &own, 1, &mut text)?;
            text.push_str("end");
            logic.push(text);
        }
        self.undriven(&registers, &modules, &all)?;
        let state = self.state_text(&registers, &next_state)?;
        let instances = self.instances(&modules, &direct, &mut wires);
        let (locals, local_logic) = self.locals()?;
        self.finish(registers, wires, locals, local_logic, logic, state, instances, outputs_reg)
    }

    fn check_target(&self, name: &str) -> Result<(), String> {
        self.w.scope.width_of(name)?;
        if self.w.found.signals.iter().any(|s| s.name == name && s.kind == AtomKind::InputParameter)
        {
            return Err(format!("`{name}` is an input and cannot be driven here"));
        }
        for c in &self.w.found.children {
            if let Some(port) = name.strip_prefix(&format!("{}$", c.name)) {
                if c.ports.iter().any(|(n, p)| n == port && p.direction == Direction::Out) {
                    return Err(format!(
                        "`{}` is an output of a block inside",
                        name.replace('$', ".")
                    ));
                }
            }
        }
        Ok(())
    }

    fn undriven(
        &self,
        registers: &BTreeMap<&str, &Child>,
        modules: &[&Child],
        all: &[String],
    ) -> Result<(), String> {
        for s in &self.w.found.signals {
            let needs = matches!(s.kind, AtomKind::OutputParameter | AtomKind::LocalSignal);
            if needs && !all.contains(&s.name) {
                return Err(format!("`{}` is not driven", s.name.replace('$', ".")));
            }
        }
        for c in modules.iter().copied().chain(registers.values().copied()) {
            for (port, p) in &c.ports {
                let name = format!("{}${port}", c.name);
                if p.direction == Direction::In && !all.contains(&name) {
                    return Err(format!("`{}` is not driven", name.replace('$', ".")));
                }
            }
        }
        Ok(())
    }

    fn statements_text(
        &mut self,
        statements: &[Stmt],
        wanted: &BTreeSet<String>,
        depth: usize,
        out: &mut String,
    ) -> Result<(), String> {
        let pad = "    ".repeat(depth);
        for stmt in statements {
            match stmt {
                Stmt::Assignment(Expr::Signal(n), e) if wanted.contains(n) => {
                    let width = self.w.scope.width_of(n)?;
                    let text = self.w.scope.assigned(e, width)?;
                    let name = self.w.scope.names.of(n);
                    let _ = writeln!(out, "{pad}{name} = {text};");
                }
                Stmt::If(c) if assigns(stmt, wanted) => {
                    let test = self.w.scope.condition(&c.test)?;
                    let _ = writeln!(out, "{pad}if ({test}) begin");
                    self.statements_text(&c.then, wanted, depth + 1, out)?;
                    let otherwise: &[Stmt] = match &c.otherwise {
                        Else::Block(b) => b,
                        Else::Conditional(s) => std::slice::from_ref(s),
                        Else::None => &[],
                    };
                    if otherwise.iter().any(|s| assigns(s, wanted)) {
                        let _ = writeln!(out, "{pad}end else begin");
                        self.statements_text(otherwise, wanted, depth + 1, out)?;
                    }
                    let _ = writeln!(out, "{pad}end");
                }
                Stmt::Match(m) if assigns(stmt, wanted) => {
                    let width = self.w.scope.width(&m.test)?.ok_or("a match on a number")?;
                    let test = self.w.scope.condition_of(&m.test, width)?;
                    let _ = writeln!(out, "{pad}case ({test})");
                    let mut default = false;
                    for case in &m.cases {
                        default |= case.condition == "default";
                        let label = self.label(&case.condition, width)?;
                        let _ = writeln!(out, "{pad}    {label}: begin");
                        self.statements_text(&case.block, wanted, depth + 2, out)?;
                        let _ = writeln!(out, "{pad}    end");
                    }
                    if !default {
                        let _ = writeln!(out, "{pad}    default: begin\n{pad}    end");
                    }
                    let _ = writeln!(out, "{pad}endcase");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn label(&mut self, condition: &str, width: usize) -> Result<String, String> {
        if condition == "default" {
            return Ok(condition.to_string());
        }
        let mut labels = vec![];
        for part in condition.split(", ") {
            labels.push(match part.split_once("'h") {
                Some((_, hex)) => {
                    let value =
                        u128::from_str_radix(hex, 16).map_err(|_| format!("the pattern {part}"))?;
                    number(width, value)?
                }
                None => {
                    let (w, _) = *self
                        .w
                        .scope
                        .constants
                        .get(part)
                        .ok_or_else(|| format!("the pattern {part}"))?;
                    if w != width {
                        return Err(format!("the pattern {part} has {w} bits, the match {width}"));
                    }
                    self.w.scope.names.of(part)
                }
            });
        }
        Ok(labels.join(", "))
    }

    /// Next-state logic of the block's own registers, then the registers.
    fn state_text(
        &mut self,
        registers: &BTreeMap<&str, &Child>,
        next_state: &BTreeSet<String>,
    ) -> Result<Vec<String>, String> {
        let mut out = vec![];
        // What an unconditional assignment further down overwrites is dead.
        let mut statements = vec![];
        for (i, stmt) in self.statements.iter().enumerate() {
            if let Stmt::Assignment(Expr::Signal(n), _) = stmt {
                let later = &self.statements[i + 1..];
                if later.iter().any(|s| matches!(s, Stmt::Assignment(Expr::Signal(m), _) if m == n))
                {
                    continue;
                }
            }
            statements.push(stmt.clone());
        }
        for name in next_state {
            if !always_assigned(&statements, name) {
                return Err(format!(
                    "`{}` is not assigned on every path (a latch)",
                    name.replace('$', ".")
                ));
            }
        }
        // A constant or a plain copy needs no always block, and Icarus would never run one without inputs.
        let mut simple = BTreeSet::new();
        for name in next_state {
            let own = BTreeSet::from([name.clone()]);
            let mine: Vec<&Stmt> = statements.iter().filter(|s| assigns(s, &own)).collect();
            if let [Stmt::Assignment(_, e)] = mine.as_slice() {
                let (width, e) = (self.w.scope.width_of(name)?, e.clone());
                let text = self.w.scope.assigned(&e, width)?;
                let verilog = self.w.scope.names.of(name);
                out.push(format!("assign {verilog} = {text};"));
                simple.insert(name.clone());
            }
        }
        let rest: BTreeSet<String> = next_state.difference(&simple).cloned().collect();
        if !rest.is_empty() {
            let mut text = String::from("always @* begin\n");
            self.statements_text(&statements, &rest, 1, &mut text)?;
            text.push_str("end");
            out.push(text);
        }
        let mut groups: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for (name, child) in registers {
            let clock = self.simple_value(&format!("{name}$clock"))?;
            let reset = self.simple_value(&format!("{name}$reset"))?;
            groups.entry((clock, reset)).or_default().push((*name).to_string());
            let width = child.ports.iter().find(|p| p.0 == "d").map_or(1, |p| p.1.width);
            let (d, q) = (
                self.w.scope.names.of(&format!("{name}$d")),
                self.w.scope.names.of(&format!("{name}$q")),
            );
            let kind = if simple.contains(&format!("{name}$d")) { "wire" } else { "reg" };
            self.w.decls.push(format!("reg {}{q};", bits(width)));
            self.w.decls.push(format!("{kind} {}{d};", bits(width)));
            self.w.scope.read.insert(d);
        }
        for ((clock, reset), names) in groups {
            let mut text = format!("always @(posedge {clock}) begin\n    if ({reset}) begin\n");
            for name in &names {
                let child = registers[name.as_str()];
                let width = child.ports.iter().find(|p| p.0 == "d").map_or(1, |p| p.1.width);
                let init = number(width, child.register.unwrap_or(0))?;
                let q = self.w.scope.names.of(&format!("{name}$q"));
                let _ = writeln!(text, "        {q} <= {init};");
            }
            text.push_str("    end else begin\n");
            for name in &names {
                let (d, q) = (
                    self.w.scope.names.of(&format!("{name}$d")),
                    self.w.scope.names.of(&format!("{name}$q")),
                );
                let _ = writeln!(text, "        {q} <= {d};");
            }
            text.push_str("    end\nend");
            out.push(text);
        }
        Ok(out)
    }

    /// The value of a signal that is assigned once, without condition.
    fn simple_value(&mut self, name: &str) -> Result<String, String> {
        let own = BTreeSet::from([name.to_string()]);
        let mine: Vec<Stmt> =
            self.statements.iter().filter(|s| assigns(s, &own)).cloned().collect();
        match mine.last() {
            Some(Stmt::Assignment(_, e)) => self.w.scope.condition(e),
            _ => Err(format!("`{}` must be wired without condition", name.replace('$', "."))),
        }
    }

    fn instances(
        &mut self,
        modules: &[&Child],
        direct: &BTreeMap<String, String>,
        wires: &mut Vec<String>,
    ) -> Vec<String> {
        let mut out = vec![];
        for child in modules {
            let mut lines = vec![];
            for (port, p) in &child.ports {
                let name = format!("{}${port}", child.name);
                let net = match direct.get(&name) {
                    Some(text) => text.clone(),
                    None => self.w.scope.names.of(&name),
                };
                if p.direction == Direction::Out {
                    wires.push(format!("wire {}{net};", bits(p.width)));
                } else {
                    self.w.scope.read.insert(net.clone());
                }
                lines.push(format!("    .{}({net})", p.name));
            }
            let instance = self.w.scope.names.unique(&child.name);
            out.push(format!("{} {instance} (\n{}\n);", child.module, lines.join(",\n")));
        }
        out
    }

    /// Wires of `let`s and multiplexers; those nobody reads are left out.
    fn locals(&mut self) -> Result<(Vec<String>, Vec<String>), String> {
        let mut decls = vec![];
        let mut logic = vec![];
        let defs = std::mem::take(&mut self.defs);
        // Readers come after what they read, so one walk from the end finds all that is used.
        for (name, def) in defs.iter().rev() {
            let verilog = self.w.scope.names.of(name);
            let used =
                self.w.scope.read.contains(&verilog) || self.w.scope.read_partly.contains(&verilog);
            if !used {
                continue;
            }
            let width = self.w.scope.width_of(name)?;
            match def {
                Def::Value(e) => {
                    let text = self.w.scope.assigned(e, width)?;
                    decls.push(format!("wire {}{verilog};", bits(width)));
                    logic.push(format!("assign {verilog} = {text};"));
                }
                Def::Mux(Stmt::If(c)) => {
                    let test = self.w.scope.sized(&c.test, 1)?;
                    let mut value = |b: &[Stmt]| match b {
                        [Stmt::Assignment(_, e)] => self.w.scope.sized(e, width),
                        _ => Err("a multiplexer with more than its value".to_string()),
                    };
                    let then = value(&c.then)?;
                    let otherwise = match &c.otherwise {
                        Else::Block(b) => value(b)?,
                        _ => return Err("a multiplexer without an else".to_string()),
                    };
                    decls.push(format!("wire {}{verilog};", bits(width)));
                    logic.push(format!("assign {verilog} = {test} ? {then} : {otherwise};"));
                }
                Def::Mux(stmt) => {
                    let own = BTreeSet::from([name.clone()]);
                    let Stmt::Match(m) = stmt else {
                        return Err("an unknown multiplexer".to_string());
                    };
                    // Without `_` all states are named; the first serves codes that are no state.
                    let mut m = m.clone();
                    if !m.cases.iter().any(|c| c.condition == "default") {
                        if let Some(first) = m.cases.first_mut() {
                            first.condition = "default".to_string();
                        }
                        m.cases.rotate_left(1);
                    }
                    let mut text = String::from("always @* begin\n");
                    self.statements_text(&[Stmt::Match(m)], &own, 1, &mut text)?;
                    text.push_str("end");
                    decls.push(format!("reg {}{verilog};", bits(width)));
                    logic.push(text);
                }
                Def::Replace(a, w, i, v) => {
                    let at = match i {
                        Expr::Literal(l) => Some(literal(l)? as usize),
                        _ => None,
                    };
                    if let Some(at) = at {
                        let text = self.w.scope.replaced(a, width, at, *w, v)?;
                        decls.push(format!("wire {}{verilog};", bits(width)));
                        logic.push(format!("assign {verilog} = {text};"));
                        continue;
                    }
                    let base = self.w.scope.assigned(a, width)?;
                    let index = self.w.scope.condition_any(i)?;
                    let place = match w {
                        1 => format!("[{index}]"),
                        w => format!("[{index} +: {w}]"),
                    };
                    let value = self.w.scope.assigned(v, *w)?;
                    decls.push(format!("reg {}{verilog};", bits(width)));
                    logic.push(format!(
                        "always @* begin\n    {verilog} = {base};\n    {verilog}{place} = {value};\nend"
                    ));
                }
            }
        }
        decls.reverse();
        logic.reverse();
        Ok((decls, logic))
    }

    #[allow(clippy::too_many_arguments)]
    fn finish(
        mut self,
        registers: BTreeMap<&str, &Child>,
        wires: Vec<String>,
        locals: Vec<String>,
        local_logic: Vec<String>,
        logic: Vec<String>,
        state: Vec<String>,
        instances: Vec<String>,
        outputs_reg: BTreeSet<String>,
    ) -> Result<(Module, Ports), String> {
        let mut consts = vec![];
        for (name, (width, value)) in self.w.scope.constants.clone() {
            let verilog = self.w.scope.names.of(&name);
            let used = |text: &String| {
                text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .any(|word| word == verilog)
            };
            let all = [&local_logic, &logic, &state, &instances];
            if all.iter().any(|part| part.iter().any(used))
                || self.w.scope.hoisted.iter().any(|h| used(&h.2))
            {
                consts.push(format!(
                    "localparam {}{verilog} = {};",
                    bits(width),
                    number(width, value)?
                ));
            }
        }
        let registers_decls = std::mem::take(&mut self.w.decls);
        let hoisted = std::mem::take(&mut self.w.scope.hoisted);
        let mut unused = vec![];
        let read = &self.w.scope.read;
        for (name, p) in &self.w.ports {
            if p.direction == Direction::In && !read.contains(&self.w.scope.names.of(name)) {
                unused.push(p.name.clone());
            }
        }
        for child in &self.w.found.children {
            for (port, p) in &child.ports {
                let net = self.w.scope.names.of(&format!("{}${port}", child.name));
                let counts = p.direction == Direction::Out && !read.contains(&net);
                if counts {
                    unused.push(net);
                }
            }
        }
        for s in &self.w.found.signals {
            let net = self.w.scope.names.of(&s.name);
            if s.kind == AtomKind::LocalSignal && !read.contains(&net) {
                unused.push(net);
            }
        }
        for name in self.w.scope.widths.clone().keys() {
            if name.starts_with('%') {
                let net = self.w.scope.names.of(name);
                if self.w.scope.read_partly.contains(&net) && !self.w.scope.read.contains(&net) {
                    unused.push(net);
                }
            }
        }
        for (name, ..) in &hoisted {
            if !self.w.scope.read.contains(name) {
                unused.push(name.clone());
            }
        }
        let _ = registers;
        let mut decls = vec![];
        let mut section = |lines: Vec<String>| {
            if !lines.is_empty() {
                decls.push(String::new());
                decls.extend(lines);
            }
        };
        section(consts);
        section(registers_decls);
        section(wires);
        section(locals);
        section(hoisted.iter().map(|(n, w, _)| format!("wire {}{n};", bits(*w))).collect());
        let mut body: Vec<String> =
            hoisted.iter().map(|(n, _, v)| format!("assign {n} = {v};")).collect();
        if !body.is_empty() {
            body.insert(0, String::new());
        }
        for part in [instances, local_logic, logic, state] {
            if !part.is_empty() {
                body.push(String::new());
                body.extend(part);
            }
        }
        if !unused.is_empty() {
            // Read on purpose by nobody: bits a block does not need.
            let name = self.w.scope.names.unique("unused");
            decls.push(format!("wire {name};"));
            body.push(format!("\nassign {name} = &{{1'b0, {}}};", unused.join(", ")));
        }
        self.w.decls = decls;
        self.w.body = body;
        Ok(self.w.finish(&outputs_reg))
    }
}
