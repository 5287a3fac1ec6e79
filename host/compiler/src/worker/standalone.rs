//! A component that other hosts can run: what only Sandmill provides is provided inside it. A function that returns nothing
//! does nothing, so that logging and progress may go on; any other traps.
//!
//! Types come from a component for each interface, whose instance stands where the import was. Its functions are never called, since a component may not
//! call those that it holds: core functions stand where they were lowered.

use std::collections::HashMap;

use anyhow::{Result, bail};
use sandmill_model::build::BuildError;
use wasm_encoder::{CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection, ValType};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};
use wit_parser::{
    Interface, LiftLowerAbi, ManglingAndAbi, Resolve, TypeDefKind, WorldId, WorldItem,
    abi::{AbiVariant, WasmType},
};

use super::rewrite::{self, Stub, Stubs};

/// Packages of ours are all of this namespace.
const NAMESPACE: &str = "sandmill:";

pub(super) fn standalone(component: &[u8]) -> Result<Vec<u8>, BuildError> {
    let stubs = stubs(component)
        .map_err(|error| BuildError::InvalidComponent(format!("the component cannot be made to stand alone: {error:#}")))?;
    rewrite::with_stubs(component, &stubs)
}

/// What stands in for the interfaces that the component imports from us, in their order. Those that have types alone stay imports: they ask nothing
/// of a host, and what the component exports may be made of them.
fn stubs(component: &[u8]) -> Result<Stubs> {
    let DecodedWasm::Component(mut resolve, world) = wit_component::decode(component)? else { bail!("it is not a component") };
    let imports = std::mem::take(&mut resolve.worlds[world].imports);
    resolve.worlds[world].exports.clear();
    let (mut interfaces, mut module, mut names) = (Vec::new(), StubModule::default(), HashMap::new());
    for (key, item) in imports {
        let WorldItem::Interface { id, .. } = &item else { continue };
        let (name, id) = (resolve.name_world_key(&key), *id);
        if !name.starts_with(NAMESPACE) {
            continue;
        }
        if !has_types_alone(&resolve, &resolve.interfaces[id]) {
            for function in resolve.interfaces[id].functions.values() {
                let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
                let core = format!("{name}#{}", function.name);
                let returns = if function.result.is_some() { Returns::Something } else { Returns::Nothing };
                module.add(&core, (&types(&signature.params), &types(&signature.results)), returns);
                names.insert((name.clone(), function.name.clone()), core);
            }
            resolve.worlds[world].exports.insert(key.clone(), item.clone());
            interfaces.push(Stub { interface: name, component: stub(&resolve, world)? });
            resolve.worlds[world].exports.clear();
        }
        // What comes later may be made of it.
        resolve.worlds[world].imports.insert(key, item);
    }
    Ok(Stubs { interfaces, module: module.finish(), names })
}

/// What exports what the world exports.
fn stub(resolve: &Resolve, world: WorldId) -> Result<Vec<u8>> {
    let mut module = wit_component::dummy_module(resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

fn has_types_alone(resolve: &Resolve, interface: &Interface) -> bool {
    interface.functions.is_empty() && interface.types.values().all(|ty| !matches!(resolve.types[*ty].kind, TypeDefKind::Resource))
}

fn types(types: &[WasmType]) -> Vec<ValType> {
    let ty = |ty: &WasmType| match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
    };
    types.iter().map(ty).collect()
}

/// Of the function as it is declared: its core form may return through memory.
enum Returns {
    Nothing,
    Something,
}

#[derive(Default)]
struct StubModule {
    types: TypeSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
}

impl StubModule {
    fn add(&mut self, name: &str, (params, results): (&[ValType], &[ValType]), returns: Returns) {
        let index = self.functions.len();
        self.types.ty().function(params.iter().copied(), results.iter().copied());
        self.functions.function(index);
        self.exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        match returns {
            Returns::Nothing => body.instructions().end(),
            Returns::Something => body.instructions().unreachable().end(),
        };
        self.code.function(&body);
    }

    fn finish(self) -> Vec<u8> {
        let mut module = Module::new();
        module.section(&self.types).section(&self.functions).section(&self.exports).section(&self.code);
        module.finish()
    }
}
