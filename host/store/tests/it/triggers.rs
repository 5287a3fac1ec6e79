//! Triggers that are configured, and what is done to their runs and events.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    JsonText, OutcomeKind, Policy, RunId, RunStatus, ScriptPath, TriggerEventId, WorkspaceId,
    attempt::Input,
    event::{Event, TriggerRef},
    people::Level,
    policy::Key,
    rate::Rate,
    role::Role,
    run::NewRun,
    trigger::{Mode, TriggerOptions},
};
use sandmill_store::{
    Store,
    access::AccessRefused,
    history::RunFilter,
    queue::Cancelled,
    triggers::{
        Delivered, DeliveryAnswer, EVENTS_KEPT, EVENTS_KEPT_MAX, ItemReceipt, KeptAs, KeptEvent, NewTrigger, PAYLOAD_START_BYTES, Trigger,
        TriggerDelivery, TriggerFilter, Unput,
    },
};

use crate::{
    fixture::{Database, LEASE, claim, complete, event, finished, ids, join, json, new_run, on_both, path, tick, workspace},
    people::{items, member, name, user},
};

on_both![
    a_trigger_is_put_found_and_deleted,
    triggers_are_listed_by_what_they_are,
    a_key_is_that_of_one_trigger,
    of_two_that_put_one_key_at_once_one_has_it,
    what_is_in_the_way_is_told,
    endpoints_are_those_that_take_requests,
    held_runs_wait_for_their_release,
    a_released_run_stands_as_if_it_were_new,
    a_held_run_has_all_its_time_when_it_is_released,
    kept_events_are_read_and_discarded,
    the_oldest_kept_events_go_first,
    homes_and_single_paths_know_triggers,
];

pub(crate) const AT: &str = "f/demo/pigeons";

