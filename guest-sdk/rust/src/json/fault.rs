//! What is wrong with JSON, in words that do not repeat it.

use std::fmt;

use serde::{
    de::{self, Expected, Unexpected},
    ser,
};

/// Text is no JSON or does not fit a type, or a value cannot be JSON.
#[derive(Debug)]
pub struct Fault(Box<str>);

impl Fault {
    pub(super) fn new(message: &str) -> Self {
        Self(message.into())
    }

    /// `what` happened at a byte of the text.
    pub(super) fn at(what: &str, byte: usize) -> Self {
        let mut message = String::from(what);
        message.push_str(" at byte ");
        super::digits::push_u64(&mut message, byte as u64);
        Self(message.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }

    // These two keep the values out, and with them the code that prints floating point.
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, not {}", kind(&unexpected)).into())
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}, not this {}", kind(&unexpected).rsplit(' ').next().unwrap_or_default()).into())
    }
}

impl ser::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

fn kind(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "what is there",
    }
}
