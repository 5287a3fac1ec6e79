//! Sessions over time, and what is asked of whoever has none.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Api, delete, get, patch, post, put};

/// The admin's token acts as `u/ann`, so no user is called so.
const PASSWORD: &str = "correct horse battery staple";
const HOUR: Duration = Duration::from_secs(3600);

async fn user(api: &Api, name: &str) {
    let made = post("/api/instance/users").json(json!({"name": name, "email": format!("{name}@Example.test"), "password": PASSWORD}));
    let made = made.to(api).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(!made.text().contains("argon2") && !made.text().contains(PASSWORD), "{made:?}");
}

async fn login(api: &Api, body: Value) -> Answer {
    let answer = post("/api/auth/login").no_token().json(body).to(api).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// The cookie of a new session.
async fn cookie(api: &Api, user: &str) -> String {
    let answer = login(api, json!({"user": user, "password": PASSWORD})).await;
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

async fn me(api: &Api, cookie: &str) -> u16 {
    get("/api/auth/me").no_token().header("cookie", cookie).to(api).await.status.as_u16()
}

#[tokio::test]
async fn sessions_end_by_themselves() {
    let api = Api::new().await;
    user(&api, "eve").await;
    let (used, unused) = (cookie(&api, "eve").await, cookie(&api, "eve@example.TEST").await);
    for hours in 1..=16 {
        api.clock.advance(HOUR * 10);
        assert_eq!(me(&api, &used).await, 200, "after {} hours", hours * 10);
    }
    assert_eq!(me(&api, &unused).await, 401, "nobody used it");
    api.clock.advance(HOUR * 8);
    assert_eq!(me(&api, &used).await, 401, "after a week in any case");
    let unused = cookie(&api, "eve").await;
    api.clock.advance(HOUR * 11);
    assert_eq!(me(&api, &unused).await, 200);
    api.clock.advance(HOUR * 12 + Duration::from_secs(1));
    assert_eq!(me(&api, &unused).await, 401);
    api.stop().await;
}

#[tokio::test]
async fn a_session_in_a_header_is_no_cookie() {
    let api = Api::new().await;
    user(&api, "eve").await;
    let answer = login(&api, json!({"user": "eve", "password": PASSWORD, "carrier": "header"})).await;
    let secret = answer.value()["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("ss_") && answer.header("set-cookie").is_none() && answer.value()["csrf"].is_null());
    assert_eq!(get("/api/auth/me").token(&secret).to(&api).await.status, 200);
    let version = get("/api/instance/version").token(&secret).to(&api).await;
    assert_eq!(version.value()["identity"], "u/eve");
    assert_eq!(me(&api, &format!("__Host-sandmill={secret}")).await, 401);
    get(format!("/api/instance/version?token={secret}")).no_token().to(&api).await.is_problem(401, "unauthorized");
    // Whoever administers nothing is no more than a stranger to what is the installation's.
    get("/api/instance/users").token(&secret).to(&api).await.is_problem(403, "forbidden");
    get("/metrics").token(&secret).to(&api).await.is_problem(403, "forbidden");
    get("/api/w/w/scripts").token(&secret).to(&api).await.is_problem(404, "not_found");
    assert_eq!(patch("/api/instance/users/eve").json(json!({"is_instance_admin": true})).to(&api).await.status, 200);
    api.clock.advance(Duration::from_secs(2));
    assert_eq!(get("/api/instance/users").token(&secret).to(&api).await.status, 200);
    assert_eq!(get("/api/w/w/scripts").token(&secret).to(&api).await.status, 200);
    assert_eq!(post("/api/auth/logout").token(&secret).to(&api).await.status, 204);
    get("/api/auth/me").token(&secret).to(&api).await.is_problem(401, "unauthorized");
    // A token is nobody who is logged in.
    get("/api/auth/me").token(ADMIN).to(&api).await.is_problem(401, "unauthorized");
    api.stop().await;
}

#[tokio::test]
async fn what_is_sent_is_checked() {
    let api = Api::new().await;
    user(&api, "eve").await;
    let create = |body: Value| post("/api/instance/users").json(body);
    for (body, status, code) in [
        (json!({"name": "Bob"}), 400, "bad_request"),
        (json!({"name": "b/b"}), 400, "bad_request"),
        (json!({"name": "bob", "password": "short"}), 400, "bad_request"),
        (json!({"name": "bob", "email": "bob"}), 400, "bad_request"),
        (json!({"name": "bob", "display_name": "a\u{7}b"}), 400, "bad_request"),
        (json!({"name": "bob", "is_admin": true}), 400, "bad_request"),
        (json!({"name": "eve"}), 409, "conflict"),
        (json!({"name": "bob", "email": "EVE@example.test"}), 409, "conflict"),
    ] {
        create(body).to(&api).await.is_problem(status, code);
    }
    assert_eq!(create(json!({"name": "bob"})).to(&api).await.status, 201);
    post("/api/auth/login").no_token().json(json!({"user": "bob", "password": ""})).to(&api).await.is_problem(401, "unauthorized");
    let long = json!({"user": "eve", "password": "x".repeat(10_000)});
    post("/api/auth/login").no_token().json(long).to(&api).await.is_problem(401, "unauthorized");
    get("/api/instance/users/nobody").to(&api).await.is_problem(404, "not_found");
    put("/api/w/w/members/nobody").json(json!({"role": "viewer"})).to(&api).await.is_problem(404, "not_found");
    put("/api/w/w/members/eve").json(json!({"role": "king"})).to(&api).await.is_problem(400, "bad_request");
    put("/api/w/w/folders/f").json(json!({"owners": ["eve"]})).to(&api).await.is_problem(400, "bad_request");
    put("/api/w/w/folders/f").json(json!({"owners": ["u/eve"]})).to(&api).await.is_problem(400, "bad_request");
    put("/api/w/w/folders/..").json(json!({})).to(&api).await.is_problem(400, "invalid_path");
    post("/api/w/w/invitations").json(json!({"role": "viewer", "hours": 0})).to(&api).await.is_problem(400, "bad_request");
    let unknown = json!({"invitation": "si_none", "user": "cy", "password": PASSWORD});
    post("/api/auth/invitation").no_token().json(unknown).to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

/// The secret of a new session in a header.
async fn session(api: &Api, user: &str) -> String {
    let answer = login(api, json!({"user": user, "password": PASSWORD, "carrier": "header"})).await;
    answer.value()["token"].as_str().unwrap().to_owned()
}

async fn member(api: &Api, user: &str, role: &str) {
    let put = put(format!("/api/w/w/members/{user}")).json(json!({ "role": role })).to(api).await;
    assert_eq!(put.status, 200, "{put:?}");
}

#[tokio::test]
async fn whoever_is_out_follows_no_run() {
    let api = Api::new().await;
    api.deploy("f/t/gate").await;
    let run = post("/probe/w/start/f/t/gate").to(&api).await.run_id();
    for name in ["eve", "bob", "cy", "dan"] {
        user(&api, name).await;
        member(&api, name, "viewer").await;
        let secret = session(&api, name).await;
        // Remembered, so that whoever follows is let in before all is over.
        assert_eq!(get(format!("/api/w/w/runs/{run}")).token(&secret).to(&api).await.status, 200);
        let follow = get(format!("/api/w/w/runs/{run}/events")).token(&secret).to(&api);
        let end = async {
            match name {
                "eve" => assert_eq!(post("/api/auth/logout").token(&secret).to(&api).await.status, 204),
                "bob" => {
                    let disable = patch("/api/instance/users/bob").json(json!({"is_disabled": true}));
                    assert_eq!(disable.to(&api).await.status, 200);
                }
                "cy" => assert_eq!(delete("/api/w/w/members/cy").to(&api).await.status, 204),
                // Who may something else now comes again.
                _ => member(&api, name, "operator").await,
            }
            api.clock.advance(Duration::from_millis(600));
        };
        let (followed, ()) = tokio::join!(follow, end);
        assert_eq!(followed.status, 200, "{name}: {followed:?}");
        assert!(!followed.text().contains("event: end"), "{name}: {followed:?}");
    }
    api.stage.open_gate();
    api.ended(&run).await;
    api.stop().await;
}

#[tokio::test]
async fn whoever_administers_a_workspace_makes_tokens_for_it() {
    let api = Api::new().await;
    user(&api, "eve").await;
    member(&api, "eve", "admin").await;
    let secret = session(&api, "eve").await;
    let made = post("/api/w/w/tokens").token(&secret).json(json!({"label": "ci"})).to(&api).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!((&made.value()["token"]["identity"], &made.value()["token"]["scopes"]), (&json!("u/eve"), &json!(["*:*"])));
    let token = made.value()["secret"].as_str().unwrap().to_owned();
    post("/api/instance/tokens").token(&secret).json(json!({})).to(&api).await.is_problem(403, "forbidden");
    get("/api/instance/users").token(&token).to(&api).await.is_problem(403, "forbidden");
    assert_eq!(post("/api/auth/logout").token(&secret).to(&api).await.status, 204);
    assert_eq!(get("/api/w/w/scripts").token(&token).to(&api).await.status, 200, "it outlives the session");
    member(&api, "eve", "developer").await;
    let secret = session(&api, "eve").await;
    post("/api/w/w/tokens").token(&secret).json(json!({})).to(&api).await.is_problem(403, "forbidden");
    assert_eq!(delete("/api/w/w/members/eve").to(&api).await.status, 204);
    api.clock.advance(Duration::from_secs(1));
    get("/api/w/w/scripts").token(&token).to(&api).await.is_problem(401, "unauthorized");
    api.stop().await;
}

#[tokio::test]
async fn names_are_not_tried_out_by_an_invitation() {
    let api = Api::new().await;
    user(&api, "eve").await;
    let invitation = post("/api/w/w/invitations").json(json!({"role": "viewer"})).to(&api).await.value()["invitation"].clone();
    let accept = async |name: &str, password: &str| {
        let body = json!({"invitation": invitation, "user": name, "password": password});
        post("/api/auth/invitation").no_token().json(body).to(&api).await
    };
    // A user, and whom a token acts as: one answer. No address is taken, so none can be tried out.
    let [user, token] = [accept("eve", PASSWORD).await, accept("ann", PASSWORD).await];
    let [user, token] = [user, token].map(|answer| answer.is_problem(409, "conflict")["detail"].clone());
    assert_eq!(user, token);
    let email = json!({"invitation": invitation, "user": "bob", "password": PASSWORD, "email": "eve@example.test"});
    post("/api/auth/invitation").no_token().json(email).to(&api).await.is_problem(400, "bad_request");
    // What is not looked at costs nothing, and tells nothing.
    for _ in 0..20 {
        for name in ["eve", "bob", "B/b"] {
            accept(name, "short").await.is_problem(400, "bad_request");
        }
    }
    for _ in 0..8 {
        accept("eve", PASSWORD).await.is_problem(409, "conflict");
    }
    accept("bob", PASSWORD).await.is_problem(429, "too_many_requests");
    api.clock.advance(Duration::from_secs(61));
    assert_eq!(accept("bob", PASSWORD).await.status, 201);
    assert_eq!(get("/api/instance/users/bob").to(&api).await.value()["email"], json!(null));
    api.stop().await;
}

#[tokio::test]
async fn nobody_gives_a_role_that_is_more_than_they_have() {
    const PEOPLE: &str = "sm_people";
    const MOST: &str = "sm_most";
    let api = Api::new().await;
    for name in ["eve", "bob", "cy"] {
        user(&api, name).await;
    }
    api.token(PEOPLE, Some(api.workspace), &["members:read", "members:write"]).await;
    let most = ["scripts:*", "runs:*", "resources:*", "variables:*", "blobs:*", "triggers:*", "members:*", "identities:start"];
    api.token(MOST, Some(api.workspace), &most).await;
    // As whom they act is no user: that is no matter here, an invitation apart.
    member(&api, "eve", "viewer").await;
    member(&api, "bob", "developer").await;
    member(&api, "cy", "admin").await;
    let role = |role: &str| json!({ "role": role });
    for name in ["admin", "developer", "viewer"] {
        put("/api/w/w/members/eve").token(PEOPLE).json(role(name)).to(&api).await.is_problem(403, "forbidden");
        post("/api/w/w/invitations").token(PEOPLE).json(role(name)).to(&api).await.is_problem(403, "forbidden");
    }
    for (name, status) in [("admin", 403), ("developer", 200), ("viewer", 200)] {
        assert_eq!(put("/api/w/w/members/eve").token(MOST).json(role(name)).to(&api).await.status, status, "{name}");
    }
    // Nor is it taken from whoever has it.
    put("/api/w/w/members/cy").token(MOST).json(role("viewer")).to(&api).await.is_problem(403, "forbidden");
    delete("/api/w/w/members/cy").token(MOST).to(&api).await.is_problem(403, "forbidden");
    delete("/api/w/w/members/bob").token(PEOPLE).to(&api).await.is_problem(403, "forbidden");
    assert_eq!(delete("/api/w/w/members/bob").token(MOST).to(&api).await.status, 204);
    api.stop().await;
}

#[tokio::test]
async fn nobody_puts_people_into_a_group_that_has_more_than_they_have() {
    const PEOPLE: &str = "sm_people";
    const SOME: &str = "sm_some";
    let api = Api::new().await;
    user(&api, "eve").await;
    member(&api, "eve", "developer").await;
    api.token(PEOPLE, Some(api.workspace), &["members:write"]).await;
    let some = ["members:write", "identities:start:g/*"];
    api.token(SOME, Some(api.workspace), &some).await;
    let eve = || put("/api/w/w/groups/ops").json(json!({"members": ["eve"]}));
    eve().token(PEOPLE).to(&api).await.is_problem(403, "forbidden");
    assert_eq!(eve().token(SOME).to(&api).await.status, 200, "nothing is lent to it");
    let list = put("/api/w/w/folders/billing").json(json!({"writers": ["g/ops"]})).to(&api).await;
    assert_eq!(list.status, 200, "{list:?}");
    eve().token(SOME).to(&api).await.is_problem(403, "forbidden");
    let more =
        ["members:write", "identities:start:g/*", "scripts:*", "runs:*", "resources:*", "variables:*", "triggers:*", "blobs:*:f/billing/*"];
    api.token(SOME, Some(api.workspace), &more).await;
    api.clock.advance(Duration::from_secs(2));
    assert_eq!(eve().token(SOME).to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn nobody_puts_people_on_a_list_that_gives_more_than_they_have() {
    const PEOPLE: &str = "sm_people";
    const SOME: &str = "sm_some";
    let api = Api::new().await;
    for (name, role) in [("eve", "developer"), ("cy", "developer"), ("vi", "viewer")] {
        user(&api, name).await;
        member(&api, name, role).await;
    }
    for path in ["f/closed/x", "u/cy/x", "u/eve/x"] {
        api.deploy(path).await;
    }
    let closed = "/api/w/w/folders/closed";
    assert_eq!(put(closed).json(json!({"readers": ["u/cy"]})).to(&api).await.status, 200);
    assert_eq!(put("/api/w/w/access/f/closed/x").json(json!({"readers": ["u/cy:scripts"]})).to(&api).await.status, 200);
    api.token(PEOPLE, Some(api.workspace), &["members:read", "members:write"]).await;
    for (at, list) in [
        ("folders/closed", json!({"readers": ["u/cy", "u/eve"]})),
        ("folders/closed", json!({"writers": ["u/cy"]})),
        ("folders/closed", json!({"owners": ["u/eve"]})),
        ("folders/other", json!({"readers": ["u/eve"]})),
        ("access/f/closed/x", json!({"readers": ["u/eve:scripts", "u/cy:scripts"]})),
        ("access/f/closed/x", json!({"writers": ["u/cy:scripts"]})),
        ("access/u/cy/x", json!({"readers": ["u/eve"]})),
    ] {
        put(format!("/api/w/w/{at}")).json(list).token(PEOPLE).to(&api).await.is_problem(403, "forbidden");
    }
    delete(closed).token(PEOPLE).to(&api).await.is_problem(403, "forbidden");
    delete("/api/w/w/folders/other").token(PEOPLE).to(&api).await.is_problem(404, "not_found");
    // What is there may stay, and be taken.
    for (at, list) in [
        ("folders/closed", json!({"readers": ["u/cy"]})),
        ("folders/closed", json!({})),
        ("access/f/closed/x", json!({"readers": ["u/cy:scripts"]})),
        ("access/f/closed/x", json!({})),
    ] {
        assert_eq!(put(format!("/api/w/w/{at}")).json(list.clone()).token(PEOPLE).to(&api).await.status, 200, "{at} {list}");
    }
    // Of one kind, at one path.
    api.token(SOME, Some(api.workspace), &["members:write", "runs:*:f/closed/*", "scripts:*:f/closed/*"]).await;
    let item = |who: &str| put("/api/w/w/access/f/closed/x").json(json!({"writers": [who]})).token(SOME);
    assert_eq!(item("u/eve:scripts").to(&api).await.status, 200);
    item("u/eve").to(&api).await.is_problem(403, "forbidden");
    delete(closed).token(SOME).to(&api).await.is_problem(403, "forbidden");
    // Owners give what they have.
    assert_eq!(put(closed).json(json!({"owners": ["u/eve", "u/vi"]})).to(&api).await.status, 200);
    let (eve, vi) = (session(&api, "eve").await, session(&api, "vi").await);
    let more = || put(closed).json(json!({"owners": ["u/eve", "u/vi"], "writers": ["u/cy"]}));
    more().token(&vi).to(&api).await.is_problem(403, "forbidden");
    assert_eq!(more().token(&eve).to(&api).await.status, 200);
    let lent = put("/api/w/w/access/u/eve/x").json(json!({"writers": ["u/cy"]})).token(&eve);
    assert_eq!(lent.to(&api).await.status, 200);
    delete(closed).token(&vi).to(&api).await.is_problem(403, "forbidden");
    assert_eq!(delete(closed).token(&eve).to(&api).await.status, 204);
    api.stop().await;
}

#[tokio::test]
async fn an_admin_sees_what_was_lent() {
    let api = Api::new().await;
    user(&api, "eve").await;
    member(&api, "eve", "developer").await;
    let secret = session(&api, "eve").await;
    let lent = json!({"readers": ["u/eve"]});
    put("/api/w/w/access/f/t/echo").json(lent.clone()).to(&api).await.is_problem(404, "not_found");
    for path in ["f/t/echo", "u/eve/echo"] {
        api.deploy(path).await;
        assert_eq!(put(format!("/api/w/w/access/{path}")).json(lent.clone()).to(&api).await.status, 200, "{path}");
    }
    let page = get("/api/w/w/access?limit=1").to(&api).await.value();
    assert_eq!(page["items"], json!([{"path": "f/t/echo", "writers": [], "readers": ["u/eve"]}]));
    let next = page["next"].as_str().unwrap().to_owned();
    let last = get(format!("/api/w/w/access?cursor={next}")).to(&api).await.value();
    assert_eq!((&last["items"][0]["path"], &last["next"]), (&json!("u/eve/echo"), &json!(null)));
    get("/api/w/w/access").token(&secret).to(&api).await.is_problem(403, "forbidden");
    for bad in ["u/eve:runs", "u/eve:", "eve:scripts"] {
        put("/api/w/w/access/f/t/echo").json(json!({"readers": [bad]})).to(&api).await.is_problem(400, "bad_request");
    }
    put("/api/w/w/folders/t").json(json!({"readers": ["u/eve:scripts"]})).to(&api).await.is_problem(400, "bad_request");
    let kinds = json!({"writers": ["u/eve:scripts"], "readers": ["u/eve:scripts", "u/eve:variables"]});
    let shown = put("/api/w/w/access/f/t/echo").json(kinds).to(&api).await.value();
    assert_eq!(shown, json!({"writers": ["u/eve:scripts"], "readers": ["u/eve:variables"]}), "the greatest counts");
    assert_eq!(get("/api/w/w/access/f/t/echo").to(&api).await.value(), shown);
    api.stop().await;
}

#[tokio::test]
async fn an_archived_workspace_is_not_changed() {
    let api = Api::new().await;
    user(&api, "eve").await;
    member(&api, "eve", "admin").await;
    let secret = session(&api, "eve").await;
    assert!(post("/api/instance/workspaces/w/archive").to(&api).await.status.is_success());
    api.clock.advance(Duration::from_secs(1));
    let refused = put("/api/w/w/variables/f/t/x").json(json!({"text": "x"})).token(&secret).to(&api).await;
    assert_eq!(refused.value()["code"], "workspace_archived", "{refused:?}");
    assert_eq!(get("/api/w/w/variables").token(&secret).to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn an_account_has_no_more_tries_by_having_two_names() {
    let api = Api::new().await;
    user(&api, "eve").await;
    let login = async |name: &str, password: &str| {
        let call = post("/api/auth/login").no_token().json(json!({"user": name, "password": password}));
        call.to(&api).await.status.as_u16()
    };
    let wrong = "wrong horse battery";
    let (name, address, nobodys) = ("eve", "eve@example.test", "nobody@example.test");
    for who in [name, address] {
        for _ in 0..5 {
            assert_eq!(login(who, wrong).await, 401);
        }
    }
    // None is left, which is no other answer than that of a wrong password.
    assert_eq!((login(name, PASSWORD).await, login(address, PASSWORD).await), (401, 401));
    for who in [name, address] {
        for _ in 0..4 {
            assert_eq!(login(who, wrong).await, 401, "{who}");
        }
        assert_eq!(login(who, PASSWORD).await, 429, "{who}");
    }
    // As it is with what belongs to nobody.
    for _ in 0..10 {
        assert_eq!(login(nobodys, wrong).await, 401);
    }
    assert_eq!(login(nobodys, wrong).await, 429);
    api.clock.advance(HOUR);
    assert_eq!((login(name, PASSWORD).await, login(address, PASSWORD).await), (200, 200));
    api.stop().await;
}

/// Others who log in at the same time do not lock anybody out.
#[tokio::test]
async fn who_finds_no_place_has_not_failed() {
    let api = Api::new().await;
    user(&api, "eve").await;
    let server = &api;
    let login = |name: String| {
        let call = post("/api/auth/login").no_token().json(json!({"user": name, "password": PASSWORD}));
        async move { call.to(server).await.status.as_u16() }
    };
    // More than can wait, and more for one account than may fail.
    let others = (0..80).map(|n| format!("nobody{n}"));
    let answers = futures_util::future::join_all(others.chain((0..20).map(|_| "eve".to_owned())).map(login)).await;
    assert!(answers.contains(&429), "{answers:?}");
    assert_eq!(login("eve".to_owned()).await, 200, "{answers:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_flood_of_wrong_sessions_is_slowed_down_and_harms_no_good_one() {
    let api = Api::new().await;
    user(&api, "eve").await;
    let secret = session(&api, "eve").await;
    let ask = async |secret: &str| get("/api/auth/me").token(secret).client("192.0.2.1", false).to(&api).await.status.as_u16();
    assert_eq!(ask(&secret).await, 200);
    for number in 0..100 {
        assert_eq!(ask(&format!("ss_{number}")).await, 401, "{number}");
    }
    assert_eq!((ask("ss_100").await, ask("sm_100").await), (429, 401), "a token is not looked at here");
    api.clock.advance(Duration::from_millis(1_000));
    assert_eq!((ask("ss_101").await, ask("ss_102").await), (401, 429));
    assert_eq!(ask(&secret).await, 200);
    api.stop().await;
}
