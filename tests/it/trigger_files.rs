//! Triggers in files, pushed and steered by the command line.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{commands::sandmill, shared::server};

const SOURCE: &str = "export function main(n: number) { return n * 2; }\n";

/// The output of a command that goes well.
fn done(folder: &std::path::Path, arguments: &[&str]) -> String {
    let output = sandmill(folder, server(), arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}\n{err}");
    out
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_is_pushed_with_its_script_and_keeps_events() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("sandmill.toml", "folder = \"f/trigger-files\"\nsource = \".\"\n");
    write("double.ts", SOURCE);
    write("double.trigger.toml", "kind = \"webhook\"\nmode = \"capture\"\ndescription = \"looks first\"\n[options]\npriority = 3\n");
    let run = |arguments: &[&str]| done(folder.path(), arguments);
    let out = run(&["push", "."]);
    assert!(out.contains("f/trigger-files/double@1") && out.contains("f/trigger-files/double webhook capture"), "{out}");
    let shown = parsed(&run(&["triggers", "show", "f/trigger-files/double", "--json"]));
    assert_eq!((&shown["target"], &shown["options"]), (&json!("f/trigger-files/double"), &json!({"priority": 3})));

    let call = async || server().request(Method::POST, "/hooks/default/run/f/trigger-files/double").json(&json!({"n": 21})).send().await;
    assert_eq!(call().await.unwrap().status(), 202, "no run starts");
    let events = parsed(&run(&["triggers", "events", "list", "f/trigger-files/double", "--json"]));
    let id = events["items"][0]["id"].as_str().unwrap();
    assert_eq!((&events["items"][0]["payload"], &events["items"][0]["kept_as"]), (&json!("{\"n\":21}"), &json!("captured")));
    let out = run(&["triggers", "events", "replay", "f/trigger-files/double", id]);
    assert_eq!(out, "1 done\n");
    let runs = parsed(&run(&["runs", "list", "--trigger-path", "f/trigger-files/double", "--json"]));
    let replayed = runs["items"][0]["id"].as_str().unwrap();
    assert_eq!(server().ended_run(replayed).await.unwrap()["status"], "succeeded");

    // Somebody steers it by hand, and the next push leaves that alone if the file does not say.
    write("double.trigger.toml", "kind = \"webhook\"\n");
    assert_eq!(run(&["triggers", "mode", "f/trigger-files/double", "held"]), "f/trigger-files/double held\n");
    run(&["push", "."]);
    let held = call().await.unwrap();
    assert_eq!(held.status(), 202);
    let held: Value = held.json().await.unwrap();
    let listed = parsed(&run(&["triggers", "held", "list", "f/trigger-files/double", "--json"]));
    assert_eq!(listed["items"][0]["id"], held["run_id"], "{listed}");
    assert_eq!(run(&["triggers", "held", "release", "f/trigger-files/double", "--all"]), "1 done\n");
    assert_eq!(server().ended_run(held["run_id"].as_str().unwrap()).await.unwrap()["status"], "succeeded");

    run(&["triggers", "mode", "f/trigger-files/double", "on"]);
    let answer = call().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "42"));
    run(&["triggers", "delete", "f/trigger-files/double"]);
    assert_eq!(call().await.unwrap().status(), 200, "the webhook that every script has");
}
