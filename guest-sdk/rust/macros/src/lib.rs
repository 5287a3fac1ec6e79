//! The attributes of the crate `sandmill`, which documents them.

mod arguments;
mod function;
mod main_attribute;
mod preprocessor_attribute;

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

/// Makes a function the script.
///
/// Its parameters are the arguments: each by its name, with `#[serde(…)]`, `#[schemars(…)]` and doc comments as on a struct's field. One
/// parameter that is called `args`, or that is a pattern, takes all of them instead; its type implements `Deserialize` and `JsonSchema`.
/// It returns what `IntoOutput` is implemented for, or a `Result` of that. A component exports it together with the arguments' schema.
///
/// The function stays as it is, to be called by unit tests. Beside it there is a type of the same name:
/// `main::call(r#"{"name": "bob"}"#)` takes and gives what the host does, `main::schema()` is the schema's text.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    main_attribute::expand(attribute.into(), function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a function the one that turns an event into the arguments of `main`.
///
/// It takes a `sandmill::Event` and returns `Option<T>` or `Result<Option<T>>`, where `T` implements `Serialize`; `None` means that there
/// is nothing to do. Beside it there is a type of the same name: `preprocessor::call(event)` takes and gives JSON text as the host does.
#[proc_macro_attribute]
pub fn preprocessor(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    preprocessor_attribute::expand(attribute.into(), function).unwrap_or_else(syn::Error::into_compile_error).into()
}
