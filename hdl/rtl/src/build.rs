//! Builds the tree of a kernel: the code that `#[kernel]` generates calls these functions.

use crate::record::{Field, Record};
use crate::shape::Shape;
use crate::tree::{Block, Comment, Function, Kind, Local, Loop, Stmt, Target, Tree};
pub use crate::tree::{Expr, Op, Unary};
use crate::types::{fitting, LiteralValue};
use rust_hdl_core::ast::{Verilog, VerilogLink, VerilogLinkDetails};
use rust_hdl_core::prelude::Synth;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// Marks of the lines that carry the name and the doc of a leaf's type.
pub(crate) const TYPE_MARK: &str = "nitor:type ";
pub(crate) const DOC_MARK: &str = "nitor:doc ";
/// Begins a `Verilog::Custom` that stands for a tree, whose number follows.
pub(crate) const TREE_MARK: &str = "//nitor:tree ";

thread_local! {
    static TREES: RefCell<(usize, HashMap<usize, Tree>)> = RefCell::default();
}

/// Takes the tree that a kernel's `hdl` has left under this number.
pub(crate) fn take(mark: &str) -> Option<Tree> {
    let number = mark.parse().ok()?;
    TREES.with_borrow_mut(|trees| trees.1.remove(&number))
}

/// A number that takes its width from the expression it is used with.
pub fn number(value: u128) -> Expr {
    Expr::Number(value)
}

pub fn bit(value: bool) -> Expr {
    Expr::Literal(u128::from(value), 1)
}

pub fn binary(l: Expr, op: Op, r: Expr) -> Expr {
    Expr::Binary(l.boxed(), op, r.boxed())
}

pub fn unary(op: Unary, a: Expr) -> Expr {
    Expr::Unary(op, a.boxed())
}

pub fn cast(a: Expr, width: usize) -> Expr {
    Expr::Cast(a.boxed(), width)
}

pub fn mux(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Mux(condition.boxed(), then.boxed(), otherwise.boxed())
}

pub fn select(test: Expr, cases: Vec<(Vec<Expr>, Expr)>) -> Expr {
    Expr::Select(test.boxed(), cases)
}

pub fn slice(a: Expr, width: usize, at: Expr) -> Expr {
    Expr::Slice(a.boxed(), width, at.boxed())
}

pub fn replace(a: Expr, width: usize, at: Expr, value: Expr) -> Expr {
    Expr::Replace(a.boxed(), width, at.boxed(), value.boxed())
}

/// `{hi, lo}`.
pub fn concat(hi: Expr, a: usize, lo: Expr, b: usize, width: usize) -> Expr {
    assert_eq!(a + b, width, "cat::<{a}, {b}, {width}>: the widths do not add up");
    Expr::Concat(vec![cast(hi, a), cast(lo, b)])
}

/// A value of the type of an expression, which is never evaluated.
pub fn witness<T: Default>(_: impl FnOnce() -> T) -> T {
    T::default()
}

/// The field of a record.
pub fn field(record: Expr, field: Field) -> Expr {
    let piece = |&(at, width): &(usize, usize)| slice(record.clone(), width, number(at as u128));
    match field.places.as_slice() {
        [place] => piece(place),
        places => Expr::Concat(places.iter().rev().map(piece).collect()),
    }
}

/// A record with one field replaced, which may be in an inner record: `way` leads to it from the
/// outermost record inwards.
pub fn with_field(record: Expr, way: &[Field], value: Expr) -> Expr {
    let Some((last, outer)) = way.split_last() else { return value };
    let whole = |f: &Field| {
        assert_eq!(
            f.places.len(),
            1,
            "`{}` is in pieces: its own fields cannot be assigned",
            f.name
        );
        f.places[0].0
    };
    let base: usize = outer.iter().map(whole).sum();
    let mut all = record;
    let mut from = 0;
    for &(at, width) in &last.places {
        let piece = match last.places.len() {
            1 => value.clone(),
            _ => slice(value.clone(), width, number(from)),
        };
        all = replace(all, width, number((base + at) as u128), piece);
        from += width as u128;
    }
    all
}

