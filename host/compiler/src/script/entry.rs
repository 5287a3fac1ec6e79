//! Which function a script exports as `main`, in whichever of the ways that a module has.

use oxc::{
    ast::ast::{
        BindingPattern, Declaration, ExportDefaultDeclarationKind, Expression, FormalParameters, Function, FunctionType,
        ImportOrExportKind, Program, Statement, TSTypeParameterDeclaration, VariableDeclaration,
    },
    span::GetSpan as _,
};

use super::Fault;

const MAIN: &str = "main";
const PREPROCESSOR: &str = "preprocessor";
const HELP: &str = "write `export function main(name: string) { … }`, or `export async function main`";

pub(super) struct Entries<'a> {
    pub(super) main: Main<'a>,
    pub(super) has_preprocessor: bool,
}

/// The function that is called `main`.
#[derive(Clone, Copy)]
pub(crate) struct Main<'a> {
    pub(crate) parameters: &'a FormalParameters<'a>,
    pub(crate) type_parameters: Option<&'a TSTypeParameterDeclaration<'a>>,
    /// Where its doc comment is attached.
    pub(crate) doc_offset: u32,
}

impl Main<'_> {
    pub(super) fn parameter_names(&self) -> Vec<String> {
        let names = self.parameters.items.iter().map(|parameter| parameter.pattern.get_identifier_name());
        names.flatten().map(|name| name.to_string()).collect()
    }
}

pub(super) fn find<'a>(program: &'a Program<'a>) -> Result<Entries<'a>, Fault> {
    let main = find_main(program)?;
    check_parameters(main.parameters)?;
    let has_preprocessor = program.body.iter().any(|statement| exported(statement, PREPROCESSOR).is_some());
    Ok(Entries { main, has_preprocessor })
}

fn find_main<'a>(program: &'a Program<'a>) -> Result<Main<'a>, Fault> {
    for statement in &program.body {
        match exported(statement, MAIN) {
            Some(Export::Declared(declaration)) => {
                if let Some(main) = of_declaration(program, declaration, (MAIN, statement.span().start)) {
                    return main;
                }
            }
            Some(Export::Named(local, offset)) => return local_function(program, local, offset),
            None => {}
        }
    }
    let default = program.body.iter().find_map(|statement| match statement {
        Statement::ExportDefaultDeclaration(export) => Some(export),
        _ => None,
    });
    if let Some(export) = default {
        let is_function = matches!(
            export.declaration,
            ExportDefaultDeclarationKind::FunctionDeclaration(_) | ExportDefaultDeclarationKind::ArrowFunctionExpression(_)
        );
        if is_function {
            return Err(Fault::new(export.span.start, "the script exports its function as default, not as `main`").with_help(HELP));
        }
    }
    let unexported =
        program.body.iter().find(|statement| matches!(statement, Statement::FunctionDeclaration(function) if names(function, MAIN)));
    if let Some(statement) = unexported {
        return Err(Fault::new(statement.span().start, "`main` is not exported").with_help("put `export` before it"));
    }
    Err(Fault::new(0, "the script does not export a function `main`").with_help(HELP))
}

enum Export<'a> {
    Declared(&'a Declaration<'a>),
    /// `export { local as name }`, and where.
    Named(&'a str, u32),
}

/// How a statement exports a value called `name`, if it does.
fn exported<'a>(statement: &'a Statement<'a>, name: &str) -> Option<Export<'a>> {
    match statement {
        Statement::ExportDeclaration(export) => declares(&export.declaration, name).then_some(Export::Declared(&export.declaration)),
        Statement::ExportNamedDeclaration(export) if export.export_kind == ImportOrExportKind::Value => {
            let specifier = export.specifiers.iter().find(|specifier| specifier.exported.name() == name)?;
            if specifier.export_kind == ImportOrExportKind::Type {
                return None;
            }
            let local = match &specifier.local {
                oxc::ast::ast::ModuleExportName::IdentifierReference(reference) => reference.name.as_str(),
                oxc::ast::ast::ModuleExportName::IdentifierName(identifier) => identifier.name.as_str(),
                oxc::ast::ast::ModuleExportName::StringLiteral(_) => return None,
            };
            Some(Export::Named(local, specifier.span.start))
        }
        _ => None,
    }
}

fn declares(declaration: &Declaration<'_>, name: &str) -> bool {
    match declaration {
        Declaration::FunctionDeclaration(function) => names(function, name),
        Declaration::ClassDeclaration(class) => class.id.as_ref().is_some_and(|id| id.name == name),
        Declaration::VariableDeclaration(variables) => {
            let bound = variables.declarations.iter().flat_map(|declarator| declarator.id.get_binding_identifiers());
            bound.into_iter().any(|identifier| identifier.name == name)
        }
        _ => false,
    }
}

