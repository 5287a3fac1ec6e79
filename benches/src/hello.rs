//! hello: a synchronous webhook with token and run record, a fresh sandbox for each request, beside peers in the same run, and
//! what authentication and quotas cost.

mod limits;

use serde_json::json;

use crate::{
    database::{Database, Kind},
    load,
    load::{Figures, Load},
    peers, report, scripts,
    server::Server,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Measurements of each, of which the median counts.
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// Only our own rows.
    #[arg(long)]
    no_peers: bool,
    /// Only what limits cost.
    #[arg(long)]
    only_limits: bool,
    /// Prints what limits cost as a line of JSON, too.
    #[arg(long)]
    json: bool,
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Kind,
}

struct Row {
    name: String,
    busy: Figures,
    single: Figures,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    if !options.only_limits {
        beside_peers(options).await?;
    }
    limits::run(options).await
}

async fn beside_peers(options: &Options) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    if !options.no_peers {
        for peer in [
            peers::axum(peers::Core::First).await?,
            peers::node().await?,
            peers::workerd().await?,
            peers::wasmtime(false).await?,
            peers::wasmtime(true).await?,
        ] {
            // One at a time on their core: the others are stopped while one is measured.
            rows.push(measure(options, &peer.name, &peer.url, None)?);
        }
    }
    let database = Database::new(options.database)?;
    let on = if options.database == Kind::Postgres { "Sandmill on PostgreSQL" } else { "Sandmill" };
    let server = Server::start(database.data(), &database.arguments())?;
    server.deploy("f/bench/hello", scripts::HELLO_TS).await?;
    server.warm(&["f/bench/hello".to_owned()]).await?;
    rows.push(measure(options, &format!("{on}, TypeScript, snapshotted"), &server.hook("f/bench/hello"), Some(&server.token))?);
    let component = std::fs::read(sandmill_testkit::guests::guest("hello"))?;
    server.deploy_component("f/bench/rust", component).await?;
    server.hello("f/bench/rust").await?;
    rows.push(measure(options, &format!("{on}, Rust component"), &server.hook("f/bench/rust"), Some(&server.token))?);
    drop(server);

    let database = Database::new(options.database)?;
    let mut arguments = database.arguments();
    arguments.extend(["--snapshot-after-runs", "4000000000"].map(str::to_owned));
    let server = Server::start(database.data(), &arguments)?;
    server.deploy("f/bench/hello", scripts::HELLO_TS).await?;
    server.hello("f/bench/hello").await?;
    rows.push(measure(options, &format!("{on}, TypeScript, hosted"), &server.hook("f/bench/hello"), Some(&server.token))?);
    drop(server);

    print(&rows);
    let figures: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({"name": row.name, "requests_per_s": row.busy.requests_per_s, "p50_ms": row.busy.p50_ms, "p99_ms": row.busy.p99_ms, "single_p50_ms": row.single.p50_ms, "errors": row.busy.errors + row.single.errors})
        })
        .collect();
    report::keep("hello", &json!(figures))
}

fn measure(options: &Options, name: &str, url: &str, token: Option<&str>) -> anyhow::Result<Row> {
    let load = |connections, seconds| Load { url, token, connections, seconds, paths: &[] };
    load(32, 2).run()?;
    let busy = load::repeated(&load(32, options.seconds), options.times)?;
    let single = load::repeated(&load(1, options.seconds.div_ceil(3)), options.times)?;
    eprintln!("{name}: {:.0}/s", busy.requests_per_s);
    Ok(Row { name: name.to_owned(), busy, single })
}

fn print(rows: &[Row]) {
    let mut table = vec![["", "requests/s", "p50 ms", "p99 ms", "one connection p50 ms", "errors"].map(str::to_owned).to_vec()];
    for row in rows {
        table.push(vec![
            row.name.clone(),
            format!("{:.0}", row.busy.requests_per_s),
            format!("{:.2}", row.busy.p50_ms),
            format!("{:.2}", row.busy.p99_ms),
            format!("{:.3}", row.single.p50_ms),
            (row.busy.errors + row.single.errors).to_string(),
        ]);
    }
    report::table(&table);
}
