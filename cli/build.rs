//! Packs what `sandmill init` copies into projects: the SDKs, as long as no registry has them.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

/// A list's name, the folder below `guest-sdk`, and what of it a project needs; the empty text is all of it.
const SDKS: &[(&str, &str, &[&str])] =
    &[("C", "c", &["bindings", "fake", "include", "src"]), ("GO", "go", &[""]), ("RUST", "rust", &["Cargo.toml", "macros", "src", "wit"])];
/// Folders that are for those who write the SDKs.
const SKIPPED: &[&str] = &["examples", "target", "tests"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../wit");
    let mut text = String::new();
    for (list, language, parts) in SDKS {
        let root = Path::new("../guest-sdk").join(language);
        let mut files = Vec::new();
        for part in *parts {
            let part = root.join(part);
            println!("cargo:rerun-if-changed={}", part.display());
            collect(&part, &mut files)?;
        }
        files.sort_by_cached_key(|file| file.display().to_string());
        declare(&mut text, list, &root, &files)?;
    }
    let folder = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&folder).join("sdks.rs"), text)
}

/// Every file below the path, links followed.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if is_packed(&entry) {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn is_packed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_other = name.starts_with('.') || name.ends_with("_test.go") || name.ends_with(".md");
    !is_other && !SKIPPED.contains(&name.as_str())
}

/// `const RUST: …`: names below the SDK's folder, and the texts.
fn declare(text: &mut String, list: &str, root: &Path, files: &[PathBuf]) -> io::Result<()> {
    let _infallible = writeln!(text, "const {list}: &[(&str, &str)] = &[");
    for file in files {
        let name = file.strip_prefix(root).map_err(io::Error::other)?;
        let (name, file) = (name.display().to_string(), format!("/{}", file.display()));
        let _infallible = writeln!(text, "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {file:?}))),");
    }
    text.push_str("];\n");
    Ok(())
}
