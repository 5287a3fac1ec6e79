//! `sandmill build [DIR]`: a project in a compiled language becomes a component. `--module` makes one of any core module.

mod c;
mod go;
mod rust;
mod tool;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use serde_json::json;

use crate::{
    Session,
    componentize::componentize,
    console::Console,
    error::CliError,
    files,
    project::{Build, Compiled, FILE_NAME, Project},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Folder with a sandmill.toml
    #[arg(default_value = ".", conflicts_with = "module")]
    dir: PathBuf,
    /// Make a component of this core module, instead of building a project
    #[arg(long, value_name = "FILE", requires = "output")]
    module: Option<PathBuf>,
    /// Where the component of --module goes
    #[arg(short, long, value_name = "FILE", requires = "module")]
    output: Option<PathBuf>,
    #[command(flatten)]
    tools: Tools,
}

/// What projects are built with, where a choice is left.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Tools {
    /// Compiler of C, a clang with the libc of WASI, and its first arguments [default: `python3 -m ziglang cc`, else `zig cc`]
    #[arg(long, env = "CC_WASM", value_name = "COMMAND")]
    cc: Option<String>,
}

/// A component that was made just now.
#[derive(Debug)]
pub(crate) struct Built {
    output: PathBuf,
    bytes: usize,
}

pub(crate) fn execute(options: &Options, session: &mut Session<'_>) -> Result<(), CliError> {
    if let (Some(module), Some(output)) = (&options.module, &options.output) {
        let bytes = files::read_component(module)?;
        let built = write(output, &component_of(&bytes, module)?)?;
        say(&built, session);
        return Ok(());
    }
    let project = Project::open(&options.dir)?;
    match of_project(&project, &options.tools, &mut session.console)? {
        Some(built) => say(&built, session),
        None if session.console.is_json() => session.console.json(&json!({"output": null})),
        None => session.console.say(&format!(
            "there is nothing to build: {} has no [build], and TypeScript and JavaScript are compiled by the server",
            project.root().join(FILE_NAME).display()
        )),
    }
    Ok(())
}

/// Builds what is pushed or tested, if that has to be built: a folder's project, or the one whose component the file is.
pub(crate) fn before_use(what: &Path, tools: &Tools, session: &mut Session<'_>) -> Result<(), CliError> {
    let project = if what.is_dir() { Some(Project::open(what)?) } else { Project::around(what)?.filter(|project| project.makes(what)) };
    if let Some(project) = project {
        of_project(&project, tools, &mut session.console)?;
    }
    Ok(())
}

/// None if the project has nothing to build.
pub(crate) fn of_project(project: &Project, tools: &Tools, console: &mut Console) -> Result<Option<Built>, CliError> {
    let Some(build) = project.build() else { return Ok(None) };
    let root = project.root();
    console.progress(&format!("building {}", build.output.display()));
    let component = match build.language {
        Compiled::Rust => rust::component(root, console)?,
        Compiled::Go => of_module(build, |module| go::module(root, module))?,
        Compiled::C => of_module(build, |module| c::module(root, &build.sources, tools, module))?,
    };
    write(&root.join(&build.output), &component).map(Some)
}

/// The component of what a compiler writes to the file that it is given: a core module.
fn of_module(build: &Build, compile: impl FnOnce(&Path) -> Result<(), CliError>) -> Result<Vec<u8>, CliError> {
    let failed = |error: io::Error| CliError::input(format!("there is no folder for what the compiler makes: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let module = folder.path().join("module.wasm");
    compile(&module)?;
    component_of(&files::read_component(&module)?, &build.output)
}

fn component_of(module: &[u8], named: &Path) -> Result<Vec<u8>, CliError> {
    componentize(module).map_err(|fault| CliError::input(format!("{} cannot become a component: {fault}", named.display())))
}

/// Whoever reads the file meanwhile, or ends this process, finds the old one or the new one.
fn write(output: &Path, component: &[u8]) -> Result<Built, CliError> {
    let replace = || -> io::Result<()> {
        if let Some(folder) = output.parent() {
            fs::create_dir_all(folder)?;
        }
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let temporary = output.with_file_name(format!(".{name}.{}.new", process::id()));
        let _stale = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let written = file.write_all(component).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, output));
        if written.is_err() {
            let _gone = fs::remove_file(&temporary);
        }
        written
    };
    replace().map_err(|error| CliError::input(format!("cannot write {}: {error}", output.display())))?;
    Ok(Built { output: output.to_owned(), bytes: component.len() })
}

fn say(built: &Built, session: &mut Session<'_>) {
    if session.console.is_json() {
        session.console.json(&json!({"output": built.output, "bytes": built.bytes}));
    } else {
        session.console.say(&format!("{} ({} KB)", built.output.display(), built.bytes.div_ceil(1000)));
    }
}

#[cfg(test)]
mod tests;
