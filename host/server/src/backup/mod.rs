//! `sandmill backup` and `sandmill restore`: the embedded database and what belongs to it, in one file.
//!
//! The archive is a tar in zstd: [`HEADER`] first, then the copy of the database and the immutable files that it refers to, then [`DIGESTS`] of
//! all of them. A file that does not end with those is damaged.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use sandmill_model::{Clock, SystemClock};
use serde::{Deserialize, Serialize};

use crate::{blob_options, bootstrap, node, options::Places};

/// The form of archives that this release writes and reads.
const FORMAT: u32 = 1;
const HEADER: &str = "backup.json";
const DIGESTS: &str = "digests.json";
pub(crate) const DATABASE: &str = "sandmill.db";
/// Files of the data folder beside the database, each of which may be missing.
const FILES: [&str; 2] = ["node-id", "admin-token"];
/// The key that seals secrets: never in an archive, so that whoever finds one finds no secrets.
pub(crate) const INSTANCE_KEY: &str = "instance-key";
/// The folder with results that are too large for the database.
pub(crate) const OBJECTS: &str = "objects";

#[derive(Clone, Debug, Args)]
pub(crate) struct BackupOptions {
    /// The file to write, e.g. `sandmill-2026-11-21.tar.zst`; must not be there yet.
    pub(crate) file: PathBuf,
    /// As the server has them, which may run or not.
    #[command(flatten)]
    pub(crate) places: Places,
    /// The server's config file, for the places that it names; what is said on the command line or in the environment counts more.
    #[arg(long, env = "SANDMILL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RestoreOptions {
    /// The file that `sandmill backup` wrote.
    pub(crate) file: PathBuf,
    /// The data folder to make; must be empty, or not there yet.
    #[arg(long, env = "SANDMILL_DATA", default_value = "./sandmill-data")]
    pub(crate) data: PathBuf,
}

/// What an archive says of itself before all else.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    release: String,
    schema: i64,
    created_at: String,
}

/// What was written of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    bytes: u64,
    sha256: String,
}

type Digests = BTreeMap<String, Written>;

pub(crate) fn backup(options: &BackupOptions) -> anyhow::Result<()> {
    let database = database(&options.places)?;
    ensure!(database.is_file(), "there is no database at {}: is this the server's data folder?", database.display());
    ensure!(!options.file.exists(), "{} is there already", options.file.display());
    let parent = options.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Beside the archive: there must be room for both, and the last step is then mostly but a name.
    let work = tempfile::Builder::new().prefix(".sandmill-backup-").tempdir_in(parent);
    let work = work.with_context(|| format!("{} cannot be written to", parent.display()))?;
    let copy = work.path().join(DATABASE);
    let schema = block_on(sandmill_store::backup::snapshot(&database, &copy))?.context("the database cannot be copied")?;
    let objects = options.places.objects();
    if !objects.is_dir() && options.places.results_bucket().is_none() {
        let keeps = block_on(sandmill_store::backup::keeps_results(&copy))?.context("the copy cannot be read")?;
        ensure!(
            !keeps,
            "the database refers to large results, and there is no folder {}: say where they are with --objects-dir or --config, as for the server",
            objects.display()
        );
    }
    let header =
        Header { format: FORMAT, release: env!("CARGO_PKG_VERSION").to_owned(), schema, created_at: SystemClock.now().to_string() };
    let archive = work.path().join("archive");
    let folders = write::Folders { data: options.places.data.clone(), objects };
    let files = write::write(&archive, &header, &copy, &folders).context("the archive cannot be written")?;
    write::publish(&archive, &options.file, parent).with_context(|| format!("{} cannot be made", options.file.display()))?;
    println!("wrote {}: {files} files, schema {schema}", options.file.display());
    if let Some(bucket) = options.places.results_bucket() {
        println!("large results are in the bucket {bucket}, and not in it: keep that, too");
    }
    for folder in
        [node::SQLITE, blob_options::FOLDER].map(|name| options.places.data.join(name)).into_iter().filter(|folder| folder.is_dir())
    {
        println!("what scripts keep in {} is not in it: copy that, too", folder.display());
    }
    let keys = block_on(sandmill_store::backup::instance_keys(&copy))?.context("the copy cannot be read")?;
    if !keys.is_empty() {
        println!("secrets in it open only with the instance key {}, which is not in it: keep a copy of the key apart", keys.join(", "));
    }
    Ok(())
}

pub(crate) fn restore(options: &RestoreOptions) -> anyhow::Result<()> {
    bootstrap::data_folder(&options.data)?;
    let data = &options.data;
    let is_empty = fs::read_dir(data).with_context(|| format!("{} cannot be read", data.display()))?.next().is_none();
    ensure!(is_empty, "{} is not empty: a backup is only restored into a new data folder", data.display());
    let work = tempfile::Builder::new().prefix(".restore-").tempdir_in(data)?;
    let header = read::read(&options.file, work.path())?;
    let database = work.path().join(DATABASE);
    block_on(sandmill_store::backup::verify(&database))?.context("the database in the archive cannot be used")?;
    // The database last: without it the folder is no data folder.
    for name in [OBJECTS].into_iter().chain(FILES).chain([DATABASE]) {
        let from = work.path().join(name);
        if from.exists() {
            fs::rename(from, data.join(name)).with_context(|| format!("{name} cannot be put into place"))?;
        }
    }
    fs::File::open(data)?.sync_all()?;
    let keys = block_on(sandmill_store::backup::instance_keys(&data.join(DATABASE)))?.context("what was restored cannot be read")?;
    if !keys.is_empty() {
        println!("put the instance key {} into {} before the server is started", keys.join(", "), data.join(INSTANCE_KEY).display());
    }
    println!("restored {} of {} (Sandmill {})", data.display(), header.created_at, header.release);
    Ok(())
}

/// Where the database is.
fn database(places: &Places) -> anyhow::Result<PathBuf> {
    let url = places.database_url();
    let path = url
        .strip_prefix("sqlite:")
        .context("only the embedded database is backed up so; for PostgreSQL use pg_dump, see docs/operations.md")?;
    Ok(path.strip_prefix("//").unwrap_or(path).into())
}

fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot be started")?;
    Ok(runtime.block_on(future))
}
