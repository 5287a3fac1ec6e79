//! As whom runs act: what people may name, and what attackers try.

mod api;

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use crate::{
    commands::sandmill,
    shared::{Database, on_both, server},
};

const PASSWORD: &str = "correct horse battery staple";
/// Returns as whom it acts.
const WHO: &str = "import { context } from 'sandmill'; export const main = () => context.runAs;";

on_both![
    a_deployer_names_an_account_that_they_may_use,
    whoever_starts_names_what_they_may_use,
    what_a_deployer_may_use_no_more_starts_no_more,
    what_was_deleted_meanwhile_nothing_acts_as,
    a_handler_starts_as_long_as_who_named_it_may_start_it,
    children_gain_nothing,
    an_account_has_nothing_that_its_maker_lacks,
];

/// Somebody with a session or a token.
struct Caller<'a> {
    server: &'a Server,
    identity: String,
    token: String,
}

impl<'a> Caller<'a> {
    /// A new user and member of the workspace, logged in.
    async fn new(server: &'a Server, name: &str, role: &str) -> Self {
        let admin = Self::admin(server);
        let made = admin.sends(Method::POST, "/api/instance/users", json!({"name": name, "password": PASSWORD})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let member = admin.sends(Method::PUT, &format!("/api/w/default/members/{name}"), json!({ "role": role })).await;
        assert_eq!(member.status, 200, "{member:?}");
        let body = json!({"user": name, "password": PASSWORD, "carrier": "header"});
        let login = reqwest::Client::new().post(format!("{}/api/auth/login", server.url)).json(&body).send().await.unwrap();
        let login = Answer::read(login).await.unwrap();
        assert_eq!(login.status, 200, "{login:?}");
        Self { server, identity: format!("u/{name}"), token: login.json().unwrap()["token"].as_str().unwrap().to_owned() }
    }

    /// Whoever administers the installation.
    fn admin(server: &'a Server) -> Self {
        Self { server, identity: "u/admin".to_owned(), token: server.token.clone() }
    }

    /// The same with a token that has no other scopes.
    async fn with_scopes(&self, scopes: &[&str]) -> Self {
        let asked = json!({"scopes": scopes, "identity": self.identity});
        let made = Self::admin(self.server).sends(Method::POST, "/api/w/default/tokens", asked).await;
        assert_eq!(made.status, 201, "{made:?}");
        Self { server: self.server, identity: self.identity.clone(), token: made.json().unwrap()["secret"].as_str().unwrap().to_owned() }
    }

    async fn sends(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.server.url)).bearer_auth(&self.token);
        Answer::read(request.json(&body).send().await.unwrap()).await.unwrap()
    }

    async fn deploys(&self, path: &str, run_as: &str) -> u16 {
        let body = json!({"language": "typescript", "source": WHO, "manifest": {"run_as": run_as}});
        self.sends(Method::PUT, &format!("/api/w/default/scripts/{path}"), body).await.status
    }

    /// Runs and waits.
    async fn runs(&self, path: &str, run_as: Option<&str>) -> Answer {
        let mut body = json!({"path": path, "wait": true});
        if let Some(run_as) = run_as {
            body["run_as"] = run_as.into();
        }
        self.sends(Method::POST, "/api/w/default/runs", body).await
    }

    /// As whom a run acted that was let in.
    async fn acts_as(&self, path: &str, run_as: Option<&str>) -> Value {
        let answer = self.runs(path, run_as).await;
        assert_eq!(answer.status, 200, "{run_as:?}: {answer:?}");
        answer.json().unwrap()
    }

    async fn puts_account(&self, name: &str, scopes: &[&str], users: &[&str]) -> Answer {
        self.sends(Method::PUT, &format!("/api/w/default/service-accounts/{name}"), json!({"scopes": scopes, "users": users})).await
    }
}

async fn account(server: &Server, name: &str, scopes: &[&str], users: &[&str]) {
    let put = Caller::admin(server).puts_account(name, scopes, users).await;
    assert_eq!(put.status, 200, "{put:?}");
}

