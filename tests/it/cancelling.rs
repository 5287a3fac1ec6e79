//! Cancelling runs that execute: at once, whatever they do and on whichever node.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::shared::micros;
use sandmill_testkit::{postgres::Postgres, server::Server};

const TOKEN: &str = "sm_a_token_that_all_nodes_of_a_test_know";
const PATH: &str = "f/cancelling/busy";
/// Says in its log that it has begun.
const SOURCE: &str = "import { runs, state } from 'sandmill';
    export async function main(how: string) {
        console.log('begun');
        if (how === 'loop') for (;;) {}
        if (how === 'regex') return /^(a+)+$/.test('a'.repeat(60) + 'b');
        if (how === 'sleep') await new Promise(r => setTimeout(r, 60000));
        if (how === 'child') await runs.run('f/cancelling/busy', { how: 'sleep' });
        if (how === 'host calls') for (let n = 0; ; n++) state.set('n', n);
        return how;
    }";
const KINDS: [&str; 5] = ["loop", "regex", "sleep", "child", "host calls"];
/// What is promised.
const PROMISED: Duration = Duration::from_millis(100);
/// The middle one of so many keeps the promise: a machine that is busy with other tests delays some.
const TIMES: usize = 7;
/// If it does not, they are counted anew: not even a slow machine is slow each time, and a node that heard of it only at its next sign of
/// life would take half a second on the average.
const ROUNDS: usize = 3;

async fn begun(server: &Server, id: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let log = server.run_log(id).await.unwrap();
        if log.contains("begun") {
            return;
        }
        assert!(Instant::now() < deadline, "the run does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Microseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "the test's own clock, to hold the node's against")]
fn now_micros() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// Cancels runs of each kind that `worker` executes by asking `asked`.
async fn cancel_all_kinds(asked: &Server, worker: &Server) {
    let script = json!({"language": "typescript", "source": SOURCE, "manifest": {"grants": {"runs": [PATH]}}});
    asked.deploy_with(PATH, script).await.unwrap();
    asked.call(PATH, &json!({"how": "not"})).await.unwrap();
    for how in KINDS {
        let mut medians = Vec::new();
        while medians.iter().all(|median| *median > PROMISED) {
            assert!(medians.len() < ROUNDS, "{how}: {medians:?}");
            medians.push(cancel_some(asked, worker, how).await);
        }
        println!("{how}: cancelled after {medians:?} (of {TIMES} the middle one)");
    }
}

/// How long it takes from the request to the end: of some the middle one.
async fn cancel_some(asked: &Server, worker: &Server, how: &str) -> Duration {
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let id = asked.start_run(PATH, &json!({"how": how})).await.unwrap();
        begun(worker, &id).await;
        let (began, began_micros) = (Instant::now(), now_micros());
        let cancel = asked.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
        assert_eq!(cancel.status(), 202, "{how}");
        let run = loop {
            let run: Value = asked.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
            if run["status"] != "running" && run["status"] != "suspended" {
                break run;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{how} does not end: {run}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        // Not when this test came to see it: it shares the machine with others.
        let took_micros = micros(run["ended_at"].as_str().unwrap()) - began_micros;
        took.push(Duration::from_micros(u64::try_from(took_micros).unwrap()));
        assert_eq!((run["status"].as_str(), run["outcome"].as_str()), (Some("cancelled"), Some("cancelled")), "{how}: {run}");
    }
    took.sort_unstable();
    took[TIMES / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_executes_ends_at_once_whatever_it_does() {
    let server = Server::start(&[]).unwrap();
    cancel_all_kinds(&server, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_another_node_executes_ends_as_soon() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let node = |role: &str| Server::start(&["--database-url", &url, "--admin-token", TOKEN, "--role", role]).unwrap();
    let (api, worker) = (node("api"), node("worker"));
    cancel_all_kinds(&api, &worker).await;
    // What waits ends at once, whoever is asked.
    let answer = api.request(reqwest::Method::POST, "/api/w/default/runs");
    let answer = answer.json(&json!({"path": PATH, "args": {"how": "not"}, "delay_ms": 600_000})).send().await.unwrap();
    let receipt: Value = answer.json().await.unwrap();
    let id = receipt["run_id"].as_str().unwrap();
    let cancel = worker.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancel.status(), 200);
    assert_eq!(api.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["status"], "cancelled");
}
