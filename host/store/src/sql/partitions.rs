//! History in partitions, on PostgreSQL: one for each UTC day, by the time in the ids of runs. all of [`TABLES`] have the same ones.
//!
//! What was there before there were partitions is in `_before`; what fits into none is in `_rest`, and moves once its day is made.

use std::collections::HashSet;

use sandmill_model::Timestamp;

use super::{db::Db, dialect::Conn, value::values};
use crate::StoreError;

/// What is in partitions, and the column that says in which: history itself, and what belongs to its runs.
const TABLES: [(&str, &str); 4] = [("runs", "id"), ("run_logs", "run"), ("run_labels", "run"), ("dead_letters", "run")];
/// Days that have their partition ahead of time, today included.
const DAYS_AHEAD: i64 = 7;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Runs of an old partition that ended late and are kept apart; where there are more, the whole partition stays for now.
const LATE_RUNS_MAX: i64 = 10_000;
/// Any number that no other program takes locks by, and not that of the migrations.
const LOCK: i64 = 0x7361_6e64_6d69_6c70;

/// Waiting for a lock makes others wait behind, so it is short: there is another time.
const BE_SHORT: &str = "SET LOCAL lock_timeout = '500ms'";

/// One day since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day(i64);

impl Day {
    fn of(at: Timestamp) -> Self {
        Self(at.micros().div_euclid(1000 * DAY_MS))
    }

    /// How partitions of this day end.
    fn suffix(self) -> String {
        let date = Timestamp::from_micros(self.0 * DAY_MS * 1000).to_string();
        format!("d{}", date.chars().take(10).filter(|c| *c != '-').collect::<String>())
    }

    /// The first milliseconds of this day and of the next, as ids begin.
    fn bounds(self) -> (String, String) {
        (hex(self.0 * DAY_MS), hex((self.0 + 1) * DAY_MS))
    }
}

fn hex(milliseconds: i64) -> String {
    format!("{milliseconds:012x}")
}

/// The end of a partition's range in milliseconds, from what PostgreSQL says of it; none for one without an end.
fn end_ms(bound: &str) -> Option<i64> {
    let (_, end) = bound.rsplit_once(r" TO ('\x")?;
    i64::from_str_radix(end.get(..12)?, 16).ok()
}

struct Partition {
    suffix: String,
    end_ms: Option<i64>,
}

async fn partitions(mut conn: Conn<'_>) -> Result<Vec<Partition>, StoreError> {
    let rows = conn
        .rows(
            "SELECT child.relname::TEXT, pg_get_expr(child.relpartbound, child.oid) FROM pg_inherits
             JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = 'runs'::REGCLASS",
            values![],
        )
        .await?;
    let mut partitions = Vec::new();
    for row in &rows {
        if let Some(suffix) = row.text(0)?.strip_prefix("runs_") {
            partitions.push(Partition { suffix: suffix.to_owned(), end_ms: end_ms(row.text(1)?) });
        }
    }
    Ok(partitions)
}

/// Days from `now` on that have no partition yet and need one.
pub(super) async fn missing(db: &Db, now: Timestamp) -> Result<Vec<Day>, StoreError> {
    let present = db.read((), |(), conn| Box::pin(partitions(conn))).await?;
    let before = present.iter().find(|each| each.suffix == "before").and_then(|each| each.end_ms).unwrap_or(0);
    let names: HashSet<&str> = present.iter().map(|each| each.suffix.as_str()).collect();
    let first = Day::of(now).0;
    let days = (first..first + DAYS_AHEAD).map(Day);
    Ok(days.filter(|day| day.0 * DAY_MS >= before && !names.contains(day.suffix().as_str())).collect())
}

/// Makes the partitions of a day, with what of it is in the rest.
pub(super) async fn make(day: Day, mut conn: Conn<'_>) -> Result<(), StoreError> {
    conn.script(BE_SHORT).await?;
    conn.rows("SELECT pg_advisory_xact_lock($1)", values![LOCK]).await?;
    let suffix = day.suffix();
    if partitions(conn.reborrow()).await?.iter().any(|each| each.suffix == suffix) {
        return Ok(());
    }
    let (from, to) = day.bounds();
    for (table, id) in TABLES {
        // Attached rather than made in its place, because that leaves reading and writing the others alone.
        conn.script(format!(
            r"LOCK TABLE {table}_rest IN ACCESS EXCLUSIVE MODE;
             CREATE TABLE {table}_{suffix} (LIKE {table} INCLUDING DEFAULTS);
             WITH moved AS (DELETE FROM {table}_rest WHERE {id} >= '\x{from}' AND {id} < '\x{to}' RETURNING *)
                 INSERT INTO {table}_{suffix} SELECT * FROM moved;
             ALTER TABLE {table} ATTACH PARTITION {table}_{suffix} FOR VALUES FROM ('\x{from}') TO ('\x{to}')"
        ))
        .await?;
    }
    tracing::debug!(suffix, "made partitions");
    Ok(())
}

