use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use sandmill_model::{
    Code, JsonText, RequestId, Timestamp,
    trigger::{Configured, DynEndpoint, Mounted, Received, To, Verbatim},
};
use serde_json::{Value, json};

use super::*;

fn configured(config: &Value) -> Result<Arc<dyn Configured>, ConfigError> {
    Mounted::<Route>::default().configure(&JsonText::of(config).unwrap())
}

fn route(config: &Value) -> Arc<dyn Configured> {
    configured(config).unwrap_or_else(|error| panic!("{config}: {error}"))
}

fn incoming(request: http::request::Builder, body: &'static [u8], params: &[(&str, &str)]) -> Incoming {
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    Incoming {
        request: request.body(Bytes::from_static(body)).unwrap(),
        params: params.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())).collect(),
        route: None,
        caller: None,
        id: RequestId::new(now),
        now,
    }
}

fn received(route: &dyn Configured, incoming: Incoming) -> Result<Received, Code> {
    match route.receive(incoming).map_err(|refusal| refusal.code)? {
        Reception::Event(received) => Ok(*received),
        Reception::Answer(answer) => panic!("{answer:?}"),
    }
}

fn address(method: &Method, rest: &str, asked: Option<&'static str>) -> Result<(String, Method, String), Code> {
    let mut headers = HeaderMap::new();
    if let Some(asked) = asked {
        headers.insert("access-control-request-method", HeaderValue::from_static(asked));
    }
    let kind = Mounted::<Route>::default();
    let found = kind.address(Head { method, rest, headers: &headers }).map_err(|refusal| refusal.code)?;
    let To::Stored { method, path } = found.to else { panic!("{found:?}") };
    Ok((found.workspace.to_owned(), method, path.into_owned()))
}

#[test]
fn addresses() {
    let found = |method: Method, path: &str| Ok(("w".to_owned(), method, path.to_owned()));
    assert_eq!(address(&Method::GET, "w/users/7", None), found(Method::GET, "/users/7"));
    assert_eq!(address(&Method::GET, "w", None), found(Method::GET, "/"));
    assert_eq!(address(&Method::GET, "w/", None), found(Method::GET, "/"));
    // As it was sent: whoever looks it up decodes it.
    assert_eq!(address(&Method::PUT, "w/a%2Fb//c", None), found(Method::PUT, "/a%2Fb//c"));
    assert_eq!(address(&Method::HEAD, "w/a", None), found(Method::GET, "/a"));
    assert_eq!(address(&Method::OPTIONS, "w/a", Some("DELETE")), found(Method::DELETE, "/a"));
    for asked in [None, Some("TRACE"), Some("OPTIONS"), Some("get"), Some("")] {
        assert_eq!(address(&Method::OPTIONS, "w/a", asked), found(Method::OPTIONS, "/a"), "{asked:?}");
    }
    assert_eq!(address(&Method::GET, "", None), Err(Code::NotFound));
    assert_eq!(address(&Method::GET, "/users", None), Err(Code::NotFound));
}

fn keys(config: &Value) -> Vec<String> {
    let target = "f/t/x".parse().unwrap();
    route(config).keys(&target).iter().map(EndpointKey::text).collect()
}

#[test]
fn a_route_takes_its_methods_at_its_path() {
    assert_eq!(keys(&json!({"methods": ["GET", "PUT"], "path": "/users/:id"})), ["GET /users/:", "PUT /users/:"]);
    let mandrill = json!({"type": "hmac", "preset": "mandrill", "secret": "s", "public_url": "https://example.com"});
    assert_eq!(keys(&json!({"methods": ["POST"], "path": "/mail", "auth": mandrill})), ["POST /mail", "GET /mail"]);
}

