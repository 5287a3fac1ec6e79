use super::*;

fn json(text: &str) -> Result<Response<Bytes>, Refusal> {
    of_output(&Output::Json(JsonText::parse(text).unwrap()))
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[track_caller]
fn check(text: &str, status: u16, content_type: Option<&str>, body: &[u8]) {
    let response = json(text).unwrap();
    assert_eq!(response.status(), status, "{text}");
    assert_eq!(header(&response, "content-type"), content_type, "{text}");
    assert_eq!(response.body(), body, "{text}");
    assert_eq!(header(&response, "content-security-policy"), Some("sandbox"), "{text}");
    assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"), "{text}");
}

#[test]
fn json_passes_as_it_is() {
    for text in
        ["null", "\"hi\"", " {\"a\" : 1e400}", "{\"http\":{}}", "{\"a\":1,\"$http\":{\"status\":404}}", "[{\"$http\":{}}]", "\"$http\""]
    {
        check(text, 200, Some("application/json"), text.as_bytes());
    }
}

#[test]
fn http_objects_become_responses() {
    check(r#"{"$http":{}}"#, 200, None, b"");
    check("{ \n \"$http\" : { \"status\" : 201 } }", 201, None, b"");
    check(r#"{"$http":{"body":"h\u00e9"}}"#, 200, Some("text/plain; charset=utf-8"), "hé".as_bytes());
    check(r#"{"$http":{"body":{"a": [1]}}}"#, 200, Some("application/json"), br#"{"a": [1]}"#);
    check(r#"{"$http":{"body":null}}"#, 200, None, b"");
    check(r#"{"$http":{"body_base64":"AAH/"}}"#, 200, Some("application/octet-stream"), b"\x00\x01\xff");
    check(r#"{"$http":{"headers":{"Content-Type":"text/html"},"body":"<p>"}}"#, 200, Some("text/html"), b"<p>");
    check(r#"{"$http":{"status":599,"body":0}}"#, 599, Some("application/json"), b"0");
    check(r#"{"$http":{"status":204,"body":"x"}}"#, 204, Some("text/plain; charset=utf-8"), b"");
    check(r#"{"$http":{"status":304,"body":"x"}}"#, 304, Some("text/plain; charset=utf-8"), b"");
}

#[test]
fn faulty_http_objects_are_refused_with_a_reason() {
    let many: Vec<String> = (0..=HEADERS_MAX).map(|number| format!("\"x-{number}\":\"v\"")).collect();
    let long = "v".repeat(HEADER_BYTES_MAX + 1);
    for (text, reason) in [
        (r#"{"$http":7}"#.to_owned(), "$http"),
        (r#"{"$http":{},"other":1}"#.to_owned(), "alone"),
        (r#"{"$http":{"stauts":200}}"#.to_owned(), "stauts"),
        (r#"{"$http":{"status":199}}"#.to_owned(), "199"),
        (r#"{"$http":{"status":100}}"#.to_owned(), "100"),
        (r#"{"$http":{"status":600}}"#.to_owned(), "600"),
        (r#"{"$http":{"status":"200"}}"#.to_owned(), "$http"),
        (r#"{"$http":{"body":1,"body_base64":""}}"#.to_owned(), "both"),
        (r#"{"$http":{"body_base64":"%"}}"#.to_owned(), "base64"),
        (r#"{"$http":{"headers":{"x-a":"1\r\nSet-Cookie: a=b"}}}"#.to_owned(), "line break"),
        (r#"{"$http":{"headers":{"x-a":["ok","1\n2"]}}}"#.to_owned(), "line break"),
        (r#"{"$http":{"headers":{"x-a":"\u0000"}}}"#.to_owned(), "not allowed"),
        (r#"{"$http":{"headers":{"x a":"1"}}}"#.to_owned(), "name"),
        (r#"{"$http":{"headers":{"x-a: 1\r\nx-b":"1"}}}"#.to_owned(), "name"),
        (r#"{"$http":{"headers":{"x-a":1}}}"#.to_owned(), "$http"),
        (format!(r#"{{"$http":{{"headers":{{{}}}}}}}"#, many.join(",")), "more than"),
        (format!(r#"{{"$http":{{"headers":{{"x-a":"{long}"}}}}}}"#), "more than"),
    ] {
        let refusal = json(&text).expect_err(&text);
        assert_eq!(refusal.code, Code::RunError, "{text}");
        assert!(refusal.detail.contains(reason), "{text}: {}", refusal.detail);
    }
}

#[test]
fn reserved_headers_are_left_out_and_others_kept() {
    let reserved: Vec<String> = RESERVED.iter().map(|name| format!("\"{}\":\"evil\"", name.to_uppercase())).collect();
    let text = format!(r#"{{"$http":{{"headers":{{{},"X-Own":["a","b"],"Location":"/x"}},"body":"x"}}}}"#, reserved.join(","));
    let response = json(&text).unwrap();
    for (name, value) in response.headers() {
        assert!(!value.as_bytes().windows(4).any(|part| part == b"evil"), "{name}");
    }
    assert_eq!(response.headers().get_all("x-own").iter().count(), 2);
    assert_eq!(header(&response, "location"), Some("/x"));
    assert_eq!(header(&response, "content-security-policy"), Some("sandbox"));
    assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
}

/// One script must not have browsers report what others' URLs are, nor have a proxy fetch what is its own.
#[test]
fn nothing_speaks_for_the_host_name_or_to_its_proxy() {
    for name in ["NEL", "Report-To", "Reporting-Endpoints", "Strict-Transport-Security", "Set-Cookie", "X-Accel-Redirect", "X-Sendfile"] {
        let response = json(&format!(r#"{{"$http":{{"headers":{{"{name}":"x"}}}}}}"#)).unwrap();
        assert_eq!(header(&response, &name.to_ascii_lowercase()), None, "{name}");
    }
    assert_eq!(header(&json(r#"{"$http":{"headers":{"X-Accel-Buffering":"no"}}}"#).unwrap(), "x-accel-buffering"), Some("no"));
}

#[test]
fn bytes_keep_their_type() {
    let output = |content_type: &str| Output::Bytes { content_type: content_type.to_owned(), data: Bytes::from_static(b"\x89PNG") };
    let response = of_output(&output("image/png")).unwrap();
    assert_eq!((header(&response, "content-type"), &response.body()[..]), (Some("image/png"), &b"\x89PNG"[..]));
    assert_eq!(header(&response, "content-security-policy"), Some("sandbox"));
    assert_eq!(of_output(&output("a\r\nb: c")).unwrap_err().code, Code::RunError);
}
