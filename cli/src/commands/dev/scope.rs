//! What is watched: the scripts of a folder with their manifests and what they import, its `sandmill.toml`, and what its build reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    commands::init::SDK_FOLDER,
    error::CliError,
    project::{self, Build, Entry, FILE_NAME, Project},
};

/// Files that a build reads; looking at more takes too long.
const FILES_MAX: usize = 5_000;
/// Folders below that of the project; a link that leads in circles ends here.
const DEPTH_MAX: usize = 12;
/// Folders of what is made or brought, beside hidden ones.
const SKIPPED: [&str; 4] = ["dist", "target", "node_modules", SDK_FOLDER];
/// Files that no build reads.
const UNREAD: [&str; 2] = [".case.json", ".md"];

pub(super) struct Scope {
    dir: PathBuf,
    /// Whose scripts these are where no settings say where they go, e.g. `u/ann`.
    identity: Option<String>,
    project: Option<Project>,
    entries: Vec<Entry>,
    /// What else scripts are made of, by their files.
    inputs: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    files: BTreeSet<PathBuf>,
}

/// Whether the folder says itself where its scripts go.
pub(super) fn has_settings(dir: &Path) -> bool {
    dir.join(FILE_NAME).exists()
}

/// # Errors
/// If there is nothing to deploy in the folder.
pub(super) fn check(dir: &Path) -> Result<(), CliError> {
    if !dir.is_dir() {
        return Err(CliError::input(format!("{} is not a folder; `sandmill init` makes one of a project", dir.display())));
    }
    if has_settings(dir) { Scope::open(dir, None).map(|_| ()) } else { scripts(dir).map(|_| ()) }
}

fn scripts(dir: &Path) -> Result<Vec<PathBuf>, CliError> {
    let scripts = project::scripts_in(dir)?;
    if scripts.is_empty() {
        return Err(CliError::input(format!(
            "there is no script in {}: write one, e.g. hello.ts, or let `sandmill init` make a project folder",
            dir.display()
        )));
    }
    Ok(scripts)
}

/// The file in which the manifest of a script may be.
fn manifest(script: &Path) -> PathBuf {
    script.with_extension("script.toml")
}

impl Scope {
    pub(super) fn open(dir: &Path, identity: Option<String>) -> Result<Self, CliError> {
        let project = if has_settings(dir) { Some(Project::open(dir)?) } else { None };
        let (entries, inputs, files) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let mut scope = Self { dir: dir.to_owned(), identity, project, entries, inputs, files };
        match scope.refresh() {
            // What is deployed may be in a folder that only the build makes.
            Err(_) if scope.build().is_some() => Ok(scope),
            Err(error) => Err(error),
            Ok(()) => Ok(scope),
        }
    }

    /// The same folder, by what its settings say now.
    pub(super) fn reopened(&self) -> Result<Self, CliError> {
        let mut scope = Self::open(&self.dir, self.identity.clone())?;
        scope.inputs.clone_from(&self.inputs);
        match scope.refresh() {
            Err(_) if scope.build().is_some() => Ok(scope),
            Err(error) => Err(error),
            Ok(()) => Ok(scope),
        }
    }

    /// Takes up what came and lets go of what went.
    ///
    /// # Errors
    /// If nothing is left to deploy, or two scripts would go to one path; then the scripts are those of before.
    pub(super) fn refresh(&mut self) -> Result<(), CliError> {
        let found = self.find();
        let mut files = BTreeSet::from([self.settings()]);
        if let Some(build) = self.build() {
            sources(&self.dir, DEPTH_MAX, &mut files)?;
            files.remove(&self.dir.join(&build.output));
        }
        for entry in found.as_ref().unwrap_or(&self.entries) {
            files.insert(manifest(&entry.file));
            files.insert(entry.file.clone());
            files.extend(self.inputs.get(&entry.file).into_iter().flatten().cloned());
        }
        self.files = files;
        self.entries = found?;
        Ok(())
    }

    fn find(&self) -> Result<Vec<Entry>, CliError> {
        if let Some(project) = &self.project {
            return project.entries();
        }
        let gone = || CliError::input(format!("{} is gone; start again without it", self.settings().display()));
        let me = self.identity.as_deref().ok_or_else(gone)?;
        let mut entries: Vec<Entry> = Vec::new();
        for file in scripts(&self.dir)? {
            let text = format!("{me}/{}", file.file_stem().unwrap_or_default().to_string_lossy());
            let path = text.parse().map_err(|error| {
                CliError::input(format!("{} would go to {text:?}, but {error}; rename it, or name it in a {FILE_NAME}", file.display()))
            })?;
            if let Some(other) = entries.iter().find(|entry| entry.path == path) {
                return Err(CliError::input(format!("{} and {} would both go to {path}", other.file.display(), file.display())));
            }
            entries.push(Entry { file, path });
        }
        Ok(entries)
    }

    /// The file that says where scripts go.
    pub(super) fn settings(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    /// That file, or the folder where there is none.
    pub(super) fn place(&self) -> PathBuf {
        if self.project.is_some() { self.settings() } else { self.dir.clone() }
    }

    pub(super) fn project(&self) -> Option<&Project> {
        self.project.as_ref()
    }

    pub(super) fn build(&self) -> Option<&Build> {
        self.project.as_ref()?.build()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether they are there or not.
    pub(super) fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// The script that a change of the file is a change of.
    pub(super) fn entry_of(&self, file: &Path) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.file == file || manifest(&entry.file) == file)
    }

