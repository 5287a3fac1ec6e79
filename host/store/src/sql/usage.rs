//! What workspaces use. What attempts used is added in the transaction that writes their ends, each writer to rows of its own: no two wait for
//! each other.

use std::collections::BTreeMap;

use sandmill_model::{BoxFuture, LogEntry, Output, RunError, Timestamp, WorkspaceId, run::FinishedRun};
use uuid::Uuid;

use super::{
    Sql, codes,
    dialect::{Conn, Insert},
    value::{Kind, Row, Value, big, values},
    workspaces,
};
use crate::{
    StoreError,
    usage::{Addition, Count, DeletedWorkspace, Kept, OutcomeUsage, SAMPLED_EVERY, Sums, Traffic, UsageCounters, Used, day_of, minute_of},
};

const KIB: u64 = 1024;
const NS_PER_MS: u64 = 1_000_000;
/// Minutes that are kept after they are over.
const MINUTES_KEPT: i64 = 60;
/// How long it is known what a node sent last.
const SENDERS_KEPT_MICROS: i64 = 24 * 3600 * 1_000_000;

/// Who writes without a lane of its own.
pub(super) const ALONE: i64 = 0;

const RUNS: Insert = Insert {
    table: "usage_runs",
    columns: &[
        ("workspace", Kind::Bytes),
        ("day", Kind::Int),
        ("outcome", Kind::Int),
        ("part", Kind::Int),
        ("runs", Kind::Int),
        ("attempts", Kind::Int),
        ("fuel", Kind::Int),
        ("cpu_ns", Kind::Int),
        ("wall_ns", Kind::Int),
        ("memory_kib_ms", Kind::Int),
        ("log_bytes", Kind::Int),
        ("input_bytes", Kind::Int),
        ("result_bytes", Kind::Int),
    ],
    on_conflict: "ON CONFLICT (workspace, day, outcome, part) DO UPDATE SET runs = usage_runs.runs + excluded.runs,
        attempts = usage_runs.attempts + excluded.attempts, fuel = usage_runs.fuel + excluded.fuel,
        cpu_ns = usage_runs.cpu_ns + excluded.cpu_ns, wall_ns = usage_runs.wall_ns + excluded.wall_ns,
        memory_kib_ms = usage_runs.memory_kib_ms + excluded.memory_kib_ms, log_bytes = usage_runs.log_bytes + excluded.log_bytes,
        input_bytes = usage_runs.input_bytes + excluded.input_bytes, result_bytes = usage_runs.result_bytes + excluded.result_bytes",
};

const COUNTS: Insert = Insert {
    table: "usage_counts",
    columns: &[
        ("workspace", Kind::Bytes),
        ("span", Kind::Int),
        ("number", Kind::Int),
        ("runs", Kind::Int),
        ("input_bytes", Kind::Int),
        ("bytes_up", Kind::Int),
        ("bytes_down", Kind::Int),
    ],
    on_conflict: "ON CONFLICT (workspace, span, number) DO UPDATE SET runs = usage_counts.runs + excluded.runs,
        input_bytes = usage_counts.input_bytes + excluded.input_bytes,
        bytes_up = usage_counts.bytes_up + excluded.bytes_up, bytes_down = usage_counts.bytes_down + excluded.bytes_down",
};

/// A minute, or a day.
const SPAN_MINUTE: i64 = 0;
const SPAN_DAY: i64 = 1;

/// What the attempts of one transaction used, in the order in which rows are locked.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<(WorkspaceId, i64, i64), Sums>);

impl Tally {
    /// An attempt that ended its run.
    pub(super) fn ended(&mut self, done: &FinishedRun) {
        self.add(done, Sums { runs: 1, ..kept(done, used(done)) });
    }

    /// An attempt that is followed by another.
    pub(super) fn tried(&mut self, done: &FinishedRun) {
        self.add(done, used(done));
    }

