//! From events to runs: in one transaction, once, and by nobody who has lost the seat.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sandmill_model::{
    OutcomeKind, RunId, RunStatus, WorkspaceId,
    run::{Dedup, FinishedRun, NewRun},
    trigger::{Cursor, Mode, Overlap},
};
use sandmill_store::{
    Store,
    history::RunFilter,
    seats::SeatKey,
    state::{Expected, STAGED_KEYS_MAX, Staging, StateScope, Written},
    triggers::{Delivered, DeliveryAnswer, ItemReceipt, NewTrigger, STAGED_KEPT, SeatLease, TriggerDelivery},
};

use crate::{
    fixture::{Database, claim, complete, finished, ids, join, json, on_both, path, tick, workspace},
    triggers::{AT, deliver, delivery, item, put, run, status, trigger},
};

on_both![
    nothing_comes_of_a_trigger_that_is_gone_or_off,
    a_repetition_is_known,
    a_batch_has_all_of_its_keys_or_none,
    a_skip_is_recorded_once,
    an_event_is_skipped_while_a_run_goes_on,
    an_event_waits_for_the_end_of_the_others,
    an_event_tells_which_runs_it_replaces,
    of_many_that_overlap_at_once_one_starts,
    many_deliveries_at_once,
    what_a_run_staged_only_it_sees,
    staged_state_is_adopted_with_the_runs,
    staged_state_is_forgotten,
];

fn known_by(run: NewRun, key: &str) -> NewRun {
    NewRun { dedup: Some(dedup(key)), ..run }
}

fn dedup(key: &str) -> Dedup {
    Dedup { scope: "trigger pigeon f/demo/pigeons".into(), key: key.to_owned(), fingerprint: None, window: Duration::from_secs(60) }
}

fn batch(run: &NewRun, also: &[&str]) -> Delivered {
    Delivered::Run {
        run: Box::new(run.clone()),
        also: also.iter().map(|key| dedup(key)).collect(),
        is_held: false,
        overlap: Overlap::Allow,
    }
}

fn overlapping(run: &NewRun, overlap: Overlap) -> Delivered {
    Delivered::Run { run: Box::new(run.clone()), also: Vec::new(), is_held: false, overlap }
}

fn seat(of: WorkspaceId) -> SeatKey {
    SeatKey { workspace: of, path: path(AT), number: 0 }
}

/// A trigger with one seat, which a node has.
async fn seated(store: &Store, of: WorkspaceId) -> SeatLease {
    put(store, NewTrigger { seats: 1, ..trigger(of, AT) }).await;
    let node = join(store, &of.to_string(), tick()).await;
    let taken = store.seats.take(node, 100, tick()).await.unwrap();
    let seat = taken.iter().find(|taken| taken.key == seat(of)).unwrap();
    SeatLease { number: 0, node, fence: seat.fence }
}

async fn cursor(store: &Store, of: WorkspaceId) -> Option<String> {
    store.triggers.cursor(seat(of)).await.unwrap().map(|cursor| cursor.0.as_str().to_owned())
}

async fn nothing_comes_of_a_trigger_that_is_gone_or_off(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let events = || delivery(of, vec![item(&run(of))]);
    assert_eq!(store.triggers.deliver(events()).await.unwrap(), DeliveryAnswer::Gone);
    put(&store, trigger(of, AT)).await;
    assert_eq!(deliver(&store, events()).await.0.len(), 1);
    assert_eq!(store.triggers.deliver(TriggerDelivery { workspace: workspace(), ..events() }).await.unwrap(), DeliveryAnswer::Gone);
    put(&store, NewTrigger { mode: Mode::Off, ..trigger(of, AT) }).await;
    assert_eq!(store.triggers.deliver(events()).await.unwrap(), DeliveryAnswer::Gone);
    put(&store, trigger(of, AT)).await;
    assert_eq!(deliver(&store, events()).await.0.len(), 1);
    store.triggers.delete(of, &path(AT)).await.unwrap();
    assert_eq!(store.triggers.deliver(events()).await.unwrap(), DeliveryAnswer::Gone);
    assert_eq!(store.queue.length(of, 10).await.unwrap(), 2, "what was delivered before goes on");
}

