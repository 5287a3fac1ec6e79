//! What becomes of an instant while runs of instants before it have not ended.

use sandmill_testkit::server::Server;
use serde_json::{Value, json};

use super::{
    modes::{place, runs, switch, until},
    world,
};
use crate::shared::{Database, micros, on_both};

on_both![
    whoever_skips_leaves_records,
    whoever_queues_executes_one_after_another,
    whoever_allows_executes_at_once,
    whoever_cancels_ends_those_before,
];

/// Longer than the time between two instants.
const SLOW: &str = "export async function main() { await new Promise(r => setTimeout(r, 2500)); return 1; }";

async fn each_second(server: &Server, name: &str, overlap: &str) {
    let config = json!({"cron": "* * * * * *", "time_zone": "UTC", "overlap": overlap});
    place(server, name, SLOW, json!({"kind": "schedule", "config": config, "mode": "on"})).await;
}

/// Waits until there are so many runs with this status.
async fn until_runs(server: &Server, name: &str, status: &str, count: usize) -> Vec<String> {
    let what = format!("{name}: not {count} that are {status}");
    until(server, &what, async || Some(runs(server, name, status).await).filter(|runs| runs.len() >= count)).await
}

/// From when to when each executed, in the order of their starts.
async fn spans(server: &Server, ids: &[String]) -> Vec<(i64, i64)> {
    let mut spans = Vec::new();
    for id in ids {
        let run: Value = server.ended_run(id).await.unwrap();
        spans.push((micros(run["started_at"].as_str().unwrap()), micros(run["ended_at"].as_str().unwrap())));
    }
    spans.sort_unstable();
    spans
}

/// Whether one began before the one before it had ended.
fn overlap(spans: &[(i64, i64)]) -> bool {
    spans.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

async fn whoever_skips_leaves_records(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "overlap_skip";
    each_second(server, name, "skip").await;
    let skipped = until_runs(server, name, "skipped", 2).await;
    let done = until_runs(server, name, "succeeded", 2).await;
    switch(server, name, "off").await;
    assert!(!overlap(&spans(server, &done).await));
    let log = server.run_log(&skipped[0]).await.unwrap();
    assert!(log.contains("had not ended"), "{log}");
    world::delete(server, name).await;
}

async fn whoever_queues_executes_one_after_another(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "overlap_queue";
    each_second(server, name, "queue").await;
    // It waits for the end of the others, and for nothing else.
    until_runs(server, name, "parked", 1).await;
    let done = until_runs(server, name, "succeeded", 2).await;
    switch(server, name, "off").await;
    assert!(!overlap(&spans(server, &done).await));
    assert_eq!(runs(server, name, "skipped").await, Vec::<String>::new());
    for status in ["parked", "queued"] {
        for id in runs(server, name, status).await {
            let request = server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel"));
            assert!(request.send().await.unwrap().status().is_success());
        }
    }
    world::delete(server, name).await;
}

async fn whoever_allows_executes_at_once(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "overlap_allow";
    each_second(server, name, "allow").await;
    let done = until_runs(server, name, "succeeded", 3).await;
    switch(server, name, "off").await;
    assert!(overlap(&spans(server, &done).await));
    world::delete(server, name).await;
}

async fn whoever_cancels_ends_those_before(database: Database) {
    let Some(server) = world::shared(database) else { return };
    let name = "overlap_cancel";
    each_second(server, name, "cancel_previous").await;
    until_runs(server, name, "cancelled", 2).await;
    switch(server, name, "off").await;
    // Nothing comes after the last.
    let last = until_runs(server, name, "succeeded", 1).await;
    assert_eq!(server.ended_run(&last[0]).await.unwrap()["trigger_path"], world::path(name));
    world::delete(server, name).await;
}
