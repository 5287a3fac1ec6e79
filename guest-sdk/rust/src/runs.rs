//! Runs that this run starts: its children. Granted by path: `[grants] runs = ["f/demo/*"]`.
//!
//! Errors are named `denied`, `invalid`, `not-found`, `invalid-arguments` (with the faults as details), `too-many`, `timeout` and
//! `unavailable`. While a run waits it occupies no slot.

use std::time::Duration;

use serde::Serialize;

use crate::{Error, FromOutput, Output, Result, host::runs as host, json};

/// What may be said of a run beside its arguments; else its script's manifest holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How long it waits before it may start.
    pub delay_ms: Option<u64>,
    /// From -1000 to 1000; where nothing is said, that of the run which starts it.
    pub priority: Option<i32>,
    /// Only nodes that serve the tag run it.
    pub tag: Option<String>,
    /// 1 to 255 characters. A later start by the same run with the same key is the same child, so an attempt that is made again finds what
    /// the one before it started.
    pub key: Option<String>,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What it returned.
    Succeeded(Output),
    /// Its preprocessor said that there was nothing to do.
    Skipped,
    /// It failed.
    Failed {
        /// `error`, `timeout`, `cancelled`, …
        outcome: String,
        /// Its own error.
        error: Error,
    },
}

impl Ending {
    /// What the child returned; that of a skipped one is read as `null`.
    ///
    /// # Errors
    /// The child's own error, or `TypeError` if the result is no `T`.
    pub fn into_result<T: FromOutput>(self) -> Result<T> {
        match self {
            Self::Succeeded(output) => T::from_output(output),
            Self::Skipped => T::from_output(Output::Json("null".to_owned())),
            Self::Failed { error, .. } => Err(error),
        }
    }
}

/// Starts the script at `path`, or at `path@number`; returns the run's id once the run is durable. `args` becomes a JSON object, `()` an
/// empty one.
///
/// # Errors
/// As the module says.
pub fn start<A: Serialize + ?Sized>(path: &str, args: &A) -> Result<String> {
    start_with(path, args, &Options::default())
}

/// [`start`] with options.
///
/// # Errors
/// As the module says.
pub fn start_with<A: Serialize + ?Sized>(path: &str, args: &A, options: &Options) -> Result<String> {
    let args = json::to_string(args)?;
    host::start(path, if args == "null" { "{}" } else { &args }, options)
}

/// Waits for a child as long as this run may take, and returns what it returned.
///
/// # Errors
/// The child's own error, or as the module says.
pub fn wait<T: FromOutput>(id: &str) -> Result<T> {
    host::wait(id, None)?.into_result()
}

/// [`wait`] for so long at most.
///
/// # Errors
/// `timeout` if it has not ended; it goes on then.
pub fn wait_for<T: FromOutput>(id: &str, timeout: Duration) -> Result<T> {
    host::wait(id, Some(milliseconds(timeout)))?.into_result()
}

/// Waits for up to 1,000 children, and returns what they returned, in their order.
///
/// # Errors
/// The error of the first that failed, or as the module says.
pub fn wait_all<T: FromOutput>(ids: &[String]) -> Result<Vec<T>> {
    host::wait_many(ids, host::Until::All, None)?;
    ids.iter().map(|id| wait(id)).collect()
}

/// Waits until one of the children has ended; returns those that have, after `timeout` perhaps none.
///
/// # Errors
/// As the module says.
pub fn any(ids: &[String], timeout: Option<Duration>) -> Result<Vec<String>> {
    host::wait_many(ids, host::Until::Any, timeout.map(milliseconds))
}

/// [`start`] and [`wait`].
///
/// # Errors
/// The child's own error, or as the module says.
pub fn run<T: FromOutput, A: Serialize + ?Sized>(path: &str, args: &A) -> Result<T> {
    wait(&start(path, args)?)
}

/// How a child ended; `None` if it has not.
///
/// # Errors
/// As the module says.
pub fn result(id: &str) -> Result<Option<Ending>> {
    host::get_result(id)
}

/// Asks for a child's end and that of all that it started; `false` if it had ended.
///
/// # Errors
/// As the module says.
pub fn cancel(id: &str) -> Result<bool> {
    host::cancel(id)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Ending, Options};
    use crate::{Error, testing::Fakes};

    #[test]
    fn children_are_started_once_for_a_key() {
        let fakes = Fakes::new().run("f/demo/count", |args| Ok(json!(args["text"].as_str().unwrap_or_default().len())));
        let world = fakes.run("f/demo/bad", |_| Err(Error::new("RangeError", "too many"))).install();
        let id = super::start("f/demo/count", &json!({"text": "abc"})).unwrap();
        assert_eq!(super::wait::<u8>(&id).unwrap(), 3);
        assert_eq!(super::wait_for::<u8>(&id, Duration::from_secs(1)).unwrap(), 3);
        let options = Options { key: Some("k".to_owned()), ..Options::default() };
        let keyed = super::start_with("f/demo/count", &(), &options).unwrap();
        assert_eq!(super::start_with("f/demo/count", &(), &options).unwrap(), keyed);
        assert_eq!(super::wait_all::<u8>(&[keyed.clone(), id.clone()]).unwrap(), [0, 3]);
        assert_eq!(super::any(std::slice::from_ref(&keyed), None).unwrap(), [keyed.as_str()]);
        assert_eq!(super::run::<u8, _>("f/demo/bad", &()).unwrap_err().name, "RangeError");
        assert!(matches!(super::result(&id).unwrap(), Some(Ending::Succeeded(_))));
        assert!(!super::cancel(&id).unwrap());
        assert_eq!(super::start("f/demo/other", &()).unwrap_err().name, "denied");
        assert_eq!(super::wait::<u8>("nobody").unwrap_err().name, "not-found");
        assert_eq!(world.started().len(), 3);
        assert_eq!(world.started()[0], ("f/demo/count".to_owned(), json!({"text": "abc"})));
    }
}
