//! Deleting workspaces.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sandmill_model::{BoxFuture, Clock, OutcomeKind, Output, SystemClock, Timestamp, WorkspaceId};
use sandmill_store::{
    Durability, Store, connect_with,
    objects::{Options, Place},
    removal::{Elsewhere, Nowhere, Service, Step, USAGE_KEPT},
    upkeep,
    workspaces::Status,
};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Database, all_tags, claim, complete, deployment, finished, join, json, new_run, on_both, path, tick, workspace};

on_both![
    every_table_is_emptied,
    what_was_deleted_long_ago_is_forgotten_in_steps,
    a_name_is_free_again_afterwards,
    what_executes_ends_first,
    nothing_of_one_that_is_deleted_is_claimed,
    large_results_go_too,
    what_comes_too_late_is_found,
    rows_stay_until_nothing_executes,
    records_of_what_is_deleted_are_not_written,
];

async fn made(store: &Store, name: &str) -> WorkspaceId {
    store.workspaces.ensure(workspace(), name, tick()).await.unwrap().id
}

/// Deletes a workspace; returns what came of the last step.
async fn delete(store: &Store, id: WorkspaceId) -> Step {
    store.workspaces.change_status(id, Status::Deleting, tick()).await.unwrap().unwrap();
    empty(store, id).await
}

async fn empty(store: &Store, id: WorkspaceId) -> Step {
    loop {
        match store.removals.step(id, tick()).await.unwrap() {
            Step::More => {}
            done => return done,
        }
    }
}

fn service(store: &Store, elsewhere: Arc<dyn Elsewhere>) -> Service {
    Service::new(store.clone(), SystemClock::shared(), "node".into(), elsewhere)
}

