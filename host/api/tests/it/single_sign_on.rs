//! Logins by the word of a provider, which is made up here; `tests/it/oidc.rs` has a real one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sandmill_api::{ApiOptions, Assertion, GroupRole, NotAsserted, Provider, Secrets, SingleSignOn};
use sandmill_model::{BoxFuture, Digest, role::Role};
use serde_json::{Value, json};

use crate::support::{Answer, Api, get, patch, post};

/// Says what it is told to say, and keeps what it was shown.
struct Puppet {
    says: Mutex<Result<Assertion, NotAsserted>>,
    shown: Mutex<Vec<Secrets>>,
}

impl Provider for Puppet {
    fn issuer(&self) -> Arc<str> {
        "https://id.test".into()
    }

    fn begin(&self, secrets: Secrets) -> BoxFuture<'_, Result<String, NotAsserted>> {
        Box::pin(async move {
            let place = format!("https://id.test/auth?state={}", secrets.state);
            self.shown.lock().unwrap().push(secrets);
            Ok(place)
        })
    }

    fn finish(&self, code: String, secrets: Secrets) -> BoxFuture<'_, Result<Assertion, NotAsserted>> {
        Box::pin(async move {
            let shown = self.shown.lock().unwrap().last().cloned().unwrap();
            assert_eq!((code.as_str(), &secrets.nonce, &secrets.verifier), ("c", &shown.nonce, &shown.verifier));
            self.says.lock().unwrap().clone()
        })
    }
}

fn ann() -> Assertion {
    Assertion { subject: "1".to_owned(), username: Some("ann-lee".to_owned()), ..Assertion::default() }
}

async fn api(allows_signup: bool, roles: Vec<GroupRole>) -> (Api, Arc<Puppet>) {
    let puppet = Arc::new(Puppet { says: Mutex::new(Ok(ann())), shown: Mutex::new(Vec::new()) });
    let sign_on = SingleSignOn { provider: Arc::clone(&puppet) as Arc<dyn Provider>, allows_signup, roles };
    (Api::with_single_sign_on(ApiOptions::default(), Some(sign_on)).await, puppet)
}

/// The cookie of a login that begins, and its state.
async fn begin(api: &Api) -> (String, String) {
    let begun = get("/api/auth/oidc/start?return_to=/runs").no_token().to(api).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let set = begun.header("set-cookie").unwrap();
    for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=600"] {
        assert!(set.starts_with("__Host-sandmill-login=") && set.contains(attribute) && !set.contains("Domain"), "{set}");
    }
    let state = begun.header("location").unwrap().split_once("state=").unwrap().1.to_owned();
    (set.split(';').next().unwrap().to_owned(), state)
}

async fn end(api: &Api, cookie: &str, query: &str) -> Answer {
    // As a browser sends it that comes from the provider.
    let call = get(format!("/api/auth/oidc/callback?{query}")).no_token().header("cookie", cookie);
    call.header("sec-fetch-site", "cross-site").to(api).await
}

async fn logged_in(api: &Api) -> Answer {
    let (cookie, state) = begin(api).await;
    end(api, &cookie, &format!("code=c&state={state}&iss=https://id.test")).await
}

#[tokio::test]
async fn whoever_the_provider_knows_is_logged_in() {
    let roles = vec![GroupRole { group: "devs".to_owned(), workspace: "w".into(), role: Role::Developer }];
    let (api, puppet) = api(true, roles).await;
    *puppet.says.lock().unwrap() = Ok(Assertion { groups: Some(vec!["devs".to_owned()]), ..ann() });
    let answer = logged_in(&api).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("content-type").unwrap().starts_with("text/html") && answer.text().contains("url=/runs\""), "{answer:?}");
    let session = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(session.starts_with("__Host-sandmill=ss_") && !answer.text().contains("ss_"), "{answer:?}");
    let me = get("/api/auth/me").no_token().header("cookie", &session).to(&api).await.value();
    assert_eq!((&me["user"], &me["workspaces"][0]["role"]), (&json!("ann-lee"), &json!("developer")), "{me}");
    let entries = get("/api/instance/audit").to(&api).await.value();
    let entry = entries["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "auth.oidc").unwrap().clone();
    assert_eq!(entry["target"], "ann-lee", "{entry}");
    // Out of the group, out of the workspace.
    *puppet.says.lock().unwrap() = Ok(ann());
    assert_eq!(logged_in(&api).await.status, 200);
    api.clock.advance(Duration::from_secs(2));
    let me = get("/api/auth/me").no_token().header("cookie", &session).to(&api).await.value();
    assert_eq!(me["workspaces"], json!([]), "{me}");
    api.stop().await;
}

