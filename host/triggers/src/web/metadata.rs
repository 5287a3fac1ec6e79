//! Metadata of an HTTP event: `{method, path, query, headers}`. Written by hand: it is part of every webhook's cost.

use http::{HeaderMap, HeaderName, Method, Uri, header};
use sandmill_model::{Code, JsonText, code::Refusal, trigger::REQUEST_METADATA_BYTES_MAX};

use super::{json_text, push_json_string, query::Query};

/// What usual requests need.
const USUAL_BYTES: usize = 512;

/// # Errors
/// If headers and URL are longer than a run's record should be.
pub(crate) fn of_request(method: &Method, uri: &Uri, query: &Query<'_>, headers: &HeaderMap) -> Result<JsonText, Refusal> {
    let mut out = Vec::with_capacity(USUAL_BYTES);
    out.extend_from_slice(b"{\"method\":");
    push_json_string(&mut out, method.as_str());
    out.extend_from_slice(b",\"path\":");
    push_json_string(&mut out, uri.path());
    out.extend_from_slice(b",\"query\":");
    query.push_json(&mut out);
    out.extend_from_slice(b",\"headers\":");
    push_headers(&mut out, headers);
    out.push(b'}');
    bounded(json_text(out))
}

/// The same with one field more, whose value is JSON.
///
/// # Errors
/// If it is too long then.
pub(crate) fn plus(metadata: &JsonText, name: &str, value: &[u8]) -> Result<JsonText, Refusal> {
    // Written here, so it is UTF-8.
    let value = std::str::from_utf8(value).unwrap_or("null");
    bounded(metadata.with_member(name, value))
}

fn bounded(metadata: JsonText) -> Result<JsonText, Refusal> {
    if metadata.as_str().len() > REQUEST_METADATA_BYTES_MAX {
        let why = format!("URL and headers together are longer than {REQUEST_METADATA_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::BadRequest, why));
    }
    Ok(metadata)
}

/// Names are lower-case already; several values of one name are joined as RFC 9110 says.
fn push_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    out.push(b'{');
    let mut first = true;
    for name in headers.keys().filter(|name| !is_secret(name)) {
        if !first {
            out.push(b',');
        }
        first = false;
        push_json_string(out, name.as_str());
        out.push(b':');
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
        match values.next() {
            None => push_json_string(out, &value),
            Some(second) => {
                let mut joined = value.into_owned();
                for value in std::iter::once(second).chain(values) {
                    joined.push_str(", ");
                    joined.push_str(&String::from_utf8_lossy(value.as_bytes()));
                }
                push_json_string(out, &joined);
            }
        }
    }
    out.push(b'}');
}

/// Credentials of the caller are never shown to a script, nor kept.
pub(crate) fn is_secret(name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION || *name == header::COOKIE || *name == header::PROXY_AUTHORIZATION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_everything_but_secrets() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("X-Twice", "a"),
            ("X-Twice", "b"),
            ("X-Quote", "say \"hi\""),
            ("Authorization", "Bearer sm_secret"),
            ("Proxy-Authorization", "Basic secret"),
            ("Cookie", "session=secret"),
        ] {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let uri: Uri = "/hooks/w/run/f/a/b%20?x=1&token=sm_secret".parse().unwrap();
        let query = Query::parse(uri.query()).unwrap();
        let metadata = of_request(&Method::POST, &uri, &query, &headers).unwrap();
        assert!(!metadata.as_str().contains("secret"), "{metadata:?}");
        let parsed: serde_json::Value = metadata.read().unwrap();
        assert_eq!(
            parsed,
            serde_json::json!({
                "method": "POST",
                "path": "/hooks/w/run/f/a/b%20",
                "query": {"x": "1"},
                "headers": {"x-twice": "a, b", "x-quote": "say \"hi\""},
            })
        );
    }

    #[test]
    fn is_bounded() {
        let mut headers = HeaderMap::new();
        headers.insert("x-long", "v".repeat(REQUEST_METADATA_BYTES_MAX).parse().unwrap());
        let uri = Uri::from_static("/");
        let refusal = of_request(&Method::GET, &uri, &Query::parse(None).unwrap(), &headers).unwrap_err();
        assert_eq!(refusal.code, Code::BadRequest);
    }
}
