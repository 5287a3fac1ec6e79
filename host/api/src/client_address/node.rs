//! Whom a proxy names: an address, with a port or without, IPv6 in brackets or bare; or nobody, in one of the ways of RFC 7239.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV4};

/// Characters of the longest of them: IPv6 with an IPv4 part, brackets and a port.
const CHARACTERS_MAX: usize = 64;

/// Characters that a hidden name may have besides letters and digits.
const OF_HIDDEN: [char; 3] = ['.', '_', '-'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Address(IpAddr),
    /// `unknown`, or a name that hides an address.
    Hidden,
}

impl Node {
    /// Nothing if it is neither.
    pub(super) fn of(text: &str) -> Option<Self> {
        // Ports may be hidden, too.
        let text = text.rsplit_once(':').filter(|(_, port)| is_hidden(port)).map_or(text, |(name, _)| name);
        address(text).map(Self::Address).or_else(|| {
            let name = text.split_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(text, |(name, _)| name);
            (name.eq_ignore_ascii_case("unknown") || is_hidden(name)).then_some(Self::Hidden)
        })
    }
}

fn is_hidden(name: &str) -> bool {
    let is_fine = |char: char| char.is_ascii_alphanumeric() || OF_HIDDEN.contains(&char);
    (2..=CHARACTERS_MAX).contains(&name.len()) && name.starts_with('_') && name.chars().all(is_fine)
}

/// Nothing if it is none: `unknown`, a name that hides one, a zone, something else.
fn address(text: &str) -> Option<IpAddr> {
    if text.len() > CHARACTERS_MAX {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        let address: Ipv6Addr = address.parse().ok()?;
        return is_port.then(|| IpAddr::from(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    // With a port, IPv6 needs brackets.
    text.parse::<SocketAddrV4>().ok().map(|address| IpAddr::from(*address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_may_be_hidden() {
        for (text, is_hidden) in [
            ("unknown", true),
            ("Unknown:80", true),
            ("_a.b-c_1", true),
            ("_a:80", true),
            ("_a:_b", true),
            ("_", false),
            ("unknown:x", false),
            ("unknown ", false),
            ("_a b", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(Node::of(text), is_hidden.then_some(Node::Hidden), "{text}");
        }
        for (text, address) in [("192.0.2.1:_b", "192.0.2.1"), ("[2001:db8::1]:_b", "2001:db8::1"), ("192.0.2.1:80", "192.0.2.1")] {
            assert_eq!(Node::of(text), Some(Node::Address(address.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn forms_of_addresses() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[::ffff:192.0.2.1]:1", Some("192.0.2.1")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("localhost", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2", None),
            ("192.0.2.01", None),
            ("192.0.2.1 ", None),
            ("2001:db8::1:443:", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]x", None),
            ("[2001:db8::1]:", None),
            ("[2001:db8::1]:x", None),
            ("[192.0.2.1]", None),
            ("fe80::1%eth0", None),
            ("[fe80::1%eth0]", None),
        ] {
            assert_eq!(address(text), expected.map(|text| text.parse().unwrap()), "{text}");
        }
        assert_eq!(address(&"1".repeat(CHARACTERS_MAX + 1)), None);
    }
}
