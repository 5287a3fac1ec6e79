//! `/api/auth/oidc`: people log in by the word of an OpenID Connect provider.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use sandmill_model::{Code, audit::ActorKind, people};
use sandmill_store::{
    subjects::{SUBJECT_BYTES_MAX, Stranger, Subject, SubjectLogin, SubjectRefused},
    users::{Carrier, User},
};
use serde::Deserialize;

use super::{
    handover,
    session::{Tries, facts},
};
use crate::{
    ClientAddress,
    app::App,
    audit::{Also, Facts},
    auth::NeedsNobody,
    problem::Problem,
    request::url::Query,
    sessions,
    single_sign_on::{Assertion, Goal, NotAsserted, Pending, SingleSignOn},
};

/// Where whoever says nothing else goes afterwards.
const HOME: &str = "/";
/// Bytes of a code: whoever makes one up is not listened to for long.
const CODE_BYTES_MAX: usize = 4096;
/// Bytes of what a provider calls an error.
const ERROR_BYTES_MAX: usize = 64;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StartQuery {
    /// The path of a page here to go to afterwards; `/` if left out.
    return_to: Option<String>,
    /// Instead of it: where a command waits on the machine of the browser, `http://127.0.0.1:PORT/` or `http://[::1]:PORT/`, and behind
    /// that 32 to 64 of a-z and 0-9 that nobody guesses, or nothing. Whoever logs in is asked.
    loopback: Option<String>,
    /// With `loopback`: SHA-256, in hexadecimal, of a verifier that only the command knows.
    challenge: Option<String>,
}

impl StartQuery {
    fn goal(&self) -> Result<Goal, &'static str> {
        match (&self.return_to, &self.loopback, &self.challenge) {
            (None, Some(loopback), Some(challenge)) => Goal::command(loopback, challenge),
            (return_to, None, None) => Goal::page(return_to.as_deref().unwrap_or(HOME)),
            _ => Err("either `return_to`, or `loopback` and `challenge`"),
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallbackQuery {
    /// What the provider gives, for what it says of whoever logs in.
    code: Option<String>,
    /// What the provider was given.
    state: Option<String>,
    /// Why the provider gives no code.
    error: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
}

/// A browser, which may come from another site.
pub(crate) struct Browser {
    /// Its network.
    address: Option<IpAddr>,
    headers: HeaderMap,
    /// A session that it still shows.
    cookie: Option<String>,
}

impl FromRequestParts<Arc<App>> for Browser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        parts.extensions.insert(NeedsNobody);
        let address = parts.extensions.get::<ClientAddress>().map(ClientAddress::network);
        let cookie = sessions::in_cookie(&parts.headers, &parts.uri).map(str::to_owned);
        Ok(Self { address, headers: parts.headers.clone(), cookie })
    }
}

impl App {
    /// # Errors
    /// `not_found`, where the operator has not turned it on.
    pub(super) fn single_sign_on(&self) -> Result<&SingleSignOn, Problem> {
        let none = || Problem::new(Code::NotFound, "there is no single sign-on here: the operator turns it on with --oidc-issuer");
        self.single_sign_on.as_ref().ok_or_else(none)
    }
}

fn not_asserted(why: NotAsserted) -> Problem {
    match why {
        NotAsserted::Unavailable(cause) => {
            tracing::warn!(cause, "single sign-on is not to be had");
            let what = "the identity provider cannot be reached at present, or does not answer as it should: the server's log says why";
            Problem::new(Code::Unavailable, what)
        }
        NotAsserted::Busy => Problem::new(Code::TooManyRequests, "too many people log in at this moment; try again"),
        NotAsserted::Refused(why) => Problem::new(Code::Unauthorized, format!("{why}. Begin again at /api/auth/oidc/start")),
    }
}

