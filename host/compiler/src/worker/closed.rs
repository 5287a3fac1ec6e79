//! A world in which guests of a build run: everything can be linked, nothing can be done, and little can be used.

use std::{future::Future, time::Duration};

use tokio::time::timeout;
use wasmtime::{
    Engine, ResourceLimiter, Result, Store, Trap,
    component::{HasSelf, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::limits::{LOAD_FUEL_MAX, LOAD_MEMORY_BYTES_MAX, LOAD_WALL};

/// Fuel between two looks at the clock.
const FUEL_YIELD_INTERVAL: u64 = 2_000_000;
/// Elements of a guest's tables together. `CPython` has some 20,000.
const TABLE_ELEMENTS_MAX: usize = 100_000;

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/script", "../../wit/context", "../../wit/log", "../../wit/output", "../../wit/state", "../../wit/runs", "../../wit/guest"],
        world: "sandmill:guest/imports",
        imports: { default: trappable },
    });
}
use bindings::sandmill::{context::context, log::log, output::output, runs::runs, script::types, state::state};

pub(super) struct Closed {
    wasi: WasiCtx,
    table: ResourceTable,
    memory_bytes: usize,
    /// Whether a growth was refused.
    is_out_of_memory: bool,
}

/// Why a guest of a build did not come to its end.
#[derive(Debug)]
pub(super) enum Stopped {
    Time,
    Memory,
    /// Anything else, said by the engine.
    Trap(String),
}

impl Closed {
    /// A store for one call into a guest.
    pub(super) fn store(engine: &Engine) -> Result<Store<Self>> {
        let closed = Self { wasi: WasiCtx::builder().build(), table: ResourceTable::new(), memory_bytes: 0, is_out_of_memory: false };
        let mut store = Store::new(engine, closed);
        store.limiter(|closed| closed);
        store.set_fuel(LOAD_FUEL_MAX)?;
        store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))?;
        Ok(store)
    }

    /// All that a script may import, refusing.
    pub(super) fn linker(engine: &Engine) -> Result<Linker<Self>> {
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        bindings::Imports::add_to_linker::<_, HasSelf<Self>>(&mut linker, |closed| closed)?;
        Ok(linker)
    }
}

/// Runs a call to its end or to the end of its time.
pub(super) async fn within_time<T>(call: impl Future<Output = Result<T>>, wall: Duration) -> Result<T, Option<wasmtime::Error>> {
    match timeout(wall, call).await {
        Ok(result) => result.map_err(Some),
        Err(_) => Err(None),
    }
}

/// The usual call: within the time of a module's top level.
pub(super) async fn call<T>(call: impl Future<Output = Result<T>>) -> Result<T, Option<wasmtime::Error>> {
    within_time(call, LOAD_WALL).await
}

/// What an error of [`call`] means. `store` is the one of the call.
pub(super) fn why(error: Option<wasmtime::Error>, store: &Store<Closed>) -> Stopped {
    let Some(error) = error else { return Stopped::Time };
    if store.data().is_out_of_memory {
        return Stopped::Memory;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Stopped::Time,
        Some(trap) => Stopped::Trap(trap.to_string()),
        None => Stopped::Trap(error.root_cause().to_string()),
    }
}

impl WasiView for Closed {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl ResourceLimiter for Closed {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let bytes = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if bytes > LOAD_MEMORY_BYTES_MAX {
            self.is_out_of_memory = true;
            wasmtime::bail!("out of memory");
        }
        self.memory_bytes = bytes;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

fn refused<T>(what: &str) -> Result<T> {
    Err(wasmtime::format_err!("{what} is not available while a script is built"))
}

impl context::Host for Closed {
    fn get(&mut self) -> Result<context::Info> {
        refused("the run's context")
    }

    fn payload(&mut self) -> Result<Vec<u8>> {
        refused("the event's payload")
    }
}

impl log::Host for Closed {
    /// What is logged while building is nobody's log.
    fn write(&mut self, _level: log::Level, _message: String, _fields: Option<String>) -> Result<()> {
        Ok(())
    }
}

impl output::Host for Closed {
    fn progress(&mut self, _percent: f64, _text: String) -> Result<()> {
        refused("the run's output")
    }

    fn write(&mut self, _chunk: Vec<u8>) -> Result<()> {
        refused("the run's output")
    }
}

impl types::Host for Closed {}

impl runs::Host for Closed {
    fn start(&mut self, _path: String, _args: String, _options: runs::Options) -> Result<std::result::Result<String, runs::Error>> {
        refused("starting a run")
    }

    fn wait(&mut self, _run: String, _timeout_ms: Option<u64>) -> Result<std::result::Result<runs::Ending, runs::Error>> {
        refused("waiting for a run")
    }

    fn wait_many(
        &mut self,
        _runs: Vec<String>,
        _until: runs::Until,
        _timeout_ms: Option<u64>,
    ) -> Result<std::result::Result<Vec<String>, runs::Error>> {
        refused("waiting for runs")
    }

    fn get_result(&mut self, _run: String) -> Result<std::result::Result<Option<runs::Ending>, runs::Error>> {
        refused("the result of a run")
    }

    fn cancel(&mut self, _run: String) -> Result<std::result::Result<bool, runs::Error>> {
        refused("cancelling a run")
    }
}

impl state::Host for Closed {
    fn get(&mut self, _key: String) -> Result<std::result::Result<Option<String>, state::Error>> {
        refused("state")
    }

    fn set(&mut self, _key: String, _value: String) -> Result<std::result::Result<(), state::Error>> {
        refused("state")
    }

    fn delete(&mut self, _key: String) -> Result<std::result::Result<(), state::Error>> {
        refused("state")
    }

    fn compare_and_swap(
        &mut self,
        _key: String,
        _expected: Option<String>,
        _new: Option<String>,
    ) -> Result<std::result::Result<bool, state::Error>> {
        refused("state")
    }
}
