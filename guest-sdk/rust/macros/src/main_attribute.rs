//! `#[sandmill::main]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, Result};

use crate::{arguments::Arguments, function};

pub(crate) fn expand(attribute: TokenStream, mut script: ItemFn) -> Result<TokenStream> {
    function::check(&attribute, &script)?;
    let arguments = Arguments::take(function::parameters(&mut script)?)?;
    let (name, visibility) = (script.sig.ident.clone(), script.vis.clone());
    let definition = arguments.definition();
    let (kind, call) = arguments.call(&name);
    let about = format!("The script as the host sees it: [`{name}::call`] and [`{name}::schema`].");
    Ok(quote! {
        #script

        #[doc = #about]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #name {}

        #[allow(dead_code, unsafe_code, missing_docs)]
        const _: () = {
            #definition

            impl ::sandmill::__private::Main for #name {
                fn run(args: &str) -> ::sandmill::Result<::sandmill::Output> {
                    #[allow(unused_imports)]
                    use ::sandmill::__private::Plain as _;
                    #[allow(unused_variables)]
                    let arguments: #kind = ::sandmill::__private::arguments(args)?;
                    #[allow(clippy::unit_arg, clippy::let_unit_value)]
                    let returned = ::sandmill::__private::Returned(#call);
                    ::sandmill::IntoOutput::into_output(returned.into_result()?)
                }

                fn schema() -> ::std::string::String {
                    ::sandmill::__private::schema_of::<#kind>()
                }
            }

            impl #name {
                /// Runs it with the arguments' JSON text.
                ///
                /// # Errors
                /// The script's own, or `TypeError` if the arguments do not fit.
                #visibility fn call(args: &str) -> ::sandmill::Result<::sandmill::Output> {
                    <Self as ::sandmill::__private::Main>::run(args)
                }

                /// JSON Schema of the arguments, as text.
                #visibility fn schema() -> ::std::string::String {
                    <Self as ::sandmill::__private::Main>::schema()
                }
            }

            #[cfg(target_family = "wasm")]
            type Script = ::sandmill::__private::exports::Export<#name>;
            #[cfg(target_family = "wasm")]
            ::sandmill::__private::exports::main::export!(Script with_types_in ::sandmill::__private::exports::main);
            #[cfg(target_family = "wasm")]
            ::sandmill::__private::exports::schema::export!(Script with_types_in ::sandmill::__private::exports::schema);
        };
    })
}
