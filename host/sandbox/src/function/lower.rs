//! JSON to WIT values. The schema has refused most of what does not fit; here it is refused whatever checked before.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sandmill_model::schema::Fault;
use serde_json::{Map, Number, Value};
use wasmtime::component::{Type, Val};

use super::schema::{FLOATS, is_option};

/// Floats up to here are integers that no other float stands for.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// What a field of a record takes beside its value: its name is on the heap, for each record anew.
const FIELD_BYTES: usize = size_of::<(String, Val)>() - size_of::<Val>() + 32;

/// Bytes that values may still take: as JSON they can be a fraction of that.
pub(super) struct Budget<'a> {
    left: Cell<u64>,
    is_spent: Cell<bool>,
    /// Set once nobody waits for the values any more.
    stop: &'a AtomicBool,
}

impl<'a> Budget<'a> {
    pub(super) const fn of(bytes: u64, stop: &'a AtomicBool) -> Self {
        Self { left: Cell::new(bytes), is_spent: Cell::new(false), stop }
    }

    pub(super) const fn left(&self) -> u64 {
        self.left.get()
    }

    /// Whether a fault is none of the arguments, but of the memory that they would take.
    pub(super) const fn is_spent(&self) -> bool {
        self.is_spent.get()
    }
}

/// The value of parameter `name`; what is missing is `none` where that is a value.
pub(super) fn parameter(name: &str, value: Option<Value>, ty: &Type, budget: &Budget<'_>) -> Result<Val, Fault> {
    of(value, ty, &Place { outer: None, step: Step::Name(name), budget })
}

enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

/// Where in the arguments a value is.
struct Place<'a> {
    outer: Option<&'a Place<'a>>,
    step: Step<'a>,
    budget: &'a Budget<'a>,
}

impl<'a> Place<'a> {
    const fn within(&'a self, name: &'a str) -> Self {
        Place { outer: Some(self), step: Step::Name(name), budget: self.budget }
    }

    fn pointer(&self) -> String {
        let outer = self.outer.map_or_else(String::new, Place::pointer);
        match self.step {
            Step::Name(name) => format!("{outer}/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("{outer}/{index}"),
        }
    }

    /// # Errors
    /// If so many values, and bytes of texts beside them, are more than there is memory for.
    fn hold(&self, values: usize, text_bytes: usize) -> Result<(), Fault> {
        let bytes = (values as u64).saturating_mul(size_of::<Val>() as u64).saturating_add(text_bytes as u64);
        let left = self.budget.left.get().checked_sub(bytes).filter(|_| !self.budget.stop.load(Ordering::Relaxed));
        let Some(left) = left else {
            self.budget.is_spent.set(true);
            return Err(self.fault("there is no memory for it"));
        };
        self.budget.left.set(left);
        Ok(())
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { pointer: self.pointer(), message: message.into() }
    }

    fn expected(&self, what: &str, found: &Value) -> Fault {
        self.fault(format!("{what} is expected, and this is {}", kind(found)))
    }
}

/// No fault repeats what is in a value.
const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// `None` is a member that is not there.
fn of(value: Option<Value>, ty: &Type, place: &Place<'_>) -> Result<Val, Fault> {
    let value = match (value, ty) {
        (None, Type::Option(_)) => Value::Null,
        (None, _) => return Err(place.fault("it is missing")),
        (Some(value), _) => value,
    };
    place.hold(1, value.as_str().map_or(0, str::len))?;
    Ok(match ty {
        Type::Bool => match value {
            Value::Bool(value) => Val::Bool(value),
            other => return Err(place.expected("a boolean", &other)),
        },
        Type::S8 => Val::S8(integer(&value, place)?),
        Type::U8 => Val::U8(integer(&value, place)?),
        Type::S16 => Val::S16(integer(&value, place)?),
        Type::U16 => Val::U16(integer(&value, place)?),
        Type::S32 => Val::S32(integer(&value, place)?),
        Type::U32 => Val::U32(integer(&value, place)?),
        Type::S64 => Val::S64(long(&value, place)?),
        Type::U64 => Val::U64(long(&value, place)?),
        Type::Float32 => Val::Float32(float(&value, place)? as f32),
        Type::Float64 => Val::Float64(float(&value, place)?),
        Type::Char => Val::Char(character(&value, place)?),
        Type::String => match value {
            Value::String(text) => Val::String(text),
            other => return Err(place.expected("a string", &other)),
        },
        Type::List(list) if matches!(list.ty(), Type::U8) => bytes(&value, place)?,
        Type::List(list) => Val::List(elements(value, |_| Some(list.ty()), place)?),
        Type::FixedLengthList(list) => {
            let length = list.len() as usize;
            let elements = elements(value, |index| (index < length).then(|| list.ty()), place)?;
            Val::FixedLengthList(exactly(elements, length, place)?)
        }
        Type::Tuple(tuple) => {
            let types: Vec<Type> = tuple.types().collect();
            let elements = elements(value, |index| types.get(index).cloned(), place)?;
            Val::Tuple(exactly(elements, types.len(), place)?)
        }
        Type::Record(record) => {
            let mut members = object(value, place)?;
            let fields = record.fields().map(|field| {
                let value = members.remove(field.name);
                place.hold(0, FIELD_BYTES + field.name.len())?;
                member(field.name, value, &field.ty, place).map(|value| (field.name.to_owned(), value))
            });
            Val::Record(fields.collect::<Result<_, Fault>>()?)
        }
        Type::Variant(_) | Type::Result(_) => with_case(value, ty, place)?,
        Type::Enum(names) => {
            let Value::String(name) = value else { return Err(place.expected("a string", &value)) };
            if !names.names().any(|known| known == name) {
                return Err(one_of(names.names(), place));
            }
            Val::Enum(name)
        }
        Type::Flags(flags) => Val::Flags(names(value, || flags.names(), place)?),
        Type::Option(option) => Val::Option(some(value, &option.ty(), place)?),
        Type::Map(_) | Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            return Err(place.fault("JSON has nothing for its type"));
        }
    })
}

