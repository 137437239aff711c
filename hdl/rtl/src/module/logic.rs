//! Statements as always blocks, and the registers they feed.

use super::paths::{always_assigned, assigns};
use super::{bits, Kernel, PLACE};
use crate::build::{BRANCH_MARK, PLACE_MARK};
use crate::emit::Child;
use crate::expr::number;
use rust_hdl_core::ast::{
    VerilogBlockOrConditional as Else, VerilogExpression as Expr, VerilogStatement as Stmt,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The reset of a register that has none.
const NEVER: &str = "1'd0";

/// What a comment says behind `kind`.
fn mark<'a>(stmt: &'a Stmt, kind: &str) -> Option<&'a str> {
    match stmt {
        Stmt::Comment(c) => c.strip_prefix(kind),
        _ => None,
    }
}

/// The place of the `if` or `match` whose first branch this is.
fn branch(block: &[Stmt]) -> Option<&str> {
    mark(block.first()?, BRANCH_MARK)
}

impl Kernel<'_> {
    pub(super) fn statements_text(
        &mut self,
        statements: &[Stmt],
        wanted: &BTreeSet<String>,
        depth: usize,
        out: &mut String,
    ) -> Result<(), String> {
        let pad = "    ".repeat(depth);
        let mut place = "";
        for stmt in statements {
            match stmt {
                Stmt::Comment(c) => place = c.strip_prefix(PLACE_MARK).unwrap_or(place),
                Stmt::Assignment(Expr::Signal(n), e) if wanted.contains(n) => {
                    let width = self.w.scope.width_of(n)?;
                    let text = self.w.scope.assigned(e, width)?;
                    let name = self.w.scope.names.of(n);
                    let _ = writeln!(out, "{pad}{name} = {text};{PLACE}{place}");
                }
                Stmt::If(c) if assigns(stmt, wanted) => {
                    let test = self.w.scope.condition(&c.test)?;
                    let place = branch(&c.then).unwrap_or(place);
                    let _ = writeln!(out, "{pad}if ({test}) begin{PLACE}{place}");
                    self.statements_text(&c.then, wanted, depth + 1, out)?;
                    let otherwise: &[Stmt] = match &c.otherwise {
                        Else::Block(b) => b,
                        Else::Conditional(s) => std::slice::from_ref(s),
                        Else::None => &[],
                    };
                    if otherwise.iter().any(|s| assigns(s, wanted)) {
                        let _ = writeln!(out, "{pad}end else begin{PLACE}{place}");
                        self.statements_text(otherwise, wanted, depth + 1, out)?;
                    }
                    let _ = writeln!(out, "{pad}end{PLACE}{place}");
                }
                Stmt::Match(m) if assigns(stmt, wanted) => {
                    let width = self.w.scope.width(&m.test)?.ok_or("a match on a number")?;
                    let test = self.w.scope.condition_of(&m.test, width)?;
                    let place = m.cases.first().and_then(|c| branch(&c.block)).unwrap_or(place);
                    let _ = writeln!(out, "{pad}case ({test}){PLACE}{place}");
                    let mut default = false;
                    for case in &m.cases {
                        default |= case.condition == "default";
                        let label = self.label(&case.condition, width)?;
                        let arm = case.block.iter().find_map(|s| mark(s, PLACE_MARK));
                        let arm = arm.unwrap_or(place);
                        let _ = writeln!(out, "{pad}    {label}: begin{PLACE}{arm}");
                        self.statements_text(&case.block, wanted, depth + 2, out)?;
                        let _ = writeln!(out, "{pad}    end{PLACE}{arm}");
                    }
                    if !default {
                        let _ = writeln!(out, "{pad}    default: begin\n{pad}    end");
                    }
                    let _ = writeln!(out, "{pad}endcase{PLACE}{place}");
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
    pub(super) fn state_text(
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
            let resets = reset != NEVER;
            let mut text = format!("always @(posedge {clock}) begin\n");
            let indent = if resets { "        " } else { "    " };
            if resets {
                let _ = writeln!(text, "    if ({reset}) begin");
            }
            for name in names.iter().filter(|_| resets) {
                let child = registers[name.as_str()];
                let width = child.ports.iter().find(|p| p.0 == "d").map_or(1, |p| p.1.width);
                let init = number(width, child.register.unwrap_or(0))?;
                let q = self.w.scope.names.of(&format!("{name}$q"));
                let _ = writeln!(text, "        {q} <= {init};");
            }
            if resets {
                text.push_str("    end else begin\n");
            }
            for name in &names {
                let (d, q) = (
                    self.w.scope.names.of(&format!("{name}$d")),
                    self.w.scope.names.of(&format!("{name}$q")),
                );
                let _ = writeln!(text, "{indent}{q} <= {d};");
            }
            text.push_str(if resets { "    end\nend" } else { "end" });
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
}
