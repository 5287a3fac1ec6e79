//! The bytes that are hashed stay what they are, and every kind of change to a chain shows.

use serde_json::json;

use super::*;

fn record(action: &str) -> Record {
    Record {
        id: "01a0c450-6c0a-7000-8000-000000000010".parse().unwrap(),
        workspace: Some("01a0c450-6c00-7000-8000-000000000001".parse().unwrap()),
        actor: Actor {
            kind: ActorKind::Token,
            identity: Some("u/ann".into()),
            token: Some("01a0c450-6c14-7000-8000-000000000011".parse().unwrap()),
        },
        origin: Origin { address: Some("192.0.2.7".to_owned()), user_agent: None },
        request_id: "req-1".to_owned(),
        action: action.to_owned(),
        target: "f/a/b".to_owned(),
        outcome: AuditOutcome::Done,
        attempts: 1,
        before: None,
        after: Some(JsonText::trusted(r#"{"text":"x"}"#)),
    }
}

fn chain(length: u64) -> Vec<Entry> {
    let mut last = Link::START;
    let next = |number| {
        let entry = Entry::after(last, Timestamp::from_micros(1_700_000_000_000_000 + number), record("variables.put"));
        last = entry.link();
        entry
    };
    (0..i64::try_from(length).unwrap()).map(next).collect()
}

fn check(entries: &[Entry], noted: Option<Link>) -> Result<Link, Broken> {
    let mut verifier = Verifier::new(Link::START, noted);
    entries.iter().try_for_each(|entry| verifier.add(entry))?;
    verifier.finish().map(|()| verifier.last())
}

/// Chains that were written stay right: if this fails, the form needs another name.
#[test]
fn the_hash_is_that_of_the_documented_bytes() {
    let entry = Entry::after(Link::START, Timestamp::from_micros(1_700_000_000_000_001), record("variables.put"));
    assert_eq!(entry.hash.hex(), "92e2084089b69f4a79ace55533f0d37ec5555cee6e4f919a9129a8de960166f5");
}

#[test]
fn what_is_not_there_differs_from_what_is_empty() {
    let entry = |record: Record| Entry::after(Link::START, Timestamp::from_micros(1), record).hash;
    let none = Record { origin: Origin { address: None, user_agent: None }, ..record("a") };
    let empty = Record { origin: Origin { address: Some(String::new()), user_agent: None }, ..record("a") };
    let other = Record { origin: Origin { address: None, user_agent: Some(String::new()) }, ..record("a") };
    assert!(entry(none.clone()) != entry(empty.clone()) && entry(empty) != entry(other.clone()) && entry(other) != entry(none));
}

#[test]
fn an_entry_comes_back_from_its_json() {
    let mut odd = record("variables.put");
    odd.before = Some(JsonText::trusted(r#"{"n":1.50,"n":2}"#));
    odd.workspace = None;
    let entry = Entry::after(Link { number: 41, ..Link::START }, Timestamp::from_micros(1_700_000_000_123_456), odd);
    let text = serde_json::to_string(&entry).unwrap();
    assert!(text.contains(r#""at":"2023-11-14T22:13:20.123456Z""#) && text.contains(r#"{"n":1.50,"n":2}"#), "{text}");
    let back: Entry = serde_json::from_str(&text).unwrap();
    assert_eq!(back, entry);
    assert_eq!(back.computed(), back.hash);
    let kept = serde_json::to_string(&entry.record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&kept).unwrap(), entry.record);
}

#[test]
fn whatever_is_done_to_a_chain_shows() {
    let whole = chain(5);
    let head = whole[4].link();
    assert_eq!(check(&whole, Some(head)), Ok(head));
    assert_eq!(check(&whole, Some(whole[2].link())), Ok(head), "a head that was noted earlier");
    assert_eq!(check(&[], None), Ok(Link::START));

    let changed = |change: fn(&mut Vec<Entry>)| {
        let mut entries = whole.clone();
        change(&mut entries);
        check(&entries, Some(head)).unwrap_err()
    };
    assert_eq!(changed(|entries| entries[2].record.target = "f/a/c".to_owned()), Broken::Changed(3));
    assert_eq!(changed(|entries| entries[2].at = Timestamp::from_micros(7)), Broken::Changed(3));
    assert_eq!(changed(|entries| drop(entries.remove(2))), Broken::Missing { from: 3, to: 3 });
    assert_eq!(changed(|entries| drop(entries.drain(..2))), Broken::Missing { from: 1, to: 2 });
    assert_eq!(changed(|entries| entries.swap(1, 2)), Broken::Missing { from: 2, to: 2 });
    assert_eq!(changed(|entries| entries.insert(3, entries[2].clone())), Broken::Misplaced(3));
    assert_eq!(changed(|entries| entries.truncate(4)), Broken::CutOff { last: 4, noted: 5 });
    // Whoever computes hashes anew gets as far as the next entry.
    let forged = |entries: &mut Vec<Entry>| {
        entries[2].record.target = "f/a/c".to_owned();
        entries[2].hash = entries[2].computed();
    };
    assert_eq!(changed(forged), Broken::Replaced(4));
    let foreign = |entries: &mut Vec<Entry>| {
        entries[4].record.workspace = None;
        entries[4].hash = entries[4].computed();
    };
    assert_eq!(changed(foreign), Broken::Foreign(5));
    // Or all anew: then only whoever has noted one knows.
    let mut last = Link::START;
    let rewritten: Vec<Entry> = whole
        .iter()
        .map(|entry| {
            let entry = Entry::after(last, entry.at, Record { target: "f/a/c".to_owned(), ..entry.record.clone() });
            last = entry.link();
            entry
        })
        .collect();
    assert_eq!(check(&rewritten, None), Ok(last));
    assert_eq!(check(&rewritten, Some(whole[3].link())), Err(Broken::NotAsNoted(4)));
}

#[test]
fn links_are_written_and_read() {
    let link = chain(1)[0].link();
    assert_eq!(link.to_string().parse(), Ok(link));
    assert_eq!(format!("1:{}", link.hash).parse(), Ok(link));
    for bad in ["", "1", "1:", "x:00", "-1:00", &format!("{link}0")] {
        assert_eq!(bad.parse::<Link>(), Err(InvalidLink), "{bad}");
    }
}

#[test]
fn what_is_large_is_left_out() {
    assert_eq!(shown(&json!(null)), None);
    assert_eq!(shown(&json!({"a": "x\ny"})).unwrap().as_str(), r#"{"a":"x\ny"}"#);
    let large = shown(&json!("x".repeat(VALUE_BYTES_MAX))).unwrap();
    assert!(large.as_str().len() < 200 && large.as_str().contains("sha256:"), "{large:?}");
    assert_eq!(bounded("a\nb\u{0}ü", 3), "ab", "control characters go, and no character is cut in two");
    assert_eq!(bounded("curl/8", 200), "curl/8");
}

#[test]
fn names_come_back() {
    for name in ["anonymous", "token", "session", "run", "system"] {
        assert_eq!(ActorKind::from_name(name).unwrap().name(), name);
        assert_eq!(serde_json::to_value(ActorKind::from_name(name)).unwrap(), json!(name));
    }
    for name in ["done", "denied", "failed", "unknown"] {
        assert_eq!(AuditOutcome::from_name(name).unwrap().name(), name);
        assert_eq!(serde_json::to_value(AuditOutcome::from_name(name)).unwrap(), json!(name));
    }
    assert_eq!(AuditOutcome::from_name("x"), None);
}
