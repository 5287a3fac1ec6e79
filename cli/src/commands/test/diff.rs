//! Where two JSON values differ, by pointer.

use serde_json::Value;

use crate::render::clean_line;

/// Differences that are shown of one result.
const SHOWN_MAX: usize = 20;
/// Characters of a value that are shown.
const VALUE_CHARACTERS_MAX: usize = 200;

/// One place; none: there is nothing there.
#[derive(Debug, PartialEq)]
struct Difference<'a> {
    pointer: String,
    expected: Option<&'a Value>,
    actual: Option<&'a Value>,
}

/// A line for each difference; none if they are equal. Numbers are compared by their value: 1 and 1.0 are equal.
pub(super) fn lines(expected: &Value, actual: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare(expected, actual, "", &mut differences);
    let more = differences.len().saturating_sub(SHOWN_MAX);
    let mut lines: Vec<String> = differences.iter().take(SHOWN_MAX).map(line).collect();
    if more > 0 {
        lines.push(format!("and {more} more differences"));
    }
    lines
}

fn compare<'a>(expected: &'a Value, actual: &'a Value, pointer: &str, found: &mut Vec<Difference<'a>>) {
    match (expected, actual) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                let pointer = format!("{pointer}/{}", escape(key));
                match right.get(key) {
                    Some(other) => compare(value, other, &pointer, found),
                    None => found.push(Difference { pointer, expected: Some(value), actual: None }),
                }
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                found.push(Difference { pointer: format!("{pointer}/{}", escape(key)), expected: None, actual: Some(value) });
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for index in 0..left.len().max(right.len()) {
                let pointer = format!("{pointer}/{index}");
                match (left.get(index), right.get(index)) {
                    (Some(left), Some(right)) => compare(left, right, &pointer, found),
                    (expected, actual) => found.push(Difference { pointer, expected, actual }),
                }
            }
        }
        _ if same(expected, actual) => {}
        _ => found.push(Difference { pointer: pointer.to_owned(), expected: Some(expected), actual: Some(actual) }),
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) if left.is_f64() != right.is_f64() => left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

/// A key in a pointer, as RFC 6901 has it.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn line(difference: &Difference<'_>) -> String {
    let pointer = if difference.pointer.is_empty() { "(result)" } else { &difference.pointer };
    let said = match (difference.expected, difference.actual) {
        (Some(expected), Some(actual)) => format!("expected {}, got {}", shown(expected), shown(actual)),
        (Some(expected), None) => format!("expected {}, got nothing", shown(expected)),
        (None, Some(actual)) => format!("expected nothing, got {}", shown(actual)),
        (None, None) => String::new(),
    };
    format!("{}: {said}", clean_line(pointer))
}

/// A value on one line, its end left out if it is long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut short: String = text.chars().take(VALUE_CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    clean_line(&short)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_have_their_pointers() {
        for (expected, actual, said) in [
            (json!(1), json!(1.0), vec![]),
            (json!({"a": [1, {"b": null}]}), json!({"a": [1, {"b": null}]}), vec![]),
            (json!(1), json!("1"), vec!["(result): expected 1, got \"1\""]),
            (json!({"a": 1}), json!({"b": 1}), vec!["/a: expected 1, got nothing", "/b: expected nothing, got 1"]),
            (
                json!({"a/b~": [1, 2]}),
                json!({"a/b~": [1, 3, 4]}),
                vec!["/a~1b~0/1: expected 2, got 3", "/a~1b~0/2: expected nothing, got 4"],
            ),
            (json!([{"x": true}]), json!([{"x": false}]), vec!["/0/x: expected true, got false"]),
            (json!({"a": null}), json!({}), vec!["/a: expected null, got nothing"]),
        ] {
            assert_eq!(lines(&expected, &actual), said, "{expected} {actual}");
        }
    }

    #[test]
    fn what_is_shown_is_bounded_and_harmless() {
        let many: Vec<u32> = (0..100).collect();
        assert_eq!(lines(&json!(many), &json!([])).len(), SHOWN_MAX + 1);
        let line = lines(&json!("x".repeat(10_000)), &json!("\u{1b}[2J\u{9b}")).remove(0);
        assert!(line.len() < 1_000 && line.contains('…') && !line.contains(['\u{1b}', '\u{9b}']), "{line}");
    }
}
