//! A database that takes no writes for a while, as after a switch to a standby: clear errors, nothing lost, and work goes on by itself.

use sandmill_testkit::{
    frozen::Frozen,
    postgres::Postgres,
    server::{Answer, Server},
};
use serde_json::json;

use crate::disk::eventually;

/// Works for so long, whatever happens around it.
const BUSY: &str = "export function main(ms: number, n: number) { const end = Date.now() + ms; while (Date.now() < end) {} return n; }";

/// Makes the database refuse writes, or take them again, and ends all sessions, which would go on as they began.
fn set_read_only(postgres: &Postgres, name: &str, value: &str) {
    postgres.execute("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}")).unwrap();
    let end = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'");
    postgres.execute("postgres", &end).unwrap();
}

const RUNS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_execute_while_postgres_is_read_only_end_once() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let name = url.rsplit('/').next().unwrap();
    let server = Server::start(&["--database-url", &url, "--slots", "4"]).unwrap();
    let ids = begin(&server).await;
    set_read_only(postgres, name, "on");
    is_told(&server, "read-only").await;
    set_read_only(postgres, name, "off");
    end_once(&server, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_execute_while_sqlite_is_read_only_end_once() {
    let mut server = Server::start(&["--slots", "4"]).unwrap();
    let ids = begin(&server).await;
    let database = server.data().join("sandmill.db");
    let Some(frozen) = Frozen::database(&database) else { return };
    is_told(&server, "disk I/O error").await;
    drop(frozen);
    end_once(&server, &ids).await;
    // A start tells, too.
    server.stop().unwrap();
    let frozen = Frozen::database(&database);
    let refused = server.restart().unwrap_err().to_string();
    assert!(refused.contains("readonly"), "{refused}");
    drop(frozen);
    server.restart().unwrap();
    assert_eq!(server.ended_run(&ids[0]).await.unwrap()["status"], "succeeded");
}

/// Starts runs and waits until some of them execute.
async fn begin(server: &Server) -> Vec<String> {
    server.deploy("f/read/busy", "typescript", BUSY).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..RUNS {
        ids.push(server.start_run("f/read/busy", &json!({"ms": 1500, "n": n})).await.unwrap());
    }
    eventually("some execute", async || {
        let runs = server.get_json("/api/w/default/runs?status=running").await.unwrap();
        !runs["items"].as_array().unwrap().is_empty()
    })
    .await;
    ids
}

/// The log and who starts runs are told what the database says; reading goes on.
async fn is_told(server: &Server, why: &str) {
    eventually("an outcome cannot be written", async || server.log().contains("outcomes could not be written")).await;
    eventually("it says so to who starts runs", async || {
        let start = server.request(reqwest::Method::POST, "/hooks/default/start/f/read/busy").json(&json!({"ms": 1, "n": 99}));
        let refused = Answer::read(start.send().await.unwrap()).await.unwrap();
        assert_eq!((refused.status, refused.json().unwrap()["code"].clone()), (503, json!("unavailable")), "{refused:?}");
        server.log().contains(why)
    })
    .await;
    eventually("reading goes on", async || server.get_json("/api/w/default/runs?limit=1").await.is_ok()).await;
}

/// All of [`begin`] succeed, and nothing else has run.
async fn end_once(server: &Server, ids: &[String]) {
    for (n, id) in ids.iter().enumerate() {
        eventually("the run can be read again", async || server.get_json(&format!("/api/w/default/runs/{id}")).await.is_ok()).await;
        let run = server.ended_run(id).await.unwrap();
        assert_eq!(run["status"], "succeeded", "{run}");
        assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), json!(n));
    }
    let listed = server.get_json("/api/w/default/runs?limit=100").await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), RUNS, "each once, and none that was refused");
    server.start_run("f/read/busy", &json!({"ms": 1, "n": 1})).await.unwrap();
}
