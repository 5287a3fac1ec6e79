//! The host as one listener reaches it. It lasts as long as the listener: what comes by it afterwards is refused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sandmill_model::{
    BoxFuture, Input, Timestamp,
    trigger::{Answered, Ask, ConfigError, Cursor, Delivery, File, Host, Inbox, ListenError, Network, NewEvent, Receipt, SeatState},
    version::Selector,
};
use sandmill_store::seats::SeatKey;
use tokio::sync::{Notify, Semaphore};

use super::board::Cell;
use crate::{
    Dispatch, Inner, StartRequest, StartTerms, Waited, refuse,
    triggers::{
        batch::Sink,
        deliver::{Source, deliver, of_refusal, own_principal},
        event_of, keep,
    },
};

/// The longest sleep at a time; timers of a year are not exact anyway.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 3600);

pub(super) struct SeatHost {
    pub(super) inner: Arc<Inner>,
    pub(super) key: SeatKey,
    pub(super) source: Source,
    pub(super) cell: Arc<Cell>,
    /// If the trigger gathers batches.
    pub(super) sink: Option<Sink>,
    /// Deliveries that may be in flight.
    permits: Semaphore,
    is_over: AtomicBool,
    /// Poked whenever it hears after it did not.
    pub(super) is_well: Notify,
}

impl SeatHost {
    pub(super) fn new(inner: &Arc<Inner>, key: SeatKey, source: Source, cell: Arc<Cell>) -> Self {
        let sink = source.trigger.options.batch.map(|batch| Sink::open(inner, &source, batch));
        let permits = Semaphore::new(Inbox::DELIVERIES_MAX);
        Self { inner: Arc::clone(inner), key, source, cell, sink, permits, is_over: AtomicBool::new(false), is_well: Notify::new() }
    }

    /// From now on nothing is taken from it.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// A listener whose node may be thought dead delivers nothing: another may listen by now. The store looks once more, when it writes.
    fn must_hold_seat(&self) -> Result<(), ListenError> {
        let lost = |why: &str| Err(ListenError::Transient(why.to_owned()));
        if self.is_over.load(Ordering::Acquire) {
            return lost("this listener has ended");
        }
        let Some(lease) = self.source.lease else { return lost("it has no seat") };
        let membership = &self.inner.membership;
        if membership.current() != Some(lease.node) || !membership.lives_at(self.inner.clock.now()) {
            return lost("this node cannot show that it lives; another may listen by now");
        }
        Ok(())
    }

    async fn delivered(&self, delivery: Delivery) -> Result<Vec<Receipt>, ListenError> {
        let (count, bytes) = (delivery.events.len(), delivery.events.iter().map(NewEvent::len_bytes).sum::<usize>());
        if count > Inbox::EVENTS_MAX {
            let message = format!("it delivers {count} events at once; a delivery has at most {}", Inbox::EVENTS_MAX);
            return Err(ListenError::Transient(message));
        }
        if delivery.cursor.as_ref().is_some_and(|cursor| cursor.0.as_str().len() > Cursor::BYTES_MAX) {
            return Err(ListenError::Transient(format!("its cursor has more than {} bytes", Cursor::BYTES_MAX)));
        }
        let ending = || ListenError::Transient("this node is shutting down".to_owned());
        let _permit = self.permits.acquire().await.map_err(|_| ending())?;
        // Events that wait for their batch have room of another kind.
        let _room = match &self.sink {
            Some(_) => None,
            None => Some(self.inner.armoury.shared.room(bytes).await.ok_or_else(ending)?),
        };
        self.must_hold_seat()?;
        let (trigger, workspace) = (&self.source.trigger, self.source.workspace.id);
        // Also if no run is made of it: what is captured, and the cursor, is taken from its source.
        let may = self.inner.owner_must_be_allowed(workspace, &trigger.answered_by, &trigger.target).await;
        may.map_err(|refusal| of_refusal(&refusal))?;
        let workspace = self.inner.workspace_of(workspace).await.map_err(|refusal| of_refusal(&refusal))?;
        let source = Source { workspace, ..self.source.clone() };
        let last_at = delivery.events.iter().any(|event| event.skip.is_none()).then(|| self.inner.clock.now());
        let receipts = deliver(&self.inner, &source, delivery, self.sink.as_ref()).await?;
        self.note(&receipts, last_at);
        Ok(receipts)
    }

