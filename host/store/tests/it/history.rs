//! History: appending, reading, logs, lists.

use std::sync::Arc;

use bytes::Bytes;
use sandmill_model::{
    Cause, CauseKind, JsonText, LogEntry, OutcomeKind, Output, Policy, RunId, RunStatus, WorkspaceId,
    attempt::Input,
    run::{FinishedRun, NewRun},
};
use sandmill_store::{
    Store,
    history::{Phase, RunFilter, RunPage},
};

use crate::fixture::{
    Database, claim, complete, event, finished, join, json, line, log_of, new_run, on_both, path, run_of, tick, workspace,
};

on_both![
    every_outcome_is_read_back,
    arguments_of_an_event,
    appending_again_does_no_harm,
    batches_of_all_sizes,
    logs_are_read_back_in_order,
    logs_of_runs_that_have_not_ended,
    lists_queued_and_ended_together,
    filters,
    every_condition_finds_queued_and_ended_runs,
    rare_runs_are_found_page_by_page,
    pages_stay_stable_while_runs_come_and_end,
    another_workspace_sees_nothing,
    large_results,
];

async fn every_outcome_is_read_back(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let mut runs: Vec<FinishedRun> = OutcomeKind::ALL.into_iter().map(|kind| finished(new_run(of), kind)).collect();
    let data = Bytes::from_static(b"\0\xff");
    runs[0].outcome.output = Some(Output::Bytes { content_type: "image/\0png; ü".to_owned(), data });
    runs[1].started_at = None;
    runs[1].attempt = 0;
    runs.push(finished(new_run(of), OutcomeKind::Ok));
    runs.push(finished(new_run(of), OutcomeKind::Ok));
    runs.last_mut().unwrap().outcome.output = Some(Output::Bytes { content_type: String::new(), data: Bytes::new() });
    store.history.append(runs.clone()).await.unwrap();
    for done in runs {
        let record = store.history.run(of, done.run.id).await.unwrap().unwrap();
        let summary = &record.summary;
        assert_eq!((summary.id, &summary.path, summary.number, summary.version), (done.run.id, &done.run.path, 3, done.run.version));
        assert_eq!((summary.status, summary.outcome), (done.status(), Some(done.outcome.kind)));
        assert_eq!((summary.attempt, &*summary.run_as, &summary.trigger_kind), (done.attempt, "u/admin", &None));
        assert_eq!((summary.created_at, summary.scheduled_for), (done.run.created_at, done.run.scheduled_for));
        assert_eq!((summary.started_at, summary.ended_at), (done.started_at, Some(done.ended_at)));
        assert_eq!(Input::Arguments(record.arguments), done.run.input);
        assert_eq!(record.event, None);
        assert_eq!((record.output, record.error, record.usage), (done.outcome.output, done.outcome.error, done.outcome.usage));
    }
    assert_eq!(store.history.run(of, RunId::new(tick())).await.unwrap(), None);
}

async fn arguments_of_an_event(database: Database) {
    let store = database.open().await;
    let run = || NewRun { input: Input::Event(event()), ..new_run(workspace()) };
    let plain = finished(run(), OutcomeKind::Ok);
    let mut preprocessed = finished(run(), OutcomeKind::Ok);
    preprocessed.outcome.arguments = Some(json("{\"made\": true}"));
    store.history.append(vec![plain.clone(), preprocessed.clone()]).await.unwrap();
    let kept = "{\"raw\":\"{\\\"a\\\": 1}\",\"method\": \"POST\",\n \"query\": {\"ü\": \"\\u0000\"}}";
    for (done, arguments, kept) in [(plain, "{\"a\": 1}", event().metadata), (preprocessed, "{\"made\": true}", json(kept))] {
        let record = store.history.run(done.run.workspace, done.run.id).await.unwrap().unwrap();
        assert_eq!((record.arguments, record.event), (json(arguments), Some(kept)));
        assert_eq!(record.summary.trigger_kind.as_deref(), Some("webhook"));
    }
}

async fn appending_again_does_no_harm(database: Database) {
    let store = database.open().await;
    let mut done = finished(new_run(workspace()), OutcomeKind::Ok);
    done.outcome.log = vec![line("once")];
    for _ in 0..2 {
        store.history.append(vec![done.clone()]).await.unwrap();
    }
    let (of, id) = (done.run.workspace, done.run.id);
    assert_eq!(store.history.list(of, &RunFilter::default(), None, 10).await.unwrap().runs.len(), 1);
    assert_eq!(log_of(&store, of, id).await, Some(done.outcome.log));
}

