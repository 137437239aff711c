//! One change to one line of a kernel, to measure what the tests notice.
//!
//! A site is written `file:line stem number change`: the place, the local or `assign` or `branch`
//! there, the number of the expression's part in order, and what becomes of it. The change is made
//! wherever the line is lowered: in all turns of a loop and all widths of a block, as if the source
//! had been changed. `NITOR_MUTANT` names a site; `NITOR_MUTANTS` names a file to which the sites
//! of every block that is emitted are added.

use crate::build::{BRANCH_MARK, PLACE_MARK};
use crate::expr::literal;
use rust_hdl_core::ast::{
    Verilog, VerilogBlockOrConditional as Else, VerilogExpression as Expr, VerilogOp as Op,
    VerilogOpUnary as Unary, VerilogStatement as Stmt,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;

/// The tree that is emitted in place of `code`, if a mutant is asked for.
pub(crate) fn mutated(code: &Verilog) -> Option<Verilog> {
    let Verilog::Combinatorial(block) = code else { return None };
    if let Some(file) = std::env::var_os("NITOR_MUTANTS") {
        let mut walk = Walk { wanted: None, sites: BTreeSet::new() };
        walk.block(&mut block.clone());
        let text = walk.sites.iter().fold(String::new(), |mut text, site| {
            let _ = writeln!(text, "{site}");
            text
        });
        let file = OpenOptions::new().create(true).append(true).open(file);
        // Whoever asked reads an empty file if this fails.
        let _ = file.and_then(|mut f| f.write_all(text.as_bytes()));
    }
    let wanted = std::env::var("NITOR_MUTANT").ok()?;
    let mut walk = Walk { wanted: Some(wanted), sites: BTreeSet::new() };
    let mut block = block.clone();
    walk.block(&mut block);
    Some(Verilog::Combinatorial(block))
}

/// Looks for the sites of a tree, and changes the wanted one.
struct Walk {
    wanted: Option<String>,
    sites: BTreeSet<String>,
}

/// What operators become.
fn other(op: &Op) -> Option<(Op, &'static str)> {
    Some(match op {
        Op::Add => (Op::Sub, "+ is -"),
        Op::Sub => (Op::Add, "- is +"),
        Op::LogicalAnd => (Op::LogicalOr, "&& is ||"),
        Op::LogicalOr => (Op::LogicalAnd, "|| is &&"),
        Op::BitAnd => (Op::BitOr, "& is |"),
        Op::BitOr => (Op::BitAnd, "| is &"),
        Op::BitXor => (Op::BitOr, "^ is |"),
        Op::Eq => (Op::Ne, "== is !="),
        Op::Ne => (Op::Eq, "!= is =="),
        Op::Lt => (Op::Le, "< is <="),
        Op::Le => (Op::Lt, "<= is <"),
        Op::Gt => (Op::Ge, "> is >="),
        Op::Ge => (Op::Gt, ">= is >"),
        Op::Shl | Op::Shr | Op::Mul => return None,
    })
}

impl Walk {
    /// Whether this is the site to change.
    fn at(&mut self, place: &str, stem: &str, number: usize, change: &str) -> bool {
        if place.is_empty() {
            return false;
        }
        let site = format!("{place} {stem} {number} {change}");
        match &self.wanted {
            Some(wanted) => *wanted == site,
            None => {
                self.sites.insert(site);
                false
            }
        }
    }

    fn block(&mut self, block: &mut [Stmt]) {
        let mut here = String::new();
        for stmt in block {
            match stmt {
                Stmt::Comment(c) => here = placed(c).unwrap_or(here),
                Stmt::Assignment(Expr::Signal(name), value) if !name.starts_with('%') => {
                    self.value(value, &here, "assign", &mut 0);
                }
                Stmt::Assignment(Expr::Signal(name), value) => {
                    let (stem, place) = local(name);
                    self.value(value, &place, &stem, &mut 0);
                }
                Stmt::Macro(parts) => {
                    for part in parts {
                        if let Stmt::SliceAssignment {
                            base: Expr::Signal(name), replacement, ..
                        } = part
                        {
                            let (stem, place) = local(name);
                            self.value(replacement, &place, &stem, &mut 0);
                        }
                    }
                }
                // A multiplexer's condition has a local of its own.
                Stmt::If(_) | Stmt::Match(_) => self.branches(stmt),
                _ => {}
            }
        }
    }

    /// Statements that drive signals.
    fn statements(&mut self, block: &mut Vec<Stmt>) {
        let mut place = String::new();
        let mut dropped = vec![];
        for (i, stmt) in block.iter_mut().enumerate() {
            match stmt {
                Stmt::Comment(c) => place = placed(c).unwrap_or(place),
                Stmt::Assignment(Expr::Signal(name), value) if !name.starts_with('%') => {
                    self.value(value, &place, "assign", &mut 0);
                    if self.at(&place, "assign", 0, "is missing") {
                        dropped.push(i);
                    }
                }
                Stmt::If(_) | Stmt::Match(_) => self.branches(stmt),
                _ => {}
            }
        }
        for i in dropped.into_iter().rev() {
            block.remove(i);
        }
    }

    fn branches(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::If(c) => {
                let place = c.then.first().and_then(branch).unwrap_or_default();
                if self.at(&place, "branch", 0, "if is if not") {
                    c.test = Expr::Unary(Unary::Not, Box::new(c.test.clone()));
                }
                self.statements(&mut c.then);
                match &mut c.otherwise {
                    Else::Block(block) => self.statements(block),
                    Else::Conditional(stmt) => self.branches(stmt),
                    Else::None => {}
                }
            }
            Stmt::Match(m) => m.cases.iter_mut().for_each(|c| self.statements(&mut c.block)),
            _ => {}
        }
    }

    fn value(&mut self, e: &mut Expr, place: &str, stem: &str, number: &mut usize) {
        *number += 1;
        let own = *number;
        match e {
            Expr::Binary(l, op, r) => {
                // A concatenation, as the tree has it.
                let joined = matches!((&**l, &*op), (Expr::Binary(_, Op::Shl, _), Op::BitOr));
                self.value(l, place, stem, number);
                self.value(r, place, stem, number);
                if let Some((new, change)) = other(op).filter(|_| !joined) {
                    if self.at(place, stem, own, change) {
                        *op = new;
                    }
                }
            }
            Expr::Unary(op, a) => {
                self.value(a, place, stem, number);
                if matches!(op, Unary::Not) && self.at(place, stem, own, "! is gone") {
                    *e = (**a).clone();
                }
            }
            Expr::Cast(a, width) => {
                if let Expr::Literal(l) = &**a {
                    let Ok(value) = literal(l) else { return };
                    let top = u128::MAX >> (128 - (*width).clamp(1, 128));
                    let new = if value < top { value + 1 } else { value - value.min(1) };
                    if new != value && self.at(place, stem, own, &format!("{value} is {new}")) {
                        **a = Expr::Literal(new.into());
                    }
                    return;
                }
                self.value(a, place, stem, number);
            }
            Expr::Paren(a) | Expr::Index(a, _) | Expr::Slice(a, ..) => {
                self.value(a, place, stem, number)
            }
            _ => {}
        }
    }
}

