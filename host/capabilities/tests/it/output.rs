use sandmill_model::{Input, JsonText, Limits, LogStream};

use crate::testing::{Testbed, attempt, testbed};

pub(crate) fn bed() -> Testbed {
    testbed("output")
}

#[tokio::test]
async fn progress_reaches_the_port_and_the_log() {
    let bed = bed();
    let calls = r#"[["progress",12.5,"reading"],["progress",-3,""],["progress","none","odd"],["progress",1e300,"end"]]"#;
    let (_, outcome) = bed.calls(calls).await;
    let seen: Vec<(f64, String)> = bed.ports.progress.lock().unwrap().iter().map(|(_, percent, text)| (*percent, text.clone())).collect();
    let expected = [(12.5, "reading"), (0.0, ""), (0.0, "odd"), (100.0, "end")];
    assert_eq!(seen, expected.map(|(percent, text)| (percent, text.to_owned())));
    let logged: Vec<_> = outcome.log.iter().map(|entry| (entry.message.as_str(), entry.fields.as_ref().unwrap().as_str())).collect();
    let percent = [r#"{"percent":12.5}"#, r#"{"percent":0}"#, r#"{"percent":0}"#, r#"{"percent":100}"#];
    assert_eq!(logged, [("reading", percent[0]), ("", percent[1]), ("odd", percent[2]), ("end", percent[3])]);
    assert!(outcome.log.iter().all(|entry| entry.stream == LogStream::Progress));
}

#[tokio::test]
async fn progress_faster_than_anyone_can_follow_is_thinned_out() {
    let bed = bed();
    bed.calls(r#"[["progress",50,"again",10000],["progress",100,"end"]]"#).await;
    let progress = bed.ports.progress.lock().unwrap();
    assert!(progress.len() > 10 && progress.len() < 1_000, "{}", progress.len());
    assert_eq!(progress.last().map(|(_, percent, text)| (*percent, text.as_str())), Some((100.0, "end")));
}

#[tokio::test]
async fn a_long_text_is_cut() {
    let bed = bed();
    bed.calls(&format!(r#"[["progress",1,"{}"]]"#, "ü".repeat(2_000))).await;
    assert_eq!(bed.ports.progress.lock().unwrap()[0].2, "ü".repeat(512));
}

#[tokio::test]
async fn chunks_are_kept_as_text_where_they_are_text() {
    let bed = bed();
    let (_, outcome) = bed.calls(r#"[["write","one "],["write_bytes",[255,0,1]],["write","zwölf"]]"#).await;
    let logged: Vec<_> = outcome.log.iter().map(|entry| (entry.message.as_str(), entry.fields.as_ref().map(JsonText::as_str))).collect();
    assert_eq!(logged, [("one ", None), ("/wAB", Some(r#"{"encoding":"base64"}"#)), ("zwölf", None)]);
    assert!(outcome.log.iter().all(|entry| entry.stream == LogStream::Output));
}

#[tokio::test]
async fn chunks_end_where_the_log_does() {
    let bed = bed();
    let mut attempt = attempt(Input::Arguments(JsonText::empty_object()));
    attempt.limits = Limits { log_bytes: 100, ..Limits::default() };
    let outcome = bed
        .attempt(attempt, r#"[["write","first"],["write","a chunk that is too long for what is left of the log here"],["write","x"]]"#)
        .await;
    assert_eq!(outcome.log.len(), 2, "{outcome:?}");
    assert_eq!((outcome.log[0].message.as_str(), outcome.log[1].stream), ("first", LogStream::Host));
}
