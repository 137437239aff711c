//! Emits the module of a kernel: its parts, in the order in which they are in the text.

use super::constant::{self, Place};
use super::print::{comments, declared};
use super::usage::{Name, Usage};
use super::{drive, Module, Ports, Writer, PLACE};
use crate::check::check;
use crate::emit::{Child, Direction};
use crate::flow::{self, flow, key, Flow, Key};
use crate::lower::{lower, sweep};
use crate::text::{bits, number};
use crate::tree::{self, assigned, Block, Comment, Expr, Kind, Stmt, Target, Tree};
use rust_hdl_core::atom::AtomKind;
use std::collections::{BTreeMap, BTreeSet};

/// A longer expression gets a wire before it is connected to an input of an inner block.
const SHORT: usize = 60;

/// A part of the module's body, at its place in the kernel.
enum Item {
    Wire(Stmt),
    /// Declarations of a group's variables: their readers may precede the group.
    Declare(Key),
    Group(Key),
}

impl Writer<'_> {
    pub(super) fn kernel(mut self, mut tree: Tree) -> Result<(Module, Ports), String> {
        self.title = std::mem::take(&mut tree.type_name);
        self.doc = std::mem::take(&mut tree.doc);
        check(&mut tree, &self.text.signals)?;
        lower(&mut tree, &self.text.signals);
        drive::check(self.found, &tree.body)?;
        tree.body = drive::held(drive::overwritten(std::mem::take(&mut tree.body)));
        sweep(&mut tree);
        let flow = flow(&mut tree);
        let body = std::mem::take(&mut tree.body);
        self.text.tree = tree;
        Kernel { w: self, flow, body, used: Usage::default(), said: BTreeSet::new() }.write()
    }
}

pub(super) struct Kernel<'a> {
    pub(super) w: Writer<'a>,
    pub(super) flow: Flow,
    pub(super) body: Block,
    pub(super) used: Usage,
    /// Comments that are in the text already.
    pub(super) said: BTreeSet<Comment>,
}

