//! Groups statements: which must stay in one `always` block, in their order, and which can stand
//! alone.
//!
//! The block of a variable has all statements that read an intermediate value of the variable.
//! Readers of its last value read it as they read a wire. Signals stand alone, so that no block
//! makes a combinational loop where the kernel has none: an intermediate value that a signal reads
//! is kept under a name of its own.

use crate::tree::{self, Block, Comment, Expr, Kind, Local, Loop, Stmt, Target, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// The result of a block: locals, or a signal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Local(usize),
    Signal(String),
}

/// The key of the local or signal that a statement assigns.
pub fn key(stmt: &Stmt) -> Option<Key> {
    stmt.local().map(Key::Local).or(stmt.signal().map(|s| Key::Signal(s.to_string())))
}

pub struct Flow {
    parent: BTreeMap<Key, Key>,
    /// Locals that live in a loop.
    pub looped: BTreeSet<usize>,
    /// Locals that are computed in a variable's block.
    pub grouped: BTreeSet<usize>,
}

impl Flow {
    /// The block that computes `key`, given as the first of its keys.
    pub fn group(&self, key: &Key) -> Key {
        let mut key = key;
        while let Some(up) = self.parent.get(key) {
            key = up;
        }
        key.clone()
    }

    fn unite(&mut self, a: &Key, b: &Key) {
        let (a, b) = (self.group(a), self.group(b));
        if a != b {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            self.parent.insert(high, low);
        }
    }
}

/// Unrolls loops that drive arrays, names the intermediate values that registers and signals read,
/// and finds the groups.
pub fn flow(tree: &mut Tree) -> Flow {
    let mut body = std::mem::take(&mut tree.body);
    let mut times = BTreeMap::new();
    count(&body, &mut times);
    body = apart(body, tree, &times);
    let early = Early::of(&body);
    body = kept(body, tree, &early, &mut BTreeMap::new());
    let early = Early::of(&body);
    let mut flow =
        Flow { parent: BTreeMap::new(), looped: BTreeSet::new(), grouped: BTreeSet::new() };
    looped(&body, false, &mut flow.looped);
    let mut lets = BTreeMap::new();
    group(&body, &mut vec![], &early, tree, &mut flow, &mut lets);
    circles(&body, &mut flow);
    tree.body = body;
    flow
}

/// The locals that each local is computed from: those of its values, and of the conditions around
/// them.
fn sources(block: &Block, above: &mut Vec<usize>, out: &mut BTreeMap<Key, BTreeSet<usize>>) {
    for stmt in block {
        let own: Vec<usize> = stmt.own().into_iter().flat_map(Expr::locals).collect();
        if let Some(key) = key(stmt) {
            let all = out.entry(key).or_default();
            all.extend(own);
            // The value of a `let` does not depend on the conditions around it.
            if !matches!(stmt.kind, Kind::Let(..)) {
                all.extend(above.iter());
            }
            continue;
        }
        let had = above.len();
        above.extend(own);
        stmt.blocks().into_iter().for_each(|b| sources(b, above, out));
        above.truncate(had);
    }
}

/// Unites blocks that would depend on each other: in one block their statements are in order.
fn circles(body: &Block, flow: &mut Flow) {
    let mut from = BTreeMap::new();
    sources(body, &mut vec![], &mut from);
    let mut needs: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
    for (key, ids) in &from {
        let group = flow.group(key);
        let ids = ids.iter().map(|id| flow.group(&Key::Local(*id))).filter(|k| *k != group);
        let ids: Vec<Key> = ids.collect();
        needs.entry(group).or_default().extend(ids);
    }
    let reach = |from: &Key| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from.clone()];
        while let Some(key) = open.pop() {
            for next in needs.get(&key).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<Key, BTreeSet<Key>> = needs.keys().map(|k| (k.clone(), reach(k))).collect();
    let mut joined = BTreeSet::new();
    for (key, reached) in &all {
        if !reached.contains(key) {
            continue;
        }
        for other in reached {
            if all.get(other).is_some_and(|back| back.contains(key)) {
                flow.unite(key, other);
                joined.extend([key.clone(), other.clone()]);
            }
        }
    }
    tree::walk(body, &mut |stmt| {
        if let Kind::Let(id, _) = stmt.kind {
            if joined.contains(&Key::Local(id)) && !flow.looped.contains(&id) {
                flow.grouped.insert(id);
            }
        }
    });
}

