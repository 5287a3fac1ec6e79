//! From JSON to what PostgreSQL takes, in its binary form, by the types that it gave the parameters.

mod numeric;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sandmill_model::Timestamp;
use serde_json::value::RawValue;
use sqlx::{
    Arguments as _, Encode, Postgres, Type, TypeInfo as _,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, types::Oid},
};
use uuid::Uuid;

use super::decode::{Form, form, oid};

/// 2000-01-01 in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const MICROS_OF_DAY: i64 = 86_400_000_000;
/// Integers that a number with an exponent or a point stands for exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Levels of arrays.
const DIMENSIONS_MAX: usize = 6;

/// A value in the form of its type; none is NULL.
struct Bound {
    kind: PgTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Type<Postgres> for Bound {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(oid::UNKNOWN))
    }
}

impl Encode<'_, Postgres> for Bound {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.kind.clone())
    }
}

/// # Errors
/// Which parameter is not what its type wants.
pub(super) fn arguments(kinds: &[PgTypeInfo], values: &[Box<RawValue>]) -> Result<PgArguments, String> {
    if kinds.len() != values.len() {
        return Err(format!("the statement has {} parameters; {} were given", kinds.len(), values.len()));
    }
    let mut arguments = PgArguments::default();
    for (number, (kind, value)) in kinds.iter().zip(values).enumerate() {
        let bound =
            bind(kind, value).map_err(|fault| format!("${}, of the type {}: {fault}", number + 1, kind.name().to_ascii_lowercase()))?;
        arguments.add(bound).map_err(|error| format!("${}: {error}", number + 1))?;
    }
    Ok(arguments)
}

fn bind(kind: &PgTypeInfo, value: &RawValue) -> Result<Bound, String> {
    let text = value.get();
    let bytes = if text == "null" { None } else { Some(encoded(kind, text)?) };
    Ok(Bound { kind: kind.clone(), bytes })
}

fn encoded(kind: &PgTypeInfo, json: &str) -> Result<Vec<u8>, String> {
    match form(kind) {
        Form::Text => plain(json).map(String::into_bytes),
        Form::Array(element) => array(element, json),
        Form::BuiltIn(number) => built_in(number, json),
        Form::Other => Err(by_text()),
    }
}

fn by_text() -> String {
    "such values cannot be bound; pass a string and write `$1::text::…` with the type".to_owned()
}

fn built_in(number: u32, json: &str) -> Result<Vec<u8>, String> {
    Ok(match number {
        oid::BOOL => match json {
            "true" => vec![1],
            "false" => vec![0],
            _ => return Err("it is true or false".to_owned()),
        },
        oid::INT2 => narrow::<i16>(json)?.to_be_bytes().to_vec(),
        oid::INT4 => narrow::<i32>(json)?.to_be_bytes().to_vec(),
        oid::INT8 => integer(json)?.to_be_bytes().to_vec(),
        oid::OID => narrow::<u32>(json)?.to_be_bytes().to_vec(),
        oid::FLOAT4 => float::<f32>(json, f32::is_infinite)?.to_be_bytes().to_vec(),
        oid::FLOAT8 => float::<f64>(json, f64::is_infinite)?.to_be_bytes().to_vec(),
        oid::NUMERIC => numeric::encode(&digits(json)?)?,
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN | oid::XML | oid::CHAR => plain(json)?.into_bytes(),
        oid::BYTEA => STANDARD.decode(string(json)?).map_err(|_| "it is a string of base64".to_owned())?,
        oid::JSON => json.as_bytes().to_vec(),
        oid::JSONB => [b"\x01", json.as_bytes()].concat(),
        oid::UUID => uuid(&string(json)?).ok_or("it is a string like 01234567-89ab-cdef-0123-456789abcdef")?,
        oid::TIMESTAMPTZ => instant(&string(json)?, "")?.to_be_bytes().to_vec(),
        oid::TIMESTAMP => instant(&string(json)?, "Z")?.to_be_bytes().to_vec(),
        oid::DATE => date(&string(json)?)?.to_be_bytes().to_vec(),
        oid::TIME => time(&string(json)?)?.to_be_bytes().to_vec(),
        _ => return Err(by_text()),
    })
}

