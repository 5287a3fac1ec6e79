//! Where objects of scripts are kept: in a folder, or with a service that speaks S3.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use sandmill_capabilities::blob::{Place, S3};

/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
/// In the data folder, unless another is named.
pub(crate) const FOLDER: &str = "blobs";

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct BlobOptions {
    /// Folder for objects of scripts; DATA/blobs by default. Nodes that share a database share it too.
    #[arg(long, env = "SANDMILL_BLOB_DIR", conflicts_with = "blob_s3_bucket")]
    pub(crate) blob_dir: Option<PathBuf>,
    /// Bucket for objects of scripts and for large results, in the place of folders.
    #[arg(long, env = "SANDMILL_BLOB_S3_BUCKET", requires = "blob_s3_access_key_id")]
    pub(crate) blob_s3_bucket: Option<String>,
    /// Where the service is, e.g. `http://127.0.0.1:9000`.
    #[arg(long, env = "SANDMILL_BLOB_S3_ENDPOINT")]
    pub(crate) blob_s3_endpoint: Option<String>,
    #[arg(long, env = "SANDMILL_BLOB_S3_REGION", default_value = "us-east-1")]
    pub(crate) blob_s3_region: String,
    #[arg(long, env = "SANDMILL_BLOB_S3_ACCESS_KEY_ID")]
    pub(crate) blob_s3_access_key_id: Option<String>,
    /// File that holds the secret key; its owner alone should be able to read it.
    #[arg(long, env = "SANDMILL_BLOB_S3_SECRET_FILE")]
    pub(crate) blob_s3_secret_file: Option<PathBuf>,
}

impl BlobOptions {
    pub(crate) fn place(&self, data: &Path) -> anyhow::Result<Place> {
        let Some(bucket) = &self.blob_s3_bucket else {
            return Ok(Place::Folder(self.blob_dir.clone().unwrap_or_else(|| data.join(FOLDER))));
        };
        let (Some(access_key_id), Some(file)) = (&self.blob_s3_access_key_id, &self.blob_s3_secret_file) else {
            bail!("--blob-s3-bucket needs --blob-s3-access-key-id and --blob-s3-secret-file");
        };
        let mode = std::fs::metadata(file).with_context(|| format!("the secret key for objects in {}", file.display()))?.mode();
        if mode & OTHERS != 0 {
            tracing::warn!(file = %file.display(), "others on this machine may read the secret key for objects: chmod 600");
        }
        let secret = std::fs::read_to_string(file).with_context(|| format!("the secret key for objects in {}", file.display()))?;
        Ok(Place::S3(S3 {
            bucket: bucket.clone(),
            region: self.blob_s3_region.clone(),
            endpoint: self.blob_s3_endpoint.clone(),
            access_key_id: access_key_id.clone(),
            secret_access_key: secret.trim().to_owned(),
        }))
    }
}
