//! From what PostgreSQL sends, in its binary form, to JSON.

mod time;

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sqlx::{
    Row as _, TypeInfo as _, ValueRef as _,
    postgres::{PgRow, PgTypeInfo, PgTypeKind},
};

use crate::sql::rows;

/// Dimensions of an array.
const DIMENSIONS_MAX: i32 = 6;

/// Types by their numbers, which never change.
pub(super) mod oid {
    pub(in super::super) const BOOL: u32 = 16;
    pub(in super::super) const BYTEA: u32 = 17;
    pub(in super::super) const CHAR: u32 = 18;
    pub(in super::super) const NAME: u32 = 19;
    pub(in super::super) const INT8: u32 = 20;
    pub(in super::super) const INT2: u32 = 21;
    pub(in super::super) const INT4: u32 = 23;
    pub(in super::super) const TEXT: u32 = 25;
    pub(in super::super) const OID: u32 = 26;
    pub(in super::super) const JSON: u32 = 114;
    pub(in super::super) const XML: u32 = 142;
    pub(in super::super) const CIDR: u32 = 650;
    pub(in super::super) const FLOAT4: u32 = 700;
    pub(in super::super) const FLOAT8: u32 = 701;
    pub(in super::super) const UNKNOWN: u32 = 705;
    pub(in super::super) const MACADDR8: u32 = 774;
    pub(in super::super) const MACADDR: u32 = 829;
    pub(in super::super) const INET: u32 = 869;
    pub(in super::super) const BPCHAR: u32 = 1042;
    pub(in super::super) const VARCHAR: u32 = 1043;
    pub(in super::super) const DATE: u32 = 1082;
    pub(in super::super) const TIME: u32 = 1083;
    pub(in super::super) const TIMESTAMP: u32 = 1114;
    pub(in super::super) const TIMESTAMPTZ: u32 = 1184;
    pub(in super::super) const INTERVAL: u32 = 1186;
    pub(in super::super) const TIMETZ: u32 = 1266;
    pub(in super::super) const BIT: u32 = 1560;
    pub(in super::super) const VARBIT: u32 = 1562;
    pub(in super::super) const NUMERIC: u32 = 1700;
    pub(in super::super) const VOID: u32 = 2278;
    pub(in super::super) const UUID: u32 = 2950;
    pub(in super::super) const JSONB: u32 = 3802;
}

/// How the values of a type are sent.
pub(super) enum Form<'a> {
    BuiltIn(u32),
    /// As text, whatever it is called.
    Text,
    Array(&'a PgTypeInfo),
    Other,
}

pub(super) fn form(kind: &PgTypeInfo) -> Form<'_> {
    match kind.kind() {
        PgTypeKind::Array(element) => Form::Array(element),
        PgTypeKind::Domain(base) => form(base),
        PgTypeKind::Enum(_) => Form::Text,
        PgTypeKind::Simple if kind.name().eq_ignore_ascii_case("citext") => Form::Text,
        PgTypeKind::Simple | PgTypeKind::Pseudo => kind.oid().map_or(Form::Other, |oid| Form::BuiltIn(oid.0)),
        PgTypeKind::Composite(_) | PgTypeKind::Range(_) => Form::Other,
    }
}

/// # Errors
/// That its values cannot be read, and what to do.
pub(super) fn check(kind: &PgTypeInfo) -> Result<(), String> {
    use oid::{
        BIT, BOOL, BPCHAR, BYTEA, CHAR, CIDR, DATE, FLOAT4, FLOAT8, INET, INT2, INT4, INT8, INTERVAL, JSON, JSONB, MACADDR, MACADDR8, NAME,
        NUMERIC, OID, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ, UNKNOWN, UUID, VARBIT, VARCHAR, VOID, XML,
    };
    let is_known = match form(kind) {
        Form::Text => true,
        Form::Array(element) => return check(element),
        Form::BuiltIn(
            BIT | BOOL | BPCHAR | BYTEA | CHAR | CIDR | DATE | FLOAT4 | FLOAT8 | INET | INT2 | INT4 | INT8 | INTERVAL | JSON | JSONB
            | MACADDR | MACADDR8 | NAME | NUMERIC | OID | TEXT | TIME | TIMESTAMP | TIMESTAMPTZ | TIMETZ | UNKNOWN | UUID | VARBIT
            | VARCHAR | VOID | XML,
        ) => true,
        Form::BuiltIn(_) | Form::Other => false,
    };
    if is_known {
        return Ok(());
    }
    Err(format!("values of the type {} cannot be read; make them text with `::text`", kind.name().to_ascii_lowercase()))
}

