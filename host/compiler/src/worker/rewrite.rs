//! Rewrites a component's outermost level: takes an export away, or puts the exports of components of ours where imports were. What it holds
//! inside stays byte for byte; only indices move.

use std::{collections::HashMap, convert::Infallible};

use sandmill_model::build::BuildError;
use wasm_encoder::{
    Alias, CanonicalFunctionSection, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection,
    ComponentInstanceSection, ComponentSectionId, ExportKind, InstanceSection, ModuleArg, RawSection,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{
    CanonicalFunction, Chunk, ComponentAlias, ComponentExternalKind as Kind, ComponentInstance, Parser, Payload, SectionLimited,
};

type Failure = Error<Infallible>;

/// What stands in for imports.
pub(super) struct Stubs {
    /// In the order of the imports.
    pub(super) interfaces: Vec<Stub>,
    /// A core module without imports, with what stands in for functions.
    pub(super) module: Vec<u8>,
    /// Name of its export by the names of the imported interface and of its function.
    pub(super) names: HashMap<(String, String), String>,
}

/// A component that exports an interface which another one imports. It may import what that imports before.
pub(super) struct Stub {
    pub(super) interface: String,
    pub(super) component: Vec<u8>,
}

/// `component` without the export `name`.
pub(super) fn without_export(component: &[u8], name: &str) -> Result<Vec<u8>, BuildError> {
    Rewriter { dropped_export: Some(name), ..Rewriter::default() }.rewrite(component)
}

/// `component` with the stubs inside it, in the place of the imports.
pub(super) fn with_stubs(component: &[u8], stubs: &Stubs) -> Result<Vec<u8>, BuildError> {
    Rewriter { stubs: Some(stubs), ..Rewriter::default() }.rewrite(component)
}

#[derive(Default)]
struct Rewriter<'a> {
    dropped_export: Option<&'a str>,
    stubs: Option<&'a Stubs>,
    /// Instances that are imported, or that stubs export in their place, by name.
    imported: HashMap<String, u32>,
    /// Those in the place of imports, with their names, by old index.
    stubbed_instances: HashMap<u32, String>,
    /// Functions of them, with the names of what replaces them.
    stubbed_functions: HashMap<u32, String>,
    /// New index by old index.
    instances: Indices,
    functions: Indices,
    /// What cannot be rewritten.
    obstacle: Option<String>,
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

    fn next_old(&self) -> u32 {
        u32::try_from(self.new.len()).unwrap_or(u32::MAX)
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
        if let Some(obstacle) = self.obstacle {
            return Err(failed(obstacle));
        }
        // Says so here if it came out wrong, not where it is used.
        let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&rewritten);
        valid.map_err(|error| failed(error.to_string()))?;
        Ok(rewritten)
    }

    fn sections(&mut self, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut component = Component::new();
        if let Some(stubs) = self.stubs {
            component.section(&RawSection { id: ComponentSectionId::CoreModule as u8, data: &stubs.module });
            let mut instances = InstanceSection::new();
            instances.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
            component.section(&instances);
            for stub in &stubs.interfaces {
                component.section(&RawSection { id: ComponentSectionId::Component as u8, data: &stub.component });
            }
        }
        for_each_section(data, |payload| match payload {
            Payload::ComponentImportSection(reader) => self.imports(&mut component, reader.clone()),
            Payload::ComponentInstanceSection(reader) => self.component_instances(&mut component, reader.clone()),
            Payload::ComponentCanonicalSection(reader) => self.canonicals(&mut component, reader.clone()),
            Payload::InstanceSection(reader) => {
                let mut section = InstanceSection::new();
                self.parse_instance_section(&mut section, reader.clone())?;
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
            let stub = self.stubs.and_then(|stubs| stubs.interfaces.iter().position(|stub| stub.interface == name));
            match stub {
                Some(number) => {
                    self.instantiate(component, number)?;
                    self.stubbed_instances.insert(self.instances.next_old(), name.to_owned());
                }
                None => {
                    let mut section = ComponentImportSection::new();
                    section.import(import.name, self.component_type_ref(import.ty)?);
                    component.section(&section);
                }
            }
            if kind == Kind::Instance {
                self.imported.insert(name.to_owned(), self.instances.count);
            }
            self.keep(kind);
        }
        Ok(())
    }

    /// Makes an instance of a stub, and what it exports the next instance.
    fn instantiate(&mut self, component: &mut Component, number: usize) -> Result<(), Failure> {
        let Some(stub) = self.stubs.and_then(|stubs| stubs.interfaces.get(number)) else { return Ok(()) };
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

    /// Counts another item, which stays.
    fn keep(&mut self, kind: Kind) {
        match kind {
            Kind::Instance => self.instances.keep(),
            Kind::Func => self.functions.keep(),
            _ => {}
        }
    }

    fn component_instances(&mut self, component: &mut Component, reader: SectionLimited<'_, ComponentInstance<'_>>) -> Result<(), Failure> {
        let mut section = ComponentInstanceSection::new();
        for instance in reader {
            let instance = instance?;
            match &instance {
                ComponentInstance::Instantiate { args, .. } => {
                    args.iter().for_each(|argument| self.refuse_stubbed(argument.kind, argument.index))
                }
                ComponentInstance::FromExports(exports) => exports.iter().for_each(|export| self.refuse_stubbed(export.kind, export.index)),
            }
            self.parse_component_instance(&mut section, instance)?;
            self.keep(Kind::Instance);
        }
        component.section(&section);
        Ok(())
    }

    /// Replaced functions are core functions: only the component's own core modules can call them.
    fn refuse_stubbed(&mut self, kind: Kind, index: u32) {
        let name = match kind {
            Kind::Instance => self.stubbed_instances.get(&index),
            Kind::Func => self.stubbed_functions.get(&index),
            _ => None,
        };
        if let Some(name) = name {
            self.obstacle = Some(format!("`{name}` is used by a component inside it"));
        }
    }

    fn aliases(&mut self, component: &mut Component, reader: SectionLimited<'_, ComponentAlias<'_>>) -> Result<(), Failure> {
        let mut section = ComponentAliasSection::new();
        for alias in reader {
            let alias = alias?;
            let kind = match &alias {
                ComponentAlias::InstanceExport { kind: Kind::Func, instance_index, name } => {
                    if let Some(replacement) = self.replacement(*instance_index, name) {
                        self.stubbed_functions.insert(self.functions.next_old(), replacement);
                        self.functions.replace(u32::MAX);
                        continue;
                    }
                    Some(Kind::Func)
                }
                ComponentAlias::InstanceExport { kind, .. } => Some(*kind),
                _ => None,
            };
            section.alias(self.component_alias(alias)?);
            kind.into_iter().for_each(|kind| self.keep(kind));
        }
        if !section.is_empty() {
            component.section(&section);
        }
        Ok(())
    }

    fn replacement(&self, instance: u32, function: &str) -> Option<String> {
        let interface = self.stubbed_instances.get(&instance)?;
        self.stubs?.names.get(&(interface.clone(), function.to_owned())).cloned()
    }

    fn canonicals(&mut self, component: &mut Component, reader: SectionLimited<'_, CanonicalFunction>) -> Result<(), Failure> {
        let mut section = CanonicalFunctionSection::new();
        for function in reader {
            let function = function?;
            if let CanonicalFunction::Lower { func_index, .. } = &function
                && let Some(name) = self.stubbed_functions.get(func_index)
            {
                if !section.is_empty() {
                    component.section(&std::mem::take(&mut section));
                }
                // An alias adds a core function, as the lowering would have.
                let mut aliases = ComponentAliasSection::new();
                aliases.alias(Alias::CoreInstanceExport { instance: 0, kind: ExportKind::Func, name });
                component.section(&aliases);
                continue;
            }
            if matches!(function, CanonicalFunction::Lift { .. }) {
                self.keep(Kind::Func);
            }
            self.parse_component_canonical(&mut section, function)?;
        }
        if !section.is_empty() {
            component.section(&section);
        }
        Ok(())
    }

    fn exports(&mut self, component: &mut Component, reader: SectionLimited<'_, wasmparser::ComponentExport<'_>>) -> Result<(), Failure> {
        let mut section = ComponentExportSection::new();
        for export in reader {
            let export = export?;
            if self.dropped_export == Some(export.name.name) && export.kind == Kind::Instance {
                // An export is an item too.
                self.instances.replace(self.instances.get(export.index));
                continue;
            }
            let kind = export.kind;
            self.refuse_stubbed(kind, export.index);
            self.parse_component_export(&mut section, export)?;
            self.keep(kind);
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

    fn component_func_index(&mut self, index: u32) -> u32 {
        self.functions.get(index)
    }

    /// The stubs, the module of what stands in for functions and its instance are the first of their kinds.
    fn component_index(&mut self, index: u32) -> u32 {
        index + self.stubs.map_or(0, |stubs| u32::try_from(stubs.interfaces.len()).unwrap_or(u32::MAX))
    }

    fn module_index(&mut self, index: u32) -> u32 {
        index + u32::from(self.stubs.is_some())
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        index + u32::from(self.stubs.is_some())
    }
}
