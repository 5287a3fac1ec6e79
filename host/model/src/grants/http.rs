//! Grants of outbound HTTP: `[METHOD[,METHOD…] ]ORIGIN[/path-prefix][ with RESOURCE-PATH]`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::origin::{Host, InvalidOrigin, Origin, Scheme, split};
use crate::path::ScriptPath;

/// Bytes of a grant's text.
const GRANT_BYTES_MAX: usize = 1_024;
/// Methods that a grant names.
const METHODS_MAX: usize = 16;
/// Bytes of a method.
const METHOD_BYTES_MAX: usize = 32;
/// No request is ever made with these, however they are written: one asks for a tunnel, one shows what was sent, credentials among it, and one
/// begins another protocol.
const METHODS_NEVER: [&str; 3] = ["CONNECT", "TRACE", "PRI"];
/// How often a path may be percent-encoded, one more than anybody does.
const DECODINGS_MAX: usize = 4;

/// Whether requests may have the method at all.
#[must_use]
pub fn is_sent(method: &str) -> bool {
    !METHODS_NEVER.iter().any(|never| never.eq_ignore_ascii_case(method))
}

/// Requests that a script may make, and whose credentials the host adds to them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpGrant {
    /// Sorted; empty: any.
    methods: Vec<String>,
    scheme: Scheme,
    host: HostPattern,
    port: u16,
    /// `/`, or segments that each follow a slash, without one at the end.
    prefix: String,
    resource: Option<ScriptPath>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum HostPattern {
    Any,
    /// Every name that ends with a dot and this.
    Under(String),
    Is(Host),
}

/// What is wrong with a grant, for the script's author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a grant is `[METHOD,… ]https://host[:port][/path-prefix][ with f/path/of-a-resource]`")]
pub struct InvalidGrant(String);

impl From<InvalidOrigin> for InvalidGrant {
    fn from(error: InvalidOrigin) -> Self {
        Self(error.to_string())
    }
}

/// Whether a path may be compared with a prefix: nothing in it means another path to whoever serves it, however often that decodes it.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let mut stage = path.as_bytes().to_vec();
    for _ in 0..DECODINGS_MAX {
        let is_dots = |segment: &[u8]| {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(name.trim_ascii(), b"." | b"..")
        };
        if stage.split(|byte| *byte == b'/').any(is_dots) || stage.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\') {
            return false;
        }
        let Some(next) = decoded(&stage) else { return false };
        if next.len() == stage.len() {
            return true;
        }
        stage = next;
    }
    false
}

/// With what is percent-encoded as the bytes that it stands for; none if among them are dots or slashes, which nobody needs to encode.
fn decoded(path: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let byte = match (path[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                let byte = u8::try_from(high * 16 + low).ok()?;
                if matches!(byte, b'.' | b'/' | b'\\') {
                    return None;
                }
                byte
            }
            (byte, ..) => byte,
        };
        bytes.push(byte);
        at += 1;
    }
    Some(bytes)
}

impl HttpGrant {
    /// The resource whose credentials go with requests that this covers.
    #[must_use]
    pub fn resource(&self) -> Option<&ScriptPath> {
        self.resource.as_ref()
    }

    /// Whether it covers a request of `path`, which has no query. A path that might mean another one is covered only where no prefix is asked.
    #[must_use]
    pub fn covers(&self, method: &str, origin: &Origin, path: &str) -> bool {
        self.covers_method(method)
            && (self.scheme, self.port) == (origin.scheme, origin.port)
            && self.host.covers(&origin.host)
            && (self.prefix == "/" || (is_plain_path(path) && covers_path(&self.prefix, path)))
    }

    /// Whether `other` asks for nothing more.
    #[must_use]
    pub fn covers_grant(&self, other: &Self) -> bool {
        let methods =
            self.methods.is_empty() || (!other.methods.is_empty() && other.methods.iter().all(|method| self.covers_method(method)));
        methods
            && (self.scheme, self.port) == (other.scheme, other.port)
            && self.host.covers_pattern(&other.host)
            && covers_path(&self.prefix, &other.prefix)
            && other.gets_credentials_from(self)
    }

    /// Whether some request that this asks for works where `given` was given: both cover it, and the credentials are the same.
    #[must_use]
    pub fn overlaps(&self, given: &Self) -> bool {
        let methods =
            self.methods.is_empty() || given.methods.is_empty() || self.methods.iter().any(|method| given.methods.contains(method));
        methods
            && (self.scheme, self.port) == (given.scheme, given.port)
            && (self.host.covers_pattern(&given.host) || given.host.covers_pattern(&self.host))
            && (covers_path(&self.prefix, &given.prefix) || covers_path(&given.prefix, &self.prefix))
            && self.gets_credentials_from(given)
    }

    /// Whether `given` lets the credentials go along that this asks for; always if it asks for none.
    #[must_use]
    pub fn gets_credentials_from(&self, given: &Self) -> bool {
        self.resource.is_none() || self.resource == given.resource
    }

