//! What `serde` tells, as JSON text.

use serde::{Serialize, Serializer, ser};

use super::{
    digits::{push_i64, push_u64},
    fault::Fault,
};

/// Structs by which `serde_json` gives text that is JSON already.
const TEXTS: [&str; 2] = [super::de::RAW_VALUE, "$serde_json::private::Number"];

#[derive(Default)]
pub(super) struct Writer {
    pub(super) text: String,
    /// The next value is a key of an object.
    is_key: bool,
    /// The next string is JSON already.
    is_raw: bool,
}

/// Quotes and escapes.
pub(crate) fn push_str(out: &mut String, text: &str) {
    const DIGITS: &str = "0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)..=usize::from(value)).unwrap_or_default();
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(done..at).unwrap_or_default());
        done = at + 1;
        out.push_str(match byte {
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            b'"' => "\\\"",
            b'\\' => "\\\\",
            _ => "\\u00",
        });
        if byte < 0x20 && !matches!(byte, b'\n' | b'\r' | b'\t') {
            out.push_str(digit(byte >> 4));
            out.push_str(digit(byte & 15));
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out.push('"');
}

impl Writer {
    /// A number or a boolean; as a key it has quotes.
    fn plain(&mut self, push: impl FnOnce(&mut String)) -> Result<(), Fault> {
        let is_key = std::mem::take(&mut self.is_key);
        if is_key {
            self.text.push('"');
        }
        push(&mut self.text);
        if is_key {
            self.text.push('"');
        }
        Ok(())
    }

    /// What cannot be a key.
    fn value(&mut self) -> Result<&mut String, Fault> {
        if self.is_key { Err(Fault::new("a key must be text")) } else { Ok(&mut self.text) }
    }

    fn open(&mut self, open: char, close: &'static str) -> Result<Compound<'_>, Fault> {
        self.value()?.push(open);
        Ok(Compound { writer: self, is_first: true, close })
    }

    fn open_variant(&mut self, name: &str, open: char, close: &'static str) -> Result<Compound<'_>, Fault> {
        self.begin_variant(name)?;
        self.open(open, close)
    }

    fn begin_variant(&mut self, name: &str) -> Result<(), Fault> {
        self.value()?.push('{');
        push_str(&mut self.text, name);
        self.text.push(':');
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident $from:ty => $to:ty, $push:path;)*) => {$(
        fn $method(self, value: $from) -> Result<(), Fault> {
            self.plain(|text| $push(text, <$to>::from(value)))
        }
    )*};
}

macro_rules! floats {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, value: $type) -> Result<(), Fault> {
            // The shortest digits that read back as the same number, which are JSON as they are.
            if value.is_finite() { self.plain(|text| text.push_str(&format!("{value:?}"))) } else { self.serialize_unit() }
        }
    )*};
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    numbers! {
        serialize_i8 i8 => i64, push_i64;
        serialize_i16 i16 => i64, push_i64;
        serialize_i32 i32 => i64, push_i64;
        serialize_i64 i64 => i64, push_i64;
        serialize_u8 u8 => u64, push_u64;
        serialize_u16 u16 => u64, push_u64;
        serialize_u32 u32 => u64, push_u64;
        serialize_u64 u64 => u64, push_u64;
    }

    floats! {
        serialize_f32 f32;
        serialize_f64 f64;
    }

    fn serialize_i128(self, value: i128) -> Result<(), Fault> {
        self.plain(|text| text.push_str(&value.to_string()))
    }

    fn serialize_u128(self, value: u128) -> Result<(), Fault> {
        self.plain(|text| text.push_str(&value.to_string()))
    }

    fn serialize_bool(self, value: bool) -> Result<(), Fault> {
        self.plain(|text| text.push_str(if value { "true" } else { "false" }))
    }

    fn serialize_char(self, value: char) -> Result<(), Fault> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Fault> {
        self.is_key = false;
        if std::mem::take(&mut self.is_raw) {
            self.text.push_str(value)
        } else {
            push_str(&mut self.text, value)
        }
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fault> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Fault> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        self.value()?.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fault> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Fault> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.begin_variant(variant)?;
        value.serialize(&mut *self)?;
        self.text.push('}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, Fault> {
        self.open('[', "]")
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, Fault> {
        self.open('[', "]")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Fault> {
        self.open('[', "]")
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Compound<'a>, Fault> {
        self.open_variant(variant, '[', "]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, Fault> {
        self.open('{', "}")
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, Fault> {
        if !TEXTS.contains(&name) {
            return self.open('{', "}");
        }
        self.value()?;
        self.is_raw = true;
        Ok(Compound { writer: self, is_first: true, close: "" })
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Compound<'a>, Fault> {
        self.open_variant(variant, '{', "}}")
    }
}

pub(super) struct Compound<'a> {
    writer: &'a mut Writer,
    is_first: bool,
    close: &'static str,
}

impl Compound<'_> {
    fn next(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.writer.text.push(',');
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.next();
        value.serialize(&mut *self.writer)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Fault> {
        // Raw text has one field, whose name means nothing.
        if !self.writer.is_raw {
            self.next();
            push_str(&mut self.writer.text, name);
            self.writer.text.push(':');
        }
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Fault> {
        self.writer.text.push_str(self.close);
        Ok(())
    }
}

macro_rules! items {
    ($($trait:ident $method:ident)*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Fault;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
                self.item(value)
            }

            fn end(self) -> Result<(), Fault> {
                self.close()
            }
        }
    )*};
}

macro_rules! fields {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Fault;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Fault> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Fault> {
                self.close()
            }
        }
    )*};
}

items!(SerializeSeq serialize_element SerializeTuple serialize_element SerializeTupleStruct serialize_field SerializeTupleVariant serialize_field);
fields!(SerializeStruct SerializeStructVariant);

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        self.next();
        self.writer.is_key = true;
        key.serialize(&mut *self.writer)?;
        self.writer.text.push(':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Fault> {
        self.close()
    }
}
