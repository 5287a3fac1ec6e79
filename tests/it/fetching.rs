//! `fetch`, from a script through the server to a site.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get},
};
use reqwest::Method;
use sandmill_testkit::server::Server;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    shared,
    site::{ALLOWED, Site},
};

/// Requests that are under way together, as many as the site waits for.
const TOGETHER: usize = 200;
const TOKEN: &str = "a token that no script sees";

/// Lets scripts ask this machine.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&ALLOWED).unwrap())
}

/// Answers once all are there.
async fn meet(State(all): State<Arc<Barrier>>) -> &'static str {
    all.wait().await;
    "met"
}

/// What was asked, as it came.
async fn show(request: Request) -> Json<Value> {
    let (parts, body) = request.into_parts();
    let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(body, 64 * 1024 * 1024).await.unwrap();
    Json(json!({
        "method": parts.method.as_str(), "uri": parts.uri.to_string(), "host": text("host"), "authorization": text("authorization"),
        "key": text("x-key"), "type": text("content-type"), "body": String::from_utf8_lossy(&body),
    }))
}

async fn redirect(State(_): State<Arc<Barrier>>, Path(to): Path<String>) -> Redirect {
    Redirect::temporary(&to.replace("|", "/"))
}

async fn silence() -> Response {
    std::future::pending().await
}

async fn echo(headers: HeaderMap, body: Body) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).cloned();
    (StatusCode::OK, kind.map(|kind| [(header::CONTENT_TYPE, kind)]), body).into_response()
}

async fn site() -> Site {
    let routes = Router::new()
        .route("/meet", get(meet))
        .route("/show", any(show))
        .route("/to/{*to}", get(redirect))
        .route("/silence", get(silence))
        .route("/echo", any(echo))
        .with_state(Arc::new(Barrier::new(TOGETHER)));
    Site::start(routes).await
}

/// Deploys the source with grants for the site, to which `$SITE` is bound, and calls it.
async fn call_on(server: &Server, path: &str, (site, grants): (&Site, &[&str]), source: &str) -> (Value, String) {
    let (source, origin) = (source.replace("$SITE", &site.origin), &site.origin);
    let http: Vec<String> = grants.iter().map(|grant| grant.replace("$SITE", origin)).collect();
    let manifest = json!({"grants": {"http": http, "variables": ["f/fetching/*"]}});
    server.deploy_with(path, json!({"language": "javascript", "source": source, "manifest": manifest})).await.unwrap();
    let answer = server.call(path, &json!({})).await.unwrap();
    let log = server.run_log(answer.header("sandmill-run-id").unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?} {log}");
    (answer.json().unwrap(), log)
}

