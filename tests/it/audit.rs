//! The audit log from outside: what people and machines do over HTTP and by the command line, saved, checked, and tampered with.

use std::{fs, path::Path, process::Output};

use reqwest::Method;
use sandmill_testkit::{postgres::Postgres, server::Server};
use serde_json::{Value, json};

use crate::{
    commands::sandmill,
    disk::eventually,
    shared::{Database, on_both},
};

const SECRET: &str = "correct horse battery staple";

on_both![changes_are_told_and_can_be_checked, many_at_once_make_one_chain];

fn said(output: &Output, code: i32) -> (String, String) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    assert!(!out.contains(SECRET) && !err.contains(SECRET), "{out}{err}");
    (out, err)
}

async fn put(server: &Server, path: &str, text: &str) {
    let request = server.request(Method::PUT, &format!("/api/w/default/variables/{path}"));
    let answer = request.json(&json!({"text": text, "secret": true})).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

async fn changes_are_told_and_can_be_checked(database: Database) {
    let Some(server) = database.start(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), &server, arguments);
    server.deploy("f/audit/hello", "typescript", "export function main() { return 1; }").await.unwrap();
    put(&server, "f/audit/token", SECRET).await;
    said(&run(&["variables", "put", "f/audit/greeting", "--value", "hello"]), 0);
    said(&run(&["variables", "delete", "f/audit/greeting"]), 0);
    let stranger = reqwest::Client::new().get(format!("{}/api/w/default/scripts", server.url)).bearer_auth("sm_nobody").send().await;
    assert_eq!(stranger.unwrap().status(), 401);
    server.call("f/audit/hello", &json!({})).await.unwrap();

    let (listed, _) = said(&run(&["audit", "list"]), 0);
    for expected in ["scripts.deploy", "variables.put", "variables.delete", "u/admin", "127.0.0.1"] {
        assert!(listed.contains(expected), "{expected} in {listed}");
    }
    assert_eq!(listed.lines().count(), 5, "the run is none of them: {listed}");
    let (deleted, _) = said(&run(&["audit", "list", "--action", "variables.*", "--target", "f/audit/g*", "--json"]), 0);
    let deleted: Value = serde_json::from_str(&deleted).unwrap();
    let newest = &deleted["items"][0];
    assert_eq!(
        (&newest["action"], &newest["before"]["text"], &newest["after"]),
        (&json!("variables.delete"), &json!("hello"), &Value::Null)
    );
    let (denied, _) = said(&run(&["audit", "list", "--instance", "--outcome", "denied"]), 0);
    assert!(denied.contains("auth.failed") && denied.contains("GET /api/w/default/scripts"), "{denied}");

    let (exported, _) = said(&run(&["audit", "export"]), 0);
    assert_eq!(exported.lines().count(), 4);
    let file = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        name.to_owned()
    };
    let whole = file("whole.ndjson", &exported);
    let (checked, _) = said(&run(&["audit", "verify", "--file", &whole, "--server", "http://127.0.0.1:1"]), 0);
    let head = checked.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    let changed = file("changed.ndjson", &exported.replacen("f/audit/token", "f/audit/taken", 1));
    assert!(said(&run(&["audit", "verify", "--file", &changed]), 1).1.contains("entry 2 was changed"));
    let removed: String = exported.lines().enumerate().filter(|(index, _)| *index != 2).map(|(_, line)| format!("{line}\n")).collect();
    let removed = file("removed.ndjson", &removed);
    assert!(said(&run(&["audit", "verify", "--file", &removed]), 1).1.contains("entries 3 to 3 are missing"));
    let cut: String = exported.lines().take(3).map(|line| format!("{line}\n")).collect();
    let cut = file("cut.ndjson", &cut);
    said(&run(&["audit", "verify", "--file", &cut]), 0);
    assert!(said(&run(&["audit", "verify", "--file", &cut, "--head", &head]), 1).1.contains("entries after 3 are missing"));

    let (checked, _) = said(&run(&["audit", "verify", "--head", &head]), 0);
    assert!(checked.contains("entries 1 to 4") && checked.contains(&head), "{checked}");
    said(&run(&["audit", "verify", "--instance"]), 0);
    drop(server);
}

async fn many_at_once_make_one_chain(database: Database) {
    const CALLERS: usize = 8;
    const EACH: usize = 10;
    let Some(server) = database.start(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let callers = (0..CALLERS).map(|caller| {
        let server = &server;
        async move {
            for _ in 0..EACH {
                put(server, &format!("f/audit/n{caller}"), SECRET).await;
            }
        }
    });
    futures_util::future::join_all(callers).await;
    let (checked, _) = said(&sandmill(folder.path(), &server, &["audit", "verify"]), 0);
    assert!(checked.contains(&format!("entries 1 to {} are", CALLERS * EACH)), "{checked}");
}

/// Rows are changed behind the server's back.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_changed_in_sqlite_shows() {
    let mut server = Server::start(&[]).unwrap();
    for text in ["one", "two", "three"] {
        put(&server, "f/audit/token", text).await;
    }
    server.stop().unwrap();
    let forge = "UPDATE audit_entries SET identity = 'u/nobody' WHERE number = 2 AND workspace <> zeroblob(16);";
    if !sandmill_testkit::sqlite::execute(&server.data().join("sandmill.db"), forge) {
        return;
    }
    server.restart().unwrap();
    is_found(&server, "entry 2 was changed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_removed_from_postgresql_shows() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let server = Server::start(&["--database-url", &url]).unwrap();
    for text in ["one", "two", "three"] {
        put(&server, "f/audit/token", text).await;
    }
    let name = url.rsplit('/').next().unwrap();
    postgres.execute(name, "DELETE FROM audit_entries WHERE number = 3 AND length(ltrim(encode(workspace, 'hex'), '0')) > 0").unwrap();
    is_found(&server, "entries after 2 are missing").await;
}

async fn is_found(server: &Server, fault: &str) {
    let verdict = server.get_json("/api/w/default/audit/verify").await.unwrap();
    assert_eq!(verdict["valid"], json!(false), "{verdict}");
    assert!(verdict["fault"].as_str().unwrap().contains(fault), "{verdict}");
    let (_, err) = said(&sandmill(Path::new("."), server, &["audit", "verify"]), 1);
    assert!(err.contains(fault), "{err}");
}

/// What was acknowledged has its entry after a crash, and the chain is whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_outlives_a_crash() {
    let mut server = Server::start(&[]).unwrap();
    for round in 0..3 {
        let storm = futures_util::future::join_all((0..16).map(|caller| {
            let request = server.request(Method::PUT, &format!("/api/w/default/variables/f/audit/n{caller}"));
            let request = request.json(&json!({"text": format!("{round}")}));
            async move { request.send().await.is_ok_and(|answer| answer.status() == 200) }
        }));
        let done = storm.await.into_iter().filter(|done| *done).count();
        assert_eq!(done, 16);
        server.kill().unwrap();
        server.restart().unwrap();
    }
    eventually("all that was acknowledged is there", async || {
        let verdict = server.get_json("/api/w/default/audit/verify").await.unwrap();
        verdict["valid"] == json!(true) && verdict["head"].as_str().unwrap().starts_with("48:")
    })
    .await;
}
