//! `/api/auth`: people log in and out, change their password and accept invitations.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header, request::Parts};
use sandmill_model::{
    Code, Digest, TokenId,
    audit::{Actor, ActorKind},
    auth::TokenHash,
    people::{self, InvalidPerson, Name},
};
use sandmill_store::{
    members::{InvitationRefused, Invited, Joined},
    users::{Carrier, NewUser, User, UserChange, UserRefused},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::refused;
use crate::{
    ClientAddress,
    app::App,
    audit::{Also, Facts},
    auth::NeedsNobody,
    passwords::{self, For},
    problem::Problem,
    request::secret::SecretBody,
    sessions::{self, Opened, Person},
};

/// Workspaces that are listed for whoever asks for themselves.
const WORKSPACES_MAX: u32 = 1_000;
/// Bytes of a name or an e-mail address.
const LOGIN_BYTES_MAX: usize = 254;

/// Not `Debug`: it has a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRequest {
    /// Name or e-mail address.
    user: String,
    password: String,
    /// `cookie`, for browsers, or `header`: then the answer has a `token` to send as `Authorization: Bearer`.
    #[serde(default)]
    carrier: CarrierName,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CarrierName {
    #[default]
    Cookie,
    Header,
}

/// Not `Debug`: it has passwords.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordRequest {
    old: String,
    /// At least 12 characters.
    new: String,
}

/// Not `Debug`: it has a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptRequest {
    /// What whoever invites was shown.
    invitation: String,
    /// The name of the user to be made: letters in lower case, digits, `_`, `.` and `-`. Left out by those who are logged in.
    user: Option<String>,
    /// At least 12 characters.
    password: Option<String>,
    #[serde(default)]
    display_name: String,
}

/// A session that was opened. Not `Debug`: it has secrets.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionBody {
    user: String,
    /// With a cookie: what the header `X-Sandmill-CSRF` must hold in requests that change something.
    csrf: Option<String>,
    /// Without one. It is shown once.
    token: Option<String>,
    expires_at: String,
}

/// Who is logged in. Not `Debug`: it has a secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    user: String,
    /// As whom runs act that they start.
    identity: String,
    email: Option<String>,
    display_name: String,
    is_instance_admin: bool,
    has_password: bool,
    workspaces: Vec<OwnMembership>,
    /// With a cookie: what the header `X-Sandmill-CSRF` must hold in requests that change something.
    csrf: Option<String>,
    expires_at: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OwnMembership {
    workspace: String,
    /// `admin`, `developer`, `operator` or `viewer`.
    role: &'static str,
}

/// Who has accepted an invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    user: String,
}

/// Whoever sends a request that needs no session; no page of another site.
pub(crate) struct Outsider {
    /// Its network.
    pub(super) address: Option<IpAddr>,
    /// A session that the browser still shows.
    cookie: Option<String>,
}

impl FromRequestParts<Arc<App>> for Outsider {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        sessions::check_site(parts)?;
        parts.extensions.insert(NeedsNobody);
        let address = parts.extensions.get::<ClientAddress>().map(ClientAddress::network);
        Ok(Self { address, cookie: sessions::in_cookie(&parts.headers, &parts.uri).map(str::to_owned) })
    }
}

/// Whoever is logged in, by cookie or header.
pub(crate) struct LoggedIn {
    pub(super) person: Arc<Person>,
    secret: String,
}

impl FromRequestParts<Arc<App>> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        if let Some(person) = app.person_by_cookie(parts).await? {
            let secret = sessions::in_cookie(&parts.headers, &parts.uri).unwrap_or_default().to_owned();
            return Ok(Self { person, secret });
        }
        let nobody = || Problem::new(Code::Unauthorized, "this is for people who are logged in: see `POST /api/auth/login`");
        let secret = sessions::in_header(&parts.headers).ok_or_else(nobody)?.to_owned();
        Ok(Self { person: app.person(parts, &secret, Carrier::Header).await?, secret })
    }
}

impl LoggedIn {
    /// After what takes long: whoever was logged out meanwhile, by a change of the password as well, changes nothing more.
    ///
    /// # Errors
    /// `unauthorized`
    async fn must_still_be(&self, app: &App) -> Result<(), Problem> {
        let found = app.store.sessions.find(TokenHash::of(&self.secret), app.clock.now()).await?;
        found.map(drop).ok_or_else(sessions::ended)
    }
}

