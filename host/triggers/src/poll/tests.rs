use sandmill_model::{OutcomeKind, trigger::Listening};
use serde_json::{Value, json};

use super::*;
use crate::schedule::testing::{Answer, Jumping, at};

fn config() -> Value {
    json!({"cron": "0 * * * *", "script": "f/feeds/look", "items": "/items", "id": "/id", "arguments": {"feed": "news"}})
}

#[test]
fn wrong_configs_are_told() {
    for (key, value, pointer, expected) in [
        ("cron", json!("hunter2"), "/cron", "fields"),
        ("items", json!("hunter2"), "/items", "no JSON pointer"),
        ("id", json!("hunter2"), "/id", "no JSON pointer"),
        ("script", json!("hunter2"), "", "path"),
        ("overlap", json!("skip"), "", "unknown field"),
    ] {
        let mut config = config();
        config[key] = value;
        let fault = Listening::<Poll>::shared().configure(&JsonText::of(&config).unwrap()).map(drop).unwrap_err();
        assert_eq!(fault.pointer, pointer, "{key}: {fault}");
        assert!(fault.message.contains(expected) && !fault.message.contains("hunter2"), "{key}: {fault}");
    }
    let ready = Listening::<Poll>::shared().configure(&JsonText::of(&config()).unwrap()).unwrap();
    assert_eq!(ready.asks(), ["f/feeds/look".parse().unwrap()]);
    assert_eq!(ready.preview(at("2026-01-01T00:30:00Z"), 1).unwrap(), [at("2026-01-01T01:00:00Z")]);
}

