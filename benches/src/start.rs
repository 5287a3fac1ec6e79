//! start: process start to ready with many deployed scripts; first run of a script that is not in memory.

use std::time::Instant;

use serde_json::json;

use crate::{report, scripts, server::Server};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1000)]
    scripts: usize,
}

const STARTS: usize = 5;
const FIRST_RUNS: usize = 50;

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let quiet = ["--log", "warn,sandmill=info"];
    let server = Server::start(data.path(), &quiet)?;
    for number in 0..options.scripts {
        server.deploy(&format!("f/start/hello{number}"), &scripts::numbered(number)).await?;
    }
    // One that has a program of its own, to see it mapped from disk.
    server.warm(&["f/start/hello0".to_owned()]).await?;
    drop(server);
    let mut starts = Vec::new();
    let mut own = Vec::new();
    let mut hosted = Vec::new();
    for _ in 0..STARTS {
        let server = Server::start(data.path(), &quiet)?;
        starts.push(server.started_in.as_secs_f64() * 1e3);
        let timed = async |number: usize| {
            let began = Instant::now();
            server.hello(&format!("f/start/hello{number}")).await.map(|()| began.elapsed().as_secs_f64() * 1e3)
        };
        // The first call of all also opens the connection and wakes the store.
        timed(1).await?;
        own.push(timed(0).await?);
        for number in 2..2 + FIRST_RUNS.min(options.scripts.saturating_sub(2)) {
            hosted.push(timed(number).await?);
        }
    }
    hosted.sort_by(f64::total_cmp);
    let (start, own) = (report::median(starts), report::median(own));
    let (p50, p99) = (report::percentile(&hosted, 0.5), report::percentile(&hosted, 0.99));
    report::table(&[
        ["", "ms"].map(str::to_owned).to_vec(),
        vec![format!("process start to ready, {} scripts", options.scripts), format!("{start:.0}")],
        vec!["first run, program of its own from disk".to_owned(), format!("{own:.2}")],
        vec!["first run, shared runtime, p50".to_owned(), format!("{p50:.2}")],
        vec!["first run, shared runtime, p99".to_owned(), format!("{p99:.2}")],
    ]);
    report::keep(
        "start",
        &json!({"scripts": options.scripts, "start_ms": start, "first_own_ms": own, "first_hosted_p50_ms": p50, "first_hosted_p99_ms": p99}),
    )
}