    /// A run that ended without an attempt.
    pub(super) fn never_tried(&mut self, done: &FinishedRun) {
        self.add(done, Sums { runs: 1, ..kept(done, Sums::default()) });
    }

    fn add(&mut self, done: &FinishedRun, sums: Sums) {
        let key = (done.run.workspace, day_of(done.ended_at), codes::outcome(done.outcome.kind));
        self.0.entry(key).or_default().add(&sums);
    }

    pub(super) async fn write(&self, conn: &mut Conn<'_>, part: i64) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<Value> = Vec::with_capacity(self.0.len() * RUNS.columns.len());
        for ((workspace, day, outcome), sums) in &self.0 {
            let Sums { runs, attempts, fuel, cpu_ns, wall_ns, memory_kib_ms, log_bytes, input_bytes, result_bytes } = *sums;
            let all = [runs, attempts, fuel, cpu_ns, wall_ns, memory_kib_ms, log_bytes, input_bytes, result_bytes];
            rows.extend(values![*workspace, *day, *outcome, part]);
            rows.extend(all.map(|sum| Value::from(big(sum))));
        }
        conn.insert(&RUNS, rows).await
    }
}

fn used(done: &FinishedRun) -> Sums {
    let usage = &done.outcome.usage;
    let log_bytes: usize = done.outcome.log.iter().map(LogEntry::charge_bytes).sum();
    Sums {
        runs: 0,
        attempts: 1,
        fuel: usage.fuel,
        cpu_ns: usage.cpu_ns,
        wall_ns: usage.wall_ns,
        memory_kib_ms: (usage.memory_peak_bytes / KIB).saturating_mul(usage.wall_ns / NS_PER_MS),
        log_bytes: log_bytes as u64,
        ..Sums::default()
    }
}

/// `sums` with what the record of a run that ended keeps.
fn kept(done: &FinishedRun, sums: Sums) -> Sums {
    let (input, outcome) = (&done.run.input, &done.outcome);
    // Arguments that a preprocessor made are kept beside the event.
    let input_bytes = input.len_bytes() + outcome.arguments.as_ref().map_or(0, |arguments| arguments.as_str().len());
    let output_bytes = match &outcome.output {
        Some(Output::Kept(kept)) => kept.bytes,
        Some(output) => output.len_bytes() as u64,
        None => 0,
    };
    let error_bytes = outcome.error.as_ref().map_or(0, |error| {
        let RunError { name, message, stack, details, rejects: _ } = error;
        let details = details.as_ref().map_or(0, |details| details.as_str().len());
        name.len() + message.len() + stack.as_ref().map_or(0, String::len) + details
    });
    Sums { input_bytes: input_bytes as u64, result_bytes: output_bytes.saturating_add(error_bytes as u64), ..sums }
}

