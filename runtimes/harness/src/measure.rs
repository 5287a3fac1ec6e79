//! Times of the steps of a run: hosted, by size of the source, and from a snapshot.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use wasmtime::Engine;

use crate::{
    host::{Host, JavascriptPre, Module},
    program::{self, Snapshotter},
};

const ROUNDS: usize = 500;

pub(crate) async fn run(runtime: &[u8]) -> Result<()> {
    for resident_bytes in [program::RESIDENT_BYTES, 0] {
        println!("\n{resident_bytes} bytes kept resident");
        measure_all(runtime, &program::engine(resident_bytes)?).await?;
    }
    Ok(())
}

async fn measure_all(runtime: &[u8], engine: &Engine) -> Result<()> {
    let start = Instant::now();
    let hosted = program::prepare(engine, runtime)?;
    println!("runtime: {} KB, compiled in {:?}", runtime.len() / 1024, start.elapsed());
    let snapshotter = Snapshotter::new(engine, runtime)?;
    println!("{:20} {:>10} {:>10} {:>10} {:>10} {:>10}", "p50", "instantiate", "load", "call", "drop", "all");
    for (name, source) in sources() {
        let module = Module { file_name: "measured.js".to_owned(), source, parameters: vec!["name".to_owned(), "count".to_owned()] };
        measure(&format!("hosted {name}"), engine, &hosted, Some(&module)).await?;
        let start = Instant::now();
        let component = snapshotter.snapshot(&module).await?.map_err(|error| anyhow!("{}: {}", error.name, error.message))?;
        let snapshot_took = start.elapsed();
        let snapshot = program::prepare(engine, &component)?;
        measure(&format!("snapshot {name}"), engine, &snapshot, None).await?;
        println!("  {} KB, snapshotted in {snapshot_took:?}, compiled in {:?}", component.len() / 1024, start.elapsed() - snapshot_took);
    }
    Ok(())
}

fn sources() -> Vec<(&'static str, String)> {
    let main = "export function main(name, count = 3) { return { greeting: `Hello, ${name}!`, count }; }\n";
    let awaiting = "export async function main(name, count = 3) { await null; return { greeting: `Hello, ${name}!`, count }; }\n";
    let body = |bytes: usize| {
        let mut source = String::new();
        while source.len() < bytes {
            let at = source.len();
            source += &format!(
                "function step{at}(input) {{\n  const total = input.items.filter((item) => item.price > {at}).map((item) => item.price * item.count);\n  return total.length > 0 ? total.reduce((sum, price) => sum + price, 0) : null;\n}}\n"
            );
        }
        source + main
    };
    vec![("one line", main.to_owned()), ("async", awaiting.to_owned()), ("1 KB", body(900)), ("5 KB", body(4_900))]
}

async fn measure(name: &str, engine: &Engine, program: &JavascriptPre<Host>, module: Option<&Module>) -> Result<()> {
    let args = r#"{"name":"world","count":7}"#.to_owned();
    let mut times: [Vec<Duration>; 5] = Default::default();
    let faults_before = page_faults();
    for _ in 0..ROUNDS {
        let mut store = program::store(engine)?;
        let start = Instant::now();
        let script = program.instantiate_async(&mut store).await?;
        let instantiated = Instant::now();
        if let Some(module) = module {
            script.sandmill_runtime_loader().call_load(&mut store, module).await?.map_err(|error| anyhow!("{}", error.message))?;
        }
        let loaded = Instant::now();
        script.sandmill_script_main().call_run(&mut store, &args).await?.map_err(|error| anyhow!("{}", error.message))?;
        let called = Instant::now();
        drop(store);
        let dropped = Instant::now();
        for (times, time) in
            times.iter_mut().zip([instantiated - start, loaded - instantiated, called - loaded, dropped - called, dropped - start])
        {
            times.push(time);
        }
    }
    let p50 = times.map(|mut times| {
        times.sort();
        format!("{:.1?}", times[times.len() / 2])
    });
    let faults = (page_faults() - faults_before) / ROUNDS as u64;
    println!("{name:20} {:>10} {:>10} {:>10} {:>10} {:>10}  {faults} page faults", p50[0], p50[1], p50[2], p50[3], p50[4]);
    Ok(())
}

/// Minor faults of this process so far: with nothing kept resident, the pages that runs touch.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(7).and_then(|faults| faults.parse().ok()).unwrap_or(0)
}
