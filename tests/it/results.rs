//! Large results: kept apart, read through any node, and a clear answer where they are missing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sandmill_testkit::{
    binary::binary,
    postgres::Postgres,
    s3::S3,
    server::{Answer, Server},
};
use serde_json::{Value, json};

use crate::{commands::sandmill, events::follow};

const MAKE: &str = "export function main(n: number) { return 'x'.repeat(n); }";

/// Files under a folder of objects.
fn objects(folder: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    below(folder).iter().flat_map(|workspace| below(workspace)).collect()
}

async fn result(server: &Server, id: &str) -> Answer {
    let path = format!("/api/w/default/runs/{id}/result");
    Answer::read(server.request(reqwest::Method::GET, &path).send().await.unwrap()).await.unwrap()
}

/// Length of the text that came back.
fn length(answer: &Answer) -> usize {
    assert_eq!(answer.status, 200, "{answer:?}");
    let Value::String(text) = answer.json().unwrap() else { panic!("{answer:?}") };
    text.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_is_in_the_bucket_if_there_is_one() {
    let Some(service) = S3::shared() else { return };
    let bucket = service.bucket().await.unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "secret\n").unwrap();
    let s3 =
        ["--blob-s3-bucket", &bucket, "--blob-s3-endpoint", &service.endpoint, "--blob-s3-access-key-id", "id", "--blob-s3-secret-file"];
    let mut server = Server::start(&[&s3[..], &[secret.path().to_str().unwrap(), "--inline-result-bytes-max", "1000"]].concat()).unwrap();
    server.deploy("f/results/make", "typescript", MAKE).await.unwrap();
    let id = server.start_run("f/results/make", &json!({ "n": 2_000_000 })).await.unwrap();
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
    let listed = service.get(&bucket, "?list-type=2").await.unwrap();
    assert!(listed.contains("<Key>results/") && listed.contains(&id), "{listed}");
    assert!(!server.data().join("objects").exists() && !server.data().join("blobs").exists());
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(length(&result(&server, &id).await), 2_000_000);
    // A backup says what is not in it.
    let archive = server.data().join("backup.tar.zst");
    let refused = server.backup(&archive).unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--objects-dir"), "{refused:?}");
    let mut backup = Command::new(binary());
    backup.arg("backup").arg(&archive).arg("--data").arg(server.data());
    let told = backup.env("SANDMILL_BLOB_S3_BUCKET", &bucket).env("SANDMILL_BLOB_S3_ACCESS_KEY_ID", "id").output().unwrap();
    assert!(told.status.success() && String::from_utf8_lossy(&told.stdout).contains(&bucket), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_is_a_file_and_reads_like_any() {
    let mut server = Server::start(&["--inline-result-bytes-max", "1000"]).unwrap();
    server.deploy("f/results/make", "typescript", MAKE).await.unwrap();
    let folder = server.data().join("objects");
    for (n, files) in [(10, 0), (2_000_000, 1)] {
        let id = server.start_run("f/results/make", &json!({ "n": n })).await.unwrap();
        assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
        assert_eq!((length(&result(&server, &id).await), objects(&folder).len()), (n, files));
    }
    // By the fast lane, and as a repetition of what was waited for.
    assert_eq!(length(&server.call("f/results/make", &json!({"n": 3000})).await.unwrap()), 3000);
    let once = |server: &Server| {
        let request = server.request(reqwest::Method::POST, "/hooks/default/run/f/results/make");
        request.header("idempotency-key", "once").json(&json!({"n": 4000})).send()
    };
    let first = Answer::read(once(&server).await.unwrap()).await.unwrap();
    let id = first.header("sandmill-run-id").unwrap().to_owned();
    assert_eq!(length(&first), 4000);
    assert_eq!(length(&Answer::read(once(&server).await.unwrap()).await.unwrap()), 4000);
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(length(&result(&server, &id).await), 4000);

    for file in objects(&folder) {
        fs::remove_file(file).unwrap();
    }
    let gone = result(&server, &id).await;
    assert_eq!((gone.status, gone.json().unwrap()["code"].clone()), (410, json!("result_gone")), "{gone:?}");
    let repeated = Answer::read(once(&server).await.unwrap()).await.unwrap();
    assert_eq!((repeated.status, repeated.json().unwrap()["code"].clone()), (410, json!("result_gone")), "{repeated:?}");
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_where_a_large_result_is() {
    let server = Server::start(&[]).unwrap();
    server.deploy("f/results/make", "typescript", MAKE).await.unwrap();
    for (n, is_told) in [(65_534, true), (65_535, false)] {
        let id = server.start_run("f/results/make", &json!({ "n": n })).await.unwrap();
        let end = follow(&server, &id, 0).await.rest().await.pop().unwrap().data;
        let at = format!("/api/w/default/runs/{id}/result");
        assert_eq!((&end["status"], end.get("result").is_some()), (&json!("succeeded"), is_told), "{n}");
        assert_eq!(end.get("result_at"), (!is_told).then(|| json!(at)).as_ref(), "{n}");
        assert_eq!(length(&result(&server, &id).await), n);
    }
    let folder = tempfile::tempdir().unwrap();
    let streamed = || sandmill(folder.path(), &server, &["run", "f/results/make", "--arg", "n=100000", "--stream"]);
    let done = streamed();
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 100_003), "{done:?}");
}

/// Whoever waits is told the same of a result that cannot be had as whoever reads it.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_folder_says_so() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let start = |role: &str| Server::start(&["--database-url", &url, "--admin-token", "sm_of_this_installation", "--role", role]).unwrap();
    let (asked, worker) = (start("api"), start("worker"));
    asked.deploy("f/results/make", "typescript", MAKE).await.unwrap();
    assert_eq!(length(&asked.call("f/results/make", &json!({"n": 10})).await.unwrap()), 10);
    let waited = asked.call("f/results/make", &json!({"n": 100_000})).await.unwrap();
    assert_eq!((waited.status, waited.json().unwrap()["code"].clone()), (410, json!("result_gone")), "{waited:?}");
    let folder = tempfile::tempdir().unwrap();
    let done = sandmill(folder.path(), &asked, &["run", "f/results/make", "--arg", "n=100000", "--stream"]);
    assert_eq!((done.status.code(), done.stdout.len()), (Some(3), 0), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("result_gone"), "{done:?}");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_the_folder() {
    let Some(postgres) = Postgres::shared() else { return };
    let (url, folder) = (postgres.database(), tempfile::tempdir().unwrap());
    let objects_dir = folder.path().join("objects").display().to_string();
    let start = |role: &str| {
        let shared = ["--database-url", &url, "--admin-token", "sm_of_this_installation", "--objects-dir", &objects_dir];
        Server::start(&[&shared[..], &["--role", role]].concat()).unwrap()
    };
    let (asked, worker) = (start("api"), start("worker"));
    asked.deploy("f/results/make", "typescript", MAKE).await.unwrap();
    // Executed on the worker, waited for at the other.
    assert_eq!(length(&asked.call("f/results/make", &json!({"n": 100_000})).await.unwrap()), 100_000);
    let id = worker.start_run("f/results/make", &json!({"n": 200_000})).await.unwrap();
    worker.ended_run(&id).await.unwrap();
    assert_eq!((length(&result(&asked, &id).await), length(&result(&worker, &id).await)), (200_000, 200_000));
    assert_eq!(objects(folder.path().join("objects").as_path()).len(), 2);
}
