//! A webhook's request as an event.

use bytes::Bytes;
use http::{Method, Request};
use sandmill_model::{code::Refusal, idempotency, trigger::NewEvent};

use crate::web::{body, metadata, query::Query};

pub(super) fn event(request: Request<Bytes>) -> Result<NewEvent, Refusal> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query())?;
    let payload = if parts.method == Method::GET {
        let mut arguments = Vec::new();
        query.push_json(&mut arguments);
        arguments.into()
    } else {
        body::payload(&parts.headers, body)?
    };
    let metadata = metadata::of_request(&parts.method, &parts.uri, &query, &parts.headers)?;
    Ok(NewEvent { dedup_key: idempotency::key(&parts.headers)?, ..NewEvent::new(metadata, payload) })
}