fn too_many(wait: Duration) -> Problem {
    Problem::new(Code::TooManyRequests, "too many tries have failed; wait some minutes").retry_after(wait)
}

/// Tries that were counted.
pub(super) struct Tries<'a> {
    app: &'a App,
    accounts: Vec<Digest>,
    address: Option<IpAddr>,
}

impl<'a> Tries<'a> {
    /// # Errors
    /// `too_many_requests`
    pub(super) fn count(app: &'a App, account: Option<&str>, address: Option<IpAddr>) -> Result<Self, Problem> {
        let now = app.clock.now();
        let account = account.map(|account| Digest::of(account.as_bytes()));
        address.map_or(Ok(()), |address| app.addresses.take(address, now)).map_err(too_many)?;
        account.map_or(Ok(()), |account| app.accounts.take(account, now)).map_err(too_many)?;
        Ok(Self { app, accounts: account.into_iter().collect(), address })
    }

    /// Counts for a user, too, by whatever name or address they were found: all of these have as many tries together as one.
    ///
    /// # Errors
    /// `too_many_requests`
    fn count_user(&mut self, user: &Name) -> Result<(), Problem> {
        let user = Digest::of_parts(&[b"user", user.as_str().as_bytes()]);
        self.app.accounts.take(user, self.app.clock.now()).map_err(too_many)?;
        self.accounts.push(user);
        Ok(())
    }

    /// What was not looked at to the end, by no fault of whoever tried, was no try.
    fn unless_it_failed<T>(self, looked_at: Result<T, Problem>) -> Result<(Self, T), Problem> {
        match looked_at {
            Ok(found) => Ok((self, found)),
            Err(problem) => {
                self.succeeded();
                Err(problem)
            }
        }
    }

    pub(super) fn succeeded(self) {
        self.accounts.iter().for_each(|account| self.app.accounts.give_back(account));
        self.address.iter().for_each(|address| self.app.addresses.give_back(address));
    }
}

/// For the audit log: who has become known by what they sent.
pub(super) fn facts(user: &Name, kind: ActorKind, session: Option<TokenId>) -> Facts {
    let actor = Actor { kind, identity: Some(user.identity()), token: session };
    Facts { actor: Some(actor), target: Some(user.to_string()), after: serde_json::Value::Null }
}

/// The same whatever was wrong.
fn wrong() -> Problem {
    Problem::new(Code::Unauthorized, "nobody of this name has this password")
}

/// Logs somebody in. Whoever has no account is answered as somebody with another password, and no sooner.
#[utoipa::path(post, path = "/api/auth/login", tag = "people", security(()), request_body = LoginRequest,
    responses((status = 200, body = SessionBody)))]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    outsider: Outsider,
    SecretBody(request): SecretBody<LoginRequest>,
) -> Result<Response, Problem> {
    let LoginRequest { user, password, carrier } = request;
    let login = user.trim().to_ascii_lowercase();
    if login.len() > LOGIN_BYTES_MAX {
        return Err(wrong());
    }
    let mut tries = Tries::count(&app, Some(&login), outsider.address)?;
    let (user, kept) = app.store.users.by_login(&login).await?.map_or((None, None), |(user, kept)| (Some(user), kept));
    let whose = For { address: outsider.address, account: Some(login) };
    // Who has no tries left by another name of theirs is told what everybody is told whose password is wrong, and no sooner: that tries by
    // one name are none by another would say whose both are.
    let has_tries = user.as_ref().is_none_or(|user| tries.count_user(&user.name).is_ok());
    let shown = kept.clone().filter(|_| has_tries);
    let (tries, is_right) = tries.unless_it_failed(app.passwords.verify(password, shown, whose).await)?;
    let user = user.filter(|user| is_right && !user.is_disabled).ok_or_else(wrong)?;
    let carrier = match carrier {
        CarrierName::Cookie => Carrier::Cookie,
        CarrierName::Header => Carrier::Header,
    };
    let opened = app.open_session(&user, kept, carrier).await?.ok_or_else(wrong)?;
    tries.succeeded();
    if let Some(old) = outsider.cookie {
        app.end_session(&old).await?;
    }
    answer(&user, &opened, carrier)
}

