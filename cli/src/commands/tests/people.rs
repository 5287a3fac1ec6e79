//! Users, members, groups, folders.

use serde_json::{Value, json};

use super::{JSON, PROBLEM, is_refused, remote};

fn sent(bodies: &[String]) -> Value {
    serde_json::from_str(&bodies[0]).unwrap()
}

const USER: &str = r#"{"name":"ann","email":"ann@example.test","display_name":"Ann","is_instance_admin":true,"is_disabled":false,"has_password":false,"created_at":"2026-01-02T03:04:05Z","created_by":"u/admin"}"#;

#[tokio::test]
async fn users() {
    let post = ("POST /api/instance/users", "201 Created", JSON, USER);
    let arguments = ["users", "create", "ann", "--email", "ann@example.test", "--display-name", "Ann", "--instance-admin", "--no-password"];
    let done = remote(&arguments, vec![post]).await;
    assert_eq!(done.exit, 0, "{}", done.err);
    let expected = json!({"name": "ann", "email": "ann@example.test", "display_name": "Ann", "password": null, "is_instance_admin": true});
    assert_eq!(sent(&done.bodies), expected);
    let facts = "user     ann\nrights   instance admin\ne-mail   ann@example.test\nname     Ann\npassword none\nmade     2026-01-02T03:04:05Z by u/admin\n";
    assert_eq!(done.out, facts);
    let patch = ("PATCH /api/instance/users/ann", "200 OK", JSON, USER);
    let done = remote(&["users", "change", "ann", "--disabled", "true", "--email", ""], vec![patch]).await;
    assert_eq!(sent(&done.bodies), json!({"is_disabled": true, "email": null}));
    let items = format!(r#"{{"items":[{USER}],"next":null}}"#).leak();
    let done = remote(&["users", "list"], vec![("GET /api/instance/users?limit=50", "200 OK", JSON, items)]).await;
    assert_eq!(done.out, "USER  RIGHTS          E-MAIL            NAME\nann   instance admin  ann@example.test  Ann\n");
}

#[tokio::test]
async fn members() {
    let new = r#"{"id":"i","invitation":"si_secret","expires_at":"2026-01-05T03:04:05Z"}"#;
    let post = ("POST /api/w/w/invitations", "201 Created", JSON, new);
    let done = remote(&["members", "invite", "--role", "viewer"], vec![post]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "si_secret\n"), "{}", done.err);
    assert_eq!(sent(&done.bodies), json!({"role": "viewer", "hours": 72}));
    let member = r#"{"user":"ann","display_name":"Ann","role":"viewer","is_disabled":false}"#;
    let done = remote(&["members", "put", "ann", "--role", "viewer"], vec![("PUT /api/w/w/members/ann", "200 OK", JSON, member)]).await;
    assert_eq!(done.out, "user ann\nrole viewer\n");
    let problem = r#"{"status":404,"code":"not_found","title":"x","detail":"there is no such member"}"#;
    let done = remote(&["members", "remove", "ann"], vec![("DELETE /api/w/w/members/ann", "404 Not Found", PROBLEM, problem)]).await;
    assert!(done.exit == 3 && done.err.contains("no such member"), "{}", done.err);
    assert_eq!(remote(&["members", "withdraw", "../x"], vec![]).await.exit, 2);
}

