//! Tokens: made, shown, rotated, revoked; that nobody gains anything by them; and floods of wrong ones.

use std::time::Duration;

use http_body_util::BodyExt;
use sandmill_store::token_upkeep;
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Api, Call, delete, get, post, put};

const OF_W: &str = "/api/w/w/tokens";
const OF_ALL: &str = "/api/instance/tokens";

/// Makes a token and gives its secret and its id.
async fn make(api: &Api, at: &str, by: &str, body: Value) -> (String, String) {
    let answer = post(at).token(by).json(body).to(api).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.value();
    (made["secret"].as_str().unwrap().to_owned(), made["token"]["id"].as_str().unwrap().to_owned())
}

async fn status(api: &Api, secret: &str) -> u16 {
    get("/api/w/w/scripts").token(secret).to(api).await.status.as_u16()
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let api = Api::new().await;
    let body = json!({"label": "for läbels", "scopes": ["scripts:read", "runs:start:f/t/*"], "expires_in_s": 60});
    let answer = post(OF_W).json(body).to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (201, Some("no-store")));
    let made = answer.value();
    let secret = made["secret"].as_str().unwrap();
    let id = made["token"]["id"].as_str().unwrap();
    assert_eq!((secret.len(), &secret[..7]), (55, made["token"]["prefix"].as_str().unwrap()));
    let shown = get(format!("{OF_W}/{id}")).to(&api).await;
    assert_eq!(shown.value(), made["token"]);
    assert_eq!(
        (&made["token"]["label"], &made["token"]["kind"], &made["token"]["scopes"], &made["token"]["created_by"]),
        (&json!("for läbels"), &json!("user"), &json!(["scripts:read", "runs:start:f/t/*"]), &json!("u/ann"))
    );
    let list = get(OF_W).to(&api).await;
    assert_eq!(list.value(), json!({"items": [made["token"]], "next": null}));
    for answer in [shown, list] {
        assert!(!answer.text().contains(secret), "{answer:?}");
    }
    assert_eq!(status(&api, secret).await, 200);
    api.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let api = Api::new().await;
    let mut made = Vec::new();
    for n in 0..3 {
        made.push(make(&api, OF_W, ADMIN, json!({"label": n.to_string()})).await.1);
    }
    let first = get(format!("{OF_W}?limit=2")).to(&api).await.value();
    let second = get(format!("{OF_W}?limit=2&cursor={}", first["next"].as_str().unwrap())).to(&api).await.value();
    let ids =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!((ids(&first), ids(&second), &second["next"]), (made[..2].to_vec(), made[2..].to_vec(), &Value::Null));
    get(format!("{OF_W}?limit=0")).to(&api).await.is_problem(400, "bad_request");
    get(format!("{OF_W}?cursor=x")).to(&api).await.is_problem(400, "bad_request");
    api.stop().await;
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let api = Api::new().await;
    let long = "x".repeat(201);
    for (body, expected) in [
        (json!({"label": long}), "label"),
        (json!({"label": "a\nb"}), "label"),
        (json!({"scopes": []}), "scopes"),
        (json!({"scopes": vec!["runs:read"; 65]}), "scopes"),
        (json!({"scopes": [format!("runs:read:{}", "x".repeat(600))]}), "scope"),
        (json!({"scopes": ["runs:fly"]}), "runs:start"),
        (json!({"scopes": ["runs:read:f/\u{0}"]}), "control"),
        (json!({"start": "f/t/a", "scopes": ["runs:read"]}), "start"),
        (json!({"start": "f/t/a", "read_only": true}), "read"),
        (json!({"expires_in_s": 0}), "expires_in_s"),
        (json!({"expires_in_s": u64::MAX}), "expires_in_s"),
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"expires_at": "2999-01-01T00:00:00Z", "expires_in_s": 1}), "expires_at"),
        (json!({"identity": "ann"}), "identity"),
        (json!({"identity": "u/.."}), "identity"),
        (json!({"identity": "u/a/b"}), "identity"),
        (json!({"identity": format!("u/{}", "x".repeat(65))}), "identity"),
        (json!({"colour": "x"}), "colour"),
    ] {
        let problem = post(OF_W).json(body.clone()).to(&api).await.is_problem(400, "bad_request");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{body}: {problem}");
    }
    post(OF_W).json(json!({"start": "f/../a"})).to(&api).await.is_problem(400, "invalid_path");
    post(OF_ALL).json(json!({"start": "f/t/a"})).to(&api).await.is_problem(400, "bad_request");
    let (_, id) = make(&api, OF_W, ADMIN, json!({})).await;
    post(format!("{OF_W}/{id}/rotate")).json(json!({"overlap_s": 2_592_001})).to(&api).await.is_problem(400, "bad_request");
    assert_eq!(post(format!("{OF_W}/{id}/rotate")).json(json!(null)).to(&api).await.status, 200, "null is as no body");
    api.stop().await;
}

