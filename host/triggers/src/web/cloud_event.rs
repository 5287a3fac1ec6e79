//! CloudEvents 1.0 by HTTP: binary mode, where headers hold what is known of an event and the body is the event, and structured mode, where one JSON object has both.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use percent_encoding::percent_decode_str;
use sandmill_model::{Code, Digest, Timestamp, code::Refusal};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{body, push_json_string};

const STRUCTURED: &str = "application/cloudevents+json";
const VERSION: &str = "1.0";
/// Names of attributes in headers begin so.
const PREFIX: &str = "ce-";
/// Members of an event as one object: its attributes, and its data.
const MEMBERS_MAX: usize = 256;
/// Attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// What a request says that is an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CloudEvent {
    /// A JSON object.
    pub(crate) attributes: Vec<u8>,
    /// None: the body, which is read as any other.
    pub(crate) data: Option<Bytes>,
    /// Equal for repetitions: of source and id.
    pub(crate) key: String,
    pub(crate) occurred_at: Option<Timestamp>,
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(Code::BadRequest, format!("the request is no CloudEvent of version {VERSION}: {why}"))
}

/// None: the request does not say that it is one.
///
/// # Errors
/// `bad_request`, `invalid_json`.
pub(crate) fn of(headers: &HeaderMap, body: &Bytes) -> Result<Option<CloudEvent>, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if body::is(body::media_type(content_type), STRUCTURED) {
        return structured(body).map(Some);
    }
    if headers.contains_key("ce-specversion") { binary(headers).map(Some) } else { Ok(None) }
}

fn binary(headers: &HeaderMap) -> Result<CloudEvent, Refusal> {
    let mut attributes: BTreeMap<Cow<'_, str>, String> = BTreeMap::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
        let value = std::str::from_utf8(value.as_bytes()).ok().and_then(|value| percent_decode_str(value).decode_utf8().ok());
        let value = value.ok_or_else(|| wrong("an attribute is not UTF-8"))?;
        let mut json = Vec::new();
        push_json_string(&mut json, &value);
        // Written here, so it is UTF-8.
        attributes.insert(Cow::Borrowed(name), String::from_utf8(json).unwrap_or_default());
    }
    made(attributes.iter().map(|(name, json)| (&**name, json.as_str())), None)
}

fn structured(body: &Bytes) -> Result<CloudEvent, Refusal> {
    body::check_json(body)?;
    let Members(members) = serde_json::from_slice(body)
        .map_err(|_| wrong(&format!("its body is no JSON object, or one of more than {MEMBERS_MAX} members")))?;
    let text = |name: &str| members.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let data = match (members.get("data"), members.get("data_base64")) {
        (Some(_), Some(_)) => return Err(wrong("it has both `data` and `data_base64`")),
        (None, None) => Bytes::new(),
        (None, Some(_)) => {
            let bytes = text("data_base64").and_then(|text| STANDARD.decode(text).ok());
            bytes.ok_or_else(|| wrong("`data_base64` is not base64"))?.into()
        }
        (Some(raw), None) => {
            let is_json = text("datacontenttype").is_none_or(|content_type| body::is_json(body::media_type(&content_type)));
            match text("data").filter(|_| !is_json) {
                Some(text) => text.into(),
                None => body.slice_ref(raw.get().as_bytes()),
            }
        }
    };
    let attributes = members.iter().filter(|(name, _)| !matches!(&***name, "data" | "data_base64"));
    made(attributes.map(|(name, raw)| (&**name, raw.get())), Some(data))
}

/// Of an object. There are few: a body of many small ones would take many times its size.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Few;

        impl<'de> Visitor<'de> for Few {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = access.next_entry::<String, &'de RawValue>()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(de::Error::custom("too many members"));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Few)
    }
}

