//! How a script fails.

use std::{any::type_name, fmt};

use serde::{Serialize, de::DeserializeOwned};

use crate::json;

/// What most functions here return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run failed, as it is kept with the run.
///
/// `?` makes it of any [`std::error::Error`]: the name is then that of the error's type, and the message has those of its sources, too.
/// For that it is none itself. Errors of the host keep their code as the name: `denied`, `not-found`, `unavailable`, ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Class of the error, e.g. `denied` or `ParseIntError`.
    pub name: String,
    /// For people.
    pub message: String,
    /// Whatever else there is to say, as JSON text.
    pub details: Option<String>,
}

impl Error {
    /// An error of a class of one's own.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), details: None }
    }

    /// An error of the class `Error`.
    pub fn msg(message: impl Into<String>) -> Self {
        Self::new("Error", message)
    }

    /// With something that is kept as JSON. What JSON cannot say is left out.
    #[must_use]
    pub fn with_details<T: Serialize + ?Sized>(mut self, details: &T) -> Self {
        self.details = json::to_string(details).ok();
        self
    }

    /// The details as a type, if there are any that fit it.
    #[must_use]
    pub fn details_as<T: DeserializeOwned>(&self) -> Option<T> {
        self.details.as_deref().and_then(|text| json::from_str(text).ok())
    }

    /// Whether the same call may work if it is made again.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.name == "unavailable"
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        formatter.write_str(": ")?;
        formatter.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::new(short_name(type_name::<E>()), message)
    }
}

/// `a::b::Name<c::D>` -> `Name`
fn short_name(path: &str) -> &str {
    let path = path.split('<').next().unwrap_or_default();
    path.rsplit(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_of_any_error() {
        fn parse(text: &str) -> Result<u8> {
            Ok(text.parse::<u8>()?)
        }
        let error = parse("x").unwrap_err();
        assert_eq!((error.name.as_str(), error.message.as_str()), ("ParseIntError", "invalid digit found in string"));
    }

    #[test]
    fn tells_its_sources() {
        #[derive(Debug)]
        struct Outer<T>(T);
        impl<T> fmt::Display for Outer<T> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("outer")
            }
        }
        impl std::error::Error for Outer<fmt::Error> {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(Outer(fmt::Error));
        assert_eq!(error.name, "Outer");
        assert_eq!(error.message, format!("outer: {}", fmt::Error));
    }

    #[test]
    fn carries_details() {
        let error = Error::msg("no").with_details(&("a", 1));
        assert_eq!(error.details.as_deref(), Some(r#"["a",1]"#));
        assert_eq!(error.details_as::<(String, u8)>(), Some(("a".to_owned(), 1)));
        assert_eq!(error.details_as::<bool>(), None);
        assert_eq!(error.to_string(), "Error: no");
    }
}