pub(super) fn answer(user: &User, opened: &Opened, carrier: Carrier) -> Result<Response, Problem> {
    let is_cookie = carrier == Carrier::Cookie;
    let body = SessionBody {
        user: user.name.to_string(),
        csrf: is_cookie.then(|| opened.csrf()),
        token: (!is_cookie).then(|| opened.secret.clone()),
        expires_at: opened.expires_at.to_string(),
    };
    let mut response = unkept(body);
    if is_cookie {
        response.headers_mut().insert(header::SET_COOKIE, opened.cookie()?);
    }
    response.extensions_mut().insert(facts(&user.name, ActorKind::Session, Some(opened.id)));
    Ok(response)
}

/// Nobody keeps answers with secrets.
fn unkept<T: Serialize>(body: T) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Logs out whoever is logged in.
#[utoipa::path(post, path = "/api/auth/logout", tag = "people", responses((status = 204, description = "The session has ended")))]
pub(crate) async fn logout(State(app): State<Arc<App>>, logged_in: LoggedIn) -> Result<Response, Problem> {
    app.end_session(&logged_in.secret).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, sessions::no_cookie()?);
    Ok(response)
}

/// Tells who is logged in, and where they are members.
#[utoipa::path(get, path = "/api/auth/me", tag = "people", responses((status = 200, body = Me)))]
pub(crate) async fn me(State(app): State<Arc<App>>, LoggedIn { person, secret }: LoggedIn) -> Result<Response, Problem> {
    let session = &person.session;
    let User { name, email, display_name, is_instance_admin, has_password, .. } = session.user.clone();
    let workspaces = app.store.members.workspaces_of(&name, WORKSPACES_MAX).await?;
    let body = Me {
        user: name.to_string(),
        identity: name.identity().to_string(),
        email,
        display_name,
        is_instance_admin,
        has_password,
        workspaces: workspaces.into_iter().map(|(workspace, role)| OwnMembership { workspace, role: role.name() }).collect(),
        csrf: (session.carrier == Carrier::Cookie).then(|| sessions::csrf(&secret)),
        expires_at: session.expires_at.to_string(),
    };
    Ok(unkept(body))
}

/// Changes the password of whoever is logged in. All their sessions end, and a new one begins.
#[utoipa::path(put, path = "/api/auth/password", tag = "people", request_body = PasswordRequest,
    responses((status = 200, body = SessionBody)))]
pub(crate) async fn password(
    State(app): State<Arc<App>>,
    logged_in: LoggedIn,
    SecretBody(request): SecretBody<PasswordRequest>,
) -> Result<Response, Problem> {
    let (name, carrier) = (&logged_in.person.session.user.name, logged_in.person.session.carrier);
    let mut tries = Tries::count(&app, None, None)?;
    tries.count_user(name)?;
    let (_, kept) = app.store.users.by_login(name.as_str()).await?.ok_or_else(wrong)?;
    let other = || Problem::new(Code::Forbidden, "that is not the old password");
    let whose = For { address: None, account: Some(name.to_string()) };
    let (tries, is_right) = tries.unless_it_failed(app.passwords.verify(request.old, kept.clone(), whose.clone()).await)?;
    if !is_right {
        return Err(other());
    }
    tries.succeeded();
    let new = app.passwords.hash(request.new, whose).await?;
    // Whoever took this session away must not be overruled by what was begun before.
    logged_in.must_still_be(&app).await?;
    // An admin may have given them another while this was hashed, so that whoever knew the old one is shut out.
    let change = UserChange { password: Some(new.clone()), password_was: kept, ..UserChange::default() };
    let user = app.store.users.change(name.clone(), change).await?;
    let user = user.map_err(|why| if why == UserRefused::PasswordChanged { other() } else { refused(why) })?.ok_or_else(wrong)?;
    app.outdate_people(vec![user.name.clone()]);
    app.end_session(&logged_in.secret).await?;
    let opened = app.open_session(&user, Some(new), carrier).await?.ok_or_else(wrong)?;
    answer(&user, &opened, carrier)
}

/// Accepts an invitation, once: as whoever is logged in, or as a new user, who then logs in.
#[utoipa::path(post, path = "/api/auth/invitation", tag = "people", security(()), request_body = AcceptRequest,
    responses((status = 201, body = Accepted)))]
