//! `/api/instance/plans`: named sets of limits; and `/api/w/{workspace}/quotas`: what holds for one workspace.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    Code, Quotas,
    auth::{Action, Domain},
    quota::{NAME_RULE, is_name},
};
use sandmill_store::plans::{DESCRIPTION_CHARS_MAX, PLANS_MAX, Plan, PlanDeleted};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limits::{Given, Held};
use crate::{
    app::App,
    auth::{Authenticated, Caller},
    problem::Problem,
    request::{
        body::JsonBody,
        paging::{CursorQuery, cut},
        url::{InstanceName, Query},
    },
};

/// A page of plans, in the order of their names.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanList {
    items: Vec<PlanBody>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanBody {
    name: String,
    quotas: Held,
    description: String,
    updated_at: String,
    updated_by: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRequest {
    /// What is left out, or null, is without limit.
    #[serde(default)]
    quotas: Given,
    #[serde(default)]
    description: String,
}

/// What a workspace may use.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuotaBody {
    /// Null: none.
    plan: Option<String>,
    quotas: Held,
}

impl From<Plan> for PlanBody {
    fn from(plan: Plan) -> Self {
        let Plan { name, quotas, description, updated_at, updated_by } = plan;
        Self {
            name: name.to_string(),
            quotas: Held(quotas),
            description,
            updated_at: updated_at.to_string(),
            updated_by: updated_by.to_string(),
        }
    }
}

/// Lists the plans of the installation.
#[utoipa::path(get, path = "/api/instance/plans", tag = "workspaces", params(CursorQuery), responses((status = 200, body = PlanList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(asked): Query<CursorQuery>,
) -> Result<Json<PlanList>, Problem> {
    caller.must(Action::Read)?;
    let (after, limit) = (asked.after()?, asked.limit()?);
    let mut found = app.store.plans.page(after.as_deref(), limit + 1).await?;
    let next = cut(&mut found, limit, |plan| plan.name.to_string());
    Ok(Json(PlanList { items: found.into_iter().map(PlanBody::from).collect(), next }))
}

/// Shows a plan.
#[utoipa::path(get, path = "/api/instance/plans/{plan}", tag = "workspaces", params(("plan" = String, Path)),
    responses((status = 200, body = PlanBody)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
) -> Result<Json<PlanBody>, Problem> {
    caller.must(Action::Read)?;
    let found = app.store.plans.find(&name).await?;
    found.map(|plan| Json(plan.into())).ok_or_else(no_plan)
}

/// Puts a plan in the place of what has its name. What changes holds for all workspaces that have the plan, within a second.
#[utoipa::path(put, path = "/api/instance/plans/{plan}", tag = "workspaces", params(("plan" = String, Path)), request_body = PlanRequest,
    responses((status = 200, body = PlanBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
    JsonBody(request): JsonBody<PlanRequest>,
) -> Result<Json<PlanBody>, Problem> {
    caller.must(Action::Write)?;
    let bad = |why: String| Problem::new(Code::BadRequest, why);
    if !is_name(&name) {
        return Err(bad(format!("the name of a plan: {NAME_RULE}")));
    }
    let PlanRequest { quotas: Given(quotas), description } = request;
    let quotas = Quotas::parse(&quotas).map_err(|invalid| bad(format!("`quotas`: {invalid}")))?;
    if description.chars().count() > DESCRIPTION_CHARS_MAX || description.contains('\0') {
        return Err(bad(format!("`description` has at most {DESCRIPTION_CHARS_MAX} characters, and NUL is none of them")));
    }
    let plan = Plan { name: name.into(), quotas, description, updated_at: app.clock.now(), updated_by: Arc::clone(&caller.0.identity) };
    if !app.store.plans.put(plan.clone()).await? {
        return Err(Problem::new(Code::Conflict, format!("an installation has at most {PLANS_MAX} plans")));
    }
    Ok(Json(plan.into()))
}

/// Deletes a plan that no workspace has.
#[utoipa::path(delete, path = "/api/instance/plans/{plan}", tag = "workspaces", params(("plan" = String, Path)),
    responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstanceName(name): InstanceName,
) -> Result<StatusCode, Problem> {
    caller.must(Action::Write)?;
    match app.store.plans.delete(&name).await? {
        PlanDeleted::Yes => Ok(StatusCode::NO_CONTENT),
        PlanDeleted::Absent => Err(no_plan()),
        PlanDeleted::InUse => Err(Problem::new(Code::Conflict, "a workspace has this plan; give it another one first")),
    }
}

/// Tells what a workspace may use. Needs `runs:read` of some path.
#[utoipa::path(get, path = "/api/w/{workspace}/quotas", tag = "workspaces", params(("workspace" = String, Path)),
    responses((status = 200, body = QuotaBody)))]
pub(crate) async fn quotas(caller: Caller) -> Result<Json<QuotaBody>, Problem> {
    caller.must_somewhere(Domain::Runs, Action::Read)?;
    let allotted = &caller.workspace.allotted;
    Ok(Json(QuotaBody { plan: allotted.plan.as_deref().map(str::to_owned), quotas: Held(allotted.quotas.clone()) }))
}

fn no_plan() -> Problem {
    Problem::new(Code::NotFound, "there is no such plan")
}
