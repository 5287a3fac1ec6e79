//! Error handlers: when a run has failed for good, another script may be started with what went wrong.
//!
//! The handler's run is written in the same commit as the end of the run that failed, so neither is there without the other.

use std::sync::Arc;

use sandmill_model::{
    Cause, CauseKind, Input, JsonText, LogEntry, LogLevel, LogStream, RunStatus, ScriptPath,
    code::Refusal,
    limits::CHILD_DEPTH_MAX,
    run::{FinishedRun, Lineage, NewRun},
    version::Selector,
};
use serde_json::{Value, json};

use crate::{Inner, StartTerms, accept::Parts, run_as::Acting};

/// How long to wait after a failed look-up before the next try.
const RETRY_DELAY: std::time::Duration = std::time::Duration::from_millis(200);

impl Inner {
    /// The run of the error handler of a run that is not tried again. What stands in its way is said in the log of the run.
    pub(crate) async fn error_handler(&self, done: &mut FinishedRun) -> Option<Box<NewRun>> {
        if done.status() != RunStatus::Failed {
            return None;
        }
        let path = done.run.policy.error_handler.clone()?;
        let key = (done.run.workspace, path, Selector::Newest);
        let target = loop {
            match self.targets.find(self.store.scripts.as_ref(), key.clone(), done.ended_at).await {
                Ok(target) => break target,
                Err(error) => {
                    tracing::error!(%error, run = %done.run.id, "the error handler of a run could not be looked up; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        };
        let Some(target) = target else {
            note(done, format!("the error handler {} is not deployed", key.1));
            return None;
        };
        if let Some(why) = self.is_against(done, &key.1).await {
            note(done, format!("the error handler {} was not started: {why}", key.1));
            return None;
        }
        // Below the run that failed, as its children are: what a handler starts may fail, too, and be handled.
        let above = done.run.lineage.unwrap_or(Lineage { depth: 0, since: done.run.scheduled_for });
        let lineage = Lineage { depth: above.depth + 1, ..above };
        if lineage.depth > CHILD_DEPTH_MAX {
            let path = &key.1;
            note(
                done,
                format!(
                    "the error handler {path} was not started: {CHILD_DEPTH_MAX} runs stand above each other already, which is the most"
                ),
            );
            return None;
        }
        let whole = Input::Arguments(failure(done, true));
        // A failure whose arguments are longer than the handler takes is told without them.
        let fits = whole.len_bytes() as u64 <= target.limits.arguments_bytes;
        let input = if fits { whole } else { Input::Arguments(failure(done, false)) };
        let FinishedRun { run: NewRun { workspace, workspace_name, run_as, answered_by, .. }, ended_at, .. } = &*done;
        let assembled = self.policy(&target, &input, &StartTerms::default(), *ended_at).and_then(|policy| {
            let acting = Acting { run_as: Arc::clone(run_as), answered_by: answered_by.clone() };
            let parts = Parts { workspace: *workspace, workspace_name: Arc::clone(workspace_name), target, input, acting };
            Ok((policy, self.assemble(parts, *ended_at)?))
        });
        match assembled {
            Ok((mut policy, run)) => {
                if policy.error_handler.is_some() {
                    // No handler of a handler: a mistake in one would go round for ever.
                    Arc::make_mut(&mut policy).error_handler = None;
                }
                let cause = Some(Cause { kind: CauseKind::Handler, run: done.run.id });
                Some(Box::new(NewRun { policy, cause, lineage: Some(lineage), ..run }))
            }
            Err(Refusal { detail, .. }) => {
                note(done, format!("the error handler {} was not started: {detail}", key.1));
                None
            }
        }
    }

    /// What stands against starting the handler, as soon as that can be read.
    async fn is_against(&self, done: &FinishedRun, handler: &ScriptPath) -> Option<String> {
        loop {
            match self.against_handler(done, handler).await {
                Ok(why) => return why,
                Err(error) => {
                    tracing::error!(%error, run = %done.run.id, "who may start the error handler of a run could not be read; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }
}

/// The arguments of a handler.
fn failure(done: &FinishedRun, with_arguments: bool) -> JsonText {
    let FinishedRun { run, attempt, outcome, .. } = done;
    let arguments = with_arguments.then(|| outcome.arguments.clone().unwrap_or_else(|| run.input.arguments()));
    let value = json!({
        "run_id": run.id,
        "path": run.path.as_str(),
        "version": run.number,
        "workspace": run.workspace_name,
        "trigger": run.input.trigger().map(|trigger| json!({"kind": trigger.kind, "path": trigger.path})),
        "attempt": attempt,
        "outcome": outcome.kind.name(),
        "error": outcome.error.as_ref().map_or(Value::Null, |error| serde_json::to_value(error).unwrap_or_default()),
        // Not `arguments`: no parameter of JavaScript can be called so.
        "args": arguments,
    });
    JsonText::trusted(value.to_string())
}

fn note(done: &mut FinishedRun, message: String) {
    done.outcome.log.push(LogEntry { at: done.ended_at, level: LogLevel::Error, stream: LogStream::Host, message, fields: None });
}
