//! The compiler as the server holds it: a cheap handle whose every build happens in a worker process.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use sandmill_model::{
    BoxFuture, Digest, JsonText, Language, Manifest, WorkspaceId,
    build::{BuildError, BuildRequest, Builder, Built},
    version::{HostedModule, ProgramSpec},
};

use crate::{
    limits::{COMPONENT_BYTES_MAX, QUEUE_MAX, REQUEST_WALL, SOURCE_BYTES_MAX, WORKSPACE_QUEUE_MAX},
    pool::{Bounds, By, Lane, Shared, Spawner},
    protocol::{Artefact, Inspect, Request, Response},
    runtime,
};

/// How far workers stand back from the server on the processor: builds of sources that someone waits for, components, and snapshots.
const NICE_INTERACTIVE: i32 = 5;
const NICE_COMPONENTS: i32 = 15;
const NICE_BACKGROUND: i32 = 19;

#[derive(Clone, Debug)]
pub struct Options {
    /// Worker processes for builds of sources that someone waits for, and as many for components. One more makes snapshots. Of several no
    /// workspace alone has the last one.
    pub workers: usize,
    /// A binary whose subcommand `build-worker` calls [`crate::worker_main`]: this one.
    pub executable: PathBuf,
    /// Clock time of one request; then its worker is killed.
    pub wall: Duration,
    /// Whether components of WASI 0.3 are taken.
    pub accepts_async: bool,
}

impl Options {
    #[must_use]
    pub fn new(executable: PathBuf) -> Self {
        Self { workers: 2, executable, wall: REQUEST_WALL, accepts_async: false }
    }
}

/// Cheap to clone. Workers end when the last clone is dropped.
#[derive(Clone)]
pub struct Compiler {
    inner: Arc<Inner>,
    by: By,
}

struct Inner {
    interactive: Lane,
    /// Components take seconds where sources take a millisecond.
    components: Lane,
    background: Lane,
    shared: Arc<Shared>,
    accepts_async: bool,
}

impl Compiler {
    /// Starts no worker yet: the first build does.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let shared = Arc::new(Shared::new(options.executable, options.wall, Spawner::start()));
        let awaited = Bounds { workers: options.workers, line_max: WORKSPACE_QUEUE_MAX, all_max: QUEUE_MAX };
        // Nobody is told of a snapshot that is refused, so one workspace may have as many waiting as there are.
        let background = Bounds { workers: 1, line_max: QUEUE_MAX, all_max: QUEUE_MAX };
        let inner = Inner {
            interactive: Lane::new(Arc::clone(&shared), awaited, NICE_INTERACTIVE),
            components: Lane::new(Arc::clone(&shared), awaited, NICE_COMPONENTS),
            background: Lane::new(Arc::clone(&shared), background, NICE_BACKGROUND),
            shared,
            accepts_async: options.accepts_async,
        };
        Self { inner: Arc::new(inner), by: None }
    }

    /// The same workers, in the turns of `workspace`. What is asked of a compiler without one stands in the node's own line.
    #[must_use]
    pub fn on_behalf_of(&self, workspace: WorkspaceId) -> Self {
        Self { inner: Arc::clone(&self.inner), by: Some(workspace) }
    }

    /// Looks at a component that is uploaded, and compiles it unless its code is `known`, which must be of these bytes.
    ///
    /// # Errors
    /// If it cannot run here, or a limit was met.
    pub async fn inspect(
        &self,
        (file_name, manifest): (String, Manifest),
        component: Bytes,
        known: Option<&[u8]>,
    ) -> Result<Inspected, BuildError> {
        check_component_size(&component)?;
        let about = Inspect { file_name, manifest, accepts_async: self.inner.accepts_async, component_bytes: component.len() };
        let body = known.map_or_else(|| component.clone(), |code| [component.as_ref(), code].concat().into());
        match self.inner.components.call(self.by, &Request::Inspect(Box::new(about)), &body).await? {
            (Response::Inspected { built_bytes }, mut body) if built_bytes <= body.len() => {
                let code = body.split_off(built_bytes);
                Ok(Inspected { built: read_built(&body)?, code: (!code.is_empty()).then_some(code) })
            }
            (other, _) => Err(BuildError::Unavailable(format!("a build worker answered {other:?}"))),
        }
    }

    /// Machine code of a component, for engines made from `sandmill_sandbox::engine_config`.
    ///
    /// # Errors
    /// If it is not a valid component, or a limit was met.
    pub async fn compile(&self, component: Bytes) -> Result<Bytes, BuildError> {
        check_component_size(&component)?;
        bytes_of(self.inner.components.call(self.by, &Request::Compile, &component).await?)
    }

    /// Machine code of the script's own component: the JavaScript runtime with the module already loaded.
    ///
    /// # Errors
    /// If the module does not load, or a limit was met.
    pub async fn snapshot(&self, module: HostedModule) -> Result<Bytes, BuildError> {
        bytes_of(self.inner.background.call(self.by, &Request::Snapshot, &module_body(&module)?).await?)
    }

    /// The script's own component, as a file that another host can run.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub async fn snapshot_component(&self, module: HostedModule) -> Result<Bytes, BuildError> {
        bytes_of(self.inner.interactive.call(self.by, &Request::SnapshotComponent, &module_body(&module)?).await?)
    }

    /// The component with all that only Sandmill provides satisfied inside it: what returns nothing does nothing, the
    /// rest traps. Imports of WASI stay.
    ///
    /// # Errors
    /// If it is not a valid component, or a limit was met.
    pub async fn standalone(&self, component: Bytes) -> Result<Bytes, BuildError> {
        check_component_size(&component)?;
        bytes_of(self.inner.interactive.call(self.by, &Request::Standalone, &component).await?)
    }

    /// Machine code of [`Self::javascript_runtime`], compiled by a worker unless it is known already.
    ///
    /// # Errors
    /// If no worker could be had.
    pub async fn runtime_compiled(&self) -> Result<Bytes, BuildError> {
        self.inner.interactive.artefact(Artefact::Runtime).await
    }

    /// Starts a worker and gives it the compiled runtime, so that the first build finds both: a build by a warm worker
    /// takes a millisecond, the runtime's compile a second.
    ///
    /// # Errors
    /// If no worker could be had.
    pub async fn warm_up(&self) -> Result<(), BuildError> {
        self.inner.interactive.warm_up(Artefact::Runtime).await.map(|_| ())
    }

    /// Hands over machine code of the runtime from a cache, so that the first build need not compile it.
    pub fn provide_runtime(&self, code: Bytes) {
        self.inner.shared.keep(Artefact::Runtime, code);
    }

    /// Digest of the JavaScript runtime: part of the key of everything built with it.
    #[must_use]
    pub fn runtime_digest() -> Digest {
        runtime::digest()
    }

    /// The JavaScript runtime: a component.
    #[must_use]
    pub fn javascript_runtime() -> Bytes {
        runtime::component()
    }
}

