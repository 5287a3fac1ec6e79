//! Tokens.

use serde_json::{Value, json};

use super::{JSON, PROBLEM, remote};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const TOKEN: &str = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","prefix":"sm_abcd","label":"for bob","kind":"user","scopes":["runs:read","runs:start:f/a/*"],"read_only":false,"identity":"u/ann","created_at":"2026-01-02T03:04:05Z","created_by":"u/ann","expires_at":null,"last_used_at":"2026-01-03T03:04:05Z","old_secret_until":null}"#;

fn secret() -> &'static str {
    format!(r#"{{"secret":"sm_abcdefgh","token":{TOKEN}}}"#).leak()
}

fn sent(bodies: &[String]) -> Value {
    serde_json::from_str(&bodies[0]).unwrap()
}

#[tokio::test]
async fn the_secret_alone_is_on_stdout() {
    let made = ("POST /api/w/w/tokens", "201 Created", JSON, secret());
    let arguments = ["tokens", "create", "--label", "for bob", "--scope", "runs:read", "--scope", "runs:start:f/a/*"];
    let done = remote(&arguments, vec![made]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "sm_abcdefgh\n"), "{}", done.err);
    assert!(done.err.contains(ID) && !done.err.contains("sm_abcdefgh"), "{}", done.err);
    assert_eq!(sent(&done.bodies), json!({"label": "for bob", "read_only": false, "scopes": ["runs:read", "runs:start:f/a/*"]}));
    let done = remote(&["tokens", "create", "--json"], vec![made]).await;
    assert_eq!(done.out, format!("{}\n", secret()));
    assert_eq!(sent(&done.bodies), json!({"label": "", "read_only": false}));
}

#[tokio::test]
async fn what_is_said_is_asked_for() {
    let of_all = ("POST /api/instance/tokens", "201 Created", JSON, secret());
    let done = remote(&["tokens", "create", "--instance", "--read-only", "--expires-in-days", "2"], vec![of_all]).await;
    assert_eq!(sent(&done.bodies), json!({"label": "", "read_only": true, "expires_in_s": 172_800}));
    let made = ("POST /api/w/w/tokens", "201 Created", JSON, secret());
    let arguments = ["tokens", "create", "--start", "f/a/b", "--as", "u/bob", "--expires-at", "2026-01-31T13:00:00+01:00"];
    let done = remote(&arguments, vec![made]).await;
    let at = "2026-01-31T12:00:00.000000Z";
    let expected = json!({"label": "", "read_only": false, "start": "f/a/b", "identity": "u/bob", "expires_at": at});
    assert_eq!(sent(&done.bodies), expected);
    let rotated = ("POST /api/w/w/tokens/01890a5d-ac96-774b-bcce-b302099a8057/rotate", "200 OK", JSON, secret());
    let done = remote(&["tokens", "rotate", ID, "--overlap-s", "60"], vec![rotated]).await;
    assert_eq!((sent(&done.bodies), done.out.as_str()), (json!({"overlap_s": 60}), "sm_abcdefgh\n"));
}

#[tokio::test]
async fn tokens_are_looked_at_and_revoked() {
    let list = format!(r#"{{"items":[{TOKEN}],"next":null}}"#).leak();
    let done = remote(&["tokens", "list"], vec![("GET /api/w/w/tokens?limit=50", "200 OK", JSON, list)]).await;
    assert!(done.out.contains("sm_abcd…  user  u/ann  never    2026-01-03T03:04:05Z  for bob"), "{}", done.out);
    let shown = ("GET /api/instance/tokens/01890a5d-ac96-774b-bcce-b302099a8057", "200 OK", JSON, TOKEN);
    let done = remote(&["tokens", "show", ID, "--instance"], vec![shown]).await;
    assert!(done.out.contains("scopes     runs:read, runs:start:f/a/*\n"), "{}", done.out);
    assert!(done.out.contains("created    2026-01-02T03:04:05Z by u/ann\n"), "{}", done.out);
    let gone = ("DELETE /api/w/w/tokens/01890a5d-ac96-774b-bcce-b302099a8057", "204 No Content", "", "");
    assert_eq!(remote(&["tokens", "revoke", ID], vec![gone]).await.out, format!("{ID} revoked\n"));
    assert_eq!(remote(&["tokens", "revoke", ID, "--json"], vec![gone]).await.out, format!("{{\"revoked\":\"{ID}\"}}\n"));
}

#[tokio::test]
async fn a_refusal_is_told() {
    let problem = r#"{"status":403,"code":"forbidden","title":"Not allowed","detail":"a token may do nothing that"}"#;
    let refused = ("POST /api/w/w/tokens", "403 Forbidden", PROBLEM, problem);
    let done = remote(&["tokens", "create"], vec![refused]).await;
    assert_eq!(done.exit, 3);
    assert!(done.err.contains("a token may do nothing that"), "{}", done.err);
}

#[test]
fn what_makes_no_sense_is_refused_before_it_is_sent() {
    use clap::Subcommand as _;
    let refused = |arguments: &[&str]| {
        let root = crate::ClientCommand::augment_subcommands(clap::Command::new("sandmill"));
        root.try_get_matches_from(["sandmill", "tokens", "create"].into_iter().chain(arguments.iter().copied())).is_err()
    };
    assert!(refused(&["--scope", "runs:fly"]));
    assert!(refused(&["--start", "f/a/b", "--scope", "runs:read"]));
    assert!(refused(&["--start", "f/a/b", "--instance"]));
    assert!(refused(&["--expires-in-days", "0"]));
    assert!(refused(&["--expires-at", "2026-01-31T12:00:00Z", "--expires-in-days", "1"]));
    assert!(!refused(&["--start", "f/a/b"]));
}
