//! What a script may not do although it parses, said with a hint.

use oxc::{
    ast::ast::{
        AccessorProperty, AccessorPropertyType, Decorator, ExportAllDeclaration, ExportFromDeclaration, Expression, ImportDeclaration,
        ImportExpression, ImportOrExportKind, JSXElement, JSXFragment, Program, Statement, StringLiteral, TSExportAssignment,
        TSExternalModuleReference, TSTypeName, TSTypeReference,
    },
    ast_visit::{Visit, walk},
    span::GetSpan as _,
};

use super::Fault;

/// The one module that the runtime has.
const MODULE: &str = "sandmill";

pub(super) struct Findings {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    /// Syntax that QuickJS does not have: decorators.
    pub(super) needs_lowering: bool,
}

pub(super) fn check(program: &Program<'_>) -> Findings {
    let findings = Findings { faults: Vec::new(), warnings: Vec::new(), needs_lowering: false };
    let is_typescript = program.source_type.is_typescript();
    let mut visitor = Visitor { findings, is_typescript, standard_decorators: Vec::new() };
    visitor.visit_program(program);
    let Visitor { mut findings, standard_decorators, .. } = visitor;
    if findings.needs_lowering {
        let help = "decorators are called with (target, key, descriptor), as with TypeScript's option experimentalDecorators";
        let fault =
            |offset| Fault::new(offset, "standard decorators are not supported, only TypeScript's experimental ones").with_help(help);
        findings.faults.extend(standard_decorators.into_iter().map(fault));
    }
    for statement in &program.body {
        findings.faults.extend(common_js(statement));
    }
    findings
}

/// Imports of anything but `sandmill`. For a tree without types.
pub(super) fn imports(program: &Program<'_>) -> Vec<Fault> {
    let sources = program.body.iter().filter_map(|statement| match statement {
        Statement::ImportDeclaration(import) => import_source(import),
        Statement::ExportAllDeclaration(export) => export_all_source(export),
        Statement::ExportFromDeclaration(export) => export_from_source(export),
        _ => None,
    });
    sources.filter(|source| source.value != MODULE).map(unknown_module).collect()
}

fn import_source<'a, 'b>(import: &'b ImportDeclaration<'a>) -> Option<&'b StringLiteral<'a>> {
    (import.import_kind == ImportOrExportKind::Value).then_some(&import.source)
}

fn export_all_source<'a, 'b>(export: &'b ExportAllDeclaration<'a>) -> Option<&'b StringLiteral<'a>> {
    (export.export_kind == ImportOrExportKind::Value).then_some(&export.source)
}

fn export_from_source<'a, 'b>(export: &'b ExportFromDeclaration<'a>) -> Option<&'b StringLiteral<'a>> {
    (export.export_kind == ImportOrExportKind::Value).then_some(&export.source)
}

fn unknown_module(source: &StringLiteral<'_>) -> Fault {
    let name = source.value.as_str();
    let help = if name.starts_with("node:") {
        "Node's own modules do not exist in the sandbox; web APIs such as crypto and TextEncoder do, and so does the module \"sandmill\""
            .to_owned()
    } else if name.starts_with('.') || name.starts_with('/') {
        "a script is one module here: `sandmill push` makes one of it and its files, and `sandmill bundle` shows which".to_owned()
    } else {
        "`sandmill push` bundles npm dependencies into the script; `sandmill bundle` does only that".to_owned()
    };
    Fault::new(source.span.start, format!("cannot import \"{name}\": a script can import \"{MODULE}\" only")).with_help(help)
}

const ES_MODULE_HELP: &str = "a script is an ES module: write `import` and `export function main(…)`; `sandmill push` bundles dependencies";

