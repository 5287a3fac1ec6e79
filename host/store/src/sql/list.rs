//! Lists of runs, queued and ended together.
//!
//! A page costs the same whatever history holds: what an index serves is read from there, and of what none serves only a stretch of
//! [`STRETCH`] runs is looked at for one page, which may then be short, or empty, although there are more.

use sandmill_model::{RunId, RunStatus, RunSummary, WorkspaceId, auth};

use super::{
    codes,
    dialect::Conn,
    labels, queued,
    value::{Row, Value, values},
};
use crate::{
    StoreError,
    history::{Phase, RunFilter, RunPage},
};

/// Runs that one page looks at where no index serves.
const STRETCH: i64 = 20_000;
/// Runs that it looks at first.
const SHORT_STRETCH: i64 = 500;

/// Of a [`RunSummary`], in the order of [`read_summary`], as an ended run and as a queued one has them. Numbers: codes.rs.
pub(super) const ENDED: &str = "id, path, number, version, status, outcome, trigger_kind, attempt, run_as, created_at, scheduled_for,
    started_at, ended_at, tag, cause_kind, cause, labels, trigger_path";
const QUEUED: &str = "id, path, number, version,
    CAST(CASE state WHEN 3 THEN CASE asleep WHEN 0 THEN 3 ELSE 4 END WHEN 2 THEN 2 WHEN 4 THEN 0 ELSE 1 END AS BIGINT) AS status,
    CAST(NULL AS BIGINT) AS outcome, trigger_kind, attempt, run_as, created_at, scheduled_for,
    started_at, CAST(NULL AS BIGINT) AS ended_at, tag, cause_kind, cause, labels, trigger_path";
/// Columns in a summary.
pub(super) const SUMMARY_COLUMNS: usize = 18;

pub(super) fn read_summary(row: &Row) -> Result<RunSummary, StoreError> {
    Ok(RunSummary {
        id: RunId(row.uuid(0)?),
        path: row.path(1)?,
        number: row.int(2)?,
        version: row.digest(3)?,
        status: codes::read_status(row.int(4)?)?,
        outcome: row.opt_int(5)?.map(codes::read_outcome).transpose()?,
        trigger_kind: row.opt_text(6)?.map(str::to_owned),
        trigger_path: row.opt_text(17)?.map(Into::into),
        attempt: row.small_count(7)?,
        run_as: row.text(8)?.to_owned(),
        created_at: row.time(9)?,
        scheduled_for: row.time(10)?,
        started_at: row.opt_time(11)?,
        ended_at: row.opt_time(12)?,
        tag: row.text(13)?.into(),
        cause: queued::read_cause(row, 14)?,
        labels: labels::read(row, 16)?,
    })
}

