//! `POST /api/w/{workspace}/runs/cancel` and `…/runs/rerun`: what is done to one run, done to many.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use sandmill_dispatch::{Refused, RerunTerms};
use sandmill_model::{Code, RunId, RunSummary, auth::Action, code::Refusal, idempotency};
use sandmill_store::{
    history::{Phase, RunFilter},
    queue::Cancelled,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    filter::{FilterQuery, strict, within_reach},
    steer::RerunVersion,
};
use crate::{
    app::App,
    audit::Facts,
    auth::{BELIEVED, Caller},
    problem::Problem,
    request::{body::JsonBody, paging},
};

/// Runs that one request steers.
const RUNS_MAX: usize = 1_000;
/// Runs that are looked at together.
const PAGE: u32 = 200;
/// Pages that one request looks at: they may be empty although there are more.
const PAGES_MAX: usize = 20;
/// Runs that are steered at once: they share commits.
const AT_ONCE: usize = 32;

/// Which runs are meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkCancel {
    /// At least one condition.
    #[serde(deserialize_with = "strict")]
    filter: FilterQuery,
    /// `next` of the answer before.
    cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkRerun {
    /// At least one condition.
    #[serde(deserialize_with = "strict")]
    filter: FilterQuery,
    /// Which version of each script: the `newest`, or the `same` that ran.
    #[serde(default)]
    version: RerunVersion,
    /// `next` of the answer before.
    cursor: Option<String>,
}

/// What became of some of the runs that are meant.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct BulkReceipt {
    /// Cancelled at once, or started again.
    done: u64,
    /// They execute and are being ended.
    ending: u64,
    /// They ended meanwhile, or cannot be started again; `problems` tells of some.
    passed_over: u64,
    /// What stood in the way, of the first few.
    problems: Vec<BulkProblem>,
    /// Send it as `cursor` to go on; null: these were all.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkProblem {
    run: String,
    code: String,
    detail: String,
}

/// Problems that an answer tells of.
const PROBLEMS_MAX: usize = 10;

impl BulkReceipt {
    pub(crate) fn going_on_at(self, next: Option<String>) -> Self {
        Self { next, ..self }
    }

    /// What the audit log tells of it.
    pub(crate) fn facts(&self) -> Extension<Facts> {
        let after = json!({"done": self.done, "ending": self.ending, "passed_over": self.passed_over});
        Extension(Facts { after, ..Facts::default() })
    }

    fn pass_over(&mut self, run: RunId, refusal: &Refusal) {
        self.passed_over += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(BulkProblem { run: run.to_string(), code: refusal.code.name().to_owned(), detail: refusal.detail.clone() });
        }
    }
}

/// Cancels the runs that fit and have not ended, a thousand at most in one request.
#[utoipa::path(post, path = "/api/w/{workspace}/runs/cancel", tag = "runs", params(("workspace" = String, Path)), request_body = BulkCancel,
    responses((status = 200, body = BulkReceipt)))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(bulk): JsonBody<BulkCancel>,
) -> Result<(Extension<Facts>, Json<BulkReceipt>), Problem> {
    let filter = RunFilter { phase: Some(Phase::Open), ..some(&bulk.filter)? };
    let (runs, next) = find(&app, &caller, Action::Cancel, filter, bulk.cursor.as_deref()).await?;
    let (app, workspace) = (&app, caller.workspace.id);
    let receipt = each(app, &caller, runs, |run| async move {
        Ok(match app.dispatch.cancel(workspace, run).await? {
            Cancelled::AtOnce => Steered::Done,
            Cancelled::Requested => Steered::Ending,
            Cancelled::TooLate => Steered::PassedOver,
        })
    });
    let receipt = receipt.await.going_on_at(next);
    Ok((receipt.facts(), Json(receipt)))
}

/// Does the runs that fit and have ended again, with the arguments that they had, a thousand at most in one request.
/// With `Idempotency-Key` a repetition of the request starts none of them twice.
#[utoipa::path(post, path = "/api/w/{workspace}/runs/rerun", tag = "runs", request_body = BulkRerun,
    params(("workspace" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters: the same request again starts nothing twice")),
    responses((status = 200, body = BulkReceipt)))]
pub(crate) async fn rerun(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(bulk): JsonBody<BulkRerun>,
) -> Result<Json<BulkReceipt>, Problem> {
    let key = idempotency::key(&headers)?;
    let filter = RunFilter { phase: Some(Phase::Ended), ..some(&bulk.filter)? };
    let (runs, next) = find(&app, &caller, Action::Start, filter, bulk.cursor.as_deref()).await?;
    let (app, caller) = (&app, &caller);
    let receipt = each(app, caller, runs, |run| {
        let terms = RerunTerms {
            arguments: None,
            same_version: bulk.version == RerunVersion::Same,
            idempotency_key: key.as_ref().map(|key| format!("{key} {run}")),
        };
        async move {
            let again = app.dispatch.rerun(Arc::clone(&caller.principal), caller.workspace.clone(), run, terms).await;
            again.map(|_| Steered::Done).map_err(Refused::into_refusal)
        }
    });
    Ok(Json(receipt.await.going_on_at(next)))
}

/// A filter with at least one condition: all runs are rarely meant.
fn some(filter: &FilterQuery) -> Result<RunFilter, Problem> {
    let filter = filter.read()?;
    if filter == RunFilter::default() {
        return Err(Problem::new(Code::BadRequest, "`filter` needs at least one condition; e.g. {\"path\": \"f/demo/hello\"}"));
    }
    Ok(filter)
}

/// What became of one run.
pub(crate) enum Steered {
    Done,
    Ending,
    PassedOver,
}

/// Does something to each run, many at once, and counts what came of it. Those at which the caller is no longer who they were are passed
/// over.
pub(crate) async fn each<F, Doing>(app: &App, caller: &Caller, runs: Vec<RunSummary>, act: F) -> BulkReceipt
where
    F: Fn(RunId) -> Doing,
    Doing: Future<Output = Result<Steered, Refusal>> + Send,
{
    let mut steered = stream::iter(runs)
        .map(|RunSummary { id, .. }| {
            let doing = act(id);
            async move {
                if !app.is_as_before(caller, BELIEVED).await {
                    return (id, Err(Refusal::new(Code::Unauthorized, "whoever asked for it is no longer let in")));
                }
                (id, doing.await)
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut receipt = BulkReceipt::default();
    while let Some((run, outcome)) = steered.next().await {
        match outcome {
            Ok(Steered::Done) => receipt.done += 1,
            Ok(Steered::Ending) => receipt.ending += 1,
            Ok(Steered::PassedOver) => receipt.passed_over += 1,
            Err(refusal) => receipt.pass_over(run, &refusal),
        }
    }
    receipt
}

/// The runs that fit and that the caller may steer, and where to go on.
pub(crate) async fn find(
    app: &App,
    caller: &Caller,
    action: Action,
    filter: RunFilter,
    cursor: Option<&str>,
) -> Result<(Vec<RunSummary>, Option<String>), Problem> {
    let filter = within_reach(caller, action, filter)?;
    let mut before: Option<RunId> = paging::decode(cursor)?;
    let mut runs = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = app.dispatch.runs(caller.workspace.id, filter.clone(), before, PAGE).await?;
        // Nothing is done yet: whoever was shut out meanwhile is refused.
        caller.must_still_be(app).await?;
        runs.extend(page.runs);
        before = page.next;
        if before.is_none() || runs.len() + PAGE as usize > RUNS_MAX {
            break;
        }
    }
    Ok((runs, before.map(paging::encode)))
}
