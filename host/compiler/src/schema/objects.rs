//! Object types: literals, interfaces, intersections, mapped types, and what is taken out of them by key.

use std::collections::HashMap;

use oxc::{
    ast::ast::{
        TSIndexedAccessType, TSInterfaceDeclaration, TSIntersectionType, TSMappedType, TSMappedTypeModifierOperator, TSPropertySignature,
        TSSignature, TSType, TSTypeName, TSTypeOperatorOperator, TSTypeQuery, TSTypeQueryExprName,
    },
    span::GetSpan as _,
};

use super::{
    Inference,
    json::{Json, Map},
    names::{self, Declared},
    types::constant,
    unions,
};

/// An object type that is known property by property.
#[derive(Clone, Default)]
pub(super) struct Shape {
    pub(super) properties: Vec<Property>,
    /// Of all other properties.
    pub(super) additional: Option<Json>,
}

#[derive(Clone)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) schema: Json,
    pub(super) is_optional: bool,
}

impl Shape {
    pub(super) fn put(&mut self, property: Property) {
        match self.properties.iter_mut().find(|known| known.name == property.name) {
            Some(known) => *known = property,
            None => self.properties.push(property),
        }
    }

    fn merge(&mut self, other: Self) {
        other.properties.into_iter().for_each(|property| self.put(property));
        self.additional = other.additional.or(self.additional.take());
    }

    pub(super) fn into_schema(self) -> Json {
        let required: Vec<_> =
            self.properties.iter().filter(|property| !property.is_optional).map(|property| Json::from(property.name.as_str())).collect();
        let properties: Map = self.properties.into_iter().map(|property| (property.name, property.schema)).collect();
        let mut schema = Map::new().with("type", "object");
        if !properties.is_empty() {
            schema.set("properties", properties);
        }
        if !required.is_empty() {
            schema.set("required", required);
        }
        if let Some(additional) = self.additional.filter(|additional| !additional.is_any()) {
            schema.set("additionalProperties", additional);
        }
        Json::Object(schema)
    }
}

impl<'a> Inference<'a> {
    /// A type literal, an intersection or a mapped type.
    pub(super) fn object(&mut self, ty: &'a TSType<'a>) -> Json {
        if let Some(shape) = self.shape(ty) {
            return shape.into_schema();
        }
        match ty {
            TSType::TSIntersectionType(intersection) => self.all_of(intersection),
            other => self.unknown(other.span().start, "the keys of this type are not written out"),
        }
    }

    fn all_of(&mut self, intersection: &'a TSIntersectionType<'a>) -> Json {
        let mut members: Vec<_> = intersection.types.iter().map(|member| self.schema(member)).filter(|member| !member.is_any()).collect();
        members.dedup();
        match members.len() {
            0 => Json::any(),
            1 => members.remove(0),
            _ => Json::any().with("allOf", members),
        }
    }

    /// None if it is no object type, or not one that is known property by property.
    pub(super) fn shape(&mut self, ty: &'a TSType<'a>) -> Option<Shape> {
        self.nodes += 1;
        if self.nodes > crate::limits::SCHEMA_NODES_MAX || self.depth >= crate::limits::SCHEMA_DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let shape = self.shape_unguarded(ty);
        self.depth -= 1;
        shape
    }

    fn shape_unguarded(&mut self, ty: &'a TSType<'a>) -> Option<Shape> {
        match ty {
            TSType::TSTypeLiteral(literal) => Some(self.members(&literal.members)),
            TSType::TSParenthesizedType(inner) => self.shape(&inner.type_annotation),
            TSType::TSTypeOperatorType(operator) if operator.operator == TSTypeOperatorOperator::Readonly => {
                self.shape(&operator.type_annotation)
            }
            TSType::TSIntersectionType(intersection) => {
                let mut merged = Shape::default();
                for member in &intersection.types {
                    merged.merge(self.shape(member)?);
                }
                Some(merged)
            }
            TSType::TSMappedType(mapped) => self.mapped(mapped),
            TSType::TSTypeReference(reference) => {
                let name = names::dotted(&reference.type_name)?;
                match self.declarations.get(&name) {
                    Some(declared) if reference.type_arguments.is_none() => self.shape_of_name(&name, &declared),
                    Some(_) => None,
                    None => self.utility_shape(&name, reference.type_arguments.as_deref()),
                }
            }
            _ => None,
        }
    }

    fn shape_of_name(&mut self, name: &str, declared: &Declared<'a>) -> Option<Shape> {
        // One that is being made already would be made for ever.
        if self.expanding.iter().any(|open| open == name) {
            return None;
        }
        self.expanding.push(name.to_owned());
        self.scopes.push(HashMap::new());
        let shape = match declared {
            Declared::Interface(parts, _) => Some(self.interface(parts)),
            other => names::aliased(other).and_then(|ty| self.shape(ty)),
        };
        self.scopes.pop();
        self.expanding.pop();
        shape
    }

    pub(super) fn interface(&mut self, parts: &[&'a TSInterfaceDeclaration<'a>]) -> Shape {
        let mut shape = Shape::default();
        for part in parts {
            for heritage in &part.extends {
                match self.parent(&heritage.type_name, heritage.type_arguments.is_some()) {
                    Some(parent) => shape.merge(parent),
                    None => {
                        self.warn(heritage.span.start, "what this interface extends is not known here, so its properties are not checked")
                    }
                }
            }
        }
        for part in parts {
            let own = self.members(&part.body.body);
            shape.merge(own);
        }
        shape
    }

