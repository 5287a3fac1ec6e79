//! `/api/w/{workspace}/trigger-events/{path}`: events that started no run, to look at, to start a run of after all, or to forget.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_model::{Code, Event, JsonText, ScriptPath, Timestamp, TriggerEventId, auth::Action, code::Refusal};
use sandmill_store::{
    StoreError,
    triggers::{KeptAs, KeptEvent, KeptSummary},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    find,
    many::{self, ALL_MAX, ManyReceipt, Meant, PAGE},
    put::may_start,
};
use crate::{
    app::App,
    audit::Facts,
    auth::Caller,
    problem::Problem,
    request::{
        body::JsonBody,
        paging,
        url::{Query, WholePath},
    },
};

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only this one, with its whole payload.
    id: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

/// A page of events that a trigger has kept, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList {
    items: Vec<EventItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EventItem {
    id: String,
    /// When it came.
    at: String,
    /// `captured`, or `dead`: it can be no run as it is.
    kept_as: &'static str,
    /// Why it can be no run.
    reason: Option<String>,
    /// What the kind says of it, without the payload.
    #[schema(value_type = Object)]
    event: JsonText,
    /// The payload, or how it begins; null: it was too large to be kept.
    payload: Option<String>,
    /// `base64` if the payload is no text; else null.
    encoding: Option<&'static str>,
    /// Of the whole payload.
    payload_bytes: u64,
    /// Whether `payload` is all of it.
    is_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventAction {
    /// Starts a run of it. One that is dead is forgotten then.
    Replay,
    /// Forgets it.
    Discard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventState {
    Captured,
    Dead,
}

/// `ids`, or `all`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsRequest {
    action: EventAction,
    /// At most 200.
    ids: Option<Vec<String>>,
    #[serde(default)]
    all: bool,
    /// With `all`: only those that are kept as this.
    kept_as: Option<EventState>,
    /// `next` of the answer before.
    cursor: Option<String>,
}

impl EventAction {
    const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// By its id, which has the time.
fn came_at(id: TriggerEventId) -> Timestamp {
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&id.0.as_bytes()[..6]);
    Timestamp::from_micros(i64::try_from(u64::from_be_bytes(millis).saturating_mul(1_000)).unwrap_or(i64::MAX))
}

/// Text as it is, without a character that is cut off at the end of what is no whole payload; else base64.
fn shown(payload: &[u8], is_whole: bool) -> (String, Option<&'static str>) {
    let text = match std::str::from_utf8(payload) {
        Ok(text) => Some(text),
        Err(error) if !is_whole && error.error_len().is_none() => std::str::from_utf8(&payload[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    text.map_or_else(|| (STANDARD.encode(payload), Some("base64")), |text| (text.to_owned(), None))
}

fn kept(kept_as: KeptAs) -> (EventState, Option<String>) {
    match kept_as {
        KeptAs::Captured => (EventState::Captured, None),
        KeptAs::Dead(reason) => (EventState::Dead, Some(reason)),
    }
}

impl EventState {
    const fn name(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Dead => "dead",
        }
    }
}

impl From<KeptSummary> for EventItem {
    fn from(summary: KeptSummary) -> Self {
        let KeptSummary { id, metadata, payload_start, payload_bytes, kept_as } = summary;
        let is_whole = payload_start.len() as u64 == payload_bytes;
        let (payload, encoding) = shown(&payload_start, is_whole);
        let (state, reason) = kept(kept_as);
        Self {
            id: id.to_string(),
            at: came_at(id).to_string(),
            kept_as: state.name(),
            reason,
            event: Event::shown(&metadata),
            payload: Some(payload).filter(|_| is_whole || !payload_start.is_empty()),
            encoding,
            payload_bytes,
            is_whole,
        }
    }
}

impl From<KeptEvent> for EventItem {
    fn from(whole: KeptEvent) -> Self {
        let KeptEvent { id, event, payload_bytes, has_payload, kept_as } = whole;
        let (payload, encoding) = shown(&event.payload, true);
        let (state, reason) = kept(kept_as);
        Self {
            id: id.to_string(),
            at: came_at(id).to_string(),
            kept_as: state.name(),
            reason,
            event: Event::shown(&event.metadata),
            payload: Some(payload).filter(|_| has_payload),
            encoding: encoding.filter(|_| has_payload),
            payload_bytes,
            is_whole: has_payload,
        }
    }
}

/// Lists the events that a trigger has kept because they started no run: captured ones, and dead ones. With `id` one of them as a whole.
#[utoipa::path(get, path = "/api/w/{workspace}/trigger-events/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path), EventsQuery), responses((status = 200, body = EventList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventList>, Problem> {
    find(&app, &caller, &path, Action::Read).await?;
    let (triggers, workspace) = (&app.store.triggers, caller.workspace.id);
    if let Some(id) = query.id {
        let id: TriggerEventId = id.parse().map_err(|_| Problem::new(Code::BadRequest, "`id` is the id of an event"))?;
        let event = triggers.event(workspace, &path, id).await?.ok_or_else(|| Problem::from(no_event()))?;
        return Ok(Json(EventList { items: vec![event.into()], next: None }));
    }
    let (limit, before) = (paging::limit(query.limit)?, paging::decode(query.cursor.as_deref())?);
    let mut found = triggers.events(workspace, &path, before, limit + 1).await?;
    let next = paging::cut(&mut found, limit, |event| event.id.to_string());
    Ok(Json(EventList { items: found.into_iter().map(EventItem::from).collect(), next }))
}

/// Starts runs of events that a trigger has kept, or forgets them; a thousand at most in one request.
/// Runs are started by the right of whoever asks, and on the trigger's terms.
#[utoipa::path(post, path = "/api/w/{workspace}/trigger-events/{path}", tag = "triggers",
    params(("workspace" = String, Path), ("path" = String, Path)), request_body = EventsRequest,
    responses((status = 200, body = ManyReceipt)))]