async fn a_repetition_is_known(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, trigger(of, AT)).await;
    let first = [known_by(run(of), "a"), known_by(run(of), "b"), run(of)];
    let (items, _) = deliver(&store, delivery(of, first.iter().map(item).collect())).await;
    assert_eq!(items, first.each_ref().map(|run| ItemReceipt::New(run.id)));
    let new = known_by(run(of), "c");
    let again = [known_by(run(of), "b"), new.clone(), known_by(run(of), "c"), known_by(run(of), "a")];
    let (items, _) = deliver(&store, delivery(of, again.iter().map(item).collect())).await;
    let [b, c, a] = [first[1].id, new.id, first[0].id].map(ItemReceipt::Duplicate);
    assert_eq!(items, [b, ItemReceipt::New(new.id), c, a]);
    assert_eq!(store.queue.length(of, 10).await.unwrap(), 4);
    let node = join(&store, "node", tick()).await;
    let done = claim(&store, node, tick(), 10).await.into_iter().map(|each| finished(each.run, OutcomeKind::Ok)).collect();
    complete(&store, node, done).await;
    let (items, _) = deliver(&store, delivery(of, vec![item(&known_by(run(of), "a"))])).await;
    assert_eq!(items, [ItemReceipt::Duplicate(first[0].id)], "also when it has ended");
    let mut later = known_by(run(of), "a");
    later.created_at = first[0].created_at.plus(Duration::from_secs(60));
    let (items, _) = deliver(&store, delivery(of, vec![item(&later)])).await;
    assert_eq!(items, [ItemReceipt::New(later.id)], "its window is over");
}

async fn a_batch_has_all_of_its_keys_or_none(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let lease = seated(&store, of).await;
    let first = known_by(run(of), "a");
    deliver(&store, delivery(of, vec![batch(&first, &["b"])])).await;
    let (mixed, other) = (known_by(run(of), "c"), known_by(run(of), "d"));
    let items = vec![batch(&mixed, &["b", "d", "a"]), batch(&other, &["e", "d"])];
    let with_cursor =
        |items: Vec<Delivered>| TriggerDelivery { lease: Some(lease), cursor: Some(Cursor(json("7"))), ..delivery(of, items) };
    let (receipts, _) = deliver(&store, with_cursor(items)).await;
    let repeats = ItemReceipt::Repeats(vec![(1, first.id), (3, first.id)]);
    assert_eq!(receipts, [repeats, ItemReceipt::New(other.id)], "what is not written takes no keys from others");
    assert_eq!(cursor(&store, of).await, None, "an event before it is not written");
    assert!(store.history.run(of, mixed.id).await.unwrap().is_none());
    let rest = known_by(run(of), "c");
    let (receipts, _) = deliver(&store, with_cursor(vec![batch(&rest, &[])])).await;
    assert_eq!((receipts, cursor(&store, of).await.as_deref()), (vec![ItemReceipt::New(rest.id)], Some("7")));
}

async fn a_skip_is_recorded_once(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, trigger(of, AT)).await;
    let skip = |key: &str| {
        let done = finished(known_by(run(of), key), OutcomeKind::Skipped);
        FinishedRun { attempt: 0, started_at: None, ..done }
    };
    let first = skip("noon");
    let (items, _) = deliver(&store, delivery(of, vec![Delivered::Skipped(Box::new(first.clone()))])).await;
    assert_eq!(items, [ItemReceipt::Kept]);
    assert_eq!(status(&store, &first.run).await, RunStatus::Skipped);
    let again = vec![Delivered::Skipped(Box::new(skip("noon"))), item(&known_by(run(of), "noon"))];
    let (items, _) = deliver(&store, delivery(of, again)).await;
    assert_eq!(items, [ItemReceipt::Duplicate(first.run.id), ItemReceipt::Duplicate(first.run.id)]);
    let filter = RunFilter { trigger_path: Some(path(AT)), ..RunFilter::default() };
    assert_eq!(store.history.list(of, &filter, None, 10).await.unwrap().runs.len(), 1);
    let used = store.usage.attempts(of, 0, i64::MAX).await.unwrap();
    assert_eq!((used.len(), used[0].outcome, used[0].sums.runs, used[0].sums.fuel), (1, OutcomeKind::Skipped, 1, 0));
}

