//! Why a request or its answer ended: a code for the guest, as `wasi:http` has them, and a line for the run's log that names the rule.

use std::{error::Error as StdError, fmt, io, net::IpAddr, time::Duration};

use sandmill_model::{LogLevel, LogStream};
use sandmill_sandbox::RunLog;
use wasmtime_wasi_http::Error;

use super::{addresses::Denied, connect::ConnectError};

/// The name that `wasi:http` has for a denial.
const DENIED: &str = "HTTP-request-denied";
/// Causes that are looked at, one behind the other.
const CAUSES_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// No grant covers it; the text says how to get one.
    Denied(String),
    /// The workspace has used up what it may; the text says which limit.
    Quota(String),
    Prohibited {
        host: String,
        address: IpAddr,
        denied: Denied,
    },
    Url(String),
    UrlTooLong(usize),
    Method(String),
    TooManyOfRun(usize),
    TooManyOfWorkspace(usize),
    Exhausted,
    TooMuchUp,
    TooMuchDown,
    /// The body has so many bytes, and not as many as was said.
    BodyLength(u64),
    HeadersTooLarge,
    ConnectTimeout(String),
    FirstByte(Duration),
    Silent(Duration),
    Lookup(String),
    Refused(String),
    Certificate(String),
    Tls(String),
    Terminated(String),
    Protocol(String),
    /// Credentials or placeholders cannot be put in.
    Secrets(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) | Self::Quota(text) | Self::Lookup(text) | Self::Refused(text) => f.write_str(text),
            Self::Prohibited { host, address, denied } => {
                let block = ipnet::IpNet::from(*address);
                let host = if *host == address.to_string() { String::new() } else { format!("{host} resolves to ") };
                write!(
                    f,
                    "{host}{address} is {denied}: no request goes there. Whoever operates this server can allow it with --outbound-allow {block}"
                )
            }
            Self::Url(text) => write!(f, "the URL of a request is not valid: {text}"),
            Self::UrlTooLong(bytes_max) => write!(f, "the path and query of a request have at most {bytes_max} bytes"),
            Self::Method(method) => write!(f, "no request is made with the method {method}"),
            Self::TooManyOfRun(most) => write!(f, "a run has at most {most} requests under way"),
            Self::TooManyOfWorkspace(most) => write!(f, "the runs of a workspace have at most {most} requests under way"),
            Self::Exhausted => f.write_str("all connections of the workspace are in use"),
            Self::TooMuchUp => f.write_str("the run has sent as many bytes in bodies of requests as it may"),
            Self::TooMuchDown => f.write_str("the run has received as many bytes in bodies of answers as it may"),
            Self::BodyLength(bytes) => write!(f, "the body of a request ended at {bytes} bytes, not where its Content-Length says"),
            Self::HeadersTooLarge => f.write_str("the headers of an answer are too large"),
            Self::ConnectTimeout(host) => write!(f, "no connection to {host} in time"),
            Self::FirstByte(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
            Self::Silent(limit) => write!(f, "nothing more of an answer within {} ms", limit.as_millis()),
            Self::Certificate(text) => write!(f, "the certificate of the server is not trusted: {text}"),
            Self::Tls(text) => write!(f, "TLS failed: {text}"),
            Self::Terminated(text) => write!(f, "the connection ended: {text}"),
            Self::Protocol(text) => write!(f, "HTTP failed: {text}"),
            Self::Secrets(text) => write!(f, "credentials cannot be added to a request: {text}"),
        }
    }
}

impl StdError for Fault {}

impl Fault {
    /// The first cause that says something.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        let (mut next, mut texts) = (Some(error), Vec::new());
        while let Some(cause) = next.filter(|_| texts.len() < CAUSES_MAX) {
            if let Some(fault) = known(cause) {
                return fault;
            }
            texts.push(cause.to_string());
            next = cause.source();
        }
        Self::Protocol(texts.join(": "))
    }

    fn code(&self) -> Error {
        match self {
            Self::Denied(_) | Self::Quota(_) => Error::HttpRequestDenied,
            Self::Prohibited { .. } => Error::DestinationIpProhibited,
            Self::Url(_) => Error::HttpRequestUriInvalid,
            Self::UrlTooLong(_) => Error::HttpRequestUriTooLong,
            Self::Method(_) => Error::HttpRequestMethodInvalid,
            Self::TooManyOfRun(_) | Self::TooManyOfWorkspace(_) | Self::Exhausted => Error::ConnectionLimitReached,
            Self::TooMuchUp => Error::HttpRequestBodySize(None),
            Self::TooMuchDown => Error::HttpResponseBodySize(None),
            Self::BodyLength(bytes) => Error::HttpRequestBodySize(Some(*bytes)),
            Self::HeadersTooLarge => Error::HttpResponseHeaderSectionSize(None),
            Self::ConnectTimeout(_) => Error::ConnectionTimeout,
            Self::FirstByte(_) => Error::HttpResponseTimeout,
            Self::Silent(_) => Error::ConnectionReadTimeout,
            Self::Lookup(_) => Error::DnsError { rcode: Some("address not available".to_owned()), info_code: None },
            Self::Refused(_) => Error::ConnectionRefused,
            Self::Certificate(_) => Error::TlsCertificateError,
            Self::Tls(_) => Error::TlsProtocolError,
            Self::Terminated(_) => Error::ConnectionTerminated,
            Self::Protocol(_) => Error::HttpProtocolError,
            Self::Secrets(_) => Error::ConfigurationError,
        }
    }
}

fn known(error: &(dyn StdError + 'static)) -> Option<Fault> {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return Some(fault.clone());
    }
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return Some(of_connect(error));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // What an I/O error wraps is not its source.
        return match error.get_ref().map(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(Some(rustls::Error::InvalidCertificate(error))) => Some(Fault::Certificate(error.to_string())),
            Some(Some(error)) => Some(Fault::Tls(error.to_string())),
            Some(None) => error.get_ref().and_then(|inner| known(inner)),
            None => Some(Fault::Terminated(error.to_string())),
        };
    }
    let hyper = error.downcast_ref::<hyper::Error>()?;
    if hyper.is_parse_too_large() {
        return Some(Fault::HeadersTooLarge);
    }
    (hyper.is_incomplete_message() || hyper.is_closed()).then(|| Fault::Terminated(hyper.to_string()))
}

fn of_connect(error: &ConnectError) -> Fault {
    match error {
        ConnectError::Prohibited { host, address, denied } => Fault::Prohibited { host: host.clone(), address: *address, denied: *denied },
        ConnectError::Lookup { .. } => Fault::Lookup(error.to_string()),
        ConnectError::Refused { .. } => Fault::Refused(error.to_string()),
        ConnectError::Timeout(host) => Fault::ConnectTimeout(host.clone()),
        ConnectError::Exhausted => Fault::Exhausted,
        ConnectError::Address(text) => Fault::Url(text.clone()),
    }
}

/// Tells the run's log.
#[derive(Clone)]
pub(super) struct Teller(pub(super) RunLog);

impl Teller {
    /// The code for the guest.
    pub(super) fn tell(&self, fault: &Fault) -> Error {
        match fault {
            // The guest gets the code alone, which is in what it makes of it.
            Fault::Denied(text) => self.0.denied(text.clone(), DENIED),
            other => self.0.write(LogLevel::Warn, LogStream::Host, other.to_string(), None),
        }
        fault.code()
    }
}
