//! Types written in doc comments, which is how JavaScript says them. They are parsed as TypeScript, which nearly all are.

use oxc::{
    ast::ast::{Statement, TSType},
    parser::Parser,
    span::SourceType,
};

use super::{
    Inference,
    docs::{Doc, Tag},
    json::Json,
    objects::{Property, Shape},
    types::array_of,
};
use crate::script::nesting;

impl<'a> Inference<'a> {
    pub(super) fn declare_typedefs(&mut self) {
        for doc in self.docs.typedefs() {
            if let Some(name) = doc.typedef.as_ref().map(|tag| tag.name.clone()) {
                self.declarations.add_typedef(&name, doc);
            }
        }
    }

    /// Schema of a documented parameter, and whether `undefined` belongs to it.
    pub(super) fn documented_type(&mut self, tag: &Tag, doc: Option<&Doc<'a>>) -> (Json, bool) {
        let parts = doc.map(|doc| doc.parts_of(&tag.name)).unwrap_or_default();
        let offset = doc.map_or(0, |doc| doc.offset);
        if !parts.is_empty() {
            let object = self.documented_object(&parts, offset);
            let is_array = tag.ty.as_deref().is_some_and(|ty| ty.trim_end_matches('=').ends_with("[]"));
            return (if is_array { array_of(object) } else { object }, false);
        }
        match tag.ty.as_deref().and_then(|text| self.parse_type(text)) {
            Some(ty) => self.optional_schema(ty),
            None => (self.unknown(offset, &format!("the documented type of `{}` is not understood", tag.name)), false),
        }
    }

    /// `@typedef`, by its own type or by its `@property` tags.
    pub(super) fn typedef(&mut self, doc: &Doc<'a>) -> Json {
        let schema = if doc.properties.is_empty() {
            let text = doc.typedef.as_ref().and_then(|tag| tag.ty.as_deref());
            match text.and_then(|text| self.parse_type(text)) {
                Some(ty) => self.schema(ty),
                None => self.unknown(doc.offset, "this documented type is not understood"),
            }
        } else {
            self.documented_object(&doc.properties, doc.offset)
        };
        match doc.description() {
            Some(text) => schema.described(&text),
            None => schema,
        }
    }

    fn documented_object(&mut self, parts: &[Tag], offset: u32) -> Json {
        let mut shape = Shape::default();
        for part in parts {
            let (mut schema, allows_undefined) = match part.ty.as_deref().map(|text| self.parse_type(text)) {
                Some(Some(ty)) => self.optional_schema(ty),
                Some(None) => (self.unknown(offset, &format!("the documented type of `{}` is not understood", part.name)), false),
                None => (Json::any(), false),
            };
            if let Some(text) = part.text() {
                schema = schema.described(&text);
            }
            if let Some(default) = part.default() {
                schema = schema.with("default", default);
            }
            shape.put(Property { name: part.name.clone(), schema, is_optional: part.is_optional() || allows_undefined });
        }
        shape.into_schema()
    }

    pub(super) fn parse_type(&self, text: &str) -> Option<&'a TSType<'a>> {
        let source = self.types.alloc_str(&format!("type T = {};", normalised(text)));
        nesting::check(source).ok()?;
        let parsed = Parser::new(self.types, source, SourceType::ts()).parse();
        if parsed.panicked || !parsed.diagnostics.is_empty() {
            return None;
        }
        let program = &*self.types.alloc(parsed.program);
        match program.body.as_slice() {
            [Statement::TSTypeAliasDeclaration(alias)] => Some(&alias.type_annotation),
            _ => None,
        }
    }
}

/// What JSDoc writes differently from TypeScript.
fn normalised(text: &str) -> String {
    let text = text.trim().trim_end_matches('=').replace(".<", "<");
    if text == "*" {
        return "any".to_owned();
    }
    match (text.strip_prefix('?'), text.strip_prefix('!')) {
        (Some(rest), _) => format!("({rest}) | null"),
        (_, Some(rest)) => rest.to_owned(),
        _ => text,
    }
}