impl Builder for Compiler {
    fn build(&self, request: BuildRequest) -> BoxFuture<'_, Result<Built, BuildError>> {
        Box::pin(async move {
            let BuildRequest { workspace, file_name, language, source, manifest, .. } = request;
            match language {
                Language::Component => {
                    return Ok(self.on_behalf_of(workspace).inspect((file_name, manifest), source, None).await?.built);
                }
                Language::TypeScript | Language::JavaScript => check_source_size(&source)?,
                Language::Identity => return identity(&source),
            }
            let request = Request::Build { file_name, language, manifest: Box::new(manifest) };
            let (_, body) = self.inner.interactive.call(Some(workspace), &request, &source).await?;
            read_built(&body)
        })
    }
}

/// What came of a component.
#[derive(Debug)]
pub struct Inspected {
    pub built: Built,
    /// None if it was known.
    pub code: Option<Bytes>,
}

fn read_built(json: &[u8]) -> Result<Built, BuildError> {
    serde_json::from_slice(json).map_err(|error| BuildError::Unavailable(format!("a build worker's answer is broken: {error}")))
}

/// There is nothing to build, so there must be nothing to read either.
fn identity(source: &[u8]) -> Result<Built, BuildError> {
    if !source.is_empty() {
        return Err(BuildError::InvalidComponent("`identity` is built in: its source is empty".to_owned()));
    }
    let schema = JsonText::trusted("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\"}");
    Ok(Built { program: ProgramSpec::Identity, schema, warnings: Vec::new() })
}

fn check_source_size(source: &[u8]) -> Result<(), BuildError> {
    if source.len() <= SOURCE_BYTES_MAX {
        return Ok(());
    }
    let (size, max) = (source.len(), SOURCE_BYTES_MAX / (1024 * 1024));
    Err(BuildError::LimitReached(format!("the source has {size} bytes; the most is {max} MiB")))
}

fn check_component_size(component: &[u8]) -> Result<(), BuildError> {
    if component.len() <= COMPONENT_BYTES_MAX {
        return Ok(());
    }
    let (size, max) = (component.len(), COMPONENT_BYTES_MAX / (1024 * 1024));
    Err(BuildError::LimitReached(format!("the component has {size} bytes; the most is {max} MiB")))
}

fn module_body(module: &HostedModule) -> Result<Bytes, BuildError> {
    let body = serde_json::to_vec(module).map_err(|error| BuildError::Unavailable(format!("the module has no JSON form: {error}")))?;
    Ok(body.into())
}

fn bytes_of((response, body): (Response, Bytes)) -> Result<Bytes, BuildError> {
    match response {
        Response::Bytes => Ok(body),
        other => Err(BuildError::Unavailable(format!("a build worker answered {other:?}"))),
    }
}
