//! What every request to the API passes before its handler: the right host name, not too often, not too large. And how often endpoints of
//! kinds are asked, which look at the rest themselves.

use axum::extract::Request;
use sandmill_model::Code;

use crate::{ClientAddress, app::App, hosts::Side, problem::Problem, request::body};

/// Of an endpoint of a kind: one look into a table, before anything else is done for the request.
pub(crate) fn pass_endpoint(app: &App, request: &Request) -> Result<(), Problem> {
    match request.extensions().get::<ClientAddress>() {
        Some(client) if !app.endpoint_rates.take(client.network(), app.clock.now()) => Err(too_often()),
        _ => Ok(()),
    }
}

fn too_often() -> Problem {
    Problem::new(Code::TooManyRequests, "this address sends more requests in a second than it may")
}

pub(crate) fn pass(app: &App, request: &Request) -> Result<(), Problem> {
    if let Some(host) = &app.options.routes_host {
        host.check(Side::Api, request.headers(), request.uri())?;
    }
    // Whoever watches over the server must not be kept out by those whom it is watched for.
    let is_watched = matches!(request.uri().path(), "/health" | "/ready");
    if let Some(client) = request.extensions().get::<ClientAddress>()
        && !is_watched
        && !app.rates.take(client.network(), app.clock.now())
    {
        return Err(too_often());
    }
    // More than the largest that any route takes; the routes themselves have their own limits.
    body::announced(request.headers(), app.options.body_bytes_max.max(app.options.component_bytes_max))
}
