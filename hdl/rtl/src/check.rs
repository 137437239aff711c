//! Checks widths: each expression gets the width that Rust gives it, numbers take theirs from the
//! expression they are used with, casts become concatenations and slices, and constants are folded.

use crate::tree::{Block, Expr, Kind, Op, Stmt, Target, Tree, Unary};
use crate::types::fitting;
use std::collections::BTreeMap;

const BARE: &str = "arithmetic on numbers without a width; use lit::<N>(..)";

/// Checks the tree, given the widths of the block's signals and constants.
pub fn check(tree: &mut Tree, signals: &BTreeMap<String, usize>) -> Result<(), String> {
    if let Some(fault) = &tree.fault {
        return Err(fault.clone());
    }
    let body = std::mem::take(&mut tree.body);
    let mut check = Check { tree, signals, same: BTreeMap::new() };
    let body = check.block(body)?;
    tree.body = body;
    Ok(())
}

pub fn literal(value: u128, width: usize) -> Result<Expr, String> {
    Ok(Expr::Literal(fitting(value, width)?, width))
}

/// The number with `width` bits set.
fn ones(width: usize) -> Option<u128> {
    (width <= 128).then(|| u128::MAX >> (128 - width))
}

/// An expression of exactly `width` bits.
fn fitted((e, own): (Expr, Option<usize>), width: usize) -> Result<Expr, String> {
    match (e, own) {
        (e, Some(w)) if w == width => Ok(e),
        (_, Some(w)) => Err(format!("an expression of {w} bits where {width} are needed")),
        (Expr::Number(v), None) => literal(v, width),
        _ => Err(BARE.to_string()),
    }
}

struct Check<'a> {
    tree: &'a mut Tree,
    signals: &'a BTreeMap<String, usize>,
    /// Locals that are mere aliases.
    same: BTreeMap<usize, Expr>,
}

