//! Who may run: slots for those that run, room in the pool for those that hold an instance, and the memory of all guests together
//! and of each workspace's.
//!
//! The common case — something is free and nobody waits — is one compare-and-swap. Otherwise starts wait in a queue for each
//! workspace, served in turn, behind runs that come out of a host call and only want their slot back. Runs that compute for long
//! lend their slots to those that wait to start, and take turns with them for the next. A few slots are kept for workspaces that have
//! next to nothing under way: they need not wait for the end of another's turn, which may have to give hundreds of megabytes back.

mod accounts;
mod company;
mod memory;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_model::WorkspaceId;
use tokio::sync::oneshot;

pub(crate) use self::accounts::Accounts;
use self::{
    company::Company,
    memory::{Budget, Share, Shares, UnderWay},
};
use crate::{
    fair::{FairQueue, TURN_NS},
    schedule::Task,
};

/// A run that is under way waits this long for memory that others hold.
pub(crate) const MEMORY_WAIT_MAX: Duration = Duration::from_secs(5);

/// One of so many slots is kept for quiet workspaces.
const SLOTS_FOR_ONE_KEPT: u64 = 8;
/// A workspace with fewer runs under way is quiet.
const QUIET_RUNS_MAX: usize = 2;

/// Counts of what is free: slots in the low half, instances in the high half, so that a start takes both at once.
const INSTANCE: u64 = 1 << 32;
const SLOT: u64 = 1;

const fn slots_of(free: u64) -> u64 {
    free % INSTANCE
}

const fn instances_of(free: u64) -> u64 {
    free / INSTANCE
}

pub(crate) struct Admission {
    slots_total: u64,
    /// Those that only starts of quiet workspaces may take.
    slots_kept: u64,
    free: AtomicU64,
    waiting: AtomicUsize,
    queues: Mutex<Queues>,
    memory: Budget,
    shares: Shares,
    company: Company,
    memory_wait_max: Duration,
}

/// Bounds of the memory of guests.
pub(crate) struct MemoryBounds {
    pub(crate) all_bytes_max: u64,
    pub(crate) workspace_bytes_max: u64,
    /// How long a run that is under way waits for what others hold.
    pub(crate) wait_max: Duration,
}

#[derive(Default)]
struct Queues {
    resumes: VecDeque<Arc<Task>>,
    lenders: FairQueue<WorkspaceId, Arc<Task>>,
    /// The last grant was a start's: the next is a lender's, so that neither starves the other.
    lender_is_next: bool,
    starts: FairQueue<WorkspaceId, Start>,
}

struct Start {
    weight: u32,
    share: Arc<Share>,
    grant: oneshot::Sender<Permits>,
}

/// What a run holds while it runs.
pub(crate) struct Permits {
    pub(crate) slot: Slot,
    pub(crate) room: Room,
}

/// The right to be polled.
pub(crate) struct Slot(Arc<Admission>);

/// Room in the pool for the run's instance.
pub(crate) struct Room {
    admission: Arc<Admission>,
    weight: u32,
    _under_way: UnderWay,
}

impl Admission {
    pub(crate) fn new(slots: u32, instances: u32, memory: &MemoryBounds) -> Arc<Self> {
        Arc::new(Self {
            slots_total: u64::from(slots),
            slots_kept: u64::from(slots) / SLOTS_FOR_ONE_KEPT,
            free: AtomicU64::new(u64::from(slots) * SLOT + u64::from(instances) * INSTANCE),
            waiting: AtomicUsize::new(0),
            queues: Mutex::default(),
            memory: Budget::new(memory.all_bytes_max),
            shares: Shares::new(memory.workspace_bytes_max),
            company: Company::new(Instant::now()),
            memory_wait_max: memory.wait_max,
        })
    }

    /// For a run of `workspace`, until what it holds is given back.
    pub(crate) fn accounts(self: &Arc<Self>, workspace: WorkspaceId) -> Accounts {
        Accounts::new(Arc::clone(self), workspace, self.shares.of(workspace))
    }

    /// Slot and room, waiting for them if there are none or if others waited before.
    async fn start(self: &Arc<Self>, workspace: WorkspaceId, share: &Arc<Share>, weight: u32) -> Permits {
        loop {
            if let Some(permits) = self.try_start(share, weight) {
                return permits;
            }
            let (grant, granted) = oneshot::channel();
            self.queues().starts.push(workspace, Start { weight, share: Arc::clone(share), grant });
            self.waiting.fetch_add(1, Ordering::SeqCst);
            // Something may have become free between the attempt and the entry in the queue.
            self.serve();
            if let Ok(permits) = granted.await {
                return permits;
            }
        }
    }

    /// What can be had without waiting. A quiet workspace waits behind nobody: others wait because they have so much.
    fn try_start(self: &Arc<Self>, share: &Arc<Share>, weight: u32) -> Option<Permits> {
        let may_take = share.is_quiet() || self.waiting.load(Ordering::SeqCst) == 0;
        may_take.then(|| self.take_for_start(share, weight)).flatten()
    }

