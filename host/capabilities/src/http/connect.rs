//! New connections: one of the workspace's permits, every address of the name judged, TLS.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::ClientConfig;
use sandmill_model::{
    BoxFuture,
    grants::origin::{Host, Origin, Scheme},
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::futures::TaskLocalFuture,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::Service;

use super::{
    addresses::{AddressPolicy, Denied},
    limits::{ADDRESSES_MAX, ADDRESSES_TRIED, LOOK_EVERY, LOOKUPS_PER_WORKSPACE, WAIT_FOR_CONNECTION},
    resolve::Resolver,
    stand_in::StandIn,
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{host} is {address}, which is {denied}")]
    Prohibited { host: String, address: IpAddr, denied: Denied },
    #[error("the name {host} cannot be resolved: {error}")]
    Lookup { host: String, error: io::Error },
    #[error("no connection to {host}: {error}")]
    Refused { host: String, error: io::Error },
    #[error("no connection to {0} in time")]
    Timeout(String),
    #[error("all connections of the workspace are in use")]
    Exhausted,
    #[error("{0}")]
    Address(String),
}

tokio::task_local! {
    static REQUEST: Wanted;
}

/// Whether a request still has no connection. Once it has one of others', the client goes on making the one that it began, for whoever
/// comes next; with as many as a workspace may have, such would wait in front of requests that have none.
#[derive(Clone, Default)]
pub(super) struct Wanted(CancellationToken);

impl Wanted {
    pub(super) fn scope<F: Future>(&self, request: F) -> TaskLocalFuture<Self, F> {
        REQUEST.scope(self.clone(), request)
    }

    /// Until what is returned is dropped.
    pub(super) fn guard(&self) -> DropGuard {
        self.0.clone().drop_guard()
    }

    /// Connections are asked for where the request is polled.
    fn by_this_request() -> Self {
        REQUEST.try_with(Self::clone).unwrap_or_default()
    }

    async fn of<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(waiting).await
    }
}

/// As many connections as one workspace may have.
#[derive(Clone)]
pub(super) struct Places(Arc<Share>);

struct Share {
    places: usize,
    free: Arc<Semaphore>,
    /// Where all workspaces together may have only so many: those that are free.
    of_all: Option<Arc<Semaphore>>,
    /// One looks for a place among those of all at a time; the others stand in line behind it.
    line: tokio::sync::Mutex<()>,
}

