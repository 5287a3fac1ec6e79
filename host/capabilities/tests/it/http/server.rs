//! A server that tells what it saw, over HTTP/1.1 and HTTP/2, with TLS or without.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

const CHUNK: &[u8] = &[b'x'; 64 * 1024];

/// An authority of the tests' own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    pub(crate) fn pem(&self) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(&self.der))
    }

    pub(crate) fn config(&self, name: &str, protocols: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let builder =
            ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

pub(crate) struct Server {
    shared: Arc<Shared>,
    port: u16,
    /// Ends with it.
    _tasks: JoinSet<()>,
}

struct Shared {
    seen: Mutex<Vec<Value>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    open_most: AtomicUsize,
    together: watch::Sender<usize>,
    port: u16,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(super) async fn start_tls(authority: &Authority, name: &str, protocols: &[&str]) -> Self {
        Self::serve(Some(TlsAcceptor::from(Arc::new(authority.config(name, protocols))))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            open_most: AtomicUsize::new(0),
            together: watch::channel(0).0,
            port,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { shared, port, _tasks: tasks }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections that were open at the same time.
    pub(super) fn open_most(&self) -> usize {
        self.shared.open_most.load(Ordering::Relaxed)
    }

    pub(super) fn seen(&self) -> Vec<Value> {
        self.shared.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let open = shared.open.fetch_add(1, Ordering::Relaxed) + 1;
        shared.open_most.fetch_max(open, Ordering::Relaxed);
        connections.spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => speak(stream, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, &shared).await;
            }
        }
    }
    shared.open.fetch_sub(1, Ordering::Relaxed);
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: &Arc<Shared>) {
    let service = service_fn(|request| {
        let shared = Arc::clone(shared);
        async move { Ok::<_, Infallible>(answer(request, &shared).await) }
    });
    // Whoever goes away early is no fault here.
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(1_000);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, shared: &Shared) -> Answer {
    let path = request.uri().path().to_owned();
    let mut segments = path.split('/').skip(1);
    let kind = segments.next().unwrap_or_default().to_owned();
    let number = segments.next().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    match kind.as_str() {
        "echo" | "api" => echo(request, shared).await,
        "count" => text(200, request.into_body().collect().await.map_or(0, |body| body.to_bytes().len()).to_string()),
        "bytes" => body(chunks(number)),
        "endless" => body(chunks(usize::MAX)),
        "slow" => pending().await,
        "stall" => {
            let parts = stream::iter([Frame::data(Bytes::from_static(b"x"))]).chain(stream::once(pending()));
            body(BodyExt::boxed(StreamBody::new(parts.map(Ok::<_, Infallible>))))
        }
        "together" => {
            let mut here = shared.together.subscribe();
            shared.together.send_modify(|count| *count += 1);
            here.wait_for(|count| *count >= number).await.unwrap();
            text(200, String::new())
        }
        "early" => text(413, "too much".to_owned()),
        "close" => {
            let mut answer = text(200, String::new());
            answer.headers_mut().insert("connection", "close".parse().unwrap());
            answer
        }
        "headers" => {
            let mut answer = text(200, String::new());
            answer.headers_mut().insert("x-large", "x".repeat(number).parse().unwrap());
            answer
        }
        "redirect" => {
            let mut answer = text(302, String::new());
            answer.headers_mut().insert("location", format!("http://localhost:{}/echo", shared.port).parse().unwrap());
            answer
        }
        _ => text(404, String::new()),
    }
}

async fn echo(request: Request<Incoming>, shared: &Shared) -> Answer {
    let (parts, body) = request.into_parts();
    let headers: Vec<[String; 2]> =
        parts.headers.iter().map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()]).collect();
    let body = body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    let seen = json!({
        "version": format!("{:?}", parts.version),
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "headers": headers,
        "body": body.unwrap_or_else(|error| format!("broken: {error}")),
    });
    shared.seen.lock().unwrap().push(seen.clone());
    text(200, seen.to_string())
}

fn text(status: u16, text: String) -> Answer {
    Response::builder().status(status).body(Full::new(Bytes::from(text)).boxed()).unwrap()
}

fn body(body: BoxBody<Bytes, Infallible>) -> Answer {
    Response::new(body)
}

fn chunks(bytes: usize) -> BoxBody<Bytes, Infallible> {
    let parts = stream::unfold(bytes, |left| {
        let now = left.min(CHUNK.len());
        future::ready((now > 0).then(|| (Ok(Frame::data(Bytes::from_static(&CHUNK[..now]))), left - now)))
    });
    BodyExt::boxed(StreamBody::new(parts))
}
