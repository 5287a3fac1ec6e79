//! Requests and answers.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use sandmill_api::ClientAddress;
use tower::ServiceExt;

use super::{ADMIN, Api};

/// A request; with the admin's token unless told otherwise.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
    token: Option<String>,
    client: Option<ClientAddress>,
}

fn call(method: Method, uri: impl Into<String>) -> Call {
    Call { method, uri: uri.into(), headers: HeaderMap::new(), body: Bytes::new(), token: Some(ADMIN.to_owned()), client: None }
}

pub(crate) fn get(uri: impl Into<String>) -> Call {
    call(Method::GET, uri)
}

pub(crate) fn post(uri: impl Into<String>) -> Call {
    call(Method::POST, uri)
}

pub(crate) fn put(uri: impl Into<String>) -> Call {
    call(Method::PUT, uri)
}

pub(crate) fn patch(uri: impl Into<String>) -> Call {
    call(Method::PATCH, uri)
}

pub(crate) fn delete(uri: impl Into<String>) -> Call {
    call(Method::DELETE, uri)
}

pub(crate) fn head(uri: impl Into<String>) -> Call {
    call(Method::HEAD, uri)
}

pub(crate) fn options(uri: impl Into<String>) -> Call {
    call(Method::OPTIONS, uri)
}

impl Call {
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn no_token(mut self) -> Self {
        self.token = None;
        self
    }

    /// As if it had come over a connection, with TLS or without.
    pub(crate) fn client(mut self, address: &str, is_secure: bool) -> Self {
        self.client = Some(ClientAddress { address: address.parse().unwrap(), is_secure });
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, body: serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) async fn to(self, api: &Api) -> Answer {
        let (parts, body) = self.send(api).await.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    /// What comes of an answer of status 200 that breaks off.
    pub(crate) async fn until_it_breaks_off(self, api: &Api) -> Bytes {
        let (parts, mut body) = self.send(api).await.into_parts();
        assert_eq!(parts.status, 200);
        let mut bytes = Vec::new();
        loop {
            match body.frame().await {
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().unwrap()),
                Some(Err(_)) => return bytes.into(),
                None => panic!("it looks whole after {} bytes", bytes.len()),
            }
        }
    }

    /// The answer as it comes.
    pub(crate) async fn send(self, api: &Api) -> Response<Body> {
        let mut request = Request::builder().method(self.method).uri(self.uri).body(Body::from(self.body)).unwrap();
        *request.headers_mut() = self.headers;
        if let Some(token) = self.token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if let Some(client) = self.client {
            request.extensions_mut().insert(client);
        }
        api.router.clone().oneshot(request).await.unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn run_id(&self) -> String {
        self.header("sandmill-run-id").unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    /// It is a problem with this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> serde_json::Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let value = self.value();
        assert_eq!((value["code"].as_str(), value["status"].as_u64()), (Some(code), Some(u64::from(status))), "{value}");
        assert_eq!(value["type"], format!("/errors/{code}"));
        assert_eq!(value["request_id"].as_str(), self.header("x-request-id"));
        assert!(!value["title"].as_str().unwrap().is_empty() && !value["detail"].as_str().unwrap().is_empty(), "{value}");
        value
    }
}
