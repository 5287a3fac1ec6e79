//! Resources, their types, variables, keys.

use std::fs;

use serde_json::{Value, json};

use super::{JSON, PROBLEM, remote};

const RESOURCE: &str = r#"{"path":"f/db/main","type":"postgresql","fields":{"host":"db"},"secrets":["/password"],"description":"main","revision":7,"updated_at":"2026-01-02T03:04:05Z","updated_by":"u/ann"}"#;
const SECRET: &str = r#"{"path":"f/demo/token","secret":true,"text":null,"description":"","revision":7,"updated_at":"2026-01-02T03:04:05Z","updated_by":"u/ann"}"#;

fn sent(bodies: &[String]) -> Value {
    serde_json::from_str(&bodies[0]).unwrap()
}

#[tokio::test]
async fn a_resource_is_put_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value.json");
    fs::write(&file, r#"{"host": "db", "password": "hunter2"}"#).unwrap();
    let put = ("PUT /api/w/w/resources/f/db/main", "200 OK", JSON, RESOURCE);
    let arguments = ["resources", "put", "f/db/main", "--type", "postgresql", "--file", file.to_str().unwrap(), "--field", "port=5433"];
    let done = remote(&arguments, vec![put]).await;
    assert_eq!(done.exit, 0, "{}", done.err);
    let value = json!({"host": "db", "password": "hunter2", "port": 5433});
    assert_eq!(sent(&done.bodies), json!({"type": "postgresql", "value": value, "description": ""}));
    assert!(!done.out.contains("hunter2") && done.out.contains("secrets     /password"), "{}", done.out);

    let get = ("GET /api/w/w/resources/f/db/main", "200 OK", JSON, RESOURCE);
    let done = remote(&["resources", "show", "f/db/main"], vec![get]).await;
    let expected = "resource    f/db/main\ntype        postgresql\ndescription main\nsecrets     /password\nupdated     2026-01-02T03:04:05Z by u/ann\n\n{\n  \"host\": \"db\"\n}\n";
    assert_eq!(done.out, expected);
    assert_eq!(remote(&["resources", "show", "f/db/main", "--json"], vec![get]).await.out, format!("{RESOURCE}\n"));
}

#[tokio::test]
async fn lists_are_tables() {
    let items = format!(r#"{{"items":[{RESOURCE}],"next":null}}"#).leak();
    let done = remote(
        &["resources", "list", "--prefix", "f/db/"],
        vec![("GET /api/w/w/resources?limit=50&prefix=f%2Fdb%2F", "200 OK", JSON, items)],
    )
    .await;
    assert_eq!(done.out, "RESOURCE   TYPE        BY     DESCRIPTION\nf/db/main  postgresql  u/ann  main\n");
    let items = format!(r#"{{"items":[{SECRET}],"next":null}}"#).leak();
    let done = remote(&["variables", "list"], vec![("GET /api/w/w/variables?limit=50", "200 OK", JSON, items)]).await;
    assert!(done.out.starts_with("VARIABLE      KIND    BY"), "{}", done.out);
    let items = r#"{"items":[{"name":"http","description":"An origin","is_built_in":true,"schema":{}}],"next":null}"#;
    let done = remote(&["resource-types", "list"], vec![("GET /api/w/w/resource-types?limit=50", "200 OK", JSON, items)]).await;
    assert_eq!(done.out, "TYPE  ORIGIN    DESCRIPTION\nhttp  built in  An origin\n");
}

#[tokio::test]
async fn faults_are_told() {
    let problem = r#"{"status":422,"code":"invalid_resource","title":"The value does not fit its resource type","detail":"/password: x","faults":[{"pointer":"/password","message":"x"}]}"#;
    let answer = ("PUT /api/w/w/resources/f/db/main", "422 Unprocessable Entity", PROBLEM, problem);
    let done = remote(&["resources", "put", "f/db/main", "--type", "postgresql", "--value", "{}"], vec![answer]).await;
    assert_eq!(done.exit, 2);
    assert!(done.err.contains("/password: x"), "{}", done.err);
    let done = remote(&["resources", "put", "f/db/main", "--type", "postgresql", "--value", "[1]"], vec![]).await;
    assert_eq!(done.exit, 2);
}

#[tokio::test]
async fn a_variable_is_put_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "hunter2\n").unwrap();
    let put = ("PUT /api/w/w/variables/f/demo/token", "200 OK", JSON, SECRET);
    let done = remote(&["variables", "put", "f/demo/token", "--secret", "--file", file.to_str().unwrap()], vec![put]).await;
    assert_eq!(sent(&done.bodies), json!({"text": "hunter2\n", "secret": true, "description": ""}), "as it is");
    assert!(!done.out.contains("hunter2"), "{}", done.out);
    let done = remote(&["variables", "put", "f/demo/token", "--secret", "--keep", "--description", "x"], vec![put]).await;
    assert_eq!(sent(&done.bodies), json!({"text": null, "secret": true, "description": "x"}));
    let gone = ("DELETE /api/w/w/variables/f/demo/token", "204 No Content", "", "");
    assert_eq!(remote(&["variables", "delete", "f/demo/token"], vec![gone]).await.out, "f/demo/token deleted\n");
    assert_eq!(remote(&["variables", "delete", "f/demo/token", "--json"], vec![gone]).await.out, "{\"deleted\":\"f/demo/token\"}\n");
}

#[tokio::test]
async fn a_type_is_put() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("type.json");
    fs::write(&file, r#"{"type": "object"}"#).unwrap();
    let body = r#"{"name":"account","description":"x","is_built_in":false,"schema":{"type":"object"}}"#;
    let arguments = ["resource-types", "put", "account", file.to_str().unwrap(), "--description", "x"];
    let done = remote(&arguments, vec![("PUT /api/w/w/resource-types/account", "200 OK", JSON, body)]).await;
    assert_eq!(sent(&done.bodies), json!({"schema": {"type": "object"}, "description": "x"}));
    assert!(done.out.starts_with("type        account\n"), "{}", done.out);
}

#[tokio::test]
async fn keys_are_rotated() {
    let body = r#"{"workspaces":2,"resealed":9,"wrapped_by":"0123456789abcdef"}"#;
    let answer = ("POST /api/instance/keys/rotate", "200 OK", JSON, body);
    let done = remote(&["keys", "rotate"], vec![answer]).await;
    assert_eq!(done.out, "2 workspaces have new keys, wrapped by instance key 0123456789abcdef\n9 secrets sealed anew\n");
    assert_eq!(remote(&["keys", "rotate", "--json"], vec![answer]).await.out, format!("{body}\n"));
}

/// A secret on the command line is refused before anything is sent.
#[test]
fn no_secret_is_taken_from_the_command_line() {
    use clap::Subcommand as _;
    let root = crate::ClientCommand::augment_subcommands(clap::Command::new("sandmill"));
    let refused = root.try_get_matches_from(["sandmill", "variables", "put", "f/demo/token", "--secret", "--value", "hunter2"]);
    assert!(refused.is_err());
}
