//! One TypeScript type to one schema.

use oxc::{
    ast::ast::{TSLiteral, TSLiteralType, TSTupleElement, TSTupleType, TSType, TSTypeOperatorOperator},
    span::GetSpan as _,
};

use super::{Inference, json::Json, json::Map, names, unions};

/// Names that stand for names on the way to `Date`.
const ALIASES_MAX: usize = 8;

impl<'a> Inference<'a> {
    /// The schema, and whether `undefined` belongs to the type.
    pub(super) fn optional_schema(&mut self, ty: &'a TSType<'a>) -> (Json, bool) {
        let parts = match ty {
            TSType::TSParenthesizedType(inner) => return self.optional_schema(&inner.type_annotation),
            TSType::TSUnionType(union) => union.types.iter().any(is_undefined),
            other => is_undefined(other),
        };
        (self.schema(ty), parts)
    }

    pub(super) fn schema(&mut self, ty: &'a TSType<'a>) -> Json {
        self.descend(ty.span().start, |inference| inference.schema_unguarded(ty))
    }

    fn schema_unguarded(&mut self, ty: &'a TSType<'a>) -> Json {
        let offset = ty.span().start;
        match ty {
            TSType::TSStringKeyword(_) => Json::of_type("string"),
            TSType::TSTemplateLiteralType(template) => match template.quasis.as_slice() {
                [only] if template.types.is_empty() => {
                    constant(only.value.cooked.map_or_else(|| Json::from(""), |text| Json::from(text.as_str())))
                }
                _ => Json::of_type("string"),
            },
            TSType::TSNumberKeyword(_) => Json::of_type("number"),
            TSType::TSBooleanKeyword(_) => Json::of_type("boolean"),
            TSType::TSNullKeyword(_) => Json::of_type("null"),
            TSType::TSObjectKeyword(_) => Json::of_type("object"),
            TSType::TSBigIntKeyword(_) => {
                self.warn(offset, "JSON has no bigint: the argument is a string of digits, so call BigInt() on it");
                Json::of_type("string").with("pattern", "^-?[0-9]+$")
            }
            TSType::TSAnyKeyword(_) | TSType::TSUnknownKeyword(_) | TSType::JSDocUnknownType(_) => Json::any(),
            TSType::TSUndefinedKeyword(_) | TSType::TSVoidKeyword(_) => Json::any(),
            TSType::TSNeverKeyword(_) => Json::any().with("not", Json::any()),
            TSType::TSLiteralType(literal) => self.literal(literal),
            TSType::TSArrayType(array) => {
                let items = self.schema(&array.element_type);
                array_of(items)
            }
            TSType::TSTupleType(tuple) => self.tuple(tuple),
            TSType::TSUnionType(union) => {
                let members = union.types.iter().filter(|member| !is_undefined(member)).map(|member| self.schema(member)).collect();
                unions::union(members, &self.definitions)
            }
            TSType::TSParenthesizedType(inner) => self.schema(&inner.type_annotation),
            TSType::TSTypeOperatorType(operator) => match operator.operator {
                TSTypeOperatorOperator::Readonly => self.schema(&operator.type_annotation),
                TSTypeOperatorOperator::Keyof => self.key_of(&operator.type_annotation),
                TSTypeOperatorOperator::Unique => self.unknown(offset, "a symbol has no JSON form"),
            },
            TSType::TSTypeReference(reference) => self.reference(&reference.type_name, reference.type_arguments.as_deref()),
            TSType::TSTypeLiteral(_) | TSType::TSIntersectionType(_) | TSType::TSMappedType(_) => self.object(ty),
            TSType::TSIndexedAccessType(access) => self.indexed_access(access),
            TSType::TSTypeQuery(query) => match self.constant_of(query) {
                Some(value) => super::values::widened(&value),
                None => self.unknown(offset, "the type of this value is not known"),
            },
            TSType::JSDocNullableType(nullable) => {
                let members = vec![self.schema(&nullable.type_annotation), Json::of_type("null")];
                unions::union(members, &self.definitions)
            }
            TSType::JSDocNonNullableType(inner) => self.schema(&inner.type_annotation),
            TSType::TSFunctionType(_) | TSType::TSConstructorType(_) => self.unknown(offset, "a function has no JSON form"),
            TSType::TSSymbolKeyword(_) => self.unknown(offset, "a symbol has no JSON form"),
            TSType::TSConditionalType(_) | TSType::TSInferType(_) => self.unknown(offset, "conditional types are not followed"),
            TSType::TSImportType(_) => self.unknown(offset, "types of other modules are not known"),
            TSType::TSNamedTupleMember(_) | TSType::TSIntrinsicKeyword(_) | TSType::TSThisType(_) | TSType::TSTypePredicate(_) => {
                self.unknown(offset, "this type has no JSON form")
            }
        }
    }

