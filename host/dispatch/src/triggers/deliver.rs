//! From events to runs: mode, filter, keys, batch, terms. One way for requests and for listeners.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use sandmill_model::{
    Event, Input, Limits, LogEntry, LogLevel, LogStream, Outcome, OutcomeKind, RunId, ScriptPath, Timestamp, TokenId, Usage,
    auth::{Action, Domain, Principal, Scope},
    code::{Code, Refusal},
    run::{FinishedRun, NewRun},
    trigger::{ConfigError, Cursor, Delivery, ListenError, Mode, NewEvent, Overlap, Receipt},
    version::Selector,
};
use sandmill_store::{
    triggers::{Delivered, DeliveryAnswer, ItemReceipt, KeptAs, SeatLease, Trigger, TriggerDelivery},
    workspaces::{Status, Workspace},
};

use super::{
    Admitted, Asker,
    batch::Sink,
    look::{Fitting, Looked, kept, look, payload_bytes_max},
};
use crate::{Accepted, Dispatch, Inner, StartRequest, StartTerms, refuse};

/// How long a listener pauses whose events find no room, where nobody knows better.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause: quotas of a day count anew at its end, and somebody may raise them before.
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Whose events are delivered, and by which right.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) workspace: Workspace,
    pub(super) trigger: Arc<Trigger>,
    /// None: they came by requests.
    pub(super) lease: Option<SeatLease>,
    /// A caller, else the trigger's own.
    pub(super) principal: Arc<Principal>,
    /// Which version of the target.
    pub(super) selector: Selector,
}

/// Why nothing was delivered.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Refused(Refusal),
    /// The seat is another's, or the trigger is gone or off.
    Lost(&'static str),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Lost(_) => Self::new(Code::NotFound, "there is nothing here"),
        }
    }
}

impl From<Failure> for ListenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => of_refusal(&refusal),
            Failure::Lost(why) => Self::Transient(why.to_owned()),
        }
    }
}

/// What a refusal is to a listener: what nobody but a user can change parks it.
pub(super) fn of_refusal(refusal: &Refusal) -> ListenError {
    match refusal.code {
        Code::Forbidden | Code::NotFound | Code::BadRequest | Code::InvalidTrigger => {
            ListenError::Config(ConfigError::new("", refusal.detail.clone()))
        }
        _ => ListenError::Transient(refusal.detail.clone()),
    }
}

/// By which right a trigger starts runs of its own: that of whoever answers for it, for this one script.
pub(super) fn own_principal(trigger: &Trigger, path: &ScriptPath) -> Principal {
    let mut scopes = vec![Scope::on(Domain::Runs, Action::Start, path.as_str())];
    if let Some(run_as) = &trigger.options.run_as {
        scopes.push(Scope::on(Domain::Identities, Action::Start, &run_as.identity()));
    }
    Principal {
        token: TokenId::NONE,
        workspace: Some(trigger.workspace),
        identity: Arc::clone(&trigger.answered_by),
        scopes: scopes.into(),
    }
}

/// A start of the trigger's target, on its terms.
pub(super) fn start(source: &Source, event: Event) -> StartRequest {
    StartRequest {
        principal: Arc::clone(&source.principal),
        workspace: source.workspace.clone(),
        path: source.trigger.target.clone(),
        selector: source.selector,
        input: Input::Event(event),
        terms: StartTerms { trigger: Some(Arc::clone(&source.trigger)), ..StartTerms::default() },
    }
}

fn keyed(request: StartRequest, is_callers_key: bool) -> StartRequest {
    StartRequest { terms: StartTerms { is_callers_key, ..request.terms }, ..request }
}

pub(super) fn count(trigger: &Trigger, outcome: &'static str, events: u64) {
    if events > 0 {
        counter!("sandmill_trigger_events_total", "kind" => trigger.kind.to_string(), "outcome" => outcome).increment(events);
    }
}

