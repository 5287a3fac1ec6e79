//! What workspaces with limits use, held against their quotas. Each node counts in memory, adds that to the database every second and reads back
//! what all nodes together have counted: so a limit is exceeded by at most what the nodes accept within one second.
//!
//! A workspace without limits has no meter here, unless its scripts make requests.

mod full;
mod left;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use sandmill_model::{
    BoxFuture, Clock, Quotas, Timestamp, WorkspaceId,
    code::{Code, Refusal},
    random,
};
use sandmill_store::{
    StoreError,
    usage::{Addition, Count, UsageCounters, Used, day_of, minute_of, seconds_left},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{full::Full, left::Left};
use crate::{LiveRuns, refuse};

/// How often counts are added and read back.
const INTERVAL: Duration = Duration::from_secs(1);
/// What workspaces keep is measured with every so many of these.
const MEASURED_EVERY: u32 = 10;
/// A workspace of which nothing was heard for so long is read anew when it comes back.
const IDLE: Duration = Duration::from_secs(60);
/// How long the last counts may take to be written when the node stops.
const LAST: Duration = Duration::from_secs(2);

pub(crate) struct Meters {
    usage: Arc<dyn UsageCounters>,
    clock: Arc<dyn Clock>,
    /// This life of this node.
    sender: Arc<str>,
    known: RwLock<HashMap<WorkspaceId, Arc<Meter>>>,
    full: Arc<Full>,
}

#[derive(Default)]
struct Meter(Mutex<State>);

#[derive(Default)]
struct State {
    /// What was read last, and of which minute and day.
    read: Option<Used>,
    read_of: (i64, i64),
    /// Counted here and not on its way yet; the last is that of this minute.
    own: Vec<Count>,
    /// On its way, or written and not among what was read.
    sent: Vec<Count>,
    heard_at: Timestamp,
    /// What it keeps, as it was measured last.
    stored_bytes: Option<u64>,
}

impl Meter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is counted of a workspace in this minute and on this day, as far as is known here.
struct Estimate {
    runs_of_minute: u64,
    runs_of_day: u64,
    fuel_of_day: u64,
    log_bytes_of_day: u64,
    run_bytes_of_day: u64,
    outbound_bytes_of_day: u64,
}

impl Estimate {
    fn left(&self, quotas: &Quotas) -> Left {
        Left {
            fuel: quotas.fuel_per_day.map(|limit| limit.saturating_sub(self.fuel_of_day)),
            log_bytes: quotas.log_bytes_per_day.map(|limit| limit.saturating_sub(self.log_bytes_of_day)),
        }
    }
}

impl State {
    /// The count of this minute.
    fn now(&mut self, now: Timestamp) -> &mut Count {
        let (minute, day) = (minute_of(now), day_of(now));
        if self.own.last().is_none_or(|last| (last.minute, last.day) != (minute, day)) {
            self.own.push(Count { minute, day, ..Count::default() });
        }
        self.heard_at = now;
        let last = self.own.len() - 1;
        &mut self.own[last]
    }

    fn estimate(&self, now: Timestamp) -> Estimate {
        let (minute, day) = (minute_of(now), day_of(now));
        let of_minute = self.read.as_ref().filter(|_| self.read_of.0 == minute);
        let of_day = self.read.as_ref().filter(|_| self.read_of.1 == day);
        let here = || self.own.iter().chain(&self.sent);
        let runs_here = |is_meant: &dyn Fn(&Count) -> bool| here().filter(|count| is_meant(count)).map(|count| count.runs).sum::<u64>();
        let bytes_here: u64 = here().filter(|count| count.day == day).map(|count| count.bytes_up + count.bytes_down).sum();
        let input_bytes_here: u64 = here().filter(|count| count.day == day).map(|count| count.input_bytes).sum();
        Estimate {
            runs_of_minute: of_minute.map_or(0, |read| read.runs_of_minute) + runs_here(&|count| count.minute == minute),
            runs_of_day: of_day.map_or(0, |read| read.runs_of_day) + runs_here(&|count| count.day == day),
            fuel_of_day: of_day.map_or(0, |read| read.fuel_of_day),
            log_bytes_of_day: of_day.map_or(0, |read| read.log_bytes_of_day),
            run_bytes_of_day: of_day.map_or(0, |read| read.run_bytes_of_day).saturating_add(input_bytes_here),
            outbound_bytes_of_day: of_day.map_or(0, |read| read.outbound_bytes_of_day) + bytes_here,
        }
    }
}

/// Refuses if one of `limits`, each with its name and what is used of it, is used up.
fn check(limits: &[(&str, Option<u64>, u64, u64)]) -> Result<(), Refusal> {
    let is_over = |(_, limit, used, _): &&(&str, Option<u64>, u64, u64)| limit.is_some_and(|limit| *used >= limit);
    match limits.iter().find(is_over) {
        None => Ok(()),
        Some((name, limit, _, seconds)) => Err(exceeded(name, limit.unwrap_or(0), *seconds)),
    }
}

fn exceeded(name: &str, limit: u64, seconds: u64) -> Refusal {
    let detail = format!("the workspace may use {name} = {limit}, and has; it counts anew in {seconds} s");
    Refusal::new(Code::QuotaExceeded, detail).after_s(seconds)
}

impl Meters {
    pub(crate) fn new(usage: Arc<dyn UsageCounters>, clock: Arc<dyn Clock>, node: &str, full: Arc<Full>) -> Self {
        let life = u64::from_be_bytes(random::bytes());
        Self { usage, clock, sender: format!("{node} {life:016x}").into(), known: RwLock::default(), full }
    }

    /// Counts one more run with its arguments or its event, and says what the day has left for it.
    ///
    /// # Errors
    /// `quota_exceeded` at a limit; where what was used cannot be read, as the store says.
    pub(crate) async fn admit(&self, workspace: WorkspaceId, quotas: &Quotas, input_bytes: u64) -> Result<Left, Refusal> {
        let meter = self.read(workspace).await.map_err(|error| refuse(&error))?;
        let now = self.clock.now();
        let (minute, day) = seconds_left(now);
        let mut state = meter.state();
        let used = state.estimate(now);
        check(&[
            ("runs_per_minute", quotas.runs_per_minute, used.runs_of_minute, minute),
            ("runs_per_day", quotas.runs_per_day, used.runs_of_day, day),
            ("fuel_per_day", quotas.fuel_per_day, used.fuel_of_day, day),
            ("log_bytes_per_day", quotas.log_bytes_per_day, used.log_bytes_of_day, day),
            ("run_bytes_per_day", quotas.run_bytes_per_day, used.run_bytes_of_day, day),
        ])?;
        let count = state.now(now);
        count.runs += 1;
        count.input_bytes = count.input_bytes.saturating_add(input_bytes);
        Ok(used.left(quotas))
    }

    /// What the day has left for an attempt that begins now. As of [`Self::has_fuel`] it is known within a second.
    pub(crate) fn left(&self, workspace: WorkspaceId) -> Left {
        let meter = self.known(workspace).unwrap_or_else(|| self.make(workspace));
        let now = self.clock.now();
        let mut state = meter.state();
        state.heard_at = now;
        state.read.as_ref().map_or_else(Left::default, |read| state.estimate(now).left(&read.quotas))
    }

    /// Whether runs that wait may begin: those of a workspace whose fuel of the day is used up go on with the next. Of one that nobody
    /// has asked for here, what it used is known within a second.
    pub(crate) fn has_fuel(&self, workspace: WorkspaceId) -> bool {
        let meter = self.known(workspace).unwrap_or_else(|| self.make(workspace));
        let now = self.clock.now();
        let mut state = meter.state();
        state.heard_at = now;
        let limit = state.read.as_ref().and_then(|read| read.quotas.fuel_per_day);
        limit.is_none_or(|limit| state.estimate(now).fuel_of_day < limit)
    }

    /// Whether a workspace keeps as much as it may, as it was measured last.
    pub(crate) fn is_full(&self, workspace: WorkspaceId) -> bool {
        self.heard(workspace);
        self.full.has(workspace)
    }

    /// What was admitted came to nothing: it was a repetition, or could not be written.
    pub(crate) fn was_none(&self, workspace: WorkspaceId, input_bytes: u64) {
        if let Some(meter) = self.known(workspace) {
            let mut state = meter.state();
            let count = state.now(self.clock.now());
            count.runs = count.runs.saturating_sub(1);
            count.input_bytes = count.input_bytes.saturating_sub(input_bytes);
        }
    }

    /// # Errors
    /// `quota_exceeded` if no more may go out and come in on this day.
    async fn may_send(&self, workspace: WorkspaceId) -> Result<(), Refusal> {
        let meter = self.read(workspace).await.map_err(|error| refuse(&error))?;
        let now = self.clock.now();
        let mut state = meter.state();
        state.heard_at = now;
        let limit = state.read.as_ref().and_then(|read| read.quotas.outbound_bytes_per_day);
        check(&[("outbound_bytes_per_day", limit, state.estimate(now).outbound_bytes_of_day, seconds_left(now).1)])
    }

    /// False if that is more than may go out and come in on this day.
    fn sent(&self, workspace: WorkspaceId, bytes_up: u64, bytes_down: u64) -> bool {
        let meter = self.known(workspace).unwrap_or_else(|| self.make(workspace));
        let now = self.clock.now();
        let mut state = meter.state();
        let count = state.now(now);
        count.bytes_up += bytes_up;
        count.bytes_down += bytes_down;
        let limit = state.read.as_ref().and_then(|read| read.quotas.outbound_bytes_per_day);
        limit.is_none_or(|limit| state.estimate(now).outbound_bytes_of_day <= limit)
    }

    /// Bytes that it may keep beside what is in the database; none: any number.
    async fn room(&self, workspace: WorkspaceId) -> Result<Option<u64>, StoreError> {
        let meter = self.read(workspace).await?;
        let (limit, measured) = {
            let mut state = meter.state();
            state.heard_at = self.clock.now();
            (state.read.as_ref().and_then(|read| read.quotas.stored_bytes), state.stored_bytes)
        };
        let Some(limit) = limit else { return Ok(None) };
        let stored = match measured {
            Some(bytes) => bytes,
            None => {
                let bytes = self.usage.stored_bytes(workspace).await?;
                *meter.state().stored_bytes.insert(bytes)
            }
        };
        Ok(Some(limit.saturating_sub(stored)))
    }

    /// Something of this workspace goes on here: what it keeps has to be measured.
    fn heard(&self, workspace: WorkspaceId) {
        let meter = self.known(workspace).unwrap_or_else(|| self.make(workspace));
        meter.state().heard_at = self.clock.now();
    }

    fn known(&self, workspace: WorkspaceId) -> Option<Arc<Meter>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&workspace).cloned()
    }

    fn make(&self, workspace: WorkspaceId) -> Arc<Meter> {
        Arc::clone(self.known.write().unwrap_or_else(PoisonError::into_inner).entry(workspace).or_default())
    }

    /// The meter of a workspace, with what all nodes have counted.
    async fn read(&self, workspace: WorkspaceId) -> Result<Arc<Meter>, StoreError> {
        let meter = self.known(workspace).unwrap_or_else(|| self.make(workspace));
        if meter.state().read.is_some() {
            return Ok(meter);
        }
        let now = self.clock.now();
        let read = self.usage.used(vec![workspace], now).await?;
        let mut state = meter.state();
        state.heard_at = now;
        // What somebody else has read meanwhile is as good.
        if state.read.is_none() {
            state.read = read.into_iter().next();
            state.read_of = (minute_of(now), day_of(now));
        }
        drop(state);
        Ok(meter)
    }

    /// Adds and reads back until `stop`, and adds what is left.
    pub(crate) async fn serve(&self, stop: CancellationToken) {
        let (mut number, mut unheard, mut rounds): (i64, Option<Addition>, u32) = (0, None, 0);
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.cancelled() => break,
            }
            if let Err(error) = self.settle(&mut number, &mut unheard).await {
                tracing::error!(%error, "what workspaces use could not be counted together; trying again");
            }
            rounds = (rounds + 1) % MEASURED_EVERY;
            if rounds == 0 {
                self.measure().await;
            }
        }
        match tokio::time::timeout(LAST, self.settle(&mut number, &mut unheard)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what was counted last is lost"),
            Err(_) => tracing::error!("what was counted last is lost: the database does not answer"),
        }
    }

    async fn settle(&self, number: &mut i64, unheard: &mut Option<Addition>) -> Result<(), StoreError> {
        let now = self.clock.now();
        if unheard.is_none() {
            let counts = self.take(now);
            if !counts.is_empty() {
                *number += 1;
                *unheard = Some(Addition { sender: Arc::clone(&self.sender), number: *number, counts, now });
            }
        }
        if let Some(addition) = unheard {
            self.usage.add(addition.clone()).await?;
            *unheard = None;
        }
        let meters = self.all();
        if meters.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let read = self.usage.used(meters.iter().map(|(workspace, _)| *workspace).collect(), now).await?;
        let mut read: HashMap<WorkspaceId, Used> = read.into_iter().map(|used| (used.workspace, used)).collect();
        for (workspace, meter) in meters {
            let mut state = meter.state();
            // Of a workspace that is gone nothing is read any more.
            state.sent.clear();
            if let Some(read) = read.remove(&workspace) {
                state.read = Some(read);
                state.read_of = (minute_of(now), day_of(now));
            }
        }
        Ok(())
    }

    /// Looks which of the workspaces that were heard of keep as much as they may.
    async fn measure(&self) {
        let mut full = HashSet::new();
        for (workspace, meter) in self.all() {
            let limit = meter.state().read.as_ref().and_then(|read| read.quotas.stored_bytes);
            let Some(limit) = limit else { continue };
            let is_full = match self.usage.stored_bytes(workspace).await {
                Ok(bytes) => {
                    meter.state().stored_bytes = Some(bytes);
                    bytes >= limit
                }
                Err(error) => {
                    tracing::error!(%error, %workspace, "what a workspace keeps could not be measured; trying again");
                    self.full.has(workspace)
                }
            };
            if is_full {
                full.insert(workspace);
            }
        }
        self.full.set(full);
    }

    fn all(&self) -> Vec<(WorkspaceId, Arc<Meter>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(workspace, meter)| (*workspace, Arc::clone(meter))).collect()
    }

    /// What was counted here since the last time, and forgets who is idle.
    fn take(&self, now: Timestamp) -> Vec<(WorkspaceId, Count)> {
        let mut counts = Vec::new();
        for (workspace, meter) in self.all() {
            let mut state = meter.state();
            let is_any = |count: &Count| count.runs + count.input_bytes + count.bytes_up + count.bytes_down > 0;
            let own: Vec<Count> = state.own.drain(..).filter(is_any).collect();
            counts.extend(own.iter().map(|count| (workspace, *count)));
            state.sent.extend(own);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever holds one may be counting on it at this moment.
        known.retain(|workspace, meter| {
            let is_held = Arc::strong_count(meter) > 1;
            let state = meter.state();
            is_held || self.full.has(*workspace) || !state.own.is_empty() || !state.sent.is_empty() || now.since(state.heard_at) < IDLE
        });
        counts
    }
}

