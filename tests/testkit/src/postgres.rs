//! A PostgreSQL server of the test process's own: started once, with a new database for each test, gone when the process is, however it ends.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use anyhow::{Context as _, bail, ensure};

/// Where Debian puts the servers' programs, a folder a release.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The superuser of the server.
const USER: &str = "postgres";
/// A port that was free may be taken by the time the server opens it.
const STARTS_MAX: u32 = 5;

/// Runs the server, its arguments, until standard input ends, which is when the process that holds the other side does. The trap keeps the shell alive when a
/// terminal interrupts the whole group.
const SUPERVISE: &str = r#"
trap : INT TERM HUP
folder=$1; shift
"$@" </dev/null &
server=$!
exec 2>/dev/null
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$folder"
"#;

pub struct Postgres {
    programs: PathBuf,
    port: u16,
    /// The server lives as long as this side of the pipe is open.
    _alive: ChildStdin,
}

impl Postgres {
    /// The server of this process. None, with a loud line, where PostgreSQL is not installed and cannot be.
    ///
    /// # Panics
    /// If it is installed and does not start; in CI also if it is missing.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let programs = match programs() {
                Ok(programs) => programs,
                Err(error) => {
                    #[expect(clippy::disallowed_methods, reason = "tests have no options")]
                    let in_ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
                    assert!(!in_ci, "PostgreSQL is missing in CI: {error:#}");
                    eprintln!("SKIPPED: PostgreSQL is not installed and cannot be: {error:#}");
                    return None;
                }
            };
            Some(Self::start(programs).expect("PostgreSQL starts"))
        });
        shared.as_ref()
    }

    /// URL of a new, empty database.
    ///
    /// # Panics
    /// If the server does not make one.
    #[must_use]
    pub fn database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}")).expect("a new database");
        self.url(&name)
    }

    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs one statement; returns what `psql` prints, rows without decoration.
    ///
    /// # Errors
    /// What the server said.
    pub fn execute(&self, database: &str, statement: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command", statement]);
        let output = psql.arg(self.url(database)).stdin(Stdio::null()).output().context("psql")?;
        ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn start(programs: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sandmill-postgres-").tempdir()?;
        let owner = Owner::find()?;
        owner.own(folder.path())?;
        let data = folder.path().join("data");
        let mut initdb = owner.command(&programs.join("initdb"));
        initdb.args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--username", USER, "--pgdata"]).arg(&data);
        let output = initdb.current_dir(folder.path()).output().context("initdb")?;
        ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        // From here on the supervisor removes it.
        let folder = folder.keep();
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut child = supervised(&folder, &owner.command(&programs.join("postgres")), &data, port)?;
            let alive = child.stdin.take().context("the supervisor's standard input")?;
            let stderr = child.stderr.take().context("the server's standard error")?;
            match wait_until_ready(stderr, &mut said) {
                Ok(()) => return Ok(Self { programs, port, _alive: alive }),
                Err(error) => {
                    said.push_str(&format!("{error}\n"));
                    // Closing the pipe would have the folder removed, and the next try needs it.
                    child.kill()?;
                    child.wait()?;
                }
            }
        }
        fs::remove_dir_all(&folder)?;
        bail!("it said:\n{said}")
    }
}

fn supervised(folder: &Path, server: &Command, data: &Path, port: u16) -> io::Result<Child> {
    let mut shell = Command::new("sh");
    shell.args(["-c", SUPERVISE, "supervise"]).arg(folder).arg(server.get_program()).args(server.get_args()).arg("-D").arg(data);
    shell.args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
    // What a test writes need not outlive it.
    for setting in ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=400", "shared_buffers=64MB"] {
        shell.args(["-c", setting]);
    }
    shell.env("LC_ALL", "C").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
}

/// Reads what the server says until it is ready, and in a thread of its own what it says later, so that it never waits for a reader.
fn wait_until_ready(stderr: ChildStderr, said: &mut String) -> anyhow::Result<()> {
    let mut lines = BufReader::new(stderr).lines();
    for line in lines.by_ref() {
        let line = line?;
        said.push_str(&line);
        said.push('\n');
        if line.contains("ready to accept connections") {
            thread::spawn(move || lines.for_each(drop));
            return Ok(());
        }
    }
    bail!("the server ended before it was ready")
}

/// As whom the server runs: it refuses to run as root.
enum Owner {
    Myself,
    Other { uid: u32, gid: u32 },
}

impl Owner {
    fn find() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Myself);
        }
        for name in ["postgres", "nobody"] {
            let id = |what: &str| -> anyhow::Result<Option<u32>> {
                let output = Command::new("id").args([what, name]).output().context("id")?;
                Ok(String::from_utf8(output.stdout)?.trim().parse().ok())
            };
            if let (Some(uid), Some(gid)) = (id("-u")?, id("-g")?) {
                return Ok(Self::Other { uid, gid });
            }
        }
        bail!("there is neither a user `postgres` nor `nobody`")
    }

    fn own(&self, folder: &Path) -> io::Result<()> {
        match self {
            Self::Myself => Ok(()),
            Self::Other { uid, gid } => chown(folder, Some(*uid), Some(*gid)),
        }
    }

    fn command(&self, program: &Path) -> Command {
        match self {
            Self::Myself => Command::new(program),
            Self::Other { uid, gid } => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]).arg(program);
                command
            }
        }
    }
}

/// The folder of the server's programs, installed if need be: one process at a time, the others wait for it.
fn programs() -> anyhow::Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    ensure!(rustix::process::geteuid().is_root(), "only root can install it");
    let lock = fs::File::create(std::env::temp_dir().join("sandmill-install-postgres.lock"))?;
    lock.lock()?;
    if let Some(found) = find() {
        return Ok(found);
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", "postgresql"])?;
    find().context("it was installed and its programs are not there")
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    eprintln!("PostgreSQL for the tests: apt-get {}", arguments.join(" "));
    // In run level 1 Debian's package starts no server of its own.
    let output =
        Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdin(Stdio::null()).output();
    let output = output.context("apt-get")?;
    ensure!(output.status.success(), "apt-get {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The newest of Debian's folders, else one on the path.
fn find() -> Option<PathBuf> {
    let is_whole = |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).exists());
    let release = |folder: &PathBuf| folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok());
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let newest = debian.filter(is_whole).max_by_key(release);
    newest.or_else(|| std::env::split_paths(&std::env::var_os("PATH")?).find(is_whole))
}
