//! What one workspace builds and runs neither holds up another nor tells it anything.

use std::{fs, sync::Arc};

use reqwest::Method;
use sandmill_testkit::{guests::guest, server::Server};
use serde_json::json;
use tokio::task::JoinSet;

/// Components that one workspace pushes at once.
const MANY: u8 = 16;

/// A component that works as `hello` does and is another one for each number.
fn component(number: u8) -> Vec<u8> {
    let mut bytes = fs::read(guest("hello")).unwrap();
    // A custom section: its id, what is left of it, its name's length, its name, what it says.
    bytes.extend([0, 3, 1, b'n', number]);
    bytes
}

async fn push(server: &Server, workspace: &str, path: &str, component: Vec<u8>) -> u16 {
    let request = server.request(Method::PUT, &format!("/api/w/{workspace}/scripts/{path}"));
    let response = request.header("content-type", "application/wasm").body(component).send().await.unwrap();
    response.status().as_u16()
}

async fn create(server: &Server, workspace: &str) {
    let response = server.request(Method::POST, "/api/instance/workspaces").json(&json!({ "name": workspace })).send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
}

/// Components compiled since the start.
async fn compiled(server: &Server) -> u64 {
    let metrics = server.metrics().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix("sandmill_components_compiled_total ")).map_or(0, |count| count.parse().unwrap())
}

fn kept(server: &Server) -> usize {
    let names = fs::read_dir(server.data().join("code")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".code")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pushes_many_components_holds_up_nobody_else() {
    let server = Arc::new(Server::start(&[]).unwrap());
    create(&server, "quiet").await;
    let mut pushes = JoinSet::new();
    for number in 0..MANY {
        let server = Arc::clone(&server);
        pushes.spawn(async move { push(&server, "default", &format!("f/many/n{number}"), component(number)).await });
    }
    // By then the others have arrived, and wait.
    assert_eq!(pushes.join_next().await.unwrap().unwrap(), 201);
    assert_eq!(push(&server, "quiet", "f/one/n", component(u8::MAX)).await, 201);
    let mut ended = 1;
    while pushes.try_join_next().is_some() {
        ended += 1;
    }
    assert!(ended <= MANY / 2, "{ended} of {MANY} were before it");
}

/// Counted and not timed: what is compiled again takes as long as what is new.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_workspace_has_is_compiled_again() {
    let server = Server::start(&["--snapshot-after-runs", "1"]).unwrap();
    create(&server, "other").await;
    let before = kept(&server);
    for (workspace, path, count) in
        [("default", "f/known/one", 1), ("default", "f/known/two", 1), ("other", "f/known/one", 2), ("other", "f/known/two", 2)]
    {
        assert_eq!(push(&server, workspace, path, component(0)).await, 201);
        assert_eq!(compiled(&server).await, count, "{workspace} {path}");
        let answer = server.request(Method::POST, &format!("/hooks/{workspace}/run/{path}")).json(&json!({"name": "bob"})).send().await;
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(compiled(&server).await, count, "its first run finds it: {workspace} {path}");
    }
    assert_eq!(kept(&server), before + 2);
    // Programs that are made of sources behind their runs, too.
    for (workspace, count) in [("default", 1), ("other", 2)] {
        let body = json!({"language": "javascript", "source": "export function main() { return 'the same'; }"});
        let put = server.request(Method::PUT, &format!("/api/w/{workspace}/scripts/f/known/source")).json(&body).send().await.unwrap();
        assert_eq!(put.status(), 201);
        let call = server.request(Method::POST, &format!("/hooks/{workspace}/run/f/known/source")).json(&json!({})).send().await.unwrap();
        assert_eq!(call.status(), 200);
        server.wait_for_own_programs(count).await.unwrap();
    }
    assert_eq!(kept(&server), before + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_wait_for_the_memory_of_their_workspace_and_do_not_fail() {
    let server = Arc::new(Server::start(&["--guest-memory-mib", "512", "--workspace-memory-mib", "64"]).unwrap());
    create(&server, "quiet").await;
    let source = "export async function main() { const held = new Uint8Array(40_000_000).fill(1); await new Promise(r => setTimeout(r, 300)); return held[7]; }";
    let body = json!({"language": "javascript", "source": source});
    for workspace in ["default", "quiet"] {
        let put = server.request(Method::PUT, &format!("/api/w/{workspace}/scripts/f/memory/held")).json(&body).send().await.unwrap();
        assert_eq!(put.status(), 201);
    }
    // Two of one workspace are more than it may have.
    let mut calls = JoinSet::new();
    for workspace in ["default", "default", "default", "quiet"] {
        let server = Arc::clone(&server);
        calls.spawn(async move {
            let call = server.request(Method::POST, &format!("/hooks/{workspace}/run/f/memory/held")).json(&json!({}));
            let answer = call.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        });
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap(), (200, "1".to_owned()));
    }
}
