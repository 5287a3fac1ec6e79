//! hostile: what a quiet workspace notices of another that floods the queue, loops, allocates, or spams host calls.

use serde_json::{Value, json};

use crate::{
    database::{Database, Kind},
    load::{self, Figures, Load},
    report, scripts,
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
    /// Connections of whoever is hostile.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Kind,
}

const QUIET: &str = "f/quiet/hello";

/// What somebody does: its name, how runs are started, and the script.
struct Nuisance {
    name: &'static str,
    how: &'static str,
    source: &'static str,
}

const NUISANCES: [Nuisance; 5] = [
    Nuisance { name: "floods the queue", how: "start", source: "export function main() { return 1; }" },
    Nuisance { name: "loops", how: "run", source: "export function main() { for (;;) {} }" },
    Nuisance {
        name: "allocates",
        how: "run",
        source: "export function main() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); }",
    },
    Nuisance {
        name: "spams host calls",
        how: "run",
        source: "import { state } from 'sandmill'; export function main() { for (let n = 0; ; n++) state.set('n', n); }",
    },
    Nuisance { name: "spams its log", how: "run", source: "export function main() { for (let n = 0; ; n++) console.log('line', n); }" },
];

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let database = Database::new(options.database)?;
    drop(Server::start(database.data(), &database.arguments())?);
    // The other workspace; the admin's token is good for both.
    let name = if options.database == Kind::Postgres { "'hostile' || {i}::text" } else { "'hostile' || {i}" };
    let id = database.copied_id();
    database.copy("workspaces", "name = 'default'", (1, 1), &[("id", id), ("name", name)])?;
    let server = Server::start(database.data(), &database.arguments())?;
    server.deploy(QUIET, scripts::HELLO_TS).await?;
    server.warm(&[QUIET.to_owned()]).await?;
    let limits = json!({"limits": {"wall_ms": 2000}});
    for (number, nuisance) in NUISANCES.iter().enumerate() {
        let body = json!({"language": "typescript", "source": nuisance.source, "manifest": limits});
        server.deploy_in("hostile1", &path(number), &body).await?;
    }
    let quiet = Load { url: &server.hook(QUIET), token: Some(&server.token), connections: 1, seconds: options.seconds, paths: &[] };
    let alone = load::repeated(&quiet, options.times)?;
    let mut table = vec![["another workspace", "quiet p50 ms", "p99 ms", "of its p99 alone", "errors"].map(str::to_owned).to_vec()];
    table.push(row("is idle", &alone, &alone));
    let mut figures = vec![figure("is idle", &alone, &alone)];
    for (number, nuisance) in NUISANCES.iter().enumerate() {
        let url = format!("{}/hooks/hostile1/{}/{}", server.url, nuisance.how, path(number));
        let seconds = options.seconds * u32::try_from(options.times)? + 2;
        let hostile = Load { url: &url, token: Some(&server.token), connections: options.connections, seconds, paths: &[] };
        let measured = std::thread::scope(|scope| {
            let hostile = scope.spawn(|| hostile.run());
            let measured = load::repeated(&quiet, options.times);
            // Its own figures do not matter, but that it was there does.
            hostile.join().map_err(|_| anyhow::anyhow!("the load generator ended badly"))?.and(measured)
        })?;
        eprintln!("{}: p99 {:.2} ms, alone {:.2} ms", nuisance.name, measured.p99_ms, alone.p99_ms);
        table.push(row(nuisance.name, &measured, &alone));
        figures.push(figure(nuisance.name, &measured, &alone));
    }
    report::table(&table);
    report::keep("hostile", &json!({"database": database.name(), "connections": options.connections, "rows": figures}))
}

fn path(number: usize) -> String {
    format!("f/hostile/n{number}")
}

fn row(name: &str, measured: &Figures, alone: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.2}", measured.p50_ms),
        format!("{:.2}", measured.p99_ms),
        format!("{:.2}", measured.p99_ms / alone.p99_ms),
        measured.errors.to_string(),
    ]
}

fn figure(name: &str, measured: &Figures, alone: &Figures) -> Value {
    json!({
        "name": name, "p50_ms": measured.p50_ms, "p99_ms": measured.p99_ms, "p99_ratio": measured.p99_ms / alone.p99_ms,
        "requests_per_s": measured.requests_per_s, "errors": measured.errors,
    })
}
