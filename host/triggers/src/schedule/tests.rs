use std::collections::HashSet;

use sandmill_model::{OutcomeKind, trigger::Listening};
use serde_json::{Value, json};

use super::{
    testing::{Answer, Jumping, at},
    *,
};

fn fault(config: Value) -> ConfigError {
    Listening::<Schedule>::shared().configure(&JsonText::of(&config).unwrap()).map(drop).unwrap_err()
}

fn preview(config: &Value, after: &str, limit: usize) -> Vec<Timestamp> {
    let ready = Listening::<Schedule>::shared().configure(&JsonText::of(config).unwrap()).unwrap();
    ready.preview(at(after), limit).unwrap()
}

fn metadata(event: &NewEvent) -> Value {
    event.metadata.read().unwrap()
}

#[test]
fn wrong_configs_are_told() {
    for (config, pointer, expected) in [
        (json!({}), "", "cron"),
        (json!({"cron": "nonsense"}), "/cron", "fields"),
        (json!({"cron": "@daily", "time_zone": "Mars"}), "/time_zone", "IANA"),
        (json!({"cron": "@daily", "jitter_ms": 86_400_001}), "/jitter_ms", "at most 86400000"),
        (json!({"cron": "@daily", "window": {"from": "tomorrow"}}), "/window/from", "2026-01-31T12:00:00Z"),
        (json!({"cron": "@daily", "window": {"from": "2026-01-02T00:00:00Z", "until": "2026-01-02T00:00:00Z"}}), "/window", "before"),
        (json!({"cron": "@daily", "pause_until": "never"}), "/pause_until", "2026-01-31T12:00:00Z"),
        (json!({"cron": "@daily", "catch_up_max": 0}), "/catch_up_max", "1 to 1000"),
        (json!({"cron": "@daily", "catch_up_max": 1001}), "/catch_up_max", "1 to 1000"),
        (json!({"cron": "@daily", "misfire": "all"}), "/overlap", "queue"),
        (json!({"cron": "@daily", "misfire": "some"}), "", "does not fit"),
        (json!({"cron": "@daily", "arguments_from": "nowhere"}), "", "path"),
        (json!({"cron": "@daily", "zone": "UTC"}), "", "unknown field"),
    ] {
        let fault = fault(config.clone());
        assert_eq!(fault.pointer, pointer, "{config}: {fault}");
        assert!(fault.message.contains(expected), "{config}: {fault}");
    }
    for good in [json!({"cron": "@daily", "jitter_ms": 86_400_000}), json!({"cron": "@daily", "misfire": "all", "overlap": "queue"})] {
        assert!(Listening::<Schedule>::shared().configure(&JsonText::of(&good).unwrap()).is_ok(), "{good}");
    }
}

#[test]
fn previews_are_what_will_run() {
    let config = json!({
        "cron": "0 12 * * *", "time_zone": "Europe/Zurich", "pause_until": "2026-03-02T00:00:00Z",
        "window": {"from": "2026-03-01T00:00:00Z", "until": "2026-03-04T11:00:00Z"},
    });
    let expected = ["2026-03-02T11:00:00Z", "2026-03-03T11:00:00Z"].map(at);
    assert_eq!(preview(&config, "2020-01-01T00:00:00Z", 10), expected, "the end of the window is none of it");
    assert_eq!(preview(&config, "2026-03-02T11:00:00Z", 10), expected[1..]);
    assert_eq!(preview(&config, "2020-01-01T00:00:00Z", 1), expected[..1]);
    assert_eq!(preview(&json!({"cron": "* * * * * *"}), "2026-01-01T00:00:00Z", usize::MAX).len(), RECORDS_MAX);
}

#[test]
fn every_night_of_three_years_runs_once_whoever_listens() {
    let config = json!({"cron": "30 2 * * *", "time_zone": "Europe/Zurich", "jitter_ms": 600_000});
    let host = Jumping::new("2026-01-01T00:00:00Z");
    // Their nodes die, also in the minutes in which a run is put off by jitter.
    let mut deaths: Vec<String> = (0..36).map(|month| format!("{}-{:02}-15T01:33:20Z", 2026 + month / 12, month % 12 + 1)).collect();
    deaths.push("2029-01-01T00:00:00Z".to_owned());
    for death in &deaths {
        assert_eq!(host.listen::<Schedule>(&config, death), None);
    }
    let expected = preview(&config, "2026-01-01T00:00:00Z", 1_000);
    let ran = host.ran();
    assert_eq!(ran.len(), 365 + 365 + 366);
    assert_eq!(ran[..1_000], expected);
    let kept = host.kept.lock().unwrap();
    let mut delays = HashSet::new();
    for (moment, event) in &kept.events {
        let delay = moment.since(event.occurred_at.unwrap());
        assert!(delay <= Duration::from_secs(600) && event.skip.is_none(), "{delay:?}");
        delays.insert(delay);
    }
    assert!(delays.len() > 1_000, "they are spread");
    assert_eq!(kept.listens, deaths.len());
}

