//! A program: compiled code in memory, linked, ready to be instantiated.

use sandmill_model::{Digest, WorkspaceId, version::ComponentModel};
use wasmtime::component::{Component, InstancePre, Linker};

use crate::{cache::CodeKey, engine::instance_weight, error::Error, exports::Exports, function::PlainFunction, guest::Guest};

/// Weight of a component whose needs cannot be told before it is instantiated.
const UNKNOWN_WEIGHT: u32 = 8;

/// What a program is installed under: whose it is, the digest of what it was compiled from, and what it was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramKey {
    /// None: the host's own, which all share. Two workspaces that have the same bytes have two programs: neither learns of the other by how
    /// long something takes (ADR 19).
    pub workspace: Option<WorkspaceId>,
    pub digest: Digest,
    pub model: ComponentModel,
}

impl From<Digest> for ProgramKey {
    fn from(digest: Digest) -> Self {
        Self { workspace: None, digest, model: ComponentModel::Sync }
    }
}

impl ProgramKey {
    /// What stands for owner and bytes in the cache on disk.
    pub(crate) fn code(&self) -> CodeKey {
        let digest = match self.workspace {
            None => self.digest,
            Some(workspace) => Digest::of_parts(&[b"program of a workspace", workspace.0.as_bytes(), self.digest.as_bytes()]),
        };
        CodeKey { owner: self.workspace, digest }
    }
}

pub struct Program<H: 'static> {
    key: ProgramKey,
    pub(crate) pre: InstancePre<Guest<H>>,
    pub(crate) exports: Exports,
    /// Instances' worth of the pool that it takes.
    pub(crate) weight: u32,
}

impl<H: 'static> Program<H> {
    pub(crate) fn link(key: ProgramKey, component: &Component, linker: &Linker<Guest<H>>) -> Result<Self, Error> {
        let pre = linker.instantiate_pre(component).map_err(|_| Error::Unlinkable(unlinkable(component, linker)))?;
        let exports = Exports::of(&pre)?;
        if component.component_type().exports(component.engine()).len() == 0 {
            return Err(Error::NotAScript("the component exports nothing that could be called".to_owned()));
        }
        let weight = component.resources_required().map_or(UNKNOWN_WEIGHT, |needs| instance_weight(needs.num_memories, needs.num_tables));
        // Else the first run would pay for it.
        component.initialize_copy_on_write_image().map_err(|error| Error::Incompatible(format!("{error:#}")))?;
        Ok(Self { key, pre, exports, weight })
    }

    /// What it was installed under.
    pub fn key(&self) -> &ProgramKey {
        &self.key
    }

    /// Its plain function of this name; it is called in instances of this program only.
    ///
    /// # Errors
    /// If there is none, or none that can be called with JSON.
    pub fn function(&self, name: &str) -> Result<PlainFunction, Error> {
        let component = self.pre.component();
        PlainFunction::of(component.engine(), component, Some(name)).map_err(|none| Error::NotAScript(none.to_string()))
    }

    /// Whether it takes events.
    pub fn has_preprocessor(&self) -> bool {
        self.exports.preprocess.is_some()
    }

    /// Whether it describes its own arguments.
    pub fn has_schema(&self) -> bool {
        self.exports.describe.is_some()
    }

    /// Whether it is a language runtime.
    pub fn has_loader(&self) -> bool {
        self.exports.load.is_some()
    }
}

/// Imports of `component` that `linker` cannot provide, each with what is missing of it.
///
/// The engine reports the first one only. So each that it reports is replaced by a stub, and it is asked again.
pub fn unlinkable<T: 'static>(component: &Component, linker: &Linker<T>) -> Vec<String> {
    let mut linker = linker.clone();
    linker.allow_shadowing(true);
    let engine = linker.engine().clone();
    let ty = component.component_type();
    let names: Vec<String> = ty.imports(&engine).map(|(name, _)| name.to_owned()).collect();
    let mut found = Vec::new();
    let mut stubbed = Vec::new();
    while let Err(error) = linker.instantiate_pre(component) {
        let outer = error.to_string();
        let Some(name) = names.iter().find(|name| outer.contains(&format!("`{name}`")) && !stubbed.contains(name)) else {
            if found.is_empty() {
                found.push(format!("{error:#}"));
            }
            break;
        };
        found.push(format!("`{name}` ({})", missing(&error)));
        stubbed.push(name);
        if stub(&mut linker, component, name).is_err() {
            break;
        }
    }
    found
}

/// The causes below the outermost, which only repeats the import's name.
fn missing(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    causes.join(": ")
}

/// Replaces one import by functions that trap.
fn stub<T: 'static>(linker: &mut Linker<T>, component: &Component, name: &str) -> wasmtime::Result<()> {
    use wasmtime::component::{ResourceType, types::ComponentItem};
    let engine = linker.engine().clone();
    let ty = component.component_type();
    let trap = || wasmtime::format_err!("not provided");
    let Some(item) = ty.get_import(&engine, name) else { return Ok(()) };
    match item.ty {
        ComponentItem::ComponentInstance(instance) => {
            let mut stubs = linker.instance(name)?;
            for (item_name, item) in instance.exports(&engine) {
                match item.ty {
                    ComponentItem::ComponentFunc(_) => stubs.func_new(item_name, move |_, _, _, _| Err(trap()))?,
                    ComponentItem::Resource(_) => stubs.resource(item_name, ResourceType::host::<()>(), |_, _| Ok(()))?,
                    _ => {}
                }
            }
            Ok(())
        }
        ComponentItem::ComponentFunc(_) => linker.root().func_new(name, move |_, _, _, _| Err(trap())),
        ComponentItem::Resource(_) => linker.root().resource(name, ResourceType::host::<()>(), |_, _| Ok(())),
        _ => Err(trap()),
    }
}
