//! `sandmill:runs`

use super::{
    bindings::sandmill::runs::runs::{self as wit, Error as Fault},
    bindings::sandmill::script::types,
    named, of_script,
};
use crate::{
    Bytes, Error, Output, Result,
    runs::{Ending, Options},
};

pub(crate) use wit::Until;

fn told(fault: Fault) -> Error {
    match fault {
        Fault::Denied(message) => named("denied", message),
        Fault::Invalid(message) => named("invalid", message),
        Fault::NotFound(message) => named("not-found", message),
        Fault::InvalidArguments(error) => Error { name: "invalid-arguments".to_owned(), ..of_script(error) },
        Fault::TooMany(message) => named("too-many", message),
        Fault::Timeout(message) => named("timeout", message),
        Fault::Unavailable(message) => named("unavailable", message),
    }
}

fn ending(ending: wit::Ending) -> Ending {
    match ending {
        wit::Ending::Succeeded(types::Output::Json(text)) => Ending::Succeeded(Output::Json(text)),
        wit::Ending::Succeeded(types::Output::Bytes(types::Binary { content_type, data })) => {
            Ending::Succeeded(Output::Bytes(Bytes { content_type, data }))
        }
        wit::Ending::Skipped => Ending::Skipped,
        wit::Ending::Failed(wit::Failure { outcome, error }) => Ending::Failed { outcome, error: of_script(error) },
    }
}

pub(crate) fn start(path: &str, args: &str, options: &Options) -> Result<String> {
    let Options { delay_ms, priority, tag, key } = options.clone();
    wit::start(path, args, &wit::Options { delay_ms, priority, tag, key }).map_err(told)
}

pub(crate) fn wait(id: &str, timeout_ms: Option<u64>) -> Result<Ending> {
    wit::wait(id, timeout_ms).map(ending).map_err(told)
}

pub(crate) fn wait_many(ids: &[String], until: Until, timeout_ms: Option<u64>) -> Result<Vec<String>> {
    wit::wait_many(ids, until, timeout_ms).map_err(told)
}

pub(crate) fn get_result(id: &str) -> Result<Option<Ending>> {
    wit::get_result(id).map(|found| found.map(ending)).map_err(told)
}

pub(crate) fn cancel(id: &str) -> Result<bool> {
    wit::cancel(id).map_err(told)
}
