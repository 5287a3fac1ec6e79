//! Components of the examples: how large they are, and what they import.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use wasmparser::{Parser, Payload};

const HELLO_BYTES_MAX: usize = 100_000;

const TYPES: [&str; 2] = ["sandmill:script/types", "wasi:clocks/monotonic-clock"];

/// Where all of them are, built once.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
    let build = |arguments: &[&str]| {
        let mut command = Command::new(env::var_os("CARGO").unwrap());
        command.args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2"]).args(arguments);
        let status = command.current_dir(crate::manifest_dir()).env("CARGO_TARGET_DIR", &folder).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    // Apart, as whoever writes a script builds it: features are not merged with those of others.
    build(&["--package", "hello"]);
    build(&["--package", "visits"]);
    build(&["--package", "sandmill", "--examples"]);
    folder.join("wasm32-wasip2/release")
});

/// Names of what a component imports and exports, without versions.
fn interfaces(component: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut imports, mut exports, mut depth) = (BTreeSet::new(), BTreeSet::new(), 0);
    let bare = |name: &str| name.split('@').next().unwrap().to_owned();
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(section.into_iter().map(|import| bare(import.unwrap().name.name)))
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(section.into_iter().map(|export| bare(export.unwrap().name.name)))
            }
            _ => {}
        }
    }
    (imports, exports)
}

/// Beside what the standard library imports for panics and its environment.
fn check(file: &str, imported: &[&str], exported: &[&str]) -> usize {
    let component = fs::read(BUILT.join(file)).unwrap();
    let (imports, exports) = interfaces(&component);
    let imports: BTreeSet<&str> =
        imports.iter().map(String::as_str).filter(|name| !name.starts_with("wasi:cli/") && !name.starts_with("wasi:io/")).collect();
    // Types that other interfaces use come without being called.
    let imports: Vec<&str> = imports.into_iter().filter(|name| !TYPES.contains(name)).collect();
    assert_eq!(imports, imported, "{file}");
    assert_eq!(exports.iter().map(String::as_str).collect::<Vec<_>>(), exported, "{file}");
    eprintln!("{file}: {} bytes", component.len());
    component.len()
}

const SCRIPT: [&str; 2] = ["sandmill:script/main", "sandmill:script/schema"];

#[test]
fn hello_is_small_and_imports_nothing() {
    let bytes = check("hello.wasm", &[], &SCRIPT);
    assert!(bytes <= HELLO_BYTES_MAX, "{bytes}");
}

#[test]
fn what_is_called_is_imported_and_nothing_else() {
    let http = ["wasi:http/outgoing-handler", "wasi:http/types"];
    check("examples/script.wasm", &["sandmill:log/log", "sandmill:state/state"], &SCRIPT);
    check("examples/arguments.wasm", &[], &SCRIPT);
    check("examples/events.wasm", &[], &["sandmill:script/main", "sandmill:script/preprocessor", "sandmill:script/schema"]);
    check("examples/requests.wasm", &["sandmill:variables/variables", http[0], http[1]], &SCRIPT);
    check(
        "examples/resources.wasm",
        &["sandmill:blob/blob", "sandmill:resources/resources", "sandmill:sql/sql", "sandmill:variables/variables"],
        &SCRIPT,
    );
    check(
        "examples/warehouse.wasm",
        &["sandmill:blob/blob", "sandmill:resources/resources", "sandmill:sql/sql", "sandmill:variables/variables", http[0], http[1]],
        &SCRIPT,
    );
    check("examples/messages.wasm", &["sandmill:publish/publish", "sandmill:resources/resources"], &SCRIPT);
    check("examples/children.wasm", &["sandmill:runs/runs"], &SCRIPT);
    check("examples/errors.wasm", &["sandmill:variables/variables"], &SCRIPT);
    check("visits.wasm", &["sandmill:log/log", "sandmill:state/state", http[0], http[1]], &SCRIPT);
}