/// A variant or a result.
fn with_case(value: Value, ty: &Type, place: &Place<'_>) -> Result<Val, Fault> {
    let (name, value) = case(value, place)?;
    if let Type::Result(result) = ty {
        let (inner, is_ok) = match name.as_str() {
            "ok" => (result.ok(), true),
            "err" => (result.err(), false),
            _ => return Err(one_of(["ok", "err"].into_iter(), place)),
        };
        let Some(value) = value else { return Err(place.within(&name).fault("it is missing")) };
        let value = match inner {
            Some(inner) => Some(Box::new(member(&name, Some(value), &inner, place)?)),
            None if value.is_null() => None,
            None => return Err(place.within(&name).expected("null", &value)),
        };
        return Ok(Val::Result(if is_ok { Ok(value) } else { Err(value) }));
    }
    let Type::Variant(variant) = ty else { return Err(place.fault("its type has no cases")) };
    let found = variant.cases().find(|case| case.name == name).map(|case| (case.name, case.ty));
    match (found, value) {
        (Some((_, None)), None) => Ok(Val::Variant(name, None)),
        (Some((_, Some(inner))), Some(value)) => {
            let value = member(&name, Some(value), &inner, place)?;
            Ok(Val::Variant(name, Some(Box::new(value))))
        }
        (Some((_, None)), Some(_)) => Err(place.fault("this case has no value: its name alone is expected")),
        (Some((_, Some(_))), None) => Err(place.fault("this case has a value: an object of its name is expected")),
        (None, _) => Err(one_of(variant.cases().map(|case| case.name), place)),
    }
}

fn member(name: &str, value: Option<Value>, ty: &Type, place: &Place<'_>) -> Result<Val, Fault> {
    of(value, ty, &place.within(name))
}

fn integer<T: TryFrom<i128>>(value: &Value, place: &Place<'_>) -> Result<T, Fault> {
    let Value::Number(number) = value else { return Err(place.expected("an integer", value)) };
    let integer = exact(number).ok_or_else(|| place.fault("it is not an integer"))?;
    T::try_from(integer).map_err(|_| place.fault("it is out of range"))
}

fn exact(number: &Number) -> Option<i128> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT_FLOAT_MAX).map(|float| float as i128);
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(float)
}

/// An integer of 64 bits, or a string of its digits: that is more than many can write as a number.
fn long<T: TryFrom<i128>>(value: &Value, place: &Place<'_>) -> Result<T, Fault> {
    let Value::String(text) = value else { return integer(value, place) };
    // As many as the schema takes: one more without a sign.
    let (digits, digits_max) = if T::try_from(-1).is_ok() { (text.strip_prefix('-').unwrap_or(text), 19) } else { (text.as_str(), 20) };
    if !(1..=digits_max).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(place.fault("an integer is expected, or a string of its digits"));
    }
    text.parse::<i128>().ok().and_then(|integer| T::try_from(integer).ok()).ok_or_else(|| place.fault("it is out of range"))
}

