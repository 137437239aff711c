//! Emits `always` blocks with their own variables, and registers.

use super::kernel::Kernel;
use super::print::{conditional, declared, Printer};
use crate::emit::Child;
use crate::flow;
use crate::roll::roll;
use crate::text::number;
use crate::tree::{self, assigned, Block, Expr, Kind, Local, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// The reset of a register without one.
const NEVER: &str = "1'd0";

/// The first and the last statement that uses each local, in order. A local from outside of a loop
/// is in use until the loop ends.
fn lives(block: &Block) -> BTreeMap<usize, (usize, usize)> {
    fn go(block: &Block, at: &mut usize, lives: &mut BTreeMap<usize, (usize, usize)>) {
        for stmt in block {
            *at += 1;
            let begin = *at;
            let read = stmt.own().into_iter().flat_map(Expr::locals);
            for id in read.chain(stmt.local()) {
                lives.entry(id).or_insert((begin, begin)).1 = begin;
            }
            stmt.blocks().into_iter().for_each(|b| go(b, at, lives));
            if matches!(stmt.kind, Kind::For(_)) {
                for (first, last) in lives.values_mut() {
                    if *first < begin && *last >= begin {
                        *last = *at;
                    }
                }
            }
        }
    }
    let mut lives = BTreeMap::new();
    go(block, &mut 0, &mut lives);
    lives
}

impl Kernel<'_> {
    /// An `always` block with its own declarations.
    pub(super) fn always(
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

    /// Names the locals of a block or function, and gives first values to those that need one.
    pub(super) fn scoped(
        &mut self,
        own: &[usize],
        stmts: &Block,
    ) -> (Vec<(String, usize)>, Vec<String>) {
        let mut locals = vec![];
        let lives = lives(stmts);
        // Names, and the end of their use: unrolled turns share them.
        let mut given: Vec<(String, usize, String, usize)> = vec![];
        for id in own {
            let Local { stem, width, .. } = self.w.text.tree.locals[*id].clone();
            let (first, last) = lives[id];
            let free = given.iter_mut().find(|g| g.0 == stem && g.1 == width && g.3 < first);
            let name = match free {
                Some(free) => {
                    free.3 = last;
                    free.2.clone()
                }
                None => {
                    let name = self.w.text.names.unique(&stem);
                    locals.push((name.clone(), width));
                    given.push((stem, width, name.clone(), last));
                    name
                }
            };
            self.w.text.locals.insert(*id, name);
        }
        // Locals of the block that have a name already count, too.
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

    /// The registers, by their clock and reset.
    pub(super) fn clocked(
        &mut self,
        registers: &BTreeMap<&str, &Child>,
    ) -> Result<Vec<Vec<String>>, String> {
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
            let mut lines = self.always(&format!("@(posedge {clock})"), "registers", stmts, "<=");
            if reset != NEVER {
                let is_declared = |line: &&String| line.starts_with("    integer ");
                let head = 1 + lines[1..].iter().take_while(is_declared).count();
                let body: Vec<String> = lines.drain(head..).collect();
                let body = &body[..body.len() - 1];
                lines.push(format!("    if ({reset}) begin"));
                for name in &names {
                    let child = registers[name];
                    let width = child.ports.iter().find(|p| p.0 == "d").map_or(1, |p| p.1.width);
                    let q = self.w.text.names.of(&format!("{name}$q"));
                    let init = number(width, child.register.unwrap_or(0));
                    lines.push(format!("        {q} <= {init};"));
                }
                if !body.is_empty() {
                    lines.push("    end else begin".to_string());
                    lines.extend(body.iter().map(|l| format!("    {l}")));
                }
                lines.extend(["    end", "end"].map(str::to_string));
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
            match &stmt.kind {
                Kind::Assign(_, e) if stmt.signal() == Some(name) => value = Some(e.clone()),
                _ => {
                    for block in stmt.blocks() {
                        tree::walk(block, &mut |s| branch |= s.signal() == Some(name));
                    }
                }
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
}
