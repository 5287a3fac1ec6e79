//! Routes: paths of the workspace's own under `/r/{workspace}`, each with methods, parameters, and who may call it.

mod address;
mod auth;
mod config;
mod cors;
mod describe;
mod ready;
mod receive;
mod secret;
mod signature;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use sandmill_model::{
    Output, ScriptPath,
    code::Refusal,
    trigger::{Access, Address, ConfigError, Endpoint, EndpointKey, Head, Incoming, Operation, Reception, Reply},
};
use serde_json::Value;

use crate::web::{body::MEDIA_TYPES, response};

/// What follows the prefix.
const ANY: &str = "{workspace}/{path}";

pub(crate) struct Route;

impl Endpoint for Route {
    const KIND: &'static str = "route";
    const SUMMARY: &'static str = "A path of your own, with parameters, methods and a choice of who may call it.";
    const PREFIX: &'static str = "r";
    const OPERATIONS: &'static [Operation] = &[
        Operation::new("GET", ANY, Reply::Result, "Calls the route that takes GET at this path."),
        Operation::new("POST", ANY, Reply::Result, "Calls the route that takes POST at this path.").with_body(MEDIA_TYPES),
        Operation::new("PUT", ANY, Reply::Result, "Calls the route that takes PUT at this path.").with_body(MEDIA_TYPES),
        Operation::new("PATCH", ANY, Reply::Result, "Calls the route that takes PATCH at this path.").with_body(MEDIA_TYPES),
        Operation::new("DELETE", ANY, Reply::Result, "Calls the route that takes DELETE at this path."),
    ];
    type Config = config::Config;
    type Event = config::Event;
    type Ready = ready::Ready;

    fn prepare(config: config::Config) -> Result<ready::Ready, ConfigError> {
        ready::Ready::of(config)
    }

    fn keys(ready: &ready::Ready, _target: &ScriptPath) -> Vec<EndpointKey> {
        ready.keys()
    }

    fn address(head: Head<'_>) -> Result<Address<'_>, Refusal> {
        address::parse(head)
    }

    fn access(ready: &ready::Ready) -> Access {
        ready.auth.access()
    }

    fn reply(ready: &ready::Ready) -> Reply {
        ready.reply
    }

    fn receive(ready: &ready::Ready, incoming: Incoming) -> Result<Reception, Refusal> {
        receive::receive(ready, incoming)
    }

    fn answer(_ready: &ready::Ready, output: &Output) -> Result<Response<Bytes>, Refusal> {
        response::of_output(output)
    }

    fn dress(ready: &ready::Ready, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        ready.auth.dress(headers);
        if let Some(cors) = &ready.cors {
            cors.dress(origin, headers);
        }
    }

    fn described(ready: &ready::Ready) -> Option<Value> {
        Some(describe::describe(ready))
    }
}

#[cfg(test)]
mod tests;
