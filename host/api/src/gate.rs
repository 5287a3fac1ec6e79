//! What every request to the API passes before its handler: the right host name, not too often, not too large.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sandmill_model::Code;

use crate::{ClientAddress, app::App, hosts::Side, problem::Problem, request::body};

/// As a layer, within the one that observes.
pub(crate) async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match pass(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn pass(app: &App, request: &Request) -> Result<(), Problem> {
    if let Some(host) = &app.options.routes_host {
        host.check(Side::Api, request.headers(), request.uri())?;
    }
    if let Some(client) = request.extensions().get::<ClientAddress>()
        && !app.rates.take(client.network(), app.clock.now())
    {
        return Err(Problem::new(Code::TooManyRequests, "this address sends more requests in a second than it may"));
    }
    // More than the largest that any route takes; the routes themselves have their own limits.
    body::announced(request.headers(), app.options.body_bytes_max.max(app.options.component_bytes_max))
}
