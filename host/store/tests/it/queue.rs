//! The queue: accepting, claiming, completing, cancelling.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use sandmill_model::{
    OutcomeKind, Policy, RunId, RunStatus, Timestamp,
    attempt::Input,
    policy::Key,
    run::{Dedup, NewRun},
};
use sandmill_store::{
    Store, StoreError,
    nodes::Incarnation,
    queue::{Cancelled, Claimed, Claims, Completion, Enqueued, Head, Logged, Ready, Share},
};

use crate::fixture::{
    Database, LEASE, about, all_tags, claim, complete, event, finished, heads, ids, join, json, line, log_of, new_run, on_both, tick,
    workspace,
};

on_both![
    what_is_enqueued_is_claimed_unaltered,
    enqueueing_is_all_or_none,
    a_failing_call_does_not_fail_the_others,
    only_due_runs_the_urgent_and_the_oldest_first,
    heads_are_what_is_ready,
    shares_bound_what_each_head_gives,
    a_claim_takes_few_large_inputs_along,
    two_nodes_claim_disjoint_runs,
    completing_moves_to_history,
    what_is_tried_again_waits_and_keeps_its_log,
    beginning_at_once,
    adopting,
    cancelling,
    lengths,
    large_inputs,
    everything_at_once_loses_nothing,
];

async fn status(store: &Store, run: &NewRun) -> Option<RunStatus> {
    store.history.run(run.workspace, run.id).await.unwrap().map(|record| record.summary.status)
}

async fn enqueue(store: &Store, runs: &[NewRun]) {
    assert_eq!(store.queue.enqueue(runs.to_vec()).await.unwrap(), vec![Enqueued::New; runs.len()]);
}

async fn what_is_enqueued_is_claimed_unaltered(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let plain = new_run(of);
    let by_event = NewRun { input: Input::Event(event()), ..new_run(of) };
    let mut binary = event();
    binary.payload = Bytes::from_static(b"\xff\0\xfe");
    binary.trigger.path = None;
    (binary.dedup_key, binary.ordering_key) = (None, Some("ordered".to_owned()));
    let binary = NewRun { input: Input::Event(binary), ..new_run(of) };
    let odd = NewRun { input: Input::Arguments(json(" {\"\\u0000\": \"😀\",\n\"n\": 1e400}\n")), ..new_run(of) };
    let mut with_terms = new_run(of);
    let policy = sandmill_model::policy::DispatchRequest {
        retry: Some(sandmill_model::policy::Retry::default()),
        run_ms: Some(5000),
        concurrency: vec![sandmill_model::policy::Concurrency { limit: 2, key: None }],
        ..Default::default()
    };
    with_terms.policy = Arc::new(policy.policy("f/demo/hello", &serde_json::Value::Null, tick()));
    let answered_for = NewRun { run_as: "s/nightly".into(), answered_by: Some("u/ann".into()), ..new_run(of) };
    let staging = NewRun { stages_state: true, ..new_run(of) };
    let runs = vec![plain, by_event, binary, odd, with_terms, answered_for, staging];
    enqueue(&store, &runs).await;
    enqueue(&store, &[]).await;
    let node = join(&store, "node", tick()).await;
    let claimed = claim(&store, node, tick(), 10).await;
    let expected = |run| Claimed { run, attempt: 1, begun: 1, lost: 0, is_cancelled: false };
    assert_eq!(claimed, runs.into_iter().map(expected).collect::<Vec<_>>());
    assert_eq!(claim(&store, node, tick(), 10).await, [], "they are taken");
}

async fn enqueueing_is_all_or_none(database: Database) {
    let store = database.open().await;
    let (present, new) = (new_run(workspace()), new_run(workspace()));
    enqueue(&store, std::slice::from_ref(&present)).await;
    let again = store.queue.enqueue(vec![new.clone(), present.clone()]).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert_eq!(status(&store, &new).await, None);
    let node = join(&store, "node", tick()).await;
    assert_eq!(ids(&claim(&store, node, tick(), 10).await), [present.id]);
}

