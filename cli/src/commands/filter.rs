//! Which runs are meant: options that lists and bulk commands share.

use sandmill_model::{OutcomeKind, RunId, RunStatus, ScriptPath, Timestamp};

/// Everything that is given must fit.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Filter {
    /// Only runs of this script
    #[arg(long)]
    path: Option<ScriptPath>,
    /// Only runs in this status, e.g. `failed`
    #[arg(long, value_parser = status)]
    status: Option<RunStatus>,
    /// Only runs that ended so, e.g. `timeout`
    #[arg(long, value_parser = outcome)]
    outcome: Option<OutcomeKind>,
    /// Only runs that a trigger of this kind started, e.g. `webhook`
    #[arg(long)]
    trigger: Option<String>,
    /// Only runs that this trigger started
    #[arg(long, value_name = "PATH")]
    trigger_path: Option<ScriptPath>,
    /// Only runs with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only runs that act as this identity, e.g. `u/admin`
    #[arg(long)]
    run_as: Option<String>,
    /// Only runs with this label
    #[arg(long, value_name = "NAME:VALUE")]
    label: Option<String>,
    /// Only runs that this run started
    #[arg(long)]
    parent: Option<RunId>,
    /// Only runs that did this one again
    #[arg(long, conflicts_with = "parent")]
    rerun_of: Option<RunId>,
    /// Only error handlers of this run
    #[arg(long, conflicts_with_all = ["parent", "rerun_of"])]
    handler_of: Option<RunId>,
    /// Only runs that were accepted then or later, e.g. `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only runs that were accepted before
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,
}

fn status(name: &str) -> Result<RunStatus, String> {
    RunStatus::from_name(name).ok_or_else(|| format!("one of {}", RunStatus::ALL.map(RunStatus::name).join(", ")))
}

fn outcome(name: &str) -> Result<OutcomeKind, String> {
    OutcomeKind::from_name(name).ok_or_else(|| format!("one of {}", OutcomeKind::ALL.map(OutcomeKind::name).join(", ")))
}

impl Filter {
    /// Runs that a trigger holds.
    pub(crate) fn held_by(trigger: ScriptPath) -> Self {
        Self { trigger_path: Some(trigger), status: Some(RunStatus::Held), ..Self::default() }
    }

    /// As the API takes it.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let Self { path, status, outcome, trigger, trigger_path, tag, run_as, label, parent, rerun_of, handler_of, from, before } = self;
        let parts = [
            ("path", path.as_ref().map(ToString::to_string)),
            ("status", status.map(|status| status.name().to_owned())),
            ("outcome", outcome.map(|outcome| outcome.name().to_owned())),
            ("trigger", trigger.clone()),
            ("trigger_path", trigger_path.as_ref().map(ToString::to_string)),
            ("tag", tag.clone()),
            ("run_as", run_as.clone()),
            ("label", label.clone()),
            ("parent", parent.map(|run| run.to_string())),
            ("rerun_of", rerun_of.map(|run| run.to_string())),
            ("handler_of", handler_of.map(|run| run.to_string())),
            ("from", from.map(|at| at.to_string())),
            ("before", before.map(|at| at.to_string())),
        ];
        parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The same as the object in a body.
    pub(crate) fn object(&self) -> serde_json::Value {
        self.query().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<serde_json::Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        filter: Filter,
    }

    #[test]
    fn what_is_given_is_asked_for() {
        let line = "x --status failed --outcome timeout --label customer:7 --from 2026-01-31T13:00:00+01:00";
        let filter = Options::try_parse_from(line.split(' ')).unwrap().filter;
        let expected = [("status", "failed"), ("outcome", "timeout"), ("label", "customer:7"), ("from", "2026-01-31T12:00:00.000000Z")];
        assert_eq!(filter.query(), expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn wrong_values_are_told_with_the_right_ones() {
        for (line, expected) in
            [("x --status broken", "succeeded"), ("x --outcome broken", "poisoned"), ("x --from yesterday", "2026-01-31T12:00:00Z")]
        {
            let error = Options::try_parse_from(line.split(' ')).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
