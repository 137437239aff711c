//! Statements.

use crate::scope::{Local, Lower};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{spanned::Spanned, Block, Expr, ExprIf, ExprMatch, Pat, Result, Stmt};

impl Lower {
    /// A block whose value, if any, is not used.
    pub fn block_statements(&mut self, block: &Block) -> Result<TokenStream> {
        self.enter();
        let mut out = TokenStream::new();
        for stmt in &block.stmts {
            out.extend(self.place(stmt.span()));
            out.extend(self.statement(stmt)?);
        }
        self.leave();
        Ok(quote! { { #out } })
    }

    /// A block as a value: its statements, then its last expression.
    pub fn block_value(&mut self, block: &Block) -> Result<TokenStream> {
        let Some((Stmt::Expr(last, None), rest)) = block.stmts.split_last() else {
            return Err(syn::Error::new(block.span(), "this block must end in a value"));
        };
        self.enter();
        let mut out = TokenStream::new();
        for stmt in rest {
            out.extend(self.place(stmt.span()));
            out.extend(self.statement(stmt)?);
        }
        out.extend(self.place(last.span()));
        let value = self.expr(last)?;
        self.leave();
        Ok(quote! { { #out #value } })
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<TokenStream> {
        match stmt {
            Stmt::Local(local) => self.local(local),
            Stmt::Expr(e, _) => self.expr_statement(e),
            Stmt::Macro(m) => self.macro_statement(&m.mac),
            Stmt::Item(i) => match i {
                syn::Item::Const(c) => {
                    self.constant(&c.ident);
                    Ok(quote! { #c })
                }
                syn::Item::Use(u) => Ok(quote! { #u }),
                _ => Err(syn::Error::new(
                    i.span(),
                    "only `const` and `use` items belong in a kernel",
                )),
            },
        }
    }

    fn local(&mut self, local: &syn::Local) -> Result<TokenStream> {
        let mut pat = &local.pat;
        if let Pat::Type(t) = pat {
            pat = &t.pat;
        }
        let Pat::Ident(name) = pat else {
            return Err(syn::Error::new(pat.span(), "a kernel's `let` binds one name"));
        };
        let Some(init) = &local.init else {
            return Err(syn::Error::new(local.span(), "a kernel's `let` needs a value"));
        };
        if self.is_constant(&init.expr) && name.mutability.is_none() {
            let value = &init.expr;
            let ident = &name.ident;
            let ty = match &local.pat {
                Pat::Type(t) => {
                    let t = &t.ty;
                    quote! { : #t }
                }
                _ => quote! {},
            };
            self.constant(ident);
            return Ok(quote! { let #ident #ty = #value; });
        }
        let value = self.expr(&init.expr)?;
        let text = name.ident.to_string();
        let wire = self.bind(&name.ident);
        let bind = match name.mutability {
            Some(_) => quote! { variable },
            None => quote! { bind },
        };
        let typed = self.typed(local, &init.expr, &wire);
        Ok(quote! { let __v = #value; let #wire = __k.#bind(#text, __v); #typed })
    }

    /// The local as Rust has it, never computed: its type says where a record's fields are.
    fn typed(&self, local: &syn::Local, init: &Expr, wire: &syn::Ident) -> TokenStream {
        let (pat, ty) = match &local.pat {
            Pat::Type(t) => {
                let ty = &t.ty;
                (&*t.pat, quote! { : #ty })
            }
            pat => (pat, quote! {}),
        };
        let Pat::Ident(name) = pat else { return quote! {} };
        let (ident, init) = (&name.ident, witness(init));
        quote! { let #ident #ty = #init; __k.typed(&#wire, &#ident); }
    }

    fn expr_statement(&mut self, e: &Expr) -> Result<TokenStream> {
        match e {
            Expr::Assign(a) => self.assignment(a),
            Expr::If(i) => self.if_statement(i),
            Expr::Match(m) => self.match_statement(m),
            Expr::ForLoop(f) => {
                let Pat::Ident(index) = &*f.pat else {
                    return Err(syn::Error::new(f.pat.span(), "a loop index is one name"));
                };
                if !matches!(&*f.expr, Expr::Range(_)) || !self.is_constant(&f.expr) {
                    return Err(syn::Error::new(
                        f.expr.span(),
                        "loops run over constant ranges: `for i in a..b`",
                    ));
                }
                self.enter();
                let ident = &index.ident;
                self.constant(ident);
                let (range, text) = (&f.expr, ident.to_string());
                let body = self.block_statements(&f.body)?;
                self.leave();
                let here = place(f.span());
                Ok(quote! {
                    __k.begin_loop(#text);
                    for #ident in #range {
                        __k.begin();
                        #body
                        __k.end_turn(#ident as i128);
                    }
                    #here
                    __k.end_loop();
                })
            }
            Expr::Block(b) => self.block_statements(&b.block),
            Expr::Macro(m) => self.macro_statement(&m.mac),
            Expr::Call(c) => self.link_statement(c),
            Expr::MethodCall(m) => self.put_statement(m),
            _ => Err(syn::Error::new(
                e.span(),
                "this is no statement of a kernel: `let`, assignments, `if`, `match`, `for`",
            )),
        }
    }

    fn if_statement(&mut self, i: &ExprIf) -> Result<TokenStream> {
        let condition = self.expr(&i.cond)?;
        let then = self.block_statements(&i.then_branch)?;
        let otherwise = match &i.else_branch {
            Some((_, e)) => match &**e {
                Expr::Block(b) => self.block_statements(&b.block)?,
                Expr::If(i) => {
                    // A scope of its own: it has a condition of its own.
                    let inner = self.if_statement(i)?;
                    let here = place(i.span());
                    quote! { { #here #inner } }
                }
                e => return Err(syn::Error::new(e.span(), "unsupported else")),
            },
            None => quote! {},
        };
        if self.is_constant(&i.cond) {
            let c = &i.cond;
            return Ok(quote! { if #c { #then } else { #otherwise } });
        }
        let here = place(i.span());
        Ok(quote! {
            let __c = #condition;
            __k.begin();
            #then
            __k.begin();
            #otherwise
            #here
            __k.end_if(__c);
        })
    }

    fn match_statement(&mut self, m: &ExprMatch) -> Result<TokenStream> {
        let test = self.expr(&m.expr)?;
        let mut arms = TokenStream::new();
        for arm in &m.arms {
            let patterns = self.patterns(arm)?;
            let here = self.place(arm.span());
            let body = match &*arm.body {
                Expr::Block(b) => self.block_statements(&b.block)?,
                Expr::Tuple(t) if t.elems.is_empty() => quote! {},
                e => self.expr_statement(e)?,
            };
            arms.extend(quote! {
                __k.begin();
                #here
                { #body }
                let __p: Vec<::nitor_rtl::build::Expr> = #patterns;
                __k.end_arm(__p);
            });
        }
        let here = place(m.span());
        Ok(quote! {
            let __m = #test;
            __k.begin_match();
            #arms
            #here
            __k.end_match(__m);
        })
    }

    /// The patterns of an arm; an empty list is `_`.
    pub fn patterns(&mut self, arm: &syn::Arm) -> Result<TokenStream> {
        if let Some((_, guard)) = &arm.guard {
            return Err(syn::Error::new(
                guard.span(),
                "match guards do not lower to hardware; use `if`",
            ));
        }
        let mut list = vec![];
        self.pattern(&arm.pat, &mut list)?;
        Ok(quote! { vec![#(#list),*] })
    }

    fn pattern(&mut self, pat: &Pat, list: &mut Vec<TokenStream>) -> Result<()> {
        match pat {
            Pat::Wild(_) => {}
            Pat::Or(or) => {
                for case in &or.cases {
                    if matches!(case, Pat::Wild(_)) {
                        return Err(syn::Error::new(case.span(), "`_` stands alone in a pattern"));
                    }
                    self.pattern(case, list)?;
                }
            }
            Pat::Lit(l) if matches!(l.lit, syn::Lit::Int(_) | syn::Lit::Bool(_)) => {
                list.push(quote! { ::nitor_rtl::build::number(#l as u128) })
            }
            Pat::Path(p) => list.push(self.expr(&Expr::Path(p.clone()))?),
            Pat::Ident(i) if i.subpat.is_none() && self.is_constant(&constant(&i.ident)) => {
                let ident = &i.ident;
                list.push(quote! { ::nitor_rtl::build::number(#ident as u128) })
            }
            Pat::Paren(p) => self.pattern(&p.pat, list)?,
            _ => {
                return Err(syn::Error::new(
                    pat.span(),
                    "patterns are states, integers, constants, `|` and `_`",
                ))
            }
        }
        Ok(())
    }

    fn macro_statement(&mut self, mac: &syn::Macro) -> Result<TokenStream> {
        let name = mac.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        let args: WireArgs = match name.as_str() {
            "registers" | "clocked" => mac.parse_body()?,
            _ => {
                return Err(syn::Error::new(
                    mac.span(),
                    "the macros of a kernel are `registers!` and `clocked!`",
                ))
            }
        };
        let clock = args.clock.to_string();
        let mut out = TokenStream::new();
        for item in &args.items {
            let text = item.name.to_string();
            let field = &item.name;
            let names = if item.array {
                quote! { (0..self.#field.len()).map(|i| format!("{}${}", #text, i)).collect::<Vec<_>>() }
            } else {
                quote! { vec![#text.to_string()] }
            };
            let registers = name == "registers";
            let reset = match &args.reset {
                Some(r) => {
                    let r = r.to_string();
                    quote! { __k.wire(format!("{__n}$reset"), #r.to_string()); }
                }
                None if registers => quote! { __k.unset(format!("{__n}$reset")); },
                None => quote! {},
            };
            let hold =
                registers.then(|| quote! { __k.wire(format!("{__n}$d"), format!("{__n}$q")); });
            out.extend(quote! {
                for __n in #names {
                    __k.wire(format!("{__n}$clock"), #clock.to_string());
                    #reset
                    #hold
                }
            });
        }
        Ok(out)
    }

    fn link_statement(&mut self, c: &syn::ExprCall) -> Result<TokenStream> {
        let Expr::Path(p) = &*c.func else {
            return Err(syn::Error::new(
                c.span(),
                "only `join` and `link` are calls without a value",
            ));
        };
        let last = p.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        if (last != "join" && last != "link") || c.args.len() != 2 {
            return Err(syn::Error::new(
                c.span(),
                "only `join` and `link` are calls without a value",
            ));
        }
        let mut path = p.path.clone();
        if let Some(seg) = path.segments.last_mut() {
            seg.ident = quote::format_ident!("{}_hdl", last);
        }
        let mut ends = vec![];
        for arg in &c.args {
            let Expr::Reference(r) = arg else {
                return Err(syn::Error::new(arg.span(), "give `&mut self.x`"));
            };
            ends.push(self.path_name(&r.expr)?);
        }
        let (a, b) = (&ends[0], &ends[1]);
        Ok(quote! { { let __a = #a; let __b = #b; __k.link(#path("", &__a, &__b)); } })
    }

    fn put_statement(&mut self, m: &syn::ExprMethodCall) -> Result<TokenStream> {
        if m.method != "put" || m.args.len() != 1 {
            return Err(syn::Error::new(
                m.span(),
                "the only method that is a statement is `put`: `self.stream.put(record)`",
            ));
        }
        let (value, end) = (self.expr(&m.args[0])?, self.path_name(&m.receiver)?);
        let receiver = &m.receiver;
        let witness = witness(&syn::parse_quote! { ::nitor_rtl::Carries::get(&#receiver) });
        Ok(quote! { { let __v = #value; let __end = #end; __k.put(&#witness, &__end, __v); } })
    }

    fn assignment(&mut self, a: &syn::ExprAssign) -> Result<TokenStream> {
        let value = self.expr(&a.right)?;
        if let Some((wire, fields)) = self.field(&a.left) {
            return Ok(quote! { {
                let __v = #value;
                __k.set(&#wire, ::nitor_rtl::build::with_field(#wire.clone(), &[#(#fields),*], __v));
            } });
        }
        if let Some((_, wire)) = self.variable(&a.left) {
            return Ok(quote! { let __v = #value; __k.set(&#wire, __v); });
        }
        if let Expr::Field(f) = &*a.left {
            if matches!(&f.member, syn::Member::Named(n) if n == "next") {
                let name = self.path_name(&f.base)?;
                return Ok(quote! { let __v = #value; __k.assign(#name, __v); });
            }
        }
        Err(syn::Error::new(a.left.span(), "assign to `self.signal.next` or to a `let mut`"))
    }

    /// A field of a record that is a variable: the variable, and where each field on the way is.
    fn field(&self, e: &Expr) -> Option<(syn::Ident, Vec<TokenStream>)> {
        let Expr::Field(f) = e else { return None };
        let syn::Member::Named(name) = &f.member else { return None };
        let place = crate::expr::field_place(&f.base, name);
        match self.variable(&f.base) {
            Some((_, wire)) => Some((wire, vec![place])),
            None => {
                let (wire, mut fields) = self.field(&f.base)?;
                fields.push(place);
                Some((wire, fields))
            }
        }
    }

    fn variable(&self, e: &Expr) -> Option<(syn::Ident, syn::Ident)> {
        let Expr::Path(p) = e else { return None };
        let ident = p.path.get_ident()?;
        match self.find(ident) {
            Some(Local::Wire(wire)) => Some((ident.clone(), wire.clone())),
            _ => None,
        }
    }

    /// Whether a piece of syntax assigns variables of outer scopes, or signals.
    pub fn assigns(&self, e: &Expr) -> bool {
        struct Find<'a>(&'a Lower, bool);
        impl<'s> syn::visit::Visit<'s> for Find<'_> {
            fn visit_expr_assign(&mut self, a: &'s syn::ExprAssign) {
                let signal = matches!(&*a.left, Expr::Field(_));
                self.1 |= signal || self.0.variable(&a.left).is_some();
                syn::visit::visit_expr_assign(self, a);
            }

            fn visit_expr_method_call(&mut self, m: &'s syn::ExprMethodCall) {
                self.1 |= m.method == "put";
                syn::visit::visit_expr_method_call(self, m);
            }
        }
        let mut find = Find(self, false);
        syn::visit::Visit::visit_expr(&mut find, e);
        find.1
    }

    /// Tells the tree the source's file and line, and the comments above it.
    pub fn place(&mut self, span: proc_macro2::Span) -> TokenStream {
        let here = place(span);
        let lines = self.comments_above(span.start().line);
        match lines.is_empty() {
            true => here,
            false => quote! { #here __k.comment(&[#(#lines),*]); },
        }
    }
}

/// Tells the tree the source's file and line.
pub fn place(span: proc_macro2::Span) -> TokenStream {
    quote_spanned! { span => __k.at(file!(), line!()); }
}

/// An expression as Rust has it, of which only the type counts.
pub fn witness(e: &Expr) -> TokenStream {
    let e = crate::rust::simulated_expr(e);
    quote! { ::nitor_rtl::build::witness(|| #e) }
}

fn constant(name: &syn::Ident) -> Expr {
    syn::parse_quote! { #name }
}

struct WireArgs {
    clock: syn::Ident,
    reset: Option<syn::Ident>,
    items: Vec<WireItem>,
}

struct WireItem {
    name: syn::Ident,
    array: bool,
}

impl syn::parse::Parse for WireArgs {
    fn parse(input: syn::parse::ParseStream) -> Result<Self> {
        input.parse::<syn::Token![self]>()?;
        input.parse::<syn::Token![,]>()?;
        let clock = input.parse()?;
        let reset = if input.peek(syn::Token![,]) {
            input.parse::<syn::Token![,]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        input.parse::<syn::Token![;]>()?;
        let mut items = vec![];
        while !input.is_empty() {
            let name = input.parse()?;
            let array = input.peek(syn::token::Bracket);
            if array {
                let inner;
                syn::bracketed!(inner in input);
                inner.parse::<syn::Token![..]>()?;
            }
            items.push(WireItem { name, array });
            if !input.is_empty() {
                input.parse::<syn::Token![,]>()?;
            }
        }
        Ok(Self { clock, reset, items })
    }
}

/// `connect`: the kernel's control flow reduced to loops and what each statement drives.
pub fn connects(block: &Block) -> TokenStream {
    let mut out = TokenStream::new();
    for stmt in &block.stmts {
        match stmt {
            Stmt::Expr(e, _) => out.extend(connects_expr(e)),
            Stmt::Macro(m) => out.extend(connects_macro(&m.mac)),
            Stmt::Item(i @ (syn::Item::Const(_) | syn::Item::Use(_))) => {
                out.extend(quote! { #[allow(dead_code, unused_imports)] #i });
            }
            Stmt::Local(l) => {
                // Constants may be used in array indices below.
                if let (Pat::Ident(n), Some(init)) = (&l.pat, &l.init) {
                    if n.mutability.is_none() && Lower::default().is_constant(&init.expr) {
                        out.extend(quote! { #[allow(unused_variables)] #l });
                    }
                }
            }
            _ => {}
        }
    }
    out
}

fn connects_expr(e: &Expr) -> TokenStream {
    match e {
        Expr::Assign(a) => match &*a.left {
            Expr::Field(f) if matches!(&f.member, syn::Member::Named(n) if n == "next") => {
                let base = &f.base;
                quote_spanned! { base.span() => logic::logic_connect_fn(&mut #base); }
            }
            _ => quote! {},
        },
        Expr::If(i) => {
            let mut out = connects(&i.then_branch);
            if let Some((_, e)) = &i.else_branch {
                out.extend(connects_expr(e));
            }
            quote! { { #out } }
        }
        Expr::Match(m) => m.arms.iter().map(|a| connects_expr(&a.body)).collect(),
        Expr::Block(b) => {
            let inner = connects(&b.block);
            quote! { { #inner } }
        }
        Expr::ForLoop(f) => {
            let (pat, range, body) = (&f.pat, &f.expr, connects(&f.body));
            quote! { #[allow(unused_variables)] for #pat in #range { #body } }
        }
        Expr::Macro(m) => connects_macro(&m.mac),
        Expr::MethodCall(m) if m.method == "put" => {
            let end = &m.receiver;
            quote_spanned! { end.span() => ::nitor_rtl::Carries::connect_payload(&mut #end); }
        }
        Expr::Call(c) if c.args.len() == 2 => {
            let last = match &*c.func {
                Expr::Path(p) => {
                    p.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default()
                }
                _ => String::new(),
            };
            let (a, b) = (&c.args[0], &c.args[1]);
            match last.as_str() {
                "join" => quote! { logic::logic_connect_join_fn(#a, #b); },
                "link" => quote! { logic::logic_connect_link_fn(#a, #b); },
                _ => quote! {},
            }
        }
        _ => quote! {},
    }
}

fn connects_macro(mac: &syn::Macro) -> TokenStream {
    let Ok(args) = mac.parse_body::<WireArgs>() else {
        return quote! {};
    };
    let registers = mac.path.is_ident("registers");
    let mut out = TokenStream::new();
    for item in &args.items {
        let field = &item.name;
        let reset = (registers || args.reset.is_some())
            .then(|| quote! { logic::logic_connect_fn(&mut __b.reset); });
        let d = registers.then(|| quote! { logic::logic_connect_fn(&mut __b.d); });
        let body = quote! { logic::logic_connect_fn(&mut __b.clock); #reset #d };
        out.extend(if item.array {
            quote! { for __b in self.#field.iter_mut() { #body } }
        } else {
            quote! { { let __b = &mut self.#field; #body } }
        });
    }
    out
}
