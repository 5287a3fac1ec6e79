//! Parameters of `main` to a JSON Schema 2020-12 of its arguments, from TypeScript types, JSDoc and default values.
//!
//! What JSON has no word for is said the way it arrives: `Date` is a string in the format date-time, of which the module makes
//! a `Date` if it is a parameter of its own; `Uint8Array` is a string of base64, `bigint` a string of digits. What cannot be known accepts anything and is warned about.

pub(crate) mod check;
mod docs;
mod jsdoc;
mod json;
mod names;
mod objects;
mod types;
mod unions;
mod utilities;
mod values;

use std::collections::HashMap;

use oxc::{
    allocator::Allocator,
    ast::ast::{FormalParameter, Program},
    span::GetSpan as _,
};
use sandmill_model::Language;

use crate::{
    limits::{SCHEMA_DEPTH_MAX, SCHEMA_NODES_MAX},
    script::{Fault, Main},
};
use docs::{Doc, Docs};
pub(crate) use json::Json;
use json::Map;
use names::{Declarations, Named};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

pub(crate) struct Inferred {
    pub(crate) schema: Json,
    pub(crate) warnings: Vec<Fault>,
    pub(crate) faults: Vec<Fault>,
    /// Parameters that are nothing but a `Date`, which the module has to make of the string that arrives.
    pub(crate) dates: Vec<String>,
}

/// `types` holds what is parsed out of comments.
pub(crate) fn infer<'a>(types: &'a Allocator, program: &'a Program<'a>, main: &Main<'a>, language: Language) -> Inferred {
    let mut inference = Inference::new(types, program, language);
    let type_parameters = main.type_parameters;
    inference.enter_generic(type_parameters, None);
    let schema = inference.arguments(main);
    let mut faults = Vec::new();
    if inference.nodes > SCHEMA_NODES_MAX {
        let help = "give some parameters the type `unknown`";
        faults.push(Fault::new(main.doc_offset, "the types of main's parameters are too large for a schema").with_help(help));
    }
    Inferred { schema, warnings: inference.warnings, faults, dates: inference.dates }
}

/// State of the inference for one module.
struct Inference<'a> {
    types: &'a Allocator,
    docs: Docs<'a>,
    is_typescript: bool,
    declarations: Declarations<'a>,
    /// What is known of each name by now.
    named: HashMap<String, Named>,
    /// `$defs` in the order of their first use.
    definitions: Vec<(String, Json)>,
    /// Type parameters in scope, innermost last, and what they stand for.
    scopes: Vec<HashMap<&'a str, Json>>,
    /// Generic declarations being expanded: a circle of them has no end.
    expanding: Vec<String>,
    depth: usize,
    nodes: usize,
    warnings: Vec<Fault>,
    dates: Vec<String>,
    /// Whether the type at hand is that of a parameter which is converted.
    is_converted: bool,
}

impl<'a> Inference<'a> {
    fn new(types: &'a Allocator, program: &'a Program<'a>, language: Language) -> Self {
        let docs = Docs::new(program);
        let mut inference = Self {
            types,
            docs,
            is_typescript: language == Language::TypeScript,
            declarations: Declarations::new(program),
            named: HashMap::new(),
            definitions: Vec::new(),
            scopes: Vec::new(),
            expanding: Vec::new(),
            depth: 0,
            nodes: 0,
            warnings: Vec::new(),
            dates: Vec::new(),
            is_converted: false,
        };
        inference.declare_typedefs();
        inference
    }

    fn arguments(&mut self, main: &Main<'a>) -> Json {
        let doc = self.docs.at(main.doc_offset);
        let mut root = Map::new().with("$schema", DIALECT);
        if let Some(text) = doc.as_ref().and_then(Doc::description) {
            root.set("description", text);
        }
        root.set("type", "object");
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for parameter in &main.parameters.items {
            let Some(name) = parameter.pattern.get_identifier_name() else { continue };
            let (schema, is_required) = self.parameter(parameter, name.as_str(), doc.as_ref());
            if is_required {
                required.push(Json::from(name.as_str()));
            }
            properties.set(name.as_str(), schema);
        }
        root.set("properties", properties);
        if !required.is_empty() {
            root.set("required", required);
        }
        if !self.definitions.is_empty() {
            root.set("$defs", self.definitions.drain(..).collect::<Map>());
        }
        Json::Object(root)
    }

    /// Schema of one parameter, and whether it must be given.
    fn parameter(&mut self, parameter: &'a FormalParameter<'a>, name: &str, main_doc: Option<&Doc<'a>>) -> (Json, bool) {
        let own_doc = self.docs.at(parameter.span().start);
        let tag = main_doc.and_then(|doc| doc.parameter(name));
        let default = parameter.initializer.as_deref().and_then(|value| self.value_of(value));
        let annotation = parameter.type_annotation.as_deref();
        let from_doc = tag.filter(|tag| !self.is_typescript || annotation.is_none() || tag.names_integer());
        let documented = from_doc.and_then(|tag| tag.ty.as_deref());
        self.is_converted = match (documented, annotation) {
            (Some(text), _) => self.parse_type(text).is_some_and(|ty| self.is_date(ty)),
            (None, Some(annotation)) => self.is_date(&annotation.type_annotation),
            (None, None) => false,
        };
        if self.is_converted {
            self.dates.push(name.to_owned());
        }
        let (mut schema, allows_undefined) = match (from_doc, annotation) {
            (Some(tag), _) if tag.has_type() => self.documented_type(tag, main_doc),
            (_, Some(annotation)) => self.optional_schema(&annotation.type_annotation),
            _ => (default.as_ref().map_or_else(Json::any, values::widened), false),
        };
        self.is_converted = false;
        if let Some(text) = tag.and_then(|tag| tag.text()).or_else(|| own_doc.as_ref().and_then(Doc::description)) {
            schema = schema.described(&text);
        }
        if let Some(doc) = &own_doc {
            schema = doc.refine(schema);
        }
        let documented_default = tag.and_then(|tag| tag.default());
        let is_optional =
            parameter.optional || parameter.initializer.is_some() || allows_undefined || tag.is_some_and(|tag| tag.is_optional());
        if let Some(default) = default.or(documented_default) {
            schema = schema.with("default", default);
        }
        (schema, !is_optional)
    }

    fn warn(&mut self, offset: u32, message: impl Into<String>) {
        self.warnings.push(Fault::new(offset, message));
    }

    /// Anything goes, and the author is told why.
    fn unknown(&mut self, offset: u32, what: &str) -> Json {
        self.warn(offset, format!("{what}, so any value is accepted here"));
        Json::any()
    }

    /// Guards one step down, and counts it.
    fn descend(&mut self, offset: u32, step: impl FnOnce(&mut Self) -> Json) -> Json {
        self.nodes += 1;
        if self.nodes > SCHEMA_NODES_MAX {
            return Json::any();
        }
        if self.depth >= SCHEMA_DEPTH_MAX / 2 {
            return self.unknown(offset, "this type is nested too deeply for a schema");
        }
        self.depth += 1;
        let schema = step(self);
        self.depth -= 1;
        schema
    }
}