fn is_string(json: &str) -> bool {
    json.starts_with('"')
}

fn string(json: &str) -> Result<String, String> {
    if !is_string(json) {
        return Err("it is a string".to_owned());
    }
    serde_json::from_str(json).map_err(|_| "the string is no Unicode text".to_owned())
}

/// A string, or the text of a number or truth value.
fn plain(json: &str) -> Result<String, String> {
    let text = match json.as_bytes().first() {
        Some(b'"') => string(json)?,
        Some(b'[' | b'{') => return Err("it is a string".to_owned()),
        _ => json.to_owned(),
    };
    if text.contains('\0') {
        return Err("PostgreSQL has no text with NUL characters".to_owned());
    }
    Ok(text)
}

/// The digits of a number, or of a string of them.
fn digits(json: &str) -> Result<String, String> {
    match json.as_bytes().first() {
        Some(b'"') => string(json),
        Some(b'-' | b'0'..=b'9') => Ok(json.to_owned()),
        _ => Err("it is a number, or a string of its digits".to_owned()),
    }
}

fn integer(json: &str) -> Result<i64, String> {
    let digits = digits(json)?;
    if let Ok(value) = digits.parse() {
        return Ok(value);
    }
    // `1e3` and `1.0` are integers too.
    match digits.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number that an i64 holds")]
        Ok(value) if !is_string(json) && value.fract() == 0.0 && value.abs() <= EXACT_MAX => Ok(value as i64),
        _ => Err("it is a whole number of 64 bits, or a string of its digits".to_owned()),
    }
}

fn narrow<T: TryFrom<i64>>(json: &str) -> Result<T, String> {
    T::try_from(integer(json)?).map_err(|_| "the number is out of its range".to_owned())
}

fn float<T: std::str::FromStr + Copy>(json: &str, is_infinite: fn(T) -> bool) -> Result<T, String> {
    let digits = digits(json)?;
    let is_named = matches!(digits.as_str(), "NaN" | "Infinity" | "-Infinity");
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    match digits.parse::<T>() {
        Ok(value) if is_named || (is_number && !is_infinite(value)) => Ok(value),
        _ => Err("it is a number within its range, or \"NaN\", \"Infinity\" or \"-Infinity\"".to_owned()),
    }
}

/// Digits alone, or in groups of 8, 4, 4, 4 and 12.
fn uuid(text: &str) -> Option<Vec<u8>> {
    let parsed = matches!(text.len(), 32 | 36).then(|| Uuid::try_parse(text).ok());
    Some(parsed??.into_bytes().to_vec())
}

/// Microseconds since 2000; `zone` is added to the text.
fn instant(text: &str, zone: &str) -> Result<i64, String> {
    match text {
        "infinity" => return Ok(i64::MAX),
        "-infinity" => return Ok(i64::MIN),
        _ => {}
    }
    let parsed: Result<Timestamp, _> = format!("{}{zone}", text.replacen(' ', "T", 1)).parse();
    let like = if zone.is_empty() { "2026-01-31T12:00:00Z" } else { "2026-01-31T12:00:00" };
    parsed.map(|time| time.micros() - EPOCH_MICROS).map_err(|_| format!("it is a string like {like}"))
}

fn date(text: &str) -> Result<i32, String> {
    match text {
        "infinity" => return Ok(i32::MAX),
        "-infinity" => return Ok(i32::MIN),
        _ => {}
    }
    let midnight = instant(&format!("{text}T00:00:00"), "Z").map_err(|_| "it is a string like 2026-01-31".to_owned())?;
    i32::try_from(midnight / MICROS_OF_DAY).map_err(|_| "the date is out of its range".to_owned())
}

fn time(text: &str) -> Result<i64, String> {
    instant(&format!("2000-01-01T{text}"), "Z").map_err(|_| "it is a string like 12:00:00".to_owned())
}