impl UsageCounters for Sql {
    fn attempts(&self, workspace: WorkspaceId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<OutcomeUsage>, StoreError>> {
        const ATTEMPTS: &str = "SELECT day, outcome, CAST(SUM(runs) AS BIGINT), CAST(SUM(attempts) AS BIGINT), CAST(SUM(fuel) AS BIGINT),
                CAST(SUM(cpu_ns) AS BIGINT), CAST(SUM(wall_ns) AS BIGINT), CAST(SUM(memory_kib_ms) AS BIGINT), CAST(SUM(log_bytes) AS BIGINT),
                CAST(SUM(input_bytes) AS BIGINT), CAST(SUM(result_bytes) AS BIGINT)
            FROM usage_runs WHERE workspace = $1 AND day >= $2 AND day <= $3 GROUP BY day, outcome ORDER BY day, outcome";
        Box::pin(self.db.read((workspace, from, to), |(workspace, from, to), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(ATTEMPTS, values![*workspace, *from, *to]).await?;
                rows.iter().map(read_attempts).collect()
            })
        }))
    }

    fn traffic(&self, workspace: WorkspaceId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<Traffic>, StoreError>> {
        const TRAFFIC: &str = "SELECT number, bytes_up, bytes_down FROM usage_counts
            WHERE workspace = $1 AND span = 1 AND number >= $2 AND number <= $3 AND bytes_up + bytes_down > 0 ORDER BY number";
        Box::pin(self.db.read((workspace, from, to), |(workspace, from, to), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(TRAFFIC, values![*workspace, *from, *to]).await?;
                rows.iter().map(|row| Ok(Traffic { day: row.int(0)?, bytes_up: row.count(1)?, bytes_down: row.count(2)? })).collect()
            })
        }))
    }

    fn stored_bytes(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, StoreError>> {
        const STORED: &str = "SELECT CAST(
            (SELECT COALESCE(SUM(octet_length(bytes)), 0) FROM components WHERE workspace = $1)
            + (SELECT COALESCE(SUM(COALESCE(octet_length(source), 0) + octet_length(manifest) + octet_length(schema) + octet_length(program)), 0)
                FROM versions WHERE workspace = $1)
            + (SELECT COALESCE(SUM(octet_length(key) + octet_length(value)), 0) FROM state WHERE workspace = $1)
            + (SELECT COALESCE(SUM(octet_length(fields) + COALESCE(octet_length(sealed), 0)), 0) FROM resources WHERE workspace = $1)
            + (SELECT COALESCE(SUM(COALESCE(octet_length(text), 0) + COALESCE(octet_length(sealed), 0)), 0) FROM variables WHERE workspace = $1)
            + (SELECT COALESCE(SUM(octet_length(config) + octet_length(options) + octet_length(description)), 0) FROM triggers WHERE workspace = $1)
            + (SELECT COALESCE(SUM(octet_length(event) + octet_length(origin) + COALESCE(octet_length(payload), 0)), 0)
                FROM trigger_events WHERE workspace = $1)
            + (SELECT COALESCE(SUM(COALESCE(octet_length(cursor), 0)), 0) FROM seats WHERE workspace = $1)
            + (SELECT COALESCE(SUM(octet_length(key) + COALESCE(octet_length(value), 0)), 0) FROM staged_state WHERE workspace = $1)
            AS BIGINT)";
        Box::pin(self.db.read(workspace, |workspace, mut conn| {
            Box::pin(async move { conn.row(STORED, values![*workspace]).await?.map_or(Ok(0), |row| row.count(0)) })
        }))
    }

    fn sample(&self, workspace: WorkspaceId, now: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>> {
        const SAMPLE: &str = "INSERT INTO usage_days (workspace, day, plan, samples, stored_bytes_sum, sampled_at)
            SELECT id, CAST($2 AS BIGINT), plan, 1, CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM workspaces WHERE id = $1
            ON CONFLICT (workspace, day) DO UPDATE SET plan = excluded.plan, samples = usage_days.samples + 1,
                stored_bytes_sum = usage_days.stored_bytes_sum + excluded.stored_bytes_sum, sampled_at = excluded.sampled_at";
        Box::pin(async move {
            let is_due = self.db.read((workspace, now), |(workspace, now), mut conn| {
                Box::pin(async move {
                    let of = values![*workspace, day_of(*now)];
                    let row = conn.row("SELECT sampled_at FROM usage_days WHERE workspace = $1 AND day = $2", of).await?;
                    let last = row.map(|row| row.time(0)).transpose()?;
                    Ok(last.is_none_or(|last| now.since(last) >= SAMPLED_EVERY))
                })
            });
            if !is_due.await? {
                return Ok(false);
            }
            // Nobody waits for this to be measured: it is not part of the transaction that writes it down.
            let stored = big(self.stored_bytes(workspace).await?);
            let sample = self.db.write((workspace, now, stored), |(workspace, now, stored), mut conn| {
                Box::pin(async move { Ok(conn.execute(SAMPLE, values![*workspace, day_of(*now), *stored, *now]).await? > 0) })
            });
            sample.await
        })
    }

    fn sample_objects(&self, workspace: WorkspaceId, day: i64, bytes: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        const SAMPLE: &str = "UPDATE usage_days SET object_samples = object_samples + 1, object_bytes_sum = object_bytes_sum + $3
            WHERE workspace = $1 AND day = $2";
        Box::pin(self.db.write((workspace, day, big(bytes)), |(workspace, day, bytes), mut conn| {
            Box::pin(async move { conn.execute(SAMPLE, values![*workspace, *day, *bytes]).await.map(drop) })
        }))
    }

    fn kept(&self, workspace: WorkspaceId, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<Kept>, StoreError>> {
        const KEPT: &str = "SELECT day, plan, stored_bytes_sum / samples,
                CASE WHEN object_samples > 0 THEN object_bytes_sum / object_samples END
            FROM usage_days
            WHERE workspace = $1 AND day >= $2 AND day <= $3 ORDER BY day";
        Box::pin(self.db.read((workspace, from, to), |(workspace, from, to), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(KEPT, values![*workspace, *from, *to]).await?;
                rows.iter().map(read_kept).collect()
            })
        }))
    }

    fn deleted(
        &self,
        since: Timestamp,
        after: Option<WorkspaceId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<DeletedWorkspace>, StoreError>> {
        const DELETED: &str = "SELECT id, name, deleted_at FROM deleted_workspaces WHERE deleted_at >= $1 AND id > $2 ORDER BY id LIMIT $3";
        let after = after.unwrap_or(WorkspaceId(Uuid::nil()));
        Box::pin(self.db.read((since, after, limit), |(since, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(DELETED, values![*since, *after, *limit]).await?;
                rows.iter().map(read_deleted).collect()
            })
        }))
    }

    fn scripts(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.read(workspace, |workspace, mut conn| {
            Box::pin(async move {
                let row = conn.row("SELECT COUNT(*) FROM scripts WHERE workspace = $1", values![*workspace]).await?;
                row.map_or(Ok(0), |row| row.count(0))
            })
        }))
    }

    fn add(&self, addition: Addition) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.write(addition, |addition, conn| Box::pin(add(addition, conn))))
    }

    fn used(&self, workspaces: Vec<WorkspaceId>, at: Timestamp) -> BoxFuture<'_, Result<Vec<Used>, StoreError>> {
        Box::pin(self.db.read((workspaces, at), |(workspaces, at), conn| Box::pin(all_used(workspaces, *at, conn))))
    }

    fn forget(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.write(now, |now, mut conn| {
            Box::pin(async move {
                let minute = minute_of(*now) - MINUTES_KEPT;
                conn.execute("DELETE FROM usage_counts WHERE span = 0 AND number < $1", values![minute]).await?;
                conn.execute("DELETE FROM usage_senders WHERE sent_at < $1", values![now.micros() - SENDERS_KEPT_MICROS]).await.map(drop)
            })
        }))
    }
}

