//! `sandmill:runs`: runs that a run starts, waits for and cancels.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Grant, Grants, JsonText, Outcome, OutcomeKind, Output, RunError, RunId,
    children::{ChildError, ChildRequest, ChildTerms, Parent},
    grants::PathPattern,
    limits::{CHILD_KEY_BYTES_MAX, CHILDREN_MAX, START_DELAY_MAX},
    version::Selector,
};
use sandmill_sandbox::Guest;
use wasmtime::Result;

use crate::{
    Host,
    bindings::{
        runs::{Ending, Error, Failure, Host as Runs, Options, Until},
        types::{Binary, Error as ScriptError, Host as Types, Output as ScriptOutput},
    },
    grants::{self, refusals},
};

/// How much longer than its run a wait may last.
const BEYOND: Duration = Duration::from_secs(5);
/// Bytes of an id's text; a UUID has 36.
const ID_BYTES_MAX: usize = 64;

impl Types for Guest<Host> {}

impl Runs for Guest<Host> {
    async fn start(&mut self, path: String, args: String, options: Options) -> Result<Result<String, Error>> {
        self.pace().await;
        let child = match request(self, &path, args, options).await {
            Ok(child) => child,
            Err(error) => return Ok(Err(error)),
        };
        let run = &self.host.run;
        if !run.may_start_another() {
            return Ok(Err(Error::TooMany(format!("an attempt starts at most {CHILDREN_MAX} runs"))));
        }
        let started = self.host.ports.runs.start(parent(&self.host), child).await;
        if started.is_err() {
            run.started_none();
        }
        Ok(started.map(|child| child.to_string()).map_err(Into::into))
    }

    async fn wait(&mut self, run: String, timeout_ms: Option<u64>) -> Result<Result<Ending, Error>> {
        self.pace().await;
        let limit = limit(self, timeout_ms);
        Ok(wait_for_one(&self.host, &run, limit).await)
    }

    async fn wait_many(&mut self, runs: Vec<String>, until: Until, timeout_ms: Option<u64>) -> Result<Result<Vec<String>, Error>> {
        self.pace().await;
        if runs.len() > CHILDREN_MAX {
            return Ok(Err(Error::TooMany(format!("a run waits for at most {CHILDREN_MAX} others at once; these are {}", runs.len()))));
        }
        let runs: Vec<RunId> = match runs.iter().map(|run| id(run)).collect() {
            Ok(runs) => runs,
            Err(error) => return Ok(Err(error)),
        };
        let until = match until {
            Until::All => sandmill_model::children::Until::All,
            Until::Any => sandmill_model::children::Until::Any,
        };
        let limit = limit(self, timeout_ms);
        let ended = self.host.ports.runs.wait(parent(&self.host), runs, until, limit).await;
        Ok(ended.map(|ended| ended.iter().map(RunId::to_string).collect()).map_err(Into::into))
    }

    async fn get_result(&mut self, run: String) -> Result<Result<Option<Ending>, Error>> {
        self.pace().await;
        let child = match id(&run) {
            Ok(child) => child,
            Err(error) => return Ok(Err(error)),
        };
        let outcome = self.host.ports.runs.outcome(parent(&self.host), child).await;
        Ok(outcome.map(|outcome| outcome.map(ending)).map_err(Into::into))
    }

    async fn cancel(&mut self, run: String) -> Result<Result<bool, Error>> {
        self.pace().await;
        let child = match id(&run) {
            Ok(child) => child,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.host.ports.runs.cancel(parent(&self.host), child).await.map_err(Into::into))
    }
}

async fn wait_for_one(host: &Host, run: &str, limit: Duration) -> Result<Ending, Error> {
    let (child, runs) = (id(run)?, &host.ports.runs);
    let ended = runs.wait(parent(host), vec![child], sandmill_model::children::Until::All, limit).await?;
    if ended.is_empty() {
        return Err(Error::Timeout(format!("run {child} has not ended within {} ms", limit.as_millis())));
    }
    let outcome = runs.outcome(parent(host), child).await?;
    outcome.map(ending).ok_or_else(|| Error::Unavailable(format!("the result of run {child} cannot be read at present")))
}

