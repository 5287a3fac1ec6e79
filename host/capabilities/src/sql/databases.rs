//! The databases that are in use: one entry for each workspace, path and revision of a resource, never shared by two workspaces.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use sandmill_model::{ScriptPath, WorkspaceId, grants::Mode};
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::task::TaskTracker;

use super::{
    Answered, Call, Error, Session, postgres,
    room::{FilesPort, Sizes},
    sqlite,
};
use crate::resources::Revealed;

/// Databases that are kept open; of the workspace with the most the longest unused is closed first.
const DATABASES_MAX: usize = 256;
/// The same of one workspace, which closes its own.
const DATABASES_PER_WORKSPACE_MAX: usize = 64;
/// Statements on SQLite that execute at once, of all workspaces: each has a thread for so long.
const SQLITE_STATEMENTS_MAX: usize = 64;
const SQLITE_STATEMENTS_PER_WORKSPACE: usize = 8;
/// Connections to databases of SQLite that one workspace holds at once, whatever they are to: each has memory also while no statement executes.
const SQLITE_CONNECTIONS_PER_WORKSPACE: usize = 16;

/// Whether an address may be connected to.
pub type Allows = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

pub struct Options {
    /// Databases of SQLite are files in it, in a folder for each workspace.
    pub sqlite_folder: PathBuf,
    /// Asked of every address, after its name was looked up, before each connection.
    pub allows: Allows,
    /// A connection that nobody used for so long is closed.
    pub idle: Duration,
    /// Connections to one database, of one workspace.
    pub connections_max: usize,
    /// How long to wait for one of them.
    pub acquire_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// Bytes of one database of SQLite.
    pub sqlite_bytes_max: u64,
    /// Of all databases of SQLite.
    pub sizes: Sizes,
    /// None: workspaces keep what they want, and nobody notes what is opened.
    pub files: Option<Arc<dyn FilesPort>>,
}

impl Options {
    pub fn new(sqlite_folder: impl Into<PathBuf>, allows: Allows) -> Self {
        let sqlite_folder: PathBuf = sqlite_folder.into();
        Self {
            sizes: Sizes::new(&sqlite_folder),
            files: None,
            sqlite_folder,
            allows,
            idle: Duration::from_secs(60),
            connections_max: 8,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            sqlite_bytes_max: 1024 * 1024 * 1024,
        }
    }
}

/// All databases of a node. Cheap to clone.
#[derive(Clone)]
pub struct Databases(Arc<Inner>);

struct Inner {
    common: Arc<Common>,
    open: Mutex<HashMap<Key, Entry>>,
}

/// What all databases share.
pub(super) struct Common {
    pub(super) options: Options,
    /// What cleans up after calls that were dropped.
    pub(super) tracker: TaskTracker,
    pub(super) sqlite_statements: Arc<Semaphore>,
    sqlite_shares: Mutex<HashMap<WorkspaceId, Weak<Share>>>,
}

/// What one workspace may have of SQLite on this node, in all its databases together.
pub(super) struct Share {
    /// For statements that execute.
    pub(super) turns: Arc<Semaphore>,
    pub(super) connections: Arc<Semaphore>,
}

impl Common {
    /// The same for all who hold it at the same time.
    pub(super) fn sqlite_share(&self, workspace: WorkspaceId) -> Arc<Share> {
        let mut all = self.sqlite_shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = all.get(&workspace).and_then(Weak::upgrade) {
            return share;
        }
        all.retain(|_, share| share.strong_count() > 0);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (turns, connections) = (semaphore(SQLITE_STATEMENTS_PER_WORKSPACE), semaphore(SQLITE_CONNECTIONS_PER_WORKSPACE));
        let share = Arc::new(Share { turns, connections });
        all.insert(workspace, Arc::downgrade(&share));
        share
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    workspace: WorkspaceId,
    path: ScriptPath,
}

struct Entry {
    revision: i64,
    database: Database,
    last_use: Instant,
}

#[derive(Clone)]
pub(super) enum Database {
    Postgres(Arc<postgres::Pool>),
    Sqlite(Arc<sqlite::File>),
}

impl Database {
    /// Whether what it is asked leaves this node.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(super) async fn once(&self, call: Call) -> Result<Answered, Error> {
        match self {
            Self::Postgres(pool) => pool.once(&call).await,
            Self::Sqlite(file) => file.once(call).await,
        }
    }