/// See [`Dispatch::admit`](crate::Dispatch::admit).
pub(super) async fn admit(
    inner: &Arc<Inner>,
    workspace: &Workspace,
    trigger: &Arc<Trigger>,
    (event, Asker { caller, selector }): (NewEvent, Asker),
) -> Result<Admitted, Refusal> {
    match workspace.status {
        Status::Active => {}
        Status::Archived => return Err(Refusal::new(Code::WorkspaceArchived, "the workspace is archived: nothing new starts in it")),
        Status::Deleting => return Err(Refusal::new(Code::NotFound, "there is no such workspace")),
    }
    let fitting = match look(trigger, event, Limits::CEILING.arguments_bytes) {
        Looked::Fits(fitting) => *fitting,
        Looked::Filtered => {
            count(trigger, "filtered", 1);
            return Ok(Admitted::Filtered);
        }
        Looked::Invalid(_, fault) => {
            let code = if fault.is_too_large { Code::PayloadTooLarge } else { Code::InvalidJson };
            return Err(Refusal::new(code, format!("the event is refused: {}", fault.why)));
        }
    };
    let principal = caller.unwrap_or_else(|| Arc::new(own_principal(trigger, &trigger.target)));
    let source = Source { workspace: workspace.clone(), trigger: Arc::clone(trigger), lease: None, principal, selector };
    let is_plain = fitting.skip.is_none() && fitting.overlap == Overlap::Allow;
    if trigger.mode == Mode::On && trigger.options.batch.is_none() && is_plain {
        return Ok(Admitted::Start(Box::new(keyed(start(&source, fitting.event), fitting.is_callers_key))));
    }
    if trigger.mode == Mode::Off {
        return Err(Failure::Lost("the trigger is off").into());
    }
    if inner.draining.is_cancelled() {
        return Err(Refusal::new(Code::Unavailable, "this node is shutting down"));
    }
    if trigger.mode == Mode::Capture {
        return capture(inner, &source, fitting.event).await;
    }
    let receipt = if trigger.options.batch.is_some() && is_plain {
        inner.armoury.shared.batches.submit(inner, &source, fitting.event).await?
    } else {
        let (mut receipts, _) = runs(inner, &source, vec![Looked::Fits(Box::new(fitting))], Rest::default()).await?;
        receipts.pop().unwrap_or(Receipt::Kept)
    };
    match receipt {
        Receipt::Accepted(run) => Ok(Admitted::Accepted(Accepted { run, is_repetition: false })),
        Receipt::Duplicate(run) => Ok(Admitted::Accepted(Accepted { run, is_repetition: true })),
        Receipt::Kept => Ok(Admitted::Filtered),
        Receipt::Invalid(why) => Err(Refusal::new(Code::PayloadTooLarge, why)),
        Receipt::Busy { retry_after } => {
            Err(Refusal::new(Code::TooManyRequests, "the workspace has no room for more runs at present; send it again in a while")
                .after_s(retry_after.as_secs().max(1)))
        }
    }
}

fn full() -> Refusal {
    Refusal::new(Code::QuotaExceeded, "the workspace keeps as many bytes as it may (stored_bytes)")
}

/// Keeps the event of a request to be looked at.
async fn capture(inner: &Arc<Inner>, source: &Source, event: Event) -> Result<Admitted, Refusal> {
    if inner.meters.is_full(source.workspace.id) {
        return Err(full());
    }
    if source.principal.token == TokenId::NONE {
        // As if it were to start a run.
        let (trigger, workspace) = (&source.trigger, source.workspace.id);
        inner.owner_must_be_allowed(workspace, &trigger.answered_by, &trigger.target).await?;
    }
    let kept = kept(event, KeptAs::Captured, inner.clock.now());
    let id = kept.id;
    write(inner, source, vec![Delivered::Kept(kept)], Rest::default()).await?;
    count(&source.trigger, "captured", 1);
    Ok(Admitted::Captured(id))
}

