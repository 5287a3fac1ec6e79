//! Runs and dead letters that are cancelled, done again, replayed and discarded: one, and many.

use super::{Answer, JSON, PROBLEM, RUN, remote};

/// The answer of a bulk request, with a page behind it.
fn bulk(path: &'static str, receipt: &'static str) -> Answer {
    (path, "200 OK", JSON, receipt)
}

/// A request line that names the run.
fn about(template: &str) -> &'static str {
    template.replace("{run}", RUN).leak()
}

const FIRST: &str = r#"{"done":998,"ending":1,"passed_over":1,"problems":[],"next":"c2"}"#;
const LAST: &str = r#"{"done":2,"ending":0,"passed_over":0,"problems":[],"next":null}"#;
const REFUSED: &str =
    r#"{"done":1,"ending":0,"passed_over":2,"problems":[{"run":"r7","code":"not_found","detail":"nothing is deployed"}],"next":null}"#;

#[tokio::test]
async fn one_run_is_done_again_with_what_was_written() {
    let answer = || (about("POST /api/w/w/runs/{run}/rerun"), "202 Accepted", JSON, r#"{"run_id":"r2","status":"queued"}"#);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("args.json");
    std::fs::write(&file, "{\"n\": 1e400}\n").unwrap();
    let from_file = format!("@{}", file.display());
    for (more, body) in [
        (&[][..], r#"{"version":"newest","args":null}"#),
        (&["--same-version"], r#"{"version":"same","args":null}"#),
        (&["--args", r#"{"n": 12345678901234567890.10}"#], r#"{"version":"newest","args":{"n": 12345678901234567890.10}}"#),
        (&["--args", &from_file], r#"{"version":"newest","args":{"n": 1e400}}"#),
    ] {
        let done = remote(&[&["runs", "rerun", RUN][..], more].concat(), vec![answer()]).await;
        assert_eq!((done.exit, done.out.as_str()), (0, "r2 queued\n"), "{}", done.err);
        assert_eq!(done.bodies, [body], "{more:?}");
    }
    for bad in [&["--args", "[1]"][..], &["--args", "{"], &["--path", "f/a/b"]] {
        assert_eq!(remote(&[&["runs", "rerun", RUN][..], bad].concat(), vec![]).await.exit, 2, "{bad:?}");
    }
    assert_eq!(remote(&["runs", "rerun"], vec![]).await.exit, 2, "all runs are not meant");
}

#[tokio::test]
async fn many_are_steered_page_by_page() {
    for (command, path, expected) in [
        (&["runs", "cancel"][..], "POST /api/w/w/runs/cancel", r#"{"filter":{"path":"f/a/b","status":"failed"}"#),
        (
            &["runs", "rerun", "--same-version"],
            "POST /api/w/w/runs/rerun",
            r#"{"filter":{"path":"f/a/b","status":"failed"},"version":"same""#,
        ),
        (&["dead-letters", "replay"], "POST /api/w/w/dead-letters/replay", r#"{"filter":{"path":"f/a/b","status":"failed"}"#),
        (&["dead-letters", "discard"], "POST /api/w/w/dead-letters/discard", r#"{"filter":{"path":"f/a/b","status":"failed"}"#),
    ] {
        let arguments = [command, &["--path", "f/a/b", "--status", "failed"]].concat();
        let done = remote(&arguments, vec![bulk(path, FIRST), bulk(path, LAST)]).await;
        assert_eq!((done.exit, done.out.as_str()), (0, "1000 done, 1 being ended, 1 passed over\n"), "{}", done.err);
        let bodies: Vec<serde_json::Value> = done.bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
        let first: serde_json::Value = serde_json::from_str(&format!("{expected}}}")).unwrap();
        assert_eq!(bodies[0], first, "{command:?}");
        assert_eq!((&bodies[1]["filter"], &bodies[1]["cursor"]), (&first["filter"], &"c2".into()), "{command:?}");
    }
}

#[tokio::test]
async fn what_stood_in_the_way_of_some_is_told() {
    let path = "POST /api/w/w/runs/rerun";
    let rerun = ["runs", "rerun", "--path", "f/a/b"];
    let done = remote(&rerun, vec![bulk(path, REFUSED)]).await;
    assert_eq!((done.exit, done.out.as_str()), (3, "r7 not_found: nothing is deployed\n1 done, 2 passed over\n"), "{}", done.err);
    let done = remote(&[&rerun[..], &["--json"]].concat(), vec![bulk(path, REFUSED)]).await;
    assert_eq!((done.exit, done.out.trim_end()), (3, REFUSED));

    // What was done before a page fails is told, too.
    let forbidden = (path, "403 Forbidden", PROBLEM, r#"{"code":"forbidden","detail":"the token was revoked"}"#);
    let done = remote(&rerun, vec![bulk(path, FIRST), forbidden]).await;
    assert_eq!((done.exit, done.out.as_str()), (3, "998 done, 1 being ended, 1 passed over\n"));
    assert!(done.err.contains("the token was revoked"), "{}", done.err);
}

#[tokio::test]
async fn a_page_is_asked_for_again_with_its_key() {
    let path = "POST /api/w/w/runs/rerun";
    let busy = (path, "503 Service Unavailable", PROBLEM, r#"{"code":"unavailable","detail":"later"}"#);
    let done = remote(&["runs", "rerun", "--path", "f/a/b"], vec![bulk(path, FIRST), busy, bulk(path, LAST)]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "1000 done, 1 being ended, 1 passed over\n"), "{}", done.err);
    assert_eq!(done.keys.len(), 3);
    assert!(done.keys[0] != done.keys[1] && done.keys[1] == done.keys[2] && done.keys[0].len() == 32, "{:?}", done.keys);
    let done = remote(&["runs", "rerun", "--path", "f/a/b"], vec![busy, busy, busy]).await;
    assert_eq!((done.exit, done.out.as_str()), (3, "0 done\n"));
}

#[tokio::test]
async fn dead_letters_one_by_one() {
    let list = r#"{"items":[{"id":"r1","path":"f/a/b","number":3,"status":"failed","outcome":"error","trigger":null,"attempt":1,"run_as":"u/a",
        "created_at":"2026-01-02T03:04:05.678901Z","started_at":null,"ended_at":null}],"next":"c2"}"#;
    let path = "GET /api/w/w/dead-letters?outcome=error&limit=1&cursor=c1";
    let done = remote(&["dead-letters", "list", "--outcome", "error", "--limit", "1", "--cursor", "c1"], vec![bulk(path, list)]).await;
    assert_eq!(done.exit, 0, "{}", done.err);
    assert!(done.out.ends_with("r1  failed  f/a/b@3  -        2026-01-02T03:04:05Z  error\n"), "{}", done.out);

    let replay = (about("POST /api/w/w/dead-letters/{run}/replay"), "202 Accepted", JSON, r#"{"run_id":"r2","status":"queued"}"#);
    let done = remote(&["dead-letters", "replay", RUN], vec![replay]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "r2 queued\n"));

    let discard = (about("DELETE /api/w/w/dead-letters/{run}"), "204 No Content", "", "");
    let done = remote(&["dead-letters", "discard", RUN], vec![discard]).await;
    assert_eq!((done.exit, done.out), (0, format!("{RUN} discarded\n")), "{}", done.err);
    let done = remote(&["dead-letters", "discard", RUN, "--json"], vec![discard]).await;
    assert_eq!(done.out, format!("{{\"run_id\":\"{RUN}\",\"status\":\"discarded\"}}\n"));

    let all = bulk("POST /api/w/w/dead-letters/discard", LAST);
    let done = remote(&["dead-letters", "discard", "--all"], vec![all]).await;
    assert_eq!((done.exit, done.out.as_str(), &*done.bodies[0]), (0, "2 done\n", r#"{"filter":{}}"#));
    assert_eq!(remote(&["dead-letters", "discard"], vec![]).await.exit, 2, "without --all some are meant");
}

#[tokio::test]
async fn who_may_not_follow_a_run_learns_its_id() {
    let start = ("POST /api/w/w/runs", "202 Accepted", JSON, r#"{"run_id":"r1","status":"queued"}"#);
    let hidden = ("GET /api/w/w/runs/r1/events", "404 Not Found", PROBLEM, r#"{"code":"not_found","detail":"no such run"}"#);
    let done = remote(&["run", "f/demo/hello", "--stream"], vec![start, hidden]).await;
    assert_eq!((done.exit, done.out.as_str()), (3, ""));
    assert!(done.err.starts_with("run r1 was started and goes on"), "{}", done.err);
}