pub(super) fn column(row: &PgRow, number: usize, kind: &PgTypeInfo, out: &mut Vec<u8>) -> Result<(), String> {
    let value = row.try_get_raw(number).map_err(|_| "the row has no such column".to_owned())?;
    if value.is_null() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let bytes = value.as_bytes().map_err(|_| "it has no bytes".to_owned())?;
    write(out, kind, bytes).ok_or_else(|| format!("a value is no {} as this host knows it", kind.name().to_ascii_lowercase()))
}

/// None if the bytes are not what the type says.
fn write(out: &mut Vec<u8>, kind: &PgTypeInfo, bytes: &[u8]) -> Option<()> {
    match form(kind) {
        Form::BuiltIn(number) => built_in(out, number, bytes),
        Form::Text => text(out, bytes),
        Form::Array(element) => array(out, element, &mut Reader(bytes)),
        Form::Other => None,
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    rows::string(out, std::str::from_utf8(bytes).ok()?);
    Some(())
}

fn built_in(out: &mut Vec<u8>, number: u32, bytes: &[u8]) -> Option<()> {
    let mut reader = Reader(bytes);
    match number {
        oid::BOOL => out.extend_from_slice(if reader.take::<1>()? == [0] { b"false" } else { b"true" }),
        oid::INT2 => rows::integer(out, i16::from_be_bytes(reader.take()?).into()),
        oid::INT4 => rows::integer(out, i32::from_be_bytes(reader.take()?).into()),
        oid::INT8 => rows::integer(out, i64::from_be_bytes(reader.take()?)),
        oid::OID => rows::integer(out, u32::from_be_bytes(reader.take()?).into()),
        oid::FLOAT4 => float4(out, f32::from_be_bytes(reader.take()?)),
        oid::FLOAT8 => rows::float(out, f64::from_be_bytes(reader.take()?)),
        oid::NUMERIC => rows::string(out, &numeric(&mut reader)?),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN | oid::XML | oid::CHAR => text(out, bytes)?,
        oid::BYTEA => rows::string(out, &STANDARD.encode(bytes)),
        oid::JSON => json(out, bytes)?,
        oid::JSONB => json(out, bytes.strip_prefix(&[1])?)?,
        oid::UUID => rows::string(out, &uuid(reader.take()?)),
        oid::INET | oid::CIDR => rows::string(out, &network(&mut reader)?),
        oid::MACADDR | oid::MACADDR8 => rows::string(out, &bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")),
        oid::BIT | oid::VARBIT => rows::string(out, &bits(&mut reader)?),
        oid::VOID => out.extend_from_slice(b"null"),
        _ => rows::string(out, &time::text(number, &mut reader)?),
    }
    Some(())
}

fn float4(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        let _ = serde_json::to_writer(out, &value);
    } else {
        rows::string(out, rows::not_finite(value.into()));
    }
}

/// JSON as it is: the server has checked it, but what it takes for JSON may be nested deeper than others can read.
fn json(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    let text = std::str::from_utf8(bytes).ok()?;
    sandmill_model::json::check(text).ok()?;
    out.extend_from_slice(bytes);
    Some(())
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn network(reader: &mut Reader<'_>) -> Option<String> {
    let [_, bits, is_cidr, length] = reader.take::<4>()?;
    let (address, bits_max) = match length {
        4 => (Ipv4Addr::from(reader.take::<4>()?).to_string(), 32),
        16 => (Ipv6Addr::from(reader.take::<16>()?).to_string(), 128),
        _ => return None,
    };
    Some(if is_cidr == 0 && bits == bits_max { address } else { format!("{address}/{bits}") })
}

fn bits(reader: &mut Reader<'_>) -> Option<String> {
    let count = usize::try_from(i32::from_be_bytes(reader.take()?)).ok()?;
    let digits: String = reader.0.iter().map(|byte| format!("{byte:08b}")).collect();
    digits.get(..count).map(str::to_owned)
}

/// Digits of 10,000 each, the first of which stands `weight` places before the point.
fn numeric(reader: &mut Reader<'_>) -> Option<String> {
    let count = u16::from_be_bytes(reader.take()?);
    let weight = i32::from(i16::from_be_bytes(reader.take()?));
    let sign = u16::from_be_bytes(reader.take()?);
    let scale = usize::from(u16::from_be_bytes(reader.take()?));
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let digits: Option<Vec<u16>> = (0..count).map(|_| reader.take().map(u16::from_be_bytes)).collect();
    let digits = digits?;
    let digit = |place: i32| usize::try_from(place).ok().and_then(|place| digits.get(place)).copied().unwrap_or(0);
    let mut text = if sign == 0x4000 { "-".to_owned() } else { String::new() };
    let whole: String = (0..=weight).map(|place| format!("{:04}", digit(place))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let places = i32::try_from(scale.div_ceil(4)).ok()?;
        let fraction: String = (0..places).map(|place| format!("{:04}", digit(weight + 1 + place))).collect();
        text.push('.');
        text.push_str(fraction.get(..scale)?);
    }
    Some(text)
}

fn array(out: &mut Vec<u8>, element: &PgTypeInfo, reader: &mut Reader<'_>) -> Option<()> {
    let dimensions = reader.number()?;
    let _has_nulls = reader.number()?;
    let _element = reader.number()?;
    if !(0..=DIMENSIONS_MAX).contains(&dimensions) {
        return None;
    }
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(usize::try_from(reader.number()?).ok()?);
        let _first = reader.number()?;
    }
    if lengths.is_empty() {
        out.extend_from_slice(b"[]");
        return Some(());
    }
    level(out, element, &lengths, reader)
}

fn level(out: &mut Vec<u8>, element: &PgTypeInfo, lengths: &[usize], reader: &mut Reader<'_>) -> Option<()> {
    let Some((length, inner)) = lengths.split_first() else {
        let length = reader.number()?;
        if length < 0 {
            out.extend_from_slice(b"null");
            return Some(());
        }
        return write(out, element, reader.bytes(usize::try_from(length).ok()?)?);
    };
    out.push(b'[');
    for number in 0..*length {
        if number > 0 {
            out.push(b',');
        }
        level(out, element, inner, reader)?;
    }
    out.push(b']');
    Some(())
}

/// Bytes from the begin to the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_lie_are_no_value() {
        let number = |of: i32| of.to_be_bytes().to_vec();
        let int4 = PgTypeInfo::with_oid(sqlx::postgres::types::Oid(oid::INT4));
        for bytes in [vec![], number(7), [number(1), number(0), number(23), number(1 << 30), number(1)].concat(), number(-1)] {
            assert_eq!(array(&mut Vec::new(), &int4, &mut Reader(&bytes)), None);
        }
        for (kind, bytes) in
            [(oid::INT8, &[0; 4][..]), (oid::NUMERIC, &[0, 9, 0, 0]), (oid::JSONB, b"\x02{}"), (oid::TEXT, b"\xff"), (oid::JSON, b"{")]
        {
            assert_eq!(built_in(&mut Vec::new(), kind, bytes), None, "{kind}");
        }
    }
}
