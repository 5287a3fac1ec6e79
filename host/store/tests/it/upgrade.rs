//! Databases as earlier schemas left them: they open, what is in them is readable, and work goes on.

use std::path::{Path, PathBuf};

use sandmill_model::{
    Digest, Input, JsonText, OutcomeKind, Output, RunId, RunStatus, Timestamp, WorkspaceId,
    auth::TokenHash,
    run::{Dedup, FinishedRun, NewRun},
    version::Selector,
};
use sandmill_store::{
    Store,
    history::{LogCursor, RunFilter},
    queue::Enqueued,
    state::StateScope,
};
use sqlx::AssertSqlSafe;

use crate::fixture::{Database, claim, complete, finished, join, on_both, path, run_of, tick};

on_both![schema_1, schema_2, schema_3, schema_4, schema_5];

/// What releases wrote into their databases, each with the number of the schema that it came with.
macro_rules! fixture {
    ($($name:literal),* $(,)?) => { &[$(include_str!(concat!("../fixtures/", $name, ".sql"))),*] };
}

/// In all fixtures.
const WORKSPACE: &str = "01a0c450-6c00-7000-8000-000000000001";
const ENDED: [&str; 3] =
    ["01a0c450-6c0a-7000-8000-000000000010", "01a0c450-6c14-7000-8000-000000000011", "01a0c450-6c1e-7000-8000-000000000012"];
const WAITS: &str = "01a0c450-6c28-7000-8000-000000000020";
const RAN: &str = "01a0c450-6c32-7000-8000-000000000021";

fn run(id: &str) -> RunId {
    id.parse().unwrap()
}

async fn schema_1(database: Database) {
    let (store, workspace) = open(&database, 1, fixture!["0001_installation"]).await;
    assert_eq!(store.scripts.list(workspace, "", None, 10).await.unwrap().len(), 0);
    work_goes_on(&store, workspace, &[]).await;
}

async fn schema_2(database: Database) {
    let (store, workspace) = open(&database, 2, fixture!["0001_installation", "0002_scripts"]).await;
    scripts(&store, workspace).await;
    work_goes_on(&store, workspace, &[]).await;
}

async fn schema_3(database: Database) {
    let (store, workspace) = open(&database, 3, fixture!["0001_installation", "0002_scripts", "0003_history", "0003_queue"]).await;
    scripts(&store, workspace).await;
    history(&store, workspace).await;
    work_goes_on(&store, workspace, &[WAITS, RAN]).await;
}

async fn schema_4(database: Database) {
    let (store, workspace) =
        open(&database, 4, fixture!["0001_installation", "0002_scripts", "0003_history", "0003_queue", "0004_state"]).await;
    scripts(&store, workspace).await;
    history(&store, workspace).await;
    state(&store, workspace).await;
    work_goes_on(&store, workspace, &[WAITS, RAN]).await;
}

async fn schema_5(database: Database) {
    let (store, workspace) =
        open(&database, 5, fixture!["0001_installation", "0002_scripts", "0003_history", "0004_state", "0005_queue"]).await;
    scripts(&store, workspace).await;
    history(&store, workspace).await;
    state(&store, workspace).await;
    // A repetition of a request of then is known.
    let created_at = Timestamp::from_micros(1_790_000_000_100_000);
    let dedup = |fingerprint: &[u8]| Dedup {
        scope: "u/admin f/old/hello".into(),
        key: "once".to_owned(),
        fingerprint: Some(Digest::of(fingerprint)),
        window: std::time::Duration::from_secs(1),
    };
    let repetition = |fingerprint: &[u8]| NewRun { created_at, dedup: Some(dedup(fingerprint)), ..run_of(workspace, "f/old/hello") };
    let answers = store.queue.enqueue(vec![repetition(b"request"), repetition(b"another")]).await.unwrap();
    assert_eq!(answers, [Enqueued::Duplicate(run(ENDED[0])), Enqueued::Mismatch(run(ENDED[0]))]);
    // The node of then does not live any more: what it ran is tried again.
    assert_eq!(store.nodes.bury(tick()).await.unwrap(), 1);
    work_goes_on(&store, workspace, &[WAITS, RAN]).await;
}

/// The migrations up to a schema. They are as they were then: `cargo xtask tidy` holds each against its recorded digest.
fn migrated(folder: &Path, schema: usize) -> String {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut script = "CREATE TABLE migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL);\n".to_owned();
    for file in &files[..schema] {
        let (number, name) = file.file_stem().unwrap().to_str().unwrap().split_once('_').unwrap();
        script += &std::fs::read_to_string(file).unwrap();
        script += &format!("\nINSERT INTO migrations (number, name) VALUES ({number}, '{name}');\n");
    }
    script
}

