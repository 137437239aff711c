//! Prints statements as Verilog.

use super::PLACE;
use crate::text::{bits, Text};
use crate::tree::{Block, Comment, Expr, Kind, Stmt, Target};
use std::collections::BTreeSet;

/// Lines longer than this are broken where that is easy.
const WIDE: usize = 100;

pub struct Printer<'a> {
    pub text: &'a mut Text,
    /// `<=` in clocked blocks.
    pub equals: &'static str,
    /// Comments that are in the text already, with their places.
    pub said: &'a mut BTreeSet<Comment>,
    /// Declarations that belong to the block: indices of its loops.
    pub indices: BTreeSet<String>,
    /// Indices of loops in branches: without a first value Yosys infers latches for them.
    pub branched: BTreeSet<String>,
    pub lines: Vec<String>,
}

impl Printer<'_> {
    fn line(&mut self, depth: usize, text: &str, place: &str) {
        for (i, part) in text.lines().enumerate() {
            let pad = "    ".repeat(depth + usize::from(i > 0 && !part.starts_with(' ')));
            self.lines.push(format!("{pad}{part}{PLACE}{place}"));
        }
    }

    pub fn comment(&mut self, stmt: &Stmt, depth: usize) {
        comments(stmt, depth, self.said, &mut self.lines);
    }

    pub fn block(&mut self, block: &Block, depth: usize) {
        for stmt in block {
            self.comment(stmt, depth);
            self.stmt(stmt, depth);
        }
    }

    fn assignment(&mut self, stmt: &Stmt) -> Option<String> {
        let (target, e) = match &stmt.kind {
            Kind::Let(id, e) => (self.text.expr(&Expr::Local(*id)), e),
            Kind::Assign(Target::Local(id), e) => (self.text.expr(&Expr::Local(*id)), e),
            Kind::Assign(Target::Part(id, w, at), e) => {
                let local = Expr::Local(*id);
                let name = self.text.expr(&local);
                (format!("{name}{}", self.text.place(&local, *w, at)), e)
            }
            Kind::Assign(Target::Signal(name), e) => {
                let name = match name.strip_suffix("$d") {
                    Some(register) if self.equals == "<=" => format!("{register}$q"),
                    _ => name.clone(),
                };
                (self.text.expr(&Expr::Signal(name)), e)
            }
            _ => return None,
        };
        Some(format!("{target} {} {};", self.equals, self.text.expr(e)))
    }

    fn stmt(&mut self, stmt: &Stmt, depth: usize) {
        if let Some(text) = self.assignment(stmt) {
            return self.line(depth, &text, &stmt.place);
        }
        let place = &stmt.place;
        match &stmt.kind {
            Kind::If(test, then, otherwise) => {
                self.conditional("", test, then, otherwise, depth, place)
            }
            Kind::Match(test, arms) => {
                let test = self.text.expr(test);
                self.line(depth, &format!("case ({test})"), place);
                let mut default = false;
                let empty = !arms.iter().any(|a| a.0.is_empty() && !a.1.is_empty());
                for (patterns, block) in arms.iter().filter(|a| !(empty && a.1.is_empty())) {
                    default |= patterns.is_empty();
                    let labels: Vec<_> = patterns.iter().map(|p| self.text.expr(p)).collect();
                    let label = match labels.is_empty() {
                        true => "default".to_string(),
                        false => labels.join(", "),
                    };
                    self.body(&format!("{label}:"), block, depth + 1, place);
                }
                if !default {
                    self.line(depth + 1, "default: ;", place);
                }
                self.line(depth, "endcase", place);
            }
            Kind::For(l) => {
                let (Some((level, end)), Some((first, block))) = (l.rolled, l.turns.first()) else {
                    return;
                };
                let mut name = l.index.clone();
                let mut n = 1;
                while self.text.indices.values().any(|other| *other == name)
                    || (self.text.names.is_taken(&name) && !self.indices.contains(&name))
                {
                    n += 1;
                    name = format!("{}_{n}", l.index);
                }
                self.indices.insert(name.clone());
                if depth > 1 {
                    self.branched.insert(name.clone());
                }
                self.text.indices.insert(level, name.clone());
                let head = format!("for ({name} = {first}; {name} < {end}; {name} = {name} + 1)");
                self.body(&head, block, depth, place);
                self.text.indices.remove(&level);
            }
            _ => {}
        }
    }

    /// Prints a head with one assignment behind it, or with a block.
    fn body(&mut self, head: &str, block: &Block, depth: usize, place: &str) {
        match self.single(head, block, depth) {
            Some(text) => self.line(depth, &text, &block[0].place),
            None if block.is_empty() => self.line(depth, &format!("{head} ;"), place),
            None => {
                self.line(depth, &format!("{head} begin"), place);
                self.block(block, depth + 1);
                self.line(depth, "end", place);
            }
        }
    }

    fn single(&mut self, head: &str, block: &Block, depth: usize) -> Option<String> {
        let [stmt] = block.as_slice() else { return None };
        if !stmt.comment.is_empty() {
            return None;
        }
        let text = format!("{head} {}", self.assignment(stmt)?);
        (text.len() + 4 * depth <= WIDE && !text.contains('\n')).then_some(text)
    }

    fn conditional(
        &mut self,
        before: &str,
        test: &Expr,
        then: &Block,
        otherwise: &Block,
        depth: usize,
        place: &str,
    ) {
        let (test, then, otherwise) = match then.is_empty() {
            true => (crate::check::not(test.clone(), 1), otherwise, then),
            false => (test.clone(), then, otherwise),
        };
        let test = self.text.expr(&test);
        let head = format!("{before}if ({test})");
        // In a chain, a statement without its own begin and end would be easy to misread.
        let single = match otherwise.is_empty() && before.is_empty() {
            true => self.single(&head, then, depth),
            false => None,
        };
        if let Some(text) = single {
            return self.line(depth, &text, &then[0].place);
        }
        self.line(depth, &format!("{head} begin"), place);
        self.block(then, depth + 1);
        match otherwise.as_slice() {
            [] => self.line(depth, "end", place),
            [Stmt { kind: Kind::If(test, then, otherwise), place, comment }]
                if comment.is_empty() =>
            {
                self.conditional("end else ", test, then, otherwise, depth, place);
            }
            _ => {
                self.line(depth, "end else begin", place);
                self.block(otherwise, depth + 1);
                self.line(depth, "end", place);
            }
        }
    }
}