fn looped(block: &Block, inside: bool, out: &mut BTreeSet<usize>) {
    for stmt in block {
        if let (true, Some(id)) = (inside, stmt.local()) {
            out.insert(id);
        }
        let inside = inside || matches!(stmt.kind, Kind::For(_));
        stmt.blocks().into_iter().for_each(|b| looped(b, inside, out));
    }
    if !inside {
        // A variable from outside is assigned in the loop, but does not belong to it.
        let mut outside = BTreeSet::new();
        fn top(block: &Block, out: &mut BTreeSet<usize>) {
            for stmt in block {
                out.extend(stmt.local());
                if !matches!(stmt.kind, Kind::For(_)) {
                    stmt.blocks().into_iter().for_each(|b| top(b, out));
                }
            }
        }
        top(block, &mut outside);
        out.retain(|id| !outside.contains(id));
    }
}

/// Which statements read a variable before its last assignment: by the statement's address.
struct Early(BTreeSet<(usize, usize)>);

fn address(stmt: &Stmt) -> usize {
    std::ptr::from_ref(stmt) as usize
}

impl Early {
    fn of(block: &Block) -> Self {
        let mut early = Self(BTreeSet::new());
        early.block(block, BTreeSet::new());
        early
    }

    /// `later` are the locals assigned behind the block. Returns those assigned in it or behind it.
    fn block(&mut self, block: &Block, mut later: BTreeSet<usize>) -> BTreeSet<usize> {
        for stmt in block.iter().rev() {
            match &stmt.kind {
                Kind::For(l) => {
                    for (_, turn) in l.turns.iter().rev() {
                        later = self.block(turn, later);
                    }
                }
                _ => {
                    let blocks = stmt.blocks();
                    if !blocks.is_empty() {
                        let each: Vec<_> =
                            blocks.into_iter().map(|b| self.block(b, later.clone())).collect();
                        later.extend(each.into_iter().flatten());
                    }
                    for id in stmt.own().into_iter().flat_map(Expr::locals) {
                        if later.contains(&id) {
                            self.0.insert((address(stmt), id));
                        }
                    }
                    later.extend(stmt.local());
                }
            }
        }
        later
    }

    fn reads(&self, stmt: &Stmt) -> Vec<usize> {
        let of = address(stmt);
        self.0.range((of, 0)..=(of, usize::MAX)).map(|r| r.1).collect()
    }
}

/// The signals that a block assigns.
fn signals(block: &[Stmt]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    tree::walk(block, &mut |s| all.extend(s.signal().map(str::to_string)));
    all
}

fn locals(block: &[Stmt]) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    tree::walk(block, &mut |s| all.extend(s.local()));
    all
}

fn read(block: &[Stmt]) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    tree::walk(block, &mut |s| all.extend(s.own().into_iter().flat_map(Expr::locals)));
    all
}

/// The statements that `wanted` selects, with the branches and loops around them, and the `let`s of
/// loops that they read.
pub fn slice(block: &Block, wanted: &dyn Fn(&Stmt) -> bool, looped: &BTreeSet<usize>) -> Block {
    let mut needed = BTreeSet::new();
    loop {
        let take =
            |s: &Stmt| wanted(s) || matches!(s.kind, Kind::Let(id, _) if needed.contains(&id));
        let out = filter(block, &take);
        let more: BTreeSet<usize> =
            read(&out).into_iter().filter(|id| looped.contains(id)).collect();
        if more.is_subset(&needed) {
            return out;
        }
        needed.extend(more);
    }
}

fn filter(block: &Block, take: &dyn Fn(&Stmt) -> bool) -> Block {
    let mut out = vec![];
    let mut comment = vec![];
    for stmt in block {
        // A statement that is left out leaves its heading.
        comment.retain(Comment::is_heading);
        comment.extend(stmt.comment.iter().cloned());
        let kept = match &stmt.kind {
            Kind::Let(..) | Kind::Assign(..) => take(stmt).then(|| stmt.clone()),
            _ => {
                let mut copy = Stmt {
                    kind: stmt.kind.clone(),
                    ..Stmt::new(Kind::Match(Expr::Number(0), vec![]), &stmt.place)
                };
                for (to, from) in copy.blocks_mut().into_iter().zip(stmt.blocks()) {
                    *to = filter(from, take);
                }
                copy.blocks().iter().any(|b| !b.is_empty()).then_some(copy)
            }
        };
        if let Some(mut stmt) = kept {
            stmt.comment = std::mem::take(&mut comment);
            out.push(stmt);
        }
    }
    out
}

