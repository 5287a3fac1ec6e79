//! Databases, and things to put into them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sandmill_model::{
    Digest, Event, JsonText, Language, Limits, LogEntry, LogLevel, LogStream, Manifest, Outcome, OutcomeKind, Output, RunError, RunId,
    ScriptPath, Timestamp, Usage, WorkspaceId,
    attempt::Input,
    event::TriggerRef,
    run::{FinishedRun, NewRun},
    version::{HostedModule, ProgramSpec, Version, version_digest},
};
use sandmill_store::{
    Durability, Options, Store, StoreError, connect, connect_sealed,
    history::LogCursor,
    nodes::{About, Incarnation},
    queue::{Claimed, Completion, Logged, Ready, Share},
    scripts::NewDeployment,
    seal::{KeySource, Sealing},
};
use sandmill_testkit::postgres::Postgres;
use tempfile::TempDir;

/// A database of the test's own, empty at first.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // A path may hold what a URL may not.
        let url = format!("sqlite:{}", folder.path().join("store %20?#ü.db").display());
        Some(Self { url, _folder: Some(folder) })
    }

    pub(crate) fn postgres() -> Option<Self> {
        Postgres::shared().map(|server| Self { url: server.database(), _folder: None })
    }

    pub(crate) fn options(&self) -> Options {
        Options { url: self.url.clone(), durability: Durability::Normal }
    }

    /// How often the database ended one of two transactions that waited for each other; never on SQLite.
    pub(crate) async fn deadlocks(&self) -> i64 {
        use sqlx::Connection as _;
        if self.url.starts_with("sqlite:") {
            return 0;
        }
        // Sessions report what they count once a second at most.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let mut conn = sqlx::PgConnection::connect(&self.url).await.unwrap();
        let query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        sqlx::query_scalar(query).fetch_one(&mut conn).await.unwrap()
    }

    /// The keys of every workspace that are held, and how many hold each.
    pub(crate) async fn held(&self) -> Vec<((WorkspaceId, String), usize)> {
        use sqlx::{ConnectOptions as _, Connection as _};
        const HELD: &str = "SELECT workspace, key, held FROM queue_keys WHERE held <> 0";
        type Held = (Vec<u8>, Vec<u8>, i64);
        let rows: Vec<Held> = match self.url.strip_prefix("sqlite:") {
            Some(file) => {
                let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
                sqlx::query_as(HELD).fetch_all(&mut conn).await.unwrap()
            }
            None => sqlx::query_as(HELD).fetch_all(&mut sqlx::PgConnection::connect(&self.url).await.unwrap()).await.unwrap(),
        };
        let read = |(workspace, key, held): Held| {
            let workspace = WorkspaceId(uuid::Uuid::from_slice(&workspace).unwrap());
            ((workspace, String::from_utf8(key).unwrap()), usize::try_from(held).unwrap())
        };
        rows.into_iter().map(read).collect()
    }

    /// The bytes of an expression of text, in SQL.
    pub(crate) fn bytes_of(&self, text: &str) -> String {
        if self.url.starts_with("sqlite:") { format!("CAST({text} AS BLOB)") } else { format!("convert_to({text}, 'UTF8')") }
    }

    /// Does something that no store does.
    pub(crate) async fn execute(&self, sql: &str) {
        use sqlx::{ConnectOptions as _, Connection as _};
        match self.url.strip_prefix("sqlite:") {
            Some(file) => {
                let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap();
            }
            None => {
                let mut conn = sqlx::PgConnection::connect(&self.url).await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql.replace("X'", "'\\x"))).execute(&mut conn).await.unwrap();
            }
        }
    }

    /// Tables that have a column `workspace`, each with all of its columns and whether they hold numbers, bytes or text: `i`, `b`, `t`.
    pub(crate) async fn tables_of_workspaces(&self) -> Vec<(String, Vec<(String, char)>)> {
        use sqlx::{ConnectOptions as _, Connection as _};
        const SQLITE: &str = "SELECT t.name, c.name, c.type FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid";
        const POSTGRES: &str = "SELECT t.relname::TEXT, c.attname::TEXT, format_type(c.atttypid, NULL) FROM pg_class AS t
            JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
            WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition AND t.relnamespace = 'public'::REGNAMESPACE
            ORDER BY t.relname, c.attnum";
        let rows: Vec<(String, String, String)> = match self.url.strip_prefix("sqlite:") {
            Some(file) => {
                let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
                sqlx::query_as(SQLITE).fetch_all(&mut conn).await.unwrap()
            }
            None => sqlx::query_as(POSTGRES).fetch_all(&mut sqlx::PgConnection::connect(&self.url).await.unwrap()).await.unwrap(),
        };
        let mut tables: Vec<(String, Vec<(String, char)>)> = Vec::new();
        for (table, column, kind) in rows {
            let kind = match kind.to_ascii_lowercase().as_str() {
                "integer" | "bigint" => 'i',
                "blob" | "bytea" => 'b',
                "text" => 't',
                other => panic!("a column of type {other}"),
            };
            match tables.last_mut() {
                Some((last, columns)) if *last == table => columns.push((column, kind)),
                _ => tables.push((table, vec![(column, kind)])),
            }
        }
        tables.retain(|(_, columns)| columns.iter().any(|(name, _)| name == "workspace"));
        tables
    }

    /// How many rows a table has of a workspace.
    pub(crate) async fn rows_of(&self, table: &str, workspace: WorkspaceId) -> i64 {
        use sqlx::{ConnectOptions as _, Connection as _};
        let id = workspace.0.simple().to_string();
        match self.url.strip_prefix("sqlite:") {
            Some(file) => {
                let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
                let count = format!("SELECT COUNT(*) FROM {table} WHERE workspace = X'{id}'");
                sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut conn).await.unwrap()
            }
            None => {
                let mut conn = sqlx::PgConnection::connect(&self.url).await.unwrap();
                let count = format!(r"SELECT COUNT(*) FROM {table} WHERE workspace = '\x{id}'");
                sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut conn).await.unwrap()
            }
        }
    }

    /// Numbers of all data keys, and the ids of what wraps them; without that which is no workspace's.
    pub(crate) async fn keys(&self) -> Vec<(i64, String)> {
        use sqlx::{ConnectOptions as _, Connection as _};
        const KEYS: &str = "SELECT workspace, number, wrapped_by FROM workspace_keys ORDER BY workspace, number";
        let rows: Vec<(Vec<u8>, i64, String)> = match self.url.strip_prefix("sqlite:") {
            Some(file) => {
                let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
                sqlx::query_as(KEYS).fetch_all(&mut conn).await.unwrap()
            }
            None => sqlx::query_as(KEYS).fetch_all(&mut sqlx::PgConnection::connect(&self.url).await.unwrap()).await.unwrap(),
        };
        rows.into_iter().filter(|(workspace, _, _)| *workspace != [0; 16]).map(|(_, number, by)| (number, by)).collect()
    }

    /// All that a thief of the database has: the bytes of SQLite's files, the rows of PostgreSQL's tables as text and as bytes.
    pub(crate) async fn dump(&self) -> Vec<u8> {
        use sqlx::{Connection as _, Row as _};
        if let Some(file) = self.url.strip_prefix("sqlite:") {
            let parts = ["", "-wal"].map(|suffix| std::fs::read(format!("{file}{suffix}")).unwrap_or_default());
            assert!(parts.iter().all(|part| !part.is_empty()), "the file and its log");
            return parts.concat();
        }
        let mut conn = sqlx::PgConnection::connect(&self.url).await.unwrap();
        let mut dump = Vec::new();
        for table in ["workspace_keys", "resources", "variables", "resource_types"] {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT t::TEXT FROM {table} t"))).fetch_all(&mut conn).await.unwrap();
            rows.iter().for_each(|row| dump.extend_from_slice(row.get::<String, _>(0).as_bytes()));
        }
        for column in [
            "wrapped FROM workspace_keys",
            "sealed FROM resources WHERE sealed IS NOT NULL",
            "sealed FROM variables WHERE sealed IS NOT NULL",
        ] {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {column}"))).fetch_all(&mut conn).await.unwrap();
            rows.iter().for_each(|row| dump.extend_from_slice(&row.get::<Vec<u8>, _>(0)));
        }
        dump
    }

    /// Opens it with the instance key of the tests: secrets can be kept.
    pub(crate) async fn open_sealed(&self) -> Store {
        self.open_with(&key_text(1)).await.unwrap()
    }

    /// Opens it with these instance keys, one in a line.
    pub(crate) async fn open_with(&self, keys: &str) -> Result<Store, StoreError> {
        self.open_from(KeySource::Text(keys.to_owned().into())).await
    }

    pub(crate) async fn open_from(&self, source: KeySource) -> Result<Store, StoreError> {
        connect_sealed(&self.options(), None, Sealing { source, now: tick() }).await
    }

    /// Opens it; once more is another node.
    pub(crate) async fn open(&self) -> Store {
        connect(&self.options()).await.unwrap()
    }
}

