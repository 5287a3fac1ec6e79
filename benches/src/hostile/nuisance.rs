//! What the load generator cannot do: pushing broken components, and opening connections without end. A process of its own, so that it can
//! be kept to the core that the server does not use.

use std::{
    collections::VecDeque,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::ValueEnum;
use futures_util::future::join_all;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

/// Connections that each of those at work keeps open; the oldest is cut for a new one.
const OPEN_EACH: usize = 8;
/// How long one thing may take: a server that lets it wait is no fault.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a component that are overwritten.
const DAMAGE_BYTES: usize = 16;
/// How each component begins; what comes later is damaged, so that it is read.
const PREAMBLE_BYTES: usize = 8;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    what: What,
    /// `http://127.0.0.1:PORT`
    #[arg(long)]
    url: String,
    #[arg(long)]
    token: String,
    /// Whose scripts are pushed.
    #[arg(long)]
    workspace: String,
    /// A component that is whole.
    #[arg(long)]
    component: PathBuf,
    #[arg(long)]
    at_once: usize,
    #[arg(long)]
    seconds: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    Pushes,
    Connections,
}

impl What {
    /// Does it in a process of its own, until that ends.
    pub(crate) fn process(self, arguments: &[(&str, &str)]) -> anyhow::Result<()> {
        let name = match self {
            Self::Pushes => "pushes",
            Self::Connections => "connections",
        };
        // Behind the one that is measured, which shares the core.
        let mut command = Command::new("nice");
        command.args(["-n", "19", "taskset", "-c", "1"]).arg(std::env::current_exe()?).args(["nuisance", name]);
        for (option, value) in arguments {
            command.args([option, value]);
        }
        let status = command.status().context("the nuisance cannot be started")?;
        anyhow::ensure!(status.success(), "the nuisance ended badly: {status}");
        Ok(())
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(options.seconds.into());
    let done: usize = match options.what {
        What::Pushes => {
            let component = std::fs::read(&options.component).context("the component")?;
            let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
            join_all((0..options.at_once).map(|first| push(options, &http, &component, first, until))).await.into_iter().sum()
        }
        What::Connections => join_all((0..options.at_once).map(|_| connect(options, until))).await.into_iter().sum(),
    };
    eprintln!("{:?}: {} a second", options.what, done / usize::try_from(options.seconds.max(1))?);
    anyhow::ensure!(done > 0, "nothing could be done");
    Ok(())
}

/// One component after another, each broken in its own way; how many were answered.
async fn push(options: &Options, http: &reqwest::Client, component: &[u8], first: usize, until: Instant) -> usize {
    let url = format!("{}/api/w/{}/scripts/f/hostile/broken", options.url, options.workspace);
    let (mut turn, mut answered) = (first, 0);
    while Instant::now() < until {
        let request = http.put(&url).bearer_auth(&options.token).header("content-type", "application/wasm");
        // What it is answered does not matter.
        if request.body(broken(component, turn)).send().await.is_ok() {
            answered += 1;
        }
        turn += options.at_once;
    }
    answered
}

/// Cut off, or overwritten somewhere.
fn broken(component: &[u8], turn: usize) -> Vec<u8> {
    /// A prime, so that places are not the same for long.
    const STEP: usize = 7919;
    let mut bytes = component.to_vec();
    let at = PREAMBLE_BYTES + turn.wrapping_mul(STEP) % (bytes.len() - PREAMBLE_BYTES);
    if turn.is_multiple_of(2) {
        bytes.truncate(at);
    } else {
        let end = bytes.len().min(at + DAMAGE_BYTES);
        bytes[at..end].fill(0xff);
    }
    bytes
}

/// One connection after another, each with half a request; how many there were.
async fn connect(options: &Options, until: Instant) -> usize {
    let address = options.url.trim_start_matches("http://");
    let (mut open, mut count) = (VecDeque::new(), 0);
    while Instant::now() < until {
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(address)).await else { continue };
        // Without a farewell, which would keep its port for a minute.
        let _ = stream.set_zero_linger();
        let _ = stream.write_all(b"GET /health HTTP/1.1\r\nx-half: ").await;
        open.push_back(stream);
        if open.len() > OPEN_EACH {
            open.pop_front();
        }
        count += 1;
    }
    count
}
