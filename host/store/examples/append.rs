//! Times the store's hot paths: `cargo run --release -p sandmill-store --example append [URL [append|queue]]`. Prints rows a second and CPU time a row.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandmill_model::{
    Digest, Event, JsonText, Limits, LogEntry, LogLevel, LogStream, Outcome, OutcomeKind, Output, RunId, SystemClock, Timestamp, Usage,
    WorkspaceId,
    attempt::Input,
    clock::Clock,
    event::TriggerRef,
    run::{FinishedRun, NewRun},
};
use sandmill_store::{
    Durability, Options, Store, connect,
    nodes::About,
    queue::{Completion, Head, Logged, Share},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 200_000;
const QUEUED: usize = 50_000;
/// Callers that enqueue at the same time, one run each.
const CALLERS: usize = 256;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url = std::env::args().nth(1).unwrap_or_else(|| format!("sqlite:{}", folder.path().join("store.db").display()));
    let store = connect(&Options { url, durability: Durability::Normal }).await?;
    let workspace = WorkspaceId::new(SystemClock.now());
    let only = std::env::args().nth(2);
    let wanted = |phase: &str| only.as_deref().is_none_or(|only| only == phase);
    if wanted("append") {
        for (batch, log_lines) in [(100, 0), (200, 0), (500, 0), (200, 1)] {
            append(&store, workspace, batch, log_lines).await?;
        }
    }
    if wanted("queue") {
        queue(&store, workspace).await?;
    }
    store.health.close().await;
    Ok(())
}

async fn append(store: &Store, workspace: WorkspaceId, batch: usize, log_lines: usize) -> anyhow::Result<()> {
    let mut measured = Measured::default();
    for _ in 0..ROWS / batch {
        let runs: Vec<FinishedRun> = (0..batch).map(|_| finished(new_run(workspace), log_lines)).collect();
        measured.start();
        store.history.append(runs).await?;
        measured.stop();
    }
    measured.print(&format!("append, batches of {batch}, {log_lines} log lines"), ROWS / batch * batch);
    Ok(())
}

async fn queue(store: &Store, workspace: WorkspaceId) -> anyhow::Result<()> {
    let mut measured = Measured::default();
    measured.start();
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(QUEUED));
    let callers = futures_util::future::try_join_all((0..CALLERS).map(|_| {
        let left = Arc::clone(&left);
        async move {
            while left
                .fetch_update(std::sync::atomic::Ordering::Relaxed, std::sync::atomic::Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                store.queue.enqueue(vec![new_run(workspace)]).await?;
            }
            Ok::<_, sandmill_store::StoreError>(())
        }
    }));
    callers.await?;
    measured.stop();
    measured.print(&format!("enqueue, one run a call, {CALLERS} callers"), QUEUED);

    let mut measured = Measured::default();
    let mut done = 0;
    let mut completing = Measured::default();
    let about = About { name: "bench".into(), release: String::new(), roles: Vec::new(), tags: Vec::new(), slots: 0 };
    let node = store.nodes.join(about, SystemClock.now(), Duration::from_secs(3600)).await?;
    let head = Head { workspace, tag: "".into() };
    while done < QUEUED {
        measured.start();
        let claimed =
            store.queue.claim(node, SystemClock.now(), vec![Share { head: head.clone(), runs_max: 100, running_max: None }]).await?.runs;
        measured.stop();
        let ended = claimed
            .into_iter()
            .map(|claimed| Completion { done: finished(claimed.run, 0), again_at: None, handler: None, logged: Logged::default() })
            .collect();
        completing.start();
        done += store.queue.complete(node, ended).await?.len();
        completing.stop();
    }
    measured.print("claim, batches of 100", QUEUED);
    completing.print("complete, batches of 100", QUEUED);
    Ok(())
}

fn new_run(workspace: WorkspaceId) -> NewRun {
    let now = SystemClock.now();
    let event = Event {
        trigger: TriggerRef { kind: "webhook".into(), path: None },
        metadata: JsonText::trusted(
            r#"{"method":"POST","path":"/hooks/default/run/f/demo/hello","query":{},"headers":{"content-type":"application/json","host":"localhost"}}"#,
        ),
        payload: bytes::Bytes::from_static(br#"{"name":"bob"}"#),
        dedup_key: None,
        ordering_key: None,
    };
    NewRun {
        id: RunId::new(now),
        workspace,
        workspace_name: "default".into(),
        path: "f/demo/hello".parse().unwrap_or_else(|_| unreachable!("the path is in the grammar")),
        number: 3,
        version: Digest::of(b"version"),
        input: Input::Event(event),
        limits: Limits::default(),
        run_as: "u/admin".into(),
        answered_by: None,
        stages_state: false,
        created_at: now,
        scheduled_for: now,
        policy: Arc::default(),
        dedup: None,
        cause: None,
        labels: Arc::default(),
        lineage: None,
        trace: None,
    }
}

fn finished(run: NewRun, log_lines: usize) -> FinishedRun {
    let at = SystemClock.now();
    let entry = LogEntry { at, level: LogLevel::Info, stream: LogStream::Log, message: "hello bob".to_owned(), fields: None };
    let outcome = Outcome {
        kind: OutcomeKind::Ok,
        output: Some(Output::Json(JsonText::trusted(r#"{"hello":"bob","n":[2,4,6]}"#))),
        error: None,
        arguments: Some(JsonText::trusted(r#"{"name":"bob"}"#)),
        usage: Usage { fuel: 123_456, memory_peak_bytes: 1_310_720, cpu_ns: 31_000, wall_ns: 45_000 },
        log: vec![entry; log_lines],
    };
    FinishedRun { run, attempt: 1, started_at: Some(Timestamp::from_micros(at.micros() - 50)), ended_at: at, outcome }
}

/// Wall and CPU time of the whole process, without what happens between `stop` and `start`.
#[derive(Default)]
struct Measured {
    wall: Duration,
    cpu: Duration,
    since: Option<(Instant, Duration)>,
}

impl Measured {
    fn start(&mut self) {
        self.since = Some((Instant::now(), cpu()));
    }

    fn stop(&mut self) {
        if let Some((wall, used)) = self.since.take() {
            self.wall += wall.elapsed();
            self.cpu += cpu().saturating_sub(used);
        }
    }

    fn print(&self, what: &str, rows: usize) {
        let a_row = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
        println!(
            "{what}: {:.0} rows/s, {:.2} us wall and {:.2} us CPU a row",
            rows as f64 / self.wall.as_secs_f64(),
            a_row(self.wall),
            a_row(self.cpu)
        );
    }
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
