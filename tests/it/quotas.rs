//! Limits of workspaces: real scripts use them up on the built server, are refused, and go on once there is more.

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use reqwest::Method;
use sandmill_testkit::server::{Answer, Server};
use serde_json::{Map, Value, json};

use crate::{
    shared::{Database, on_both},
    site::{ALLOWED, Site},
};

on_both![
    what_runs_use_by_time_is_refused,
    what_scripts_send_and_receive_is_refused,
    what_scripts_keep_is_refused,
    what_databases_of_scripts_keep_is_refused,
];

/// What is counted is known within a second or two, what is kept is measured every ten.
const KNOWN_LIMIT: Duration = Duration::from_secs(60);
const PATH: &str = "f/quota/uses";

async fn ask(server: &Server, method: Method, path: &str, body: &Value) -> Answer {
    Answer::read(server.request(method, path).json(body).send().await.unwrap()).await.unwrap()
}

/// Makes a workspace with a script and these limits; what its manifest asks for, `grant`, is given.
async fn workspace(server: &Server, name: &str, quotas: Value, source: &str, grant: Option<(&str, String)>) {
    let made = ask(server, Method::POST, "/api/instance/workspaces", &json!({"name": name, "quotas": quotas})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let asked: Value = grant.iter().map(|(kind, text)| ((*kind).to_owned(), json!([text]))).collect::<Map<_, _>>().into();
    let script = json!({"language": "typescript", "source": source, "manifest": {"grants": asked}});
    let deployed = ask(server, Method::PUT, &format!("/api/w/{name}/scripts/{PATH}"), &script).await;
    assert_eq!(deployed.status, 201, "{deployed:?}");
    if let Some((kind, text)) = grant {
        let give = json!({"give": [format!("{kind}:{text}")]});
        let given = ask(server, Method::PATCH, &format!("/api/w/{name}/grants/{PATH}"), &give).await;
        assert_eq!(given.status, 200, "{given:?}");
    }
}

/// Takes all limits of a workspace away.
async fn free(server: &Server, name: &str, limit: &str) {
    let freed = ask(server, Method::PATCH, &format!("/api/instance/workspaces/{name}"), &json!({"quotas": {limit: null}})).await;
    assert_eq!(freed.status, 200, "{freed:?}");
}

async fn call(server: &Server, workspace: &str, verb: &str, arguments: &Value) -> Answer {
    ask(server, Method::POST, &format!("/hooks/{workspace}/{verb}/{PATH}"), arguments).await
}

/// Calls until the answer is as it must be, and returns it with how many were not.
async fn until(server: &Server, workspace: &str, is_so: impl Fn(&Answer) -> bool) -> (u64, Answer) {
    let deadline = Instant::now() + KNOWN_LIMIT;
    let mut others = 0;
    loop {
        let answer = call(server, workspace, "run", &json!({"n": others})).await;
        if is_so(&answer) {
            return (others, answer);
        }
        assert!(Instant::now() < deadline, "{workspace}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        others += 1;
    }
}

fn must_be_refused(answer: &Answer, limit: &str) {
    assert_eq!((answer.status, &answer.json().unwrap()["code"]), (429, &json!("quota_exceeded")), "{answer:?}");
    assert!(answer.text().contains(limit), "{answer:?}");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1, "{answer:?}");
}

async fn what_runs_use_by_time_is_refused(database: Database) {
    let Some(server) = database.server() else { return };
    let source = "export function main(n?: number) { for (let i = 0; i < 20; i++) console.log('x'.repeat(200)); return 'done'; }";
    let limits = [("runs_per_minute", 3), ("fuel_per_day", 3_000_000), ("log_bytes_per_day", 1000), ("run_bytes_per_day", 100)];
    for (limit, most) in limits {
        let name = limit.replace('_', "-");
        let name = name.as_str();
        workspace(server, name, json!({limit: most}), source, None).await;
        let (accepted, refused) = until(server, name, |answer| answer.status == 429).await;
        must_be_refused(&refused, &format!("{limit} = {most}"));
        match limit {
            // A minute may have ended in between.
            "runs_per_minute" => assert!((3..=6).contains(&accepted), "{accepted}"),
            _ => {
                assert!(accepted >= 1, "{limit}: what was not used up was refused");
                for verb in ["start", "stream"] {
                    must_be_refused(&call(server, name, verb, &json!({})).await, limit);
                }
                let usage = server.get_json(&format!("/api/w/{name}/usage")).await.unwrap();
                let used = &usage["total"][limit.trim_end_matches("_per_day")];
                // What is not there any more nobody uses: a run ends, or its log is cut, a little before.
                assert!(used.as_u64().unwrap() >= most / 2, "{usage}");
            }
        }
        free(server, name, limit).await;
        until(server, name, |answer| answer.status == 200).await;
    }
}

async fn what_scripts_send_and_receive_is_refused(database: Database) {
    const LIMIT: &str = "outbound_bytes_per_day";
    let Some(server) = database.start(&ALLOWED) else { return };
    let site = Site::start(Router::new().route("/large", get(|| async { "x".repeat(10_000) }))).await;
    let source = "export async function main(n?: number) {
        try { return (await (await fetch('$SITE/large')).text()).length; } catch (error) { return error.cause?.code ?? String(error); }
    }";
    for (name, quotas) in [("limited", json!({LIMIT: 25_000})), ("other", json!({}))] {
        let grant = Some(("http", format!("GET {}/large", site.origin)));
        workspace(&server, name, quotas, &source.replace("$SITE", &site.origin), grant).await;
    }
    // The last before breaks off where the limit is.
    let (received, denied) = until(&server, "limited", |answer| answer.text() == "\"HTTP-request-denied\"").await;
    assert!(received >= 1, "what was not used up was refused");
    let run = denied.header("sandmill-run-id").unwrap();
    let log = ask(&server, Method::GET, &format!("/api/w/limited/runs/{run}/log"), &json!({})).await;
    assert!(log.text().contains(LIMIT), "whoever wrote the script is told why: {log:?}");
    assert_eq!(call(&server, "other", "run", &json!({})).await.text(), "10000", "nobody else is refused");
    free(&server, "limited", LIMIT).await;
    until(&server, "limited", |answer| answer.text() == "10000").await;
}

