//! Routes: paths of a workspace's own, and who is let in.

use reqwest::{Method, RequestBuilder};
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Value, json};

use crate::{
    shared::{Database, on_both},
    triggers::world,
};

on_both![
    what_is_signed_starts_one_run_for_each_delivery,
    parameters_and_queries_are_arguments,
    two_routes_are_not_in_each_others_way,
    tokens_keys_and_scripts_let_in,
    callers_get_what_the_route_says,
    pages_ask_before_they_send,
    all_routes_are_described,
];

/// Returns the event.
const ECHO: &str = "export function preprocessor(event) { return { event }; }\nexport function main(event) { return event; }\n";
/// Of GitHub's documentation: "Validating webhook deliveries".
const SECRET: &str = "It's a Secret to Everybody";
const SIGNED: (&str, &str) = ("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
const BODY: &str = "Hello, World!";

async fn put(server: &Server, path: &str, body: &Value) -> Answer {
    world::send(server, Method::PUT, &format!("triggers/{path}"), Some(body)).await
}

/// A route to `target`.
async fn route(server: &Server, path: &str, target: &str, config: Value) {
    let answer = put(server, path, &json!({"kind": "route", "target": target, "config": config})).await;
    assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
}

async fn echo(server: &Server, path: &str) {
    server.deploy(path, "javascript", ECHO).await.unwrap();
}

/// Of somebody who has no token.
fn stranger(server: &Server, method: Method, rest: &str) -> RequestBuilder {
    reqwest::Client::new().request(method, format!("{}/r/default/{rest}", server.url))
}

async fn sent(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

async fn what_is_signed_starts_one_run_for_each_delivery(database: Database) {
    let Some(server) = database.server() else { return };
    echo(server, "f/routes/signed").await;
    let variable = server.request(Method::PUT, "/api/w/default/variables/f/routes/github-secret");
    assert!(variable.json(&json!({"text": SECRET, "secret": true})).send().await.unwrap().status().is_success());
    let auth = json!({"type": "hmac", "preset": "github", "secret": "$var:f/routes/github-secret"});
    route(server, "f/routes/github", "f/routes/signed", json!({"methods": ["POST"], "path": "/signed/github", "auth": auth})).await;
    let post = |delivery: &str| {
        let request =
            stranger(server, Method::POST, "signed/github").header("content-type", "text/plain").header("x-github-delivery", delivery);
        request.body(BODY)
    };
    let first = sent(post("d-1").header(SIGNED.0, SIGNED.1)).await;
    let event = first.json().unwrap();
    assert_eq!((first.status, &event["body"], &event["trigger"]), (200, &json!(BODY), &json!("f/routes/github")), "{event}");
    assert!(!first.text().contains(SECRET));
    let run = |answer: &Answer| answer.header("sandmill-run-id").unwrap().to_owned();
    // Sent again it is the same run; another delivery is another.
    let again = sent(post("d-1").header(SIGNED.0, SIGNED.1)).await;
    let other = sent(post("d-2").header(SIGNED.0, SIGNED.1)).await;
    assert_eq!((again.status, run(&again)), (200, run(&first)));
    assert_ne!(run(&other), run(&first));
    // Whoever cannot sign starts nothing, and takes no delivery away from who can.
    let forged = SIGNED.1.replace("757107", "757108");
    for request in [post("d-3"), post("d-3").header(SIGNED.0, &forged), post("d-3").header(SIGNED.0, SIGNED.1).body("Hello, World?")] {
        let refused = sent(request).await;
        assert_eq!((refused.status, refused.json().unwrap()["code"].as_str()), (401, Some("unauthorized")), "{refused:?}");
        assert!(refused.header("sandmill-run-id").is_none());
    }
    let genuine = sent(post("d-3").header(SIGNED.0, SIGNED.1)).await;
    assert_eq!(genuine.status, 200);
    assert!(![run(&first), run(&other)].contains(&run(&genuine)));
    // The secret is nobody's to read where the trigger is shown.
    let shown = server.get_json("/api/w/default/triggers/f/routes/github").await.unwrap();
    assert_eq!(shown["config"]["auth"]["secret"], "$var:f/routes/github-secret", "{shown}");
}

async fn parameters_and_queries_are_arguments(database: Database) {
    let Some(server) = database.server() else { return };
    server
        .deploy("f/routes/greet", "typescript", "export function main(name: string, times = '1') { return `${name} ${times}`; }")
        .await
        .unwrap();
    echo(server, "f/routes/params").await;
    let open = json!({"type": "none"});
    route(server, "f/routes/greet-them", "f/routes/greet", json!({"methods": ["GET"], "path": "/greet/:name", "auth": open})).await;
    route(server, "f/routes/files", "f/routes/params", json!({"methods": ["PUT"], "path": "/files/:owner/*rest", "auth": open})).await;
    let answer = sent(stranger(server, Method::GET, "greet/b%C3%B6b?times=2&name=eve")).await;
    assert_eq!((answer.status, answer.json().unwrap()), (200, json!("böb 2")), "the path goes before the query");
    let event = sent(stranger(server, Method::PUT, "files/ann/a/b%2Fc?x=1").json(&json!({"n": 1}))).await.json().unwrap();
    assert_eq!((&event["params"], &event["route"]), (&json!({"owner": "ann", "rest": "a/b/c"}), &json!("/files/:owner/*rest")), "{event}");
    assert_eq!(
        (&event["kind"], &event["method"], &event["query"], &event["body"]),
        (&json!("route"), &json!("PUT"), &json!({"x": "1"}), &json!({"n": 1}))
    );
    assert_eq!(event["target"], "/files/ann/a/b%2Fc", "{event}");
    // A rest is joined with slashes: what climbs behind encoded ones would climb in the script.
    for climbing in ["files/ann/..%2F..%2Fetc%2Fpasswd", "files/ann/a/x%2f..%2f..", "files/ann/..%5C..%5Cetc"] {
        assert_eq!(sent(stranger(server, Method::PUT, climbing).json(&json!({}))).await.status, 404, "{climbing}");
    }
    let wrong = sent(stranger(server, Method::POST, "files/ann/a")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("PUT")));
    let head = sent(stranger(server, Method::HEAD, "greet/bob")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for nothing in ["greet", "greet/", "greet/a/b", "greet/..%2fx/..", "files/ann", "Greet/bob"] {
        let answer = sent(stranger(server, Method::GET, nothing)).await;
        assert!([404, 405].contains(&answer.status), "{nothing}: {answer:?}");
    }
    // Another workspace has no such route, whether it is there or not.
    for workspace in ["elsewhere", "admins"] {
        let url = format!("{}/r/{workspace}/greet/bob", server.url);
        assert_eq!(sent(reqwest::Client::new().get(url)).await.status, 404, "{workspace}");
    }
}

async fn two_routes_are_not_in_each_others_way(database: Database) {
    let Some(server) = database.server() else { return };
    echo(server, "f/routes/own").await;
    let config = |methods: Value, path: &str| json!({"methods": methods, "path": path, "auth": {"type": "none"}});
    route(server, "f/routes/one", "f/routes/own", config(json!(["GET", "PUT"]), "/own/:id")).await;
    let body = |config: Value| json!({"kind": "route", "target": "f/routes/own", "config": config});
    let refused = put(server, "f/routes/two", &body(config(json!(["POST", "PUT"]), "/own/:other"))).await;
    assert_eq!((refused.status, refused.json().unwrap()["code"].as_str()), (409, Some("conflict")), "{refused:?}");
    route(server, "f/routes/two", "f/routes/own", config(json!(["POST"]), "/own/:other")).await;
    route(server, "f/routes/three", "f/routes/own", config(json!(["GET"]), "/own/me")).await;
    let called = async |method: Method, rest: &str| sent(stranger(server, method, rest)).await.json().unwrap()["trigger"].clone();
    assert_eq!(called(Method::GET, "own/7").await, "f/routes/one");
    assert_eq!(called(Method::POST, "own/7").await, "f/routes/two");
    assert_eq!(called(Method::GET, "own/me").await, "f/routes/three", "what is literal goes before a parameter");
    assert_eq!(called(Method::PUT, "own/me").await, "f/routes/one");
    let request = server.request(Method::DELETE, "/api/w/default/triggers/f/routes/three");
    assert_eq!(request.send().await.unwrap().status(), 204);
    assert_eq!(called(Method::GET, "own/me").await, "f/routes/one", "as soon as it is gone");
    for (wrong, pointer) in [
        (json!({"methods": ["GET"], "path": "own"}), "/path"),
        (json!({"methods": [], "path": "/own"}), "/methods"),
        (json!({"methods": ["GET"], "path": "/own", "auth": {"type": "hmac", "preset": "twilio", "secret": "s"}}), "/auth/public_url"),
    ] {
        let refused = put(server, "f/routes/wrong", &body(wrong)).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.text().contains(pointer), "{pointer}: {refused:?}");
    }
}

async fn tokens_keys_and_scripts_let_in(database: Database) {
    let Some(server) = database.server() else { return };
    echo(server, "f/routes/guarded").await;
    let guard = "export function preprocessor(event) { return { shown: event.headers['x-shown'] ?? '' }; }
        export function main(shown) {
            if (shown === 'nobody') return { allow: false, status: 401 };
            return shown === 'ann' ? { allow: true, user: 'ann' } : false;
        }";
    server.deploy("f/routes/guard", "javascript", guard).await.unwrap();
    let guarded = async |name: &str, auth: Value| {
        let config = json!({"methods": ["POST"], "path": format!("/guarded/{name}"), "auth": auth});
        route(server, &format!("f/routes/guarded-{name}"), "f/routes/guarded", config).await;
    };
    let post = |rest: &str| stranger(server, Method::POST, rest).json(&json!({}));
    guarded("token", json!({"type": "token"})).await;
    assert_eq!(sent(post("guarded/token")).await.status, 401);
    assert_eq!(sent(post("guarded/token").bearer_auth("sm_no")).await.status, 401);
    assert_eq!(sent(post("guarded/token").bearer_auth(&server.token)).await.status, 200);
    guarded("key", json!({"type": "api_key", "key": "key of the caller"})).await;
    assert_eq!(sent(post("guarded/key")).await.status, 401);
    assert_eq!(sent(post("guarded/key").header("x-api-key", "key of a stranger")).await.status, 401);
    let let_in = sent(post("guarded/key").header("x-api-key", "key of the caller")).await;
    assert!(let_in.status == 200 && !let_in.text().contains("key of the caller"), "{let_in:?}");
    guarded("basic", json!({"type": "basic", "user": "ann", "password": "of ann"})).await;
    let refused = sent(post("guarded/basic").basic_auth("ann", Some("of bob"))).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic realm=\"sandmill\", charset=\"UTF-8\"")));
    assert_eq!(sent(post("guarded/basic").basic_auth("ann", Some("of ann"))).await.status, 200);
    guarded("script", json!({"type": "script", "path": "f/routes/guard"})).await;
    let by_script = async |shown: &str| sent(post("guarded/script").header("x-shown", shown)).await;
    assert_eq!((by_script("eve").await.status, by_script("nobody").await.status), (403, 401));
    let let_in = by_script("ann").await;
    assert_eq!((let_in.status, &let_in.json().unwrap()["auth"]["user"]), (200, &json!("ann")));
}

