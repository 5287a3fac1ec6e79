//! What `login` saved: one server, a token for it and a workspace, readable by its owner only.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::CliError;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) server: String,
    pub(crate) token: String,
    pub(crate) workspace: String,
}

/// `$XDG_CONFIG_HOME/sandmill/profile.toml`, or in `~/.config`.
#[expect(clippy::disallowed_methods, reason = "the one place that asks where the user's settings are")]
pub(crate) fn location() -> Option<PathBuf> {
    let settings = std::env::var("XDG_CONFIG_HOME").ok().map(PathBuf::from).filter(|folder| folder.is_absolute());
    let settings = settings.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(settings.join("sandmill").join("profile.toml"))
}

impl Profile {
    /// None if nobody logged in.
    pub(crate) fn load(file: &Path) -> Result<Option<Self>, CliError> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::input(format!("cannot read {}: {error}", file.display()))),
        };
        // The parser's message would repeat the line, and with it the token.
        toml::from_str(&text).map(Some).map_err(|_| CliError::input(format!("{} is damaged: run `sandmill login` again", file.display())))
    }

    pub(crate) fn save(&self, file: &Path) -> Result<(), CliError> {
        let failed = |error: &dyn std::fmt::Display| CliError::input(format!("cannot write {}: {error}", file.display()));
        let text = toml::to_string(self).map_err(|error| failed(&error))?;
        self.write(file, &text).map_err(|error| failed(&error))
    }

    fn write(&self, file: &Path, text: &str) -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // A new file of its own mode: an old one, whoever may read it, is replaced and never written to.
        let temporary = file.with_extension(format!("{}.new", std::process::id()));
        let _stale = fs::remove_file(&temporary);
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&temporary, file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn profile() -> Profile {
        Profile { server: "http://127.0.0.1:8000".into(), token: "sm_secret".into(), workspace: "default".into() }
    }

    #[test]
    fn only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/sandmill/profile.toml");
        profile().save(&file).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        profile().save(&file).unwrap();
        assert_eq!(mode(&file), 0o600, "an old file's mode does not stay");
        assert_eq!(Profile::load(&file).unwrap(), Some(profile()));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_damaged_one_does_not_show_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profile.toml");
        assert_eq!(Profile::load(&file).unwrap(), None);
        fs::write(&file, "token = sm_secret").unwrap();
        let error = format!("{:?}", Profile::load(&file).unwrap_err());
        assert!(!error.contains("sm_secret"), "{error}");
    }
}
