//! Why a statement was not answered, as we pass it on; guests get the same cases.

use crate::{
    bindings::sql::{self as guest, DatabaseError},
    grants::refusals,
};

#[derive(Debug)]
pub(crate) enum Error {
    Denied(String),
    /// What writes was refused to a script that may only read. The text says why it writes; guests get a denial.
    ReadOnly(String),
    Invalid(String),
    TooLarge(String),
    Timeout(String),
    Unavailable(String),
    /// In a box, since every call returns this type and hardly any this case.
    Database(Box<DatabaseError>),
}

refusals!(Error);

impl From<Error> for guest::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(text) | Error::ReadOnly(text) => Self::Denied(text),
            Error::Invalid(text) => Self::Invalid(text),
            Error::TooLarge(text) => Self::TooLarge(text),
            Error::Timeout(text) => Self::Timeout(text),
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::Database(said) => Self::Database(*said),
        }
    }
}
