//! One seat: its listener is started, watched, stopped, and started anew for ever. One task for each seat, which sleeps while all is well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandmill_model::{
    Code, Input, JsonText, Limits, Timestamp,
    code::Refusal,
    random,
    trigger::{ConfigError, Inbox, ListenError, Mode, Ready, SeatState, SeatStatus, Shutdown},
    version::Selector,
};
use sandmill_store::{
    nodes::Incarnation,
    seats::Seat,
    triggers::{SeatLease, Trigger},
    workspaces::{Status, Workspace},
};
use serde_json::json;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinError,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    board::{Board, Cell},
    host::{SeatHost, misconfigured},
};
use crate::{
    Dispatch, Inner, PAUSE_FIRST, PAUSE_LONGEST, StartRequest, StartTerms, refuse,
    triggers::{
        deliver::{Source, of_refusal, own_principal},
        look::payload_bytes_max,
        references::Read,
        rights,
    },
};

/// A listener that heard for so long before it failed begins with the first pause again.
const WELL: Duration = Duration::from_secs(10);
/// How long a listener that does not end when it is dropped is waited for.
const ABORT: Duration = Duration::from_millis(500);
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 2_000;
/// How long after an alert that could not be started it is tried again.
const ALERT_PAUSE: Duration = Duration::from_secs(30);

/// How long after it could not be looked up whether a listener has what it should have it is looked up again.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// What the supervisor wants of a seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) revision: i64,
    /// Grows whenever something changed that the trigger may refer to.
    pub(super) look: u64,
    pub(super) is_over: bool,
}

/// What all seats of this node have in common.
pub(super) struct Floor {
    pub(super) inner: Arc<Inner>,
    pub(super) board: Arc<Board>,
    /// Seats that are being read and configured at once.
    pub(super) starting: Semaphore,
}

/// The pause after so many failures in a row: twice the last, less up to half of it by chance, which is from 0 to 65,535.
pub(super) fn pause_after(failures: u32, chance: u16) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = PAUSE_FIRST.saturating_mul(doubled).min(PAUSE_LONGEST);
    whole - whole / 2 * u32::from(chance) / u32::from(u16::MAX)
}

/// A trigger that can be listened to.
struct Prepared {
    trigger: Arc<Trigger>,
    workspace: Workspace,
    /// With what it refers to.
    config: JsonText,
    ready: Box<dyn Ready>,
    payload_bytes_max: usize,
}

/// Why nobody listens.
enum Unready {
    /// The trigger is off or gone: there is nothing to do until that changes.
    Off,
    Failed(ListenError),
}

/// Whether a listener has what it should have.
enum Fits {
    Yes,
    No,
    /// It could not be looked up.
    Unknown,
}

/// How listening ended.
enum Ended {
    /// It was to.
    Ordered,
    Off,
    Failed(ListenError),
}

pub(super) struct Attendant {
    floor: Arc<Floor>,
    seat: Seat,
    node: Incarnation,
    orders: watch::Receiver<Order>,
    cell: Arc<Cell>,
    /// Failures in a row.
    failures: u32,
    /// Since when it fails, with moments in which it hears: it is not overcome before it has heard for a while.
    troubled_since: Option<Timestamp>,
    /// Since when what the last alert told of went on.
    alerted_of: Option<Timestamp>,
    /// An alert that could not be started is not tried again before.
    alert_after: Option<Instant>,
    trigger: Option<Arc<Trigger>>,
}

impl Attendant {
    /// Attends to a seat until it is ordered to end.
    pub(super) async fn run(floor: Arc<Floor>, seat: Seat, node: Incarnation, orders: watch::Receiver<Order>) {
        let statuses = {
            let _turn = floor.starting.acquire().await;
            floor.inner.store.seats.statuses(seat.key.workspace, &seat.key.path).await
        };
        // Whoever had it before has counted its events, and may have told of a failure that goes on.
        let before = match statuses {
            Ok(statuses) => statuses.into_iter().find(|(number, ..)| *number == seat.key.number).map(|(_, _, status)| status),
            Err(error) => {
                tracing::warn!(%error, trigger = %seat.key.path, "how a trigger fared before could not be read");
                None
            }
        };
        let before = before.unwrap_or_default();
        let alerted_of = before.alerted_at.and(before.failing_since);
        // One that was only about to listen has not failed.
        let troubled_since = before.failing_since.filter(|since| before.error_at.is_some_and(|at| at >= *since));
        let cell = floor.board.cell(seat.clone(), SeatStatus { failures: 0, next_try_at: None, ..before });
        let own = Self { floor, seat, node, orders, cell, failures: 0, troubled_since, alerted_of, alert_after: None, trigger: None };
        own.attend().await;
    }

