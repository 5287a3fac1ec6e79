//! Logs of runs that go on: written in parts, read in pages, from anywhere.

use sandmill_model::{LogEntry, LogPosition, OutcomeKind, RunId, WorkspaceId, run::NewRun};
use sandmill_store::{
    Store,
    history::{LogCursor, LogPage, LogPart},
    nodes::Incarnation,
    queue::{Completion, Logged},
};

use crate::fixture::{Database, LEASE, claim, complete, finished, join, line, log_of, new_run, on_both, tick, workspace};

on_both![
    parts_and_the_end_make_one_log,
    a_part_that_may_be_there_is_there_once,
    only_the_holder_writes,
    every_attempt_has_its_own_positions,
    pages_are_bounded_and_can_begin_anywhere,
    the_end_says_so_only_once_all_is_read,
    whoever_has_seen_more_than_is_written_misses_nothing,
];

fn lines(from: usize, to: usize) -> Vec<LogEntry> {
    (from..to).map(|index| line(&format!("line {index}"))).collect()
}

fn part(run: &NewRun, begun: u32, from: usize, entries: &[LogEntry]) -> LogPart {
    let from = LogPosition::of(begun, u32::try_from(from).unwrap());
    LogPart { workspace: run.workspace, run: run.id, from, entries: entries.to_vec() }
}

async fn page(store: &Store, run: &NewRun, from: LogCursor) -> LogPage {
    store.history.log(run.workspace, run.id, from).await.unwrap().unwrap()
}

/// A run that `node` executes.
async fn running(store: &Store, of: WorkspaceId) -> (Incarnation, NewRun) {
    let run = new_run(of);
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    let node = join(store, "node", tick()).await;
    let claimed = claim(store, node, tick(), 1).await;
    assert_eq!((claimed[0].attempt, claimed[0].begun), (1, 1));
    (node, run)
}

fn completion(run: &NewRun, log: &[LogEntry], logged: Logged) -> Completion {
    let mut done = finished(run.clone(), OutcomeKind::Ok);
    done.outcome.log = log.to_vec();
    Completion { done, again_at: None, handler: None, logged }
}

async fn parts_and_the_end_make_one_log(database: Database) {
    let store = database.open().await;
    let (node, run) = running(&store, workspace()).await;
    let log = lines(0, 5);
    assert_eq!(store.history.append_logs(node, vec![part(&run, 1, 0, &log[..2])]).await.unwrap(), [run.id]);
    let first = page(&store, &run, LogCursor::START).await;
    let expected: Vec<_> = (0..).map(|entry| LogPosition::of(1, entry)).zip(log[..2].iter().cloned()).collect();
    assert_eq!((first.entries, first.has_more, first.has_ended), (expected, false, false));
    let nothing = page(&store, &run, first.next).await;
    assert_eq!((nothing.entries, nothing.next, nothing.has_ended), (Vec::new(), first.next, false));

    store.history.append_logs(node, vec![part(&run, 1, 2, &log[2..3])]).await.unwrap();
    let more = page(&store, &run, first.next).await;
    assert_eq!(more.entries, [(LogPosition::of(1, 2), log[2].clone())]);
    let within = page(&store, &run, LogCursor::at(LogPosition::of(1, 1))).await;
    assert_eq!(within.entries.iter().map(|(_, entry)| entry).collect::<Vec<_>>(), [&log[1], &log[2]], "from the middle of a chunk");

    let logged = Logged { begun: Some(1), entries: 3, perhaps: 3 };
    store.queue.complete(node, vec![completion(&run, &log, logged)]).await.unwrap();
    assert_eq!(log_of(&store, run.workspace, run.id).await.unwrap(), log);
    let rest = page(&store, &run, more.next).await;
    assert_eq!(rest.entries.iter().map(|(position, _)| position.entry()).collect::<Vec<_>>(), [3, 4]);
    assert!(rest.has_ended);
}

