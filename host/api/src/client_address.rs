//! Where a request comes from: the peer of its connection, or whoever a proxy that the operator trusts says it speaks for.
//!
//! Anybody can send these fields. They are believed from the right, as long as it was a trusted proxy that added them: what stands to the
//! left of the first address that is none of these was written by a stranger.

mod forwarded;
mod node;

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// Proxies that one request passes; what stands further to the left is not looked at.
const HOPS_MAX: usize = 16;
/// Bytes of a `Forwarded` field, which has to be read from its start.
const FIELD_BYTES_MAX: usize = 4096;

/// The part of an IPv6 address that tells households apart.
const HOUSEHOLD: Ipv6Addr = Ipv6Addr::from_bits(!0 << 64);

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request comes from; among the extensions of each that came over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// IPv4 as such, never as a part of IPv6.
    pub address: IpAddr,
    /// Whether whoever asks speaks TLS, with us or with a proxy that is trusted.
    pub is_secure: bool,
}

/// Which field the trusted proxies write. Only one is believed: a proxy that writes the one passes on what a stranger wrote into the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedField {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` of RFC 7239.
    Forwarded,
}

/// Who may say that it speaks for others.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// None: nobody is believed.
    pub trusted: Vec<IpNet>,
    pub field: ForwardedField,
}

impl Proxies {
    /// Whether `address` may say that it speaks for others.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|block| block.contains(&address))
    }
}

impl ClientAddress {
    /// `is_secure` is what the connection is itself.
    #[must_use]
    pub fn of(headers: &HeaderMap, peer: IpAddr, is_secure: bool, proxies: &Proxies) -> Self {
        let peer = Self { address: peer.to_canonical(), is_secure };
        if !proxies.trusts(peer.address) {
            return peer;
        }
        match proxies.field {
            ForwardedField::XForwardedFor => peer.by_x_forwarded_for(headers, proxies),
            ForwardedField::Forwarded => peer.by_forwarded(headers, proxies),
        }
    }

    /// What one client has of addresses: a network of 64 bits of IPv6 is one household.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => (address & HOUSEHOLD).into(),
        }
    }

    fn by_x_forwarded_for(self, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let mut address = self.address;
        let hops = headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(HOPS_MAX) {
            // Who says something that is no address speaks for itself: it is the last that is known.
            let Some(said) = std::str::from_utf8(hop).ok().and_then(|hop| node::address(hop.trim())) else { break };
            address = said;
            if !proxies.trusts(said) {
                break;
            }
        }
        // The nearest proxy's word: only that one is known to be from a friend.
        let protocol = headers.get_all(X_FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
        let protocol = protocol.and_then(|text| text.rsplit(',').next()).map(str::trim);
        Self { address, is_secure: is_https(protocol).unwrap_or(self.is_secure) }
    }

    fn by_forwarded(self, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let mut client = self;
        let mut hops = 0;
        for value in headers.get_all(header::FORWARDED).iter().rev() {
            let list = Some(value).filter(|value| value.len() <= FIELD_BYTES_MAX).and_then(|value| value.to_str().ok());
            let Some(elements) = list.and_then(forwarded::elements) else { return client };
            for element in elements.into_iter().rev() {
                hops += 1;
                let hop = forwarded::Hop::of(element).filter(|_| hops <= HOPS_MAX);
                let Some(hop) = hop else { return client };
                let Some(said) = hop.node.as_deref().and_then(node::address) else { return client };
                // How a hop was reached is said by who was reached.
                client = Self { address: said, is_secure: is_https(hop.protocol.as_deref()).unwrap_or(self.is_secure) };
                if !proxies.trusts(said) {
                    return client;
                }
            }
        }
        client
    }
}

fn is_https(protocol: Option<&str>) -> Option<bool> {
    match protocol {
        Some(protocol) if protocol.eq_ignore_ascii_case("https") => Some(true),
        Some(protocol) if protocol.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
