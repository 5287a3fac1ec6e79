//! recover: a node dies with many runs in flight, again and again; then PostgreSQL does. What was acknowledged is there at the end, and work
//! goes on soon.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::{
    database::{Database, Kind},
    report,
    server::Server,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often a node dies, and PostgreSQL after it
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// Runs in flight each time
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// How long each takes, in milliseconds
    #[arg(long, default_value_t = 8000)]
    run_ms: u64,
}

const PATH: &str = "f/recover/sleeper";
const SOURCE: &str = "export async function main(ms: number) { await new Promise((r) => setTimeout(r, ms)); return ms; }";
const TOKEN: &str = "sm_a_token_of_the_bench_alone";
const CALLERS: usize = 32;
const POLL: Duration = Duration::from_millis(20);
/// How long the second node shows signs of life before the first dies.
const SETTLED: Duration = Duration::from_secs(4);
/// How long everything may take to end after a death.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// What is promised and what was measured.
#[derive(Default)]
struct Tally {
    acknowledged: HashSet<String>,
    /// From each death until work went on, in seconds.
    pauses_s: Vec<f64>,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut table = vec![
        ["killed", "times", "acknowledged", "lost", "in history twice", "tried again", "work goes on: p50 s", "max s"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut figures = Vec::new();
    for (who, is_database) in [("a node", false), ("PostgreSQL", true)] {
        let database = Database::new(Kind::Postgres)?;
        let tally = if is_database { kill_databases(options, &database).await? } else { kill_nodes(options, &database).await? };
        let ended = database.execute("SELECT replace(id::text, '\\x', '') FROM runs")?;
        let ended: Vec<&str> = ended.lines().collect();
        let distinct: HashSet<&str> = ended.iter().copied().collect();
        let lost = tally.acknowledged.iter().filter(|id| !distinct.contains(id.replace('-', "").as_str())).count();
        let twice = ended.len() - distinct.len() + usize::try_from(database.count("queue")?)?;
        let again = database.count("runs WHERE attempt > 1")?;
        let mut pauses = tally.pauses_s;
        pauses.sort_by(f64::total_cmp);
        let (p50, max) = (report::percentile(&pauses, 0.5), report::percentile(&pauses, 1.0));
        let acknowledged = tally.acknowledged.len();
        table.push(
            [who.to_owned(), options.kills.to_string(), acknowledged.to_string(), lost.to_string(), twice.to_string(), again.to_string()]
                .into_iter()
                .chain([format!("{p50:.2}"), format!("{max:.2}")])
                .collect(),
        );
        figures.push(json!({
            "killed": who, "kills": options.kills, "runs_in_flight": options.runs, "acknowledged": acknowledged, "lost": lost,
            "twice_in_history": twice, "tried_again": again, "work_goes_on_p50_s": p50, "work_goes_on_max_s": max,
        }));
    }
    report::table(&table);
    report::keep("recover", &json!(figures))
}

fn node(options: &Options, database: &Database, folder: &tempfile::TempDir) -> anyhow::Result<Server> {
    let mut arguments = database.arguments();
    // A quarter of the slots is for runs that somebody waits for.
    let slots = (options.runs * 2).to_string();
    arguments.extend(["--admin-token", TOKEN, "--slots", &slots].map(str::to_owned));
    Server::start(folder.path(), &arguments)
}

/// Starts runs with a key each; where no answer comes, asks again. Returns their ids.
async fn start(options: &Options, server: &Server, round: usize) -> anyhow::Result<Vec<String>> {
    let numbers = futures_util::stream::iter(0..options.runs);
    let starts = numbers.map(|number| async move {
        let deadline = Instant::now() + DRAIN_LIMIT;
        loop {
            match server.start_once(PATH, &json!({"ms": options.run_ms}), &format!("{round}-{number}")).await {
                Ok(id) => return Ok(id),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    });
    starts.buffer_unordered(CALLERS).try_collect().await
}

async fn until(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + DRAIN_LIMIT;
    while !holds()? {
        anyhow::ensure!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn kill_nodes(options: &Options, database: &Database) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    // Its first start compiles the language runtime, which takes longer than a run.
    node(options, database, &folders[1])?.kill()?;
    let mut alive = node(options, database, &folders[0])?;
    alive.deploy(PATH, SOURCE).await?;
    for round in 0..options.kills {
        tally.acknowledged.extend(start(options, &alive, round).await?);
        until("all are in flight", || Ok(database.count("queue WHERE state = 3")? == options.runs as u64)).await?;
        // Of the two folders the one that the other node does not use.
        let next = node(options, database, &folders[(round + 1) % 2])?;
        tokio::time::sleep(SETTLED).await;
        let in_flight = database.count("queue WHERE state = 3")?;
        anyhow::ensure!(in_flight == options.runs as u64, "only {in_flight} runs are still in flight: give a longer --run-ms");
        let died = Instant::now();
        alive.kill()?;
        until("another node goes on", || Ok(database.count("queue WHERE state = 3 AND attempt = 2")? > 0)).await?;
        tally.pauses_s.push(died.elapsed().as_secs_f64());
        until("all have ended", || Ok(database.count("queue")? == 0)).await?;
        eprintln!("death {} of a node: work went on after {:.2} s", round + 1, tally.pauses_s[round]);
        alive = next;
    }
    Ok(tally)
}

async fn kill_databases(options: &Options, database: &Database) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let nodes = [node(options, database, &folders[0])?, node(options, database, &folders[1])?];
    nodes[0].deploy(PATH, SOURCE).await?;
    let postgres = database.postgres()?;
    for round in 0..options.kills {
        // It dies while the last of them are being accepted, and the first executed.
        let strike = async {
            until("some are in flight", || Ok(database.count("queue WHERE state = 3")? >= options.runs as u64 / 2)).await?;
            let died = Instant::now();
            postgres.kill()?;
            postgres.restart()?;
            let mut probe = 0;
            while nodes[probe % 2].start_once(PATH, &json!({"ms": 0}), &format!("probe {round}")).await.is_err() {
                probe += 1;
                tokio::time::sleep(POLL).await;
            }
            anyhow::Ok(died.elapsed().as_secs_f64())
        };
        let (started, pause) = tokio::join!(start(options, &nodes[round % 2], round), strike);
        tally.acknowledged.extend(started?);
        tally.pauses_s.push(pause?);
        until("all have ended", || Ok(database.count("queue")? == 0)).await?;
        eprintln!("death {} of PostgreSQL: a run was accepted again after {:.2} s", round + 1, tally.pauses_s[round]);
    }
    Ok(tally)
}
