//! Where a request comes from.

use std::net::IpAddr;

use http::Extensions;

/// The address that a request comes from. Whoever accepts connections puts it among the extensions of each request; where it is not,
/// nothing is counted by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    pub(crate) fn of(extensions: &Extensions) -> Option<IpAddr> {
        extensions.get::<Self>().map(|peer| peer.0)
    }
}
