//! Letting go of old runs.

use std::sync::Arc;

use sandmill_model::{Clock, OutcomeKind, RunId, Timestamp, WorkspaceId, run::FinishedRun};
use sandmill_store::{
    Store,
    history::RunFilter,
    queue::{Completion, Logged},
    retention::Old,
    upkeep::{self, Done},
};
use sandmill_testkit::postgres::Postgres;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Database, claim, finished, join, line, log_of, new_run, on_both, outcome, tick, workspace};

on_both![
    a_duty_is_one_nodes,
    small_steps_forget_what_is_old,
    a_step_is_small,
    each_workspace_keeps_its_own_time,
    another_node_leaves_it_alone,
    room_is_made_and_nothing_young_is_dropped,
];

const HOUR: i64 = 3600 * 1_000_000;
const DAY: i64 = 24 * HOUR;
/// 2027-03-01, noon.
const NOW: Timestamp = Timestamp::from_micros(20_878 * DAY + 12 * HOUR);

fn ago(micros: i64) -> Timestamp {
    Timestamp::from_micros(NOW.micros() - micros)
}

struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A run that was accepted and ended so long ago, with a line in its log.
fn old_run(of: WorkspaceId, accepted: Timestamp, ended: Timestamp) -> FinishedRun {
    let mut run = new_run(of);
    (run.id, run.created_at, run.scheduled_for) = (RunId::new(accepted), accepted, accepted);
    run.labels = Arc::new([("customer".to_owned(), "c7".to_owned()), ("id".to_owned(), run.id.to_string())].into());
    let mut done = finished(run, OutcomeKind::Ok);
    (done.started_at, done.ended_at) = (Some(ended), ended);
    done.outcome.log = vec![line("was there")];
    done
}

async fn append(store: &Store, of: WorkspaceId, ages: &[(i64, i64)]) -> Vec<RunId> {
    let runs: Vec<FinishedRun> = ages.iter().map(|(accepted, ended)| old_run(of, ago(*accepted), ago(*ended))).collect();
    let ids = runs.iter().map(|done| done.run.id).collect();
    store.history.append(runs).await.unwrap();
    ids
}

/// Which of `ids` are still there, each with its log or neither.
async fn left(store: &Store, of: WorkspaceId, ids: &[RunId]) -> Vec<usize> {
    let mut left = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let (run, log) = (store.history.run(of, *id).await.unwrap(), log_of(store, of, *id).await);
        assert_eq!(run.is_some(), log.is_some_and(|lines| lines.len() == 1), "{index}");
        if run.is_some() {
            left.push(index);
        }
    }
    left
}

/// Rows of a table.
async fn rows(database: &Database, table: &str) -> i64 {
    use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
    let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    match database.url.strip_prefix("sqlite:") {
        Some(file) => {
            let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
            sqlx::query_scalar(count).fetch_one(&mut conn).await.unwrap()
        }
        None => sqlx::query_scalar(count).fetch_one(&mut sqlx::PgConnection::connect(&database.url).await.unwrap()).await.unwrap(),
    }
}

/// A run of the queue that failed for good so long ago.
async fn dead_letter(store: &Store, of: WorkspaceId, at: Timestamp) -> RunId {
    let mut done = old_run(of, at, at);
    store.queue.enqueue(vec![done.run.clone()]).await.unwrap();
    let node = join(store, "node", tick()).await;
    claim(store, node, tick(), 1).await;
    done.outcome = outcome(OutcomeKind::Error);
    done.outcome.log = vec![line("was there")];
    store
        .queue
        .complete(node, vec![Completion { done: done.clone(), again_at: None, handler: None, logged: Logged::default() }])
        .await
        .unwrap();
    assert!(store.dead_letters.input(of, done.run.id).await.unwrap().is_some());
    done.run.id
}

fn service(store: &Store, node: &str, now: Timestamp, retention_days: u32) -> upkeep::Service {
    let options = upkeep::Options { node: node.into(), retention_days, audit_days: 0 };
    upkeep::Service::new(store.clone(), Arc::new(Still(now)), options)
}

