//! Scripts on disk: source, language, and the manifest beside them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sandmill_model::{Language, Manifest};

use crate::{
    bundle::{self, Bundled, Source},
    error::CliError,
};

/// Bytes of one source; the server's compiler takes no more.
const SOURCE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of one component; the server takes no more.
const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a manifest or of a project's settings.
const SETTINGS_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct ScriptFile {
    pub(crate) file: PathBuf,
    pub(crate) language: Language,
    pub(crate) source: Vec<u8>,
    pub(crate) manifest: Manifest,
}

impl ScriptFile {
    /// As it is used: with what it imports.
    pub(crate) async fn load(file: &Path, bundler: &bundle::Bundler) -> Result<Self, CliError> {
        Self::load_with_inputs(file, bundler).await.0
    }

    /// The same, and the other files that it is made of, or that may mend what is wrong with it.
    pub(crate) async fn load_with_inputs(file: &Path, bundler: &bundle::Bundler) -> (Result<Self, CliError>, BTreeSet<PathBuf>) {
        let mut script = match Self::read(file) {
            Ok(script) => script,
            Err(error) => return (Err(error), BTreeSet::new()),
        };
        let source = Source { file, language: script.language, bytes: &script.source, bytes_max: SOURCE_BYTES_MAX };
        let Bundled { source, inputs } = bundle::bundle(source, bundler).await;
        let loaded = source.map(|bundled| {
            if let Some(bundled) = bundled {
                script.source = bundled;
            }
            script
        });
        (loaded, inputs)
    }

    /// As it is on disk.
    fn read(file: &Path) -> Result<Self, CliError> {
        let language = Language::of_file(file).ok_or_else(|| {
            CliError::input(format!("{}: the extension tells the language, and it is none of .ts, .mts, .js, .mjs, .wasm", file.display()))
        })?;
        let bytes_max = if language == Language::Component { COMPONENT_BYTES_MAX } else { SOURCE_BYTES_MAX };
        let source = read(file, bytes_max).map_err(|error| cannot(file, &error))?;
        let manifest = manifest(file, &source)?;
        Ok(Self { file: file.to_owned(), language, source, manifest })
    }

    /// A component that comes from elsewhere: its source follows. `manifest` is a file that holds what would stand beside it.
    pub(crate) fn of_component(name: &str, manifest: Option<&Path>) -> Result<Self, CliError> {
        let manifest = match manifest {
            Some(place) => parsed(&read_settings(place).map_err(|error| cannot(place, &error))?, place)?,
            None => Manifest::default(),
        };
        // Not `with_extension`: a name may have points of its own.
        Ok(Self { file: PathBuf::from(format!("{name}.wasm")), language: Language::Component, source: Vec::new(), manifest })
    }

    /// Says which function of a component is called, instead of what its manifest says.
    ///
    /// # Errors
    /// If it is no component: a source has one `main`.
    pub(crate) fn choose(&mut self, export: Option<String>) -> Result<(), CliError> {
        if export.is_some() && self.language != Language::Component {
            return Err(CliError::input("--export is for components; of a source it is `main` that is called"));
        }
        self.manifest.export = export.or_else(|| self.manifest.export.take());
        Ok(())
    }

    /// Its source, which is a module of JavaScript or TypeScript.
    ///
    /// # Errors
    /// If it is a component.
    pub(crate) fn into_module(self) -> Result<Vec<u8>, CliError> {
        match self.language {
            Language::TypeScript | Language::JavaScript => Ok(self.source),
            _ => Err(CliError::input(format!("{} is a component, which imports no modules", self.file.display()))),
        }
    }

    /// Its last part, for diagnostics and stack traces.
    pub(crate) fn file_name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// `hello.script.toml` beside `hello.ts`, or a block of comments at its head; the empty manifest without either.
fn manifest(file: &Path, source: &[u8]) -> Result<Manifest, CliError> {
    let beside = file.with_extension("script.toml");
    let header = header(source).map_err(|fault| CliError::input(format!("{}: {fault}", file.display())))?;
    let (text, place) = match (read_settings(&beside), header) {
        (Ok(_), Some(_)) => {
            return Err(CliError::input(format!(
                "{} has a manifest at its head and one in {}; keep one",
                file.display(),
                beside.display()
            )));
        }
        (Ok(text), None) => (text, beside),
        (Err(error), header) if error.kind() == io::ErrorKind::NotFound => match header {
            Some(text) => (text, file.to_owned()),
            None => return Ok(Manifest::default()),
        },
        (Err(error), _) => return Err(cannot(&beside, &error)),
    };
    parsed(&text, &place)
}

fn parsed(text: &str, place: &Path) -> Result<Manifest, CliError> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| CliError::input(format!("{}: {error}", place.display())))?;
    manifest.check().map_err(|fault| CliError::input(format!("{}: {fault}", place.display())))?;
    Ok(manifest)
}

/// The manifest at the head of a source, between two comments:
/// ```text
/// // /// sandmill
/// // [grants]
/// // runs = ["f/demo/*"]
/// // ///
/// ```
/// Before it there may be comments and empty lines, nothing else.
fn header(source: &[u8]) -> Result<Option<String>, String> {
    const COMMENTS: [&str; 2] = ["//", "#"];
    const BEGIN: &str = "/// sandmill";
    const END: &str = "///";
    let comment = |line: &str| {
        let text = COMMENTS.iter().find_map(|mark| line.strip_prefix(mark))?;
        Some(text.strip_prefix(' ').unwrap_or(text).to_owned())
    };
    let lines = source.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
    let mut lines = lines.skip_while(|line| line.is_empty() || comment(line).is_some_and(|text| text != BEGIN));
    if lines.next().and_then(|line| comment(&line)).is_none_or(|text| text != BEGIN) {
        return Ok(None);
    }
    // What does not end is not read to the end of a large file.
    let mut manifest = String::new();
    for line in lines {
        match comment(&line) {
            Some(text) if text == END => return Ok(Some(manifest)),
            Some(text) => manifest.extend([text.as_str(), "\n"]),
            None => break,
        }
    }
    Err(format!("its manifest, which begins with `// {BEGIN}`, is not ended by a line `// {END}`"))
}

