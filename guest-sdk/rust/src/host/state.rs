//! `sandmill:state`

use super::{
    bindings::sandmill::state::state::{self as wit, Error as Fault},
    named,
};
use crate::{Error, Result};

fn told(fault: Fault) -> Error {
    match fault {
        Fault::InvalidKey(message) => named("invalid-key", message),
        Fault::InvalidJson(message) => named("invalid-json", message),
        Fault::TooLarge(message) => named("too-large", message),
        Fault::Unavailable(message) => named("unavailable", message),
    }
}

pub(crate) fn get(key: &str) -> Result<Option<String>> {
    wit::get(key).map_err(told)
}

pub(crate) fn set(key: &str, value: &str) -> Result<()> {
    wit::set(key, value).map_err(told)
}

pub(crate) fn delete(key: &str) -> Result<()> {
    wit::delete(key).map_err(told)
}

pub(crate) fn compare_and_swap(key: &str, expected: Option<&str>, new: Option<&str>) -> Result<bool> {
    wit::compare_and_swap(key, expected, new).map_err(told)
}

pub(crate) fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
    wit::list(prefix, after, limit).map_err(told)
}
