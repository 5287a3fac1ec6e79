//! The repository as a set of text files: what `tidy` reads, and where commands run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::exec;

/// The folder of the workspace's Cargo.toml.
#[must_use]
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // What cargo says at run time: where two checkouts share a target folder, the program may be the other one's.
        let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        here.parent().map_or(here.clone(), Path::to_owned)
    })
}

/// Where cargo puts what it builds for this workspace.
///
/// # Errors
/// If cargo cannot read the workspace.
pub fn target_folder() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let text = exec::read(exec::cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("`cargo metadata` wrote something else than expected")?;
    Ok(metadata.target_directory)
}

/// One text file; the path is relative to the root, with `/`.
#[derive(Clone, Debug)]
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    #[must_use]
    pub fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// In hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether this file exists for tests only.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| ["tests", "tests.rs", "testkit", "benches", "examples"].contains(&part))
    }

    /// Lines of the code that ships: without comments and without what follows a file's own `#[cfg(test)]`.
    pub fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests_from = self.text.lines().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(usize::MAX);
        self.lines().take_while(move |(number, _)| *number <= tests_from).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Every text file that is tracked, or would be by `git add --all`.
    ///
    /// # Errors
    /// If git cannot list them.
    pub fn read() -> Result<Self> {
        let listed = exec::read(exec::command("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
        let mut files = Vec::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // Deleted but not yet committed, a link, or not text: nothing to read.
            if let Ok(text) = fs::read_to_string(root().join(path)) {
                files.push(File { path: path.to_owned(), text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Self { files })
    }

    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() }).collect() }
    }

    #[must_use]
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Files under a folder, given with its `/` at the end.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.starts_with(folder))
    }

    /// Rust sources of the crates that ship: neither guests nor runtimes nor examples.
    pub fn host_sources(&self) -> impl Iterator<Item = &File> {
        let shipped =
            |file: &&File| ["host/", "cli/", "web/"].iter().any(|folder| file.path.starts_with(folder)) && file.extension() == "rs";
        self.files.iter().filter(shipped)
    }
}
