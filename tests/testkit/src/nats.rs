//! A NATS server of a test's own: at a port that was free, in a temporary folder, gone when the value is dropped or the process ends.

pub mod client;
pub mod jwt;

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

pub use self::client::Client;

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A port that was free may be taken by the time the server opens it.
const STARTS_MAX: u32 = 5;
/// The server's program, on PATH or where Debian has it.
const PROGRAMS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

/// How whoever connects logs in.
#[derive(Clone, Debug, Default)]
pub enum Login {
    #[default]
    Nobody,
    Token(String),
    User {
        name: String,
        password: String,
    },
    /// Public key of a user.
    Nkey(String),
    /// JWTs of an operator and of an account, by [`jwt::Operator`].
    Operator {
        jwt: String,
        account: String,
        account_jwt: String,
    },
}

/// PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: String,
    pub key: String,
    /// Of the authority that clients' certificates must be of; none: they need none.
    pub client_authority: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub login: Login,
    pub tls: Option<Tls>,
    pub has_jetstream: bool,
    /// None: the server's own, 1 MiB.
    pub payload_bytes_max: Option<u64>,
}

pub struct Nats {
    folder: TempDir,
    pub port: u16,
    config: Config,
    child: Mutex<Option<Child>>,
}

impl Nats {
    /// With JetStream, for whoever comes.
    ///
    /// # Panics
    /// As [`Nats::with`].
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with(Config { has_jetstream: true, ..Config::default() })
    }

    /// None, with a loud line, where no server is installed.
    ///
    /// # Panics
    /// If one is installed and does not start; in CI also if it is missing.
    #[must_use]
    pub fn with(config: Config) -> Option<Self> {
        if let Err(error) = program() {
            crate::skipped("nats-server is not installed", &error);
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..STARTS_MAX {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port").port();
            let started = spawn(folder.path(), port, &config);
            if let Ok(child) = started {
                return Some(Self { folder, port, config, child: Mutex::new(Some(child)) });
            }
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("nats-server does not start: {log}");
    }

    /// For those who need no TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// By name, for certificates.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("tls://localhost:{}", self.port)
    }

    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Somebody else who is connected; for a server without TLS.
    ///
    /// # Errors
    /// If it does not let in.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.port, &self.config.login)
    }

    /// Ends it as a crash does.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = child.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&self) -> anyhow::Result<()> {
        let child = spawn(self.folder.path(), self.port, &self.config)?;
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn program() -> anyhow::Result<&'static str> {
    let answers = |program: &&&str| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    PROGRAMS.iter().find(answers).copied().context("install the package nats-server")
}

fn spawn(folder: &Path, port: u16, config: &Config) -> anyhow::Result<Child> {
    let written = write_config(folder, port, config)?;
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let mut command = crate::process::mortal(OsStr::new(program()?));
    command.arg("-c").arg(written).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = crate::process::spawn(command)?;
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
        }
        ensure!(ended.is_none(), "it has ended: {ended:?}");
        ensure!(Instant::now() <= deadline, "it does not listen");
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(child)
}

fn write_config(folder: &Path, port: u16, config: &Config) -> anyhow::Result<PathBuf> {
    let path = folder.join("server.conf");
    let mut file = fs::File::create(&path)?;
    writeln!(file, "listen: \"127.0.0.1:{port}\"")?;
    if let Some(bytes) = config.payload_bytes_max {
        writeln!(file, "max_payload: {bytes}")?;
    }
    if config.has_jetstream {
        writeln!(file, "jetstream {{ store_dir: {:?} }}", folder.join("jetstream"))?;
    }
    match &config.login {
        Login::Nobody => {}
        Login::Token(token) => writeln!(file, "authorization {{ token: {token:?} }}")?,
        Login::User { name, password } => writeln!(file, "authorization {{ users: [ {{ user: {name:?}, password: {password:?} }} ] }}")?,
        Login::Nkey(key) => writeln!(file, "authorization {{ users: [ {{ nkey: {key:?} }} ] }}")?,
        Login::Operator { jwt, account, account_jwt } => {
            writeln!(file, "operator: {jwt:?}\nresolver: MEMORY\nresolver_preload: {{ {account}: {account_jwt:?} }}")?;
        }
    }
    if let Some(Tls { certificate, key, client_authority }) = &config.tls {
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).map(|()| folder.join(name));
        let (certificate, key) = (put("certificate.pem", certificate)?, put("key.pem", key)?);
        write!(file, "tls {{ cert_file: {certificate:?}, key_file: {key:?}, timeout: 5")?;
        if let Some(authority) = client_authority {
            write!(file, ", ca_file: {:?}, verify: true", put("authority.pem", authority)?)?;
        }
        writeln!(file, " }}")?;
    }
    Ok(path)
}
