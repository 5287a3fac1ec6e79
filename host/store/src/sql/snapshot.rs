//! Copies of a SQLite database.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    data_keys,
    dialect::{self, Conn},
    migrate,
    value::values,
};
use crate::StoreError;

async fn open(database: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(false).busy_timeout(dialect::sqlite::BUSY_TIMEOUT);
    options.disable_statement_logging().connect().await.map_err(dialect::error)
}

pub(crate) async fn snapshot(database: &Path, into: &Path) -> Result<i64, StoreError> {
    let into = into.to_str().ok_or_else(|| StoreError::Other("the copy's path is not UTF-8".to_owned()))?;
    let mut conn = open(database).await?;
    let copied = async {
        let schema = migrate::present(&mut Conn::Sqlite(&mut conn)).await?;
        Conn::Sqlite(&mut conn).execute("VACUUM INTO $1", values![into]).await?;
        Ok(schema)
    };
    let copied = copied.await;
    let closed = conn.close().await.map_err(dialect::error);
    copied.and_then(|schema| closed.map(|()| schema))
}

pub(crate) async fn keeps_results(database: &Path) -> Result<bool, StoreError> {
    let mut conn = open(database).await?;
    let found = async {
        // A copy may be of a release that kept nothing apart.
        let column = Conn::Sqlite(&mut conn).rows("SELECT 1 FROM pragma_table_info('runs') WHERE name = 'kept_digest'", values![]).await?;
        if column.is_empty() {
            return Ok(false);
        }
        let rows = Conn::Sqlite(&mut conn).rows("SELECT 1 FROM runs WHERE kept_digest IS NOT NULL LIMIT 1", values![]).await?;
        Ok(!rows.is_empty())
    };
    let found = found.await;
    let closed = conn.close().await.map_err(dialect::error);
    found.and_then(|found| closed.map(|()| found))
}

pub(crate) async fn instance_keys(database: &Path) -> Result<Vec<String>, StoreError> {
    let mut conn = open(database).await?;
    let found = async {
        // A copy may be of a release that kept no secrets.
        let table = Conn::Sqlite(&mut conn).rows("SELECT 1 FROM pragma_table_list('workspace_keys')", values![]).await?;
        if table.is_empty() {
            return Ok(Vec::new());
        }
        let needed = data_keys::needed(&mut Conn::Sqlite(&mut conn)).await?;
        Ok(needed.into_iter().collect())
    };
    let found = found.await;
    let closed = conn.close().await.map_err(dialect::error);
    found.and_then(|found| closed.map(|()| found))
}

pub(crate) async fn verify(database: &Path) -> Result<(), StoreError> {
    let mut conn = open(database).await?;
    let verified = async {
        migrate::present(&mut Conn::Sqlite(&mut conn)).await?;
        let rows = Conn::Sqlite(&mut conn).rows("PRAGMA quick_check(1)", values![]).await?;
        match rows.first().map(|row| row.text(0)).transpose()? {
            Some("ok") => Ok(()),
            fault => Err(StoreError::Corrupt(fault.unwrap_or("it cannot be checked").to_owned())),
        }
    };
    let verified = verified.await;
    let closed = conn.close().await.map_err(dialect::error);
    verified.and(closed)
}
