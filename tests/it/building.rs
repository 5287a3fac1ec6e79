//! Projects in compiled languages, from `init` to a run, with the compilers that are here.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sandmill_testkit::{
    binary::{binary, root},
    foreign::zig,
    toolchain::is_here,
};
use serde_json::{Value, json};

/// Without any server.
fn sandmill(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder);
    command.env("SANDMILL_SERVER", "http://127.0.0.1:1").env("SANDMILL_TOKEN", "none").env("XDG_CONFIG_HOME", folder.join("config"));
    command.env("XDG_CACHE_HOME", binary().parent().unwrap().join("testkit-cache"));
    // The dependencies of a new project are compiled once for all test runs.
    command.env("CARGO_TARGET_DIR", binary().parent().unwrap().join("testkit-projects"));
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command
}

/// stdout and stderr, after the exit code was as expected.
fn exits(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

fn ends(mut command: Command, code: i32) -> (String, String) {
    exits(&command.output().unwrap(), code)
}

/// A new project in the language.
fn project(language: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    ends(sandmill(folder.path(), &["init", "app", "--lang", language]), 0);
    let project = folder.path().join("app");
    (folder, project)
}

/// Builds a new project and holds its component against what the read-me says.
fn works_at_once(project: &Path) {
    let (out, _) = ends(sandmill(project, &["build", "--json"]), 0);
    let built: Value = serde_json::from_str(&out).unwrap();
    assert!(built["output"].as_str().unwrap().ends_with("dist/hello.wasm"), "{built}");
    let run = |arguments: &str| sandmill(project, &["run", "./dist/hello.wasm", "--args", arguments]);
    let (out, err) = ends(run(r#"{"name":"Zoë","times":2}"#), 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"greeting": "Hello, Zoë! Hello, Zoë!"}));
    assert!(err.contains("greeting"), "the log: {err}");
    let (_, err) = ends(run(r#"{"times":2}"#), 2);
    assert!(err.contains("name"), "the schema is the script's own: {err}");
    ends(sandmill(project, &["test"]), 0);
}

#[test]
fn a_project_in_rust() {
    let (_folder, project) = project("rust");
    // The versions that the SDK is tested with.
    fs::copy(root().join("guest-sdk/rust/Cargo.lock"), project.join("Cargo.lock")).unwrap();
    works_at_once(&project);

    fs::write(project.join("src/lib.rs"), "fn main() -> u32 { \"text\" }").unwrap();
    let old = fs::read(project.join("dist/hello.wasm")).unwrap();
    let (out, err) = ends(sandmill(&project, &["build"]), 2);
    assert!(err.contains("mismatched types") && err.contains("cargo"), "{err}");
    assert_eq!(out, "", "what tools say is on stderr");
    assert_eq!(fs::read(project.join("dist/hello.wasm")).unwrap(), old);
    let (_, err) = ends(sandmill(&project, &["push", "."]), 2);
    assert!(err.contains("mismatched types"), "a push builds first: {err}");
    let (_, err) = ends(sandmill(&project, &["push", ".", "--no-build"]), 3);
    assert!(!err.contains("mismatched types"), "{err}");
}

#[test]
fn a_project_in_go() {
    if is_here("go", &["version"]) {
        let (_folder, project) = project("go");
        works_at_once(&project);
    }
}

#[test]
fn a_project_in_c() {
    if let Some(zig) = zig() {
        let (_folder, project) = project("c");
        let settings = fs::read_to_string(project.join("sandmill.toml")).unwrap();
        assert!(settings.contains("language = \"c\""), "{settings}");
        let mut build = sandmill(&project, &["build"]);
        build.env("CC_WASM", &zig);
        ends(build, 0);
        let (_, err) = ends(sandmill(&project, &["run", "./dist/hello.wasm", "--args", r#"{"times":2}"#]), 2);
        assert!(err.contains("name"), "the schema is the script's own: {err}");
        let mut test = sandmill(&project, &["test"]);
        test.env("CC_WASM", &zig);
        let (out, _) = ends(test, 0);
        assert!(out.contains("3 passed, 0 failed"), "{out}");
    }
}

#[test]
fn scripts_of_the_server_need_no_build() {
    for language in ["typescript", "javascript"] {
        let (_folder, project) = project(language);
        let (out, _) = ends(sandmill(&project, &["build"]), 0);
        assert!(out.contains("nothing to build"), "{out}");
        ends(sandmill(&project, &["test"]), 0);
    }
}

#[test]
fn compilers_that_are_absent_explain_themselves() {
    for (language, part) in [("rust", "https://rustup.rs"), ("go", "https://go.dev/dl"), ("c", "ziglang==0.17.1")] {
        let (folder, project) = project(language);
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let mut command = sandmill(&project, &["build"]);
        command.env("PATH", &empty).env_remove("CC_WASM");
        let (_, err) = ends(command, 2);
        assert!(err.contains(part), "{language}: {err}");
    }
}

#[test]
fn a_core_module_becomes_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let script = r#"(module
        (memory (export "memory") 1)
        (data (i32.const 100) "[42]")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
        (func (export "sandmill:script/main@0.1.0#run") (param i32 i32) (result i32)
            (i32.store (i32.const 8) (i32.const 100))
            (i32.store (i32.const 12) (i32.const 4))
            (i32.const 0)))"#;
    fs::write(at("core.wasm"), wat::parse_str(script).unwrap()).unwrap();
    ends(sandmill(folder.path(), &["build", "--module", "core.wasm", "-o", "out.wasm"]), 0);
    let (out, _) = ends(sandmill(folder.path(), &["run", "./out.wasm"]), 0);
    assert_eq!(out.trim(), "[42]");

    fs::write(at("none.wasm"), wat::parse_str("(module)").unwrap()).unwrap();
    let (_, err) = ends(sandmill(folder.path(), &["build", "--module", "none.wasm", "-o", "out.wasm"]), 2);
    assert!(err.contains("sandmill:script/main@0.1.0#run"), "{err}");
    ends(sandmill(folder.path(), &["build", "--module", "core.wasm"]), 2);
    ends(sandmill(folder.path(), &["build", ".", "--module", "core.wasm", "-o", "out.wasm"]), 2);
}

#[test]
fn a_build_that_is_killed_leaves_the_old_component() {
    let (folder, project) = project("go");
    // A compiler that ends whoever started it, half-way through its work.
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let compiler = "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = -o ] && printf half > \"$2\"; shift; done\nkill -9 $PPID\n";
    fs::write(programs.join("go"), compiler).unwrap();
    fs::set_permissions(programs.join("go"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(project.join("dist")).unwrap();
    fs::write(project.join("dist/hello.wasm"), "old").unwrap();
    let mut command = sandmill(&project, &["build"]);
    let output = command.env("PATH", &programs).output().unwrap();
    assert_eq!(output.status.code(), None, "it was killed: {output:?}");
    assert_eq!(fs::read_to_string(project.join("dist/hello.wasm")).unwrap(), "old");
}
