//! Which runs are meant: the same in lists and in what is done to many at once.

use sandmill_model::{
    Cause, CauseKind, Code, OutcomeKind, RunId, RunStatus, ScriptPath, Timestamp,
    auth::{Action, Domain},
    label,
    path::InvalidPath,
};
use sandmill_store::history::RunFilter;
use serde::{Deserialize, Deserializer, de::Error};
use utoipa::ToSchema;

use crate::{auth::Caller, problem::Problem};

/// Everything that is given must fit.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct FilterQuery {
    /// Only runs of this script.
    path: Option<String>,
    /// Only runs in this status: `queued`, `parked`, `running`, `succeeded`, `failed`, `cancelled`, `skipped`, …
    status: Option<String>,
    /// Only runs that ended so: `ok`, `error`, `timeout`, …
    outcome: Option<String>,
    /// Only runs that a trigger of this kind started, e.g. `webhook`.
    trigger: Option<String>,
    /// Only runs that the trigger at this path started.
    trigger_path: Option<String>,
    /// Only runs with this tag.
    tag: Option<String>,
    /// Only runs that act as this identity, e.g. `u/admin`.
    run_as: Option<String>,
    /// Only runs with this label, as `name:value`.
    label: Option<String>,
    /// Only runs that this run started.
    parent: Option<String>,
    /// Only runs that did this one again.
    rerun_of: Option<String>,
    /// Only error handlers of this run.
    handler_of: Option<String>,
    /// Only runs that were accepted then or later, e.g. `2026-01-31T12:00:00Z`.
    from: Option<String>,
    /// Only runs that were accepted before.
    before: Option<String>,
}

impl FilterQuery {
    /// # Errors
    /// `bad_request`, `invalid_path`.
    pub(crate) fn read(&self) -> Result<RunFilter, Problem> {
        Ok(RunFilter {
            within: Vec::new(),
            phase: None,
            is_dead: false,
            path: read_path(self.path.as_deref())?,
            status: one_of("status", self.status.as_deref(), RunStatus::from_name, || RunStatus::ALL.map(RunStatus::name).join(", "))?,
            outcome: one_of("outcome", self.outcome.as_deref(), OutcomeKind::from_name, || {
                OutcomeKind::ALL.map(OutcomeKind::name).join(", ")
            })?,
            trigger_kind: plain("trigger", self.trigger.as_ref())?,
            trigger_path: read_path(self.trigger_path.as_deref())?,
            tag: plain("tag", self.tag.as_ref())?,
            run_as: plain("run_as", self.run_as.as_ref())?,
            cause: self.cause()?,
            label: self.label.as_deref().map(read_label).transpose()?,
            created_from: time("from", self.from.as_deref())?,
            created_before: time("before", self.before.as_deref())?,
        })
    }

    fn cause(&self) -> Result<Option<Cause>, Problem> {
        let given = [
            (CauseKind::Parent, "parent", &self.parent),
            (CauseKind::Rerun, "rerun_of", &self.rerun_of),
            (CauseKind::Handler, "handler_of", &self.handler_of),
        ];
        let mut causes = given.into_iter().filter_map(|(kind, name, run)| Some((kind, name, run.as_deref()?)));
        let Some((kind, name, run)) = causes.next() else { return Ok(None) };
        if causes.next().is_some() {
            return Err(Problem::new(Code::BadRequest, "only one of `parent`, `rerun_of` and `handler_of` can be given"));
        }
        let run: RunId = run.parse().map_err(|_| Problem::new(Code::BadRequest, format!("`{name}` is the id of a run")))?;
        Ok(Some(Cause { kind, run }))
    }
}

/// The same filter for runs on which the caller may do `action`, and for no others: what does not fit must not be told by gaps.
///
/// # Errors
/// `forbidden` if the token covers no path at all, or not the one that is asked for.
pub(crate) fn within_reach(caller: &Caller, action: Action, filter: RunFilter) -> Result<RunFilter, Problem> {
    caller.must_somewhere(Domain::Runs, action)?;
    match &filter.path {
        Some(path) => caller.must(Domain::Runs, action, path.as_str()).map(|()| filter),
        None => Ok(RunFilter { within: caller.principal.paths(caller.workspace.id, Domain::Runs, action), ..filter }),
    }
}

/// Of a body: what is not known is refused, for a condition that was misspelt would hold for all.
pub(crate) fn strict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FilterQuery, D::Error> {
    let given = serde_json::Map::deserialize(deserializer)?;
    if let Some(unknown) = given.keys().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(D::Error::custom(format!("`filter` knows no `{unknown}`; it knows {}", NAMES.join(", "))));
    }
    FilterQuery::deserialize(serde_json::Value::Object(given)).map_err(D::Error::custom)
}

/// Fields of [`FilterQuery`].
const NAMES: [&str; 13] = [
    "path",
    "status",
    "outcome",
    "trigger",
    "trigger_path",
    "tag",
    "run_as",
    "label",
    "parent",
    "rerun_of",
    "handler_of",
    "from",
    "before",
];

fn one_of<T>(name: &str, given: Option<&str>, read: fn(&str) -> Option<T>, all: impl Fn() -> String) -> Result<Option<T>, Problem> {
    let Some(given) = given else { return Ok(None) };
    read(given).map(Some).ok_or_else(|| Problem::new(Code::BadRequest, format!("`{name}` is one of {}", all())))
}

pub(crate) fn plain(name: &str, given: Option<&String>) -> Result<Option<String>, Problem> {
    if given.is_some_and(|text| text.contains(char::is_control)) {
        return Err(Problem::new(Code::BadRequest, format!("`{name}` has a control character")));
    }
    Ok(given.cloned())
}

fn read_path(given: Option<&str>) -> Result<Option<ScriptPath>, Problem> {
    given.map(str::parse).transpose().map_err(|error: InvalidPath| Problem::new(Code::InvalidPath, error.to_string()))
}

fn read_label(text: &str) -> Result<(String, String), Problem> {
    let (name, value) = text.split_once(':').ok_or_else(|| Problem::new(Code::BadRequest, "`label` is written name:value"))?;
    label::check_name(name).map_err(|fault| Problem::new(Code::BadRequest, fault))?;
    Ok((name.to_owned(), label::short(value)))
}

fn time(name: &str, given: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = |text: &str| text.parse().map_err(|error| Problem::new(Code::BadRequest, format!("`{name}`: {error}")));
    given.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: serde_json::Value) -> Result<FilterQuery, String> {
        strict(value).map_err(|error| error.to_string())
    }

    #[test]
    fn every_condition_is_known_and_nothing_else() {
        let run = "01890a5d-ac96-774b-bcce-b302099a8057";
        for name in NAMES {
            let value = match name {
                "path" | "trigger_path" => "f/a/b",
                "status" => "failed",
                "outcome" => "timeout",
                "label" => "a:b",
                "parent" | "rerun_of" | "handler_of" => run,
                "from" | "before" => "2026-01-31T12:00:00Z",
                _ => "x",
            };
            let filter = read(serde_json::json!({name: value})).unwrap().read();
            assert!(filter.is_ok_and(|filter| filter != RunFilter::default()), "{name}");
        }
        assert!(read(serde_json::json!({"state": "failed"})).unwrap_err().contains("`state`"));
        assert!(read(serde_json::json!({"status": 7})).is_err());
    }
}
