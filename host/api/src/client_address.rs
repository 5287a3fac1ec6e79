//! Where a request comes from: the peer of its connection, or whoever a proxy that the operator trusts says it speaks for.
//!
//! Anybody can send these fields. They are believed from the right, as long as it was a trusted proxy that added them: what stands to the
//! left of the first address that is none of these was written by a stranger.
//!
//! What a trusted proxy says and nobody can read is not taken for the proxy's own: else whoever has it send such a thing would be counted,
//! and written down, as the proxy and all who come by it. It is refused. A proxy may say, though, that it does not tell for whom it asks.

mod forwarded;
mod node;

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use self::node::Node;

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

/// A trusted proxy says something of whom it asks for that cannot be read. Among the extensions of a request: it is to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnclearClient {
    /// The last that is known: the peer, or a proxy before it.
    pub nearest: ClientAddress,
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
    ///
    /// # Errors
    /// If a trusted proxy says what cannot be read.
    pub fn of(headers: &HeaderMap, peer: IpAddr, is_secure: bool, proxies: &Proxies) -> Result<Self, UnclearClient> {
        let peer = Self { address: peer.to_canonical(), is_secure };
        if !proxies.trusts(peer.address) {
            return Ok(peer);
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

    fn by_x_forwarded_for(self, headers: &HeaderMap, proxies: &Proxies) -> Result<Self, UnclearClient> {
        // The nearest proxy's word: only that one is known to be from a friend.
        let protocol = headers.get_all(X_FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
        let protocol = protocol.and_then(|text| text.rsplit(',').next()).map(str::trim);
        let mut client = Self { is_secure: is_https(protocol).unwrap_or(self.is_secure), ..self };
        let hops = headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(HOPS_MAX) {
            let hop = std::str::from_utf8(hop).map_err(|_| UnclearClient { nearest: client })?.trim();
            // Lists may have elements without anything (RFC 9110, 5.6.1).
            if hop.is_empty() {
                continue;
            }
            match Node::of(hop) {
                Some(Node::Address(said)) => client.address = said,
                // It speaks for itself: it is the last that is known.
                Some(Node::Hidden) => break,
                None => return Err(UnclearClient { nearest: client }),
            }
            if !proxies.trusts(client.address) {
                break;
            }
        }
        Ok(client)
    }

    fn by_forwarded(self, headers: &HeaderMap, proxies: &Proxies) -> Result<Self, UnclearClient> {
        let mut client = self;
        let mut hops = 0;
        for value in headers.get_all(header::FORWARDED).iter().rev() {
            let list = Some(value).filter(|value| value.len() <= FIELD_BYTES_MAX).and_then(|value| value.to_str().ok());
            let elements = list.and_then(forwarded::elements).ok_or(UnclearClient { nearest: client })?;
            for element in elements.into_iter().rev().map(str::trim).filter(|element| !element.is_empty()) {
                hops += 1;
                if hops > HOPS_MAX {
                    return Ok(client);
                }
                let hop = forwarded::Hop::of(element).ok_or(UnclearClient { nearest: client })?;
                // A proxy need not say for whom it asks.
                let Some(node) = hop.node.as_deref() else { return Ok(client) };
                match Node::of(node) {
                    // How a hop was reached is said by who was reached.
                    Some(Node::Address(said)) => {
                        client = Self { address: said, is_secure: is_https(hop.protocol.as_deref()).unwrap_or(self.is_secure) };
                    }
                    Some(Node::Hidden) => return Ok(client),
                    None => return Err(UnclearClient { nearest: client }),
                }
                if !proxies.trusts(client.address) {
                    return Ok(client);
                }
            }
        }
        Ok(client)
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