/// The signals that not all turns of a loop assign alike: those of arrays.
fn arrays(l: &Loop) -> BTreeSet<String> {
    let each: Vec<_> = l.turns.iter().map(|t| signals(&t.1)).collect();
    let all: BTreeSet<String> = each.iter().flatten().cloned().collect();
    all.into_iter()
        .filter(|name| l.turns.len() < 3 || !each.iter().all(|e| e.contains(name)))
        .collect()
}

/// How often each local is assigned.
fn count(block: &Block, times: &mut BTreeMap<usize, usize>) {
    tree::walk(block, &mut |s| {
        if let Some(id) = s.local() {
            *times.entry(id).or_default() += 1;
        }
    });
}

/// Unrolls, of loops that are in no loop, the part that drives arrays.
fn apart(block: Block, tree: &mut Tree, times: &BTreeMap<usize, usize>) -> Block {
    let mut out = vec![];
    for mut stmt in block {
        let Kind::For(l) = stmt.kind else {
            for inner in stmt.blocks_mut() {
                *inner = apart(std::mem::take(inner), tree, times);
            }
            out.push(stmt);
            continue;
        };
        let mut array = arrays(&l);
        let whole: Block = l.turns.iter().flat_map(|t| t.1.clone()).collect();
        let assigned = locals(&whole);
        // Clocked blocks have no variables, so a register that needs the loop's `let`s is driven
        // outside.
        array.extend(signals(&whole).into_iter().filter(|name| {
            let drives = slice(&whole, &|s: &Stmt| s.signal() == Some(name), &assigned);
            name.ends_with("$d") && !read(&drives).is_disjoint(&assigned)
        }));
        let own = |s: &Stmt| s.signal().is_some();
        let variables: BTreeSet<usize> =
            assigned.iter().copied().filter(|id| tree.locals[*id].mutable).collect();
        let drives = slice(&whole, &own, &assigned);
        let bound = !read(&drives).is_disjoint(&variables);
        let kind = Kind::For(l.clone());
        if signals(&whole).is_empty() || (array.is_empty() && !bound) {
            out.push(Stmt { kind, ..stmt_of(&stmt.place, stmt.comment) });
            continue;
        }
        let mut here = BTreeMap::new();
        count(&whole, &mut here);
        // The index makes the names of the turns' locals distinct.
        let named = |turns: Vec<(i128, Block)>, tree: &mut Tree| -> Block {
            let mut all = vec![];
            for (i, block) in turns {
                for id in locals(&block) {
                    if times.get(&id).is_none_or(|n| here.get(&id) == Some(n)) {
                        tree.locals[id].stem = format!("{}_{i}", tree.locals[id].stem);
                    }
                }
                all.extend(block);
            }
            apart(all, tree, times)
        };
        if bound {
            // The whole loop is unrolled: the driven signals read what the turns change.
            let mut all = named(l.turns, tree);
            if let Some(first) = all.first_mut() {
                first.comment.splice(0..0, stmt.comment);
            }
            out.extend(all);
            continue;
        }
        let single = Stmt { kind, ..stmt_of(&stmt.place, stmt.comment.clone()) };
        let rest = slice(
            &vec![single.clone()],
            &|s| match &s.kind {
                Kind::Assign(Target::Signal(n), _) => !array.contains(n),
                Kind::Assign(..) => true,
                _ => false,
            },
            &assigned,
        );
        let had = !rest.is_empty();
        out.extend(rest);
        let driven =
            slice(&vec![single], &|s| s.signal().is_some_and(|n| array.contains(n)), &assigned);
        let Some(Stmt { kind: Kind::For(mut l), .. }) = driven.into_iter().next() else { continue };
        if had {
            for turn in &mut l.turns {
                copied(&mut turn.1, tree);
            }
        }
        let mut all = named(l.turns, tree);
        if let (Some(first), false) = (all.first_mut(), had) {
            first.comment.splice(0..0, stmt.comment);
        }
        out.extend(all);
    }
    out
}

fn stmt_of(place: &str, comment: Vec<Comment>) -> Stmt {
    Stmt { kind: Kind::Let(0, Expr::Number(0)), place: place.to_string(), comment }
}

/// Gives the block's locals fresh numbers.
fn copied(block: &mut Block, tree: &mut Tree) {
    let mut fresh = BTreeMap::new();
    for id in locals(block) {
        tree.locals.push(tree.locals[id].clone());
        fresh.insert(id, tree.locals.len() - 1);
    }
    tree::rename(block, &fresh);
}

