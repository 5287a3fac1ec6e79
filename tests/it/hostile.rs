//! What a hostile or careless script may try, in both tiers: each ends as it should, and the server goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use sandmill_testkit::server::{Answer, Server};

use crate::shared::{in_both_tiers, server};

/// One thing that a script may do, and how its run must end.
struct Case {
    name: &'static str,
    limits: Limits,
    /// A function of no arguments.
    does: &'static str,
    status: u16,
    /// Code of the problem; empty for a good end.
    code: &'static str,
    /// Must be part of the body.
    says: &'static str,
}

/// One script for each, which does whatever case it is told to: a script of its own for every case would be compiled for minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limits {
    Usual,
    LittleFuel,
    LittleTime,
}

impl Limits {
    const ALL: [Self; 3] = [Self::Usual, Self::LittleFuel, Self::LittleTime];

    const fn path(self) -> &'static str {
        match self {
            Self::Usual => "f/hostile/usual",
            Self::LittleFuel => "f/hostile/little-fuel",
            Self::LittleTime => "f/hostile/little-time",
        }
    }

    fn deployment(self) -> Value {
        let limits = match self {
            Self::Usual => json!({}),
            Self::LittleFuel => json!({"fuel": 2_000_000_000_u64}),
            Self::LittleTime => json!({"wall_ms": 400}),
        };
        let mut source = "const cases: Record<string, () => unknown> = {\n".to_owned();
        for case in CASES.iter().filter(|case| case.limits == self) {
            source += &format!("  {:?}: {},\n", case.name, case.does);
        }
        source += "};\nexport function main(name?: string) { return name === undefined ? null : cases[name](); }\n";
        json!({"language": "typescript", "source": source, "manifest": {"limits": limits}})
    }
}

const fn ends(name: &'static str, does: &'static str, says: &'static str) -> Case {
    Case { name, limits: Limits::Usual, does, status: 200, code: "", says }
}

const fn fails(name: &'static str, does: &'static str, code: &'static str, says: &'static str) -> Case {
    Case { name, limits: Limits::Usual, does, status: 500, code, says }
}

const fn burns(name: &'static str, does: &'static str) -> Case {
    Case { name, limits: Limits::LittleFuel, does, status: 500, code: "out_of_fuel", says: "fuel" }
}

const fn lasts(name: &'static str, does: &'static str) -> Case {
    Case { name, limits: Limits::LittleTime, does, status: 504, code: "timeout", says: "400" }
}