/// Entries of the logs of the workspace and of the installation, the oldest first, but for those of logins and of what the test does.
async fn told(api: &Api) -> Vec<(String, Value, Value)> {
    let mut told = Vec::new();
    for chain in ["instance", "w/w"] {
        let items = get(format!("/api/{chain}/audit?actor=u/ann-lee")).to(api).await.value()["items"].clone();
        for entry in items.as_array().unwrap().iter().rev().filter(|entry| entry["action"] != "auth.oidc") {
            assert_eq!((&entry["target"], &entry["actor"]["kind"]), (&json!("ann-lee"), &json!("session")), "{entry}");
            told.push((entry["action"].as_str().unwrap().to_owned(), entry["before"].clone(), entry["after"].clone()));
        }
    }
    told
}

#[tokio::test]
async fn logs_tell_whom_groups_made_what() {
    let role = |group: &str, role| GroupRole { group: group.to_owned(), workspace: "w".into(), role };
    let (api, puppet) = api(true, vec![role("devs", Role::Developer), role("all", Role::Viewer)]).await;
    let comes_with = async |groups: &[&str]| {
        let groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        *puppet.says.lock().unwrap() = Ok(Assertion { groups, ..ann() });
        assert_eq!(logged_in(&api).await.status, 200);
    };
    comes_with(&["devs"]).await;
    comes_with(&["devs"]).await;
    comes_with(&["all"]).await;
    comes_with(&[]).await;
    let told = told(&api).await;
    let (action, before, after) = &told[0];
    assert_eq!((action.as_str(), before, &after["oidc_subject"]), ("users.create", &json!(null), &json!("1")), "{told:?}");
    let by = "single sign-on";
    let roles = [
        ("members.put", json!(null), json!({"role": "developer", "by": by})),
        ("members.put", json!({"role": "developer"}), json!({"role": "viewer", "by": by})),
        ("members.delete", json!({"role": "viewer"}), json!({ "by": by })),
    ];
    assert_eq!(told[1..], roles.map(|(action, before, after)| (action.to_owned(), before, after)));
    // An address has linked somebody.
    let eve = json!({"name": "eve", "email": "eve@example.test"});
    assert_eq!(post("/api/instance/users").json(eve).to(&api).await.status, 201);
    let email = Some("eve@example.test".to_owned());
    *puppet.says.lock().unwrap() = Ok(Assertion { subject: "2".to_owned(), email, ..Assertion::default() });
    assert_eq!(logged_in(&api).await.status, 200);
    let linked = get("/api/instance/audit?action=users.change").to(&api).await.value()["items"][0].clone();
    assert_eq!((&linked["target"], &linked["actor"]["identity"]), (&json!("eve"), &json!("u/eve")), "{linked}");
    assert_eq!((&linked["before"]["oidc_subject"], &linked["after"]["oidc_subject"]), (&json!(null), &json!("2")), "{linked}");
    api.stop().await;
}

