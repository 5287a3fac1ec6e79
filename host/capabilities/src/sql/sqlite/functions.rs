//! Functions that take the place of SQLite's own, whose time grows with the product of their arguments' lengths: nothing stops a function that is at
//! work.

use std::{borrow::Cow, collections::HashSet};

use memchr::memmem;
use rusqlite::{
    Connection, Error, Result,
    functions::{Context, FunctionFlags},
    types::{Value, ValueRef},
};

use super::guard::VALUE_BYTES_MAX;

pub(super) fn define(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("instr", 2, flags, instr)?;
    connection.create_scalar_function("replace", 3, flags, replace)?;
    for (name, ends) in [("trim", Ends::Both), ("ltrim", Ends::Left), ("rtrim", Ends::Right)] {
        connection.create_scalar_function(name, 2, flags, move |context| trim(context, ends))?;
    }
    Ok(())
}

/// From 1: of bytes if both are blobs, else of characters; 0 if it is not there.
fn instr(context: &Context<'_>) -> Result<Value> {
    let (text, part) = (context.get_raw(0), context.get_raw(1));
    let (Some(bytes), Some(needle)) = (bytes(text), bytes(part)) else { return Ok(Value::Null) };
    let found = memmem::find(&bytes, &needle).map_or(0, |at| match (text, part) {
        (ValueRef::Blob(_), ValueRef::Blob(_)) => at + 1,
        // Each character has one byte that does not go on with another.
        _ => bytes[..at].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1,
    });
    Ok(Value::Integer(i64::try_from(found).unwrap_or(i64::MAX)))
}

fn replace(context: &Context<'_>) -> Result<Value> {
    let arguments = [0, 1, 2].map(|number| bytes(context.get_raw(number)));
    let [Some(whole), Some(part), Some(other)] = &arguments else { return Ok(Value::Null) };
    if part.is_empty() {
        return Ok(text(whole.clone().into_owned()));
    }
    let (mut replaced, mut from) = (Vec::with_capacity(whole.len()), 0);
    for at in memmem::find_iter(whole, part) {
        replaced.extend_from_slice(&whole[from..at]);
        replaced.extend_from_slice(other);
        from = at + part.len();
        if replaced.len() > VALUE_BYTES_MAX {
            return Err(Error::UserFunctionError("string or blob too big".into()));
        }
    }
    replaced.extend_from_slice(&whole[from..]);
    Ok(text(replaced))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Both,
    Left,
    Right,
}

fn trim(context: &Context<'_>, ends: Ends) -> Result<Value> {
    let (Some(whole), Some(set)) = (bytes(context.get_raw(0)), bytes(context.get_raw(1))) else { return Ok(Value::Null) };
    let (whole, set) = (String::from_utf8_lossy(&whole), String::from_utf8_lossy(&set));
    let set: HashSet<char> = set.chars().collect();
    let mut trimmed: &str = &whole;
    if ends != Ends::Right {
        trimmed = trimmed.trim_start_matches(|letter| set.contains(&letter));
    }
    if ends != Ends::Left {
        trimmed = trimmed.trim_end_matches(|letter| set.contains(&letter));
    }
    Ok(Value::Text(trimmed.to_owned()))
}

fn text(bytes: Vec<u8>) -> Value {
    Value::Text(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// None for NULL.
fn bytes(value: ValueRef<'_>) -> Option<Cow<'_, [u8]>> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(number) => number.to_string().into_bytes().into(),
        ValueRef::Real(number) => format!("{number:?}").into_bytes().into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They are what SQLite's own are.
    #[test]
    fn as_those_of_sqlite() {
        let (own, plain) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        define(&own).unwrap();
        for call in [
            "instr('aübcd', 'cd')",
            "instr('abc', '')",
            "instr('', 'a')",
            "instr('abc', 'x')",
            "instr(NULL, 'x')",
            "instr('x', NULL)",
            "instr(12345, 34)",
            "instr(x'0011c3bc22', x'22')",
            "instr('aübcd', x'64')",
            "instr(1.5, '.')",
            "replace('aXbXc', 'X', 'üü')",
            "replace('aaaa', 'aa', 'b')",
            "replace('abc', '', 'x')",
            "replace('abc', 'x', NULL)",
            "replace(12321, 2, 'x')",
            "trim('xxaxbxx', 'x')",
            "ltrim('xyaxb', 'yx')",
            "rtrim('üaüü', 'ü')",
            "trim('abc', '')",
            "trim('  a  ')",
            "trim(NULL, 'x')",
            "typeof(replace(x'6162', 'a', 'c'))",
            "typeof(trim(11211, 1))",
        ] {
            let ask = |connection: &Connection| connection.query_row(&format!("SELECT {call}"), [], |row| row.get::<_, Value>(0)).unwrap();
            assert_eq!(ask(&own), ask(&plain), "{call}");
        }
    }
}
