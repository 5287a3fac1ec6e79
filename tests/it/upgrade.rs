//! The binary on what an earlier release left behind: it brings it up to date, serves what is there and executes what waited.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sandmill_testkit::{binary::root, postgres::Postgres, server::Server, sqlite};
use serde_json::json;

/// The first schema that was released, and what releases with it wrote: `host/store/tests/fixtures`.
const SCHEMA: usize = 5;
const FIXTURES: [&str; 5] = ["0001_installation", "0002_scripts", "0003_history", "0004_state", "0005_queue"];
/// The administrator's token in them.
const TOKEN: &str = "sm_of_long_ago_0000";
const ENDED: [&str; 3] =
    ["01a0c450-6c0a-7000-8000-000000000010", "01a0c450-6c14-7000-8000-000000000011", "01a0c450-6c1e-7000-8000-000000000012"];
/// They ended longer ago than runs are kept for.
const KEEP: [&str; 2] = ["--retention-days", "0"];
/// One waited; the other was executed by a node that is no more.
const LEFT: [(&str, &str); 2] = [("01a0c450-6c28-7000-8000-000000000020", "waits"), ("01a0c450-6c32-7000-8000-000000000021", "ran")];

/// Statements that make a database of then.
fn of_then(migrations: &Path) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut script = "CREATE TABLE migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL);\n".to_owned();
    for file in &files[..SCHEMA] {
        let (number, name) = file.file_stem().unwrap().to_str().unwrap().split_once('_').unwrap();
        script += &fs::read_to_string(file).unwrap();
        script += &format!("\nINSERT INTO migrations (number, name) VALUES ({number}, '{name}');\n");
    }
    let fixture = |name: &str| fs::read_to_string(root().join(format!("host/store/tests/fixtures/{name}.sql"))).unwrap();
    script + &FIXTURES.map(fixture).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_data_folder_is_served() {
    let data = tempfile::tempdir().unwrap();
    let script = of_then(&root().join("migrations/sqlite"));
    if !sqlite::execute(&data.path().join("sandmill.db"), &script) {
        return;
    }
    fs::write(data.path().join("admin-token"), TOKEN).unwrap();
    let mut server = Server::start_on(data.path(), &KEEP).unwrap();
    work_goes_on(&server).await;
    server.stop().unwrap();
    server.restart().unwrap();
    assert_eq!(server.ended_run(LEFT[0].0).await.unwrap()["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_postgresql_is_served() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let script = of_then(&root().join("migrations/postgres")).replace("X'", "'\\x");
    postgres.execute(url.rsplit('/').next().unwrap(), &script).unwrap();
    let server = Server::start(&[&["--database-url", &url, "--admin-token", TOKEN], KEEP.as_slice()].concat()).unwrap();
    work_goes_on(&server).await;
}

async fn work_goes_on(server: &Server) {
    for (id, status) in ENDED.into_iter().zip(["succeeded", "succeeded", "failed"]) {
        let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
        assert_eq!((&run["status"], &run["path"]), (&json!(status), &json!("f/old/hello")), "{run}");
        let log = server.run_log(id).await.unwrap();
        assert!(log.contains('✓'));
    }
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{}/result", ENDED[0])).await.unwrap(), json!("hello ann"));
    for (id, name) in LEFT {
        let run = server.ended_run(id).await.unwrap();
        assert_eq!(run["status"], "succeeded", "{run}");
        let result = server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap();
        assert_eq!(result, json!(format!("hello {name}")));
    }
    let listed = server.get_json("/api/w/default/runs?path=f/old/hello").await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), ENDED.len() + LEFT.len());
    assert_eq!(server.call("f/old/hello", &json!({"name": "now"})).await.unwrap().json().unwrap(), json!("hello now"));
    server.deploy("f/old/hello", "typescript", "export function main(name: string) { return `bye ${name}`; }").await.unwrap();
    let id = server.start_run("f/old/hello", &json!({"name": "then"})).await.unwrap();
    server.ended_run(&id).await.unwrap();
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!("bye then"));
}
