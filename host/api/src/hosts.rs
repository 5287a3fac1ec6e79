//! A host name of its own for what scripts answer, so that a browser takes it for another site than the API.

use std::{fmt, str::FromStr, sync::Arc};

use http::{HeaderMap, Uri, header, uri::Authority};
use sandmill_model::Code;

use crate::problem::Problem;

/// Bytes of a host name.
const BYTES_MAX: usize = 253;

/// The host name under which the endpoints of trigger kinds are, and nothing else; under every other name there is everything but them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutesHost(Arc<str>);

impl fmt::Display for RoutesHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoutesHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority: Authority = text.parse().map_err(|_| format!("`{text}` is no host name"))?;
        if authority.host() != text || text.len() > BYTES_MAX {
            return Err(format!("`{text}` is no host name: leave out the scheme, the port and everything else"));
        }
        Ok(Self(canonical(text).into()))
    }
}

/// Which part of the server a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Api,
    Routes,
}

impl RoutesHost {
    /// # Errors
    /// `bad_request` if it is not clear which host is meant, `not_found` if there is nothing of `side` at this one.
    pub(crate) fn check(&self, side: Side, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        let meant = match host(headers, uri)? {
            Some(host) if host == *self.0 => Side::Routes,
            _ => Side::Api,
        };
        match (meant, side) {
            (Side::Routes, Side::Routes) | (Side::Api, Side::Api) => Ok(()),
            (Side::Routes, Side::Api) => Err(Problem::new(Code::NotFound, "there is nothing of the API at this host name")),
            (Side::Api, Side::Routes) => {
                Err(Problem::new(Code::NotFound, format!("what starts runs by a request of its own is at the host name {self}")))
            }
        }
    }
}

/// The host that a request names; nothing if it names none.
fn host(headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, Problem> {
    let unclear = || Problem::new(Code::BadRequest, "the request must name one host");
    // What the URL says counts more than the field (RFC 9112, 3.2.2); in HTTP/2 it is there as a rule.
    if let Some(authority) = uri.authority() {
        return Ok(Some(canonical(authority.host())));
    }
    let mut fields = headers.get_all(header::HOST).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(unclear());
    }
    let authority: Authority = field.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(unclear)?;
    Ok(Some(canonical(authority.host())))
}

/// Names are the same in any case, and with the dot of the root behind them.
fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(fields: &[&str], uri: &str, expected: Option<Side>) {
        let host: RoutesHost = "Run.example.org".parse().unwrap();
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::HOST, HeaderValue::from_str(field).unwrap());
        }
        let uri: Uri = uri.parse().unwrap();
        let meant = [Side::Api, Side::Routes].into_iter().find(|side| host.check(*side, &headers, &uri).is_ok());
        assert_eq!(meant, expected, "{fields:?} {uri}");
        let other = if expected == Some(Side::Api) { Side::Routes } else { Side::Api };
        let problem = host.check(other, &headers, &uri).unwrap_err();
        assert_eq!(problem.code(), if expected.is_some() { Code::NotFound } else { Code::BadRequest });
    }

    #[test]
    fn one_host_is_for_routes_and_all_others_are_not() {
        for same in ["run.example.org", "RUN.example.ORG", "run.example.org:8443", "run.example.org."] {
            check(&[same], "/x", Some(Side::Routes));
            check(&[], &format!("http://{same}/x"), Some(Side::Routes));
        }
        for other in ["example.org", "xrun.example.org", "run.example.org.example.net", "127.0.0.1:8000", "[::1]:8000"] {
            check(&[other], "/x", Some(Side::Api));
        }
        check(&[], "/x", Some(Side::Api));
        check(&["example.org"], "http://run.example.org/x", Some(Side::Routes));
        check(&["run.example.org"], "http://example.org/x", Some(Side::Api));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        check(&["run.example.org", "example.org"], "/x", None);
        check(&["example.org", "example.org"], "/x", None);
        for odd in ["a b", "", "run.example.org/x", "a:b:c"] {
            check(&[odd], "/x", None);
        }
    }

    #[test]
    fn names_without_anything_else() {
        assert_eq!("Run.Example.org.".parse::<RoutesHost>().unwrap().to_string(), "run.example.org");
        for bad in ["", "http://a", "a:1", "u@a", "a/b", "a b", &*"a".repeat(BYTES_MAX + 1)] {
            assert!(bad.parse::<RoutesHost>().is_err(), "{bad}");
        }
    }
}
