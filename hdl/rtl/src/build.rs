//! Builds a kernel's syntax tree; the code that `#[kernel]` generates calls this.
//!
//! Locals are in static single assignment form: each is defined once, by an expression, a multiplexer or a slice replacement,
//! and so a wire. Statements only assign signals. Names of locals start with `%`, which no signal does:
//! `%stem%number%file:line`.

use crate::types::{fitting, LiteralValue};
use rust_hdl_core::ast::{
    Verilog, VerilogBlock, VerilogBlockOrConditional, VerilogCase, VerilogConditional,
    VerilogExpression, VerilogLink, VerilogMatch, VerilogStatement,
};
pub use rust_hdl_core::ast::{
    VerilogExpression as Expr, VerilogLiteral, VerilogOp as Op, VerilogOpUnary as Unary,
};
use rust_hdl_core::prelude::Synth;

/// Marks the comments that carry what the syntax tree has no place for.
pub(crate) const TYPE_MARK: &str = "nitor:type ";
pub(crate) const DOC_MARK: &str = "nitor:doc ";
pub(crate) const STATE_MARK: &str = "nitor:state ";
pub(crate) const FAULT_MARK: &str = "nitor:fault ";
/// `file:line` of the next statement.
pub(crate) const PLACE_MARK: &str = "nitor:place ";
/// First in the first branch of an `if` or `match`: `file:line` of it.
pub(crate) const BRANCH_MARK: &str = "nitor:branch ";

/// An unsized number: it takes the width of what it meets.
pub fn number(value: u128) -> Expr {
    Expr::Literal(value.into())
}

/// A number of `width` bits.
pub fn sized(value: u128, width: usize) -> Expr {
    Expr::Cast(Box::new(Expr::Literal(value.into())), width)
}

pub fn bit(value: bool) -> Expr {
    sized(u128::from(value), 1)
}

pub fn binary(l: Expr, op: Op, r: Expr) -> Expr {
    Expr::Binary(Box::new(l), op, Box::new(r))
}

pub fn unary(op: Unary, a: Expr) -> Expr {
    Expr::Unary(op, Box::new(a))
}

pub fn cast(a: Expr, width: usize) -> Expr {
    Expr::Cast(Box::new(a), width)
}

/// `Bits::<W>::from(x)`.
pub fn from(a: Expr, width: usize) -> Expr {
    cast(a, width)
}

/// `{hi, lo}`; the tree has no concatenation, the emitter knows this shape.
pub fn concat(hi: Expr, a: usize, lo: Expr, b: usize, width: usize) -> Expr {
    assert_eq!(a + b, width, "cat::<{a}, {b}, {width}>: the widths do not add up");
    let hi = binary(cast(cast(hi, a), width), Op::Shl, number(b as u128));
    binary(hi, Op::BitOr, cast(cast(lo, b), width))
}

/// The tree under construction.
pub struct Kernel {
    frames: Vec<VerilogBlock>,
    matches: Vec<Vec<VerilogCase>>,
    defs: VerilogBlock,
    locals: usize,
    /// Where in the source we are, `file:line`.
    place: String,
}

impl Kernel {
    pub fn new(type_name: &str, doc: &str) -> Self {
        let mut defs = vec![VerilogStatement::Comment(format!("{TYPE_MARK}{type_name}"))];
        defs.extend(doc.lines().map(|l| VerilogStatement::Comment(format!("{DOC_MARK}{l}"))));
        Self { frames: vec![vec![]], matches: vec![], defs, locals: 0, place: String::new() }
    }

    pub fn finish(mut self) -> Verilog {
        self.defs.append(&mut self.frames[0]);
        Verilog::Combinatorial(self.defs)
    }

    pub fn me(&mut self) -> &mut Self {
        self
    }

    fn local(&mut self, stem: &str) -> Expr {
        self.locals += 1;
        // `__count_3` is the macro's own name for the variable `count`.
        let stem =
            stem.strip_prefix("__").map_or(stem, |s| s.rsplit_once('_').map_or(s, |(s, _)| s));
        Expr::Signal(format!("%{stem}%{}%{}", self.locals, self.place))
    }

    /// What comes next is of this line of the source.
    pub fn at(&mut self, file: &str, line: u32) {
        self.place = format!("{file}:{line}");
        self.push(VerilogStatement::Comment(format!("{PLACE_MARK}{}", self.place)));
    }

    /// A number of `width` bits, written at `at`; the emitter refuses the block if it does not fit, as the simulator does.
    pub fn lit(&mut self, value: impl LiteralValue, width: usize, at: &str) -> Expr {
        let value = value.value().and_then(|value| fitting(value, width)).unwrap_or_else(|fault| {
            self.defs.push(VerilogStatement::Comment(format!("{FAULT_MARK}{at}: {fault}")));
            0
        });
        sized(value, width)
    }

    /// Names a value.
    pub fn bind(&mut self, name: &str, value: Expr) -> Expr {
        let local = self.local(name);
        self.defs.push(VerilogStatement::Assignment(local.clone(), value));
        local
    }

    /// Names a value unless it is a name already.
    pub fn name(&mut self, stem: &str, value: Expr) -> Expr {
        match value {
            Expr::Signal(_) => value,
            _ => self.bind(stem, value),
        }
    }

