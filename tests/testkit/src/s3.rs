//! A service that speaks S3, of the test process's own: moto's, which keeps everything in memory and ends with the process.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{ChildStdin, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

/// Names moto's server; `cargo xtask test` sets it.
const VARIABLE: &str = "SANDMILL_MOTO_SERVER";
const START_LIMIT: Duration = Duration::from_secs(60);
/// Runs the server until standard input ends: that is when the process that holds the other side does, however it ends.
const SUPERVISE: &str = r#""$0" -H 127.0.0.1 -p "$1" >/dev/null 2>&1 </dev/null & server=$!; cat >/dev/null; kill "$server""#;

pub struct S3 {
    /// E.g. `http://127.0.0.1:4000`.
    pub endpoint: String,
    _alive: Mutex<ChildStdin>,
}

impl S3 {
    /// None where it could not be had.
    ///
    /// # Panics
    /// In CI, if it is missing.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<S3>> = OnceLock::new();
        let start = || Self::start().map_err(|error| crate::skipped("moto's S3 is missing", &error)).ok();
        SHARED.get_or_init(start).as_ref()
    }

    fn start() -> anyhow::Result<Self> {
        let program = std::env::var_os(VARIABLE).context("`cargo xtask test` installs it")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISE]).arg(program).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::null());
        let alive = supervisor.spawn()?.stdin.take().context("it has no standard input")?;
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            ensure!(Instant::now() < deadline, "it does not listen");
            thread::park_timeout(Duration::from_millis(50));
        }
        Ok(Self { endpoint: format!("http://127.0.0.1:{port}"), _alive: Mutex::new(alive) })
    }

    /// A new bucket.
    pub async fn bucket(&self) -> anyhow::Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bucket-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        reqwest::Client::new().put(format!("{}/{name}", self.endpoint)).send().await?.error_for_status()?;
        Ok(name)
    }

    /// What the service answers to a GET in a bucket, e.g. of `?uploads`.
    pub async fn get(&self, bucket: &str, rest: &str) -> anyhow::Result<String> {
        let answer = reqwest::Client::new().get(format!("{}/{bucket}{rest}", self.endpoint)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}