async fn a_failing_call_does_not_fail_the_others(database: Database) {
    let store = database.open().await;
    let present = new_run(workspace());
    enqueue(&store, std::slice::from_ref(&present)).await;
    let calls = (0..60).map(|index| store.queue.enqueue(vec![if index % 20 == 7 { present.clone() } else { new_run(present.workspace) }]));
    let answers = futures_util::future::join_all(calls).await;
    for (index, answer) in answers.iter().enumerate() {
        match answer {
            Ok(answers) => assert!(index % 20 != 7 && *answers == [Enqueued::New]),
            Err(error) => assert!(index % 20 == 7 && matches!(error, StoreError::Conflict(_)), "{index}: {error}"),
        }
    }
    let node = join(&store, "node", tick()).await;
    assert_eq!(claim(&store, node, tick(), 100).await.len(), 58);
}

async fn only_due_runs_the_urgent_and_the_oldest_first(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..4).map(|_| new_run(of)).collect();
    let urgent = NewRun { policy: Arc::new(Policy { priority: 1, ..Policy::default() }), ..new_run(of) };
    let mut late = new_run(of);
    late.scheduled_for = tick().plus(Duration::from_secs(60));
    let mut shuffled = vec![late.clone(), runs[2].clone(), runs[0].clone(), runs[3].clone(), runs[1].clone(), urgent.clone()];
    enqueue(&store, &shuffled.split_off(2)).await;
    enqueue(&store, &shuffled).await;
    assert_eq!(status(&store, &late).await, Some(RunStatus::Queued));
    let now = tick();
    let node = join(&store, "node", now).await;
    assert_eq!(claim(&store, node, now, 0).await, []);
    assert_eq!(ids(&claim(&store, node, now, 3).await), [urgent.id, runs[0].id, runs[1].id]);
    assert_eq!(ids(&claim(&store, node, now, 3).await), [runs[2].id, runs[3].id]);
    let before = Timestamp::from_micros(late.scheduled_for.micros() - 1);
    let woken = store.queue.wake_due(before).await.unwrap();
    assert_eq!((woken.runs, woken.next), (0, Some(late.scheduled_for)));
    assert_eq!(claim(&store, node, before, 3).await, []);
    assert_eq!(ids(&claim(&store, node, late.scheduled_for, 3).await), [late.id]);
    assert_eq!(store.queue.wake_due(late.scheduled_for).await.unwrap().next, None);
}

async fn heads_are_what_is_ready(database: Database) {
    let store = database.open().await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        let of = workspace();
        for tag in ["", "cpu", "gpu"] {
            let policy = Arc::new(Policy { tag: tag.into(), ..Policy::default() });
            let run = || NewRun { policy: Arc::clone(&policy), ..new_run(of) };
            enqueue(&store, &[run(), run()]).await;
            expected.push(Ready { head: Head { workspace: of, tag: tag.into() }, weight: 1, running_max: None });
        }
        let mut later = new_run(workspace());
        later.scheduled_for = later.created_at.plus(LEASE);
        enqueue(&store, &[later]).await;
    }
    expected.sort_by(|a, b| a.head.cmp(&b.head));
    assert_eq!(heads(&store).await, expected);
    let first = store.queue.heads(all_tags(), None, 2).await.unwrap();
    assert_eq!((&*first.ready, first.after), (&expected[..6], Some(expected[5].head.workspace)));
    let rest = store.queue.heads(all_tags(), first.after, 2).await.unwrap();
    assert_eq!((&*rest.ready, rest.after), (&expected[6..], None));
    let gpu = store.queue.heads(vec!["gpu".into()], None, 100).await.unwrap().ready;
    assert_eq!(gpu, expected.iter().filter(|ready| &*ready.head.tag == "gpu").cloned().collect::<Vec<_>>());
    let node = join(&store, "node", tick()).await;
    let all = vec![Share { head: expected[0].head.clone(), runs_max: 2, running_max: None }];
    assert_eq!(store.queue.claim(node, tick(), all).await.unwrap().runs.len(), 2);
    assert_eq!(heads(&store).await, expected[1..]);
}

