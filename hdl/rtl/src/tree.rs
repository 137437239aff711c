//! The tree of a kernel, which `#[kernel]` builds and the passes of the emitter rewrite.
//!
//! Statements are in the order of the source and mean what they mean in Rust: a variable read is
//! its value at that point. A signal read is its settled value, and of several assignments the last
//! one counts.

use crate::shape::Shape;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Add,
    Sub,
    Mul,
    LogicalAnd,
    LogicalOr,
    BitXor,
    BitAnd,
    BitOr,
    Shl,
    Shr,
    Eq,
    Lt,
    Le,
    Ne,
    Ge,
    Gt,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    Not,
    Neg,
    All,
    Any,
    Xor,
}

/// A local of a kernel or of one of its functions.
pub type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Signal(String),
    Local(Id),
    /// A number that takes its width from the expression it is used with.
    Number(u128),
    Literal(u128, usize),
    /// A state of an enumeration, by its name.
    State(String),
    /// Zero-extends or cuts.
    Cast(Box<Expr>, usize),
    /// A concatenation, the first part on top.
    Concat(Vec<Expr>),
    Unary(Unary, Box<Expr>),
    Binary(Box<Expr>, Op, Box<Expr>),
    Mux(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A `match` as a value; no pattern is `_`.
    Select(Box<Expr>, Vec<(Vec<Expr>, Expr)>),
    /// So many bits from a place on; bits beyond the top read as 0.
    Slice(Box<Expr>, usize, Box<Expr>),
    /// The first expression with so many bits from a place on replaced.
    Replace(Box<Expr>, usize, Box<Expr>, Box<Expr>),
    Call(Id, Vec<Expr>),
    /// In a loop that was rolled up: a number that is linear in the indices of the loops around it.
    Index(Affine, Option<usize>),
}

/// `base` plus, for each loop by its depth, `step` times its index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Affine {
    pub base: i128,
    pub steps: BTreeMap<usize, i128>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Signal(String),
    Local(Id),
    /// So many bits of a variable, in place.
    Part(Id, usize, Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A `let`: assigned here and nowhere else.
    Let(Id, Expr),
    /// Also the first value of a `let mut`.
    Assign(Target, Expr),
    If(Expr, Block, Block),
    /// No pattern is `_`.
    Match(Expr, Vec<(Vec<Expr>, Block)>),
    For(Loop),
}

/// A loop: turn by turn, as Rust has run it; or rolled up, with one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    pub index: String,
    pub turns: Vec<(i128, Block)>,
    /// In a loop that was rolled up: its depth, and the index behind the last.
    pub rolled: Option<(usize, i128)>,
}

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: Kind,
    /// `file:line`.
    pub place: String,
    /// The source's comment above it.
    pub comment: Vec<Comment>,
}

/// A line of a comment, and the place of the statement before it, which the turns of a loop have in
/// common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comment {
    pub text: String,
    pub place: String,
}

impl Comment {
    /// Whether the comment opens a part of the kernel.
    pub fn is_heading(&self) -> bool {
        self.text.starts_with("---")
    }
}

impl PartialEq for Stmt {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

pub type Block = Vec<Stmt>;

#[derive(Clone, Debug)]
pub struct Local {
    pub stem: String,
    pub mutable: bool,
    /// The width, which is known once the tree is checked.
    pub width: usize,
    /// The shape, if the local is a record.
    pub shape: Option<Rc<Shape>>,
    pub place: String,
}

/// A `#[kernel] fn` with certain generic arguments.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub doc: Vec<String>,
    pub params: Vec<Id>,
    pub body: Block,
    pub value: Expr,
    pub width: usize,
    /// The place of the value in the source.
    pub place: String,
}

#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub type_name: String,
    pub doc: Vec<String>,
    pub body: Block,
    pub locals: Vec<Local>,
    pub functions: Vec<Function>,
    /// Width and value of each state that is named.
    pub states: BTreeMap<String, (usize, u128)>,
    /// The first thing that cannot be emitted.
    pub fault: Option<String>,
}

impl Expr {
    pub fn boxed(self) -> Box<Expr> {
        Box::new(self)
    }

    /// A number, whatever its width.
    pub fn number(&self) -> Option<u128> {
        match self {
            Expr::Number(v) | Expr::Literal(v, _) => Some(*v),
            _ => None,
        }
    }

    /// The parts of the expression.
    pub fn parts(&self) -> Vec<&Expr> {
        match self {
            Expr::Signal(_)
            | Expr::Local(_)
            | Expr::Number(_)
            | Expr::Literal(..)
            | Expr::State(_)
            | Expr::Index(..) => vec![],
            Expr::Cast(a, _) | Expr::Unary(_, a) => vec![a],
            Expr::Binary(a, _, b) | Expr::Slice(a, _, b) => vec![a, b],
            Expr::Mux(a, b, c) | Expr::Replace(a, _, b, c) => vec![a, b, c],
            Expr::Concat(all) | Expr::Call(_, all) => all.iter().collect(),
            Expr::Select(test, cases) => {
                let cases = cases.iter().flat_map(|(p, v)| p.iter().chain([v]));
                [&**test].into_iter().chain(cases).collect()
            }
        }
    }

