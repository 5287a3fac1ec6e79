//! What a script imports, beside the module of the platform and what is only types.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use oxc::{
    allocator::Allocator,
    ast::ast::{
        Declaration, ExportAllDeclaration, ExportFromDeclaration, ImportDeclaration, ImportDeclarationSpecifier, ImportOrExportKind,
        ModuleExportName, Program, Statement, StringLiteral, WithClause,
    },
    parser::Parser,
    semantic::{Scoping, SemanticBuilder},
    span::{GetSpan as _, SourceType, Span},
};
use sandmill_model::Language;

/// The one module that the server has.
const MODULE: &str = "sandmill";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) module: String,
    /// Of the whole statement.
    pub(super) range: Range<usize>,
    /// Where the module's name is.
    pub(super) place: usize,
    /// `with { … }`, key and value.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) bindings: Vec<Binding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) imported: Imported,
    pub(super) becomes: Becomes,
}

/// As it is written after `import`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Imported {
    /// `default`, a name, or one in quotes.
    Name(String),
    /// `*`
    Whole,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    Local(String),
    /// `export { … } from`; as it is written after `as`.
    Export(String),
}

/// All that is to be known of a script.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) imports: Vec<Import>,
    /// Where the first statement is that may need what is imported, which is hoisted.
    pub(super) begin: usize,
    /// Whatever the script declares, anywhere.
    pub(super) names: BTreeSet<String>,
    /// Begins names that the script does not have.
    pub(super) prefix: String,
    /// Place, what is wrong, and what to do.
    pub(super) faults: Vec<(usize, String, String)>,
}

pub(super) fn source_type(language: Language) -> SourceType {
    if language == Language::TypeScript { SourceType::ts() } else { SourceType::mjs() }
}

/// None if it cannot be parsed.
pub(super) fn find(text: &str, language: Language) -> Option<Found> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, source_type(language)).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        return None;
    }
    let program = parsed.program;
    let analysed = SemanticBuilder::new().build(&program);
    let scoping = analysed.semantic.scoping();
    let mut finder = Finder { scoping, is_typescript: language == Language::TypeScript, exported: exported(&program), faults: Vec::new() };
    let imports: Vec<Import> = program.body.iter().filter_map(|statement| finder.import(statement)).collect();
    Some(Found {
        begin: begin(&program, &imports),
        names: scoping.symbol_names().map(str::to_owned).collect(),
        prefix: prefix(text),
        faults: finder.faults,
        imports,
    })
}

/// With one underscore more than follow it anywhere.
fn prefix(text: &str) -> String {
    const BEGIN: &str = "__sandmill";
    let runs = text.match_indices(BEGIN).map(|(at, _)| text[at + BEGIN.len()..].bytes().take_while(|byte| *byte == b'_').count());
    let underscores = runs.max().map_or(0, |longest| longest + 1);
    format!("{BEGIN}{}", "_".repeat(underscores))
}

/// Names of the script that `export { … }` gives away as values.
fn exported(program: &Program<'_>) -> BTreeSet<String> {
    let exports = program.body.iter().filter_map(|statement| match statement {
        Statement::ExportNamedDeclaration(export) if export.export_kind == ImportOrExportKind::Value => Some(export),
        _ => None,
    });
    let specifiers = exports.flat_map(|export| export.specifiers.iter());
    let values = specifiers.filter(|specifier| specifier.export_kind == ImportOrExportKind::Value);
    values.map(|specifier| specifier.local.name().as_str().to_owned()).collect()
}

/// Imports and functions are there before anything is evaluated.
fn begin(program: &Program<'_>, imports: &[Import]) -> usize {
    let first_import = imports.first().map_or(0, |import| import.range.start);
    let evaluates = |statement: &&Statement<'_>| match statement {
        Statement::ImportDeclaration(_)
        | Statement::ExportAllDeclaration(_)
        | Statement::ExportFromDeclaration(_)
        | Statement::ExportNamedDeclaration(_)
        | Statement::EmptyStatement(_)
        | Statement::FunctionDeclaration(_)
        | Statement::TSTypeAliasDeclaration(_)
        | Statement::TSInterfaceDeclaration(_) => false,
        Statement::ExportDeclaration(export) => !matches!(
            export.declaration,
            Declaration::FunctionDeclaration(_) | Declaration::TSTypeAliasDeclaration(_) | Declaration::TSInterfaceDeclaration(_)
        ),
        _ => true,
    };
    let first = program.body.iter().find(evaluates).map_or(first_import, |statement| start(statement.span()));
    first.min(first_import)
}

fn start(span: Span) -> usize {
    span.start as usize
}

fn range(span: Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

struct Finder<'s> {
    scoping: &'s Scoping,
    is_typescript: bool,
    exported: BTreeSet<String>,
    faults: Vec<(usize, String, String)>,
}

