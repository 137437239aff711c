//! A kernel's module: checks who drives what, and puts the parts in order.

use super::paths::{always_assigned, assigns, targets};
use super::{bits, unplaced, Kernel, Module, Ports};
use crate::emit::{Child, Direction};
use crate::expr::number;
use rust_hdl_core::ast::{VerilogExpression as Expr, VerilogStatement as Stmt};
use rust_hdl_core::atom::AtomKind;
use std::collections::{BTreeMap, BTreeSet};

impl Kernel<'_> {
    pub(super) fn write(mut self) -> Result<(Module, Ports), String> {
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
                let apart = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
                text.lines().any(|l| unplaced(l).split(apart).any(|word| word == verilog))
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
