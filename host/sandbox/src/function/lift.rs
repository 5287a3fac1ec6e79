//! WIT values to JSON, written as text: no tree is made of them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sandmill_model::{JsonText, Output, RunError};
use wasmtime::component::{Type, Val};

use super::schema::is_option;
use crate::call::Ended;

/// Integers up to here are the same in every JSON library; larger ones are strings of their digits.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// Bytes of an error without a message that are shown in its place.
const SHOWN_BYTES_MAX: usize = 500;

/// How a function ended that returned `value` of type `ty`: of a `result` the error is the run's.
pub(super) fn result(returned: Option<(Val, &Type)>, bytes_max: usize) -> Ended {
    let Some((value, ty)) = returned else { return Ended::Ok(Output::Json(JsonText::null())) };
    match (value, ty) {
        (Val::Result(Ok(value)), Type::Result(of)) => output(value.as_deref().zip(of.ok().as_ref()), bytes_max),
        (Val::Result(Err(error)), Type::Result(of)) => Ended::Error(failed(error.as_deref().zip(of.err().as_ref()), bytes_max)),
        (value, ty) => output(Some((&value, ty)), bytes_max),
    }
}

fn output(value: Option<(&Val, &Type)>, bytes_max: usize) -> Ended {
    match text(value, bytes_max) {
        Ok(text) => Ended::Ok(Output::Json(JsonText::trusted(text))),
        Err(TooLarge { bytes }) => Ended::ResultTooLarge { bytes },
    }
}

/// A text is the error's message; of a record those members that are called as the parts of an error; anything is in its details.
fn failed(error: Option<(&Val, &Type)>, bytes_max: usize) -> RunError {
    let (mut name, mut message) = ("Error", None);
    match error.map(|(error, _)| error) {
        Some(Val::String(text)) => message = Some(text.clone()),
        Some(Val::Record(fields)) => {
            for (field, value) in fields {
                match (field.as_str(), value) {
                    ("message", Val::String(text)) => message = Some(text.clone()),
                    ("name", Val::String(text)) if !text.is_empty() => name = text,
                    _ => {}
                }
            }
        }
        Some(Val::Variant(case, _) | Val::Enum(case)) => message = Some(case.clone()),
        _ => {}
    }
    let details = error.and_then(|error| text(Some(error), bytes_max).ok()).map(JsonText::trusted);
    let message = message.unwrap_or_else(|| match &details {
        Some(details) if details.as_str().len() <= SHOWN_BYTES_MAX => format!("the function returned the error {}", details.as_str()),
        _ => "the function returned an error".to_owned(),
    });
    let mut failed = RunError::new(name, message);
    failed.details = details;
    failed
}

struct TooLarge {
    bytes: usize,
}

fn text(value: Option<(&Val, &Type)>, bytes_max: usize) -> Result<String, TooLarge> {
    let mut writer = Writer { out: String::new(), bytes_max };
    writer.perhaps(value)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    bytes_max: usize,
}

impl Writer {
    fn push(&mut self, text: &str) -> Result<(), TooLarge> {
        let bytes = self.out.len() + text.len();
        if bytes > self.bytes_max {
            return Err(TooLarge { bytes });
        }
        self.out.push_str(text);
        Ok(())
    }