    pub fn mux(&mut self, name: &str, condition: Expr, then: Expr, otherwise: Expr) -> Expr {
        let local = self.local(name);
        let assign = |v| vec![VerilogStatement::Assignment(local.clone(), v)];
        let statement = VerilogStatement::If(VerilogConditional {
            test: condition,
            then: assign(then),
            otherwise: VerilogBlockOrConditional::Block(assign(otherwise)),
        });
        self.defs.push(statement);
        local
    }

    pub fn select(&mut self, name: &str, test: Expr, cases: Vec<(Vec<Expr>, Expr)>) -> Expr {
        let local = self.local(name);
        let cases = cases
            .into_iter()
            .map(|(patterns, value)| VerilogCase {
                condition: condition(&patterns),
                block: vec![VerilogStatement::Assignment(local.clone(), value)],
            })
            .collect();
        self.defs.push(VerilogStatement::Match(VerilogMatch { test, cases }));
        local
    }

    pub fn index(&mut self, a: Expr, i: Expr) -> Expr {
        let a = self.name("value", a);
        Expr::Index(Box::new(a), Box::new(i))
    }

    pub fn slice(&mut self, a: Expr, width: usize, i: Expr) -> Expr {
        let a = self.name("value", a);
        Expr::Slice(Box::new(a), width, Box::new(i))
    }

    /// `a` with `width` bits from `i` on replaced.
    pub fn replace(&mut self, a: Expr, width: usize, i: Expr, value: Expr) -> Expr {
        let local = self.local("replaced");
        self.defs.push(VerilogStatement::Macro(vec![
            VerilogStatement::Assignment(local.clone(), a),
            VerilogStatement::SliceAssignment {
                base: local.clone(),
                width,
                offset: i,
                replacement: value,
            },
        ]));
        local
    }

    /// A state of an enumeration, by name.
    pub fn state<T: Synth>(&mut self, state: T, name: &str) -> Expr {
        let value = state.verilog().as_usize();
        let mark = format!("{STATE_MARK}{name} {} {value}", T::BITS);
        self.defs.push(VerilogStatement::Comment(mark));
        Expr::Signal(name.to_string())
    }

    fn push(&mut self, statement: VerilogStatement) {
        if let Some(frame) = self.frames.last_mut() {
            frame.push(statement);
        }
    }

    pub fn assign(&mut self, signal: String, value: Expr) {
        self.push(VerilogStatement::Assignment(Expr::Signal(signal), value));
    }

    pub fn wire(&mut self, to: String, from: String) {
        self.assign(to, Expr::Signal(from));
    }

    /// Never high.
    pub fn unset(&mut self, to: String) {
        self.assign(to, bit(false));
    }

    pub fn link(&mut self, links: Vec<VerilogLink>) {
        self.push(VerilogStatement::Link(links));
    }

    pub fn begin(&mut self) {
        self.frames.push(vec![]);
    }

    pub fn end_if(&mut self, test: Expr) {
        let otherwise = self.frame();
        let mut then = self.frame();
        if then.is_empty() && otherwise.is_empty() {
            return;
        }
        then.insert(0, self.branch());
        let otherwise = match otherwise.len() {
            0 => VerilogBlockOrConditional::None,
            _ => VerilogBlockOrConditional::Block(otherwise),
        };
        self.push(VerilogStatement::If(VerilogConditional { test, then, otherwise }));
    }

    /// The statements of a branch that is complete; none if there is nothing but places.
    fn frame(&mut self) -> VerilogBlock {
        let block = self.frames.pop().unwrap_or_default();
        match block.iter().all(|s| matches!(s, VerilogStatement::Comment(_))) {
            true => vec![],
            false => block,
        }
    }

    fn branch(&self) -> VerilogStatement {
        VerilogStatement::Comment(format!("{BRANCH_MARK}{}", self.place))
    }

    pub fn begin_match(&mut self) {
        self.matches.push(vec![]);
    }

    pub fn end_arm(&mut self, patterns: Vec<Expr>) {
        let block = self.frame();
        let condition = condition(&patterns);
        if let Some(cases) = self.matches.last_mut() {
            cases.push(VerilogCase { condition, block });
        }
    }

    pub fn end_match(&mut self, test: Expr) {
        let mut cases = self.matches.pop().unwrap_or_default();
        if cases.iter().any(|c| !c.block.is_empty()) {
            cases[0].block.insert(0, self.branch());
            self.push(VerilogStatement::Match(VerilogMatch { test, cases }));
        }
    }
}

fn condition(patterns: &[Expr]) -> String {
    if patterns.is_empty() {
        return "default".to_string();
    }
    let texts = patterns.iter().map(|p| match p {
        VerilogExpression::Signal(name) => name.clone(),
        VerilogExpression::Literal(l) => format!("{l:x}"),
        VerilogExpression::Cast(l, _) => match &**l {
            VerilogExpression::Literal(l) => format!("{l:x}"),
            _ => "unsupported pattern".to_string(),
        },
        _ => "unsupported pattern".to_string(),
    });
    texts.collect::<Vec<_>>().join(", ")
}
