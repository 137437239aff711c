//! `#[record]`: a struct whose fields are places in a word.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{spanned::Spanned, Fields, ItemStruct, Path, Result};

/// `layout`: the type that says where the fields are; without one they follow each other.
pub fn record(item: &ItemStruct, layout: Option<&Path>) -> Result<TokenStream> {
    let Fields::Named(fields) = &item.fields else {
        return Err(syn::Error::new(item.span(), "a record's fields have names"));
    };
    let names: Vec<_> = fields.named.iter().filter_map(|f| f.ident.clone()).collect();
    let types: Vec<_> = fields.named.iter().map(|f| &f.ty).collect();
    let texts: Vec<_> = names.iter().map(|n| n.to_string()).collect();
    let places: Vec<_> = names.iter().map(|n| format_ident!("__at_{}", n)).collect();
    let counts = 0..names.len();
    let name = &item.ident;
    let text = name.to_string();
    let (with, generics, bounds) = item.generics.split_for_impl();
    let bits = quote! { ::nitor_rtl::prelude::Synth };
    let widths = quote! { [#((#texts, <#types as #bits>::BITS)),*] };
    let (all, width) = match layout {
        Some(layout) => (
            quote! { ::nitor_rtl::record::laid_out(#text, #layout::LAYOUT, &#widths) },
            quote! { 8 * #layout::LEN },
        ),
        None => (
            quote! { ::nitor_rtl::record::in_order(&#widths) },
            quote! { 0 #(+ <#types as #bits>::BITS)* },
        ),
    };
    Ok(quote! {
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        #item

        impl #with #name #generics #bounds {
            #(
                #[doc(hidden)]
                #[inline]
                pub fn #places(&self) -> ::nitor_rtl::Field {
                    <Self as ::nitor_rtl::Record>::fields().swap_remove(#counts)
                }
            )*
        }

        impl #with ::nitor_rtl::Record for #name #generics #bounds {
            fn fields() -> Vec<::nitor_rtl::Field> {
                #all
            }
        }

        impl #with ::nitor_rtl::Word for #name #generics #bounds {
            fn pack(self) -> ::nitor_rtl::BigUint {
                let values = [#(::nitor_rtl::Word::pack(self.#names)),*];
                ::nitor_rtl::record::scatter::<Self>(values)
            }

            fn unpack(bits: &::nitor_rtl::BigUint) -> Self {
                let mut fields = <Self as ::nitor_rtl::Record>::fields().into_iter();
                let mut next = || fields.next().map(|f| f.of(bits)).unwrap_or_default();
                Self { #(#names: ::nitor_rtl::Word::unpack(&next())),* }
            }
        }

        impl #with ::nitor_rtl::prelude::Synth for #name #generics #bounds {
            const BITS: usize = #width;

            fn descriptor() -> ::nitor_rtl::prelude::TypeDescriptor {
                let fields = [#(<#types as #bits>::descriptor()),*];
                ::nitor_rtl::record::descriptor::<Self>(#text, fields)
            }

            fn vcd(self) -> ::nitor_rtl::prelude::VCDValue {
                ::nitor_rtl::prelude::VCDValue::Composite(vec![
                    #(Box::new(#bits::vcd(self.#names))),*
                ])
            }

            fn verilog(self) -> ::nitor_rtl::prelude::VerilogLiteral {
                ::nitor_rtl::record::literal(::nitor_rtl::Word::pack(self))
            }
        }
    })
}
