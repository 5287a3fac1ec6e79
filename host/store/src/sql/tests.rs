//! What cannot be brought about or seen from outside: a full disk, a file that takes no writes, how safely a connection writes.

use sandmill_model::{
    Limits, RunId, SystemClock, WorkspaceId,
    attempt::Input,
    clock::Clock as _,
    policy::{Key, Policy},
    run::NewRun,
};

use sandmill_testkit::{frozen::Frozen, postgres::Postgres};

use super::{dialect::Conn, value::values, *};
use crate::{
    nodes::{About, Nodes as _},
    queue::{Head, Queue as _, Share},
    workspaces::Workspaces as _,
};

pub(super) fn run(workspace: WorkspaceId, arguments_bytes: usize) -> NewRun {
    let now = SystemClock.now();
    NewRun {
        id: RunId::new(now),
        workspace,
        workspace_name: "default".into(),
        path: "f/demo/hello".parse().unwrap(),
        number: 1,
        version: sandmill_model::Digest::of(b""),
        input: Input::Arguments(sandmill_model::JsonText::trusted(format!("{{\"x\":\"{}\"}}", "x".repeat(arguments_bytes)))),
        limits: Limits::default(),
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

async fn set(sql: &Sql, pragma: &'static str) {
    let done = sql.db.write(pragma, |pragma, mut conn| Box::pin(async move { conn.rows(*pragma, values![]).await.map(drop) })).await;
    done.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("full.db").display());
    let sql = Sql::new(Db::open(&Options { url, durability: Durability::Normal }).await.unwrap(), None, None);
    let workspace = WorkspaceId::new(SystemClock.now());
    sql.enqueue(vec![run(workspace, 10)]).await.unwrap();
    set(&sql, "PRAGMA max_page_count = 60").await;
    let (small, large) = (run(workspace, 10), run(workspace, 1024 * 1024));
    // In one commit: only the one that does not fit is told so.
    let (large_answer, small_answer) = futures_util::join!(sql.enqueue(vec![run(workspace, 10), large.clone()]), sql.enqueue(vec![small]));
    assert!(matches!(large_answer, Err(StoreError::Full(_))), "{large_answer:?}");
    small_answer.unwrap();
    for _ in 0..3 {
        let again = sql.enqueue(vec![large.clone()]).await;
        assert!(matches!(again, Err(StoreError::Full(_))), "{again:?}");
        assert!(crate::workspaces::Workspaces::list(&sql).await.unwrap().is_empty(), "reading goes on");
    }
    sql.ensure(workspace, "default", SystemClock.now()).await.unwrap();
    set(&sql, "PRAGMA max_page_count = 100000").await;
    sql.enqueue(vec![large]).await.unwrap();
    let head = Head { workspace, tag: "".into() };
    let about = About { name: "node".into(), release: String::new(), roles: Vec::new(), tags: Vec::new(), slots: 1 };
    let node = sql.join(about, SystemClock.now(), std::time::Duration::from_secs(1)).await.unwrap();
    let claimed = sql.claim(node, SystemClock.now(), vec![Share { head, runs_max: 10, running_max: None }]).await.unwrap().runs;
    assert_eq!(claimed.len(), 3, "nothing of the failed writes was kept");
    sql.db.close().await;
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("read.db");
    let options = Options { url: format!("sqlite:{}", file.display()), durability: Durability::Normal };
    let sql = Sql::new(Db::open(&options).await.unwrap(), None, None);
    let workspace = WorkspaceId::new(SystemClock.now());
    let (first, refused) = (run(workspace, 10), run(workspace, 10));
    sql.enqueue(vec![first]).await.unwrap();
    let Some(frozen) = Frozen::database(&file) else { return };
    for _ in 0..3 {
        let again = sql.enqueue(vec![refused.clone()]).await;
        assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
        assert_eq!(sql.length(workspace, 10).await.unwrap(), 1, "reading goes on");
    }
    let another = Db::open(&options).await.err();
    assert!(matches!(another, Some(StoreError::Unavailable(_))), "{another:?}");
    drop(frozen);
    // What SQLite itself says where it may only read.
    let is_told = sql.db.write((), |(), mut conn| {
        Box::pin(async move {
            conn.rows("PRAGMA query_only = ON", values![]).await?;
            let refused = conn.execute("DELETE FROM queue", values![]).await;
            conn.rows("PRAGMA query_only = OFF", values![]).await?;
            Ok(matches!(refused, Err(StoreError::Unavailable(_))))
        })
    });
    assert!(is_told.await.unwrap());
    assert_eq!(sql.length(workspace, 10).await.unwrap(), 1, "nothing was written");
    sql.enqueue(vec![refused]).await.unwrap();
    assert_eq!(sql.length(workspace, 10).await.unwrap(), 2);
    sql.db.close().await;
}

#[tokio::test]
async fn connections_write_as_durably_as_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("durable.db").display());
    for (durability, synchronous) in [(Durability::Normal, 1), (Durability::Full, 2)] {
        let db = Db::open(&Options { url: file.clone(), durability }).await.unwrap();
        let written =
            db.write((), |(), mut conn| Box::pin(async move { conn.row("PRAGMA synchronous", values![]).await?.unwrap().int(0) }));
        assert_eq!(written.await.unwrap(), synchronous, "{durability:?}");
        db.close().await;
    }
    let Some(url) = Postgres::shared().map(Postgres::database) else { return };
    for (durability, commit) in [(Durability::Normal, "local"), (Durability::Full, "on")] {
        let db = Db::open(&Options { url: url.clone(), durability }).await.unwrap();
        for _ in 0..20 {
            assert_eq!(db.write((), synchronous_commit).await.unwrap(), commit, "{durability:?}");
            let (one, other) = futures_util::join!(db.read((), synchronous_commit), db.read((), synchronous_commit));
            assert_eq!((&*one.unwrap(), &*other.unwrap()), (commit, commit), "{durability:?}");
        }
        // A claim is not waited for, and leaves its connection as it was.
        let relaxed = db.write((), |(), mut conn| {
            Box::pin(async move {
                conn.relax().await?;
                synchronous_commit(&(), conn).await
            })
        });
        assert_eq!(relaxed.await.unwrap(), "off");
        db.close().await;
    }
}

