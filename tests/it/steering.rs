//! Steering many runs at once, from the command line and over HTTP: more of them than one request takes.

use futures_util::{StreamExt, stream};
use reqwest::Method;
use sandmill_testkit::{
    postgres::Postgres,
    server::{Answer, Server},
};
use serde_json::{Value, json};

use crate::{commands::sandmill, disk::eventually};

/// More than one request steers.
const MANY: usize = 1_100;
/// A tag that no node serves: what has it waits.
const NOWHERE: &str = "nowhere";

const SPLITS: &str = "export function main(n: number) { if (n >= 0) throw new RangeError('as asked'); return n; }";

/// On either database; none if there is no PostgreSQL.
fn servers(arguments: &[&str]) -> Vec<Server> {
    let sqlite = Server::start(arguments).unwrap();
    let postgres =
        Postgres::shared().map(|postgres| Server::start(&[arguments, &["--database-url", &postgres.database()]].concat()).unwrap());
    std::iter::once(sqlite).chain(postgres).collect()
}

/// Starts so many runs, many at once.
async fn start(server: &Server, count: usize, body: impl Fn(usize) -> Value) -> Vec<String> {
    let starting = (0..count).map(|n| {
        let request = server.request(Method::POST, "/api/w/default/runs").json(&body(n));
        async move {
            let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
            assert_eq!(answer.status, 202, "{answer:?}");
            answer.json().unwrap()["run_id"].as_str().unwrap().to_owned()
        }
    });
    stream::iter(starting).buffer_unordered(16).collect().await
}

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    Answer::read(server.request(Method::POST, &format!("/api/w/default/{path}")).json(body).send().await.unwrap()).await.unwrap()
}

/// Runs that a list finds in all.
async fn count(server: &Server, list: &str) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let page = server.get_json(&format!("/api/w/default/{list}limit=200{cursor}")).await.unwrap();
        count += page["items"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { return count };
        cursor = format!("&cursor={next}");
    }
}