/// Bytes of a component, or of a module that is to become one.
pub(crate) fn read_component(file: &Path) -> Result<Vec<u8>, CliError> {
    read(file, COMPONENT_BYTES_MAX).map_err(|error| cannot(file, &error))
}

/// Text of a file that holds settings.
///
/// # Errors
/// What the system says; that it is no regular file, too large, or not UTF-8.
pub(crate) fn read_settings(file: &Path) -> io::Result<String> {
    let bytes = read(file, SETTINGS_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// A device or a pipe may never end, and a file may grow while it is read.
fn read(file: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let found = fs::metadata(file)?;
    if !found.is_file() {
        let kind = if found.is_dir() { "a folder" } else { "a device, a pipe or a socket" };
        return Err(io::Error::other(format!("it is {kind}, not a regular file")));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn cannot(file: &Path, error: &io::Error) -> CliError {
    CliError::input(format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_lies_beside_the_script() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hello.ts");
        fs::write(&file, "export function main() {}").unwrap();
        assert_eq!(ScriptFile::read(&file).unwrap().manifest, Manifest::default());
        let beside = folder.path().join("hello.script.toml");
        fs::write(&beside, "description = \"hi\"\n[limits]\nwall_ms = 5000\n").unwrap();
        let script = ScriptFile::read(&file).unwrap();
        assert_eq!(
            (script.language, script.file_name().as_str(), script.manifest.limits.wall_ms),
            (Language::TypeScript, "hello.ts", Some(5000))
        );
        fs::write(&beside, "[limits]\nwall_sm = 5000\n").unwrap();
        let error = format!("{:?}", ScriptFile::read(&file).unwrap_err());
        assert!(error.contains("wall_sm") && error.contains("hello.script.toml"), "{error}");
        assert!(ScriptFile::read(&folder.path().join("hello.txt")).is_err());
    }

    #[test]
    fn a_manifest_may_stand_at_the_head_of_the_source() {
        let read = |source: &str| header(source.as_bytes());
        let block = "// /// sandmill\n// [grants]\n//\n// runs = [\"f/demo/*\"]\n// ///\n";
        let text = "[grants]\n\nruns = [\"f/demo/*\"]\n";
        for source in [
            block.to_owned(),
            format!("#!/usr/bin/env x\n// what it does\n\n{block}export function main() {{}}"),
            block.replace("\n", "\r\n"),
            "# /// sandmill\n# [grants]\n#\n# runs = [\"f/demo/*\"]\n# ///\n".to_owned(),
        ] {
            assert_eq!(read(&source), Ok(Some(text.to_owned())), "{source}");
        }
        for source in ["", "export function main() {}", &format!("let x;\n{block}"), "// sandmill\n", &format!("  {block}")] {
            assert_eq!(read(source), Ok(None), "{source}");
        }
        assert!(read("// /// sandmill\n// [grants]\nexport function main() {}").unwrap_err().contains("not ended"));

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hello.ts");
        fs::write(&file, format!("{block}export function main() {{}}")).unwrap();
        let asked: Vec<String> = ScriptFile::read(&file).unwrap().manifest.grants.iter().map(|grant| grant.to_string()).collect();
        assert_eq!(asked, ["runs:f/demo/*"]);
        fs::write(folder.path().join("hello.script.toml"), "").unwrap();
        assert!(format!("{:?}", ScriptFile::read(&file).unwrap_err()).contains("keep one"));
    }

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", at("zero.ts")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero.script.toml")).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket.wasm")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("fifo.ts")).status().unwrap().success());
        fs::create_dir(at("folder.ts")).unwrap();
        fs::write(at("fits.ts"), vec![b' '; SOURCE_BYTES_MAX as usize]).unwrap();
        fs::write(at("large.ts"), vec![b' '; SOURCE_BYTES_MAX as usize + 1]).unwrap();
        File::create(at("large.wasm")).unwrap().set_len(COMPONENT_BYTES_MAX + 1).unwrap();
        fs::write(at("larger-than-a-source.wasm"), vec![0; SOURCE_BYTES_MAX as usize + 1]).unwrap();
        fs::write(at("manifest.ts"), "").unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("manifest.script.toml")).unwrap();
        std::os::unix::fs::symlink(at("fits.ts"), at("link.ts")).unwrap();
        for (name, fault) in [
            ("fits.ts", ""),
            ("link.ts", ""),
            ("larger-than-a-source.wasm", ""),
            ("zero.ts", "not a regular file"),
            ("fifo.ts", "not a regular file"),
            ("socket.wasm", "not a regular file"),
            ("folder.ts", "a folder"),
            ("large.ts", "4194304"),
            ("large.wasm", "67108864"),
            ("manifest.ts", "manifest.script.toml: it is a device"),
            ("missing.ts", "No such file"),
        ] {
            let said = match ScriptFile::read(&at(name)) {
                Ok(_) => String::new(),
                Err(error) => {
                    assert_eq!(error.exit(), crate::error::Exit::Input, "{name}");
                    format!("{error:?}")
                }
            };
            assert!(said.contains(fault) && said.is_empty() == fault.is_empty(), "{name}: {said}");
        }
    }
}
