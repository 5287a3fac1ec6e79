//! Events of a run as a stream.

use serde_json::{Value, json};

use crate::support::{Api, get, post};

/// Of the first two entries of a run's first attempt, and of the end.
const IDS: [&str; 3] = ["4294967297", "4294967298", "9007199254740991"];

/// Id, name and data of each event.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned).unwrap_or_else(|| panic!("{event}"))
    };
    let (head, rest) = text.split_once("\n\n").unwrap();
    assert_eq!(head, "retry: 1000");
    let all = rest.split_terminator("\n\n").filter(|event| !event.starts_with(':'));
    all.map(|event| (field(event, "id"), field(event, "event"), serde_json::from_str(&field(event, "data")).unwrap())).collect()
}

fn names(text: &str) -> Vec<(String, String)> {
    events(text).into_iter().map(|(id, name, _)| (id, name)).collect()
}

fn named(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect()
}

#[tokio::test]
async fn a_stream_has_the_log_and_the_end() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let answer = post("/probe/w/stream/f/t/echo").body("{\"a\":\n1}").to(&api).await;
    assert_eq!(answer.status, 200);
    for (header, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("content-security-policy", "sandbox"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(header), Some(value), "{header}");
    }
    let run = answer.run_id();
    let all = events(answer.text());
    assert_eq!(names(answer.text()), named(&[(IDS[0], "log"), (IDS[1], "log"), (IDS[2], "end")]));
    assert_eq!((&all[0].2["message"], &all[1].2["fields"]), (&json!("first"), &json!({"n": 1})));
    assert_eq!(all[2].2, json!({"run_id": run, "status": "succeeded", "outcome": "ok", "result": {"a": 1}}));
    let again = get(format!("/api/w/w/runs/{run}/events")).to(&api).await;
    assert_eq!((again.text(), again.header("cache-control")), (answer.text(), Some("no-store")), "the same after the end");
    api.stop().await;
}

#[tokio::test]
async fn whoever_comes_back_gets_what_it_missed() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = post("/probe/w/run/f/t/echo").to(&api).await.run_id();
    let uri = format!("/api/w/w/runs/{run}/events");
    let all = named(&[(IDS[0], "log"), (IDS[1], "log"), (IDS[2], "end")]);
    for (after, missed) in [("0", &all[..]), (IDS[0], &all[1..]), (IDS[1], &all[2..])] {
        assert_eq!(names(get(uri.clone()).header("last-event-id", after).to(&api).await.text()), missed, "{after}");
        assert_eq!(names(get(format!("{uri}?after={after}")).to(&api).await.text()), missed, "{after}");
    }
    let both = get(format!("{uri}?after=0")).header("last-event-id", IDS[1]).to(&api).await;
    assert_eq!(names(both.text()), all[2..], "the header is newer");
    assert_eq!(names(get(uri.clone()).header("last-event-id", "").to(&api).await.text()), all);
    let seen_all = get(uri.clone()).header("last-event-id", IDS[2]).to(&api).await;
    assert_eq!((seen_all.status.as_u16(), seen_all.text()), (204, ""));
    for bad in ["-1", "x", "9007199254740992", "1.5"] {
        get(uri.clone()).header("last-event-id", bad).to(&api).await.is_problem(400, "bad_request");
        get(format!("{uri}?after={bad}")).to(&api).await.is_problem(400, "bad_request");
        get(format!("{uri}?after={bad}")).header("last-event-id", IDS[1]).to(&api).await.is_problem(400, "bad_request");
    }
    api.stop().await;
}

#[tokio::test]
async fn who_may_only_start_sees_no_log_and_no_message() {
    let api = Api::new().await;
    api.token("sm_hook", Some(api.workspace), &["runs:start:f/t/*"]).await;
    for name in ["error", "invalid", "bytes", "skipped"] {
        api.deploy(&format!("f/t/{name}")).await;
    }
    let stream = |name: &str| post(format!("/probe/w/stream/f/t/{name}"));
    let open = stream("error").to(&api).await;
    let end = events(open.text()).pop().unwrap().2;
    assert_eq!((&end["status"], &end["outcome"], &end["error"]["message"]), (&json!("failed"), &json!("error"), &json!("secret message")));
    assert_eq!(end["error"]["stack"], "at main (secret.ts:7:1)");

    let closed = stream("error").token("sm_hook").to(&api).await;
    assert_eq!(names(closed.text()), named(&[(IDS[2], "end")]));
    assert!(!closed.text().contains("secret") && !closed.text().contains("first"), "{}", closed.text());
    let end = events(stream("invalid").token("sm_hook").to(&api).await.text()).pop().unwrap().2;
    assert_eq!(end["error"]["details"]["faults"][0]["pointer"], "/n", "what was sent is the caller's own");
    let end = events(stream("bytes").token("sm_hook").to(&api).await.text()).pop().unwrap().2;
    assert_eq!(end["bytes"], json!({"content_type": "image/png", "base64": "iVBORw=="}));
    let end = events(stream("skipped").token("sm_hook").to(&api).await.text()).pop().unwrap().2;
    assert_eq!((&end["status"], end.get("result")), (&json!("skipped"), Some(&Value::Null)));
    api.stop().await;
}

#[tokio::test]
async fn what_cannot_start_is_a_problem_and_no_stream() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    post("/probe/w/stream/f/t/echo").body("{\"a\":\"unfit\"}").to(&api).await.is_problem(422, "invalid_arguments");
    post("/probe/w/stream/f/t/nothing").to(&api).await.is_problem(404, "not_found");
    post("/probe/w/stream/f/t/echo").header("last-event-id", "x").to(&api).await.is_problem(400, "bad_request");
    let answer = post("/probe/w/stream/f/t/echo").header("last-event-id", IDS[1]).to(&api).await;
    assert_eq!(events(answer.text()).len(), 3, "a new run has no events that were seen");
    api.stop().await;
}

#[tokio::test]
async fn a_repetition_says_so_and_goes_on_behind_what_was_seen() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let call = |verb: &str| post(format!("/probe/w/{verb}/f/t/echo")).header("idempotency-key", "k").body("{\"a\":1}");
    let first = call("stream").to(&api).await;
    assert_eq!((names(first.text()).len(), first.header("idempotency-replayed")), (3, None));
    let run = first.run_id();
    for (verb, last_event, expected) in [("stream", IDS[1], 200), ("stream", IDS[2], 204), ("run", "", 200), ("start", "", 202)] {
        let again = call(verb).header("last-event-id", last_event).to(&api).await;
        let said = (again.status.as_u16(), again.run_id(), again.header("idempotency-replayed"));
        assert_eq!(said, (expected, run.clone(), Some("true")), "{verb} {last_event}");
    }
    let end = call("stream").header("last-event-id", IDS[2]).to(&api).await;
    assert_eq!(end.text(), "", "a browser does not come back");
    let mut wait = post("/api/w/w/runs").header("idempotency-key", "w").json(json!({"path": "f/t/echo", "wait": true})).to(&api).await;
    assert_eq!(wait.header("idempotency-replayed"), None);
    wait = post("/api/w/w/runs").header("idempotency-key", "w").json(json!({"path": "f/t/echo", "wait": true})).to(&api).await;
    assert_eq!((wait.status.as_u16(), wait.header("idempotency-replayed")), (200, Some("true")));
    api.stop().await;
}
