//! A component of a script's own: the runtime with the module loaded, its memory as it was then.

use sandmill_model::{
    build::BuildError,
    exports::{LOADER, PREPROCESSOR},
    version::{ComponentModel, HostedModule},
};
use wasmtime::component::{Component, InstancePre};
use wasmtime_wizer::{ComponentContext, WasmtimeWizerComponent, Wizer};

use super::{
    closed::{self, Closed},
    engines::Engines,
    guest,
    hosted::{engine_failed, stopped, thrown},
    rewrite,
};
use crate::{
    limits::{LOAD_FUEL_MAX, REQUEST_WALL},
    runtime,
};

pub(super) struct Instrumented {
    pre: InstancePre<Closed>,
    context: ComponentContext<'static>,
    wizer: Wizer,
}

/// The runtime with accessors to its memory and globals, as wasm.
pub(super) fn instrument() -> Result<(ComponentContext<'static>, Vec<u8>, Wizer), BuildError> {
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(runtime::bytes()).map_err(engine_failed)?;
    Ok((context, instrumented, wizer))
}

impl Instrumented {
    pub(super) fn new(
        engines: &Engines,
        component: &Component,
        (context, wizer): (ComponentContext<'static>, Wizer),
    ) -> Result<Self, BuildError> {
        let pre = Closed::linker(&engines.engine, ComponentModel::Sync)
            .and_then(|linker| linker.instantiate_pre(component))
            .map_err(engine_failed)?;
        Ok(Self { pre, context, wizer })
    }

    /// The component, without the runtime's loader, and without a preprocessor unless the script has one.
    pub(super) fn snapshot(&self, engines: &Engines, module: &HostedModule) -> Result<Vec<u8>, BuildError> {
        let mut store = Closed::store(&engines.engine).map_err(engine_failed)?;
        let call = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let loaded = guest::load(&mut store, &instance, self.pre.component(), module).await?;
            Ok((instance, loaded))
        };
        // It has loaded before, or there would be no version; so positions in the module as it runs will do.
        let source = module.source.as_str();
        let failed = |diagnostic| BuildError::Diagnostics(vec![diagnostic]);
        let instance = match engines.wait(closed::call(call)) {
            Ok((instance, Ok(()))) => instance,
            Ok((_, Err(error))) => return Err(failed(thrown(&error, module, source))),
            Err(error) => return Err(failed(stopped(&closed::why(error, &store), module, source))),
        };
        // Reading the memory out is guest code too.
        store.set_fuel(LOAD_FUEL_MAX).map_err(engine_failed)?;
        let mut state = WasmtimeWizerComponent { store: &mut store, instance };
        let snapshot = engines.wait(closed::within_time(self.wizer.snapshot_component(&self.context, &mut state), REQUEST_WALL));
        let snapshot =
            snapshot.map_err(|error| engine_failed(error.unwrap_or_else(|| wasmtime::format_err!("the snapshot took too long"))))?;
        let script = rewrite::without_export(&snapshot, LOADER)?;
        // The runtime always has one; the script's own component shows only what the script has.
        if module.has_preprocessor { Ok(script) } else { rewrite::without_export(&script, PREPROCESSOR) }
    }
}