#[test]
fn jitter_is_the_same_everywhere_and_keeps_the_order() {
    let timing = |jitter_ms: u64| {
        let config: Config = serde_json::from_value(json!({"cron": "* * * * *", "jitter_ms": jitter_ms})).unwrap();
        timing(&config).unwrap()
    };
    let (one, other) = (timing(3_600_000), timing(3_600_000));
    let mut instant = at("2026-01-01T00:00:00Z");
    for _ in 0..200 {
        let (due, next) = (one.due("a", instant), one.after(instant).unwrap());
        assert_eq!(due, other.due("a", instant));
        assert_ne!(due, one.due("b", instant));
        assert!((instant..next).contains(&due), "before the next instant, however great it is");
        instant = next;
    }
    assert_eq!(timing(0).due("a", instant), instant);
}

#[test]
fn what_is_missed_is_skipped_or_made_up_for() {
    let runs = |misfire: Value| {
        let mut config = json!({"cron": "0 * * * *", "overlap": "queue"});
        config.as_object_mut().unwrap().extend(misfire.as_object().unwrap().clone());
        let host = Jumping::new("2026-01-01T00:30:00Z");
        host.listen::<Schedule>(&config, "2026-01-01T01:30:00Z");
        host.pass("2026-01-01T06:00:00Z");
        host.listen::<Schedule>(&config, "2026-01-01T07:30:00Z");
        let decided = host.decided();
        assert_eq!(decided.iter().map(|(at, _)| *at).collect::<Vec<_>>(), preview(&config, "2026-01-01T00:30:00Z", 7), "each is decided");
        decided.into_iter().map(|(_, runs)| runs).collect::<Vec<_>>()
    };
    // At 06:00 that of 06:00 is not late. Those of 02:00 to 05:00 are missed.
    assert_eq!(runs(json!({"misfire": "skip"})), [true, false, false, false, false, true, true]);
    assert_eq!(runs(json!({})), [true, false, false, false, true, true, true]);
    assert_eq!(runs(json!({"misfire": "all", "catch_up_max": 3})), [true, false, true, true, true, true, true]);
    assert_eq!(runs(json!({"misfire": "all"})), [true; 7]);
}

#[test]
fn a_minute_is_no_misfire() {
    let config = json!({"cron": "0 0 * * * *", "misfire": "skip"});
    for (wakes, is_late) in [("2026-01-01T01:01:00Z", false), ("2026-01-01T01:01:00.000001Z", true)] {
        let host = Jumping::new("2026-01-01T00:30:00Z");
        host.listen::<Schedule>(&config, "2026-01-01T00:45:00Z");
        host.pass(wakes);
        host.listen::<Schedule>(&config, "2026-01-01T01:30:00Z");
        assert_eq!(host.decided(), [(at("2026-01-01T01:00:00Z"), !is_late)], "{wakes}");
    }
    assert_eq!(MISSED_AFTER, Duration::from_secs(60));
}

#[test]
fn a_long_time_is_a_bounded_number_of_records() {
    let config = json!({"cron": "* * * * * *", "misfire": "once"});
    let host = Jumping::new("2026-01-01T00:00:00Z");
    host.listen::<Schedule>(&config, "2026-01-01T00:00:01Z");
    host.pass("2026-02-01T00:00:00Z");
    host.listen::<Schedule>(&config, "2026-02-01T00:00:00Z");
    let kept = host.kept.lock().unwrap();
    assert_eq!(kept.events.len(), 1 + 1 + RECORDS_MAX);
    let (_, range) = &kept.events[1];
    let facts = metadata(range);
    assert_eq!(facts["skipped_since"], "2026-01-01T00:00:02.000000Z");
    let (_, after) = &kept.events[2];
    assert_eq!(range.occurred_at.unwrap().plus(Duration::from_secs(1)), after.occurred_at.unwrap(), "none is left out");
    assert!(range.skip.as_ref().unwrap().contains("2026-01-01T00:00:02.000000Z"), "{:?}", range.skip);
    // The minute that is not late, and the last of those that are.
    let skipped = kept.events.iter().filter(|(_, event)| event.skip.is_some()).count();
    assert_eq!(skipped, 1 + RECORDS_MAX - 61 - 1);
    assert_eq!(kept.lag, Some(0));
}

