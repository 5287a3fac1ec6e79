//! Batches: several events start one run. Events wait in memory, and what they came from waits for its acknowledgement: a crash loses none.

use std::{
    collections::HashMap,
    mem,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use sandmill_model::{
    Event, JsonText, Limits, TokenId, TriggerId,
    code::{Code, Refusal},
    run::Dedup,
    trigger::{Batch, Cursor, Mode, Overlap, Receipt, Shutdown, short_key},
    version::Selector,
};
use sandmill_store::triggers::{Delivered, ItemReceipt};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    deliver::{Failure, Rest, Source, busy_after, dead, give_back, own_principal, runs, start, write},
    look::{Fitting, Looked},
};
use crate::{Inner, refuse};

/// Bytes of the events of a batch, past which it starts before its time.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Events that wait behind a batch that is being written.
const QUEUE_MAX: usize = 1_000;
/// How long whatever gathers events of requests stays when none comes.
const IDLE: Duration = Duration::from_secs(30);
/// How often a batch is made again because some of its events were known already.
const ROUNDS_MAX: usize = 8;
/// How long a listener pauses whose batch was known in other parts each time that it was made.
const ROUNDS_PAUSE: Duration = Duration::from_secs(1);
/// How often an event is handed to whoever gathers: one that ends in this moment is replaced.
const SENDS_MAX: usize = 3;
/// Bytes of `{"events":[]}`.
const AROUND_BYTES: usize = 13;

/// An event with what `preprocessor(event)` would get.
type Whole = (Event, JsonText);
/// What becomes of what waits.
type Answer = oneshot::Receiver<Result<Receipt, Failure>>;

struct Waiting {
    /// None: only the cursor, which is kept once all before it is.
    event: Option<Whole>,
    cursor: Option<Cursor>,
    answer: oneshot::Sender<Result<Receipt, Failure>>,
    /// None: there is no room for it to wait.
    room: Option<OwnedSemaphorePermit>,
}

/// Where one listener's events wait.
pub(super) struct Sink {
    sender: mpsc::Sender<Waiting>,
    hurry: CancellationToken,
    gathering: Mutex<Option<JoinHandle<()>>>,
}

/// A trigger with its revision, and the version of its target.
type BatchKey = (TriggerId, i64, Selector);

/// Where events of requests wait.
#[derive(Default)]
pub(super) struct Batches(Mutex<HashMap<BatchKey, mpsc::Sender<Waiting>>>);

fn shutting_down() -> Failure {
    Refusal::new(Code::Unavailable, "this node is shutting down").into()
}

