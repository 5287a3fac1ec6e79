//! The loop of a listener: takes messages as long as there is room for them, delivers them in portions, and acknowledges what the host answered.
//!
//! It is one task that owns its connection. What was taken and not acknowledged is bounded by number and bytes; beyond that it asks for nothing and reads
//! nothing, so that whatever comes waits at the server.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use sandmill_model::{
    BoxFuture,
    trigger::{Inbox, ListenError, NewEvent, Receipt, Shutdown},
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    client::{Client, Fault, Frame, Message, SUBJECT},
    config::Config,
    event::{self, Origin},
    jetstream::{Consumer, REFUSED_PAUSE, Status},
    room::Room,
};

/// Bytes of one delivery.
const DELIVERY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often it looks around.
const TICK: Duration = Duration::from_secs(1);
/// After so long without a word the server is asked whether it is there, and after twice that it is not.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a server may send what was under way when it is left.
const LEAVE_MAX: Duration = Duration::from_secs(2);
const ACK: &[u8] = b"+ACK";
const PROGRESS: &[u8] = b"+WPI";
const NAK: &[u8] = b"-NAK";

/// A message that was taken.
struct Taken {
    event: NewEvent,
    /// Where it is acknowledged; none of core NATS.
    ack: Option<String>,
    bytes: usize,
}

/// A delivery that was answered.
struct Done {
    number: u64,
    answer: Result<Vec<Receipt>, ListenError>,
    /// Of core NATS, which sends nothing again.
    again: Vec<NewEvent>,
}

/// A delivery that is under way.
struct UnderWay {
    acks: Vec<String>,
    events: usize,
    bytes: usize,
}

struct Loop<'a> {
    client: Client,
    inbox: &'a Inbox,
    /// None: core NATS.
    consumer: Option<Consumer>,
    is_ordered: bool,
    waiting: VecDeque<Taken>,
    deliveries: FuturesUnordered<BoxFuture<'static, Done>>,
    under_way: HashMap<u64, UnderWay>,
    numbers: u64,
    events: usize,
    room: Room,
    pause: Option<BoxFuture<'static, ()>>,
    is_leaving: bool,
    heard: Instant,
    was_asked: bool,
    progressed: Instant,
    pending: Option<u64>,
}

pub(super) async fn listen(config: Config, inbox: Inbox, stop: Shutdown) -> Result<(), ListenError> {
    let network = inbox.host().network();
    // One byte more, so that the host sees what is too large.
    let mut client = Client::connect(&config.connection, &*network, inbox.payload_bytes_max.saturating_add(1)).await?;
    let name = format!("sandmill-{}", inbox.id);
    let mut early = Vec::new();
    let consumer = match &config.jetstream {
        Some(jetstream) => Some(Consumer::open(&mut client, jetstream, config.subject.as_deref(), (&name, inbox.events_max)).await?),
        None => {
            let subject = config.subject.as_deref().unwrap_or_default();
            client.subscribe(SUBJECT, subject, Some(config.queue.as_deref().unwrap_or(&name)));
            early = client.settled().await?;
            None
        }
    };
    inbox.host().listening();
    inbox.host().lag(consumer.as_ref().map(|consumer| consumer.pending));
    let mut listening = Loop::new(client, &inbox, consumer, config.ordered);
    early.iter().try_for_each(|message| listening.take(message))?;
    listening.run(&stop).await
}

impl<'a> Loop<'a> {
    fn new(client: Client, inbox: &'a Inbox, consumer: Option<Consumer>, is_ordered: bool) -> Self {
        let now = Instant::now();
        Self {
            client,
            inbox,
            consumer,
            is_ordered,
            waiting: VecDeque::new(),
            deliveries: FuturesUnordered::new(),
            under_way: HashMap::new(),
            numbers: 0,
            events: 0,
            room: Room::new(),
            pause: None,
            is_leaving: false,
            heard: now,
            was_asked: false,
            progressed: now,
            pending: None,
        }
    }

