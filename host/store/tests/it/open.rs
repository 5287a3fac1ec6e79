//! Opening, migrating, closing, and databases that are not as they should be.

use sandmill_store::{Durability, Options, StoreError, connect};
use sandmill_testkit::postgres::Postgres;

use crate::fixture::{Database, eventually, finished, new_run, on_both, tick, workspace};

on_both![data_outlives_the_store, many_migrate_at_once, a_newer_database_is_refused, a_closed_store_says_so, full_durability];

async fn data_outlives_the_store(database: Database) {
    let run = new_run(workspace());
    let store = database.open().await;
    store.health.check().await.unwrap();
    store.history.append(vec![finished(run.clone(), sandmill_model::OutcomeKind::Ok)]).await.unwrap();
    store.health.close().await;
    let store = database.open().await;
    assert!(store.history.run(run.workspace, run.id).await.unwrap().is_some());
    drop(store);
    assert!(database.open().await.history.run(run.workspace, run.id).await.unwrap().is_some(), "closed by being dropped");
}

async fn many_migrate_at_once(database: Database) {
    let (left, right) = (database.options(), database.options());
    let open = |options: Options| tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(connect(&options)));
    let opening = (0..8).map(|index| open(if index % 2 == 0 { left.clone() } else { right.clone() }));
    for opened in futures_util::future::join_all(opening).await {
        opened.unwrap().unwrap().workspaces.ensure(workspace(), "default", tick()).await.unwrap();
    }
}

async fn a_newer_database_is_refused(database: Database) {
    database.open().await.health.close().await;
    let statement = "INSERT INTO migrations (number, name) VALUES (9999, 'from_the_future')";
    execute(&database, statement).await;
    let refused = connect(&database.options()).await.err();
    match &refused {
        Some(StoreError::Corrupt(text)) => assert!(text.contains("newer release") && text.contains("from_the_future"), "{text}"),
        _ => panic!("{refused:?}"),
    }
}

async fn execute(database: &Database, statement: &'static str) {
    use sqlx::{ConnectOptions as _, Connection as _};
    match database.url.strip_prefix("sqlite:") {
        Some(file) => {
            let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
            sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
        }
        None => {
            let mut conn = sqlx::PgConnection::connect(&database.url).await.unwrap();
            sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
        }
    }
}

async fn a_closed_store_says_so(database: Database) {
    let store = database.open().await;
    let pending = store.queue.enqueue(vec![new_run(workspace())]);
    store.health.close().await;
    store.health.close().await;
    let refused = [pending.await.err(), store.health.check().await.err(), store.workspaces.list().await.err()];
    assert!(refused.iter().all(|error| matches!(error, Some(StoreError::Unavailable(_)))), "{refused:?}");
}

async fn full_durability(database: Database) {
    let options = Options { durability: Durability::Full, ..database.options() };
    let store = connect(&options).await.unwrap();
    store.workspaces.ensure(workspace(), "default", tick()).await.unwrap();
    assert_eq!(store.workspaces.list().await.unwrap().len(), 1);
}

/// A disk that is full, as the server says it.
#[tokio::test]
async fn a_full_disk_under_postgresql_is_told_and_survived() {
    let Some(database) = Database::postgres() else { return };
    let store = database.open().await;
    execute(
        &database,
        "CREATE FUNCTION no_room() RETURNS TRIGGER LANGUAGE plpgsql AS
             $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER no_room BEFORE INSERT ON queue EXECUTE FUNCTION no_room()",
    )
    .await;
    let run = new_run(workspace());
    for _ in 0..3 {
        let refused = store.queue.enqueue(vec![run.clone()]).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        assert_eq!(store.queue.length(run.workspace, 10).await.unwrap(), 0, "reading goes on");
        store.workspaces.ensure(workspace(), "default", tick()).await.expect("and so does what fits");
    }
    execute(&database, "DROP TRIGGER no_room ON queue").await;
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    assert_eq!(store.queue.length(run.workspace, 10).await.unwrap(), 1);
}

#[tokio::test]
async fn in_memory() {
    let options = Options { url: "sqlite::memory:".to_owned(), durability: Durability::Normal };
    let (store, other) = (connect(&options).await.unwrap(), connect(&options).await.unwrap());
    store.health.check().await.unwrap();
    store.workspaces.ensure(workspace(), "default", tick()).await.unwrap();
    assert_eq!(store.workspaces.list().await.unwrap().len(), 1);
    assert_eq!(other.workspaces.list().await.unwrap(), [], "each is its own");
    store.health.close().await;
}

#[tokio::test]
async fn urls_that_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "this is no database, and it is longer than the header of one, so that nobody takes it for an empty one".repeat(20),
    )
    .unwrap();
    let refusal = async |url: String| {
        let error = connect(&Options { url: url.clone(), durability: Durability::Normal }).await.err();
        error.unwrap_or_else(|| panic!("{url} was opened"))
    };
    let error = refusal("mysql://localhost/x".to_owned()).await;
    assert!(matches!(error, StoreError::Other(_)), "{error:?}");
    let error = refusal(format!("sqlite:{}", text.display())).await;
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    let error = refusal(format!("sqlite:{}/no/such/folder/x.db", folder.path().display())).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refusal(format!("postgres://ann:secret@127.0.0.1:{port}/x")).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn options_show_no_secrets() {
    let options = Options { url: "postgres://ann:secret@localhost/x".to_owned(), durability: Durability::Full };
    assert_eq!(format!("{options:?}"), "Options { url: postgres:…, durability: Full }");
}

#[tokio::test]
async fn postgres_connections_that_broke_are_replaced() {
    let Some((server, database)) = Postgres::shared().zip(Database::postgres()) else { return };
    let store = database.open().await;
    store.workspaces.ensure(workspace(), "default", tick()).await.unwrap();
    let name = database.url.rsplit('/').next().unwrap();
    server.execute("postgres", &format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'")).unwrap();
    eventually("it works again", || async {
        match (
            store.workspaces.list().await,
            store.workspaces.ensure(workspace(), "other", tick()).await,
            store.queue.enqueue(vec![new_run(workspace())]).await.map(drop),
        ) {
            (Ok(_), Ok(_), Ok(())) => true,
            answers => {
                let errors = [answers.0.err(), answers.1.err(), answers.2.err()];
                assert!(errors.iter().flatten().all(|error| matches!(error, StoreError::Unavailable(_))), "{errors:?}");
                false
            }
        }
    })
    .await;
}
