//! What survives the end of the process, and what a broken disk does.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
};

use serde_json::json;

use sandmill_testkit::server::Server;

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
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while attempt(&server).await != ("running".to_owned(), 1) {
        assert!(std::time::Instant::now() < deadline, "it does not begin");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(server.stop().unwrap().success());
    server.restart().unwrap();
    while attempt(&server).await.0 != "running" {
        assert!(std::time::Instant::now() < deadline + std::time::Duration::from_secs(60), "it does not begin again");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
