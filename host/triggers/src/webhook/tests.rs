use http::{HeaderMap, Method, Request};
use sandmill_model::{
    Code, Digest, Event, JsonText, RequestId, Timestamp,
    trigger::{DynEndpoint, Mounted, Received, To, Verbatim},
    version::Selector,
};

use super::*;

fn address(method: &Method, rest: &str) -> Result<(String, String, Selector, Reply), Code> {
    let hook = Mounted::<Webhook>::default();
    let headers = HeaderMap::new();
    let found = hook.address(Head { method, rest, headers: &headers }).map_err(|refusal| {
        assert!(!refusal.detail.is_empty());
        refusal.code
    })?;
    let To::Script { path, selector, reply } = found.to else { panic!("{found:?}") };
    Ok((found.workspace.to_owned(), path.to_string(), selector, reply))
}

#[test]
fn addresses() {
    let digest = Digest::of(b"x");
    let found = |selector, reply| Ok(("w".to_owned(), "f/a/b".to_owned(), selector, reply));
    let (get, post) = (Method::GET, Method::POST);
    assert_eq!(address(&post, "w/run/f/a/b"), found(Selector::Newest, Reply::Result));
    assert_eq!(address(&get, "w/run/f/a/b"), found(Selector::Newest, Reply::Result));
    assert_eq!(address(&post, "w/start/f/a/b"), found(Selector::Newest, Reply::Receipt));
    assert_eq!(address(&post, "w/stream/f/a/b"), found(Selector::Newest, Reply::Events));
    assert_eq!(address(&post, "w/run/f/a/b@3"), found(Selector::Number(3), Reply::Result));
    assert_eq!(address(&post, "w/run/f/a/b%403"), found(Selector::Number(3), Reply::Result));
    assert_eq!(address(&post, "w/run/%66/a/b"), found(Selector::Newest, Reply::Result));
    assert_eq!(address(&post, &format!("w/run/f/a/b@{digest}")), found(Selector::Digest(digest), Reply::Result));
}

/// What it says that it answers is all that it answers.
#[test]
fn operations_are_those_that_are_said() {
    for (verb, _) in address::VERBS {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let path = format!("{{workspace}}/{verb}/{{path}}");
            let said = Webhook::OPERATIONS.iter().find(|said| said.method == method && said.path == path).map(|said| said.reply);
            let taken = address(&method.parse().unwrap(), &format!("w/{verb}/f/a/b")).ok().map(|(.., reply)| reply);
            assert_eq!(taken, said, "{method} {path}");
        }
    }
}

#[test]
fn addresses_that_mean_nothing() {
    let (get, post) = (Method::GET, Method::POST);
    for (method, rest, code) in [
        (&post, "", Code::NotFound),
        (&post, "w", Code::NotFound),
        (&post, "w/run", Code::NotFound),
        (&post, "w/fly/f/a/b", Code::NotFound),
        (&get, "w/stream/f/a/b", Code::MethodNotAllowed),
        (&get, "w/start/f/a/b", Code::MethodNotAllowed),
        (&Method::PUT, "w/run/f/a/b", Code::MethodNotAllowed),
        (&Method::HEAD, "w/run/f/a/b", Code::MethodNotAllowed),
        (&post, "w/run/", Code::InvalidPath),
        (&post, "w/run/f/a", Code::InvalidPath),
        (&post, "w/run/f/a/../b", Code::InvalidPath),
        (&post, "w/run/f/a/%2e%2e", Code::InvalidPath),
        (&post, "w/run/f/a%2fb", Code::InvalidPath),
        (&post, "w/run/f/a%2Fb/c", Code::InvalidPath),
        (&post, "w/run/f/a/b%252fc", Code::InvalidPath),
        (&post, "w/run/f/a/%00", Code::InvalidPath),
        (&post, "w/run/f/a/%FF", Code::InvalidPath),
        (&post, "w/run/f/a/b@", Code::InvalidPath),
        (&post, "w/run/f/a/b@1@2", Code::InvalidPath),
    ] {
        assert_eq!(address(method, rest), Err(code), "{method} {rest}");
    }
}

