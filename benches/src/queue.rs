//! queue: runs enqueued, then drained by one node; then enqueue to result, one at a time. Also behind a million runs that are parked.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::{
    database::{Database, Kind},
    peers::bullmq,
    report,
    server::Server,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 90_000)]
    runs: usize,
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Kind,
    /// `postgres:…`, empty at first, instead of a server of the bench's own
    #[arg(long, conflicts_with_all = ["database", "parked"])]
    database_url: Option<String>,
    /// Runs that wait for a key before the first is enqueued
    #[arg(long, default_value_t = 0)]
    parked: u64,
    /// A TypeScript script that does nothing, instead of what is built in
    #[arg(long)]
    script: bool,
    /// Measures bullmq before and after, whose figures say how fast the machine is at the moment
    #[arg(long)]
    peer: bool,
}

const PATH: &str = "f/queue/noop";
const PARKED: &str = "f/queue/parked";
const CALLERS: usize = 64;
const CALLS_TO_WARM: usize = 5;
const ONE_AT_A_TIME: usize = 500;
const POLL: Duration = Duration::from_millis(10);

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut peers = Vec::new();
    if options.peer {
        peers.push(bullmq::measure(options.runs, ONE_AT_A_TIME)?);
    }
    let database = Database::new(options.database)?;
    let mut arguments = database.arguments();
    if let Some(url) = &options.database_url {
        arguments.extend(["--database-url".to_owned(), url.clone()]);
    }
    arguments.extend(["--backlog-max".to_owned(), "10000000".to_owned()]);
    prepare(options, &database, &arguments).await?;
    let (enqueued_per_s, drained_per_s) = enqueue_and_drain(&database, &arguments, PATH, options.runs).await?;

    let (p50, p99) = one_at_a_time(&database, &arguments).await?;
    let kind = if options.database_url.is_some() { "PostgreSQL" } else { database.name() };
    let program = if options.script { "TypeScript" } else { "identity" };
    if options.peer {
        peers.push(bullmq::measure(options.runs, ONE_AT_A_TIME)?);
    }
    let mut table = vec![
        ["database", "program", "parked", "enqueued/s", "drained/s", "one at a time p50 ms", "p99 ms"].map(str::to_owned).to_vec(),
        vec![
            kind.to_owned(),
            program.to_owned(),
            options.parked.to_string(),
            format!("{enqueued_per_s:.0}"),
            format!("{drained_per_s:.0}"),
            format!("{p50:.2}"),
            format!("{p99:.2}"),
        ],
    ];
    for (name, peer) in &peers {
        let figures = [format!("{:.0}", peer.enqueued_per_s), format!("{:.0}", peer.drained_per_s)];
        let one = [format!("{:.2}", peer.one_p50_ms), format!("{:.2}", peer.one_p99_ms)];
        table.push([&[name.clone(), String::new(), String::new()], &figures[..], &one[..]].concat());
    }
    report::table(&table);
    let peers_drained_per_s: Vec<f64> = peers.iter().map(|(_, peer)| peer.drained_per_s).collect();
    report::keep(
        "queue",
        &json!({
            "database": kind, "program": program, "runs": options.runs, "parked": options.parked, "enqueued_per_s": enqueued_per_s,
            "drained_per_s": drained_per_s, "one_p50_ms": p50, "one_p99_ms": p99, "bullmq_drained_per_s": peers_drained_per_s,
        }),
    )
}

/// What is measured, deployed and warm; with so many runs parked as were asked for.
async fn prepare(options: &Options, database: &Database, arguments: &[String]) -> anyhow::Result<()> {
    if options.script {
        // As in every day but its first minute: with a program of its own.
        let server = Server::start(database.data(), arguments)?;
        server.deploy(PATH, "export function main() { return 1; }").await?;
        for number in 0..CALLS_TO_WARM {
            server.call_once(PATH, &format!("warm {number}")).await?;
        }
        server.snapshots_made(1).await?;
    }
    let server = Server::start(database.data(), &with_role(arguments, "api"))?;
    if !options.script {
        server.deploy_identity(PATH).await?;
    }
    if options.parked > 0 {
        let manifest = json!({"dispatch": {"concurrency": [{"limit": 1}]}});
        server.deploy_with(PARKED, &json!({"language": "identity", "source": "", "manifest": manifest})).await?;
        for _ in 0..2 {
            server.start_run(PARKED).await?;
        }
    }
    drop(server);
    if options.parked > 0 {
        park(database, options.parked)?;
    }
    Ok(())
}

/// p50 and p99 of runs that one caller starts and waits for, in ms.
async fn one_at_a_time(database: &Database, arguments: &[String]) -> anyhow::Result<(f64, f64)> {
    let server = Server::start(database.data(), arguments)?;
    let mut one_ms = Vec::with_capacity(ONE_AT_A_TIME);
    for number in 0..ONE_AT_A_TIME {
        let began = Instant::now();
        server.call_once(PATH, &number.to_string()).await?;
        one_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    one_ms.sort_by(f64::total_cmp);
    Ok((report::percentile(&one_ms, 0.5), report::percentile(&one_ms, 0.99)))
}

fn with_role(arguments: &[String], role: &str) -> Vec<String> {
    arguments.iter().cloned().chain(["--role".to_owned(), role.to_owned()]).collect()
}

/// Of a script of which one run at a time may execute there is one that has the key and one that waits for it: of that one, copies. The
/// other is then taken away, so that none of them ever executes.
fn park(database: &Database, count: u64) -> anyhow::Result<()> {
    let one = "id = (SELECT id FROM queue WHERE state = 2)";
    database.copy("queue_inputs", one, (2, count), &[("id", database.copied_id())])?;
    // The row that is copied is the only one that is parked until they are there.
    database.copy("queue", one, (2, count), &[("id", database.copied_id())])?;
    database.execute("DELETE FROM queue_inputs WHERE id IN (SELECT id FROM queue WHERE state <> 2)")?;
    database.execute("DELETE FROM queue WHERE state <> 2")?;
    let parked = database.count("queue WHERE state = 2")?;
    anyhow::ensure!(parked == count, "{parked} runs are parked");
    eprintln!("{parked} runs are parked");
    Ok(())
}

/// Enqueues runs on a node that executes none, then lets another drain them. Returns runs per second of both.
pub(crate) async fn enqueue_and_drain(database: &Database, arguments: &[String], path: &str, runs: usize) -> anyhow::Result<(f64, f64)> {
    let server = Server::start(database.data(), &with_role(arguments, "api"))?;
    let began = Instant::now();
    let calls = futures_util::stream::iter(0..runs).map(|_| server.start_run(path)).buffer_unordered(CALLERS);
    calls.try_for_each(async |()| Ok(())).await?;
    let enqueued_per_s = runs as f64 / began.elapsed().as_secs_f64();
    drop(server);

    // Nobody sends anything any more: the server shares the machine with its database only.
    let server = Server::start_alone(database.data(), arguments)?;
    let began = Instant::now();
    while server.is_busy("default").await? {
        tokio::time::sleep(POLL).await;
    }
    Ok((enqueued_per_s, runs as f64 / began.elapsed().as_secs_f64()))
}