    pub(super) async fn begin(&self, mode: Mode, limit: Duration) -> Result<Session, Error> {
        Ok(match self {
            Self::Postgres(pool) => Session::Postgres(pool.begin(mode, limit).await?),
            Self::Sqlite(file) => Session::Sqlite(file.begin(mode, limit).await?),
        })
    }

    /// Nobody is given a connection of before any more; those in use end as they come back.
    fn close(&self) {
        if let Self::Postgres(pool) = self {
            pool.close();
        }
    }
}

impl Databases {
    #[must_use]
    pub fn new(options: Options) -> Self {
        let sqlite_statements = Arc::new(Semaphore::new(SQLITE_STATEMENTS_MAX));
        let common = Arc::new(Common { options, tracker: TaskTracker::new(), sqlite_statements, sqlite_shares: Mutex::default() });
        Self(Arc::new(Inner { common, open: Mutex::default() }))
    }

    /// Waits until all that was dropped is cleaned up.
    pub async fn settled(&self) {
        let tracker = &self.0.common.tracker;
        tracker.close();
        tracker.wait().await;
        tracker.reopen();
    }

    /// Connections and files are opened when a statement needs them. A resource that was changed has new ones.
    pub(super) fn open(&self, workspace: WorkspaceId, path: &ScriptPath, revealed: &Revealed) -> Result<Database, Error> {
        let key = Key { workspace, path: path.clone() };
        if let Some(entry) = self.0.open().get_mut(&key).filter(|entry| entry.revision == revealed.revision) {
            entry.last_use = Instant::now();
            return Ok(entry.database.clone());
        }
        let common = Arc::clone(&self.0.common);
        let database = match revealed.kind.as_str() {
            "postgresql" => Database::Postgres(postgres::Pool::new(revealed, common)?),
            "sqlite" => Database::Sqlite(sqlite::File::new((workspace, path), revealed, common)?),
            other => return Err(Error::Invalid(format!("{path} is of the type `{other}`; a database is `postgresql` or `sqlite`"))),
        };
        let entry = Entry { revision: revealed.revision, database: database.clone(), last_use: Instant::now() };
        let mut open = self.0.open();
        if open.is_empty() {
            self.watch();
        }
        let replaced = open.insert(key, entry);
        let surplus = surplus(open.iter().map(|(key, entry)| (key, entry.last_use)), workspace);
        let evicted = surplus.and_then(|key| open.remove(&key));
        drop(open);
        for entry in [replaced, evicted].into_iter().flatten() {
            entry.database.close();
        }
        Ok(database)
    }

    /// Closes what nobody uses, as long as there is anything.
    fn watch(&self) {
        let inner = Arc::downgrade(&self.0);
        let idle = self.0.common.options.idle;
        // Not on the tracker: it ends by itself, and nobody waits for it.
        Handle::current().spawn(async move {
            loop {
                tokio::time::sleep(idle / 2).await;
                if !Inner::look_after(&inner) {
                    return;
                }
            }
        });
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False once there is nothing to look after.
    fn look_after(inner: &Weak<Self>) -> bool {
        let Some(inner) = inner.upgrade() else { return false };
        let idle = inner.common.options.idle;
        let mut open = inner.open();
        open.retain(|_, entry| {
            if let Database::Postgres(pool) = &entry.database {
                pool.close_idle();
            }
            entry.last_use.elapsed() < idle || entry.database.is_in_use()
        });
        !open.is_empty()
    }
}

/// What is closed for a database that `workspace` has just opened, and that is among them: nobody's who has fewer than somebody else.
fn surplus<'a>(open: impl Iterator<Item = (&'a Key, Instant)> + Clone, workspace: WorkspaceId) -> Option<Key> {
    let mut counts: HashMap<WorkspaceId, usize> = HashMap::new();
    for (key, _) in open.clone() {
        *counts.entry(key.workspace).or_default() += 1;
    }
    let own = counts.get(&workspace).copied().unwrap_or(0);
    let most = counts.values().copied().max().unwrap_or(0);
    let has_too_many = own > DATABASES_PER_WORKSPACE_MAX;
    if !has_too_many && counts.values().sum::<usize>() <= DATABASES_MAX {
        return None;
    }
    let may_go = |key: &Key| if has_too_many { key.workspace == workspace } else { counts.get(&key.workspace) == Some(&most) };
    open.filter(|(key, _)| may_go(key)).min_by_key(|(_, last_use)| *last_use).map(|(key, _)| key.clone())
}