async fn shares_bound_what_each_head_gives(database: Database) {
    let store = database.open().await;
    let (busy, quiet) = (workspace(), workspace());
    enqueue(&store, &(0..50).map(|_| new_run(busy)).collect::<Vec<_>>()).await;
    let only = new_run(quiet);
    enqueue(&store, std::slice::from_ref(&only)).await;
    let node = join(&store, "node", tick()).await;
    let share = |workspace, runs_max| Share { head: Head { workspace, tag: "".into() }, runs_max, running_max: None };
    let claimed = store.queue.claim(node, tick(), vec![share(busy, 3), share(quiet, 3)]).await.unwrap().runs;
    assert_eq!(claimed.len(), 4);
    assert_eq!(claimed[3].run.id, only.id);
    let another_tag = Share { head: Head { workspace: busy, tag: "gpu".into() }, runs_max: 3, running_max: None };
    assert_eq!(store.queue.claim(node, tick(), vec![another_tag]).await.unwrap(), Claims::default());
}

/// Inputs of claimed runs are in memory until these have a slot.
async fn a_claim_takes_few_large_inputs_along(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let large =
        |n: usize| NewRun { input: Input::Arguments(json(&format!("{{\"n\": {n}, \"x\": \"{}\"}}", "x".repeat(2_000)))), ..new_run(of) };
    let runs: Vec<NewRun> = (0..40).map(|n| if n % 2 == 0 { large(n) } else { new_run(of) }).collect();
    enqueue(&store, &runs).await;
    let node = join(&store, "node", tick()).await;
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let claimed = claim(&store, node, tick(), 100).await;
        if claimed.is_empty() {
            break;
        }
        sizes.push(claimed.len());
        seen.extend(claimed.into_iter().map(|claimed| (claimed.run.id, claimed.run.input)));
    }
    assert_eq!(sizes, [32, 8], "sixteen large ones in the first, and those between them");
    assert_eq!(seen, runs.into_iter().map(|run| (run.id, run.input)).collect::<Vec<_>>(), "in order, each with its own input");
}

async fn two_nodes_claim_disjoint_runs(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = workspace();
    let runs: Vec<NewRun> = (0..300).map(|_| new_run(of)).collect();
    enqueue(&stores[0], &runs).await;
    let now = tick();
    let nodes = (0..6).map(|index| {
        let store = &stores[index % 2];
        async move {
            let node = join(store, &format!("node {index}"), now).await;
            let mut own = Vec::new();
            loop {
                let claimed = claim(store, node, now, 7).await;
                if claimed.is_empty() {
                    break own;
                }
                own.extend(ids(&claimed));
            }
        }
    });
    let mut all: Vec<RunId> = futures_util::future::join_all(nodes).await.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, runs.iter().map(|run| run.id).collect::<Vec<_>>());
}

async fn completing_moves_to_history(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..3).map(|_| NewRun { input: Input::Event(event()), ..new_run(of) }).collect();
    enqueue(&store, &runs).await;
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Queued));
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 2).await;
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Running));
    let record = store.history.run(runs[0].workspace, runs[0].id).await.unwrap().unwrap();
    assert_eq!((record.arguments, record.event), (json("{\"a\": 1}"), Some(event().metadata)));
    let ended = [finished(runs[0].clone(), OutcomeKind::Ok), finished(runs[2].clone(), OutcomeKind::Ok)];
    assert_eq!(complete(&store, node, ended.to_vec()).await, [runs[0].id], "the third was not claimed");
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Succeeded));
    assert_eq!(status(&store, &runs[1]).await, Some(RunStatus::Running));
    assert_eq!(status(&store, &runs[2]).await, Some(RunStatus::Queued));
    assert_eq!(complete(&store, node, ended.to_vec()).await, [], "it has moved");
    assert_eq!(complete(&store, node, Vec::new()).await, []);
}

