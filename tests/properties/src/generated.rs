//! Uploads that nobody would write: of the generator with which the engine's authors fuzz it, and around types of any shape.

use arbitrary::{Result, Unstructured};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CodeSection, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection,
    ComponentSectionId, ComponentTypeSection, ComponentValType, ExportKind, ExportSection, Function, FunctionSection, InstanceSection,
    Module, ModuleArg, RawSection, TypeSection,
};

use crate::{echo, types::Type, upload::upload};

/// Returns whether it is taken; nothing can be made of many an input.
pub fn upload_generated(data: &[u8]) -> bool {
    generate(&mut Unstructured::new(data)).is_ok_and(|component| upload(&component))
}

fn generate(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match input.int_in_range(0..=3)? {
        // Few of them have an export that can be called; imports and types are of every kind.
        0 | 1 => wasm_smith::Component::new(wasm_smith::Config::default(), input)?.to_bytes(),
        2 => {
            let alone = wasm_smith::Config { max_imports: 0, ..wasm_smith::Config::default() };
            beside_function(&wasm_smith::Module::new(alone, input)?.to_bytes())
        }
        _ => wat::parse_str(echo::component(&Type::arbitrary(input)?)).unwrap(),
    })
}

/// A component that holds an instance of the module and exports a function of another, which does nothing.
fn beside_function(module: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    for module in [module, nothing().as_slice()] {
        component.section(&RawSection { id: ComponentSectionId::CoreModule as u8, data: module });
    }
    let mut instances = InstanceSection::new();
    for module in 0..2 {
        instances.instantiate(module, std::iter::empty::<(&str, ModuleArg)>());
    }
    component.section(&instances);
    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::CoreInstanceExport { instance: 1, kind: ExportKind::Func, name: "f" });
    component.section(&aliases);
    let mut types = ComponentTypeSection::new();
    types.function().params(std::iter::empty::<(&str, ComponentValType)>()).result(None);
    component.section(&types);
    let mut functions = CanonicalFunctionSection::new();
    functions.lift(0, 0, []);
    component.section(&functions);
    let mut exports = ComponentExportSection::new();
    exports.export("run", ComponentExportKind::Func, 0, None);
    component.section(&exports);
    component.finish()
}

fn nothing() -> Vec<u8> {
    let (mut types, mut functions, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    types.ty().function([], []);
    functions.function(0);
    exports.export("f", ExportKind::Func, 0);
    let mut body = Function::new([]);
    body.instructions().end();
    code.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&exports).section(&code);
    module.finish()
}
