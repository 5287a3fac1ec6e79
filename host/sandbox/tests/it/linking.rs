//! Components that cannot be linked, or are not what they should be.

use sandmill_sandbox::{Error, engine_config};
use wasmtime::Engine;

use crate::testing::{compiled, key, testbed};

#[tokio::test]
async fn each_import_that_is_not_there_is_named() {
    let bed = testbed(|_| {});
    // This sandbox has no capabilities.
    for (guest, interfaces) in [
        ("context", &["context/context@0.1.0"][..]),
        ("log", &["log/log@0.1.0"]),
        ("output", &["output/output@0.1.0"]),
        ("runs", &["runs/runs@0.1.0"]),
        ("state", &["state/state@0.1.1"]),
        ("sql", &["resources/resources@0.1.0", "sql/sql@0.1.0"]),
    ] {
        let Err(Error::Unlinkable(imports)) = bed.sandbox.install(key(guest), &compiled(guest)) else { panic!("{guest} was linked") };
        assert_eq!(imports, bed.sandbox.unlinkable(&compiled(guest)).unwrap());
        assert_eq!(imports.len(), interfaces.len(), "{imports:?}");
        for interface in interfaces {
            let name = format!("`sandmill:{interface}`");
            assert!(imports.iter().any(|import| import.contains(&name)), "{name} in {imports:?}");
        }
        assert!(bed.sandbox.load(key(guest)).unwrap().is_none(), "it is not kept");
    }
    assert!(bed.sandbox.unlinkable(&compiled("chaos")).unwrap().is_empty());
}

#[tokio::test]
async fn what_was_compiled_for_another_engine_is_refused() {
    let bed = testbed(|_| {});
    let mut config = engine_config(None);
    config.consume_fuel(false);
    let other = Engine::new(&config).unwrap();
    let code = other.precompile_component(&std::fs::read(sandmill_testkit::guests::guest("hello")).unwrap()).unwrap();
    assert!(matches!(bed.sandbox.install(key("hello"), &code), Err(Error::Incompatible(_))));
    assert!(matches!(bed.sandbox.install(key("hello"), b"nonsense"), Err(Error::Incompatible(_))));
    assert!(bed.sandbox.load(key("hello")).unwrap().is_none());
}

#[tokio::test]
async fn workers_without_a_pool_compile_for_those_with_one() {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let bed = testbed(|_| {});
    let engine = Engine::new(&engine_config(None)).unwrap();
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    assert_eq!(hasher.finish(), bed.sandbox.compatibility_hash());
}

#[tokio::test]
async fn a_component_that_is_no_script() {
    let bed = testbed(|_| {});
    let engine = Engine::new(&engine_config(None)).unwrap();
    // The smallest component: the preamble alone.
    let code = engine.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
    let Err(Error::NotAScript(message)) = bed.sandbox.install(key("empty"), &code) else { panic!("it was taken") };
    assert!(message.contains("exports nothing"), "{message}");
}
