//! Rows of ended runs.

use sandmill_model::{Output, run::FinishedRun};

use super::{
    codes,
    dialect::{Conn, Insert},
    labels,
    logs::Chunks,
    value::{Kind, Value, big, to_json},
};
use crate::{StoreError, queue::Logged};

/// A run that is there already stays: an append that is tried again after its answer was lost does no harm.
const RUNS: Insert = Insert {
    table: "runs",
    columns: &[
        ("workspace", Kind::Bytes),
        ("id", Kind::Bytes),
        ("path", Kind::Text),
        ("number", Kind::Int),
        ("version", Kind::Bytes),
        ("status", Kind::Int),
        ("outcome", Kind::Int),
        ("trigger_kind", Kind::Text),
        ("run_as", Kind::Text),
        ("attempt", Kind::Int),
        ("created_at", Kind::Int),
        ("scheduled_for", Kind::Int),
        ("started_at", Kind::Int),
        ("ended_at", Kind::Int),
        ("fuel", Kind::Int),
        ("memory_peak_bytes", Kind::Int),
        ("cpu_ns", Kind::Int),
        ("wall_ns", Kind::Int),
        ("arguments", Kind::Text),
        ("event", Kind::Text),
        ("output", Kind::Text),
        ("output_type", Kind::Bytes),
        ("output_bytes", Kind::Bytes),
        ("error", Kind::Text),
        ("tag", Kind::Text),
        ("cause_kind", Kind::Int),
        ("cause", Kind::Bytes),
        ("labels", Kind::Text),
        ("kept_digest", Kind::Bytes),
        ("kept_bytes", Kind::Int),
        ("trigger_path", Kind::Text),
    ],
    on_conflict: "ON CONFLICT DO NOTHING",
};

/// Writes runs, each with what of its log is not written yet.
pub(super) async fn insert(conn: &mut Conn<'_>, runs: &[(&FinishedRun, Logged)]) -> Result<(), StoreError> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(runs.len() * RUNS.columns.len());
    let mut chunks = Chunks::default();
    for (done, logged) in runs {
        push_run(&mut rows, done)?;
        chunks.add_rest(done, *logged).await?;
    }
    conn.insert(&RUNS, rows).await?;
    labels::insert(conn, runs.iter().map(|(done, _)| &done.run)).await?;
    chunks.insert(conn).await
}

fn push_run(rows: &mut Vec<Value>, done: &FinishedRun) -> Result<(), StoreError> {
    let (run, outcome) = (&done.run, &done.outcome);
    let arguments = outcome.arguments.clone().unwrap_or_else(|| run.input.arguments());
    let (json, content_type, bytes, kept) = match &outcome.output {
        None => (None, None, None, None),
        Some(Output::Json(json)) => (Some(json), None, None, None),
        Some(Output::Bytes { content_type, data }) => (None, Some(content_type), Some(data), None),
        Some(Output::Kept(kept)) => (None, kept.content_type.as_ref(), None, Some(kept)),
    };
    let error = outcome.error.as_ref().map(to_json).transpose()?;
    rows.extend([
        run.workspace.into(),
        run.id.into(),
        (&run.path).into(),
        run.number.into(),
        run.version.into(),
        codes::status(done.status()).into(),
        codes::outcome(outcome.kind).into(),
        run.input.trigger().map(|trigger| &trigger.kind).into(),
        (&run.run_as).into(),
        done.attempt.into(),
        run.created_at.into(),
        run.scheduled_for.into(),
        done.started_at.into(),
        done.ended_at.into(),
        big(outcome.usage.fuel).into(),
        big(outcome.usage.memory_peak_bytes).into(),
        big(outcome.usage.cpu_ns).into(),
        big(outcome.usage.wall_ns).into(),
        arguments.into(),
        run.input.kept_beside(outcome.arguments.as_ref()).into(),
        json.into(),
        content_type.map(|content_type| content_type.as_bytes()).into(),
        bytes.into(),
        error.into(),
        (&run.policy.tag).into(),
        run.cause.map(|cause| codes::cause(cause.kind)).into(),
        run.cause.map(|cause| cause.run).into(),
        labels::column(&run.labels)?.into(),
        kept.map(|kept| kept.digest).into(),
        kept.map(|kept| big(kept.bytes)).into(),
        run.input.trigger().and_then(|trigger| trigger.path.as_ref()).into(),
    ]);
    Ok(())
}