async fn batches_of_all_sizes(database: Database) {
    let store = database.open().await;
    for size in [0, 1, 2, 3, 63, 64, 65, 200, 1500] {
        let of = workspace();
        let runs: Vec<FinishedRun> = (0..size).map(|_| finished(new_run(of), OutcomeKind::Ok)).collect();
        store.history.append(runs.clone()).await.unwrap();
        let listed = store.history.list(of, &RunFilter::default(), None, 2000).await.unwrap().runs;
        assert!(listed.iter().map(|each| each.id).eq(runs.iter().rev().map(|done| done.run.id)), "{size}");
    }
}

async fn logs_are_read_back_in_order(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let with_log = |log| {
        let mut done = finished(new_run(of), OutcomeKind::Error);
        done.outcome.log = log;
        done
    };
    let fields = Some(JsonText::parse("{\n  \"a\": [1,\n 2],\r\n \"z\": 1.50 }").unwrap());
    let odd = vec![line("nul \0 ✓ 😀 \n \r\n \u{2028}"), LogEntry { fields, ..line("") }, line("last")];
    let long = (0..40_000).map(|index| line(&format!("line {index}"))).collect();
    let wide = vec![line("before"), line(&"ü\0".repeat(1024 * 1024)), line("after")];
    let runs: Vec<FinishedRun> = [odd, long, wide, Vec::new()].into_iter().map(with_log).collect();
    store.history.append(runs.clone()).await.unwrap();
    for done in runs {
        let log = log_of(&store, of, done.run.id).await;
        assert!(log == Some(done.outcome.log), "{:?}", log.map(|log| log.len()));
    }
    assert_eq!(log_of(&store, of, RunId::new(tick())).await, None);
}

async fn logs_of_runs_that_have_not_ended(database: Database) {
    let store = database.open().await;
    let run = new_run(workspace());
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    assert_eq!(log_of(&store, run.workspace, run.id).await, Some(Vec::new()));
    assert_eq!(log_of(&store, workspace(), run.id).await, None);
}

/// Runs oldest first: 0 and 3 ended, 1 running, 2 and 4 queued.
async fn mixed(store: &Store, of: WorkspaceId) -> Vec<NewRun> {
    let runs: Vec<NewRun> = (0..5).map(|index| run_of(of, if index % 2 == 0 { "f/demo/even" } else { "f/demo/odd" })).collect();
    store.history.append(vec![finished(runs[0].clone(), OutcomeKind::Ok), finished(runs[3].clone(), OutcomeKind::Trap)]).await.unwrap();
    store.queue.enqueue(vec![runs[1].clone(), runs[2].clone(), runs[4].clone()]).await.unwrap();
    let node = join(store, "node", tick()).await;
    claim(store, node, tick(), 1).await;
    runs
}

async fn list(store: &Store, of: WorkspaceId, filter: &RunFilter, page: (Option<RunId>, u32)) -> Vec<RunId> {
    store.history.list(of, filter, page.0, page.1).await.unwrap().runs.into_iter().map(|each| each.id).collect()
}

async fn lists_queued_and_ended_together(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs = mixed(&store, of).await;
    let listed = store.history.list(of, &RunFilter::default(), None, 10).await.unwrap().runs;
    let expected = [
        (4, RunStatus::Queued, None),
        (3, RunStatus::Failed, Some(OutcomeKind::Trap)),
        (2, RunStatus::Queued, None),
        (1, RunStatus::Running, None),
        (0, RunStatus::Succeeded, Some(OutcomeKind::Ok)),
    ];
    let expected = expected.map(|(index, status, outcome): (usize, _, _)| (runs[index].id, status, outcome));
    assert_eq!(listed.iter().map(|each| (each.id, each.status, each.outcome)).collect::<Vec<_>>(), expected);
    for each in &listed {
        let record = store.history.run(of, each.id).await.unwrap().unwrap();
        assert_eq!(record.summary, *each, "the same alone and in a list");
    }
}

