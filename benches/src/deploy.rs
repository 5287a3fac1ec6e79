//! deploy: a new TypeScript script from push to first result; an edited one likewise.

use std::time::Instant;

use serde_json::json;

use crate::{report, scripts, server::Server};

const TIMES: usize = 21;

pub(crate) async fn run() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let server = Server::start(data.path(), &["--log", "warn,sandmill=info"])?;
    let began = Instant::now();
    server.deploy("f/deploy/first", scripts::HELLO_TS).await?;
    server.hello("f/deploy/first").await?;
    let first = began.elapsed().as_secs_f64() * 1e3;
    let mut table = vec![["", "p50 ms", "max ms"].map(str::to_owned).to_vec()];
    table.push(vec!["first script of a fresh server".to_owned(), format!("{first:.1}"), format!("{first:.1}")]);
    let mut figures = json!({"first_ms": first});
    for (name, kibibytes) in [("small", 0), ("5 KiB", 5), ("100 KiB", 100)] {
        let mut times = Vec::new();
        for number in 0..TIMES {
            let source = format!("{}// edit {number}\n", scripts::of_size(kibibytes));
            let began = Instant::now();
            server.deploy("f/deploy/edited", &source).await?;
            server.hello("f/deploy/edited").await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let (p50, max) = (report::percentile(&times, 0.5), report::percentile(&times, 1.0));
        table.push(vec![format!("edited source, {name}"), format!("{p50:.1}"), format!("{max:.1}")]);
        figures[name] = json!({"p50_ms": p50, "max_ms": max});
    }
    report::table(&table);
    report::keep("deploy", &figures)
}
