//! mix: the hello bench over many different scripts, round robin.

use serde_json::json;

use crate::{load, load::Load, report, scripts, server::Server};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many scripts.
    #[arg(long, default_value_t = 1000)]
    scripts: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// Leave them in the shared runtime.
    #[arg(long)]
    hosted: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let after = if options.hosted { "4000000000" } else { "5" };
    let server = Server::start(data.path(), &["--log", "warn,sandmill=info", "--snapshot-after-runs", after])?;
    let paths: Vec<String> = (0..options.scripts).map(|number| format!("f/mix/hello{number}")).collect();
    for (number, path) in paths.iter().enumerate() {
        server.deploy(path, &scripts::numbered(number)).await?;
    }
    if options.hosted {
        for path in &paths {
            server.hello(path).await?;
        }
    } else {
        server.warm(&paths).await?;
    }
    let targets: Vec<String> = paths.iter().map(|path| format!("/hooks/default/run/{path}")).collect();
    let url = server.hook(&paths[0]);
    let load = |seconds| Load { url: &url, token: Some(&server.token), connections: 32, seconds, paths: &targets };
    load(2).run()?;
    let figures = load::repeated(&load(options.seconds), options.times)?;
    let tier = if options.hosted { "hosted" } else { "snapshotted" };
    report::table(&[
        ["scripts", "tier", "requests/s", "p50 ms", "p99 ms", "errors", "PSS MiB"].map(str::to_owned).to_vec(),
        vec![
            options.scripts.to_string(),
            tier.to_owned(),
            format!("{:.0}", figures.requests_per_s),
            format!("{:.2}", figures.p50_ms),
            format!("{:.2}", figures.p99_ms),
            figures.errors.to_string(),
            server.memory()?.pss_mib.to_string(),
        ],
    ]);
    report::keep(
        "mix",
        &json!({"scripts": options.scripts, "tier": tier, "requests_per_s": figures.requests_per_s, "p50_ms": figures.p50_ms, "p99_ms": figures.p99_ms, "errors": figures.errors}),
    )
}
