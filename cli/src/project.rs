//! `sandmill.toml`: which files of a folder are scripts, and the path at which each is deployed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use sandmill_model::{Language, ScriptPath};
use serde::Deserialize;

use crate::{
    error::CliError,
    files::read_settings,
    trigger_file::{as_script, is_trigger, stem},
};

mod build;

pub(crate) use build::{Build, Compiled};

pub(crate) const FILE_NAME: &str = "sandmill.toml";
/// Scripts in one project, and triggers.
const SCRIPTS_MAX: usize = 1_000;
/// Folders below the source folder; a link that leads in circles ends here.
const DEPTH_MAX: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Where scripts found in `source` go, e.g. `f/demo`.
    folder: Option<String>,
    /// Folder in which every script is deployed.
    source: Option<PathBuf>,
    /// Single files and their paths; they count more than the rule.
    paths: BTreeMap<PathBuf, ScriptPath>,
    /// How a script of a compiled language becomes a component.
    build: Option<Build>,
}

#[derive(Clone, Debug)]
pub(crate) struct Project {
    root: PathBuf,
    settings: Settings,
}

/// One script of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) file: PathBuf,
    pub(crate) path: ScriptPath,
}

/// One trigger of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TriggerEntry {
    pub(crate) file: PathBuf,
    pub(crate) path: ScriptPath,
    /// Where the script beside it goes.
    pub(crate) script: Option<ScriptPath>,
}