/// What scripts send, receive and keep.
impl LiveRuns {
    /// Whether the scripts of a workspace may keep more state; why not, in words for their authors. What was kept is measured every ten seconds.
    ///
    /// # Errors
    /// If the workspace keeps as much as it may.
    pub fn may_keep(&self, workspace: WorkspaceId) -> Result<(), String> {
        if let Some(meters) = self.meters() {
            meters.heard(workspace);
        }
        if self.full.has(workspace) { Err("the workspace keeps as many bytes as it may (stored_bytes)".to_owned()) } else { Ok(()) }
    }

    /// Bytes of objects that the scripts of a workspace may keep; none: any number.
    pub fn room(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<Option<u64>, String>> {
        Box::pin(async move {
            match self.meters() {
                Some(meters) => meters.room(workspace).await.map_err(|error| refuse(&error).detail),
                None => Ok(None),
            }
        })
    }

    /// Whether the scripts of a workspace may send one more request; why not, in words for their authors.
    pub fn may_send(&self, workspace: WorkspaceId) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            match self.meters() {
                Some(meters) => meters.may_send(workspace).await.map_err(|refusal| refusal.detail),
                None => Ok(()),
            }
        })
    }

    /// Counts what went up and came down. False once that is more than the workspace may send and receive.
    #[must_use]
    pub fn sent(&self, workspace: WorkspaceId, bytes_up: u64, bytes_down: u64) -> bool {
        self.meters().is_none_or(|meters| meters.sent(workspace, bytes_up, bytes_down))
    }

    fn meters(&self) -> Option<Arc<Meters>> {
        let inner = self.dispatch.get().and_then(std::sync::Weak::upgrade)?;
        Some(Arc::clone(&inner.meters))
    }
}

#[cfg(test)]
mod tests;