impl Sink {
    pub(super) fn open(inner: &Arc<Inner>, source: &Source, batch: Batch) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let hurry = CancellationToken::new();
        let gathering = Gathering { inner: Arc::clone(inner), source: source.clone(), batch, hurry: hurry.clone(), idle: None };
        let gathering = inner.tasks.spawn(gathering.run(receiver));
        Self { sender, hurry, gathering: Mutex::new(Some(gathering)) }
    }

    /// From now on nothing waits for more.
    pub(super) fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Takes nothing more, and waits until what it has is written: the seat must be held as long.
    pub(super) async fn finish(&self) {
        self.hurry();
        let gathering = self.gathering.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(gathering) = gathering
            && tokio::time::timeout(Shutdown::DEADLINE, gathering).await.is_err()
        {
            tracing::warn!("batches of a trigger were not written in time; their events are delivered again");
        }
    }

    /// Delivers events, those that start runs in batches. Answered once all are durable.
    pub(super) async fn deliver(
        &self,
        inner: &Arc<Inner>,
        source: &Source,
        looked: Vec<Looked>,
        rest: Rest,
    ) -> Result<Vec<Receipt>, Failure> {
        let (mut direct, mut batched, mut is_batched) = (Vec::new(), Vec::new(), Vec::with_capacity(looked.len()));
        for one in looked {
            match one {
                Looked::Fits(fitting) if waits(source, &fitting) => {
                    let text = fitting.event.told();
                    batched.push((fitting.event, text));
                    is_batched.push(true);
                }
                other => {
                    direct.push(other);
                    is_batched.push(false);
                }
            }
        }
        let (direct, has_room) = runs(inner, source, direct, Rest::default()).await?;
        let batched = if !has_room {
            vec![Receipt::Busy { retry_after: ROUNDS_PAUSE }; batched.len()]
        } else if rest.adopts_state_of.is_some() {
            // State moves with its runs, so they wait for no others.
            write_batches(inner, source, batched, rest).await?
        } else {
            self.wait(inner, batched, rest.cursor).await?
        };
        let (mut direct, mut batched) = (direct.into_iter(), batched.into_iter());
        let receipts = is_batched.into_iter().map(|is_batched| if is_batched { batched.next() } else { direct.next() });
        receipts.collect::<Option<Vec<_>>>().ok_or_else(|| Refusal::new(Code::Internal, "an event has no receipt").into())
    }

    async fn wait(&self, inner: &Arc<Inner>, events: Vec<Whole>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, Failure> {
        // With one event it goes in its transaction. Several may be of several batches, and it stands behind all of them.
        let (mut with, after) = if events.len() == 1 { (cursor, None) } else { (None, cursor) };
        let mut answers = Vec::with_capacity(events.len());
        for event in events {
            answers.push(self.send(inner, Some(event), with.take()).await?);
        }
        let mut receipts = Vec::with_capacity(answers.len());
        for answer in answers {
            receipts.push(answer.await.map_err(|_| shutting_down())??);
        }
        if after.is_some() && receipts.iter().all(Receipt::is_acknowledged) {
            let kept = self.send(inner, None, after).await?;
            kept.await.map_err(|_| shutting_down())??;
        }
        Ok(receipts)
    }

    async fn send(&self, inner: &Inner, event: Option<Whole>, cursor: Option<Cursor>) -> Result<Answer, Failure> {
        let (waiting, answer) = waiting(inner, event, cursor);
        self.sender.send(waiting).await.map_err(|_| shutting_down())?;
        Ok(answer)
    }
}

fn waits(source: &Source, fitting: &Fitting) -> bool {
    matches!(source.trigger.mode, Mode::On | Mode::Held) && fitting.skip.is_none() && fitting.overlap == Overlap::Allow
}

fn waiting(inner: &Inner, event: Option<Whole>, cursor: Option<Cursor>) -> (Waiting, Answer) {
    let (answer, answered) = oneshot::channel();
    let bytes = event.as_ref().map_or(0, |(event, text)| event.payload.len() + text.as_str().len());
    (Waiting { event, cursor, answer, room: inner.armoury.shared.waiting_room(bytes) }, answered)
}

impl Batches {
    /// Waits until the event of a request is part of a batch that is durable. The runs are the trigger's own: they are of several callers.
    pub(super) async fn submit(&self, inner: &Arc<Inner>, source: &Source, mut event: Event) -> Result<Receipt, Failure> {
        let Some(batch) = source.trigger.options.batch else { return Err(shutting_down()) };
        if source.principal.token != TokenId::NONE {
            // A key stays its caller's, so that nobody swallows the event of another.
            event.dedup_key = event.dedup_key.map(|key| short_key(format!("{} {key}", source.principal.identity)));
        }
        let text = event.told();
        let (mut waiting, answer) = waiting(inner, Some((event, text)), None);
        if waiting.room.is_none() {
            // Requests come from anybody, and nothing else holds them back.
            return Ok(Receipt::Busy { retry_after: ROUNDS_PAUSE });
        }
        for _ in 0..SENDS_MAX {
            match self.of(inner, source, batch).send(waiting).await {
                Ok(()) => return answer.await.map_err(|_| shutting_down())?,
                // It gathers nothing any more, and is replaced.
                Err(mpsc::error::SendError(back)) => waiting = back,
            }
        }
        Err(shutting_down())
    }

