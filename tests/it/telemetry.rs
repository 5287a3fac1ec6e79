//! Traces, as a collector gets them.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use sandmill_testkit::{postgres::Postgres, server::Server};
use serde_json::{Value, json};

use crate::site::Site;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Starts `path` and waits for it, unless it is the last.
const STARTS: &str = "import { runs } from 'sandmill';
    export async function main(path: string, fail = false) {
        await new Promise(r => setTimeout(r, 20));
        if (fail) throw new Error('as asked');
        return path === '' ? 1 : runs.run(path, { path: '' });
    }";

/// Takes OTLP over HTTP and keeps what it gets.
struct Collector {
    site: Site,
    received: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start() -> Self {
        let received = Arc::<Mutex<Vec<Bytes>>>::default();
        let keep = {
            let received = Arc::clone(&received);
            async move |headers: HeaderMap, body: Bytes| {
                if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/x-protobuf") {
                    return StatusCode::UNSUPPORTED_MEDIA_TYPE;
                }
                received.lock().unwrap().push(body);
                StatusCode::OK
            }
        };
        Self { site: Site::start(Router::new().route("/v1/traces", post(keep))).await, received }
    }

    fn endpoint(&self) -> String {
        format!("{}/v1/traces", self.site.origin)
    }

    /// Protobuf writes text as it is.
    fn has(&self, text: &str) -> bool {
        self.received.lock().unwrap().iter().any(|body| body.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let requests = received.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        requests.flat_map(|request| request.resource_spans).flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
    }

    /// The spans of attempts of the script at `path`, in the order of their ends.
    fn attempts(&self, path: &str) -> Vec<Span> {
        let mut spans: Vec<Span> = self.spans();
        spans.retain(|span| span.name == "run" && attribute(span, "path") == json!(path));
        spans.sort_by_key(|span| span.end_time_unix_nano);
        spans
    }
}

fn attribute(span: &Span, name: &str) -> Value {
    let found = span.attributes.iter().find(|KeyValue { key, .. }| key == name);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::IntValue(number)) => json!(number),
        other => panic!("{name}: {other:?} in {span:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn deploy(server: &Server, path: &str, dispatch: Value) {
    let manifest = json!({"grants": {"runs": ["f/telemetry/*"]}, "dispatch": dispatch});
    server.deploy_with(path, json!({"language": "typescript", "source": STARTS, "manifest": manifest})).await.unwrap();
}