async fn what_is_tried_again_waits_and_keeps_its_log(database: Database) {
    let store = database.open().await;
    let run = new_run(workspace());
    enqueue(&store, std::slice::from_ref(&run)).await;
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 1).await;
    let again_at = tick().plus(Duration::from_secs(60));
    let mut done = finished(run.clone(), OutcomeKind::Error);
    done.outcome.log = vec![line("first try")];
    let again = |done| vec![Completion { done, again_at: Some(again_at), handler: None, logged: Logged::default() }];
    assert_eq!(store.queue.complete(Incarnation(node.0 + 7), again(done.clone())).await.unwrap(), [], "another's");
    assert_eq!(store.queue.complete(node, again(done.clone())).await.unwrap(), [run.id]);
    assert_eq!(store.queue.complete(node, again(done)).await.unwrap(), [], "it is not held any more");
    assert_eq!(status(&store, &run).await, Some(RunStatus::Queued));
    assert_eq!(claim(&store, node, tick(), 1).await, [], "not yet");
    let claimed = claim(&store, node, again_at, 1).await;
    assert_eq!((claimed[0].run.id, claimed[0].attempt, claimed[0].lost), (run.id, 2, 0));
    assert_eq!(claimed[0].run.scheduled_for, run.scheduled_for, "what the caller asked for stays");
    let mut done = finished(run.clone(), OutcomeKind::Ok);
    done.attempt = 2;
    done.outcome.log = vec![line("second try")];
    assert_eq!(complete(&store, node, vec![done]).await, [run.id]);
    let log = log_of(&store, run.workspace, run.id).await.unwrap();
    assert_eq!(log.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["first try", "second try"]);
}

async fn beginning_at_once(database: Database) {
    let store = database.open().await;
    let (of, now) = (workspace(), tick());
    let (node, other) = (join(&store, "node", now).await, join(&store, "other", now.plus(LEASE * 9)).await);
    let (run, waiting) = (new_run(of), new_run(of));
    enqueue(&store, std::slice::from_ref(&waiting)).await;
    assert_eq!(store.queue.begin(node, run.clone()).await.unwrap(), Enqueued::Begun);
    let record = store.history.run(of, run.id).await.unwrap().unwrap();
    assert_eq!((record.summary.status, record.summary.attempt, record.summary.started_at), (RunStatus::Running, 1, Some(run.created_at)));
    assert_eq!(complete(&store, other, vec![finished(run.clone(), OutcomeKind::Ok)]).await, [], "another's");
    assert_eq!(complete(&store, node, vec![finished(run, OutcomeKind::Ok)]).await, [record.summary.id]);

    // What has to wait is enqueued as any other.
    let mut later = new_run(of);
    later.scheduled_for = later.created_at.plus(LEASE);
    assert_eq!(store.queue.begin(node, later).await.unwrap(), Enqueued::New);
    let keyed = || {
        let keys = vec![Key { name: "one at a time".to_owned(), limit: 1 }];
        NewRun { policy: Arc::new(Policy { keys, ..Policy::default() }), ..new_run(of) }
    };
    let (first, second) = (keyed(), keyed());
    assert_eq!(store.queue.begin(node, first.clone()).await.unwrap(), Enqueued::Begun);
    assert_eq!(store.queue.begin(node, second.clone()).await.unwrap(), Enqueued::New);
    assert_eq!(status(&store, &second).await, Some(RunStatus::Parked));
    assert_eq!(complete(&store, node, vec![finished(first.clone(), OutcomeKind::Ok)]).await, [first.id]);
    let ready: Vec<_> = claim(&store, other, now, 10).await.into_iter().map(|claimed| claimed.run.id).collect();
    assert_eq!(ready, [waiting.id, second.id], "it handed its key on");

    let dedup = Dedup { scope: "client".into(), key: "k".into(), fingerprint: None, window: LEASE };
    let known = || NewRun { dedup: Some(dedup.clone()), ..new_run(of) };
    let (first, second) = (known(), known());
    assert_eq!(store.queue.begin(node, first.clone()).await.unwrap(), Enqueued::Begun);
    assert_eq!(store.queue.begin(node, second.clone()).await.unwrap(), Enqueued::Duplicate(first.id));
    assert_eq!(status(&store, &second).await, None);

    // Its run is tried again, and from then on it gets none.
    assert_eq!(store.nodes.bury(now.plus(LEASE * 2)).await.unwrap(), 1);
    let late = new_run(of);
    assert_eq!(store.queue.begin(node, late.clone()).await.unwrap(), Enqueued::New);
    let again: Vec<_> = claim(&store, other, now, 10).await.into_iter().map(|claimed| (claimed.run.id, claimed.attempt)).collect();
    assert_eq!(again, [(first.id, 2), (late.id, 1)]);
}

