//! What a script's own URL makes of a request: forms, files, CloudEvents, headers and parameters as arguments.

use std::fs;

use reqwest::Method;
use sandmill_testkit::{
    guests::guest,
    server::{Answer, Server},
};
use serde_json::{Value, json};

use crate::shared::server;

const ECHO: &str = "export function preprocessor(event: any) { return { body: event.body, cloudevent: event.cloudevent ?? null }; }\nexport function main(body: any, cloudevent: any) { return { body, cloudevent }; }\n";
const FORM: &str = "multipart/form-data; boundary=edge";

async fn post(server: &Server, url: &str, content_type: &str, body: Vec<u8>) -> Answer {
    let request = server.request(Method::POST, url).header("content-type", content_type);
    Answer::read(request.body(body).send().await.unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_arguments() {
    let server = server();
    server
        .deploy("f/webhooks/form", "typescript", "export function main(name: string, tags: string[]) { return [name, tags]; }")
        .await
        .unwrap();
    let body = b"name=J%C3%BCrgen+%26+co&tags=a&tags=b".to_vec();
    let answer = post(server, "/hooks/default/run/f/webhooks/form", "application/x-www-form-urlencoded", body).await;
    assert_eq!((answer.status, answer.json().unwrap()), (200, json!(["Jürgen & co", ["a", "b"]])), "{}", answer.text());
    let broken = post(server, "/hooks/default/run/f/webhooks/form", "application/x-www-form-urlencoded", b"name=%FF".to_vec()).await;
    assert_eq!(broken.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_forms_are_objects() {
    let server = server();
    let source = "import { blob } from 'sandmill';\nexport async function main(month: string, report: any) { const bytes = await (await blob.get(report.key))!.bytes(); return { month, report, bytes: [...bytes] }; }\n";
    let manifest = json!({"grants": {"blob": ["read triggers/"]}});
    let body = json!({"language": "typescript", "source": source, "manifest": manifest});
    server.deploy_with("f/webhooks/files", body).await.unwrap();
    let form = b"--edge\r\nContent-Disposition: form-data; name=\"month\"\r\n\r\n6\r\n--edge\r\n\
        Content-Disposition: form-data; name=\"report\"; filename=\"../june 1.bin\"\r\nContent-Type: application/x-june\r\n\r\n\xff\x00\r\n\r\n--edge--\r\n";
    let answer = post(server, "/hooks/default/run/f/webhooks/files", FORM, form.to_vec()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json().unwrap();
    assert_eq!((&told["month"], &told["bytes"]), (&json!("6"), &json!([255, 0, 13, 10])));
    assert_eq!((&told["report"]["name"], &told["report"]["content_type"]), (&json!("../june 1.bin"), &json!("application/x-june")));
    let key = told["report"]["key"].as_str().unwrap();
    assert!(key.starts_with("triggers/webhook/") && key.ends_with("/1-june_1.bin"), "{key}");
    let broken = post(server, "/hooks/default/run/f/webhooks/files", FORM, b"--edge\r\n\r\nx".to_vec()).await;
    assert_eq!(broken.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events_start_one_run_each() {
    let server = server();
    server.deploy("f/webhooks/events", "typescript", ECHO).await.unwrap();
    let url = "/hooks/default/run/f/webhooks/events";
    let event = json!({"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.made", "data": {"order": 7}}).to_string();
    let first = post(server, url, "application/cloudevents+json", event.clone().into_bytes()).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let attributes = json!({"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.made"});
    assert_eq!(first.json().unwrap(), json!({"body": {"order": 7}, "cloudevent": attributes}));
    let again = post(server, url, "application/cloudevents+json", event.into_bytes()).await;
    assert_eq!((again.header("idempotency-replayed"), again.header("sandmill-run-id")), (Some("true"), first.header("sandmill-run-id")));
    let binary = server.request(Method::POST, url).header("ce-specversion", "1.0").header("ce-id", "e-2").header("ce-source", "/shop");
    let binary = binary.header("ce-type", "order.made").header("content-type", "text/plain").body("seven").send().await.unwrap();
    let told: Value = binary.json().await.unwrap();
    assert_eq!((&told["body"], &told["cloudevent"]["id"]), (&json!("seven"), &json!("e-2")));
    let lacking = server.request(Method::POST, url).header("ce-specversion", "1.0").json(&json!({})).send().await.unwrap();
    assert_eq!(lacking.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_parameters_are_arguments_and_the_wait_has_an_end() {
    let server = server();
    let source = "export async function main(x_user: string, team: string, ms: number) { await new Promise(r => setTimeout(r, ms)); return [x_user, team]; }";
    server.deploy("f/webhooks/include", "typescript", source).await.unwrap();
    let url = "/hooks/default/run/f/webhooks/include?include_header=X-User&include_query=team&team=red";
    let request = server.request(Method::POST, url).header("x-user", "ann").json(&json!({"ms": 1, "x_user": "played"}));
    assert_eq!(request.send().await.unwrap().json::<Value>().await.unwrap(), json!(["ann", "red"]));
    let request = server.request(Method::POST, &format!("{url}&wait_ms=50")).header("x-user", "ann").json(&json!({"ms": 3_000}));
    let late = request.send().await.unwrap();
    assert_eq!(late.status(), 202);
    let id = late.headers()["sandmill-run-id"].to_str().unwrap().to_owned();
    assert_eq!(server.ended_run(&id).await.unwrap()["status"], "succeeded");
}

/// A component that knows nothing of scripts gets a form as a form.
#[tokio::test(flavor = "multi_thread")]
async fn components_get_bodies_as_they_were_sent() {
    let server = server();
    server.deploy_component("f/webhooks/component", fs::read(guest("http_hello")).unwrap()).await.unwrap();
    for content_type in ["application/x-www-form-urlencoded", FORM, "application/cloudevents+json"] {
        let answer = post(server, "/hooks/default/run/f/webhooks/component", content_type, b"{\"name\":\"bob\"}".to_vec()).await;
        assert_eq!((answer.status, answer.json().unwrap()), (200, json!({"hello": "bob", "n": [2, 4, 6]})), "{content_type}");
    }
    // So does what nobody says what it is, and is no JSON: it is the component that refuses it.
    let bare = server.request(Method::POST, "/hooks/default/run/f/webhooks/component").body("no JSON").send().await.unwrap();
    assert_eq!((bare.status().as_u16(), bare.text().await.unwrap().as_str()), (400, "{}"));
}
