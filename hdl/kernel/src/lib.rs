//! `#[kernel]`: lowers a Rust kernel to the emitter's tree.
//!
//! On `fn update(&mut self)` it keeps the function for RustHDL's simulator and adds `connect` (what the block drives) and
//! `hdl`, ordinary Rust that builds the tree when the block is emitted: so `for` loops unroll by running, and const
//! generics, constants and `self._cfg` fields are plain values. On any other function it adds a hidden companion that
//! calls it in the tree: as a function, or in place if it is one expression.

mod expr;
mod record;
mod refuse;
mod rust;
mod scope;
mod stmt;
mod stream;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use scope::Lower;
use syn::{
    parse_macro_input, spanned::Spanned, Attribute, Expr, FnArg, GenericParam, ItemFn, Lit, Meta,
    Pat, Result,
};

#[proc_macro_attribute]
pub fn kernel(
    _: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let item = parse_macro_input!(item as ItemFn);
    lowered(&item).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// A struct that is a word: a register's, a memory's, a port's. Its first field has the lowest bits.
/// With `#[record(layout = T)]` the fields are where `T::LAYOUT` says, in a word of `T::LEN` bytes; what has no
/// field reads 0.
#[proc_macro_attribute]
pub fn record(
    how: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let item = parse_macro_input!(item as syn::ItemStruct);
    let made = layout(how.into()).and_then(|layout| record::record(&item, layout.as_ref()));
    made.unwrap_or_else(|e| e.to_compile_error()).into()
}

fn layout(how: TokenStream) -> Result<Option<syn::Path>> {
    if how.is_empty() {
        return Ok(None);
    }
    let pair: syn::MetaNameValue = syn::parse2(how)?;
    match &pair.value {
        Expr::Path(p) if pair.path.is_ident("layout") => Ok(Some(p.path.clone())),
        _ => Err(syn::Error::new(pair.span(), "`#[record]` or `#[record(layout = T)]`")),
    }
}

/// A record that goes from block to block. Of `struct X` come the interfaces `XSrc` and `XSnk`: `valid`, a
/// signal for each field, and `ready` against them. `#[stream(bus)]` has the fields alone: whoever wants may listen.
#[proc_macro_attribute]
pub fn stream(
    how: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let item = parse_macro_input!(item as syn::ItemStruct);
    let how = how.to_string();
    let made = match how.as_str() {
        "" | "bus" => stream::stream(&item, how == "bus"),
        _ => Err(syn::Error::new(item.span(), "`#[stream]` or `#[stream(bus)]`")),
    };
    made.unwrap_or_else(|e| e.to_compile_error()).into()
}

fn lowered(item: &ItemFn) -> Result<TokenStream> {
    refuse::check(&item.block)?;
    match item.sig.receiver() {
        Some(_) => update(item),
        None => helper(item),
    }
}

fn update(item: &ItemFn) -> Result<TokenStream> {
    if item.sig.ident != "update" || item.sig.inputs.len() != 1 {
        return Err(syn::Error::new(
            item.sig.span(),
            "a kernel with self is `fn update(&mut self)`",
        ));
    }
    let doc = doc_of(&item.attrs);
    let mut lower = Lower::of(&item.block);
    let body = lower.block_statements(&item.block)?;
    let connects = stmt::connects(&item.block);
    let attrs = &item.attrs;
    let block = rust::simulated(&item.block);
    Ok(quote! {
        #(#attrs)*
        #[allow(clippy::assign_op_pattern, clippy::useless_conversion, clippy::identity_op)]
        #[allow(clippy::collapsible_if, clippy::collapsible_else_if, clippy::nonminimal_bool)]
        fn update(&mut self) #block
        fn connect(&mut self) { #connects }
        #[allow(unused_mut, unused_variables, unused_parens, clippy::all)]
        fn hdl(&self) -> ::nitor_rtl::prelude::Verilog {
            let mut __k = ::nitor_rtl::build::Kernel::new(::std::any::type_name::<Self>(), #doc);
            #body
            __k.finish()
        }
    })
}

fn helper(item: &ItemFn) -> Result<TokenStream> {
    let mut lower = Lower::of(&item.block);
    let (mut params, mut args, mut binds) = (vec![], vec![], vec![]);
    for (i, arg) in item.sig.inputs.iter().enumerate() {
        let FnArg::Typed(arg) = arg else {
            return Err(syn::Error::new(arg.span(), "kernel functions take plain arguments"));
        };
        let Pat::Ident(name) = &*arg.pat else {
            return Err(syn::Error::new(arg.pat.span(), "kernel functions take plain arguments"));
        };
        let param = format_ident!("__arg_{}", name.ident);
        let wire = lower.bind(&name.ident);
        let text = name.ident.to_string();
        let (ident, ty) = (&name.ident, &arg.ty);
        binds.push(quote! {
            let #wire = __p[#i].clone();
            let #ident: #ty = Default::default();
            __k.typed(&#wire, &#ident);
        });
        args.push(quote! { (#text, #param) });
        params.push(quote! { #param: ::nitor_rtl::build::Expr });
    }
    let value = lower.block_value(&item.block)?;
    let name = item.sig.ident.to_string();
    let doc = doc_of(&item.attrs);
    let companion = format_ident!("{}__hdl", item.sig.ident);
    let item = &ItemFn { block: Box::new(rust::simulated(&item.block)), ..item.clone() };
    let vis = &item.vis;
    let generics = &item.sig.generics;
    let bounds = &item.sig.generics.where_clause;
    let own = generics.params.iter().map(|p| match p {
        GenericParam::Const(c) => c.ident.clone(),
        GenericParam::Type(t) => t.ident.clone(),
        GenericParam::Lifetime(l) => l.lifetime.ident.clone(),
    });
    Ok(quote! {
        #[allow(clippy::assign_op_pattern, clippy::useless_conversion, clippy::identity_op)]
        #[allow(clippy::collapsible_if, clippy::collapsible_else_if, clippy::nonminimal_bool)]
        #item
        #[doc(hidden)]
        #[allow(non_snake_case, unused_mut, unused_variables, unused_parens, clippy::all)]
        #vis fn #companion #generics (__k: &mut ::nitor_rtl::build::Kernel, #(#params),*) -> ::nitor_rtl::build::Expr #bounds {
            let __name = ::nitor_rtl::build::name_of(#companion::<#(#own),*>);
            __k.call(__name, (#name, #doc), vec![#(#args),*], |__k, __p| {
                #(#binds)*
                #value
            })
        }
    })
}

fn doc_of(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|a| match &a.meta {
        Meta::NameValue(nv) if nv.path.is_ident("doc") => match &nv.value {
            Expr::Lit(l) => match &l.lit {
                Lit::Str(s) => Some(s.value().trim().to_string()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}
