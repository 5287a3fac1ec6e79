//! How many connections one address may have: so nobody takes all that there may be.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use sandmill_api::Proxies;

use super::turns::network;

/// By default one address may have this part of all connections, but never fewer than [`LEAST`].
const PART: usize = 2;
/// One browser, or one program with a pool, needs no more.
const LEAST: usize = 64;

/// Connections of one address that may be open at once: as many as were asked for, else a part of all.
pub(crate) fn of_a_peer_max(asked: Option<u32>, connections_max: usize) -> usize {
    let asked = asked.map(|asked| usize::try_from(asked).unwrap_or(usize::MAX));
    asked.unwrap_or_else(|| (connections_max / PART).max(LEAST))
}

/// Connections that are open, by peer. Proxies that are trusted are not counted: they come for many.
pub(super) struct Peers {
    connections_max: usize,
    proxies: Arc<Proxies>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of a peer, until it is dropped.
pub(super) struct Seat {
    peers: Arc<Peers>,
    peer: IpAddr,
    /// None: it is not counted.
    network: Option<IpAddr>,
}

impl Peers {
    pub(super) fn new(connections_max: usize, proxies: Arc<Proxies>) -> Self {
        Self { connections_max, proxies, open: Mutex::default() }
    }

    /// None: the peer has as many as it may have.
    pub(super) fn seat(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let network = Some(network(peer)).filter(|_| !self.proxies.trusts(peer));
        if let Some(network) = network {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(network).or_default();
            if *count >= self.connections_max {
                return None;
            }
            *count += 1;
        }
        Some(Seat { peers: Arc::clone(self), peer, network })
    }
}

impl Seat {
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_only_so_many_and_proxies_have_more() {
        let proxies = Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap()], ..Proxies::default() };
        let peers = Arc::new(Peers::new(2, Arc::new(proxies)));
        let first = peers.seat(address("192.0.2.1")).unwrap();
        let second = peers.seat(address("::ffff:192.0.2.1")).unwrap();
        assert!(peers.seat(address("192.0.2.1")).is_none() && peers.seat(address("192.0.2.2")).is_some());
        drop(first);
        let third = peers.seat(address("192.0.2.1")).unwrap();
        assert!(peers.seat(address("192.0.2.1")).is_none());
        // A network of IPv6 is one peer.
        let household = [peers.seat(address("2001:db8::1")).unwrap(), peers.seat(address("2001:db8::2")).unwrap()];
        assert!(peers.seat(address("2001:db8::3")).is_none() && peers.seat(address("2001:db8:0:1::3")).is_some());
        let proxied: Vec<_> = (0..10).map(|_| peers.seat(address("10.1.2.3")).unwrap()).collect();
        assert_eq!(peers.open.lock().unwrap().len(), 2);
        drop((second, third, household, proxied));
        assert!(peers.open.lock().unwrap().is_empty(), "who has none is forgotten");
    }

    #[test]
    fn one_address_does_not_get_all() {
        for (asked, connections_max, expected) in [(None, 10_000, 5_000), (None, 512, 256), (None, 2, 64), (Some(7), 10_000, 7)] {
            assert_eq!(of_a_peer_max(asked, connections_max), expected, "{asked:?} of {connections_max}");
        }
    }
}