/// A little beyond the time of the run that waits, if nothing less was asked for: it is the run's limit that ends such a wait.
fn limit(guest: &Guest<Host>, timeout_ms: Option<u64>) -> Duration {
    let most = guest.deadline().since(guest.now()) + BEYOND;
    timeout_ms.map_or(most, |ms| most.min(Duration::from_millis(ms)))
}

fn parent(host: &Host) -> Parent {
    let attempt = &host.run.attempt;
    Parent {
        run: attempt.run,
        workspace: attempt.workspace,
        workspace_name: Arc::clone(&attempt.workspace_name),
        run_as: Arc::clone(&attempt.run_as),
    }
}

async fn request(guest: &mut Guest<Host>, path: &str, args: String, options: Options) -> Result<ChildRequest, Error> {
    let (path, selector) = Selector::split(path).map_err(|error| Error::Invalid(format!("the path: {error}")))?;
    let child = PathPattern::from(&path);
    grants::require(guest, &Grant::Runs(child.clone())).await?;
    // No more than was looked at, which is this child.
    let grants = Arc::new(Grants { runs: vec![child], ..Grants::default() });
    let arguments = JsonText::parse(args).map_err(|error| Error::Invalid(format!("the arguments are not JSON: {error}")))?;
    if !arguments.is_object() {
        return Err(Error::Invalid("the arguments must be a JSON object".to_owned()));
    }
    let Options { delay_ms, priority, tag, key } = options;
    if delay_ms.is_some_and(|ms| Duration::from_millis(ms) > START_DELAY_MAX) {
        return Err(Error::Invalid(format!("a start is delayed by at most {} ms", START_DELAY_MAX.as_millis())));
    }
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > CHILD_KEY_BYTES_MAX) {
        return Err(Error::Invalid(format!("a key has 1 to {CHILD_KEY_BYTES_MAX} bytes")));
    }
    let terms = ChildTerms { delay: delay_ms.map(Duration::from_millis), priority, tag: tag.map(Into::into), key };
    Ok(ChildRequest { path, selector, arguments, grants, terms })
}

fn id(text: &str) -> Result<RunId, Error> {
    let shown = &text[..text.floor_char_boundary(ID_BYTES_MAX)];
    if text.len() > ID_BYTES_MAX {
        return Err(Error::Invalid(format!("`{shown}…` is no id of a run")));
    }
    text.parse().map_err(|_| Error::Invalid(format!("`{shown}` is no id of a run")))
}

fn ending(outcome: Outcome) -> Ending {
    match (outcome.kind, outcome.output) {
        (OutcomeKind::Skipped, _) => Ending::Skipped,
        (OutcomeKind::Ok, Some(Output::Json(json))) => Ending::Succeeded(ScriptOutput::Json(json.as_str().to_owned())),
        (OutcomeKind::Ok, Some(Output::Bytes { content_type, data })) => {
            Ending::Succeeded(ScriptOutput::Bytes(Binary { content_type, data: data.into() }))
        }
        (kind, _) => {
            let error = outcome.error.unwrap_or_else(|| RunError::new(kind.name(), "nothing more is known of it"));
            Ending::Failed(Failure { outcome: kind.name().to_owned(), error: error.into() })
        }
    }
}

impl From<RunError> for ScriptError {
    fn from(error: RunError) -> Self {
        let RunError { name, message, stack, details, rejects: _ } = error;
        Self { name, message, stack, details: details.map(|details| details.as_str().to_owned()) }
    }
}

refusals!(Error);

impl From<ChildError> for Error {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Denied(text) => Self::Denied(text),
            ChildError::Invalid(text) => Self::Invalid(text),
            ChildError::NotFound(text) => Self::NotFound(text),
            ChildError::InvalidArguments(error) => Self::InvalidArguments(error.into()),
            ChildError::TooMany(text) => Self::TooMany(text),
            ChildError::Timeout(text) => Self::Timeout(text),
            ChildError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}
