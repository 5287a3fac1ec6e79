//! A webhook's request as an event.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use sandmill_model::{Code, Event, code::Refusal, event::TriggerRef, trigger::Endpoint};

use crate::web::{body, metadata, query::Query};

/// Characters of an `Idempotency-Key`.
pub(super) const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;

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
        dedup_key: idempotency_key(&parts.headers)?,
        ordering_key: None,
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_CHARACTERS_MAX);
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Refusal::new(
            Code::BadRequest,
            format!("an `Idempotency-Key` has 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} visible ASCII characters"),
        )),
    }
}
