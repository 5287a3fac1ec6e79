//! The measurements of docs/performance.md. Each prints a table and appends one line to `benches/results.jsonl`.

mod capabilities;
mod database;
mod density;
mod deploy;
mod growth;
mod hello;
mod hostile;
mod inst;
mod load;
mod meter;
mod mix;
mod peers;
mod queue;
mod recover;
mod report;
mod scripts;
mod server;
mod start;
mod triggers;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Requests per second and latency of a synchronous webhook, a fresh sandbox for each, beside peers.
    Hello(hello::Options),
    /// Instantiate, call and drop in process, per language and tier.
    Inst,
    /// What a script's calls to the host take: state, and HTTP requests.
    Capabilities(capabilities::Options),
    /// The hello bench over many different scripts, round robin.
    Mix(mix::Options),
    /// A new script: push to first result; an edited one likewise.
    Deploy,
    /// Process start to ready with many deployed scripts; first run of a script that is not in memory.
    Start(start::Options),
    /// Memory and disk with many deployed scripts idle, and with many runs asleep.
    Density(density::Options),
    /// Runs without a program enqueued, then drained by one node; then one at a time, durable.
    Queue(queue::Options),
    /// Runs per second and lists of runs, with ever longer histories.
    Growth(growth::Options),
    /// A quiet workspace beside one that floods, loops, allocates, spams, pushes broken components or opens connections.
    Hostile(hostile::Options),
    /// What `hostile` does beside the load generator (internal).
    #[command(hide = true)]
    Nuisance(hostile::nuisance::Options),
    /// Events of a stream until they are durable runs; what a route adds to hello.
    Triggers(triggers::Options),
    /// Deaths of nodes with a thousand runs in flight, and of PostgreSQL.
    Recover(recover::Options),
    /// What metering costs: bare, with fuel.
    Meter,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Hello(options) => hello::run(&options).await,
        Bench::Inst => inst::run().await,
        Bench::Capabilities(options) => capabilities::run(&options).await,
        Bench::Mix(options) => mix::run(&options).await,
        Bench::Deploy => deploy::run().await,
        Bench::Start(options) => start::run(&options).await,
        Bench::Density(options) => density::run(&options).await,
        Bench::Queue(options) => queue::run(&options).await,
        Bench::Growth(options) => growth::run(&options).await,
        Bench::Hostile(options) => hostile::run(&options).await,
        Bench::Nuisance(options) => hostile::nuisance::run(&options).await,
        Bench::Triggers(options) => triggers::run(&options).await,
        Bench::Recover(options) => recover::run(&options).await,
        Bench::Meter => meter::run().await,
    }
}