fn received(config: &str, request: http::request::Builder, body: &'static [u8]) -> Result<Received, Code> {
    let hook = Mounted::<Webhook>::default();
    let now = Timestamp::from_micros(0);
    let request = request.body(Bytes::from_static(body)).unwrap();
    let incoming = Incoming { request, params: Vec::new(), route: None, caller: None, id: RequestId::new(now), now };
    match hook.configure(&JsonText::trusted(config)).unwrap().receive(incoming).map_err(|refusal| refusal.code)? {
        Reception::Event(received) => Ok(*received),
        Reception::Answer(answer) => panic!("{answer:?}"),
    }
}

fn receive(request: http::request::Builder, body: &'static [u8]) -> Result<Event, Code> {
    received("{}", request, body).map(|received| received.event.of(Mounted::<Webhook>::default().plain_trigger()))
}

#[test]
fn a_post_becomes_an_event() {
    let request = Request::post("/hooks/w/run/f/a/b?x=1&token=sm_t").header("Idempotency-Key", "k-1").header("X-A", "b");
    let event = receive(request, b"{\"n\":1}").unwrap();
    assert_eq!((&*event.trigger.kind, event.trigger.path), ("webhook", None));
    assert_eq!(&event.payload[..], b"{\"n\":1}");
    assert_eq!(event.dedup_key.as_deref(), Some("k-1"));
    assert_eq!(
        event.metadata.as_str(),
        r#"{"method":"POST","path":"/hooks/w/run/f/a/b","query":{"x":"1"},"headers":{"idempotency-key":"k-1","x-a":"b"}}"#
    );
}

