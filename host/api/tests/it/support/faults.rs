//! What is wrong with the store, when a test says so.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use sandmill_model::{
    AuditId, BoxFuture, Output, RunId, RunRecord, Timestamp, WorkspaceId, WorkspaceSettings,
    audit::{Entry, Link, Record},
    run::FinishedRun,
    settings::{InvalidSettings, Patch},
};
use sandmill_store::{
    Store, StoreError,
    audit::{Audit, Chain, Ends, Filter, Page},
    history::{History, Kin, LogCursor, LogPage, LogPart, RunFilter, RunPage},
    nodes::Incarnation,
    objects::Objects,
    workspaces::{Change, NewWorkspace, Status, Unmade, Workspace, Workspaces},
};
use tokio::sync::watch;

type Fault = fn(String) -> StoreError;

pub(crate) struct Faults {
    /// Of whoever reads a result that is kept apart.
    objects: Mutex<Option<Fault>>,
    /// Pages of logs that can still be read.
    log_pages: AtomicUsize,
    /// Of whoever reads more.
    logs: Mutex<Fault>,
    /// Of whoever keeps what is about to be changed, and of whoever appends to the audit log.
    audit: Mutex<(Option<Fault>, Option<Fault>)>,
    /// Whoever lists runs waits while it is true.
    holds_lists: watch::Sender<bool>,
    /// Whoever keeps what is about to be changed waits while it is true.
    holds: watch::Sender<bool>,
    /// Those that wait so.
    held: watch::Sender<usize>,
    /// How often a workspace was looked up by its name.
    workspaces: AtomicUsize,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            log_pages: AtomicUsize::new(usize::MAX),
            logs: Mutex::new(StoreError::Unavailable),
            audit: Mutex::default(),
            holds_lists: watch::Sender::new(false),
            holds: watch::Sender::new(false),
            held: watch::Sender::new(0),
            workspaces: AtomicUsize::new(0),
        }
    }
}

impl Faults {
    pub(crate) fn of_objects(&self, fault: Option<Fault>) {
        *self.objects.lock().unwrap() = fault;
    }

    pub(crate) fn of_audit(&self, begin: Option<Fault>, append: Option<Fault>) {
        *self.audit.lock().unwrap() = (begin, append);
    }

    /// Changes wait before they begin, until they are let go on.
    pub(crate) fn hold_changes(&self, holds: bool) {
        self.holds.send_replace(holds);
    }

    /// Lists of runs wait until they are let go on.
    pub(crate) fn hold_lists(&self, holds: bool) {
        self.holds_lists.send_replace(holds);
    }

    /// Waits until so many changes and lists have been held.
    pub(crate) async fn have_held(&self, count: usize) {
        self.held.subscribe().wait_for(|held| *held >= count).await.unwrap();
    }

    async fn pass(&self, gate: &watch::Sender<bool>) {
        let mut holds = gate.subscribe();
        if *holds.borrow() {
            self.held.send_modify(|held| *held += 1);
            holds.wait_for(|holds| !holds).await.unwrap();
        }
    }

    pub(crate) fn of_logs(&self, fault: Fault) {
        *self.logs.lock().unwrap() = fault;
    }

    pub(crate) fn workspaces_looked_up(&self) -> usize {
        self.workspaces.load(SeqCst)
    }

    pub(crate) fn after_log_pages(&self, count: usize) {
        self.log_pages.store(count, SeqCst);
    }
}

/// A store that has these faults.
pub(crate) fn with(faults: &Arc<Faults>, store: Store) -> Store {
    let objects = Arc::new(Faulty { faults: Arc::clone(faults), part: Arc::clone(&store.objects) });
    let history = Arc::new(Faulty { faults: Arc::clone(faults), part: Arc::clone(&store.history) });
    let audit = Arc::new(Faulty { faults: Arc::clone(faults), part: Arc::clone(&store.audit) });
    let workspaces = Arc::new(Faulty { faults: Arc::clone(faults), part: Arc::clone(&store.workspaces) });
    Store { objects, history, audit, workspaces, ..store }
}

struct Faulty<T: ?Sized> {
    faults: Arc<Faults>,
    part: Arc<T>,
}

impl Audit for Faulty<dyn Audit> {
    fn begin(&self, record: Record, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        match self.faults.audit.lock().unwrap().0 {
            Some(fault) => Box::pin(async move { Err(fault("as the test says".to_owned())) }),
            None => Box::pin(async move {
                self.faults.pass(&self.faults.holds).await;
                self.part.begin(record, now).await
            }),
        }
    }

