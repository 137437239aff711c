//! Rolls loops up again. Rust has unrolled them; this pass makes a loop of turns that are the same
//! except for numbers that are linear in the index.

use crate::tree::{self, Affine, Block, Expr, Kind, Local, Loop, Stmt, Target};
use std::collections::BTreeMap;

/// A loop with fewer turns stays unrolled.
const LEAST: usize = 3;

/// Rolls up the loops of a block where possible; other loops become their turns, one after the
/// other.
pub fn roll(block: Block, depth: usize, locals: &[Local]) -> Block {
    let mut out = vec![];
    for mut stmt in block {
        let Kind::For(l) = &mut stmt.kind else {
            for inner in stmt.blocks_mut() {
                *inner = roll(std::mem::take(inner), depth, locals);
            }
            out.push(stmt);
            continue;
        };
        let mut turns: Vec<(i128, Block)> = l
            .turns
            .drain(..)
            .map(|(i, block)| (i, roll(block, depth + 1, locals)))
            .filter(|turn| !turn.1.is_empty())
            .collect();
        let mut comment = std::mem::take(&mut stmt.comment);
        while !turns.is_empty() {
            let (n, template) = run(&turns, depth, locals);
            let first = turns[0].0;
            let rest = turns.split_off(n);
            match template {
                Some(template) => {
                    let rolled = Some((depth, first + n as i128));
                    let index = l.index.clone();
                    let turns = vec![(first, template)];
                    let kind = Kind::For(Loop { index, turns, rolled });
                    let comment = std::mem::take(&mut comment);
                    out.push(Stmt { kind, place: stmt.place.clone(), comment });
                }
                None => {
                    for mut inner in turns.into_iter().flat_map(|t| t.1) {
                        inner.comment.splice(0..0, std::mem::take(&mut comment));
                        out.push(inner);
                    }
                }
            }
            turns = rest;
        }
    }
    out
}

/// How many turns from the first on are alike, and their common template; one turn if they are too
/// few.
fn run(turns: &[(i128, Block)], depth: usize, locals: &[Local]) -> (usize, Option<Block>) {
    let single = (1, None);
    if turns.len() < LEAST {
        return single;
    }
    let (first, a) = &turns[0];
    let Some(b) = renamed(&turns[1].1, a, locals) else { return single };
    if turns[1].0 != first + 1 {
        return single;
    }
    let unify = Unify { depth, first: *first };
    let Some(template) = unify.block(a, &b) else { return single };
    let mut n = 2;
    while let Some((i, turn)) = turns.get(n) {
        let same = *i == first + n as i128
            && renamed(turn, a, locals).is_some_and(|t| at(&template, depth, *i) == t);
        if !same {
            break;
        }
        n += 1;
    }
    match n < LEAST {
        true => single,
        false => (n, Some(template)),
    }
}

/// `turn` with its locals named as in `like`.
fn renamed(turn: &Block, like: &Block, locals: &[Local]) -> Option<Block> {
    let (from, to) = (tree::assigned(turn), tree::assigned(like));
    if from.len() != to.len() {
        return None;
    }
    let mut names = BTreeMap::new();
    for (a, b) in from.iter().zip(&to) {
        if a != b && (locals[*a].stem != locals[*b].stem || locals[*a].width != locals[*b].width) {
            return None;
        }
        names.insert(*a, *b);
    }
    let mut block = turn.clone();
    tree::rename(&mut block, &names);
    Some(block)
}

/// The turn of a template at an index.
fn at(template: &Block, depth: usize, index: i128) -> Block {
    let mut block = template.clone();
    fn go(block: &mut Block, depth: usize, index: i128) {
        tree::each_expr(block, &mut |e| {
            e.rewrite(&mut |e| {
                let Expr::Index(affine, width) = e else { return };
                let Some(step) = affine.steps.remove(&depth) else { return };
                affine.base += step * index;
                if affine.steps.is_empty() {
                    let value = affine.base as u128;
                    *e = match width {
                        Some(w) => Expr::Literal(value, *w),
                        None => Expr::Number(value),
                    };
                }
            });
        });
    }
    go(&mut block, depth, index);
    block
}

/// Makes a template of two adjacent turns.
struct Unify {
    depth: usize,
    first: i128,
}

impl Unify {
    fn block(&self, a: &Block, b: &Block) -> Option<Block> {
        (a.len() == b.len()).then(|| a.iter().zip(b).map(|(a, b)| self.stmt(a, b)).collect())?
    }

