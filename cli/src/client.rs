//! The server, as a client sees it: one connection pool, one token, answers or [`Problem`]s.

mod bulk;
mod events;
mod log;
mod problem;
mod start;
mod stream;
mod tunnel;
mod wire;

use std::{net::IpAddr, path::Path, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header, redirect};
use sandmill_model::ScriptPath;
use serde::de::DeserializeOwned;

pub(crate) use problem::Problem;
pub(crate) use start::{Answer, Order, Terms};
pub(crate) use wire::{BulkReceipt, Deployed, Granted, Instance, LogLine, Node, Page, Receipt, Run, RunError, Script};

use self::tunnel::Tunnel;
use crate::{Globals, error::CliError, profile};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The server answers a waiting caller within 20 s and takes up to a minute to build; more than this is a dead line.
const REQUEST_LIMIT: Duration = Duration::from_secs(180);
const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";
const DEFAULT_WORKSPACE: &str = "default";
/// How a token begins that is a session of a person.
const SESSION_PREFIX: &str = "ss_";

pub(crate) struct Server {
    http: reqwest::Client,
    base: Url,
    /// Where requests are sent: `base`, and without TLS where the tunnel adds it.
    sent_to: Url,
    tunnel: Option<Tunnel>,
    token: String,
    workspace: String,
}

impl Server {
    /// From options and environment, else from the profile.
    pub(crate) fn of(globals: &Globals) -> Result<Self, CliError> {
        let saved = profile::location().map(|file| profile::Profile::load(&file)).transpose()?.flatten();
        let saved_server = saved.as_ref().map(|profile| profile.server.as_str());
        let base = parse_url(globals.server.as_deref().or(saved_server).unwrap_or(DEFAULT_SERVER))?;
        // A saved token is for the server that it was saved with: another one must not see it.
        let saved = saved.filter(|profile| parse_url(&profile.server).is_ok_and(|own| own == base));
        let token = globals.token.clone().or_else(|| saved.as_ref().map(|profile| profile.token.clone()));
        let token = token
            .ok_or_else(|| CliError::input(format!("no token for {base}: run `sandmill login {base} --token T`, or set SANDMILL_TOKEN")))?;
        let workspace = globals.workspace.clone().or_else(|| saved.map(|profile| profile.workspace));
        Self::new(base, token, workspace.unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned()), globals.ca.as_deref())
    }

    pub(crate) fn new(base: Url, token: String, workspace: String, ca: Option<&Path>) -> Result<Self, CliError> {
        if workspace.is_empty() || workspace.contains(['/', '?', '#', '%', '.']) {
            return Err(CliError::input(format!("{workspace:?} is no name of a workspace")));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) || token.is_empty() {
            return Err(CliError::input("the token has characters that no token has"));
        }
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_LIMIT).timeout(REQUEST_LIMIT).redirect(redirect::Policy::none());
        if is_this_machine(&base) {
            http = http.no_proxy();
        }
        let mut sent_to = base.clone();
        let tunnel = if base.scheme() == "https" { Some(Tunnel::to(&base, ca)?) } else { None };
        if let Some(tunnel) = &tunnel {
            http = http.unix_socket(tunnel.socket());
            sent_to.set_scheme("http").map_err(|()| CliError::input(format!("{base} is no address of a server")))?;
        }
        let http = http.build().map_err(|error| CliError::Unreachable(error.to_string()))?;
        Ok(Self { http, base, sent_to, tunnel, token, workspace })
    }

    /// Whether what is shown to the server is a session of a person, and no token.
    pub(crate) fn is_session(&self) -> bool {
        is_session(&self.token)
    }

    /// A request below `/api/w/{workspace}/`.
    pub(crate) fn request(&self, method: Method, rest: &str) -> RequestBuilder {
        self.request_at(method, &format!("api/w/{}/{rest}", self.workspace))
    }

    pub(crate) fn request_at(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/{path}", self.sent_to.as_str().trim_end_matches('/'));
        self.http.request(method, url).header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    /// The answer if it is a good one, else the problem.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await)
    }

    pub(crate) async fn refused(&self, response: Response) -> CliError {
        let status = response.status();
        let is_problem = problem::is_problem(&response);
        match response.bytes().await {
            Ok(body) if is_problem => CliError::Problem(Box::new(Problem::parse(status.as_u16(), &body))),
            Ok(_) => CliError::Unreachable(format!("{} answered {status}, not in the way of a sandmill server", self.base)),
            Err(error) => self.unreachable(&error),
        }
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        self.parsed(&self.bytes(request).await?)
    }

    /// A body that this server answered.
    pub(crate) fn parsed<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(body)
            .map_err(|error| CliError::Unreachable(format!("{} answered something else than expected: {error}", self.base)))
    }

    /// What the script at `path` asks for and was given.
    pub(crate) async fn granted(&self, path: &ScriptPath) -> Result<Granted, CliError> {
        self.read(self.request(Method::GET, &format!("grants/{path}"))).await
    }

    pub(crate) async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, CliError> {
        let response = self.send(request).await?;
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(body.to_vec())
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let why = if error.is_timeout() {
            "no answer in time".to_owned()
        } else if let Some(why) = self.tunnel.as_ref().and_then(Tunnel::fault) {
            why
        } else {
            // The innermost cause says most, e.g. that the connection was refused.
            let mut cause: &dyn std::error::Error = error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            cause.to_string()
        };
        CliError::Unreachable(format!("cannot reach {}: {why}", self.base))
    }
}

/// Whether what is shown as a token is a session of a person.
pub(crate) fn is_session(token: &str) -> bool {
    token.starts_with(SESSION_PREFIX)
}

/// Whether an answer means: not yet.
pub(crate) fn is_pending(response: &Response) -> bool {
    response.status() == StatusCode::ACCEPTED
}

pub(crate) fn parse_url(text: &str) -> Result<Url, CliError> {
    let wrong = |why: &str| CliError::input(format!("{text:?} is no address of a server: {why}"));
    let url = Url::parse(text).map_err(|error| wrong(&format!("{error}; it looks like http://127.0.0.1:8000")))?;
    match url.scheme() {
        "http" | "https" => {}
        _ => return Err(wrong("it starts with http:// or https://")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("only scheme, host, port and a path are wanted; a token goes into --token"));
    }
    Ok(url)
}

/// A proxy has no way to a loopback address.
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:8000", "http://[::1]:8000/", "http://sandmill.test/base", "https://sandmill.test"] {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1:8000", "ftp://x", "https://", "http://user@x", "http://x?token=y", ""] {
            assert!(matches!(parse_url(bad), Err(CliError::Input(_))), "{bad}");
        }
        assert!(is_this_machine(&parse_url("http://[::1]:1").unwrap()) && is_this_machine(&parse_url("http://localhost").unwrap()));
        assert!(!is_this_machine(&parse_url("http://10.0.0.1").unwrap()));
    }

    #[test]
    fn workspaces_and_tokens_are_checked_before_they_enter_a_url() {
        let server =
            |workspace: &str, token: &str| Server::new(parse_url("http://127.0.0.1:1").unwrap(), token.into(), workspace.into(), None);
        assert!(server("default", "sm_x").is_ok());
        for (workspace, token) in [("", "sm_x"), ("a/b", "sm_x"), ("..", "sm_x"), ("default", ""), ("default", "a b"), ("default", "a\nb")]
        {
            assert!(server(workspace, token).is_err(), "{workspace:?} {token:?}");
        }
    }
}
