//! Evaluates blocks that read nothing: no event would ever run their `always @*`.

use crate::check::fold;
use crate::tree::{Block, Expr, Kind, Local, Target};
use std::collections::BTreeMap;

/// The values that a block which reads no signal leaves in its locals and signals; none if it reads
/// one.
pub fn run(block: &Block, locals: &[Local]) -> Option<BTreeMap<Place, u128>> {
    let mut values = BTreeMap::new();
    steps(block, locals, &mut values)?;
    Some(values)
}

/// A local or a signal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Local(usize),
    Signal(String),
}

type Values = BTreeMap<Place, u128>;

fn value(e: &Expr, locals: &[Local], values: &Values) -> Option<u128> {
    let mut e = e.clone();
    e.rewrite(&mut |e| match e {
        Expr::Local(id) => {
            if let Some(v) = values.get(&Place::Local(*id)) {
                *e = Expr::Literal(*v, locals[*id].width);
            }
        }
        _ => fold(e),
    });
    e.number()
}

fn steps(block: &Block, locals: &[Local], values: &mut Values) -> Option<()> {
    for stmt in block {
        match &stmt.kind {
            Kind::Let(id, e) | Kind::Assign(Target::Local(id), e) => {
                let v = value(e, locals, values).filter(|_| locals[*id].width <= 128)?;
                values.insert(Place::Local(*id), v);
            }
            Kind::Assign(Target::Part(id, w, at), e) => {
                let (v, at) = (value(e, locals, values)?, value(at, locals, values)?);
                let old = *values.get(&Place::Local(*id))?;
                let mask = (u128::MAX >> (128 - w)) << at;
                values.insert(Place::Local(*id), old & !mask | v << at);
            }
            Kind::Assign(Target::Signal(name), e) => {
                let v = value(e, locals, values)?;
                values.insert(Place::Signal(name.clone()), v);
            }
            Kind::If(test, then, otherwise) => match value(test, locals, values)? {
                0 => steps(otherwise, locals, values)?,
                _ => steps(then, locals, values)?,
            },
            Kind::Match(test, arms) => {
                let v = value(test, locals, values)?;
                let hit = |p: &Expr| p.number() == Some(v);
                let states = arms.iter().flat_map(|a| &a.0).any(|p| p.number().is_none());
                let arm = arms.iter().find(|a| a.0.is_empty() || a.0.iter().any(hit));
                if states {
                    return None;
                }
                steps(&arm?.1, locals, values)?;
            }
            Kind::For(l) => {
                for (_, turn) in &l.turns {
                    steps(turn, locals, values)?;
                }
            }
        }
    }
    Some(())
}
