//! Finds esbuild and lets it bundle. It is the user's own, of the version that their project says.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time,
};

use super::{
    Bundler, folder_of,
    imports::Found,
    metafile::Metafile,
    rewrite::{entry, exports_name, module_name},
};
use crate::{error::CliError, files};

/// Packages as they are published for workers and browsers: the sandbox has web APIs, and nothing of Node.
const OPTIONS: &[&str] = &[
    "--bundle",
    "--format=iife",
    "--platform=browser",
    "--conditions=worker,module",
    "--target=es2023",
    "--charset=utf8",
    "--define:process.env.NODE_ENV=\"production\"",
    "--define:global=globalThis",
    "--log-level=error",
    "--log-limit=10",
    "--color=false",
];
/// It takes milliseconds; a program that is something else may take for ever.
const PATIENCE: Duration = Duration::from_secs(60);
const SAID_BYTES_MAX: u64 = 1024 * 1024;
const ROOT_USER: u32 = 0;
/// In the mode of a file: others than its owner and its group may write it.
const OTHERS_MAY_WRITE: u32 = 0o002;
const ABSENT: &str = "`npm install --save-dev esbuild` installs it; --esbuild or SANDMILL_ESBUILD names another";

/// What it made.
pub(super) struct Made {
    pub(super) code: String,
    /// Files that it read, without those of packages.
    pub(super) inputs: BTreeSet<PathBuf>,
    /// With their bytes, the largest first.
    pub(super) largest: Vec<String>,
    /// Whether what is imported imports the script.
    pub(super) imports_script: bool,
}

pub(super) enum Failure {
    /// What it said of the sources.
    Said(String),
    Other(CliError),
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        Self::Other(error)
    }
}

pub(super) async fn run(file: &Path, found: &Found, bundler: &Bundler) -> Result<Made, Failure> {
    let failed = |error: io::Error| CliError::input(format!("there is no folder for what esbuild makes: {error}"));
    let temporary = tempfile::tempdir().map_err(failed)?;
    let at = |name: &str| temporary.path().join(name);
    let shim = format!("module.exports = {};\n", module_name(found));
    fs::write(at("sandmill.cjs"), shim).map_err(failed)?;
    let folder = folder_of(file);
    // Who has just made a folder is its owner.
    let own_user = fs::metadata(temporary.path()).map_err(failed)?.uid();
    let choice = choose(folder, bundler, own_user)?;
    let program = &choice.program;
    let mut command = Command::new(program);
    command.args(OPTIONS).current_dir(folder);
    command.arg(format!("--global-name={}", exports_name(found)));
    for (option, name) in [("--alias:sandmill=", "sandmill.cjs"), ("--outfile=", "out.js"), ("--metafile=", "meta.json")] {
        let mut argument = std::ffi::OsString::from(option);
        argument.push(at(name));
        command.arg(argument);
    }
    let (status, said) = spoken(command, &entry(found)).await.map_err(|error| not_run(&choice, file, found, &error))?;
    if !status.success() {
        if said.contains("[ERROR]") {
            return Err(Failure::Said(said));
        }
        return Err(CliError::input(format!("`{}` ended with {status}: {}", program.display(), said.trim())).into());
    }
    let read = |name: &str| {
        let text = files::read_component(&at(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.map_err(|_| CliError::input(format!("`{}` has made nothing that can be read: is it esbuild?", program.display())))
    };
    let code = read("out.js")?;
    let metafile = Metafile::read(&read("meta.json")?, file, temporary.path())?;
    Ok(Made { code, inputs: metafile.inputs, largest: metafile.largest, imports_script: metafile.imports_script })
}

#[derive(Debug)]
struct Choice {
    program: PathBuf,
    /// Others that are nearer, each with what is wrong with it.
    passed_over: Vec<String>,
}

/// Chosen, else that of the nearest folder upwards that has one which only this user or root has put there, else whatever is called so.
fn choose(folder: &Path, bundler: &Bundler, own_user: u32) -> Result<Choice, CliError> {
    let sole = |program: PathBuf| Choice { program, passed_over: Vec::new() };
    let whole = |path: &Path| std::path::absolute(path).map_err(|error| CliError::input(format!("{}: {error}", path.display())));
    if let Some(chosen) = bundler.esbuild.as_deref().filter(|chosen| !chosen.as_os_str().is_empty()) {
        // It is started in another folder.
        return if chosen.components().count() > 1 { whole(chosen).map(sole) } else { Ok(sole(chosen.to_owned())) };
    }
    let folder = whole(folder)?;
    let mut choice = sole(PathBuf::from("esbuild"));
    for modules in folder.ancestors().map(|folder| folder.join("node_modules")) {
        let program = modules.join(".bin/esbuild");
        if !program.is_file() {
            continue;
        }
        match distrusted(&modules, &program, own_user) {
            Some(why) => choice.passed_over.push(format!("`{}` is not used, for {why}", program.display())),
            None => {
                choice.program = program;
                break;
            }
        }
    }
    Ok(choice)
}

/// Why it may be anybody's: in `/tmp`, or another folder that many share, everybody can make a `node_modules`.
fn distrusted(modules: &Path, program: &Path, own_user: u32) -> Option<String> {
    let fault = |path: &Path| {
        let shown = path.display();
        // Of a link its owner counts and that of what it leads to; it has no mode that says anything.
        let (link, target) = match (fs::symlink_metadata(path), fs::metadata(path)) {
            (Ok(link), Ok(target)) => (link, target),
            (Err(error), _) | (_, Err(error)) => return Some(format!("{shown} cannot be looked at: {error}")),
        };
        let is_own = |user: u32| user == own_user || user == ROOT_USER;
        if !is_own(link.uid()) || !is_own(target.uid()) {
            return Some(format!("{shown} belongs to another user"));
        }
        (target.mode() & OTHERS_MAY_WRITE != 0).then(|| format!("everybody may write {shown}"))
    };
    [modules, &modules.join(".bin"), program].into_iter().find_map(fault)
}

fn not_run(choice: &Choice, file: &Path, found: &Found, error: &io::Error) -> CliError {
    let (program, file) = (choice.program.display(), file.display());
    if error.kind() == io::ErrorKind::NotFound {
        let module = found.imports.first().map(|import| import.module.as_str()).unwrap_or_default();
        let passed_over: String = choice.passed_over.iter().map(|one| format!(". {one}")).collect();
        return CliError::input(format!(
            "{file} imports \"{module}\", and `{program}`, which bundles it, is not here: {ABSENT}{passed_over}"
        ));
    }
    CliError::input(format!("`{program}` cannot bundle what {file} imports: {error}"))
}

/// Runs it to its end, with this on its stdin; gives what it says on stderr. If nobody waits for that any longer, it is killed.
async fn spoken(mut command: Command, input: &str) -> io::Result<(ExitStatus, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn()?;
    match time::timeout(PATIENCE, spoken_by(child, input)).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("it has not ended after {} s", PATIENCE.as_secs()))),
    }
}

