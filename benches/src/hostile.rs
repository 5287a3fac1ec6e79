//! hostile: what a quiet workspace notices of another that floods the queue, loops, allocates, spams host calls, pushes broken components,
//! or opens connections.
//!
//! Two cores are noisy, and a p99 most of all: the server has one core and both load generators the other, whoever is hostile behind the
//! one that is measured; the quiet workspace is measured alone and beside the other in turns; what counts is the median of the ratios of
//! such pairs. The first row is of nobody who disturbs: what it differs from 1 is the noise of all others.

pub(crate) mod nuisance;

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use self::nuisance::What;
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
    /// Pairs of measurements, alone and beside the other, of which the median counts; 5 at least.
    #[arg(long, default_value_t = 7)]
    times: usize,
    /// Connections of whoever is hostile.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Kind,
    /// Only those whose name contains this, e.g. `flood`
    #[arg(long, default_value = "")]
    only: String,
}

/// The workspace that is hostile.
const HOSTILE: &str = "hostile1";
const POLL: Duration = Duration::from_millis(100);
/// Of each hostile run. One whose caller is gone goes on until then.
const WALL: Duration = Duration::from_secs(2);
const QUIET: &str = "f/quiet/hello";
/// The median of fewer pairs says nothing.
const PAIRS_MIN: usize = 5;
/// Fewer requests in one measurement have no p99.
const REQUESTS_MIN: u64 = 1_000;
/// All come from one address: what bounds one address is not what is measured here, and would stop the quiet workspace, too.
const FROM_ONE_ADDRESS: [&str; 6] =
    ["--connections-per-address-max", "1000000", "--requests-per-s-max", "0", "--endpoint-requests-per-s-max", "0"];

const COLUMNS: [&str; 9] =
    ["another workspace", "quiet alone p50 ms", "p99 ms", "beside it p50 ms", "p99 ms", "of its p99 alone", "lowest", "highest", "errors"];

/// What somebody does, and its name.
struct Nuisance {
    name: &'static str,
    act: Act,
}

#[derive(Clone, Copy)]
enum Act {
    /// Nothing.
    Rests,
    /// Starts runs of a script: how, and its source.
    Starts(&'static str, &'static str),
    /// Something else.
    Does(What),
}

const NUISANCES: [Nuisance; 8] = [
    Nuisance { name: "rests", act: Act::Rests },
    Nuisance { name: "floods the queue", act: Act::Starts("start", "export function main() { return 1; }") },
    Nuisance { name: "loops", act: Act::Starts("run", "export function main() { for (;;) {} }") },
    Nuisance {
        name: "allocates",
        act: Act::Starts("run", "export function main() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); }"),
    },
    Nuisance {
        name: "spams host calls",
        act: Act::Starts("run", "import { state } from 'sandmill'; export function main() { for (let n = 0; ; n++) state.set('n', n); }"),
    },
    Nuisance {
        name: "spams its log",
        act: Act::Starts("run", "export function main() { for (let n = 0; ; n++) console.log('line', n); }"),
    },
    Nuisance { name: "pushes broken components", act: Act::Does(What::Pushes) },
    Nuisance { name: "opens connections", act: Act::Does(What::Connections) },
];

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    // Built before anything is measured.
    let _ = sandmill_testkit::guests::guest("hello");
    let database = Database::new(options.database)?;
    drop(Server::start(database.data(), &database.arguments())?);
    // The other workspace; the admin's token is good for both.
    let name = if options.database == Kind::Postgres { "'hostile' || {i}::text" } else { "'hostile' || {i}" };
    let id = database.copied_id();
    database.copy("workspaces", "name = 'default'", (1, 1), &[("id", id), ("name", name)])?;
    let mut arguments = database.arguments();
    arguments.extend(FROM_ONE_ADDRESS.map(str::to_owned));
    let server = Server::start(database.data(), &arguments)?;
    server.deploy(QUIET, scripts::HELLO_TS).await?;
    server.warm(&[QUIET.to_owned()]).await?;
    let limits = json!({"limits": {"wall_ms": WALL.as_millis()}});
    for (number, nuisance) in NUISANCES.iter().enumerate() {
        if let Act::Starts(_, source) = nuisance.act {
            let body = json!({"language": "typescript", "source": source, "manifest": limits});
            server.deploy_in(HOSTILE, &path(number), &body).await?;
        }
    }
    let quiet = Load { url: &server.hook(QUIET), token: Some(&server.token), connections: 1, seconds: options.seconds, paths: &[] };
    let (mut table, mut figures) = (vec![COLUMNS.map(str::to_owned).to_vec()], Vec::new());
    for (number, nuisance) in NUISANCES.iter().enumerate().filter(|(_, nuisance)| nuisance.name.contains(&options.only)) {
        let hostile = || act(&server, options, nuisance.act, number);
        let measured = in_turns(&server, &quiet, &hostile, options.times.max(PAIRS_MIN)).await?;
        let ratio = measured.ratio;
        eprintln!("{}: p99 {:.2} ms, alone {:.2} ms: {:.2}", nuisance.name, measured.beside.p99_ms, measured.alone.p99_ms, ratio.median);
        table.push(row(nuisance.name, &measured));
        figures.push(figure(nuisance.name, &measured));
    }
    report::table(&table);
    report::keep("hostile", &json!({"database": database.name(), "connections": options.connections, "rows": figures}))
}