    async fn attend(mut self) {
        loop {
            // Also if the supervisor went away without a word.
            if self.orders.borrow_and_update().is_over || self.orders.has_changed().is_err() {
                return;
            }
            match self.listen().await {
                Ended::Ordered => {}
                Ended::Off => {
                    self.set(SeatState::Free);
                    if self.orders.changed().await.is_err() {
                        return;
                    }
                }
                Ended::Failed(error) => self.pause(&error).await,
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.floor.inner.clock.now()
    }

    fn set(&self, state: SeatState) {
        let now = self.now();
        self.cell.set(|status| {
            if status.state != state {
                (status.state, status.since) = (state, now);
            }
        });
    }

    /// Waits after a failure, unless there are orders before.
    async fn pause(&mut self, error: &ListenError) {
        let is_config = matches!(error, ListenError::Config(_));
        let pause = if is_config {
            PAUSE_LONGEST
        } else {
            self.failures = self.failures.saturating_add(1);
            pause_after(self.failures, u16::from_be_bytes(random::bytes()))
        };
        let (now, text) = (self.now(), told(error));
        tracing::warn!(trigger = %self.seat.key.path, workspace = %self.seat.key.workspace, error = %text, "a trigger does not listen; trying again");
        let failures = self.failures;
        let since = *self.troubled_since.get_or_insert(self.cell.get().failing_since.unwrap_or(now));
        self.cell.set(|status| {
            (status.state, status.since) = (if is_config { SeatState::Misconfigured } else { SeatState::BackingOff }, now);
            (status.error, status.error_at) = (Some(text), Some(now));
            (status.failures, status.next_try_at) = (failures, Some(now.plus(pause)));
            status.failing_since = Some(since);
        });
        let mut over = std::pin::pin!(tokio::time::sleep(pause));
        loop {
            let alert = self.until_alert();
            tokio::select! {
                () = &mut over => return,
                _ = self.orders.changed() => return,
                () = alert => self.alert().await,
            }
        }
    }

    /// Listens until it fails, or there are orders to do otherwise.
    async fn listen(&mut self) -> Ended {
        let prepared = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(Unready::Off) => return Ended::Off,
            Err(Unready::Failed(error)) => return Ended::Failed(error),
        };
        let Prepared { trigger, workspace, config, ready, payload_bytes_max } = prepared;
        self.trigger = Some(Arc::clone(&trigger));
        let now = self.now();
        let since = self.troubled_since.unwrap_or(now);
        self.cell.set(|status| {
            (status.state, status.since) = (SeatState::Starting, now);
            status.failing_since.get_or_insert(since);
        });
        let inner = &self.floor.inner;
        let lease = SeatLease { number: self.seat.key.number, node: self.node, fence: self.seat.fence };
        let principal = Arc::new(own_principal(&trigger, &trigger.target));
        let source = Source { workspace, trigger: Arc::clone(&trigger), lease: Some(lease), principal, selector: Selector::Newest };
        let host = Arc::new(SeatHost::new(inner, self.seat.key.clone(), source, Arc::clone(&self.cell)));
        let inbox =
            Inbox::new(Arc::<SeatHost>::clone(&host), trigger.path.as_str().into(), trigger.id.to_string().into(), payload_bytes_max);
        let stop = CancellationToken::new();
        let listening = ready.listen(inbox, Shutdown::when(stop.clone().cancelled_owned()));
        let mut listener = AbortOnDropHandle::new(inner.tasks.spawn(listening));
        let (mut look_at, mut settled_at) = (None, None);
        let ended = loop {
            let alert = self.until_alert();
            let is_to_look = tokio::select! {
                ended = &mut listener => break Some(ended),
                changed = self.orders.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => break None,
                },
                () = until(look_at) => true,
                () = host.is_well.notified() => {
                    settled_at = settled_at.or_else(|| self.settles_at());
                    false
                }
                () = until(settled_at) => {
                    settled_at = None;
                    self.overcome().await;
                    false
                }
                () = alert => {
                    self.alert().await;
                    false
                }
            };
            if is_to_look {
                look_at = match self.still_fits(&trigger, &config).await {
                    Fits::Yes => None,
                    Fits::No => break None,
                    Fits::Unknown => Some(Instant::now() + LOOK_PAUSE),
                };
            }
        };
        if let Some(ended) = ended {
            host.end();
            return self.failed(ended);
        }
        stop.cancel();
        end(listener, &host).await;
        Ended::Ordered
    }

    fn failed(&mut self, ended: Result<Result<(), ListenError>, JoinError>) -> Ended {
        let status = self.cell.get();
        if status.state == SeatState::Listening && self.now().since(status.since) >= WELL {
            self.failures = 0;
        }
        Ended::Failed(match ended {
            Ok(Ok(())) => ListenError::Transient("it ended by itself".to_owned()),
            Ok(Err(error)) => error,
            Err(error) => {
                tracing::error!(%error, trigger = %self.seat.key.path, "a listener ended badly");
                ListenError::Transient("it ended badly; the server's log says how".to_owned())
            }
        })
    }