#[test]
fn wrong_settings_are_told() {
    let with = |member: &str, value: Value| {
        let mut config = json!({"methods": ["GET"], "path": "/x"});
        config[member] = value;
        config
    };
    for (config, pointer) in [
        (json!({"path": "/x"}), ""),
        (json!({"methods": ["GET"]}), ""),
        (with("method", json!("GET")), ""),
        (with("methods", json!([])), "/methods"),
        (with("methods", json!(["GET", "POST", "GET"])), "/methods/2"),
        (with("methods", json!(["HEAD"])), ""),
        (with("methods", json!(["get"])), ""),
        (with("path", json!("x")), "/path"),
        (with("path", json!("/:a/:a")), "/path"),
        (with("wait_ms", json!(0)), "/wait_ms"),
        (with("reply", json!("later")), ""),
        (with("auth", json!({"type": "none", "key": "x"})), ""),
        (with("auth", json!({"type": "token", "key": "x"})), ""),
        (with("auth", json!({"type": "trust me"})), ""),
        (with("auth", json!({"type": "api_key", "key": ""})), "/auth/key"),
        (with("auth", json!({"type": "api_key", "key": "k", "other_keys": [""]})), "/auth/other_keys/0"),
        (with("auth", json!({"type": "api_key", "key": "k", "header": "Cookie"})), "/auth/header"),
        (with("auth", json!({"type": "api_key", "key": "k", "header": "x y"})), "/auth/header"),
        (with("auth", json!({"type": "basic", "user": "a:b", "password": "p"})), "/auth/user"),
        (with("auth", json!({"type": "basic", "user": "a", "password": ""})), "/auth/password"),
        (with("auth", json!({"type": "script", "path": "x"})), "/auth/path"),
        (with("auth", json!({"type": "hmac", "preset": "twilio", "secret": "s"})), "/auth/public_url"),
        (with("cors", json!({"origins": []})), "/cors/origins"),
        (with("cors", json!({"origins": ["https://a.example", "*"]})), "/cors/origins/1"),
        (with("cors", json!({"origins": ["null"]})), "/cors/origins/0"),
        (with("cors", json!({"origins": ["https://a.example/"]})), "/cors/origins/0"),
        (with("cors", json!({"origins": ["https://*.example"]})), "/cors/origins/0"),
        (with("cors", json!({"origins": ["https://A.example"]})), "/cors/origins/0"),
        (with("cors", json!({"origins": ["*"], "headers": ["a b"]})), "/cors/headers/0"),
        (with("cors", json!({"origins": ["*"], "max_age_s": 86_401})), "/cors/max_age_s"),
    ] {
        let Err(error) = configured(&config) else { panic!("{config}") };
        assert_eq!(error.pointer, pointer, "{config}: {error}");
    }
}

#[test]
fn who_decides_is_said() {
    let access = |auth: Value| route(&json!({"methods": ["GET"], "path": "/x", "auth": auth})).access();
    assert_eq!(route(&json!({"methods": ["GET"], "path": "/x"})).access(), Access::Token, "nobody is let in by leaving something out");
    assert_eq!(access(json!({"type": "token"})), Access::Token);
    assert_eq!(access(json!({"type": "script", "path": "f/t/guard"})), Access::Script("f/t/guard".parse().unwrap()));
    for auth in [
        json!({"type": "none"}),
        json!({"type": "api_key", "key": "k"}),
        json!({"type": "basic", "user": "u", "password": "p"}),
        json!({"type": "hmac", "preset": "github", "secret": "s"}),
    ] {
        assert_eq!(access(auth.clone()), Access::Kind, "{auth}");
    }
    let reply = |reply: &str| route(&json!({"methods": ["GET"], "path": "/x", "reply": reply})).reply();
    assert_eq!(["sync", "async", "stream", "raw"].map(reply), [Reply::Result, Reply::Receipt, Reply::Events, Reply::Raw]);
}

#[test]
fn a_request_becomes_an_event() {
    let open = route(&json!({"methods": ["GET", "POST"], "path": "/users/:id", "auth": {"type": "none"}, "wait_ms": 250}));
    let request = Request::post("/r/w/users/a%20b?x=1").header("X-A", "b").header("Cookie", "secret");
    let got = received(&*open, incoming(request, b"{\"n\":1}", &[("id", "a b")])).unwrap();
    assert_eq!(&got.event.payload[..], b"{\"n\":1}", "what was sent is not altered");
    assert_eq!(
        got.event.metadata.as_str(),
        r#"{"method":"POST","path":"/r/w/users/a%20b","query":{"x":"1"},"headers":{"x-a":"b"},"params":{"id":"a b"},"route":"/users/:id","target":"/users/a%20b"}"#
    );
    assert_eq!((got.event.dedup_key, got.wait_max, got.reply), (None, Some(std::time::Duration::from_millis(250)), None));
}

