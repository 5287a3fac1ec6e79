//! Files that take no writes, not even by who has them open: what a disk does that the system made read-only after a fault.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

/// Files stay as they are while this lives.
pub struct Frozen(Vec<PathBuf>);

impl Frozen {
    /// Freezes a SQLite database and its write-ahead log, if it has one. None, with a loud line, for a user or a file system that cannot.
    ///
    /// # Panics
    /// In CI instead.
    #[must_use]
    pub fn database(file: &Path) -> Option<Self> {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let frozen = Self([file.to_owned(), log.into()].into_iter().filter(|file| file.exists()).collect());
        match frozen.set("+i") {
            Ok(()) => Some(frozen),
            Err(error) => {
                crate::skipped("a file cannot be made to take no writes", &error);
                None
            }
        }
    }

    fn set(&self, attribute: &str) -> anyhow::Result<()> {
        let done = Command::new("chattr").arg(attribute).args(&self.0).output().context("there is no chattr (package e2fsprogs)")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "it needs root, and a temporary folder on ext4, xfs or btrfs: {said}");
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.set("-i");
    }
}