/// `const x = require(…)` and `module.exports = …`, which can only be meant. Deeper ones may be guarded: bundles are full of them.
fn common_js(statement: &Statement<'_>) -> Vec<Fault> {
    let fault = |offset, what: &str| Fault::new(offset, format!("{what} is CommonJS, which scripts cannot use")).with_help(ES_MODULE_HELP);
    match statement {
        Statement::VariableDeclaration(declaration) => {
            let values = declaration.declarations.iter().filter_map(|declarator| declarator.init.as_ref());
            values.filter(|value| is_require(value)).map(|value| fault(value.span().start, "require()")).collect()
        }
        Statement::ExpressionStatement(statement) => match statement.expression.get_inner_expression() {
            Expression::AssignmentExpression(assignment) => {
                let target = assignment.left.to_member_name();
                target
                    .filter(|name| name.starts_with("module.exports") || name.starts_with("exports."))
                    .map(|name| fault(statement.span.start, &name))
                    .into_iter()
                    .collect()
            }
            value if is_require(value) => vec![fault(statement.span.start, "require()")],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn is_require(value: &Expression<'_>) -> bool {
    match value.get_inner_expression() {
        Expression::CallExpression(call) => call.callee.is_specific_id("require"),
        Expression::StaticMemberExpression(member) => is_require(&member.object),
        _ => false,
    }
}

trait MemberName {
    /// `a.b.c`, if it is nothing but names.
    fn to_member_name(&self) -> Option<String>;
}

impl MemberName for oxc::ast::ast::AssignmentTarget<'_> {
    fn to_member_name(&self) -> Option<String> {
        let member = self.as_member_expression()?;
        let object = name_of(member.object())?;
        Some(format!("{object}.{}", member.static_property_name()?))
    }
}

fn name_of(expression: &Expression<'_>) -> Option<String> {
    match expression {
        Expression::Identifier(identifier) => Some(identifier.name.to_string()),
        Expression::StaticMemberExpression(member) => Some(format!("{}.{}", name_of(&member.object)?, member.property.name)),
        _ => None,
    }
}

struct Visitor {
    findings: Findings,
    is_typescript: bool,
    /// Where a decorator says that it expects to be called the standard way.
    standard_decorators: Vec<u32>,
}

impl<'a> Visit<'a> for Visitor {
    fn visit_jsx_element(&mut self, element: &JSXElement<'a>) {
        self.findings.faults.push(Fault::new(element.span.start, "JSX is not supported in scripts"));
    }

    fn visit_jsx_fragment(&mut self, fragment: &JSXFragment<'a>) {
        self.findings.faults.push(Fault::new(fragment.span.start, "JSX is not supported in scripts"));
    }

    fn visit_decorator(&mut self, decorator: &Decorator<'a>) {
        if self.is_typescript {
            self.findings.needs_lowering = true;
        } else {
            let help = "write the script in TypeScript, whose experimental decorators are";
            self.findings.faults.push(Fault::new(decorator.span.start, "decorators are not supported in JavaScript").with_help(help));
        }
        walk::walk_decorator(self, decorator);
    }

    fn visit_ts_type_reference(&mut self, reference: &TSTypeReference<'a>) {
        if let TSTypeName::IdentifierReference(name) = &reference.type_name
            && name.name.ends_with("DecoratorContext")
        {
            self.standard_decorators.push(name.span.start);
        }
        walk::walk_ts_type_reference(self, reference);
    }

    fn visit_accessor_property(&mut self, accessor: &AccessorProperty<'a>) {
        if accessor.r#type == AccessorPropertyType::AccessorProperty {
            let help = "write a getter and a setter";
            self.findings.faults.push(Fault::new(accessor.span.start, "`accessor` fields are not supported").with_help(help));
        }
        walk::walk_accessor_property(self, accessor);
    }

    fn visit_import_expression(&mut self, import: &ImportExpression<'a>) {
        if let Expression::StringLiteral(source) = &import.source
            && source.value != MODULE
        {
            // It may never be reached, so it is not an error.
            let help = "`sandmill push` bundles what an `import` statement names, and not what a call does";
            self.findings.warnings.push(unknown_module(source).with_help(help));
        }
        walk::walk_import_expression(self, import);
    }

    fn visit_ts_external_module_reference(&mut self, reference: &TSExternalModuleReference<'a>) {
        self.findings.faults.push(
            Fault::new(reference.span.start, "`import … = require()` is CommonJS, which scripts cannot use").with_help(ES_MODULE_HELP),
        );
    }

    fn visit_ts_export_assignment(&mut self, export: &TSExportAssignment<'a>) {
        self.findings
            .faults
            .push(Fault::new(export.span.start, "`export =` is CommonJS, which scripts cannot use").with_help(ES_MODULE_HELP));
    }
}