impl Kernel<'_> {
    fn write(mut self) -> Result<(Module, Ports), String> {
        let found = self.w.found;
        let registers: BTreeMap<&str, &Child> = found
            .children
            .iter()
            .filter(|c| c.register.is_some())
            .map(|c| (c.name.as_str(), c))
            .collect();
        let blocks: Vec<&Child> = found.children.iter().filter(|c| c.register.is_none()).collect();

        // Names are given in this order: registers, nets of blocks, blocks, functions, then locals.
        let mut state = vec![];
        for (name, child) in &registers {
            let verilog = self.w.text.names.like(&format!("{name}$q"), name);
            let width = child.ports.iter().find(|p| p.0 == "d").map_or(1, |p| p.1.width);
            state.push(format!("reg {}{verilog};", bits(width)));
        }
        // An output of an inner block that only drives an output of this block is connected
        // directly.
        let mut through = BTreeSet::new();
        let (mut given, mut times) = (BTreeSet::new(), BTreeMap::<&str, usize>::new());
        tree::walk(&self.body, &mut |s| {
            if let Some(name) = s.signal() {
                *times.entry(name).or_default() += 1;
            }
        });
        for stmt in &self.body {
            let Kind::Assign(Target::Signal(port), Expr::Signal(net)) = &stmt.kind else {
                continue;
            };
            let out = self.w.ports.iter().any(|p| p.0 == *port) && times[port.as_str()] == 1;
            let from = blocks
                .iter()
                .any(|c| drive::port(c, net).is_some_and(|p| p.direction == Direction::Out));
            if out && from && given.insert(net.clone()) {
                let verilog = self.w.text.names.of(port);
                self.w.text.names.same(net, &verilog);
                through.insert(port.clone());
            }
        }
        // Inputs of inner blocks get a name only if they need one: most are connected as they are.
        let input = |name: &str| {
            blocks
                .iter()
                .any(|c| drive::port(c, name).is_some_and(|p| p.direction == Direction::In))
        };
        for name in self.w.text.signals.clone().keys() {
            if !registers.contains_key(drive::owner(name)) && !input(name) {
                self.w.text.names.of(name);
            }
        }
        let mut instances = vec![];
        for child in &blocks {
            // Some parsers consider a port of the same name hidden.
            let hides = child.ports.iter().any(|(_, p)| p.name == child.name);
            let stem = if hides { format!("u_{}", child.name) } else { child.name.clone() };
            instances.push(self.w.text.names.unique(&stem));
        }
        let functions: Vec<String> =
            self.w.text.tree.functions.iter().map(|f| f.name.clone()).collect();
        for (i, stem) in functions.iter().enumerate() {
            let name = self.w.text.names.unique(stem);
            self.w.text.functions.insert(i, name);
        }
        for (name, _) in self.w.text.tree.states.clone() {
            self.w.text.names.of(&name);
        }
        for id in assigned(&self.body) {
            if !self.flow.looped.contains(&id) {
                let stem = self.w.text.tree.locals[id].stem.clone();
                let name = self.w.text.names.unique(&stem);
                self.w.text.locals.insert(id, name);
            }
        }

        // The nets that are read, found before anything is left out: a net that is read is no mere
        // connection.
        let mut reads = Usage::default();
        reads.block(&self.body);

        let is_clocked = |name: &str| registers.contains_key(drive::owner(name));
        let mut alone = BTreeMap::<Key, Key>::new();
        tree::walk(&self.body, &mut |s| {
            if let Some(own) = key(s).filter(|_| s.signal().is_some_and(is_clocked)) {
                alone.insert(self.flow.group(&own), own);
            }
        });
        tree::walk(&self.body, &mut |s| {
            if let Some(own) = key(s) {
                if alone.get(&self.flow.group(&own)).is_some_and(|register| *register != own) {
                    alone.insert(Key::Local(usize::MAX), own);
                }
            }
        });
        if let Some(with) = alone.get(&Key::Local(usize::MAX)) {
            return Err(format!("a register's next value is tied to {with:?}"));
        }
        let mut direct: BTreeMap<String, String> = BTreeMap::new();
        let mut nets: Vec<String> = vec![];
        let mut outputs_reg = BTreeSet::new();
        let mut logic = vec![];
        for item in self.items(&is_clocked) {
            match item {
                Item::Wire(stmt) => self.wire(&stmt, &mut logic),
                Item::Declare(of) => {
                    let stmts = self.stmts(&of);
                    if let (Some(first), true) = (stmts.first(), matches!(of, Key::Local(_))) {
                        comments(first, 0, &mut self.said, &mut logic);
                    }
                    let outer = self.outer(&stmts);
                    let number = constant::run(&stmts, &self.w.text.tree.locals).is_some();
                    logic.extend(declared(outer, 0).into_iter().map(|line| match number {
                        true => line.replacen("reg ", "wire ", 1),
                        false => line,
                    }));
                }
                Item::Group(of) => {
                    let stmts = self.stmts(&of);
                    if let ([stmt], Key::Signal(name)) = (stmts.as_slice(), &of) {
                        if let Kind::Assign(Target::Signal(_), e) = &stmt.kind {
                            if through.contains(name) {
                                self.used.expr(e);
                                continue;
                            }
                            let (e, stmt) = (e.clone(), stmt.clone());
                            self.net(
                                name,
                                &e,
                                &stmt,
                                &reads,
                                &blocks,
                                &mut nets,
                                &mut direct,
                                &mut logic,
                            );
                            continue;
                        }
                    }
                    self.group(stmts, &mut nets, &mut outputs_reg, &mut logic)?;
                }
            }
        }
        self.said.retain(|c| !c.is_heading());
        let clocked = self.clocked(&registers)?;
        let wired = self.instances(&blocks, &instances, &direct, &given, &mut nets);
        let functions = self.functions()?;

        let mut consts = vec![];
        for name in self.used.states.clone() {
            let (width, value) = self.w.text.tree.states[&name];
            let verilog = self.w.text.names.of(&name);
            consts.push(format!("localparam {}{verilog} = {};", bits(width), number(width, value)));
        }
        for (name, (width, value)) in &self.w.constants {
            if self.used.any(&Name::Signal(name.clone())) {
                let verilog = self.w.text.names.of(name);
                let value = number(*width, *value);
                consts.push(format!("localparam {}{verilog} = {value};", bits(*width)));
            }
        }
        let unused = self.unused();
        consts.extend(self.w.text.places());
        let mut decls = vec![];
        for section in [consts, state, nets] {
            if !section.is_empty() {
                decls.push(String::new());
                decls.extend(section);
            }
        }
        let mut body = vec![];
        for section in functions.into_iter().chain([logic, wired]).chain(clocked) {
            if !section.is_empty() {
                body.push(String::new());
                body.extend(section);
            }
        }
        if !unused.is_empty() {
            // Bits that nothing needs, used here so that linters do not warn about them.
            let name = self.w.text.names.unique("unused");
            body.push(format!("\nwire {name} = &{{1'b0, {}}};", unused.join(", ")));
        }
        self.w.decls = decls;
        self.w.body = body;
        Ok(self.w.finish(&outputs_reg))
    }

    /// Orders the items: wires at the place of their `let`, groups at that of their last statement.
    fn items(&self, is_clocked: &dyn Fn(&str) -> bool) -> Vec<Item> {
        let mut order: Vec<(usize, Item)> = vec![];
        let mut places: BTreeMap<Key, (usize, usize)> = BTreeMap::new();
        let mut at = 0;
        tree::walk(&self.body, &mut |stmt| {
            at += 1;
            let Some(own) = key(stmt) else { return };
            match (&own, &stmt.kind) {
                (Key::Local(id), Kind::Let(..)) if self.flow.looped.contains(id) => {}
                (Key::Local(id), Kind::Let(..)) if !self.flow.grouped.contains(id) => {
                    order.push((at, Item::Wire(stmt.clone())));
                }
                (Key::Signal(name), _) if is_clocked(name) => {}
                _ => places.entry(self.flow.group(&own)).or_insert((at, at)).1 = at,
            }
        });
        for (of, (first, last)) in places {
            order.push((first, Item::Declare(of.clone())));
            order.push((last, Item::Group(of)));
        }
        order.sort_by_key(|o| o.0);
        order.into_iter().map(|o| o.1).collect()
    }

    fn wire(&mut self, stmt: &Stmt, logic: &mut Vec<String>) {
        let Kind::Let(id, e) = &stmt.kind else { return };
        comments(stmt, 0, &mut self.said, logic);
        self.used.expr(e);
        let width = self.w.text.tree.locals[*id].width;
        let (name, value) = (self.w.text.locals[id].clone(), self.w.text.expr(e));
        push(logic, format!("wire {}{name} = {value};", bits(width)), &stmt.place);
    }

    /// The statements that compute a group, with the branches and loops around them.
    fn stmts(&self, of: &Key) -> Block {
        let wanted = |s: &Stmt| key(s).is_some_and(|k| self.flow.group(&k) == *of);
        let mut stmts = flow::slice(&self.body, &wanted, &self.flow.looped);
        // Locals of a branch are read only there, so they do not depend on its condition.
        loop {
            let inner = match stmts.as_mut_slice() {
                [stmt] => {
                    let mut full: Vec<_> =
                        stmt.blocks_mut().into_iter().filter(|b| !b.is_empty()).collect();
                    match full.as_mut_slice() {
                        [inner] if matches!(of, Key::Local(_)) => std::mem::take(*inner),
                        _ => return stmts,
                    }
                }
                _ => return stmts,
            };
            if matches!(stmts[0].kind, Kind::For(_)) || inner.iter().any(|s| s.signal().is_some()) {
                let again = flow::slice(&self.body, &wanted, &self.flow.looped);
                return again;
            }
            stmts = inner;
        }
    }

    /// Emits a signal that is assigned once, without condition.
    #[allow(clippy::too_many_arguments)]
    fn net(
        &mut self,
        name: &str,
        e: &Expr,
        stmt: &Stmt,
        reads: &Usage,
        blocks: &[&Child],
        nets: &mut Vec<String>,
        direct: &mut BTreeMap<String, String>,
        logic: &mut Vec<String>,
    ) {
        self.used.expr(e);
        let value = self.w.text.expr(e);
        let inside = blocks.iter().any(|c| drive::port(c, name).is_some());
        if inside && !reads.any(&Name::Signal(name.to_string())) && value.len() <= SHORT {
            direct.insert(name.to_string(), value);
            return;
        }
        comments(stmt, 0, &mut self.said, logic);
        let verilog = self.w.text.names.of(name);
        let port = self.w.ports.iter().any(|p| p.0 == name);
        if !port {
            nets.push(format!("wire {}{verilog};", bits(self.w.text.signals[name])));
        }
        push(logic, format!("assign {verilog} = {value};"), &stmt.place);
    }

    /// Emits the variables and signals of one `always @*`.
    fn group(
        &mut self,
        stmts: Block,
        nets: &mut Vec<String>,
        outputs_reg: &mut BTreeSet<String>,
        logic: &mut Vec<String>,
    ) -> Result<(), String> {
        if let Some(values) = constant::run(&stmts, &self.w.text.tree.locals) {
            return self.numbers(&stmts, &values, nets, logic);
        }
        let mut ports = vec![];
        tree::walk(&stmts, &mut |s| ports.extend(s.signal().map(str::to_string)));
        ports.sort();
        ports.dedup();
        for name in ports {
            let verilog = self.w.text.names.of(&name);
            match self.w.ports.iter().any(|p| p.0 == name) {
                true => drop(outputs_reg.insert(verilog)),
                false => nets.push(format!("reg {}{verilog};", bits(self.w.text.signals[&name]))),
            }
        }
        if let Some(first) = stmts.first() {
            comments(first, 0, &mut self.said, logic);
        }
        let outer = self.outer(&stmts);
        let title = outer.first().map(|o| o.0.clone());
        let title = title.unwrap_or_else(|| "signals".to_string());
        logic.extend(self.always("@*", &title, stmts, "="));
        Ok(())
    }

    /// Emits the values of a block that reads nothing.
    fn numbers(
        &mut self,
        stmts: &Block,
        values: &BTreeMap<Place, u128>,
        nets: &mut Vec<String>,
        logic: &mut Vec<String>,
    ) -> Result<(), String> {
        let place = stmts.first().map_or("", |s| s.place.as_str());
        for (target, value) in values {
            let (name, width) = match target {
                Place::Local(id) if self.flow.looped.contains(id) => continue,
                Place::Local(id) => {
                    (self.w.text.locals[id].clone(), self.w.text.tree.locals[*id].width)
                }
                Place::Signal(name) => {
                    let width = self.w.text.signals[name];
                    let verilog = self.w.text.names.of(name);
                    if !self.w.ports.iter().any(|p| p.0 == *name) {
                        nets.push(format!("wire {}{verilog};", bits(width)));
                    }
                    (verilog, width)
                }
            };
            push(logic, format!("assign {name} = {};", number(width, *value)), place);
        }
        Ok(())
    }

    /// The variables of a block that other blocks read.
    fn outer(&self, stmts: &Block) -> Vec<(String, usize)> {
        let outer = assigned(stmts).into_iter().filter(|id| !self.flow.looped.contains(id));
        let named = |id| (self.w.text.locals[&id].clone(), self.w.text.tree.locals[id].width);
        outer.map(named).collect()
    }

    fn instances(
        &mut self,
        blocks: &[&Child],
        names: &[String],
        direct: &BTreeMap<String, String>,
        given: &BTreeSet<String>,
        nets: &mut Vec<String>,
    ) -> Vec<String> {
        let mut out = vec![];
        for (child, instance) in blocks.iter().zip(names) {
            let mut lines = vec![];
            for (port, p) in &child.ports {
                let name = format!("{}${port}", child.name);
                let net = match direct.get(&name) {
                    Some(text) => text.clone(),
                    None => self.w.text.names.of(&name),
                };
                if p.direction == Direction::Out && !given.contains(&name) {
                    nets.push(format!("wire {}{net};", bits(p.width)));
                }
                lines.push(format!("    .{}({net})", p.name));
            }
            out.push(format!("{} {instance} (\n{}\n);", child.module, lines.join(",\n")));
        }
        out
    }

    /// Names of which nothing reads some bits.
    fn unused(&mut self) -> Vec<String> {
        let mut unused = vec![];
        let mut names = vec![];
        for (name, p) in &self.w.ports {
            if p.direction == Direction::In {
                names.push((Name::Signal(name.clone()), p.width));
            }
        }
        for child in &self.w.found.children {
            for (port, p) in &child.ports {
                if p.direction == Direction::Out {
                    names.push((Name::Signal(format!("{}${port}", child.name)), p.width));
                }
            }
        }
        for s in &self.w.found.signals {
            if s.kind == AtomKind::LocalSignal {
                names.push((Name::Signal(s.name.clone()), s.width));
            }
        }
        for id in assigned(&self.body) {
            if !self.flow.looped.contains(&id) {
                names.push((Name::Local(id), self.w.text.tree.locals[id].width));
            }
        }
        for (name, width) in names {
            if !self.used.all(&name, width) {
                unused.push(match name {
                    Name::Signal(name) => self.w.text.names.of(&name),
                    Name::Local(id) => self.w.text.locals[&id].clone(),
                });
            }
        }
        unused
    }
}

pub(super) fn push(lines: &mut Vec<String>, text: String, place: &str) {
    lines.push(text.lines().map(|l| format!("{l}{PLACE}{place}")).collect::<Vec<_>>().join("\n"));
}
