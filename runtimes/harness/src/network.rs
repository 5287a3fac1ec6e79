//! The world that the scripts of the cases see: every name leads to the local server, but for those that fail in a way of their own.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// What goes on after the answer's head.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(Response<WasiBody>, Rest), Error>;

#[derive(Default)]
pub(crate) struct Network {
    pub(crate) server: Option<SocketAddr>,
}

impl WasiHttpHooks for Network {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Rest,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(send(self.server, request))
    }
}

async fn send(server: Option<SocketAddr>, mut request: Request<WasiBody>) -> Answer {
    if let Some(error) = failure_of(request.uri().host().unwrap_or_default()) {
        return Err(error);
    }
    let stream = TcpStream::connect(server.ok_or(Error::ConnectionRefused)?).await.map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake::<_, WasiBody>(TokioIo::new(stream)).await?;
    // Ends with whoever waits for the answer or reads its body.
    let connection = wasmtime_wasi::runtime::spawn(async move { connection.await.map_err(Error::from) });
    let scheme = request.uri().scheme_str().unwrap_or_default().to_owned();
    request.headers_mut().insert("x-scheme", HeaderValue::from_str(&scheme).map_err(|_| Error::HttpRequestUriInvalid)?);
    debug_assert!(request.headers().contains_key(HOST));
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;
    let response = sender.send_request(request).await?;
    let response = response.map(|body| body.map_frame(|frame| frame.map_data(Bytes::from)).map_err(Error::from).boxed_unsync());
    Ok((response, Box::new(connection)))
}

fn failure_of(host: &str) -> Option<Error> {
    Some(match host {
        "denied.test" => Error::HttpRequestDenied,
        "private.test" => Error::DestinationIpProhibited,
        "nowhere.test" => Error::DnsError { rcode: Some("NXDOMAIN".to_owned()), info_code: None },
        "refused.test" => Error::ConnectionRefused,
        "slow.test" => Error::ConnectionTimeout,
        "untrusted.test" => Error::TlsCertificateError,
        "busy.test" => Error::ConnectionLimitReached,
        _ => return None,
    })
}