async fn a_part_that_may_be_there_is_there_once(database: Database) {
    let store = database.open().await;
    let log = lines(0, 40);
    for (is_there, entries, perhaps) in [(false, 0, 30), (true, 0, 30), (false, 10, 30), (true, 10, 30), (true, 10, 40), (true, 40, 90)] {
        let (node, run) = running(&store, workspace()).await;
        store.history.append_logs(node, vec![part(&run, 1, 0, &log[..entries])]).await.unwrap();
        let rest = &log[entries..perhaps.min(log.len())];
        for _ in 0..if is_there { 2 } else { 0 } {
            assert_eq!(store.history.append_logs(node, vec![part(&run, 1, entries, rest)]).await.unwrap(), [run.id]);
        }
        let logged = Logged { begun: None, entries, perhaps };
        store.queue.complete(node, vec![completion(&run, &log, logged)]).await.unwrap();
        assert_eq!(log_of(&store, run.workspace, run.id).await.unwrap(), log, "{is_there} {entries} {perhaps}");
        store.nodes.leave(node).await.unwrap();
    }
}

async fn only_the_holder_writes(database: Database) {
    let store = database.open().await;
    let (node, run) = running(&store, workspace()).await;
    let other = join(&store, "other", tick()).await;
    let append = async |lease, run: &NewRun| store.history.append_logs(lease, vec![part(run, 1, 0, &lines(0, 1))]).await.unwrap();
    assert_eq!(append(other, &run).await, [], "another node");
    assert_eq!(append(node, &NewRun { workspace: workspace(), ..run.clone() }).await, [], "another workspace");
    assert_eq!(append(node, &new_run(run.workspace)).await, [], "no such run");
    assert_eq!(log_of(&store, run.workspace, run.id).await, Some(Vec::new()));
    let (one, mine) = (part(&run, 1, 0, &lines(0, 1)), part(&new_run(run.workspace), 1, 0, &lines(0, 1)));
    assert_eq!(store.history.append_logs(node, vec![mine, one]).await.unwrap(), [run.id], "what is not held does not stop what is");
    complete(&store, node, vec![finished(run.clone(), OutcomeKind::Ok)]).await;
    assert_eq!(append(node, &run).await, Vec::<RunId>::new(), "it has ended");
    assert_eq!(store.history.log(workspace(), run.id, LogCursor::START).await.unwrap(), None);
}

async fn every_attempt_has_its_own_positions(database: Database) {
    let store = database.open().await;
    let (first, run) = running(&store, workspace()).await;
    let log = lines(0, 4);
    store.history.append_logs(first, vec![part(&run, 1, 0, &log[..1])]).await.unwrap();
    assert_eq!(store.nodes.leave(first).await.unwrap(), 1, "handed back");

    let second = join(&store, "second", tick()).await;
    let claimed = claim(&store, second, tick(), 1).await;
    assert_eq!((claimed[0].attempt, claimed[0].begun), (1, 2), "it does not count, but its log is there");
    store.history.append_logs(second, vec![part(&run, 2, 0, &log[1..2])]).await.unwrap();
    assert_eq!(store.nodes.bury(tick().plus(LEASE * 100)).await.unwrap(), 1, "dead");

    let third = join(&store, "third", tick()).await;
    let claimed = claim(&store, third, tick(), 1).await;
    assert_eq!((claimed[0].attempt, claimed[0].begun, claimed[0].lost), (2, 3, 1));
    store.history.append_logs(third, vec![part(&run, 3, 0, &log[2..3])]).await.unwrap();
    assert_eq!(store.history.append_logs(second, vec![part(&run, 2, 1, &log[..1])]).await.unwrap(), [], "the dead write nothing");
    let logged = Logged { begun: Some(3), entries: 1, perhaps: 1 };
    let mut ended = completion(&run, &log[2..], logged);
    ended.done.attempt = 2;
    assert_eq!(store.queue.complete(third, vec![ended]).await.unwrap(), [run.id]);
    let all = page(&store, &run, LogCursor::START).await;
    let expected = [(1, 0), (2, 0), (3, 0), (3, 1)].map(|(begun, entry)| LogPosition::of(begun, entry));
    assert_eq!(all.entries, expected.into_iter().zip(log).collect::<Vec<_>>());
    let tail = page(&store, &run, LogCursor::at(LogPosition::of(2, 0).plus(1))).await;
    assert_eq!(tail.entries.iter().map(|(position, _)| *position).collect::<Vec<_>>(), expected[2..]);
}