#[test]
fn a_get_takes_its_arguments_from_the_query() {
    let event = receive(Request::get("/hooks/w/run/f/a/b?name=bob&n=2&n=3&token=sm_t"), b"").unwrap();
    assert_eq!(event.arguments().as_str(), r#"{"name":"bob","n":["2","3"]}"#);
    assert_eq!(receive(Request::get("/hooks/w/run/f/a/b"), b"").unwrap().arguments().as_str(), "{}");
}

#[test]
fn what_cannot_be_an_event_is_refused() {
    let post = || Request::post("/hooks/w/run/f/a/b");
    assert_eq!(receive(post(), b"{"), Err(Code::InvalidJson));
    assert_eq!(receive(post().header("content-type", "multipart/form-data"), b""), Err(Code::BadRequest));
    assert_eq!(receive(Request::post("/hooks/w/run/f/a/b?wait_ms=-1"), b""), Err(Code::BadRequest));
    assert_eq!(receive(post().header("idempotency-key", ""), b""), Err(Code::BadRequest));
    let long = "k".repeat(sandmill_model::idempotency::KEY_CHARACTERS_MAX + 1);
    assert_eq!(receive(post().header("idempotency-key", long), b""), Err(Code::BadRequest));
    assert_eq!(receive(Request::post("/hooks/w/run/f/a/b?a=%ff"), b""), Err(Code::BadRequest));
}

#[test]
fn forms_and_their_files() {
    let post = |content_type: &str| Request::post("/hooks/w/run/f/a/b").header("content-type", content_type);
    let event = receive(post("application/x-www-form-urlencoded"), b"name=J%C3%BCrgen&n=1&n=2").unwrap();
    assert_eq!(event.arguments().as_str(), r#"{"name":"Jürgen","n":["1","2"]}"#);
    let form = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
        Content-Disposition: form-data; name=\"f\"; filename=\"../../etc/pass wd\"\r\nContent-Type: text/plain\r\n\r\n\xff\r\n--x--\r\n";
    let received = received("{}", post("multipart/form-data; boundary=x"), form).unwrap();
    let [file] = received.files.as_slice() else { panic!("{:?}", received.files) };
    assert!(file.key.starts_with("triggers/webhook/") && file.key.ends_with("/1-pass_wd"), "{}", file.key);
    assert_eq!((&*file.content_type, &file.data[..]), ("text/plain", &b"\xff"[..]));
    let arguments: serde_json::Value = serde_json::from_slice(&received.event.payload).unwrap();
    let told = serde_json::json!({"key": file.key, "name": "../../etc/pass wd", "content_type": "text/plain", "bytes": 1});
    assert_eq!(arguments, serde_json::json!({"a": "1", "f": told}));
}

#[test]
fn whoever_reads_http_itself_gets_the_body_as_it_is() {
    for (config, verbatim) in [(r#"{"raw_body": true}"#, false), ("{}", true)] {
        for (content_type, body) in
            [("application/x-www-form-urlencoded", &b"a=1"[..]), ("multipart/form-data", b"x"), ("application/json", b"{")]
        {
            let request = Request::post("/hooks/w/run/f/a/b?include_query=a&a=1").header("content-type", content_type);
            let request = if verbatim { request.extension(Verbatim) } else { request };
            assert_eq!(received(config, request, body).unwrap().event.payload, body, "{content_type}");
        }
    }
}

#[test]
fn cloud_events_are_understood() {
    let binary = Request::post("/hooks/w/run/f/a/b")
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/s")
        .header("ce-type", "t")
        .header("content-type", "text/plain");
    let binary = receive(binary, b"hi").unwrap();
    let structured = Request::post("/hooks/w/run/f/a/b").header("content-type", "application/cloudevents+json");
    let structured = receive(structured, br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}"#).unwrap();
    assert_eq!((&binary.payload[..], &structured.payload[..]), (&b"hi"[..], &br#"{"a":1}"#[..]));
    assert!(binary.dedup_key.is_some() && binary.dedup_key == structured.dedup_key);
    let told: serde_json::Value = structured.metadata.read().unwrap();
    assert_eq!(told["cloudevent"], serde_json::json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}));
    assert_eq!(receive(Request::post("/hooks/w/run/f/a/b").header("ce-specversion", "1.0"), b"{}"), Err(Code::BadRequest));
    let own = Request::post("/hooks/w/run/f/a/b").header("content-type", "application/cloudevents+json").header("idempotency-key", "k");
    let own = receive(own, br#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#).unwrap();
    assert_eq!((own.dedup_key.as_deref(), own.arguments().as_str()), (Some("k"), "{}"));
}

#[test]
fn headers_and_parameters_become_arguments() {
    let post = || Request::post("/hooks/w/run/f/a/b?q=1&token=sm_t&other=2").header("x-user", "7");
    let config = r#"{"include_headers": ["X-User"], "include_query": ["q", "token"]}"#;
    let event = received(config, post(), br#"{"x_user": "played", "n": 1}"#).unwrap().event;
    assert_eq!(&event.payload[..], br#"{"n":1,"q":"1","x_user":"7"}"#);
    let hook = Mounted::<Webhook>::default();
    for config in
        [r#"{"include_headers": ["Authorization"]}"#, r#"{"include_headers": ["a b"]}"#, r#"{"wait_ms": 3600001}"#, r#"{"wait": 1}"#]
    {
        assert!(hook.configure(&JsonText::trusted(config)).is_err(), "{config}");
    }
}

#[test]
fn callers_wait_no_longer_than_anybody_says() {
    let wait = |config: &str, query: &str| {
        let request = Request::post(format!("/hooks/w/run/f/a/b?{query}"));
        received(config, request, b"").unwrap().wait_max.map(|wait| wait.as_millis())
    };
    assert_eq!((wait("{}", ""), wait("{}", "wait_ms=5")), (None, Some(5)));
    assert_eq!((wait(r#"{"wait_ms": 9}"#, "wait_ms=5"), wait(r#"{"wait_ms": 3}"#, "wait_ms=5")), (Some(5), Some(3)));
    let got = receive(Request::get("/hooks/w/run/f/a/b?a=1&wait_ms=5&include_query=a"), b"").unwrap();
    assert_eq!(got.arguments().as_str(), r#"{"a":"1"}"#);
}
