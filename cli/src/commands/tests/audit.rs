//! The audit log.

use sandmill_model::{
    AuditId, Timestamp,
    audit::{Actor, ActorKind, AuditOutcome, Entry, Link, Origin, Record},
};

use super::{JSON, remote};

fn entry() -> Entry {
    let at = Timestamp::from_micros(1_767_323_045_000_000);
    let record = Record {
        id: AuditId::new(at),
        workspace: None,
        actor: Actor { kind: ActorKind::Token, identity: Some("u/ann".into()), token: None },
        origin: Origin { address: Some("192.0.2.7".to_owned()), user_agent: None },
        request_id: "r1".to_owned(),
        action: "access.denied".to_owned(),
        target: "PUT /api/w/w/settings".to_owned(),
        outcome: AuditOutcome::Denied,
        attempts: 40,
        before: None,
        after: None,
    };
    Entry::after(Link::START, at, record)
}

#[tokio::test]
async fn entries_are_listed_and_exported() {
    let line = serde_json::to_string(&entry()).unwrap();
    let items: &'static str = format!(r#"{{"items":[{line}],"next":null}}"#).leak();
    let list = ("GET /api/w/w/audit?action=access.*&outcome=denied&limit=50", "200 OK", JSON, items);
    let done = remote(&["audit", "list", "--action", "access.*", "--outcome", "denied"], vec![list]).await;
    assert_eq!(done.exit, 0, "{}", done.err);
    let expected = "1       2026-01-02T03:04:05.000000Z  u/ann  access.denied  PUT /api/w/w/settings  denied (40 times)  192.0.2.7";
    assert_eq!(done.out.lines().nth(1), Some(expected), "{}", done.out);

    let lines: &'static str = format!("{line}\n").leak();
    let export = ("GET /api/instance/audit/export?after=7", "200 OK", "content-type: application/x-ndjson\r\n", lines);
    assert_eq!(remote(&["audit", "export", "--instance", "--after", "7"], vec![export]).await.out, lines);
}

#[tokio::test]
async fn a_chain_is_verified_part_by_part() {
    let link = |number: u64| Link { number, ..entry().link() }.to_string();
    let verdict = |fault: &str, verified: u64, next: Option<u64>| -> &'static str {
        let (anchor, head, verified) = (link(0), link(9), link(verified));
        let next = next.map_or("null".to_owned(), |next| format!("\"{}\"", link(next)));
        let valid = fault == "null";
        let body =
            format!(r#"{{"valid":{valid},"fault":{fault},"anchor":"{anchor}","head":"{head}","verified":"{verified}","next":{next}}}"#);
        body.leak()
    };
    let hash = entry().hash.hex();
    let first: &'static str = "GET /api/w/w/audit/verify";
    let second: &'static str = format!("GET /api/w/w/audit/verify?after=5%3A{hash}").leak();
    let answers = vec![(first, "200 OK", JSON, verdict("null", 5, Some(5))), (second, "200 OK", JSON, verdict("null", 9, None))];
    let done = remote(&["audit", "verify"], answers).await;
    assert_eq!((done.exit, done.out), (0, format!("entries 1 to 9 are as they were written\nhead 9:{hash}\n")));
    let broken = verdict("\"entry 6 was changed\"", 5, None);
    let done = remote(&["audit", "verify"], vec![(first, "200 OK", JSON, broken)]).await;
    assert_eq!(done.exit, 1, "{}", done.err);
    assert!(done.err.contains("entry 6 was changed"), "{}", done.err);
}
