//! Prints expressions as Verilog. All operands of an operation have the width that Rust gives them
//! and the result, so Verilog never extends any.

use crate::check::width_of;
use crate::names::{snake, Names};
use crate::shape::{Part, Shape};
use crate::tree::{Affine, Expr, Op, Tree, Unary};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The constants for places in one record: the field, and the name of the constant.
type Places = (Rc<Shape>, Vec<(usize, String)>);

/// The names and widths that expressions refer to.
#[derive(Default)]
pub struct Text {
    pub names: Names,
    /// The tree, for widths and the names of functions.
    pub tree: Tree,
    /// Widths of signals and constants.
    pub signals: BTreeMap<String, usize>,
    /// Shapes of the signals that are records.
    pub shapes: BTreeMap<String, Rc<Shape>>,
    /// Places of fields that have a name already, record by record.
    pub fields: Vec<Places>,
    /// Verilog names of locals.
    pub locals: BTreeMap<usize, String>,
    pub functions: BTreeMap<usize, String>,
    /// Names of the loops' indices, by their depth.
    pub indices: BTreeMap<usize, String>,
}

pub fn number(width: usize, value: u128) -> String {
    match value < 100 || width < 4 {
        true => format!("{width}'d{value}"),
        false => format!("{width}'h{value:x}"),
    }
}

/// The precedence of an operator in Verilog.
fn rank(op: Op) -> u8 {
    match op {
        Op::Mul => 10,
        Op::Add | Op::Sub => 9,
        Op::Shl | Op::Shr => 8,
        Op::Lt | Op::Le | Op::Gt | Op::Ge => 7,
        Op::Eq | Op::Ne => 6,
        Op::BitAnd => 5,
        Op::BitXor => 4,
        Op::BitOr => 3,
        Op::LogicalAnd => 2,
        Op::LogicalOr => 1,
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Add => "+",
        Op::Sub => "-",
        Op::Mul => "*",
        Op::BitXor => "^",
        Op::BitAnd => "&",
        Op::BitOr => "|",
        Op::Shl => "<<",
        Op::Shr => ">>",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::LogicalAnd => "&&",
        Op::LogicalOr => "||",
    }
}

/// An expression without shifts by 0, which the first turn of a loop has.
fn moved(e: &Expr) -> &Expr {
    match e {
        Expr::Binary(l, Op::Shl | Op::Shr, by) if by.number() == Some(0) => moved(l),
        e => e,
    }
}

impl Text {
    pub fn width(&self, e: &Expr) -> usize {
        width_of(e, &self.tree, &self.signals)
    }

    pub fn expr(&mut self, e: &Expr) -> String {
        let e = moved(e);
        match e {
            Expr::Signal(name) => self.names.of(name),
            Expr::Local(id) => {
                self.locals.get(id).cloned().unwrap_or_else(|| format!("local_{id}"))
            }
            Expr::Number(v) => v.to_string(),
            Expr::Literal(v, w) => number(*w, *v),
            Expr::State(name) => self.names.of(name),
            Expr::Concat(parts) => {
                let parts: Vec<_> = parts.iter().map(|p| self.expr(p)).collect();
                format!("{{{}}}", parts.join(", "))
            }
            Expr::Unary(op, a) => {
                let sign = match op {
                    Unary::Not if self.width(a) == 1 => "!",
                    Unary::Not => "~",
                    Unary::Neg => "-",
                    Unary::All => "&",
                    Unary::Any => "|",
                    Unary::Xor => "^",
                };
                format!("{sign}{}", self.operand(a))
            }
            Expr::Binary(l, op, r) => self.binary(l, *op, r),
            Expr::Mux(c, t, f) => {
                let c = self.under(c, 1);
                let (t, f) = (self.under(t, 1), self.expr(f));
                match c.len() + t.len() + f.len() > 90 && !f.contains('\n') {
                    true => format!("{c} ? {t} :\n    {f}"),
                    false => format!("{c} ? {t} : {f}"),
                }
            }
            Expr::Slice(a, w, at) => self.slice(a, *w, at),
            Expr::Call(f, args) => {
                let args: Vec<_> = args.iter().map(|a| self.expr(a)).collect();
                format!("{}({})", self.functions[f], args.join(", "))
            }
            Expr::Index(affine, Some(w)) => self.value(affine, *w),
            Expr::Index(affine, None) => self.index(affine),
            Expr::Cast(a, _) => self.expr(a),
            Expr::Select(..) | Expr::Replace(..) => String::from("'bx"),
        }
    }