/// Prints the comments of a statement, without those that are in the text already.
pub fn comments(stmt: &Stmt, depth: usize, said: &mut BTreeSet<Comment>, lines: &mut Vec<String>) {
    for line in &stmt.comment {
        if said.insert(line.clone()) {
            lines.push(format!("{}// {}", "    ".repeat(depth), line.text));
        }
    }
}

/// Locals that only some branches assign: without a first value they would be latches.
pub fn conditional(block: &Block, among: &BTreeSet<usize>) -> BTreeSet<usize> {
    fn go(
        block: &Block,
        branch: bool,
        among: &BTreeSet<usize>,
        sure: &mut BTreeSet<usize>,
        out: &mut BTreeSet<usize>,
    ) {
        for stmt in block {
            if let Some(id) = stmt.local().filter(|id| among.contains(id)) {
                if !sure.contains(&id) {
                    match branch || matches!(stmt.kind, Kind::Assign(Target::Part(..), _)) {
                        true => drop(out.insert(id)),
                        false => drop(sure.insert(id)),
                    }
                }
            }
            let branch = branch || !matches!(stmt.kind, Kind::For(_));
            stmt.blocks().into_iter().for_each(|b| go(b, branch, among, sure, out));
        }
    }
    let mut out = BTreeSet::new();
    go(block, false, among, &mut BTreeSet::new(), &mut out);
    out
}

/// `reg` declarations.
pub fn declared(names: impl IntoIterator<Item = (String, usize)>, depth: usize) -> Vec<String> {
    let pad = "    ".repeat(depth);
    names.into_iter().map(|(name, width)| format!("{pad}reg {}{name};", bits(width))).collect()
}
