//! meter: what metering costs. The same machine code generator with and without fuel, on work that only computes.

use std::time::Instant;

use anyhow::Context;
use serde_json::json;
use wasmtime::{
    Engine, Store,
    component::{Component, Linker, ResourceTable, Val},
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::{inst::Bare, report};

const TIMES: usize = 5;

/// Work in TypeScript: each takes tens of milliseconds.
const SCRIPTS: [(&str, &str); 4] = [
    ("fib(24)", "const fib = (n: number): number => (n < 2 ? n : fib(n - 1) + fib(n - 2));\nexport function main() { return fib(24); }"),
    (
        "JSON",
        "export function main() { let text = JSON.stringify(Array.from({ length: 2000 }, (_, i) => ({ id: i, name: `n${i}` }))); for (let i = 0; i < 10; i++) text = JSON.stringify(JSON.parse(text)); return text.length; }",
    ),
    (
        "sha256",
        "export async function main() { const data = new Uint8Array(1 << 20); let last; for (let i = 0; i < 4; i++) last = await crypto.subtle.digest('SHA-256', data); return new Uint8Array(last!)[0]; }",
    ),
    (
        "regex",
        "export function main() { const text = 'the quick brown fox '.repeat(5000); return text.match(/\\b[a-z]+o[a-z]*\\b/g)!.length; }",
    ),
];

pub(crate) async fn run() -> anyhow::Result<()> {
    let bare = Bare::new()?;
    let mut rows = vec![["work (TypeScript)", "fuel ms", "bare ms", "ratio"].map(str::to_owned).to_vec()];
    let mut figures = Vec::new();
    for (name, source) in SCRIPTS {
        let module = bare.module(source).await?;
        let metered = bare.install(&bare.compiler.snapshot(module.clone()).await?)?;
        // What it imports beside WASI is satisfied inside it.
        let component = bare.compiler.standalone(bare.compiler.snapshot_component(module).await?).await?;
        let mut with_fuel = Vec::new();
        for _ in 0..TIMES {
            let outcome = bare.run(&metered, None, "{}").await;
            anyhow::ensure!(outcome.error.is_none(), "{name}: {outcome:?}");
            #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a measurement")]
            with_fuel.push(outcome.usage.cpu_ns as f64 / 1e6);
        }
        // A runtime of its own, so on a thread of its own.
        let bare_ms =
            std::thread::spawn(move || unmetered(&component)).join().map_err(|_| anyhow::anyhow!("{name}: the bare run panicked"))??;
        let fuel_ms = report::median(with_fuel);
        rows.push(vec![name.to_owned(), format!("{fuel_ms:.1}"), format!("{bare_ms:.1}"), format!("{:.2}", fuel_ms / bare_ms)]);
        figures.push(json!({"name": name, "fuel_ms": fuel_ms, "bare_ms": bare_ms}));
    }
    report::table(&rows);
    report::keep("meter", &json!(figures))
}

/// The same component on an engine that differs in nothing but fuel.
fn unmetered(component: &[u8]) -> anyhow::Result<f64> {
    let mut config = sandmill_sandbox::engine_config(None);
    config.consume_fuel(false);
    let engine = Engine::new(&config)?;
    let component = Component::new(&engine, component)?;
    let mut linker = Linker::<Wasi>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let mut store = Store::new(&engine, Wasi { ctx: WasiCtxBuilder::new().build(), table: ResourceTable::new() });
        let time = runtime.block_on(async {
            let instance = linker.instantiate_async(&mut store, &component).await?;
            let interface = instance.get_export_index(&mut store, None, "sandmill:script/main@0.1.0").context("the script's interface")?;
            let run = instance.get_export_index(&mut store, Some(&interface), "run").context("run")?;
            let run = instance.get_func(&mut store, run).context("run is a function")?;
            let mut results = [Val::Bool(false)];
            let began = Instant::now();
            run.call_async(&mut store, &[Val::String("{}".to_owned())], &mut results).await?;
            let time = began.elapsed().as_secs_f64() * 1e3;
            anyhow::ensure!(matches!(&results[0], Val::Result(Ok(_))), "{results:?}");
            anyhow::Ok(time)
        })?;
        times.push(time);
    }
    Ok(report::median(times))
}

struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}
