//! The kernel as the simulator runs it.

use quote::quote;
use syn::visit_mut::{self, VisitMut};
use syn::{parse_quote, Block, Expr, ExprMatch, Pat};

/// The kernel's Rust, with matches on numbers rewritten: Rust cannot match `Bits` against integers.
pub fn simulated(block: &Block) -> Block {
    let mut block = block.clone();
    Numbers.visit_block_mut(&mut block);
    block
}

pub fn simulated_expr(e: &Expr) -> Expr {
    let mut e = e.clone();
    Numbers.visit_expr_mut(&mut e);
    e
}

struct Numbers;

impl VisitMut for Numbers {
    fn visit_expr_match_mut(&mut self, m: &mut ExprMatch) {
        visit_mut::visit_expr_match_mut(self, m);
        let mut numbers = vec![];
        let mut states = false;
        for arm in &m.arms {
            collect(&arm.pat, &mut numbers, &mut states);
        }
        if numbers.is_empty() || states {
            return;
        }
        let test = &m.expr;
        *m.expr = parse_quote! { ::nitor_rtl::match_key(#test) };
        for arm in &mut m.arms {
            let mut cases = vec![];
            collect(&arm.pat, &mut cases, &mut states);
            if cases.is_empty() {
                continue;
            }
            arm.pat = parse_quote! { __key };
            let tests = cases.iter().map(|c| quote! { __key == (#c) as u128 });
            let guard: Expr = parse_quote! { #(#tests)||* };
            arm.guard = Some((syn::token::If::default(), Box::new(guard)));
        }
        let open = m.arms.iter().any(|a| matches!(a.pat, Pat::Wild(_)));
        if !open {
            m.arms.push(parse_quote! { _ => unreachable!("all values are matched"), });
        }
    }
}

/// The numbers of a pattern; `states` is set by a path to a variant.
fn collect(pat: &Pat, numbers: &mut Vec<Expr>, states: &mut bool) {
    match pat {
        Pat::Or(or) => or.cases.iter().for_each(|p| collect(p, numbers, states)),
        Pat::Paren(p) => collect(&p.pat, numbers, states),
        Pat::Lit(l) if matches!(l.lit, syn::Lit::Int(_)) => numbers.push(Expr::Lit(l.clone())),
        Pat::Ident(i) => {
            let ident = &i.ident;
            numbers.push(parse_quote! { #ident });
        }
        Pat::Path(p) => {
            let last = p.path.segments.last().map(|s| s.ident.to_string());
            match last.is_some_and(|n| n.chars().any(|c| c.is_ascii_lowercase())) {
                true => *states = true,
                false => numbers.push(Expr::Path(p.clone())),
            }
        }
        _ => {}
    }
}
