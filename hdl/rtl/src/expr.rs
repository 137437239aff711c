//! Expressions as Verilog text that computes what RustHDL's types compute.
//!
//! Rust fixes each intermediate result's width; Verilog widens operands to their context. So every operation that can carry
//! bits out of its width is put in braces: operands of a concatenation are self-determined. The others (and, or,
//! exclusive or, shift right, comparisons, selects) give the same bits in any context once their operands do.

use crate::names::Names;
use crate::types::fitting;
use rust_hdl_core::ast::{
    VerilogExpression as Expr, VerilogLiteral, VerilogOp as Op, VerilogOpUnary as Unary,
};
use std::collections::{BTreeMap, BTreeSet};

/// Width of a number that takes the width of what it meets.
type Width = Option<usize>;

/// What a module's expressions may refer to, and what rendering them leaves behind.
#[derive(Default)]
pub struct Scope {
    pub widths: BTreeMap<String, usize>,
    pub constants: BTreeMap<String, (usize, u128)>,
    pub names: Names,
    /// Wires made on the way: (name, width, value).
    pub hoisted: Vec<(String, usize, String)>,
    /// Verilog names read whole or by variable select.
    pub read: BTreeSet<String>,
    /// Verilog names of which only some bits are read.
    pub read_partly: BTreeSet<String>,
}

pub fn literal(l: &VerilogLiteral) -> Result<u128, String> {
    let text = format!("{l:x}");
    let hex = text.split_once("'h").map_or(text.as_str(), |(_, h)| h);
    u128::from_str_radix(hex, 16)
        .map_err(|_| format!("the literal {text} is not a number this emitter prints"))
}

pub fn number(width: usize, value: u128) -> Result<String, String> {
    let value = fitting(value, width)?;
    Ok(if value < 10 || width < 4 {
        format!("{width}'d{value}")
    } else {
        format!("{width}'h{value:x}")
    })
}

impl Scope {
    pub fn width_of(&self, name: &str) -> Result<usize, String> {
        let known =
            self.widths.get(name).copied().or_else(|| self.constants.get(name).map(|c| c.0));
        known.ok_or_else(|| format!("`{name}` is not a signal of this block"))
    }

    /// The width Rust gives an expression; None for a bare number.
    pub fn width(&self, e: &Expr) -> Result<Width, String> {
        Ok(match e {
            Expr::Signal(name) => Some(self.width_of(name)?),
            Expr::Literal(_) => None,
            Expr::Cast(_, w) => Some(*w),
            Expr::Paren(e) => self.width(e)?,
            Expr::Unary(Unary::Not | Unary::Neg, a) => self.width(a)?,
            Expr::Unary(Unary::All | Unary::Any | Unary::Xor, _) | Expr::Index(..) => Some(1),
            Expr::Slice(_, w, _) => Some(*w),
            Expr::Binary(l, op, r) => match op {
                Op::Eq
                | Op::Ne
                | Op::Lt
                | Op::Le
                | Op::Gt
                | Op::Ge
                | Op::LogicalAnd
                | Op::LogicalOr => Some(1),
                Op::Shl | Op::Shr => self.width(l)?,
                _ => match (self.width(l)?, self.width(r)?) {
                    (Some(a), Some(b)) if a != b => {
                        return Err(format!("operands of {op:?} are {a} and {b} bits wide"))
                    }
                    (a, b) => a.or(b),
                },
            },
            other => return Err(format!("unsupported expression {other:?}")),
        })
    }

    /// An expression of exactly `width` bits for the right side of an assignment of that width.
    pub fn assigned(&mut self, e: &Expr, width: usize) -> Result<String, String> {
        let text = self.sized(e, width)?;
        let bare = match e {
            Expr::Binary(_, Op::Add | Op::Sub | Op::Shl, _) | Expr::Unary(Unary::Not, _) => {
                strip(&text, '{', '}')
            }
            Expr::Binary(..) | Expr::Unary(..) => strip(&text, '(', ')'),
            _ => None,
        };
        Ok(bare.unwrap_or(text))
    }

