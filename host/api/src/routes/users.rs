//! `/api/instance/users`: people of the installation. Only who administers it may look.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    Code,
    auth::{Action, Domain, Principal},
    people::{self, InvalidPerson, Name},
};
use sandmill_store::{
    subjects::SUBJECT_BYTES_MAX,
    users::{Link, NewUser, User, UserChange, UserRefused},
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::Facts,
    auth::{Authenticated, forbidden},
    passwords::For,
    problem::Problem,
    request::{
        paging::{self, NameQuery},
        secret::SecretBody,
        url::{Query, UserRef},
    },
};

/// A page of users, in order of their names.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserList {
    items: Vec<UserBody>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    name: String,
    email: Option<String>,
    display_name: String,
    is_instance_admin: bool,
    is_disabled: bool,
    has_password: bool,
    /// Who it is to the identity provider; null in lists.
    oidc_subject: Option<String>,
    created_at: String,
    created_by: String,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        let User { name, email, display_name, has_password, is_instance_admin, is_disabled, created_at, created_by } = user;
        Self {
            name: name.to_string(),
            email,
            display_name,
            is_instance_admin,
            is_disabled,
            has_password,
            oidc_subject: None,
            created_at: created_at.to_string(),
            created_by: created_by.to_string(),
        }
    }
}

/// Not `Debug`: it has a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserRequest {
    /// Letters in lower case, digits, `_`, `.` and `-`.
    name: String,
    email: Option<String>,
    #[serde(default)]
    display_name: String,
    /// At least 12 characters. Left out: nobody logs in with one.
    password: Option<String>,
    #[serde(default)]
    is_instance_admin: bool,
}

/// What is left out stays as it is. Not `Debug`: it has a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPatch {
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    display_name: Option<String>,
    /// At least 12 characters. All sessions of the user end.
    password: Option<String>,
    is_instance_admin: Option<bool>,
    /// Whoever is disabled cannot log in, and all their sessions end.
    is_disabled: Option<bool>,
    /// `sub` of the identity provider: whoever it is logs in as this user. Null takes the link away. Sessions go on.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    oidc_subject: Option<Option<String>>,
}

/// Null is not the same as nothing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn must(principal: &Principal, action: Action) -> Result<(), Problem> {
    if principal.may_instance(action) { Ok(()) } else { Err(forbidden(Domain::Instance, action, None)) }
}

fn bad(error: InvalidPerson) -> Problem {
    Problem::new(Code::BadRequest, error.to_string())
}

pub(super) fn refused(why: UserRefused) -> Problem {
    let why = match why {
        UserRefused::NameTaken => "this name is taken",
        UserRefused::EmailTaken => "this e-mail address is taken",
        UserRefused::SubjectTaken => "another user is linked with this subject",
        UserRefused::PasswordChanged => "the password was changed at this moment",
        UserRefused::LastAdmin => "nobody else administers the installation: make somebody else an instance admin before",
        UserRefused::TooMany => "there are as many users as there can be",
    };
    Problem::new(Code::Conflict, why)
}

/// For the audit log: of the password only whether there is one, and whether it is another one now.
fn facts(user: &UserBody, has_new_password: bool) -> Extension<Facts> {
    let mut after = serde_json::to_value(user).unwrap_or_default();
    if has_new_password && let Some(after) = after.as_object_mut() {
        after.insert("has_new_password".to_owned(), true.into());
    }
    Extension(Facts { target: Some(user.name.clone()), after, ..Facts::default() })
}

pub(super) fn no_user() -> Problem {
    Problem::new(Code::NotFound, "there is no such user")
}

/// Lists the users of the installation.
#[utoipa::path(get, path = "/api/instance/users", tag = "people", params(NameQuery), responses((status = 200, body = UserList)))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Authenticated(principal, ..): Authenticated,
    Query(query): Query<NameQuery>,
) -> Result<Json<UserList>, Problem> {
    must(&principal, Action::Read)?;
    let (after, limit) = query.read::<Name>()?;
    let mut found = app.store.users.list(after.as_ref(), limit + 1).await?;
    let next = paging::cut(&mut found, limit, |user| user.name.to_string());
    Ok(Json(UserList { items: found.into_iter().map(UserBody::from).collect(), next }))
}

