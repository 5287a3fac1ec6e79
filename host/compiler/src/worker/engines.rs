//! The engine of a worker, and the one thread on which its guests run.

use std::{cell::OnceCell, future::Future};

use sandmill_model::{build::BuildError, version::ComponentModel};
use sandmill_sandbox::{PoolSize, async_engine_config, engine_config};
use tokio::runtime::{Builder, Runtime};
use wasmparser::{Validator, WasmFeatures};
use wasmtime::{Engine, component::Component};

use super::{fused, hosted::engine_failed};
use crate::{limits::MESSAGE_CHARS_MAX, script::position::shorten};

pub(super) struct Engines {
    /// Makes and runs the same code as the sandbox.
    pub(super) engine: Engine,
    /// The same for what is made of WASI 0.3; most workers never need it.
    asynchronous: OnceCell<Engine>,
    runtime: Runtime,
}

impl Engines {
    pub(super) fn new() -> Result<Self, BuildError> {
        let engine = Engine::new(&engine_config(None)).map_err(engine_failed)?;
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| BuildError::Unavailable(format!("a build worker has no event loop: {error}")))?;
        Ok(Self { engine, asynchronous: OnceCell::new(), runtime })
    }

    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A component, compiled. With [`Self::compile`] the only way in which a worker makes code of what users sent.
    pub(super) fn component(&self, component: &[u8], model: ComponentModel) -> Result<Component, BuildError> {
        check(component, model)?;
        Component::new(self.of(model)?, component).map_err(|error| invalid(&format!("the component cannot run here: {error:#}")))
    }

    /// Machine code of a component.
    pub(super) fn compile(&self, component: &[u8], model: ComponentModel) -> Result<Vec<u8>, BuildError> {
        check(component, model)?;
        self.of(model)?.precompile_component(component).map_err(|error| invalid(&format!("the component does not compile: {error:#}")))
    }

    /// Whether runs of it would have the memories, tables and instances that it begins with.
    pub(super) fn check_room(&self, code: &[u8], model: ComponentModel) -> Result<(), BuildError> {
        let config = match model {
            ComponentModel::Sync => engine_config,
            ComponentModel::Async => async_engine_config,
        };
        // Made for this alone: in the engines above, which have no pool, there is room for anything.
        let pooled = Engine::new(&config(Some(&PoolSize::ONE))).map_err(engine_failed)?;
        sandmill_sandbox::read_compiled(&pooled, code)
            .map(drop)
            .map_err(|error| invalid(&format!("no run could have what the component needs: {error:#}")))
    }

    /// A component whose machine code is known, because this installation has made it.
    pub(super) fn adopt(&self, code: &[u8], model: ComponentModel) -> Result<Component, BuildError> {
        adopt(self.of(model)?, code)
    }

    fn of(&self, model: ComponentModel) -> Result<&Engine, BuildError> {
        if model.is_sync() {
            return Ok(&self.engine);
        }
        if let Some(engine) = self.asynchronous.get() {
            return Ok(engine);
        }
        let engine = Engine::new(&async_engine_config(None)).map_err(engine_failed)?;
        Ok(self.asynchronous.get_or_init(|| engine))
    }
}

/// What the component is made of.
///
/// # Errors
/// Where it is malformed.
pub(super) fn model_of(component: &[u8]) -> Result<ComponentModel, String> {
    let validate = |features| Validator::new_with_features(features).validate_all(component).map(drop);
    let of_wasi_0_3 = WasmFeatures::default() | WasmFeatures::CM_ASYNC;
    if validate(of_wasi_0_3 - WasmFeatures::CM_ASYNC).is_ok() {
        return Ok(ComponentModel::Sync);
    }
    validate(of_wasi_0_3)
        .map(|()| ComponentModel::Async)
        .map_err(|error| format!("the component is malformed at offset {:#x}: {}", error.offset(), error.message()))
}

fn check(component: &[u8], model: ComponentModel) -> Result<(), BuildError> {
    fused::check(component, model).map_err(|message| invalid(&message))
}

pub(super) fn invalid(message: &str) -> BuildError {
    BuildError::InvalidComponent(shorten(message, MESSAGE_CHARS_MAX))
}

/// Code of ours, from the parent.
pub(super) fn adopt(engine: &Engine, code: &[u8]) -> Result<Component, BuildError> {
    sandmill_sandbox::read_compiled(engine, code).map_err(engine_failed)
}
