//! JSON for arguments, results and values: `serde` over text, a fifth of the size of `serde_json` in a component.
//!
//! What costs there is how errors print numbers, and the tables for floating point. Here errors do not repeat values, and a component
//! that has no floating point in its types has no code for it. The values of `serde_json` (`Value`, `RawValue`, `Number`) work as ever.

mod access;
mod de;
mod digits;
mod fault;
mod key;
mod number;
mod reader;
mod ser;
#[cfg(test)]
mod tests;

pub(crate) use de::RAW_VALUE;
pub use fault::Fault;
pub(crate) use {
    digits::{push_decimal, push_i64, push_u64},
    ser::push_str,
};

use serde::{Deserialize, Serialize};

/// What JSON text says, as a value.
///
/// # Errors
/// If it is no JSON, nested more than 128 levels deep, or does not fit the type; a message never repeats a value.
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Fault> {
    let mut reader = reader::Reader::new(text);
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A value as JSON text. Numbers that are not finite become `null`.
///
/// # Errors
/// If a map has keys that are no text, or the value's own `Serialize` fails.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Fault> {
    let mut writer = ser::Writer::default();
    value.serialize(&mut writer)?;
    Ok(writer.text)
}

/// JSON text as a value, written as it is.
pub(crate) struct Raw(pub(crate) String);

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut raw = serializer.serialize_struct(RAW_VALUE, 1)?;
        raw.serialize_field(RAW_VALUE, &self.0)?;
        raw.end()
    }
}