/// A record with these fields; the other fields are as in `rest`.
pub fn record<T: Record>(_: &T, fields: Vec<(&str, Expr)>, rest: Option<Expr>) -> Expr {
    let value = |f: &Field| {
        let given = fields.iter().find(|given| given.0 == f.name);
        let given = given.map(|given| cast(given.1.clone(), f.width));
        // Rust has checked that no field is missing.
        given.or(rest.as_ref().map(|rest| field(rest.clone(), f.clone())))
    };
    assembled::<T>(value)
}

/// A record made from bits. Bits of no field are 0.
pub fn from_bits<T: Record>(_: &T, bits: Expr) -> Expr {
    let fields: usize = T::fields().iter().map(|f| f.width).sum();
    match fields == T::BITS {
        true => cast(bits, T::BITS),
        false => assembled::<T>(|f| Some(field(bits.clone(), f.clone()))),
    }
}

fn assembled<T: Record>(value: impl Fn(&Field) -> Option<Expr>) -> Expr {
    let mut pieces = vec![];
    for f in T::fields() {
        let Some(value) = value(&f) else { continue };
        let mut from = 0;
        for &(at, width) in &f.places {
            let piece = match f.places.len() {
                1 => value.clone(),
                _ => slice(value.clone(), width, number(from)),
            };
            pieces.push((at, width, piece));
            from += width as u128;
        }
    }
    pieces.sort_by_key(|p| p.0);
    let (mut parts, mut end) = (vec![], 0);
    for (at, width, piece) in pieces {
        if at > end {
            parts.push(Expr::Literal(0, at - end));
        }
        parts.push(piece);
        end = at + width;
    }
    if T::BITS > end {
        parts.push(Expr::Literal(0, T::BITS - end));
    }
    parts.reverse();
    Expr::Concat(parts)
}

/// The payload signals of an end of a stream, as one value.
pub fn payload<T: Record>(_: &T, end: &str) -> Expr {
    let signal = |f: &Field| cast(Expr::Signal(format!("{end}${}", f.name)), f.width);
    Expr::Concat(T::fields().iter().rev().map(signal).collect())
}

/// Bits of a value. If the value is a concatenation with a part of exactly these bits, that part.
fn part(value: &Expr, at: usize, width: usize) -> Expr {
    if let Expr::Concat(parts) = value {
        let mut from = 0;
        for part in parts.iter().rev() {
            let (Expr::Cast(_, bits) | Expr::Slice(_, bits, _) | Expr::Literal(_, bits)) = part
            else {
                break;
            };
            if (from, *bits) == (at, width) {
                return part.clone();
            }
            from += bits;
        }
    }
    slice(value.clone(), width, number(at as u128))
}

/// The name of a function with its generic arguments.
pub fn name_of<T>(_: T) -> &'static str {
    std::any::type_name::<T>()
}

/// The tree under construction.
pub struct Kernel {
    tree: Tree,
    /// The blocks that are open, the innermost last.
    blocks: Vec<Block>,
    arms: Vec<Vec<(Vec<Expr>, Block)>>,
    loops: Vec<Loop>,
    functions: BTreeMap<&'static str, usize>,
    place: String,
    comment: Vec<Comment>,
}

impl Kernel {
    pub fn new(type_name: &str, doc: &str) -> Self {
        Self {
            tree: Tree {
                type_name: type_name.to_string(),
                doc: doc.lines().map(str::to_string).collect(),
                ..Tree::default()
            },
            blocks: vec![vec![]],
            arms: vec![],
            loops: vec![],
            functions: BTreeMap::new(),
            place: String::new(),
            comment: vec![],
        }
    }

    pub fn finish(mut self) -> Verilog {
        self.tree.body = self.block();
        let number = TREES.with_borrow_mut(|trees| {
            trees.0 += 1;
            trees.1.insert(trees.0, self.tree);
            trees.0
        });
        Verilog::Custom(format!("{TREE_MARK}{number}"))
    }

    pub fn me(&mut self) -> &mut Self {
        self
    }

    fn fault(&mut self, fault: String) {
        self.tree.fault.get_or_insert(fault);
    }

    fn local(&mut self, stem: &str, mutable: bool) -> usize {
        let stem = stem.trim_start_matches('_').to_string();
        let place = self.place.clone();
        self.tree.locals.push(Local { stem, mutable, width: 0, shape: None, place });
        self.tree.locals.len() - 1
    }

