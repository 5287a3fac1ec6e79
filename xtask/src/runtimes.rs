//! Builds the language runtimes that are checked in, so that building the host needs only Rust.
//!
//! JavaScript: esbuild bundles the polyfills (js/), cargo builds QuickJS and the Rust around it for wasm32-wasip2 with
//! zig as the C compiler, and the harness pre-initialises and compresses the component.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    exec::{cargo, command, read, run as execute},
    tree::root,
};

/// A C compiler for wasm that a package registry has. Part of the digest, as this file is.
const ZIGLANG_VERSION: &str = "0.17.0";

const RUNTIME: &str = "runtimes/javascript";

/// Files and folders that decide what the runtime is. Versions of tools are in this file and in the lock files.
const INPUTS: [&str; 13] = [
    "runtimes/harness/src/program.rs",
    "runtimes/harness/src/segments.rs",
    "runtimes/javascript/Cargo.lock",
    "runtimes/javascript/Cargo.toml",
    "runtimes/javascript/build.rs",
    "runtimes/javascript/js",
    "runtimes/javascript/package-lock.json",
    "runtimes/javascript/package.json",
    "runtimes/javascript/quickjs-config.h",
    "runtimes/javascript/src",
    "runtimes/javascript/wit",
    "wit",
    "xtask/src/runtimes.rs",
];

/// Builds the runtimes, or with `check` compares digests, which needs no tools.
///
/// # Errors
/// If a tool cannot be had or fails, or what is checked in is not what its inputs make.
pub fn run(check: bool) -> Result<()> {
    let recorded_at = root().join(RUNTIME).join("dist/inputs.sha256");
    let runtime_at = root().join(RUNTIME).join("dist/runtime.wasm.zst");
    if check {
        let recorded = fs::read_to_string(&recorded_at).unwrap_or_default();
        ensure!(recorded == digests(&runtime_at)?, "{RUNTIME}/dist is not what its inputs make: run cargo xtask runtimes");
        return Ok(());
    }
    let toolchains = root().join("target/toolchains");
    let built = build(&toolchains, &bundle()?)?;
    fs::create_dir_all(runtime_at.parent().context("dist has a parent")?)?;
    let mut preinitialise = cargo();
    preinitialise.args(["run", "--quiet", "--profile", "ci", "--package", "sandmill-runtimes-harness", "--", "preinitialise"]);
    execute(preinitialise.arg(built).arg(&runtime_at))?;
    fs::write(recorded_at, digests(&runtime_at)?)?;
    Ok(())
}

/// The polyfills as one file.
fn bundle() -> Result<PathBuf> {
    let folder = root().join(RUNTIME);
    let bundle = root().join("target/runtimes/javascript/bundle.js");
    execute(command("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    let mut esbuild = command(folder.join("node_modules/.bin/esbuild"));
    esbuild.current_dir(&folder).args(["js/main.js", "--bundle", "--format=esm", "--target=es2022", "--log-level=warning"]);
    esbuild.args(["--minify-whitespace", "--minify-syntax"]).arg(format!("--outfile={}", bundle.display()));
    execute(&mut esbuild)?;
    Ok(bundle)
}

/// The component as it is compiled, before its engine is initialised.
fn build(toolchains: &Path, bundle: &Path) -> Result<PathBuf> {
    let [compiler, archiver] = zig(toolchains)?;
    let folder = root().join(RUNTIME);
    let target = root().join("target/runtimes/javascript");
    let mut build = cargo();
    build.current_dir(&folder).args(["build", "--release", "--locked", "--target", "wasm32-wasip2"]);
    build.env("CARGO_TARGET_DIR", &target).env("SANDMILL_BUNDLE", bundle);
    build.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", without_local_paths(&folder)?);
    build.env("RQUICKJS_SYS_NO_WASI_SDK", "1").env("CC_wasm32_wasip2", compiler).env("AR_wasm32_wasip2", archiver);
    build.env("CFLAGS_wasm32_wasip2", format!("-include {}", folder.join("quickjs-config.h").display()));
    execute(&mut build)?;
    Ok(target.join("wasm32-wasip2/release/sandmill_runtime_javascript.wasm"))
}

/// Panic messages name source files; the folders of this machine have no place in what is checked in.
fn without_local_paths(folder: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        manifest_path: PathBuf,
        source: Option<String>,
    }
    let text = read(cargo().current_dir(folder).args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("`cargo metadata` wrote something else than expected")?;
    let downloaded = metadata.packages.iter().filter(|package| package.source.is_some());
    // <registry>/<package>/Cargo.toml
    let registries: BTreeSet<&Path> = downloaded.filter_map(|package| package.manifest_path.ancestors().nth(2)).collect();
    let mut flags = format!("--remap-path-prefix={}=.", root().display());
    for registry in registries {
        write!(flags, " --remap-path-prefix={}=registry", registry.display())?;
    }
    Ok(flags)
}

/// Installs zig and wraps it as a C compiler and an archiver, since cc names the target in a way that it does not know.
fn zig(toolchains: &Path) -> Result<[PathBuf; 2]> {
    let python = toolchains.join("python");
    if !python.exists() {
        execute(command("python3").args(["-m", "venv"]).arg(&python))?;
    }
    let ziglang = format!("ziglang=={ZIGLANG_VERSION}");
    execute(command(python.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", &ziglang]))?;
    let zig = format!("exec \"{}\" -m ziglang", python.join("bin/python").display());
    let without_target = "for argument; do shift; case \"$argument\" in --target=*) ;; *) set -- \"$@\" \"$argument\" ;; esac; done";
    let compiler = script(toolchains, "zig-cc", &format!("{without_target}\n{zig} cc -target wasm32-wasi -fno-sanitize=undefined \"$@\""))?;
    let archiver = script(toolchains, "zig-ar", &format!("{zig} ar \"$@\""))?;
    Ok([compiler, archiver])
}

fn script(folder: &Path, name: &str, body: &str) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// What is kept beside the runtime: the digest of its inputs and its own.
fn digests(runtime: &Path) -> Result<String> {
    let mut files = Vec::new();
    for input in INPUTS {
        collect(&root().join(input), &mut files)?;
    }
    files.sort();
    let mut inputs = Sha256::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let name = file.strip_prefix(root())?.to_string_lossy().replace('\\', "/");
        inputs.update(format!("{name}\0{}\0", content.len()));
        inputs.update(content);
    }
    let runtime = fs::read(runtime).map(Sha256::digest).unwrap_or_default();
    Ok(format!("inputs {}\nruntime {}\n", hex(&inputs.finalize()), hex(&runtime)))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
