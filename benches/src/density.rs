//! density: memory and disk with many deployed scripts idle, and with many runs asleep in a host call.

use std::path::Path;

use serde_json::json;

use crate::{report, scripts, server::Server};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 10_000)]
    scripts: usize,
    #[arg(long, default_value_t = 1_000)]
    asleep: usize,
}

const SLEEPER: &str = "export async function main() { await new Promise((r) => setTimeout(r, 30000)); }";

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let arguments = ["--log", "warn,sandmill=info", "--slots", "2000"];
    let server = Server::start(data.path(), &arguments)?;
    let before_bytes = disk_bytes(data.path())?;
    let mut source_bytes = 0;
    for number in 0..options.scripts {
        let source = scripts::numbered(number);
        source_bytes += source.len() as u64;
        server.deploy(&format!("f/density/hello{number}"), &source).await?;
    }
    let per_script = (disk_bytes(data.path())? - before_bytes).saturating_sub(source_bytes) / options.scripts as u64;
    drop(server);
    let server = Server::start(data.path(), &arguments)?;
    server.hello("f/density/hello0").await?;
    let idle = server.memory()?;
    server.deploy("f/density/sleeper", SLEEPER).await?;
    for _ in 0..options.asleep {
        server.start_run("f/density/sleeper").await?;
    }
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let asleep = server.memory()?;
    report::table(&[
        ["", ""].map(str::to_owned).to_vec(),
        vec![format!("RSS, {} scripts idle", options.scripts), format!("{} MiB", idle.rss_mib)],
        vec!["disk a script beyond its source".to_owned(), format!("{per_script} bytes")],
        vec![format!("PSS, {} runs asleep", options.asleep), format!("{} MiB", asleep.pss_mib)],
        vec![
            format!("RSS, {} runs asleep (a page that they share counts once for each)", options.asleep),
            format!("{} MiB", asleep.rss_mib),
        ],
    ]);
    report::keep(
        "density",
        &json!({
            "scripts": options.scripts, "idle_mib": idle.rss_mib, "disk_bytes_a_script": per_script,
            "asleep": options.asleep, "asleep_mib": asleep.rss_mib, "asleep_pss_mib": asleep.pss_mib,
        }),
    )
}

fn disk_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
