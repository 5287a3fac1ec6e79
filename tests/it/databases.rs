//! Databases that scripts use, as far as the whole server has to withstand what they ask.

use std::time::{Duration, Instant};

use reqwest::Method;
use sandmill_testkit::server::Server;
use serde_json::{Value, json};

/// Rows of two megabytes each, sorted: two gigabytes if nobody stops it.
const SORTED: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) SELECT count(*) AS n FROM
    (SELECT randomblob(2000000) AS v FROM c ORDER BY v LIMIT 999)";
const ASKS: &str = "import { sql } from 'sandmill';
export function main(statement: string) {
    try { return sql('f/databases/lite').query(statement); } catch (error) { return { code: error.code }; }
}";

async fn with_database() -> Server {
    let server = Server::start(&[]).unwrap();
    let request = server.request(Method::PUT, "/api/w/default/resources/f/databases/lite");
    let put = request.json(&json!({"type": "sqlite", "value": {"name": "lite"}})).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let manifest = json!({"grants": {"sql": ["write f/databases/lite"]}, "limits": {"wall_ms": 60_000}});
    server.deploy_with("f/databases/asks", json!({"language": "typescript", "source": ASKS, "manifest": manifest})).await.unwrap();
    server
}

async fn ask(server: &Server, statement: &str) -> Value {
    let answer = server.call("f/databases/asks", &json!({ "statement": statement })).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_takes_no_more_memory_than_there_is_for_it() {
    let server = with_database().await;
    assert_eq!(ask(&server, SORTED).await, json!({"code": "too-large"}));
    assert_eq!(ask(&server, "SELECT 1 AS one").await, json!([{"one": 1}]), "there is room again");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak: u64 = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 2 * 1024 * 1024, "{peak} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_stops_while_a_statement_is_at_work() {
    let mut server = with_database().await;
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) AS n FROM c";
    let id = server.start_run("f/databases/asks", &json!({ "statement": endless })).await.unwrap();
    crate::shared::wait_for_status(&server, &id, "running").await;
    let began = Instant::now();
    assert!(server.stop().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
