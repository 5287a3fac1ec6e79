//! HTTP for the service that keeps objects: the operator named it, so its address is not checked. TLS by the same library and authorities as elsewhere;
//! `object_store`'s own client would bring another.

use std::{io, time::Duration};

use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as Tcp},
    rt::TokioExecutor,
};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use sandmill_model::BoxFuture;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Until the head of an answer; a part of an object is sent in the meantime.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const IDLE_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Connector;

#[derive(Debug)]
struct Service(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let provider = rustls::crypto::ring::default_provider();
        let tls = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider);
        let tls = tls.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_LIMIT).build(connector);
        Ok(HttpClient::new(Service(client)))
    }
}

impl HttpService for Service {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            let answer = tokio::time::timeout(ANSWER_LIMIT, self.0.request(request)).await;
            let answer = answer.map_err(|_| HttpError::new(HttpErrorKind::Timeout, io::Error::from(io::ErrorKind::TimedOut)))?;
            let answer = answer.map_err(|error| {
                let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
                HttpError::new(kind, error)
            })?;
            Ok(answer.map(|body| HttpResponseBody::new(body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)))))
        })
    }
}
