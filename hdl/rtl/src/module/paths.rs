//! Which signals statements assign, and on which paths.

use rust_hdl_core::ast::{
    VerilogBlockOrConditional as Else, VerilogExpression as Expr, VerilogStatement as Stmt,
};
use std::collections::BTreeSet;

/// What statements assign to a signal.
pub(super) fn targets(statements: &[Stmt], out: &mut Vec<String>) {
    for stmt in statements {
        match stmt {
            Stmt::Assignment(Expr::Signal(n), _) if !out.contains(n) => out.push(n.clone()),
            Stmt::If(c) => {
                targets(&c.then, out);
                match &c.otherwise {
                    Else::Block(b) => targets(b, out),
                    Else::Conditional(s) => targets(std::slice::from_ref(s), out),
                    Else::None => {}
                }
            }
            Stmt::Match(m) => m.cases.iter().for_each(|c| targets(&c.block, out)),
            _ => {}
        }
    }
}

pub(super) fn assigns(stmt: &Stmt, wanted: &BTreeSet<String>) -> bool {
    let mut all = vec![];
    targets(std::slice::from_ref(stmt), &mut all);
    all.iter().any(|t| wanted.contains(t))
}

/// Whether every path through the statements assigns the signal.
pub(super) fn always_assigned(statements: &[Stmt], name: &str) -> bool {
    statements.iter().any(|s| match s {
        Stmt::Assignment(Expr::Signal(n), _) => n == name,
        Stmt::If(c) => {
            always_assigned(&c.then, name)
                && match &c.otherwise {
                    Else::Block(b) => always_assigned(b, name),
                    Else::Conditional(s) => always_assigned(std::slice::from_ref(s), name),
                    Else::None => false,
                }
        }
        Stmt::Match(m) => {
            m.cases.iter().any(|c| c.condition == "default")
                && m.cases.iter().all(|c| always_assigned(&c.block, name))
        }
        _ => false,
    })
}
