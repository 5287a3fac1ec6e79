//! The server under measurement: the binary that is shipped, on the first core where a load generator or a peer has the other.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};

/// How long a request may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) token: String,
    /// From the start of the process to the moment that it listens.
    pub(crate) started_in: Duration,
    http: reqwest::Client,
}

/// What `cargo xtask bench` has built.
pub(crate) fn binary() -> PathBuf {
    // Beside this program.
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("sandmill")
}

impl Server {
    pub(crate) fn start<S: AsRef<str>>(data: &Path, arguments: &[S]) -> anyhow::Result<Self> {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", "0"]).arg(binary());
        Self::start_as(pinned, data, arguments)
    }

    /// On all cores: where nothing else is at work but its database.
    pub(crate) fn start_alone<S: AsRef<str>>(data: &Path, arguments: &[S]) -> anyhow::Result<Self> {
        Self::start_as(Command::new(binary()), data, arguments)
    }

    fn start_as<S: AsRef<str>>(mut command: Command, data: &Path, arguments: &[S]) -> anyhow::Result<Self> {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let began = Instant::now();
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the server cannot be started")?;
        let mut lines = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
        let mut log = String::new();
        let url = loop {
            let line = lines.next().with_context(|| format!("the server did not start:\n{log}"))??;
            if let Some(at) = line.find("http://127") {
                break line[at..].split([' ', '"', '\u{1b}']).next().unwrap_or_default().to_owned();
            }
            log.push_str(&line);
            log.push('\n');
        };
        let started_in = began.elapsed();
        std::thread::spawn(move || lines.for_each(drop));
        let given = arguments.iter().skip_while(|argument| **argument != "--admin-token").nth(1);
        let token = match given {
            Some(token) => (*token).to_owned(),
            None => std::fs::read_to_string(data.join("admin-token"))?.trim().to_owned(),
        };
        // A server that has just died or lost its database may leave a request without an answer.
        let http = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
        Ok(Self { child, url, token, started_in, http })
    }

    pub(crate) fn hook(&self, path: &str) -> String {
        format!("{}/hooks/default/run/{path}", self.url)
    }

    pub(crate) async fn deploy(&self, path: &str, source: &str) -> anyhow::Result<()> {
        self.deploy_with(path, &json!({"language": "typescript", "source": source})).await
    }

    /// Deploys what `body` says.
    pub(crate) async fn deploy_with(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.deploy_in("default", path, body).await
    }

    pub(crate) async fn deploy_in(&self, workspace: &str, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.http.put(format!("{}/api/w/{workspace}/scripts/{path}", self.url)).bearer_auth(&self.token);
        let response = request.json(body).send().await?;
        let status = response.status();
        anyhow::ensure!(status.is_success(), "{path}: {status}: {}", response.text().await?);
        Ok(())
    }

