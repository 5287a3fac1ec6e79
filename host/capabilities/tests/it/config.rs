use serde_json::json;

use crate::testing::{Testbed, testbed};

pub(crate) fn bed() -> Testbed {
    let bed = testbed("config");
    // The variables of the other test do.
    let variables = std::mem::take(&mut *crate::variables::bed().ports.variables.lock().unwrap());
    *bed.ports.variables.lock().unwrap() = variables;
    bed
}

#[tokio::test]
async fn keys_are_paths_or_names_beside_the_script() {
    let bed = bed();
    let (results, _) = bed.calls(r#"[["get","region"],["get","f/test/region"],["get","none"],["all"]]"#).await;
    assert_eq!(results, json!(["eu-west", "eu-west", null, [["f/test/region", "eu-west"], ["f/tests/one", "1"]]]));
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let bed = bed();
    let (results, outcome) = bed.calls(r#"[["get","f/other/region"],["get","token"],["get","../other/region"]]"#).await;
    assert!(results[0]["upstream"].as_str().unwrap().contains("`variables:f/other/region`"), "{results}");
    assert!(results[1]["upstream"].as_str().unwrap().contains("`secrets:f/test/token`"), "{results}");
    assert!(results[2]["upstream"].as_str().unwrap().contains("the path"), "{results}");
    assert_eq!(outcome.log.len(), 2);
    *bed.ports.given.lock().unwrap() = Some(Ok(Vec::new()));
    assert_eq!(bed.calls(r#"[["all"]]"#).await.0, json!([[]]));
}

#[tokio::test]
async fn all_are_those_that_are_both_asked_for_and_given() {
    let bed = bed();
    for (given, all) in [
        (&["variables:f/tests/*"][..], json!([["f/tests/one", "1"]])),
        // It crosses what is asked for, and is like others.
        (&["variables:*/region"], json!([["f/test/region", "eu-west"]])),
        (&["variables:f/test/region", "variables:f/tests/one"], json!([["f/test/region", "eu-west"], ["f/tests/one", "1"]])),
        (&["variables:f/other/*", "secrets:*"], json!([])),
    ] {
        *bed.ports.given.lock().unwrap() = Some(Ok(given.iter().map(|grant| grant.parse().unwrap()).collect()));
        assert_eq!(bed.calls(r#"[["all"]]"#).await.0, json!([all]), "{given:?}");
    }
}
