use sandmill_model::{Clock, Input, JsonText, SystemClock};
use serde_json::json;

use crate::testing::{Testbed, attempt, event, json, testbed};

pub(crate) fn bed() -> Testbed {
    testbed("context")
}

#[tokio::test]
async fn a_run_knows_itself() {
    let bed = bed();
    let attempt = attempt(Input::Arguments(JsonText::empty_object()));
    let (run, version) = (attempt.run.to_string(), attempt.version.to_string());
    let before_ms = SystemClock.now().millis();
    let outcome = bed.attempt(attempt, r#"[["get"],["payload"]]"#).await;
    let mut result = json(&outcome);
    let deadline_ms = result[0]["deadline_ms"].take().as_i64().unwrap();
    assert!((before_ms + 60_000..=SystemClock.now().millis() + 60_000).contains(&deadline_ms), "{deadline_ms}");
    let info = json!({
        "run_id": run, "script": "f/test/script", "version": version, "workspace": "default", "trigger": null,
        "attempt": 2, "deadline_ms": null, "run_as": "u/somebody",
    });
    assert_eq!(result, json!([info, []]));
}

#[tokio::test]
async fn trigger_and_payload_of_an_event() {
    let bed = bed();
    for path in [Some("f/test/trigger"), None] {
        let outcome = bed.attempt(attempt(event(path, b"\xff\x00raw")), r#"[["get"],["payload"]]"#).await;
        let result = json(&outcome);
        assert_eq!(result[0]["trigger"], json!({ "kind": "pigeon", "path": path }));
        assert_eq!(result[1], json!([255, 0, 114, 97, 119]));
    }
}
