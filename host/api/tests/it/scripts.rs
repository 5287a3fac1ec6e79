//! Scripts: deploy, show, list, versions, downloads.

use serde_json::{Value, json};

use crate::support::{Api, Call, delete, get, post, put};

fn source(text: &str) -> Value {
    json!({"language": "typescript", "source": text})
}

#[tokio::test]
async fn deploying_source() {
    let api = Api::new().await;
    let answer = put("/api/w/w/scripts/f/t/hello").json(source("one")).to(&api).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("location"), Some("/api/w/w/scripts/f/t/hello@1"));
    let first = answer.value();
    assert_eq!((&first["path"], &first["number"], &first["language"]), (&json!("f/t/hello"), &json!(1), &json!("typescript")));
    assert_eq!((&first["schema"], &first["warnings"]), (&json!({"type": "object"}), &json!([])));

    let again = put("/api/w/w/scripts/f/t/hello").json(source("one")).to(&api).await;
    assert_eq!((again.status.as_u16(), &again.value()["version"], &again.value()["number"]), (200, &first["version"], &json!(1)));
    assert_eq!(api.stage.builds.lock().unwrap().len(), 1, "what is unchanged is not built");

    let second = put("/api/w/w/scripts/f/t/hello").json(source("two WARN")).to(&api).await;
    assert_eq!((second.status.as_u16(), &second.value()["number"]), (201, &json!(2)));
    assert_eq!(second.value()["warnings"][0]["message"], "this looks odd");

    // Back to the first source: a new deployment of the same version.
    let back = put("/api/w/w/scripts/f/t/hello").json(source("one")).to(&api).await;
    assert_eq!((back.status.as_u16(), &back.value()["number"], &back.value()["version"]), (201, &json!(3), &first["version"]));
    api.stop().await;
}

#[tokio::test]
async fn a_deployment_is_what_runs_next() {
    let api = Api::new().await;
    for (text, number) in [("one", 1), ("two", 2)] {
        put("/api/w/w/scripts/f/t/echo").json(source(text)).to(&api).await;
        let run = post("/probe/w/run/f/t/echo").to(&api).await.run_id();
        assert_eq!(api.ended(&run).await["number"], number);
    }
    api.stop().await;
}

#[tokio::test]
async fn two_at_once_get_consecutive_numbers() {
    let api = Api::new().await;
    let deploy = |text: &str| put("/api/w/w/scripts/f/t/hello").json(source(text));
    let (a, b, c) = tokio::join!(deploy("a").to(&api), deploy("b").to(&api), deploy("c").to(&api));
    let mut numbers = [a, b, c].map(|answer| answer.value()["number"].as_i64().unwrap());
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
    api.stop().await;
}

#[tokio::test]
async fn languages_and_file_names() {
    let api = Api::new().await;
    for (body, language, file_name) in [
        (json!({"language": "typescript", "source": "1"}), "typescript", "hello.ts"),
        (json!({"language": "javascript", "source": ""}), "javascript", "hello.js"),
        (json!({"file_name": "x.mjs", "source": "2"}), "javascript", "x.mjs"),
        (
            json!({"language": "typescript", "file_name": "Ünicode.ts", "source": "", "manifest": {"description": "d", "limits": {"wall_ms": 5}}}),
            "typescript",
            "Ünicode.ts",
        ),
        (json!({"language": "typescript", "source": "3", "manifest": null}), "typescript", "hello.ts"),
    ] {
        put("/api/w/w/scripts/f/t/hello").json(body.clone()).to(&api).await;
        let shown = get("/api/w/w/scripts/f/t/hello").to(&api).await.value();
        let built = api.stage.builds.lock().unwrap().last().unwrap().clone();
        assert_eq!((built.language.name(), &*built.file_name), (language, file_name), "{body}");
        assert_eq!(shown["language"], language);
        assert_eq!(shown["manifest"]["description"], body["manifest"]["description"]);
    }
    api.stop().await;
}