    fn of(&self, inner: &Arc<Inner>, source: &Source, batch: Batch) -> mpsc::Sender<Waiting> {
        let key = (source.trigger.id, source.trigger.revision, source.selector);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = all.get(&key).filter(|sender| !sender.is_closed()) {
            return sender.clone();
        }
        all.retain(|_, sender| !sender.is_closed());
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        all.insert(key, sender.clone());
        drop(all);
        let principal = Arc::new(own_principal(&source.trigger, &source.trigger.target));
        let source = Source { principal, ..source.clone() };
        let gathering = Gathering { inner: Arc::clone(inner), source, batch, hurry: inner.draining.clone(), idle: Some(IDLE) };
        inner.tasks.spawn(gathering.run(receiver));
        sender
    }
}

/// Gathers events of one trigger, and writes them.
struct Gathering {
    inner: Arc<Inner>,
    source: Source,
    batch: Batch,
    hurry: CancellationToken,
    /// None: it stays as long as somebody may send.
    idle: Option<Duration>,
}

impl Gathering {
    async fn run(self, mut receiver: mpsc::Receiver<Waiting>) {
        while let Some(first) = self.first(&mut receiver).await {
            let open = self.gather(first, &mut receiver).await;
            self.flush(open).await;
        }
    }

    /// None: it is over.
    async fn first(&self, receiver: &mut mpsc::Receiver<Waiting>) -> Option<Waiting> {
        let idle = async {
            match self.idle {
                Some(idle) => tokio::time::sleep(idle).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            first = receiver.recv() => return first,
            () = self.hurry.cancelled() => {}
            () = idle => {}
        }
        // What was sent in this moment is still there.
        receiver.close();
        receiver.recv().await
    }

    async fn gather(&self, first: Waiting, receiver: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
        let mut due = pin!(tokio::time::sleep(Duration::from_millis(self.batch.wait_ms)));
        let mut open = vec![first];
        while !self.is_full(&open) {
            tokio::select! {
                biased;
                more = receiver.recv() => match more {
                    Some(more) => open.push(more),
                    None => break,
                },
                () = &mut due => break,
                () = self.hurry.cancelled() => break,
            }
        }
        open
    }

    fn is_full(&self, open: &[Waiting]) -> bool {
        let events = open.iter().filter_map(|waiting| waiting.event.as_ref());
        let (count, bytes) = events.fold((0, 0), |(count, bytes), (_, text)| (count + 1, bytes + text.as_str().len()));
        let has_no_room = open.last().is_some_and(|last| last.room.is_none());
        count == 0 || count >= self.batch.events_max as usize || bytes >= BATCH_BYTES_MAX || has_no_room
    }

    async fn flush(&self, open: Vec<Waiting>) {
        let (mut events, mut answers, mut cursor, mut rooms) = (Vec::new(), Vec::new(), None, Vec::new());
        for waiting in open {
            answers.push((waiting.event.is_some(), waiting.answer));
            events.extend(waiting.event);
            cursor = waiting.cursor.or(cursor);
            rooms.push(waiting.room);
        }
        let written = match self.inner.workspace_of(self.source.workspace.id).await {
            Ok(workspace) => {
                let source = Source { workspace, ..self.source.clone() };
                write_batches(&self.inner, &source, events, Rest { cursor, adopts_state_of: None }).await
            }
            Err(refusal) => Err(refusal.into()),
        };
        drop(rooms);
        let mut written = written.map(Vec::into_iter);
        for (is_event, answer) in answers {
            let receipt = match &mut written {
                Ok(receipts) if is_event => receipts.next().ok_or_else(shutting_down),
                Ok(_) => Ok(Receipt::Kept),
                Err(failure) => Err(failure.clone()),
            };
            // Whoever has gone away delivers again.
            let _ = answer.send(receipt);
        }
    }
}

/// Events that are being written in batches.
struct Writing {
    events: Vec<Whole>,
    receipts: Vec<Option<Receipt>>,
    /// Numbers of the events of each batch that is to be written.
    groups: Vec<Vec<usize>>,
    /// Events with the key of another among them.
    same: Vec<(usize, usize)>,
    /// Whether keys count.
    is_deduplicated: bool,
    has_room: bool,
}

/// Writes events as batches, none with more than the trigger says nor longer than its script takes. The rest is kept if there is room for all.
async fn write_batches(inner: &Arc<Inner>, source: &Source, events: Vec<Whole>, mut rest: Rest) -> Result<Vec<Receipt>, Failure> {
    let (mut writing, mut items) = Writing::of(inner, source, events).await?;
    let mut is_first = true;
    for _ in 0..ROUNDS_MAX {
        let (before, mut written) = (items.len(), Vec::new());
        for group in mem::take(&mut writing.groups) {
            if let Some((item, keyed)) = writing.item(inner, source, &group, &items).await? {
                items.push(item);
                written.push((group, keyed));
            }
        }
        if is_first && rest.adopts_state_of.is_some() && !writing.moves_on() {
            // What the state does not move behind is found again: there are all or none.
            give_back(inner, source, &items);
            return Ok(vec![Receipt::Busy { retry_after: ROUNDS_PAUSE }; writing.receipts.len()]);
        }
        is_first = false;
        // Where a batch may have to be made again, the rest goes behind it: a crash in between only repeats what is known by its keys.
        let is_certain = writing.moves_on() && written.iter().all(|(_, keyed)| keyed.is_empty());
        let with = if is_certain { mem::take(&mut rest) } else { Rest::default() };
        let answers = write(inner, source, mem::take(&mut items), with).await?;
        for ((group, keyed), answer) in written.into_iter().zip(answers.into_iter().skip(before)) {
            writing.heard(group, &keyed, answer);
        }
        if writing.groups.is_empty() {
            break;
        }
    }
    if writing.moves_on() && writing.groups.is_empty() && !rest.is_empty() {
        write(inner, source, Vec::new(), rest).await?;
    }
    Ok(writing.into_receipts())
}

impl Writing {
    /// With what is kept of those that are too long for any batch. One that there is no room to keep is delivered again.
    async fn of(inner: &Arc<Inner>, source: &Source, events: Vec<Whole>) -> Result<(Self, Vec<Delivered>), Failure> {
        let trigger = &source.trigger;
        let key = (source.workspace.id, trigger.target.clone(), source.selector);
        let found = inner.targets.find(inner.store.scripts.as_ref(), key, inner.clock.now()).await.map_err(|error| refuse(&error))?;
        let bytes_max = found.map_or(Limits::CEILING.arguments_bytes, |target| target.limits.arguments_bytes);
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let events_max = trigger.options.batch.map_or(1, |batch| batch.events_max) as usize;
        let is_deduplicated = trigger.options.dedup.as_ref().and_then(|dedup| dedup.window_ms) != Some(0);
        let (mut groups, mut bytes): (Vec<Vec<usize>>, usize) = (Vec::new(), 0);
        let (mut receipts, mut same, mut dead_items) = (vec![None; events.len()], Vec::new(), Vec::new());
        let mut first_of = HashMap::<&str, usize>::new();
        for (index, (event, text)) in events.iter().enumerate() {
            if let Some(key) = event.dedup_key.as_deref().filter(|_| is_deduplicated) {
                if let Some(first) = first_of.get(key) {
                    same.push((index, *first));
                    continue;
                }
                first_of.insert(key, index);
            }
            let own = text.as_str().len() + 1;
            if own + AROUND_BYTES > bytes_max {
                if inner.meters.is_full(source.workspace.id) {
                    receipts[index] = Some(Receipt::Busy { retry_after: ROUNDS_PAUSE });
                    continue;
                }
                let why = format!("it has {own} bytes as a preprocessor gets it; the script takes {bytes_max} (limits.arguments_bytes)");
                dead_items.push(dead(inner, event.clone(), why.clone()));
                receipts[index] = Some(Receipt::Invalid(why));
                continue;
            }
            match groups.last_mut().filter(|group| group.len() < events_max && bytes + own <= bytes_max) {
                Some(group) => group.push(index),
                None => {
                    groups.push(vec![index]);
                    bytes = AROUND_BYTES;
                }
            }
            bytes += own;
        }
        drop(first_of);
        Ok((Self { events, receipts, groups, same, is_deduplicated, has_room: true }, dead_items))
    }

