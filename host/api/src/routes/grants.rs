//! `GET` and `PATCH /api/w/{workspace}/grants/{path}`

use std::sync::Arc;

use axum::{Json, extract::State};
use sandmill_model::{
    Code, Grant, Grants, ScriptPath,
    auth::{Action, Domain},
    grants::{API_GIVEN_MAX, GIVEN_MAX},
    version::Selector,
};
use sandmill_store::grants::{GrantChange, GrantRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{body::JsonBody, url::WholePath},
};

/// What a script asks for and what it was given. What is both works.
#[derive(Serialize, ToSchema)]
#[schema(as = Grants)]
pub(crate) struct Granted {
    path: String,
    /// What the manifest of the newest version asks for, e.g. `runs:f/demo/*`; empty if nothing is deployed.
    asked: Vec<String>,
    given: Vec<Given>,
    /// What is asked for and not given: it is denied when it is used.
    missing: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Given {
    grant: String,
    by: String,
    at: String,
}

/// Grants to give and to take away, as their texts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(crate) struct Change {
    #[schema(value_type = Vec<String>)]
    give: Vec<Grant>,
    /// Texts as `given` shows them.
    take: Vec<String>,
}

/// Shows what a script asks for and what it was given.
#[utoipa::path(get, path = "/api/w/{workspace}/grants/{path}", tag = "scripts",
    params(("workspace" = String, Path), ("path" = String, Path)),
    responses((status = 200, body = Granted)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<Json<Granted>, Problem> {
    caller.must(Domain::Scripts, Action::Read, path.as_str())?;
    let rows = app.store.grants.list(caller.workspace.id, &path).await?;
    granted(&app, &caller, &path, rows).await.map(Json)
}

/// Gives grants to the script at a path, or takes them away; what is in both lists is given.
///
/// Needs `scripts:write` of the path and, to give, what the grant allows: nobody grants what they may not do themselves. `runs:P` needs `runs:start:P`,
/// `resources:P` and `sql:read P` `resources:read:P`, `publish:P` and `sql:write P` `resources:write:P`, `variables:P` `variables:read:P`, `secrets:P` `variables:write:P`, `blob:read P` `blobs:read:P*` and
/// `blob:write P` `blobs:write:P*`, `http:… with P` `resources:write:P` and `variables:write:P`, `api:S` the scope `S`. It works for the newest deployment
/// and those after it; a path may be granted something before anything is deployed there. What is taken away works no longer a second later,
/// also in runs that are under way.
#[utoipa::path(patch, path = "/api/w/{workspace}/grants/{path}", tag = "scripts",
    params(("workspace" = String, Path), ("path" = String, Path)),
    request_body = Change,
    responses((status = 200, description = "What there is now", body = Granted)))]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    JsonBody(Change { give, take }): JsonBody<Change>,
) -> Result<Json<Granted>, Problem> {
    caller.must(Domain::Scripts, Action::Write, path.as_str())?;
    for grant in &give {
        may_give(&caller, grant)?;
    }
    let workspace = caller.workspace.id;
    let texts: Vec<String> = give.iter().map(Grant::to_string).collect();
    let now: Vec<GrantRow> = app.store.grants.list(workspace, &path).await?;
    let kept = || now.iter().map(|row| &row.granted).filter(|granted| !take.contains(granted) && !texts.contains(granted));
    if kept().count() + texts.len() > GIVEN_MAX {
        return Err(Problem::new(Code::BadRequest, format!("a script is given at most {GIVEN_MAX} grants; take some away")));
    }
    let is_of_api = |text: &&String| text.starts_with("api:");
    let of_api = texts.iter().filter(is_of_api).count();
    if of_api > 0 && kept().filter(is_of_api).count() + of_api > API_GIVEN_MAX {
        let detail = format!("a script is given at most {API_GIVEN_MAX} grants for the API; take some away");
        return Err(Problem::new(Code::BadRequest, detail));
    }
    let by = Arc::clone(&caller.principal.identity);
    let rows = app.store.grants.change(workspace, &path, GrantChange { give: texts, take, by, now: app.clock.now() }).await?;
    tracing::info!(%path, by = &*caller.principal.identity, workspace = &*caller.workspace.name, "grants changed");
    granted(&app, &caller, &path, rows).await.map(Json)
}

/// # Errors
/// `forbidden`, naming the scope that is missing.
fn may_give(caller: &Caller, grant: &Grant) -> Result<(), Problem> {
    grant.needs().iter().try_for_each(|need| caller.must(need.domain, need.action, &need.on))
}

/// Before `path` gets a version that asks for `asked`: takes away what was given that the caller could not give. Else whoever may deploy would come by what
/// somebody else granted to other code.
///
/// # Errors
/// If the store cannot do it.
pub(super) async fn hold_back(app: &App, caller: &Caller, path: &ScriptPath, asked: &Grants) -> Result<(), Problem> {
    let rows = app.store.grants.list(caller.workspace.id, path).await?;
    let is_borrowed = |row: &&GrantRow| {
        row.granted.parse::<Grant>().is_ok_and(|given| {
            // Also where the two overlap without one covering the other: what they have in common works.
            asked.iter().map(|asked| asked.shared(&given)).any(|shared| {
                let is_given_by_caller = shared.iter().any(|grant| may_give(caller, grant).is_ok());
                !shared.is_empty() && !is_given_by_caller
            })
        })
    };
    let take: Vec<String> = rows.iter().filter(is_borrowed).map(|row| row.granted.clone()).collect();
    if !take.is_empty() {
        let by = Arc::clone(&caller.principal.identity);
        tracing::info!(%path, ?take, by = &*by, workspace = &*caller.workspace.name, "grants held back: who deploys could not give them");
        app.store.grants.change(caller.workspace.id, path, GrantChange { give: Vec::new(), take, by, now: app.clock.now() }).await?;
    }
    Ok(())
}

/// What of `asked` the script at `path` was not given, or not all of it.
///
/// # Errors
/// If the store cannot tell.
pub(super) async fn missing(app: &App, caller: &Caller, path: &ScriptPath, asked: &Grants) -> Result<Vec<String>, Problem> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    Ok(not_given(asked, &app.store.grants.list(caller.workspace.id, path).await?))
}

fn not_given(asked: &Grants, rows: &[GrantRow]) -> Vec<String> {
    let given: Vec<Grant> = rows.iter().filter_map(|row| row.granted.parse().ok()).collect();
    asked.iter().filter(|asked| !given.iter().any(|given| given.covers(asked))).map(|asked| asked.to_string()).collect()
}

async fn granted(app: &App, caller: &Caller, path: &ScriptPath, rows: Vec<GrantRow>) -> Result<Granted, Problem> {
    let newest = app.store.scripts.find(caller.workspace.id, path, Selector::Newest).await?;
    let asked = newest.map(|(_, version)| version.manifest.grants).unwrap_or_default();
    Ok(Granted {
        path: path.to_string(),
        missing: not_given(&asked, &rows),
        asked: asked.iter().map(|grant| grant.to_string()).collect(),
        given: rows
            .into_iter()
            .map(|row| Given { grant: row.granted, by: row.granted_by.to_string(), at: row.granted_at.to_string() })
            .collect(),
    })
}
