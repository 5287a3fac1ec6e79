//! WIT types as data: made of an input's bytes, and written as the text of a component's.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};

/// Types in each other, and in one type altogether.
const DEPTH_MAX: usize = 5;
const TYPES_MAX: usize = 40;
/// Fields, cases, elements.
const PARTS_MAX: usize = 6;

/// Among them those that mean something in JSON.
const NAMES: [&str; 8] = ["a", "some", "ok", "err", "null", "two-words", "b2", "UP"];

pub(crate) struct Integer {
    pub(crate) name: &'static str,
    pub(crate) min: i128,
    pub(crate) max: i128,
}

pub(crate) static INTEGERS: [Integer; 8] = [
    Integer { name: "u8", min: 0, max: u8::MAX as i128 },
    Integer { name: "s8", min: i8::MIN as i128, max: i8::MAX as i128 },
    Integer { name: "u16", min: 0, max: u16::MAX as i128 },
    Integer { name: "s16", min: i16::MIN as i128, max: i16::MAX as i128 },
    Integer { name: "u32", min: 0, max: u32::MAX as i128 },
    Integer { name: "s32", min: i32::MIN as i128, max: i32::MAX as i128 },
    Integer { name: "u64", min: 0, max: u64::MAX as i128 },
    Integer { name: "s64", min: i64::MIN as i128, max: i64::MAX as i128 },
];

impl Integer {
    /// Whether it may be a string of digits.
    pub(crate) fn is_long(&self) -> bool {
        self.max > i128::from(u32::MAX)
    }
}

pub(crate) enum Type {
    Bool,
    Integer(&'static Integer),
    F32,
    F64,
    Char,
    String,
    List(Box<Self>),
    Option(Box<Self>),
    Tuple(Vec<Self>),
    Record(Vec<(&'static str, Self)>),
    Variant(Vec<(&'static str, Option<Self>)>),
    Result(Option<Box<Self>>, Option<Box<Self>>),
    Enum(Vec<&'static str>),
    Flags(Vec<&'static str>),
}

impl Type {
    pub(crate) fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        Maker { input, left: TYPES_MAX }.make(DEPTH_MAX)
    }

    pub(crate) fn integer(name: &str) -> Self {
        Self::Integer(INTEGERS.iter().find(|integer| integer.name == name).unwrap())
    }

    pub(crate) fn is_u8(&self) -> bool {
        matches!(self, Self::Integer(integer) if integer.name == "u8")
    }

    pub(crate) fn is_option(&self) -> bool {
        matches!(self, Self::Option(_))
    }
}

struct Maker<'a, 'b> {
    input: &'a mut Unstructured<'b>,
    left: usize,
}

impl Maker<'_, '_> {
    fn make(&mut self, depth: usize) -> Result<Type> {
        self.left = self.left.saturating_sub(1);
        let last = if depth == 0 || self.left == 0 { 7 } else { 14 };
        Ok(match self.input.int_in_range(0..=last)? {
            0 | 1 => Type::Integer(self.input.choose(&INTEGERS)?),
            2 => Type::String,
            3 => Type::F64,
            4 => Type::F32,
            5 => Type::Char,
            6 => Type::Bool,
            7 => Type::Enum(self.names()?),
            8 => Type::Flags(self.names()?),
            9 => Type::List(self.inner(depth)?),
            10 => Type::Option(self.inner(depth)?),
            11 => Type::Tuple(self.names()?.iter().map(|_| self.make(depth - 1)).collect::<Result<_>>()?),
            12 => Type::Record(self.names()?.into_iter().map(|name| Ok((name, self.make(depth - 1)?))).collect::<Result<_>>()?),
            13 => Type::Variant(self.names()?.into_iter().map(|name| Ok((name, self.perhaps(depth)?))).collect::<Result<_>>()?),
            _ => Type::Result(self.perhaps(depth)?.map(Box::new), self.perhaps(depth)?.map(Box::new)),
        })
    }

    fn inner(&mut self, depth: usize) -> Result<Box<Type>> {
        self.make(depth - 1).map(Box::new)
    }

    fn perhaps(&mut self, depth: usize) -> Result<Option<Type>> {
        if self.input.arbitrary()? { self.make(depth - 1).map(Some) } else { Ok(None) }
    }

    /// One at least, none twice.
    fn names(&mut self) -> Result<Vec<&'static str>> {
        let (from, count) = (self.input.int_in_range(0..=NAMES.len() - 1)?, self.input.int_in_range(1..=PARTS_MAX)?);
        Ok(NAMES.iter().cycle().skip(from).take(count).copied().collect())
    }
}

/// Declares in `text` what must have a name, and returns what stands for the type where it is used.
pub(crate) fn declare(ty: &Type, text: &mut String) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::Integer(integer) => integer.name.to_owned(),
        Type::F32 => "f32".to_owned(),
        Type::F64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(inner) => format!("(list {})", declare(inner, text)),
        Type::Option(inner) => format!("(option {})", declare(inner, text)),
        Type::Tuple(types) => format!("(tuple {})", all(types.iter().map(|ty| declare(ty, text)))),
        Type::Result(ok, err) => {
            let ok = ok.as_ref().map(|ty| declare(ty, text)).unwrap_or_default();
            let err = err.as_ref().map(|ty| format!("(error {})", declare(ty, text))).unwrap_or_default();
            format!("(result {ok} {err})")
        }
        Type::Record(fields) => {
            let fields = all(fields.iter().map(|(name, ty)| format!("(field \"{name}\" {})", declare(ty, text))));
            named(&format!("(record {fields})"), text)
        }
        Type::Variant(cases) => {
            let case = |(name, ty): &(&str, Option<Type>)| {
                let ty = ty.as_ref().map(|ty| declare(ty, text)).unwrap_or_default();
                format!("(case \"{name}\" {ty})")
            };
            let cases = all(cases.iter().map(case));
            named(&format!("(variant {cases})"), text)
        }
        Type::Enum(names) => named(&format!("(enum {})", quoted(names)), text),
        Type::Flags(names) => named(&format!("(flags {})", quoted(names)), text),
    }
}

fn all(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

fn quoted(names: &[&str]) -> String {
    all(names.iter().map(|name| format!("\"{name}\"")))
}

/// A function's types are exported ones.
fn named(definition: &str, text: &mut String) -> String {
    let number = text.lines().count();
    let _ = writeln!(text, "(type $t{number} {definition}) (export $e{number} \"t{number}\" (type $t{number}))");
    format!("$e{number}")
}
