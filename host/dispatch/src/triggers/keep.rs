//! Storing triggers: checks before, signals after; and what is done to what they kept.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use sandmill_model::{
    Event, JsonText, RunId, ScriptPath, Timestamp, TriggerEventId, WorkspaceId,
    auth::{Action, Domain, Principal},
    code::{Code, Refusal},
    trigger::{Access, ConfigError, EndpointKey, File, Kind, ListenError, Mode},
    version::Selector,
};
use sandmill_store::{
    triggers::{CONFIG_BYTES_MAX, KeptAs, NewTrigger, TRIGGERS_MAX, Trigger, Unput},
    workspaces::{Status, Workspace},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Draft, PROBE_MAX, TriggerStatus,
    deliver::{Source, start},
    references::{self, Read},
    rights,
};
use crate::{Accepted, Dispatch, Inner, Refused, StartRequest, StartTerms, refuse};

/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// Instants of one preview.
const PREVIEW_MAX: usize = 1_000;

pub(super) async fn file(inner: &Inner, workspace: WorkspaceId, file: File) -> Result<(), Refusal> {
    let Some(files) = inner.armoury.files.get() else {
        return Err(Refusal::new(Code::Unavailable, "this node keeps no files"));
    };
    files.keep(workspace, file).await
}

pub(super) async fn forget(inner: &Inner, workspace: WorkspaceId, keys: Vec<String>) {
    let Some(files) = inner.armoury.files.get() else { return };
    for key in keys {
        if let Err(refusal) = files.forget(workspace, key).await {
            tracing::warn!(%refusal, %workspace, "a file of a request that nothing has come of could not be removed");
        }
    }
}

fn invalid(pointer: &str, message: impl std::fmt::Display) -> Refusal {
    let at = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
    Refusal::new(Code::InvalidTrigger, format!("{at}{message}"))
}

fn of_config(error: &ConfigError) -> Refusal {
    invalid(&format!("/config{}", error.pointer), &error.message)
}

fn no_trigger(path: &ScriptPath) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no trigger at {path}"))
}

impl Inner {
    fn kind(&self, name: &str) -> Result<&Kind, Refusal> {
        let kinds = self.armoury.kinds.get();
        kinds.and_then(|kinds| kinds.find(name)).ok_or_else(|| Refusal::new(Code::NotFound, format!("there is no kind of trigger {name}")))
    }
}

pub(super) async fn put(inner: &Inner, by: &Principal, workspace: &Workspace, draft: Draft) -> Result<Trigger, Refusal> {
    match workspace.status {
        Status::Active => {}
        Status::Archived => return Err(Refusal::new(Code::WorkspaceArchived, "the workspace is archived: nothing changes in it")),
        Status::Deleting => return Err(Refusal::new(Code::NotFound, "there is no such workspace")),
    }
    let kind = inner.kind(&draft.kind)?.clone();
    check(&kind, &draft)?;
    may_start_all(by, workspace.id, &draft)?;
    if let Some(run_as) = &draft.options.run_as
        && run_as.identity() != by.identity
    {
        inner.may_run_as(by, workspace.id, run_as).await?;
    }
    let config = readable(inner, by, workspace.id, &draft.config).await?;
    let (keys, asked) = meant(&kind, &draft, &config)?;
    for path in &asked {
        must_start(by, workspace.id, path)?;
    }
    let seats = if kind.info.listens && draft.mode != Mode::Off { draft.options.listeners.unwrap_or(1) } else { 0 };
    let Draft { path, kind, target, config, options, mode, description, over } = draft;
    let triggers_max = workspace.allotted.quotas.triggers;
    let new = NewTrigger {
        workspace: workspace.id,
        path,
        kind,
        target,
        config,
        options,
        mode,
        description,
        keys,
        seats,
        triggers_max,
        over,
        by: Arc::clone(&by.identity),
        now: inner.clock.now(),
    };
    let put = inner.store.triggers.put(new).await.map_err(|error| refuse(&error))?;
    let may_know = |path: &ScriptPath| by.may(workspace.id, Domain::Triggers, Action::Read, Some(path.as_str()));
    let trigger = put.map_err(|unput| unputtable(unput, triggers_max, may_know))?;
    inner.triggers_changed(&[workspace.id]);
    inner.tell_triggers(workspace.id);
    Ok(trigger)
}

