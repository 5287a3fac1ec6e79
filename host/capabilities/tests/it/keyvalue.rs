use sandmill_capabilities::StateError;
use sandmill_model::limits::STATE_VALUE_BYTES_MAX;
use serde_json::json;

use crate::testing::{Testbed, testbed};

pub(crate) fn bed() -> Testbed {
    testbed("keyvalue")
}

#[tokio::test]
async fn bytes_are_kept_as_state() {
    let bed = bed();
    let calls = r#"[["exists","k"],["get","k"],["set_text","k","{\"a\": 1}"],["get","k"],["set","k",[255,0]],["get","k"],["exists","k"],
        ["delete","k"],["exists","k"],["set_text","n","41"],["keys"]]"#;
    let (results, _) = bed.calls(calls).await;
    let text: Vec<u8> = br#"{"a": 1}"#.to_vec();
    assert_eq!(results, json!([false, null, "ok", text, "ok", [255, 0], true, "ok", false, "ok", [["n"]]]));
    // What a component wrote as JSON, a script reads as such.
    let state: Vec<String> = bed.ports.state.lock().unwrap().values().map(|value| value.as_str().to_owned()).collect();
    assert_eq!(state, ["41"]);
}

#[tokio::test]
async fn there_is_one_bucket() {
    let bed = bed();
    let (results, _) = bed.calls(r#"[["open",""],["open","default"],["open","other"],["open","../default"]]"#).await;
    assert_eq!(results, json!(["ok", "ok", { "no_such_store": "" }, { "no_such_store": "" }]));
}

#[tokio::test]
async fn keys_come_in_pages() {
    let bed = bed();
    let sets: Vec<String> = (0..2_500).map(|n| format!(r#"["set_text","{n:04}","1"]"#)).collect();
    bed.calls(&format!("[{}]", sets.join(","))).await;
    let (results, _) = bed.calls(r#"[["keys"],["keys_at",7]]"#).await;
    let pages: Vec<usize> = results[0].as_array().unwrap().iter().map(|page| page.as_array().unwrap().len()).collect();
    assert_eq!(pages, [1_000, 1_000, 500]);
    assert_eq!((&results[0][0][0], &results[0][2][499]), (&json!("0000"), &json!("2499")));
    assert!(results[1]["other"].as_str().unwrap().contains("no cursor 7"), "{}", results[1]);
}

#[tokio::test]
async fn limits_and_refusals_are_those_of_state() {
    let bed = bed();
    let long = "k".repeat(513);
    let (results, _) = bed.calls(&format!(r#"[["get",""],["set_text","{long}","1"],["delete","a\nb"]]"#)).await;
    assert!(results.as_array().unwrap().iter().all(|result| result["other"].as_str().unwrap().contains("a key has")), "{results}");
    // Base64 makes four bytes of three.
    let bytes = "\u{1}".repeat(STATE_VALUE_BYTES_MAX * 3 / 4);
    let (results, _) = bed.calls(&format!(r#"[["set_text","k",{}]]"#, json!(bytes))).await;
    assert!(results[0]["other"].as_str().unwrap().contains("a value has at most"), "{results}");
    *bed.ports.refusal.lock().unwrap() = Some(StateError::Unavailable("gone".to_owned()));
    assert_eq!(bed.calls(r#"[["get","k"]]"#).await.0, json!([{ "other": "gone" }]));
}