pub(crate) async fn act(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    JsonBody(request): JsonBody<EventsRequest>,
) -> Result<(Extension<Facts>, Json<ManyReceipt>), Problem> {
    let EventsRequest { action, ids, all, kept_as, cursor } = request;
    let needed = if action == EventAction::Replay { Action::Start } else { Action::Cancel };
    let trigger = find(&app, &caller, &path, needed).await?;
    if action == EventAction::Replay {
        may_start(&caller, &trigger.target)?;
    }
    let (ids, next) = match Meant::of(ids, all)? {
        Meant::These(ids) => (ids, None),
        Meant::All => every(&app, &caller, (&path, kept_as), paging::decode(cursor.as_deref())?).await?,
    };
    caller.must_still_be(&app).await?;
    let (app, caller, path) = (&app, &caller, &path);
    let receipt = many::each(app, caller, ids, |id| async move {
        match action {
            EventAction::Replay => {
                let (principal, workspace) = (Arc::clone(&caller.principal), caller.workspace.clone());
                app.dispatch.replay_event(principal, workspace, path, id).await.map(|_| ())
            }
            EventAction::Discard => match app.store.triggers.discard_event(caller.workspace.id, path, id).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(no_event()),
                Err(error) => Err(unkept(&error)),
            },
        }
    });
    let receipt = receipt.await.going_on_at(next);
    Ok((Extension(receipt.facts(action.name())), Json(receipt)))
}

/// As many as one request is about, of those before `before`, and where to go on.
async fn every(
    app: &App,
    caller: &Caller,
    (path, kept_as): (&ScriptPath, Option<EventState>),
    mut before: Option<TriggerEventId>,
) -> Result<(Vec<TriggerEventId>, Option<String>), Problem> {
    let mut ids = Vec::new();
    loop {
        let page = app.store.triggers.events(caller.workspace.id, path, before, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        before = page.last().map(|event| event.id).or(before);
        let fitting = page.into_iter().filter(|event| kept_as.is_none_or(|wanted| kept(event.kept_as.clone()).0 == wanted));
        ids.extend(fitting.map(|event| event.id));
        if is_last {
            return Ok((ids, None));
        }
        if ids.len() + PAGE as usize > ALL_MAX {
            return Ok((ids, before.map(paging::encode)));
        }
    }
}

/// The same for one that never was and for one of another trigger.
fn no_event() -> Refusal {
    Refusal::new(Code::NotFound, "this trigger has kept no such event")
}

fn unkept(error: &StoreError) -> Refusal {
    tracing::error!(%error, "an event that a trigger has kept is not discarded");
    Refusal::new(Code::Unavailable, "the database cannot be reached at present; try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_shown_as_far_as_they_are_text() {
        for (payload, is_whole, expected) in [
            (&b""[..], true, ("", None)),
            ("hé".as_bytes(), true, ("hé", None)),
            (b"h\xc3", false, ("h", None)),
            (b"h\xc3", true, ("aMM=", Some("base64"))),
            (b"\xffh", false, ("/2g=", Some("base64"))),
        ] {
            assert_eq!(shown(payload, is_whole), (expected.0.to_owned(), expected.1), "{payload:?}");
        }
    }

    #[test]
    fn ids_tell_when_events_came() {
        let at = Timestamp::from_micros(1_700_000_000_123_000);
        assert_eq!(came_at(TriggerEventId::new(at)), at);
    }
}
