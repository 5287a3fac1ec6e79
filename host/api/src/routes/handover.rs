//! A login that is handed over to a command: a page that asks whoever logs in, a code for the command, and what it is exchanged for.
//!
//! Somebody may be sent a link that another's command made. So nothing goes to a command by itself: the page says who would be logged in
//! and where the command is. The code goes from the page to the browser's own machine alone, and is good for nobody but who made the
//! challenge.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use sandmill_model::{
    Code, TokenId,
    auth::{TokenHash, new_token},
    people::Name,
};
use sandmill_store::users::{Carrier, NewSession, User};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    session::{Outsider, SessionBody, Tries, answer},
    single_sign_on::escaped,
};
use crate::{
    app::App,
    problem::Problem,
    request::secret::SecretBody,
    single_sign_on::{Command, challenge},
};

/// How long a code is good.
const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// Bytes of a code; ours have 55.
const CODE_BYTES_MAX: usize = 64;
/// Characters of a verifier, as in RFC 7636.
const VERIFIER_LENGTH: std::ops::RangeInclusive<usize> = 43..=128;

/// Not `Debug`: it has secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeRequest {
    /// What the page sent to the command.
    code: String,
    /// Of which the challenge was made; 43 to 128 characters.
    verifier: String,
}

/// One look-up finds a code only together with its challenge: with another one it is neither good nor used up.
fn hash(code: &str, challenge: &str) -> TokenHash {
    TokenHash::of(&format!("{code}.{challenge}"))
}

/// A code for a command; none if the user was disabled meanwhile.
pub(super) async fn offer(app: &App, user: &User, command: &Command) -> Result<Option<String>, Problem> {
    let code = new_token().replacen("sm_", "sc_", 1);
    let now = app.clock.now();
    let until = now.plus(CODE_LIFETIME);
    let new = NewSession {
        hash: hash(&code, &command.challenge),
        id: TokenId::new(now),
        user: user.name.clone(),
        password: None,
        carrier: Carrier::Header,
        now,
        idle_until: until,
        expires_at: until,
    };
    Ok(app.store.sessions.offer(new).await?.then_some(code))
}

/// Exchanges the code of a command for a session, once, within a minute. See `sandmill login --sso`.
#[utoipa::path(post, path = "/api/auth/oidc/exchange", tag = "people", security(()), request_body = ExchangeRequest,
    responses((status = 200, body = SessionBody)))]
pub(crate) async fn exchange(
    State(app): State<Arc<App>>,
    outsider: Outsider,
    SecretBody(request): SecretBody<ExchangeRequest>,
) -> Result<Response, Problem> {
    app.single_sign_on()?;
    let wrong = || Problem::new(Code::Unauthorized, "the code is not good: it was used, has expired, or is of another command");
    let ExchangeRequest { code, verifier } = request;
    if code.len() > CODE_BYTES_MAX || !VERIFIER_LENGTH.contains(&verifier.len()) {
        return Err(wrong());
    }
    let tries = Tries::count(&app, None, outsider.address)?;
    let name = app.store.sessions.take(hash(&code, &challenge(&verifier)), app.clock.now()).await?.ok_or_else(wrong)?;
    let user = app.store.users.find(&name).await?.ok_or_else(wrong)?;
    let opened = app.open_session(&user, None, Carrier::Header).await?.ok_or_else(wrong)?;
    tries.succeeded();
    tracing::info!(user = %user.name, "a command was logged in by single sign-on");
    answer(&user, &opened, Carrier::Header)
}

/// Asks whoever logs in. Nothing happens without a click.
pub(super) fn page(user: &Name, command: &Command, code: &str) -> String {
    let (place, address) = (escaped(&command.loopback), escaped(command.address()));
    let (check, user) = (escaped(&command.check()), escaped(user.as_str()));
    let seconds = CODE_LIFETIME.as_secs();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Log a command in?</title></head><body>\
         <h1>Log a command in as {user}?</h1>\
         <p>A command on this computer, at <b>{address}</b>, asks to act as <b>{user}</b>. Go on only if you have just started \
         <code>sandmill login --sso</code> yourself and it shows <b>{check}</b>.</p>\
         <p>If somebody sent you here, close this page: their command would act in your name.</p>\
         <p><a rel=\"noreferrer\" href=\"{place}?code={code}\">Log the command in as {user}</a> (within {seconds} seconds)</p>\
         </body></html>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::single_sign_on::Goal;

    #[test]
    fn a_person_is_asked() {
        let Ok(Goal::Command(command)) = Goal::command("http://[::1]:4711/", &challenge("secret")) else { panic!() };
        let page = page(&"ann".parse().unwrap(), &command, "sc_code");
        assert!(page.contains("<b>ann</b>") && page.contains(&command.check()), "{page}");
        assert!(page.contains("href=\"http://[::1]:4711/?code=sc_code\""), "{page}");
        let segment = "a1".repeat(16);
        let Ok(Goal::Command(secret)) = Goal::command(&format!("http://127.0.0.1:4711/{segment}"), &challenge("secret")) else { panic!() };
        let with_segment = super::page(&"ann".parse().unwrap(), &secret, "sc_code");
        assert!(with_segment.contains(&format!("href=\"http://127.0.0.1:4711/{segment}?code=sc_code\"")), "{with_segment}");
        assert!(with_segment.contains("<b>http://127.0.0.1:4711/</b>"), "{with_segment}");
        assert!(!page.contains("refresh") && !page.contains("<script") && !page.contains(&command.challenge), "{page}");
    }

    #[test]
    fn a_code_belongs_to_its_challenge() {
        assert!(hash("a", "b") == hash("a", "b") && hash("a", "b") != hash("a", "c") && hash("a", "b") != hash("b", "b"));
    }
}
