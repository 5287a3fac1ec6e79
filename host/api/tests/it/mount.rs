//! Stored triggers that take requests: who is let in, what is refused before anything is read, what their modes answer.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use sandmill_model::{
    BoxFuture, Code, JsonText, Output, ScriptPath, WorkspaceId,
    code::Refusal,
    trigger::{
        Access, Address, ConfigError, Endpoint, EndpointKey, File, Head, Incoming, Kind, Kinds, Mode, Mounted, NewEvent, Operation,
        Received, Reception, Reply, To, TriggerOptions,
    },
};
use sandmill_store::triggers::NewTrigger;
use serde_json::json;

use crate::support::{Api, Call, get, head, options, post, put};

/// `/door/{workspace}/{path}`, with a knock that must be right.
struct Door;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    method: String,
    path: String,
    access: String,
}

impl Endpoint for Door {
    const KIND: &'static str = "door";
    const SUMMARY: &'static str = "For tests.";
    const PREFIX: &'static str = "door";
    const OPERATIONS: &'static [Operation] = &[Operation::new("POST", "{workspace}/{path}", Reply::Result, "Knocks.")];
    type Config = Settings;
    type Event = Settings;
    type Ready = Settings;

    fn prepare(config: Settings) -> Result<Settings, ConfigError> {
        Ok(config)
    }

    fn keys(ready: &Settings, _: &ScriptPath) -> Vec<EndpointKey> {
        vec![EndpointKey::Route { method: ready.method.parse().unwrap(), pattern: ready.path.parse().unwrap() }]
    }

    fn address(head: Head<'_>) -> Result<Address<'_>, Refusal> {
        let (workspace, path) = head.rest.split_once('/').ok_or_else(|| Refusal::new(Code::NotFound, "not the shape of a door"))?;
        let asked = head.headers.get("access-control-request-method").and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let method = asked.filter(|_| *head.method == Method::OPTIONS).unwrap_or_else(|| head.method.clone());
        Ok(Address { workspace, to: To::Stored { method, path: format!("/{path}").into() } })
    }

    fn access(ready: &Settings) -> Access {
        match ready.access.as_str() {
            "token" => Access::Token,
            "kind" => Access::Kind,
            script => Access::Script(script.parse().unwrap()),
        }
    }

    fn receive(ready: &Settings, incoming: Incoming) -> Result<Reception, Refusal> {
        if incoming.request.method() == Method::OPTIONS {
            return Ok(Reception::Answer(Response::new(Bytes::from_static(b"open"))));
        }
        let knock = incoming.request.headers().get("knock");
        if ready.access == "kind" && knock.is_none_or(|knock| knock != "right") {
            return Err(Refusal::new(Code::Unauthorized, "not that knock"));
        }
        let params: Vec<String> = incoming.params.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let caller = incoming.caller.as_deref().unwrap_or_default();
        let payload = format!("{{\"caller\":\"{caller}\",{}}}", params.join(","));
        let data = incoming.request.into_body();
        let files = if data.starts_with(b"file") { vec![File { key: "k".into(), content_type: String::new(), data }] } else { Vec::new() };
        let event = NewEvent::new(JsonText::empty_object(), payload.into());
        Ok(Reception::Event(Box::new(Received { files, ..event.into() })))
    }

    fn answer(_: &Settings, output: &Output) -> Result<Response<Bytes>, Refusal> {
        match output {
            Output::Json(json) => Ok(Response::new(json.as_str().to_owned().into())),
            _ => Err(Refusal::new(Code::RunError, "not JSON")),
        }
    }

    fn dress(_: &Settings, _: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.insert("x-dressed", HeaderValue::from_static("yes"));
        headers.insert("www-authenticate", HeaderValue::from_static("Knock"));
    }
}

#[derive(Default)]
struct Shelf(Mutex<Vec<(WorkspaceId, File)>>);

impl sandmill_dispatch::Files for Shelf {
    fn keep(&self, workspace: WorkspaceId, file: File) -> BoxFuture<'_, Result<(), Refusal>> {
        self.0.lock().unwrap().push((workspace, file));
        Box::pin(async { Ok(()) })
    }

    fn forget(&self, workspace: WorkspaceId, key: String) -> BoxFuture<'_, Result<(), Refusal>> {
        self.0.lock().unwrap().retain(|(of, file)| *of != workspace || file.key != key);
        Box::pin(async { Ok(()) })
    }
}