/// Gives intermediate values that signals depend on names of their own, outside of loops.
fn kept(block: Block, tree: &mut Tree, early: &Early, known: &mut BTreeMap<usize, usize>) -> Block {
    let mut out: Block = vec![];
    // Moving a statement changes its address, so early reads are looked up first.
    let reads: Vec<Vec<usize>> = block.iter().map(|s| early.reads(s)).collect();
    for (mut stmt, early_ids) in block.into_iter().zip(reads) {
        let drives =
            stmt.signal().is_some() || stmt.blocks().iter().any(|b| !signals(b).is_empty());
        let whole = matches!(stmt.kind, Kind::For(_));
        let ids = match whole {
            // A variable that a loop does not change has one value in all its turns.
            true => {
                let mut ids = BTreeSet::new();
                driving(stmt.blocks(), early, &mut ids);
                let changed = locals(std::slice::from_ref(&stmt));
                ids.difference(&changed).copied().collect()
            }
            false => early_ids,
        };
        if drives && !ids.is_empty() {
            let mut names = BTreeMap::new();
            for id in ids {
                let name = *known.entry(id).or_insert_with(|| {
                    let Local { stem, width, shape, place, .. } = tree.locals[id].clone();
                    let stem = format!("{stem}_so_far");
                    tree.locals.push(Local { stem, mutable: false, width, shape, place });
                    let name = tree.locals.len() - 1;
                    out.push(Stmt::new(Kind::Let(name, Expr::Local(id)), &stmt.place));
                    name
                });
                names.insert(id, name);
            }
            match whole {
                true => stmt.blocks_mut().into_iter().for_each(|b| rename_driving(b, &names)),
                false => stmt.own_mut().into_iter().for_each(|e| tree::rename_expr(e, &names)),
            }
        }
        if whole {
            locals(std::slice::from_ref(&stmt)).iter().for_each(|id| {
                known.remove(id);
            });
            out.push(stmt);
            continue;
        }
        // Inner blocks are rewritten in place, so that their statements keep their addresses.
        for inner in stmt.blocks_mut() {
            *inner = kept(std::mem::take(inner), tree, early, &mut known.clone());
        }
        locals(std::slice::from_ref(&stmt)).iter().for_each(|id| {
            known.remove(id);
        });
        out.push(stmt);
    }
    out
}

/// The intermediate values that statements which drive signals read.
fn driving(blocks: Vec<&Block>, early: &Early, out: &mut BTreeSet<usize>) {
    for stmt in blocks.into_iter().flatten() {
        if stmt.signal().is_some() || stmt.blocks().iter().any(|b| !signals(b).is_empty()) {
            out.extend(early.reads(stmt));
        }
        driving(stmt.blocks(), early, out);
    }
}

/// Renames locals in all statements that drive signals.
fn rename_driving(block: &mut Block, names: &BTreeMap<usize, usize>) {
    for stmt in block {
        if stmt.signal().is_some() || stmt.blocks().iter().any(|b| !signals(b).is_empty()) {
            stmt.own_mut().into_iter().for_each(|e| tree::rename_expr(e, names));
        }
        stmt.blocks_mut().into_iter().for_each(|b| rename_driving(b, names));
    }
}

/// Unites statements that read a variable's intermediate value, or are in a loop with it, with the
/// variable.
fn group(
    block: &Block,
    above: &mut Vec<Vec<usize>>,
    early: &Early,
    tree: &Tree,
    flow: &mut Flow,
    lets: &mut BTreeMap<usize, BTreeSet<usize>>,
) {
    for stmt in block {
        // The variables that must be in the same block.
        let mut bound: BTreeSet<usize> = early.reads(stmt).into_iter().collect();
        for id in stmt.own().into_iter().flat_map(Expr::locals) {
            if !flow.looped.contains(&id) {
                continue;
            }
            match tree.locals[id].mutable {
                true => drop(bound.insert(id)),
                false => bound.extend(lets.get(&id).into_iter().flatten()),
            }
        }
        match &stmt.kind {
            Kind::Let(id, _) if flow.looped.contains(id) => {
                lets.insert(*id, bound);
            }
            Kind::Let(id, _) => {
                let own = Key::Local(*id);
                for v in &bound {
                    flow.unite(&own, &Key::Local(*v));
                    flow.grouped.insert(*id);
                }
            }
            Kind::Assign(..) => {
                let Some(own) = key(stmt) else { continue };
                for v in bound.iter().chain(above.iter().flatten()) {
                    if own != Key::Local(*v) {
                        flow.unite(&own, &Key::Local(*v));
                    }
                }
            }
            _ => {
                above.push(bound.into_iter().collect());
                stmt.blocks().into_iter().for_each(|b| group(b, above, early, tree, flow, lets));
                above.pop();
            }
        }
    }
}
