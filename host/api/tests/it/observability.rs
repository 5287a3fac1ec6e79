//! Request ids, logs without secrets, metrics, health, panics.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::support::{ADMIN, Api, get, post, put};

/// The log of the whole process, at its most talkative.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn start() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let start = || {
            let log = Self::default();
            let subscriber =
                tracing_subscriber::fmt().json().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE).with_writer(log.clone());
            subscriber.init();
            log
        };
        LOG.get_or_init(start).clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test]
async fn no_token_is_ever_logged() {
    let log = Log::start();
    let api = Api::new().await;
    api.token("sm_very-secret", None, &["*:*"]).await;
    api.deploy("f/t/echo").await;
    api.deploy("f/t/panics").await;
    for uri in [
        "/probe/w/run/f/t/echo",
        "/probe/w/start/f/t/echo",
        "/probe/w/run/f/t/panics",
        "/probe/w/run/f/t/..",
        "/nowhere/at-all",
        "/api/w/w/runs",
    ] {
        get(format!("{uri}?token=sm_very-secret&limit=x")).no_token().header("x-request-id", "logged-request").to(&api).await;
        post(uri).token("sm_very-secret").to(&api).await;
        post(uri).token("sm_wrong-secret").to(&api).await;
    }
    let text = log.text();
    for seen in ["/probe/w/run/f/t/echo", "/nowhere/at-all", "logged-request"] {
        assert!(text.contains(seen), "{seen}");
    }
    assert!(!text.contains("very-secret") && !text.contains("wrong-secret"));
    api.stop().await;
}

#[tokio::test]
async fn spans_know_request_and_run() {
    let log = Log::start();
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    let run = post("/probe/w/run/f/t/echo").header("x-request-id", "span-request").to(&api).await.run_id();
    let text = log.text();
    let line = text.lines().find(|line| line.contains("span-request") && line.contains("answered")).expect("an access log");
    assert!(line.contains(&run), "{line}");
    api.stop().await;
}

#[tokio::test]
async fn request_ids_are_taken_if_they_are_sane() {
    let api = Api::new().await;
    for id in ["a", "req-1_2.3", &*"x".repeat(64)] {
        let answer = get("/api/w/w/scripts").header("x-request-id", id).to(&api).await;
        assert_eq!(answer.header("x-request-id"), Some(id));
        assert_eq!(get("/nowhere").header("x-request-id", id).to(&api).await.is_problem(404, "not_found")["request_id"], id);
    }
    let long = "x".repeat(65);
    for id in ["", "a b", "a\"b", "a{b}", "a/b", &*long] {
        for uri in ["/health", "/nowhere", "/probe/w/run/f/t/echo"] {
            let answer = get(uri).header("x-request-id", id).to(&api).await;
            let own = answer.header("x-request-id").unwrap();
            assert!(own != id && own.len() == 36, "{own}");
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn panics_are_answered_and_their_text_is_kept_in() {
    let api = Api::new().await;
    api.deploy("f/t/panics").await;
    let source = serde_json::json!({"language": "typescript", "source": "PANIC"});
    for call in [put("/api/w/w/scripts/f/t/x").json(source), post("/probe/w/run/f/t/panics")] {
        let answer = call.to(&api).await;
        answer.is_problem(500, "internal");
        assert!(!answer.text().contains("panic"), "{}", answer.text());
    }
    assert_eq!(get("/health").to(&api).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_surface_and_status() {
    let api = Api::new().await;
    api.deploy("f/t/echo").await;
    post("/probe/w/run/f/t/echo").to(&api).await;
    get("/api/w/w/scripts/f/t/nothing").to(&api).await;
    let answer = get("/metrics").to(&api).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for series in [
        r#"sandmill_http_requests_total{surface="probe",status="200"}"#,
        r#"sandmill_http_requests_total{surface="api",status="404"}"#,
        r#"sandmill_http_request_seconds_count{surface="probe"}"#,
    ] {
        let counted = answer.text().lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<u64>().ok());
        assert!(counted.is_some_and(|counted| counted > 0), "{series}: {}", answer.text());
    }
    api.stop().await;
}

#[tokio::test]
async fn health_readiness_and_version() {
    let api = Api::new().await;
    assert_eq!(get("/health").no_token().to(&api).await.text(), r#"{"status":"ok"}"#);
    assert_eq!(get("/ready").no_token().to(&api).await.text(), r#"{"status":"ready"}"#);
    let version = get("/api/instance/version").token(ADMIN).to(&api).await.value();
    assert_eq!(version, serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "identity": "u/ann"}));
    api.store.health.close().await;
    let answer = get("/ready").no_token().to(&api).await;
    answer.is_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(get("/health").no_token().to(&api).await.status, 200);
}
