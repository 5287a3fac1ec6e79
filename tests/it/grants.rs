//! What a script asks for, what it is given, and what it is told that is denied.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::{commands::sandmill, shared::server};

const SOURCE: &str = "// /// sandmill
// [grants]
// runs = [\"f/grants/child\"]
// ///
import { runs } from 'sandmill';
export function main(n = 1) {
    try { return runs.run('f/grants/child', { n }); } catch (error) { return { name: error.name, code: error.code, message: error.message }; }
}
";

fn said(output: &std::process::Output) -> (String, String) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_asks_and_whoever_deploys_gives() {
    let server = server();
    server.deploy("f/grants/child", "typescript", "export const main = (n: number) => n * 2;").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("asks.ts"), SOURCE).unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), server, arguments);
    let push = ["push", "asks.ts", "--path", "f/grants/asks"];

    let (_, shown) = said(&run(&push));
    assert!(shown.contains("runs:f/grants/child") && shown.contains("sandmill grants give f/grants/asks all"), "{shown}");
    let answer = server.call("f/grants/asks", &json!({})).await.unwrap();
    let denied: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&denied["name"], &denied["code"]), (&json!("RunsError"), &json!("denied")), "{denied}");
    let how = "sandmill grants give f/grants/asks \"runs:f/grants/child\"";
    assert!(denied["message"].as_str().unwrap().contains(how), "{denied}");
    let runs = server.get_json("/api/w/default/runs?path=f/grants/asks").await.unwrap();
    let id = runs["items"][0]["id"].as_str().unwrap();
    let log = server.run_log(id).await.unwrap();
    assert!(log.contains("runs:f/grants/child"), "{log}");

    let refused = run(&[&push[..], &["--grant", "runs:f/*"]].concat());
    assert!(refused.status.success(), "it covers what is asked for: {}", String::from_utf8_lossy(&refused.stderr));
    let refused = run(&[&push[..], &["--grant", "secrets:f/x/y"]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not ask for it"));
    becomes(&json!(2)).await;
    let (listed, _) = said(&run(&["grants", "list", "f/grants/asks"]));
    assert!(listed.contains("runs:f/*"), "{listed}");

    let (_, missing) = said(&run(&["grants", "take", "f/grants/asks", "runs:f/*"]));
    assert!(missing.contains("runs:f/grants/child"), "{missing}");
    becomes(&denied).await;
    said(&run(&["grants", "give", "f/grants/asks", "all"]));
    becomes(&json!(2)).await;
    assert!(!run(&["grants", "give", "f/grants/asks", "moon:x"]).status.success());
}

/// What is granted is believed for a second.
async fn becomes(expected: &Value) {
    let mut last = Value::Null;
    for _ in 0..100 {
        let answer = server().call("f/grants/asks", &json!({})).await.unwrap();
        last = serde_json::from_slice(&answer.body).unwrap();
        if last == *expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{last} is not {expected}");
}

/// Whoever deployed something before does not come by what was given to code that came later.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_has_nothing_of_what_was_given_later() {
    let server = server();
    server.deploy("f/older/child", "typescript", "export const main = () => 'started';").await.unwrap();
    let source = |number: u32| {
        format!(
            "import {{ runs }} from 'sandmill';\nexport function main() {{ try {{ return {number} + runs.run('f/older/child'); }} catch (error) {{ return error.code; }} }}"
        )
    };
    let body =
        |number: u32| json!({"language": "typescript", "source": source(number), "manifest": {"grants": {"runs": ["f/older/child"]}}});
    server.deploy_ungranted("f/older/asks", body(1)).await.unwrap();
    // What is known of the path is known of its newest version alone.
    assert_eq!(server.call("f/older/asks", &json!({})).await.unwrap().json().unwrap(), json!("denied"));
    server.deploy_with("f/older/asks", body(2)).await.unwrap();
    assert_eq!(server.call("f/older/asks", &json!({})).await.unwrap().json().unwrap(), json!("2started"));
    assert_eq!(server.call("f/older/asks@1", &json!({})).await.unwrap().json().unwrap(), json!("denied"));
    server.deploy_ungranted("f/older/asks", body(3)).await.unwrap();
    assert_eq!(server.call("f/older/asks", &json!({})).await.unwrap().json().unwrap(), json!("3started"));
    assert_eq!(server.call("f/older/asks@1", &json!({})).await.unwrap().json().unwrap(), json!("denied"));
}

#[test]
fn a_file_is_given_what_its_caller_says() {
    let folder = tempfile::tempdir().unwrap();
    let source = SOURCE
        .replace("f/grants/child", "u/local/script")
        .replace("n = 1", "n = 0")
        .replace("runs.run(", "n > 2 ? n : runs.run(")
        .replace("{ n }", "{ n: n + 1 }");
    fs::write(folder.path().join("itself.ts"), source).unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), server(), arguments);
    let (out, _) = said(&run(&["run", "./itself.ts"]));
    assert!(out.contains("denied") && out.contains("run the file again with --grant") && !out.contains("grants give"), "{out}");
    let (out, _) = said(&run(&["run", "./itself.ts", "--grant", "all"]));
    assert_eq!(out.trim(), "3");
    let refused = run(&["run", "f/grants/child", "--grant", "all"]);
    assert_eq!(refused.status.code(), Some(2));
}

/// Whoever takes something away in a hurry must see what is still there.
#[test]
fn what_is_taken_is_gone_and_what_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let grants = |what: &str, which: &[&str]| sandmill(folder.path(), server(), &[&["grants", what, "f/taking/asks"][..], which].concat());
    let refused = |which: &[&str], code: i32| {
        let output = grants("take", which);
        let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!(output.status.code(), Some(code), "{which:?}: stdout: {out}\nstderr: {err}");
        (out, err)
    };
    let listed = || said(&grants("list", &[])).0;
    said(&grants("give", &["runs:f/taking/a", "runs:f/taking/b", "sql:read f/taking/db"]));

    for rubbish in ["rubbish", "ALL", "moon:x"] {
        let (_, err) = refused(&["runs:f/taking/a", rubbish], 2);
        assert!(err.contains(rubbish), "{err}");
    }
    assert_eq!(listed().lines().count(), 4, "what stands beside rubbish is not taken");

    let (out, err) = refused(&["runs:f/taking/gone", "runs:f/taking/a"], 3);
    assert!(err.contains("was not given `runs:f/taking/gone`;"), "{err}");
    for shown in [out, listed()] {
        assert!(!shown.contains("runs:f/taking/a") && shown.contains("runs:f/taking/b") && shown.contains("sql:read"), "{shown}");
    }

    let (out, _) = said(&grants("take", &["all"]));
    assert_eq!(out.trim(), "GRANT  BY  AT", "nothing is left");
    assert_eq!(listed(), out);
    let (_, note) = said(&grants("take", &["all"]));
    assert!(note.contains("was given nothing"), "{note}");
    let (out, _) = refused(&["runs:f/taking/b", "--json"], 3);
    let problem: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(problem["code"], "not_found", "{out}");
}
