//! The arguments as a function's parameters say them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Ident, Pat, PatType, Result, Type, spanned::Spanned};

/// The parameter of this name takes all arguments.
const WHOLE: [&str; 2] = ["args", "_args"];

pub(crate) enum Arguments {
    /// One type of the script's own.
    Whole(Box<Type>),
    /// One field for each parameter.
    Fields(Vec<Field>),
}

pub(crate) struct Field {
    attributes: Vec<Attribute>,
    name: Ident,
    kind: Type,
}

impl Arguments {
    /// Takes the attributes that belong to fields off the parameters.
    ///
    /// # Errors
    /// What is wrong, at its place.
    pub(crate) fn take(parameters: Vec<&mut PatType>) -> Result<Self> {
        for parameter in &parameters {
            owned(&parameter.ty)?;
        }
        if let [only] = parameters.as_slice()
            && name(&only.pat).is_none_or(|name| WHOLE.iter().any(|whole| name == whole))
        {
            if let Some(attribute) = only.attrs.iter().find(|attribute| is_of_field(attribute)) {
                return Err(Error::new(
                    attribute.span(),
                    "this parameter takes all arguments: attributes belong on the fields of its type",
                ));
            }
            return Ok(Self::Whole(only.ty.clone()));
        }
        parameters.into_iter().map(Field::take).collect::<Result<_>>().map(Self::Fields)
    }

    /// The struct that the arguments are read into, if there is none of the script's own.
    pub(crate) fn definition(&self) -> TokenStream {
        let Self::Fields(fields) = self else { return TokenStream::new() };
        let fields = fields.iter().map(|Field { attributes, name, kind }| quote! { #(#attributes)* #name: #kind });
        quote! {
            #[derive(::sandmill::__private::serde::Deserialize, ::sandmill::__private::schemars::JsonSchema)]
            #[serde(crate = "::sandmill::__private::serde")]
            #[schemars(crate = "::sandmill::__private::schemars", rename = "Arguments")]
            struct Arguments { #(#fields),* }
        }
    }

    /// The type to read, and how the function is called with a value of it.
    pub(crate) fn call(&self, function: &Ident) -> (TokenStream, TokenStream) {
        match self {
            Self::Whole(kind) => (quote! { #kind }, quote! { #function(arguments) }),
            Self::Fields(fields) => {
                let names = fields.iter().map(|field| &field.name);
                (quote! { Arguments }, quote! { #function(#(arguments.#names),*) })
            }
        }
    }
}

impl Field {
    fn take(parameter: &mut PatType) -> Result<Self> {
        let fault = "with several parameters each has a name, which is the argument's";
        let name = name(&parameter.pat).ok_or_else(|| Error::new(parameter.pat.span(), fault))?.clone();
        let (attributes, others) = std::mem::take(&mut parameter.attrs).into_iter().partition(is_of_field);
        parameter.attrs = others;
        Ok(Self { attributes, name, kind: (*parameter.ty).clone() })
    }
}

fn is_of_field(attribute: &Attribute) -> bool {
    ["doc", "serde", "schemars", "validate"].iter().any(|name| attribute.path().is_ident(name))
}

fn name(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => Some(&pattern.ident),
        _ => None,
    }
}

fn owned(kind: &Type) -> Result<()> {
    match kind {
        Type::Reference(_) => {
            Err(Error::new(kind.span(), "arguments are owned: write `String` instead of `&str`, `Vec<T>` instead of `&[T]`"))
        }
        Type::ImplTrait(_) => {
            Err(Error::new(kind.span(), "a script's functions have no generic parameters: the host calls them with JSON"))
        }
        _ => Ok(()),
    }
}
