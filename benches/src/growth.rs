//! growth: what a long history costs. Runs per second, and pages of the list of runs, with ever more finished runs.

use std::time::Instant;

use serde_json::json;

use crate::{
    database::{Database, Kind},
    queue, report,
    server::Server,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Finished runs in the history, smallest first
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000, 5_000_000])]
    finished: Vec<u64>,
    /// Runs that are enqueued and drained at each size
    #[arg(long, default_value_t = 30_000)]
    runs: usize,
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Kind,
    /// Pages of each list that are read at each size
    #[arg(long, default_value_t = 300)]
    pages: usize,
}

const PATH: &str = "f/growth/noop";
/// One in so many of the copies has failed: more than a page of them at every size.
const FAILED_EVERY: u64 = 50;
/// What is asked of the list of runs, and what it is called in the table.
const LISTS: [(&str, &str); 4] =
    [("newest", ""), ("of a script", "&path=f/growth/noop"), ("failed", "&status=failed"), ("page after page", "&cursor=")];

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let database = Database::new(options.database)?;
    let mut filled = prepare(&database).await?;
    let mut table = vec![["database", "finished runs", "drained/s", "ratio"].map(str::to_owned).to_vec()];
    table[0].extend(LISTS.map(|(name, _)| format!("list {name}: p50, p99 ms")));
    let mut figures = Vec::new();
    let mut first = None;
    for finished in &options.finished {
        let began = Instant::now();
        if *finished > filled {
            fill(&database, filled + 1, *finished)?;
            filled = *finished;
        }
        eprintln!("{finished} finished runs after {:.0} s", began.elapsed().as_secs_f64());
        let arguments = database.arguments();
        let (_, drained_per_s) = queue::enqueue_and_drain(&database, &arguments, PATH, options.runs).await?;
        let ratio = *first.get_or_insert(drained_per_s) / drained_per_s;
        let mut row = vec![database.name().to_owned(), finished.to_string(), format!("{drained_per_s:.0}"), format!("{ratio:.2}")];
        let mut lists = serde_json::Map::new();
        let server = Server::start(database.data(), &arguments)?;
        for (name, query) in LISTS {
            let (p50, p99) = pages(&server, query, options.pages).await?;
            row.push(format!("{p50:.2}, {p99:.2}"));
            lists.insert(name.to_owned(), json!({"p50_ms": p50, "p99_ms": p99}));
        }
        table.push(row);
        figures.push(json!({"finished": finished, "drained_per_s": drained_per_s, "slower_by": ratio, "lists": lists}));
    }
    report::table(&table);
    report::keep("growth", &json!({"database": database.name(), "runs": options.runs, "sizes": figures}))
}

/// One finished run, of which the others are copies.
async fn prepare(database: &Database) -> anyhow::Result<u64> {
    let server = Server::start(database.data(), &database.arguments())?;
    server.deploy_identity(PATH).await?;
    server.call_once(PATH, "the first").await?;
    Ok(1)
}

fn fill(database: &Database, from: u64, to: u64) -> anyhow::Result<()> {
    /// At once, so that the database's own log stays small.
    const STEP: u64 = 500_000;
    let one = database.execute("SELECT min(created_at) FROM runs")?;
    let status = format!("CASE WHEN {{i}} % {FAILED_EVERY} = 0 THEN 6 ELSE 5 END");
    let outcome = format!("CASE WHEN {{i}} % {FAILED_EVERY} = 0 THEN 2 ELSE 0 END");
    let mut next = from;
    while next <= to {
        let until = to.min(next + STEP - 1);
        let altered = [("id", database.copied_id()), ("status", &*status), ("outcome", &*outcome)];
        database.copy("runs", &format!("created_at = {one}"), (next, until), &altered)?;
        next = until + 1;
    }
    Ok(())
}

/// Reads pages: the first again and again, or one after the other where the query ends with an open cursor.
async fn pages(server: &Server, query: &str, count: usize) -> anyhow::Result<(f64, f64)> {
    let (query, follows) = query.strip_suffix("&cursor=").map_or((query, false), |query| (query, true));
    let mut cursor = String::new();
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let page = server.get(&format!("/api/w/default/runs?limit=50{query}{cursor}")).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        cursor = page["next"].as_str().filter(|_| follows).map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    times.sort_by(f64::total_cmp);
    Ok((report::percentile(&times, 0.5), report::percentile(&times, 0.99)))
}
