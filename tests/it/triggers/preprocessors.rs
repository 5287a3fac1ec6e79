//! `preprocessor(event)`, in sources and in components: what it makes are the arguments, what it refuses never reaches `main`.

use std::process::{Command, Stdio};

use reqwest::Method;
use sandmill_testkit::{
    binary::binary,
    guests::guest,
    server::{Answer, Server},
};
use serde_json::{Value, json};

use crate::shared::{Database, in_both_tiers, on_both, plain};

const GATE: &str = "export function preprocessor(event: any) {
    console.log('asked');
    switch (event.body?.do) {
        case 'refuse': throw Object.assign(new Error('who are you'), { status: event.body.status });
        case 'refuse plainly': throw { name: 'Refused', message: 'who are you', status: 403 };
        case 'break': throw new TypeError('a fault of its own');
        case 'skip': return null;
        case 'unfit': return { name: 7 };
        default: return { name: event.body?.name ?? event.kind, more: event.body?.main };
    }
}
export function main(name: string, more?: any) {
    console.log('main');
    if (more) throw Object.assign(new Error('it is too late'), { status: 401 });
    return `Hello, ${name}`;
}";

on_both!(what_is_made_of_an_event_is_kept_beside_it);

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    let request = server.request(Method::POST, &format!("/hooks/default/run/{path}")).json(body);
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_refuses_with_the_status_that_it_chooses() {
    let path = "f/preprocessors/gate";
    for (tier, server) in in_both_tiers(&[(path, plain("typescript", GATE), json!({"name": "warm"}))]).await {
        for (body, status, code) in [
            (json!({"do": "refuse", "status": 401}), 401, "error"),
            (json!({"do": "refuse", "status": 499}), 499, "error"),
            (json!({"do": "refuse plainly"}), 403, "error"),
            // Only what is the sender's fault.
            (json!({"do": "refuse", "status": 200}), 500, "error"),
            (json!({"do": "refuse", "status": 302}), 500, "error"),
            (json!({"do": "refuse", "status": 503}), 500, "error"),
            (json!({"do": "refuse", "status": "401"}), 500, "error"),
            (json!({"do": "break"}), 500, "error"),
            (json!({"do": "unfit"}), 422, "invalid_arguments"),
            // It had passed.
            (json!({"main": true}), 500, "error"),
        ] {
            let answer = post(server, path, &body).await;
            let problem = answer.json().unwrap();
            assert_eq!(
                (answer.status, &problem["code"], &problem["status"]),
                (status, &json!(code), &json!(status)),
                "{tier:?} {body}: {problem}"
            );
            let run = server.ended_run(answer.header("sandmill-run-id").unwrap()).await.unwrap();
            assert_eq!((&run["outcome"], &run["attempt"]), (&json!(code), &json!(1)), "{tier:?} {body}");
            let log = server.run_log(run["id"].as_str().unwrap()).await.unwrap();
            assert_eq!((log.contains("asked"), log.contains("\"main\"")), (true, body["main"] == true), "{tier:?} {body}: {log}");
        }
        let skipped = post(server, path, &json!({"do": "skip"})).await;
        assert_eq!((skipped.status, skipped.text()), (200, "null".to_owned()), "{tier:?}");
        let run = server.ended_run(skipped.header("sandmill-run-id").unwrap()).await.unwrap();
        assert_eq!(run["status"], "skipped");
    }
}