    /// Whether any workspace could start a run at once.
    pub(crate) fn has_free_slot(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.may_start(self.free.load(Ordering::SeqCst), self.slots_kept, 1)
    }

    /// A slot for a run that gave its own back; [`Task::resume`] gets it.
    pub(crate) fn resume(self: &Arc<Self>, task: Arc<Task>) {
        self.queues().resumes.push_back(task);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.serve();
    }

    /// Whether a run waits to start, or for its slot.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Whose runs wait to start.
    pub(crate) fn who_waits_to_start(&self) -> Vec<WorkspaceId> {
        self.queues().starts.waiting().collect()
    }

    /// Gives back the slot of a run that has computed for long, which gets another in its turn.
    pub(crate) fn lend(self: &Arc<Self>, task: Arc<Task>, slot: Option<Slot>) {
        self.queues().lenders.push(task.workspace(), task);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(slot);
        self.serve();
    }

    fn discharge(self: &Arc<Self>, bytes: u64) {
        self.memory.discharge(bytes);
        self.serve();
    }

    pub(crate) fn memory_used_bytes(&self) -> u64 {
        self.memory.used_bytes()
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A start needs a slot, room, and memory left; without the last it may start if nothing runs that would give memory back.
    fn may_start(&self, free: u64, kept: u64, weight: u32) -> bool {
        let slots = slots_of(free);
        slots > kept && instances_of(free) >= u64::from(weight) && (self.memory.has_some() || slots == self.slots_total)
    }

    fn take_for_start(self: &Arc<Self>, share: &Arc<Share>, weight: u32) -> Option<Permits> {
        let kept = if share.is_quiet() { 0 } else { self.slots_kept };
        let take = |free: u64| self.may_start(free, kept, weight).then(|| free - SLOT - u64::from(weight) * INSTANCE);
        self.free.try_update(Ordering::SeqCst, Ordering::SeqCst, take).ok()?;
        let room = Room { admission: Arc::clone(self), weight, _under_way: UnderWay::of(share) };
        Some(Permits { slot: Slot(Arc::clone(self)), room })
    }

    fn take_slot(self: &Arc<Self>) -> Option<Slot> {
        let take = |free: u64| (slots_of(free) > self.slots_kept).then(|| free - SLOT);
        self.free.try_update(Ordering::SeqCst, Ordering::SeqCst, take).ok()?;
        Some(Slot(Arc::clone(self)))
    }

    fn give_back(self: &Arc<Self>, amount: u64) {
        self.free.fetch_add(amount, Ordering::SeqCst);
        self.serve();
    }

    /// Hands what is free to those who wait. Grants are delivered with no lock held: they may run code that comes back here.
    fn serve(self: &Arc<Self>) {
        while self.waiting.load(Ordering::SeqCst) > 0 {
            let Some(grant) = self.next_grant() else { return };
            match grant {
                Grant::Resume(task, slot) => task.resume(slot),
                // Whoever waited has given up if this fails: the permits come back as they are dropped.
                Grant::Start(grant, permits) => drop(grant.send(permits)),
                Grant::Abandoned => {}
            }
        }
    }

    fn next_grant(self: &Arc<Self>) -> Option<Grant> {
        let mut queues = self.queues();
        let grant = if !queues.resumes.is_empty() {
            let slot = self.take_slot()?;
            Grant::Resume(queues.resumes.pop_front()?, slot)
        } else if queues.lender_is_next && !queues.lenders.is_empty() {
            self.grant_lender(&mut queues)?
        } else if let Some(grant) = self.grant_start(&mut queues) {
            grant
        } else {
            // No start, or none that has room and memory: a slot is of no use to it.
            self.grant_lender(&mut queues)?
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(grant)
    }

    fn grant_start(self: &Arc<Self>, queues: &mut Queues) -> Option<Grant> {
        let start = queues.starts.peek()?;
        let abandoned = start.grant.is_closed();
        let permits = if abandoned { None } else { Some(self.take_for_start(&start.share, start.weight)?) };
        let (workspace, start) = queues.starts.pop()?;
        queues.starts.charge(workspace, TURN_NS);
        queues.lender_is_next = !abandoned;
        Some(permits.map_or(Grant::Abandoned, |permits| Grant::Start(start.grant, permits)))
    }

    fn grant_lender(self: &Arc<Self>, queues: &mut Queues) -> Option<Grant> {
        if queues.lenders.is_empty() {
            return None;
        }
        let slot = self.take_slot()?;
        let (workspace, task) = queues.lenders.pop()?;
        queues.lenders.charge(workspace, TURN_NS);
        queues.lender_is_next = false;
        Some(Grant::Resume(task, slot))
    }
}

enum Grant {
    Resume(Arc<Task>, Slot),
    Start(oneshot::Sender<Permits>, Permits),
    Abandoned,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.give_back(SLOT);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.admission.give_back(u64::from(self.weight) * INSTANCE);
    }
}

#[cfg(test)]
mod tests;
