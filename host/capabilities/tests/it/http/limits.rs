//! Each limit, where it begins.

use std::time::Duration;

use sandmill_capabilities::http::HttpLimits;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{any, bed_limited, facts_in, requests, server::Server, told};
use crate::testing::json as result;

async fn one(limits: HttpLimits, mut asked: Value) -> (Value, String) {
    let server = Server::start().await;
    asked["authority"] = json!(format!("api.test:{}", server.port()));
    let bed = bed_limited(limits);
    let (results, outcome) = requests(&bed, &any(server.port()), json!([asked])).await;
    (results[0].clone(), told(&outcome))
}

#[tokio::test]
async fn answers_that_do_not_come_or_do_not_go_on() {
    let short = Duration::from_millis(50);
    let patient = HttpLimits::default();
    let hasty = HttpLimits { first_byte: short, between_bytes: short, ..patient };
    for (limits, asked, error, line) in [
        (hasty, json!({ "path": "/slow" }), "HttpResponseTimeout", "no answer within 50 ms"),
        (patient, json!({ "path": "/slow", "first_byte_ms": 60 }), "HttpResponseTimeout", "no answer within 60 ms"),
        (hasty, json!({ "path": "/slow", "first_byte_ms": 60_000 }), "HttpResponseTimeout", "no answer within 50 ms"),
        (hasty, json!({ "path": "/stall" }), "ConnectionReadTimeout", "nothing more of an answer within 50 ms"),
        (patient, json!({ "path": "/stall", "between_ms": 60 }), "ConnectionReadTimeout", "nothing more of an answer within 60 ms"),
    ] {
        let (result, told) = one(limits, asked).await;
        assert_eq!((result["error"].as_str(), told.as_str()), (Some(error), line));
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_before_it_is_a_connection() {
    // The system accepts for it; whoever speaks TLS waits for an answer.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let patient = HttpLimits::default();
    let hasty = HttpLimits { connect: Duration::from_millis(50), ..patient };
    for (limits, asked) in [(hasty, json!({})), (patient, json!({ "connect_ms": 60 }))] {
        let mut asked = asked;
        asked["scheme"] = json!("https");
        asked["authority"] = json!(format!("api.test:{port}"));
        let (results, outcome) = requests(&bed_limited(limits), &any(port), json!([asked])).await;
        assert_eq!(results[0]["error"], "ConnectionTimeout", "{results}");
        assert!(told(&outcome).contains("in time"), "{outcome:?}");
    }
}

#[tokio::test]
async fn bytes_of_a_run() {
    let limits =
        HttpLimits { bytes_down_per_run: 1_000_000, bytes_up_per_run: 1_000_000, response_header_bytes: 16_384, ..HttpLimits::default() };
    let (endless, line) = one(limits, json!({ "path": "/endless", "read": "count" })).await;
    assert_eq!(endless["error"], "HttpResponseBodySize", "{endless}");
    assert!(endless["bytes"].as_u64().unwrap() <= 1_000_000 && line.contains("received as many bytes"), "{endless}: {line}");
    let part = "x".repeat(100_000);
    let (upload, line) = one(limits, json!({ "method": "POST", "path": "/count", "body": part, "body_times": 11 })).await;
    assert_eq!(upload["error"], "HttpRequestBodySize", "{upload}");
    assert!(line.contains("sent as many bytes"), "{line}");
    let (headers, line) = one(limits, json!({ "path": "/headers/20000" })).await;
    assert_eq!(
        (headers["error"].as_str(), line.as_str()),
        (Some("HttpResponseHeaderSectionSize"), "the headers of an answer are too large")
    );

    let server = Server::start().await;
    let bed = bed_limited(limits);
    let part = |bytes: usize| json!({ "authority": format!("api.test:{}", server.port()), "path": format!("/bytes/{bytes}"), "read": "count", "alone": true });
    let (results, _) = requests(&bed, &any(server.port()), json!([part(500_000), part(500_000), part(1)])).await;
    assert_eq!(
        (&results[1]["bytes"], &results[1]["error"], &results[2]["error"]),
        (&json!(500_000), &Value::Null, &json!("HttpResponseBodySize"))
    );
}

#[tokio::test]
async fn a_thousand_at_once() {
    let server = Server::start().await;
    let bed = bed_limited(HttpLimits { connections_per_workspace: 8, ..HttpLimits::default() });
    let asked = json!([{ "authority": format!("api.test:{}", server.port()), "path": "/bytes/1", "times": 1_000, "read": "nothing" }]);
    let (results, outcome) = requests(&bed, &any(server.port()), asked).await;
    // Some may be over before others begin.
    let [answered, refused] = ["200", "ConnectionLimitReached"].map(|how| results[0][how].as_u64().unwrap_or(0));
    assert!(answered >= 256 && refused > 0 && answered + refused == 1_000, "{results}");
    assert!(outcome.log[0].message.contains("at most 256 requests under way"), "{:?}", outcome.log[0]);
    assert!(server.open_most() <= 8, "{} connections were open at the same time", server.open_most());
}

#[tokio::test]
async fn no_connection_is_made_for_requests_that_had_one() {
    let server = Server::start().await;
    let bed = bed_limited(HttpLimits { connections_per_workspace: 1, ..HttpLimits::default() });
    let here = format!("api.test:{}", server.port());
    let grants = any(server.port());
    let one = |asked: Value| requests(&bed, &grants, asked);
    // All but the first wait for a connection of their own, too.
    let (results, _) = one(json!([{ "authority": here, "path": "/bytes/1", "times": 20, "read": "count" }])).await;
    assert_eq!(results, json!([{ "200": 20 }]));
    // It ends the only connection, and there is room for one.
    let (results, _) = one(json!([{ "authority": here, "path": "/endless", "read": "nothing" }])).await;
    assert_eq!(results[0]["status"], 200);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn requests_of_a_workspace() {
    let server = Server::start().await;
    let bed = bed_limited(HttpLimits { requests_per_workspace: 3, first_byte: Duration::from_millis(100), ..HttpLimits::default() });
    let grant = format!("http://api.test:{}", server.port());
    let asked = json!([{ "authority": format!("api.test:{}", server.port()), "path": "/slow", "times": 2 }]);
    let (one, two) = ("00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002");
    let run = |workspace| bed.http(facts_in(workspace, &[&grant]), &asked);
    let (first, second, other) = tokio::join!(run(one), run(one), run(two));
    let counts = [result(&first), result(&second)].map(|counts| counts[0]["ConnectionLimitReached"].as_u64().unwrap_or(0));
    assert_eq!(counts.iter().sum::<u64>(), 1, "{counts:?}");
    assert_eq!(result(&other), json!([{ "HttpResponseTimeout": 2 }]));
}

#[tokio::test]
async fn what_is_over_counts_no_more() {
    let server = Server::start().await;
    let bed = bed_limited(HttpLimits { requests_per_run: 1, connections_per_workspace: 1, ..HttpLimits::default() });
    let here = format!("api.test:{}", server.port());
    // Read to the end, left unread, and refused: each gives back what it held.
    let asked = json!([
        { "authority": here, "path": "/bytes/100000", "times": 20, "alone": true, "read": "count" },
        { "authority": here, "path": "/bytes/100000", "times": 20, "alone": true, "read": "nothing" },
        { "authority": here, "path": "/endless", "times": 20, "alone": true, "read": "nothing" },
        { "method": "POST", "authority": here, "path": "/early", "body": "x".repeat(100_000), "body_times": 10, "times": 5, "alone": true },
    ]);
    let (results, outcome) = requests(&bed, &any(server.port()), asked).await;
    assert_eq!(
        (&results[0], &results[1], &results[2]),
        (&json!({ "200": 20 }), &json!({ "200": 20 }), &json!({ "200": 20 })),
        "{:?}",
        outcome.log
    );
    assert!(results[3].get("ConnectionLimitReached").is_none(), "{results}");
}