async fn an_event_is_skipped_while_a_run_goes_on(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, trigger(of, AT)).await;
    let (first, second, third) = (known_by(run(of), "1"), known_by(run(of), "2"), known_by(run(of), "3"));
    let skip = |run: &NewRun| overlapping(run, Overlap::Skip);
    let (items, _) = deliver(&store, delivery(of, vec![skip(&first), skip(&second)])).await;
    assert_eq!(items, [ItemReceipt::New(first.id), ItemReceipt::Overlaps(first.id)], "also within one delivery");
    let node = join(&store, "node", tick()).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [first.id]);
    let (items, _) = deliver(&store, delivery(of, vec![skip(&third), skip(&known_by(run(of), "1"))])).await;
    assert_eq!(items, [ItemReceipt::Overlaps(first.id), ItemReceipt::Duplicate(first.id)], "while it executes");
    let record = store.history.run(of, third.id).await.unwrap().unwrap();
    assert_eq!((record.summary.status, record.summary.started_at), (RunStatus::Skipped, None));
    assert!(record.error.unwrap().message.contains(&first.id.to_string()));
    complete(&store, node, vec![finished(first, OutcomeKind::Ok)]).await;
    let (items, _) = deliver(&store, delivery(of, vec![skip(&known_by(run(of), "2"))])).await;
    assert_eq!(items, [ItemReceipt::Duplicate(second.id)], "what was skipped stays so");
    let last = run(of);
    let (items, _) = deliver(&store, delivery(of, vec![skip(&last)])).await;
    assert_eq!(items, [ItemReceipt::New(last.id)]);
}

async fn an_event_waits_for_the_end_of_the_others(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, trigger(of, AT)).await;
    let runs = [run(of), run(of), run(of)];
    let queued = |run: &NewRun| overlapping(run, Overlap::Queue);
    let (items, _) = deliver(&store, delivery(of, runs.iter().map(queued).collect())).await;
    assert_eq!(items, runs.each_ref().map(|run| ItemReceipt::New(run.id)));
    let node = join(&store, "node", tick()).await;
    for each in &runs {
        assert_eq!(ids(&claim(&store, node, tick(), 10).await), [each.id]);
        complete(&store, node, vec![finished(each.clone(), OutcomeKind::Ok)]).await;
    }
    // Whoever made the run may have put the key on it already: it would wait for itself if it had it twice.
    let key = sandmill_model::policy::Key { name: format!("overlap {AT}"), limit: 1 };
    let policy = sandmill_model::Policy { keys: vec![key], ..sandmill_model::Policy::default() };
    let own = NewRun { policy: Arc::new(policy), ..run(of) };
    deliver(&store, delivery(of, vec![queued(&own)])).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [own.id]);
}

async fn an_event_tells_which_runs_it_replaces(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, trigger(of, AT)).await;
    let (plain, first, second) = (run(of), known_by(run(of), "1"), run(of));
    let replace = |run: &NewRun| overlapping(run, Overlap::CancelPrevious);
    let (items, to_cancel) = deliver(&store, delivery(of, vec![item(&plain), replace(&first)])).await;
    assert_eq!((items.len(), to_cancel), (2, vec![plain.id]));
    let (items, to_cancel) = deliver(&store, delivery(of, vec![replace(&known_by(run(of), "1"))])).await;
    assert_eq!((items, to_cancel), (vec![ItemReceipt::Duplicate(first.id)], vec![]), "a repetition replaces nothing");
    let (items, to_cancel) = deliver(&store, delivery(of, vec![replace(&second)])).await;
    assert_eq!((items, to_cancel), (vec![ItemReceipt::New(second.id)], vec![plain.id, first.id]));
    for run in [plain.id, first.id] {
        store.queue.cancel(of, run, tick()).await.unwrap();
    }
    let (_, to_cancel) = deliver(&store, delivery(of, vec![replace(&run(of))])).await;
    assert_eq!(to_cancel, [second.id]);
}

