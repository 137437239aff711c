//! Turns expressions that Verilog does not have into statements: a `match` as a value, bits
//! replaced at a variable place, slices of values without a name. Then drops values that nothing
//! reads.

use crate::check::{joined, width_of};
use crate::tree::{self, Block, Expr, Kind, Local, Op, Stmt, Target, Tree, Unary};
use std::collections::{BTreeMap, BTreeSet};

pub fn lower(tree: &mut Tree, signals: &BTreeMap<String, usize>) {
    let mut body = std::mem::take(&mut tree.body);
    let mut lower = Lower { tree, signals };
    body = lower.block(body);
    for i in 0..lower.tree.functions.len() {
        let f = &mut lower.tree.functions[i];
        let (block, mut value) = (std::mem::take(&mut f.body), f.value.clone());
        let name = f.name.clone();
        let mut block = lower.block(block);
        let mut before = vec![];
        lower.value(&mut value, &name, &mut before);
        block.extend(before.into_iter().map(|kind| Stmt::new(kind, "")));
        let f = &mut lower.tree.functions[i];
        (f.body, f.value) = (block, value);
    }
    tree.body = body;
    sweep(tree);
}

struct Lower<'a> {
    tree: &'a mut Tree,
    signals: &'a BTreeMap<String, usize>,
}

/// The stem of the name for a part of an expression that needs one.
fn word(e: &Expr) -> &'static str {
    match e {
        Expr::Binary(_, Op::Add, _) => "sum",
        Expr::Binary(_, Op::Sub, _) => "difference",
        Expr::Binary(_, Op::Shr | Op::Shl, _) => "shifted",
        Expr::Select(..) | Expr::Mux(..) => "choice",
        Expr::Concat(_) => "word",
        Expr::Call(..) => "result",
        _ => "bits",
    }
}

