//! The traits on SQLite and PostgreSQL: one struct, statements written once; `dialect` holds what differs.

mod access;
mod audit;
mod canonical;
mod claims;
mod codes;
mod data_keys;
mod database_names;
mod db;
mod dead_letters;
mod dedup;
mod deliveries;
mod dialect;
mod finished;
mod grants;
mod groups;
mod history;
mod invitations;
mod kept_events;
mod keys;
mod labels;
mod list;
mod logs;
mod members;
mod migrate;
mod nodes;
mod objects;
mod partitions;
mod places;
mod plans;
mod queue;
mod queued;
mod rates;
mod removal;
mod resource_types;
mod resources;
mod retention;
mod rotation;
mod scripts;
mod seats;
mod service_accounts;
mod sessions;
mod shown;
mod signals;
mod snapshot;
mod state;
mod subjects;
mod token_uses;
mod tokens;
mod triggers;
mod turns;
mod usage;
mod users;
mod value;
mod variables;
mod waiting;
mod workspaces;
mod writer;

use std::{fmt, sync::Arc};

use sandmill_model::BoxFuture;
use tokio::sync::{Mutex, Semaphore};

use crate::{
    Health, Store, StoreError,
    seal::{Sealing, Seals},
};
use db::Db;
pub(crate) use migrate::schema;
pub(crate) use snapshot::{instance_keys, keeps_results, snapshot, verify};
use value::values;

/// What a write that was acknowledged survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// SQLite: the death of the process, not a loss of power: the last moments before one may be missing, the file is whole.
    /// PostgreSQL: all that its own disk survives; its synchronous standbys are not waited for.
    #[default]
    Normal,
    /// SQLite: a loss of power too, for one flush of the disk a commit. PostgreSQL: its synchronous standbys have it as well.
    Full,
}

/// Where the database is.
#[derive(Clone)]
pub struct Options {
    /// `sqlite:` and a file's path, taken as it is and made if it is not there; `sqlite::memory:`, gone when the store is; or `postgres:…`.
    pub url: String,
    pub durability: Durability,
}

/// Without the URL's secrets.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("Options").field("url", &format_args!("{scheme}:…")).field("durability", &self.durability).finish()
    }
}

/// Opens the database, brings its schema up to date and returns the store. Must be called within a tokio runtime.
///
/// # Errors
/// `Unavailable` if it cannot be reached, `Corrupt` if its schema is not ours or is of a newer release.
pub async fn connect(options: &Options) -> Result<Store, StoreError> {
    connect_with(options, None).await
}

/// The same with a folder for results that are too large for the database; without one these are in the database too.
///
/// # Errors
/// As [`connect`], and `Unavailable` if the folder cannot be used.
pub async fn connect_with(options: &Options, objects: Option<&crate::objects::Options>) -> Result<Store, StoreError> {
    open(options, objects, None).await
}

/// The same with the keys that secrets are sealed with; without them whoever would keep or reveal one is refused, and all else works.
///
/// # Errors
/// As [`connect_with`], and `Keys` if a key that the database needs is not to be had; then nothing was changed.
pub async fn connect_sealed(options: &Options, objects: Option<&crate::objects::Options>, sealing: Sealing) -> Result<Store, StoreError> {
    open(options, objects, Some(sealing)).await
}

async fn open(options: &Options, objects: Option<&crate::objects::Options>, sealing: Option<Sealing>) -> Result<Store, StoreError> {
    let shelf = objects.map(|objects| objects::Shelf::open(objects, options.durability)).transpose()?;
    let db = Db::open(options).await?;
    let seals = match sealing {
        Some(sealing) => Some(data_keys::open(&db, sealing).await?),
        None => None,
    };
    let sql = Arc::new(Sql::new(db, shelf, seals));
    Ok(Store {
        workspaces: sql.clone(),
        plans: sql.clone(),
        removals: sql.clone(),
        usage: sql.clone(),
        tokens: sql.clone(),
        scripts: sql.clone(),
        queue: sql.clone(),
        nodes: sql.clone(),
        places: sql.clone(),
        signals: sql.clone(),
        history: sql.clone(),
        dead_letters: sql.clone(),
        retention: sql.clone(),
        objects: sql.clone(),
        state: sql.clone(),
        resource_types: sql.clone(),
        resources: sql.clone(),
        variables: sql.clone(),
        grants: sql.clone(),
        keys: sql.clone(),
        users: sql.clone(),
        sessions: sql.clone(),
        subjects: sql.clone(),
        members: sql.clone(),
        invitations: sql.clone(),
        groups: sql.clone(),
        folders: sql.clone(),
        service_accounts: sql.clone(),
        audit: sql.clone(),
        shown: sql.clone(),
        triggers: sql.clone(),
        seats: sql.clone(),
        health: sql,
    })
}

/// Greater than every character that a path may hold.
const AFTER_ALL_PATHS: &str = "\u{10FFFF}";
/// Values that are checked against their types at the same time: each may take a thread for as much as a second.
const CHECKS_MAX: usize = 2;

/// Every trait of the store, each implemented in the file of its name.
struct Sql {
    db: Db,
    /// Where large results are; none: in the database.
    shelf: Option<objects::Shelf>,
    /// None: this store keeps no secrets.
    seals: Option<Arc<Seals>>,
    /// Held by whoever rotates keys.
    rotating: Mutex<()>,
    checks: Arc<Semaphore>,
    token_uses: token_uses::Uses,
}

impl Sql {
    fn new(db: Db, shelf: Option<objects::Shelf>, seals: Option<Arc<Seals>>) -> Self {
        Self {
            db,
            shelf,
            seals,
            rotating: Mutex::new(()),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            token_uses: token_uses::Uses::default(),
        }
    }

    /// For what is done to secrets; an error if there are no keys for it.
    fn seals(&self) -> Result<&Arc<Seals>, StoreError> {
        self.seals.as_ref().ok_or_else(data_keys::no_keys)
    }

    /// Does what takes long beside the threads that answer, a few at a time.
    async fn check<T: Send + 'static>(&self, check: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
        let failed = || StoreError::Other("a check did not come to its end".to_owned());
        let permit = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| failed())?;
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            check()
        });
        checked.await.map_err(|_| failed())
    }
}

impl Health for Sql {
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.db.read((), |(), mut conn| Box::pin(async move { conn.rows("SELECT 1", values![]).await.map(drop) })).await?;
            self.db.write((), |(), mut conn| Box::pin(async move { conn.rows("SELECT 1", values![]).await.map(drop) })).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.db.close())
    }
}

#[cfg(test)]
mod tests;
