//! Values on their way into the database, and rows on their way out: the same three types on both.

use std::sync::Arc;

use bytes::Bytes;
use sandmill_model::{Digest, JsonText, RunId, ScriptPath, Timestamp, TokenId, WorkspaceId};
use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use super::dialect;
use crate::StoreError;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Bytes,
}

/// One bound value. None is NULL of that type.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<Arc<str>>),
    Bytes(Option<Vec<u8>>),
    /// Keys of runs, for `{keys $n}` in a statement.
    Keys(Vec<RunKey>),
    /// Any bytes, for `{any $n}` in a statement.
    List(Vec<Vec<u8>>),
}

/// Workspace and run id, one after the other.
pub(super) type RunKey = [u8; 32];

pub(super) fn run_key(workspace: WorkspaceId, id: RunId) -> RunKey {
    let mut key = [0; 32];
    key[..16].copy_from_slice(workspace.0.as_bytes());
    key[16..].copy_from_slice(id.0.as_bytes());
    key
}

impl Value {
    /// Bytes that it takes on the way.
    pub(super) fn len_bytes(&self) -> usize {
        match self {
            Self::Int(_) => 8,
            Self::Text(text) => text.as_ref().map_or(0, |text| text.len()),
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
            Self::Keys(keys) => keys.len() * 32,
            Self::List(list) => list.iter().map(Vec::len).sum(),
        }
    }

    /// Text that is not a JSON value and not of a checked grammar is refused if it holds NUL: PostgreSQL has no such text, and both databases keep to the same rule.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Text(Some(text)) if text.as_bytes().contains(&0) => {
                Err(StoreError::Other("text with the character NUL cannot be stored".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

macro_rules! into_value {
    ($($from:ty: $value:ident => $variant:ident($into:expr)),* $(,)?) => {
        $(
            impl From<$from> for Value {
                fn from($value: $from) -> Self {
                    Self::$variant(Some($into))
                }
            }
            impl From<Option<$from>> for Value {
                fn from(value: Option<$from>) -> Self {
                    value.map_or(Self::$variant(None), Self::from)
                }
            }
        )*
    };
}

into_value! {
    i64: value => Int(value),
    u32: value => Int(i64::from(value)),
    Timestamp: value => Int(value.micros()),
    &str: value => Text(value.into()),
    String: value => Text(value.into()),
    Arc<str>: value => Text(value),
    &Arc<str>: value => Text(Arc::clone(value)),
    &JsonText: value => Text(value.shared()),
    JsonText: value => Text(value.shared()),
    &ScriptPath: value => Text(value.as_str().into()),
    Vec<u8>: value => Bytes(value),
    &[u8]: value => Bytes(value.to_vec()),
    &Bytes: value => Bytes(value.to_vec()),
    Digest: value => Bytes(value.as_bytes().to_vec()),
    Uuid: value => Bytes(value.as_bytes().to_vec()),
    WorkspaceId: value => Bytes(value.0.as_bytes().to_vec()),
    RunId: value => Bytes(value.0.as_bytes().to_vec()),
    TokenId: value => Bytes(value.0.as_bytes().to_vec()),
}

/// Values of a statement, in the order of `$1`, `$2`, ….
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::value::Value::from($value)),*] };
}
pub(super) use values;

/// One row of either database; columns by position.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! get {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($column),
            Row::Postgres(row) => row.try_get($column),
        }
        .map_err(dialect::error)
    };
}

impl Row {
    pub(super) fn int(&self, column: usize) -> Result<i64, StoreError> {
        get!(self, column)
    }

    pub(super) fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        get!(self, column)
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, StoreError> {
        get!(self, column)
    }

    pub(super) fn opt_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        get!(self, column)
    }

    pub(super) fn bytes(&self, column: usize) -> Result<&[u8], StoreError> {
        get!(self, column)
    }

    pub(super) fn opt_bytes(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        get!(self, column)
    }

    pub(super) fn uuid(&self, column: usize) -> Result<Uuid, StoreError> {
        Uuid::from_slice(self.bytes(column)?).map_err(|error| StoreError::Corrupt(format!("an id: {error}")))
    }

    pub(super) fn digest(&self, column: usize) -> Result<Digest, StoreError> {
        let bytes = self.bytes(column)?.try_into().map_err(|_| StoreError::Corrupt("a digest that is not 32 bytes".to_owned()))?;
        Ok(Digest::from_bytes(bytes))
    }

    pub(super) fn path(&self, column: usize) -> Result<ScriptPath, StoreError> {
        self.text(column)?.parse().map_err(|error| StoreError::Corrupt(format!("a path: {error}")))
    }

    pub(super) fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_micros)
    }

    pub(super) fn opt_time(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_int(column)?.map(Timestamp::from_micros))
    }

    /// JSON that was checked before it was stored.
    pub(super) fn json(&self, column: usize) -> Result<JsonText, StoreError> {
        self.text(column).map(JsonText::trusted)
    }

    pub(super) fn opt_json(&self, column: usize) -> Result<Option<JsonText>, StoreError> {
        Ok(self.opt_text(column)?.map(JsonText::trusted))
    }

    /// A value that was stored as its JSON.
    pub(super) fn parsed<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, StoreError> {
        serde_json::from_str(self.text(column)?).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    pub(super) fn count(&self, column: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?).map_err(|_| StoreError::Corrupt("a negative count".to_owned()))
    }

    pub(super) fn small_count(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| StoreError::Corrupt("a count out of range".to_owned()))
    }
}

/// A value as its JSON text.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Other(error.to_string()))
}

/// A count for a BIGINT column; what would not fit is the greatest that does.
pub(super) fn big(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
