//! `#[sandmill::preprocessor]`

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result, spanned::Spanned};

use crate::function;

pub(crate) fn expand(attribute: TokenStream, mut preprocessor: ItemFn) -> Result<TokenStream> {
    function::check(&attribute, &preprocessor)?;
    let span = preprocessor.sig.span();
    if function::parameters(&mut preprocessor)?.len() != 1 {
        return Err(Error::new(span, "a preprocessor takes one parameter, the event: `fn preprocessor(event: sandmill::Event)`"));
    }
    let (name, visibility) = (preprocessor.sig.ident.clone(), preprocessor.vis.clone());
    let about = format!("The preprocessor as the host sees it: [`{name}::call`].");
    Ok(quote! {
        #preprocessor

        #[doc = #about]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #name {}

        #[allow(dead_code, unsafe_code, missing_docs)]
        const _: () = {
            impl ::sandmill::__private::Preprocessor for #name {
                fn preprocess(event: &str) -> ::sandmill::Result<::std::option::Option<::std::string::String>> {
                    #[allow(unused_imports)]
                    use ::sandmill::__private::Plain as _;
                    let returned = ::sandmill::__private::Returned(#name(::sandmill::__private::arguments(event)?));
                    ::sandmill::__private::preprocessed(returned.into_result()?.as_ref())
                }
            }

            impl #name {
                /// Turns an event's JSON text into that of the arguments; none if there is nothing to do.
                ///
                /// # Errors
                /// The script's own, or `TypeError` if the event does not fit.
                #visibility fn call(event: &str) -> ::sandmill::Result<::std::option::Option<::std::string::String>> {
                    <Self as ::sandmill::__private::Preprocessor>::preprocess(event)
                }
            }

            #[cfg(target_family = "wasm")]
            type Script = ::sandmill::__private::exports::Export<#name>;
            #[cfg(target_family = "wasm")]
            ::sandmill::__private::exports::preprocessor::export!(Script with_types_in ::sandmill::__private::exports::preprocessor);
        };
    })
}