/// Stem and place of a local.
fn local(name: &str) -> (String, String) {
    let mut parts = name.splitn(4, '%').skip(1);
    let stem = parts.next().unwrap_or_default().to_string();
    (stem, parts.nth(1).unwrap_or_default().to_string())
}

/// The place that a comment tells.
fn placed(comment: &str) -> Option<String> {
    comment.strip_prefix(PLACE_MARK).map(str::to_string)
}

fn branch(stmt: &Stmt) -> Option<String> {
    match stmt {
        Stmt::Comment(c) => c.strip_prefix(BRANCH_MARK).map(str::to_string),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{binary, sized, Kernel};

    fn kernel() -> Verilog {
        let mut k = Kernel::new("T", "");
        k.at("a.rs", 1);
        let sum = binary(Expr::Signal("a".into()), Op::Add, sized(3, 8));
        let sum = k.bind("sum", sum);
        k.at("a.rs", 2);
        k.begin();
        k.at("a.rs", 3);
        k.assign("r$d".into(), sum);
        k.begin();
        k.at("a.rs", 2);
        k.end_if(Expr::Signal("go".into()));
        k.finish()
    }

    fn walked(wanted: Option<&str>) -> (BTreeSet<String>, String) {
        let Verilog::Combinatorial(mut block) = kernel() else { unreachable!() };
        let mut walk = Walk { wanted: wanted.map(str::to_string), sites: BTreeSet::new() };
        walk.block(&mut block);
        (walk.sites, format!("{block:?}"))
    }

    #[test]
    fn each_site_is_another_tree() {
        let (sites, plain) = walked(None);
        let expected = [
            "a.rs:1 sum 1 + is -",
            "a.rs:1 sum 3 3 is 4",
            "a.rs:2 branch 0 if is if not",
            "a.rs:3 assign 0 is missing",
        ];
        assert_eq!(sites.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        let mut trees: BTreeSet<String> = sites.iter().map(|s| walked(Some(s)).1).collect();
        trees.insert(plain);
        assert_eq!(trees.len(), 5);
    }
}
