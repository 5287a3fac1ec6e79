//! Handlers of `wasi:http`, by a guest that answers well, late, not at all, or too much.

use std::fs;

use bytes::Bytes;
use futures_util::StreamExt as _;
use sandmill_capabilities::http::incoming::{Handle, Incoming};
use sandmill_model::{
    Event, Input, JsonText, Limits, Outcome, OutcomeKind, Output,
    event::TriggerRef,
    telling::{BrokenOff, telling},
};
use sandmill_sandbox::{Call, CallInput};
use sandmill_testkit::guests::guest;
use serde_json::{Value, json};

use crate::testing::{Testbed, attempt, json as result, soon, testbed};

fn bed() -> Testbed {
    testbed("http-odd")
}

async fn run_within(bed: &Testbed, input: Input, limits: Limits) -> Outcome {
    let mut attempt = attempt(input);
    attempt.limits = limits;
    let program = bed.program("http-odd", || fs::read(guest("http_odd")).unwrap());
    let input = CallInput::Host(Box::new(Handle(Incoming::of(&attempt))));
    let host = bed.host(bed.facts(&attempt));
    soon(bed.sandbox.run(Call { run: attempt.run, workspace: attempt.workspace, program, module: None, input, limits, host })).await
}

async fn run(bed: &Testbed, input: Input) -> Outcome {
    run_within(bed, input, Limits::default()).await
}

fn event(metadata: &Value, payload: &'static [u8]) -> Input {
    Input::Event(Event {
        trigger: TriggerRef { kind: "test".into(), path: Some("f/demo/test".into()) },
        metadata: JsonText::of(metadata).unwrap(),
        payload: Bytes::from_static(payload),
        dedup_key: None,
        ordering_key: None,
    })
}

pub(crate) fn request(target: &str) -> Input {
    event(&json!({"method": "POST", "target": target, "query": {}, "headers": {"host": "example.com", "x-a": "1"}}), b"hi")
}

#[tokio::test]
async fn a_request_and_its_answer_are_as_they_are() {
    let bed = bed();
    let metadata = json!({"method": "PATCH", "target": "/a/b", "query": {"q": "ü"}, "headers": {"host": "example.com", "x-a": "1", "connection": "close"}});
    let outcome = run(&bed, event(&metadata, b"\"hi\"")).await;
    let answer = &result(&outcome)["$http"];
    assert_eq!(answer["status"], 200, "{outcome:?}");
    let seen: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        seen,
        json!({"method": "Method::Patch", "target": "/a/b?q=%C3%BC", "authority": "example.com", "headers": [["x-a", "1"]], "body": "\"hi\""})
    );
    let answer = result(&run(&bed, request("/status")).await);
    assert_eq!(answer, json!({"$http": {"status": 418, "headers": {"content-type": ["text/plain"]}, "body": "short and stout"}}));
    assert_eq!(result(&run(&bed, request("/binary")).await)["$http"]["body_base64"], "/wAB");
    let outcome = run(&bed, request("/after")).await;
    assert_eq!((result(&outcome)["$http"]["body"].as_str(), outcome.log[0].message.as_str()), (Some("true"), "after the answer"));
    assert_eq!(result(&run(&bed, request("/split")).await)["$http"]["body"], "true", "a line break is in no header");
}

#[tokio::test]
async fn anything_else_is_a_cloud_event() {
    let bed = bed();
    let seen = result(&run(&bed, event(&json!({"topic": "orders"}), b"\xff")).await);
    let header = |name: &str| seen["headers"].as_array().unwrap().iter().find(|header| header[0] == name).map(|header| header[1].clone());
    assert_eq!((&seen["method"], &seen["target"]), (&json!("Method::Post"), &json!("/")));
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.sandmill.test"),
        ("ce-metadata", "%7B%22topic%22%3A%22orders%22%7D"),
        ("content-type", "application/octet-stream"),
    ] {
        assert_eq!(header(name), Some(json!(value)), "{seen}");
    }
    assert!(header("ce-source").unwrap().as_str().unwrap().ends_with("/test/f/demo/test"), "{seen}");
    let seen = result(&run(&bed, Input::Arguments(JsonText::parse(r#"{"a":1}"#).unwrap())).await);
    assert_eq!(seen["body"], r#"{"a":1}"#);
}

#[tokio::test]
async fn no_answer_or_half_of_one_ends_the_run() {
    let bed = bed();
    for (target, kind, says) in [
        ("/silent", OutcomeKind::Error, "without a response"),
        ("/forgetful", OutcomeKind::Error, "without a response"),
        ("/code", OutcomeKind::Error, "no database"),
        ("/endless", OutcomeKind::ResultTooLarge, "limits.result_bytes"),
        ("/trap", OutcomeKind::Trap, "aborted"),
        ("/trap-after", OutcomeKind::Trap, "aborted"),
    ] {
        let outcome = run(&bed, request(target)).await;
        assert_eq!(outcome.kind, kind, "{target}: {outcome:?}");
        assert!(outcome.error.as_ref().unwrap().message.contains(says), "{target}: {outcome:?}");
    }
    let outcome = run(&bed, request("/unfinished")).await;
    assert!(matches!(&outcome.output, Some(Output::Json(json)) if json.as_str().contains("half of it")), "{outcome:?}");
    let limits = Limits { fuel: 50_000_000, ..Limits::default() };
    assert_eq!(run_within(&bed, request("/loop"), limits).await.kind, OutcomeKind::OutOfFuel);
}

/// What whoever hears a run's answer gets: status, body, and whether all of it.
async fn heard(bed: &Testbed, input: Input, limits: Limits) -> (Option<u16>, Vec<u8>, Result<(), BrokenOff>) {
    let (writer, mut told) = telling();
    *bed.ports.telling.lock().unwrap() = Some(writer);
    run_within(bed, input, limits).await;
    bed.ports.telling.lock().unwrap().take();
    let head = std::future::poll_fn(|context| told.poll_head(context)).await;
    let (mut body, mut end) = (Vec::new(), Ok(()));
    while let Some(part) = told.next().await {
        match part {
            Ok(part) => body.extend_from_slice(&part),
            Err(error) => end = Err(error),
        }
    }
    (head.map(|head| head.status.as_u16()), body, end)
}

#[tokio::test]
async fn who_waits_hears_the_answer_as_it_is_made() {
    let bed = bed();
    let small = Limits { result_bytes: 64 * 1024, ..Limits::default() };
    assert_eq!(heard(&bed, request("/binary"), small).await, (Some(200), vec![0xff, 0, 1], Ok(())));
    assert_eq!(heard(&bed, request("/status"), small).await, (Some(418), b"short and stout".to_vec(), Ok(())));
    let (status, body, end) = heard(&bed, request("/endless"), small).await;
    assert_eq!((status, end), (Some(200), Err(BrokenOff)), "it is too long");
    assert!(!body.is_empty() && body.len() <= 64 * 1024, "{}", body.len());
    for silent in ["/silent", "/code", "/trap"] {
        assert_eq!(heard(&bed, request(silent), small).await.0, None, "{silent}");
    }
    // Nobody speaks HTTP with it.
    assert_eq!(heard(&bed, Input::Arguments(JsonText::empty_object()), small).await, (None, Vec::new(), Err(BrokenOff)));
}
