//! JSON that passes through as text: checked once where it enters, never parsed again on its way.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::IgnoredAny};
use serde_json::value::RawValue;

/// Levels of arrays and objects in each other.
const DEPTH_MAX: usize = 128;

/// Whether `text` is one JSON value, nested at most 128 levels deep, so that no later parser can be driven into the ground. What
/// not every parser can hold (lone surrogates, numbers out of range) is let through: it may never be parsed.
///
/// # Errors
/// What is wrong, with line and column where that is known.
pub fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text)?;
    let mut depth = 0_usize;
    for byte in structure(text) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(serde::de::Error::custom(format_args!("arrays and objects are nested more than {DEPTH_MAX} levels deep")));
                }
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    Ok(())
}

/// The bytes of valid JSON that are not inside of a string.
pub fn structure(json: &str) -> impl Iterator<Item = u8> {
    let (mut is_string, mut is_escaped) = (false, false);
    json.bytes().filter(move |byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        b'"' => {
            is_string = !is_string;
            false
        }
        _ => !is_string,
    })
}

/// Text of one valid JSON value. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Arc<str>);

impl JsonText {
    /// Checks `text`, see [`check`].
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, serde_json::Error> {
        let text = text.into();
        check(&text)?;
        Ok(Self(text))
    }

    /// For text that a serializer of this process wrote or that was checked when it was stored.
    #[must_use]
    pub fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// This object with one member more, of a name that it does not have; `value` is JSON.
    #[must_use]
    pub fn with_member(&self, name: &str, value: &str) -> Self {
        let Some(open) = self.0.trim_end().strip_suffix('}') else { return self.clone() };
        let comma = if open.trim_end().ends_with('{') { "" } else { "," };
        let name = serde_json::Value::from(name);
        Self(format!("{open}{comma}{name}:{value}}}").into())
    }

    /// # Errors
    /// If `value` has no JSON form: a map with keys that are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    #[must_use]
    pub fn empty_object() -> Self {
        Self("{}".into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whether the value is an object, by its first character.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.trim_start().starts_with('{')
    }

    /// # Errors
    /// If the value does not have the shape of `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Embeds the value itself, not a string of it.
impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(String::from(Box::<str>::from(raw)).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_through_unaltered() {
        let text = r#"{"a": 1e400, "b":12345678901234567890123, "a":2}"#;
        let json = JsonText::parse(text).unwrap();
        #[derive(Serialize, Deserialize)]
        struct Holder {
            inner: JsonText,
        }
        let outer = serde_json::to_string(&Holder { inner: json.clone() }).unwrap();
        assert_eq!(outer, format!("{{\"inner\":{text}}}"));
        assert_eq!(serde_json::from_str::<Holder>(&outer).unwrap().inner, json);
    }

    #[test]
    fn text_is_not_nesting() {
        let text = format!(r#"["{}\"{}",{}{}]"#, "[".repeat(200), "{".repeat(200), "[".repeat(127), "]".repeat(127));
        assert!(JsonText::parse(text).is_ok());
    }

    #[test]
    fn refuses_what_is_not_json() {
        for bad in ["", "{", "{\"a\":}", "NaN", "1 2", &"[".repeat(100_000), &format!("{}{}", "[".repeat(129), "]".repeat(129))] {
            assert!(JsonText::parse(bad).is_err(), "{}", &bad[..bad.len().min(20)]);
        }
    }
}
