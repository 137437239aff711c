//! Checks the drivers of signals: a signal that must not be driven, one without a driver, one that
//! a path leaves undriven.

use crate::emit::{Child, Direction, Found, Port};
use crate::tree::{self, Block, Kind, Stmt};
use rust_hdl_core::atom::AtomKind;
use std::collections::BTreeSet;

fn dotted(name: &str) -> String {
    name.replace('$', ".")
}

/// Refuses a kernel that drives what it must not, or leaves something undriven.
pub fn check(found: &Found, body: &Block) -> Result<(), String> {
    let mut driven = BTreeSet::new();
    tree::walk(body, &mut |s| driven.extend(s.signal()));
    for &name in &driven {
        let input = |s: &crate::emit::Signal| s.name == name && s.kind == AtomKind::InputParameter;
        if found.signals.iter().any(input) {
            return Err(format!("`{name}` is an input and cannot be driven here"));
        }
        let out = |c| port(c, name).is_some_and(|p| p.direction == Direction::Out);
        if found.children.iter().any(out) {
            return Err(format!("`{}` is an output of a block inside", dotted(name)));
        }
    }
    let needs = |kind| matches!(kind, AtomKind::OutputParameter | AtomKind::LocalSignal);
    let own = found.signals.iter().filter(|s| needs(s.kind)).map(|s| s.name.clone());
    let inside = found.children.iter().flat_map(|c| {
        let inputs = c.ports.iter().filter(|p| p.1.direction == Direction::In);
        inputs.map(move |p| format!("{}${}", c.name, p.0))
    });
    // Registers come after blocks.
    let (registers, blocks): (Vec<_>, Vec<_>) = inside.partition(|name| {
        found.children.iter().any(|c| c.register.is_some() && owner(name) == c.name)
    });
    for name in own.chain(blocks).chain(registers) {
        if !driven.contains(name.as_str()) {
            return Err(format!("`{}` is not driven", dotted(&name)));
        }
    }
    for name in driven {
        if !always_assigned(body, name) {
            return Err(match name.ends_with("$clock") || name.ends_with("$reset") {
                true => format!("`{}` must be wired without condition", dotted(name)),
                false => format!("`{}` is not assigned on every path (a latch)", dotted(name)),
            });
        }
    }
    Ok(())
}

/// The port of an inner block that a signal is.
pub fn port<'a>(child: &'a Child, name: &str) -> Option<&'a Port> {
    let port = name.strip_prefix(&child.name)?.strip_prefix('$')?;
    child.ports.iter().find(|p| p.0 == port).map(|p| &p.1)
}

/// The inner block that a signal is a port of.
pub fn owner(name: &str) -> &str {
    name.rsplit_once('$').map_or("", |(owner, _)| owner)
}

/// Whether every path through the statements assigns the signal.
fn always_assigned(block: &Block, name: &str) -> bool {
    block.iter().any(|s| match &s.kind {
        Kind::Let(..) => false,
        Kind::Assign(..) => s.signal() == Some(name),
        Kind::If(_, then, otherwise) => {
            always_assigned(then, name) && always_assigned(otherwise, name)
        }
        Kind::Match(_, arms) => {
            arms.iter().any(|a| a.0.is_empty()) && arms.iter().all(|a| always_assigned(&a.1, name))
        }
        Kind::For(l) => l.turns.iter().any(|t| always_assigned(&t.1, name)),
    })
}

/// Of several assignments the last one counts: drops those that an unconditional one overwrites.
pub fn overwritten(block: Block) -> Block {
    last(block, &mut BTreeSet::new())
}

/// `done` are the signals that are driven behind the block in any case.
fn last(block: Block, done: &mut BTreeSet<String>) -> Block {
    let mut out: Block = vec![];
    for mut stmt in block.into_iter().rev() {
        if let Kind::For(l) = &mut stmt.kind {
            for turn in l.turns.iter_mut().rev() {
                turn.1 = last(std::mem::take(&mut turn.1), done);
            }
            if l.turns.iter().any(|t| !t.1.is_empty()) {
                out.push(stmt);
            }
            continue;
        }
        match stmt.signal().map(str::to_string) {
            Some(name) => {
                if done.insert(name) {
                    out.push(stmt);
                }
            }
            None => out.extend(without(stmt, done)),
        }
    }
    out.reverse();
    out
}

fn without(mut stmt: Stmt, done: &BTreeSet<String>) -> Option<Stmt> {
    if stmt.signal().is_some_and(|name| done.contains(name)) {
        return None;
    }
    let mut touched = false;
    for block in stmt.blocks_mut() {
        let had = block.len();
        *block = std::mem::take(block).into_iter().filter_map(|s| without(s, done)).collect();
        touched |= block.len() != had;
    }
    let gone = touched && stmt.blocks().iter().all(|b| b.is_empty());
    (!gone).then_some(stmt)
}

/// Drops statements that a register keeps its value, if nothing was assigned to it before.
pub fn held(block: Block) -> Block {
    let mut said = BTreeSet::new();
    let mut times = std::collections::BTreeMap::<String, usize>::new();
    tree::walk(&block, &mut |s| {
        if let Some(name) = s.signal() {
            *times.entry(name.to_string()).or_default() += 1;
        }
    });
    let mut out = vec![];
    for stmt in block {
        if let Some(name) = stmt.signal() {
            let first = said.insert(name.to_string());
            let keeps = match (&stmt.kind, name.strip_suffix("$d")) {
                (Kind::Assign(_, tree::Expr::Signal(of)), Some(register)) => {
                    of.strip_suffix("$q") == Some(register)
                }
                _ => false,
            };
            if first && keeps && times[name] > 1 {
                continue;
            }
        } else {
            tree::walk(std::slice::from_ref(&stmt), &mut |s| {
                said.extend(s.signal().map(str::to_string));
            });
        }
        out.push(stmt);
    }
    out
}
