//! What must be so once nothing is left to do.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use sandmill_testkit::server::Server;
use serde_json::Value;

use super::load::{LIMIT, customer, is_keyed, row};

/// How long everything may take to end once nobody dies any more.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);
/// Results that are read at once.
const READS_MAX: usize = 16;

/// When a run's attempt that counted executed, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Span {
    began: i64,
    ended: i64,
}

/// Waits until nothing is left to do, and checks that what was acknowledged ended well, once, each with its own result, that nothing else
/// did, and that order and limit were kept.
pub(super) async fn check(server: &Server, acknowledged: &HashMap<usize, String>) {
    drained(server).await;
    let runs = all_runs(server).await;
    let listed: HashSet<&str> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), runs.len(), "a run is there twice");
    let expected: HashSet<&str> = acknowledged.values().map(String::as_str).collect();
    assert_eq!(expected.len(), acknowledged.len(), "each key is a run of its own");
    assert_eq!(listed, expected, "what was acknowledged, and nothing else");
    let unusual: Vec<&Value> = runs.iter().filter(|run| run["status"] != "succeeded").collect();
    assert!(unusual.is_empty(), "{unusual:?}");
    let spans = spans(server, acknowledged).await;
    in_order(&spans);
    let most = at_once(spans.iter().filter(|(number, _)| is_keyed(**number)).map(|(_, span)| *span));
    assert!(most <= LIMIT, "{most} of the limited runs executed at once");
    let again = runs.iter().filter(|run| run["attempt"] != 1).count();
    println!("{} runs, {again} of them tried again; at most {most} of the limited ones at once", runs.len());
}

async fn drained(server: &Server) {
    let deadline = Instant::now() + DRAIN_LIMIT;
    'again: loop {
        // In this order a run that moves on between two answers is not missed.
        for status in ["parked", "queued", "running"] {
            let page = server.get_json(&format!("/api/w/default/runs?limit=3&status={status}")).await.unwrap();
            if !page["items"].as_array().unwrap().is_empty() {
                assert!(Instant::now() < deadline, "not all runs end: {page}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue 'again;
            }
        }
        return;
    }
}

/// All runs, queued and ended: one that were in both places would be listed twice.
async fn all_runs(server: &Server) -> Vec<Value> {
    let mut runs = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get_json(&format!("/api/w/default/runs?limit=200{cursor}")).await.unwrap();
        runs.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return runs,
        }
    }
}

/// When each number's run executed, by its result, which must be that number's.
async fn spans(server: &Server, acknowledged: &HashMap<usize, String>) -> BTreeMap<usize, Span> {
    let read = acknowledged.iter().map(async |(number, id)| {
        let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
        let [n, began, ended] = [0, 1, 2].map(|index| result[index].as_i64().unwrap());
        assert_eq!(usize::try_from(n), Ok(*number), "{id}: {result}");
        (*number, Span { began, ended })
    });
    stream::iter(read).buffer_unordered(READS_MAX).collect().await
}

/// Equal ordering keys: one after another, and what one client asked for later came later.
fn in_order(spans: &BTreeMap<usize, Span>) {
    let (mut of_rows, mut of_customers) = (BTreeMap::<_, Span>::new(), BTreeMap::<_, Vec<Span>>::new());
    for (number, span) in spans.iter().filter(|(number, _)| is_keyed(**number)) {
        if let Some(before) = of_rows.insert(row(*number), *span) {
            assert!(
                before.ended <= span.began,
                "{number} overtook one that was acknowledged before it was asked for: {before:?}, {span:?}"
            );
        }
        of_customers.entry(customer(*number)).or_default().push(*span);
    }
    for (customer, spans) in of_customers {
        assert!(at_once(spans.into_iter()) <= 1, "two of customer {customer} executed at once");
    }
}

/// The most of these that executed at one time. Who ends in the millisecond in which another begins was before it.
fn at_once(spans: impl Iterator<Item = Span>) -> i32 {
    let mut edges: Vec<(i64, i32)> = spans.flat_map(|span| [(span.began, 1), (span.ended, -1)]).collect();
    edges.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, step) in edges {
        now += step;
        most = most.max(now);
    }
    most
}
