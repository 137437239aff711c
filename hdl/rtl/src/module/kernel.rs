//! A kernel's module: its parts, in the order in which they stand.

use super::constant::{self, Place};
use super::print::{assigned, comments, conditional, declared, Printer};
use super::usage::{Name, Usage};
use super::{drive, Module, Ports, Writer, PLACE};
use crate::check::check;
use crate::emit::{Child, Direction};
use crate::flow::{self, flow, key, Flow, Key};
use crate::lower::{lower, sweep};
use crate::roll::roll;
use crate::text::{bits, number};
use crate::tree::{self, Block, Comment, Expr, Kind, Stmt, Target, Tree};
use rust_hdl_core::atom::AtomKind;
use std::collections::{BTreeMap, BTreeSet};

/// The reset of a register that has none.
const NEVER: &str = "1'd0";
/// Longer expressions get a wire before they go into a block.
const SHORT: usize = 60;

/// A part of the module's body, at its place in the kernel.
enum Item {
    Wire(Stmt),
    /// The group's variables: what reads them may stand before the group does.
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

struct Kernel<'a> {
    w: Writer<'a>,
    flow: Flow,
    body: Block,
    used: Usage,
    said: BTreeSet<Comment>,
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

        // Names: registers, nets of blocks, blocks, functions, then locals.
        let mut state = vec![];
        for (name, child) in &registers {
            let verilog = self.w.text.names.like(&format!("{name}$q"), name);
            let width = child.ports.iter().find(|p| p.0 == "d").map_or(1, |p| p.1.width);
            state.push(format!("reg {}{verilog};", bits(width)));
        }
        // What a block inside gives to the outside goes there directly.
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
        // Inputs of blocks inside get a name if they need one: most are connected as they are.
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
            // Some parsers take a port of the same name for hidden.
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

