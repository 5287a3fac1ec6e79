//! Where an HTTP request goes: scheme, host and port, in one form only, so that two that are the same compare as the same.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Bytes of a host name, as DNS has it.
const NAME_BYTES_MAX: usize = 253;
/// Bytes between two dots of one.
const LABEL_BYTES_MAX: usize = 63;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Only these two, in lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.name() == name)
    }
}

/// What is wrong with an origin, for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOrigin(String);

fn invalid<T>(reason: impl Into<String>) -> Result<T, InvalidOrigin> {
    Err(InvalidOrigin(reason.into()))
}

/// A name in lower case, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    Name(String),
    Address(IpAddr),
}

impl FromStr for Host {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            return address.map_or_else(|| invalid(format!("`{text}` is no IPv6 address")), |address| Ok(Self::Address(address.into())));
        }
        if !text.is_ascii() {
            return invalid(format!("the host `{text}` is not ASCII; write it in punycode (`xn--…`)"));
        }
        let name = text.to_ascii_lowercase();
        if ends_in_number(&name) {
            // Others read `127.1`, `0x7f.1` and `2130706433` as addresses too; whoever means one writes it in full.
            let address =
                name.parse::<Ipv4Addr>().map_err(|_| InvalidOrigin(format!("`{text}` is no IPv4 address as four decimal numbers")));
            return address.map(|address| Self::Address(address.into()));
        }
        if name.len() > NAME_BYTES_MAX {
            return invalid(format!("a host has at most {NAME_BYTES_MAX} bytes"));
        }
        if name.ends_with('.') {
            return invalid(format!("the host `{text}` ends with a dot; leave it out"));
        }
        match name.split('.').find(|label| !is_label(label)) {
            Some(label) => invalid(format!("`{label}` in the host `{text}` is no part of a host's name")),
            None => Ok(Self::Name(name)),
        }
    }
}

/// Whether it would be read as an IPv4 address, in whatever spelling.
fn ends_in_number(name: &str) -> bool {
    let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub scheme: Scheme,
    pub host: Host,
    pub port: u16,
}

impl Origin {
    /// Of a URL's authority: host, and port if it is not the scheme's.
    ///
    /// # Errors
    /// What is wrong with it; a user or a password in it is, too.
    pub fn of(scheme: Scheme, authority: &str) -> Result<Self, InvalidOrigin> {
        let (host, port) = split(scheme, authority)?;
        Ok(Self { scheme, host: host.parse()?, port })
    }

    /// What is sent as `Host`: the port only if it is not the scheme's.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { scheme, host, port } = self;
        if *port == scheme.default_port() { host.to_string() } else { format!("{host}:{port}") }
    }
}

/// Host as it is written, and port.
pub(super) fn split(scheme: Scheme, authority: &str) -> Result<(&str, u16), InvalidOrigin> {
    if authority.contains('@') {
        return invalid("a user or a password has no place in a URL");
    }
    let after_host = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[after_host..].find(':').map(|at| at + after_host) else { return Ok((authority, scheme.default_port())) };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number != 0 => Ok((host, number)),
        _ => invalid(format!("`{port}` is no port")),
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let Some((scheme, authority)) = text.split_once("://") else { return invalid("an origin is like `https://host`") };
        let Some(scheme) = Scheme::from_name(scheme) else { return invalid(format!("the scheme `{scheme}` is neither http nor https")) };
        Self::of(scheme, authority)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_each() {
        for (text, form) in [
            ("https://API.Example.com:443", "https://api.example.com"),
            ("http://example.com:80", "http://example.com"),
            ("http://example.com:443", "http://example.com:443"),
            ("https://xn--bcher-kva.example:8443", "https://xn--bcher-kva.example:8443"),
            ("http://127.0.0.1", "http://127.0.0.1"),
            ("https://[0:0:0:0:0:0:0:1]:443", "https://[::1]"),
            ("https://[::FFFF:127.0.0.1]:1", "https://[::ffff:127.0.0.1]:1"),
            ("http://a_b.c-d", "http://a_b.c-d"),
            ("http://1.example", "http://1.example"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), form, "{text}");
        }
    }

    #[test]
    fn what_is_no_origin() {
        let long = format!("http://{}", "a.".repeat(126) + "bc");
        let label = format!("http://{}.x", "a".repeat(64));
        for text in [
            "",
            "example.com",
            "ftp://example.com",
            "HTTP://example.com",
            "http://",
            "http://.",
            "http://a..b",
            "http://a.",
            "http://.a",
            "http://a b",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "http://bücher.example",
            "http://a%2eb",
            "http://a\\b",
            "http://a\0b",
            "http://user@a",
            "http://user:secret@a",
            "http://a@b:1",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://a:+1",
            "http://a:1:2",
            "http://2130706433",
            "http://0x7f000001",
            "http://0x7f.1",
            "http://127.1",
            "http://127.0.0.1.",
            "http://0177.0.0.1",
            "http://0x",
            "http://1.2.3.256",
            "http://1.2.3.4.5",
            "http://[::1",
            "http://::1",
            "http://[::1%25eth0]",
            "http://[1.2.3.4]",
            "http://[::1]x",
            "http://[]",
            "http://*",
            &long,
            &label,
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
