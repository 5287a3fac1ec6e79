//! Dead letters.

use sandmill_model::{BoxFuture, RunId, WorkspaceId, attempt::Input, run::FinishedRun};

use super::{
    Sql,
    dialect::{Conn, Insert},
    queued,
    value::{Kind, values},
};
use crate::{StoreError, dead_letters::DeadLetters};

const LETTERS: Insert = Insert {
    table: "dead_letters",
    columns: &[("workspace", Kind::Bytes), ("run", Kind::Bytes), ("event", Kind::Text), ("origin", Kind::Text), ("payload", Kind::Bytes)],
    on_conflict: "ON CONFLICT DO NOTHING",
};

pub(super) async fn insert(conn: &mut Conn<'_>, runs: &[&FinishedRun]) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for FinishedRun { run, .. } in runs {
        rows.extend(values![run.workspace, run.id]);
        match &run.input {
            // History has them.
            Input::Arguments(_) => rows.extend(values![None::<&str>, None::<&str>, None::<&[u8]>]),
            Input::Event(event) => rows.extend(queued::event_values(event)?),
        }
    }
    if rows.is_empty() { Ok(()) } else { conn.insert(&LETTERS, rows).await }
}

impl DeadLetters for Sql {
    fn input(&self, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<Option<Input>, StoreError>> {
        Box::pin(self.db.read((workspace, run), |(workspace, run), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "SELECT letter.event, origin, payload, runs.arguments FROM dead_letters AS letter
                         JOIN runs ON runs.workspace = letter.workspace AND runs.id = letter.run
                         WHERE letter.workspace = $1 AND letter.run = $2",
                        values![*workspace, *run],
                    )
                    .await?;
                let Some(row) = row else { return Ok(None) };
                Ok(Some(match row.opt_text(1)? {
                    None => Input::Arguments(row.json(3)?),
                    Some(_) => Input::Event(queued::read_event(&row, 0)?),
                }))
            })
        }))
    }

    fn discard(&self, workspace: WorkspaceId, run: RunId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, run), |(workspace, run), mut conn| {
            Box::pin(async move {
                let gone = conn.execute("DELETE FROM dead_letters WHERE workspace = $1 AND run = $2", values![*workspace, *run]).await?;
                Ok(gone > 0)
            })
        }))
    }
}