pub(crate) fn trigger(of: WorkspaceId, at: &str) -> NewTrigger {
    NewTrigger {
        workspace: of,
        path: path(at),
        kind: "pigeon".into(),
        target: path("f/demo/hello"),
        config: json(r#"{"loft": "$res:f/demo/loft"}"#),
        options: TriggerOptions::default(),
        mode: Mode::On,
        description: "✓".to_owned(),
        keys: Vec::new(),
        seats: 0,
        triggers_max: None,
        over: None,
        by: "u/ann".into(),
        now: tick(),
    }
}

pub(crate) async fn put(store: &Store, new: NewTrigger) -> Trigger {
    store.triggers.put(new).await.unwrap().unwrap()
}

/// A run of an event of the trigger at [`AT`].
pub(crate) fn run(of: WorkspaceId) -> NewRun {
    let event = Event { trigger: TriggerRef { kind: "pigeon".into(), path: Some(AT.into()) }, ..event() };
    NewRun { input: Input::Event(event), ..new_run(of) }
}

pub(crate) fn item(run: &NewRun) -> Delivered {
    Delivered::Run { run: Box::new(run.clone()), also: Vec::new(), is_held: false, overlap: Default::default() }
}

pub(crate) fn delivery(of: WorkspaceId, items: Vec<Delivered>) -> TriggerDelivery {
    TriggerDelivery { workspace: of, path: path(AT), lease: None, items, cursor: None, adopts_state_of: None, now: tick() }
}

/// What became of each item, and what is to be cancelled.
pub(crate) async fn deliver(store: &Store, delivery: TriggerDelivery) -> (Vec<ItemReceipt>, Vec<RunId>) {
    match store.triggers.deliver(delivery).await.unwrap() {
        DeliveryAnswer::Done { items, to_cancel } => (items, to_cancel),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn status(store: &Store, run: &NewRun) -> RunStatus {
    store.history.run(run.workspace, run.id).await.unwrap().unwrap().summary.status
}

async fn a_trigger_is_put_found_and_deleted(database: Database) {
    let store = database.open().await;
    let (of, at) = (workspace(), path(AT));
    assert_eq!(store.triggers.find(of, &at).await.unwrap(), None);
    let new = trigger(of, AT);
    let first = put(&store, new.clone()).await;
    assert_eq!((&first.config, &*first.kind, &first.target, first.mode), (&new.config, "pigeon", &new.target, Mode::On));
    assert_eq!((&*first.answered_by, &*first.updated_by, first.created_at, &*first.description), ("u/ann", "u/ann", new.now, "✓"));
    assert_eq!(store.triggers.find(of, &at).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.triggers.find(workspace(), &at).await.unwrap(), None, "another workspace's");
    let options = TriggerOptions { priority: Some(7), ..TriggerOptions::default() };
    let changed = NewTrigger { mode: Mode::Capture, options, by: "u/bob".into(), target: path("f/demo/other"), ..trigger(of, AT) };
    let second = put(&store, changed).await;
    assert!(second.revision > first.revision);
    assert_eq!((second.id, second.created_at, &*second.answered_by, second.mode), (first.id, first.created_at, "u/bob", Mode::Capture));
    assert_eq!(store.triggers.find(of, &at).await.unwrap().as_ref(), Some(&second));
    assert_eq!(store.triggers.count(of).await.unwrap(), 1);
    assert!(store.triggers.delete(of, &at).await.unwrap());
    assert!(!store.triggers.delete(of, &at).await.unwrap());
    assert_eq!((store.triggers.find(of, &at).await.unwrap(), store.triggers.count(of).await.unwrap()), (None, 0));
    let third = put(&store, trigger(of, AT)).await;
    assert!(third.id != first.id && third.revision > second.revision);
}

async fn triggers_are_listed_by_what_they_are(database: Database) {
    let store = database.open().await;
    let of = workspace();
    for (at, kind, target) in [
        ("f/a/one", "pigeon", "f/demo/x"),
        ("f/a/two", "owl", "f/demo/x"),
        ("f/b/one", "pigeon", "f/demo/y"),
        ("u/ann/one", "owl", "f/demo/y"),
    ] {
        put(&store, NewTrigger { kind: kind.into(), target: path(target), ..trigger(of, at) }).await;
    }
    let list = async |filter: TriggerFilter, after: Option<&str>, limit: u32| {
        let after = after.map(path);
        let found = store.triggers.list(of, &filter, after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|each| each.path.to_string()).collect::<Vec<_>>()
    };
    let all = TriggerFilter::default;
    assert_eq!(list(all(), None, 10).await, ["f/a/one", "f/a/two", "f/b/one", "u/ann/one"]);
    assert_eq!(list(all(), Some("f/a/two"), 1).await, ["f/b/one"]);
    assert_eq!(list(TriggerFilter { prefix: "f/a/".to_owned(), ..all() }, None, 10).await, ["f/a/one", "f/a/two"]);
    let owls = TriggerFilter { kind: Some("owl".into()), ..all() };
    assert_eq!(list(owls.clone(), None, 10).await, ["f/a/two", "u/ann/one"]);
    assert_eq!(list(TriggerFilter { target: Some(path("f/demo/x")), ..owls }, None, 10).await, ["f/a/two"]);
    for hostile in [TriggerFilter { prefix: "f/\0".to_owned(), ..all() }, TriggerFilter { kind: Some("\0".into()), ..all() }] {
        assert_eq!(list(hostile, None, 10).await, [] as [&str; 0]);
    }
    assert_eq!(store.triggers.list(workspace(), &all(), None, 10).await.unwrap(), []);
}

fn with_keys(of: WorkspaceId, at: &str, keys: &[&str]) -> NewTrigger {
    NewTrigger { keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..trigger(of, at) }
}

async fn a_key_is_that_of_one_trigger(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let first = put(&store, with_keys(of, "f/a/one", &["GET /a", "GET /b"])).await;
    let taken = store.triggers.put(with_keys(of, "f/a/two", &["GET /c", "GET /b"])).await.unwrap();
    assert_eq!(taken, Err(Unput::Taken { key: "GET /b".to_owned(), path: first.path.clone() }));
    assert_eq!(store.triggers.find(of, &path("f/a/two")).await.unwrap(), None, "nothing of it is written");
    put(&store, with_keys(of, "f/a/one", &["GET /a"])).await;
    put(&store, with_keys(of, "f/a/two", &["GET /c", "GET /b"])).await;
    put(&store, with_keys(workspace(), "f/a/two", &["GET /a"])).await;
    put(&store, NewTrigger { kind: "owl".into(), ..with_keys(of, "f/a/three", &["GET /a"]) }).await;
    assert!(store.triggers.delete(of, &first.path).await.unwrap());
    put(&store, with_keys(of, "f/a/four", &["GET /a"])).await;
}

async fn of_two_that_put_one_key_at_once_one_has_it(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let known = one.workspaces.ensure(workspace(), "keys", tick()).await.unwrap().id;
    // The second has no row that could be locked.
    for of in [known, workspace()] {
        for round in 0..10 {
            let key = format!("GET /{round}");
            let new = |at: &str| with_keys(of, &format!("f/{at}/t{round}"), &[&key]);
            let (left, right) = tokio::join!(one.triggers.put(new("a")), other.triggers.put(new("b")));
            match (left.unwrap(), right.unwrap()) {
                (Ok(has), Err(Unput::Taken { key: told, path })) | (Err(Unput::Taken { key: told, path }), Ok(has)) => {
                    assert_eq!((told, path), (key, has.path));
                }
                both => panic!("{both:?}"),
            }
        }
        let (left, right) = tokio::join!(one.triggers.put(trigger(of, AT)), other.triggers.put(trigger(of, AT)));
        let (left, right) = (left.unwrap().unwrap(), right.unwrap().unwrap());
        assert!(left.id == right.id && left.revision != right.revision);
    }
    assert_eq!(database.deadlocks().await, 0);
}

async fn what_is_in_the_way_is_told(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let refused = async |new: NewTrigger| store.triggers.put(new).await.unwrap().unwrap_err();
    let over = |over: i64| NewTrigger { over: Some(over), ..trigger(of, AT) };
    assert_eq!(refused(over(5)).await, Unput::Changed(0), "there is none");
    let first = put(&store, over(0)).await;
    assert_eq!(refused(over(0)).await, Unput::Changed(first.revision));
    let second = put(&store, over(first.revision)).await;
    assert_eq!(refused(over(first.revision)).await, Unput::Changed(second.revision));
    assert_eq!(refused(NewTrigger { kind: "owl".into(), ..trigger(of, AT) }).await, Unput::OtherKind("pigeon".into()));
    let few = |at: &str| NewTrigger { triggers_max: Some(1), ..trigger(of, at) };
    assert_eq!(refused(few("f/demo/more")).await, Unput::TooMany { of_quota: true });
    put(&store, few(AT)).await;
    assert_eq!(store.triggers.count(of).await.unwrap(), 1);
}

async fn endpoints_are_those_that_take_requests(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, with_keys(of, "f/b/two", &["GET /b", "GET /a"])).await;
    put(&store, with_keys(of, "f/a/one", &["POST /a"])).await;
    put(&store, trigger(of, "f/a/listens")).await;
    put(&store, NewTrigger { mode: Mode::Off, ..with_keys(of, "f/a/off", &["GET /off"]) }).await;
    put(&store, with_keys(workspace(), "f/a/foreign", &["GET /a"])).await;
    let found = async |after: Option<&str>, limit: u32| {
        let after = after.map(path);
        let found = store.triggers.endpoints(of, after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|(trigger, keys)| (trigger.path.to_string(), keys)).collect::<Vec<_>>()
    };
    let one = ("f/a/one".to_owned(), vec!["POST /a".to_owned()]);
    let two = ("f/b/two".to_owned(), vec!["GET /a".to_owned(), "GET /b".to_owned()]);
    assert_eq!(found(None, 10).await, [one.clone(), two.clone()]);
    // A limit is one of triggers, however many keys each has, and of those alone that have some.
    assert_eq!(found(None, 1).await, [one]);
    assert_eq!(found(Some("f/a/one"), 1).await, [two]);
    assert!(found(Some("f/b/two"), 1).await.is_empty());
}

fn held(run: &NewRun) -> Delivered {
    Delivered::Run { run: Box::new(run.clone()), also: Vec::new(), is_held: true, overlap: Default::default() }
}

async fn held_runs_wait_for_their_release(database: Database) {
    let store = database.open().await;
    let (of, at) = (workspace(), path(AT));
    put(&store, trigger(of, AT)).await;
    let runs = [run(of), run(of), run(of)];
    let (items, _) = deliver(&store, delivery(of, runs.iter().map(held).collect())).await;
    assert_eq!(items, runs.each_ref().map(|run| ItemReceipt::New(run.id)));
    let node = join(&store, "node", tick()).await;
    assert_eq!(claim(&store, node, tick(), 10).await, []);
    assert_eq!((status(&store, &runs[0]).await, store.queue.length(of, 10).await.unwrap()), (RunStatus::Held, 3));
    let list = async |filter: RunFilter| {
        store.history.list(of, &filter, None, 10).await.unwrap().runs.into_iter().map(|run| (run.id, run.status)).collect::<Vec<_>>()
    };
    let newest_first = [2, 1, 0].map(|index: usize| (runs[index].id, RunStatus::Held));
    assert_eq!(list(RunFilter { status: Some(RunStatus::Held), ..RunFilter::default() }).await, newest_first);
    assert_eq!(list(RunFilter { status: Some(RunStatus::Queued), ..RunFilter::default() }).await, []);
    assert_eq!(store.triggers.held(of, &at, None, 2).await.unwrap(), [runs[0].id, runs[1].id]);
    assert_eq!(store.triggers.held(of, &at, Some(runs[1].id), 2).await.unwrap(), [runs[2].id]);
    assert_eq!(store.triggers.held(of, &path("f/demo/other"), None, 2).await.unwrap(), []);
    assert_eq!(store.triggers.held(workspace(), &at, None, 2).await.unwrap(), []);

    assert!(!store.triggers.release(workspace(), runs[0].id, tick()).await.unwrap(), "another workspace's");
    assert!(store.triggers.release(of, runs[0].id, tick()).await.unwrap());
    assert!(!store.triggers.release(of, runs[0].id, tick()).await.unwrap(), "not any more");
    assert_eq!(store.queue.cancel(of, runs[1].id, tick()).await.unwrap(), Cancelled::AtOnce);
    assert_eq!(status(&store, &runs[1]).await, RunStatus::Cancelled);
    assert!(!store.triggers.release(of, runs[1].id, tick()).await.unwrap());
    let claimed = claim(&store, node, tick(), 10).await;
    assert_eq!(claimed.iter().map(|each| &each.run).collect::<Vec<_>>(), [&runs[0]], "as it was delivered");
    assert!(!store.triggers.release(of, runs[0].id, tick()).await.unwrap(), "it executes");
    complete(&store, node, vec![finished(runs[0].clone(), OutcomeKind::Ok)]).await;
    let of_trigger = RunFilter { trigger_path: Some(at), ..RunFilter::default() };
    let expected = [(2, RunStatus::Held), (1, RunStatus::Cancelled), (0, RunStatus::Succeeded)];
    assert_eq!(list(of_trigger).await, expected.map(|(index, status): (usize, _)| (runs[index].id, status)));
    let other = RunFilter { trigger_path: Some(path("f/demo/other")), ..RunFilter::default() };
    assert_eq!(list(other).await, []);
    let record = store.history.run(of, runs[0].id).await.unwrap().unwrap();
    assert_eq!(record.summary.trigger_path.as_deref(), Some(AT));
}

async fn a_released_run_stands_as_if_it_were_new(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, trigger(of, AT)).await;
    let one_at_a_time = Arc::new(Policy { keys: vec![Key { name: "order x".to_owned(), limit: 1 }], ..Policy::default() });
    let keyed = || NewRun { policy: Arc::clone(&one_at_a_time), ..run(of) };
    let (waits, goes) = (keyed(), keyed());
    deliver(&store, delivery(of, vec![held(&waits), item(&goes)])).await;
    let node = join(&store, "node", tick()).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [goes.id], "what is held holds no key");
    assert!(store.triggers.release(of, waits.id, tick()).await.unwrap());
    assert_eq!(status(&store, &waits).await, RunStatus::Parked);
    complete(&store, node, vec![finished(goes, OutcomeKind::Ok)]).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [waits.id]);

    let rate = Rate { name: "rate x".to_owned(), interval_us: 60_000_000, burst: 1 };
    let slow = Arc::new(Policy { rates: vec![rate], ..Policy::default() });
    let (first, second) = (NewRun { policy: Arc::clone(&slow), ..run(of) }, NewRun { policy: slow, ..run(of) });
    deliver(&store, delivery(of, vec![held(&first), held(&second)])).await;
    let now = tick();
    for run in [&second, &first] {
        assert!(store.triggers.release(of, run.id, now).await.unwrap());
    }
    assert_eq!(ids(&claim(&store, node, now, 10).await), [second.id], "in the order of their release");
    let later = now.plus(Duration::from_secs(61));
    assert_eq!(ids(&claim(&store, node, later, 10).await), [first.id]);

    let mut delayed = run(of);
    delayed.scheduled_for = delayed.created_at.plus(LEASE);
    deliver(&store, delivery(of, vec![held(&delayed)])).await;
    assert_eq!(claim(&store, node, delayed.scheduled_for, 10).await, [], "its time does not release it");
    assert!(store.triggers.release(of, delayed.id, delayed.created_at).await.unwrap());
    assert_eq!(claim(&store, node, delayed.created_at, 10).await, []);
    assert_eq!(ids(&claim(&store, node, delayed.scheduled_for, 10).await), [delayed.id]);
}

