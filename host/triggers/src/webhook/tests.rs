use http::{HeaderMap, Method, Request};
use sandmill_model::{
    Code, Digest, Event, RequestId, Timestamp,
    trigger::{DynEndpoint, Mounted, To},
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

fn receive(request: http::request::Builder, body: &'static [u8]) -> Result<Event, Code> {
    let hook = Mounted::<Webhook>::default();
    let now = Timestamp::from_micros(0);
    let request = request.body(Bytes::from_static(body)).unwrap();
    let incoming = Incoming { request, params: Vec::new(), route: None, caller: None, id: RequestId::new(now), now };
    match hook.plain().unwrap().receive(incoming).map_err(|refusal| refusal.code)? {
        Reception::Event(received) => Ok(received.event.of(hook.plain_trigger())),
        Reception::Answer(answer) => panic!("{answer:?}"),
    }
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
    assert_eq!(receive(post().header("content-type", "multipart/form-data"), b""), Err(Code::UnsupportedMediaType));
    assert_eq!(receive(post().header("idempotency-key", ""), b""), Err(Code::BadRequest));
    let long = "k".repeat(sandmill_model::idempotency::KEY_CHARACTERS_MAX + 1);
    assert_eq!(receive(post().header("idempotency-key", long), b""), Err(Code::BadRequest));
    assert_eq!(receive(Request::post("/hooks/w/run/f/a/b?a=%ff"), b""), Err(Code::BadRequest));
}
