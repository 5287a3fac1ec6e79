//! The engine of a worker, and the one thread on which its guests run.

use std::future::Future;

use sandmill_model::build::BuildError;
use sandmill_sandbox::engine_config;
use tokio::runtime::{Builder, Runtime};
use wasmtime::{Engine, component::Component};

use super::hosted::engine_failed;

pub(super) struct Engines {
    /// Makes and runs the same code as the sandbox.
    pub(super) engine: Engine,
    runtime: Runtime,
}

impl Engines {
    pub(super) fn new() -> Result<Self, BuildError> {
        let engine = Engine::new(&engine_config(None)).map_err(engine_failed)?;
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| BuildError::Unavailable(format!("a build worker has no event loop: {error}")))?;
        Ok(Self { engine, runtime })
    }

    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Machine code of a component.
    pub(super) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, BuildError> {
        self.engine
            .precompile_component(component)
            .map_err(|error| BuildError::InvalidComponent(format!("the component does not compile: {error:#}")))
    }
}

/// Code of ours, from the parent.
pub(super) fn adopt(engine: &Engine, code: &[u8]) -> Result<Component, BuildError> {
    sandmill_sandbox::read_compiled(engine, code).map_err(engine_failed)
}