async fn of_many_that_overlap_at_once_one_starts(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = workspace();
    put(&stores[0], trigger(of, AT)).await;
    let answers = join_all((0..40).map(|index: usize| {
        let (store, event) = (&stores[index % 2], run(of));
        async move { deliver(store, delivery(of, vec![overlapping(&event, Overlap::Skip)])).await.0 }
    }))
    .await;
    let new: Vec<RunId> =
        answers.iter().flatten().filter_map(|item| if let ItemReceipt::New(run) = item { Some(*run) } else { None }).collect();
    assert_eq!(new.len(), 1, "{answers:?}");
    assert!(answers.iter().flatten().all(|item| *item == ItemReceipt::New(new[0]) || *item == ItemReceipt::Overlaps(new[0])));
    assert_eq!(stores[0].queue.length(of, 100).await.unwrap(), 1);
}

/// Listeners of many triggers on two stores, each with repetitions of what another delivers, while places are taken and lives end.
async fn many_deliveries_at_once(database: Database) {
    const LISTENERS: usize = 6;
    const DELIVERIES: usize = 20;
    let stores = [database.open().await, database.open().await];
    let of: Vec<WorkspaceId> = (0..LISTENERS).map(|_| workspace()).collect();
    let mut leases = Vec::new();
    for of in &of {
        leases.push(seated(&stores[0], *of).await);
    }
    let listen = join_all((0..LISTENERS * 2).map(|index| {
        let (store, of, lease) = (&stores[index % 2], of[index / 2], leases[index / 2]);
        async move {
            let mut new = 0;
            for number in 0..DELIVERIES {
                let events = (0..10).map(|event| item(&known_by(run(of), &format!("{number} {event}")))).collect();
                let cursor = Some(Cursor(json(&number.to_string())));
                let (items, _) = deliver(store, TriggerDelivery { lease: Some(lease), cursor, ..delivery(of, events) }).await;
                new += items.iter().filter(|item| matches!(item, ItemReceipt::New(_))).count();
            }
            new
        }
    }));
    let disturb = async {
        for round in 0..30 {
            let node = join(&stores[1], "another", tick()).await;
            stores[1].seats.take(node, 10, tick()).await.unwrap();
            stores[1].nodes.leave(node).await.unwrap();
            put(&stores[1], NewTrigger { seats: 1, ..trigger(of[round % LISTENERS], AT) }).await;
        }
    };
    let (new, ()) = futures_util::future::join(listen, disturb).await;
    assert_eq!(new.iter().sum::<usize>(), LISTENERS * DELIVERIES * 10, "each event once");
    for of in of {
        assert_eq!(stores[0].queue.length(of, 10_000).await.unwrap(), (DELIVERIES * 10) as u64);
        assert_eq!(cursor(&stores[0], of).await, Some((DELIVERIES - 1).to_string()));
    }
    assert_eq!(database.deadlocks().await, 0);
}

fn staging(of: WorkspaceId) -> (Staging, StateScope) {
    let scope = StateScope { workspace: of, path: path("f/demo/ask"), trigger: AT.to_owned() };
    (Staging { scope: scope.clone(), run: RunId::new(tick()) }, scope)
}

async fn what_a_run_staged_only_it_sees(database: Database) {
    let store = database.open().await;
    let (staging, scope) = staging(workspace());
    for (key, value) in [("a", "1"), ("b", "2"), ("d", "4")] {
        store.state.put(&scope, key, None, Some(json(value)), tick()).await.unwrap();
    }
    let other = Staging { run: RunId::new(tick()), ..staging.clone() };
    let get = async |key: &str| store.state.get_staged(&staging, key).await.unwrap().map(|value| value.as_str().to_owned());
    let stage = async |key: &str, expected: Option<Option<&str>>, value: Option<&str>| {
        let expected = expected.map(|value| Expected(value.map(json)));
        store.state.stage(&staging, key, expected, value.map(json)).await.unwrap()
    };
    assert_eq!(get("a").await.as_deref(), Some("1"));
    assert_eq!(stage("a", Some(Some("7")), Some("9")).await, Written::No);
    assert_eq!(stage("a", Some(Some(" 1.0 ")), Some("9")).await, Written::Yes);
    assert_eq!(stage("a", Some(Some("1")), Some("8")).await, Written::No, "it sees its own");
    assert_eq!(stage("b", None, None).await, Written::Yes);
    assert_eq!(stage("b", Some(Some("2")), None).await, Written::No, "it deleted it");
    assert_eq!(stage("c\0", Some(None), Some("3")).await, Written::Yes);
    assert_eq!((get("a").await.as_deref(), get("b").await, get("c\0").await.as_deref()), (Some("9"), None, Some("3")));
    let keys = async |prefix: &str, after: Option<&str>, limit: u32| store.state.keys_staged(&staging, prefix, after, limit).await.unwrap();
    assert_eq!(keys("", None, 10).await, ["a", "c\0", "d"]);
    assert_eq!((keys("", Some("a"), 1).await, keys("d", None, 10).await), (vec!["c\0".to_owned()], vec!["d".to_owned()]));
    assert_eq!(store.state.get(&scope, "a").await.unwrap(), Some(json("1")));
    assert_eq!(store.state.keys(&scope, "", None, 10).await.unwrap(), ["a", "b", "d"]);
    assert_eq!(store.state.get_staged(&other, "b").await.unwrap(), Some(json("2")), "another run does not");
    for number in 2..STAGED_KEYS_MAX {
        assert_eq!(
            stage(&format!("k{number}"), None, Some("1")).await,
            if number < STAGED_KEYS_MAX - 1 { Written::Yes } else { Written::TooManyKeys }
        );
    }
    assert_eq!(stage("a", None, Some("10")).await, Written::Yes, "no more than before");
}

