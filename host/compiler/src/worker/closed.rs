//! A world in which guests of a build run: everything can be linked, nothing can be done, and little can be used.

mod refusing;

use std::{future::Future, time::Duration};

use http::{Request, Response};
use sandmill_model::version::ComponentModel;
use tokio::time::timeout;
use wasmtime::{
    Engine, ResourceLimiter, Result, Store, Trap,
    component::{HasSelf, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, p2::bindings::http as http_bindings,
    p3::bindings::http as async_http_bindings,
};

use self::refusing::Imports;
use crate::limits::{LOAD_FUEL_MAX, LOAD_MEMORY_BYTES_MAX, LOAD_WALL};

/// Fuel between two looks at the clock.
const FUEL_YIELD_INTERVAL: u64 = 2_000_000;
/// Elements of a guest's tables together. `CPython` has some 20,000.
const TABLE_ELEMENTS_MAX: usize = 100_000;

pub(super) struct Closed {
    wasi: WasiCtx,
    table: ResourceTable,
    http: (WasiHttpCtx, NoRequests),
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
        let closed = Self {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
            http: (WasiHttpCtx::new(), NoRequests),
            memory_bytes: 0,
            is_out_of_memory: false,
        };
        let mut store = Store::new(engine, closed);
        store.limiter(|closed| closed);
        store.set_fuel(LOAD_FUEL_MAX)?;
        store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))?;
        // An engine for WASI 0.3 looks at epochs too. Here nobody else waits for the thread, and the worker is killed in the end.
        store.set_epoch_deadline(u64::MAX / 2);
        Ok(store)
    }

    /// All that a script may import, refusing.
    pub(super) fn linker(engine: &Engine, model: ComponentModel) -> Result<Linker<Self>> {
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        http_bindings::outgoing_handler::add_to_linker::<_, WasiHttp>(&mut linker, http)?;
        http_bindings::types::add_to_linker::<_, WasiHttp>(&mut linker, &http_bindings::types::LinkOptions::default(), http)?;
        if model == ComponentModel::Async {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            async_http_bindings::client::add_to_linker::<_, WasiHttp>(&mut linker, http)?;
            async_http_bindings::types::add_to_linker::<_, WasiHttp>(&mut linker, http)?;
        }
        Imports::add_to_linker::<_, HasSelf<Self>>(&mut linker, |closed| closed)?;
        Ok(linker)
    }
}

fn http(closed: &mut Closed) -> WasiHttpCtxView<'_> {
    let (ctx, refusing) = &mut closed.http;
    WasiHttpCtxView { hooks: refusing, ctx, table: &mut closed.table }
}

/// Nobody is asked anything while a script is built.
struct NoRequests;

type Rest = Box<dyn Future<Output = std::result::Result<(), Error>> + Send>;
type Answer = std::result::Result<(Response<WasiBody>, Rest), Error>;

impl WasiHttpHooks for NoRequests {
    fn send_request(&mut self, _: Request<WasiBody>, _: Option<RequestOptions>, _: Rest) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
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
