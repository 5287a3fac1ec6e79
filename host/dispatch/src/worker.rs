//! Executing what is queued: claim a batch, execute each, complete in batches.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use sandmill_model::{
    Outcome, OutcomeKind, RunError, RunId, Timestamp, WorkspaceId, random,
    run::{FinishedRun, NewRun},
};
use sandmill_store::{
    StoreError,
    nodes::Incarnation,
    queue::{Claimed, Claims, Completion, HandedBack, Ready},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    CLAIM_RUNS_MAX, COMPLETIONS_MAX, HEADS_MAX, Inner, LOST_ATTEMPTS_MAX,
    ahead::{Pace, Surplus},
    asleep::Berth,
    fair,
    fast_lane::without_log,
    live::Start,
    trace,
};

/// How often the queue is looked at without having been poked: only a net.
const CLAIM_NET: Duration = Duration::from_secs(1);
/// How often runs are looked for whose time is over.
const OVERDUE_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait after a failed write before the next try.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Outcomes on their way to the store.
pub(crate) struct Finished {
    sender: mpsc::Sender<(Incarnation, Completion)>,
    receiver: Mutex<Option<mpsc::Receiver<(Incarnation, Completion)>>>,
}

impl Default for Finished {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(COMPLETIONS_MAX);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

/// Where the last claim stopped looking.
#[derive(Default)]
struct Round {
    after: Option<WorkspaceId>,
    turn: usize,
    /// A claim that failed, whose it was and when: it may have taken runs of which nobody here knows.
    unheard: Option<(Incarnation, Timestamp)>,
}

impl Inner {
    /// Hands over the end of an attempt that `lease` holds in the queue.
    pub(crate) async fn complete(&self, lease: Incarnation, completion: Completion) {
        if self.finished.sender.send((lease, completion)).await.is_err() {
            tracing::error!("an outcome came after the end of the service; its run will be tried again");
        }
    }

