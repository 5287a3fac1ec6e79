//! Every command against a server that answers from a list.

use std::fs;

use clap::{Command, FromArgMatches, Subcommand};
use sandmill_model::{BoxFuture, Input, JsonText, Language, Outcome, OutcomeKind, Output, RunError, build::BuildError};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

mod audit;
mod people;
mod resources;
mod settings;
mod steering;
mod tokens;
mod triggers;

use crate::{ClientCommand, LocalRunError, LocalRunRequest, LocalRunner, LocalSession, Outbound, Session, console::Console};

const RUN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// One answer: request line that it is for, status, headers, body.
type Answer = (&'static str, &'static str, &'static str, &'static str);

/// Answers requests in the order of the list, one connection each, and gives the bodies that it got, or the ids of last events, and idempotency keys.
async fn serve(listener: TcpListener, answers: Vec<Answer>) -> (Vec<String>, Vec<String>) {
    let (mut bodies, mut keys) = (Vec::new(), Vec::new());
    for (expected, status, headers, body) in answers {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(line.trim_end().trim_end_matches(" HTTP/1.1"), expected);
        let (mut length, mut token, mut last_event) = (0, String::new(), String::new());
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            let header = header.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if let Some(value) = header.strip_prefix("last-event-id: ") {
                last_event = value.to_owned();
            }
            keys.extend(header.strip_prefix("idempotency-key: ").map(str::to_owned));
            if let Some(value) = header.strip_prefix("authorization: ") {
                token = value.to_owned();
            }
        }
        assert_eq!(token, "bearer sm_test");
        let mut received = vec![0; length];
        stream.read_exact(&mut received).await.unwrap();
        bodies.push(if last_event.is_empty() { String::from_utf8_lossy(&received).into_owned() } else { last_event });
        let length = if headers.contains("chunked") { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let response = format!("HTTP/1.1 {status}\r\n{headers}{length}connection: close\r\n\r\n{body}");
        stream.write_all(response.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    (bodies, keys)
}

struct Local(fn(LocalRunRequest) -> Result<Outcome, LocalRunError>);

impl LocalRunner for Local {
    fn run(&self, request: LocalRunRequest) -> BoxFuture<'_, Result<Outcome, LocalRunError>> {
        let outcome = (self.0)(request);
        Box::pin(async { outcome })
    }

    fn open(&self, _: Outbound) -> BoxFuture<'_, Result<Box<dyn LocalSession>, LocalRunError>> {
        Box::pin(async { Err(LocalRunError::Setup("no sandbox here".into())) })
    }
}

struct Done {
    exit: u8,
    out: String,
    err: String,
    bodies: Vec<String>,
    keys: Vec<String>,
}

async fn check(arguments: &[&str], local: &dyn LocalRunner, answers: Vec<Answer>) -> Done {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let root = ClientCommand::augment_subcommands(Command::new("sandmill"));
    let all =
        std::iter::once("sandmill").chain(arguments.iter().copied()).chain(["--server", &server, "--token", "sm_test", "--workspace", "w"]);
    let command = ClientCommand::from_arg_matches(&root.try_get_matches_from(all).unwrap()).unwrap();
    let globals = command.globals().clone();
    let (console, out, err) = Console::captured(globals.json);
    let mut session = Session { globals, console, local };
    let execute = async {
        match super::execute(command, &mut session).await {
            Ok(()) => 0,
            Err(error) => {
                session.console.error(&error);
                error.exit() as u8
            }
        }
    };
    let (exit, (bodies, keys)) = tokio::join!(execute, serve(listener, answers));
    Done { exit, out: out.text(), err: err.text(), bodies, keys }
}

/// Whether nothing is done, because the arguments are none.
fn is_refused(arguments: &[&str]) -> bool {
    let root = ClientCommand::augment_subcommands(Command::new("sandmill"));
    root.try_get_matches_from(std::iter::once(&"sandmill").chain(arguments)).is_err()
}