    /// A batch, and the numbers of its events that have keys. None: there is no room for it, nor for those behind it.
    async fn item(
        &mut self,
        inner: &Arc<Inner>,
        source: &Source,
        group: &[usize],
        items: &[Delivered],
    ) -> Result<Option<(Delivered, Vec<usize>)>, Failure> {
        if !self.has_room {
            self.busy(group, ROUNDS_PAUSE);
            return Ok(None);
        }
        match self.make(inner, source, group).await {
            Ok(made) => Ok(Some(made)),
            Err(refusal) => match busy_after(&refusal) {
                Some(retry_after) => {
                    self.has_room = false;
                    self.busy(group, retry_after);
                    Ok(None)
                }
                None => {
                    give_back(inner, source, items);
                    Err(refusal.into())
                }
            },
        }
    }

    async fn make(&self, inner: &Arc<Inner>, source: &Source, group: &[usize]) -> Result<(Delivered, Vec<usize>), Refusal> {
        let key = |index: &usize| self.events.get(*index).and_then(|(event, _)| event.dedup_key.clone());
        let keyed: Vec<usize> = group.iter().copied().filter(|index| self.is_deduplicated && key(index).is_some()).collect();
        let parts = group.iter().filter_map(|index| self.events.get(*index));
        let texts: Vec<&str> = parts.clone().map(|(_, text)| text.as_str()).collect();
        let Some((first, _)) = parts.clone().next() else { return Err(Refusal::new(Code::Internal, "a batch has no events")) };
        let event = Event {
            trigger: first.trigger.clone(),
            metadata: JsonText::empty_object(),
            payload: Bytes::from(format!("{{\"events\":[{}]}}", texts.join(","))),
            dedup_key: keyed.first().and_then(key),
            ordering_key: None,
        };
        let run = inner.make_run(start(source, event)).await?;
        inner.make_room(&run, &inner.limits_of(&source.workspace)).await?;
        let also = keyed.iter().skip(1).filter_map(|index| Some(Dedup { key: key(index)?, ..run.dedup.clone()? })).collect();
        let is_held = source.trigger.mode == Mode::Held;
        Ok((Delivered::Run { run: Box::new(run), also, is_held, overlap: Overlap::Allow }, keyed))
    }

