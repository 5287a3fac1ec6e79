//! What is wrong with the store, when a test says so.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use sandmill_model::{BoxFuture, Output, RunId, RunRecord, Timestamp, WorkspaceId, run::FinishedRun};
use sandmill_store::{
    Store, StoreError,
    history::{History, Kin, LogCursor, LogPage, LogPart, RunFilter, RunPage},
    nodes::Incarnation,
    objects::Objects,
};

type Fault = fn(String) -> StoreError;

pub(crate) struct Faults {
    /// Of whoever reads a result that is kept apart.
    objects: Mutex<Option<Fault>>,
    /// Pages of logs that can still be read.
    log_pages: AtomicUsize,
    /// Of whoever reads more.
    logs: Mutex<Fault>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { objects: Mutex::default(), log_pages: AtomicUsize::new(usize::MAX), logs: Mutex::new(StoreError::Unavailable) }
    }
}

impl Faults {
    pub(crate) fn of_objects(&self, fault: Option<Fault>) {
        *self.objects.lock().unwrap() = fault;
    }

    pub(crate) fn of_logs(&self, fault: Fault) {
        *self.logs.lock().unwrap() = fault;
    }

    pub(crate) fn after_log_pages(&self, count: usize) {
        self.log_pages.store(count, SeqCst);
    }
}

/// A store that has these faults.
pub(crate) fn with(faults: &Arc<Faults>, store: Store) -> Store {
    let objects = Arc::new(Faulty { faults: Arc::clone(faults), part: Arc::clone(&store.objects) });
    let history = Arc::new(Faulty { faults: Arc::clone(faults), part: Arc::clone(&store.history) });
    Store { objects, history, ..store }
}

struct Faulty<T: ?Sized> {
    faults: Arc<Faults>,
    part: Arc<T>,
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
        self.part.list(workspace, filter, before, limit)
    }
}
