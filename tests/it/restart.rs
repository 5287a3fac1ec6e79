//! What survives the end of the process, and what a broken disk does.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use sandmill_testkit::server::{Answer, Server};

#[tokio::test(flavor = "multi_thread")]
async fn accepted_runs_are_found_again_after_a_kill() {
    let mut server = Server::start(&["--slots", "4"]).unwrap();
    let source = "export async function main(n: number) { await new Promise(r => setTimeout(r, 400)); return n; }";
    server.deploy("f/restart/slow", "typescript", source).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push((n, server.start_run("f/restart/slow", &json!({"n": n})).await.unwrap()));
    }
    server.kill().unwrap();
    server.restart().unwrap();
    for (n, id) in ids {
        let run = server.ended_run(&id).await.unwrap();
        assert_eq!(run["status"], "succeeded", "{run}");
        assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!(n));
    }
}

/// Waits until the run executes in an attempt.
async fn wait_for_attempt(server: &Server, id: &str, attempt: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let run: Value = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
        if run["status"] == "running" && run["attempt"] == attempt {
            return;
        }
        assert!(Instant::now() < deadline, "attempt {attempt} does not begin: {run}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_which_the_process_dies_three_times_is_given_up() {
    let mut server = Server::start(&[]).unwrap();
    let source = "export async function main() { console.log('begun'); await new Promise(r => setTimeout(r, 100000)); }";
    server.deploy("f/restart/poison", "typescript", source).await.unwrap();
    let id = server.start_run("f/restart/poison", &json!({})).await.unwrap();
    for attempt in 1..=3 {
        wait_for_attempt(&server, &id, attempt).await;
        server.kill().unwrap();
        server.restart().unwrap();
    }
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((run["status"].as_str(), run["outcome"].as_str()), (Some("failed"), Some("poisoned")), "{run}");
    // It can be looked into, and tried again once its author has mended it.
    let letters = server.get_json("/api/w/default/dead-letters").await.unwrap();
    assert_eq!(letters["items"][0]["id"], json!(id), "{letters}");
    server.deploy("f/restart/poison", "typescript", "export function main() { return 'mended'; }").await.unwrap();
    assert_eq!(server.call("f/restart/poison", &json!({})).await.unwrap().text(), "\"mended\"", "the server itself is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_soon_ends_before_the_server_stops() {
    let mut server = Server::start(&[]).unwrap();
    let source = "export async function main() { console.log('begun'); await new Promise(r => setTimeout(r, 2000)); return 'ended'; }";
    server.deploy("f/restart/soon", "typescript", source).await.unwrap();
    let id = server.start_run("f/restart/soon", &json!({})).await.unwrap();
    wait_for_attempt(&server, &id, 1).await;
    let stopped = server.stop().unwrap();
    assert!(stopped.success(), "{stopped}: {}", server.log());
    server.restart().unwrap();
    // As it was written down before: a run that was handed back would wait or run now.
    let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
    assert_eq!((run["status"].as_str(), run["attempt"].as_u64()), (Some("succeeded"), Some(1)), "{run}");
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!("ended"));
    let log = server.run_log(&id).await.unwrap();
    assert_eq!(log.matches("begun").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_calls_the_api_as_long_as_it_executes() {
    let mut server = Server::start(&[]).unwrap();
    let source = "export async function main() {
        const statuses = [];
        for (let n = 0; n < 30; n++) {
            const answer = await fetch('http://sandmill.internal/api/w/default/scripts/f/restart/asks');
            await answer.text();
            statuses.push(answer.status);
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
        return statuses;
    }";
    let manifest = json!({"grants": {"api": ["scripts:read:f/restart/*"]}});
    let script = json!({"language": "typescript", "source": source, "manifest": manifest});
    server.deploy_with("f/restart/asks", script).await.unwrap();
    let start = server.request(reqwest::Method::POST, "/api/w/default/runs").json(&json!({"path": "f/restart/asks", "args": {}}));
    let started = Answer::read(start.send().await.unwrap()).await.unwrap();
    let id = started.json().unwrap()["run_id"].as_str().unwrap().to_owned();
    wait_for_attempt(&server, &id, 1).await;
    let stopped = server.stop().unwrap();
    assert!(stopped.success(), "{stopped}: {}", server.log());
    server.restart().unwrap();
    let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
    assert_eq!((run["status"].as_str(), run["attempt"].as_u64()), (Some("succeeded"), Some(1)), "{run}");
    let statuses = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
    assert_eq!(statuses, json!(vec![200; 30]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_good_order_is_no_death_of_the_run() {
    let mut server = Server::start(&[]).unwrap();
    let source = "export async function main() { await new Promise(r => setTimeout(r, 40000)); return 1; }";
    server.deploy("f/restart/long", "typescript", source).await.unwrap();
    let id = server.start_run("f/restart/long", &json!({})).await.unwrap();
    let attempt = async |server: &Server| {
        let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
        (run["status"].as_str().unwrap().to_owned(), run["attempt"].as_u64().unwrap())
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while attempt(&server).await != ("running".to_owned(), 1) {
        assert!(Instant::now() < deadline, "it does not begin");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.stop().unwrap().success());
    server.restart().unwrap();
    while attempt(&server).await.0 != "running" {
        assert!(Instant::now() < deadline + Duration::from_secs(60), "it does not begin again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(attempt(&server).await.1, 1, "nothing was wrong with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_writes_every_record() {
    let mut server = Server::start(&[]).unwrap();
    server.deploy("f/restart/quick", "typescript", "export function main(n: number) { return n; }").await.unwrap();
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(server.call("f/restart/quick", &json!({"n": n})).await.unwrap().header("sandmill-run-id").unwrap().to_owned());
    }
    let status = server.stop().unwrap();
    assert!(status.success(), "{status}: {}", server.log());
    server.restart().unwrap();
    for id in ids {
        assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["status"], "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_and_truncated_code_is_never_run() {
    let mut server = Server::start(&["--snapshot-after-runs", "1"]).unwrap();
    server.deploy("f/restart/code", "typescript", "export function main() { return 'right'; }").await.unwrap();
    for damage in [alter as fn(fs::File, u64), truncate] {
        assert_eq!(server.call("f/restart/code", &json!({})).await.unwrap().text(), "\"right\"");
        // From here on there is code of its own, in a file of its own.
        server.wait_for_own_programs(1).await.unwrap();
        server.stop().unwrap();
        let mut damaged = 0;
        for entry in fs::read_dir(server.data().join("code")).unwrap() {
            let entry = entry.unwrap();
            let bytes = entry.metadata().unwrap().len();
            if bytes > 100_000 {
                damage(fs::OpenOptions::new().write(true).open(entry.path()).unwrap(), bytes);
                damaged += 1;
            }
        }
        assert!(damaged >= 2, "the runtime's code and the script's: {damaged}");
        server.restart().unwrap();
        assert_eq!(server.call("f/restart/code", &json!({})).await.unwrap().text(), "\"right\"");
    }
}

fn alter(mut file: fs::File, bytes: u64) {
    file.seek(SeekFrom::Start(bytes / 2)).unwrap();
    file.write_all(&[0xcc; 64]).unwrap();
}

fn truncate(file: fs::File, bytes: u64) {
    file.set_len(bytes / 2).unwrap();
}
