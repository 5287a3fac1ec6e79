//! The seal around a connection. The server's name is always checked: against Mozilla's roots and the operator's, or against the connection's own authority alone.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

use super::{Fault, Stream};
use crate::nats::config::Connection;

pub(super) async fn seal(
    stream: Box<dyn Stream>,
    connection: &Connection,
    authorities: Option<&[u8]>,
    host: &str,
) -> Result<Box<dyn Stream>, Fault> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Fault::Config(format!("{host} is no name that TLS knows")))?;
    let connector = TlsConnector::from(Arc::new(config(connection, authorities)?));
    let sealed = connector.connect(name, stream).await;
    let sealed = sealed.map_err(|error| {
        let is_of_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        if is_of_tls { Fault::Config(format!("TLS: {error}")) } else { Fault::io(&error) }
    })?;
    Ok(Box::new(sealed))
}

fn config(connection: &Connection, authorities: Option<&[u8]>) -> Result<ClientConfig, Fault> {
    let roots = match &connection.root_certificate {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            add(&mut roots, pem.as_bytes()).ok_or_else(|| Fault::Config("`root_certificate` is no PEM of a certificate".to_owned()))?;
            roots
        }
        None => {
            let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            if let Some(pem) = authorities {
                // They were looked at when the server started.
                let _ = add(&mut roots, pem);
            }
            roots
        }
    };
    let setup = |error: rustls::Error| Fault::Config(format!("TLS cannot be set up: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(setup)?.with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (&connection.client_certificate, &connection.client_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|_| Fault::Config("`client_certificate` is no PEM of a certificate".to_owned()))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| Fault::Config("`client_key` is no PEM of a private key".to_owned()))?;
    builder.with_client_auth_cert(chain, key).map_err(|_| Fault::Config("`client_certificate` and `client_key` do not fit".to_owned()))
}

/// None if there is no certificate in it, or one that cannot be used.
fn add(roots: &mut RootCertStore, pem: &[u8]) -> Option<()> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    (roots.len() > before).then_some(())
}
