//! `sandmill init [DIR] [--lang …]`: a folder that can be edited, built, tested and pushed at once.

mod sdk;
mod templates;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use sandmill_model::ScriptPath;

pub(crate) use self::sdk::SDK_FOLDER;
use self::templates::Lang;
use crate::{Session, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Folder to make
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Language of the example script
    #[arg(long, value_enum, default_value = "typescript")]
    lang: Lang,
}

/// What a folder may have before; it is left as it is.
const KEPT: &[&str] = &[".gitignore", "README.md"];
/// Where nothing better can be made of the folder's name.
const FOLDER_DEFAULT: &str = "demo";

pub(crate) fn execute(options: &Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let folder = deploy_folder(&options.dir);
    let mut files = templates::files(options.lang, &folder);
    files.retain(|(name, _)| !(KEPT.contains(&name.as_str()) && options.dir.join(name).exists()));
    let existing: Vec<_> = files.iter().map(|(name, _)| options.dir.join(name)).filter(|file| file.exists()).collect();
    if let Some(first) = existing.first() {
        return Err(CliError::input(format!("{} is there already; init overwrites nothing", first.display())));
    }
    for (name, text) in &files {
        create(&options.dir.join(name), text)?;
    }
    if session.console.is_json() {
        let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
        session.console.json(&serde_json::json!({"dir": options.dir, "files": names, "folder": folder}));
    } else {
        session.console.say(&next_steps(options, &folder));
    }
    Ok(())
}

/// What to try.
fn next_steps(options: &Options, folder: &str) -> String {
    let (dir, script) = (options.dir.display(), options.lang.script());
    let begin = match options.lang.compiled() {
        None => format!("sandmill run ./{script} --args @scripts/hello.args.json"),
        Some(_) => "sandmill build".to_owned(),
    };
    let end = format!("sandmill push .\n  sandmill run {folder}/hello --arg name=you");
    format!("made {dir}; now try\n\n  cd {dir}\n  {begin}\n  sandmill test\n  {end}")
}

fn create(file: &Path, text: &str) -> Result<(), CliError> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        // Refuses a file that came into being meanwhile.
        OpenOptions::new().write(true).create_new(true).open(file)?.write_all(text.as_bytes())
    };
    write().map_err(|error| CliError::input(format!("cannot write {}: {error}", file.display())))
}

/// `f/<name of the folder>`, as far as a path can hold it.
fn deploy_folder(dir: &Path) -> String {
    let name = std::path::absolute(dir).ok().and_then(|dir| Some(dir.file_name()?.to_string_lossy().into_owned())).unwrap_or_default();
    let name: String =
        name.chars().map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' }).collect();
    let folder = format!("f/{}", name.trim_matches('-'));
    let is_valid = format!("{folder}/hello").parse::<ScriptPath>().is_ok();
    if is_valid { folder } else { format!("f/{FOLDER_DEFAULT}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Globals, console::Console, project::Project};

    struct NoRunner;

    impl crate::LocalRunner for NoRunner {
        fn run(&self, _: crate::LocalRunRequest) -> sandmill_model::BoxFuture<'_, Result<sandmill_model::Outcome, crate::LocalRunError>> {
            Box::pin(async { Err(crate::LocalRunError::Setup("none here".into())) })
        }

        fn open(&self, _: crate::Outbound) -> sandmill_model::BoxFuture<'_, Result<Box<dyn crate::LocalSession>, crate::LocalRunError>> {
            Box::pin(async { Err(crate::LocalRunError::Setup("none here".into())) })
        }
    }

    fn made(options: &Options) -> Result<(), CliError> {
        let mut session = Session { globals: Globals::default(), console: Console::of_process(true), local: &NoRunner };
        execute(options, &mut session)
    }

    #[test]
    fn the_folder_is_whole_and_nothing_is_overwritten() {
        for (lang, deployed) in [
            (Lang::Typescript, "scripts/hello.ts"),
            (Lang::Javascript, "scripts/hello.js"),
            (Lang::Rust, "dist/hello.wasm"),
            (Lang::Go, "dist/hello.wasm"),
            (Lang::C, "dist/hello.wasm"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let options = Options { dir: folder.path().join("My App"), lang };
            made(&options).unwrap();
            let project = Project::open(&options.dir).unwrap();
            assert_eq!(project.build().is_some(), lang.compiled().is_some(), "{lang:?}");
            assert_eq!(project.makes(&options.dir.join(deployed)), lang.compiled().is_some(), "{lang:?}");
            let entries = project.entries().unwrap();
            assert_eq!(entries.len(), 1);
            assert_eq!((entries[0].path.as_str(), entries[0].file.ends_with(deployed)), ("f/my-app/hello", true));
            let readme = fs::read_to_string(options.dir.join("README.md")).unwrap();
            assert!(readme.contains(lang.script()) && readme.contains("f/my-app/hello"), "{readme}");
            fs::write(options.dir.join(lang.script()), "mine").unwrap();
            assert!(matches!(made(&options), Err(CliError::Input(_))));
            assert_eq!(fs::read_to_string(options.dir.join(lang.script())).unwrap(), "mine");
        }
    }

    #[test]
    fn a_repository_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        for name in KEPT {
            fs::write(folder.path().join(name), "mine").unwrap();
        }
        made(&Options { dir: folder.path().to_owned(), lang: Lang::C }).unwrap();
        for name in KEPT {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), "mine");
        }
        assert!(folder.path().join(SDK_FOLDER).join("include/sandmill.h").is_file());
    }

    #[test]
    fn folders_get_valid_names() {
        for (dir, expected) in
            [("shop", "f/shop"), ("My Shop!", "f/my-shop"), ("...", "f/demo"), ("/", "f/demo"), (&*"x".repeat(90), "f/demo")]
        {
            assert_eq!(deploy_folder(Path::new(dir)), expected, "{dir}");
        }
    }
}
