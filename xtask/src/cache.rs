//! Where tools and downloads stay between runs.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

/// A folder of that name in the cache of this user; made if it is missing.
///
/// # Errors
/// If there is no home folder or it cannot be written to.
pub fn folder(name: &str) -> Result<PathBuf> {
    let home = std::env::home_dir().context("there is no home folder to cache tools in; set HOME")?;
    let folder = home.join(".cache").join("sandmill").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
