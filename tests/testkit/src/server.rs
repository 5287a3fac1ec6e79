//! A server of the built binary: its own process, data folder and port, gone when the value is dropped.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;

use crate::{binary::binary, process};

/// How long a start may take; compiling the language runtime for the first time is part of it.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long the scripts of a test may take to be compiled on their own.
const OWN_PROGRAMS_LIMIT: Duration = Duration::from_secs(300);
/// Beginning of the name of the folder of compiled code that all tests share, so that the language runtime is compiled once.
const SHARED_CODE: &str = "testkit-code";

/// Of all servers that share a database, unless a test says otherwise.
const INSTANCE_KEY: &str = "dGVzdHMgYW5kIGJlbmNoZXMgaGF2ZSB0aGlzIGtleS4=";

pub struct Server {
    child: Child,
    pub url: String,
    pub token: String,
    data: PathBuf,
    folder: Option<tempfile::TempDir>,
    log: Arc<Mutex<Vec<String>>>,
    arguments: Vec<String>,
    http: reqwest::Client,
}

impl Server {
    /// A server with a fresh data folder.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        Self::start_in(data, Some(folder), arguments, None)
    }

    /// A server with a fresh data folder on a disk of its own, of so many MiB, which goes away with it.
    pub fn start_on_small_disk(mebibytes: u32, arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        Self::start_in(data, Some(folder), arguments, Some(mebibytes))
    }

    /// A server on a data folder that is already there.
    pub fn start_on(data: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(data.to_owned(), None, arguments, None)
    }

    fn start_in(data: PathBuf, folder: Option<tempfile::TempDir>, arguments: &[&str], disk_mebibytes: Option<u32>) -> anyhow::Result<Self> {
        if disk_mebibytes.is_none() {
            share_code(&data)?;
        }
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let Spawned { child, url, log, data } = spawn(&data, &arguments, disk_mebibytes)?;
        let given = arguments.iter().skip_while(|argument| *argument != "--admin-token").nth(1);
        let token = match given {
            Some(token) => token.clone(),
            None => {
                let written = std::fs::read_to_string(data.join("admin-token")).context("the first start writes an admin token")?;
                written.trim().to_owned()
            }
        };
        // Tests share a server and each has its own runtime: a connection kept from one would die with it under another.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
        Ok(Self { child, url, token, data, folder, log, arguments, http })
    }

    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// `sandmill backup` of its data folder, wherever that is mounted.
    pub fn backup(&self, file: &Path) -> anyhow::Result<Output> {
        let id = self.child.id().to_string();
        let (mut command, data) = match self.data.strip_prefix(root_of(&self.child)) {
            Ok(inside) => {
                let mut command = Command::new("nsenter");
                command.args(["--user", "--mount", "--preserve-credentials", "--target", &id]).arg(binary());
                (command, Path::new("/").join(inside))
            }
            Err(_) => (Command::new(binary()), self.data.clone()),
        };
        Ok(command.arg("backup").arg(file).arg("--data").arg(data).output()?)
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the server has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().map(|lines| lines.join("\n")).unwrap_or_default()
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as an operator would, and waits.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(rustix::process::Signal::TERM)?;
        self.ended()
    }

    /// Waits until it has ended, after somebody asked it to.
    pub fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Takes all processor time from it, as a machine that is paused does.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::CONT)
    }

    /// Lets it read its instance keys again.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::HUP)
    }

    fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id())?).context("a process has an id")?;
        Ok(rustix::process::kill_process(id, signal)?)
    }

    /// Starts it again on the same data folder, at another port.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let Spawned { child, url, log, .. } = spawn(&self.data, &self.arguments, None)?;
        (self.child, self.url, self.log) = (child, url, log);
        Ok(())
    }

    /// A request with the admin token. `path` starts with `/`.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// Deploys source and returns the answer's body; fails unless it was accepted.
    pub async fn deploy(&self, path: &str, language: &str, source: &str) -> anyhow::Result<Value> {
        self.deploy_with(path, serde_json::json!({"language": language, "source": source})).await
    }

    /// Deploys what `body` says, and gives it what its manifest asks for.
    pub async fn deploy_with(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let asked = body["manifest"]["grants"].as_object().cloned().unwrap_or_default();
        let texts = asked.iter().flat_map(|(kind, texts)| texts.as_array().into_iter().flatten().map(move |text| (kind, text.as_str())));
        let give: Vec<String> = texts.map(|(kind, text)| format!("{kind}:{}", text.unwrap_or_default())).collect();
        let deployed = self.deploy_ungranted(path, body).await?;
        if !give.is_empty() {
            let request = self.request(reqwest::Method::PATCH, &format!("/api/w/default/grants/{path}"));
            let response = request.json(&serde_json::json!({ "give": give })).send().await?;
            let status = response.status();
            anyhow::ensure!(status.is_success(), "giving {path} {give:?}: {status}: {}", response.text().await?);
        }
        Ok(deployed)
    }

    /// Deploys what `body` says, and nothing that its manifest asks for is given.
    pub async fn deploy_ungranted(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let response = self.request(reqwest::Method::PUT, &format!("/api/w/default/scripts/{path}")).json(&body).send().await?;
        let status = response.status();
        let body = response.text().await?;
        anyhow::ensure!(status.is_success(), "deploying {path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Deploys an uploaded component.
    pub async fn deploy_component(&self, path: &str, component: Vec<u8>) -> anyhow::Result<Value> {
        let request = self.request(reqwest::Method::PUT, &format!("/api/w/default/scripts/{path}"));
        let response = request.header("content-type", "application/wasm").body(component).send().await?;
        let status = response.status();
        let body = response.text().await?;
        anyhow::ensure!(status.is_success(), "deploying {path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Calls a script's webhook and waits.
    pub async fn call(&self, path: &str, arguments: &Value) -> anyhow::Result<Answer> {
        Answer::read(self.request(reqwest::Method::POST, &format!("/hooks/default/run/{path}")).json(arguments).send().await?).await
    }

    /// Starts a run and returns its id.
    pub async fn start_run(&self, path: &str, arguments: &Value) -> anyhow::Result<String> {
        let response = self.request(reqwest::Method::POST, &format!("/hooks/default/start/{path}")).json(arguments).send().await?;
        let answer = Answer::read(response).await?;
        anyhow::ensure!(answer.status == 202, "starting {path}: {answer:?}");
        Ok(answer.json()?["run_id"].as_str().context("a receipt has a run id")?.to_owned())
    }

    /// The run once it has ended.
    pub async fn ended_run(&self, id: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let run: Value = self.get_json(&format!("/api/w/default/runs/{id}")).await?;
            if matches!(run["status"].as_str(), Some("succeeded" | "failed" | "cancelled" | "skipped")) {
                return Ok(run);
            }
            anyhow::ensure!(Instant::now() < deadline, "the run does not end: {run}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many scripts have got a program of their own since the server's start.
    ///
    /// # Errors
    /// If one could not get it.
    pub async fn own_programs(&self) -> anyhow::Result<u64> {
        let metrics = self.metrics().await?;
        let count = |result: &str| {
            let name = format!("sandmill_snapshots_total{{result=\"{result}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(name.as_str())).map_or(Ok(0), str::parse::<u64>)
        };
        anyhow::ensure!(count("failed")? == 0, "a script could not be compiled on its own:\n{}", self.log());
        Ok(count("ok")?)
    }

    /// Waits until so many scripts have got a program of their own since the server's start.
    ///
    /// # Errors
    /// If one could not get it, or in time.
    pub async fn wait_for_own_programs(&self, count: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + OWN_PROGRAMS_LIMIT;
        loop {
            let done = self.own_programs().await?;
            if done >= count {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{done} of {count} scripts have a program of their own");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The log of a run, a line of JSON for each entry.
    pub async fn run_log(&self, id: &str) -> anyhow::Result<String> {
        let answer = self.request(reqwest::Method::GET, &format!("/api/w/default/runs/{id}/log")).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.request(reqwest::Method::GET, "/metrics").send().await?.error_for_status()?.text().await?)
    }

    /// The body of a GET that must be answered 200.
    pub async fn get_json(&self, path: &str) -> anyhow::Result<Value> {
        let answer = Answer::read(self.request(reqwest::Method::GET, path).send().await?).await?;
        anyhow::ensure!(answer.status == 200, "GET {path}: {answer:?}");
        answer.json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.folder.take());
    }
}

/// A response that was read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: bytes::Bytes,
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> anyhow::Result<Self> {
        Ok(Self { status: response.status().as_u16(), headers: response.headers().clone(), body: response.bytes().await? })
    }

    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {self:?}"))
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Lets the data folder begin with the code that earlier servers compiled.
fn share_code(data: &Path) -> anyhow::Result<()> {
    let own = data.join("code");
    if own.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(data)?;
    let shared = shared_code()?;
    if shared.is_dir() {
        copy_folder(&shared, &own)?;
    }
    Ok(())
}

/// Keeps the code that this server compiled at its start for the servers after it.
fn keep_code(data: &Path) -> anyhow::Result<()> {
    let shared = shared_code()?;
    if shared.exists() {
        return Ok(());
    }
    let folder = shared.parent().context("it is beside the binary")?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SHARED_CODE) {
            // Of an earlier build. Another test may be quicker to remove it.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let own = tempfile::tempdir_in(folder)?.keep();
    copy_folder(&data.join("code"), &own)?;
    // Of several at once one wins; the others' folders are of no use.
    if std::fs::rename(&own, &shared).is_err() {
        std::fs::remove_dir_all(&own)?;
    }
    Ok(())
}

/// The folder for this build of the binary: another build may have another engine or another runtime in it.
fn shared_code() -> anyhow::Result<PathBuf> {
    let metadata = binary().metadata()?;
    let built = metadata.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_millis();
    Ok(binary().with_file_name(format!("{SHARED_CODE}-{built:x}-{:x}", metadata.len())))
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

struct Spawned {
    child: Child,
    url: String,
    log: Arc<Mutex<Vec<String>>>,
    /// The data folder as this process sees it.
    data: PathBuf,
}

/// Mounts a disk of `$2` MiB on `$1`, which only what is started here sees, and goes on as the program that follows.
const ON_A_DISK: &str = "mount -t tmpfs -o size=\"$2\"m none \"$1\" && shift 2 && exec \"$@\"";

fn on_a_disk(folder: &Path, mebibytes: u32) -> anyhow::Result<Command> {
    std::fs::create_dir_all(folder)?;
    let mut command = process::mortal("unshare".as_ref());
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", ON_A_DISK, "sh"]);
    command.arg(folder).arg(mebibytes.to_string()).arg(binary());
    Ok(command)
}

/// The file system as a process sees it.
fn root_of(child: &Child) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root", child.id()))
}

fn spawn(data: &Path, arguments: &[String], disk_mebibytes: Option<u32>) -> anyhow::Result<Spawned> {
    let mut command = match disk_mebibytes {
        Some(mebibytes) => on_a_disk(data.parent().context("the data folder is in a folder")?, mebibytes)?,
        None => process::mortal(binary().as_os_str()),
    };
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(arguments);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("SANDMILL_")));
    // The nodes of an installation have one instance key, which an operator copies; here each has a data folder of its own.
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    if has("--database-url") && !has("--instance-key-file") {
        command.env("SANDMILL_INSTANCE_KEY", INSTANCE_KEY);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut child = process::spawn(command).context("the server cannot be started")?;
    let stderr = child.stderr.take().context("stderr is piped")?;
    let log = Arc::new(Mutex::new(Vec::new()));
    let (found, address) = mpsc::sync_channel(1);
    thread::spawn({
        let log = Arc::clone(&log);
        move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(at) = line.find("listening on http") {
                    let _ = found
                        .try_send(line[at + "listening on ".len()..].split(['"', ' ', '\u{1b}']).next().unwrap_or_default().to_owned());
                }
                if let Ok(mut log) = log.lock() {
                    log.push(line);
                }
            }
        }
    });
    match address.recv_timeout(START_LIMIT) {
        Ok(url) => {
            let data = if disk_mebibytes.is_some() { root_of(&child).join(data.strip_prefix("/")?) } else { data.to_owned() };
            keep_code(&data)?;
            Ok(Spawned { child, url, log, data })
        }
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            anyhow::bail!("the server did not start:\n{}", log.lock().map(|lines| lines.join("\n")).unwrap_or_default())
        }
    }
}
