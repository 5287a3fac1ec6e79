//! Requests to the identity provider, with bounds of time and size. Redirects are not followed: where it is was said by the operator, or by
//! itself.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http};
use sandmill_capabilities::http::{InvalidAuthorities, tls_config};
use sandmill_model::BoxFuture;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// One request, from the connection to the end of the answer.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of an answer: discovery documents, keys and tokens have some thousands.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no answer; for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(String);

pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    allows_plain: bool,
}

impl Transport {
    /// `authorities`, as PEM, are trusted beside Mozilla's.
    pub(super) fn new(allows_plain: bool, authorities: Option<&[u8]>) -> Result<Self, InvalidAuthorities> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls_config(authorities)?);
        let connector = connector.https_or_http().enable_http1().wrap_connector(tcp);
        let mut client = Client::builder(TokioExecutor::new());
        let client = client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_LIMIT).build(connector);
        Ok(Self { client, allows_plain })
    }

    /// Whether something may be asked by this scheme.
    pub(super) fn may_ask(&self, scheme: &str) -> bool {
        scheme == "https" || (scheme == "http" && self.allows_plain)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, Broken> {
        let (head, body) = request.into_parts();
        let place = format!("{}{}", head.uri.authority().map_or("", http::uri::Authority::as_str), head.uri.path());
        if !self.may_ask(head.uri.scheme_str().unwrap_or_default()) {
            return Err(Broken(format!("{place} is not https, and is not asked")));
        }
        let request = http::Request::from_parts(head, Full::new(Bytes::from(body)));
        let answering = async {
            let response = self.client.request(request).await;
            let (head, body) = response.map_err(|error| Broken(format!("{place} cannot be reached: {}", innermost(&error))))?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Broken(format!("the answer of {place} broke off, or is too large: {error}")))?;
            Ok::<_, Broken>(http::Response::from_parts(head, body.to_bytes().to_vec()))
        };
        let late = || Broken(format!("{place} does not answer within {} s", EXCHANGE_LIMIT.as_secs()));
        tokio::time::timeout(EXCHANGE_LIMIT, answering).await.unwrap_or_else(|_| Err(late()))
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = Broken;
    type Future = BoxFuture<'c, Result<HttpResponse, Broken>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}

/// What was wrong in the end: the outer errors say only that something was.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_asked_in_the_open() {
        let request = || http::Request::get("http://127.0.0.1:1/x").body(Vec::new()).unwrap();
        let ask = async |allows_plain| Transport::new(allows_plain, None).unwrap().exchange(request()).await.unwrap_err().to_string();
        assert_eq!(ask(false).await, "127.0.0.1:1/x is not https, and is not asked");
        let refused = ask(true).await;
        assert!(refused.starts_with("127.0.0.1:1/x cannot be reached: "), "{refused}");
        assert!(Transport::new(false, Some(b"nothing")).is_err());
    }
}