fn refused(why: SubjectRefused, assertion: &Assertion) -> Problem {
    let subject = &assertion.subject;
    let what = match why {
        SubjectRefused::Unknown => format!(
            "no user is linked with your account: ask an instance admin to `sandmill users change NAME --oidc-subject` with the subject \
             `{subject}`, or the operator for --oidc-allow-signup"
        ),
        SubjectRefused::Disabled => "your user is disabled; ask an instance admin".to_owned(),
        SubjectRefused::EmailTaken => format!(
            "a user who has a password, or another account, or had one, or is an instance admin, has your e-mail address already. If that \
             is you, ask an instance admin to `sandmill users change NAME --oidc-subject` with the subject `{subject}`"
        ),
        SubjectRefused::TooMany => "there are as many users as there can be".to_owned(),
        SubjectRefused::NameTaken => "all names like yours are taken; ask an instance admin to make a user for you".to_owned(),
    };
    Problem::new(Code::Forbidden, what)
}

/// Sends a browser to the identity provider.
#[utoipa::path(get, path = "/api/auth/oidc/start", tag = "people", security(()), params(StartQuery),
    responses((status = 303, description = "To the identity provider")))]
pub(crate) async fn start(State(app): State<Arc<App>>, _: Browser, Query(query): Query<StartQuery>) -> Result<Response, Problem> {
    let sign_on = app.single_sign_on()?;
    let goal = query.goal().map_err(|why| Problem::new(Code::BadRequest, why))?;
    let pending = Pending::begin(&goal, app.clock.now());
    let place = sign_on.provider.begin(pending.secrets()).await.map_err(not_asserted)?;
    let place = HeaderValue::from_str(&place).map_err(|error| Problem::internal(error.to_string()))?;
    let headers = [(header::LOCATION, place), (header::SET_COOKIE, pending.set()?), no_store()];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Logs in whoever comes back from the identity provider.
#[utoipa::path(get, path = "/api/auth/oidc/callback", tag = "people", security(()), params(CallbackQuery),
    responses((status = 200, description = "A page that goes on to where the login was begun, or asks whether to log a command in",
        body = String, content_type = "text/html")))]
pub(crate) async fn callback(
    State(app): State<Arc<App>>,
    browser: Browser,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, Problem> {
    let sign_on = app.single_sign_on()?;
    let (pending, code) = come_back(&app, sign_on, &browser, query)?;
    // Only what the provider is asked about: all else costs nothing, and keeps nobody behind the same address out.
    let tries = Tries::count(&app, None, browser.address)?;
    let assertion = sign_on.provider.finish(code, pending.secrets()).await.map_err(not_asserted)?;
    let login = login(&app, sign_on, &assertion)?;
    let found = app.store.subjects.log_in(login).await?.map_err(|why| refused(why, &assertion))?;
    // It may have other roles than before.
    app.outdate_people(vec![found.user.name.clone()]);
    let also = Also::of_login(&found, &assertion.subject);
    let goal = pending.goal().unwrap_or_else(|| Goal::Page(HOME.to_owned()));
    let mut response = match admit(&app, browser.cookie, goal, &found.user).await {
        Ok(Some(response)) => {
            tries.succeeded();
            tracing::info!(user = %found.user.name, "somebody has logged in by single sign-on");
            response
        }
        Ok(None) => refused(SubjectRefused::Disabled, &assertion).into_response(),
        Err(problem) => problem.into_response(),
    };
    // Whatever became of the session: roles and users are what they are now.
    response.extensions_mut().insert(also);
    Ok(response)
}

/// What somebody is answered who has logged in, and whose browser showed the session `cookie`; none if they were disabled at this moment.
async fn admit(app: &App, cookie: Option<String>, goal: Goal, user: &User) -> Result<Option<Response>, Problem> {
    let mut response = match goal {
        Goal::Page(place) => {
            let Some(opened) = app.open_session(user, None, Carrier::Cookie).await? else { return Ok(None) };
            if let Some(old) = cookie {
                app.end_session(&old).await?;
            }
            let mut response = html(page(&place));
            response.headers_mut().append(header::SET_COOKIE, opened.cookie()?);
            response.extensions_mut().insert(facts(&user.name, ActorKind::Session, Some(opened.id)));
            response
        }
        // The browser stays as it is: it is the command that gets a session, if whoever logs in says so.
        Goal::Command(command) => {
            let Some(code) = handover::offer(app, user, &command).await? else { return Ok(None) };
            let mut response = html(handover::page(&user.name, &command, &code));
            let after = serde_json::json!({"offered_to": command.address()});
            response.extensions_mut().insert(Facts { after, ..facts(&user.name, ActorKind::Anonymous, None) });
            response
        }
    };
    response.headers_mut().append(header::SET_COOKIE, Pending::unset()?);
    Ok(Some(response))
}

fn html(page: String) -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, html), no_store()], page).into_response()
}

