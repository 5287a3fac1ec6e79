//! Kinds that HTTP requests start.

use std::{borrow::Cow, marker::PhantomData, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use serde_json::Value;

use super::{Config, ConfigError, EndpointKey, File, KindInfo, NewEvent, ResourceKind};
use crate::{
    clock::Timestamp, code::Refusal, event::TriggerRef, ids::RequestId, json::JsonText, outcome::Output, path::ScriptPath,
    version::Selector,
};

/// Bytes of what is said of a request beside its payload, which is kept with its run.
pub const REQUEST_METADATA_BYTES_MAX: usize = 64 * 1024;

/// What the caller of an endpoint waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The result, up to the wait limit.
    Result,
    /// That the run is durable.
    Receipt,
    /// What happens in the run, as it happens, until its end.
    Events,
    /// The response of a script that answers HTTP itself, as it comes; of any other, its result.
    Raw,
}

/// What is known of a request before any right is checked and any body is read.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub method: &'a Method,
    /// The URL's path after `/PREFIX/`, as it was sent.
    pub rest: &'a str,
    pub headers: &'a HeaderMap,
}

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    pub workspace: &'a str,
    pub to: To<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To<'a> {
    /// A script, by its own URL.
    Script { path: ScriptPath, selector: Selector, reply: Reply },
    /// The stored trigger that takes this method at this path, which starts with `/`.
    Stored { method: Method, path: Cow<'a, str> },
}

/// What an endpoint answers, as descriptions of HTTP write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// In capitals.
    pub method: &'static str,
    /// What follows `/PREFIX/`, with `{workspace}` and `{path}` in the places of what a caller names.
    pub path: &'static str,
    pub reply: Reply,
    /// One sentence.
    pub summary: &'static str,
    /// Media types of the body; none: it takes no body.
    pub body: &'static [&'static str],
}

impl Operation {
    /// One that takes no body.
    #[must_use]
    pub const fn new(method: &'static str, path: &'static str, reply: Reply, summary: &'static str) -> Self {
        Self { method, path, reply, summary, body: &[] }
    }

    #[must_use]
    pub const fn with_body(self, media_types: &'static [&'static str]) -> Self {
        Self { body: media_types, ..self }
    }
}

/// Who decides whether a request may start a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The host: its token must allow to start the target, and the run is the caller's.
    Token,
    /// The kind, in `receive`. The run is the trigger's own.
    Kind,
    /// A run of this script, which is started with the event, before anything else is. Allowed if it returns true or `{"allow": true}`; what else is in that object
    /// is the event's `auth`. It chooses the refusal: `{"allow": false, "status": 401 or 403}`.
    Script(ScriptPath),
}

/// A request, whole: its body is within the limit.
#[derive(Debug)]
pub struct Incoming {
    pub request: Request<Bytes>,
    /// Values of the pattern's parameters, decoded.
    pub params: Vec<(Arc<str>, String)>,
    /// The pattern, if it was one.
    pub route: Option<Arc<str>>,
    /// Who called; none: nobody knows.
    pub caller: Option<Arc<str>>,
    /// In the keys of its files: nobody guesses it.
    pub id: RequestId,
    pub now: Timestamp,
}

/// Among the extensions of an [`Incoming`]'s request whose script reads HTTP itself: the body passes as it is, whatever it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbatim;

/// What a request is.
#[derive(Debug)]
pub enum Reception {
    Event(Box<Received>),
    /// It needs no run: a challenge, a preflight.
    Answer(Response<Bytes>),
}

/// An event, and what its caller wants.
#[derive(Debug)]
pub struct Received {
    pub event: NewEvent,
    pub files: Vec<File>,
    /// In the place of what the address or the trigger says.
    pub reply: Option<Reply>,
    /// How long the caller waits for a result; never longer than the server's limit. None: that.
    pub wait_max: Option<Duration>,
}

impl From<NewEvent> for Received {
    fn from(event: NewEvent) -> Self {
        Self { event, files: Vec::new(), reply: None, wait_max: None }
    }
}

impl From<NewEvent> for Reception {
    fn from(event: NewEvent) -> Self {
        Self::Event(Box::new(event.into()))
    }
}

/// A kind that is started by HTTP requests.
pub trait Endpoint: Send + Sync + 'static {
    const KIND: &'static str;
    /// One sentence.
    const SUMMARY: &'static str;
    /// First segment of its URLs, without slashes; unique among kinds.
    const PREFIX: &'static str;
    /// All that [`address`](Self::address) takes: each is in the description of the API, whose tests call it.
    const OPERATIONS: &'static [Operation];
    /// Whether every script has one: then the config of one that is not stored is that of `{}`.
    const IS_OF_EVERY_SCRIPT: bool = false;
    /// See [`KindInfo::resource_types`].
    const RESOURCE_TYPES: &'static [ResourceKind] = &[];
    type Config: Config;
    /// The event's own fields, for the docs.
    type Event: schemars::JsonSchema;
    /// The config in the form in which it is used for each request: checked, parsed, compiled.
    type Ready: Send + Sync + 'static;

    /// Pure.
    ///
    /// # Errors
    /// What is wrong with it.
    fn prepare(config: Self::Config) -> Result<Self::Ready, ConfigError>;

    /// What a stored trigger takes and no other may; `target` is its script. Empty: nothing reaches it.
    fn keys(ready: &Self::Ready, target: &ScriptPath) -> Vec<EndpointKey>;

    /// No allocation that a stranger could steer. A preflight is for the method that it asks for.
    ///
    /// # Errors
    /// Why no run can be meant.
    fn address(head: Head<'_>) -> Result<Address<'_>, Refusal>;

    fn access(_ready: &Self::Ready) -> Access {
        Access::Token
    }

    /// What callers of a stored trigger wait for.
    fn reply(_ready: &Self::Ready) -> Reply {
        Reply::Result
    }

    /// Authenticity and event. Secrets are compared in constant time. With [`Access::Token`] and [`Access::Script`] somebody else sees to the first.
    ///
    /// # Errors
    /// Why the request is refused.
    fn receive(ready: &Self::Ready, incoming: Incoming) -> Result<Reception, Refusal>;

    /// The response to a caller who waited, from what the script returned.
    ///
    /// # Errors
    /// Why the output cannot be a response of this kind.
    fn answer(ready: &Self::Ready, output: &Output) -> Result<Response<Bytes>, Refusal>;

    /// Adds fields that every response has, of whatever status; `origin` is the request's.
    fn dress(_ready: &Self::Ready, _origin: Option<&HeaderValue>, _headers: &mut HeaderMap) {}

    /// What a stored trigger takes and answers, as OpenAPI writes it: `{"paths": {…}, "components": {"securitySchemes": {…}}}`, with paths below
    /// `/PREFIX/{workspace}`. No secrets. None: it is not described.
    fn described(_ready: &Self::Ready) -> Option<Value> {
        None
    }
}