async fn call(server: &Server, path: &str, body: &Value, traceparent: &str) -> u16 {
    let request = server.request(reqwest::Method::POST, &format!("/hooks/default/run/{path}")).header("traceparent", traceparent);
    request.json(body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans_of_requests_and_runs() {
    let collector = Collector::start().await;
    let mut server = Server::start(&["--otlp-endpoint", &collector.endpoint()]).unwrap();
    server.deploy("f/telemetry/traced", "typescript", "export function main() { return 1; }").await.unwrap();
    let answer = server.call("f/telemetry/traced", &json!({})).await.unwrap();
    let (run, request) = (answer.header("sandmill-run-id").unwrap(), answer.header("x-request-id").unwrap());
    assert!(server.stop().unwrap().success(), "{}", server.log());
    for text in ["service.name", "sandmill", "/hooks/default/run/f/telemetry/traced", request, run] {
        assert!(collector.has(text), "{text} was sent: {}", server.log());
    }
    let [attempt] = collector.attempts("f/telemetry/traced").try_into().unwrap();
    assert_eq!(attribute(&attempt, "run"), json!(run));
    assert_eq!(attribute(&attempt, "workspace"), json!("default"));
    assert_eq!((attribute(&attempt, "attempt"), attribute(&attempt, "outcome")), (json!(1), json!("ok")));
    assert!(!collector.has(&server.token), "the token was sent");
    assert!(!server.log().contains("DEBUG"), "what is traced is not logged: {}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_caller_to_the_children_of_its_run() {
    let collector = Collector::start().await;
    let mut server = Server::start(&["--otlp-endpoint", &collector.endpoint()]).unwrap();
    for path in ["f/telemetry/child", "f/telemetry/parent"] {
        deploy(&server, path, json!({})).await;
    }
    deploy(&server, "f/telemetry/handled", json!({"error_handler": "f/telemetry/handler", "retry": {"attempts": 2, "delay_ms": 1}})).await;
    server
        .deploy("f/telemetry/handler", "typescript", "export function main(error: { message: string }) { return error.message; }")
        .await
        .unwrap();
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(call(&server, "f/telemetry/parent", &json!({"path": "f/telemetry/child"}), &traceparent).await, 200);
    // Whoever is traced does not choose it.
    let unsampled = format!("00-{}-{CALLER}-00", TRACE.replace('4', "5"));
    assert_eq!(call(&server, "f/telemetry/child", &json!({"path": ""}), &unsampled).await, 200);
    assert_eq!(call(&server, "f/telemetry/handled", &json!({"path": "", "fail": true}), &traceparent).await, 500);
    assert_eq!(call(&server, "f/telemetry/parent", &json!({"path": ""}), "00-nonsense").await, 200);
    let runs = server.get_json("/api/w/default/runs?path=f/telemetry/handler").await.unwrap();
    for run in runs["items"].as_array().unwrap() {
        server.ended_run(run["id"].as_str().unwrap()).await.unwrap();
    }
    assert!(server.stop().unwrap().success(), "{}", server.log());

    let (requests, unsampled): (Vec<Span>, Vec<Span>) =
        collector.spans().into_iter().filter(|span| hex(&span.parent_span_id) == CALLER).partition(|span| hex(&span.trace_id) == TRACE);
    assert_eq!((requests.len(), unsampled.len()), (2, 1), "{requests:?}");
    assert!(requests.iter().all(|request| hex(&request.trace_id) == TRACE && request.name == "request"));
    let [parent, of_nobody] = collector.attempts("f/telemetry/parent").try_into().unwrap();
    let request_of = |attempt: &Span| requests.iter().find(|request| request.span_id == attempt.parent_span_id).cloned();
    assert!(request_of(&parent).is_some(), "{parent:?}");
    assert_ne!(hex(&of_nobody.trace_id), TRACE, "what cannot be read begins a trace of its own");
    let handled = collector.attempts("f/telemetry/handled");
    assert_eq!(handled.iter().map(|attempt| attribute(attempt, "attempt")).collect::<Vec<_>>(), [1, 2]);
    assert!(handled.iter().all(|attempt| request_of(attempt).is_some() && attribute(attempt, "outcome") == "error"), "{handled:?}");
    assert!(handled.iter().all(|attempt| attempt.status.as_ref().is_some_and(|status| status.code == 2)), "{handled:?}");
    let (children, alone): (Vec<Span>, Vec<Span>) =
        collector.attempts("f/telemetry/child").into_iter().partition(|attempt| hex(&attempt.trace_id) == TRACE);
    assert_eq!((alone.len(), &alone[0].parent_span_id), (1, &unsampled[0].span_id));
    let [child] = children.try_into().unwrap();
    let [handler] = collector.attempts("f/telemetry/handler").try_into().unwrap();
    assert_eq!((child.parent_span_id, hex(&child.trace_id)), (parent.span_id, TRACE.to_owned()));
    assert_eq!(
        (&handler.parent_span_id, hex(&handler.trace_id)),
        (&handled[1].span_id, TRACE.to_owned()),
        "below the try that was the last"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_at_another_node() {
    let Some(postgres) = Postgres::shared() else { return };
    let (url, collector) = (postgres.database(), Collector::start().await);
    let node = |role: &str| {
        Server::start(&[
            "--database-url",
            &url,
            "--admin-token",
            "sm_a_token_of_all_nodes_of_the_test",
            "--role",
            role,
            "--otlp-endpoint",
            &collector.endpoint(),
        ])
        .unwrap()
    };
    let (mut api, mut worker) = (node("api"), node("worker"));
    for path in ["f/telemetry/child", "f/telemetry/parent"] {
        deploy(&api, path, json!({})).await;
    }
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(call(&api, "f/telemetry/parent", &json!({"path": "f/telemetry/child"}), &traceparent).await, 200);
    assert!(api.stop().unwrap().success() && worker.stop().unwrap().success(), "{}", worker.log());
    let [request] =
        collector.spans().into_iter().filter(|span| hex(&span.parent_span_id) == CALLER).collect::<Vec<_>>().try_into().unwrap();
    let [parent] = collector.attempts("f/telemetry/parent").try_into().unwrap();
    let [child] = collector.attempts("f/telemetry/child").try_into().unwrap();
    assert_eq!((parent.parent_span_id, hex(&parent.trace_id)), (request.span_id, TRACE.to_owned()));
    assert_eq!((child.parent_span_id, hex(&child.trace_id)), (parent.span_id, TRACE.to_owned()));
}
