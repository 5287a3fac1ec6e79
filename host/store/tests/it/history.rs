//! History: appending, reading, logs, lists.

use bytes::Bytes;
use sandmill_model::{
    JsonText, LogEntry, OutcomeKind, Output, RunId, RunStatus, WorkspaceId,
    attempt::Input,
    run::{FinishedRun, NewRun},
};
use sandmill_store::{Store, history::RunFilter};

use crate::fixture::{Database, claim, complete, event, finished, join, json, line, new_run, on_both, path, run_of, tick, workspace};

on_both![
    every_outcome_is_read_back,
    arguments_of_an_event,
    appending_again_does_no_harm,
    batches_of_all_sizes,
    logs_are_read_back_in_order,
    logs_of_runs_that_have_not_ended,
    lists_queued_and_ended_together,
    filters,
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
    for (done, arguments) in [(plain, "{\"a\": 1}"), (preprocessed, "{\"made\": true}")] {
        let record = store.history.run(done.run.workspace, done.run.id).await.unwrap().unwrap();
        assert_eq!((record.arguments, record.event), (json(arguments), Some(event().metadata)));
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
    assert_eq!(store.history.list(of, &RunFilter::default(), None, 10).await.unwrap().len(), 1);
    assert_eq!(store.history.log(of, id).await.unwrap(), Some(done.outcome.log));
}

async fn batches_of_all_sizes(database: Database) {
    let store = database.open().await;
    for size in [0, 1, 2, 3, 63, 64, 65, 200, 1500] {
        let of = workspace();
        let runs: Vec<FinishedRun> = (0..size).map(|_| finished(new_run(of), OutcomeKind::Ok)).collect();
        store.history.append(runs.clone()).await.unwrap();
        let listed = store.history.list(of, &RunFilter::default(), None, 2000).await.unwrap();
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
        let log = store.history.log(of, done.run.id).await.unwrap();
        assert!(log == Some(done.outcome.log), "{:?}", log.map(|log| log.len()));
    }
    assert_eq!(store.history.log(of, RunId::new(tick())).await.unwrap(), None);
}

async fn logs_of_runs_that_have_not_ended(database: Database) {
    let store = database.open().await;
    let run = new_run(workspace());
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    assert_eq!(store.history.log(run.workspace, run.id).await.unwrap(), Some(Vec::new()));
    assert_eq!(store.history.log(workspace(), run.id).await.unwrap(), None);
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
    store.history.list(of, filter, page.0, page.1).await.unwrap().into_iter().map(|each| each.id).collect()
}

async fn lists_queued_and_ended_together(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let runs = mixed(&store, of).await;
    let listed = store.history.list(of, &RunFilter::default(), None, 10).await.unwrap();
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
        let filter = RunFilter { path: at.map(path), status };
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
        assert_eq!(store.history.log(other, run.id).await.unwrap(), None);
    }
    for filter in [RunFilter::default(), RunFilter { path: Some(runs[0].path.clone()), status: None }] {
        assert_eq!(store.history.list(other, &filter, None, 10).await.unwrap(), []);
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