impl Project {
    /// The project whose folder this is.
    pub(crate) fn open(root: &Path) -> Result<Self, CliError> {
        let file = root.join(FILE_NAME);
        let text = read_settings(&file)
            .map_err(|error| CliError::input(format!("cannot read {}: {error}; `sandmill init` makes a project folder", file.display())))?;
        let settings: Settings = toml::from_str(&text).map_err(|error| CliError::input(format!("{}: {error}", file.display())))?;
        if settings.source.is_some() && settings.folder.is_none() {
            return Err(CliError::input(format!(
                "{}: `source` needs `folder`, where its scripts go, e.g. folder = \"f/demo\"",
                file.display()
            )));
        }
        if let Some(Err(fault)) = settings.build.as_ref().map(Build::check) {
            return Err(CliError::input(format!("{}: [build]: {fault}", file.display())));
        }
        Ok(Self { root: root.to_owned(), settings })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// None if there is nothing to build.
    pub(crate) fn build(&self) -> Option<&Build> {
        self.settings.build.as_ref()
    }

    /// Whether the file is what its build makes.
    pub(crate) fn makes(&self, file: &Path) -> bool {
        let Some(build) = &self.settings.build else { return false };
        let whole = (std::path::absolute(self.root.join(&build.output)), std::path::absolute(file));
        matches!(whole, (Ok(output), Ok(file)) if same(&output, &file))
    }

    /// The project that the file belongs to: the nearest folder upwards with a `sandmill.toml`.
    pub(crate) fn around(file: &Path) -> Result<Option<Self>, CliError> {
        let whole = std::path::absolute(file).map_err(|error| CliError::input(format!("{}: {error}", file.display())))?;
        let root = whole.ancestors().skip(1).find(|folder| folder.join(FILE_NAME).is_file());
        root.map(Self::open).transpose()
    }

    /// Where the file goes; none if the project says nothing of it.
    pub(crate) fn path_of(&self, file: &Path) -> Result<Option<ScriptPath>, CliError> {
        self.path_by(file, file)
    }

    /// Where the trigger in a file goes: as a script of its name would. None if the project says nothing of it.
    pub(crate) fn path_of_trigger(&self, file: &Path) -> Result<Option<ScriptPath>, CliError> {
        self.path_by(file, &as_script(file))
    }

    /// As `[paths]` has it for `file`, else by the name of `named`.
    fn path_by(&self, file: &Path, named: &Path) -> Result<Option<ScriptPath>, CliError> {
        let root = std::path::absolute(&self.root).unwrap_or_else(|_| self.root.clone());
        let absolute = |file: &Path| std::path::absolute(file).map_err(|error| CliError::input(format!("{}: {error}", file.display())));
        let (file, named) = (absolute(file)?, absolute(named)?);
        let (Ok(inside), Ok(named)) = (file.strip_prefix(&root), named.strip_prefix(&root)) else { return Ok(None) };
        if let Some(path) = self.settings.paths.iter().find_map(|(file, path)| (plain(file) == plain(inside)).then(|| path.clone())) {
            return Ok(Some(path));
        }
        let inside = named;
        let (Some(source), Some(folder)) = (&self.settings.source, &self.settings.folder) else { return Ok(None) };
        match plain(inside).strip_prefix(plain(source)) {
            Ok(relative) => derive(folder, relative).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Every script, in the order of their paths.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, CliError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (file, path) in self.settings.paths.iter().filter(|(file, _)| !is_trigger(file)) {
            entries.push(Entry { file: self.root.join(file), path: path.clone() });
        }
        if let Some(source) = &self.settings.source {
            let mut files = Vec::new();
            scan(&self.root.join(plain(source)), (DEPTH_MAX, is_script), &mut files)?;
            for file in files {
                if let Some(path) = self.path_of(&file)?
                    && !entries.iter().any(|entry| entry.path == path && same(&entry.file, &file))
                {
                    entries.push(Entry { file, path });
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(CliError::input(format!(
                "{} and {} would both go to {}",
                pair[0].file.display(),
                pair[1].file.display(),
                pair[0].path
            )));
        }
        if entries.is_empty() {
            return Err(CliError::input(format!(
                "{} names no script: set `source` and `folder`, or list files under [paths]",
                self.root.join(FILE_NAME).display()
            )));
        }
        Ok(entries)
    }

    /// Every trigger, in the order of their paths. `scripts` are those of the project.
    pub(crate) fn triggers(&self, scripts: &[Entry]) -> Result<Vec<TriggerEntry>, CliError> {
        let mut files: Vec<PathBuf> =
            self.settings.paths.keys().filter(|file| is_trigger(file)).map(|file| self.root.join(plain(file))).collect();
        if let Some(source) = &self.settings.source {
            scan(&self.root.join(plain(source)), (DEPTH_MAX, is_trigger), &mut files)?;
        }
        files.sort_unstable();
        files.dedup();
        let mut triggers: Vec<TriggerEntry> = Vec::new();
        for file in files {
            if let Some(path) = self.path_of_trigger(&file)? {
                let name = plain(&stem(&file));
                let script = scripts.iter().find(|entry| plain(&entry.file).with_extension("") == name);
                triggers.push(TriggerEntry { path, script: script.map(|entry| entry.path.clone()), file });
            }
        }
        triggers.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(pair) = triggers.windows(2).find(|pair| pair[0].path == pair[1].path) {
            let (one, other) = (pair[0].file.display(), pair[1].file.display());
            return Err(CliError::input(format!("the triggers of {one} and {other} would both go to {}", pair[0].path)));
        }
        Ok(triggers)
    }
}

fn same(one: &Path, other: &Path) -> bool {
    plain(one) == plain(other)
}

/// Without `.`: `./a` and `a` are the same file.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

/// `f/demo` and `mail/send.ts` make `f/demo/mail/send`.
fn derive(folder: &str, relative: &Path) -> Result<ScriptPath, CliError> {
    let name = relative.with_extension("");
    let name: Vec<_> = name.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let text = format!("{}/{}", folder.trim_end_matches('/'), name.join("/"));
    text.parse().map_err(|error| {
        CliError::input(format!("{} would go to {text:?}, but {error}; rename it or name it under [paths]", relative.display()))
    })
}

/// The scripts in a folder itself, in the order of their names.
pub(crate) fn scripts_in(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    scan(folder, (0, is_script), &mut files)?;
    Ok(files)
}

/// Whether a file with this name is deployed; declarations and tests are not scripts.
pub(crate) fn is_script(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_other =
        [".d.ts", ".d.mts", ".test.ts", ".test.js", ".config.js", ".config.ts", ".config.mjs"].iter().any(|end| name.ends_with(end));
    Language::of_file(file).is_some() && !is_other && !name.starts_with('.')
}

/// Files that `wanted` says yes to.
fn scan(folder: &Path, (depth, wanted): (usize, fn(&Path) -> bool), files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::input(format!("cannot list {}: {error}", folder.display()));
    let mut entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let is_skipped = name.to_string_lossy().starts_with('.') || name == "node_modules" || name == "target";
        if path.is_dir() {
            if depth > 0 && !is_skipped {
                scan(&path, (depth - 1, wanted), files)?;
            }
        } else if wanted(&path) {
            files.push(path);
            if files.len() > SCRIPTS_MAX {
                return Err(CliError::input(format!("more than {SCRIPTS_MAX} scripts or triggers in {}", folder.display())));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