    fn stmt(&self, a: &Stmt, b: &Stmt) -> Option<Stmt> {
        let kind = match (&a.kind, &b.kind) {
            (Kind::Let(i, x), Kind::Let(j, y)) if i == j => Kind::Let(*i, self.expr(x, y)?),
            (Kind::Assign(s, x), Kind::Assign(t, y)) => {
                let target = match (s, t) {
                    (Target::Part(i, v, p), Target::Part(j, w, q)) if i == j && v == w => {
                        Target::Part(*i, *v, self.expr(p, q)?)
                    }
                    (s, t) if s == t => s.clone(),
                    _ => return None,
                };
                Kind::Assign(target, self.expr(x, y)?)
            }
            (Kind::If(x, s, t), Kind::If(y, u, v)) => {
                Kind::If(self.expr(x, y)?, self.block(s, u)?, self.block(t, v)?)
            }
            (Kind::Match(x, s), Kind::Match(y, t)) if s.len() == t.len() => {
                let arms: Option<Vec<_>> = s
                    .iter()
                    .zip(t)
                    .map(|((p, b), (q, c))| Some((p.clone(), self.block(b, c)?)).filter(|_| p == q))
                    .collect();
                Kind::Match(self.expr(x, y)?, arms?)
            }
            (Kind::For(l), Kind::For(m)) => {
                if l.rolled.is_none() || l.rolled != m.rolled || l.turns[0].0 != m.turns[0].0 {
                    return None;
                }
                let turn = (l.turns[0].0, self.block(&l.turns[0].1, &m.turns[0].1)?);
                Kind::For(Loop { turns: vec![turn], ..l.clone() })
            }
            _ => return None,
        };
        Some(Stmt { kind, place: a.place.clone(), comment: a.comment.clone() })
    }

    fn expr(&self, a: &Expr, b: &Expr) -> Option<Expr> {
        if a == b {
            return Some(a.clone());
        }
        Some(match (a, b) {
            (Expr::Number(_) | Expr::Literal(..) | Expr::Index(..), _) => {
                let ((x, v), (y, w)) = (affine(a)?, affine(b)?);
                if v != w || x.steps != y.steps {
                    return None;
                }
                let step = y.base - x.base;
                let mut steps = x.steps;
                steps.insert(self.depth, step);
                Expr::Index(Affine { base: x.base - step * self.first, steps }, v)
            }
            (Expr::Cast(x, v), Expr::Cast(y, w)) if v == w => {
                Expr::Cast(self.expr(x, y)?.boxed(), *v)
            }
            (Expr::Concat(x), Expr::Concat(y)) => Expr::Concat(self.all(x, y)?),
            (Expr::Unary(o, x), Expr::Unary(p, y)) if o == p => {
                Expr::Unary(*o, self.expr(x, y)?.boxed())
            }
            (Expr::Binary(x, o, s), Expr::Binary(y, p, t)) if o == p => {
                Expr::Binary(self.expr(x, y)?.boxed(), *o, self.expr(s, t)?.boxed())
            }
            (Expr::Mux(c, s, t), Expr::Mux(d, u, v)) => Expr::Mux(
                self.expr(c, d)?.boxed(),
                self.expr(s, u)?.boxed(),
                self.expr(t, v)?.boxed(),
            ),
            (Expr::Slice(x, v, s), Expr::Slice(y, w, t)) if v == w => {
                Expr::Slice(self.expr(x, y)?.boxed(), *v, self.expr(s, t)?.boxed())
            }
            (Expr::Call(f, x), Expr::Call(g, y)) if f == g => Expr::Call(*f, self.all(x, y)?),
            _ => return None,
        })
    }

    fn all(&self, a: &[Expr], b: &[Expr]) -> Option<Vec<Expr>> {
        (a.len() == b.len()).then(|| a.iter().zip(b).map(|(a, b)| self.expr(a, b)).collect())?
    }
}

fn affine(e: &Expr) -> Option<(Affine, Option<usize>)> {
    let plain = |v: u128| Affine { base: v as i128, steps: BTreeMap::new() };
    match e {
        Expr::Number(v) => Some((plain(*v), None)),
        Expr::Literal(v, w) => Some((plain(*v), Some(*w))),
        Expr::Index(a, w) => Some((a.clone(), *w)),
        _ => None,
    }
}