async fn look(service: &upkeep::Service) -> Done {
    service.look(&CancellationToken::new()).await.unwrap()
}

async fn a_duty_is_one_nodes(database: Database) {
    let store = database.open().await;
    let hold = async |duty: &'static str, node: &str, now: Timestamp| {
        store.retention.hold(duty, node.into(), now, Timestamp::from_micros(now.micros() + 10)).await.unwrap()
    };
    let at = Timestamp::from_micros;
    assert!(hold("sweep", "a", at(0)).await);
    assert!(!hold("sweep", "b", at(9)).await);
    assert!(hold("sweep", "a", at(9)).await, "its own it keeps");
    assert!(!hold("sweep", "b", at(10)).await);
    assert!(hold("other", "b", at(10)).await);
    assert!(hold("sweep", "b", at(19)).await, "its time was over");
    assert!(!hold("sweep", "a", at(20)).await);
}

async fn small_steps_forget_what_is_old(database: Database) {
    let store = database.open().await;
    let (of, other) = (workspace(), workspace());
    // Accepted and ended, in days ago: the third ended late, the last is younger.
    let ages = [(40 * DAY, 40 * DAY), (31 * DAY, 31 * DAY), (31 * DAY, DAY), (30 * DAY + HOUR, 30 * DAY + 1), (30 * DAY - HOUR, DAY)];
    let (ids, others) = (append(&store, of, &ages).await, append(&store, other, &ages).await);
    let dead = dead_letter(&store, of, ago(35 * DAY)).await;
    assert_eq!((rows(&database, "run_labels").await, rows(&database, "dead_letters").await), (22, 1));
    let old = Old { workspace: of, accepted_before: ago(30 * DAY), ended_before: ago(30 * DAY) };
    let step = store.retention.forget(old, None).await.unwrap();
    assert_eq!((step.runs, step.next), (4, None));
    assert_eq!(left(&store, of, &[dead]).await, [] as [usize; 0]);
    assert_eq!((rows(&database, "run_labels").await, rows(&database, "dead_letters").await), (14, 0), "with all that was theirs");
    assert_eq!(left(&store, of, &ids).await, [2, 4]);
    assert_eq!(left(&store, other, &others).await, [0, 1, 2, 3, 4], "another's stay");
    assert_eq!(store.retention.forget(old, None).await.unwrap().runs, 0);
}