async fn a_deployer_names_an_account_that_they_may_use(database: Database) {
    let Some(server) = database.server() else { return };
    let ann = Caller::new(server, "named-ann", "developer").await;
    let bob = Caller::new(server, "named-bob", "developer").await;
    let operator = Caller::new(server, "named-op", "operator").await;
    account(server, "named", &["runs:start:f/named/*"], &["u/named-ann"]).await;
    assert_eq!(ann.deploys("f/named/x", "s/named").await, 201);
    // Whoever may not is refused in any case: the same content, another path, an identity of others, one that is not there.
    for (path, run_as) in [
        ("f/named/x", "s/named"),
        ("f/named/y", "s/named"),
        ("f/named/y", "u/named-ann"),
        ("f/named/y", "u/admin"),
        ("f/named/y", "g/named"),
        ("f/named/y", "s/nobody"),
    ] {
        assert_eq!(bob.deploys(path, run_as).await, 403, "{path} {run_as}");
    }
    assert_eq!(ann.deploys("f/named/y", "u/named-bob").await, 403);
    for bad in ["named", "s/", "s/../x", "f/named/x", "s/a*"] {
        assert_eq!(ann.deploys("f/named/y", bad).await, 422, "{bad}");
    }
    // A token that deploys alone uses nothing that its owner may use.
    let narrow = ann.with_scopes(&["scripts:write:f/named/*", "runs:start:f/named/*"]).await;
    assert_eq!(narrow.deploys("f/named/z", "s/named").await, 403);
    let wider = ann.with_scopes(&["scripts:write:f/named/*", "identities:start:s/named"]).await;
    assert_eq!(wider.deploys("f/named/z", "s/named").await, 201);
    // Everybody who may start it starts it as what it names, and that is seen.
    for caller in [&ann, &bob, &operator] {
        assert_eq!(caller.acts_as("f/named/x", None).await, "s/named");
    }
    let by_hook = server.call("f/named/x", &json!({})).await.unwrap();
    assert_eq!(by_hook.json().unwrap(), "s/named");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // What did not wait in the queue is written a moment later.
        let listed = server.get_json("/api/w/default/runs?run_as=s/named&path=f/named/x").await.unwrap();
        if listed["items"].as_array().unwrap().len() == 4 {
            break;
        }
        assert!(Instant::now() < deadline, "{listed}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Who names nothing gets nothing: the next deployment is without.
    let plain = json!({"language": "typescript", "source": WHO});
    assert_eq!(bob.sends(Method::PUT, "/api/w/default/scripts/f/named/x", plain).await.status, 201);
    assert_eq!(bob.acts_as("f/named/x", Some("u/named-bob")).await, "u/named-bob");
}

async fn whoever_starts_names_what_they_may_use(database: Database) {
    let Some(server) = database.server() else { return };
    server.deploy("f/starts/x", "typescript", WHO).await.unwrap();
    let ann = Caller::new(server, "starts-ann", "operator").await;
    let bob = Caller::new(server, "starts-bob", "operator").await;
    let viewer = Caller::new(server, "starts-viewer", "viewer").await;
    let group = json!({"members": ["starts-ann"]});
    assert_eq!(Caller::admin(server).sends(Method::PUT, "/api/w/default/groups/starts", group).await.status, 200);
    account(server, "starts", &[], &["g/starts", "u/starts-viewer"]).await;
    for (run_as, expected) in
        [(None, "u/starts-ann"), (Some("u/starts-ann"), "u/starts-ann"), (Some("s/starts"), "s/starts"), (Some("g/starts"), "g/starts")]
    {
        assert_eq!(ann.acts_as("f/starts/x", run_as).await, expected);
    }
    for run_as in ["s/starts", "g/starts", "u/starts-ann", "u/admin", "s/nobody"] {
        let refused = bob.runs("f/starts/x", Some(run_as)).await;
        assert_eq!((refused.status, refused.json().unwrap()["code"].clone()), (403, json!("forbidden")), "{run_as}: {refused:?}");
    }
    assert_eq!(viewer.runs("f/starts/x", Some("s/starts")).await.status, 403, "a list gives no more than a role");
    assert_eq!(bob.runs("f/starts/x", Some("starts")).await.status, 400);
    let narrow = ann.with_scopes(&["runs:start:f/starts/x"]).await;
    assert_eq!(narrow.runs("f/starts/x", Some("s/starts")).await.status, 403);
    assert_eq!(narrow.acts_as("f/starts/x", None).await, "u/starts-ann");
    // Whoever uses accounts does not look at them, nor change them.
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let path = "/api/w/default/service-accounts/starts";
        assert_eq!(ann.sends(method.clone(), path, json!({"users": ["u/starts-bob"]})).await.status, 403, "{method}");
    }
    assert_eq!(ann.sends(Method::GET, "/api/w/default/service-accounts", json!({})).await.status, 403);
}