/// An endpoint with its config.
pub trait Configured: Send + Sync + 'static {
    fn keys(&self, target: &ScriptPath) -> Vec<EndpointKey>;
    fn access(&self) -> Access;
    fn reply(&self) -> Reply;
    /// # Errors
    /// As [`Endpoint::receive`].
    fn receive(&self, incoming: Incoming) -> Result<Reception, Refusal>;
    /// # Errors
    /// As [`Endpoint::answer`].
    fn answer(&self, output: &Output) -> Result<Response<Bytes>, Refusal>;
    fn dress(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap);
    /// See [`Endpoint::described`].
    fn described(&self) -> Option<Value> {
        None
    }
}

/// An endpoint kind behind a pointer, for the registry.
pub trait DynEndpoint: Send + Sync + 'static {
    fn info(&self) -> KindInfo;
    fn kind(&self) -> &'static str;
    fn prefix(&self) -> &'static str;
    /// As [`Endpoint::OPERATIONS`].
    fn operations(&self) -> &'static [Operation];
    /// # Errors
    /// As [`Endpoint::address`].
    fn address<'a>(&self, head: Head<'a>) -> Result<Address<'a>, Refusal>;
    /// `config` has what it refers to in the place of references.
    ///
    /// # Errors
    /// What is wrong with it.
    fn configure(&self, config: &JsonText) -> Result<Arc<dyn Configured>, ConfigError>;
    /// That of scripts for which none is stored; none: the kind is not of every script.
    fn plain(&self) -> Option<Arc<dyn Configured>>;
    /// Of an event of a trigger that is not stored.
    fn plain_trigger(&self) -> TriggerRef;
}

/// Carries a kind into the registry.
pub struct Mounted<E: Endpoint> {
    plain: Option<Arc<dyn Configured>>,
    kind: Arc<str>,
    of: PhantomData<fn() -> E>,
}

impl<E: Endpoint> Default for Mounted<E> {
    fn default() -> Self {
        let kind = Self { plain: None, kind: E::KIND.into(), of: PhantomData };
        // A kind whose empty config is none is not of every script; a test of the registry says so.
        let plain = if E::IS_OF_EVERY_SCRIPT { kind.configure(&JsonText::empty_object()).ok() } else { None };
        Self { plain, ..kind }
    }
}

impl<E: Endpoint> Mounted<E> {
    #[must_use]
    pub fn shared() -> Arc<dyn DynEndpoint> {
        Arc::new(Self::default())
    }
}

impl<E: Endpoint> DynEndpoint for Mounted<E> {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: E::KIND,
            summary: E::SUMMARY,
            config: Value::from(schemars::schema_for!(E::Config)),
            event: Value::from(schemars::schema_for!(E::Event)),
            resource_types: E::RESOURCE_TYPES,
            prefix: Some(E::PREFIX),
            listens: false,
            is_shared: false,
            is_of_every_script: E::IS_OF_EVERY_SCRIPT,
        }
    }

    fn kind(&self) -> &'static str {
        E::KIND
    }

    fn prefix(&self) -> &'static str {
        E::PREFIX
    }

    fn operations(&self) -> &'static [Operation] {
        E::OPERATIONS
    }

    fn address<'a>(&self, head: Head<'a>) -> Result<Address<'a>, Refusal> {
        E::address(head)
    }

    fn configure(&self, config: &JsonText) -> Result<Arc<dyn Configured>, ConfigError> {
        Ok(Arc::new(Prepared::<E>(E::prepare(ConfigError::parse(config)?)?)))
    }

    fn plain(&self) -> Option<Arc<dyn Configured>> {
        self.plain.clone()
    }

    fn plain_trigger(&self) -> TriggerRef {
        TriggerRef { kind: Arc::clone(&self.kind), path: None }
    }
}

struct Prepared<E: Endpoint>(E::Ready);

impl<E: Endpoint> Configured for Prepared<E> {
    fn keys(&self, target: &ScriptPath) -> Vec<EndpointKey> {
        E::keys(&self.0, target)
    }

    fn access(&self) -> Access {
        E::access(&self.0)
    }

    fn reply(&self) -> Reply {
        E::reply(&self.0)
    }

    fn receive(&self, incoming: Incoming) -> Result<Reception, Refusal> {
        E::receive(&self.0, incoming)
    }

    fn answer(&self, output: &Output) -> Result<Response<Bytes>, Refusal> {
        E::answer(&self.0, output)
    }

    fn dress(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        E::dress(&self.0, origin, headers);
    }

    fn described(&self) -> Option<Value> {
        E::described(&self.0)
    }
}