async fn remote(arguments: &[&str], answers: Vec<Answer>) -> Done {
    check(arguments, &Local(|_| Err(LocalRunError::Setup("nothing local is meant".into()))), answers).await
}

const PROBLEM: &str = "content-type: application/problem+json\r\n";
const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn a_result_is_printed_as_it_is() {
    let done = remote(
        &["run", "f/demo/hello@3", "--args", r#"{"n": 12345678901234567890}"#],
        vec![(
            "POST /api/w/w/runs",
            "200 OK",
            "content-type: application/json\r\nsandmill-run-id: r1\r\n",
            r#"{"big": 12345678901234567890}"#,
        )],
    )
    .await;
    assert_eq!((done.exit, done.out.as_str()), (0, "{\"big\": 12345678901234567890}\n"), "{}", done.err);
    assert_eq!(done.bodies, [r#"{"path":"f/demo/hello@3","args":{"n": 12345678901234567890},"wait":true}"#]);
    let done = remote(
        &["run", "f/demo/hello", "--json"],
        vec![("POST /api/w/w/runs", "200 OK", "content-type: application/json\r\nsandmill-run-id: r1\r\n", "[1]")],
    )
    .await;
    assert_eq!(done.out, "{\"run_id\":\"r1\",\"result\":[1]}\n");
}

#[tokio::test]
async fn an_event_takes_the_place_of_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let (script, event) = (folder.path().join("hello.ts"), folder.path().join("event.json"));
    fs::write(&script, "source").unwrap();
    fs::write(&event, r#"{"headers": {"X-A": "b"}, "body": {"n": 1.50}}"#).unwrap();
    let from_file = format!("@{}", event.display());
    let ok = ("POST /api/w/w/runs", "200 OK", JSON, "[1]");
    let done = remote(&["run", "f/demo/hello", "--event", &from_file], vec![ok]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "[1]\n"), "{}", done.err);
    let sent: serde_json::Value = serde_json::from_str(&done.bodies[0]).unwrap();
    assert_eq!((sent.get("args"), &sent["event"]["kind"]), (None, &serde_json::json!("http")));
    assert_eq!(sent["event"]["metadata"]["headers"], serde_json::json!({"x-a": "b"}));
    assert_eq!(sent["event"]["payload_base64"], "eyJuIjogMS41MH0=");

    let local = Local(|request| match request.input {
        Input::Event(event) if &*event.trigger.kind == "other" && &event.payload[..] == b"hi" => {
            Ok(Outcome { kind: OutcomeKind::Skipped, error: None, ..Outcome::host_fault("") })
        }
        other => Err(LocalRunError::Setup(format!("{other:?}"))),
    });
    let done = check(&["run", script.to_str().unwrap(), "--event", r#"{"kind": "other", "payload": "hi"}"#], &local, vec![]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "null\n"), "{}", done.err);
    for bad in [r#"{"kinds": 1}"#, "[", r#"{"metadata": {"kind": "x"}}"#, "@/nowhere"] {
        assert_eq!(remote(&["run", "f/demo/hello", "--event", bad], vec![]).await.exit, 2, "{bad}");
    }
    assert!(is_refused(&["run", "f/demo/hello", "--event", "{}", "--arg", "a=1"]));
    assert!(is_refused(&["run", "f/demo/hello", "--event", "{}", "--args", "{}"]));
}

#[tokio::test]
async fn nodes_are_listed() {
    let body = r#"{"items":[{"name":"node-a","release":"0.1.0","roles":["api","worker"],"tags":[],"slots":64,"running":3,"started_at":"x","seen_at":"2026-01-02T03:04:05Z"}]}"#;
    let answer = ("GET /api/instance/nodes", "200 OK", JSON, body);
    let done = remote(&["nodes", "list"], vec![answer]).await;
    let expected = "NODE    ROLES       TAGS  RUNNING  SLOTS  RELEASE  SEEN\nnode-a  api,worker  -     3        64     0.1.0    2026-01-02T03:04:05Z\n";
    assert_eq!((done.exit, done.out.as_str()), (0, expected), "{}", done.err);
    let done = remote(&["nodes", "list", "--json"], vec![answer]).await;
    assert_eq!(done.out, format!("{body}\n"));
}

#[tokio::test]
async fn a_long_run_is_waited_for() {
    let pending = "content-type: application/json\r\nlocation: /api/w/w/runs/r1/result\r\nsandmill-run-id: r1\r\n";
    let receipt = r#"{"run_id":"r1","status":"running"}"#;
    let done = remote(
        &["run", "f/demo/slow"],
        vec![
            ("POST /api/w/w/runs", "202 Accepted", pending, receipt),
            ("GET /api/w/w/runs/r1/result", "202 Accepted", pending, receipt),
            ("GET /api/w/w/runs/r1/result", "200 OK", JSON, "\"done\""),
        ],
    )
    .await;
    assert_eq!((done.exit, done.out.as_str(), done.err.as_str()), (0, "\"done\"\n", ""));
}

#[tokio::test]
async fn exit_codes_and_messages() {
    let failed = r#"{"code":"error","detail":"no","run_id":"r1","request_id":"q1","error":{"name":"TypeError","message":"no","stack":"    at main (a.ts:1:2)"}}"#;
    let run = "POST /api/w/w/runs";
    for (status, body, exit, expected) in [
        ("500 Internal Server Error", failed, 1, "TypeError: no\n    at main (a.ts:1:2)"),
        (
            "422 Unprocessable",
            r#"{"code":"invalid_arguments","detail":"bad","faults":[{"pointer":"/n","message":"is missing"}]}"#,
            2,
            "/n: is missing",
        ),
        ("404 Not Found", r#"{"code":"not_found","detail":"nothing there"}"#, 3, "nothing there"),
        ("401 Unauthorized", r#"{"code":"unauthorized","detail":"a token is needed"}"#, 3, "a token is needed"),
    ] {
        let done = remote(&["run", "f/demo/hello"], vec![(run, status, PROBLEM, body)]).await;
        assert_eq!((done.exit, done.out.as_str()), (exit, ""), "{status}");
        assert!(done.err.contains(expected), "{}", done.err);
    }
    let done = remote(&["run", "f/demo/hello"], vec![(run, "200 OK", "", "")]).await;
    assert_eq!(done.exit, 0, "an answer without a type is bytes");
    let done = remote(&["run", "f/demo/hello"], vec![(run, "502 Bad Gateway", "content-type: text/html\r\n", "<html>")]).await;
    assert_eq!(done.exit, 3);
    let done = remote(&["run", "hello"], vec![]).await;
    assert_eq!(done.exit, 2, "{}", done.err);
}

#[tokio::test]
async fn push_says_where_it_went_or_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.ts");
    fs::write(&file, "export function main() {}").unwrap();
    let file = file.to_str().unwrap();
    let deployed = r#"{"path":"f/demo/hello","number":2,"version":"sha256:0","language":"typescript","schema":{},"warnings":[{"file":"hello.ts","line":1,"column":1,"message":"unused","source_line":"x"}]}"#;
    let done =
        remote(&["push", file, "--path", "f/demo/hello"], vec![("PUT /api/w/w/scripts/f/demo/hello", "201 Created", JSON, deployed)]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "f/demo/hello@2\n"), "{}", done.err);
    assert!(done.err.starts_with("warning: unused\n --> hello.ts:1:1"), "{}", done.err);
    let body: serde_json::Value = serde_json::from_str(&done.bodies[0]).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"language": "typescript", "source": "export function main() {}", "manifest": {"limits": {}}, "file_name": "hello.ts"})
    );

    let version = ("GET /api/instance/version", "200 OK", JSON, r#"{"version":"0.1.0","identity":"u/ann"}"#);
    let done = remote(&["push", file], vec![version, ("PUT /api/w/w/scripts/u/ann/hello", "200 OK", JSON, deployed)]).await;
    assert_eq!(done.exit, 0, "{}", done.err);

    let faults = r#"{"code":"compile_failed","detail":"x","diagnostics":[{"file":"hello.ts","line":1,"column":8,"message":"expected `;`","source_line":"const a b"}]}"#;
    let done = remote(
        &["push", file, "--path", "f/demo/hello"],
        vec![("PUT /api/w/w/scripts/f/demo/hello", "422 Unprocessable", PROBLEM, faults)],
    )
    .await;
    assert_eq!((done.exit, done.err.as_str()), (2, "error: expected `;`\n --> hello.ts:1:8\n  |\n1 | const a b\n  |        ^\n"));
}

#[tokio::test]
async fn a_folder_is_pushed_whole_although_one_script_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sandmill.toml"), "folder = \"f/demo\"\nsource = \".\"\n").unwrap();
    for (name, text) in [("a.ts", "a"), ("b.js", "b"), ("c.wasm", "\0asm")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let answer = r#"{"path":"p","number":1}"#;
    let problem = r#"{"code":"compile_failed","detail":"bad"}"#;
    let done = remote(
        &["push", folder.path().to_str().unwrap()],
        vec![
            ("PUT /api/w/w/scripts/f/demo/a", "422 Unprocessable", PROBLEM, problem),
            ("PUT /api/w/w/scripts/f/demo/b", "201 Created", JSON, answer),
            ("PUT /api/w/w/scripts/f/demo/c?file_name=c.wasm", "201 Created", JSON, answer),
        ],
    )
    .await;
    assert_eq!((done.exit, done.out.as_str()), (2, "p@1\np@1\n"));
    assert_eq!(done.bodies[2], "\0asm");
}

const EVENTS: &str = "content-type: text/event-stream\r\n";
const ONE: &str =
    "id: 41\nevent: log\ndata: {\"at\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"info\",\"stream\":\"log\",\"message\":\"one\"}\n\n";

#[tokio::test]
async fn a_log_is_followed_to_the_runs_end() {
    let events = format!("GET /api/w/w/runs/{RUN}/events").leak() as &'static str;
    let at = "\"at\":\"2026-01-02T03:04:06.000000Z\"";
    let broken_off =
        format!("retry: 1000\n\n{ONE}id: 42\nevent: progress\ndata: {{{at},\"percent\":50,\"text\":\"half\"}}\n\nid: 43\nevent: chu");
    let rest = format!(
        "id: 43\nevent: chunk\ndata: {{{at},\"base64\":\"/wAB\"}}\n\nevent: end\ndata: {{\"outcome\":\"error\",\"error\":{{\"name\":\"Error\",\"message\":\"no\"}}}}\n\n"
    );
    let busy = r#"{"code":"too_many_requests","detail":"later"}"#;
    let done = remote(
        &["runs", "log", RUN, "--follow"],
        vec![
            (events, "200 OK", EVENTS, broken_off.leak()),
            (events, "429 Too Many Requests", PROBLEM, busy),
            (events, "200 OK", EVENTS, ""),
            (events, "200 OK", EVENTS, rest.leak()),
        ],
    )
    .await;
    let printed = [
        "03:04:05.678 INFO  one\n",
        "03:04:06.000 INFO  [progress] half {\"percent\":50.0}\n",
        "03:04:06.000 INFO  [output] /wAB {\"encoding\":\"base64\"}\n",
    ];
    assert_eq!((done.exit, done.out, done.err.as_str()), (1, printed.concat(), "Error: no\n"));
    assert_eq!(done.bodies, ["", "42", "42", "42"], "it goes on behind what it has seen");
    let gone = remote(
        &["runs", "log", RUN, "--follow"],
        vec![(events, "404 Not Found", PROBLEM, r#"{"code":"not_found","detail":"no such run"}"#)],
    )
    .await;
    assert_eq!((gone.exit, gone.err.as_str()), (3, "error: no such run\n(not_found)\n"));
}

#[tokio::test]
async fn a_run_is_shown_while_it_goes_on() {
    let start = ("POST /api/w/w/runs", "202 Accepted", JSON, r#"{"run_id":"r1","status":"queued"}"#);
    let end = |end: &str| format!("{ONE}event: end\ndata: {end}\n\n").leak() as &'static str;
    let events = "GET /api/w/w/runs/r1/events";
    let ok = end(r#"{"outcome":"ok","result":{"big": 12345678901234567890}}"#);
    let done = remote(&["run", "f/demo/hello", "--stream"], vec![start, (events, "200 OK", EVENTS, ok)]).await;
    assert_eq!((done.exit, done.out.as_str(), done.err.as_str()), (0, "{\"big\": 12345678901234567890}\n", "03:04:05.678 INFO  one\n"));
    assert_eq!(done.bodies[0], r#"{"path":"f/demo/hello","args":{},"wait":false}"#);
    let done = remote(&["run", "f/demo/hello", "--stream", "--json"], vec![start, (events, "200 OK", EVENTS, ok)]).await;
    assert_eq!(done.out, "{\"run_id\":\"r1\",\"result\":{\"big\": 12345678901234567890}}\n");
    let bytes = end(r#"{"outcome":"ok","bytes":{"content_type":"text/csv","base64":"YQ=="}}"#);
    let result = ("GET /api/w/w/runs/r1/result", "200 OK", "content-type: text/csv\r\n", "a");
    let done = remote(&["run", "f/demo/hello", "--stream"], vec![start, (events, "200 OK", EVENTS, bytes), result]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "a"));
    let far = end(r#"{"outcome":"ok","result_at":"/api/w/w/runs/r1/result"}"#);
    let answers =
        |status, headers, body| vec![start, (events, "200 OK", EVENTS, far), ("GET /api/w/w/runs/r1/result", status, headers, body)];
    let done = remote(&["run", "f/demo/hello", "--stream"], answers("200 OK", JSON, "\"long\"")).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "\"long\"\n"));
    let mut later = answers("503 Service Unavailable", PROBLEM, r#"{"code":"unavailable","detail":"later"}"#);
    later.push(("GET /api/w/w/runs/r1/result", "200 OK", JSON, "\"long\""));
    assert_eq!(remote(&["run", "f/demo/hello", "--stream"], later).await.out, "\"long\"\n");
    let gone = answers("410 Gone", PROBLEM, r#"{"code":"result_gone","detail":"it is gone"}"#);
    let done = remote(&["run", "f/demo/hello", "--stream"], gone).await;
    assert_eq!((done.exit, done.out.as_str()), (3, ""), "{}", done.err);
    let null = end(r#"{"outcome":"ok","result":null}"#);
    let done = remote(&["run", "f/demo/hello", "--stream"], vec![start, (events, "200 OK", EVENTS, null)]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "null\n"));
    let failed = end(r#"{"outcome":"out_of_fuel","error":{"name":"out_of_fuel","message":"used up"}}"#);
    let done = remote(&["run", "f/demo/hello", "--stream"], vec![start, (events, "200 OK", EVENTS, failed)]).await;
    assert_eq!((done.exit, done.out.as_str()), (1, ""));
    assert!(done.err.ends_with("out_of_fuel: used up\n"), "{}", done.err);
    assert_eq!(remote(&["run", "./hello.ts", "--stream"], vec![]).await.exit, 2);
}

#[tokio::test]
async fn a_log_is_printed_as_it_comes() {
    let log = format!("GET /api/w/w/runs/{RUN}/log").leak() as &'static str;
    let line = "{\"at\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"info\",\"stream\":\"log\",\"message\":\"one\"}\n";
    let lines = line.repeat(3).leak() as &'static str;
    let done = remote(&["runs", "log", RUN], vec![(log, "200 OK", "", lines)]).await;
    assert_eq!((done.exit, done.out), (0, "03:04:05.678 INFO  one\n".repeat(3)), "{}", done.err);
    let done = remote(&["runs", "log", RUN, "--json"], vec![(log, "200 OK", "", lines)]).await;
    assert_eq!(done.out, lines);
    // The server broke off after one line.
    let chunk = format!("{:x}\r\n{line}\r\n", line.len()).leak() as &'static str;
    let done = remote(&["runs", "log", RUN], vec![(log, "200 OK", "transfer-encoding: chunked\r\n", chunk)]).await;
    assert_eq!((done.exit, done.out.as_str()), (3, "03:04:05.678 INFO  one\n"));
    assert!(done.err.contains("not all of it"), "{}", done.err);
}

#[tokio::test]
async fn lists_steering_and_downloads() {
    let scripts =
        r#"{"items":[{"path":"f/a/b","number":3,"version":"x","language":"typescript","created_at":"x","created_by":"u/a"}],"next":null}"#;
    let done =
        remote(&["scripts", "list", "--prefix", "f/"], vec![("GET /api/w/w/scripts?limit=50&prefix=f%2F", "200 OK", JSON, scripts)]).await;
    assert_eq!(done.out, "SCRIPT   LANGUAGE    BY   DESCRIPTION\nf/a/b@3  typescript  u/a\n");
    let empty = r#"{"items":[],"next":null}"#;
    let done = remote(
        &["runs", "list", "--status", "failed", "--json"],
        vec![("GET /api/w/w/runs?status=failed&limit=50", "200 OK", JSON, empty)],
    )
    .await;
    assert_eq!(done.out.trim_end(), empty);
    let cancel = format!("POST /api/w/w/runs/{RUN}/cancel").leak() as &'static str;
    let done = remote(&["runs", "cancel", RUN], vec![(cancel, "202 Accepted", JSON, r#"{"run_id":"r","status":"running"}"#)]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "r running\n"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.wasm");
    let arguments = ["scripts", "download", "f/a/b@3", "--standalone", "-o", file.to_str().unwrap()];
    let done = remote(
        &arguments,
        vec![("GET /api/w/w/programs/f/a/b@3?form=standalone", "200 OK", "content-type: application/wasm\r\n", "\0asm")],
    )
    .await;
    assert_eq!((done.exit, fs::read(&file).unwrap().as_slice()), (0, &b"\0asm"[..]), "{}", done.err);
}

#[tokio::test]
async fn a_file_runs_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.ts");
    fs::write(&file, "source").unwrap();
    let file = file.to_str().unwrap();
    let ok = Local(|request| {
        assert_eq!(
            (request.language, request.source.as_slice(), request.input.arguments().as_str()),
            (Language::TypeScript, &b"source"[..], "{\"n\":1}")
        );
        Ok(Outcome {
            kind: OutcomeKind::Ok,
            output: Some(Output::Json(JsonText::trusted("[ 1 ]"))),
            error: None,
            ..Outcome::host_fault("")
        })
    });
    let done = check(&["run", file, "--arg", "n=1"], &ok, vec![]).await;
    assert_eq!((done.exit, done.out.as_str()), (0, "[ 1 ]\n"), "{}", done.err);
    let failing = Local(|_| Ok(Outcome::failed(OutcomeKind::OutOfFuel, RunError::new("out_of_fuel", "used up"))));
    let done = check(&["run", file], &failing, vec![]).await;
    assert_eq!((done.exit, done.err.as_str()), (1, "out_of_fuel: used up\n"));
    let unbuildable = Local(|_| Err(LocalRunError::Build(BuildError::LimitReached("60 s".into()))));
    assert_eq!(check(&["run", file], &unbuildable, vec![]).await.exit, 2);
    assert_eq!(check(&["run", file, "--start"], &ok, vec![]).await.exit, 2);
    assert_eq!(check(&["run", "./gone.ts"], &ok, vec![]).await.exit, 2);
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let globals = crate::Globals { server: Some(server), token: Some("sm_test".into()), workspace: None, ca: None, json: false };
    let (arguments, terms) = (JsonText::empty_object(), crate::client::Terms::default());
    let order = crate::client::Order { target: "f/a/b", arguments: &arguments, event: None, terms: &terms };
    let error = crate::client::Server::of(&globals).unwrap().start(&order).await.unwrap_err();
    assert_eq!(error.exit() as u8, 3);
}
