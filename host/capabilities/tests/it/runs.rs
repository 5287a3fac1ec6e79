use std::time::Duration;

use bytes::Bytes;
use sandmill_model::{
    Input, JsonText, LogLevel, LogStream, Outcome, OutcomeKind, Output, RunError,
    children::{ChildError, Until},
    limits::{CHILD_KEY_BYTES_MAX, CHILDREN_MAX},
    version::Selector,
};
use serde_json::json;

use crate::testing::{Testbed, attempt, child_id, json, ok, testbed};

pub(crate) fn bed() -> Testbed {
    testbed("runs")
}

#[tokio::test]
async fn start_wait_result_cancel() {
    let bed = bed();
    let (one, two) = (child_id(1).to_string(), child_id(2).to_string());
    let calls = format!(
        r#"[["start","f/test/child","{{\"n\": 1}}"],
        ["start","f/test/child@3","{{}}",{{"delay_ms":5,"priority":-7,"tag":"gpu","key":"k"}}],
        ["wait","{one}"],["wait","{one}",1],["wait_many",["{one}","{two}"],"any",50],["wait_many",[],"all"],
        ["result","{one}"],["result","{}"],["cancel","{one}"]]"#,
        child_id(9)
    );
    let attempt = attempt(Input::Arguments(JsonText::empty_object()));
    let (run, workspace, run_as) = (attempt.run, attempt.workspace, attempt.run_as.clone());
    let results = json(&bed.attempt(attempt, &calls).await);
    let late = format!("run {one} has not ended within 1 ms");
    let done = json!({ "succeeded": r#"{"n": 1}"# });
    assert_eq!(results, json!([one, two, done, { "timeout": late }, [one, two], [], done, null, true]));
    let children = bed.ports.children.lock().unwrap();
    let (parent, first) = &children[0];
    assert_eq!((parent.run, parent.workspace, &parent.run_as), (run, workspace, &run_as));
    assert_eq!((first.path.as_str(), first.selector, first.arguments.as_str()), ("f/test/child", Selector::Newest, r#"{"n": 1}"#));
    let second = &children[1].1;
    let terms = &second.terms;
    assert_eq!((second.selector, terms.delay, terms.priority), (Selector::Number(3), Some(Duration::from_millis(5)), Some(-7)));
    assert_eq!((terms.tag.as_deref(), terms.key.as_deref()), (Some("gpu"), Some("k")));
    let waits = bed.ports.waits.lock().unwrap();
    assert!(waits[0].2 > Duration::from_secs(50), "as long as the run may take: {:?}", waits[0]);
    assert_eq!((waits[2].1, waits[2].2), (Until::Any, Duration::from_millis(50)));
}

#[tokio::test]
async fn endings_of_all_kinds() {
    let bed = bed();
    let mut error = RunError::new("RateLimited", "too fast");
    error.stack = Some("at child".to_owned());
    error.details = Some(JsonText::trusted("{\"after\":3}"));
    let plain = |kind: OutcomeKind| Outcome { kind, output: None, error: None, ..Outcome::host_fault("") };
    let bytes = Output::Bytes { content_type: "image/png".to_owned(), data: Bytes::from_static(b"\x01\xff") };
    for (ending, seen) in [
        (ok(bytes), json!({ "succeeded": ["image/png", [1, 255]] })),
        (plain(OutcomeKind::Skipped), json!("skipped")),
        (
            Outcome::failed(OutcomeKind::Error, error),
            json!({ "outcome": "error", "name": "RateLimited", "message": "too fast", "stack": "at child", "details": "{\"after\":3}" }),
        ),
        (
            plain(OutcomeKind::Timeout),
            json!({ "outcome": "timeout", "name": "timeout", "message": "nothing more is known of it", "stack": null, "details": null }),
        ),
    ] {
        *bed.ports.ending.lock().unwrap() = Some(ending);
        let (results, _) = bed.calls(&format!(r#"[["wait","{}"]]"#, child_id(1))).await;
        assert_eq!(results, json!([seen]));
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_said_in_the_log() {
    let bed = bed();
    for path in ["f/other/child", "f/tes/x", "u/ann/x"] {
        let (results, outcome) = bed.calls(&format!(r#"[["start","{path}","{{}}"]]"#)).await;
        let text = results[0]["denied"].as_str().unwrap();
        assert!(text.contains(path) && text.contains("[grants]") && text.contains(&format!("runs = [\"{path}\"]")), "{text}");
        let line = &outcome.log[0];
        assert_eq!((line.level, line.stream, line.message.as_str()), (LogLevel::Warn, LogStream::Host, text));
    }
    assert!(bed.ports.children.lock().unwrap().is_empty(), "nothing reached the port");
}

#[tokio::test]
async fn less_than_is_asked_for_may_be_given() {
    let bed = bed();
    *bed.ports.given.lock().unwrap() = Some(Ok(vec!["runs:f/test/one".parse().unwrap()]));
    let (results, _) = bed.calls(r#"[["start","f/test/one","{}"],["start","f/test/two","{}"]]"#).await;
    assert_eq!(results[0], json!(child_id(1).to_string()));
    let text = results[1]["denied"].as_str().unwrap();
    assert!(text.contains("sandmill grants give f/test/script \"runs:f/test/*\""), "{text}");
    let children = bed.ports.children.lock().unwrap();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].1.grants.scopes(), ["runs:start:f/test/one".parse().unwrap()], "what it may start is what was looked at");
}

#[tokio::test]
async fn what_is_no_path_no_id_or_no_json_does_not_reach_the_port() {
    let bed = bed();
    let long_key = "k".repeat(CHILD_KEY_BYTES_MAX + 1);
    let long_id = "1".repeat(5_000);
    let calls = format!(
        r#"[["start","../other/f/test/x","{{}}"],["start","f/test/../x","{{}}"],["start","f/test/x%2fy","{{}}"],
        ["start","F/test/x","{{}}"],["start","f/tеst/x","{{}}"],["start","f/test/x@0","{{}}"],["start","","{{}}"],
        ["start","f/test/x","[1]"],["start","f/test/x","{{"],["start","f/test/x","{{}}",{{"key":""}}],
        ["start","f/test/x","{{}}",{{"key":"{long_key}"}}],["start","f/test/x","{{}}",{{"delay_ms":99999999999999}}],
        ["wait","nobody"],["wait_many",["{long_id}"],"all"],["result",""],["cancel","../x"]]"#
    );
    let (results, _) = bed.calls(&calls).await;
    for result in results.as_array().unwrap() {
        assert!(result["invalid"].as_str().is_some_and(|text| text.len() < 500), "{results}");
    }
    assert!(bed.ports.children.lock().unwrap().is_empty() && bed.ports.waits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn so_many_children_and_no_more() {
    let bed = bed();
    let calls = format!(
        r#"[["start","f/test/x","{{}}",{{}},{CHILDREN_MAX}],["start","f/test/x","{{}}"],["wait_crowd","{0}",{CHILDREN_MAX}],
        ["wait_crowd","{0}",{1}]]"#,
        child_id(1),
        CHILDREN_MAX + 1
    );
    let (results, _) = bed.calls(&calls).await;
    assert_eq!(results[0], json!(child_id(CHILDREN_MAX).to_string()));
    assert!(results[1]["too_many"].as_str().unwrap().contains("at most 1000 runs"), "{results}");
    assert_eq!(results[2], json!(CHILDREN_MAX));
    assert!(results[3]["too_many"].as_str().unwrap().contains("1001"), "{results}");
    assert_eq!(bed.ports.children.lock().unwrap().len(), CHILDREN_MAX);
}

#[tokio::test]
async fn what_dispatch_refuses_is_told_and_does_not_count() {
    let bed = bed();
    let mut faults = RunError::new("invalid_arguments", "/n: missing");
    faults.details = Some(JsonText::trusted("{\"faults\":[]}"));
    let text = || "why".to_owned();
    for (refusal, seen) in [
        (ChildError::Denied(text()), json!({ "denied": "why" })),
        (ChildError::Invalid(text()), json!({ "invalid": "why" })),
        (ChildError::NotFound(text()), json!({ "not_found": "why" })),
        (ChildError::InvalidArguments(faults), json!({ "invalid_arguments": "/n: missing", "details": "{\"faults\":[]}" })),
        (ChildError::TooMany(text()), json!({ "too_many": "why" })),
        (ChildError::Timeout(text()), json!({ "timeout": "why" })),
        (ChildError::Unavailable(text()), json!({ "unavailable": "why" })),
    ] {
        let id = child_id(1);
        for call in [
            r#"["start","f/test/x","{}"]"#.to_owned(),
            format!(r#"["wait","{id}"]"#),
            format!(r#"["wait_many",["{id}"],"all"]"#),
            format!(r#"["result","{id}"]"#),
            format!(r#"["cancel","{id}"]"#),
        ] {
            *bed.ports.child_refusal.lock().unwrap() = Some(refusal.clone());
            assert_eq!(bed.calls(&format!("[{call}]")).await.0, json!([seen]), "{call}");
        }
    }
    *bed.ports.child_refusal.lock().unwrap() = Some(ChildError::Unavailable(text()));
    let calls = format!(r#"[["start","f/test/x","{{}}"],["start","f/test/x","{{}}",{{}},{CHILDREN_MAX}]]"#);
    assert_eq!(bed.calls(&calls).await.0[1], json!(child_id(CHILDREN_MAX).to_string()));
}