impl Check<'_> {
    fn block(&mut self, block: Block) -> Result<Block, String> {
        let mut out: Block = vec![];
        let mut comment = vec![];
        for mut stmt in block {
            comment.append(&mut stmt.comment);
            for kind in self.stmt(stmt.kind)? {
                let comment = std::mem::take(&mut comment);
                out.push(Stmt { kind, place: stmt.place.clone(), comment });
            }
        }
        Ok(out)
    }

    fn stmt(&mut self, kind: Kind) -> Result<Vec<Kind>, String> {
        Ok(vec![match kind {
            Kind::Let(id, e) => {
                let e = self.first(id, &e)?;
                let fixed = match &e {
                    Expr::Local(of) => !self.tree.locals[*of].mutable,
                    Expr::Signal(_) | Expr::Literal(..) | Expr::State(_) => true,
                    _ => false,
                };
                if fixed {
                    self.same.insert(id, e);
                    return Ok(vec![]);
                }
                Kind::Let(id, e)
            }
            Kind::Assign(Target::Signal(name), e) => {
                let width = self.signal(&name)?;
                Kind::Assign(Target::Signal(name), self.sized(&e, width)?)
            }
            Kind::Assign(Target::Local(id), e) => {
                let value = match self.tree.locals[id].width {
                    0 => self.first(id, &e)?,
                    width => self.sized(&e, width)?,
                };
                Kind::Assign(Target::Local(id), value)
            }
            Kind::Assign(Target::Part(id, width, at), e) => {
                let whole = self.tree.locals[id].width;
                inside(&at, width, whole)?;
                let at = self.place(&at)?;
                let e = self.sized(&e, width)?;
                // A computed place may be beyond the top, where nothing is written.
                let kept =
                    at.number().map_or(width, |at| width.min(whole.saturating_sub(at as usize)));
                let Some(e) = self.cut(e, width, kept, 0) else { return Ok(vec![]) };
                let width = kept;
                let target = match width == whole && at == Expr::Number(0) {
                    true => Target::Local(id),
                    false => Target::Part(id, width, at),
                };
                Kind::Assign(target, e)
            }
            Kind::If(test, then, otherwise) => {
                let test = self.sized(&test, 1)?;
                let (then, otherwise) = (self.block(then)?, self.block(otherwise)?);
                match test {
                    Expr::Literal(0, _) => {
                        return Ok(otherwise.into_iter().map(|s| s.kind).collect())
                    }
                    Expr::Literal(..) => return Ok(then.into_iter().map(|s| s.kind).collect()),
                    Expr::Unary(Unary::Not, test) if !otherwise.is_empty() => {
                        Kind::If(*test, otherwise, then)
                    }
                    test => Kind::If(test, then, otherwise),
                }
            }
            Kind::Match(test, arms) => {
                let (test, width) = self.typed(&test, None)?;
                let width = width.ok_or("a match on a number")?;
                let mut all = vec![];
                for (patterns, block) in arms {
                    all.push((self.patterns(&patterns, width)?, self.block(block)?));
                }
                match taken(&test, all.iter().map(|a: &(Vec<Expr>, Block)| a.0.as_slice())) {
                    Some(n) => return Ok(all.remove(n).1.into_iter().map(|s| s.kind).collect()),
                    None => Kind::Match(test, all),
                }
            }
            Kind::For(mut l) => {
                for turn in &mut l.turns {
                    turn.1 = self.block(std::mem::take(&mut turn.1))?;
                }
                Kind::For(l)
            }
        }])
    }

    /// Checks the first value of a local, which gives the local its width.
    fn first(&mut self, id: usize, e: &Expr) -> Result<Expr, String> {
        let (e, width) = self.typed(e, None)?;
        let width = width.ok_or_else(|| {
            format!("`{}` has no width; use lit::<N>(..)", self.tree.locals[id].stem)
        })?;
        self.tree.locals[id].width = width;
        Ok(e)
    }

    fn signal(&self, name: &str) -> Result<usize, String> {
        self.signals
            .get(name)
            .copied()
            .ok_or_else(|| format!("`{name}` is not a signal of this block"))
    }

    fn patterns(&mut self, patterns: &[Expr], width: usize) -> Result<Vec<Expr>, String> {
        patterns
            .iter()
            .map(|p| match p {
                Expr::State(name) => {
                    let (w, _) = self.tree.states[name];
                    match w == width {
                        true => Ok(p.clone()),
                        false => Err(format!("the pattern {name} has {w} bits, the match {width}")),
                    }
                }
                p => literal(p.number().ok_or("unsupported pattern")?, width),
            })
            .collect()
    }

    /// An expression of exactly `width` bits.
    fn sized(&mut self, e: &Expr, width: usize) -> Result<Expr, String> {
        fitted(self.typed(e, Some(width))?, width)
    }

    /// Checks the place of bits in a word: a number, or an expression of any width.
    fn place(&mut self, at: &Expr) -> Result<Expr, String> {
        match self.typed(at, None)? {
            (Expr::Number(v) | Expr::Literal(v, _), _) => Ok(Expr::Number(v)),
            (e, _) => Ok(e),
        }
    }

    /// Checks an expression. Returns it with its width; a number without one yet has none. `want`
    /// is the width of the expression it is used with.
    fn typed(&mut self, e: &Expr, want: Option<usize>) -> Result<(Expr, Option<usize>), String> {
        let (e, width) = match e {
            Expr::Signal(name) => (e.clone(), self.signal(name)?),
            Expr::Local(id) => match &self.tree.locals[*id] {
                l if l.width == 0 => {
                    return Err(format!("`{}` has no width; use lit::<N>(..)", l.stem))
                }
                l => (self.same.get(id).unwrap_or(e).clone(), l.width),
            },
            Expr::Number(_) => return Ok((e.clone(), None)),
            Expr::Literal(v, w) => (literal(*v, *w)?, *w),
            Expr::State(name) => (e.clone(), self.tree.states[name].0),
            Expr::Cast(inner, w) => match self.typed(inner, None)? {
                (Expr::Number(v), None) => (literal(v, *w)?, *w),
                (_, None) => return Err(BARE.to_string()),
                (e, Some(n)) => (self.resized(e, n, *w), *w),
            },
            Expr::Concat(parts) => {
                let mut all = vec![];
                let mut width = 0;
                for part in parts {
                    let (part, w) = self.typed(part, None)?;
                    width += w.ok_or(BARE)?;
                    all.push(part);
                }
                (joined(all), width)
            }
            Expr::Unary(op, a) => {
                let (a, width) = self.typed(a, None)?;
                let Some(width) = width else {
                    return Err(format!("{op:?} of a number without a width"));
                };
                match op {
                    Unary::Neg => {
                        return Err("negation is not supported; subtract from zero".to_string())
                    }
                    Unary::Not => (not(a, width), width),
                    _ if width == 1 => (a, 1),
                    op => (reduced(*op, a, width), 1),
                }
            }
            Expr::Binary(l, op, r) => return self.binary(l, op, r, want),
            Expr::Mux(c, t, f) => {
                let c = self.sized(c, 1)?;
                let (t, tw) = self.typed(t, want)?;
                let (f, fw) = self.typed(f, want)?;
                let Some(width) = tw.or(fw).or(want) else {
                    return Err(BARE.to_string());
                };
                (muxed(c, fitted((t, tw), width)?, fitted((f, fw), width)?), width)
            }
            Expr::Select(test, cases) => {
                let (test, tw) = self.typed(test, None)?;
                let tw = tw.ok_or("a match on a number")?;
                let mut all = vec![];
                let mut width = None;
                for (patterns, value) in cases {
                    let (value, w) = self.typed(value, want)?;
                    width = width.or(w);
                    all.push((self.patterns(patterns, tw)?, value, w));
                }
                let width = width.or(want).ok_or(BARE)?;
                let all: Result<_, String> =
                    all.into_iter().map(|(p, v, w)| Ok((p, fitted((v, w), width)?))).collect();
                let all: Vec<(Vec<Expr>, Expr)> = all?;
                let chosen = taken(&test, all.iter().map(|c| c.0.as_slice()));
                let same = all.iter().all(|c| c.1 == all[0].1);
                match chosen.or(same.then_some(0)) {
                    Some(n) => (all[n].1.clone(), width),
                    None => (Expr::Select(test.boxed(), all), width),
                }
            }
            Expr::Slice(a, w, at) => {
                let (a, n) = self.typed(a, None)?;
                let n = n.ok_or("a select from a number")?;
                (self.sliced(a, n, *w, at)?, *w)
            }
            Expr::Replace(a, w, at, value) => {
                let (a, n) = self.typed(a, None)?;
                let n = n.ok_or("a slice of a number replaced")?;
                inside(at, *w, n)?;
                let at = self.place(at)?;
                let value = self.sized(value, *w)?;
                match at {
                    Expr::Number(at) => {
                        let at = (at as usize).min(n);
                        let kept = (*w).min(n - at);
                        let top = self.cut(a.clone(), n, n - at - kept, at + kept);
                        let (value, low) = (self.cut(value, *w, kept, 0), self.cut(a, n, at, 0));
                        (joined([top, value, low].into_iter().flatten().collect()), n)
                    }
                    at => (Expr::Replace(a.boxed(), *w, at.boxed(), value.boxed()), n),
                }
            }
            Expr::Call(f, args) => return self.call(*f, args),
            Expr::Index(..) => return Err("a loop's index before there are loops".to_string()),
        };
        Ok((e, Some(width)))
    }

    fn call(&mut self, f: usize, args: &[Expr]) -> Result<(Expr, Option<usize>), String> {
        let params = self.tree.functions[f].params.clone();
        let mut all = vec![];
        for (param, arg) in params.iter().zip(args) {
            let arg = match self.tree.locals[*param].width {
                0 => self.first(*param, arg)?,
                width => self.sized(arg, width)?,
            };
            all.push(arg);
        }
        if self.tree.functions[f].width == 0 {
            let body = std::mem::take(&mut self.tree.functions[f].body);
            let body = self.block(body)?;
            let value = self.tree.functions[f].value.clone();
            let (value, width) = self.typed(&value, None)?;
            let function = &mut self.tree.functions[f];
            function.width = width.ok_or(BARE)?;
            (function.body, function.value) = (body, value);
        }
        Ok((Expr::Call(f, all), Some(self.tree.functions[f].width)))
    }

    fn binary(
        &mut self,
        l: &Expr,
        op: &Op,
        r: &Expr,
        want: Option<usize>,
    ) -> Result<(Expr, Option<usize>), String> {
        match op {
            Op::Mul => return Err("multiplication is not supported".to_string()),
            Op::Shl | Op::Shr => {
                let (l, width) = self.typed(l, want)?;
                let w = width.or(want).ok_or(BARE)?;
                let (l, width) = (fitted((l, width), w)?, w);
                let by = self.place(r)?;
                if by.number().is_some_and(|by| by >= width as u128) {
                    return Ok((Expr::Literal(0, width), Some(width)));
                }
                return Ok((Expr::Binary(l.boxed(), *op, by.boxed()), Some(width)));
            }
            Op::LogicalAnd | Op::LogicalOr => {
                let (l, r) = (self.sized(l, 1)?, self.sized(r, 1)?);
                return Ok((both(l, *op, r, 1), Some(1)));
            }
            _ => {}
        }
        let compares = matches!(op, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge);
        let want = want.filter(|_| !compares);
        let ((l, wl), (r, wr)) = (self.typed(l, want)?, self.typed(r, want)?);
        let width = match (wl, wr) {
            (Some(a), Some(b)) if a != b => {
                return Err(format!("operands of {op:?} are {a} and {b} bits wide"))
            }
            (a, b) => a.or(b).ok_or(BARE)?,
        };
        let (l, r) = (fitted((l, wl), width)?, fitted((r, wr), width)?);
        let e = both(l, *op, r, width);
        Ok((e, Some(if compares { 1 } else { width })))
    }

    fn resized(&self, e: Expr, from: usize, to: usize) -> Expr {
        match e {
            Expr::Literal(v, _) if from < to => Expr::Literal(v, to),
            e if from < to => joined(vec![Expr::Literal(0, to - from), e]),
            e => self.cut(e, from, to, 0).unwrap_or(Expr::Literal(0, to)),
        }
    }

    fn sliced(&mut self, a: Expr, n: usize, w: usize, at: &Expr) -> Result<Expr, String> {
        let at = match self.place(at)? {
            Expr::Number(at) => at as usize,
            at => return Ok(Expr::Slice(a.boxed(), w, at.boxed())),
        };
        if at >= n {
            return Ok(Expr::Literal(0, w));
        }
        let part = self.cut(a, n, w.min(n - at), at);
        let above = (at + w).saturating_sub(n);
        let above = (above > 0).then_some(Expr::Literal(0, above));
        Ok(joined(above.into_iter().chain(part).collect()))
    }

    /// `w` of the `n` bits of `e`, from `at` on; none if `w` is 0.
    fn cut(&self, e: Expr, n: usize, w: usize, at: usize) -> Option<Expr> {
        if w == 0 {
            return None;
        }
        if w == n {
            return Some(e);
        }
        let part = |e: Expr, w: usize, at: usize| self.cut(e, n, w, at);
        Some(match e {
            Expr::Literal(v, _) => {
                let v = if at < 128 { v >> at } else { 0 };
                Expr::Literal(ones(w).map_or(v, |m| v & m), w)
            }
            Expr::Concat(parts) => {
                let mut low = n;
                let mut all = vec![];
                for p in parts {
                    let pw = self.width(&p);
                    low -= pw;
                    let (from, to) = (at.max(low), (at + w).min(low + pw));
                    if from < to {
                        all.extend(self.cut(p, pw, to - from, from - low));
                    }
                }
                joined(all)
            }
            Expr::Slice(a, _, from) if from.number().is_some() => {
                let from = from.number().unwrap_or(0) as usize;
                let n = self.width(&a);
                return self.cut(*a, n, w, at + from);
            }
            Expr::Slice(a, _, from) if at == 0 => Expr::Slice(a, w, from),
            Expr::Unary(Unary::Not, a) => not(part(*a, w, at)?, w),
            Expr::Mux(c, t, f) => muxed(*c, part(*t, w, at)?, part(*f, w, at)?),
            Expr::Binary(l, op @ (Op::BitAnd | Op::BitOr | Op::BitXor), r) => {
                both(part(*l, w, at)?, op, part(*r, w, at)?, w)
            }
            Expr::Binary(l, op @ (Op::Add | Op::Sub), r) if at == 0 => {
                both(part(*l, w, 0)?, op, part(*r, w, 0)?, w)
            }
            Expr::Binary(l, Op::Shr, by) if by.number().is_some() => {
                let at = at + by.number().unwrap_or(0) as usize;
                if at >= n {
                    return Some(Expr::Literal(0, w));
                }
                let inside = w.min(n - at);
                let low = part(*l, inside, at);
                let above = (w > inside).then(|| Expr::Literal(0, w - inside));
                joined(above.into_iter().chain(low).collect())
            }
            Expr::Binary(l, Op::Shl, by) if by.number().is_some() => {
                let by = by.number().unwrap_or(0) as usize;
                let zeros = by.saturating_sub(at).min(w);
                let top = part(*l, w - zeros, (at + zeros).saturating_sub(by));
                let low = (zeros > 0).then_some(Expr::Literal(0, zeros));
                joined(top.into_iter().chain(low).collect())
            }
            e => Expr::Slice(e.boxed(), w, Expr::Number(at as u128).boxed()),
        })
    }

    /// The width of an expression that is checked.
    fn width(&self, e: &Expr) -> usize {
        width_of(e, self.tree, self.signals)
    }
}

