//! Workspaces by the command line: made, limited, archived, and deleted with all that they have.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use crate::{
    commands::sandmill,
    shared::{Database, on_both},
};

/// How long a small workspace may take to be deleted.
const DELETED_LIMIT: Duration = Duration::from_secs(60);

on_both![a_workspace_lives_and_goes, what_a_plan_limits_is_refused_and_counted];

struct Cli<'a> {
    server: &'a Server,
    folder: &'a Path,
}

impl Cli<'_> {
    /// The JSON that a command prints.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = sandmill(self.folder, self.server, &[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = sandmill(self.folder, self.server, arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

async fn ask(server: &Server, method: Method, path: &str, body: Value) -> Answer {
    Answer::read(server.request(method, path).json(&body).send().await.unwrap()).await.unwrap()
}

async fn deploy(server: &Server, workspace: &str, path: &str, source: &str) -> Answer {
    let body = json!({"language": "javascript", "source": source});
    ask(server, Method::PUT, &format!("/api/w/{workspace}/scripts/{path}"), body).await
}

/// Files below a folder, whatever they are.
fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

async fn a_workspace_lives_and_goes(database: Database) {
    let Some(server) = database.start(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli { server: &server, folder: folder.path() };
    let made = cli.json(&["workspaces", "create", "acme", "--quota", "scripts=5"]);
    assert_eq!((&made["name"], &made["status"], &made["quotas"]["scripts"]), (&json!("acme"), &json!("active"), &json!(5)));
    let listed = cli.json(&["workspaces", "list"]);
    assert_eq!(listed["items"].as_array().unwrap().iter().map(|each| &each["name"]).collect::<Vec<_>>(), ["acme", "default"]);
    let large = "export function main() { return 'x'.repeat(200000); }";
    assert_eq!(deploy(&server, "acme", "f/w/large", large).await.status, 201);
    assert_eq!(ask(&server, Method::POST, "/hooks/acme/run/f/w/large", json!({})).await.status, 200);
    assert_eq!(ask(&server, Method::PUT, "/api/w/acme/variables/f/w/v", json!({"text": "x", "secret": true})).await.status, 200);
    let slow = "export async function main() { await new Promise(r => setTimeout(r, 50000)); }";
    assert_eq!(deploy(&server, "acme", "f/w/slow", slow).await.status, 201);
    // What scripts keep in files.
    let id = made["id"].as_str().unwrap();
    for kept in ["sqlite", "blobs"] {
        let kept = server.data().join(kept).join(id);
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("kept.db"), "kept").unwrap();
    }

    assert_eq!(cli.json(&["workspaces", "archive", "acme"])["status"], "archived");
    let refused = ask(&server, Method::POST, "/hooks/acme/run/f/w/large", json!({})).await;
    assert_eq!((refused.status, &refused.json().unwrap()["code"]), (409, &json!("workspace_archived")));
    assert_eq!(deploy(&server, "acme", "f/w/more", large).await.status, 409);
    assert_eq!(server.get_json("/api/w/acme/scripts").await.unwrap()["items"].as_array().unwrap().len(), 2);
    assert_eq!(cli.json(&["workspaces", "unarchive", "acme"])["status"], "active");

    let started = ask(&server, Method::POST, "/hooks/acme/start/f/w/slow", json!({})).await;
    assert_eq!(started.status, 202, "{started:?}");
    let wrong = cli.fails(&["workspaces", "delete", "acme", "--confirm", "acne"]);
    assert!(wrong.contains("confirm"), "{wrong}");
    assert_eq!(cli.json(&["workspaces", "delete", "acme", "--confirm", "acme"])["status"], "deleting");
    assert_eq!(ask(&server, Method::GET, "/api/w/acme/scripts", json!({})).await.status, 404);
    let deadline = Instant::now() + DELETED_LIMIT;
    while ask(&server, Method::GET, "/api/instance/workspaces/acme", json!({})).await.status != 404 {
        assert!(Instant::now() < deadline, "it is not deleted: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let files_left = || ["sqlite", "blobs", "objects"].map(|kept| files(&server.data().join(kept).join(id)));
    while files_left() != [0; 3] {
        assert!(Instant::now() < deadline, "files are left: {:?}", files_left());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = cli.json(&["workspaces", "create", "acme"]);
    assert_ne!(again["id"], made["id"]);
    // What was believed of the old one is forgotten within a second.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = ask(&server, Method::GET, "/api/w/acme/scripts", json!({})).await;
        if answer.status == 200 {
            assert_eq!(answer.json().unwrap()["items"], json!([]));
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn what_a_plan_limits_is_refused_and_counted(database: Database) {
    let Some(server) = database.start(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli { server: &server, folder: folder.path() };
    cli.json(&["plans", "put", "small", "runs_per_day=3", "scripts=1", "--description", "for tests"]);
    assert_eq!(cli.json(&["workspaces", "create", "acme", "--plan", "small"])["plan"], "small");
    assert!(cli.fails(&["plans", "delete", "small"]).contains("a workspace has this plan"));
    assert_eq!(deploy(&server, "acme", "f/w/one", "export function main() { return 1; }").await.status, 201);
    let refused = deploy(&server, "acme", "f/w/two", "export function main() { return 2; }").await;
    assert_eq!((refused.status, &refused.json().unwrap()["code"]), (429, &json!("quota_exceeded")));
    for _ in 0..3 {
        assert_eq!(ask(&server, Method::POST, "/hooks/acme/run/f/w/one", json!({})).await.status, 200);
    }
    for verb in ["run", "start", "stream"] {
        let refused = ask(&server, Method::POST, &format!("/hooks/acme/{verb}/f/w/one"), json!({})).await;
        assert_eq!((refused.status, &refused.json().unwrap()["code"]), (429, &json!("quota_exceeded")), "{verb}");
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    // Its own limit in the place of the plan's.
    assert_eq!(cli.json(&["workspaces", "quota", "acme", "runs_per_day=none"])["quotas"]["runs_per_day"], json!(null));
    assert_eq!(ask(&server, Method::POST, "/hooks/acme/run/f/w/one", json!({})).await.status, 200);
    assert_eq!(server.get_json("/api/w/acme/quotas").await.unwrap()["plan"], "small");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let usage = server.get_json("/api/w/acme/usage").await.unwrap();
        if usage["total"]["runs"]["ok"] == 4 {
            assert!(usage["total"]["fuel"].as_u64().unwrap() > 0 && usage["total"]["attempts"] == 4, "{usage}");
            break;
        }
        assert!(Instant::now() < deadline, "{usage}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = cli.json(&["usage", "--all"]);
    assert_eq!((&all["items"][0]["workspace"], &all["items"][0]["attempts"]), (&json!("acme"), &json!(4)));
    cli.json(&["workspaces", "delete", "acme", "--confirm", "acme"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let all = cli.json(&["usage", "--all"]);
        let of = all["items"].as_array().unwrap().iter().find(|of| of["workspace"] == "acme").unwrap().clone();
        assert_eq!((&of["attempts"], of["days"].as_array().unwrap().is_empty()), (&json!(4), false), "it stays for bills: {of}");
        if of["deleted_at"].is_string() {
            break;
        }
        assert!(Instant::now() < deadline, "{of}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
