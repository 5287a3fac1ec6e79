//! People who log in: what they may do, and what attackers try.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::Method;
use sandmill_testkit::{
    binary::binary,
    postgres::Postgres,
    server::{Answer, Server},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    shared::{Database, on_both, server},
    tokens::bytes_of,
};

const PASSWORD: &str = "correct horse battery staple";
const ECHO: &str = "export const main = () => 'done';";

on_both![
    roles_say_what_may_be_done,
    folders_say_who_may_use_them,
    what_is_shared_is_of_one_kind,
    a_closed_folder_keeps_its_databases,
    a_password_change_ends_sessions,
    an_invitation_is_used_once,
    whoever_is_disabled_is_out,
    somebody_ends_their_sessions_elsewhere,
];

/// What the server says to a request of the installation's admin.
async fn admin(server: &Server, method: Method, path: &str, body: &Value) -> Answer {
    Answer::read(server.request(method, path).json(body).send().await.unwrap()).await.unwrap()
}

async fn user(server: &Server, name: &str, role: Option<&str>) {
    let made = admin(server, Method::POST, "/api/instance/users", &json!({"name": name, "password": PASSWORD})).await;
    assert_eq!(made.status, 201, "{made:?}");
    if let Some(role) = role {
        let member = admin(server, Method::PUT, &format!("/api/w/default/members/{name}"), &json!({ "role": role })).await;
        assert_eq!(member.status, 200, "{member:?}");
    }
}

/// Somebody with nothing but what headers say.
async fn bare(server: &Server, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut request = reqwest::Client::new().request(method, format!("{}{path}", server.url)).json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

async fn login(server: &Server, user: &str, password: &str) -> Answer {
    bare(server, Method::POST, "/api/auth/login", &[], &json!({"user": user, "password": password})).await
}

/// A person with a browser.
struct Person<'a> {
    server: &'a Server,
    cookie: String,
    csrf: String,
}

impl<'a> Person<'a> {
    async fn logs_in(server: &'a Server, user: &str) -> Self {
        Self::of(server, &login(server, user, PASSWORD).await)
    }

    fn of(server: &'a Server, answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let set = answer.header("set-cookie").unwrap();
        for attribute in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
            assert!(set.starts_with("__Host-sandmill=ss_") && set.contains(attribute) && !set.contains("Domain"), "{set}");
        }
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let cookie = set.split(';').next().unwrap().to_owned();
        assert!(!answer.text().contains(cookie.split_once('=').unwrap().1), "what scripts of a page can read has no secret");
        Self { server, cookie, csrf: answer.json().unwrap()["csrf"].as_str().unwrap().to_owned() }
    }

    async fn sends(&self, method: Method, path: &str, body: &Value) -> Answer {
        let headers = [("cookie", &*self.cookie), ("x-sandmill-csrf", &*self.csrf), ("sec-fetch-site", "same-origin")];
        bare(self.server, method, path, &headers, body).await
    }

    async fn gets(&self, path: &str) -> Answer {
        self.sends(Method::GET, path, &json!({})).await
    }

    async fn deploys(&self, path: &str) -> u16 {
        let source = format!("{ECHO} // by {}", self.csrf);
        self.sends(Method::PUT, &format!("/api/w/default/scripts/{path}"), &json!({"language": "typescript", "source": source}))
            .await
            .status
    }

    /// Starts a run over the API and waits.
    async fn runs(&self, path: &str) -> u16 {
        self.sends(Method::POST, "/api/w/default/runs", &json!({ "path": path })).await.status
    }
}

