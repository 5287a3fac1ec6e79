//! triggers: events of a stream that was filled before, until all of them are durable runs and acknowledged; and what a route adds to hello.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::Method;
use sandmill_testkit::nats::{Client, Nats};
use serde_json::{Value, json};

use crate::{
    database::{Database, Kind},
    load::{Figures, Load},
    report, scripts,
    server::Server,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Events of the stream.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Bytes of each.
    #[arg(long, default_value_t = 200)]
    payload_bytes: usize,
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Kind,
    /// Rounds of hello and route, one after the other; the median counts.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each measurement of a round.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Only the stream.
    #[arg(long, conflicts_with = "only_route")]
    only_stream: bool,
    /// Only the route.
    #[arg(long)]
    only_route: bool,
}

const PATH: &str = "f/bench/stream";
const STREAM: &str = "BENCH";
const SUBJECT: &str = "bench.events";
const HELLO: &str = "f/bench/hello";
const ROUTE: &str = "/bench/:name";
/// Events that are published before it is looked whether the server has them.
const AT_ONCE: usize = 1_000;
const POLL: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(600);
const CONNECTIONS: u32 = 32;
const WARM_S: u32 = 2;

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    if !options.only_route {
        stream(options).await?;
    }
    if !options.only_stream {
        route(options).await?;
    }
    Ok(())
}

async fn stream(options: &Options) -> anyhow::Result<()> {
    let broker = Nats::start().context("there is no nats-server; it is in Debian's package nats-server")?;
    let mut client = broker.client()?;
    fill(&mut client, options).await?;
    let database = Database::new(options.database)?;
    let mut arguments = database.arguments();
    arguments.extend(["--backlog-max", "10000000", "--outbound-allow", "127.0.0.1/32"].map(str::to_owned));
    let server = Server::start_alone(database.data(), &arguments)?;
    server.deploy_identity(PATH).await?;
    let connection = json!({"servers": [broker.url()]});
    let config = json!({"connection": connection, "jetstream": {"stream": STREAM, "max_ack_pending": 20_000}});
    let began = Instant::now();
    server
        .send(Method::PUT, &format!("/api/w/default/triggers/{PATH}"), &json!({"kind": "nats", "target": PATH, "config": config}))
        .await?;
    let names = loop {
        let names = client.api(&format!("CONSUMER.NAMES.{STREAM}"), &json!({}))?;
        if names["consumers"].as_array().is_some_and(|names| !names.is_empty()) {
            break names;
        }
        ensure!(began.elapsed() < PATIENCE, "nobody listens");
        tokio::time::sleep(POLL).await;
    };
    let consumer = names["consumers"][0].as_str().context("a consumer has a name")?.to_owned();
    let listens = Instant::now();
    until_acknowledged(&mut client, &consumer, options.events).await?;
    let (took, whole) = (listens.elapsed(), began.elapsed());
    while server.is_busy("default").await? {
        ensure!(began.elapsed() < PATIENCE, "the runs do not end");
        tokio::time::sleep(POLL).await;
    }
    let drained = began.elapsed();
    let runs: u64 = database.execute("SELECT count(*) FROM runs")?.parse()?;
    ensure!(runs == options.events, "{runs} runs of {} events", options.events);
    let rate = |took: Duration| per_second(options.events, took);
    report::table(&[
        ["database", "events", "durable runs/s", "with the connection/s", "drained/s"].map(str::to_owned).to_vec(),
        vec![
            database.name().to_owned(),
            options.events.to_string(),
            format!("{:.0}", rate(took)),
            format!("{:.0}", rate(whole)),
            format!("{:.0}", rate(drained)),
        ],
    ]);
    report::keep(
        "triggers",
        &json!({
            "database": database.name(), "events": options.events, "payload_bytes": options.payload_bytes, "durable_per_s": rate(took),
            "drained_per_s": rate(drained),
        }),
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts of events")]
fn per_second(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// A stream on disk, with all events in it.
async fn fill(client: &mut Client, options: &Options) -> anyhow::Result<()> {
    client.make_stream(STREAM, SUBJECT)?;
    let text = "x".repeat(options.payload_bytes);
    for first in (0..options.events).step_by(AT_ONCE) {
        let count = AT_ONCE.min(usize::try_from(options.events - first)?);
        client.publish_many(SUBJECT, count, |n| json!({"n": n, "of": first, "text": text}).to_string().into_bytes())?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let info = client.api(&format!("STREAM.INFO.{STREAM}"), &json!({}))?;
        if info["state"]["messages"] == options.events {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the stream does not fill: {info}");
        tokio::time::sleep(POLL).await;
    }
}

async fn until_acknowledged(client: &mut Client, consumer: &str, events: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let info: Value = client.api(&format!("CONSUMER.INFO.{STREAM}.{consumer}"), &json!({}))?;
        if info["num_pending"] == 0 && info["num_ack_pending"] == 0 && info["ack_floor"]["stream_seq"] == events {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not all is acknowledged: {info}");
        tokio::time::sleep(POLL).await;
    }
}

/// The same script by its webhook and by a route, in turns: a slow minute is both's.
async fn route(options: &Options) -> anyhow::Result<()> {
    let database = Database::new(options.database)?;
    let server = Server::start(database.data(), &database.arguments())?;
    server.deploy(HELLO, scripts::HELLO_TS).await?;
    server.warm(&[HELLO.to_owned()]).await?;
    let body = json!({"kind": "route", "target": HELLO, "config": {"methods": ["POST"], "path": ROUTE}});
    server.send(Method::PUT, &format!("/api/w/default/triggers/{HELLO}"), &body).await?;
    let urls = [server.hook(HELLO), format!("{}/r/default/bench/it", server.url)];
    let mut rounds: [Vec<(Figures, Figures)>; 2] = [Vec::new(), Vec::new()];
    for url in &urls {
        Load { url, token: Some(&server.token), connections: CONNECTIONS, seconds: WARM_S, paths: &[] }.run()?;
    }
    for _ in 0..options.rounds.max(1) {
        for (url, measured) in urls.iter().zip(&mut rounds) {
            let load = |connections| Load { url, token: Some(&server.token), connections, seconds: options.seconds, paths: &[] };
            let figures = (load(CONNECTIONS).run()?, load(1).run()?);
            ensure!(figures.0.errors + figures.1.errors == 0, "{url}: {figures:?}");
            measured.push(figures);
        }
    }
    let median = |of: fn(&(Figures, Figures)) -> f64| rounds.each_ref().map(|measured| report::median(measured.iter().map(of).collect()));
    let [hook_rate, route_rate] = median(|(busy, _)| busy.requests_per_s);
    let [hook_single, route_single] = median(|(_, single)| single.p50_ms);
    // Of each pair, since the machine is not always equally fast.
    let added = rounds[0].iter().zip(&rounds[1]).map(|(hook, route)| (route.1.p50_ms - hook.1.p50_ms) * 1000.0).collect();
    let (added_us, cost_us) = (report::median(added), 1e6 / route_rate - 1e6 / hook_rate);
    report::table(&[
        ["", "requests/s", "one connection p50 ms"].map(str::to_owned).to_vec(),
        vec!["webhook".to_owned(), format!("{hook_rate:.0}"), format!("{hook_single:.4}")],
        vec!["route".to_owned(), format!("{route_rate:.0}"), format!("{route_single:.4}")],
        vec!["a route adds, us".to_owned(), format!("{cost_us:.1} of a core"), format!("{added_us:.1}")],
    ]);
    report::keep("route", &json!({"hook_per_s": hook_rate, "route_per_s": route_rate, "added_us": added_us, "cost_us": cost_us}))
}
