//! A PostgreSQL server of the test process's own: started once, with a new database for each test, gone when the process is, however it ends.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

/// Where Debian puts the servers' programs, a folder a release.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The superuser of the server.
const USER: &str = "postgres";
/// What a test writes need not outlive it, so nothing is flushed to the disk.
const HASTY: &str = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=400 -c shared_buffers=64MB";
/// As PostgreSQL does by itself, with room for what is measured.
const DURABLE: &str = "-c max_connections=200 -c shared_buffers=512MB -c max_wal_size=4GB";
/// A port that was free may be taken by the time the server opens it.
const STARTS_MAX: u32 = 5;
/// How long a start may take, also after a crash.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What the server says once it is ready, and what the supervisor says once it has ended.
const READY: &str = "ready to accept connections";
const ENDED: &str = "the server has ended";
/// Comes before the path of the cluster's folder.
const FOLDER: &str = "the folder is ";

/// Makes a cluster in a folder of its own and starts a server on each port that it reads, until standard input ends: that is when the process that holds the
/// other side does, however it ends. Then nothing is left. The trap keeps the shell alive when a terminal interrupts the whole group.
const SUPERVISE: &str = r#"
trap : INT TERM HUP
as=$1 owner=$2 programs=$3 user=$4 ended=$5 says_folder=$6 settings=$7
folder=$(mktemp -d -t sandmill-postgres-XXXXXXXX) || exit 1
echo "$says_folder$folder" >&2
cd "$folder"
[ -z "$owner" ] || chown "$owner" "$folder"
$as "$programs/initdb" --auth=trust --encoding=UTF8 --no-locale --no-sync --username="$user" -D "$folder/data" >&2
>ended
while read -r port; do
    rm -f ended
    {
        $as "$programs/postgres" -D "$folder/data" -h 127.0.0.1 -p "$port" -k '' $settings </dev/null
        >ended
        echo "$ended" >&2
    } &
done
# It may have just been started and not yet written its number.
until [ -e ended ]; do
    kill -QUIT "$(head -n 1 data/postmaster.pid)" 2>/dev/null
    sleep 0.05
done
cd /
rm -rf "$folder"
"#;

pub struct Postgres {
    programs: PathBuf,
    port: u16,
    folder: PathBuf,
    /// Where the supervisor is told to start a server; there is one as long as this side of the pipe is open.
    ports: Mutex<ChildStdin>,
    events: Mutex<Receiver<Event>>,
}

/// What became of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Ready,
    Ended,
}

impl Postgres {
    /// The server of this process. None, with a loud line, where PostgreSQL is not installed and cannot be.
    ///
    /// # Panics
    /// If it is installed and does not start; in CI also if it is missing.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(Self::own).as_ref()
    }

    /// A server of the caller's own, which it may kill; gone when the value is dropped.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::with(HASTY)
    }

    /// The same, and what is committed is on the disk.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    #[must_use]
    pub fn durable() -> Option<Self> {
        Self::with(DURABLE)
    }

    fn with(settings: &str) -> Option<Self> {
        let programs = match programs() {
            Ok(programs) => programs,
            Err(error) => {
                crate::skipped("PostgreSQL is not installed and cannot be", &error);
                return None;
            }
        };
        Some(Self::start(programs, settings).expect("PostgreSQL starts"))
    }

    /// Ends all of the server's processes at once, as a crash does, and waits until it is gone.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&self) -> anyhow::Result<()> {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).context("its process id")?;
        let id: i32 = file.lines().next().unwrap_or_default().trim().parse().context("its process id")?;
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        // The first, so that it starts none anew.
        for id in std::iter::once(id).chain(children.split_whitespace().filter_map(|id| id.parse().ok())) {
            let id = rustix::process::Pid::from_raw(id).context("a process has an id")?;
            // Of the children some end by themselves once the first is gone.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
        match self.next_event()? {
            Event::Ended => Ok(()),
            Event::Ready => bail!("it started although it was killed"),
        }
    }

    /// Starts it again on the same data and port, and waits until it answers.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            writeln!(self.ports.lock().unwrap_or_else(PoisonError::into_inner), "{}", self.port)?;
            match self.next_event()? {
                Event::Ready => return Ok(()),
                // One of the processes that were killed may still be going.
                Event::Ended => ensure!(Instant::now() < deadline, "it does not start again"),
            }
        }
    }

    fn next_event(&self) -> anyhow::Result<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.recv_timeout(START_LIMIT).context("the server says nothing")
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

    /// One of its programs beside the server itself: `pg_dump`, `pg_restore`.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut program = Command::new(self.programs.join(name));
        program.stdin(Stdio::null());
        program
    }

    fn start(programs: PathBuf, settings: &str) -> anyhow::Result<Self> {
        let owner = Owner::find()?;
        let mut shell = Command::new("sh");
        shell.args(["-c", SUPERVISE, "supervise", &owner.switch(), &owner.chown()]).arg(&programs).args([USER, ENDED, FOLDER, settings]);
        shell.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = shell.spawn().context("sh")?;
        let mut ports = child.stdin.take().context("the supervisor's standard input")?;
        let mut lines = BufReader::new(child.stderr.take().context("the supervisor's standard error")?).lines();
        let mut said = String::new();
        let mut folder = PathBuf::new();
        for _ in 0..STARTS_MAX {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            writeln!(ports, "{port}")?;
            for line in lines.by_ref() {
                let line = line?;
                if line.contains(READY) {
                    let (sender, events) = sync_channel(16);
                    // In a thread of its own, so that the server never waits for a reader.
                    thread::spawn(move || watch(lines, &sender));
                    return Ok(Self { programs, port, folder, ports: Mutex::new(ports), events: Mutex::new(events) });
                }
                if let Some(path) = line.strip_prefix(FOLDER) {
                    folder = path.into();
                }
                said.push_str(&line);
                said.push('\n');
                if line == ENDED {
                    break;
                }
            }
        }
        bail!("it said:\n{said}")
    }
}

/// Reads what the server says until it ends, and tells of what matters.
fn watch(lines: impl Iterator<Item = std::io::Result<String>>, events: &SyncSender<Event>) {
    for line in lines.map_while(Result::ok) {
        let event = if line == ENDED {
            Event::Ended
        } else if line.contains(READY) {
            Event::Ready
        } else {
            continue;
        };
        let _ = events.try_send(event);
    }
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

    /// What comes before a command that is to run as it.
    fn switch(&self) -> String {
        match self {
            Self::Myself => String::new(),
            Self::Other { uid, gid } => format!("setpriv --reuid={uid} --regid={gid} --clear-groups"),
        }
    }

    /// Whose the folder must be, for `chown`; empty if it is already.
    fn chown(&self) -> String {
        match self {
            Self::Myself => String::new(),
            Self::Other { uid, gid } => format!("{uid}:{gid}"),
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

pub(crate) fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    eprintln!("for the tests: apt-get {}", arguments.join(" "));
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
