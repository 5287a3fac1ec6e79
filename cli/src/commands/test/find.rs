//! Which case files there are, and of which scripts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sandmill_model::{Language, ScriptPath};

use crate::{
    error::CliError,
    project::{Entry, Project},
};

const ENDING: &str = ".case.json";
/// Of scripts that cases may lie beside.
const EXTENSIONS: [&str; 5] = ["ts", "mts", "js", "mjs", "wasm"];
/// Folders below the one that is searched; a link that leads in circles ends here.
const DEPTH_MAX: usize = 10;
/// Case files of one command.
const FILES_MAX: usize = 1_000;

/// A script that has cases.
pub(super) struct Suite {
    pub(super) script: PathBuf,
    /// Where it is deployed.
    pub(super) path: ScriptPath,
    pub(super) case_files: Vec<PathBuf>,
    /// Of its project: what runs of it may start.
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Found {
    pub(super) suites: Vec<Suite>,
    /// Case files without a script, and the like; what is wrong with each.
    pub(super) faults: Vec<(PathBuf, CliError)>,
}

/// # Errors
/// If a path is not there, or there is nothing to run.
pub(super) fn suites(paths: &[PathBuf]) -> Result<Found, CliError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            scan(path, DEPTH_MAX, &mut files)?;
        } else if !path.exists() {
            return Err(CliError::input(format!("{} is not there", path.display())));
        } else if stem(path).is_some() {
            files.push(path.clone());
        } else if Language::of_file(path).is_some() {
            of_script(path, &mut files)?;
        } else {
            return Err(CliError::input(format!("{} is neither a folder nor a script nor a file of cases (*{ENDING})", path.display())));
        }
    }
    let mut found = Found { suites: Vec::new(), faults: Vec::new() };
    let mut seen: Vec<PathBuf> = Vec::new();
    for file in files {
        let whole = whole(&file)?;
        if seen.contains(&whole) {
            continue;
        }
        seen.push(whole);
        match suite(&file) {
            Ok(suite) => add(suite, &mut found.suites)?,
            Err(fault) => found.faults.push((file, fault)),
        }
    }
    if seen.is_empty() {
        return Err(nothing(paths));
    }
    Ok(found)
}

fn nothing(paths: &[PathBuf]) -> CliError {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    CliError::input(format!(
        "there is nothing to run in {}: cases of hello.ts are in hello{ENDING} beside it, e.g. [{{\"args\": {{\"name\": \"Ann\"}}, \"expect\": \"Hello, Ann!\"}}]",
        paths.join(", ")
    ))
}

fn add(suite: Suite, suites: &mut Vec<Suite>) -> Result<(), CliError> {
    let script = whole(&suite.script)?;
    for known in suites.iter_mut() {
        if whole(&known.script)? == script {
            known.case_files.extend(suite.case_files);
            return Ok(());
        }
    }
    suites.push(suite);
    Ok(())
}

/// From the root of the file system, so that files can be compared.
fn whole(file: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(file).map_err(|error| CliError::input(format!("{}: {error}", file.display())))
}

/// `hello` of `hello.case.json`.
fn stem(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    name.strip_suffix(ENDING).filter(|stem| !stem.is_empty() && !stem.starts_with('.')).map(ToOwned::to_owned)
}

/// The script of a case file: the one beside it, else the one of its project that is called like it.
fn suite(file: &Path) -> Result<Suite, CliError> {
    let stem = stem(file).unwrap_or_default();
    let project = Project::around(file)?;
    let entries = project.as_ref().map(Project::entries).transpose()?.unwrap_or_default();
    let case_files = vec![file.to_owned()];
    let beside = EXTENSIONS.iter().map(|extension| file.with_file_name(format!("{stem}.{extension}"))).find(|script| script.is_file());
    if let Some(script) = beside {
        let known = project.as_ref().map(|project| project.path_of(&script)).transpose()?.flatten();
        let path = match known {
            Some(path) => path,
            None => own_path(&stem)?,
        };
        return Ok(Suite { script, path, case_files, entries });
    }
    let is_called_so = |entry: &&Entry| entry.file.file_stem().is_some_and(|name| name == stem.as_str()) || entry.path.name() == stem;
    let fitting: Vec<Entry> = entries.iter().filter(is_called_so).cloned().collect();
    match fitting.as_slice() {
        [Entry { file: script, path }] => Ok(Suite { script: script.clone(), path: path.clone(), case_files, entries }),
        [one, other, ..] => Err(CliError::input(format!(
            "{}: it could be of {} or of {}; put it beside its script",
            file.display(),
            one.file.display(),
            other.file.display()
        ))),
        [] => Err(CliError::input(format!(
            "{}: there is no script {stem}.ts, .js or .wasm beside it, and none of a project that is called {stem}",
            file.display()
        ))),
    }
}