    /// Sets the type of a local, as Rust has it.
    pub fn typed<T: Synth>(&mut self, local: &Expr, _: &T) {
        if let Expr::Local(id) = *local {
            self.tree.locals[id].shape = Shape::of(&T::descriptor());
        }
    }

    fn push(&mut self, kind: Kind) {
        let mut stmt = Stmt::new(kind, &self.place);
        stmt.comment = std::mem::take(&mut self.comment);
        if let Some(block) = self.blocks.last_mut() {
            block.push(stmt);
        }
    }

    fn block(&mut self) -> Block {
        self.blocks.pop().unwrap_or_default()
    }

    /// Sets the line of the source that the next statements come from.
    pub fn at(&mut self, file: &str, line: u32) {
        self.place = format!("{file}:{line}");
    }

    /// Sets the comment that the source has above the next statement.
    pub fn comment(&mut self, lines: &[&str]) {
        let comment = |l: &&str| Comment { text: l.to_string(), place: self.place.clone() };
        self.comment.extend(lines.iter().map(comment));
    }

    /// A number of `width` bits, written at `at`. If it does not fit, the emitter refuses the
    /// block, as the simulator does.
    pub fn lit(&mut self, value: impl LiteralValue, width: usize, at: &str) -> Expr {
        let value = value.value().and_then(|value| fitting(value, width)).unwrap_or_else(|fault| {
            self.fault(format!("{at}: {fault}"));
            0
        });
        Expr::Literal(value, width)
    }

    /// Adds a `let`.
    pub fn bind(&mut self, name: &str, value: Expr) -> Expr {
        let id = self.local(name, false);
        self.push(Kind::Let(id, value));
        Expr::Local(id)
    }

    /// Adds a `let mut`.
    pub fn variable(&mut self, name: &str, value: Expr) -> Expr {
        let id = self.local(name, true);
        self.push(Kind::Assign(Target::Local(id), value));
        Expr::Local(id)
    }

    /// Assigns a `let mut`. Replaced bits are written in place.
    pub fn set(&mut self, variable: &Expr, value: Expr) {
        let Expr::Local(id) = *variable else { return };
        let mut parts = vec![];
        let mut rest = value;
        loop {
            match rest {
                Expr::Replace(base, width, at, value) if !at.reads(id) && !value.reads(id) => {
                    parts.push((width, *at, *value));
                    rest = *base;
                }
                // The innermost replacement may read the bits that it replaces.
                Expr::Replace(base, width, at, value) if *base == Expr::Local(id) => {
                    parts.push((width, *at, *value));
                    rest = *base;
                    break;
                }
                other => {
                    rest = other;
                    break;
                }
            }
        }
        if rest != Expr::Local(id) {
            self.push(Kind::Assign(Target::Local(id), rest));
        }
        for (width, at, value) in parts.into_iter().rev() {
            self.push(Kind::Assign(Target::Part(id, width, at), value));
        }
    }

    /// A state of an enumeration, by name.
    pub fn state<T: Synth>(&mut self, state: T, name: &str) -> Expr {
        let value = state.verilog().as_usize() as u128;
        self.tree.states.insert(name.to_string(), (T::BITS, value));
        Expr::State(name.to_string())
    }

    pub fn assign(&mut self, signal: String, value: Expr) {
        self.push(Kind::Assign(Target::Signal(signal), value));
    }

    /// Drives the signals of an end of a stream.
    pub fn put<T: Record>(&mut self, _: &T, end: &str, payload: Expr) {
        let payload = match payload {
            value @ (Expr::Concat(_) | Expr::Local(_) | Expr::Signal(_)) => value,
            value => self.bind(end.rsplit('$').next().unwrap_or(end), value),
        };
        for f in T::fields() {
            let (at, width) = f.places[0];
            self.assign(format!("{end}${}", f.name), part(&payload, at, width));
        }
    }

    pub fn wire(&mut self, to: String, from: String) {
        self.assign(to, Expr::Signal(from));
    }

    /// Drives a signal low.
    pub fn unset(&mut self, to: String) {
        self.assign(to, bit(false));
    }

