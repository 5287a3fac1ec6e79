//! `/api/w/{workspace}/members` and `…/invitations`: who belongs to a workspace. For its admins.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header, request::Parts};
use sandmill_model::{
    Code, TokenId,
    auth::{Action, Domain, TokenHash, new_token},
    people::{InvalidPerson, Name},
    role::Role,
};
use sandmill_store::members::{Invitation, Member, MemberPut, NewInvitation, NewMember};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::Facts,
    auth::{Caller, forbidden},
    problem::Problem,
    request::{
        body::JsonBody,
        paging::{self, NameQuery},
        url::{self, NameRef, Query},
    },
};

/// Hours for which an invitation is good, if nobody says.
const HOURS_DEFAULT: u32 = 72;
/// Hours for which one can be good.
const HOURS_MAX: u32 = 30 * 24;

/// A page of members, in order of their names.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberList {
    items: Vec<MemberBody>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MemberBody {
    user: String,
    display_name: String,
    /// `admin`, `developer`, `operator` or `viewer`.
    role: &'static str,
    is_disabled: bool,
    created_at: String,
    created_by: String,
}

impl From<Member> for MemberBody {
    fn from(member: Member) -> Self {
        let Member { user, display_name, role, is_disabled, created_at, created_by } = member;
        Self {
            user: user.to_string(),
            display_name,
            role: role.name(),
            is_disabled,
            created_at: created_at.to_string(),
            created_by: created_by.to_string(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberRequest {
    /// `admin`, `developer`, `operator` or `viewer`.
    role: String,
}

/// A page of invitations, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationList {
    items: Vec<InvitationBody>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

/// An invitation without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationBody {
    id: String,
    /// What whoever accepts it becomes.
    role: &'static str,
    created_at: String,
    created_by: String,
    expires_at: String,
    /// Null: nobody has.
    used_by: Option<String>,
}

impl From<Invitation> for InvitationBody {
    fn from(invitation: Invitation) -> Self {
        let Invitation { id, role, created_at, created_by, expires_at, used_by } = invitation;
        Self {
            id: id.to_string(),
            role: role.name(),
            created_at: created_at.to_string(),
            created_by: created_by.to_string(),
            expires_at: expires_at.to_string(),
            used_by: used_by.map(|user| user.to_string()),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationRequest {
    /// `admin`, `developer`, `operator` or `viewer`.
    role: String,
    /// 1 to 720; 72 if left out.
    hours: Option<u32>,
}

/// An invitation that was just made. Not `Debug`: it has a secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewInvitationBody {
    id: String,
    /// Whoever has it may accept. It is shown once.
    invitation: String,
    expires_at: String,
}

/// Who belongs to a workspace is of all its paths.
pub(super) fn must(caller: &Caller, action: Action) -> Result<(), Problem> {
    if caller.may(Domain::Members, action, None) { Ok(()) } else { Err(forbidden(Domain::Members, action, None)) }
}

/// Nobody gives what they have not, nor takes it from those who have it.
fn must_have(caller: &Caller, role: Role, of: &Name) -> Result<(), Problem> {
    if caller.principal.includes(&role.scopes(of)) {
        return Ok(());
    }
    let role = role.name();
    let what = format!("whoever gives the role {role}, or changes somebody who has it, may do all that it gives: the token lacks some");
    Err(Problem::new(Code::Forbidden, what))
}

fn read_role(name: &str) -> Result<Role, Problem> {
    let all = || Role::ALL.map(Role::name).join(", ");
    Role::from_name(name).ok_or_else(|| Problem::new(Code::BadRequest, format!("`role` is one of {}", all())))
}

/// Whoever is invited has no name yet.
fn nobody() -> Result<Name, Problem> {
    "-".parse().map_err(|error: InvalidPerson| Problem::internal(error.to_string()))
}

fn no_member() -> Problem {
    Problem::new(Code::NotFound, "there is no such member of this workspace; whoever is none is invited")
}

/// Lists the members of a workspace.
#[utoipa::path(get, path = "/api/w/{workspace}/members", tag = "people", params(("workspace" = String, Path), NameQuery),
    responses((status = 200, body = MemberList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<NameQuery>) -> Result<Json<MemberList>, Problem> {
    must(&caller, Action::Read)?;
    let (after, limit) = query.read::<Name>()?;
    let mut found = app.store.members.list(caller.workspace.id, after.as_ref(), limit + 1).await?;
    let next = paging::cut(&mut found, limit, |member| member.user.to_string());
    Ok(Json(MemberList { items: found.into_iter().map(MemberBody::from).collect(), next }))
}

/// Gives a member another role. Who administers the installation can make any user a member so; others invite.
#[utoipa::path(put, path = "/api/w/{workspace}/members/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), request_body = MemberRequest,
    responses((status = 200, body = MemberBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    NameRef(user): NameRef,
    JsonBody(request): JsonBody<MemberRequest>,
) -> Result<Json<MemberBody>, Problem> {
    must(&caller, Action::Write)?;
    let role = read_role(&request.role)?;
    let workspace = caller.workspace.id;
    must_have(&caller, role, &user)?;
    match app.store.members.find(workspace, &user).await? {
        Some(present) => must_have(&caller, present.role, &user)?,
        // Else one workspace could learn which users others have.
        None if !caller.principal.may_instance(Action::Write) => return Err(no_member()),
        None => {}
    }
    let by = Arc::clone(&caller.principal.identity);
    let new = NewMember { workspace, user: user.clone(), role, by, now: app.clock.now() };
    match app.store.members.put(new).await? {
        MemberPut::Done => app.outdate_members(workspace),
        MemberPut::NoSuchUser => return Err(no_member()),
        MemberPut::TooMany => return Err(Problem::new(Code::Conflict, "the workspace has as many members as it can have")),
    }
    tracing::info!(by = &*caller.principal.identity, %user, role = role.name(), "a member was put");
    app.store.members.find(workspace, &user).await?.map(|member| Json(member.into())).ok_or_else(no_member)
}

/// Takes a member out of the workspace, of its groups and of all lists.
#[utoipa::path(delete, path = "/api/w/{workspace}/members/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 204, description = "It is no member any more")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, NameRef(user): NameRef) -> Result<StatusCode, Problem> {
    must(&caller, Action::Write)?;
    let present = app.store.members.find(caller.workspace.id, &user).await?.ok_or_else(no_member)?;
    must_have(&caller, present.role, &user)?;
    let removed = app.store.members.remove(caller.workspace.id, &user).await?;
    if !removed {
        return Err(no_member());
    }
    app.outdate_members(caller.workspace.id);
    tracing::info!(by = &*caller.principal.identity, %user, "a member was removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the invitations of a workspace, those that were used among them.
#[utoipa::path(get, path = "/api/w/{workspace}/invitations", tag = "people", params(("workspace" = String, Path), NameQuery),
    responses((status = 200, body = InvitationList)))]
pub(crate) async fn invitations(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<NameQuery>,
) -> Result<Json<InvitationList>, Problem> {
    must(&caller, Action::Read)?;
    let (before, limit) = query.read::<TokenId>()?;
    let mut found = app.store.invitations.invitations(caller.workspace.id, before, limit + 1).await?;
    let next = paging::cut(&mut found, limit, |invitation| invitation.id.to_string());
    Ok(Json(InvitationList { items: found.into_iter().map(InvitationBody::from).collect(), next }))
}

/// Invites somebody: whoever has what is answered can accept, once, and becomes a member, as long as whoever invites administers the
/// workspace. No e-mail is sent.
#[utoipa::path(post, path = "/api/w/{workspace}/invitations", tag = "people", params(("workspace" = String, Path)),
    request_body = InvitationRequest, responses((status = 201, body = NewInvitationBody)))]
pub(crate) async fn invite(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(request): JsonBody<InvitationRequest>,
) -> Result<Response, Problem> {
    must(&caller, Action::Write)?;
    let role = read_role(&request.role)?;
    must_have(&caller, role, &nobody()?)?;
    let hours = request.hours.unwrap_or(HOURS_DEFAULT);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Problem::new(Code::BadRequest, format!("`hours` is 1 to {HOURS_MAX}")));
    }
    let (secret, now) = (new_token().replacen("sm_", "si_", 1), app.clock.now());
    let (id, expires_at) = (TokenId::new(now), now.plus(Duration::from_secs(u64::from(hours) * 3600)));
    let by = Arc::clone(&caller.principal.identity);
    let is_by_operator = caller.principal.may_instance(Action::Write);
    let new = NewInvitation { workspace: caller.workspace.id, id, hash: TokenHash::of(&secret), role, by, is_by_operator, now, expires_at };
    if !app.store.invitations.invite(new).await? {
        return Err(Problem::new(Code::Forbidden, "whoever invites, or as whom their token acts, is a user who administers the workspace"));
    }
    tracing::info!(by = &*caller.principal.identity, %id, role = role.name(), "somebody was invited");
    let body = NewInvitationBody { id: id.to_string(), invitation: secret, expires_at: expires_at.to_string() };
    let after = json!({"id": body.id, "role": role.name(), "expires_at": body.expires_at});
    let facts = Facts { after, ..Facts::default() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Extension(facts), Json(body)).into_response())
}

/// Withdraws an invitation.
#[utoipa::path(delete, path = "/api/w/{workspace}/invitations/{id}", tag = "people",
    params(("workspace" = String, Path), ("id" = String, Path)), responses((status = 204, description = "It is no good any more")))]
pub(crate) async fn withdraw(State(app): State<Arc<App>>, caller: Caller, parts: Parts) -> Result<StatusCode, Problem> {
    must(&caller, Action::Write)?;
    let no_invitation = || Problem::new(Code::NotFound, "there is no such invitation to this workspace");
    let id = url::last(&parts).parse::<TokenId>().map_err(|_| no_invitation())?;
    let withdrawn = app.store.invitations.withdraw(caller.workspace.id, id).await?;
    if withdrawn { Ok(StatusCode::NO_CONTENT) } else { Err(no_invitation()) }
}
