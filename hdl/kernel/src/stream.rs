//! `#[stream]`: a record that goes from block to block, and the two ends of its way.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{spanned::Spanned, Fields, ItemStruct, Result};

/// `bus`: all it has is the record's fields.
pub fn stream(item: &ItemStruct, bus: bool) -> Result<TokenStream> {
    let Fields::Named(fields) = &item.fields else {
        return Err(syn::Error::new(item.span(), "a record's fields have names"));
    };
    let record = crate::record::record(item, None)?;
    let source = end(item, fields, bus, true);
    let sink = end(item, fields, bus, false);
    Ok(quote! { #record #source #sink })
}

fn end(item: &ItemStruct, fields: &syn::FieldsNamed, bus: bool, source: bool) -> TokenStream {
    let record = &item.ident;
    let (mine, other) = match source {
        true => (format_ident!("{record}Src"), format!("{record}Snk")),
        false => (format_ident!("{record}Snk"), format!("{record}Src")),
    };
    let (forth, back) = match source {
        true => (quote! { Out }, quote! { In }),
        false => (quote! { In }, quote! { Out }),
    };
    let doc = match source {
        true => format!("The end that sends [{record}]."),
        false => format!("The end that takes [{record}]."),
    };
    let (vis, all) = (&item.vis, &item.generics);
    let (with, generics, bounds) = item.generics.split_for_impl();
    let names: Vec<_> = fields.named.iter().filter_map(|f| f.ident.clone()).collect();
    let types: Vec<_> = fields.named.iter().map(|f| &f.ty).collect();
    let docs = fields.named.iter().map(|f| {
        let docs = f.attrs.iter().filter(|a| a.path().is_ident("doc"));
        quote! { #(#docs)* }
    });
    let valid = (!bus).then(|| quote! { pub valid: Signal<#forth, Bit>, });
    let ready = (!bus).then(|| quote! { pub ready: Signal<#back, Bit>, });
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug, Default, LogicInterface)]
        #[join = #other]
        #vis struct #mine #all #bounds {
            #valid
            #(#docs pub #names: Signal<#forth, #types>,)*
            #ready
        }

        impl #with ::nitor_rtl::Carries for #mine #generics #bounds {
            type Payload = #record #generics;

            fn get(&self) -> Self::Payload {
                #record { #(#names: self.#names.val()),* }
            }

            fn put(&mut self, payload: Self::Payload) {
                #(self.#names.next = payload.#names;)*
            }

            fn connect_payload(&mut self) {
                #(logic::logic_connect_fn(&mut self.#names);)*
            }
        }
    }
}
