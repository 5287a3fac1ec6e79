//! Whom outbound TLS trusts: Mozilla's roots, which are in the binary, and whoever the operator names.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// What is wrong with the operator's certificates.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAuthorities {
    #[error("it is no PEM file: {0}")]
    Pem(rustls::pki_types::pem::Error),
    #[error("a certificate in it cannot be used: {0}")]
    Certificate(rustls::Error),
    #[error("there is no certificate in it")]
    Empty,
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// Trusts Mozilla's roots and `authorities`: more roots, as PEM.
///
/// # Errors
/// If they are not what they should be.
pub fn config(authorities: Option<&[u8]>) -> Result<ClientConfig, InvalidAuthorities> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = authorities {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(InvalidAuthorities::Pem)?).map_err(InvalidAuthorities::Certificate)?;
        }
        if roots.len() == before {
            return Err(InvalidAuthorities::Empty);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(InvalidAuthorities::Setup)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
