//! bullmq: jobs that do nothing, in Redis, as one Node process enqueues and drains them.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::Context;
use serde::Deserialize;

use super::{Peer, free_port, install};

/// Version of the peer from the npm registry.
const BULLMQ: &str = "6.7.0";
/// Its way to Redis.
const IOREDIS: &str = "ioredis@6.0.0";

const SCRIPT: &str = "const { Queue, Worker, QueueEvents } = require('bullmq');
const [port, runs, times] = process.argv.slice(2).map(Number);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const seconds = async (what) => { const began = process.hrtime.bigint(); await what(); return Number(process.hrtime.bigint() - began) / 1e9; };
(async () => {
  const queue = new Queue('noop', { connection, defaultJobOptions: { removeOnComplete: true } });
  // Redis is only just being started: the client tries until it answers.
  queue.on('error', () => {});
  await queue.waitUntilReady();
  const enqueued = await seconds(async () => {
    let left = runs;
    const caller = async () => { while (left > 0) { left--; await queue.add('noop', { name: 'bob' }); } };
    await Promise.all(Array.from({ length: 64 }, caller));
  });
  let worker;
  const drained = await seconds(() => new Promise((resolve) => {
    let done = 0;
    worker = new Worker('noop', async (job) => job.data, { connection, concurrency: 100 });
    worker.on('completed', () => { if (++done === runs) resolve(); });
  }));
  const events = new QueueEvents('noop', { connection });
  await events.waitUntilReady();
  const one = [];
  for (let n = 0; n < times; n++) {
    one.push(await seconds(async () => { const job = await queue.add('noop', { n }, { removeOnComplete: 100 }); await job.waitUntilFinished(events); }) * 1e3);
  }
  one.sort((a, b) => a - b);
  console.log(JSON.stringify({ enqueued_per_s: runs / enqueued, drained_per_s: runs / drained, one_p50_ms: one[times >> 1], one_p99_ms: one[Math.floor(times * 0.99)] }));
  process.exit(0);
})();
";

#[derive(Deserialize)]
pub(crate) struct Figures {
    pub(crate) enqueued_per_s: f64,
    pub(crate) drained_per_s: f64,
    pub(crate) one_p50_ms: f64,
    pub(crate) one_p99_ms: f64,
}

/// Its name and its figures for so many jobs, then so many one at a time. Redis writes nothing to the disk before it answers.
pub(crate) fn measure(runs: usize, times: usize) -> anyhow::Result<(String, Figures)> {
    let home = install("bullmq", BULLMQ, &[IOREDIS])?;
    let (folder, port) = (tempfile::tempdir()?, free_port()?);
    let redis = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .context("redis-server cannot be started; it is in Debian's package redis-server")?;
    let _redis = Peer { child: redis, name: "Redis".to_owned(), url: String::new(), _folder: None };
    let script = folder.path().join("queue.js");
    fs::write(&script, SCRIPT)?;
    let output = Command::new("node")
        .arg(&script)
        .arg(port.to_string())
        .args([runs, times].map(|count| count.to_string()))
        .env("NODE_PATH", home.join("node_modules"))
        .stderr(Stdio::inherit())
        .output()
        .context("node")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = serde_json::from_str(text.trim()).with_context(|| format!("bullmq said {text}"))?;
    Ok((format!("bullmq {BULLMQ} (Redis, not durable)"), figures))
}