/// Shows a user.
#[utoipa::path(get, path = "/api/instance/users/{name}", tag = "people", params(("name" = String, Path)),
    responses((status = 200, body = UserBody)))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Authenticated(principal, ..): Authenticated,
    UserRef(name): UserRef,
) -> Result<Json<UserBody>, Problem> {
    must(&principal, Action::Read)?;
    let user = app.store.users.find(&name).await?.ok_or_else(no_user)?;
    whole(&app, user).await.map(Json)
}

/// With who it is to the identity provider.
pub(crate) async fn whole(app: &App, user: User) -> Result<UserBody, Problem> {
    let oidc_subject = match &app.single_sign_on {
        Some(sign_on) => app.store.subjects.of_user(&sign_on.provider.issuer(), &user.name).await?,
        None => None,
    };
    Ok(UserBody { oidc_subject, ..UserBody::from(user) })
}

/// As the audit log shows a user who was made, or linked with a subject of the identity provider.
pub(crate) fn shown(user: &User, subject: Option<&str>) -> serde_json::Value {
    let body = UserBody { oidc_subject: subject.map(str::to_owned), ..UserBody::from(user.clone()) };
    serde_json::to_value(body).unwrap_or_default()
}

/// The link with a subject of the identity provider; none: with no one.
fn link(app: &App, subject: Option<String>) -> Result<Link, Problem> {
    let issuer = app.single_sign_on()?.provider.issuer();
    let is_bad = |subject: &String| !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) || subject.contains(char::is_control);
    if subject.as_ref().is_some_and(is_bad) {
        return Err(Problem::new(Code::BadRequest, "`oidc_subject` has 1 to 255 bytes, and no control characters"));
    }
    Ok(Link { issuer, subject: subject.map(Arc::from), now: app.clock.now() })
}

/// Makes a user. A name is never given to another: users are disabled, not deleted.
#[utoipa::path(post, path = "/api/instance/users", tag = "people", request_body = UserRequest, responses((status = 201, body = UserBody)))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Authenticated(principal, ..): Authenticated,
    SecretBody(request): SecretBody<UserRequest>,
) -> Result<(StatusCode, Extension<Facts>, Json<UserBody>), Problem> {
    must(&principal, Action::Write)?;
    let UserRequest { name, email, display_name, password, is_instance_admin } = request;
    let name = Name::of_user(&name).map_err(bad)?;
    let email = email.map(|email| people::check_email(&email)).transpose().map_err(bad)?;
    people::check_display_name(&display_name).map_err(bad)?;
    let password = match password {
        Some(password) => Some(app.passwords.hash(password, For::default()).await?),
        None => None,
    };
    let by = Arc::clone(&principal.identity);
    let new = NewUser { name, email, display_name, password, is_instance_admin, by, now: app.clock.now() };
    let user = app.store.users.create(new).await?.map_err(refused)?;
    tracing::info!(by = &*principal.identity, user = %user.name, is_instance_admin, "a user was made");
    let user = UserBody::from(user);
    Ok((StatusCode::CREATED, facts(&user, false), Json(user)))
}

/// Changes a user.
#[utoipa::path(patch, path = "/api/instance/users/{name}", tag = "people", params(("name" = String, Path)), request_body = UserPatch,
    responses((status = 200, body = UserBody)))]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Authenticated(principal, ..): Authenticated,
    UserRef(name): UserRef,
    SecretBody(request): SecretBody<UserPatch>,
) -> Result<(Extension<Facts>, Json<UserBody>), Problem> {
    must(&principal, Action::Write)?;
    let UserPatch { email, display_name, password, is_instance_admin, is_disabled, oidc_subject } = request;
    let email = email.map(|email| email.map(|email| people::check_email(&email)).transpose()).transpose().map_err(bad)?;
    display_name.as_deref().map_or(Ok(()), people::check_display_name).map_err(bad)?;
    let link = oidc_subject.map(|subject| link(&app, subject)).transpose()?;
    let password = match password {
        Some(password) => Some(app.passwords.hash(password, For::default()).await?),
        None => None,
    };
    let has_new_password = password.is_some();
    let change = UserChange { email, display_name, password, password_was: None, is_instance_admin, is_disabled, link };
    let user = app.store.users.change(name, change).await?.map_err(refused)?.ok_or_else(no_user)?;
    app.outdate_people(vec![user.name.clone()]);
    tracing::info!(by = &*principal.identity, user = %user.name, "a user was changed");
    let user = whole(&app, user).await?;
    Ok((facts(&user, has_new_password), Json(user)))
}
