//! Pre-initialises a language runtime, runs its conformance cases, measures it. Needed to build runtimes, never to run them.

mod cases;
mod host;
mod measure;
mod network;
mod program;
mod segments;
mod server;

use anyhow::{Context, Result, bail};
use std::path::Path;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["preinitialise", input, output] => {
            let runtime = std::fs::read(input).with_context(|| format!("reading {input}"))?;
            let runtime = program::preinitialise(&runtime).await?;
            std::fs::write(output, zstd::encode_all(&runtime[..], 19)?)?;
            Ok(())
        }
        ["cases", runtime, folder, ref filters @ ..] => cases::run(&read(runtime)?, Path::new(folder), filters).await,
        ["measure", runtime] => measure::run(&read(runtime)?).await,
        ["eval", runtime, script, args] => cases::eval(&read(runtime)?, Path::new(script), args).await,
        _ => bail!(
            "usage: preinitialise IN.wasm OUT.wasm.zst | cases RUNTIME.wasm.zst FOLDER [--hosted] [NAME…] | measure RUNTIME.wasm.zst | eval RUNTIME.wasm.zst SCRIPT ARGS"
        ),
    }
}

fn read(compressed: &str) -> Result<Vec<u8>> {
    let bytes = std::fs::read(compressed).with_context(|| format!("reading {compressed}"))?;
    Ok(zstd::decode_all(&bytes[..])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is checked in does what its cases say, hosted and from a snapshot.
    #[tokio::test]
    async fn the_javascript_runtime_passes_its_cases() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../javascript"));
        let runtime = read(folder.join("dist/runtime.wasm.zst").to_str().unwrap()).unwrap();
        cases::run(&runtime, &folder.join("tests/cases"), &[]).await.unwrap();
    }
}