async fn adopting(database: Database) {
    let store = database.open().await;
    let (run, now) = (NewRun { input: Input::Event(event()), ..new_run(workspace()) }, tick());
    let (node, other) = (join(&store, "node", now).await, join(&store, "other", now.plus(LEASE * 9)).await);
    store.queue.adopt(node, run.clone(), now).await.unwrap();
    assert_eq!(claim(&store, other, now, 10).await, [], "it is claimed already");
    let record = store.history.run(run.workspace, run.id).await.unwrap().unwrap();
    assert_eq!((record.summary.status, record.summary.attempt, record.summary.started_at), (RunStatus::Running, 1, Some(now)));
    assert_eq!(store.nodes.bury(now.plus(LEASE * 2)).await.unwrap(), 1);
    assert_eq!(claim(&store, other, now, 10).await, [Claimed { run: run.clone(), attempt: 2, begun: 2, lost: 1, is_cancelled: false }]);
    assert_eq!(complete(&store, node, vec![finished(run.clone(), OutcomeKind::Ok)]).await, []);
    let own = new_run(workspace());
    store.queue.adopt(other, own.clone(), now).await.unwrap();
    assert_eq!(complete(&store, other, vec![finished(own.clone(), OutcomeKind::Ok)]).await, [own.id]);
    let again = store.queue.adopt(other, run, now).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

async fn cancelling(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..2).map(|_| NewRun { input: Input::Event(event()), ..new_run(of) }).collect();
    enqueue(&store, &runs).await;
    let now = tick();
    let node = join(&store, "node", now).await;
    claim(&store, node, now, 1).await;
    let cancel = async |run: &NewRun| store.queue.cancel(run.workspace, run.id, now).await.unwrap();
    assert_eq!(cancel(&NewRun { workspace: workspace(), ..runs[0].clone() }).await, Cancelled::TooLate, "another workspace's");
    assert_eq!(cancel(&runs[0]).await, Cancelled::Requested);
    assert_eq!(status(&store, &runs[0]).await, Some(RunStatus::Running));
    assert_eq!(cancel(&runs[1]).await, Cancelled::AtOnce);
    assert_eq!(cancel(&runs[1]).await, Cancelled::TooLate);
    let record = store.history.run(runs[1].workspace, runs[1].id).await.unwrap().unwrap();
    assert_eq!((record.summary.status, record.summary.outcome), (RunStatus::Cancelled, Some(OutcomeKind::Cancelled)));
    assert_eq!((record.summary.attempt, record.summary.started_at, record.summary.ended_at), (0, None, Some(now)));
    assert_eq!((record.arguments, record.event), (json("{\"a\": 1}"), Some(event().metadata)));
    assert_eq!(log_of(&store, runs[1].workspace, runs[1].id).await, Some(Vec::new()));
    let mut later = new_run(of);
    later.scheduled_for = later.created_at.plus(LEASE);
    enqueue(&store, std::slice::from_ref(&later)).await;
    assert_eq!(cancel(&later).await, Cancelled::AtOnce, "delayed");
    complete(&store, node, vec![finished(runs[0].clone(), OutcomeKind::Cancelled)]).await;
    assert_eq!(cancel(&runs[0]).await, Cancelled::TooLate);
    assert_eq!(claim(&store, node, now.plus(LEASE * 2), 10).await, []);
}

