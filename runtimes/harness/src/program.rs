//! Runtimes and programs made of them: pre-initialised, hosted, snapshotted.

use anyhow::{Result, bail};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, Linker},
};
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use crate::{
    host::{self, Error, Host, Javascript, JavascriptPre, Module},
    segments,
};

pub(crate) const FUEL: u64 = 40_000_000_000;
pub(crate) const RESIDENT_BYTES: usize = 4 << 20;
const MEMORY_BYTES_MAX: usize = 256 << 20;

/// As host/sandbox configures it, as far as it matters to a guest. With nothing kept resident a measurement shows
/// how many pages a run touches.
pub(crate) fn engine(resident_bytes: usize) -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.max_memory_size(MEMORY_BYTES_MAX)
        .total_component_instances(64)
        .total_memories(64)
        .total_tables(256)
        .total_core_instances(256)
        .total_stacks(64)
        .linear_memory_keep_resident(resident_bytes)
        .table_keep_resident(64 << 10)
        .decommit_batch_size(16)
        .pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .max_wasm_stack(1 << 20)
        .async_stack_size(2 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

pub(crate) fn store(engine: &Engine) -> Result<Store<Host>> {
    let mut store = Store::new(engine, Host::default());
    store.set_fuel(FUEL)?;
    store.fuel_async_yield_interval(Some(1_000_000))?;
    Ok(store)
}

pub(crate) fn prepare(engine: &Engine, component: &[u8]) -> Result<JavascriptPre<Host>> {
    let component = Component::new(engine, component)?;
    Ok(JavascriptPre::new(linker(engine)?.instantiate_pre(&component)?)?)
}

fn linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    host::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Runs `initialize` and keeps the memory that it leaves.
pub(crate) async fn preinitialise(runtime: &[u8]) -> Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    // Dropping it as an export fails: Wizer 48 drops the core function of that name and keeps the lift that uses it.
    wizer.init_func("initialize").keep_init_func(true);
    let engine = engine(RESIDENT_BYTES)?;
    let linker = linker(&engine)?;
    let mut store = store(&engine)?;
    let instantiate = async |store: &mut Store<Host>, component: &Component| linker.instantiate_async(store, component).await;
    let (runtime, _) = wizer.run_component(&mut store, runtime, instantiate).await?;
    segments::merge(&runtime)
}

/// A runtime made ready for snapshots of scripts: instrumented and compiled once.
pub(crate) struct Snapshotter<'a> {
    engine: Engine,
    wizer: Wizer,
    context: wasmtime_wizer::ComponentContext<'a>,
    instrumented: JavascriptPre<Host>,
}

impl<'a> Snapshotter<'a> {
    pub(crate) fn new(engine: &Engine, runtime: &'a [u8]) -> Result<Self> {
        let mut wizer = Wizer::new();
        wizer.keep_init_func(true);
        let (context, instrumented) = wizer.instrument_component(runtime)?;
        let instrumented = prepare(engine, &instrumented)?;
        Ok(Self { engine: engine.clone(), wizer, context, instrumented })
    }

    pub(crate) async fn snapshot(&self, module: &Module) -> Result<Result<Vec<u8>, Error>> {
        let mut store = store(&self.engine)?;
        let instance = self.instrumented.instance_pre().instantiate_async(&mut store).await?;
        let script = Javascript::new(&mut store, &instance)?;
        if let Err(error) = script.sandmill_runtime_loader().call_load(&mut store, module).await? {
            return Ok(Err(error));
        }
        if !store.data().log.is_empty() {
            bail!("the top level wrote to the log: {:?}", store.data().log);
        }
        let mut component = WasmtimeWizerComponent { store: &mut store, instance };
        Ok(Ok(self.wizer.snapshot_component(&self.context, &mut component).await?))
    }
}