async fn staged_state_is_adopted_with_the_runs(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let lease = seated(&store, of).await;
    let (staging, scope) = staging(of);
    store.state.put(&scope, "gone", None, Some(json("1")), tick()).await.unwrap();
    for (key, value) in [("seen", Some("[1, 2]")), ("new", Some("2")), ("gone", None)] {
        store.state.stage(&staging, key, None, value.map(json)).await.unwrap();
    }
    let adopt = |lease: SeatLease, items: Vec<Delivered>| TriggerDelivery {
        lease: Some(lease),
        adopts_state_of: Some(staging.run),
        ..delivery(of, items)
    };
    let fenced = adopt(SeatLease { fence: lease.fence + 1, ..lease }, vec![item(&run(of))]);
    assert_eq!(store.triggers.deliver(fenced).await.unwrap(), DeliveryAnswer::Fenced);
    let (first, mixed) = (known_by(run(of), "a"), known_by(run(of), "b"));
    deliver(&store, delivery(of, vec![item(&first)])).await;
    deliver(&store, adopt(lease, vec![batch(&mixed, &["a"])])).await;
    assert_eq!(store.state.keys(&scope, "", None, 10).await.unwrap(), ["gone"], "its runs are not all there");
    let (items, _) = deliver(&store, adopt(lease, vec![item(&mixed)])).await;
    assert_eq!(items, [ItemReceipt::New(mixed.id)]);
    assert_eq!(store.state.keys(&scope, "", None, 10).await.unwrap(), ["new", "seen"]);
    assert_eq!(store.state.get(&scope, "seen").await.unwrap(), Some(json("[1, 2]")));
    store.state.put(&scope, "seen", None, Some(json("3")), tick()).await.unwrap();
    deliver(&store, adopt(lease, Vec::new())).await;
    assert_eq!(store.state.get(&scope, "seen").await.unwrap(), Some(json("3")), "once");
    let foreign = workspace();
    put(&store, trigger(foreign, AT)).await;
    store.state.stage(&staging, "seen", None, Some(json("4"))).await.unwrap();
    deliver(&store, TriggerDelivery { workspace: foreign, lease: None, ..adopt(lease, Vec::new()) }).await;
    assert_eq!(store.state.get(&scope, "seen").await.unwrap(), Some(json("3")), "not by another workspace");
}

async fn staged_state_is_forgotten(database: Database) {
    let store = database.open().await;
    let (staging, scope) = staging(workspace());
    let now = tick();
    store.state.stage(&staging, "a", None, Some(json("1"))).await.unwrap();
    assert_eq!(store.triggers.forget(now).await.unwrap(), 0);
    assert_eq!(store.triggers.forget(now.plus(STAGED_KEPT).plus(Duration::from_secs(1))).await.unwrap(), 1);
    assert_eq!(store.state.get_staged(&staging, "a").await.unwrap(), None);
    assert_eq!(store.state.get(&scope, "a").await.unwrap(), None);
}
