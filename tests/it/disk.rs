//! A full disk: clear errors, nothing lost, and work goes on without a restart once there is space.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use sandmill_testkit::{
    binary::binary,
    server::{Answer, Server},
};
use serde_json::{Value, json};

/// Enough for the language runtime's compiled code and a database.
const DISK_MEBIBYTES: u32 = 64;

const COUNTER: &str = "import { state } from 'sandmill';
export function main() { const n = ((state.get('n') as number) ?? 0) + 1; state.set('n', n); return n; }";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_survived() {
    let server = Server::start_on_small_disk(DISK_MEBIBYTES, &[]).unwrap();
    server.deploy("f/disk/counter", "typescript", COUNTER).await.unwrap();
    server.deploy("f/disk/plain", "typescript", "export function main(n: number) { return n; }").await.unwrap();
    assert_eq!(server.call("f/disk/counter", &json!({})).await.unwrap().text(), "1");
    server.start_run("f/disk/plain", &json!({"n": 1})).await.unwrap();

    let ballast = server.data().join("ballast");
    fill(&ballast);
    let start = server.request(reqwest::Method::POST, "/hooks/default/start/f/disk/plain").json(&json!({"n": 2}));
    let refused = Answer::read(start.send().await.unwrap()).await.unwrap();
    assert_eq!((refused.status, refused.json().unwrap()["code"].clone()), (507, json!("storage_full")), "{refused:?}");
    let push = server.deploy("f/disk/new", "typescript", "export function main() {}").await.unwrap_err().to_string();
    assert!(push.contains("storage_full"), "{push}");
    let counted = server.call("f/disk/counter", &json!({})).await.unwrap();
    assert_eq!(counted.status, 500);
    assert!(counted.text().contains("full"), "{counted:?}");
    // A run that stores nothing has its answer; its record follows when it can.
    let plain = server.call("f/disk/plain", &json!({"n": 3})).await.unwrap();
    assert_eq!((plain.status, plain.text()), (200, "3".to_owned()));
    let id = plain.header("sandmill-run-id").unwrap().to_owned();
    assert_eq!(server.get_json("/api/w/default/scripts").await.unwrap()["items"].as_array().unwrap().len(), 2, "reading goes on");

    fs::remove_file(ballast).unwrap();
    assert_eq!(recorded(&server, &id).await["status"], "succeeded");
    assert_eq!(server.call("f/disk/counter", &json!({})).await.unwrap().text(), "2", "what failed counted nothing");
    let id = server.start_run("f/disk/plain", &json!({"n": 4})).await.unwrap();
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
    server.deploy("f/disk/new", "typescript", "export function main() {}").await.unwrap();
}

/// Works for so long, whatever happens around it.
const BUSY: &str = "export function main(ms: number, n: number) { const end = Date.now() + ms; while (Date.now() < end) {} return n; }";

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_execute_while_the_disk_is_full_end_once() {
    const RUNS: usize = 12;
    let server = Server::start_on_small_disk(DISK_MEBIBYTES, &["--slots", "4"]).unwrap();
    server.deploy("f/disk/busy", "typescript", BUSY).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..RUNS {
        ids.push(server.start_run("f/disk/busy", &json!({"ms": 1000, "n": n})).await.unwrap());
    }
    eventually("some execute", async || status(&server, &ids).await.iter().any(|status| status == "running")).await;
    let ballast = server.data().join("ballast");
    fill(&ballast);
    eventually("an outcome cannot be written", async || server.log().contains("outcomes could not be written")).await;
    assert_eq!(get(&server, "/health").await.status, 200);
    assert!(status(&server, &ids).await.iter().any(|status| status == "running"), "reading goes on, and nothing is said to have ended");

    fs::remove_file(ballast).unwrap();
    for (n, id) in ids.iter().enumerate() {
        let run = server.ended_run(id).await.unwrap();
        assert_eq!((&run["status"], &run["attempt"]), (&json!("succeeded"), &json!(1)), "{run}");
        let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
        assert_eq!(result, json!(n));
    }
    let listed = server.get_json("/api/w/default/runs?limit=100").await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), RUNS, "each once");
    assert_eq!(get(&server, "/ready").await.status, 200);
    // The database is whole: a copy of it is looked through when it is restored.
    let folder = tempfile::tempdir().unwrap();
    let (file, restored) = (folder.path().join("backup"), folder.path().join("restored"));
    let done = server.backup(&file).unwrap();
    assert!(done.status.success(), "{done:?}");
    let done = Command::new(binary()).arg("restore").arg(&file).arg("--data").arg(restored).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Where the runs stand.
async fn status(server: &Server, ids: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for id in ids {
        let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
        all.push(run["status"].as_str().unwrap().to_owned());
    }
    all
}

async fn get(server: &Server, path: &str) -> Answer {
    Answer::read(server.request(reqwest::Method::GET, path).send().await.unwrap()).await.unwrap()
}

pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The record of a run that is written behind its answer.
async fn recorded(server: &Server, id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match server.get_json(&format!("/api/w/default/runs/{id}")).await {
            Ok(run) => return run,
            Err(error) => assert!(Instant::now() < deadline, "the record is lost: {error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Writes until nothing more fits, byte by byte at the end.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for bytes in [1 << 20, 4096, 1] {
        let block = vec![0; bytes];
        loop {
            match file.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