    /// Whether there was room for all so far: only then what stands behind them is kept.
    fn moves_on(&self) -> bool {
        self.has_room && self.receipts.iter().flatten().all(Receipt::is_acknowledged)
    }

    fn set(&mut self, index: usize, receipt: Receipt) {
        if let Some(place) = self.receipts.get_mut(index) {
            *place = Some(receipt);
        }
    }

    fn busy(&mut self, group: &[usize], retry_after: Duration) {
        for index in group {
            self.set(*index, Receipt::Busy { retry_after });
        }
    }

    /// What became of a batch. One of whose events some were known goes again without them.
    fn heard(&mut self, group: Vec<usize>, keyed: &[usize], answer: ItemReceipt) {
        let repeats = match answer {
            ItemReceipt::New(run) => return group.into_iter().for_each(|index| self.set(index, Receipt::Accepted(run))),
            ItemReceipt::Overlaps(_) | ItemReceipt::Kept => return group.into_iter().for_each(|index| self.set(index, Receipt::Kept)),
            // Of its first key alone: the other events are not known by it.
            ItemReceipt::Duplicate(run) | ItemReceipt::Mismatch(run) => vec![(0, run)],
            ItemReceipt::Repeats(repeats) => repeats,
        };
        let known: HashMap<usize, Receipt> =
            repeats.into_iter().filter_map(|(number, run)| Some((*keyed.get(number)?, Receipt::Duplicate(run)))).collect();
        let left: Vec<usize> = group.into_iter().filter(|index| !known.contains_key(index)).collect();
        known.into_iter().for_each(|(index, receipt)| self.set(index, receipt));
        if !left.is_empty() {
            self.groups.push(left);
        }
    }

