//! Databases as earlier schemas left them: they open, what is in them is readable, and work goes on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sandmill_model::{
    Digest, Input, JsonText, OutcomeKind, Output, RunId, RunStatus, Timestamp, WorkspaceId,
    auth::TokenHash,
    lent::ItemList,
    people::Level,
    run::{Cause, CauseKind, Dedup, FinishedRun, NewRun},
    version::Selector,
};
use sandmill_store::{
    Store,
    access::AccessList,
    grants::GrantRow,
    history::{LogCursor, RunFilter},
    queue::Enqueued,
    resources::{NewResource, Sharing, Unfit},
    state::StateScope,
};
use sqlx::AssertSqlSafe;

use crate::fixture::{Database, claim, complete, finished, heads, join, on_both, path, run_of, tick};

on_both![schema_1, schema_2, schema_3, schema_4, schema_5, schema_12, schema_13, schema_14, schema_22];

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

/// What the fixture of schema 12 has, by what its script does.
mod of_12 {
    pub(super) const LABELLED: &str = "01a1ff7e-9191-70dd-9fed-6097df621545";
    pub(super) const LARGE: &str = "01a1ff7e-91b2-7c87-b9aa-2155bdd2d047";
    pub(super) const FAILED: &str = "01a1ff7e-91cd-79ef-bde0-d5263ecb963c";
    pub(super) const HANDLER: &str = "01a1ff7e-91d1-71eb-b7db-c8257cbf6b6b";
    pub(super) const RATED_ENDED: &str = "01a1ff7e-95e0-79ef-b162-015af36d5cbd";
    pub(super) const RATED: &str = "01a1ff7e-9609-7831-bca5-4a5bebc36fd1";
    pub(super) const RAN: &str = "01a1ff7e-960b-7537-8f07-0b37d3b627f7";
    pub(super) const PARKED: &str = "01a1ff7e-9bf4-732b-b614-e5d19f9b93a9";
    pub(super) const DELAYED: &str = "01a1ff7e-9bf5-7933-a71f-e0d789a0a94c";
    pub(super) const TAGGED: &str = "01a1ff7e-9bf6-7a28-9b07-c03afbc9fef6";
}

/// Partitions of a day as nodes make them ahead of time, and one of the ended runs a second time, then.
const A_DAY: &str = r"
    CREATE TABLE runs_d20990101 PARTITION OF runs FOR VALUES FROM ('\x03b3d512ac00') TO ('\x03b3da390800');
    CREATE TABLE run_logs_d20990101 PARTITION OF run_logs FOR VALUES FROM ('\x03b3d512ac00') TO ('\x03b3da390800');
    CREATE TABLE run_labels_d20990101 PARTITION OF run_labels FOR VALUES FROM ('\x03b3d512ac00') TO ('\x03b3da390800');
    CREATE TABLE dead_letters_d20990101 PARTITION OF dead_letters FOR VALUES FROM ('\x03b3d512ac00') TO ('\x03b3da390800');
    INSERT INTO runs SELECT (jsonb_populate_record(runs, jsonb_build_object('id', '\x03b3d512ac0170008000000000000001'))).*
        FROM runs WHERE path = 'f/new/labelled';
";
const OF_THAT_DAY: &str = "03b3d512-ac01-7000-8000-000000000001";

async fn schema_12(database: Database) {
    let is_partitioned = database.url.starts_with("postgres");
    let mut rows = fixture!["0001_installation", "0002_scripts", "0004_state", "0012_runs"].to_vec();
    rows.extend(is_partitioned.then_some(A_DAY));
    let (store, workspace) = open(&database, 12, &rows).await;
    scripts(&store, workspace).await;
    state(&store, workspace).await;
    let id = run;
    let found = async |filter: RunFilter| {
        let page = store.history.list(workspace, &filter, None, 20).await.unwrap();
        page.runs.iter().map(|run| run.id.to_string()).filter(|id| id != OF_THAT_DAY).collect::<Vec<_>>()
    };
    {
        use of_12::*;
        assert_eq!(found(RunFilter::default()).await, [TAGGED, DELAYED, PARKED, RAN, RATED, RATED_ENDED, HANDLER, FAILED, LARGE, LABELLED]);
        let label = |name: &str, value: &str| RunFilter { label: Some((name.to_owned(), value.to_owned())), ..RunFilter::default() };
        assert_eq!(found(label("customer", "ü:7")).await, [LABELLED]);
        assert_eq!(found(label("n", "1")).await, [PARKED, RAN]);
        let cause = Some(Cause { kind: CauseKind::Handler, run: id(FAILED) });
        assert_eq!(found(RunFilter { cause, ..RunFilter::default() }).await, [HANDLER]);
        assert_eq!(found(RunFilter { tag: Some("gpu".to_owned()), ..RunFilter::default() }).await, [TAGGED, DELAYED]);
        assert_eq!(found(RunFilter { is_dead: true, ..RunFilter::default() }).await, [FAILED]);
        assert_eq!(found(RunFilter { status: Some(RunStatus::Parked), ..RunFilter::default() }).await, [PARKED]);
        match store.dead_letters.input(workspace, id(FAILED)).await.unwrap() {
            Some(Input::Event(event)) => assert_eq!(event.payload, b"{\"n\": 7}".as_slice()),
            input => panic!("{input:?}"),
        }
        let large = store.history.run(workspace, id(LARGE)).await.unwrap().unwrap();
        assert!(matches!(&large.output, Some(Output::Kept(kept)) if kept.bytes == 2002 && kept.content_type.is_none()), "{large:?}");
        let log = store.history.log(workspace, id(RAN), LogCursor::START).await.unwrap().unwrap().entries;
        assert_eq!(log.iter().map(|(_, entry)| entry.message.as_str()).collect::<Vec<_>>(), ["first ✓ 1"]);
        assert_eq!(store.history.run(workspace, id(OF_THAT_DAY)).await.unwrap().is_some(), is_partitioned);

        // The node of then does not live any more; all that waited for a time has waited long enough.
        assert_eq!(store.nodes.bury(tick()).await.unwrap(), 1);
        let node = join(&store, "node", tick()).await;
        store.queue.wake_due(tick()).await.unwrap();
        let ready = heads(&store).await;
        assert!(ready.iter().all(|ready| (ready.weight, ready.running_max) == (2, Some(9))), "{ready:?}");
        let claimed = claim(&store, node, tick(), 4).await;
        let mut taken: Vec<_> = claimed.iter().map(|each| (each.run.id.to_string(), each.attempt, each.lost)).collect();
        taken.sort();
        let new = |id: &str| (id.to_owned(), 1, 0);
        assert_eq!(taken, [new(RATED), (RAN.to_owned(), 2, 1), new(DELAYED), new(TAGGED)]);
        let ran = claimed.iter().find(|each| each.run.id == id(RAN)).unwrap().clone();
        assert!(matches!(&ran.run.input, Input::Event(event) if event.payload.starts_with(b"{\"n\": 1, \"text\": \"yyy")), "{ran:?}");
        assert_eq!(claim(&store, node, tick(), 4).await.len(), 0, "the key is taken");
        let done = FinishedRun { attempt: ran.attempt, ..finished(ran.run, OutcomeKind::Ok) };
        assert_eq!(complete(&store, node, vec![done]).await, [id(RAN)]);
        let next = claim(&store, node, tick(), 4).await;
        assert_eq!(next.iter().map(|each| each.run.id.to_string()).collect::<Vec<_>>(), [PARKED], "it was handed on");
        assert_eq!(store.queue.forget_dedup_keys(tick()).await.unwrap(), 2, "a key and a rate of long ago");
    }
    store.retention.make_room(tick()).await.unwrap();
    assert!(store.history.run(workspace, id(OF_THAT_DAY)).await.unwrap().is_some() == is_partitioned);
}