/// The width of an expression that is checked.
pub fn width_of(e: &Expr, tree: &Tree, signals: &BTreeMap<String, usize>) -> usize {
    let width = |e: &Expr| width_of(e, tree, signals);
    match e {
        Expr::Signal(name) => signals.get(name).copied().unwrap_or(0),
        Expr::Local(id) => tree.locals[*id].width,
        Expr::Number(_) => 0,
        Expr::Literal(_, w) | Expr::Cast(_, w) | Expr::Slice(_, w, _) => *w,
        Expr::State(name) => tree.states.get(name).map_or(0, |s| s.0),
        Expr::Concat(parts) => parts.iter().map(width).sum(),
        Expr::Unary(Unary::Not | Unary::Neg, a) | Expr::Replace(a, ..) => width(a),
        Expr::Unary(..) => 1,
        Expr::Binary(l, op, _) => match op {
            Op::Add | Op::Sub | Op::Mul | Op::BitAnd | Op::BitOr | Op::BitXor => width(l),
            Op::Shl | Op::Shr => width(l),
            _ => 1,
        },
        Expr::Mux(_, t, _) => width(t),
        Expr::Select(_, cases) => cases.first().map_or(0, |c| width(&c.1)),
        Expr::Call(f, _) => tree.functions[*f].width,
        Expr::Index(_, w) => w.unwrap_or(32),
    }
}

