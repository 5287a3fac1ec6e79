use sandmill_capabilities::Variable;
use sandmill_model::{LogLevel, LogStream, WorkspaceId};
use serde_json::json;

use crate::testing::{Testbed, testbed};

const SECRET: &str = "correct-horse-battery";

/// Variables of the run's workspace and of another one.
pub(crate) fn bed() -> Testbed {
    let bed = testbed("variables");
    let own: WorkspaceId = "00000000-0000-7000-8000-000000000001".parse().unwrap();
    let other: WorkspaceId = "00000000-0000-7000-8000-000000000002".parse().unwrap();
    for (workspace, path, text, is_secret) in [
        (own, "f/test/region", "eu-west", false),
        (own, "f/test/token", SECRET, true),
        (own, "f/test/readable-token", SECRET, true),
        (own, "f/other/region", "us-east", false),
        (own, "f/other/readable", SECRET, true),
        (own, "f/tests/one", "1", false),
        (other, "f/test/foreign", "not yours", false),
    ] {
        let variable = Variable { text: text.to_owned(), is_secret };
        bed.ports.variables.lock().unwrap().insert((workspace, path.parse().unwrap()), variable);
    }
    bed
}

#[tokio::test]
async fn what_is_granted_is_read() {
    let bed = bed();
    let (results, _) = bed.calls(r#"[["get","f/test/region"],["get","f/tests/one"],["get","f/test/none"]]"#).await;
    assert_eq!(results, json!(["eu-west", "1", { "not_found": "there is no variable at f/test/none" }]));
}

#[tokio::test]
async fn a_secret_needs_a_grant_of_its_own() {
    let bed = bed();
    let (results, outcome) = bed.calls(r#"[["get","f/test/token"]]"#).await;
    let text = results[0]["denied"].as_str().unwrap();
    assert!(text.contains("`secrets:f/test/token`") && text.contains("secrets = [\"f/test/token\"]"), "{text}");
    assert_eq!((outcome.log[0].stream, outcome.log[0].message.as_str()), (LogStream::Host, text));
    // The run has the text, and nobody who reads its result sees it.
    let (results, outcome) =
        bed.calls(r#"[["get","f/test/readable-token"],["get","f/other/readable"],["print_halves","f/test/readable-token"]]"#).await;
    assert_eq!(results, json!(["*".repeat(21), "*".repeat(21), ["*".repeat(10), "*".repeat(11)]]));
    let log: Vec<&str> = outcome.log.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(log, ["one **********", "other ***********"]);
}

#[tokio::test]
async fn a_placeholder_stands_for_a_secret() {
    let bed = bed();
    let (results, _) =
        bed.calls(r#"[["placeholder","f/test/token"],["placeholder","f/test/token"],["placeholder","f/other/readable"]]"#).await;
    let one = results[0].as_str().unwrap();
    assert!(one.starts_with("{{sandmill-secret:") && results[1] == one && results[2] != one, "{results}");
    let (other, _) = bed.calls(r#"[["placeholder","f/test/token"],["placeholder","f/test/region"]]"#).await;
    assert_ne!(other[0], one, "each run has its own");
    assert!(other[1]["invalid"].as_str().unwrap().contains("not secret"), "{other}");
}

#[tokio::test]
async fn what_is_not_granted_is_denied_whether_it_is_there_or_not() {
    let bed = bed();
    for path in ["f/other/region", "f/other/none", "u/ann/x"] {
        for call in ["get", "placeholder"] {
            let (results, outcome) = bed.calls(&format!(r#"[["{call}","{path}"]]"#)).await;
            let text = results[0]["denied"].as_str().unwrap();
            assert!(text.contains(&format!("`variables:{path}`")), "{text}");
            assert_eq!((outcome.log[0].level, outcome.log[0].message.as_str()), (LogLevel::Warn, text));
        }
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_workspace() {
    let bed = bed();
    let (results, _) = bed.calls(r#"[["get","f/test/foreign"]]"#).await;
    assert!(results[0]["not_found"].is_string(), "{results}");
    for path in [
        "../f/test/region",
        "f/test/../test/region",
        "f/test/regi\\u043en",
        "F/test/region",
        "f/test%2fregion",
        "f/test//region",
        "",
        "f/test/region\\u0000",
    ] {
        let (results, _) = bed.calls(&format!(r#"[["get","{path}"]]"#)).await;
        assert!(results[0]["invalid"].is_string(), "{path}: {results}");
    }
}

#[tokio::test]
async fn what_was_asked_for_and_not_given_is_denied() {
    let bed = bed();
    let call = r#"[["get","f/test/region"]]"#;
    for (given, seen) in [
        (Ok(vec!["variables:*".parse().unwrap()]), json!("eu-west")),
        (Ok(vec!["variables:f/test/region".parse().unwrap()]), json!("eu-west")),
        (Ok(vec!["variables:f/tests/*".parse().unwrap()]), json!(null)),
        (Ok(vec!["variables:f/test/token".parse().unwrap()]), json!(null)),
        (Ok(vec!["secrets:f/test/region".parse().unwrap()]), json!(null)),
        (Ok(Vec::new()), json!(null)),
        (Err("the database cannot be reached".to_owned()), json!({ "unavailable": "the database cannot be reached" })),
    ] {
        *bed.ports.given.lock().unwrap() = Some(given);
        let (results, _) = bed.calls(call).await;
        match seen.is_null() {
            true => assert!(
                results[0]["denied"].as_str().unwrap().contains("sandmill grants give f/test/script \"variables:f/test/*\""),
                "{results}"
            ),
            false => assert_eq!(results[0], seen),
        }
    }
}

#[tokio::test]
async fn who_asks_for_the_text_of_a_secret_is_told_of_that_grant() {
    let bed = bed();
    *bed.ports.given.lock().unwrap() = Some(Ok(Vec::new()));
    let (results, _) = bed.calls(r#"[["get","f/other/readable"]]"#).await;
    let text = results[0]["denied"].as_str().unwrap();
    assert!(text.contains("sandmill grants give f/test/script \"secrets:f/other/readable\""), "{text}");
}