async fn callers_get_what_the_route_says(database: Database) {
    let Some(server) = database.server() else { return };
    let slow = "export async function main(ms = '0') { await new Promise(r => setTimeout(r, Number(ms))); return 'done'; }";
    server.deploy("f/routes/slow", "javascript", slow).await.unwrap();
    let replies = async |reply: &str, rest: &str, wait_ms: Option<u64>| {
        let mut config = json!({"methods": ["GET"], "path": format!("/replies/{reply}"), "auth": {"type": "none"}, "reply": reply});
        if let Some(wait_ms) = wait_ms {
            config["wait_ms"] = json!(wait_ms);
        }
        route(server, &format!("f/routes/reply-{reply}"), "f/routes/slow", config).await;
        sent(stranger(server, Method::GET, rest)).await
    };
    let answer = replies("sync", "replies/sync", None).await;
    assert_eq!((answer.status, answer.json().unwrap()), (200, json!("done")));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox"));
    // It is told that it goes on as soon as the route's own patience ends.
    let answer = replies("sync", "replies/sync?ms=3000", Some(1)).await;
    assert_eq!((answer.status, answer.header("location").is_some()), (202, true), "{answer:?}");
    let answer = replies("async", "replies/async", None).await;
    let run = answer.json().unwrap()["run_id"].as_str().unwrap().to_owned();
    assert_eq!((answer.status, &server.ended_run(&run).await.unwrap()["status"]), (202, &json!("succeeded")));
    let answer = replies("stream", "replies/stream", None).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    assert!(answer.text().contains("done"), "{answer:?}");
}