    fn note(&self, receipts: &[Receipt], last_at: Option<Timestamp>) {
        let now = self.inner.clock.now();
        let acknowledged = receipts.iter().filter(|receipt| receipt.is_acknowledged()).count() as u64;
        let is_busy = acknowledged < receipts.len() as u64;
        if !is_busy {
            self.hears();
        }
        self.cell.set(|status| {
            status.events = status.events.saturating_add(acknowledged);
            if acknowledged > 0 {
                status.last_event_at = last_at.or(status.last_event_at);
            }
            if is_busy && status.state != SeatState::Paused {
                (status.state, status.since) = (SeatState::Paused, now);
            }
        });
    }

    /// It is well, also after it was not.
    fn hears(&self) {
        if self.is_over.load(Ordering::Acquire) || self.cell.get().state == SeatState::Listening {
            return;
        }
        let now = self.inner.clock.now();
        self.cell.set(|status| {
            (status.state, status.since) = (SeatState::Listening, now);
            (status.failures, status.next_try_at, status.failing_since) = (0, None, None);
        });
        self.is_well.notify_one();
    }

    async fn asked(&self, ask: Ask) -> Result<Answered, ListenError> {
        self.must_hold_seat()?;
        let Ask { path, event, stages_state, wait_max } = ask;
        let Source { trigger, workspace, .. } = &self.source;
        let workspace = self.inner.workspace_of(workspace.id).await.map_err(|refusal| of_refusal(&refusal))?;
        let mut event = event_of(trigger, event);
        // Not one of the keys of what it delivers.
        event.dedup_key = event.dedup_key.map(|key| format!("ask {key}"));
        let request = StartRequest {
            principal: Arc::new(own_principal(trigger, &path)),
            workspace,
            path,
            selector: Selector::Newest,
            input: Input::Event(event),
            terms: StartTerms { run_as: trigger.options.run_as.clone(), stages_state, ..StartTerms::default() },
        };
        let dispatch = Dispatch { inner: Arc::clone(&self.inner) };
        match dispatch.run_while_wanted(request, wait_max).await.map_err(|refusal| of_refusal(&refusal))? {
            Waited::Ended { run, outcome, .. } => Ok(Answered { run, outcome }),
            Waited::StillRunning(accepted) => {
                // Nobody waits for it any more, and the next one must not come beside it.
                if let Err(refusal) = dispatch.cancel(self.source.workspace.id, accepted.run).await {
                    tracing::warn!(%refusal, run = %accepted.run, "a run that was asked for and took too long could not be cancelled");
                }
                Err(ListenError::Transient(format!("run {} did not end within {} ms", accepted.run, wait_max.as_millis())))
            }
        }
    }
}

impl Host for SeatHost {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<Vec<Receipt>, ListenError>> {
        Box::pin(self.delivered(delivery))
    }

    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, ListenError>> {
        Box::pin(async move {
            let cursor = self.inner.store.triggers.cursor(self.key.clone()).await;
            cursor.map_err(|error| ListenError::Transient(refuse(&error).detail))
        })
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answered, ListenError>> {
        Box::pin(self.asked(ask))
    }

    fn keep(&self, file: File) -> BoxFuture<'_, Result<(), ListenError>> {
        Box::pin(async move {
            self.must_hold_seat()?;
            let kept = keep::file(&self.inner, self.source.workspace.id, file).await;
            kept.map_err(|refusal| ListenError::Transient(refusal.detail))
        })
    }

    fn listening(&self) {
        self.hears();
    }

    fn lag(&self, events: Option<u64>) {
        if !self.is_over.load(Ordering::Acquire) && self.cell.get().lag_events != events {
            self.cell.set(|status| status.lag_events = events);
        }
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            loop {
                // Before the clock is read: it may be set in between.
                let was_set = inner.armoury.shared.clock_was_set.notified();
                let left = at.since(inner.clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(left.min(SLEEP_MAX)) => {}
                    () = was_set => {}
                }
            }
        })
    }

    fn network(&self) -> Arc<dyn Network> {
        self.inner.network()
    }
}

/// What nobody but whoever set it up can change.
pub(super) fn misconfigured(why: impl Into<String>) -> ListenError {
    ListenError::Config(ConfigError::new("", why))
}