    fn value(&mut self, value: &Val, ty: &Type) -> Result<(), TooLarge> {
        match (value, ty) {
            (Val::Bool(value), _) => self.push(if *value { "true" } else { "false" }),
            (Val::S8(value), _) => self.number(value),
            (Val::U8(value), _) => self.number(value),
            (Val::S16(value), _) => self.number(value),
            (Val::U16(value), _) => self.number(value),
            (Val::S32(value), _) => self.number(value),
            (Val::U32(value), _) => self.number(value),
            (Val::S64(value), _) => self.long(value, value.unsigned_abs()),
            (Val::U64(value), _) => self.long(value, *value),
            (Val::Float32(value), _) if value.is_finite() => self.json(value),
            (Val::Float32(value), _) => self.not_finite((*value).into()),
            (Val::Float64(value), _) if value.is_finite() => self.json(value),
            (Val::Float64(value), _) => self.not_finite(*value),
            (Val::Char(value), _) => self.json(value),
            (Val::String(value) | Val::Enum(value) | Val::Variant(value, None), _) => self.json(value),
            (Val::List(values), Type::List(list)) if matches!(list.ty(), Type::U8) => self.bytes(values),
            (Val::List(values), Type::List(list)) => {
                let ty = list.ty();
                self.all(values.iter(), |writer, value| writer.value(value, &ty))
            }
            (Val::FixedLengthList(values), Type::FixedLengthList(list)) => {
                let ty = list.ty();
                self.all(values.iter(), |writer, value| writer.value(value, &ty))
            }
            (Val::Tuple(values), Type::Tuple(tuple)) => {
                self.all(values.iter().zip(tuple.types()), |writer, (value, ty)| writer.value(value, &ty))
            }
            (Val::Flags(names), _) => self.all(names.iter(), |writer, name| writer.json(name)),
            (Val::Record(fields), Type::Record(record)) => {
                self.push("{")?;
                for (index, ((name, value), field)) in fields.iter().zip(record.fields()).enumerate() {
                    self.push(if index == 0 { "" } else { "," })?;
                    self.member(name, Some((value, &field.ty)))?;
                }
                self.push("}")
            }
            (Val::Variant(name, Some(value)), Type::Variant(variant)) => {
                let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
                self.case(name, Some(&**value).zip(ty.as_ref()))
            }
            (Val::Result(Ok(value)), Type::Result(result)) => self.case("ok", value.as_deref().zip(result.ok().as_ref())),
            (Val::Result(Err(value)), Type::Result(result)) => self.case("err", value.as_deref().zip(result.err().as_ref())),
            // One `none` must not look like the other.
            (Val::Option(Some(value)), Type::Option(option)) if is_option(&option.ty()) => self.case("some", Some((value, &option.ty()))),
            (Val::Option(Some(value)), Type::Option(option)) => self.value(value, &option.ty()),
            // `none`; of the rest no function that returns them is called.
            _ => self.push("null"),
        }
    }

    fn perhaps(&mut self, value: Option<(&Val, &Type)>) -> Result<(), TooLarge> {
        match value {
            Some((value, ty)) => self.value(value, ty),
            None => self.push("null"),
        }
    }

    fn number(&mut self, number: &impl ToString) -> Result<(), TooLarge> {
        self.push(&number.to_string())
    }

    fn long(&mut self, number: &impl ToString, size: u64) -> Result<(), TooLarge> {
        let digits = number.to_string();
        if size <= SAFE_INTEGER_MAX { self.push(&digits) } else { self.push(&format!("\"{digits}\"")) }
    }

    fn not_finite(&mut self, value: f64) -> Result<(), TooLarge> {
        let name = if value.is_nan() {
            "\"NaN\""
        } else if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        };
        self.push(name)
    }

    fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), TooLarge> {
        // Numbers and texts have a JSON form.
        self.push(&serde_json::to_string(value).unwrap_or_default())
    }

    fn bytes(&mut self, values: &[Val]) -> Result<(), TooLarge> {
        let bytes: Vec<u8> = values.iter().filter_map(|value| if let Val::U8(byte) = value { Some(*byte) } else { None }).collect();
        let text = STANDARD.encode(bytes);
        self.push("\"")?;
        self.push(&text)?;
        self.push("\"")
    }

    fn all<T>(
        &mut self,
        values: impl Iterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Result<(), TooLarge>,
    ) -> Result<(), TooLarge> {
        self.push("[")?;
        for (index, value) in values.enumerate() {
            self.push(if index == 0 { "" } else { "," })?;
            each(self, value)?;
        }
        self.push("]")
    }

    fn member(&mut self, name: &str, value: Option<(&Val, &Type)>) -> Result<(), TooLarge> {
        self.json(name)?;
        self.push(":")?;
        self.perhaps(value)
    }

    fn case(&mut self, name: &str, value: Option<(&Val, &Type)>) -> Result<(), TooLarge> {
        self.push("{")?;
        self.member(name, value)?;
        self.push("}")
    }
}