    /// A condition, without the parentheses that `if` brings.
    pub fn condition(&mut self, e: &Expr) -> Result<String, String> {
        let text = self.sized(e, 1)?;
        Ok(strip(&text, '(', ')').unwrap_or(text))
    }

    /// A `case` selector.
    pub fn condition_of(&mut self, e: &Expr, width: usize) -> Result<String, String> {
        let text = self.sized(e, width)?;
        Ok(strip(&text, '(', ')').unwrap_or(text))
    }

    /// An index of whatever width it has.
    pub fn condition_any(&mut self, e: &Expr) -> Result<String, String> {
        let width = self.width(e)?.ok_or("an index without a width")?;
        self.condition_of(e, width)
    }

    /// A self-contained expression of exactly `width` bits.
    pub fn sized(&mut self, e: &Expr, width: usize) -> Result<String, String> {
        match self.width(e)? {
            Some(w) if w != width => {
                Err(format!("an expression of {w} bits where {width} are needed"))
            }
            Some(_) => self.render(e),
            None => self.unsized_number(e, width),
        }
    }

    fn unsized_number(&mut self, e: &Expr, width: usize) -> Result<String, String> {
        match e {
            Expr::Literal(l) => number(width, literal(l)?),
            Expr::Paren(e) => self.unsized_number(e, width),
            _ => Err("arithmetic on numbers without a width; use lit::<N>(..)".to_string()),
        }
    }

    fn render(&mut self, e: &Expr) -> Result<String, String> {
        match e {
            Expr::Signal(name) => {
                self.width_of(name)?;
                let name = self.names.of(name);
                self.read.insert(name.clone());
                Ok(name)
            }
            Expr::Paren(e) => self.render(e),
            Expr::Cast(e, w) => self.cast(e, *w),
            Expr::Unary(op, a) => self.unary(op, a),
            Expr::Binary(l, op, r) => self.binary(l, op, r),
            Expr::Index(a, i) => self.select(a, 1, i),
            Expr::Slice(a, w, i) => self.select(a, *w, i),
            other => Err(format!("unsupported expression {other:?}")),
        }
    }

    fn hoist(&mut self, width: usize, value: String) -> String {
        if let Some((name, ..)) = self.hoisted.iter().find(|h| h.1 == width && h.2 == value) {
            return name.clone();
        }
        let name = self.names.unique("part");
        self.hoisted.push((name.clone(), width, value));
        name
    }

    fn cast(&mut self, e: &Expr, w: usize) -> Result<String, String> {
        let inner = match self.width(e)? {
            None => {
                let mut e = e;
                while let Expr::Paren(p) = e {
                    e = p;
                }
                let Expr::Literal(l) = e else {
                    return Err(
                        "arithmetic on numbers without a width; use lit::<N>(..)".to_string()
                    );
                };
                return number(w, literal(l)?);
            }
            Some(n) => n,
        };
        if inner == w {
            return self.render(e);
        }
        if inner < w {
            let text = self.render(e)?;
            let text = strip(&text, '{', '}').filter(|_| is_concat(e)).unwrap_or(text);
            return Ok(format!("{{{}'d0, {text}}}", w - inner));
        }
        // Part select of a name; of a select, a select.
        match e {
            Expr::Slice(a, _, i) if matches!(**i, Expr::Literal(_) | Expr::Cast(..)) => {
                self.select(a, w, i)
            }
            Expr::Paren(p) => self.cast(p, w),
            Expr::Cast(inside, n) if self.width(inside)?.is_some_and(|v| v <= *n && v >= w) => {
                self.cast(inside, w)
            }
            Expr::Signal(_) => self.select(e, w, &Expr::Literal(0u32.into())),
            _ => {
                let text = self.assigned(e, inner)?;
                let name = self.hoist(inner, text);
                self.read_partly.insert(name.clone());
                Ok(range(&name, w, 0))
            }
        }
    }

