//! C: any clang with the libc of WASI makes a core module of the script and the SDK beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Tools,
    tool::{self, Need},
};
use crate::{commands::init::SDK_FOLDER, error::CliError};

const NEED: Need =
    Need { purpose: "compile C", remedy: "`python3 -m pip install ziglang==0.17.1` gets one; --cc or CC_WASM names another" };
const FLAGS: &[&str] = &["-target", "wasm32-wasi", "-mexec-model=reactor", "-std=c17", "-Os", "-s", "-Wl,-z,stack-size=1048576"];

pub(super) fn module(root: &Path, sources: &[PathBuf], tools: &Tools, module: &Path) -> Result<(), CliError> {
    let sdk = Path::new(SDK_FOLDER);
    if !root.join(sdk).join("include").is_dir() {
        return Err(CliError::input(format!(
            "{} is not here: that is the SDK, and `sandmill init --lang c` in an empty folder makes one to copy",
            root.join(sdk).display()
        )));
    }
    let own = if sources.is_empty() { files_of(root, Path::new(""))? } else { sources.to_vec() };
    if own.is_empty() {
        return Err(CliError::input(format!("there is no .c file in {}; name those elsewhere as `sources` of [build]", root.display())));
    }
    let words = compiler(tools)?;
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or("zig", String::as_str));
    // Relative to the project's folder, as its author knows them from what the compiler says of them; no file's name is an option.
    let own = own.iter().map(|file| Path::new(".").join(file));
    command.args(words).args(FLAGS).arg("-I").arg(sdk.join("include")).arg("-o").arg(module).args(own);
    command.args(files_of(root, &sdk.join("src"))?).arg(sdk.join("bindings").join("imports.c")).current_dir(root);
    tool::run(&mut command, &NEED)
}

/// The files of C in a folder of the project, relative to the project and in the order of their names.
fn files_of(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let whole = root.join(folder);
    let failed = |error: std::io::Error| CliError::input(format!("cannot list {}: {error}", whole.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(&whole).map_err(failed)? {
        let file = folder.join(entry.map_err(failed)?.file_name());
        if file.extension().is_some_and(|extension| extension == "c") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The program and its first arguments.
fn compiler(tools: &Tools) -> Result<Vec<String>, CliError> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if let Some(chosen) = tools.cc.as_deref().filter(|chosen| !chosen.trim().is_empty()) {
        return Ok(words(chosen));
    }
    if tool::works("python3", &["-c", "import ziglang"]) {
        return Ok(words("python3 -m ziglang cc"));
    }
    if tool::works("zig", &["version"]) {
        return Ok(words("zig cc"));
    }
    Err(NEED.absent("zig cc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        for file in ["b.c", "a.c", "a.h", "lib/z.c", "lib/notes.md"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let list = |below: &str| files_of(folder.path(), Path::new(below)).unwrap();
        assert_eq!(list(""), [PathBuf::from("a.c"), PathBuf::from("b.c")]);
        assert_eq!(list("lib"), [PathBuf::from("lib/z.c")]);
        assert!(files_of(folder.path(), Path::new("gone")).is_err());
    }

    #[test]
    fn a_compiler_may_be_chosen() {
        let tools = Tools { cc: Some(" clang  --sysroot=wasi ".to_owned()) };
        assert_eq!(compiler(&tools).unwrap(), ["clang", "--sysroot=wasi"]);
    }
}