/// What is kept in the transaction of a delivery beside its items.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    pub(super) cursor: Option<Cursor>,
    pub(super) adopts_state_of: Option<RunId>,
}

impl Rest {
    pub(super) fn is_empty(&self) -> bool {
        self.cursor.is_none() && self.adopts_state_of.is_none()
    }
}

/// What a listener delivers: [`Host::deliver`](sandmill_model::trigger::Host::deliver). `sink` gathers batches, if it is to.
pub(super) async fn deliver(
    inner: &Arc<Inner>,
    source: &Source,
    delivery: Delivery,
    sink: Option<&Sink>,
) -> Result<Vec<Receipt>, ListenError> {
    let Delivery { events, cursor, adopts_state_of } = delivery;
    let rest = Rest { cursor, adopts_state_of };
    let bytes_max = payload_bytes_max(&source.trigger);
    let looked: Vec<Looked> = events.into_iter().map(|event| look(&source.trigger, event, bytes_max)).collect();
    let receipts = match sink {
        Some(sink) => Box::pin(sink.deliver(inner, source, looked, rest)).await,
        None => Box::pin(runs(inner, source, looked, rest)).await.map(|(receipts, _)| receipts),
    };
    let receipts = receipts.map_err(ListenError::from)?;
    let of = |is_meant: fn(&Receipt) -> bool| receipts.iter().filter(|receipt| is_meant(receipt)).count() as u64;
    count(&source.trigger, "accepted", of(|receipt| matches!(receipt, Receipt::Accepted(_))));
    count(&source.trigger, "duplicate", of(|receipt| matches!(receipt, Receipt::Duplicate(_))));
    count(&source.trigger, "kept", of(|receipt| matches!(receipt, Receipt::Kept)));
    count(&source.trigger, "invalid", of(|receipt| matches!(receipt, Receipt::Invalid(_))));
    count(&source.trigger, "busy", of(|receipt| !receipt.is_acknowledged()));
    Ok(receipts)
}

/// What becomes of one event of a delivery.
enum Slot {
    /// The item of this number says it; with a reason if it can be no run.
    Item(usize, Option<String>),
    Done(Receipt),
}

/// Delivers events, each by itself, all in one transaction; returns whether the rest was kept, which it is only if there was room for all.
/// Where state moves with them, there are all or none.
pub(super) async fn runs(inner: &Arc<Inner>, source: &Source, looked: Vec<Looked>, rest: Rest) -> Result<(Vec<Receipt>, bool), Failure> {
    let (mut items, mut slots, mut busy) = (Vec::new(), Vec::with_capacity(looked.len()), None);
    for one in looked {
        if let Some(retry_after) = busy {
            slots.push(Slot::Done(Receipt::Busy { retry_after }));
            continue;
        }
        let item = match one {
            Looked::Filtered => Ok(None),
            Looked::Invalid(event, fault) => Ok(Some(dead(inner, *event, fault.why))),
            Looked::Fits(fitting) => item(inner, source, *fitting).await,
        };
        let item = item.and_then(|item| match item {
            Some(Delivered::Kept(_)) if inner.meters.is_full(source.workspace.id) => Err(full()),
            item => Ok(item),
        });
        match item {
            Ok(None) => slots.push(Slot::Done(Receipt::Kept)),
            Ok(Some(item)) => {
                let invalid = match &item {
                    Delivered::Kept(kept) => match &kept.kept_as {
                        KeptAs::Dead(why) => Some(why.clone()),
                        KeptAs::Captured => None,
                    },
                    Delivered::Run { .. } | Delivered::Skipped(_) => None,
                };
                slots.push(Slot::Item(items.len(), invalid));
                items.push(item);
            }
            Err(refusal) => match busy_after(&refusal) {
                Some(retry_after) => {
                    slots.push(Slot::Done(Receipt::Busy { retry_after }));
                    busy = Some(retry_after);
                }
                None => {
                    give_back(inner, source, &items);
                    return Err(refusal.into());
                }
            },
        }
    }
    if let (Some(retry_after), true) = (busy, rest.adopts_state_of.is_some()) {
        give_back(inner, source, &items);
        return Ok((vec![Receipt::Busy { retry_after }; slots.len()], false));
    }
    let rest = if busy.is_some() { Rest::default() } else { rest };
    let written = write(inner, source, items, rest).await?;
    if let (None, Some(first)) = (source.lease, mismatch(&written)) {
        let detail = format!("run {first} was started with this idempotency key and another body; choose a new key for a new request");
        return Err(Refusal::new(Code::IdempotencyMismatch, detail).into());
    }
    let receipts = slots.into_iter().map(|slot| slot.receipt(&written)).collect::<Option<Vec<_>>>();
    let receipts = receipts.ok_or_else(|| Refusal::new(Code::Internal, "the store did not say what became of each event"))?;
    Ok((receipts, busy.is_none()))
}

