//! What esbuild says of what it has read.

mod project;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use self::project::Project;
use super::{esbuild::real, folder_of};
use crate::error::CliError;

/// Parts that are named of a bundle that is too large.
const LARGEST: usize = 5;

#[derive(Deserialize)]
struct Said {
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Input {}

#[derive(Deserialize)]
struct Output {
    inputs: BTreeMap<String, Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    bytes_in_output: u64,
}

#[derive(Debug)]
pub(super) struct Metafile {
    pub(super) inputs: BTreeSet<PathBuf>,
    pub(super) largest: Vec<String>,
    pub(super) imports_script: bool,
}

impl Metafile {
    /// `temporary` is the folder of what is neither the user's nor a package's.
    ///
    /// # Errors
    /// It cannot be read, or names a file from outside of the script's project.
    pub(super) fn read(text: &str, file: &Path, temporary: &Path) -> Result<Self, CliError> {
        let said: Said =
            serde_json::from_str(text).map_err(|error| CliError::input(format!("esbuild's list of files cannot be read: {error}")))?;
        let (folder, real_folder, real_temporary) = (folder_of(file), real(folder_of(file)), real(temporary));
        let script = real(file);
        let project = Project::of(&real_folder);
        let mut found = Self { inputs: BTreeSet::new(), largest: Vec::new(), imports_script: false };
        for name in said.inputs.keys() {
            let whole = plain(&real_folder.join(name));
            if whole.starts_with(&real_temporary) {
                continue;
            }
            if let Some(outside) = project.outside(name) {
                let (file, outside, root) = (file.display(), outside.display(), project.root.display());
                let help = "copy it into the project";
                return Err(CliError::input(format!("{file} imports {outside}, which is outside of its project {root}: {help}")));
            }
            // `<stdin>`, and what its own makes of missing things, is no file.
            if !whole.is_file() {
                continue;
            }
            found.imports_script |= whole == script;
            // As whoever watches calls the files beside it, if that is the same file.
            let near = plain(&folder.join(name));
            let path = if near.is_file() { near } else { whole };
            if !is_brought(&path) {
                found.inputs.insert(path);
            }
        }
        let parts = said.outputs.values().flat_map(|output| &output.inputs);
        let mut parts: Vec<(u64, &str)> = parts.map(|(name, part)| (part.bytes_in_output, name.as_str())).collect();
        parts.sort_by_key(|(bytes, name)| (Reverse(*bytes), *name));
        found.largest = parts.iter().take(LARGEST).map(|(bytes, name)| format!("{name} ({bytes} bytes)")).collect();
        Ok(found)
    }
}

/// Whether a package manager has put it there.
pub(super) fn is_brought(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "node_modules")
}

/// Without `a/..`, and without `.` but at its begin, where it says nothing else.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let is_below = plain.components().next_back().is_some_and(|last| matches!(last, Component::Normal(_)));
        if part == Component::ParentDir && is_below {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}