async fn call(path: &str, site: (&Site, &[&str]), source: &str) -> (Value, String) {
    call_on(server(), path, site, source).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once() {
    let site = site().await;
    let source = "export async function main() {
        const answers = await Promise.all(Array.from({ length: 200 }, () => fetch('$SITE/meet')));
        const texts = await Promise.all(answers.map((answer) => answer.text()));
        return texts.filter((text) => text === 'met').length;
    }";
    assert_eq!(call("f/fetching/together", (&site, &["GET $SITE/meet"]), source).await.0, json!(TOGETHER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_are_too_many_and_those_that_may_be_are_answered() {
    let site = site().await;
    let source = "export async function main() {
        const all = Array.from({ length: 1000 }, () => fetch('$SITE/show').then((answer) => answer.json()).then(() => 'ok', (error) => error.cause.code));
        const counts = {};
        for (const end of await Promise.all(all)) counts[end] = (counts[end] ?? 0) + 1;
        return counts;
    }";
    let (counts, _) = call("f/fetching/thousand", (&site, &["$SITE"]), source).await;
    let count = |name: &str| counts[name].as_u64().unwrap_or(0);
    assert_eq!(count("ok") + count("connection-limit-reached"), 1000, "{counts}");
    assert!(count("ok") >= 256 && count("connection-limit-reached") > 0, "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let site = site().await;
    let source = "export async function main() {
        const chunk = new Uint8Array(256 * 1024).fill(7);
        let sent = 0;
        const body = new ReadableStream({ pull(controller) { if (sent++ < 128) controller.enqueue(chunk); else controller.close(); } });
        const answer = await fetch('$SITE/echo', { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'x/y' } });
        let bytes = 0, sum = 0, sentAtFirst;
        for await (const part of answer.body) { sentAtFirst ??= sent; bytes += part.length; sum += part[0] + part[part.length - 1]; }
        return { bytes, isSeven: sum % 14 === 0, type: answer.headers.get('content-type'), isEarly: sentAtFirst < 128 };
    }";
    let grants: (&Site, &[&str]) = (&site, &["POST $SITE/echo"]);
    let (result, _) = call("f/fetching/streams", grants, source).await;
    assert_eq!(result, json!({"bytes": 32 * 1024 * 1024, "isSeven": true, "type": "x/y", "isEarly": true}));
    let runs = server().get_json("/api/w/default/runs?path=f/fetching/streams").await.unwrap();
    let run = server().ended_run(runs["items"][0]["id"].as_str().unwrap()).await.unwrap();
    // Neither what is sent nor what comes back is kept.
    assert!(run["usage"]["memory_peak_bytes"].as_u64().unwrap() < 24 * 1024 * 1024, "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_refused_also_behind_a_redirect() {
    let (site, other) = (site().await, site().await);
    let source = "export async function main() {
        const told = async (url, init) => fetch(url, init).then((answer) => answer.status, (error) => `${error.name} ${error.cause?.code} ${error.message}`);
        return [
            await told('$SITE/show'), await told('$SITE/echo'), await told('$SITE/show', { method: 'POST' }), await told('$OTHER/show'),
            await told('$SITE/to/$OTHER/show'), await told('$SITE/to/show', { redirect: 'manual' }), await told('$SITE/to/|show'),
            await told('$SITE/../echo'), await told('http://user:pass@example.com/'), await told('http://localhost/'),
        ];
    }"
    .replace("$OTHER", &other.origin);
    let (results, log) = call("f/fetching/refused", (&site, &["GET $SITE/show", "GET $SITE/to"]), &source).await;
    assert_eq!((&results[0], &results[5], &results[6]), (&json!(200), &json!(307), &json!(200)), "{results}");
    for number in [1, 2, 3, 4, 7, 9] {
        let told = results[number].as_str().unwrap_or_else(|| panic!("{number}: {results}"));
        assert!(told.starts_with("TypeError HTTP-request-denied"), "{number}: {told}");
    }
    assert!(results[8].as_str().unwrap().starts_with("TypeError"), "{results}");
    assert!(log.contains(&format!("GET {}/echo", site.origin)) && log.contains(&other.origin), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_that_nobody_catches_is_the_outcome() {
    let site = site().await;
    let source = "export async function main() { return (await fetch('$SITE/show')).status; }".replace("$SITE", &site.origin);
    server().deploy("f/fetching/uncaught", "javascript", &source).await.unwrap();
    let answer = server().call("f/fetching/uncaught", &json!({})).await.unwrap();
    assert_eq!((answer.status, &answer.json().unwrap()["code"]), (500, &json!("denied")), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_this_machine_are_refused_unless_the_operator_allows_them() {
    let site = site().await;
    let source = "export async function main() {
        const told = (url) => fetch(url).then((answer) => answer.status, (error) => error.cause.code);
        const port = new URL('$SITE').port;
        return [await told('$SITE/show'), await told(`http://localhost:${port}/show`), await told(`http://[::ffff:127.0.0.1]:${port}/show`),
            await told('http://169.254.169.254/latest/meta-data/')];
    }";
    let port = site.origin.rsplit(':').next().unwrap();
    let (results, log) = call_on(shared::server(), "f/fetching/private", (&site, &[&format!("http://*:{port}"), "http://*"]), source).await;
    assert_eq!(
        results,
        json!(["destination-IP-prohibited", "destination-IP-prohibited", "destination-IP-prohibited", "destination-IP-prohibited"])
    );
    assert!(log.contains("--outbound-allow"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_secrets_are_put_in_on_the_way_and_masked_on_the_way_back() {
    let site = site().await;
    let put = async |path: &str, body: Value| {
        let answer = server().request(Method::PUT, &format!("/api/w/default/{path}")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    };
    put("resources/f/fetching/account", json!({"type": "http", "value": {"origin": site.origin, "bearer": TOKEN}})).await;
    put("variables/f/fetching/key", json!({"text": "the key of the door", "secret": true})).await;
    let source = "import { secret } from 'sandmill';
    export async function main() {
        const key = secret('f/fetching/key');
        const asked = await (await fetch('$SITE/show?key=' + encodeURIComponent(key), { method: 'POST', headers: { 'x-key': key }, body: JSON.stringify({ key }) })).json();
        return { asked, isHidden: !key.includes('door'), length: asked.authorization.length, host: asked.host === new URL('$SITE').host };
    }";
    let grants = ["POST $SITE/show with f/fetching/account", "POST $SITE/show with f/fetching/key"];
    let (result, _) = call("f/fetching/secrets", (&site, &grants), source).await;
    assert_eq!((&result["isHidden"], &result["host"]), (&json!(true), &json!(true)), "{result}");
    assert_eq!(result["length"], "Bearer ".len() + TOKEN.len());
    let asked = &result["asked"];
    assert_eq!(asked["authorization"], "*".repeat("Bearer ".len() + TOKEN.len()), "{result}");
    for field in ["key", "body", "uri"] {
        let text = asked[field].as_str().unwrap();
        assert!(text.contains("****") && !text.contains("sandmill-secret"), "{field}: {result}");
    }
    assert!(!result.to_string().contains("door"), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_what_does_not_answer() {
    let site = site().await;
    let source = "export async function main() {
        const controller = new AbortController();
        setTimeout(() => controller.abort(new Error('enough')), 50);
        const told = (promise) => promise.then(() => 'answered', (error) => `${error.name} ${error.message}`);
        return Promise.all([told(fetch('$SITE/silence', { signal: AbortSignal.timeout(100) })), told(fetch('$SITE/silence', { signal: controller.signal }))]);
    }";
    let began = Instant::now();
    let (results, _) = call("f/fetching/abort", (&site, &["$SITE"]), source).await;
    assert!(results[0].as_str().unwrap().starts_with("TimeoutError"), "{results}");
    assert_eq!(results[1], "Error enough");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
