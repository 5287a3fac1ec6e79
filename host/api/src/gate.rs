//! What every request to the API passes before its handler: of somebody, at the right host name, not too often, not too large. Those to
//! endpoints of kinds are of somebody, too, and not too often; the endpoints look at the rest themselves.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use axum::extract::Request;
use sandmill_model::Code;

use crate::{ClientAddress, UnclearClient, app::App, auth::runs, hosts::Side, problem::Problem, request::body};

/// # Errors
/// `bad_request` if nobody knows whose request it is: then it can be counted for nobody.
fn clear(request: &Request) -> Result<(), Problem> {
    match request.extensions().get::<UnclearClient>() {
        None => Ok(()),
        Some(_) => {
            let what = "a proxy says in `X-Forwarded-For` or `Forwarded` for whom it asks, and what it says is no address";
            Err(Problem::new(Code::BadRequest, what))
        }
    }
}

/// Of an endpoint of a kind: one look into a table, before anything else is done for the request.
pub(crate) fn pass_endpoint(app: &App, request: &Request) -> Result<(), Problem> {
    clear(request)?;
    match (request.extensions().get::<ClientAddress>(), &app.endpoint_rates) {
        (Some(client), Some(rates)) => rates.take(client.network(), app.clock.now()).map_err(too_often),
        _ => Ok(()),
    }
}

fn too_often(wait: Duration) -> Problem {
    Problem::new(Code::TooManyRequests, "this address sends more requests in a second than it may").retry_after(wait)
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
        rates.take(counted(app, request, client), app.clock.now()).map_err(too_often)?;
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
