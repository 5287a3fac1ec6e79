//! The items in what a script returned, each as it was written: numbers keep their digits.

use std::collections::HashMap;

use sandmill_model::{Digest, JsonText};
use serde_json::value::RawValue;

/// Items that are found at once: more are not taken.
pub(super) const ITEMS_MAX: usize = 10_000;
/// Bytes of what an item is known by; of what is longer, or has a NUL, which not every database holds, the digest is taken.
const ID_BYTES_MAX: usize = 200;

/// The list at `pointer`; null, or nothing there, is an empty one.
///
/// # Errors
/// Why there is none.
pub(super) fn found(returned: &JsonText, pointer: &str) -> Result<Vec<JsonText>, String> {
    let Some(list) = at(returned.as_str(), pointer).filter(|list| list.trim() != "null") else { return Ok(Vec::new()) };
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(list) else {
        return Err(if pointer.is_empty() { "what it returned is no list".to_owned() } else { format!("at {pointer} is no list") });
    };
    if items.len() > ITEMS_MAX {
        return Err(format!("it returned {} items; {ITEMS_MAX} are taken at once", items.len()));
    }
    Ok(items.into_iter().map(|item| JsonText::trusted(item.get())).collect())
}

/// What an item is known by; none: nothing is there.
pub(super) fn id(item: &JsonText, pointer: &str) -> Option<String> {
    let found = at(item.as_str(), pointer)?.trim();
    if found == "null" {
        return None;
    }
    let id = serde_json::from_str::<String>(found).unwrap_or_else(|_| found.to_owned());
    Some(if id.len() > ID_BYTES_MAX || id.contains('\0') { Digest::of(id.as_bytes()).to_string() } else { id })
}

/// The text of what is at an RFC 6901 pointer.
fn at<'a>(json: &'a str, pointer: &str) -> Option<&'a str> {
    pointer.split('/').skip(1).try_fold(json, |json, token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        if json.trim_start().starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            list.get(token.parse::<usize>().ok()?).map(|found| found.get())
        } else {
            let mut object: HashMap<String, &RawValue> = serde_json::from_str(json).ok()?;
            object.remove(&token).map(RawValue::get)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(returned: &str, pointer: &str) -> Result<Vec<String>, String> {
        found(&JsonText::parse(returned).unwrap(), pointer).map(|items| items.iter().map(|item| item.as_str().to_owned()).collect())
    }

    #[test]
    fn items_are_as_they_were_written() {
        let returned = r#"{"a/b": {"list": [1e400, {"id": 12345678901234567890123}, "x"]}, "none": null, "n": 1}"#;
        assert_eq!(texts(returned, "/a~1b/list").unwrap(), ["1e400", r#"{"id": 12345678901234567890123}"#, "\"x\""]);
        assert_eq!(texts("[[1, 2], [3]]", "/1").unwrap(), ["3"]);
        for empty in ["/none", "/other", "/n/deeper"] {
            assert_eq!(texts(returned, empty).unwrap(), Vec::<String>::new(), "{empty}");
        }
        assert_eq!(texts("null", "").unwrap(), Vec::<String>::new());
        assert!(texts(returned, "/n").unwrap_err().contains("at /n is no list"));
        assert!(texts("{}", "").unwrap_err().contains("no list"));
        let many = |items: usize| format!("[{}0]", "0,".repeat(items - 1));
        assert_eq!(texts(&many(ITEMS_MAX), "").unwrap().len(), ITEMS_MAX);
        assert!(texts(&many(ITEMS_MAX + 1), "").unwrap_err().contains("10001 items"));
    }

    #[test]
    fn what_items_are_known_by() {
        let id = |item: &str, pointer: &str| id(&JsonText::parse(item).unwrap(), pointer);
        assert_eq!(id(r#"{"id": "a\u0062"}"#, "/id").as_deref(), Some("ab"));
        assert_eq!(id(r#"{"id": 12345678901234567890123}"#, "/id").as_deref(), Some("12345678901234567890123"));
        assert_eq!(id("\"x\"", "").as_deref(), Some("x"));
        assert_eq!(id(r#"{"id": null}"#, "/id"), None);
        assert_eq!(id("{}", "/id"), None);
        let long = id(&format!("\"{}\"", "x".repeat(ID_BYTES_MAX + 1)), "").unwrap();
        assert!(long.starts_with("sha256:"));
        assert!(id(r#""a\u0000b""#, "").unwrap().starts_with("sha256:"));
        assert_eq!(id(&format!("\"{}\"", "x".repeat(ID_BYTES_MAX)), "").unwrap().len(), ID_BYTES_MAX);
    }
}