impl Finder<'_> {
    fn import(&mut self, statement: &Statement<'_>) -> Option<Import> {
        match statement {
            Statement::ImportDeclaration(import) => self.import_declaration(import),
            Statement::ExportFromDeclaration(export) => self.export_from(export),
            Statement::ExportAllDeclaration(export) => self.export_all(export),
            _ => None,
        }
    }

    /// None of what the server erases, for it is types only.
    fn import_declaration(&self, import: &ImportDeclaration<'_>) -> Option<Import> {
        // A phase is for the server to refuse.
        if import.import_kind == ImportOrExportKind::Type || import.source.value == MODULE || import.phase.is_some() {
            return None;
        }
        let specifiers = import.specifiers.iter().flatten();
        let bindings: Vec<Binding> = specifiers.filter_map(|specifier| self.binding(specifier)).collect();
        let names_any = import.specifiers.as_ref().is_some_and(|specifiers| !specifiers.is_empty());
        if self.is_typescript && names_any && bindings.is_empty() {
            return None;
        }
        Some(of_statement(import.span, &import.source, import.with_clause.as_deref(), bindings))
    }

    fn binding(&self, specifier: &ImportDeclarationSpecifier<'_>) -> Option<Binding> {
        let (imported, local) = match specifier {
            ImportDeclarationSpecifier::ImportSpecifier(one) if one.import_kind == ImportOrExportKind::Type => return None,
            ImportDeclarationSpecifier::ImportSpecifier(one) => (Imported::Name(written(&one.imported)), &one.local),
            ImportDeclarationSpecifier::ImportDefaultSpecifier(one) => (Imported::Name("default".to_owned()), &one.local),
            ImportDeclarationSpecifier::ImportNamespaceSpecifier(one) => (Imported::Whole, &one.local),
        };
        let name = local.name.as_str();
        // As the server's compiler has it, which erases those that are used as types only.
        let is_value = self.scoping.get_resolved_references(local.symbol_id()).any(|reference| !reference.is_type());
        let is_used = !self.is_typescript || is_value || self.exported.contains(name);
        is_used.then(|| Binding { imported, becomes: Becomes::Local(name.to_owned()) })
    }

    fn export_from(&mut self, export: &ExportFromDeclaration<'_>) -> Option<Import> {
        if export.export_kind == ImportOrExportKind::Type || export.source.value == MODULE {
            return None;
        }
        let values: Vec<_> = export.specifiers.iter().filter(|one| one.export_kind == ImportOrExportKind::Value).collect();
        if values.is_empty() && !export.specifiers.is_empty() {
            return None;
        }
        for one in &values {
            if one.exported.name() == "main" {
                let message = format!("`main` comes from \"{}\"", export.source.value);
                let help = "its parameters become the form of the script, so it must be written out here: \
                            `export function main(name: string) { … }`, which may call what is elsewhere";
                self.faults.push((start(one.span), message, help.to_owned()));
            }
        }
        let binding = |one: &&oxc::ast::ast::ExportSpecifier<'_>| Binding {
            imported: Imported::Name(written(&one.local)),
            becomes: Becomes::Export(written(&one.exported)),
        };
        let bindings = values.iter().map(binding).collect();
        Some(of_statement(export.span, &export.source, export.with_clause.as_deref(), bindings))
    }

    fn export_all(&mut self, export: &ExportAllDeclaration<'_>) -> Option<Import> {
        if export.export_kind == ImportOrExportKind::Type || export.source.value == MODULE {
            return None;
        }
        let Some(exported) = &export.exported else {
            let message = format!("what \"{}\" exports is not named", export.source.value);
            let help = "of a script only `main` and `preprocessor` are called: write `export { preprocessor } from …`";
            self.faults.push((start(export.span), message, help.to_owned()));
            return None;
        };
        let bindings = vec![Binding { imported: Imported::Whole, becomes: Becomes::Export(written(exported)) }];
        Some(of_statement(export.span, &export.source, export.with_clause.as_deref(), bindings))
    }
}

fn of_statement(span: Span, source: &StringLiteral<'_>, clause: Option<&WithClause<'_>>, bindings: Vec<Binding>) -> Import {
    let entries = clause.into_iter().flat_map(|clause| clause.with_entries.iter());
    // A map: the same key twice is a fault that the parser has found.
    let attributes: BTreeMap<String, String> =
        entries.map(|entry| (entry.key.as_arena_str().as_str().to_owned(), entry.value.value.as_str().to_owned())).collect();
    Import {
        module: source.value.as_str().to_owned(),
        range: range(span),
        place: start(source.span),
        attributes: attributes.into_iter().collect(),
        bindings,
    }
}

/// With quotes if it has them.
fn written(name: &ModuleExportName<'_>) -> String {
    match name {
        ModuleExportName::StringLiteral(literal) => quoted(literal.value.as_str()),
        other => other.name().as_str().to_owned(),
    }
}

/// A text as JavaScript has it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