async fn a_held_run_has_all_its_time_when_it_is_released(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, trigger(of, AT)).await;
    let mut limited = run(of);
    limited.policy = Arc::new(Policy { ends_by: Some(limited.created_at.plus(LEASE)), ..Policy::default() });
    deliver(&store, delivery(of, vec![held(&limited)])).await;
    let node = join(&store, "node", tick()).await;
    let late = limited.created_at.plus(LEASE * 10);
    assert_eq!(store.queue.claim_overdue(node, late).await.unwrap(), [], "it is not overdue while it is held");
    assert!(store.triggers.release(of, limited.id, late).await.unwrap());
    assert_eq!(store.queue.claim_overdue(node, late).await.unwrap(), []);
    let claimed = claim(&store, node, late, 10).await;
    assert_eq!(claimed[0].run.policy.ends_by, Some(late.plus(LEASE)));
}

fn kept(kept_as: KeptAs, payload: &str) -> KeptEvent {
    let event = Event { payload: payload.to_owned().into(), ..event() };
    let payload_bytes = payload.len() as u64;
    KeptEvent { id: TriggerEventId::new(tick()), event, payload_bytes, has_payload: true, kept_as }
}

async fn kept_events_are_read_and_discarded(database: Database) {
    let store = database.open().await;
    let (of, at) = (workspace(), path(AT));
    put(&store, trigger(of, AT)).await;
    let captured = kept(KeptAs::Captured, &"ü\0".repeat(2_000));
    let dead = kept(KeptAs::Dead("no\0ne".to_owned()), "{}");
    let mut large = kept(KeptAs::Dead("too large".to_owned()), "");
    (large.has_payload, large.payload_bytes) = (false, 1 << 40);
    let all = [&captured, &dead, &large].map(|event| Delivered::Kept(Box::new(event.clone())));
    let (items, _) = deliver(&store, delivery(of, all.to_vec())).await;
    assert_eq!(items, [ItemReceipt::Kept, ItemReceipt::Kept, ItemReceipt::Kept]);
    assert_eq!(store.queue.length(of, 10).await.unwrap(), 0);
    let page = store.triggers.events(of, &at, None, 10).await.unwrap();
    assert_eq!(page.iter().map(|each| each.id).collect::<Vec<_>>(), [large.id, dead.id, captured.id], "the newest first");
    assert_eq!((page[2].payload_start.len(), page[2].payload_bytes), (usize::try_from(PAYLOAD_START_BYTES).unwrap(), 6_000));
    assert_eq!((page[0].payload_start.len(), page[0].payload_bytes, &page[0].metadata), (0, 1 << 40, &large.event.metadata));
    assert_eq!(page[1].kept_as, KeptAs::Dead("no\u{fffd}ne".to_owned()));
    assert_eq!(store.triggers.events(of, &at, Some(dead.id), 10).await.unwrap(), page[2..]);
    assert_eq!(store.triggers.events(of, &at, None, 1).await.unwrap(), page[..1]);
    let find = async |of: WorkspaceId, at: &str, id: TriggerEventId| store.triggers.event(of, &path(at), id).await.unwrap();
    assert_eq!(find(of, AT, captured.id).await.as_ref(), Some(&captured));
    assert_eq!(find(of, AT, large.id).await.as_ref(), Some(&large));
    for (foreign, elsewhere) in [(workspace(), AT), (of, "f/demo/other")] {
        assert_eq!(find(foreign, elsewhere, captured.id).await, None);
        assert!(!store.triggers.discard_event(foreign, &path(elsewhere), captured.id).await.unwrap());
        assert_eq!(store.triggers.events(foreign, &path(elsewhere), None, 10).await.unwrap(), []);
    }
    assert!(store.triggers.discard_event(of, &at, captured.id).await.unwrap());
    assert!(!store.triggers.discard_event(of, &at, captured.id).await.unwrap());
    assert_eq!(store.triggers.forget(tick()).await.unwrap(), 0);
    assert_eq!(store.triggers.forget(tick().plus(EVENTS_KEPT).plus(Duration::from_secs(60))).await.unwrap(), 2);
    assert_eq!(store.triggers.events(of, &at, None, 10).await.unwrap(), []);
}

