//! One run on the scheduler: where it is between being ready, polled, blocked and done.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use sandmill_model::{BoxFuture, Outcome, WorkspaceId};
use tokio::sync::oneshot;

use super::Shared;
use crate::{admission::Slot, outcome::panicked};

/// A run that has computed for longer lends its slot to a run that waits to start, and after any turn to one of a workspace that has fewer
/// under way: however many loops there are, a short run begins at once.
const LENDS_AFTER: Duration = Duration::from_millis(20);

pub(crate) struct Task {
    shared: Arc<Shared>,
    workspace: WorkspaceId,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    run: Option<BoxFuture<'static, Outcome>>,
    slot: Option<Slot>,
    done: Option<oneshot::Sender<Outcome>>,
    /// How often it was blocked so far.
    blockages: u64,
    /// In its turns so far.
    computed: Duration,
    is_abandoned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// In the queue, with a slot.
    Ready,
    Polled,
    /// Woken while it was polled: it yielded.
    PolledAndWoken,
    /// In a host call, with a slot.
    Blocked,
    /// In a host call, without a slot.
    Parked,
    /// Out of the host call, or after it lent its slot: waiting for one.
    Waiting,
    Done,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, workspace: WorkspaceId, run: BoxFuture<'static, Outcome>, slot: Slot) -> (Arc<Self>, Scheduled) {
        let (done, outcome) = oneshot::channel();
        let state = State {
            phase: Phase::Ready,
            run: Some(run),
            slot: Some(slot),
            done: Some(done),
            blockages: 0,
            computed: Duration::ZERO,
            is_abandoned: false,
        };
        let task = Arc::new(Self { shared, workspace, state: Mutex::new(state) });
        (Arc::clone(&task), Scheduled { task, outcome })
    }

    pub(crate) fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls the run once.
    pub(super) fn turn(self: &Arc<Self>) {
        let Some(mut run) = self.begin_turn() else { return };
        let waker = Waker::from(Arc::clone(self));
        let began = Instant::now();
        let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(&mut Context::from_waker(&waker))));
        match polled {
            Ok(Poll::Pending) => self.end_turn(run, began.elapsed()),
            Ok(Poll::Ready(outcome)) => self.end(run, outcome),
            Err(panic) => self.end(run, panicked(&*panic)),
        }
    }

    fn begin_turn(&self) -> Option<BoxFuture<'static, Outcome>> {
        let mut state = self.state();
        if state.phase != Phase::Ready {
            return None;
        }
        state.phase = Phase::Polled;
        state.run.take()
    }

    fn end_turn(self: &Arc<Self>, run: BoxFuture<'static, Outcome>, took: Duration) {
        let mut state = self.state();
        state.computed += took;
        if state.is_abandoned {
            state.phase = Phase::Done;
            let slot = state.slot.take();
            drop(state);
            // What it holds is given back with no lock held.
            drop((run, slot));
            return;
        }
        state.run = Some(run);
        if state.phase == Phase::PolledAndWoken {
            let is_waited_for = self.shared.admission.is_waited_for();
            if is_waited_for && (state.computed > LENDS_AFTER || self.shared.is_ahead_of_others(self.workspace)) {
                state.phase = Phase::Waiting;
                let slot = state.slot.take();
                drop(state);
                self.shared.admission.lend(Arc::clone(self), slot);
            } else {
                state.phase = Phase::Ready;
                drop(state);
                self.shared.ready(Arc::clone(self));
            }
        } else if self.shared.admission.is_waited_for() {
            // Others have better use for the slot than to wait with it.
            state.phase = Phase::Parked;
            let slot = state.slot.take();
            drop(state);
            drop(slot);
        } else {
            state.phase = Phase::Blocked;
            state.blockages += 1;
            let count = state.blockages;
            drop(state);
            self.shared.blocked(Arc::clone(self), count);
        }
    }

    fn end(&self, run: BoxFuture<'static, Outcome>, outcome: Outcome) {
        // A run that panicked may do so again as it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(run)));
        let (slot, done) = {
            let mut state = self.state();
            state.phase = Phase::Done;
            (state.slot.take(), state.done.take())
        };
        drop(slot);
        if let Some(done) = done {
            // Nobody may be left to hear it.
            let _ = done.send(outcome);
        }
    }

    /// Gives the slot back if the task is still in the blockage number `count`.
    pub(super) fn give_slot_back(&self, count: u64) {
        let slot = {
            let mut state = self.state();
            if state.phase != Phase::Blocked || state.blockages != count {
                return;
            }
            state.phase = Phase::Parked;
            state.slot.take()
        };
        drop(slot);
    }

    /// The slot that the task waited for.
    pub(crate) fn resume(self: &Arc<Self>, slot: Slot) {
        let mut state = self.state();
        if state.phase == Phase::Waiting {
            state.slot = Some(slot);
            state.phase = Phase::Ready;
            drop(state);
            self.shared.ready(Arc::clone(self));
        } else {
            drop(state);
            drop(slot);
        }
    }

    fn abandon(&self) {
        let left = {
            let mut state = self.state();
            state.is_abandoned = true;
            match state.phase {
                Phase::Polled | Phase::PolledAndWoken => None,
                _ => {
                    state.phase = Phase::Done;
                    Some((state.run.take(), state.slot.take()))
                }
            }
        };
        drop(left);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        match state.phase {
            Phase::Polled => state.phase = Phase::PolledAndWoken,
            Phase::Blocked => {
                state.phase = Phase::Ready;
                drop(state);
                self.shared.ready(Arc::clone(self));
            }
            Phase::Parked => {
                state.phase = Phase::Waiting;
                drop(state);
                self.shared.admission.resume(Arc::clone(self));
            }
            Phase::Ready | Phase::PolledAndWoken | Phase::Waiting | Phase::Done => {}
        }
    }
}

/// The outcome of a run on the scheduler. Dropping it ends the run and frees what it holds.
pub(crate) struct Scheduled {
    task: Arc<Task>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Future for Scheduled {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let ended = std::task::ready!(Pin::new(&mut self.outcome).poll(cx));
        Poll::Ready(ended.unwrap_or_else(|_| Outcome::host_fault("the sandbox was shut down")))
    }
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        self.task.abandon();
    }
}
