//! Group commit: what is written at the same moment shares transactions.

use std::{collections::HashSet, path::Path};

use futures_util::future::{join, join_all};
use sandmill_model::{LogPosition, OutcomeKind, run::NewRun};
use sandmill_store::{
    Store,
    history::LogPart,
    nodes::Incarnation,
    queue::{Claimed, Completion, Logged},
    state::{StateScope, Written},
};
use sandmill_testkit::postgres::Postgres;

use crate::fixture::{Database, claim, finished, join as join_node, json, line, new_run, path, tick, workspace};

/// Callers of each kind.
const CALLERS: usize = 40;
/// So many transactions may they need together: one, but for whoever came while it was being written.
const TRANSACTIONS_MAX: usize = 6;

struct Ready {
    store: Store,
    node: Incarnation,
    running: Vec<Claimed>,
}

impl Ready {
    /// All that runs write while they go on, at once: parts of the logs of `to_log`, and state.
    async fn write_on(&self, to_log: &[Claimed]) {
        let (store, scope) = (&self.store, StateScope { workspace: workspace(), path: path("f/demo/hello"), trigger: String::new() });
        let parts = join_all(to_log.iter().map(|each| {
            let from = LogPosition::of(each.begun, 0);
            let part = LogPart { workspace: each.run.workspace, run: each.run.id, from, entries: vec![line("so far")] };
            store.history.append_logs(self.node, vec![part])
        }));
        let puts = join_all((0..CALLERS).map(|key| {
            let scope = &scope;
            async move { store.state.put(scope, &key.to_string(), None, Some(json("7")), tick()).await }
        }));
        let (logged, put) = join(parts, puts).await;
        assert_eq!(logged.into_iter().map(|written| written.unwrap().len()).sum::<usize>(), to_log.len());
        assert!(put.into_iter().all(|answer| answer.unwrap() == Written::Yes));
    }
}

/// A store with runs that execute.
async fn ready(database: &Database) -> Ready {
    let store = database.open().await;
    let of = workspace();
    store.queue.enqueue((0..2 * CALLERS).map(|_| new_run(of)).collect()).await.unwrap();
    let node = join_node(&store, "node", tick()).await;
    let running = claim(&store, node, tick(), u32::MAX >> 8).await;
    assert_eq!(running.len(), 2 * CALLERS);
    Ready { store, node, running }
}

fn ended(claimed: &Claimed) -> Vec<Completion> {
    let done = finished(claimed.run.clone(), OutcomeKind::Ok);
    vec![Completion { done, again_at: None, handler: None, logged: Logged::default() }]
}

/// Commits in the write-ahead log of a SQLite file: frames that say how large the database is after them
/// (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
fn commits(file: &str) -> usize {
    let log = std::fs::read(format!("{file}-wal")).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    let page_bytes = number(8);
    let frames = log[32..].chunks_exact(24 + page_bytes).enumerate().map(|(index, _)| 32 + index * (24 + page_bytes));
    // Those with another salt are what an earlier log left behind.
    frames.filter(|at| log[at + 8..at + 16] == log[16..24] && number(at + 4) != 0).count()
}

#[tokio::test]
async fn all_that_is_written_at_once_shares_commits_on_sqlite() {
    let Some(database) = Database::sqlite() else { return };
    let ready = ready(&database).await;
    let Ready { store, node, running } = &ready;
    let file = database.url.strip_prefix("sqlite:").unwrap();
    assert!(Path::new(file).exists());
    let before = commits(file);
    let (to_end, to_log) = running.split_at(CALLERS);
    let enqueues = join_all((0..CALLERS).map(|_| store.queue.enqueue(vec![new_run(workspace())])));
    let completions = join_all(to_end.iter().map(|each| store.queue.complete(*node, ended(each))));
    let ((enqueued, completed), ()) = join(join(enqueues, completions), ready.write_on(to_log)).await;
    let needed = commits(file) - before;
    assert_eq!(enqueued.into_iter().map(|answer| answer.unwrap().len()).sum::<usize>(), CALLERS);
    assert_eq!(completed.into_iter().map(|moved| moved.unwrap().len()).sum::<usize>(), CALLERS);
    assert!((1..=TRANSACTIONS_MAX).contains(&needed), "{needed} commits for {} callers", 4 * CALLERS);
}

/// Transactions that wrote what is in a table.
fn transactions(server: &Postgres, name: &str, of: &str) -> HashSet<String> {
    let found = server.execute(name, &format!("SELECT DISTINCT xmin::text FROM {of}")).unwrap();
    found.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn all_that_is_written_at_once_shares_commits_on_postgresql() {
    let Some((server, database)) = Postgres::shared().zip(Database::postgres()) else { return };
    let ready = ready(&database).await;
    let Ready { store, node, running } = &ready;
    let (to_end, to_log) = running.split_at(CALLERS);
    let name = database.url.rsplit('/').next().unwrap();
    let of = workspace();
    let enqueues = join_all((0..CALLERS).map(|_| store.queue.enqueue(vec![new_run(of)])));
    let completions = join_all(to_end.iter().map(|each| store.queue.complete(*node, ended(each))));
    let ((enqueued, completed), ()) = join(join(enqueues, completions), ready.write_on(to_log)).await;
    assert_eq!(enqueued.into_iter().map(|answer| answer.unwrap().len()).sum::<usize>(), CALLERS);
    assert_eq!(completed.into_iter().map(|moved| moved.unwrap().len()).sum::<usize>(), CALLERS);
    // Runs, and what they write while they go on, each have lanes of their own.
    for tables in [["queue WHERE state = 0", "runs"], ["state", "run_logs"]] {
        let needed: HashSet<String> = tables.into_iter().flat_map(|of| transactions(server, name, of)).collect();
        assert!((1..=TRANSACTIONS_MAX).contains(&needed.len()), "{} transactions for {} callers: {tables:?}", needed.len(), 2 * CALLERS);
    }
}

/// One that cannot be written does not take the others with it.
#[tokio::test]
async fn a_failure_is_not_shared() {
    for database in [Database::sqlite(), Database::postgres()].into_iter().flatten() {
        let store = database.open().await;
        let (of, first) = (workspace(), new_run(workspace()));
        store.queue.enqueue(vec![first.clone()]).await.unwrap();
        let runs: Vec<NewRun> = (0..8).map(|index| if index == 3 { first.clone() } else { new_run(of) }).collect();
        let answers = join_all(runs.into_iter().map(|run| store.queue.enqueue(vec![run]))).await;
        let failed: Vec<usize> = answers.iter().enumerate().filter(|(_, answer)| answer.is_err()).map(|(index, _)| index).collect();
        assert_eq!(failed, [3], "{answers:?}");
        assert_eq!(store.queue.length(of, 100).await.unwrap(), 7);
    }
}
