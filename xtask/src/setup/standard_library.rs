//! The wasm32-wasip2 standard library from Debian's sources, for machines that reach a package mirror but not Rust's servers.
//!
//! Debian carries `rust-src` of every release and a `wasi-libc` with the start files that this target links. The mirror is
//! the machine's own; only the suite that has current versions is named here.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{WASM_TARGET, target_libraries};
use crate::{
    cache,
    exec::{self, command},
};

/// Suites with a current compiler; packages come from the first that has them.
const SUITES: &[&str] = &["trixie-backports", "trixie"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Start files and libc of the target, linked by rustc from its `self-contained` folder.
const LIBC_FILES: &[&str] = &["crt1-command.o", "crt1-reactor.o", "libc.a"];

pub(super) fn build() -> Result<()> {
    let work = cache::folder("standard-library")?;
    let unpacked = work.join("unpacked");
    download(&work, &unpacked)?;
    let library = unpacked.join(format!("usr/src/rustc-{}/library", rustc_version()?));
    if !library.is_dir() {
        bail!("the distribution's rust-src is not of the version of rustc here ({})", rustc_version()?);
    }
    let libraries = compile(&library, &work.join("target"))?;
    install(&libraries, &unpacked)?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

fn rustc_version() -> Result<String> {
    let text = exec::read(command("rustc").arg("--version"))?;
    text.split_whitespace().nth(1).map(ToOwned::to_owned).context("rustc does not say its version")
}

/// Fetches the packages through a private apt configuration, so that the machine's own stays as it is.
fn download(work: &Path, unpacked: &Path) -> Result<()> {
    let mirror = mirror()?;
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(work.join(folder))?;
    }
    let line = |suite: &&str| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
    fs::write(work.join("sources.list"), SUITES.iter().map(line).collect::<String>())?;
    let version = rustc_version()?;
    let apt = |arguments: &[&str]| {
        let mut apt = command("apt-get");
        apt.current_dir(work);
        for (key, value) in [("Dir::Etc::sourcelist", "sources.list"), ("Dir::State::lists", "lists"), ("Dir::Cache::archives", "archives")]
        {
            apt.arg("-o").arg(format!("{key}={}", work.join(value).display()));
        }
        apt.args(["-o", "Dir::Etc::sourceparts=-", "-o", "APT::Sandbox::User="]).args(arguments);
        apt
    };
    exec::run(&mut apt(&["update"]))?;
    let source = newest(work, "rust-src", &version)?;
    let libc = newest(work, "wasi-libc", "")?;
    exec::run(&mut apt(&["download", &source, &libc]))?;
    for package in
        fs::read_dir(work)?.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
    {
        exec::run(command("dpkg-deb").arg("-x").arg(&package).arg(unpacked))?;
        fs::remove_file(&package)?;
    }
    Ok(())
}

/// `name=version` of the highest version that starts with `prefix` in the lists that were fetched.
fn newest(work: &Path, name: &str, prefix: &str) -> Result<String> {
    let mut found: Vec<String> = Vec::new();
    for list in
        fs::read_dir(work.join("lists"))?.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("_Packages"))
    {
        // apt may keep its lists compressed; its own helper reads every form.
        let text = exec::read(command("/usr/lib/apt/apt-helper").arg("cat-file").arg(&list))?;
        found.extend(versions(&text, name).filter(|version| version.starts_with(prefix)).map(ToOwned::to_owned));
    }
    let best = found.into_iter().reduce(|best, other| if is_newer(&other, &best) { other } else { best });
    best.map(|version| format!("{name}={version}")).with_context(|| format!("the mirror has no {name} {prefix}"))
}

fn is_newer(one: &str, other: &str) -> bool {
    command("dpkg").args(["--compare-versions", one, "gt", other]).status().is_ok_and(|status| status.success())
}

/// Versions of the package in a `Packages` file.
fn versions<'a>(packages: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let field = |stanza: &'a str, key: &'static str| stanza.lines().find_map(move |line| line.strip_prefix(key));
    packages
        .split("\n\n")
        .filter(move |stanza| field(stanza, "Package: ") == Some(name))
        .filter_map(move |stanza| field(stanza, "Version: "))
}

/// The archive that this machine installs from.
fn mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        let is_in_use = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "list" || extension == "sources");
        files.extend(parts.flatten().map(|entry| entry.path()).filter(is_in_use));
    }
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.filter_map(|text| archive(&text)).next().context("no Debian archive in this machine's apt sources")
}

/// The first archive in a `sources.list` or deb822 file that is not for security updates only.
fn archive(text: &str) -> Option<String> {
    let words = text.lines().filter(|line| line.starts_with("deb ") || line.starts_with("URIs:")).flat_map(str::split_whitespace);
    words.filter(|word| word.contains("://") && word.contains("debian") && !word.contains("security")).map(ToOwned::to_owned).next()
}

fn compile(library: &Path, target: &Path) -> Result<PathBuf> {
    let mut cargo = exec::cargo();
    cargo
        .current_dir(library)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Cembed-bitcode=yes -Zforce-unstable-if-unmarked")
        .env("CARGO_TARGET_DIR", target);
    cargo.args(["build", "--release", "--package", "sysroot", "--target", WASM_TARGET, "--features", "panic-unwind compiler-builtins-mem"]);
    exec::run(&mut cargo)?;
    Ok(target.join(WASM_TARGET).join("release/deps"))
}

fn install(libraries: &Path, unpacked: &Path) -> Result<()> {
    let destination = target_libraries()?;
    let own = destination.join("self-contained");
    fs::create_dir_all(&own).with_context(|| format!("cannot write to rustc's own folder {}", destination.display()))?;
    for library in fs::read_dir(libraries)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rlib"))
    {
        fs::copy(&library, destination.join(library.file_name().unwrap_or_default()))?;
    }
    let libc = unpacked.join("usr/lib").join(WASM_TARGET);
    for file in LIBC_FILES {
        let source = libc.join(file);
        fs::copy(&source, own.join(file)).with_context(|| format!("the distribution's wasi-libc has no {}", source.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_found_in_both_formats() {
        for (text, expected) in [
            ("deb http://mirror.test/debian stable main\n", Some("http://mirror.test/debian")),
            ("deb [arch=amd64] http://mirror.test/debian stable main\n", Some("http://mirror.test/debian")),
            ("# deb http://mirror.test/debian stable main\n", None),
            ("Types: deb\nURIs: http://mirror.test/debian\nSuites: stable\n", Some("http://mirror.test/debian")),
            ("deb http://mirror.test/debian-security stable main\n", None),
        ] {
            assert_eq!(archive(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn versions_are_read_from_a_packages_file() {
        let text = "Package: rust-src\nVersion: 1.85.0\n\nPackage: other\nVersion: 9\n\nPackage: rust-src\nVersion: 1.95.0~bpo13+1\n";
        assert_eq!(versions(text, "rust-src").collect::<Vec<_>>(), ["1.85.0", "1.95.0~bpo13+1"]);
    }
}
