//! A component that other hosts can run: what only Sandmill provides is provided inside it. A function that returns nothing
//! does nothing, so that logging and progress may go on; any other traps.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};
use sandmill_model::build::BuildError;
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType, MemorySection, MemoryType, Module,
    TypeSection, ValType,
};
use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding, embed_component_metadata};
use wit_parser::{
    LiftLowerAbi, ManglingAndAbi, Resolve, WasmExport, WasmExportKind, WorldId, WorldItem, WorldKey,
    abi::{AbiVariant, WasmType},
};

use super::rewrite;

/// Packages of ours are all of this namespace.
const NAMESPACE: &str = "sandmill:";
const MANGLING: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
/// Where a stub's arguments are put; below is nothing.
const HEAP_START: i32 = 16;

pub(super) fn standalone(component: &[u8]) -> Result<Vec<u8>, BuildError> {
    let stubs = stubs(component).map_err(|error| BuildError::InvalidComponent(format!("the component cannot be made to stand alone: {error:#}")))?;
    rewrite::with_stubs(component, stubs)
}

/// For each import of ours a component that exports it.
fn stubs(component: &[u8]) -> Result<HashMap<String, Vec<u8>>> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else { bail!("it is not a component") };
    let imports = resolve.worlds[world].imports.clone();
    let mut stubs = HashMap::new();
    for (key, item) in imports {
        let name = resolve.name_world_key(&key);
        // One of types only asks nothing of a host, and what the component exports is made of such types.
        let has_functions = matches!(&item, WorldItem::Interface { id, .. } if !resolve.interfaces[*id].functions.is_empty());
        if name.starts_with(NAMESPACE) && has_functions {
            let stub = stub(resolve.clone(), world, (key, item)).with_context(|| format!("stub of `{name}`"))?;
            stubs.insert(name, stub);
        }
    }
    Ok(stubs)
}

fn stub(mut resolve: Resolve, world: WorldId, (key, item): (WorldKey, WorldItem)) -> Result<Vec<u8>> {
    let WorldItem::Interface { id, .. } = &item else { bail!("only interfaces can be stubbed") };
    let id = *id;
    resolve.worlds[world].imports.clear();
    resolve.worlds[world].exports.clear();
    resolve.worlds[world].exports.insert(key.clone(), item);
    let mut functions = Vec::new();
    for function in resolve.interfaces[id].functions.values() {
        let name = resolve.wasm_export_name(MANGLING, WasmExport::Func { interface: Some(&key), func: function, kind: WasmExportKind::Normal });
        let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
        functions.push(StubFunction { name, params: types(&signature.params), results: types(&signature.results) });
    }
    let mut module = module(&functions);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

struct StubFunction {
    name: String,
    params: Vec<ValType>,
    results: Vec<ValType>,
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

/// A core module of `functions`, with a memory that holds the arguments of one call.
fn module(functions: &[StubFunction]) -> Vec<u8> {
    let (mut type_section, mut function_section, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    type_section.ty().function([ValType::I32; 4], [ValType::I32]);
    function_section.function(0);
    exports.export("cabi_realloc", ExportKind::Func, 0);
    exports.export("memory", ExportKind::Memory, 0);
    code.function(&realloc());
    for (index, function) in (1..).zip(functions) {
        type_section.ty().function(function.params.iter().copied(), function.results.iter().copied());
        function_section.function(index);
        exports.export(&function.name, ExportKind::Func, index);
        code.function(&body(function));
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut globals = GlobalSection::new();
    globals.global(GlobalType { val_type: ValType::I32, mutable: true, shared: false }, &ConstExpr::i32_const(HEAP_START));
    let mut module = Module::new();
    module.section(&type_section).section(&function_section).section(&memories).section(&globals).section(&exports).section(&code);
    module.finish()
}

/// Traps, or forgets its arguments.
fn body(function: &StubFunction) -> Function {
    let mut body = Function::new([]);
    if function.results.is_empty() {
        body.instructions().i32_const(HEAP_START).global_set(0).end();
    } else {
        body.instructions().unreachable().end();
    }
    body
}

/// `(old, old_size, align, new_size) -> pointer`: the next free bytes, more memory where needed. Arguments are never resized.
fn realloc() -> Function {
    const ALIGN: u32 = 2;
    const SIZE: u32 = 3;
    const POINTER: u32 = 4;
    const PAGES: u32 = 5;
    let mut body = Function::new([(2, ValType::I32)]);
    let mut code = body.instructions();
    // pointer = (heap + align - 1) & -align
    code.global_get(0).local_get(ALIGN).i32_add().i32_const(1).i32_sub().i32_const(0).local_get(ALIGN).i32_sub().i32_and().local_set(POINTER);
    // heap = pointer + size
    code.local_get(POINTER).local_get(SIZE).i32_add().global_set(0);
    // pages = (heap + 65535) / 65536 - memory.size
    code.global_get(0).i32_const(0xffff).i32_add().i32_const(16).i32_shr_u().memory_size(0).i32_sub().local_tee(PAGES);
    code.i32_const(0).i32_gt_s().if_(wasm_encoder::BlockType::Empty);
    code.local_get(PAGES).memory_grow(0).i32_const(-1).i32_eq().if_(wasm_encoder::BlockType::Empty).unreachable().end();
    code.end();
    code.local_get(POINTER).end();
    body
}
