//! Keys that secrets are sealed with: a data key for each workspace, wrapped by an instance key that is kept outside of the database.

use sandmill_model::{BoxFuture, Timestamp};

use crate::StoreError;

/// What a rotation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Workspaces that have a new data key.
    pub workspaces: u64,
    /// Rows that were sealed anew.
    pub resealed: u64,
    /// Id of the instance key that wraps all data keys now: any other may be taken out of the key file.
    pub wrapped_by: String,
}

pub trait Keys: Send + Sync + 'static {
    /// Reads the instance keys again, and goes on with those it had if one that is needed is not among them. Returns the id of the active one.
    fn reload(&self) -> BoxFuture<'_, Result<String, StoreError>>;

    /// Reads the instance keys again and gives every workspace a new data key, wrapped by the active one; seals all rows with it and forgets the
    /// old ones. Others go on reading and writing. What is left of a rotation that was cut short the next one finishes.
    fn rotate(&self, now: Timestamp) -> BoxFuture<'_, Result<Rotation, StoreError>>;
}
