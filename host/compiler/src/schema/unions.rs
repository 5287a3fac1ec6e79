//! Unions. Literals become an `enum`; members that no value can satisfy two of become `oneOf`; where that cannot be shown,
//! as with two object types that share their shape, `anyOf` says what TypeScript means.

use super::json::{Json, Map};

/// Unions inside unions that are looked through.
const REFERENCES_MAX: usize = 8;

/// `definitions` are those known so far, for members that are references.
pub(super) fn union(members: Vec<Json>, definitions: &[(String, Json)]) -> Json {
    let mut parts = Parts::default();
    for member in members {
        parts.add(member);
    }
    parts.simplify();
    if parts.schemas.iter().any(Json::is_any) {
        return Json::any();
    }
    parts.assemble(definitions)
}

#[derive(Default)]
struct Parts {
    literals: Vec<Json>,
    schemas: Vec<Json>,
    has_null: bool,
}

impl Parts {
    fn add(&mut self, member: Json) {
        if let Some(values) = literals_of(&member) {
            for value in values {
                self.add_literal(value);
            }
        } else if member == Json::of_type("null") {
            self.has_null = true;
        } else if let Some(Json::Array(inner)) = only(&member, "oneOf").or_else(|| only(&member, "anyOf")) {
            for member in inner.clone() {
                self.add(member);
            }
        } else if !self.schemas.contains(&member) {
            self.schemas.push(member);
        }
    }

    fn add_literal(&mut self, value: Json) {
        if value == Json::Null {
            self.has_null = true;
        } else if !self.literals.contains(&value) {
            self.literals.push(value);
        }
    }

    /// `true | false` is a boolean, and a type includes its literals.
    fn simplify(&mut self) {
        if self.literals.contains(&Json::Bool(true))
            && self.literals.contains(&Json::Bool(false))
            && !self.schemas.contains(&Json::of_type("boolean"))
        {
            self.schemas.push(Json::of_type("boolean"));
        }
        let schemas = &self.schemas;
        self.literals.retain(|literal| !schemas.contains(&Json::of_type(type_name(literal))));
    }

    fn assemble(self, definitions: &[(String, Json)]) -> Json {
        let Self { mut literals, mut schemas, has_null } = self;
        if schemas.is_empty() && !literals.is_empty() {
            if has_null {
                literals.push(Json::Null);
            }
            return literal_schema(literals);
        }
        if !literals.is_empty() {
            schemas.insert(0, literal_schema(literals));
        }
        if has_null {
            if let [only] = schemas.as_slice()
                && let Some(nullable) = nullable(only)
            {
                return nullable;
            }
            schemas.push(Json::of_type("null"));
        }
        if schemas.len() == 1 {
            return schemas.remove(0);
        }
        if schemas.is_empty() {
            // Of nothing but `undefined`.
            return Json::any();
        }
        let apart =
            schemas.iter().enumerate().all(|(index, left)| schemas[index + 1..].iter().all(|right| are_disjoint(left, right, definitions)));
        Json::any().with(if apart { "oneOf" } else { "anyOf" }, schemas)
    }
}

fn literal_schema(mut values: Vec<Json>) -> Json {
    if values.len() == 1 {
        return super::types::constant(values.remove(0));
    }
    Json::any().with("enum", values)
}

/// The values of a schema that only lists them.
pub(super) fn literals_of(schema: &Json) -> Option<Vec<Json>> {
    if let Some(value) = only(schema, "const") {
        return Some(vec![value.clone()]);
    }
    match only(schema, "enum") {
        Some(Json::Array(values)) => Some(values.clone()),
        _ => None,
    }
}

/// The keyword's value if the schema says nothing else.
fn only<'a>(schema: &'a Json, key: &str) -> Option<&'a Json> {
    let map = schema.as_object()?;
    if map.iter().count() == 1 { map.get(key) } else { None }
}

/// A primitive type that may be null needs no `oneOf`.
fn nullable(schema: &Json) -> Option<Json> {
    let map = schema.as_object()?;
    let name = map.get("type")?.as_str()?;
    if !matches!(name, "string" | "number" | "integer" | "boolean") || map.get("enum").is_some() || map.get("const").is_some() {
        return None;
    }
    Some(schema.clone().with("type", vec![Json::from(name), Json::from("null")]))
}

fn are_disjoint(left: &Json, right: &Json, definitions: &[(String, Json)]) -> bool {
    let (Some(left_types), Some(right_types)) = (types_of(left, definitions, REFERENCES_MAX), types_of(right, definitions, REFERENCES_MAX))
    else {
        return false;
    };
    if !left_types.iter().any(|name| right_types.contains(name)) {
        return true;
    }
    let (Some(left), Some(right)) = (resolve(left, definitions), resolve(right, definitions)) else { return false };
    if let (Some(left), Some(right)) = (values_of(left), values_of(right)) {
        return !left.iter().any(|value| right.contains(value));
    }
    left_types == ["object"] && right_types == ["object"] && are_told_apart(left, right)
}

/// Whether both require a property whose values never coincide.
fn are_told_apart(left: &Json, right: &Json) -> bool {
    let Some(properties) = left.get("properties").and_then(Json::as_object) else { return false };
    properties.iter().any(|(name, schema)| {
        let other = right.get("properties").and_then(|properties| properties.get(name));
        let (Some(left_values), Some(right_values)) = (values_of(schema), other.and_then(values_of)) else { return false };
        requires(left, name) && requires(right, name) && !left_values.iter().any(|value| right_values.contains(value))
    })
}

fn requires(schema: &Json, name: &str) -> bool {
    matches!(schema.get("required"), Some(Json::Array(names)) if names.iter().any(|known| known.as_str() == Some(name)))
}

fn values_of(schema: &Json) -> Option<&[Json]> {
    values_of_map(schema.as_object()?)
}

fn values_of_map(map: &Map) -> Option<&[Json]> {
    match (map.get("const"), map.get("enum")) {
        (Some(value), _) => Some(std::slice::from_ref(value)),
        (_, Some(Json::Array(values))) => Some(values),
        _ => None,
    }
}

fn resolve<'a>(schema: &'a Json, definitions: &'a [(String, Json)]) -> Option<&'a Json> {
    let Some(reference) = schema.get("$ref") else { return Some(schema) };
    let reference = reference.as_str()?;
    definitions.iter().find(|(name, _)| super::names::pointer_to(name) == reference).map(|(_, schema)| schema)
}

/// Names of the JSON types that a schema admits; none if that is not plain.
fn types_of<'a>(schema: &'a Json, definitions: &'a [(String, Json)], steps: usize) -> Option<Vec<&'a str>> {
    let steps = steps.checked_sub(1)?;
    let map: &Map = resolve(schema, definitions)?.as_object()?;
    if let Some(Json::Array(members)) = map.get("oneOf").or_else(|| map.get("anyOf")) {
        let types: Option<Vec<_>> = members.iter().map(|member| types_of(member, definitions, steps)).collect();
        return types.map(|types| types.concat());
    }
    if let Some(values) = values_of_map(map) {
        return Some(values.iter().map(type_name).collect());
    }
    let plain = |name: &'a Json| name.as_str().map(|name| if name == "integer" { "number" } else { name });
    match map.get("type")? {
        Json::Array(names) => names.iter().map(plain).collect(),
        name => plain(name).map(|name| vec![name]),
    }
}

fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}
