//! Finds esbuild and lets it bundle. It is the user's own, of the version that their project says.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time,
};

use super::{
    Bundler, folder_of,
    imports::Found,
    metafile::Metafile,
    rewrite::{entry, exports_name, module_name},
};
use crate::{error::CliError, files};

/// Packages as they are published for workers and browsers: the sandbox has web APIs, and nothing of Node.
const OPTIONS: &[&str] = &[
    "--bundle",
    "--format=iife",
    "--platform=browser",
    "--conditions=worker,module",
    "--target=es2023",
    "--charset=utf8",
    "--define:process.env.NODE_ENV=\"production\"",
    "--define:global=globalThis",
    "--log-level=error",
    "--log-limit=10",
    "--color=false",
];
/// It takes milliseconds; a program that is something else may take for ever.
const PATIENCE: Duration = Duration::from_secs(60);
const SAID_BYTES_MAX: u64 = 1024 * 1024;
const ABSENT: &str = "`npm install --save-dev esbuild` installs it; --esbuild or SANDMILL_ESBUILD names another";

/// What it made.
pub(super) struct Made {
    pub(super) code: String,
    /// Files that it read, without those of packages.
    pub(super) inputs: BTreeSet<PathBuf>,
    /// With their bytes, the largest first.
    pub(super) largest: Vec<String>,
    /// Whether what is imported imports the script.
    pub(super) imports_script: bool,
}

pub(super) enum Failure {
    /// What it said of the sources.
    Said(String),
    Other(CliError),
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Self::Other(error)
    }
}

pub(super) async fn run(file: &Path, found: &Found, bundler: &Bundler) -> Result<Made, Failure> {
    let failed = |error: io::Error| CliError::input(format!("there is no folder for what esbuild makes: {error}"));
    let temporary = tempfile::tempdir().map_err(failed)?;
    let at = |name: &str| temporary.path().join(name);
    let shim = format!("module.exports = {};\n", module_name(found));
    fs::write(at("sandmill.cjs"), shim).map_err(failed)?;
    let folder = folder_of(file);
    let program = program(folder, bundler)?;
    let mut command = Command::new(&program);
    command.args(OPTIONS).current_dir(folder);
    command.arg(format!("--global-name={}", exports_name(found)));
    for (option, name) in [("--alias:sandmill=", "sandmill.cjs"), ("--outfile=", "out.js"), ("--metafile=", "meta.json")] {
        let mut argument = std::ffi::OsString::from(option);
        argument.push(at(name));
        command.arg(argument);
    }
    let (status, said) = spoken(command, &entry(found)).await.map_err(|error| not_run(&program, file, found, &error))?;
    if !status.success() {
        if said.contains("[ERROR]") {
            return Err(Failure::Said(said));
        }
        return Err(CliError::input(format!("`{}` ended with {status}: {}", program.display(), said.trim())).into());
    }
    let read = |name: &str| {
        let text = files::read_component(&at(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.map_err(|_| CliError::input(format!("`{}` has made nothing that can be read: is it esbuild?", program.display())))
    };
    let code = read("out.js")?;
    let metafile = Metafile::read(&read("meta.json")?, file, temporary.path())?;
    Ok(Made { code, inputs: metafile.inputs, largest: metafile.largest, imports_script: metafile.imports_script })
}

/// Chosen, else that of the nearest folder upwards that has one, else whatever is called so.
fn program(folder: &Path, bundler: &Bundler) -> Result<PathBuf, CliError> {
    let whole = |path: &Path| std::path::absolute(path).map_err(|error| CliError::input(format!("{}: {error}", path.display())));
    if let Some(chosen) = bundler.esbuild.as_deref().filter(|chosen| !chosen.as_os_str().is_empty()) {
        // It is started in another folder.
        return if chosen.components().count() > 1 { whole(chosen) } else { Ok(chosen.to_owned()) };
    }
    let folder = whole(folder)?;
    let installed = folder.ancestors().map(|folder| folder.join("node_modules/.bin/esbuild")).find(|program| program.is_file());
    Ok(installed.unwrap_or_else(|| PathBuf::from("esbuild")))
}

fn not_run(program: &Path, file: &Path, found: &Found, error: &io::Error) -> CliError {
    let (program, file) = (program.display(), file.display());
    if error.kind() == io::ErrorKind::NotFound {
        let module = found.imports.first().map(|import| import.module.as_str()).unwrap_or_default();
        return CliError::input(format!("{file} imports \"{module}\", and `{program}`, which bundles it, is not here: {ABSENT}"));
    }
    CliError::input(format!("`{program}` cannot bundle what {file} imports: {error}"))
}

/// Runs it to its end, with this on its stdin; gives what it says on stderr. If nobody waits for that any longer, it is killed.
async fn spoken(mut command: Command, input: &str) -> io::Result<(ExitStatus, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn()?;
    match time::timeout(PATIENCE, spoken_by(child, input)).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("it has not ended after {} s", PATIENCE.as_secs()))),
    }
}

async fn spoken_by(mut child: Child, input: &str) -> io::Result<(ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that ends without reading says why.
            let _ended = stdin.write_all(input.as_bytes()).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        match stderr {
            Some(stderr) => stderr.take(SAID_BYTES_MAX).read_to_end(&mut said).await.map(|_| said),
            None => Ok(said),
        }
    };
    let ((), said) = tokio::join!(write, read);
    let said = String::from_utf8_lossy(&said?).into_owned();
    Ok((child.wait().await?, said))
}

/// Where esbuild sees the script's folder, behind links.
pub(super) fn real(folder: &Path) -> PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}
