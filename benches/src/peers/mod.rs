//! Peers, from package registries, each answering what hello answers.

pub(crate) mod bullmq;

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

/// Version of the peer from the npm registry.
const WORKERD: &str = "1.20261117.1";

/// A peer's process on the first core.
pub(crate) struct Peer {
    child: Child,
    pub(crate) name: String,
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn launch(name: String, port: u16, mut command: Command, folder: Option<tempfile::TempDir>) -> anyhow::Result<Peer> {
    let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().with_context(|| format!("{name} cannot be started"))?;
    let url = format!("http://127.0.0.1:{port}/");
    let peer = Peer { child, name, url, _folder: folder };
    let deadline = Instant::now() + Duration::from_secs(20);
    let expected: serde_json::Value = serde_json::from_str(crate::scripts::EXPECTED)?;
    loop {
        let answer =
            reqwest::Client::new().post(&peer.url).header("content-type", "application/json").body(crate::scripts::BODY).send().await;
        if let Ok(answer) = answer {
            let found: serde_json::Value = answer.json().await?;
            anyhow::ensure!(found == expected, "{} answers {found}", peer.name);
            return Ok(peer);
        }
        anyhow::ensure!(Instant::now() < deadline, "{} does not answer", peer.name);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Where a peer executes.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    /// Where the server does that is measured.
    First,
    /// Where load comes from.
    Other,
}

fn pinned(program: impl AsRef<std::ffi::OsStr>) -> Command {
    pinned_to(Core::First, program)
}

fn pinned_to(core: Core, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let core = match core {
        Core::First => "0",
        Core::Other => "1",
    };
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// A bare axum handler: what HTTP alone costs.
pub(crate) async fn axum(core: Core) -> anyhow::Result<Peer> {
    let port = free_port()?;
    let program = std::env::current_exe()?.with_file_name("peer-axum");
    let mut command = pinned_to(core, program);
    command.arg(port.to_string());
    launch("bare axum".to_owned(), port, command, None).await
}

/// Node's own http module.
pub(crate) async fn node() -> anyhow::Result<Peer> {
    const SERVER: &str = "const http = require('http');
http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { name } = JSON.parse(Buffer.concat(chunks));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ hello: name, n: [1, 2, 3].map((x) => x * 2) }));
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
";
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("server.js");
    fs::write(&file, SERVER)?;
    let version = Command::new("node").arg("--version").output().context("node")?;
    let port = free_port()?;
    let mut command = pinned("node");
    command.arg(&file).arg(port.to_string());
    launch(format!("Node {} http", String::from_utf8_lossy(&version.stdout).trim()), port, command, Some(folder)).await
}

/// workerd, which keeps its isolate from one request to the next.
pub(crate) async fn workerd() -> anyhow::Result<Peer> {
    const WORKER: &str = "export default { async fetch(request) {
  const { name } = await request.json();
  return Response.json({ hello: name, n: [1, 2, 3].map((x) => x * 2) });
} };
";
    let home = install("workerd", WORKERD, &[])?;
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let config = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\nconst config :Workerd.Config = (services = [(name = \"main\", worker = .worker)], sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")]);\nconst worker :Workerd.Worker = (modules = [(name = \"worker.js\", esModule = embed \"worker.js\")], compatibilityDate = \"2025-01-01\");\n"
    );
    fs::write(folder.path().join("worker.js"), WORKER)?;
    fs::write(folder.path().join("config.capnp"), config)?;
    let mut command = pinned(home.join("node_modules/.bin/workerd"));
    command.arg("serve").arg(folder.path().join("config.capnp"));
    launch(format!("workerd {WORKERD} (reuses its isolate)"), port, command, Some(folder)).await
}

/// The engine's own server: the same component in WebAssembly, an instance for each request or, with `is_reused`, for many.
pub(crate) async fn wasmtime(is_reused: bool) -> anyhow::Result<Peer> {
    let program = std::env::var_os("SANDMILL_WASMTIME").context("SANDMILL_WASMTIME names the wasmtime program")?;
    let version = Command::new(&program).arg("--version").output().context("wasmtime")?;
    let port = free_port()?;
    let mut command = pinned(&program);
    command.args(["serve", "-S", "cli", "--addr", &format!("127.0.0.1:{port}")]);
    command.args(["--max-instance-reuse-count", if is_reused { "128" } else { "1" }]);
    command.arg(sandmill_testkit::guests::guest("http_hello"));
    let version = String::from_utf8_lossy(&version.stdout).split(' ').nth(1).unwrap_or_default().trim().to_owned();
    let how = if is_reused { "reused" } else { "fresh instance" };
    launch(format!("wasmtime serve {version}, Rust component, {how}"), port, command, None).await
}

/// A package from the npm registry and what it needs beside it, in a folder of its own, which has `node_modules`.
fn install(package: &str, version: &str, others: &[&str]) -> anyhow::Result<PathBuf> {
    let home = sandmill_testkit::binary::root().join("target/toolchains/peers").join(format!("{package}-{version}"));
    if !home.join("node_modules").join(package).exists() {
        fs::create_dir_all(&home)?;
        let mut install = Command::new("npm");
        install.args(["install", "--no-save", "--prefix"]).arg(&home).arg(format!("{package}@{version}")).args(others);
        let install = install.status();
        anyhow::ensure!(install.context("npm")?.success(), "{package} cannot be installed");
    }
    Ok(home)
}