        // What is read, before anything is left out: nets that somebody reads are no mere connections.
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
            // Read on purpose by nobody: bits a block does not need.
            let name = self.w.text.names.unique("unused");
            body.push(format!("\nwire {name} = &{{1'b0, {}}};", unused.join(", ")));
        }
        self.w.decls = decls;
        self.w.body = body;
        Ok(self.w.finish(&outputs_reg))
    }

    /// Wires at the place of their `let`, groups at that of their last statement.
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

    /// The statements that compute a group, in what they are inside of.
    fn stmts(&self, of: &Key) -> Block {
        let wanted = |s: &Stmt| key(s).is_some_and(|k| self.flow.group(&k) == *of);
        let mut stmts = flow::slice(&self.body, &wanted, &self.flow.looped);
        // Locals of a branch are read there alone: they need not know of its condition.
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

    /// A signal that is assigned once, without condition.
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

    /// Variables and signals of one `always @*`.
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

    /// What a block that reads nothing leaves.
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

    /// The variables of a block that others see.
    fn outer(&self, stmts: &Block) -> Vec<(String, usize)> {
        let outer = assigned(stmts).into_iter().filter(|id| !self.flow.looped.contains(id));
        let named = |id| (self.w.text.locals[&id].clone(), self.w.text.tree.locals[id].width);
        outer.map(named).collect()
    }

    /// An `always` block with its own declarations.
    fn always(
        &mut self,
        event: &str,
        title: &str,
        stmts: Block,
        equals: &'static str,
    ) -> Vec<String> {
        self.used.block(&stmts);
        let looped = self.flow.looped.clone();
        let stmts = roll(stmts, 0, &self.w.text.tree.locals);
        let scope = self.w.text.names.scope();
        let own: Vec<usize> =
            assigned(&stmts).into_iter().filter(|id| looped.contains(id)).collect();
        let (locals, first) = self.scoped(&own, &stmts);
        let mut printer = Printer {
            text: &mut self.w.text,
            equals,
            said: &mut self.said,
            indices: BTreeSet::new(),
            branched: BTreeSet::new(),
            lines: vec![],
        };
        printer.block(&stmts, 1);
        let Printer { indices, branched, lines, .. } = printer;
        self.w.text.names.leave(scope);
        let named = !locals.is_empty() || !indices.is_empty();
        let label = match named {
            true => format!(" : {}", self.w.text.names.unique(&format!("{title}_logic"))),
            false => String::new(),
        };
        let mut out = vec![format!("always {event} begin{label}")];
        out.extend(declared(locals, 1));
        out.extend(indices.iter().map(|i| format!("    integer {i};")));
        if equals == "=" {
            out.extend(branched.iter().map(|i| format!("    {i} = 0;")));
        }
        out.extend(first);
        out.extend(lines);
        out.push("end".to_string());
        out
    }

    /// Names for the locals of a block or function, and first values for those that need one.
    fn scoped(&mut self, own: &[usize], stmts: &Block) -> (Vec<(String, usize)>, Vec<String>) {
        let mut locals = vec![];
        let mut given: BTreeMap<(String, usize), String> = BTreeMap::new();
        for id in own {
            let (stem, width) = {
                let l = &self.w.text.tree.locals[*id];
                (l.stem.clone(), l.width)
            };
            // Turns that are written out one after the other share a name.
            let name = match given.get(&(stem.clone(), width)) {
                Some(name) => name.clone(),
                None => {
                    let name = self.w.text.names.unique(&stem);
                    locals.push((name.clone(), width));
                    name
                }
            };
            given.insert((stem, width), name.clone());
            self.w.text.locals.insert(*id, name);
        }
        // Others of the block, too.
        let among = assigned(stmts).into_iter().filter(|id| self.w.text.locals.contains_key(id));
        let among = among.collect();
        let first: BTreeSet<_> = conditional(stmts, &among)
            .into_iter()
            .map(|id| (self.w.text.locals[&id].clone(), self.w.text.tree.locals[id].width))
            .collect();
        let first =
            first.into_iter().map(|(n, w)| format!("    {n} = {};", number(w, 0))).collect();
        (locals, first)
    }

    fn clocked(&mut self, registers: &BTreeMap<&str, &Child>) -> Result<Vec<Vec<String>>, String> {
        let mut groups: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        for name in registers.keys() {
            let clock = self.simple(&format!("{name}$clock"))?;
            let reset = self.simple(&format!("{name}$reset"))?;
            groups.entry((clock, reset)).or_default().push(name);
        }
        let mut out = vec![];
        for ((clock, reset), names) in groups {
            let wanted = |s: &Stmt| {
                s.signal().and_then(|n| n.strip_suffix("$d")).is_some_and(|n| names.contains(&n))
            };
            let stmts = flow::slice(&self.body, &wanted, &self.flow.looped);
            let resets = reset != NEVER;
            let mut lines = self.always(&format!("@(posedge {clock})"), "registers", stmts, "<=");
            if resets {
                let from = lines.iter().position(|l| !l.starts_with("    integer ")).unwrap_or(0);
                let from = from.max(1);
                let from = from
                    + lines[from..].iter().take_while(|l| l.starts_with("    integer ")).count();
                let end = lines.len() - 1;
                let inner: Vec<String> =
                    lines[from..end].iter().map(|l| format!("    {l}")).collect();
                lines.truncate(from);
                lines.push(format!("    if ({reset}) begin"));
                for name in &names {
                    let child = registers[name];
                    let width = child.ports.iter().find(|p| p.0 == "d").map_or(1, |p| p.1.width);
                    let q = self.w.text.names.of(&format!("{name}$q"));
                    let init = number(width, child.register.unwrap_or(0));
                    lines.push(format!("        {q} <= {init};"));
                }
                if inner.is_empty() {
                    lines.push("    end".to_string());
                } else {
                    lines.push("    end else begin".to_string());
                    lines.extend(inner);
                    lines.push("    end".to_string());
                }
                lines.push("end".to_string());
            }
            out.push(lines);
        }
        Ok(out)
    }

    /// The value of a signal that is assigned once, without condition.
    fn simple(&mut self, name: &str) -> Result<String, String> {
        let mut value = None;
        let mut branch = false;
        for stmt in &self.body {
            match stmt.signal() {
                Some(n) if n == name => {
                    if let Kind::Assign(_, e) = &stmt.kind {
                        value = Some(e.clone());
                    }
                }
                _ => tree::walk(
                    stmt.blocks()
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .as_slice()
                        .iter()
                        .copied()
                        .cloned()
                        .collect::<Block>()
                        .as_slice(),
                    &mut |s| branch |= s.signal() == Some(name),
                ),
            }
        }
        match value {
            Some(e) if !branch => {
                self.used.expr(&e);
                Ok(self.w.text.expr(&e))
            }
            _ => Err(format!("`{}` must be wired without condition", name.replace('$', "."))),
        }
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

    /// The functions that are called, each after those that it calls.
    fn functions(&mut self) -> Result<Vec<Vec<String>>, String> {
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<usize> = self.used.calls.iter().copied().collect();
        while let Some(f) = open.pop() {
            if wanted.insert(f) {
                let function = &self.w.text.tree.functions[f];
                let mut inner = Usage::default();
                inner.block(&function.body);
                inner.expr(&function.value);
                open.extend(inner.calls);
                self.used.states.extend(inner.states);
            }
        }
        Ok(wanted.into_iter().map(|f| self.function(f)).collect())
    }

    fn function(&mut self, f: usize) -> Vec<String> {
        let function = self.w.text.tree.functions[f].clone();
        let mut used = Usage::default();
        used.block(&function.body);
        used.expr(&function.value);
        let name = self.w.text.functions[&f].clone();
        let scope = self.w.text.names.scope();
        let stmts = roll(function.body, 0, &self.w.text.tree.locals);
        let mut inputs = vec![];
        let mut unused = vec![];
        for &id in &function.params {
            let (stem, width) = {
                let l = &self.w.text.tree.locals[id];
                (l.stem.clone(), l.width)
            };
            let verilog = self.w.text.names.unique(&stem);
            inputs.push(format!("    input {}{verilog};", bits(width)));
            if !used.all(&Name::Local(id), width) {
                unused.push(verilog.clone());
            }
            self.w.text.locals.insert(id, verilog);
        }
        let mut own = assigned(&stmts);
        // The local that is the value is called like the function.
        let value = match &function.value {
            Expr::Local(id) if own.contains(id) => Some(*id),
            _ => None,
        };
        own.retain(|id| Some(*id) != value);
        let (mut locals, mut first) = self.scoped(&own, &stmts);
        for id in &own {
            let width = self.w.text.tree.locals[*id].width;
            let verilog = self.w.text.locals[id].clone();
            if !used.all(&Name::Local(*id), width) && !unused.contains(&verilog) {
                unused.push(verilog);
            }
        }
        if let Some(id) = value {
            self.w.text.locals.insert(id, name.clone());
            if conditional(&stmts, &BTreeSet::from([id])).contains(&id) {
                first.push(format!("    {name} = {};", number(function.width, 0)));
            }
        }
        let sink = match unused.is_empty() {
            true => None,
            false => {
                let sink = self.w.text.names.unique("unused");
                locals.push((sink.clone(), 1));
                Some(format!("    {sink} = &{{1'b0, {}}};", unused.join(", ")))
            }
        };
        let mut printer = Printer {
            text: &mut self.w.text,
            equals: "=",
            said: &mut self.said,
            indices: BTreeSet::new(),
            branched: BTreeSet::new(),
            lines: vec![],
        };
        printer.block(&stmts, 1);
        let Printer { indices, branched, mut lines, .. } = printer;
        if value.is_none() {
            let text = self.w.text.expr(&function.value);
            push(&mut lines, format!("    {name} = {text};"), "");
        }
        self.w.text.names.leave(scope);
        let mut out: Vec<String> = function.doc.iter().map(|l| format!("// {l}")).collect();
        out.push(format!("function {}{name};", bits(function.width)));
        out.extend(inputs);
        out.extend(declared(locals, 1));
        out.extend(indices.iter().map(|i| format!("    integer {i};")));
        out.push("begin".to_string());
        out.extend(branched.iter().map(|i| format!("    {i} = 0;")));
        out.extend(first);
        out.extend(lines);
        out.extend(sink);
        out.push("end".to_string());
        out.push("endfunction".to_string());
        out
    }

    /// Names of which some bits are read by nobody.
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

fn push(lines: &mut Vec<String>, text: String, place: &str) {
    lines.push(text.lines().map(|l| format!("{l}{PLACE}{place}")).collect::<Vec<_>>().join("\n"));
}
