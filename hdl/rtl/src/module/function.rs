//! Emits helpers as Verilog functions.

use super::kernel::{push, Kernel};
use super::print::{conditional, declared, Printer};
use super::usage::{Name, Usage};
use crate::roll::roll;
use crate::text::{bits, number};
use crate::tree::{assigned, Expr, Kind, Stmt, Target};
use std::collections::BTreeSet;

impl Kernel<'_> {
    /// The functions that are called, callees before callers.
    pub(super) fn functions(&mut self) -> Result<Vec<Vec<String>>, String> {
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<usize> = self.used.calls.iter().copied().collect();
        while let Some(f) = open.pop() {
            if wanted.insert(f) {
                let function = &self.w.text.tree.functions[f];
                let mut inner = Usage::default();
                inner.block(&function.body);
                inner.expr(&function.value);
                open.extend(inner.calls);
                self.used.states.extend(inner.states);
            }
        }
        Ok(wanted.into_iter().map(|f| self.function(f)).collect())
    }

    fn function(&mut self, f: usize) -> Vec<String> {
        let function = self.w.text.tree.functions[f].clone();
        let mut used = Usage::default();
        used.block(&function.body);
        used.expr(&function.value);
        let name = self.w.text.functions[&f].clone();
        let scope = self.w.text.names.scope();
        let stmts = roll(function.body, 0, &self.w.text.tree.locals);
        let mut inputs = vec![];
        let mut unused = vec![];
        for &id in &function.params {
            let (stem, width) = {
                let l = &self.w.text.tree.locals[id];
                (l.stem.clone(), l.width)
            };
            let verilog = self.w.text.names.unique(&stem);
            inputs.push(format!("    input {}{verilog};", bits(width)));
            if !used.all(&Name::Local(id), width) {
                unused.push(verilog.clone());
            }
            self.w.text.locals.insert(id, verilog);
        }
        let mut own = assigned(&stmts);
        // The local that is the value gets the name of the function.
        let value = match &function.value {
            Expr::Local(id) if own.contains(id) => Some(*id),
            _ => None,
        };
        own.retain(|id| Some(*id) != value);
        // Locals that the value reads are in use to the end.
        let result = Kind::Assign(Target::Signal(String::new()), function.value.clone());
        let whole = [stmts.clone(), vec![Stmt::new(result, "")]].concat();
        let (mut locals, mut first) = self.scoped(&own, &whole);
        for id in &own {
            let width = self.w.text.tree.locals[*id].width;
            let verilog = self.w.text.locals[id].clone();
            if !used.all(&Name::Local(*id), width) && !unused.contains(&verilog) {
                unused.push(verilog);
            }
        }
        if let Some(id) = value {
            self.w.text.locals.insert(id, name.clone());
            if conditional(&stmts, &BTreeSet::from([id])).contains(&id) {
                first.push(format!("    {name} = {};", number(function.width, 0)));
            }
        }
        let sink = match unused.is_empty() {
            true => None,
            false => {
                let sink = self.w.text.names.unique("unused");
                locals.push((sink.clone(), 1));
                Some(format!("    {sink} = &{{1'b0, {}}};", unused.join(", ")))
            }
        };
        let mut printer = Printer {
            text: &mut self.w.text,
            equals: "=",
            said: &mut self.said,
            indices: BTreeSet::new(),
            branched: BTreeSet::new(),
            lines: vec![],
        };
        printer.block(&stmts, 1);
        let Printer { indices, branched, mut lines, .. } = printer;
        if value.is_none() {
            let text = self.w.text.expr(&function.value);
            push(&mut lines, format!("    {name} = {text};"), "");
        }
        self.w.text.names.leave(scope);
        let mut out: Vec<String> = function.doc.iter().map(|l| format!("// {l}")).collect();
        out.push(format!("function {}{name};", bits(function.width)));
        out.extend(inputs);
        out.extend(declared(locals, 1));
        out.extend(indices.iter().map(|i| format!("    integer {i};")));
        out.push("begin".to_string());
        out.extend(branched.iter().map(|i| format!("    {i} = 0;")));
        out.extend(first);
        out.extend(lines);
        out.extend(sink);
        out.push("end".to_string());
        out.push("endfunction".to_string());
        out
    }
}
