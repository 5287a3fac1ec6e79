//! What a hostile or careless script may try, in both tiers: each ends as it should, and the server goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shared::server;

/// A script, its arguments, and how its run must end.
struct Case {
    name: &'static str,
    source: &'static str,
    limits: Value,
    status: u16,
    /// Code of the problem; empty for a good end.
    code: &'static str,
    /// Must be part of the body.
    says: &'static str,
}

const fn case(name: &'static str, source: &'static str, status: u16, code: &'static str, says: &'static str) -> Case {
    Case { name, source, limits: Value::Null, status, code, says }
}

fn limited(case: Case, limits: Value) -> Case {
    Case { limits, ..case }
}

fn cases() -> Vec<Case> {
    let fuel = || json!({"fuel": 2_000_000_000_u64});
    let short = || json!({"wall_ms": 400});
    vec![
        limited(case("loop-fuel", "export function main() { for (;;) {} }", 500, "out_of_fuel", "fuel"), fuel()),
        limited(case("loop-wall", "export function main() { for (;;) {} }", 504, "timeout", "400"), short()),
        limited(case("await-forever", "export async function main() { while (true) await null; }", 504, "timeout", "400"), short()),
        limited(
            case("sleep", "export async function main() { await new Promise(r => setTimeout(r, 60000)); }", 504, "timeout", "400"),
            short(),
        ),
        case("never", "export async function main() { await new Promise(() => {}); }", 500, "error", "never"),
        case(
            "memory",
            "export function main() { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)); }",
            500,
            "out_of_memory",
            "memory",
        ),
        case(
            "memory-caught",
            "export function main() { const a = []; for (;;) { try { a.push(new Uint8Array(1 << 20).fill(1)); } catch {} } }",
            500,
            "out_of_memory",
            "memory",
        ),
        case("recursion", "export function main() { const f = (n: number): number => f(n + 1) + 1; return f(0); }", 500, "error", "stack"),
        case(
            "recursion-caught",
            "export function main() { const f = (n: number): number => f(n + 1) + 1; try { return f(0); } catch (e) { return 'caught'; } }",
            200,
            "",
            "caught",
        ),
        case("huge-result", "export function main() { return 'x'.repeat(9 * 1024 * 1024); }", 500, "result_too_large", "8388608"),
        case("throw-string", "export function main() { throw 'just text'; }", 500, "error", "just text"),
        case("throw-null", "export function main() { throw null; }", 500, "error", "null"),
        case("throw-undefined", "export function main() { throw undefined; }", 500, "error", "undefined"),
        case("throw-object", "export function main() { throw { reason: 'odd' }; }", 500, "error", "odd"),
        case("reject", "export function main() { return Promise.reject(new TypeError('rejected')); }", 500, "error", "rejected"),
        case("function", "export function main() { return () => 1; }", 500, "error", "function"),
        case("cyclic", "export function main() { const a: any = {}; a.a = a; return a; }", 500, "error", "contains itself"),
        case("bigint", "export function main() { return 12345678901234567890n; }", 500, "error", "BigInt"),
        case("nan", "export function main() { return [NaN, Infinity, -0]; }", 200, "", "[null,null,0]"),
        case("undefined", "export function main() {}", 200, "", "null"),
        case(
            "throwing-getter",
            "export function main() { return { get a() { throw new Error('from a getter'); } }; }",
            500,
            "error",
            "from a getter",
        ),
        case(
            "throwing-message",
            "export function main() { throw { get message() { throw 1; }, toString() { throw 2; } }; }",
            500,
            "error",
            "",
        ),
        case("exit", "export function main() { return typeof (globalThis as any).process?.exit; }", 200, "", "undefined"),
        case("eval", "export function main() { return eval('6 * 7'); }", 200, "", "42"),
        case("regex-bomb", "export function main() { return /^(a+)+$/.test('a'.repeat(40) + 'b'); }", 500, "out_of_fuel", ""),
    ]
    .into_iter()
    .map(|case| if case.name == "regex-bomb" { limited(case, json!({"fuel": 2_000_000_000_u64})) } else { case })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ends_as_it_should_in_both_tiers() {
    let server = server();
    for case in cases() {
        let path = format!("f/hostile/{}", case.name);
        let manifest = if case.limits.is_null() { json!({}) } else { json!({"limits": case.limits}) };
        let body = json!({"language": "typescript", "source": case.source, "manifest": manifest});
        server.deploy_with(&path, body).await.unwrap();
        // Often enough that the script leaves the shared runtime; where it is then must not show.
        let calls = if case.code == "out_of_memory" || case.status == 504 || case.code == "out_of_fuel" { 2 } else { 12 };
        for call in 0..calls {
            let answer = server.call(&path, &json!({})).await.unwrap();
            assert_eq!(answer.status, case.status, "{} (call {call}): {}", case.name, answer.text());
            assert!(answer.text().contains(case.says), "{} (call {call}) says {}", case.name, answer.text());
            if !case.code.is_empty() {
                assert_eq!(answer.json().unwrap()["code"], case.code, "{} (call {call}): {}", case.name, answer.text());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_flood_is_cut_and_what_came_before_is_kept() {
    let server = server();
    let source =
        "export function main() { for (let i = 0; i < 100000; i++) console.log('line ' + i + ' ' + 'x'.repeat(100)); return 'done'; }";
    server.deploy("f/hostile/log-flood", "typescript", source).await.unwrap();
    let answer = server.call("f/hostile/log-flood", &json!({})).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "\"done\""));
    let run = answer.header("sandmill-run-id").unwrap().to_owned();
    let log = server.request(reqwest::Method::GET, &format!("/api/w/default/runs/{run}/log")).send().await.unwrap().text().await.unwrap();
    assert!(log.contains("line 0 ") && log.len() < 4 * 1024 * 1024, "{} bytes", log.len());
    assert!(log.contains("log's limit"), "the cut is named: {}", &log[log.len().saturating_sub(500)..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn looping_runs_do_not_hold_up_a_quiet_one() {
    let server = server();
    let body =
        json!({"language": "typescript", "source": "export function main() { for (;;) {} }", "manifest": {"limits": {"wall_ms": 6000}}});
    server.deploy_with("f/hostile/spin", body).await.unwrap();
    server.deploy("f/hostile/quiet", "typescript", "export function main() { return 'quiet'; }").await.unwrap();
    server.call("f/hostile/quiet", &json!({})).await.unwrap();
    let mut loops = Vec::new();
    for _ in 0..64 {
        loops.push(server.start_run("f/hostile/spin", &json!({})).await.unwrap());
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        let answer = server.call("f/hostile/quiet", &json!({})).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        slowest = slowest.max(began.elapsed());
    }
    // Not a figure of speed: a loop that was not interrupted would take its whole wall time.
    assert!(slowest < Duration::from_secs(3), "a quiet call took {slowest:?}");
    for run in loops {
        let run = server.ended_run(&run).await.unwrap();
        assert_eq!(run["outcome"], "timeout", "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loops_or_sleeps_can_be_cancelled() {
    let server = server();
    for (name, source) in [
        ("cancel-loop", "export function main() { console.log('before'); for (;;) {} }"),
        ("cancel-sleep", "export async function main() { console.log('before'); await new Promise(r => setTimeout(r, 50000)); }"),
    ] {
        let path = format!("f/hostile/{name}");
        server.deploy(&path, "typescript", source).await.unwrap();
        let id = server.start_run(&path, &json!({})).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["status"] != "running" {
            assert!(Instant::now() < deadline, "it never ran");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let began = Instant::now();
        let response = server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        let run = server.ended_run(&id).await.unwrap();
        assert_eq!((run["status"].as_str(), run["outcome"].as_str()), (Some("cancelled"), Some("cancelled")), "{run}");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(run["usage"]["wall_ns"].as_u64().unwrap() > 0, "{run}");
        let log =
            server.request(reqwest::Method::GET, &format!("/api/w/default/runs/{id}/log")).send().await.unwrap().text().await.unwrap();
        assert!(log.contains("before"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_the_top_level_are_compile_errors() {
    let server = server();
    for (name, source, says) in [
        ("top-loop", "for (;;) {}\nexport function main() {}", "top level"),
        ("top-memory", "const a = [];\nfor (;;) a.push(new Uint8Array(1 << 20).fill(1));\nexport function main() {}", "memory"),
        ("top-throw", "export function main() {}\nthrow new Error('at the top');", "at the top"),
        ("no-main", "export function other() {}", "main"),
        ("syntax", "export function main( {", ""),
        ("npm", "import _ from 'lodash';\nexport function main() { return _; }", "lodash"),
    ] {
        let request = server.request(reqwest::Method::PUT, &format!("/api/w/default/scripts/f/hostile/{name}"));
        let response = request.json(&json!({"language": "typescript", "source": source})).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        assert_eq!(status, 422, "{name}: {text}");
        assert!(text.contains(says), "{name}: {text}");
        let answer = server.call(&format!("f/hostile/{name}"), &json!({})).await.unwrap();
        assert_eq!(answer.status, 404, "{name} was not deployed");
    }
}