/// What is wrong with it by itself.
fn check(kind: &Kind, draft: &Draft) -> Result<(), Refusal> {
    draft.options.check().map_err(|fault| invalid("/options", fault))?;
    if draft.options.listeners.is_some_and(|listeners| listeners > 1) && !kind.info.is_shared {
        return Err(invalid("/options/listeners", "of this kind one listens at a time: its source does not share events out"));
    }
    if !draft.config.is_object() {
        return Err(invalid("/config", "it is a JSON object"));
    }
    if draft.config.as_str().len() > CONFIG_BYTES_MAX {
        return Err(invalid("/config", format_args!("it has at most {CONFIG_BYTES_MAX} bytes as JSON")));
    }
    if draft.description.chars().count() > DESCRIPTION_CHARS_MAX || draft.description.contains('\0') {
        return Err(invalid("/description", format_args!("it has at most {DESCRIPTION_CHARS_MAX} characters, and no NUL")));
    }
    Ok(())
}

/// Whoever sets it up must be allowed to start all that it starts by itself.
fn may_start_all(by: &Principal, workspace: WorkspaceId, draft: &Draft) -> Result<(), Refusal> {
    let handler = draft.options.error_handler.as_ref();
    let alert = draft.options.alert.as_ref().map(|alert| &alert.script);
    for path in std::iter::once(&draft.target).chain(handler).chain(alert) {
        must_start(by, workspace, path)?;
    }
    Ok(())
}

fn must_start(by: &Principal, workspace: WorkspaceId, path: &ScriptPath) -> Result<(), Refusal> {
    if by.may(workspace, Domain::Runs, Action::Start, Some(path.as_str())) {
        return Ok(());
    }
    Err(Refusal::new(Code::Forbidden, format!("the token does not allow runs:start:{path}")))
}

/// The config with what it refers to, all of which `by` may read.
async fn readable(inner: &Inner, by: &Principal, workspace: WorkspaceId, config: &JsonText) -> Result<JsonText, Refusal> {
    let found = references::of(config).map_err(|error| of_config(&error))?;
    rights::must_read(by, workspace, &found)?;
    rights::whole(inner, workspace, config, &mut Read::default()).await?.map_err(|error| of_config(&error))
}

/// What its kind says of the config: what no other trigger may take beside it, and which scripts it starts beside its target.
fn meant(kind: &Kind, draft: &Draft, config: &JsonText) -> Result<(Vec<String>, Vec<ScriptPath>), Refusal> {
    let (mut keys, mut asked) = (BTreeSet::new(), Vec::new());
    if let Some(listener) = &kind.listener {
        asked.extend(listener.configure(config).map_err(|error| of_config(&error))?.asks());
    }
    if let Some(endpoint) = &kind.endpoint {
        let configured = endpoint.configure(config).map_err(|error| of_config(&error))?;
        if let Access::Script(script) = configured.access() {
            asked.push(script);
        }
        if draft.mode != Mode::Off {
            keys.extend(configured.keys(&draft.target).iter().map(EndpointKey::text));
        }
    }
    rights::must_name(&draft.config, config, &asked).map_err(|error| of_config(&error))?;
    Ok((keys.into_iter().collect(), asked))
}