async fn a_step_is_small(database: Database) {
    const RUNS: i64 = 450;
    let store = database.open().await;
    let of = workspace();
    let ages: Vec<_> = (0..RUNS).map(|index| (40 * DAY - index * 1000, 40 * DAY)).collect();
    append(&store, of, &ages).await;
    let mut many_lines = old_run(of, ago(39 * DAY), ago(39 * DAY));
    many_lines.outcome.log = (0..400).map(|_| line(&"x".repeat(64 * 1024))).collect();
    let mut after_it = old_run(of, ago(38 * DAY), ago(38 * DAY));
    after_it.outcome.log = many_lines.outcome.log.clone();
    store.history.append(vec![many_lines, after_it]).await.unwrap();
    let old = Old { workspace: of, accepted_before: ago(30 * DAY), ended_before: ago(30 * DAY) };
    let (mut steps, mut after) = (Vec::new(), None);
    loop {
        let step = store.retention.forget(old, after).await.unwrap();
        steps.push(step.runs);
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(steps.iter().sum::<u64>(), RUNS as u64 + 2);
    assert!(steps.iter().all(|runs| *runs <= 200) && steps.len() >= 4, "{steps:?}");
    assert_eq!(store.history.list(of, &RunFilter::default(), None, 10).await.unwrap().runs, []);
}

async fn each_workspace_keeps_its_own_time(database: Database) {
    let store = database.open().await;
    let mut workspaces = Vec::new();
    for (name, days) in [("as said", None), ("short", Some(3)), ("for ever", Some(0))] {
        let id = store.workspaces.ensure(workspace(), name, tick()).await.unwrap().id;
        store.workspaces.set(id, json!({"retention_days": days}).as_object().unwrap().clone()).await.unwrap().unwrap();
        workspaces.push(id);
    }
    let ages = [(40 * DAY, 40 * DAY), (20 * DAY, 20 * DAY), (20 * DAY, DAY), (HOUR, HOUR)];
    let mut ids = Vec::new();
    for id in &workspaces {
        ids.push(append(&store, *id, &ages).await);
    }
    let kept = async || {
        let mut kept = Vec::new();
        for (id, ids) in workspaces.iter().zip(&ids) {
            kept.push(left(&store, *id, ids).await);
        }
        kept
    };
    let service = service(&store, "node", NOW, 30);
    assert_eq!(look(&service).await.runs, 3);
    assert_eq!(kept().await, [vec![1, 2, 3], vec![2, 3], vec![0, 1, 2, 3]]);
    assert_eq!(look(&service).await, Done::default(), "nothing twice");
}

async fn another_node_leaves_it_alone(database: Database) {
    let store = database.open().await;
    let of = store.workspaces.ensure(workspace(), "w", tick()).await.unwrap().id;
    let (one, other) = (service(&store, "one", NOW, 30), service(&store, "other", NOW, 30));
    look(&one).await;
    let ids = append(&store, of, &[(40 * DAY, 40 * DAY)]).await;
    assert_eq!(look(&other).await, Done::default());
    assert_eq!(left(&store, of, &ids).await, [0]);
    let later = service(&store, "other", Timestamp::from_micros(NOW.micros() + HOUR), 30);
    assert_eq!(look(&later).await.runs, 1, "once the first gives no sign any more");
    let for_ever = service(&store, "other", NOW, 0);
    append(&store, of, &[(4000 * DAY, 4000 * DAY)]).await;
    assert_eq!(look(&for_ever).await, Done::default(), "0 days are for ever");
}

/// On SQLite there are no partitions: no room is needed, and nothing is ever dropped.
async fn room_is_made_and_nothing_young_is_dropped(database: Database) {
    let store = database.open().await;
    let of = workspace();
    assert_eq!(store.retention.has_partitions(), database.url.starts_with("postgres"));
    let ids = append(&store, of, &[(40 * DAY, 40 * DAY), (0, 0), (-3 * DAY, -3 * DAY)]).await;
    for now in [ago(0), ago(0), ago(-DAY)] {
        store.retention.make_room(now).await.unwrap();
        assert_eq!(left(&store, of, &ids).await, [0, 1, 2]);
    }
    // Of what was there before there were partitions there is nothing; the oldest is among the rest, which is never dropped.
    let dropped = store.retention.drop_before(ago(39 * DAY)).await.unwrap();
    assert_eq!(dropped, u64::from(store.retention.has_partitions()));
    assert_eq!(left(&store, of, &ids).await, [0, 1, 2]);
    // As long as history goes back: on SQLite small steps are all that there is.
    let dropped = store.retention.drop_before(ago(-30 * DAY)).await.unwrap();
    assert_eq!(dropped > 0, store.retention.has_partitions(), "{dropped}");
    if !store.retention.has_partitions() {
        assert_eq!(left(&store, of, &ids).await, [0, 1, 2]);
    }
}

/// Names of the partitions of `runs`, and how many rows each has.
fn partitions(server: &Postgres, name: &str) -> Vec<(String, u64)> {
    let names = "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'runs'::regclass ORDER BY 1::text";
    let names = server.execute(name, names).unwrap();
    let rows = |table: &str| server.execute(name, &format!("SELECT count(*) FROM {table}")).unwrap().parse().unwrap();
    names.lines().map(|table| (table.to_owned(), rows(table))).collect()
}

#[tokio::test]
async fn days_are_made_ahead_and_dropped_whole() {
    let Some((server, database)) = Postgres::shared().zip(Database::postgres()) else { return };
    let name = database.url.rsplit('/').next().unwrap();
    let store = database.open().await;
    let of = store.workspaces.ensure(workspace(), "w", tick()).await.unwrap().id;
    // Before its day is made, a run is among the rest; then it moves. Two days of which one has gone on for long.
    let ids = append(&store, of, &[(DAY, DAY), (DAY, -9 * DAY), (0, 0), (0, -20 * DAY)]).await;
    assert_eq!(partitions(server, name), [("runs_before".to_owned(), 0), ("runs_rest".to_owned(), 4)]);
    for now in [ago(DAY), NOW, NOW] {
        store.retention.make_room(now).await.unwrap();
    }
    let rows = |table: &str| partitions(server, name).into_iter().find(|(each, _)| each == table).map(|(_, rows)| rows);
    let rows_of = |table: &str| server.execute(name, &format!("SELECT count(*) FROM {table}")).unwrap().parse::<u64>().unwrap();
    assert_eq!((rows("runs_d20270228"), rows("runs_d20270301"), rows("runs_d20270307")), (Some(2), Some(2), Some(0)));
    assert_eq!(rows("runs_rest"), Some(0));
    assert_eq!(partitions(server, name).len(), 10, "seven days ahead");
    assert_eq!(left(&store, of, &ids).await, [0, 1, 2, 3]);

    let dead = dead_letter(&store, of, ago(DAY)).await;
    // A run of that day that waits for its next try: its log stays.
    let waiting = old_run(of, ago(DAY), ago(DAY)).run;
    store.queue.enqueue(vec![waiting.clone()]).await.unwrap();
    let node = join(&store, "node", tick()).await;
    claim(&store, node, tick(), 1).await;
    let mut done = finished(waiting.clone(), OutcomeKind::Error);
    done.outcome.log = vec![line("first try")];
    store.queue.complete(node, vec![Completion { done, again_at: Some(NOW), handler: None, logged: Logged::default() }]).await.unwrap();

    // The end of the day before yesterday's: nothing but what is empty ends before it.
    let before = Timestamp::from_micros(NOW.micros() - NOW.micros() % DAY);
    assert_eq!(store.retention.drop_before(Timestamp::from_micros(before.micros() - 1)).await.unwrap(), 1, "what was before");
    assert_eq!(store.retention.drop_before(before).await.unwrap(), 1);
    assert_eq!((rows("runs_before"), rows("runs_d20270228"), rows("runs_rest")), (None, None, Some(1)));
    assert_eq!(left(&store, of, &ids).await, [1, 2, 3], "one ended late");
    assert_eq!(left(&store, of, &[dead]).await, [] as [usize; 0]);
    assert_eq!(
        (rows_of("dead_letters"), rows_of("run_labels"), rows_of("run_labels_rest")),
        (0, 8, 4),
        "of the late one and of what waits"
    );
    assert_eq!(log_of(&store, of, waiting.id).await.unwrap().len(), 1);
    assert_eq!(store.retention.drop_before(before).await.unwrap(), 0);

    // A look drops what it can, and clears what is left once it is old too.
    let days_later = |days: i64| Timestamp::from_micros(NOW.micros() + days * DAY);
    let done = look(&service(&store, "node", days_later(15), 5)).await;
    assert_eq!((done.partitions, done.runs), (7, 1), "the late one was among the rest");
    assert_eq!(left(&store, of, &ids).await, [3]);
    assert_eq!(look(&service(&store, "node", days_later(30), 5)).await.runs, 1);
    assert_eq!(left(&store, of, &ids).await, [] as [usize; 0]);
}

#[tokio::test]
async fn a_run_is_looked_for_in_one_partition() {
    let Some((server, database)) = Postgres::shared().zip(Database::postgres()) else { return };
    let name = database.url.rsplit('/').next().unwrap();
    let store = database.open().await;
    store.retention.make_room(NOW).await.unwrap();
    let id = RunId::new(NOW).0.as_simple().to_string();
    for (table, column) in [("runs", "id"), ("run_logs", "run"), ("run_labels", "run"), ("dead_letters", "run")] {
        let query = format!("EXPLAIN SELECT * FROM {table} WHERE workspace = '\\x00' AND {column} = '\\x{id}'");
        let plan = server.execute(name, &query).unwrap();
        assert!(plan.contains(&format!("{table}_d20270301")) && !plan.contains("_rest") && !plan.contains("_before"), "{plan}");
    }
}