    /// Whether the trigger is what its listener was started with. Where nothing is referred to, this asks the database nothing: much may change
    /// in a workspace with many triggers.
    async fn still_fits(&self, running: &Trigger, config: &JsonText) -> Fits {
        let order = *self.orders.borrow();
        if order.is_over || order.revision > running.revision {
            return Fits::No;
        }
        let _turn = self.floor.starting.acquire().await;
        match self.usable(running).await {
            Ok((_, now)) if now == *config => Fits::Yes,
            // It goes on with what it has while nobody knows better.
            Err(Unready::Failed(ListenError::Transient(_))) => Fits::Unknown,
            Ok(_) | Err(_) => Fits::No,
        }
    }

    async fn prepare(&self) -> Result<Prepared, Unready> {
        let _turn = self.floor.starting.acquire().await;
        let inner = &self.floor.inner;
        let (trigger, workspace, config) = self.look().await?;
        let failed = |error: ConfigError| Unready::Failed(error.into());
        let kind = inner.armoury.kinds.get().and_then(|kinds| kinds.find(&trigger.kind));
        let Some(listener) = kind.and_then(|kind| kind.listener.as_ref()) else {
            return Err(Unready::Failed(misconfigured(format!("this release has no kind {} that listens", trigger.kind))));
        };
        let ready = listener.configure(&config).map_err(failed)?;
        rights::must_name(&trigger.config, &config, &ready.asks()).map_err(failed)?;
        let key = (trigger.workspace, trigger.target.clone(), Selector::Newest);
        let target = inner.targets.find(inner.store.scripts.as_ref(), key, self.now()).await;
        let target = target.map_err(|error| Unready::Failed(ListenError::Transient(refuse(&error).detail)))?;
        let of_script = target.map_or(Limits::CEILING.arguments_bytes, |target| target.limits.arguments_bytes);
        let payload_bytes_max = usize::try_from(payload_bytes_max(&trigger).min(of_script)).unwrap_or(usize::MAX);
        Ok(Prepared { trigger, workspace, config, ready, payload_bytes_max })
    }

    /// The trigger as it is stored, and its config with what that refers to.
    async fn look(&self) -> Result<(Arc<Trigger>, Workspace, JsonText), Unready> {
        let key = &self.seat.key;
        let found = self.floor.inner.store.triggers.find(key.workspace, &key.path).await.map_err(|error| unready(&refuse(&error)))?;
        let Some(trigger) = found.filter(|trigger| trigger.mode != Mode::Off) else { return Err(Unready::Off) };
        let (workspace, config) = self.usable(&trigger).await?;
        Ok((Arc::new(trigger), workspace, config))
    }

    /// Its workspace must be active, and whoever answers for it must still be allowed to start its target and to read what it refers to.
    async fn usable(&self, trigger: &Trigger) -> Result<(Workspace, JsonText), Unready> {
        let inner = &self.floor.inner;
        let workspace = inner.workspace_of(trigger.workspace).await.map_err(|refusal| unready(&refusal))?;
        if workspace.status != Status::Active {
            return Err(Unready::Failed(misconfigured("the workspace is archived: nothing new starts in it")));
        }
        let may = inner.owner_must_be_allowed(trigger.workspace, &trigger.answered_by, &trigger.target).await;
        may.map_err(|refusal| unready(&refusal))?;
        let config = rights::owned(inner, trigger, &mut Read::default()).await.map_err(|refusal| unready(&refusal))?;
        Ok((workspace, config.map_err(|error| Unready::Failed(error.into()))?))
    }

