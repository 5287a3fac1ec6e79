//! Types that every TypeScript file knows without declaring them.

use oxc::ast::ast::{TSType, TSTypeParameterInstantiation};

use super::{
    Inference,
    json::Json,
    objects::{Property, Shape},
    types::array_of,
    unions,
};

type Arguments<'a> = Option<&'a TSTypeParameterInstantiation<'a>>;

const DATE_INSIDE: &str = "arguments are JSON, so a `Date` inside of another type arrives as a string: say `string` and call `new Date()` on it, \
     or make it a parameter of its own";

impl<'a> Inference<'a> {
    pub(super) fn utility(&mut self, name: &str, arguments: Arguments<'a>, offset: u32) -> Json {
        let first = argument(arguments, 0);
        match name {
            "Array" | "ReadonlyArray" | "array" => {
                let items = first.map_or_else(Json::any, |ty| self.schema(ty));
                array_of(items)
            }
            "Date" => {
                if !self.is_converted {
                    self.warn(offset, DATE_INSIDE);
                }
                Json::of_type("string").with("format", "date-time")
            }
            "URL" => Json::of_type("string").with("format", "uri"),
            "Uint8Array" | "ArrayBuffer" | "Buffer" | "Blob" => Json::of_type("string").with("contentEncoding", "base64"),
            "String" => Json::of_type("string"),
            "Number" => Json::of_type("number"),
            "Boolean" => Json::of_type("boolean"),
            "Object" | "object" if first.is_none() => Json::of_type("object"),
            "Partial" | "Required" | "Readonly" | "Pick" | "Omit" | "Record" | "Object" | "object" => {
                match self.utility_shape(name, arguments) {
                    Some(shape) => shape.into_schema(),
                    // `Readonly` of an array, for one.
                    None => match first.filter(|_| name == "Readonly") {
                        Some(ty) => self.schema(ty),
                        None => self.unknown(offset, &format!("what `{name}` is made of is not written out")),
                    },
                }
            }
            "NonNullable" | "Awaited" => match first {
                Some(ty) => without_null(self.schema(ty)),
                None => Json::any(),
            },
            "Exclude" | "Extract" => {
                self.filtered(name, arguments).unwrap_or_else(|| self.unknown(offset, &format!("`{name}` is followed for literals only")))
            }
            "Uppercase" | "Lowercase" | "Capitalize" | "Uncapitalize" => Json::of_type("string"),
            "Function" | "Map" | "Set" | "WeakMap" | "WeakSet" | "Promise" | "RegExp" | "Symbol" | "Iterable" => {
                self.unknown(offset, &format!("`{name}` has no JSON form"))
            }
            _ => self.unknown(offset, &format!("the type `{name}` is not declared in this file")),
        }
    }

    pub(super) fn utility_shape(&mut self, name: &str, arguments: Arguments<'a>) -> Option<Shape> {
        let first = argument(arguments, 0)?;
        match name {
            "Record" | "Object" | "object" => {
                let value = argument(arguments, 1)?;
                if matches!(first, TSType::TSStringKeyword(_) | TSType::TSNumberKeyword(_)) {
                    return Some(Shape { properties: Vec::new(), additional: Some(self.schema(value)) });
                }
                let Some(keys) = self.keys(first) else {
                    return Some(Shape { properties: Vec::new(), additional: Some(self.schema(value)) });
                };
                let schema = self.schema(value);
                let properties = keys.into_iter().map(|name| Property { name, schema: schema.clone(), is_optional: false });
                Some(Shape { properties: properties.collect(), additional: None })
            }
            "Readonly" => self.shape(first),
            "Partial" | "Required" => {
                let mut shape = self.shape(first)?;
                shape.properties.iter_mut().for_each(|property| property.is_optional = name == "Partial");
                Some(shape)
            }
            "Pick" | "Omit" => {
                let mut shape = self.shape(first)?;
                let keys = self.keys(argument(arguments, 1)?)?;
                shape.properties.retain(|property| keys.contains(&property.name) == (name == "Pick"));
                Some(shape)
            }
            _ => None,
        }
    }

    /// `Exclude` and `Extract` on literals.
    fn filtered(&mut self, name: &str, arguments: Arguments<'a>) -> Option<Json> {
        let all = unions::literals_of(&self.schema(argument(arguments, 0)?))?;
        let some = unions::literals_of(&self.schema(argument(arguments, 1)?))?;
        let kept = all.into_iter().filter(|literal| some.contains(literal) == (name == "Extract"));
        Some(unions::union(kept.map(super::types::constant).collect(), &[]))
    }
}

fn argument<'a>(arguments: Arguments<'a>, index: usize) -> Option<&'a TSType<'a>> {
    arguments.and_then(|arguments| arguments.params.get(index))
}

fn without_null(schema: Json) -> Json {
    let is_null = |member: &Json| *member == Json::of_type("null");
    if let Some(Json::Array(names)) = schema.get("type") {
        let kept: Vec<_> = names.iter().filter(|name| name.as_str() != Some("null")).cloned().collect();
        if let [only] = kept.as_slice() {
            return schema.clone().with("type", only.clone());
        }
    }
    if let Some(literals) = unions::literals_of(&schema) {
        return unions::union(literals.into_iter().filter(|literal| *literal != Json::Null).map(super::types::constant).collect(), &[]);
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(Json::Array(members)) = schema.get(keyword)
            && members.iter().any(is_null)
        {
            let mut kept: Vec<_> = members.iter().filter(|member| !is_null(member)).cloned().collect();
            return if kept.len() == 1 { kept.remove(0) } else { schema.clone().with(keyword, kept) };
        }
    }
    schema
}
