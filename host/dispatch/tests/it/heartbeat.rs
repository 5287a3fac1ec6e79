//! A node lives while its process does, however busy that is.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use sandmill_dispatch::LEASE;
use sandmill_model::{Clock, RunStatus, SystemClock};
use sandmill_testkit::postgres::Postgres;
use tokio_util::task::TaskTracker;

use crate::fake::{Bench, arguments};

const WORKERS: usize = 2;

/// Takes all of the runtime's threads for longer than a lease, this one included; `meanwhile` is called near the end of that.
#[expect(clippy::disallowed_methods, reason = "the thread is to be blocked")]
fn block_all(meanwhile: impl FnOnce()) {
    let tasks = TaskTracker::new();
    let (all, over) = (Arc::new(Barrier::new(WORKERS + 1)), Arc::new(Barrier::new(WORKERS + 1)));
    for _ in 0..WORKERS {
        let (all, over) = (Arc::clone(&all), Arc::clone(&over));
        tasks.spawn(async move {
            all.wait();
            over.wait();
        });
    }
    all.wait();
    thread::sleep(LEASE + Duration::from_millis(1500));
    meanwhile();
    over.wait();
}

/// A run that executes all the while ends in its first attempt, of the same life of the node.
async fn outlives(bench: Bench, meanwhile: impl FnOnce()) {
    let run = bench.dispatch.accept(bench.request(arguments("{}"))).await.unwrap().run;
    bench.record_when(run, |record| record.summary.status == RunStatus::Running).await;
    // From then on it would take others for dead.
    tokio::time::sleep(LEASE + Duration::from_millis(1500)).await;
    let before = bench.dispatch.nodes().await.unwrap();
    block_all(meanwhile);
    // Time to find out that it were dead, and to begin anew.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let after = bench.dispatch.nodes().await.unwrap();
    let lives = |nodes: &[sandmill_store::nodes::Node]| nodes.iter().map(|node| node.incarnation).collect::<Vec<_>>();
    assert_eq!((lives(&after), after.len()), (lives(&before), 1));
    bench.executor.open();
    let record = bench.record_when(run, |record| record.summary.status.has_ended()).await;
    assert_eq!((record.summary.status, record.summary.attempt), (RunStatus::Succeeded, 1));
    assert_eq!(*bench.executor.executed.lock().unwrap(), [(run, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_is_blocked_for_longer_than_a_lease_loses_nothing() {
    outlives(Bench::start(false).await, || {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_see_signs_of_life_of_a_runtime_that_is_blocked() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let bench = Bench::start_on(url.clone(), false).await;
    let name = url.rsplit('/').next().unwrap().to_owned();
    outlives(bench, move || {
        let now = SystemClock.now().micros();
        let alive = postgres.execute(&name, &format!("SELECT count(*) FROM nodes WHERE alive_until > {now}")).unwrap();
        assert_eq!(alive, "1", "nobody would take it for dead");
    })
    .await;
}