#[test]
fn nothing_is_forgotten_and_nothing_comes_twice_without_room() {
    let config = json!({"cron": "*/10 * * * * *"});
    let host = Jumping::new("2026-01-01T00:00:05Z");
    host.listen::<Schedule>(&config, "2026-01-01T00:00:05Z");
    host.kept.lock().unwrap().busy = 3;
    assert_eq!(host.listen::<Schedule>(&config, "2026-01-01T00:01:00Z"), None);
    assert_eq!(host.ran(), preview(&config, "2026-01-01T00:00:05Z", 6));
    // The database fails after the next: the listener ends, and begins where it was.
    host.kept.lock().unwrap().failing = 1;
    assert!(matches!(host.listen::<Schedule>(&config, "2026-01-01T00:01:30Z"), Some(Err(ListenError::Transient(_)))));
    assert_eq!(host.listen::<Schedule>(&config, "2026-01-01T00:01:30Z"), None);
    assert_eq!(host.ran(), preview(&config, "2026-01-01T00:00:05Z", 9));
}

#[test]
fn the_first_place_is_kept_before_anything_comes() {
    let config = json!({"cron": "@yearly"});
    let host = Jumping::new("2026-12-31T23:59:00Z");
    host.listen::<Schedule>(&config, "2026-12-31T23:59:30Z");
    host.pass("2027-01-01T00:00:30Z");
    host.listen::<Schedule>(&config, "2027-01-01T00:01:00Z");
    assert_eq!(host.ran(), [at("2027-01-01T00:00:00Z")], "what came while nobody listened");
}

#[test]
fn a_new_expression_has_missed_nothing() {
    let host = Jumping::new("2026-01-01T00:00:00Z");
    host.listen::<Schedule>(&json!({"cron": "@yearly"}), "2026-06-01T00:00:00Z");
    let config = json!({"cron": "0 * * * *", "misfire": "all", "overlap": "allow"});
    host.listen::<Schedule>(&config, "2026-06-01T02:30:00Z");
    assert_eq!(host.decided(), [(at("2026-06-01T01:00:00Z"), true), (at("2026-06-01T02:00:00Z"), true)]);
    // Another jitter, or another policy, is no other expression.
    host.pass("2026-06-01T04:30:00Z");
    host.listen::<Schedule>(&json!({"cron": "0 * * * *", "misfire": "skip", "jitter_ms": 1_000}), "2026-06-01T04:30:00Z");
    assert_eq!(host.decided()[2..], [(at("2026-06-01T03:00:00Z"), false), (at("2026-06-01T04:00:00Z"), false)]);
}

#[test]
fn a_cursor_of_a_clock_that_went_wrong_stops_nothing() {
    let config = json!({"cron": "0 * * * *"});
    let host = Jumping::new("2099-01-01T00:30:00Z");
    host.listen::<Schedule>(&config, "2099-01-01T00:40:00Z");
    let today = Jumping::new("2026-01-01T00:30:00Z");
    today.kept.lock().unwrap().cursor = host.kept.lock().unwrap().cursor.clone();
    today.listen::<Schedule>(&config, "2026-01-01T01:30:00Z");
    assert_eq!(today.ran(), [at("2026-01-01T01:00:00Z")]);
}

#[test]
fn a_pause_is_recorded() {
    let config = json!({"cron": "0 0 * * *", "pause_until": "2026-01-04T00:00:00Z", "misfire": "all", "overlap": "allow"});
    let host = Jumping::new("2026-01-01T12:00:00Z");
    host.listen::<Schedule>(&config, "2026-01-02T12:00:00Z");
    host.pass("2026-01-05T12:00:00Z");
    host.listen::<Schedule>(&config, "2026-01-06T12:00:00Z");
    assert_eq!(host.decided().iter().map(|(_, runs)| *runs).collect::<Vec<_>>(), [false, false, true, true, true]);
    let kept = host.kept.lock().unwrap();
    assert!(kept.events[0].1.skip.as_ref().unwrap().contains("paused until 2026-01-04"), "{:?}", kept.events[0].1.skip);
}