    /// Until an alert is due; for ever if none is.
    fn until_alert(&self) -> impl Future<Output = ()> + Send + use<> {
        let status = self.cell.get();
        let alert = self.trigger.as_ref().and_then(|trigger| trigger.options.alert.as_ref());
        let due = match (alert, status.failing_since, status.alerted_at) {
            (Some(alert), Some(since), None) => {
                let due = since.plus(Duration::from_millis(alert.after_ms)).since(self.now());
                let pause = self.alert_after.map_or(Duration::ZERO, |after| after.saturating_duration_since(Instant::now()));
                Some(due.max(pause))
            }
            _ => None,
        };
        async move {
            match due {
                Some(due) => tokio::time::sleep(due).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Tells that it has failed for as long as that may be.
    async fn alert(&mut self) {
        let (status, now) = (self.cell.get(), self.now());
        let Some(since) = status.failing_since.filter(|_| status.alerted_at.is_none()) else { return };
        if self.start_alert("failing", since, &status).await {
            self.alerted_of = Some(since);
            self.cell.set(|status| status.alerted_at = Some(now));
        } else {
            self.alert_after = Some(Instant::now() + ALERT_PAUSE);
        }
    }

    /// When it is well again, if it goes on hearing: after as long as it may fail, for one that fails again and again hears in between. None: it was
    /// well before.
    fn settles_at(&self) -> Option<Instant> {
        if self.troubled_since.is_none() && self.cell.get().alerted_at.is_none() {
            return None;
        }
        let alert = self.trigger.as_ref().and_then(|trigger| trigger.options.alert.as_ref());
        let after = alert.map_or(PAUSE_LONGEST, |alert| Duration::from_millis(alert.after_ms));
        Some(Instant::now() + after.min(PAUSE_LONGEST))
    }

    /// Tells that it is well again.
    async fn overcome(&mut self) {
        self.troubled_since = None;
        let status = self.cell.get();
        if let Some(since) = self.alerted_of.take() {
            self.start_alert("overcome", since, &status).await;
        }
        self.cell.set(|status| status.alerted_at = None);
    }

    /// Starts the script that hears of failures; by its key once for each failure, on whichever nodes. False: it should be tried again.
    async fn start_alert(&self, what: &str, since: Timestamp, status: &SeatStatus) -> bool {
        let Some(trigger) = &self.trigger else { return true };
        let Some(alert) = &trigger.options.alert else { return true };
        let inner = &self.floor.inner;
        let Ok(workspace) = inner.workspace_of(trigger.workspace).await else { return false };
        let arguments = json!({
            "trigger": trigger.path,
            "kind": trigger.kind,
            "workspace": workspace.name,
            "state": status.state,
            "error": status.error,
            "failing_since": since.to_string(),
        });
        let request = StartRequest {
            principal: Arc::new(own_principal(trigger, &alert.script)),
            workspace,
            path: alert.script.clone(),
            selector: Selector::Newest,
            input: Input::Arguments(JsonText::trusted(arguments.to_string())),
            terms: StartTerms {
                run_as: trigger.options.run_as.clone(),
                idempotency_key: Some(format!("alert {what} {} {}", trigger.id, since.micros())),
                ..StartTerms::default()
            },
        };
        match (Dispatch { inner: Arc::clone(inner) }).accept(request).await {
            Ok(_) => true,
            Err(refused) => {
                let refusal = refused.into_refusal();
                // Another node told of the same failure, in other words.
                let is_told = refusal.code == Code::IdempotencyMismatch;
                if !is_told {
                    tracing::warn!(%refusal, trigger = %trigger.path, "the alert of a trigger could not be started");
                }
                is_told
            }
        }
    }
}

/// Ends a listener that was told to stop: what it does not finish in its time is dropped, and delivers nothing any more.
async fn end(mut listener: AbortOnDropHandle<Result<(), ListenError>>, host: &SeatHost) {
    if let Some(sink) = &host.sink {
        sink.hurry();
    }
    if tokio::time::timeout(Shutdown::DEADLINE, &mut listener).await.is_err() {
        tracing::warn!(trigger = %host.key.path, "a listener did not end in its time, and is dropped");
        host.end();
        listener.abort();
        let _ = tokio::time::timeout(ABORT, listener).await;
    }
    host.end();
    if let Some(sink) = &host.sink {
        sink.finish().await;
    }
}

/// For ever if there is no such moment.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn unready(refusal: &Refusal) -> Unready {
    Unready::Failed(of_refusal(refusal))
}

/// An error as it is kept.
fn told(error: &ListenError) -> String {
    let text = match error {
        ListenError::Config(error) if !error.pointer.is_empty() => format!("/config{}: {}", error.pointer, error.message),
        error => error.to_string(),
    };
    // No text of a database has NUL.
    text.chars().filter(|c| *c != '\0').take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let ms = |failures, chance| u64::try_from(pause_after(failures, chance).as_millis()).unwrap();
        assert_eq!([1, 2, 3, 4].map(|failures| ms(failures, 0)), [250, 500, 1_000, 2_000]);
        assert_eq!([8, 9, 40, u32::MAX].map(|failures| ms(failures, 0)), [32_000, 60_000, 60_000, 60_000]);
        assert_eq!([1, 2, 40].map(|failures| ms(failures, u16::MAX)), [125, 250, 30_000], "never less than half");
        assert_eq!(ms(1, u16::MAX / 2), 187);
        assert_eq!(ms(0, 0), 250);
    }

    #[test]
    fn errors_are_short_and_point_into_the_config() {
        assert_eq!(told(&ListenError::Config(ConfigError::new("/url", "no"))), "/config/url: no");
        let long = told(&ListenError::Transient("a\0".repeat(10_000)));
        assert!(long.chars().count() == ERROR_CHARS_MAX && !long.contains('\0'));
    }
}
