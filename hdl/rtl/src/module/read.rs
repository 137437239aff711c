//! A kernel's tree as the macro builds it: definitions of locals, then statements.

use super::{Def, Kernel, Module, Ports, Writer};
use rust_hdl_core::ast::{
    VerilogBlockOrConditional as Else, VerilogExpression as Expr, VerilogLink, VerilogLinkDetails,
    VerilogStatement as Stmt,
};

impl<'a> Writer<'a> {
    pub(super) fn kernel(mut self, block: &'a [Stmt]) -> Result<(Module, Ports), String> {
        let mut defs: Vec<(String, Def<'a>)> = vec![];
        let mut statements: Vec<Stmt> = vec![];
        for stmt in block {
            match stmt {
                Stmt::Comment(c) => self.mark(c)?,
                Stmt::Assignment(Expr::Signal(n), e) if n.starts_with('%') => {
                    defs.push((n.clone(), Def::Value(e)))
                }
                Stmt::Macro(inner) => match inner.as_slice() {
                    [Stmt::Assignment(Expr::Signal(n), a), Stmt::SliceAssignment { width, offset, replacement, .. }] =>
                    {
                        self.local_width(n, a)?;
                        defs.push((n.clone(), Def::Replace(a, *width, offset, replacement)));
                    }
                    _ => return Err("an unknown macro in the tree".to_string()),
                },
                _ => match local_target(stmt) {
                    Some(n) => defs.push((n, Def::Mux(stmt))),
                    None => statements.extend(links(stmt)),
                },
            }
            if let Some((name, def)) = defs.last() {
                if !self.scope.widths.contains_key(name) {
                    let name = name.clone();
                    let width = match def {
                        Def::Value(e) => self.scope.width(e)?,
                        Def::Mux(s) => self.mux_width(s)?,
                        Def::Replace(..) => None,
                    };
                    let shown = name.trim_start_matches('%').split('%').next().unwrap_or("");
                    let width =
                        width.ok_or_else(|| format!("`{shown}` has no width; use lit::<N>(..)"))?;
                    self.scope.widths.insert(name, width);
                }
            }
        }
        Kernel { w: self, defs, statements }.write()
    }

    fn local_width(&mut self, name: &str, e: &Expr) -> Result<(), String> {
        let width = self.scope.width(e)?.ok_or("a slice of a number replaced")?;
        self.scope.widths.insert(name.to_string(), width);
        Ok(())
    }

    fn mux_width(&self, stmt: &Stmt) -> Result<Option<usize>, String> {
        let blocks: Vec<&[Stmt]> = match stmt {
            Stmt::If(c) => match &c.otherwise {
                Else::Block(b) => vec![&c.then, b],
                _ => vec![&c.then],
            },
            Stmt::Match(m) => m.cases.iter().map(|c| c.block.as_slice()).collect(),
            _ => vec![],
        };
        let mut width = None;
        for block in blocks {
            if let [Stmt::Assignment(_, e)] = block {
                width = width.or(self.scope.width(e)?);
            }
        }
        Ok(width)
    }
}

/// The local that an `if` or `match` defines.
fn local_target(stmt: &Stmt) -> Option<String> {
    let first = match stmt {
        Stmt::If(c) => c.then.first(),
        Stmt::Match(m) => m.cases.first().and_then(|c| c.block.first()),
        _ => None,
    };
    match first {
        Some(Stmt::Assignment(Expr::Signal(n), _)) if n.starts_with('%') => Some(n.clone()),
        _ => None,
    }
}

/// Links as assignments; other statements as they are.
fn links(stmt: &Stmt) -> Vec<Stmt> {
    let Stmt::Link(links) = stmt else {
        return vec![stmt.clone()];
    };
    let full = |owner: &str, my: &str| Expr::Signal(format!("{owner}{}", my.replace('.', "$")));
    let assign = |d: &VerilogLinkDetails, forward: bool| {
        let (a, b) = (full(&d.owner_name, &d.my_name), full(&d.other_name, &d.my_name));
        match forward {
            true => Stmt::Assignment(b, a),
            false => Stmt::Assignment(a, b),
        }
    };
    let one = |l: &VerilogLink| match l {
        VerilogLink::Forward(d) => assign(d, true),
        VerilogLink::Backward(d) | VerilogLink::Bidirectional(d) => assign(d, false),
    };
    links.iter().map(one).collect()
}