    fn parent(&mut self, name: &'a TSTypeName<'a>, is_generic: bool) -> Option<Shape> {
        if is_generic {
            return None;
        }
        let name = names::dotted(name)?;
        let declared = self.declarations.get(&name)?;
        self.shape_of_name(&name, &declared)
    }

    fn members(&mut self, members: &'a [TSSignature<'a>]) -> Shape {
        let mut shape = Shape::default();
        for member in members {
            match member {
                TSSignature::TSPropertySignature(property) => {
                    if let Some(property) = self.property(property) {
                        shape.put(property);
                    }
                }
                TSSignature::TSIndexSignature(index) => shape.additional = Some(self.schema(&index.type_annotation.type_annotation)),
                // Functions do not arrive in JSON.
                TSSignature::TSMethodSignature(_)
                | TSSignature::TSCallSignatureDeclaration(_)
                | TSSignature::TSConstructSignatureDeclaration(_) => {}
            }
        }
        shape
    }

    fn property(&mut self, property: &'a TSPropertySignature<'a>) -> Option<Property> {
        let Some(name) = property.key.static_name() else {
            self.warn(property.span.start, "the name of this property is not written out, so it is not checked");
            return None;
        };
        let (mut schema, allows_undefined) = match &property.type_annotation {
            Some(annotation) => self.optional_schema(&annotation.type_annotation),
            None => (Json::any(), false),
        };
        if let Some(doc) = self.docs.at(property.span.start) {
            if let Some(text) = doc.description() {
                schema = schema.described(&text);
            }
            schema = doc.refine(schema);
        }
        Some(Property { name: name.into_owned(), schema, is_optional: property.optional || allows_undefined })
    }

    /// `{ [K in Keys]: T }`.
    fn mapped(&mut self, mapped: &'a TSMappedType<'a>) -> Option<Shape> {
        let value = mapped.type_annotation.as_ref()?;
        let is_optional = matches!(mapped.optional, Some(TSMappedTypeModifierOperator::True | TSMappedTypeModifierOperator::Plus));
        if matches!(mapped.constraint, TSType::TSStringKeyword(_)) {
            return Some(Shape { properties: Vec::new(), additional: Some(self.schema(value)) });
        }
        let mut shape = Shape::default();
        for key in self.keys(&mapped.constraint)? {
            let mut scope = self.scopes.last().cloned().unwrap_or_default();
            scope.insert(mapped.key.name.as_str(), constant(Json::from(key.as_str())));
            self.scopes.push(scope);
            let schema = self.schema(value);
            self.scopes.pop();
            shape.put(Property { name: key, schema, is_optional });
        }
        Some(shape)
    }

    /// The strings of a type that is a literal or a union of them.
    pub(super) fn keys(&mut self, ty: &'a TSType<'a>) -> Option<Vec<String>> {
        let literals = unions::literals_of(&self.schema(ty))?;
        let text = |literal: &Json| match literal {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        };
        literals.iter().map(text).collect()
    }

    pub(super) fn key_of(&mut self, ty: &'a TSType<'a>) -> Json {
        let constants = if let TSType::TSTypeQuery(query) = ty { self.constant_of(query) } else { None };
        let names: Option<Vec<String>> = match constants {
            Some(Json::Object(map)) => Some(map.iter().map(|(name, _)| name.clone()).collect()),
            _ => self
                .shape(ty)
                .filter(|shape| shape.additional.is_none())
                .map(|shape| shape.properties.into_iter().map(|property| property.name).collect()),
        };
        match names {
            Some(names) if !names.is_empty() => unions::union(names.into_iter().map(|name| constant(Json::from(name))).collect(), &[]),
            _ => Json::of_type("string"),
        }
    }

    /// `T["key"]`, `T[number]`, `(typeof TABLE)[number]`.
    pub(super) fn indexed_access(&mut self, access: &'a TSIndexedAccessType<'a>) -> Json {
        let is_number = matches!(access.index_type, TSType::TSNumberKeyword(_));
        if let Some(value) = self.constant_under(&access.object_type) {
            let chosen: Vec<Json> = match value {
                Json::Array(values) if is_number => values,
                Json::Object(map) => {
                    let keys = self.keys(&access.index_type).unwrap_or_default();
                    keys.iter().filter_map(|key| map.get(key).cloned()).collect()
                }
                _ => Vec::new(),
            };
            if !chosen.is_empty() {
                let members = chosen.into_iter().map(|value| {
                    if matches!(value, Json::Object(_) | Json::Array(_)) { super::values::widened(&value) } else { constant(value) }
                });
                return unions::union(members.collect(), &[]);
            }
        } else if is_number {
            if let Some(items) = self.schema(&access.object_type).get("items") {
                return items.clone();
            }
        } else if let (Some(shape), Some(keys)) = (self.shape(&access.object_type), self.keys(&access.index_type)) {
            let members: Vec<_> =
                shape.properties.into_iter().filter(|property| keys.contains(&property.name)).map(|property| property.schema).collect();
            if members.len() == keys.len() {
                return unions::union(members, &self.definitions);
            }
        }
        self.unknown(access.span.start, "what this type looks up is not written out")
    }

    fn constant_under(&self, ty: &TSType<'a>) -> Option<Json> {
        match ty {
            TSType::TSParenthesizedType(inner) => self.constant_under(&inner.type_annotation),
            TSType::TSTypeQuery(query) => self.constant_of(query),
            _ => None,
        }
    }

    /// The value of the variable in `typeof variable`.
    pub(super) fn constant_of(&self, query: &TSTypeQuery<'a>) -> Option<Json> {
        let TSTypeQueryExprName::IdentifierReference(name) = &query.expr_name else { return None };
        self.value_of(self.declarations.constant(name.name.as_str())?)
    }
}