impl Lower<'_> {
    fn width(&self, e: &Expr) -> usize {
        width_of(e, self.tree, self.signals)
    }

    fn whole(&self, id: usize) -> usize {
        self.tree.locals[id].width
    }

    /// The number of bits that `w` bits at the place may reach to.
    fn reach(&self, at: &Expr, w: usize) -> usize {
        match (at.number(), self.width(at)) {
            (Some(at), _) => at as usize + w,
            (None, wi) if wi >= 20 => usize::MAX,
            (None, wi) => (1 << wi) - 1 + w,
        }
    }

    fn local(&mut self, stem: &str, mutable: bool, width: usize) -> usize {
        let stem = stem.to_string();
        self.tree.locals.push(Local { stem, mutable, width, shape: None, place: String::new() });
        self.tree.locals.len() - 1
    }

    /// The stem of names for a statement's intermediate values: what it assigns.
    fn purpose(&self, kind: &Kind) -> String {
        match kind {
            Kind::Let(id, _) | Kind::Assign(Target::Local(id) | Target::Part(id, ..), _) => {
                self.tree.locals[*id].stem.clone()
            }
            Kind::Assign(Target::Signal(name), _) => {
                let name = name.strip_suffix("$d").unwrap_or(name);
                name.replace('$', "_")
            }
            _ => String::new(),
        }
    }

    fn block(&mut self, block: Block) -> Block {
        let mut out = vec![];
        for mut stmt in block {
            for inner in stmt.blocks_mut() {
                *inner = self.block(std::mem::take(inner));
            }
            let mut kinds = vec![];
            self.stmt(stmt.kind, &mut kinds);
            let mut comment = stmt.comment;
            for kind in kinds {
                let comment = std::mem::take(&mut comment);
                out.push(Stmt { kind, place: stmt.place.clone(), comment });
            }
        }
        out
    }

    fn stmt(&mut self, mut kind: Kind, out: &mut Vec<Kind>) {
        let purpose = self.purpose(&kind);
        match kind {
            Kind::Let(id, Expr::Select(test, cases)) => {
                self.tree.locals[id].mutable = true;
                self.cases(Target::Local(id), *test, cases, &purpose, out);
            }
            Kind::Assign(target, Expr::Select(test, cases)) => {
                self.cases(target, *test, cases, &purpose, out);
            }
            Kind::Let(id, Expr::Replace(base, w, at, value)) => {
                self.tree.locals[id].mutable = true;
                self.stmt(Kind::Assign(Target::Local(id), *base), out);
                self.stmt(Kind::Assign(Target::Part(id, w, *at), *value), out);
            }
            Kind::Assign(Target::Local(id), Expr::Replace(base, w, mut at, mut value)) => {
                for part in [&mut at, &mut value] {
                    if part.reads(id) {
                        **part = self.named((**part).clone(), &purpose, out);
                    }
                }
                self.stmt(Kind::Assign(Target::Local(id), *base), out);
                self.stmt(Kind::Assign(Target::Part(id, w, *at), *value), out);
            }
            Kind::Assign(Target::Part(id, w, at), value) if self.reach(&at, w) > self.whole(id) => {
                // Bits beyond the top are not written. Tools differ if a place is a number beyond
                // it.
                let n = self.whole(id);
                let wide = |e: Expr| match n > w {
                    true => joined(vec![Expr::Literal(0, n - w), e]),
                    false => e,
                };
                let ones = Expr::Unary(Unary::Not, Expr::Literal(0, w).boxed());
                let moved = |e: Expr| Expr::Binary(wide(e).boxed(), Op::Shl, at.clone().boxed());
                let rest = Expr::Unary(Unary::Not, moved(ones).boxed());
                let rest = Expr::Binary(Expr::Local(id).boxed(), Op::BitAnd, rest.boxed());
                let all = Expr::Binary(rest.boxed(), Op::BitOr, moved(value).boxed());
                self.stmt(Kind::Assign(Target::Local(id), all), out);
            }
            _ => {
                let mut stmt = Stmt::new(kind, "");
                for e in stmt.own_mut() {
                    self.value(e, &purpose, out);
                }
                kind = stmt.kind;
                out.push(kind);
            }
        }
    }

    fn cases(
        &mut self,
        target: Target,
        mut test: Expr,
        cases: Vec<(Vec<Expr>, Expr)>,
        purpose: &str,
        out: &mut Vec<Kind>,
    ) {
        self.value(&mut test, purpose, out);
        let mut arms = vec![];
        for (patterns, value) in cases {
            let mut kinds = vec![];
            self.stmt(Kind::Assign(target.clone(), value), &mut kinds);
            arms.push((patterns, kinds.into_iter().map(|k| Stmt::new(k, "")).collect()));
        }
        // Without `_` all states are named; the last arm also serves codes that are no state.
        if !arms.iter().any(|a: &(Vec<Expr>, Block)| a.0.is_empty()) {
            if let Some(last) = arms.last_mut() {
                last.0.clear();
            }
        }
        out.push(Kind::Match(test, arms));
    }

    fn named(&mut self, e: Expr, purpose: &str, out: &mut Vec<Kind>) -> Expr {
        let word = word(&e);
        let stem = if purpose.is_empty() { word.to_string() } else { format!("{purpose}_{word}") };
        let width = self.width(&e);
        let id = self.local(&stem, false, width);
        self.stmt(Kind::Let(id, e), out);
        Expr::Local(id)
    }

    fn value(&mut self, e: &mut Expr, purpose: &str, out: &mut Vec<Kind>) {
        for part in e.parts_mut() {
            self.value(part, purpose, out);
        }
        match e {
            Expr::Select(..) | Expr::Replace(..) => {
                *e = self.named(e.clone(), purpose, out);
            }
            Expr::Slice(a, w, at) => {
                let n = self.width(a);
                let name = matches!(**a, Expr::Signal(_) | Expr::Local(_));
                if at.number().is_some() {
                    if !name {
                        **a = self.named((**a).clone(), purpose, out);
                    }
                    return;
                }
                if self.reach(at, *w) <= n {
                    if !name {
                        **a = self.named((**a).clone(), purpose, out);
                    }
                    return;
                }
                // Bits beyond the top read as 0.
                let shifted = Expr::Binary(a.clone(), Op::Shr, at.clone());
                *e = match *w >= n {
                    true if *w == n => shifted,
                    true => joined(vec![Expr::Literal(0, *w - n), shifted]),
                    false => {
                        let w = *w;
                        let name = self.named(shifted, purpose, out);
                        Expr::Slice(name.boxed(), w, Expr::Number(0).boxed())
                    }
                };
            }
            _ => {}
        }
    }
}

