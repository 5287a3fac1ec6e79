//! Following runs: what executes here from memory, what has ended from the store, and nothing twice.

use std::time::Duration;

use sandmill_dispatch::{FOLLOWERS_OF_RUN_MAX, Followed, Follower, Waited};
use sandmill_model::{Clock, Code, Executor as _, LogPosition, RunId, RunStatus, SystemClock, WorkspaceId};
use sandmill_store::history::LogCursor;

use crate::fake::{Bench, arguments, eventually};

fn follow(bench: &Bench, run: RunId, from: LogPosition) -> Follower {
    bench.dispatch.place(bench.workspace.id).unwrap().follow(run, from).unwrap()
}

async fn next(follower: &mut Follower) -> Followed {
    tokio::time::timeout(Duration::from_secs(20), follower.next()).await.expect("something comes in time")
}

/// The next `count` entries, each as its number in its attempt and its text.
async fn entries(follower: &mut Follower, count: usize) -> Vec<(u32, String)> {
    let mut entries = Vec::new();
    while entries.len() < count {
        match next(follower).await {
            Followed::Entries(more) => entries.extend(more.into_iter().map(|(position, entry)| (position.entry(), entry.message))),
            other => panic!("{other:?} after {entries:?}"),
        }
    }
    assert_eq!(entries.len(), count, "{entries:?}");
    entries
}

async fn status_at_the_end(follower: &mut Follower) -> RunStatus {
    match next(follower).await {
        Followed::Ended(record) => record.summary.status,
        other => panic!("{other:?}"),
    }
}

async fn running(bench: &Bench) -> RunId {
    let run = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    bench.record_when(run, |record| record.summary.status == RunStatus::Running).await;
    // The record says so before the executor is called.
    eventually("it executes", || !bench.executor.log(run, 0, usize::MAX).is_empty()).await;
    run
}

fn text(number: u32, text: &str) -> (u32, String) {
    (number, text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_while_the_run_goes_on_and_then_its_end() {
    let bench = Bench::start(false).await;
    let run = running(&bench).await;
    let mut follower = follow(&bench, run, LogPosition::START);
    assert_eq!(entries(&mut follower, 1).await, [text(0, &run.to_string())]);
    bench.executor.say(run, "second");
    bench.executor.say(run, "third");
    let mut from_the_middle = follow(&bench, run, LogPosition::of(1, 2));
    assert_eq!(entries(&mut follower, 2).await, [text(1, "second"), text(2, "third")]);
    assert_eq!(entries(&mut from_the_middle, 1).await, [text(2, "third")]);
    bench.executor.say(run, "fourth");
    bench.executor.open();
    for follower in [&mut follower, &mut from_the_middle] {
        assert_eq!(entries(follower, 1).await, [text(3, "fourth")]);
        assert_eq!(status_at_the_end(follower).await, RunStatus::Succeeded);
    }
    let mut late = follow(&bench, run, LogPosition::of(1, 1));
    assert_eq!(entries(&mut late, 3).await, [text(1, "second"), text(2, "third"), text(3, "fourth")]);
    assert_eq!(status_at_the_end(&mut late).await, RunStatus::Succeeded);
    let mut after_all = follow(&bench, run, LogPosition::END);
    assert_eq!(status_at_the_end(&mut after_all).await, RunStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_is_written_while_the_run_goes_on() {
    let bench = Bench::start(false).await;
    let run = running(&bench).await;
    bench.executor.say(run, "before its end");
    let written = async |count: usize| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let page = bench.store.history.log(bench.workspace.id, run, LogCursor::START).await.unwrap().unwrap();
            if page.entries.len() >= count {
                break page.entries.into_iter().map(|(_, entry)| entry.message).collect::<Vec<_>>();
            }
            assert!(tokio::time::Instant::now() < deadline, "it is not written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let first = [run.to_string(), "before its end".to_owned()];
    assert_eq!(written(2).await, first);
    bench.executor.say(run, "later");
    assert_eq!(written(3).await[2], "later");
    bench.executor.say(run, "last");
    bench.executor.open();
    bench.record_when(run, |record| record.summary.status.has_ended()).await;
    let all = bench.log(run).await;
    assert_eq!(all.iter().map(|entry| &*entry.message).collect::<Vec<_>>(), [&*first[0], &*first[1], "later", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_fast_lane_can_be_followed() {
    let bench = Bench::start(false).await;
    let (dispatch, request) = (bench.dispatch.clone(), bench.request(arguments("{}")));
    let tasks = tokio_util::task::TaskTracker::new();
    let waiting = tasks.spawn(async move { dispatch.run(request, Duration::from_secs(60)).await.unwrap() });
    let run = loop {
        if let Some((run, _)) = bench.executor.executed.lock().unwrap().first() {
            break *run;
        }
        tokio::task::yield_now().await;
    };
    bench.record_when(run, |record| record.summary.status == RunStatus::Running).await;
    let mut follower = follow(&bench, run, LogPosition::START);
    assert_eq!(entries(&mut follower, 1).await, [text(0, &run.to_string())]);
    bench.executor.say(run, "on the way");
    assert_eq!(entries(&mut follower, 1).await, [text(1, "on the way")]);
    bench.executor.open();
    assert!(matches!(waiting.await.unwrap(), Waited::Ended { .. }));
    assert_eq!(status_at_the_end(&mut follower).await, RunStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_attempt_keeps_its_lines_and_the_next_has_its_own() {
    let bench = Bench::start(false).await;
    let run = running(&bench).await;
    let mut follower = follow(&bench, run, LogPosition::START);
    entries(&mut follower, 1).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while bench.store.history.log(bench.workspace.id, run, LogCursor::START).await.unwrap().unwrap().entries.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "it is not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.store.nodes.bury(SystemClock.now().plus(Duration::from_secs(3600))).await.unwrap();
    let again = match next(&mut follower).await {
        Followed::Entries(again) => again,
        other => panic!("{other:?}"),
    };
    assert_eq!(again[0].0, LogPosition::of(2, 0), "the second attempt's first line");
    bench.executor.open();
    assert_eq!(status_at_the_end(&mut follower).await, RunStatus::Succeeded);
    let mut late = follow(&bench, run, LogPosition::START);
    let Followed::Entries(all) = next(&mut late).await else { panic!("its log is there") };
    assert_eq!(all.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [LogPosition::of(1, 0), LogPosition::of(2, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_workspace_follows_nothing() {
    let bench = Bench::start(false).await;
    let run = running(&bench).await;
    let other = WorkspaceId::new(SystemClock.now());
    let mut follower = bench.dispatch.place(other).unwrap().follow(run, LogPosition::START).unwrap();
    assert!(matches!(next(&mut follower).await, Followed::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_are_so_many_and_leave_when_the_node_stops() {
    let bench = Bench::start(false).await;
    let run = running(&bench).await;
    let mut followers: Vec<Follower> = (0..FOLLOWERS_OF_RUN_MAX).map(|_| follow(&bench, run, LogPosition::of(1, 1))).collect();
    let refused = bench.dispatch.place(bench.workspace.id).unwrap().follow(run, LogPosition::START).err().unwrap();
    assert_eq!(refused.code, Code::TooManyRequests);
    followers.pop();
    followers.push(follow(&bench, run, LogPosition::of(1, 1)));
    let dispatch = bench.dispatch.clone();
    dispatch.drain();
    for follower in &mut followers {
        assert!(matches!(next(follower).await, Followed::Stopped));
    }
    bench.executor.open();
}
