//! A registry of OCI artifacts: Debian's `docker-registry` on a loopback port, with a folder of its own. It ends when the value is dropped, at the latest
//! with the process.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::process;

/// Names the program, unless it is installed.
const VARIABLE: &str = "SANDMILL_DOCKER_REGISTRY";
const PROGRAM: &str = "docker-registry";
const START_LIMIT: Duration = Duration::from_secs(60);
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
        let program = std::env::var_os(VARIABLE).unwrap_or_else(|| PROGRAM.into());
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("htpasswd"), HTPASSWD)?;
        let auth = match visitors {
            Visitors::Anybody => String::new(),
            Visitors::Known => format!("auth: {{htpasswd: {{realm: tests, path: \"{}\"}}}}\n", at("htpasswd").display()),
        };
        let configuration = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\nhttp: {{addr: \"{address}\"}}\n{auth}",
            at("data").display()
        );
        fs::write(at("config.yml"), configuration)?;
        let mut command = process::mortal(&program);
        command.arg("serve").arg(at("config.yml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut registry = Self { address, child: process::spawn(command)?, _folder: folder };
        registry.listens(port)?;
        Ok(registry)
    }

    fn listens(&mut self, port: u16) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            ensure!(self.child.try_wait()?.is_none(), "it ended at once: install Debian's package, or name the program in {VARIABLE}");
            ensure!(Instant::now() < deadline, "it does not listen");
            thread::park_timeout(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}
