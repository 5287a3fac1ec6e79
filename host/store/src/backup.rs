//! Copies of a SQLite database, taken while it is in use.

use std::path::Path;

use crate::{StoreError, sql};

/// Copies the database in the file `database` to the new file `into`: everything that was committed before, nothing by halves, while others go on
/// reading and writing. Returns the number of the schema.
///
/// # Errors
/// `Unavailable` if it is not there or cannot be read, `Corrupt` if it is none of ours, `Full` if the copy does not fit.
pub async fn snapshot(database: &Path, into: &Path) -> Result<i64, StoreError> {
    sql::snapshot(database, into).await
}

/// Whether a copy is whole, and of a schema that this release can open.
///
/// # Errors
/// `Corrupt`, with why.
pub async fn verify(database: &Path) -> Result<(), StoreError> {
    sql::verify(database).await
}

/// Whether a run in a copy refers to a result that is kept apart.
///
/// # Errors
/// As [`snapshot`].
pub async fn keeps_results(database: &Path) -> Result<bool, StoreError> {
    sql::keeps_results(database).await
}

/// Ids of the instance keys that seal secrets in a copy, none of which is in it.
///
/// # Errors
/// As [`snapshot`].
pub async fn instance_keys(database: &Path) -> Result<Vec<String>, StoreError> {
    sql::instance_keys(database).await
}

/// The number of the schema that this release brings a database to.
#[must_use]
pub fn schema() -> i64 {
    sql::schema()
}