    /// Scripts that are made of the file, too.
    pub(super) fn users_of<'a>(&'a self, file: &'a Path) -> impl Iterator<Item = &'a Entry> {
        let uses = move |entry: &&Entry| self.inputs.get(&entry.file).is_some_and(|inputs| inputs.contains(file));
        self.entries.iter().filter(uses)
    }

    /// What else the script is made of from now on; gives what of it was not watched before.
    pub(super) fn set_inputs(&mut self, script: &Path, inputs: BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let news: Vec<PathBuf> = inputs.difference(&self.files).cloned().collect();
        self.files.extend(news.iter().cloned());
        self.inputs.insert(script.to_owned(), inputs);
        news
    }

    /// Whether the build makes it.
    pub(super) fn makes(&self, entry: &Entry) -> bool {
        self.project.as_ref().is_some_and(|project| project.makes(&entry.file))
    }
}

/// Every file that a build may read.
fn sources(folder: &Path, depth: usize, files: &mut BTreeSet<PathBuf>) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::input(format!("cannot list {}: {error}", folder.display()));
    for found in fs::read_dir(folder).map_err(failed)? {
        let found = found.map_err(failed)?;
        let (path, name) = (found.path(), found.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') || UNREAD.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        if path.is_dir() {
            if depth > 0 && !SKIPPED.contains(&name.as_str()) {
                sources(&path, depth - 1, files)?;
            }
        } else {
            files.insert(path);
            if files.len() > FILES_MAX {
                return Err(CliError::input(format!("more than {FILES_MAX} files to watch, in {} and elsewhere", folder.display())));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        folder
    }

    fn names(scope: &Scope) -> Vec<String> {
        scope.files().iter().map(|file| file.strip_prefix(&scope.dir).unwrap().display().to_string()).collect()
    }

    #[test]
    fn scripts_are_watched_with_their_manifests() {
        let folder = folder(&[("a.ts", ""), ("notes.txt", ""), ("b.d.ts", ""), ("sub/c.ts", "")]);
        let mut scope = Scope::open(folder.path(), Some("u/ann".to_owned())).unwrap();
        assert_eq!(names(&scope), ["a.script.toml", "a.ts", "sandmill.toml"]);
        assert_eq!(scope.entry_of(&folder.path().join("a.script.toml")).unwrap().path.as_str(), "u/ann/a");
        fs::write(folder.path().join("b.ts"), "").unwrap();
        scope.refresh().unwrap();
        assert_eq!(scope.entries().len(), 2);
        fs::write(folder.path().join("b.js"), "").unwrap();
        assert!(format!("{:?}", scope.refresh().unwrap_err()).contains("both go to u/ann/b"));
        assert_eq!(scope.entries().len(), 2, "as before");
        assert_eq!(scope.place(), folder.path());
    }

    #[test]
    fn what_scripts_import_is_watched() {
        let folder = folder(&[("a.ts", ""), ("b.ts", ""), ("lib/x.ts", "")]);
        let mut scope = Scope::open(folder.path(), Some("u/ann".to_owned())).unwrap();
        let [a, x] = ["a.ts", "lib/x.ts"].map(|file| folder.path().join(file));
        assert_eq!(scope.set_inputs(&a, BTreeSet::from([x.clone(), folder.path().join("b.ts")])), std::slice::from_ref(&x));
        let users: Vec<&str> = scope.users_of(&x).map(|entry| entry.path.as_str()).collect();
        assert_eq!(users, ["u/ann/a"]);
        scope.refresh().unwrap();
        assert!(scope.files().contains(&x));
        scope.set_inputs(&a, BTreeSet::new());
        scope.refresh().unwrap();
        assert!(!scope.files().contains(&x) && scope.users_of(&x).next().is_none());
    }

    #[test]
    fn settings_say_where_scripts_go() {
        let folder = folder(&[("sandmill.toml", "folder = \"f/demo\"\nsource = \".\"\n"), ("a.ts", ""), ("sub/c.ts", "")]);
        let scope = Scope::open(folder.path(), None).unwrap();
        let paths: Vec<&str> = scope.entries().iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["f/demo/a", "f/demo/sub/c"]);
        assert_eq!(scope.place(), scope.settings());
        fs::remove_file(scope.settings()).unwrap();
        assert!(scope.reopened().is_err());
    }

    #[test]
    fn a_build_reads_what_it_does_not_make() {
        let settings = "[build]\nlanguage = \"c\"\noutput = \"dist/a.wasm\"\n[paths]\n\"dist/a.wasm\" = \"f/demo/a\"\n";
        let files = ["a.c", "lib/b.h", "dist/a.wasm", "dist/b", "target/x", "sandmill-sdk/x.c", ".git/x", ".a", "a.case.json", "A.md"];
        let folder = folder(&[&[("sandmill.toml", settings)][..], &files.map(|file| (file, ""))].concat());
        let scope = Scope::open(folder.path(), None).unwrap();
        assert_eq!(names(&scope), ["a.c", "dist/a.script.toml", "dist/a.wasm", "lib/b.h", "sandmill.toml"]);
        assert!(scope.makes(&scope.entries()[0]) && scope.entry_of(&folder.path().join("a.c")).is_none());
    }

    #[test]
    fn a_folder_without_scripts_says_what_to_do() {
        for files in [&[][..], &[("x.d.ts", "")], &[("sandmill.toml", "")]] {
            let folder = folder(files);
            let error = check(folder.path()).unwrap_err();
            assert!(matches!(&error, CliError::Input(text) if text.contains("init") || text.contains("`source`")), "{error:?}");
        }
        assert!(check(Path::new("/nowhere/at/all")).is_err());
    }
}