/// The run of a request with the same key that asked for something else.
fn mismatch(written: &[ItemReceipt]) -> Option<RunId> {
    written.iter().find_map(|receipt| match receipt {
        ItemReceipt::Mismatch(run) => Some(*run),
        _ => None,
    })
}

impl Slot {
    fn receipt(self, written: &[ItemReceipt]) -> Option<Receipt> {
        let index = match self {
            Self::Done(receipt) => return Some(receipt),
            Self::Item(index, Some(why)) => return written.get(index).map(|_| Receipt::Invalid(why)),
            Self::Item(index, None) => index,
        };
        match written.get(index)? {
            ItemReceipt::New(run) => Some(Receipt::Accepted(*run)),
            ItemReceipt::Duplicate(run) | ItemReceipt::Mismatch(run) => Some(Receipt::Duplicate(*run)),
            ItemReceipt::Overlaps(_) | ItemReceipt::Kept => Some(Receipt::Kept),
            // Only batches have several keys.
            ItemReceipt::Repeats(_) => None,
        }
    }
}

/// How long to pause, if a refusal means that there is no room at present.
pub(super) fn busy_after(refusal: &Refusal) -> Option<Duration> {
    let is_busy = matches!(refusal.code, Code::TooManyRequests | Code::QuotaExceeded);
    is_busy.then(|| refusal.retry_after_s.map_or(BUSY_PAUSE, Duration::from_secs).clamp(BUSY_PAUSE, BUSY_PAUSE_MAX))
}

pub(super) fn dead(inner: &Inner, event: Event, why: String) -> Delivered {
    Delivered::Kept(kept(event, KeptAs::Dead(why), inner.clock.now()))
}

/// What an event comes to; none: nothing is kept of it. What is refused for its size is kept as dead.
async fn item(inner: &Arc<Inner>, source: &Source, fitting: Fitting) -> Result<Option<Delivered>, Refusal> {
    let Fitting { event, is_callers_key, overlap, skip } = fitting;
    let now = inner.clock.now();
    if source.trigger.mode == Mode::Capture {
        // What does not happen is not worth to be looked at.
        return Ok(skip.is_none().then(|| Delivered::Kept(kept(event, KeptAs::Captured, now))));
    }
    let made = inner.make_run(keyed(start(source, event.clone()), is_callers_key)).await;
    let run = match made {
        Ok(run) => run,
        Err(Refusal { code: Code::PayloadTooLarge, detail, .. }) => return Ok(Some(dead(inner, event, detail))),
        Err(refusal) => return Err(refusal),
    };
    if let Some(why) = skip {
        return Ok(Some(Delivered::Skipped(Box::new(skipped(run, why, now)))));
    }
    inner.make_room(&run, &inner.limits_of(&source.workspace)).await?;
    let is_held = source.trigger.mode == Mode::Held;
    Ok(Some(Delivered::Run { run: Box::new(run), also: Vec::new(), is_held, overlap }))
}

