//! queue: runs enqueued, then drained by one node; then enqueue to result, one at a time.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::{report, server::Server};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 90_000)]
    runs: usize,
    /// `postgres:…`, empty at first; by default SQLite in a folder of its own
    #[arg(long)]
    database_url: Option<String>,
    /// A TypeScript script that does nothing, instead of what is built in
    #[arg(long)]
    script: bool,
}

const PATH: &str = "f/queue/noop";
const CALLERS: usize = 64;
const ONE_AT_A_TIME: usize = 500;
const POLL: Duration = Duration::from_millis(10);

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut arguments = vec!["--log", "warn,sandmill=info"];
    if let Some(url) = &options.database_url {
        arguments.extend(["--database-url", url.as_str()]);
    }
    let enqueuing: Vec<&str> = arguments.iter().copied().chain(["--role", "api"]).collect();
    let server = Server::start(data.path(), &enqueuing)?;
    if options.script {
        server.deploy(PATH, "export function main() { return 1; }").await?;
    } else {
        server.deploy_identity(PATH).await?;
    }
    let began = Instant::now();
    let calls = futures_util::stream::iter(0..options.runs).map(|_| server.start_run(PATH)).buffer_unordered(CALLERS);
    calls.try_for_each(async |()| Ok(())).await?;
    let enqueued_per_s = options.runs as f64 / began.elapsed().as_secs_f64();
    drop(server);

    let server = Server::start(data.path(), &arguments)?;
    let began = Instant::now();
    while server.is_busy().await? {
        tokio::time::sleep(POLL).await;
    }
    let drained_per_s = options.runs as f64 / began.elapsed().as_secs_f64();

    let mut one_ms = Vec::with_capacity(ONE_AT_A_TIME);
    for number in 0..ONE_AT_A_TIME {
        let began = Instant::now();
        server.call_once(PATH, &number.to_string()).await?;
        one_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    one_ms.sort_by(f64::total_cmp);
    let (p50, p99) = (report::percentile(&one_ms, 0.5), report::percentile(&one_ms, 0.99));
    let database = if options.database_url.is_some() { "PostgreSQL" } else { "SQLite" };
    let program = if options.script { "TypeScript" } else { "identity" };
    report::table(&[
        ["database", "program", "enqueued/s", "drained/s", "one at a time p50 ms", "p99 ms"].map(str::to_owned).to_vec(),
        vec![
            database.to_owned(),
            program.to_owned(),
            format!("{enqueued_per_s:.0}"),
            format!("{drained_per_s:.0}"),
            format!("{p50:.2}"),
            format!("{p99:.2}"),
        ],
    ]);
    report::keep(
        "queue",
        &json!({
            "database": database, "program": program, "runs": options.runs, "enqueued_per_s": enqueued_per_s,
            "drained_per_s": drained_per_s, "one_p50_ms": p50, "one_p99_ms": p99,
        }),
    )
}