/// Who may only start it learns the status and nothing of the error.
#[tokio::test(flavor = "multi_thread")]
async fn its_reasons_are_for_those_who_may_read_runs() {
    let server = crate::shared::server();
    let path = "f/preprocessors/quiet";
    server.deploy(path, "typescript", GATE).await.unwrap();
    // A webhook's token.
    let made = server.request(Method::POST, "/api/w/default/tokens").json(&json!({"start": path}));
    let token = Answer::read(made.send().await.unwrap()).await.unwrap().json().unwrap();
    let url = format!("{}/hooks/default/run/{path}", server.url);
    let request = reqwest::Client::new().post(url).bearer_auth(token["secret"].as_str().unwrap());
    let answer = Answer::read(request.json(&json!({"do": "refuse", "status": 401})).send().await.unwrap()).await.unwrap();
    assert_eq!(answer.status, 401);
    assert!(!answer.text().contains("who are you"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_component_it_works_alike() {
    let server = crate::shared::server();
    let path = "f/preprocessors/component";
    server.deploy_component(path, std::fs::read(guest("preprocess")).unwrap()).await.unwrap();
    let made = post(server, path, &json!({"name": "Ada"})).await;
    assert_eq!(made.json().unwrap(), json!({"args": {"name": "Ada"}, "preprocessed": 1}), "in the same instance");
    let event = json!({"kind": "other", "metadata": {"do": "reject", "status": 409}});
    let request = server.request(Method::POST, "/api/w/default/runs").json(&json!({"path": path, "event": event, "wait": true}));
    let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
    // Whoever starts it through the API did nothing wrong: that is told as any failure is.
    assert_eq!((answer.status, answer.json().unwrap()["error"]["name"].as_str()), (500, Some("Rejected")), "{answer:?}");
}

async fn what_is_made_of_an_event_is_kept_beside_it(database: Database) {
    let Some(server) = database.server() else { return };
    let path = "f/preprocessors/kept";
    server.deploy(path, "typescript", GATE).await.unwrap();
    for (content_type, payload, kept) in [
        ("application/json", &b" {\"name\": \"Ada\"} \n"[..], json!({"raw": " {\"name\": \"Ada\"} \n"})),
        ("text/plain", "ü \u{0} 🦀".as_bytes(), json!({"raw": "ü \u{0} 🦀"})),
        ("application/octet-stream", b"\xff\x00", json!({"raw": null, "body": "/wA=", "encoding": "base64"})),
        ("application/json", b"", json!({"raw": ""})),
    ] {
        let request = server.request(Method::POST, &format!("/hooks/default/start/{path}")).header("content-type", content_type);
        let started = Answer::read(request.body(payload.to_vec()).send().await.unwrap()).await.unwrap();
        assert_eq!(started.status, 202, "{started:?}");
        let id = started.json().unwrap()["run_id"].as_str().unwrap().to_owned();
        let run = server.ended_run(&id).await.unwrap();
        assert_eq!((&run["event"]["method"], &run["event"]["headers"]["content-type"]), (&json!("POST"), &json!(content_type)), "{run}");
        for (key, value) in kept.as_object().unwrap() {
            assert_eq!(run["event"][key], *value, "{key}: {run}");
        }
        let name = if payload.starts_with(b" {") { "Ada" } else { "webhook" };
        assert_eq!(run["arguments"], json!({"name": name}), "{run}");
        // Done again it has the same arguments, and nobody asks the preprocessor.
        let again = server.request(Method::POST, &format!("/api/w/default/runs/{id}/rerun")).json(&json!({})).send().await.unwrap();
        let again = Answer::read(again).await.unwrap().json().unwrap()["run_id"].as_str().unwrap().to_owned();
        assert_eq!(server.ended_run(&again).await.unwrap()["arguments"], run["arguments"]);
    }
}

#[test]
fn the_command_line_takes_an_event_too() {
    let server = crate::shared::server();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gate.ts"), GATE).unwrap();
    std::fs::write(folder.path().join("event.json"), r#"{"headers": {"X-A": "b"}, "body": {"name": "Ada"}}"#).unwrap();
    let sandmill = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
        let output = command.env("SANDMILL_SERVER", &server.url).env("SANDMILL_TOKEN", &server.token).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let pushed = sandmill(&["push", "gate.ts", "--path", "f/preprocessors/cli"]);
    assert_eq!(pushed.0, Some(0), "{pushed:?}");
    for what in ["./gate.ts", "f/preprocessors/cli"] {
        let (code, out, err) = sandmill(&["run", what, "--event", "@event.json"]);
        assert_eq!((code, out.as_str()), (Some(0), "\"Hello, Ada\"\n"), "{what}: {err}");
        let (code, out, _) = sandmill(&["run", what, "--event", r#"{"kind": "other", "body": {"do": "skip"}}"#]);
        assert_eq!((code, out.as_str()), (Some(0), "null\n"), "{what}");
        let (code, _, err) = sandmill(&["run", what, "--event", r#"{"body": {"do": "refuse", "status": 401}}"#]);
        assert_eq!((code, err.contains("who are you")), (Some(1), true), "{what}: {err}");
        let (code, out, _) = sandmill(&["run", what, "--event", r#"{"kind": "other"}"#]);
        assert_eq!((code, out.as_str()), (Some(0), "\"Hello, other\"\n"), "{what}");
    }
}
