//! Handshakes of TLS: in time, and only so many at once.
//!
//! One costs a signature and some ten KiB until it ends, before anybody has shown a token. So those of one peer stand in a line of their
//! own, and those of all together in another.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    turns::{Turn, network},
    wire::Wire,
};

/// How long one may take, with the time in which it waits for its turn.
const LIMIT: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const UNDER_WAY_MAX: usize = 256;
/// Of these, for one peer.
const OF_A_PEER_MAX: usize = 32;

pub(super) struct Handshakes {
    acceptor: TlsAcceptor,
    limit: Duration,
    places: Semaphore,
    peers: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Handshakes {
    /// `receive` is how long peers may be silent; a handshake gets no more.
    pub(super) fn new(config: Arc<ServerConfig>, receive: Duration) -> Self {
        Self {
            acceptor: TlsAcceptor::from(config),
            limit: LIMIT.min(receive),
            places: Semaphore::new(UNDER_WAY_MAX),
            peers: Mutex::default(),
        }
    }

    /// The connection once both sides know its keys; nothing if that fails or takes too long.
    pub(super) async fn wire(&self, stream: TcpStream, peer: IpAddr, turn: &mut Turn) -> Option<Wire> {
        let reason = match timeout(self.limit, self.shake(stream, peer, turn)).await {
            Ok(Ok(stream)) => return Some(Wire::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                tracing::trace!(%error, "a TLS handshake failed");
                "bad_handshake"
            }
            Err(_) => "late_handshake",
        };
        metrics::counter!("sandmill_connections_cut_total", "reason" => reason).increment(1);
        None
    }

    async fn shake(&self, stream: TcpStream, peer: IpAddr, turn: &mut Turn) -> io::Result<TlsStream<TcpStream>> {
        // First the peer's own line: whoever waits there takes no place from others.
        let of_peer = self.of_peer(network(peer));
        let _own = of_peer.acquire().await.map_err(io::Error::other)?;
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        let mut shaken = pin!(self.acceptor.accept(stream));
        poll_fn(|context| turn.poll(context, shaken.as_mut())).await
    }

    fn of_peer(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = peers.get(&peer).and_then(Weak::upgrade) {
            return places;
        }
        let places = Arc::new(Semaphore::new(OF_A_PEER_MAX));
        // Room is made when it is needed anyway.
        if peers.len() == peers.capacity() {
            peers.retain(|_, places| places.strong_count() > 0);
        }
        peers.insert(peer, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rustls::server::ResolvesServerCertUsingSni;

    use super::*;

    fn handshakes() -> Handshakes {
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Handshakes::new(Arc::new(builder.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()))), Duration::from_secs(3600))
    }

    #[test]
    fn peers_have_lines_of_their_own_that_are_forgotten() {
        let handshakes = handshakes();
        assert_eq!(handshakes.limit, LIMIT);
        let address = |n: u32| IpAddr::from(Ipv4Addr::from_bits(n));
        let (ann, again, ben) = (handshakes.of_peer(address(1)), handshakes.of_peer(address(1)), handshakes.of_peer(address(2)));
        assert!(Arc::ptr_eq(&ann, &again) && !Arc::ptr_eq(&ann, &ben));
        for n in 0..10_000 {
            handshakes.of_peer(address(n));
        }
        assert!(handshakes.peers.lock().unwrap().len() < 100);
        assert!(Arc::ptr_eq(&ann, &handshakes.of_peer(address(1))), "it is in use");
    }
}
