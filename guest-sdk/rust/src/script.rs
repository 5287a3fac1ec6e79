//! Between what the contract says and what a script's functions take and return.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Output, Result, json};

/// A script, as the attribute [`macro@crate::main`] makes it.
pub trait Main {
    /// From the arguments' JSON text.
    ///
    /// # Errors
    /// The script's own, or `TypeError` if the arguments do not fit.
    fn run(args: &str) -> Result<Output>;

    /// JSON Schema of the arguments, as text.
    fn schema() -> String;
}

/// A preprocessor, as the attribute [`macro@crate::preprocessor`] makes it.
pub trait Preprocessor {
    /// From an event's JSON text to that of the arguments; none if there is nothing to do.
    ///
    /// # Errors
    /// The script's own, or `TypeError` if the event does not fit.
    fn preprocess(event: &str) -> Result<Option<String>>;
}

/// Arguments, or an event, of JSON text.
///
/// # Errors
/// `TypeError`
pub fn arguments<T: DeserializeOwned>(text: &str) -> Result<T> {
    json::from_str(text).map_err(|fault| Error::new("TypeError", fault.to_string()))
}

/// What a script's function returned. Its inherent method is for a `Result`; where that does not fit, that of [`Plain`] is found.
pub struct Returned<T>(pub T);

impl<T, E: Into<Error>> Returned<Result<T, E>> {
    /// # Errors
    /// What the function returned as such.
    pub fn into_result(self) -> Result<T> {
        self.0.map_err(Into::into)
    }
}

/// Results that are no `Result`.
pub trait Plain {
    /// What the function returned.
    type Value;

    /// # Errors
    /// Never.
    fn into_result(self) -> Result<Self::Value>;
}

impl<T> Plain for Returned<T> {
    type Value = T;

    fn into_result(self) -> Result<T> {
        Ok(self.0)
    }
}

/// What a preprocessor's arguments are as JSON text.
///
/// # Errors
/// If JSON cannot say them.
pub fn preprocessed<T: Serialize>(arguments: Option<&T>) -> Result<Option<String>> {
    Ok(arguments.map(json::to_string).transpose()?)
}