/// The arm of a `match` that a constant selects.
fn taken<'a>(test: &Expr, arms: impl Iterator<Item = &'a [Expr]>) -> Option<usize> {
    let Expr::Literal(..) = test else { return None };
    let mut arms = arms;
    arms.position(|patterns| patterns.is_empty() || patterns.contains(test))
}

/// Refuses bits beyond the top, if the kernel gives their place as a number.
fn inside(at: &Expr, w: usize, whole: usize) -> Result<(), String> {
    match *at {
        Expr::Number(at) if at as usize + w > whole => {
            Err(format!("bits {}:{at} of {whole} are replaced", at as usize + w - 1))
        }
        _ => Ok(()),
    }
}

/// The concatenation of parts, the first on top; adjacent slices of one value are joined.
pub fn joined(parts: Vec<Expr>) -> Expr {
    let mut all: Vec<Expr> = vec![];
    for part in parts {
        let inner = match part {
            Expr::Concat(inner) => inner,
            other => vec![other],
        };
        for part in inner {
            match (all.last_mut(), &part) {
                (Some(Expr::Literal(hi, a)), Expr::Literal(lo, b)) if *a + *b <= 128 => {
                    (*hi, *a) = (*hi << b | lo, *a + b);
                }
                (Some(Expr::Literal(0, a)), Expr::Literal(0, b)) => *a += b,
                (Some(Expr::Slice(x, a, i)), Expr::Slice(y, b, j))
                    if x == y
                        && matches!((i.number(), j.number()),
                            (Some(i), Some(j)) if j + *b as u128 == i) =>
                {
                    (*a, *i) = (*a + b, j.clone());
                }
                _ => all.push(part),
            }
        }
    }
    match all.len() {
        1 => all.remove(0),
        _ => Expr::Concat(all),
    }
}