    /// Whether it is a `Date`, perhaps `null` or `undefined`, and nothing else.
    pub(super) fn is_date(&self, ty: &'a TSType<'a>) -> bool {
        self.is_date_within(ty, ALIASES_MAX)
    }

    fn is_date_within(&self, ty: &'a TSType<'a>, aliases: usize) -> bool {
        match ty {
            TSType::TSParenthesizedType(inner) => self.is_date_within(&inner.type_annotation, aliases),
            TSType::JSDocNullableType(inner) => self.is_date_within(&inner.type_annotation, aliases),
            TSType::JSDocNonNullableType(inner) => self.is_date_within(&inner.type_annotation, aliases),
            TSType::TSUnionType(union) => {
                let is_absent = |member: &TSType<'_>| matches!(member, TSType::TSNullKeyword(_)) || is_undefined(member);
                let mut dates = union.types.iter().filter(|member| !is_absent(member)).peekable();
                dates.peek().is_some() && dates.all(|member| self.is_date_within(member, aliases))
            }
            TSType::TSTypeReference(reference) if reference.type_arguments.is_none() => {
                let Some(name) = names::dotted(&reference.type_name) else { return false };
                let is_parameter = self.scopes.last().is_some_and(|scope| scope.contains_key(name.as_str()));
                match self.declarations.get(&name) {
                    _ if is_parameter => false,
                    None => name == "Date",
                    Some(declared) => aliases > 0 && names::aliased(&declared).is_some_and(|ty| self.is_date_within(ty, aliases - 1)),
                }
            }
            _ => false,
        }
    }

    fn literal(&mut self, literal: &TSLiteralType<'a>) -> Json {
        let value = match &literal.literal {
            TSLiteral::BooleanLiteral(value) => Some(Json::Bool(value.value)),
            TSLiteral::NumericLiteral(value) => Json::number(value.value),
            TSLiteral::StringLiteral(value) => Some(Json::from(value.value.as_str())),
            TSLiteral::TemplateLiteral(value) => match value.quasis.as_slice() {
                [only] if value.expressions.is_empty() => only.value.cooked.map(|text| Json::from(text.as_str())),
                _ => return Json::of_type("string"),
            },
            TSLiteral::UnaryExpression(value) => super::values::negated(value),
            TSLiteral::BigIntLiteral(value) => Some(Json::from(value.value.as_str())),
        };
        value.map_or_else(Json::any, constant)
    }

    fn tuple(&mut self, tuple: &'a TSTupleType<'a>) -> Json {
        let (mut items, mut required, mut rest) = (Vec::new(), 0, None);
        for element in &tuple.element_types {
            let (element, is_optional) = match element {
                TSTupleElement::TSNamedTupleMember(member) => (&member.element_type, member.optional),
                other => (other, false),
            };
            match element {
                TSTupleElement::TSRestType(of) => rest = Some(self.schema(&of.type_annotation)),
                TSTupleElement::TSOptionalType(of) => items.push(self.schema(&of.type_annotation)),
                other => {
                    let Some(ty) = other.as_ts_type() else { continue };
                    items.push(self.schema(ty));
                    if !is_optional && required + 1 == items.len() {
                        required = items.len();
                    }
                }
            }
        }
        let mut schema = Map::new().with("type", "array");
        let count = items.len();
        if count > 0 {
            schema.set("prefixItems", items);
        }
        match rest {
            // `...T[]` after the fixed ones: its items are those of the array.
            Some(rest) => schema.set("items", rest.get("items").cloned().unwrap_or_else(Json::any)),
            None => schema.set("maxItems", count),
        }
        if required > 0 {
            schema.set("minItems", required);
        }
        Json::Object(schema)
    }
}

pub(super) fn array_of(items: Json) -> Json {
    let array = Json::of_type("array");
    if items.is_any() { array } else { array.with("items", items) }
}

pub(super) fn constant(value: Json) -> Json {
    if value == Json::Null { Json::of_type("null") } else { Json::any().with("const", value) }
}

fn is_undefined(ty: &TSType<'_>) -> bool {
    match ty {
        TSType::TSParenthesizedType(inner) => is_undefined(&inner.type_annotation),
        other => matches!(other, TSType::TSUndefinedKeyword(_) | TSType::TSVoidKeyword(_)),
    }
}