async fn the_oldest_kept_events_go_first(database: Database) {
    let store = database.open().await;
    let (of, at) = (workspace(), path(AT));
    put(&store, trigger(of, AT)).await;
    let dead = kept(KeptAs::Dead("first of all".to_owned()), "x");
    deliver(&store, delivery(of, vec![Delivered::Kept(Box::new(dead.clone()))])).await;
    let events: Vec<KeptEvent> = (0..=EVENTS_KEPT_MAX).map(|_| kept(KeptAs::Captured, "x")).collect();
    for some in events.chunks(400) {
        deliver(&store, delivery(of, some.iter().map(|event| Delivered::Kept(Box::new(event.clone()))).collect())).await;
    }
    let found = store.triggers.events(of, &at, None, 10_000).await.unwrap();
    let mut expected: Vec<TriggerEventId> = events[1..].iter().rev().map(|event| event.id).collect();
    expected.push(dead.id);
    assert!(found.iter().map(|event| event.id).eq(expected), "of the captured ones, and not of the others: {}", found.len());
}

async fn homes_and_single_paths_know_triggers(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let before = store.usage.stored_bytes(of).await.unwrap();
    put(&store, NewTrigger { config: JsonText::of(&"x".repeat(1_000)).unwrap(), ..trigger(of, "u/cy/pigeons") }).await;
    let stored = store.usage.stored_bytes(of).await.unwrap();
    assert!((1_000..1_200).contains(&(stored - before)), "{stored}");
    deliver_to(&store, of, "u/cy/pigeons", kept(KeptAs::Captured, &"y".repeat(2_000))).await;
    let more = store.usage.stored_bytes(of).await.unwrap();
    assert!((2_000..2_400).contains(&(more - stored)), "{more}");
    assert!(!store.users.is_free(&name("cy")).await.unwrap(), "whoever gets the name would get the trigger");
    let (at, entries) = (path("u/cy/pigeons"), items(&[("u/ann", Level::Reader)]));
    user(&store, "ann").await;
    member(&store, of, "ann", Role::Viewer).await;
    let share = async |at: &ScriptPath| store.folders.put_item(of, at, entries.clone(), None).await.unwrap();
    assert_eq!((share(&at).await, share(&path("u/cy/other")).await), (Ok(()), Err(AccessRefused::NothingThere)));
}

async fn deliver_to(store: &Store, of: WorkspaceId, at: &str, event: KeptEvent) {
    let delivery = TriggerDelivery { path: path(at), ..delivery(of, vec![Delivered::Kept(Box::new(event))]) };
    deliver(store, delivery).await;
}