pub(super) async fn list(
    workspace: WorkspaceId,
    filter: &RunFilter,
    before: Option<RunId>,
    limit: u32,
    mut conn: Conn<'_>,
) -> Result<RunPage, StoreError> {
    let before = before.into_iter().chain(filter.created_before.map(RunId::first_of)).min().unwrap_or(RunId::MAX);
    let (in_queue, in_history) = tables(filter);
    let lowest = filter.created_from.map(RunId::first_of);
    let unserved = [("queue", in_queue.is_some() && !is_indexed_in_queue(filter)), ("runs", in_history && !is_indexed(filter))];
    let unserved: Vec<&str> = unserved.into_iter().filter(|(_, is_unserved)| *is_unserved).map(|(table, _)| table).collect();
    let mut page = RunPage::default();
    // Mostly what is looked for is not rare.
    for stretch in if unserved.is_empty() { &[0][..] } else { &[SHORT_STRETCH, STRETCH] } {
        let mut end = None;
        for table in &unserved {
            end = end.max(end_of_stretch(&mut conn, table, (workspace, before), *stretch).await?);
        }
        // Whoever may not see the last of them learns no more than about when it was.
        let end = end.map(|end| if filter.within.is_empty() { end } else { end.to_the_second() });
        let end = end.filter(|end| lowest.is_none_or(|lowest| lowest < *end));
        let statements = Statements::new(workspace, filter, before, lowest.max(end), limit);
        let statement = match (in_queue.map(|states| statements.queued(states)), in_history.then(|| statements.ended(filter))) {
            // One statement, so that a run that is just ending is seen exactly once.
            (Some(queued), Some(ended)) => {
                format!("SELECT * FROM ({queued}) AS queued UNION ALL SELECT * FROM ({ended}) AS ended ORDER BY id DESC LIMIT $3")
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => break,
        };
        let mut runs: Vec<RunSummary> =
            conn.rows(statement, statements.values).await?.iter().map(read_summary).collect::<Result<_, _>>()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_full = runs.len() > limit;
        runs.truncate(limit);
        let next = if is_full { runs.last().map(|run| run.id) } else { end };
        page = RunPage { runs, next };
        if is_full || end.is_none() {
            break;
        }
    }
    Ok(page)
}

/// Whether one index of the queue finds what fits: that of all, of what runs, of triggers, or of causes.
fn is_indexed_in_queue(filter: &RunFilter) -> bool {
    let RunFilter { path, within, phase: _, status, outcome: _, trigger_kind, trigger_path, .. } = filter;
    let RunFilter { tag, run_as, cause, label, is_dead: _, .. } = filter;
    let unserved = [path.is_some(), !within.is_empty(), trigger_kind.is_some(), tag.is_some(), run_as.is_some(), label.is_some()];
    // Of triggers there is an index that serves nothing beside them.
    let is_of_trigger = trigger_path.is_some() && (status.is_some() || cause.is_some());
    matches!(status, None | Some(RunStatus::Running | RunStatus::Suspended)) && !is_of_trigger && unserved.iter().all(|given| !given)
}

/// Whether one index of history finds what fits.
fn is_indexed(filter: &RunFilter) -> bool {
    let RunFilter { path, within, phase: _, status, outcome, trigger_kind, trigger_path, .. } = filter;
    let RunFilter { tag, run_as, cause, label, is_dead, .. } = filter;
    if !within.is_empty() || outcome.is_some() || trigger_kind.is_some() || trigger_path.is_some() || run_as.is_some() {
        return false;
    }
    let is_unusual = status.is_some_and(|status| status.has_ended() && status != RunStatus::Succeeded);
    match (
        path.is_some(),
        status.is_some(),
        [tag.is_some(), cause.is_some(), label.is_some(), *is_dead].into_iter().filter(|given| *given).count(),
    ) {
        (false, false, others) => others <= 1,
        (_, has_status, 0) => !has_status || is_unusual,
        _ => false,
    }
}

/// A condition on the states of queued runs, if any of them has that status, and whether ended ones have.
fn tables(filter: &RunFilter) -> (Option<&'static str>, bool) {
    let (queued, ended) = match filter.status {
        None => (Some(""), true),
        Some(RunStatus::Held) => (Some(" AND state = 4"), false),
        Some(RunStatus::Queued) => (Some(" AND state IN (0, 1)"), false),
        Some(RunStatus::Parked) => (Some(" AND state = 2"), false),
        Some(RunStatus::Running) => (Some(" AND state = 3 AND asleep = 0"), false),
        Some(RunStatus::Suspended) => (Some(" AND state = 3 AND asleep <> 0"), false),
        Some(status) => (None, status.has_ended()),
    };
    // What is dead, or has an outcome, has ended.
    let is_open = filter.phase != Some(Phase::Ended) && filter.outcome.is_none() && !filter.is_dead;
    (queued.filter(|_| is_open), ended && filter.phase != Some(Phase::Open))
}

/// The last of the runs that are looked at, so many below an id; none if all of them are.
async fn end_of_stretch(
    conn: &mut Conn<'_>,
    table: &str,
    (workspace, before): (WorkspaceId, RunId),
    stretch: i64,
) -> Result<Option<RunId>, StoreError> {
    let statement = format!("SELECT id FROM {table} WHERE workspace = $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET {}", stretch - 1);
    let rows = conn.rows(statement, values![workspace, before]).await?;
    rows.first().map(|row| row.uuid(0).map(RunId)).transpose()
}

struct Statements {
    /// Workspace, the id above all, limit, and what conditions compare with.
    values: Vec<Value>,
    /// Numbers of values: the lowest id; name and value of the label.
    lowest: Option<usize>,
    label: Option<(usize, usize)>,
    is_dead: bool,
    conditions: String,
}

impl Statements {
    fn new(workspace: WorkspaceId, filter: &RunFilter, before: RunId, lowest: Option<RunId>, limit: u32) -> Self {
        let RunFilter { path, within, phase: _, status: _, outcome: _, trigger_kind, trigger_path, .. } = filter;
        let RunFilter { tag, run_as, cause, label, is_dead, .. } = filter;
        let values = values![workspace, before, i64::from(limit) + 1];
        let mut statements = Self { values, lowest: None, label: None, is_dead: *is_dead, conditions: String::new() };
        statements.lowest = lowest.map(|lowest| statements.bind(lowest));
        statements.label = label.as_ref().map(|(name, value)| (statements.bind(name.as_str()), statements.bind(value.as_str())));
        if let Some(path) = path {
            statements.and("path", path);
        }
        for globs in within {
            let like: Vec<String> = globs.iter().map(|reach| statements.within(reach)).collect();
            let any = if like.is_empty() { "1 = 0".to_owned() } else { like.join(" OR ") };
            statements.conditions.push_str(&format!(" AND ({any})"));
        }
        if let Some(kind) = trigger_kind {
            statements.and("trigger_kind", kind.as_str());
        }
        if let Some(path) = trigger_path {
            statements.and("trigger_path", path);
        }
        if let Some(tag) = tag {
            statements.and("tag", tag.as_str());
            if !tag.is_empty() {
                // What the index of tags holds.
                statements.conditions.push_str(" AND tag <> ''");
            }
        }
        if let Some(identity) = run_as {
            statements.and("run_as", identity.as_str());
        }
        if let Some(cause) = cause {
            statements.and("cause", cause.run);
            statements.and("cause_kind", codes::cause(cause.kind));
        }
        statements
    }

    /// A condition: a glob, and the starts of paths that are excepted from it.
    fn within(&mut self, reach: &str) -> String {
        let (glob, except) = auth::parts_of_reach(reach);
        let mut condition = format!("({{path like ${}}}", self.bind(glob));
        for start in except {
            condition.push_str(&format!(" AND NOT {{path like ${}}}", self.bind(format!("{start}*"))));
        }
        condition.push(')');
        condition
    }

    /// The number of a value.
    fn bind(&mut self, value: impl Into<Value>) -> usize {
        self.values.push(value.into());
        self.values.len()
    }

    fn and(&mut self, column: &str, value: impl Into<Value>) {
        let number = self.bind(value);
        self.conditions.push_str(&format!(" AND {column} = ${number}"));
    }

    fn queued(&self, states: &str) -> String {
        self.of("queue", None, QUEUED, states)
    }

    fn ended(&self, filter: &RunFilter) -> String {
        let mut more = String::new();
        if let Some(status) = filter.status {
            more.push_str(&format!(" AND status = {}", codes::status(status)));
            // What the index of unusual runs holds.
            if status != RunStatus::Succeeded {
                more.push_str(" AND status <> 5");
            }
        }
        if let Some(kind) = filter.outcome {
            more.push_str(&format!(" AND outcome = {}", codes::outcome(kind)));
        }
        let first = if self.is_dead { Some("dead_letters") } else { self.label.map(|_| "run_labels") };
        self.of("runs", first, ENDED, &more)
    }

    /// `first` is a table of some of the runs, in the same order, that is read before `table`.
    fn of(&self, table: &str, first: Option<&str>, columns: &str, more: &str) -> String {
        let (workspace, id, join) = match first {
            None => ("workspace", "id", String::new()),
            Some(first) => (
                "some_runs.workspace",
                "some_runs.run",
                format!("{first} AS some_runs JOIN {table} ON {table}.workspace = some_runs.workspace AND {table}.id = some_runs.run"),
            ),
        };
        let from = if join.is_empty() { table } else { &join };
        let mut conditions = format!("{workspace} = $1 AND {id} < $2");
        if let Some(lowest) = self.lowest {
            conditions.push_str(&format!(" AND {id} >= ${lowest}"));
        }
        match self.label {
            Some((name, value)) if first == Some("run_labels") => {
                conditions.push_str(&format!(" AND some_runs.name = ${name} AND some_runs.value = ${value}"));
            }
            Some((name, value)) => conditions.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM run_labels AS label WHERE label.workspace = {table}.workspace AND label.run = {table}.id
                     AND label.name = ${name} AND label.value = ${value})"
            )),
            None => {}
        }
        format!("SELECT {columns} FROM {from} WHERE {conditions}{}{more} ORDER BY {id} DESC LIMIT $3", self.conditions)
    }
}
