//! Stored triggers that requests reach: what becomes of an event by their mode and options, and which keys are taken.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;
use http::Response;
use sandmill_dispatch::{Accepted, Admitted, Armed, Asker, Draft, Refused};
use sandmill_model::{
    Code, JsonText, Manifest, Output, RunStatus, ScriptPath,
    auth::Principal,
    code::Refusal,
    trigger::{Address, ConfigError, Endpoint, EndpointKey, Head, Incoming, Kind, Kinds, Mode, Mounted, NewEvent, Operation, Reception},
    version::Selector,
};
use sandmill_store::{queue::Cancelled, triggers::Trigger};
use serde_json::{Value, json};

use crate::{
    fake::{Bench, PATH, deploy_with, principal},
    triggers::NoFiles,
};

const TRIGGER: &str = "f/demo/knocks";

/// Takes whatever is sent to a script.
struct Knocks;

impl Endpoint for Knocks {
    const KIND: &'static str = "knocks";
    const SUMMARY: &'static str = "Takes what a test sends.";
    const PREFIX: &'static str = "knocks";
    const OPERATIONS: &'static [Operation] = &[];
    const IS_OF_EVERY_SCRIPT: bool = true;
    type Config = Value;
    type Event = Value;
    type Ready = ();

    fn prepare(_: Value) -> Result<(), ConfigError> {
        Ok(())
    }

    fn keys((): &(), target: &ScriptPath) -> Vec<EndpointKey> {
        vec![EndpointKey::Script(target.clone())]
    }