/// The record of a run that did not execute.
fn skipped(run: NewRun, why: String, now: Timestamp) -> FinishedRun {
    let line = LogEntry { at: now, level: LogLevel::Info, stream: LogStream::Host, message: why, fields: None };
    let outcome =
        Outcome { kind: OutcomeKind::Skipped, output: None, error: None, arguments: None, usage: Usage::default(), log: vec![line] };
    FinishedRun { run, attempt: 0, started_at: None, ended_at: now, outcome }
}

/// Bytes that an item was counted with; none: it was not counted.
fn counted(item: &Delivered) -> Option<u64> {
    match item {
        Delivered::Run { run, .. } => Some(run.input.len_bytes() as u64),
        Delivered::Skipped(_) | Delivered::Kept(_) => None,
    }
}

pub(super) fn give_back(inner: &Inner, source: &Source, items: &[Delivered]) {
    let limits = inner.limits_of(&source.workspace);
    for bytes in items.iter().filter_map(counted) {
        inner.give_room_back(source.workspace.id, bytes, &limits);
    }
}

/// Makes items durable, for which there is room, and says so to whoever executes them.
pub(super) async fn write(inner: &Arc<Inner>, source: &Source, items: Vec<Delivered>, rest: Rest) -> Result<Vec<ItemReceipt>, Failure> {
    if items.is_empty() && rest.is_empty() {
        return Ok(Vec::new());
    }
    let rooms: Vec<Option<u64>> = items.iter().map(counted).collect();
    let has_rates = |item: &Delivered| matches!(item, Delivered::Run { run, .. } if !run.policy.rates.is_empty());
    let (has_runs, is_delayed) = (rooms.iter().any(Option::is_some), items.iter().any(has_rates));
    let limits = inner.limits_of(&source.workspace);
    let give_back = |room: &Option<u64>| {
        if let Some(bytes) = room {
            inner.give_room_back(source.workspace.id, *bytes, &limits);
        }
    };
    let Rest { cursor, adopts_state_of } = rest;
    let delivery = TriggerDelivery {
        workspace: source.workspace.id,
        path: source.trigger.path.clone(),
        lease: source.lease,
        items,
        cursor,
        adopts_state_of,
        now: inner.clock.now(),
    };
    let answer = inner.store.triggers.deliver(delivery).await;
    if !matches!(answer, Ok(DeliveryAnswer::Done { .. })) {
        rooms.iter().for_each(give_back);
    }
    let (receipts, to_cancel) = match answer.map_err(|error| refuse(&error))? {
        DeliveryAnswer::Done { items, to_cancel } => (items, to_cancel),
        DeliveryAnswer::Fenced => return Err(Failure::Lost("another node listens to this trigger by now")),
        DeliveryAnswer::Gone => return Err(Failure::Lost("the trigger is gone, or off")),
    };
    let unused = rooms.iter().zip(&receipts).filter(|(_, receipt)| !matches!(receipt, ItemReceipt::New(_)));
    unused.for_each(|(room, _)| give_back(room));
    if has_runs {
        inner.look_for_ready();
        inner.tell_ready();
    }
    if is_delayed {
        inner.delayed.notify_one();
    }
    cancel(inner, source, to_cancel);
    Ok(receipts)
}

/// Ends runs that others came after, beside what is delivered next.
fn cancel(inner: &Arc<Inner>, source: &Source, runs: Vec<RunId>) {
    if runs.is_empty() {
        return;
    }
    let (dispatch, workspace) = (Dispatch { inner: Arc::clone(inner) }, source.workspace.id);
    inner.tasks.spawn(async move {
        for run in runs {
            if let Err(refusal) = dispatch.cancel(workspace, run).await {
                tracing::error!(%refusal, %run, "a run could not be cancelled although another came after it");
            }
        }
    });
}