async fn roles_say_what_may_be_done(database: Database) {
    let Some(server) = database.server() else { return };
    server.deploy("f/roles/echo", "typescript", ECHO).await.unwrap();
    for (role, deploys, runs, members) in
        [("viewer", 403, 403, 403), ("operator", 403, 202, 403), ("developer", 201, 202, 403), ("admin", 201, 202, 200)]
    {
        let name = format!("roles-{role}");
        user(server, &name, Some(role)).await;
        let person = Person::logs_in(server, &name).await;
        assert_eq!(person.gets("/api/w/default/scripts/f/roles/echo").await.status, 200, "{role}");
        assert_eq!(person.deploys(&format!("f/roles/of-{role}")).await, deploys, "{role}");
        assert_eq!(person.deploys(&format!("u/{name}/mine")).await, deploys, "{role}");
        assert_eq!(person.runs("f/roles/echo").await, runs, "{role}");
        assert_eq!(person.gets("/api/w/default/members").await.status, members, "{role}");
        // What is not of this workspace is nobody's but the installation's.
        assert_eq!(person.gets("/api/instance/users").await.status, 403, "{role}");
        assert_eq!(person.sends(Method::PATCH, "/api/w/default/settings", &json!({"weight": 100})).await.status, 403, "{role}");
        // Nobody makes more of themselves.
        let own = format!("/api/w/default/members/{name}");
        let promoted = person.sends(Method::PUT, &own, &json!({"role": "admin"})).await;
        assert_eq!(promoted.status, if role == "admin" { 200 } else { 403 }, "{role}");
        let me = person.gets("/api/auth/me").await.json().unwrap();
        assert_eq!((&me["identity"], &me["workspaces"][0]["workspace"]), (&json!(format!("u/{name}")), &json!("default")), "{me}");
    }
    // Whoever is no member is told what they would be told of a workspace that is not there.
    user(server, "roles-none", None).await;
    let stranger = Person::logs_in(server, "roles-none").await;
    let [there, not_there] = [stranger.gets("/api/w/default/scripts").await, stranger.gets("/api/w/nobodys/scripts").await]
        .map(|answer| (answer.status, answer.json().unwrap()["detail"].clone()));
    assert!(there.0 == 404 && there == not_there, "{there:?} {not_there:?}");
    // An admin of the workspace does not learn which users there are beside its members.
    let admin = Person::logs_in(server, "roles-admin").await;
    let [there, not_there] = ["roles-none", "roles-nobody"].map(|name| format!("/api/w/default/members/{name}"));
    let role = json!({"role": "viewer"});
    let [there, not_there] = [admin.sends(Method::PUT, &there, &role).await, admin.sends(Method::PUT, &not_there, &role).await];
    let details = [&there, &not_there].map(|answer| answer.json().unwrap()["detail"].clone());
    assert!(there.status == 404 && not_there.status == 404 && details[0] == details[1], "{details:?}");
}

