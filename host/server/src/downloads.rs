//! Versions as components, for download.

use bytes::Bytes;
use sandmill_api::{DownloadForm, Downloads};
use sandmill_compiler::Compiler;
use sandmill_model::{
    BoxFuture, WorkspaceId,
    build::BuildError,
    code::{Code, Refusal},
    version::{ProgramSpec, Version},
};
use sandmill_store::Store;

pub(crate) struct BuiltDownloads {
    pub(crate) store: Store,
    pub(crate) compiler: Compiler,
}

impl Downloads for BuiltDownloads {
    fn component(&self, workspace: WorkspaceId, version: Version, form: DownloadForm) -> BoxFuture<'_, Result<Bytes, Refusal>> {
        Box::pin(async move {
            let compiler = self.compiler.on_behalf_of(workspace);
            let component = match version.program {
                ProgramSpec::Identity => return Err(Refusal::new(Code::NotFound, "what is built in is no component")),
                ProgramSpec::Hosted(module) => compiler.snapshot_component(module).await.map_err(refuse)?,
                ProgramSpec::Component { component, .. } => {
                    let found = self.store.scripts.component(workspace, component).await;
                    let found = found.map_err(|error| Refusal::new(Code::Unavailable, error.to_string()))?;
                    found.ok_or_else(|| Refusal::new(Code::NotFound, format!("component {component} is gone")))?
                }
            };
            match form {
                DownloadForm::Snapshot => Ok(component),
                DownloadForm::Standalone => compiler.standalone(component).await.map_err(refuse),
            }
        })
    }
}

fn refuse(error: BuildError) -> Refusal {
    match error {
        BuildError::Diagnostics(_) => Refusal::new(Code::CompileFailed, error.to_string()),
        BuildError::InvalidComponent(text) => Refusal::new(Code::InvalidComponent, text),
        BuildError::LimitReached(text) => Refusal::new(Code::BuildLimit, text),
        BuildError::Unavailable(text) => Refusal::new(Code::Unavailable, text),
    }
}