    fn address(_: Head<'_>) -> Result<Address<'_>, Refusal> {
        Err(Refusal::new(Code::NotFound, "no URL leads here"))
    }

    fn receive((): &(), incoming: Incoming) -> Result<Reception, Refusal> {
        Ok(NewEvent::new(JsonText::empty_object(), incoming.request.into_body()).into())
    }

    fn answer((): &(), _: &Output) -> Result<Response<Bytes>, Refusal> {
        Ok(Response::new(Bytes::new()))
    }
}

async fn bench() -> Bench {
    let bench = Bench::start(true).await;
    bench.dispatch.arm(Kinds::from_iter([Kind::endpoint(Mounted::<Knocks>::shared())]), Arc::new(NoFiles));
    bench
}

async fn put_at(bench: &Bench, path: &str, by: &Principal, mode: Mode, options: Value) -> Result<Trigger, Refusal> {
    let draft = Draft {
        path: path.parse().unwrap(),
        kind: Knocks::KIND.into(),
        target: PATH.parse().unwrap(),
        config: JsonText::empty_object(),
        options: serde_json::from_value(options).unwrap(),
        mode,
        description: String::new(),
        over: None,
    };
    bench.dispatch.put_trigger(by, &bench.workspace, draft).await
}

/// Puts the trigger, and returns it as it takes requests.
async fn armed(bench: &Bench, mode: Mode, options: Value) -> Arc<Armed> {
    put_at(bench, TRIGGER, &principal("*:*"), mode, options).await.unwrap();
    found(bench).await.unwrap().unwrap()
}

async fn found(bench: &Bench) -> Result<Option<Arc<Armed>>, Refusal> {
    bench.dispatch.of_script(&bench.workspace, Knocks::KIND, &PATH.parse().unwrap()).await
}

/// Of a request that nobody but the trigger vouches for.
async fn admit(bench: &Bench, armed: &Arc<Armed>, event: NewEvent) -> Result<Admitted, Refusal> {
    Box::pin(bench.dispatch.admit(&bench.workspace, armed, event, Asker { caller: None, selector: Selector::Newest })).await
}

fn event(body: &Value) -> NewEvent {
    NewEvent::new(JsonText::empty_object(), Bytes::from(body.to_string()))
}

/// With a key that whoever sends it chose.
fn keyed(key: &str, body: &Value) -> NewEvent {
    NewEvent { dedup_key: Some(key.to_owned()), is_callers_key: true, ..event(body) }
}

fn accepted(admitted: Admitted) -> Accepted {
    match admitted {
        Admitted::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_waits_for_its_release_or_its_end() {
    let bench = bench().await;
    let armed = armed(&bench, Mode::Held, json!({})).await;
    let mut held = Vec::new();
    for n in 0..2 {
        let accepted = accepted(admit(&bench, &armed, event(&json!({ "n": n }))).await.unwrap());
        assert!(!accepted.is_repetition);
        let record = bench.record_when(accepted.run, |record| record.summary.status == RunStatus::Held).await;
        assert_eq!((record.summary.run_as.as_str(), record.summary.trigger_kind.as_deref()), ("u/test", Some(Knocks::KIND)));
        held.push(accepted.run);
    }
    assert!(bench.executor.executed.lock().unwrap().is_empty());
    bench.dispatch.release(bench.workspace.id, held[0]).await.unwrap();
    let record = bench.record_when(held[0], |record| record.summary.status.has_ended()).await;
    assert_eq!((record.summary.status, record.arguments.as_str()), (RunStatus::Succeeded, "{\"n\":0}"));
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, held[1]).await.unwrap(), Cancelled::AtOnce);
    bench.record_when(held[1], |record| record.summary.status == RunStatus::Cancelled).await;
    assert_eq!(bench.dispatch.release(bench.workspace.id, held[1]).await.unwrap_err().code, Code::NotFound);
    assert_eq!(bench.executor.executed.lock().unwrap().len(), 1);

    // Whoever still has it as it was before is refused by what is stored.
    put_at(&bench, TRIGGER, &principal("*:*"), Mode::Off, json!({})).await.unwrap();
    assert_eq!(admit(&bench, &armed, event(&json!({}))).await.unwrap_err().code, Code::NotFound);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_captured_or_filtered_is_no_run() {
    let bench = bench().await;
    let options = json!({"filter": {"all": [{"pointer": "/body/n", "operator": "exists"}]}});
    for mode in [Mode::On, Mode::Held, Mode::Capture] {
        let armed = armed(&bench, mode, options.clone()).await;
        assert!(matches!(admit(&bench, &armed, event(&json!({"m": 1}))).await.unwrap(), Admitted::Filtered), "{mode:?}");
    }
    let armed = armed(&bench, Mode::Capture, options).await;
    let Admitted::Captured(id) = admit(&bench, &armed, event(&json!({"n": 7}))).await.unwrap() else { panic!("it is not captured") };
    let kept = bench.store.triggers.event(bench.workspace.id, &armed.trigger.path, id).await.unwrap().unwrap();
    assert_eq!((&*kept.event.payload, kept.has_payload), (&b"{\"n\":7}"[..], true));
    let all = bench.store.triggers.events(bench.workspace.id, &armed.trigger.path, None, 10).await.unwrap();
    assert_eq!(all.len(), 1, "what was filtered leaves nothing");
    assert!(bench.executor.executed.lock().unwrap().is_empty());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_several_callers_are_one_batch() {
    let bench = bench().await;
    let armed = armed(&bench, Mode::On, json!({"batch": {"events_max": 2, "wait_ms": 60_000}})).await;
    let other = Principal { identity: "u/other".into(), ..principal("*:*") };
    // A key is its caller's: neither is a repetition of the other.
    let (one, another) = join(send(&bench, &armed, "k", principal("*:*")), send(&bench, &armed, "k", other)).await;
    let (one, another) = (accepted(one.unwrap()), accepted(another.unwrap()));
    assert_eq!((one.run, one.is_repetition, another.is_repetition), (another.run, false, false));
    let record = bench.record_when(one.run, |record| record.summary.status.has_ended()).await;
    let arguments: Value = record.arguments.read().unwrap();
    assert_eq!(arguments["events"].as_array().map(Vec::len), Some(2), "{arguments}");
    assert_eq!(record.summary.run_as.as_str(), "u/test", "it is the trigger's own");
    // The repetition leaves the batch that it came into, and the other event starts it.
    let (again, new) = join(send(&bench, &armed, "k", principal("*:*")), send(&bench, &armed, "new", principal("*:*"))).await;
    assert_eq!(accepted(again.unwrap()), Accepted { run: one.run, is_repetition: true });
    let new = accepted(new.unwrap());
    assert!(!new.is_repetition && new.run != one.run);
    bench.stop().await;
}

async fn send(bench: &Bench, armed: &Arc<Armed>, key: &str, by: Principal) -> Result<Admitted, Refusal> {
    let asker = Asker { caller: Some(Arc::new(by)), selector: Selector::Newest };
    Box::pin(bench.dispatch.admit(&bench.workspace, armed, keyed(key, &json!({"n": 1})), asker)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_key_is_for_one_request_in_every_mode() {
    let bench = bench().await;
    let (first, other) = (json!({"n": 1}), json!({"n": 2}));
    let held = armed(&bench, Mode::Held, json!({})).await;
    let run = accepted(admit(&bench, &held, keyed("held", &first)).await.unwrap()).run;
    assert_eq!(accepted(admit(&bench, &held, keyed("held", &first)).await.unwrap()), Accepted { run, is_repetition: true });
    let mismatch = admit(&bench, &held, keyed("held", &other)).await.unwrap_err();
    assert_eq!((mismatch.code, mismatch.code.status().as_u16()), (Code::IdempotencyMismatch, 422));

    let on = armed(&bench, Mode::On, json!({})).await;
    let start = async |event: NewEvent| {
        let Admitted::Start(request) = admit(&bench, &on, event).await.unwrap() else { panic!("it is to start") };
        bench.dispatch.accept(*request).await.map_err(Refused::into_refusal)
    };
    let run = start(keyed("on", &first)).await.unwrap().run;
    assert_eq!(start(keyed("on", &first)).await.unwrap(), Accepted { run, is_repetition: true });
    assert_eq!(start(keyed("on", &other)).await.unwrap_err().code, Code::IdempotencyMismatch);

    // By the trigger's own key it is the same event, however it looks.
    let by_id = armed(&bench, Mode::Held, json!({"dedup": {"key": "/body/id"}})).await;
    let run = accepted(admit(&bench, &by_id, keyed("x", &json!({"id": 1, "n": 1}))).await.unwrap()).run;
    let repeated = accepted(admit(&bench, &by_id, keyed("y", &json!({"id": 1, "n": 2}))).await.unwrap());
    assert_eq!(repeated, Accepted { run, is_repetition: true });
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_trigger_takes_no_other_does() {
    let bench = bench().await;
    let first = armed(&bench, Mode::On, json!({})).await;
    let all = principal("*:*");
    let taken = put_at(&bench, "f/demo/second", &all, Mode::On, json!({})).await.unwrap_err();
    assert_eq!((taken.code, taken.detail.contains(TRIGGER)), (Code::Conflict, true), "{taken:?}");
    // Who may not read it is not told where it is.
    let taken = put_at(&bench, "f/demo/second", &principal("runs:start:f/demo/*"), Mode::On, json!({})).await.unwrap_err();
    assert_eq!((taken.code, taken.detail.contains(TRIGGER)), (Code::Conflict, false), "{taken:?}");
    assert_eq!(found(&bench).await.unwrap().unwrap().trigger.id, first.trigger.id);

    put_at(&bench, TRIGGER, &all, Mode::Off, json!({})).await.unwrap();
    assert_eq!(found(&bench).await.map(|_| ()).unwrap_err().code, Code::NotFound, "as if nothing were there");
    let second = put_at(&bench, "f/demo/second", &all, Mode::On, json!({})).await.unwrap();
    assert_eq!(found(&bench).await.unwrap().unwrap().trigger.id, second.id, "what is off takes nothing");
    let taken = put_at(&bench, TRIGGER, &all, Mode::On, json!({})).await.unwrap_err();
    assert_eq!(taken.code, Code::Conflict);
    // Two at once: one has it.
    bench.dispatch.delete_trigger(bench.workspace.id, &second.path).await.unwrap();
    let put = |path: &'static str| put_at(&bench, path, &all, Mode::On, json!({}));
    let (one, other) = join(put(TRIGGER), put("f/demo/second")).await;
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_version_gets_it_also_where_it_waits() {
    let bench = bench().await;
    let mut manifest = Manifest::default();
    manifest.dispatch.priority = Some(1);
    deploy_with(&bench.store, &bench.workspace, manifest).await;
    bench.dispatch.deployed(bench.workspace.id, &PATH.parse().unwrap());
    let sent = async |armed: &Arc<Armed>, selector: Selector| {
        let asker = Asker { caller: None, selector };
        let admitted = Box::pin(bench.dispatch.admit(&bench.workspace, armed, event(&json!({})), asker)).await.unwrap();
        bench.record_when(accepted(admitted).run, |_| true).await.summary.number
    };
    let held = armed(&bench, Mode::Held, json!({})).await;
    assert_eq!((sent(&held, Selector::Number(1)).await, sent(&held, Selector::Newest).await), (1, 2));
    // One batch has one version.
    let gathers = armed(&bench, Mode::On, json!({"batch": {"events_max": 2, "wait_ms": 100}})).await;
    assert_eq!(join(sent(&gathers, Selector::Number(1)), sent(&gathers, Selector::Newest)).await, (1, 2));
    bench.stop().await;
}