/// A row in every table that has a column for the workspace, whatever else is in it.
async fn fill(database: &Database, id: WorkspaceId) -> Vec<String> {
    let tables = database.tables_of_workspaces().await;
    for (table, columns) in &tables {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = columns
            .iter()
            .map(|(_, kind)| match kind {
                'i' => "1".to_owned(),
                'b' => format!("X'{}'", id.0.simple()),
                _ => "'x'".to_owned(),
            })
            .collect();
        database.execute(&format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "))).await;
    }
    tables.into_iter().map(|(name, _)| name).collect()
}

/// What stays for bills until the deletion is forgotten.
const USAGE: [&str; 3] = ["usage_counts", "usage_days", "usage_runs"];

async fn every_table_is_emptied(database: Database) {
    let store = database.open().await;
    let (gone, stays) = (made(&store, "gone").await, made(&store, "stays").await);
    let tables = fill(&database, gone).await;
    assert_eq!(fill(&database, stays).await, tables);
    for expected in ["queue", "runs", "run_logs", "components", "state", "resources", "tokens"].iter().chain(&USAGE) {
        assert!(tables.iter().any(|table| table == *expected), "{expected} is among {tables:?}");
    }
    assert_eq!(delete(&store, gone).await, Step::Gone);
    for table in &tables {
        if USAGE.contains(&table.as_str()) {
            assert_eq!(database.rows_of(table, gone).await, 1, "bills are made from {table}");
            continue;
        }
        assert_eq!(
            database.rows_of(table, gone).await,
            0,
            "a deleted workspace leaves rows in {table}: add it to the tables in sql/removal.rs"
        );
        assert_eq!(database.rows_of(table, stays).await, 1, "another's stays in {table}");
    }
    assert_eq!(store.workspaces.by_name("gone").await.unwrap(), None);
    assert_eq!(store.removals.deleted(Timestamp::default()).await.unwrap().iter().map(|each| each.id).collect::<Vec<_>>(), [gone]);
    let later = tick();
    while store.removals.forget(later).await.unwrap() {}
    assert_eq!(store.removals.deleted(Timestamp::default()).await.unwrap(), []);
    for table in USAGE {
        assert_eq!((database.rows_of(table, gone).await, database.rows_of(table, stays).await), (0, 1), "{table}");
    }
}

struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

async fn what_was_deleted_long_ago_is_forgotten_in_steps(database: Database) {
    let store = database.open().await;
    for name in ["one", "two", "three"] {
        let id = made(&store, name).await;
        assert_eq!(delete(&store, id).await, Step::Gone);
    }
    let clock = Arc::new(Still(tick().plus(USAGE_KEPT).plus(Duration::from_secs(60))));
    let upkeep = upkeep::Service::new(store.clone(), clock, upkeep::Options { node: "node".into(), retention_days: 0, audit_days: 0 });
    let known = async || store.removals.deleted(Timestamp::default()).await.unwrap().len();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    upkeep.look(&shutdown).await.unwrap();
    assert_eq!(known().await, 2, "nothing more after the step that was under way");
    upkeep.look(&CancellationToken::new()).await.unwrap();
    assert_eq!(known().await, 0);
}

async fn a_name_is_free_again_afterwards(database: Database) {
    let store = database.open().await;
    let first = made(&store, "acme").await;
    store.scripts.deploy(deployment(first, "f/demo/hello", "export function main() {}")).await.unwrap();
    store.workspaces.change_status(first, Status::Deleting, tick()).await.unwrap().unwrap();
    assert_eq!(store.removals.under_way().await.unwrap(), [first]);
    assert_eq!(made(&store, "acme").await, first, "not yet");
    assert_eq!(store.workspaces.change_status(first, Status::Active, tick()).await.unwrap(), None, "there is no way back");
    let gone = service(&store, Arc::new(Nowhere)).look(&CancellationToken::new()).await.unwrap();
    assert_eq!(gone, 1);
    let second = made(&store, "acme").await;
    assert_ne!(second, first);
    assert_eq!(store.scripts.list(second, "", None, 10).await.unwrap().len(), 0);
    assert_eq!(store.scripts.list(first, "", None, 10).await.unwrap().len(), 0);
    assert_eq!(store.removals.under_way().await.unwrap(), []);
}

async fn what_executes_ends_first(database: Database) {
    let store = database.open().await;
    let of = made(&store, "busy").await;
    let (executes, waits) = (new_run(of), new_run(of));
    store.queue.enqueue(vec![executes.clone()]).await.unwrap();
    let node = join(&store, "node", tick()).await;
    assert_eq!(claim(&store, node, tick(), 1).await.len(), 1);
    store.queue.enqueue(vec![waits.clone()]).await.unwrap();
    assert_eq!(delete(&store, of).await, Step::Waits);
    assert!(store.history.run(of, waits.id).await.unwrap().is_none(), "what waits is gone at once");
    let told = store.nodes.heartbeat(node, 1, tick(), crate::fixture::LEASE).await.unwrap();
    assert_eq!(told, Some(vec![executes.id]));
    assert_eq!(empty(&store, of).await, Step::Waits);
    assert_eq!(complete(&store, node, vec![finished(executes, OutcomeKind::Cancelled)]).await.len(), 1);
    assert_eq!(empty(&store, of).await, Step::Gone);
}

async fn nothing_of_one_that_is_deleted_is_claimed(database: Database) {
    let store = database.open().await;
    let (of, other) = (made(&store, "deleted").await, made(&store, "other").await);
    store.queue.enqueue(vec![new_run(of), new_run(other)]).await.unwrap();
    store.workspaces.change_status(of, Status::Deleting, tick()).await.unwrap().unwrap();
    let heads = store.queue.heads(all_tags(), None, 10).await.unwrap();
    assert_eq!(heads.ready.iter().map(|ready| ready.head.workspace).collect::<Vec<_>>(), [other]);
}

async fn large_results_go_too(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Options { place: Place::Folder(folder.path().to_owned()), inline_result_bytes_max: 100 };
    let options = sandmill_store::Options { url: database.url.clone(), durability: Durability::Normal };
    let store = connect_with(&options, Some(&objects)).await.unwrap();
    let (of, other) = (made(&store, "of").await, made(&store, "other").await);
    for id in [of, other] {
        let mut done = finished(new_run(id), OutcomeKind::Ok);
        done.outcome.output = Some(Output::Json(json(&format!("\"{}\"", "x".repeat(1000)))));
        store.history.append(vec![done]).await.unwrap();
    }
    let files = |id: WorkspaceId| fs::read_dir(folder.path().join(id.to_string())).map_or(0, Iterator::count);
    assert_eq!((files(of), files(other)), (1, 1));
    assert_eq!(delete(&store, of).await, Step::Gone);
    assert_eq!((files(of), files(other)), (0, 1));
}

/// Remembers what it was asked to remove, and has more of it for the first few times.
#[derive(Default)]
struct Asked {
    removed: Mutex<Vec<WorkspaceId>>,
    more: AtomicUsize,
}

impl Elsewhere for Asked {
    fn remove(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<bool, String>> {
        self.removed.lock().unwrap().push(workspace);
        let more = self.more.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |more| more.checked_sub(1));
        Box::pin(std::future::ready(Ok(more.is_ok())))
    }

    fn end(&self, _: &[WorkspaceId]) -> Vec<WorkspaceId> {
        Vec::new()
    }
}

/// Says of everything that it executes, until it does not any more.
#[derive(Default)]
struct Executes {
    asked: Mutex<Vec<WorkspaceId>>,
    has_ended: AtomicBool,
}

impl Elsewhere for Executes {
    fn remove(&self, _: WorkspaceId) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn end(&self, workspaces: &[WorkspaceId]) -> Vec<WorkspaceId> {
        self.asked.lock().unwrap().extend(workspaces);
        if self.has_ended.load(Ordering::SeqCst) { Vec::new() } else { workspaces.to_vec() }
    }
}

async fn rows_stay_until_nothing_executes(database: Database) {
    let store = database.open().await;
    let (of, other) = (made(&store, "busy").await, made(&store, "other").await);
    store.scripts.deploy(deployment(of, "f/demo/hello", "export function main() {}")).await.unwrap();
    store.workspaces.change_status(of, Status::Deleting, tick()).await.unwrap().unwrap();
    let executes = Arc::new(Executes::default());
    let service = service(&store, executes.clone());
    let stop = CancellationToken::new();
    assert_eq!(service.look(&stop).await.unwrap(), 0);
    assert_eq!(store.scripts.list(of, "", None, 10).await.unwrap().len(), 1, "what it may still read is there");
    assert!(executes.asked.lock().unwrap().iter().all(|asked| *asked == of && *asked != other));
    executes.has_ended.store(true, Ordering::SeqCst);
    assert_eq!(service.look(&stop).await.unwrap(), 1);
    assert_eq!(store.scripts.list(of, "", None, 10).await.unwrap().len(), 0);
}

async fn records_of_what_is_deleted_are_not_written(database: Database) {
    let store = database.open().await;
    let (of, other) = (made(&store, "of").await, made(&store, "other").await);
    store.workspaces.change_status(of, Status::Deleting, tick()).await.unwrap().unwrap();
    let late = || vec![finished(new_run(of), OutcomeKind::Ok), finished(new_run(other), OutcomeKind::Ok)];
    for append in 1..=2 {
        let both = late();
        let (lost, kept) = (both[0].run.id, both[1].run.id);
        store.history.append(both).await.unwrap();
        assert!(store.history.run(of, lost).await.unwrap().is_none());
        assert!(store.history.run(other, kept).await.unwrap().is_some(), "those beside it are");
        assert_eq!((database.rows_of("runs", of).await, database.rows_of("usage_runs", of).await), (0, 0), "append {append}");
        // Once more when it is gone.
        assert_eq!(empty(&store, of).await, Step::Gone);
    }
    assert!(store.history.append(vec![finished(new_run(of), OutcomeKind::Ok)]).await.is_ok(), "none alone is no error");
}

async fn what_comes_too_late_is_found(database: Database) {
    let store = database.open().await;
    let of = made(&store, "late").await;
    let asked = Arc::new(Asked { more: AtomicUsize::new(2), ..Asked::default() });
    assert_eq!(delete(&store, of).await, Step::Gone);
    let service = service(&store, asked.clone());
    let stop = CancellationToken::new();
    // Deleted, by the tests' own time, far in the future: not yet due for another look, but each node clears what it alone has.
    assert_eq!(service.look(&stop).await.unwrap(), 0);
    assert_eq!(service.look(&stop).await.unwrap(), 0);
    assert_eq!(*asked.removed.lock().unwrap(), [of; 3], "until there is no more, once");
    // What another node still wrote: a run that it made durable, say.
    let late = new_run(of);
    let id = late.id;
    store.queue.enqueue(vec![late]).await.unwrap();
    assert_eq!(empty(&store, of).await, Step::Gone);
    assert!(store.history.run(of, id).await.unwrap().is_none());
    let script = path("f/demo/hello");
    assert!(store.resources.find(of, &script).await.unwrap().is_none());
}
