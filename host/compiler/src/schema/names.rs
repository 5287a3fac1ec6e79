//! Types by name: what a file declares, and what each name's schema is. A definition that holds others goes to `$defs` and
//! is referred to, so that circles end and nothing is written twice; a small one is written where it is used.

use std::collections::HashMap;

use oxc::{
    ast::ast::{
        Declaration, Expression, Program, Statement, TSEnumDeclaration, TSInterfaceDeclaration, TSNamespaceDeclaration,
        TSNamespaceDeclarationBody, TSType, TSTypeAliasDeclaration, TSTypeName, TSTypeParameterDeclaration, TSTypeParameterInstantiation,
    },
    span::GetSpan as _,
};

use super::{
    Inference,
    docs::Doc,
    json::{Json, Map},
    unions, values,
};

/// Named definitions inside each other. The depth of one is bounded apart from that.
const DEFINITIONS_DEPTH_MAX: usize = 128;

/// What a name stands for, and where its doc comment is attached.
#[derive(Clone)]
pub(super) enum Declared<'a> {
    Alias(&'a TSTypeAliasDeclaration<'a>, u32),
    /// Declared in several parts, perhaps.
    Interface(Vec<&'a TSInterfaceDeclaration<'a>>, u32),
    Enum(&'a TSEnumDeclaration<'a>, u32),
    Class(u32),
    /// `@typedef` of a doc comment.
    Typedef(Doc<'a>),
}

/// How far the schema of a name has come.
pub(super) enum Named {
    Open { is_referred_to: bool },
    Small(Json),
    Defined,
}

#[derive(Default)]
pub(super) struct Declarations<'a> {
    types: HashMap<String, Declared<'a>>,
    constants: HashMap<&'a str, &'a Expression<'a>>,
}

impl<'a> Declarations<'a> {
    pub(super) fn new(program: &'a Program<'a>) -> Self {
        let mut declarations = Self::default();
        declarations.add_all(&program.body, "");
        declarations
    }

    pub(super) fn get(&self, name: &str) -> Option<Declared<'a>> {
        self.types.get(name).cloned()
    }

    pub(super) fn enumeration(&self, name: &str) -> Option<&'a TSEnumDeclaration<'a>> {
        if let Some(Declared::Enum(declaration, _)) = self.types.get(name) { Some(declaration) } else { None }
    }

    pub(super) fn constant(&self, name: &str) -> Option<&'a Expression<'a>> {
        self.constants.get(name).copied()
    }

    pub(super) fn add_typedef(&mut self, name: &str, doc: Doc<'a>) {
        self.types.entry(name.to_owned()).or_insert(Declared::Typedef(doc));
    }

    fn add_all(&mut self, statements: &'a [Statement<'a>], prefix: &str) {
        for statement in statements {
            let offset = statement.span().start;
            if let Statement::ExportDeclaration(export) = statement {
                self.add(&export.declaration, (prefix, offset));
            } else if let Some(declaration) = statement.as_declaration() {
                self.add(declaration, (prefix, offset));
            }
        }
    }

    fn add(&mut self, declaration: &'a Declaration<'a>, (prefix, offset): (&str, u32)) {
        let name = |name: &str| format!("{prefix}{name}");
        match declaration {
            Declaration::TSTypeAliasDeclaration(alias) => {
                self.types.insert(name(&alias.id.name), Declared::Alias(alias, offset));
            }
            Declaration::TSInterfaceDeclaration(part) => match self.types.get_mut(&name(&part.id.name)) {
                Some(Declared::Interface(parts, _)) => parts.push(part),
                _ => {
                    self.types.insert(name(&part.id.name), Declared::Interface(vec![part], offset));
                }
            },
            Declaration::TSEnumDeclaration(declaration) => {
                self.types.insert(name(&declaration.id.name), Declared::Enum(declaration, offset));
            }
            Declaration::ClassDeclaration(class) => {
                if let Some(id) = &class.id {
                    self.types.entry(name(&id.name)).or_insert(Declared::Class(class.span.start));
                }
            }
            Declaration::VariableDeclaration(variables) if prefix.is_empty() => {
                for declarator in &variables.declarations {
                    if let (Some(id), Some(value)) = (declarator.id.get_identifier_name(), &declarator.init) {
                        self.constants.insert(id.as_str(), value);
                    }
                }
            }
            Declaration::TSNamespaceDeclaration(namespace) => self.add_namespace(namespace, prefix),
            _ => {}
        }
    }

    fn add_namespace(&mut self, namespace: &'a TSNamespaceDeclaration<'a>, prefix: &str) {
        let prefix = format!("{prefix}{}.", namespace.id.name);
        match &namespace.body {
            TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => self.add_namespace(inner, &prefix),
            TSNamespaceDeclarationBody::TSModuleBlock(block) => self.add_all(&block.body, &prefix),
        }
    }
}

