//! What is bundled means the same inside of the script as on its own.

use std::collections::BTreeSet;

use oxc::{
    allocator::Allocator,
    ast::ast::{BinaryExpression, Program, TSType},
    ast_visit::{Visit, walk},
    parser::Parser,
    semantic::SemanticBuilder,
    span::SourceType,
    syntax::operator::BinaryOperator,
};
use sandmill_model::Language;

use super::{
    imports::{Found, source_type},
    rewrite::module_name,
};

/// The bundle in which globals are the globals, whatever the script declares, and which TypeScript reads as JavaScript does.
///
/// # Errors
/// What cannot be mended.
pub(super) fn guard(code: &str, found: &Found, language: Language) -> Result<String, String> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::mjs()).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        let why = parsed.diagnostics.iter().next().map(|fault| fault.message.to_string()).unwrap_or_default();
        return Err(format!("what esbuild made of its imports is no JavaScript: {why}"));
    }
    let captured = captured(&parsed.program, found);
    let mut text = code.to_owned();
    if language == Language::TypeScript && reads_types(&text) {
        text = parenthesised(code, &parsed.program);
        if reads_types(&text) {
            return Err("what it imports reads otherwise in TypeScript than in JavaScript; write the script in JavaScript".to_owned());
        }
    }
    if captured.is_empty() {
        return Ok(text);
    }
    let names: Vec<&str> = captured.iter().map(String::as_str).collect();
    Ok(format!("const {{ {} }} = globalThis;\n{text}", names.join(", ")))
}

/// Globals of the bundle that the script has other things under the name of.
fn captured(program: &Program<'_>, found: &Found) -> BTreeSet<String> {
    let analysed = SemanticBuilder::new().build(program);
    let free = analysed.semantic.scoping().root_unresolved_references().keys();
    let free: BTreeSet<String> = free.map(|name| name.as_str().to_owned()).collect();
    let own = module_name(found);
    free.into_iter().filter(|name| found.names.contains(name) && name != "globalThis" && *name != own).collect()
}

/// Whether something in it is taken for a type: in `f(a < b, c > (d))` TypeScript sees a call of `a<b, c>`.
fn reads_types(code: &str) -> bool {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, source_type(Language::TypeScript)).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        return true;
    }
    let mut types = Types(false);
    types.visit_program(&parsed.program);
    types.0
}

struct Types(bool);

impl<'a> Visit<'a> for Types {
    fn visit_ts_type(&mut self, _: &TSType<'a>) {
        self.0 = true;
    }
}

/// With each comparison that could begin type arguments in parentheses of its own.
fn parenthesised<'a>(code: &str, program: &Program<'a>) -> String {
    let mut comparisons = Comparisons(Vec::new());
    comparisons.visit_program(program);
    // Where one ends and another begins, the end comes first.
    let mut marks: Vec<(u32, char)> = comparisons.0.iter().flat_map(|(start, end)| [(*start, '('), (*end, ')')]).collect();
    marks.sort_by_key(|(at, mark)| (*at, *mark == '('));
    let mut text = String::with_capacity(code.len() + marks.len());
    let mut from = 0;
    for (at, mark) in marks {
        let at = at as usize;
        text.push_str(&code[from..at]);
        text.push(mark);
        from = at;
    }
    text.push_str(&code[from..]);
    text
}

struct Comparisons(Vec<(u32, u32)>);

impl<'a> Visit<'a> for Comparisons {
    fn visit_binary_expression(&mut self, expression: &BinaryExpression<'a>) {
        if matches!(expression.operator, BinaryOperator::LessThan | BinaryOperator::ShiftLeft) {
            self.0.push((expression.span.start, expression.span.end));
        }
        walk::walk_binary_expression(self, expression);
    }
}