/// `may_know`: whether they may read the trigger at a path.
fn unputtable(unput: Unput, quota: Option<u64>, may_know: impl Fn(&ScriptPath) -> bool) -> Refusal {
    match unput {
        Unput::Taken { key, path } if may_know(&path) => {
            Refusal::new(Code::Conflict, format!("the trigger at {path} takes `{key}` already"))
        }
        Unput::Taken { key, .. } => Refusal::new(Code::Conflict, format!("another trigger takes `{key}` already")),
        Unput::OtherKind(kind) => {
            Refusal::new(Code::Conflict, format!("there is a trigger of the kind {kind}: kinds do not change; delete it first"))
        }
        Unput::Changed(revision) => {
            Refusal::new(Code::Conflict, format!("it was changed meanwhile: its revision is {revision}; read it again"))
        }
        Unput::TooMany { of_quota: true } => {
            let most = quota.unwrap_or(u64::from(TRIGGERS_MAX));
            Refusal::new(Code::QuotaExceeded, format!("the workspace may have triggers = {most}, and has"))
        }
        Unput::TooMany { of_quota: false } => Refusal::new(Code::Conflict, format!("a workspace has at most {TRIGGERS_MAX} triggers")),
    }
}

pub(super) async fn delete(inner: &Inner, workspace: WorkspaceId, path: &ScriptPath) -> Result<(), Refusal> {
    if !inner.store.triggers.delete(workspace, path).await.map_err(|error| refuse(&error))? {
        return Err(no_trigger(path));
    }
    inner.triggers_changed(&[workspace]);
    inner.tell_triggers(workspace);
    Ok(())
}

pub(super) async fn probe(inner: &Inner, by: &Principal, workspace: &Workspace, draft: &Draft) -> Result<(), Refusal> {
    if workspace.status != Status::Active {
        return Err(Refusal::new(Code::WorkspaceArchived, "the workspace is archived: nothing connects from it"));
    }
    let kind = inner.kind(&draft.kind)?;
    let Some(listener) = &kind.listener else {
        return Err(Refusal::new(Code::BadRequest, format!("a trigger of the kind {} has nothing to connect to", draft.kind)));
    };
    check(kind, draft)?;
    let config = readable(inner, by, workspace.id, &draft.config).await?;
    let ready = listener.configure(&config).map_err(|error| of_config(&error))?;
    let Some(_place) = inner.armoury.shared.probe(workspace.id) else {
        return Err(Refusal::new(Code::TooManyRequests, "too many connections are tested at present; try again").after_s(1));
    };
    // In a task of its own: a kind that panics is no reason to end more than this.
    let probe = AbortOnDropHandle::new(inner.tasks.spawn(ready.probe_by(inner.network())));
    match tokio::time::timeout(PROBE_MAX, probe).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(ListenError::Config(error)))) => Err(of_config(&error)),
        Ok(Ok(Err(ListenError::Transient(why)))) => Err(invalid("", why)),
        Ok(Err(error)) => {
            tracing::error!(%error, kind = %draft.kind, "the test of a connection ended badly");
            Err(Refusal::new(Code::Internal, "the test of the connection ended badly; the server's log says how"))
        }
        Err(_) => Err(invalid("", format_args!("nobody answered within {} s", PROBE_MAX.as_secs()))),
    }
}

/// Nobody says by which right, so what the config refers to stays unread: an instant could tell it.
pub(super) fn preview(
    inner: &Inner,
    workspace: &Workspace,
    draft: &Draft,
    (after, limit): (Timestamp, usize),
) -> Result<Vec<Timestamp>, Refusal> {
    if workspace.status == Status::Deleting {
        return Err(Refusal::new(Code::NotFound, "there is no such workspace"));
    }
    let kind = inner.kind(&draft.kind)?;
    check(kind, draft)?;
    let Some(listener) = &kind.listener else { return Ok(Vec::new()) };
    let ready = listener.configure(&draft.config).map_err(|error| of_config(&error))?;
    ready.preview(after, limit.min(PREVIEW_MAX)).map_err(|error| of_config(&error))
}

pub(super) async fn status(inner: &Inner, workspace: WorkspaceId, path: &ScriptPath) -> Result<TriggerStatus, Refusal> {
    let seats = inner.store.seats.statuses(workspace, path).await.map_err(|error| refuse(&error))?;
    Ok(TriggerStatus { seats })
}