impl<'a> Inference<'a> {
    pub(super) fn reference(&mut self, name: &'a TSTypeName<'a>, arguments: Option<&'a TSTypeParameterInstantiation<'a>>) -> Json {
        let offset = name.span().start;
        let Some(text) = dotted(name) else { return self.unknown(offset, "this type has no JSON form") };
        if let Some(schema) = self.scopes.last().and_then(|scope| scope.get(text.as_str())) {
            return schema.clone();
        }
        if text == "integer" {
            // A JSDoc type, or `type integer = number`, which says the same.
            return Json::of_type("integer");
        }
        match self.declarations.get(&text) {
            Some(declared) => match type_parameters(&declared) {
                Some(parameters) => self.expand(&text, &declared, (parameters, arguments)),
                None => self.named(&text, &declared, offset),
            },
            None => match self.member_of_enum(&text) {
                Some(schema) => schema,
                None => self.utility(&text, arguments, offset),
            },
        }
    }

    fn named(&mut self, name: &str, declared: &Declared<'a>, offset: u32) -> Json {
        match self.named.get_mut(name) {
            Some(Named::Open { is_referred_to }) => {
                *is_referred_to = true;
                return reference_to(name);
            }
            Some(Named::Defined) => return reference_to(name),
            Some(Named::Small(schema)) => return schema.clone(),
            None => {}
        }
        if self.named.values().filter(|named| matches!(named, Named::Open { .. })).count() >= DEFINITIONS_DEPTH_MAX {
            return self.unknown(offset, "types refer to each other too deeply for a schema");
        }
        self.named.insert(name.to_owned(), Named::Open { is_referred_to: false });
        let depth = std::mem::take(&mut self.depth);
        self.scopes.push(HashMap::new());
        let schema = self.define(name, declared);
        self.scopes.pop();
        self.depth = depth;
        let is_referred_to = matches!(self.named.get(name), Some(Named::Open { is_referred_to: true }));
        if is_referred_to || holds_schemas(&schema) {
            self.named.insert(name.to_owned(), Named::Defined);
            self.definitions.push((name.to_owned(), schema));
            return reference_to(name);
        }
        self.named.insert(name.to_owned(), Named::Small(schema.clone()));
        schema
    }

    fn define(&mut self, name: &str, declared: &Declared<'a>) -> Json {
        let (schema, doc) = match declared {
            Declared::Alias(alias, doc) => (self.schema(&alias.type_annotation), self.docs.at(*doc)),
            Declared::Interface(parts, doc) => (self.interface(parts).into_schema(), self.docs.at(*doc)),
            Declared::Enum(declaration, doc) => (self.enumeration(declaration), self.docs.at(*doc)),
            Declared::Class(offset) => {
                self.warn(
                    *offset,
                    format!("arguments are plain JSON, so no instance of the class `{name}` can arrive: any object is accepted"),
                );
                (Json::of_type("object"), None)
            }
            Declared::Typedef(doc) => return self.typedef(doc),
        };
        match doc.as_ref().and_then(Doc::description) {
            // Nothing may stand beside what refers to another definition that describes itself.
            Some(text) => schema.described(&text),
            None => schema,
        }
    }