    async fn run(mut self, stop: &Shutdown) -> Result<(), ListenError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask();
            self.deliver();
            if self.is_leaving && self.waiting.is_empty() && self.deliveries.is_empty() {
                // What was acknowledged last is to arrive.
                self.client.settle().await?;
                return Ok(());
            }
            let reads = !self.is_leaving && self.has_room();
            tokio::select! {
                () = stop.requested(), if !self.is_leaving => self.leave().await?,
                Some(done) = self.deliveries.next(), if !self.deliveries.is_empty() => self.done(done)?,
                frame = self.client.next(), if reads => self.hear(frame?)?,
                () = until(&mut self.pause), if self.pause.is_some() => self.pause = None,
                _ = ticks.tick() => self.look_around(reads)?,
            }
            self.client.flush().await?;
        }
    }

    fn events_max(&self) -> usize {
        self.inbox.events_max.max(1).saturating_mul(self.inbox.deliveries_max.max(1))
    }

    fn has_room(&self) -> bool {
        self.pause.is_none() && self.room.is_left() && self.events < self.events_max()
    }

    fn ask(&mut self) {
        if self.is_leaving || !self.has_room() {
            return;
        }
        let room = self.events_max() - self.events;
        if let Some(consumer) = &mut self.consumer {
            consumer.ask(&mut self.client, room);
        }
    }

    /// This frame, and those that came with it.
    fn hear(&mut self, frame: Frame) -> Result<(), ListenError> {
        (self.heard, self.was_asked) = (Instant::now(), false);
        let mut next = Some(frame);
        while let Some(frame) = next {
            match frame {
                Frame::Message(message) => self.take(&message)?,
                Frame::Complaint(text) => return Err(Fault::complaint(&text).into()),
                Frame::Info(_) | Frame::Ping | Frame::Pong | Frame::Ok => {}
            }
            next = self.client.ready()?;
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), ListenError> {
        let Some(consumer) = &mut self.consumer else {
            if message.sid == SUBJECT {
                self.keep(message, None, None);
            }
            return Ok(());
        };
        if self.client.is_answer(message) {
            if let Status::Refused = consumer.status(message)? {
                self.pause = Some(self.inbox.host().sleep_until(self.inbox.host().now().plus(REFUSED_PAUSE)));
            }
            return Ok(());
        }
        // Acknowledged is what a stream sent, not whatever somebody names as the subject of his answer.
        let Some((ack, origin)) = message.reply.as_deref().and_then(|reply| Some((reply, Origin::parse(reply)?))) else { return Ok(()) };
        consumer.count();
        let key = format!("{}:{}", consumer.scope, origin.sequence);
        self.pending = Some(origin.pending);
        self.keep(message, Some((ack, origin)), Some(key));
        Ok(())
    }

    fn keep(&mut self, message: &Message, from: Option<(&str, Origin<'_>)>, dedup_key: Option<String>) {
        let Some(mut event) = event::of(message, from.map(|(_, origin)| origin)) else { return };
        event.dedup_key = dedup_key;
        event.ordering_key = self.is_ordered.then(|| message.subject.clone());
        let ack = from.map(|(ack, _)| ack.to_owned());
        let bytes = size_of::<Taken>() + event.len_bytes() + ack.as_ref().map_or(0, String::len);
        self.room.take(bytes);
        self.events += 1;
        self.waiting.push_back(Taken { event, ack, bytes });
    }

    /// As many deliveries as may be under way.
    fn deliver(&mut self) {
        while self.pause.is_none() && !self.waiting.is_empty() && self.deliveries.len() < self.inbox.deliveries_max.max(1) {
            let (mut events, mut acks, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some(taken) = self.waiting.pop_front() {
                let is_full = events.len() >= self.inbox.events_max.max(1) || bytes + taken.bytes > DELIVERY_BYTES_MAX;
                if is_full && !events.is_empty() {
                    self.waiting.push_front(taken);
                    break;
                }
                bytes += taken.bytes;
                events.push(taken.event);
                acks.extend(taken.ack);
            }
            self.numbers += 1;
            let (number, inbox) = (self.numbers, self.inbox.clone());
            let again = if self.consumer.is_none() { events.clone() } else { Vec::new() };
            self.under_way.insert(number, UnderWay { acks, events: events.len(), bytes });
            self.deliveries.push(Box::pin(async move { Done { number, answer: inbox.deliver(events, None).await, again } }));
        }
    }

    fn done(&mut self, done: Done) -> Result<(), ListenError> {
        let Some(UnderWay { acks, events, bytes }) = self.under_way.remove(&done.number) else { return Ok(()) };
        let receipts = done.answer?;
        if receipts.len() != events {
            return Err(ListenError::Transient("not every message was answered".to_owned()));
        }
        self.events -= events;
        self.room.give_back(bytes);
        let mut pause: Option<Duration> = None;
        let mut acks = acks.iter();
        let mut again = Vec::new();
        for (receipt, event) in receipts.iter().zip(done.again.into_iter().map(Some).chain(std::iter::repeat(None))) {
            let ack = acks.next();
            match (receipt, ack) {
                (Receipt::Busy { retry_after }, ack) => {
                    pause = pause.max(Some(*retry_after));
                    if let Some(ack) = ack {
                        let delay = format!("-NAK {{\"delay\":{}}}", retry_after.as_nanos());
                        self.client.publish(ack, None, &[], delay.as_bytes());
                    }
                    again.extend(event);
                }
                (_, Some(ack)) => self.client.publish(ack, None, &[], ACK),
                (_, None) => {}
            }
        }
        // Whoever leaves has no time to wait for room; core NATS promises nothing.
        if !self.is_leaving {
            for event in again.into_iter().rev() {
                let bytes = size_of::<Taken>() + event.len_bytes();
                self.events += 1;
                self.room.take(bytes);
                self.waiting.push_front(Taken { event, ack: None, bytes });
            }
            self.pause = pause.map(|pause| self.inbox.host().sleep_until(self.inbox.host().now().plus(pause))).or(self.pause.take());
        }
        self.inbox.host().lag(self.pending.map(|pending| pending.saturating_add(self.events as u64)));
        Ok(())
    }

    /// Tells the server that what it waits for is still under way, and looks whether it is there.
    fn look_around(&mut self, reads: bool) -> Result<(), ListenError> {
        let now = Instant::now();
        if let Some(consumer) = &self.consumer
            && now.duration_since(self.progressed) >= consumer.ack_wait / 3
        {
            self.progressed = now;
            let waiting = self.waiting.iter().filter_map(|taken| taken.ack.as_deref());
            for ack in self.under_way.values().flat_map(|one| one.acks.iter().map(String::as_str)).chain(waiting) {
                self.client.publish(ack, None, &[], PROGRESS);
            }
        }
        if !reads {
            self.heard = now;
        } else if now.duration_since(self.heard) >= SILENCE * 2 {
            return Err(ListenError::Transient("the server has gone silent".to_owned()));
        } else if now.duration_since(self.heard) >= SILENCE && !self.was_asked {
            self.was_asked = true;
            self.client.ping();
        }
        Ok(())
    }

    /// Takes nothing more. What a stream sent and was not delivered goes back to it; what core NATS sent is still delivered.
    async fn leave(&mut self) -> Result<(), ListenError> {
        self.is_leaving = true;
        self.pause = None;
        match &self.consumer {
            Some(_) => self.client.unsubscribe_answers(),
            None => self.client.unsubscribe(SUBJECT),
        }
        self.client.ping();
        let rest = timeout(LEAVE_MAX, async {
            loop {
                match self.client.next().await? {
                    Frame::Pong => return Ok::<_, ListenError>(()),
                    Frame::Message(message) if !self.client.is_answer(&message) => self.take(&message)?,
                    Frame::Message(_) | Frame::Info(_) | Frame::Complaint(_) | Frame::Ping | Frame::Ok => {}
                }
                // Whoever goes on sending is not waited for.
                if !self.room.is_left() {
                    return Ok(());
                }
            }
        });
        // Whoever says nothing more has nothing more.
        if let Ok(ended) = rest.await {
            ended?;
        }
        if self.consumer.is_some() {
            for taken in std::mem::take(&mut self.waiting) {
                self.events -= 1;
                self.room.give_back(taken.bytes);
                if let Some(ack) = &taken.ack {
                    self.client.publish(ack, None, &[], NAK);
                }
            }
        }
        Ok(())
    }
}

async fn until(pause: &mut Option<BoxFuture<'static, ()>>) {
    if let Some(pause) = pause {
        pause.await;
    }
}
