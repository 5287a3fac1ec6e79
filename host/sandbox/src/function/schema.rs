//! JSON Schemas of WIT types.

use sandmill_model::JsonText;
use serde_json::{Map, Value, json};
use wasmtime::component::Type;

/// Types that those of one function are made of. WIT types are shared, JSON Schemas are trees: what is small there can be endless here.
const TYPES_MAX: usize = 10_000;
/// Cases of a variant, names of an enum or of flags: each value is held against them.
const CASES_MAX: usize = 256;
/// Bytes of one schema.
const BYTES_MAX: usize = 256 * 1024;

/// Texts that stand for the floats that JSON has no numbers for.
pub(super) const FLOATS: [(&str, f64); 3] = [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

/// JSON Schema of an object with these properties, whose types have passed [`check`].
///
/// # Errors
/// If it is too long.
pub(super) fn of(parameters: &[(String, Type)]) -> Result<JsonText, String> {
    let properties: Map<String, Value> = parameters.iter().map(|(name, ty)| (name.clone(), of_type(ty))).collect();
    let required: Vec<&str> = parameters.iter().filter(|(_, ty)| !is_option(ty)).map(|(name, _)| name.as_str()).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let text = schema.to_string();
    if text.len() > BYTES_MAX {
        return Err(format!("its parameters' types are too large: their schema has more than {BYTES_MAX} bytes"));
    }
    Ok(JsonText::trusted(text))
}

pub(super) const fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Option(_))
}

/// Counts what the types of one function are made of, each as often as it is used.
#[derive(Default)]
pub(super) struct Size {
    types: usize,
    name_bytes: usize,
}

impl Size {
    fn add(&mut self, types: usize) -> Result<(), String> {
        self.types = self.types.saturating_add(types);
        if self.types > TYPES_MAX {
            return Err(format!("is, with the others of the function, made of more than {TYPES_MAX} types and names"));
        }
        Ok(())
    }

