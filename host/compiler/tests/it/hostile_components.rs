//! Components made to hurt whoever compiles them: each is refused or built within the limits, and the next build goes on.

use std::{fmt::Write as _, time::Instant};

use sandmill_model::{Language::Component, build::BuildError};

use crate::build;

/// A script's component around a core module with these parts.
fn with_module(parts: &str) -> Vec<u8> {
    let text = format!(
        r#"(component (core module $m {parts} (func (export "f"))) (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f"))) (export "run" (func $f)))"#
    );
    wat::parse_str(text).unwrap()
}

/// Built, or refused with a reason; never an error of ours.
fn check(name: &str, bytes: Vec<u8>, part: Option<&str>) {
    let began = Instant::now();
    match (build(Component, bytes), part) {
        (Ok(_), None) => {}
        (Err(BuildError::InvalidComponent(message) | BuildError::LimitReached(message)), Some(part)) => {
            assert!(message.contains(part), "{name}: {message}");
        }
        (other, _) => panic!("{name}: {other:?}"),
    }
    println!("{name}: {:?}", began.elapsed());
}

#[test]
fn many_of_a_thing() {
    // The text would take longer to parse than the module.
    let functions = |count: usize| {
        use wasm_encoder::{CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection};
        let (mut types, mut functions, mut exports, mut code) =
            (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
        types.ty().function([], []);
        for _ in 0..count {
            functions.function(0);
            let mut body = Function::new([]);
            body.instructions().end();
            code.function(&body);
        }
        exports.export("f", ExportKind::Func, 0);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&code);
        lifted(&module.finish())
    };
    check("100,000 functions", functions(100_000), None);
    check("1,000,001 functions", functions(1_000_001), Some("functions count exceeds limit"));
    let globals = "(global i32 (i32.const 0))".repeat(100_000);
    check("100,000 globals", with_module(&globals), Some("exceeds the configured maximum"));
    let body = format!("(func {})", "i32.const 1 drop ".repeat(500_000));
    check("one long function", with_module(&body), None);
    let locals = format!("(func (local {}))", "i64 ".repeat(49_000));
    check("many locals", with_module(&locals), None);
}

/// A component whose only function is the module's `f`.
fn lifted(module: &[u8]) -> Vec<u8> {
    use wasm_encoder::{
        Alias, CanonicalFunctionSection, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentTypeSection,
        ExportKind, InstanceSection, ModuleArg, RawSection,
    };
    let mut component = wasm_encoder::Component::new();
    component.section(&RawSection { id: wasm_encoder::ComponentSectionId::CoreModule as u8, data: module });
    let mut instances = InstanceSection::new();
    instances.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    component.section(&instances);
    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::CoreInstanceExport { instance: 0, kind: ExportKind::Func, name: "f" });
    component.section(&aliases);
    let mut types = ComponentTypeSection::new();
    types.function().params(std::iter::empty::<(&str, wasm_encoder::ComponentValType)>()).result(None);
    component.section(&types);
    let mut functions = CanonicalFunctionSection::new();
    functions.lift(0, 0, []);
    component.section(&functions);
    let mut exports = ComponentExportSection::new();
    exports.export("run", ComponentExportKind::Func, 0, None);
    component.section(&exports);
    component.finish()
}

#[test]
fn large_memories_and_tables() {
    check("64 pages", with_module("(memory 64)"), None);
    check("256 MiB", with_module("(memory 4096)"), None);
    check("a page more", with_module("(memory 4097)"), Some("a run has 268435456: ask for more"));
    check("4 GiB", with_module("(memory 65536)"), Some("limits.memory_bytes"));
    check("a table of 4 G elements", with_module("(table 4294967295 funcref)"), Some("exceeds the limit of 100000"));
    check("32 tables", with_module(&"(table 1 funcref)".repeat(32)), None);
    check("33 tables", with_module(&"(table 1 funcref)".repeat(33)), Some("count of 33"));
    check("8 memories", with_module(&"(memory 1)".repeat(8)), None);
    check("a memory of 64 bits", with_module("(memory i64 1)"), Some("memory64"));
    check("100 memories", with_module(&"(memory 1)".repeat(100)), Some("count of 100"));
    check("shared memory", with_module("(memory 1 2 shared)"), Some("threads"));
}