#[tokio::test]
async fn whoever_is_not_linked_is_told_what_to_do() {
    let (api, puppet) = api(false, Vec::new()).await;
    let refused = logged_in(&api).await.is_problem(403, "forbidden");
    assert!(refused["detail"].as_str().unwrap().contains("--oidc-subject"), "{refused}");
    for name in ["eve", "bob"] {
        post("/api/instance/users").json(json!({ "name": name })).to(&api).await;
    }
    let link = async |name: &str, subject: Option<&str>| {
        patch(format!("/api/instance/users/{name}")).json(json!({"oidc_subject": subject})).to(&api).await
    };
    let linked = link("eve", Some("1")).await;
    assert_eq!((linked.status.as_u16(), &linked.value()["oidc_subject"]), (200, &json!("1")));
    link("bob", Some("1")).await.is_problem(409, "conflict");
    link("bob", Some("")).await.is_problem(400, "bad_request");
    link("nobody", Some("2")).await.is_problem(404, "not_found");
    assert_eq!(logged_in(&api).await.status, 200);
    *puppet.says.lock().unwrap() = Ok(Assertion { subject: "x".repeat(256), ..ann() });
    logged_in(&api).await.is_problem(401, "unauthorized");
    *puppet.says.lock().unwrap() = Err(NotAsserted::Unavailable("s3cret".to_owned()));
    assert!(!logged_in(&api).await.is_problem(503, "unavailable").to_string().contains("s3cret"));
    *puppet.says.lock().unwrap() = Err(NotAsserted::Busy);
    logged_in(&api).await.is_problem(429, "too_many_requests");
    assert_eq!(link("eve", None).await.value()["oidc_subject"], json!(null));
    *puppet.says.lock().unwrap() = Ok(ann());
    logged_in(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn a_change_that_is_refused_links_nobody() {
    let (api, _) = api(false, Vec::new()).await;
    for name in ["eve", "bob"] {
        let made = post("/api/instance/users").json(json!({"name": name, "email": format!("{name}@example.test")})).to(&api).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let taken = json!({"oidc_subject": "1", "email": "bob@example.test"});
    patch("/api/instance/users/eve").json(taken).to(&api).await.is_problem(409, "conflict");
    assert_eq!(get("/api/instance/users/eve").to(&api).await.value()["oidc_subject"], json!(null));
    logged_in(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn a_login_of_another_browser_is_not_taken() {
    let (api, _) = api(true, Vec::new()).await;
    let ((cookie, state), (other_cookie, other_state)) = (begin(&api).await, begin(&api).await);
    for (cookie, state) in [(&*cookie, &*other_state), (&*other_cookie, &*state), ("a=b", &*state), (&*cookie, ""), (&*cookie, "x")] {
        let answer = end(&api, cookie, &format!("code=c&state={state}")).await;
        assert!(answer.header("set-cookie").is_none(), "{answer:?}");
        answer.is_problem(401, "unauthorized");
    }
    end(&api, &cookie, "code=c").await.is_problem(401, "unauthorized");
    end(&api, &cookie, &format!("code=c&state={state}&iss=https://other.test")).await.is_problem(401, "unauthorized");
    end(&api, &cookie, &format!("state={state}")).await.is_problem(400, "bad_request");
    let denied = end(&api, &cookie, &format!("state={state}&error=access_denied")).await.is_problem(401, "unauthorized");
    assert!(denied["detail"].as_str().unwrap().ends_with("access_denied"), "{denied}");
    let denied = end(&api, &cookie, &format!("state={state}&error=%3Cb%3E")).await.is_problem(401, "unauthorized");
    assert!(!denied.to_string().contains("<b>"), "{denied}");
    api.clock.advance(Duration::from_secs(601));
    end(&api, &cookie, &format!("code=c&state={state}")).await.is_problem(401, "unauthorized");
    for place in ["//evil.test", "https://evil.test", "/%5Cevil.test", "evil", ""] {
        get(format!("/api/auth/oidc/start?return_to={place}")).no_token().to(&api).await.is_problem(400, "bad_request");
    }
    api.stop().await;
}

const VERIFIER: &str = "a verifier that only the command knows, and no one else";

fn challenge(verifier: &str) -> String {
    Digest::of(verifier.as_bytes()).hex()
}

/// The page that somebody sees whom a command has sent to log in.
async fn asked(api: &Api, loopback: &str, verifier: &str) -> Answer {
    let begun = get(format!("/api/auth/oidc/start?loopback={loopback}&challenge={}", challenge(verifier))).no_token().to(api).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let cookie = begun.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let state = begun.header("location").unwrap().split_once("state=").unwrap().1.to_owned();
    let page = end(api, &cookie, &format!("code=c&state={state}")).await;
    assert_eq!(page.status, 200, "{page:?}");
    page
}

/// The code in the link of a page.
fn code(page: &Answer) -> String {
    page.text().split_once("?code=").unwrap().1.split('"').next().unwrap().to_owned()
}

async fn exchange(api: &Api, code: &str, verifier: &str) -> Answer {
    post("/api/auth/oidc/exchange").no_token().json(json!({"code": code, "verifier": verifier})).to(api).await
}

#[tokio::test]
async fn a_command_is_logged_in_by_whoever_says_so() {
    let (api, _) = api(true, Vec::new()).await;
    let page = asked(&api, "http://127.0.0.1:4711/", VERIFIER).await;
    // It asks, and goes nowhere by itself.
    assert!(page.text().contains("ann-lee") && page.text().contains("href=\"http://127.0.0.1:4711/?code=sc_"), "{page:?}");
    let check = challenge(VERIFIER);
    assert!(page.text().contains(&format!("{}-{}", &check[..4], &check[4..8])), "{page:?}");
    assert!(!page.text().contains("refresh") && !page.text().contains("<script"), "{page:?}");
    // The browser has no session by it.
    assert!(!page.header("set-cookie").unwrap().contains("ss_"), "{page:?}");
    let opened = exchange(&api, &code(&page), VERIFIER).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    let token = opened.value()["token"].as_str().unwrap().to_owned();
    let me = get("/api/auth/me").token(&token).to(&api).await.value();
    assert_eq!(me["user"], "ann-lee", "{me}");
    let sessions = get("/api/auth/sessions").token(&token).to(&api).await.value();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1, "{sessions}");
    exchange(&api, &code(&page), VERIFIER).await.is_problem(401, "unauthorized");
    let entries = get("/api/instance/audit").to(&api).await.value().to_string();
    assert!(entries.contains("auth.exchange") && entries.contains("http://127.0.0.1:4711/") && !entries.contains("sc_"), "{entries}");
    api.stop().await;
}

#[tokio::test]
async fn a_code_is_good_for_its_command_alone_and_for_a_minute() {
    let (api, _) = api(true, Vec::new()).await;
    let page = asked(&api, &format!("http://[::1]:4711/{}", "a1".repeat(16)), VERIFIER).await;
    let own = code(&page);
    let other = "another verifier that another command has made up";
    for (code, verifier) in [(&*own, other), (&*own, ""), (&*own, &*challenge(VERIFIER)), ("", VERIFIER), ("sc_none", VERIFIER)] {
        exchange(&api, code, verifier).await.is_problem(401, "unauthorized");
    }
    let long = "x".repeat(10_000);
    exchange(&api, &long, VERIFIER).await.is_problem(401, "unauthorized");
    exchange(&api, &own, &long).await.is_problem(401, "unauthorized");
    // A code is no session.
    get("/api/auth/me").token(&own).to(&api).await.is_problem(401, "unauthorized");
    api.clock.advance(Duration::from_secs(59));
    assert_eq!(exchange(&api, &own, VERIFIER).await.status, 200, "whoever else tried has not used it up");
    let late = code(&asked(&api, "http://[::1]:4711/", VERIFIER).await);
    api.clock.advance(Duration::from_secs(60));
    exchange(&api, &late, VERIFIER).await.is_problem(401, "unauthorized");
    let ended = code(&asked(&api, "http://[::1]:4711/", VERIFIER).await);
    assert_eq!(patch("/api/instance/users/ann-lee").json(json!({"is_disabled": true})).to(&api).await.status, 200);
    exchange(&api, &ended, VERIFIER).await.is_problem(401, "unauthorized");
    api.stop().await;
}

#[tokio::test]
async fn nothing_is_handed_to_another_machine() {
    let (api, _) = api(true, Vec::new()).await;
    let right = challenge(VERIFIER);
    let own = "http://127.0.0.1:80/";
    for query in [
        format!("loopback=http://evil.test/&challenge={right}"),
        format!("loopback=http://127.0.0.1.evil.test:80/&challenge={right}"),
        format!("loopback=http://127.0.0.1:80@evil.test/&challenge={right}"),
        format!("loopback=http://localhost:80/&challenge={right}"),
        format!("loopback=https://127.0.0.1:80/&challenge={right}"),
        format!("loopback=http://127.0.0.1:80/x&challenge={right}"),
        format!("loopback={own}&challenge={}", &right[1..]),
        format!("loopback={own}"),
        format!("challenge={right}"),
        format!("loopback={own}&challenge={right}&return_to=/runs"),
        format!("return_to={own}"),
    ] {
        get(format!("/api/auth/oidc/start?{query}")).no_token().to(&api).await.is_problem(400, "bad_request");
    }
    // A page of another site exchanges nothing.
    let own = code(&asked(&api, own, VERIFIER).await);
    let call = post("/api/auth/oidc/exchange").no_token().json(json!({"code": own, "verifier": VERIFIER}));
    call.header("sec-fetch-site", "cross-site").to(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}
