//! A webhook's request as an event.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Method, Request};
use sandmill_model::{Event, code::Refusal, event::TriggerRef, idempotency, trigger::Endpoint};

use crate::web::{body, metadata, query::Query};

static KIND: LazyLock<Arc<str>> = LazyLock::new(|| super::Webhook::KIND.into());

pub(super) fn event(request: Request<Bytes>) -> Result<Event, Refusal> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query())?;
    let payload = if parts.method == Method::GET {
        let mut arguments = Vec::new();
        query.push_json(&mut arguments);
        arguments.into()
    } else {
        body::payload(&parts.headers, body)?
    };
    Ok(Event {
        trigger: TriggerRef { kind: Arc::clone(&KIND), path: None },
        metadata: metadata::of_request(&parts.method, &parts.uri, &query, &parts.headers)?,
        payload,
        dedup_key: idempotency::key(&parts.headers)?,
        ordering_key: None,
    })
}
