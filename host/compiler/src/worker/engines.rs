//! The engine of a worker, and the one thread on which its guests run.

use std::future::Future;

use sandmill_model::build::BuildError;
use sandmill_sandbox::engine_config;
use tokio::runtime::{Builder, Runtime};
use wasmtime::{Engine, component::Component};

use super::{fused, hosted::engine_failed};
use crate::{limits::MESSAGE_CHARS_MAX, script::position::shorten};

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

    /// A component, compiled. With [`Self::compile`] the only way in which a worker makes code of what users sent.
    pub(super) fn component(&self, component: &[u8]) -> Result<Component, BuildError> {
        check(component)?;
        Component::new(&self.engine, component).map_err(|error| invalid(&format!("the component cannot run here: {error:#}")))
    }

    /// Machine code of a component.
    pub(super) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, BuildError> {
        check(component)?;
        self.engine.precompile_component(component).map_err(|error| invalid(&format!("the component does not compile: {error:#}")))
    }
}

fn check(component: &[u8]) -> Result<(), BuildError> {
    fused::check(component).map_err(|message| invalid(&message))
}

pub(super) fn invalid(message: &str) -> BuildError {
    BuildError::InvalidComponent(shorten(message, MESSAGE_CHARS_MAX))
}

/// Code of ours, from the parent.
pub(super) fn adopt(engine: &Engine, code: &[u8]) -> Result<Component, BuildError> {
    sandmill_sandbox::read_compiled(engine, code).map_err(engine_failed)
}
