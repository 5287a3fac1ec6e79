//! Values of SQLite, from JSON and to it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rusqlite::types::{Value, ValueRef};

use crate::sql::rows;

/// Arrays and objects are bound as their JSON.
pub(super) fn from_json(json: &str) -> Result<Value, String> {
    Ok(match json.as_bytes().first() {
        Some(b'n') => Value::Null,
        Some(b't') => Value::Integer(1),
        Some(b'f') => Value::Integer(0),
        Some(b'"') => Value::Text(serde_json::from_str(json).map_err(|_| "the string is no Unicode text".to_owned())?),
        Some(b'[' | b'{') => Value::Text(json.to_owned()),
        _ if json.contains(['.', 'e', 'E']) => match json.parse::<f64>() {
            Ok(value) if value.is_finite() => Value::Real(value),
            _ => return Err("the number is out of its range".to_owned()),
        },
        _ => Value::Integer(json.parse().map_err(|_| "the number has more than 64 bits; bind it as a string".to_owned())?),
    })
}

pub(super) fn to_json(out: &mut Vec<u8>, value: ValueRef<'_>, is_json: bool) -> Result<(), String> {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(value) => rows::integer(out, value),
        ValueRef::Real(value) => rows::float(out, value),
        ValueRef::Blob(bytes) => rows::string(out, &STANDARD.encode(bytes)),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "its text is not UTF-8".to_owned())?;
            if is_json && sandmill_model::json::check(text).is_ok() {
                out.extend_from_slice(bytes);
            } else {
                rows::string(out, text);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_nothing() {
        assert_eq!(from_json("9223372036854775807"), Ok(Value::Integer(i64::MAX)));
        assert_eq!(from_json("1e2"), Ok(Value::Real(100.0)));
        assert!(from_json("9223372036854775808").is_err() && from_json("1e999").is_err() && from_json("\"\\udc00\"").is_err());
    }
}
