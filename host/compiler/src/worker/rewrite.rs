//! Rewrites a component's outermost level: takes an export away, or puts core functions of ours where imported functions
//! were. What it holds inside stays byte for byte; only indices move.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
};

use sandmill_model::build::BuildError;
use wasm_encoder::{
    Alias, CanonicalFunctionSection, Component, ComponentAliasSection, ComponentExportSection, ComponentImportSection,
    ComponentInstanceSection, ComponentSectionId, ComponentTypeSection, ExportKind, InstanceSection, ModuleArg, RawSection,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{
    CanonicalFunction, Chunk, ComponentAlias, ComponentExternalKind as Kind, ComponentInstance, ComponentOuterAliasKind, ComponentType,
    ComponentTypeRef, InstanceTypeDeclaration, Parser, Payload, SectionLimited,
};

type Failure = Error<Infallible>;

/// Core functions that stand in for imported ones.
pub(super) struct Stubs {
    /// A core module without imports.
    pub(super) module: Vec<u8>,
    /// Name of its export by the names of the imported interface and of its function.
    pub(super) names: HashMap<(String, String), String>,
}

/// `component` without the export `name`.
pub(super) fn without_export(component: &[u8], name: &str) -> Result<Vec<u8>, BuildError> {
    Rewriter { dropped_export: Some(name), ..Rewriter::default() }.rewrite(component)
}

/// `component` with functions of imported interfaces replaced; of those interfaces only the types are still imported, which
/// ask nothing of a host.
pub(super) fn with_stubs(component: &[u8], stubs: &Stubs) -> Result<Vec<u8>, BuildError> {
    Rewriter { stubs: Some(stubs), ..Rewriter::default() }.rewrite(component)
}

#[derive(Default)]
struct Rewriter<'a> {
    dropped_export: Option<&'a str>,
    stubs: Option<&'a Stubs>,
    /// Types of interfaces whose functions are replaced.
    stubbed_types: HashSet<u32>,
    /// Instances of them, with their names.
    stubbed_instances: HashMap<u32, String>,
    /// Functions of them, with the names of what replaces them.
    stubbed_functions: HashMap<u32, String>,
    /// New index by old index.
    instances: Indices,
    functions: Indices,
    type_count: u32,
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
        self.find_stubbed_types(data).map_err(|error| failed(error.to_string()))?;
        let rewritten = self.sections(data).map_err(|error| failed(error.to_string()))?;
        if let Some(obstacle) = self.obstacle {
            return Err(failed(obstacle));
        }
        // Says so here if it came out wrong, not where it is used.
        let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&rewritten);
        valid.map_err(|error| failed(error.to_string()))?;
        Ok(rewritten)
    }

    fn is_stubbed(&self, interface: &str) -> bool {
        self.stubs.is_some_and(|stubs| stubs.names.keys().any(|(name, _)| name == interface))
    }

    fn find_stubbed_types(&mut self, data: &[u8]) -> Result<(), Failure> {
        for_each_section(data, |payload| {
            let Payload::ComponentImportSection(reader) = payload else { return Ok(()) };
            for import in reader.clone() {
                let import = import?;
                if let ComponentTypeRef::Instance(ty) = import.ty
                    && self.is_stubbed(import.name.name)
                {
                    self.stubbed_types.insert(ty);
                }
            }
            Ok(())
        })
    }

    fn sections(&mut self, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut component = Component::new();
        if let Some(stubs) = self.stubs {
            component.section(&RawSection { id: ComponentSectionId::CoreModule as u8, data: &stubs.module });
            let mut instances = InstanceSection::new();
            instances.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
            component.section(&instances);
        }
        for_each_section(data, |payload| match payload {
            Payload::ComponentTypeSection(reader) => self.types(&mut component, reader.clone()),
            Payload::ComponentImportSection(reader) => self.imports(&mut component, reader.clone()),
            Payload::ComponentInstanceSection(reader) => self.instances(&mut component, reader.clone()),
            Payload::ComponentAliasSection(reader) => self.aliases(&mut component, reader.clone()),
            Payload::ComponentCanonicalSection(reader) => self.canonicals(&mut component, reader.clone()),
            Payload::ComponentExportSection(reader) => self.exports(&mut component, reader.clone()),
            Payload::InstanceSection(reader) => {
                let mut section = InstanceSection::new();
                self.parse_instance_section(&mut section, reader.clone())?;
                component.section(&section);
                Ok(())
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    component.section(&RawSection { id, data: &data[range] });
                }
                Ok(())
            }
        })?;
        Ok(component.finish())
    }

    /// Counts another item, which stays.
    fn keep(&mut self, kind: Kind) {
        match kind {
            Kind::Instance => self.instances.keep(),
            Kind::Func => self.functions.keep(),
            Kind::Type => self.type_count += 1,
            _ => {}
        }
    }

    fn types(&mut self, component: &mut Component, reader: SectionLimited<'_, ComponentType<'_>>) -> Result<(), Failure> {
        let mut section = ComponentTypeSection::new();
        for ty in reader {
            match ty? {
                ComponentType::Instance(declarations) if self.stubbed_types.contains(&self.type_count) => {
                    let is_function = |declaration: &InstanceTypeDeclaration<'_>| {
                        matches!(declaration, InstanceTypeDeclaration::Export { ty: ComponentTypeRef::Func(_), .. })
                    };
                    let kept = declarations.into_vec().into_iter().filter(|declaration| !is_function(declaration)).collect();
                    let ty = self.component_instance_type(kept)?;
                    section.ty().instance(&ty);
                }
                other => self.parse_component_type(section.ty(), other)?,
            }
            self.keep(Kind::Type);
        }
        component.section(&section);
        Ok(())
    }

    fn imports(&mut self, component: &mut Component, reader: SectionLimited<'_, wasmparser::ComponentImport<'_>>) -> Result<(), Failure> {
        let mut section = ComponentImportSection::new();
        for import in reader {
            let import = import?;
            if self.is_stubbed(import.name.name) {
                self.stubbed_instances.insert(self.instances.next_old(), import.name.name.to_owned());
            }
            let ty = self.component_type_ref(import.ty)?;
            section.import(import.name, ty);
            self.keep(import.ty.kind());
        }
        component.section(&section);
        Ok(())
    }

    fn instances(&mut self, component: &mut Component, reader: SectionLimited<'_, ComponentInstance<'_>>) -> Result<(), Failure> {
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
                ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => Some(Kind::Type),
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

    /// The module of stubs and its instance are the first of their kinds.
    fn module_index(&mut self, index: u32) -> u32 {
        index + u32::from(self.stubs.is_some())
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        index + u32::from(self.stubs.is_some())
    }
}
