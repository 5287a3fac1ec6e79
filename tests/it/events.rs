//! Following runs: events as they happen, again after a break, and to the end.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::shared::server;
use sandmill_testkit::server::{Answer, Server};

/// Says four things, waits until its gate is opened, says one more.
pub(crate) const GATED: &str = "import { context, output, state } from 'sandmill';
    export async function main(gate: string, open = false) {
        if (open) { state.set(gate, true); return 'open'; }
        console.log('first of attempt', context.attempt);
        output.progress(50, 'half');
        output.write('part ü');
        output.write(new Uint8Array([255, 0, 1]));
        while (!state.get(gate)) await new Promise(r => setTimeout(r, 50));
        console.log('last');
        return { gate };
    }";
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A stream of events that is open.
pub(crate) struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    pub(crate) fn run_id(&self) -> String {
        self.response.headers()["sandmill-run-id"].to_str().unwrap().to_owned()
    }

    /// None when the stream ends.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let read = field("event").map(|name| Event {
                    id: field("id").unwrap().parse().unwrap(),
                    name: name.to_owned(),
                    data: serde_json::from_str(field("data").unwrap()).unwrap(),
                });
                self.text = rest.to_owned();
                if read.is_some() {
                    return read;
                }
            }
            let bytes = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("something comes in time");
            self.text.push_str(std::str::from_utf8(&bytes.ok()??).unwrap());
        }
    }

    /// The next `count` events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.unwrap_or_else(|| panic!("it ended after {events:?}")));
        }
        events
    }

    /// All until the stream ends.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

pub(crate) async fn follow(server: &Server, run: &str, after: i64) -> Events {
    let request = server.request(Method::GET, &format!("/api/w/default/runs/{run}/events"));
    Events::of(request.header("last-event-id", after.to_string())).await
}

