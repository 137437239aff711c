//! Locals in Verilog.

use super::{bits, unplaced, Def, Kernel, PLACE};
use crate::expr::literal;
use rust_hdl_core::ast::{
    VerilogBlockOrConditional as Else, VerilogExpression as Expr, VerilogStatement as Stmt,
};
use std::collections::BTreeSet;

impl Kernel<'_> {
    /// Wires of `let`s and multiplexers; those nobody reads are left out.
    pub(super) fn locals(&mut self) -> Result<(Vec<String>, Vec<String>), String> {
        let mut decls = vec![];
        let mut logic = vec![];
        let defs = std::mem::take(&mut self.defs);
        // Readers come after what they read, so one walk from the end finds all that is used.
        for (name, def) in defs.iter().rev() {
            let verilog = self.w.scope.names.of(name);
            let used =
                self.w.scope.read.contains(&verilog) || self.w.scope.read_partly.contains(&verilog);
            if !used {
                continue;
            }
            let width = self.w.scope.width_of(name)?;
            let place = name.splitn(4, '%').nth(3).unwrap_or("");
            match def {
                Def::Value(e) => {
                    let text = self.w.scope.assigned(e, width)?;
                    decls.push(format!("wire {}{verilog};", bits(width)));
                    logic.push(format!("assign {verilog} = {text};{PLACE}{place}"));
                }
                Def::Mux(Stmt::If(c)) => {
                    let test = self.w.scope.sized(&c.test, 1)?;
                    let mut value = |b: &[Stmt]| match b {
                        [Stmt::Assignment(_, e)] => self.w.scope.sized(e, width),
                        _ => Err("a multiplexer with more than its value".to_string()),
                    };
                    let then = value(&c.then)?;
                    let otherwise = match &c.otherwise {
                        Else::Block(b) => value(b)?,
                        _ => return Err("a multiplexer without an else".to_string()),
                    };
                    decls.push(format!("wire {}{verilog};", bits(width)));
                    let text = format!("{test} ? {then} : {otherwise}");
                    logic.push(format!("assign {verilog} = {text};{PLACE}{place}"));
                }
                Def::Mux(stmt) => {
                    let own = BTreeSet::from([name.clone()]);
                    let Stmt::Match(m) = stmt else {
                        return Err("an unknown multiplexer".to_string());
                    };
                    // Without `_` all states are named; the first serves codes that are no state.
                    let mut m = m.clone();
                    if !m.cases.iter().any(|c| c.condition == "default") {
                        if let Some(first) = m.cases.first_mut() {
                            first.condition = "default".to_string();
                        }
                        m.cases.rotate_left(1);
                    }
                    let mut text = String::from("always @* begin\n");
                    self.statements_text(&[Stmt::Match(m)], &own, 1, &mut text)?;
                    text.push_str("end");
                    decls.push(format!("reg {}{verilog};", bits(width)));
                    let text: Vec<_> =
                        text.lines().map(|l| format!("{}{PLACE}{place}", unplaced(l))).collect();
                    logic.push(text.join("\n"));
                }
                Def::Replace(a, w, i, v) => {
                    let at = match i {
                        Expr::Literal(l) => Some(literal(l)? as usize),
                        _ => None,
                    };
                    if let Some(at) = at {
                        let text = self.w.scope.replaced(a, width, at, *w, v)?;
                        decls.push(format!("wire {}{verilog};", bits(width)));
                        logic.push(format!("assign {verilog} = {text};"));
                        continue;
                    }
                    let base = self.w.scope.assigned(a, width)?;
                    let index = self.w.scope.condition_any(i)?;
                    let place = match w {
                        1 => format!("[{index}]"),
                        w => format!("[{index} +: {w}]"),
                    };
                    let value = self.w.scope.assigned(v, *w)?;
                    decls.push(format!("reg {}{verilog};", bits(width)));
                    logic.push(format!(
                        "always @* begin\n    {verilog} = {base};\n    {verilog}{place} = {value};\nend"
                    ));
                }
            }
        }
        decls.reverse();
        logic.reverse();
        Ok((decls, logic))
    }
}