    /// Ends it as a crash does, and waits until it is gone.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The body of a GET that must be answered 200.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// The body of an answer that must be 2xx; what is refused is told with its body.
    pub(crate) async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.json(body).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        anyhow::ensure!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }

    /// Starts a run under a key that makes it safe to ask again; returns its id.
    pub(crate) async fn start_once(&self, path: &str, arguments: &Value, key: &str) -> anyhow::Result<String> {
        let request = self.http.post(format!("{}/hooks/default/start/{path}", self.url)).bearer_auth(&self.token);
        let response = request.header("idempotency-key", key).json(arguments).send().await?;
        anyhow::ensure!(response.status().as_u16() == 202, "{path}: {}", response.status());
        let receipt: Value = response.json().await?;
        Ok(receipt["run_id"].as_str().context("a receipt has a run id")?.to_owned())
    }

    /// Deploys what is built in and returns its arguments.
    pub(crate) async fn deploy_identity(&self, path: &str) -> anyhow::Result<()> {
        self.deploy_with(path, &json!({"language": "identity", "source": ""})).await
    }

    /// Calls durably, with an idempotency key, and waits for the result.
    pub(crate) async fn call_once(&self, path: &str, key: &str) -> anyhow::Result<()> {
        let request = self.http.post(self.hook(path)).bearer_auth(&self.token).header("idempotency-key", key);
        let response = request.json(&json!({})).send().await?;
        anyhow::ensure!(response.status().as_u16() == 200, "{path}: {}", response.status());
        response.bytes().await?;
        Ok(())
    }

    /// Gives the script at `path` what its manifest will ask for: lists of texts, by kind.
    pub(crate) async fn give(&self, path: &str, grants: &Value) -> anyhow::Result<()> {
        let of_kind = |(kind, texts): (&String, &Value)| {
            texts.as_array().into_iter().flatten().filter_map(|text| Some(format!("{kind}:{}", text.as_str()?))).collect::<Vec<_>>()
        };
        let give: Vec<String> = grants.as_object().into_iter().flatten().flat_map(of_kind).collect();
        let request = self.http.patch(format!("{}/api/w/default/grants/{path}", self.url)).bearer_auth(&self.token);
        request.json(&json!({ "give": give })).send().await?.error_for_status()?;
        Ok(())
    }

    /// Calls and waits for the result.
    pub(crate) async fn call(&self, path: &str, arguments: &Value) -> anyhow::Result<Value> {
        let response = self.http.post(self.hook(path)).bearer_auth(&self.token).json(arguments).send().await?;
        let status = response.status();
        let text = response.text().await?;
        anyhow::ensure!(status.as_u16() == 200, "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether any run of this workspace has not ended.
    pub(crate) async fn is_busy(&self, workspace: &str) -> anyhow::Result<bool> {
        for status in ["queued", "running"] {
            let page = self.get(&format!("/api/w/{workspace}/runs?status={status}&limit=1")).await?;
            if page["items"].as_array().is_none_or(|items| !items.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) async fn deploy_component(&self, path: &str, component: Vec<u8>) -> anyhow::Result<()> {
        self.deploy_component_in("default", path, component).await
    }

    pub(crate) async fn deploy_component_in(&self, workspace: &str, path: &str, component: Vec<u8>) -> anyhow::Result<()> {
        let request = self.http.put(format!("{}/api/w/{workspace}/scripts/{path}", self.url)).bearer_auth(&self.token);
        let response = request.header("content-type", "application/wasm").body(component).send().await?;
        let status = response.status();
        anyhow::ensure!(status.is_success(), "{path}: {status}: {}", response.text().await?);
        Ok(())
    }

    /// Calls a script and checks that it does what hello does.
    pub(crate) async fn hello(&self, path: &str) -> anyhow::Result<()> {
        let request = self.http.post(self.hook(path)).bearer_auth(&self.token).header("content-type", "application/json");
        let text = request.body(crate::scripts::BODY).send().await?.text().await?;
        let found: Value = serde_json::from_str(&text)?;
        anyhow::ensure!(found == serde_json::from_str::<Value>(crate::scripts::EXPECTED)?, "{path}: {text}");
        Ok(())
    }

    /// Starts a run that nobody waits for.
    pub(crate) async fn start_run(&self, path: &str) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/hooks/default/start/{path}", self.url)).bearer_auth(&self.token);
        let response = request.json(&json!({})).send().await?;
        anyhow::ensure!(response.status().as_u16() == 202, "{path}: {}", response.status());
        Ok(())
    }

    /// Calls scripts until each has a program of its own.
    pub(crate) async fn warm(&self, paths: &[String]) -> anyhow::Result<()> {
        let goal = self.snapshots().await? + paths.len() as u64;
        for path in paths {
            for _ in 0..5 {
                self.hello(path).await?;
            }
        }
        self.snapshots_made(goal).await
    }

    /// Waits until so many scripts that were called have a program of their own since this server started.
    pub(crate) async fn snapshots_made(&self, goal: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(3600);
        loop {
            let done = self.snapshots().await?;
            if done >= goal {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{done} of {goal} scripts have a program of their own");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn snapshots(&self) -> anyhow::Result<u64> {
        let text = self.http.get(format!("{}/metrics", self.url)).bearer_auth(&self.token).send().await?.text().await?;
        let failed = text.lines().find(|line| line.starts_with("sandmill_snapshots_total{result=\"failed\"}"));
        anyhow::ensure!(failed.is_none(), "a script could not be snapshotted: {failed:?}");
        let line = text.lines().find_map(|line| line.strip_prefix("sandmill_snapshots_total{result=\"ok\"} "));
        Ok(line.map_or(Ok(0), str::parse)?)
    }

    /// # Errors
    /// If the kernel does not tell (`smaps_rollup` is of Linux 4.14).
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        // taskset replaces itself by the server.
        let map = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let mib = |name: &str| -> anyhow::Result<u64> {
            let line = map.lines().find_map(|line| line.strip_prefix(name)).with_context(|| name.to_owned())?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
        };
        Ok(Memory { rss_mib: mib("Rss:")?, pss_mib: mib("Pss:")? })
    }
}

/// What the server takes. Each instance maps the pages of its program's image until it writes to them: RSS counts such a page once
/// for each instance, PSS once.
pub(crate) struct Memory {
    pub(crate) rss_mib: u64,
    pub(crate) pss_mib: u64,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
