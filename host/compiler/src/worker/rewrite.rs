//! Rewrites a component's outermost level: takes an export away, or puts the exports of components of ours where imports were. What it holds
//! inside stays byte for byte; only indices move.

use std::{collections::HashMap, convert::Infallible};

use sandmill_model::build::BuildError;
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
    ComponentSectionId, RawSection,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{Chunk, ComponentAlias, ComponentExternalKind as Kind, Parser, Payload, SectionLimited};

type Failure = Error<Infallible>;

/// A component that provides an interface which another one imports. It may import what that imports before.
pub(super) struct Stub {
    pub(super) interface: String,
    pub(super) component: Vec<u8>,
}

/// `component` without the export `name`.
pub(super) fn without_export(component: &[u8], name: &str) -> Result<Vec<u8>, BuildError> {
    Rewriter { dropped_export: Some(name), ..Rewriter::default() }.rewrite(component)
}

/// `component` with the stubs inside it, which provide their interfaces.
pub(super) fn with_stubs(component: &[u8], stubs: &[Stub]) -> Result<Vec<u8>, BuildError> {
    Rewriter { stubs, ..Rewriter::default() }.rewrite(component)
}

#[derive(Default)]
struct Rewriter<'a> {
    dropped_export: Option<&'a str>,
    stubs: &'a [Stub],
    /// Instances that are imported, or that stubs export in their place, by name.
    imported: HashMap<String, u32>,
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
        for stub in self.stubs {
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
            match self.stubs.iter().position(|stub| stub.interface == name) {
                Some(number) => self.instantiate(component, number)?,
                None => {
                    let mut section = ComponentImportSection::new();
                    section.import(import.name, self.component_type_ref(import.ty)?);
                    component.section(&section);
                }
            }
            if kind == Kind::Instance {
                self.imported.insert(name.to_owned(), self.instances.count);
                self.instances.keep();
            }
        }
        Ok(())
    }

    /// Makes an instance of a stub, and what it exports the next instance.
    fn instantiate(&mut self, component: &mut Component, number: usize) -> Result<(), Failure> {
        let stub = &self.stubs[number];
        let mut wanted = Vec::new();
        for_each_section(&stub.component, |payload| {
            if let Payload::ComponentImportSection(reader) = payload {
                for import in reader.clone() {
                    wanted.push(import?.name.name.to_owned());
                }
            }
            Ok(())
        })?;
        // One that is missing is told by validation.
        let given = wanted.iter().filter_map(|name| Some((name.as_str(), ComponentExportKind::Instance, *self.imported.get(name)?)));
        let given: Vec<_> = given.collect();
        let mut section = ComponentInstanceSection::new();
        section.instantiate(u32::try_from(number).unwrap_or(u32::MAX), given);
        component.section(&section);
        let instance = self.instances.add();
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::InstanceExport { instance, kind: ComponentExportKind::Instance, name: &stub.interface });
        component.section(&aliases);
        Ok(())
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

    /// The stubs are the first of the components.
    fn component_index(&mut self, index: u32) -> u32 {
        index + u32::try_from(self.stubs.len()).unwrap_or(u32::MAX)
    }
}
