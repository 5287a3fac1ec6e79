//! All that differs between the two databases. Statements are written once, with `$n` for values and these words for what differs:
//!
//! - `{lock t}`: rows of table `t` that are read stay locked until the transaction ends. SQLite has one writer, so nothing is needed.
//! - `{lock free t}`: the same, and rows that somebody else has locked are passed over.
//! - `{lock present t}`: rows that are read cannot be deleted until the transaction ends.
//! - `{path like $n}`: whether the column is like a glob, where `*` stands for any characters and nothing else for another.
//! - `{keys $n}`: a table of (workspace, run id) from one bound [`Value::Keys`].
//! - `{any $n}`: after a column, whether it is one of the bytes in a bound [`Value::List`].

pub(super) mod at_once;
pub(super) mod postgres;
pub(super) mod sqlite;

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr, SqliteConnection};

use super::value::{Kind, Row, Value};
use crate::StoreError;

/// A connection of either database, lent for one operation.
pub(super) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// Inserting many rows at once.
pub(super) struct Insert {
    pub(super) table: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// Empty, or what to do with a row whose key is there already.
    pub(super) on_conflict: &'static str,
}

impl Insert {
    fn head(&self) -> String {
        let mut text = format!("INSERT INTO {} (", self.table);
        for (index, (name, _)) in self.columns.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            text.push_str(name);
        }
        text.push_str(") ");
        text
    }
}

#[cfg(test)]
tokio::task_local! {
    /// Statements of a test's own task; rows that are inserted together are one.
    pub(in crate::sql) static STATEMENTS: std::cell::Cell<usize>;
}

/// Counts a statement, in tests.
fn note_statement() {
    #[cfg(test)]
    let _ = STATEMENTS.try_with(|statements| statements.set(statements.get() + 1));
}

impl Conn<'_> {
    /// The same connection, lent on.
    pub(super) fn reborrow(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }

    /// This transaction's commit need not be on disk before it is answered: for what would be done again if it were lost.
    pub(super) async fn relax(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => self.script("SET LOCAL synchronous_commit = off").await,
        }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) async fn execute(&mut self, template: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        note_statement();
        match self {
            Self::Sqlite(conn) => sqlite::execute(conn, expand(template, sqlite::word), values).await,
            Self::Postgres(conn) => postgres::execute(conn, expand(template, postgres::word), values).await,
        }
    }

    pub(super) async fn rows(&mut self, template: impl Into<Cow<'static, str>>, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        note_statement();
        match self {
            Self::Sqlite(conn) => sqlite::rows(conn, expand(template, sqlite::word), values).await,
            Self::Postgres(conn) => postgres::rows(conn, expand(template, postgres::word), values).await,
        }
    }

    /// The first row, if there is one.
    pub(super) async fn row(&mut self, template: &'static str, values: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(template, values).await?.into_iter().next())
    }

    /// Inserts rows; `values` holds them one after the other, each with a value for every column.
    pub(super) async fn insert(&mut self, insert: &Insert, values: Vec<Value>) -> Result<(), StoreError> {
        note_statement();
        debug_assert_eq!(values.len() % insert.columns.len(), 0, "rows of {}", insert.table);
        match self {
            Self::Sqlite(conn) => sqlite::insert(conn, insert, values).await,
            Self::Postgres(conn) => postgres::insert(conn, insert, values).await,
        }
    }

    /// Runs statements that take no values, as a migration does.
    pub(super) async fn script(&mut self, text: impl Into<Cow<'static, str>>) -> Result<(), StoreError> {
        let text = AssertSqlSafe(text.into());
        match self {
            Self::Sqlite(conn) => sqlx::raw_sql(text).execute(&mut **conn).await.map(drop),
            Self::Postgres(conn) => sqlx::raw_sql(text).execute(&mut **conn).await.map(drop),
        }
        .map_err(error)
    }
}

/// Puts a database's own words in the place of `{…}`. Templates are our constants, so nothing of a user's gets into the text.
fn expand(template: impl Into<Cow<'static, str>>, word: fn(&str) -> String) -> SqlStr {
    let template = template.into();
    if !template.contains('{') {
        return AssertSqlSafe(template).into_sql_str();
    }
    let mut text = String::with_capacity(template.len() + 128);
    let mut rest = &*template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(&word(name));
        rest = after;
    }
    text.push_str(rest);
    AssertSqlSafe(text).into_sql_str()
}

/// Classifies what sqlx says by what a caller can do about it.
pub(super) fn error(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(database) => {
            if let Some(error) = database.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                return sqlite::classify(error);
            }
            match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                Some(error) => postgres::classify(error),
                None => StoreError::Other(text),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => StoreError::Unavailable(text),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => StoreError::Corrupt(text),
        _ => StoreError::Other(text),
    }
}
