//! Rewrites a component's outermost level: takes an export away, or puts a component of ours where an import was. All that
//! it holds inside stays byte for byte; only indices of instances and components move.

use std::{collections::HashMap, convert::Infallible};

use sandmill_model::build::BuildError;
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
    ComponentSectionId, RawSection,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{
    Chunk, ComponentAlias, ComponentAliasSectionReader, ComponentExportSectionReader, ComponentExternalKind, ComponentImportSectionReader,
    ComponentInstanceSectionReader, ComponentOuterAliasKind, Parser, Payload,
};

type Failure = Error<Infallible>;

/// `component` without the export `name`.
pub(super) fn without_export(component: &[u8], name: &str) -> Result<Vec<u8>, BuildError> {
    Rewriter { dropped_export: Some(name), ..Rewriter::default() }.rewrite(component)
}

/// `component` with each import in `stubs` satisfied by the export of the same name of the component given for it.
pub(super) fn with_stubs(component: &[u8], stubs: HashMap<String, Vec<u8>>) -> Result<Vec<u8>, BuildError> {
    Rewriter { stubs, ..Rewriter::default() }.rewrite(component)
}

#[derive(Default)]
struct Rewriter<'a> {
    dropped_export: Option<&'a str>,
    stubs: HashMap<String, Vec<u8>>,
    /// New index by old index.
    instances: Vec<u32>,
    components: Vec<u32>,
    /// How many there are in the new component.
    instance_count: u32,
    component_count: u32,
}

impl Rewriter<'_> {
    fn rewrite(mut self, data: &[u8]) -> Result<Vec<u8>, BuildError> {
        let rewritten = self.sections(data).map_err(|error| BuildError::InvalidComponent(format!("the component could not be rewritten: {error}")))?;
        // Says so here if it came out wrong, not where it is used.
        let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&rewritten);
        valid.map_err(|error| BuildError::InvalidComponent(format!("the component could not be rewritten: {error}")))?;
        Ok(rewritten)
    }

    fn sections(&mut self, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut component = Component::new();
        let (mut parser, mut offset) = (Parser::new(0), 0);
        while offset < data.len() {
            let Chunk::Parsed { consumed, payload } = parser.parse(&data[offset..], true)? else { break };
            offset += consumed;
            match payload {
                Payload::ComponentImportSection(reader) => self.imports(&mut component, reader)?,
                Payload::ComponentInstanceSection(reader) => self.instances(&mut component, reader)?,
                Payload::ComponentAliasSection(reader) => self.aliases(&mut component, reader)?,
                Payload::ComponentExportSection(reader) => self.exports(&mut component, reader)?,
                payload => {
                    if matches!(payload, Payload::ComponentSection { .. }) {
                        self.keep(ComponentExternalKind::Component);
                    }
                    if let Some((id, range)) = payload.as_section() {
                        component.section(&RawSection { id, data: &data[range.clone()] });
                        // What is nested is skipped as a whole.
                        offset = offset.max(range.end);
                    }
                }
            }
        }
        Ok(component.finish())
    }

    /// Another item of the old component, kept in the new one.
    fn keep(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Instance => {
                self.instances.push(self.instance_count);
                self.instance_count += 1;
            }
            ComponentExternalKind::Component => {
                self.components.push(self.component_count);
                self.component_count += 1;
            }
            _ => {}
        }
    }

    fn imports(&mut self, component: &mut Component, reader: ComponentImportSectionReader<'_>) -> Result<(), Failure> {
        let mut kept = ComponentImportSection::new();
        for import in reader {
            let import = import?;
            let Some(stub) = self.stubs.remove(import.name.name) else {
                let ty = self.component_type_ref(import.ty)?;
                kept.import(import.name, ty);
                self.keep(import.ty.kind());
                continue;
            };
            if !kept.is_empty() {
                component.section(&std::mem::take(&mut kept));
            }
            self.put_stub(component, &stub, import.name.name);
        }
        if !kept.is_empty() {
            component.section(&kept);
        }
        Ok(())
    }

    fn put_stub(&mut self, component: &mut Component, stub: &[u8], name: &str) {
        component.section(&RawSection { id: ComponentSectionId::Component as u8, data: stub });
        let mut instances = ComponentInstanceSection::new();
        instances.instantiate(self.component_count, std::iter::empty::<(&str, ComponentExportKind, u32)>());
        component.section(&instances);
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::InstanceExport { instance: self.instance_count, kind: ComponentExportKind::Instance, name });
        component.section(&aliases);
        self.component_count += 1;
        self.instances.push(self.instance_count + 1);
        self.instance_count += 2;
    }

    fn instances(&mut self, component: &mut Component, reader: ComponentInstanceSectionReader<'_>) -> Result<(), Failure> {
        let mut section = ComponentInstanceSection::new();
        for instance in reader {
            self.parse_component_instance(&mut section, instance?)?;
            self.keep(ComponentExternalKind::Instance);
        }
        component.section(&section);
        Ok(())
    }

    fn aliases(&mut self, component: &mut Component, reader: ComponentAliasSectionReader<'_>) -> Result<(), Failure> {
        let mut section = ComponentAliasSection::new();
        for alias in reader {
            let alias = alias?;
            let kind = match &alias {
                ComponentAlias::InstanceExport { kind, .. } => Some(*kind),
                ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, .. } => Some(ComponentExternalKind::Component),
                _ => None,
            };
            section.alias(self.component_alias(alias)?);
            kind.into_iter().for_each(|kind| self.keep(kind));
        }
        component.section(&section);
        Ok(())
    }

    fn exports(&mut self, component: &mut Component, reader: ComponentExportSectionReader<'_>) -> Result<(), Failure> {
        let mut section = ComponentExportSection::new();
        for export in reader {
            let export = export?;
            if self.dropped_export == Some(export.name.name) && export.kind == ComponentExternalKind::Instance {
                // An export is an item too; whoever means it means what was exported.
                let exported = self.component_instance_index(export.index);
                self.instances.push(exported);
                continue;
            }
            let kind = export.kind;
            self.parse_component_export(&mut section, export)?;
            self.keep(kind);
        }
        if !section.is_empty() {
            component.section(&section);
        }
        Ok(())
    }
}

impl Reencode for Rewriter<'_> {
    type Error = Infallible;
}

impl ReencodeComponent for Rewriter<'_> {
    /// An index beyond what was defined stays as wrong as it is; validation says so.
    fn component_instance_index(&mut self, index: u32) -> u32 {
        self.instances.get(index as usize).copied().unwrap_or(index)
    }

    fn component_index(&mut self, index: u32) -> u32 {
        self.components.get(index as usize).copied().unwrap_or(index)
    }
}
