//! `Date` parameters of `main`. Arguments are JSON, so a date arrives as a string; TypeScript says `Date`, so `main` gets one.
//!
//! The conversion is put where a parameter is seen first: in front of the initial values of those behind it, and at the start
//! of the body. Nothing is wrapped, so that no frame is added to a stack, and what is added maps to no place in the source.

use std::mem;

use oxc::{
    allocator::Allocator,
    ast::ast::{ArrowFunctionBody, ArrowFunctionExpression, Expression, FormalParameters, Function, FunctionBody, Program, Statement},
    ast_visit::{VisitMut, walk_mut},
    parser::Parser,
    span::{SPAN, SourceType, Span},
    syntax::scope::ScopeFlags,
};

/// What converted parameters call.
pub(super) const HELPER: &str = include_str!("date.js");
pub(super) const HELPER_NAME: &str = "sandmill$date";

/// Which parameters of which function.
#[derive(Default)]
pub(super) struct Dates {
    pub(super) names: Vec<String>,
    /// Where the function's parameters are, by which it is known.
    pub(super) parameters: Span,
}

pub(super) fn convert<'a>(allocator: &'a Allocator, program: &mut Program<'a>, dates: &Dates) {
    if !dates.names.is_empty() {
        Converter { allocator, dates }.visit_program(program);
    }
}

struct Converter<'a, 'd> {
    allocator: &'a Allocator,
    dates: &'d Dates,
}

impl<'a> VisitMut<'a> for Converter<'a, '_> {
    fn visit_function(&mut self, function: &mut Function<'a>, flags: ScopeFlags) {
        match &mut function.body {
            Some(body) if function.params.span == self.dates.parameters => {
                self.initial_values(&mut function.params);
                self.body(body);
            }
            _ => walk_mut::walk_function(self, function, flags),
        }
    }

    fn visit_arrow_function_expression(&mut self, arrow: &mut ArrowFunctionExpression<'a>) {
        if arrow.params.span != self.dates.parameters {
            return walk_mut::walk_arrow_function_expression(self, arrow);
        }
        self.initial_values(&mut arrow.params);
        match &mut arrow.body {
            ArrowFunctionBody::FunctionBody(body) => self.body(body),
            body => {
                if let Some(expression) = body.as_expression_mut() {
                    self.before(expression, &self.dates.names);
                }
            }
        }
    }
}

impl<'a> Converter<'a, '_> {
    /// An initial value may use the parameters in front of it.
    fn initial_values(&self, parameters: &mut FormalParameters<'a>) {
        let mut known = Vec::new();
        for parameter in &mut parameters.items {
            if let Some(value) = &mut parameter.initializer
                && !known.is_empty()
            {
                self.before(value, &known);
            }
            let name = parameter.pattern.get_identifier_name().map(|name| name.to_string());
            known.extend(name.filter(|name| self.dates.names.contains(name)));
        }
    }

    fn body(&self, body: &mut FunctionBody<'a>) {
        let statements = self.parse(&format!("{};", conversions(&self.dates.names)));
        for (index, statement) in statements.into_iter().enumerate() {
            body.statements.insert(index, statement);
        }
    }

    /// `expression` becomes `a = …, b = …, expression`.
    fn before(&self, expression: &mut Expression<'a>, names: &[String]) {
        let mut statements = self.parse(&format!("{}, 0;", conversions(names)));
        let Some(Statement::ExpressionStatement(statement)) = statements.first_mut() else { return };
        let Expression::SequenceExpression(sequence) = &mut statement.expression else { return };
        if let Some(last) = sequence.expressions.last_mut() {
            mem::swap(last, expression);
            mem::swap(expression, &mut statement.expression);
        }
    }

    /// Statements without a place.
    fn parse(&self, text: &str) -> oxc::allocator::Vec<'a, Statement<'a>> {
        let mut program = Parser::new(self.allocator, self.allocator.alloc_str(text), SourceType::mjs()).parse().program;
        Nowhere.visit_program(&mut program);
        program.body
    }
}

struct Nowhere;

impl VisitMut<'_> for Nowhere {
    fn visit_span(&mut self, span: &mut Span) {
        *span = SPAN;
    }
}

fn conversions(names: &[String]) -> String {
    let conversions: Vec<_> = names.iter().map(|name| format!("{name} = {HELPER_NAME}({name}, \"{name}\")")).collect();
    conversions.join(", ")
}