async fn filters(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs = mixed(&store, of).await;
    let check = async |at: Option<&str>, status: Option<RunStatus>, expected: &[usize]| {
        let filter = RunFilter { path: at.map(path), status, ..RunFilter::default() };
        let expected: Vec<RunId> = expected.iter().map(|index| runs[*index].id).collect();
        assert_eq!(list(&store, of, &filter, (None, 10)).await, expected, "{filter:?}");
        let one = expected.iter().take(1).copied().collect::<Vec<_>>();
        assert_eq!(list(&store, of, &filter, (None, 1)).await, one, "{filter:?}");
        let below: Vec<RunId> = expected.iter().copied().filter(|id| *id < runs[2].id).collect();
        assert_eq!(list(&store, of, &filter, (Some(runs[2].id), 10)).await, below, "{filter:?}");
    };
    check(Some("f/demo/even"), None, &[4, 2, 0]).await;
    check(Some("f/demo/odd"), None, &[3, 1]).await;
    check(Some("f/demo/none"), None, &[]).await;
    check(None, Some(RunStatus::Queued), &[4, 2]).await;
    check(None, Some(RunStatus::Running), &[1]).await;
    check(None, Some(RunStatus::Succeeded), &[0]).await;
    check(None, Some(RunStatus::Failed), &[3]).await;
    check(Some("f/demo/odd"), Some(RunStatus::Failed), &[3]).await;
    check(Some("f/demo/even"), Some(RunStatus::Failed), &[]).await;
    check(Some("f/demo/even"), Some(RunStatus::Succeeded), &[0]).await;
    check(Some("f/demo/odd"), Some(RunStatus::Running), &[1]).await;
    for never in [RunStatus::Held, RunStatus::Parked, RunStatus::Suspended, RunStatus::Cancelled, RunStatus::Skipped] {
        check(None, Some(never), &[]).await;
    }
}

/// Runs oldest first: one that stands out in everything, in the queue (1) and ended (3), among three that do not.
async fn outstanding(store: &Store, of: WorkspaceId) -> Vec<NewRun> {
    let cause = Cause { kind: CauseKind::Parent, run: RunId::new(tick()) };
    let runs: Vec<NewRun> = (0..5)
        .map(|index| match index {
            1 | 3 => NewRun {
                input: Input::Event(event()),
                run_as: "u/bob".into(),
                policy: Arc::new(Policy { tag: "gpu".into(), ..Policy::default() }),
                cause: Some(cause),
                labels: Arc::new([("customer".to_owned(), "ü 7".to_owned()), ("n".to_owned(), "1".to_owned())].into()),
                ..new_run(of)
            },
            _ => new_run(of),
        })
        .collect();
    store.history.append(vec![finished(runs[0].clone(), OutcomeKind::Error), finished(runs[2].clone(), OutcomeKind::Ok)]).await.unwrap();
    store.history.append(vec![finished(runs[3].clone(), OutcomeKind::Timeout)]).await.unwrap();
    store.queue.enqueue(vec![runs[1].clone(), runs[4].clone()]).await.unwrap();
    runs
}

async fn every_condition_finds_queued_and_ended_runs(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs = outstanding(&store, of).await;
    // Other workspaces have the same.
    outstanding(&store, workspace()).await;
    let none = RunFilter::default;
    let check = async |filter: RunFilter, expected: &[usize]| {
        let expected: Vec<RunId> = expected.iter().map(|index| runs[*index].id).collect();
        let page = store.history.list(of, &filter, None, 10).await.unwrap();
        assert_eq!(page.runs.iter().map(|run| run.id).collect::<Vec<_>>(), expected, "{filter:?}");
        assert_eq!(page.next, None, "{filter:?}");
        for run in &page.runs {
            assert!(filter.fits(run), "{filter:?} {run:?}");
        }
    };
    check(RunFilter { outcome: Some(OutcomeKind::Timeout), ..none() }, &[3]).await;
    check(RunFilter { outcome: Some(OutcomeKind::Ok), ..none() }, &[2]).await;
    check(RunFilter { trigger_kind: Some("webhook".to_owned()), ..none() }, &[3, 1]).await;
    check(RunFilter { tag: Some("gpu".to_owned()), ..none() }, &[3, 1]).await;
    check(RunFilter { tag: Some("none".to_owned()), ..none() }, &[]).await;
    check(RunFilter { run_as: Some("u/bob".to_owned()), ..none() }, &[3, 1]).await;
    check(RunFilter { cause: runs[1].cause, ..none() }, &[3, 1]).await;
    check(RunFilter { cause: runs[1].cause.map(|cause| Cause { kind: CauseKind::Rerun, ..cause }), ..none() }, &[]).await;
    check(RunFilter { label: Some(("customer".to_owned(), "ü 7".to_owned())), ..none() }, &[3, 1]).await;
    check(RunFilter { label: Some(("customer".to_owned(), "ü".to_owned())), ..none() }, &[]).await;
    check(
        RunFilter { label: Some(("n".to_owned(), "1".to_owned())), tag: Some("gpu".to_owned()), status: Some(RunStatus::Queued), ..none() },
        &[1],
    )
    .await;
    check(RunFilter { phase: Some(Phase::Open), ..none() }, &[4, 1]).await;
    check(RunFilter { phase: Some(Phase::Ended), ..none() }, &[3, 2, 0]).await;
    check(RunFilter { phase: Some(Phase::Ended), status: Some(RunStatus::Queued), ..none() }, &[]).await;
    check(RunFilter { created_from: Some(runs[2].created_at), ..none() }, &[4, 3, 2]).await;
    check(RunFilter { created_before: Some(runs[2].created_at), ..none() }, &[1, 0]).await;
    check(RunFilter { created_from: Some(runs[1].created_at), created_before: Some(runs[2].created_at), ..none() }, &[1]).await;
    check(RunFilter { created_from: Some(runs[2].created_at), created_before: Some(runs[1].created_at), ..none() }, &[]).await;
    for run in [&runs[1], &runs[3]] {
        let summary = store.history.run(of, run.id).await.unwrap().unwrap().summary;
        assert_eq!((summary.cause, &summary.labels, &*summary.tag), (run.cause, &run.labels, "gpu"));
    }
    let node = join(&store, "node", tick()).await;
    let claimed = claim(&store, node, tick(), 10).await.into_iter().find(|claimed| claimed.run.id == runs[1].id).unwrap();
    assert_eq!((claimed.run.cause, claimed.run.labels), (runs[1].cause, Arc::clone(&runs[1].labels)), "a claim gives them back");
}

