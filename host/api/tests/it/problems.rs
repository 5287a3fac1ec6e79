//! Problems as callers see them.

use std::collections::BTreeMap;

use sandmill_model::Code;
use serde_json::{Value, json};

use crate::support::{Api, Call, delete, get, post, put};

#[tokio::test]
async fn the_form_of_problems() {
    let api = Api::new().await;
    for name in ["error", "invalid", "timeout"] {
        api.deploy(&format!("f/t/{name}")).await;
    }
    let source = |text: &str| json!({"language": "typescript", "source": text});
    let calls: [(&str, Call); 12] = [
        ("no token", get("/api/w/w/scripts").no_token()),
        ("no such workspace", get("/api/w/x/scripts")),
        ("no such script", get("/api/w/w/scripts/f/t/nothing")),
        ("no such url", get("/nowhere")),
        ("wrong method", delete("/api/w/w/runs")),
        ("wrong path", get("/api/w/w/scripts/f/t/%2e%2e")),
        ("wrong json", post("/api/w/w/runs").body("{\n  \"path\": }")),
        ("compile failed", put("/api/w/w/scripts/f/t/x").json(source("FAULTY"))),
        ("unavailable", put("/api/w/w/scripts/f/t/x").json(source("UNAVAILABLE"))),
        ("script failed", post("/probe/w/run/f/t/error")),
        ("invalid arguments", post("/probe/w/run/f/t/invalid")),
        ("timed out", post("/probe/w/run/f/t/timeout")),
    ];
    let mut seen = BTreeMap::new();
    for (name, call) in calls {
        let answer = call.header("x-request-id", "request-1").to(&api).await;
        let mut body = answer.value();
        if body.get("run_id").is_some() {
            assert_eq!(body["run_id"], answer.run_id());
            body["run_id"] = json!("(run)");
        }
        let headers: BTreeMap<&str, Value> = ["allow", "www-authenticate", "retry-after", "content-type", "x-request-id"]
            .into_iter()
            .filter_map(|header| Some((header, json!(answer.header(header)?))))
            .collect();
        seen.insert(name, json!({"status": answer.status.as_u16(), "headers": headers, "body": body}));
    }
    insta::assert_json_snapshot!(seen);
    api.stop().await;
}

#[tokio::test]
async fn the_type_of_a_problem_is_a_page() {
    let api = Api::new().await;
    for code in Code::ALL {
        let answer = get(format!("/errors/{}", code.name())).no_token().to(&api).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("text/markdown; charset=utf-8")));
        assert!(answer.text().starts_with(&format!("# {}", code.name())));
    }
    for other in ["nothing", "..", "%2e%2e%2fREADME", "README"] {
        get(format!("/errors/{other}")).no_token().to(&api).await.is_problem(404, "not_found");
    }
    api.stop().await;
}

#[tokio::test]
async fn unknown_urls_and_wrong_methods() {
    let api = Api::new().await;
    for uri in ["/", "/api", "/api/w/w", "/api/w/w/", "/api/w/w/scripts/", "/api/w/w/runs/", "/errors", "/..%2f..%2fetc/passwd", "/%00"] {
        get(uri).to(&api).await.is_problem(404, "not_found");
    }
    for (call, allow) in [
        (delete("/api/w/w/scripts"), "GET,HEAD"),
        (post("/api/w/w/scripts/f/t/x"), "GET,HEAD,PUT"),
        (put("/api/w/w/runs"), "GET,HEAD,POST"),
        (get("/api/w/w/runs/x/cancel"), "POST"),
        (post("/health"), "GET,HEAD"),
        (post("/openapi.json"), "GET,HEAD"),
    ] {
        let answer = call.to(&api).await;
        answer.is_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow));
    }
    api.stop().await;
}
