//! Calls from one part of a component into another. The engine joins such parts with adapters of its own making, and those
//! copy and transcode strings and lists at a stretch and for no fuel: a guest could hold a thread for an hour between two
//! yields. So no component that makes such a call is compiled for running.
//!
//! The rule is sound and simple rather than exact: what may be lowered (called from core wasm) is what the host provides,
//! at the outermost level only. What `wasm-tools component new`, `componentize-py`, `componentize-js` and our own snapshots
//! make keeps to it; their inner components only export again under other types.

use sandmill_model::version::ComponentModel;
use wasmparser::{BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExternalKind as Kind, Encoding, Parser, Payload};

const CALLS_ITSELF: &str = "one part of the component calls another part of it, which cannot be metered: compile the parts into one \
     component from one core module, for example by linking them as libraries instead of joining built components with `wac plug`, \
     `wac compose` or `wasm-tools compose`";

/// Whether a component may run here. It has been validated, or will be by the engine before it makes code of it.
///
/// # Errors
/// What its author should do instead.
pub(super) fn check(component: &[u8], model: ComponentModel) -> Result<(), String> {
    let malformed = |error: BinaryReaderError| format!("the component is malformed at offset {:#x}: {}", error.offset(), error.message());
    let (mut encodings, mut root) = (Vec::new(), Root { model, ..Root::default() });
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding, .. } => encodings.push(encoding),
            Payload::End(_) => {
                encodings.pop();
            }
            payload if encodings.last() == Some(&Encoding::Component) => {
                let allowed = if encodings.len() == 1 { root.allows(&payload) } else { inner_allows(&payload) };
                if !allowed.map_err(malformed)? {
                    return Err(CALLS_ITSELF.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Inside of inner components nothing is lowered: what looks like an import there may be a function of another part.
fn inner_allows(payload: &Payload<'_>) -> Result<bool, BinaryReaderError> {
    match payload {
        Payload::ComponentCanonicalSection(section) => {
            for function in section.clone() {
                let function = function?;
                if matches!(function, CanonicalFunction::Lower { .. }) || !is_plain(&function) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Payload::ComponentStartSection { .. } => Ok(false),
        _ => Ok(true),
    }
}

/// What WASI 0.2 has. The others are of the asynchronous component model: streams and futures move data between parts too. So inner components have none
/// of them, and the outermost one may have those of WASI 0.3 where that is run, on an engine that counts time beside fuel.
fn is_plain(function: &CanonicalFunction) -> bool {
    matches!(
        function,
        CanonicalFunction::Lift { .. }
            | CanonicalFunction::Lower { .. }
            | CanonicalFunction::ResourceNew { .. }
            | CanonicalFunction::ResourceDrop { .. }
            | CanonicalFunction::ResourceRep { .. }
    )
}

/// What WASI 0.3 adds, without threads.
fn is_async(function: &CanonicalFunction) -> bool {
    matches!(
        function,
        CanonicalFunction::BackpressureInc
            | CanonicalFunction::BackpressureDec
            | CanonicalFunction::TaskReturn { .. }
            | CanonicalFunction::TaskCancel
            | CanonicalFunction::ContextGet { .. }
            | CanonicalFunction::ContextSet { .. }
            | CanonicalFunction::ThreadYield { .. }
            | CanonicalFunction::SubtaskDrop
            | CanonicalFunction::SubtaskCancel { .. }
            | CanonicalFunction::StreamNew { .. }
            | CanonicalFunction::StreamRead { .. }
            | CanonicalFunction::StreamWrite { .. }
            | CanonicalFunction::StreamCancelRead { .. }
            | CanonicalFunction::StreamCancelWrite { .. }
            | CanonicalFunction::StreamDropReadable { .. }
            | CanonicalFunction::StreamDropWritable { .. }
            | CanonicalFunction::FutureNew { .. }
            | CanonicalFunction::FutureRead { .. }
            | CanonicalFunction::FutureWrite { .. }
            | CanonicalFunction::FutureCancelRead { .. }
            | CanonicalFunction::FutureCancelWrite { .. }
            | CanonicalFunction::FutureDropReadable { .. }
            | CanonicalFunction::FutureDropWritable { .. }
            | CanonicalFunction::WaitableSetNew
            | CanonicalFunction::WaitableSetWait { .. }
            | CanonicalFunction::WaitableSetPoll { .. }
            | CanonicalFunction::WaitableSetDrop
            | CanonicalFunction::WaitableJoin
    )
}

/// Whose each function and each instance of the outermost level is, by index.
#[derive(Default)]
struct Root {
    model: ComponentModel,
    functions: Vec<Owner>,
    instances: Vec<Owner>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Imported, so the host's: nothing else is linked to a component that runs here.
    Host,
    Component,
}

impl Root {
    fn allows(&mut self, payload: &Payload<'_>) -> Result<bool, BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.add(import?.ty.kind(), Owner::Host);
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    // A bag of imported functions is rare enough to be treated as the component's own.
                    instance?;
                    self.instances.push(Owner::Component);
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    if let ComponentAlias::InstanceExport { kind, instance_index, .. } = alias? {
                        self.add(kind, owner(&self.instances, instance_index));
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                // An export is another item with an index of its own.
                for export in section.clone() {
                    let export = export?;
                    self.add(export.kind, self.owner(export.kind, export.index));
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section.clone() {
                    if !self.allows_function(&function?) {
                        return Ok(false);
                    }
                }
            }
            Payload::ComponentStartSection { .. } => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    fn allows_function(&mut self, function: &CanonicalFunction) -> bool {
        match function {
            CanonicalFunction::Lift { .. } => {
                self.functions.push(Owner::Component);
                true
            }
            CanonicalFunction::Lower { func_index, .. } => owner(&self.functions, *func_index) == Owner::Host,
            other => is_plain(other) || (self.model == ComponentModel::Async && is_async(other)),
        }
    }

    fn add(&mut self, kind: Kind, owner: Owner) {
        match kind {
            Kind::Func => self.functions.push(owner),
            Kind::Instance => self.instances.push(owner),
            _ => {}
        }
    }

    fn owner(&self, kind: Kind, index: u32) -> Owner {
        match kind {
            Kind::Func => owner(&self.functions, index),
            Kind::Instance => owner(&self.instances, index),
            _ => Owner::Component,
        }
    }
}

/// An index that leads nowhere is the validator's to refuse.
fn owner(items: &[Owner], index: u32) -> Owner {
    items.get(index as usize).copied().unwrap_or(Owner::Component)
}

#[cfg(test)]
mod tests;
