//! Times as text. PostgreSQL counts from the first day of 2000, in microseconds and days.

use std::fmt::Write as _;

use sandmill_model::clock::civil;

use super::{Reader, oid};

const MICROS_OF_SECOND: i64 = 1_000_000;
const MICROS_OF_DAY: i64 = 86_400 * MICROS_OF_SECOND;
/// From 1970-01-01 to 2000-01-01.
const DAYS_TO_EPOCH: i64 = 10_957;
const INFINITY: &str = "infinity";
const BEFORE_ALL: &str = "-infinity";

/// None if it is no type of time, or the bytes are none.
pub(super) fn text(number: u32, reader: &mut Reader<'_>) -> Option<String> {
    Some(match number {
        oid::TIMESTAMPTZ => timestamp(i64::from_be_bytes(reader.take()?), "Z"),
        oid::TIMESTAMP => timestamp(i64::from_be_bytes(reader.take()?), ""),
        oid::DATE => match reader.number()? {
            i32::MAX => INFINITY.to_owned(),
            i32::MIN => BEFORE_ALL.to_owned(),
            days => {
                let (date, is_before) = date(days.into());
                date + before(is_before)
            }
        },
        oid::TIME => time(i64::from_be_bytes(reader.take()?)),
        oid::TIMETZ => {
            let time = time(i64::from_be_bytes(reader.take()?));
            time + &offset(-i64::from(reader.number()?))
        }
        oid::INTERVAL => {
            let micros = i64::from_be_bytes(reader.take()?);
            let days = reader.number()?;
            interval(reader.number()?, days, micros)
        }
        _ => return None,
    })
}

fn timestamp(micros: i64, zone: &str) -> String {
    match micros {
        i64::MAX => INFINITY.to_owned(),
        i64::MIN => BEFORE_ALL.to_owned(),
        _ => {
            let (date, is_before) = date(micros.div_euclid(MICROS_OF_DAY));
            format!("{date}T{}{zone}{}", time(micros.rem_euclid(MICROS_OF_DAY)), before(is_before))
        }
    }
}

fn before(is_before: bool) -> &'static str {
    if is_before { " BC" } else { "" }
}

/// The date, and whether it is before the year 1.
fn date(days: i64) -> (String, bool) {
    let (year, month, day) = civil(days + DAYS_TO_EPOCH);
    let is_before = year <= 0;
    let year = if is_before { 1 - year } else { year };
    (format!("{year:04}-{month:02}-{day:02}"), is_before)
}

fn time(micros: i64) -> String {
    let seconds = micros / MICROS_OF_SECOND;
    format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, micros % MICROS_OF_SECOND)
}

fn offset(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let mut text = format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if seconds % 60 != 0 {
        let _ = write!(text, ":{:02}", seconds % 60);
    }
    text
}

/// As PostgreSQL writes and reads it: `1 year 2 mons -3 days 04:05:06.789`.
fn interval(months: i32, days: i32, micros: i64) -> String {
    if (months, days, micros) == (i32::MAX, i32::MAX, i64::MAX) {
        return INFINITY.to_owned();
    }
    if (months, days, micros) == (i32::MIN, i32::MIN, i64::MIN) {
        return BEFORE_ALL.to_owned();
    }
    let mut parts = Vec::new();
    for (count, one, many) in [(months / 12, "year", "years"), (months % 12, "mon", "mons"), (days, "day", "days")] {
        if count != 0 {
            parts.push(format!("{count} {}", if count == 1 { one } else { many }));
        }
    }
    if micros != 0 || parts.is_empty() {
        let sign = if micros < 0 { "-" } else { "" };
        let micros = i128::from(micros).abs();
        let second = i128::from(MICROS_OF_SECOND);
        let seconds = micros / second;
        let mut text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        if micros % second != 0 {
            let fraction = format!("{:06}", micros % second);
            let _ = write!(text, ".{}", fraction.trim_end_matches('0'));
        }
        parts.push(text);
    }
    parts.join(" ")
}