    fn unary(&mut self, op: &Unary, a: &Expr) -> Result<String, String> {
        let Some(width) = self.width(a)? else {
            return Err(format!("{op:?} of a number without a width"));
        };
        let text = self.render(a)?;
        Ok(match op {
            Unary::Not if width == 1 => format!("(!{text})"),
            Unary::Not => format!("{{~{text}}}"),
            Unary::All => format!("(&{text})"),
            Unary::Any => format!("(|{text})"),
            Unary::Xor => format!("(^{text})"),
            Unary::Neg => return Err("negation is not supported; subtract from zero".to_string()),
        })
    }

    fn binary(&mut self, l: &Expr, op: &Op, r: &Expr) -> Result<String, String> {
        if let Some((hi, lo)) = self.concat(l, op, r)? {
            let inner =
                |t: String, e: &Expr| strip(&t, '{', '}').filter(|_| is_concat(e)).unwrap_or(t);
            let (a, b) = (self.render(hi)?, self.render(lo)?);
            return Ok(format!("{{{}, {}}}", inner(a, hi), inner(b, lo)));
        }
        let sign = match op {
            Op::Add => "+",
            Op::Sub => "-",
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
            Op::Mul => return Err("multiplication is not supported".to_string()),
        };
        match op {
            Op::Shl | Op::Shr => {
                let text = self.render_or_number(l, None)?;
                let amount = match r {
                    Expr::Literal(n) => literal(n)?.to_string(),
                    r => self.render(r)?,
                };
                Ok(match op {
                    Op::Shl => format!("{{{text} << {amount}}}"),
                    _ => format!("({text} >> {amount})"),
                })
            }
            Op::LogicalAnd | Op::LogicalOr => {
                let (a, b) = (self.sized(l, 1)?, self.sized(r, 1)?);
                Ok(format!("({a} {sign} {b})"))
            }
            _ => {
                let (wl, wr) = (self.width(l)?, self.width(r)?);
                if let (Some(a), Some(b)) = (wl, wr) {
                    if a != b {
                        return Err(format!("operands of {op:?} are {a} and {b} bits wide"));
                    }
                }
                let width = wl.or(wr);
                let (a, b) = (self.render_or_number(l, width)?, self.render_or_number(r, width)?);
                Ok(match op {
                    Op::Add | Op::Sub => format!("{{{a} {sign} {b}}}"),
                    _ => format!("({a} {sign} {b})"),
                })
            }
        }
    }

    fn render_or_number(&mut self, e: &Expr, width: Width) -> Result<String, String> {
        match (self.width(e)?, width) {
            (Some(_), _) => self.render(e),
            (None, Some(w)) => self.unsized_number(e, w),
            (None, None) => {
                Err("an operation on numbers without a width; use lit::<N>(..)".to_string())
            }
        }
    }

