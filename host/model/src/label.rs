//! Labels: values out of a run's arguments by which it is found again.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::predicate::check_pointer;

/// Labels of one script.
pub const LABELS_MAX: usize = 8;
/// Characters of a label's name.
const NAME_CHARACTERS_MAX: usize = 64;
/// Characters of a label's value that are kept.
pub const VALUE_CHARACTERS_MAX: usize = 128;

/// The labels of a run: values by their names.
pub type Labels = BTreeMap<String, String>;

/// What a manifest says: JSON pointers by the names of labels.
pub type LabelPointers = BTreeMap<String, String>;

/// # Errors
/// What is wrong with a script's labels, for its author.
pub fn check(pointers: &LabelPointers) -> Result<(), String> {
    if pointers.len() > LABELS_MAX {
        return Err(format!("a script has at most {LABELS_MAX} labels"));
    }
    for (name, pointer) in pointers {
        check_name(name)?;
        check_pointer(pointer).map_err(|fault| format!("label `{name}`: {fault}"))?;
    }
    Ok(())
}

/// # Errors
/// What is wrong with a label's name, for whoever chose it.
pub fn check_name(name: &str) -> Result<(), String> {
    let sane = (1..=NAME_CHARACTERS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if sane { Ok(()) } else { Err(format!("a label's name has 1 to {NAME_CHARACTERS_MAX} letters, digits, `-`, `_` or `.`")) }
}

/// The labels of a run with these arguments. What is not there, or is no text, number or boolean, gives none.
#[must_use]
pub fn of(pointers: &LabelPointers, arguments: &Value) -> Labels {
    let value = |pointer: &String| match arguments.pointer(pointer)? {
        Value::String(text) => Some(short(text)),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(short(&value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    pointers.iter().filter_map(|(name, pointer)| Some((name.clone(), value(pointer)?))).collect()
}

/// As a value is kept, and looked for: cut, and without control characters, which no database keeps alike.
#[must_use]
pub fn short(text: &str) -> String {
    let plain = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    text.chars().take(VALUE_CHARACTERS_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(list: &[(&str, &str)]) -> LabelPointers {
        list.iter().map(|(name, pointer)| ((*name).to_owned(), (*pointer).to_owned())).collect()
    }

    #[test]
    fn values_are_text_numbers_and_booleans() {
        let pointers = pointers(&[("customer", "/customer/id"), ("n", "/n"), ("ok", "/ok"), ("none", "/none"), ("list", "/list")]);
        let labels = of(&pointers, &json!({"customer": {"id": "a\u{0}b"}, "n": 1.50, "ok": true, "list": [1], "other": 1}));
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(labels, [("customer", "a\u{FFFD}b"), ("n", "1.5"), ("ok", "true")]);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let labels = of(&pointers(&[("a", "/a")]), &json!({"a": "ü".repeat(1000)}));
        assert_eq!(labels["a"], "ü".repeat(VALUE_CHARACTERS_MAX));
    }

    #[test]
    fn wrong_labels_are_told() {
        assert!(check(&pointers(&[("a b", "/a")])).unwrap_err().contains("name"));
        assert!(check(&pointers(&[("a", "a")])).unwrap_err().contains("label `a`"));
        let many = (0..9).map(|n| (format!("l{n}"), "/a".to_owned())).collect();
        assert!(check(&many).unwrap_err().contains("at most 8"));
        assert!(check(&pointers(&[("customer", "/customer/id"), ("all", "")])).is_ok());
    }
}