/// Whoever answers HTTP behind a route has paths of its own, and knows nothing of workspaces.
#[test]
fn a_path_begins_behind_the_workspace() {
    let open = route(&json!({"methods": ["GET"], "path": "/*rest", "auth": {"type": "none"}}));
    for (uri, target) in [("/r/w", "/"), ("/r/w/", "/"), ("/r/w/a", "/a"), ("/r/w/a%2Fb//c/?x=/y", "/a%2Fb//c/")] {
        let got = received(&*open, incoming(Request::get(uri), b"", &[])).unwrap();
        assert_eq!(got.event.metadata.read::<Value>().unwrap()["target"], target, "{uri}");
    }
}

/// Without a body the arguments are those of the URL, and its path goes before its query: a pattern is the route's, a query the caller's.
#[test]
fn arguments_of_a_url() {
    let open = route(&json!({"methods": ["GET", "DELETE"], "path": "/users/:id", "auth": {"type": "none"}}));
    let arguments = |request: http::request::Builder, params: &[(&str, &str)]| {
        let payload = received(&*open, incoming(request, b"", params)).unwrap().event.payload;
        serde_json::from_slice::<Value>(&payload).unwrap()
    };
    for method in ["GET", "HEAD", "DELETE"] {
        let request = Request::builder().method(method).uri("/r/w/users/7?id=8&tag=a&tag=b&token=t");
        assert_eq!(arguments(request, &[("id", "7")]), json!({"id": "7", "tag": ["a", "b"]}), "{method}");
    }
    assert_eq!(arguments(Request::get("/r/w/users"), &[]), json!({}));
    assert_eq!(arguments(Request::get("/r/w/x"), &[("a\"", "\n")]), json!({"a\"": "\n"}));
}

#[test]
fn forms_and_their_files() {
    let open = route(&json!({"methods": ["POST"], "path": "/x/:id", "auth": {"type": "none"}}));
    let post = |content_type: &str| Request::post("/r/w/x/7?a=0").header("content-type", content_type);
    let got = received(&*open, incoming(post("application/x-www-form-urlencoded"), b"name=J%C3%BCrgen&n=1&n=2", &[("id", "7")])).unwrap();
    assert_eq!((&got.event.payload[..], got.files.len()), ("{\"name\":\"Jürgen\",\"n\":[\"1\",\"2\"]}".as_bytes(), 0));
    let form = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
        Content-Disposition: form-data; name=\"f\"; filename=\"../../etc/pass wd\"\r\nContent-Type: text/plain\r\n\r\n\xff\r\n--x--\r\n";
    let got = received(&*open, incoming(post("multipart/form-data; boundary=x"), form, &[("id", "7")])).unwrap();
    let [file] = got.files.as_slice() else { panic!("{:?}", got.files) };
    assert!(file.key.starts_with("triggers/route/") && file.key.ends_with("/1-pass_wd"), "{}", file.key);
    assert_eq!((&*file.content_type, &file.data[..]), ("text/plain", &b"\xff"[..]));
    let told = json!({"key": file.key, "name": "../../etc/pass wd", "content_type": "text/plain", "bytes": 1});
    assert_eq!(serde_json::from_slice::<Value>(&got.event.payload).unwrap(), json!({"a": "1", "f": told}));
    let broken = incoming(post("multipart/form-data; boundary=x"), b"a=1", &[("id", "7")]);
    assert_eq!(received(&*open, broken).unwrap_err(), Code::BadRequest);
}