/// Does what a nuisance does, for a little longer than the quiet one is measured.
fn act(server: &Server, options: &Options, act: Act, number: usize) -> anyhow::Result<()> {
    let (connections, seconds) = (options.connections, options.seconds + 2);
    match act {
        Act::Rests => Ok(()),
        Act::Starts(how, _) => {
            let url = format!("{}/hooks/{HOSTILE}/{how}/{}", server.url, path(number));
            // Its own figures do not matter, but that it was there does.
            Load { url: &url, token: Some(&server.token), connections, seconds, paths: &[] }.run_meekly().map(drop)
        }
        Act::Does(what) => {
            let component = sandmill_testkit::guests::guest("hello");
            let component = component.to_str().context("the path of the component")?;
            let (at_once, seconds) = (connections.to_string(), seconds.to_string());
            what.process(&[
                ("--url", server.url.as_str()),
                ("--token", server.token.as_str()),
                ("--workspace", HOSTILE),
                ("--component", component),
                ("--at-once", at_once.as_str()),
                ("--seconds", seconds.as_str()),
            ])
        }
    }
}

struct Measured {
    alone: Figures,
    beside: Figures,
    ratio: Ratio,
    pairs: usize,
}

/// The p99 beside the hostile one by that alone, of all pairs.
#[derive(Clone, Copy)]
struct Ratio {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Ratio {
    fn of(alone: &[Figures], beside: &[Figures]) -> Self {
        let ratios: Vec<f64> = alone.iter().zip(beside).map(|(alone, beside)| beside.p99_ms / alone.p99_ms).collect();
        let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = ratios.iter().copied().fold(0.0, f64::max);
        Self { median: report::median(ratios), lowest, highest }
    }
}

/// The quiet one alone and beside the hostile one, so many times, every second time the other way round: the machine has slow minutes,
/// which both shall have.
async fn in_turns<H>(server: &Server, quiet: &Load<'_>, hostile: &H, pairs: usize) -> anyhow::Result<Measured>
where
    H: Fn() -> anyhow::Result<()> + Sync,
{
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // Not measured: what it starts is compiled on its own meanwhile.
    both(quiet, hostile)?;
    for pair in 0..pairs {
        let alone_first = pair.is_multiple_of(2);
        for is_alone in [alone_first, !alone_first] {
            is_at_rest(server).await?;
            if is_alone {
                alone.push(quiet.run()?);
            } else {
                beside.push(both(quiet, hostile)?);
            }
        }
    }
    if let Some(few) = alone.iter().chain(&beside).find(|measured| measured.requests < REQUESTS_MIN) {
        eprintln!("{} requests in one measurement have no p99: give it more seconds", few.requests);
    }
    let ratio = Ratio::of(&alone, &beside);
    Ok(Measured { alone: load::medians(&alone), beside: load::medians(&beside), ratio, pairs })
}

/// Waits until nothing is left of what the hostile one has started.
async fn is_at_rest(server: &Server) -> anyhow::Result<()> {
    tokio::time::sleep(WALL + POLL).await;
    while server.is_busy(HOSTILE).await? {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn both<H>(quiet: &Load<'_>, hostile: &H) -> anyhow::Result<Figures>
where
    H: Fn() -> anyhow::Result<()> + Sync,
{
    std::thread::scope(|scope| {
        let hostile = scope.spawn(hostile);
        let measured = quiet.run();
        hostile.join().map_err(|_| anyhow::anyhow!("the load generator ended badly"))?.and(measured)
    })
}

fn path(number: usize) -> String {
    format!("f/hostile/n{number}")
}

fn row(name: &str, Measured { alone, beside, ratio, .. }: &Measured) -> Vec<String> {
    let figures = [alone.p50_ms, alone.p99_ms, beside.p50_ms, beside.p99_ms, ratio.median, ratio.lowest, ratio.highest];
    [&[name.to_owned()], &figures.map(|figure| format!("{figure:.2}"))[..], &[beside.errors.to_string()]].concat()
}

fn figure(name: &str, Measured { alone, beside, ratio, pairs }: &Measured) -> Value {
    json!({
        "name": name, "pairs": pairs, "alone_p50_ms": alone.p50_ms, "alone_p99_ms": alone.p99_ms, "p50_ms": beside.p50_ms,
        "p99_ms": beside.p99_ms, "p99_ratio": ratio.median, "p99_ratio_lowest": ratio.lowest, "p99_ratio_highest": ratio.highest,
        "requests_per_s": beside.requests_per_s, "requests": beside.requests, "errors": beside.errors,
    })
}
