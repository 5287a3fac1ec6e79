//! An address as proxies write it: with a port or without, IPv6 in brackets or bare.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV4};

/// Characters of the longest of them: IPv6 with an IPv4 part, brackets and a port.
const CHARACTERS_MAX: usize = 64;

/// Nothing if it is none: `unknown`, a name that hides one, a zone, something else.
pub(super) fn address(text: &str) -> Option<IpAddr> {
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