    /// Claims and executes until `stop`.
    pub(crate) async fn work(self: Arc<Self>, stop: CancellationToken) {
        // As many as there are threads to poll runs; among those that are waited for at the end.
        for _ in 0..Handle::current().metrics().num_workers() {
            let (inner, stop) = (Arc::clone(&self), stop.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = inner.start_claimed() => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        tokio::select! {
            () = self.claim_ahead(&self.slots) => {}
            () = self.end_overdue() => {}
            () = self.end_in_line() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Keeps as many runs claimed as there are free slots, and those that end within a moment.
    async fn claim_ahead(&self, slots: &Semaphore) {
        let (mut round, mut pace, mut surplus) = (Round::default(), Pace::new(), Surplus::default());
        loop {
            let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
            let (wanted, waiting) = (free.saturating_add(self.ahead.worth(&mut pace)), self.ahead.len());
            if surplus.lasts(wanted < waiting) {
                self.hand_back(waiting - wanted).await;
                continue;
            }
            if wanted <= waiting || free == 0 && waiting > wanted / 2 {
                tokio::select! {
                    () = self.ahead.room() => {}
                    // The pace may have changed since.
                    () = tokio::time::sleep(Surplus::PATIENCE), if waiting > 0 => {}
                }
                continue;
            }
            let look = self.ahead.look();
            match self.claim((wanted - waiting).min(CLAIM_RUNS_MAX), &mut round).await {
                Ok(Some((lease, claimed))) => {
                    // Before the next claim, which must know who is at work.
                    self.begin(lease, &claimed);
                    self.ahead.put(lease, claimed);
                    continue;
                }
                Ok(None) => self.ahead.found_nothing(&look),
                Err(error) => tracing::error!(%error, "runs could not be claimed; trying again"),
            }
            tokio::select! {
                () = self.ready.notified() => {}
                () = tokio::time::sleep(CLAIM_NET) => {}
            }
        }
    }

    pub(crate) fn begin(&self, lease: Incarnation, claimed: &[Claimed]) {
        for each in claimed {
            let start = Start { attempt: each.attempt, begun: each.begun, at: self.clock.now(), lease: Some(lease) };
            self.live.begin(each.run.clone(), start);
            self.followers.wake(&[each.run.id]);
        }
    }

    /// Hands back `count` of those in line: the runs before them take long, and others than this node, or of others than their
    /// workspaces, may have their turn first.
    async fn hand_back(&self, count: u32) {
        let mut left = self.ahead.take_back(count);
        while let Some(lease) = left.first().map(|(lease, _)| *lease) {
            let (of_lease, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|(of, _)| *of == lease);
            left = others;
            let keys = of_lease.iter().map(|(_, claimed)| (claimed.run.workspace, claimed.run.id)).collect();
            match self.store.queue.hand_back(lease, keys).await {
                Ok(HandedBack { runs, cancelled }) => {
                    tracing::debug!(runs = runs.len(), "handed back what was claimed ahead");
                    let (to_end, gone): (Vec<_>, Vec<_>) =
                        of_lease.into_iter().map(|(_, claimed)| claimed).partition(|claimed| cancelled.contains(&claimed.run.id));
                    for claimed in gone {
                        self.live.end(claimed.run.id, claimed.begun);
                        self.followers.wake(&[claimed.run.id]);
                    }
                    self.ahead.end(lease, to_end.into_iter().map(|claimed| Claimed { is_cancelled: true, ..claimed }).collect());
                    self.tell_ready();
                }
                Err(error) => {
                    tracing::error!(%error, "what was claimed ahead could not be handed back; it is executed here");
                    self.ahead.put(lease, of_lease.into_iter().map(|(_, claimed)| claimed).collect());
                }
            }
        }
    }

    /// Hands back a run that has not begun to execute; false if that cannot be written, or somebody asked to cancel it: then it is marked.
    async fn gave_back(&self, lease: Incarnation, run: &NewRun, begun: u32) -> bool {
        match self.store.queue.hand_back(lease, vec![(run.workspace, run.id)]).await {
            Ok(back) if back.cancelled.contains(&run.id) => {
                self.live.cancel(run.id);
                false
            }
            // It is in the queue again, or another's.
            Ok(_) => {
                self.live.end(run.id, begun);
                self.followers.wake(&[run.id]);
                true
            }
            Err(error) => {
                tracing::error!(%error, run = %run.id, "a run without fuel could not be handed back");
                false
            }
        }
    }

    /// Ends runs that have waited until their time was over, whatever they wait for.
    async fn end_overdue(&self) {
        let mut unheard: Option<(Incarnation, Timestamp)> = None;
        loop {
            tokio::time::sleep(OVERDUE_INTERVAL).await;
            let Some(lease) = self.membership.current() else { continue };
            let now = self.clock.now();
            let claimed = async {
                if let Some((lease, from)) = unheard {
                    self.store.queue.unclaim(lease, from).await?;
                    unheard = None;
                }
                self.store.queue.claim_overdue(lease, now).await.inspect_err(|_| unheard = Some((lease, now)))
            };
            match claimed.await {
                Ok(claimed) => {
                    self.begin(lease, &claimed);
                    self.ahead.end(lease, claimed);
                }
                Err(error) => tracing::error!(%error, "runs whose time is over could not be ended; trying again"),
            }
        }
    }

    /// Gives each claimed run a slot. What is claimed and not started when this ends goes back with all else that the node holds.
    async fn start_claimed(self: &Arc<Self>) {
        loop {
            // In this order: a slot that is held for nothing would not count as free.
            self.ahead.filled().await;
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let Some((lease, run)) = self.ahead.take() else {
                // What was in line was cancelled or handed back meanwhile, and whoever claims saw no slot that is free.
                drop(slot);
                self.ahead.freed();
                continue;
            };
            self.start(lease, run, slot).await;
            // One after the other: what arrives meanwhile is not behind all of them.
            tokio::task::yield_now().await;
        }
    }

    /// Executes a run that is live: here if it ends within its first poll, as most do; else in a task of its own.
    pub(crate) async fn start(self: &Arc<Self>, lease: Incarnation, run: Claimed, slot: OwnedSemaphorePermit) {
        let (inner, id) = (Arc::clone(self), run.run.id);
        let berth = Berth::with(slot);
        self.live.occupies(id, &berth);
        let mut execution = Box::pin(async move {
            inner.execute(lease, run).await;
            drop(berth);
            inner.ahead.ended();
        });
        // Whoever polls here starts others after this one.
        let mut first = |context: &mut Context<'_>| catch_unwind(AssertUnwindSafe(|| execution.as_mut().poll(context).is_pending()));
        match poll_fn(|context| Poll::Ready(first(context))).await {
            Ok(true) => drop(self.tasks.spawn(execution)),
            Ok(false) => {}
            Err(_) => tracing::error!(run = %id, "a run's execution panicked; it is tried again once this node is gone"),
        }
    }

    /// Ends what needs no slot for that: it was cancelled before it got one, or its time is over.
    async fn end_in_line(&self) {
        loop {
            let (lease, run) = self.ahead.next_to_end().await;
            self.execute(lease, run).await;
        }
    }

    /// Claims up to `slots` runs that this node serves; none if there are none.
    async fn claim(&self, slots: u32, round: &mut Round) -> Result<Option<(Incarnation, Vec<Claimed>)>, StoreError> {
        let Some(lease) = self.membership.current() else { return Ok(None) };
        if let Some((lease, from)) = round.unheard {
            let runs = self.store.queue.unclaim(lease, from).await?;
            tracing::debug!(runs, "given back what a claim took whose answer did not come");
            round.unheard = None;
        }
        // Once round, wherever it begins.
        let mut ends_left = if round.after.is_none() { 1 } else { 2 };
        loop {
            let found = self.store.queue.heads(self.served_tags.clone(), round.after.take(), HEADS_MAX).await?;
            let (mut heads, after) = (found.ready, found.after);
            ends_left -= u32::from(after.is_none());
            round.after = after;
            self.running_limits.note(&heads);
            heads.retain(|Ready { head, .. }| self.meters.has_fuel(head.workspace));
            while !heads.is_empty() {
                let shares = fair::shares(slots, &heads, &self.live.at_work(), round.turn);
                round.turn = round.turn.wrapping_add(1);
                for share in shares.iter().filter(|share| share.running_max.is_some()) {
                    self.leave_to_queue(lease, share.head.workspace, share.runs_max).await;
                }
                let now = self.clock.now();
                let claims = self.store.queue.claim(lease, now, shares).await;
                let Claims { runs, at_limit } = claims.inspect_err(|_| round.unheard = Some((lease, now)))?;
                if !runs.is_empty() {
                    return Ok(Some((lease, runs)));
                }
                if at_limit.is_empty() {
                    break;
                }
                for workspace in &at_limit {
                    self.queue_waits(lease, *workspace).await;
                }
                // What they were given is for the others.
                heads.retain(|Ready { head, .. }| !at_limit.contains(&head.workspace));
            }
            if ends_left == 0 {
                return Ok(None);
            }
        }
    }

    async fn execute(&self, lease: Incarnation, claimed: Claimed) {
        let span = trace::attempt(&claimed.run, claimed.attempt);
        self.make_attempt(lease, claimed).instrument(span).await;
    }

    async fn make_attempt(&self, lease: Incarnation, claimed: Claimed) {
        let Claimed { run, attempt, begun, lost, is_cancelled } = claimed;
        let started_at = self.clock.now();
        let is_over = run.policy.ends_by.is_some_and(|end| end <= started_at);
        let mut is_cancelled = is_cancelled || self.live.is_cancelled(run.id);
        let left = self.meters.left(run.workspace);
        // It was used up since this was claimed: as others of its workspace it waits for the next day.
        if left.fuel == Some(0) && !is_over && !is_cancelled {
            if self.gave_back(lease, &run, begun).await {
                return;
            }
            is_cancelled = self.live.is_cancelled(run.id);
        }
        let over = |kind: OutcomeKind, message: String| Outcome::failed(kind, RunError::new(kind.name(), message));
        let mut may_act = true;
        let outcome = if is_cancelled {
            over(OutcomeKind::Cancelled, "the run was cancelled before this attempt began".to_owned())
        } else if lost >= LOST_ATTEMPTS_MAX {
            over(OutcomeKind::Poisoned, format!("{lost} nodes died while they executed the run; it is not tried again"))
        } else if let Some(end) = self.may_not_act(&run).await {
            may_act = end.kind != OutcomeKind::Denied;
            end
        } else {
            let mut next = run.attempt(attempt, started_at);
            next.limits = left.within(run.limits);
            let time = run.policy.ends_by.map(|end| end.since(started_at));
            if let Some(time) = time {
                next.limits.wall_ms = next.limits.wall_ms.min(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            }
            if time.is_some_and(|time| time < Duration::from_millis(1)) {
                over(OutcomeKind::Timeout, "the time of the run was over (dispatch.run_ms) before this attempt could start".to_owned())
            } else {
                let mut outcome = self.executor.execute(next).await;
                left.explain(&run.limits, &mut outcome);
                outcome
            }
        };
        self.metrics.record(&outcome);
        trace::ended(&outcome);
        let id = run.id;
        let ended_at = self.clock.now();
        let pause = run.policy.next_try(&outcome, attempt.saturating_sub(lost), ended_at, u16::from_be_bytes(random::bytes()));
        let again_at = pause.map(|pause| ended_at.plus(pause));
        let mut done = FinishedRun { run, attempt, started_at: Some(started_at), ended_at, outcome };
        // What the run may not act as its handler may not, either.
        let handler = if again_at.is_none() && may_act { self.error_handler(&mut done).await } else { None };
        let logged = self.live.settle(id, begun);
        self.complete(lease, Completion { done, again_at, handler, logged }).await;
        self.live.end(id, begun);
        self.followers.wake(&[id]);
    }

    /// Writes outcomes in batches, as they come, until `stop` and nothing is left.
    pub(crate) async fn write_outcomes(self: Arc<Self>, stop: CancellationToken) {
        let receiver = self.finished.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = receiver.recv_many(&mut batch, COMPLETIONS_MAX) => {}
                () = stop.cancelled() => return,
            }
            // All are of one incarnation, but for the moments after this node was thought dead.
            while let Some((lease, _)) = batch.first() {
                let lease = *lease;
                let (of_lease, others): (Vec<_>, Vec<_>) = std::mem::take(&mut batch).into_iter().partition(|(of, _)| *of == lease);
                self.write_batch(lease, of_lease.into_iter().map(|(_, completion)| completion).collect()).await;
                batch = others;
            }
        }
    }

    async fn write_batch(self: &Arc<Self>, lease: Incarnation, batch: Vec<Completion>) {
        let mut delay = RETRY_DELAY;
        loop {
            match self.store.queue.complete(lease, batch.clone()).await {
                Ok(moved) => return self.completed(batch, &moved.into_iter().collect()),
                Err(error) => {
                    tracing::error!(%error, runs = batch.len(), "outcomes could not be written; trying again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(Duration::from_secs(5));
                }
            }
        }
    }

    /// Tells everybody whom it concerns what was written.
    fn completed(self: &Arc<Self>, batch: Vec<Completion>, moved: &std::collections::HashSet<RunId>) {
        let (mut unheard, mut logged_more) = (Vec::new(), Vec::new());
        // Whether others became ready, or were put off.
        let (mut ready, mut delayed) = (false, false);
        for Completion { done, again_at, handler, logged } in batch {
            let id = done.run.id;
            self.followers.wake(&[id]);
            if !moved.contains(&id) {
                tracing::warn!(run = %id, "a run was taken from this node; its outcome here does not count");
                continue;
            }
            ready |= self.running_limits.has_limit(done.run.workspace);
            if let Some(at) = again_at {
                delayed = true;
                logged_more.extend((!done.outcome.log.is_empty()).then_some(id));
                tracing::debug!(run = %id, attempt = done.attempt, outcome = done.outcome.kind.name(), %at, "a run is tried again");
                continue;
            }
            self.ended_so(done.run.workspace, id, done.outcome.kind);
            ready |= !done.run.policy.keys.is_empty() || handler.is_some();
            // What a key was handed on to may have to wait for its rate.
            delayed |= !done.run.policy.rates.is_empty();
            // What was written of a log may be followed elsewhere, whoever waits here.
            if !self.waiters.wake(done.run.workspace, id, Arc::new(without_log(&done.outcome))) || logged.perhaps > 0 {
                unheard.push(id);
            }
        }
        if ready {
            // Whoever slept before whoever waits.
            self.waking.look();
            self.look_for_ready();
            self.tell_ready();
        }
        if delayed {
            self.delayed.notify_one();
        }
        if !logged_more.is_empty() {
            self.tell_logged(logged_more);
        }
        if !unheard.is_empty() {
            self.tell_ended(unheard);
        }
    }
}
