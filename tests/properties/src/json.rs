//! JSON that is mostly a value of a type, and sometimes nearly one.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};

use crate::types::{Integer, Type};

/// Elements of a list, characters of a text.
const LENGTH_MAX: usize = 4;

/// What other types look like, and what is nearly a value of some.
const STRAYS: [&str; 28] = [
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "1.5",
    "41.0",
    "1e2",
    "1e19",
    "1e300",
    "1e400",
    "18446744073709551616",
    "9007199254740993.0",
    "\"\"",
    "\"x\"",
    "\"+1\"",
    "\"-0\"",
    "\"000000000000000000007\"",
    "\"18446744073709551616\"",
    "\"NaN\"",
    "\"\\ud800\"",
    "\"ok\"",
    "[]",
    "[null]",
    "{}",
    "{\"some\":null}",
    "{\"ok\":null}",
    "{\"err\":0,\"ok\":0}",
];

pub(crate) fn write(ty: &Type, input: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    if input.int_in_range(0..=31)? == 31 {
        out.push_str(input.choose(&STRAYS)?);
        return Ok(());
    }
    match ty {
        Type::Bool => out.push_str(if input.arbitrary()? { "true" } else { "false" }),
        Type::Integer(of) => integer(of, input, out)?,
        Type::F32 | Type::F64 => float(input, out)?,
        Type::Char => out.push_str(&text(&input.arbitrary::<char>()?.to_string())),
        Type::String => {
            let characters = (0..input.int_in_range(0..=LENGTH_MAX)?).map(|_| input.arbitrary::<char>()).collect::<Result<String>>()?;
            out.push_str(&text(&characters));
        }
        Type::List(inner) if inner.is_u8() => {
            out.push_str(input.choose(&["\"\"", "\"AAH/\"", "\"AA==\"", "\"AAE=\"", "\"AB==\"", "\"AA\"", "\"%\""])?)
        }
        Type::List(inner) => {
            let length = input.int_in_range(0..=LENGTH_MAX)?;
            all(out, ('[', ']'), 0..length, |_, out| write(inner, input, out))?;
        }
        Type::Option(inner) => match (input.arbitrary::<bool>()?, inner.is_option()) {
            (false, _) => out.push_str("null"),
            (true, true) => case("some", Some(inner), input, out)?,
            (true, false) => write(inner, input, out)?,
        },
        Type::Tuple(types) => all(out, ('[', ']'), types.iter(), |ty, out| write(ty, input, out))?,
        Type::Record(fields) => {
            // Now and then one is left out.
            let missing = input.int_in_range(0..=fields.len() * 4)?;
            let fields = fields.iter().enumerate().filter(|(index, _)| index + 1 != missing);
            all(out, ('{', '}'), fields, |(_, (name, ty)), out| member(name, Some(ty), input, out))?;
        }
        Type::Variant(cases) => match input.choose(cases)? {
            (name, None) => out.push_str(&text(name)),
            (name, Some(ty)) => case(name, Some(ty), input, out)?,
        },
        Type::Result(ok, err) => {
            let (name, ty) = if input.arbitrary()? { ("ok", ok) } else { ("err", err) };
            case(name, ty.as_deref(), input, out)?;
        }
        Type::Enum(names) => out.push_str(&text(input.choose(names)?)),
        Type::Flags(names) => {
            let length = input.int_in_range(0..=LENGTH_MAX.min(names.len()))?;
            all(out, ('[', ']'), 0..length, |_, out| {
                out.push_str(&text(input.choose(names)?));
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn all<T>(
    out: &mut String,
    (open, close): (char, char),
    parts: impl Iterator<Item = T>,
    mut write: impl FnMut(T, &mut String) -> Result<()>,
) -> Result<()> {
    out.push(open);
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(part, out)?;
    }
    out.push(close);
    Ok(())
}

fn case(name: &str, ty: Option<&Type>, input: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    out.push('{');
    member(name, ty, input, out)?;
    out.push('}');
    Ok(())
}

fn member(name: &str, ty: Option<&Type>, input: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    let _ = write!(out, "\"{name}\":");
    match ty {
        Some(ty) => write(ty, input, out),
        None => {
            out.push_str("null");
            Ok(())
        }
    }
}

/// At the edges, where the ways to write them differ.
fn integer(of: &Integer, input: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    const SAFE: i128 = 1 << 53;
    let edge = *input.choose(&[0, of.min, of.max, SAFE, -SAFE])?;
    let integer = edge + i128::from(input.int_in_range::<i16>(-2..=2)?) + i128::from(input.int_in_range::<u8>(0..=1)?) * 64;
    let _ = match input.int_in_range(0..=5)? {
        0..=2 => write!(out, "{integer}"),
        3 => write!(out, "\"{integer}\""),
        4 => write!(out, "{integer}.0"),
        _ => write!(out, "\"+{integer}\""),
    };
    Ok(())
}

fn float(input: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    let number: f64 = input.arbitrary()?;
    match number {
        _ if number.is_nan() => out.push_str("\"NaN\""),
        f64::INFINITY => out.push_str("\"Infinity\""),
        f64::NEG_INFINITY => out.push_str("\"-Infinity\""),
        _ => out.push_str(&serde_json::Value::from(number).to_string()),
    }
    Ok(())
}
