//! Scripts as their authors write them: arguments, schema, errors in their own lines.

use serde_json::{Value, json};

use crate::shared::{in_both_tiers, plain, server};

const GREET: &str = r#"interface Options {
  /** Shout it. */
  loud: boolean;
}

/**
 * Greets.
 * @param name Who.
 */
export function main(name: string, count = 3, opts?: Options) {
  const text = `hello ${name}`.repeat(1);
  return { text: opts?.loud ? text.toUpperCase() : text, count };
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_checked_before_the_sandbox() {
    let server = server();
    let deployed = server.deploy("f/scripts/greet", "typescript", GREET).await.unwrap();
    assert_eq!(deployed["schema"]["required"], json!(["name"]), "{deployed}");
    let ok = server.call("f/scripts/greet", &json!({"name": "bob", "extra": 1})).await.unwrap();
    assert_eq!(ok.json().unwrap(), json!({"text": "hello bob", "count": 3}));
    let ok = server.call("f/scripts/greet", &json!({"name": "bob", "count": 5, "opts": {"loud": true}})).await.unwrap();
    assert_eq!(ok.json().unwrap(), json!({"text": "HELLO BOB", "count": 5}));
    for (arguments, pointers) in [
        (json!({}), vec!["/name"]),
        (json!({"name": 1}), vec!["/name"]),
        (json!({"name": "x", "count": "many"}), vec!["/count"]),
        (json!({"name": "x", "opts": {}}), vec!["/opts/loud"]),
    ] {
        for mode in ["run", "start"] {
            let request = server.request(reqwest::Method::POST, &format!("/hooks/default/{mode}/f/scripts/greet"));
            let response = request.json(&arguments).send().await.unwrap();
            assert_eq!(response.status().as_u16(), 422, "{mode} {arguments}");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["code"], "invalid_arguments");
            let found: Vec<&str> = problem["faults"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
            assert_eq!(found, pointers, "{mode} {arguments}: {problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_point_into_the_authors_lines_in_both_tiers() {
    let source = "enum Kind { A, B }\n\ninterface Big {\n  a: string;\n  b: number;\n}\n\nfunction fail(big: Big): never {\n  throw new RangeError(`bad ${Kind[1]} ${big.a}`);\n}\n\nexport function main(a: string) {\n  return fail({ a, b: 1 });\n}\n";
    let scripts = [("f/scripts/stack", plain("typescript", source), json!({"a": "x"}))];
    for (tier, server) in in_both_tiers(&scripts).await {
        for _ in 0..3 {
            let answer = server.call("f/scripts/stack", &json!({"a": "x"})).await.unwrap();
            let problem = answer.json().unwrap();
            assert_eq!(answer.status, 500);
            assert_eq!(problem["error"]["name"], "RangeError", "{tier:?}: {problem}");
            assert_eq!(problem["error"]["message"], "bad B x");
            let stack = problem["error"]["stack"].as_str().unwrap();
            let lines: Vec<&str> = stack.lines().collect();
            assert!(lines[0].contains("fail") && lines[0].contains("stack.ts:9:"), "{tier:?}: {stack}");
            assert!(lines[1].contains("main") && lines[1].contains("stack.ts:13:"), "{tier:?}: {stack}");
            assert_eq!(lines.len(), 2, "no frames of ours: {tier:?}: {stack}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnostics_have_line_column_and_source() {
    let server = server();
    let request = server.request(reqwest::Method::PUT, "/api/w/default/scripts/f/scripts/broken");
    let source = "export function main(name: string) {\n  return nam e;\n}\n";
    let response = request.json(&json!({"language": "typescript", "source": source, "file_name": "broken.ts"})).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 422);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "compile_failed", "{problem}");
    let first = &problem["diagnostics"][0];
    assert_eq!((first["file"].as_str(), first["line"].as_u64()), (Some("broken.ts"), Some(2)), "{problem}");
    assert_eq!(first["source_line"], "  return nam e;");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preprocessor_makes_arguments_of_the_event() {
    let server = server();
    let source = "export function preprocessor(event: any) {\n  if (event.body?.skip) return null;\n  if (event.body?.bad) return {};\n  return { who: event.body.user.name, how: event.method, kind: event.kind, agent: event.headers['x-agent'], auth: event.headers.authorization ?? 'none' };\n}\nexport function main(who: string, how: string, kind: string, agent: string, auth: string) { return [who, how, kind, agent, auth]; }\n";
    server.deploy("f/scripts/event", "typescript", source).await.unwrap();
    for _ in 0..12 {
        let request = server.request(reqwest::Method::POST, "/hooks/default/run/f/scripts/event").header("x-agent", "tester");
        let response = request.json(&json!({"user": {"name": "ann"}})).send().await.unwrap();
        assert_eq!(response.headers()["sandmill-run-id"].len(), 36);
        let id = response.headers()["sandmill-run-id"].to_str().unwrap().to_owned();
        assert_eq!(response.json::<Value>().await.unwrap(), json!(["ann", "POST", "webhook", "tester", "none"]));
        let run = server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
        assert_eq!(run["arguments"]["who"], "ann", "{run}");
    }
    let refused = server.call("f/scripts/event", &json!({"bad": 1})).await.unwrap();
    assert_eq!((refused.status, refused.json().unwrap()["code"].clone()), (422, json!("invalid_arguments")));
    let skipped = server.call("f/scripts/event", &json!({"skip": true})).await.unwrap();
    assert_eq!(skipped.status, 200, "{}", skipped.text());
    let id = skipped.header("sandmill-run-id").unwrap();
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["status"], "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_counts_on_without_loss_under_concurrency() {
    let server = server();
    let source = "import { state } from 'sandmill';\nexport function main() {\n  for (;;) {\n    const before = state.get('n');\n    if (state.compareAndSwap('n', before, (before ?? 0) + 1)) return (before ?? 0) + 1;\n  }\n}\n";
    server.deploy("f/scripts/counter", "javascript", source).await.unwrap();
    let calls = (0..40).map(|_| server.call("f/scripts/counter", &Value::Null));
    let mut seen: Vec<i64> =
        futures_util::future::join_all(calls).await.into_iter().map(|answer| answer.unwrap().json().unwrap().as_i64().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=40).collect::<Vec<_>>());
}
