//! Scripts that start others and wait for them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shared::{Tier, in_both_tiers, server, wait_for_status};
use sandmill_testkit::{postgres::Postgres, server::Server};

/// Does what it is told: ends with its arguments, after a while, or badly.
const CHILD: &str = "export async function main(n: number, ms = 0, fail = false) {
        console.log('child', n);
        if (ms > 0) await new Promise(r => setTimeout(r, ms));
        if (fail) { const e = new Error('too fast'); e.name = 'RateLimited'; throw e; }
        return { n };
    }";
/// Starts `count` of the script at `path` and adds up what they return.
const PARENT: &str = "import { runs } from 'sandmill';
    export function main(path: string, count: number, ms = 0) {
        const ids = Array.from({ length: count }, (_, n) => runs.start(path, { n, ms }));
        return runs.wait(ids).reduce((sum: number, result: any) => sum + result.n, 0);
    }";

fn granted(source: &str, pattern: &str) -> Value {
    json!({"language": "typescript", "source": source, "manifest": {"grants": {"runs": [pattern]}}})
}

async fn deploy_family(server: &Server, folder: &str) {
    server.deploy(&format!("{folder}/child"), "typescript", CHILD).await.unwrap();
    server.deploy_with(&format!("{folder}/parent"), granted(PARENT, &format!("{folder}/*"))).await.unwrap();
}

async fn result(server: &Server, id: &str) -> Value {
    server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap()
}

async fn runs_at(server: &Server, path: &str) -> Vec<Value> {
    server.get_json(&format!("/api/w/default/runs?limit=100&path={path}")).await.unwrap()["items"].as_array().unwrap().clone()
}

async fn log(server: &Server, id: &str) -> String {
    server.run_log(id).await.unwrap()
}

