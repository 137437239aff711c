//! Finds which bits of signals and locals are read.

use crate::tree::{self, Block, Expr};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Signal(String),
    Local(usize),
}

#[derive(Default)]
pub struct Usage {
    bits: BTreeMap<Name, BTreeSet<usize>>,
    whole: BTreeSet<Name>,
    pub states: BTreeSet<String>,
    pub calls: BTreeSet<usize>,
}

impl Usage {
    pub fn block(&mut self, block: &Block) {
        tree::walk(block, &mut |stmt| {
            stmt.own().into_iter().for_each(|e| self.expr(e));
            if let tree::Kind::Match(_, arms) = &stmt.kind {
                arms.iter().flat_map(|a| &a.0).for_each(|p| self.expr(p));
            }
        });
    }

    pub fn expr(&mut self, e: &Expr) {
        match e {
            Expr::Signal(name) => drop(self.whole.insert(Name::Signal(name.clone()))),
            Expr::Local(id) => drop(self.whole.insert(Name::Local(*id))),
            Expr::State(name) => drop(self.states.insert(name.clone())),
            Expr::Slice(a, w, at) => {
                let name = match &**a {
                    Expr::Signal(name) => Name::Signal(name.clone()),
                    Expr::Local(id) => Name::Local(*id),
                    _ => return e.parts().into_iter().for_each(|p| self.expr(p)),
                };
                match at.number() {
                    Some(at) => {
                        let at = at as usize;
                        self.bits.entry(name).or_default().extend(at..at + w);
                    }
                    None => {
                        self.whole.insert(name);
                        self.expr(at);
                    }
                }
            }
            Expr::Call(f, args) => {
                self.calls.insert(*f);
                args.iter().for_each(|a| self.expr(a));
            }
            e => e.parts().into_iter().for_each(|p| self.expr(p)),
        }
    }

    /// Whether all bits of `name` are read.
    pub fn all(&self, name: &Name, width: usize) -> bool {
        self.whole.contains(name) || self.bits.get(name).is_some_and(|b| b.len() >= width)
    }

    pub fn any(&self, name: &Name) -> bool {
        self.whole.contains(name) || self.bits.contains_key(name)
    }
}