pub(super) async fn release(inner: &Inner, workspace: WorkspaceId, run: RunId) -> Result<(), Refusal> {
    if !inner.store.triggers.release(workspace, run, inner.clock.now()).await.map_err(|error| refuse(&error))? {
        return Err(Refusal::new(Code::NotFound, format!("run {run} is not held, or not any more")));
    }
    inner.look_for_ready();
    inner.tell_ready();
    // A rate may put it off.
    inner.delayed.notify_one();
    Ok(())
}

pub(super) async fn replay(
    inner: &Arc<Inner>,
    by: Arc<Principal>,
    workspace: Workspace,
    (path, id): (&ScriptPath, TriggerEventId),
) -> Result<Accepted, Refusal> {
    let (triggers, of) = (&inner.store.triggers, workspace.id);
    let no_event = || Refusal::new(Code::NotFound, format!("the trigger at {path} keeps no event {id}, or not any more"));
    let trigger = triggers.find(of, path).await.map_err(|error| refuse(&error))?.ok_or_else(|| no_trigger(path))?;
    let kept = triggers.event(of, path, id).await.map_err(|error| refuse(&error))?.ok_or_else(no_event)?;
    if !kept.has_payload {
        let detail = format!("its payload had {} bytes, which is more than is kept of an event that is no run", kept.payload_bytes);
        return Err(Refusal::new(Code::BadRequest, detail));
    }
    let is_dead = matches!(kept.kept_as, KeptAs::Dead(_));
    // Its own key would make it a repetition of what came since.
    let event = alone(&trigger, Event { dedup_key: None, ..kept.event });
    let source = Source { workspace, trigger: Arc::new(trigger), lease: None, principal: by, selector: Selector::Newest };
    let request = start(&source, event);
    // A dead one is replayed once, whoever asks and however often. One that was captured is there to try with.
    let replay_of = is_dead.then_some(RunId(id.0));
    let request = StartRequest { terms: StartTerms { replay_of, ..request.terms }, ..request };
    let accepted = Dispatch { inner: Arc::clone(inner) }.accept(request).await.map_err(Refused::into_refusal)?;
    if is_dead {
        triggers.discard_event(of, path, id).await.map_err(|error| refuse(&error))?;
    }
    Ok(accepted)
}

/// As its script gets one event: by itself, or in a batch of one.
fn alone(trigger: &Trigger, event: Event) -> Event {
    if trigger.options.batch.is_none() {
        return event;
    }
    let payload = Bytes::from(format!("{{\"events\":[{}]}}", event.told().as_str()));
    Event { metadata: JsonText::empty_object(), payload, ordering_key: None, ..event }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::look::tests::trigger, *};

    #[test]
    fn one_event_of_a_batching_trigger_is_a_batch_of_one() {
        let event = Event {
            trigger: sandmill_model::event::TriggerRef { kind: "played".into(), path: None },
            metadata: JsonText::trusted("{\"subject\":\"a\"}"),
            payload: Bytes::from_static(b"{\"n\":1}"),
            dedup_key: None,
            ordering_key: None,
        };
        assert_eq!(alone(&trigger(json!({})), event.clone()), event);
        let batch = alone(&trigger(json!({"batch": {"events_max": 9, "wait_ms": 10}})), event);
        let arguments: serde_json::Value = batch.arguments().read().unwrap();
        assert_eq!(arguments["events"][0]["body"], json!({"n": 1}));
        assert_eq!(arguments["events"][0]["subject"], "a");
    }

    #[test]
    fn refusals_point_into_the_trigger() {
        let refusal = of_config(&ConfigError::new("/url", "it is no URL"));
        assert_eq!((refusal.code, refusal.detail.as_str()), (Code::InvalidTrigger, "/config/url: it is no URL"));
        assert_eq!(invalid("", "nobody answers").detail, "nobody answers");
    }
}