/// Partitions that end before a time.
pub(super) async fn old(db: &Db, before: Timestamp) -> Result<Vec<String>, StoreError> {
    let present = db.read((), |(), conn| Box::pin(partitions(conn))).await?;
    let limit = before.micros().div_euclid(1000);
    Ok(present.into_iter().filter(|each| each.end_ms.is_some_and(|end| end <= limit)).map(|each| each.suffix).collect())
}

/// Drops the partitions called `suffix`, but for runs that ended later than `before` and what belongs to runs that still go on: these go to
/// the rest. False if there are too many of them.
pub(super) async fn drop(suffix: &str, before: Timestamp, mut conn: Conn<'_>) -> Result<bool, StoreError> {
    let before = before.micros();
    conn.script(BE_SHORT).await?;
    conn.rows("SELECT pg_advisory_xact_lock($1)", values![LOCK]).await?;
    if !partitions(conn.reborrow()).await?.iter().any(|each| each.suffix == suffix) {
        return Ok(false);
    }
    // From now on nothing comes in; the rest of history goes on, until the last moment.
    for (table, _) in TABLES {
        conn.script(format!("LOCK TABLE {table}_{suffix} IN SHARE MODE")).await?;
    }
    conn.script(format!(
        "CREATE TEMP TABLE late_runs ON COMMIT DROP AS SELECT * FROM runs_{suffix} WHERE ended_at >= {before} LIMIT {LATE_RUNS_MAX} + 1"
    ))
    .await?;
    let late = conn.row("SELECT COUNT(*) FROM late_runs", values![]).await?.map_or(Ok(0), |row| row.int(0))?;
    if late > LATE_RUNS_MAX {
        tracing::info!(suffix, "old runs stay for now: too many of them ended late");
        conn.script("DROP TABLE late_runs").await?;
        return Ok(false);
    }
    for (table, run) in TABLES.into_iter().skip(1) {
        conn.script(format!(
            "CREATE TEMP TABLE late_{table} ON COMMIT DROP AS SELECT * FROM {table}_{suffix} AS part
             WHERE EXISTS (SELECT 1 FROM late_runs WHERE late_runs.workspace = part.workspace AND late_runs.id = part.{run})
                 OR EXISTS (SELECT 1 FROM queue WHERE queue.workspace = part.workspace AND queue.id = part.{run})"
        ))
        .await?;
    }
    for (table, _) in TABLES {
        conn.script(format!("ALTER TABLE {table} DETACH PARTITION {table}_{suffix}")).await?;
    }
    for (table, _) in TABLES {
        conn.script(format!(
            "INSERT INTO {table} SELECT * FROM late_{table};
             DROP TABLE {table}_{suffix}, late_{table}"
        ))
        .await?;
    }
    tracing::info!(suffix, late, "dropped partitions of old runs");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names_and_bounds() {
        let day = Day::of(Timestamp::from_micros(1_709_210_096_123_456));
        assert_eq!(day.suffix(), "d20240229");
        let (from, to) = day.bounds();
        let start = 1_709_164_800_000_i64;
        assert_eq!((from, to), (format!("{start:012x}"), format!("{:012x}", start + DAY_MS)));
    }

    #[test]
    fn the_end_of_a_range_is_read() {
        for (bound, end) in [
            (r"FOR VALUES FROM (MINVALUE) TO ('\x018df2a4c000')", Some(0x018d_f2a4_c000)),
            (r"FOR VALUES FROM ('\x018df2a4c000') TO ('\x018df7cb1c00')", Some(0x018d_f7cb_1c00)),
            (r"FOR VALUES FROM ('\x018df2a4c000') TO (MAXVALUE)", None),
            ("DEFAULT", None),
            (r"FOR VALUES FROM (MINVALUE) TO ('\x01')", None),
        ] {
            assert_eq!(end_ms(bound), end, "{bound}");
        }
    }
}
