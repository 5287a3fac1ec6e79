//! Rewrites a component's outermost level: takes an export away, or puts the exports of a component of ours where imports were. What it holds
//! inside stays byte for byte; only indices move.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
};

use sandmill_model::build::BuildError;
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
    ComponentSectionId, RawSection,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{Chunk, ComponentAlias, ComponentExternalKind as Kind, Parser, Payload, SectionLimited};

type Failure = Error<Infallible>;

/// A component that provides what another one imports.
pub(super) struct Stub {
    pub(super) component: Vec<u8>,
    /// Interfaces of types that it imports itself.
    pub(super) types: HashSet<String>,
    /// Interfaces that it exports.
    pub(super) exports: HashSet<String>,
}

/// `component` without the export `name`.
pub(super) fn without_export(component: &[u8], name: &str) -> Result<Vec<u8>, BuildError> {
    Rewriter { dropped_export: Some(name), ..Rewriter::default() }.rewrite(component)
}

/// `component` with the stub inside it, which provides the interfaces that it exports.
pub(super) fn with_stub(component: &[u8], stub: &Stub) -> Result<Vec<u8>, BuildError> {
    Rewriter { stub: Some(stub), ..Rewriter::default() }.rewrite(component)
}

#[derive(Default)]
struct Rewriter<'a> {
    dropped_export: Option<&'a str>,
    stub: Option<&'a Stub>,
    /// Instances of types that the stub imports, by name.
    stub_types: HashMap<String, u32>,
    /// The stub's instance, once it is made.
    stub_instance: Option<u32>,
    /// New index by old index.
    instances: Indices,
}

#[derive(Default)]
struct Indices {
    new: Vec<u32>,
    count: u32,
}

impl Indices {
    fn keep(&mut self) {
        self.new.push(self.count);
        self.count += 1;
    }

    /// One that was not there before.
    fn add(&mut self) -> u32 {
        self.count += 1;
        self.count - 1
    }

    /// The item is no longer there; who means it means `new`.
    fn replace(&mut self, new: u32) {
        self.new.push(new);
    }

    /// An index beyond what was defined stays as wrong as it is; validation says so.
    fn get(&self, old: u32) -> u32 {
        self.new.get(old as usize).copied().unwrap_or(old)
    }
}

impl Rewriter<'_> {
    fn rewrite(mut self, data: &[u8]) -> Result<Vec<u8>, BuildError> {
        let failed = |what: String| BuildError::InvalidComponent(format!("the component could not be rewritten: {what}"));
        let rewritten = self.sections(data).map_err(|error| failed(error.to_string()))?;
        // Says so here if it came out wrong, not where it is used.
        let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&rewritten);
        valid.map_err(|error| failed(error.to_string()))?;
        Ok(rewritten)
    }

    fn sections(&mut self, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut component = Component::new();
        if let Some(stub) = self.stub {
            component.section(&RawSection { id: ComponentSectionId::Component as u8, data: &stub.component });
        }
        for_each_section(data, |payload| match payload {
            Payload::ComponentImportSection(reader) => self.imports(&mut component, reader.clone()),
            Payload::ComponentInstanceSection(reader) => {
                let mut section = ComponentInstanceSection::new();
                for instance in reader.clone() {
                    self.parse_component_instance(&mut section, instance?)?;
                    self.instances.keep();
                }
                component.section(&section);
                Ok(())
            }
            Payload::ComponentAliasSection(reader) => self.aliases(&mut component, reader.clone()),
            Payload::ComponentExportSection(reader) => self.exports(&mut component, reader.clone()),
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    component.section(&RawSection { id, data: &data[range] });
                }
                Ok(())
            }
        })?;
        Ok(component.finish())
    }

    fn imports(&mut self, component: &mut Component, reader: SectionLimited<'_, wasmparser::ComponentImport<'_>>) -> Result<(), Failure> {
        for import in reader {
            let import = import?;
            let (name, kind) = (import.name.name, import.ty.kind());
            if let Some(stub) = self.stub
                && stub.exports.contains(name)
            {
                let instance = self.stub_instance(component);
                let mut aliases = ComponentAliasSection::new();
                aliases.alias(Alias::InstanceExport { instance, kind: ComponentExportKind::Instance, name });
                component.section(&aliases);
                self.instances.keep();
                continue;
            }
            let mut section = ComponentImportSection::new();
            section.import(import.name, self.component_type_ref(import.ty)?);
            component.section(&section);
            if kind == Kind::Instance {
                if self.stub.is_some_and(|stub| stub.types.contains(name)) {
                    self.stub_types.insert(name.to_owned(), self.instances.count);
                }
                self.instances.keep();
            }
        }
        Ok(())
    }

    /// The stub is made where it is first needed: the types that it imports come before whatever is made of them.
    fn stub_instance(&mut self, component: &mut Component) -> u32 {
        if let Some(instance) = self.stub_instance {
            return instance;
        }
        let types = self.stub_types.iter().map(|(name, instance)| (name.as_str(), ComponentExportKind::Instance, *instance));
        let mut section = ComponentInstanceSection::new();
        section.instantiate(0, types);
        component.section(&section);
        *self.stub_instance.insert(self.instances.add())
    }

    fn aliases(&mut self, component: &mut Component, reader: SectionLimited<'_, ComponentAlias<'_>>) -> Result<(), Failure> {
        let mut section = ComponentAliasSection::new();
        for alias in reader {
            let alias = alias?;
            let is_instance = matches!(alias, ComponentAlias::InstanceExport { kind: Kind::Instance, .. });
            section.alias(self.component_alias(alias)?);
            if is_instance {
                self.instances.keep();
            }
        }
        component.section(&section);
        Ok(())
    }

    fn exports(&mut self, component: &mut Component, reader: SectionLimited<'_, wasmparser::ComponentExport<'_>>) -> Result<(), Failure> {
        let mut section = ComponentExportSection::new();
        for export in reader {
            let export = export?;
            let is_instance = export.kind == Kind::Instance;
            if self.dropped_export == Some(export.name.name) && is_instance {
                // An export is an item too.
                self.instances.replace(self.instances.get(export.index));
                continue;
            }
            self.parse_component_export(&mut section, export)?;
            if is_instance {
                self.instances.keep();
            }
        }
        if !section.is_empty() {
            component.section(&section);
        }
        Ok(())
    }
}

/// The sections of the outermost level.
fn for_each_section(data: &[u8], mut visit: impl FnMut(&Payload<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut parser, mut offset) = (Parser::new(0), 0);
    while offset < data.len() {
        let Chunk::Parsed { consumed, payload } = parser.parse(&data[offset..], true)? else { break };
        offset += consumed;
        if let Payload::ComponentSection { unchecked_range, .. } | Payload::ModuleSection { unchecked_range, .. } = &payload {
            offset = unchecked_range.end;
        }
        visit(&payload)?;
    }
    Ok(())
}

impl Reencode for Rewriter<'_> {
    type Error = Infallible;
}

impl ReencodeComponent for Rewriter<'_> {
    fn component_instance_index(&mut self, index: u32) -> u32 {
        self.instances.get(index)
    }

    /// The stub is the first of the components.
    fn component_index(&mut self, index: u32) -> u32 {
        index + u32::from(self.stub.is_some())
    }
}
