//! The schema, brought up to date when the database is opened. The files are part of the binary.

use super::{dialect::Conn, value::values};
use crate::StoreError;

struct Migration {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migrations {
    ($($number:literal $name:literal $file:literal),* $(,)?) => {
        &[$(Migration {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../../../migrations/sqlite/", $file)),
            postgres: include_str!(concat!("../../../../migrations/postgres/", $file)),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "workspaces_tokens" "0001_workspaces_tokens.sql",
    2 "scripts" "0002_scripts.sql",
    3 "runs" "0003_runs.sql",
    4 "state" "0004_state.sql",
    5 "dispatch" "0005_dispatch.sql",
    6 "settings" "0006_settings.sql",
    7 "finding" "0007_finding.sql",
    8 "failing" "0008_failing.sql",
    9 "retention" "0009_retention.sql",
    10 "inputs" "0010_inputs.sql",
    11 "live_logs" "0011_live_logs.sql",
    12 "kept_results" "0012_kept_results.sql",
    13 "waiting" "0013_waiting.sql",
    14 "resources" "0014_resources.sql",
    15 "tokens" "0015_tokens.sql",
    16 "workspaces" "0016_workspaces.sql",
    17 "audit" "0017_audit.sql",
    18 "people" "0018_people.sql",
    19 "service_accounts" "0019_service_accounts.sql",
    20 "invited" "0020_invited.sql",
    21 "usage_days" "0021_usage_days.sql",
    22 "database_names" "0022_database_names.sql",
    23 "homes" "0023_homes.sql",
    24 "list_kinds" "0024_list_kinds.sql",
    25 "running_places" "0025_running_places.sql",
    26 "kept_bytes" "0026_kept_bytes.sql",
    27 "triggers" "0027_triggers.sql",
];

/// Any number that no other program takes locks by: "sandmill" in ASCII.
const LOCK: i64 = 0x7361_6e64_6d69_6c6c;

/// Applies what is missing, all of it or nothing. Processes that start at once take turns.
///
/// # Errors
/// `Corrupt` if the database knows migrations that this binary does not.
pub(super) async fn run(mut conn: Conn<'_>) -> Result<(), StoreError> {
    match &conn {
        Conn::Sqlite(_) => conn.script("BEGIN IMMEDIATE").await?,
        Conn::Postgres(_) => {
            conn.script("BEGIN").await?;
            conn.rows("SELECT pg_advisory_xact_lock($1)", values![LOCK]).await?;
        }
    }
    if let Err(error) = apply(&mut conn, MIGRATIONS).await {
        // The first error tells more than that of a rollback.
        let _ = conn.script("ROLLBACK").await;
        return Err(error);
    }
    conn.script("COMMIT").await
}

/// The number of the schema that this release brings a database to.
pub(crate) fn schema() -> i64 {
    MIGRATIONS.last().map_or(0, |newest| newest.number)
}

/// The number of the database's schema.
///
/// # Errors
/// `Corrupt` if it is not ours, or of a newer release.
pub(super) async fn present(conn: &mut Conn<'_>) -> Result<i64, StoreError> {
    let count = match known(conn, MIGRATIONS).await {
        Err(StoreError::Other(why)) => Err(StoreError::Corrupt(format!("it is not a database of Sandmill: {why}"))),
        known => known,
    }?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// How many migrations the database has, all of which must be ours.
async fn known(conn: &mut Conn<'_>, migrations: &[Migration]) -> Result<usize, StoreError> {
    let present = conn.rows("SELECT number, name FROM migrations ORDER BY number", values![]).await?;
    let known = migrations.last().map_or(0, |newest| newest.number);
    for row in &present {
        let (number, name) = (row.int(0)?, row.text(1)?);
        if number > known {
            return Err(StoreError::Corrupt(format!(
                "its schema is of a newer release of Sandmill: it has migration {number} ({name}), this release knows {known}; start the newer release, or restore a backup of before the upgrade"
            )));
        }
        if !migrations.iter().any(|own| own.number == number && own.name == name) {
            return Err(StoreError::Corrupt(format!("it has migration {number} ({name}), which is none of Sandmill's")));
        }
    }
    Ok(present.len())
}

async fn apply(conn: &mut Conn<'_>, migrations: &[Migration]) -> Result<(), StoreError> {
    conn.script("CREATE TABLE IF NOT EXISTS migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)").await?;
    let present = known(conn, migrations).await?;
    for migration in migrations.iter().skip(present) {
        let text = match conn {
            Conn::Sqlite(_) => migration.sqlite,
            Conn::Postgres(_) => migration.postgres,
        };
        conn.script(text).await?;
        conn.execute("INSERT INTO migrations (number, name) VALUES ($1, $2)", values![migration.number, migration.name]).await?;
        tracing::info!(number = migration.number, name = migration.name, "migrated the database");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sandmill_testkit::postgres::Postgres;
    use sqlx::{ConnectOptions, Connection, PgConnection};

    use super::*;
    use crate::sql::{Durability, dialect::sqlite};

    const WORKSPACE: &[u8; 16] = b"workspace 000001";
    /// Chunks of one attempt were, and are, numbered within this.
    const ATTEMPT: i64 = 1 << 32;

    /// What migration 4 left behind: one run waiting, one that a node executed, one with an event, and one in history with its log.
    async fn write_as_0004(conn: &mut Conn<'_>) {
        apply(conn, &MIGRATIONS[..4]).await.unwrap();
        for (id, node) in [(b"queued run 00001", None), (b"leased run 00001", Some("node"))] {
            let lease: Option<i64> = node.map(|_| 9);
            let row = values![
                &WORKSPACE[..],
                &id[..],
                "default",
                "f/a/b",
                1_i64,
                vec![7_u8; 32],
                "{\"fuel\":1}",
                "u/admin",
                None::<&str>,
                5_i64,
                5_i64,
                i64::from(node.is_some()),
                lease,
                node,
                lease,
                0_i64
            ];
            conn.execute("INSERT INTO queue VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)", row)
                .await
                .unwrap();
            let input = values![&WORKSPACE[..], &id[..], "{\"a\":1}"];
            conn.execute("INSERT INTO queue_inputs (workspace, id, arguments) VALUES ($1, $2, $3)", input).await.unwrap();
        }
        for chunk in [ATTEMPT, ATTEMPT + 1, ATTEMPT + 2, 2 * ATTEMPT] {
            let log = values![&WORKSPACE[..], &b"ended run 000001"[..], chunk, "{}"];
            conn.execute("INSERT INTO run_logs VALUES ($1, $2, $3, $4)", log).await.unwrap();
        }
    }

    async fn opens_what_0004_left(mut conn: Conn<'_>) {
        write_as_0004(&mut conn).await;
        run(conn.reborrow()).await.unwrap();
        run(conn.reborrow()).await.unwrap();
        let rows = conn.rows("SELECT id, state, due_at, attempt, lease, tag FROM queue ORDER BY id", values![]).await.unwrap();
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.bytes(0).unwrap().to_vec(), row.int(1).unwrap(), row.int(2).unwrap(), row.int(3).unwrap()))
            .collect();
        assert_eq!(seen, [(b"leased run 00001".to_vec(), 0, 5, 1), (b"queued run 00001".to_vec(), 0, 5, 0)], "both are ready");
        assert!(rows.iter().all(|row| row.opt_int(4).unwrap().is_none() && row.text(5).unwrap().is_empty()));
        let logs = conn.rows("SELECT chunk FROM run_logs ORDER BY chunk", values![]).await.unwrap();
        let chunks: Vec<i64> = logs.iter().map(|row| row.int(0).unwrap()).collect();
        let apart = 1 << 20;
        assert_eq!(
            chunks,
            [ATTEMPT, ATTEMPT + apart, ATTEMPT + 2 * apart, 2 * ATTEMPT],
            "each begins behind the entries of the one before"
        );
    }

    #[tokio::test]
    async fn an_old_sqlite_database_opens() {
        let mut conn = sqlite::options(None, Durability::Normal).connect().await.unwrap();
        opens_what_0004_left(Conn::Sqlite(&mut conn)).await;
    }

    #[tokio::test]
    async fn an_old_postgres_database_opens() {
        let Some(server) = Postgres::shared() else { return };
        let mut conn = PgConnection::connect(&server.database()).await.unwrap();
        opens_what_0004_left(Conn::Postgres(&mut conn)).await;
    }

    #[test]
    fn every_file_is_listed_under_its_number_and_name() {
        let listed: Vec<String> = MIGRATIONS.iter().map(|own| format!("{:04}_{}.sql", own.number, own.name)).collect();
        for folder in ["sqlite", "postgres"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
            let mut files: Vec<String> =
                std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            files.sort();
            assert_eq!(files, listed);
        }
        assert!(MIGRATIONS.iter().zip(1..).all(|(own, number)| own.number == number), "numbers count up from 1");
    }
}