    fn into_receipts(self) -> Vec<Receipt> {
        let Self { mut receipts, same, .. } = self;
        for (index, first) in same {
            let receipt = match receipts.get(first).cloned().flatten() {
                Some(Receipt::Accepted(run)) => Some(Receipt::Duplicate(run)),
                other => other,
            };
            if let Some(place) = receipts.get_mut(index) {
                *place = receipt;
            }
        }
        // What is left was known in other parts each time.
        receipts.into_iter().map(|receipt| receipt.unwrap_or(Receipt::Busy { retry_after: ROUNDS_PAUSE })).collect()
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{RunId, Timestamp, event::TriggerRef};

    use super::*;

    fn run(number: i64) -> RunId {
        RunId::first_of(Timestamp::from_micros(number * 1_000))
    }

    fn writing(keys: &[Option<&str>]) -> Writing {
        let event = |key: &Option<&str>| Event {
            trigger: TriggerRef { kind: "played".into(), path: None },
            metadata: JsonText::empty_object(),
            payload: Bytes::new(),
            dedup_key: key.map(str::to_owned),
            ordering_key: None,
        };
        let events: Vec<Whole> = keys.iter().map(|key| (event(key), JsonText::empty_object())).collect();
        let receipts = vec![None; events.len()];
        Writing { events, receipts, groups: Vec::new(), same: Vec::new(), is_deduplicated: true, has_room: true }
    }

    #[test]
    fn events_that_are_known_leave_their_batch_and_the_others_go_again() {
        let mut all = writing(&[Some("a"), None, Some("b"), Some("c")]);
        all.heard(vec![0, 1, 2, 3], &[0, 2, 3], ItemReceipt::Repeats(vec![(1, run(7)), (2, run(8))]));
        assert_eq!(all.groups, [[0, 1]]);
        let group = all.groups.remove(0);
        // The only one with a key is known; the other is not, though it is in the same batch.
        all.heard(group, &[0], ItemReceipt::Duplicate(run(9)));
        assert_eq!(all.groups, [[1]]);
        let group = all.groups.remove(0);
        all.heard(group, &[], ItemReceipt::New(run(10)));
        let expected = [Receipt::Duplicate(run(9)), Receipt::Accepted(run(10)), Receipt::Duplicate(run(7)), Receipt::Duplicate(run(8))];
        assert_eq!(all.into_receipts(), expected);
    }

    #[test]
    fn a_key_twice_in_one_delivery_is_one_event() {
        let mut all = writing(&[Some("a"), Some("a"), None]);
        all.same.push((1, 0));
        all.heard(vec![0, 2], &[0], ItemReceipt::New(run(1)));
        assert_eq!(all.into_receipts(), [Receipt::Accepted(run(1)), Receipt::Duplicate(run(1)), Receipt::Accepted(run(1))]);
    }

    #[test]
    fn nothing_moves_on_behind_an_event_without_room() {
        let mut all = writing(&[None, None]);
        assert!(all.moves_on());
        all.set(0, Receipt::Accepted(run(1)));
        assert!(all.moves_on());
        all.set(1, Receipt::Busy { retry_after: ROUNDS_PAUSE });
        assert!(!all.moves_on(), "though there is room for batches");
        let receipts = all.into_receipts();
        assert_eq!(receipts.iter().map(Receipt::is_acknowledged).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_was_never_written_is_not_acknowledged() {
        let mut all = writing(&[Some("a"), Some("a"), None]);
        all.same.push((1, 0));
        all.busy(&[0], Duration::from_secs(9));
        let receipts = all.into_receipts();
        assert!(receipts.iter().all(|receipt| !receipt.is_acknowledged()), "{receipts:?}");
    }
}