#[tokio::test]
async fn what_cannot_be_deployed() {
    let api = Api::new().await;
    let send = |body: Value| put("/api/w/w/scripts/f/t/hello").json(body);
    let raw = |content_type: &str, body: &'static str| put("/api/w/w/scripts/f/t/hello").header("content-type", content_type).body(body);
    let wasm = |uri: &str, body: &'static str| put(uri).header("content-type", "application/wasm").body(body);
    let hello = "/api/w/w/scripts/f/t/hello";
    for (call, status, code) in [
        (send(source("FAULTY")), 422, "compile_failed"),
        (send(source("LIMIT")), 422, "build_limit"),
        (send(source("UNAVAILABLE")), 503, "unavailable"),
        (send(json!({"source": "x"})), 400, "bad_request"),
        (send(json!({"language": "cobol", "source": "x"})), 400, "bad_request"),
        (send(json!({"language": "typescript"})), 400, "bad_request"),
        (send(json!({"language": "typescript", "source": "x", "sauce": 1})), 400, "bad_request"),
        (send(json!({"language": "component", "source": "x"})), 415, "unsupported_media_type"),
        (send(json!({"language": "typescript", "source": "x", "file_name": "../x.ts"})), 400, "bad_request"),
        (send(json!({"language": "typescript", "source": "x", "file_name": "a\nb.ts"})), 400, "bad_request"),
        (send(json!({"language": "typescript", "source": "x", "manifest": {"limitz": {}}})), 422, "invalid_manifest"),
        (send(json!({"language": "typescript", "source": "x", "manifest": {"limits": {"fuel": "much"}}})), 422, "invalid_manifest"),
        (raw("application/json", "{"), 400, "invalid_json"),
        (raw("text/plain", "x"), 415, "unsupported_media_type"),
        (wasm(hello, "nonsense"), 422, "invalid_component"),
        (wasm(hello, "\0asm").header("sandmill-manifest", "{"), 422, "invalid_manifest"),
        (wasm("/api/w/w/scripts/f/t/hello?manifest=%7B%22x%22%3A1%7D", "\0asm"), 422, "invalid_manifest"),
        (put("/api/w/w/scripts/f/t/hello@1").json(source("x")), 400, "invalid_path"),
        (put("/api/w/w/scripts/f/t").json(source("x")), 400, "invalid_path"),
        (put("/api/w/w/scripts/f/t/..").json(source("x")), 400, "invalid_path"),
        (put("/api/w/w/scripts/f/t/%2e%2e").json(source("x")), 400, "invalid_path"),
        (put("/api/w/w/scripts/f/t%2Fx").json(source("x")), 400, "invalid_path"),
    ] {
        call.to(&api).await.is_problem(status, code);
    }
    get("/api/w/w/scripts/f/t/hello").to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

#[tokio::test]
async fn compile_errors_come_with_their_places() {
    let api = Api::new().await;
    let problem = put("/api/w/w/scripts/f/t/hello").json(source("FAULTY")).to(&api).await.is_problem(422, "compile_failed");
    assert_eq!(
        problem["diagnostics"],
        json!([{"file": "hello.ts", "line": 1, "column": 8, "message": "unexpected token",
            "source_line": "export functoin main() {}", "help": "did you mean `function`?"}])
    );
    api.stop().await;
}

#[tokio::test]
async fn components() {
    let api = Api::new().await;
    let upload = |uri: &str| put(uri).header("content-type", "application/wasm").body("\0asm one");
    let answer = upload("/api/w/w/scripts/f/t/c").header("sandmill-manifest", r#"{"description":"in the header"}"#).to(&api).await;
    assert_eq!((answer.status.as_u16(), &answer.value()["language"]), (201, &json!("component")));
    let shown = get("/api/w/w/scripts/f/t/c").to(&api).await.value();
    assert_eq!((&shown["source"], &shown["manifest"]["description"]), (&Value::Null, &json!("in the header")));
    assert_eq!(upload("/api/w/w/scripts/f/t/c?manifest=%7B%22description%22%3A%22in+the+query%22%7D").to(&api).await.status, 201);
    let shown = get("/api/w/w/scripts/f/t/c").to(&api).await.value();
    assert_eq!(shown["manifest"]["description"], "in the query");

    let digest = shown["component"].as_str().unwrap();
    for written in [digest.to_owned(), digest.replace(':', "%3A")] {
        let answer = get(format!("/api/w/w/components/{written}")).to(&api).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "\0asm one"));
        assert_eq!(answer.header("content-type"), Some("application/wasm"));
    }
    for digest in ["sha256:00", "..", "%2e%2e%2fetc%2fpasswd"] {
        get(format!("/api/w/w/components/{digest}")).to(&api).await.is_problem(404, "not_found");
    }
    api.stop().await;
}

