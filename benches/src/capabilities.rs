//! capabilities: what a script's calls to the host take, as the script sees it: state on SQLite, and requests through the allow-list to a local
//! server on the other core.

use serde_json::{Value, json};

use crate::{peers, report, scripts, server::Server};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pairs of get and set of state
    #[arg(long, default_value_t = 5_000)]
    pairs: u32,
    /// Requests, in each of the measurements
    #[arg(long, default_value_t = 6_000)]
    requests: u32,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    times: usize,
}

const STATE_PATH: &str = "f/capabilities/state";
const STATE: &str = "import { state } from 'sandmill';
export function main(pairs: number) {
  const took: number[] = [];
  for (let n = 0; n < pairs; n++) {
    const began = performance.now();
    state.get('counter');
    state.set('counter', n);
    took.push((performance.now() - began) * 1000);
  }
  took.sort((a, b) => a - b);
  return { p50_us: took[pairs >> 1], p99_us: took[Math.floor(pairs * 0.99)] };
}
";

const FETCH_PATH: &str = "f/capabilities/fetch";
const FETCH: &str = "export async function main(url: string, body: string, requests: number, at_once: number) {
  const headers = { 'content-type': 'application/json' };
  const took: number[] = [];
  let left = requests;
  async function worker() {
    while (left-- > 0) {
      const began = performance.now();
      const answer = await fetch(url, { method: 'POST', headers, body });
      const { hello } = await answer.json();
      if (answer.status !== 200 || hello !== 'bob') throw new Error(`${answer.status} ${hello}`);
      took.push(performance.now() - began);
    }
  }
  const began = performance.now();
  await Promise.all(Array.from({ length: at_once }, worker));
  const seconds = (performance.now() - began) / 1000;
  took.sort((a, b) => a - b);
  return { requests_per_s: took.length / seconds, p50_ms: took[took.length >> 1], p99_ms: took[Math.floor(took.length * 0.99)] };
}
";
/// Of one script: so many requests are under way together.
const AT_ONCE: [u32; 3] = [1, 32, 200];

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), &["--outbound-allow", "127.0.0.0/8"])?;
    let target = peers::axum(peers::Core::Other).await?;
    let limits = json!({"fuel": 1_000_000_000_000_u64, "wall_ms": 120_000});
    let state = json!({"language": "typescript", "source": STATE, "manifest": {"limits": limits}});
    server.deploy_with(STATE_PATH, &state).await?;
    let grants = json!({"http": [format!("POST {}", target.url.trim_end_matches('/'))]});
    let fetch = json!({"language": "typescript", "source": FETCH, "manifest": {"limits": limits, "grants": grants}});
    server.give(FETCH_PATH, &grants).await?;
    server.deploy_with(FETCH_PATH, &fetch).await?;

    let mut table = vec![["call", "p50", "p99", "requests/s"].map(str::to_owned).to_vec()];
    let pairs = measured(&server, STATE_PATH, &json!({"pairs": options.pairs}), options.times).await?;
    let (p50, p99) = (middle(&pairs, "p50_us"), middle(&pairs, "p99_us"));
    table.push(vec!["state get + set".to_owned(), format!("{p50:.0} us"), format!("{p99:.0} us"), String::new()]);
    let mut figures = json!({"state_get_set": {"p50_us": p50, "p99_us": p99}, "fetch": []});
    for at_once in AT_ONCE {
        let arguments = json!({"url": target.url, "body": scripts::BODY, "requests": options.requests, "at_once": at_once});
        let answers = measured(&server, FETCH_PATH, &arguments, options.times).await?;
        let [rate, p50, p99] = ["requests_per_s", "p50_ms", "p99_ms"].map(|name| middle(&answers, name));
        table.push(vec![format!("fetch, {at_once} at once"), format!("{p50:.2} ms"), format!("{p99:.2} ms"), format!("{rate:.0}")]);
        if let Some(list) = figures["fetch"].as_array_mut() {
            list.push(json!({"at_once": at_once, "requests_per_s": rate, "p50_ms": p50, "p99_ms": p99}));
        }
    }
    report::table(&table);
    report::keep("capabilities", &figures)
}

/// The first answers do not count: the script gets a program of its own meanwhile.
async fn measured(server: &Server, path: &str, arguments: &Value, times: usize) -> anyhow::Result<Vec<Value>> {
    for _ in 0..6 {
        server.call(path, arguments).await?;
    }
    let mut answers = Vec::new();
    for _ in 0..times {
        answers.push(server.call(path, arguments).await?);
    }
    Ok(answers)
}

fn middle(answers: &[Value], name: &str) -> f64 {
    report::median(answers.iter().filter_map(|answer| answer[name].as_f64()).collect())
}