fn read_kept(row: &Row) -> Result<Kept, StoreError> {
    let object_bytes = row.opt_int(3)?.map(|bytes| u64::try_from(bytes).unwrap_or(0));
    Ok(Kept { day: row.int(0)?, plan: row.opt_text(1)?.map(Into::into), stored_bytes: row.count(2)?, object_bytes })
}

fn read_deleted(row: &Row) -> Result<DeletedWorkspace, StoreError> {
    Ok(DeletedWorkspace { id: WorkspaceId(row.uuid(0)?), name: row.text(1)?.into(), deleted_at: row.time(2)? })
}

fn read_attempts(row: &Row) -> Result<OutcomeUsage, StoreError> {
    let sums = Sums {
        runs: row.count(2)?,
        attempts: row.count(3)?,
        fuel: row.count(4)?,
        cpu_ns: row.count(5)?,
        wall_ns: row.count(6)?,
        memory_kib_ms: row.count(7)?,
        log_bytes: row.count(8)?,
        input_bytes: row.count(9)?,
        result_bytes: row.count(10)?,
    };
    Ok(OutcomeUsage { day: row.int(0)?, outcome: codes::read_outcome(row.int(1)?)?, sums })
}

async fn add(addition: &Addition, mut conn: Conn<'_>) -> Result<(), StoreError> {
    let Addition { sender, number, counts, now } = addition;
    let sent = conn
        .execute(
            "INSERT INTO usage_senders (sender, number, sent_at) VALUES ($1, $2, $3)
             ON CONFLICT (sender) DO UPDATE SET number = excluded.number, sent_at = excluded.sent_at
             WHERE usage_senders.number < excluded.number",
            values![sender, *number, *now],
        )
        .await?;
    if sent == 0 {
        return Ok(());
    }
    // Rows are locked in one order by all nodes, and none comes twice in one statement.
    let mut sums: BTreeMap<(WorkspaceId, i64, i64), [u64; 4]> = BTreeMap::new();
    for (workspace, Count { minute, day, runs, input_bytes, bytes_up, bytes_down }) in counts {
        for (span, number) in [(SPAN_MINUTE, *minute), (SPAN_DAY, *day)] {
            let sum = sums.entry((*workspace, span, number)).or_default();
            *sum = [sum[0] + runs, sum[1] + input_bytes, sum[2] + bytes_up, sum[3] + bytes_down];
        }
    }
    let mut rows: Vec<Value> = Vec::with_capacity(sums.len() * COUNTS.columns.len());
    for ((workspace, span, number), sum) in sums {
        rows.extend(values![workspace, span, number]);
        rows.extend(sum.map(|sum| Value::from(big(sum))));
    }
    if rows.is_empty() { Ok(()) } else { conn.insert(&COUNTS, rows).await }
}