/// A signature is of the bytes that came, and not of what is made of them; nobody's files are kept before it was looked at.
#[test]
fn forms_are_read_after_their_signature() {
    let auth = json!({"type": "hmac", "preset": "github", "secret": "It's a Secret to Everybody"});
    let signed = route(&json!({"methods": ["POST"], "path": "/x", "auth": auth}));
    let form = b"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n1\r\n--x--";
    let forged = Request::post("/r/w/x").header("content-type", "multipart/form-data; boundary=x");
    let forged = forged.header("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    assert_eq!(received(&*signed, incoming(forged, form, &[])).unwrap_err(), Code::Unauthorized);
}

#[test]
fn whoever_reads_http_itself_gets_the_body_as_it_is() {
    let open = route(&json!({"methods": ["POST"], "path": "/x/:id", "auth": {"type": "none"}, "reply": "raw"}));
    for (content_type, body) in
        [("application/x-www-form-urlencoded", &b"a=1"[..]), ("multipart/form-data", b"x"), ("application/json", b"{"), ("text/plain", b"")]
    {
        let request = Request::post("/r/w/x/7").header("content-type", content_type).extension(Verbatim);
        let got = received(&*open, incoming(request, body, &[("id", "7")])).unwrap();
        assert_eq!((&got.event.payload[..], got.files.len()), (body, 0), "{content_type}");
    }
}

#[test]
fn what_a_route_does_not_take_starts_nothing() {
    let open = route(&json!({"methods": ["POST"], "path": "/x", "auth": {"type": "none"}}));
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        let request = Request::builder().method(method).uri("/r/w/x").header("access-control-request-method", "POST");
        assert_eq!(received(&*open, incoming(request, b"", &[])).unwrap_err(), Code::MethodNotAllowed, "{method}");
    }
    let long = Request::post("/r/w/x");
    let value = "v".repeat(40_000);
    let refused = received(&*open, incoming(long, b"", &[("a", value.as_str()), ("b", value.as_str())])).unwrap_err();
    assert_eq!(refused, Code::BadRequest, "metadata are bounded");
}

#[test]
fn keys_of_callers() {
    let keyed = route(&json!({"methods": ["POST"], "path": "/x", "auth": {"type": "api_key", "key": "k-1", "other_keys": ["k-2"]}}));
    let post = || Request::post("/r/w/x");
    for (key, genuine) in [("k-1", true), ("k-2", true), ("k-3", false), ("", false), ("k-", false), ("k-11", false), ("K-1", false)] {
        let got = received(&*keyed, incoming(post().header("X-Api-Key", key), b"{}", &[]));
        match got {
            Ok(received) => assert!(genuine && !received.event.metadata.as_str().contains("k-"), "{key}: nobody is told the key"),
            Err(code) => assert_eq!((code, genuine), (Code::Unauthorized, false), "{key}"),
        }
    }
    assert_eq!(received(&*keyed, incoming(post(), b"{}", &[])).unwrap_err(), Code::Unauthorized);
    // Of two, the first: nobody gets in by the second, and none of them is told.
    let twice = post().header("x-api-key", "x").header("x-api-key", "k-1");
    assert_eq!(received(&*keyed, incoming(twice, b"{}", &[])).unwrap_err(), Code::Unauthorized);
    let got = received(&*keyed, incoming(post().header("x-api-key", "k-1").header("x-api-key", "k-2"), b"{}", &[])).unwrap();
    assert!(!got.event.metadata.as_str().contains("k-"), "{:?}", got.event.metadata);
    let own = route(&json!({"methods": ["POST"], "path": "/x", "auth": {"type": "api_key", "key": "k", "header": "X-Own"}}));
    assert!(received(&*own, incoming(post().header("x-own", "k"), b"{}", &[])).is_ok());
    assert!(received(&*own, incoming(post().header("x-api-key", "k"), b"{}", &[])).is_err());
}

#[test]
fn users_and_passwords() {
    let config = json!({"methods": ["POST"], "path": "/x", "auth": {"type": "basic", "user": "Aladdin", "password": "open sesame"}});
    let basic = route(&config);
    // The first is of RFC 7617.
    for (shown, genuine) in [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", true),
        ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", true),
        ("Basic QWxhZGRpbjo=", false),
        ("Basic QWxhZGRpbg==", false),
        ("Basic Og==", false),
        ("Basic", false),
        ("Basic !", false),
        ("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", false),
        ("", false),
    ] {
        let got = received(&*basic, incoming(Request::post("/r/w/x").header("authorization", shown), b"{}", &[]));
        assert_eq!(got.as_ref().err(), (!genuine).then_some(&Code::Unauthorized), "{shown}");
        assert!(got.is_err() || !got.unwrap().event.metadata.as_str().contains("QWxh"));
    }
    let mut headers = HeaderMap::new();
    basic.dress(None, &mut headers);
    assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
}