    /// The operand of a unary operator.
    fn operand(&mut self, e: &Expr) -> String {
        let e = moved(e);
        let text = self.expr(e);
        match e {
            Expr::Binary(..) | Expr::Mux(..) | Expr::Unary(..) => format!("({text})"),
            _ => text,
        }
    }

    /// An operand, in parentheses if its precedence is below `least`.
    fn under(&mut self, e: &Expr, least: u8) -> String {
        let e = moved(e);
        let text = self.expr(e);
        let rank = match e {
            Expr::Binary(_, op, _) => rank(*op),
            Expr::Mux(..) => 0,
            Expr::Index(affine, _) if affine.steps.len() > 1 || affine.base != 0 => 9,
            _ => return text,
        };
        match rank < least {
            true => format!("({text})"),
            false => text,
        }
    }

    fn binary(&mut self, l: &Expr, op: Op, r: &Expr) -> String {
        let (l, r) = (moved(l), moved(r));
        let own = rank(op);
        let chains = |e: &Expr| match e {
            Expr::Binary(_, inner, _) => {
                // No parentheses around an operand with the same operator, nor around sums and
                // comparisons within conditions.
                let within = matches!(op, Op::LogicalAnd | Op::LogicalOr) && rank(*inner) > 2;
                let compared = rank(*inner) == 9 && matches!(own, 6 | 7);
                *inner == op && !matches!(op, Op::Shl | Op::Shr | Op::Eq | Op::Ne)
                    || within
                    || compared
                    || (rank(*inner) == 9 && own == 9)
            }
            _ => false,
        };
        let left = if chains(l) { self.under(l, own) } else { self.under(l, 11) };
        let right = match chains(r) {
            // The right operand of a difference has its own parentheses.
            true => self.under(r, own + u8::from(own >= 8)),
            false => self.under(r, 11),
        };
        format!("{left} {} {right}", sign(op))
    }

    fn slice(&mut self, a: &Expr, w: usize, at: &Expr) -> String {
        let n = self.width(a);
        let name = self.expr(a);
        if let Some(at) = at.number() {
            let at = at as usize;
            return match (w, self.field(a, at, w)) {
                _ if w == n => name,
                (1, Some(field)) => format!("{name}[{field}]"),
                (w, Some(field)) => format!("{name}[{field} +: {w}]"),
                (1, None) => format!("{name}[{at}]"),
                (w, None) => format!("{name}[{}:{at}]", at + w - 1),
            };
        }
        format!("{name}{}", self.place(a, w, at))
    }

    /// The name of bits of a record, if they are within one field.
    fn field(&mut self, record: &Expr, mut at: usize, w: usize) -> Option<String> {
        let mut shape = match record {
            Expr::Signal(name) => self.shapes.get(name).cloned(),
            Expr::Local(id) => self.tree.locals[*id].shape.clone(),
            _ => None,
        };
        let mut way = vec![];
        while let Some(of) = shape {
            let inside = |part: &Part| {
                !part.name.is_empty() && part.at <= at && at + w <= part.at + part.width
            };
            // Bits of several fields, or of none, have no name.
            let n = of.fields.iter().position(inside)?;
            let part = &of.fields[n];
            at -= part.at;
            shape = part.shape.clone().filter(|_| (at, w) != (0, part.width));
            way.push((of, n));
        }
        if way.is_empty() {
            return None;
        }
        let mut terms: Vec<_> = way.iter().map(|(of, n)| self.constant(of, *n)).collect();
        if at > 0 {
            terms.push(at.to_string());
        }
        Some(terms.join(" + "))
    }

