//! Labels of runs: in the run's own row, to be shown, and in rows of their own, to be found.

use std::sync::Arc;

use sandmill_model::{Labels, run::NewRun};

use super::{
    dialect::{Conn, Insert},
    value::{Kind, Row, to_json, values},
};
use crate::StoreError;

/// A run that was queued has its rows already when it ends.
const LABELS: Insert = Insert {
    table: "run_labels",
    columns: &[("workspace", Kind::Bytes), ("name", Kind::Text), ("value", Kind::Text), ("run", Kind::Bytes)],
    on_conflict: "ON CONFLICT DO NOTHING",
};

pub(super) async fn insert(conn: &mut Conn<'_>, runs: impl Iterator<Item = &NewRun>) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for run in runs {
        for (name, value) in run.labels.iter() {
            rows.extend(values![run.workspace, name.as_str(), value.as_str(), run.id]);
        }
    }
    if rows.is_empty() { Ok(()) } else { conn.insert(&LABELS, rows).await }
}

/// What the column `labels` holds.
pub(super) fn column(labels: &Labels) -> Result<Option<String>, StoreError> {
    if labels.is_empty() { Ok(None) } else { to_json(labels).map(Some) }
}

pub(super) fn read(row: &Row, column: usize) -> Result<Arc<Labels>, StoreError> {
    match row.opt_text(column)? {
        None => Ok(Arc::default()),
        Some(_) => row.parsed::<Labels>(column).map(Arc::new),
    }
}
