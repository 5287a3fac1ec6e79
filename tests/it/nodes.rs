//! Several nodes on one PostgreSQL: they share the work, and the death of one loses nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    events::{Events, GATED, follow, log_lines},
    shared::wait_for_status,
};
use sandmill_testkit::{
    postgres::Postgres,
    server::{Answer, Server},
};

const TOKEN: &str = "sm_a_token_that_all_nodes_of_a_test_know";
const SLOW: &str = "export async function main(n: number, ms: number) { await new Promise(r => setTimeout(r, ms)); return n; }";

/// A server of an installation; none without a PostgreSQL.
fn node(url: &str, arguments: &[&str]) -> Server {
    let mut all = vec!["--database-url", url, "--admin-token", TOKEN];
    all.extend(arguments);
    Server::start(&all).unwrap()
}

async fn nodes(server: &Server) -> Vec<Value> {
    server.get_json("/api/instance/nodes").await.unwrap()["items"].as_array().unwrap().clone()
}

async fn result(server: &Server, id: &str) -> Value {
    server.get_json(&format!("/api/w/default/runs/{id}/result")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_knows_the_result() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let (api, worker) = (node(&url, &["--role", "api"]), node(&url, &["--role", "worker"]));
    api.deploy("f/nodes/slow", "typescript", SLOW).await.unwrap();
    let roles: Vec<Value> = nodes(&api).await.iter().map(|node| node["roles"].clone()).collect();
    assert_eq!(roles, [json!(["api"]), json!(["worker"])]);
    // The first compiles; what follows shows that nobody waits for a timer.
    assert_eq!(api.call("f/nodes/slow", &json!({"n": 1, "ms": 0})).await.unwrap().json().unwrap(), json!(1));
    let [there, through_another] = [&worker, &api].map(async |server: &Server| {
        let mut took = Vec::new();
        for n in 0..20 {
            let began = Instant::now();
            assert_eq!(server.call("f/nodes/slow", &json!({"n": n, "ms": 0})).await.unwrap().json().unwrap(), json!(n));
            took.push(began.elapsed());
        }
        took.sort();
        // The middle one, and three of four: were every second one found by the timer alone, the middle one would not show it.
        [took[10], took[15]]
    });
    let (there, through_another) = (there.await, through_another.await);
    // Calls of the node that executes them say how busy the machine is; but where timers found the runs, which look each second for what to
    // begin and for what has ended, the middle one would take half a second and three of four would take more.
    for (index, (usual, most)) in [(250, 500), (500, 750)].into_iter().enumerate() {
        let limit = Duration::from_millis(usual).max(there[index] * 5).min(Duration::from_millis(most));
        assert!(through_another[index] < limit, "through another node {through_another:?}, there {there:?}");
    }
    let id = api.start_run("f/nodes/slow", &json!({"n": 5, "ms": 100})).await.unwrap();
    assert_eq!(worker.ended_run(&id).await.unwrap()["status"], "succeeded");
    let long = api.start_run("f/nodes/slow", &json!({"n": 5, "ms": 50_000})).await.unwrap();
    wait_for_status(&api, &long, "running").await;
    let cancel = api.request(reqwest::Method::POST, &format!("/api/w/default/runs/{long}/cancel")).send().await.unwrap();
    assert_eq!(cancel.status(), 202);
    let ended = api.ended_run(&long).await.unwrap();
    assert_eq!(ended["status"], "cancelled", "although another node executes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runs_of_a_dead_node_are_tried_again_elsewhere() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let mut first = node(&url, &[]);
    let second = node(&url, &["--role", "api"]);
    first.deploy("f/nodes/slow", "typescript", SLOW).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(second.start_run("f/nodes/slow", &json!({"n": n, "ms": 3000})).await.unwrap());
    }
    for id in &ids {
        wait_for_status(&second, id, "running").await;
    }
    let third = node(&url, &[]);
    first.kill().unwrap();
    let died = Instant::now();
    let deadline = died + Duration::from_secs(5);
    for id in &ids {
        loop {
            let run = second.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
            if run["attempt"] == 2 {
                break;
            }
            assert!(Instant::now() < deadline, "it is not tried again in time: {run}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for (n, id) in ids.iter().enumerate() {
        let run = second.ended_run(id).await.unwrap();
        assert_eq!((run["status"].as_str(), run["attempt"].as_u64()), (Some("succeeded"), Some(2)), "{run}");
        assert_eq!(result(&third, id).await, json!(n));
    }
    assert_eq!(nodes(&third).await.len(), 2, "the dead one is not listed any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_cannot_end_before_it_stops_is_had_by_another_at_once() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let mut stops = node(&url, &[]);
    stops.deploy("f/nodes/slow", "typescript", SLOW).await.unwrap();
    let id = stops.start_run("f/nodes/slow", &json!({"n": 1, "ms": 100_000})).await.unwrap();
    wait_for_status(&stops, &id, "running").await;
    let stays = node(&url, &[]);
    let began = Instant::now();
    let stopped = tokio::task::spawn_blocking(move || stops.stop()).await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(stopped.success(), "{stopped}");
    // It waits for what executes, but not for ever.
    assert!((Duration::from_secs(9)..Duration::from_secs(30)).contains(&took), "{took:?}");
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let run = stays.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap();
        assert_eq!(run["attempt"].as_u64().filter(|attempt| *attempt > 1), None, "nothing was wrong with it: {run}");
        if (&run["status"], &run["attempt"]) == (&json!("running"), &json!(1)) {
            break;
        }
        assert!(Instant::now() < deadline, "the other does not take it: {run}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(nodes(&stays).await.len(), 1, "who has left is not listed");
    let cancel = stays.request(reqwest::Method::POST, &format!("/api/w/default/runs/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancel.status(), 202);
    assert_eq!(stays.ended_run(&id).await.unwrap()["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_only_asleep_cannot_write_a_result() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let asleep = node(&url, &[]);
    asleep.deploy("f/nodes/slow", "typescript", SLOW).await.unwrap();
    let id = asleep.start_run("f/nodes/slow", &json!({"n": 1, "ms": 8000})).await.unwrap();
    wait_for_status(&asleep, &id, "running").await;
    let awake = node(&url, &[]);
    asleep.pause().unwrap();
    let deadline = Instant::now() + Duration::from_secs(15);
    while awake.get_json(&format!("/api/w/default/runs/{id}")).await.unwrap()["attempt"] != 2 {
        assert!(Instant::now() < deadline, "its run is not tried again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    asleep.resume().unwrap();
    let run = awake.ended_run(&id).await.unwrap();
    assert_eq!((run["status"].as_str(), run["attempt"].as_u64()), (Some("succeeded"), Some(2)), "{run}");
    // It has joined again and works.
    let deadline = Instant::now() + Duration::from_secs(10);
    while nodes(&awake).await.len() != 2 {
        assert!(Instant::now() < deadline, "it does not join again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = asleep.call("f/nodes/slow", &json!({"n": 2, "ms": 0})).await.unwrap();
    assert_eq!(again.json().unwrap(), json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_through_a_node_that_does_not_execute_it() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let (api, worker) = (node(&url, &["--role", "api"]), node(&url, &["--role", "worker"]));
    api.deploy("f/nodes/gated", "typescript", GATED).await.unwrap();
    let request = api.request(reqwest::Method::POST, "/hooks/default/stream/f/nodes/gated").json(&json!({"gate": "n"}));
    let mut streamed = Events::of(request).await;
    let run = streamed.run_id();
    let mut all = streamed.take(4).await;
    assert_eq!(all[0].data["message"], "first of attempt 1");
    assert_eq!(api.get_json(&format!("/api/w/default/runs/{run}")).await.unwrap()["status"], "running");
    assert_eq!(log_lines(&api, &run).await.len(), 4, "the log so far, although another node executes it");
    let mut there = follow(&worker, &run, all[2].id).await;
    assert_eq!(there.take(1).await, all[3..], "the same through the other");
    assert_eq!(worker.call("f/nodes/gated", &json!({"gate": "n", "open": true})).await.unwrap().text(), "\"open\"");
    all.extend(streamed.rest().await);
    assert_eq!(all.iter().map(|event| &*event.name).collect::<Vec<_>>(), ["log", "progress", "chunk", "chunk", "log", "end"]);
    assert_eq!(there.rest().await, all[4..]);
    assert_eq!(follow(&api, &run, 0).await.rest().await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_when_the_node_that_executes_dies() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let mut first = node(&url, &[]);
    first.deploy("f/nodes/gated", "typescript", GATED).await.unwrap();
    let run = first.start_run("f/nodes/gated", &json!({"gate": "d"})).await.unwrap();
    wait_for_status(&first, &run, "running").await;
    let second = node(&url, &[]);
    let mut events = follow(&second, &run, 0).await;
    let mut all = events.take(4).await;
    assert_eq!(all[0].data["message"], "first of attempt 1");
    first.kill().unwrap();
    all.extend(events.take(5).await);
    assert_eq!((&*all[4].name, &all[4].data, &all[5].data["message"]), ("attempt", &json!({"begun": 2}), &json!("first of attempt 2")));
    assert_eq!(second.call("f/nodes/gated", &json!({"gate": "d", "open": true})).await.unwrap().text(), "\"open\"");
    all.extend(events.rest().await);
    assert_eq!(all.iter().skip(9).map(|event| &*event.name).collect::<Vec<_>>(), ["log", "end"]);
    assert!(all.is_sorted_by(|one, next| one.id < next.id), "{all:?}");
    assert_eq!(follow(&second, &run, 0).await.rest().await, all);
    assert_eq!(log_lines(&second, &run).await.len(), 9, "what the dead node had logged is kept");
}

/// Three nodes, load, and deaths one after another: what was acknowledged ends once.
#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_that_was_acknowledged() {
    const RUNS: usize = 300;
    const KILLS: usize = 3;
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let mut servers: Vec<Server> = (0..3).map(|_| node(&url, &[])).collect();
    servers[0].deploy("f/nodes/slow", "typescript", SLOW).await.unwrap();
    let mut acknowledged = Vec::new();
    for batch in 0..KILLS {
        for n in 0..RUNS / KILLS {
            let number = batch * RUNS / KILLS + n;
            let server = &servers[number % 3];
            let request = server.request(reqwest::Method::POST, "/hooks/default/start/f/nodes/slow");
            // The key makes it safe to ask again where a node died over the answer.
            let request = request.header("idempotency-key", number.to_string()).json(&json!({"n": number, "ms": 20}));
            let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
            assert_eq!(answer.status, 202, "{answer:?}");
            acknowledged.push((number, answer.json().unwrap()["run_id"].as_str().unwrap().to_owned()));
        }
        servers[batch].kill().unwrap();
        // It waits for the line of the log that says where the server listens.
        servers[batch].restart().unwrap();
    }
    for (number, id) in &acknowledged {
        let run = servers[0].ended_run(id).await.unwrap();
        assert_eq!(run["status"], "succeeded", "{run}");
        assert_eq!(result(&servers[1], id).await, json!(number));
    }
    let count = postgres.execute(url.rsplit('/').next().unwrap(), "SELECT count(*) FROM runs WHERE path = 'f/nodes/slow'").unwrap();
    assert!(count.contains(&RUNS.to_string()), "each is in history once: {count}");
}