#[tokio::test]
async fn nobody_hands_on_what_they_have_not() {
    let api = Api::new().await;
    api.token("sm_some", Some(api.workspace), &["tokens:write", "runs:*:f/t/*", "scripts:read"]).await;
    for scopes in [
        json!(["*:*"]),
        json!(["*:read"]),
        json!(["runs:*"]),
        json!(["runs:start:f/*"]),
        json!(["runs:start:*"]),
        json!(["scripts:*"]),
        json!(["scripts:read", "scripts:write:f/t/a"]),
        json!(["instance:read"]),
        json!(["tokens:*"]),
    ] {
        post(OF_W).token("sm_some").json(json!({"scopes": scopes})).to(&api).await.is_problem(403, "forbidden");
    }
    post(OF_W).token("sm_some").json(json!({"start": "f/other/a"})).to(&api).await.is_problem(403, "forbidden");
    post(OF_ALL).token("sm_some").json(json!({"scopes": ["scripts:read"]})).to(&api).await.is_problem(403, "forbidden");
    let (narrow, _) = make(&api, OF_W, "sm_some", json!({"scopes": ["runs:start:f/t/a*", "scripts:read:f/t/*"]})).await;
    post(OF_W).token(&narrow).json(json!({})).to(&api).await.is_problem(403, "forbidden");
    // What is left out is what the caller has.
    let (same, id) = make(&api, OF_W, "sm_some", json!({})).await;
    let scopes = json!(["tokens:write", "runs:*:f/t/*", "scripts:read"]);
    assert_eq!(get(format!("{OF_W}/{id}")).to(&api).await.value()["scopes"], scopes);
    get(format!("{OF_W}/{id}")).token(&same).to(&api).await.is_problem(403, "forbidden");
    // Neither does a workspace's token with all scopes get at the installation's.
    api.token("sm_all", Some(api.workspace), &["*:*"]).await;
    for call in [get(OF_ALL), post(OF_ALL).json(json!({})), get(format!("{OF_ALL}/{id}")), delete(format!("{OF_ALL}/{id}"))] {
        call.token("sm_all").to(&api).await.is_problem(403, "forbidden");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_new_secret_is_for_whoever_has_the_token() {
    let api = Api::new().await;
    api.token("sm_some", Some(api.workspace), &["tokens:*", "scripts:read"]).await;
    let (_, wide) = make(&api, OF_W, ADMIN, json!({"scopes": ["*:*"]})).await;
    let rotate = |id: &str, by: &str| post(format!("{OF_W}/{id}/rotate")).token(by);
    rotate(&wide, "sm_some").to(&api).await.is_problem(403, "forbidden");
    let (_, own) = make(&api, OF_W, "sm_some", json!({"scopes": ["scripts:read"]})).await;
    assert_eq!(rotate(&own, "sm_some").to(&api).await.status, 200);
    assert_eq!(rotate(&wide, ADMIN).to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn only_the_installations_tokens_are_made_for_others() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    api.token("sm_all", Some(api.workspace), &["*:*"]).await;
    api.token("sm_some", None, &["tokens:*", "runs:start"]).await;
    for by in ["sm_all", "sm_some"] {
        let body = json!({"identity": "u/bob", "scopes": ["runs:start"]});
        post(OF_W).token(by).json(body).to(&api).await.is_problem(403, "forbidden");
        make(&api, OF_W, by, json!({"identity": "u/ann", "scopes": ["runs:start"]})).await;
    }
    let (secret, id) = make(&api, OF_W, ADMIN, json!({"identity": "u/bob", "start": "f/t/echo"})).await;
    let shown = get(format!("{OF_W}/{id}")).to(&api).await.value();
    assert_eq!((&shown["identity"], &shown["created_by"]), (&json!("u/bob"), &json!("u/ann")));
    let run = post("/probe/w/run/f/t/echo").token(&secret).to(&api).await.run_id();
    assert_eq!(api.ended(&run).await["run_as"], "u/bob");
    // Nor does anybody get a new secret of what is another's.
    post(format!("{OF_W}/{id}/rotate")).token("sm_all").to(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn nothing_outlives_what_makes_it() {
    let api = Api::new().await;
    let (short, id) = make(&api, OF_W, ADMIN, json!({"expires_in_s": 60})).await;
    for body in [json!({}), json!({"expires_in_s": 61})] {
        post(OF_W).token(&short).json(body).to(&api).await.is_problem(403, "forbidden");
    }
    make(&api, OF_W, &short, json!({"expires_in_s": 30})).await;
    // Revoked on another node, it is believed here for a moment; but it makes nothing any more.
    assert_eq!(status(&api, &short).await, 200);
    assert!(api.store.tokens.revoke(Some(api.workspace), id.parse().unwrap()).await.unwrap());
    post(OF_W).token(&short).json(json!({"expires_in_s": 30})).to(&api).await.is_problem(401, "unauthorized");
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&api, &short).await, 401);
    api.stop().await;
}

#[tokio::test]
async fn what_only_reads_changes_nothing() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let (reads, id) = make(&api, OF_W, ADMIN, json!({"scopes": ["*:*"], "read_only": true})).await;
    for call in [get("/api/w/w/scripts"), get("/api/w/w/runs"), get(OF_W), get(format!("{OF_W}/{id}"))] {
        assert_eq!(call.token(&reads).to(&api).await.status, 200);
    }
    for call in [
        post("/probe/w/run/f/t/echo"),
        post("/api/w/w/runs").json(json!({"path": "f/t/echo"})),
        post(OF_W).json(json!({})),
        delete(format!("{OF_W}/{id}")),
        post(format!("{OF_W}/{id}/rotate")),
        delete("/api/w/w/variables/f/t/x"),
    ] {
        call.token(&reads).to(&api).await.is_problem(403, "forbidden");
    }
    api.stop().await;
}

#[tokio::test]
async fn what_starts_one_path_does_nothing_else() {
    let api = Api::new().await;
    for path in ["f/t/echo", "f/t/echo2"] {
        api.deploy(path).await;
    }
    let (starts, id) = make(&api, OF_W, ADMIN, json!({"start": "f/t/echo"})).await;
    assert_eq!(get(format!("{OF_W}/{id}")).to(&api).await.value()["kind"], "start");
    let started = post(format!("/probe/w/run/f/t/echo?token={starts}")).no_token().to(&api).await;
    assert_eq!(started.status, 200);
    let run = started.run_id();
    for call in [
        post("/probe/w/run/f/t/echo2"),
        get("/api/w/w/scripts"),
        get("/api/w/w/scripts/f/t/echo"),
        get("/api/w/w/runs"),
        get("/api/instance/version"),
        get(OF_W),
        post(OF_W).json(json!({"start": "f/t/echo"})),
        post(format!("{OF_W}/{id}/rotate")),
    ] {
        call.token(&starts).to(&api).await.is_problem(403, "forbidden");
    }
    get(format!("/api/w/w/runs/{run}")).token(&starts).to(&api).await.is_problem(403, "forbidden");
    api.stop().await;
}

#[tokio::test]
async fn another_workspaces_token_looks_like_none() {
    type Method = fn(String) -> Call;
    let api = Api::new().await;
    let stranger = api.workspace("other").await;
    api.token("sm_stranger", Some(stranger), &["*:*"]).await;
    let (secret, id) = make(&api, OF_W, ADMIN, json!({})).await;
    let (_, installations) = make(&api, OF_ALL, ADMIN, json!({})).await;
    let unknown = "01999999-9999-7999-8999-999999999999";
    let methods: [(Method, &str); 3] = [(get, ""), (delete, ""), (post, "/rotate")];
    for (method, rest) in methods {
        let body = async |uri: String| {
            let answer = method(uri).token("sm_stranger").header("x-request-id", "same").to(&api).await;
            answer.is_problem(404, "not_found").to_string()
        };
        let missing = body(format!("/api/w/other/tokens/{unknown}{rest}")).await;
        for id in [id.as_str(), &installations, "nonsense"] {
            assert_eq!(missing, body(format!("/api/w/other/tokens/{id}{rest}")).await);
        }
        body(format!("/api/w/w/tokens/{id}{rest}")).await;
    }
    // Nor is the workspace's one of the installation's.
    get(format!("{OF_ALL}/{id}")).to(&api).await.is_problem(404, "not_found");
    get(format!("{OF_W}/{installations}")).to(&api).await.is_problem(404, "not_found");
    assert_eq!(get("/api/w/other/tokens").token("sm_stranger").to(&api).await.value()["items"].as_array().unwrap().len(), 1);
    assert_eq!(status(&api, &secret).await, 200, "nothing happened to it");
    api.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_good_for_nothing_from_its_second_on() {
    let api = Api::new().await;
    let (secret, id) = make(&api, OF_W, ADMIN, json!({"expires_in_s": 10})).await;
    assert_eq!(status(&api, &secret).await, 200);
    api.clock.advance(Duration::from_millis(9_500));
    assert_eq!(status(&api, &secret).await, 200);
    // Half a second later it is remembered still, and has expired.
    api.clock.advance(Duration::from_millis(500));
    assert_eq!(status(&api, &secret).await, 401);
    post(format!("{OF_W}/{id}/rotate")).to(&api).await.is_problem(409, "conflict");
    api.clock.advance(Duration::from_secs(60));
    assert_eq!(status(&api, &secret).await, 401);
    api.stop().await;
}

#[tokio::test]
async fn a_revoked_token_is_forgotten_at_once() {
    let api = Api::new().await;
    for at in [OF_W, OF_ALL] {
        let (secret, id) = make(&api, at, ADMIN, json!({"scopes": ["scripts:read"]})).await;
        assert_eq!(status(&api, &secret).await, 200);
        assert_eq!(delete(format!("{at}/{id}")).to(&api).await.status, 204);
        assert_eq!(status(&api, &secret).await, 401);
        delete(format!("{at}/{id}")).to(&api).await.is_problem(404, "not_found");
    }
    api.stop().await;
}

#[tokio::test]
async fn whoever_follows_a_run_is_cut_off() {
    let api = Api::new().await;
    api.deploy("f/t/gate").await;
    let run = post("/probe/w/start/f/t/gate").to(&api).await.run_id();
    let (secret, id) = make(&api, OF_W, ADMIN, json!({"scopes": ["runs:read"]})).await;
    // Remembered, so that whoever follows is let in before the token is revoked.
    assert_eq!(get(format!("/api/w/w/runs/{run}")).token(&secret).to(&api).await.status, 200);
    let follow = get(format!("/api/w/w/runs/{run}/events")).token(&secret).to(&api);
    let revoke = async { assert_eq!(delete(format!("{OF_W}/{id}")).to(&api).await.status, 204) };
    let (followed, ()) = tokio::join!(follow, revoke);
    assert_eq!(followed.status, 200, "{followed:?}");
    assert!(!followed.text().contains("event: end"), "{followed:?}");
    api.stage.open_gate();
    api.ended(&run).await;
    api.stop().await;
}

/// What goes on for long looks again and again whether the token is good still.
#[tokio::test]
async fn exports_and_logs_break_off_once_a_token_is_revoked() {
    let api = Api::new().await;
    api.deploy("f/t/talks").await;
    let run = post("/api/w/w/runs").json(json!({"path": "f/t/talks", "wait": true})).to(&api).await.run_id();
    for text in 0..30 {
        assert_eq!(put("/api/w/w/variables/f/t/x").json(json!({"text": text.to_string()})).to(&api).await.status, 200);
        assert_eq!(put("/api/instance/plans/pro").json(json!({"quotas": {"scripts": text + 1}})).to(&api).await.status, 200);
    }
    for (at, url) in [
        (OF_W, "/api/w/w/audit/export".to_owned()),
        (OF_ALL, "/api/instance/audit/export".to_owned()),
        (OF_W, format!("/api/w/w/runs/{run}/log")),
    ] {
        let (secret, id) = make(&api, at, ADMIN, json!({"scopes": ["audit:read", "runs:read"]})).await;
        let answer = get(&*url).token(&secret).send(&api).await;
        assert_eq!(answer.status(), 200, "{url}");
        let mut body = answer.into_body();
        assert!(body.frame().await.unwrap().is_ok(), "{url}");
        assert_eq!(delete(format!("{at}/{id}")).to(&api).await.status, 204);
        assert!(body.frame().await.unwrap().is_err(), "{url}");
    }
    api.stop().await;
}

#[tokio::test]
async fn many_runs_are_not_steered_by_a_token_that_was_revoked_meanwhile() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let waiting = post("/api/w/w/runs").json(json!({"path": "f/t/echo", "delay_ms": 1_000_000})).to(&api).await.run_id();
    let (secret, id) = make(&api, OF_W, ADMIN, json!({"scopes": ["runs:*"]})).await;
    api.faults.hold_lists(true);
    let cancel = post("/api/w/w/runs/cancel").token(&secret).json(json!({"filter": {"path": "f/t/echo"}})).to(&api);
    let revoke = async {
        api.faults.have_held(1).await;
        assert_eq!(delete(format!("{OF_W}/{id}")).to(&api).await.status, 204);
        api.faults.hold_lists(false);
    };
    let (cancelled, ()) = tokio::join!(cancel, revoke);
    cancelled.is_problem(401, "unauthorized");
    assert!(get(format!("/api/w/w/runs/{waiting}")).to(&api).await.value()["outcome"].is_null());
    api.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_is_good_as_long_as_was_said() {
    let api = Api::new().await;
    let (first, id) = make(&api, OF_W, ADMIN, json!({"scopes": ["scripts:read"]})).await;
    let secret = |answer: &Answer| answer.value()["secret"].as_str().unwrap().to_owned();
    assert_eq!(status(&api, &first).await, 200);
    let answer = post(format!("{OF_W}/{id}/rotate")).to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")));
    let second = secret(&answer);
    assert_eq!((status(&api, &first).await, status(&api, &second).await), (401, 200), "at once");
    let answer = post(format!("{OF_W}/{id}/rotate")).json(json!({"overlap_s": 10})).to(&api).await;
    assert!(answer.value()["token"]["old_secret_until"].is_string(), "{answer:?}");
    let third = secret(&answer);
    assert_eq!((status(&api, &second).await, status(&api, &third).await), (200, 200));
    api.clock.advance(Duration::from_millis(9_600));
    assert_eq!(status(&api, &second).await, 200);
    api.clock.advance(Duration::from_millis(400));
    assert_eq!((status(&api, &second).await, status(&api, &third).await), (401, 200));
    api.stop().await;
}

#[tokio::test]
async fn no_rotation_gives_a_secret_that_outlives_ones_own() {
    let api = Api::new().await;
    let scopes = json!(["tokens:write", "scripts:read"]);
    let (_, lasting) = make(&api, OF_W, ADMIN, json!({"scopes": scopes})).await;
    let (short, own) = make(&api, OF_W, ADMIN, json!({"scopes": scopes, "expires_in_s": 60})).await;
    post(format!("{OF_W}/{lasting}/rotate")).token(&short).to(&api).await.is_problem(403, "forbidden");
    assert_eq!(post(format!("{OF_W}/{own}/rotate")).token(&short).to(&api).await.status, 200, "one's own expires when it would");
    api.stop().await;
}

#[tokio::test]
async fn it_is_seen_when_a_token_was_used() {
    let api = Api::new().await;
    let (secret, id) = make(&api, OF_W, ADMIN, json!({"scopes": ["scripts:read"]})).await;
    let used = async || get(format!("{OF_W}/{id}")).to(&api).await.value()["last_used_at"].clone();
    let upkeep = token_upkeep::Service::new(api.store.clone(), api.clock.clone());
    assert_eq!((status(&api, &secret).await, used().await), (200, Value::Null));
    upkeep.look().await.unwrap();
    let first = used().await;
    assert!(first.is_string(), "{first}");
    for (seconds, is_same) in [(30, true), (31, false)] {
        api.clock.advance(Duration::from_secs(seconds));
        assert_eq!(status(&api, &secret).await, 200);
        upkeep.look().await.unwrap();
        assert_eq!(used().await == first, is_same, "{seconds}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_is_slowed_down_and_harms_no_valid_one() {
    let api = Api::new().await;
    api.token("sm_good", Some(api.workspace), &["scripts:read"]).await;
    api.token("sm_later", Some(api.workspace), &["scripts:read"]).await;
    let from = |peer: &'static str, secret: &str| get("/api/w/w/scripts").token(secret).client(peer, false);
    let flooder = "192.0.2.7";
    for _ in 0..200 {
        assert_eq!(from(flooder, "sm_good").to(&api).await.status, 200, "what is valid is not counted");
    }
    // Also many at once.
    let flood = futures_util::future::join_all((0..200).map(|n| from(flooder, &format!("sm_wrong{n}")).to(&api)));
    let answers = flood.await;
    let refused = answers.iter().filter(|answer| answer.status == 401).count();
    let slowed: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!((refused, slowed.len()), (100, 100));
    for answer in slowed {
        answer.is_problem(429, "too_many_requests");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // The same one again and again counts, too.
    from(flooder, "sm_wrong0").to(&api).await.is_problem(429, "too_many_requests");
    // One that was seen here goes on, also after it has to be looked up again.
    for _ in 0..3 {
        assert_eq!(from(flooder, "sm_good").to(&api).await.status, 200);
        api.clock.advance(Duration::from_millis(1_100));
        for n in 0..5 {
            from(flooder, &format!("sm_again{n}")).to(&api).await;
        }
    }
    from(flooder, "sm_later").to(&api).await.is_problem(429, "too_many_requests");
    // Nobody else is concerned, and after a while neither is whoever it was.
    assert_eq!(from("192.0.2.8", "sm_later").to(&api).await.status, 200);
    from("192.0.2.8", "sm_wrong").to(&api).await.is_problem(401, "unauthorized");
    api.clock.advance(Duration::from_secs(200));
    from(flooder, "sm_wrong").to(&api).await.is_problem(401, "unauthorized");
    // Requests without any token cost nothing and are not counted.
    for _ in 0..100 {
        get("/api/w/w/scripts").no_token().client(flooder, false).to(&api).await.is_problem(401, "unauthorized");
    }
    from(flooder, "sm_wrong").to(&api).await.is_problem(401, "unauthorized");
    api.stop().await;
}

#[tokio::test]
async fn valid_tokens_that_nobody_has_looked_up_yet_are_no_failures() {
    let api = Api::new().await;
    let peer = "192.0.2.7";
    let secrets: Vec<String> = (0..150).map(|n| format!("sm_good{n}")).collect();
    for secret in &secrets {
        api.token(secret, Some(api.workspace), &["scripts:read"]).await;
    }
    let ask = async |secret: &str| get("/api/w/w/scripts").token(secret).client(peer, false).to(&api).await.status.as_u16();
    // More at once than may fail: one token of many requests, and many tokens, as after a start.
    let same = futures_util::future::join_all((0..300).map(|_| ask("sm_good0")));
    let each = futures_util::future::join_all(secrets.iter().map(|secret| ask(secret)));
    let (same, each) = tokio::join!(same, each);
    assert!(same.iter().chain(&each).all(|status| *status == 200), "{same:?} {each:?}");
    // Nothing was counted.
    let mut refused = 0;
    while ask(&format!("sm_wrong{refused}")).await == 401 {
        refused += 1;
    }
    assert_eq!(refused, 100);
    api.stop().await;
}