async fn what_scripts_keep_is_refused(database: Database) {
    const LIMIT: &str = "stored_bytes";
    let Some(server) = database.server() else { return };
    let source = "import { state } from 'sandmill';
        export function main(n: number) {
            if (n < 0) { state.delete('k0'); return 'deleted'; }
            try { state.set('k' + n, 'x'.repeat(50000)); return 'kept'; } catch (error: any) { return error.message; }
        }";
    workspace(server, "keeps", json!({LIMIT: 200_000}), source, None).await;
    let (kept, refused) = until(server, "keeps", |answer| answer.text() != "\"kept\"").await;
    assert!(kept >= 1, "what was not used up was refused");
    assert!(refused.status == 200 && refused.text().contains(LIMIT), "{refused:?}");
    let variable = ask(server, Method::PUT, "/api/w/keeps/variables/f/quota/v", &json!({"text": "x".repeat(1000)})).await;
    must_be_refused(&variable, LIMIT);
    let script = json!({"language": "typescript", "source": "export const main = () => 'more';"});
    must_be_refused(&ask(server, Method::PUT, "/api/w/keeps/scripts/f/quota/more", &script).await, LIMIT);
    assert_eq!(call(server, "keeps", "run", &json!({"n": -1})).await.text(), "\"deleted\"", "what is kept can be made less");
    free(server, "keeps", LIMIT).await;
    until(server, "keeps", |answer| answer.text() == "\"kept\"").await;
}

async fn what_databases_of_scripts_keep_is_refused(database: Database) {
    const LIMIT: &str = "stored_bytes";
    let Some(server) = database.server() else { return };
    let source = "import { sql } from 'sandmill';
        export function main(n: number) {
            const lite = sql('f/quota/lite');
            if (n < 0) { lite.execute('DELETE FROM t'); return 'deleted'; }
            try {
                lite.execute('CREATE TABLE IF NOT EXISTS t (v BLOB)');
                lite.execute('INSERT INTO t VALUES (zeroblob(100000))');
                return 'kept';
            } catch (error: any) { return error.code + ': ' + error.message; }
        }";
    let grant = Some(("sql", "write f/quota/lite".to_owned()));
    workspace(server, "keeps-lite", json!({LIMIT: 500_000}), source, grant).await;
    let resource = json!({"type": "sqlite", "value": {"name": "lite"}});
    let put = ask(server, Method::PUT, "/api/w/keeps-lite/resources/f/quota/lite", &resource).await;
    assert_eq!(put.status, 200, "{put:?}");
    let (kept, refused) = until(server, "keeps-lite", |answer| answer.text() != "\"kept\"").await;
    assert!(kept >= 1, "what was not used up was refused");
    assert!(refused.status == 200 && refused.text().contains("too-large") && refused.text().contains(LIMIT), "{refused:?}");
    assert_eq!(call(server, "keeps-lite", "run", &json!({"n": -1})).await.text(), "\"deleted\"", "what is kept can be made less");
    assert_eq!(call(server, "keeps-lite", "run", &json!({"n": 1})).await.text(), "\"kept\"", "in the place of what was deleted");
    free(server, "keeps-lite", LIMIT).await;
    for _ in 0..kept + 2 {
        until(server, "keeps-lite", |answer| answer.text() == "\"kept\"").await;
    }
}