fn names(function: &Function<'_>, name: &str) -> bool {
    function.id.as_ref().is_some_and(|id| id.name == name)
}

/// None for an overload's signature: its implementation follows.
fn of_declaration<'a>(program: &'a Program<'a>, declaration: &'a Declaration<'a>, place: (&str, u32)) -> Option<Result<Main<'a>, Fault>> {
    match declaration {
        Declaration::FunctionDeclaration(function) => of_function(function, place.1),
        Declaration::VariableDeclaration(variables) => Some(of_variables(program, variables, place)),
        other => Some(Err(not_a_function(other.span().start))),
    }
}

fn of_function<'a>(function: &'a Function<'a>, doc_offset: u32) -> Option<Result<Main<'a>, Fault>> {
    if function.r#type == FunctionType::TSDeclareFunction {
        return None;
    }
    if function.generator {
        return Some(Err(Fault::new(function.span.start, "`main` cannot be a generator").with_help(HELP)));
    }
    Some(Ok(Main { parameters: &function.params, type_parameters: function.type_parameters.as_deref(), doc_offset }))
}

fn of_variables<'a>(
    program: &'a Program<'a>,
    variables: &'a VariableDeclaration<'a>,
    (name, doc_offset): (&str, u32),
) -> Result<Main<'a>, Fault> {
    let declarator = variables.declarations.iter().find(|declarator| declarator.id.get_identifier_name().is_some_and(|id| id == name));
    let Some(declarator) = declarator else {
        return Err(not_a_function(variables.span.start));
    };
    match declarator.init.as_ref().map(Expression::get_inner_expression) {
        Some(Expression::ArrowFunctionExpression(arrow)) => {
            Ok(Main { parameters: &arrow.params, type_parameters: arrow.type_parameters.as_deref(), doc_offset })
        }
        Some(Expression::FunctionExpression(function)) => {
            of_function(function, doc_offset).unwrap_or_else(|| Err(not_a_function(doc_offset)))
        }
        Some(Expression::Identifier(other)) if other.name != name => local_function(program, other.name.as_str(), other.span.start),
        _ => Err(not_a_function(declarator.span.start)),
    }
}

/// The function that a module's own name stands for.
fn local_function<'a>(program: &'a Program<'a>, name: &str, offset: u32) -> Result<Main<'a>, Fault> {
    for statement in &program.body {
        let found = match statement {
            Statement::FunctionDeclaration(function) if names(function, name) => of_function(function, statement.span().start),
            Statement::VariableDeclaration(variables) => {
                let declarator =
                    variables.declarations.iter().find(|declarator| declarator.id.get_identifier_name().is_some_and(|id| id == name));
                declarator.map(|declarator| match declarator.init.as_ref().map(Expression::get_inner_expression) {
                    // One step only: names that stand for names would need a guard against circles.
                    Some(Expression::Identifier(_)) => Err(not_a_function(declarator.span.start)),
                    _ => of_variables(program, variables, (name, statement.span().start)),
                })
            }
            Statement::ExportDeclaration(export) => match &export.declaration {
                Declaration::FunctionDeclaration(function) if names(function, name) => of_function(function, statement.span().start),
                _ => None,
            },
            _ => None,
        };
        if let Some(found) = found {
            return found;
        }
    }
    Err(not_a_function(offset))
}

fn not_a_function(offset: u32) -> Fault {
    let help = "its parameters become the form of the script, so they must be written out: `export function main(name: string) { … }`";
    Fault::new(offset, "`main` is not a function that is written out here").with_help(help)
}

/// Parameter names are argument names, so every parameter needs one.
fn check_parameters(parameters: &FormalParameters<'_>) -> Result<(), Fault> {
    if let Some(rest) = &parameters.rest {
        let help = "arguments have names; take an array instead: `main(items: string[])`";
        return Err(Fault::new(rest.span.start, "`main` cannot have a rest parameter").with_help(help));
    }
    for parameter in &parameters.items {
        if !matches!(parameter.pattern, BindingPattern::BindingIdentifier(_)) {
            let help = "arguments are passed by name: write `main(name: string, count: number)` instead of `main({ name, count })`";
            return Err(
                Fault::new(parameter.span.start, "a parameter of `main` needs a name and cannot be taken apart in place").with_help(help)
            );
        }
    }
    Ok(())
}
