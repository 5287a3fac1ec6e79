//! What can go wrong with a store, classified by what a caller can do about it.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer was there first; the text says over what.
    #[error("{0}")]
    Conflict(String),
    /// The disk or a quota of the database, or of what is kept apart from it, is full. Nothing was written; work goes on once there is space.
    #[error("nothing more can be stored: {0}")]
    Full(String),
    /// What is kept apart from the database is not there.
    #[error("it is not there any more: {0}")]
    Gone(String),
    /// The folder of what is kept apart from the database cannot be reached; trying again may help.
    #[error("the folder of large results is not available: {0}")]
    ObjectsUnavailable(String),
    /// A key that secrets are sealed with is not to be had: what is missing, and what to do.
    #[error("{0}")]
    Keys(String),
    /// The database cannot be reached or is too busy; trying again may help.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Others worked on the same rows at the same moment, several times in a row; trying again may help.
    #[error("the database is too busy with the same rows: {0}")]
    Contended(String),
    /// What was read is not what was written, or the schema is not ours.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
    #[error("the database failed: {0}")]
    Other(String),
}
