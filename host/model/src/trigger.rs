//! The contract of a trigger kind. A kind sees its HTTP request (or its broker) and its own config; rights, limits, storage
//! and the run itself are the host's.
//!
//! `Listener`, the contract of kinds that reach out to a broker, arrives with the first broker.

use bytes::Bytes;
use http::{Method, Request, Response};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{code::Refusal, event::Event, outcome::Output, path::ScriptPath, version::Selector};

/// What the caller of an endpoint waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The result, up to the wait limit.
    Result,
    /// That the run is durable.
    Receipt,
    /// What happens in the run, as it happens, until its end.
    Events,
}

/// Whom a request is for, read from its method and URL alone: before any right is checked and any body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    pub workspace: &'a str,
    pub path: ScriptPath,
    pub selector: Selector,
    pub reply: Reply,
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

/// A kind that is started by HTTP requests.
pub trait Endpoint: Send + Sync + 'static {
    const KIND: &'static str;
    /// First segment of its URLs, without slashes; unique among kinds.
    const PREFIX: &'static str;
    /// All that [`address`](Self::address) takes: each is in the description of the API, whose tests call it.
    const OPERATIONS: &'static [Operation];
    /// Parsing, validation, form and docs from one struct.
    type Config: DeserializeOwned + JsonSchema + Default + Send + Sync;

    /// `rest` is the URL's path after `/PREFIX/`.
    ///
    /// # Errors
    /// Why no run can be meant.
    fn address<'a>(method: &Method, rest: &'a str) -> Result<Address<'a>, Refusal>;

    /// Authenticity and event. The body is within the limit and whole.
    ///
    /// # Errors
    /// Why the request is refused.
    fn receive(config: &Self::Config, request: Request<Bytes>) -> Result<Event, Refusal>;

    /// The response to a caller who waited, from what the script returned.
    ///
    /// # Errors
    /// Why the output cannot be a response of this kind.
    fn answer(config: &Self::Config, output: &Output) -> Result<Response<Bytes>, Refusal>;
}

/// An endpoint kind behind a pointer, for the registry. Config of its triggers is the default until triggers are stored.
pub trait DynEndpoint: Send + Sync + 'static {
    fn kind(&self) -> &'static str;
    fn prefix(&self) -> &'static str;
    /// As [`Endpoint::OPERATIONS`].
    fn operations(&self) -> &'static [Operation];
    /// # Errors
    /// As [`Endpoint::address`].
    fn address<'a>(&self, method: &Method, rest: &'a str) -> Result<Address<'a>, Refusal>;
    /// # Errors
    /// As [`Endpoint::receive`].
    fn receive(&self, request: Request<Bytes>) -> Result<Event, Refusal>;
    /// # Errors
    /// As [`Endpoint::answer`].
    fn answer(&self, output: &Output) -> Result<Response<Bytes>, Refusal>;
}

/// Carries a kind into the registry.
pub struct Mounted<E: Endpoint>(E::Config);

impl<E: Endpoint> Default for Mounted<E> {
    fn default() -> Self {
        Self(E::Config::default())
    }
}

impl<E: Endpoint> DynEndpoint for Mounted<E> {
    fn kind(&self) -> &'static str {
        E::KIND
    }

    fn prefix(&self) -> &'static str {
        E::PREFIX
    }

    fn operations(&self) -> &'static [Operation] {
        E::OPERATIONS
    }

    fn address<'a>(&self, method: &Method, rest: &'a str) -> Result<Address<'a>, Refusal> {
        E::address(method, rest)
    }

    fn receive(&self, request: Request<Bytes>) -> Result<Event, Refusal> {
        E::receive(&self.0, request)
    }

    fn answer(&self, output: &Output) -> Result<Response<Bytes>, Refusal> {
        E::answer(&self.0, output)
    }
}
