//! Logins by the word of a provider, which is made up here; `tests/it/oidc.rs` has a real one.

use std::sync::{Arc, Mutex};

use sandmill_api::{ApiOptions, Assertion, GroupRole, NotAsserted, Provider, Secrets, SingleSignOn};
use sandmill_model::{BoxFuture, role::Role};
use serde_json::json;

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
    api.clock.advance(std::time::Duration::from_secs(2));
    let me = get("/api/auth/me").no_token().header("cookie", &session).to(&api).await.value();
    assert_eq!(me["workspaces"], json!([]), "{me}");
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
    api.clock.advance(std::time::Duration::from_secs(601));
    end(&api, &cookie, &format!("code=c&state={state}")).await.is_problem(401, "unauthorized");
    for place in ["//evil.test", "https://evil.test", "/%5Cevil.test", "evil", ""] {
        get(format!("/api/auth/oidc/start?return_to={place}")).no_token().to(&api).await.is_problem(400, "bad_request");
    }
    api.stop().await;
}
