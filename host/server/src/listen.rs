//! Connections: how many there may be, how they are secured, how long a peer may keep one silent, and how they end.
//!
//! One task for each connection, with one timer that looks a few times within each timeout: a request costs no timer of its own.

mod activity;
mod bodies;
mod descriptors;
mod handshakes;
mod peers;
mod turns;
mod watched;
mod wire;

use std::{
    convert::Infallible,
    future::poll_fn,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use hyper::{Request, body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustls::ServerConfig;
use sandmill_api::{ClientAddress, OnBehalf, Proxies};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use self::{
    activity::{Activity, Verdict},
    bodies::{Answer, Arriving},
    handshakes::Handshakes,
    peers::{Peers, Seat},
    turns::{Turn, Turns},
    watched::{LastRead, Watched},
    wire::Wire,
};
pub(crate) use self::{
    descriptors::{connections_max, raise},
    peers::of_a_peer_max,
};

/// Requests that one HTTP/2 connection may have open at once. What floods it with resets meets the library's own limits.
const HTTP2_STREAMS_MAX: u32 = 128;
/// Bytes of a request's head: of all its fields with their names, and in HTTP/1 of its first line.
const HEAD_BYTES_MAX: u32 = 128 * 1024;
/// How often the peer of an HTTP/2 connection is asked whether it is still there, and how long it may take to say so.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What an idle connection gets between the polite end and the other: a request may have crossed it on its way.
const FAREWELL: Duration = Duration::from_secs(2);
/// A failed accept (no descriptors, no memory) is tried again after this long: sooner would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// What goes on happening is logged this often.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    /// Of these, for one address that is no trusted proxy.
    pub(crate) of_a_peer_max: usize,
    /// For a request's head to arrive whole, and for its body to go on.
    pub(crate) receive: Duration,
    /// For the peer to take something of an answer.
    pub(crate) send: Duration,
    /// Without a request.
    pub(crate) idle: Duration,
}

/// How connections are taken.
pub(crate) struct Options {
    pub(crate) limits: Limits,
    /// Every connection is secured so, or none is.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Who may say that it speaks for others.
    pub(crate) proxies: Proxies,
}

/// Serves `router` until `stop`; returns once every connection has finished what it was at, however long that takes.
pub(crate) async fn serve(listener: TcpListener, router: Router, options: Options, stop: CancellationToken) {
    let Options { limits, tls, proxies } = options;
    describe_metrics();
    let proxies = Arc::new(proxies);
    let connections = Connections {
        // Turned into what answers requests once, not for each of them.
        router: router.with_state(()),
        limits,
        handshakes: tls.map(|config| Arc::new(Handshakes::new(config, limits.receive))),
        peers: Arc::new(Peers::new(limits.of_a_peer_max, Arc::clone(&proxies))),
        proxies,
        places: Arc::new(Semaphore::new(limits.connections_max)),
        last_read: Arc::default(),
        turns: Arc::new(Turns::new(tokio::runtime::Handle::current().metrics().num_workers())),
    };
    let tasks = TaskTracker::new();
    let usher = TaskTracker::new().spawn({
        let turns = Arc::clone(&connections.turns);
        async move { turns.usher().await }
    });
    tokio::select! {
        () = connections.accept(&listener, &tasks, &stop) => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
    usher.abort();
}

fn describe_metrics() {
    metrics::describe_gauge!("sandmill_connections", "Connections that are open");
    metrics::describe_counter!("sandmill_connections_full_total", "Times that as many connections were open as may be");
    metrics::describe_counter!("sandmill_connections_cut_total", "Connections that were ended, by what their peer failed to do");
    metrics::describe_counter!("sandmill_accept_errors_total", "Connections that could not be accepted");
}

fn protocol(streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(HTTP2_PING_INTERVAL).keep_alive_timeout(HTTP2_PING_TIMEOUT);
    http2.max_concurrent_streams(HTTP2_STREAMS_MAX).max_header_list_size(HEAD_BYTES_MAX);
    builder.http1().max_buf_size(HEAD_BYTES_MAX as usize);
    builder
}

/// Spawns the streams of an HTTP/2 connection: each is served when it is its turn, as a connection is.
#[derive(Clone)]
struct Streams {
    turns: Arc<Turns>,
    peer: IpAddr,
    on_behalf: OnBehalf,
}

impl Streams {
    fn turn(&self) -> Turn {
        Turn::new(Arc::clone(&self.turns), self.peer, self.on_behalf.clone())
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut turn = self.turn();
        TokioExecutor::new().execute(async move {
            let mut stream = pin!(stream);
            poll_fn(|context| turn.poll(context, stream.as_mut())).await
        });
    }
}

struct Connections {
    router: Router,
    limits: Limits,
    handshakes: Option<Arc<Handshakes>>,
    proxies: Arc<Proxies>,
    peers: Arc<Peers>,
    places: Arc<Semaphore>,
    last_read: Arc<LastRead>,
    turns: Arc<Turns>,
}

impl Connections {
    async fn accept(&self, listener: &TcpListener, tasks: &TaskTracker, stop: &CancellationToken) {
        let (mut full, mut failing, mut crowded) = (Rarely::default(), Rarely::default(), Rarely::default());
        loop {
            // Before the connection is taken: those that find no place wait in the kernel, where they cost no descriptor.
            let place = match Arc::clone(&self.places).try_acquire_owned() {
                Ok(place) => place,
                Err(_) => {
                    metrics::counter!("sandmill_connections_full_total").increment(1);
                    if full.is_due() {
                        let connections_max = self.limits.connections_max;
                        tracing::warn!(connections_max, "as many connections are open as may be; new ones wait until one ends");
                    }
                    // It is never closed.
                    let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
                    place
                }
            };
            match listener.accept().await {
                Ok((stream, peer)) => match self.peers.seat(peer.ip()) {
                    Some(seat) => {
                        tasks.spawn(self.connection(stream, seat, place, stop.child_token()));
                    }
                    // Closed without a word: it would cost more to say why, and over TLS much more.
                    None => {
                        metrics::counter!("sandmill_connections_cut_total", "reason" => "of_a_peer").increment(1);
                        if crowded.is_due() {
                            let (peer, of_a_peer_max) = (peer.ip(), self.limits.of_a_peer_max);
                            tracing::warn!(%peer, of_a_peer_max, "an address has as many connections as it may; more of it are closed");
                        }
                    }
                },
                Err(error) if is_of_the_peer(&error) => tracing::debug!(%error, "a connection ended before it was accepted"),
                Err(error) => {
                    metrics::counter!("sandmill_accept_errors_total").increment(1);
                    if failing.is_due() {
                        tracing::error!(%error, "connections cannot be accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// One connection from its first byte to its last.
    fn connection(
        &self,
        stream: TcpStream,
        seat: Seat,
        place: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let (router, limits, last_read) = (self.router.clone(), self.limits, Arc::clone(&self.last_read));
        let (handshakes, proxies) = (self.handshakes.clone(), Arc::clone(&self.proxies));
        let (on_behalf, peer) = (OnBehalf::default(), seat.peer());
        let streams = Streams { turns: Arc::clone(&self.turns), peer, on_behalf: on_behalf.clone() };
        async move {
            // Answers are one small packet each: waiting to fill it would only delay them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
            let open = metrics::gauge!("sandmill_connections");
            open.increment(1);
            let mut turn = streams.turn();
            let wire = match handshakes {
                None => Some(Wire::Plain(stream)),
                Some(handshakes) => tokio::select! {
                    // In a box: whoever needs none should not carry the room for one.
                    wire = Box::pin(handshakes.wire(stream, peer, &mut turn)) => wire,
                    () = stop.cancelled() => None,
                },
            };
            if let Some(wire) = wire {
                let is_secure = wire.is_secure();
                // What came before was no request: it has its own limit of time.
                let activity = Arc::new(Activity::begin());
                let service = service_fn({
                    let activity = Arc::clone(&activity);
                    move |mut request: Request<Incoming>| {
                        let in_flight = activity.request();
                        let client = ClientAddress::of(request.headers(), peer, is_secure, &proxies);
                        let unclear = client.err();
                        let client = client.unwrap_or_else(|unclear| unclear.nearest);
                        let extensions = request.extensions_mut();
                        extensions.insert(client);
                        if let Some(unclear) = unclear {
                            extensions.insert(unclear);
                        }
                        request.extensions_mut().insert(on_behalf.clone());
                        let answer = router.clone().call(request.map(|body| Arriving::new(body, limits.receive)));
                        async move { answer.await.map(|answer: axum::response::Response| answer.map(|body| Answer::new(body, in_flight))) }
                    }
                });
                let stream = TokioIo::new(Watched::new(wire, Arc::clone(&activity), last_read));
                guard(protocol(streams).serve_connection(stream, service), &activity, limits, turn, stop).await;
            }
            open.decrement(1);
            drop((place, seat));
        }
    }
}

/// Polls a connection until it ends, or until it must.
async fn guard<S>(
    served: hyper_util::server::conn::auto::Connection<'_, TokioIo<Watched>, S, Streams>,
    activity: &Activity,
    limits: Limits,
    mut turn: Turn,
    stop: CancellationToken,
) where
    S: hyper::service::Service<Request<Incoming>, Response = hyper::Response<Answer>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let mut served = pin!(served);
    let mut stopped = pin!(stop.cancelled());
    let mut alarm = pin!(tokio::time::sleep(limits.receive.min(limits.idle).min(limits.send)));
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            ended = poll_fn(|context| turn.poll(context, served.as_mut())) => {
                if let Err(error) = ended {
                    tracing::trace!(error, "a connection ended badly");
                }
                return;
            }
            () = stopped.as_mut(), if !ending => {
                ending = true;
                served.as_mut().graceful_shutdown();
            }
            () = alarm.as_mut() => match activity.verdict(limits) {
                Verdict::LookAgain(at) => alarm.as_mut().reset(at.into()),
                Verdict::Idle if !ending => {
                    metrics::counter!("sandmill_connections_cut_total", "reason" => "idle").increment(1);
                    ending = true;
                    served.as_mut().graceful_shutdown();
                    alarm.as_mut().reset((Instant::now() + FAREWELL).into());
                }
                Verdict::Idle => return,
                Verdict::Unread => {
                    metrics::counter!("sandmill_connections_cut_total", "reason" => "unread").increment(1);
                    return;
                }
                Verdict::LateHead => {
                    metrics::counter!("sandmill_connections_cut_total", "reason" => "late_head").increment(1);
                    return;
                }
            }
        }
    }
}

/// Whether only this one connection could not be accepted.
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Something worth saying once in a while.
#[derive(Default)]
struct Rarely(Option<Instant>);

impl Rarely {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}
