//! Requests to other servers. Granted by method, origin and path: `[grants] http = ["GET https://api.example.com/items with f/demo/token"]`.
//!
//! What goes wrong on the way is an error that is named as in `wasi:http`: `HTTP-request-denied`, `connection-timeout`, …. An answer of any
//! status is no error: look at [`Response::is_ok`]. Redirects are not followed.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, host::http as host, json};

/// A request. It is sent by [`Request::send`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// `http://` or `https://`, host, path and query.
    pub url: String,
    /// Names and values; a name may be there more than once.
    pub headers: Vec<(String, String)>,
    /// What follows the headers.
    pub body: Option<Vec<u8>>,
    /// Bounds the connection, the first byte of the answer, and each pause between parts of it.
    pub timeout: Option<Duration>,
}

/// An answer, with all of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// e.g. 200
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What followed the headers.
    pub body: Vec<u8>,
}

/// `Request::new("GET", url)`
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// `Request::new("POST", url)`
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), ..Self::default() }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With a value as JSON, and the header that says so.
    ///
    /// # Errors
    /// If JSON cannot say it.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        Ok(self.header("content-type", "application/json").body(json::to_string(value)?))
    }

    /// With a bound on the connection, on the first byte of the answer, and on each pause between parts of it.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and waits for the whole answer.
    ///
    /// # Errors
    /// As the module says.
    pub fn send(self) -> Result<Response> {
        host::send(self)
    }

    /// The first value of a header, however its name is written.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Scheme, authority, and path with query.
    ///
    /// # Errors
    /// `HTTP-request-URI-invalid`
    #[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "fakes take the whole URL; tests take it apart"))]
    pub(crate) fn parts(&self) -> Result<(bool, &str, String)> {
        let invalid = || Error::new("HTTP-request-URI-invalid", "a URL begins with `http://` or `https://` and a host");
        let (is_secure, rest) = match (self.url.strip_prefix("https://"), self.url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(invalid()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or_else(invalid)?;
        if authority.is_empty() {
            return Err(invalid());
        }
        Ok((is_secure, authority, if path.starts_with('/') { path.to_owned() } else { ["/", path].concat() }))
    }
}

impl Response {
    /// An answer without headers and body: what fakes begin with.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Whether the status is 200 to 299.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first value of a header, however its name is written.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text.
    ///
    /// # Errors
    /// If it is no UTF-8.
    pub fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.body)?)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is no `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(json::from_str(self.text()?)?)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
