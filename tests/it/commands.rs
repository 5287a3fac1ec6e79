//! The command line, as a person at a terminal and as a script.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use sandmill_testkit::{binary::binary, server::Server};
use serde_json::{Value, json};

use crate::shared::server;

/// Runs the binary against the shared server.
pub(crate) fn sandmill(folder: &Path, server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder);
    command.env("SANDMILL_SERVER", &server.url).env("SANDMILL_TOKEN", &server.token).env("XDG_CONFIG_HOME", folder.join("config"));
    command.env("XDG_CACHE_HOME", binary().parent().expect("the binary is in a folder").join("testkit-cache"));
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The output, after the exit code was as expected.
fn exits(output: &Output, code: i32) -> (String, String) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

#[test]
fn a_file_runs_without_any_server() {
    let folder = tempfile::tempdir().unwrap();
    let source = "import { state } from 'sandmill';\nexport function main(a: number, b = 2) { console.log('adding'); state.set('x', 1); if (a < 0) throw new RangeError('negative'); return { sum: a + b, state: state.get('x') }; }\n";
    fs::write(folder.path().join("add.ts"), source).unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), server(), arguments);
    let (out, err) = exits(&run(&["run", "./add.ts", "--args", r#"{"a":40}"#, "--server", "http://127.0.0.1:1"]), 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"sum": 42, "state": 1}));
    assert!(err.contains("adding"), "{err}");
    let (_, err) = exits(&run(&["run", "./add.ts", "--arg", "a=-1"]), 1);
    assert!(err.contains("negative") && err.contains("add.ts:2:"), "{err}");
    let (_, err) = exits(&run(&["run", "./add.ts", "--arg", "a=x"]), 2);
    assert!(err.contains("/a"), "{err}");
    exits(&run(&["run", "./missing.ts"]), 2);
    let (_, err) = exits(&run(&["run", "./add.ts", "--arg", "a=1", "--priority", "-3"]), 2);
    assert!(err.contains("--priority"), "{err}");
    fs::write(folder.path().join("broken.ts"), "export function main( {").unwrap();
    let (_, err) = exits(&run(&["run", "./broken.ts"]), 2);
    assert!(err.contains("broken.ts:1:"), "{err}");
}

#[test]
fn push_run_and_look() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), server(), arguments);
    fs::write(folder.path().join("greet.ts"), "export function main(name: string) { console.log('hi there'); return `hello ${name}`; }\n")
        .unwrap();
    let (out, _) = exits(&run(&["push", "greet.ts", "--path", "f/commands/greet"]), 0);
    assert!(out.contains("f/commands/greet") && out.contains("@1"), "{out}");
    let (out, _) = exits(&run(&["run", "f/commands/greet", "--arg", "name=bob"]), 0);
    assert_eq!(out.trim(), "\"hello bob\"");
    let (out, _) = exits(&run(&["run", "f/commands/greet", "--arg", "name=bob", "--start", "--json"]), 0);
    let id = serde_json::from_str::<Value>(&out).unwrap()["run_id"].as_str().unwrap().to_owned();
    let (out, _) = exits(&run(&["runs", "log", &id, "--follow"]), 0);
    assert!(out.contains("hi there"), "{out}");
    let (out, _) = exits(&run(&["runs", "show", &id, "--json"]), 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["status"], "succeeded");
    let (out, _) = exits(&run(&["scripts", "list"]), 0);
    assert!(out.contains("f/commands/greet"), "{out}");
    let (out, _) = exits(&run(&["scripts", "show", "f/commands/greet"]), 0);
    assert!(out.contains("hello ${name}"), "{out}");
    exits(&run(&["run", "f/commands/missing"]), 3);
    exits(&run(&["run", "f/commands/greet", "--server", "http://127.0.0.1:1"]), 3);
    exits(&run(&["run", "f/commands/greet", "--args", "{"]), 2);
    exits(&run(&["fly"]), 2);
}

#[test]
fn a_run_on_terms() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), server(), arguments);
    fs::write(folder.path().join("later.ts"), "export function main() { return 'now'; }\n").unwrap();
    exits(&run(&["push", "later.ts", "--path", "f/commands/later"]), 0);
    let key = ["--idempotency-key", "once"];
    let start = ["run", "f/commands/later", "--start", "--delay-ms", "3600000", "--priority", "-3", "--tag", "nobody"];
    let (id, _) = exits(&run(&[&start[..], &key].concat()), 0);
    let (again, _) = exits(&run(&[&start[..], &key].concat()), 0);
    assert_eq!(id, again, "the same key is the same run");
    let (out, _) = exits(&run(&["runs", "show", id.trim(), "--json"]), 0);
    let record: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&record["status"], &record["tag"]), (&json!("queued"), &json!("nobody")), "{out}");
    let (_, err) = exits(&run(&["run", "f/commands/later", "--idempotency-key", "once"]), 3);
    assert!(err.contains("idempotency"), "another request by the same key: {err}");
    exits(&run(&["runs", "cancel", id.trim()]), 0);
    exits(&run(&["run", "f/commands/later", "--idempotency-key", "é"]), 2);
    let (_, err) = exits(&run(&["run", "f/commands/later", "--delay-ms", "1"]), 2);
    assert!(err.contains("--start"), "{err}");
    for due in [["--delay-ms", "1"], ["--at", "2001-01-01T00:00:00Z"]] {
        let (out, _) = exits(&run(&[&["run", "f/commands/later", "--stream"], &due[..]].concat()), 0);
        assert_eq!(out.trim(), "\"now\"");
    }
    let (_, err) = exits(&run(&["run", "f/commands/later", "--start", "--at", "tomorrow"]), 2);
    assert!(err.contains("2026-01-31T12:00:00Z"), "how a time is written: {err}");
}

#[test]
fn init_makes_a_project_that_works_at_once() {
    let folder = tempfile::tempdir().unwrap();
    exits(&sandmill(folder.path(), server(), &["init", "project"]), 0);
    let project = folder.path().join("project");
    assert!(project.join("sandmill.toml").is_file());
    let (out, _) = exits(&sandmill(&project, server(), &["push", "."]), 0);
    assert!(out.contains('@'), "{out}");
    let (_, err) = exits(&sandmill(folder.path(), server(), &["init", "project"]), 2);
    assert!(err.contains("project"), "nothing is overwritten: {err}");
}