async fn pages_ask_before_they_send(database: Database) {
    let Some(server) = database.server() else { return };
    echo(server, "f/routes/page").await;
    let cors = json!({"origins": ["https://app.example.com"], "max_age_s": 60});
    let config = json!({"methods": ["PUT"], "path": "/page/shared", "cors": cors, "auth": {"type": "token"}});
    route(server, "f/routes/shared", "f/routes/page", config).await;
    route(server, "f/routes/unshared", "f/routes/page", json!({"methods": ["PUT"], "path": "/page/unshared"})).await;
    let asked = async |rest: &str, origin: &str| {
        let request = stranger(server, Method::OPTIONS, rest).header("origin", origin).header("access-control-request-method", "PUT");
        sent(request).await
    };
    let (origin, allowed) = ("https://app.example.com", "access-control-allow-origin");
    let answer = asked("page/shared", origin).await;
    assert_eq!((answer.status, answer.header(allowed)), (204, Some(origin)), "{answer:?}");
    assert_eq!((answer.header("access-control-allow-methods"), answer.header("access-control-max-age")), (Some("PUT"), Some("60")));
    assert_eq!(asked("page/shared", "https://evil.example").await.header(allowed), None);
    assert_eq!(asked("page/unshared", origin).await.status, 405);
    // Also what is refused can be read by the page: it must know why.
    let put = |rest: &str| stranger(server, Method::PUT, rest).header("origin", origin).json(&json!({}));
    let refused = sent(put("page/shared")).await;
    assert_eq!((refused.status, refused.header(allowed)), (401, Some(origin)));
    let answer = sent(put("page/shared").bearer_auth(&server.token)).await;
    assert_eq!((answer.status, answer.header(allowed), answer.header("vary")), (200, Some(origin), Some("origin")), "{answer:?}");
    assert_eq!(sent(put("page/unshared").bearer_auth(&server.token)).await.header(allowed), None);
}