#[test]
fn each_item_is_a_run_and_nothing_new_is_a_record() {
    let host = Jumping::new("2026-01-01T00:30:00Z");
    host.kept.lock().unwrap().answers.extend([
        Answer::Json(r#"{"items": [{"id": "a", "n": 1e400}, {"id": 2}]}"#),
        Answer::Json(r#"{"items": [{"id": "a"}, {"other": 3}]}"#),
        Answer::Json(r#"{"items": []}"#),
        Answer::Json("null"),
        Answer::Ends(OutcomeKind::Skipped),
    ]);
    assert_eq!(host.listen::<Poll>(&config(), "2026-01-01T05:30:00Z"), None);
    let kept = host.kept.lock().unwrap();
    let payloads: Vec<&[u8]> = kept.events.iter().map(|(_, event)| &*event.payload).collect();
    let expected = [&br#"{"id": "a", "n": 1e400}"#[..], br#"{"id": 2}"#, br#"{"other": 3}"#, b"", b"", b""];
    assert_eq!(payloads, expected, "an item that is known does not come again");
    let keys: Vec<Option<&str>> = kept.events[..3].iter().map(|(_, event)| event.dedup_key.as_deref()).collect();
    assert_eq!(keys, [Some("item a"), Some("item 2"), None]);
    for (_, event) in &kept.events[3..] {
        assert_eq!(event.skip.as_deref(), Some("nothing is new"));
    }
    let metadata: Value = kept.events[1].1.metadata.read().unwrap();
    assert_eq!(metadata["scheduled_for"], "2026-01-01T01:00:00.000000Z");
    assert_eq!((&metadata["index"], &metadata["item_id"]), (&json!(1), &json!("2")));
    assert_eq!(metadata["polled_by"], kept.answered_by[0].to_string());
    assert_eq!(kept.adopted, kept.answered_by, "also if nothing is new");
    for ask in &kept.asked {
        assert_eq!((ask.path.as_str(), ask.stages_state, ask.event.dedup_key.clone()), ("f/feeds/look", true, None));
        assert_eq!(ask.event.payload, r#"{"feed":"news"}"#);
    }
}

#[test]
fn many_items_are_several_deliveries_and_the_state_moves_with_the_last() {
    let items = format!("[{}]", (0..1_100).map(|n| format!("{{\"id\":{n}}}")).collect::<Vec<_>>().join(","));
    let host = Jumping::new("2026-01-01T00:30:00Z");
    host.kept.lock().unwrap().answers.push_back(Answer::Json(items.leak()));
    let mut config = config();
    config["items"] = json!("");
    // The second of three fails: nothing is adopted, and what is delivered again is known.
    host.kept.lock().unwrap().fail_after = Some(2);
    assert!(matches!(host.listen::<Poll>(&config, "2026-01-01T01:30:00Z"), Some(Err(ListenError::Transient(_)))));
    let kept = host.kept.lock().unwrap();
    assert_eq!((kept.events.len(), kept.adopted.len()), (500, 0));
    drop(kept);
    assert_eq!(host.listen::<Poll>(&config, "2026-01-01T01:30:00Z"), None);
    let kept = host.kept.lock().unwrap();
    assert_eq!((kept.events.len(), kept.asked.len()), (1_100, 2));
    assert_eq!(kept.adopted, kept.answered_by[1..]);
}

#[test]
fn many_items_need_ids() {
    let host = Jumping::new("2026-01-01T00:30:00Z");
    let many = |one: &str| format!("{{\"items\": [{}]}}", vec![one; 501].join(",")).leak();
    let few = Answer::Json(format!("{{\"items\": [{}]}}", vec!["1"; 500].join(",")).leak());
    host.kept.lock().unwrap().answers.extend([Answer::Json(many("1")), few]);
    let ended = host.listen::<Poll>(&config(), "2026-01-01T01:30:00Z");
    let Some(Err(ListenError::Transient(message))) = ended else { panic!("{ended:?}") };
    assert!(message.contains("501 items") && message.contains("more than 500 at once need ids"), "{message}");
    assert_eq!(host.kept.lock().unwrap().events.len(), 0);
    assert_eq!(host.listen::<Poll>(&config(), "2026-01-01T01:30:00Z"), None);
    assert_eq!(host.kept.lock().unwrap().events.len(), 500);
}

#[test]
fn a_script_that_fails_is_asked_again() {
    let host = Jumping::new("2026-01-01T00:30:00Z");
    host.kept.lock().unwrap().answers.extend([
        Answer::Ends(OutcomeKind::Error),
        Answer::Unreachable,
        Answer::Json(r#"{"items": 1}"#),
        Answer::Json(r#"{"items": [{"id": 1}]}"#),
    ]);
    for expected in ["ended as error", "not in time", "at /items is no list"] {
        let ended = host.listen::<Poll>(&config(), "2026-01-01T01:30:00Z");
        let Some(Err(ListenError::Transient(message))) = ended else { panic!("{ended:?}") };
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(host.listen::<Poll>(&config(), "2026-01-01T01:30:00Z"), None);
    let kept = host.kept.lock().unwrap();
    assert_eq!((kept.events.len(), kept.adopted.len()), (1, 1));
    assert_eq!(kept.listens, 2, "before it asked first, and after it succeeded; not while it failed");
}

#[test]
fn after_a_pause_it_looks_once() {
    let host = Jumping::new("2026-01-01T00:30:00Z");
    host.kept.lock().unwrap().answers.push_back(Answer::Json(r#"{"items": [{"id": 1}]}"#));
    host.listen::<Poll>(&config(), "2026-01-01T00:40:00Z");
    host.pass("2026-01-01T05:30:00Z");
    host.listen::<Poll>(&config(), "2026-01-01T05:30:00Z");
    let skipped: Vec<bool> = host.decided().into_iter().map(|(_, runs)| !runs).collect();
    assert_eq!(skipped, [true, true, true, true, false]);
    assert_eq!(host.kept.lock().unwrap().asked.len(), 1);
}

#[test]
fn a_script_that_takes_longer_than_its_interval_is_not_asked_for_each_instant() {
    let mut config = config();
    config["cron"] = json!("* * * * * *");
    let host = Jumping::new("2026-01-01T00:00:00.5Z");
    host.kept.lock().unwrap().answers.push_back(Answer::Json("null"));
    host.listen::<Poll>(&config, "2026-01-01T00:00:00.6Z");
    host.pass("2026-01-01T00:00:10.5Z");
    host.listen::<Poll>(&config, "2026-01-01T00:00:10.6Z");
    assert_eq!((host.decided().len(), host.kept.lock().unwrap().asked.len()), (10, 1));
}
