//! Scripts that import packages and files: bundled here, run there. The project is `tests/bundled`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use sandmill_testkit::{binary::root, toolchain::is_here};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{commands::sandmill, dev::Dev, shared::server};

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if !entry.path().is_dir() {
            fs::copy(entry.path(), target).unwrap();
        } else if entry.file_name() != "node_modules" {
            copied(&entry.path(), &target);
        }
    }
}

/// What its lock file names, installed once for all tests; none where there is no npm.
fn packages() -> Option<&'static Path> {
    static PACKAGES: OnceLock<Option<TempDir>> = OnceLock::new();
    let install = || {
        if !is_here("npm", &["--version"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        copied(&root().join("tests/bundled"), folder.path());
        let arguments = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        let output = Command::new("npm").args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
        Some(folder)
    };
    PACKAGES.get_or_init(install).as_ref().map(TempDir::path)
}

/// The project, whose scripts go to `f/{name}`.
fn project(name: &str) -> Option<TempDir> {
    let packages = packages()?;
    let folder = tempfile::tempdir().unwrap();
    copied(&root().join("tests/bundled"), folder.path());
    symlink(packages.join("node_modules"), folder.path().join("node_modules")).unwrap();
    fs::write(folder.path().join("sandmill.toml"), format!("folder = \"f/{name}\"\nsource = \"scripts\"\n")).unwrap();
    Some(folder)
}

/// stdout and stderr, after the exit code was as expected.
fn ends(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = sandmill(folder, server(), arguments);
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: stdout: {out}\nstderr: {err}");
    (out, err)
}

fn visit(folder: &Path) -> PathBuf {
    folder.join("scripts/visit.ts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_with_packages_runs_on_a_server() {
    let Some(folder) = project("bundled") else { return };
    ends(folder.path(), &["push", "."], 0);
    let call = async |arguments: Value| server().call("f/bundled/visit", &arguments).await.unwrap();
    // Its preprocessor, which is exported from another file, makes the name of it.
    let expected = |count: u32, ms: u32| json!({"name": "bob", "count": count, "id": "aaaaa", "ms": ms});
    assert_eq!(call(json!({"who": "bob"})).await.json().unwrap(), expected(1, 172_800_000));
    assert_eq!(call(json!({"who": "bob", "options": {"lasts": "1s"}})).await.json().unwrap(), expected(2, 1_000), "state of a helper");

    // The schema is that of the types in the script.
    assert_eq!(call(json!({})).await.status, 422);
    let script = server().get_json("/api/w/default/scripts/f/bundled/visit").await.unwrap().to_string();
    assert!(script.contains("How long a visit counts."), "{script}");

    // Lines are those of the file.
    let id = server().start_run("f/bundled/visit", &json!({"who": "nobody"})).await.unwrap();
    let run = server().ended_run(&id).await.unwrap();
    assert_eq!((&run["error"]["name"], &run["error"]["message"]), (&json!("VisitError"), &json!("who?")), "{run}");
    let line = fs::read_to_string(visit(folder.path())).unwrap().lines().position(|line| line.contains("throw")).unwrap() + 1;
    assert!(run["error"]["stack"].as_str().unwrap().contains(&format!("visit.ts:{line}:")), "{run}");
}

#[test]
fn without_a_server_alike() {
    let Some(folder) = project("bundled-local") else { return };
    let (out, _) = ends(folder.path(), &["run", "./scripts/visit.ts", "--arg", "name=bob"], 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["ms"], 172_800_000);
    fs::write(folder.path().join("scripts/visit.case.json"), r#"{"args": {"name": "bob"}, "expect_state": {"bob": 1}}"#).unwrap();
    ends(folder.path(), &["test"], 0);
    let (out, _) = ends(folder.path(), &["bundle", "scripts/visit.ts", "--json", "-o", "visit.bundle.ts"], 0);
    let made: Value = serde_json::from_str(&out).unwrap();
    let inputs = made["inputs"].as_array().unwrap();
    assert!(inputs.len() == 2 && inputs.iter().all(|input| input.as_str().unwrap().starts_with("lib/")), "{made}");
    ends(folder.path(), &["run", "./visit.bundle.ts", "--arg", "name=bob", "--esbuild", "/nowhere"], 0);
    // What imports nothing stays as it is.
    let source = "import { state } from \"sandmill\";\nexport function main() { return state.list(); }\n";
    fs::write(folder.path().join("plain.ts"), source).unwrap();
    assert_eq!(ends(folder.path(), &["bundle", "plain.ts", "--esbuild", "/nowhere"], 0).0, source);
}

#[test]
fn faults_are_shown_where_they_are() {
    let Some(folder) = project("bundled-faults") else { return };
    let bundle = |source: &str| {
        fs::write(folder.path().join("scripts/fault.ts"), source).unwrap();
        ends(folder.path(), &["bundle", "scripts/fault.ts"], 2).1
    };
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
    write("lib/files.ts", "export const a = 1;\nimport { readFileSync } from \"node:fs\";\nexport const read = readFileSync;\n");
    let uses = |what: &str, file: &str| format!("import {{ {what} }} from \"../lib/{file}\";\nexport const main = () => {what}();\n");
    let err = bundle(&uses("read", "files"));
    assert!(
        err.contains("lib/files.ts:2:30") && err.contains("import { readFileSync }") && err.contains("do not exist in the sandbox"),
        "{err}"
    );
    let err = bundle(&uses("gone", "visits"));
    assert!(err.contains("fault.ts:1:") && err.contains("No matching export"), "{err}");
    let err = bundle("\nimport pad from \"left-pad\";\nexport const main = () => pad();\n");
    assert!(err.contains("fault.ts:2:17") && err.contains("npm install left-pad"), "{err}");
    write("lib/broken.ts", "export const x = ;\n");
    let err = bundle(&uses("x", "broken"));
    assert!(err.contains("lib/broken.ts:1:18") && err.contains("export const x = ;"), "{err}");
    write("lib/circle.ts", "import { main } from \"../scripts/fault\";\nexport const x = main;\n");
    assert!(bundle(&uses("x", "circle")).contains("is imported by what it imports"));
    assert!(bundle("export { main } from \"../lib/visits\";\n").contains("fault.ts:1:10"));
    let err = ends(folder.path(), &["bundle", "scripts/visit.ts", "--esbuild", "/nowhere/esbuild"], 2).1;
    assert!(err.contains("\"ms\"") && err.contains("npm install --save-dev esbuild"), "{err}");
    write("lib/large.ts", &format!("export const x = () => \"{}\";\n", "x".repeat(4 * 1024 * 1024)));
    let err = bundle(&uses("x", "large"));
    assert!(err.contains("4194304") && err.contains("../lib/large.ts ("), "{err}");
}

#[test]
fn files_from_elsewhere_are_refused() {
    let Some(folder) = project("bundled-elsewhere") else { return };
    fs::create_dir(folder.path().join(".git")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let config = fs::canonicalize(elsewhere.path()).unwrap().join("config.json");
    let config = config.to_str().unwrap();
    fs::write(config, r#"{"token": "swordfish"}"#).unwrap();
    symlink(config, folder.path().join("lib/link.json")).unwrap();
    let import = |module: &str| {
        let source = format!("import c from \"{module}\";\nexport const main = () => c;\n");
        fs::write(folder.path().join("scripts/elsewhere.ts"), source).unwrap();
    };
    for module in [config, &format!("{config}?x"), "../lib/link.json"] {
        import(module);
        let (out, err) = ends(folder.path(), &["bundle", "scripts/elsewhere.ts"], 2);
        assert!(err.contains(config) && err.contains("copy it into the project"), "{module}: {err}");
        assert!(!out.contains("swordfish") && !err.contains("swordfish"), "{module}: {out} {err}");
    }
    // As it says.
    fs::copy(config, folder.path().join("lib/copied.json")).unwrap();
    import("../lib/copied.json");
    assert!(ends(folder.path(), &["bundle", "scripts/elsewhere.ts"], 0).0.contains("swordfish"));
}

#[test]
fn what_is_not_installed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    copied(&root().join("tests/bundled"), folder.path());
    let Some(packages) = packages() else { return };
    let esbuild = packages.join("node_modules/.bin/esbuild");
    let (_, err) = ends(folder.path(), &["push", ".", "--esbuild", esbuild.to_str().unwrap()], 2);
    assert!(err.contains("visit.ts:2:16") && err.contains("run `npm install`"), "{err}");
}

#[test]
fn a_file_that_a_script_imports_is_watched() {
    let Some(folder) = project("bundled-dev") else { return };
    let units = folder.path().join("lib/units.json");
    let dev = Dev::watch(folder.path(), &["--call", "f/bundled-dev/visit", "--arg", "name=bob"]);
    let until = |ms: u32| {
        dev.until("the result", |event| event["event"] == "result" && event["result"]["ms"] == ms);
    };
    until(172_800_000);
    fs::write(&units, r#"{ "default": "1s" }"#).unwrap();
    until(1_000);
    // One that breaks it, and mends it.
    let visits = folder.path().join("lib/visits.ts");
    let text = fs::read_to_string(&visits).unwrap();
    fs::write(&visits, "export const = 1;").unwrap();
    let failed = dev.until("the fault", |event| event["event"] == "failed");
    assert!(failed["error"]["diagnostics"][0]["file"].as_str().unwrap().ends_with("lib/visits.ts"), "{failed}");
    fs::write(&visits, text).unwrap();
    dev.until("that it is right again", |event| event["event"] == "deployed" && event["fixed"] == true);
}
