//! Makes one change to one line of a kernel, to measure whether the tests detect it.
//!
//! A site is written `file:line stem number change`: the place, the local or `assign` or `branch`
//! there, the number of the expression's part in order, and what becomes of it. The change is made
//! wherever the line is lowered: in all turns of a loop and all widths of a block, as if the source
//! had been changed. `NITOR_MUTANT` names a site; `NITOR_MUTANTS` names a file to which the sites
//! of every block that is emitted are added.

use crate::tree::{Block, Expr, Kind, Local, Op, Target, Tree, Unary};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;

/// Changes the tree, if the environment asks for a mutant.
pub(crate) fn mutate(tree: &mut Tree) {
    if let Some(file) = std::env::var_os("NITOR_MUTANTS") {
        let text = sites(tree).iter().fold(String::new(), |mut text, site| {
            let _ = writeln!(text, "{site}");
            text
        });
        let file = OpenOptions::new().create(true).append(true).open(file);
        // If this fails, the caller finds no sites.
        let _ = file.and_then(|mut f| f.write_all(text.as_bytes()));
    }
    if let Ok(wanted) = std::env::var("NITOR_MUTANT") {
        walked(tree, Some(wanted));
    }
}

fn sites(tree: &Tree) -> BTreeSet<String> {
    walked(&mut tree.clone(), None)
}

fn walked(tree: &mut Tree, wanted: Option<String>) -> BTreeSet<String> {
    let mut walk = Walk { wanted, sites: BTreeSet::new(), locals: &tree.locals };
    walk.block(&mut tree.body);
    for f in &mut tree.functions {
        walk.block(&mut f.body);
        walk.value(&mut f.value, &f.place, &f.name, &mut 0);
    }
    walk.sites
}

/// Looks for the sites of a tree, and changes the wanted one.
struct Walk<'a> {
    wanted: Option<String>,
    sites: BTreeSet<String>,
    locals: &'a [Local],
}

/// The operator that a mutant has instead.
fn other(op: Op) -> Option<(Op, &'static str)> {
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

impl Walk<'_> {
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

    fn block(&mut self, block: &mut Block) {
        block.retain_mut(|stmt| {
            let place = stmt.place.clone();
            match &mut stmt.kind {
                Kind::Let(id, value) => self.local(*id, value, &place),
                Kind::Assign(Target::Local(id) | Target::Part(id, ..), value) => {
                    self.local(*id, value, &place);
                }
                Kind::Assign(Target::Signal(_), value) => {
                    self.value(value, &place, "assign", &mut 0);
                    return !self.at(&place, "assign", 0, "is missing");
                }
                Kind::If(test, ..) => {
                    self.value(test, &place, "if", &mut 0);
                    if self.at(&place, "branch", 0, "if is if not") {
                        *test = Expr::Unary(Unary::Not, test.clone().boxed());
                    }
                }
                Kind::Match(..) | Kind::For(_) => {}
            }
            stmt.blocks_mut().into_iter().for_each(|b| self.block(b));
            true
        });
    }

    fn local(&mut self, id: usize, value: &mut Expr, place: &str) {
        let stem = self.locals[id].stem.clone();
        self.value(value, place, &stem, &mut 0);
    }

    fn value(&mut self, e: &mut Expr, place: &str, stem: &str, number: &mut usize) {
        *number += 1;
        let own = *number;
        match e {
            Expr::Binary(l, op, r) => {
                self.value(l, place, stem, number);
                self.value(r, place, stem, number);
                if let Some((new, change)) = other(*op) {
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
            Expr::Literal(value, width) => {
                let top = u128::MAX >> (128 - (*width).clamp(1, 128));
                let new = if *value < top { *value + 1 } else { *value - (*value).min(1) };
                if new != *value && self.at(place, stem, own, &format!("{value} is {new}")) {
                    *value = new;
                }
            }
            // Places and patterns stay.
            Expr::Slice(a, ..) => self.value(a, place, stem, number),
            Expr::Replace(a, _, _, v) => {
                self.value(a, place, stem, number);
                self.value(v, place, stem, number);
            }
            Expr::Select(_, cases) => {
                cases.iter_mut().for_each(|c| self.value(&mut c.1, place, stem, number));
            }
            e => e.parts_mut().into_iter().for_each(|p| self.value(p, place, stem, number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{self, binary, Kernel};
    use rust_hdl_core::ast::Verilog;

    fn kernel() -> Tree {
        let mut k = Kernel::new("T", "");
        k.at("a.rs", 1);
        let sum = binary(Expr::Signal("a".into()), Op::Add, Expr::Literal(3, 8));
        let sum = k.bind("sum", sum);
        k.at("a.rs", 2);
        k.begin();
        k.at("a.rs", 3);
        k.assign("r$d".into(), sum);
        k.begin();
        k.at("a.rs", 2);
        k.end_if(Expr::Signal("go".into()));
        let Verilog::Custom(mark) = k.finish() else { unreachable!() };
        build::take(mark.strip_prefix(build::TREE_MARK).unwrap()).unwrap()
    }

    #[test]
    fn each_site_is_another_tree() {
        let sites = sites(&kernel());
        let expected = [
            "a.rs:1 sum 1 + is -",
            "a.rs:1 sum 3 3 is 4",
            "a.rs:2 branch 0 if is if not",
            "a.rs:3 assign 0 is missing",
        ];
        assert_eq!(sites.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        let changed = |site: &String| {
            let mut tree = kernel();
            walked(&mut tree, Some(site.clone()));
            format!("{:?}", tree.body)
        };
        let mut trees: BTreeSet<String> = sites.iter().map(changed).collect();
        trees.insert(format!("{:?}", kernel().body));
        assert_eq!(trees.len(), 5);
    }
}