    pub fn link(&mut self, links: Vec<VerilogLink>) {
        let full = |owner: &str, my: &str| format!("{owner}{}", my.replace('.', "$"));
        let ends = |d: &VerilogLinkDetails| {
            (full(&d.owner_name, &d.my_name), full(&d.other_name, &d.my_name))
        };
        for link in &links {
            let (to, from) = match link {
                VerilogLink::Forward(d) => {
                    let (mine, other) = ends(d);
                    (other, mine)
                }
                VerilogLink::Backward(d) | VerilogLink::Bidirectional(d) => ends(d),
            };
            self.wire(to, from);
        }
    }

    pub fn begin(&mut self) {
        self.blocks.push(vec![]);
    }

    pub fn end_if(&mut self, test: Expr) {
        let otherwise = self.block();
        let then = self.block();
        if !then.is_empty() || !otherwise.is_empty() {
            self.push(Kind::If(test, then, otherwise));
        }
    }

    pub fn begin_match(&mut self) {
        self.arms.push(vec![]);
    }

    pub fn end_arm(&mut self, patterns: Vec<Expr>) {
        let block = self.block();
        if let Some(arms) = self.arms.last_mut() {
            arms.push((patterns, block));
        }
    }

    pub fn end_match(&mut self, test: Expr) {
        let arms = self.arms.pop().unwrap_or_default();
        if arms.iter().any(|a| !a.1.is_empty()) {
            self.push(Kind::Match(test, arms));
        }
    }

    pub fn begin_loop(&mut self, index: &str) {
        let index = index.trim_start_matches('_').to_string();
        self.loops.push(Loop { index, turns: vec![], rolled: None });
    }

    pub fn end_turn(&mut self, index: i128) {
        let block = self.block();
        if let Some(l) = self.loops.last_mut() {
            l.turns.push((index, block));
        }
    }

    pub fn end_loop(&mut self) {
        if let Some(l) = self.loops.pop() {
            if l.turns.iter().any(|t| !t.1.is_empty()) {
                self.push(Kind::For(l));
            }
        }
    }

    /// A call of the helper whose name and generic arguments `key` is. A helper that is a single
    /// expression is inlined.
    pub fn call(
        &mut self,
        key: &'static str,
        (name, doc): (&str, &str),
        args: Vec<(&str, Expr)>,
        body: impl FnOnce(&mut Self, &[Expr]) -> Expr,
    ) -> Expr {
        let (names, args): (Vec<&str>, Vec<Expr>) = args.into_iter().unzip();
        let id = match self.functions.get(key) {
            Some(&id) => id,
            None => {
                let place = self.place.clone();
                let comment = std::mem::take(&mut self.comment);
                let params: Vec<usize> = names.iter().map(|n| self.local(n, false)).collect();
                self.begin();
                let locals: Vec<Expr> = params.iter().map(|&id| Expr::Local(id)).collect();
                let value = body(self, &locals);
                let body = self.block();
                let doc = doc.lines().map(str::to_string).collect();
                let (name, last) = (name.to_string(), self.place.clone());
                let function = Function { name, doc, params, body, value, width: 0, place: last };
                self.tree.functions.push(function);
                (self.place, self.comment) = (place, comment);
                let id = self.tree.functions.len() - 1;
                self.functions.insert(key, id);
                id
            }
        };
        inlined(&self.tree.functions[id], &args).unwrap_or(Expr::Call(id, args))
    }
}

/// The value of a function with arguments in place of parameters, if that repeats no expression.
fn inlined(function: &Function, args: &[Expr]) -> Option<Expr> {
    if !function.body.is_empty() {
        return None;
    }
    let mut value = function.value.clone();
    let used = value.locals();
    for (param, arg) in function.params.iter().zip(args) {
        let times = used.iter().filter(|id| *id == param).count();
        let name = matches!(arg, Expr::Local(_) | Expr::Signal(_) | Expr::Literal(..));
        if times > 1 && !name {
            return None;
        }
    }
    value.rewrite(&mut |e| {
        if let Expr::Local(id) = e {
            if let Some(n) = function.params.iter().position(|p| p == id) {
                *e = args[n].clone();
            }
        }
    });
    Some(value)
}