/// The first run at `path`, once it executes.
async fn executing(server: &Server, path: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let runs = runs_at(server, path).await;
        if let Some(run) = runs.iter().find(|run| run["status"] == "running") {
            return run["id"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "nothing executes at {path}: {runs:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_parents_with_two_slots_all_end() {
    let server = Server::start(&["--slots", "2"]).unwrap();
    deploy_family(&server, "f/family").await;
    let arguments = json!({"path": "f/family/child", "count": 3, "ms": 10});
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(server.start_run("f/family/parent", &arguments).await.unwrap());
    }
    for id in &ids {
        assert_eq!(server.ended_run(id).await.unwrap()["status"], "succeeded");
        assert_eq!(result(&server, id).await, json!(3));
    }
    assert_eq!(runs_at(&server, "f/family/child").await.len(), 30);
    let calls = (0..10).map(|_| server.call("f/family/parent", &arguments));
    for answer in futures_util::future::join_all(calls).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.json().unwrap()), (200, json!(3)), "also for callers who wait");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_and_children_on_different_nodes() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let node = |tags: &str| {
        let token = "sm_a_token_that_all_nodes_of_a_test_know";
        Server::start(&["--database-url", &url, "--admin-token", token, "--slots", "2", "--tags", tags]).unwrap()
    };
    let (first, second) = (node("parents"), node("children"));
    let tagged = |mut body: Value, tag: &str| {
        body["manifest"]["dispatch"] = json!({ "tag": tag });
        body
    };
    let child = json!({"language": "typescript", "source": CHILD});
    first.deploy_with("f/nodes/child", tagged(child, "children")).await.unwrap();
    first.deploy_with("f/nodes/parent", tagged(granted(PARENT, "f/nodes/*"), "parents")).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(second.start_run("f/nodes/parent", &json!({"path": "f/nodes/child", "count": 2})).await.unwrap());
    }
    for id in &ids {
        assert_eq!(second.ended_run(id).await.unwrap()["status"], "succeeded");
        assert_eq!(result(&first, id).await, json!(1));
    }
    // Who is cancelled on one node ends what it started on the other.
    let long = first.start_run("f/nodes/parent", &json!({"path": "f/nodes/child", "count": 1, "ms": 50_000})).await.unwrap();
    let child = executing(&second, "f/nodes/child").await;
    wait_for_status(&second, &long, "suspended").await;
    first.request(reqwest::Method::POST, &format!("/api/w/default/runs/{long}/cancel")).send().await.unwrap();
    for id in [long, child] {
        assert_eq!(first.ended_run(&id).await.unwrap()["status"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_module_in_both_tiers() {
    let source = "import { runs, ChildError, RunsError } from 'sandmill';
        export function main() {
            const path = 'f/children/tiers';
            const told = (call: () => unknown) => {
                try { return call(); } catch (e: any) {
                    return [e.name, e.message, e.code ?? e.outcome, e instanceof ChildError, e instanceof RunsError];
                }
            };
            const first = runs.start(path, { n: 1 }, { key: 'one' });
            return {
                same: first === runs.start(path, { n: 1 }, { key: 'one' }),
                one: runs.wait(first),
                run: runs.run(path, { n: 2 }),
                failed: told(() => runs.run(path, { n: 3, fail: true })),
                faults: told(() => runs.start(path, { n: 'three' }))[2],
                missing: told(() => runs.start('f/children/nothing-here', {}))[2],
                result: runs.result(first),
                late: told(() => runs.run(path, { n: 4, ms: 30000 }, { timeoutMs: 20 }))[2],
                cancelled: (() => {
                    const id = runs.start(path, { n: 5, ms: 30000 });
                    return [runs.result(id), runs.cancel(id), told(() => runs.wait(id))[2]];
                })(),
                any: (() => {
                    const ids = [runs.start(path, { n: 6, ms: 30000 }), runs.start(path, { n: 7 })];
                    const ended = runs.any(ids);
                    runs.cancel(ids[0]);
                    return ids.indexOf(ended[0]);
                })(),
            };
        }";
    let scripts = [
        ("f/children/tiers", json!({"language": "typescript", "source": CHILD}), json!({"n": 0})),
        ("f/children/tour", granted(source, "f/children/*"), json!({})),
    ];
    for (tier, server) in in_both_tiers(&scripts).await {
        let answer = server.call("f/children/tour", &json!({})).await.unwrap();
        assert_eq!(answer.status, 200, "{tier:?}: {}", answer.text());
        let expected = json!({
            "same": true, "one": {"n": 1}, "run": {"n": 2}, "failed": ["RateLimited", "too fast", "error", true, false],
            "faults": "invalid-arguments", "missing": "not-found", "result": {"ok": true, "value": {"n": 1}}, "late": "timeout",
            "cancelled": [null, true, "cancelled"], "any": 1,
        });
        let mut seen = answer.json().unwrap();
        // What is undefined in an array is null in JSON.
        seen["cancelled"][0].take();
        assert_eq!(seen, expected, "{tier:?}");
        assert!(matches!(tier, Tier::Hosted | Tier::Own));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_fails_fails_its_parent_under_its_own_name() {
    let server = server();
    deploy_family(server, "f/uncaught").await;
    let source = "import { runs } from 'sandmill'; export const main = () => runs.run('f/uncaught/child', { n: 1, fail: true });";
    server.deploy_with("f/uncaught/caller", granted(source, "f/uncaught/child")).await.unwrap();
    let id = server.start_run("f/uncaught/caller", &json!({})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((run["outcome"].as_str(), run["error"]["name"].as_str()), (Some("error"), Some("RateLimited")), "{run}");
    assert_eq!((run["error"]["message"].as_str(), run["error"]["details"]["outcome"].as_str()), (Some("too fast"), Some("error")), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_that_was_not_granted() {
    let server = server();
    deploy_family(server, "f/ungranted").await;
    let source = "import { runs } from 'sandmill'; export function main(path: string) { return runs.start(path, { n: 1 }); }";
    server.deploy("f/ungranted/none", "typescript", source).await.unwrap();
    server.deploy_with("f/ungranted/some", granted(source, "f/ungranted/other/*")).await.unwrap();
    for (script, path, code) in [
        ("none", "f/ungranted/child", "denied"),
        ("some", "f/ungranted/child", "denied"),
        ("some", "f/ungranted/other/../child", "invalid"),
        ("some", "../other/f/ungranted/other/child", "invalid"),
        ("some", "/f/ungranted/other/child", "invalid"),
        ("some", "f/ungranted/other%2fchild", "invalid"),
        ("some", "F/ungranted/other/child", "invalid"),
        ("some", "f/ungrаnted/other/child", "invalid"),
        ("some", "f/ungranted/other/child", "not-found"),
    ] {
        let id = server.start_run(&format!("f/ungranted/{script}"), &json!({ "path": path })).await.unwrap();
        let run = server.ended_run(&id).await.unwrap();
        assert_eq!((run["error"]["name"].as_str(), run["error"]["details"]["code"].as_str()), (Some("RunsError"), Some(code)), "{run}");
        assert_eq!(run["outcome"], if code == "denied" { "denied" } else { "error" }, "{run}");
        if code == "denied" {
            let line = log(server, &id).await;
            assert!(line.contains("runs = [\\\"f/ungranted/child\\\"]") || line.contains("runs = [\"f/ungranted/child\"]"), "{line}");
        }
    }
    assert_eq!(runs_at(server, "f/ungranted/child").await.len(), 0);
    let refused = server.deploy_with("f/ungranted/wrong", granted(source, "../x")).await.unwrap_err().to_string();
    assert!(refused.contains("invalid_manifest") && refused.contains("grants.runs[0]: `../x` begins neither"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_starts_itself_for_ever_comes_to_an_end() {
    let server = server();
    let source = "import { context, runs } from 'sandmill';
        export const main = (depth = 0) => runs.run(context.script, { depth: depth + 1 });";
    server.deploy_with("f/endless/itself", granted(source, "f/endless/*")).await.unwrap();
    let id = server.start_run("f/endless/itself", &json!({})).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!((run["status"].as_str(), run["error"]["name"].as_str()), (Some("failed"), Some("RunsError")), "{run}");
    assert!(run["error"]["message"].as_str().unwrap().contains("16 runs stand above each other"), "{run}");
    assert_eq!(runs_at(server, "f/endless/itself").await.len(), 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_children_meets_its_limits() {
    let server = Server::start(&["--backlog-max", "1200"]).unwrap();
    let source = "import { runs } from 'sandmill';
        export function main(delayMs: number) {
            let started = 0;
            try { for (;;) { runs.start('f/crowd/child', {}, { delayMs }); started++; } } catch (e: any) { return { started, code: e.code, message: e.message }; }
        }";
    server.deploy("f/crowd/child", "identity", "").await.unwrap();
    server.deploy_with("f/crowd/bomb", granted(source, "f/crowd/child")).await.unwrap();
    let of_attempt = server.call("f/crowd/bomb", &json!({"delayMs": 3_600_000})).await.unwrap().json().unwrap();
    assert_eq!((of_attempt["started"].as_u64(), of_attempt["code"].as_str()), (Some(1000), Some("too-many")), "{of_attempt}");
    let of_workspace = server.call("f/crowd/bomb", &json!({"delayMs": 3_600_000})).await.unwrap().json().unwrap();
    assert_eq!(of_workspace["code"].as_str(), Some("too-many"), "{of_workspace}");
    assert!(
        of_workspace["started"].as_u64().unwrap() < 300 && of_workspace["message"].as_str().unwrap().contains("1200"),
        "{of_workspace}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_does_not_outlive_the_time_of_who_waits_for_it() {
    let server = server();
    server.deploy("f/outlived/child", "typescript", CHILD).await.unwrap();
    let mut body = granted(PARENT, "f/outlived/*");
    body["manifest"]["limits"] = json!({"wall_ms": 3000});
    server.deploy_with("f/outlived/parent", body).await.unwrap();
    let arguments = json!({"path": "f/outlived/child", "count": 2, "ms": 50_000});
    let id = server.start_run("f/outlived/parent", &arguments).await.unwrap();
    let run = server.ended_run(&id).await.unwrap();
    assert_eq!(run["outcome"], "timeout", "{run}");
    let children = runs_at(server, "f/outlived/child").await;
    assert_eq!(children.len(), 2);
    for child in children {
        let child = server.ended_run(child["id"].as_str().unwrap()).await.unwrap();
        assert_eq!(child["status"], "cancelled", "{child}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_waits_can_be_cancelled_and_takes_its_children_along() {
    let server = server();
    deploy_family(server, "f/cut").await;
    let id = server.start_run("f/cut/parent", &json!({"path": "f/cut/child", "count": 3, "ms": 50_000})).await.unwrap();
    let child = executing(server, "f/cut/child").await;
    // Asleep by now, or a moment later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    let cancel = server.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
    assert!(cancel.status().is_success(), "{cancel:?}");
    let run = server.ended_run(&id).await.unwrap();
    println!("the parent ended {:?} after the request", asked.elapsed());
    assert_eq!(run["status"], "cancelled");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(server.ended_run(&child).await.unwrap()["status"], "cancelled");
    for child in runs_at(server, "f/cut/child").await {
        assert_eq!(server.ended_run(child["id"].as_str().unwrap()).await.unwrap()["status"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_itself_or_for_strangers() {
    let server = server();
    let source = "import { context, runs } from 'sandmill';
        const told = (call: () => unknown) => { try { call(); } catch (e: any) { return e.code; } };
        export function main(stranger: string) {
            const ids = [context.runId, stranger, '01890000-0000-7000-8000-000000000000', 'nonsense'];
            return ids.map((id) => [told(() => runs.wait(id)), told(() => runs.wait([id])), told(() => runs.result(id)), told(() => runs.cancel(id))]);
        }";
    server.deploy_with("f/strangers/curious", granted(source, "*")).await.unwrap();
    server.deploy("f/strangers/child", "typescript", CHILD).await.unwrap();
    let stranger = server.start_run("f/strangers/child", &json!({"n": 1})).await.unwrap();
    server.ended_run(&stranger).await.unwrap();
    let answer = server.call("f/strangers/curious", &json!({ "stranger": stranger })).await.unwrap();
    let all = |code: &str| json!([code, code, code, code]);
    assert_eq!(answer.json().unwrap(), json!([all("invalid"), all("not-found"), all("not-found"), all("invalid")]), "{answer:?}");
}
