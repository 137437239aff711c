//! Expressions.

use crate::scope::{Local, Lower};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    spanned::Spanned, BinOp, Expr, ExprCall, ExprMethodCall, GenericArgument, Lit, PathArguments,
    Result, UnOp,
};

const BUILTINS: [&str; 5] = ["lit", "bit_cast", "cat", "from", "default"];

fn last_name(path: &syn::Path) -> String {
    path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default()
}

fn is_shouting(name: &str) -> bool {
    !name.chars().any(|c| c.is_ascii_lowercase())
}

fn turbofish(path: &syn::Path) -> Vec<TokenStream> {
    match path.segments.last().map(|s| &s.arguments) {
        Some(PathArguments::AngleBracketed(a)) => a.args.iter().map(bare).collect(),
        _ => vec![],
    }
}

/// A generic argument as a plain expression: without the braces that only generics need.
fn bare(argument: &GenericArgument) -> TokenStream {
    if let GenericArgument::Const(Expr::Block(b)) = argument {
        if let [syn::Stmt::Expr(e, None)] = b.block.stmts.as_slice() {
            return quote! { #e };
        }
    }
    quote! { #argument }
}

/// A field of a record, as `build` takes it.
pub fn field_place(base: &Expr, name: &syn::Ident) -> TokenStream {
    let (base, method) = (crate::stmt::witness(base), format_ident!("__at_{}", name));
    quote! { #base.#method() }
}

impl Lower {
    /// Whether an expression is a plain Rust value when the block is emitted.
    pub fn is_constant(&self, e: &Expr) -> bool {
        match e {
            Expr::Lit(_) => true,
            Expr::Path(p) => match p.path.get_ident() {
                Some(ident) => match self.find(ident) {
                    Some(Local::Wire(_)) => false,
                    Some(Local::Constant) => true,
                    None => ident.to_string().starts_with(|c: char| c.is_ascii_uppercase()),
                },
                None => is_shouting(&last_name(&p.path)),
            },
            Expr::Binary(b) => self.is_constant(&b.left) && self.is_constant(&b.right),
            Expr::Unary(u) => self.is_constant(&u.expr),
            Expr::Paren(p) => self.is_constant(&p.expr),
            Expr::Group(g) => self.is_constant(&g.expr),
            // Also `Counter::TxFrames as usize`.
            Expr::Cast(c) => {
                let variant = |p: &syn::ExprPath| p.path.segments.len() > 1;
                self.is_constant(&c.expr) || matches!(&*c.expr, Expr::Path(p) if variant(p))
            }
            Expr::Block(b) => match b.block.stmts.as_slice() {
                [syn::Stmt::Expr(e, None)] => self.is_constant(e),
                _ => false,
            },
            Expr::If(i) => {
                let then = match i.then_branch.stmts.as_slice() {
                    [syn::Stmt::Expr(e, None)] => self.is_constant(e),
                    _ => false,
                };
                then && self.is_constant(&i.cond)
                    && i.else_branch.as_ref().is_some_and(|(_, e)| self.is_constant(e))
            }
            Expr::Range(r) => {
                r.start.as_ref().is_some_and(|e| self.is_constant(e))
                    && r.end.as_ref().is_some_and(|e| self.is_constant(e))
            }
            Expr::Field(f) => {
                matches!(&*f.base, Expr::Path(p) if p.path.is_ident("self"))
                    && matches!(&f.member, syn::Member::Named(n) if n.to_string().starts_with('_'))
            }
            Expr::Index(i) => self.is_constant(&i.expr) && self.is_constant(&i.index),
            Expr::Array(a) => a.elems.iter().all(|e| self.is_constant(e)),
            Expr::Call(c) => match &*c.func {
                Expr::Path(p) => {
                    !BUILTINS.contains(&last_name(&p.path).as_str())
                        && c.args.iter().all(|a| self.is_constant(a))
                        && !c.args.is_empty()
                }
                _ => false,
            },
            Expr::MethodCall(m) => {
                self.is_constant(&m.receiver)
                    && m.args.iter().all(|a| self.is_constant(a))
                    && !["into", "to_bits"].contains(&m.method.to_string().as_str())
            }
            _ => false,
        }
    }

    /// The flattened name of `self.a.b[i].c`, as an expression of type String.
    pub fn path_name(&mut self, e: &Expr) -> Result<TokenStream> {
        match e {
            Expr::Field(f) => {
                let syn::Member::Named(name) = &f.member else {
                    return Err(syn::Error::new(f.span(), "tuple fields are no signals"));
                };
                let name = name.to_string();
                if matches!(&*f.base, Expr::Path(p) if p.path.is_ident("self")) {
                    return Ok(quote! { #name.to_string() });
                }
                let base = self.path_name(&f.base)?;
                Ok(quote! { format!("{}${}", #base, #name) })
            }
            Expr::Index(i) => {
                if !self.is_constant(&i.index) {
                    return Err(syn::Error::new(
                        i.index.span(),
                        "arrays of blocks are indexed by constants",
                    ));
                }
                let base = self.path_name(&i.expr)?;
                let index = &i.index;
                Ok(quote! { format!("{}${}", #base, #index) })
            }
            Expr::Paren(p) => self.path_name(&p.expr),
            _ => Err(syn::Error::new(e.span(), "not a signal of this block")),
        }
    }

    /// Lowers to Rust of type `Expr`.
    pub fn expr(&mut self, e: &Expr) -> Result<TokenStream> {
        if self.is_constant(e) {
            if let Expr::Lit(l) = e {
                if let Lit::Bool(b) = &l.lit {
                    return Ok(quote! { ::nitor_rtl::build::bit(#b) });
                }
            }
            return Ok(quote! { ::nitor_rtl::build::number((#e) as u128) });
        }
        match e {
            Expr::Path(p) => self.path(p),
            Expr::Paren(p) => self.expr(&p.expr),
            Expr::Group(g) => self.expr(&g.expr),
            Expr::Block(b) => {
                let value = self.block_value(&b.block)?;
                self.refuse_assignments(b)?;
                Ok(value)
            }
            Expr::If(i) => self.if_value(i),
            Expr::Match(m) => self.match_value(m),
            Expr::Binary(b) => {
                let op = binary(&b.op)
                    .ok_or_else(|| syn::Error::new(b.op.span(), "unsupported operator"))?;
                let (l, r) = (self.expr(&b.left)?, self.expr(&b.right)?);
                Ok(
                    quote! { { let __l = #l; let __r = #r; ::nitor_rtl::build::binary(__l, #op, __r) } },
                )
            }
            Expr::Unary(u) => {
                let op = match u.op {
                    UnOp::Not(_) => quote! { Not },
                    _ => return Err(syn::Error::new(u.span(), "unsupported operator")),
                };
                let a = self.expr(&u.expr)?;
                Ok(
                    quote! { { let __a = #a; ::nitor_rtl::build::unary(::nitor_rtl::build::Unary::#op, __a) } },
                )
            }
            Expr::MethodCall(m) => self.method(m),
            Expr::Call(c) => self.call(c),
            Expr::Field(f) => {
                let syn::Member::Named(name) = &f.member else {
                    return Err(syn::Error::new(f.span(), "a record's fields have names"));
                };
                let (a, place) = (self.expr(&f.base)?, field_place(&f.base, name));
                Ok(quote! { { let __a = #a; ::nitor_rtl::build::field(__a, #place) } })
            }
            Expr::Struct(s) => self.record(s, e),
            _ => Err(syn::Error::new(e.span(), "this expression does not lower to hardware")),
        }
    }

    /// A record's fields as one word.
    fn record(&mut self, s: &syn::ExprStruct, e: &Expr) -> Result<TokenStream> {
        let mut fields = vec![];
        for field in &s.fields {
            let syn::Member::Named(name) = &field.member else {
                return Err(syn::Error::new(field.span(), "a record's fields have names"));
            };
            let (name, value) = (name.to_string(), self.expr(&field.expr)?);
            fields.push(quote! { let __v = #value; __fields.push((#name, __v)); });
        }
        let rest = match &s.rest {
            Some(rest) => {
                let rest = self.expr(rest)?;
                quote! { Some(#rest) }
            }
            None => quote! { None },
        };
        let witness = crate::stmt::witness(e);
        Ok(quote! { {
            let mut __fields = vec![];
            #(#fields)*
            let __rest: Option<::nitor_rtl::build::Expr> = #rest;
            ::nitor_rtl::build::record(&#witness, __fields, __rest)
        } })
    }

    fn path(&mut self, p: &syn::ExprPath) -> Result<TokenStream> {
        if let Some(ident) = p.path.get_ident() {
            return match self.find(ident) {
                Some(Local::Wire(wire)) => Ok(quote! { #wire.clone() }),
                _ => Err(syn::Error::new(
                    p.span(),
                    format!(
                        "`{ident}` is no local of this kernel; signals are read by `self.x.val()`"
                    ),
                )),
            };
        }
        // A state of an enumeration.
        let segments: Vec<_> = p.path.segments.iter().map(|s| s.ident.to_string()).collect();
        let name = segments[segments.len() - 2..].join("::");
        let path = &p.path;
        Ok(quote! { __k.state(#path, #name) })
    }

    fn if_value(&mut self, i: &syn::ExprIf) -> Result<TokenStream> {
        let Some((_, otherwise)) = &i.else_branch else {
            return Err(syn::Error::new(i.span(), "an `if` as a value needs an `else`"));
        };
        if self.is_constant(&i.cond) {
            let (c, t, f) = (&i.cond, self.block_value(&i.then_branch)?, self.expr(otherwise)?);
            return Ok(quote! { if #c { #t } else { #f } });
        }
        let condition = self.expr(&i.cond)?;
        let then = self.block_value(&i.then_branch)?;
        let otherwise = self.expr(otherwise)?;
        self.refuse_assignments(i)?;
        Ok(quote! { {
            let __c = #condition;
            let __t = #then;
            let __f = #otherwise;
            ::nitor_rtl::build::mux(__c, __t, __f)
        } })
    }

    /// A value drives nothing, and changes no variable that was there before.
    fn refuse_assignments(&self, value: &(impl Spanned + Clone + Into<Expr>)) -> Result<()> {
        match self.assigns(&value.clone().into()) {
            false => Ok(()),
            true => Err(syn::Error::new(
                value.span(),
                "assign variables and signals in statements, not inside a value",
            )),
        }
    }

    fn match_value(&mut self, m: &syn::ExprMatch) -> Result<TokenStream> {
        let test = self.expr(&m.expr)?;
        self.refuse_assignments(m)?;
        let mut arms = TokenStream::new();
        for arm in &m.arms {
            let patterns = self.patterns(arm)?;
            let body = self.expr(&arm.body)?;
            arms.extend(quote! {
                let __v = #body;
                let __p: Vec<::nitor_rtl::build::Expr> = #patterns;
                __cases.push((__p, __v));
            });
        }
        Ok(quote! { {
            let __m = #test;
            let mut __cases = vec![];
            #arms
            ::nitor_rtl::build::select(__m, __cases)
        } })
    }

    fn method(&mut self, m: &ExprMethodCall) -> Result<TokenStream> {
        let name = m.method.to_string();
        let generic = || match &m.turbofish {
            Some(t) if t.args.len() == 1 => Ok(bare(&t.args[0])),
            _ => Err(syn::Error::new(m.span(), format!("give the width: `{name}::<N>(..)`"))),
        };
        if name == "val" {
            let path = self.path_name(&m.receiver)?;
            return Ok(quote! { ::nitor_rtl::build::Expr::Signal(#path) });
        }
        if name == "get" && m.args.is_empty() {
            let path = self.path_name(&m.receiver)?;
            let witness = crate::stmt::witness(&Expr::MethodCall(m.clone()));
            return Ok(quote! { ::nitor_rtl::build::payload(&#witness, &#path) });
        }
        let receiver = self.expr(&m.receiver)?;
        let mut args = vec![];
        for a in &m.args {
            args.push(self.expr(a)?);
        }
        let wants = |n: usize| {
            if m.args.len() == n {
                Ok(())
            } else {
                Err(syn::Error::new(m.span(), format!("`{name}` takes {n} arguments")))
            }
        };
        match name.as_str() {
            "into" | "to_bits" | "index" | "clone" => {
                wants(0)?;
                Ok(receiver)
            }
            "any" | "all" | "xor" => {
                wants(0)?;
                let op = match name.as_str() {
                    "any" => quote! { Any },
                    "all" => quote! { All },
                    _ => quote! { Xor },
                };
                Ok(
                    quote! { { let __a = #receiver; ::nitor_rtl::build::unary(::nitor_rtl::build::Unary::#op, __a) } },
                )
            }
            "get_bit" => {
                wants(1)?;
                let i = &args[0];
                Ok(
                    quote! { { let __a = #receiver; let __i = #i; ::nitor_rtl::build::slice(__a, 1, __i) } },
                )
            }
            "get_bits" => {
                wants(1)?;
                let (w, i) = (generic()?, &args[0]);
                Ok(
                    quote! { { let __a = #receiver; let __i = #i; ::nitor_rtl::build::slice(__a, #w, __i) } },
                )
            }
            "replace_bit" => {
                wants(2)?;
                let (i, v) = (&args[0], &args[1]);
                Ok(
                    quote! { { let __a = #receiver; let __i = #i; let __v = #v; ::nitor_rtl::build::replace(__a, 1, __i, __v) } },
                )
            }
            "set_slice" => {
                wants(2)?;
                let (w, i, v) = (generic()?, &args[0], &args[1]);
                Ok(
                    quote! { { let __a = #receiver; let __i = #i; let __v = #v; ::nitor_rtl::build::replace(__a, #w, __i, __v) } },
                )
            }
            _ => Err(syn::Error::new(
                m.method.span(),
                format!("`{name}` does not lower to hardware"),
            )),
        }
    }

    fn call(&mut self, c: &ExprCall) -> Result<TokenStream> {
        let Expr::Path(p) = &*c.func else {
            return Err(syn::Error::new(c.span(), "call a `#[kernel] fn` by its path"));
        };
        let name = last_name(&p.path);
        let generics = turbofish(&p.path);
        let qualifier =
            (p.path.segments.len() > 1).then(|| p.path.segments[p.path.segments.len() - 2].clone());
        let of_bits = qualifier.as_ref().is_some_and(|q| q.ident == "Bits");
        match name.as_str() {
            "lit" if c.args.len() == 1 => {
                let Some(w) = generics.first() else {
                    return Err(syn::Error::new(c.span(), "give the width: `lit::<N>(..)`"));
                };
                if !self.is_constant(&c.args[0]) {
                    return Err(syn::Error::new(c.args[0].span(), "`lit` takes a constant"));
                }
                let value = &c.args[0];
                let at = quote_spanned! { c.span() => concat!(file!(), ":", line!()) };
                Ok(quote! { __k.lit(#value, #w, #at) })
            }
            "bit_cast" if c.args.len() == 1 => {
                let Some(w) = generics.first() else {
                    return Err(syn::Error::new(
                        c.span(),
                        "give the width: `bit_cast::<M, _>(..)`",
                    ));
                };
                let a = self.expr(&c.args[0])?;
                Ok(quote! { { let __a = #a; ::nitor_rtl::build::cast(__a, #w) } })
            }
            "cat" if c.args.len() == 2 => {
                if generics.len() != 3 {
                    return Err(syn::Error::new(
                        c.span(),
                        "give the widths: `cat::<A, B, C>(hi, lo)`",
                    ));
                }
                let (a, b, w) = (&generics[0], &generics[1], &generics[2]);
                let (hi, lo) = (self.expr(&c.args[0])?, self.expr(&c.args[1])?);
                Ok(
                    quote! { { let __h = #hi; let __l = #lo; ::nitor_rtl::build::concat(__h, #a, __l, #b, #w) } },
                )
            }
            "from" if of_bits && c.args.len() == 1 => {
                let a = self.expr(&c.args[0])?;
                let width = qualifier.and_then(|q| match q.arguments {
                    PathArguments::AngleBracketed(a) => a.args.first().map(bare),
                    _ => None,
                });
                match width {
                    Some(w) => Ok(quote! { { let __a = #a; ::nitor_rtl::build::cast(__a, #w) } }),
                    None => Ok(a),
                }
            }
            "from_bits" if c.args.len() == 1 => {
                let (a, witness) = (self.expr(&c.args[0])?, {
                    let call = Expr::Call(c.clone());
                    crate::stmt::witness(&call)
                });
                Ok(quote! { { let __a = #a; ::nitor_rtl::build::from_bits(&#witness, __a) } })
            }
            "lit" | "bit_cast" | "cat" => {
                Err(syn::Error::new(c.span(), format!("wrong number of arguments to `{name}`")))
            }
            "from" => Err(syn::Error::new(c.span(), "only `Bits::<1>::from(bit)` converts")),
            "default" => Err(syn::Error::new(c.span(), "write the value: `lit::<N>(0)`")),
            _ => {
                let mut path = p.path.clone();
                if let Some(seg) = path.segments.last_mut() {
                    seg.ident = format_ident!("{}__hdl", seg.ident);
                }
                let mut values = vec![];
                let mut names = vec![];
                for (i, a) in c.args.iter().enumerate() {
                    values.push(self.expr(a)?);
                    names.push(format_ident!("__a{}", i));
                }
                Ok(quote! { { #(let #names = #values;)* #path(__k.me(), #(#names),*) } })
            }
        }
    }
}

fn binary(op: &BinOp) -> Option<TokenStream> {
    let name = match op {
        BinOp::Add(_) => "Add",
        BinOp::Sub(_) => "Sub",
        BinOp::And(_) => "LogicalAnd",
        BinOp::Or(_) => "LogicalOr",
        BinOp::BitXor(_) => "BitXor",
        BinOp::BitAnd(_) => "BitAnd",
        BinOp::BitOr(_) => "BitOr",
        BinOp::Shl(_) => "Shl",
        BinOp::Shr(_) => "Shr",
        BinOp::Eq(_) => "Eq",
        BinOp::Lt(_) => "Lt",
        BinOp::Le(_) => "Le",
        BinOp::Ne(_) => "Ne",
        BinOp::Ge(_) => "Ge",
        BinOp::Gt(_) => "Gt",
        _ => return None,
    };
    let ident = format_ident!("{}", name);
    Some(quote! { ::nitor_rtl::build::Op::#ident })
}