/// A repetition is answered with what the first request was: only who is known may name one.
#[test]
fn strangers_name_no_repetitions() {
    let key = |auth: Value, caller: Option<&str>, headers: &[(&'static str, &'static str)]| {
        let route = route(&json!({"methods": ["POST"], "path": "/x", "auth": auth}));
        let mut request = incoming(Request::post("/r/w/x").header("idempotency-key", "i-1"), b"Hello, World!", &[]);
        request.request.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
        for &(name, value) in headers {
            request.request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request.caller = caller.map(Arc::from);
        received(&*route, request).unwrap().event.dedup_key
    };
    assert_eq!(key(json!({"type": "none"}), None, &[("x-github-delivery", "d-1")]), None);
    assert_eq!(key(json!({"type": "script", "path": "f/t/guard"}), None, &[("webhook-id", "d-1")]), None);
    assert_eq!(key(json!({"type": "token"}), None, &[]), None);
    let (eve, bob) = (key(json!({"type": "token"}), Some("u/eve"), &[]), key(json!({"type": "token"}), Some("u/bob"), &[]));
    assert!(eve.is_some() && bob.is_some() && eve != bob, "{eve:?} {bob:?}");
    assert_eq!(key(json!({"type": "api_key", "key": "k"}), None, &[("x-api-key", "k")]).as_deref(), Some("i-1"));
    let signed = ("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    let github = json!({"type": "hmac", "preset": "github", "secret": "It's a Secret to Everybody"});
    assert_eq!(key(github.clone(), None, &[signed, ("x-github-delivery", "d-1")]).as_deref(), Some("d-1"), "that of the provider");
    assert_eq!(key(github, None, &[signed]), None);
}

/// Mandrill looks for the URL before it sends anything.
#[test]
fn a_url_that_is_looked_for_is_there() {
    let auth = json!({"type": "hmac", "preset": "mandrill", "secret": "s", "public_url": "https://example.com"});
    let mail = route(&json!({"methods": ["POST"], "path": "/x", "auth": auth}));
    let Reception::Answer(answer) = mail.receive(incoming(Request::head("/r/w/x"), b"", &[])).unwrap() else { panic!("it is no event") };
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
    for request in [Request::get("/r/w/x"), Request::post("/r/w/x")] {
        assert_eq!(received(&*mail, incoming(request, b"", &[])).unwrap_err(), Code::Unauthorized);
    }
    let github = json!({"type": "hmac", "preset": "github", "secret": "s"});
    let other = route(&json!({"methods": ["GET"], "path": "/x", "auth": github}));
    assert_eq!(received(&*other, incoming(Request::head("/r/w/x"), b"", &[])).unwrap_err(), Code::Unauthorized);
}

fn preflight(route: &dyn Configured, origin: Option<&'static str>) -> Result<Response<Bytes>, Code> {
    let mut request = Request::builder().method("OPTIONS").uri("/r/w/x").header("access-control-request-method", "PUT");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    match route.receive(incoming(request, b"", &[])).map_err(|refusal| refusal.code)? {
        Reception::Answer(answer) => Ok(answer),
        Reception::Event(event) => panic!("{event:?}"),
    }
}

#[test]
fn pages_that_are_named_may_call() {
    let cors = json!({"origins": ["https://app.example.com", "http://localhost:3000"], "headers": ["x-a", "x-b"], "expose": ["etag"], "max_age_s": 60});
    let named = route(&json!({"methods": ["GET", "PUT"], "path": "/x", "cors": cors}));
    let answer = preflight(&*named, Some("https://app.example.com")).unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let told = |answer: &Response<Bytes>, name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-a, x-b"),
        ("access-control-expose-headers", "etag"),
        ("access-control-max-age", "60"),
        ("vary", "origin"),
    ] {
        assert_eq!(told(&answer, name).as_deref(), Some(value), "{name}");
    }
    for other in
        [None, Some("https://app.example.com.evil.example"), Some("https://evil.example"), Some("null"), Some("http://app.example.com")]
    {
        let answer = preflight(&*named, other).unwrap();
        let names: Vec<&str> = answer.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["vary"], "{other:?}");
    }
    let mut headers = HeaderMap::new();
    for name in ["access-control-allow-origin", "access-control-expose-headers"] {
        headers.insert(name, HeaderValue::from_static("*"));
    }
    headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
    for _ in 0..2 {
        named.dress(Some(&HeaderValue::from_static("https://evil.example")), &mut headers);
    }
    let left: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(left, ["vary"], "the config says who may, not the script");
    assert_eq!(headers.get_all("vary").iter().count(), 1);
    // Nor may it have a page that is named send the credentials that its browser keeps for this host name.
    headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
    named.dress(Some(&HeaderValue::from_static("https://app.example.com")), &mut headers);
    assert!(!headers.contains_key("access-control-allow-credentials"));
    assert_eq!(headers["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(headers["access-control-expose-headers"], "etag");
}

#[test]
fn all_pages_and_none() {
    let all = route(&json!({"methods": ["GET"], "path": "/x", "cors": {"origins": ["*"]}}));
    let answer = preflight(&*all, Some("https://any.example")).unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert!(answer.headers().get("access-control-allow-credentials").is_none() && answer.headers().get("vary").is_none());
    let none = route(&json!({"methods": ["GET"], "path": "/x"}));
    assert_eq!(preflight(&*none, Some("https://any.example")).unwrap_err(), Code::MethodNotAllowed);
    let mut headers = HeaderMap::new();
    none.dress(Some(&HeaderValue::from_static("https://any.example")), &mut headers);
    assert!(headers.is_empty());
    // Who is let in by the route itself is let in after it was asked: a preflight shows no key.
    let auth = json!({"type": "api_key", "key": "k"});
    let keyed = route(&json!({"methods": ["PUT"], "path": "/x", "auth": auth, "cors": {"origins": ["*"]}}));
    assert!(preflight(&*keyed, Some("https://any.example")).is_ok());
}

#[test]
fn routes_are_described() {
    let described = |auth: Value, reply: &str| {
        let config = json!({"methods": ["GET", "PUT"], "path": "/users/:id/*rest", "auth": auth, "reply": reply});
        route(&config).described().unwrap()
    };
    let document = described(json!({"type": "api_key", "key": "secret-1", "header": "X-Key"}), "sync");
    assert!(!document.to_string().contains("secret-1"));
    let item = &document["paths"]["/users/{id}/{rest}"];
    let methods: Vec<&String> = item.as_object().unwrap().keys().collect();
    assert_eq!(methods, ["get", "put"]);
    let names: Vec<&Value> = item["get"]["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
    assert_eq!(names, ["id", "rest"]);
    assert_eq!((item["get"]["requestBody"].is_null(), item["put"]["requestBody"].is_object()), (true, true));
    for (auth, reply, scheme, statuses) in [
        (json!({"type": "none"}), "sync", None, ["200", "202", "default"].as_slice()),
        (json!({"type": "script", "path": "f/t/guard"}), "raw", None, &["200", "202", "default"]),
        (json!({"type": "token"}), "async", Some(("token", "http")), &["202", "default"]),
        (json!({"type": "basic", "user": "u", "password": "secret-1"}), "stream", Some(("basic", "http")), &["200", "default"]),
        (
            json!({"type": "hmac", "preset": "github", "secret": "secret-1"}),
            "sync",
            Some(("signature.x-hub-signature-256", "apiKey")),
            &["200", "202", "default"],
        ),
    ] {
        let document = described(auth.clone(), reply);
        assert!(!document.to_string().contains("secret-1"));
        let operation = &document["paths"]["/users/{id}/{rest}"]["put"];
        let answers: Vec<&String> = operation["responses"].as_object().unwrap().keys().collect();
        assert_eq!(answers, statuses, "{auth}");
        let Some((name, kind)) = scheme else {
            assert_eq!(document["components"]["securitySchemes"], json!({}), "{auth}");
            continue;
        };
        assert_eq!(document["components"]["securitySchemes"][name]["type"], kind, "{auth}");
        assert_eq!(operation["security"], json!([{ name: [] }]), "{auth}");
    }
}