#[test]
fn after_its_window_it_waits_for_its_end() {
    let config = json!({"cron": "0 0 * * *", "window": {"until": "2026-01-03T00:00:00Z"}});
    let host = Jumping::new("2026-01-01T12:00:00Z");
    assert_eq!(host.listen::<Schedule>(&config, "2027-01-01T00:00:00Z"), None);
    assert_eq!(host.ran(), [at("2026-01-02T00:00:00Z")]);
}

#[test]
fn events_tell_their_instant() {
    let config = json!({
        "cron": "30 2 * * *", "time_zone": "Europe/Zurich", "overlap": "cancel_previous",
        "arguments": {"day": "$local_date", "since": "$previous", "n": 1},
    });
    let host = Jumping::new("2026-03-28T12:00:00Z");
    host.listen::<Schedule>(&config, "2026-03-29T12:00:00Z");
    let kept = host.kept.lock().unwrap();
    let (_, event) = &kept.events[0];
    assert_eq!(
        metadata(event),
        json!({
            "scheduled_for": "2026-03-29T01:00:00.000000Z",
            "local_time": "2026-03-29T03:00:00+02:00",
            "time_zone": "Europe/Zurich",
            "previous": "2026-03-28T01:30:00.000000Z",
            "next": "2026-03-30T00:30:00.000000Z",
        })
    );
    let payload: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(payload, json!({"day": "2026-03-29", "since": "2026-03-28T01:30:00.000000Z", "n": 1}));
    assert_eq!(event.dedup_key.as_deref(), Some("1774746000000000"));
    assert_eq!(event.overlap, Overlaps::CancelPrevious);
    drop(kept);
    let host = Jumping::new("2026-03-28T12:00:00Z");
    host.listen::<Schedule>(&json!({"cron": "@daily"}), "2026-03-29T12:00:00Z");
    let kept = host.kept.lock().unwrap();
    assert!(kept.events[0].1.payload.is_empty(), "without arguments there are none");
    assert_eq!(kept.events[0].1.overlap, Overlaps::Skip);
}

#[test]
fn a_script_makes_the_arguments() {
    let config = json!({"cron": "0 * * * *", "arguments_from": "f/a/arguments", "arguments": {"at": "$scheduled_for"}, "overlap": "allow"});
    let host = Jumping::new("2026-01-01T00:30:00Z");
    host.kept.lock().unwrap().answers.extend([
        Answer::Json(r#"{"n": 12345678901234567890123}"#),
        Answer::Json(" null"),
        Answer::Json("[1]"),
        Answer::Ends(OutcomeKind::Error),
        Answer::Ends(OutcomeKind::Skipped),
        Answer::Unreachable,
        Answer::Ends(OutcomeKind::HostFault),
        Answer::Json("{}"),
    ]);
    let until = "2026-01-01T06:30:00Z";
    for _ in 0..2 {
        assert!(matches!(host.listen::<Schedule>(&config, until), Some(Err(ListenError::Transient(_)))), "it is asked again");
    }
    assert_eq!(host.listen::<Schedule>(&config, until), None);
    assert_eq!(host.decided().iter().map(|(_, runs)| *runs).collect::<Vec<_>>(), [true, false, false, false, false, true]);
    let kept = host.kept.lock().unwrap();
    assert_eq!(kept.events[0].1.payload, r#"{"n": 12345678901234567890123}"#);
    let reasons = ["returned null", "no object of arguments", "ended as error", "was skipped"];
    for ((_, event), reason) in kept.events[1..].iter().zip(reasons) {
        assert!(event.skip.as_ref().unwrap().contains(reason), "{:?}", event.skip);
    }
    let ask = &kept.asked[0];
    assert_eq!((ask.path.as_str(), ask.stages_state, ask.event.dedup_key.clone()), ("f/a/arguments", false, None));
    assert_eq!(ask.event.payload, r#"{"at":"2026-01-01T01:00:00.000000Z"}"#);
    assert_eq!(Listening::<Schedule>::shared().configure(&JsonText::of(&config).unwrap()).unwrap().asks(), std::slice::from_ref(&ask.path));
}
