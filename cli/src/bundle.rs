//! A script that imports other modules becomes the one module that the server takes.
//!
//! What it imports is bundled by esbuild and appended to the script; the statements that import it become spaces. The script itself stays as
//! it was written: its types make the schema of the arguments, and every line and column is where its author sees it.

mod esbuild;
mod guard;
mod imports;
mod messages;
mod metafile;
mod rewrite;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    thread,
};

use sandmill_model::{Language, build::Diagnostic};

use self::{esbuild::Made, imports::Found};
use crate::error::CliError;

/// For trees that go deep; the server says of those that go too deep what is wrong with them.
const PARSER_STACK_BYTES: usize = 256 * 1024 * 1024;

/// What bundles, where a choice is left.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Bundler {
    /// Bundler of what a script imports [default: `node_modules/.bin/esbuild` of its folder or of one above, else `esbuild`]
    #[arg(long, env = "SANDMILL_ESBUILD", value_name = "PROGRAM")]
    pub(crate) esbuild: Option<PathBuf>,
}

/// A source on disk, and how much it may grow.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) language: Language,
    pub(crate) bytes: &'a [u8],
    pub(crate) bytes_max: u64,
}

/// What came of a source.
#[derive(Debug)]
pub(crate) struct Bundled {
    /// None: it is one module already, and goes as it is.
    pub(crate) source: Result<Option<Vec<u8>>, CliError>,
    /// Files of the user's own that are part of it; with a fault those that may mend it, whether they are there or not.
    pub(crate) inputs: BTreeSet<PathBuf>,
}

pub(crate) async fn bundle(source: Source<'_>, bundler: &Bundler) -> Bundled {
    let mut inputs = BTreeSet::new();
    let source = attempt(source, bundler, &mut inputs).await;
    Bundled { source, inputs }
}

async fn attempt(source: Source<'_>, bundler: &Bundler, inputs: &mut BTreeSet<PathBuf>) -> Result<Option<Vec<u8>>, CliError> {
    // What cannot be read as text, or as a script, is for the server to say.
    let Ok(text) = std::str::from_utf8(source.bytes) else { return Ok(None) };
    if source.language == Language::Component || !may_import(text) {
        return Ok(None);
    }
    let (mark, text) = if text.starts_with('\u{feff}') { text.split_at('\u{feff}'.len_utf8()) } else { ("", text) };
    let Some(found) = deep(|| imports::find(text, source.language))? else { return Ok(None) };
    if found.imports.is_empty() && found.faults.is_empty() {
        return Ok(None);
    }
    if !found.faults.is_empty() {
        let fault = |(place, message, help): &(usize, String, String)| messages::at(&name(source.file), text, *place, message, Some(help));
        return Err(CliError::Diagnostics(found.faults.iter().map(fault).collect()));
    }
    let made = match esbuild::run(source.file, &found, bundler).await {
        Ok(made) => made,
        Err(esbuild::Failure::Said(said)) => {
            let diagnostics = messages::diagnostics(source.file, text, &found, &said);
            inputs.extend(remedies(source.file, &found, &diagnostics));
            return Err(CliError::Diagnostics(diagnostics));
        }
        Err(esbuild::Failure::Other(error)) => {
            inputs.extend(remedies(source.file, &found, &[]));
            return Err(error);
        }
    };
    inputs.extend(made.inputs.iter().cloned());
    let whole = assemble(&source, text, &found, &made)?;
    Ok(Some([mark.as_bytes(), whole.as_bytes()].concat()))
}

fn assemble(source: &Source<'_>, text: &str, found: &Found, made: &Made) -> Result<String, CliError> {
    if made.imports_script {
        let what = source.file.display();
        return Err(CliError::input(format!("{what} is imported by what it imports; move what both need to a module of its own")));
    }
    let guarded = deep(|| guard::guard(&made.code, found, source.language))?;
    let guarded = guarded.map_err(|fault| CliError::input(format!("{}: {fault}", source.file.display())))?;
    let whole = rewrite::rewrite(text, found, &guarded);
    if whole.len() as u64 > source.bytes_max {
        return Err(CliError::input(format!(
            "{} has {} bytes with what it imports, and a source has at most {}. The largest parts: {}",
            source.file.display(),
            whole.len(),
            source.bytes_max,
            made.largest.join(", ")
        )));
    }
    Ok(whole)
}

/// Whether there is anything to look for; most scripts are not even parsed.
fn may_import(text: &str) -> bool {
    text.contains("import") || (text.contains("export") && text.contains("from"))
}

/// On a stack that deep trees fit in.
fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, CliError> {
    thread::scope(|scope| {
        let started = thread::Builder::new().stack_size(PARSER_STACK_BYTES).spawn_scoped(scope, work);
        let started = started.map_err(|error| CliError::input(format!("no thread can be started: {error}")))?;
        started.join().map_err(|_| CliError::input("the script's imports could not be read"))
    })
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The folder that imports are relative to.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Files whose change may make it work.
fn remedies(file: &Path, found: &Found, diagnostics: &[Diagnostic]) -> BTreeSet<PathBuf> {
    const ENDS: &[&str] = &["", ".ts", ".tsx", ".mts", ".js", ".mjs", ".json", "/index.ts", "/index.js"];
    let folder = folder_of(file);
    let is_own = |path: &PathBuf| path != file && !metafile::is_brought(path);
    let named = diagnostics.iter().map(|diagnostic| PathBuf::from(&diagnostic.file)).filter(|path| path.is_file());
    let near = found.imports.iter().filter(|import| import.module.starts_with('.')).flat_map(|import| {
        let module = &import.module;
        ENDS.iter().map(move |end| metafile::plain(&folder.join(format!("{module}{end}"))))
    });
    // Written by npm at the end of each installation.
    let installed = folder.ancestors().map(|folder| folder.join("node_modules/.package-lock.json"));
    named.chain(near).filter(is_own).chain(installed).collect()
}

#[cfg(test)]
mod tests;