#[tokio::test]
async fn programs_are_downloaded_in_two_forms() {
    let api = Api::new().await;
    let version = put("/api/w/w/scripts/f/t/hello").json(source("one")).to(&api).await.value()["version"].as_str().unwrap().to_owned();
    for (query, form) in
        [("", "Snapshot"), ("?form=snapshot", "Snapshot"), ("?form=standalone", "Standalone"), ("@1?form=standalone", "Standalone")]
    {
        let answer = get(format!("/api/w/w/programs/f/t/hello{query}")).to(&api).await;
        assert_eq!(answer.text(), format!("\0asm {form} of {version}"));
        assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"hello.wasm\""));
    }
    get("/api/w/w/programs/f/t/hello?form=other").to(&api).await.is_problem(400, "bad_request");
    get("/api/w/w/programs/f/t/nothing").to(&api).await.is_problem(404, "not_found");
    api.stop().await;
}

/// Follows `next` to the end.
async fn pages(api: &Api, uri: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(format!("{uri}{cursor}")).to(api).await.value();
        pages.push(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let api = Api::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        api.deploy(&format!("f/t/{name}")).await;
    }
    api.deploy("u/ann/x").await;
    let paths =
        |pages: &[Vec<Value>]| -> Vec<String> { pages.iter().flatten().map(|item| item["path"].as_str().unwrap().to_owned()).collect() };
    let all = pages(&api, "/api/w/w/scripts?limit=2").await;
    assert_eq!((all.len(), paths(&all)), (3, ["f/t/a", "f/t/b", "f/t/c", "f/t/d", "f/t/e", "u/ann/x"].map(str::to_owned).to_vec()));
    let all = pages(&api, "/api/w/w/scripts?prefix=f%2Ft%2F&limit=5").await;
    assert_eq!((all.len(), paths(&all).len()), (1, 5));
    for text in ["one", "two", "three"] {
        put("/api/w/w/scripts/f/t/v").json(source(text)).to(&api).await;
    }
    let all = pages(&api, "/api/w/w/versions/f/t/v?limit=2").await;
    let numbers: Vec<i64> = all.iter().flatten().map(|item| item["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    for query in ["limit=0", "limit=201", "limit=x", "cursor=%21", "cursor=AAAA", "cursor=Li4"] {
        let calls: [Call; 3] = ["scripts", "versions/f/t/v", "runs"].map(|list| get(format!("/api/w/w/{list}?{query}")));
        for call in calls {
            call.to(&api).await.is_problem(400, "bad_request");
        }
    }
    get("/api/w/w/versions/f/t/nothing").to(&api).await.is_problem(404, "not_found");
    delete("/api/w/w/scripts/f/t/v").to(&api).await.is_problem(405, "method_not_allowed");
    api.stop().await;
}

#[tokio::test]
async fn an_error_handler_is_started_by_whoever_may_start_it() {
    let api = Api::new().await;
    api.token("sm_ann", Some(api.workspace), &["scripts:write:f/a/*", "runs:start:f/b/*"]).await;
    let deploy = async |handler: &str| {
        let body = json!({"language": "typescript", "source": "1", "manifest": {"dispatch": {"error_handler": handler}}});
        put("/api/w/w/scripts/f/a/caller").json(body).token("sm_ann").to(&api).await
    };
    assert_eq!(deploy("f/b/failed").await.status, 201);
    let refused = deploy("f/ops/failed").await.is_problem(403, "forbidden");
    assert!(refused["detail"].as_str().unwrap().contains("runs:start:f/ops/failed"), "{refused}");
    api.stop().await;
}
