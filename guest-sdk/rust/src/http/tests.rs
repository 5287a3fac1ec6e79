//! Requests against a fake, and what URLs are made of.

use serde_json::json;

use super::{Request, Response, get, post};
use crate::testing::Fakes;

#[test]
fn a_fake_answers() {
    let fakes = Fakes::new().http(|request| {
        assert_eq!(request.header_value("content-TYPE"), Some("application/json"));
        Ok(Response::new(201).with_header("x-a", "b").with_body(request.body.clone().unwrap_or_default()))
    });
    let world = fakes.install();
    let response = post("https://api.example.com/items").json(&json!({"a": 1})).unwrap().send().unwrap();
    assert!(response.is_ok());
    assert_eq!((response.header("X-A"), response.text().unwrap()), (Some("b"), r#"{"a":1}"#));
    assert_eq!(response.json::<serde_json::Value>().unwrap()["a"], 1);
    assert_eq!(world.requests()[0].url, "https://api.example.com/items");
}

#[test]
fn what_was_not_faked_is_denied() {
    let _world = Fakes::new().install();
    let error = get("https://api.example.com/").send().unwrap_err();
    assert_eq!(error.name, "HTTP-request-denied");
    assert!(error.message.contains("Fakes::new().http("), "{error}");
}

#[test]
fn urls_have_three_parts() {
    for (url, expected) in [
        ("https://a", Some((true, "a", "/"))),
        ("http://a:81?x=1", Some((false, "a:81", "/?x=1"))),
        ("https://a/b?c#d", Some((true, "a", "/b?c"))),
        ("ftp://a", None),
        ("https:///x", None),
        ("", None),
    ] {
        let request = Request::new("GET", url);
        let parts = request.parts().ok();
        assert_eq!(parts.as_ref().map(|(is_secure, authority, path)| (*is_secure, *authority, path.as_str())), expected, "{url}");
    }
}