async fn house() -> (Api, Arc<Shelf>) {
    let shelf = Arc::new(Shelf::default());
    let files: Arc<dyn sandmill_dispatch::Files> = Arc::<Shelf>::clone(&shelf);
    let api = Api::armed(Kinds::from_iter([Kind::endpoint(Mounted::<Door>::shared())]), files).await;
    api.deploy("f/t/echo").await;
    (api, shelf)
}

/// Stores a trigger `f/door/{name}` of `f/t/echo` at `{method} {path}`.
async fn stored(api: &Api, name: &str, (method, path): (&str, &str), access: &str, (mode, options): (Mode, TriggerOptions)) {
    let config = json!({"method": method, "path": path, "access": access}).to_string();
    let key = EndpointKey::Route { method: method.parse().unwrap(), pattern: path.parse().unwrap() };
    let now = sandmill_model::Clock::now(&*api.clock);
    let new = NewTrigger {
        workspace: api.workspace,
        path: format!("f/door/{name}").parse().unwrap(),
        kind: "door".into(),
        target: "f/t/echo".parse().unwrap(),
        config: JsonText::trusted(config),
        options,
        mode,
        description: String::new(),
        keys: vec![key.text()],
        seats: 0,
        triggers_max: None,
        over: None,
        by: "u/ann".into(),
        now,
    };
    api.store.triggers.put(new).await.unwrap().unwrap();
    api.dispatch.tell_triggers(api.workspace);
}

fn knock(path: &str) -> Call {
    post(path).no_token().header("knock", "right").client("192.0.2.1", true)
}