/// Of attributes as JSON.
fn made<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>, data: Option<Bytes>) -> Result<CloudEvent, Refusal> {
    let mut out = vec![b'{'];
    let mut required = [const { String::new() }; REQUIRED.len()];
    let mut occurred_at = None;
    for (name, json) in attributes {
        if out.len() > 1 {
            out.push(b',');
        }
        push_json_string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(json.as_bytes());
        let text = || serde_json::from_str::<String>(json).unwrap_or_default();
        if let Some(place) = REQUIRED.iter().position(|required| *required == name) {
            required[place] = text();
        } else if name == "time" {
            occurred_at = text().parse().ok();
        }
    }
    out.push(b'}');
    if let Some(missing) = required.iter().position(String::is_empty) {
        return Err(wrong(&format!("`{}` is missing, or is no text", REQUIRED[missing])));
    }
    let [version, id, source, _] = required;
    if version != VERSION {
        return Err(wrong("`specversion` is another"));
    }
    let key = format!("cloudevent {}", Digest::of_parts(&[source.as_bytes(), id.as_bytes()]));
    Ok(CloudEvent { attributes: out, data, key, occurred_at })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn event(headers: &[(&'static str, &'static str)], body: &'static str) -> Result<Option<CloudEvent>, Code> {
        let header = |&(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        of(&headers.iter().map(header).collect(), &Bytes::from_static(body.as_bytes())).map_err(|refusal| refusal.code)
    }

    fn told(event: &CloudEvent) -> (&str, Option<&[u8]>) {
        (std::str::from_utf8(&event.attributes).unwrap(), event.data.as_deref())
    }

    const ID: [(&str, &str); 3] = [("ce-id", "a-1"), ("ce-source", "/shop%20%C3%BC"), ("ce-type", "order.made")];
    const TYPE: (&str, &str) = ("content-type", "application/cloudevents+json; charset=utf-8");

    #[test]
    fn both_modes_tell_the_same() {
        let [id, source, kind] = ID;
        let binary =
            event(&[("ce-specversion", "1.0"), id, source, kind, ("ce-time", "2026-01-02T03:04:05Z"), ("x-a", "b")], "").unwrap().unwrap();
        let attributes = r#"{"id":"a-1","source":"/shop ü","specversion":"1.0","time":"2026-01-02T03:04:05Z","type":"order.made"}"#;
        assert_eq!(told(&binary), (attributes, None));
        assert_eq!(binary.occurred_at, "2026-01-02T03:04:05Z".parse().ok());
        let text =
            r#"{"specversion":"1.0","id":"a-1","source":"/shop ü","type":"order.made","time":"2026-01-02T03:04:05Z","data":{"a": 1e400}}"#;
        let structured = event(&[TYPE], text).unwrap().unwrap();
        assert_eq!(told(&structured), (attributes, Some(&br#"{"a": 1e400}"#[..])));
        assert_eq!((&structured.key, structured.occurred_at), (&binary.key, binary.occurred_at));
    }

    #[test]
    fn data_is_what_its_type_says() {
        for (data, expected) in [
            ("", &b""[..]),
            (r#","data":"text""#, b"\"text\""),
            (r#","data":"<a\u0020/>","datacontenttype":"text/xml""#, b"<a />"),
            (r#","data":[1],"datacontenttype":"text/xml""#, b"[1]"),
            (r#","data_base64":"/wA=""#, b"\xff\0"),
        ] {
            let text = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{data}}}"#);
            let body = Bytes::from(text);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED))]);
            assert_eq!(of(&headers, &body).unwrap().unwrap().data.as_deref(), Some(expected), "{data}");
        }
    }

    #[test]
    fn what_is_none_is_refused_or_no_event() {
        let [id, source, kind] = ID;
        assert_eq!(event(&[("content-type", "application/json"), id], "{}"), Ok(None));
        for headers in
            [&[("ce-specversion", "1.0"), id, source][..], &[("ce-specversion", "0.3"), id, source, kind], &[("ce-specversion", "")]]
        {
            assert_eq!(event(headers, ""), Err(Code::BadRequest), "{headers:?}");
        }
        for body in [
            "[]",
            "{}",
            r#"{"specversion":1.0,"id":"1","source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":""}"#,
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"%"}"#,
        ] {
            assert_eq!(event(&[TYPE], body), Err(Code::BadRequest), "{body}");
        }
        assert_eq!(event(&[TYPE], "{"), Err(Code::InvalidJson));
    }

    #[test]
    fn attributes_are_few() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED))]);
        let with = |more: usize| {
            let more: String = (0..more).map(|number| format!(",\"a{number}\":0")).collect();
            of(&headers, &Bytes::from(format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{more}}}"#)))
        };
        assert!(with(MEMBERS_MAX - REQUIRED.len()).is_ok());
        assert_eq!(with(MEMBERS_MAX - REQUIRED.len() + 1).unwrap_err().code, Code::BadRequest);
    }
}
