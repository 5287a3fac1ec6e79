//! The CPU scheduler: threads of the sandbox's own for runs that did not end in their first poll. Guests yield about every
//! millisecond of work, so a thread is never lost to one run; between turns the queue decides by what each workspace has used.

mod task;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sandmill_model::{BoxFuture, Outcome, WorkspaceId};
use tokio::runtime::Handle;

pub(crate) use self::task::{Scheduled, Task};
use crate::{
    admission::{Admission, Slot},
    fair::FairQueue,
};

/// A run that a host call keeps waiting for longer gives its slot back.
const BLOCKED_MAX: Duration = Duration::from_millis(5);
/// Of a workspace with more runs that compute, the next has its first turn among them, and not on the thread that answers requests: first
/// turns that all last their millisecond would hold up those of others.
const COMPUTING_MAX: usize = 4;
/// Guests that compute give way to the threads that answer requests and write to the store. With 10 they keep a tenth of a core of which
/// those want all; with 5 they kept a quarter, and a thread with requests to answer waited four times as often for a whole slice of the
/// kernel's, as what it had used lately was more than its share.
const NICE: i32 = 10;

/// Ends its threads when dropped.
pub(crate) struct Scheduler(Arc<Shared>);

pub(crate) struct Shared {
    admission: Arc<Admission>,
    runtime: Handle,
    queues: Mutex<Queues>,
    /// Runs in `ready`, so that whoever asks while there are none needs no lock.
    ready: AtomicUsize,
    work: Condvar,
}

#[derive(Default)]
struct Queues {
    ready: FairQueue<WorkspaceId, Arc<Task>>,
    /// Blocked runs that still hold a slot, in the order of the time at which they give it back.
    blocked: VecDeque<Blocked>,
    is_stopped: bool,
}

struct Blocked {
    until: Instant,
    task: Arc<Task>,
    /// Which of the task's blockages this is about.
    count: u64,
}

impl Scheduler {
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(threads: usize, admission: Arc<Admission>, runtime: Handle) -> io::Result<Self> {
        let shared = Arc::new(Shared { admission, runtime, queues: Mutex::default(), ready: AtomicUsize::new(0), work: Condvar::new() });
        let scheduler = Self(shared);
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&scheduler.0);
            thread::Builder::new().name(format!("sandbox-{number}")).spawn(move || shared.work())?;
        }
        Ok(scheduler)
    }

    pub(crate) fn is_busy_with(&self, workspace: WorkspaceId) -> bool {
        self.0.ready.load(Ordering::Relaxed) > 0 && self.0.queues().ready.count(workspace) > COMPUTING_MAX
    }

    /// Goes on with a run that did not end in its first poll, or begins it. Dropping what is returned ends the run.
    pub(crate) fn take_over(&self, workspace: WorkspaceId, run: BoxFuture<'static, Outcome>, slot: Slot) -> Scheduled {
        let (task, scheduled) = Task::new(Arc::clone(&self.0), workspace, run, slot);
        self.0.ready(task);
        scheduled
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let mut queues = self.0.queues();
        queues.is_stopped = true;
        let abandoned = queues.ready.drain();
        let blocked = std::mem::take(&mut queues.blocked);
        drop(queues);
        self.0.work.notify_all();
        drop((abandoned, blocked));
    }
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self, task: Arc<Task>) {
        let mut queues = self.queues();
        if !queues.is_stopped {
            queues.ready.push(task.workspace(), task);
            self.ready.fetch_add(1, Ordering::Relaxed);
            drop(queues);
            self.work.notify_one();
        }
    }

    /// Whether a run of `workspace` should make way: one of another waits to start that has fewer under way.
    fn is_ahead_of_others(&self, workspace: WorkspaceId) -> bool {
        let others = self.admission.who_waits_to_start();
        let queues = self.queues();
        let blocked = |of| queues.blocked.iter().filter(|blocked| blocked.task.workspace() == of).count();
        // Those in a host call have slots, too.
        let own = queues.ready.count(workspace);
        others.into_iter().any(|other| other != workspace && queues.ready.count(other) + blocked(other) < own)
    }

    fn blocked(&self, task: Arc<Task>, count: u64) {
        let mut queues = self.queues();
        if !queues.is_stopped {
            queues.blocked.push_back(Blocked { until: Instant::now() + BLOCKED_MAX, task, count });
            let is_first = queues.blocked.len() == 1;
            drop(queues);
            if is_first {
                self.work.notify_one();
            }
        }
    }

    fn work(&self) {
        // Where the system refuses, guests compete on equal terms.
        let _ = rustix::process::nice(NICE);
        let _runtime = self.runtime.enter();
        while let Some((workspace, task)) = self.next() {
            let began = Instant::now();
            task.turn();
            let used_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.queues().ready.charge(workspace, used_ns);
        }
    }

    /// Waits for a run that is ready; none when the scheduler ends.
    fn next(&self) -> Option<(WorkspaceId, Arc<Task>)> {
        let mut queues = self.queues();
        loop {
            if queues.is_stopped {
                return None;
            }
            let now = Instant::now();
            if queues.blocked.front().is_some_and(|blocked| blocked.until <= now) {
                let overdue = queues.blocked.pop_front();
                drop(queues);
                if let Some(Blocked { task, count, .. }) = overdue {
                    task.give_slot_back(count);
                }
                queues = self.queues();
                continue;
            }
            if let Some(next) = queues.ready.pop() {
                self.ready.fetch_sub(1, Ordering::Relaxed);
                return Some(next);
            }
            queues = match queues.blocked.front().map(|blocked| blocked.until.saturating_duration_since(now)) {
                Some(wait) => self.work.wait_timeout(queues, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.work.wait(queues).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