/// Of a script that no project knows.
fn own_path(stem: &str) -> Result<ScriptPath, CliError> {
    let path = format!("u/local/{stem}").parse::<ScriptPath>().or_else(|_| ScriptPath::LOCAL.parse::<ScriptPath>());
    path.map_err(|error| CliError::input(error.to_string()))
}

/// The case files of a script: the one beside it, and those of its project that are called like it.
fn of_script(script: &Path, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let before = files.len();
    let beside = script.with_extension(&ENDING[1..]);
    if beside.is_file() {
        files.push(beside);
    }
    if let Some(project) = Project::around(script)? {
        let mut all = Vec::new();
        scan(project.root(), DEPTH_MAX, &mut all)?;
        let wanted = whole(script)?;
        for file in all {
            // What is wrong with another's file is not asked for here.
            if let Ok(suite) = suite(&file)
                && whole(&suite.script)? == wanted
            {
                files.push(file);
            }
        }
    }
    if files.len() == before {
        return Err(nothing(&[script.to_owned()]));
    }
    Ok(())
}

fn scan(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::input(format!("cannot list {}: {error}", folder.display()));
    let mut entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let is_skipped = name.to_string_lossy().starts_with('.') || name == "node_modules" || name == "target";
        if path.is_dir() {
            if depth > 0 && !is_skipped {
                scan(&path, depth - 1, files)?;
            }
        } else if stem(&path).is_some() {
            files.push(path);
            if files.len() > FILES_MAX {
                return Err(CliError::input(format!("more than {FILES_MAX} files of cases in {}", folder.display())));
            }
        }
    }
    Ok(())
}

/// A file as it is shown: from the folder where the command was given, if it is in there.
pub(super) fn shown(file: &Path) -> String {
    let short = match (std::path::absolute("."), std::path::absolute(file)) {
        (Ok(here), Ok(whole)) => whole.strip_prefix(&here).map(Path::to_owned).ok(),
        _ => None,
    };
    short.as_deref().unwrap_or(file).display().to_string()
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

    /// Script, path and files of cases of each suite; and how many faults there were.
    type Summary = (Vec<(String, String, usize)>, usize);

    fn found(folder: &Path, paths: &[&str]) -> Result<Summary, CliError> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| folder.join(path)).collect();
        let Found { suites, faults } = suites(&paths)?;
        let name = |suite: &Suite| suite.script.file_name().unwrap().to_string_lossy().into_owned();
        Ok((suites.iter().map(|suite| (name(suite), suite.path.to_string(), suite.case_files.len())).collect(), faults.len()))
    }

    #[test]
    fn cases_lie_beside_scripts() {
        let files =
            ["a.ts", "a.case.json", "sub/b.js", "sub/b.case.json", "orphan.case.json", ".x/c.case.json", "node_modules/d.case.json"];
        let folder = folder(&files.map(|file| (file, "")));
        let a = ("a.ts".to_owned(), "u/local/a".to_owned(), 1);
        let b = ("b.js".to_owned(), "u/local/b".to_owned(), 1);
        assert_eq!(found(folder.path(), &["."]).unwrap(), (vec![a.clone(), b.clone()], 1));
        assert_eq!(found(folder.path(), &["a.ts", "a.case.json"]).unwrap(), (vec![a], 0), "once");
        assert_eq!(found(folder.path(), &["sub"]).unwrap(), (vec![b], 0));
        for bad in [&["missing"][..], &[".x/nothing"], &["sub/b.js", "missing.ts"]] {
            assert!(found(folder.path(), bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cases_of_a_project_may_be_called_as_its_scripts_are() {
        let settings = "[paths]\n\"build/out.wasm\" = \"f/demo/tool\"\n\"lib/other.js\" = \"f/demo/other\"\n";
        let files =
            [("sandmill.toml", settings), ("tool.case.json", ""), ("out.case.json", ""), ("other.case.json", ""), ("lib/other.js", "")];
        let folder = folder(&files);
        let tool = ("out.wasm".to_owned(), "f/demo/tool".to_owned(), 2);
        let other = ("other.js".to_owned(), "f/demo/other".to_owned(), 1);
        assert_eq!(found(folder.path(), &["."]).unwrap(), (vec![other.clone(), tool], 0));
        assert_eq!(found(folder.path(), &["lib/other.js"]).unwrap(), (vec![other], 0));
    }

    #[test]
    fn nothing_to_run_says_what_to_write() {
        let folder = folder(&[("a.ts", "")]);
        for paths in [&["."][..], &["a.ts"]] {
            let error = format!("{:?}", found(folder.path(), paths).unwrap_err());
            assert!(error.contains("hello.case.json"), "{error}");
        }
    }
}