async fn schema_13(database: Database) {
    let rows = fixture!["0001_installation", "0002_scripts", "0004_state", "0012_runs", "0013_grants"];
    let (store, workspace) = open(&database, 13, rows).await;
    scripts(&store, workspace).await;
    let granted = async |of: &str| store.grants.list(workspace, &path(of)).await.unwrap();
    let (granted_by, granted_at) = ("u/ann".into(), Timestamp::from_micros(1_795_287_849_000_000));
    let row = |granted: &str| GrantRow { granted: granted.to_owned(), granted_by: Arc::clone(&granted_by), granted_at };
    assert_eq!(granted("f/granted/starter").await, [row("runs:f/new/*"), row("runs:u/ann/x")]);
    assert_eq!(granted("f/granted/nothing").await, [], "only the newest deployment counts");
    assert_eq!(granted("f/old/hello").await, []);
    let manifest = |digest: &[u8]| store.scripts.version(workspace, Digest::from_bytes(digest.try_into().unwrap()));
    let mut digest = [0; 32];
    digest[31] = 0xa2;
    assert!(manifest(&digest).await.unwrap().unwrap().manifest.description.unwrap().starts_with("NUL \0, \\u0000"), "it is untouched");
}

/// Several paths named one database: from then on it belongs to one of them, and the others keep it.
async fn schema_14(database: Database) {
    let (store, workspace) = open(&database, 14, fixture!["0001_installation", "0014_databases"]).await;
    let name = async |at: &str, name: &str, sharing: Sharing| {
        let value = JsonText::of(&serde_json::json!({ "name": name })).unwrap();
        let (kind, description) = ("sqlite".parse().unwrap(), "again".to_owned());
        let new = NewResource { workspace, path: path(at), kind, value, description, sharing, by: "u/ann".into(), now: tick() };
        store.resources.put(new).await.unwrap().map(drop)
    };
    for at in ["u/eve/x", "f/old/late", "f/old/ledger"] {
        assert_eq!(name(at, "ledger", Sharing::None).await, Ok(()), "{at} has it");
    }
    for holder in ["u/eve/x", "f/old/late"] {
        assert_eq!(name("f/new/ledger", "ledger", Sharing::With(path(holder))).await, Err(Unfit::NameTaken), "{holder}");
    }
    assert_eq!(name("f/new/ledger", "ledger", Sharing::With(path("f/old/ledger"))).await, Ok(()));
    assert_eq!(name("f/new/notes", "notes", Sharing::With(path("u/eve/notes"))).await, Ok(()), "there is but one path that had it");
    assert_eq!(name("f/new/free", "shop", Sharing::None).await, Ok(()), "the field of another type is no name");
}

/// Entries of single paths spoke of all that is there, and still do.
async fn schema_22(database: Database) {
    let (store, workspace) = open(&database, 22, fixture!["0001_installation", "0022_lists"]).await;
    let items = store.folders.items(workspace, None, 10).await.unwrap();
    let expected: ItemList = [("g/ops".parse().unwrap(), Level::Reader), ("u/ann".parse().unwrap(), Level::Writer)].into();
    assert_eq!(items, [(path("f/old/shown"), expected)]);
    let (_, list) = store.folders.find(workspace, &"old".parse().unwrap()).await.unwrap().unwrap();
    let expected: AccessList = [("u/ann".parse().unwrap(), Level::Owner)].into();
    assert_eq!(list, expected);
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
    assert_eq!((&*admin.principal.identity, admin.principal.workspace), ("u/admin", None));
    let listed = store.tokens.list(None, None, 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].prefix.as_str(), &listed[0].created_by, listed[0].expires_at), (1, "", &None, None));
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