#[tokio::test]
async fn a_stored_trigger_takes_its_requests() {
    let (api, shelf) = house().await;
    stored(&api, "one", ("POST", "/a/:id"), "kind", (Mode::On, TriggerOptions::default())).await;
    let answer = knock("/door/w/a/7").body("file").to(&api).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"caller":"","id":"7"}"#), "{answer:?}");
    assert_eq!((answer.header("x-dressed"), answer.header("content-security-policy")), (Some("yes"), Some("sandbox")));
    let attempt = api.stage.last_attempt();
    assert_eq!((&*attempt.run_as, attempt.input.trigger().unwrap().path.as_deref()), ("u/ann", Some("f/door/one")));
    assert_eq!(shelf.0.lock().unwrap().len(), 1);
    let wrong = put("/door/w/a/7").no_token().to(&api).await;
    wrong.is_problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("POST"));
    for nothing in ["/door/w/b", "/door/w/a", "/door/w/a/", "/door/w/a/%2e%2e", "/door/nowhere/a/7"] {
        let answer = knock(nothing).to(&api).await;
        assert_eq!(answer.is_problem(404, "not_found")["detail"], "there is nothing here", "{nothing}");
    }
    stored(&api, "two", ("GET", "/g"), "kind", (Mode::On, TriggerOptions::default())).await;
    assert_eq!(head("/door/w/g").no_token().header("knock", "right").to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn who_is_not_let_in_is_counted_and_shuts_nobody_else_out() {
    let (api, _) = house().await;
    stored(&api, "one", ("POST", "/a/:id"), "kind", (Mode::On, TriggerOptions::default())).await;
    stored(&api, "two", ("POST", "/b/:id"), "kind", (Mode::On, TriggerOptions::default())).await;
    let wrong = |client: &str| post("/door/w/a/7").no_token().client(client, true);
    assert_eq!(knock("/door/w/a/7").client("192.0.2.9", true).to(&api).await.status, 200);
    for client in ["192.0.2.1", "192.0.2.9"] {
        for _ in 0..100 {
            let answer = wrong(client).to(&api).await;
            answer.is_problem(401, "unauthorized");
            assert_eq!((answer.header("x-dressed"), answer.header("www-authenticate")), (Some("yes"), Some("Knock")));
        }
    }
    wrong("192.0.2.1").to(&api).await.is_problem(429, "too_many_requests");
    knock("/door/w/a/7").to(&api).await.is_problem(429, "too_many_requests");
    assert_eq!(knock("/door/w/a/7").client("192.0.2.9", true).to(&api).await.status, 200, "it is known");
    assert_eq!(knock("/door/w/a/7").client("192.0.2.2", true).to(&api).await.status, 200);
    assert_eq!(knock("/door/w/b/7").to(&api).await.status, 200, "another trigger");
    assert_eq!(get("/api/w/w/runs").client("192.0.2.1", true).to(&api).await.status, 200, "nor of its tokens");
    api.stop().await;
}

#[tokio::test]
async fn tokens_and_scripts_let_in_where_the_trigger_says_so() {
    let (api, _) = house().await;
    stored(&api, "token", ("POST", "/t/:id"), "token", (Mode::On, TriggerOptions::default())).await;
    stored(&api, "script", ("POST", "/s/:id"), "f/t/null", (Mode::On, TriggerOptions::default())).await;
    post("/door/w/t/1").no_token().to(&api).await.is_problem(401, "unauthorized");
    api.token("sm_other", Some(api.workspace), &["runs:start:f/other/*"]).await;
    post("/door/w/t/1").token("sm_other").to(&api).await.is_problem(403, "forbidden");
    let answer = post("/door/w/t/1").to(&api).await;
    assert_eq!(answer.text(), r#"{"caller":"u/ann","id":"1"}"#, "{answer:?}");
    // It is not there, and then says nothing that is understood.
    post("/door/w/s/1").no_token().to(&api).await.is_problem(500, "internal");
    api.deploy("f/t/null").await;
    post("/door/w/s/1").no_token().to(&api).await.is_problem(500, "internal");
    let asks = |call: Call| call.no_token().header("origin", "https://a.test").header("access-control-request-method", "POST");
    for path in ["/door/w/t/1", "/door/w/s/1"] {
        let answer = asks(options(path)).to(&api).await;
        assert_eq!((answer.status.as_u16(), answer.text(), answer.header("x-dressed")), (200, "open", Some("yes")), "{path}");
    }
    api.stop().await;
}

/// Each time that it is asked is a run of the workspace's: a stranger whom it refuses, or who only has it fail, must not have as many as they like.
#[tokio::test]
async fn a_script_that_decides_is_not_asked_without_end() {
    let (api, _) = house().await;
    api.deploy("f/t/null").await;
    stored(&api, "script", ("POST", "/s/:id"), "f/t/null", (Mode::On, TriggerOptions::default())).await;
    let ask = |client: &str| post("/door/w/s/1").no_token().client(client, true);
    for _ in 0..100 {
        ask("192.0.2.1").to(&api).await.is_problem(500, "internal");
    }
    for _ in 0..3 {
        ask("192.0.2.1").to(&api).await.is_problem(429, "too_many_requests");
    }
    assert_eq!(api.stage.attempts.lock().unwrap().len(), 100);
    ask("192.0.2.2").to(&api).await.is_problem(500, "internal");
    api.stop().await;
}

#[tokio::test]
async fn modes_and_limits() {
    let (api, _) = house().await;
    let small = TriggerOptions { payload_bytes_max: Some(4), ..TriggerOptions::default() };
    stored(&api, "small", ("POST", "/small/:id"), "kind", (Mode::On, small)).await;
    knock("/door/w/small/1").body("12345").to(&api).await.is_problem(413, "payload_too_large");
    assert_eq!(knock("/door/w/small/1").body("1234").to(&api).await.status, 200);
    stored(&api, "held", ("POST", "/held/:id"), "kind", (Mode::Held, TriggerOptions::default())).await;
    let held = knock("/door/w/held/1").to(&api).await;
    assert_eq!((held.status.as_u16(), held.value()["status"].clone()), (202, json!("held")));
    stored(&api, "captured", ("POST", "/captured/:id"), "kind", (Mode::Capture, TriggerOptions::default())).await;
    let captured = knock("/door/w/captured/1").to(&api).await;
    assert!(captured.status == 202 && captured.value()["captured"].is_string(), "{captured:?}");
    let runs = api.stage.attempts.lock().unwrap().len();
    assert_eq!(runs, 1, "neither has run");
    api.stop().await;
}

#[tokio::test]
async fn files_of_what_nothing_comes_of_are_given_up() {
    let (api, shelf) = house().await;
    let filter = serde_json::from_value(json!({"all": [{"pointer": "/body/never", "operator": "exists"}]})).unwrap();
    let options = TriggerOptions { filter: Some(filter), ..TriggerOptions::default() };
    stored(&api, "none", ("POST", "/none/:id"), "kind", (Mode::On, options)).await;
    stored(&api, "captured", ("POST", "/captured/:id"), "kind", (Mode::Capture, TriggerOptions::default())).await;
    let kept = || shelf.0.lock().unwrap().len();
    assert_eq!(knock("/door/w/none/1").body("file").to(&api).await.status, 204);
    for _ in 0..500 {
        if kept() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(kept(), 0);
    assert_eq!(knock("/door/w/captured/1").body("file").to(&api).await.status, 202);
    api.stop().await;
    assert_eq!(kept(), 1, "a replay finds it");
}
