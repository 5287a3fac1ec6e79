//! What every request to the API passes before its handler: of somebody, at the right host name, not too often, not too large.

use axum::extract::Request;
use sandmill_model::Code;

use crate::{ClientAddress, UnclearClient, app::App, hosts::Side, problem::Problem, request::body};

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
        rates.take(client.network(), app.clock.now()).map_err(|wait| too_many().retry_after(wait))?;
    }
    // More than the largest that any route takes; the routes themselves have their own limits.
    body::announced(request.headers(), app.options.body_bytes_max.max(app.options.component_bytes_max))
}