/// Folds an operation on numbers.
pub fn fold(e: &mut Expr) {
    let width = |e: &Expr| match e {
        Expr::Literal(_, w) => Some(*w),
        _ => None,
    };
    let new = match &*e {
        Expr::Unary(Unary::Not, a) => width(a).map(|w| not((**a).clone(), w)),
        Expr::Unary(op, a) => width(a).map(|w| reduced(*op, (**a).clone(), w)),
        Expr::Binary(l, op, r) => width(l)
            .filter(|_| width(r).is_some())
            .map(|w| both((**l).clone(), *op, (**r).clone(), w)),
        Expr::Mux(c, t, f) => width(c).map(|_| muxed((**c).clone(), (**t).clone(), (**f).clone())),
        Expr::Concat(parts) => Some(joined(parts.clone())),
        Expr::Slice(a, w, at) => match (&**a, at.number()) {
            (Expr::Literal(v, _), Some(at)) if at < 128 => {
                ones(*w).map(|mask| Expr::Literal(v >> at & mask, *w))
            }
            _ => None,
        },
        _ => None,
    };
    if let Some(new) = new {
        *e = new;
    }
}

pub fn not(a: Expr, width: usize) -> Expr {
    match a {
        Expr::Literal(v, w) if w <= 128 => Expr::Literal(!v & ones(w).unwrap_or(0), w),
        Expr::Unary(Unary::Not, a) => *a,
        Expr::Binary(l, Op::Eq, r) if width == 1 => Expr::Binary(l, Op::Ne, r),
        Expr::Binary(l, Op::Ne, r) if width == 1 => Expr::Binary(l, Op::Eq, r),
        a => Expr::Unary(Unary::Not, a.boxed()),
    }
}