    fn append(&self, record: Record, now: Timestamp) -> BoxFuture<'_, Result<Link, StoreError>> {
        match self.faults.audit.lock().unwrap().1 {
            Some(fault) => Box::pin(async move { Err(fault("as the test says".to_owned())) }),
            None => self.part.append(record, now),
        }
    }

    fn give_up(&self, chain: Chain, id: AuditId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.part.give_up(chain, id)
    }

    fn close(&self, begun_before: Timestamp, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.part.close(begun_before, now)
    }

    fn ends(&self, chain: Chain) -> BoxFuture<'_, Result<Ends, StoreError>> {
        self.part.ends(chain)
    }

    fn list(&self, chain: Chain, filter: Filter, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.part.list(chain, filter, before, limit)
    }

    fn entries(&self, chain: Chain, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.part.entries(chain, after, limit)
    }

    fn forget(&self, chain: Chain, recorded_before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.part.forget(chain, recorded_before)
    }
}

impl Workspaces for Faulty<dyn Workspaces> {
    fn ensure<'a>(&'a self, id: WorkspaceId, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<Workspace, StoreError>> {
        self.part.ensure(id, name, now)
    }

    fn create(&self, new: NewWorkspace) -> BoxFuture<'_, Result<Result<Workspace, Unmade>, StoreError>> {
        self.part.create(new)
    }

    fn by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Workspace>, StoreError>> {
        self.faults.workspaces.fetch_add(1, SeqCst);
        self.part.by_name(name)
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Workspace>, StoreError>> {
        self.part.list()
    }

    fn page<'a>(&'a self, after: Option<&'a str>, limit: u32) -> BoxFuture<'a, Result<Vec<Workspace>, StoreError>> {
        self.part.page(after, limit)
    }

    fn set(&self, id: WorkspaceId, patch: Patch) -> BoxFuture<'_, Result<Result<WorkspaceSettings, InvalidSettings>, StoreError>> {
        self.part.set(id, patch)
    }

    fn allot(&self, id: WorkspaceId, change: Change) -> BoxFuture<'_, Result<Result<Workspace, Unmade>, StoreError>> {
        self.part.allot(id, change)
    }

    fn change_status(&self, id: WorkspaceId, status: Status, now: Timestamp) -> BoxFuture<'_, Result<Option<Workspace>, StoreError>> {
        self.part.change_status(id, status, now)
    }
}

impl Objects for Faulty<dyn Objects> {
    fn output(&self, workspace: WorkspaceId, run: RunId, output: Output) -> BoxFuture<'_, Result<Output, StoreError>> {
        let fault = *self.faults.objects.lock().unwrap();
        match fault.filter(|_| matches!(output, Output::Kept(_))) {
            Some(fault) => Box::pin(async move { Err(fault("as the test says".to_owned())) }),
            None => self.part.output(workspace, run, output),
        }
    }

    fn sweep(&self, written_before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.part.sweep(written_before)
    }
}

impl History for Faulty<dyn History> {
    fn append(&self, runs: Vec<FinishedRun>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.part.append(runs)
    }

    fn run(&self, workspace: WorkspaceId, id: RunId) -> BoxFuture<'_, Result<Option<RunRecord>, StoreError>> {
        self.part.run(workspace, id)
    }

    fn kin(&self, workspace: WorkspaceId, parent: RunId, runs: Vec<RunId>) -> BoxFuture<'_, Result<Vec<Kin>, StoreError>> {
        self.part.kin(workspace, parent, runs)
    }

    fn ended(&self, runs: Vec<(WorkspaceId, RunId)>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.part.ended(runs)
    }

    fn append_logs(&self, lease: Incarnation, parts: Vec<LogPart>) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.part.append_logs(lease, parts)
    }

    fn log(&self, workspace: WorkspaceId, id: RunId, from: LogCursor) -> BoxFuture<'_, Result<Option<LogPage>, StoreError>> {
        let left = self.faults.log_pages.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.part.log(workspace, id, from),
            Err(_) => {
                let fault = *self.faults.logs.lock().unwrap();
                Box::pin(async move { Err(fault("as the test says".to_owned())) })
            }
        }
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        filter: &'a RunFilter,
        before: Option<RunId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<RunPage, StoreError>> {
        Box::pin(async move {
            self.faults.pass(&self.faults.holds_lists).await;
            self.part.list(workspace, filter, before, limit).await
        })
    }
}
