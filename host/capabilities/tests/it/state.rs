use sandmill_capabilities::StateError;
use sandmill_model::limits::STATE_VALUE_BYTES_MAX;
use sandmill_model::{Attempt, Input, JsonText, Limits, OutcomeKind};
use serde_json::json;

use crate::testing::{Testbed, attempt, event, json, testbed};

pub(crate) fn bed() -> Testbed {
    testbed("state")
}

#[tokio::test]
async fn get_set_delete() {
    let bed = bed();
    let calls = r#"[["get","k"],["set","k","{\"a\": [1]}"],["get","k"],["delete","k"],["get","k"],["delete","k"]]"#;
    let (results, _) = bed.calls(calls).await;
    assert_eq!(results, json!([null, "ok", r#"{"a": [1]}"#, "ok", null, "ok"]));
}

#[tokio::test]
async fn what_one_run_wrote_the_next_reads() {
    let bed = bed();
    bed.calls(r#"[["set","n","41"]]"#).await;
    let (results, _) = bed.calls(r#"[["get","n"]]"#).await;
    assert_eq!(results, json!(["41"]));
}

#[tokio::test]
async fn compare_and_swap() {
    let bed = bed();
    // Absent -> 1 -> 2 -> absent, each second try in vain.
    let calls = r#"[["swap","k",null,"1"],["swap","k",null,"9"],["swap","k","1","2"],["swap","k","1","9"],
        ["get","k"],["swap","k","2",null],["swap","k","2",null],["get","k"]]"#;
    let (results, _) = bed.calls(calls).await;
    assert_eq!(results, json!([true, false, true, false, "2", true, false, null]));
}

#[tokio::test]
async fn each_trigger_has_its_own() {
    let bed = bed();
    for path in [Some("f/test/one"), Some("f/test/two"), None] {
        let outcome = bed.attempt(attempt(event(path, b"")), r#"[["get","k"],["set","k","1"]]"#).await;
        assert_eq!(json(&outcome), json!([null, "ok"]), "{path:?}");
    }
    let scopes: Vec<String> = bed.ports.state.lock().unwrap().keys().map(|(scope, _)| scope.trigger.clone()).collect();
    assert_eq!(scopes.len(), 3, "{scopes:?}");
}

#[tokio::test]
async fn what_a_run_stages_is_of_this_run() {
    let bed = bed();
    let staging = Attempt { stages_state: true, ..attempt(event(Some("f/test/one"), b"")) };
    let (run, next) = (staging.run, Attempt { stages_state: true, ..attempt(event(Some("f/test/one"), b"")) });
    let outcome = bed.attempt(staging, r#"[["set","k","1"],["get","k"]]"#).await;
    assert_eq!(json(&outcome), json!(["ok", "1"]));
    for other in [next, attempt(event(Some("f/test/one"), b""))] {
        let outcome = bed.attempt(other, r#"[["get","k"]]"#).await;
        assert_eq!(json(&outcome), json!([null]), "nobody has adopted it");
    }
    let staged: Vec<_> = bed.ports.state.lock().unwrap().keys().map(|(scope, _)| scope.staged_by).collect();
    assert_eq!(staged, [Some(run)]);
}

#[tokio::test]
async fn what_is_refused_does_not_reach_the_store() {
    let bed = bed();
    let long = "k".repeat(513);
    let calls = format!(
        r#"[["get",""],["set","{long}","1"],["delete","a\nb"],["set","k","{{"],["swap","k","nonsense","1"],
        ["swap","k",null,""],["set_large","k",{}],["set_large","k",{STATE_VALUE_BYTES_MAX}]]"#,
        STATE_VALUE_BYTES_MAX + 1
    );
    let (results, _) = bed.calls(&calls).await;
    let kinds: Vec<String> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result.as_object().map_or_else(|| result.to_string(), |object| object.keys().cloned().collect()))
        .collect();
    let expected = ["invalid_key", "invalid_key", "invalid_key", "invalid_json", "invalid_json", "invalid_json", "too_large", "\"ok\""];
    assert_eq!(kinds, expected, "{results}");
    assert_eq!(bed.ports.state.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_store_refuses_is_told() {
    let bed = bed();
    for (refusal, result) in [
        (StateError::TooLarge("10000 keys".to_owned()), json!({ "too_large": "10000 keys" })),
        (StateError::Unavailable("gone".to_owned()), json!({ "unavailable": "gone" })),
    ] {
        for call in [r#"[["get","k"]]"#, r#"[["set","k","1"]]"#, r#"[["swap","k",null,"1"]]"#] {
            *bed.ports.refusal.lock().unwrap() = Some(refusal.clone());
            assert_eq!(bed.calls(call).await.0, json!([result]), "{call}");
        }
    }
}

#[tokio::test]
async fn more_than_may_cross_at_once_is_a_trap() {
    let bed = bed();
    let mut attempt = attempt(Input::Arguments(JsonText::empty_object()));
    attempt.limits = Limits { result_bytes: 1_000, ..Limits::default() };
    let outcome = bed.attempt(attempt, r#"[["set_large","k",5000000]]"#).await;
    assert_eq!(outcome.kind, OutcomeKind::Trap, "{outcome:?}");
    assert_eq!(outcome.error.unwrap().details.unwrap().as_str(), r#"{"code":"host_call_too_large"}"#);
}

#[tokio::test]
async fn keys_are_listed_by_prefix_in_pages() {
    let bed = bed();
    bed.calls(r#"[["set","a/1","1"],["set","a/3","1"],["set","a/2","1"],["set","b","1"]]"#).await;
    let calls = r#"[["list",""],["list","a/"],["list","a/","a/1"],["list","a/","a/1",1],["list","c"],["list","",null,0]]"#;
    let (results, _) = bed.calls(calls).await;
    assert_eq!(results, json!([["a/1", "a/2", "a/3", "b"], ["a/1", "a/2", "a/3"], ["a/2", "a/3"], ["a/2"], [], []]));
    let long = "k".repeat(513);
    let (results, _) = bed.calls(&format!(r#"[["list","{long}"],["list","","{long}"]]"#)).await;
    assert!(results.as_array().unwrap().iter().all(|result| result["invalid_key"].is_string()), "{results}");
}
