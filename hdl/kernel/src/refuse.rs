//! What no kernel may hold, wherever in it: refused before anything is lowered, with what to write instead.

use syn::visit::{self, Visit};
use syn::{spanned::Spanned, Attribute, BinOp, Block, Expr, Item, Result};

pub fn check(block: &Block) -> Result<()> {
    let mut refuse = Refuse(None);
    refuse.visit_block(block);
    refuse.0.map_or(Ok(()), Err)
}

/// The first refusal.
struct Refuse(Option<syn::Error>);

impl<'s> Visit<'s> for Refuse {
    fn visit_expr(&mut self, e: &'s Expr) {
        let cause = match e {
            Expr::Return(_) => {
                "a kernel has no early `return`; end in a value: `if c { a } else { b }`"
            }
            Expr::Break(_) | Expr::Continue(_) => {
                "loops are unrolled whole, without `break` and `continue`; use `if`"
            }
            Expr::While(_) | Expr::Loop(_) => {
                "only loops over constant ranges are unrolled: `for i in a..b`"
            }
            Expr::Closure(_) => "closures do not lower to hardware; write a `#[kernel] fn`",
            Expr::Let(_) => "`if let` does not lower to hardware; use `match`",
            Expr::Binary(b) if assigns(&b.op) => {
                "write the assignment out: `x = x + y`, `self.x.next = ..`"
            }
            _ => return visit::visit_expr(self, e),
        };
        self.refuse(e.span(), cause);
    }

    fn visit_local(&mut self, local: &'s syn::Local) {
        if let Some((_, diverge)) = local.init.as_ref().and_then(|init| init.diverge.as_ref()) {
            self.refuse(diverge.span(), "a kernel's `let` has no `else`; use `match`");
        }
        visit::visit_local(self, local);
    }

    fn visit_attribute(&mut self, a: &'s Attribute) {
        if a.path().is_ident("cfg") || a.path().is_ident("cfg_attr") {
            let cause = "the simulator alone would heed this; use `if` with a constant";
            self.refuse(a.span(), cause);
        }
    }

    // Constants are plain Rust.
    fn visit_item(&mut self, _: &'s Item) {}
}

impl Refuse {
    fn refuse(&mut self, span: proc_macro2::Span, cause: &str) {
        self.0.get_or_insert_with(|| syn::Error::new(span, cause));
    }
}

fn assigns(op: &BinOp) -> bool {
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}
