//! Backup while the server is busy, and restore: of the embedded database, and of PostgreSQL as operations.md says.

use std::{
    path::Path,
    process::{Command, Output},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use sandmill_testkit::{binary::binary, postgres::Postgres, server::Server};
use serde_json::json;

const COUNTER: &str = "import { state } from 'sandmill';
export function main() { const n = ((state.get('n') as number) ?? 0) + 1; state.set('n', n); return n; }";

/// Callers at once.
const CALLERS: usize = 8;
/// Runs that are acknowledged before the backup begins, and while it goes on.
const BEFORE: usize = 200;

fn sandmill(command: &str, file: &Path, data: &Path) -> Output {
    let mut sandmill = Command::new(binary());
    sandmill.arg(command).arg(file).arg("--data").arg(data);
    sandmill.output().unwrap()
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// Why it was refused.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_backup_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar.zst");
    let mut server = Server::start(&[]).unwrap();
    server.deploy_with("f/backup/echo", json!({"language": "identity", "source": ""})).await.unwrap();
    server.deploy("f/backup/counter", "typescript", COUNTER).await.unwrap();
    assert_eq!(server.call("f/backup/counter", &json!({})).await.unwrap().text(), "1");

    let acknowledged: Mutex<Vec<String>> = Mutex::default();
    let enough = AtomicBool::new(false);
    let load = futures_util::future::join_all((0..CALLERS).map(async |caller| {
        let mut n = 0;
        while !enough.load(Ordering::Relaxed) {
            let id = server.start_run("f/backup/echo", &json!({"caller": caller, "n": n})).await.unwrap();
            acknowledged.lock().unwrap().push(id);
            n += 1;
        }
    }));
    let taking = async {
        while acknowledged.lock().unwrap().len() < BEFORE {
            tokio::task::yield_now().await;
        }
        let before = acknowledged.lock().unwrap().clone();
        let (file, data) = (file.clone(), server.data().to_owned());
        succeeds(&tokio::task::spawn_blocking(move || sandmill("backup", &file, &data)).await.unwrap());
        let during = acknowledged.lock().unwrap().len();
        enough.store(true, Ordering::Relaxed);
        assert!(during > before.len(), "the server went on meanwhile");
        before
    };
    let (_, before) = futures_util::future::join(load, taking).await;
    for id in acknowledged.into_inner().unwrap() {
        assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
    }
    assert_eq!(server.call("f/backup/counter", &json!({})).await.unwrap().text(), "2", "after the backup");
    server.stop().unwrap();

    let data = folder.path().join("restored");
    succeeds(&sandmill("restore", &file, &data));
    let restored = Server::start_on(&data, &[]).unwrap();
    assert_eq!(restored.token, server.token);
    for id in &before {
        let run = restored.ended_run(id).await.unwrap();
        assert_eq!((&run["status"], &run["path"]), (&json!("succeeded"), &json!("f/backup/echo")), "{run}");
    }
    assert_eq!(restored.call("f/backup/counter", &json!({})).await.unwrap().text(), "2", "state as it was");
    assert_eq!(restored.call("f/backup/echo", &json!({"a": 1})).await.unwrap().json().unwrap(), json!({"a": 1}));

    // The same of a server that does not run.
    let offline = folder.path().join("offline.tar.zst");
    succeeds(&sandmill("backup", &offline, server.data()));
    let again = folder.path().join("again");
    succeeds(&sandmill("restore", &offline, &again));
    let again = Server::start_on(&again, &[]).unwrap();
    assert_eq!(again.call("f/backup/counter", &json!({})).await.unwrap().text(), "3");
}

#[test]
fn a_backup_is_only_restored_whole_and_into_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("backup.tar.zst"), folder.path().join("restored"));
    let server = Server::start(&[]).unwrap();
    succeeds(&sandmill("backup", &file, server.data()));
    let there = refusal(&sandmill("backup", &file, server.data()));
    assert!(there.contains("there already"), "{there}");
    let full = refusal(&sandmill("restore", &file, server.data()));
    assert!(full.contains("not empty"), "{full}");

    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = folder.path().join("damaged");
    std::fs::write(&damaged, &bytes).unwrap();
    let refused = refusal(&sandmill("restore", &damaged, &data));
    assert!(refused.contains("damaged"), "{refused}");
    std::fs::write(&damaged, &bytes[..middle]).unwrap();
    let refused = refusal(&sandmill("restore", &damaged, &data));
    assert!(refused.contains("damaged"), "{refused}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing is left of what was refused");
    succeeds(&sandmill("restore", &file, &data));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_results_are_where_the_servers_config_says() {
    let folder = tempfile::tempdir().unwrap();
    let (config, objects) = (folder.path().join("server.toml"), folder.path().join("elsewhere"));
    std::fs::write(&config, format!("objects_dir = '{}'\nslots = 4\n", objects.display())).unwrap();
    let config = config.display().to_string();
    let server = Server::start(&["--config", &config]).unwrap();
    server.deploy("f/backup/make", "typescript", "export function main(n: number) { return 'x'.repeat(n); }").await.unwrap();
    let (file, data) = (folder.path().join("backup.tar.zst"), folder.path().join("restored"));
    // As long as there is no large result nothing is missing.
    succeeds(&sandmill("backup", &folder.path().join("none.tar.zst"), server.data()));
    let id = server.start_run("f/backup/make", &json!({"n": 100_000})).await.unwrap();
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
    let refused = refusal(&sandmill("backup", &file, server.data()));
    assert!(refused.contains("--objects-dir") && !file.exists(), "{refused}");

    succeeds(
        &Command::new(binary()).arg("backup").arg(&file).arg("--data").arg(server.data()).args(["--config", &config]).output().unwrap(),
    );
    drop(server);
    std::fs::remove_dir_all(objects).unwrap();
    succeeds(&sandmill("restore", &file, &data));
    let restored = Server::start_on(&data, &[]).unwrap();
    let result = restored.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
    assert_eq!(result.as_str().map(str::len), Some(100_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_postgresql_is_restored_into_another_database() {
    let Some(postgres) = Postgres::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (dump, objects) = (folder.path().join("sandmill.dump"), folder.path().join("objects"));
    let objects = objects.to_str().unwrap();
    let url = postgres.database();
    let mut server = Server::start(&["--database-url", &url, "--objects-dir", objects]).unwrap();
    server.deploy("f/backup/counter", "typescript", COUNTER).await.unwrap();
    let large = "export function main() { console.log('made'); return 'x'.repeat(100_000); }";
    server.deploy("f/backup/large", "typescript", large).await.unwrap();
    assert_eq!(server.call("f/backup/counter", &json!({})).await.unwrap().text(), "1");
    let ended = server.start_run("f/backup/large", &json!({})).await.unwrap();
    assert_eq!(server.ended_run(&ended).await.unwrap()["status"], "succeeded");
    let later = json!({"path": "f/backup/counter", "delay_ms": 3_600_000});
    let later = server.request(reqwest::Method::POST, "/api/w/default/runs").json(&later).send().await.unwrap();
    let waiting = later.json::<serde_json::Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned();
    succeeds(&postgres.program("pg_dump").arg("--format=custom").arg("--file").arg(&dump).arg(&url).output().unwrap());
    assert_eq!(server.call("f/backup/counter", &json!({})).await.unwrap().text(), "2", "after the dump");
    let token = server.token.clone();
    server.stop().unwrap();

    let restored = postgres.database();
    let mut restore = postgres.program("pg_restore");
    succeeds(&restore.args(["--no-owner", "--exit-on-error", "--dbname", &restored]).arg(&dump).output().unwrap());
    // The token is in the database; a folder of a new node knows none.
    let restored = Server::start(&["--database-url", &restored, "--objects-dir", objects, "--admin-token", &token]).unwrap();
    let run = restored.get_json(&format!("/api/w/default/runs/{ended}")).await.unwrap();
    assert_eq!((&run["status"], &run["path"]), (&json!("succeeded"), &json!("f/backup/large")), "{run}");
    let result = restored.get_json(&format!("/api/w/default/runs/{ended}/result")).await.unwrap();
    assert_eq!(result.as_str().map(str::len), Some(100_000));
    let log = restored.run_log(&ended).await.unwrap();
    assert!(log.contains("made"));
    assert_eq!(restored.get_json(&format!("/api/w/default/runs/{waiting}")).await.unwrap()["status"], "queued");
    assert_eq!(restored.call("f/backup/counter", &json!({})).await.unwrap().text(), "2", "state as it was");
    let id = restored.start_run("f/backup/large", &json!({})).await.unwrap();
    assert_eq!(restored.ended_run(&id).await.unwrap()["status"], "succeeded");
}