#[test]
fn deep_and_wide_types() {
    let mut deep = "(type $t0 (list u8))".to_owned();
    for level in 1..200 {
        let _ = write!(deep, "(type $t{level} (list $t{}))", level - 1);
    }
    let deep = format!("(component {deep} (export \"t\" (type $t199)))");
    check("200 lists in each other", wat::parse_str(&deep).unwrap(), Some("nesting is too deep"));
    check("types that double", doubling(30), Some("effective type size exceeds"));
    check("types that double, not as often", doubling(15), Some("made of more than 10000 types"));
    let cases: String = (0..5_000).map(|case| format!("(case \"c{case}\")")).collect();
    let wide = format!(
        r#"(component (type $v (variant {cases})) (export $e "v" (type $v)) (core module $m (func (export "f") (param i32))) (core instance $i (instantiate $m))
            (func $f (param "x" $e) (canon lift (core func $i "f"))) (export "run" (func $f)))"#
    );
    check("a variant of 5,000 cases", wat::parse_str(&wide).unwrap(), Some("more than 256 cases"));
}

/// A function whose parameter is of a type that is twice the size of another, which is twice the size of another.
fn doubling(levels: usize) -> Vec<u8> {
    let mut types = "(type $t0 (record (field \"a\" u8)))(export $e0 \"t0\" (type $t0))".to_owned();
    for level in 1..levels {
        let last = level - 1;
        let _ = write!(types, "(type $t{level} (tuple $e{last} $e{last}))(export $e{level} \"t{level}\" (type $t{level}))");
    }
    let last = levels - 1;
    let text = format!(
        r#"(component {types} (core module $m (memory (export "m") 1) (func (export "f") (param i32))
            (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0))) (core instance $i (instantiate $m))
            (func $f (param "x" $e{last}) (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r")))) (export "run" (func $f)))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn imports_and_exports_that_should_be_the_other() {
    let imports = |count: usize| {
        let each = |import| format!("(import \"acme:many/i{import}\" (instance (export \"f\" (func))))");
        wat::parse_str(format!("(component {})", (0..count).map(each).collect::<String>())).unwrap()
    };
    check("900 imports", imports(900), Some("acme:many/i0"));
    check("3,000 imports", imports(3_000), Some("instances count exceeds limit"));
    // What it should export it imports, and what it should import it exports.
    let swapped = r#"(component (import "wasi:cli/run@0.2.0" (instance $run (export "run" (func (result (result))))))
        (export "wasi:cli/run@0.2.0" (instance $run)))"#;
    check("what it exports it imports", wat::parse_str(swapped).unwrap(), Some("reexport of an imported function"));
    let host = r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f"))) (instance $log (export "write" (func $f)))
        (export "sandmill:log/log@0.1.0" (instance $log)))"#;
    check("it exports what the host provides", wat::parse_str(host).unwrap(), Some("nothing that can be called"));
    let preprocessor = r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f"))) (instance $p (export "preprocess" (func $f)))
        (export "sandmill:script/preprocessor@0.1.0" (instance $p)))"#;
    check("a preprocessor of another type", wat::parse_str(preprocessor).unwrap(), Some("of another type"));
    let handler =
        preprocessor.replace("preprocess", "handle").replace("sandmill:script/handleor@0.1.0", "wasi:http/incoming-handler@0.2.3");
    check("a handler of another type", wat::parse_str(handler).unwrap(), Some("of another type"));
}

#[test]
fn starts_that_never_end_are_nothing_to_a_build() {
    check("a start function that loops", with_module("(func $s (loop (br 0))) (start $s)"), None);
}
