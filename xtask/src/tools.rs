//! Programs from package registries, each of one version, kept in the user's cache between runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{
    cache,
    exec::{self, answers, cargo, command},
};

/// The engine's own command line: other people's host for the components that scripts are taken away as, and a peer of the benchmarks.
const WASMTIME_CLI: &str = "48.0.8";
/// What running and serving components takes; the rest of its features would double the build.
const WASMTIME_FEATURES: &str = "run,serve,cranelift,component-model-async,pooling-allocator,parallel-compilation,threads";

/// Tells tests and benchmarks where it is.
pub(crate) const WASMTIME_VARIABLE: &str = "SANDMILL_WASMTIME";

/// Services of a cloud, in memory.
const MOTO: &str = "5.2.5";

/// Tells tests where its server is.
pub(crate) const MOTO_VARIABLE: &str = "SANDMILL_MOTO_SERVER";

/// The `wasmtime` program. Optimised, for it compiles components; building it takes minutes, once.
///
/// # Errors
/// If it does not build.
pub fn wasmtime() -> Result<PathBuf> {
    cargo_tool("wasmtime-cli", WASMTIME_CLI, &["--no-default-features", "--features", WASMTIME_FEATURES])
}

/// The server that stands in for a service that speaks S3.
///
/// # Errors
/// If it cannot be installed.
pub fn moto_server() -> Result<PathBuf> {
    let moto = PythonTool { name: "moto", extras: "[s3,server]", version: MOTO, program: "moto_server", question: "--help" };
    moto.installed()
}

/// Asks an API whatever its description allows, and whatever it does not.
const SCHEMATHESIS: &str = "4.32.5";

/// Tells tests where it is.
pub(crate) const SCHEMATHESIS_VARIABLE: &str = "SANDMILL_SCHEMATHESIS";

/// The `schemathesis` program.
///
/// # Errors
/// If it cannot be installed.
pub fn schemathesis() -> Result<PathBuf> {
    python_tool("schemathesis", SCHEMATHESIS)
}

/// Tells tests where the registry of OCI artifacts is.
pub(crate) const REGISTRY_VARIABLE: &str = "SANDMILL_DOCKER_REGISTRY";

/// The registry that Debian has, out of its package, without installing it as a service.
///
/// # Errors
/// If the package cannot be had.
pub fn docker_registry() -> Result<PathBuf> {
    let folder = cache::folder("tools")?.join("docker-registry");
    let program = folder.join("usr/bin/docker-registry");
    if runs(&program) {
        return Ok(program);
    }
    let download = || debian_package("docker-registry", &folder.join("download"));
    let package = download().or_else(|_| {
        // The list of packages may be missing, or older than the package.
        exec::run(command("apt-get").arg("update"))?;
        download()
    })?;
    exec::run(command("dpkg").arg("-x").arg(package).arg(&folder))?;
    Ok(program)
}

/// Downloads a package of Debian into a folder of its own, which is empty before: apt-get names the file only while it is not there.
fn debian_package(name: &str, folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let said = exec::read(command("apt-get").args(["download", "--print-uris", name]).current_dir(folder))?;
    let package = folder.join(package_file(&said).with_context(|| format!("apt-get names no file of {name}: {said}"))?);
    exec::run(command("apt-get").args(["download", name]).current_dir(folder))?;
    anyhow::ensure!(package.is_file(), "apt-get did not download {}", package.display());
    Ok(package)
}

/// `'http://…/x_1%2b2_amd64.deb' x_1+2_amd64.deb 4954916 SHA256:…`
fn package_file(said: &str) -> Option<&str> {
    let mut words = said.lines().find(|line| line.starts_with('\''))?.split(' ');
    words.nth(1).filter(|file| file.ends_with(".deb") && !file.contains('/'))
}

/// Tells tests where components of other people's toolchains are.
pub(crate) const FOREIGN_VARIABLE: &str = "SANDMILL_FOREIGN";

/// A folder with the components of `tests/foreign`; what is fresh is not built again.
///
/// # Errors
/// If one does not build, or its toolchain cannot be had.
pub fn foreign() -> Result<PathBuf> {
    let folder = cache::folder("foreign")?;
    exec::run(command("python3").arg("tests/foreign/build.py").arg("--cache").arg(&folder))?;
    Ok(folder)
}

/// A tool in a virtual environment of its own.
pub(crate) fn python_tool(name: &str, version: &str) -> Result<PathBuf> {
    PythonTool { name, extras: "", version, program: name, question: "--version" }.installed()
}

struct PythonTool<'a> {
    name: &'a str,
    /// What of its package is installed beside it, e.g. `[server]`.
    extras: &'a str,
    version: &'a str,
    program: &'a str,
    /// An argument that makes it say something and end well.
    question: &'a str,
}

impl PythonTool<'_> {
    fn installed(&self) -> Result<PathBuf> {
        let Self { name, extras, version, program, question } = self;
        let folder = cache::folder("tools")?.join(format!("{name}-{version}"));
        let program = folder.join("bin").join(program);
        if !program.to_str().is_some_and(|program| answers(program, question)) {
            exec::run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
            exec::run(command(folder.join("bin/pip")).args(["install", "--quiet", &format!("{name}{extras}=={version}")]))?;
        }
        Ok(program)
    }
}

/// A tool built by cargo. `--debug` where building it optimised would take longer than it will ever run.
pub(crate) fn cargo_tool(name: &str, version: &str, options: &[&str]) -> Result<PathBuf> {
    let folder = cache::folder("tools")?.join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name.trim_end_matches("-cli"));
    if !runs(&program) {
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "--force", "--version", version, "--root"]).arg(&folder).args(options).arg(name);
        exec::run(install.env_remove("CARGO_TARGET_DIR")).with_context(|| format!("{name} {version}"))?;
    }
    Ok(program)
}

/// A cached tool that does not even start is as good as none.
fn runs(program: &Path) -> bool {
    program.to_str().is_some_and(|program| answers(program, "--version"))
}

#[cfg(test)]
mod tests {
    use super::package_file;

    #[test]
    fn the_file_that_apt_get_names() {
        for (said, file) in [
            ("'http://d.test/x_1%2b2_amd64.deb' x_1+2_amd64.deb 4954916 SHA256:a9bd\n", Some("x_1+2_amd64.deb")),
            ("Note: nothing\n'http://d.test/x_1_all.deb' x_1_all.deb 1 SHA256:0\n", Some("x_1_all.deb")),
            ("'http://d.test/x_1_all.deb' ../x_1_all.deb 1 SHA256:0\n", None),
            ("'http://d.test/x_1.tar' x_1.tar 1 SHA256:0\n", None),
            ("", None),
        ] {
            assert_eq!(package_file(said), file, "{said}");
        }
    }
}
