//! Components from OCI registries: an artifact is named, pulled and checked, and then is deployed as a file is.
//!
//! Only what a pull needs of the distribution specification, over the TLS that the rest of the binary has. A registry is not trusted: what it sends is
//! bounded in size and time, is compared with its digest, and nobody but the registry that they are for sees credentials.

mod challenge;
mod credentials;
mod fault;
mod manifest;
mod reference;
mod registry;
mod transport;

use std::path::PathBuf;

use sandmill_model::Digest;

use self::{
    manifest::{Content, Descriptor},
    reference::Version,
    registry::Registry,
};
pub(crate) use self::{
    reference::{Reference, SCHEME},
    transport::PlainHttp,
};
use crate::error::CliError;

/// Bytes of a component; the server takes no more.
const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Indexes before the manifest that one of them leads to.
const INDEX_DEPTH_MAX: usize = 2;

/// How a registry may be asked.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) plain: PlainHttp,
    /// Where Docker's `config.json` is.
    pub(crate) docker: Option<PathBuf>,
}

impl Access {
    /// With the logins that Docker knows.
    pub(crate) fn of_process(plain: PlainHttp) -> Self {
        Self { plain, docker: credentials::location() }
    }
}

/// What a reference led to.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// Of the manifest, or of the index, that the reference names: what pins it.
    pub(crate) digest: Digest,
    pub(crate) component: Vec<u8>,
}

/// Pulls the component that a reference names.
///
/// # Errors
/// That there is none, that somebody has to log in first, that it is something else than a component, or that the registry sent what it should not.
pub(crate) async fn pull(reference: &Reference, access: &Access) -> Result<Artifact, CliError> {
    let mut registry = Registry::new(reference, access)?;
    let (digest, document) = registry.manifest(&reference.version).await?;
    let mut content = manifest::read(&document).map_err(|why| fault::strange(reference, &why))?;
    for _ in 0..=INDEX_DEPTH_MAX {
        match content {
            Content::Component(layer) => {
                let component = component(&mut registry, reference, &layer).await?;
                return Ok(Artifact { digest, component });
            }
            Content::Index(entry) => {
                let (_, document) = registry.manifest(&Version::Digest(entry)).await?;
                content = manifest::read(&document).map_err(|why| fault::strange(reference, &why))?;
            }
        }
    }
    Err(fault::strange(reference, "it is an index of indexes; name what is meant by its digest"))
}

async fn component(registry: &mut Registry<'_>, reference: &Reference, layer: &Descriptor) -> Result<Vec<u8>, CliError> {
    if layer.size > COMPONENT_BYTES_MAX {
        return Err(fault::strange(
            reference,
            &format!("its component has {} bytes, and at most {COMPONENT_BYTES_MAX} are taken", layer.size),
        ));
    }
    registry.blob(layer).await
}

#[cfg(test)]
mod tests;
