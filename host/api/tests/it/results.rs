//! Long results and long logs: told apart, page by page, and never by halves.

use sandmill_store::StoreError;
use serde_json::{Value, json};

use crate::support::{Api, Call, get, post};

/// The last event's data.
fn end(text: &str) -> Value {
    let (_, data) = text.rsplit_once("event: end\ndata: ").unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(data).unwrap()
}

#[tokio::test]
async fn a_long_result_is_not_in_the_stream() {
    let api = Api::new().await;
    api.token("sm_hook", Some(api.workspace), &["runs:start:f/t/*"]).await;
    api.deploy("f/t/long").await;
    for token in ["sm_admin", "sm_hook"] {
        // Nobody reads it for the stream, so nothing can be wrong with it here.
        api.faults.of_objects(Some(StoreError::ObjectsUnavailable));
        let answer = post("/probe/w/stream/f/t/long").token(token).to(&api).await;
        let run = answer.run_id();
        let at = format!("/api/w/w/runs/{run}/result");
        assert_eq!(end(answer.text()), json!({"run_id": run, "status": "succeeded", "outcome": "ok", "result_at": at}));
        let unavailable = get(&*at).to(&api).await.is_problem(503, "unavailable");
        assert!(unavailable["detail"].as_str().unwrap().contains("folder of large results"), "{unavailable}");
        api.faults.of_objects(Some(StoreError::Gone));
        get(&*at).to(&api).await.is_problem(410, "result_gone");
        api.faults.of_objects(None);
        assert_eq!(get(&*at).to(&api).await.body.len(), 100_002);
    }
    api.stop().await;
}

#[tokio::test]
async fn who_asks_again_is_told_what_is_wrong_with_the_result() {
    let api = Api::new().await;
    api.deploy("f/t/long").await;
    let call = || -> Call { post("/api/w/w/runs").header("idempotency-key", "k").json(json!({"path": "f/t/long", "wait": true})) };
    assert_eq!(call().to(&api).await.body.len(), 100_002);
    for (fault, status, code) in [
        (StoreError::Gone as fn(String) -> StoreError, 410, "result_gone"),
        (StoreError::ObjectsUnavailable, 503, "unavailable"),
        (StoreError::Corrupt, 500, "internal"),
    ] {
        api.faults.of_objects(Some(fault));
        call().to(&api).await.is_problem(status, code);
    }
    api.faults.of_objects(None);
    assert_eq!(call().to(&api).await.body.len(), 100_002);
    api.stop().await;
}

#[tokio::test]
async fn a_long_log_comes_in_pages_and_breaks_off_where_one_is_missing() {
    const LINES: usize = 102;
    let api = Api::new().await;
    api.deploy("f/t/talks").await;
    let run = post("/api/w/w/runs").json(json!({"path": "f/t/talks", "wait": true})).to(&api).await.run_id();
    let uri = format!("/api/w/w/runs/{run}/log");
    for accept in ["application/x-ndjson", "text/plain"] {
        let call = || get(&*uri).header("accept", accept);
        let whole = call().to(&api).await;
        assert_eq!(whole.text().lines().count(), LINES, "{accept}");
        api.faults.after_log_pages(2);
        let part = call().until_it_breaks_off(&api).await;
        let text = std::str::from_utf8(&part).unwrap();
        assert!(text.ends_with('\n') && whole.text().starts_with(text), "{accept}");
        assert!((1..LINES).contains(&text.lines().count()), "{accept}: {} lines", text.lines().count());
        api.faults.after_log_pages(0);
        call().to(&api).await.is_problem(503, "unavailable");
        api.faults.after_log_pages(usize::MAX);
    }
    api.stop().await;
}

/// Trying again for ever would look like a run that goes on.
#[tokio::test]
async fn who_follows_what_cannot_be_read_is_sent_away() {
    let api = Api::new().await;
    api.deploy("f/t/talks").await;
    let run = post("/api/w/w/runs").json(json!({"path": "f/t/talks", "wait": true})).to(&api).await.run_id();
    api.faults.of_logs(StoreError::Corrupt);
    for (pages, begins) in [(0, false), (2, true)] {
        api.faults.after_log_pages(pages);
        let text = get(format!("/api/w/w/runs/{run}/events")).to(&api).await.text().to_owned();
        assert_eq!((text.contains("event: log"), text.contains("event: end")), (begins, false), "{pages}");
    }
    api.stop().await;
}
