//! A component that other hosts can run: what only Sandmill provides is provided inside it. A function that returns nothing
//! does nothing, so that logging and progress may go on; any other traps.

use std::collections::HashMap;

use anyhow::{Result, bail};
use sandmill_model::build::BuildError;
use wasm_encoder::{CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection, ValType};
use wit_component::DecodedWasm;
use wit_parser::{
    WorldItem,
    abi::{AbiVariant, WasmType},
};

use super::rewrite::{self, Stubs};

/// Packages of ours are all of this namespace.
const NAMESPACE: &str = "sandmill:";

pub(super) fn standalone(component: &[u8]) -> Result<Vec<u8>, BuildError> {
    let stubs = stubs(component)
        .map_err(|error| BuildError::InvalidComponent(format!("the component cannot be made to stand alone: {error:#}")))?;
    rewrite::with_stubs(component, &stubs)
}

/// A core function for each function that the component imports from us, of the type that its core modules call it by.
fn stubs(component: &[u8]) -> Result<Stubs> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else { bail!("it is not a component") };
    let (mut module, mut names) = (StubModule::default(), HashMap::new());
    for (key, item) in &resolve.worlds[world].imports {
        let interface = resolve.name_world_key(key);
        let WorldItem::Interface { id, .. } = item else { continue };
        if !interface.starts_with(NAMESPACE) {
            continue;
        }
        for function in resolve.interfaces[*id].functions.values() {
            let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
            let name = format!("{interface}#{}", function.name);
            let returns = if function.result.is_some() { Returns::Something } else { Returns::Nothing };
            module.add(&name, (&types(&signature.params), &types(&signature.results)), returns);
            names.insert((interface.clone(), function.name.clone()), name);
        }
    }
    Ok(Stubs { module: module.finish(), names })
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
