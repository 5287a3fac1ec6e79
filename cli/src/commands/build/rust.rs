//! Rust: cargo makes a component by itself; here it is found.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::tool::{self, Need};
use crate::{console::Console, error::CliError, files};

const NEED: Need = Need { purpose: "compile Rust", remedy: "get it from https://rustup.rs" };
const TARGET: &str = "wasm32-wasip2";
/// Kinds of targets that become components.
const KINDS: &[&str] = &["cdylib", "bin"];

pub(super) fn component(root: &Path, console: &mut Console) -> Result<Vec<u8>, CliError> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]).current_dir(root);
    let output = tool::read(&mut command, &NEED)?;
    let messages = String::from_utf8_lossy(&output.stdout);
    // What others wrote there, e.g. macros while they ran.
    for line in messages.lines().filter(|line| !line.starts_with('{')) {
        console.note(line);
    }
    if !output.status.success() {
        return Err(if is_target_absent(root) { target_absent() } else { tool::failed(&command, output.status) });
    }
    // Cargo says where it is, links resolved.
    let manifest = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()).join("Cargo.toml");
    files::read_component(&artifact(&messages, &manifest)?)
}

/// A line of what cargo says; others have other fields.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: PathBuf,
    target: Target,
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

/// The one component of the package that this is the manifest of; in a workspace without such a package, of all its members.
fn artifact(messages: &str, manifest: &Path) -> Result<PathBuf, CliError> {
    let mut own = Vec::new();
    let mut others = Vec::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()) {
        let is_component = message.reason == "compiler-artifact" && message.target.kind.iter().any(|kind| KINDS.contains(&kind.as_str()));
        if is_component {
            let files = message.filenames.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "wasm"));
            if message.manifest_path == manifest { own.extend(files) } else { others.extend(files) }
        }
    }
    let mut found = if own.is_empty() { others } else { own };
    match (found.pop(), found.pop()) {
        (Some(file), None) => Ok(file),
        (Some(one), Some(other)) => Err(CliError::input(format!(
            "{} makes {} and {}: a project has one component, so make a project of each",
            manifest.display(),
            other.display(),
            one.display()
        ))),
        (None, _) => Err(CliError::input(format!(
            "{} makes no component: set crate-type = [\"cdylib\"] under [lib], or write a program",
            manifest.display()
        ))),
    }
}

/// Whether the compiler lacks the library for WebAssembly; false if it does not say.
fn is_target_absent(root: &Path) -> bool {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]).current_dir(root).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = command.output() else { return false };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success() && !Path::new(&folder).is_dir()
}

fn target_absent() -> CliError {
    CliError::input(format!("Rust's target {TARGET} is needed to compile scripts, and is not here: `rustup target add {TARGET}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(manifest: &str, kind: &str, file: &str) -> String {
        let message = serde_json::json!({
            "reason": "compiler-artifact", "package_id": "x", "manifest_path": manifest, "fresh": false,
            "target": {"kind": [kind], "name": "x"}, "filenames": [file],
        });
        format!("{message}\n")
    }

    fn check(lines: &[String], expected: Result<&str, &str>) {
        let text = format!("a macro speaks\n{}{{\"reason\":\"build-finished\",\"success\":true}}\n", lines.concat());
        match (artifact(&text, Path::new("/p/Cargo.toml")), expected) {
            (Ok(file), Ok(expected)) => assert_eq!(file, Path::new(expected)),
            (Err(CliError::Input(text)), Err(part)) => assert!(text.contains(part), "{text}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn the_component_is_found_among_what_cargo_says() {
        let own = line("/p/Cargo.toml", "cdylib", "/t/hello.wasm");
        let library = line("/p/sandmill-sdk/Cargo.toml", "lib", "/t/libsandmill.rlib");
        let of_another = line("/q/Cargo.toml", "cdylib", "/t/other.wasm");
        let program = line("/p/Cargo.toml", "bin", "/t/tool.wasm");
        check(&[library.clone(), own.clone()], Ok("/t/hello.wasm"));
        check(&[of_another.clone(), own.clone()], Ok("/t/hello.wasm"));
        check(&[library.clone(), of_another], Ok("/t/other.wasm"));
        check(&[own, program], Err("a project has one component"));
        check(&[library], Err("cdylib"));
        check(&[line("/p/Cargo.toml", "custom-build", "/t/build-script")], Err("cdylib"));
    }
}