/// What no index serves is looked for in stretches.
async fn rare_runs_are_found_page_by_page(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let rare = finished(NewRun { run_as: "u/rare".into(), ..new_run(of) }, OutcomeKind::Ok);
    let runs = std::iter::once(rare.clone()).chain((0..20_500).map(|_| finished(new_run(of), OutcomeKind::Ok))).collect::<Vec<_>>();
    for some in runs.chunks(2_000) {
        store.history.append(some.to_vec()).await.unwrap();
    }
    let filter = RunFilter { run_as: Some("u/rare".to_owned()), ..RunFilter::default() };
    let first = store.history.list(of, &filter, None, 10).await.unwrap();
    assert_eq!((first.runs.len(), first.next), (0, Some(runs[501].run.id)));
    let second = store.history.list(of, &filter, first.next, 10).await.unwrap();
    assert_eq!((second.runs.iter().map(|run| run.id).collect::<Vec<_>>(), second.next), (vec![rare.run.id], None));
}

async fn pages_stay_stable_while_runs_come_and_end(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs: Vec<NewRun> = (0..30).map(|_| new_run(of)).collect();
    store.queue.enqueue(runs.clone()).await.unwrap();
    let node = join(&store, "node", tick()).await;
    let mut seen = Vec::new();
    loop {
        let page = list(&store, of, &RunFilter::default(), (seen.last().copied(), 4)).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
        // Between two pages some runs end and new ones come.
        let claimed = claim(&store, node, tick(), 3).await;
        let ended = claimed.into_iter().map(|each| finished(each.run, OutcomeKind::Ok)).collect();
        complete(&store, node, ended).await;
        store.queue.enqueue(vec![new_run(of)]).await.unwrap();
    }
    assert_eq!(seen, runs.iter().rev().map(|run| run.id).collect::<Vec<_>>());
}

async fn another_workspace_sees_nothing(database: Database) {
    let store = database.open().await;
    let runs = mixed(&store, workspace()).await;
    let other = workspace();
    for run in &runs {
        assert_eq!(store.history.run(other, run.id).await.unwrap(), None);
        assert_eq!(log_of(&store, other, run.id).await, None);
    }
    for filter in [RunFilter::default(), RunFilter { path: Some(runs[0].path.clone()), ..RunFilter::default() }] {
        assert_eq!(store.history.list(other, &filter, None, 10).await.unwrap(), RunPage::default());
    }
}

async fn large_results(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let mut runs: Vec<FinishedRun> = (0..3).map(|_| finished(new_run(of), OutcomeKind::Ok)).collect();
    runs[0].outcome.output = Some(Output::Json(json(&format!("\"{}\"", "ä".repeat(4 * 1024 * 1024)))));
    runs[1].outcome.output = Some(Output::Bytes { content_type: "application/x".to_owned(), data: vec![7; 8 * 1024 * 1024].into() });
    store.history.append(runs.clone()).await.unwrap();
    for done in runs {
        let record = store.history.run(of, done.run.id).await.unwrap().unwrap();
        assert!(record.output == done.outcome.output);
    }
}
