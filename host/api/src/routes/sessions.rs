//! `/api/auth/sessions` and `/api/instance/users/{name}/sessions`: where somebody is logged in, and an end to it. No answer has a secret.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use sandmill_model::{TokenId, auth::Action, people::Name};
use sandmill_store::users::{Carrier, OpenSession, Which};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{session::LoggedIn, users::no_user};
use crate::{
    app::App,
    audit::Facts,
    auth::Authenticated,
    problem::Problem,
    request::{
        paging::{self, NameQuery},
        url::{Query, SessionRef, UserRef, no_session},
    },
    sessions,
};

/// Where somebody is logged in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionItem {
    id: String,
    /// `cookie`: of a browser; `header`: of a program, as the command line is one.
    carrier: &'static str,
    created_at: String,
    /// When it was last used, to five minutes.
    used_at: String,
    /// When it ends if it is not used.
    idle_until: String,
    /// When it ends in any case.
    expires_at: String,
    /// Whether it is the one that asks.
    is_current: bool,
}

/// A page of sessions, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionList {
    items: Vec<SessionItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

impl SessionItem {
    fn of(session: &OpenSession, current: TokenId) -> Self {
        Self {
            id: session.id.to_string(),
            carrier: match session.carrier {
                Carrier::Cookie => "cookie",
                Carrier::Header => "header",
            },
            created_at: session.created_at.to_string(),
            used_at: sessions::used_at(session).to_string(),
            idle_until: session.idle_until.to_string(),
            expires_at: session.expires_at.to_string(),
            is_current: session.id == current,
        }
    }
}

async fn page(app: &App, user: &Name, current: TokenId, query: &NameQuery) -> Result<Json<SessionList>, Problem> {
    let (before, limit) = query.read::<TokenId>()?;
    let mut found = app.store.sessions.of_user(user, before, limit + 1, app.clock.now()).await?;
    let next = paging::cut(&mut found, limit, |session| session.id.to_string());
    Ok(Json(SessionList { items: found.iter().map(|session| SessionItem::of(session, current)).collect(), next }))
}

/// For the audit log: whose sessions have ended, or which one.
fn ended(target: String, count: usize) -> Response {
    let facts = Facts { target: Some(target), after: json!({ "ended": count }), ..Facts::default() };
    (Extension(facts), StatusCode::NO_CONTENT).into_response()
}

/// Lists where whoever asks is logged in.
#[utoipa::path(get, path = "/api/auth/sessions", tag = "people", params(NameQuery), responses((status = 200, body = SessionList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    LoggedIn { person, .. }: LoggedIn,
    Query(query): Query<NameQuery>,
) -> Result<Json<SessionList>, Problem> {
    page(&app, &person.session.user.name, person.session.id, &query).await
}

/// Ends all sessions of whoever asks but the one that asks.
#[utoipa::path(delete, path = "/api/auth/sessions", tag = "people", responses((status = 204, description = "They have ended")))]
pub(crate) async fn end_others(State(app): State<Arc<App>>, LoggedIn { person, .. }: LoggedIn) -> Result<Response, Problem> {
    let user = &person.session.user.name;
    let count = app.end_sessions(user.clone(), Which::AllBut(person.session.id)).await?;
    Ok(ended(user.to_string(), count))
}

/// Ends a session of whoever asks.
#[utoipa::path(delete, path = "/api/auth/sessions/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204, description = "It has ended")))]
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    LoggedIn { person, .. }: LoggedIn,
    SessionRef(id): SessionRef,
) -> Result<Response, Problem> {
    let session = &person.session;
    // One of somebody else is answered as one that never was.
    let count = app.end_sessions(session.user.name.clone(), Which::One(id)).await?;
    if count == 0 {
        return Err(no_session());
    }
    let mut response = ended(id.to_string(), count);
    if session.id == id && session.carrier == Carrier::Cookie {
        response.headers_mut().insert(header::SET_COOKIE, sessions::no_cookie()?);
    }
    Ok(response)
}

/// Lists where a user is logged in.
#[utoipa::path(get, path = "/api/instance/users/{name}/sessions", tag = "people", params(("name" = String, Path), NameQuery),
    responses((status = 200, body = SessionList)))]
pub(crate) async fn of_user(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    UserRef(name): UserRef,
    Query(query): Query<NameQuery>,
) -> Result<Json<SessionList>, Problem> {
    caller.must(Action::Read)?;
    let user = app.store.users.find(&name).await?.ok_or_else(no_user)?;
    page(&app, &user.name, caller.0.token, &query).await
}

/// Ends all sessions of a user, who can log in again.
#[utoipa::path(delete, path = "/api/instance/users/{name}/sessions", tag = "people", params(("name" = String, Path)),
    responses((status = 204, description = "They have ended")))]
pub(crate) async fn end_of_user(State(app): State<Arc<App>>, caller: Authenticated, UserRef(name): UserRef) -> Result<Response, Problem> {
    caller.must(Action::Write)?;
    let user = app.store.users.find(&name).await?.ok_or_else(no_user)?;
    let count = app.end_sessions(user.name.clone(), Which::All).await?;
    tracing::info!(by = &*caller.0.identity, user = %user.name, count, "sessions of a user were ended");
    Ok(ended(user.name.to_string(), count))
}
