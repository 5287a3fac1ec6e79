//! A host whose time jumps to whenever somebody sleeps until, so that years pass at once.

use std::{
    collections::{HashMap, VecDeque},
    future::{pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use sandmill_model::{
    BoxFuture, JsonText, Outcome, OutcomeKind, Output, RunId, Timestamp,
    trigger::{Answered, Ask, Cursor, Delivery, File, Host, Inbox, ListenError, Listener, Listening, NewEvent, Receipt, Shutdown},
};
use serde_json::Value;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What an asked script returns.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(&'static str),
    Ends(OutcomeKind),
    Unreachable,
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) cursor: Option<Cursor>,
    /// With the moment at which each was delivered.
    pub(crate) events: Vec<(Timestamp, NewEvent)>,
    pub(crate) asked: Vec<Ask>,
    pub(crate) adopted: Vec<RunId>,
    /// Runs that were asked, in their order.
    pub(crate) answered_by: Vec<RunId>,
    /// Of the next that are asked; the last goes on.
    pub(crate) answers: VecDeque<Answer>,
    /// So many deliveries find no room.
    pub(crate) busy: usize,
    /// So many deliveries fail.
    pub(crate) failing: usize,
    /// So many are kept before one fails.
    pub(crate) fail_after: Option<usize>,
    pub(crate) lag: Option<u64>,
    pub(crate) listens: usize,
    known: HashMap<String, RunId>,
}

pub(crate) struct Jumping {
    now: Arc<Mutex<Timestamp>>,
    /// Nobody wakes after it.
    until: Mutex<Timestamp>,
    pub(crate) kept: Mutex<Kept>,
}

impl Jumping {
    pub(crate) fn new(now: &str) -> Arc<Self> {
        let now = at(now);
        Arc::new(Self { now: Arc::new(Mutex::new(now)), until: Mutex::new(now), kept: Mutex::default() })
    }

    /// Somebody listens from now on, until `until`; then they are dropped as if their node had died. What they returned by then.
    pub(crate) fn listen<L: Listener>(self: &Arc<Self>, config: &Value, until: &str) -> Option<Result<(), ListenError>> {
        *self.until.lock().unwrap() = at(until);
        let ready = Listening::<L>::shared().configure(&JsonText::of(config).unwrap()).unwrap();
        let host: Arc<dyn Host> = self.clone();
        let inbox = Inbox::new(host, "f/test/trigger".into(), "id".into(), 1024);
        let ended = ready.listen(inbox, Shutdown::when(pending())).now_or_never();
        if ended.is_none() {
            self.pass(until);
        }
        ended
    }

    /// Nobody listens until then.
    pub(crate) fn pass(&self, until: &str) {
        let mut now = self.now.lock().unwrap();
        *now = (*now).max(at(until));
    }

    /// The instants of what was delivered with whether it runs.
    pub(crate) fn decided(&self) -> Vec<(Timestamp, bool)> {
        let kept = self.kept.lock().unwrap();
        kept.events.iter().map(|(_, event)| (event.occurred_at.unwrap(), event.skip.is_none())).collect()
    }

    /// The instants that ran.
    pub(crate) fn ran(&self) -> Vec<Timestamp> {
        self.decided().into_iter().filter(|(_, runs)| *runs).map(|(at, _)| at).collect()
    }
}

impl Kept {
    fn take(&mut self, event: NewEvent, now: Timestamp) -> Receipt {
        let run = RunId::new(now);
        if let Some(key) = &event.dedup_key
            && let Some(known) = self.known.insert(key.clone(), run)
        {
            self.known.insert(key.clone(), known);
            return Receipt::Duplicate(known);
        }
        let is_kept = event.skip.is_some();
        self.events.push((now, event));
        if is_kept { Receipt::Kept } else { Receipt::Accepted(run) }
    }

    fn deliver(&mut self, delivery: Delivery, now: Timestamp) -> Result<Vec<Receipt>, ListenError> {
        assert!(delivery.events.len() <= Inbox::EVENTS_MAX);
        if self.failing > 0 {
            self.failing -= 1;
            return Err(ListenError::Transient("the database is away".to_owned()));
        }
        self.fail_after = match self.fail_after {
            Some(0) => {
                self.fail_after = None;
                return Err(ListenError::Transient("the database is away".to_owned()));
            }
            left => left.map(|left| left - 1),
        };
        if self.busy > 0 && !delivery.events.is_empty() {
            self.busy -= 1;
            return Ok(vec![Receipt::Busy { retry_after: Duration::from_secs(5) }; delivery.events.len()]);
        }
        let receipts = delivery.events.into_iter().map(|event| self.take(event, now)).collect();
        self.cursor = delivery.cursor.or(self.cursor.take());
        self.adopted.extend(delivery.adopts_state_of);
        Ok(receipts)
    }

    fn answer(&mut self, ask: Ask) -> Result<Answered, ListenError> {
        self.asked.push(ask);
        let answer = if self.answers.len() > 1 { self.answers.pop_front() } else { self.answers.front().cloned() };
        let run = RunId::new(Timestamp::default());
        self.answered_by.push(run);
        let (kind, output) = match answer.unwrap() {
            Answer::Json(text) => (OutcomeKind::Ok, Some(Output::Json(JsonText::parse(text).unwrap()))),
            Answer::Ends(kind) => (kind, None),
            Answer::Unreachable => return Err(ListenError::Transient("not in time".to_owned())),
        };
        Ok(Answered { run, outcome: Arc::new(Outcome { kind, output, ..Outcome::host_fault(String::new()) }) })
    }
}

impl Host for Jumping {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<Vec<Receipt>, ListenError>> {
        Box::pin(ready(self.kept.lock().unwrap().deliver(delivery, self.now())))
    }

    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, ListenError>> {
        Box::pin(ready(Ok(self.kept.lock().unwrap().cursor.clone())))
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answered, ListenError>> {
        Box::pin(ready(self.kept.lock().unwrap().answer(ask)))
    }

    fn keep(&self, _file: File) -> BoxFuture<'_, Result<(), ListenError>> {
        Box::pin(ready(Ok(())))
    }

    fn listening(&self) {
        self.kept.lock().unwrap().listens += 1;
    }

    fn lag(&self, events: Option<u64>) {
        self.kept.lock().unwrap().lag = events;
    }

    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        if at > *self.until.lock().unwrap() {
            return Box::pin(pending());
        }
        let now = Arc::clone(&self.now);
        Box::pin(async move {
            let mut now = now.lock().unwrap();
            *now = (*now).max(at);
        })
    }
}
