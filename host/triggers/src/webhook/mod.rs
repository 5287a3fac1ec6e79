//! Webhooks: every script has one, nothing is configured.
//!
//! `POST /hooks/{workspace}/run/{path}` waits for the result, `…/start/{path}` for durability, `…/stream/{path}` is told what happens until
//! the end; `GET` on `run` takes the arguments from the query, for callers that cannot POST.

mod address;
mod config;
mod receive;

use bytes::Bytes;
use http::{Method, Request, Response};
use sandmill_model::{
    Event, Output,
    code::Refusal,
    trigger::{Address, Endpoint, Operation, Reply},
};

use crate::web::response;

/// What follows the prefix.
const RUN: &str = "{workspace}/run/{path}";
const START: &str = "{workspace}/start/{path}";
const STREAM: &str = "{workspace}/stream/{path}";
/// What is sent: JSON, or anything else, which passes as it is; but for forms.
const BODY: &[&str] = &["application/json", "*/*"];

pub(crate) struct Webhook;

impl Endpoint for Webhook {
    const KIND: &'static str = "webhook";
    const PREFIX: &'static str = "hooks";
    const OPERATIONS: &'static [Operation] = &[
        Operation::new("GET", RUN, Reply::Result, "Starts a run with the arguments of the query, and waits for its result."),
        Operation::new("POST", RUN, Reply::Result, "Starts a run with what is sent, and waits for its result.").with_body(BODY),
        Operation::new("POST", START, Reply::Receipt, "Starts a run with what is sent, and answers as soon as it is durable.")
            .with_body(BODY),
        Operation::new("POST", STREAM, Reply::Events, "Starts a run with what is sent, and tells what happens in it.").with_body(BODY),
    ];
    type Config = config::Config;

    fn address<'a>(method: &Method, rest: &'a str) -> Result<Address<'a>, Refusal> {
        address::parse(method, rest)
    }

    fn receive(_config: &Self::Config, request: Request<Bytes>) -> Result<Event, Refusal> {
        receive::event(request)
    }

    fn answer(_config: &Self::Config, output: &Output) -> Result<Response<Bytes>, Refusal> {
        response::of_output(output)
    }
}

#[cfg(test)]
mod tests;
