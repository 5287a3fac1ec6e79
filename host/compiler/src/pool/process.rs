//! One build worker as its parent sees it: a child process behind a pipe that may hang, lie or die.

use std::{
    collections::HashSet,
    future::pending,
    io,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use rustix::process::Signal;
use sandmill_model::build::BuildError;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::Shared;
use crate::{
    limits::{REQUEST_CPU_SECONDS_MAX, WORKER_CPU_SECONDS_MAX, WORKER_DATA_BYTES_MAX, WORKER_STDERR_BYTES_MAX},
    protocol::{Artefact, Request, Response, read_async, write_async},
};

/// The hidden subcommand that runs `worker_main`.
pub(crate) const SUBCOMMAND: &str = "build-worker";

/// How long a worker that closed its pipe may take to be gone.
const EXIT_WAIT: Duration = Duration::from_secs(2);

pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: Tail,
    wall: Duration,
    requests: u32,
    holds: HashSet<Artefact>,
    is_spent: bool,
}

impl Process {
    pub(crate) async fn start(shared: &Shared) -> Result<Self, BuildError> {
        let mut command = Command::new(&shared.executable);
        command.arg(SUBCOMMAND).env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = shared.spawner.spawn(command).await;
        let mut child = started.map_err(|error| BuildError::Unavailable(format!("no build worker could be started: {error}")))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(BuildError::Unavailable("a build worker has no pipes".to_owned()));
        };
        let errors = Tail { pipe: Some(errors), kept: Vec::new() };
        let (wall, output) = (shared.wall, BufReader::new(output));
        Ok(Self { child, input, output, errors, wall, requests: 0, holds: HashSet::new(), is_spent: false })
    }

    /// One request and its answer. After an error the worker is gone.
    pub(crate) async fn call(&mut self, request: &Request, body: &Bytes) -> Result<(Response, Bytes), BuildError> {
        self.requests += 1;
        self.is_spent = true;
        let exchange = async {
            // An answer may come before the request was read to its end; whoever died is found out by the read.
            let written = write_async(&mut self.input, request, body).await;
            let answer = read_async::<Response>(&mut self.output).await;
            written.and(answer)
        };
        let drain = async {
            self.errors.drain().await;
            pending::<()>().await;
        };
        let exchange = async {
            tokio::select! {
                answer = exchange => answer,
                // Never: it only keeps the pipe from filling up.
                () = drain => Err(io::ErrorKind::BrokenPipe.into()),
            }
        };
        match timeout(self.wall, exchange).await {
            Ok(Ok(answer)) => {
                self.is_spent = false;
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.post_mortem(&error).await),
            Err(_) => {
                self.kill().await;
                Err(BuildError::LimitReached(format!("the build did not finish within {} s", self.wall.as_secs_f32())))
            }
        }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }

    /// Whether it failed, or was given up in the middle of a request.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }

    pub(crate) fn holds(&self, artefact: Artefact) -> bool {
        self.holds.contains(&artefact)
    }

    pub(crate) fn now_holds(&mut self, artefact: Artefact) {
        self.holds.insert(artefact);
    }

    async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "a build worker could not be killed");
        }
    }

    /// Why it died: by the signal and by what the language's runtime wrote on its way down.
    async fn post_mortem(&mut self, error: &io::Error) -> BuildError {
        let ended = timeout(EXIT_WAIT, self.child.wait()).await;
        let Ok(Ok(status)) = ended else {
            self.kill().await;
            return BuildError::Unavailable(format!("a build worker broke its protocol: {error}"));
        };
        // Pipes of a dead process end, unless someone else holds them.
        let _ = timeout(EXIT_WAIT, self.errors.drain()).await;
        let last_words = String::from_utf8_lossy(&self.errors.kept);
        tracing::warn!(%status, %last_words, "a build worker died");
        explain(status, &last_words)
    }
}

fn explain(status: ExitStatus, last_words: &str) -> BuildError {
    let memory = || BuildError::LimitReached(format!("the build used more than {} MiB of memory", WORKER_DATA_BYTES_MAX / (1024 * 1024)));
    if last_words.contains("has overflowed its stack") {
        return BuildError::LimitReached("the source is nested too deeply to be parsed".to_owned());
    }
    if last_words.contains("memory allocation of") {
        return memory();
    }
    match status.signal() {
        Some(signal) if signal == Signal::XCPU.as_raw() => {
            BuildError::LimitReached(format!("the build used more than {REQUEST_CPU_SECONDS_MAX} s of processor time"))
        }
        // At the end of its own life's processor time, or the system's out-of-memory killer.
        Some(signal) if signal == Signal::KILL.as_raw() => BuildError::LimitReached(format!(
            "the build worker was killed: it or the machine ran out of memory, or it used more than {WORKER_CPU_SECONDS_MAX} s of processor time"
        )),
        Some(signal) if signal == Signal::ABORT.as_raw() => memory(),
        _ => BuildError::Unavailable(format!("a build worker died: {status}")),
    }
}

/// The end of what a worker wrote to stderr.
struct Tail {
    pipe: Option<ChildStderr>,
    kept: Vec<u8>,
}

impl Tail {
    /// Reads until the pipe ends. Cancelling it loses nothing.
    async fn drain(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        drain_into(pipe, &mut self.kept).await;
        self.pipe = None;
    }
}

async fn drain_into(pipe: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        let surplus = kept.len().saturating_sub(WORKER_STDERR_BYTES_MAX);
        kept.drain(..surplus);
    }
}