const CASES: &[Case] = &[
    burns("loop-fuel", "() => { for (;;) {} }"),
    burns("regex-bomb", "() => /^(a+)+$/.test('a'.repeat(40) + 'b')"),
    lasts("loop-wall", "() => { for (;;) {} }"),
    lasts("await-forever", "async () => { while (true) await null; }"),
    lasts("sleep", "async () => { await new Promise(r => setTimeout(r, 60000)); }"),
    fails("never", "async () => { await new Promise(() => {}); }", "error", "never"),
    fails("memory", "() => { const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)); }", "out_of_memory", "memory"),
    fails(
        "memory-caught",
        "() => { const a = []; for (;;) { try { a.push(new Uint8Array(1 << 20).fill(1)); } catch {} } }",
        "out_of_memory",
        "memory",
    ),
    fails("recursion", "() => { const f = (n: number): number => f(n + 1) + 1; return f(0); }", "error", "stack"),
    ends(
        "recursion-caught",
        "() => { const f = (n: number): number => f(n + 1) + 1; try { return f(0); } catch (e) { return 'caught'; } }",
        "caught",
    ),
    fails("huge-result", "() => 'x'.repeat(9 * 1024 * 1024)", "result_too_large", "8388608"),
    fails("throw-string", "() => { throw 'just text'; }", "error", "just text"),
    fails("throw-null", "() => { throw null; }", "error", "null"),
    fails("throw-undefined", "() => { throw undefined; }", "error", "undefined"),
    fails("throw-object", "() => { throw { reason: 'odd' }; }", "error", "odd"),
    fails("reject", "() => Promise.reject(new TypeError('rejected'))", "error", "rejected"),
    fails("function", "() => () => 1", "error", "function"),
    fails("cyclic", "() => { const a: any = {}; a.a = a; return a; }", "error", "contains itself"),
    fails("bigint", "() => 12345678901234567890n", "error", "BigInt"),
    ends("nan", "() => [NaN, Infinity, -0]", "[null,null,0]"),
    ends("undefined", "() => {}", "null"),
    fails("throwing-getter", "() => ({ get a() { throw new Error('from a getter'); } })", "error", "from a getter"),
    fails("throwing-message", "() => { throw { get message() { throw 1; }, toString() { throw 2; } }; }", "error", ""),
    ends("exit", "() => typeof (globalThis as any).process?.exit", "undefined"),
    ends("eval", "() => eval('6 * 7')", "42"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_ends_as_it_should_in_both_tiers() {
    let scripts = Limits::ALL.map(|limits| (limits.path(), limits.deployment(), json!({})));
    for (tier, server) in in_both_tiers(&scripts).await {
        for case in CASES {
            // The second time what the first left behind would show.
            for call in 0..2 {
                let answer = server.call(case.limits.path(), &json!({"name": case.name})).await.unwrap();
                let text = answer.text();
                let which = || format!("{} ({tier:?}, call {call}): {}", case.name, text.chars().take(500).collect::<String>());
                assert_eq!(answer.status, case.status, "{}", which());
                assert!(text.contains(case.says), "{}", which());
                if !case.code.is_empty() {
                    assert_eq!(answer.json().unwrap()["code"], case.code, "{}", which());
                }
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
    let log = log_of(server, &run).await;
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
async fn sixty_four_synchronous_loops_leave_room_for_a_quiet_caller() {
    const LOOPS: usize = 64;
    // With as many slots as loops, whatever the machine.
    let server = Server::start(&["--slots", "64"]).unwrap();
    let body =
        json!({"language": "typescript", "source": "export function main() { for (;;) {} }", "manifest": {"limits": {"wall_ms": 8000}}});
    server.deploy_with("f/hostile/spin", body).await.unwrap();
    server.deploy("f/hostile/quiet", "typescript", "export function main() { return 'quiet'; }").await.unwrap();
    server.call("f/hostile/quiet", &json!({})).await.unwrap();
    let loops = futures_util::future::join_all((0..LOOPS).map(|_| server.call("f/hostile/spin", &Value::Null)));
    let quiet = async {
        let deadline = Instant::now() + Duration::from_secs(6);
        while open_connections(&server).await <= LOOPS {
            assert!(Instant::now() < deadline, "the loops do not begin");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // More than one: the first may slip in before the last loop.
        let mut slowest = Duration::ZERO;
        for _ in 0..5 {
            let began = Instant::now();
            assert_eq!(server.call("f/hostile/quiet", &json!({})).await.unwrap().status, 200);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let (loops, took) = tokio::join!(loops, quiet);
    // Not a figure of speed: whoever had to wait for a loop's end would wait for seconds.
    assert!(took < Duration::from_secs(2), "the quiet caller waited for {took:?}");
    for answer in loops {
        assert_eq!(answer.unwrap().status, 504);
    }
}

/// One workspace does nothing but loop, in more runs than there are slots, and others of its own wait behind them; another goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_loops_does_not_hold_up_another() {
    const LOOPS: usize = 64;
    let server = Server::start(&[]).unwrap();
    let ask = async |method: reqwest::Method, path: &str, body: Value| {
        Answer::read(server.request(method, path).json(&body).send().await.unwrap()).await.unwrap()
    };
    for (workspace, source) in
        [("noisy", "export function main() { for (;;) {} }"), ("quiet", "export function main() { return 'quiet'; }")]
    {
        assert_eq!(ask(reqwest::Method::POST, "/api/instance/workspaces", json!({"name": workspace})).await.status, 201);
        let script = json!({"language": "typescript", "source": source, "manifest": {"limits": {"wall_ms": 20_000}}});
        let deployed = ask(reqwest::Method::PUT, &format!("/api/w/{workspace}/scripts/f/hostile/main"), script).await;
        assert_eq!(deployed.status, 201, "{deployed:?}");
    }
    let quiet = async || {
        let answer = ask(reqwest::Method::POST, "/hooks/quiet/run/f/hostile/main", json!({})).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "\"quiet\""), "{answer:?}");
    };
    quiet().await;
    for _ in 0..LOOPS {
        let started = ask(reqwest::Method::POST, "/hooks/noisy/start/f/hostile/main", json!({})).await;
        assert_eq!(started.status, 202, "{started:?}");
    }
    let looping = async || server.get_json("/api/w/noisy/runs?status=running").await.unwrap()["items"].as_array().unwrap().len();
    let deadline = Instant::now() + Duration::from_secs(10);
    while looping().await == 0 {
        assert!(Instant::now() < deadline, "the loops do not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        quiet().await;
        slowest = slowest.max(began.elapsed());
    }
    assert!(looping().await > 0, "they loop on meanwhile");
    // Not a figure of speed: whoever had to wait for a loop's end would wait for twenty seconds.
    assert!(slowest < Duration::from_secs(3), "a quiet call took {slowest:?}");
}

/// The one that asks is among them.
async fn open_connections(server: &Server) -> usize {
    let metrics = server.metrics().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix("sandmill_connections ")).unwrap().parse().unwrap()
}

async fn log_of(server: &Server, run: &str) -> String {
    server.run_log(run).await.unwrap()
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
        // A run has the status `running` before its program is at work.
        while !log_of(server, &id).await.contains("before") {
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
        let log = log_of(server, &id).await;
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
