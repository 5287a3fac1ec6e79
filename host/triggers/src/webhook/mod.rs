//! Webhooks: every script has one. Nothing needs to be configured; one that is stored says on which other terms its script's own URL starts it.
//!
//! `POST /hooks/{workspace}/run/{path}` waits for the result, `…/start/{path}` for durability, `…/stream/{path}` is told what happens until
//! the end; `GET` on `run` takes the arguments from the query, for callers that cannot POST.

mod address;
mod config;
mod include;
mod receive;

use bytes::Bytes;
use http::Response;
use sandmill_model::{
    Output, ScriptPath,
    code::Refusal,
    trigger::{Address, ConfigError, Endpoint, EndpointKey, Head, Incoming, Operation, Reception, Reply},
};

use crate::web::{body::MEDIA_TYPES, response};

/// What follows the prefix.
const RUN: &str = "{workspace}/run/{path}";
const START: &str = "{workspace}/start/{path}";
const STREAM: &str = "{workspace}/stream/{path}";

pub(crate) struct Webhook;

impl Endpoint for Webhook {
    const KIND: &'static str = "webhook";
    const SUMMARY: &'static str = "A URL that every script has.";
    const PREFIX: &'static str = "hooks";
    const OPERATIONS: &'static [Operation] = &[
        Operation::new("GET", RUN, Reply::Result, "Starts a run with the arguments of the query, and waits for its result."),
        Operation::new("POST", RUN, Reply::Result, "Starts a run with what is sent, and waits for its result.").with_body(MEDIA_TYPES),
        Operation::new("POST", START, Reply::Receipt, "Starts a run with what is sent, and answers as soon as it is durable.")
            .with_body(MEDIA_TYPES),
        Operation::new("POST", STREAM, Reply::Events, "Starts a run with what is sent, and tells what happens in it.")
            .with_body(MEDIA_TYPES),
    ];
    const IS_OF_EVERY_SCRIPT: bool = true;
    type Config = config::Config;
    type Event = config::Event;
    type Ready = config::Ready;

    fn prepare(config: config::Config) -> Result<config::Ready, ConfigError> {
        config.check()
    }

    fn keys(_ready: &config::Ready, target: &ScriptPath) -> Vec<EndpointKey> {
        vec![EndpointKey::Script(target.clone())]
    }

    fn address(head: Head<'_>) -> Result<Address<'_>, Refusal> {
        address::parse(head)
    }

    fn receive(ready: &config::Ready, incoming: Incoming) -> Result<Reception, Refusal> {
        receive::receive(ready, incoming, Self::KIND)
    }

    fn answer(_ready: &config::Ready, output: &Output) -> Result<Response<Bytes>, Refusal> {
        response::of_output(output)
    }
}

#[cfg(test)]
mod tests;