async fn all_used(of: &[WorkspaceId], at: Timestamp, mut conn: Conn<'_>) -> Result<Vec<Used>, StoreError> {
    const USED: &str = "SELECT workspaces.overrides, plans.quotas,
            (SELECT runs FROM usage_counts WHERE workspace = $1 AND span = 0 AND number = $2),
            (SELECT runs FROM usage_counts WHERE workspace = $1 AND span = 1 AND number = $3),
            (SELECT bytes_up + bytes_down FROM usage_counts WHERE workspace = $1 AND span = 1 AND number = $3),
            (SELECT CAST(SUM(fuel) AS BIGINT) FROM usage_runs WHERE workspace = $1 AND day = $3),
            (SELECT CAST(SUM(log_bytes) AS BIGINT) FROM usage_runs WHERE workspace = $1 AND day = $3),
            (SELECT input_bytes FROM usage_counts WHERE workspace = $1 AND span = 1 AND number = $3),
            (SELECT CAST(SUM(result_bytes) AS BIGINT) FROM usage_runs WHERE workspace = $1 AND day = $3)
        FROM workspaces LEFT JOIN plans ON plans.name = workspaces.plan WHERE workspaces.id = $1";
    let mut all = Vec::with_capacity(of.len());
    for workspace in of {
        let Some(row) = conn.row(USED, values![*workspace, minute_of(at), day_of(at)]).await? else { continue };
        let count =
            |column: usize| -> Result<u64, StoreError> { Ok(row.opt_int(column)?.map_or(0, |count| u64::try_from(count).unwrap_or(0))) };
        all.push(Used {
            workspace: *workspace,
            quotas: workspaces::read_quotas(&row, 0)?,
            runs_of_minute: count(2)?,
            runs_of_day: count(3)?,
            outbound_bytes_of_day: count(4)?,
            fuel_of_day: count(5)?,
            log_bytes_of_day: count(6)?,
            run_bytes_of_day: count(7)?.saturating_add(count(8)?),
        });
    }
    Ok(all)
}
