//! `oci://registry.example.com/team/hello:1.2.0`, or `@sha256:…`.

use std::{fmt, net::IpAddr, str::FromStr};

use sandmill_model::Digest;

pub(crate) const SCHEME: &str = "oci://";
const REPOSITORY_CHARACTERS_MAX: usize = 255;
const TAG_CHARACTERS_MAX: usize = 128;
const DEFAULT_TAG: &str = "latest";

/// What names an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Host, and port if one is given: `registry.example.com`, `[::1]:5000`.
    pub(super) registry: String,
    /// `team/hello`
    pub(super) repository: String,
    pub(super) version: Version,
}

/// Which of a repository's artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// The last part of the repository.
    pub(crate) fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    /// The same repository's artifact with this digest.
    pub(crate) fn pinned(&self, digest: Digest) -> String {
        format!("{}/{}@{digest}", self.registry, self.repository)
    }

    /// Whether the registry is on this machine.
    pub(super) fn is_local(&self) -> bool {
        is_loopback(host(&self.registry))
    }
}

/// Without the port and the brackets of an IPv6 address.
fn host(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} names no artifact: {why}; it looks like oci://registry.example.com/team/hello:1.2.0");
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it starts with oci://"))?;
        let (registry, rest) = rest.split_once('/').ok_or_else(|| wrong("after the registry comes a repository"))?;
        if !is_registry(registry) {
            return Err(wrong(&format!("{registry:?} is no registry, which is a host and perhaps a port")));
        }
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| wrong(&error.to_string()))?)),
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !is_repository(repository) {
            return Err(wrong(&format!("{repository:?} is no repository, which has small letters, digits and single . _ - between them")));
        }
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(wrong(&format!("{tag:?} is no tag")));
        }
        // A digest says more than a tag beside it.
        let version = match (digest, tag) {
            (Some(digest), _) => Version::Digest(digest),
            (None, tag) => Version::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()),
        };
        Ok(Self { registry: registry.to_ascii_lowercase(), repository: repository.to_owned(), version })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, version } = self;
        match version {
            Version::Tag(tag) => write!(f, "{registry}/{repository}:{tag}"),
            Version::Digest(digest) => write!(f, "{registry}/{repository}@{digest}"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            }
            _ => return false,
        },
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Parts between slashes, of small letters and digits, between which stands one of `.`, `_`, `__` or any number of `-`.
fn is_repository(text: &str) -> bool {
    text.len() <= REPOSITORY_CHARACTERS_MAX && text.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_bounded = part.bytes().next().is_some_and(is_word) && part.bytes().last().is_some_and(is_word);
    let is_separator = |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    is_bounded && part.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit()).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_first = text.bytes().next().is_some_and(is_word);
    is_first && text.len() <= TAG_CHARACTERS_MAX && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = Digest::of(b"x");
        let tag = |tag: &str| Version::Tag(tag.to_owned());
        for (text, registry, repository, version) in [
            ("oci://registry.example.com/team/hello:1.2.0", "registry.example.com", "team/hello", tag("1.2.0")),
            ("oci://localhost:5000/hello", "localhost:5000", "hello", tag("latest")),
            ("oci://[::1]:5000/a/b/c:v_1", "[::1]:5000", "a/b/c", tag("v_1")),
            ("oci://GHCR.io/a--b/c__d.e", "ghcr.io", "a--b/c__d.e", tag("latest")),
            (&format!("oci://r.test/a@{digest}"), "r.test", "a", Version::Digest(digest)),
            (&format!("oci://r.test/a:1@{digest}"), "r.test", "a", Version::Digest(digest)),
        ] {
            let parsed: Reference = text.parse().unwrap();
            assert_eq!((parsed.registry.as_str(), parsed.repository.as_str(), &parsed.version), (registry, repository, &version), "{text}");
        }
        let reference: Reference = "oci://r.test/team/hello".parse().unwrap();
        assert_eq!((reference.name(), reference.to_string().as_str()), ("hello", "r.test/team/hello:latest"));
        assert_eq!(reference.pinned(digest), format!("r.test/team/hello@{digest}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "r.test/a",
            "oci://",
            "oci://r.test",
            "oci://r.test/",
            "oci:///a",
            "oci://r.test:/a",
            "oci://r.test:0/a",
            "oci://r.test:65536/a",
            "oci://r.test:+80/a",
            "oci://user@r.test/a",
            "oci://[::1/a",
            "oci://[x]/a",
            "oci://r_x.test/a",
            "oci://r..test/a",
            "oci://r.test/A",
            "oci://r.test/a//b",
            "oci://r.test/../a",
            "oci://r.test/a___b",
            "oci://r.test/a.-b",
            "oci://r.test/-a",
            "oci://r.test/a/",
            "oci://r.test/a:",
            "oci://r.test/a:.x",
            "oci://r.test/a:x/y",
            "oci://r.test/a?x",
            "oci://r.test/a@sha256:12",
            "oci://r.test/a@md5:12",
            &format!("oci://r.test/a:{}", "x".repeat(129)),
            &format!("oci://r.test/{}", "x".repeat(256)),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn machines() {
        for (registry, is_local) in
            [("localhost:1", true), ("127.0.0.1", true), ("[::1]:1", true), ("10.0.0.1", false), ("localhost.example.com", false)]
        {
            let reference: Reference = format!("oci://{registry}/a").parse().unwrap();
            assert_eq!(reference.is_local(), is_local, "{registry}");
        }
    }
}