impl Database {
    fn is_in_use(&self) -> bool {
        match self {
            Self::Postgres(pool) => pool.is_in_use(),
            Self::Sqlite(file) => Arc::strong_count(file) > 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{JsonText, Timestamp};

    use super::*;

    /// So many databases of each workspace, each opened a second after the one before.
    fn opened(counts: &[(WorkspaceId, usize)]) -> Vec<(Key, Instant)> {
        let began = Instant::now();
        let keys = counts.iter().flat_map(|(workspace, count)| {
            (0..*count).map(move |number| Key { workspace: *workspace, path: format!("f/db/n{number}").parse().unwrap() })
        });
        keys.zip(0..).map(|(key, second)| (key, began + Duration::from_secs(second))).collect()
    }

    fn goes(open: &[(Key, Instant)], workspace: WorkspaceId) -> Option<(WorkspaceId, String)> {
        let key = surplus(open.iter().map(|(key, last_use)| (key, *last_use)), workspace)?;
        Some((key.workspace, key.path.to_string()))
    }

    #[tokio::test]
    async fn a_workspace_holds_only_so_many_connections_to_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path(), Arc::new(|_| false));
        options.acquire_timeout = Duration::from_millis(200);
        let databases = Databases::new(options);
        let [own, other] = [1, 2].map(|number| WorkspaceId::new(Timestamp::from_micros(number)));
        let begin = async |workspace: WorkspaceId, number: usize| {
            let value = JsonText::trusted(format!("{{\"name\": \"n{number}\"}}"));
            let revealed = Revealed { kind: "sqlite".to_owned(), value, secrets: Vec::new(), revision: 1 };
            let path: ScriptPath = format!("f/db/n{number}").parse().unwrap();
            databases.open(workspace, &path, &revealed).unwrap().begin(Mode::Read, Duration::from_secs(5)).await
        };
        let mut held = Vec::new();
        for number in 0..SQLITE_CONNECTIONS_PER_WORKSPACE {
            // No database has all of its own in use.
            held.push(begin(own, number / 6).await.unwrap());
        }
        assert!(matches!(begin(own, 9).await, Err(Error::Unavailable(_))));
        held.push(begin(other, 0).await.unwrap());
        drop(held.remove(0));
        held.push(begin(own, 9).await.unwrap());
    }

    #[test]
    fn who_opens_many_databases_closes_its_own() {
        let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|number| WorkspaceId::new(Timestamp::from_micros(number)));
        assert_eq!(goes(&opened(&[(b, 1), (a, 64)]), a), None);
        assert_eq!(goes(&opened(&[(b, 1), (a, 65)]), a), Some((a, "f/db/n0".to_owned())), "b's is older");
        // The node has as many as it may: whoever has most makes way for the first of another.
        let full = opened(&[(b, 63), (a, 64), (c, 64), (d, 64), (e, 2)]);
        assert_eq!(goes(&full, e), Some((a, "f/db/n0".to_owned())), "b's is older, and b has fewer");
        assert_eq!(goes(&full[1..], e), None);
    }
}
