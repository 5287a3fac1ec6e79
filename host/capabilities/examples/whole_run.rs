//! Measures whole runs, one after another in one thread: a fresh sandbox, the call, everything freed again.
//!
//! `cargo run --release -p sandmill-capabilities --example whole_run`

use std::{fs, path::Path, sync::Arc, time::Instant};

use sandmill_capabilities::{Host, OutputPort, Ports, RunFacts, StateError, StatePort, StateScope};
use sandmill_model::{Attempt, BoxFuture, Clock, Digest, Input, JsonText, Limits, OutcomeKind, RunId, SystemClock, version::HostedModule};
use sandmill_sandbox::{Call, CallInput, Options, Program, Sandbox, engine_config};

const WARM_UP_RUNS: usize = 2_000;
const RUNS: usize = 20_000;

struct Nowhere;

impl StatePort for Nowhere {
    fn get(&self, _: StateScope, _: String) -> BoxFuture<'_, Result<Option<JsonText>, StateError>> {
        Box::pin(async { Ok(None) })
    }

    fn put(&self, _: StateScope, _: String, _: Option<Option<JsonText>>, _: Option<JsonText>) -> BoxFuture<'_, Result<bool, StateError>> {
        Box::pin(async { Ok(true) })
    }
}

impl OutputPort for Nowhere {
    fn progress(&self, _: RunId, _: f64, _: &str) {}

    fn write(&self, _: RunId, _: &[u8]) {}
}

struct Bench {
    sandbox: Sandbox<Host>,
    ports: Ports,
}

impl Bench {
    fn install(&self, name: &str, component: &[u8]) -> anyhow::Result<Arc<Program<Host>>> {
        let engine = wasmtime::Engine::new(&engine_config(None))?;
        let code = engine.precompile_component(component)?;
        Ok(self.sandbox.install(&Digest::of(name.as_bytes()), &code)?)
    }

    fn call(&self, program: &Arc<Program<Host>>, module: Option<&Arc<HostedModule>>) -> anyhow::Result<Call<Host>> {
        let now = SystemClock.now();
        let arguments = JsonText::trusted(r#"{"name":"bob"}"#);
        let attempt = Attempt {
            run: RunId::new(now),
            number: 1,
            workspace: "00000000-0000-7000-8000-000000000001".parse()?,
            workspace_name: "default".into(),
            path: "f/bench/hello".parse()?,
            version: Digest::of(b"hello"),
            input: Input::Arguments(arguments.clone()),
            limits: Limits::default(),
            started_at: now,
            run_as: "u/bench".into(),
        };
        let host = Host { run: Arc::new(RunFacts::of(attempt.clone())), ports: self.ports.clone() };
        Ok(Call {
            run: attempt.run,
            workspace: attempt.workspace,
            program: Arc::clone(program),
            module: module.cloned(),
            input: CallInput::Arguments(arguments),
            limits: attempt.limits,
            host,
        })
    }

    async fn measure(&self, name: &str, program: &Arc<Program<Host>>, module: Option<&Arc<HostedModule>>) -> anyhow::Result<()> {
        let mut times_ns = Vec::with_capacity(RUNS);
        let mut cpu_ns = Vec::with_capacity(RUNS);
        let mut fuel = 0;
        for number in 0..WARM_UP_RUNS + RUNS {
            let call = self.call(program, module)?;
            let before = Instant::now();
            let outcome = self.sandbox.run(call).await;
            let time = before.elapsed();
            anyhow::ensure!(outcome.kind == OutcomeKind::Ok, "{outcome:?}");
            if number >= WARM_UP_RUNS {
                times_ns.push(u64::try_from(time.as_nanos())?);
                cpu_ns.push(outcome.usage.cpu_ns);
                fuel = outcome.usage.fuel;
            }
        }
        times_ns.sort_unstable();
        cpu_ns.sort_unstable();
        let at = |times: &[u64], part: usize| times[times.len() * part / 100] / 10;
        let show = |hundredths: u64| format!("{}.{:02}", hundredths / 100, hundredths % 100);
        let (p50, p99, polled) = (show(at(&times_ns, 50)), show(at(&times_ns, 99)), show(at(&cpu_ns, 50)));
        println!("| {name} | {p50} us | {p99} us | {polled} us | {fuel} |");
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let sandbox = Sandbox::new(Options::new(dir.path()), sandmill_capabilities::link)?;
    let bench = Bench { sandbox, ports: Ports { state: Arc::new(Nowhere), output: Arc::new(Nowhere) } };
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    println!("| program | whole run p50 | p99 | instantiate and call p50 | fuel |\n| --- | --- | --- | --- | --- |");
    let hello = bench.install("hello", &fs::read(sandmill_testkit::guests::guest("hello"))?)?;
    bench.measure("Rust component", &hello, None).await?;
    let packed = fs::read(root.join("runtimes/javascript/dist/runtime.wasm.zst"))?;
    let javascript = bench.install("javascript", &zstd::decode_all(&packed[..])?)?;
    let module = HostedModule {
        file_name: "hello.js".to_owned(),
        source: "export function main(name) { return { hello: name, n: [1, 2, 3].map((n) => n * 2) }; }".to_owned(),
        parameters: vec!["name".to_owned()],
        has_preprocessor: false,
        source_map: None,
    };
    bench.measure("JavaScript, hosted", &javascript, Some(&Arc::new(module))).await
}
