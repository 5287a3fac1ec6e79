use sandmill_model::{Attempt, Input, JsonText, LogLevel, LogStream, OutcomeKind};
use serde_json::{Value, json};

use crate::testing::{Testbed, attempt, json, testbed, workspace};

pub(crate) fn bed() -> Testbed {
    let mut bed = testbed("resources");
    bed.grants.resources = vec!["f/test/*".parse().unwrap()];
    let account = |token: &str| json!({ "user": "ann", "password": token });
    bed.put_resource(workspace(1), "f/test/account", ("account", 1, account("s3cret")));
    bed.put_resource(workspace(1), "f/other/account", ("account", 1, account("other")));
    bed.put_resource(workspace(2), "f/test/theirs", ("account", 1, account("theirs")));
    bed
}

fn run_of(number: u32) -> Attempt {
    Attempt { workspace: workspace(number), ..attempt(Input::Arguments(JsonText::empty_object())) }
}

async fn calls(bed: &Testbed, calls: &Value) -> Value {
    json(&bed.attempt(run_of(1), &calls.to_string()).await)
}

#[tokio::test]
async fn what_is_not_secret_is_read_and_what_is_has_a_placeholder() {
    let bed = bed();
    let results = calls(
        &bed,
        &json!([
            ["open", "f/test/account"],
            ["placeholder", 0, "/password"],
            ["placeholder", 0, "/password"],
            ["placeholder", 0, "/user"],
            ["placeholder", 0, ""]
        ]),
    )
    .await;
    assert_eq!(results[0], json!({ "path": "f/test/account", "kind": "account", "fields": r#"{"user":"ann"}"# }));
    let text = results[1].as_str().unwrap();
    let hex = text.strip_prefix("{{sandmill-secret:").and_then(|text| text.strip_suffix("}}")).unwrap();
    assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
    assert_eq!(results[2], results[1]);
    assert!(results[3]["invalid"].as_str().unwrap().contains("/password") && results[4]["invalid"].is_string(), "{results}");
    assert!(!results.to_string().contains("s3cret"));
    let again = calls(&bed, &json!([["open", "f/test/account"], ["placeholder", 0, "/password"]])).await;
    assert_ne!(again[1], results[1], "each run has its own");
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_said_in_the_log() {
    let bed = bed();
    for path in ["f/other/account", "f/tests/account", "u/test/account"] {
        let outcome = bed.attempt(run_of(1), &json!([["open", path]]).to_string()).await;
        let results = json(&outcome);
        let text = results[0]["denied"].as_str().unwrap();
        assert!(text.contains(&format!("resources = [\"{path}\"]")), "{text}");
        let line = &outcome.log[0];
        assert_eq!((line.level, line.stream, line.message.as_str()), (LogLevel::Warn, LogStream::Host, text));
    }
}

#[tokio::test]
async fn less_than_is_asked_for_may_be_given() {
    let bed = bed();
    let given = vec!["resources:f/test/account".parse().unwrap(), "resources:f/other/*".parse().unwrap()];
    *bed.ports.given.lock().unwrap() = Some(Ok(given));
    let results = calls(&bed, &json!([["open", "f/test/account"], ["open", "f/test/another"], ["open", "f/other/account"]])).await;
    assert_eq!(results[0]["path"], "f/test/account");
    let text = results[1]["denied"].as_str().unwrap();
    assert!(text.contains("sandmill grants give f/test/script \"resources:f/test/*\""), "{text}");
    assert!(results[2]["denied"].is_string(), "it is given and not asked for: {results}");
}

#[tokio::test]
async fn forged_paths_open_nothing() {
    let mut bed = bed();
    bed.grants.resources = vec!["*".parse().unwrap()];
    for path in [
        "",
        "f/test/../other/account",
        "../f/test/account",
        "/f/test/account",
        "f/test//account",
        "f/test/account\0",
        "F/test/account",
        "f/tеst/account",
        "f/test/%61ccount",
        "f/test/account@1",
        "f/test/account/",
    ] {
        let results = calls(&bed, &json!([["open", path]])).await;
        assert!(results[0]["invalid"].is_string(), "{path}: {results}");
    }
    let long = format!("f/{}", "x".repeat(100_000));
    let results = calls(&bed, &json!([["open", long], ["open", "f/test/theirs"], ["open", "f/test/Account"]])).await;
    assert!(results[0]["invalid"].as_str().unwrap().len() < 1_000);
    assert!(results[1]["not_found"].is_string() && results[2]["not_found"].is_string(), "{results}");
    let theirs = json(&bed.attempt(run_of(2), r#"[["open","f/test/theirs"],["open","f/test/account"]]"#).await);
    assert!(theirs[0]["path"].is_string() && theirs[1]["not_found"].is_string(), "{theirs}");
}

#[tokio::test]
async fn handles_that_nobody_gave_end_the_run() {
    let bed = bed();
    for number in [0, 1, 2, 7, 4_095, u32::MAX / 4] {
        let outcome = bed.attempt(run_of(1), &json!([["open", "f/test/account"], ["drop", 0], ["forge", number]]).to_string()).await;
        assert_eq!(outcome.kind, OutcomeKind::Trap, "{number}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_run_holds_so_many_handles_and_no_more() {
    let bed = bed();
    let outcome = bed.attempt(run_of(1), r#"[["open_crowd","f/test/account",3000]]"#).await;
    assert_eq!(json(&outcome), json!([3000]));
    let outcome = bed.attempt(run_of(1), r#"[["open_crowd","f/test/account",100000]]"#).await;
    assert_eq!(outcome.kind, OutcomeKind::Trap, "{outcome:?}");
}