/// Drops an assignment of a variable that is assigned again before it is read.
fn stored(block: &mut Block) {
    for stmt in block.iter_mut() {
        stmt.blocks_mut().into_iter().for_each(stored);
    }
    let reads = |s: &Stmt, id: usize| {
        let mut found = false;
        tree::walk(std::slice::from_ref(s), &mut |s| {
            found |= s.own().iter().any(|e| e.reads(id));
        });
        found
    };
    let mut i = 0;
    while i < block.len() {
        let id = match &block[i].kind {
            Kind::Assign(Target::Local(id) | Target::Part(id, ..), _) => Some(*id),
            _ => None,
        };
        let dead = id.is_some_and(|id| {
            for later in &block[i + 1..] {
                if reads(later, id) {
                    return false;
                }
                if matches!(later.kind, Kind::Assign(Target::Local(x), _) if x == id) {
                    return true;
                }
            }
            false
        });
        match dead {
            true => drop(block.remove(i)),
            false => i += 1,
        }
    }
}

/// Turns variables that are assigned once into `let`s, and drops locals that nothing reads.
pub fn sweep(tree: &mut Tree) {
    stored(&mut tree.body);
    for f in &mut tree.functions {
        stored(&mut f.body);
    }
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    let blocks: Vec<&Block> =
        [&tree.body].into_iter().chain(tree.functions.iter().map(|f| &f.body)).collect();
    for block in blocks {
        tree::walk(block, &mut |stmt| {
            if let Some(id) = stmt.local() {
                *times.entry(id).or_default() += 1;
            }
        });
    }
    let mut once = BTreeSet::new();
    let mut body = std::mem::take(&mut tree.body);
    fixed(&mut body, &times, &mut once);
    for f in &mut tree.functions {
        fixed(&mut f.body, &times, &mut once);
    }
    tree.body = body;
    for &id in &once {
        tree.locals[id].mutable = false;
    }
    loop {
        let mut read = BTreeSet::new();
        let mut reads = |stmt: &Stmt| {
            for e in stmt.own() {
                // An update of a variable does not count as a read of it.
                read.extend(e.locals().into_iter().filter(|id| stmt.local() != Some(*id)));
            }
        };
        tree::walk(&tree.body, &mut reads);
        for f in &tree.functions {
            tree::walk(&f.body, &mut reads);
        }
        for f in &tree.functions {
            read.extend(f.value.locals());
        }
        let mut gone = false;
        unread(&mut tree.body, &read, &mut gone);
        for f in &mut tree.functions {
            unread(&mut f.body, &read, &mut gone);
        }
        if !gone {
            return;
        }
    }
}

/// Turns assignments of variables that are assigned only once, outside of branches, into `let`s.
fn fixed(block: &mut Block, times: &BTreeMap<usize, usize>, once: &mut BTreeSet<usize>) {
    for stmt in block {
        if let Kind::Assign(Target::Local(id), e) = &stmt.kind {
            if times.get(id) == Some(&1) {
                once.insert(*id);
                stmt.kind = Kind::Let(*id, e.clone());
            }
        }
        stmt.blocks_mut().into_iter().for_each(|b| fixed(b, times, once));
    }
}

/// Drops statements whose local is not read, and branches that are then empty. Their comments go to
/// the next statement.
fn unread(block: &mut Block, read: &BTreeSet<usize>, gone: &mut bool) {
    let mut comment = vec![];
    let mut out = vec![];
    for mut stmt in std::mem::take(block) {
        stmt.blocks_mut().into_iter().for_each(|b| unread(b, read, gone));
        let dead = stmt.local().is_some_and(|id| !read.contains(&id));
        let blocks = stmt.blocks();
        let empty = !blocks.is_empty() && blocks.iter().all(|b| b.is_empty());
        comment.append(&mut stmt.comment);
        if dead || empty {
            *gone = true;
            continue;
        }
        stmt.comment = std::mem::take(&mut comment);
        out.push(stmt);
    }
    *block = out;
}