    /// `(hi << width of lo) | lo` with nothing lost: a concatenation.
    fn concat<'a>(
        &self,
        l: &'a Expr,
        op: &Op,
        r: &'a Expr,
    ) -> Result<Option<(&'a Expr, &'a Expr)>, String> {
        let (Op::BitOr, Expr::Binary(hi, Op::Shl, by), Expr::Cast(lo, w)) = (op, l, r) else {
            return Ok(None);
        };
        let (Expr::Cast(hi, _), Expr::Literal(by)) = (&**hi, &**by) else {
            return Ok(None);
        };
        let (a, b) = (self.width(hi)?, self.width(lo)?);
        let fits =
            b.is_some_and(|b| literal(by) == Ok(b as u128) && a.is_some_and(|a| a + b == *w));
        Ok(fits.then_some((&**hi, &**lo)))
    }

    /// `a` with `w` bits from `at` on replaced: a concatenation of what stays and what is new.
    pub fn replaced(
        &mut self,
        a: &Expr,
        width: usize,
        at: usize,
        w: usize,
        v: &Expr,
    ) -> Result<String, String> {
        if at + w > width {
            return Err(format!("bits {}:{at} of {width} are replaced", at + w - 1));
        }
        let place = |at: usize| Expr::Literal((at as u128).into());
        let mut parts = vec![];
        if at + w < width {
            parts.push(self.select(a, width - at - w, &place(at + w))?);
        }
        parts.push(self.sized(v, w)?);
        if at > 0 {
            parts.push(self.select(a, at, &place(0))?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => format!("{{{}}}", parts.join(", ")),
        })
    }

    /// `w` bits of a signal from bit `i` on; what is beyond its top reads as 0.
    fn select(&mut self, a: &Expr, w: usize, i: &Expr) -> Result<String, String> {
        let mut a = a;
        while let Expr::Paren(p) = a {
            a = p;
        }
        let Some(n) = self.width(a)? else {
            return Err("a select from a number".to_string());
        };
        let name = match a {
            Expr::Signal(internal) => self.names.of(internal),
            _ => {
                let text = self.assigned(a, n)?;
                self.hoist(n, text)
            }
        };
        let at = match i {
            Expr::Literal(l) => Some(literal(l)?),
            Expr::Cast(l, _) => match &**l {
                Expr::Literal(l) => Some(literal(l)?),
                _ => None,
            },
            _ => None,
        };
        if let Some(at) = at {
            let at = at as usize;
            if at >= n {
                return number(w, 0);
            }
            self.read_partly.insert(name.clone());
            if at + w <= n {
                if n == 1 {
                    self.read.insert(name.clone());
                    return Ok(name);
                }
                if at == 0 && w == n {
                    self.read.insert(name.clone());
                    return Ok(name);
                }
                return Ok(range(&name, w, at));
            }
            let part = if n == 1 { name } else { range(&name, n - at, at) };
            return Ok(format!("{{{}'d0, {part}}}", at + w - n));
        }
        let Some(wi) = self.width(i)? else {
            return Err("an index without a width".to_string());
        };
        let index = self.render(i)?;
        self.read_partly.insert(name.clone());
        let reach = if wi >= 20 { usize::MAX } else { (1 << wi) - 1 + w };
        if reach <= n {
            // As many bits as the lint wants of an index into n bits.
            let wanted = (usize::BITS - (n - 1).leading_zeros()) as usize;
            let index = match wanted.checked_sub(wi) {
                Some(pad) if pad > 0 => format!("{{{pad}'d0, {index}}}"),
                _ => index,
            };
            return Ok(match w {
                1 => format!("{name}[{index}]"),
                _ => format!("{name}[{index} +: {w}]"),
            });
        }
        self.read.insert(name.clone());
        let shifted = self.hoist(n, format!("{name} >> {index}"));
        self.read_partly.insert(shifted.clone());
        Ok(if w < n {
            range(&shifted, w, 0)
        } else if w == n {
            self.read.insert(shifted.clone());
            shifted
        } else {
            self.read.insert(shifted.clone());
            format!("{{{}'d0, {shifted}}}", w - n)
        })
    }
}

fn range(name: &str, w: usize, at: usize) -> String {
    match w {
        1 => format!("{name}[{at}]"),
        _ => format!("{name}[{}:{at}]", at + w - 1),
    }
}

fn is_concat(e: &Expr) -> bool {
    match e {
        Expr::Paren(e) => is_concat(e),
        Expr::Binary(_, Op::BitOr, _) => true,
        _ => false,
    }
}

/// The inside of an outermost pair of brackets.
fn strip(text: &str, open: char, close: char) -> Option<String> {
    let inner = text.strip_prefix(open)?.strip_suffix(close)?;
    let mut depth = 0i32;
    for c in inner.chars() {
        match c {
            c if c == open => depth += 1,
            c if c == close => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    Some(inner.to_string())
}
