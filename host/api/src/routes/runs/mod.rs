//! Runs: start, list, show, result, log, events, cancel, rerun.

pub(crate) mod bulk;
pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod result;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod steer;

pub(crate) use events::events;
pub(crate) use list::list;
pub(crate) use log::log;
pub(crate) use result::result;
pub(crate) use show::show;
pub(crate) use start::start;
pub(crate) use steer::{cancel, rerun};

use sandmill_model::{
    RunId, RunRecord,
    auth::{Action, Domain},
};

use crate::{app::App, auth::Caller, problem::Problem, request::url::no_run};

/// A run on which the caller may do `action`. One whose path the token does not cover is answered like one that is not there:
/// a run's id says nothing of its path.
pub(crate) async fn find(app: &App, caller: &Caller, run: RunId, action: Action) -> Result<RunRecord, Problem> {
    caller.must_somewhere(Domain::Runs, action)?;
    let record = app.dispatch.record(caller.workspace.id, run).await?;
    record.filter(|record| caller.may(Domain::Runs, action, Some(record.summary.path.as_str()))).ok_or_else(|| {
        // Also where there is no such run: a token of some paths could see the difference by the time that it takes.
        let is_of_all = caller.principal.paths(caller.workspace.id, Domain::Runs, action).is_empty();
        if is_of_all { no_run() } else { no_run().denied() }
    })
}
