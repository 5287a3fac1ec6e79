//! The seam through which `run FILE` reaches a sandbox in this process.

use std::path::PathBuf;

use sandmill_model::{BoxFuture, Grant, JsonText, Language, Manifest, Outcome, build::BuildError};

/// Where scripts' requests may go beside the open Internet, and whom their TLS trusts; for whoever operates the sandbox.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Outbound {
    /// Addresses that scripts' requests may go to although they are private, loopback or the like: CIDR blocks, separated by commas
    #[arg(long, env = "SANDMILL_OUTBOUND_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    pub outbound_allow: Vec<String>,
    /// A PEM file of certificates that scripts' requests trust beside the well-known ones
    #[arg(long, env = "SANDMILL_OUTBOUND_CA", value_name = "FILE")]
    pub outbound_ca: Option<PathBuf>,
}

/// A file to build and run once.
#[derive(Clone, Debug)]
pub struct LocalRunRequest {
    /// As the user named it; its last part is the file name in diagnostics and stack traces.
    pub file: PathBuf,
    pub language: Language,
    /// UTF-8 source, or the bytes of a component.
    pub source: Vec<u8>,
    pub manifest: Manifest,
    /// What of the manifest's wishes it is given.
    pub given: Vec<Grant>,
    /// A JSON object.
    pub arguments: JsonText,
    pub outbound: Outbound,
}

/// Why a local run did not begin.
#[derive(Debug)]
pub enum LocalRunError {
    Build(BuildError),
    /// The sandbox could not be set up; the text says why.
    Setup(String),
}

/// Builds and runs a file without any server. Whatever the script did is an outcome, its log included.
pub trait LocalRunner: Sync {
    fn run(&self, request: LocalRunRequest) -> BoxFuture<'_, Result<Outcome, LocalRunError>>;
}
