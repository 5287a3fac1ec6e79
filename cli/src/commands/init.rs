//! `sandmill init [DIR] [--lang …]`: a folder that can be edited, run and pushed at once.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use sandmill_model::ScriptPath;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    #[value(alias = "ts")]
    Typescript,
    #[value(alias = "js")]
    Javascript,
}

const TYPES: &str = include_str!("../../../guest-sdk/typescript/sandmill.d.ts");
const TYPESCRIPT: &str = include_str!("../../templates/hello.ts");
const JAVASCRIPT: &str = include_str!("../../templates/hello.js");
const ARGUMENTS: &str = include_str!("../../templates/hello.args.json");
const TSCONFIG: &str = include_str!("../../templates/tsconfig.json");
const SETTINGS: &str = include_str!("../../templates/sandmill.toml");
/// In the template of the settings.
const FOLDER_MARK: &str = "FOLDER";
/// Where nothing better can be made of the folder's name.
const FOLDER_DEFAULT: &str = "demo";

pub(crate) fn execute(options: &Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let folder = deploy_folder(&options.dir);
    let files = files(options.lang, &folder);
    let existing: Vec<_> = files.iter().map(|(name, _)| options.dir.join(name)).filter(|file| file.exists()).collect();
    if let Some(first) = existing.first() {
        return Err(CliError::input(format!("{} is there already; init overwrites nothing", first.display())));
    }
    for (name, text) in &files {
        create(&options.dir.join(name), text)?;
    }
    let (dir, script) = (options.dir.display(), files[0].0);
    if session.console.is_json() {
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        session.console.json(&serde_json::json!({"dir": options.dir, "files": names, "folder": folder}));
    } else {
        session.console.say(&format!("made {dir}; now try\n\n  cd {dir}\n  sandmill run ./{script} --args @scripts/hello.args.json\n  sandmill push .\n  sandmill run {folder}/hello --arg name=you"));
    }
    Ok(())
}

/// Names relative to the project, the script first.
fn files(lang: Lang, folder: &str) -> Vec<(&'static str, String)> {
    let script = match lang {
        Lang::Typescript => ("scripts/hello.ts", TYPESCRIPT.to_owned()),
        Lang::Javascript => ("scripts/hello.js", JAVASCRIPT.to_owned()),
    };
    vec![
        script,
        ("scripts/hello.args.json", ARGUMENTS.to_owned()),
        ("sandmill.toml", SETTINGS.replace(FOLDER_MARK, folder)),
        ("sandmill.d.ts", TYPES.to_owned()),
        ("tsconfig.json", TSCONFIG.to_owned()),
    ]
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
    }

    #[test]
    fn the_folder_is_whole_and_nothing_is_overwritten() {
        for (lang, script) in [(Lang::Typescript, "scripts/hello.ts"), (Lang::Javascript, "scripts/hello.js")] {
            let folder = tempfile::tempdir().unwrap();
            let options = Options { dir: folder.path().join("My App"), lang };
            let mut session = Session { globals: Globals::default(), console: Console::of_process(true), local: &NoRunner };
            execute(&options, &mut session).unwrap();
            let entries = Project::open(&options.dir).unwrap().entries().unwrap();
            assert_eq!(entries.len(), 1);
            assert_eq!((entries[0].path.as_str(), entries[0].file.ends_with(script)), ("f/my-app/hello", true));
            fs::write(options.dir.join(script), "mine").unwrap();
            assert!(matches!(execute(&options, &mut session), Err(CliError::Input(_))));
            assert_eq!(fs::read_to_string(options.dir.join(script)).unwrap(), "mine");
        }
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