/// What the command says on stdout, when it is done well.
fn says(server: &Server, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let done = sandmill(folder.path(), server, arguments);
    assert_eq!(done.status.code(), Some(0), "{arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_cancelled_and_done_again() {
    for server in servers(&[]) {
        for path in ["f/steering/echo", "f/steering/other"] {
            server.deploy_with(path, json!({"language": "identity", "source": ""})).await.unwrap();
        }
        start(&server, MANY, |n| json!({"path": "f/steering/echo", "args": {"n": n}, "tag": NOWHERE})).await;
        let other = start(&server, 3, |n| json!({"path": "f/steering/other", "args": {"n": n}, "tag": NOWHERE})).await;
        assert_eq!(says(&server, &["runs", "cancel", "--path", "f/steering/echo"]), format!("{MANY} done\n"));
        assert_eq!(count(&server, "runs?status=queued&").await, other.len(), "nothing else was meant");

        let rerun = ["runs", "rerun", "--path", "f/steering/echo", "--status", "cancelled"];
        assert_eq!(says(&server, &rerun), format!("{MANY} done\n"));
        eventually("all are done again", async || count(&server, "runs?path=f/steering/echo&status=succeeded&").await == MANY).await;

        let said: Value = serde_json::from_str(&says(&server, &["runs", "cancel", "--tag", NOWHERE, "--json"])).unwrap();
        assert_eq!((&said["done"], &said["passed_over"], &said["next"]), (&json!(3), &json!(0), &Value::Null), "{said}");
        assert_eq!(says(&server, &["runs", "cancel", "--tag", NOWHERE]), "0 done\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_is_done_again_otherwise() {
    for server in servers(&[]) {
        for n in 1..=2 {
            let source = format!("export function main(x: number) {{ return [{n}, String(x)]; }}");
            server.deploy("f/steering/version", "typescript", &source).await.unwrap();
        }
        let first = start(&server, 1, |_| json!({"path": "f/steering/version@1", "args": {"x": 7}})).await.remove(0);
        server.ended_run(&first).await.unwrap();
        for (more, expected) in [
            (&[][..], json!([2, "7"])),
            (&["--same-version"], json!([1, "7"])),
            (&["--args", "{\"x\": 8}"], json!([2, "8"])),
            (&["--same-version", "--args", "{\"x\": 9}"], json!([1, "9"])),
        ] {
            let said = says(&server, &[&["runs", "rerun", &first][..], more].concat());
            let id = said.split(' ').next().unwrap();
            assert_eq!(server.ended_run(id).await.unwrap()["status"], "succeeded");
            assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap(), expected, "{more:?}");
        }
        // Numbers are passed on as they are written.
        server.deploy_with("f/steering/echo", json!({"language": "identity", "source": ""})).await.unwrap();
        let echo = start(&server, 1, |_| json!({"path": "f/steering/echo"})).await.remove(0);
        server.ended_run(&echo).await.unwrap();
        let said = says(&server, &["runs", "rerun", &echo, "--args", "{\"x\": 12345678901234567890123}"]);
        let id = said.split(' ').next().unwrap();
        server.ended_run(id).await.unwrap();
        let result = server.request(Method::GET, &format!("/api/w/default/runs/{id}/result")).send().await.unwrap().text().await.unwrap();
        assert_eq!(result, "{\"x\": 12345678901234567890123}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_dead_letters_are_replayed_and_discarded() {
    const REPLAYED: usize = 5;
    for server in servers(&[]) {
        for path in ["f/steering/splits", "f/steering/more"] {
            server.deploy(path, "typescript", SPLITS).await.unwrap();
        }
        start(&server, MANY, |n| json!({"path": "f/steering/splits", "args": {"n": n}})).await;
        let more = start(&server, REPLAYED, |n| json!({"path": "f/steering/more", "args": {"n": n}})).await;
        eventually("all have failed", async || count(&server, "dead-letters?").await == MANY + REPLAYED).await;
        let listed = says(&server, &["dead-letters", "list", "--path", "f/steering/more"]);
        assert_eq!(listed.lines().count(), REPLAYED + 1, "{listed}");

        // Mended, they do well.
        server.deploy("f/steering/more", "typescript", "export function main(n: number) { return n; }").await.unwrap();
        assert!(says(&server, &["dead-letters", "replay", &more[0]]).contains("queued"));
        assert_eq!(says(&server, &["dead-letters", "replay", "--path", "f/steering/more"]), format!("{} done\n", REPLAYED - 1));
        eventually("they are done", async || count(&server, "runs?path=f/steering/more&status=succeeded&").await == REPLAYED).await;
        assert_eq!(count(&server, "dead-letters?path=f/steering/more&").await, 0);

        let part = post(&server, "dead-letters/discard", &json!({"filter": {}})).await.json().unwrap();
        assert_eq!((&part["done"], part["next"].is_string()), (&json!(1000), true), "{part}");
        let rest = post(&server, "dead-letters/discard", &json!({"filter": {}, "cursor": part["next"]})).await.json().unwrap();
        assert_eq!((&rest["done"], &rest["next"]), (&json!(MANY - 1000), &Value::Null), "{rest}");
        assert_eq!(count(&server, "dead-letters?").await, 0);
        assert_eq!(count(&server, "runs?path=f/steering/splits&status=failed&").await, MANY, "their runs stay");
        assert_eq!(says(&server, &["dead-letters", "discard", "--all"]), "0 done\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_backlog_callers_are_told_to_wait() {
    for server in servers(&["--backlog-max", "3"]) {
        server.deploy_with("f/steering/echo", json!({"language": "identity", "source": ""})).await.unwrap();
        let waiting = json!({"path": "f/steering/echo", "tag": NOWHERE});
        let is_full = async || {
            let refused = post(&server, "runs", &waiting).await;
            assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
            assert_eq!(refused.json().unwrap()["code"], "too_many_requests");
        };
        let first = start(&server, 3, |_| waiting.clone()).await;
        is_full().await;
        let hook = server.request(Method::POST, "/hooks/default/start/f/steering/echo").json(&json!({}));
        assert_eq!(hook.send().await.unwrap().status(), 429, "whoever starts them");

        let settings = server.request(Method::PATCH, "/api/w/default/settings").json(&json!({"backlog_max": 5})).send().await.unwrap();
        assert_eq!(settings.status(), 200);
        start(&server, 2, |_| waiting.clone()).await;
        is_full().await;
        assert_eq!(says(&server, &["runs", "cancel", &first[0]]), format!("{} cancelled\n", first[0]));
        eventually("there is room again", async || post(&server, "runs", &waiting).await.status == 202).await;
        is_full().await;
    }
}
