//! A registry of OCI artifacts: Debian's `docker-registry` on a loopback port, with a folder of its own. It ends when the value is dropped, at the latest
//! with the process.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};

use crate::process;

/// Names the program, unless it is installed.
const VARIABLE: &str = "SANDMILL_DOCKER_REGISTRY";
const PROGRAM: &str = "docker-registry";
const START_LIMIT: Duration = Duration::from_secs(60);
/// Ports that are tried.
const STARTS_MAX: u32 = 5;
/// Of one request, while it starts.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Whom a registry that wants a login knows, and the password.
pub const LOGIN: [&str; 2] = ["ann", "let-me-pull"];
/// The same as `htpasswd -B` writes it.
const HTPASSWD: &str = "ann:$2b$05$abcdefghijklmnopqrstuucCZeJdrAgCPNDV0D5WMVlxjAoEEY.vu\n";

/// Whom it lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitors {
    Anybody,
    /// Only [`LOGIN`].
    Known,
}

pub struct Registry {
    /// E.g. `127.0.0.1:4000`.
    pub address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// None where it could not be had.
    ///
    /// # Panics
    /// In CI, if it is missing.
    #[must_use]
    pub fn start(visitors: Visitors) -> Option<Self> {
        Self::try_start(visitors).map_err(|error| crate::skipped("Debian's docker-registry is missing", &error)).ok()
    }

    fn try_start(visitors: Visitors) -> anyhow::Result<Self> {
        // Between choosing a port and listening on it another process may take it.
        for _ in 0..STARTS_MAX {
            if let Some(registry) = Self::on_a_port(visitors)? {
                return Ok(registry);
            }
        }
        bail!("it ended at once, {STARTS_MAX} times: install Debian's package, or name the program in {VARIABLE}")
    }

    /// None if it ended instead of listening.
    fn on_a_port(visitors: Visitors) -> anyhow::Result<Option<Self>> {
        let program = std::env::var_os(VARIABLE).unwrap_or_else(|| PROGRAM.into());
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let at = |name: &str| folder.path().join(name);
        // Nobody else's answers have the name of our folder.
        let mark = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::write(at("htpasswd"), HTPASSWD)?;
        let auth = match visitors {
            Visitors::Anybody => String::new(),
            Visitors::Known => format!("auth: {{htpasswd: {{realm: tests, path: \"{}\"}}}}\n", at("htpasswd").display()),
        };
        let configuration = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\nhttp: {{addr: \"{address}\", headers: {{X-Started-In: [\"{mark}\"]}}}}\n{auth}",
            at("data").display()
        );
        fs::write(at("config.yml"), configuration)?;
        let mut command = process::mortal(&program);
        command.arg("serve").arg(at("config.yml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut registry = Self { address, child: process::spawn(command)?, _folder: folder };
        let listens = registry.listens(&mark)?;
        Ok(listens.then_some(registry))
    }

    /// Whether it does in the end, itself and nobody else on its port.
    fn listens(&mut self, mark: &str) -> anyhow::Result<bool> {
        let deadline = Instant::now() + START_LIMIT;
        while !answer(&self.address).is_ok_and(|answer| answer.contains(mark)) {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            ensure!(Instant::now() < deadline, "it does not listen");
            thread::park_timeout(Duration::from_millis(50));
        }
        Ok(true)
    }
}

/// What is answered to whoever asks for the version, 401 among it.
fn answer(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(format!("GET /v2/ HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}
