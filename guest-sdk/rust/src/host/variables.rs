//! `sandmill:variables`

use super::{
    bindings::sandmill::variables::variables::{self as wit, Error as Fault},
    named,
};
use crate::{Error, Result};

fn told(fault: Fault) -> Error {
    match fault {
        Fault::Denied(message) => named("denied", message),
        Fault::Invalid(message) => named("invalid", message),
        Fault::NotFound(message) => named("not-found", message),
        Fault::Unavailable(message) => named("unavailable", message),
    }
}

pub(crate) fn get(path: &str) -> Result<String> {
    wit::get(path).map_err(told)
}

pub(crate) fn placeholder(path: &str) -> Result<String> {
    wit::placeholder(path).map_err(told)
}