/// Brings a database to a schema, puts in what a release wrote there, and opens it as this release does.
async fn open(database: &Database, schema: usize, rows: &[&str]) -> (Store, WorkspaceId) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    match database.url.strip_prefix("sqlite:") {
        Some(file) => {
            let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap();
            let script = migrated(&folder.join("sqlite"), schema) + &rows.concat();
            sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
        None => {
            let mut conn = sqlx::PgConnection::connect(&database.url).await.unwrap();
            let script = migrated(&folder.join("postgres"), schema) + &rows.concat().replace("X'", "'\\x");
            sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
    }
    let store = database.open().await;
    let workspace = store.workspaces.by_name("default").await.unwrap().unwrap();
    assert_eq!(workspace.id.to_string(), WORKSPACE);
    let admin = store.tokens.by_hash(TokenHash::of("sm_of_long_ago_0000")).await.unwrap().unwrap();
    assert_eq!((&*admin.identity, admin.workspace), ("u/admin", None));
    (store, workspace.id)
}

async fn scripts(store: &Store, workspace: WorkspaceId) {
    let (deployment, version) = store.scripts.find(workspace, &path("f/old/hello"), Selector::Newest).await.unwrap().unwrap();
    assert_eq!((deployment.number, version.digest), (2, Digest::of(b"version")));
    assert!(version.source.unwrap().starts_with("export function main(name: string)"));
    let component = Digest::of(b"\0asm\r\0\x01\0");
    assert!(store.scripts.component(workspace, component).await.unwrap().is_some());
}

async fn history(store: &Store, workspace: WorkspaceId) {
    let outputs = [
        Some(Output::Json(JsonText::trusted("\"hello ann\""))),
        Some(Output::Bytes { content_type: "image/png".to_owned(), data: b"\x89PNG".as_slice().into() }),
        None,
    ];
    for (index, (id, output)) in ENDED.into_iter().zip(outputs).enumerate() {
        let record = store.history.run(workspace, run(id)).await.unwrap().unwrap();
        assert_eq!((record.summary.path.as_str(), record.summary.number, record.output), ("f/old/hello", 2, output));
        assert_eq!(record.error.map(|error| error.name), (index == 2).then(|| "RangeError".to_owned()));
        assert_eq!(record.event.is_some(), index == 1);
        let log = store.history.log(workspace, run(id), LogCursor::START).await.unwrap().unwrap().entries;
        assert_eq!(log.len(), 1);
        assert!(log[0].1.message.contains('✓'));
    }
    let list = async |status| {
        let filter = RunFilter { status, ..RunFilter::default() };
        let runs = store.history.list(workspace, &filter, None, 10).await.unwrap();
        runs.runs.into_iter().map(|each| each.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(None).await, [RAN, WAITS, ENDED[2], ENDED[1], ENDED[0]]);
    assert_eq!(list(Some(RunStatus::Failed)).await, [ENDED[2]]);
    assert_eq!(list(Some(RunStatus::Succeeded)).await, [ENDED[1], ENDED[0]]);
}

async fn state(store: &Store, workspace: WorkspaceId) {
    let scope = StateScope { workspace, path: path("f/old/hello"), trigger: String::new() };
    assert_eq!(store.state.get(&scope, "n").await.unwrap(), Some(JsonText::trusted("7")));
}

/// What waited and what ran then is executed now, with what it started from; and new runs are.
async fn work_goes_on(store: &Store, workspace: WorkspaceId, waiting: &[&str]) {
    let node = join(store, "node", tick()).await;
    let claimed = claim(store, node, tick(), 10).await;
    assert_eq!(claimed.iter().map(|each| each.run.id.to_string()).collect::<Vec<_>>(), waiting);
    for each in &claimed {
        assert_eq!(matches!(each.run.input, Input::Event(_)), each.run.id == run(RAN), "{each:?}");
    }
    let ids: Vec<RunId> = claimed.iter().map(|each| each.run.id).collect();
    let done = claimed.into_iter().map(|each| FinishedRun { attempt: each.attempt, ..finished(each.run, OutcomeKind::Ok) }).collect();
    assert_eq!(complete(store, node, done).await, ids);
    for id in ids {
        assert_eq!(store.history.run(workspace, id).await.unwrap().unwrap().summary.status, RunStatus::Succeeded);
    }
    let new = run_of(workspace, "f/new/hello");
    store.queue.enqueue(vec![new.clone()]).await.unwrap();
    assert_eq!(claim(store, node, tick(), 10).await[0].run.id, new.id);
    store.retention.make_room(tick()).await.unwrap();
}