/// Lists tests, each `async fn(Database)`, and runs them on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = crate::fixture::Database::sqlite() {
                        super::$name(database).await;
                    }
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = crate::fixture::Database::postgres() {
                        super::$name(database).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use on_both;

/// Ends the test if `condition` is not met in time.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

/// Microseconds; every call is later than the one before.
pub(crate) fn tick() -> Timestamp {
    static NOW: AtomicI64 = AtomicI64::new(1_800_000_000_000_000);
    Timestamp::from_micros(NOW.fetch_add(1000, Ordering::Relaxed))
}

/// An instance key as it is in a file; another one for each `n`.
pub(crate) fn key_text(n: u8) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode([n; 32])
}

pub(crate) fn workspace() -> WorkspaceId {
    WorkspaceId::new(tick())
}

pub(crate) fn path(text: &str) -> ScriptPath {
    text.parse().unwrap()
}

pub(crate) fn json(text: &str) -> JsonText {
    JsonText::parse(text).unwrap()
}

pub(crate) fn run_of(workspace: WorkspaceId, at: &str) -> NewRun {
    let now = tick();
    NewRun {
        id: RunId::new(now),
        workspace,
        workspace_name: "default".into(),
        path: path(at),
        number: 3,
        version: Digest::of(b"version"),
        input: Input::Arguments(json(r#"{"name": "bob"}"#)),
        limits: Limits { fuel: 7, ..Limits::default() },
        run_as: "u/admin".into(),
        answered_by: None,
        stages_state: false,
        created_at: now,
        scheduled_for: now,
        policy: Arc::default(),
        dedup: None,
        cause: None,
        labels: Arc::default(),
        lineage: None,
        trace: None,
    }
}

pub(crate) fn new_run(workspace: WorkspaceId) -> NewRun {
    run_of(workspace, "f/demo/hello")
}

pub(crate) fn event() -> Event {
    Event {
        trigger: TriggerRef { kind: "webhook".into(), path: Some("f/demo/hook".into()) },
        metadata: json(" {\"method\": \"POST\",\n \"query\": {\"ü\": \"\\u0000\"}} "),
        payload: Bytes::from_static(b"{\"a\": 1}"),
        dedup_key: Some("de\0dup".to_owned()),
        ordering_key: None,
    }
}

pub(crate) const LEASE: Duration = Duration::from_secs(3);

pub(crate) fn about(name: &str) -> About {
    About { name: name.into(), release: "1.2.3".into(), roles: vec!["worker".into()], tags: vec!["gpu".into()], slots: 8 }
}

/// A node that lives for [`LEASE`].
pub(crate) async fn join(store: &Store, name: &str, now: Timestamp) -> Incarnation {
    store.nodes.join(about(name), now, LEASE).await.unwrap()
}

/// The tags of the tests, as a node has them that serves all.
pub(crate) fn all_tags() -> Vec<Arc<str>> {
    ["", "cpu", "gpu"].map(Arc::from).to_vec()
}

pub(crate) async fn heads(store: &Store) -> Vec<Ready> {
    store.queue.heads(all_tags(), None, 100).await.unwrap().ready
}

/// Wakes what is due and claims up to `limit` runs of each head.
pub(crate) async fn claim(store: &Store, lease: Incarnation, now: Timestamp, limit: u32) -> Vec<Claimed> {
    store.queue.wake_due(now).await.unwrap();
    let shares =
        heads(store).await.into_iter().map(|ready| Share { head: ready.head, runs_max: limit, running_max: ready.running_max }).collect();
    store.queue.claim(lease, now, shares).await.unwrap().runs
}

pub(crate) fn ids(claimed: &[Claimed]) -> Vec<RunId> {
    claimed.iter().map(|each| each.run.id).collect()
}

/// Ends runs; returns those that `lease` held.
pub(crate) async fn complete(store: &Store, lease: Incarnation, runs: Vec<FinishedRun>) -> Vec<RunId> {
    let ended = runs.into_iter().map(|done| Completion { done, again_at: None, handler: None, logged: Logged::default() }).collect();
    store.queue.complete(lease, ended).await.unwrap()
}

/// The whole log of a run; none if there is no such run.
pub(crate) async fn log_of(store: &Store, of: WorkspaceId, run: RunId) -> Option<Vec<LogEntry>> {
    let (mut log, mut from) = (Vec::new(), LogCursor::START);
    loop {
        let page = store.history.log(of, run, from).await.unwrap()?;
        log.extend(page.entries.into_iter().map(|(_, entry)| entry));
        from = page.next;
        if !page.has_more {
            return Some(log);
        }
    }
}

pub(crate) fn line(message: &str) -> LogEntry {
    LogEntry { at: tick(), level: LogLevel::Warn, stream: LogStream::Stderr, message: message.to_owned(), fields: None }
}

pub(crate) fn outcome(kind: OutcomeKind) -> Outcome {
    let usage = Usage { fuel: u64::from(u32::MAX) * 9, memory_peak_bytes: 65536, cpu_ns: 12, wall_ns: 34 };
    let ok = matches!(kind, OutcomeKind::Ok);
    let error = (!ok && kind != OutcomeKind::Skipped).then(|| RunError {
        name: "TypeError".to_owned(),
        message: "not\0a ✓".to_owned(),
        stack: Some("at main (hello.ts:3:1)".to_owned()),
        details: Some(json(r#"{"code": "x"}"#)),
        rejects: None,
    });
    Outcome { kind, output: ok.then(|| Output::Json(json(r#"{"n": 1.50}"#))), error, arguments: None, usage, log: Vec::new() }
}

pub(crate) fn finished(run: NewRun, kind: OutcomeKind) -> FinishedRun {
    FinishedRun { run, attempt: 1, started_at: Some(tick()), ended_at: tick(), outcome: outcome(kind) }
}

pub(crate) fn deployment(workspace: WorkspaceId, at: &str, source: &str) -> NewDeployment {
    let manifest = Manifest { description: Some(format!("describes {source}")), ..Manifest::default() };
    let program = ProgramSpec::Hosted(HostedModule {
        file_name: "hello.ts".to_owned(),
        source: source.to_owned(),
        parameters: vec!["name".to_owned()],
        has_preprocessor: false,
        source_map: None,
    });
    let version = Version {
        digest: version_digest(Language::TypeScript, source.as_bytes(), &manifest).unwrap(),
        language: Language::TypeScript,
        source: Some(source.to_owned()),
        manifest,
        schema: json(r#"{"type": "object"}"#),
        program,
        created_at: tick(),
    };
    NewDeployment { workspace, path: path(at), version, component: None, created_by: "u/admin".into(), now: tick() }
}