    /// Names that the schema spells out.
    fn name(&mut self, name: &str) -> Result<(), String> {
        self.name_bytes = self.name_bytes.saturating_add(name.len());
        if self.name_bytes > BYTES_MAX {
            return Err(format!("has, with the others of the function, names of more than {BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// A value's case is looked for among all.
    fn cases<'a>(&mut self, what: &str, mut names: impl ExactSizeIterator<Item = &'a str>) -> Result<(), String> {
        if names.len() > CASES_MAX {
            return Err(format!("holds {what} with more than {CASES_MAX} cases or names"));
        }
        self.add(names.len())?;
        names.try_for_each(|name| self.name(name))
    }
}

/// # Errors
/// What in it JSON has nothing for, or is too large.
pub(super) fn check(ty: &Type, size: &mut Size) -> Result<(), String> {
    size.add(1)?;
    match ty {
        Type::Own(_) | Type::Borrow(_) => Err("holds a resource, which lives in one run only".to_owned()),
        Type::Future(_) | Type::Stream(_) | Type::ErrorContext => Err("holds a stream, a future or an error context".to_owned()),
        Type::Map(_) => Err("holds a map; use a list of tuples".to_owned()),
        Type::List(list) => check(&list.ty(), size),
        Type::FixedLengthList(list) => check(&list.ty(), size),
        Type::Option(option) => check(&option.ty(), size),
        Type::Record(record) => record.fields().try_for_each(|field| {
            size.name(field.name)?;
            check(&field.ty, size)
        }),
        Type::Tuple(tuple) => tuple.types().try_for_each(|ty| check(&ty, size)),
        Type::Enum(names) => size.cases("an enum", names.names()),
        Type::Flags(flags) => size.cases("flags", flags.names()),
        Type::Variant(variant) => {
            size.cases("a variant", variant.cases().map(|case| case.name))?;
            variant.cases().filter_map(|case| case.ty).try_for_each(|ty| check(&ty, size))
        }
        Type::Result(result) => [result.ok(), result.err()].into_iter().flatten().try_for_each(|ty| check(&ty, size)),
        _ => Ok(()),
    }
}

fn of_type(ty: &Type) -> Value {
    match ty {
        Type::Bool => json!({"type": "boolean"}),
        Type::S8 => integer(i8::MIN.into(), i8::MAX.into()),
        Type::U8 => integer(0, u8::MAX.into()),
        Type::S16 => integer(i16::MIN.into(), i16::MAX.into()),
        Type::U16 => integer(0, u16::MAX.into()),
        Type::S32 => integer(i32::MIN.into(), i32::MAX.into()),
        Type::U32 => integer(0, u32::MAX.into()),
        // Not every JSON library can hold them as numbers.
        Type::S64 => json!({"type": ["integer", "string"], "minimum": i64::MIN, "maximum": i64::MAX, "pattern": "^-?[0-9]{1,19}$"}),
        Type::U64 => json!({"type": ["integer", "string"], "minimum": 0, "maximum": u64::MAX, "pattern": "^[0-9]{1,20}$"}),
        Type::Float32 | Type::Float64 => json!({"type": ["number", "string"], "pattern": "^(NaN|-?Infinity)$"}),
        Type::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Type::String => json!({"type": "string"}),
        Type::List(list) if matches!(list.ty(), Type::U8) => json!({"type": "string", "contentEncoding": "base64"}),
        Type::List(list) => json!({"type": "array", "items": of_type(&list.ty())}),
        Type::FixedLengthList(list) => {
            json!({"type": "array", "items": of_type(&list.ty()), "minItems": list.len(), "maxItems": list.len()})
        }
        Type::Record(record) => record_of(record.fields().map(|field| (field.name, field.ty))),
        Type::Tuple(tuple) => {
            let items: Vec<Value> = tuple.types().map(|ty| of_type(&ty)).collect();
            json!({"type": "array", "prefixItems": items, "items": false, "minItems": items.len()})
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| case_of(case.name, case.ty));
            json!({"anyOf": cases.collect::<Vec<_>>()})
        }
        Type::Result(result) => {
            json!({"anyOf": [record_case("ok", result.ok()), record_case("err", result.err())]})
        }
        Type::Enum(names) => json!({"enum": names.names().collect::<Vec<_>>()}),
        Type::Flags(flags) => json!({"type": "array", "items": {"enum": flags.names().collect::<Vec<_>>()}, "uniqueItems": true}),
        Type::Option(option) if is_option(&option.ty()) => {
            json!({"anyOf": [{"type": "null"}, record_case("some", Some(option.ty()))]})
        }
        Type::Option(option) => or_null(of_type(&option.ty())),
        // No function with these is called: nothing fits.
        Type::Map(_) | Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => json!(false),
    }
}

/// Where the types are listed, faults can name them.
fn or_null(mut schema: Value) -> Value {
    let is_by_type = schema.get("enum").is_none() && schema.get("const").is_none();
    match schema.get_mut("type") {
        Some(Value::Array(types)) if is_by_type => types.push(json!("null")),
        Some(one @ Value::String(_)) if is_by_type => *one = json!([one, "null"]),
        _ => return json!({"anyOf": [schema, {"type": "null"}]}),
    }
    schema
}

fn integer(minimum: i64, maximum: i64) -> Value {
    json!({"type": "integer", "minimum": minimum, "maximum": maximum})
}

fn record_of<'a>(fields: impl Iterator<Item = (&'a str, Type)>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, ty) in fields {
        properties.insert(name.to_owned(), of_type(&ty));
        if !is_option(&ty) {
            required.push(name);
        }
    }
    json!({"type": "object", "properties": properties, "required": required})
}

/// A case without a value is its name.
fn case_of(name: &str, ty: Option<Type>) -> Value {
    if ty.is_none() { json!({"const": name}) } else { record_case(name, ty) }
}

fn record_case(name: &str, ty: Option<Type>) -> Value {
    let value = ty.map_or_else(|| json!({"type": "null"}), |ty| of_type(&ty));
    json!({"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": false})
}
