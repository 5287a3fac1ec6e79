//! `[build]` of `sandmill.toml`: what a project's component is compiled from, and where it lies.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

/// A language whose scripts are compiled before they are deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compiled {
    Rust,
    Go,
    C,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    pub(crate) language: Compiled,
    /// The component, relative to the project's folder.
    pub(crate) output: PathBuf,
    /// Files of C, relative to the project's folder; where none is named, those in the folder itself.
    #[serde(default)]
    pub(crate) sources: Vec<PathBuf>,
}

impl Build {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !is_inside(&self.output) {
            return Err("`output` is a file inside of the project, e.g. \"dist/hello.wasm\"");
        }
        if self.output.extension().is_none_or(|extension| extension != "wasm") {
            return Err("`output` ends in .wasm, e.g. \"dist/hello.wasm\"");
        }
        if self.language != Compiled::C && !self.sources.is_empty() {
            return Err("`sources` is for C; what other compilers read is said in their own files");
        }
        // They become arguments of a compiler, some of which execute what they name.
        if self.sources.iter().any(|source| !is_inside(source) || source.extension().is_none_or(|extension| extension != "c")) {
            return Err("`sources` are files inside of the project that end in .c, e.g. \"lib/text.c\"");
        }
        Ok(())
    }
}

fn is_inside(file: &Path) -> bool {
    file.file_name().is_some() && file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
