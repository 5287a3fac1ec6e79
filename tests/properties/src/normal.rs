//! What docs/components.md says of values in JSON, written a second time: what each looks like once it has been a value of its type.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value};

use crate::types::{Integer, Type};

/// Integers beyond are strings of their digits.
const SAFE_MAX: u128 = (1 << 53) - 1;
/// Floats beyond may stand for several integers.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Why it is no value of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The schema refuses it too.
    Schema,
    /// No schema can say so: base64, the last digits of 64 bits.
    Beyond,
}

/// The text of the value, as it is written; `None` is one that is not there.
pub(crate) fn of(ty: &Type, value: Option<&Value>) -> Result<String, Refusal> {
    let Some(value) = value else { return if ty.is_option() { Ok("null".to_owned()) } else { Err(Refusal::Schema) } };
    match (ty, value) {
        (Type::Bool, Value::Bool(value)) => Ok(value.to_string()),
        (Type::Integer(of), value) => integer(of, value),
        (Type::F32, value) => float(value).map(|value| value as f32).map(|value| written(&value, value.into())),
        (Type::F64, value) => float(value).map(|value| written(&value, value)),
        (Type::Char, Value::String(text)) if text.chars().count() == 1 => Ok(value.to_string()),
        (Type::String, Value::String(_)) => Ok(value.to_string()),
        (Type::List(inner), Value::String(text)) if inner.is_u8() => {
            if STANDARD.decode(text).is_ok() {
                Ok(value.to_string())
            } else {
                Err(Refusal::Beyond)
            }
        }
        (Type::List(inner), Value::Array(values)) if !inner.is_u8() => {
            Ok(format!("[{}]", joined(values.iter().map(|value| of(inner, Some(value))))?))
        }
        (Type::Option(_), Value::Null) => Ok("null".to_owned()),
        (Type::Option(inner), Value::Object(members)) if inner.is_option() => case("some", Some(inner), only(members, "some")?),
        (Type::Option(inner), value) if !inner.is_option() => of(inner, Some(value)),
        (Type::Tuple(types), Value::Array(values)) if types.len() == values.len() => {
            Ok(format!("[{}]", joined(types.iter().zip(values).map(|(ty, value)| of(ty, Some(value))))?))
        }
        (Type::Record(fields), Value::Object(members)) => {
            let fields = fields.iter().map(|(name, ty)| Ok(format!("\"{name}\":{}", of(ty, members.get(*name))?)));
            Ok(format!("{{{}}}", joined(fields)?))
        }
        (Type::Variant(cases), Value::String(chosen)) if cases.iter().any(|(name, ty)| name == chosen && ty.is_none()) => {
            Ok(value.to_string())
        }
        (Type::Variant(cases), Value::Object(members)) => {
            let (name, ty) = cases.iter().find(|(name, ty)| ty.is_some() && members.contains_key(*name)).ok_or(Refusal::Schema)?;
            case(name, ty.as_ref(), only(members, name)?)
        }
        (Type::Result(ok, err), Value::Object(members)) => {
            let (name, ty) = if members.contains_key("ok") { ("ok", ok) } else { ("err", err) };
            case(name, ty.as_deref(), only(members, name)?)
        }
        (Type::Enum(names), Value::String(chosen)) if names.iter().any(|name| name == chosen) => Ok(value.to_string()),
        (Type::Flags(names), Value::Array(values)) => flags(names, values),
        _ => Err(Refusal::Schema),
    }
}

/// All of them, or why not: what the schema refuses in any it refuses in all.
pub(crate) fn joined(parts: impl Iterator<Item = Result<String, Refusal>>) -> Result<String, Refusal> {
    let (mut texts, mut beyond) = (Vec::new(), false);
    for part in parts {
        match part {
            Ok(text) => texts.push(text),
            Err(Refusal::Beyond) => beyond = true,
            Err(Refusal::Schema) => return Err(Refusal::Schema),
        }
    }
    if beyond { Err(Refusal::Beyond) } else { Ok(texts.join(",")) }
}

fn only<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Refusal> {
    members.get(name).filter(|_| members.len() == 1).ok_or(Refusal::Schema)
}

fn case(name: &str, ty: Option<&Type>, value: &Value) -> Result<String, Refusal> {
    let value = match ty {
        Some(ty) => of(ty, Some(value))?,
        None if value.is_null() => "null".to_owned(),
        None => return Err(Refusal::Schema),
    };
    Ok(format!("{{\"{name}\":{value}}}"))
}

fn integer(of: &Integer, value: &Value) -> Result<String, Refusal> {
    let integer = match value {
        Value::Number(number) => whole(of, number)?,
        Value::String(text) if of.is_long() => digits(of, text)?,
        _ => return Err(Refusal::Schema),
    };
    if !(of.min..=of.max).contains(&integer) {
        return Err(if value.is_string() { Refusal::Beyond } else { Refusal::Schema });
    }
    Ok(if integer.unsigned_abs() > SAFE_MAX { format!("\"{integer}\"") } else { integer.to_string() })
}

fn whole(of: &Integer, number: &Number) -> Result<i128, Refusal> {
    if let Some(integer) = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)) {
        return Ok(integer);
    }
    match number.as_f64() {
        Some(float) if float.fract() != 0.0 => Err(Refusal::Schema),
        Some(float) if float.abs() <= EXACT_FLOAT_MAX => Ok(float as i128),
        _ => Err(if of.is_long() { Refusal::Beyond } else { Refusal::Schema }),
    }
}

fn digits(of: &Integer, text: &str) -> Result<i128, Refusal> {
    let (digits, digits_max) = if of.min < 0 { (text.strip_prefix('-').unwrap_or(text), 19) } else { (text, 20) };
    let is_one = (1..=digits_max).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_one { text.parse().map_err(|_| Refusal::Schema) } else { Err(Refusal::Schema) }
}

fn float(value: &Value) -> Result<f64, Refusal> {
    match value {
        Value::Number(number) => number.as_f64().ok_or(Refusal::Schema),
        Value::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(Refusal::Schema),
        },
        _ => Err(Refusal::Schema),
    }
}

/// `number` as it is written, unless it is none in JSON.
fn written(number: &impl serde::Serialize, value: f64) -> String {
    if value.is_finite() {
        serde_json::to_string(number).unwrap()
    } else if value.is_nan() {
        "\"NaN\"".to_owned()
    } else if value > 0.0 {
        "\"Infinity\"".to_owned()
    } else {
        "\"-Infinity\"".to_owned()
    }
}

/// In the order of the type's.
fn flags(names: &[&str], values: &[Value]) -> Result<String, Refusal> {
    let chosen: Vec<&str> = values.iter().map(|value| value.as_str().ok_or(Refusal::Schema)).collect::<Result<_, _>>()?;
    let is_twice = chosen.iter().enumerate().any(|(index, name)| chosen[..index].contains(name));
    if is_twice || chosen.iter().any(|name| !names.contains(name)) {
        return Err(Refusal::Schema);
    }
    let set = names.iter().filter(|name| chosen.contains(name)).map(|name| format!("\"{name}\""));
    Ok(format!("[{}]", set.collect::<Vec<_>>().join(",")))
}
