//! Settings, quotas, and what only people can do.

use serde_json::json;

use super::{JSON, remote};

#[tokio::test]
async fn settings() {
    let body = r#"{"audit_days":null,"error_handler":"f/ops/failed","retention_days":90}"#;
    let facts = "audit_days     none\nerror_handler  f/ops/failed\nretention_days 90\n";
    let done = remote(&["settings", "show"], vec![("GET /api/w/w/settings", "200 OK", JSON, body)]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, facts), "{}", done.err);
    let patch = ("PATCH /api/w/w/settings", "200 OK", JSON, body);
    let done = remote(&["settings", "set", "retention_days=90", "error_handler=f/ops/failed", "audit_days=none"], vec![patch]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, facts), "{}", done.err);
    let sent: serde_json::Value = serde_json::from_str(&done.bodies[0]).unwrap();
    assert_eq!(sent, json!({"retention_days": 90, "error_handler": "f/ops/failed", "audit_days": null}));
    let done = remote(&["settings", "set", "weight=2", "--json"], vec![patch]).await;
    assert_eq!(done.out, format!("{body}\n"));
}

#[tokio::test]
async fn quotas() {
    let body = r#"{"plan":"small","quotas":{"runs_per_day":1000,"scripts":null}}"#;
    let done = remote(&["quotas"], vec![("GET /api/w/w/quotas", "200 OK", JSON, body)]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "plan   small\nlimits runs_per_day=1000\n"), "{}", done.err);
}

#[tokio::test]
async fn a_token_is_no_person() {
    let version = ("GET /api/instance/version", "200 OK", JSON, r#"{"version":"0.1.0","identity":"u/ann"}"#);
    let done = remote(&["whoami"], vec![version]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "identity u/ann\nby       a token\n"), "{}", done.err);
    for arguments in [&["password"][..], &["members", "accept"]] {
        let done = remote(arguments, vec![]).await;
        assert!(done.exit == 2 && done.err.contains("--user"), "{arguments:?}: {}", done.err);
    }
}
