//! A webhook's request as an event.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, request::Parts};
use sandmill_model::{
    Code,
    code::Refusal,
    idempotency,
    trigger::{Incoming, NewEvent, Received, Reception, Verbatim},
};

use super::{
    config::Ready,
    include::{self, Included},
};
use crate::web::{
    body::{self, Read},
    cloud_event, metadata,
    multipart::Place,
    query::Query,
};

pub(super) fn receive(ready: &Ready, incoming: Incoming, kind: &'static str) -> Result<Reception, Refusal> {
    let Incoming { request, id, .. } = incoming;
    let (parts, mut body) = request.into_parts();
    let query = Query::parse(parts.uri.query())?;
    let wait_max = wait_max(ready, &query)?;
    let told = metadata::of_request(&parts.method, &parts.uri, &query, &parts.headers)?;
    let key = idempotency::key(&parts.headers)?;
    if parts.method == Method::GET {
        let mut arguments = Vec::new();
        query.without(&include::OWN).push_json(&mut arguments);
        let event = NewEvent { dedup_key: key, ..NewEvent::new(told, arguments.into()) };
        return Ok(Reception::Event(Box::new(Received { wait_max, ..event.into() })));
    }
    let passes = ready.raw_body || parts.extensions.get::<Verbatim>().is_some();
    let mut event = NewEvent { dedup_key: key, ..NewEvent::new(told, Bytes::new()) };
    let mut is_data = false;
    let found = if passes { None } else { cloud_event::of(&parts.headers, &body)? };
    if let Some(found) = found {
        event.metadata = metadata::plus(&event.metadata, "cloudevent", &found.attributes)?;
        // Whoever repeats it by another key means another request.
        event.dedup_key = event.dedup_key.or(Some(found.key));
        event.occurred_at = found.occurred_at;
        if let Some(data) = found.data {
            (body, is_data) = (data, true);
        }
    }
    let Read { payload, files } = if passes || is_data { body.into() } else { body::read(&parts.headers, body, Place { kind, id })? };
    event.payload = if passes { payload } else { with_included(ready, &parts, query, payload)? };
    Ok(Reception::Event(Box::new(Received { files, wait_max, ..event.into() })))
}

fn with_included(ready: &Ready, parts: &Parts, query: Query<'_>, payload: Bytes) -> Result<Bytes, Refusal> {
    let included = Included::of(ready, &query)?;
    if included.is_empty() { Ok(payload) } else { included.into_payload(&payload, &parts.headers, query) }
}

/// The least of what is configured and what the caller says.
fn wait_max(ready: &Ready, query: &Query<'_>) -> Result<Option<Duration>, Refusal> {
    let Some(asked) = query.get(include::WAIT) else { return Ok(ready.wait_max) };
    let asked = asked.parse().map(Duration::from_millis).map_err(|_| {
        Refusal::new(Code::BadRequest, format!("`{}` is how many milliseconds you wait for the result at most", include::WAIT))
    })?;
    Ok(Some(ready.wait_max.map_or(asked, |own| own.min(asked))))
}