/// Two runs of one key must not execute at once because the first one's claim was lost with the database's machine.
#[tokio::test]
async fn claims_of_runs_that_others_wait_for_are_on_disk_before_they_begin() {
    let Some(url) = Postgres::shared().map(Postgres::database) else { return };
    let sql = Sql::new(Db::open(&Options { url, durability: Durability::Normal }).await.unwrap(), None, None);
    let about = About { name: "node".into(), release: String::new(), roles: Vec::new(), tags: Vec::new(), slots: 1 };
    let node = sql.join(about, SystemClock.now(), std::time::Duration::from_secs(1)).await.unwrap();
    let one = Key { name: "one at a time".into(), limit: 1 };
    for (keys, running_max, commit) in [(vec![], None, "off"), (vec![one], None, "local"), (vec![], Some(5), "local")] {
        let workspace = WorkspaceId::new(SystemClock.now());
        sql.ensure(workspace, &workspace.to_string(), SystemClock.now()).await.unwrap();
        let policy = Arc::new(Policy { keys, ..Policy::default() });
        sql.enqueue(vec![NewRun { policy, ..run(workspace, 10) }]).await.unwrap();
        let shares = vec![Share { head: Head { workspace, tag: "".into() }, runs_max: 10, running_max }];
        let lease = queued::Lease { node, from: SystemClock.now() };
        let claimed = sql.db.write((lease, shares), |(lease, shares), mut conn| {
            Box::pin(async move {
                let claims = claims::claim(*lease, shares, conn.reborrow()).await?;
                Ok((claims.runs.len(), synchronous_commit(&(), conn).await?))
            })
        });
        assert_eq!(claimed.await.unwrap(), (1, commit.to_owned()), "{running_max:?}");
    }
    sql.db.close().await;
}

fn synchronous_commit<'c>(_: &'c (), mut conn: Conn<'c>) -> BoxFuture<'c, Result<String, StoreError>> {
    Box::pin(async move { conn.row("SHOW synchronous_commit", values![]).await?.unwrap().text(0).map(str::to_owned) })
}
