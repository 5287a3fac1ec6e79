//! Values that are written out in the source: defaults, `as const` tables, members of enums.

use std::collections::HashMap;

use oxc::ast::ast::{
    ArrayExpressionElement, Expression, IdentifierName, ObjectPropertyKind, StaticMemberExpression, TSEnumDeclaration, TSEnumMemberName,
    UnaryExpression,
};
use oxc::syntax::operator::{BinaryOperator, UnaryOperator};

use super::{
    Inference,
    json::{Json, Map},
    types::array_of,
    unions,
};
use crate::limits::SCHEMA_DEPTH_MAX;

impl<'a> Inference<'a> {
    /// The JSON of an expression that is plainly a value.
    pub(super) fn value_of(&self, expression: &Expression<'a>) -> Option<Json> {
        self.value_within(expression, SCHEMA_DEPTH_MAX / 2)
    }

    fn value_within(&self, expression: &Expression<'a>, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        match expression.get_inner_expression() {
            Expression::StringLiteral(literal) => Some(Json::from(literal.value.as_str())),
            Expression::NumericLiteral(literal) => Json::number(literal.value),
            Expression::BooleanLiteral(literal) => Some(Json::Bool(literal.value)),
            Expression::NullLiteral(_) => Some(Json::Null),
            Expression::UnaryExpression(unary) => negated(unary),
            Expression::TemplateLiteral(template) => match template.quasis.as_slice() {
                [only] if template.expressions.is_empty() => only.value.cooked.map(|text| Json::from(text.as_str())),
                _ => None,
            },
            Expression::ArrayExpression(array) => {
                let values = array.elements.iter().map(|element| match element {
                    ArrayExpressionElement::SpreadElement(_) | ArrayExpressionElement::Elision(_) => None,
                    other => self.value_within(other.as_expression()?, depth),
                });
                values.collect::<Option<Vec<_>>>().map(Json::Array)
            }
            Expression::ObjectExpression(object) => {
                let entries = object.properties.iter().map(|property| match property {
                    ObjectPropertyKind::ObjectProperty(property) if !property.method => {
                        Some((property.key.static_name()?.into_owned(), self.value_within(&property.value, depth)?))
                    }
                    _ => None,
                });
                entries.collect::<Option<Map>>().map(Json::Object)
            }
            Expression::StaticMemberExpression(member) => self.enum_member(member),
            _ => None,
        }
    }

    fn enum_member(&self, member: &StaticMemberExpression<'a>) -> Option<Json> {
        let Expression::Identifier(object) = &member.object else { return None };
        let declaration = self.declarations.enumeration(object.name.as_str())?;
        let IdentifierName { name, .. } = &member.property;
        members(declaration).into_iter().find(|(known, _)| known == name.as_str()).and_then(|(_, value)| value)
    }
}

/// Names of an enum's members and their values, where those can be computed.
pub(super) fn members(declaration: &TSEnumDeclaration<'_>) -> Vec<(String, Option<Json>)> {
    let mut known: HashMap<String, f64> = HashMap::new();
    let (mut next, mut members) = (Some(0.0), Vec::new());
    for member in &declaration.body.members {
        let name = match &member.id {
            TSEnumMemberName::Identifier(name) => name.name.to_string(),
            TSEnumMemberName::String(name) | TSEnumMemberName::ComputedString(name) => name.value.to_string(),
            TSEnumMemberName::ComputedTemplateString(_) => continue,
        };
        let number = match member.initializer.as_ref().map(Expression::get_inner_expression) {
            Some(Expression::StringLiteral(text)) => {
                members.push((name, Some(Json::from(text.value.as_str()))));
                next = None;
                continue;
            }
            Some(expression) => compute(expression, &known, SCHEMA_DEPTH_MAX),
            None => next,
        };
        next = number.map(|number| number + 1.0);
        if let Some(number) = number {
            known.insert(name.clone(), number);
        }
        members.push((name, number.and_then(Json::number)));
    }
    members
}

fn compute(expression: &Expression<'_>, known: &HashMap<String, f64>, depth: usize) -> Option<f64> {
    let depth = depth.checked_sub(1)?;
    match expression.get_inner_expression() {
        Expression::NumericLiteral(literal) => Some(literal.value),
        Expression::Identifier(name) => known.get(name.name.as_str()).copied(),
        Expression::UnaryExpression(unary) if unary.operator == UnaryOperator::UnaryNegation => {
            compute(&unary.argument, known, depth).map(|value| -value)
        }
        Expression::BinaryExpression(binary) => {
            let (left, right) = (compute(&binary.left, known, depth)?, compute(&binary.right, known, depth)?);
            let bits = |operation: fn(i32, i32) -> i32| Some(f64::from(operation(to_int32(left), to_int32(right))));
            match binary.operator {
                BinaryOperator::Addition => Some(left + right),
                BinaryOperator::Subtraction => Some(left - right),
                BinaryOperator::Multiplication => Some(left * right),
                BinaryOperator::BitwiseOR => bits(|left, right| left | right),
                BinaryOperator::BitwiseAnd => bits(|left, right| left & right),
                BinaryOperator::ShiftLeft => bits(|left, right| left.wrapping_shl(right.unsigned_abs())),
                _ => None,
            }
        }
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "members beyond 32 bits are not flags; the worst is a wrong enum value in a form")]
fn to_int32(value: f64) -> i32 {
    value as i64 as i32
}

pub(super) fn negated(unary: &UnaryExpression<'_>) -> Option<Json> {
    match (unary.operator, unary.argument.get_inner_expression()) {
        (UnaryOperator::UnaryNegation, Expression::NumericLiteral(literal)) => Json::number(-literal.value),
        (UnaryOperator::UnaryPlus, Expression::NumericLiteral(literal)) => Json::number(literal.value),
        _ => None,
    }
}

/// The type that TypeScript would infer for a variable with this value.
pub(super) fn widened(value: &Json) -> Json {
    match value {
        Json::Null => Json::any(),
        Json::Bool(_) => Json::of_type("boolean"),
        Json::Number(_) => Json::of_type("number"),
        Json::String(_) => Json::of_type("string"),
        Json::Array(values) => {
            let items: Vec<_> = values.iter().map(widened).collect();
            if items.is_empty() { Json::of_type("array") } else { array_of(unions::union(items, &[])) }
        }
        Json::Object(map) => {
            let properties: Map = map.iter().map(|(name, value)| (name.clone(), widened(value))).collect();
            Json::of_type("object").with("properties", properties)
        }
    }
}