pub(crate) async fn accept(
    State(app): State<Arc<App>>,
    outsider: Outsider,
    logged_in: Result<LoggedIn, Problem>,
    SecretBody(request): SecretBody<AcceptRequest>,
) -> Result<Response, Problem> {
    let (hash, address) = (TokenHash::of(&request.invitation), outsider.address);
    // By the invitation, too: whoever has a good one must not find out with it which users there are.
    let tries = Tries::count(&app, Some(&format!("invitation {}", hash.0.hex())), address)?;
    match accept_as(&app, hash, address, logged_in, request).await {
        Ok((joined, kind, session)) => {
            tries.succeeded();
            let user = &joined.user.name;
            // It may be known that they were no member.
            app.outdate_people(vec![user.clone()]);
            let also = Also::of_invitation(&joined, &Actor { kind, identity: Some(user.identity()), token: session });
            let facts = facts(user, kind, session);
            Ok((StatusCode::CREATED, Extension(facts), Extension(also), Json(Accepted { user: user.to_string() })).into_response())
        }
        // Before anybody was looked for. All else tells something, and be it by what is looked at first.
        Err(problem) if problem.code() == Code::BadRequest => {
            tries.succeeded();
            Err(problem)
        }
        Err(problem) => Err(problem),
    }
}

async fn accept_as(
    app: &App,
    hash: TokenHash,
    address: Option<IpAddr>,
    logged_in: Result<LoggedIn, Problem>,
    request: AcceptRequest,
) -> Result<(Joined, ActorKind, Option<TokenId>), Problem> {
    let no_good = || {
        let why = "the invitation is not good: it was used or withdrawn, or has expired, or whoever made it may not invite any more, or the \
                   workspace is archived";
        Problem::new(Code::NotFound, why)
    };
    let now = app.clock.now();
    // Before anything that costs something.
    if !app.store.invitations.is_good(hash, now).await? {
        return Err(no_good());
    }
    let (invited, kind, session) = if request.user.is_some() {
        (Invited::New(new_user(app, address, request).await?), ActorKind::Anonymous, None)
    } else {
        let logged_in = logged_in?;
        // The body may have been long on its way.
        logged_in.must_still_be(app).await?;
        let person = logged_in.person;
        (Invited::Known(person.session.user.name.clone()), ActorKind::Session, Some(person.session.id))
    };
    match app.store.invitations.accept(hash, invited, now).await? {
        Ok(joined) => Ok((joined, kind, session)),
        Err(InvitationRefused::NotGood) => Err(no_good()),
        Err(InvitationRefused::IsMember) => Err(Problem::new(Code::Conflict, "you are a member of this workspace already")),
        Err(InvitationRefused::TooMany) => Err(Problem::new(Code::Conflict, "the workspace has as many members as it can have")),
        Err(InvitationRefused::User(UserRefused::TooMany)) => {
            Err(Problem::new(Code::Conflict, "this workspace has brought as many users into the installation as it can"))
        }
        Err(InvitationRefused::User(_)) => Err(not_to_be_had()),
    }
}

/// The same whoever has the name, and whatever it is that is in the way.
fn not_to_be_had() -> Problem {
    Problem::new(Code::Conflict, "this name cannot be had; take another")
}

/// Without an e-mail address: nobody has shown whose it is, and whether it is taken is no matter of whoever was invited.
async fn new_user(app: &App, address: Option<IpAddr>, request: AcceptRequest) -> Result<NewUser, Problem> {
    let bad = |error: InvalidPerson| Problem::new(Code::BadRequest, error.to_string());
    let AcceptRequest { invitation, user, password, display_name } = request;
    let name = Name::of_user(&user.unwrap_or_default()).map_err(bad)?;
    people::check_display_name(&display_name).map_err(bad)?;
    let password = password.ok_or_else(|| Problem::new(Code::BadRequest, "`password` is missing"))?;
    passwords::check(&password)?;
    if !app.store.users.is_free(&name).await? {
        return Err(not_to_be_had());
    }
    let password = Some(app.passwords.hash(password, For { address, account: Some(invitation) }).await?);
    let by = name.identity();
    Ok(NewUser { name, email: None, display_name, password, is_instance_admin: false, by, now: app.clock.now() })
}