async fn lengths(database: Database) {
    let store = database.open().await;
    let of = workspace();
    enqueue(&store, &(0..5).map(|_| new_run(of)).collect::<Vec<_>>()).await;
    enqueue(&store, &[new_run(workspace())]).await;
    assert_eq!(store.queue.length(of, 100).await.unwrap(), 5);
    assert_eq!(store.queue.length(of, 3).await.unwrap(), 3);
    assert_eq!(store.queue.length(workspace(), 3).await.unwrap(), 0);
}

async fn large_inputs(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let text = "ü\\u0000".repeat(1024 * 1024);
    let arguments = NewRun { input: Input::Arguments(json(&format!("{{\"text\":\"{text}\"}}"))), ..new_run(of) };
    let mut by_event = event();
    by_event.payload = Bytes::from(vec![0xff; 8 * 1024 * 1024]);
    let payload = NewRun { input: Input::Event(by_event), ..new_run(of) };
    let runs = vec![arguments, payload];
    enqueue(&store, &runs).await;
    let node = join(&store, "node", tick()).await;
    let claimed = claim(&store, node, tick(), 2).await;
    assert!(claimed.iter().map(|each| &each.run).eq(&runs), "8 MiB come back unaltered");
    complete(&store, node, vec![finished(runs[0].clone(), OutcomeKind::Ok)]).await;
    let record = store.history.run(runs[0].workspace, runs[0].id).await.unwrap().unwrap();
    assert!(Input::Arguments(record.arguments) == runs[0].input);
}

/// Producers, workers, heartbeats and a reaper together: every run ends once.
async fn everything_at_once_loses_nothing(database: Database) {
    const RUNS: usize = 400;
    let stores = [database.open().await, database.open().await];
    let of = workspace();
    let runs: Vec<NewRun> = (0..RUNS).map(|_| new_run(of)).collect();
    let produce =
        futures_util::future::join_all(runs.chunks(10).enumerate().map(|(index, chunk)| stores[index % 2].queue.enqueue(chunk.to_vec())));
    let ended = std::sync::Mutex::new(Vec::new());
    let work = futures_util::future::join_all((0..4).map(|index| {
        let (store, ended) = (&stores[index % 2], &ended);
        async move {
            // All tests share the clock: others let more than a lease go by before the first sign of life.
            let node = store.nodes.join(about(&format!("node {index}")), tick(), LEASE * 1000).await.unwrap();
            while ended.lock().unwrap().len() < RUNS {
                let claimed = claim(store, node, tick(), 9).await;
                assert!(store.nodes.heartbeat(node, 1, tick(), LEASE * 1000).await.unwrap().is_some());
                store.nodes.bury(tick()).await.unwrap();
                let done = claimed.into_iter().map(|each| finished(each.run, OutcomeKind::Ok)).collect();
                let moved = complete(store, node, done).await;
                ended.lock().unwrap().extend(moved);
            }
        }
    }));
    let ((), produced) = futures_util::future::join(async { drop(work.await) }, produce).await;
    assert!(produced.iter().all(Result::is_ok), "{produced:?}");
    let ended = ended.into_inner().unwrap();
    assert_eq!(ended.len(), RUNS);
    assert_eq!(ended.into_iter().collect::<HashSet<_>>(), runs.iter().map(|run| run.id).collect());
}