    fn covers_method(&self, method: &str) -> bool {
        is_sent(method) && (self.methods.is_empty() || self.methods.iter().any(|own| own == method))
    }
}

/// On whole segments.
fn covers_path(prefix: &str, path: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl HostPattern {
    fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Under(end), Host::Name(name)) => is_under(name, end),
            (Self::Under(_), Host::Address(_)) => false,
            (Self::Is(own), host) => own == host,
        }
    }

    fn covers_pattern(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) | (Self::Is(_), Self::Under(_)) => false,
            (Self::Under(end), Self::Under(other)) => other == end || is_under(other, end),
            (own, Self::Is(host)) => own.covers(host),
        }
    }
}

fn is_under(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|start| start.len() > 1 && start.ends_with('.'))
}

impl FromStr for HostPattern {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Some(end) = text.strip_prefix("*.") else {
            if text.contains('*') {
                return Err(InvalidGrant(format!(
                    "`*` in the host `{text}` stands neither for all of it nor for its beginning, as in `*.example.com`"
                )));
            }
            return Ok(Self::Is(text.parse()?));
        };
        match end.parse()? {
            Host::Name(end) => Ok(Self::Under(end)),
            Host::Address(_) => Err(InvalidGrant(format!("nothing is under the address `{end}`"))),
        }
    }
}

impl FromStr for HttpGrant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        if text.len() > GRANT_BYTES_MAX {
            return Err(InvalidGrant(format!("it has more than {GRANT_BYTES_MAX} bytes")));
        }
        let mut words = text.split_ascii_whitespace().peekable();
        let methods = words.next_if(|word| !word.contains("://"));
        let url = words.next().ok_or_else(|| InvalidGrant("it names no origin, which begins with `https://` or `http://`".to_owned()))?;
        let methods = methods.map(parse_methods).transpose()?.unwrap_or_default();
        let resource = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("with"), Some(path), None) => {
                Some(path.parse().map_err(|error| InvalidGrant(format!("the resource `{path}`: {error}")))?)
            }
            _ => return Err(InvalidGrant("what follows the URL is not `with` and the path of a resource".to_owned())),
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| InvalidGrant(format!("`{url}` is no URL")))?;
        let scheme =
            Scheme::from_name(scheme).ok_or_else(|| InvalidGrant(format!("the scheme `{scheme}` is neither `http` nor `https`")))?;
        let (authority, prefix) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
        let (host, port) = split(scheme, authority)?;
        Ok(Self { methods, scheme, host: host.parse()?, port, prefix: parse_prefix(prefix)?, resource })
    }
}

fn parse_methods(text: &str) -> Result<Vec<String>, InvalidGrant> {
    let mut methods: Vec<String> = text.split(',').map(str::to_ascii_uppercase).collect();
    let is_method = |method: &String| {
        let is_of_methods = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        (1..=METHOD_BYTES_MAX).contains(&method.len()) && method.bytes().all(is_of_methods)
    };
    if let Some(method) = methods.iter().find(|method| !is_method(method)) {
        return Err(InvalidGrant(format!("`{method}` is no method")));
    }
    if let Some(method) = methods.iter().find(|method| !is_sent(method)) {
        return Err(InvalidGrant(format!("requests with {method} are never made")));
    }
    if methods.len() > METHODS_MAX {
        return Err(InvalidGrant(format!("it names more than {METHODS_MAX} methods; name none for any")));
    }
    methods.sort_unstable();
    methods.dedup();
    Ok(methods)
}

fn parse_prefix(text: &str) -> Result<String, InvalidGrant> {
    let prefix = text.strip_suffix('/').unwrap_or(text);
    if prefix.is_empty() {
        return Ok("/".to_owned());
    }
    if prefix.contains(['?', '#']) {
        return Err(InvalidGrant("it has a query or a fragment; grants end with a path".to_owned()));
    }
    if prefix.contains('*') {
        return Err(InvalidGrant(format!("`*` has no place in the path `{prefix}`: a path covers all that is below it")));
    }
    if !is_plain_path(prefix) || prefix.contains("//") {
        return Err(InvalidGrant(format!(
            "the path `{prefix}` has segments that are empty or dots, encoded slashes or dots, or odd characters"
        )));
    }
    Ok(prefix.to_owned())
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        write!(f, "{}://", self.scheme.name())?;
        match &self.host {
            HostPattern::Any => f.write_str("*")?,
            HostPattern::Under(end) => write!(f, "*.{end}")?,
            HostPattern::Is(host) => host.fmt(f)?,
        }
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        if self.prefix != "/" {
            f.write_str(&self.prefix)?;
        }
        self.resource.as_ref().map_or(Ok(()), |resource| write!(f, " with {resource}"))
    }
}

impl Serialize for HttpGrant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HttpGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("`{text}`: {error}")))
    }
}

impl JsonSchema for HttpGrant {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HttpGrant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": GRANT_BYTES_MAX })
    }
}

#[cfg(test)]
mod tests;