async fn all_routes_are_described(database: Database) {
    let Some(server) = database.server() else { return };
    echo(server, "f/routes/told").await;
    let key = json!({"type": "api_key", "key": "a key that nobody is told"});
    route(server, "f/routes/told-get", "f/routes/told", json!({"methods": ["GET", "DELETE"], "path": "/told/:id", "auth": key})).await;
    route(server, "f/routes/told-put", "f/routes/told", json!({"methods": ["PUT"], "path": "/told/:id", "auth": {"type": "none"}})).await;
    // The same path as OpenAPI writes it: what is left of it, and a parameter of another name.
    let open = |method: &str, path: &str| json!({"methods": [method], "path": path, "auth": {"type": "none"}});
    route(server, "f/routes/told-name", "f/routes/told", open("POST", "/told/:name")).await;
    route(server, "f/routes/told-rest", "f/routes/told", open("GET", "/told/*rest")).await;
    // A secret that is referred to need not be there to be described, whatever form it must have; what a description would have to tell does.
    for (variable, text) in [("standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("header", "x-own-key")] {
        let put = server.request(Method::PUT, &format!("/api/w/default/variables/f/routes/{variable}"));
        assert!(put.json(&json!({"text": text, "secret": true})).send().await.unwrap().status().is_success());
    }
    let signed = json!({"type": "hmac", "preset": "standard_webhooks", "secret": "$var:f/routes/standard"});
    route(server, "f/routes/told-signed", "f/routes/told", json!({"methods": ["POST"], "path": "/told-signed", "auth": signed})).await;
    let elsewhere = json!({"type": "api_key", "key": "k", "header": "$var:f/routes/header"});
    route(server, "f/routes/told-not", "f/routes/told", json!({"methods": ["POST"], "path": "/told-not", "auth": elsewhere})).await;
    let description = server.get_json("/api/w/default/route-description").await.unwrap();
    let signed = &description["paths"]["/r/default/told-signed"]["post"]["security"];
    assert_eq!(signed, &json!([{"signature.webhook-signature": []}]), "{description}");
    assert!(description["paths"]["/r/default/told-not"].is_null() && !description.to_string().contains("x-own-key"), "{description}");
    assert!(description["x-sandmill-undescribed"].as_array().unwrap().contains(&json!("f/routes/told-not")), "{description}");
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{description}");
    assert!(!description.to_string().contains("nobody is told"));
    let item = description["paths"]["/r/default/told/{id}"].as_object().unwrap();
    let methods: Vec<&String> = item.keys().collect();
    assert_eq!(methods, ["delete", "get", "post", "put"], "{description}");
    assert_eq!((&item["post"]["parameters"][0]["name"], &item["post"]["operationId"]), (&json!("id"), &json!("post f/routes/told-name")));
    let same = description["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/r/default/told/")).count();
    assert_eq!(same, 1, "{description}");
    let undescribed = description["x-sandmill-undescribed"].as_array().unwrap();
    assert!(undescribed.contains(&json!("f/routes/told-rest")), "{description}");
    assert_eq!((&item["get"]["security"], &item["put"]["security"]), (&json!([{"key.x-api-key": []}]), &json!([])));
    assert_eq!(description["components"]["securitySchemes"]["key.x-api-key"]["name"], "x-api-key");
    assert_eq!(item["get"]["parameters"][0]["name"], "id");
}
