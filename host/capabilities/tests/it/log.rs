use sandmill_model::{Input, JsonText, Limits, LogLevel, LogStream};

use crate::testing::{Testbed, attempt, json, testbed};

pub(crate) fn bed() -> Testbed {
    testbed("log")
}

#[tokio::test]
async fn levels_and_fields_in_order() {
    let bed = bed();
    let calls = r#"[["write","trace","a"],["write","debug","b"],["write","info","c","{\"k\":1}"],
        ["write","warn","d","no object"],["write","error","e",""]]"#;
    let (_, outcome) = bed.calls(calls).await;
    let log: Vec<_> =
        outcome.log.iter().map(|entry| (entry.level, entry.message.as_str(), entry.fields.as_ref().map(JsonText::as_str))).collect();
    assert_eq!(
        log,
        [
            (LogLevel::Trace, "a", None),
            (LogLevel::Debug, "b", None),
            (LogLevel::Info, "c", Some(r#"{"k":1}"#)),
            (LogLevel::Warn, "d", Some(r#"{"text":"no object"}"#)),
            (LogLevel::Error, "e", Some(r#"{"text":""}"#)),
        ]
    );
    assert!(outcome.log.iter().all(|entry| entry.stream == LogStream::Log));
}

#[tokio::test]
async fn a_flood_is_cut_and_the_run_goes_on() {
    let bed = bed();
    let mut attempt = attempt(Input::Arguments(JsonText::empty_object()));
    attempt.limits = Limits { log_bytes: 10_000, ..Limits::default() };
    let outcome = bed.attempt(attempt, r#"[["write","info","again and again","{}",50000],["write","info","later"]]"#).await;
    assert_eq!(json(&outcome), serde_json::json!([null, null]));
    assert!(outcome.log.len() > 100 && outcome.log.len() < 300, "{}", outcome.log.len());
    assert_eq!(outcome.log.last().unwrap().stream, LogStream::Host);
}
