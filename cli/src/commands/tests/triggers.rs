//! Triggers: put, shown, steered, pushed.

use std::fs;

use serde_json::{Value, json};

use super::{JSON, PROBLEM, is_refused, remote};

const TRIGGER: &str = r#"{"path":"f/a/t","kind":"probe","target":"f/a/s","mode":"held","description":"nightly","config":{"at":1},"options":{},"answered_by":"u/ann","revision":7,"created_at":"2026-01-01T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","updated_by":"u/ann"}"#;
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const SCRIPT: &str = r#"{"path":"f/a/hello","number":1,"version":"sha256:0"}"#;

fn sent(bodies: &[String]) -> Value {
    serde_json::from_str(bodies.last().unwrap()).unwrap()
}

#[tokio::test]
async fn a_trigger_is_put_and_shown() {
    let put = ("PUT /api/w/w/triggers/f/a/t", "200 OK", JSON, TRIGGER);
    let arguments = ["triggers", "put", "f/a/t", "--kind", "probe", "--target", "f/a/s", "--config", r#"{"at": 1}"#, "--mode", "held"];
    let done = remote(&arguments, vec![put]).await;
    assert_eq!(done.exit, 0, "{}", done.err);
    assert_eq!(sent(&done.bodies), json!({"kind": "probe", "target": "f/a/s", "config": {"at": 1}, "mode": "held", "description": ""}));
    let expected = "trigger     f/a/t\nkind        probe\nmode        held\nstarts      f/a/s\ndescription nightly\nanswered by u/ann\nrevision    7\nupdated     2026-01-02T03:04:05Z by u/ann\n\nconfig {\n  \"at\": 1\n}\n";
    assert_eq!(done.out, expected);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.trigger.toml");
    fs::write(&file, "kind = \"probe\"\n[options]\npriority = 3\n[config]\nat = 2\n").unwrap();
    let done = remote(&["triggers", "put", "f/a/t", "--file", file.to_str().unwrap()], vec![put]).await;
    let expected = json!({"kind": "probe", "target": "f/a/t", "config": {"at": 2}, "options": {"priority": 3}, "description": ""});
    assert_eq!(sent(&done.bodies), expected, "{}", done.err);

    let done = remote(&["triggers", "put", "f/a/t", "--kind", "probe", "--config", "{\"hunter2\""], vec![]).await;
    assert!(done.exit == 2 && !done.err.contains("hunter2"), "{}", done.err);
    for refused in [
        &["triggers", "put", "f/a/t"][..],
        &["triggers", "put", "f/a/t", "--kind", "probe", "--file", "x"],
        &["triggers", "mode", "f/a/t", "of"],
        &["triggers", "events", "replay", "f/a/t"],
        &["triggers", "events", "replay", "f/a/t", ID, "--all"],
        &["triggers", "events", "replay", "f/a/t", "--dead", ID],
        &["triggers", "held", "release", "f/a/t"],
    ] {
        assert!(is_refused(refused), "{refused:?}");
    }
}

#[tokio::test]
async fn lists_are_tables() {
    let items = format!(r#"{{"items":[{TRIGGER}],"next":null}}"#).leak();
    let request = "GET /api/w/w/triggers?limit=50&prefix=f%2Fa%2F&kind=probe&target=f%2Fa%2Fs";
    let arguments = ["triggers", "list", "--prefix", "f/a/", "--kind", "probe", "--target", "f/a/s"];
    let done = remote(&arguments, vec![(request, "200 OK", JSON, items)]).await;
    assert_eq!(done.out, "TRIGGER  KIND   MODE  STARTS  DESCRIPTION\nf/a/t    probe  held  f/a/s   nightly\n", "{}", done.err);

    let kinds = r#"{"items":[{"name":"probe","summary":"For tests.","config":{"type":"object"},"event":{},"resource_types":[],"prefix":"p","listens":false,"is_shared":false,"is_of_every_script":false}],"options":{},"next":null}"#;
    let answer = ("GET /api/w/w/trigger-kinds", "200 OK", JSON, kinds);
    assert_eq!(remote(&["triggers", "kinds"], vec![answer]).await.out, "KIND   URLS  WHAT IT IS\nprobe  /p/   For tests.\n");
    assert!(remote(&["triggers", "kinds", "probe"], vec![answer]).await.out.contains("config {\n  \"type\": \"object\"\n}"));
    assert_eq!(remote(&["triggers", "kinds", "none"], vec![answer]).await.exit, 2);
}

#[tokio::test]
async fn how_it_fares_is_told() {
    let status = r#"{"path":"f/a/t","kind":"probe","mode":"on","revision":1,"seats":[{"number":0,"node":null,"state":"backing_off","since":"2026-01-02T03:04:05Z","error":"refused","error_at":"2026-01-02T03:04:06Z","failures":3,"next_try_at":"2026-01-02T03:04:07Z","last_event_at":null,"events":5,"lag_events":2,"failing_since":null,"alerted_at":null}]}"#;
    let done = remote(&["triggers", "status", "f/a/t"], vec![("GET /api/w/w/trigger-status/f/a/t", "200 OK", JSON, status)]).await;
    for line in ["backing_off since 2026-01-02T03:04:05Z", "refused (2026-01-02T03:04:06Z)", "3 in a row", "2 events"] {
        assert!(done.out.contains(line), "{}", done.out);
    }
    let works = ("POST /api/w/w/trigger-probes", "204 No Content", "", "");
    let done = remote(&["triggers", "test", "f/a/t"], vec![works]).await;
    assert_eq!((done.out.as_str(), done.bodies.as_slice()), ("f/a/t works\n", &[r#"{"path":"f/a/t"}"#.to_owned()][..]));
    let fails = r#"{"status":422,"code":"invalid_trigger","title":"The trigger is not valid","detail":"no answer from db:1"}"#;
    let done = remote(&["triggers", "test", "f/a/t"], vec![("POST /api/w/w/trigger-probes", "422 Unprocessable", PROBLEM, fails)]).await;
    assert!(done.exit == 2 && done.err.contains("no answer from db:1"), "{}", done.err);
    let next = ("POST /api/w/w/trigger-previews", "200 OK", JSON, r#"{"instants":["2026-01-02T03:00:00.000000Z"]}"#);
    let done = remote(&["triggers", "preview", "f/a/t", "--limit", "1"], vec![next]).await;
    assert_eq!(done.out, "2026-01-02T03:00:00.000000Z\n");
    let mode = ("POST /api/w/w/trigger-mode/f/a/t", "200 OK", JSON, r#"{"path":"f/a/t","mode":"off","revision":8}"#);
    assert_eq!(remote(&["triggers", "mode", "f/a/t", "off"], vec![mode]).await.out, "f/a/t off\n");
}

#[tokio::test]
async fn what_is_kept_is_steered_page_by_page() {
    let url = "POST /api/w/w/trigger-events/f/a/t";
    let first = r#"{"done":2,"passed_over":0,"problems":[],"next":"abc"}"#;
    let last = r#"{"done":1,"passed_over":1,"problems":[{"id":"x","code":"not_found","detail":"gone"}],"next":null}"#;
    let answers = vec![(url, "200 OK", JSON, first), (url, "200 OK", JSON, last)];
    let done = remote(&["triggers", "events", "replay", "f/a/t", "--all", "--dead"], answers).await;
    assert_eq!((done.exit, done.out.as_str()), (3, "x not_found: gone\n3 done, 1 passed over\n"), "{}", done.err);
    assert_eq!(sent(&done.bodies), json!({"action": "replay", "all": true, "kept_as": "dead", "cursor": "abc"}));

    let held = ("POST /api/w/w/held-runs/f/a/t", "200 OK", JSON, r#"{"done":1,"passed_over":0,"problems":[],"next":null}"#);
    let done = remote(&["triggers", "held", "release", "f/a/t", ID], vec![held]).await;
    assert_eq!((sent(&done.bodies), done.exit), (json!({"action": "release", "ids": [ID]}), 0), "{}", done.err);

    let empty = r#"{"items":[],"next":null}"#;
    let list = ("GET /api/w/w/runs?status=held&trigger_path=f%2Fa%2Ft&limit=50", "200 OK", JSON, empty);
    assert_eq!(remote(&["triggers", "held", "list", "f/a/t"], vec![list]).await.exit, 0);
    let event = format!(
        r#"{{"items":[{{"id":"{ID}","at":"2026-01-02T03:04:05Z","kept_as":"captured","reason":null,"event":{{"subject":"a"}},"payload":"hi","encoding":null,"payload_bytes":2,"is_whole":true}}],"next":null}}"#
    )
    .leak();
    let one = format!("GET /api/w/w/trigger-events/f/a/t?id={ID}").leak();
    let done = remote(&["triggers", "events", "show", "f/a/t", ID], vec![(one, "200 OK", JSON, event)]).await;
    assert!(done.out.contains("\"subject\": \"a\"") && done.out.ends_with("\nhi\n"), "{}", done.out);
}

#[tokio::test]
async fn push_puts_triggers_after_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("sandmill.toml", "folder = \"f/a\"\nsource = \".\"\n");
    write("hello.js", "export function main() {}\n");
    write("hello.trigger.toml", "kind = \"probe\"\n");
    write("other.trigger.toml", "kind = \"probe\"\ntarget = \"f/a/hello\"\nmode = \"off\"\n");
    let script = ("PUT /api/w/w/scripts/f/a/hello", "201 Created", JSON, SCRIPT);
    let own = ("PUT /api/w/w/triggers/f/a/hello", "200 OK", JSON, TRIGGER);
    let other = ("PUT /api/w/w/triggers/f/a/other", "200 OK", JSON, TRIGGER);
    let done = remote(&["push", folder.path().to_str().unwrap()], vec![script, own, other]).await;
    assert_eq!(done.exit, 0, "{}", done.err);
    let bodies: Vec<Value> = done.bodies[1..].iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!((&bodies[0]["target"], bodies[0].get("mode")), (&json!("f/a/hello"), None));
    assert_eq!((&bodies[1]["target"], &bodies[1]["mode"]), (&json!("f/a/hello"), &json!("off")));
    assert!(done.out.contains("f/a/t probe held: starts f/a/s"), "{}", done.out);

    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let done = remote(&["push", &at("hello.js")], vec![script, own]).await;
    assert_eq!(done.exit, 0, "with the trigger beside it: {}", done.err);
    let done = remote(&["push", &at("hello.trigger.toml")], vec![own]).await;
    assert_eq!(sent(&done.bodies)["target"], "f/a/hello", "{}", done.err);
    write("other.trigger.toml", "kind = \"probe\"\n");
    let done = remote(&["push", &at("other.trigger.toml")], vec![]).await;
    assert!(done.exit == 2 && done.err.contains("target"), "{}", done.err);
}
