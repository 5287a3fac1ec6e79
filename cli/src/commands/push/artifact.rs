//! `sandmill push oci://…`: the component comes from a registry instead of a file.

use std::path::{Path, PathBuf};

use sandmill_model::ScriptPath;

use super::{Options, Pushed, own_path, push};
use crate::{
    Session,
    client::Server,
    error::CliError,
    files::ScriptFile,
    oci::{self, Access, PlainHttp, Reference, SCHEME},
};

/// What is said on the command line only of artifacts.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ArtifactOptions {
    /// Of an oci:// reference: the manifest of the version, as it would stand in NAME.script.toml beside a file
    #[arg(long, value_name = "FILE.toml")]
    manifest: Option<PathBuf>,
    /// Ask the registry by plain HTTP, without TLS; one on this machine is asked so anyway
    #[arg(long)]
    insecure_registry: bool,
    /// Send a login to such a registry, too: whoever is on the way can read the password
    #[arg(long, requires = "insecure_registry")]
    insecure_login: bool,
}

impl ArtifactOptions {
    /// # Errors
    /// If something is said although a file or a folder is pushed.
    pub(super) fn refuse(&self) -> Result<(), CliError> {
        if self.manifest.is_some() {
            return Err(CliError::input("--manifest is for an oci:// reference; a file has its manifest beside it, in NAME.script.toml"));
        }
        if self.insecure_registry {
            return Err(CliError::input("--insecure-registry is for an oci:// reference"));
        }
        Ok(())
    }
}

/// The reference, if it is one and no file.
pub(super) fn reference(what: &Path) -> Result<Option<Reference>, CliError> {
    match what.to_str().filter(|text| text.starts_with(SCHEME)) {
        Some(text) => text.parse().map(Some).map_err(CliError::Input),
        None => Ok(None),
    }
}

pub(super) async fn execute(reference: &Reference, options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let Options { path, grants, export, artifact, .. } = options;
    // What is wrong here needs no registry to be said.
    let mut script = ScriptFile::of_component(reference.name(), artifact.manifest.as_deref())?;
    script.choose(export)?;
    let server = Server::of(&session.globals)?;
    let path: ScriptPath = match path {
        Some(path) => path,
        None => own_path(&server, &script.file).await?,
    };
    let plain = match (artifact.insecure_registry, artifact.insecure_login) {
        (false, _) => PlainHttp::Local,
        (true, false) => PlainHttp::Anywhere,
        (true, true) => PlainHttp::AnywhereWithLogins,
    };
    session.console.progress(&format!("pulling {reference}"));
    let pulled = oci::pull(reference, &Access::of_process(plain)).await?;
    script.source = pulled.component;
    let pinned = reference.pinned(pulled.digest);
    push(&server, Pushed { script: &script, path: &path, grants: &grants, artifact: Some(&pinned) }, session).await
}