#[tokio::test]
async fn groups_and_folders() {
    let group = r#"{"name":"ops","description":"","members":["ann","bob"],"updated_at":"2026-01-02T03:04:05Z","updated_by":"u/cy"}"#;
    let put = ("PUT /api/w/w/groups/ops", "200 OK", JSON, group);
    let done = remote(&["groups", "put", "ops", "--member", "ann", "--member", "bob"], vec![put]).await;
    assert_eq!(sent(&done.bodies), json!({"members": ["ann", "bob"], "description": ""}));
    assert_eq!(done.out, "group       ops\nmembers     ann, bob\nupdated     2026-01-02T03:04:05Z by u/cy\n");
    let folder = r#"{"name":"billing","description":"bills","owners":["u/cy"],"writers":[],"readers":["g/ops"],"updated_at":"2026-01-02T03:04:05Z","updated_by":"u/cy"}"#;
    let put = ("PUT /api/w/w/folders/billing", "200 OK", JSON, folder);
    let done = remote(&["folders", "put", "billing", "--owner", "u/cy", "--reader", "g/ops", "--description", "bills"], vec![put]).await;
    let expected = json!({"owners": ["u/cy"], "writers": [], "readers": ["g/ops"], "description": "bills"});
    assert_eq!(sent(&done.bodies), expected);
    assert!(
        done.out.contains("owners      u/cy") && done.out.contains("readers     g/ops") && !done.out.contains("writers"),
        "{}",
        done.out
    );
    let access = ("PUT /api/w/w/access/f/billing/x", "200 OK", JSON, r#"{"writers":[],"readers":["u/ann"]}"#);
    let done = remote(&["folders", "share", "f/billing/x", "--reader", "u/ann"], vec![access]).await;
    assert_eq!(sent(&done.bodies), json!({"writers": [], "readers": ["u/ann"]}));
    assert_eq!(done.out, "path    f/billing/x\nreaders u/ann\n");
}

#[tokio::test]
async fn service_accounts() {
    let account = r#"{"name":"deployer","identity":"s/deployer","description":"nightly","scopes":["runs:start:f/a/*"],"users":["g/ops","u/ann"],"updated_at":"2026-01-02T03:04:05Z","updated_by":"u/cy"}"#;
    let put = ("PUT /api/w/w/service-accounts/deployer", "200 OK", JSON, account);
    let arguments = [
        "service-accounts",
        "put",
        "deployer",
        "--scope",
        "runs:start:f/a/*",
        "--user",
        "u/ann",
        "--user",
        "g/ops",
        "--description",
        "nightly",
    ];
    let done = remote(&arguments, vec![put]).await;
    let expected = json!({"scopes": ["runs:start:f/a/*"], "users": ["u/ann", "g/ops"], "description": "nightly"});
    assert_eq!(sent(&done.bodies), expected);
    let facts = "identity    s/deployer\ndescription nightly\nscopes      runs:start:f/a/*\nusers       g/ops, u/ann\nupdated     2026-01-02T03:04:05Z by u/cy\n";
    assert_eq!((done.exit, done.out.as_str()), (0, facts), "{}", done.err);
    let items = format!(r#"{{"items":[{account}],"next":null}}"#).leak();
    let done = remote(&["service-accounts", "list"], vec![("GET /api/w/w/service-accounts?limit=50", "200 OK", JSON, items)]).await;
    assert!(done.out.contains("s/deployer") && done.out.contains("runs:start:f/a/*"), "{}", done.out);
    let delete = ("DELETE /api/w/w/service-accounts/deployer", "204 No Content", JSON, "");
    assert_eq!(remote(&["service-accounts", "delete", "deployer"], vec![delete]).await.exit, 0);
    for bad in [["service-accounts", "put", "a/b"], ["service-accounts", "show", "../x"]] {
        assert!(is_refused(&bad), "{bad:?}");
    }
    assert!(!is_refused(&["service-accounts", "show", "a"]));
}

#[tokio::test]
async fn a_run_says_as_whom_it_acts() {
    let start = ("POST /api/w/w/runs", "202 Accepted", JSON, r#"{"run_id":"r1","status":"queued"}"#);
    let done = remote(&["run", "f/a/b", "--start", "--run-as", "s/deployer"], vec![start]).await;
    assert_eq!(done.exit, 0, "{}", done.err);
    assert_eq!(sent(&done.bodies)["run_as"], "s/deployer");
    assert!(is_refused(&["run", "f/a/b", "--start", "--run-as", "deployer"]));
}
