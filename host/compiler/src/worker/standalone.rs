//! A component that other hosts can run: what only Sandmill provides is provided inside it, by components whose functions do nothing where
//! they return nothing, so that logging and progress may go on, and trap where they would return something.

use anyhow::{Result, bail};
use sandmill_model::build::BuildError;
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};
use wit_parser::{
    Interface, LiftLowerAbi, ManglingAndAbi, Resolve, TypeDefKind, WasmExport, WasmExportKind, WorldId, WorldItem, WorldKey,
    abi::{AbiVariant, WasmType},
};

use super::rewrite::{self, Stub};

/// Packages of ours are all of this namespace.
const NAMESPACE: &str = "sandmill:";
const MANGLING: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
/// Bytes of a page of memory, as a power of two.
const PAGE_BITS: i32 = 16;

pub(super) fn standalone(component: &[u8]) -> Result<Vec<u8>, BuildError> {
    let stubs = stubs(component)
        .map_err(|error| BuildError::InvalidComponent(format!("the component cannot be made to stand alone: {error:#}")))?;
    rewrite::with_stubs(component, &stubs)
}

/// A component for each interface that this one imports from us, in their order. Interfaces that have types alone stay imports: they ask nothing
/// of a host, and what the component exports may be made of them.
fn stubs(component: &[u8]) -> Result<Vec<Stub>> {
    let DecodedWasm::Component(mut resolve, world) = wit_component::decode(component)? else { bail!("it is not a component") };
    let imports = std::mem::take(&mut resolve.worlds[world].imports);
    resolve.worlds[world].exports.clear();
    let mut stubs = Vec::new();
    for (key, item) in imports {
        let WorldItem::Interface { id, .. } = &item else { continue };
        let interface = resolve.name_world_key(&key);
        if !interface.starts_with(NAMESPACE) {
            continue;
        }
        if !has_types_alone(&resolve, &resolve.interfaces[*id]) {
            resolve.worlds[world].exports.insert(key.clone(), item.clone());
            stubs.push(Stub { interface, component: stub(&resolve, world)? });
            resolve.worlds[world].exports.clear();
        }
        // What comes later may be made of it.
        resolve.worlds[world].imports.insert(key, item);
    }
    Ok(stubs)
}

/// What exports what the world exports.
fn stub(resolve: &Resolve, world: WorldId) -> Result<Vec<u8>> {
    let mut module = module(resolve, world);
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

fn has_types_alone(resolve: &Resolve, interface: &Interface) -> bool {
    interface.functions.is_empty() && interface.types.values().all(|ty| !matches!(resolve.types[*ty].kind, TypeDefKind::Resource))
}

/// A core function for each function that the world exports.
fn module(resolve: &Resolve, world: WorldId) -> Vec<u8> {
    let mut module = StubModule::default();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { continue };
        for function in resolve.interfaces[*id].functions.values() {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let name = function_name(resolve, key, function);
            let returns = if function.result.is_some() { Returns::Something } else { Returns::Nothing };
            module.add(&name, (&types(&signature.params), &types(&signature.results)), returns);
        }
    }
    module.finish(&resolve.wasm_export_name(MANGLING, WasmExport::Realloc), &resolve.wasm_export_name(MANGLING, WasmExport::Memory))
}

fn function_name(resolve: &Resolve, interface: &WorldKey, func: &wit_parser::Function) -> String {
    resolve.wasm_export_name(MANGLING, WasmExport::Func { interface: Some(interface), func, kind: WasmExportKind::Normal })
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
#[derive(Clone, Copy, PartialEq, Eq)]
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
    fn add(&mut self, name: &str, signature: (&[ValType], &[ValType]), returns: Returns) {
        let mut body = Function::new([]);
        if returns == Returns::Something {
            body.instructions().unreachable();
        }
        body.instructions().end();
        self.push(name, signature, &body);
    }

    fn push(&mut self, name: &str, (params, results): (&[ValType], &[ValType]), body: &Function) {
        let index = self.functions.len();
        self.types.ty().function(params.iter().copied(), results.iter().copied());
        self.functions.function(index);
        self.exports.export(name, ExportKind::Func, index);
        self.code.function(body);
    }

    /// Arguments are put into memory, where nobody looks at them: all in the same place.
    fn finish(mut self, realloc: &str, memory: &str) -> Vec<u8> {
        const NEW_SIZE: u32 = 3;
        let mut body = Function::new([]);
        let mut code = body.instructions();
        // Pages that are needed, less those that there are.
        code.local_get(NEW_SIZE).i32_const(PAGE_BITS).i32_shr_u().i32_const(1).i32_add().memory_size(0).i32_sub();
        code.local_tee(NEW_SIZE).i32_const(0).i32_gt_s().if_(BlockType::Empty);
        code.local_get(NEW_SIZE).memory_grow(0).i32_const(-1).i32_eq().if_(BlockType::Empty).unreachable().end();
        code.end().i32_const(0).end();
        self.push(realloc, (&[ValType::I32; 4], &[ValType::I32]), &body);
        let mut memories = MemorySection::new();
        memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
        self.exports.export(memory, ExportKind::Memory, 0);
        let mut module = Module::new();
        module.section(&self.types).section(&self.functions).section(&memories).section(&self.exports).section(&self.code);
        module.finish()
    }
}
