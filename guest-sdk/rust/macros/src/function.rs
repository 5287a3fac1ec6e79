//! What no function with one of the attributes may be.

use proc_macro2::TokenStream;
use syn::{Error, FnArg, ItemFn, PatType, Result, spanned::Spanned};

/// # Errors
/// What is wrong, at its place.
pub(crate) fn check(attribute: &TokenStream, function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if !attribute.is_empty() {
        return Err(Error::new(attribute.span(), "this attribute takes nothing"));
    }
    if let Some(token) = &signature.asyncness {
        return Err(Error::new(token.span, "a script's functions are not async: calls to the host return when they are done"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(
            signature.generics.span(),
            "a script's functions have no generic parameters: the host calls them with JSON",
        ));
    }
    if let Some(clause) = &signature.generics.where_clause {
        return Err(Error::new(clause.span(), "a script's functions have no `where`"));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new(token.span, "a script's functions are not unsafe"));
    }
    Ok(())
}

/// # Errors
/// If there is a `self`.
pub(crate) fn parameters(function: &mut ItemFn) -> Result<Vec<&mut PatType>> {
    let parameters = function.sig.inputs.iter_mut().map(|input| match input {
        FnArg::Typed(parameter) => Ok(parameter),
        FnArg::Receiver(receiver) => Err(Error::new(receiver.span(), "a script's functions are not methods: there is no `self`")),
    });
    parameters.collect()
}
