//! Who answers in the place of everybody, for tests of scripts.

use std::net::SocketAddr;

use http::Uri;
use hyper_util::rt::TokioIo;
use sandmill_model::grants::origin::Scheme;
use tokio::net::TcpStream;

use super::connect::ConnectError;

/// Where every connection goes, whatever it is for: grants are asked as always, then no name is resolved, no address judged, and plain text is
/// spoken in the place of TLS. It is a value that code makes; no option, variable or file of a server leads to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// For `http://`.
    pub http: SocketAddr,
    /// For `https://`: without TLS nothing in a request says that it was meant.
    pub https: SocketAddr,
}

impl StandIn {
    pub(super) async fn connect(self, uri: &Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let address = if uri.scheme_str() == Some(Scheme::Https.name()) { self.https } else { self.http };
        let host = || uri.host().unwrap_or_default().to_owned();
        let stream = TcpStream::connect(address).await.map_err(|error| ConnectError::Refused { host: host(), error })?;
        // A hint; what is slower without is no fault.
        let _ = stream.set_nodelay(true);
        Ok(TokioIo::new(stream))
    }
}