async fn spoken_by(mut child: Child, input: &str) -> io::Result<(ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that ends without reading says why.
            let _ended = stdin.write_all(input.as_bytes()).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        match stderr {
            Some(stderr) => stderr.take(SAID_BYTES_MAX).read_to_end(&mut said).await.map(|_| said),
            None => Ok(said),
        }
    };
    let ((), said) = tokio::join!(write, read);
    let said = String::from_utf8_lossy(&said?).into_owned();
    Ok((child.wait().await?, said))
}

/// Where esbuild sees the script's folder, behind links.
pub(super) fn real(folder: &Path) -> PathBuf {
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::bundle::imports::find;

    #[test]
    fn a_program_that_others_can_put_there_is_passed_over() {
        let top = tempfile::tempdir().unwrap();
        let own_user = fs::metadata(top.path()).unwrap().uid();
        let at = |path: &str| top.path().join(path);
        // The nearer one is a link, as package managers make it.
        for folder in ["project/node_modules/.bin", "project/node_modules/esbuild", "project/scripts", "node_modules/.bin"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let (near, target, far) =
            (at("project/node_modules/.bin/esbuild"), at("project/node_modules/esbuild/esbuild"), at("node_modules/.bin/esbuild"));
        for file in [&target, &far] {
            fs::write(file, "").unwrap();
        }
        symlink("../esbuild/esbuild", &near).unwrap();
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for path in
            [&at("project/node_modules"), &at("project/node_modules/.bin"), &target, &at("node_modules"), &at("node_modules/.bin"), &far]
        {
            mode(path, 0o755);
        }
        let chosen = |user: u32| choose(&at("project/scripts"), &Bundler::default(), user).unwrap();
        let choice = chosen(own_user);
        assert!(choice.program == near && choice.passed_over.is_empty(), "{choice:?}");

        for path in [&at("project/node_modules"), &at("project/node_modules/.bin"), &target] {
            mode(path, 0o777);
            let choice = chosen(own_user);
            assert_eq!(choice.program, far, "{}", path.display());
            assert!(choice.passed_over.len() == 1 && choice.passed_over[0].contains("everybody may write"), "{choice:?}");
            mode(path, 0o775);
            assert_eq!(chosen(own_user).program, near, "a group is not everybody");
        }

        // None is left, and all are named.
        mode(&target, 0o777);
        mode(&at("node_modules"), 0o777);
        let choice = chosen(own_user);
        assert!(!choice.program.starts_with(top.path()), "{choice:?}");
        let script = find("import a from 'left-pad'; a()", sandmill_model::Language::TypeScript).unwrap();
        let error = not_run(&choice, Path::new("hello.ts"), &script, &io::Error::from(io::ErrorKind::NotFound));
        let error = format!("{error:?}");
        assert!([&near, &far].iter().all(|program| error.contains(&*program.to_string_lossy())) && error.contains("--esbuild"), "{error}");

        // What is chosen is taken as it is.
        let bundler = Bundler { esbuild: Some(near.clone()) };
        assert_eq!(choose(&at("project/scripts"), &bundler, own_user).unwrap().program, near);
    }

    #[test]
    fn a_program_of_another_user_is_passed_over() {
        let top = tempfile::tempdir().unwrap();
        let modules = top.path().join("node_modules");
        let program = modules.join(".bin/esbuild");
        fs::create_dir_all(modules.join(".bin")).unwrap();
        fs::write(&program, "").unwrap();
        for path in [&modules, &modules.join(".bin"), &program] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let owner = fs::metadata(&program).unwrap().uid();
        assert_eq!(distrusted(&modules, &program, owner), None);
        let why = distrusted(&modules, &program, owner + 1);
        if owner == ROOT_USER {
            assert_eq!(why, None, "root's own is everybody's");
        } else {
            assert!(why.unwrap().contains("belongs to another user"));
        }
    }
}
