//! TLS to the server. The HTTP client of this crate speaks without it, to a socket in a folder that only this user may enter; what is
//! behind the socket adds TLS: the rustls that everything else here has, and no second set of certificates and settings.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Url;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpStream, UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::error::CliError;

/// For name, connection and TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const HTTPS_PORT: u16 = 443;

/// It ends when it is dropped.
pub(super) struct Tunnel {
    socket: PathBuf,
    server: Arc<Server>,
    /// Gone with it; readable by its owner alone.
    _folder: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

struct Server {
    host: String,
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
    /// Why the last connection did not come about.
    fault: Mutex<Option<String>>,
}

impl Tunnel {
    /// `ca`: a PEM file of authorities that are trusted beside the well-known ones.
    ///
    /// # Errors
    /// If the file is none, or no socket can be made.
    pub(super) fn to(base: &Url, ca: Option<&Path>) -> Result<Self, CliError> {
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name =
            ServerName::try_from(host.clone()).map_err(|error| CliError::input(format!("{host:?} is no name of a server: {error}")))?;
        let connector = TlsConnector::from(Arc::new(config(ca)?));
        let port = base.port().unwrap_or(HTTPS_PORT);
        let server = Arc::new(Server { host, port, name, connector, fault: Mutex::default() });
        let failed = |error: std::io::Error| CliError::Unreachable(format!("no socket for TLS can be made: {error}"));
        let folder = tempfile::Builder::new().prefix("sandmill-").tempdir().map_err(failed)?;
        let socket = folder.path().join("tls");
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&server)));
        Ok(Self { socket, server, _folder: folder, _tasks: tasks })
    }

    /// Where the HTTP client connects to.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Why the last connection did not come about, in words.
    pub(super) fn fault(&self) -> Option<String> {
        self.server.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn config(ca: Option<&Path>) -> Result<ClientConfig, CliError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = ca {
        let wrong = |why: String| CliError::input(format!("--ca {}: {why}", file.display()));
        let pem = fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(format!("it is no PEM file: {error}")))?;
            roots.add(certificate).map_err(|error| wrong(format!("a certificate in it cannot be used: {error}")))?;
        }
        if roots.len() == before {
            return Err(wrong("there is no certificate in it".to_owned()));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| CliError::Unreachable(format!("TLS cannot be set up: {error}")))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve(listener: UnixListener, server: Arc<Server>) {
    let mut streams = JoinSet::new();
    while let Ok((plain, _)) = listener.accept().await {
        // Those that have ended.
        while streams.try_join_next().is_some() {}
        streams.spawn(carry(plain, Arc::clone(&server)));
    }
}

/// One connection. If it does not come about, the client sees that it ended, and asks for the reason.
async fn carry(mut plain: UnixStream, server: Arc<Server>) {
    let connected = timeout(CONNECT_LIMIT, server.connect()).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    match connected {
        Ok(mut secured) => {
            server.note(None);
            // How either side ends it is for HTTP to judge: its messages say how long they are.
            let _ended = copy_bidirectional(&mut plain, &mut secured).await;
        }
        Err(why) => server.note(Some(why)),
    }
}

impl Server {
    fn note(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        // What is asked is small, and waits for its answer.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        self.connector.connect(self.name.clone(), stream).await.map_err(|error| format!("TLS: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read_before_anything_is_sent() {
        assert!(config(None).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n"]
        {
            fs::write(&file, text).unwrap();
            assert!(matches!(config(Some(&file)), Err(CliError::Input(_))), "{text}");
        }
        assert!(matches!(config(Some(Path::new("/no/such/file"))), Err(CliError::Input(_))));
    }
}