async fn what_a_deployer_may_use_no_more_starts_no_more(database: Database) {
    let Some(server) = database.server() else { return };
    let ann = Caller::new(server, "revoked-ann", "developer").await;
    let bob = Caller::new(server, "revoked-bob", "operator").await;
    account(server, "revoked", &[], &["u/revoked-ann"]).await;
    assert_eq!(ann.deploys("f/revoked/x", "s/revoked").await, 201);
    assert_eq!(bob.acts_as("f/revoked/x", None).await, "s/revoked");
    account(server, "revoked", &[], &[]).await;
    // At once, however it is started, and by the admin as well; nobody learns more of it than that.
    let refused = [bob.runs("f/revoked/x", None).await, server.call("f/revoked/x", &json!({})).await.unwrap()];
    for refused in refused {
        let detail = refused.json().unwrap()["detail"].as_str().unwrap().to_owned();
        assert!(refused.status == 403 && detail.contains("must deploy it again"), "{refused:?}");
        assert!(!detail.contains("s/revoked") && !detail.contains("revoked-ann"), "{detail}");
    }
    assert_eq!(bob.runs("f/revoked/x@1", None).await.status, 403, "by its number, too");
    assert_eq!(ann.deploys("f/revoked/x", "s/revoked").await, 403);
    account(server, "revoked", &[], &["u/revoked-ann"]).await;
    assert_eq!(bob.acts_as("f/revoked/x", None).await, "s/revoked");
    // Whoever leaves the workspace is on no list any more, and a new account of that name has a list of its own.
    let left = Caller::admin(server).sends(Method::DELETE, "/api/w/default/members/revoked-ann", json!({})).await;
    assert_eq!(left.status, 204, "{left:?}");
    assert_eq!(bob.runs("f/revoked/x", None).await.status, 403);
    let deleted = Caller::admin(server).sends(Method::DELETE, "/api/w/default/service-accounts/revoked", json!({})).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    account(server, "revoked", &[], &["u/revoked-bob"]).await;
    assert_eq!(bob.runs("f/revoked/x", None).await.status, 403);
    // Somebody who may use it deploys the very same again.
    let cy = Caller::new(server, "revoked-cy", "developer").await;
    account(server, "revoked", &[], &["u/revoked-bob", "u/revoked-cy"]).await;
    assert_eq!(cy.deploys("f/revoked/x", "s/revoked").await, 201);
    assert_eq!(bob.acts_as("f/revoked/x", None).await, "s/revoked");
    assert_eq!(cy.deploys("f/revoked/x", "s/revoked").await, 200);
}

