//! GET requests with bounds: of size, of time, of redirects, and of who sees credentials.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as Tcp},
    rt::TokioExecutor,
};
use reqwest::Url;

use super::reference::is_loopback;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Until the head of an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Between two pieces of a body.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// One answer, redirects and body and all.
const WHOLE_LIMIT: Duration = Duration::from_secs(600);
const REDIRECTS_MAX: usize = 5;
/// Bytes of an answer that says no; what it says is of use, but not needed.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

/// Where plain HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    /// With registries on this machine.
    Local,
    /// With any, as somebody asked for; what shows who asks stays on this machine.
    Anywhere,
    /// With any, logins and all.
    AnywhereWithLogins,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It has more bytes than are taken.
    TooLarge,
    /// What is wrong, in words.
    For(String),
}

pub(super) struct Get<'a> {
    pub(super) url: Url,
    pub(super) accept: &'a str,
    /// Sensitive, if it is somebody's.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) bytes_max: u64,
}

pub(super) struct Answer {
    /// Who answered, after redirects.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

pub(super) struct Transport {
    client: Client<HttpsConnector<Tcp>, Empty<Bytes>>,
    plain: PlainHttp,
}

impl Transport {
    pub(super) fn new(plain: PlainHttp) -> Result<Self, String> {
        let mut tcp = Tcp::new();
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(rustls::crypto::ring::default_provider());
        let tls = tls.map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), plain })
    }

    /// Follows redirects. Credentials go to who was asked first, and to nobody else.
    pub(super) async fn get(&self, get: Get<'_>) -> Result<Answer, Broken> {
        tokio::time::timeout(WHOLE_LIMIT, self.follow(get))
            .await
            .unwrap_or_else(|_| Err(Broken::For(format!("it did not arrive within {} s", WHOLE_LIMIT.as_secs()))))
    }

    async fn follow(&self, mut get: Get<'_>) -> Result<Answer, Broken> {
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.one(&get).await?;
            if !is_redirect(answer.status) {
                return Ok(answer);
            }
            let place = answer.headers.get(header::LOCATION).and_then(|place| place.to_str().ok());
            let place = place.ok_or_else(|| Broken::For(format!("{} redirects nowhere", who(&get.url))))?;
            let next = get.url.join(place).map_err(|error| Broken::For(format!("{} redirects to {place:?}: {error}", who(&get.url))))?;
            self.check_step(&get.url, &next)?;
            if next.origin() != get.url.origin() {
                get.authorization = None;
            }
            get.url = next;
        }
        Err(Broken::For(format!("{} redirects again and again", who(&get.url))))
    }

    async fn one(&self, get: &Get<'_>) -> Result<Answer, Broken> {
        self.check(&get.url)?;
        if get.authorization.as_ref().is_some_and(HeaderValue::is_sensitive) {
            self.check_login(&get.url)?;
        }
        let mut request = Request::get(get.url.as_str()).header(header::ACCEPT, get.accept).header(header::USER_AGENT, "sandmill");
        if let Some(authorization) = &get.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|error| Broken::For(format!("{} cannot be asked: {error}", who(&get.url))))?;
        let response = match tokio::time::timeout(ANSWER_LIMIT, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Broken::For(format!("cannot reach {}: {}", who(&get.url), innermost(&error)))),
            Err(_) => return Err(Broken::For(format!("{} does not answer", who(&get.url)))),
        };
        let (head, body) = response.into_parts();
        let body = if head.status.is_success() {
            collected(body, get.bytes_max).await?
        } else if is_redirect(head.status) {
            Vec::new()
        } else {
            collected(body, REFUSAL_BYTES_MAX).await.unwrap_or_default()
        };
        Ok(Answer { url: get.url.clone(), status: head.status, headers: head.headers, body })
    }

    /// From TLS nobody is sent on to where there is none.
    pub(super) fn check_step(&self, from: &Url, to: &Url) -> Result<(), Broken> {
        if self.plain == PlainHttp::Local && from.scheme() == "https" && to.scheme() != "https" {
            return Err(Broken::For(format!("{} sends on to {}, which is without TLS", who(from), who(to))));
        }
        Ok(())
    }

    /// Whether it may see a login, or be believed where to take one: who is on the way to it reads and writes as they like where there is no TLS.
    pub(super) fn check_login(&self, url: &Url) -> Result<(), Broken> {
        let is_private = url.scheme() == "https" || url.host_str().is_some_and(is_loopback);
        if is_private || self.plain == PlainHttp::AnywhereWithLogins {
            return Ok(());
        }
        Err(Broken::For(format!(
            "{} is asked without TLS, and whoever is on the way could read the password that Docker has for the registry: it was not sent. \
             Use HTTPS, or give --insecure-login as well if you trust the whole way, or `docker logout` if no login is needed",
            who(url)
        )))
    }

    fn check(&self, url: &Url) -> Result<(), Broken> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Broken::For(format!("{} comes with credentials in its address", who(url))));
        }
        let is_allowed = match url.scheme() {
            "https" => true,
            "http" => self.plain != PlainHttp::Local || url.host_str().is_some_and(is_loopback),
            _ => false,
        };
        if is_allowed {
            return Ok(());
        }
        Err(Broken::For(format!("{} is not asked by {}: https only, unless --insecure-registry is given", who(url), url.scheme())))
    }
}

const fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Host and port; queries of redirects are secret.
fn who(url: &Url) -> String {
    let host = url.host_str().unwrap_or("somebody without a name");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The innermost cause says most, e.g. that the connection was refused.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

async fn collected(mut body: Incoming, bytes_max: u64) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    loop {
        let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(error))) => return Err(Broken::For(format!("the answer broke off: {}", innermost(&error)))),
            Err(_) => return Err(Broken::For("the answer stopped in the middle".to_owned())),
        };
        if let Ok(data) = frame.into_data() {
            if (bytes.len() + data.len()) as u64 > bytes_max {
                return Err(Broken::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_see_logins() {
        for (url, by_default, with_logins) in [
            ("https://r.test/v2/", true, true),
            ("http://127.0.0.1:5000/v2/", true, true),
            ("http://localhost/v2/", true, true),
            ("http://[::1]:5000/v2/", true, true),
            ("http://r.test/v2/", false, true),
            ("http://10.0.0.1:5000/v2/", false, true),
            ("http://localhost.r.test/v2/", false, true),
        ] {
            let may = |plain| Transport::new(plain).unwrap().check_login(&Url::parse(url).unwrap()).is_ok();
            assert_eq!((may(PlainHttp::Local), may(PlainHttp::Anywhere)), (by_default, by_default), "{url}");
            assert_eq!(may(PlainHttp::AnywhereWithLogins), with_logins, "{url}");
        }
    }
}