async fn folders_say_who_may_use_them(database: Database) {
    let Some(server) = database.server() else { return };
    for name in ["lists-ann", "lists-bob", "lists-cy"] {
        user(server, name, Some("developer")).await;
    }
    for path in ["f/lists-a/x", "f/lists-b/x", "f/lists-open/x"] {
        server.deploy(path, "typescript", ECHO).await.unwrap();
        server.call(path, &json!({})).await.unwrap();
    }
    let ops = json!({"members": ["lists-bob"]});
    assert_eq!(admin(server, Method::PUT, "/api/w/default/groups/lists-ops", &ops).await.status, 200);
    for (folder, list) in
        [("lists-a", json!({"owners": ["u/lists-ann"], "readers": ["g/lists-ops"]})), ("lists-b", json!({"writers": ["g/lists-ops"]}))]
    {
        let put = admin(server, Method::PUT, &format!("/api/w/default/folders/{folder}"), &list).await;
        assert_eq!(put.status, 200, "{put:?}");
    }
    let (ann, bob, cy) =
        (Person::logs_in(server, "lists-ann").await, Person::logs_in(server, "lists-bob").await, Person::logs_in(server, "lists-cy").await);
    for (person, path, shows, deploys) in [
        (&ann, "f/lists-a/x", 200, 201),
        (&ann, "f/lists-b/x", 403, 403),
        (&bob, "f/lists-a/x", 200, 403),
        (&bob, "f/lists-b/x", 200, 201),
        (&cy, "f/lists-a/x", 403, 403),
        (&cy, "f/lists-open/x", 200, 201),
        (&cy, "u/lists-cy/x", 404, 201),
        (&cy, "u/lists-ann/x", 403, 403),
    ] {
        assert_eq!(person.gets(&format!("/api/w/default/scripts/{path}")).await.status, shows, "{path}");
        assert_eq!(person.deploys(path).await, deploys, "{path}");
        assert_eq!(person.runs(path).await, if shows == 403 { 403 } else { 202 }, "{path}");
    }
    // Lists show what single requests show.
    for (person, hidden) in [(&ann, "f/lists-b/x"), (&cy, "f/lists-a/x")] {
        for list in ["scripts?limit=200&prefix=f/lists-", "runs?limit=200"] {
            let answer = person.gets(&format!("/api/w/default/{list}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(!answer.text().contains(hidden), "{list}: {}", answer.text());
            assert!(list.starts_with("runs") || answer.text().contains("f/lists-open/x"), "{list}: {}", answer.text());
        }
    }
    // Owners say who the others are; writers and readers do not.
    let opened = json!({"owners": ["u/lists-ann"], "writers": ["u/lists-cy"]});
    for (person, expected) in [(&bob, 403), (&cy, 403), (&ann, 200)] {
        assert_eq!(person.sends(Method::PUT, "/api/w/default/folders/lists-a", &opened).await.status, expected);
    }
    let shared = json!({"readers": ["u/lists-bob"]});
    assert_eq!(bob.sends(Method::PUT, "/api/w/default/access/f/lists-a/x", &shared).await.status, 403);
    assert_eq!(ann.sends(Method::PUT, "/api/w/default/access/f/lists-a/x", &shared).await.status, 200);
    // What is known is believed for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(cy.deploys("f/lists-a/y").await, 201);
    assert_eq!((bob.gets("/api/w/default/scripts/f/lists-a/x").await.status, bob.deploys("f/lists-a/x").await), (200, 403));
    assert_eq!(bob.gets("/api/w/default/scripts/f/lists-a/y").await.status, 403, "that one path alone");
}

async fn what_is_shared_is_of_one_kind(database: Database) {
    let Some(server) = database.server() else { return };
    user(server, "kinds-eve", Some("developer")).await;
    server.deploy("f/kinds/x", "typescript", ECHO).await.unwrap();
    for (at, body) in [("variables/f/kinds/x", json!({"text": "x"})), ("folders/kinds", json!({}))] {
        let put = admin(server, Method::PUT, &format!("/api/w/default/{at}"), &body).await;
        assert!((200..300).contains(&put.status), "{at}: {put:?}");
    }
    let eve = Person::logs_in(server, "kinds-eve").await;
    let may = async || {
        let mut statuses = Vec::new();
        for domain in ["scripts", "variables"] {
            statuses.push(eve.gets(&format!("/api/w/default/{domain}/f/kinds/x")).await.status);
        }
        (statuses, eve.runs("f/kinds/x").await)
    };
    for (shared, statuses, runs) in [
        (json!({}), [403, 403], 403),
        (json!({"readers": ["u/kinds-eve:scripts"]}), [200, 403], 202),
        (json!({"readers": ["u/kinds-eve:variables"]}), [403, 200], 403),
        (json!({"readers": ["u/kinds-eve"]}), [200, 200], 202),
    ] {
        let put = admin(server, Method::PUT, "/api/w/default/access/f/kinds/x", &shared).await;
        assert_eq!(put.status, 200, "{put:?}");
        // What is known is believed for a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(may().await, (statuses.to_vec(), runs), "{shared}");
    }
}

/// A database of SQLite is a file with a name: to write the name down must not be enough.
async fn a_closed_folder_keeps_its_databases(database: Database) {
    const ASKS: &str = "import { sql } from 'sandmill';
        export function main(path: string, statement: string) { return sql(path).query(statement); }";
    let Some(server) = database.server() else { return };
    user(server, "vault-eve", Some("developer")).await;
    let named = |name: &str| json!({"type": "sqlite", "value": {"name": name}});
    let closed = admin(server, Method::PUT, "/api/w/default/folders/vault", &json!({})).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    let ledger = "/api/w/default/resources/f/vault/ledger";
    assert_eq!(admin(server, Method::PUT, ledger, &named("vault-ledger")).await.status, 200);
    let manifest = json!({"grants": {"sql": ["write f/vault/ledger", "write f/vault-open/ledger"]}});
    server.deploy_with("f/vault/asks", json!({"language": "typescript", "source": ASKS, "manifest": manifest})).await.unwrap();
    let ask = async |path: &str, statement: &str| {
        let answer = server.call("f/vault/asks", &json!({"path": path, "statement": statement})).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json().unwrap()
    };
    ask("f/vault/ledger", "CREATE TABLE t AS SELECT 42 AS n").await;
    let eve = Person::logs_in(server, "vault-eve").await;
    assert_eq!(eve.gets(ledger).await.status, 403);
    let mut shares = named("vault-ledger");
    shares["shares"] = json!("f/vault/ledger");
    let tries = async || {
        for path in ["u/vault-eve/x", "f/vault-open/x"] {
            for body in [&named("vault-ledger"), &shares] {
                let refused = eve.sends(Method::PUT, &format!("/api/w/default/resources/{path}"), body).await;
                assert_eq!(refused.status, 409, "{path} {body}: {refused:?}");
                assert!(!refused.text().contains("f/vault"), "{refused:?}");
            }
        }
    };
    tries().await;
    assert_eq!(eve.sends(Method::PUT, "/api/w/default/resources/u/vault-eve/x", &named("vault-eve")).await.status, 200, "her own");
    // The file stays when the resource goes, and so does the name.
    assert_eq!(admin(server, Method::DELETE, ledger, &json!({})).await.status, 204);
    tries().await;
    assert_eq!(admin(server, Method::PUT, ledger, &named("vault-ledger")).await.status, 200);
    // Whoever may write at both paths has one database at both.
    assert_eq!(admin(server, Method::PUT, "/api/w/default/resources/f/vault-open/ledger", &shares).await.status, 200);
    assert_eq!(ask("f/vault-open/ledger", "SELECT n FROM t").await, json!([{"n": 42}]));
}

async fn a_password_change_ends_sessions(database: Database) {
    let Some(server) = database.server() else { return };
    user(server, "change-ann", Some("viewer")).await;
    let (thief, ann) = (Person::logs_in(server, "change-ann").await, Person::logs_in(server, "change-ann").await);
    let new = "another correct horse";
    let wrong = ann.sends(Method::PUT, "/api/auth/password", &json!({"old": "not the right one", "new": new})).await;
    assert_eq!(wrong.status, 403, "{wrong:?}");
    let short = ann.sends(Method::PUT, "/api/auth/password", &json!({"old": PASSWORD, "new": "short"})).await;
    assert_eq!(short.status, 400, "{short:?}");
    let changed = ann.sends(Method::PUT, "/api/auth/password", &json!({"old": PASSWORD, "new": new})).await;
    let again = Person::of(server, &changed);
    assert_eq!(ann.gets("/api/auth/me").await.status, 401, "the session that changed it is another");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(thief.gets("/api/auth/me").await.status, 401);
    assert_eq!(again.gets("/api/auth/me").await.status, 200);
    assert_eq!((login(server, "change-ann", PASSWORD).await.status, login(server, "change-ann", new).await.status), (401, 200));
    let out = again.sends(Method::POST, "/api/auth/logout", &json!({})).await;
    assert!(out.status == 204 && out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert_eq!(again.gets("/api/auth/me").await.status, 401, "at once");
}

async fn an_invitation_is_used_once(database: Database) {
    let Some(server) = database.server() else { return };
    let invite = async |role: &str| {
        let made = admin(server, Method::POST, "/api/w/default/invitations", &json!({ "role": role })).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json().unwrap()["invitation"].as_str().unwrap().to_owned()
    };
    let accept = async |invitation: &str, user: &str| {
        let body = json!({"invitation": invitation, "user": user, "password": PASSWORD});
        bare(server, Method::POST, "/api/auth/invitation", &[], &body).await
    };
    let invitation = invite("operator").await;
    for bad in ["Ann", "a/b", "..", "", "a*"] {
        assert_eq!(accept(&invitation, bad).await.status, 400, "{bad}");
    }
    assert_eq!(accept(&invitation, "invited-ann").await.status, 201);
    assert_eq!(accept(&invitation, "invited-bob").await.status, 404, "once");
    assert_eq!(login(server, "invited-bob", PASSWORD).await.status, 401);
    let ann = Person::logs_in(server, "invited-ann").await;
    assert_eq!(ann.gets("/api/auth/me").await.json().unwrap()["workspaces"], json!([{"workspace": "default", "role": "operator"}]));
    // It cannot be read again by anybody, and who has been invited cannot invite.
    let listed = admin(server, Method::GET, "/api/w/default/invitations?limit=200", &json!({})).await;
    assert!(listed.text().contains("invited-ann") && !listed.text().contains(&invitation), "{listed:?}");
    assert_eq!(ann.sends(Method::POST, "/api/w/default/invitations", &json!({"role": "admin"})).await.status, 403);
    // Whoever is logged in accepts as who they are.
    user(server, "invited-cy", None).await;
    let cy = Person::logs_in(server, "invited-cy").await;
    let body = json!({"invitation": invite("viewer").await});
    assert_eq!(cy.sends(Method::POST, "/api/auth/invitation", &body).await.status, 201);
    assert_eq!(cy.gets("/api/w/default/scripts").await.status, 200);
    assert!(!server.log().contains(&invitation) && !server.log().contains(PASSWORD));
}

async fn whoever_is_disabled_is_out(database: Database) {
    let Some(server) = database.server() else { return };
    user(server, "disabled-ann", Some("admin")).await;
    let ann = Person::logs_in(server, "disabled-ann").await;
    let disabled = admin(server, Method::PATCH, "/api/instance/users/disabled-ann", &json!({"is_disabled": true})).await;
    assert_eq!(disabled.status, 200, "{disabled:?}");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ann.gets("/api/auth/me").await.status, 401);
    let [disabled, wrong, nobody] = [
        login(server, "disabled-ann", PASSWORD).await,
        login(server, "disabled-ann", "wrong horse battery").await,
        login(server, "disabled-nobody", PASSWORD).await,
    ]
    .map(|answer| (answer.status, answer.json().unwrap()["detail"].clone()));
    assert!(disabled.0 == 401 && disabled == wrong && wrong == nobody, "{disabled:?} {wrong:?} {nobody:?}");
}

/// The ids of sessions, the newest first, and which of them asks.
fn listed(answer: &Answer) -> (Vec<String>, Option<usize>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.text().contains("ss_"), "{answer:?}");
    let items = answer.json().unwrap()["items"].as_array().unwrap().clone();
    let ids = items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
    (ids, items.iter().position(|item| item["is_current"] == true))
}

async fn somebody_ends_their_sessions_elsewhere(database: Database) {
    let Some(server) = database.server() else { return };
    for name in ["ends-ann", "ends-bob"] {
        user(server, name, Some("viewer")).await;
    }
    let bob = Person::logs_in(server, "ends-bob").await;
    let (lost, other, ann) =
        (Person::logs_in(server, "ends-ann").await, Person::logs_in(server, "ends-ann").await, Person::logs_in(server, "ends-ann").await);
    let (ids, current) = listed(&ann.gets("/api/auth/sessions").await);
    assert_eq!((ids.len(), current), (3, Some(0)));
    // Nobody ends what is another's, nor learns that it is there.
    let one = format!("/api/auth/sessions/{}", ids[2]);
    let none = "/api/auth/sessions/01999999-9999-7999-8999-999999999999";
    let [theirs, nobodys] = [bob.sends(Method::DELETE, &one, &json!({})).await, bob.sends(Method::DELETE, none, &json!({})).await]
        .map(|answer| (answer.status, answer.json().unwrap()["detail"].clone()));
    assert!(theirs.0 == 404 && theirs == nobodys, "{theirs:?} {nobodys:?}");
    assert_eq!(bob.gets("/api/instance/users/ends-ann/sessions").await.status, 403);
    assert_eq!(bob.sends(Method::DELETE, "/api/instance/users/ends-ann/sessions", &json!({})).await.status, 403);
    // A page of another site could show the cookie, and nothing else.
    assert_eq!(bare(server, Method::DELETE, &one, &[("cookie", &*ann.cookie)], &json!({})).await.status, 403);
    assert_eq!(ann.sends(Method::DELETE, &one, &json!({})).await.status, 204);
    assert_eq!(ann.sends(Method::DELETE, &one, &json!({})).await.status, 404);
    assert_eq!((lost.gets("/api/auth/me").await.status, other.gets("/api/auth/me").await.status), (401, 200), "at once");
    assert_eq!(ann.sends(Method::DELETE, "/api/auth/sessions", &json!({})).await.status, 204);
    assert_eq!((other.gets("/api/auth/me").await.status, ann.gets("/api/auth/me").await.status), (401, 200));
    let of_ann = "/api/instance/users/ends-ann/sessions";
    let (ids, current) = listed(&admin(server, Method::GET, of_ann, &json!({})).await);
    assert_eq!((ids.len(), current), (1, None));
    assert_eq!(admin(server, Method::DELETE, of_ann, &json!({})).await.status, 204);
    assert_eq!(admin(server, Method::GET, "/api/instance/users/ends-nobody/sessions", &json!({})).await.status, 404);
    assert_eq!((ann.gets("/api/auth/me").await.status, bob.gets("/api/auth/me").await.status), (401, 200));
    let again = Person::logs_in(server, "ends-ann").await;
    let (ids, _) = listed(&again.gets("/api/auth/sessions").await);
    let own = again.sends(Method::DELETE, &format!("/api/auth/sessions/{}", ids[0]), &json!({})).await;
    assert!(own.status == 204 && own.header("set-cookie").unwrap().contains("Max-Age=0"), "{own:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_is_over_on_the_other_node_within_a_second() {
    const TOKEN: &str = "sm_a_token_that_all_nodes_of_a_test_know";
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let node = || Server::start(&["--database-url", &url, "--admin-token", TOKEN]).unwrap();
    let (one, other) = (node(), node());
    user(&one, "ann", Some("viewer")).await;
    let ann = Person::logs_in(&one, "ann").await;
    let there = Person { server: &other, cookie: ann.cookie.clone(), csrf: ann.csrf.clone() };
    assert_eq!(there.gets("/api/auth/me").await.status, 200);
    assert_eq!(admin(&one, Method::DELETE, "/api/instance/users/ann/sessions", &json!({})).await.status, 204);
    let ended = Instant::now();
    while there.gets("/api/auth/me").await.status != 401 {
        assert!(ended.elapsed() < Duration::from_secs(2), "a second, and what the request itself takes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_change_nothing() {
    let server = server();
    user(server, "csrf-ann", Some("developer")).await;
    user(server, "csrf-bob", Some("developer")).await;
    let (ann, bob) = (Person::logs_in(server, "csrf-ann").await, Person::logs_in(server, "csrf-bob").await);
    let own = server.url.trim_start_matches("http://").to_owned();
    let own_origin = format!("http://{own}");
    let cookie = ("cookie", &*ann.cookie);
    let right = ("x-sandmill-csrf", &*ann.csrf);
    for (number, (headers, expected)) in [
        (&[cookie][..], 403),
        (&[cookie, ("x-sandmill-csrf", "")], 403),
        (&[cookie, ("x-sandmill-csrf", &*bob.csrf)], 403),
        (&[cookie, right, ("sec-fetch-site", "cross-site")], 403),
        (&[cookie, right, ("sec-fetch-site", "same-site")], 403),
        (&[cookie, right, ("origin", "http://evil.test")], 403),
        (&[cookie, right, ("origin", "null")], 403),
        (&[cookie, right, ("origin", &*own_origin)], 201),
        (&[cookie, right], 201),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"language": "typescript", "source": format!("{ECHO} // {number}")});
        let answer = bare(server, Method::PUT, "/api/w/default/scripts/f/csrf/x", headers, &body).await;
        assert_eq!(answer.status, expected, "{headers:?}: {answer:?}");
    }
    // A page of another site cannot log its visitor in as somebody else, either.
    let login = json!({"user": "csrf-bob", "password": PASSWORD});
    for header in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.test")] {
        assert_eq!(bare(server, Method::POST, "/api/auth/login", &[header], &login).await.status, 403);
    }
    // Endpoints that start runs never look at cookies, and a cookie's secret is no token.
    let run = bare(server, Method::POST, "/hooks/default/run/f/csrf/x", &[cookie, right], &json!({})).await;
    assert_eq!(run.status, 401, "{run:?}");
    let bearer = format!("Bearer {}", ann.cookie.split_once('=').unwrap().1);
    assert_eq!(bare(server, Method::GET, "/api/auth/me", &[("authorization", &*bearer)], &json!({})).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_long_on_its_way_changes_nothing_once_its_session_has_ended() {
    let server = Server::start(&[]).unwrap();
    user(&server, "ann", Some("admin")).await;
    let ann = Person::logs_in(&server, "ann").await;
    let (path, body) = ("/api/w/default/variables/f/people/late", r#"{"text": "late"}"#);
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let (cookie, csrf, length) = (&ann.cookie, &ann.csrf, body.len());
    let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\nx-sandmill-csrf: {csrf}\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    // It is let in meanwhile; were it not, the answer would be the same.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ann.sends(Method::POST, "/api/auth/logout", &json!({})).await.status, 204);
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(admin(&server, Method::GET, path, &json!({})).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_is_long_on_its_way_is_accepted_by_nobody_who_has_logged_out() {
    let server = Server::start(&[]).unwrap();
    user(&server, "ann", None).await;
    let ann = Person::logs_in(&server, "ann").await;
    let made = admin(&server, Method::POST, "/api/w/default/invitations", &json!({"role": "viewer"})).await;
    let body = json!({"invitation": made.json().unwrap()["invitation"]}).to_string();
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let (cookie, csrf, length) = (&ann.cookie, &ann.csrf, body.len());
    let head = format!("POST /api/auth/invitation HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\nx-sandmill-csrf: {csrf}\r\n");
    stream.write_all(format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    // It is let in meanwhile; were it not, the answer would be the same.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ann.sends(Method::POST, "/api/auth/logout", &json!({})).await.status, 204);
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let again = Person::logs_in(&server, "ann").await;
    assert_eq!(again.gets("/api/auth/me").await.json().unwrap()["workspaces"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_planted_is_not_taken_over() {
    let server = server();
    user(server, "fixed-ann", Some("viewer")).await;
    user(server, "fixed-mallory", Some("viewer")).await;
    let mallory = Person::logs_in(server, "fixed-mallory").await;
    let credentials = json!({"user": "fixed-ann", "password": PASSWORD});
    for planted in ["__Host-sandmill=ss_planted", &mallory.cookie] {
        let answer = bare(server, Method::POST, "/api/auth/login", &[("cookie", planted)], &credentials).await;
        let ann = Person::of(server, &answer);
        assert_ne!(ann.cookie, planted);
        assert_eq!(ann.gets("/api/auth/me").await.json().unwrap()["user"], "fixed-ann");
        let as_planted = bare(server, Method::GET, "/api/auth/me", &[("cookie", planted)], &json!({})).await;
        assert_eq!(as_planted.status, 401, "{planted}: {as_planted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_database_lets_nobody_in() {
    let mut server = Server::start(&[]).unwrap();
    user(&server, "ann", Some("viewer")).await;
    let person = Person::logs_in(&server, "ann").await;
    assert_eq!(person.gets("/api/auth/me").await.status, 200);
    let session = person.cookie.split_once('=').unwrap().1.to_owned();
    let invited = admin(&server, Method::POST, "/api/w/default/invitations", &json!({"role": "viewer"})).await.json().unwrap();
    let invitation = invited["invitation"].as_str().unwrap();
    server.stop().unwrap();
    let kept = bytes_of(server.data());
    let finds = |needle: &str| kept.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(finds("ann") && finds("$argon2id$"), "people are there");
    for secret in [PASSWORD, &session[3..], &invitation[3..]] {
        assert!(!finds(secret), "{secret} is there");
    }
}

/// Neither what is answered nor how long it takes says whether there is such a user.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_who_there_is() {
    let server = server();
    user(server, "timed-ann", None).await;
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..7 {
        for (name, took) in ["timed-ann".to_owned(), format!("timed-nobody{round}")].iter().zip(&mut took) {
            let began = Instant::now();
            let answer = login(server, name, "wrong horse battery").await;
            took.push(began.elapsed());
            assert_eq!((answer.status, answer.json().unwrap()["code"].clone()), (401, json!("unauthorized")), "{name}");
        }
    }
    let [known, unknown] = took.map(|mut took| {
        took.sort_unstable();
        took[took.len() / 2]
    });
    // Without the same work for both one would take a small part of the other.
    assert!(known < unknown * 3 && unknown < known * 3, "{known:?} {unknown:?}");
}

/// On a server of its own: others log in from the same address.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_few() {
    let server = Server::start(&[]).unwrap();
    user(&server, "ann", Some("viewer")).await;
    let open = Person::logs_in(&server, "ann").await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(login(&server, "ann", "wrong horse battery").await.status);
    }
    assert!(statuses[..10].iter().all(|status| *status == 401) && statuses[11] == 429, "{statuses:?}");
    let right = login(&server, "ann", PASSWORD).await;
    assert!(right.status == 429 && right.header("retry-after").is_some(), "{right:?}");
    assert_eq!(login(&server, "Ann ", PASSWORD).await.status, 429, "it is the same account");
    assert_eq!(open.gets("/api/auth/me").await.status, 200, "whoever is logged in stays so");
    user(&server, "bob", Some("viewer")).await;
    assert_eq!(login(&server, "bob", PASSWORD).await.status, 200, "others are let in");
}

fn sandmill(server: &Server, folder: &std::path::Path, token: Option<&str>, arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).env_remove("SANDMILL_TOKEN").env("XDG_CONFIG_HOME", folder.join("config"));
    if let Some(token) = token {
        command.env("SANDMILL_TOKEN", token).env("SANDMILL_SERVER", &server.url);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_use_the_command_line() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let says = |token: Option<&str>, arguments: &[&str], stdin: &str| {
        let output = sandmill(server, folder.path(), token, arguments, stdin);
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD));
        (output.status.code(), out, err)
    };
    let admin = Some(server.token.as_str());
    let done = |(code, out, err): (Option<i32>, String, String)| {
        assert_eq!(code, Some(0), "{out} {err}");
        out
    };
    let typed = format!("{PASSWORD}\n");
    let made = done(says(admin, &["users", "create", "cli-boss", "--instance-admin"], &typed));
    assert!(made.contains("cli-boss") && made.contains("instance admin"), "{made}");
    let out = done(says(None, &["login", &server.url, "--user", "cli-boss"], &typed));
    assert!(out.contains("as u/cli-boss"), "{out}");
    // From here on as a person: no token is given.
    assert!(done(says(None, &["users", "list"], "")).contains("cli-boss"));
    let invitation = done(says(None, &["members", "invite", "--role", "developer"], ""));
    let lines = format!("{}\n{PASSWORD}\n", invitation.trim());
    let joined = done(says(None, &["login", &server.url, "--user", "cli-ann", "--invited"], &lines));
    assert!(joined.contains("as u/cli-ann"), "{joined}");
    assert_eq!(says(None, &["users", "list"], "").0, Some(3), "she administers nothing");
    std::fs::write(folder.path().join("mine.ts"), ECHO).unwrap();
    done(says(None, &["push", "mine.ts", "--path", "u/cli-ann/mine"], ""));
    assert!(done(says(None, &["run", "u/cli-ann/mine"], "")).contains("done"));
    assert_eq!(says(None, &["push", "mine.ts", "--path", "u/cli-boss/mine"], "").0, Some(3));
    done(says(admin, &["groups", "put", "cli-team", "--member", "cli-ann"], ""));
    let put = done(says(admin, &["folders", "put", "cli-folder", "--owner", "g/cli-team"], ""));
    assert!(put.contains("g/cli-team"), "{put}");
    // What is known is believed for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(done(says(None, &["folders", "list"], "")).contains("cli-folder"));
    let shown = done(says(None, &["whoami"], ""));
    assert!(shown.contains("u/cli-ann") && shown.contains("default (developer)"), "{shown}");
    assert!(done(says(None, &["quotas"], "")).contains("plan"));
    assert_eq!(says(None, &["settings", "set", "audit_days=30"], "").0, Some(3), "limits are the operator's");
    // Another password: the session that was saved is another one, too, and goes on.
    let other = "another correct horse";
    assert_eq!(says(None, &["password"], &format!("wrong {PASSWORD}\n{other}\n")).0, Some(3));
    done(says(None, &["password"], &format!("{PASSWORD}\n{other}\n")));
    assert!(done(says(None, &["whoami"], "")).contains("u/cli-ann"));
    let sessions = done(says(None, &["sessions", "list"], ""));
    assert!(sessions.contains(" *") && sessions.lines().count() == 2, "{sessions}");
    done(says(None, &["sessions", "end", "--others"], ""));
    done(says(admin, &["workspaces", "create", "cli-second"], ""));
    let invitation = done(says(admin, &["members", "invite", "--role", "viewer", "--workspace", "cli-second"], ""));
    assert!(done(says(None, &["members", "accept"], &invitation)).contains("cli-ann"));
    assert_eq!(says(None, &["members", "accept"], &invitation).0, Some(3), "once");
    assert!(done(says(None, &["whoami"], "")).contains("cli-second (viewer)"));
    done(says(admin, &["settings", "set", "audit_days=30", "--workspace", "cli-second"], ""));
    assert!(done(says(admin, &["settings", "show", "--workspace", "cli-second"], "")).contains("30"));
    done(says(admin, &["members", "remove", "cli-ann"], ""));
    done(says(None, &["logout"], ""));
    assert_eq!(says(None, &["scripts", "list", "--server", &server.url], "").0, Some(2), "nothing is left");
}
