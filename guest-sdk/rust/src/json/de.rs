//! What `serde` asks for, out of JSON text.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{
        Error as _, Unexpected, Visitor,
        value::{BorrowedStrDeserializer, MapDeserializer},
    },
};

use super::{
    access::{Items, Variant},
    fault::Fault,
    key::Key,
    number,
    reader::Reader,
};

/// How `serde_json::value::RawValue` asks for the text itself.
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl<'de> Reader<'de> {
    /// What is there instead of what was asked for; the type's visitor says what that was.
    fn other<V: Visitor<'de>>(&mut self, visitor: &V) -> Fault {
        let unexpected = match self.peek() {
            Some(b'"') => Unexpected::Str(""),
            Some(b'[') => Unexpected::Seq,
            Some(b'{') => Unexpected::Map,
            Some(b't' | b'f') => Unexpected::Bool(true),
            Some(b'n') => Unexpected::Unit,
            Some(b'-' | b'0'..=b'9') => match number::scan(self.rest().as_bytes()) {
                Some((_, true)) => Unexpected::Signed(0),
                _ => Unexpected::Float(0.0),
            },
            _ => return self.fault("expected a value"),
        };
        Fault::invalid_type(unexpected, visitor)
    }

    fn integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let Some(b'-' | b'0'..=b'9') = self.peek() else { return Err(self.other(&visitor)) };
        let (text, is_integer) = self.number()?;
        if !is_integer {
            return Err(Fault::invalid_type(Unexpected::Float(0.0), &visitor));
        }
        if let Ok(value) = text.parse::<u64>() {
            return visitor.visit_u64(value);
        }
        match text.parse::<i64>() {
            Ok(value) => visitor.visit_i64(value),
            Err(_) => Err(self.fault("an integer that is too large")),
        }
    }

    fn float<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let Some(b'-' | b'0'..=b'9') = self.peek() else { return Err(self.other(&visitor)) };
        let (text, _) = self.number()?;
        self.float_of(text, visitor)
    }

    fn float_of<V: Visitor<'de>>(&self, text: &str, visitor: V) -> Result<V::Value, Fault> {
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => visitor.visit_f64(value),
            _ => Err(self.fault("a number that is too large")),
        }
    }

    fn any_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let (text, is_integer) = self.number()?;
        if is_integer && text != "-0" {
            if let Ok(value) = text.parse::<u64>() {
                return visitor.visit_u64(value);
            }
            if let Ok(value) = text.parse::<i64>() {
                return visitor.visit_i64(value);
            }
        }
        self.float_of(text, visitor)
    }

    fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.other(&visitor));
        }
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn word<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek() {
            Some(b't') if self.eat_word("true") => visitor.visit_bool(true),
            Some(b'f') if self.eat_word("false") => visitor.visit_bool(false),
            _ => Err(self.other(&visitor)),
        }
    }

    fn null<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() == Some(b'n') && self.eat_word("null") { visitor.visit_unit() } else { Err(self.other(&visitor)) }
    }

    fn array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() != Some(b'[') {
            return Err(self.other(&visitor));
        }
        self.enter()?;
        let value = visitor.visit_seq(Items::of(self))?;
        self.leave(b']')?;
        Ok(value)
    }

    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() != Some(b'{') {
            return Err(self.other(&visitor));
        }
        self.enter()?;
        let value = visitor.visit_map(Items::of(self))?;
        self.leave(b'}')?;
        Ok(value)
    }

    fn raw<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let text = BorrowedStrDeserializer::new(self.skipped()?);
        visitor.visit_map(MapDeserializer::new(std::iter::once((RAW_VALUE, text))))
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.integer(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek() {
            Some(b'"') => self.text(visitor),
            Some(b'{') => self.object(visitor),
            Some(b'[') => self.array(visitor),
            Some(b'n') => self.null(visitor),
            Some(b'-' | b'0'..=b'9') => self.any_number(visitor),
            _ => self.word(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.word(visitor)
    }

    integers!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() == Some(b'[') { self.array(visitor) } else { self.text(visitor) }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek() == Some(b'n') && self.eat_word("null") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.null(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.null(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        if name == RAW_VALUE { self.raw(visitor) } else { visitor.visit_newtype_struct(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.array(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.array(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.array(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        match self.peek() {
            Some(b'"') => visitor.visit_enum(Key(self.string()?)),
            Some(b'{') => {
                self.enter()?;
                let value = visitor.visit_enum(Variant(self))?;
                self.leave(b'}')?;
                Ok(value)
            }
            _ => Err(self.other(&visitor)),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.skip()?;
        visitor.visit_unit()
    }
}
