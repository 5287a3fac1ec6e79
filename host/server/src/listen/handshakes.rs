//! Handshakes of TLS: in time, and only so many at once.
//!
//! One costs a signature and some ten KiB until it ends, before anybody has shown a token. So those of one peer stand in a line of their
//! own, and those of all together in another; and nobody stands there who has not said anything yet.

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

/// How long one may take, with the time until the peer begins it and that in which it waits for its turn.
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
        // Whoever is silent takes no place, from nobody. What begins and stops keeps its own line at most. A byte is looked at and left
        // there: a new stream is taken for readable until it was read from once.
        stream.peek(&mut [0]).await?;
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
    use sandmill_api::OnBehalf;
    use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinSet};

    use super::*;
    use crate::listen::turns::Turns;

    fn handshakes() -> Handshakes {
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Handshakes::new(Arc::new(builder.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()))), Duration::from_secs(3600))
    }

    #[tokio::test]
    async fn whoever_is_silent_takes_no_place() {
        let handshakes = Arc::new(handshakes());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (turns, mut tasks, mut silent) = (Arc::new(Turns::new(1)), JoinSet::new(), Vec::new());
        for _ in 0..2 * OF_A_PEER_MAX {
            silent.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
            let (stream, peer) = listener.accept().await.unwrap();
            let (handshakes, mut turn) = (Arc::clone(&handshakes), Turn::new(Arc::clone(&turns), peer.ip(), OnBehalf::default()));
            tasks.spawn(async move { handshakes.wire(stream, peer.ip(), &mut turn).await.is_some() });
        }
        // All of them have begun.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(handshakes.places.available_permits(), UNDER_WAY_MAX);
        // Whoever speaks is served, though in this way it comes to nothing.
        silent[0].write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let first = timeout(LIMIT / 2, tasks.join_next()).await.expect("it does not wait for the others");
        assert!(!first.unwrap().unwrap());
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
