//! JSON Schemas of WIT types.

use sandmill_model::JsonText;
use serde_json::{Value, json};
use wasmtime::component::Type;

/// Types that one schema is made of. WIT types are shared, JSON Schemas are trees: what is small there can be endless here.
const TYPES_MAX: usize = 10_000;
/// Cases of a variant, names of an enum or of flags: each value is held against them.
const CASES_MAX: usize = 256;
/// Bytes of one schema.
const BYTES_MAX: usize = 256 * 1024;

/// Texts that stand for the floats that JSON has no numbers for.
pub(super) const FLOATS: [(&str, f64); 3] = [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

/// JSON Schema of an object with these properties.
pub(super) fn of(parameters: &[(String, Type)]) -> Result<JsonText, String> {
    let mut budget = TYPES_MAX;
    let mut properties = serde_json::Map::new();
    for (name, ty) in parameters {
        properties.insert(name.clone(), of_type(ty, &mut budget).ok_or_else(too_large)?);
    }
    let required: Vec<&str> = parameters.iter().filter(|(_, ty)| !is_option(ty)).map(|(name, _)| name.as_str()).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let text = schema.to_string();
    if text.len() > BYTES_MAX { Err(too_large()) } else { Ok(JsonText::trusted(text)) }
}

fn too_large() -> String {
    format!("its parameters' types are too large: spelled out they are more than {TYPES_MAX} types or {BYTES_MAX} bytes of schema")
}

pub(super) const fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Option(_))
}

/// Counts what the types of one function are made of, each as often as it is used.
pub(super) struct Size(usize);

impl Size {
    pub(super) const fn none() -> Self {
        Self(0)
    }

    fn add(&mut self, types: usize) -> Result<(), String> {
        self.0 = self.0.saturating_add(types);
        if self.0 > TYPES_MAX {
            Err(format!("is, with the others of the function, made of more than {TYPES_MAX} types and names"))
        } else {
            Ok(())
        }
    }

    /// A value's case is looked for among all.
    fn cases(&mut self, cases: usize, what: &str) -> Result<(), String> {
        if cases > CASES_MAX {
            return Err(format!("holds {what} with more than {CASES_MAX} cases or names"));
        }
        self.add(cases)
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
        Type::Record(record) => record.fields().try_for_each(|field| check(&field.ty, size)),
        Type::Tuple(tuple) => tuple.types().try_for_each(|ty| check(&ty, size)),
        Type::Enum(names) => size.cases(names.names().len(), "an enum"),
        Type::Flags(flags) => size.cases(flags.names().len(), "flags"),
        Type::Variant(variant) => {
            size.cases(variant.cases().len(), "a variant")?;
            variant.cases().filter_map(|case| case.ty).try_for_each(|ty| check(&ty, size))
        }
        Type::Result(result) => [result.ok(), result.err()].into_iter().flatten().try_for_each(|ty| check(&ty, size)),
        _ => Ok(()),
    }
}

/// None if it is too large.
fn of_type(ty: &Type, budget: &mut usize) -> Option<Value> {
    *budget = budget.checked_sub(1)?;
    Some(match ty {
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
        Type::List(list) => json!({"type": "array", "items": of_type(&list.ty(), budget)?}),
        Type::FixedLengthList(list) => {
            json!({"type": "array", "items": of_type(&list.ty(), budget)?, "minItems": list.len(), "maxItems": list.len()})
        }
        Type::Record(record) => record_of(record.fields().map(|field| (field.name, field.ty)), budget)?,
        Type::Tuple(tuple) => {
            let items = tuple.types().map(|ty| of_type(&ty, budget)).collect::<Option<Vec<_>>>()?;
            json!({"type": "array", "prefixItems": items, "items": false, "minItems": items.len()})
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| case_of(case.name, case.ty, budget));
            json!({"anyOf": cases.collect::<Option<Vec<_>>>()?})
        }
        Type::Result(result) => {
            let cases = [("ok", result.ok()), ("err", result.err())];
            let cases = cases.into_iter().map(|(name, ty)| record_case(name, ty, budget));
            json!({"anyOf": cases.collect::<Option<Vec<_>>>()?})
        }
        Type::Enum(names) => json!({"enum": names.names().collect::<Vec<_>>()}),
        Type::Flags(flags) => json!({"type": "array", "items": {"enum": flags.names().collect::<Vec<_>>()}, "uniqueItems": true}),
        Type::Option(option) if is_option(&option.ty()) => {
            json!({"anyOf": [{"type": "null"}, record_case("some", Some(option.ty()), budget)?]})
        }
        Type::Option(option) => or_null(of_type(&option.ty(), budget)?),
        Type::Map(_) | Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => return None,
    })
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

fn record_of<'a>(fields: impl Iterator<Item = (&'a str, Type)>, budget: &mut usize) -> Option<Value> {
    let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
    for (name, ty) in fields {
        properties.insert(name.to_owned(), of_type(&ty, budget)?);
        if !is_option(&ty) {
            required.push(name.to_owned());
        }
    }
    Some(json!({"type": "object", "properties": properties, "required": required}))
}

/// A case without a value is its name.
fn case_of(name: &str, ty: Option<Type>, budget: &mut usize) -> Option<Value> {
    match ty {
        None => Some(json!({"const": name})),
        Some(ty) => record_case(name, Some(ty), budget),
    }
}

fn record_case(name: &str, ty: Option<Type>, budget: &mut usize) -> Option<Value> {
    let value = ty.map_or_else(|| Some(json!({"type": "null"})), |ty| of_type(&ty, budget))?;
    Some(json!({"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": false}))
}
