//! The listener of every kind that has a schedule: one task, asleep until the next instant is due.

use std::pin::pin;

use futures_util::future::{Either, select};
use sandmill_model::{
    BoxFuture, JsonText, RunId, ScriptPath, Timestamp,
    outcome::{OutcomeKind, Output},
    trigger::{Answered, Delivery, Inbox, ListenError, NewEvent, Receipt, Shutdown},
};

use super::timing::{Decision, Lateness, Timing};

/// What a kind makes of instants.
pub(crate) trait Work: Send + Sync {
    fn lateness(&self) -> Lateness;

    /// Instants of which one delivery is made, at most.
    fn at_once(&self, inbox: &Inbox) -> usize;

    /// May be dropped before its end: then it is asked for again.
    fn make<'a>(&'a self, decisions: &'a [Decision], inbox: &'a Inbox) -> BoxFuture<'a, Result<Made, ListenError>>;
}

/// What becomes of instants.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) events: Vec<NewEvent>,
    /// See [`Delivery::adopts_state_of`].
    pub(crate) adopts_state_of: Option<RunId>,
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Stopped,
}

/// Decides each instant once, in their order, until `stop`. The cursor is the last instant that is decided: whoever takes over goes on from there.
pub(crate) async fn run(timing: &Timing, work: &dyn Work, inbox: &Inbox, stop: &Shutdown) -> Result<(), ListenError> {
    let host = inbox.host();
    let mut through = begin(timing, inbox).await?;
    let mut is_listening = false;
    while !stop.is_requested() {
        let next = timing.after(through).map(|next| (next, timing.due(&inbox.id, next)));
        let now = host.now();
        let Some((next, _)) = next.filter(|(_, due)| *due <= now) else {
            if !is_listening {
                host.listening();
                is_listening = true;
            }
            host.lag(Some(0));
            match next {
                Some((_, due)) => {
                    if sleep(inbox, due, stop).await == Flow::Stopped {
                        break;
                    }
                }
                // Nothing comes any more.
                None => stop.requested().await,
            }
            continue;
        };
        let mut decisions = timing.decide((through, now), &inbox.id, work.lateness());
        if decisions.is_empty() {
            decisions.push(Decision::run(next));
        }
        let mut left = decisions.len();
        for decisions in decisions.chunks(work.at_once(inbox).max(1)) {
            host.lag(u64::try_from(left).ok());
            left -= decisions.len();
            let Some(last) = decisions.last() else { continue };
            if carry_out((timing, work), decisions, inbox, stop).await? == Flow::Stopped {
                return Ok(());
            }
            through = last.at;
        }
    }
    Ok(())
}

/// From where it goes on. The first time that is from now on, and it is kept at once: what comes while nobody listens is not forgotten.
async fn begin(timing: &Timing, inbox: &Inbox) -> Result<Timestamp, ListenError> {
    let (kept, now) = (inbox.host().cursor().await?, inbox.host().now());
    let through = timing.begins(kept.as_ref(), now);
    let cursor = timing.cursor(through);
    if kept.as_ref() != Some(&cursor) {
        inbox.deliver(Vec::new(), Some(cursor)).await?;
    }
    Ok(through)
}

/// Until it is `at`.
async fn sleep(inbox: &Inbox, at: Timestamp, stop: &Shutdown) -> Flow {
    match select(inbox.host().sleep_until(at), pin!(stop.requested())).await {
        Either::Left(_) => Flow::On,
        Either::Right(_) => Flow::Stopped,
    }
}

async fn carry_out(
    (timing, work): (&Timing, &dyn Work),
    decisions: &[Decision],
    inbox: &Inbox,
    stop: &Shutdown,
) -> Result<Flow, ListenError> {
    let Some(last) = decisions.last() else { return Ok(Flow::On) };
    // Scripts may be asked, which takes longer than a listener has for its end.
    let made = match select(work.make(decisions, inbox), pin!(stop.requested())).await {
        Either::Left((made, _)) => made?,
        Either::Right(_) => return Ok(Flow::Stopped),
    };
    let Made { mut events, adopts_state_of } = made;
    loop {
        let rest = if events.len() > inbox.events_max { events.split_off(inbox.events_max.max(1)) } else { Vec::new() };
        let is_last = rest.is_empty();
        let cursor = is_last.then(|| timing.cursor(last.at));
        let delivery = Delivery { events, cursor, adopts_state_of: adopts_state_of.filter(|_| is_last) };
        if deliver(delivery, inbox, stop).await? == Flow::Stopped {
            return Ok(Flow::Stopped);
        }
        if is_last {
            return Ok(Flow::On);
        }
        events = rest;
    }
}

/// Delivers until all of it is taken.
async fn deliver(mut delivery: Delivery, inbox: &Inbox, stop: &Shutdown) -> Result<Flow, ListenError> {
    loop {
        let receipts = inbox.host().deliver(delivery.clone()).await?;
        let pauses = receipts.iter().filter_map(|receipt| match receipt {
            Receipt::Busy { retry_after } => Some(*retry_after),
            _ => None,
        });
        let Some(pause) = pauses.max() else { return Ok(Flow::On) };
        // What was taken is not delivered again: not every trigger knows its repetitions.
        let mut receipts = receipts.iter();
        delivery.events.retain(|_| receipts.next().is_none_or(|receipt| !receipt.is_acknowledged()));
        if sleep(inbox, inbox.host().now().plus(pause), stop).await == Flow::Stopped {
            return Ok(Flow::Stopped);
        }
    }
}

/// What a run that was asked returned.
pub(crate) enum Returned {
    Json(JsonText),
    /// Its preprocessor said that there is nothing to do.
    Nothing,
    /// It failed, or what it returned is no JSON: why, without what only readers of runs may see.
    Fault(String),
    /// Not by its own fault: another try may help.
    Again(String),
}

impl Returned {
    pub(crate) fn of(path: &ScriptPath, answered: &Answered) -> Self {
        let Answered { run, outcome } = answered;
        match (outcome.kind, &outcome.output) {
            (OutcomeKind::Ok, Some(Output::Json(text))) => Self::Json(text.clone()),
            (OutcomeKind::Ok, _) => Self::Fault(format!("{path} returned no JSON (run {run})")),
            (OutcomeKind::Skipped, _) => Self::Nothing,
            (kind @ (OutcomeKind::Cancelled | OutcomeKind::Lost | OutcomeKind::HostFault), _) => {
                Self::Again(format!("{path} ended as {} (run {run})", kind.name()))
            }
            (kind, _) => Self::Fault(format!("{path} ended as {} (run {run})", kind.name())),
        }
    }
}
