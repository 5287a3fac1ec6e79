//! The world of a thread, and what a test finds in it afterwards.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fakes::Fakes;
use crate::{Error, Result, http::Request, log::Level, publish::Message, runs::Ending};

thread_local! {
    static WORLD: RefCell<Option<Rc<Fakes>>> = const { RefCell::new(None) };
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// As it was given.
    pub message: String,
    /// An object, or `null` if there are none.
    pub fields: Value,
}

pub(super) struct FakeObject {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: Option<String>,
    pub(super) modified_ms: u64,
}

#[derive(Default)]
pub(super) struct Recorded {
    pub(super) state: BTreeMap<String, String>,
    pub(super) objects: BTreeMap<String, FakeObject>,
    pub(super) log: Vec<Line>,
    pub(super) progress: Vec<(f64, String)>,
    pub(super) output: Vec<u8>,
    pub(super) requests: Vec<Request>,
    pub(super) statements: Vec<String>,
    pub(super) messages: Vec<(String, Message)>,
    pub(super) started: Vec<(String, Value)>,
    pub(super) endings: BTreeMap<String, Ending>,
    pub(super) keys: BTreeMap<String, String>,
}

/// The world of the thread; it ends when this is dropped.
pub struct World(Rc<Fakes>);

impl World {
    pub(super) fn install(fakes: Fakes) -> Self {
        let fakes = Rc::new(fakes);
        WORLD.set(Some(Rc::clone(&fakes)));
        Self(fakes)
    }

    /// The value at a key of the state.
    ///
    /// # Panics
    /// If it is no `T`.
    #[must_use]
    pub fn state<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.0.recorded.borrow().state.get(key).map(|text| crate::json::from_str(text).expect("the state fits the type"))
    }

    /// The bytes of an object.
    #[must_use]
    pub fn blob(&self, key: &str) -> Option<Vec<u8>> {
        self.0.recorded.borrow().objects.get(key).map(|object| object.bytes.clone())
    }

    /// What was logged.
    #[must_use]
    pub fn log(&self) -> Vec<Line> {
        self.0.recorded.borrow().log.clone()
    }

    /// What was said of the progress: percent and text.
    #[must_use]
    pub fn progress(&self) -> Vec<(f64, String)> {
        self.0.recorded.borrow().progress.clone()
    }

    /// What was written to the output stream.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        self.0.recorded.borrow().output.clone()
    }

    /// The requests that were sent.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.0.recorded.borrow().requests.clone()
    }

    /// The statements of all databases, in their order.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        self.0.recorded.borrow().statements.clone()
    }

    /// What was sent over brokers, in its order: the resource's path and the message.
    #[must_use]
    pub fn messages(&self) -> Vec<(String, Message)> {
        self.0.recorded.borrow().messages.clone()
    }

    /// The children that were started: path and arguments.
    #[must_use]
    pub fn started(&self) -> Vec<(String, Value)> {
        self.0.recorded.borrow().started.clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        WORLD.with_borrow_mut(|world| {
            // A later world may have taken its place.
            if world.as_ref().is_some_and(|world| Rc::ptr_eq(world, &self.0)) {
                *world = None;
            }
        });
    }
}

/// The thread's world. No borrow is held, so that what a test gives may call the functions of this crate.
pub(super) fn current() -> Result<Rc<Fakes>> {
    let none = || denied("there are no fakes on this thread", "let _world = sandmill::testing::Fakes::new().install();");
    WORLD.with_borrow(Clone::clone).ok_or_else(none)
}

pub(super) fn denied(what: &str, how: &str) -> Error {
    Error::new("denied", format!("{what}: `{how}`"))
}

/// Of the form of a UUIDv7, counted.
pub(super) fn id(number: usize) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}