fn no_store() -> (http::HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// The login that was begun in this browser, and the code that it comes back with.
fn come_back(app: &App, sign_on: &SingleSignOn, browser: &Browser, query: CallbackQuery) -> Result<(Pending, String), Problem> {
    let unauthorized = |what: String| Problem::new(Code::Unauthorized, what);
    let CallbackQuery { code, state, error, iss } = query;
    let pending = Pending::of(&browser.headers, &state.unwrap_or_default(), app.clock.now()).ok_or_else(|| {
        let what = "this login was not begun in this browser, or more than ten minutes ago, or its cookie was not sent; begin again at \
                    /api/auth/oidc/start";
        unauthorized(what.to_owned())
    })?;
    // The provider of somebody else must not hand in what it says.
    if iss.is_some_and(|issuer| *issuer != *sign_on.provider.issuer()) {
        return Err(unauthorized("another provider answers than the one that was asked".to_owned()));
    }
    if let Some(error) = error {
        let is_name = error.len() <= ERROR_BYTES_MAX && error.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let error = if is_name { error } else { "an unknown error".to_owned() };
        return Err(unauthorized(format!("the identity provider did not log you in: {error}")));
    }
    match code.filter(|code| (1..=CODE_BYTES_MAX).contains(&code.len())) {
        Some(code) => Ok((pending, code)),
        None => Err(Problem::new(Code::BadRequest, "`code` is missing")),
    }
}

/// What becomes of what the provider says.
fn login(app: &App, sign_on: &SingleSignOn, assertion: &Assertion) -> Result<SubjectLogin, Problem> {
    let subject =
        Some(assertion.subject.as_str()).filter(|subject| (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) && !subject.contains('\0'));
    let bad = || not_asserted(NotAsserted::Refused("the identity provider names nobody".to_owned()));
    let subject = Subject { issuer: sign_on.provider.issuer(), subject: subject.ok_or_else(bad)?.into() };
    let stranger = if sign_on.allows_signup {
        let nameless = || Problem::internal("a name cannot be made of what the identity provider says");
        let display_name = assertion.display_name.clone().filter(|name| people::check_display_name(name).is_ok());
        Some(Stranger {
            name: assertion.name().ok_or_else(nameless)?,
            email: assertion.email.as_deref().and_then(|email| people::check_email(email).ok()),
            display_name: display_name.unwrap_or_default(),
        })
    } else {
        None
    };
    Ok(SubjectLogin { subject, stranger, roles: sign_on.given(assertion.groups.as_deref()), now: app.clock.now() })
}

/// Goes on by itself. A redirect would be a part of the way from the other site, on which browsers send no cookie that is `Strict`.
fn page(place: &str) -> String {
    let place = escaped(place);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url={place}\">\
         <title>Logged in</title></head><body><p>You are logged in. <a href=\"{place}\">Go on</a></p></body></html>"
    )
}

/// As it may stand in a page, in an attribute as well.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#39;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_no_more_than_a_place() {
        let page = page("/a?b=\"><script>alert('x')</script>&c");
        assert!(!page.contains("<script") && page.contains("url=/a?b=&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
    }
}
