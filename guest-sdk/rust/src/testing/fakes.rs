//! What a world has, said before a test begins.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde::Serialize;
use serde_json::Value;

use super::world::{self, Recorded, World};
use crate::{
    Result,
    context::Context,
    http::{Request, Response},
};

pub(super) type Child = Rc<dyn Fn(Value) -> Result<Value>>;
pub(super) type Server = Rc<dyn Fn(&Request) -> Result<Response>>;
pub(super) type Database = Rc<dyn Fn(&str, &[Value]) -> Result<Value>>;

#[derive(Clone)]
pub(super) struct FakeResource {
    pub(super) kind: String,
    pub(super) fields: Value,
    pub(super) secrets: Vec<String>,
}

/// What a world has. All of it is said here; [`Fakes::install`] makes it the world of the thread.
pub struct Fakes {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) secrets: Vec<String>,
    pub(super) resources: BTreeMap<String, FakeResource>,
    pub(super) databases: BTreeMap<String, Database>,
    pub(super) brokers: BTreeMap<String, Value>,
    pub(super) children: BTreeMap<String, Child>,
    pub(super) server: Option<Server>,
    pub(super) blob_prefixes: Vec<String>,
    pub(super) context: Context,
    pub(super) payload: Vec<u8>,
    pub(super) now_ms: u64,
    pub(super) recorded: RefCell<Recorded>,
}

/// 2026-01-01T00:00:00Z
const NOW_MS: u64 = 1_767_225_600_000;
const WALL_MS: u64 = 60_000;

impl Default for Fakes {
    fn default() -> Self {
        let context = Context {
            run_id: world::id(0),
            script: "f/test/script".to_owned(),
            version: format!("sha256:{}", "0".repeat(64)),
            workspace: "test".to_owned(),
            trigger: None,
            attempt: 1,
            deadline_ms: NOW_MS + WALL_MS,
            run_as: "u/test".to_owned(),
        };
        Self {
            variables: BTreeMap::new(),
            secrets: Vec::new(),
            resources: BTreeMap::new(),
            databases: BTreeMap::new(),
            brokers: BTreeMap::new(),
            children: BTreeMap::new(),
            server: None,
            blob_prefixes: Vec::new(),
            context,
            payload: Vec::new(),
            now_ms: NOW_MS,
            recorded: RefCell::default(),
        }
    }
}

impl Fakes {
    /// A world with empty state, at the begin of 2026, in which ids are counted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A variable and its text; also of a secret one that a grant lets the script read.
    #[must_use]
    pub fn variable(mut self, path: &str, text: &str) -> Self {
        self.variables.insert(path.to_owned(), text.to_owned());
        self
    }

    /// A secret variable that the script may use by [`crate::variables::secret`], which gives [`super::placeholder`] of the path.
    #[must_use]
    pub fn secret(mut self, path: &str) -> Self {
        self.secrets.push(path.to_owned());
        self
    }

    /// A resource: its type, the fields that are not secret, and JSON pointers to those that are. Their placeholders are
    /// [`super::placeholder`] of `path#pointer`.
    #[must_use]
    pub fn resource(mut self, path: &str, kind: &str, fields: Value, secrets: &[&str]) -> Self {
        let secrets = secrets.iter().map(|pointer| (*pointer).to_owned()).collect();
        self.resources.insert(path.to_owned(), FakeResource { kind: kind.to_owned(), fields, secrets });
        self
    }

    /// A database, and its resource. It gets each statement with its parameters, and returns an array of rows, or the number of rows
    /// that were written. [`World::statements`] tells what came, `BEGIN`, `COMMIT` and `ROLLBACK` of transactions among it.
    #[must_use]
    pub fn sql(mut self, path: &str, answer: impl Fn(&str, &[Value]) -> Result<Value> + 'static) -> Self {
        self.databases.insert(path.to_owned(), Rc::new(answer));
        self.resource(path, "postgresql", Value::Object(serde_json::Map::new()), &["/password"])
    }

    /// A broker, and its resource: what it says of each message. [`World::messages`] tells what was sent.
    #[must_use]
    pub fn broker(mut self, path: &str, said: Value) -> Self {
        self.brokers.insert(path.to_owned(), said);
        if self.resources.contains_key(path) { self } else { self.resource(path, "nats", Value::Object(serde_json::Map::new()), &[]) }
    }

    /// The keys that begin with a prefix may be read and written; `""` is all of them.
    #[must_use]
    pub fn blobs(mut self, prefix: &str) -> Self {
        self.blob_prefixes.push(prefix.to_owned());
        self
    }

    /// An object that is there, and may be read and written.
    #[must_use]
    pub fn blob(self, key: &str, content_type: Option<&str>, bytes: impl Into<Vec<u8>>) -> Self {
        let object = world::FakeObject { bytes: bytes.into(), content_type: content_type.map(str::to_owned), modified_ms: self.now_ms };
        self.recorded.borrow_mut().objects.insert(key.to_owned(), object);
        self.blobs(key)
    }

    /// What requests are answered with.
    #[must_use]
    pub fn http(mut self, answer: impl Fn(&Request) -> Result<Response> + 'static) -> Self {
        self.server = Some(Rc::new(answer));
        self
    }

    /// A script that may be started as a child; it has ended when it was started.
    #[must_use]
    pub fn run(mut self, path: &str, script: impl Fn(Value) -> Result<Value> + 'static) -> Self {
        self.children.insert(path.to_owned(), Rc::new(script));
        self
    }

    /// A value that is in the state.
    ///
    /// # Panics
    /// If JSON cannot say the value.
    #[must_use]
    pub fn state<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Self {
        let text = crate::json::to_string(value).expect("state is JSON");
        self.recorded.borrow_mut().state.insert(key.to_owned(), text);
        self
    }

    /// Changes what [`crate::context::get`] tells.
    #[must_use]
    pub fn context(mut self, change: impl FnOnce(&mut Context)) -> Self {
        change(&mut self.context);
        self
    }

    /// The event's payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// What the clock of the fakes stands at, in milliseconds since the Unix epoch; the run's deadline is a minute later.
    #[must_use]
    pub fn now_ms(mut self, now_ms: u64) -> Self {
        self.now_ms = now_ms;
        self.context.deadline_ms = now_ms + WALL_MS;
        self
    }

    /// Makes this the world of the thread, for as long as what is returned is kept.
    #[must_use = "the world ends when this is dropped"]
    pub fn install(self) -> World {
        World::install(self)
    }
}