async fn pages_are_bounded_and_can_begin_anywhere(database: Database) {
    const ENTRIES: usize = 12_000;
    let store = database.open().await;
    let (node, run) = running(&store, workspace()).await;
    let mut log = lines(0, ENTRIES);
    log[5000].message = "long ".repeat(100_000);
    // A hundred small parts, then one that takes many chunks.
    for first in 0..100 {
        store.history.append_logs(node, vec![part(&run, 1, first, &log[first..=first])]).await.unwrap();
    }
    store.history.append_logs(node, vec![part(&run, 1, 100, &log[100..])]).await.unwrap();
    for start in [0, 1, 63, 64, 65, 99, 100, 101, 4999, 5000, 5001, ENTRIES - 1, ENTRIES, ENTRIES + 7] {
        let mut from = LogCursor::at(LogPosition::of(1, 0).plus(start));
        let mut read = Vec::new();
        loop {
            let page = page(&store, &run, from).await;
            let bytes: usize = page.entries.iter().map(|(_, entry)| entry.charge_bytes()).sum();
            assert!(bytes < 300 * 1024 || page.entries.len() == 1, "{bytes} in {} entries", page.entries.len());
            read.extend(page.entries);
            from = page.next;
            if !page.has_more {
                break;
            }
        }
        let expected = log.iter().enumerate().skip(start).map(|(index, entry)| (LogPosition::of(1, 0).plus(index), entry.clone()));
        assert!(read.into_iter().eq(expected), "from {start}");
    }
}

async fn the_end_says_so_only_once_all_is_read(database: Database) {
    let store = database.open().await;
    let (node, run) = running(&store, workspace()).await;
    let log = lines(0, 6_000);
    store.queue.complete(node, vec![completion(&run, &log, Logged::default())]).await.unwrap();
    let first = page(&store, &run, LogCursor::START).await;
    assert!(first.has_ended && first.has_more, "it has ended, and more is there");
    let last = page(&store, &run, first.next).await;
    assert!(last.has_ended && !last.has_more);
    assert_eq!(first.entries.len() + last.entries.len(), log.len());
    let behind = page(&store, &run, LogCursor::at(LogPosition::END)).await;
    assert_eq!((behind.entries, behind.has_more, behind.has_ended), (Vec::new(), false, true));
}

/// A follower that read what executes beside it from memory goes on in the store.
async fn whoever_has_seen_more_than_is_written_misses_nothing(database: Database) {
    let store = database.open().await;
    let log = lines(0, 6);
    for written in [0, 1, 3, 4] {
        let (node, run) = running(&store, workspace()).await;
        if written > 0 {
            store.history.append_logs(node, vec![part(&run, 1, 0, &log[..written])]).await.unwrap();
        }
        let early = page(&store, &run, LogCursor::at(LogPosition::of(1, 4))).await;
        assert_eq!((early.entries.len(), early.next.position), (0, LogPosition::of(1, 4)), "{written}");
        let logged = Logged { begun: Some(1), entries: written, perhaps: written };
        store.queue.complete(node, vec![completion(&run, &log, logged)]).await.unwrap();
        let rest = page(&store, &run, early.next).await;
        assert_eq!(rest.entries.iter().map(|(position, _)| position.entry()).collect::<Vec<_>>(), [4, 5], "{written}");
        store.nodes.leave(node).await.unwrap();
    }
}