    /// The constant for the place of a field.
    fn constant(&mut self, shape: &Rc<Shape>, n: usize) -> String {
        let all = match self.fields.iter().position(|f| f.0 == *shape) {
            Some(known) => known,
            None => {
                self.fields.push((shape.clone(), vec![]));
                self.fields.len() - 1
            }
        };
        if let Some((_, name)) = self.fields[all].1.iter().find(|f| f.0 == n) {
            return name.clone();
        }
        let stem = format!("{}_{}", snake(&shape.name), shape.fields[n].name);
        let name = self.names.kept(&stem.to_uppercase());
        self.fields[all].1.push((n, name.clone()));
        name
    }

    /// Declarations of the constants that [Text::field] has named, a record's in the order of places.
    pub fn places(&mut self) -> Vec<String> {
        let mut lines = vec![];
        for (shape, mut fields) in std::mem::take(&mut self.fields) {
            fields.sort_unstable();
            let last = fields.len() - 1;
            let mut line = "localparam".to_string();
            for (i, (n, name)) in fields.into_iter().enumerate() {
                let end = if i == last { ';' } else { ',' };
                let text = format!(" {name} = {}{end}", shape.fields[n].at);
                if line.len() + text.len() > 96 {
                    lines.push(std::mem::replace(&mut line, "   ".into()));
                }
                line += &text;
            }
            lines.push(line);
        }
        lines
    }

    /// Bits of a word at a place, which may be variable.
    pub fn place(&mut self, of: &Expr, w: usize, at: &Expr) -> String {
        let n = self.width(of);
        if let Some(field) = at.number().and_then(|at| self.field(of, at as usize, w)) {
            return match w {
                1 => format!("[{field}]"),
                w => format!("[{field} +: {w}]"),
            };
        }
        let mut text = self.expr(at);
        if !matches!(at, Expr::Number(_) | Expr::Index(..)) {
            // The index gets as many bits as an index into `n` bits has.
            let (own, wanted) = (self.width(at), (usize::BITS - (n - 1).leading_zeros()) as usize);
            if own < wanted {
                text = format!("{{{}'d0, {text}}}", wanted - own);
            }
        }
        match (w, at) {
            (1, _) => format!("[{text}]"),
            (w, Expr::Number(at)) => format!("[{}:{at}]", *at as usize + w - 1),
            (w, _) => format!("[{text} +: {w}]"),
        }
    }

    /// An affine expression as an integer.
    fn index(&mut self, affine: &Affine) -> String {
        let term = |text: &Self, depth: usize, step: i128| match step {
            1 => text.indices[&depth].clone(),
            step => format!("{step} * {}", text.indices[&depth]),
        };
        self.sum(affine, &term, &|base| base.to_string())
    }

    /// An affine expression as a value of `w` bits.
    fn value(&mut self, affine: &Affine, w: usize) -> String {
        let term = |text: &Self, depth: usize, step: i128| {
            let index = &text.indices[&depth];
            let index = match w {
                1 => format!("{index}[0]"),
                w if w <= 32 => format!("{index}[{}:0]", w - 1),
                w => format!("{{{}'d0, {index}}}", w - 32),
            };
            match step {
                1 => index,
                step => format!("{} * {index}", number(w, step as u128)),
            }
        };
        self.sum(affine, &term, &|base| number(w, base))
    }

    fn sum(
        &mut self,
        affine: &Affine,
        term: &dyn Fn(&Self, usize, i128) -> String,
        base: &dyn Fn(u128) -> String,
    ) -> String {
        let mut steps: Vec<_> = affine.steps.iter().filter(|s| *s.1 != 0).collect();
        // Added terms come before subtracted ones.
        steps.sort_by_key(|s| (*s.1 < 0, *s.0));
        let mut text = String::new();
        if affine.base > 0 && steps.iter().all(|s| *s.1 < 0) || steps.is_empty() {
            text = base(affine.base as u128);
        }
        for (depth, step) in steps {
            let sign = match (text.is_empty(), *step < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            text = format!("{text}{sign}{}", term(self, *depth, step.abs()));
        }
        let late = affine.steps.values().any(|s| *s > 0);
        match affine.base {
            b if b > 0 && late => format!("{text} + {}", base(b as u128)),
            b if b < 0 => format!("{text} - {}", base(b.unsigned_abs())),
            _ => text,
        }
    }
}

/// `input [7:0] x;` and the like.
pub fn bits(width: usize) -> String {
    match width {
        1 => String::new(),
        w => format!("[{}:0] ", w - 1),
    }
}
