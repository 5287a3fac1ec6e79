//! Scripts on disk: source, language, and the manifest beside them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sandmill_model::{Language, Manifest};

use crate::error::CliError;

/// Bytes of one source or component.
const SOURCE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct ScriptFile {
    pub(crate) file: PathBuf,
    pub(crate) language: Language,
    pub(crate) source: Vec<u8>,
    pub(crate) manifest: Manifest,
}

impl ScriptFile {
    pub(crate) fn read(file: &Path) -> Result<Self, CliError> {
        let cannot = |error: &dyn std::fmt::Display| CliError::input(format!("cannot read {}: {error}", file.display()));
        let language = Language::of_file(file).ok_or_else(|| {
            CliError::input(format!("{}: the extension tells the language, and it is none of .ts, .mts, .js, .mjs, .wasm", file.display()))
        })?;
        let bytes = fs::metadata(file).map_err(|error| cannot(&error))?.len();
        if bytes > SOURCE_BYTES_MAX {
            return Err(CliError::input(format!("{} has {bytes} bytes, over the limit of {SOURCE_BYTES_MAX}", file.display())));
        }
        let source = fs::read(file).map_err(|error| cannot(&error))?;
        Ok(Self { file: file.to_owned(), language, source, manifest: manifest(file)? })
    }

    /// Its last part, for diagnostics and stack traces.
    pub(crate) fn file_name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// `hello.script.toml` beside `hello.ts`; the empty manifest without one.
fn manifest(file: &Path) -> Result<Manifest, CliError> {
    let beside = file.with_extension("script.toml");
    let text = match fs::read_to_string(&beside) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Manifest::default()),
        Err(error) => return Err(CliError::input(format!("cannot read {}: {error}", beside.display()))),
    };
    toml::from_str(&text).map_err(|error| CliError::input(format!("{}: {error}", beside.display())))
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
}