    pub fn parts_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Signal(_)
            | Expr::Local(_)
            | Expr::Number(_)
            | Expr::Literal(..)
            | Expr::State(_)
            | Expr::Index(..) => vec![],
            Expr::Cast(a, _) | Expr::Unary(_, a) => vec![a],
            Expr::Binary(a, _, b) | Expr::Slice(a, _, b) => vec![a, b],
            Expr::Mux(a, b, c) | Expr::Replace(a, _, b, c) => vec![a, b, c],
            Expr::Concat(all) | Expr::Call(_, all) => all.iter_mut().collect(),
            Expr::Select(test, cases) => {
                let cases = cases.iter_mut().flat_map(|(p, v)| p.iter_mut().chain([v]));
                [&mut **test].into_iter().chain(cases).collect()
            }
        }
    }

    /// Calls `see` with the expression and all below it.
    pub fn walk<'a>(&'a self, see: &mut impl FnMut(&'a Expr)) {
        see(self);
        self.parts().into_iter().for_each(|part| part.walk(see));
    }

    /// Rewrites all below the expression, then the expression itself.
    pub fn rewrite(&mut self, change: &mut impl FnMut(&mut Expr)) {
        self.parts_mut().into_iter().for_each(|part| part.rewrite(change));
        change(self);
    }

    pub fn locals(&self) -> Vec<Id> {
        let mut ids = vec![];
        self.walk(&mut |e| {
            if let Expr::Local(id) = e {
                ids.push(*id);
            }
        });
        ids
    }

    pub fn reads(&self, id: Id) -> bool {
        self.locals().contains(&id)
    }

    /// The number of nodes in the expression.
    pub fn size(&self) -> usize {
        1 + self.parts().into_iter().map(Expr::size).sum::<usize>()
    }
}

impl Stmt {
    pub fn new(kind: Kind, place: &str) -> Self {
        Self { kind, place: place.to_string(), comment: vec![] }
    }

    /// The expressions of the statement itself, not of those in its blocks.
    pub fn own(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Let(_, e) | Kind::If(e, ..) | Kind::Match(e, _) => vec![e],
            Kind::Assign(Target::Part(_, _, at), e) => vec![at, e],
            Kind::Assign(_, e) => vec![e],
            Kind::For(_) => vec![],
        }
    }

    pub fn own_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            Kind::Let(_, e) | Kind::If(e, ..) | Kind::Match(e, _) => vec![e],
            Kind::Assign(Target::Part(_, _, at), e) => vec![at, e],
            Kind::Assign(_, e) => vec![e],
            Kind::For(_) => vec![],
        }
    }

    pub fn blocks(&self) -> Vec<&Block> {
        match &self.kind {
            Kind::Let(..) | Kind::Assign(..) => vec![],
            Kind::If(_, a, b) => vec![a, b],
            Kind::Match(_, arms) => arms.iter().map(|a| &a.1).collect(),
            Kind::For(l) => l.turns.iter().map(|t| &t.1).collect(),
        }
    }

    pub fn blocks_mut(&mut self) -> Vec<&mut Block> {
        match &mut self.kind {
            Kind::Let(..) | Kind::Assign(..) => vec![],
            Kind::If(_, a, b) => vec![a, b],
            Kind::Match(_, arms) => arms.iter_mut().map(|a| &mut a.1).collect(),
            Kind::For(l) => l.turns.iter_mut().map(|t| &mut t.1).collect(),
        }
    }

    /// The local that the statement assigns, whole or in part.
    pub fn local(&self) -> Option<Id> {
        match &self.kind {
            Kind::Let(id, _) => Some(*id),
            Kind::Assign(Target::Local(id) | Target::Part(id, ..), _) => Some(*id),
            _ => None,
        }
    }

    pub fn signal(&self) -> Option<&str> {
        match &self.kind {
            Kind::Assign(Target::Signal(name), _) => Some(name),
            _ => None,
        }
    }
}

/// Calls `see` with each statement and those in its blocks.
pub fn walk<'a>(block: &'a [Stmt], see: &mut impl FnMut(&'a Stmt)) {
    for stmt in block {
        see(stmt);
        stmt.blocks().into_iter().for_each(|b| walk(b, see));
    }
}

/// Calls `change` with each expression of the block.
pub fn each_expr(block: &mut [Stmt], change: &mut impl FnMut(&mut Expr)) {
    for stmt in block {
        stmt.own_mut().into_iter().for_each(&mut *change);
        stmt.blocks_mut().into_iter().for_each(|b| each_expr(b, change));
    }
}

/// The locals that a block assigns, in the order of their first assignments.
pub fn assigned(block: &[Stmt]) -> Vec<Id> {
    let mut ids = vec![];
    walk(block, &mut |stmt| {
        if let Some(id) = stmt.local().filter(|id| !ids.contains(id)) {
            ids.push(id);
        }
    });
    ids
}

/// Gives locals other numbers, where they are read and where they are assigned.
pub fn rename(block: &mut [Stmt], names: &BTreeMap<Id, Id>) {
    each_expr(block, &mut |e| rename_expr(e, names));
    fn targets(block: &mut [Stmt], names: &BTreeMap<Id, Id>) {
        for stmt in block {
            if let Kind::Let(id, _) | Kind::Assign(Target::Local(id) | Target::Part(id, ..), _) =
                &mut stmt.kind
            {
                *id = *names.get(id).unwrap_or(id);
            }
            stmt.blocks_mut().into_iter().for_each(|b| targets(b, names));
        }
    }
    targets(block, names);
}

pub fn rename_expr(e: &mut Expr, names: &BTreeMap<Id, Id>) {
    e.rewrite(&mut |e| {
        if let Expr::Local(id) = e {
            *id = *names.get(id).unwrap_or(id);
        }
    });
}