    /// A generic declaration is written out for its arguments.
    fn expand(
        &mut self,
        name: &str,
        declared: &Declared<'a>,
        (parameters, arguments): (&'a TSTypeParameterDeclaration<'a>, Option<&'a TSTypeParameterInstantiation<'a>>),
    ) -> Json {
        let offset = parameters.span.start;
        if self.expanding.iter().any(|open| open == name) {
            return self.unknown(offset, "a generic type refers to itself");
        }
        self.enter_generic(Some(parameters), arguments);
        self.expanding.push(name.to_owned());
        let schema = match declared {
            Declared::Alias(alias, _) => self.schema(&alias.type_annotation),
            Declared::Interface(parts, _) => self.interface(parts).into_schema(),
            _ => self.unknown(offset, "this generic type is not followed"),
        };
        self.expanding.pop();
        self.scopes.pop();
        schema
    }

    /// Opens a scope in which type parameters stand for their arguments, else their defaults, else their constraints.
    pub(super) fn enter_generic(
        &mut self,
        parameters: Option<&'a TSTypeParameterDeclaration<'a>>,
        arguments: Option<&'a TSTypeParameterInstantiation<'a>>,
    ) {
        let mut scope = HashMap::new();
        for (index, parameter) in parameters.into_iter().flat_map(|parameters| &parameters.params).enumerate() {
            let given = arguments.and_then(|arguments| arguments.params.get(index));
            let schema = match given.or(parameter.default.as_ref()).or(parameter.constraint.as_ref()) {
                Some(ty) => self.schema(ty),
                None => self.unknown(parameter.span.start, "a type parameter can be anything"),
            };
            scope.insert(parameter.name.name.as_str(), schema);
        }
        self.scopes.push(scope);
    }

    fn enumeration(&mut self, declaration: &'a TSEnumDeclaration<'a>) -> Json {
        let members = values::members(declaration);
        let values: Option<Vec<_>> = members.into_iter().map(|(_, value)| value.map(super::types::constant)).collect();
        match values {
            Some(values) if !values.is_empty() => unions::union(values, &[]),
            _ => self.unknown(declaration.span.start, "the values of this enum are not written out"),
        }
    }

    /// `Color.Red` as a type.
    fn member_of_enum(&mut self, text: &str) -> Option<Json> {
        let (name, member) = text.rsplit_once('.')?;
        let declaration = self.declarations.enumeration(name)?;
        let (_, value) = values::members(declaration).into_iter().find(|(known, _)| known == member)?;
        value.map(super::types::constant)
    }
}

fn type_parameters<'a>(declared: &Declared<'a>) -> Option<&'a TSTypeParameterDeclaration<'a>> {
    match declared {
        Declared::Alias(alias, _) => alias.type_parameters.as_deref(),
        Declared::Interface(parts, _) => parts.first().and_then(|part| part.type_parameters.as_deref()),
        _ => None,
    }
}

/// The type that an alias without parameters stands for.
pub(super) fn aliased<'a>(declared: &Declared<'a>) -> Option<&'a TSType<'a>> {
    match declared {
        Declared::Alias(alias, _) if alias.type_parameters.is_none() => Some(&alias.type_annotation),
        _ => None,
    }
}

/// `A.B.C`; none for `this`.
pub(super) fn dotted(name: &TSTypeName<'_>) -> Option<String> {
    match name {
        TSTypeName::IdentifierReference(identifier) => Some(identifier.name.to_string()),
        TSTypeName::QualifiedName(qualified) => Some(format!("{}.{}", dotted(&qualified.left)?, qualified.right.name)),
        TSTypeName::ThisExpression(_) => None,
    }
}

fn holds_schemas(schema: &Json) -> bool {
    const KEYWORDS: [&str; 7] = ["properties", "items", "prefixItems", "additionalProperties", "oneOf", "anyOf", "allOf"];
    schema.as_object().is_some_and(|map: &Map| KEYWORDS.iter().any(|keyword| map.get(keyword).is_some()))
}

pub(super) fn reference_to(name: &str) -> Json {
    Json::any().with("$ref", pointer_to(name))
}

/// A fragment may hold ASCII only.
pub(super) fn pointer_to(name: &str) -> String {
    let encoded: String =
        name.bytes().map(|byte| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect();
    format!("#/$defs/{encoded}")
}