async fn stream(server: &Server, path: &str, arguments: &Value) -> Events {
    Events::of(server.request(Method::POST, &format!("/hooks/default/stream/{path}")).json(arguments)).await
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

async fn open(server: &Server, path: &str, gate: &str) {
    assert_eq!(server.call(path, &json!({"gate": gate, "open": true})).await.unwrap().text(), "\"open\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_while_the_run_goes_on_and_can_be_had_again() {
    let server = server();
    let path = "f/events/order";
    server.deploy(path, "typescript", GATED).await.unwrap();
    let mut live = stream(server, path, &json!({"gate": "a"})).await;
    let run = live.run_id();
    let mut all = live.take(4).await;
    assert_eq!(names(&all), ["log", "progress", "chunk", "chunk"]);
    assert_eq!((&all[0].data["message"], &all[0].data["stream"]), (&json!("first of attempt 1"), &json!("log")));
    assert_eq!((&all[1].data["percent"], &all[1].data["text"]), (&json!(50.0), &json!("half")));
    assert_eq!((&all[2].data["text"], &all[3].data["base64"]), (&json!("part ü"), &json!("/wAB")));
    assert_eq!(server.get_json(&format!("/api/w/default/runs/{run}")).await.unwrap()["status"], "running");

    let mut second = follow(server, &run, all[1].id).await;
    assert_eq!(second.take(2).await, all[2..], "from the middle, while it goes on");
    open(server, path, "a").await;
    all.extend(live.rest().await);
    assert_eq!(names(&all), ["log", "progress", "chunk", "chunk", "log", "end"]);
    assert_eq!(all[5].data, json!({"run_id": run, "status": "succeeded", "outcome": "ok", "result": {"gate": "a"}}));
    assert!(all.is_sorted_by(|one, next| one.id < next.id), "{all:?}");
    assert_eq!(second.rest().await, all[4..]);
    for seen in 0..5 {
        assert_eq!(follow(server, &run, if seen == 0 { 0 } else { all[seen - 1].id }).await.rest().await, all[seen..], "after {seen}");
    }
    let nothing = server.request(Method::GET, &format!("/api/w/default/runs/{run}/events?after={}", all[5].id)).send().await.unwrap();
    assert_eq!(nothing.status(), 204, "a browser does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_or_cannot_start() {
    let server = server();
    let source = "export function main(n: number) { console.log('before'); throw new RangeError('too much: ' + n); }";
    server.deploy("f/events/fails", "typescript", source).await.unwrap();
    let events = stream(server, "f/events/fails", &json!({"n": 3})).await.rest().await;
    assert_eq!(names(&events), ["log", "end"]);
    let end = &events[1].data;
    assert_eq!((&end["status"], &end["outcome"], end.get("result")), (&json!("failed"), &json!("error"), None));
    assert_eq!((&end["error"]["name"], &end["error"]["message"]), (&json!("RangeError"), &json!("too much: 3")));
    assert!(end["error"]["stack"].as_str().unwrap().contains("fails.ts"), "{end}");
    let unfit = server.request(Method::POST, "/hooks/default/stream/f/events/fails").json(&json!({"n": "x"})).send().await.unwrap();
    assert_eq!(unfit.status(), 422, "before anything is streamed");
    let unknown = server.request(Method::GET, "/api/w/default/runs/01999999-9999-7999-8999-999999999999/events").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_goes_on_with_the_same_key() {
    let server = server();
    let path = "f/events/key";
    server.deploy(path, "typescript", GATED).await.unwrap();
    let request = || {
        let request = server.request(Method::POST, &format!("/hooks/default/stream/{path}"));
        request.header("idempotency-key", "once").json(&json!({"gate": "k"}))
    };
    let mut first = Events::of(request()).await;
    let (run, seen) = (first.run_id(), first.take(2).await);
    drop(first);
    let again = Events::of(request().header("last-event-id", seen[1].id.to_string())).await;
    assert_eq!(again.run_id(), run);
    open(server, path, "k").await;
    assert_eq!(names(&again.rest().await), ["chunk", "chunk", "log", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_stops_nothing_and_so_many_may_follow() {
    const FOLLOWERS_OF_RUN_MAX: usize = 100;
    let server = Server::start(&[]).unwrap();
    let path = "f/events/many";
    server.deploy(path, "typescript", GATED).await.unwrap();
    let mut gone = stream(&server, path, &json!({"gate": "m"})).await;
    let run = gone.run_id();
    let last = gone.take(4).await.pop().unwrap().id;
    drop(gone);
    let followers = async |count: usize| {
        let deadline = Instant::now() + PATIENCE;
        while !server.metrics().await.unwrap().lines().any(|line| line == format!("sandmill_followers {count}")) {
            assert!(Instant::now() < deadline, "there are not {count} followers");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    followers(0).await;
    let mut many = Vec::new();
    for _ in 0..FOLLOWERS_OF_RUN_MAX {
        many.push(follow(&server, &run, last).await);
    }
    followers(FOLLOWERS_OF_RUN_MAX).await;
    let refused = server.request(Method::GET, &format!("/api/w/default/runs/{run}/events")).send().await.unwrap();
    let refused = Answer::read(refused).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
    assert_eq!(refused.json().unwrap()["code"], "too_many_requests");
    open(&server, path, "m").await;
    for each in many {
        assert_eq!(names(&each.rest().await), ["log", "end"]);
    }
    followers(0).await;
    assert_eq!(server.ended_run(&run).await.unwrap()["status"], "succeeded");
}

/// A node that stops sends its followers away at once, and one that was killed has kept what it said.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle() {
    let mut server = Server::start(&[]).unwrap();
    let path = "f/events/restart";
    server.deploy(path, "typescript", GATED).await.unwrap();
    let mut before = stream(&server, path, &json!({"gate": "r"})).await;
    let run = before.run_id();
    let mut all = before.take(4).await;
    server.stop().unwrap();
    assert_eq!(before.rest().await, [], "it ends without an end");

    server.restart().unwrap();
    let mut after_stop = follow(&server, &run, all[3].id).await;
    let again = after_stop.take(5).await;
    assert_eq!(names(&again), ["attempt", "log", "progress", "chunk", "chunk"]);
    assert_eq!(
        (&again[0].data, &again[1].data["message"]),
        (&json!({"begun": 2}), &json!("first of attempt 1")),
        "handed back, it does not count"
    );
    all.extend(again);
    wait_until_written(&server, 4).await;
    server.kill().unwrap();
    assert_eq!(after_stop.rest().await, []);

    server.restart().unwrap();
    let mut after_kill = follow(&server, &run, all[8].id).await;
    all.extend(after_kill.take(5).await);
    assert_eq!((&all[9].data, &all[10].data["message"]), (&json!({"begun": 3}), &json!("first of attempt 2")));
    open(&server, path, "r").await;
    all.extend(after_kill.rest().await);
    assert_eq!(names(&all[14..]), ["log", "end"]);
    assert!(all.is_sorted_by(|one, next| one.id < next.id), "{all:?}");
    assert_eq!(follow(&server, &run, 0).await.rest().await, all, "all of it once more");
    assert_eq!(log_lines(&server, &run).await.len(), 13, "what each attempt logged, four, four and five");
}

pub(crate) async fn log_lines(server: &Server, run: &str) -> Vec<String> {
    let log = server.run_log(run).await.unwrap();
    log.lines().map(ToOwned::to_owned).collect()
}

/// Waits until so many entries of runs that go on are in the database: what a node has only in memory dies with it.
async fn wait_until_written(server: &Server, entries: u64) {
    let deadline = Instant::now() + PATIENCE;
    let written = |metrics: String| {
        let line = metrics.lines().find_map(|line| line.strip_prefix("sandmill_live_log_entries_total ").map(str::to_owned));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    while written(server.metrics().await.unwrap()) < entries {
        assert!(Instant::now() < deadline, "{entries} entries are not written");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
