//! The project of a script: only files in it, and packages, become part of the script. Otherwise a script of somebody else's could take
//! along what its user has beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{is_brought, plain};
use crate::project::FILE_NAME;

/// What a project's folder has; one that comes earlier counts for more, however far up it is.
const MARKS: &[&str] = &[".git", FILE_NAME, "package.json"];
/// A name of esbuild's is cut at so many places of each kind, at most.
const CUTS_MAX: usize = 64;

pub(super) struct Project {
    /// Of the script, without links.
    folder: PathBuf,
    pub(super) root: PathBuf,
}

impl Project {
    /// `folder` is the script's, without links.
    pub(super) fn of(folder: &Path) -> Self {
        let root = root(&folder.ancestors().collect::<Vec<_>>()).unwrap_or(folder);
        Self { folder: folder.to_owned(), root: root.to_owned() }
    }

    /// Where an input is, as esbuild calls it, if it is neither in the project nor of a package. One that is not there any longer
    /// counts, too: `/proc/self` was esbuild's own.
    pub(super) fn outside(&self, input: &str) -> Option<PathBuf> {
        let is_made_up = input.starts_with('<') || input.starts_with("(disabled):");
        if is_made_up && !self.folder.join(input).is_file() {
            return None;
        }
        let mut outside: Vec<PathBuf> = readings(input).filter_map(|reading| self.reads_outside(reading)).collect();
        let shown = outside.iter().position(|path| path.is_file()).unwrap_or(0);
        (shown < outside.len()).then(|| outside.swap_remove(shown))
    }

    fn reads_outside(&self, reading: &str) -> Option<PathBuf> {
        let path = plain(&self.folder.join(reading));
        let path = fs::canonicalize(&path).unwrap_or(path);
        (!path.starts_with(&self.root) && !is_brought(&path)).then_some(path)
    }
}

/// The name itself, and what of it may be the file: `import "./a.json?x"` reads `a.json`, and is called `a.json?x`.
fn readings(input: &str) -> impl Iterator<Item = &str> {
    let suffixes = input.match_indices(['?', '#']).take(CUTS_MAX);
    let attributes = input.match_indices(" with {").take(CUTS_MAX);
    std::iter::once(input).chain(suffixes.chain(attributes).map(|(end, _)| &input[..end]))
}

/// The folder of the project among the script's and those above, the nearest first.
fn root<'a>(folders: &[&'a Path]) -> Option<&'a Path> {
    let marked = |mark: &&str| folders.iter().find(|folder| folder.join(mark).exists()).copied();
    MARKS.iter().find_map(marked)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[&str]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        let real = fs::canonicalize(folder.path()).unwrap();
        (folder, real)
    }

    #[test]
    fn the_root_has_a_mark() {
        for (files, expected) in [
            (&["a/b/c/x.ts"][..], None),
            (&["a/package.json", "a/b/c/x.ts"], Some("a")),
            (&["a/package.json", "a/b/package.json", "a/b/c/x.ts"], Some("a/b")),
            (&["a/sandmill.toml", "a/b/package.json", "a/b/c/x.ts"], Some("a")),
            (&["a/.git/HEAD", "a/b/sandmill.toml", "a/b/c/package.json"], Some("a")),
            (&["a/.git/HEAD", "a/b/.git", "a/b/c/x.ts"], Some("a/b")),
        ] {
            let (_kept, top) = folder(files);
            let scripts = top.join("a/b/c");
            // What is above the temporary folder does not matter here.
            let folders: Vec<&Path> = scripts.ancestors().take_while(|folder| *folder != top).collect();
            assert_eq!(root(&folders), expected.map(|folder| top.join(folder)).as_deref(), "{files:?}");
        }
    }

    #[test]
    fn what_is_outside_is_found() {
        let files = [
            "me/config.json",
            "me/app/.git/HEAD",
            "me/app/scripts/x.ts",
            "me/app/lib/a.json",
            "me/app/lib/c#/a.json",
            "me/app/node_modules/x/x.js",
            "store/node_modules/y/y.js",
        ];
        let (_kept, top) = folder(&files);
        let at = |path: &str| top.join(path);
        symlink(at("me/config.json"), at("me/app/lib/link.json")).unwrap();
        symlink(at("me"), at("me/app/node_modules/me")).unwrap();
        symlink(at("store/node_modules/y"), at("me/app/node_modules/y")).unwrap();
        let project = Project::of(&at("me/app/scripts"));
        assert_eq!(project.root, at("me/app"));
        for inside in [
            "x.ts",
            "../lib/a.json",
            "../lib/a.json?x",
            "../lib/c#/a.json",
            "../lib/gone.json",
            "../node_modules/x/x.js",
            "../node_modules/y/y.js",
            "../../../store/node_modules/y/y.js",
            "<stdin>",
            "<data:text/plain,/../../../../../x>",
            "(disabled):../../../x.js",
        ] {
            assert_eq!(project.outside(inside), None, "{inside}");
        }
        for outside in [
            "../../config.json",
            "../../config.json?x",
            "../../config.json#x",
            "../../config.json?/../../me/app/lib/a.json",
            "../../config.json?/node_modules/x",
            "../../config.json with { type: 'json' }",
            "../lib/link.json",
            "../node_modules/me/config.json",
        ] {
            assert_eq!(project.outside(outside), Some(at("me/config.json")), "{outside}");
        }
        assert_eq!(project.outside("../../gone.json"), Some(at("me/gone.json")));
        assert_eq!(project.outside("../../../mean/app/x.ts"), Some(at("mean/app/x.ts")));
    }
}