fn float(value: &Value, place: &Place<'_>) -> Result<f64, Fault> {
    let named = |text: &str| FLOATS.iter().find(|(name, _)| *name == text).map(|(_, float)| *float);
    let float = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => named(text),
        _ => None,
    };
    float.ok_or_else(|| place.expected("a number, `NaN`, `Infinity` or `-Infinity`", value))
}

fn character(value: &Value, place: &Place<'_>) -> Result<char, Fault> {
    let Value::String(text) = value else { return Err(place.expected("a string of one character", value)) };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(place.fault("a string of one character is expected")),
    }
}

fn bytes(value: &Value, place: &Place<'_>) -> Result<Val, Fault> {
    let Value::String(text) = value else { return Err(place.expected("a string of base64", value)) };
    let bytes = STANDARD.decode(text).map_err(|_| place.fault("it is not base64 (RFC 4648, with padding)"))?;
    place.hold(bytes.len(), 0)?;
    Ok(Val::List(bytes.into_iter().map(Val::U8).collect()))
}

fn object(value: Value, place: &Place<'_>) -> Result<Map<String, Value>, Fault> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(place.expected("an object", &other)),
    }
}

/// The elements of an array; there must be a type for each.
fn elements(value: Value, ty: impl Fn(usize) -> Option<Type>, place: &Place<'_>) -> Result<Vec<Val>, Fault> {
    let Value::Array(values) = value else { return Err(place.expected("an array", &value)) };
    let each = |(index, value)| {
        let ty = ty(index).ok_or_else(|| place.fault(format!("it has more than {index} elements")))?;
        of(Some(value), &ty, &Place { outer: Some(place), step: Step::Index(index), budget: place.budget })
    };
    values.into_iter().enumerate().map(each).collect()
}

fn exactly(elements: Vec<Val>, length: usize, place: &Place<'_>) -> Result<Vec<Val>, Fault> {
    if elements.len() == length { Ok(elements) } else { Err(place.fault(format!("it has fewer than {length} elements"))) }
}

/// A case by its name, with its value if it is an object of one member.
fn case(value: Value, place: &Place<'_>) -> Result<(String, Option<Value>), Fault> {
    match value {
        Value::String(name) => Ok((name, None)),
        Value::Object(members) if members.len() == 1 => {
            members.into_iter().next().map(|(name, value)| (name, Some(value))).ok_or_else(|| place.fault("it is empty"))
        }
        Value::Object(_) => Err(place.fault("an object of one member is expected: the case's name and its value")),
        other => Err(place.expected("a case's name, or an object of its name and its value,", &other)),
    }
}

fn names<'a, I: Iterator<Item = &'a str>>(value: Value, known: impl Fn() -> I, place: &Place<'_>) -> Result<Vec<String>, Fault> {
    let Value::Array(values) = value else { return Err(place.expected("an array of names", &value)) };
    let mut found: Vec<String> = Vec::new();
    for value in values {
        match value {
            Value::String(name) if found.contains(&name) => return Err(place.fault("a name is in it twice")),
            Value::String(name) if known().any(|known| known == name) => found.push(name),
            _ => return Err(one_of(known(), place)),
        }
    }
    Ok(found)
}

fn some(value: Value, ty: &Type, place: &Place<'_>) -> Result<Option<Box<Val>>, Fault> {
    let value = match value {
        Value::Null => return Ok(None),
        Value::Object(mut members) if is_option(ty) && members.len() == 1 => {
            let inner = members.remove("some").ok_or_else(|| one_of(["some"].into_iter(), place))?;
            return member("some", Some(inner), ty, place).map(|value| Some(Box::new(value)));
        }
        other if is_option(ty) => return Err(place.expected("null, or an object with `some`,", &other)),
        value => value,
    };
    of(Some(value), ty, place).map(|value| Some(Box::new(value)))
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>, place: &Place<'_>) -> Fault {
    const SHOWN_MAX: usize = 20;
    let names: Vec<_> = names.take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    place.fault(format!("one of {} is expected", names.join(", ")))
}