fn reduced(op: Unary, a: Expr, width: usize) -> Expr {
    let all = ones(width);
    match (op, &a) {
        (Unary::Any, Expr::Literal(v, _)) => Expr::Literal(u128::from(*v != 0), 1),
        (Unary::All, Expr::Literal(v, _)) => Expr::Literal(u128::from(Some(*v) == all), 1),
        (Unary::Xor, Expr::Literal(v, _)) => Expr::Literal(u128::from(v.count_ones() % 2 == 1), 1),
        _ => Expr::Unary(op, a.boxed()),
    }
}

fn muxed(c: Expr, t: Expr, f: Expr) -> Expr {
    match (&c, &t, &f) {
        (Expr::Literal(0, _), ..) => f,
        (Expr::Literal(..), ..) => t,
        (_, Expr::Literal(1, 1), Expr::Literal(0, 1)) => c,
        (_, Expr::Literal(0, 1), Expr::Literal(1, 1)) => not(c, 1),
        (_, t2, f2) if t2 == f2 => t,
        _ => Expr::Mux(c.boxed(), t.boxed(), f.boxed()),
    }
}

/// An operation on two expressions of `width` bits.
fn both(l: Expr, op: Op, r: Expr, width: usize) -> Expr {
    use Expr::Literal as Lit;
    let flag = |b: bool| Lit(u128::from(b), 1);
    let all = ones(width);
    if let (Lit(a, _), Lit(b, _), Some(all)) = (&l, &r, all) {
        let (a, b) = (*a, *b);
        match op {
            Op::Add => return Lit(a.wrapping_add(b) & all, width),
            Op::Sub => return Lit(a.wrapping_sub(b) & all, width),
            Op::BitAnd => return Lit(a & b, width),
            Op::BitOr => return Lit(a | b, width),
            Op::BitXor => return Lit(a ^ b, width),
            Op::Eq => return flag(a == b),
            Op::Ne => return flag(a != b),
            Op::Lt => return flag(a < b),
            Op::Le => return flag(a <= b),
            Op::Gt => return flag(a > b),
            Op::Ge => return flag(a >= b),
            Op::LogicalAnd => return flag(a != 0 && b != 0),
            Op::LogicalOr => return flag(a != 0 || b != 0),
            Op::Shl | Op::Shr | Op::Mul => {}
        }
    }
    for (known, other) in [(&l, &r), (&r, &l)] {
        let Lit(v, _) = known else { continue };
        let (zero, full) = (*v == 0, Some(*v) == all);
        match op {
            Op::BitAnd | Op::LogicalAnd if zero => return known.clone(),
            Op::BitAnd | Op::LogicalAnd if full => return other.clone(),
            Op::BitOr | Op::LogicalOr | Op::BitXor | Op::Add if zero => return other.clone(),
            Op::BitOr | Op::LogicalOr if full => return known.clone(),
            Op::Eq if width == 1 && full => return other.clone(),
            Op::Eq if width == 1 => return not(other.clone(), 1),
            Op::Ne if width == 1 && full => return not(other.clone(), 1),
            Op::Ne if width == 1 => return other.clone(),
            _ => {}
        }
    }
    Expr::Binary(l.boxed(), op, r.boxed())
}
