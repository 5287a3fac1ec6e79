//! What every request to the API passes before its handler: of somebody, at the right host name, not too often, not too large.

use std::net::{IpAddr, Ipv6Addr};

use axum::extract::Request;
use sandmill_model::Code;

use crate::{ClientAddress, UnclearClient, app::App, auth::runs, hosts::Side, problem::Problem, request::body};

/// # Errors
/// `bad_request` if nobody knows whose request it is: then it can be counted for nobody.
pub(crate) fn clear(request: &Request) -> Result<(), Problem> {
    match request.extensions().get::<UnclearClient>() {
        None => Ok(()),
        Some(_) => {
            let what = "a proxy says in `X-Forwarded-For` or `Forwarded` for whom it asks, and what it says is no address";
            Err(Problem::new(Code::BadRequest, what))
        }
    }
}

pub(crate) fn pass(app: &App, request: &Request) -> Result<(), Problem> {
    clear(request)?;
    if let Some(host) = &app.options.routes_host {
        host.check(Side::Api, request.headers(), request.uri())?;
    }
    // Whoever watches over the server must not be kept out by those whom it is watched for.
    let is_watched = matches!(request.uri().path(), "/health" | "/ready");
    if let (Some(client), Some(rates)) = (request.extensions().get::<ClientAddress>(), &app.rates)
        && !is_watched
    {
        let too_many = || Problem::new(Code::TooManyRequests, "this address sends more requests in a second than it may");
        rates.take(counted(app, request, client), app.clock.now()).map_err(|wait| too_many().retry_after(wait))?;
    }
    // More than the largest that any route takes; the routes themselves have their own limits.
    body::announced(request.headers(), app.options.body_bytes_max.max(app.options.component_bytes_max))
}

/// To whom a request is counted. Runs come from the node itself, and must not use up what runs of other workspaces may: each workspace has
/// an address of its own here.
fn counted(app: &App, request: &Request, client: &ClientAddress) -> IpAddr {
    let run = runs::in_header(request.headers()).and_then(|token| app.dispatch.run_of_token(token));
    run.map_or_else(|| client.network(), |run| Ipv6Addr::from(*run.workspace.0.as_bytes()).into())
}