async fn what_was_deleted_meanwhile_nothing_acts_as(database: Database) {
    let Some(server) = database.server() else { return };
    let bob = Caller::new(server, "gone-bob", "operator").await;
    let admin = Caller::admin(server);
    for name in ["gone-later", "gone-list", "gone-never"] {
        account(server, name, &[], &["u/gone-bob"]).await;
    }
    let group = admin.sends(Method::PUT, "/api/w/default/groups/gone-group", json!({"members": ["gone-bob"]})).await;
    assert_eq!(group.status, 200, "{group:?}");
    server.deploy("f/gone/x", "typescript", WHO).await.unwrap();
    let mut started = Vec::new();
    for (identity, status, outcome) in [
        ("s/gone-later", "failed", "denied"),
        ("s/gone-list", "failed", "denied"),
        ("g/gone-group", "failed", "denied"),
        ("s/gone-never", "succeeded", "ok"),
    ] {
        let body = json!({"path": "f/gone/x", "run_as": identity, "delay_ms": 3_000});
        let answer = bob.sends(Method::POST, "/api/w/default/runs", body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        started.push((answer.json().unwrap()["run_id"].as_str().unwrap().to_owned(), identity, status, outcome));
    }
    account(server, "gone-list", &[], &[]).await;
    for gone in ["service-accounts/gone-later", "groups/gone-group"] {
        assert_eq!(admin.sends(Method::DELETE, &format!("/api/w/default/{gone}"), json!({})).await.status, 204, "{gone}");
    }
    for (run, identity, status, outcome) in started {
        let run = server.ended_run(&run).await.unwrap();
        assert_eq!((&run["status"], &run["outcome"], &run["run_as"]), (&json!(status), &json!(outcome), &json!(identity)), "{run}");
    }
}

async fn a_handler_starts_as_long_as_who_named_it_may_start_it(database: Database) {
    let Some(server) = database.server() else { return };
    let ann = Caller::new(server, "handled-ann", "developer").await;
    let bob = Caller::new(server, "handled-bob", "operator").await;
    let admin = Caller::admin(server);
    let role = async |role: &str| {
        let put = admin.sends(Method::PUT, "/api/w/default/members/handled-ann", json!({ "role": role })).await;
        assert_eq!(put.status, 200, "{put:?}");
    };
    account(server, "handled", &["runs:start:f/handled/x"], &["u/handled-bob"]).await;
    server.deploy("f/handled/handler", "typescript", WHO).await.unwrap();
    let manifest = json!({"dispatch": {"error_handler": "f/handled/handler"}});
    let breaks = "export function main() { throw new Error('broken'); }";
    let body = json!({"language": "typescript", "source": breaks, "manifest": manifest});
    assert_eq!(ann.sends(Method::PUT, "/api/w/default/scripts/f/handled/x", body).await.status, 201);
    // As whom the handler acted, and what the log of what failed says. Both are written in the commit of its end.
    let fails = async |run_as: &str| {
        let answer = bob.sends(Method::POST, "/api/w/default/runs", json!({"path": "f/handled/x", "run_as": run_as})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let run = answer.json().unwrap()["run_id"].as_str().unwrap().to_owned();
        assert_eq!(server.ended_run(&run).await.unwrap()["status"], "failed");
        let handlers = server.get_json(&format!("/api/w/default/runs?handler_of={run}")).await.unwrap();
        let handlers: Vec<Value> = handlers["items"].as_array().unwrap().iter().map(|handler| handler["run_as"].clone()).collect();
        (handlers, server.run_log(&run).await.unwrap())
    };
    assert_eq!(fails("u/handled-bob").await.0, [json!("u/handled-bob")]);
    role("viewer").await;
    let (handlers, log) = fails("u/handled-bob").await;
    assert!(handlers.is_empty() && log.contains("whoever deployed the script may not start it any more"), "{handlers:?} {log}");
    role("developer").await;
    assert_eq!(fails("u/handled-bob").await.0, [json!("u/handled-bob")]);
    let (handlers, log) = fails("s/handled").await;
    assert!(handlers.is_empty() && log.contains("acts as s/handled, which may not start it"), "{handlers:?} {log}");
    account(server, "handled", &["runs:start:f/handled/*"], &["u/handled-bob"]).await;
    assert_eq!(fails("s/handled").await.0, [json!("s/handled")]);
}

async fn children_gain_nothing(database: Database) {
    let Some(server) = database.server() else { return };
    let parent = "import { runs } from 'sandmill';
        export function main() { try { return runs.run('f/kin/child', {}); } catch (e: any) { return { code: e.code, message: e.message }; } }";
    let bob = Caller::new(server, "kin-bob", "operator").await;
    account(server, "kin-strong", &["*:*"], &[]).await;
    account(server, "kin-weak", &["runs:start:f/kin/other"], &["u/kin-bob"]).await;
    let strong = json!({"language": "typescript", "source": WHO, "manifest": {"run_as": "s/kin-strong"}});
    server.deploy_with("f/kin/child", strong).await.unwrap();
    let body = json!({"language": "typescript", "source": parent, "manifest": {"grants": {"runs": ["f/kin/*"]}}});
    server.deploy_with("f/kin/parent", body).await.unwrap();
    assert_eq!(bob.acts_as("f/kin/child", None).await, "s/kin-strong");
    assert_eq!(bob.acts_as("f/kin/parent", None).await, "u/kin-bob", "what the child asks for is not more than its parent has");
    let denied = bob.acts_as("f/kin/parent", Some("s/kin-weak")).await;
    assert_eq!(denied["code"], "denied", "{denied}");
    assert!(denied["message"].as_str().unwrap().contains("s/kin-weak"), "{denied}");
    let told = server.get_json("/api/w/default/audit?action=access.denied&actor=s/kin-weak").await.unwrap();
    let entry = &told["items"][0];
    assert_eq!((&entry["actor"]["kind"], &entry["target"]), (&json!("run"), &json!("runs:start:f/kin/child")), "{told}");
    account(server, "kin-weak", &["runs:start:f/kin/*"], &["u/kin-bob"]).await;
    assert_eq!(bob.acts_as("f/kin/parent", Some("s/kin-weak")).await, "s/kin-weak");
}

async fn an_account_has_nothing_that_its_maker_lacks(database: Database) {
    let Some(server) = database.server() else { return };
    let admin = Caller::admin(server).with_scopes(&["identities:write:s/made-*", "identities:read", "runs:start:f/made/*"]).await;
    assert_eq!(admin.puts_account("made-a", &["runs:start:f/made/x"], &[]).await.status, 200);
    for (name, scopes, status) in [
        ("made-a", &["*:*"][..], 403),
        ("made-a", &["runs:start:f/*"], 403),
        ("made-a", &["instance:write"], 403),
        ("other", &["runs:start:f/made/x"], 403),
        ("made-a", &["moon:fly"], 400),
        ("made-..", &[], 200),
        ("a%2Fb", &[], 400),
    ] {
        let put = admin.puts_account(name, scopes, &[]).await;
        assert_eq!(put.status, status, "{name} {scopes:?}: {put:?}");
    }
    assert_eq!(admin.puts_account("made-a", &[], &["u/made-nobody"]).await.status, 400);
    let shown = admin.sends(Method::GET, "/api/w/default/service-accounts/made-a", json!({})).await.json().unwrap();
    assert_eq!((&shown["identity"], &shown["scopes"]), (&json!("s/made-a"), &json!(["runs:start:f/made/x"])), "{shown}");
    assert_eq!(admin.sends(Method::GET, "/api/w/default/service-accounts/made-b", json!({})).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_used_on_the_command_line() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let source = format!("// /// sandmill\n// run_as = \"s/cli-night\"\n// ///\n{WHO}\n");
    fs::write(folder.path().join("night.ts"), source).unwrap();
    let says = |arguments: &[&str]| {
        let output = sandmill(folder.path(), server, arguments);
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        (output.status.code(), out, err)
    };
    let push = ["push", "night.ts", "--path", "f/cli-night/x"];
    let refused = says(&push);
    assert!(refused.0 == Some(3) && refused.2.contains("s/cli-night"), "there is no such account yet: {refused:?}");
    let put = says(&["service-accounts", "put", "cli-night", "--scope", "runs:start:f/cli-night/*"]);
    assert!(put.0 == Some(0) && put.1.contains("s/cli-night"), "{put:?}");
    assert!(says(&["service-accounts", "list"]).1.contains("s/cli-night"));
    assert_eq!(says(&push).0, Some(0));
    assert_eq!(says(&["run", "f/cli-night/x"]).1, "\"s/cli-night\"\n");
    assert_eq!(says(&["run", "f/cli-night/x", "--run-as", "u/admin"]).1, "\"u/admin\"\n");
    assert_eq!(says(&["run", "f/cli-night/x", "--run-as", "s/cli-nobody"]).0, Some(3));
    // Without a server there are no accounts.
    let local = says(&["run", "./night.ts"]);
    assert_eq!((local.0, local.1.as_str()), (Some(0), "\"u/local\"\n"), "{}", local.2);
    assert_eq!(says(&["service-accounts", "delete", "cli-night"]).0, Some(0));
    assert_eq!(says(&["run", "f/cli-night/x"]).0, Some(3));
}
