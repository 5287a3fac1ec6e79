//! What a script returns: JSON, bytes, or an answer to an HTTP request.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, json};

/// A script's result, as the host takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text that is one JSON value.
    Json(String),
    /// Bytes and their media type.
    Bytes(Bytes),
}

/// A result that is no JSON. It is sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Media type, e.g. `image/png`.
    pub content_type: String,
    /// At most what the script's limit of results is, 8 MiB if nothing else is said.
    pub data: Vec<u8>,
}

/// The body of an [`HttpAnswer`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// `text/plain; charset=utf-8`, where the headers do not say otherwise.
    Text(String),
    /// JSON text; `application/json`, where the headers do not say otherwise.
    Json(String),
    /// `application/octet-stream`, where the headers do not say otherwise.
    Bytes(Vec<u8>),
}

impl Body {
    /// A value as JSON.
    ///
    /// # Errors
    /// If JSON cannot say it.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Ok(Self::Json(json::to_string(value)?))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// The answer to the HTTP request that started the run, with a status of the script's own choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// From 200 to 599.
    pub status: u16,
    /// Names and values; a name may be there more than once.
    pub headers: Vec<(String, String)>,
    /// What follows the headers.
    pub body: Body,
}

impl HttpAnswer {
    /// An answer without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// `{"$http": {…}}`: the host takes such a result for an answer.
    fn json(&self) -> String {
        let mut text = String::from(r#"{"$http":{"status":"#);
        json::push_u64(&mut text, self.status.into());
        text.push_str(r#","headers":{"#);
        self.push_headers(&mut text);
        text.push('}');
        match &self.body {
            Body::Empty => {}
            Body::Text(body) => {
                text.push_str(r#","body":"#);
                json::push_str(&mut text, body);
            }
            Body::Json(body) => {
                text.push_str(r#","body":"#);
                text.push_str(body);
            }
            Body::Bytes(bytes) => {
                text.push_str(r#","body_base64":""#);
                push_base64(&mut text, bytes);
                text.push('"');
            }
        }
        text.push_str("}}");
        text
    }

    /// An object has a key once: values of one name become an array.
    fn push_headers(&self, text: &mut String) {
        let mut is_first = true;
        for (at, (name, _)) in self.headers.iter().enumerate() {
            let is_same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
            if self.headers.iter().take(at).any(|header| is_same(&header)) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                text.push(',');
            }
            json::push_str(text, name);
            text.push(':');
            let mut begin = '[';
            for (_, value) in self.headers.iter().filter(is_same) {
                text.push(begin);
                json::push_str(text, value);
                begin = ',';
            }
            text.push(']');
        }
    }
}

fn push_base64(out: &mut String, bytes: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for part in bytes.chunks(3) {
        let byte = |at: usize| part.get(at).copied().map_or(0, u32::from);
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS.get((group >> (18 - 6 * at) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if at as usize > part.len() { '=' } else { letter as char });
        }
    }
}

/// What a script may return: all that `serde` can write, [`Bytes`] and [`HttpAnswer`].
pub trait IntoOutput {
    /// As the host takes it.
    ///
    /// # Errors
    /// If JSON cannot say it.
    fn into_output(self) -> Result<Output>;
}

impl<T: Serialize> IntoOutput for T {
    fn into_output(self) -> Result<Output> {
        Ok(Output::Json(json::to_string(&self)?))
    }
}

impl IntoOutput for Bytes {
    fn into_output(self) -> Result<Output> {
        Ok(Output::Bytes(self))
    }
}

impl IntoOutput for HttpAnswer {
    fn into_output(self) -> Result<Output> {
        Ok(Output::Json(self.json()))
    }
}

/// What another script's result may be read as: all that `serde` can read, and [`Bytes`].
pub trait FromOutput: Sized {
    /// # Errors
    /// If it is something else.
    fn from_output(output: Output) -> Result<Self>;
}

impl<T: DeserializeOwned> FromOutput for T {
    fn from_output(output: Output) -> Result<Self> {
        match output {
            Output::Json(text) => Ok(json::from_str(&text)?),
            Output::Bytes(_) => Err(Error::new("TypeError", "the result is bytes: read it as `sandmill::Bytes`")),
        }
    }
}

impl FromOutput for Bytes {
    fn from_output(output: Output) -> Result<Self> {
        match output {
            Output::Bytes(bytes) => Ok(bytes),
            Output::Json(_) => Err(Error::new("TypeError", "the result is JSON, and no bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: HttpAnswer, expected: &str) {
        assert_eq!(answer.into_output().unwrap(), Output::Json(expected.to_owned()));
    }

    #[test]
    fn answers_are_described() {
        check(HttpAnswer::new(204), r#"{"$http":{"status":204,"headers":{}}}"#);
        check(
            HttpAnswer::new(200).header("set-cookie", "a").header("x", "\"").header("Set-Cookie", "b").body("é"),
            r#"{"$http":{"status":200,"headers":{"set-cookie":["a","b"],"x":["\""]},"body":"é"}}"#,
        );
        check(HttpAnswer::new(401).body(Body::json(&[1]).unwrap()), r#"{"$http":{"status":401,"headers":{},"body":[1]}}"#);
        for (bytes, base64) in [(&b""[..], ""), (b"\0", "AA=="), (b"\0\x01", "AAE="), (b"\0\x01\xff", "AAH/"), (b"abcd", "YWJjZA==")] {
            check(
                HttpAnswer::new(200).body(bytes.to_vec()),
                &format!(r#"{{"$http":{{"status":200,"headers":{{}},"body_base64":"{base64}"}}}}"#),
            );
        }
    }

    #[test]
    fn results_are_json_or_bytes() {
        let bytes = Bytes { content_type: "image/png".to_owned(), data: vec![1] };
        let output = bytes.clone().into_output().unwrap();
        assert_eq!(Bytes::from_output(output.clone()).unwrap(), bytes);
        assert_eq!(u8::from_output(output).unwrap_err().name, "TypeError");
        assert_eq!(().into_output().unwrap(), Output::Json("null".to_owned()));
        assert_eq!(u8::from_output(Output::Json("7".to_owned())).unwrap(), 7);
        assert_eq!(Bytes::from_output(Output::Json("7".to_owned())).unwrap_err().name, "TypeError");
    }
}