fn array(element: &PgTypeInfo, json: &str) -> Result<Vec<u8>, String> {
    let mut lengths = Vec::new();
    let mut values = Vec::new();
    let is_json = matches!(form(element), Form::BuiltIn(oid::JSON | oid::JSONB));
    flatten(json, 0, is_json, &mut lengths, &mut |value| {
        if value == "null" {
            values.extend_from_slice(&(-1_i32).to_be_bytes());
            return Ok(());
        }
        let bytes = encoded(element, value)?;
        values.extend_from_slice(&length(bytes.len())?);
        values.extend_from_slice(&bytes);
        Ok(())
    })?;
    let number = element.oid().ok_or_else(by_text)?.0;
    let is_empty = lengths.contains(&0);
    let lengths = if is_empty { Vec::new() } else { lengths };
    let mut bytes = [length(lengths.len())?, 1_i32.to_be_bytes(), number.to_be_bytes()].concat();
    for count in lengths {
        bytes.extend_from_slice(&length(count)?);
        bytes.extend_from_slice(&1_i32.to_be_bytes());
    }
    bytes.extend_from_slice(&values);
    Ok(bytes)
}

fn length(of: usize) -> Result<[u8; 4], String> {
    i32::try_from(of).map(i32::to_be_bytes).map_err(|_| "it is too long".to_owned())
}

/// Calls `each` for the values of all levels; an array of arrays has as many in each. What an array of JSON holds are values, arrays among them.
fn flatten(
    json: &str,
    level: usize,
    is_json: bool,
    lengths: &mut Vec<usize>,
    each: &mut dyn FnMut(&str) -> Result<(), String>,
) -> Result<(), String> {
    if level == DIMENSIONS_MAX {
        return Err(format!("an array has at most {DIMENSIONS_MAX} levels"));
    }
    let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| "it is an array".to_owned())?;
    match lengths.get(level) {
        None => lengths.push(items.len()),
        Some(length) if *length == items.len() => {}
        Some(_) => return Err("arrays in an array have the same length".to_owned()),
    }
    let is_nested = !is_json && items.first().is_some_and(|item| item.get().starts_with('['));
    for item in items {
        if is_json || !is_nested {
            each(item.get())?;
        } else {
            flatten(item.get(), level + 1, is_json, lengths, each)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(integer("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(integer("\"-9223372036854775808\""), Ok(i64::MIN));
        assert_eq!((integer("1e3"), integer("-2.0")), (Ok(1000), Ok(-2)));
        for bad in ["9223372036854775808", "1.5", "1e300", "\"1e3\"", "\"\"", "true", "[]", "\" 1\""] {
            assert!(integer(bad).is_err(), "{bad}");
        }
        assert!(narrow::<i16>("32768").is_err() && narrow::<u32>("-1").is_err());
        assert!(float::<f64>("1e400", f64::is_infinite).is_err() && float::<f64>("\"inf\"", f64::is_infinite).is_err());
        assert!(float::<f32>("1e39", f32::is_infinite).is_err() && float::<f32>("\"NaN\"", f32::is_infinite).is_ok_and(f32::is_nan));
    }

    #[test]
    fn texts_of_types() {
        assert_eq!(uuid("00000000-0000-7000-8000-0000000000ff").map(|bytes| bytes[15]), Some(255));
        assert_eq!(uuid("00000000000070008000000000000001").map(|bytes| (bytes[6], bytes[15])), Some((0x70, 1)));
        for bad in [
            "",
            "g0000000-0000-7000-8000-000000000001",
            "0000000000007000800000000000001",
            "----00000000000070008000000000000001",
            "{00000000-0000-7000-8000-000000000001}",
            "urn:uuid:00000000-0000-7000-8000-000000000001",
        ] {
            assert_eq!(uuid(bad), None, "{bad}");
        }
        assert_eq!((date("2000-01-02"), date("1999-12-31"), time("00:00:01.5")), (Ok(1), Ok(-1), Ok(1_500_000)));
        assert!(date("2000-01-02T00:00:00").is_err() && time("25:00:00").is_err() && instant("2000-01-01", "").is_err());
        assert!(plain("\"a\\u0000\"").is_err() && plain("{}").is_err() && string("\"\\ud800\"").is_err());
    }
}
