//! TLS: the certificate that the server shows, which may change while it serves.
//!
//! The files are read now and then, and at once on SIGHUP. A pair that cannot be used is logged, and the one of before stays in use: a
//! renewal writes two files, so between them there is always a moment at which they do not belong together.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sandmill_model::Digest;
use tokio::{
    io::AsyncReadExt,
    signal::unix::{Signal, SignalKind, signal},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// How often the files are read.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of a certificate's file, with all that lead to its authority, or of a key's.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Permissions of those who are neither the owner nor of its group.
const OTHERS: u32 = 0o007;
/// What may be spoken, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the certificate is.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// PEM: the server's own certificate, then those between it and its authority.
    pub(crate) certificate: PathBuf,
    /// PEM: its private key.
    pub(crate) key: PathBuf,
}

/// What handshakes show.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: Files,
    shown: RwLock<Shown>,
}

#[derive(Clone, Debug)]
struct Shown {
    pair: Arc<CertifiedKey>,
    /// Of what was in the files.
    digest: Digest,
}

impl Certificates {
    /// # Errors
    /// If a file cannot be read, or the two are no pair.
    pub(crate) async fn load(files: Files) -> anyhow::Result<Arc<Self>> {
        let shown = Content::read(&files).await?.shown()?;
        if tokio::fs::metadata(&files.key).await.is_ok_and(|key| key.permissions().mode() & OTHERS != 0) {
            tracing::warn!(file = %files.key.display(), "everybody on this machine can read the TLS key");
        }
        Ok(Arc::new(Self { files, shown: RwLock::new(shown) }))
    }

    /// Reads the files again; whether another certificate is shown from now on.
    ///
    /// # Errors
    /// As [`Self::load`]; then everything stays as it was.
    pub(crate) async fn reload(&self) -> anyhow::Result<bool> {
        let content = Content::read(&self.files).await?;
        if content.digest() == self.shown().digest {
            return Ok(false);
        }
        let shown = content.shown()?;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(true)
    }

    fn shown(&self) -> Shown {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How connections are secured: TLS 1.3 or 1.2, HTTP/2 or HTTP/1.1.
    ///
    /// # Errors
    /// Never, with the primitives that are built in.
    pub(crate) fn config(self: &Arc<Self>) -> anyhow::Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().context("TLS cannot be set up")?;
        let resolver = Arc::clone(self);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Follows the files until `shutdown`.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What goes on being wrong is said once, and whenever somebody asks.
        let mut said: Option<String> = None;
        loop {
            let is_asked = tokio::select! {
                _ = ticks.tick() => false,
                () = heard(&mut hangup) => true,
                () = shutdown.cancelled() => return,
            };
            match self.reload().await {
                Ok(is_new) => {
                    said = None;
                    if is_new || is_asked {
                        tracing::info!(file = %self.files.certificate.display(), is_new, "the TLS certificate was read again");
                    }
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if is_asked || said.as_ref() != Some(&error) {
                        tracing::error!(error, "the TLS certificate cannot be read again; the one of before stays in use");
                    }
                    said = Some(error);
                }
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown().pair)
    }
}

/// Without a way to hear it, it never comes.
async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// What is in the files at one moment.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    async fn read(files: &Files) -> anyhow::Result<Self> {
        let certificate = bounded(&files.certificate);
        let certificate = certificate.await.with_context(|| format!("--tls-cert {} cannot be read", files.certificate.display()))?;
        let key = bounded(&files.key).await.with_context(|| format!("--tls-key {} cannot be read", files.key.display()))?;
        Ok(Self { certificate, key })
    }

    fn digest(&self) -> Digest {
        Digest::of_parts(&[&self.certificate, &self.key])
    }

    fn shown(&self) -> anyhow::Result<Shown> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|error| anyhow::anyhow!("--tls-cert is no PEM file: {error}"))?;
        anyhow::ensure!(!chain.is_empty(), "--tls-cert has no certificate in it");
        // The parser's own words may repeat a part of the key.
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| anyhow::anyhow!("--tls-key has no private key in it that is PEM"))?;
        let pair = CertifiedKey::from_der(chain, key, &ring::default_provider()).context("--tls-cert and --tls-key are no pair")?;
        Ok(Shown { pair: Arc::new(pair), digest: self.digest() })
    }
}

/// # Errors
/// If it cannot be read, or is larger than a certificate ever is.
async fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    tokio::fs::File::open(file).await?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
    }

    /// A certificate that vouches for itself, and its key.
    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    #[tokio::test]
    async fn a_bad_pair_leaves_the_one_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let write = |certificate: &str, key: &str| {
            fs::write(&files.certificate, certificate).unwrap();
            fs::write(&files.key, key).unwrap();
        };
        assert!(Certificates::load(files.clone()).await.unwrap_err().to_string().contains("--tls-cert"), "nothing is there");
        let ((first, first_key), (second, second_key)) = (pair(), pair());
        write(&first, &first_key);
        let certificates = Certificates::load(files.clone()).await.unwrap();
        let before = certificates.shown().pair.cert.clone();
        assert!(!certificates.reload().await.unwrap(), "nothing has changed");
        let large = "x".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        for (certificate, key) in
            [(&second, &first_key), (&first, &second_key), (&second_key, &second_key), (&second, &second), (&large, &second_key)]
        {
            write(certificate, key);
            let error = format!("{:#}", certificates.reload().await.unwrap_err());
            assert!(error.contains("--tls-") && !error.contains("BEGIN"), "{error}");
            assert_eq!(certificates.shown().pair.cert, before);
        }
        fs::remove_file(&files.key).unwrap();
        assert!(certificates.reload().await.is_err());
        write(&second, &second_key);
        assert!(certificates.reload().await.unwrap());
        assert_ne!(certificates.shown().pair.cert, before);
    }

    #[tokio::test]
    async fn a_chain_is_shown_whole() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let ((own, key), (other, _)) = (pair(), pair());
        fs::write(&files.certificate, [own, other].concat()).unwrap();
        fs::write(&files.key, key).unwrap();
        let certificates = Certificates::load(files).await.unwrap();
        assert_eq!(certificates.shown().pair.cert.len(), 2);
        assert_eq!(certificates.config().unwrap().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}
