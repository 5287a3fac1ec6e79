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
    trigger::{Address, Endpoint, Operation},
};

use crate::web::response;

pub(crate) struct Webhook;

impl Endpoint for Webhook {
    const KIND: &'static str = "webhook";
    const PREFIX: &'static str = "hooks";
    const OPERATIONS: &'static [Operation] = &[
        Operation::new("GET", "{workspace}/run/{path}"),
        Operation::new("POST", "{workspace}/run/{path}"),
        Operation::new("POST", "{workspace}/start/{path}"),
        Operation::new("POST", "{workspace}/stream/{path}"),
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