/// Of the workspace, and of all.
type Permits = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Places {
    pub(super) fn new(places: usize, of_all: Option<Arc<Semaphore>>) -> Self {
        let free = Arc::new(Semaphore::new(places));
        Self(Arc::new(Share { places, free, of_all, line: tokio::sync::Mutex::default() }))
    }

    /// Waits for one. Of all a workspace takes no more than it leaves free: so a few do not take them all.
    async fn take(&self) -> Option<Permits> {
        let Share { places, free, of_all, line } = &*self.0;
        let Some(of_all) = of_all else {
            return Some((Arc::clone(free).acquire_owned().await.ok()?, None));
        };
        let _first = line.lock().await;
        let own = Arc::clone(free).acquire_owned().await.ok()?;
        loop {
            if let Ok(place) = Arc::clone(of_all).try_acquire_owned() {
                let taken = places.saturating_sub(free.available_permits());
                // It had less than was free before it took this one.
                if taken <= of_all.available_permits() + 1 {
                    return Some((own, Some(place)));
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Makes connections of one workspace.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<Dial>,
    stand_in: Option<StandIn>,
    connections: Places,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(dial: Dial, tls: ClientConfig, stand_in: Option<StandIn>, connections: Places) -> Self {
        let limit = dial.limit;
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(dial);
        Self { https, stand_in, connections, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = Held<<HttpsConnector<Dial> as Service<Uri>>::Response>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { https, stand_in, connections, limit } = self.clone();
        let wanted = Wanted::by_this_request();
        Box::pin(async move {
            let permits = timeout(WAIT_FOR_CONNECTION, wanted.of(connections.take())).await;
            let permits = permits.ok().flatten().flatten().ok_or(ConnectError::Exhausted)?;
            let host = uri.host().unwrap_or_default().to_owned();
            let io = timeout(limit, connected(https, stand_in, uri)).await.map_err(|_| ConnectError::Timeout(host))??;
            Ok(Held { io, _permits: permits })
        })
    }
}

async fn connected(
    mut https: HttpsConnector<Dial>,
    stand_in: Option<StandIn>,
    uri: Uri,
) -> Result<MaybeHttpsStream<TokioIo<TcpStream>>, Box<dyn std::error::Error + Send + Sync>> {
    match stand_in {
        Some(stand_in) => Ok(MaybeHttpsStream::Http(stand_in.connect(&uri).await?)),
        None => https.call(uri).await,
    }
}

/// TCP to an address that may be connected to.
#[derive(Clone)]
pub(super) struct Dial {
    policy: AddressPolicy,
    resolver: Arc<dyn Resolver>,
    lookups: Arc<Semaphore>,
    limit: Duration,
}

impl Dial {
    pub(super) fn new(policy: AddressPolicy, resolver: Arc<dyn Resolver>, limit: Duration) -> Self {
        Self { policy, resolver, lookups: Arc::new(Semaphore::new(LOOKUPS_PER_WORKSPACE)), limit }
    }

    async fn dial(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let origin = origin(&uri).ok_or_else(|| ConnectError::Address(format!("{uri} is no origin")))?;
        let host = origin.host.to_string();
        let addresses = match origin.host {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.resolve(name).await?,
        };
        // All of them: an answer that mixes denied addresses with others is an attack or a mistake.
        for address in &addresses {
            let judged = self.policy.check(*address);
            judged.map_err(|denied| ConnectError::Prohibited { host: host.clone(), address: *address, denied })?;
        }
        self.first_of(host, &addresses, origin.port).await
    }

    async fn resolve(&self, name: String) -> Result<Vec<IpAddr>, ConnectError> {
        let fault = |error| ConnectError::Lookup { host: name.clone(), error };
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(|error| fault(io::Error::other(error)))?;
        let addresses = self.resolver.resolve(name.clone(), permit).await.map_err(fault)?;
        match addresses.len() {
            0 => Err(fault(io::Error::other("it has no address"))),
            1..=ADDRESSES_MAX => Ok(addresses),
            _ => Err(fault(io::Error::other(format!("it has more than {ADDRESSES_MAX} addresses")))),
        }
    }

    async fn first_of(&self, host: String, addresses: &[IpAddr], port: u16) -> Result<TokioIo<TcpStream>, ConnectError> {
        let tried = addresses.len().min(ADDRESSES_TRIED);
        let each = self.limit / u32::try_from(tried.max(1)).unwrap_or(1);
        let mut fault = ConnectError::Timeout(host.clone());
        for address in &addresses[..tried] {
            match timeout(each, TcpStream::connect(SocketAddr::new(*address, port))).await {
                Ok(Ok(stream)) => {
                    // A hint; what is slower without is no fault.
                    let _ = stream.set_nodelay(true);
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => fault = ConnectError::Refused { host: host.clone(), error },
                Err(_) => {}
            }
        }
        Err(fault)
    }
}

fn origin(uri: &Uri) -> Option<Origin> {
    Origin::of(Scheme::from_name(uri.scheme_str()?)?, uri.authority()?.as_str()).ok()
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial(uri))
    }
}

/// A connection that holds its permits until it is closed.
pub(super) struct Held<T> {
    io: T,
    _permits: Permits,
}

impl<T: Connection> Connection for Held<T> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl<T: Read + Unpin> Read for Held<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for Held<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn few_workspaces_do_not_have_all_connections() {
        let of_all = Arc::new(Semaphore::new(64));
        let workspace = || Places::new(32, Some(Arc::clone(&of_all)));
        let mut held = Vec::new();
        for expected in [32, 16, 8, 4] {
            // What waits for nothing is told to wait now and then, for the sake of other tasks; not at once after it has.
            tokio::task::yield_now().await;
            let places = workspace();
            let before = held.len();
            while let Some(permits) = places.take().now_or_never() {
                held.extend(permits);
            }
            assert_eq!(held.len() - before, expected);
        }
        tokio::task::yield_now().await;
        let other = workspace();
        assert!(other.take().now_or_never().flatten().is_some(), "another has one");
        // Who waits has one once another is closed.
        let (waits, last) = (workspace(), of_all.clone().acquire_many_owned(4).await.unwrap());
        let (permits, ()) = tokio::join!(waits.take(), async {
            tokio::task::yield_now().await;
            drop(last);
        });
        assert!(permits.is_some());
        drop((held, permits));
        assert_eq!(of_all.available_permits(), 64);
        let alone = Places::new(2, None);
        let own = (alone.take().await, alone.take().await);
        assert!(own.0.is_some() && own.1.is_some() && alone.take().now_or_never().is_none());
    }
}
