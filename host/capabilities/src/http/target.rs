//! What a request is for, checked: nothing in a URL makes it go elsewhere than where it was judged to go.

use http::{HeaderName, Uri, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sandmill_model::grants::origin::{Origin, Scheme};

use super::{fault::Fault, limits::TARGET_BYTES};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) origin: Origin,
    /// Begins with a slash.
    path_and_query: String,
}

impl Target {
    pub(super) fn of(uri: &Uri) -> Result<Self, Fault> {
        let invalid = |text: &str| Fault::Url(text.to_owned());
        let scheme = uri.scheme_str().and_then(Scheme::from_name).ok_or_else(|| invalid("its scheme is neither http nor https"))?;
        let authority = uri.authority().ok_or_else(|| invalid("it has no host"))?;
        let origin = Origin::of(scheme, authority.as_str()).map_err(|error| Fault::Url(error.to_string()))?;
        let given = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if given.len() > TARGET_BYTES {
            return Err(Fault::UrlTooLong(TARGET_BYTES));
        }
        let path_and_query = match given.as_bytes().first() {
            Some(b'/') => given.to_owned(),
            None | Some(b'?') => format!("/{given}"),
            Some(_) => return Err(invalid("its path does not begin with a slash")),
        };
        Ok(Self { origin, path_and_query })
    }

    pub(super) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or("/")
    }

    /// Puts in what stands for placeholders.
    pub(super) fn replace(&mut self, replace: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<(), Fault> {
        let replaced = String::from_utf8(replace(self.path_and_query.as_bytes()));
        self.path_and_query = replaced.map_err(|_| Fault::Secrets("a URL with its placeholders replaced is not text".to_owned()))?;
        if self.path_and_query.len() > TARGET_BYTES { Err(Fault::UrlTooLong(TARGET_BYTES)) } else { Ok(()) }
    }

    /// Sets one parameter of the query, in the place of any of the same name.
    pub(super) fn set_query(&mut self, name: &str, value: &str) {
        let (path, query) = self.path_and_query.split_once('?').unwrap_or((&self.path_and_query, ""));
        let is_other = |pair: &&str| {
            let own = pair.split('=').next().unwrap_or_default().replace('+', " ");
            !pair.is_empty() && percent_decode_str(&own).collect::<Vec<u8>>() != name.as_bytes()
        };
        let mut pairs: Vec<String> = query.split('&').filter(is_other).map(str::to_owned).collect();
        pairs.push(format!("{}={}", utf8_percent_encode(name, ENCODED), utf8_percent_encode(value, ENCODED)));
        self.path_and_query = format!("{path}?{}", pairs.join("&"));
    }

    /// What is sent: `Host` is made of it, so that it is the URL's authority in any version of HTTP.
    pub(super) fn uri(&self) -> Result<Uri, Fault> {
        let Self { origin, path_and_query } = self;
        let uri = Uri::builder().scheme(origin.scheme.name()).authority(origin.authority()).path_and_query(path_and_query.as_str());
        // What is wrong is not said: there may be a secret in it.
        uri.build().map_err(|_| Fault::Url("it is too long or has characters that it may not have".to_owned()))
    }
}

/// Headers that belong to a connection, or that the URL decides.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("proxy-")
        || matches!(name, "connection" | "host" | "http2-settings" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Result<Target, Fault> {
        Target::of(&uri.parse::<Uri>().unwrap())
    }

    #[test]
    fn the_url_as_it_is_sent() {
        for (given, sent) in [
            ("https://A.example:443", "https://a.example/"),
            ("https://a.example?q=1", "https://a.example/?q=1"),
            ("http://a.example:443/x?", "http://a.example:443/x?"),
            ("http://[0::1]:80/x?y#z", "http://[::1]/x?y"),
            ("http://a//b/../c", "http://a//b/../c"),
        ] {
            assert_eq!(target(given).unwrap().uri().unwrap().to_string(), sent, "{given}");
        }
        for given in ["http://u@a/", "http://u:p@a/", "http://127.1/", "http://a./", "ftp://a/", "/x", "*", "a:80"] {
            assert!(matches!(target(given), Err(Fault::Url(_))), "{given}");
        }
        assert!(matches!(target(&format!("http://a/{}", "x".repeat(TARGET_BYTES))), Err(Fault::UrlTooLong(_))));
    }

    #[test]
    fn parameters_take_the_place_of_others() {
        for (given, sent) in [
            ("http://a", "/?api%20key=s%26%C3%BC"),
            ("http://a/x?b=1", "/x?b=1&api%20key=s%26%C3%BC"),
            ("http://a/?api+key=mine&b&%61pi%20key=x&api%20key", "/?b&api%20key=s%26%C3%BC"),
        ] {
            let mut target = target(given).unwrap();
            target.set_query("api key", "s&ü");
            assert_eq!(target.path_and_query, sent);
        }
    }
}
