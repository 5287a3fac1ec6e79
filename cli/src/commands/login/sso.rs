//! `sandmill login URL --sso`: a browser on this machine logs somebody in, and brings a code that only this command can use.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, Url};
use sandmill_model::{Digest, random};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::Opened;
use crate::{client::Server, console::Console, error::CliError};

/// How long somebody may take to log in; the server takes no more either.
const LOGIN_LIMIT: Duration = Duration::from_secs(600);
/// Browsers open connections that they do not use.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const CONNECTIONS_MAX: usize = 16;
/// Characters of a code behind `sc_`.
const CODE_LENGTH: usize = 52;

/// The token of a session of whoever logs in.
pub(super) async fn open(nobody: &Server, url: &Url, console: &mut Console) -> Result<String, CliError> {
    let failed = |error: std::io::Error| CliError::input(format!("a browser cannot come back here: {error}"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    // Any page that is open may send a browser to any port here. Only the server learns where a code is taken, and tells it to the browser
    // that logs in.
    let segment = Digest::of(&random::bytes::<32>()).hex();
    let loopback = format!("http://{}/{segment}", listener.local_addr().map_err(failed)?);
    let verifier = Digest::of(&random::bytes::<32>()).hex();
    let challenge = Digest::of(verifier.as_bytes()).hex();
    let start = format!("{}/api/auth/oidc/start", url.as_str().trim_end_matches('/'));
    let start = Url::parse_with_params(&start, [("loopback", &loopback), ("challenge", &challenge)])
        .map_err(|error| CliError::input(format!("{url} is no address of a server: {error}")))?;
    console.note("open this in a browser on this machine, and log in:");
    console.note(start.as_str());
    console.note(&format!("the page that asks you must show {}", check(&challenge)));
    let waited = timeout(LOGIN_LIMIT, wait(&listener, nobody, &Secrets { segment, verifier })).await;
    waited.unwrap_or_else(|_| Err(CliError::Unreachable("nobody has logged in within ten minutes".to_owned())))
}

/// What the server's page shows, too.
fn check(challenge: &str) -> String {
    let (one, other) = (challenge.get(..4), challenge.get(4..8));
    format!("{}-{}", one.unwrap_or_default(), other.unwrap_or_default())
}

/// What this command alone knows, until it tells the server.
struct Secrets {
    /// Of the address to which codes come.
    segment: String,
    verifier: String,
}

/// Whatever else comes: any page can send a browser here. What the server refuses ends nothing, or whoever brings it could.
async fn wait(listener: &TcpListener, nobody: &Server, secrets: &Secrets) -> Result<String, CliError> {
    let segment: Arc<str> = secrets.segment.as_str().into();
    let mut asking = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept(), if asking.len() < CONNECTIONS_MAX => {
                asking.spawn(timeout(HEAD_LIMIT, brought(stream, Arc::clone(&segment))));
            }
            Some(brought) = asking.join_next() => {
                let Ok(Ok(Some((stream, code)))) = brought else { continue };
                match exchange(nobody, &code, &secrets.verifier).await {
                    Ok(token) => {
                        answer(stream, "200 OK", "You are logged in. You can close this page.").await;
                        return Ok(token);
                    }
                    Err(CliError::Problem(problem)) if problem.status == 401 => {
                        answer(stream, "400 Bad Request", "The code is not good, or no longer: open the link of the command again.").await;
                    }
                    Err(CliError::Problem(_)) => {
                        let text = "The server does not take the code at present: wait a minute, and open the link of the command again.";
                        answer(stream, "503 Service Unavailable", text).await;
                    }
                    Err(error) => {
                        answer(stream, "502 Bad Gateway", "The login failed; the command says why.").await;
                        return Err(error);
                    }
                }
            }
            else => return Err(CliError::Unreachable("a browser cannot come back here any more".to_owned())),
        }
    }
}

async fn exchange(nobody: &Server, code: &str, verifier: &str) -> Result<String, CliError> {
    let body = json!({"code": code, "verifier": verifier});
    let opened: Opened = nobody.read(nobody.request_at(Method::POST, "api/auth/oidc/exchange").json(&body)).await?;
    opened.token.ok_or_else(|| CliError::Unreachable("the server opened a session without a token".to_owned()))
}

/// The code that a browser brings. Whoever brings none is told that there is nothing.
async fn brought(mut stream: TcpStream, segment: Arc<str>) -> Option<(TcpStream, String)> {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&part[..read]);
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    if let Some(code) = code(&head, &segment) {
        return Some((stream, code));
    }
    answer(stream, "404 Not Found", "There is nothing here.").await;
    None
}

/// Nothing but what the server makes: each that is tried counts among the tries of whoever logs in.
fn code(head: &[u8], segment: &str) -> Option<String> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let query = line.strip_prefix("GET /")?.strip_suffix(" HTTP/1.1")?.strip_prefix(segment)?;
    let code = query.strip_prefix("?code=")?;
    let secret = code.strip_prefix("sc_")?;
    let is_code = secret.len() == CODE_LENGTH && secret.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_code.then(|| code.to_owned())
}

async fn answer(mut stream: TcpStream, status: &str, text: &str) {
    let body = format!("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sandmill</title><p>{text}</p></html>");
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {length}\r\n");
    let rest = "cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n";
    // Whoever has gone does not want it.
    let _gone = stream.write_all(format!("{head}{rest}{body}").as_bytes()).await;
    let _gone = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_are_taken() {
        let segment = "5e".repeat(32);
        let of = |line: &str| code(format!("{line}\r\nhost: x\r\n\r\n").as_bytes(), &segment);
        let good = "sc_abcdefghijklm234567abcdefghijklm234567abcdefghijklm2".to_owned();
        assert_eq!(of(&format!("GET /{segment}?code={good} HTTP/1.1")), Some(good.clone()));
        for bad in [
            // Any page can make a browser send these.
            format!("GET /?code={good} HTTP/1.1"),
            format!("GET /{}?code={good} HTTP/1.1", "5f".repeat(32)),
            format!("GET /{segment}/?code={good} HTTP/1.1"),
            format!("GET /{}?code={good} HTTP/1.1", &segment[1..]),
            // These are no codes.
            format!("GET /{segment} HTTP/1.1"),
            format!("GET /{segment}?code= HTTP/1.1"),
            format!("GET /{segment}?code=x HTTP/1.1"),
            format!("GET /{segment}?code={} HTTP/1.1", &good[3..]),
            format!("GET /{segment}?code={} HTTP/1.1", &good[..54]),
            format!("GET /{segment}?code={good}a HTTP/1.1"),
            format!("GET /{segment}?code=sm{} HTTP/1.1", &good[2..]),
            format!("GET /{segment}?code={good}&x=y HTTP/1.1"),
            format!("GET /{segment}?code={} HTTP/1.1", good.to_uppercase()),
            format!("POST /{segment}?code={good} HTTP/1.1"),
            "GET /favicon.ico HTTP/1.1".to_owned(),
            String::new(),
        ] {
            assert_eq!(of(&bad), None, "{bad}");
        }
        assert_eq!(code(b"\xff\r\n\r\n", ""), None);
        assert_eq!(check("0123456789"), "0123-4567");
    }
}
